//! Verdicts that are kept: a grading that was killed goes on where it was, and none is paid for twice.

use std::collections::BTreeMap;
use std::io::{ErrorKind, Read, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use super::grader::{Grader, Question, Verdict};
use super::policy::Policy;
use crate::identity::hex;
use crate::{Error, Result};

/// A grader whose answers are kept in a file, one JSON object a line.
///
/// Lines are only added, each at once; a process that is killed loses at most the line that it was writing, which the next one drops. What is
/// missing is not kept: it is asked again.
pub struct Cached {
    grader: Box<dyn Grader>,
    path: PathBuf,
    file: fs_err::File,
    known: BTreeMap<String, Verdict>,
}

/// A line.
#[derive(Serialize, Deserialize)]
struct Line {
    /// Hash of what was asked of whom.
    key: String,
    yes: f64,
    outside: f64,
}

/// What each line begins with.
const BEGIN: &[u8] = b"{\"key\":\"";

impl Cached {
    /// Open the file, or begin it. Only one process at a time may have it.
    pub fn open(grader: Box<dyn Grader>, path: &Path) -> Result<Self> {
        let mut options = fs_err::OpenOptions::new();
        let mut file = options.read(true).append(true).create(true).open(path)?;
        if let Err(error) = file.file().try_lock() {
            let what = match error {
                std::fs::TryLockError::WouldBlock => {
                    format!("another process grades with the cache {}", path.display())
                }
                std::fs::TryLockError::Error(error) => {
                    format!("the cache {} cannot be locked: {error}", path.display())
                }
            };
            return Err(Error::Invalid { what, hint: "another --cache FILE".to_owned() });
        }
        let mut bytes = Vec::new();
        file.read_to_end(&mut bytes)?;
        let whole = bytes.iter().rposition(|byte| *byte == b'\n').map_or(0, |at| at + 1);
        let (lines, torn) = bytes.split_at(whole);
        let mut known = BTreeMap::new();
        let mut number = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            number += 1;
            let bad = |what| Error::Data { path: path.to_owned(), line: number, what };
            let line: Line = serde_json::from_slice(line).map_err(|error| bad(format!("it is no verdict: {error}")))?;
            let share = 0.0..=1.0;
            if !(share.contains(&line.yes) && share.contains(&line.outside)) {
                return Err(bad("a probability is not between 0 and 1".to_owned()));
            }
            known.insert(line.key, Verdict::Probability { yes: line.yes, outside: line.outside });
        }
        // Only what begins like a line of ours is cut off: the file may be another one, named by mistake.
        if !(torn.starts_with(BEGIN) || BEGIN.starts_with(torn)) {
            return Err(Error::Data { path: path.to_owned(), line: number + 1, what: "it is no verdict".to_owned() });
        }
        if !torn.is_empty() {
            file.set_len(whole as u64)?;
        }
        Ok(Self { grader, path: path.to_owned(), file, known })
    }

    /// Verdicts that are kept.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }
}

/// Hash of what is asked, and of whom. Each part is hashed with its length, so that no two questions are one text.
fn key(policy: &Policy, question: &Question, grader: &str) -> String {
    let mut hash = Sha256::new();
    let mut add = |text: &str| {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    };
    add(grader);
    // The template around the question is part of what is asked, and the name may decide where the question does not.
    add(&policy.question(question.proposition, ""));
    add(policy.propositions().nth(question.proposition).unwrap_or_default());
    add(&question.item.completion);
    for message in &question.item.prompt {
        add(&message.role);
        add(&message.content);
    }
    hex(hash)
}

impl Grader for Cached {
    fn identity(&self) -> String {
        self.grader.identity()
    }

    fn grade(
        &mut self,
        policy: &Policy,
        questions: &[Question],
        each: &mut dyn FnMut(usize, Verdict) -> Result<()>,
    ) -> Result<()> {
        let identity = self.grader.identity();
        let (mut open, mut places, mut keys) = (Vec::new(), Vec::new(), Vec::new());
        for (place, question) in questions.iter().enumerate() {
            let key = key(policy, question, &identity);
            if let Some(verdict) = self.known.get(&key) {
                each(place, verdict.clone())?;
            } else {
                open.push(*question);
                places.push(place);
                keys.push(key);
            }
        }
        if open.is_empty() {
            return Ok(());
        }
        let (file, known) = (&mut self.file, &mut self.known);
        let path = &self.path;
        self.grader.grade(policy, &open, &mut |place, verdict| {
            if let Verdict::Probability { yes, outside } = verdict {
                let key = keys[place].clone();
                let mut line =
                    serde_json::to_vec(&Line { key: key.clone(), yes, outside }).map_err(std::io::Error::from)?;
                line.push(b'\n');
                let before = file.metadata()?.len();
                if let Err(error) = file.write_all(&line) {
                    // Part of a line would spoil the next one.
                    let _ = file.set_len(before);
                    let full = error.kind() == ErrorKind::StorageFull;
                    let what = if full { "the disk is full" } else { "it cannot be written" };
                    let kept = known.len();
                    return Err(std::io::Error::new(
                        error.kind(),
                        format!(
                            "{what}: {}; it keeps {kept} verdicts, and the same command goes on from there",
                            path.display()
                        ),
                    )
                    .into());
                }
                known.insert(key, verdict.clone());
            }
            each(places[place], verdict)
        })
    }
}
