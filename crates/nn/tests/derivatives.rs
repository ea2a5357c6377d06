//! Every derivative and product against central differences of a plain f64 network.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::{ACTIVATIONS, CELLS, LENGTHS, ROWS, SHAPES, batch, forward, normals, params, plain_gradient, wide};
use tony_nn::{Activation, Lstm, Mlp, Sequences, Tape, Trace, Workspace};
use tony_random::Stream;

/// Central differences in f64 are good to 1e-8 here. What is left is f32: up to 130 roundings of 6e-8 in a chain
/// through each of up to four layers and 200 rows, relative to the largest element of the same vector (elements cancel).
const TOLERANCE: f64 = 1e-5;

/// Step of a central difference: near the cube root of f64's precision; far smaller for relu, which has no third derivative but kinks to
/// step over (some 10,000 units take part).
fn step(mlp: &Mlp) -> f64 {
    match mlp.activation() {
        Activation::Tanh | Activation::Sin => 1e-5,
        Activation::Relu => 1e-7,
    }
}

/// Every shape, activation and row count, with a stream of its own.
fn cases(mut test: impl FnMut(&Mlp, usize, &mut Stream)) {
    for (s, sizes) in SHAPES.iter().enumerate() {
        for activation in ACTIVATIONS {
            let mlp = Mlp::new(sizes, activation).unwrap();
            for &n in ROWS {
                test(&mlp, n, &mut Stream::new(s as u64, "derivatives", n as u64));
            }
        }
    }
}

fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, |largest, v| v.abs().max(largest))
}

/// `count` different elements (all, if there are no more), so that large networks stay affordable.
fn some(n: usize, count: usize, stream: &mut Stream) -> Vec<usize> {
    let mut all: Vec<usize> = (0..n).collect();
    stream.shuffle(&mut all);
    all.truncate(count);
    all
}

/// `(f(p + h e) - f(p - h e)) / 2h` where `e` is a direction.
fn central(step: f64, p: &[f64], direction: &[f64], mut f: impl FnMut(&[f64]) -> Vec<f64>) -> Vec<f64> {
    let mut at = |h: f64| f(&p.iter().zip(direction).map(|(p, d)| p + h * d).collect::<Vec<_>>());
    at(step).iter().zip(at(-step)).map(|(plus, minus)| (plus - minus) / (2.0 * step)).collect()
}

fn partial(step: f64, p: &[f64], i: usize, f: impl FnMut(&[f64]) -> Vec<f64>) -> f64 {
    let mut unit = vec![0.0; p.len()];
    unit[i] = 1.0;
    central(step, p, &unit, f)[0]
}

#[test]
fn forward_is_the_network() {
    cases(|mlp, n, stream| {
        let (p, x) = (params(mlp, stream), batch(mlp.input(), n, stream));
        let mut y = vec![0.0; n * mlp.output()];
        mlp.forward(&p, &x.rows(), &mut y);
        let expected: Vec<f64> = x.seen().iter().flat_map(|x| forward(mlp, &wide(&p), x)).collect();
        let scale = largest(expected.iter().copied()).max(1.0);
        for (y, expected) in y.iter().zip(&expected) {
            assert!((f64::from(*y) - expected).abs() < TOLERANCE * scale, "{mlp:?} {n}: {y} for {expected}");
        }
    });
}

#[test]
fn gradient_is_the_derivative_of_the_loss_and_sums_are_complete() {
    cases(|mlp, n, stream| {
        let (p, x) = (params(mlp, stream), batch(mlp.input(), n, stream));
        let c = normals(n * mlp.output(), 1.0, stream);
        // Loss: sum of c y + y^2 / 2, so that dy = c + y.
        let head = |first: usize, y: &[f32], dy: &mut [f32], sums: &mut [f64]| {
            for (i, (y, dy)) in y.iter().zip(dy).enumerate() {
                let c = c[first * mlp.output() + i];
                *dy = c + y;
                sums[0] += f64::from(*y) * (f64::from(c) + f64::from(*y) / 2.0);
                sums[1] += 1.0;
            }
        };
        let mut grad = vec![f32::NAN; mlp.num_params()];
        let mut sums = [f64::NAN; 2];
        mlp.gradient(&p, &x.rows(), &head, &mut grad, &mut sums, &mut Workspace::default());

        let seen = x.seen();
        let loss = |p: &[f64]| {
            let y = seen.iter().flat_map(|x| forward(mlp, p, x));
            vec![y.zip(&c).map(|(y, c)| y * (f64::from(*c) + y / 2.0)).sum::<f64>()]
        };
        let p = wide(&p);
        let scale = largest(wide(&grad)).max(1.0);
        for i in some(p.len(), 12, stream) {
            let expected = partial(step(mlp), &p, i, loss);
            assert!(
                (f64::from(grad[i]) - expected).abs() < TOLERANCE * scale,
                "{mlp:?} {n} {i}: {} for {expected}",
                grad[i]
            );
        }
        let expected = loss(&p)[0];
        assert!((sums[0] - expected).abs() < TOLERANCE * (n as f64 * scale), "{mlp:?} {n}: {} for {expected}", sums[0]);
        assert_eq!(sums[1], (n * mlp.output()) as f64);
    });
}

