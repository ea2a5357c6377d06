//! Where intermediate results live: padded buffers, cut into lanes of blocks.
#![allow(unsafe_code)]

use std::cell::Cell;
use std::ops::{Deref, DerefMut, Range};

use crate::simd::WIDTH;
use crate::{Activation, Mlp};

/// Rows that go through the network together.
pub const BLOCK: usize = 64;
/// Most pieces that a batch is cut into, each with its own partial sums; it bounds the threads that can help, and is never told by them.
pub const LANES: usize = 16;

/// Distance between rows of `n` numbers: whole vectors, and never a multiple of 512 bytes, at which rows would compete for the same cache sets.
pub(crate) fn stride(n: usize) -> usize {
    let whole = n.next_multiple_of(WIDTH);
    if whole.is_multiple_of(128) { whole + WIDTH } else { whole }
}

/// Rows of `n` to rows of `stride`, zeros between.
pub(crate) fn pad(rows: &[f32], n: usize, stride: usize, padded: &mut [f32]) {
    if n == stride {
        padded[..rows.len()].copy_from_slice(rows);
        return;
    }
    for (row, padded) in rows.chunks_exact(n).zip(padded.chunks_exact_mut(stride)) {
        padded[..n].copy_from_slice(row);
        padded[n..].fill(0.0);
    }
}

/// Rows of `stride` to rows of `n`.
pub(crate) fn unpad(padded: &[f32], stride: usize, n: usize, rows: &mut [f32]) {
    if n == stride {
        rows.copy_from_slice(&padded[..rows.len()]);
        return;
    }
    for (row, padded) in rows.chunks_exact_mut(n).zip(padded.chunks_exact(stride)) {
        row.copy_from_slice(&padded[..n]);
    }
}

/// How `n` rows are cut into lanes of whole blocks: a function of `n` alone.
#[derive(Clone, Copy)]
pub(crate) struct Lanes {
    pub(crate) rows: usize,
    pub(crate) count: usize,
}

impl Lanes {
    pub(crate) fn of(n: usize) -> Self {
        let rows = n.div_ceil(BLOCK).div_ceil(LANES).max(1) * BLOCK;
        Self { rows, count: n.div_ceil(rows) }
    }

    /// Whether there is something to share out, and someone to share with. A single lane never meets rayon.
    pub(crate) fn parallel(self) -> bool {
        self.count > 1 && rayon::current_num_threads() > 1
    }

    /// The rows of lane number `lane`.
    pub(crate) fn range(self, lane: usize, n: usize) -> Range<usize> {
        lane * self.rows..((lane + 1) * self.rows).min(n)
    }
}

/// The blocks of a range of rows.
pub(crate) fn blocks(rows: Range<usize>) -> impl Iterator<Item = Range<usize>> {
    let end = rows.end;
    rows.step_by(BLOCK).map(move |first| first..(first + BLOCK).min(end))
}

/// Buffers of [`Mlp::forward_row`]; they grow at the first use.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    pub(crate) rows: [Vec<f32>; 2],
}

/// Buffers of gradients and products: padded weights, and activations, derivatives and partial sums of each lane. They grow to what is
/// asked for and are then reused without allocation; one workspace serves networks of any shape, one call at a time.
#[derive(Debug, Default)]
pub struct Workspace {
    pub(crate) padded: Buffer,
    pub(crate) transposed: Buffer,
    pub(crate) tangent: Buffer,
    pub(crate) tangent_transposed: Buffer,
    pub(crate) lanes: Vec<Lane>,
    pub(crate) row: Vec<f32>,
    pub(crate) scratch: Scratch,
}

