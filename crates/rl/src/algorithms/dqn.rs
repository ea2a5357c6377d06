//! Deep Q-learning.
//!
//! V. Mnih et al., "Human-level control through deep reinforcement learning" (2015), Algorithm 1.
//!
//! Regression of `Q(s, a)` to `r + gamma max_a' Q_target(s', a')` on transitions drawn from memory; acts greedily but for a share of random
//! actions that falls over the training. Omitted: convolutions, stacked frames and clipped rewards, which are Atari's. The loss beyond an error of 1
//! is linear (the paper clips the error), as in the Stable-Baselines3 defaults here.
//!
//! | paper | here |
//! |---|---|
//! | `D`, `N` | `Experience::replay`, `replay` |
//! | `epsilon` | `exploration.*`, linear in the share of the training |
//! | `theta^-`, `C` | `q.target`, `target.interval` |
//! | `y_j` | `targets`, the maximum by [`best_values`] |
//! | error clipped to +-1 | [`clipped_error`] |

use tony_run::{Archive, Metrics, Plan, Settings, settings};

use super::{Entry, Preset};
use crate::algorithm::{Algorithm, experience_accessors};
use crate::diagnose::Diagnosis;
use crate::net_actor::{Head, NetActor};
use crate::off_policy::{self, Experience, Net, mean, nothing_on_policy, td_targets};
use crate::rollout::Rollout;
use crate::{Result, train};

settings! {
    /// DQN
    pub struct Config {
        /// Learning rate.
        "lr" lr: f64 = 1e-4, (0.0..=1.0);
        /// Environment steps between two copies of the network to its target.
        "target.interval" interval: u64 = 10_000, (1..);
        /// Share of random actions at the start.
        "exploration.start" start: f64 = 1.0, (0.0..=1.0);
        /// Share of random actions in the end.
        "exploration.end" end: f64 = 0.05, (0.0..=1.0);
        /// Share of the training over which it falls.
        "exploration.fraction" fraction: f64 = 0.1, (0.0..=1.0);
        /// Largest norm of the gradient.
        "max_grad_norm" max_grad_norm: f64 = 10.0, (0.0..);
    }
}

/// Deep Q-learning.
struct Dqn {
    experience: Experience,
    config: Config,
    actor: NetActor,
    q: Net,
}

pub(super) const ENTRY: Entry = Entry {
    name: "dqn",
    title: "Deep Q-Network",
    family: "off-policy",
    summary: "values of discrete actions by regression to a target network; ignores costs",
    paper: "Mnih et al. 2015",
    presets: &[Preset {
        name: "default",
        summary: "Stable-Baselines3's values",
        values: &[&[
            ("steps_per_update", "4"),
            ("envs", "1"),
            ("log.updates", "250"),
            ("hidden", "[64, 64]"),
            ("minibatch", "32"),
            ("gradient_steps", "1"),
        ]],
    }],
    groups: &[&[train::Config::fields, off_policy::Config::fields, Config::fields]],
    build: |plan: &Plan, start| {
        let config: Config = plan.group()?;
        let head = Head::Greedy(config.start);
        let outputs = NetActor::outputs("dqn", start.spec, head)?;
        let experience = Experience::new(plan, start)?;
        let q = experience.critic("q", start.spec.obs_dim, outputs)?.with_target();
        let actor = experience.actor(&q, head);
        Ok(Box::new(Dqn { experience, config, actor, q }))
    },
};