#[test]
fn derivatives_by_the_inputs() {
    cases(|mlp, n, stream| {
        let p = params(mlp, stream);
        let data = normals(n * mlp.input(), 1.0, stream);
        let c = normals(n * mlp.output(), 1.0, stream);
        let head = |first: usize, y: &[f32], dy: &mut [f32], _: &mut [f64]| {
            let c = &c[first * mlp.output()..];
            dy.iter_mut().zip(y).zip(c).for_each(|((dy, y), c)| *dy = c + y);
        };
        let (mut plain, mut grad, mut dx) = (vec![0.0; p.len()], vec![0.0; p.len()], vec![f32::NAN; data.len()]);
        let (x, mut work) = (tony_nn::Rows::all(&data, mlp.input()), Workspace::default());
        mlp.gradient_with_inputs(&p, &x, &head, &mut grad, &mut dx, &mut [], &mut work);
        mlp.gradient(&p, &x, &head, &mut plain, &mut [], &mut work);
        assert!(plain == grad);
        let scale = largest(wide(&dx)).max(1.0);
        let (p, data) = (wide(&p), wide(&data));
        for i in some(data.len(), 8, stream) {
            let row = i / mlp.input();
            let loss = |x: &[f64]| {
                let y = forward(mlp, &p, x);
                vec![y.iter().zip(&c[row * mlp.output()..]).map(|(y, c)| y * (f64::from(*c) + y / 2.0)).sum()]
            };
            let x = &data[row * mlp.input()..][..mlp.input()];
            let expected = partial(step(mlp), x, i % mlp.input(), loss);
            assert!(
                (f64::from(dx[i]) - expected).abs() < TOLERANCE * scale,
                "{mlp:?} {n} {i}: {} for {expected}",
                dx[i]
            );
        }
    });
}

#[test]
fn jvp_is_the_directional_derivative() {
    cases(|mlp, n, stream| {
        let (p, v, x) = (params(mlp, stream), params(mlp, stream), batch(mlp.input(), n, stream));
        let (mut y, mut jv) = (vec![0.0; n * mlp.output()], vec![0.0; n * mlp.output()]);
        mlp.jvp(&p, &v, &x.rows(), &mut y, &mut jv);
        let mut forward_only = vec![0.0; n * mlp.output()];
        mlp.forward(&p, &x.rows(), &mut forward_only);
        assert_eq!(y, forward_only);
        let seen = x.seen();
        let expected =
            central(step(mlp), &wide(&p), &wide(&v), |p| seen.iter().flat_map(|x| forward(mlp, p, x)).collect());
        let scale = largest(expected.iter().copied()).max(1.0);
        for (jv, expected) in jv.iter().zip(&expected) {
            assert!((f64::from(*jv) - expected).abs() < TOLERANCE * scale, "{mlp:?} {n}: {jv} for {expected}");
        }
    });
}

/// `M` of the tests below: different for every row and output, positive.
fn metric(i: usize) -> f64 {
    0.5 + (i % 7) as f64 / 4.0
}

fn product(mlp: &Mlp, p: &[f32], v: &[f32], x: &common::Batch, work: &mut Workspace) -> Vec<f32> {
    let mut out = vec![f32::NAN; p.len()];
    let head = |first: usize, _: &[f32], jv: &mut [f32], _: &mut [f64]| {
        for (i, jv) in jv.iter_mut().enumerate() {
            *jv *= metric(first * mlp.output() + i) as f32;
        }
    };
    mlp.gauss_newton(p, v, &x.rows(), &head, &mut out, &mut [], work);
    out
}

