//! `AdamW` with a schedule: Loshchilov and Hutter, "Decoupled Weight Decay Regularization", 2019.

use tony_nn::{Adam, clip_norm};
use tony_run::{Archive, choices, settings};

use crate::{Error, Result};

choices! {
    /// The learning rate after its warm-up.
    pub enum Schedule {
        /// As it is.
        Constant = "constant",
        /// To 0 along a line.
        Linear = "linear",
        /// To 0 along half a cosine.
        Cosine = "cosine",
    }
}

settings! {
    /// Optimiser
    pub struct Config {
        /// Learning rate, after its warm-up.
        "lr" lr: f64 = 2e-4, (0.0..=1.0);
        /// Share of the training in which the learning rate rises from 0.
        "lr.warmup" warmup: f64 = 0.03, (0.0..=1.0);
        /// The learning rate after its warm-up: constant, linear (to 0) or cosine (to 0).
        "lr.schedule" schedule: Schedule = Schedule::Cosine;
        /// Each step takes this times the learning rate off every learned parameter.
        "weight_decay" weight_decay: f64 = 0.0, (0.0..=1.0);
        /// Decay of the first moment.
        "adam.beta1" beta1: f64 = 0.9, (0.0..=0.999_999);
        /// Decay of the second moment.
        "adam.beta2" beta2: f64 = 0.999, (0.0..=0.999_999);
        /// Added to the root of the second moment.
        "adam.epsilon" epsilon: f64 = 1e-8, (0.0..=0.1);
        /// Largest norm of a gradient; longer ones are scaled down.
        "max_grad_norm" max_grad_norm: f64 = 1.0, (1e-6..=1e9);
    }
}

/// Moments of the learned parameters.
#[derive(Debug)]
pub struct Optimiser {
    config: Config,
    adam: Adam,
}

impl Optimiser {
    /// For `n` parameters.
    pub fn new(config: Config, n: usize) -> Self {
        Self { adam: Adam::new(n, config.beta1, config.beta2, config.epsilon), config }
    }

    /// The learning rate of a step, of which `done` of `steps` were made before.
    pub fn rate(&self, done: u64, steps: u64) -> f64 {
        let Config { lr, warmup, schedule, .. } = self.config;
        let rising = (warmup * steps as f64).ceil();
        let at = done as f64;
        if at < rising {
            return lr * (at + 1.0) / (rising + 1.0);
        }
        let share = ((at - rising) / (steps as f64 - rising).max(1.0)).min(1.0);
        lr * match schedule {
            Schedule::Constant => 1.0,
            Schedule::Linear => 1.0 - share,
            Schedule::Cosine => 0.5 * (1.0 + libm::cos(std::f64::consts::PI * share)),
        }
    }

    /// A step down `grad`, which is scaled down where it is too long. Returns the gradient's norm and the learning rate.
    pub fn step(&mut self, params: &mut [f32], grad: &mut [f32], done: u64, steps: u64) -> Result<(f64, f64)> {
        let norm = clip_norm(grad, self.config.max_grad_norm);
        if !norm.is_finite() {
            return Err(Error::NonFiniteStep { step: done + 1 });
        }
        let lr = self.rate(done, steps);
        if self.config.weight_decay > 0.0 {
            let kept = (1.0 - lr * self.config.weight_decay) as f32;
            params.iter_mut().for_each(|p| *p *= kept);
        }
        self.adam.step(params, grad, lr);
        Ok((norm, lr))
    }

    /// Write the moments.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        let (m, v, t) = self.adam.state();
        archive.put_f32("adam.m", &[m.len()], m)?;
        archive.put_f32("adam.v", &[v.len()], v)?;
        archive.put_u64("adam.t", &[1], &[t])?;
        Ok(())
    }

    /// Read back what [`Optimiser::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        let n = self.adam.state().0.len();
        let (m, v) = (archive.f32("adam.m", &[n])?, archive.f32("adam.v", &[n])?);
        let t = archive.u64("adam.t", &[1])?[0];
        self.adam.set_state(&m, &v, t).map_err(|error| Error::Invalid {
            what: error.to_string(),
            hint: "resume with the settings that the run was made with".to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_rise_and_fall() {
        let config = |schedule| Config { lr: 1.0, warmup: 0.1, schedule, ..Config::default() };
        let rates = |schedule| {
            let optimiser = Optimiser::new(config(schedule), 1);
            [0, 9, 10, 55, 100].map(|done| optimiser.rate(done, 100))
        };
        let near = |a: [f64; 5], b: [f64; 5]| assert!(a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-12), "{a:?}");
        near(rates(Schedule::Constant), [1.0 / 11.0, 10.0 / 11.0, 1.0, 1.0, 1.0]);
        near(rates(Schedule::Linear), [1.0 / 11.0, 10.0 / 11.0, 1.0, 0.5, 0.0]);
        near(rates(Schedule::Cosine), [1.0 / 11.0, 10.0 / 11.0, 1.0, 0.5, 0.0]);
    }

    #[test]
    fn decay_is_apart_from_the_moments() {
        let config =
            Config { lr: 0.1, warmup: 0.0, schedule: Schedule::Constant, weight_decay: 0.5, ..Config::default() };
        let mut optimiser = Optimiser::new(config, 2);
        let mut params = [2.0, -4.0];
        optimiser.step(&mut params, &mut [0.0, 0.0], 0, 10).unwrap();
        // Nothing but the decay: 1 - 0.1 * 0.5 of each.
        assert_eq!(params, [1.9, -3.8]);
        let error = optimiser.step(&mut params, &mut [f32::NAN, 0.0], 1, 10).unwrap_err();
        assert!(error.to_string().contains("step 2"), "{error}");
        assert_eq!(params, [1.9, -3.8]);
    }
}
