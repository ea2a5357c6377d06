//! What the option-discovery algorithms share: a policy that is told a context, a decoder that is to tell the context from what the
//! policy did, and the number of contexts, which grows as the decoder succeeds.
//!
//! J. Achiam, H. Edwards, D. Amodei, P. Abbeel, "Variational Option Discovery Algorithms" (2018), Algorithm 1 and appendix B.
//!
//! An iteration: collect whole paths, each with a context `c` drawn at its start; ask the decoder, as it is, for `log P_D(c|path)`;
//! one Adam step of the policy along the plain policy gradient of advantages made of it; one of the values; then, on the same paths, one
//! of the decoder; then perhaps more contexts. Each of `valor.rs`, `vic.rs` and `diayn.rs` says what its decoder sees and what its
//! advantages are.
//!
//! Episodes are cut by the clock alone and have one length, without which the entropy would not be the KL divergence that the paper's
//! argument needs; a task that ends earlier is refused when it does.
//!
//! | paper | here |
//! |---|---|
//! | `c ~ G` | [`Paths::contexts`], uniform below `K` |
//! | `K`, `K_max` | [`Paths::active`], `contexts` |
//! | `log P_D(c\|tau)` | [`Told::log_p`] |
//! | `K <- min(int(1.5 K + 1), K_max)` | [`next_contexts`] |
//! | `beta` | `entropy` |

use tony_nn::{Adam, categorical, norm};
use tony_random::Stream;
use tony_run::{Archive, Metrics, Plan, Source, settings};

use crate::actor_critic::standardise;
use crate::algorithm::Start;
use crate::context_policy::{ContextNet, ContextPolicy, PathRows, Shape, Work};
use crate::critic::{load_adam, save_adam};
use crate::rollout::Rollout;
use crate::{Error, Result, train};

settings! {
    /// Options
    pub struct Config {
        /// Contexts, and so options, that there may be (K_max).
        "contexts" contexts: usize = 64, (2..=65_536);
        /// Begin with few contexts and add more whenever the decoder tells them apart. false: all of them from the beginning.
        "curriculum" curriculum: bool = true;
        /// Contexts to begin with.
        "curriculum.start" start: usize = 2, (1..=65_536);
        /// Add contexts once the mean log-probability that the decoder gives the true one reaches the logarithm of this.
        "curriculum.threshold" threshold: f64 = 0.86, (0.01..=1.0);
        /// Episodes an update. They are whole: `steps_per_update` follows.
        "paths" paths: usize = 200, (1..=1_000_000);
        /// Length of a context's learned embedding; 0: contexts are one-hot.
        "embedding" embedding: usize = 32, (0..=4096);
        /// Cells of the policy's LSTM layer; 0: the policy is feed-forward.
        "lstm" lstm: usize = 64, (0..=4096);
        /// Widths of the policy's hidden layers, above the LSTM.
        "hidden" hidden: Vec<usize> = vec![32];
        /// Widths of the hidden layers of the value network, where there is something to predict.
        "value.hidden" value_hidden: Vec<usize> = vec![64, 64];
        /// Initial log standard deviation of a Gaussian policy.
        "log_std" log_std: f64 = -0.5, (-5.0..=2.0);
        /// Discount of rewards, and of DIAYN's log-probabilities.
        "gamma" gamma: f64 = 0.97, (0.0..=1.0);
        /// Weight of the policy's mean entropy in its objective (beta).
        "entropy" entropy: f64 = 1e-3, (0.0..=10.0);
        /// Learning rate of the policy.
        "lr" lr: f64 = 1e-3, (0.0..=1.0);
        /// Learning rate of the value network.
        "value.lr" value_lr: f64 = 1e-3, (0.0..=1.0);
        /// Learning rate of the decoder.
        "decoder.lr" decoder_lr: f64 = 1e-3, (0.0..=1.0);
        /// Adam steps of the decoder an update, each on all paths.
        "decoder.steps" decoder_steps: usize = 1, (1..=1000);
        /// What the decoder sees is multiplied by this first: brings small worlds to the size of 1.
        "decoder.scale" decoder_scale: f64 = 1.0, (1e-6..=1e6);
        /// The decoder's answer is one of the contexts that are drawn. false: one of all that there may be.
        "decoder.mask" decoder_mask: bool = true;
    }
}

