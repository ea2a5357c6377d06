//! [`Actor`]: what acts. [`Policy`]: what an on-policy algorithm improves. And the policy of this crate: an MLP with a Gaussian or
//! categorical head.

use std::any::Any;
use std::borrow::Cow;

use tony_env::space::Space;
use tony_nn::{Activation, Init, Mlp, Normaliser, Rows, Workspace, categorical, gaussian};
use tony_random::Stream;
use tony_run::{Archive, Metrics};

use crate::actor_critic::Nonlinearity;
use crate::head::Head;
use crate::rollout::Rollout;
use crate::{Error, Result};

/// Rows that an algorithm asks a policy about. `index` selects and orders rows; without it all rows are meant, in order.
#[derive(Clone, Copy, Debug)]
pub struct Batch<'a> {
    /// Observations, `[rows, obs_dim]`, not normalised.
    pub obs: &'a [f32],
    /// Actions, `[rows, act_dim]`.
    pub act: &'a [f32],
    /// Selected rows.
    pub index: Option<&'a [u32]>,
}

impl<'a> Batch<'a> {
    /// Every row of a rollout.
    pub fn all(rollout: &'a Rollout) -> Self {
        Self { obs: &rollout.obs, act: &rollout.act, index: None }
    }

    /// Row of the underlying columns that position `i` of this batch stands for.
    pub fn row(&self, i: usize) -> usize {
        self.index.map_or(i, |index| index[i] as usize)
    }
}

/// One weight for each row as a function of (row, log-probability now): what an algorithm says about a batch.
pub type Weight<'a> = dyn Fn(usize, f32) -> f32 + Sync + 'a;

/// Room for acting on one observation without allocating; one for each environment that is acted in.
#[derive(Debug, Default)]
pub struct Scratch {
    /// What an actor keeps from step to step of an episode only to act faster, as the keys and values of the tokens so far: the same
    /// action follows without it, to the bit. Whoever steps the environment empties it at each reset and at the start of each batch,
    /// and never saves it, so what is here was kept by the same actor, with the same parameters, in the same episode.
    pub kept: Option<Box<dyn Any + Send>>,
    pub(crate) input: Vec<f32>,
    pub(crate) output: Vec<f32>,
    pub(crate) noise: Vec<f32>,
    pub(crate) net: tony_nn::Scratch,
}

/// One environment's step in [`Actor::act_together`], as [`Actor::act`] would take it.
#[derive(Debug)]
pub struct Seat<'a> {
    /// The observation, `[obs_dim]`.
    pub obs: &'a [f32],
    /// What the actor carries from step to step, `[memory_len]`.
    pub memory: &'a mut [f32],
    /// The environment's own random numbers.
    pub stream: &'a mut Stream,
    /// The action to write, `[act_dim]`.
    pub act: &'a mut [f32],
    /// The environment's own room.
    pub scratch: &'a mut Scratch,
    /// The action's log-probability, to write.
    pub log_prob: &'a mut f32,
}

/// Whatever acts in an environment and can be deployed: saved, loaded, evaluated.
///
/// An actor may carry numbers from step to step of an episode (the state of a recurrent network, the option that it follows). Whoever
/// steps an environment owns them, `[memory_len]`, and has [`Actor::begin`] fill them at each reset.
pub trait Actor: Send + Sync {
    /// How many numbers it carries from step to step.
    fn memory_len(&self) -> usize {
        0
    }

    /// What it carries at the start of an episode; whatever is drawn comes from `stream`.
    fn begin(&self, _stream: &mut Stream, memory: &mut [f32]) {
        memory.fill(0.0);
    }

    /// How many options it has, numbered from 0, of which [`Actor::begin`] draws one; 0: it has none.
    fn options(&self) -> usize {
        0
    }

    /// After [`Actor::begin`]: follow the option `option`, below [`Actor::options`], in this episode.
    fn follow(&self, _option: usize, _memory: &mut [f32]) {}

