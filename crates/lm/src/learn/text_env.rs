//! Prompts as an environment: an episode is an answer, a step a token.
//!
//! An observation is the number of tokens so far and the tokens, the rest 0. The reward of an answer comes with its last token; so do its
//! costs. What an answer was given, and for what, is told apart from the numbers that are learned: see [`Task::drain`].

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use tony_env::space::Space;
use tony_env::{Env, Spec, Step};
use tony_random::Stream;

use super::Learner;
use super::examples::Turns;
use super::rewards::{Answer, Named, Reward, Truth, expression};
use crate::{Error, Message, Result, Tokenizer, jsonl};

/// The file that describes a task.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    /// JSONL rows of `prompt`, and of what rewards need: `answer`, `pattern`, `response_type`.
    prompts: PathBuf,
    /// Most tokens of an answer.
    max_tokens: usize,
    /// Longer prompts are left out.
    #[serde(default = "prompt_tokens")]
    prompt_tokens: usize,
    rewards: BTreeMap<String, Named>,
    #[serde(default)]
    costs: BTreeMap<String, Named>,
}

fn prompt_tokens() -> usize {
    512
}

#[derive(Deserialize)]
struct Row {
    prompt: Turns,
    id: Option<String>,
    answer: Option<String>,
    pattern: Option<String>,
    response_type: Option<String>,
}

/// A prompt that is ready.
#[derive(Debug)]
struct Prompt {
    id: String,
    messages: Vec<Message>,
    tokens: Vec<u32>,
    truth: Truth,
}

/// Prompts, and what answers to them are worth.
#[derive(Debug)]
pub struct Task {
    spec: Spec,
    prompts: Vec<Prompt>,
    left_out: usize,
    rewards: Vec<Reward>,
    costs: Vec<Reward>,
    tokenizer: Tokenizer,
    ends: Vec<u32>,
    max_tokens: usize,
    samples: Mutex<Vec<Sample>>,
}

/// An answer, and all that was told of it.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// Its prompt: `id`, or the line of the file.
    pub prompt: String,
    /// Seed of the episode.
    pub seed: u64,
    /// What was said.
    pub text: String,
    /// Tokens of the answer.
    pub tokens: usize,
    /// Whether the model ended it.
    pub ended: bool,
    /// The weighted sum of the parts.
    pub reward: f64,
    /// The parts of the reward by name, not weighted.
    pub rewards: BTreeMap<String, f64>,
    /// Costs by name, weighted.
    pub costs: BTreeMap<String, f64>,
}

impl Task {
    /// Read a task file, and the prompts that it names, for a model.
    pub fn open(path: &Path, learner: &Learner) -> Result<Self> {
        let bad = |what: String| Error::Task { path: path.to_owned(), what };
        let text = fs_err::read_to_string(path)?;
        let file: File = toml::from_str(&text).map_err(|error| bad(error.message().to_owned()))?;
        let rewards = Reward::all(path, file.rewards)?;
        let costs = Reward::all(path, file.costs)?;
        if rewards.is_empty() {
            return Err(bad("it has no rewards: nothing could be learned".to_owned()));
        }
        if file.max_tokens == 0 {
            return Err(bad("`max_tokens` is 0: no answer could be given".to_owned()));
        }
        let source = path.parent().unwrap_or(Path::new(".")).join(&file.prompts);
        let (mut prompts, mut left_out) = (Vec::new(), 0);
        for (line, row) in jsonl::read::<Row>(&source)? {
            let bad = |what: String| Error::Data { path: source.clone(), line, what };
            let pattern = row.pattern.as_deref().map(expression).transpose();
            let pattern = pattern.map_err(|what| bad(format!("the prompt {what}")))?;
            let truth = Truth { answer: row.answer, pattern, response_type: row.response_type };
            for part in rewards.iter().chain(&costs) {
                part.needs(&truth).map_err(bad)?;
            }
            let messages = row.prompt.messages("user");
            let tokens = learner.begin(&messages)?;
            if tokens.len() > file.prompt_tokens {
                left_out += 1;
                continue;
            }
            prompts.push(Prompt { id: row.id.unwrap_or_else(|| line.to_string()), messages, tokens, truth });
        }
        let longest = prompts.iter().map(|prompt| prompt.tokens.len()).max();
        let longest =
            longest.ok_or_else(|| bad(format!("{} has no prompts that are short enough", source.display())))?;
        let config = learner.network.config();
        if longest + file.max_tokens > config.context {
            let (max, context) = (file.max_tokens, config.context);
            return Err(bad(format!(
                "a prompt of {longest} and an answer of {max} tokens are more than the model's {context}"
            )));
        }
        // As everywhere, the last channel is the sum of the others.
        let mut channels: Vec<String> = costs.iter().map(|cost| cost.name.clone()).collect();
        if !channels.is_empty() && channels != ["cost"] {
            channels.push("cost".to_owned());
        }
        let spec = Spec {
            name: path.display().to_string(),
            obs_dim: 1 + longest + file.max_tokens,
            action: Space::Discrete { n: config.vocabulary },
            costs: channels,
            max_steps: file.max_tokens,
        };
        Ok(Self {
            spec,
            prompts,
            left_out,
            rewards,
            costs,
            tokenizer: learner.tokenizer.clone(),
            ends: config.ends.clone(),
            max_tokens: file.max_tokens,
            samples: Mutex::default(),
        })
    }

