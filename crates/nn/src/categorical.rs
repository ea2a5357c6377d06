//! Categorical distribution over rows of logits (n x k), through a stable log-softmax in f64.
//!
//! Every function panics if a slice is not of the length that its documentation says.
// Said once above.
#![allow(clippy::missing_panics_doc)]

use tony_random::Stream;

/// Log-probabilities of one row of logits into `out` (k).
pub fn log_softmax(logits: &[f32], out: &mut [f64]) {
    assert_eq!(logits.len(), out.len(), "one log-probability a logit");
    let shift = log_normaliser(logits);
    out.iter_mut().zip(logits).for_each(|(out, logit)| *out = f64::from(*logit) - shift);
}

/// `log(sum(exp(logits)))`, shifted by the largest logit.
fn log_normaliser(logits: &[f32]) -> f64 {
    let largest = f64::from(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max));
    largest + libm::log(logits.iter().map(|logit| libm::exp(f64::from(*logit) - largest)).sum())
}

/// Draw the action of each row of `logits` (n x k) into `action` (n): one uniform number a row, inverted through the distribution function.
pub fn sample(logits: &[f32], k: usize, stream: &mut Stream, action: &mut [u32]) {
    check(logits, k, action.len());
    for (action, logits) in action.iter_mut().zip(logits.chunks_exact(k)) {
        let shift = log_normaliser(logits);
        let mut left = stream.uniform();
        // Rounding may leave a sliver above the last sum; it belongs to the last action.
        *action = k as u32 - 1;
        for (i, logit) in logits.iter().enumerate() {
            left -= libm::exp(f64::from(*logit) - shift);
            if left < 0.0 {
                *action = i as u32;
                break;
            }
        }
    }
}

/// The most probable action of each row into `action` (n); the first of equals.
pub fn mode(logits: &[f32], k: usize, action: &mut [u32]) {
    check(logits, k, action.len());
    for (action, logits) in action.iter_mut().zip(logits.chunks_exact(k)) {
        let best = (1..k).fold(0, |best, i| if logits[i] > logits[best] { i } else { best });
        *action = best as u32;
    }
}

/// Log-probability of each row's action into `out` (n).
pub fn log_prob(logits: &[f32], k: usize, action: &[u32], out: &mut [f32]) {
    check(logits, k, action.len());
    assert_eq!(out.len(), action.len(), "one log-probability a row");
    for ((out, action), logits) in out.iter_mut().zip(action).zip(logits.chunks_exact(k)) {
        *out = (f64::from(logits[*action as usize]) - log_normaliser(logits)) as f32;
    }
}

/// Entropy of each row into `out` (n).
pub fn entropy(logits: &[f32], k: usize, out: &mut [f32]) {
    check(logits, k, out.len());
    for (out, logits) in out.iter_mut().zip(logits.chunks_exact(k)) {
        *out = row_entropy(logits, log_normaliser(logits)) as f32;
    }
}

fn row_entropy(logits: &[f32], shift: f64) -> f64 {
    -logits.iter().map(|logit| f64::from(*logit) - shift).map(|l| times(libm::exp(l), l)).sum::<f64>()
}

/// `p * l` where an impossible outcome (`l` minus infinity) counts 0.
fn times(p: f64, l: f64) -> f64 {
    if p == 0.0 { 0.0 } else { p * l }
}

/// Gradient by the logits of `sum over rows of weight * log_prob(action) + entropy_weight * entropy`: overwrites `d_logits` (n x k).
pub fn log_prob_gradient(
    logits: &[f32],
    k: usize,
    action: &[u32],
    weight: &[f32],
    entropy_weight: f64,
    d_logits: &mut [f32],
) {
    check(logits, k, action.len());
    assert_eq!((weight.len(), d_logits.len()), (action.len(), logits.len()), "one weight a row, n x k derivatives");
    let rows = logits.chunks_exact(k).zip(d_logits.chunks_exact_mut(k));
    for ((logits, d_logits), (action, weight)) in rows.zip(action.iter().zip(weight)) {
        let shift = log_normaliser(logits);
        let entropy = if entropy_weight == 0.0 { 0.0 } else { row_entropy(logits, shift) };
        for (i, (logit, d)) in logits.iter().zip(d_logits).enumerate() {
            let l = f64::from(*logit) - shift;
            let p = libm::exp(l);
            let chosen = f64::from(u8::from(i == *action as usize));
            let spread = if entropy_weight == 0.0 { 0.0 } else { times(p, l) + p * entropy };
            *d = (f64::from(*weight) * (chosen - p) - entropy_weight * spread) as f32;
        }
    }
}

