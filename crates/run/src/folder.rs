use crate::checkpoint::{self, LogLengths};
use crate::{Checkpoint, Error, Loaded, Manifest, Metrics, Part, Plan, Result, disk, events};
use fs_err::File;
use serde::{Deserialize, Serialize};
use std::fs::TryLockError;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};
use std::{mem, process, thread};

const PLAN: &str = "plan.toml";
const MANIFEST: &str = "manifest.json";
const METRICS: &str = "metrics.jsonl";
const EXIT: &str = "exit.json";
const EPISODES: &str = "episodes";
const SAMPLES: &str = "samples";
const OPTIONS: &str = "options.json";
const LOCK: &str = ".lock";

/// Beginning of the name of a run folder that is being made.
const SCRATCH: &str = ".new-";
/// How long to wait for a lock: a process that has just died, or one that only looks, lets go within this time.
const LOCK_PATIENCE: Duration = Duration::from_millis(300);
/// Unwritten log lines that are kept in memory while the disk is full.
const MAX_PENDING: usize = 1 << 20;
/// As much of the end of `metrics.jsonl` as `list_runs` reads: some hundred updates.
const TAIL: u64 = 1 << 16;

/// How a run ended. Stored as `exit.json`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Exit {
    /// Exit code of the process: 0 done, 1 failed, 75 stopped and resumable, 130 interrupted.
    pub code: i32,
    /// In words.
    pub reason: String,
    /// Environment steps taken.
    pub steps: u64,
    /// Updates done.
    pub updates: u64,
    /// Seconds of work, over all processes that worked on the run.
    pub seconds: f64,
    /// What to type to go on, where there is something to go on from.
    pub resume: Option<String>,
}

/// What a run is doing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RunState {
    /// A process is working on it.
    Running,
    /// It reached its end.
    Finished,
    /// It was stopped and can go on.
    Stopped,
    /// It failed, or its process vanished.
    Crashed,
    /// Its plan or manifest cannot be read.
    Damaged,
}

/// One line of `tony list runs`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// Name of the folder.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// Algorithm; empty where the run is damaged.
    pub algorithm: String,
    /// Environment; empty where the run is damaged.
    pub env: String,
    /// Environment steps of the last update.
    pub steps: u64,
    /// Return of the last update in which an episode ended.
    #[serde(rename = "return")]
    pub last_return: Option<f64>,
    /// Cost of the last update in which an episode ended.
    #[serde(rename = "cost")]
    pub last_cost: Option<f64>,
    /// What it is doing.
    pub state: RunState,
}

/// A run to read: any number of processes may, also while it is running. [`RunFolder`] is the one that may go on with it.
#[derive(Clone, Debug)]
pub struct RunView {
    dir: PathBuf,
    plan: Plan,
    manifest: Manifest,
}

/// Where answers of a language model in training go: `samples/UPDATE.jsonl`. A run that goes on from an earlier update writes the same again.
#[derive(Clone, Debug)]
pub struct Samples {
    folder: PathBuf,
}

impl Samples {
    /// Those of a run.
    pub fn of(run: &RunFolder) -> Self {
        Self { folder: run.dir().join(SAMPLES) }
    }

    /// Keep a list of answers, told with the line `metrics` of the records: one object a line.
    pub fn write(&self, metrics: &Metrics, answers: &serde_json::Value) -> Result<()> {
        fs_err::create_dir_all(&self.folder)?;
        let update = metrics.get("updates").unwrap_or_default();
        let answers = answers.as_array().into_iter().flatten();
        let lines = answers.fold(String::new(), |lines, answer| lines + &answer.to_string() + "\n");
        Ok(disk::replace(&self.folder.join(format!("{update:010}.jsonl")), lines.as_bytes())?)
    }
}

impl RunView {
    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Last part of the folder's path.
    pub fn name(&self) -> String {
        name_of(&self.dir)
    }

    /// What the run was asked to do, as read from `plan.toml`; [`Plan::check`] it against the present settings.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What ran.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The newest checkpoint that is whole, with warnings where newer ones are not; nothing where none was ever committed.
    pub fn latest(&self) -> Result<Option<Loaded>> {
        checkpoint::latest(&self.dir)
    }

    /// Every line of `metrics.jsonl`. A last line that is not whole, because the process died in it, is left out.
    pub fn metrics(&self) -> Result<Vec<Metrics>> {
        let path = self.dir.join(METRICS);
        let text = fs_err::read_to_string(&path)?;
        let whole = text.rfind('\n').map_or("", |end| &text[..end]);
        let broken =
            |line: usize| Error::Damaged { path: path.clone(), reason: format!("line {line} is not a record") };
        whole.lines().enumerate().map(|(i, line)| Metrics::from_json(line).ok_or_else(|| broken(i + 1))).collect()
    }

