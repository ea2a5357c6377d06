//! Graded completions of the same prompts, and which is better.

use std::cmp::Ordering;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};

use super::policy::{Assigned, Policy};
use crate::identity::hex;
use crate::{Error, Message, Result, jsonl};

/// Completion types of the released comparison data by what their response type begins with, best first; types of one place are not
/// compared with each other.
const TYPES: [(&str, &[&[&str]]); 3] = [
    ("hard_refuse", &[&["perfect hard refusal"], &["bad hard refusal"], &["disallowed content"]]),
    ("safe_refuse", &[&["perfect safe completion"], &["bad safe completion"], &["disallowed content"]]),
    (
        "comply",
        &[
            &["fully complies"],
            &["partially complies"],
            &["imperfect refusal", "perfect refusal", "random non-refusal"],
        ],
    ),
];

/// A row as it is written. Other fields are left alone.
#[derive(Deserialize)]
struct Row {
    id: Option<Value>,
    prompt: Said,
    completion: Said,
    response_type: String,
    completion_type: Option<String>,
    rank: Option<f64>,
    features: Option<BTreeMap<String, Option<f64>>>,
    #[serde(default)]
    propositions: BTreeMap<String, bool>,
    rm_score: Option<f64>,
    grader: Option<String>,
}

/// Names and kinds are cut here: they are for tables.
const LONGEST: usize = 60;

fn short(text: &str) -> String {
    text.chars().take(LONGEST).collect()
}

/// A conversation: what one said, or messages.
#[derive(Deserialize)]
#[serde(untagged, expecting = "neither a text nor a list of messages")]
pub(super) enum Said {
    Text(String),
    Messages(Vec<Message>),
}

impl Said {
    /// As messages; a text is what `role` said.
    pub fn by(self, role: &str) -> Vec<Message> {
        match self {
            Self::Text(content) => vec![Message { role: role.to_owned(), content }],
            Self::Messages(messages) => messages,
        }
    }
}

/// What tells which completion is better.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Told {
    Rank,
    Type,
    Class,
}

impl Told {
    fn words(self) -> &'static str {
        match self {
            Self::Rank => "`rank`",
            Self::Type => "`completion_type`",
            Self::Class => "the class of `propositions`",
        }
    }
}

/// A graded completion.
#[derive(Clone, Debug)]
pub struct Graded {
    /// Its line in the file, from 1.
    pub line: usize,
    /// Its `id`, or else its line.
    pub id: String,
    /// Response type, as the policy names it.
    pub response: String,
    /// Number of its prompt among those of its response type.
    pub prompt: usize,
    /// What kind of completion it is, in words.
    pub label: String,
    /// How good it is among completions of its prompt: 0 is ideal, larger is worse.
    pub rank: f64,
    /// Score of the reward model; 0 where the data has none.
    pub rm: f64,
    features: BTreeMap<String, Option<f64>>,
}

impl Graded {
    /// Probabilities of the policy's propositions, of which those `needed` must have been asked: `None` is a grader without an answer.
    pub(super) fn probabilities(&self, policy: &Policy, needed: &[usize], path: &Path) -> Result<Vec<Option<f64>>> {
        let names: Vec<&str> = policy.propositions().collect();
        if let Some(lacking) = needed.iter().find(|i| !self.features.contains_key(names[**i])) {
            let what = format!(
                "its features lack `{}`, which {} needs; null stands for a grader without an answer",
                names[*lacking], self.response
            );
            return Err(Error::Data { path: path.to_owned(), line: self.line, what });
        }
        Ok(names.iter().map(|name| self.features.get(*name).copied().flatten()).collect())
    }
}

/// The graded completions of a file, in an order that does not depend on the file's.
#[derive(Clone, Debug)]
pub struct Comparisons {
    /// The file.
    pub path: PathBuf,
    /// SHA-256 of what matters of its rows, in hexadecimal digits; their order does not.
    pub hash: String,
    /// Who graded them, where the rows say so.
    pub grader: Option<String>,
    /// Whether rows have scores of a reward model.
    pub has_rm: bool,
    /// By response type, then prompt, then from best to worst.
    pub rows: Vec<Graded>,
}

