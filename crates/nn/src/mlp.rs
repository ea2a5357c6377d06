//! Multilayer perceptrons: forward, gradient, forward mode and Gauss-Newton products, block by block.
//!
//! Parameters are one flat slice, layer after layer: `W` (in x out, row-major) and then `b` (out); a layer computes `x W + b`, and every layer
//! but the last applies the activation. A block of [`BLOCK`] rows goes through all layers, the caller's head and back while it stays
//! in cache; weights are padded to whole vectors once a call.

use std::ops::Range;

use rayon::prelude::*;
use tony_random::Stream;

use crate::kernels::{self, Start, View};
use crate::peak::count_flops;
use crate::simd::{Path, path};
use crate::workspace::{
    BLOCK, Buffer, Lane, LaneOutputs, Lanes, Scratch, Workspace, blocks, pad, stride, unpad, with_workspace,
};
use crate::{Error, Init, Result, Rows};

/// Fewer rows than this are not worth padding the weights for.
const FEW: usize = 8;

/// What a hidden unit applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Activation {
    /// Hyperbolic tangent.
    Tanh,
    /// `max(0, x)`; the derivative at 0 is 0.
    Relu,
    /// Sine. Its derivative cannot be told from itself (the sign is lost), so a pass that will need it keeps the cosine, too.
    Sin,
}

/// What a batch's loss says about one block: `head(first, y, dy, sums)` gets the block's first row, its outputs `y` (b x out), fills
/// `dy` (b x out), and may add to `sums`. Blocks may be served in any order and by several threads.
pub type Head<'a> = dyn Fn(usize, &[f32], &mut [f32], &mut [f64]) + Sync + 'a;

/// Where a layer lies, in the caller's parameters and in padded copies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Layer {
    pub(crate) inputs: usize,
    pub(crate) outputs: usize,
    /// `W` and `b` in the flat parameters: `(inputs + 1) * outputs` numbers.
    at: usize,
    /// The same rows at a stride of `stride(outputs)`.
    padded_at: usize,
    /// `W` transposed, `outputs` rows at a stride of `stride(inputs)`. The first layer's is the last, because only the derivative by the input
    /// asks for it.
    pub(crate) transposed_at: usize,
}

impl Layer {
    pub(crate) fn params(&self) -> Range<usize> {
        self.at..self.at + (self.inputs + 1) * self.outputs
    }

    pub(crate) fn padded(&self) -> Range<usize> {
        self.padded_at..self.padded_at + (self.inputs + 1) * stride(self.outputs)
    }

    fn transposed(&self) -> Range<usize> {
        self.transposed_at..self.transposed_at + self.outputs * stride(self.inputs)
    }

    pub(crate) fn macs(&self) -> u64 {
        (self.inputs * self.outputs) as u64
    }
}

/// The shape of a network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mlp {
    sizes: Vec<usize>,
    activation: Activation,
    pub(crate) layers: Vec<Layer>,
}

impl Mlp {
    /// Layer sizes from input to output, for example `[60, 64, 64, 2]`; two sizes make a linear map.
    pub fn new(sizes: &[usize], activation: Activation) -> Result<Self> {
        if sizes.len() < 2 || sizes.contains(&0) {
            return Err(Error::Sizes(sizes.to_vec()));
        }
        let (mut at, mut padded_at, mut transposed_at) = (0, 0, 0);
        let mut layers: Vec<Layer> = Vec::new();
        for (l, pair) in sizes.windows(2).enumerate() {
            let (inputs, outputs) = (pair[0], pair[1]);
            layers.push(Layer { inputs, outputs, at, padded_at, transposed_at });
            at += (inputs + 1) * outputs;
            padded_at += (inputs + 1) * stride(outputs);
            transposed_at += if l == 0 { 0 } else { outputs * stride(inputs) };
        }
        layers[0].transposed_at = transposed_at;
        Ok(Self { sizes: sizes.to_vec(), activation, layers })
    }

    /// Layer sizes, as given.
    pub fn sizes(&self) -> &[usize] {
        &self.sizes
    }

    /// Numbers in an input row.
    pub fn input(&self) -> usize {
        self.sizes[0]
    }

    /// Numbers in an output row.
    pub fn output(&self) -> usize {
        self.sizes[self.sizes.len() - 1]
    }

    /// The activation of hidden layers.
    pub fn activation(&self) -> Activation {
        self.activation
    }

    /// Length of the flat parameters.
    pub fn num_params(&self) -> usize {
        self.layers.iter().map(|layer| layer.params().len()).sum()
    }

