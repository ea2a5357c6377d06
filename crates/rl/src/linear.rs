//! The two linear solvers: conjugate gradient for the millions of a Fisher matrix, elimination for the handful of constraints.

use tony_nn::dot;

use crate::Result;

/// Solve `A x = b` for a symmetric positive definite `A`, given as a product.
///
/// Stops after `iterations`, or when the residual has shrunk by 1e-5 *relative* to `b`, so that a tiny `b` is solved as
/// accurately as a large one.
pub fn conjugate_gradient(
    mut product: impl FnMut(&[f32], &mut [f32]) -> Result<()>,
    b: &[f32],
    iterations: usize,
) -> Result<Vec<f32>> {
    // Scaling b to unit length keeps every intermediate in the range of f32.
    let scale = dot(b, b).sqrt();
    let mut x = vec![0.0_f32; b.len()];
    if scale == 0.0 {
        return Ok(x);
    }
    let mut residual: Vec<f32> = b.iter().map(|v| (f64::from(*v) / scale) as f32).collect();
    let mut direction = residual.clone();
    let mut image = vec![0.0; b.len()];
    let mut rr = dot(&residual, &residual);
    for _ in 0..iterations {
        if rr < 1e-10 {
            break;
        }
        product(&direction, &mut image)?;
        let curvature = dot(&direction, &image);
        if curvature <= 0.0 {
            break;
        }
        let alpha = (rr / curvature) as f32;
        for i in 0..x.len() {
            x[i] += alpha * direction[i];
            residual[i] -= alpha * image[i];
        }
        let next = dot(&residual, &residual);
        let beta = (next / rr) as f32;
        for (d, r) in direction.iter_mut().zip(&residual) {
            *d = r + beta * *d;
        }
        rr = next;
    }
    x.iter_mut().for_each(|v| *v = (f64::from(*v) * scale) as f32);
    Ok(x)
}

/// Gaussian elimination with pivoting; `None` where the matrix is singular (parallel constraints: a smaller set will do).
pub fn eliminate(matrix: &[Vec<f64>], rhs: &[f64]) -> Option<Vec<f64>> {
    let n = rhs.len();
    let mut rows: Vec<Vec<f64>> =
        matrix.iter().zip(rhs).map(|(row, b)| row.iter().copied().chain([*b]).collect()).collect();
    for column in 0..n {
        let pivot = (column..n).max_by(|&i, &j| rows[i][column].abs().total_cmp(&rows[j][column].abs()))?;
        rows.swap(column, pivot);
        let lead = rows[column].clone();
        if lead[column].abs() <= 1e-13 * matrix[column][column].abs() {
            return None;
        }
        for (i, row) in rows.iter_mut().enumerate() {
            if i != column {
                let factor = row[column] / lead[column];
                row.iter_mut().zip(&lead).for_each(|(x, l)| *x -= factor * l);
            }
        }
    }
    Some((0..n).map(|i| rows[i][n] / rows[i][i]).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conjugate_gradient_solves_and_is_blind_to_the_scale_of_b() {
        let diagonal: Vec<f32> = (1..=8).map(|i| i as f32).collect();
        let product = |v: &[f32], out: &mut [f32]| {
            for i in 0..8 {
                // Tridiagonal, positive definite by dominance.
                let off = if i > 0 { v[i - 1] } else { 0.0 } + if i < 7 { v[i + 1] } else { 0.0 };
                out[i] = diagonal[i] * v[i] * 3.0 + 0.5 * off;
            }
            Ok(())
        };
        for scale in [1.0_f32, 1e-12] {
            let b: Vec<f32> = (0..8).map(|i| scale * (i as f32 - 2.5)).collect();
            let x = conjugate_gradient(product, &b, 20).unwrap();
            let mut back = vec![0.0; 8];
            product(&x, &mut back).unwrap();
            for (l, r) in back.iter().zip(&b) {
                // The stopping rule: residual below 1e-5 of |b|, and |b| < 7.
                assert!((l - r).abs() < 1e-4 * scale, "{back:?} {b:?}");
            }
        }
    }

    #[test]
    fn elimination_solves_and_refuses_a_singular_matrix() {
        let matrix = vec![vec![0.0, 2.0, 1.0], vec![2.0, 1.0, 0.0], vec![1.0, 0.0, 3.0]];
        let x = eliminate(&matrix, &[7.0, 4.0, 10.0]).unwrap();
        for (row, b) in matrix.iter().zip([7.0, 4.0, 10.0]) {
            let back: f64 = row.iter().zip(&x).map(|(a, x)| a * x).sum();
            // A few roundings of numbers near ten.
            assert!((back - b).abs() < 1e-12);
        }
        assert_eq!(eliminate(&[vec![1.0, 2.0], vec![2.0, 4.0]], &[1.0, 1.0]), None);
    }
}