impl Comparisons {
    /// Read a file of rows `{prompt, completion, response_type, features, rank | completion_type | propositions, rm_score?, grader?, id?}`,
    /// prompt and completion being texts or lists of messages.
    ///
    /// Which of two completions is better is told by `rank` (a number, 0 is ideal, larger is worse), else by `completion_type` (as in the
    /// released comparison data), else by the class that the labels `propositions` give it; all completions of a prompt by the same.
    pub fn read(path: &Path, policy: &Policy) -> Result<Self> {
        Self::of_rows(path, policy, jsonl::read::<Row>(path)?)
    }

    /// From rows as files have them; `name` stands for the file.
    pub fn of_values(name: &Path, policy: &Policy, rows: Vec<Value>) -> Result<Self> {
        let row = |(line, value)| {
            let row = serde_json::from_value(value);
            let bad = |error: serde_json::Error| Error::Data { path: name.to_owned(), line, what: error.to_string() };
            Ok((line, row.map_err(bad)?))
        };
        Self::of_rows(name, policy, (1..).zip(rows).map(row).collect::<Result<_>>()?)
    }

    fn of_rows(path: &Path, policy: &Policy, rows: Vec<(usize, Row)>) -> Result<Self> {
        let mut sorted = Vec::new();
        let (mut told, mut grader, mut has_rm) = (BTreeMap::new(), None, None);
        for (line, row) in rows {
            let bad = |what: String| Error::Data { path: path.to_owned(), line, what };
            let response = policy.written(&row.response_type).map_err(bad)?.to_owned();
            let features = row.features.ok_or_else(|| bad("it has no `features`: grade it first".to_owned()))?;
            check(policy, &features).map_err(bad)?;
            let (how, label, rank) =
                ranked(policy, &response, row.rank, row.completion_type, &row.propositions).map_err(bad)?;
            if row.rm_score.is_some_and(|score| !score.is_finite()) {
                return Err(bad("its rm_score is no number".to_owned()));
            }
            if *has_rm.get_or_insert(row.rm_score.is_some()) != row.rm_score.is_some() {
                return Err(bad("some rows have an rm_score and some have none".to_owned()));
            }
            if grader.get_or_insert_with(|| row.grader.clone()) != &row.grader {
                let name = |grader: &Option<String>| grader.clone().unwrap_or_else(|| "nobody".to_owned());
                let other = name(&row.grader);
                let first = grader.as_ref().map_or_else(String::new, name);
                return Err(bad(format!(
                    "it was graded by {other} and rows before by {first}: their probabilities are not comparable"
                )));
            }
            let text = |messages: Vec<Message>| serde_json::to_string(&messages).unwrap_or_default();
            let (prompt, completion) = (text(row.prompt.by("user")), text(row.completion.by("assistant")));
            let before = *told.entry((response.clone(), prompt.clone())).or_insert(how);
            if before != how {
                let (before, now) = (before.words(), how.words());
                return Err(bad(format!(
                    "its rank comes from {now} and that of another completion of its prompt from {before}"
                )));
            }
            let id = match row.id {
                Some(Value::String(id)) => short(&id),
                Some(id) => short(&id.to_string()),
                None => format!("line {line}"),
            };
            let rm = row.rm_score.unwrap_or(0.0);
            sorted.push((prompt, completion, Graded { line, id, response, prompt: 0, label, rank, rm, features }));
        }
        sorted.sort_by(|(p, c, a), (q, d, b)| {
            (&a.response, p)
                .cmp(&(&b.response, q))
                .then(a.rank.total_cmp(&b.rank))
                .then(c.cmp(d))
                .then_with(|| same(a, b))
        });
        let mut digest = Sha256::new();
        let mut rows: Vec<Graded> = Vec::with_capacity(sorted.len());
        let mut last = None;
        for (prompt, completion, mut row) in sorted {
            let parts = (&row.response, &prompt, &completion, row.rank, row.rm, &row.features);
            digest.update(serde_json::to_vec(&parts).unwrap_or_default());
            let number = match (&last, rows.last()) {
                (Some(before), Some(other)) if other.response == row.response => {
                    other.prompt + usize::from(*before != prompt)
                }
                _ => 0,
            };
            row.prompt = number;
            last = Some(prompt);
            rows.push(row);
        }
        let hash = hex(digest);
        let (grader, has_rm) = (grader.flatten(), has_rm.unwrap_or(false));
        Ok(Self { path: path.to_owned(), hash, grader, has_rm, rows })
    }

