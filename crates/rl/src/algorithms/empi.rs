//! Easy Monotonic Policy Iteration.
//!
//! J. Achiam, "Easy Monotonic Policy Iteration" (arXiv 1602.09118, 2016).
//!
//! From the paper: a lower bound on the improvement of a policy that contains the *mean* divergence from the old one, not its largest
//! value over states, and the policy iteration that maximises it ([`improvement_bounds`], [`line_step`], exact on tables). Ours: how
//! a network maximises it from samples, since no code was published. Minibatch ascent on `mean[(rho - 1) A - c |rho - 1|]`, whose
//! subgradient leaves samples with `|A| < c` where they are; then the bound is checked on the batch, the step halved until it holds,
//! and given up where it never does; `c` follows the divergence that was reached.
//!
//! Omitted: the exact maximisation over all policies (with `max_s` it does not separate). The theory's penalty at `gamma = 0.99` allows
//! no learning: `kappa` is the share of it that is kept, and a guarantee is only had at 1, from exact expectations. Observations
//! standardised by running statistics (`normalise=true`) move the policy between batches, which no bound sees.
//!
//! | paper | here |
//! |---|---|
//! | `J`, `d^pi` | discounted return, discounted visits (of a batch: uniform weights) |
//! | `L`, `eps`, `T` (mean total variation) | `surrogate`, `epsilon`, `divergence` |
//! | `L/(1-gamma) -+ 2 gamma eps/(1-gamma)^2 T` | [`improvement_bounds`] |
//! | `alpha*` of the step towards a policy | [`line_step`] |
//! | `C/2`, per `abs(rho - 1)` | `coefficient` |

use tony_nn::{Adam, clip_norm};
use tony_run::{Archive, Metrics, Plan, settings};

use super::LOG_RATIO;
use crate::actor_critic::{ActorCritic, Constrained, minibatches, standardise};
use crate::algorithm::{Algorithm, Start, learner_accessors};
use crate::policy::{Batch, Policy};
use crate::rollout::Rollout;
use crate::trust_region::{self, line_search};
use crate::{Error, Result};

/// Halvings of a step before it is given up.
const HALVINGS: usize = 10;
/// Between one coefficient and the next; also how far from its target the divergence must be for a change.
const ADAPT: f64 = 1.5;

settings! {
    /// EMPI
    pub struct Config {
        /// Share of the theory's penalty in the bound that a step must keep; 1: all of it, 0: none.
        "kappa" kappa: f64 = 0.01, (0.0..=1.0);
        /// Passes over a batch.
        "passes" passes: usize = 10, (1..=10_000);
        /// Rows a gradient step; 0: the whole batch.
        "minibatch" minibatch: usize = 500;
        /// Learning rate of the policy.
        "lr" lr: f64 = 3e-4, (0.0..=1.0);
        /// Mean total variation distance that the coefficient aims at.
        "target_divergence" target_divergence: f64 = 0.05, (1e-6..=1.0);
        /// Coefficient at the start, as a multiple of the mean absolute advantage.
        "coefficient.init" coefficient_init: f64 = 0.5, (1e-3..=10.0);
        /// Runs of consecutive rows whose largest mean stands for the maximum over states (epsilon).
        "chunks" chunks: usize = 50, (1..=1_000_000);
        /// Passes over a batch for each critic.
        "critic.passes" critic_passes: usize = 10, (0..=10_000);
        /// Rows a gradient step of a critic; 0: the whole batch.
        "critic.minibatch" critic_minibatch: usize = 500;
    }
}

/// EMPI.
pub struct Empi {
    learner: ActorCritic,
    config: Config,
    /// Penalty of `|rho - 1|`, for advantages of deviation 1; `None` before the first update.
    coefficient: Option<f64>,
    /// Mean return of the last batch, and what the update after it promised.
    last: Option<(f64, f64)>,
    seed: u64,
}

impl Empi {
    /// Build from settings.
    pub fn new(plan: &Plan, start: Start) -> Result<Self> {
        let learner = ActorCritic::new(plan, start, Constrained::No)?;
        if learner.config.gamma >= 1.0 || learner.config.standardise {
            return Err(Error::Invalid {
                what: "empi's bound needs gamma below 1 and standardise=false: it scales advantages itself".to_owned(),
                hint: "for example gamma=0.99 standardise=false".to_owned(),
            });
        }
        Ok(Self { learner, config: plan.group()?, coefficient: None, last: None, seed: start.seed })
    }

