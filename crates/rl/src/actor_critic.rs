//! What the on-policy algorithms share: a policy, its critics, and advantages.

use std::borrow::Cow;

use tony_nn::{Activation, Init};
use tony_random::Stream;
use tony_run::{Archive, Metrics, Plan, choices, settings};

use crate::algorithm::Start;
use crate::constraint::{self, Constraint};
use crate::critic::{self, Critic, Fit};
use crate::policy::{Batch, MlpOptions, MlpPolicy, Policy};
use crate::returns;
use crate::rollout::Rollout;
use crate::{Error, Result};

choices! {
    /// Non-linearity between the layers.
    pub enum Nonlinearity {
        /// Hyperbolic tangent.
        Tanh = "tanh",
        /// Rectified linear unit.
        Relu = "relu",
        /// Sine.
        Sin = "sin",
    }
}

impl Nonlinearity {
    /// What the networks apply.
    pub fn activation(self) -> Activation {
        match self {
            Self::Tanh => Activation::Tanh,
            Self::Relu => Activation::Relu,
            Self::Sin => Activation::Sin,
        }
    }

    /// Of a network that applies this.
    pub fn of(activation: Activation) -> Self {
        match activation {
            Activation::Tanh => Self::Tanh,
            Activation::Relu => Self::Relu,
            Activation::Sin => Self::Sin,
        }
    }

    /// Called so in an archive; tanh where nothing is said.
    pub fn named(name: Option<&str>) -> Self {
        Self::ALL.iter().copied().find(|known| Some(known.name()) == name).unwrap_or(Self::Tanh)
    }
}

choices! {
    /// Initial weights.
    pub enum Initial {
        /// Uniform with bound 1/sqrt(inputs), weights and biases (OmniSafe, PyTorch's default).
        Kaiming = "kaiming",
        /// Orthogonal with gain sqrt 2, the policy's last layer 0.01, the critics' 1, biases 0 (Stable-Baselines3).
        Orthogonal = "orthogonal",
        /// Glorot uniform, biases 0 (Safety Gym's agents).
        Glorot = "glorot",
    }
}

settings! {
    /// Networks
    pub struct Networks {
        /// Widths of the hidden layers, of the policy and of every critic.
        "hidden" hidden: Vec<usize> = vec![64, 64];
        /// Non-linearity: tanh, relu or sin.
        "activation" activation: Nonlinearity = Nonlinearity::Tanh;
        /// Initial weights: kaiming, orthogonal or glorot.
        "init" init: Initial = Initial::Kaiming;
        /// Initial log standard deviation of a Gaussian policy.
        "log_std" log_std: f64 = 0.0, (-5.0..=2.0);
        /// Standardise observations by running statistics, updated once after each update.
        "normalise" normalise: bool = true;
        /// Standardised observations are clipped to +- this.
        "normalise.clip" normalise_clip: f64 = 5.0, (0.1..=1e6);
    }
}

settings! {
    /// Advantages and gradients
    pub struct Config {
        /// Discount of rewards.
        "gamma" gamma: f64 = 0.99, (0.0..=1.0);
        /// Lambda of the reward advantages (GAE).
        "lambda" lambda: f64 = 0.95, (0.0..=1.0);
        /// Discount of costs.
        "cost.gamma" cost_gamma: f64 = 0.99, (0.0..=1.0);
        /// Lambda of the cost advantages (GAE).
        "cost.lambda" cost_lambda: f64 = 0.95, (0.0..=1.0);
        /// Lambda of the critics' targets; none: the same as the advantages'. 1: discounted sums.
        "target.lambda" target_lambda: Option<f64> = None, if |lambda| lambda.is_none_or(|l| (0.0..=1.0).contains(&l)), "none, or a number from 0 to 1";
        /// Scale reward advantages to mean 0 and deviation 1 (cost advantages are only centred, so that their unit stays that of the limit).
        "standardise" standardise: bool = true;
        /// Subtract the mean from cost advantages.
        "cost.centre" cost_centre: bool = true;
        /// Epsilon of Adam, policy and critics.
        "adam.epsilon" adam_epsilon: f64 = 1e-8, (0.0..=0.1);
        /// Largest norm of a gradient; longer ones are scaled down.
        "max_grad_norm" max_grad_norm: f64 = 40.0, (1e-6..=1e9);
    }
}

