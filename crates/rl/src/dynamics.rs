//! A learned model of what comes next: the next observation as a Gaussian, given observation and action; and the steps it learns from.
//!
//! J. Achiam, S. Sastry, "Surprise-Based Intrinsic Motivation for Deep Reinforcement Learning" (2017), section 3.2, and the code that was
//! released with it: two tanh networks, one for the mean and one for the log-deviation, of the observation and the action as it was
//! sampled (one-hot where discrete), neither standardised. [`Dynamics::fit`] is one constrained step, not a fit to convergence: its
//! direction by conjugate gradient, its length by the quadratic model of the divergence, then a line search on loss and divergence.

use tony_env::Spec;
use tony_env::space::Space;
use tony_nn::{Activation, Init, Mlp, Rows, Workspace};
use tony_random::Stream;
use tony_run::Archive;

use crate::rollout::{End, Rollout};
use crate::{Error, Result};

/// Multiple of the identity added to the Fisher matrix.
const DAMPING: f64 = 1e-5;
/// Conjugate-gradient iterations, and the squared residual at which they stop.
const ITERATIONS: usize = 10;
const RESIDUAL: f64 = 1e-10;
/// Factor between one trial of the line search and the next, and the number of trials.
const DECAY: f64 = 0.8;
const TRIALS: usize = 15;
/// Keeps the length of a step finite, as in the released code.
const TINY: f64 = 1e-8;
/// `log(2 pi) / 2`.
const HALF_LOG_2PI: f64 = 0.918_938_533_204_672_8;

/// The model.
#[derive(Debug)]
pub struct Dynamics {
    /// The shape of either network.
    net: Mlp,
    /// Parameters for the mean, then for the log-deviation.
    params: Vec<f32>,
    /// Number of actions, where they are discrete.
    discrete: Option<usize>,
    workspace: Workspace,
}

/// Steps as the model reads them.
#[derive(Clone, Debug, Default)]
pub struct Pairs {
    /// Observation and action, `[n, inputs]`.
    pub inputs: Vec<f32>,
    /// The observation after, `[n, obs_dim]`.
    pub next: Vec<f32>,
}

/// What the model says about some steps, `[n, obs_dim]` each.
#[derive(Clone, Debug)]
pub struct Prediction {
    /// Mean.
    pub mean: Vec<f32>,
    /// Logarithm of the standard deviation.
    pub log_std: Vec<f32>,
}

/// How one fit went.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Fit {
    /// Mean negative log-likelihood before and after, in nats.
    pub nll: [f64; 2],
    /// Mean KL(old || new).
    pub kl: f64,
    /// Was any trial accepted?
    pub accepted: bool,
}

impl Dynamics {
    /// A new model for an environment, Glorot weights from `stream`.
    pub fn new(spec: &Spec, hidden: &[usize], stream: &mut Stream) -> Result<Self> {
        let (action, discrete) = match spec.action {
            Space::Box { .. } => (spec.action.row_len(), None),
            Space::Discrete { n } => (n, Some(n)),
        };
        let net = Mlp::new(&[&[spec.obs_dim + action], hidden, &[spec.obs_dim]].concat(), Activation::Tanh)?;
        let n = net.num_params();
        let mut params = vec![0.0; 2 * n];
        params.chunks_mut(n).for_each(|params| net.init(params, Init::Glorot, stream));
        Ok(Self { net, params, discrete, workspace: Workspace::default() })
    }

    /// All parameters.
    pub fn params(&self) -> &[f32] {
        &self.params
    }

    /// All parameters, to change.
    pub fn params_mut(&mut self) -> &mut [f32] {
        &mut self.params
    }

    /// Append one step to `pairs`.
    pub fn put(&self, obs: &[f32], act: &[f32], next: &[f32], pairs: &mut Pairs) {
        pairs.inputs.extend_from_slice(obs);
        match self.discrete {
            None => pairs.inputs.extend_from_slice(act),
            Some(n) => pairs.inputs.extend((0..n).map(|i| if i == act[0] as usize { 1.0 } else { 0.0 })),
        }
        pairs.next.extend_from_slice(next);
    }