/// `KL(0 || 1)` of each row into `out` (n).
pub fn kl(logits0: &[f32], logits1: &[f32], k: usize, out: &mut [f32]) {
    check(logits0, k, out.len());
    check(logits1, k, out.len());
    for ((out, row0), row1) in out.iter_mut().zip(logits0.chunks_exact(k)).zip(logits1.chunks_exact(k)) {
        let (shift0, shift1) = (log_normaliser(row0), log_normaliser(row1));
        let terms = row0.iter().zip(row1).map(|(a, b)| (f64::from(*a) - shift0, f64::from(*b) - shift1));
        // A divergence is never negative; rounding may be.
        *out = terms.map(|(l0, l1)| times(libm::exp(l0), l0 - l1)).sum::<f64>().max(0.0) as f32;
    }
}

/// Gradient by `logits1` of `sum over rows of weight * KL(0 || 1)`: overwrites `d_logits1` (n x k).
pub fn kl_gradient(logits0: &[f32], logits1: &[f32], k: usize, weight: &[f32], d_logits1: &mut [f32]) {
    check(logits0, k, weight.len());
    check(logits1, k, weight.len());
    assert_eq!(d_logits1.len(), logits1.len(), "n x k derivatives");
    let rows = logits0.chunks_exact(k).zip(logits1.chunks_exact(k)).zip(d_logits1.chunks_exact_mut(k));
    for (((row0, row1), d), weight) in rows.zip(weight) {
        let (shift0, shift1) = (log_normaliser(row0), log_normaliser(row1));
        for ((d, a), b) in d.iter_mut().zip(row0).zip(row1) {
            let (p0, p1) = (libm::exp(f64::from(*a) - shift0), libm::exp(f64::from(*b) - shift1));
            *d = (f64::from(*weight) * (p1 - p0)) as f32;
        }
    }
}

/// Multiply tangents of the logits (n x k) by `weight` times their Fisher metric, `diag(p) - p p'`, in place.
pub fn fisher(logits: &[f32], k: usize, weight: f64, tangent: &mut [f32]) {
    assert_eq!(tangent.len(), logits.len(), "n x k tangents");
    check(logits, k, logits.len() / k.max(1));
    for (logits, tangent) in logits.chunks_exact(k).zip(tangent.chunks_exact_mut(k)) {
        let shift = log_normaliser(logits);
        let p = |i: usize| libm::exp(f64::from(logits[i]) - shift);
        let mean: f64 = tangent.iter().enumerate().map(|(i, t)| p(i) * f64::from(*t)).sum();
        for (i, t) in tangent.iter_mut().enumerate() {
            *t = (weight * p(i) * (f64::from(*t) - mean)) as f32;
        }
    }
}

fn check(logits: &[f32], k: usize, n: usize) {
    assert!(k > 0 && n.checked_mul(k) == Some(logits.len()), "{} logits are no {n} rows of {k}", logits.len());
}

#[cfg(test)]
mod tests {
    use super::*;

    const K: usize = 4;
    const N: usize = 9;

    fn numbers(n: usize, name: &str) -> Vec<f32> {
        let mut stream = Stream::new(1, name, 0);
        (0..n).map(|_| 2.0 * stream.normal() as f32).collect()
    }

    fn wide(values: &[f32]) -> Vec<f64> {
        values.iter().map(|v| f64::from(*v)).collect()
    }

    fn probabilities(logits: &[f64]) -> Vec<f64> {
        let sum: f64 = logits.iter().map(|l| l.exp()).sum();
        logits.iter().map(|l| l.exp() / sum).collect()
    }

    fn slope(at: &[f64], i: usize, f: impl Fn(&[f64]) -> f64) -> f64 {
        let shifted = |h: f64| {
            let mut at = at.to_vec();
            at[i] += h;
            f(&at)
        };
        (shifted(1e-5) - shifted(-1e-5)) / 2e-5
    }

    fn entropy_of(logits: &[f64]) -> f64 {
        -probabilities(logits).iter().map(|p| p * p.ln()).sum::<f64>()
    }

    fn divergence(logits0: &[f64], logits1: &[f64]) -> f64 {
        probabilities(logits0).iter().zip(probabilities(logits1)).map(|(p, q)| p * (p / q).ln()).sum()
    }

