//! Preconditioned Q-Networks.
//!
//! J. Achiam, E. Knight, P. Abbeel, "Towards Characterizing Divergence in Deep Q-Learning" (2019), section 4.
//!
//! Moves the values of a minibatch straight towards their targets: a step along `J' Z`, where `Z` solves `K Z = delta` for the kernel `K = J J'` of the
//! minibatch, changes them by `alpha delta` to first order, and is shortened until it really does. So there is no target network, no second critic and no
//! adaptive optimiser for `Q` (the policy has Adam). The kernel is summed from layerwise Gram products; `J` is never written down.
//! Omitted: nothing of the algorithm. The paper's solver, step sizes and noise are not published with code; see each setting.
//!
//! | paper | here |
//! |---|---|
//! | `alpha`, `eta` | `alpha`, `eta` |
//! | `delta` | `delta`: the present network's target minus its value; the target is not differentiated |
//! | `K`, `Z` | `Trace::kernel`, [`precondition`] |
//! | `theta' = theta + alpha sum_i Z_i grad Q_i` | [`step`]: no `1/b`, for `alpha` is a share of `delta` |
//! | `cos(Q' - Q, T*Q - Q) >= eta` | the acceptance in [`search`], by `diagnose::cosine` |

use tony_nn::Cholesky;
use tony_run::{Archive, Metrics, Plan, Settings, settings};

use super::{Entry, Preset};
use crate::algorithm::{Algorithm, experience_accessors};
use crate::diagnose::{Diagnosis, Kernel, cosine, difference, inner};
use crate::net_actor::{Head, NetActor};
use crate::off_policy::{self, Experience, Net, ascend, beside, mean, nothing_on_policy, td_targets};
use crate::rollout::Rollout;
use crate::{Error, Result, train};

settings! {
    /// PreQN
    pub struct Config {
        /// Share of the temporal-difference error that a step aims at (alpha).
        "alpha" alpha: f64 = 0.05, (1e-6..=10.0);
        /// Least cosine between what a step does to the values and what it aims at (eta).
        "eta" eta: f64 = 0.97, (-1.0..=1.0);
        /// Factor between one trial of the line search and the next.
        "line_search.decay" decay: f64 = 0.5, (0.01..=0.99);
        /// Largest number of trials; where none is accepted, the critic stays as it is.
        "line_search.trials" trials: usize = 10, (1..=100);
        /// Multiple of the kernel's mean diagonal that is added to its diagonal; ten times as much after each failure to factor it.
        "damping" damping: f64 = 1e-6, (0.0..=1.0);
        /// Learning rate of the policy's Adam.
        "lr" lr: f64 = 1e-3, (0.0..=1.0);
        /// Deviation of the exploring noise, as a share of half the range of actions.
        "noise" noise: f64 = 0.1, (0.0..=10.0);
    }
}

/// Preconditioned Q-learning.
struct PreQn {
    experience: Experience,
    config: Config,
    actor: NetActor,
    policy: Net,
    q: Net,
    kernel: Vec<f64>,
}

pub(super) const ENTRY: Entry = Entry {
    name: "preqn",
    title: "Preconditioned Q-Networks",
    family: "off-policy",
    summary: "values move straight towards their targets: no target network, one critic; ignores costs",
    paper: "Achiam et al. 2019",
    presets: &[Preset {
        name: "default",
        summary: "the paper's values, as far as they are known",
        values: &[super::presets::ONE_STEP, &[("activation", "sin"), ("start_steps", "10000")]],
    }],
    groups: &[&[train::Config::fields, off_policy::Config::fields, off_policy::PolicyConfig::fields, Config::fields]],
    build: |plan: &Plan, start| {
        let config: Config = plan.group()?;
        let head = Head::Deterministic(config.noise);
        let outputs = NetActor::outputs("preqn", start.spec, head)?;
        let experience = Experience::new(plan, start)?;
        if experience.config.minibatch > 4096 {
            return Err(Error::Invalid {
                what: format!(
                    "minibatch = {} needs a kernel of its square, solved at each step",
                    experience.config.minibatch
                ),
                hint: "preqn takes minibatch=32 to 4096; 256 is the default".to_owned(),
            });
        }
        let policy = experience.policy(plan, start.spec.obs_dim, outputs)?;
        let q = experience.critic("q", start.spec.obs_dim + outputs, 1)?;
        let actor = experience.actor(&policy, head);
        let kernel = vec![0.0; experience.config.minibatch.pow(2)];
        Ok(Box::new(PreQn { experience, config, actor, policy, q, kernel }))
    },
};

