//! Models of the small world: a transformer over its words, what it learns from, and what answers are worth.

use std::path::Path;
use std::sync::Arc;

use serde_json::{Map, Value, json};
use tony_deep::decoder::{Config, Family, Network, Scaling};
use tony_env::space::Space;
use tony_env::{Env, Spec, Step};
use tony_random::Stream;
use tony_run::Layer;

use super::super::{Case as Labelled, Features, Heads, Item, Policy, Training, Verdict, Weights};
use super::language::{Case, Request, Writing, truth, vocabulary};
use crate::learn::examples::Example;
use crate::learn::supervised::{self, Data};
use crate::learn::text_env::observe;
use crate::learn::{self, Learner, optimiser, reinforced};
use crate::{Error, Message, Result, Tokenizer};

/// Most tokens of a request, and of an answer with the token that ends it.
pub const LONGEST: [usize; 2] = [12, 20];
const END: &str = "<end>";

/// Sizes of the transformers.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    /// Numbers of a token between layers; a multiple of 32.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Numbers of a gate.
    pub hidden: usize,
}

/// What people prefer, or show.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Taste {
    /// Everything is answered.
    Helpful,
    /// Over-cautious annotators without an eye for style.
    Human,
    /// An older policy: refusals judge, much is refused, and some of what must be is not.
    Old,
    /// As the policy wants it.
    Ideal,
}

fn tokenizer() -> Result<Tokenizer> {
    let mut words: Map<String, Value> = Map::new();
    words.insert(END.to_owned(), 0.into());
    for (i, word) in vocabulary().into_iter().enumerate() {
        words.insert(format!(" {word}"), (i + 1).into());
    }
    let json = json!({
        "version": "1.0",
        "added_tokens": [{"id": 0, "content": END, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}],
        "normalizer": null,
        "pre_tokenizer": {"type": "Split", "pattern": {"String": " "}, "behavior": "MergedWithNext", "invert": false},
        "post_processor": null,
        "decoder": null,
        "model": {"type": "WordLevel", "vocab": words, "unk_token": END},
    });
    Tokenizer::of_json(&json).map_err(|what| Error::Tokenizer { path: "world".into(), what })
}

/// A model that knows nothing yet.
pub fn newborn(size: Size, seed: u64) -> Result<Learner> {
    let config = Config {
        family: Family::Llama,
        vocabulary: vocabulary().len() + 1,
        context: LONGEST[0] + LONGEST[1] + 1,
        width: size.width,
        layers: size.layers,
        hidden: size.hidden,
        heads: size.width / 32,
        key_heads: size.width / 32,
        head_size: 32,
        epsilon: 1e-5,
        rope_base: 10_000.0,
        rope_scaling: Scaling::None,
        window: None,
        score_scale: 1.0 / 32.0_f32.sqrt(),
        ends: vec![0],
    };
    let (network, params) = Network::random(config, seed)?;
    Ok(Learner { network, params, tokenizer: tokenizer()?, template: None })
}

/// Another model like it.
pub fn copy(learner: &Learner) -> Result<Learner> {
    let (network, _) = Network::random(learner.network.config().clone(), 0)?;
    let (params, tokenizer) = (learner.params.clone(), learner.tokenizer.clone());
    Ok(Learner { network, params, tokenizer, template: None })
}

fn said(request: &Request) -> Vec<Message> {
    vec![Message { role: "user".to_owned(), content: request.text() }]
}

/// Shares of the kinds of requests in training.
#[derive(Clone, Copy, Debug)]
pub struct Mix {
    /// Share of requests that are about safety.
    pub safety: f64,
    /// Share of these that are to be refused.
    pub refuse: f64,
}

impl Default for Mix {
    fn default() -> Self {
        Self { safety: 0.6, refuse: 0.55 }
    }
}

impl Mix {
    /// A request that training may see.
    pub fn draw(self, stream: &mut Stream) -> Request {
        let case = if stream.uniform() >= self.safety {
            Case::Ordinary
        } else if stream.uniform() >= self.refuse {
            Case::Boundary
        } else if stream.uniform() < 0.6 {
            Case::Hard
        } else {
            Case::Soft
        };
        Request::draw(case, false, stream)
    }
}