    /// How it ended, where it did.
    pub fn exit(&self) -> Result<Option<Exit>> {
        let path = self.dir.join(EXIT);
        let text = match fs_err::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            text => text?,
        };
        let exit = serde_json::from_str(&text);
        exit.map(Some).map_err(|error| Error::Damaged { path, reason: error.to_string() })
    }

    /// What it is doing.
    pub fn state(&self) -> Result<RunState> {
        if is_locked(&self.dir)? {
            return Ok(RunState::Running);
        }
        Ok(match self.exit()?.map(|exit| exit.code) {
            Some(0) => RunState::Finished,
            Some(75 | 130) => RunState::Stopped,
            _ => RunState::Crashed,
        })
    }

    /// Replaces `report.html` at once and returns its path.
    pub fn write_report(&self, html: &str) -> Result<PathBuf> {
        let path = self.dir.join("report.html");
        disk::replace(&path, html.as_bytes())?;
        Ok(path)
    }

    /// Replaces `options.json`, what each option of the newest policy does, at once and returns its path.
    pub fn write_options(&self, json: &str) -> Result<PathBuf> {
        let path = self.dir.join(OPTIONS);
        disk::replace(&path, json.as_bytes())?;
        Ok(path)
    }

    /// The files of answers that a language model gave in training, as [`Samples`] wrote them, by the names of their updates, sorted.
    pub fn samples(&self) -> Result<Vec<(String, PathBuf)>> {
        list(&self.dir.join(SAMPLES), ".jsonl")
    }

    /// The text of `options.json`; none where the run found no options.
    pub fn options(&self) -> Result<Option<String>> {
        match fs_err::read_to_string(self.dir.join(OPTIONS)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            text => Ok(Some(text?)),
        }
    }

    /// Stores a recorded episode as `episodes/NAME.json` and returns its path.
    pub fn write_episode(&self, name: &str, json: &str) -> Result<PathBuf> {
        let harmless = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
        if name.is_empty() || name.starts_with('.') || !name.bytes().all(harmless) {
            return Err(Error::Invalid(format!(
                "an episode cannot be called `{name}`: letters, digits, `-`, `_`, `.` can"
            )));
        }
        let folder = self.dir.join(EPISODES);
        fs_err::create_dir_all(&folder)?;
        let path = folder.join(format!("{name}.json"));
        disk::replace(&path, json.as_bytes())?;
        Ok(path)
    }

    /// Name and path of each recorded episode, sorted by name.
    pub fn episodes(&self) -> Result<Vec<(String, PathBuf)>> {
        list(&self.dir.join(EPISODES), ".json")
    }
}

/// A run to go on with: holds the folder's lock until it is dropped. Reading is through [`RunView`].
#[derive(Debug)]
pub struct RunFolder {
    view: RunView,
    logs: Option<Logs>,
    warnings: Vec<String>,
    /// The checkpoint that was committed last, or resumed from.
    base: Option<String>,
    /// Kept open: closing it releases the lock.
    _lock: File,
}

impl Deref for RunFolder {
    type Target = RunView;

    fn deref(&self) -> &RunView {
        &self.view
    }
}

impl RunFolder {
    /// Starts a run in a folder that must not exist. The logs are open: no [`RunFolder::resume`] is needed.
    pub fn create(dir: &Path, plan: &Plan, manifest: &Manifest) -> Result<Self> {
        // The folder appears at once, with everything in it, or not at all.
        let exists = || Error::Exists { path: dir.to_owned() };
        let name = dir.file_name().ok_or_else(exists)?.to_string_lossy();
        if dir.symlink_metadata().is_ok() {
            return Err(exists());
        }
        let parent = parent_of(dir);
        fs_err::create_dir_all(parent)?;
        let scratch = new_folder(&parent.join(format!("{SCRATCH}{name}-{}", process::id())))?;
        let made = fill(&scratch, plan, manifest).and_then(|lock| match disk::rename(&scratch, dir) {
            // Another process was faster.
            Err(_) if dir.exists() => Err(exists()),
            renamed => Ok(renamed.and_then(|()| disk::sync_dir(parent)).map(|()| lock)?),
        });
        let lock = made.inspect_err(|_| {
            // The error that matters is the first one.
            let _ = disk::remove_dir_all(&scratch);
        })?;
        let view = RunView { dir: dir.to_owned(), plan: plan.clone(), manifest: manifest.clone() };
        let logs = Logs::open(dir, LogLengths::default())?.0;
        Ok(Self { view, logs: Some(logs), warnings: Vec::new(), base: None, _lock: lock })
    }

    /// Starts a run in the next free `RUNS/ALGO-ENV-NNNN`, where ENV of a file is its name without `.toml`; several processes may do so at once.
    pub fn create_in(runs: &Path, plan: &Plan, manifest: &Manifest) -> Result<Self> {
        let env = without_version(&plan.env).trim_end_matches(".toml");
        let prefix = format!("{}-{}-", file_name(&plan.algorithm), file_name(env));
        let mut number = 1;
        if runs.exists() {
            for entry in fs_err::read_dir(runs)? {
                let name = entry?.file_name();
                let taken = name.to_str().and_then(|name| name.strip_prefix(&prefix)?.parse::<u32>().ok());
                number = number.max(taken.map_or(1, |taken| taken.saturating_add(1)));
            }
        }
        loop {
            match Self::create(&runs.join(format!("{prefix}{number:04}")), plan, manifest) {
                Err(Error::Exists { .. }) if number < u32::MAX => number += 1,
                result => return result,
            }
        }
    }

