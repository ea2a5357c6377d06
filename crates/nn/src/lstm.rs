//! Long short-term memory: forward over sequences, backpropagation through all of their time, and one step for acting.
//!
//! S. Hochreiter, J. Schmidhuber, "Long Short-Term Memory" (1997), with the forget gate of Gers, Schmidhuber and Cummins (2000), without
//! peepholes. With gates in the order input, forget, cell, output:
//! `i, f, g, o = sigmoid, sigmoid, tanh, sigmoid of [x, h] W + b`, `c' = f c + i g`, `h' = o tanh(c')`.
//!
//! Parameters are one flat slice: `W` ((inputs + hidden) x 4 hidden, row-major; the rows of `x`, then those of `h`) and then `b`
//! (4 hidden): the layout of a dense layer, so that a step has one product. Sequences are ordered by falling length and cut into blocks
//! of [`BLOCK`], which go through time side by side: those still running are the first rows of the block.

use std::ops::Range;

use rayon::prelude::*;
use tony_random::Stream;

use crate::kernels::{self, Start, View};
use crate::peak::count_flops;
use crate::simd::{Path, path};
use crate::workspace::{BLOCK, Buffer, Lanes, Scratch, blocks, pad, stride, unpad};
use crate::{Error, Init, Result};

/// The shape of an LSTM layer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Lstm {
    inputs: usize,
    hidden: usize,
}

/// A batch of sequences, one after another.
#[derive(Clone, Copy, Debug)]
pub struct Sequences<'a> {
    /// Inputs, `[rows, inputs]`; the rows of a sequence are contiguous and in time order.
    pub x: &'a [f32],
    /// Length of each sequence, 1 or more; together the number of rows.
    pub lengths: &'a [usize],
    /// `h` and `c` before the first step, `[sequences, 2 hidden]`; none: zeros.
    pub start: Option<&'a [f32]>,
    /// From the last row of each sequence to its first. Outputs stay at their inputs' rows.
    pub reverse: bool,
}

/// What [`Lstm::backward`] needs of the forward pass: some `8 hidden + inputs` numbers a row. It grows to what is asked for and is
/// then reused without allocation.
#[derive(Debug, Default)]
pub struct Tape {
    padded: Buffer,
    transposed: Buffer,
    /// Sequences by falling length.
    order: Vec<u32>,
    lengths: Vec<usize>,
    /// First row of each sequence.
    firsts: Vec<usize>,
    reverse: bool,
    lanes: Vec<Lane>,
    /// Lanes whose forward pass waits for its backward pass.
    ready: usize,
}

/// The blocks of one lane, each time after time. The start of a block's `c` stands before the block in `cells`.
#[derive(Debug, Default)]
struct Lane {
    /// `[x, h before]`; backward puts their derivatives there.
    inputs: Buffer,
    /// Activated gates.
    gates: Buffer,
    cells: Buffer,
    h: Buffer,
    d_gates: Buffer,
    d_h: Buffer,
    d_cells: Buffer,
    grad: Buffer,
}

/// One moment of one block: its rows in the lane's buffers, and the sequences that are still running.
struct Moment<'a> {
    /// First row at this time in `inputs`, `gates` and `h`.
    at: usize,
    /// Rows at this time and at the next.
    running: usize,
    next: usize,
    /// First row of `c` before and after this time in `cells`.
    before: usize,
    after: usize,
    time: usize,
    sequences: &'a [u32],
}

impl Lstm {
    /// A layer from `inputs` to `hidden` numbers.
    pub fn new(inputs: usize, hidden: usize) -> Result<Self> {
        if inputs == 0 || hidden == 0 {
            return Err(Error::Sizes(vec![inputs, hidden]));
        }
        Ok(Self { inputs, hidden })
    }

    /// Numbers in an input row.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Numbers in an output row.
    pub fn hidden(&self) -> usize {
        self.hidden
    }

    /// Length of the flat parameters.
    pub fn num_params(&self) -> usize {
        (self.width() + 1) * 4 * self.hidden
    }

