//! A language model as a policy: it acts by one forward pass, over what it kept of each text, and learns through another.
//!
//! The log-probabilities that learning starts from are those of the pass that learns ([`Actor::settle`]), so the first ratio of PPO is exactly
//! 1; how far the pass that acts is from them is logged. An answer is paid for staying near the model that training began with: of each
//! token's reward `reward.kl * (log pi(a|s) - log pi_0(a|s))` is taken off (Ouyang et al. 2022, equation 2).
//!
//! Critics read what the last layer makes of the text so far; nothing that they learn goes back into the model.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};

use tony_deep::decoder::{Decoder, Kept, Piece, Scored, Sequence, Weights};
use tony_random::Stream;
use tony_rl::policy::{Actor, Batch, Policy, Scratch, Seat, Weight};
use tony_rl::rollout::Rollout;
use tony_run::{Archive, Metrics, settings};

use super::Learner;
use super::text_env::tokens_of;
use crate::Sampling;

settings! {
    /// The language model as a policy
    pub struct Config {
        /// What is taken off a token's reward for each nat that the model is more certain of it than at the start.
        "reward.kl" kl: f64 = 0.05, (0.0..=1e3);
    }
}

/// What a checkpoint of such a policy says that it is.
pub const KIND: &str = "language";

/// A language model that acts and learns.
#[derive(Debug)]
pub struct LanguagePolicy {
    learner: Learner,
    /// The weights that training began with.
    reference: Weights,
    kl: f64,
    /// Numbers of an observation.
    width: usize,
    /// What acts, with the parameters as they were when it was made.
    sampler: Mutex<Option<Arc<Decoder>>>,
    /// What was made of the last batch with the parameters as they are.
    read: Mutex<Option<Arc<Reading>>>,
}

/// What a forward pass made of texts.
#[derive(Debug)]
struct Reading {
    texts: Texts,
    scored: Vec<Scored>,
    /// Of each token that was chosen, what the last layer made of the text before it.
    states: Vec<f32>,
}

/// What was kept of a text, so that each step reads one token.
struct Read {
    kept: Kept,
    tokens: Vec<u32>,
}

/// Sequences of a batch of rows, each a text so far: rows that go on from each other are of one sequence.
#[derive(Debug, Default, PartialEq, Eq)]
struct Texts {
    tokens: Vec<Vec<u32>>,
    from: Vec<usize>,
    /// The first row of each, as a place in the batch.
    first: Vec<usize>,
}

impl Texts {
    /// Of observations and the tokens chosen in them: what counts are the chosen tokens.
    fn chosen(batch: &Batch, width: usize) -> Self {
        let mut texts = Self::default();
        let rows = batch.index.map_or(batch.act.len(), <[u32]>::len);
        for i in 0..rows {
            let row = batch.row(i);
            let obs = &batch.obs[row * width..][..width];
            let goes_on = texts.tokens.last().is_some_and(|last| tokens_of(obs).eq(last.iter().copied()));
            if !goes_on {
                texts.begin(obs, i);
            }
            texts.push(batch.act[row] as u32);
        }
        texts
    }

    /// Of observations alone: what counts is the last token of each.
    fn seen(obs: &[f32], width: usize) -> Self {
        let mut texts = Self::default();
        for (i, obs) in obs.chunks_exact(width).enumerate() {
            let len = obs[0] as usize;
            let goes_on = texts
                .tokens
                .last()
                .is_some_and(|last| last.len() + 1 == len && last.iter().copied().eq(tokens_of(obs).take(len - 1)));
            if goes_on {
                texts.push(obs[len] as u32);
            } else {
                texts.begin(obs, i);
                texts.from[texts.tokens.len() - 1] = len - 1;
            }
        }
        texts
    }

    /// Whether these are the texts `seen`, each with one more token chosen.
    fn begin_as(&self, seen: &Self) -> bool {
        let same =
            |(mine, seen): (&Vec<u32>, &Vec<u32>)| mine.split_last().is_some_and(|(_, begin)| begin == &seen[..]);
        self.first == seen.first
            && self.from.iter().zip(&seen.from).all(|(mine, seen)| *mine == seen + 1)
            && self.tokens.iter().zip(&seen.tokens).all(same)
    }

    fn begin(&mut self, obs: &[f32], row: usize) {
        self.tokens.push(tokens_of(obs).collect());
        self.from.push(obs[0] as usize);
        self.first.push(row);
    }

    fn push(&mut self, token: u32) {
        if let Some(last) = self.tokens.last_mut() {
            last.push(token);
        }
    }

    fn sequences(&self) -> Vec<Sequence<'_>> {
        self.tokens.iter().zip(&self.from).map(|(tokens, from)| Sequence { tokens, from: *from }).collect()
    }
}

