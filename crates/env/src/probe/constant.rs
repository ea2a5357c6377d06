//! `probe-constant-v0`: one state, one step, reward 1 whatever is done.
//!
//! The value is 1. Fails when the value function does not learn, or when something follows a terminal step.

use super::{Action, End, Task};

/// Value of the only state.
pub const VALUE: f64 = 1.0;

/// The probe's definition.
pub const TASK: Task = Task {
    name: "probe-constant-v0",
    summary: "one state, one step, reward 1: the value is 1",
    action: Action::Box(1.0),
    signed: false,
    horizon: 1,
    end: End::Terminates,
    reward: |_, _| VALUE,
    costs: &[],
};
