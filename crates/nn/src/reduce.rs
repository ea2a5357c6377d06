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

/// Scale `grad` so that its norm is at most `max`; the norm before. As `PyTorch`: the factor is `max / (norm + 1e-6)` where that is below 1.
pub fn clip_norm(grad: &mut [f32], max: f64) -> f64 {
    let norm = norm(grad);
    let factor = max / (norm + 1e-6);
    if factor < 1.0 {
        kernels::scale(factor as f32, grad);
    }
    norm
}
