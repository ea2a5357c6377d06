//! Twin Delayed Deep Deterministic policy gradient.
//!
//! S. Fujimoto, H. van Hoof, D. Meger, "Addressing Function Approximation Error in Actor-Critic Methods" (2018), Algorithm 1.
//!
//! DDPG with three remedies for values that are too high: the smaller of two critics is the target, the policy follows more seldom, and the
//! target's action is smoothed by clipped noise. Omitted: nothing; the paper's first 10,000 steps at random are `start_steps=10000`.
//!
//! | paper | here |
//! |---|---|
//! | `theta_1`, `theta_2`, `phi` | `critics`, `policy` |
//! | `theta'_i`, `phi'` | `critics[i].target`, `policy.target` |
//! | `d` | `policy.delay` |
//! | `sigma`, `sigma~`, `c` | `noise`, `target.noise`, `target.noise_clip` |
//! | `a~` | [`smoothed`] |
//! | `y` | `targets`, of the smaller next value |

use tony_run::{Archive, Metrics, Plan, Settings, settings};

use super::{Entry, Preset};
use crate::algorithm::{Algorithm, experience_accessors};
use crate::diagnose::Diagnosis;
use crate::net_actor::{Head, NetActor};
use crate::off_policy::{self, Experience, Net, ascend, beside, fit, mean, nothing_on_policy, smaller, td_targets};
use crate::rollout::Rollout;
use crate::{Result, train};

settings! {
    /// TD3
    pub struct Config {
        /// Learning rate of the policy and of the critics.
        "lr" lr: f64 = 1e-3, (0.0..=1.0);
        /// Share of the way that target networks go after each step of the policy.
        "tau" tau: f64 = 0.005, (0.0..=1.0);
        /// Deviation of the exploring noise, as a share of half the range of actions.
        "noise" noise: f64 = 0.1, (0.0..=10.0);
        /// Steps of the critics for each of the policy.
        "policy.delay" delay: u64 = 2, (1..=1000);
        /// Deviation of the noise that smooths the target.
        "target.noise" target_noise: f64 = 0.2, (0.0..=10.0);
        /// Bound of that noise.
        "target.noise_clip" noise_clip: f64 = 0.5, (0.0..=10.0);
    }
}

/// TD3.
struct Td3 {
    experience: Experience,
    config: Config,
    actor: NetActor,
    policy: Net,
    critics: [Net; 2],
}

pub(super) const ENTRY: Entry = Entry {
    name: "td3",
    title: "Twin Delayed DDPG",
    family: "off-policy",
    summary: "DDPG with the smaller of two critics, a delayed policy and smoothed targets; ignores costs",
    paper: "Fujimoto et al. 2018",
    presets: &[Preset {
        name: "default",
        summary: "Stable-Baselines3's values",
        values: &[super::presets::ONE_STEP, &[("hidden", "[400, 300]")]],
    }],
    groups: &[&[train::Config::fields, off_policy::Config::fields, off_policy::PolicyConfig::fields, Config::fields]],
    build: |plan: &Plan, start| {
        let config: Config = plan.group()?;
        let head = Head::Deterministic(config.noise);
        let outputs = NetActor::outputs("td3", start.spec, head)?;
        let experience = Experience::new(plan, start)?;
        let policy = experience.policy(plan, start.spec.obs_dim, outputs)?.with_target();
        let critic = |name| experience.critic(name, start.spec.obs_dim + outputs, 1).map(Net::with_target);
        let critics = [critic("q1")?, critic("q2")?];
        let actor = experience.actor(&policy, head);
        Ok(Box::new(Td3 { experience, config, actor, policy, critics }))
    },
};

impl Algorithm for Td3 {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let Self { experience, config, actor, policy, critics } = self;
        let (due, gamma, tau) = (experience.add(rollout), experience.config.gamma, config.tau as f32);
        for step in 0..due {
            experience.draw();
            let (batch, rows) = (&experience.batch, experience.batch.rows());
            let noise = experience.normals("target", batch.act.len());
            let next_act = smoothed(actor.actions(&policy.target, &batch.next_obs), &noise, config);
            let next_x = beside(&batch.next_obs, &next_act, rows);
            let [next1, next2] = critics.each_ref().map(|q| q.outputs(&q.target, &next_x));
            let targets = td_targets(batch, gamma, &smaller(&next1, &next2));
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
            if let Some(diagnosis) = diagnosis {
                diagnosis.after(&critics[0], &x, gamma, experience.largest_reward, None, metrics);
            }
            if experience.taken.is_multiple_of(config.delay) {
                ascend(policy, &mut critics[0], &batch.obs, config.lr)?;
                policy.follow(tau);
                critics.iter_mut().for_each(|q| q.follow(tau));
            }
        }
        actor.uniform = experience.warming_up();
        actor.params.copy_from_slice(&policy.params);
        nothing_on_policy(metrics);
        Ok(())
    }

    experience_accessors!();

    fn save(&self, archive: &mut Archive) -> Result<()> {
        self.policy.save(archive)?;
        self.critics.iter().try_for_each(|q| q.save(archive))?;
        self.experience.save(archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.policy.load(archive)?;
        self.critics.iter_mut().try_for_each(|q| q.load(archive))?;
        self.experience.load(archive)?;
        self.actor.uniform = self.experience.warming_up();
        Ok(())
    }
}

/// Target policy smoothing: `clip(mu + clip(sigma noise, -c, c), -1, 1)`.
pub fn smoothed(mut act: Vec<f32>, noise: &[f32], config: &Config) -> Vec<f32> {
    let (deviation, clip) = (config.target_noise as f32, config.noise_clip as f32);
    act.iter_mut().zip(noise).for_each(|(a, z)| *a = (*a + (deviation * z).clamp(-clip, clip)).clamp(-1.0, 1.0));
    act
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smoothing_clips_the_noise_and_then_the_action() {
        let config = Config { target_noise: 1.0, noise_clip: 0.5, ..Config::default() };
        assert_eq!(smoothed(vec![0.0, 0.0, 0.75, -0.75], &[0.25, -3.0, 3.0, -3.0], &config), [0.25, -0.5, 1.0, -1.0]);
    }
}
