//! Learning from examples: answers to imitate (`sft`), and pairs of answers of which one is better (`rm`).
//!
//! A reward model is the transformer with one more row of weights: the reward of an answer is their product with what the last layer
//! makes of the answer's last token. Bradley and Terry 1952; Ouyang et al. 2022, "Training language models to follow instructions with human
//! feedback", equation 1.
//!
//! A step's loss is a mean over all that the step learns from, tokens or pairs, however long they are; no padding, no pieces.

use std::path::PathBuf;

use tony_deep::decoder::Sequence;
use tony_random::Stream;
use tony_run::{Archive, Control, Field, Layer, Metrics, Plan, Settings, Tally, Training, settings};

use super::examples::Example;
use super::optimiser::{self, Optimiser};
use super::{Learner, learner};
use crate::{Error, Result};

settings! {
    /// Run
    pub struct Config {
        /// Steps of the optimiser in all.
        "steps" steps: u64 = 200, (1..);
        /// Everything random in the run follows from this.
        "seed" seed: u64 = 0;
        /// Examples, or pairs, of a step.
        "batch" batch: usize = 8, (1..=65_536);
        /// Most tokens of an example; a longer one is cut, and left out where nothing learned would be left, a longer pair always.
        "tokens" longest: usize = 512, (2..=1_048_576);
        /// Share of the data that is held out and never learned.
        "held_out" held_out: f64 = 0.05, (0.0..=0.9);
        /// Steps that share a line of the records, as means; the held-out data is looked at as often. A checkpoint falls on such a line.
        "log.updates" log_updates: u64 = 10, (1..=1_000_000);
        /// Seconds between checkpoints, at least; the last step is always committed.
        "checkpoint.seconds" checkpoint_seconds: f64 = 30.0, (0.0..=1e9);
    }
}

/// What is learned from examples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// To answer as they do.
    Imitation,
    /// To tell the better answer.
    Preference,
}

/// What `tony list algos` shows.
#[derive(Debug)]
pub struct Entry {
    /// Name on the command line.
    pub name: &'static str,
    /// Name in words.
    pub title: &'static str,
    /// Kind of algorithm.
    pub family: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// What it learns.
    pub kind: Kind,
}

/// Every algorithm that learns from examples.
pub const ENTRIES: &[Entry] = &[
    Entry {
        name: "sft",
        title: "Supervised fine-tuning",
        family: "language",
        summary: "a language model imitates answers: JSONL rows of prompt and completion, or of messages",
        paper: "Ouyang et al. 2022",
        kind: Kind::Imitation,
    },
    Entry {
        name: "rm",
        title: "Reward model",
        family: "language",
        summary: "a language model learns which of two answers is better: JSONL rows of prompt, chosen and rejected",
        paper: "Ouyang et al. 2022",
        kind: Kind::Preference,
    },
];

impl Entry {
    /// The algorithm called `name`, where it is one of these.
    pub fn find(name: &str) -> Option<&'static Self> {
        ENTRIES.iter().find(|entry| entry.name == name)
    }

    /// Every setting.
    pub fn fields(&self) -> Vec<Field> {
        [Config::fields(), learner::Config::fields(), optimiser::Config::fields()].concat()
    }

    /// Lay a settings file and the command line over the defaults. `data` is the JSONL file.
    pub fn resolve(&self, data: &str, layers: &[Layer]) -> Result<Plan> {
        Ok(Plan::resolve(self.name, data, &self.fields(), layers)?)
    }
}

/// What there is to learn from.
#[derive(Debug)]
pub(crate) enum Data {
    Answers(Vec<Example>),
    Pairs(Vec<[Example; 2]>),
}

/// A training.
#[derive(Debug)]
pub struct Trainer {
    config: Config,
    learner: Learner,
    /// The reward's row of weights; empty where none is learned.
    head: Vec<f32>,
    optimiser: Optimiser,
    data: Data,
    /// Rows that are learned, and rows that are held out.
    learned: Vec<usize>,
    held_out: Vec<usize>,
    /// Rows of the file that are too long.
    left_out: usize,
    tally: Tally,
}

/// What steps told, summed.
#[derive(Clone, Copy, Debug, Default)]
struct Told {
    loss: f64,
    right: f64,
    norm: f64,
    tokens: f64,
    lr: f64,
}

