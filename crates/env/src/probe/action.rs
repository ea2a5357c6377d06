//! `probe-action-v0` and `probe-action-discrete-v0`: one step whose reward depends on the action and on a shown sign.
//!
//! Fails when the policy's gradient has the wrong sign, or when observations, actions and advantages of different rows are
//! mixed up.

use super::{Action, End, Task};

/// Value of every state under the best action.
pub const VALUE: f64 = 1.0;

/// Best action of `probe-action-v0`; the reward is `1 - (action - best)^2`.
pub fn best(sign: f64) -> f64 {
    sign / 2.0
}

/// Best action of `probe-action-discrete-v0`; it pays 1, the other 0.
pub fn best_index(sign: f64) -> usize {
    usize::from(sign > 0.0)
}

/// The continuous probe's definition.
pub const CONTINUOUS: Task = Task {
    name: "probe-action-v0",
    summary: "one step that pays 1 - (action - sign/2)^2: the best action is sign/2",
    action: Action::Box(2.0),
    signed: true,
    horizon: 1,
    end: End::Terminates,
    reward: |state, action| VALUE - (action - best(state.sign)) * (action - best(state.sign)),
    costs: &[],
};

/// The discrete probe's definition.
pub const DISCRETE: Task = Task {
    name: "probe-action-discrete-v0",
    summary: "one step that pays 1 for the action that fits the sign",
    action: Action::Discrete(2),
    signed: true,
    horizon: 1,
    end: End::Terminates,
    reward: |state, action| if action as usize == best_index(state.sign) { VALUE } else { 0.0 },
    costs: &[],
};
