//! Settings, run folders, checkpoints, metrics, statistics.
//!
//! Everything that happened in a run is one folder, and everything needed to go on is one committed sub-folder of it:
//!
//! ```text
//! runs/cpo-SafetyPointGoal1-0007/
//!   plan.toml        resolved settings, each with where it came from
//!   manifest.json    what ran: version, commit, processor, threads, seed, parent run
//!   metrics.jsonl    one object an update            events.out.tfevents.*  the same, for TensorBoard
//!   checkpoints/0001200/{policy.safetensors, trainer.safetensors, state.json, COMMIT.json}
//!   episodes/        recorded episodes               report.html            exit.json  how it ended
//! ```
//!
//! - [`settings`] turns defaults, a preset, a file and the command line into one typed [`Plan`].
//! - [`RunFolder`] owns the folder; [`checkpoint`] is its commit protocol, [`events`] its TensorBoard file.
//! - [`Training`] is the loop from one line of the records to the next.
//! - [`Archive`] holds named tensors, [`Metrics`] the quantities of one update, [`stats`] intervals for reports.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod archive;
pub mod checkpoint;
mod control;
mod disk;
mod error;
pub mod events;
mod folder;
mod manifest;
mod metrics;
mod plan;
pub mod settings;
pub mod stats;
mod training;

pub use archive::Archive;
pub use checkpoint::{Checkpoint, Loaded, Part};
pub use control::{Control, Outcome, Times, phase};
pub use disk::replace;
pub use error::{Error, Result};
pub use folder::{Exit, RunFolder, RunState, RunSummary, RunView, Samples, list_runs};
pub use manifest::Manifest;
pub use metrics::Metrics;
pub use plan::{Entry, Layer, Plan, Source};
pub use settings::{Field, Limits, Settings, nearest};
pub use stats::Stat;
pub use training::{Tally, Training};
