//! Surprise: an intrinsic bonus for what a learned model of the world does not foresee, around any on-policy algorithm.
//!
//! J. Achiam, S. Sastry, "Surprise-Based Intrinsic Motivation for Deep Reinforcement Learning" (2017), with the constants and the order
//! of operations of the released code.
//!
//! For each batch: bonuses from the model as it is, *before* this batch is fitted; their scale, so that a mean of more than a nat counts
//! as one; the wrapped algorithm's update on reward plus bonus, the critic learning the reward alone; then the batch joins the replay
//! and the model makes one constrained step (`dynamics.rs`). The last row of a segment has no successor in the batch and a bonus of 0,
//! which counts in the mean. Time limits and the batch's end bootstrap here; the released code sets the value after either to 0.
//! Bonuses may be negative and are not clipped.
//!
//! Omitted: the VIME baseline; reuse of batches and importance sampling (off in the released driver). Not copied from the released code:
//! pairs of observations that cross episodes, and zero rows of an unfilled replay. Draws from the replay are with replacement.
//!
//! | paper | here |
//! |---|---|
//! | `P_phi`, `D`, `kappa`, `alpha` | [`Dynamics`], [`Replay`], `surprise.kl`, `surprise.decay` |
//! | `-log P_phi(s'|s,a)` (eq. 5) | [`Bonus::Surprisal`] |
//! | `log P_phi_t - log P_phi_(t-k)` (eq. 8), `k` | [`Bonus::Progress`], `surprise.lag` through [`lagged`] |
//! | `eta = eta_0 / max(1, abs(mean r_+))` | [`scale`] |

use std::collections::VecDeque;

use tony_random::Stream;
use tony_run::{Archive, Metrics, Plan, choices, settings};

use crate::algorithm::{Algorithm, CostWeights, Start, wrapper_accessors};
use crate::dynamics::{Dynamics, Pairs, Prediction, Replay, followed, log_density};
use crate::rollout::Rollout;
use crate::{Error, Result};

choices! {
    /// What earns a bonus.
    pub enum Bonus {
        /// Nothing.
        None = "none",
        /// What the model finds improbable.
        Surprisal = "surprisal",
        /// What the model finds more probable than an older one did.
        Progress = "progress",
        /// What the model's mean misses, whatever its deviation.
        Error = "error",
    }
}

settings! {
    /// Surprise
    pub struct Config {
        /// Bonus added to the reward: none, surprisal, progress or error.
        "surprise" bonus: Bonus = Bonus::None;
        /// Coefficient of the bonus, where its mean is at most 1; else divided by the mean (eta_0).
        "surprise.eta" eta: f64 = 0.001, (0.0..=1e6);
        /// Updates between the model and the older one that progress compares it with (k).
        "surprise.lag" lag: usize = 1, (1..=1000);
        /// Compare with one update more than the lag, as the released code does.
        "surprise.lag.released" released: bool = false;
        /// Lift all bonuses where their mean is negative, so that it becomes 0.
        "surprise.nonnegative" nonnegative: bool = false;
        /// The error is the squared distance (the released driver); else the distance.
        "surprise.squared" squared: bool = true;
        /// Widths of the model's hidden layers, of the mean's and of the deviation's network.
        "surprise.hidden" hidden: Vec<usize> = vec![64, 64];
        /// Steps that the model's replay keeps (the released code: 5,000,000). A checkpoint holds them all.
        "surprise.replay" replay: usize = 1_000_000, (1..=100_000_000);
        /// Steps drawn from it for a fit.
        "surprise.batch" batch: usize = 5_000, (1..=10_000_000);
        /// Largest mean KL divergence between the model before and after a fit (kappa).
        "surprise.kl" kl: f64 = 0.001, (1e-9..=10.0);
        /// Half of this times the squared weights is added to the model's loss. At 1 the fit soon stops: see Surprise/Accepted.
        "surprise.decay" decay: f64 = 1.0, (0.0..=1e6);
    }
}

