//! `probe-cost-v0`: one step; going right pays more and costs more.
//!
//! An action `a` in [-4, 4] pays `1 - (a - 3)^2 / 16` and costs `1 + a / 4`. Under `cost <= limit` the Lagrangian
//! `reward - multiplier (cost - limit)` is stationary where `(3 - a) / 8 = multiplier / 4`, so
//!
//! - the best action is `4 (limit - 1)` where that is below 3, else 3: the limit does not bind;
//! - the multiplier is `(3 - a) / 2`.
//!
//! A Gaussian policy of standard deviation s has the same mean and multiplier, because the cost is linear and the reward's
//! curvature only takes off `s^2 / 16`. Fails when a constraint's gradient has the wrong sign or scale, or when the multiplier
//! is not what the constraint is worth.

use super::{Action, End, Task};

/// The limit that the other constants belong to: `cost.limit=1.25`.
pub const LIMIT: f64 = 1.25;
/// Best mean action within [`LIMIT`].
pub const ACTION: f64 = 1.0;
/// Lagrange multiplier at [`LIMIT`]: reward lost for one unit of cost less.
pub const MULTIPLIER: f64 = 1.0;
/// Reward of [`ACTION`] without noise.
pub const VALUE: f64 = 0.75;
/// Best action without a limit; it costs 1.75.
pub const FREE_ACTION: f64 = 3.0;

/// Best mean action and multiplier within any limit between 0 and 2.
pub fn optimum(limit: f64) -> (f64, f64) {
    let action = (4.0 * (limit - 1.0)).min(FREE_ACTION);
    (action, (FREE_ACTION - action) / 2.0)
}

/// Reward of an action.
pub fn reward(action: f64) -> f64 {
    1.0 - (action - FREE_ACTION) * (action - FREE_ACTION) / 16.0
}

/// Cost of an action.
pub fn cost(action: f64) -> f64 {
    1.0 + action / 4.0
}

/// The probe's definition.
pub const TASK: Task = Task {
    name: "probe-cost-v0",
    summary: "reward and cost rise with the action: limit 1.25 binds at action 1 with multiplier 1",
    action: Action::Box(4.0),
    signed: false,
    horizon: 1,
    end: End::Terminates,
    reward: |_, action| reward(action),
    costs: &[("cost", cost)],
};
