//! Classic control: small problems in closed form, after Gymnasium's versions of them, and a point of our own.
//!
//! Observations of Gymnasium's tasks are rounded to `f32`, because the reference's are; the state behind them is not.

mod acrobot;
mod cartpole;
mod mountain_car;
mod pendulum;

pub use acrobot::Acrobot;
pub use cartpole::CartPole;
pub use mountain_car::{MountainCar, MountainCarContinuous};
pub use pendulum::Pendulum;

use crate::Env;

/// A task whose inner state is a few numbers, which recordings of it hold.
pub(crate) trait ClosedForm: Env {
    /// The inner state.
    fn state(&self) -> &[f64];

    /// Go to an inner state as one in which an episode starts, and observe it. `false`, and nothing done, if it has another length.
    fn set_state(&mut self, state: &[f64], obs: &mut [f64]) -> bool;
}

/// [`ClosedForm`] of a task with the fields `state` and `steps` and a method `observe`.
macro_rules! closed_form {
    ($task:ty) => {
        impl super::ClosedForm for $task {
            fn state(&self) -> &[f64] {
                &self.state
            }

            fn set_state(&mut self, state: &[f64], obs: &mut [f64]) -> bool {
                let Ok(state) = state.try_into() else { return false };
                self.state = state;
                self.steps = 0;
                self.observe(obs);
                true
            }
        }
    };
}
use closed_form;