/// A policy with contexts and what improves it.
pub struct Options {
    /// Settings.
    pub config: Config,
    pub(crate) policy: ContextPolicy,
    policy_adam: Adam,
    value: ContextNet,
    value_params: Vec<f32>,
    value_adam: Adam,
    work: Work,
    /// Steps of every path.
    steps: usize,
}

/// The paths of one batch.
pub struct Paths<'a> {
    /// The batch.
    pub rollout: &'a Rollout,
    /// Steps of each path: `T`.
    pub steps: usize,
    /// The context of each path.
    pub contexts: Vec<u32>,
    /// Contexts that were drawn from: `K`.
    pub active: usize,
    /// Contexts that the decoder chooses among.
    pub choices: usize,
}

/// What a decoder says of paths or states, one after another.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Told {
    /// `log P_D` of the true context.
    pub log_p: Vec<f64>,
    /// Whether the true context was the most likely one.
    pub right: Vec<bool>,
}

impl Options {
    /// Build from settings; a path needs at least `least` steps. Initial weights come from the streams `init.*` of the seed.
    pub fn new(plan: &Plan, start: Start, least: usize) -> Result<Self> {
        start.without_policy(plan)?;
        let Start { spec, seed, .. } = start;
        let (config, run) = (plan.group::<Config>()?, plan.group::<train::Config>()?);
        let steps = run.episode_steps.unwrap_or(usize::MAX).min(spec.max_steps);
        let invalid = |what: String, hint: String| Err(Error::Invalid { what, hint });
        if steps < least {
            return invalid(
                format!("{} needs paths of {least} steps or more; these have {steps}", plan.algorithm),
                format!("choose episode_steps={least} or more, and a task that lasts as long"),
            );
        }
        if !config.paths.is_multiple_of(run.envs) {
            return invalid(
                format!("paths = {} cannot be shared by envs = {}", config.paths, run.envs),
                "choose paths as a multiple of envs".to_owned(),
            );
        }
        let typed = plan.entries.iter().any(|e| e.key == "steps_per_update" && e.source != Source::Default);
        if typed && run.steps_per_update != config.paths * steps {
            return invalid(
                format!("steps_per_update = {} is not paths = {} of {steps} steps", run.steps_per_update, config.paths),
                "set paths, and leave steps_per_update out".to_owned(),
            );
        }
        if config.start > config.contexts {
            return invalid(
                format!("curriculum.start = {} is more than contexts = {}", config.start, config.contexts),
                format!("choose curriculum.start from 1 to {}", config.contexts),
            );
        }
        let active = if config.curriculum { config.start } else { config.contexts };
        let shape = Shape {
            obs: spec.obs_dim,
            contexts: config.contexts,
            embedding: config.embedding,
            cells: config.lstm,
            hidden: config.hidden.clone(),
            outputs: 1,
        };
        let mut stream = Stream::new(seed, "init.policy", 0);
        let policy = ContextPolicy::new(shape.clone(), &spec.action, active, config.log_std as f32, &mut stream)?;
        let value = ContextNet::new(Shape { cells: 0, hidden: config.value_hidden.clone(), ..shape })?;
        let mut value_params = vec![0.0; value.num_params()];
        value.init(&mut value_params, &mut Stream::new(seed, "init.critic", 0));
        Ok(Self {
            policy_adam: adam(policy.params().len()),
            value_adam: adam(value_params.len()),
            config,
            policy,
            value,
            value_params,
            work: Work::default(),
            steps,
        })
    }