impl LanguagePolicy {
    /// Around a model that has not learned yet, for observations of `width` numbers.
    pub fn new(learner: Learner, config: &Config, width: usize) -> Self {
        Self {
            reference: learner.network.weights(&learner.params),
            learner,
            kl: config.kl,
            width,
            sampler: Mutex::default(),
            read: Mutex::default(),
        }
    }

    /// What the model as it is makes of a batch's tokens: computed once for all who ask. What cannot be computed is no number, which whoever
    /// learns from it refuses.
    fn read(&self, batch: &Batch) -> Arc<Reading> {
        let texts = Texts::chosen(batch, self.width);
        let mut last = self.read.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = last.as_ref().filter(|read| read.texts == texts) {
            return read.clone();
        }
        let (scored, states) = self.compute(&self.learner.network.weights(&self.learner.params), &texts);
        let read = Arc::new(Reading { texts, scored, states });
        *last = Some(read.clone());
        read
    }

    fn compute(&self, weights: &Weights, texts: &Texts) -> (Vec<Scored>, Vec<f32>) {
        self.learner.network.read(weights, &texts.sequences()).unwrap_or_else(|_| {
            let rows = texts.sequences().iter().map(Sequence::len).sum();
            let failed = Scored { log_prob: f32::NAN, entropy: f32::NAN };
            (vec![failed; rows], vec![f32::NAN; rows * self.learner.network.config().width])
        })
    }

    /// The parameters are other ones now.
    fn forget(&mut self) {
        (self.sampler, self.read) = (Mutex::default(), Mutex::default());
    }

    /// What acts, made anew after the parameters changed; none where they make no model.
    fn decoder(&self) -> Option<Arc<Decoder>> {
        let mut sampler = self.sampler.lock().unwrap_or_else(PoisonError::into_inner);
        if sampler.is_none() {
            let merged = self.learner.network.merged(&self.learner.params);
            *sampler = merged.and_then(|file| Decoder::load(&file)).ok().map(Arc::new);
        }
        sampler.clone()
    }

    /// Draw a token for each seat.
    fn draw(&self, seats: &mut [Seat], sampling: Sampling) {
        let Some(decoder) = self.decoder() else {
            // Learning stops at these.
            seats.iter_mut().for_each(|seat| *seat.log_prob = f32::NAN);
            return;
        };
        let texts: Vec<Vec<u32>> = seats.iter().map(|seat| tokens_of(seat.obs).collect()).collect();
        let mut read: Vec<Box<Read>> = seats
            .iter_mut()
            .zip(&texts)
            .map(|(seat, text)| {
                let read = seat.scratch.kept.take().and_then(|read| read.downcast::<Read>().ok());
                let mut read = read.unwrap_or_else(|| Box::new(Read { kept: decoder.begin(), tokens: Vec::new() }));
                let same = read.tokens.iter().zip(&text[..text.len() - 1]).take_while(|(a, b)| a == b).count();
                read.kept.truncate(same);
                read.tokens.clone_from(text);
                read
            })
            .collect();
        let mut pieces: Vec<Piece> = read
            .iter_mut()
            .map(|read| Piece { tokens: &read.tokens[read.kept.len()..], kept: &mut read.kept, wanted: 1 })
            .collect();
        let logits = decoder.forward(&mut pieces);
        for ((seat, logits), read) in seats.iter_mut().zip(logits.chunks_exact(decoder.config().vocabulary)).zip(read) {
            let choice = sampling.draw(logits, seat.stream);
            seat.act[0] = choice.token as f32;
            *seat.log_prob = choice.logprob as f32;
            seat.scratch.kept = Some(read);
        }
    }
}

impl Actor for LanguagePolicy {
    fn together(&self) -> bool {
        true
    }

    fn act_together(&self, seats: &mut [Seat]) {
        self.draw(seats, Sampling { temperature: 1.0, ..Sampling::default() });
    }

    fn act(&self, obs: &[f32], memory: &mut [f32], stream: &mut Stream, act: &mut [f32], scratch: &mut Scratch) -> f32 {
        let mut log_prob = 0.0;
        self.act_together(&mut [Seat { obs, memory, stream, act, scratch, log_prob: &mut log_prob }]);
        log_prob
    }

    fn mode(&self, obs: &[f32], memory: &mut [f32], act: &mut [f32], scratch: &mut Scratch) {
        let (mut log_prob, stream) = (0.0, &mut Stream::new(0, "unused", 0));
        let seat = Seat { obs, memory, stream, act, scratch, log_prob: &mut log_prob };
        self.draw(&mut [seat], Sampling::default());
    }

