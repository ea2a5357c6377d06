//! The same bits from every instruction set, any number of threads, one row or many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{ACTIVATIONS, CELLS, LENGTHS, ROWS, SHAPES, batch, normals, params};
use tony_nn::simd::{self, Path};
use tony_nn::{Activation, Adam, Lstm, Mlp, Normaliser, Rows, Scratch, Sequences, Tape, Trace, Workspace};
use tony_random::Stream;

/// Everything that a network computes, as bits.
fn everything(mlp: &Mlp, n: usize) -> Vec<u32> {
    let mut stream = Stream::new(9, "bits", n as u64);
    let (p, v, x) = (params(mlp, &mut stream), params(mlp, &mut stream), batch(mlp.input(), n, &mut stream));
    let size = n * mlp.output();
    let head = |first: usize, y: &[f32], d: &mut [f32], sums: &mut [f64]| {
        for (i, (y, d)) in y.iter().zip(d).enumerate() {
            *d += y * 0.7 + (first + i) as f32 * 0.01;
            sums[0] += f64::from(*d);
        }
    };
    let (mut y, mut jv) = (vec![0.0; size], vec![0.0; size]);
    let (mut grad, mut out, mut sums, mut more) = (vec![0.0; p.len()], vec![0.0; p.len()], [0.0], [0.0]);
    let mut work = Workspace::default();
    mlp.forward(&p, &x.rows(), &mut y);
    let mut bits: Vec<u32> = y.iter().map(|y| y.to_bits()).collect();
    mlp.jvp(&p, &v, &x.rows(), &mut y, &mut jv);
    mlp.gradient(&p, &x.rows(), &head, &mut grad, &mut sums, &mut work);
    mlp.gauss_newton(&p, &v, &x.rows(), &head, &mut out, &mut more, &mut work);
    let (mut again, mut dx) = (vec![0.0; p.len()], vec![0.0; n * mlp.input()]);
    mlp.gradient_with_inputs(&p, &x.rows(), &head, &mut again, &mut dx, &mut [0.0], &mut work);
    assert!(again == grad);
    let curve = |first: usize, y: &[f32], ry: &mut [f32], dy: &mut [f32]| {
        for (i, ((y, ry), dy)) in y.iter().zip(ry).zip(dy).enumerate() {
            *dy = y * 0.7 + (first + i) as f32 * 0.01;
            *ry *= 0.7;
        }
    };
    let mut curved = vec![0.0; p.len()];
    mlp.hessian_vector(&p, &v, &x.rows(), &curve, &mut curved, &mut work);
    let mut adam = Adam::new(p.len(), 0.9, 0.999, 1e-8);
    let mut stepped = p.clone();
    adam.step(&mut stepped, &grad, 3e-4);
    adam.step(&mut stepped, &out, 3e-4);
    tony_nn::axpy(0.3, &grad, &mut stepped);
    tony_nn::clip_norm(&mut stepped, 1.0);
    let inner = tony_nn::dot(&stepped, &out);
    let (mut trace, mut kept_dx, mut weighted) = (Trace::default(), vec![0.0; n * mlp.input()], vec![0.0; p.len()]);
    let mut kernel = vec![0.0; n * n];
    trace.forward(mlp, &p, &x.rows(), &mut y);
    trace.backward(mlp, &p, &jv);
    trace.input_gradient(mlp, &p, &mut kept_dx);
    trace.kernel(mlp, &mut kernel);
    trace.gradient(mlp, Some(&kept_dx[..n.min(kept_dx.len())]), &mut weighted);
    tony_nn::polyak(0.1, &weighted, &mut stepped);
    bits.extend(kernel.iter().flat_map(|v| [(v.to_bits() >> 32) as u32, v.to_bits() as u32]));
    bits.extend([kept_dx, weighted].concat().iter().map(|v| v.to_bits()));
    bits.extend([jv, grad, dx, out, curved, stepped].concat().iter().map(|v| v.to_bits()));
    bits.extend([sums[0], more[0], inner].iter().flat_map(|v| [(v.to_bits() >> 32) as u32, v.to_bits() as u32]));
    bits
}

#[test]
fn instruction_sets_agree() {
    for sizes in SHAPES {
        for activation in ACTIVATIONS {
            let mlp = Mlp::new(sizes, activation).unwrap();
            for &n in ROWS {
                let expected = simd::with_path(Path::Portable, || everything(&mlp, n));
                for path in simd::available() {
                    assert!(simd::with_path(path, || everything(&mlp, n)) == expected, "{path:?} {sizes:?} {n} rows");
                }
            }
        }
    }
}

