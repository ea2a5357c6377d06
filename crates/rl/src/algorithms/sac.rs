//! Soft Actor-Critic.
//!
//! T. Haarnoja et al., "Soft Actor-Critic Algorithms and Applications" (2018), Algorithm 1.
//!
//! Maximises return plus entropy: a squashed Gaussian policy by reparametrisation, the smaller of two critics, and a temperature that keeps
//! the entropy near its target. Omitted: the separate value network of the first paper, which the second one dropped, too.
//!
//! | paper | here |
//! |---|---|
//! | `theta_1`, `theta_2`, `phi` | `critics`, `policy` |
//! | `theta-bar_i`, `tau` | `critics[i].target`, `tau` |
//! | `alpha`, `H-bar` | `exp(log_alpha)`, `entropy.target` |
//! | `f_phi(epsilon; s)`, `log pi` | `squashed::sample` |
//! | `V(s')` (eq. 3) | [`soft_value`] |
//! | `J(alpha)` (eq. 18) | [`temperature_gradient`] |

use tony_nn::{Adam, squashed};
use tony_run::{Archive, Metrics, Plan, Settings, settings};

use super::{Entry, Preset};
use crate::algorithm::{Algorithm, experience_accessors};
use crate::critic::{load_adam, save_adam};
use crate::diagnose::Diagnosis;
use crate::net_actor::{Head, NetActor};
use crate::off_policy::{self, Experience, Net, beside, fit, last_columns, mean, smaller, td_targets};
use crate::rollout::Rollout;
use crate::{Result, train};

settings! {
    /// SAC
    pub struct Config {
        /// Learning rate of the policy, the critics and the temperature.
        "lr" lr: f64 = 3e-4, (0.0..=1.0);
        /// Share of the way that target networks go after each gradient step.
        "tau" tau: f64 = 0.005, (0.0..=1.0);
        /// Weight of the entropy (alpha); none: learned, from 1 on.
        "entropy.weight" weight: Option<f64> = None, if |weight| weight.is_none_or(|w| w >= 0.0), "none, or a number, at least 0";
        /// Entropy that a learned weight keeps, in nats; none: minus the number of action dimensions.
        "entropy.target" target: Option<f64> = None;
    }
}

/// SAC.
struct Sac {
    experience: Experience,
    config: Config,
    actor: NetActor,
    policy: Net,
    critics: [Net; 2],
    log_alpha: [f32; 1],
    adam: Adam,
}

pub(super) const ENTRY: Entry = Entry {
    name: "sac",
    title: "Soft Actor-Critic",
    family: "off-policy",
    summary: "return plus entropy: a squashed Gaussian policy, two critics, a learned temperature; ignores costs",
    paper: "Haarnoja et al. 2018",
    presets: &[Preset { name: "default", summary: "Stable-Baselines3's values", values: &[super::presets::ONE_STEP] }],
    groups: &[&[train::Config::fields, off_policy::Config::fields, off_policy::PolicyConfig::fields, Config::fields]],
    build: |plan: &Plan, start| {
        let config: Config = plan.group()?;
        let outputs = NetActor::outputs("sac", start.spec, Head::Squashed)?;
        let experience = Experience::new(plan, start)?;
        let policy = experience.policy(plan, start.spec.obs_dim, outputs)?;
        let critic = |name| experience.critic(name, start.spec.obs_dim + outputs / 2, 1).map(Net::with_target);
        let critics = [critic("q1")?, critic("q2")?];
        let actor = experience.actor(&policy, Head::Squashed);
        let log_alpha = [config.weight.map_or(0.0, |weight| libm::log(weight) as f32)];
        let adam = Adam::new(1, 0.9, 0.999, 1e-8);
        Ok(Box::new(Sac { experience, config, actor, policy, critics, log_alpha, adam }))
    },
};

