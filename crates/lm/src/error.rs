use std::path::PathBuf;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong with language models. The message says what and where; [`Error::hint`] says what to type next.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// Weights or sizes.
    #[error(transparent)]
    Deep(#[from] tony_deep::Error),
    /// Settings and run folders.
    #[error(transparent)]
    Run(#[from] tony_run::Error),
    /// A model that was not fetched.
    #[error(transparent)]
    Fetch(#[from] tony_fetch::Error),
    /// No model is called so.
    #[error("`{name}` is no file or folder, and no model's name; names are {known}")]
    UnknownModel {
        /// The name.
        name: String,
        /// All names.
        known: String,
        /// The one that may have been meant.
        nearest: Option<String>,
    },
    /// A task file that cannot be meant.
    #[error("this task cannot be used: {what}\nin {path}")]
    Task {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// From reinforcement learning.
    #[error(transparent)]
    Rl(#[from] tony_rl::Error),
    /// No grader is called so.
    #[error(
        "no grader is called `{name}`: graders are regex, regex:FILE, heads:FILE, lm:MODEL, a MODEL, or on the command line URL#MODEL"
    )]
    UnknownGrader {
        /// The name.
        name: String,
        /// The one that may have been meant.
        nearest: Option<String>,
    },
    /// A gradient that is not of numbers.
    #[error(
        "the gradient of step {step} is not finite: the learning rate may be too high, or the model's weights damaged"
    )]
    NonFiniteStep {
        /// The step, from 1.
        step: u64,
    },
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A tokenizer is damaged, missing, or of another model.
    #[error("the tokenizer cannot be used: {what}\nin {path}")]
    Tokenizer {
        /// The file or folder.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A chat template failed on these messages.
    #[error("the chat template failed: {what}")]
    Template {
        /// What it said.
        what: String,
    },
    /// A policy file that cannot be meant.
    #[error("this policy cannot be used: {what}\nin {path}")]
    Policy {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Weights that cannot be meant, or belong to something else.
    #[error("these weights cannot be used: {what}\nin {path}")]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// Trained heads that cannot be read, or do not belong to what they are used with.
    #[error("these heads cannot be used: {what}\nin {path}")]
    Heads {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A file of patterns that cannot be meant.
    #[error("these patterns cannot be used: {what}\nin {path}")]
    Patterns {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A line of a data file that cannot be read.
    #[error("this data cannot be read: {what}\nin {path}:{line}")]
    Data {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong.
        what: String,
    },
    /// A model's logits are not numbers.
    #[error(
        "this model's logits are not finite numbers: its weights are damaged or too large for single precision\nin {path}"
    )]
    NonFinite {
        /// The file or folder.
        path: PathBuf,
    },
    /// A model without a chat template was given messages.
    #[error("this model has no chat template, so it takes no messages\nin {path}")]
    NoTemplate {
        /// The file or folder.
        path: PathBuf,
    },
    /// A server that is asked for verdicts gives none any more.
    #[error("this server cannot be asked: {what}\nat {url}")]
    Endpoint {
        /// Its address.
        url: String,
        /// What it said.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// A request that cannot be meant.
    #[error("{what}")]
    Invalid {
        /// What does not fit.
        what: String,
        /// What to type instead.
        hint: String,
    },
}

impl Error {
    /// What to type next, where that is known.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::NoTemplate { .. } => Some("tony generate MODEL --raw --prompt TEXT".to_owned()),
            Self::Heads { .. } => {
                Some("tony rbr heads --policy FILE --data FILE --encoder minilm --out FILE".to_owned())
            }
            Self::Run(error) => error.hint(),
            Self::Deep(tony_deep::Error::NotBuilt(device)) => {
                Some(format!("cargo build --release --features {device}, or device=cpu"))
            }
            Self::Deep(tony_deep::Error::NoDevice(_)) => Some("device=cpu".to_owned()),
            Self::Invalid { hint, .. } | Self::Endpoint { hint, .. } => Some(hint.clone()),
            Self::NonFiniteStep { .. } => Some("set lr lower, and start a new run".to_owned()),
            _ => None,
        }
    }
}