    /// Numbers of an observation.
    pub fn obs_dim(&self) -> usize {
        self.spec.obs_dim
    }

    /// Names of its costs.
    pub fn costs(&self) -> &[String] {
        &self.spec.costs
    }

    /// Prompts, and prompts that were left out because they are too long.
    pub fn prompts(&self) -> [usize; 2] {
        [self.prompts.len(), self.left_out]
    }

    /// An environment of this task.
    pub fn env(self: &Arc<Self>) -> Box<dyn Env> {
        Box::new(TextEnv { task: self.clone(), prompt: 0, tokens: self.prompts[0].tokens.clone(), written: 0, seed: 0 })
    }

    /// Answers that were finished since the last call, in an order that does not depend on threads.
    pub fn drain(&self) -> Vec<Sample> {
        let mut samples = std::mem::take(&mut *self.samples.lock().unwrap_or_else(PoisonError::into_inner));
        samples.sort_by(|a, b| (&a.prompt, a.seed, &a.text).cmp(&(&b.prompt, b.seed, &b.text)));
        samples
    }
}

/// Write tokens as an observation.
pub(crate) fn observe(tokens: &[u32], obs: &mut [f64]) {
    obs.fill(0.0);
    obs[0] = tokens.len() as f64;
    obs[1..].iter_mut().zip(tokens).for_each(|(x, token)| *x = f64::from(*token));
}

/// Tokens of an observation.
pub fn tokens_of(obs: &[f32]) -> impl Iterator<Item = u32> {
    let len = obs[0] as usize;
    obs[1..].iter().take(len).map(|token| *token as u32)
}

struct TextEnv {
    task: Arc<Task>,
    prompt: usize,
    tokens: Vec<u32>,
    written: usize,
    seed: u64,
}

impl TextEnv {
    /// Judge the finished answer: its reward; its costs are written.
    fn judge(&self, ended: bool, costs: &mut [f64]) -> Result<f64> {
        let prompt = &self.task.prompts[self.prompt];
        let text = self.task.tokenizer.read(&self.tokens[self.tokens.len() - self.written..]);
        let answer = Answer { prompt: &prompt.messages, truth: &prompt.truth, text: &text, tokens: self.written };
        let mut sample = Sample {
            prompt: prompt.id.clone(),
            seed: self.seed,
            text: text.clone(),
            tokens: self.written,
            ended,
            reward: 0.0,
            rewards: BTreeMap::new(),
            costs: BTreeMap::new(),
        };
        for part in &self.task.rewards {
            let value = part.of(answer)?;
            sample.reward += part.weight * value;
            sample.rewards.insert(part.name.clone(), value);
        }
        for (part, cost) in self.task.costs.iter().zip(costs.iter_mut()) {
            *cost = part.weight * part.of(answer)?;
            sample.costs.insert(part.name.clone(), *cost);
        }
        if costs.len() > self.task.costs.len() {
            costs[self.task.costs.len()] = costs[..self.task.costs.len()].iter().sum();
        }
        let reward = sample.reward;
        self.task.samples.lock().unwrap_or_else(PoisonError::into_inner).push(sample);
        Ok(reward)
    }

    fn failed(&self, reason: String) -> tony_env::Error {
        tony_env::Error::BadState { env: self.task.spec.name.clone(), reason }
    }
}

impl Env for TextEnv {
    fn spec(&self) -> &Spec {
        &self.task.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> tony_env::Result<()> {
        self.prompt = Stream::new(seed, "prompt", 0).below(self.task.prompts.len());
        self.tokens.clone_from(&self.task.prompts[self.prompt].tokens);
        (self.written, self.seed) = (0, seed);
        observe(&self.tokens, obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> tony_env::Result<Step> {
        let token = action[0] as u32;
        self.tokens.push(token);
        self.written += 1;
        observe(&self.tokens, obs);
        costs.fill(0.0);
        let ended = self.task.ends.contains(&token);
        if !ended && self.written < self.task.max_tokens {
            return Ok(Step { reward: 0.0, terminated: false, truncated: false });
        }
        let reward = self.judge(ended, costs).map_err(|error| self.failed(error.to_string()))?;
        // An answer that was cut short is judged as it is: nothing comes after it.
        Ok(Step { reward, terminated: true, truncated: false })
    }

    fn save(&self, out: &mut Vec<u8>) {
        for number in [self.prompt as u64, self.written as u64, self.seed] {
            out.extend(number.to_le_bytes());
        }
        self.tokens.iter().for_each(|token| out.extend(token.to_le_bytes()));
    }

    fn load(&mut self, state: &[u8]) -> tony_env::Result<()> {
        let damaged = || self.failed("it is of other prompts".to_owned());
        let (numbers, tokens) = state.split_at_checked(24).ok_or_else(damaged)?;
        let number = |i: usize| numbers[8 * i..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        let tokens: Vec<u32> = tokens.chunks_exact(4).map(|b| u32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
        let (prompt, written) = (number(0) as usize, number(1) as usize);
        let before = tokens.len().checked_sub(written).ok_or_else(damaged)?;
        let known = self.task.prompts.get(prompt).ok_or_else(damaged)?;
        if tokens[..before] != known.tokens || written > self.task.max_tokens {
            return Err(damaged());
        }
        (self.prompt, self.written, self.seed, self.tokens) = (prompt, written, number(2), tokens);
        Ok(())
    }
}
