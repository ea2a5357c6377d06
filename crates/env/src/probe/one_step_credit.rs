//! `probe-one-step-credit-v0`: a sign is shown, and paid as the reward of the second and last step.
//!
//! Values are `sign * gamma` at time 0 and `sign` at time 1. Fails when discounting is off by a step, when the value
//! function does not see the observation, or when rows of different times or environments are mixed up.

use super::{Action, End, Task};

/// Value at `time` (0 or 1) of an episode with this sign.
pub fn value(sign: f64, time: usize, gamma: f64) -> f64 {
    if time == 0 { sign * gamma } else { sign }
}

/// The probe's definition.
pub const TASK: Task = Task {
    name: "probe-one-step-credit-v0",
    summary: "a sign is shown and paid a step later: values are sign x gamma, then sign",
    action: Action::Box(1.0),
    signed: true,
    horizon: 2,
    end: End::Terminates,
    reward: |state, _| if state.time == 1 { state.sign } else { 0.0 },
    costs: &[],
};
