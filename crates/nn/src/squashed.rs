//! Squashed Gaussian over rows: `a = tanh(u)`, `u = mean + exp(log_std) * noise`, with mean and log-deviation both told by the observation
//! (Haarnoja et al. 2018, appendix C).
//!
//! A row `y` of a network's output is `d` means and then `d` log-deviations, which count as the nearest of [`LOG_STD`]. `noise` is n x d standard
//! normal numbers: an action is a function of `y` and the noise, so its derivative by `y` exists. Every function panics if a slice is not of the length
//! that its documentation says.
// Said once above.
#![allow(clippy::missing_panics_doc)]

use crate::kernels::tanh;

/// Least and largest log-deviation, as in the authors' code.
pub const LOG_STD: (f32, f32) = (-20.0, 2.0);

const HALF_LOG_2PI: f64 = 0.918_938_533_204_672_8;

/// Actions (n x d) for noise (n x d), and the log-density of each row (n) on the cube `(-1, 1)^d`.
pub fn sample(y: &[f32], d: usize, noise: &[f32], action: &mut [f32], log_prob: &mut [f32]) {
    assert_eq!(
        (y.len(), action.len()),
        (2 * noise.len(), noise.len()),
        "2 d outputs for d numbers of noise and of action"
    );
    assert_eq!(log_prob.len() * d, noise.len(), "one log-density a row");
    let rows = y.chunks_exact(2 * d).zip(noise.chunks_exact(d)).zip(action.chunks_exact_mut(d));
    for (((y, noise), action), log_prob) in rows.zip(log_prob) {
        let mut sum = 0.0;
        for j in 0..d {
            let log_std = f64::from(y[d + j].clamp(LOG_STD.0, LOG_STD.1));
            let z = f64::from(noise[j]);
            let u = f64::from(y[j]) + libm::exp(log_std) * z;
            action[j] = tanh(u as f32);
            sum -= 0.5 * z * z + log_std + HALF_LOG_2PI + log_slope(u);
        }
        *log_prob = sum as f32;
    }
}

/// The middle of each row's distribution, squashed: actions (n x d).
pub fn mode(y: &[f32], d: usize, action: &mut [f32]) {
    assert_eq!(y.len(), 2 * action.len(), "2 d outputs for d numbers of action");
    for (y, action) in y.chunks_exact(2 * d).zip(action.chunks_exact_mut(d)) {
        action.iter_mut().zip(y).for_each(|(action, mean)| *action = tanh(*mean));
    }
}

/// Gradient by `y` of `sum over rows of (d_action . action + weight * log_prob)`, the noise held fixed: overwrites `dy` (n x 2 d). `action` is what
/// [`sample`] gave, `d_action` n x d.
pub fn gradient(y: &[f32], d: usize, noise: &[f32], action: &[f32], d_action: &[f32], weight: f32, dy: &mut [f32]) {
    assert_eq!((y.len(), dy.len()), (2 * noise.len(), 2 * noise.len()), "2 d outputs for d numbers of noise");
    assert_eq!((action.len(), d_action.len()), (noise.len(), noise.len()), "d numbers of action and derivative");
    let rows = y.chunks_exact(2 * d).zip(noise.chunks_exact(d)).zip(action.chunks_exact(d));
    for (((y, noise), action), (d_action, dy)) in rows.zip(d_action.chunks_exact(d).zip(dy.chunks_exact_mut(2 * d))) {
        for j in 0..d {
            // -log(1 - tanh(u)^2) has the derivative 2 tanh(u).
            let du = d_action[j] * (1.0 - action[j] * action[j]) + weight * 2.0 * action[j];
            dy[j] = du;
            // A log-deviation outside of its bounds moves nothing.
            let inside = (LOG_STD.0..=LOG_STD.1).contains(&y[d + j]);
            dy[d + j] = if inside { du * libm::expf(y[d + j]) * noise[j] - weight } else { 0.0 };
        }
    }
}

