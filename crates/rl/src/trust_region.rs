//! Trust-region steps: products with the inverse Fisher matrix, and a line search that cannot leave a failed trial behind.
//!
//! J. Schulman et al., "Trust Region Policy Optimization" (2015), appendix C.

use tony_run::settings;

use crate::Result;
use crate::linear::conjugate_gradient;
use crate::policy::{Batch, Policy};

settings! {
    /// Trust region
    pub struct Config {
        /// Largest mean KL divergence between the old and the new policy (delta).
        "target_kl" target_kl: f64 = 0.01, (1e-8..=1.0);
        /// Conjugate-gradient iterations for each product with the inverse Fisher matrix.
        "cg.iterations" cg_iterations: usize = 15, (1..=1000);
        /// Multiple of the identity added to the Fisher matrix.
        "cg.damping" cg_damping: f64 = 0.1, (0.0..=10.0);
        /// Factor between one trial of the line search and the next.
        "line_search.decay" decay: f64 = 0.8, (0.01..=0.99);
        /// Largest number of trials.
        "line_search.trials" trials: usize = 15, (1..=100);
        /// Passes over a batch for each critic.
        "critic.passes" critic_passes: usize = 10, (0..=10_000);
        /// Rows a gradient step of a critic; 0: the whole batch.
        "critic.minibatch" critic_minibatch: usize = 128;
    }
}

/// `H^-1 b`, where `H` is the policy's mean Fisher matrix over the batch plus damping.
pub fn inverse_fisher(policy: &mut dyn Policy, batch: &Batch, b: &[f32], config: &Config) -> Result<Vec<f32>> {
    conjugate_gradient(|v, out| damped_fisher(policy, batch, v, config, out), b, config.cg_iterations)
}

/// `(F + damping I) v`.
pub fn damped_fisher(
    policy: &mut dyn Policy,
    batch: &Batch,
    v: &[f32],
    config: &Config,
    out: &mut [f32],
) -> Result<()> {
    policy.fisher_product(batch, v, out)?;
    let damping = config.cg_damping as f32;
    out.iter_mut().zip(v).for_each(|(o, v)| *o += damping * v);
    Ok(())
}

/// A policy whose parameters are being tried out. Dropping it restores them, unless a trial was accepted.
pub struct Trial<'a> {
    policy: &'a mut dyn Policy,
    origin: Vec<f32>,
    accepted: bool,
}

impl<'a> Trial<'a> {
    /// Begin at the present parameters.
    pub fn new(policy: &'a mut dyn Policy) -> Self {
        let origin = policy.params().to_vec();
        Self { policy, origin, accepted: false }
    }

    /// Go to `origin + fraction * step` and show the policy there.
    pub fn go(&mut self, step: &[f32], fraction: f64) -> &dyn Policy {
        let fraction = fraction as f32;
        for ((param, origin), step) in self.policy.params_mut().iter_mut().zip(&self.origin).zip(step) {
            *param = origin + fraction * step;
        }
        self.policy
    }

    /// Keep the parameters as they are now.
    pub fn accept(mut self) {
        self.accepted = true;
    }
}

impl Drop for Trial<'_> {
    fn drop(&mut self) {
        if !self.accepted {
            self.policy.params_mut().copy_from_slice(&self.origin);
        }
    }
}

/// Try `step`, then ever shorter ones, until `good` accepts; restore the parameters if none is. Returns the fraction accepted.
///
/// Every rejection shrinks the step, whatever its reason: a trial that gives NaN is never tried twice.
pub fn line_search(
    policy: &mut dyn Policy,
    step: &[f32],
    config: &Config,
    mut good: impl FnMut(&dyn Policy) -> bool,
) -> Option<f64> {
    let mut trial = Trial::new(policy);
    let mut fraction = 1.0;
    for _ in 0..config.trials {
        if good(trial.go(step, fraction)) {
            trial.accept();
            return Some(fraction);
        }
        fraction *= config.decay;
    }
    None
}

/// Change of the surrogate `mean(ratio * advantage)` since the batch was collected, where every ratio was 1: the mean of
/// `(ratio - 1) * advantage`, `ratio = exp(log_prob - old)`.
pub fn surrogate_change(log_probs: &[f32], old: &[f32], advantage: &[f32]) -> f64 {
    let rows = log_probs.iter().zip(old).zip(advantage);
    let sum: f64 = rows.map(|((new, old), a)| libm::expm1(f64::from(*new) - f64::from(*old)) * f64::from(*a)).sum();
    sum / advantage.len() as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::testing::small_policy;

    #[test]
    fn a_search_that_accepts_nothing_leaves_every_bit_as_it_was() {
        let mut policy = small_policy();
        let before: Vec<u32> = policy.params().iter().map(|p| p.to_bits()).collect();
        let step = vec![0.3; before.len()];
        let mut tried = 0;
        let fraction = line_search(&mut policy, &step, &Config::default(), |_| {
            tried += 1;
            false
        });
        assert_eq!((fraction, tried), (None, 15));
        let after: Vec<u32> = policy.params().iter().map(|p| p.to_bits()).collect();
        assert_eq!(after, before);
    }

    #[test]
    fn a_search_shrinks_on_every_rejection_and_keeps_what_it_accepts() {
        let mut policy = small_policy();
        let origin = policy.params()[0];
        let step = vec![1.0; policy.params().len()];
        let mut seen = Vec::new();
        let fraction = line_search(&mut policy, &step, &Config::default(), |trial| {
            seen.push(trial.params()[0] - origin);
            seen.len() == 3
        });
        assert_eq!(fraction, Some(0.8 * 0.8));
        assert!(seen.windows(2).all(|w| w[1] < w[0]), "{seen:?}");
        // One rounding in f32 near 1.
        assert!((policy.params()[0] - origin - 0.64).abs() < 1e-6);
    }
}
