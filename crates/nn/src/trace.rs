//! A batch's way through a network, kept: forward once, then whatever is asked of the way back.
//!
//! [`Mlp::gradient`] forgets each block of rows as soon as it is done, which is best for large batches. Off-policy learning has small
//! batches and wants more of each: derivatives by the input (the deterministic policy gradient), or the products of all rows' gradients.

use rayon::prelude::*;

use crate::kernels::{self, Start, View};
use crate::peak::count_flops;
use crate::simd::path;
use crate::workspace::{BLOCK, Buffer, blocks, pad, stride, unpad};
use crate::{Activation, Mlp, Rows};

/// The rows of one batch in one network. Buffers grow to what is asked for and are then reused.
///
/// Call [`Trace::forward`], then [`Trace::backward`], then any of the others, with the same network and parameters throughout.
#[derive(Debug, Default)]
pub struct Trace {
    rows: usize,
    padded: Buffer,
    transposed: Buffer,
    grad: Buffer,
    blocks: Vec<Block>,
}

/// What is kept of up to 64 rows.
#[derive(Debug, Default)]
struct Block {
    rows: usize,
    /// Of the input and of each layer, row after row.
    activations: Vec<Buffer>,
    slopes: Vec<Buffer>,
    /// Derivatives by each layer's outputs before the activation; the first is that by the input.
    deltas: Vec<Buffer>,
    /// Activations and derivatives, transposed; or the derivatives times a weight of each row.
    sides: [Vec<Buffer>; 2],
    /// The transposed ones in f64.
    wide: [Vec<Vec<f64>>; 2],
}

impl Trace {
    /// Rows of the batch that last went through.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Outputs of all rows into `y` (n x out): the same bits as [`Mlp::forward`].
    ///
    /// # Panics
    /// If a slice is not of the network's size, or an index is outside of the data.
    pub fn forward(&mut self, mlp: &Mlp, params: &[f32], x: &Rows, y: &mut [f32]) {
        let n = mlp.check(params, x);
        assert_eq!(y.len(), n * mlp.output(), "outputs of {n} rows");
        count_flops(n as u64 * mlp.flops_per_row());
        let path = path();
        mlp.pack(params, &mut self.padded);
        self.rows = n;
        let count = n.div_ceil(BLOCK);
        if self.blocks.len() < count {
            self.blocks.resize_with(count, Block::default);
        }
        let padded = &self.padded;
        let body = |(i, (block, y)): (usize, (&mut Block, &mut [f32]))| {
            let rows = i * BLOCK..((i + 1) * BLOCK).min(n);
            block.fit(mlp, rows.len());
            mlp.forward_block(path, padded, x, rows, &mut block.activations, Some(&mut block.slopes));
            unpad(&block.activations[mlp.layers.len()], stride(mlp.output()), mlp.output(), y);
        };
        let chunk = BLOCK * mlp.output();
        if parallel(count) {
            self.blocks[..count].par_iter_mut().zip(y.par_chunks_mut(chunk)).enumerate().for_each(body);
        } else {
            self.blocks.iter_mut().zip(y.chunks_mut(chunk)).enumerate().for_each(body);
        }
    }

    /// Go back from the derivatives `dy` by the outputs (n x out) to those by every layer.
    ///
    /// # Panics
    /// If a slice is not of the network's size.
    pub fn backward(&mut self, mlp: &Mlp, params: &[f32], dy: &[f32]) {
        mlp.check_params(params);
        assert_eq!(dy.len(), self.rows * mlp.output(), "derivatives by the outputs of {} rows", self.rows);
        count_flops(self.rows as u64 * (mlp.flops_per_row() - 2 * mlp.layers[0].macs()));
        let path = path();
        mlp.pack_transposed(path, params, 1, &mut self.transposed);
        let transposed = &self.transposed;
        let body = |(block, dy): (&mut Block, &[f32])| {
            let last = mlp.layers.len();
            pad(dy, mlp.output(), stride(mlp.output()), &mut block.deltas[last]);
            for l in (1..last).rev() {
                let (before, after) = block.deltas.split_at_mut(l + 1);
                mlp.back(path, l, block.rows, transposed, &after[0], &mut before[l]);
                mlp.chain(path, l, block.rows, (&block.activations, &block.slopes), &mut before[l]);
            }
        };
        each(&mut self.blocks, self.rows, mlp.output(), dy, body);
    }

