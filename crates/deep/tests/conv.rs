//! The network against a plain f64 one written from the definition: convolutions as sums over pixels, batch norm by its formula.
#![allow(clippy::unwrap_used, clippy::panic)]

use tony_deep::{ConvNet, Shape};
use tony_random::Stream;

/// Padding before: TensorFlow's 'same' for a kernel of 3 and stride 2.
fn before(side: usize) -> usize {
    let out = side.div_ceil(2);
    ((out - 1) * 2 + 3).saturating_sub(side) / 2
}

/// Summed cross-entropy, from parameters in the documented order.
fn loss(net: &ConvNet, params: &[f64], pictures: &[f32], labels: &[usize]) -> f64 {
    scores(net, params, pictures, &before)
        .iter()
        .zip(labels)
        .map(|(row, label)| {
            let most = row.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            most + row.iter().map(|s| (s - most).exp()).sum::<f64>().ln() - row[*label]
        })
        .sum()
}

fn scores(net: &ConvNet, params: &[f64], pictures: &[f32], before: &dyn Fn(usize) -> usize) -> Vec<Vec<f64>> {
    let Shape { channels, filters, classes, .. } = net.shape();
    let n = pictures.len() / net.input();
    let mut at = 0;
    let mut take = |count: usize| {
        at += count;
        params[at - count..at].to_vec()
    };
    let mut hidden: Vec<Vec<f64>> =
        pictures.chunks(net.input()).map(|p| p.iter().map(|x| f64::from(*x)).collect()).collect();
    let mut inputs = channels;
    for side in &net.sides()[..4] {
        let (side, out) = (*side, side.div_ceil(2));
        let (weights, bias, scale, shift) = (take(9 * inputs * filters), take(filters), take(filters), take(filters));
        let mut z = vec![vec![0.0; out * out * filters]; n];
        for (hidden, z) in hidden.iter().zip(&mut z) {
            for (oy, ox, f) in (0..out * out * filters).map(|i| (i / filters / out, i / filters % out, i % filters)) {
                let mut sum = bias[f];
                for (ky, kx, c) in (0..9 * inputs).map(|i| (i / inputs / 3, i / inputs % 3, i % inputs)) {
                    let (y, x) = (oy * 2 + ky, ox * 2 + kx);
                    if let (Some(y), Some(x)) = (y.checked_sub(before(side)), x.checked_sub(before(side)))
                        && y < side
                        && x < side
                    {
                        sum +=
                            hidden[(y * side + x) * inputs + c] * weights[((ky * 3 + kx) * inputs + c) * filters + f];
                    }
                }
                z[(oy * out + ox) * filters + f] = sum;
            }
        }
        for f in 0..filters {
            let all = || z.iter().flat_map(|z| z.iter().skip(f).step_by(filters));
            let count = all().count() as f64;
            let mean = all().sum::<f64>() / count;
            let variance = all().map(|z| (z - mean).powi(2)).sum::<f64>() / count;
            for z in z.iter_mut().flat_map(|z| z.iter_mut().skip(f).step_by(filters)) {
                *z = ((*z - mean) / (variance + 1e-3).sqrt() * scale[f] + shift[f]).max(0.0);
            }
        }
        (hidden, inputs) = (z, filters);
    }
    let (weights, bias) = (take(net.flat() * classes), take(classes));
    let score =
        |h: &Vec<f64>, c: usize| h.iter().enumerate().fold(bias[c], |sum, (i, h)| sum + h * weights[i * classes + c]);
    hidden.iter().map(|h| (0..classes).map(|c| score(h, c)).collect()).collect()
}

struct Case {
    net: ConvNet,
    params: Vec<f32>,
    pictures: Vec<f32>,
    labels: Vec<usize>,
}

/// Sides that are even and odd at several depths; one and three channels.
fn cases() -> Vec<Case> {
    let shapes = [(28, 1, 4, 5), (13, 1, 3, 2), (9, 3, 5, 3), (16, 1, 6, 4)];
    let make = |(i, (side, channels, filters, classes))| {
        let net = ConvNet::new(Shape { side, channels, filters, classes }).unwrap();
        let mut stream = Stream::new(i as u64, "conv", 0);
        let mut params = vec![0.0; net.num_params()];
        net.init(&mut params, &mut stream);
        // Away from the start, where shifts and biases are 0.
        params.iter_mut().for_each(|p| *p += 0.1 * stream.normal() as f32);
        let n = 6;
        let pictures = (0..n * net.input()).map(|_| stream.uniform() as f32).collect();
        let labels = (0..n).map(|_| stream.below(classes)).collect();
        Case { net, params, pictures, labels }
    };
    shapes.into_iter().enumerate().map(make).collect()
}

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|v| f64::from(*v)).collect()
}

#[test]
fn the_network_is_the_published_one() {
    let omniglot = ConvNet::new(Shape { side: 28, channels: 1, filters: 64, classes: 5 }).unwrap();
    assert_eq!((omniglot.sides(), omniglot.flat()), (vec![28, 14, 7, 4, 2], 256));
    assert_eq!(omniglot.num_params(), 113_221);
    // Mini-ImageNet's network halves by pooling instead of strides: the same sides and the same number of parameters.
    let mini = ConvNet::new(Shape { side: 84, channels: 3, filters: 32, classes: 5 }).unwrap();
    assert_eq!((mini.sides(), mini.flat()), (vec![84, 42, 21, 11, 6], 1152));
    assert_eq!(mini.num_params(), 34_661);
}