/// Wraps an on-policy algorithm.
pub struct Surprise {
    inner: Box<dyn Algorithm>,
    config: Config,
    model: Dynamics,
    /// Parameters of the models of the updates before this one, oldest first, as many as the lag looks back.
    older: VecDeque<Vec<f32>>,
    replay: Replay,
    seed: u64,
}

/// `inner` with the bonus that the plan asks for, if any.
pub fn wrap(inner: Box<dyn Algorithm>, plan: &Plan, start: Start) -> Result<Box<dyn Algorithm>> {
    let config: Config = plan.group()?;
    if config.bonus == Bonus::None {
        return Ok(inner);
    }
    if config.hidden.iter().any(|&n| n == 0 || n > 4096) {
        return Err(Error::Invalid {
            what: format!("surprise.hidden = {:?} is no list of layer widths", config.hidden),
            hint: "give widths from 1 to 4096, for example surprise.hidden=64,64".to_owned(),
        });
    }
    let Start { spec, seed, .. } = start;
    let model = Dynamics::new(spec, &config.hidden, &mut Stream::new(seed, "init.dynamics", 0))?;
    let replay = Replay::new(spec.obs_dim, spec.action.row_len(), config.replay);
    Ok(Box::new(Surprise { inner, config, model, older: VecDeque::new(), replay, seed }))
}

impl Surprise {
    /// Bonuses of a batch before they are scaled, by the model as it is.
    fn raw(&self, rollout: &Rollout) -> Vec<f64> {
        let (o, a) = (rollout.obs_dim, rollout.act_dim);
        let mut pairs = Pairs::default();
        for row in followed(&rollout.ends) {
            let (obs, next) = rollout.obs[row * o..][..2 * o].split_at(o);
            self.model.put(obs, &rollout.act[row * a..][..a], next, &mut pairs);
        }
        let new = self.model.predict(self.model.params(), &pairs.inputs);
        let old = match self.older.front() {
            Some(params) if self.config.bonus == Bonus::Progress => self.model.predict(params, &pairs.inputs),
            _ => new.clone(),
        };
        let mut raw = vec![0.0; rollout.rows()];
        for (i, row) in followed(&rollout.ends).enumerate() {
            let part = i * o..(i + 1) * o;
            let (next, mean) = (&pairs.next[part.clone()], &new.mean[part.clone()]);
            let density = |said: &Prediction| log_density(next, &said.mean[part.clone()], &said.log_std[part.clone()]);
            raw[row] = match self.config.bonus {
                Bonus::None => 0.0,
                Bonus::Surprisal => -density(&new),
                Bonus::Progress => density(&new) - density(&old),
                Bonus::Error => prediction_error(next, mean, self.config.squared),
            };
        }
        raw
    }
}

impl Algorithm for Surprise {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let raw = self.raw(rollout);
        if let Some(row) = raw.iter().position(|bonus| !bonus.is_finite()) {
            return Err(Error::non_finite("surprise".to_owned(), row));
        }
        let scaled = scale(&raw, self.config.eta, self.config.nonnegative);
        metrics.set("Surprise/Raw", scaled.mean);
        metrics.set("Surprise/Eta", scaled.eta);
        let rewarded = Rollout { bonus: scaled.bonus.iter().map(|&bonus| bonus as f32).collect(), ..rollout.clone() };
        self.inner.update(&rewarded, metrics)?;

