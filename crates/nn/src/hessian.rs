//! Products of a loss's Hessian with a vector, exactly, by forward mode over reverse mode (Pearlmutter 1994, the R-operator).
//!
//! Every quantity `q` of the forward and backward pass is followed by its derivative `R q` along `v`: of the parameters `R W = V`, of the
//! input 0. What the backward pass then leaves as `R` of the gradient is `H v`. No curvature is dropped, unlike in
//! [`Mlp::gauss_newton`], so the product may have any sign.

use rayon::prelude::*;

use crate::kernels::{self, Start, View};
use crate::mlp::layer_parts;
use crate::peak::count_flops;
use crate::simd::{Path, path};
use crate::workspace::{BLOCK, Lane, Lanes, Workspace, blocks, pad, stride, unpad};
use crate::{Mlp, Rows};

/// What a batch's loss says about one block: `curve(first, y, ry, dy)` gets the block's first row, its outputs `y` and their derivatives
/// `ry` along `v`; it fills `dy` with the loss's derivative by the outputs and replaces `ry` by that derivative's own derivative along `v`
/// (all b x out). Blocks may be served in any order and by several threads.
pub type Curve<'a> = dyn Fn(usize, &[f32], &mut [f32], &mut [f32]) + Sync + 'a;

impl Mlp {
    /// Overwrite `out` with `H v`, `H` being the Hessian of the loss summed over all rows.
    ///
    /// # Panics
    /// If a slice is not of the network's size, or an index is outside of the data.
    pub fn hessian_vector(
        &self,
        params: &[f32],
        v: &[f32],
        x: &Rows,
        curve: &Curve,
        out: &mut [f32],
        work: &mut Workspace,
    ) {
        let n = self.check(params, x);
        self.check_params(v);
        self.check_params(out);
        let (forward, first) = (self.flops_per_row(), 2 * self.layers[0].macs());
        // Twice the forward pass less the input's tangent, and of the backward pass two products more in each of its two halves.
        count_flops(n as u64 * (forward + self.tangent_flops_per_row() + 5 * forward - 3 * first));
        if n == 0 {
            out.fill(0.0);
            return;
        }
        let path = path();
        self.pack(params, &mut work.padded);
        self.pack_transposed(path, params, 1, &mut work.transposed);
        self.pack(v, &mut work.tangent);
        self.pack_transposed(path, v, 1, &mut work.tangent_transposed);
        let lanes = Lanes::of(n);
        work.reserve(self, lanes.count, 0);
        work.reserve_tangents(self, lanes.count);
        let weights = Both { padded: &work.padded, transposed: &work.transposed };
        let directions = Both { padded: &work.tangent, transposed: &work.tangent_transposed };
        let body = |(l, lane): (usize, &mut Lane)| {
            lane.grad.resize(weights.padded.len());
            for (i, block) in blocks(lanes.range(l, n)).enumerate() {
                let (first, b) = (block.start, block.len());
                self.forward_block(path, weights.padded, x, block, &mut lane.activations, Some(&mut lane.slopes));
                self.tangents_block(path, weights.padded, directions.padded, b, lane);
                let (size, wide) = (b * self.output(), stride(self.output()));
                let last = self.layers.len();
                let Lane { activations, tangents, delta, r_delta, y, dy, ry, .. } = &mut *lane;
                unpad(&activations[last], wide, self.output(), &mut y[..size]);
                unpad(&tangents[last], wide, self.output(), &mut ry[..size]);
                dy[..size].fill(0.0);
                curve(first, &y[..size], &mut ry[..size], &mut dy[..size]);
                pad(&dy[..size], self.output(), wide, &mut delta[0]);
                pad(&ry[..size], self.output(), wide, &mut r_delta[0]);
                self.r_backward_block(path, weights.transposed, directions.transposed, b, i == 0, lane);
            }
        };
        if lanes.parallel() {
            work.lanes[..lanes.count].par_iter_mut().enumerate().for_each(body);
        } else {
            work.lanes[..lanes.count].iter_mut().enumerate().for_each(body);
        }
        // Lane after lane, as in a gradient.
        let (total, rest) = work.lanes[..lanes.count].split_at_mut(1);
        for lane in rest {
            kernels::axpy(1.0, &lane.grad, &mut total[0].grad);
        }
        for layer in &self.layers {
            unpad(&total[0].grad[layer.padded()], stride(layer.outputs), layer.outputs, &mut out[layer.params()]);
        }
    }

