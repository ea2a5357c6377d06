//! `probe-time-limit-v0`: one state, reward 1 a step, cut by the clock after five.
//!
//! The clock is not observed, so the state is the same for ever and its value `1 / (1 - gamma)`. An algorithm that takes
//! the time limit for a death finds at most `value_if_death`, which at gamma 0.9 is 2.6 instead of 10.

use super::{Action, End, Task};

/// Steps of an episode.
pub const HORIZON: usize = 5;

/// Value of the only state.
pub fn value(gamma: f64) -> f64 {
    1.0 / (1.0 - gamma)
}

/// What the mistake finds: the discounted sum to the end of the episode, averaged over its steps.
pub fn value_if_death(gamma: f64) -> f64 {
    let sum = |left: usize| (0..left).map(|t| gamma.powi(t as i32)).sum::<f64>();
    (1..=HORIZON).map(sum).sum::<f64>() / HORIZON as f64
}

/// The probe's definition.
pub const TASK: Task = Task {
    name: "probe-time-limit-v0",
    summary: "reward 1 for ever, cut by the clock: the value is 1/(1 - gamma)",
    action: Action::Box(1.0),
    signed: false,
    horizon: HORIZON,
    end: End::RunsOut,
    reward: |_, _| 1.0,
    costs: &[],
};