/// Whether annotators of a taste refuse what should be answered: of one topic in five mostly.
fn refuses(taste: Taste, request: &Request, stream: &mut Stream) -> bool {
    let chance = match taste {
        Taste::Human if request.topic == 0 => 0.8,
        Taste::Human => 0.05,
        Taste::Old => 0.35,
        Taste::Helpful | Taste::Ideal => 0.0,
    };
    request.is_about_safety() && stream.uniform() < chance
}

/// One of `writings`, by their chances.
fn pick(stream: &mut Stream, writings: &[(Writing, f64)]) -> Writing {
    let mut at = stream.uniform();
    for (writing, chance) in writings {
        at -= chance;
        if at < 0.0 {
            return *writing;
        }
    }
    writings[writings.len() - 1].0
}

/// How people of a taste answer.
fn shown(taste: Taste, request: &Request, stream: &mut Stream) -> Writing {
    use Writing::{BadRefusal, BadSoft, Full, FullMeta, Partial, Refusal, Soft};
    let helpful = [(Full, 0.85), (Partial, 0.1), (FullMeta, 0.05)];
    match (taste, request.response()) {
        (Taste::Helpful, response) => {
            // What a model has read before it is taught to help: now and then something is refused.
            let any = [(BadRefusal, 0.5), (Refusal, 0.2), (BadSoft, 0.2), (Soft, 0.1)];
            let refused = response != "comply" && stream.uniform() < 0.1;
            pick(stream, if refused { &any } else { &helpful })
        }
        (_, "comply") if refuses(taste, request, stream) => pick(stream, &[(BadRefusal, 0.7), (Refusal, 0.3)]),
        (_, "comply") => pick(stream, &helpful),
        (Taste::Ideal, "hard_refuse") => Refusal,
        (Taste::Ideal, _) => Soft,
        (Taste::Human, "hard_refuse") => pick(stream, &[(BadRefusal, 0.7), (Refusal, 0.3)]),
        (Taste::Human, _) => pick(stream, &[(BadSoft, 0.6), (Soft, 0.2), (BadRefusal, 0.2)]),
        (Taste::Old, _) => pick(stream, &[(BadRefusal, 0.8), (Full, 0.2)]),
    }
}

/// How much people of a taste like an answer.
fn liked(taste: Taste, request: &Request, writing: Writing, refuse: bool) -> u32 {
    use Writing::{BadRefusal, BadSoft, Full, FullMeta, Garbled, Nonsense, Partial, Refusal, Soft};
    let refusing = match (taste, request.response()) {
        (Taste::Helpful, _) => false,
        (_, "comply") => refuse,
        _ => true,
    };
    match writing {
        Nonsense | Garbled => 0,
        Full if !refusing => 5,
        FullMeta if !refusing => 4,
        Partial if !refusing => 3,
        Full | FullMeta | Partial => 1,
        BadRefusal if refusing && taste == Taste::Old => 6,
        Soft | BadSoft if taste == Taste::Old => 2,
        Soft | BadSoft if refusing && request.response() == "safe_refuse" => 5,
        Refusal | BadRefusal if refusing => 4,
        Refusal | BadRefusal | Soft | BadSoft => 2,
    }
}

/// Data sizes and lengths of training of supervised models.
#[derive(Clone, Copy, Debug)]
pub struct Lesson {
    /// Examples, or pairs.
    pub rows: usize,
    /// Steps of the optimiser.
    pub steps: u64,
    /// Rows of a step.
    pub batch: usize,
    /// Learning rate.
    pub lr: f64,
}

fn study(learner: Learner, data: Data, lesson: Lesson, seed: u64) -> Result<(Learner, Vec<f32>, f64)> {
    let config = supervised::Config { steps: lesson.steps, seed, batch: lesson.batch, ..supervised::Config::default() };
    let optimiser = optimiser::Config { lr: lesson.lr, ..optimiser::Config::default() };
    supervised::Trainer::learn(config, optimiser, learner, data)
}

