//! Proximal Policy Optimization.
//!
//! J. Schulman, F. Wolski, P. Dhariwal, A. Radford, O. Klimov, "Proximal Policy Optimization Algorithms" (2017), the clipped variant.
//!
//! Several passes of minibatch ascent on the clipped surrogate of one batch, stopped early when the policy has moved far enough.
//! Policy and critics are separate networks that make their passes side by side.
//!
//! Omitted: value clipping (the paper has none), shared policy and value layers, the adaptive KL penalty of section 4. With
//! `preset=sb3` the gradient norm is clipped network by network, where Stable-Baselines3 clips policy and critic together.
//!
//! | paper | here |
//! |---|---|
//! | `r_t(theta)` | `ratio` |
//! | `epsilon` | `clip` |
//! | `A_t` | `advantage` |
//! | `L^CLIP` (eq. 7) | [`clipped_surrogate`], its derivative by the log-probability [`clipped_weight`] |
//! | `K` epochs, `M` minibatch | `passes`, `minibatch` |

use tony_nn::{Adam, clip_norm};
use tony_run::{Archive, Metrics, Plan, choices, settings};

use crate::actor_critic::{ActorCritic, Constrained, minibatches, shuffled};
use crate::algorithm::{Algorithm, CostWeights, Start, learner_accessors};
use crate::critic::{load_adam, save_adam};
use crate::passes::{self, Pass, Verdict};
use crate::policy::Batch;
use crate::rollout::Rollout;
use crate::schedule::Schedule;
use crate::{Error, Result};

choices! {
    /// How weighted costs enter the clipped surrogate.
    pub enum CostClip {
        /// One surrogate of the combined advantage (OmniSafe).
        Joint = "joint",
        /// One surrogate each for the reward and every cost; the cost's is clipped on its own pessimistic side (PID Lagrangian paper).
        Separate = "separate",
    }
}

settings! {
    /// PPO
    pub struct Config {
        /// Ratios outside 1 +- clip earn nothing more (epsilon).
        "clip" clip: f64 = 0.2, (0.01..=1.0);
        /// Largest number of passes over a batch.
        "passes" passes: usize = 40, (1..=10_000);
        /// Rows a gradient step; 0: the whole batch.
        "minibatch" minibatch: usize = 64;
        /// Stop the passes once the mean KL divergence from the old policy exceeds this; 0: never.
        "target_kl" target_kl: f64 = 0.02, (0.0..=10.0);
        /// Learning rate of the policy.
        "lr" lr: f64 = 3e-4, (0.0..=1.0);
        /// Learning rate over the training: constant or linear.
        "lr.schedule" schedule: Schedule = Schedule::Linear;
        /// Weight of the mean entropy in the objective.
        "entropy" entropy: f64 = 0.0, (0.0..=10.0);
        /// Standardise the advantages of each minibatch by itself instead of the batch's.
        "standardise.minibatch" per_minibatch: bool = false;
        /// Passes of the critics; none: as many as the policy makes.
        "critic.passes" critic_passes: Option<usize> = None;
        /// How weighted costs are clipped (ppo-lag, ppo-pid): joint or separate.
        "cost.clip" cost_clip: CostClip = CostClip::Joint;
    }
}

/// PPO; under a Lagrangian wrapper also of weighted costs.
pub struct Ppo {
    learner: ActorCritic,
    config: Config,
    adam: Adam,
    weights: CostWeights,
    seed: u64,
}

impl Ppo {
    /// Build from settings.
    pub fn new(plan: &Plan, start: Start, constrained: Constrained) -> Result<Self> {
        let config: Config = plan.group()?;
        let learner = ActorCritic::new(plan, start, constrained)?;
        if config.per_minibatch && (learner.config.standardise || constrained == Constrained::Yes) {
            return Err(Error::Invalid {
                what: "standardise.minibatch=true needs standardise=false and an algorithm without costs".to_owned(),
                hint: "set only one of them; with costs, standardise=true".to_owned(),
            });
        }
        let adam = Adam::new(learner.policy.params().len(), 0.9, 0.999, learner.config.adam_epsilon);
        let weights = CostWeights::none(learner.constraints.len());
        Ok(Self { learner, config, adam, weights, seed: start.seed })
    }
}