/// A policy, a critic of the reward, and one critic for each constraint.
pub struct ActorCritic {
    /// The policy.
    pub policy: Box<dyn Policy>,
    /// `V` of the reward, then of each constrained cost.
    pub critics: Vec<Critic>,
    /// What must hold; empty for an unconstrained algorithm.
    pub constraints: Vec<Constraint>,
    /// Settings.
    pub config: Config,
    critic_config: critic::Config,
}

/// Advantages and critic targets of one batch.
pub struct Estimates<'a> {
    /// What the critics read, `[rows, feature_len]`: computed once, not in every pass.
    pub features: Cow<'a, [f32]>,
    /// Reward advantages, `[rows]`.
    pub advantage: Vec<f32>,
    /// Cost advantages, one column a constraint.
    pub cost_advantages: Vec<Vec<f32>>,
    /// Targets of the critics, in their order.
    pub targets: Vec<Vec<f32>>,
    /// [`returns::explained_variance`] of each critic, before it learns from this batch.
    pub explained: Vec<Option<f64>>,
}

/// Does an algorithm keep constraints?
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Constrained {
    /// Yes: a critic for each constrained cost.
    Yes,
    /// No: limits are only drawn.
    No,
}

/// Are these widths of hidden layers?
pub fn check_widths(hidden: &[usize]) -> Result<()> {
    if hidden.is_empty() || hidden.iter().any(|&n| n == 0 || n > 4096) {
        return Err(Error::Invalid {
            what: format!("hidden = {hidden:?} is no list of layer widths"),
            hint: "give widths from 1 to 4096, for example hidden=64,64".to_owned(),
        });
    }
    Ok(())
}

impl Networks {
    /// The ready policy if there is one; else an MLP, whose initial weights come from the stream `init.policy` of the seed.
    pub fn policy(&self, start: Start) -> Result<Box<dyn Policy>> {
        check_widths(&self.hidden)?;
        if let Some(make) = start.policy {
            return make();
        }
        let options = MlpOptions {
            hidden: self.hidden.clone(),
            activation: self.activation.activation(),
            init: self.weights(),
            log_std: self.log_std as f32,
            normalise: self.normalise.then_some(self.normalise_clip as f32),
        };
        let stream = &mut Stream::new(start.seed, "init.policy", 0);
        Ok(Box::new(MlpPolicy::new(start.spec.obs_dim, &start.spec.action, &options, stream)?))
    }

    fn weights(&self) -> Init {
        match self.init {
            Initial::Kaiming => Init::KaimingUniform,
            Initial::Orthogonal => Init::Orthogonal { hidden: std::f32::consts::SQRT_2, output: 0.01 },
            Initial::Glorot => Init::Glorot,
        }
    }
}

impl ActorCritic {
    /// Build from settings, around the ready policy if there is one; initial weights come from the streams `init.*` of the seed.
    pub fn new(plan: &Plan, start: Start, constrained: Constrained) -> Result<Self> {
        let (config, critic_config) = (plan.group::<Config>()?, plan.group::<critic::Config>()?);
        let networks: Networks = plan.group()?;
        let policy = networks.policy(start)?;
        let constraints = match constrained {
            Constrained::Yes => constraint::resolve(plan, start.spec)?,
            Constrained::No => Vec::new(),
        };
        let (activation, init) = (networks.activation.activation(), networks.weights());
        let sizes = [&[policy.feature_len()], networks.hidden.as_slice(), &[1]].concat();
        let names = std::iter::once("value".to_owned()).chain(constraints.iter().map(|c| format!("cost.{}", c.name)));
        let critics = (0..)
            .zip(names)
            .map(|(i, name)| {
                let stream = &mut Stream::new(start.seed, "init.critic", i);
                let critic = Critic::new(&name, &sizes, activation, init, config.adam_epsilon, stream)?;
                Ok(if critic_config.zero { critic.at_zero() } else { critic })
            })
            .collect::<Result<_>>()?;
        Ok(Self { policy, critics, constraints, config, critic_config })
    }

