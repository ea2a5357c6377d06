//! Any number of requests, answered side by side.

use std::collections::VecDeque;

use tony_deep::decoder::{Kept, Piece};
use tony_random::Stream;

use crate::constrain::{Guide, Next};
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
}

#[derive(Debug)]
struct Active {
    id: u64,
    request: Request,
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

impl<'a> Writer<'a> {
    /// Nothing to do yet; at most `most` requests are answered at a time, the others wait in order.
    pub fn new(model: &'a Model, most: usize) -> Self {
        Self { model, active: Vec::new(), waiting: VecDeque::new(), next: 0, most: most.max(1) }
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

    /// Give up a request.
    pub fn cancel(&mut self, request: u64) {
        self.active.retain(|active| active.id != request);
        self.waiting.retain(|active| active.id != request);
    }

    /// One step for all: a token of each that writes, and some of the prompts of those that read. Fails if the model's logits are not
    /// numbers, as those of damaged weights may be.
    pub fn step(&mut self) -> Result<Vec<Event>> {
        while self.active.len() < self.most {
            let Some(next) = self.waiting.pop_front() else { break };
            self.active.push(next);
        }
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
        self.active.retain(|active| !ended(active.id));
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
        Event { request: self.id, choice, first_logits, text, finish }
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

fn find(text: &[u8], part: &[u8]) -> Option<usize> {
    text.windows(part.len()).position(|window| window == part)
}
