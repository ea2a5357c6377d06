//! [`Algorithm`]: what turns a batch of experience into a better policy.

use tony_env::Spec;
use tony_run::{Archive, Metrics, Plan, choices};

use crate::actor_critic::{ActorCritic, Estimates};
use crate::policy::{Actor, Policy};
use crate::replay::Replay;
use crate::rollout::Rollout;
use crate::{Error, Result};

/// Makes the policy that a training improves.
pub type MakePolicy<'a> = dyn Fn() -> Result<Box<dyn Policy>> + 'a;

/// What an algorithm is built from, besides its settings.
#[derive(Clone, Copy)]
pub struct Start<'a> {
    /// What the environments are.
    pub spec: &'a Spec,
    /// Everything random follows from this.
    pub seed: u64,
    /// Makes the policy to improve; none: the algorithm makes one of the settings' shape.
    pub policy: Option<&'a MakePolicy<'a>>,
}

impl<'a> Start<'a> {
    /// With a policy of the algorithm's own making.
    pub fn new(spec: &'a Spec, seed: u64) -> Self {
        Self { spec, seed, policy: None }
    }

    /// Refuse a ready policy, for an algorithm that can only use its own.
    pub fn without_policy(&self, plan: &Plan) -> Result<()> {
        if self.policy.is_none() {
            return Ok(());
        }
        Err(Error::Invalid {
            what: format!("{} makes its own policy and cannot improve one that is given", plan.algorithm),
            hint: "use an on-policy algorithm, for example ppo: tony list algos".to_owned(),
        })
    }
}

/// A learning algorithm. `update` is a function of (parameters, optimiser state, batch, seed): no files, clocks,
/// threads of its own or environments.
pub trait Algorithm: Send {
    /// Learn from one batch.
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()>;

    /// What collects the next batch, and what is deployed.
    fn actor(&self) -> &dyn Actor;

    /// What collects the next batch, to load.
    fn actor_mut(&mut self) -> &mut dyn Actor;

    /// Environment steps that it needs in a batch, where it says so itself; none: the setting `steps_per_update`.
    fn steps_per_update(&self) -> Option<usize> {
        None
    }

    /// The policy, critics and constraints of an on-policy algorithm.
    fn learner(&self) -> Option<&ActorCritic> {
        None
    }

    /// The policy, critics and constraints of an on-policy algorithm, to change.
    fn learner_mut(&mut self) -> Option<&mut ActorCritic> {
        None
    }

    /// The experience that an off-policy algorithm keeps. It is too much for [`Algorithm::save`], and is committed in parts.
    fn replay(&self) -> Option<&Replay> {
        None
    }

    /// The experience that an off-policy algorithm keeps, to load.
    fn replay_mut(&mut self) -> Option<&mut Replay> {
        None
    }

    /// How a wrapper says what the next update's objective is. An algorithm that keeps its constraints itself refuses.
    fn weigh_costs(&mut self, _weights: CostWeights) -> Result<()> {
        Err(Error::Invalid {
            what: "this algorithm takes no multipliers".to_owned(),
            hint: "wrap ppo or trpo".to_owned(),
        })
    }

    /// Write everything that the next update depends on, except the actor and the rows of [`Algorithm::replay`].
    fn save(&self, archive: &mut Archive) -> Result<()> {
        self.learner().map_or(Ok(()), |learner| learner.save(archive))
    }

    /// Read back what [`Algorithm::save`] wrote.
    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.learner_mut().map_or(Ok(()), |learner| learner.load(archive))
    }
}

/// The accessors of an [`Algorithm`] whose field `learner` is an [`ActorCritic`].
macro_rules! learner_accessors {
    () => {
        fn actor(&self) -> &dyn crate::policy::Actor {
            self.learner.policy.as_ref()
        }

        fn actor_mut(&mut self) -> &mut dyn crate::policy::Actor {
            self.learner.policy.as_mut()
        }

        fn learner(&self) -> Option<&crate::actor_critic::ActorCritic> {
            Some(&self.learner)
        }

        fn learner_mut(&mut self) -> Option<&mut crate::actor_critic::ActorCritic> {
            Some(&mut self.learner)
        }
    };
}
pub(crate) use learner_accessors;