    /// Opens a run to go on with it. [`Error::Locked`] where another process does.
    pub fn open(dir: &Path) -> Result<Self> {
        let view = Self::open_read(dir)?;
        let lock = lock(dir)?;
        checkpoint::tidy(&checkpoint::folder_in(dir))?;
        Ok(Self { view, logs: None, warnings: Vec::new(), base: None, _lock: lock })
    }

    /// Opens a run to read.
    pub fn open_read(dir: &Path) -> Result<RunView> {
        let not_a_run = |reason: &str| Error::NotARun { path: dir.to_owned(), reason: reason.into() };
        if !dir.exists() {
            return Err(not_a_run("there is no such folder"));
        }
        if !dir.is_dir() {
            return Err(not_a_run("it is not a folder"));
        }
        if !dir.join(PLAN).exists() {
            return Err(not_a_run("plan.toml is missing"));
        }
        let plan = Plan::read(&dir.join(PLAN))?;
        let manifest = Manifest::read(&dir.join(MANIFEST))?;
        Ok(RunView { dir: dir.to_owned(), plan, manifest })
    }

    /// Goes back to `from` (what [`RunView::latest`] returned; `None` starts over): logs are cut to their length at that time,
    /// `exit.json` goes. Call it before the first [`RunFolder::log`] of an opened run.
    pub fn resume(&mut self, from: Option<&Loaded>) -> Result<()> {
        let exit = self.dir.join(EXIT);
        if exit.exists() {
            disk::remove_file(&exit)?;
        }
        let (logs, warnings) = Logs::open(&self.dir, from.map(|loaded| loaded.logs).unwrap_or_default())?;
        self.logs = Some(logs);
        self.base = from.map(|loaded| loaded.name.clone());
        self.warnings.extend(warnings);
        Ok(())
    }

    /// Replaces `plan.toml`, for example after `resume --steps`.
    pub fn set_plan(&mut self, plan: &Plan) -> Result<()> {
        disk::replace(&self.dir.join(PLAN), plan.to_toml().as_bytes())?;
        self.view.plan = plan.clone();
        Ok(())
    }

    /// Appends one update to `metrics.jsonl` and to the TensorBoard file. It must hold `steps` and `updates`.
    ///
    /// What is not finite is an error. A full disk is only a [warning](RunFolder::take_warnings): logs give way before checkpoints
    /// do. The lines that did not fit are tried again with the next one.
    pub fn log(&mut self, metrics: &Metrics) -> Result<()> {
        let need = |name: &str| {
            let count = metrics.get(name).filter(|count| *count >= 0.0);
            count
                .map(|count| count as u64)
                .ok_or_else(|| Error::Invalid(format!("an update to log must say its `{name}`")))
        };
        let (steps, updates) = (need("steps")?, need("updates")?);
        metrics.check_finite(updates)?;
        let scalars =
            metrics.iter().filter(|(name, _)| *name != "steps").filter_map(|(name, value)| Some((name, value?)));
        let record = events::scalars_record(now(), steps, scalars);
        let logs = self.logs.as_mut().ok_or_else(not_resumed)?;
        self.warnings.extend(logs.metrics.append((metrics.to_json() + "\n").as_bytes()));
        self.warnings.extend(logs.events.append(&record));
        Ok(())
    }

    /// Commits a checkpoint with parts beside, and returns its name. After an error the one before is intact.
    pub fn commit(&mut self, checkpoint: &Checkpoint<'_>, parts: &[Part<'_>]) -> Result<String> {
        let logs = self.logs.as_mut().ok_or_else(not_resumed)?;
        self.warnings.extend(logs.metrics.sync());
        self.warnings.extend(logs.events.sync());
        let lengths = LogLengths { metrics: logs.metrics.length, events: logs.events.length };
        let folder = checkpoint::folder_in(&self.view.dir);
        let (name, warnings) = checkpoint::commit(&folder, checkpoint, parts, self.base.as_deref(), lengths)?;
        self.warnings.extend(warnings);
        self.base = Some(name.clone());
        Ok(name)
    }

    /// What went wrong without stopping the run, since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        mem::take(&mut self.warnings)
    }

    /// Writes `exit.json`.
    pub fn finish(&mut self, exit: &Exit) -> Result<()> {
        let text = serde_json::to_string_pretty(exit);
        let text = text.map_err(|error| Error::Invalid(format!("exit.json cannot be stored: {error}")))?;
        Ok(disk::replace(&self.dir.join(EXIT), (text + "\n").as_bytes())?)
    }
}

/// The runs in a folder, sorted by name. What is not a run is left out.
pub fn list_runs(dir: &Path) -> Result<Vec<RunSummary>> {
    if !dir.exists() {
        return Ok(Vec::new());
    }
    let mut runs = Vec::new();
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        if name_of(&path).starts_with('.') {
            continue;
        }
        match RunFolder::open_read(&path) {
            Ok(run) => runs.push(summary(&run)),
            Err(Error::NotARun { .. }) => {}
            Err(_) => runs.push(RunSummary {
                name: name_of(&path),
                path,
                algorithm: String::new(),
                env: String::new(),
                steps: 0,
                last_return: None,
                last_cost: None,
                state: RunState::Damaged,
            }),
        }
    }
    runs.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(runs)
}

