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