    /// Draw an action for one observation. Returns its log-probability; for a [`Policy`] as [`Policy::log_probs`] computes it, to the
    /// bit, and 0 where there is none.
    fn act(&self, obs: &[f32], memory: &mut [f32], stream: &mut Stream, act: &mut [f32], scratch: &mut Scratch) -> f32;

    /// Does it act faster for several environments at once? Then they are stepped in lockstep, through [`Actor::act_together`].
    fn together(&self) -> bool {
        false
    }

    /// [`Actor::act`] for one step of each of several environments. What a seat gets depends on nothing in the others.
    fn act_together(&self, seats: &mut [Seat]) {
        for Seat { obs, memory, stream, act, scratch, log_prob } in seats {
            **log_prob = self.act(obs, memory, stream, act, scratch);
        }
    }

    /// Put a batch in order after it was collected and before anything learns from it: an actor that draws by another forward pass than
    /// the one it learns through writes that one's log-probabilities here, and one that is paid for staying near another policy
    /// changes the rewards. What it sets in `metrics` is logged with the update's.
    fn settle(&self, _rollout: &mut Rollout, _metrics: &mut Metrics) -> Result<()> {
        Ok(())
    }

    /// The most likely action for one observation.
    fn mode(&self, obs: &[f32], memory: &mut [f32], act: &mut [f32], scratch: &mut Scratch);

    /// Write everything needed to act.
    fn save(&self, archive: &mut Archive) -> Result<()>;

    /// Read back what [`Actor::save`] wrote, for the same shapes.
    fn load(&mut self, archive: &Archive) -> Result<()>;
}

/// A stochastic policy with a flat parameter vector. The observation normaliser is a part of it, so a saved policy is a deployable one.
pub trait Policy: Actor {
    /// Log-probabilities of the batch's actions, in batch order.
    fn log_probs(&self, batch: &Batch) -> Vec<f32>;

    /// Write into `grad` the gradient of `sum_i weight(row_i, log pi(a_i|s_i)) * log pi(a_i|s_i) + entropy * sum_i H(pi(.|s_i))`, the
    /// weights held fixed. Returns nothing: an algorithm that wants a loss computes it from log-probabilities.
    fn gradient(&mut self, batch: &Batch, weight: &Weight, entropy: f32, grad: &mut [f32]);

    /// Write into `out` the product of the mean Fisher information over the batch with `v`. A policy without one says so.
    fn fisher_product(&mut self, batch: &Batch, v: &[f32], out: &mut [f32]) -> Result<()>;

    /// The action distributions of the batch as flat rows, for [`Policy::kl`].
    fn distributions(&self, batch: &Batch) -> Vec<f32>;

    /// Mean over the batch of KL(old || now).
    fn kl(&self, batch: &Batch, old: &[f32]) -> f64;

    /// Mean entropy over the batch, in nats.
    fn entropy(&self, batch: &Batch) -> f64;

    /// All learnable parameters.
    fn params(&self) -> &[f32];

    /// All learnable parameters, to change.
    fn params_mut(&mut self) -> &mut [f32];

    /// What critics read of observations, `[rows, obs_dim]` -> `[rows, feature_len]`, by the policy as it is.
    fn features<'a>(&self, obs: &'a [f32]) -> Cow<'a, [f32]>;

    /// How many numbers critics read of an observation.
    fn feature_len(&self) -> usize;

    /// Should the rows of an episode stay together and in order in a minibatch? So it is for a policy that computes them at once.
    fn whole_episodes(&self) -> bool {
        false
    }

    /// Let the normaliser learn from observations, `[rows, obs_dim]`. Changes the policy: only between batches.
    fn observe(&mut self, obs: &[f32]);
}