    /// Rows of a batch.
    pub fn rows(&self) -> usize {
        self.config.paths * self.steps
    }

    /// The paths of a batch; refuses one that has others than whole ones.
    pub fn paths<'a>(&self, rollout: &'a Rollout) -> Result<Paths<'a>> {
        for (path, end) in rollout.ends.iter().enumerate() {
            let length = end.episode.map(|episode| episode.length);
            if length != Some(self.steps) || end.row + 1 != (path + 1) * self.steps {
                let length = length.map_or("without an end".to_owned(), |n| format!("of {n} steps"));
                return Err(Error::Invalid {
                    what: format!(
                        "an episode {length} where every path has {}: options need paths of one length",
                        self.steps
                    ),
                    hint: "choose episode_steps so short that no episode ends by itself, or another task".to_owned(),
                });
            }
        }
        let memories = rollout.memory.chunks_exact(rollout.memory_len.max(1));
        let contexts = memories.map(|memory| self.policy.context(memory) as u32).collect();
        let active = self.policy.active();
        let choices = if self.config.decoder_mask { active } else { self.config.contexts };
        Ok(Paths { rollout, steps: self.steps, contexts, active, choices })
    }

    /// One Adam step of the policy on `-mean(log pi A) - beta * mean entropy`, `advantage` being `[paths, steps]`.
    pub fn improve(&mut self, paths: &Paths, advantage: &[f32], metrics: &mut Metrics) -> Result<()> {
        let (rows, few) = (paths.rows(), paths.few());
        let old = self.policy.distributions(&few);
        let scale = -1.0 / advantage.len() as f32;
        let weight: Vec<f32> = advantage.iter().map(|a| scale * a).collect();
        let mut grad = vec![0.0; self.policy.params().len()];
        let entropy = scale * self.config.entropy as f32;
        self.policy.gradient(&rows, &paths.rollout.act, &weight, entropy, &mut grad);
        finite("gradient of the policy", &grad)?;
        self.policy_adam.step(self.policy.params_mut(), &grad, self.config.lr);
        finite("parameters of the policy", self.policy.params())?;
        let now = self.policy.distributions(&few);
        metrics.set("Train/KL", self.policy.kl(&old, &now));
        metrics.set("Train/Entropy", self.policy.entropy(&now));
        Ok(())
    }

    /// `V(s_t, c)` of every row.
    pub fn values(&mut self, paths: &Paths) -> Vec<f32> {
        self.value.forward(&self.value_params, &paths.rows(), &mut self.work)
    }

    /// One Adam step of the value network on the mean squared distance to `targets`.
    pub fn fit_value(&mut self, paths: &Paths, targets: &[f32]) -> Result<()> {
        let scale = 2.0 / targets.len() as f32;
        let head = |first: usize, y: &[f32], dy: &mut [f32], _: &mut [f64]| {
            for (i, (dy, y)) in dy.iter_mut().zip(y).enumerate() {
                *dy = scale * (y - targets[first + i]);
            }
        };
        let mut grad = vec![0.0; self.value_params.len()];
        self.value.gradient(&self.value_params, &paths.rows(), &head, &mut grad, &mut [], &mut self.work);
        finite("gradient of the value network", &grad)?;
        self.value_adam.step(&mut self.value_params, &grad, self.config.value_lr);
        Ok(())
    }

    /// What VALOR and VIC make of rewards: the advantage of [`residual`], after which the values learn; `None` where there is none.
    pub fn reward_advantage(&mut self, paths: &Paths) -> Result<Option<Vec<f32>>> {
        let reward = &paths.rollout.reward;
        if reward.iter().all(|r| *r == 0.0) {
            return Ok(None);
        }
        let (returns, values) = (discounted(reward, paths.steps, self.config.gamma), self.values(paths));
        self.fit_value(paths, &returns)?;
        Ok(Some(residual(&returns, &values)))
    }

    /// The last act of every update: log what the decoder knew of these paths before it learned from them (`before`, one entry a path)
    /// and after, its loss, and add contexts if it knew enough.
    pub fn finish(&mut self, paths: &Paths, before: &Told, after: &Told, loss: f64, metrics: &mut Metrics) {
        let chance = -libm::log(paths.active as f64);
        metrics.set("Options/K", paths.active as f64);
        metrics.set("Options/LogProb", before.mean_log_p());
        metrics.set("Options/LogProbLearned", after.mean_log_p());
        metrics.set("Options/Chance", chance);
        metrics.set("Options/Accuracy", before.accuracy());
        metrics.set("Options/DecoderLoss", loss);
        metrics.set("Options/Bits", information_bits(before.mean_log_p(), paths.active));
        if self.config.curriculum {
            let threshold = libm::log(self.config.threshold);
            self.policy.set_active(next_contexts(paths.active, before.mean_log_p(), threshold, self.config.contexts));
        }
    }

    /// Write everything that the next update depends on, except the policy.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        save_adam(&self.policy_adam, "policy.adam", archive)?;
        archive.put_f32("value.params", &[self.value_params.len()], &self.value_params)?;
        save_adam(&self.value_adam, "value.adam", archive)
    }

    /// Read back what [`Options::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        load_adam(&mut self.policy_adam, "policy.adam", archive)?;
        self.value_params = archive.f32("value.params", &[self.value_params.len()])?;
        load_adam(&mut self.value_adam, "value.adam", archive)
    }
}