    /// Where minibatch ascent on the penalised surrogate leads, as a step from the present parameters, which stay.
    fn ascend(&mut self, rollout: &Rollout, advantage: &[f32], coefficient: f64) -> Result<Vec<f32>> {
        let (config, policy) = (&self.config, self.learner.policy.as_mut());
        let origin = policy.params().to_vec();
        let mut adam = Adam::new(origin.len(), 0.9, 0.999, self.learner.config.adam_epsilon);
        let mut grad = vec![0.0; origin.len()];
        let minibatch = if config.minibatch == 0 { rollout.rows() } else { config.minibatch };
        for pass in 0..config.passes {
            for index in &minibatches(policy.whole_episodes(), rollout, minibatch, self.seed, pass) {
                let scale = 1.0 / index.len() as f32;
                let weight = |row: usize, log_prob: f32| {
                    -scale * penalised_weight(log_prob - rollout.log_prob[row], advantage[row], coefficient as f32)
                };
                policy.gradient(&Batch { index: Some(index), ..Batch::all(rollout) }, &weight, 0.0, &mut grad);
                if !clip_norm(&mut grad, self.learner.config.max_grad_norm).is_finite() {
                    return Err(Error::non_finite("gradient of the policy".to_owned(), index[0] as usize));
                }
                adam.step(policy.params_mut(), &grad, config.lr);
            }
        }
        let step = policy.params().iter().zip(&origin).map(|(now, origin)| now - origin).collect();
        policy.params_mut().copy_from_slice(&origin);
        Ok(step)
    }
}

impl Algorithm for Empi {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let estimates = self.learner.estimate(rollout);
        let mut advantage = estimates.advantage.clone();
        // Everything below is in units of this deviation, until it is logged.
        let unit = standardise(&mut advantage);
        let size = advantage.iter().map(|a| f64::from(a.abs())).sum::<f64>() / advantage.len() as f64;
        let batch = Batch::all(rollout);
        let old = self.learner.policy.distributions(&batch);
        let (gamma, kappa) = (self.learner.config.gamma, self.config.kappa);
        let (mut reached, mut halvings) = (Measured::default(), 0);
        // Without any advantage there is nothing to gain, and nothing may move.
        if size > 0.0 {
            let coefficient = self.coefficient.unwrap_or(self.config.coefficient_init * size);
            let step = self.ascend(rollout, &advantage, coefficient)?;
            let search = trust_region::Config { decay: 0.5, trials: HALVINGS + 1, ..trust_region::Config::default() };
            let mut tried = 0;
            let kept = line_search(self.learner.policy.as_mut(), &step, &search, |trial: &dyn Policy| {
                tried += 1;
                reached = measure(&trial.log_probs(&batch), &rollout.log_prob, &advantage, self.config.chunks);
                reached.promise(gamma, kappa) >= 0.0
            });
            halvings = tried - 1;
            let next = adapt(coefficient, halvings > 0, reached.divergence, self.config.target_divergence);
            self.coefficient = Some(next.clamp(1e-3 * size, 10.0 * size));
            if kept.is_none() {
                (reached, halvings) = (Measured::default(), tried);
            }
        }
        let ret = rollout.mean_return();
        metrics.put("Empi/Promised", self.last.and(ret).and(self.last).map(|(_, promise)| promise));
        metrics.put("Empi/Happened", self.last.zip(ret).map(|((before, _), now)| now - before));
        metrics.set("Empi/Bound", unit * reached.promise(gamma, 1.0));
        metrics.set("Empi/Surrogate", unit * reached.surrogate);
        metrics.set("Empi/Divergence", reached.divergence);
        metrics.set("Empi/Epsilon", unit * reached.epsilon);
        metrics.put("Empi/Coefficient", self.coefficient);
        metrics.set("Empi/Halvings", halvings as f64);
        self.last = ret.map(|ret| (ret, unit * reached.promise(gamma, kappa)));
        let fit = self.learner.fit(self.config.critic_minibatch, rollout);
        self.learner.fit_critics(rollout, &estimates, self.config.critic_passes, &fit, self.seed)?;
        self.learner.finish(rollout, &estimates, &old, metrics)
    }

    learner_accessors!();

    fn save(&self, archive: &mut Archive) -> Result<()> {
        let known: Vec<f64> = self.coefficient.into_iter().collect();
        archive.put_f64("empi.coefficient", &[known.len()], &known)?;
        let last: Vec<f64> = self.last.into_iter().flat_map(|(ret, promise)| [ret, promise]).collect();
        archive.put_f64("empi.last", &[last.len()], &last)?;
        self.learner.save(archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        let of = |name: &str| archive.f64(name, archive.shape(name).unwrap_or(&[1]));
        self.coefficient = of("empi.coefficient")?.first().copied();
        self.last = of("empi.last")?.first_chunk().map(|[ret, promise]| (*ret, *promise));
        self.learner.load(archive)
    }
}

