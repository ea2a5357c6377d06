//! The commit protocol of checkpoints.
//!
//! 1. Write `policy.safetensors`, `trainer.safetensors`, `state.json` into an exclusive scratch folder beside, and sync each.
//! 2. Write `COMMIT.json`, the length and SHA-256 of each, and sync it and the folder.
//! 3. Rename the folder to its name (the steps, with leading zeros), and sync the parent.
//! 4. Only then retire older checkpoints; two stay.
//!
//! A crash at any point leaves either the old newest checkpoint or the new one. Loading takes the newest whose `COMMIT.json`
//! verifies and says what was wrong with newer ones. Nothing that does not verify as a checkpoint is ever deleted.
//!
//! The layout of `COMMIT.json` is fixed for ever; the format number is in `state.json`, which it protects.

use crate::{Archive, Error, Result, disk};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

/// Format number of `state.json`.
const FORMAT: u64 = 1;
/// Checkpoints that stay.
const KEEP: usize = 2;

const POLICY: &str = "policy.safetensors";
const TRAINER: &str = "trainer.safetensors";
const STATE: &str = "state.json";
const COMMIT: &str = "COMMIT.json";

/// Beginnings of the names of folders that are being written and removed.
const SCRATCH: &str = ".scratch-";
const RETIRED: &str = ".retired-";

/// What is needed to go on.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// Environment steps taken so far.
    pub steps: u64,
    /// Updates done so far.
    pub updates: u64,
    /// Seconds of work so far, over all processes that worked on the run.
    pub seconds: f64,
    /// The policy, ready to act.
    pub policy: &'a Archive,
    /// Everything else that the next update depends on. No clock may enter here: equal training gives equal bytes.
    pub trainer: &'a Archive,
}

/// A checkpoint that was read back.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Environment steps taken so far.
    pub steps: u64,
    /// Updates done so far.
    pub updates: u64,
    /// Seconds of work so far.
    pub seconds: f64,
    /// The policy, ready to act.
    pub policy: Archive,
    /// Everything else that the next update depends on.
    pub trainer: Archive,
    /// Name of the checkpoint's folder, for example `0001200`.
    pub name: String,
    /// What was wrong with newer checkpoints, one line each.
    pub warnings: Vec<String>,
    /// Lengths of the logs at that time.
    pub(crate) logs: LogLengths,
}

/// Lengths of the logs in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogLengths {
    /// Of `metrics.jsonl`.
    pub metrics: u64,
    /// Of the TensorBoard file.
    pub events: u64,
}

/// `state.json`.
#[derive(Debug, Serialize, Deserialize)]
struct State {
    format: u64,
    steps: u64,
    updates: u64,
    seconds: f64,
    logs: LogLengths,
}

/// `COMMIT.json`: each file's name, length and hash.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Commit {
    files: BTreeMap<String, Seal>,
}

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Seal {
    length: u64,
    sha256: String,
}