    /// Floating-point operations of one row's forward pass, 2 a multiply-add. A gradient costs three times as many, less the first
    /// layer's once (nobody asks for the derivative by the input).
    pub fn flops_per_row(&self) -> u64 {
        2 * self.layers.iter().map(Layer::macs).sum::<u64>()
    }

    /// Fill `params`.
    ///
    /// # Panics
    /// If `params` is not of [`Mlp::num_params`] numbers.
    pub fn init(&self, params: &mut [f32], init: Init, stream: &mut Stream) {
        self.check_params(params);
        for (l, layer) in self.layers.iter().enumerate() {
            let (weights, bias) = params[layer.params()].split_at_mut(layer.inputs * layer.outputs);
            init.layer(layer.inputs, l + 1 == self.layers.len(), weights, bias, stream);
        }
    }

    /// Outputs of all rows into `y` (n x out).
    ///
    /// # Panics
    /// If a slice is not of the network's size, or an index is outside of the data.
    pub fn forward(&self, params: &[f32], x: &Rows, y: &mut [f32]) {
        let n = self.check(params, x);
        assert_eq!(y.len(), n * self.output(), "outputs of {n} rows");
        count_flops(n as u64 * self.flops_per_row());
        with_workspace(|work| {
            let path = path();
            if n < FEW {
                let Workspace { row, scratch, .. } = work;
                row.resize(self.input(), 0.0);
                for (i, y) in y.chunks_exact_mut(self.output()).enumerate() {
                    x.read(path, i, row);
                    self.row(path, params, row, y, scratch);
                }
                return;
            }
            self.pack(params, &mut work.padded);
            let lanes = Lanes::of(n);
            work.reserve(self, lanes.count, 0);
            let padded = &work.padded;
            let body = |(l, (lane, y)): (usize, (&mut Lane, &mut [f32]))| {
                for (i, block) in blocks(lanes.range(l, n)).enumerate() {
                    self.forward_block(path, padded, x, block.clone(), &mut lane.activations, None);
                    let at = i * BLOCK * self.output();
                    lane.outputs(self, block.len(), &mut y[at..at + block.len() * self.output()]);
                }
            };
            let size = lanes.rows * self.output();
            if lanes.parallel() {
                work.lanes.par_iter_mut().zip(y.par_chunks_mut(size)).enumerate().for_each(body);
            } else {
                work.lanes.iter_mut().zip(y.chunks_mut(size)).enumerate().for_each(body);
            }
        });
    }

    /// Outputs of one row, already normalised: no allocation once `scratch` was used; the same bits as [`Mlp::forward`].
    ///
    /// # Panics
    /// If a slice is not of the network's size.
    pub fn forward_row(&self, params: &[f32], x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        self.check_params(params);
        assert_eq!((x.len(), y.len()), (self.input(), self.output()), "input and output of one row");
        count_flops(self.flops_per_row());
        self.row(path(), params, x, y, scratch);
    }

    /// Overwrite `grad` with the sum over rows of `J_row' dy_row`, where `head` tells `dy` from the outputs; `sums` is overwritten with
    /// what the head added, lane after lane.
    ///
    /// # Panics
    /// If a slice is not of the network's size, or an index is outside of the data.
    pub fn gradient(
        &self,
        params: &[f32],
        x: &Rows,
        head: &Head,
        grad: &mut [f32],
        sums: &mut [f64],
        work: &mut Workspace,
    ) {
        self.sweep(params, None, x, head, grad, None, sums, work);
    }

    /// As [`Mlp::gradient`], and overwrite `dx` (n x in) with `J_x' dy` of each row: derivatives by the inputs, as they are after the
    /// normaliser.
    ///
    /// # Panics
    /// If a slice is not of the network's size, or an index is outside of the data.
    #[allow(clippy::too_many_arguments)]
    pub fn gradient_with_inputs(
        &self,
        params: &[f32],
        x: &Rows,
        head: &Head,
        grad: &mut [f32],
        dx: &mut [f32],
        sums: &mut [f64],
        work: &mut Workspace,
    ) {
        self.sweep(params, None, x, head, grad, Some(dx), sums, work);
    }

    /// Overwrite `out` with the sum over rows of `J' M J v`: a Gauss-Newton or Fisher product. `head(first, y, jv, sums)` gets `J v` in
    /// `jv` (b x out) and replaces it by `M J v`.
    ///
    /// # Panics
    /// If a slice is not of the network's size, or an index is outside of the data.
    #[allow(clippy::too_many_arguments)]
    pub fn gauss_newton(
        &self,
        params: &[f32],
        v: &[f32],
        x: &Rows,
        head: &Head,
        out: &mut [f32],
        sums: &mut [f64],
        work: &mut Workspace,
    ) {
        self.check_params(v);
        self.sweep(params, Some(v), x, head, out, None, sums, work);
    }

