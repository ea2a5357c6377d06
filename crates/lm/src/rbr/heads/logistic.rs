//! Logistic regression, and probabilities from its scores.
//!
//! Everything is in double precision and in a fixed order, with `exp` and `log` of `libm`: the same bits on any machine.

use std::collections::VecDeque;

/// Rows, labels and weights of rows.
///
/// The loss of parameters `w` (one a column, and last the bias `b`) is `sum_i c_i log(1 + exp(-y_i (w x_i + b))) + l2/2 |w|^2`, with `y` 1
/// or -1 and `c` weights that sum to 1. The bias is not held down.
pub(super) struct Problem<'a> {
    pub rows: Vec<&'a [f64]>,
    pub labels: Vec<bool>,
    pub weights: Vec<f64>,
    pub l2: f64,
}

/// Changes of parameters and gradient that are remembered.
const MEMORY: usize = 10;
/// Steps at most; these losses need some 50.
const STEPS: usize = 500;
/// Largest derivative at the end.
const TOLERANCE: f64 = 1e-7;

impl Problem<'_> {
    /// The loss; its derivatives into `gradient`.
    pub fn loss(&self, params: &[f64], gradient: &mut [f64]) -> f64 {
        let (bias, weights) = (params[params.len() - 1], &params[..params.len() - 1]);
        gradient.fill(0.0);
        let mut loss = 0.0;
        for ((row, label), weight) in self.rows.iter().zip(&self.labels).zip(&self.weights) {
            let margin = if *label { 1.0 } else { -1.0 } * (dot(row, weights) + bias);
            loss += weight * softplus(-margin);
            let slope = weight * if *label { -sigmoid(-margin) } else { sigmoid(-margin) };
            axpy(slope, row, &mut gradient[..weights.len()]);
            gradient[weights.len()] += slope;
        }
        axpy(self.l2, weights, &mut gradient[..weights.len()]);
        loss + 0.5 * self.l2 * dot(weights, weights)
    }

    /// The parameters of the smallest loss, from some others: L-BFGS (Nocedal and Wright, "Numerical Optimization", 2nd edition, algorithm
    /// 7.4) with halved steps.
    pub fn solve(&self, mut params: Vec<f64>) -> Vec<f64> {
        let n = params.len();
        let mut gradient = vec![0.0; n];
        let mut loss = self.loss(&params, &mut gradient);
        let mut memory: VecDeque<(Vec<f64>, Vec<f64>)> = VecDeque::new();
        for _ in 0..STEPS {
            if gradient.iter().all(|g| g.abs() <= TOLERANCE) {
                break;
            }
            let direction = direction(&gradient, &memory);
            let slope = dot(&direction, &gradient);
            let mut step = if memory.is_empty() { 1.0 / dot(&gradient, &gradient).sqrt().max(1.0) } else { 1.0 };
            let (mut next, mut next_gradient) = (params.clone(), vec![0.0; n]);
            let next_loss = loop {
                next.copy_from_slice(&params);
                axpy(step, &direction, &mut next);
                let next_loss = self.loss(&next, &mut next_gradient);
                if next_loss <= loss + 1e-4 * step * slope {
                    break next_loss;
                }
                step *= 0.5;
                if step < 1e-12 {
                    // Rounding is all that is left.
                    return params;
                }
            };
            let difference = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a - b).collect::<Vec<_>>();
            let (moved, bent) = (difference(&next, &params), difference(&next_gradient, &gradient));
            if dot(&moved, &bent) > 0.0 {
                memory.push_back((moved, bent));
                if memory.len() > MEMORY {
                    memory.pop_front();
                }
            }
            (params, gradient, loss) = (next, next_gradient, next_loss);
        }
        params
    }
}

