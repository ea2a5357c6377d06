//! A language of five tokens: a task that shows all tokens so far and takes the next one, and a policy that reads them one by one.

use std::borrow::Cow;

use tony_env::space::Space;
use tony_env::{Env, Spec, Step};
use tony_random::Stream;
use tony_rl::policy::{Batch, Policy, Scratch, Seat, Weight};
use tony_rl::rollout::Rollout;
use tony_rl::{Actor, Error, Result};
use tony_run::{Archive, Metrics};

/// Tokens: 0 ends a text, the prompt is one of the others.
pub const TOKENS: usize = 5;
/// Tokens that an answer may have.
pub const LONGEST: usize = 4;
/// The prompt and the answer; what is not yet written is -1.
pub const WIDTH: usize = 1 + LONGEST;

/// Pays 1 at the end for each token of the answer that repeats the prompt, and each such token costs 1 as it is written.
pub struct Repeat {
    spec: Spec,
    text: Vec<f64>,
}

impl Repeat {
    pub fn new() -> Self {
        let action = Space::Discrete { n: TOKENS };
        let costs = vec!["cost".to_owned()];
        Self {
            spec: Spec { name: "repeat".to_owned(), obs_dim: WIDTH, action, costs, max_steps: LONGEST },
            text: Vec::new(),
        }
    }

    pub fn several(count: usize) -> Vec<Box<dyn Env>> {
        (0..count).map(|_| Box::new(Self::new()) as Box<dyn Env>).collect()
    }

    fn show(&self, obs: &mut [f64]) {
        obs.fill(-1.0);
        obs[..self.text.len()].copy_from_slice(&self.text);
    }
}

impl Env for Repeat {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> tony_env::Result<()> {
        self.text = vec![1.0 + Stream::new(seed, "prompt", 0).below(TOKENS - 1) as f64];
        self.show(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> tony_env::Result<Step> {
        self.text.push(action[0]);
        self.show(obs);
        costs[0] = f64::from(u8::from(action[0] == self.text[0]));
        let terminated = action[0] == 0.0 || self.text.len() == WIDTH;
        let repeated = self.text[1..].iter().filter(|&&token| token == self.text[0]).count();
        Ok(Step { reward: if terminated { repeated as f64 } else { 0.0 }, terminated, truncated: false })
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend(self.text.iter().map(|&token| token as u8));
    }

    fn load(&mut self, state: &[u8]) -> tony_env::Result<()> {
        self.text = state.iter().map(|&token| f64::from(token)).collect();
        Ok(())
    }
}

/// Numbers that a [`Reader`] knows of a text.
const KNOWN: usize = 2 * TOKENS + 1;

/// A softmax of a linear function of what it has read: which token came first, and how lately each one came.
#[derive(Clone)]
pub struct Reader {
    /// `[TOKENS, KNOWN]`.
    pub params: Vec<f32>,
    /// Keeps what it has read from step to step.
    pub keeps: bool,
    /// Acts for all environments at once.
    pub together: bool,
    /// Wants the rows of an episode together, and looks whether they are.
    pub whole: bool,
    /// Log-probability of every token under the reference, if there is one.
    pub reference: Option<f32>,
    /// Draws by another forward pass, whose log-probabilities are off by this.
    pub off: f32,
}

/// What was read of a text: so many tokens.
struct Read {
    tokens: usize,
    known: [f32; KNOWN],
}

impl Read {
    fn nothing() -> Self {
        let mut known = [0.0; KNOWN];
        known[KNOWN - 1] = 1.0;
        Self { tokens: 0, known }
    }

    /// Read on to the end of the text.
    fn on(&mut self, obs: &[f32]) {
        for &token in obs[self.tokens..].iter().take_while(|&&token| token >= 0.0) {
            self.known[..TOKENS].iter_mut().for_each(|x| *x *= 0.7);
            self.known[token as usize] += 1.0;
            if self.tokens == 0 {
                self.known[TOKENS + token as usize] = 1.0;
            }
            self.tokens += 1;
        }
    }

    fn all(obs: &[f32]) -> Self {
        let mut read = Self::nothing();
        read.on(obs);
        read
    }
}

impl Reader {
    pub fn new() -> Self {
        Self { params: vec![0.0; TOKENS * KNOWN], keeps: true, together: true, whole: true, reference: None, off: 0.0 }
    }

    /// Log-probabilities of the next token.
    fn next(&self, known: &[f32; KNOWN]) -> [f32; TOKENS] {
        let mut logits = [0.0; TOKENS];
        for (logit, row) in logits.iter_mut().zip(self.params.chunks(KNOWN)) {
            *logit = row.iter().zip(known).map(|(w, x)| w * x).sum();
        }
        let most = logits.iter().copied().fold(f32::MIN, f32::max);
        let sum: f32 = logits.iter().map(|l| libm::expf(l - most)).sum();
        logits.map(|l| l - most - libm::logf(sum))
    }

    fn read(&self, obs: &[f32], scratch: &mut Scratch) -> [f32; TOKENS] {
        if !self.keeps {
            return self.next(&Read::all(obs).known);
        }
        let read = scratch.kept.get_or_insert_with(|| Box::new(Read::nothing())).downcast_mut::<Read>().unwrap();
        read.on(obs);
        self.next(&read.known)
    }