    /// `R z` and `R a` of every layer, after [`Mlp::forward_block`]: `R z = a V + R a W`, `R a = s'(z) R z`.
    fn tangents_block(&self, path: Path, padded: &[f32], tangent: &[f32], b: usize, lane: &mut Lane) {
        for (l, layer) in self.layers.iter().enumerate() {
            let (inputs, outputs) = (stride(layer.inputs), stride(layer.outputs));
            let (weights, _) = layer_parts(layer, padded);
            let (v, v_bias) = layer_parts(layer, tangent);
            let (before, after) = lane.tangents.split_at_mut(l + 1);
            let a = View { data: &lane.activations[l], stride: inputs };
            kernels::product(path, b, layer.outputs, layer.inputs, a, v, Start::Row(v_bias), &mut after[0], outputs);
            if l > 0 {
                let ra = View { data: &before[l], stride: inputs };
                kernels::product(
                    path,
                    b,
                    layer.outputs,
                    layer.inputs,
                    ra,
                    weights,
                    Start::Result,
                    &mut after[0],
                    outputs,
                );
            }
            if l + 1 < self.layers.len() {
                lane.tangents_before[l + 1][..b * outputs].copy_from_slice(&after[0][..b * outputs]);
                self.chain(path, l + 1, b, (&lane.activations, &lane.slopes), &mut after[0]);
            }
        }
    }

    /// From `d = dL/dz` of the outputs in `delta[0]` and `R d` in `r_delta[0]` to the lane's `H v`, which the `first` block overwrites:
    /// `a' R d + R a' d` by layer, and downwards `R g = R d W' + d V'`, `R d = s'(z) R g + s''(z) R z g`.
    fn r_backward_block(
        &self,
        path: Path,
        transposed: &[f32],
        tangent: &[f32],
        b: usize,
        first: bool,
        lane: &mut Lane,
    ) {
        let Lane { activations, slopes, tangents, tangents_before, delta, r_delta, grad, .. } = lane;
        let ([d, next], [rd, r_next]) = (delta, r_delta);
        let start = if first { Start::Zero } else { Start::Result };
        for (l, layer) in self.layers.iter().enumerate().rev() {
            let (inputs, outputs) = (stride(layer.inputs), stride(layer.outputs));
            let (h_weights, h_bias) = grad[layer.padded()].split_at_mut(layer.inputs * outputs);
            if first {
                h_bias.fill(0.0);
            }
            let (delta, r_delta) = (View { data: d, stride: outputs }, View { data: rd, stride: outputs });
            kernels::add_rows(path, r_delta, b, h_bias);
            let a = View { data: &activations[l], stride: inputs };
            kernels::product_transposed(path, layer.inputs, layer.outputs, b, a, r_delta, start, h_weights, outputs);
            if l == 0 {
                return;
            }
            let ra = View { data: &tangents[l], stride: inputs };
            let (m, n) = (layer.inputs, layer.outputs);
            kernels::product_transposed(path, m, n, b, ra, delta, Start::Result, h_weights, outputs);
            let at = layer.transposed_at..layer.transposed_at + n * inputs;
            let weights = View { data: &transposed[at.clone()], stride: inputs };
            let v = View { data: &tangent[at], stride: inputs };
            kernels::product(path, b, m, n, delta, weights, Start::Zero, next, inputs);
            kernels::product(path, b, m, n, r_delta, weights, Start::Zero, r_next, inputs);
            kernels::product(path, b, m, n, delta, v, Start::Result, r_next, inputs);
            let size = b * inputs;
            let (a, rz) = (&activations[l][..size], &tangents_before[l][..size]);
            // Of other activations than sines the slopes are not kept, and not read.
            let slope = &slopes[l][..size.min(slopes[l].len())];
            kernels::bend(path, self.activation(), a, slope, rz, &next[..size], &mut r_next[..size]);
            self.chain(path, l, b, (activations, slopes), next);
            std::mem::swap(d, next);
            std::mem::swap(rd, r_next);
        }
    }
}

/// Padded weights and their transposes.
#[derive(Clone, Copy)]
struct Both<'a> {
    padded: &'a [f32],
    transposed: &'a [f32],
}

impl Workspace {
    /// Room for the derivatives along `v`, besides what [`Workspace::reserve`] makes room for.
    fn reserve_tangents(&mut self, mlp: &Mlp, lanes: usize) {
        for lane in &mut self.lanes[..lanes] {
            lane.tangents.resize_with(mlp.sizes().len().max(lane.tangents.len()), Default::default);
            lane.tangents_before.resize_with(mlp.sizes().len().max(lane.tangents_before.len()), Default::default);
            for both in [&mut lane.tangents, &mut lane.tangents_before] {
                for (tangents, size) in both.iter_mut().zip(mlp.sizes()) {
                    tangents.resize(BLOCK * stride(*size));
                }
            }
            let widest = mlp.sizes().iter().map(|size| BLOCK * stride(*size)).max().unwrap_or(0);
            lane.r_delta.iter_mut().for_each(|delta| delta.resize(widest));
            lane.ry.resize(BLOCK * mlp.output(), 0.0);
        }
    }
}