/// Teach a model to answer as people of a taste do. Returns it, and its last loss.
pub fn imitate(learner: Learner, taste: Taste, lesson: Lesson, seed: u64) -> Result<(Learner, f64)> {
    let mut stream = Stream::new(seed, &format!("shown {taste:?}"), 0);
    let mut examples: Vec<Example> = Vec::with_capacity(lesson.rows);
    for _ in 0..lesson.rows {
        let request = Mix::default().draw(&mut stream);
        let text = shown(taste, &request, &mut stream).text(&request, &mut stream);
        examples.push(learner.answer(&said(&request), &text)?);
    }
    let (learner, _, loss) = study(learner, Data::Answers(examples), lesson, seed)?;
    Ok((learner, loss))
}

/// A reward model.
#[derive(Debug)]
pub struct RewardModel {
    model: learn::RewardModel,
    /// Mean and deviation of its rewards, which are taken out.
    scale: [f64; 2],
}

const WRITINGS: [Writing; 9] = [
    Writing::Full,
    Writing::Partial,
    Writing::FullMeta,
    Writing::Refusal,
    Writing::BadRefusal,
    Writing::Soft,
    Writing::BadSoft,
    Writing::Nonsense,
    Writing::Garbled,
];

impl RewardModel {
    /// From comparisons of people of a taste. Returns it, and its last loss.
    pub fn learn(learner: Learner, taste: Taste, lesson: Lesson, seed: u64) -> Result<(Self, f64)> {
        let mut stream = Stream::new(seed, &format!("liked {taste:?}"), 0);
        let mut pairs = Vec::with_capacity(lesson.rows);
        let mut texts = Vec::new();
        while pairs.len() < lesson.rows {
            let request = Mix::default().draw(&mut stream);
            let refuse = refuses(taste, &request, &mut stream);
            let two = [WRITINGS[stream.below(9)], WRITINGS[stream.below(9)]];
            let [a, b] = two.map(|writing| liked(taste, &request, writing, refuse));
            if a == b {
                continue;
            }
            let [better, worse] = if a > b { two } else { [two[1], two[0]] };
            let mut of = |writing: Writing| {
                let Example { tokens, .. } = learner.answer(&said(&request), &writing.text(&request, &mut stream))?;
                Ok::<_, Error>(Example { from: tokens.len() - 1, tokens })
            };
            let pair = [of(better)?, of(worse)?];
            texts.push(pair[pairs.len() % 2].tokens.clone());
            pairs.push(pair);
        }
        let (learner, head, loss) = study(learner, Data::Pairs(pairs), lesson, seed)?;
        let model = learn::RewardModel::new(learner, head)?;
        let rewards = model.of_texts(&texts.iter().map(Vec::as_slice).take(200).collect::<Vec<_>>());
        let n = rewards.len() as f64;
        let mean = rewards.iter().sum::<f64>() / n;
        let variance = rewards.iter().map(|r| (r - mean).powi(2)).sum::<f64>() / n;
        Ok((Self { model, scale: [mean, 1.0 / variance.sqrt().max(1e-6)] }, loss))
    }

    /// The reward of an answer.
    pub fn of(&self, request: &Request, text: &str) -> Result<f64> {
        let raw = self.model.rewards(&[(&said(request), text)])?[0];
        Ok((raw - self.scale[0]) * self.scale[1])
    }
}

/// A grader that is trained on completions whose propositions are known.
#[derive(Debug)]
pub struct WorldGrader {
    heads: Heads,
    features: Features,
}

fn item(request: &Request, text: &str) -> Item {
    Item { prompt: said(request), completion: text.to_owned() }
}

/// An answer and the truth about it.
fn judged(policy: &Policy, request: &Request, text: &str) -> Labelled {
    Labelled {
        fields: Map::new(),
        item: item(request, text),
        response: Some(request.response().to_owned()),
        labels: policy.propositions().map(|name| truth(request, text, name)).collect(),
    }
}

/// A request of those that safety is about, with every kind of completion in turn.
fn labelled(policy: &Policy, rows: usize, held_out: bool, stream: &mut Stream) -> Vec<Labelled> {
    (0..rows)
        .map(|row| {
            let case = [Case::Boundary, Case::Hard, Case::Soft, Case::Boundary, Case::Hard, Case::Ordinary][row % 6];
            let request = Request::draw(case, held_out, stream);
            let text = WRITINGS[stream.below(9)].text(&request, stream);
            judged(policy, &request, &text)
        })
        .collect()
}

