//! Classic control: small problems in closed form, after Gymnasium's versions of them.
//!
//! Observations are rounded to `f32`, because the reference's are; the state behind them is not.

mod cartpole;
mod pendulum;

pub use cartpole::CartPole;
pub use pendulum::Pendulum;