    /// Advantages and targets of a batch. The only randomness is in the batch.
    pub fn estimate<'a>(&self, rollout: &'a Rollout) -> Estimates<'a> {
        let c = &self.config;
        let features = self.policy.features(&rollout.obs);
        // Where nothing is bootstrapped, nobody need look: a large policy's features are dear.
        let last = if rollout.ends.iter().all(|end| end.terminated) {
            Cow::Owned(vec![0.0; rollout.ends.len() * self.policy.feature_len()])
        } else {
            self.policy.features(&rollout.final_obs)
        };
        let mut targets = Vec::with_capacity(self.critics.len());
        let mut explained = Vec::with_capacity(self.critics.len());
        let mut columns = Vec::with_capacity(self.critics.len());
        for (i, critic) in self.critics.iter().enumerate() {
            let cost;
            let (signal, gamma, lambda) = if i == 0 {
                (&rollout.reward, c.gamma, c.lambda)
            } else {
                cost = rollout.cost_column(self.constraints[i - 1].channel);
                (&cost, c.cost_gamma, c.cost_lambda)
            };
            let (values, final_values) = (critic.values(&features), critic.values(&last));
            let gae = |signal: &[f32], lambda| {
                returns::advantages(signal, &values, &rollout.ends, &final_values, gamma, lambda)
            };
            let mut advantage = gae(signal, lambda);
            let target = match c.target_lambda {
                Some(other) if other != lambda => returns::targets(&gae(signal, other), &values),
                _ => returns::targets(&advantage, &values),
            };
            if i == 0 && !rollout.bonus.is_empty() {
                let both: Vec<f32> = rollout.reward.iter().zip(&rollout.bonus).map(|(r, bonus)| r + bonus).collect();
                advantage = gae(&both, lambda);
            }
            explained.push(returns::explained_variance(&target, &values));
            targets.push(target);
            columns.push(advantage);
        }
        let cost_advantages = columns.split_off(1);
        let mut estimates = Estimates { features, advantage: columns.remove(0), cost_advantages, targets, explained };
        if c.standardise {
            standardise(&mut estimates.advantage);
        }
        if c.cost_centre {
            estimates.cost_advantages.iter_mut().for_each(|column| centre(column));
        }
        estimates
    }

    /// How much longer the gradient of the reward's surrogate is than that of each constrained cost's, at the policy that collected the batch.
    pub fn gradient_ratios(&mut self, rollout: &Rollout) -> Vec<f64> {
        let Estimates { advantage, cost_advantages, .. } = self.estimate(rollout);
        let (batch, most) = (Batch::all(rollout), self.config.max_grad_norm);
        let mut grad = vec![0.0; self.policy.params().len()];
        let mut length = |column: &[f32]| {
            let scale = 1.0 / rollout.rows() as f32;
            self.policy.gradient(&batch, &|row, _| scale * column[row], 0.0, &mut grad);
            tony_nn::norm(&grad).min(most)
        };
        let reward = length(&advantage);
        cost_advantages.iter().map(|column| reward / length(column).max(1e-8)).collect()
    }

    /// How critics are fitted at this point of the training; a minibatch of 0 is the whole batch.
    pub fn fit(&self, minibatch: usize, rollout: &Rollout) -> Fit {
        let c = &self.critic_config;
        Fit {
            minibatch: if minibatch == 0 { rollout.rows() } else { minibatch },
            lr: c.lr * c.schedule.factor(rollout.progress),
            regulariser: c.regulariser as f32,
            max_grad_norm: self.config.max_grad_norm,
        }
    }

    /// Fit every critic for `passes` passes over the batch, each in its own thread.
    pub fn fit_critics(
        &mut self,
        rollout: &Rollout,
        estimates: &Estimates,
        passes: usize,
        fit: &Fit,
        seed: u64,
    ) -> Result<()> {
        let mut outcomes: Vec<Result<()>> = self.critics.iter().map(|_| Ok(())).collect();
        rayon::scope(|scope| {
            for ((critic, targets), outcome) in self.critics.iter_mut().zip(&estimates.targets).zip(&mut outcomes) {
                scope.spawn(move |_| {
                    *outcome = (0..passes).try_for_each(|pass| {
                        let order = shuffled(rollout.rows(), seed, rollout.update, pass);
                        critic.fit_pass(&estimates.features, targets, &order, fit)
                    });
                });
            }
        });
        outcomes.into_iter().collect()
    }

    /// The last act of every update: check that all parameters are finite, log what the policy became and what the critics knew, let the
    /// normaliser learn.
    pub fn finish(
        &mut self,
        rollout: &Rollout,
        estimates: &Estimates,
        old: &[f32],
        metrics: &mut Metrics,
    ) -> Result<()> {
        let batch = Batch::all(rollout);
        let networks = std::iter::once(("policy", self.policy.params()))
            .chain(self.critics.iter().map(|critic| (critic.name(), critic.params())));
        for (name, params) in networks {
            check_finite(name, params)?;
        }
        metrics.set("Train/KL", self.policy.kl(&batch, old));
        metrics.set("Train/Entropy", self.policy.entropy(&batch));
        let names = std::iter::once(String::new()).chain(self.constraints.iter().map(|c| format!("/{}", c.name)));
        for (name, explained) in names.zip(&estimates.explained) {
            metrics.put(&format!("Value/ExplainedVariance{name}"), *explained);
        }
        self.policy.observe(&rollout.obs);
        Ok(())
    }

    /// Write everything that the next update depends on, except the policy (which is saved by itself).
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        let levels: Vec<f64> = self.constraints.iter().map(|constraint| constraint.level).collect();
        archive.put_f64("constraint.levels", &[levels.len()], &levels)?;
        self.critics.iter().try_for_each(|critic| critic.save(archive))
    }

    /// Read back what [`ActorCritic::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        let levels = archive.f64("constraint.levels", &[self.constraints.len()])?;
        self.constraints.iter_mut().zip(levels).for_each(|(constraint, level)| constraint.level = level);
        self.critics.iter_mut().try_for_each(|critic| critic.load(archive))
    }
}

