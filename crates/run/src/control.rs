//! How a training is watched and stopped from outside, and how it ended: the same for everything that trains.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64};

/// Shared with whoever watches or stops a training.
#[derive(Debug, Default)]
pub struct Control {
    /// Set it, and the training ends after the present update.
    pub stop: AtomicBool,
    /// Environment steps made so far.
    pub steps: AtomicU64,
    /// What is going on: see [`phase`].
    pub phase: AtomicU8,
}

/// Values of [`Control::phase`].
pub mod phase {
    /// Environments and policy at work.
    pub const COLLECT: u8 = 0;
    /// The algorithm learns.
    pub const UPDATE: u8 = 1;
    /// A checkpoint is written.
    pub const CHECKPOINT: u8 = 2;
}

/// Where the wall time of this process's training went, in seconds. Physics and policy share the collecting time in proportion to
/// their CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Environments.
    pub physics: f64,
    /// The policy while collecting.
    pub policy: f64,
    /// The algorithm.
    pub update: f64,
    /// Metrics and checkpoints.
    pub other: f64,
    /// Floating-point operations in the algorithm's products (see `tony_nn::flop_count`).
    pub update_flops: u64,
}

impl Times {
    /// All that is not metrics or checkpoints.
    pub fn learning(&self) -> f64 {
        self.physics + self.policy + self.update
    }
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// It was asked to stop; everything up to the last update is committed.
    Stopped,
}