/// The reward's weights in a checkpoint.
pub(crate) const HEAD: &str = "reward.weights";

impl Trainer {
    /// Build from a plan; reads model and data. Everything that can be refused is refused here, before the first step.
    pub fn new(plan: &Plan) -> Result<Self> {
        let config: Config = plan.group()?;
        let entry = Entry::find(&plan.algorithm).ok_or_else(|| Error::Invalid {
            what: format!("`{}` learns from no examples", plan.algorithm),
            hint: "tony list algos".to_owned(),
        })?;
        let learner = Learner::new(plan, config.seed)?;
        let path = PathBuf::from(&plan.env);
        let longest = config.longest.min(learner.network.config().context);
        let (data, left_out) = match entry.kind {
            Kind::Imitation => {
                let (examples, left_out) = learner.examples(&path, longest)?;
                (Data::Answers(examples), left_out)
            }
            Kind::Preference => {
                let (pairs, left_out) = learner.pairs(&path, longest)?;
                (Data::Pairs(pairs), left_out)
            }
        };
        Self::of(config, plan.group()?, learner, data, left_out).ok_or_else(|| {
            let longer =
                if left_out > 0 { format!("; {left_out} are longer than {longest} tokens") } else { String::new() };
            Error::Invalid {
                what: format!("{} has no rows to learn from{longer}", path.display()),
                hint: "a file with rows, tokens=N with a larger N, or held_out=0".to_owned(),
            }
        })
    }

    /// Around a model and data that are ready; none if no rows are left to learn from.
    fn of(config: Config, optimiser: optimiser::Config, learner: Learner, data: Data, left_out: usize) -> Option<Self> {
        let rows = match &data {
            Data::Answers(examples) => examples.len(),
            Data::Pairs(pairs) => pairs.len(),
        };
        let mut order: Vec<usize> = (0..rows).collect();
        Stream::new(config.seed, "held-out", 0).shuffle(&mut order);
        let held_out = order.split_off(rows - (config.held_out * rows as f64).floor() as usize);
        if order.is_empty() {
            return None;
        }
        let head = if matches!(data, Data::Pairs(_)) { vec![0.0; learner.network.config().width] } else { Vec::new() };
        let optimiser = Optimiser::new(optimiser, learner.params.len() + head.len());
        Some(Self {
            config,
            learner,
            head,
            optimiser,
            data,
            learned: order,
            held_out,
            left_out,
            tally: Tally::default(),
        })
    }

    /// Rows of the data that are learned, held out, and left out because they are too long.
    pub fn rows(&self) -> [usize; 3] {
        [self.learned.len(), self.held_out.len(), self.left_out]
    }

    /// What is learned.
    pub fn kind(&self) -> Kind {
        if matches!(self.data, Data::Pairs(_)) { Kind::Preference } else { Kind::Imitation }
    }

    /// Learn all of the data, to the end and without records: the model, the weights of its reward if it learned one, and the mean loss of
    /// the last tenth of the steps.
    pub(crate) fn learn(
        mut config: Config,
        optimiser: optimiser::Config,
        learner: Learner,
        data: Data,
    ) -> Result<(Learner, Vec<f32>, f64)> {
        config.held_out = 0.0;
        let none = || Error::Invalid { what: "there is nothing to learn from".to_owned(), hint: String::new() };
        let trainer = Self::of(config, optimiser, learner, data, 0);
        trainer.ok_or_else(none)?.finish()
    }

    fn finish(mut self) -> Result<(Learner, Vec<f32>, f64)> {
        let steps = self.config.steps;
        let (mut last, mut counted) = (Told::default(), 0.0);
        while self.tally.steps < steps {
            let mut told = Told::default();
            self.step(steps, &mut told)?;
            if self.tally.steps * 10 > steps * 9 {
                last.loss += told.loss;
                counted += 1.0;
            }
        }
        Ok((self.learner, self.head, last.loss / counted))
    }

    /// The rows of a step: row after row of the data in an order that each epoch draws anew.
    fn batch(&self, step: u64) -> Vec<usize> {
        let rows = self.learned.len() as u64;
        let (mut epoch, mut order) = (u64::MAX, Vec::new());
        let mut batch = Vec::with_capacity(self.config.batch);
        for at in step * self.config.batch as u64..(step + 1) * self.config.batch as u64 {
            if at / rows != epoch {
                epoch = at / rows;
                order.clone_from(&self.learned);
                Stream::new(self.config.seed, "epoch", epoch).shuffle(&mut order);
            }
            batch.push(order[(at % rows) as usize]);
        }
        batch
    }