#[test]
fn gauss_newton_is_the_product_of_jacobians() {
    cases(|mlp, n, stream| {
        let (p, v, x) = (params(mlp, stream), params(mlp, stream), batch(mlp.input(), n, stream));
        let out = product(mlp, &p, &v, &x, &mut Workspace::default());
        let seen = x.seen();
        let (p, v) = (wide(&p), wide(&v));
        let outputs = |p: &[f64]| seen.iter().flat_map(|x| forward(mlp, p, x)).collect::<Vec<_>>();
        let mjv: Vec<f64> =
            central(step(mlp), &p, &v, outputs).iter().enumerate().map(|(i, jv)| metric(i) * jv).collect();
        let scale = largest(wide(&out)).max(1.0);
        for i in some(p.len(), 8, stream) {
            let expected = partial(step(mlp), &p, i, |p| vec![outputs(p).iter().zip(&mjv).map(|(y, m)| y * m).sum()]);
            assert!(
                (f64::from(out[i]) - expected).abs() < TOLERANCE * scale,
                "{mlp:?} {n} {i}: {} for {expected}",
                out[i]
            );
        }
    });
}

/// `H v` of the loss of `gradient_is_the_derivative`'s kind, `sum c y + m y^2 / 2`, whose curvature differs for every row and output.
fn curved(mlp: &Mlp, p: &[f32], v: &[f32], c: &[f32], x: &common::Batch, work: &mut Workspace) -> Vec<f32> {
    let mut out = vec![f32::NAN; p.len()];
    let curve = |first: usize, y: &[f32], ry: &mut [f32], dy: &mut [f32]| {
        for (i, ((y, ry), dy)) in y.iter().zip(ry).zip(dy).enumerate() {
            let at = first * mlp.output() + i;
            *dy = c[at] + metric(at) as f32 * y;
            *ry *= metric(at) as f32;
        }
    };
    mlp.hessian_vector(p, v, &x.rows(), &curve, &mut out, work);
    out
}

#[test]
fn hessian_products_are_the_derivatives_of_gradients() {
    cases(|mlp, n, stream| {
        let (p, v, x) = (params(mlp, stream), params(mlp, stream), batch(mlp.input(), n, stream));
        let c = normals(n * mlp.output(), 1.0, stream);
        let out = curved(mlp, &p, &v, &c, &x, &mut Workspace::default());
        // Of a second derivative along v and one parameter, central differences of the loss lose half of f64's digits; the gradient of
        // the plain network is therefore taken by hand, backwards, and differenced once.
        let seen = x.seen();
        let gradient = |p: &[f64]| plain_gradient(mlp, p, &seen, &|at, y| f64::from(c[at]) + metric(at) * y);
        let expected = central(step(mlp), &wide(&p), &wide(&v), gradient);
        let scale = largest(expected.iter().copied()).max(1.0);
        for (i, (out, expected)) in out.iter().zip(&expected).enumerate() {
            assert!((f64::from(*out) - expected).abs() < TOLERANCE * scale, "{mlp:?} {n} {i}: {out} for {expected}");
        }
    });
}

#[test]
fn hessians_are_symmetric() {
    cases(|mlp, n, stream| {
        let (p, u, v) = (params(mlp, stream), params(mlp, stream), params(mlp, stream));
        let (x, c) = (batch(mlp.input(), n, stream), normals(n * mlp.output(), 1.0, stream));
        let mut work = Workspace::default();
        let (hu, hv) = (curved(mlp, &p, &u, &c, &x, &mut work), curved(mlp, &p, &v, &c, &x, &mut work));
        let scale = tony_nn::norm(&u) * tony_nn::norm(&hv);
        assert!((tony_nn::dot(&u, &hv) - tony_nn::dot(&v, &hu)).abs() < TOLERANCE * scale, "{mlp:?} {n}");
    });
}

#[test]
fn gauss_newton_is_symmetric_and_positive() {
    cases(|mlp, n, stream| {
        let (p, u, v) = (params(mlp, stream), params(mlp, stream), params(mlp, stream));
        let x = batch(mlp.input(), n, stream);
        let mut work = Workspace::default();
        let (gu, gv) = (product(mlp, &p, &u, &x, &mut work), product(mlp, &p, &v, &x, &mut work));
        let scale = tony_nn::norm(&u) * tony_nn::norm(&gv);
        assert!((tony_nn::dot(&u, &gv) - tony_nn::dot(&v, &gu)).abs() < TOLERANCE * scale, "{mlp:?} {n}");
        // Positive but for rounding: relu may hide every parameter but the last bias, which is never hidden.
        assert!(tony_nn::dot(&v, &gv) > 0.0, "{mlp:?} {n}");
    });
}