    /// What the model says with these parameters, `inputs` being `[n, inputs]`.
    pub fn predict(&self, params: &[f32], inputs: &[f32]) -> Prediction {
        let rows = Rows::all(inputs, self.net.input());
        let outputs = |params: &[f32]| {
            let mut y = vec![0.0; rows.len() * self.net.output()];
            self.net.forward(params, &rows, &mut y);
            y
        };
        let (mean, log_std) = params.split_at(self.net.num_params());
        Prediction { mean: outputs(mean), log_std: outputs(log_std) }
    }

    /// One step down `NLL + decay/2 |weights|^2` (biases are free) within mean KL(old || new) <= `kl`. Parameters stay where no trial of
    /// the line search is better and near enough, and where there is no gradient.
    pub fn fit(&mut self, pairs: &Pairs, kl: f64, decay: f64) -> Result<Fit> {
        let old = self.predict(&self.params, &pairs.inputs);
        let nll = self.nll(&old, pairs);
        let before = nll + self.decay(decay);
        let g = self.gradient(&old, pairs, decay);
        if !before.is_finite() || g.iter().any(|g| !g.is_finite()) {
            return Err(Error::non_finite("loss of the dynamics model".to_owned(), 0));
        }
        let mut fit = Fit { nll: [nll; 2], kl: 0.0, accepted: false };
        if g.iter().all(|g| *g == 0.0) {
            return Ok(fit);
        }
        let mut workspace = std::mem::take(&mut self.workspace);
        let step = constrained_step(|v, out| self.fisher_product(&old, pairs, v, out, &mut workspace), &g, kl);
        self.workspace = workspace;
        let origin = self.params.clone();
        let mut fraction = 1.0;
        for _ in 0..TRIALS {
            for ((param, origin), direction) in self.params.iter_mut().zip(&origin).zip(&step.direction) {
                *param = (f64::from(*origin) - fraction * step.length * direction) as f32;
            }
            let new = self.predict(&self.params, &pairs.inputs);
            let (after, moved) = (self.nll(&new, pairs), self.divergence(&old, &new));
            if after + self.decay(decay) < before && moved <= kl {
                fit = Fit { nll: [nll, after], kl: moved, accepted: true };
                return Ok(fit);
            }
            fraction *= DECAY;
        }
        self.params = origin;
        Ok(fit)
    }

    /// Mean negative log-likelihood.
    pub fn nll(&self, said: &Prediction, pairs: &Pairs) -> f64 {
        let d = self.net.output();
        let rows = pairs.next.chunks(d).zip(said.mean.chunks(d)).zip(said.log_std.chunks(d));
        let sum: f64 = rows.map(|((next, mean), log_std)| -log_density(next, mean, log_std)).sum();
        sum / (pairs.next.len() / d) as f64
    }

    /// Mean KL(old || new).
    pub fn divergence(&self, old: &Prediction, new: &Prediction) -> f64 {
        let d = self.net.output();
        let (old, new) = (old.mean.chunks(d).zip(old.log_std.chunks(d)), new.mean.chunks(d).zip(new.log_std.chunks(d)));
        let n = old.len();
        let sum: f64 = old.zip(new).map(|((mean, log_std), (to, to_std))| kl(mean, log_std, to, to_std)).sum();
        sum / n as f64
    }

    /// `decay/2 |weights|^2`.
    pub fn decay(&self, decay: f64) -> f64 {
        let weights = self.weights().map(|i| f64::from(self.params[i]).powi(2));
        0.5 * decay * weights.sum::<f64>()
    }

    /// Places of the weights among the parameters.
    fn weights(&self) -> impl Iterator<Item = usize> {
        let layers = self.net.sizes().windows(2).map(|pair| (pair[0] * pair[1], pair[1]));
        let layers: Vec<(usize, usize)> = layers.clone().chain(layers).collect();
        let mut at = 0;
        layers.into_iter().flat_map(move |(weights, biases)| {
            let first = at;
            at += weights + biases;
            first..first + weights
        })
    }

