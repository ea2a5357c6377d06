//! Sparse tasks: nothing pays until something far away is reached, so that exploring is the whole problem.
//!
//! After Achiam & Sastry, *Surprise-Based Intrinsic Motivation for Deep Reinforcement Learning* (2017), whose versions of them ran
//! on `Box2D` and an early MuJoCo. Each file says what is the original's and what is not. Observations and actions are raw.

mod cartpole_swingup;
mod half_cheetah;
mod mountain_car;
mod noisy_tv;
#[cfg(test)]
mod testing;

pub use cartpole_swingup::CartpoleSwingup;
pub use half_cheetah::SparseHalfCheetah;
pub use mountain_car::SparseMountainCar;
pub use noisy_tv::NoisyTv;

/// Time limit of all of them, in steps.
const MAX_STEPS: usize = 500;
