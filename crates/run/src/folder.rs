use crate::{Checkpoint, Error, Loaded, Manifest, Metrics, Plan, Result};
use serde::{Deserialize, Serialize};
use std::ops::Deref;
use std::path::{Path, PathBuf};

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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
}

/// One line of `tony list runs`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RunSummary {
    /// Name of the folder.
    pub name: String,
    /// The folder.
    pub path: PathBuf,
    /// Algorithm.
    pub algorithm: String,
    /// Environment.
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

/// A run to read: any number of processes may, also while it is running. [`RunFolder`] is the one that may write.
#[derive(Clone, Debug)]
pub struct RunView {
    dir: PathBuf,
    plan: Plan,
    manifest: Manifest,
}

impl RunView {
    /// The folder.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Last part of the folder's path.
    pub fn name(&self) -> String {
        unfinished()
    }

    /// What the run was asked to do, as read from `plan.toml`; [`Plan::check`] it against the present settings.
    pub fn plan(&self) -> &Plan {
        &self.plan
    }

    /// What ran.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// The newest checkpoint that is whole; nothing where none was ever committed.
    pub fn latest(&self) -> Result<Option<Loaded>> {
        unfinished()
    }

    /// Every line of `metrics.jsonl`. A last line that is not whole, because the process died in it, is left out.
    pub fn metrics(&self) -> Result<Vec<Metrics>> {
        unfinished()
    }

    /// How it ended, where it did.
    pub fn exit(&self) -> Result<Option<Exit>> {
        unfinished()
    }

    /// What it is doing.
    pub fn state(&self) -> Result<RunState> {
        unfinished()
    }

    /// Replaces `report.html` at once and returns its path.
    pub fn write_report(&self, _html: &str) -> Result<PathBuf> {
        unfinished()
    }

    /// Stores a recorded episode as `episodes/NAME.json` and returns its path.
    pub fn write_episode(&self, _name: &str, _json: &str) -> Result<PathBuf> {
        unfinished()
    }

    /// Name and path of each recorded episode, sorted by name.
    pub fn episodes(&self) -> Result<Vec<(String, PathBuf)>> {
        unfinished()
    }
}

/// A run to write: holds the folder's lock until it is dropped.
#[derive(Debug)]
pub struct RunFolder {
    view: RunView,
}

impl Deref for RunFolder {
    type Target = RunView;

    fn deref(&self) -> &RunView {
        &self.view
    }
}

impl RunFolder {
    /// Starts a run in a folder that must not exist. Logs are open: no [`RunFolder::resume`] is needed.
    pub fn create(_dir: &Path, _plan: &Plan, _manifest: &Manifest) -> Result<Self> {
        unfinished()
    }

    /// Starts a run in the next free `RUNS/ALGO-ENV-NNNN`; several processes may do so at once.
    pub fn create_in(_runs: &Path, _plan: &Plan, _manifest: &Manifest) -> Result<Self> {
        unfinished()
    }

    /// Opens a run to go on with it. [`Error::Locked`] where another process does.
    pub fn open(_dir: &Path) -> Result<Self> {
        unfinished()
    }

    /// Opens a run to read.
    pub fn open_read(_dir: &Path) -> Result<RunView> {
        unfinished()
    }

    /// Goes back to `from` (what [`RunView::latest`] returned; `None` starts over): logs are cut to their length at that time,
    /// `exit.json` goes. Call it before the first [`RunFolder::log`] of an opened run.
    pub fn resume(&mut self, _from: Option<&Loaded>) -> Result<()> {
        unfinished()
    }

    /// Replaces `plan.toml`, for example after `resume --steps`.
    pub fn set_plan(&mut self, _plan: &Plan) -> Result<()> {
        unfinished()
    }

    /// Appends one update to `metrics.jsonl` and to the TensorBoard file. It must hold `steps` and `updates`.
    /// What is not finite is an error. A full disk is only a [warning](RunFolder::take_warnings): logs give way before checkpoints do.
    pub fn log(&mut self, _metrics: &Metrics) -> Result<()> {
        unfinished()
    }

    /// Commits a checkpoint and returns its name. After an error the one before is intact.
    pub fn commit(&mut self, _checkpoint: &Checkpoint<'_>) -> Result<String> {
        unfinished()
    }

    /// What went wrong without stopping the run, since the last call.
    pub fn take_warnings(&mut self) -> Vec<String> {
        unfinished()
    }

    /// Writes `exit.json`.
    pub fn finish(&mut self, _exit: &Exit) -> Result<()> {
        unfinished()
    }
}

/// The runs in a folder, sorted by name. What is not a run is left out.
pub fn list_runs(_dir: &Path) -> Result<Vec<RunSummary>> {
    unfinished()
}

fn unfinished<T>() -> T {
    let _ = Error::Invalid(String::new());
    std::process::abort()
}