    /// Gradient of the loss.
    fn gradient(&mut self, said: &Prediction, pairs: &Pairs, decay: f64) -> Vec<f64> {
        let (d, n) = (self.net.output(), self.net.num_params());
        let rows = Rows::all(&pairs.inputs, self.net.input());
        let scale = 1.0 / rows.len() as f64;
        let mut grad = vec![0.0; 2 * n];
        let (mean, log_std) = grad.split_at_mut(n);
        let error = |i: usize| f64::from(said.mean[i]) - f64::from(pairs.next[i]);
        let precision = |i: usize| libm::exp(-2.0 * f64::from(said.log_std[i]));
        let fill =
            |derivative: &(dyn Fn(usize) -> f64 + Sync), params: &[f32], grad: &mut [f32], work: &mut Workspace| {
                let head = |first: usize, _: &[f32], dy: &mut [f32], _: &mut [f64]| {
                    dy.iter_mut().zip(first * d..).for_each(|(dy, i)| *dy = (scale * derivative(i)) as f32);
                };
                self.net.gradient(params, &rows, &head, grad, &mut [], work);
            };
        let work = &mut self.workspace;
        fill(&|i| error(i) * precision(i), &self.params[..n], mean, work);
        fill(&|i| 1.0 - error(i).powi(2) * precision(i), &self.params[n..], log_std, work);
        let mut grad: Vec<f64> = grad.into_iter().map(f64::from).collect();
        self.weights().for_each(|i| grad[i] += decay * f64::from(self.params[i]));
        grad
    }

    /// Product with the second derivative of the mean KL(old || .) at the old parameters.
    fn fisher_product(&self, old: &Prediction, pairs: &Pairs, v: &[f64], out: &mut [f64], work: &mut Workspace) {
        let (d, n) = (self.net.output(), self.net.num_params());
        let rows = Rows::all(&pairs.inputs, self.net.input());
        let scale = 1.0 / rows.len() as f64;
        let narrow: Vec<f32> = v.iter().map(|v| *v as f32).collect();
        let mut image = vec![0.0; 2 * n];
        let precision = |i: usize| libm::exp(-2.0 * f64::from(old.log_std[i]));
        let mut fill = |half: usize, metric: &(dyn Fn(usize) -> f64 + Sync)| {
            let head = |first: usize, _: &[f32], tangent: &mut [f32], _: &mut [f64]| {
                tangent.iter_mut().zip(first * d..).for_each(|(t, i)| *t *= (scale * metric(i)) as f32);
            };
            let part = half * n..(half + 1) * n;
            let (params, v, image) = (&self.params[part.clone()], &narrow[part.clone()], &mut image[part]);
            self.net.gauss_newton(params, v, &rows, &head, image, &mut [], work);
        };
        fill(0, &precision);
        fill(1, &|_| 2.0);
        out.iter_mut().zip(image).for_each(|(out, image)| *out = f64::from(image));
    }

    /// Write the parameters.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        Ok(archive.put_f32("dynamics.params", &[self.params.len()], &self.params)?)
    }

    /// Read back what [`Dynamics::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32("dynamics.params", &[self.params.len()])?;
        Ok(())
    }
}

/// `log P(next)` under a diagonal Gaussian, in nats.
pub fn log_density<T: Copy + Into<f64>>(next: &[T], mean: &[T], log_std: &[T]) -> f64 {
    let rows = next.iter().zip(mean).zip(log_std);
    rows.map(|((&next, &mean), &log_std)| {
        let z = (next.into() - mean.into()) * libm::exp(-log_std.into());
        -log_std.into() - 0.5 * z * z - HALF_LOG_2PI
    })
    .sum()
}

/// KL(old || new) of two diagonal Gaussians (the released code adds 1e-8 to the denominator).
pub fn kl<T: Copy + Into<f64>>(mean: &[T], log_std: &[T], new_mean: &[T], new_log_std: &[T]) -> f64 {
    let rows = mean.iter().zip(log_std).zip(new_mean.iter().zip(new_log_std));
    rows.map(|((&mean, &log_std), (&new_mean, &new_log_std))| {
        let [variance, new_variance] = [log_std, new_log_std].map(|log_std| libm::exp(2.0 * log_std.into()));
        let moved = mean.into() - new_mean.into();
        (moved * moved + variance - new_variance) / (2.0 * new_variance) + new_log_std.into() - log_std.into()
    })
    .sum()
}