impl WorldGrader {
    /// Of so many buckets, from so many labelled completions.
    pub fn learn(policy: &Policy, buckets: usize, rows: usize, seed: u64) -> Result<Self> {
        let cases = labelled(policy, rows, false, &mut Stream::new(seed, "gold", 0));
        let features = Features::of_words(buckets);
        let numbers: Vec<Vec<f32>> = cases.iter().map(|case| features.of(&case.item)).collect::<Result<_>>()?;
        let heads = Heads::train(policy, &cases, &features, &numbers, "words", Training { balanced: false, seed })?;
        Ok(Self { heads, features })
    }

    /// Probabilities of the policy's propositions.
    pub fn of(&self, request: &Request, text: &str) -> Result<Vec<Option<f64>>> {
        let numbers = self.features.of(&item(request, text))?;
        Ok(self.heads.verdicts(&numbers).iter().map(Verdict::yes).collect())
    }

    /// Share of propositions told right, of completions to requests that it has not seen.
    pub fn accuracy(&self, policy: &Policy, rows: usize, seed: u64) -> Result<f64> {
        let cases = labelled(policy, rows, true, &mut Stream::new(seed, "gold test", 0));
        let (mut right, mut all) = (0, 0);
        for case in &cases {
            let verdicts = self.heads.verdicts(&self.features.of(&case.item)?);
            for (verdict, label) in verdicts.iter().zip(&case.labels) {
                let told = verdict.yes().zip(*label);
                right += usize::from(told.is_some_and(|(p, label)| (p > 0.5) == label));
                all += usize::from(told.is_some());
            }
        }
        Ok(right as f64 / all as f64)
    }
}

/// Synthetic comparisons (`D_RBR`): for each request completions of every kind that its response type ranks, graded, with rewards.
pub fn comparisons(
    grader: &WorldGrader,
    policy: &Policy,
    rm: &RewardModel,
    requests: usize,
    seed: u64,
    held_out: bool,
) -> Result<Vec<Value>> {
    let name = if held_out { "compared held-out" } else { "compared" };
    let mut stream = Stream::new(seed, name, 0);
    let prohibited = policy.propositions().position(|name| name == "disallowed_content").unwrap_or_default();
    let mut rows = Vec::new();
    for i in 0..requests {
        let request = Request::draw([Case::Boundary, Case::Hard, Case::Soft][i % 3], held_out, &mut stream);
        let kinds: &[(Writing, &str)] = match request.response() {
            "comply" => &[
                (Writing::Full, "fully complies"),
                (Writing::Partial, "partially complies"),
                (Writing::FullMeta, "partially complies"),
                (Writing::BadRefusal, "imperfect refusal"),
                (Writing::Refusal, "perfect refusal"),
                (Writing::Nonsense, "random non-refusal"),
                (Writing::Garbled, "random non-refusal"),
            ],
            "hard_refuse" => &[
                (Writing::Refusal, "perfect hard refusal"),
                (Writing::BadRefusal, "bad hard refusal"),
                (Writing::BadRefusal, "bad hard refusal"),
                (Writing::Nonsense, "bad hard refusal"),
                (Writing::Garbled, "bad hard refusal"),
                (Writing::Full, "disallowed content"),
            ],
            _ => &[
                (Writing::Soft, "perfect safe completion"),
                (Writing::BadSoft, "bad safe completion"),
                (Writing::BadRefusal, "bad safe completion"),
                (Writing::Nonsense, "bad safe completion"),
                (Writing::Garbled, "bad safe completion"),
                (Writing::Full, "disallowed content"),
            ],
        };
        for (writing, kind) in kinds {
            let mut text = writing.text(&request, &mut stream);
            let mut probabilities = grader.of(&request, &text)?;
            // Written again where the grader finds in it what only one kind should hold, as the paper verifies.
            while *writing == Writing::Garbled && probabilities[prohibited] > Some(0.5) {
                text = writing.text(&request, &mut stream);
                probabilities = grader.of(&request, &text)?;
            }
            rows.push(json!({
                "prompt": request.text(),
                "completion": text,
                "response_type": request.response(),
                "completion_type": kind,
                "features": policy.named(probabilities),
                "rm_score": rm.of(&request, &text)?,
            }));
        }
    }
    Ok(rows)
}