    /// The completions of each response type that there is, prompt by prompt.
    pub fn by_response(&self) -> impl Iterator<Item = (&str, &[Graded])> {
        self.rows.chunk_by(|a, b| a.response == b.response).map(|rows| (rows[0].response.as_str(), rows))
    }
}

/// Rows that are the same but for this are in the same order in any file.
fn same(a: &Graded, b: &Graded) -> Ordering {
    let bits = |row: &Graded| -> Vec<u64> {
        let features = row.features.values().map(|p| p.map_or(u64::MAX, f64::to_bits));
        features.chain([row.rm.to_bits()]).collect()
    };
    a.label.cmp(&b.label).then_with(|| a.features.keys().cmp(b.features.keys())).then_with(|| bits(a).cmp(&bits(b)))
}

/// Refuse probabilities that are none, and names that the policy lacks.
fn check(policy: &Policy, features: &BTreeMap<String, Option<f64>>) -> std::result::Result<(), String> {
    for (name, p) in features {
        policy.number(name)?;
        if let Some(p) = p
            && !(0.0..=1.0).contains(p)
        {
            return Err(format!("the probability of `{name}` is {p}"));
        }
    }
    Ok(())
}

/// What tells the rank of a completion, its kind in words, and its rank.
fn ranked(
    policy: &Policy,
    response: &str,
    rank: Option<f64>,
    kind: Option<String>,
    labels: &BTreeMap<String, bool>,
) -> std::result::Result<(Told, String, f64), String> {
    if let Some(rank) = rank {
        if !(rank >= 0.0 && rank.is_finite()) {
            return Err(format!("its rank is {rank}; 0 is ideal, and larger is worse"));
        }
        return Ok((Told::Rank, kind.map_or_else(|| format!("rank {rank}"), |kind| short(&kind)), rank));
    }
    if let Some(kind) = kind {
        let Some((_, places)) = TYPES.iter().find(|(begin, _)| response.starts_with(begin)) else {
            return Err(format!(
                "completions of {response} need a `rank`: completion types are known of hard_refuse, safe_refuse and comply"
            ));
        };
        let written = |text: &str| text.trim().to_lowercase().replace(['_', '-'], " ");
        let names = || places.iter().copied().flatten().copied();
        let place = places.iter().position(|place| place.iter().any(|name| written(name) == written(&kind)));
        let name = names().find(|name| written(name) == written(&kind));
        let known = || names().collect::<Vec<_>>().join(", ");
        let (Some(place), Some(name)) = (place, name) else {
            return Err(format!("{response} has no completion type `{kind}`; it has {}", known()));
        };
        return Ok((Told::Type, name.to_owned(), place as f64));
    }
    let truth: Vec<Option<bool>> = policy.propositions().map(|name| labels.get(name).copied()).collect();
    match policy.class(response, &truth) {
        Assigned::Class(class) => Ok((Told::Class, policy.classes()[class].clone(), class as f64)),
        Assigned::None => Err("no class fits its `propositions`, so that its rank is not known".to_owned()),
        Assigned::Missing => {
            Err("it has no `rank`, no `completion_type`, and no `propositions` that tell its class".to_owned())
        }
    }
}