/// Where to go: `parameters - length * direction`.
#[derive(Clone, Debug)]
pub struct ConstrainedStep {
    /// `(H + damping I)^-1 g`.
    pub direction: Vec<f64>,
    /// `x'(H + damping I) x`.
    pub curvature: f64,
    /// The multiple at which the quadratic model of the divergence reaches its limit.
    pub length: f64,
}

/// The longest step along the natural gradient of `g` whose quadratic divergence stays within `kl`; `product` writes `H v`.
pub fn constrained_step(mut product: impl FnMut(&[f64], &mut [f64]), g: &[f64], kl: f64) -> ConstrainedStep {
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let mut damped = |v: &[f64], out: &mut [f64]| {
        product(v, out);
        out.iter_mut().zip(v).for_each(|(out, v)| *out += DAMPING * v);
    };
    let (mut x, mut residual, mut direction) = (vec![0.0; g.len()], g.to_vec(), g.to_vec());
    let mut image = vec![0.0; g.len()];
    let mut rr = inner(g, g);
    for _ in 0..ITERATIONS {
        damped(&direction, &mut image);
        let alpha = rr / inner(&direction, &image);
        for i in 0..x.len() {
            x[i] += alpha * direction[i];
            residual[i] -= alpha * image[i];
        }
        let next = inner(&residual, &residual);
        direction.iter_mut().zip(&residual).for_each(|(d, r)| *d = r + next / rr * *d);
        rr = next;
        if rr < RESIDUAL {
            break;
        }
    }
    damped(&x, &mut image);
    let curvature = inner(&x, &image);
    ConstrainedStep { direction: x, curvature, length: (2.0 * kl / (curvature + TINY)).sqrt() }
}

/// Rows whose successor in the batch is the next step of the same episode: all but the last of each segment.
pub fn followed(ends: &[End]) -> impl Iterator<Item = usize> {
    let starts = std::iter::once(0).chain(ends.iter().map(|end| end.row + 1));
    starts.zip(ends).flat_map(|(start, end)| start..end.row)
}

/// Steps that the model learns from, first in, first out: observation, action as sampled, next observation.
#[derive(Clone, Debug)]
pub struct Replay {
    obs_dim: usize,
    act_dim: usize,
    capacity: usize,
    /// `[n, obs_dim + act_dim + obs_dim]`.
    rows: Vec<f32>,
    /// The row that makes place next, once all places are taken.
    oldest: usize,
}

impl Replay {
    /// An empty one; places are taken as they are filled.
    pub fn new(obs_dim: usize, act_dim: usize, capacity: usize) -> Self {
        Self { obs_dim, act_dim, capacity, rows: Vec::new(), oldest: 0 }
    }

    /// Steps in it.
    pub fn len(&self) -> usize {
        self.rows.len() / self.width()
    }

    /// Is there none?
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    fn width(&self) -> usize {
        2 * self.obs_dim + self.act_dim
    }

    /// Add the steps of a batch that are followed by another of the same episode.
    pub fn add(&mut self, rollout: &Rollout) {
        let (width, o, a) = (self.width(), self.obs_dim, self.act_dim);
        for row in followed(&rollout.ends) {
            let parts =
                [&rollout.obs[row * o..][..o], &rollout.act[row * a..][..a], &rollout.obs[(row + 1) * o..][..o]];
            if self.len() < self.capacity {
                parts.iter().for_each(|part| self.rows.extend_from_slice(part));
            } else {
                self.rows[self.oldest * width..][..width].copy_from_slice(&parts.concat());
                self.oldest = (self.oldest + 1) % self.capacity;
            }
        }
    }

    /// `n` steps drawn with replacement; all of them, each once, where there are no more.
    pub fn sample(&self, n: usize, model: &Dynamics, stream: &mut Stream) -> Pairs {
        let mut pairs = Pairs::default();
        let len = self.len();
        for i in 0..n.min(len) {
            let row = if len > n { stream.below(len) } else { i };
            let (obs, rest) = self.rows[row * self.width()..][..self.width()].split_at(self.obs_dim);
            let (act, next) = rest.split_at(self.act_dim);
            model.put(obs, act, next, &mut pairs);
        }
        pairs
    }