/// The rows' gradients by central differences: n rows of as many numbers as `chosen` has parameters.
fn jacobian(mlp: &Mlp, p: &[f64], rows: &[Vec<f64>], dy: &[f32], chosen: &[usize]) -> Vec<Vec<f64>> {
    let out = mlp.output();
    let one = |(r, x): (usize, &Vec<f64>)| {
        let value = |p: &[f64]| {
            let y = forward(mlp, p, x);
            vec![y.iter().zip(&dy[r * out..]).map(|(y, d)| y * f64::from(*d)).sum()]
        };
        chosen.iter().map(|&i| partial(step(mlp), p, i, value)).collect()
    };
    rows.iter().enumerate().map(one).collect()
}

#[test]
fn a_kept_pass_gives_the_gradient_and_its_weighted_sums() {
    cases(|mlp, n, stream| {
        let (p, x) = (params(mlp, stream), batch(mlp.input(), n, stream));
        let (dy, z) = (normals(n * mlp.output(), 1.0, stream), normals(n, 1.0, stream));
        let (mut y, mut expected) = (vec![0.0; dy.len()], vec![0.0; dy.len()]);
        let mut trace = Trace::default();
        trace.forward(mlp, &p, &x.rows(), &mut y);
        mlp.forward(&p, &x.rows(), &mut expected);
        assert_eq!(y, expected);
        trace.backward(mlp, &p, &dy);
        for z in [None, Some(&z[..])] {
            let mut grad = vec![f32::NAN; p.len()];
            trace.gradient(mlp, z, &mut grad);
            let weighted = |row: usize| z.map_or(1.0, |z| z[row]);
            let head = |first: usize, y: &[f32], d: &mut [f32], _: &mut [f64]| {
                for (i, d) in d.iter_mut().enumerate() {
                    let at = first * mlp.output() + i;
                    *d = dy[at] * weighted(at / mlp.output());
                }
                assert_eq!(y.len(), d.len());
            };
            let mut expected = vec![0.0; p.len()];
            mlp.gradient(&p, &x.rows(), &head, &mut expected, &mut [], &mut Workspace::default());
            let scale = largest(wide(&expected)).max(1.0);
            for (grad, expected) in grad.iter().zip(&expected) {
                let apart = f64::from(*grad) - f64::from(*expected);
                assert!(apart.abs() < TOLERANCE * scale, "{mlp:?} {n}: {grad} for {expected}");
            }
        }
    });
}

#[test]
fn input_gradient_is_the_derivative_by_the_input() {
    cases(|mlp, n, stream| {
        let (p, x) = (params(mlp, stream), batch(mlp.input(), n, stream));
        let dy = normals(n * mlp.output(), 1.0, stream);
        let (mut y, mut dx) = (vec![0.0; dy.len()], vec![f32::NAN; n * mlp.input()]);
        let mut trace = Trace::default();
        trace.forward(mlp, &p, &x.rows(), &mut y);
        trace.backward(mlp, &p, &dy);
        trace.input_gradient(mlp, &p, &mut dx);
        let (p, seen) = (wide(&p), x.seen());
        let scale = largest(wide(&dx)).max(1.0);
        for r in some(n, 4, stream) {
            for i in some(mlp.input(), 4, stream) {
                let value = |x: &[f64]| {
                    let y = forward(mlp, &p, x);
                    vec![y.iter().zip(&dy[r * mlp.output()..]).map(|(y, d)| y * f64::from(*d)).sum()]
                };
                let expected = partial(step(mlp), &seen[r], i, value);
                let got = f64::from(dx[r * mlp.input() + i]);
                assert!((got - expected).abs() < TOLERANCE * scale, "{mlp:?} {n} {r} {i}: {got} for {expected}");
            }
        }
    });
}

/// Networks small enough to write `J` down.
#[test]
fn kernel_is_the_product_of_the_rows_gradients() {
    for sizes in [&[3, 4, 1][..], &[2, 5, 3, 1], &[3, 17, 2], &[4, 1]] {
        for activation in ACTIVATIONS {
            let mlp = Mlp::new(sizes, activation).unwrap();
            for n in [1, 5, 64, 70] {
                let mut stream = Stream::new(7, "kernel", n as u64);
                let (p, x) = (params(&mlp, &mut stream), batch(mlp.input(), n, &mut stream));
                let dy = normals(n * mlp.output(), 1.0, &mut stream);
                let (mut y, mut kernel) = (vec![0.0; dy.len()], vec![f64::NAN; n * n]);
                let mut trace = Trace::default();
                trace.forward(&mlp, &p, &x.rows(), &mut y);
                trace.backward(&mlp, &p, &dy);
                trace.kernel(&mlp, &mut kernel);
                let all: Vec<usize> = (0..p.len()).collect();
                let j = jacobian(&mlp, &wide(&p), &x.seen(), &dy, &all);
                let scale = largest(kernel.iter().copied()).max(1.0);
                for (r, row) in kernel.chunks_exact(n).enumerate() {
                    for (c, got) in row.iter().enumerate() {
                        let expected: f64 = j[r].iter().zip(&j[c]).map(|(a, b)| a * b).sum();
                        assert!(
                            (got - expected).abs() < TOLERANCE * scale,
                            "{mlp:?} {n} {r} {c}: {got} for {expected}"
                        );
                        assert_eq!(*got, kernel[c * n + r]);
                    }
                }
            }
        }
    }
}

