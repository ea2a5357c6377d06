//! A worker process: one Python that plays any number of games for us, one command after the other.
//!
//! Commands and answers go through its standard input and output: an answer is 152 bytes, which a pipe carries in a hundredth of the
//! time that the emulator takes for it, and any number of commands can wait there. Threads that wait for answers take turns at reading,
//! and put what is another's where the other finds it.

use std::collections::HashMap;
use std::io::{BufReader, Read, Write};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::arcade::last_line;
use super::games::{FIX, VERSION};
use crate::{Error, Result};

/// What the process runs; see there for the commands.
const SCRIPT: &str = include_str!("worker.py");

/// How a worker is started.
pub(super) struct Launch {
    pub(super) python: PathBuf,
    pub(super) module: PathBuf,
    /// Told of a worker that died.
    pub(super) report: fn(&str),
}

/// The process is gone, and with it all that it was asked.
#[derive(Debug)]
pub(super) struct Lost;

/// A process, or the place for one.
pub(super) struct Worker {
    launch: Arc<Launch>,
    asking: Mutex<Asking>,
    answers: Mutex<Answers>,
    slots: AtomicU32,
}

/// The way in. `generation` counts the processes that there were in this place.
#[derive(Default)]
struct Asking {
    generation: u64,
    stdin: Option<ChildStdin>,
}

/// The way out.
#[derive(Default)]
struct Answers {
    generation: u64,
    child: Option<Child>,
    stdout: Option<BufReader<ChildStdout>>,
    /// Answers that were read by another than the one who waits for them.
    mail: HashMap<u32, Answer>,
    /// How the process before this one ended.
    last_words: String,
}

/// An answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// What the command's kind of answer says in a byte.
    pub(super) flag: u8,
    pub(super) data: Vec<u8>,
}

/// Bytes before the data of commands and answers.
const HEAD: usize = 12;

/// Append a command.
pub(super) fn put(commands: &mut Vec<u8>, op: u8, a: u8, slot: u32, data: &[&[u8]]) {
    let length: usize = data.iter().map(|piece| piece.len()).sum();
    commands.extend([op, a, 0, 0]);
    commands.extend(slot.to_le_bytes());
    commands.extend((length as u32).to_le_bytes());
    data.iter().for_each(|piece| commands.extend_from_slice(piece));
}

impl Worker {
    /// A place for a process.
    pub(super) fn new(launch: Arc<Launch>) -> Self {
        let (asking, answers) = Default::default();
        Self { launch, asking, answers, slots: AtomicU32::new(0) }
    }

    /// A slot that no other game has or ever had.
    pub(super) fn slot(&self) -> u32 {
        self.slots.fetch_add(1, Ordering::Relaxed)
    }

    /// Hand commands to the process of this generation.
    pub(super) fn send(&self, generation: u64, commands: &[u8]) -> std::result::Result<(), Lost> {
        let mut asking = lock(&self.asking);
        let there = asking.generation == generation;
        let stdin = asking.stdin.as_mut().filter(|_| there).ok_or(Lost)?;
        stdin.write_all(commands).map_err(|_| Lost)
    }

    /// Wait for the answer of a slot from the process of this generation.
    pub(super) fn receive(&self, generation: u64, slot: u32) -> std::result::Result<Answer, Lost> {
        let mut answers = lock(&self.answers);
        if answers.generation != generation {
            return Err(Lost);
        }
        loop {
            if let Some(answer) = answers.mail.remove(&slot) {
                return Ok(answer);
            }
            let (of, answer) = answers.stdout.as_mut().and_then(|stdout| read(stdout).ok()).ok_or(Lost)?;
            if of == slot {
                return Ok(answer);
            }
            answers.mail.insert(of, answer);
        }
    }

    /// Forget the answer of a slot that nobody waits for.
    pub(super) fn forget(&self, slot: u32) {
        lock(&self.answers).mail.remove(&slot);
    }

    /// Put another process in the place of the one of generation `lost`, unless that was done already. The generation that is there then.
    pub(super) fn revive(&self, lost: u64) -> Result<u64> {
        let mut asking = lock(&self.asking);
        if asking.generation != lost {
            return Ok(asking.generation);
        }
        asking.stdin = None;
        let mut answers = lock(&self.answers);
        if let Some(child) = answers.child.take() {
            let process = child.id();
            answers.last_words = end(child);
            let said = &answers.last_words;
            (self.launch.report)(&format!(
                "worker {process} of the Atari emulator died ({said}); another one goes on with its episodes"
            ));
        }
        (answers.stdout, answers.mail) = Default::default();
        let unusable = |reason: String| Error::BadAle {
            folder: self.launch.module.clone(),
            reason,
            fix: format!("{FIX}, or TONY_PYTHON=/path/to/another/python3"),
        };
        let mut command = Command::new(&self.launch.python);
        command.args(["-I", "-S", "-c", SCRIPT]).arg(&self.launch.module);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().map_err(|error| unusable(error.to_string()))?;
        let mut stdout = child.stdout.take().map(BufReader::new);
        let version = stdout.as_mut().and_then(|stdout| read(stdout).ok());
        let Some((_, Answer { data: version, .. })) = version else { return Err(unusable(end(child))) };
        if version != VERSION.as_bytes() {
            let found = String::from_utf8_lossy(&version).into_owned();
            end(child);
            return Err(unusable(format!("it is version {found}, not {VERSION}")));
        }
        asking.stdin = child.stdin.take();
        asking.generation += 1;
        (answers.generation, answers.child, answers.stdout) = (asking.generation, Some(child), stdout);
        Ok(asking.generation)
    }

    /// How the last process that died here ended.
    pub(super) fn last_words(&self) -> String {
        lock(&self.answers).last_words.clone()
    }

    /// Its number, where it runs.
    pub(super) fn process(&self) -> Option<u32> {
        lock(&self.answers).child.as_ref().map(Child::id)
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        lock(&self.asking).stdin = None;
        if let Some(child) = lock(&self.answers).child.take() {
            end(child);
        }
    }
}

/// End a process and say how it ended: its last words, or else its signal or code.
fn end(mut child: Child) -> String {
    let ended = child.try_wait().ok().flatten();
    // One that is still there is of no use any more.
    let _ = child.kill();
    let status = child.wait();
    let mut said = String::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = stderr.read_to_string(&mut said);
    }
    let how = || ended.or(status.ok()).map(|status| status.to_string()).unwrap_or_default();
    last_line(&said).map_or_else(how, str::to_owned)
}

/// One answer and its slot.
fn read(from: &mut impl Read) -> std::io::Result<(u32, Answer)> {
    let mut head = [0; HEAD];
    from.read_exact(&mut head)?;
    let [_, flag, _, _, a, b, c, d, e, f, g, h] = head;
    let mut data = vec![0; u32::from_le_bytes([e, f, g, h]) as usize];
    from.read_exact(&mut data)?;
    Ok((u32::from_le_bytes([a, b, c, d]), Answer { flag, data }))
}

/// What a thread that panicked left is whole: it is taken out before it is used.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