    /// Outputs `y` and directional derivatives `jv = J v` of all rows (n x out each), by forward mode.
    ///
    /// # Panics
    /// If a slice is not of the network's size, or an index is outside of the data.
    pub fn jvp(&self, params: &[f32], v: &[f32], x: &Rows, y: &mut [f32], jv: &mut [f32]) {
        let n = self.check(params, x);
        self.check_params(v);
        assert_eq!((y.len(), jv.len()), (n * self.output(), n * self.output()), "outputs of {n} rows");
        count_flops(n as u64 * (self.flops_per_row() + self.tangent_flops_per_row()));
        with_workspace(|work| {
            let path = path();
            self.pack(params, &mut work.padded);
            self.pack(v, &mut work.tangent);
            let lanes = Lanes::of(n);
            work.reserve(self, lanes.count, 0);
            let (padded, tangent) = (&work.padded, &work.tangent);
            let body = |(l, ((lane, y), jv)): (usize, LaneOutputs)| {
                for (i, block) in blocks(lanes.range(l, n)).enumerate() {
                    let b = block.len();
                    self.forward_block(path, padded, x, block, &mut lane.activations, Some(&mut lane.slopes));
                    self.tangent_block(path, padded, tangent, b, lane);
                    let out = i * BLOCK * self.output()..(i * BLOCK + b) * self.output();
                    lane.outputs(self, b, &mut y[out.clone()]);
                    unpad(&lane.delta[0], stride(self.output()), self.output(), &mut jv[out]);
                }
            };
            let size = lanes.rows * self.output();
            if lanes.parallel() {
                let chunks = work.lanes.par_iter_mut().zip(y.par_chunks_mut(size)).zip(jv.par_chunks_mut(size));
                chunks.enumerate().for_each(body);
            } else {
                let chunks = work.lanes.iter_mut().zip(y.chunks_mut(size)).zip(jv.chunks_mut(size));
                chunks.enumerate().for_each(body);
            }
        });
    }

    #[allow(clippy::too_many_arguments)]
    fn sweep(
        &self,
        params: &[f32],
        v: Option<&[f32]>,
        x: &Rows,
        head: &Head,
        out: &mut [f32],
        dx: Option<&mut [f32]>,
        sums: &mut [f64],
        work: &mut Workspace,
    ) {
        let n = self.check(params, x);
        self.check_params(out);
        let (forward, first) = (self.flops_per_row(), if dx.is_some() { 0 } else { 2 * self.layers[0].macs() });
        let tangent = if v.is_some() { self.tangent_flops_per_row() } else { 0 };
        count_flops(n as u64 * (3 * forward - first + tangent));
        if n == 0 {
            out.fill(0.0);
            sums.fill(0.0);
            return;
        }
        let path = path();
        self.pack(params, &mut work.padded);
        self.pack_transposed(path, params, usize::from(dx.is_none()), &mut work.transposed);
        if let Some(v) = v {
            self.pack(v, &mut work.tangent);
        }
        let lanes = Lanes::of(n);
        work.reserve(self, lanes.count, sums.len());
        let (padded, transposed, tangent) = (&work.padded, &work.transposed, &work.tangent);
        let body = |l: usize, lane: &mut Lane, mut dx: Option<&mut [f32]>| {
            lane.sums.fill(0.0);
            lane.grad.resize(padded.len());
            for (i, block) in blocks(lanes.range(l, n)).enumerate() {
                let (first, b) = (block.start, block.len());
                self.forward_block(path, padded, x, block, &mut lane.activations, Some(&mut lane.slopes));
                let size = b * self.output();
                let Lane { activations, y, dy, .. } = &mut *lane;
                unpad(&activations[self.layers.len()], stride(self.output()), self.output(), &mut y[..size]);
                if v.is_some() {
                    self.tangent_block(path, padded, tangent, b, lane);
                    unpad(&lane.delta[0], stride(self.output()), self.output(), &mut lane.dy[..size]);
                } else {
                    dy[..size].fill(0.0);
                }
                let Lane { delta, y, dy, sums, .. } = &mut *lane;
                head(first, &y[..size], &mut dy[..size], sums);
                pad(&dy[..size], self.output(), stride(self.output()), &mut delta[0]);
                let at = i * BLOCK * self.input();
                let dx = dx.as_deref_mut().map(|dx| &mut dx[at..at + b * self.input()]);
                self.backward_block(path, transposed, b, i == 0, dx, lane);
            }
        };
        let (used, parallel) = (&mut work.lanes[..lanes.count], lanes.parallel());
        match dx {
            Some(dx) => {
                assert_eq!(dx.len(), n * self.input(), "derivatives of {n} inputs");
                let size = lanes.rows * self.input();
                let body = |(l, (lane, dx)): (usize, (&mut Lane, &mut [f32]))| body(l, lane, Some(dx));
                if parallel {
                    used.par_iter_mut().zip(dx.par_chunks_mut(size)).enumerate().for_each(body);
                } else {
                    used.iter_mut().zip(dx.chunks_mut(size)).enumerate().for_each(body);
                }
            }
            None if parallel => used.par_iter_mut().enumerate().for_each(|(l, lane)| body(l, lane, None)),
            None => used.iter_mut().enumerate().for_each(|(l, lane)| body(l, lane, None)),
        }
        // Lane after lane: the only order that does not depend on who finished first.
        let (total, rest) = work.lanes[..lanes.count].split_at_mut(1);
        let total = &mut total[0];
        for lane in rest {
            kernels::axpy(1.0, &lane.grad, &mut total.grad);
            total.sums.iter_mut().zip(&lane.sums).for_each(|(total, sum)| *total += sum);
        }
        sums.copy_from_slice(&total.sums);
        for layer in &self.layers {
            unpad(&total.grad[layer.padded()], stride(layer.outputs), layer.outputs, &mut out[layer.params()]);
        }
    }

