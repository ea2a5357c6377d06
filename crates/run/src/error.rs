use crate::plan::Source;
use std::io;
use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with settings and run folders. The message says what and where; [`Error::hint`] says what to type next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No setting has this key.
    #[error("unknown setting `{key}` ({from}){nearest}")]
    UnknownKey {
        /// The key as it was written.
        key: String,
        /// Where it was written.
        from: Source,
        /// `; did you mean KEY (GROUP)?`, or nothing where no key is near.
        nearest: String,
    },
    /// A value has the wrong type or is out of range.
    #[error("setting `{key}` cannot be `{value}` ({from}): it must be {allowed}")]
    BadValue {
        /// The setting.
        key: String,
        /// The value as it was written.
        value: String,
        /// Where it was written.
        from: Source,
        /// What would do.
        allowed: String,
    },
    /// A word of the command line is not of the form `key=value`.
    #[error("`{word}` is not of the form key=value (command line)")]
    NotAssignment {
        /// The word.
        word: String,
    },
    /// A settings file that cannot be understood.
    #[error("settings file {}: {reason}", path.display())]
    BadSettings {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A new run was asked for in a place that is taken.
    #[error("{} already exists", path.display())]
    Exists {
        /// The folder.
        path: PathBuf,
    },
    /// The folder is not a run.
    #[error("{} is not a run: {reason}", path.display())]
    NotARun {
        /// The folder.
        path: PathBuf,
        /// What is missing.
        reason: String,
    },
    /// Another process is working on the run.
    #[error("{} is in use by another process{}", path.display(), pid.map(|pid| format!(" (pid {pid})")).unwrap_or_default())]
    Locked {
        /// The run folder.
        path: PathBuf,
        /// The other process, where it has said so.
        pid: Option<u32>,
    },
    /// Checkpoints are there, none of them is whole.
    #[error("no checkpoint of {} is whole: {}", path.display(), damage.join("; "))]
    NoCheckpoint {
        /// The run folder.
        path: PathBuf,
        /// What is wrong with each, newest first.
        damage: Vec<String>,
    },
    /// A file of a run that cannot be used.
    #[error("{}: {reason}", path.display())]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A file was written by a newer version of this program.
    #[error("{} has format {found}, this version reads formats up to {known}", path.display())]
    NewerFormat {
        /// The file.
        path: PathBuf,
        /// Its format.
        found: u64,
        /// The newest known one.
        known: u64,
    },
    /// A tensor is missing or has another type or shape than this run needs.
    #[error("tensor `{name}` of {origin} is {found}, but {expected} is needed")]
    Tensor {
        /// The tensor.
        name: String,
        /// The file, or where else the archive came from.
        origin: String,
        /// Type and shape that were asked for.
        expected: String,
        /// Type and shape that are there, or `missing`.
        found: String,
    },
    /// A note is missing from an archive's header.
    #[error("note `{key}` of {origin} is missing")]
    Note {
        /// The note.
        key: String,
        /// The file, or where else the archive came from.
        origin: String,
    },
    /// A quantity became infinite or not a number.
    #[error("{name} became {value} in update {update}")]
    NotFinite {
        /// The quantity.
        name: String,
        /// `NaN`, `inf` or `-inf`.
        value: f64,
        /// The update in which it did.
        update: u64,
    },
    /// The caller gave this crate something that it cannot store.
    #[error("{0}")]
    Invalid(String),
    /// The file system said no; the message names the file and the reason.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl Error {
    /// The error's kind in one stable word, for `--json`.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::UnknownKey { .. } => "unknown_key",
            Self::BadValue { .. } => "bad_value",
            Self::NotAssignment { .. } => "bad_argument",
            Self::BadSettings { .. } => "bad_settings_file",
            Self::Exists { .. } => "exists",
            Self::NotARun { .. } => "not_a_run",
            Self::Locked { .. } => "locked",
            Self::NoCheckpoint { .. } => "no_checkpoint",
            Self::Damaged { .. } => "damaged",
            Self::NewerFormat { .. } => "newer_format",
            Self::Tensor { .. } | Self::Note { .. } => "other_shapes",
            Self::NotFinite { .. } => "not_finite",
            Self::Invalid(_) => "invalid",
            Self::Io(error) => match error.kind() {
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => "disk_full",
                io::ErrorKind::ReadOnlyFilesystem | io::ErrorKind::PermissionDenied => "read_only",
                _ => "io",
            },
        }
    }

    /// True where what was typed is at fault (exit code 2) rather than what happened (exit code 1).
    pub fn is_usage(&self) -> bool {
        matches!(
            self,
            Self::UnknownKey { .. }
                | Self::BadValue { .. }
                | Self::NotAssignment { .. }
                | Self::BadSettings { .. }
                | Self::Exists { .. }
                | Self::NotARun { .. }
        )
    }

    /// What to type or do next.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::UnknownKey { .. } | Self::BadValue { .. } => "tony train ALGO --help lists the settings".into(),
            Self::NotAssignment { .. } => "write key=value without spaces, for example cost.limit=25".into(),
            Self::BadSettings { path, .. } => format!("mend {} or leave it out", path.display()),
            Self::Exists { path } => format!("tony resume {} to go on with it, or another --out", path.display()),
            Self::NotARun { .. } => "tony list runs shows the runs in ./runs".into(),
            Self::Locked { .. } => "wait until it ends, or stop it, then try again".into(),
            Self::NoCheckpoint { .. } => "start a new run with the settings in its plan.toml".into(),
            Self::NewerFormat { .. } => "use the version of tony that wrote it (manifest.json names it)".into(),
            Self::NotFinite { .. } => "a smaller step size; the last good checkpoint is intact".into(),
            Self::Tensor { .. } | Self::Note { .. } => {
                "use the environment and network sizes of the run's plan.toml".into()
            }
            Self::Io(_) => match self.kind() {
                "disk_full" => "free some space, then tony resume RUN: the last good checkpoint is intact".into(),
                "read_only" => "choose a folder that can be written, with --out".into(),
                _ => return None,
            },
            Self::Damaged { .. } | Self::Invalid(_) => return None,
        };
        Some(hint)
    }
}
