//! Diagonal Gaussian over rows: `mean` is n x d (a network's output), `log_std` has d numbers shared by all rows.
//!
//! Sums over dimensions are taken in f64, in order; nothing is allocated. `d` is `log_std.len()`; every function panics if a slice is not of the length
//! that its documentation says.
// Said once above.
#![allow(clippy::missing_panics_doc)]

use tony_random::Stream;

/// Rows handled side by side, so that the exponential of a log-deviation is taken once for all of them.
const GROUP: usize = 64;

/// Draw an action of each row: `action = mean + exp(log_std) * z` (n x d each), `z` standard normal, row by row.
pub fn sample(mean: &[f32], log_std: &[f32], stream: &mut Stream, action: &mut [f32]) {
    rows(log_std, mean.len(), action.len());
    for (action, mean) in action.chunks_exact_mut(log_std.len()).zip(mean.chunks_exact(log_std.len())) {
        for ((action, mean), log_std) in action.iter_mut().zip(mean).zip(log_std) {
            *action = (f64::from(*mean) + libm::exp(f64::from(*log_std)) * stream.normal()) as f32;
        }
    }
}

/// Log-density of each row's action into `out` (n); `mean` and `action` are n x d.
pub fn log_prob(mean: &[f32], log_std: &[f32], action: &[f32], out: &mut [f32]) {
    let n = rows(log_std, mean.len(), action.len());
    assert_eq!(out.len(), n, "one log-density a row");
    let d = log_std.len();
    for (group, out) in out.chunks_mut(GROUP).enumerate() {
        let mut sums = [0.0; GROUP];
        for (j, log_std) in log_std.iter().enumerate() {
            let (inv_std, constant) = (libm::exp(-f64::from(*log_std)), HALF_LOG_2PI + f64::from(*log_std));
            for (r, sum) in sums[..out.len()].iter_mut().enumerate() {
                let i = (group * GROUP + r) * d + j;
                let z = (f64::from(action[i]) - f64::from(mean[i])) * inv_std;
                *sum -= 0.5 * z * z + constant;
            }
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as f32);
    }
}

/// Gradient of `sum over rows of weight * log_prob`: overwrites `d_mean` (n x d), adds to `d_log_std` (d). `weight` has n numbers.
pub fn log_prob_gradient(
    mean: &[f32],
    log_std: &[f32],
    action: &[f32],
    weight: &[f32],
    d_mean: &mut [f32],
    d_log_std: &mut [f64],
) {
    let n = rows(log_std, mean.len(), action.len());
    assert_eq!((weight.len(), d_mean.len(), d_log_std.len()), (n, mean.len(), log_std.len()), "rows, n x d, d");
    let d = log_std.len();
    for (j, (log_std, d_log_std)) in log_std.iter().zip(d_log_std).enumerate() {
        let inv_std = libm::exp(-f64::from(*log_std));
        for (r, weight) in weight.iter().enumerate() {
            let i = r * d + j;
            let z = (f64::from(action[i]) - f64::from(mean[i])) * inv_std;
            d_mean[i] = (f64::from(*weight) * z * inv_std) as f32;
            *d_log_std += f64::from(*weight) * (z * z - 1.0);
        }
    }
}

/// Entropy of the distribution, the same in every row. Its derivative by each log-deviation is 1.
pub fn entropy(log_std: &[f32]) -> f64 {
    log_std.iter().map(|log_std| f64::from(*log_std) + HALF_LOG_2PI + 0.5).sum()
}