impl Algorithm for Dqn {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let Self { experience, config, actor, q } = self;
        let before = experience.steps() / config.interval;
        let (due, gamma, actions) = (experience.add(rollout), experience.config.gamma, q.mlp.output());
        for step in 0..due {
            experience.draw();
            let batch = &experience.batch;
            let targets = td_targets(batch, gamma, &best_values(&q.outputs(&q.target, &batch.next_obs), actions));
            let chosen = one_hot(&batch.act, actions);
            let diagnosis = experience
                .diagnoses(rollout, step, due)
                .then(|| Diagnosis::before(q, &batch.obs, chosen.clone(), &targets));

            let y = q.forward(&batch.obs);
            let values: Vec<f32> = batch.act.iter().enumerate().map(|(i, &a)| y[i * actions + a as usize]).collect();
            let mut dy = chosen;
            for (i, dy) in dy.chunks_exact_mut(actions).enumerate() {
                let error = clipped_error(values[i] - targets[i]) / batch.rows() as f32;
                dy.iter_mut().for_each(|dy| *dy *= error);
            }
            q.backward(&dy);
            q.by_params(config.max_grad_norm)?;
            q.descend(config.lr);

            metrics.set("Value/Q", mean(&values));
            if let Some(diagnosis) = diagnosis {
                diagnosis.after(q, &batch.obs, gamma, experience.largest_reward, None, metrics);
            }
        }
        if experience.steps() / config.interval > before {
            q.target.copy_from_slice(&q.params);
        }
        let epsilon = exploration(config, rollout.progress);
        actor.head = Head::Greedy(epsilon);
        actor.uniform = experience.warming_up();
        actor.params.copy_from_slice(&q.params);
        nothing_on_policy(metrics);
        metrics.set("Train/Exploration", epsilon);
        Ok(())
    }

    experience_accessors!();

    fn save(&self, archive: &mut Archive) -> Result<()> {
        if let Head::Greedy(epsilon) = self.actor.head {
            archive.put_f64("exploration", &[1], &[epsilon])?;
        }
        self.q.save(archive)?;
        self.experience.save(archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.actor.head = Head::Greedy(archive.f64("exploration", &[1])?[0]);
        self.q.load(archive)?;
        self.experience.load(archive)?;
        self.actor.uniform = self.experience.warming_up();
        Ok(())
    }
}

/// Share of random actions at this share of the training.
pub fn exploration(config: &Config, progress: f64) -> f64 {
    if progress >= config.fraction {
        return config.end;
    }
    config.start + (config.end - config.start) * progress / config.fraction
}

/// The largest of each row's values.
pub fn best_values(y: &[f32], actions: usize) -> Vec<f32> {
    // Written so that a NaN passes through.
    let larger = |best: f32, y: f32| if y > best || y.is_nan() { y } else { best };
    y.chunks_exact(actions).map(|row| row.iter().copied().fold(f32::NEG_INFINITY, larger)).collect()
}

/// Derivative of the loss by the value: the error, held within +-1. A NaN passes through.
pub fn clipped_error(error: f32) -> f32 {
    error.clamp(-1.0, 1.0)
}

/// A 1 where the action of each row stands, else 0.
fn one_hot(act: &[f32], actions: usize) -> Vec<f32> {
    let mut rows = vec![0.0; act.len() * actions];
    rows.chunks_exact_mut(actions).zip(act).for_each(|(row, &a)| row[a as usize] = 1.0);
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exploration_falls_linearly_and_stays() {
        let config = Config::default();
        let at = |progress| exploration(&config, progress);
        assert_eq!((at(0.0), at(0.1), at(1.0)), (1.0, 0.05, 0.05));
        assert!((at(0.05) - 0.525).abs() < 1e-12);
        assert_eq!(exploration(&Config { fraction: 0.0, ..config }, 0.0), 0.05);
    }

    #[test]
    fn the_best_action_s_value_counts_and_errors_are_clipped() {
        assert_eq!(best_values(&[1.0, 3.0, 2.0, -5.0, -4.0, -6.0], 3), [3.0, -4.0]);
        assert_eq!([-3.0, -0.5, 2.0].map(clipped_error), [-1.0, -0.5, 1.0]);
        assert!(clipped_error(f32::NAN).is_nan());
        assert_eq!(one_hot(&[2.0, 0.0], 3), [0.0, 0.0, 1.0, 1.0, 0.0, 0.0]);
    }
}