        self.replay.add(rollout);
        let stream = &mut Stream::new(self.seed, "surprise.batch", rollout.update);
        let pairs = self.replay.sample(self.config.batch, &self.model, stream);
        self.older.push_back(self.model.params().to_vec());
        if self.older.len() > self.config.lag + usize::from(self.config.released) {
            self.older.pop_front();
        }
        if !pairs.next.is_empty() {
            let fit = self.model.fit(&pairs, self.config.kl, self.config.decay)?;
            metrics.set("Surprise/NllBefore", fit.nll[0]);
            metrics.set("Surprise/NllAfter", fit.nll[1]);
            metrics.set("Surprise/KL", fit.kl);
            metrics.set("Surprise/Accepted", f64::from(u8::from(fit.accepted)));
        }
        Ok(())
    }

    wrapper_accessors!();

    fn weigh_costs(&mut self, weights: CostWeights) -> Result<()> {
        self.inner.weigh_costs(weights)
    }

    fn save(&self, archive: &mut Archive) -> Result<()> {
        self.model.save(archive)?;
        self.replay.save(archive)?;
        let older: Vec<f32> = self.older.iter().flatten().copied().collect();
        archive.put_f32("dynamics.older", &[self.older.len(), self.model.params().len()], &older)?;
        self.inner.save(archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.model.load(archive)?;
        self.replay.load(archive)?;
        let n = self.model.params().len();
        let count = archive.shape("dynamics.older").and_then(|shape| shape.first().copied()).unwrap_or(0);
        self.older = archive.f32("dynamics.older", &[count, n])?.chunks(n).map(<[f32]>::to_vec).collect();
        self.inner.load(archive)
    }
}

/// Bonuses as they are added to the reward.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaled {
    /// Mean of the raw bonuses over all rows.
    pub mean: f64,
    /// The coefficient.
    pub eta: f64,
    /// Coefficient times raw bonus; lifted where that is asked for.
    pub bonus: Vec<f64>,
}

/// `eta = eta_0 / max(1, |mean|)`: the absolute value is *outside* the mean, and small bonuses are not scaled up. `nonnegative` takes
/// the mean away where it is below 0.
pub fn scale(raw: &[f64], eta_0: f64, nonnegative: bool) -> Scaled {
    let mean = raw.iter().sum::<f64>() / raw.len() as f64;
    let size = mean.abs().max(1.0);
    let lift = if nonnegative { -eta_0 * (mean / size).min(0.0) } else { 0.0 };
    let eta = eta_0 / size;
    Scaled { mean, eta, bonus: raw.iter().map(|raw| eta * raw + lift).collect() }
}

/// Distance between what came and the model's mean, or its square.
pub fn prediction_error<T: Copy + Into<f64>>(next: &[T], mean: &[T], squared: bool) -> f64 {
    let sum: f64 = next.iter().zip(mean).map(|(&next, &mean)| (next.into() - mean.into()).powi(2)).sum();
    if squared { sum } else { sum.sqrt() }
}