    /// One step of the optimiser; what it tells is added to `told`.
    fn step(&mut self, steps: u64, told: &mut Told) -> Result<()> {
        let batch = self.batch(self.tally.steps);
        let n = self.learner.params.len();
        let mut grad = vec![0.0; n + self.head.len()];
        let network = &self.learner.network;
        match &self.data {
            Data::Answers(examples) => {
                let sequences: Vec<Sequence> = batch.iter().map(|row| examples[*row].sequence()).collect();
                let tokens: usize = sequences.iter().map(Sequence::len).sum();
                let weight = -1.0 / tokens as f32;
                let scored = network.gradient(&self.learner.params, &sequences, &|_, _, _| weight, 0.0, &mut grad)?;
                told.loss -= scored.iter().map(|s| f64::from(s.log_prob)).sum::<f64>() / tokens as f64;
                told.tokens += sequences.iter().map(|s| s.tokens.len()).sum::<usize>() as f64;
            }
            Data::Pairs(pairs) => {
                let sequences: Vec<Sequence> =
                    batch.iter().flat_map(|row| &pairs[*row]).map(Example::sequence).collect();
                let states = network.states(&network.weights(&self.learner.params), &sequences)?;
                let Preferences { loss, right, slopes } = preferences(&rewards(&self.head, &states));
                let (grad, head_grad) = grad.split_at_mut(n);
                for (state, slope) in states.chunks_exact(self.head.len()).zip(&slopes) {
                    tony_nn::axpy(*slope as f32, state, head_grad);
                }
                let by_state = |i: usize, state: &mut [f32]| {
                    state.iter_mut().zip(&self.head).for_each(|(x, w)| *x = slopes[i] as f32 * w);
                };
                network.gradient_by_states(&self.learner.params, &sequences, &by_state, grad)?;
                told.loss += loss;
                told.right += right;
                told.tokens += sequences.iter().map(|s| s.tokens.len()).sum::<usize>() as f64;
            }
        }
        let mut params = std::mem::take(&mut self.learner.params);
        params.extend_from_slice(&self.head);
        let stepped = self.optimiser.step(&mut params, &mut grad, self.tally.steps, steps);
        self.head = params.split_off(n);
        self.learner.params = params;
        let (norm, lr) = stepped?;
        told.norm += norm;
        told.lr += lr;
        self.tally.steps += 1;
        self.tally.updates += 1;
        Ok(())
    }

    /// A line of the records after `count` steps that sum to `told`.
    fn measure(&self, count: u64, told: Told) -> Result<Metrics> {
        let mut metrics = self.tally.line_without_agent();
        let n = count as f64;
        metrics.set("Train/Loss", told.loss / n);
        let held_out = self.evaluate()?;
        metrics.put("Metrics/Loss", held_out.map(|(loss, _)| loss));
        if self.kind() == Kind::Preference {
            metrics.set("Train/Accuracy", told.right / n);
            metrics.put("Metrics/Accuracy", held_out.map(|(_, right)| right));
        }
        metrics.set("Train/GradNorm", told.norm / n);
        metrics.set("Train/LR", told.lr / n);
        Ok(metrics)
    }

    /// Mean loss of the held-out data, a token or a pair, and the share of pairs told right; none where nothing is held out.
    pub fn evaluate(&self) -> Result<Option<(f64, f64)>> {
        if self.held_out.is_empty() {
            return Ok(None);
        }
        let network = &self.learner.network;
        let weights = network.weights(&self.learner.params);
        Ok(Some(match &self.data {
            Data::Answers(examples) => {
                let sequences: Vec<Sequence> = self.held_out.iter().map(|row| examples[*row].sequence()).collect();
                let scored = network.scores(&weights, &sequences)?;
                (-scored.iter().map(|s| f64::from(s.log_prob)).sum::<f64>() / scored.len() as f64, 0.0)
            }
            Data::Pairs(pairs) => {
                let sequences: Vec<Sequence> =
                    self.held_out.iter().flat_map(|row| &pairs[*row]).map(Example::sequence).collect();
                let states = network.states(&weights, &sequences)?;
                let Preferences { loss, right, .. } = preferences(&rewards(&self.head, &states));
                (loss, right)
            }
        }))
    }
}