#[test]
fn scores_are_those_of_the_definition() {
    for case in cases() {
        let scores_here = case.net.scores(&case.params, &case.pictures).unwrap();
        let expected = scores(&case.net, &wide(&case.params), &case.pictures, &before).concat();
        // Four layers of sums over up to 54 products in f32, each layer brought back to size 1.
        for (a, b) in scores_here.iter().zip(&expected) {
            assert!((f64::from(*a) - b).abs() < 2e-5 * b.abs().max(1.0), "{:?}: {a} for {b}", case.net.shape());
        }
    }
}

/// A padding of 1 before, as of a framework with symmetric padding, shifts what is seen: the parity test must tell them apart.
#[test]
fn even_sides_are_padded_after_not_before() {
    let case = &cases()[0];
    let scores_here = case.net.scores(&case.params, &case.pictures).unwrap();
    let symmetric = scores(&case.net, &wide(&case.params), &case.pictures, &|_| 1).concat();
    let apart = scores_here.iter().zip(&symmetric).map(|(a, b)| (f64::from(*a) - b).abs()).fold(0.0, f64::max);
    assert!(apart > 0.01, "padding made no difference: {apart}");
}

#[test]
fn gradients_are_derivatives_of_the_loss() {
    for case in cases() {
        let Case { net, params, pictures, labels } = &case;
        let mut grad = vec![f32::NAN; params.len()];
        let total = net.gradient(params, pictures, labels, &mut grad).unwrap();
        let p = wide(params);
        assert!((total - loss(net, &p, pictures, labels)).abs() < 1e-4, "{:?}", net.shape());
        let largest = grad.iter().fold(0.0_f64, |l, g| l.max(f64::from(g.abs())));
        let mut stream = Stream::new(7, "which", 0);
        for _ in 0..60 {
            let i = stream.below(params.len());
            let at = |h: f64| {
                let mut p = p.clone();
                p[i] += h;
                loss(net, &p, pictures, labels)
            };
            // A step of 1e-6 in f64 leaves 1e-9 of the loss's size; rectifiers that switch inside it are rarer than the test's draws.
            let expected = (at(1e-6) - at(-1e-6)) / 2e-6;
            assert!(
                (f64::from(grad[i]) - expected).abs() < 3e-5 * largest,
                "{:?} parameter {i}: {} for {expected}",
                net.shape(),
                grad[i]
            );
        }
    }
}

/// How far a difference of gradients is from the Hessian's product with a vector: both are measured along random directions `u`, where
/// `u' H v` is a second difference of the f64 loss. The root of the mean square over `u` is the length of the difference.
#[test]
fn difference_products_are_near_hessian_products() {
    for Case { net, params, pictures, labels } in cases() {
        let mut stream = Stream::new(3, "directions", 0);
        let mut direction = || -> Vec<f32> { params.iter().map(|_| stream.normal() as f32).collect() };
        let v = direction();
        let mut hv = vec![f32::NAN; params.len()];
        net.hessian_vector(&params, &v, &pictures, &labels, &mut hv).unwrap();
        let p = wide(&params);
        let (mut error, mut size) = (0.0, 0.0);
        for _ in 0..30 {
            let u = direction();
            let h = 1e-6;
            let at = |a: f64, b: f64| {
                let both = u.iter().zip(&v);
                let moved = p.iter().zip(both).map(|(p, (u, v))| p + a * h * f64::from(*u) + b * h * f64::from(*v));
                loss(&net, &moved.collect::<Vec<_>>(), &pictures, &labels)
            };
            let expected = (at(1.0, 1.0) - at(1.0, -1.0) - at(-1.0, 1.0) + at(-1.0, -1.0)) / (4.0 * h * h);
            let found: f64 = u.iter().zip(&hv).map(|(u, h)| f64::from(*u) * f64::from(*h)).sum();
            error += (found - expected).powi(2);
            size += expected.powi(2);
        }
        let error = (error / size).sqrt();
        eprintln!("{:?}: {error:.1e} of |Hv|", net.shape());
        // Measured: 1.5e-3 to 6e-3, the rounding of two gradients over the length of the step.
        assert!(error < 0.02, "{:?}: {error}", net.shape());
    }
}

#[test]
fn the_bias_before_batch_norm_has_no_gradient_and_threads_change_nothing() {
    let case = &cases()[0];
    let Case { net, params, pictures, labels } = case;
    let mut grad = vec![f32::NAN; params.len()];
    net.gradient(params, pictures, labels, &mut grad).unwrap();
    assert!(grad[9 * 4..9 * 4 + 4].iter().all(|g| *g == 0.0));
    let together: Vec<Vec<f32>> = std::thread::scope(|scope| {
        let work = || {
            let mut grad = vec![0.0; params.len()];
            net.gradient(params, pictures, labels, &mut grad).unwrap();
            grad
        };
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(work)).collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(together.iter().all(|other| *other == grad));
}

#[test]
fn a_network_of_nothing_is_refused() {
    let error = ConvNet::new(Shape { side: 28, channels: 1, filters: 0, classes: 5 }).unwrap_err();
    assert!(error.to_string().contains("0 filters"), "{error}");
}
