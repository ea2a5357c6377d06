//! Experience and learning.
//!
//! ```text
//! environments -> Collector -> Rollout -> Algorithm -> Policy
//! ```
//!
//! To understand one algorithm: its file in [`algorithms`], [`rollout`], [`returns`], and for trust regions [`trust_region`].
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod actor_critic;
pub mod algorithm;
pub mod algorithms;
pub mod collector;
pub mod constraint;
mod context_policy;
pub mod critic;
pub mod diagnose;
pub mod dynamics;
pub mod grouped;
mod head;
pub mod linear;
pub mod net_actor;
pub mod off_policy;
pub mod options;
mod passes;
pub mod policy;
pub mod replay;
pub mod returns;
pub mod rollout;
pub mod schedule;
pub mod tabular;
pub mod train;
pub mod trust_region;

pub use policy::{Actor, Policy};
pub use train::{EpisodeSums, Trainer, evaluate, load_actor};

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in learning. The message says what and where; [`Error::hint`] says what to type next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No algorithm has this name.
    #[error("no algorithm is called `{name}`{}", nearest.as_ref().map(|n| format!("; did you mean `{n}`?")).unwrap_or_default())]
    UnknownAlgorithm {
        /// The name that was asked for.
        name: String,
        /// Nearest known name, if one is near.
        nearest: Option<String>,
    },
    /// An algorithm has no preset of this name.
    #[error("{algorithm} has no preset `{name}`; it has {known}")]
    UnknownPreset {
        /// The preset that was asked for.
        name: String,
        /// The algorithm.
        algorithm: &'static str,
        /// The presets there are.
        known: String,
    },
    /// A constrained algorithm was asked for where nothing costs.
    #[error("{env} has no costs, and {algorithm} needs one to keep within a limit")]
    NoCosts {
        /// The algorithm.
        algorithm: String,
        /// The environment.
        env: String,
    },
    /// A limit names a cost that the environment lacks.
    #[error("{env} has no cost channel `{name}`; it has {}", known.join(", "))]
    UnknownChannel {
        /// The channel that was named.
        name: String,
        /// The environment.
        env: String,
        /// The channels there are.
        known: Vec<String>,
    },
    /// Settings that do not fit each other or the environment.
    #[error("{what}")]
    Invalid {
        /// What does not fit.
        what: String,
        /// What to type next.
        hint: String,
    },
    /// A number that is not finite. Nothing of the update in which it arose is kept.
    #[error("{quantity} is not finite (update {update}, row {row})")]
    NonFinite {
        /// Its name.
        quantity: String,
        /// The update, from 1.
        update: u64,
        /// The row of the batch at or after which it arose.
        row: usize,
    },
    /// From an environment.
    #[error(transparent)]
    Env(#[from] tony_env::Error),
    /// From a network.
    #[error(transparent)]
    Nn(#[from] tony_nn::Error),
    /// From settings or the run folder.
    #[error(transparent)]
    Run(#[from] tony_run::Error),
}

impl Error {
    /// A number that is not finite; the training loop adds the update.
    pub(crate) fn non_finite(quantity: String, row: usize) -> Self {
        Self::NonFinite { quantity, update: 0, row }
    }

    fn in_update(self, number: u64) -> Self {
        match self {
            Self::NonFinite { quantity, row, .. } => Self::NonFinite { quantity, update: number, row },
            other => other,
        }
    }

    /// What to type next.
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::UnknownAlgorithm { .. } => "tony list algos".to_owned(),
            Self::UnknownPreset { algorithm, .. } => format!("tony list algos {algorithm}"),
            Self::NoCosts { .. } => "use ppo or trpo here, or a task with costs: tony list envs".to_owned(),
            Self::UnknownChannel { known, .. } => {
                format!("cost.limit.{}=25", known.first().map_or("NAME", String::as_str))
            }
            Self::Invalid { hint, .. } => hint.clone(),
            Self::NonFinite { .. } => {
                "resume from the last checkpoint with a smaller lr or target_kl, or look at the task with tony check"
                    .to_owned()
            }
            Self::Env(_) | Self::Nn(_) => "tony check ENV".to_owned(),
            Self::Run(error) => return error.hint(),
        })
    }
}
