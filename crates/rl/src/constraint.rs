//! Constraints: limits on the undiscounted cost of an episode, by the name of the cost channel.

use tony_env::Spec;
use tony_run::{Plan, settings};

use crate::rollout::Rollout;
use crate::{Error, Result};

settings! {
    /// Limits
    pub struct Config {
        /// Largest mean undiscounted cost of an episode. `cost.limit` bounds the channel `cost`, the sum of all;
        /// `cost.limit.NAME` bounds the channel NAME instead (several may be given). Unconstrained algorithms only draw it.
        "cost.limit" limits: tony_run::Limits = tony_run::Limits::one(25.0);
    }
}

/// One constraint: `J_C(pi) <= limit`.
#[derive(Clone, Debug, PartialEq)]
pub struct Constraint {
    /// Name of the cost channel.
    pub name: String,
    /// Its index among the environment's channels.
    pub channel: usize,
    /// Largest mean undiscounted cost of an episode.
    pub limit: f64,
    /// Mean episode cost of the newest batch in which an episode finished; the limit itself before there was one.
    pub level: f64,
}

impl Constraint {
    /// Take in the batch's finished episodes. Where there is none, the last level stays.
    pub fn observe(&mut self, rollout: &Rollout) {
        if let Some(mean) = rollout.mean_cost(self.channel) {
            self.level = mean;
        }
    }

    /// `c = J_C - d`: positive while violating.
    pub fn excess(&self) -> f64 {
        self.level - self.limit
    }
}

/// Find each limited channel among the environment's.
pub fn resolve(plan: &Plan, spec: &Spec) -> Result<Vec<Constraint>> {
    let config: Config = plan.group()?;
    if spec.costs.is_empty() {
        return Err(Error::NoCosts { algorithm: plan.algorithm.clone(), env: spec.name.clone() });
    }
    if config.limits.is_empty() {
        return Err(Error::Invalid {
            what: format!("{} keeps limits, and none is given", plan.algorithm),
            hint: "give one, for example cost.limit=25".to_owned(),
        });
    }
    config
        .limits
        .iter()
        .map(|(name, limit)| {
            let name = if name.is_empty() { "cost" } else { name };
            let channel = spec.costs.iter().position(|c| c == name).ok_or_else(|| Error::UnknownChannel {
                name: name.to_owned(),
                env: spec.name.clone(),
                known: spec.costs.clone(),
            })?;
            if limit < 0.0 {
                return Err(Error::Invalid {
                    what: format!("the limit of `{name}` is {limit}; costs are never negative"),
                    hint: "give a limit of 0 or more".to_owned(),
                });
            }
            Ok(Constraint { name: name.to_owned(), channel, limit, level: limit })
        })
        .collect()
}

/// The metric that shows the multiplier of a constraint: OmniSafe's name for the sum, with the channel's name for the others.
pub fn multiplier_name(constraint: &str) -> String {
    if constraint == "cost" {
        "Metrics/LagrangeMultiplier".to_owned()
    } else {
        format!("Metrics/LagrangeMultiplier/{constraint}")
    }
}