impl Algorithm for Ppo {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let config = &self.config;
        let estimates = self.learner.estimate(rollout);
        let columns = match config.cost_clip {
            CostClip::Joint => vec![self.weights.joint(&estimates)],
            CostClip::Separate => self.weights.separate(&estimates),
        };
        let batch = Batch::all(rollout);
        let old = self.learner.policy.distributions(&batch);
        let fit = self.learner.fit(config.minibatch, rollout);
        let lr = config.lr * config.schedule.factor(rollout.progress);
        let max_grad_norm = self.learner.config.max_grad_norm;
        let (policy, critics) = (self.learner.policy.as_mut(), &mut self.learner.critics);
        let (adam, seed) = (&mut self.adam, self.seed);
        let order = |pass| shuffled(rollout.rows(), seed, rollout.update, pass);

        let mut grad = vec![0.0; policy.params().len()];
        let mut improve = |pass: usize| {
            for index in &minibatches(policy.whole_episodes(), rollout, fit.minibatch, seed, pass) {
                let selected = Batch { index: Some(index), ..batch };
                let scale = 1.0 / index.len() as f32;
                let local = config.per_minibatch.then(|| standardised(&columns[0], index));
                let (mean, inverse) = local.unwrap_or((0.0, 1.0));
                let weight = |row: usize, log_prob: f32| {
                    let ratio = libm::expf(log_prob - rollout.log_prob[row]);
                    let advantage = |column: &Vec<f32>| (column[row] - mean) * inverse;
                    let sum: f32 =
                        columns.iter().map(|c| clipped_weight(ratio, advantage(c), config.clip as f32)).sum();
                    -scale * sum
                };
                policy.gradient(&selected, &weight, -scale * config.entropy as f32, &mut grad);
                if !clip_norm(&mut grad, max_grad_norm).is_finite() {
                    return Err(Error::non_finite("gradient of the policy".to_owned(), index[0] as usize));
                }
                adam.step(policy.params_mut(), &grad, lr);
            }
            let far = config.target_kl > 0.0 && policy.kl(&batch, &old) > config.target_kl;
            Ok(if far { Verdict::Stop } else { Verdict::Continue })
        };
        let mut fits: Vec<_> = critics
            .iter_mut()
            .zip(&estimates.targets)
            .map(|(critic, targets)| {
                let (features, order, fit) = (&estimates.features, &order, &fit);
                move |pass: usize| critic.fit_pass(features, targets, &order(pass), fit)
            })
            .collect();
        let followers: Vec<Pass> =
            if config.critic_passes.is_none() { fits.iter_mut().map(|fit| fit as Pass).collect() } else { Vec::new() };
        let passes = passes::run(config.passes, &mut improve, followers)?;
        drop(fits);
        if let Some(passes) = config.critic_passes {
            self.learner.fit_critics(rollout, &estimates, passes, &fit, seed)?;
        }
        metrics.set("Train/Passes", passes as f64);
        metrics.set("Train/LR", lr);
        self.learner.finish(rollout, &estimates, &old, metrics)
    }

    learner_accessors!();

    fn weigh_costs(&mut self, weights: CostWeights) -> Result<()> {
        self.weights = weights;
        Ok(())
    }

    fn save(&self, archive: &mut Archive) -> Result<()> {
        save_adam(&self.adam, "policy.adam", archive)?;
        self.learner.save(archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        load_adam(&mut self.adam, "policy.adam", archive)?;
        self.learner.load(archive)
    }
}

/// `L^CLIP` of one row (eq. 7): `min(r A, clip(r, 1 - eps, 1 + eps) A)`.
pub fn clipped_surrogate(ratio: f32, advantage: f32, clip: f32) -> f32 {
    (ratio * advantage).min(ratio.clamp(1.0 - clip, 1.0 + clip) * advantage)
}

/// Derivative of [`clipped_surrogate`] by the log-probability: `r A` where moving on still pays, 0 where the clip is active.
pub fn clipped_weight(ratio: f32, advantage: f32, clip: f32) -> f32 {
    let flat = if advantage > 0.0 { ratio > 1.0 + clip } else { ratio < 1.0 - clip };
    if flat { 0.0 } else { ratio * advantage }
}

/// Mean and inverse deviation of the selected rows.
fn standardised(column: &[f32], index: &[u32]) -> (f32, f32) {
    let mut selected: Vec<f32> = index.iter().map(|&row| column[row as usize]).collect();
    let n = selected.len().max(1) as f64;
    let mean = selected.iter().map(|&x| f64::from(x)).sum::<f64>() / n;
    selected.iter_mut().for_each(|x| *x -= mean as f32);
    let variance = selected.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>() / n;
    (mean as f32, (1.0 / (variance.sqrt() + 1e-8)) as f32)
}