    /// Activations of the rows `block`, layer after layer; with `slopes`, also what the derivatives of sines are told from.
    pub(crate) fn forward_block(
        &self,
        path: Path,
        padded: &[f32],
        x: &Rows,
        block: Range<usize>,
        activations: &mut [Buffer],
        mut slopes: Option<&mut [Buffer]>,
    ) {
        let b = block.len();
        let input = stride(self.input());
        for (i, row) in block.zip(activations[0].chunks_exact_mut(input)) {
            x.read(path, i, &mut row[..self.input()]);
        }
        for (l, layer) in self.layers.iter().enumerate() {
            let (before, after) = activations.split_at_mut(l + 1);
            let (weights, bias) = layer_parts(layer, padded);
            let (from, to) = (View { data: &before[l], stride: stride(layer.inputs) }, stride(layer.outputs));
            kernels::product(path, b, layer.outputs, layer.inputs, from, weights, Start::Row(bias), &mut after[0], to);
            if l + 1 == self.layers.len() {
                return;
            }
            let z = &mut after[0][..b * to];
            match &mut slopes {
                Some(slopes) if self.activation == Activation::Sin => {
                    kernels::activate_sin(path, z, &mut slopes[l + 1][..b * to]);
                }
                _ => kernels::activate(path, self.activation, z),
            }
        }
    }

    /// `d *= activation'` of the `b` rows of hidden layer `l`.
    pub(crate) fn chain(&self, path: Path, l: usize, b: usize, kept: (&[Buffer], &[Buffer]), d: &mut [f32]) {
        let (activations, slopes) = kept;
        let told = if self.activation == Activation::Sin { &slopes[l] } else { &activations[l] };
        let size = b * stride(self.sizes[l]);
        kernels::chain(path, self.activation, &told[..size], &mut d[..size]);
    }

    /// Forward mode along `tangent`, after [`Mlp::forward_block`]; the outputs' tangents are left in `delta[0]`.
    fn tangent_block(&self, path: Path, padded: &[f32], tangent: &[f32], b: usize, lane: &mut Lane) {
        let Lane { activations, slopes, delta, .. } = lane;
        let [to, from] = delta;
        for (l, layer) in self.layers.iter().enumerate() {
            let (inputs, outputs) = (stride(layer.inputs), stride(layer.outputs));
            let (weights, _) = layer_parts(layer, padded);
            let (v, v_bias) = layer_parts(layer, tangent);
            let a = View { data: &activations[l], stride: inputs };
            kernels::product(path, b, layer.outputs, layer.inputs, a, v, Start::Row(v_bias), to, outputs);
            if l > 0 {
                let t = View { data: from, stride: inputs };
                kernels::product(path, b, layer.outputs, layer.inputs, t, weights, Start::Result, to, outputs);
            }
            if l + 1 < self.layers.len() {
                self.chain(path, l + 1, b, (activations, slopes), to);
                std::mem::swap(to, from);
            }
        }
    }