/// The accessors of an [`crate::algorithm::Algorithm`] whose field `options` is an [`Options`] and whose field `decoder` keeps a state.
macro_rules! options_accessors {
    () => {
        fn actor(&self) -> &dyn crate::policy::Actor {
            &self.options.policy
        }

        fn actor_mut(&mut self) -> &mut dyn crate::policy::Actor {
            &mut self.options.policy
        }

        fn steps_per_update(&self) -> Option<usize> {
            Some(self.options.rows())
        }

        fn save(&self, archive: &mut tony_run::Archive) -> Result<()> {
            self.options.save(archive)?;
            self.decoder.save(archive)
        }

        fn load(&mut self, archive: &tony_run::Archive) -> Result<()> {
            self.options.load(archive)?;
            self.decoder.load(archive)
        }
    };
}
pub(crate) use options_accessors;

impl Paths<'_> {
    /// Number of paths.
    pub fn count(&self) -> usize {
        self.contexts.len()
    }

    /// States `s_0 ... s_T` of every path, `[paths, T + 1, obs]`.
    pub fn states(&self) -> Vec<f32> {
        let d = self.rollout.obs_dim;
        let rows = self.rollout.obs.chunks_exact(self.steps * d);
        rows.zip(self.rollout.final_obs.chunks_exact(d))
            .flat_map(|(path, end)| path.iter().chain(end))
            .copied()
            .collect()
    }

    fn rows(&self) -> PathRows<'_> {
        PathRows { obs: &self.rollout.obs, steps: self.steps, contexts: &self.contexts }
    }

    /// Paths on which divergences are measured: more would cost time and tell the same.
    fn few(&self) -> PathRows<'_> {
        self.rows().first(64, self.rollout.obs_dim)
    }
}

impl Told {
    /// From logits, `[n, contexts]`, of which the first `choices` count, and the true contexts.
    pub fn from_logits(logits: &[f32], contexts: usize, choices: usize, truth: &[u32]) -> Self {
        let mut told = Self::default();
        let mut log_p = vec![0.0; choices];
        for (logits, &truth) in logits.chunks_exact(contexts).zip(truth) {
            categorical::log_softmax(&logits[..choices], &mut log_p);
            let best = log_p.iter().fold(f64::NEG_INFINITY, |best, l| best.max(*l));
            told.log_p.push(log_p[truth as usize]);
            told.right.push(log_p[truth as usize] >= best);
        }
        told
    }

