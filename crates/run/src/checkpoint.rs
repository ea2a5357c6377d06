//! The commit protocol.
use crate::Archive;

/// What is needed to go on.
#[derive(Clone, Copy, Debug)]
pub struct Checkpoint<'a> {
    /// Environment steps taken so far.
    pub steps: u64,
    /// Updates done so far.
    pub updates: u64,
    /// Seconds of work so far, over all processes that worked on the run.
    pub seconds: f64,
    /// The policy, ready to act.
    pub policy: &'a Archive,
    /// Everything else that the next update depends on.
    pub trainer: &'a Archive,
}

/// A checkpoint that was read back.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// Environment steps taken so far.
    pub steps: u64,
    /// Updates done so far.
    pub updates: u64,
    /// Seconds of work so far.
    pub seconds: f64,
    /// The policy, ready to act.
    pub policy: Archive,
    /// Everything else that the next update depends on.
    pub trainer: Archive,
    /// Name of the checkpoint's folder, for example `0001200`.
    pub name: String,
    /// What was wrong with newer checkpoints, one line each.
    pub warnings: Vec<String>,
    /// Length of `metrics.jsonl` at that time, in bytes.
    pub(crate) metrics_len: u64,
    /// Length of the TensorBoard file at that time, in bytes.
    pub(crate) events_len: u64,
}
