//! `probe-two-costs-v0`: ten steps, two costs that rise with the action, one steeply and one gently.
//!
//! Each step pays what `probe-cost-v0` pays, `1 - (a - 3)^2 / 16`, and costs `steep = 1 + a / 4` and `gentle = 1 + a / 8`. With
//! both *episode* costs limited to 12.5, `steep` allows actions up to 1 and `gentle` up to 2: `steep` binds with multiplier
//! 1, and `gentle` rests at 11.25 with multiplier 0. Limited alone, `gentle` binds at action 2 with multiplier 1. Fails when
//! constraints are mixed up, when one that does not bind pulls, or when the cost of a step is compared with the limit of an
//! episode.

use super::{Action, End, Task, cost};

/// Steps of an episode.
pub const HORIZON: usize = 10;
/// Limit of each channel's episode cost: `cost.limit.steep=12.5 cost.limit.gentle=12.5`.
pub const LIMIT: f64 = 12.5;
/// Best mean action within both limits.
pub const ACTION: f64 = 1.0;
/// Multipliers of `steep` and `gentle` there.
pub const MULTIPLIERS: [f64; 2] = [1.0, 0.0];
/// Episode costs of `steep` and `gentle` there.
pub const COSTS: [f64; 2] = [12.5, 11.25];
/// Return of [`ACTION`] without noise.
pub const RETURN: f64 = 7.5;

/// Steep cost of an action.
pub fn steep(action: f64) -> f64 {
    1.0 + action / 4.0
}

/// Gentle cost of an action.
pub fn gentle(action: f64) -> f64 {
    1.0 + action / 8.0
}

/// The probe's definition.
pub const TASK: Task = Task {
    name: "probe-two-costs-v0",
    summary: "two costs limited to 12.5 an episode: only `steep` binds, at action 1 with multiplier 1",
    action: Action::Box(4.0),
    signed: false,
    horizon: HORIZON,
    end: End::Terminates,
    reward: |_, action| cost::reward(action),
    costs: &[("steep", steep), ("gentle", gentle)],
};