/// Refuse parameters of `name` that are no numbers.
pub fn check_finite(name: &str, params: &[f32]) -> Result<()> {
    match params.iter().position(|p| !p.is_finite()) {
        Some(at) => Err(Error::non_finite(format!("parameter {at} of `{name}`"), 0)),
        None => Ok(()),
    }
}

/// The order of rows in pass `pass` of update `update`: a function of the counters, so that nothing needs to be saved.
pub fn shuffled(rows: usize, seed: u64, update: u64, pass: usize) -> Vec<u32> {
    let mut order: Vec<u32> = (0..rows as u32).collect();
    Stream::new(seed, "minibatch", update << 20 | pass as u64).shuffle(&mut order);
    order
}

/// The minibatches of a policy's pass, of `size` rows in the order of [`shuffled`]. With `whole` ([`Policy::whole_episodes`]) segments are
/// shuffled instead, their rows stay together and in order, and a minibatch ends where a segment does, as near to `size` rows as that
/// allows.
pub fn minibatches(whole: bool, rollout: &Rollout, size: usize, seed: u64, pass: usize) -> Vec<Vec<u32>> {
    if !whole {
        let order = shuffled(rollout.rows(), seed, rollout.update, pass);
        return order.chunks(size).map(<[u32]>::to_vec).collect();
    }
    let mut all: Vec<Vec<u32>> = Vec::new();
    for segment in shuffled(rollout.ends.len(), seed, rollout.update, pass) {
        let rows = rollout.segment(segment as usize);
        let rows = rows.start as u32..rows.end as u32;
        match all.last_mut() {
            Some(last) if last.len().abs_diff(size) > (last.len() + rows.len()).abs_diff(size) => last.extend(rows),
            _ => all.push(rows.collect()),
        }
    }
    all
}

/// Mean 0, standard deviation 1 (floored, so that a constant column becomes 0). Returns the deviation that it had.
pub fn standardise(column: &mut [f32]) -> f64 {
    centre(column);
    let variance = column.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / column.len().max(1) as f64;
    let deviation = variance.sqrt();
    let scale = 1.0 / (deviation + 1e-8);
    column.iter_mut().for_each(|x| *x = (f64::from(*x) * scale) as f32);
    deviation
}

fn centre(column: &mut [f32]) {
    let mean = column.iter().map(|&x| f64::from(x)).sum::<f64>() / column.len().max(1) as f64;
    column.iter_mut().for_each(|x| *x = (f64::from(*x) - mean) as f32);
}