    /// Overwrite `dx` (n x in) with the derivatives by the input as the network sees it, that is behind a normaliser.
    ///
    /// # Panics
    /// If a slice is not of the network's size.
    pub fn input_gradient(&mut self, mlp: &Mlp, params: &[f32], dx: &mut [f32]) {
        mlp.check_params(params);
        assert_eq!(dx.len(), self.rows * mlp.input(), "derivatives by the inputs of {} rows", self.rows);
        count_flops(self.rows as u64 * 2 * mlp.layers[0].macs());
        let path = path();
        mlp.pack_transposed(path, params, 0, &mut self.transposed);
        let transposed = &self.transposed;
        let body = |(block, dx): (&mut Block, &mut [f32])| {
            let (input, after) = block.deltas.split_at_mut(1);
            mlp.back(path, 0, block.rows, transposed, &after[0], &mut input[0]);
            unpad(&input[0], stride(mlp.input()), mlp.input(), dx);
        };
        let (count, chunk) = (self.rows.div_ceil(BLOCK), BLOCK * mlp.input());
        if parallel(count) {
            self.blocks[..count].par_iter_mut().zip(dx.par_chunks_mut(chunk)).for_each(body);
        } else {
            self.blocks.iter_mut().zip(dx.chunks_mut(chunk)).for_each(body);
        }
    }

    /// Overwrite `out` with the gradient by the parameters, `J' z`: each row's times its number in `z`, or as it is without.
    ///
    /// # Panics
    /// If a slice is not of the network's size.
    pub fn gradient(&mut self, mlp: &Mlp, z: Option<&[f32]>, out: &mut [f32]) {
        mlp.check_params(out);
        assert!(z.is_none_or(|z| z.len() == self.rows), "one weight for each of {} rows", self.rows);
        count_flops(self.rows as u64 * mlp.flops_per_row());
        let (path, count) = (path(), self.rows.div_ceil(BLOCK));
        if let Some(z) = z {
            each(&mut self.blocks, self.rows, 1, z, |(block, z)| {
                for (l, layer) in mlp.layers.iter().enumerate() {
                    let to = stride(layer.outputs);
                    let scaled = &mut block.sides[0][l];
                    scaled.resize(block.rows * to);
                    kernels::scale_rows(path, z, to, &block.deltas[l + 1][..block.rows * to], scaled);
                }
            });
        }
        let Self { grad, blocks, .. } = self;
        grad.resize(mlp.layers.iter().map(|layer| layer.padded().len()).sum());
        for (l, layer) in mlp.layers.iter().enumerate() {
            let (inputs, outputs) = (stride(layer.inputs), stride(layer.outputs));
            let (weights, bias) = grad[layer.padded()].split_at_mut(layer.inputs * outputs);
            bias.fill(0.0);
            for block in &blocks[..count] {
                kernels::add_rows(path, block.delta(l, z.is_some(), outputs), block.rows, bias);
            }
            // Each piece of rows of the gradient sums over all rows of the batch in order: who computes it cannot matter.
            let body = |(i, piece): (usize, &mut [f32])| {
                for (b, block) in blocks[..count].iter().enumerate() {
                    let start = if b == 0 { Start::Zero } else { Start::Result };
                    let a = View { data: &block.activations[l][i * BLOCK..], stride: inputs };
                    let delta = block.delta(l, z.is_some(), outputs);
                    let rows = piece.len() / outputs;
                    kernels::product_transposed(path, rows, layer.outputs, block.rows, a, delta, start, piece, outputs);
                }
            };
            if parallel(layer.inputs.div_ceil(BLOCK)) {
                weights.par_chunks_mut(BLOCK * outputs).enumerate().for_each(body);
            } else {
                weights.chunks_mut(BLOCK * outputs).enumerate().for_each(body);
            }
            unpad(&grad[layer.padded()], outputs, layer.outputs, &mut out[layer.params()]);
        }
    }

