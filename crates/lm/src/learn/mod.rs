//! Language models that learn: from examples ([`supervised`]), and by reinforcement.

mod examples;
mod learner;
mod optimiser;
pub mod supervised;

pub use learner::{Adapt, Config, Learner};