#[test]
fn thread_counts_agree() {
    let mlp = Mlp::new(&[17, 33, 64, 3], Activation::Sin).unwrap();
    // 1,100 rows are 18 blocks, more than lanes; the last one is short.
    for n in [65, 200, 1_100] {
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| everything(&mlp, n))
        };
        let expected = on(1);
        for threads in [2, 3, 8] {
            assert!(on(threads) == expected, "{threads} threads, {n} rows");
        }
    }
}

#[test]
fn one_row_is_a_row_of_the_batch() {
    for (i, sizes) in SHAPES.iter().enumerate() {
        let mlp = Mlp::new(sizes, ACTIVATIONS[i % 3]).unwrap();
        let mut stream = Stream::new(3, "rows", 0);
        let p = params(&mlp, &mut stream);
        let x = batch(mlp.input(), 70, &mut stream);
        let mut y = vec![0.0; 70 * mlp.output()];
        mlp.forward(&p, &x.rows(), &mut y);
        let (mut scratch, mut one) = (Scratch::default(), vec![0.0; mlp.output()]);
        let mut seen = vec![0.0; mlp.input()];
        for (i, y) in x.index.iter().zip(y.chunks_exact(mlp.output())) {
            x.normaliser.apply(&x.data[*i as usize * mlp.input()..][..mlp.input()], &mut seen);
            mlp.forward_row(&p, &seen, &mut one, &mut scratch);
            assert_eq!(one, y, "{sizes:?}");
        }
        // And few rows take the single-row path inside `forward`.
        let mut few = vec![0.0; 3 * mlp.output()];
        mlp.forward(&p, &Rows { index: Some(&x.index[..3]), ..x.rows() }, &mut few);
        assert_eq!(few, y[..few.len()]);
    }
}

#[test]
fn a_used_workspace_changes_nothing() {
    let mut stream = Stream::new(4, "work", 0);
    let (small, large) =
        (Mlp::new(&[3, 17, 2], Activation::Relu).unwrap(), Mlp::new(&[60, 128, 65, 33], Activation::Tanh).unwrap());
    let mut used = Workspace::default();
    let head = |_: usize, y: &[f32], dy: &mut [f32], _: &mut [f64]| dy.copy_from_slice(y);
    for (mlp, n) in [(&large, 300), (&small, 10), (&large, 3), (&small, 129)] {
        let p = params(mlp, &mut stream);
        let data = normals(n * mlp.input(), 1.0, &mut stream);
        let x = Rows::all(&data, mlp.input());
        let (mut fresh, mut again) = (vec![0.0; p.len()], vec![0.0; p.len()]);
        mlp.gradient(&p, &x, &head, &mut fresh, &mut [], &mut Workspace::default());
        mlp.gradient(&p, &x, &head, &mut again, &mut [], &mut used);
        assert!(fresh == again);
    }
}

#[test]
fn not_a_number_is_never_hidden() {
    for activation in ACTIVATIONS {
        let mlp = Mlp::new(&[4, 20, 20, 2], activation).unwrap();
        let mut stream = Stream::new(5, "nan", 0);
        let p = params(&mlp, &mut stream);
        let mut normaliser = Normaliser::new(4, 5.0);
        normaliser.update(&normals(40, 1.0, &mut stream));
        for path in simd::available() {
            simd::with_path(path, || {
                for n in [1, 40] {
                    let mut data = normals(4 * n, 1.0, &mut stream);
                    data[2] = f32::NAN;
                    let mut y = vec![0.0; 2 * n];
                    mlp.forward(&p, &Rows { normaliser: Some(&normaliser), ..Rows::all(&data, 4) }, &mut y);
                    assert!(y[0].is_nan() && y[1].is_nan() && y[2..].iter().all(|y| y.is_finite()), "{path:?} {n}");
                }
            });
        }
    }
}

#[test]
fn no_rows_are_no_gradient() {
    let mlp = Mlp::new(&[2, 3, 1], Activation::Tanh).unwrap();
    let (mut grad, mut sums) = (vec![1.0; mlp.num_params()], [1.0]);
    let head = |_: usize, _: &[f32], _: &mut [f32], _: &mut [f64]| panic!("no rows, no head");
    let p = vec![0.5; mlp.num_params()];
    mlp.gradient(&p, &Rows::all(&[], 2), &head, &mut grad, &mut sums, &mut Workspace::default());
    assert!(grad.iter().all(|g| *g == 0.0) && sums == [0.0]);
}

