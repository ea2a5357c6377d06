//! Constrained Policy Optimization. (Elsewhere "CPO" also means Contrastive Preference Optimization; never here.)
//!
//! J. Achiam, D. Held, A. Tamar, P. Abbeel, "Constrained Policy Optimization" (ICML 2017), section 6 and appendix 10.2.
//!
//! Reward, costs and KL divergence are modelled around the present policy, and `min g.x  subject to  c_k + b_k.x <= 0,  x'Hx <= 2 delta`
//! is solved exactly through its dual. Where no step inside the trust region can satisfy the constraints, the step recovers: it only
//! reduces cost. A line search then checks reward, cost and divergence on the batch.
//!
//! Several constraints (eq. 12-13): [`solve`] tries every set of active constraints, smallest first, and takes the one that satisfies the
//! optimality conditions; the problem is convex, so there is one. Where the region is infeasible, the step descends the violated costs
//! together, each weighted by its violation (with one constraint: eq. 14).
//!
//! Omitted: cost shaping (section 6.3), Fisher products on a subsample (the whole batch is used), and the published code's habit of
//! keeping the last trial of a failed line search (parameters are restored). Time limits bootstrap.
//!
//! | paper | here |
//! |---|---|
//! | `g`, `b_k` | `g` = gradient of the *loss* (minus surrogate reward), `b[k]` = gradient of the surrogate episode cost |
//! | `c_k = J_C - d` | `c[k]`, per episode, positive while violating |
//! | `q, r, s` | [`Model::q`], [`Model::r`], [`Model::s`] = `g'H^-1 g`, `b'H^-1 g`, `b'H^-1 b` |
//! | `delta` | `target_kl`; `D = 2 delta` |
//! | `lambda*, nu*` | [`Step::lambda`], [`Step::nu`] |
//! | eq. 14 (recovery) | [`Case::Infeasible`] |

use tony_nn::dot;
use tony_run::{Metrics, Plan};

use crate::Result;
use crate::actor_critic::{ActorCritic, Constrained};
use crate::algorithm::{Algorithm, Start, learner_accessors};
use crate::constraint::{Constraint, multiplier_name};
use crate::linear::eliminate;
use crate::policy::Batch;
use crate::rollout::Rollout;
use crate::trust_region::{self, inverse_fisher, line_search, surrogate_change};

/// Below this squared norm a cost gradient is no direction (both published codes).
const NO_GRADIENT: f64 = 1e-8;

/// CPO.
pub struct Cpo {
    learner: ActorCritic,
    config: trust_region::Config,
    seed: u64,
}

impl Cpo {
    /// Build from settings.
    pub fn new(plan: &Plan, start: Start) -> Result<Self> {
        let learner = ActorCritic::new(plan, start, Constrained::Yes)?;
        Ok(Self { learner, config: plan.group()?, seed: start.seed })
    }
}

impl Algorithm for Cpo {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        self.learner.constraints.iter_mut().for_each(|constraint| constraint.observe(rollout));
        let estimates = self.learner.estimate(rollout);
        let c: Vec<f64> = self.learner.constraints.iter().map(Constraint::excess).collect();
        let policy = self.learner.policy.as_mut();
        let batch = Batch::all(rollout);
        let old = policy.distributions(&batch);