    #[test]
    fn probabilities_sum_to_one_even_far_out() {
        for logits in
            [[0.0, 0.0, 0.0, 0.0], [1e4, -1e4, 0.0, 1e4], [-3e38, -3e38, 0.0, 1.0], [f32::NEG_INFINITY, 0.0, 1.0, 2.0]]
        {
            let mut out = [0.0; K];
            log_softmax(&logits, &mut out);
            let sum: f64 = out.iter().map(|l| l.exp()).sum();
            // Four f64 exponentials of arguments up to 1e4 in magnitude.
            assert!((sum - 1.0).abs() < 1e-11, "{logits:?} {sum}");
        }
    }

    #[test]
    fn values_and_gradients() {
        let (logits, other, weight) = (numbers(N * K, "0"), numbers(N * K, "1"), numbers(N, "weight"));
        let action: Vec<u32> = (0..N as u32).map(|r| r % K as u32).collect();
        let (mut logp, mut h, mut d) = ([0.0; N], [0.0; N], [0.0; N]);
        let (mut d_logits, mut d_other) = ([0.0; N * K], [0.0; N * K]);
        log_prob(&logits, K, &action, &mut logp);
        entropy(&logits, K, &mut h);
        kl(&logits, &other, K, &mut d);
        log_prob_gradient(&logits, K, &action, &weight, 0.3, &mut d_logits);
        kl_gradient(&logits, &other, K, &weight, &mut d_other);
        for r in 0..N {
            let (l, o, a) = (wide(&logits[r * K..][..K]), wide(&other[r * K..][..K]), action[r] as usize);
            let w = f64::from(weight[r]);
            // One rounding to f32 of numbers below 16.
            assert!((f64::from(logp[r]) - probabilities(&l)[a].ln()).abs() < 1e-6);
            assert!((f64::from(h[r]) - entropy_of(&l)).abs() < 1e-6);
            assert!((f64::from(d[r]) - divergence(&l, &o)).abs() < 1e-6);
            for i in 0..K {
                let loss = |l: &[f64]| w * probabilities(l)[a].ln() + 0.3 * entropy_of(l);
                assert!((f64::from(d_logits[r * K + i]) - slope(&l, i, loss)).abs() < 1e-6);
                assert!((f64::from(d_other[r * K + i]) - w * slope(&o, i, |o| divergence(&l, o))).abs() < 1e-6);
            }
        }
        kl(&logits, &logits, K, &mut d);
        assert_eq!(d, [0.0; N]);
    }

    #[test]
    fn fisher_is_the_second_derivative_of_the_divergence_and_minus_the_mean_hessian() {
        let logits = [0.5, -1.0, 2.0, 0.0];
        let l = wide(&logits);
        let p = probabilities(&l);
        for j in 0..K {
            let mut tangent = [0.0; K];
            tangent[j] = 1.0;
            fisher(&logits, K, 1.0, &mut tangent);
            for i in 0..K {
                // First derivative by formula (p1 - p0), second by difference.
                let second = slope(&l, j, |l| probabilities(l)[i] - p[i]);
                let hessian = |a: usize| slope(&l, j, |l| f64::from(u8::from(a == i)) - probabilities(l)[i]);
                let mean: f64 = (0..K).map(|a| p[a] * hessian(a)).sum();
                assert!((f64::from(tangent[i]) - second).abs() < 1e-7 && (f64::from(tangent[i]) + mean).abs() < 1e-7);
            }
        }
    }

    #[test]
    fn samples_have_the_probabilities_and_never_the_impossible() {
        let n = 40_000;
        let row = [0.0, 1.0, f32::NEG_INFINITY, -1.0];
        let logits: Vec<f32> = (0..n).flat_map(|_| row).collect();
        let mut action = vec![0; n];
        sample(&logits, K, &mut Stream::new(2, "action", 0), &mut action);
        let p = probabilities(&wide(&row));
        for (i, p) in p.iter().enumerate() {
            let share = action.iter().filter(|a| **a == i as u32).count() as f64 / n as f64;
            // Four standard errors of a share are at most 0.01.
            assert!((share - p).abs() < 0.01 && (*p > 0.0 || share == 0.0), "{i}: {share} for {p}");
        }
        let mut best = [0; 1];
        mode(&row, K, &mut best);
        assert_eq!(best, [1]);
        let mut h = [0.0];
        entropy(&row, K, &mut h);
        assert!((f64::from(h[0]) + p.iter().filter(|p| **p > 0.0).map(|p| p * p.ln()).sum::<f64>()).abs() < 1e-6);
    }
}