/// Everything that an LSTM computes, as bits.
fn recurrent(lstm: &Lstm, lengths: &[usize], reverse: bool, tape: &mut Tape) -> Vec<u32> {
    let mut stream = Stream::new(8, "recurrent", lengths.len() as u64);
    let rows: usize = lengths.iter().sum();
    let p = normals(lstm.num_params(), 0.3, &mut stream);
    let x = normals(rows * lstm.inputs(), 1.0, &mut stream);
    let start = normals(lengths.len() * lstm.state_len(), 0.5, &mut stream);
    let (mut h, mut dx) = (vec![0.0; rows * lstm.hidden()], vec![0.0; x.len()]);
    let mut grad = vec![0.0; p.len()];
    lstm.forward(&p, &Sequences { x: &x, lengths, start: Some(&start), reverse }, &mut h, tape);
    let dh: Vec<f32> = h.iter().map(|h| h * 0.7 + 0.1).collect();
    lstm.backward(&p, &dh, &mut grad, Some(&mut dx), tape);
    [h, dx, grad].concat().iter().map(|v| v.to_bits()).collect()
}

#[test]
fn instruction_sets_agree_on_an_lstm() {
    // One tape for all: what it held before changes nothing.
    let mut tape = Tape::default();
    for &(inputs, hidden) in CELLS {
        let lstm = Lstm::new(inputs, hidden).unwrap();
        for (lengths, reverse) in LENGTHS.iter().flat_map(|lengths| [(lengths, false), (lengths, true)]) {
            let fresh = || recurrent(&lstm, lengths, reverse, &mut Tape::default());
            let expected = simd::with_path(Path::Portable, fresh);
            for path in simd::available() {
                let again = simd::with_path(path, || recurrent(&lstm, lengths, reverse, &mut tape));
                assert!(again == expected, "{path:?} {lstm:?} {lengths:?}");
            }
        }
    }
}

#[test]
fn thread_counts_agree_on_an_lstm() {
    let lstm = Lstm::new(5, 17).unwrap();
    // 1,100 sequences are 18 blocks, more than lanes; the last one is short.
    for n in [65, 200, 1_100] {
        let lengths: Vec<usize> = (0..n).map(|s| 1 + s % 5).collect();
        let on = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| recurrent(&lstm, &lengths, false, &mut Tape::default()))
        };
        let expected = on(1);
        for threads in [2, 3, 8] {
            assert!(on(threads) == expected, "{threads} threads, {n} sequences");
        }
    }
}

#[test]
fn a_step_of_an_lstm_is_a_row_of_the_batch() {
    for &(inputs, hidden) in CELLS {
        let lstm = Lstm::new(inputs, hidden).unwrap();
        let mut stream = Stream::new(6, "steps", 0);
        let p = normals(lstm.num_params(), 0.3, &mut stream);
        let lengths: Vec<usize> = (0..70).map(|s| 1 + s % 9).collect();
        let x = normals(lengths.iter().sum::<usize>() * inputs, 1.0, &mut stream);
        let start = normals(lengths.len() * lstm.state_len(), 0.5, &mut stream);
        let mut h = vec![0.0; x.len() / inputs * hidden];
        let sequences = Sequences { x: &x, lengths: &lengths, start: Some(&start), reverse: false };
        lstm.forward(&p, &sequences, &mut h, &mut Tape::default());
        let (mut rows, mut scratch) = (x.chunks(inputs).zip(h.chunks(hidden)), Scratch::default());
        for (length, start) in lengths.iter().zip(start.chunks(lstm.state_len())) {
            let mut state = start.to_vec();
            for (x, h) in rows.by_ref().take(*length) {
                lstm.step(&p, x, &mut state, &mut scratch);
                assert_eq!(&state[..hidden], h, "{lstm:?}");
            }
        }
    }
}

#[test]
fn an_lstm_hides_no_not_a_number() {
    let lstm = Lstm::new(2, 20).unwrap();
    let p = normals(lstm.num_params(), 0.3, &mut Stream::new(7, "nan", 0));
    for path in simd::available() {
        simd::with_path(path, || {
            let mut x = [0.5; 12];
            x[2] = f32::NAN;
            let mut h = [0.0; 120];
            let sequences = Sequences { x: &x, lengths: &[3, 3], start: None, reverse: false };
            lstm.forward(&p, &sequences, &mut h, &mut Tape::default());
            // From the second row of the first sequence on; never in the other sequence.
            let finite = |h: &[f32]| h.iter().all(|h| h.is_finite());
            assert!(finite(&h[..20]) && h[20..60].iter().all(|h| h.is_nan()) && finite(&h[60..]), "{path:?}");
        });
    }
}

#[test]
#[should_panic(expected = "each backward pass follows a forward pass of its own")]
fn a_tape_is_used_once() {
    let (lstm, mut tape) = (Lstm::new(1, 1).unwrap(), Tape::default());
    let (p, mut grad) = (vec![0.1; lstm.num_params()], vec![0.0; lstm.num_params()]);
    lstm.forward(&p, &Sequences { x: &[1.0], lengths: &[1], start: None, reverse: false }, &mut [0.0], &mut tape);
    lstm.backward(&p, &[1.0], &mut grad, None, &mut tape);
    lstm.backward(&p, &[1.0], &mut grad, None, &mut tape);
}
