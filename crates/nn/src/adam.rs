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
