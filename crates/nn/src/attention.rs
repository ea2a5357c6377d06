//! What a decoder layer does besides products with its weights: norms, gates, rotary positions, and attention over what was kept.
//!
//! As everywhere here, a row has the same bits alone, in a batch, and in any cut of a sequence into pieces.

use std::ops::Range;

use rayon::prelude::*;

use crate::kernels::{self, Start, View};
use crate::simd::{Path, WIDTH, path};

/// The non-linearity of a gate.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gate {
    /// `x sigmoid(x)`: Llama, Qwen.
    Silu,
    /// GELU as approximated by a hyperbolic tangent: Gemma.
    Gelu,
}

impl Gate {
    /// `a = gate(a) b`, number by number.
    ///
    /// # Panics
    /// Panics if there are not as many of both.
    pub fn apply(self, a: &mut [f32], b: &[f32]) {
        assert_eq!(a.len(), b.len(), "numbers of a gate");
        match self {
            Self::Silu => kernels::swiglu(path(), a, b),
            Self::Gelu => kernels::geglu(path(), a, b),
        }
    }
}

/// Root-mean-square norm of each row of `weight.len()` numbers: `y = x / sqrt(mean(x^2) + epsilon) (shift + weight)`; `shift` is 1 for
/// models that store a weight's distance from 1 (Gemma), else 0. The sum is in double precision.
pub fn rms_norm(x: &[f32], weight: &[f32], shift: f32, epsilon: f32, y: &mut [f32]) {
    let n = weight.len();
    for (x, y) in x.chunks_exact(n).zip(y.chunks_exact_mut(n)) {
        let mean = kernels::dot(x, x) / n as f64;
        let factor = (1.0 / (mean + f64::from(epsilon)).sqrt()) as f32;
        kernels::weigh(path(), factor, x, shift, weight, y);
    }
}

/// Softmax without its division, in place: `exp(x - max)`. Returns the largest number and the sum.
///
/// # Panics
/// Panics if there are not a multiple of 16 numbers; fill up with negative infinity.
pub fn exponentials(x: &mut [f32]) -> (f32, f32) {
    let most = x.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let all = 0..x.len();
    (most, kernels::softmax(path(), x, all, 1.0))
}

/// Layer norm of each row of `weight.len()` numbers, in place: `x = (x - mean(x)) / sqrt(variance(x) + epsilon) weight + bias`. Mean and
/// variance are in double precision.
pub fn layer_norm(x: &mut [f32], weight: &[f32], bias: &[f32], epsilon: f32) {
    let (n, ones) = (weight.len() as f64, vec![1.0; weight.len()]);
    for x in x.chunks_exact_mut(ones.len()) {
        let mean = kernels::dot(x, &ones) / n;
        let variance = (kernels::dot(x, x) / n - mean * mean).max(0.0);
        let factor = (1.0 / (variance + f64::from(epsilon)).sqrt()) as f32;
        kernels::standardise(path(), x, mean as f32, factor, weight, bias);
    }
}

/// `x = gelu(x)`, number by number: `x` times the normal distribution function, within 2e-7 of `x`. Hendrycks and Gimpel, "Gaussian Error
/// Linear Units", 2016.
pub fn gelu(x: &mut [f32]) {
    kernels::gelu(path(), x);
}

/// Rotary position: each head of `2 cos.len()` numbers is turned pair by pair, number `i` with number `i + cos.len()`.
/// Su et al., "Enhanced Transformer with Rotary Position Embedding", 2021, in the order of Hugging Face's models.
pub fn rotate(heads: &mut [f32], cos: &[f32], sin: &[f32]) {
    for head in heads.chunks_exact_mut(2 * cos.len()) {
        let (a, b) = head.split_at_mut(cos.len());
        kernels::rotate(path(), a, b, cos, sin);
    }
}

/// How queries look at keys.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Attention {
    /// Heads of a query; query head `h` reads key head `h * key heads / query heads`.
    pub query_heads: usize,
    /// Multiplies scores.
    pub scale: f32,
    /// Tokens that are looked at, the last of them being the query's own; `usize::MAX` for all.
    pub window: usize,
}

/// Keys and values of the tokens so far of one sequence in one layer.
#[derive(Clone, Debug)]
pub struct KeyValues {
    heads: usize,
    size: usize,
    len: usize,
    capacity: usize,
    /// Of each head: a row of `capacity` for each of its numbers.
    keys: Vec<f32>,
    /// Of each head: a row of `size` for each token.
    values: Vec<f32>,
}