        // The surrogate is a mean over steps, c is per episode: a step's cost counts once for each step of an episode.
        let n = rollout.rows() as f32;
        let length = rollout.mean_length().unwrap_or(f64::from(n));
        let mut gradient = |scale: f32, advantage: &[f32]| {
            let mut out = vec![0.0; policy.params().len()];
            policy.gradient(&batch, &|row, _| scale * advantage[row] / n, 0.0, &mut out);
            let image = inverse_fisher(policy, &batch, &out, &self.config)?;
            Ok((out, image))
        };
        let (g, h_g) = gradient(-1.0, &estimates.advantage)?;
        let costs = estimates.cost_advantages.iter().map(|a| gradient(length as f32, a)).collect::<Result<Vec<_>>>()?;
        let (b, h_b): (Vec<_>, Vec<_>) = costs.into_iter().unzip();
        let step = solve(&Model::new(&g, &h_g, &b, &h_b, &c, 2.0 * self.config.target_kl));
        let fraction = line_search(policy, &step.direction(&h_g, &h_b), &self.config, |trial| {
            let log_probs = trial.log_probs(&batch);
            let change = |advantage: &[f32]| surrogate_change(&log_probs, &rollout.log_prob, advantage);
            let recovers = matches!(step.case, Case::Infeasible | Case::Recoverable);
            let within = |(advantage, c): (&Vec<f32>, &f64)| length * change(advantage) <= (-c).max(0.0);
            (recovers || change(&estimates.advantage) >= 0.0)
                && estimates.cost_advantages.iter().zip(&c).all(within)
                && trial.kl(&batch, &old) <= self.config.target_kl
        });
        metrics.set("Train/OptimCase", f64::from(step.case as u8));
        metrics.set("Train/StepFraction", fraction.unwrap_or(0.0));
        metrics.set("Train/Lambda", step.lambda);
        for (constraint, nu) in self.learner.constraints.iter().zip(&step.nu) {
            metrics.set(&multiplier_name(&constraint.name), *nu);
        }
        let fit = self.learner.fit(self.config.critic_minibatch, rollout);
        self.learner.fit_critics(rollout, &estimates, self.config.critic_passes, &fit, self.seed)?;
        self.learner.finish(rollout, &estimates, &old, metrics)
    }

    learner_accessors!();
}

/// The model problem `min g.x  subject to  c_k + b_k.x <= 0,  x'Hx <= d`, reduced to inner products.
#[derive(Clone, Debug)]
pub struct Model {
    /// `g'H^-1 g`.
    pub q: f64,
    /// `b_k'H^-1 g`.
    pub r: Vec<f64>,
    /// `b_j'H^-1 b_k`, rows of a symmetric matrix.
    pub s: Vec<Vec<f64>>,
    /// `J_C - limit` of each constraint: positive while violating.
    pub c: Vec<f64>,
    /// `b_k.b_k`.
    pub bb: Vec<f64>,
    /// Bound on `x'Hx`: twice the KL limit.
    pub d: f64,
}

/// The five cases, numbered as the published codes number them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Case {
    /// The constraints cannot be met inside the trust region: reduce cost only.
    Infeasible = 0,
    /// Violating now, but the region has feasible points.
    Recoverable = 1,
    /// Feasible now, and a constraint cuts the region.
    Cut = 2,
    /// The whole region is feasible.
    Feasible = 3,
    /// No cost gradient in sight.
    NoGradient = 4,
}

/// Solution of a [`Model`]: `x = -(g_scale H^-1 g + sum_k b_scale[k] H^-1 b_k)`.
#[derive(Clone, Debug)]
pub struct Step {
    /// Which case it was.
    pub case: Case,
    /// Multiplier of the trust region; 0 in a recovery step.
    pub lambda: f64,
    /// Multipliers of the constraints; 0 in a recovery step.
    pub nu: Vec<f64>,
    /// Coefficient of `H^-1 g`.
    pub g_scale: f64,
    /// Coefficients of `H^-1 b_k`.
    pub b_scale: Vec<f64>,
}

impl Model {
    /// Inner products of the gradients with their images under `H^-1`.
    pub fn new(g: &[f32], h_g: &[f32], b: &[Vec<f32>], h_b: &[Vec<f32>], c: &[f64], d: f64) -> Self {
        Self {
            q: dot(g, h_g),
            r: b.iter().map(|b| dot(b, h_g)).collect(),
            s: b.iter().map(|b| h_b.iter().map(|h| dot(b, h)).collect()).collect(),
            c: c.to_vec(),
            bb: b.iter().map(|b| dot(b, b)).collect(),
            d,
        }
    }

    /// Predicted `c_k + b_k.x` of a step.
    pub fn predicted_cost(&self, k: usize, step: &Step) -> f64 {
        let moved: f64 = step.b_scale.iter().zip(&self.s[k]).map(|(scale, s)| scale * s).sum();
        self.c[k] - step.g_scale * self.r[k] - moved
    }
}

impl Step {
    /// The step that stays.
    fn none(case: Case, model: &Model) -> Self {
        let zeros = vec![0.0; model.c.len()];
        Self { case, lambda: 0.0, nu: zeros.clone(), g_scale: 0.0, b_scale: zeros }
    }