/// `log(1 - tanh(u)^2)` without cancellation: `2 (log 2 - |u| - log(1 + exp(-2 |u|)))`.
fn log_slope(u: f64) -> f64 {
    let u = u.abs();
    2.0 * (std::f64::consts::LN_2 - u - libm::log1p(libm::exp(-2.0 * u)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tony_random::Stream;

    const D: usize = 3;

    /// The same in f64, by the formula with the plain logarithm of the slope.
    fn plain(y: &[f64], noise: &[f64]) -> (Vec<f64>, f64) {
        let u: Vec<f64> = (0..D).map(|j| y[j] + y[D + j].clamp(-20.0, 2.0).exp() * noise[j]).collect();
        let one = |j: usize| {
            let normal = (-0.5 * noise[j] * noise[j]).exp()
                / ((2.0 * std::f64::consts::PI).sqrt() * y[D + j].clamp(-20.0, 2.0).exp());
            (normal / (1.0 - u[j].tanh().powi(2))).ln()
        };
        (u.iter().map(|u| u.tanh()).collect(), (0..D).map(one).sum())
    }

    fn numbers(n: usize, scale: f64, name: &str) -> Vec<f32> {
        let mut stream = Stream::new(1, name, 0);
        (0..n).map(|_| (scale * stream.normal()) as f32).collect()
    }

    fn wide(x: &[f32]) -> Vec<f64> {
        x.iter().map(|x| f64::from(*x)).collect()
    }

    #[test]
    fn actions_densities_and_their_gradients_are_those_of_the_formula() {
        let n = 50;
        let (mut y, noise) = (numbers(2 * n * D, 0.7, "y"), numbers(n * D, 1.0, "noise"));
        // Deviations beyond both bounds.
        (y[D], y[2 * D + D + 1]) = (2.5, -21.0);
        let d_action = numbers(n * D, 1.0, "derivative");
        let (mut action, mut log_prob, mut dy) = (vec![0.0; n * D], vec![0.0; n], vec![0.0; 2 * n * D]);
        sample(&y, D, &noise, &mut action, &mut log_prob);
        let weight = 0.3;
        gradient(&y, D, &noise, &action, &d_action, weight, &mut dy);
        for r in 0..n {
            let (y, noise) = (wide(&y[2 * D * r..][..2 * D]), wide(&noise[D * r..][..D]));
            let (expected, density) = plain(&y, &noise);
            for (a, e) in action[D * r..].iter().zip(&expected) {
                assert!((f64::from(*a) - e).abs() < 4e-7, "{a} {e}");
            }
            // Where tanh(u) is near 1 the plain formula itself cancels; and one rounding to f32.
            assert!(
                (f64::from(log_prob[r]) - density).abs() < 1e-5 * density.abs().max(1.0),
                "{} {density}",
                log_prob[r]
            );
            let objective = |y: &[f64]| {
                let (action, density) = plain(y, &noise);
                let linear: f64 = action.iter().zip(&d_action[D * r..]).map(|(a, d)| a * f64::from(*d)).sum();
                linear + f64::from(weight) * density
            };
            for i in 0..2 * D {
                let at = |h: f64| {
                    let mut y = y.clone();
                    y[i] += h;
                    objective(&y)
                };
                let slope = (at(1e-6) - at(-1e-6)) / 2e-6;
                let got = f64::from(dy[2 * D * r + i]);
                // f32 throughout, numbers up to a few tens; the difference is good to 1e-8 of them.
                assert!((got - slope).abs() < 1e-5 * slope.abs().max(1.0), "row {r}, {i}: {got} {slope}");
            }
        }
    }

    #[test]
    fn a_far_action_has_a_finite_density() {
        let (mut action, mut log_prob) = ([0.0; 1], [0.0; 1]);
        sample(&[50.0, 0.0], 1, &[0.0], &mut action, &mut log_prob);
        assert!(action[0] > 0.999_999_9 && action[0] <= 1.0, "{action:?}");
        // -log(1 - tanh^2) is 2 u - 2 log 2 out there.
        let expected = -HALF_LOG_2PI + 2.0 * (50.0 - std::f64::consts::LN_2);
        assert!((f64::from(log_prob[0]) - expected).abs() < 1e-5, "{log_prob:?}");
        mode(&[0.0, 0.0], 1, &mut action);
        assert_eq!(action, [0.0]);
    }

    #[test]
    fn the_density_integrates_to_one() {
        // Over the noise at y = (0.3, -0.5): the density of a is that of the noise divided by da/dz, so the integral of exp(log_prob) da is 1.
        let (mean, log_std) = (0.3_f32, -0.5_f32);
        let n = 8001;
        let noise: Vec<f32> = (0..n).map(|i| (i as f32 - 4000.0) / 500.0).collect();
        let y: Vec<f32> = (0..n).flat_map(|_| [mean, log_std]).collect();
        let (mut action, mut log_prob) = (vec![0.0; n], vec![0.0; n]);
        sample(&y, 1, &noise, &mut action, &mut log_prob);
        let trapezoid = |i: usize| {
            let width = f64::from(action[i + 1]) - f64::from(action[i]);
            0.5 * width * (f64::from(log_prob[i]).exp() + f64::from(log_prob[i + 1]).exp())
        };
        let total: f64 = (0..n - 1).map(trapezoid).sum();
        // Actions are f32: 6e-8 each of 8,000 widths, of density up to 1.
        assert!((total - 1.0).abs() < 1e-3, "{total}");
    }
}
