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