    /// Write everything.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        archive.put_f32("dynamics.replay", &[self.len(), self.width()], &self.rows)?;
        Ok(archive.put_u64("dynamics.replay.oldest", &[1], &[self.oldest as u64])?)
    }

    /// Read back what [`Replay::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        let n = archive.shape("dynamics.replay").and_then(|shape| shape.first().copied()).unwrap_or(0);
        let rows = archive.f32("dynamics.replay", &[n, self.width()])?;
        let oldest = archive.u64("dynamics.replay.oldest", &[1])?[0] as usize;
        if n > self.capacity || oldest >= n.max(1) {
            return Err(Error::Invalid {
                what: format!("a replay of {n} steps, the oldest at {oldest}, does not fit into {}", self.capacity),
                hint: "resume with the surprise.replay that the run was started with".to_owned(),
            });
        }
        (self.rows, self.oldest) = (rows, oldest);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rollout::Episode;

    /// A model of two observations and one action, and steps of `next = tanh(obs) + action` with noise.
    fn model(rows: usize) -> (Dynamics, Pairs) {
        let action = Space::Box { low: vec![-1.0], high: vec![1.0] };
        let spec = Spec { name: "test".to_owned(), obs_dim: 2, action, costs: Vec::new(), max_steps: 10 };
        let model = Dynamics::new(&spec, &[6], &mut Stream::new(1, "test", 0)).unwrap();
        let mut stream = Stream::new(2, "steps", 0);
        let mut pairs = Pairs::default();
        for _ in 0..rows {
            let mut normal = || stream.normal() as f32;
            let (obs, act) = ([normal(), normal()], [normal()]);
            let next = obs.map(|x| libm::tanhf(x) + act[0] + 0.1 * normal());
            model.put(&obs, &act, &next, &mut pairs);
        }
        (model, pairs)
    }

    #[test]
    fn the_gradient_is_the_derivative_of_the_loss() {
        let (mut model, pairs) = model(50);
        let said = model.predict(model.params(), &pairs.inputs);
        let gradient = model.gradient(&said, &pairs, 0.7);
        for (i, g) in gradient.iter().enumerate() {
            let mut side = |h: f32| {
                let at = model.params[i];
                model.params[i] = at + h;
                let loss = model.nll(&model.predict(&model.params, &pairs.inputs), &pairs) + model.decay(0.7);
                model.params[i] = at;
                loss
            };
            let numeric = (side(1e-2) - side(-1e-2)) / 2e-2;
            // f32 outputs leave 1e-5 in the difference; the curvature over 1e-2 about as much as 1e-3.
            assert!((numeric - g).abs() < 3e-3 * (1.0 + g.abs()), "{i}: {numeric} {g}");
        }
    }

    #[test]
    fn the_fisher_product_is_the_second_derivative_of_the_divergence() {
        let (mut model, pairs) = model(60);
        let old = model.predict(model.params(), &pairs.inputs);
        let mut stream = Stream::new(3, "direction", 0);
        let v: Vec<f64> = model.params.iter().map(|_| 0.1 * stream.normal()).collect();
        let mut image = vec![0.0; v.len()];
        let mut work = std::mem::take(&mut model.workspace);
        model.fisher_product(&old, &pairs, &v, &mut image, &mut work);
        let quadratic: f64 = v.iter().zip(&image).map(|(v, image)| v * image).sum();
        let h = 0.05;
        model.params.iter_mut().zip(&v).for_each(|(p, v)| *p += (h * v) as f32);
        let moved = model.divergence(&old, &model.predict(&model.params, &pairs.inputs));
        let predicted = 0.5 * h * h * quadratic;
        // The third-order term is a few per cent at this step length.
        assert!((moved / predicted - 1.0).abs() < 0.1, "{moved} {predicted}");
    }

    #[test]
    fn a_fit_stays_within_its_divergence_and_learns() {
        let (mut model, pairs) = model(400);
        let first = model.fit(&pairs, 0.01, 0.0).unwrap();
        assert!(first.accepted && first.kl <= 0.01 && first.nll[1] < first.nll[0], "{first:?}");
        // The quadratic model's step ends near the limit; at 0.8 of its length 0.64 of the divergence is left.
        assert!(first.kl > 0.003, "{first:?}");
        let mut last = first;
        for _ in 0..150 {
            last = model.fit(&pairs, 0.01, 0.0).unwrap();
        }
        assert!(last.nll[1] < first.nll[0] - 1.0, "{first:?} {last:?}");
    }

    /// A strong decay pulls against the likelihood until no trial is better: then nothing may have moved.
    #[test]
    fn a_refused_fit_leaves_every_bit_as_it_was() {
        let (mut model, pairs) = model(100);
        for _ in 0..3_000 {
            let before: Vec<u32> = model.params.iter().map(|p| p.to_bits()).collect();
            if !model.fit(&pairs, 0.01, 1.0).unwrap().accepted {
                let after: Vec<u32> = model.params.iter().map(|p| p.to_bits()).collect();
                assert_eq!(after, before);
                return;
            }
        }
        panic!("no fit was refused");
    }

    #[test]
    fn decay_is_of_weights_and_not_of_biases() {
        let (mut model, _) = model(1);
        model.params.fill(1.0);
        // Either network: 3 x 6 and 6 x 2 weights, 6 and 2 biases.
        assert_eq!((model.params.len(), model.decay(1.0)), (2 * (18 + 6 + 12 + 2), 30.0));
        model.weights().collect::<Vec<_>>().iter().for_each(|&i| model.params[i] = 0.0);
        assert_eq!(model.params[18..24], [1.0; 6], "biases follow their layer's weights");
        assert_eq!(model.params[36..38], [1.0; 2]);
    }

    #[test]
    fn a_discrete_action_is_one_hot() {
        let spec = Spec {
            name: "test".to_owned(),
            obs_dim: 1,
            action: Space::Discrete { n: 3 },
            costs: Vec::new(),
            max_steps: 10,
        };
        let model = Dynamics::new(&spec, &[4], &mut Stream::new(1, "test", 0)).unwrap();
        let mut pairs = Pairs::default();
        model.put(&[0.5], &[2.0], &[0.7], &mut pairs);
        assert_eq!((pairs.inputs, pairs.next), (vec![0.5, 0.0, 0.0, 1.0], vec![0.7]));
    }

    #[test]
    fn the_replay_keeps_the_newest_steps_that_have_a_successor() {
        let (model, _) = model(1);
        let mut replay = Replay::new(2, 1, 5);
        let mut rollout = Rollout::new(2, 1, 0, 5);
        let episode = Some(Episode { ret: 0.0, length: 3 });
        rollout.ends =
            vec![End { row: 2, terminated: true, episode }, End { row: 4, terminated: false, episode: None }];
        for batch in 0..3 {
            rollout.obs = (0..10).map(|i| (10 * batch + i) as f32).collect();
            replay.add(&rollout);
        }
        // Each batch has the steps 0-1, 1-2 and 3-4: nine in all, of which the last five stay.
        let all = replay.sample(5, &model, &mut Stream::new(0, "all", 0));
        let mut first: Vec<(f32, f32)> =
            all.inputs.chunks(3).zip(all.next.chunks(2)).map(|(input, next)| (input[0], next[0])).collect();
        first.sort_by(|a, b| a.0.total_cmp(&b.0));
        assert_eq!(first, [(12.0, 14.0), (16.0, 18.0), (20.0, 22.0), (22.0, 24.0), (26.0, 28.0)]);
        let mut archive = Archive::new();
        replay.save(&mut archive).unwrap();
        let mut copy = Replay::new(2, 1, 5);
        copy.load(&archive).unwrap();
        copy.add(&rollout);
        replay.add(&rollout);
        assert_eq!((copy.rows, copy.oldest), (replay.rows, replay.oldest));
        assert!(Replay::new(2, 1, 4).load(&archive).unwrap_err().to_string().contains("does not fit"));
    }
}