fn summary(run: &RunView) -> RunSummary {
    // A log that cannot be read has nothing to show; that is no reason not to list the run.
    let last = tail(&run.dir.join(METRICS)).unwrap_or_default();
    let newest = |name: &str| last.iter().rev().find_map(|metrics| metrics.get(name));
    RunSummary {
        name: run.name(),
        path: run.dir.clone(),
        algorithm: run.plan.algorithm.clone(),
        env: run.plan.env.clone(),
        steps: newest("steps").unwrap_or_default() as u64,
        last_return: newest("Metrics/EpRet"),
        last_cost: newest("Metrics/EpCost"),
        state: run.state().unwrap_or(RunState::Damaged),
    }
}

/// The last whole lines of a log.
fn tail(path: &Path) -> io::Result<Vec<Metrics>> {
    let mut file = File::open(path)?;
    let start = file.metadata()?.len().saturating_sub(TAIL);
    file.seek(SeekFrom::Start(start))?;
    let mut bytes = Vec::new();
    file.take(TAIL).read_to_end(&mut bytes)?;
    // A first or last line that is not whole does not parse.
    Ok(String::from_utf8_lossy(&bytes).lines().filter_map(Metrics::from_json).collect())
}

/// The two logs of a run, open for appending.
#[derive(Debug)]
struct Logs {
    metrics: Log,
    events: Log,
}

impl Logs {
    /// Opens the logs and cuts them to `lengths`, which are 0 for a new start. The warnings say what is missing.
    fn open(dir: &Path, lengths: LogLengths) -> Result<(Self, Vec<String>)> {
        let (metrics, lost) = Log::open(&dir.join(METRICS), lengths.metrics, |bytes, limit| {
            let bytes = &bytes[..bytes.len().min(limit as usize)];
            bytes.iter().rposition(|&byte| byte == b'\n').map_or(0, |end| end as u64 + 1)
        })?;
        let (mut events, also_lost) = Log::open(&events_path(dir)?, lengths.events, events::whole_records)?;
        let mut warnings: Vec<String> = lost.into_iter().chain(also_lost).collect();
        if events.length == 0 {
            warnings.extend(events.append(&events::version_record(now())));
        }
        Ok((Self { metrics, events }, warnings))
    }
}

/// The run's TensorBoard file; the name of a new one where there is none.
fn events_path(dir: &Path) -> Result<PathBuf> {
    for entry in fs_err::read_dir(dir)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(events::PREFIX) {
            return Ok(entry.path());
        }
    }
    Ok(dir.join(format!("{}{:010}.tony", events::PREFIX, now() as u64)))
}

/// A file that grows by whole records. What cannot be written stays in memory and is tried again with the next record.
#[derive(Debug)]
struct Log {
    file: File,
    /// Length of what is safely written, in bytes.
    length: u64,
    pending: Vec<u8>,
    failing: bool,
}

impl Log {
    /// Opens a log and cuts it to `length`, or, where it is shorter, to its last whole record (`whole(bytes, limit)` of them).
    fn open(path: &Path, length: u64, whole: fn(&[u8], u64) -> u64) -> Result<(Self, Option<String>)> {
        let mut options = File::options();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        let found = file.metadata()?.len();
        let (mut keep, mut warning) = (length, None);
        if found < length {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes)?;
            keep = whole(&bytes, length);
            let lost = length - keep;
            warning = Some(format!("{}: the last {lost} bytes before the checkpoint are lost", path.display()));
        }
        file.set_len(keep)?;
        file.seek(SeekFrom::Start(keep))?;
        Ok((Self { file, length: keep, pending: Vec::new(), failing: false }, warning))
    }

    /// Appends a record, and first what could not be written before. A warning comes when that begins to fail.
    fn append(&mut self, record: &[u8]) -> Option<String> {
        if self.pending.is_empty() || self.pending.len() + record.len() <= MAX_PENDING {
            self.pending.extend(record);
        }
        let written = disk::append(&mut self.file, &self.pending);
        if written.is_err() {
            // Half a record must not stay. If even that fails, resuming cuts it off.
            let _ = self.file.set_len(self.length).and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
        }
        self.settle(written)
    }

    /// Writes what could not be written before, and makes all of it last.
    fn sync(&mut self) -> Option<String> {
        let warning = if self.pending.is_empty() { None } else { self.append(&[]) };
        let synced = self.file.sync_data();
        warning.or_else(|| if self.failing { None } else { self.settle(synced) })
    }

    fn settle(&mut self, written: io::Result<()>) -> Option<String> {
        match written {
            Ok(()) => {
                self.length += self.pending.len() as u64;
                self.pending.clear();
                self.failing = false;
                None
            }
            Err(_) if self.failing => None,
            Err(error) => {
                self.failing = true;
                Some(format!("{error}; training goes on, the log does not"))
            }
        }
    }
}

