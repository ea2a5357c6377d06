//! Trust Region Policy Optimization.
//!
//! J. Schulman, S. Levine, P. Moritz, M. Jordan, P. Abbeel, "Trust Region Policy Optimization" (2015), section 6 and appendix C.
//!
//! One natural-gradient step a batch, as long as the KL limit allows, shortened by a line search until the surrogate improves.
//!
//! Omitted: the vine sampling scheme. The Fisher product is exact and uses the whole batch (the paper subsamples).
//!
//! | paper | here |
//! |---|---|
//! | `g` | `g`, the gradient of the surrogate (ascent) |
//! | `A` (the Fisher matrix) | `H`, with damping |
//! | `s = A^-1 g` | `x` |
//! | `beta = sqrt(2 delta / s'As)` | [`step_length`] |
//! | `delta` | `target_kl` |

use tony_nn::dot;
use tony_run::{Metrics, Plan};

use crate::Result;
use crate::actor_critic::{ActorCritic, Constrained};
use crate::algorithm::{Algorithm, CostWeights, Start, learner_accessors};
use crate::policy::Batch;
use crate::rollout::Rollout;
use crate::trust_region::{self, damped_fisher, inverse_fisher, line_search, surrogate_change};

/// TRPO; under a Lagrangian wrapper also of weighted costs.
pub struct Trpo {
    learner: ActorCritic,
    config: trust_region::Config,
    weights: CostWeights,
    seed: u64,
}

impl Trpo {
    /// Build from settings.
    pub fn new(plan: &Plan, start: Start, constrained: Constrained) -> Result<Self> {
        let config = plan.group()?;
        let learner = ActorCritic::new(plan, start, constrained)?;
        let weights = CostWeights::none(learner.constraints.len());
        Ok(Self { learner, config, weights, seed: start.seed })
    }
}

impl Algorithm for Trpo {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let estimates = self.learner.estimate(rollout);
        let advantage = self.weights.joint(&estimates);
        let policy = self.learner.policy.as_mut();
        let batch = Batch::all(rollout);
        let old = policy.distributions(&batch);

        let n = rollout.rows() as f32;
        let mut g = vec![0.0; policy.params().len()];
        policy.gradient(&batch, &|row, _| advantage[row] / n, 0.0, &mut g);
        let mut x = inverse_fisher(policy, &batch, &g, &self.config)?;
        let mut hx = vec![0.0; x.len()];
        damped_fisher(policy, &batch, &x, &self.config, &mut hx)?;
        let length = step_length(dot(&x, &hx), self.config.target_kl) as f32;
        x.iter_mut().for_each(|v| *v *= length);

        let fraction = line_search(policy, &x, &self.config, |trial| {
            surrogate_change(&trial.log_probs(&batch), &rollout.log_prob, &advantage) > 0.0
                && trial.kl(&batch, &old) <= self.config.target_kl
        });
        metrics.set("Train/StepFraction", fraction.unwrap_or(0.0));
        let fit = self.learner.fit(self.config.critic_minibatch, rollout);
        self.learner.fit_critics(rollout, &estimates, self.config.critic_passes, &fit, self.seed)?;
        self.learner.finish(rollout, &estimates, &old, metrics)
    }

    learner_accessors!();

    fn weigh_costs(&mut self, weights: CostWeights) -> Result<()> {
        self.weights = weights;
        Ok(())
    }
}

/// The multiple of `x` at which the quadratic model of the KL divergence, `x'Hx / 2`, reaches `delta`; 0 where there is no curvature.
pub fn step_length(xhx: f64, delta: f64) -> f64 {
    if xhx > 0.0 { (2.0 * delta / xhx).sqrt() } else { 0.0 }
}
