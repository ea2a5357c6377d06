//! Any number of requests, answered side by side.

use std::collections::VecDeque;

use tony_deep::decoder::{Kept, Piece};
use tony_random::Stream;

use crate::constrain::{Guide, Next};
use crate::sample::likeliest;
use crate::{Choice, Constraint, Error, Model, Result, Sampling};

/// A text to go on with.
#[derive(Clone, Debug)]
pub struct Request {
    /// The tokens so far; at least one.
    pub prompt: Vec<u32>,
    /// Most tokens to write.
    pub max_tokens: usize,
    /// How each is drawn.
    pub sampling: Sampling,
    /// Seed of the draws.
    pub seed: u64,
    /// Texts that end the answer and are not part of it.
    pub stops: Vec<String>,
    /// The form of the answer, made for this model.
    pub constraint: Option<Constraint>,
}

/// Why an answer ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model said so, a stop text was met, or the form that was asked for is complete.
    Stop,
    /// As many tokens as were asked for, or as the model can take.
    Length,
    /// The form that was asked for became too complex to follow, or no token of the model goes on with it: it is not complete.
    Stuck,
}

impl Finish {
    /// Its name in results.
    pub fn name(self) -> &'static str {
        match self {
            Self::Stop => "stop",
            Self::Length => "length",
            Self::Stuck => "stuck",
        }
    }
}

/// One token of an answer.
#[derive(Clone, Debug)]
pub struct Event {
    /// Which request, as [`Writer::add`] said.
    pub request: u64,
    /// The token and its probabilities.
    pub choice: Choice,
    /// Logits of all tokens, where the request's first token is drawn.
    pub first_logits: Option<Vec<f32>>,
    /// The likeliest tokens here and their log-probabilities under the model, as many as [`Writer::show_likeliest`] asked for.
    pub likeliest: Vec<(u32, f64)>,
    /// Tokens of the prompt that were not read anew, because an earlier request had begun with them.
    pub reused: usize,
    /// Text that is now certain; parts of characters and of stop texts are held back.
    pub text: String,
    /// Why this was the last.
    pub finish: Option<Finish>,
}

/// Answers requests; each step draws the next token of every one that has read its prompt.
#[derive(Debug)]
pub struct Writer<'a> {
    model: &'a Model,
    active: Vec<Active>,
    waiting: VecDeque<Active>,
    next: u64,
    most: usize,
    /// What is kept of requests that ended, the one that was of use last at the end.
    remembered: VecDeque<Remembered>,
    memory: usize,
}

#[derive(Debug)]
struct Remembered {
    tokens: Vec<u32>,
    kept: Kept,
}

#[derive(Debug)]
struct Active {
    id: u64,
    request: Request,
    likeliest: usize,
    reused: usize,
    kept: Kept,
    /// Tokens of the prompt that were read, or all and those written.
    read: usize,
    tokens: Vec<u32>,
    written: usize,
    stream: Stream,
    guide: Option<Guide>,
    /// Bytes that are not certain yet.
    held: Vec<u8>,
}

/// Prompt tokens that a step reads at most: a long prompt does not make others wait for long.
const PROMPT_STEP: usize = 256;
/// Tokens that are worth copying what is kept of them, or waiting for another request to read them.
const WORTH_SHARING: usize = 16;

impl<'a> Writer<'a> {
    /// Nothing to do yet; at most `most` requests are answered at a time, the others wait in order.
    pub fn new(model: &'a Model, most: usize) -> Self {
        Self {
            model,
            active: Vec::new(),
            waiting: VecDeque::new(),
            next: 0,
            most: most.max(1),
            remembered: VecDeque::new(),
            memory: 0,
        }
    }

    /// Requests that begin alike share what is kept of their first tokens: among those that are answered, and with those that ended as far
    /// as that takes up to `bytes` of memory. No bit of an answer depends on it.
    #[must_use]
    pub fn remembering(mut self, bytes: usize) -> Self {
        self.memory = bytes;
        self
    }

    /// Memory of what is kept of requests that ended.
    pub fn remembered_bytes(&self) -> usize {
        self.remembered.iter().map(|one| one.kept.bytes()).sum()
    }

    /// Requests that are not finished.
    pub fn pending(&self) -> usize {
        self.active.len() + self.waiting.len()
    }

