//! A plain f64 network, to differentiate numerically.
#![allow(dead_code)]

use tony_nn::{Activation, Lstm, Mlp, Normaliser};
use tony_random::Stream;

/// Outputs of one row, layer by layer as the parameters' layout says.
pub fn forward(mlp: &Mlp, params: &[f64], x: &[f64]) -> Vec<f64> {
    let mut a = x.to_vec();
    let mut at = 0;
    let layers = mlp.sizes().len() - 1;
    for l in 0..layers {
        let (inputs, outputs) = (mlp.sizes()[l], mlp.sizes()[l + 1]);
        let (weights, bias) = (&params[at..at + inputs * outputs], &params[at + inputs * outputs..]);
        let z = |o: usize| (0..inputs).fold(bias[o], |sum, i| sum + a[i] * weights[i * outputs + o]);
        a = (0..outputs).map(z).collect();
        at += (inputs + 1) * outputs;
        if l + 1 < layers {
            for a in &mut a {
                *a = match mlp.activation() {
                    Activation::Tanh => libm::tanh(*a),
                    Activation::Relu => a.max(0.0),
                    Activation::Sin => libm::sin(*a),
                };
            }
        }
    }
    a
}

/// Gradient of a loss over all rows; `slope(i, y)` is its derivative by output number `i` (row after row).
pub fn plain_gradient(mlp: &Mlp, params: &[f64], rows: &[Vec<f64>], slope: &dyn Fn(usize, f64) -> f64) -> Vec<f64> {
    let sizes = mlp.sizes();
    let starts: Vec<usize> = sizes
        .windows(2)
        .scan(0, |at, s| {
            let start = *at;
            *at += (s[0] + 1) * s[1];
            Some(start)
        })
        .collect();
    let mut grad = vec![0.0; params.len()];
    for (row, x) in rows.iter().enumerate() {
        let (mut activations, mut before) = (vec![x.clone()], vec![x.clone()]);
        for (l, s) in sizes.windows(2).enumerate() {
            let a = &activations[l];
            let (weights, bias) = params[starts[l]..].split_at(s[0] * s[1]);
            let z = (0..s[1]).map(|o| (0..s[0]).fold(bias[o], |sum, i| sum + a[i] * weights[i * s[1] + o]));
            let hidden = l + 2 < sizes.len();
            let activate = |z: f64| match mlp.activation() {
                Activation::Tanh if hidden => libm::tanh(z),
                Activation::Relu if hidden => z.max(0.0),
                Activation::Sin if hidden => libm::sin(z),
                _ => z,
            };
            let z: Vec<f64> = z.collect();
            before.push(z.clone());
            activations.push(z.into_iter().map(activate).collect());
        }
        let last = sizes.len() - 1;
        let outputs = activations[last].iter().enumerate();
        let mut d: Vec<f64> = outputs.map(|(o, y)| slope(row * sizes[last] + o, *y)).collect();
        for l in (0..last).rev() {
            let (inputs, outputs) = (sizes[l], sizes[l + 1]);
            for (o, d) in d.iter().enumerate() {
                for (i, a) in activations[l].iter().enumerate() {
                    grad[starts[l] + i * outputs + o] += a * d;
                }
                grad[starts[l] + inputs * outputs + o] += d;
            }
            let below = |(i, a): (usize, &f64)| {
                let g: f64 = (0..outputs).map(|o| d[o] * params[starts[l] + i * outputs + o]).sum();
                match mlp.activation() {
                    Activation::Tanh => g * (1.0 - a * a),
                    Activation::Relu => g * f64::from(u8::from(*a > 0.0)),
                    Activation::Sin => g * libm::cos(before[l][i]),
                }
            };
            if l > 0 {
                d = activations[l].iter().enumerate().map(below).collect();
            }
        }
    }
    grad
}

pub fn normals(n: usize, scale: f64, stream: &mut Stream) -> Vec<f32> {
    (0..n).map(|_| (scale * stream.normal()) as f32).collect()
}

pub fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

/// Random parameters that keep the signal's size through the layers, biases included.
pub fn params(mlp: &Mlp, stream: &mut Stream) -> Vec<f32> {
    let sizes = mlp.sizes();
    sizes.windows(2).flat_map(|s| normals((s[0] + 1) * s[1], 1.0 / (s[0] as f64).sqrt(), stream)).collect()
}

