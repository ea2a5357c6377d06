//! What a collector or a minibatch does over and over allocates nothing once it was done.
#![allow(unsafe_code, clippy::unwrap_used)]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};

use common::{batch, normals, params};
use tony_nn::{Activation, Adam, Lstm, Mlp, Scratch, Sequences, Tape, Workspace, gaussian};
use tony_random::Stream;

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        unsafe { System.dealloc(p, layout) };
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The only test of this file: the counter is the process's.
#[test]
fn steady_state_allocates_nothing() {
    let mlp = Mlp::new(&[60, 64, 64, 2], Activation::Tanh).unwrap();
    let mut stream = Stream::new(1, "allocation", 0);
    let mut p = params(&mlp, &mut stream);
    let (four, block) = (batch(60, 4, &mut stream), batch(60, 64, &mut stream));
    let (mut y, mut grad, mut row) = (vec![0.0; 128], vec![0.0; p.len()], vec![0.0; 60]);
    let (mut work, mut scratch, mut adam) =
        (Workspace::default(), Scratch::default(), Adam::new(p.len(), 0.9, 0.999, 1e-8));
    let (mut action, mut logp) = (vec![0.0; 128], vec![0.0; 64]);
    let lstm = Lstm::new(60, 64).unwrap();
    let weights = normals(lstm.num_params(), 0.1, &mut stream);
    let (lengths, mut state, mut tape) = ([30, 34, 5], vec![0.0; lstm.state_len()], Tape::default());
    let (mut h, mut dx) = (vec![0.0; 69 * 64], vec![0.0; 69 * 60]);
    let mut lstm_grad = vec![0.0; weights.len()];
    let head = |_: usize, y: &[f32], dy: &mut [f32], sums: &mut [f64]| {
        dy.copy_from_slice(y);
        sums[0] += 1.0;
    };
    let curve = |_: usize, y: &[f32], _: &mut [f32], dy: &mut [f32]| dy.copy_from_slice(y);
    let mut work_once = || {
        four.normaliser.apply(&four.data[..60], &mut row);
        mlp.forward_row(&p, &row, &mut y[..2], &mut scratch);
        mlp.forward(&p, &four.rows(), &mut y[..8]);
        mlp.forward(&p, &block.rows(), &mut y);
        gaussian::sample(&y, &[0.0, 0.1], &mut stream, &mut action);
        gaussian::log_prob(&y, &[0.0, 0.1], &action, &mut logp);
        mlp.gradient(&p, &block.rows(), &head, &mut grad, &mut [0.0], &mut work);
        mlp.gauss_newton(&p, &grad.clone(), &block.rows(), &head, &mut grad, &mut [0.0], &mut work);
        mlp.hessian_vector(&p, &grad.clone(), &block.rows(), &curve, &mut grad, &mut work);
        adam.step(&mut p, &grad, 1e-3);
        let sequences = Sequences { x: &block.data[..69 * 60], lengths: &lengths, start: None, reverse: false };
        lstm.forward(&weights, &sequences, &mut h, &mut tape);
        lstm.backward(&weights, &h, &mut lstm_grad, Some(&mut dx), &mut tape);
        lstm.step(&weights, &row, &mut state, &mut scratch);
    };
    work_once();
    let before = ALLOCATIONS.load(Ordering::Relaxed);
    work_once();
    // Two are this test's own: the clones of the gradient.
    assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 2);
}