    fn rows<'a>(&'a self, batch: &'a Batch) -> impl Iterator<Item = (usize, [f32; KNOWN], [f32; TOKENS])> + 'a {
        (0..batch.index.map_or(batch.obs.len() / WIDTH, <[u32]>::len)).map(|i| {
            let row = batch.row(i);
            let known = Read::all(&batch.obs[row * WIDTH..][..WIDTH]).known;
            (row, known, self.next(&known))
        })
    }
}

fn entropy(log_p: &[f32; TOKENS]) -> f32 {
    -log_p.iter().map(|l| libm::expf(*l) * l).sum::<f32>()
}

impl Actor for Reader {
    fn act(&self, obs: &[f32], _: &mut [f32], stream: &mut Stream, act: &mut [f32], scratch: &mut Scratch) -> f32 {
        let log_p = self.read(obs, scratch);
        let mut left = stream.uniform() as f32;
        let drawn = log_p.iter().position(|l| {
            left -= libm::expf(*l);
            left < 0.0
        });
        let token = drawn.unwrap_or(TOKENS - 1);
        act[0] = token as f32;
        log_p[token] + self.off
    }

    fn together(&self) -> bool {
        self.together
    }

    fn act_together(&self, seats: &mut [Seat]) {
        // Another order than the lanes': nobody may depend on it.
        for Seat { obs, memory, stream, act, scratch, log_prob } in seats.iter_mut().rev() {
            **log_prob = self.act(obs, memory, stream, act, scratch);
        }
    }

    fn settle(&self, rollout: &mut Rollout, metrics: &mut Metrics) -> Result<()> {
        let log_prob = self.log_probs(&Batch::all(rollout));
        metrics.set("Toy/Off", f64::from(rollout.log_prob[0] - log_prob[0]));
        rollout.log_prob = log_prob;
        rollout.reference = self.reference.map_or_else(Vec::new, |log_prob| vec![log_prob; rollout.rows()]);
        Ok(())
    }

    fn mode(&self, obs: &[f32], _: &mut [f32], act: &mut [f32], scratch: &mut Scratch) {
        let log_p = self.read(obs, scratch);
        let best = (0..TOKENS).max_by(|&a, &b| log_p[a].total_cmp(&log_p[b])).unwrap();
        act[0] = best as f32;
    }

    fn save(&self, archive: &mut Archive) -> Result<()> {
        Ok(archive.put_f32("policy.params", &[self.params.len()], &self.params)?)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32("policy.params", &[self.params.len()])?;
        Ok(())
    }
}

impl Policy for Reader {
    fn log_probs(&self, batch: &Batch) -> Vec<f32> {
        self.rows(batch).map(|(row, _, log_p)| log_p[batch.act[row] as usize]).collect()
    }

    fn gradient(&mut self, batch: &Batch, weight: &Weight, beta: f32, grad: &mut [f32]) {
        grad.fill(0.0);
        let index = batch.index.filter(|_| self.whole).unwrap_or_default();
        let begins = |row: u32| batch.obs[row as usize * WIDTH + 1] < 0.0;
        assert!(index.windows(2).all(|two| begins(two[1]) || two[1] == two[0] + 1), "{index:?}");
        assert!(index.first().is_none_or(|&first| begins(first)), "{index:?}");
        for (row, known, log_p) in self.rows(batch) {
            let token = batch.act[row] as usize;
            let (w, h) = (weight(row, log_p[token]), entropy(&log_p));
            for (k, (l, grad)) in log_p.iter().zip(grad.chunks_mut(KNOWN)).enumerate() {
                let p = libm::expf(*l);
                let slope = w * (f32::from(u8::from(k == token)) - p) - beta * p * (l + h);
                grad.iter_mut().zip(&known).for_each(|(g, x)| *g += slope * x);
            }
        }
    }

    fn fisher_product(&mut self, _: &Batch, _: &[f32], _: &mut [f32]) -> Result<()> {
        Err(Error::Invalid { what: "a reader has no Fisher product".to_owned(), hint: "use ppo".to_owned() })
    }

    fn distributions(&self, batch: &Batch) -> Vec<f32> {
        self.rows(batch).flat_map(|(.., log_p)| log_p).collect()
    }

    fn kl(&self, batch: &Batch, old: &[f32]) -> f64 {
        let rows = self.rows(batch).zip(old.chunks(TOKENS));
        let sum: f32 =
            rows.map(|((.., new), old)| old.iter().zip(new).map(|(o, n)| libm::expf(*o) * (o - n)).sum::<f32>()).sum();
        f64::from(sum) * TOKENS as f64 / old.len() as f64
    }

    fn entropy(&self, batch: &Batch) -> f64 {
        let (sum, count) =
            self.rows(batch).fold((0.0, 0.0), |(sum, n), (.., l)| (sum + f64::from(entropy(&l)), n + 1.0));
        sum / count
    }

    fn params(&self) -> &[f32] {
        &self.params
    }

    fn params_mut(&mut self) -> &mut [f32] {
        &mut self.params
    }

    fn features<'a>(&self, obs: &'a [f32]) -> Cow<'a, [f32]> {
        Cow::Owned(obs.chunks(WIDTH).flat_map(|text| Read::all(text).known).collect())
    }

    fn feature_len(&self) -> usize {
        KNOWN
    }

    fn whole_episodes(&self) -> bool {
        self.whole
    }

    fn observe(&mut self, _: &[f32]) {}
}
