//! Reductions and updates over flat vectors: a fixed number of virtual lanes, combined in a fixed order, so that neither the
//! instruction set nor the number of threads moves a bit.

use crate::kernels;

/// Inner product, accumulated in f64.
///
/// # Panics
/// If the lengths differ.
pub fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len(), "inner product of vectors of different lengths");
    kernels::dot(a, b)
}

/// Euclidean norm, accumulated in f64.
pub fn norm(a: &[f32]) -> f64 {
    kernels::dot(a, a).sqrt()
}

/// `y += alpha * x`.
///
/// # Panics
/// If the lengths differ.
pub fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    assert_eq!(x.len(), y.len(), "sum of vectors of different lengths");
    kernels::axpy(alpha, x, y);
}

/// `target += tau * (source - target)`: a running average of parameters.
///
/// # Panics
/// If the lengths differ.
pub fn polyak(tau: f32, source: &[f32], target: &mut [f32]) {
    assert_eq!(source.len(), target.len(), "average of vectors of different lengths");
    kernels::polyak(tau, source, target);
}

/// Scale `grad` so that its norm is at most `max`; the norm before. As `PyTorch`: the factor is `max / (norm + 1e-6)` where that is below 1.
pub fn clip_norm(grad: &mut [f32], max: f64) -> f64 {
    let norm = norm(grad);
    let factor = max / (norm + 1e-6);
    if factor < 1.0 {
        kernels::scale(factor as f32, grad);
    }
    norm
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_and_norms_of_any_length() {
        for n in [0, 1, 15, 16, 17, 100, 1_000] {
            let a: Vec<f32> = (0..n).map(|i| (i % 13) as f32 - 6.0).collect();
            let b: Vec<f32> = (0..n).map(|i| (i % 7) as f32 * 0.5).collect();
            let expected: f64 = a.iter().zip(&b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum();
            // Halves of small integers: every sum is exact in any order.
            assert_eq!(dot(&a, &b), expected);
            assert_eq!(norm(&a), dot(&a, &a).sqrt());
            let mut y = b.clone();
            axpy(2.0, &a, &mut y);
            assert!(y.iter().zip(a.iter().zip(&b)).all(|(y, (a, b))| *y == 2.0 * a + b));
        }
    }

    #[test]
    fn an_average_moves_by_its_share_and_arrives() {
        for n in [1, 16, 37] {
            let source: Vec<f32> = (0..n).map(|i| i as f32).collect();
            let mut target = vec![8.0; n];
            polyak(0.25, &source, &mut target);
            // Quarters of small integers are exact.
            assert!(target.iter().zip(&source).all(|(t, s)| *t == 6.0 + 0.25 * s), "{target:?}");
            polyak(1.0, &source, &mut target);
            assert_eq!(target, source);
        }
    }

    #[test]
    fn clipping_shortens_what_is_too_long_and_nothing_else() {
        let mut grad = vec![3.0, 4.0];
        assert_eq!(clip_norm(&mut grad, 10.0), 5.0);
        assert_eq!(grad, [3.0, 4.0]);
        assert_eq!(clip_norm(&mut grad, 0.5), 5.0);
        // The 1e-6 in the divisor, and f32.
        assert!((norm(&grad) - 0.5).abs() < 1e-6 && (grad[0] / grad[1] - 0.75).abs() < 1e-6);
    }
}
