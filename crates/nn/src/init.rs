//! Initial parameters.

use tony_random::Stream;

/// How a network's parameters start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Init {
    /// `PyTorch`'s default of a linear layer: weights and biases uniform within `+-1/sqrt(in)`.
    KaimingUniform,
    /// (Semi-)orthogonal weights times a gain (Saxe et al. 2014), biases 0.
    Orthogonal {
        /// Gain of every layer but the last.
        hidden: f32,
        /// Gain of the last layer.
        output: f32,
    },
    /// Glorot and Bengio 2010, equation 16: weights uniform within `+-sqrt(6/(in + out))`, biases 0.
    Glorot,
}

impl Init {
    /// Fill one layer: `weights` is `inputs` x `bias.len()`.
    pub(crate) fn layer(self, inputs: usize, last: bool, weights: &mut [f32], bias: &mut [f32], stream: &mut Stream) {
        let outputs = bias.len();
        bias.fill(0.0);
        match self {
            Self::KaimingUniform => {
                let bound = 1.0 / (inputs as f64).sqrt();
                uniform(bound, weights, stream);
                uniform(bound, bias, stream);
            }
            Self::Glorot => uniform((6.0 / (inputs + outputs) as f64).sqrt(), weights, stream),
            Self::Orthogonal { hidden, output } => {
                orthogonal(inputs, outputs, if last { output } else { hidden }, weights, stream);
            }
        }
    }
}

fn uniform(bound: f64, values: &mut [f32], stream: &mut Stream) {
    for value in values {
        *value = stream.range(-bound, bound) as f32;
    }
}

/// The shorter side's vectors are drawn normal and made orthonormal by modified Gram-Schmidt, which is the QR decomposition with a
/// positive diagonal, hence uniform over the orthogonal matrices (Mezzadri 2007, section 5).
fn orthogonal(rows: usize, columns: usize, gain: f32, weights: &mut [f32], stream: &mut Stream) {
    let (count, length) = (rows.min(columns), rows.max(columns));
    let mut q: Vec<Vec<f64>> = (0..count).map(|_| (0..length).map(|_| stream.normal()).collect()).collect();
    for i in 0..count {
        let (done, rest) = q.split_at_mut(i);
        let current = &mut rest[0];
        // Twice is enough (Giraud, Langou and Rozloznik 2005): the second pass removes what rounding left of the first.
        for _ in 0..2 {
            for earlier in &*done {
                let overlap = inner(earlier, current);
                current.iter_mut().zip(earlier).for_each(|(x, e)| *x -= overlap * e);
            }
        }
        let scale = 1.0 / inner(current, current).sqrt();
        for x in current {
            *x *= scale;
        }
    }
    for r in 0..rows {
        for c in 0..columns {
            let value = if rows <= columns { q[r][c] } else { q[c][r] };
            weights[r * columns + c] = (f64::from(gain) * value) as f32;
        }
    }
}

/// Inner product over eight interleaved partial sums, so that it vectorises without leaving a fixed order.
fn inner(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; 8];
    for (a, b) in a.chunks(8).zip(b.chunks(8)) {
        lanes.iter_mut().zip(a).zip(b).for_each(|((lane, a), b)| *lane += a * b);
    }
    lanes.iter().sum()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Activation, Mlp};

    fn layers(sizes: &[usize], init: Init) -> Vec<(Vec<f32>, Vec<f32>)> {
        let mlp = Mlp::new(sizes, Activation::Tanh).unwrap();
        let mut params = vec![f32::NAN; mlp.num_params()];
        mlp.init(&mut params, init, &mut Stream::new(1, "init", 0));
        let mut rest = &params[..];
        let mut take = |n: usize| {
            let (taken, left) = rest.split_at(n);
            rest = left;
            taken.to_vec()
        };
        sizes.windows(2).map(|s| (take(s[0] * s[1]), take(s[1]))).collect()
    }

    /// Every value within the bound, and the variance that of a uniform distribution: bound^2 / 3. Its standard error is 0.9 / sqrt(n) of it.
    fn assert_uniform(values: &[f32], bound: f64) {
        assert!(values.iter().all(|v| f64::from(v.abs()) <= bound));
        let n = values.len() as f64;
        let variance: f64 = values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / n;
        assert!((variance * 3.0 / (bound * bound) - 1.0).abs() < 4.0 * 0.9 / n.sqrt(), "{variance} for bound {bound}");
    }

    #[test]
    fn uniform_initialisations_have_their_bounds() {
        let kaiming = layers(&[60, 64, 200], Init::KaimingUniform);
        for ((weights, bias), inputs) in kaiming.iter().zip([60.0_f64, 64.0]) {
            assert_uniform(weights, 1.0 / inputs.sqrt());
            assert_uniform(bias, 1.0 / inputs.sqrt());
        }
        let glorot = layers(&[60, 64, 200], Init::Glorot);
        for ((weights, bias), ends) in glorot.iter().zip([124.0_f64, 264.0]) {
            assert_uniform(weights, (6.0 / ends).sqrt());
            assert!(bias.iter().all(|b| *b == 0.0));
        }
    }

    #[test]
    fn orthogonal_layers_are_orthogonal_times_their_gain() {
        let sizes = [60, 64, 64, 3];
        let gains = [1.5_f64, 1.5, 0.01];
        let init = Init::Orthogonal { hidden: 1.5, output: 0.01 };
        for (l, (weights, bias)) in layers(&sizes, init).iter().enumerate() {
            let (rows, columns) = (sizes[l], sizes[l + 1]);
            let w = |r: usize, c: usize| f64::from(weights[r * columns + c]) / gains[l];
            let short = rows.min(columns);
            for i in 0..short {
                for j in 0..short {
                    let long = 0..rows.max(columns);
                    let inner: f64 = if rows <= columns {
                        long.map(|k| w(i, k) * w(j, k)).sum()
                    } else {
                        long.map(|k| w(k, i) * w(k, j)).sum()
                    };
                    // Weights are rounded to f32.
                    assert!((inner - f64::from(u8::from(i == j))).abs() < 1e-6, "layer {l}: {i} {j} {inner}");
                }
            }
            assert!(bias.iter().all(|b| *b == 0.0));
        }
    }
}
