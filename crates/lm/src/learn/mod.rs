//! Language models that learn: from examples ([`supervised`]), and by reinforcement ([`reinforced`]).

pub(crate) mod examples;
mod learner;
pub(crate) mod optimiser;
pub mod policy;
pub mod reinforced;
mod reward_model;
pub mod rewards;
pub mod supervised;
pub mod text_env;

pub use learner::{Adapt, Config, Device, Learner};
pub use reward_model::RewardModel;
