//! The outer loop's step: the initialisation moves along the mean direction of a meta-batch, less far as training goes on.

use tony_run::settings;

settings! {
    /// Outer loop: steps of the initialisation
    pub struct Config {
        /// Share of the mean direction that the first step goes (epsilon). 1 with annealing is intended.
        "eps.start" start: f64 = 1.0, (0.0..=1000.0);
        /// And the last one; between them it changes linearly.
        "eps.end" end: f64 = 0.0, (0.0..=1000.0);
        /// Tasks of a step, all from the same initialisation (n); 1 is the serial form.
        "meta_batch" meta_batch: usize = 5, (1..=10_000);
    }
}

/// Epsilon of step `i` (from 0) of `n`.
pub fn anneal(start: f64, end: f64, i: u64, n: u64) -> f64 {
    let done = i as f64 / n.max(1) as f64;
    start * (1.0 - done) + end * done
}

/// `phi += eps * mean of the directions`. With `phi~ - phi` as directions this is interpolation towards the mean of the `phi~`.
pub fn interpolate(phi: &mut [f32], directions: &[Vec<f32>], eps: f64) {
    let scale = eps / directions.len().max(1) as f64;
    for (i, phi) in phi.iter_mut().enumerate() {
        // Task after task: the only order that does not depend on who finished first.
        let sum: f64 = directions.iter().map(|direction| f64::from(direction[i])).sum();
        *phi = (f64::from(*phi) + scale * sum) as f32;
    }
}