    fn settle(&self, rollout: &mut Rollout, metrics: &mut Metrics) -> tony_rl::Result<()> {
        let rows = rollout.rows() as f64;
        let read = self.read(&Batch::all(rollout));
        let scored = &read.scored;
        let gaps = scored.iter().zip(&rollout.log_prob).map(|(now, drawn)| f64::from((now.log_prob - drawn).abs()));
        metrics.set("Train/SamplerGap", gaps.sum::<f64>() / rows);
        rollout.log_prob = scored.iter().map(|scored| scored.log_prob).collect();
        let (reference, _) = self.compute(&self.reference, &read.texts);
        let mut sum = 0.0;
        for ((reward, now), then) in rollout.reward.iter_mut().zip(scored).zip(&reference) {
            let distance = f64::from(now.log_prob - then.log_prob);
            sum += distance;
            *reward -= (self.kl * distance) as f32;
        }
        rollout.reference = reference.iter().map(|scored| scored.log_prob).collect();
        // Of an answer, the mean over answers.
        metrics.set("Train/KLReference", sum / rollout.ends.len() as f64);
        Ok(())
    }

    fn save(&self, archive: &mut Archive) -> tony_rl::Result<()> {
        archive.set_note("kind", KIND);
        self.learner.save(archive).map_err(other)
    }

    fn load(&mut self, archive: &Archive) -> tony_rl::Result<()> {
        self.forget();
        self.learner.load(archive).map_err(other)
    }
}

impl Policy for LanguagePolicy {
    fn log_probs(&self, batch: &Batch) -> Vec<f32> {
        self.read(batch).scored.iter().map(|scored| scored.log_prob).collect()
    }

    fn gradient(&mut self, batch: &Batch, weight: &Weight, entropy: f32, grad: &mut [f32]) {
        let texts = Texts::chosen(batch, self.width);
        let of_token =
            |text: usize, token: usize, log_prob: f32| weight(batch.row(texts.first[text] + token), log_prob);
        let Learner { network, params, .. } = &self.learner;
        if network.gradient(params, &texts.sequences(), &of_token, entropy, grad).is_err() {
            // Whoever learns refuses it.
            grad.fill(f32::NAN);
        }
    }

    fn fisher_product(&mut self, _batch: &Batch, _v: &[f32], _out: &mut [f32]) -> tony_rl::Result<()> {
        Err(tony_rl::Error::Invalid {
            what: "a language model has no Fisher product here, which trust regions need".to_owned(),
            hint: "tony train ppo, rloo or grpo".to_owned(),
        })
    }

    /// Log-probabilities of the chosen tokens alone: whole distributions over a vocabulary would be too much.
    fn distributions(&self, batch: &Batch) -> Vec<f32> {
        self.log_probs(batch)
    }

    /// Estimated from the chosen tokens: mean of `r - 1 - ln r` with `r` the ratio of now to then, which is never negative and right on
    /// average (Schulman 2020, "Approximating KL Divergence", k3).
    fn kl(&self, batch: &Batch, old: &[f32]) -> f64 {
        let now = self.log_probs(batch);
        let of = |(now, old): (&f32, &f32)| {
            let log_ratio = f64::from(now - old);
            libm::expm1(log_ratio) - log_ratio
        };
        now.iter().zip(old).map(of).sum::<f64>() / now.len().max(1) as f64
    }

    fn entropy(&self, batch: &Batch) -> f64 {
        let scored = &self.read(batch).scored;
        scored.iter().map(|scored| f64::from(scored.entropy)).sum::<f64>() / scored.len().max(1) as f64
    }

    fn params(&self) -> &[f32] {
        &self.learner.params
    }

    fn params_mut(&mut self) -> &mut [f32] {
        self.forget();
        &mut self.learner.params
    }

    fn features<'a>(&self, obs: &'a [f32]) -> Cow<'a, [f32]> {
        let texts = Texts::seen(obs, self.width);
        let last = self.read.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(read) = last.filter(|read| read.texts.begin_as(&texts)) {
            return Cow::Owned(read.states.clone());
        }
        let Learner { network, params, .. } = &self.learner;
        let states = network.states(&network.weights(params), &texts.sequences());
        Cow::Owned(states.unwrap_or_else(|_| vec![f32::NAN; obs.len() / self.width * self.feature_len()]))
    }

    fn feature_len(&self) -> usize {
        self.learner.network.config().width
    }

    fn whole_episodes(&self) -> bool {
        true
    }

    fn observe(&mut self, _obs: &[f32]) {}
}

fn other(error: crate::Error) -> tony_rl::Error {
    match error {
        crate::Error::Run(error) => error.into(),
        other => tony_rl::Error::Invalid { what: other.to_string(), hint: other.hint().unwrap_or_default() },
    }
}