/// Rows that are one piece of work.
const BLOCK: usize = 32;

impl KeyValues {
    /// Nothing yet, for `heads` heads of `size` numbers.
    ///
    /// # Panics
    /// Panics if `size` is no multiple of 16.
    pub fn new(heads: usize, size: usize) -> Self {
        assert!(size.is_multiple_of(WIDTH), "heads of {size} numbers are not whole vectors");
        Self { heads, size, len: 0, capacity: 0, keys: Vec::new(), values: Vec::new() }
    }

    /// Tokens that are kept.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Forget all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.len = self.len.min(len);
    }

    /// A copy of the first `len` tokens, no larger than it needs to be.
    #[must_use]
    pub fn first(&self, len: usize) -> Self {
        let len = self.len.min(len);
        self.copied(len, len)
    }

    /// Memory that is held.
    pub fn bytes(&self) -> usize {
        4 * (self.keys.len() + self.values.len())
    }

    /// Room for `capacity` tokens.
    fn reserve(&mut self, capacity: usize) {
        if capacity <= self.capacity {
            return;
        }
        *self = self.copied(self.len, capacity.max(2 * self.capacity));
    }

    /// A copy of the first `len` tokens with room for `capacity`.
    fn copied(&self, len: usize, capacity: usize) -> Self {
        let capacity = capacity.next_multiple_of(4 * WIDTH);
        let mut keys = vec![0.0; self.heads * self.size * capacity];
        let mut values = vec![0.0; keys.len()];
        if len > 0 {
            for (new, old) in keys.chunks_exact_mut(capacity).zip(self.keys.chunks_exact(self.capacity)) {
                new[..len].copy_from_slice(&old[..len]);
            }
            let old = self.values.chunks_exact(self.capacity * self.size);
            for (new, old) in values.chunks_exact_mut(capacity * self.size).zip(old) {
                new[..len * self.size].copy_from_slice(&old[..len * self.size]);
            }
        }
        Self { heads: self.heads, size: self.size, len, capacity, keys, values }
    }

    /// Keep the next tokens: rows at `stride` whose first `heads * size` numbers are keys, or values.
    pub fn extend(&mut self, rows: usize, keys: &[f32], values: &[f32], stride: usize) {
        self.reserve(self.len + rows);
        let width = self.heads * self.size;
        for (keys, values) in keys.chunks(stride).zip(values.chunks(stride)).take(rows) {
            for (i, key) in keys[..width].iter().enumerate() {
                self.keys[i * self.capacity + self.len] = *key;
            }
            for (head, value) in values[..width].chunks_exact(self.size).enumerate() {
                self.values[(head * self.capacity + self.len) * self.size..][..self.size].copy_from_slice(value);
            }
            self.len += 1;
        }
    }

    /// Attention of the last `rows` tokens, each over itself and those before it. `queries` has rows at `stride` that begin with
    /// the query heads; the results go to rows of `query_heads * size` numbers.
    ///
    /// # Panics
    /// Panics if fewer tokens are kept than asked about, or heads do not divide.
    pub fn attend(&self, how: Attention, rows: usize, queries: &[f32], stride: usize, out: &mut [f32]) {
        let query_heads = how.query_heads;
        assert!(
            rows <= self.len && query_heads.is_multiple_of(self.heads),
            "attention of {rows} rows over {}",
            self.len
        );
        assert_eq!(out.len(), rows * query_heads * self.size, "results of attention");
        let (group, path) = (query_heads / self.heads, path());
        let blocks = rows.div_ceil(BLOCK);
        let before = self.len - rows;
        // One task: a block of rows, and the query heads that share keys.
        let task = |task: usize| {
            let (block, head) = (task / self.heads, task % self.heads);
            let range = block * BLOCK..((block + 1) * BLOCK).min(rows);
            let positions = before + range.start..before + range.end;
            let queries = &queries[range.start * stride + head * group * self.size..];
            let mut result = vec![0.0; range.len() * group * self.size];
            if range.len() == 1 {
                let queries = View { data: queries, stride: self.size };
                self.weigh(path, how, head, positions, group, queries, &mut result);
            } else {
                for (i, result) in result.chunks_exact_mut(range.len() * self.size).enumerate() {
                    let queries = View { data: &queries[i * self.size..], stride };
                    self.weigh(path, how, head, positions.clone(), 1, queries, result);
                }
            }
            result
        };
        let tasks = blocks * self.heads;
        let results: Vec<Vec<f32>> = if tasks > 1 && rayon::current_num_threads() > 1 && rows * self.len > 512 {
            (0..tasks).into_par_iter().map(task).collect()
        } else {
            (0..tasks).map(task).collect()
        };
        for (task, result) in results.iter().enumerate() {
            let (first, head) = (task / self.heads * BLOCK, task % self.heads * group);
            let count = result.len() / (group * self.size);
            for (i, piece) in result.chunks_exact(self.size).enumerate() {
                let (query_head, row) = (head + i / count, first + i % count);
                out[(row * query_heads + query_head) * self.size..][..self.size].copy_from_slice(piece);
            }
        }
    }

    /// One key head's attention: `each` queries of each of the tokens at `positions`, results one after the other.
    #[allow(clippy::too_many_arguments)] // What a task knows.
    fn weigh(
        &self,
        path: Path,
        how: Attention,
        head: usize,
        positions: Range<usize>,
        each: usize,
        queries: View,
        result: &mut [f32],
    ) {
        let (m, window) = (positions.len() * each, how.window);
        // From a whole vector on: an element keeps its lane, and its bits, whatever is left out before it.
        let first = (positions.start + 1).saturating_sub(window) / WIDTH * WIDTH;
        let (seen, n) = (positions.end - first, (positions.end - first).next_multiple_of(WIDTH));
        let mut scores = vec![0.0; m * n];
        let keys = View { data: &self.keys[head * self.size * self.capacity + first..], stride: self.capacity };
        kernels::product(path, m, n, self.size, queries, keys, Start::Zero, &mut scores, n);
        let mut sums = Vec::with_capacity(m);
        for (i, scores) in scores.chunks_exact_mut(n).enumerate() {
            let end = positions.start + i / each + 1;
            let seen = end.saturating_sub(window).max(first) - first..end - first;
            sums.push(kernels::softmax(path, scores, seen, how.scale));
        }
        let values = View { data: &self.values[(head * self.capacity + first) * self.size..], stride: self.size };
        let scores = View { data: &scores, stride: n };
        kernels::product(path, m, self.size, seen, scores, values, Start::Zero, result, self.size);
        for (result, sum) in result.chunks_exact_mut(self.size).zip(sums) {
            kernels::scale(1.0 / sum, result);
        }
    }
}

