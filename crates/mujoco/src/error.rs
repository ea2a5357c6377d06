use std::path::PathBuf;

use crate::Warning;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between here and the physics. Messages say what, where and, after a line break, `try: ` what to type
/// next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The library is not here and fetching was forbidden.
    #[error(
        "MuJoCo {} is not here, and nothing is fetched offline\nlooked for {path}\ntry: `tony doctor --fix` with a network, or TONY_MUJOCO=/path/to/libmujoco.so.{}",
        crate::fetch::VERSION,
        crate::fetch::VERSION
    )]
    Absent {
        /// Where it would lie.
        path: PathBuf,
    },
    /// Only 64-bit Linux on x86 is supported.
    #[error(
        "MuJoCo {} is fetched and used on 64-bit x86 Linux only; this is {platform}\ntry: `tony list envs` for the environments that need no MuJoCo",
        crate::fetch::VERSION
    )]
    Platform {
        /// This machine's architecture and system.
        platform: String,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error(
        "there is no cache folder: neither XDG_CACHE_HOME nor HOME is set\ntry: XDG_CACHE_HOME=/some/folder, or TONY_MUJOCO=/path/to/libmujoco.so.{}",
        crate::fetch::VERSION
    )]
    NoCacheFolder,
    /// The cache folder cannot be written.
    #[error(
        "the cache folder cannot be written: {source}\nin {path}\ntry: XDG_CACHE_HOME=/a/folder/that/can/be/written, or TONY_MUJOCO=/path/to/libmujoco.so.{}",
        crate::fetch::VERSION
    )]
    Cache {
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Python's pip is not on the PATH.
    #[error(
        "fetching MuJoCo {} needs Python's pip, which is not here (looked for `python3 -m pip`, `pip3`, `pip`)\ntry: install it (Debian: `apt install python3-pip`), or TONY_MUJOCO=/path/to/libmujoco.so.{}",
        crate::fetch::VERSION,
        crate::fetch::VERSION
    )]
    NoPip,
    /// pip could not reach the package index.
    #[error(
        "pip could not reach the package index\nit said: {said}\ntry: the same command once the network works, or TONY_MUJOCO=/path/to/libmujoco.so.{}",
        crate::fetch::VERSION
    )]
    NoNetwork {
        /// The last lines of its standard error.
        said: String,
    },
    /// pip failed for another reason.
    #[error("pip could not download mujoco=={}\nit said: {said}\ntry: {command}", crate::fetch::VERSION)]
    Pip {
        /// The command, to be tried by hand.
        command: String,
        /// The last lines of its standard error.
        said: String,
    },
    /// What was downloaded is not the pinned library.
    #[error(
        "the download of MuJoCo {} is damaged and was thrown away: {reason}\nfrom {path}\ntry: the same command again (a proxy or mirror may alter files: `pip config list` shows yours)",
        crate::fetch::VERSION
    )]
    DamagedDownload {
        /// The downloaded file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file in the cache is no longer what was fetched.
    #[error(
        "the cached MuJoCo library is damaged: {reason}\nin {path}\ntry: `tony doctor --fix` with a network, which fetches it again"
    )]
    DamagedCache {
        /// The cached file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file is not a library that can be opened.
    #[error(
        "the MuJoCo library cannot be opened: {reason}\nin {path}\ntry: TONY_MUJOCO=/path/to/libmujoco.so.{}, or unset TONY_MUJOCO to fetch it",
        crate::fetch::VERSION
    )]
    Open {
        /// The file.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
    /// The library is of another version.
    #[error(
        "the MuJoCo library has version {found}, and {} is needed\nin {path}\ntry: TONY_MUJOCO=/path/to/libmujoco.so.{}, or unset TONY_MUJOCO to fetch it",
        crate::fetch::VERSION,
        crate::fetch::VERSION
    )]
    Version {
        /// The file.
        path: PathBuf,
        /// The version that it says it has.
        found: String,
    },
    /// The library's structures are not laid out as the field table says.
    #[error(
        "the MuJoCo library's structures differ from the field table of version {}: {what}\nin {path}\ntry: unset TONY_MUJOCO to fetch the library that the table was made for",
        crate::fetch::VERSION
    )]
    Layout {
        /// The file.
        path: PathBuf,
        /// The first field that differs.
        what: String,
    },
    /// MuJoCo refused a model.
    #[error("MuJoCo cannot load the model `{model}`: {reason}")]
    Model {
        /// The model's name, where the text gives one.
        model: String,
        /// MuJoCo's text.
        reason: String,
    },
    /// A call raised a warning of MuJoCo: its results must not be used.
    #[error("{warning}\nin the model `{model}`, {context}, after {steps} physics steps")]
    Warning {
        /// What happened.
        warning: Warning,
        /// The model's name.
        model: String,
        /// Who was simulating, from [`crate::Simulation::set_context`].
        context: String,
        /// Physics steps since the simulation was made.
        steps: u64,
    },
    /// A saved state has another length than this model's.
    #[error("a state of the model `{model}` has {expected} numbers, not {found}")]
    StateLength {
        /// The model's name.
        model: String,
        /// Length that fits.
        expected: usize,
        /// Length that was given.
        found: usize,
    },
    /// No object has this name.
    #[error("the model `{model}` has no {kind} called `{name}`")]
    NoSuchName {
        /// The model's name.
        model: String,
        /// Kind of the object.
        kind: &'static str,
        /// The name.
        name: String,
    },
    /// Reading or writing a file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
