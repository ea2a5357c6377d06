//! Few-shot learning: an initialisation from which a few gradient steps solve a new task.
//!
//! ```text
//! tasks -> Losses of a task's minibatches -> algorithm: a direction for the initialisation -> mean over tasks -> phi
//! ```
//!
//! To understand one algorithm: its file in [`algorithms`], [`inner`], [`outer`], [`minibatches`]. The tasks are in [`sine`] and [`omniglot`],
//! what is learned in [`learner`], the loop in [`train`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod algorithms;
pub mod evaluate;
pub mod inner;
pub mod learner;
pub mod minibatches;
pub mod omniglot;
pub mod outer;
pub mod pictures;
pub mod sine;
pub mod tasks;
pub mod train;

pub use evaluate::{Drawing, Score};
pub use learner::{Examples, Learner};
pub use train::Trainer;

use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in few-shot learning. The message says what and where; [`Error::hint`] says what to type next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No few-shot task has this name.
    #[error("no few-shot task is called `{name}`; there are {known}")]
    UnknownTask {
        /// The name that was asked for.
        name: String,
        /// The tasks there are.
        known: String,
    },
    /// An algorithm has no preset of this name for the task.
    #[error("{algorithm} on {task} has no preset `{name}`; it has {known}")]
    UnknownPreset {
        /// The preset that was asked for.
        name: String,
        /// The algorithm.
        algorithm: &'static str,
        /// The task.
        task: String,
        /// The presets there are.
        known: String,
    },
    /// Settings that do not fit each other or the data.
    #[error("{what}")]
    Invalid {
        /// What does not fit.
        what: String,
        /// What to type next.
        hint: String,
    },
    /// The pictures are nowhere.
    #[error("no pictures of characters were found: looked for {}", looked.join(", "))]
    NoData {
        /// Where.
        looked: Vec<String>,
    },
    /// A picture, or the archive that it is in, cannot be used.
    #[error("{}: {reason}", place.display())]
    BadPicture {
        /// The file; in an archive, the archive and the path inside it.
        place: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A number that is not finite. Nothing of the update in which it arose is kept.
    #[error("{quantity} is not finite (update {update})")]
    NonFinite {
        /// Its name.
        quantity: &'static str,
        /// The update, from 1.
        update: u64,
    },
    /// From a dense network.
    #[error(transparent)]
    Nn(#[from] tony_nn::Error),
    /// From a convolutional network.
    #[error(transparent)]
    Deep(#[from] tony_deep::Error),
    /// From settings or the run folder.
    #[error(transparent)]
    Run(#[from] tony_run::Error),
    /// The file system said no; the message names the file and the reason.
    #[error(transparent)]
    Io(#[from] std::io::Error),
}

impl Error {
    /// What to type next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownTask { .. } => "tony train reptile sine".to_owned(),
            Self::UnknownPreset { algorithm, .. } => format!("tony list algos {algorithm}"),
            Self::Invalid { hint, .. } => hint.clone(),
            Self::NoData { .. } => {
                "data=PATH, a folder with Omniglot's images_background and images_evaluation (each a folder, \
                .zip or .tar.gz, as at github.com/brendenlake/omniglot), or one such archive"
                    .to_owned()
            }
            Self::BadPicture { .. } => {
                "mend or remove it, or fetch the archive anew; data=PATH reads another".to_owned()
            }
            Self::NonFinite { .. } => "resume from the last checkpoint with a smaller inner.lr or eps.start".to_owned(),
            Self::Nn(_) | Self::Deep(_) => "use the sizes of the run's plan.toml".to_owned(),
            Self::Run(error) => return error.hint(),
            Self::Io(_) => return None,
        })
    }

    pub(crate) fn invalid(what: impl Into<String>, hint: impl Into<String>) -> Self {
        Self::Invalid { what: what.into(), hint: hint.into() }
    }
}
