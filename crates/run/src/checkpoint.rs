//! The commit protocol of checkpoints.
//!
//! 1. Write `policy.safetensors`, `trainer.safetensors`, `state.json` into an exclusive scratch folder beside, and sync each.
//! 2. Write `COMMIT.json`, the length and SHA-256 of each, and sync it and the folder.
//! 3. Rename the folder to its name (the steps, with leading zeros), and sync the parent.
//! 4. Only then retire older checkpoints; two stay.
//!
//! A run may have [`Part`]s beside: pieces of something that grows too large to be written anew each time. They are made and written one
//! at a time. What cannot change any more is written once; later checkpoints hold a hard link to the same file, so it costs neither time nor
//! space again, and it lasts as long as the last checkpoint that names it. (One damaged block on the disk can then be a block of both checkpoints.)
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
use std::io::{self, Read as _};
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

/// A piece of what is too large to be written anew with each checkpoint; stored as `NAME.safetensors`.
pub struct Part<'a> {
    /// Letters, digits, `-`. What is fixed has a name of its own: no other part of the run has it, nor had this one before it was fixed.
    pub name: String,
    /// It will never change again, so that a copy from an earlier checkpoint will do.
    pub fixed: bool,
    /// Makes it. Called only where it has to be written, and forgotten before the next one is made.
    pub make: Box<dyn Fn() -> Result<Archive> + 'a>,
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
    folder: PathBuf,
    commit: Commit,
}

impl Loaded {
    /// Reads a [`Part`]; all of them were found whole when the checkpoint was.
    pub fn part(&self, name: &str) -> Result<Archive> {
        let file = part_file(name);
        Archive::from_bytes(&read_sealed(&self.folder, &file, &self.commit)?, &self.folder.join(&file))
    }
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
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
struct Commit {
    files: BTreeMap<String, Seal>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Seal {
    length: u64,
    sha256: String,
}

impl Seal {
    fn of(bytes: &[u8]) -> Self {
        Self::new(bytes.len() as u64, Sha256::new_with_prefix(bytes))
    }

    /// Of a file, without reading it into memory at once.
    fn of_file(path: &Path) -> Result<Self> {
        let mut file = fs_err::File::open(path).map_err(|error| missing(error, path))?;
        let (mut hasher, mut length, mut buffer) = (Sha256::new(), 0, vec![0; 1 << 16]);
        loop {
            let count = file.read(&mut buffer)?;
            if count == 0 {
                return Ok(Self::new(length, hasher));
            }
            hasher.update(&buffer[..count]);
            length += count as u64;
        }
    }

