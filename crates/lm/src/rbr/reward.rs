//! The reward of a completion: a policy, who says what is true of it, and fitted weights.

use serde::Serialize;

use super::fit::{Share, Weights};
use super::grader::{Grader, Item, Question, Verdict};
use super::policy::Policy;
use crate::{Error, Result};

/// Gives rewards.
pub struct Rewarder {
    policy: Policy,
    grader: Box<dyn Grader>,
    weights: Weights,
}

/// A completion, and by which rules it is judged.
#[derive(Clone, Debug, PartialEq)]
pub struct Ask {
    /// The conversation and the completion.
    pub item: Item,
    /// The kind of answer that the request should get, as the policy names it; without one no rule applies, and the reward is 0.
    pub response: Option<String>,
}

/// What the rules give.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Reward {
    /// The reward; none where rules apply and the grader answered nothing.
    pub reward: Option<f64>,
    /// Probability of the best class; 0 where no rule applies.
    pub ideal: f64,
    /// What each feature gives, by name.
    pub ledger: Vec<Share>,
    /// Propositions without an answer, for which the mean that they had in the fit stands; and why.
    pub missing: Vec<(String, String)>,
    /// The largest probability that the grader gave to anything but yes and no.
    pub outside: f64,
}

impl Rewarder {
    /// Refuses weights of another policy.
    pub fn new(policy: Policy, grader: Box<dyn Grader>, weights: Weights) -> Result<Self> {
        if weights.policy != policy.hash() {
            return Err(Error::Invalid {
                what: "these weights were fitted for another policy file".to_owned(),
                hint: "tony rbr fit --help".to_owned(),
            });
        }
        Ok(Self { policy, grader, weights })
    }

    /// The rules.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// The response type that is written like this, if there are weights for it; else what is wrong.
    pub fn response_type(&self, written: &str) -> std::result::Result<&str, String> {
        let known = self.policy.response_type(written).filter(|name| self.weights.response_types.contains_key(*name));
        known.ok_or_else(|| {
            let known: Vec<&str> = self.weights.response_types.keys().map(String::as_str).collect();
            format!("there are no weights for the response type `{written}`, but for {}", known.join(", "))
        })
    }

    /// Rewards of completions, in their order. The grader is asked all questions at once, and only those that count.
    ///
    /// # Panics
    /// Panics if there are no weights for a response type ([`Rewarder::response_type`] says so).
    pub fn rewards(&mut self, asks: &[Ask]) -> Result<Vec<Reward>> {
        let names: Vec<&str> = self.policy.propositions().collect();
        let all = self.weights.settings.all;
        let asked = |response: &str| if all { (0..names.len()).collect() } else { self.policy.used(response) };
        let mut questions = Vec::new();
        let mut places = Vec::new();
        for (i, ask) in asks.iter().enumerate() {
            for proposition in ask.response.as_deref().map_or_else(Vec::new, asked) {
                questions.push(Question { item: &ask.item, proposition });
                places.push((i, proposition));
            }
        }
        let mut probabilities = vec![vec![None; names.len()]; asks.len()];
        let mut rewards = vec![Reward::default(); asks.len()];
        let mut given = vec![false; questions.len()];
        self.grader.grade(&self.policy, &questions, &mut |question, verdict| {
            let (item, proposition) = places[question];
            given[question] = true;
            match verdict {
                Verdict::Probability { yes, outside } => {
                    probabilities[item][proposition] = Some(yes);
                    rewards[item].outside = rewards[item].outside.max(outside);
                }
                Verdict::Missing { why } => rewards[item].missing.push((names[proposition].to_owned(), why)),
            }
            Ok(())
        })?;
        // A grader that leaves a question out has not answered it.
        for ((item, proposition), _) in places.iter().zip(given).filter(|(_, given)| !given) {
            rewards[*item].missing.push((names[*proposition].to_owned(), "no answer".to_owned()));
        }
        let best = format!("class:{}", self.policy.classes()[0]);
        for ((ask, probabilities), reward) in asks.iter().zip(&probabilities).zip(&mut rewards) {
            let Some(response) = &ask.response else {
                reward.reward = Some(0.0);
                continue;
            };
            reward.missing.sort();
            if probabilities.iter().all(Option::is_none) {
                continue;
            }
            let ruled = self.weights.reward(&self.policy, response, probabilities)?;
            reward.ideal = ruled.ledger.iter().find(|share| share.feature == best).map_or(0.0, |share| share.value);
            reward.reward = Some(ruled.total);
            reward.ledger = ruled.ledger;
        }
        Ok(rewards)
    }
}