    /// The step itself.
    pub fn direction(&self, h_g: &[f32], h_b: &[Vec<f32>]) -> Vec<f32> {
        let mut x: Vec<f32> = h_g.iter().map(|h| (-self.g_scale * f64::from(*h)) as f32).collect();
        for (scale, h_b) in self.b_scale.iter().zip(h_b) {
            x.iter_mut().zip(h_b).for_each(|(x, h)| *x -= (scale * f64::from(*h)) as f32);
        }
        x
    }
}

/// Solve the model problem (Theorem 2; eq. 12-13 for several constraints; eq. 14 where infeasible).
pub fn solve(model: &Model) -> Step {
    // A cost without a gradient cannot be moved, whatever its level: the others and the reward are still served.
    let usable: Vec<usize> = (0..model.c.len()).filter(|&k| model.bb[k] > NO_GRADIENT && model.s[k][k] > 0.0).collect();
    let inside = |k: usize| model.c[k] < 0.0 && model.c[k].powi(2) >= model.d * model.s[k][k];
    let case = match &usable[..] {
        [] => Case::NoGradient,
        all if all.iter().all(|&k| inside(k)) => Case::Feasible,
        all if all.iter().any(|&k| model.c[k] >= 0.0) => Case::Recoverable,
        _ => Case::Cut,
    };
    let size = |k: usize| model.c[k].abs() + (model.d * model.s[k][k]).sqrt();
    let feasible = |step: &Step| usable.iter().all(|&k| model.predicted_cost(k, step) <= 1e-9 * size(k));
    (0..1_usize << usable.len())
        .map(|set| (0..usable.len()).filter(|i| set >> i & 1 == 1).map(|i| usable[i]).collect::<Vec<_>>())
        .filter_map(|active| with_active(model, &active, case))
        .find(feasible)
        .unwrap_or_else(|| recovery(model, &usable))
}

/// The stationary point with exactly these constraints active (`c_k + b_k.x = 0`), if its multipliers are valid.
///
/// With `S` and `r` restricted to the active set: `nu = S^-1 (lambda c - r)`, and `x'Hx = d` gives `A / lambda^2 = B` with
/// `A = q - r'S^-1 r`, `B = d - c'S^-1 c`. With none active this is the step of TRPO.
fn with_active(model: &Model, active: &[usize], case: Case) -> Option<Step> {
    let pick = |v: &[f64]| active.iter().map(|&k| v[k]).collect::<Vec<_>>();
    let s: Vec<Vec<f64>> = active.iter().map(|&k| pick(&model.s[k])).collect();
    let (c, r) = (pick(&model.c), pick(&model.r));
    let (s_c, s_r) = (eliminate(&s, &c)?, eliminate(&s, &r)?);
    let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let (a, b) = ((model.q - inner(&r, &s_r)).max(0.0), model.d - inner(&c, &s_c));
    if b < 0.0 || (b == 0.0 && a > 0.0) {
        return None;
    }
    // g within the span of the active b (or 0): every point of the plane is as good, the nearest is taken.
    let degenerate = a <= 1e-14 * model.q.abs();
    let mut step = Step::none(case, model);
    if !degenerate {
        step.lambda = (a / b).sqrt();
        step.g_scale = 1.0 / step.lambda;
    }
    for (i, &k) in active.iter().enumerate() {
        step.nu[k] = step.lambda * s_c[i] - s_r[i];
        step.b_scale[k] = if degenerate { s_c[i] } else { step.nu[k] / step.lambda };
    }
    step.nu.iter().all(|&nu| nu >= 0.0).then_some(step)
}

/// Eq. 14: reduce the violated costs as far as the trust region allows, ignoring the reward.
fn recovery(model: &Model, usable: &[usize]) -> Step {
    let mut step = Step::none(Case::Infeasible, model);
    for &k in usable {
        step.b_scale[k] = model.c[k].max(0.0);
    }
    let image = |j: usize| step.b_scale.iter().zip(&model.s[j]).map(|(w, s)| w * s).sum::<f64>();
    let curvature: f64 = step.b_scale.iter().enumerate().map(|(j, w)| w * image(j)).sum();
    let length = if curvature > 0.0 { (model.d / curvature).sqrt() } else { 0.0 };
    step.b_scale.iter_mut().for_each(|w| *w *= length);
    step
}
