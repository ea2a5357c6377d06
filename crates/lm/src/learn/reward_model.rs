//! Reward models as they are used: `tony train rm` makes them, [`super::supervised`] learns them.

use std::path::Path;

use tony_deep::decoder::Decoder;
use tony_run::RunFolder;

use super::Learner;
use super::examples::Example;
use super::supervised::{HEAD, rewards};
use crate::{Error, Message, Result};

/// A reward model: a transformer with one more row of weights.
#[derive(Debug)]
pub struct RewardModel {
    learner: Learner,
    decoder: Decoder,
    head: Vec<f32>,
}

impl RewardModel {
    /// What was learned.
    pub(crate) fn new(learner: Learner, head: Vec<f32>) -> Result<Self> {
        Ok(Self { decoder: Decoder::load(&learner.network.merged(&learner.params)?)?, learner, head })
    }

    /// The reward model of a run folder, as its newest checkpoint has it.
    pub fn of_run(run: &Path) -> Result<Self> {
        let view = RunFolder::open_read(run)?;
        let loaded = view.latest()?;
        let archive = loaded.as_ref().map(|loaded| &loaded.policy).filter(|archive| archive.shape(HEAD).is_some());
        let archive = archive.ok_or_else(|| Error::Invalid {
            what: format!("{} holds no reward model", run.display()),
            hint: "tony train rm PAIRS.jsonl".to_owned(),
        })?;
        let learner = Learner::saved(view.plan(), archive)?;
        Self::new(learner, archive.f32(HEAD, archive.shape(HEAD).unwrap_or_default())?)
    }

    /// Rewards of texts, each the tokens of a conversation and of an answer.
    pub fn of_texts(&self, texts: &[&[u32]]) -> Vec<f64> {
        rewards(&self.head, &self.decoder.last_states(texts))
    }

    /// Rewards of answers to conversations.
    pub fn rewards(&self, answers: &[(&[Message], &str)]) -> Result<Vec<f64>> {
        let examples = answers.iter().map(|(prompt, text)| self.learner.answer(prompt, text));
        let examples: Vec<Example> = examples.collect::<Result<_>>()?;
        let texts: Vec<&[u32]> = examples.iter().map(|example| example.tokens.as_slice()).collect();
        Ok(self.of_texts(&texts))
    }
}