/// Minus the gradient, times the inverse curvature that the remembered steps met.
fn direction(gradient: &[f64], memory: &VecDeque<(Vec<f64>, Vec<f64>)>) -> Vec<f64> {
    let mut direction: Vec<f64> = gradient.iter().map(|g| -g).collect();
    let mut shares = Vec::with_capacity(memory.len());
    for (moved, bent) in memory.iter().rev() {
        let share = dot(moved, &direction) / dot(moved, bent);
        axpy(-share, bent, &mut direction);
        shares.push(share);
    }
    if let Some((moved, bent)) = memory.back() {
        let scale = dot(moved, bent) / dot(bent, bent);
        direction.iter_mut().for_each(|d| *d *= scale);
    }
    for ((moved, bent), share) in memory.iter().zip(shares.iter().rev()) {
        axpy(share - dot(bent, &direction) / dot(moved, bent), moved, &mut direction);
    }
    direction
}

/// Slope and shift that make `sigmoid(slope score + shift)` the probability of a label: J. Platt, "Probabilistic Outputs for Support Vector
/// Machines", 1999, with his targets, which do not quite reach 0 and 1; Newton steps as Lin, Lin and Weng have them (2007). Where higher
/// scores do not mean more, the slope is 0 and the shift that of the base rate.
pub(super) fn platt(scores: &[f64], labels: &[bool]) -> [f64; 2] {
    let positive = labels.iter().filter(|label| **label).count() as f64;
    let negative = labels.len() as f64 - positive;
    let target = |label: bool| if label { (positive + 1.0) / (positive + 2.0) } else { 1.0 / (negative + 2.0) };
    let pairs = || scores.iter().zip(labels).map(|(score, label)| (*score, target(*label)));
    let loss = |[slope, shift]: [f64; 2]| -> f64 {
        let z = |score: f64| slope * score + shift;
        pairs().map(|(score, target)| softplus(z(score)) - target * z(score)).sum()
    };
    let base = [0.0, libm::log((positive + 1.0) / (negative + 1.0))];
    let mut best = base;
    for _ in 0..100 {
        let (mut g, mut h) = ([0.0; 2], [1e-12, 0.0, 1e-12]);
        for (score, target) in pairs() {
            let p = sigmoid(best[0] * score + best[1]);
            let (d, c) = (p - target, p * (1.0 - p));
            (g[0], g[1]) = (g[0] + d * score, g[1] + d);
            (h[0], h[1], h[2]) = (h[0] + c * score * score, h[1] + c * score, h[2] + c);
        }
        if g[0].abs() <= 1e-9 && g[1].abs() <= 1e-9 {
            break;
        }
        let determinant = h[0] * h[2] - h[1] * h[1];
        let step = [(h[1] * g[1] - h[2] * g[0]) / determinant, (h[1] * g[0] - h[0] * g[1]) / determinant];
        let before = loss(best);
        let tried = (0..40).map(|i| 0.5_f64.powi(i)).map(|size| [0, 1].map(|j| best[j] + size * step[j]));
        let Some(next) = tried.into_iter().find(|next| loss(*next) < before) else { break };
        best = next;
    }
    if best[0] > 0.0 && best.iter().all(|x| x.is_finite()) { best } else { base }
}

/// `1 / (1 + exp(-z))`.
pub(super) fn sigmoid(z: f64) -> f64 {
    let tail = libm::exp(-z.abs());
    if z < 0.0 { tail / (1.0 + tail) } else { 1.0 / (1.0 + tail) }
}

/// `log(1 + exp(z))`.
pub(super) fn softplus(z: f64) -> f64 {
    z.max(0.0) + libm::log1p(libm::exp(-z.abs()))
}

/// Inner product, in eight sums.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut sums = [0.0; 8];
    let (a, b) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f64 = a.remainder().iter().zip(b.remainder()).map(|(a, b)| a * b).sum();
    for (a, b) in a.zip(b) {
        sums.iter_mut().zip(a.iter().zip(b)).for_each(|(sum, (a, b))| *sum += a * b);
    }
    sums.iter().sum::<f64>() + rest
}

/// `y += factor x`.
fn axpy(factor: f64, x: &[f64], y: &mut [f64]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += factor * x);
}

#[cfg(test)]
mod tests {
    use tony_random::Stream;

    use super::*;

    fn rows(n: usize, width: usize) -> Vec<Vec<f64>> {
        let mut stream = Stream::new(1, "rows", 0);
        (0..n).map(|_| (0..width).map(|_| stream.normal()).collect()).collect()
    }

