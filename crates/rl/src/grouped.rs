//! What RLOO and GRPO share: a policy without critics, whole episodes in groups that began alike, and passes over them.
//!
//! What an episode was worth is its return less what the others of its group returned; nothing is bootstrapped and nothing discounted.

use tony_nn::{Adam, clip_norm};
use tony_run::{Archive, Metrics, Plan, settings};

use crate::actor_critic::{Networks, check_finite, minibatches};
use crate::algorithm::Start;
use crate::critic::{load_adam, save_adam};
use crate::policy::{Batch, Policy, Weight};
use crate::rollout::Rollout;
use crate::schedule::Schedule;
use crate::{Error, Result, train};

settings! {
    /// Passes
    pub struct Config {
        /// Passes over a batch.
        "passes" passes: usize = 1, (1..=10_000);
        /// Rows a gradient step; 0: the whole batch.
        "minibatch" minibatch: usize = 0;
        /// Learning rate of the policy.
        "lr" lr: f64 = 3e-4, (0.0..=1.0);
        /// Learning rate over the training: constant or linear.
        "lr.schedule" schedule: Schedule = Schedule::Constant;
        /// Weight of the mean entropy in the objective.
        "entropy" entropy: f64 = 0.0, (0.0..=10.0);
        /// Epsilon of Adam.
        "adam.epsilon" adam_epsilon: f64 = 1e-8, (0.0..=0.1);
        /// Largest norm of a gradient; longer ones are scaled down.
        "max_grad_norm" max_grad_norm: f64 = 1.0, (1e-6..=1e9);
    }
}

/// A policy that learns from groups of episodes.
pub struct Grouped {
    /// The policy.
    pub policy: Box<dyn Policy>,
    adam: Adam,
    config: Config,
    envs: usize,
    group: usize,
    episodes: usize,
    seed: u64,
}

impl Grouped {
    /// Build from settings, around the ready policy if there is one.
    pub fn new(plan: &Plan, start: Start) -> Result<Self> {
        let (config, run) = (plan.group::<Config>()?, plan.group::<train::Config>()?);
        let Some(episodes) = run.episodes_per_update.filter(|_| run.group > 1) else {
            return Err(Error::Invalid {
                what: format!("{} compares whole episodes that began alike", plan.algorithm),
                hint:
                    "set episodes_per_update, and group to 2 or more; for example envs=8 group=4 episodes_per_update=64"
                        .to_owned(),
            });
        };
        let policy = plan.group::<Networks>()?.policy(start)?;
        let adam = Adam::new(policy.params().len(), 0.9, 0.999, config.adam_epsilon);
        Ok(Self { policy, adam, config, envs: run.envs, group: run.group, episodes, seed: start.seed })
    }

    /// The advantage of each row, that of its episode: `of` gives a group's advantages for its returns.
    pub fn advantages(
        &self,
        rollout: &Rollout,
        of: impl Fn(&[f64]) -> Vec<f64>,
        metrics: &mut Metrics,
    ) -> Result<Vec<f32>> {
        if rollout.ends.len() != self.episodes || rollout.ends.iter().any(|end| end.episode.is_none()) {
            return Err(Error::Invalid {
                what: format!(
                    "a batch of {} segments where {} whole episodes are due",
                    rollout.ends.len(),
                    self.episodes
                ),
                hint: "collect with episodes_per_update".to_owned(),
            });
        }
        let each = self.episodes / self.envs;
        let mut advantages = vec![0.0; rollout.rows()];
        let (mut alike, mut groups) = (0, 0);
        for first in (0..self.envs).step_by(self.group) {
            for episode in 0..each {
                let members: Vec<usize> = (first..first + self.group).map(|env| env * each + episode).collect();
                let returns: Vec<f64> = members
                    .iter()
                    .map(|&member| rollout.reward[rollout.segment(member)].iter().map(|&r| f64::from(r)).sum())
                    .collect();
                groups += 1;
                alike += usize::from(returns.iter().all(|&ret| ret == returns[0]));
                for (member, advantage) in members.into_iter().zip(of(&returns)) {
                    advantages[rollout.segment(member)].fill(advantage as f32);
                }
            }
        }
        // A group whose episodes all returned the same teaches nothing.
        metrics.set("Train/GroupsAlike", f64::from(alike as u32) / f64::from(groups));
        Ok(advantages)
    }

    /// Make the passes, minibatch by minibatch, uphill. `weigh` gives the weights of a minibatch's log-probabilities at the policy as it is,
    /// such that over all rows they make the gradient of the objective. `whole`: minibatches end where episodes do.
    pub fn improve<'a>(
        &mut self,
        rollout: &Rollout,
        whole: bool,
        weigh: &dyn Fn(&dyn Policy, &Batch) -> Box<Weight<'a>>,
        metrics: &mut Metrics,
    ) -> Result<()> {
        let (config, policy, all) = (&self.config, self.policy.as_mut(), Batch::all(rollout));
        let old = policy.distributions(&all);
        let lr = config.lr * config.schedule.factor(rollout.progress);
        let size = if config.minibatch == 0 { rollout.rows() } else { config.minibatch };
        let whole = whole || policy.whole_episodes();
        let mut grad = vec![0.0; policy.params().len()];
        for pass in 0..config.passes {
            for index in &minibatches(whole, rollout, size, self.seed, pass) {
                let selected = Batch { index: Some(index), ..all };
                let weight = weigh(policy, &selected);
                let share = rollout.rows() as f32 / index.len() as f32;
                let entropy = -config.entropy as f32 / index.len() as f32;
                policy.gradient(&selected, &|row, log_prob| -share * weight(row, log_prob), entropy, &mut grad);
                if !clip_norm(&mut grad, config.max_grad_norm).is_finite() {
                    return Err(Error::non_finite("gradient of the policy".to_owned(), index[0] as usize));
                }
                self.adam.step(policy.params_mut(), &grad, lr);
            }
        }
        check_finite("policy", policy.params())?;
        metrics.set("Train/LR", lr);
        metrics.set("Train/KL", policy.kl(&all, &old));
        metrics.set("Train/Entropy", policy.entropy(&all));
        policy.observe(&rollout.obs);
        Ok(())
    }

    /// Write everything that the next update depends on, except the policy.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        save_adam(&self.adam, "policy.adam", archive)
    }

    /// Read back what [`Grouped::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        load_adam(&mut self.adam, "policy.adam", archive)
    }
}

/// The accessors of an [`crate::algorithm::Algorithm`] whose field `learner` is a [`Grouped`].
macro_rules! grouped_accessors {
    () => {
        fn actor(&self) -> &dyn crate::policy::Actor {
            self.learner.policy.as_ref()
        }

        fn actor_mut(&mut self) -> &mut dyn crate::policy::Actor {
            self.learner.policy.as_mut()
        }

        fn save(&self, archive: &mut tony_run::Archive) -> Result<()> {
            self.learner.save(archive)
        }

        fn load(&mut self, archive: &tony_run::Archive) -> Result<()> {
            self.learner.load(archive)
        }
    };
}
pub(crate) use grouped_accessors;