/// Every activation.
pub const ACTIVATIONS: [Activation; 3] = [Activation::Tanh, Activation::Relu, Activation::Sin];

/// Shapes that hit every tail of the kernels: widths below, at and beyond a vector, a tile and a block; one to four layers.
pub const SHAPES: &[&[usize]] =
    &[&[1, 1], &[3, 17], &[60, 64, 2], &[17, 65, 3, 1], &[60, 64, 64, 2], &[5, 33, 1, 17, 4], &[64, 128, 65]];
/// Row counts around the single-row path, a block, and several lanes.
pub const ROWS: &[usize] = &[1, 3, 9, 64, 65, 200];

/// A batch with everything in it: more rows than are used, an index with repeats, a normaliser that has seen data.
pub struct Batch {
    pub data: Vec<f32>,
    pub index: Vec<u32>,
    pub normaliser: Normaliser,
}

pub fn batch(width: usize, n: usize, stream: &mut Stream) -> Batch {
    let data: Vec<f32> = normals((n + 5) * width, 3.0, stream).iter().map(|x| x + 1.0).collect();
    let index = (0..n).map(|_| stream.below(n + 5) as u32).collect();
    let mut normaliser = Normaliser::new(width, 2.0);
    normaliser.update(&data);
    Batch { data, index, normaliser }
}

impl Batch {
    pub fn rows(&self) -> tony_nn::Rows<'_> {
        let width = self.normaliser.width();
        tony_nn::Rows { data: &self.data, width, index: Some(&self.index), normaliser: Some(&self.normaliser) }
    }

    /// The rows as the network sees them, in f64.
    pub fn seen(&self) -> Vec<Vec<f64>> {
        let width = self.normaliser.width();
        let (mean, std) = (self.normaliser.mean(), self.normaliser.std());
        let row = |i: &u32| {
            let x = &self.data[*i as usize * width..(*i as usize + 1) * width];
            (0..width).map(|j| ((f64::from(x[j]) - mean[j]) / std[j].max(0.01)).clamp(-2.0, 2.0)).collect()
        };
        self.index.iter().map(row).collect()
    }
}

/// Shapes of LSTM layers: widths below, at and beyond a vector and a tile.
pub const CELLS: &[(usize, usize)] = &[(1, 1), (3, 5), (16, 16), (34, 64), (7, 33)];
/// Lengths of sequences: one; equal; ragged in any order; more than a block, so that a block has unequal ends; more than one lane.
pub const LENGTHS: &[&[usize]] = &[&[1], &[4, 4, 4], &[1, 5, 2, 9, 5], &RAGGED, &[3; 130]];
const RAGGED: [usize; 70] = {
    let mut lengths = [0; 70];
    let mut i = 0;
    while i < 70 {
        lengths[i] = 1 + i * 5 % 7;
        i += 1;
    }
    lengths
};

/// Outputs of all rows of an LSTM, `[rows][hidden]`, as its parameters' layout says.
pub fn lstm(lstm: &Lstm, params: &[f64], x: &[f64], lengths: &[usize], start: &[f64], reverse: bool) -> Vec<f64> {
    let (inputs, hidden) = (lstm.inputs(), lstm.hidden());
    let mut outputs = vec![0.0; lengths.iter().sum::<usize>() * hidden];
    let mut first = 0;
    for (length, start) in lengths.iter().zip(start.chunks_exact(2 * hidden)) {
        let (mut h, mut c) = (start[..hidden].to_vec(), start[hidden..].to_vec());
        for time in 0..*length {
            let row = first + if reverse { length - 1 - time } else { time };
            let seen = [&x[row * inputs..][..inputs], &h].concat();
            let z = |gate: usize, j: usize| {
                let column = gate * hidden + j;
                let bias = params[seen.len() * 4 * hidden + column];
                seen.iter().enumerate().fold(bias, |sum, (i, x)| sum + x * params[i * 4 * hidden + column])
            };
            let sigmoid = |z: f64| 1.0 / (1.0 + libm::exp(-z));
            for (j, c) in c.iter_mut().enumerate() {
                *c = sigmoid(z(1, j)) * *c + sigmoid(z(0, j)) * libm::tanh(z(2, j));
            }
            h = (0..hidden).map(|j| sigmoid(z(3, j)) * libm::tanh(c[j])).collect();
            outputs[row * hidden..][..hidden].copy_from_slice(&h);
        }
        first += length;
    }
    outputs
}