impl Workspace {
    /// Room for `lanes` lanes of `mlp`, each with `sums` sums.
    pub(crate) fn reserve(&mut self, mlp: &Mlp, lanes: usize, sums: usize) {
        if self.lanes.len() < lanes {
            self.lanes.resize_with(lanes, Lane::default);
        }
        for lane in &mut self.lanes[..lanes] {
            lane.activations.resize_with(mlp.sizes().len().max(lane.activations.len()), Buffer::default);
            lane.slopes.resize_with(mlp.sizes().len().max(lane.slopes.len()), Buffer::default);
            for (activations, size) in lane.activations.iter_mut().zip(mlp.sizes()) {
                activations.resize(BLOCK * stride(*size));
            }
            if mlp.activation() == Activation::Sin {
                for (slopes, size) in lane.slopes.iter_mut().zip(mlp.sizes()) {
                    slopes.resize(BLOCK * stride(*size));
                }
            }
            let widest = mlp.sizes().iter().map(|size| BLOCK * stride(*size)).max().unwrap_or(0);
            lane.delta.iter_mut().for_each(|delta| delta.resize(widest));
            lane.y.resize(BLOCK * mlp.output(), 0.0);
            lane.dy.resize(BLOCK * mlp.output(), 0.0);
            lane.sums.resize(sums, 0.0);
        }
    }
}

/// A lane and its part of the outputs and of their tangents.
pub(crate) type LaneOutputs<'a> = ((&'a mut Lane, &'a mut [f32]), &'a mut [f32]);

/// What one lane works with.
#[derive(Debug, Default)]
pub(crate) struct Lane {
    /// Of the input and of each layer, 64 rows at a stride of `stride(size)`.
    pub(crate) activations: Vec<Buffer>,
    /// The cosine beside each sine, of the same shape; of other activations nothing.
    pub(crate) slopes: Vec<Buffer>,
    /// Derivatives (or tangents) of the layer at hand and of the next; wide enough for any layer.
    pub(crate) delta: [Buffer; 2],
    pub(crate) grad: Buffer,
    pub(crate) y: Vec<f32>,
    pub(crate) dy: Vec<f32>,
    /// Of Hessian products alone: derivatives along the vector of activations, of `delta` and of the outputs.
    pub(crate) tangents: Vec<Buffer>,
    /// Of each hidden layer before its activation.
    pub(crate) tangents_before: Vec<Buffer>,
    pub(crate) r_delta: [Buffer; 2],
    pub(crate) ry: Vec<f32>,
    pub(crate) sums: Vec<f64>,
}

impl Lane {
    /// The outputs of `b` rows into `y` (b x out).
    pub(crate) fn outputs(&self, mlp: &Mlp, b: usize, y: &mut [f32]) {
        debug_assert_eq!(y.len(), b * mlp.output());
        unpad(&self.activations[mlp.sizes().len() - 1], stride(mlp.output()), mlp.output(), y);
    }
}

/// Run `body` with this thread's workspace. It is taken out meanwhile, so that a job that rayon runs inside `body` on this thread gets its own.
pub(crate) fn with_workspace<R>(body: impl FnOnce(&mut Workspace) -> R) -> R {
    thread_local! {
        static WORKSPACE: Cell<Option<Box<Workspace>>> = const { Cell::new(None) };
    }
    let mut work = WORKSPACE.take().unwrap_or_default();
    let result = body(&mut work);
    WORKSPACE.set(Some(work));
    result
}

/// Floats that start at a cache line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Buffer {
    lines: Vec<Line>,
    len: usize,
}

#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Line([f32; WIDTH]);

impl Buffer {
    /// To `len` numbers, which hold whatever was last written there, or 0.
    pub(crate) fn resize(&mut self, len: usize) {
        let lines = len.div_ceil(WIDTH);
        if self.lines.len() < lines {
            self.lines.resize(lines, Line([0.0; WIDTH]));
        }
        self.len = len;
    }
}

impl Deref for Buffer {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        // SAFETY: lines are arrays of `f32` without padding, and `resize` keeps at least `len` numbers of them.
        unsafe { std::slice::from_raw_parts(self.lines.as_ptr().cast(), self.len) }
    }
}

impl DerefMut for Buffer {
    fn deref_mut(&mut self) -> &mut [f32] {
        // SAFETY: as above.
        unsafe { std::slice::from_raw_parts_mut(self.lines.as_mut_ptr().cast(), self.len) }
    }
}