    /// Overwrite `out` (n x n) with `J J'`, the inner products of all pairs of rows' gradients.
    ///
    /// A layer's gradient in a row is the outer product of what went in (and 1, for the bias) and of what came back, so its share of an
    /// inner product is `(a . a' + 1) (g . g')`: `J` (n x parameters) is never written down. Sums are taken in f64, in which products of f32 are
    /// exact, so that no rounding gives a kernel of nearly dependent rows a negative eigenvalue.
    ///
    /// # Panics
    /// If `out` is not of n x n numbers.
    pub fn kernel(&mut self, mlp: &Mlp, out: &mut [f64]) {
        let n = self.rows;
        assert_eq!(out.len(), n * n, "inner products of {n} rows");
        let path = path();
        let macs = |layer: &crate::mlp::Layer| (layer.inputs + layer.outputs) as u64;
        let pairs: u64 = blocks(0..n).map(|block| (block.len() * block.end) as u64).sum();
        count_flops(2 * pairs * mlp.layers.iter().map(macs).sum::<u64>());
        each(&mut self.blocks, n, 1, &[], |(block, _)| {
            for (l, layer) in mlp.layers.iter().enumerate() {
                for (side, width, from) in
                    [(0, layer.inputs, &block.activations[l]), (1, layer.outputs, &block.deltas[l + 1])]
                {
                    let to = &mut block.sides[side][l];
                    to.resize(width * BLOCK);
                    kernels::transpose(path, block.rows, width, View { data: from, stride: stride(width) }, to, BLOCK);
                    let wide = &mut block.wide[side][l];
                    wide.clear();
                    for first in (0..BLOCK).step_by(kernels::STRIP) {
                        let strip = to.chunks_exact(BLOCK).flat_map(|row| &row[first..][..kernels::STRIP]);
                        wide.extend(strip.map(|x| f64::from(*x)));
                    }
                }
            }
        });
        let kept = &self.blocks;
        let body = |(i, rows): (usize, &mut [f64])| {
            let (mut a, mut g) = (vec![0.0; BLOCK * BLOCK], vec![0.0; BLOCK * BLOCK]);
            rows.fill(0.0);
            for j in 0..=i {
                let (left, right) = (&kept[i], &kept[j]);
                for l in 0..mlp.layers.len() {
                    kernels::inner_products(path, &left.wide[0][l], &right.wide[0][l], &mut a);
                    kernels::inner_products(path, &left.wide[1][l], &right.wide[1][l], &mut g);
                    for (r, row) in rows.chunks_exact_mut(n).enumerate() {
                        let row = &mut row[j * BLOCK..][..right.rows];
                        kernels::add_gram(path, &a[r * BLOCK..][..right.rows], &g[r * BLOCK..][..right.rows], row);
                    }
                }
            }
        };
        if parallel(n.div_ceil(BLOCK)) {
            out.par_chunks_mut(BLOCK * n).enumerate().for_each(body);
        } else {
            out.chunks_mut(BLOCK * n).enumerate().for_each(body);
        }
        for i in 0..n {
            for j in i + 1..n {
                out[i * n + j] = out[j * n + i];
            }
        }
    }
}

impl Block {
    /// Room for `rows` rows of `mlp`.
    fn fit(&mut self, mlp: &Mlp, rows: usize) {
        self.rows = rows;
        let layers = mlp.sizes().len();
        let sine = mlp.activation() == Activation::Sin;
        for (buffers, wanted) in [(&mut self.activations, true), (&mut self.deltas, true), (&mut self.slopes, sine)] {
            buffers.resize_with(layers.max(buffers.len()), Buffer::default);
            for (buffer, size) in buffers.iter_mut().zip(mlp.sizes()).filter(|_| wanted) {
                buffer.resize(BLOCK * stride(*size));
            }
        }
        self.sides.iter_mut().for_each(|side| side.resize_with(layers.max(side.len()), Buffer::default));
        self.wide.iter_mut().for_each(|side| side.resize_with(layers.max(side.len()), Vec::new));
    }

    /// Derivatives by the outputs of layer `l`, or those times each row's weight.
    fn delta(&self, l: usize, weighted: bool, stride: usize) -> View<'_> {
        View { data: if weighted { &self.sides[0][l] } else { &self.deltas[l + 1] }, stride }
    }
}

/// Each block of `n` rows with its part of `data`, `width` numbers a row (or none at all).
fn each(blocks: &mut [Block], n: usize, width: usize, data: &[f32], body: impl Fn((&mut Block, &[f32])) + Sync) {
    let count = n.div_ceil(BLOCK);
    let part =
        |i: usize| if data.is_empty() { data } else { &data[i * BLOCK * width..((i + 1) * BLOCK).min(n) * width] };
    if parallel(count) {
        blocks[..count].par_iter_mut().enumerate().for_each(|(i, block)| body((block, part(i))));
    } else {
        blocks[..count].iter_mut().enumerate().for_each(|(i, block)| body((block, part(i))));
    }
}

/// Whether there is something to share out, and someone to share with.
fn parallel(pieces: usize) -> bool {
    pieces > 1 && rayon::current_num_threads() > 1
}