    /// Length of the state that [`Lstm::step`] carries: `h`, then `c`.
    pub fn state_len(&self) -> usize {
        2 * self.hidden
    }

    /// Floating-point operations of one row's forward pass, 2 a multiply-add of its product. Backward costs twice as many.
    pub fn flops_per_row(&self) -> u64 {
        (2 * self.width() * 4 * self.hidden) as u64
    }

    /// Fill `params`: uniform within `+-1/sqrt(hidden)`, weights and biases, as `PyTorch` does (for its one of two biases).
    ///
    /// # Panics
    /// If `params` is not of [`Lstm::num_params`] numbers.
    pub fn init(&self, params: &mut [f32], stream: &mut Stream) {
        self.check_params(params);
        let (weights, bias) = params.split_at_mut(self.width() * 4 * self.hidden);
        Init::KaimingUniform.layer(self.hidden, false, weights, bias, stream);
    }

    /// Outputs of all rows into `h` (rows x hidden). `tape` is then ready for [`Lstm::backward`].
    ///
    /// # Panics
    /// If a slice is not of the layer's size, or the lengths are not those of the rows.
    pub fn forward(&self, params: &[f32], sequences: &Sequences, h: &mut [f32], tape: &mut Tape) {
        self.check_params(params);
        let rows = self.check(sequences);
        assert_eq!(h.len(), rows * self.hidden, "outputs of {rows} rows");
        count_flops(rows as u64 * self.flops_per_row());
        let path = path();
        let lanes = tape.arrange(sequences);
        let gates = 4 * self.hidden;
        tape.padded.resize((self.width() + 1) * stride(gates));
        pad(params, gates, stride(gates), &mut tape.padded);
        let Tape { padded, order, lengths, firsts, lanes: work, .. } = tape;
        let n = lengths.len();
        let body = |(l, lane): (usize, &mut Lane)| {
            lane.reserve(self, order[lanes.range(l, n)].iter().map(|&s| lengths[s as usize]).sum(), lanes.rows);
            each_block(order, lengths, lanes.range(l, n), |block, rows, cells| {
                self.start_block(block, sequences.start, rows, cells, lane);
                each_moment(block, lengths, rows, cells, |moment| {
                    self.step_forward(path, padded, sequences, firsts, &moment, lane);
                });
            });
        };
        if lanes.parallel() {
            work[..lanes.count].par_iter_mut().enumerate().for_each(body);
        } else {
            work[..lanes.count].iter_mut().enumerate().for_each(body);
        }
        tape.ready = lanes.count;
        tape.scatter(lanes, |lane, moment, r, row| {
            h[row * self.hidden..][..self.hidden]
                .copy_from_slice(&lane.h[(moment.at + r) * stride(self.hidden)..][..self.hidden]);
        });
    }