/// Every cell, lengths and direction: parameters, inputs, start and a stream of its own.
fn cells(mut test: impl FnMut(&Lstm, [&[f32]; 3], &[usize], bool, &mut Stream)) {
    for (s, &(inputs, hidden)) in CELLS.iter().enumerate() {
        let lstm = Lstm::new(inputs, hidden).unwrap();
        for lengths in LENGTHS {
            for reverse in [false, true] {
                let mut stream = Stream::new(s as u64, "cells", (2 * lengths.len() + usize::from(reverse)) as u64);
                let scale = 1.0 / ((inputs + hidden) as f64).sqrt();
                let p = normals(lstm.num_params(), scale, &mut stream);
                let x = normals(lengths.iter().sum::<usize>() * inputs, 1.0, &mut stream);
                let start = normals(lengths.len() * lstm.state_len(), 0.5, &mut stream);
                test(&lstm, [&p, &x, &start], lengths, reverse, &mut stream);
            }
        }
    }
}

#[test]
fn an_lstm_is_the_recurrence() {
    cells(|lstm, [p, x, start], lengths, reverse, _| {
        let rows: usize = lengths.iter().sum();
        let mut h = vec![f32::NAN; rows * lstm.hidden()];
        let mut tape = Tape::default();
        lstm.forward(p, &Sequences { x, lengths, start: Some(start), reverse }, &mut h, &mut tape);
        let expected = common::lstm(lstm, &wide(p), &wide(x), lengths, &wide(start), reverse);
        for (h, expected) in h.iter().zip(&expected) {
            assert!((f64::from(*h) - expected).abs() < TOLERANCE, "{lstm:?} {lengths:?}: {h} for {expected}");
        }
        lstm.forward(p, &Sequences { x, lengths, start: None, reverse }, &mut h, &mut tape);
        let zeros = vec![0.0; start.len()];
        let expected = common::lstm(lstm, &wide(p), &wide(x), lengths, &zeros, reverse);
        assert!(h.iter().zip(&expected).all(|(h, expected)| (f64::from(*h) - expected).abs() < TOLERANCE));
    });
}

#[test]
fn backpropagation_through_time_is_the_derivative_of_the_loss() {
    cells(|lstm, [p, x, start], lengths, reverse, stream| {
        let rows: usize = lengths.iter().sum();
        let c = normals(rows * lstm.hidden(), 1.0, stream);
        let mut h = vec![0.0; c.len()];
        let mut tape = Tape::default();
        lstm.forward(p, &Sequences { x, lengths, start: Some(start), reverse }, &mut h, &mut tape);
        // Loss: sum of c h + h^2 / 2, so that dh = c + h.
        let dh: Vec<f32> = h.iter().zip(&c).map(|(h, c)| h + c).collect();
        let (mut grad, mut dx) = (vec![f32::NAN; p.len()], vec![f32::NAN; x.len()]);
        lstm.backward(p, &dh, &mut grad, Some(&mut dx), &mut tape);
        let loss = |p: &[f64], x: &[f64]| {
            let h = common::lstm(lstm, p, x, lengths, &wide(start), reverse);
            vec![h.iter().zip(&c).map(|(h, c)| h * (f64::from(*c) + h / 2.0)).sum::<f64>()]
        };
        let (p, x) = (wide(p), wide(x));
        let scale = largest(wide(&grad)).max(1.0);
        for i in some(p.len(), 12, stream) {
            let expected = partial(1e-5, &p, i, |p| loss(p, &x));
            let got = f64::from(grad[i]);
            assert!((got - expected).abs() < TOLERANCE * scale, "{lstm:?} {lengths:?} {i}: {got} for {expected}");
        }
        let scale = largest(wide(&dx)).max(1.0);
        for i in some(x.len(), 12, stream) {
            let expected = partial(1e-5, &x, i, |x| loss(&p, x));
            let got = f64::from(dx[i]);
            assert!((got - expected).abs() < TOLERANCE * scale, "{lstm:?} {lengths:?} x {i}: {got} for {expected}");
        }
    });
}
