use crate::{Error, Result};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::thread;

/// Format number of `manifest.json`.
const FORMAT: u64 = 1;

/// What ran, and on what. Stored as `manifest.json`; nothing in it is read back to go on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// Format number of the file.
    pub format: u64,
    /// Version of tony.
    pub version: String,
    /// Git commit of the build, where it was known.
    pub commit: Option<String>,
    /// Operating system and processor family, for example `linux x86_64`.
    pub os: String,
    /// Model of the processor, where the system tells.
    pub cpu: Option<String>,
    /// Logical processors that the process may use.
    pub cores: usize,
    /// Threads that the run uses.
    pub threads: usize,
    /// Seed of the run.
    pub seed: u64,
    /// Run that this one started from.
    pub parent: Option<String>,
    /// Version of the MuJoCo library, where the run uses it.
    pub mujoco: Option<String>,
}

impl Manifest {
    /// What this crate knows about the program and the machine. The binary adds what only it knows: `commit`, `parent`, `mujoco`.
    pub fn new(seed: u64, threads: usize) -> Self {
        Self {
            format: FORMAT,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            commit: None,
            os: format!("{} {}", std::env::consts::OS, std::env::consts::ARCH),
            cpu: cpu_model(),
            cores: thread::available_parallelism().map_or(1, usize::from),
            threads,
            seed,
            parent: None,
            mujoco: None,
        }
    }

    /// The bytes of `manifest.json`.
    pub(crate) fn to_json(&self) -> Result<String> {
        let text = serde_json::to_string_pretty(self);
        text.map(|text| text + "\n").map_err(|error| Error::Invalid(format!("manifest cannot be stored: {error}")))
    }

    /// Reads a `manifest.json`.
    pub fn read(path: &Path) -> Result<Self> {
        let bad = |error: serde_json::Error| Error::Damaged { path: path.to_owned(), reason: error.to_string() };
        let manifest: Self = serde_json::from_str(&fs_err::read_to_string(path)?).map_err(bad)?;
        match manifest.format {
            found if found > FORMAT => Err(Error::NewerFormat { path: path.to_owned(), found, known: FORMAT }),
            _ => Ok(manifest),
        }
    }
}

/// The processor as Linux names it; other systems have no file for it.
fn cpu_model() -> Option<String> {
    let info = fs_err::read_to_string("/proc/cpuinfo").ok()?;
    let line = info.lines().find(|line| line.starts_with("model name"))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}
