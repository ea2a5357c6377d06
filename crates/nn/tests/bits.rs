//! The same bits from every instruction set, any number of threads, one row or many.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{ACTIVATIONS, ROWS, SHAPES, batch, normals, params};
use tony_nn::simd::{self, Path};
use tony_nn::{Activation, Adam, Mlp, Normaliser, Rows, Scratch, Trace, Workspace};
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
    let mut adam = Adam::new(p.len(), 0.9, 0.999, 1e-8);
    let mut stepped = p.clone();
    adam.step(&mut stepped, &grad, 3e-4);
    adam.step(&mut stepped, &out, 3e-4);
    tony_nn::axpy(0.3, &grad, &mut stepped);
    tony_nn::clip_norm(&mut stepped, 1.0);
    let inner = tony_nn::dot(&stepped, &out);
    let (mut trace, mut dx, mut weighted) = (Trace::default(), vec![0.0; n * mlp.input()], vec![0.0; p.len()]);
    let mut kernel = vec![0.0; n * n];
    trace.forward(mlp, &p, &x.rows(), &mut y);
    trace.backward(mlp, &p, &jv);
    trace.input_gradient(mlp, &p, &mut dx);
    trace.kernel(mlp, &mut kernel);
    trace.gradient(mlp, Some(&dx[..n.min(dx.len())]), &mut weighted);
    tony_nn::polyak(0.1, &weighted, &mut stepped);
    bits.extend(kernel.iter().flat_map(|v| [(v.to_bits() >> 32) as u32, v.to_bits() as u32]));
    bits.extend([dx, weighted].concat().iter().map(|v| v.to_bits()));
    bits.extend([jv, grad, out, stepped].concat().iter().map(|v| v.to_bits()));
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