    /// Add a request; it is told apart by the number returned.
    pub fn add(&mut self, request: Request) -> Result<u64> {
        request.sampling.check()?;
        let (context, vocabulary) = (self.model.decoder.config().context, self.model.decoder.config().vocabulary);
        let invalid = |what: String| Error::Invalid { what, hint: "tony generate --help".to_owned() };
        if request.prompt.is_empty() {
            return Err(invalid("the prompt is empty: there is nothing to go on with".to_owned()));
        }
        if request.prompt.len() >= context {
            let tokens = request.prompt.len();
            return Err(invalid(format!(
                "the prompt has {tokens} tokens; this model takes {context}, and one must be left to write"
            )));
        }
        if let Some(token) = request.prompt.iter().find(|token| **token as usize >= vocabulary) {
            return Err(invalid(format!("the prompt has a token {token}; this model has {vocabulary}")));
        }
        let id = self.next;
        self.next += 1;
        self.waiting.push_back(Active {
            id,
            kept: self.model.decoder.begin(),
            likeliest: 0,
            reused: 0,
            read: 0,
            tokens: request.prompt.clone(),
            written: 0,
            stream: Stream::new(request.seed, "sample", 0),
            guide: request.constraint.as_ref().map(Constraint::begin),
            held: Vec::new(),
            request,
        });
        Ok(id)
    }

    /// Every event of this request is to tell the `count` likeliest tokens.
    pub fn show_likeliest(&mut self, request: u64, count: usize) {
        let all = self.active.iter_mut().chain(&mut self.waiting);
        all.filter(|active| active.id == request).for_each(|active| active.likeliest = count);
    }

    /// Give up a request.
    pub fn cancel(&mut self, request: u64) {
        self.waiting.retain(|active| active.id != request);
        self.end(&|active| active.id == request);
    }

    /// Give up all requests that have been begun, as must be done after [`Writer::step`] failed. Returns which.
    pub fn give_up(&mut self) -> Vec<u64> {
        self.active.drain(..).map(|active| active.id).collect()
    }

    /// Take those out that have ended, and remember what is kept of them.
    fn end(&mut self, ended: &dyn Fn(&Active) -> bool) {
        let (gone, stay) = std::mem::take(&mut self.active).into_iter().partition(ended);
        self.active = stay;
        let gone: Vec<Active> = gone;
        for active in gone.into_iter().filter(|active| self.memory > 0 && active.read >= WORTH_SHARING) {
            let (mut tokens, kept) = (active.tokens, active.kept);
            tokens.truncate(active.read);
            // One that is a part of another adds nothing.
            if let Some(whole) = self.remembered.iter().position(|other| other.tokens.starts_with(&tokens)) {
                let whole = self.remembered.remove(whole);
                self.remembered.extend(whole);
            } else {
                self.remembered.retain(|other| !tokens.starts_with(&other.tokens));
                self.remembered.push_back(Remembered { tokens, kept });
            }
        }
        while self.remembered_bytes() > self.memory {
            self.remembered.pop_front();
        }
    }

    /// Begin those that wait, in order, where there is room. One whose beginning another is just reading lets those behind it pass: to wait
    /// is faster than to read the same twice.
    fn begin(&mut self) {
        let mut at = 0;
        while self.active.len() < self.most {
            let Some(next) = self.waiting.get(at) else { break };
            if self.memory > 0 && self.is_being_read(&next.tokens) {
                at += 1;
            } else if let Some(mut next) = self.waiting.remove(at) {
                if self.memory > 0 {
                    self.reuse(&mut next);
                }
                self.active.push(next);
            }
        }
    }

    /// Whether there will soon be more to share with than there is now.
    fn is_being_read(&self, tokens: &[u32]) -> bool {
        let now = self.sources().map(|(other, _)| shared(other, tokens)).max().unwrap_or(0);
        let reading = self.active.iter().filter(|active| active.written == 0);
        let soon = reading.map(|active| shared(&active.tokens, tokens)).max().unwrap_or(0);
        soon >= now + WORTH_SHARING
    }

    /// Tokens of which something is kept, and what.
    fn sources(&self) -> impl Iterator<Item = (&[u32], &Kept)> {
        let running = self.active.iter().map(|active| (&active.tokens[..active.read], &active.kept));
        running.chain(self.remembered.iter().map(|one| (&*one.tokens, &one.kept)))
    }