/// Makes a folder of this name, or, where a process that died left one behind, of this name and a number.
fn new_folder(wanted: &Path) -> Result<PathBuf> {
    let mut path = wanted.to_owned();
    for number in 1.. {
        match disk::create_dir(&path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                path = wanted.with_added_extension(number.to_string());
            }
            made => return Ok(made.map(|()| path)?),
        }
    }
    Ok(path)
}

/// Writes all of a new run but its TensorBoard file, and takes its lock.
fn fill(dir: &Path, plan: &Plan, manifest: &Manifest) -> Result<File> {
    let lock = lock(dir)?;
    disk::write_new(&dir.join(PLAN), plan.to_toml().as_bytes())?;
    disk::write_new(&dir.join(MANIFEST), manifest.to_json()?.as_bytes())?;
    disk::write_new(&dir.join(METRICS), &[])?;
    disk::create_dir(&checkpoint::folder_in(dir))?;
    disk::create_dir(&dir.join(EPISODES))?;
    disk::sync_dir(dir)?;
    Ok(lock)
}

/// Takes the run's lock and writes the process's number into it.
fn lock(dir: &Path) -> Result<File> {
    let mut file = File::options().read(true).write(true).create(true).truncate(false).open(dir.join(LOCK))?;
    let start = Instant::now();
    loop {
        match file.file().try_lock() {
            Ok(()) => break,
            Err(TryLockError::WouldBlock) if start.elapsed() < LOCK_PATIENCE => thread::sleep(LOCK_PATIENCE / 20),
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                let pid = file.read_to_string(&mut text).ok().and_then(|_| text.trim().parse().ok());
                return Err(Error::Locked { path: dir.to_owned(), pid });
            }
            Err(TryLockError::Error(error)) => return Err(error.into()),
        }
    }
    // The number only makes a message better: a full disk must not keep anybody from opening the run.
    let _ = file.set_len(0).and_then(|()| writeln!(file, "{}", process::id()));
    Ok(file)
}

/// Whether a process is working on the run.
fn is_locked(dir: &Path) -> Result<bool> {
    let file = match File::open(dir.join(LOCK)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
        file => file?,
    };
    match file.file().try_lock_shared() {
        Ok(()) => Ok(false),
        Err(TryLockError::WouldBlock) => Ok(true),
        Err(TryLockError::Error(error)) => Err(error.into()),
    }
}

fn not_resumed() -> Error {
    Error::Invalid("an opened run must be resumed before anything is written to it".into())
}

fn parent_of(path: &Path) -> &Path {
    path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

fn name_of(dir: &Path) -> String {
    let named = dir.file_name().map(|name| name.to_string_lossy().into_owned());
    // `.` and `..` have no name of their own.
    named.or_else(|| Some(dir.canonicalize().ok()?.file_name()?.to_string_lossy().into_owned())).unwrap_or_default()
}

/// `SafetyPointGoal1` of `SafetyPointGoal1-v0`.
fn without_version(env: &str) -> &str {
    match env.rsplit_once("-v") {
        Some((name, version)) if !version.is_empty() && version.bytes().all(|b| b.is_ascii_digit()) => name,
        _ => env,
    }
}

/// Files of a folder that end in `suffix`, by their names without it, sorted; none where there is no folder. Hidden ones are not meant.
fn list(folder: &Path, suffix: &str) -> Result<Vec<(String, PathBuf)>> {
    if !folder.exists() {
        return Ok(Vec::new());
    }
    let mut files = Vec::new();
    for entry in fs_err::read_dir(folder)? {
        let path = entry?.path();
        let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_suffix(suffix));
        if let Some(name) = name.filter(|name| !name.starts_with('.')) {
            files.push((name.to_owned(), path.clone()));
        }
    }
    files.sort();
    Ok(files)
}

/// A name with everything replaced that does not belong into a file's.
fn file_name(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() || "._-".contains(c) { c } else { '-' }).collect()
}