#[cfg(test)]
mod tests {
    use tony_random::Stream;

    use super::*;
    use crate::simd::{available, with_path};

    const HEADS: usize = 2;
    const SIZE: usize = 16;
    const QUERY_HEADS: usize = 6;

    fn rows(name: &str, n: usize, width: usize) -> Vec<f32> {
        let mut stream = Stream::new(3, name, 0);
        (0..n * width).map(|_| stream.normal() as f32).collect()
    }

    /// Attention by its definition, in double precision.
    fn definition(q: &[f32], k: &[f32], v: &[f32], position: usize, window: usize) -> Vec<f64> {
        let width = HEADS * SIZE;
        let mut out = Vec::new();
        for head in 0..QUERY_HEADS {
            let at = head * HEADS / QUERY_HEADS * SIZE;
            let range = (position + 1).saturating_sub(window)..position + 1;
            let score = |t: usize| -> f64 {
                (0..SIZE).map(|i| f64::from(q[head * SIZE + i]) * f64::from(k[t * width + at + i])).sum::<f64>() * 0.25
            };
            let weights: Vec<f64> = range.clone().map(|t| score(t).exp()).collect();
            let sum: f64 = weights.iter().sum();
            out.extend((0..SIZE).map(|i| {
                range.clone().zip(&weights).map(|(t, w)| w * f64::from(v[t * width + at + i])).sum::<f64>() / sum
            }));
        }
        out
    }