/// A multilayer perceptron with a Gaussian head for boxes or a categorical one for discrete actions.
///
/// Parameters: the network's, then (Gaussian) `log_std`, one an action dimension.
#[derive(Debug)]
pub struct MlpPolicy {
    net: Mlp,
    head: Head,
    params: Vec<f32>,
    normaliser: Option<Normaliser>,
    workspace: Workspace,
}

/// How to build an [`MlpPolicy`].
#[derive(Clone, Debug)]
pub struct MlpOptions {
    /// Widths of the hidden layers.
    pub hidden: Vec<usize>,
    /// Between the layers.
    pub activation: Activation,
    /// Initial weights.
    pub init: Init,
    /// Initial log standard deviation (Gaussian).
    pub log_std: f32,
    /// Standardise observations by running statistics, clipped at this many standard deviations; `None`: take them as they are.
    pub normalise: Option<f32>,
}

impl MlpPolicy {
    /// A new policy for `obs_dim` observations and the actions of `space`.
    pub fn new(obs_dim: usize, space: &Space, options: &MlpOptions, stream: &mut Stream) -> Result<Self> {
        let (head, outputs, extra) = Head::of(space);
        let net = Mlp::new(&[&[obs_dim], options.hidden.as_slice(), &[outputs]].concat(), options.activation)?;
        let mut params = vec![options.log_std; net.num_params() + extra];
        net.init(&mut params[..net.num_params()], options.init, stream);
        let normaliser = options.normalise.map(|clip| Normaliser::new(obs_dim, clip));
        Ok(Self { net, head, params, normaliser, workspace: Workspace::default() })
    }

    /// A policy of the shape that `archive` describes; see [`Actor::save`].
    pub fn from_archive(archive: &Archive, obs_dim: usize, space: &Space) -> Result<Self> {
        let layers = archive.shape("policy.sizes").unwrap_or(&[2]).to_vec();
        let sizes: Vec<usize> = archive.u64("policy.sizes", &layers)?.iter().map(|&n| n as usize).collect();
        let (_, outputs, _) = Head::of(space);
        if sizes.len() < 2 || sizes[0] != obs_dim || sizes[sizes.len() - 1] != outputs {
            return Err(Error::Invalid {
                what: format!(
                    "the policy has layers {sizes:?}, the environment has {obs_dim} observations and {outputs} action numbers"
                ),
                hint: "use the environment that the policy was trained on".to_owned(),
            });
        }
        let activation = Nonlinearity::named(archive.note("activation")).activation();
        let normalise = match archive.shape("policy.normaliser.clip") {
            Some(_) => Some(archive.f32("policy.normaliser.clip", &[1])?[0]),
            None => None,
        };
        let options = MlpOptions {
            hidden: sizes[1..sizes.len() - 1].to_vec(),
            activation,
            init: Init::KaimingUniform,
            log_std: 0.0,
            normalise,
        };
        let mut policy = Self::new(obs_dim, space, &options, &mut Stream::new(0, "unused", 0))?;
        policy.load(archive)?;
        Ok(policy)
    }

    fn rows<'a>(&'a self, batch: &Batch<'a>) -> Rows<'a> {
        Rows { data: batch.obs, width: self.net.input(), index: batch.index, normaliser: self.normaliser.as_ref() }
    }

    /// The network's outputs for a batch, `[rows, outputs]`.
    fn outputs(&self, batch: &Batch) -> Vec<f32> {
        let rows = self.rows(batch);
        let mut y = vec![0.0; rows.len() * self.net.output()];
        self.net.forward(self.net_params(), &rows, &mut y);
        y
    }