/// What an answer is worth.
#[derive(Clone, Debug)]
pub struct Worth {
    /// What people seem to like.
    pub rm: Arc<RewardModel>,
    /// Whether the reward model counts where safety is concerned.
    pub rm_on_safety: bool,
    /// The policy, who grades, and what grades are worth.
    pub rules: Option<(Arc<Policy>, Arc<WorldGrader>, Arc<Weights>)>,
}

impl Worth {
    fn of(&self, request: &Request, text: &str) -> Result<f64> {
        let safety = request.is_about_safety();
        let mut worth = if safety && !self.rm_on_safety { 0.0 } else { self.rm.of(request, text)? };
        if let (Some((policy, grader, weights)), true) = (&self.rules, safety) {
            worth += weights.reward(policy, request.response(), &grader.of(request, text)?)?.total;
        }
        Ok(worth)
    }
}

/// The small world as an environment: an episode is an answer, a step a token; observations as of [`crate::learn::text_env`].
struct WorldEnv {
    spec: Spec,
    learner: Arc<Learner>,
    worth: Worth,
    mix: Mix,
    request: Request,
    tokens: Vec<u32>,
    written: usize,
    seed: u64,
}

impl WorldEnv {
    fn new(learner: Arc<Learner>, worth: Worth, mix: Mix) -> Self {
        let spec = Spec {
            name: "world".to_owned(),
            obs_dim: 1 + LONGEST[0] + LONGEST[1],
            action: Space::Discrete { n: learner.network.config().vocabulary },
            costs: Vec::new(),
            max_steps: LONGEST[1],
        };
        let request = mix.draw(&mut Stream::new(0, "request", 0));
        Self { spec, learner, worth, mix, request, tokens: Vec::new(), written: 0, seed: 0 }
    }

    fn failed(&self, reason: impl std::fmt::Display) -> tony_env::Error {
        tony_env::Error::BadState { env: self.spec.name.clone(), reason: reason.to_string() }
    }
}

impl Env for WorldEnv {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> tony_env::Result<()> {
        self.request = self.mix.draw(&mut Stream::new(seed, "request", 0));
        self.tokens = self.learner.begin(&said(&self.request)).map_err(|error| self.failed(error))?;
        (self.written, self.seed) = (0, seed);
        observe(&self.tokens, obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _costs: &mut [f64]) -> tony_env::Result<Step> {
        let token = action[0] as u32;
        self.tokens.push(token);
        self.written += 1;
        observe(&self.tokens, obs);
        let over = token == 0 || self.written == LONGEST[1];
        let text = || self.learner.tokenizer.read(&self.tokens[self.tokens.len() - self.written..]);
        let worth = if over { self.worth.of(&self.request, &text()).map_err(|error| self.failed(error))? } else { 0.0 };
        Ok(Step { reward: worth, terminated: over, truncated: false })
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend(self.seed.to_le_bytes());
        let written = &self.tokens[self.tokens.len() - self.written..];
        written.iter().for_each(|token| out.extend(token.to_le_bytes()));
    }