    /// In pieces of any size, with and without a window, after tokens that were taken back: the definition, and always the same bits.
    #[test]
    fn attention_is_the_definition_in_any_pieces() {
        let (n, width, wide) = (150, HEADS * SIZE, QUERY_HEADS * SIZE);
        let (q, k, v) = (rows("q", n, wide), rows("k", n, width), rows("v", n, width));
        for window in [usize::MAX, 40] {
            let mut whole: Option<Vec<f32>> = None;
            let how = Attention { query_heads: QUERY_HEADS, scale: 0.25, window };
            for (path, pieces) in available().into_iter().flat_map(|p| [(p, 1), (p, 7), (p, 33), (p, n)]) {
                let mut kept = KeyValues::new(HEADS, SIZE);
                kept.extend(3, &vec![f32::NAN; 3 * width], &vec![f32::NAN; 3 * width], width);
                kept.truncate(0);
                let mut out = Vec::new();
                for first in (0..n).step_by(pieces) {
                    let count = pieces.min(n - first);
                    kept.extend(count, &k[first * width..], &v[first * width..], width);
                    let mut result = vec![0.0; count * wide];
                    with_path(path, || kept.attend(how, count, &q[first * wide..], wide, &mut result));
                    out.extend(result);
                }
                let whole = whole.get_or_insert_with(|| out.clone());
                assert!(out.iter().zip(&*whole).all(|(a, b)| a.to_bits() == b.to_bits()), "{path:?} {pieces} {window}");
            }
            let whole = whole.unwrap();
            for (t, out) in whole.chunks_exact(wide).enumerate() {
                let expected = definition(&q[t * wide..], &k, &v, t, window);
                // Rounding of 150 products and their weights.
                assert!(
                    out.iter().zip(expected).all(|(a, b)| (f64::from(*a) - b).abs() < 3e-6),
                    "row {t} window {window}"
                );
            }
        }
    }

    #[test]
    fn norms_gates_and_rotations_are_their_definitions() {
        let (x, w) = (rows("x", 2, 48), rows("w", 1, 48));
        let mut y = vec![0.0; 96];
        rms_norm(&x, &w, 1.0, 1e-5, &mut y);
        for (x, y) in x.chunks_exact(48).zip(y.chunks_exact(48)) {
            let mean = x.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>() / 48.0;
            for ((x, w), y) in x.iter().zip(&w).zip(y) {
                let expected = f64::from(*x) * (1.0 + f64::from(*w)) / (mean + 1e-5).sqrt();
                assert!((f64::from(*y) - expected).abs() < 1e-6);
            }
        }
        for gate in [Gate::Silu, Gate::Gelu] {
            let mut y = x[..48].to_vec();
            gate.apply(&mut y, &x[48..]);
            for ((a, b), y) in x.iter().zip(&x[48..]).zip(&y) {
                let (a, b) = (f64::from(*a), f64::from(*b));
                let inner = (2.0 / std::f64::consts::PI).sqrt() * (a + 0.044_715 * a.powi(3));
                let gate = if gate == Gate::Silu { a / (1.0 + (-a).exp()) } else { 0.5 * a * (1.0 + inner.tanh()) };
                assert!((f64::from(*y) - gate * b).abs() < 2e-6);
            }
        }
        let mut y: Vec<f32> = x.iter().map(|x| 3.0 + 2.0 * x).collect();
        layer_norm(&mut y, &w, &x[..48], 1e-12);
        for (row, y) in x.chunks_exact(48).zip(y.chunks_exact(48)) {
            let row: Vec<f64> = row.iter().map(|x| f64::from(3.0 + 2.0 * x)).collect();
            let mean = row.iter().sum::<f64>() / 48.0;
            let variance = row.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 48.0;
            for (((x, w), b), y) in row.iter().zip(&w).zip(&x).zip(y) {
                let expected = (x - mean) / variance.sqrt() * f64::from(*w) + f64::from(*b);
                assert!((f64::from(*y) - expected).abs() < 3e-6);
            }
        }
        let mut y: Vec<f32> = (-600..=600).map(|i| i as f32 / 50.0).collect();
        gelu(&mut y);
        for (i, y) in (-600..=600).zip(&y) {
            let x = f64::from(i as f32 / 50.0);
            let expected = x * 0.5 * libm::erfc(-x * std::f64::consts::FRAC_1_SQRT_2);
            assert!((f64::from(*y) - expected).abs() <= 3e-7 * x.abs().max(1.0), "{x}: {y} {expected}");
        }
        let angles = [0.3_f32, -1.2];
        let mut heads = [1.0, 2.0, 3.0, 4.0, 0.0, 1.0, 1.0, 0.0];
        rotate(&mut heads, &angles.map(f32::cos), &angles.map(f32::sin));
        let (c, s) = (0.3_f32.cos(), 0.3_f32.sin());
        assert_eq!([heads[0], heads[2]], [c - 3.0 * s, 3.0 * c + s]);
        let (c, s) = (1.2_f32.cos(), -(1.2_f32.sin()));
        assert_eq!([heads[5], heads[7]], [c, s]);
    }
}