impl Seal {
    fn of(bytes: &[u8]) -> Self {
        let mut sha256 = String::with_capacity(64);
        for byte in Sha256::digest(bytes) {
            // Writing to a `String` cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Self { length: bytes.len() as u64, sha256 }
    }
}

/// Commits a checkpoint into the folder `checkpoints` and returns its name, and warnings about older ones that could not be retired.
pub(crate) fn commit(
    checkpoints: &Path,
    checkpoint: &Checkpoint<'_>,
    logs: LogLengths,
) -> Result<(String, Vec<String>)> {
    let Checkpoint { steps, updates, seconds, policy, trainer } = *checkpoint;
    let state = State { format: FORMAT, steps, updates, seconds, logs };
    let files = [(POLICY, policy.to_bytes()?), (TRAINER, trainer.to_bytes()?), (STATE, json(&state)?)];
    let seals = files.iter().map(|(name, bytes)| ((*name).to_owned(), Seal::of(bytes)));
    let commit = Commit { files: seals.collect() };

    let name = format!("{steps:07}");
    let target = checkpoints.join(&name);
    let replaced = match verify(&target) {
        // Stopping again without a new update has nothing to add.
        Ok(old) if [POLICY, TRAINER].iter().all(|&file| old.files.get(file) == commit.files.get(file)) => {
            return Ok((name, Vec::new()));
        }
        Ok(_) => Some(checkpoints.join(format!("{RETIRED}{name}"))),
        Err(_) if target.exists() => Some(free_name(checkpoints, &name)),
        Err(_) => None,
    };

    let scratch = checkpoints.join(format!("{SCRATCH}{name}"));
    let written = (|| -> Result<()> {
        disk::create_dir(&scratch)?;
        for (file, bytes) in &files {
            disk::write_new(&scratch.join(file), bytes)?;
        }
        disk::write_new(&scratch.join(COMMIT), &json(&commit)?)?;
        disk::sync_dir(&scratch)?;
        if let Some(aside) = &replaced {
            disk::rename(&target, aside)?;
        }
        disk::rename(&scratch, &target)?;
        Ok(disk::sync_dir(checkpoints)?)
    })();
    if let Err(error) = written {
        // The first error is the one that matters. What cannot be removed now goes when the run is opened again.
        let _ = disk::remove_dir_all(&scratch);
        return Err(error);
    }
    let warnings = retire(checkpoints, &name).err().map(|error| format!("an old checkpoint stays: {error}"));
    Ok((name, warnings.into_iter().collect()))
}

/// Removes whole checkpoints but `newest` and the youngest `KEEP - 1` others.
fn retire(checkpoints: &Path, newest: &str) -> Result<()> {
    let aside = checkpoints.join(format!("{RETIRED}{newest}"));
    if aside.exists() {
        disk::remove_dir_all(&aside)?;
    }
    let mut kept = 1;
    for name in names(checkpoints)?.iter().filter(|name| *name != newest) {
        let folder = checkpoints.join(name);
        if verify(&folder).is_err() {
            continue;
        }
        if kept < KEEP {
            kept += 1;
            continue;
        }
        // Half a checkpoint must not look like a damaged one.
        let retired = checkpoints.join(format!("{RETIRED}{name}"));
        disk::rename(&folder, &retired)?;
        disk::remove_dir_all(&retired)?;
    }
    Ok(())
}

/// Clears up what a crash left behind; only the owner of the run's lock may.
pub(crate) fn tidy(checkpoints: &Path) -> Result<()> {
    fs_err::create_dir_all(checkpoints)?;
    for entry in fs_err::read_dir(checkpoints)? {
        let entry = entry?;
        let file_name = entry.file_name();
        let Some(file_name) = file_name.to_str() else { continue };
        if let Some(name) = file_name.strip_prefix(RETIRED)
            && !checkpoints.join(name).exists()
            && verify(&entry.path()).is_ok()
        {
            // It was about to be replaced, and what was to replace it never came.
            disk::rename(&entry.path(), &checkpoints.join(name))?;
        } else if file_name.starts_with(SCRATCH) || file_name.starts_with(RETIRED) {
            disk::remove_dir_all(&entry.path())?;
        }
    }
    Ok(())
}

/// The newest whole checkpoint of the run folder `run`; nothing where none was ever committed.
pub(crate) fn latest(run: &Path) -> Result<Option<Loaded>> {
    let checkpoints = folder_in(run);
    let mut damage = Vec::new();
    for name in names(&checkpoints)? {
        match load(&checkpoints.join(&name)) {
            Ok(loaded) => {
                let instead = |warning: String| format!("{warning}; using checkpoint {name} instead");
                let warnings = damage.into_iter().map(instead).collect();
                return Ok(Some(Loaded { name, warnings, ..loaded }));
            }
            // An older checkpoint would lose what a newer version did, silently.
            Err(error @ Error::NewerFormat { .. }) => return Err(error),
            Err(error) => damage.push(format!("checkpoint {name} is damaged: {error}")),
        }
    }
    if damage.is_empty() { Ok(None) } else { Err(Error::NoCheckpoint { path: run.to_owned(), damage }) }
}

fn load(folder: &Path) -> Result<Loaded> {
    let commit = read_commit(folder)?;
    let path = folder.join(STATE);
    let state = read_sealed(folder, STATE, &commit)?;
    // A newer format may have other fields.
    let format = serde_json::from_slice::<serde_json::Value>(&state).ok().and_then(|state| state["format"].as_u64());
    if let Some(found) = format.filter(|&format| format > FORMAT) {
        return Err(Error::NewerFormat { path, found, known: FORMAT });
    }
    let state: State = parse(&state, &path)?;
    let policy = Archive::from_bytes(&read_sealed(folder, POLICY, &commit)?, &folder.join(POLICY))?;
    let trainer = Archive::from_bytes(&read_sealed(folder, TRAINER, &commit)?, &folder.join(TRAINER))?;
    Ok(Loaded {
        steps: state.steps,
        updates: state.updates,
        seconds: state.seconds,
        policy,
        trainer,
        name: String::new(),
        warnings: Vec::new(),
        logs: state.logs,
    })
}

/// The `COMMIT.json` of a folder in which every file is as it says.
fn verify(folder: &Path) -> Result<Commit> {
    let commit = read_commit(folder)?;
    for file in [POLICY, TRAINER, STATE] {
        read_sealed(folder, file, &commit)?;
    }
    Ok(commit)
}

fn read_commit(folder: &Path) -> Result<Commit> {
    let path = folder.join(COMMIT);
    parse(&read(&path)?, &path)
}

/// Reads a file if it has the length and hash that were committed. The length is looked at before anything is read.
fn read_sealed(folder: &Path, file: &str, commit: &Commit) -> Result<Vec<u8>> {
    let path = folder.join(file);
    let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
    let seal = commit.files.get(file).ok_or_else(|| damaged(format!("not named in {COMMIT}")))?;
    let length = fs_err::metadata(&path).map_err(|error| missing(error, &path))?.len();
    if length != seal.length {
        return Err(damaged(format!("{length} bytes long, {} were committed", seal.length)));
    }
    let bytes = read(&path)?;
    if Seal::of(&bytes) != *seal {
        return Err(damaged("its bytes are not those that were committed (other SHA-256)".into()));
    }
    Ok(bytes)
}

fn read(path: &Path) -> Result<Vec<u8>> {
    fs_err::read(path).map_err(|error| missing(error, path))
}

fn missing(error: io::Error, path: &Path) -> Error {
    match error.kind() {
        io::ErrorKind::NotFound => Error::Damaged { path: path.to_owned(), reason: "missing".into() },
        _ => error.into(),
    }
}

fn parse<T: for<'a> Deserialize<'a>>(bytes: &[u8], path: &Path) -> Result<T> {
    serde_json::from_slice(bytes).map_err(|error| Error::Damaged { path: path.to_owned(), reason: error.to_string() })
}

fn json(value: &impl Serialize) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|error| Error::Invalid(format!("the checkpoint's state cannot be stored: {error}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// Names of the checkpoints, newest first.
fn names(checkpoints: &Path) -> Result<Vec<String>> {
    if !checkpoints.exists() {
        return Ok(Vec::new());
    }
    let mut found = Vec::new();
    for entry in fs_err::read_dir(checkpoints)? {
        let name = entry?.file_name();
        let number = name.to_str().filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()));
        if let Some((name, steps)) = number.and_then(|name| Some((name.to_owned(), name.parse::<u64>().ok()?))) {
            found.push((steps, name));
        }
    }
    found.sort_unstable();
    Ok(found.into_iter().rev().map(|(_, name)| name).collect())
}

/// A name under which a damaged checkpoint is out of the way.
fn free_name(checkpoints: &Path, name: &str) -> PathBuf {
    let candidates = (1_u64..).map(|number| checkpoints.join(format!("damaged-{name}-{number}")));
    // There is no end of numbers, so the default is never needed.
    candidates.into_iter().find(|path| !path.exists()).unwrap_or_default()
}

pub(crate) fn folder_in(run: &Path) -> PathBuf {
    run.join("checkpoints")
}