    /// After [`Lstm::forward`], once: overwrite `grad` with the gradient of a loss whose derivatives by the outputs are `dh`
    /// (rows x hidden), and `dx` (rows x inputs) with its derivatives by the inputs. The start is held fixed.
    ///
    /// # Panics
    /// If a slice is not of the layer's size, or `tape` holds no forward pass.
    pub fn backward(&self, params: &[f32], dh: &[f32], grad: &mut [f32], dx: Option<&mut [f32]>, tape: &mut Tape) {
        self.check_params(params);
        self.check_params(grad);
        let n = tape.lengths.len();
        let rows: usize = tape.lengths.iter().sum();
        assert_eq!(dh.len(), rows * self.hidden, "derivatives of {rows} outputs");
        let lanes = Lanes::of(n);
        assert_eq!(tape.ready, lanes.count, "each backward pass follows a forward pass of its own");
        tape.ready = 0;
        count_flops(2 * rows as u64 * self.flops_per_row());
        if n == 0 {
            grad.fill(0.0);
            return;
        }
        let path = path();
        let (width, gates) = (self.width(), 4 * self.hidden);
        tape.transposed.resize(gates * stride(width));
        let weights = View { data: params, stride: gates };
        kernels::transpose(path, width, gates, weights, &mut tape.transposed, stride(width));
        let Tape { transposed, order, lengths, firsts, reverse, lanes: work, .. } = &mut *tape;
        let body = |(l, lane): (usize, &mut Lane)| {
            lane.grad.resize((width + 1) * stride(gates));
            lane.grad.fill(0.0);
            each_block(order, lengths, lanes.range(l, n), |block, rows, cells| {
                lane.d_cells.fill(0.0);
                each_moment_backwards(block, lengths, rows, cells, |moment| {
                    for (r, &s) in moment.sequences.iter().enumerate() {
                        let row = row(firsts, lengths, *reverse, s, moment.time);
                        lane.d_h[r * stride(self.hidden)..][..self.hidden]
                            .copy_from_slice(&dh[row * self.hidden..][..self.hidden]);
                    }
                    self.step_backward(path, transposed, &moment, lane);
                });
            });
        };
        if lanes.parallel() {
            work[..lanes.count].par_iter_mut().enumerate().for_each(body);
        } else {
            work[..lanes.count].iter_mut().enumerate().for_each(body);
        }
        // Lane after lane: the only order that does not depend on who finished first.
        let (total, rest) = work[..lanes.count].split_at_mut(1);
        for lane in rest {
            kernels::axpy(1.0, &lane.grad, &mut total[0].grad);
        }
        unpad(&total[0].grad, stride(gates), gates, grad);
        if let Some(dx) = dx {
            assert_eq!(dx.len(), rows * self.inputs, "derivatives of {rows} inputs");
            tape.scatter(lanes, |lane, moment, r, row| {
                dx[row * self.inputs..][..self.inputs]
                    .copy_from_slice(&lane.inputs[(moment.at + r) * stride(width)..][..self.inputs]);
            });
        }
    }

    /// One step of one sequence: `state` (`h`, then `c`) becomes the state after the input `x`, and its first half the output. No
    /// allocation once `scratch` was used; the same bits as [`Lstm::forward`].
    ///
    /// # Panics
    /// If a slice is not of the layer's size.
    pub fn step(&self, params: &[f32], x: &[f32], state: &mut [f32], scratch: &mut Scratch) {
        self.check_params(params);
        assert_eq!((x.len(), state.len()), (self.inputs, self.state_len()), "input and state of one row");
        count_flops(self.flops_per_row());
        let (h, c) = state.split_at_mut(self.hidden);
        let [inputs, gates] = &mut scratch.rows;
        // Never shorter than what the networks that share the buffers left there.
        inputs.resize(inputs.len().max(self.width()), 0.0);
        gates.resize(gates.len().max(5 * self.hidden), 0.0);
        inputs[..self.inputs].copy_from_slice(x);
        inputs[self.inputs..self.width()].copy_from_slice(h);
        let (gates, before) = gates[..5 * self.hidden].split_at_mut(4 * self.hidden);
        before.copy_from_slice(c);
        let path = path();
        kernels::row_layer(path, &inputs[..self.width()], params, gates);
        kernels::cell(path, 1, self.hidden, gates, 4 * self.hidden, before, c, h, self.hidden);
    }

    /// Length of `[x, h]`.
    fn width(&self) -> usize {
        self.inputs + self.hidden
    }

    /// `h` and `c` before the first step of a block's sequences.
    fn start_block(&self, block: &[u32], start: Option<&[f32]>, rows: usize, cells: usize, lane: &mut Lane) {
        let (h, width) = (self.hidden, stride(self.width()));
        for (r, &s) in block.iter().enumerate() {
            let c_row = &mut lane.cells[(cells + r) * stride(h)..][..h];
            let h_row = &mut lane.inputs[(rows + r) * width + self.inputs..][..h];
            if let Some(start) = start {
                let state = &start[s as usize * 2 * h..][..2 * h];
                h_row.copy_from_slice(&state[..h]);
                c_row.copy_from_slice(&state[h..]);
            } else {
                h_row.fill(0.0);
                c_row.fill(0.0);
            }
        }
    }

