//! Why a Q-learner diverges, or that it does not.
//!
//! J. Achiam, E. Knight, P. Abbeel, "Towards Characterizing Divergence in Deep Q-Learning" (2019). To leading order a step changes the values by
//! `alpha K D_rho (T*Q - Q)`, with the kernel `K = J J'` of gradients and the distribution `rho` of the data. All functions here are f64 and pure;
//! [`Diagnosis`] takes the measurements on a minibatch, where `rho` is `1/b` for each of its rows.

use tony_run::Metrics;

use crate::off_policy::Net;

/// A kernel matrix, row after row.
#[derive(Clone, Copy, Debug)]
pub struct Kernel<'a> {
    /// n x n numbers.
    pub k: &'a [f64],
    /// Rows.
    pub n: usize,
}

impl<'a> Kernel<'a> {
    fn rows(self) -> impl Iterator<Item = (usize, &'a [f64])> {
        self.k.chunks_exact(self.n).enumerate()
    }

    /// How much an update at `i` moves the others: `R_i = 1/N sum_{j != i} |K_ij| / K_ii`.
    pub fn row_ratios(self) -> Vec<f64> {
        let ratio = |(i, row): (usize, &[f64])| {
            let others: f64 = row.iter().enumerate().filter(|(j, _)| *j != i).map(|(_, k)| k.abs()).sum();
            others / row[i] / self.n as f64
        };
        self.rows().map(ratio).collect()
    }

    /// Bound of the sup-norm modulus of `Q -> Q + alpha K D_rho (T*Q - Q)`: `max_i sum_j |d_ij - alpha K_ij rho_j| + alpha gamma |K_ij| rho_j`.
    /// Below 1 learning contracts; from 1 on nothing keeps it from diverging.
    pub fn modulus(self, rho: &[f64], alpha: f64, gamma: f64) -> f64 {
        let row = |(i, row): (usize, &[f64])| -> f64 {
            let term = |(j, (k, rho)): (usize, (&f64, &f64))| {
                (f64::from(u8::from(i == j)) - alpha * k * rho).abs() + alpha * gamma * k.abs() * rho
            };
            row.iter().zip(rho).enumerate().map(term).sum()
        };
        self.rows().map(row).fold(0.0, f64::max)
    }

    /// Theorem 2's conditions: for all `i`, `alpha K_ii rho_i < 1` (16), and `(1 + gamma) sum_{j != i} |K_ij| rho_j < (1 - gamma) K_ii rho_i` (17).
    /// The second is strict here: with equality, as where data is missing (`rho_i = 0`), nothing contracts.
    pub fn conditions(self, rho: &[f64], alpha: f64, gamma: f64) -> (bool, bool) {
        let both = |(i, row): (usize, &[f64])| {
            let others: f64 =
                row.iter().zip(rho).enumerate().filter(|(j, _)| *j != i).map(|(_, (k, rho))| k.abs() * rho).sum();
            let own = row[i] * rho[i];
            (alpha * own < 1.0, (1.0 + gamma) * others < (1.0 - gamma) * own)
        };
        self.rows().map(both).fold((true, true), |(a, b), (c, d)| (a && c, b && d))
    }

    /// `K v`.
    pub fn product(self, v: &[f64]) -> Vec<f64> {
        self.rows().map(|(_, row)| inner(row, v)).collect()
    }
}

/// Inner product.
pub fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// Cosine of the angle between two vectors; 0 where one of them is 0.
pub fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let norms = (inner(a, a) * inner(b, b)).sqrt();
    if norms > 0.0 { inner(a, b) / norms } else { 0.0 }
}

/// `a - b`, in f64.
pub fn difference(a: &[f32], b: &[f32]) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| f64::from(*a) - f64::from(*b)).collect()
}

/// What is known before a step: the minibatch's values, temporal-difference errors against frozen targets, and kernel.
pub struct Diagnosis {
    chosen: Vec<f32>,
    q: Vec<f32>,
    delta: Vec<f64>,
    kernel: Vec<f64>,
}

impl Diagnosis {
    /// Look at `net` before the step. A row's value is the sum of its outputs times `chosen` (`[rows, outputs]`: 1, or which action was taken).
    pub fn before(net: &mut Net, x: &[f32], chosen: Vec<f32>, targets: &[f32]) -> Self {
        let q = values(&net.forward(x), &chosen, targets.len());
        net.backward(&chosen);
        let mut kernel = vec![0.0; q.len() * q.len()];
        net.trace.kernel(&net.mlp, &mut kernel);
        let delta = difference(targets, &q);
        Self { chosen, q, delta, kernel }
    }

    /// Look at it after the step, and say what happened. `largest_reward` bounds what a step can pay; `preconditioned` is the fraction of
    /// `delta` that a preconditioned step aimed at, which stands for `alpha K D_rho` as a multiple of the identity.
    ///
    /// A step of Adam or of a policy's optimiser has no `alpha` of its own. `Diagnose/EffectiveAlpha` is the one that explains best, by least
    /// squares, what happened to the values: `alpha = dq . v / v . v`, `v = K D_rho delta`; the contraction is estimated with it.
    pub fn after(
        self,
        net: &Net,
        x: &[f32],
        gamma: f64,
        largest_reward: f64,
        preconditioned: Option<f64>,
        metrics: &mut Metrics,
    ) {
        let Self { chosen, q, delta, kernel } = self;
        let n = q.len();
        let after = values(&net.outputs(&net.params, x), &chosen, n);
        let change = difference(&after, &q);
        let kernel = Kernel { k: &kernel, n };
        let ratios = kernel.row_ratios();
        let largest =
            after.iter().fold(0.0_f32, |largest, q| if q.is_finite() { largest.max(q.abs()) } else { f32::INFINITY });
        let rho = vec![1.0 / n as f64; n];
        let (alpha, modulus) = if let Some(alpha) = preconditioned {
            (alpha, (1.0 - alpha).abs() + alpha * gamma)
        } else {
            let direction: Vec<f64> = kernel.product(&delta).iter().map(|v| v / n as f64).collect();
            let alpha = inner(&change, &direction) / inner(&direction, &direction).max(f64::MIN_POSITIVE);
            (alpha, kernel.modulus(&rho, alpha.max(0.0), gamma))
        };
        let finite = |value: f64| value.is_finite().then_some(value);
        let bound = largest_reward / (1.0 - gamma);
        metrics.put("Diagnose/RowRatio", finite(ratios.iter().sum::<f64>() / n as f64));
        metrics.put("Diagnose/Alignment", finite(cosine(&change, &delta)));
        metrics.put("Diagnose/Contraction", finite(modulus));
        metrics.put("Diagnose/EffectiveAlpha", finite(alpha));
        metrics.put("Diagnose/MaxAbsQ", finite(f64::from(largest)));
        metrics.put("Diagnose/Bound", finite(bound));
        metrics.set("Diagnose/Diverged", f64::from(u8::from(!largest.is_finite() || f64::from(largest) > bound)));
    }
}

/// The value of each of `rows` rows of outputs.
fn values(y: &[f32], chosen: &[f32], rows: usize) -> Vec<f32> {
    let width = y.len() / rows;
    let row = |(y, chosen): (&[f32], &[f32])| y.iter().zip(chosen).map(|(y, chosen)| y * chosen).sum();
    y.chunks_exact(width).zip(chosen.chunks_exact(width)).map(row).collect()
}