    /// The network's output for one observation, `[outputs]`.
    fn output<'s>(&self, obs: &[f32], scratch: &'s mut Scratch) -> &'s [f32] {
        scratch.output.resize(self.net.output(), 0.0);
        let x = match &self.normaliser {
            Some(normaliser) => {
                scratch.input.resize(obs.len(), 0.0);
                normaliser.apply(obs, &mut scratch.input);
                &scratch.input
            }
            None => obs,
        };
        self.net.forward_row(self.net_params(), x, &mut scratch.output, &mut scratch.net);
        &scratch.output
    }

    fn net_params(&self) -> &[f32] {
        &self.params[..self.net.num_params()]
    }

    fn log_std(&self) -> &[f32] {
        &self.params[self.net.num_params()..]
    }

    /// Length of an action row.
    fn act_dim(&self) -> usize {
        self.head.act_dim(self.net.output())
    }

    /// Actions of positions `first..first + n` of a batch, `[n, act_dim]`.
    fn actions(&self, batch: &Batch, first: usize, n: usize) -> Vec<f32> {
        let d = self.act_dim();
        let Some(index) = batch.index else { return batch.act[first * d..(first + n) * d].to_vec() };
        let mut actions = vec![0.0; n * d];
        for (action, &row) in actions.chunks_exact_mut(d).zip(&index[first..first + n]) {
            action.copy_from_slice(&batch.act[row as usize * d..][..d]);
        }
        actions
    }
}

impl Actor for MlpPolicy {
    fn act(&self, obs: &[f32], _: &mut [f32], stream: &mut Stream, act: &mut [f32], scratch: &mut Scratch) -> f32 {
        self.head.sample(self.output(obs, scratch), self.log_std(), stream, act)
    }

    fn mode(&self, obs: &[f32], _: &mut [f32], act: &mut [f32], scratch: &mut Scratch) {
        self.head.mode(self.output(obs, scratch), act);
    }

    fn save(&self, archive: &mut Archive) -> Result<()> {
        let sizes: Vec<u64> = self.net.sizes().iter().map(|&n| n as u64).collect();
        archive.put_u64("policy.sizes", &[sizes.len()], &sizes)?;
        archive.put_f32("policy.params", &[self.params.len()], &self.params)?;
        archive.set_note("head", if self.head == Head::Gaussian { "gaussian" } else { "categorical" });
        archive.set_note("activation", Nonlinearity::of(self.net.activation()).name());
        if let Some(normaliser) = &self.normaliser {
            let state = normaliser.state();
            archive.put_f64("policy.normaliser", &[state.len()], &state)?;
            archive.put_f32("policy.normaliser.clip", &[1], &[normaliser.clip()])?;
        }
        Ok(())
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32("policy.params", &[self.params.len()])?;
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.set_state(&archive.f64("policy.normaliser", &[normaliser.state().len()])?)?;
        }
        Ok(())
    }
}

impl Policy for MlpPolicy {
    fn log_probs(&self, batch: &Batch) -> Vec<f32> {
        let y = self.outputs(batch);
        let n = y.len() / self.net.output();
        let mut out = vec![0.0; n];
        self.head.log_probs(&y, self.net.output(), self.log_std(), &self.actions(batch, 0, n), &mut out);
        out
    }

    fn gradient(&mut self, batch: &Batch, weight: &Weight, entropy: f32, grad: &mut [f32]) {
        let mut workspace = std::mem::take(&mut self.workspace);
        let (head, extra) = grad.split_at_mut(self.net.num_params());
        let mut sums = vec![0.0; extra.len()];
        let outputs = self.net.output();
        let fill = |first: usize, y: &[f32], dy: &mut [f32], sums: &mut [f64]| {
            let n = y.len() / outputs;
            let act = self.actions(batch, first, n);
            let mut weights = vec![0.0; n];
            self.head.log_probs(y, outputs, self.log_std(), &act, &mut weights);
            for (i, w) in weights.iter_mut().enumerate() {
                *w = weight(batch.row(first + i), *w);
            }
            self.head.gradient((y, &act, &weights), self.log_std(), entropy, dy, sums);
        };
        self.net.gradient(self.net_params(), &self.rows(batch), &fill, head, &mut sums, &mut workspace);
        extra.iter_mut().zip(sums).for_each(|(g, sum)| *g = sum as f32);
        self.workspace = workspace;
    }