    fn problem(rows: &[Vec<f64>], l2: f64) -> Problem<'_> {
        let mut stream = Stream::new(2, "labels", 0);
        let labels = rows.iter().map(|row| row[0] - row[2] + stream.normal() > 0.5).collect();
        let weights: Vec<f64> = rows.iter().map(|_| stream.range(0.5, 1.5)).collect();
        let sum: f64 = weights.iter().sum();
        Problem {
            rows: rows.iter().map(Vec::as_slice).collect(),
            labels,
            weights: weights.iter().map(|w| w / sum).collect(),
            l2,
        }
    }

    #[test]
    fn the_gradient_is_the_finite_difference_of_the_loss() {
        let rows = rows(30, 11);
        let problem = problem(&rows, 0.1);
        let mut stream = Stream::new(3, "point", 0);
        let point: Vec<f64> = (0..12).map(|_| stream.normal()).collect();
        let (mut gradient, mut ignored) = (vec![0.0; 12], vec![0.0; 12]);
        problem.loss(&point, &mut gradient);
        for j in 0..12 {
            let mut at = |step: f64| {
                let mut moved = point.clone();
                moved[j] += step;
                problem.loss(&moved, &mut ignored)
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            // The error of the difference is of the order of 1e-10.
            assert!((difference - gradient[j]).abs() < 1e-8, "{j}: {difference} {}", gradient[j]);
        }
    }

    /// The loss is convex: where its derivatives vanish is the minimum, from wherever it is looked for.
    #[test]
    fn the_minimum_is_found_from_anywhere() {
        let rows = rows(80, 20);
        for l2 in [1e-3, 1e-1, 10.0] {
            let problem = problem(&rows, l2);
            let solved = problem.solve(vec![0.0; 21]);
            let mut gradient = vec![0.0; 21];
            problem.loss(&solved, &mut gradient);
            assert!(gradient.iter().all(|g| g.abs() <= TOLERANCE), "{l2}: {gradient:?}");
            let again = problem.solve(vec![1.0; 21]);
            // Curvature is at least l2, so parameters are within TOLERANCE / l2.
            let near = |a: f64, b: f64| (a - b).abs() < 21.0 * TOLERANCE / l2.min(1e-2);
            assert!(solved.iter().zip(&again).all(|(a, b)| near(*a, *b)), "{l2}");
        }
        // Held down hard, only the bias is left: the base rate.
        let problem = problem(&rows, 1e6);
        let solved = problem.solve(vec![0.0; 21]);
        let rate: f64 = problem.labels.iter().zip(&problem.weights).filter(|(l, _)| **l).map(|(_, w)| w).sum();
        assert!((sigmoid(solved[20]) - rate).abs() < 1e-5);
    }

    #[test]
    fn scores_become_probabilities_that_are_met() {
        let mut stream = Stream::new(4, "scores", 0);
        let scores: Vec<f64> = (0..20_000).map(|_| 2.0 * stream.normal()).collect();
        let labels: Vec<bool> = scores.iter().map(|s| stream.uniform() < sigmoid(1.5 * s - 2.0)).collect();
        let [slope, shift] = platt(&scores, &labels);
        // 20,000 labels know them to about 0.03.
        assert!((slope - 1.5).abs() < 0.1 && (shift + 2.0).abs() < 0.1, "{slope} {shift}");
        // Separated scores stay finite; scores that say the opposite say nothing.
        let [slope, shift] = platt(&[-1.0, -2.0, 1.0, 2.0], &[false, false, true, true]);
        assert!(slope.is_finite() && shift.is_finite() && slope > 0.0);
        let opposite = platt(&[-1.0, -2.0, 1.0, 2.0, 3.0], &[true, true, false, false, false]);
        assert_eq!(opposite, [0.0, libm::log(0.75)]);
        assert_eq!((sigmoid(-800.0), sigmoid(800.0), softplus(-800.0), softplus(800.0)), (0.0, 1.0, 0.0, 800.0));
    }
}