    fn step_forward(
        &self,
        path: Path,
        padded: &[f32],
        sequences: &Sequences,
        firsts: &[usize],
        moment: &Moment,
        lane: &mut Lane,
    ) {
        let (b, hidden, gates) = (moment.running, self.hidden, 4 * self.hidden);
        let width = stride(self.width());
        let (now, next) = lane.inputs[moment.at * width..].split_at_mut(b * width);
        for (now, &s) in now.chunks_exact_mut(width).zip(moment.sequences) {
            let row = row(firsts, sequences.lengths, sequences.reverse, s, moment.time);
            now[..self.inputs].copy_from_slice(&sequences.x[row * self.inputs..][..self.inputs]);
        }
        let (weights, bias) = padded.split_at(self.width() * stride(gates));
        let (x, weights) = (View { data: now, stride: width }, View { data: weights, stride: stride(gates) });
        let z = &mut lane.gates[moment.at * stride(gates)..];
        kernels::product(path, b, gates, self.width(), x, weights, Start::Row(bias), z, stride(gates));
        let (before, after) = lane.cells.split_at_mut(moment.after * stride(hidden));
        let h = &mut lane.h[moment.at * stride(hidden)..];
        let before = &before[moment.before * stride(hidden)..];
        kernels::cell(path, b, hidden, z, stride(gates), before, after, h, stride(hidden));
        for (next, h) in next.chunks_exact_mut(width).zip(h.chunks_exact(stride(hidden))).take(moment.next) {
            next[self.inputs..self.inputs + hidden].copy_from_slice(&h[..hidden]);
        }
    }

    /// The derivatives by the outputs of this moment are in `d_h`, those by its `c` in `d_cells`, those by the next moment's inputs at
    /// their place.
    fn step_backward(&self, path: Path, transposed: &[f32], moment: &Moment, lane: &mut Lane) {
        let (b, hidden, gates) = (moment.running, self.hidden, 4 * self.hidden);
        let width = stride(self.width());
        let Lane { inputs, gates: activated, cells, d_gates, d_h, d_cells, grad, .. } = lane;
        let (now, next) = inputs[moment.at * width..].split_at_mut(b * width);
        for (d, next) in d_h.chunks_exact_mut(stride(hidden)).zip(next.chunks_exact(width)).take(moment.next) {
            d.iter_mut().zip(&next[self.inputs..self.inputs + hidden]).for_each(|(d, next)| *d += next);
        }
        let activated = View { data: &activated[moment.at * stride(gates)..], stride: stride(gates) };
        let before = &cells[moment.before * stride(hidden)..];
        let after = &cells[moment.after * stride(hidden)..];
        kernels::cell_backward(path, b, hidden, activated, before, after, d_h, d_cells, d_gates, stride(hidden));
        let (d_weights, d_bias) = grad.split_at_mut(self.width() * stride(gates));
        let d = View { data: d_gates, stride: stride(gates) };
        kernels::add_rows(path, d, b, d_bias);
        let x = View { data: now, stride: width };
        kernels::product_transposed(path, self.width(), gates, b, x, d, Start::Result, d_weights, stride(gates));
        let weights = View { data: transposed, stride: width };
        kernels::product(path, b, self.width(), gates, d, weights, Start::Zero, now, width);
    }

    fn check_params(&self, params: &[f32]) {
        assert_eq!(params.len(), self.num_params(), "numbers given against parameters of an LSTM {self:?}");
    }

    fn check(&self, sequences: &Sequences) -> usize {
        let Sequences { x, lengths, start, .. } = sequences;
        let rows = lengths.iter().sum::<usize>();
        assert!(!lengths.contains(&0), "a sequence has at least one row");
        assert_eq!(x.len(), rows * self.inputs, "inputs of {rows} rows of {}", self.inputs);
        if let Some(start) = start {
            assert_eq!(start.len(), lengths.len() * self.state_len(), "states of {} sequences", lengths.len());
        }
        rows
    }
}