/// Which model progress is measured against in update `t`, model 0 being the initial one.
pub fn lagged(t: usize, lag: usize, released: bool) -> usize {
    t.saturating_sub(lag + usize::from(released))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::Actor;
    use crate::policy::testing::small_policy;
    use crate::rollout::{End, Episode};
    use tony_env::Spec;
    use tony_env::space::Space;

    /// Keeps the bonuses that it is given.
    struct Witness {
        policy: crate::policy::MlpPolicy,
        given: std::sync::Arc<std::sync::Mutex<Vec<Vec<f32>>>>,
    }

    impl Algorithm for Witness {
        fn update(&mut self, rollout: &Rollout, _: &mut Metrics) -> Result<()> {
            self.given.lock().unwrap().push(rollout.bonus.clone());
            Ok(())
        }
        fn actor(&self) -> &dyn Actor {
            &self.policy
        }
        fn actor_mut(&mut self) -> &mut dyn Actor {
            &mut self.policy
        }
    }

    fn surprise(config: Config) -> (Surprise, std::sync::Arc<std::sync::Mutex<Vec<Vec<f32>>>>) {
        let action = Space::Box { low: vec![-1.0], high: vec![1.0] };
        let spec = Spec { name: "test".to_owned(), obs_dim: 2, action, costs: Vec::new(), max_steps: 10 };
        let model = Dynamics::new(&spec, &config.hidden, &mut Stream::new(1, "test", 0)).unwrap();
        let given = std::sync::Arc::default();
        let inner = Box::new(Witness { policy: small_policy(), given: std::sync::Arc::clone(&given) });
        let replay = Replay::new(2, 1, 1000);
        (Surprise { inner, config, model, older: VecDeque::new(), replay, seed: 0 }, given)
    }

    /// Two paths, of four and three steps.
    fn rollout(update: u64) -> Rollout {
        let mut stream = Stream::new(4, "rollout", update);
        let mut rollout = Rollout::new(2, 1, 0, 7);
        rollout.obs.iter_mut().chain(&mut rollout.act).for_each(|x| *x = stream.normal() as f32);
        let episode = Some(Episode { ret: 0.0, length: 3 });
        rollout.ends =
            vec![End { row: 3, terminated: true, episode }, End { row: 6, terminated: false, episode: None }];
        rollout.update = update;
        rollout
    }

    /// By the definition, row by row, with these parameters.
    fn log_densities(model: &Dynamics, params: &[f32], rollout: &Rollout) -> Vec<f64> {
        let mut all = vec![0.0; rollout.rows()];
        for row in [0, 1, 2, 4, 5] {
            let mut pairs = Pairs::default();
            model.put(
                &rollout.obs[2 * row..][..2],
                &rollout.act[row..=row],
                &rollout.obs[2 * row + 2..][..2],
                &mut pairs,
            );
            let said = model.predict(params, &pairs.inputs);
            all[row] = log_density(&pairs.next, &said.mean, &said.log_std);
        }
        all
    }

    /// The last step of a path earns nothing and counts in the mean; the model is the one from before this batch was fitted; progress is
    /// the newer minus the older, which lags as the paper says or as the released code does.
    #[test]
    fn bonuses_come_from_the_models_of_before_in_this_order() {
        for (bonus, lag, released) in [
            (Bonus::Surprisal, 1, false),
            (Bonus::Progress, 1, false),
            (Bonus::Progress, 1, true),
            (Bonus::Progress, 3, false),
            (Bonus::Progress, 3, true),
        ] {
            let config = Config { bonus, lag, released, hidden: vec![5], kl: 0.05, decay: 0.0, ..Config::default() };
            let (mut surprise, given) = surprise(config);
            let mut models = Vec::new();
            for t in 0..8 {
                models.push(surprise.model.params().to_vec());
                let batch = rollout(t as u64);
                let mut metrics = Metrics::new();
                surprise.update(&batch, &mut metrics).unwrap();
                assert_eq!(
                    metrics.get("Surprise/Accepted"),
                    Some(1.0),
                    "the model has to move for the order to matter"
                );
                let new = log_densities(&surprise.model, &models[t], &batch);
                let old = log_densities(&surprise.model, &models[lagged(t, lag, released)], &batch);
                let raw: Vec<f64> = match bonus {
                    Bonus::Surprisal => new.iter().map(|new| -new).collect(),
                    _ => new.iter().zip(&old).map(|(new, old)| new - old).collect(),
                };
                let mean = raw.iter().sum::<f64>() / 7.0;
                let eta = 0.001 / mean.abs().max(1.0);
                // Both sides are the same sums in f64.
                assert!((metrics.get("Surprise/Raw").unwrap() - mean).abs() < 1e-12, "{bonus:?} {lag} {released} {t}");
                assert!((metrics.get("Surprise/Eta").unwrap() / eta - 1.0).abs() < 1e-12);
                let added = given.lock().unwrap().pop().unwrap();
                assert_eq!((added[3], added[6]), (0.0, 0.0));
                for (added, raw) in added.iter().zip(&raw) {
                    // Rounded to f32 as it is added.
                    assert!((f64::from(*added) - eta * raw).abs() <= 1e-7 * (eta * raw).abs(), "{added} {raw}");
                }
            }
        }
    }

    #[test]
    fn a_model_that_predicts_nonsense_is_named() {
        let (mut surprise, _) = surprise(Config { bonus: Bonus::Surprisal, ..Config::default() });
        surprise.model.params_mut().fill(f32::MAX);
        let error = surprise.update(&rollout(0), &mut Metrics::new()).unwrap_err().to_string();
        assert!(error.contains("surprise is not finite"), "{error}");
    }
}