    /// Mean of the logarithms (never the logarithm of the mean).
    pub fn mean_log_p(&self) -> f64 {
        self.log_p.iter().sum::<f64>() / self.log_p.len().max(1) as f64
    }

    /// Share of right answers.
    pub fn accuracy(&self) -> f64 {
        self.right.iter().filter(|right| **right).count() as f64 / self.right.len().max(1) as f64
    }
}

/// Derivatives of the mean cross-entropy over `n` answers by the logits of some of them, `[.., contexts]`, and the sum of their losses.
pub fn cross_entropy(logits: &[f32], contexts: usize, choices: usize, truth: &[u32], n: usize, d: &mut [f32]) -> f64 {
    let mut log_p = vec![0.0; choices];
    let rows = logits.chunks_exact(contexts).zip(d.chunks_exact_mut(contexts)).zip(truth);
    rows.map(|((logits, d), &truth)| {
        categorical::log_softmax(&logits[..choices], &mut log_p);
        d.fill(0.0);
        for (d, log_p) in d.iter_mut().zip(&log_p) {
            *d = (libm::exp(*log_p) / n as f64) as f32;
        }
        d[truth as usize] -= 1.0 / n as f32;
        -log_p[truth as usize]
    })
    .sum()
}

/// The curriculum: `min(int(1.5 K + 1), K_max)` once the mean log-probability has reached the threshold. At most one step a batch.
pub fn next_contexts(active: usize, mean_log_p: f64, threshold: f64, most: usize) -> usize {
    if mean_log_p >= threshold { (3 * active / 2 + 1).min(most) } else { active }
}

/// Lower bound on the information in a path about its context, in bits: `(E log P_D + log K) / log 2`.
pub fn information_bits(mean_log_p: f64, active: usize) -> f64 {
    (mean_log_p + libm::log(active as f64)) / std::f64::consts::LN_2
}

/// The advantage of VALOR and VIC: `log P_D(c|path)`, normalised over the batch, the same at each of a path's `steps` steps, and not
/// discounted; plus that of the rewards.
pub fn path_advantage(log_p: &[f64], steps: usize, rewards: Option<&[f32]>) -> Vec<f32> {
    let mut column: Vec<f32> = log_p.iter().map(|&l| l as f32).collect();
    standardise(&mut column);
    let mut advantage: Vec<f32> = column.iter().flat_map(|&a| std::iter::repeat_n(a, steps)).collect();
    if let Some(rewards) = rewards {
        advantage.iter_mut().zip(rewards).for_each(|(a, r)| *a += r);
    }
    advantage
}

/// `normalise(return - V)`.
pub fn residual(returns: &[f32], values: &[f32]) -> Vec<f32> {
    let mut column: Vec<f32> = returns.iter().zip(values).map(|(r, v)| r - v).collect();
    standardise(&mut column);
    column
}

/// Discounted sums of what follows, itself included, to the end of each path of `steps` numbers. Nothing follows the end.
pub fn discounted(signal: &[f32], steps: usize, gamma: f64) -> Vec<f32> {
    let mut out = vec![0.0; signal.len()];
    for (signal, out) in signal.chunks_exact(steps).zip(out.chunks_exact_mut(steps)) {
        let mut sum = 0.0;
        for (signal, out) in signal.iter().zip(out).rev() {
            sum = f64::from(*signal) + gamma * sum;
            *out = sum as f32;
        }
    }
    out
}

/// Adam as all of these networks use it.
pub(crate) fn adam(n: usize) -> Adam {
    Adam::new(n, 0.9, 0.999, 1e-8)
}

/// An update whose numbers are not finite ends the training.
pub(crate) fn finite(what: &str, values: &[f32]) -> Result<()> {
    if norm(values).is_finite() { Ok(()) } else { Err(Error::non_finite(what.to_owned(), 0)) }
}