/// `KL(0 || 1)` of each row into `out` (n); the means are n x d.
pub fn kl(mean0: &[f32], log_std0: &[f32], mean1: &[f32], log_std1: &[f32], out: &mut [f32]) {
    let n = rows(log_std0, mean0.len(), mean1.len());
    assert_eq!((out.len(), log_std1.len()), (n, log_std0.len()), "one divergence a row, d log-deviations");
    let d = log_std0.len();
    for (group, out) in out.chunks_mut(GROUP).enumerate() {
        let mut sums = [0.0; GROUP];
        for j in 0..d {
            let (s0, s1) = (f64::from(log_std0[j]), f64::from(log_std1[j]));
            let inv_std1 = libm::exp(-s1);
            // exp(2x) - 1 - 2x through expm1 keeps the digits of a small step.
            let spread = libm::expm1(2.0 * (s0 - s1)) - 2.0 * (s0 - s1);
            for (r, sum) in sums[..out.len()].iter_mut().enumerate() {
                let i = (group * GROUP + r) * d + j;
                let z = (f64::from(mean1[i]) - f64::from(mean0[i])) * inv_std1;
                *sum += 0.5 * (spread + z * z);
            }
        }
        out.iter_mut().zip(sums).for_each(|(out, sum)| *out = sum as f32);
    }
}

/// Gradient of `sum over rows of weight * KL(0 || 1)` by distribution 1: overwrites `d_mean1` (n x d), adds to `d_log_std1` (d).
pub fn kl_gradient(
    mean0: &[f32],
    log_std0: &[f32],
    mean1: &[f32],
    log_std1: &[f32],
    weight: &[f32],
    d_mean1: &mut [f32],
    d_log_std1: &mut [f64],
) {
    let n = rows(log_std0, mean0.len(), mean1.len());
    assert_eq!((weight.len(), d_mean1.len()), (n, mean1.len()), "one weight a row, n x d derivatives");
    assert_eq!(
        (log_std1.len(), d_log_std1.len()),
        (log_std0.len(), log_std0.len()),
        "d log-deviations and derivatives"
    );
    let d = log_std0.len();
    for j in 0..d {
        let (s0, s1) = (f64::from(log_std0[j]), f64::from(log_std1[j]));
        let precision = libm::exp(-2.0 * s1);
        let spread = libm::expm1(2.0 * (s0 - s1));
        for (r, weight) in weight.iter().enumerate() {
            let i = r * d + j;
            let difference = f64::from(mean1[i]) - f64::from(mean0[i]);
            d_mean1[i] = (f64::from(*weight) * difference * precision) as f32;
            d_log_std1[j] -= f64::from(*weight) * (spread + difference * difference * precision);
        }
    }
}

/// Multiply tangents of the mean (n x d) by its Fisher metric, `weight / std^2`, in place.
pub fn fisher_mean(log_std: &[f32], weight: f64, tangent: &mut [f32]) {
    rows(log_std, tangent.len(), tangent.len());
    let d = log_std.len();
    for (j, log_std) in log_std.iter().enumerate() {
        let metric = (weight * libm::exp(-2.0 * f64::from(*log_std))) as f32;
        tangent.iter_mut().skip(j).step_by(d).for_each(|t| *t *= metric);
    }
}

/// Fisher metric of each log-deviation, per row; mean and log-deviation do not interact.
pub const FISHER_LOG_STD: f64 = 2.0;

/// `log(2 pi) / 2`.
const HALF_LOG_2PI: f64 = 0.918_938_533_204_672_8;