    fn fisher_product(&mut self, batch: &Batch, v: &[f32], out: &mut [f32]) -> Result<()> {
        let mut workspace = std::mem::take(&mut self.workspace);
        let split = self.net.num_params();
        let rows = self.rows(batch);
        let scale = 1.0 / rows.len() as f64;
        let metric = |_: usize, y: &[f32], tangent: &mut [f32], _: &mut [f64]| match self.head {
            Head::Gaussian => gaussian::fisher_mean(self.log_std(), scale, tangent),
            Head::Categorical => categorical::fisher(y, self.net.output(), scale, tangent),
        };
        self.net.gauss_newton(
            self.net_params(),
            &v[..split],
            &rows,
            &metric,
            &mut out[..split],
            &mut [],
            &mut workspace,
        );
        for (out, v) in out[split..].iter_mut().zip(&v[split..]) {
            *out = gaussian::FISHER_LOG_STD as f32 * v;
        }
        self.workspace = workspace;
        Ok(())
    }

    fn distributions(&self, batch: &Batch) -> Vec<f32> {
        let mut rows = self.outputs(batch);
        rows.extend_from_slice(self.log_std());
        rows
    }

    fn kl(&self, batch: &Batch, old: &[f32]) -> f64 {
        let y = self.outputs(batch);
        self.head.kl(old.split_at(y.len()), (&y, self.log_std()), self.net.output())
    }

    fn entropy(&self, batch: &Batch) -> f64 {
        self.head.entropy(|| self.outputs(batch), self.net.output(), self.log_std())
    }

    fn params(&self) -> &[f32] {
        &self.params
    }

    fn params_mut(&mut self) -> &mut [f32] {
        &mut self.params
    }

    fn features<'a>(&self, obs: &'a [f32]) -> Cow<'a, [f32]> {
        self.normaliser.as_ref().map_or(Cow::Borrowed(obs), |normaliser| {
            let mut normalised = vec![0.0; obs.len()];
            normaliser.apply(obs, &mut normalised);
            Cow::Owned(normalised)
        })
    }

    fn feature_len(&self) -> usize {
        self.net.input()
    }

    fn observe(&mut self, obs: &[f32]) {
        if let Some(normaliser) = &mut self.normaliser {
            normaliser.update(obs);
        }
    }
}

#[cfg(test)]
pub(crate) mod testing {
    use super::*;

    /// Three observations, two Gaussian actions, five hidden units.
    pub fn small_policy() -> MlpPolicy {
        let space = Space::Box { low: vec![-1.0; 2], high: vec![1.0; 2] };
        policy(&space)
    }

