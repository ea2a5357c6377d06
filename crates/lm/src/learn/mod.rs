//! Language models that learn: from examples ([`supervised`]), and by reinforcement ([`reinforced`]).

mod examples;
mod learner;
mod optimiser;
pub mod policy;
pub mod reinforced;
pub mod rewards;
pub mod supervised;
pub mod text_env;

pub use learner::{Adapt, Config, Learner};