/// Number of rows, once both n x d lengths are found to be the same whole number of rows.
fn rows(log_std: &[f32], a: usize, b: usize) -> usize {
    let d = log_std.len();
    assert!(d > 0 && a == b && a.is_multiple_of(d), "{a} and {b} numbers are not the same whole rows of {d}");
    a / d
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: usize = 3;
    /// Rows: more than a group.
    const N: usize = 100;

    fn numbers(n: usize, name: &str) -> Vec<f32> {
        let mut stream = Stream::new(1, name, 0);
        (0..n).map(|_| stream.normal() as f32).collect()
    }

    fn density(mean: &[f64], log_std: &[f64], action: &[f32]) -> f64 {
        let one = |((m, s), a): ((&f64, &f64), &f32)| {
            let variance = (2.0 * s).exp();
            -(f64::from(*a) - m).powi(2) / (2.0 * variance) - 0.5 * (2.0 * std::f64::consts::PI * variance).ln()
        };
        mean.iter().zip(log_std).zip(action).map(one).sum()
    }

    fn divergence(mean0: &[f64], log_std0: &[f64], mean1: &[f64], log_std1: &[f64]) -> f64 {
        let one = |j: usize| {
            let (v0, v1) = ((2.0 * log_std0[j]).exp(), (2.0 * log_std1[j]).exp());
            log_std1[j] - log_std0[j] + (v0 + (mean0[j] - mean1[j]).powi(2)) / (2.0 * v1) - 0.5
        };
        (0..mean0.len()).map(one).sum()
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|v| f64::from(*v)).collect()
    }

    /// Central difference of element `i`: with this step good to 1e-9 relative to values near 10.
    fn slope(at: &[f64], i: usize, f: impl Fn(&[f64]) -> f64) -> f64 {
        let shifted = |h: f64| {
            let mut at = at.to_vec();
            at[i] += h;
            f(&at)
        };
        (shifted(1e-5) - shifted(-1e-5)) / 2e-5
    }

    #[test]
    fn log_density_and_its_gradient() {
        let (mean, action, weight) = (numbers(N * D, "mean"), numbers(N * D, "action"), numbers(N, "weight"));
        let log_std = [-0.5, 0.25, -1.0];
        let (mut out, mut d_mean, mut d_log_std) = ([0.0; N], [0.0; N * D], [1.0; D]);
        log_prob(&mean, &log_std, &action, &mut out);
        log_prob_gradient(&mean, &log_std, &action, &weight, &mut d_mean, &mut d_log_std);
        let mut expected_log_std = [1.0; D];
        for r in 0..N {
            let (m, s, a) = (wide(&mean[r * D..][..D]), wide(&log_std), &action[r * D..][..D]);
            let expected = density(&m, &s, a);
            // One rounding to f32.
            assert!((f64::from(out[r]) - expected).abs() < 1e-7 * expected.abs().max(1.0));
            for j in 0..D {
                let w = f64::from(weight[r]);
                let slope_mean = w * slope(&m, j, |m| density(m, &s, a));
                assert!((f64::from(d_mean[r * D + j]) - slope_mean).abs() < 1e-6 * slope_mean.abs().max(1.0));
                expected_log_std[j] += w * slope(&s, j, |s| density(&m, s, a));
            }
        }
        for j in 0..D {
            // 100 central differences, each good to 1e-7 at worst.
            assert!((d_log_std[j] - expected_log_std[j]).abs() < 1e-5, "{d_log_std:?} {expected_log_std:?}");
        }
    }

    #[test]
    fn one_row_has_the_bits_of_a_row_among_many() {
        let (mean, action) = (numbers(N * D, "mean"), numbers(N * D, "action"));
        let (log_std, mut all, mut one) = ([-0.5, 0.25, -1.0], [0.0; N], [0.0]);
        log_prob(&mean, &log_std, &action, &mut all);
        for r in 0..N {
            log_prob(&mean[r * D..][..D], &log_std, &action[r * D..][..D], &mut one);
            assert_eq!(one[0], all[r]);
        }
    }

    #[test]
    fn divergence_and_its_gradient() {
        let (mean0, mean1, weight) = (numbers(N * D, "0"), numbers(N * D, "1"), numbers(N, "weight"));
        let (log_std0, log_std1) = ([-0.5, 0.25, -1.0], [-0.6, 0.5, -1.0]);
        let (mut out, mut d_mean, mut d_log_std) = ([0.0; N], [0.0; N * D], [0.0; D]);
        kl(&mean0, &log_std0, &mean1, &log_std1, &mut out);
        kl_gradient(&mean0, &log_std0, &mean1, &log_std1, &weight, &mut d_mean, &mut d_log_std);
        let mut expected_log_std = [0.0; D];
        let (s0, s1) = (wide(&log_std0), wide(&log_std1));
        for r in 0..N {
            let (m0, m1, w) = (wide(&mean0[r * D..][..D]), wide(&mean1[r * D..][..D]), f64::from(weight[r]));
            let expected = divergence(&m0, &s0, &m1, &s1);
            assert!(out[r] > 0.0 && (f64::from(out[r]) - expected).abs() < 1e-7 * expected.max(1.0));
            for j in 0..D {
                let slope_mean = w * slope(&m1, j, |m1| divergence(&m0, &s0, m1, &s1));
                assert!((f64::from(d_mean[r * D + j]) - slope_mean).abs() < 1e-6 * slope_mean.abs().max(1.0));
                expected_log_std[j] += w * slope(&s1, j, |s1| divergence(&m0, &s0, &m1, s1));
            }
        }
        for j in 0..D {
            assert!((d_log_std[j] - expected_log_std[j]).abs() < 1e-5 * expected_log_std[j].abs().max(1.0));
        }
        kl(&mean0, &log_std0, &mean0, &log_std0, &mut out);
        assert_eq!(out, [0.0; N]);
    }

    #[test]
    fn fisher_metric_is_the_divergence_s_second_derivative() {
        let (mean, log_std) = ([0.3, -0.7, 1.0], [-0.5, 0.25, -1.0]);
        let mut tangent = [1.0; D];
        fisher_mean(&log_std, 1.0, &mut tangent);
        for j in 0..D {
            let gradient = |shift_mean: f32, shift_log_std: f32| {
                let (mut m, mut s) = (mean, log_std);
                m[j] += shift_mean;
                s[j] += shift_log_std;
                let (mut d_mean, mut d_log_std) = ([0.0; D], [0.0; D]);
                kl_gradient(&mean, &log_std, &m, &s, &[1.0], &mut d_mean, &mut d_log_std);
                (f64::from(d_mean[j]), d_log_std[j])
            };
            let h = 1.0 / 1024.0;
            let mean_slope = (gradient(h, 0.0).0 - gradient(-h, 0.0).0) / f64::from(2.0 * h);
            let log_std_slope = (gradient(0.0, h).1 - gradient(0.0, -h).1) / f64::from(2.0 * h);
            // Arguments are rounded to f32: 6e-8 over a step of 1e-3; the third derivative adds 8/6 h^2.
            assert!((mean_slope - f64::from(tangent[j])).abs() < 3e-4 * mean_slope, "{mean_slope} {}", tangent[j]);
            assert!((log_std_slope - FISHER_LOG_STD).abs() < 5e-4, "{log_std_slope}");
        }
    }

    #[test]
    fn samples_have_the_mean_deviation_entropy_and_fisher_information() {
        let (n, log_std) = (40_000, [-1.0, 0.5]);
        let mean: Vec<f32> = (0..n).flat_map(|_| [2.0, -1.0]).collect();
        let (mut action, mut logp) = (vec![0.0; 2 * n], vec![0.0; n]);
        sample(&mean, &log_std, &mut Stream::new(3, "action", 0), &mut action);
        log_prob(&mean, &log_std, &action, &mut logp);
        // Four standard errors at 40,000: 0.02 of a standard normal, 0.03 of its square, 0.06 of the square's score.
        for j in 0..2 {
            let z = |r: usize| (f64::from(action[2 * r + j]) - f64::from(mean[j])) / f64::from(log_std[j]).exp();
            let average = |f: &dyn Fn(f64) -> f64| (0..n).map(|r| f(z(r))).sum::<f64>() / n as f64;
            assert!(average(&|z| z).abs() < 0.02);
            // E[score^2] and -E[Hessian] of a log-deviation: both the metric.
            assert!((average(&|z| (z * z - 1.0).powi(2)) - FISHER_LOG_STD).abs() < 0.15);
            assert!((average(&|z| 2.0 * z * z) - FISHER_LOG_STD).abs() < 0.06);
        }
        let surprise = -logp.iter().map(|l| f64::from(*l)).sum::<f64>() / n as f64;
        assert!((surprise - entropy(&log_std)).abs() < 0.02, "{surprise} {}", entropy(&log_std));
    }
}