impl Training for Trainer {
    type Error = Error;

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn checkpoint_seconds(&self) -> f64 {
        self.config.checkpoint_seconds
    }

    fn advance(&mut self, steps: u64, control: &Control) -> Result<Metrics> {
        let mut told = Told::default();
        let (count, seconds) =
            self.take_steps(self.config.log_updates, steps, control, &mut |trainer| trainer.step(steps, &mut told))?;
        let mut metrics = self.measure(count, told)?;
        let flops = told.tokens * self.learner.network.flops_per_token() as f64;
        metrics.set("Time/Tokens", told.tokens / seconds);
        metrics.set("Time/GFLOPS", flops / seconds * 1e-9);
        self.tally.times.update_flops += flops as u64;
        Ok(metrics)
    }

    fn save(&self, policy: &mut Archive, trainer: &mut Archive) -> Result<()> {
        policy.set_note("kind", "language");
        self.learner.save(policy)?;
        if !self.head.is_empty() {
            policy.put_f32(HEAD, &[self.head.len()], &self.head)?;
        }
        self.optimiser.save(trainer)
    }

    fn load(&mut self, policy: &Archive, trainer: &Archive) -> Result<()> {
        self.learner.load(policy)?;
        if !self.head.is_empty() {
            self.head = policy.f32(HEAD, &[self.head.len()])?;
        }
        self.optimiser.load(trainer)
    }
}

/// Rewards of answers whose last tokens have come to `states`, a row of as many numbers as `head` has for each.
pub(crate) fn rewards(head: &[f32], states: &[f32]) -> Vec<f64> {
    states.chunks_exact(head.len()).map(|state| tony_nn::dot(head, state)).collect()
}

/// What is right and wrong about the rewards of pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct Preferences {
    /// Mean of `-ln sigmoid(r(better) - r(worse))`.
    pub loss: f64,
    /// Share of pairs whose better answer has the higher reward; of equal rewards half.
    pub right: f64,
    /// Slope of the loss by each reward.
    pub slopes: Vec<f64>,
}

/// Loss of rewards of pairs, laid down as better, worse, better, worse, ... Ouyang et al. 2022, equation 1.
pub fn preferences(rewards: &[f64]) -> Preferences {
    let pairs = (rewards.len() / 2) as f64;
    let (mut loss, mut right, mut slopes) = (0.0, 0.0, Vec::with_capacity(rewards.len()));
    for pair in rewards.chunks_exact(2) {
        let margin = pair[0] - pair[1];
        // ln(1 + exp(-m)), without a power that overflows.
        loss += libm::log1p(libm::exp(-margin.abs())) + (-margin).max(0.0);
        right += if margin > 0.0 { 1.0 } else { 0.5 * f64::from(u8::from(margin == 0.0)) };
        let slope = -1.0 / (1.0 + libm::exp(margin)) / pairs;
        slopes.extend([slope, -slope]);
    }
    Preferences { loss: loss / pairs, right: right / pairs, slopes }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_of_preferences_are_those_of_differences() {
        let rewards = [0.3, -0.2, -1.0, 2.0, 0.5, 0.5];
        let told = preferences(&rewards);
        // One pair right, one wrong, one even.
        assert_eq!(told.right, 0.5);
        let by_hand = |m: f64| (1.0 + (-m).exp()).ln();
        assert!((told.loss - (by_hand(0.5) + by_hand(-3.0) + by_hand(0.0)) / 3.0).abs() < 1e-12);
        for i in 0..rewards.len() {
            let at = |step: f64| {
                let mut moved = rewards;
                moved[i] += step;
                preferences(&moved).loss
            };
            let difference = (at(1e-5) - at(-1e-5)) / 2e-5;
            assert!((told.slopes[i] - difference).abs() < 1e-9, "{i}");
        }
        // Rewards that no exponential survives.
        let far = preferences(&[-2_000.0, 2_000.0]);
        assert_eq!((far.loss, far.slopes[0]), (4_000.0, -1.0));
    }
}