impl Tape {
    /// Take in which sequences there are, in which order they are worked on.
    fn arrange(&mut self, sequences: &Sequences) -> Lanes {
        let n = sequences.lengths.len();
        self.lengths.clear();
        self.lengths.extend_from_slice(sequences.lengths);
        self.reverse = sequences.reverse;
        self.order.clear();
        self.order.extend(0..n as u32);
        // The index breaks ties: one order, whatever the algorithm of sorting.
        self.order.sort_unstable_by_key(|&s| (std::cmp::Reverse(sequences.lengths[s as usize]), s));
        self.firsts.clear();
        self.firsts.extend(sequences.lengths.iter().scan(0, |at, length| {
            let first = *at;
            *at += length;
            Some(first)
        }));
        let lanes = Lanes::of(n);
        if self.lanes.len() < lanes.count {
            self.lanes.resize_with(lanes.count, Lane::default);
        }
        lanes
    }

    /// Show every (lane, moment, row of the moment, row of the caller).
    fn scatter(&self, lanes: Lanes, mut show: impl FnMut(&Lane, &Moment, usize, usize)) {
        let n = self.lengths.len();
        for (l, lane) in self.lanes[..lanes.count].iter().enumerate() {
            each_block(&self.order, &self.lengths, lanes.range(l, n), |block, rows, cells| {
                each_moment(block, &self.lengths, rows, cells, |moment| {
                    for (r, &s) in moment.sequences.iter().enumerate() {
                        show(lane, &moment, r, row(&self.firsts, &self.lengths, self.reverse, s, moment.time));
                    }
                });
            });
        }
    }
}

impl Lane {
    fn reserve(&mut self, lstm: &Lstm, rows: usize, sequences: usize) {
        let (hidden, gates) = (stride(lstm.hidden), stride(4 * lstm.hidden));
        self.inputs.resize(rows * stride(lstm.width()));
        self.gates.resize(rows * gates);
        self.cells.resize((rows + sequences) * hidden);
        self.h.resize(rows * hidden);
        self.d_gates.resize(BLOCK * gates);
        self.d_h.resize(BLOCK * hidden);
        self.d_cells.resize(BLOCK * hidden);
    }
}

/// The caller's row of a sequence at a time.
fn row(firsts: &[usize], lengths: &[usize], reverse: bool, sequence: u32, time: usize) -> usize {
    let s = sequence as usize;
    firsts[s] + if reverse { lengths[s] - 1 - time } else { time }
}

/// The blocks of a lane: `(sequences, first row, first row of cells)`.
fn each_block(order: &[u32], lengths: &[usize], lane: Range<usize>, mut body: impl FnMut(&[u32], usize, usize)) {
    let (mut rows, mut cells) = (0, 0);
    for block in blocks(lane) {
        let block = &order[block];
        body(block, rows, cells);
        let length: usize = block.iter().map(|&s| lengths[s as usize]).sum();
        rows += length;
        cells += length + block.len();
    }
}

/// The moments of a block, first to last.
fn each_moment(block: &[u32], lengths: &[usize], rows: usize, cells: usize, mut body: impl FnMut(Moment)) {
    let running = |time| block.partition_point(|&s| lengths[s as usize] > time);
    let (mut at, mut before, mut after) = (rows, cells, cells + block.len());
    for time in 0..lengths[block[0] as usize] {
        let (now, next) = (running(time), running(time + 1));
        body(Moment { at, running: now, next, before, after, time, sequences: &block[..now] });
        at += now;
        before = after;
        after += now;
    }
}

/// The moments of a block, last to first.
fn each_moment_backwards(block: &[u32], lengths: &[usize], rows: usize, cells: usize, mut body: impl FnMut(Moment)) {
    let running = |time| block.partition_point(|&s| lengths[s as usize] > time);
    let mut at = rows + block.iter().map(|&s| lengths[s as usize]).sum::<usize>();
    let mut next = 0;
    for time in (0..lengths[block[0] as usize]).rev() {
        let now = running(time);
        at -= now;
        let after = cells + block.len() + (at - rows);
        let before = if time == 0 { cells } else { after - running(time - 1) };
        body(Moment { at, running: now, next, before, after, time, sequences: &block[..now] });
        next = now;
    }
}