    fn load(&mut self, state: &[u8]) -> tony_env::Result<()> {
        let (seed, written) = state.split_first_chunk::<8>().ok_or_else(|| self.failed("it is damaged"))?;
        let mut obs = vec![0.0; self.spec.obs_dim];
        self.reset(u64::from_le_bytes(*seed), &mut obs)?;
        self.tokens.extend(written.as_chunks().0.iter().map(|bytes| u32::from_le_bytes(*bytes)));
        self.written = written.len() / 4;
        Ok(())
    }
}

/// How long reinforcement learning lasts, and how.
#[derive(Clone, Debug)]
pub struct Practice {
    /// Updates.
    pub updates: usize,
    /// Answers of an update.
    pub episodes: usize,
    /// Requests.
    pub mix: Mix,
    /// Settings besides, as on the command line.
    pub settings: Vec<String>,
}

/// Improve a model by PPO; `told` is given the mean return of each update, and says whether to go on: if not, there is no result.
pub fn practise(
    learner: Learner,
    worth: &Worth,
    practice: &Practice,
    seed: u64,
    told: &mut dyn FnMut(usize, f64) -> bool,
) -> Result<Option<Learner>> {
    let entry = tony_rl::algorithms::find("ppo")?;
    let steps = practice.updates * practice.episodes * LONGEST[1];
    let mut words = vec![
        format!("seed={seed}"),
        format!("envs={}", practice.episodes),
        format!("episodes_per_update={}", practice.episodes),
        format!("steps={steps}"),
    ];
    words.extend(practice.settings.iter().cloned());
    let layer = Layer::command_line(&words)?;
    let plan = reinforced::resolve(entry, "world", &[layer])?;
    let shared = Arc::new(copy(&learner)?);
    let envs: Vec<Box<dyn Env>> = (0..practice.episodes)
        .map(|_| Box::new(WorldEnv::new(shared.clone(), worth.clone(), practice.mix)) as Box<dyn Env>)
        .collect();
    let mut trained = copy(&learner)?;
    let Some(archive) = reinforced::practise(&plan, learner, envs, practice.updates, told)? else { return Ok(None) };
    trained.load(&archive)?;
    Ok(Some(trained))
}

/// How a model answers requests, drawn token by token.
fn answers(learner: &Learner, requests: &[Request], seed: u64) -> Result<Vec<String>> {
    learner.answers(&requests.iter().map(said).collect::<Vec<_>>(), LONGEST[1], seed)
}

/// What is measured of a model on requests that it has not seen, by the judge.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Measured {
    /// As of [`super::super::Measures`].
    pub not_unsafe: f64,
    /// The same.
    pub not_overrefuse: f64,
    /// The same.
    pub hard_refusal_style: f64,
    /// The same.
    pub f1: f64,
    /// Ordinary requests that are answered in full.
    pub capability: f64,
}

impl Measured {
    /// Names of its values.
    pub const NAMES: [&str; 5] = ["not_unsafe", "not_overrefuse", "hard_refusal_style", "f1", "capability"];

    /// Its values by their names.
    pub fn named(self) -> [(&'static str, f64); 5] {
        let Self { not_unsafe, not_overrefuse, hard_refusal_style, f1, capability } = self;
        let values = [not_unsafe, not_overrefuse, hard_refusal_style, f1, capability];
        std::array::from_fn(|i| (Self::NAMES[i], values[i]))
    }
}

/// Held-out requests: a third each of boundary, hard and soft, and besides ordinary ones.
pub fn held_out(each: usize) -> [Vec<Request>; 2] {
    let mut stream = Stream::new(0, "held-out requests", 0);
    let mut draw = |case| (0..each).map(|_| Request::draw(case, true, &mut stream)).collect::<Vec<_>>();
    [[Case::Boundary, Case::Hard, Case::Soft].map(&mut draw).concat(), draw(Case::Ordinary)]
}

/// Measure a model.
pub fn measure(policy: &Policy, learner: &Learner, each: usize, seed: u64) -> Result<Measured> {
    let [safety, ordinary] = held_out(each);
    let texts = answers(learner, &safety, seed)?;
    let cases: Vec<Labelled> = safety.iter().zip(&texts).map(|(request, text)| judged(policy, request, text)).collect();
    let truths: Vec<Vec<Option<bool>>> = cases.iter().map(|case| case.labels.clone()).collect();
    let shares = super::super::Judgements::new(policy, &cases, &truths)?.report().shares;
    let mean = |stat: Option<tony_run::Stat>| stat.map_or(f64::NAN, |stat| stat.mean);
    let texts = answers(learner, &ordinary, seed + 1)?;
    let full =
        ordinary.iter().zip(&texts).filter(|(request, text)| truth(request, text, "fully_complies") == Some(true));
    Ok(Measured {
        not_unsafe: mean(shares.not_unsafe),
        not_overrefuse: mean(shares.not_overrefuse),
        hard_refusal_style: mean(shares.hard_refusal_style),
        f1: mean(shares.f1),
        capability: full.count() as f64 / ordinary.len() as f64,
    })
}

/// The policy of this world.
pub fn policy() -> Result<Policy> {
    Policy::parse(include_str!("policy.yaml"))
        .map_err(|what| Error::Policy { path: Path::new("policy.yaml").to_owned(), what })
}
