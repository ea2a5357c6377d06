//! Adam (Kingma and Ba 2015, Algorithm 1), as `PyTorch` computes it.

use crate::{Error, Result, kernels};

/// Adam's two moments and step count for one flat parameter vector.
#[derive(Clone, Debug, PartialEq)]
pub struct Adam {
    m: Vec<f32>,
    v: Vec<f32>,
    t: u64,
    beta1: f64,
    beta2: f64,
    epsilon: f64,
}

impl Adam {
    /// For `n` parameters. `epsilon` is added outside the square root, to the bias-corrected one.
    pub fn new(n: usize, beta1: f64, beta2: f64, epsilon: f64) -> Self {
        Self { m: vec![0.0; n], v: vec![0.0; n], t: 0, beta1, beta2, epsilon }
    }

    /// One descent step: `params -= lr * m_hat / (sqrt(v_hat) + epsilon)`.
    ///
    /// # Panics
    /// If `params` or `grad` is not of the length given to [`Adam::new`].
    pub fn step(&mut self, params: &mut [f32], grad: &[f32], lr: f64) {
        self.t += 1;
        let (c1, c2) = (1.0 - libm::pow(self.beta1, self.t as f64), 1.0 - libm::pow(self.beta2, self.t as f64));
        let coefficients = kernels::AdamStep {
            beta1: self.beta1 as f32,
            one_minus_beta1: (1.0 - self.beta1) as f32,
            beta2: self.beta2 as f32,
            one_minus_beta2: (1.0 - self.beta2) as f32,
            inv_sqrt_c2: (1.0 / c2.sqrt()) as f32,
            epsilon: self.epsilon as f32,
            step: (lr / c1) as f32,
        };
        kernels::adam(&coefficients, params, grad, &mut self.m, &mut self.v);
    }

    /// First moments, second moments, number of steps taken.
    pub fn state(&self) -> (&[f32], &[f32], u64) {
        (&self.m, &self.v, self.t)
    }

    /// Continue from what [`Adam::state`] returned.
    pub fn set_state(&mut self, m: &[f32], v: &[f32], t: u64) -> Result<()> {
        for (what, found) in [("Adam first moments", m.len()), ("Adam second moments", v.len())] {
            if found != self.m.len() {
                return Err(Error::State { what, found, expected: self.m.len() });
            }
        }
        self.m.copy_from_slice(m);
        self.v.copy_from_slice(v);
        self.t = t;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_those_of_the_paper_in_f64() {
        let (n, beta1, beta2, epsilon, lr) = (37, 0.9, 0.999, 1e-5, 0.01);
        let gradient =
            |i: usize, t: i32| libm::sin(0.3 * (i as f64 + 1.0) * f64::from(t)) * libm::pow(10.0, i as f64 % 5.0 - 3.0);
        let (mut params, mut adam) = (vec![1.0_f32; n], Adam::new(n, beta1, beta2, epsilon));
        let (mut p, mut m, mut v) = (vec![1.0_f64; n], vec![0.0; n], vec![0.0; n]);
        for t in 1..=50 {
            let grad: Vec<f32> = (0..n).map(|i| gradient(i, t) as f32).collect();
            adam.step(&mut params, &grad, lr);
            for i in 0..n {
                let g = f64::from(grad[i]);
                m[i] = beta1 * m[i] + (1.0 - beta1) * g;
                v[i] = beta2 * v[i] + (1.0 - beta2) * g * g;
                let (m_hat, v_hat) = (m[i] / (1.0 - beta1.powi(t)), v[i] / (1.0 - beta2.powi(t)));
                p[i] -= lr * m_hat / (v_hat.sqrt() + epsilon);
            }
        }
        // 50 steps of 0.01, each good to some 1e-6 (1 - beta2 is rounded to f32), and the rounding of a parameter near 1.
        for (params, p) in params.iter().zip(&p) {
            assert!((f64::from(*params) - p).abs() < 4e-6, "{params} for {p}");
        }
    }

    #[test]
    fn first_step_is_the_learning_rate_whatever_the_gradient() {
        let mut params = vec![0.0; 3];
        Adam::new(3, 0.9, 0.999, 0.0).step(&mut params, &[1e-3, -5.0, 1e4], 0.5);
        // m_hat / sqrt(v_hat) is the sign, up to f32 rounding.
        for (p, expected) in params.iter().zip([-0.5, 0.5, -0.5_f32]) {
            assert!((p - expected).abs() < 1e-6, "{p}");
        }
    }

    #[test]
    fn a_restored_state_continues_bit_for_bit() {
        let (mut straight, mut a) = (Adam::new(5, 0.9, 0.999, 1e-8), vec![1.0_f32; 5]);
        let grad = [0.1, -0.2, 0.3, 0.0, 5.0];
        straight.step(&mut a, &grad, 0.1);
        let (mut resumed, mut b) = (Adam::new(5, 0.9, 0.999, 1e-8), a.clone());
        let (m, v, t) = straight.state();
        resumed.set_state(m, v, t).unwrap();
        straight.step(&mut a, &grad, 0.1);
        resumed.step(&mut b, &grad, 0.1);
        assert_eq!((a, straight), (b, resumed.clone()));
        let wrong = resumed.set_state(&[0.0; 4], &[0.0; 5], 1);
        assert_eq!(wrong, Err(Error::State { what: "Adam first moments", found: 4, expected: 5 }));
    }
}