    fn new(length: u64, hasher: Sha256) -> Self {
        let mut sha256 = String::with_capacity(64);
        for byte in hasher.finalize() {
            // Writing to a `String` cannot fail.
            let _ = write!(sha256, "{byte:02x}");
        }
        Self { length, sha256 }
    }
}

/// Commits a checkpoint into the folder `checkpoints` and returns its name, and warnings about older ones that could not be retired.
/// `base` names the checkpoint that this process wrote or read last: parts that are fixed are linked to its files.
pub(crate) fn commit(
    checkpoints: &Path,
    checkpoint: &Checkpoint<'_>,
    parts: &[Part<'_>],
    base: Option<&str>,
    logs: LogLengths,
) -> Result<(String, Vec<String>)> {
    let Checkpoint { steps, updates, seconds, policy, trainer } = *checkpoint;
    let state = State { format: FORMAT, steps, updates, seconds, logs };
    let files = [(POLICY, policy.to_bytes()?), (TRAINER, trainer.to_bytes()?), (STATE, json(&state)?)];
    let seals = files.iter().map(|(name, bytes)| ((*name).to_owned(), Seal::of(bytes)));
    let mut commit = Commit { files: seals.collect() };

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
        if scratch.exists() {
            disk::remove_dir_all(&scratch)?;
        }
        disk::create_dir(&scratch)?;
        for (file, bytes) in &files {
            disk::write_new(&scratch.join(file), bytes)?;
        }
        let base = base.map(|name| checkpoints.join(name));
        let base = base.and_then(|folder| read_commit(&folder).ok().map(|commit| (folder, commit)));
        for part in parts {
            let seal = write_part(&scratch, part, base.as_ref())?;
            commit.files.insert(part_file(&part.name), seal);
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
    let retired = match &replaced {
        Some(aside) if verify(aside).is_ok() => disk::remove_dir_all(aside).map_err(Error::from),
        _ => Ok(()),
    };
    let warnings = retired
        .and_then(|()| retire(checkpoints, Some(&name)))
        .err()
        .map(|error| format!("an old checkpoint stays: {error}"));
    Ok((name, warnings.into_iter().collect()))
}

fn part_file(name: &str) -> String {
    format!("{name}.safetensors")
}

/// Writes a part into the folder `scratch`, or links it to the same part of the checkpoint in `base`.
fn write_part(scratch: &Path, part: &Part<'_>, base: Option<&(PathBuf, Commit)>) -> Result<Seal> {
    if part.name.is_empty() || !part.name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
        return Err(Error::Invalid(format!("a part of a checkpoint cannot be called `{}`", part.name)));
    }
    let file = part_file(&part.name);
    let to = scratch.join(&file);
    let old =
        base.filter(|_| part.fixed).and_then(|(folder, commit)| Some((folder.join(&file), commit.files.get(&file)?)));
    if let Some((from, seal)) = old
        && fs_err::metadata(&from).is_ok_and(|metadata| metadata.len() == seal.length)
    {
        use io::ErrorKind::{CrossesDevices, PermissionDenied, TooManyLinks, Unsupported};
        match disk::link(&from, &to) {
            Ok(()) => return Ok(seal.clone()),
            // A file system without hard links: every checkpoint writes its own.
            Err(error) if [CrossesDevices, PermissionDenied, TooManyLinks, Unsupported].contains(&error.kind()) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let bytes = (part.make)()?.to_bytes()?;
    disk::write_new(&to, &bytes)?;
    Ok(Seal::of(&bytes))
}

/// Removes whole checkpoints but the youngest [`KEEP`]. `newest` has just been written and need not be read again.
fn retire(checkpoints: &Path, newest: Option<&str>) -> Result<()> {
    let mut kept = 0;
    for name in names(checkpoints)? {
        let folder = checkpoints.join(&name);
        if newest != Some(&name) && verify(&folder).is_err() {
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
    retire(checkpoints, None)
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
    for file in commit.parts() {
        check_length(folder, file, &commit)?;
        if Seal::of_file(&folder.join(file))? != commit.files[file] {
            return Err(other_bytes(&folder.join(file)));
        }
    }
    Ok(Loaded {
        steps: state.steps,
        updates: state.updates,
        seconds: state.seconds,
        policy,
        trainer,
        name: String::new(),
        warnings: Vec::new(),
        logs: state.logs,
        folder: folder.to_owned(),
        commit,
    })
}

/// The `COMMIT.json` of a folder in which every file is as it says; of parts, which may be large, only the lengths are looked at.
fn verify(folder: &Path) -> Result<Commit> {
    let commit = read_commit(folder)?;
    for file in [POLICY, TRAINER, STATE] {
        read_sealed(folder, file, &commit)?;
    }
    for file in commit.parts() {
        check_length(folder, file, &commit)?;
    }
    Ok(commit)
}

impl Commit {
    /// Files that not every checkpoint has.
    fn parts(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str).filter(|file| ![POLICY, TRAINER, STATE].contains(file))
    }
}

fn read_commit(folder: &Path) -> Result<Commit> {
    let path = folder.join(COMMIT);
    parse(&read(&path)?, &path)
}

/// Reads a file if it has the length and hash that were committed. The length is looked at before anything is read.
fn read_sealed(folder: &Path, file: &str, commit: &Commit) -> Result<Vec<u8>> {
    let seal = check_length(folder, file, commit)?;
    let path = folder.join(file);
    let bytes = read(&path)?;
    if Seal::of(&bytes) != *seal {
        return Err(other_bytes(&path));
    }
    Ok(bytes)
}

/// What was committed of a file that is as long as it was then.
fn check_length<'a>(folder: &Path, file: &str, commit: &'a Commit) -> Result<&'a Seal> {
    let path = folder.join(file);
    let damaged = |reason: String| Error::Damaged { path: path.clone(), reason };
    let seal = commit.files.get(file).ok_or_else(|| damaged(format!("not named in {COMMIT}")))?;
    let length = fs_err::metadata(&path).map_err(|error| missing(error, &path))?.len();
    if length != seal.length {
        return Err(damaged(format!("{length} bytes long, {} were committed", seal.length)));
    }
    Ok(seal)
}

fn other_bytes(path: &Path) -> Error {
    let reason = "its bytes are not those that were committed (other SHA-256)".to_owned();
    Error::Damaged { path: path.to_owned(), reason }
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

#[cfg(test)]
mod tests {
    use super::{COMMIT, Checkpoint, LogLengths, POLICY, Part, STATE, TRAINER, commit, folder_in, latest, tidy};
    use crate::disk::fault::{Fault, with};
    use crate::{Archive, Error, Loaded, Result};
    use std::path::{Path, PathBuf};
    use tempfile::TempDir;

    /// What a run would store after `steps`.
    fn archives(steps: u64) -> (Archive, Archive) {
        let (mut policy, mut trainer) = (Archive::new(), Archive::new());
        policy.put_f32("weight", &[3], &[steps as f32, 0.5, -1.0]).unwrap();
        trainer.put_u64("position", &[1], &[steps]).unwrap();
        (policy, trainer)
    }

    fn save(run: &Path, steps: u64) -> Result<(String, Vec<String>)> {
        let (policy, trainer) = archives(steps);
        let checkpoint = Checkpoint { steps, updates: steps / 10, seconds: 0.25, policy: &policy, trainer: &trainer };
        commit(&folder_in(run), &checkpoint, &[], None, LogLengths { metrics: steps, events: 2 * steps })
    }

    /// As [`save`], with a part that never changes and one that does; the fixed one is linked to that of `base`.
    fn save_with_parts(run: &Path, steps: u64, base: Option<&str>) -> Result<(String, Vec<String>)> {
        let (policy, trainer) = archives(steps);
        let checkpoint = Checkpoint { steps, updates: steps / 10, seconds: 0.25, policy: &policy, trainer: &trainer };
        let part = |name: &str, fixed: bool, value: u64| Part {
            name: name.to_owned(),
            fixed,
            make: Box::new(move || {
                let mut archive = Archive::new();
                archive.put_u64("rows", &[1], &[value])?;
                Ok(archive)
            }),
        };
        let parts = [part("rows-0", true, 7), part("rows-1", false, steps)];
        commit(&folder_in(run), &checkpoint, &parts, base, LogLengths { metrics: steps, events: 2 * steps })
    }

    fn assert_parts(loaded: &Loaded) {
        for (name, value) in [("rows-0", 7), ("rows-1", loaded.steps)] {
            assert_eq!(loaded.part(name).unwrap().u64("rows", &[1]).unwrap(), [value], "{name}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_fixed_part_is_one_file_of_many_checkpoints() {
        use std::os::unix::fs::MetadataExt as _;
        let run = run_with(&[]);
        save_with_parts(run.path(), 10, None).unwrap();
        save_with_parts(run.path(), 20, Some("0000010")).unwrap();
        let id = |name: &str, part: &str| fs_err::metadata(file(&run, name, part)).unwrap().ino();
        assert_eq!(id("0000010", "rows-0.safetensors"), id("0000020", "rows-0.safetensors"));
        assert_ne!(id("0000010", "rows-1.safetensors"), id("0000020", "rows-1.safetensors"));
        // It outlives the checkpoint that it was written for.
        save_with_parts(run.path(), 30, Some("0000020")).unwrap();
        assert_eq!(entries(run.path()), ["0000020", "0000030"]);
        let loaded = latest(run.path()).unwrap().unwrap();
        assert_whole(&loaded);
        assert_parts(&loaded);
        // A checkpoint that is not there, or lacks the part, is no base.
        for base in ["0000010", "nonsense"] {
            save_with_parts(run.path(), 40, Some(base)).unwrap();
            assert_parts(&latest(run.path()).unwrap().unwrap());
        }
    }

    #[test]
    fn a_damaged_part_is_a_damaged_checkpoint() {
        let damages: [fn(&Path); 3] = [
            |path| fs_err::remove_file(path).unwrap(),
            |path| fs_err::write(path, &fs_err::read(path).unwrap()[1..]).unwrap(),
            |path| {
                let mut bytes = fs_err::read(path).unwrap();
                *bytes.last_mut().unwrap() ^= 1;
                fs_err::write(path, bytes).unwrap();
            },
        ];
        for (damage, words) in damages.into_iter().zip(["missing", "bytes long", "other SHA-256"]) {
            let run = run_with(&[]);
            for steps in [10, 20] {
                save_with_parts(run.path(), steps, None).unwrap();
            }
            damage(&file(&run, "0000020", "rows-0.safetensors"));
            let loaded = latest(run.path()).unwrap().unwrap();
            assert_eq!(loaded.steps, 10);
            assert_parts(&loaded);
            let warning = &loaded.warnings[0];
            assert!(warning.contains("rows-0.safetensors: ") && warning.contains(words), "{warning}");
        }
    }

    #[test]
    fn a_crash_or_a_full_disk_at_any_point_leaves_all_parts_whole() {
        for fault in [Fault::Full, Fault::StaysFull, Fault::Kill, Fault::PowerCut] {
            for at in 0.. {
                let run = run_with(&[]);
                save_with_parts(run.path(), 10, None).unwrap();
                save_with_parts(run.path(), 20, Some("0000010")).unwrap();
                let (result, struck) = with(fault, at, || save_with_parts(run.path(), 30, Some("0000020")));
                let loaded = latest(run.path()).unwrap().unwrap();
                assert_whole(&loaded);
                assert_parts(&loaded);
                assert!(
                    loaded.steps == 30 || loaded.steps == 20 && result.is_err(),
                    "{fault:?} {at}: {}",
                    loaded.steps
                );
                tidy(&folder_in(run.path())).unwrap();
                let name = loaded.name.clone();
                save_with_parts(run.path(), 40, Some(&name)).unwrap();
                assert_parts(&latest(run.path()).unwrap().unwrap());
                assert_eq!(entries(run.path()).len(), 2, "{fault:?} {at}");
                if !struck {
                    break;
                }
            }
        }
    }

    /// A run with these checkpoints committed one after another.
    fn run_with(steps: &[u64]) -> TempDir {
        let run = tempfile::tempdir().unwrap();
        fs_err::create_dir(folder_in(run.path())).unwrap();
        for &steps in steps {
            assert_eq!(save(run.path(), steps).unwrap(), (format!("{steps:07}"), vec![]));
        }
        run
    }

    fn file(run: &TempDir, name: &str, file: &str) -> PathBuf {
        folder_in(run.path()).join(name).join(file)
    }

    fn entries(run: &Path) -> Vec<String> {
        let names = fs_err::read_dir(folder_in(run)).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap());
        let mut names: Vec<String> = names.collect();
        names.sort();
        names
    }

    /// Asserts that it is exactly what [`save`] stored.
    fn assert_whole(loaded: &Loaded) {
        let (policy, trainer) = archives(loaded.steps);
        assert_eq!((&loaded.policy, &loaded.trainer), (&policy, &trainer));
        assert_eq!((loaded.updates, loaded.seconds), (loaded.steps / 10, 0.25));
        assert_eq!(loaded.logs, LogLengths { metrics: loaded.steps, events: 2 * loaded.steps });
    }

    #[test]
    fn the_newest_loads_and_two_stay() {
        let run = run_with(&[]);
        assert!(latest(run.path()).unwrap().is_none());
        // More digits than the name pads to: numbers count, not their spelling.
        for (i, steps) in [10, 20, 9_999_999, 10_000_000, 123_456_789_012].into_iter().enumerate() {
            save(run.path(), steps).unwrap();
            let loaded = latest(run.path()).unwrap().unwrap();
            assert_whole(&loaded);
            assert_eq!((loaded.steps, loaded.name), (steps, format!("{steps:07}")));
            assert_eq!(entries(run.path()).len(), (i + 1).min(2));
        }
        assert_eq!(entries(run.path()), ["10000000", "123456789012"]);
    }

    #[test]
    fn equal_training_has_equal_bytes() {
        let (a, b) = (run_with(&[10]), run_with(&[10]));
        for name in [POLICY, TRAINER] {
            assert_eq!(
                fs_err::read(file(&a, "0000010", name)).unwrap(),
                fs_err::read(file(&b, "0000010", name)).unwrap()
            );
        }
    }

    #[test]
    fn damage_falls_back_and_says_so() {
        type Damage = fn(&Path);
        let flip: Damage = |path| {
            let mut bytes = fs_err::read(path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs_err::write(path, bytes).unwrap();
        };
        let cut: Damage = |path| {
            let bytes = fs_err::read(path).unwrap();
            fs_err::write(path, &bytes[..bytes.len() - 2]).unwrap();
        };
        let empty: Damage = |path| fs_err::write(path, "").unwrap();
        let remove: Damage = |path| fs_err::remove_file(path).unwrap();
        let bomb: Damage = |path| fs_err::write(path, "[".repeat(1_000_000)).unwrap();
        for name in [POLICY, TRAINER, STATE, COMMIT] {
            for (damage, words) in [(flip, ""), (cut, ""), (empty, ""), (remove, "missing"), (bomb, "")] {
                let run = run_with(&[10, 20]);
                damage(&file(&run, "0000020", name));
                let loaded = latest(run.path()).unwrap().unwrap();
                assert_eq!(loaded.steps, 10);
                assert_whole(&loaded);
                let [warning] = loaded.warnings.as_slice() else { panic!("{:?}", loaded.warnings) };
                assert!(warning.starts_with("checkpoint 0000020 is damaged: "), "{warning}");
                // What a flipped hash in COMMIT.json is about is the file that it belongs to.
                let named = warning.contains(name) || name == COMMIT && warning.contains("other SHA-256");
                assert!(named && warning.contains(words), "{warning}");
                assert!(warning.ends_with("; using checkpoint 0000010 instead"), "{warning}");
            }
        }
    }

    #[test]
    fn every_flipped_byte_is_noticed_or_harmless() {
        let run = run_with(&[10, 20]);
        for name in [POLICY, TRAINER, STATE, COMMIT] {
            let path = file(&run, "0000020", name);
            let good = fs_err::read(&path).unwrap();
            for place in 0..good.len() {
                let mut bytes = good.clone();
                bytes[place] ^= 1 << (place % 8);
                fs_err::write(&path, &bytes).unwrap();
                let loaded = latest(run.path()).unwrap().unwrap();
                assert_whole(&loaded);
                // Only white space of COMMIT.json itself may change without a trace.
                assert!(
                    loaded.steps == 10 || name == COMMIT && good[place].is_ascii_whitespace(),
                    "{name}, byte {place}"
                );
            }
            fs_err::write(&path, &good).unwrap();
        }
    }

    #[test]
    fn nothing_whole_is_an_error_that_names_each() {
        let run = run_with(&[10, 20]);
        fs_err::remove_file(file(&run, "0000010", COMMIT)).unwrap();
        fs_err::remove_file(file(&run, "0000020", TRAINER)).unwrap();
        let error = latest(run.path()).unwrap_err();
        let Error::NoCheckpoint { damage, .. } = &error else { panic!("{error}") };
        assert!(damage[0].contains("0000020/trainer.safetensors: missing"), "{damage:?}");
        assert!(damage[1].contains("0000010/COMMIT.json: missing"), "{damage:?}");
    }

    #[test]
    fn a_newer_format_is_not_passed_over() {
        let run = run_with(&[10, 20]);
        let (state, seal) = (file(&run, "0000020", STATE), file(&run, "0000020", COMMIT));
        let text = fs_err::read_to_string(&state).unwrap().replace("\"format\": 1", "\"format\": 7");
        fs_err::write(&state, &text).unwrap();
        let mut commit: super::Commit = serde_json::from_slice(&fs_err::read(&seal).unwrap()).unwrap();
        commit.files.insert(STATE.into(), super::Seal::of(text.as_bytes()));
        fs_err::write(&seal, serde_json::to_vec(&commit).unwrap()).unwrap();
        let error = latest(run.path()).unwrap_err();
        assert!(matches!(error, Error::NewerFormat { found: 7, known: 1, .. }), "{error}");
        // A flipped byte that only looks like a newer format is damage like any other.
        fs_err::write(&state, text.replace('7', "8")).unwrap();
        assert_eq!(latest(run.path()).unwrap().unwrap().steps, 10);
    }

    #[test]
    fn what_is_not_a_whole_checkpoint_is_never_deleted() {
        let run = run_with(&[10, 20]);
        let folder = folder_in(run.path());
        fs_err::create_dir(folder.join("0000005")).unwrap();
        fs_err::write(folder.join("0000005/thesis.tex"), "mine").unwrap();
        fs_err::create_dir(folder.join("best")).unwrap();
        fs_err::write(file(&run, "0000020", TRAINER), "damaged").unwrap();
        save(run.path(), 30).unwrap();
        // Of the three newest one is damaged: it does not count as one of the two that stay.
        assert_eq!(entries(run.path()), ["0000005", "0000010", "0000020", "0000030", "best"]);
        save(run.path(), 40).unwrap();
        tidy(&folder).unwrap();
        assert_eq!(entries(run.path()), ["0000005", "0000020", "0000030", "0000040", "best"]);
        assert_eq!(fs_err::read(folder.join("0000005/thesis.tex")).unwrap(), b"mine");
    }

    #[test]
    fn a_damaged_checkpoint_makes_room_for_its_successor() {
        let run = run_with(&[10, 20]);
        fs_err::write(file(&run, "0000020", POLICY), "damaged").unwrap();
        save(run.path(), 20).unwrap();
        assert_eq!(entries(run.path()), ["0000010", "0000020", "damaged-0000020-1"]);
        let loaded = latest(run.path()).unwrap().unwrap();
        assert_eq!((loaded.steps, loaded.warnings.len()), (20, 0));
        // The same again changes nothing; something else under the same name takes its place.
        let before = fs_err::metadata(file(&run, "0000020", COMMIT)).unwrap().modified().unwrap();
        save(run.path(), 20).unwrap();
        assert_eq!(fs_err::metadata(file(&run, "0000020", COMMIT)).unwrap().modified().unwrap(), before);
        let (policy, trainer) = archives(77);
        let other = Checkpoint { steps: 20, updates: 2, seconds: 0.0, policy: &policy, trainer: &trainer };
        commit(&folder_in(run.path()), &other, &[], None, LogLengths::default()).unwrap();
        assert_eq!(latest(run.path()).unwrap().unwrap().policy, policy);
        assert_eq!(entries(run.path()), ["0000010", "0000020", "damaged-0000020-1"]);
    }

    /// Commits 30 after 10 and 20 with a fault at every operation in turn.
    fn at_every_operation(fault: Fault, check: impl Fn(usize, &TempDir, Result<(String, Vec<String>)>)) {
        for at in 0.. {
            let run = run_with(&[10, 20]);
            let (result, struck) = with(fault, at, || save(run.path(), 30));
            if !struck {
                // The scratch folder, four files in three operations each, two folder syncs, renaming, retiring.
                assert!(at >= 18, "only {at} operations: the commit no longer does what it says");
                return;
            }
            check(at, &run, result);
        }
    }

    #[test]
    fn a_full_disk_at_any_write_loses_nothing() {
        for fault in [Fault::Full, Fault::StaysFull] {
            at_every_operation(fault, |at, run, result| {
                let loaded = latest(run.path()).unwrap().unwrap();
                assert_whole(&loaded);
                assert!(loaded.warnings.is_empty(), "{at}: {:?}", loaded.warnings);
                match result {
                    Err(error) => {
                        assert_eq!(error.kind(), "disk_full");
                        assert!(error.to_string().contains("checkpoints"), "{error}");
                        assert!(error.hint().unwrap().contains("tony resume"));
                    }
                    Ok((_, warnings)) => {
                        // Only retiring may fail without failing the commit.
                        assert_eq!(loaded.steps, 30, "{at}");
                        assert!(warnings.iter().all(|w| w.starts_with("an old checkpoint stays: ")), "{warnings:?}");
                    }
                }
                assert!(
                    !entries(run.path()).iter().any(|name| name.starts_with(".scratch")),
                    "scratch stays after {at}"
                );
                // With room again, all goes on.
                tidy(&folder_in(run.path())).unwrap();
                save(run.path(), 40).unwrap();
                assert_eq!(latest(run.path()).unwrap().unwrap().steps, 40);
                assert_eq!(entries(run.path()).len(), 2, "{at}");
            });
        }
    }

    #[test]
    fn a_crash_at_any_point_leaves_the_old_or_the_new_one() {
        for fault in [Fault::Kill, Fault::PowerCut] {
            at_every_operation(fault, |at, run, result| {
                for _ in 0..2 {
                    let loaded = latest(run.path()).unwrap().unwrap();
                    assert_whole(&loaded);
                    assert!(loaded.warnings.is_empty(), "{at}: {:?}", loaded.warnings);
                    assert!(loaded.steps == 30 || loaded.steps == 20 && result.is_err(), "{at}: {}", loaded.steps);
                    // The next owner clears up, and nothing changes.
                    tidy(&folder_in(run.path())).unwrap();
                }
                assert!(entries(run.path()).iter().all(|name| !name.starts_with('.')), "{at}");
                save(run.path(), 40).unwrap();
                assert_eq!(latest(run.path()).unwrap().unwrap().steps, 40);
                assert_eq!(entries(run.path()).len(), 2, "{at}");
            });
        }
    }

    #[test]
    fn a_crash_while_replacing_the_only_checkpoint_keeps_it() {
        let (policy, trainer) = archives(77);
        let other = Checkpoint { steps: 20, updates: 2, seconds: 0.25, policy: &policy, trainer: &trainer };
        for at in 0.. {
            let run = run_with(&[20]);
            let (_, struck) = with(Fault::Kill, at, || {
                commit(&folder_in(run.path()), &other, &[], None, LogLengths { metrics: 20, events: 40 })
            });
            tidy(&folder_in(run.path())).unwrap();
            let loaded = latest(run.path()).unwrap().unwrap();
            assert!(loaded.warnings.is_empty() && (loaded.policy == policy || loaded.policy == archives(20).0), "{at}");
            assert_eq!(entries(run.path()), ["0000020"], "{at}");
            if !struck {
                assert_eq!(loaded.policy, policy);
                return;
            }
        }
    }
}