/// The accessors of an [`Algorithm`] whose field `actor` acts and whose field `experience` holds a replay.
macro_rules! experience_accessors {
    () => {
        fn actor(&self) -> &dyn crate::policy::Actor {
            &self.actor
        }

        fn actor_mut(&mut self) -> &mut dyn crate::policy::Actor {
            &mut self.actor
        }

        fn replay(&self) -> Option<&crate::replay::Replay> {
            Some(&self.experience.replay)
        }

        fn replay_mut(&mut self) -> Option<&mut crate::replay::Replay> {
            Some(&mut self.experience.replay)
        }
    };
}
pub(crate) use experience_accessors;

/// The accessors of an [`Algorithm`] that wraps the one in its field `inner`.
macro_rules! wrapper_accessors {
    () => {
        fn actor(&self) -> &dyn crate::policy::Actor {
            self.inner.actor()
        }

        fn actor_mut(&mut self) -> &mut dyn crate::policy::Actor {
            self.inner.actor_mut()
        }

        fn learner(&self) -> Option<&crate::actor_critic::ActorCritic> {
            self.inner.learner()
        }

        fn learner_mut(&mut self) -> Option<&mut crate::actor_critic::ActorCritic> {
            self.inner.learner_mut()
        }
    };
}
pub(crate) use wrapper_accessors;

choices! {
    /// How reward and cost share the gradient under multipliers.
    pub enum Norm {
        /// (A - lambda A_C) / (1 + lambda).
        Sum = "sum",
        /// (1 - lambda) A - lambda A_C, lambda at most 1.
        Difference = "difference",
        /// A - lambda A_C, lambda at most lagrangian.max.
        Plain = "plain",
    }
}

/// The objective `reward * A - sum_k costs[k] * A_k`.
#[derive(Clone, Debug, PartialEq)]
pub struct CostWeights {
    /// Weight of the reward advantage.
    pub reward: f64,
    /// Weight of each constraint's cost advantage.
    pub costs: Vec<f64>,
}

impl CostWeights {
    /// The reward alone.
    pub fn none(constraints: usize) -> Self {
        Self { reward: 1.0, costs: vec![0.0; constraints] }
    }

    /// Under one multiplier a constraint (PID Lagrangian paper, section 5.2).
    pub fn lagrangian(norm: Norm, multipliers: &[f64]) -> Self {
        let sum: f64 = multipliers.iter().sum();
        let (reward, scale) = match norm {
            Norm::Sum => (1.0 / (1.0 + sum), 1.0 / (1.0 + sum)),
            Norm::Difference => (1.0 - sum, 1.0),
            Norm::Plain => (1.0, 1.0),
        };
        Self { reward, costs: multipliers.iter().map(|m| m * scale).collect() }
    }

    /// One advantage column for reward and costs together.
    pub fn joint(&self, estimates: &Estimates) -> Vec<f32> {
        let mut columns = self.separate(estimates).into_iter();
        let mut sum = columns.next().unwrap_or_default();
        for column in columns {
            sum.iter_mut().zip(column).for_each(|(sum, x)| *sum += x);
        }
        sum
    }

    /// A weighted advantage column for the reward and for each cost, all to be maximised.
    pub fn separate(&self, estimates: &Estimates) -> Vec<Vec<f32>> {
        let scaled = |column: &[f32], weight: f64| column.iter().map(|a| a * weight as f32).collect();
        std::iter::once(scaled(&estimates.advantage, self.reward))
            .chain(estimates.cost_advantages.iter().zip(&self.costs).map(|(column, &w)| scaled(column, -w)))
            .collect()
    }
}
