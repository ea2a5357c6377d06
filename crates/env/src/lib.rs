//! Environments.
//!
//! An [`Env`] writes into rows that the caller owns, never resets itself, and returns costs as named channels. The collector
//! resets, so no row crosses an episode and a time limit is never mistaken for a death.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod frame;
pub mod mjcf;
pub mod numpy;
pub mod recording;
pub mod space;

use frame::Frame;
use space::Space;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in an environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No environment has this name.
    #[error("no environment is called `{name}`")]
    UnknownName {
        /// The name that was asked for.
        name: String,
        /// Nearest known name, if one is near.
        nearest: Option<String>,
    },
    /// A saved state does not belong to this environment or is damaged.
    #[error("the saved state of {env} cannot be used: {reason}")]
    BadState {
        /// Environment's name.
        env: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A recorded episode is damaged or of another format.
    #[error("the recorded episode cannot be used: {reason}")]
    BadRecording {
        /// What is wrong with it.
        reason: String,
    },
}

/// What an environment is, fixed for its lifetime.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Full name with version suffix, for example `SafetyPointGoal1-v0`.
    pub name: String,
    /// Length of an observation row.
    pub obs_dim: usize,
    /// Actions that [`Env::step`] takes.
    pub action: Space,
    /// Names of the cost channels, in the order of the `costs` row. Where there is any, the last is `cost`: the documented
    /// sum of the others (for Safety-Gymnasium the indicator of the sum).
    pub costs: Vec<String>,
    /// Time limit in steps: the step that reaches it returns `truncated`.
    pub max_steps: usize,
}

/// What one step gave, besides the rows it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Reward of the step.
    pub reward: f64,
    /// The task ended here: nothing follows, the value of the next state is 0.
    pub terminated: bool,
    /// The clock ran out: the next state has a value, it was just not visited.
    pub truncated: bool,
}

/// A Markov decision process with costs.
///
/// Rows are `f64` because the physics is; learners narrow them. After `terminated` or `truncated` the caller resets.
pub trait Env: Send {
    /// What this environment is.
    fn spec(&self) -> &Spec;

    /// Start an episode that is a function of `seed` alone and write its first observation (`[obs_dim]`).
    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()>;

    /// Take one action (`Space::row_len` numbers; a discrete action is its index as a number) and write the next
    /// observation (`[obs_dim]`) and costs (`[costs.len()]`).
    /// A continuous action outside the box is clipped to it.
    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step>;

    /// Everything that the future of this episode depends on, appended to `out`.
    fn save(&self, out: &mut Vec<u8>);

    /// Go on exactly from what [`Env::save`] wrote.
    fn load(&mut self, state: &[u8]) -> Result<()>;

    /// Only the physics calls of one step, controls held: nothing is observed, rewarded or drawn. The number of physics steps
    /// made; 0 for a task without a physics engine. Benchmarks measure [`Env::step`] against it; the episode is spoilt after.
    fn bare_physics(&mut self) -> Result<u32> {
        Ok(0)
    }

    /// Simulated seconds that one step takes: the pace of a replay.
    fn step_seconds(&self) -> f64 {
        0.02
    }

    /// A picture of the present state for replays. The default shows nothing.
    fn frame(&self) -> Frame {
        Frame::default()
    }
}