/// Seconds since 1970.
fn now() -> f64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0.0, |elapsed| elapsed.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::{Exit, LogLengths, RunFolder, RunState, file_name, list_runs, without_version};
    use crate::disk::fault::{Fault, with};
    use crate::{Archive, Checkpoint, Error, Field, Manifest, Metrics, Plan, Settings, events};
    use std::path::{Path, PathBuf};

    crate::settings! {
        /// Test
        struct Config {
            /// Anything.
            "x" x: f64 = 1.5;
        }
    }

    fn plan() -> Plan {
        let fields: Vec<Field> = Config::fields();
        Plan::resolve("ppo", "CartPole-v1", &fields, &[]).unwrap()
    }

    fn create(dir: &Path) -> RunFolder {
        RunFolder::create(dir, &plan(), &Manifest::new(3, 2)).unwrap()
    }

    fn metrics(update: u32) -> Metrics {
        let mut metrics = Metrics::new();
        metrics.set("steps", f64::from(update) * 10.0);
        metrics.set("updates", f64::from(update));
        metrics.put("Metrics/EpRet", (update % 2 == 1).then_some(f64::from(update) / 3.0));
        metrics
    }

    fn commit(folder: &mut RunFolder, updates: u64) {
        let archive = Archive::new();
        let checkpoint = Checkpoint { steps: updates * 10, updates, seconds: 0.0, policy: &archive, trainer: &archive };
        folder.commit(&checkpoint, &[]).unwrap();
    }

    fn read(folder: &RunFolder, name: &str) -> Vec<u8> {
        fs_err::read(folder.dir().join(name)).unwrap()
    }

    fn events_of(folder: &RunFolder) -> PathBuf {
        super::events_path(folder.dir()).unwrap()
    }

    #[test]
    fn a_new_run_has_what_the_design_says() {
        let dir = tempfile::tempdir().unwrap();
        let folder = create(&dir.path().join("deep/er/run"));
        assert_eq!(folder.name(), "run");
        let view = RunFolder::open_read(folder.dir()).unwrap();
        assert_eq!((view.plan(), view.manifest()), (&plan(), &Manifest::new(3, 2)));
        assert!(view.latest().unwrap().is_none() && view.exit().unwrap().is_none());
        assert_eq!(view.metrics().unwrap(), []);
        assert_eq!(events::tests::read(&fs_err::read(events_of(&folder)).unwrap()).len(), 1);
        let manifest: serde_json::Value = serde_json::from_slice(&read(&folder, "manifest.json")).unwrap();
        assert_eq!(
            (&manifest["seed"], &manifest["threads"], &manifest["version"]),
            (&3.into(), &2.into(), &"0.1.0".into())
        );
        assert!(manifest["cores"].as_u64().unwrap() > 0);
    }

    #[test]
    fn what_exists_is_not_touched() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("taken");
        for make in [|path: &Path| fs_err::create_dir(path), |path: &Path| fs_err::write(path, "a file")] {
            make(&path).unwrap();
            let error = RunFolder::create(&path, &plan(), &Manifest::new(0, 1)).unwrap_err();
            assert_eq!(error.to_string(), format!("{} already exists", path.display()));
            assert!(error.is_usage() && error.hint().unwrap().starts_with("tony resume "));
            assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1);
            let _ = fs_err::remove_dir(&path).or_else(|_| fs_err::remove_file(&path));
        }
        for path in [".", "..", "/"] {
            assert!(matches!(
                RunFolder::create(Path::new(path), &plan(), &Manifest::new(0, 1)),
                Err(Error::Exists { .. })
            ));
        }
    }

    #[test]
    fn names_count_on() {
        let runs = tempfile::tempdir().unwrap();
        let next = || RunFolder::create_in(runs.path(), &plan(), &Manifest::new(0, 1)).unwrap().name();
        assert_eq!(next(), "ppo-CartPole-0001");
        assert_eq!(next(), "ppo-CartPole-0002");
        fs_err::create_dir(runs.path().join("ppo-CartPole-0041")).unwrap();
        fs_err::write(runs.path().join("ppo-CartPole-x"), "").unwrap();
        assert_eq!(next(), "ppo-CartPole-0042");
        let of_file = Plan { env: "worlds/mine.toml".to_owned(), ..plan() };
        let run = RunFolder::create_in(runs.path(), &of_file, &Manifest::new(0, 1)).unwrap();
        assert_eq!(run.name(), "ppo-worlds-mine-0001");
        assert_eq!(without_version("A-v-v12"), "A-v");
        assert_eq!((without_version("A-v"), without_version("A-v1b")), ("A-v", "A-v1b"));
        assert_eq!(file_name("ALE/Pong é"), "ALE-Pong--");
    }

    #[test]
    fn a_crash_or_full_disk_while_making_leaves_a_whole_run_or_none() {
        for fault in [Fault::Kill, Fault::PowerCut, Fault::Full, Fault::StaysFull] {
            for at in 0.. {
                let dir = tempfile::tempdir().unwrap();
                let path = dir.path().join("run");
                let (made, struck) =
                    with(fault, at, || RunFolder::create(&path, &plan(), &Manifest::new(0, 1)).map(drop));
                if !struck {
                    made.unwrap();
                    break;
                }
                if path.exists() {
                    let mut folder = RunFolder::open(&path).unwrap();
                    assert!(folder.latest().unwrap().is_none());
                    folder.resume(None).unwrap();
                } else {
                    assert!(made.is_err());
                    create(&path);
                }
                if fault == Fault::Full || fault == Fault::StaysFull {
                    assert_eq!(fs_err::read_dir(dir.path()).unwrap().count(), 1, "{at}");
                }
            }
        }
    }

    #[test]
    fn what_is_not_a_run_is_said_to_be_none() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("thing");
        let message = || {
            let error = RunFolder::open(&path).unwrap_err();
            assert!(matches!(error, Error::NotARun { .. }) && error.is_usage() && error.hint().is_some());
            error.to_string().replace(&format!("{} is not a run: ", path.display()), "")
        };
        assert_eq!(message(), "there is no such folder");
        fs_err::write(&path, "").unwrap();
        assert_eq!(message(), "it is not a folder");
        fs_err::remove_file(&path).unwrap();
        fs_err::create_dir(&path).unwrap();
        assert_eq!(message(), "plan.toml is missing");
        // Looking leaves no lock file behind.
        assert_eq!(fs_err::read_dir(&path).unwrap().count(), 0);
    }

    #[test]
    fn resuming_cuts_the_logs_to_the_checkpoint() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let mut folder = create(&path);
        for update in 1..=3 {
            folder.log(&metrics(update)).unwrap();
        }
        commit(&mut folder, 3);
        let (lines, records) = (read(&folder, "metrics.jsonl"), fs_err::read(events_of(&folder)).unwrap());
        for update in 4..=5 {
            folder.log(&metrics(update)).unwrap();
        }
        folder
            .finish(&Exit { code: 75, reason: "stopped".into(), steps: 50, updates: 5, seconds: 1.0, resume: None })
            .unwrap();
        assert_eq!(folder.metrics().unwrap(), (1..=5).map(metrics).collect::<Vec<_>>());
        drop(folder);

        let mut folder = RunFolder::open(&path).unwrap();
        assert!(folder.log(&metrics(4)).unwrap_err().to_string().contains("must be resumed"));
        assert_eq!(folder.exit().unwrap().unwrap().code, 75);
        let loaded = folder.latest().unwrap();
        folder.resume(loaded.as_ref()).unwrap();
        assert!(folder.exit().unwrap().is_none());
        assert_eq!(read(&folder, "metrics.jsonl"), lines);
        assert_eq!(fs_err::read(events_of(&folder)).unwrap(), records);
        assert_eq!(folder.take_warnings(), [] as [String; 0]);
        folder.log(&metrics(4)).unwrap();
        let seen = events::tests::read(&fs_err::read(events_of(&folder)).unwrap());
        assert_eq!(seen.iter().map(|event| event.step).collect::<Vec<_>>(), [0, 10, 20, 30, 40]);
        assert_eq!(seen[1].scalars, [("updates".to_owned(), 1.0), ("Metrics/EpRet".to_owned(), 1.0_f32 / 3.0)]);
        assert_eq!(seen[2].scalars, [("updates".to_owned(), 2.0)]);

        // Starting over.
        folder.resume(None).unwrap();
        assert_eq!(folder.metrics().unwrap(), []);
        assert_eq!(events::tests::read(&fs_err::read(events_of(&folder)).unwrap()).len(), 1);
    }

    #[test]
    fn logs_that_lost_their_end_keep_whole_records() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("run");
        let mut folder = create(&path);
        for update in 1..=3 {
            folder.log(&metrics(update)).unwrap();
        }
        commit(&mut folder, 3);
        let log = events_of(&folder);
        drop(folder);
        for file in [path.join("metrics.jsonl"), log.clone()] {
            let bytes = fs_err::read(&file).unwrap();
            fs_err::write(&file, &bytes[..bytes.len() - 5]).unwrap();
        }
        let mut folder = RunFolder::open(&path).unwrap();
        assert_eq!(folder.metrics().unwrap().len(), 2);
        let loaded = folder.latest().unwrap();
        folder.resume(loaded.as_ref()).unwrap();
        let warnings = folder.take_warnings();
        assert!(warnings.len() == 2 && warnings.iter().all(|warning| warning.ends_with("are lost")), "{warnings:?}");
        folder.log(&metrics(4)).unwrap();
        assert_eq!(folder.metrics().unwrap(), [metrics(1), metrics(2), metrics(4)]);
        let steps: Vec<u64> =
            events::tests::read(&fs_err::read(&log).unwrap()).iter().map(|event| event.step).collect();
        assert_eq!(steps, [0, 10, 20, 40]);
        // Gone altogether.
        drop(folder);
        fs_err::remove_file(&log).unwrap();
        fs_err::remove_file(path.join("metrics.jsonl")).unwrap();
        let mut folder = RunFolder::open(&path).unwrap();
        folder.resume(loaded.as_ref()).unwrap();
        assert_eq!(folder.take_warnings().len(), 2);
        folder.log(&metrics(4)).unwrap();
        assert_eq!(folder.metrics().unwrap(), [metrics(4)]);
    }

    #[test]
    fn logs_give_way_to_a_full_disk_and_come_back() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = create(&dir.path().join("run"));
        folder.log(&metrics(1)).unwrap();
        let whole = read(&folder, "metrics.jsonl");
        let (result, _) = with(Fault::StaysFull, 0, || folder.log(&metrics(2)).and_then(|()| folder.log(&metrics(3))));
        result.unwrap();
        assert_eq!(read(&folder, "metrics.jsonl"), whole, "half a line stays");
        let warnings = folder.take_warnings();
        assert!(warnings.len() == 2 && warnings[0].contains("metrics.jsonl"), "one for each file: {warnings:?}");
        folder.log(&metrics(4)).unwrap();
        assert_eq!(folder.metrics().unwrap(), (1..=4).map(metrics).collect::<Vec<_>>());
        let lengths =
            folder.logs.as_ref().map(|logs| LogLengths { metrics: logs.metrics.length, events: logs.events.length });
        let on_disk = LogLengths {
            metrics: read(&folder, "metrics.jsonl").len() as u64,
            events: fs_err::metadata(events_of(&folder)).unwrap().len(),
        };
        assert_eq!(lengths, Some(on_disk));
        assert_eq!(events::tests::read(&fs_err::read(events_of(&folder)).unwrap()).len(), 5);
    }

    #[test]
    fn what_is_not_finite_is_not_logged() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = create(&dir.path().join("run"));
        let mut bad = metrics(7);
        bad.set("Train/KL", f64::NAN);
        let error = folder.log(&bad).unwrap_err();
        assert_eq!((error.to_string().as_str(), error.kind()), ("Train/KL became NaN in update 7", "not_finite"));
        let mut nameless = Metrics::new();
        nameless.set("steps", 1.0);
        assert!(folder.log(&nameless).unwrap_err().to_string().contains("`updates`"));
        assert_eq!(read(&folder, "metrics.jsonl"), b"");
    }

    #[test]
    fn a_log_is_read_line_by_line() {
        let dir = tempfile::tempdir().unwrap();
        let folder = create(&dir.path().join("run"));
        let log = folder.dir().join("metrics.jsonl");
        fs_err::write(&log, "{\"steps\":1}\n{\"steps\":2}\n{\"ste").unwrap();
        assert_eq!(folder.metrics().unwrap().len(), 2);
        fs_err::write(&log, "{\"steps\":1}\nnonsense\n{\"steps\":2}\n").unwrap();
        assert_eq!(folder.metrics().unwrap_err().to_string(), format!("{}: line 2 is not a record", log.display()));
        fs_err::write(&log, format!("{}\n", "[".repeat(1_000_000))).unwrap();
        assert!(folder.metrics().is_err());
    }

    #[test]
    fn reports_and_episodes_are_replaced_at_once() {
        let dir = tempfile::tempdir().unwrap();
        let folder = create(&dir.path().join("run"));
        for (fault, at) in (0..6).flat_map(|at| [Fault::Kill, Fault::PowerCut, Fault::Full].map(|fault| (fault, at))) {
            folder.write_report("old").unwrap();
            let (result, _) = with(fault, at, || folder.write_report("new"));
            let now = read(&folder, "report.html");
            assert!(now == b"new" || now == b"old" && result.is_err(), "{fault:?} {at}");
        }
        folder.write_episode("b-2", "{}").unwrap();
        folder.write_episode("a_1.x", "{}").unwrap();
        let names: Vec<String> = folder.episodes().unwrap().into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["a_1.x", "b-2"]);
        for bad in ["", "../x", "a/b", ".hidden", "é"] {
            assert!(folder.write_episode(bad, "{}").is_err(), "{bad}");
        }
    }

    #[test]
    fn runs_are_listed_with_their_state() {
        let dir = tempfile::tempdir().unwrap();
        assert_eq!(list_runs(&dir.path().join("none")).unwrap(), []);
        let end = |folder: &mut RunFolder, code| {
            let exit =
                Exit { code, reason: "why".into(), steps: 0, updates: 0, seconds: 0.0, resume: Some("tony".into()) };
            folder.finish(&exit).unwrap();
            assert_eq!(folder.exit().unwrap(), Some(exit));
        };
        let mut running = create(&dir.path().join("a"));
        running.log(&metrics(1)).unwrap();
        running.log(&metrics(2)).unwrap();
        for (name, code) in [("b", 0), ("c", 75), ("d", 130), ("e", 1)] {
            end(&mut create(&dir.path().join(name)), code);
        }
        drop(create(&dir.path().join("f")));
        drop(create(&dir.path().join("g")));
        fs_err::write(dir.path().join("g/plan.toml"), "broken").unwrap();
        fs_err::create_dir(dir.path().join("not a run")).unwrap();
        fs_err::write(dir.path().join("file"), "").unwrap();

        let runs = list_runs(dir.path()).unwrap();
        let states: Vec<(&str, RunState)> = runs.iter().map(|run| (run.name.as_str(), run.state)).collect();
        assert_eq!(
            states,
            [
                ("a", RunState::Running),
                ("b", RunState::Finished),
                ("c", RunState::Stopped),
                ("d", RunState::Stopped),
                ("e", RunState::Crashed),
                ("f", RunState::Crashed),
                ("g", RunState::Damaged),
            ]
        );
        assert_eq!((runs[0].algorithm.as_str(), runs[0].env.as_str(), runs[0].steps), ("ppo", "CartPole-v1", 20));
        assert_eq!((runs[0].last_return, runs[0].last_cost), (Some(1.0 / 3.0), None));
    }

    #[test]
    fn a_plan_can_be_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = create(&dir.path().join("run"));
        let other = Plan { env: "Pendulum-v1".into(), ..plan() };
        folder.set_plan(&other).unwrap();
        assert_eq!(folder.plan(), &other);
        assert_eq!(RunFolder::open_read(folder.dir()).unwrap().plan(), &other);
    }
}