impl Algorithm for PreQn {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let Self { experience, config, actor, policy, q, kernel } = self;
        let (due, gamma) = (experience.add(rollout), experience.config.gamma);
        for number in 0..due {
            experience.draw();
            let (batch, rows) = (&experience.batch, experience.batch.rows());
            let next_act = actor.actions(&policy.params, &batch.next_obs);
            let next = q.outputs(&q.params, &beside(&batch.next_obs, &next_act, rows));
            let targets = td_targets(batch, gamma, &next);
            let x = beside(&batch.obs, &batch.act, rows);
            let diagnosis =
                experience.diagnoses(rollout, number, due).then(|| Diagnosis::before(q, &x, vec![1.0; rows], &targets));

            let values = q.forward(&x);
            let delta = difference(&targets, &values);
            if let Some(row) = delta.iter().position(|delta| !delta.is_finite()) {
                return Err(Error::non_finite("temporal-difference error".to_owned(), row));
            }
            let stepped = step(q, &x, &values, &delta, kernel, config);
            let mut taken = None;
            if let Some((solution, found)) = stepped {
                taken = found.share;
                metrics.put("Train/Alignment", found.first.is_finite().then_some(found.first));
                metrics.set("Train/SolveResidual", solution.residual);
                metrics.set("Train/Damping", solution.damping);
            }
            metrics.set("Train/Step", taken.unwrap_or(0.0));
            metrics.set("Loss/Q", inner(&delta, &delta) / rows as f64);
            metrics.set("Value/Q", mean(&values));
            if let Some(diagnosis) = diagnosis {
                diagnosis.after(q, &x, gamma, experience.largest_reward, Some(taken.unwrap_or(0.0)), metrics);
            }
            ascend(policy, q, &batch.obs, config.lr)?;
        }
        actor.uniform = experience.warming_up();
        actor.params.copy_from_slice(&policy.params);
        nothing_on_policy(metrics);
        Ok(())
    }

    experience_accessors!();

    fn save(&self, archive: &mut Archive) -> Result<()> {
        self.policy.save(archive)?;
        self.q.save(archive)?;
        self.experience.save(archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.policy.load(archive)?;
        self.q.load(archive)?;
        self.experience.load(archive)?;
        self.actor.uniform = self.experience.warming_up();
        Ok(())
    }
}

/// Move the values of `q` at the rows `x`, through which it has just gone forward to `values`, straight towards `values + delta`: along `J' Z`
/// with `K Z = delta`, as far as the line search goes. `None`: there is no direction. Parameters stay where no trial is accepted.
pub fn step(
    q: &mut Net,
    x: &[f32],
    values: &[f32],
    delta: &[f64],
    kernel: &mut [f64],
    config: &Config,
) -> Option<(Solution, Found)> {
    q.backward(&vec![1.0; values.len()]);
    q.trace.kernel(&q.mlp, kernel);
    let solution = precondition(Kernel { k: kernel, n: values.len() }, delta, config.damping)?;
    let z: Vec<f32> = solution.z.iter().map(|z| *z as f32).collect();
    q.trace.gradient(&q.mlp, Some(&z), &mut q.grad);
    let (origin, direction) = (q.params.clone(), q.grad.clone());
    let found = search(config, |share| {
        let moved = origin.iter().zip(&direction).map(|(p, d)| p + share as f32 * d);
        q.params.iter_mut().zip(moved).for_each(|(p, moved)| *p = moved);
        cosine(&difference(&q.outputs(&q.params, x), values), delta)
    });
    if found.share.is_none() {
        q.params.copy_from_slice(&origin);
    }
    Some((solution, found))
}

/// A solution of `K Z = delta`.
#[derive(Clone, Debug, PartialEq)]
pub struct Solution {
    /// `Z`, the shortest of the least-squares solutions but for damping.
    pub z: Vec<f64>,
    /// `|K Z - delta| / |delta|`.
    pub residual: f64,
    /// What was added to the kernel's diagonal.
    pub damping: f64,
}

/// Solve `K Z = delta` for a kernel, which is positive semidefinite and may well be singular: rows may repeat.
///
/// With `F = (K + lambda I)^-1`, `lambda` the damping times the mean diagonal, each of two rounds adds `F K F (delta - K Z)` to `Z`. A part of
/// `delta` in a direction of eigenvalue `s` is then solved but for `(1 - s^2 / (s + lambda)^2)^2` of it, and one that no gradient can produce (`s = 0`:
/// a state with two targets) leaves `Z` alone, where `F delta` would be as large as `1 / lambda`. Where `K + lambda I` has no Cholesky factor to
/// f64, or the result is not finite or leaves more than all of `delta`, `lambda` grows tenfold, up to the mean diagonal itself. `None`:
/// nothing helps, or every gradient is zero.
pub fn precondition(kernel: Kernel, delta: &[f64], damping: f64) -> Option<Solution> {
    let diagonal = kernel.k.iter().step_by(kernel.n + 1).sum::<f64>() / kernel.n as f64;
    if !(diagonal > 0.0 && diagonal.is_finite()) {
        return None;
    }
    let mut lambda = damping * diagonal;
    while lambda <= diagonal {
        if let Some(factor) = Cholesky::new(kernel.k, kernel.n, lambda) {
            let (mut z, mut rest) = (vec![0.0; kernel.n], delta.to_vec());
            for _ in 0..2 {
                factor.solve(&mut rest);
                let mut more = kernel.product(&rest);
                factor.solve(&mut more);
                z.iter_mut().zip(&more).for_each(|(z, more)| *z += more);
                rest = delta.iter().zip(kernel.product(&z)).map(|(delta, image)| delta - image).collect();
            }
            let residual = (inner(&rest, &rest) / inner(delta, delta).max(f64::MIN_POSITIVE)).sqrt();
            // No solution of a true kernel is worse than none.
            if residual <= 1.0 && z.iter().all(|z| z.is_finite()) {
                return Some(Solution { z, residual, damping: lambda });
            }
        }
        lambda = (10.0 * lambda).max(1e-12 * diagonal);
    }
    None
}

/// What a line search found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The share of `delta` that was aimed at where a trial was accepted; the values are there now.
    pub share: Option<f64>,
    /// Cosine of the first trial.
    pub first: f64,
}

/// Try `alpha`, then ever less, until the values move in the right direction: `aligned` goes to a share and tells the cosine there.
pub fn search(config: &Config, mut aligned: impl FnMut(f64) -> f64) -> Found {
    let (mut share, mut first) = (config.alpha, None);
    for _ in 0..config.trials {
        let cosine = aligned(share);
        let first = *first.get_or_insert(cosine);
        if cosine >= config.eta {
            return Found { share: Some(share), first };
        }
        share *= config.decay;
    }
    Found { share: None, first: first.unwrap_or(0.0) }
}