    /// A small policy for any action space.
    pub fn policy(space: &Space) -> MlpPolicy {
        let options = MlpOptions {
            hidden: vec![5],
            activation: Activation::Tanh,
            init: Init::KaimingUniform,
            log_std: -0.3,
            normalise: Some(5.0),
        };
        MlpPolicy::new(3, space, &options, &mut Stream::new(1, "test", 0)).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::testing::{policy, small_policy};
    use super::*;

    const BOX: fn() -> Space = || Space::Box { low: vec![-1.0; 2], high: vec![1.0; 2] };
    const FOUR: Space = Space::Discrete { n: 4 };

    /// Observations of `n` rows, and actions that the policy draws for them, with their log-probabilities.
    fn experience(policy: &MlpPolicy, n: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>) {
        let mut stream = Stream::new(2, "rows", 0);
        let obs: Vec<f32> = (0..n * 3).map(|_| 2.0 * stream.normal() as f32).collect();
        let mut act = vec![0.0; n * policy.act_dim()];
        let mut scratch = Scratch::default();
        let log_probs = obs
            .chunks(3)
            .zip(act.chunks_mut(policy.act_dim()))
            .map(|(obs, act)| policy.act(obs, &mut [], &mut stream, act, &mut scratch))
            .collect();
        (obs, act, log_probs)
    }

    #[test]
    fn the_ratio_before_the_first_step_is_exactly_one() {
        for space in [BOX(), FOUR] {
            let mut policy = policy(&space);
            let (obs, ..) = experience(&policy, 100);
            policy.observe(&obs);
            let (obs, act, log_probs) = experience(&policy, 131);
            let again = policy.log_probs(&Batch { obs: &obs, act: &act, index: None });
            assert_eq!(log_probs, again);
        }
    }

    #[test]
    fn the_gradient_is_the_derivative_of_the_weighted_log_probabilities_and_the_entropy() {
        for space in [BOX(), FOUR] {
            let mut policy = policy(&space);
            let (obs, act, _) = experience(&policy, 70);
            let index: Vec<u32> = (0..70).rev().step_by(2).collect();
            let batch = Batch { obs: &obs, act: &act, index: Some(&index) };
            let weight = |row: usize, _: f32| (row as f32 * 0.37).sin();
            let mut grad = vec![0.0; policy.params().len()];
            policy.gradient(&batch, &weight, 0.25, &mut grad);
            let value = |policy: &MlpPolicy| {
                let weighted: f64 = policy
                    .log_probs(&batch)
                    .iter()
                    .zip(&index)
                    .map(|(l, &row)| f64::from(*l) * f64::from(weight(row as usize, 0.0)))
                    .sum();
                weighted + 0.25 * policy.entropy(&batch) * index.len() as f64
            };
            for (i, g) in grad.iter().enumerate() {
                let at = policy.params()[i];
                let mut side = |h: f32| {
                    policy.params_mut()[i] = at + h;
                    let v = value(&policy);
                    policy.params_mut()[i] = at;
                    v
                };
                let numeric = (side(1e-2) - side(-1e-2)) / 2e-2;
                // f32 log-probabilities of size ten over 35 rows leave 1e-3 in the difference; the curvature over 1e-2 about as much.
                assert!((numeric - f64::from(*g)).abs() < 2e-2 * (1.0 + numeric.abs()), "{i}: {numeric} {g}");
            }
        }
    }

    #[test]
    fn the_fisher_product_is_the_second_derivative_of_the_divergence() {
        for space in [BOX(), FOUR] {
            let mut policy = policy(&space);
            let (obs, act, _) = experience(&policy, 90);
            let batch = Batch { obs: &obs, act: &act, index: None };
            let old = policy.distributions(&batch);
            let mut stream = Stream::new(3, "direction", 0);
            let v: Vec<f32> = policy.params().iter().map(|_| 0.2 * stream.normal() as f32).collect();
            let mut image = vec![0.0; v.len()];
            policy.fisher_product(&batch, &v, &mut image).unwrap();
            let quadratic = tony_nn::dot(&v, &image);
            let origin = policy.params().to_vec();
            let h = 0.05_f32;
            policy.params_mut().iter_mut().zip(&v).for_each(|(p, v)| *p += h * v);
            let kl = policy.kl(&batch, &old);
            policy.params_mut().copy_from_slice(&origin);
            let predicted = 0.5 * f64::from(h * h) * quadratic;
            // The third-order term is a few per cent at this step length.
            assert!((kl / predicted - 1.0).abs() < 0.1, "{kl} {predicted}");
        }
    }

    #[test]
    fn a_saved_policy_acts_as_the_one_that_was_saved() {
        let mut policy = small_policy();
        let (obs, ..) = experience(&policy, 50);
        policy.observe(&obs);
        let mut archive = Archive::new();
        policy.save(&mut archive).unwrap();
        let copy = MlpPolicy::from_archive(&archive, 3, &BOX()).unwrap();
        assert_eq!(experience(&policy, 20), experience(&copy, 20));
        let error = MlpPolicy::from_archive(&archive, 4, &BOX()).unwrap_err().to_string();
        assert!(error.contains("[3, 5, 2]"), "{error}");
    }
}
