//! Deep Deterministic Policy Gradient.
//!
//! T. Lillicrap et al., "Continuous control with deep reinforcement learning" (2016), Algorithm 1.
//!
//! A critic by regression to slowly following targets, and a deterministic policy that climbs it. Omitted: batch normalisation, the
//! regulariser of the critic, and correlated noise, in place of which the noise is independent in time (which TD3 found to do as well; at Stable-Baselines3
//! it is the user's to choose). `tau=1` is DDPG without target networks.
//!
//! | paper | here |
//! |---|---|
//! | `theta^Q`, `theta^mu` | `q`, `policy` |
//! | `theta^Q'`, `theta^mu'` | `q.target`, `policy.target` |
//! | `y_i` | `targets` |
//! | `N_t` | `noise`, in the cube `[-1, 1]^d` |
//! | sampled policy gradient | [`ascend`] |

use tony_run::{Archive, Metrics, Plan, Settings, settings};

use super::{Entry, Preset};
use crate::algorithm::{Algorithm, experience_accessors};
use crate::diagnose::Diagnosis;
use crate::net_actor::{Head, NetActor};
use crate::off_policy::{self, Experience, Net, ascend, beside, fit, mean, nothing_on_policy, td_targets};
use crate::rollout::Rollout;
use crate::{Result, train};

settings! {
    /// DDPG
    pub struct Config {
        /// Learning rate of the policy and of the critic.
        "lr" lr: f64 = 1e-3, (0.0..=1.0);
        /// Share of the way that target networks go after each gradient step; 1: no target networks.
        "tau" tau: f64 = 0.005, (0.0..=1.0);
        /// Deviation of the exploring noise, as a share of half the range of actions.
        "noise" noise: f64 = 0.1, (0.0..=10.0);
    }
}

/// DDPG.
struct Ddpg {
    experience: Experience,
    config: Config,
    actor: NetActor,
    policy: Net,
    q: Net,
}

pub(super) const ENTRY: Entry = Entry {
    name: "ddpg",
    title: "Deep Deterministic Policy Gradient",
    family: "off-policy",
    summary: "a deterministic policy climbs a critic; ignores costs",
    paper: "Lillicrap et al. 2016",
    presets: &[Preset {
        name: "default",
        summary: "Stable-Baselines3's values",
        values: &[super::presets::ONE_STEP, &[("hidden", "[400, 300]")]],
    }],
    groups: &[&[train::Config::fields, off_policy::Config::fields, off_policy::PolicyConfig::fields, Config::fields]],
    build: |plan: &Plan, start| {
        let config: Config = plan.group()?;
        let head = Head::Deterministic(config.noise);
        let outputs = NetActor::outputs("ddpg", start.spec, head)?;
        let experience = Experience::new(plan, start)?;
        let policy = experience.policy(plan, start.spec.obs_dim, outputs)?.with_target();
        let q = experience.critic("q", start.spec.obs_dim + outputs, 1)?.with_target();
        let actor = experience.actor(&policy, head);
        Ok(Box::new(Ddpg { experience, config, actor, policy, q }))
    },
};

impl Algorithm for Ddpg {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let Self { experience, config, actor, policy, q } = self;
        let (due, gamma) = (experience.add(rollout), experience.config.gamma);
        for step in 0..due {
            experience.draw();
            let (batch, rows) = (&experience.batch, experience.batch.rows());
            let next_act = actor.actions(&policy.target, &batch.next_obs);
            let next = q.outputs(&q.target, &beside(&batch.next_obs, &next_act, rows));
            let targets = td_targets(batch, gamma, &next);
            let x = beside(&batch.obs, &batch.act, rows);
            let diagnosis =
                experience.diagnoses(rollout, step, due).then(|| Diagnosis::before(q, &x, vec![1.0; rows], &targets));

            let values = q.forward(&x);
            metrics.set("Loss/Q", fit(q, &values, &targets, config.lr)?);
            metrics.set("Value/Q", mean(&values));
            if let Some(diagnosis) = diagnosis {
                diagnosis.after(q, &x, gamma, experience.largest_reward, None, metrics);
            }
            ascend(policy, q, &batch.obs, config.lr)?;
            policy.follow(config.tau as f32);
            q.follow(config.tau as f32);
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
