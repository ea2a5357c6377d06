use std::path::PathBuf;

use crate::Warning;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong between here and the physics. Messages say what, where and, after a line break, `try: ` what to type
/// next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The library could not be had.
    #[error(transparent)]
    Fetch(#[from] tony_fetch::Error),
    /// Only 64-bit Linux on x86 is supported.
    #[error(
        "MuJoCo {} is fetched and used on 64-bit x86 Linux only; this is {platform}\ntry: `tony list envs` for the environments that need no MuJoCo",
        crate::fetch::VERSION
    )]
    Platform {
        /// This machine's architecture and system.
        platform: String,
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