impl Algorithm for Sac {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let Self { experience, config, actor, policy, critics, log_alpha, adam } = self;
        let (due, gamma, tau) = (experience.add(rollout), experience.config.gamma, config.tau as f32);
        for step in 0..due {
            experience.draw();
            let (batch, rows) = (&experience.batch, experience.batch.rows());
            let (d, alpha) = (rollout.act_dim, libm::expf(log_alpha[0]));
            let draw = |y: &[f32], noise: &[f32]| {
                let (mut act, mut log_prob) = (vec![0.0; rows * d], vec![0.0; rows]);
                squashed::sample(y, d, noise, &mut act, &mut log_prob);
                (act, log_prob)
            };

            // Critics: towards the soft value of what follows.
            let next_y = policy.outputs(&policy.params, &batch.next_obs);
            let (next_act, next_log_prob) = draw(&next_y, &experience.normals("next", rows * d));
            let next_x = beside(&batch.next_obs, &next_act, rows);
            let [next1, next2] = critics.each_ref().map(|q| q.outputs(&q.target, &next_x));
            let targets = td_targets(batch, gamma, &soft_value(&smaller(&next1, &next2), &next_log_prob, alpha));
            let x = beside(&batch.obs, &batch.act, rows);
            let diagnosis = experience
                .diagnoses(rollout, step, due)
                .then(|| Diagnosis::before(&mut critics[0], &x, vec![1.0; rows], &targets));
            let mut loss = 0.0;
            for q in critics.iter_mut() {
                let values = q.forward(&x);
                loss += fit(q, &values, &targets, config.lr)?;
                metrics.set("Value/Q", mean(&values));
            }
            metrics.set("Loss/Q", loss);

            // Policy: up the smaller critic less alpha log pi, through the noise.
            let noise = experience.normals("now", rows * d);
            let y = policy.forward(&batch.obs);
            let (act, log_prob) = draw(&y, &noise);
            let now = beside(&batch.obs, &act, rows);
            let [q1, q2] = critics;
            let (v1, v2) = (q1.forward(&now), q2.forward(&now));
            let share = 1.0 / rows as f32;
            let of = |mine: &[f32], other: &[f32], tie: f32| -> Vec<f32> {
                let smaller = |(mine, other): (&f32, &f32)| {
                    if mine < other {
                        -share
                    } else if mine == other {
                        tie
                    } else {
                        0.0
                    }
                };
                mine.iter().zip(other).map(smaller).collect()
            };
            q1.backward(&of(&v1, &v2, -share));
            q2.backward(&of(&v2, &v1, 0.0));
            let mut d_act = last_columns(&q1.by_input(), d, rows);
            d_act.iter_mut().zip(last_columns(&q2.by_input(), d, rows)).for_each(|(sum, d_act)| *sum += d_act);
            let mut dy = vec![0.0; y.len()];
            squashed::gradient(&y, d, &noise, &act, &d_act, alpha * share, &mut dy);
            policy.backward(&dy);
            policy.by_params(f64::INFINITY)?;
            policy.descend(config.lr);

            // Temperature.
            let target = config.target.unwrap_or(-(d as f64));
            if config.weight.is_none() {
                adam.step(log_alpha, &[temperature_gradient(&log_prob, target)], config.lr);
            }
            critics.iter_mut().for_each(|q| q.follow(tau));

            metrics.set("Train/Entropy", -mean(&log_prob));
            metrics.set("Train/Alpha", f64::from(alpha));
            if let Some(diagnosis) = diagnosis {
                // The entropy is paid like a reward.
                let surprise = next_log_prob.iter().fold(0.0_f32, |largest, l| largest.max(l.abs()));
                let largest = experience.largest_reward + f64::from(alpha * surprise);
                diagnosis.after(&critics[0], &x, gamma, largest, None, metrics);
            }
        }
        actor.uniform = experience.warming_up();
        actor.params.copy_from_slice(&policy.params);
        metrics.set_none("Train/KL");
        if due == 0 {
            metrics.set_none("Train/Entropy");
        }
        Ok(())
    }

    experience_accessors!();

    fn save(&self, archive: &mut Archive) -> Result<()> {
        self.policy.save(archive)?;
        self.critics.iter().try_for_each(|q| q.save(archive))?;
        archive.put_f32("log_alpha", &[1], &self.log_alpha)?;
        save_adam(&self.adam, "log_alpha.adam", archive)?;
        self.experience.save(archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.policy.load(archive)?;
        self.critics.iter_mut().try_for_each(|q| q.load(archive))?;
        self.log_alpha = [archive.f32("log_alpha", &[1])?[0]];
        load_adam(&mut self.adam, "log_alpha.adam", archive)?;
        self.experience.load(archive)?;
        self.actor.uniform = self.experience.warming_up();
        Ok(())
    }
}

/// `Q - alpha log pi` of each row.
pub fn soft_value(q: &[f32], log_prob: &[f32], alpha: f32) -> Vec<f32> {
    q.iter().zip(log_prob).map(|(q, l)| q - alpha * l).collect()
}

/// Derivative by `log alpha` of `mean(-log alpha (log pi + target))`: with less entropy than wanted the temperature rises.
pub fn temperature_gradient(log_prob: &[f32], target: f64) -> f32 {
    -(mean(log_prob) + target) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entropy_adds_to_the_value_and_the_temperature_rises_where_it_lacks() {
        assert_eq!(soft_value(&[1.0, 2.0], &[-3.0, 1.0], 0.5), [2.5, 1.5]);
        // Entropy 1 where 2 are wanted: descent raises log alpha.
        assert!(temperature_gradient(&[-1.0, -1.0], 2.0) < 0.0);
        assert!(temperature_gradient(&[-1.0, -1.0], -2.0) > 0.0);
    }
}
