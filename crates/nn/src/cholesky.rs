//! Symmetric positive definite systems, in f64.

use crate::kernels;
use crate::simd::path;

/// A Cholesky factor `L`, lower triangular, of a matrix `L L'`.
#[derive(Clone, Debug)]
pub struct Cholesky {
    factor: Vec<f64>,
}

impl Cholesky {
    /// Factor `matrix` (n x n, row after row, symmetric: only its lower triangle is read) plus `damping` times the identity. `None` where the sum is
    /// not positive definite to working precision, or not finite.
    ///
    /// # Panics
    /// If `matrix` is not of `n * n` numbers.
    pub fn new(matrix: &[f64], n: usize, damping: f64) -> Option<Self> {
        let mut factor = matrix.to_vec();
        factor.iter_mut().step_by(n + 1).for_each(|diagonal| *diagonal += damping);
        kernels::cholesky(path(), &mut factor, n).then_some(Self { factor })
    }

    /// Solve `L L' x = b`: `x` holds `b` and then the solution.
    ///
    /// # Panics
    /// If `x` is not of `n` numbers.
    pub fn solve(&self, x: &mut [f64]) {
        kernels::cholesky_solve(path(), &self.factor, x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd;
    use tony_random::Stream;

    /// `B B'` plus a little, for a random `B`.
    fn matrix(n: usize) -> Vec<f64> {
        let mut stream = Stream::new(n as u64, "matrix", 0);
        let b: Vec<f64> = (0..n * n).map(|_| stream.normal()).collect();
        let entry =
            |i: usize, j: usize| (0..n).map(|k| b[i * n + k] * b[j * n + k]).sum::<f64>() + f64::from(u8::from(i == j));
        (0..n * n).map(|at| entry(at / n, at % n)).collect()
    }

    #[test]
    fn solutions_solve_at_any_size_and_on_any_instruction_set() {
        // Around the panel of 32 and the tiles of 4 x 8.
        for n in [1, 2, 7, 31, 32, 33, 36, 64, 101] {
            let a = matrix(n);
            let b: Vec<f64> = (0..n).map(|i| libm::sin(i as f64)).collect();
            let solve = || {
                let mut x = b.clone();
                Cholesky::new(&a, n, 0.5).unwrap().solve(&mut x);
                x
            };
            let x = simd::with_path(simd::Path::Portable, solve);
            for i in 0..n {
                let image: f64 = (0..n).map(|j| a[i * n + j] * x[j]).sum::<f64>() + 0.5 * x[i];
                // The condition number is below 4 n^2 / 1.5 here: some 1e-16 times 3e4.
                assert!((image - b[i]).abs() < 1e-10, "{n}: {image} for {}", b[i]);
            }
            for path in simd::available() {
                assert_eq!(simd::with_path(path, solve), x, "{path:?} {n}");
            }
        }
    }

    #[test]
    fn what_is_not_positive_definite_or_not_a_number_has_no_factor() {
        assert!(Cholesky::new(&[1.0, 2.0, 2.0, 1.0], 2, 0.0).is_none());
        assert!(Cholesky::new(&[1.0, 1.0, 1.0, 1.0], 2, 0.0).is_none());
        assert!(Cholesky::new(&[1.0, 1.0, 1.0, 1.0], 2, 1e-6).is_some());
        assert!(Cholesky::new(&[1.0, f64::NAN, f64::NAN, 1.0], 2, 0.0).is_none());
        assert!(Cholesky::new(&[f64::INFINITY], 1, 0.0).is_none());
    }
}