/// Bounds (B1, B2) on `J(pi') - J(pi)`, lower and upper, from `L`, `eps` and `T`. With `T` from [`divergence_from_kl`] this is the
/// form B3; with the largest `|A(s, a)|` for `eps` it is B4, which is weaker and moves nowhere for `gamma >= 1/2`.
pub fn improvement_bounds(surrogate: f64, epsilon: f64, divergence: f64, gamma: f64) -> (f64, f64) {
    let middle = surrogate / (1.0 - gamma);
    let width = epsilon / (1.0 - gamma) * visit_shift(divergence, gamma);
    (middle - width, middle + width)
}

/// Key lemma: the largest `||d^pi' - d^pi||_1` at mean divergence `T`.
pub fn visit_shift(divergence: f64, gamma: f64) -> f64 {
    2.0 * gamma / (1.0 - gamma) * divergence
}

/// Pinsker: the largest `T` at a mean KL divergence, in either direction.
pub fn divergence_from_kl(kl: f64) -> f64 {
    (0.5 * kl).sqrt()
}

/// The share `alpha*` of the way towards a policy at which (B1) is largest, and its value there. `L`, `eps` and `T` are those of going
/// all the way.
pub fn line_step(surrogate: f64, epsilon: f64, divergence: f64, gamma: f64) -> (f64, f64) {
    let curvature = 4.0 * gamma * epsilon * divergence;
    let alpha = if curvature > 0.0 { (surrogate * (1.0 - gamma) / curvature).min(1.0) } else { 1.0 };
    (alpha, improvement_bounds(alpha * surrogate, alpha * epsilon, alpha * divergence, gamma).0)
}

/// What a batch says about a policy that did not collect it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Measured {
    /// `L`: mean of `(rho - 1) A`.
    pub surrogate: f64,
    /// `eps`: the largest absolute mean of `(rho - 1) A` over runs of consecutive rows, which stand for states.
    pub epsilon: f64,
    /// `T`: half the mean of `|rho - 1|`.
    pub divergence: f64,
}

impl Measured {
    /// The lower bound with `kappa` times its penalty.
    pub fn promise(&self, gamma: f64, kappa: f64) -> f64 {
        improvement_bounds(self.surrogate, kappa * self.epsilon, self.divergence, gamma).0
    }
}

/// Measure a policy's log-probabilities against those at collection.
pub fn measure(log_probs: &[f32], old: &[f32], advantage: &[f32], chunks: usize) -> Measured {
    let change: Vec<f64> =
        log_probs.iter().zip(old).map(|(new, old)| libm::expm1(f64::from(*new) - f64::from(*old))).collect();
    let gains: Vec<f64> = change.iter().zip(advantage).map(|(change, a)| change * f64::from(*a)).collect();
    let n = gains.len() as f64;
    let mean = |gains: &[f64]| gains.iter().sum::<f64>() / gains.len() as f64;
    Measured {
        surrogate: mean(&gains),
        epsilon: gains.chunks(gains.len().div_ceil(chunks)).map(|chunk| mean(chunk).abs()).fold(0.0, f64::max),
        divergence: 0.5 * change.iter().map(|change| change.abs()).sum::<f64>() / n,
    }
}

/// Derivative of `(rho - 1) A - c |rho - 1|` by the log-probability, `rho (A - c sign(rho - 1))`.
pub fn penalised_weight(log_ratio: f32, advantage: f32, coefficient: f32) -> f32 {
    let sign = f32::from(i8::from(log_ratio > 0.0) - i8::from(log_ratio < 0.0));
    libm::expf(log_ratio.clamp(-LOG_RATIO, LOG_RATIO)) * (advantage - coefficient * sign)
}

/// The coefficient after an update: smaller where there was room, larger where the step was halved or went too far.
pub fn adapt(coefficient: f64, halved: bool, divergence: f64, target: f64) -> f64 {
    if halved || divergence > ADAPT * target {
        coefficient * ADAPT
    } else if divergence < target / ADAPT {
        coefficient / ADAPT
    } else {
        coefficient
    }
}