    /// Start from what is kept of the longest beginning that this request shares with another; its last token is read anew, since what
    /// follows it is not kept.
    fn reuse(&mut self, next: &mut Active) {
        let most = next.tokens.len() - 1;
        let found = self.sources().map(|(tokens, kept)| (shared(tokens, &next.tokens).min(most), kept));
        let Some((count, kept)) = found.max_by_key(|(count, _)| *count) else { return };
        if count < WORTH_SHARING {
            return;
        }
        next.kept = kept.first(count);
        (next.read, next.reused) = (count, count);
        let is_source = |one: &Remembered| shared(&one.tokens, &next.tokens) >= count;
        if let Some(source) = self.remembered.iter().position(is_source) {
            let source = self.remembered.remove(source);
            self.remembered.extend(source);
        }
    }

    /// One step for all: a token of each that writes, and some of the prompts of those that read. Fails if the model's logits are not
    /// numbers, as those of damaged weights may be.
    pub fn step(&mut self) -> Result<Vec<Event>> {
        self.begin();
        let mut room = PROMPT_STEP;
        let mut pieces = Vec::new();
        let mut drawing = Vec::new();
        for (i, active) in self.active.iter_mut().enumerate() {
            let unread = active.tokens.len() - active.read;
            let count = if unread == 1 { 1 } else { unread.min(room) };
            if count == 0 {
                continue;
            }
            room -= if unread == 1 { 0 } else { count };
            let tokens = &active.tokens[active.read..active.read + count];
            active.read += count;
            let last = active.read == active.tokens.len();
            drawing.extend(last.then_some(i));
            pieces.push(Piece { kept: &mut active.kept, tokens, wanted: usize::from(last) });
        }
        let vocabulary = self.model.decoder.config().vocabulary;
        let logits = self.model.decoder.forward(&mut pieces);
        if !logits.iter().all(|logit| logit.is_finite()) {
            return Err(Error::NonFinite { path: self.model.path().to_owned() });
        }
        let mut events = Vec::new();
        for (i, logits) in drawing.into_iter().zip(logits.chunks_exact(vocabulary)) {
            events.push(self.active[i].draw(self.model, logits));
        }
        let ended = |id: u64| events.iter().any(|event| event.request == id && event.finish.is_some());
        self.end(&|active| ended(active.id));
        Ok(events)
    }
}

impl Active {
    fn draw(&mut self, model: &Model, logits: &[f32]) -> Event {
        let config = model.decoder.config();
        let (sampling, stream) = (self.request.sampling, &mut self.stream);
        let (choice, next) = match &mut self.guide {
            Some(guide) => {
                let choice = sampling.draw_among(logits, |token| guide.allows(token), stream);
                (choice, guide.advance(choice.token))
            }
            None => (sampling.draw(logits, stream), Next::Token),
        };
        let first_logits = (self.written == 0).then(|| logits.to_vec());
        let likeliest = likeliest(logits, self.likeliest);
        self.tokens.push(choice.token);
        self.written += 1;
        let ended = config.ends.contains(&choice.token);
        if !ended && !model.tokenizer.is_special(choice.token) {
            self.held.extend_from_slice(model.tokenizer.spelled(choice.token));
        }
        let full = self.written >= self.request.max_tokens || self.tokens.len() >= config.context;
        let finish = match next {
            Next::Token if !ended => full.then_some(Finish::Length),
            Next::Stuck => Some(Finish::Stuck),
            Next::Token | Next::Nothing => Some(Finish::Stop),
        };
        let (text, stopped) = self.release(finish.is_some());
        let finish = if stopped { Some(Finish::Stop) } else { finish };
        Event { request: self.id, choice, first_logits, likeliest, reused: self.reused, text, finish }
    }

    /// What of the bytes held back is certain: up to a stop text, or to where one, or a character, may have begun; all `at_end`.
    fn release(&mut self, at_end: bool) -> (String, bool) {
        let stops = || self.request.stops.iter().map(String::as_bytes).filter(|stop| !stop.is_empty());
        let found = stops().filter_map(|stop| find(&self.held, stop)).min();
        if let Some(at) = found {
            let text = String::from_utf8_lossy(&self.held[..at]).into_owned();
            self.held.clear();
            return (text, true);
        }
        let mut certain = self.held.len();
        if !at_end {
            let begun = |stop: &[u8]| (1..stop.len()).rev().find(|n| self.held.ends_with(&stop[..*n])).unwrap_or(0);
            certain -= stops().map(begun).max().unwrap_or(0);
            if let Err(error) = std::str::from_utf8(&self.held[..certain])
                && error.error_len().is_none()
            {
                certain = error.valid_up_to();
            }
        }
        let text = String::from_utf8_lossy(&self.held[..certain]).into_owned();
        self.held.drain(..certain);
        (text, false)
    }
}

/// How many tokens two sequences begin with alike.
fn shared(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
