//! Classic control: small problems in closed form, after Gymnasium's versions of them, and a point of our own.
//!
//! Observations of Gymnasium's tasks are rounded to `f32`, because the reference's are; the state behind them is not.

mod cartpole;
mod option_point;
mod pendulum;

pub use cartpole::CartPole;
pub use option_point::OptionPoint;
pub use pendulum::Pendulum;