    /// From the outputs' derivatives in `delta[0]` to the lane's gradient, which the `first` block overwrites, and to the inputs' if wanted.
    fn backward_block(
        &self,
        path: Path,
        transposed: &[f32],
        b: usize,
        first: bool,
        dx: Option<&mut [f32]>,
        lane: &mut Lane,
    ) {
        let Lane { activations, slopes, delta, grad, .. } = lane;
        let [d, next] = delta;
        let start = if first { Start::Zero } else { Start::Result };
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let (inputs, outputs) = (stride(layer.inputs), stride(layer.outputs));
            let (d_weights, d_bias) = grad[layer.padded()].split_at_mut(layer.inputs * outputs);
            if first {
                d_bias.fill(0.0);
            }
            let delta = View { data: d, stride: outputs };
            kernels::add_rows(path, delta, b, d_bias);
            let a = View { data: &activations[l], stride: inputs };
            kernels::product_transposed(path, layer.inputs, layer.outputs, b, a, delta, start, d_weights, outputs);
            if l > 0 || dx.is_some() {
                self.back(path, l, b, transposed, d, next);
                if l > 0 {
                    self.chain(path, l, b, (activations, slopes), next);
                }
                std::mem::swap(d, next);
            }
        }
        if let Some(dx) = dx {
            unpad(d, stride(self.input()), self.input(), dx);
        }
    }

    fn row(&self, path: Path, params: &[f32], x: &[f32], y: &mut [f32], scratch: &mut Scratch) {
        let [from, to] = &mut scratch.rows;
        let last = self.layers.len() - 1;
        for (l, layer) in self.layers.iter().enumerate() {
            let input = if l == 0 { x } else { &from[..layer.inputs] };
            if l == last {
                kernels::row_layer(path, input, &params[layer.params()], y);
                return;
            }
            if to.len() < layer.outputs {
                to.resize(layer.outputs, 0.0);
            }
            kernels::row_layer(path, input, &params[layer.params()], &mut to[..layer.outputs]);
            kernels::activate(path, self.activation, &mut to[..layer.outputs]);
            std::mem::swap(from, to);
        }
    }

    pub(crate) fn pack(&self, params: &[f32], padded: &mut Buffer) {
        padded.resize(self.layers.iter().map(|layer| layer.padded().len()).sum());
        for layer in &self.layers {
            pad(&params[layer.params()], layer.outputs, stride(layer.outputs), &mut padded[layer.padded()]);
        }
    }

    /// Transposed weights of the layers from number `first` on.
    pub(crate) fn pack_transposed(&self, path: Path, params: &[f32], first: usize, transposed: &mut Buffer) {
        transposed.resize(self.layers.iter().map(|layer| layer.transposed().len()).sum());
        for layer in &self.layers[first..] {
            let weights = View { data: &params[layer.params()], stride: layer.outputs };
            let to = &mut transposed[layer.transposed()];
            kernels::transpose(path, layer.inputs, layer.outputs, weights, to, stride(layer.inputs));
        }
    }

    /// From the derivatives `delta` by a layer's outputs to those by its inputs, before the activation's.
    pub(crate) fn back(&self, path: Path, l: usize, b: usize, transposed: &[f32], delta: &[f32], to: &mut [f32]) {
        let layer = &self.layers[l];
        let (inputs, outputs) = (stride(layer.inputs), stride(layer.outputs));
        let weights = View { data: &transposed[layer.transposed()], stride: inputs };
        let delta = View { data: delta, stride: outputs };
        kernels::product(path, b, layer.inputs, layer.outputs, delta, weights, Start::Zero, to, inputs);
    }

    /// Multiply-adds x 2 of forward mode for one row, on top of the forward pass.
    pub(crate) fn tangent_flops_per_row(&self) -> u64 {
        2 * self.flops_per_row() - 2 * self.layers[0].macs()
    }

    pub(crate) fn check_params(&self, params: &[f32]) {
        assert_eq!(params.len(), self.num_params(), "numbers given against parameters of a network {:?}", self.sizes);
    }

    pub(crate) fn check(&self, params: &[f32], x: &Rows) -> usize {
        self.check_params(params);
        assert_eq!(x.width, self.input(), "numbers in a row against inputs of a network {:?}", self.sizes);
        assert_eq!(x.data.len() % x.width, 0, "{} numbers are no whole rows of {}", x.data.len(), x.width);
        if let Some(normaliser) = x.normaliser {
            assert_eq!(normaliser.width(), x.width, "the normaliser's width against the rows'");
        }
        x.len()
    }
}

/// `W` and `b` of a layer in a padded copy.
pub(crate) fn layer_parts<'a>(layer: &Layer, padded: &'a [f32]) -> (View<'a>, &'a [f32]) {
    let stride = stride(layer.outputs);
    let (weights, bias) = padded[layer.padded()].split_at(layer.inputs * stride);
    (View { data: weights, stride }, bias)
}
