//! Rows of data to tokens that are learned.

use std::path::Path;

use serde::Deserialize;
use tony_deep::decoder::{Decoder, Piece, Sequence};
use tony_random::Stream;

use super::Learner;
use crate::{Error, Message, Result, Sampling, jsonl};

/// Tokens of an example, of which those from `from` on are learned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Example {
    pub tokens: Vec<u32>,
    pub from: usize,
}

impl Example {
    pub fn sequence(&self) -> Sequence<'_> {
        Sequence { tokens: &self.tokens, from: self.from }
    }
}

/// What is said: a text, which is one turn, or messages.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Turns {
    Text(String),
    Messages(Vec<Message>),
}

impl Turns {
    /// As messages; a text is of `role`.
    pub fn messages(self, role: &str) -> Vec<Message> {
        match self {
            Self::Text(content) => vec![Message { role: role.to_owned(), content }],
            Self::Messages(messages) => messages,
        }
    }

    /// As one text: that of the last message.
    fn text(self) -> String {
        match self {
            Self::Text(text) => text,
            Self::Messages(messages) => messages.into_iter().next_back().map(|m| m.content).unwrap_or_default(),
        }
    }
}

#[derive(Deserialize)]
struct Row {
    text: Option<String>,
    messages: Option<Vec<Message>>,
    prompt: Option<Turns>,
    completion: Option<Turns>,
}

#[derive(Deserialize)]
struct Pair {
    prompt: Option<Turns>,
    chosen: Turns,
    rejected: Turns,
}

/// Answers that are written together.
const TOGETHER: usize = 64;
/// Where a turn of a person, and of a model, begins in dialogues of the form of HH-RLHF (Bai et al. 2022).
const TURNS: [(&str, &str); 2] = [("user", "\n\nHuman:"), ("assistant", "\n\nAssistant:")];

impl Learner {
    /// Examples to imitate; rows are `{"prompt", "completion"}`, `{"messages"}`, of which the last is learned, or `{"text"}`, learned whole.
    /// Those whose learned part lies wholly beyond `longest` tokens are left out; how many were.
    pub(super) fn examples(&self, path: &Path, longest: usize) -> Result<(Vec<Example>, usize)> {
        let (mut examples, mut left_out) = (Vec::new(), 0);
        for (line, row) in jsonl::read::<Row>(path)? {
            let bad = |what: &str| Error::Data { path: path.to_owned(), line, what: what.to_owned() };
            let mut example = match (row.text, row.messages, row.prompt, row.completion) {
                (Some(text), None, None, None) => self.plain(&text)?,
                (None, Some(mut messages), None, None) => {
                    let last = messages.pop().ok_or_else(|| bad("there are no messages"))?;
                    if last.role != "assistant" {
                        return Err(bad("the last message, which is learned, is not the assistant's"));
                    }
                    self.answer(&messages, &last.content)?
                }
                (None, None, Some(prompt), Some(completion)) => {
                    self.answer(&prompt.messages("user"), &completion.text())?
                }
                _ => return Err(bad("a row has `prompt` and `completion`, or `messages`, or `text`")),
            };
            example.tokens.truncate(longest);
            if example.from < example.tokens.len() { examples.push(example) } else { left_out += 1 }
        }
        Ok((examples, left_out))
    }

    /// Pairs of answers, the better first; rows are `{"prompt", "chosen", "rejected"}`, or `{"chosen", "rejected"}` with whole dialogues in the
    /// form of HH-RLHF. What counts of each is its last token. Pairs with one of over `longest` tokens are left out; how many were.
    pub(super) fn pairs(&self, path: &Path, longest: usize) -> Result<(Vec<[Example; 2]>, usize)> {
        let (mut pairs, mut left_out) = (Vec::new(), 0);
        for (line, Pair { prompt, chosen, rejected }) in jsonl::read::<Pair>(path)? {
            let bad = |what: &str| Error::Data { path: path.to_owned(), line, what: what.to_owned() };
            let prompt = prompt.map(|prompt| prompt.messages("user"));
            let of = |answer: Turns| -> Result<Example> {
                let Example { tokens, .. } = if let Some(prompt) = &prompt {
                    self.answer(prompt, &answer.text())?
                } else {
                    let mut turns = dialogue(&answer.text()).ok_or_else(|| bad("a dialogue has no turns"))?;
                    let last = turns.pop().filter(|turn| turn.role == "assistant");
                    let last = last.ok_or_else(|| bad("a dialogue does not end with the assistant's turn"))?;
                    self.answer(&turns, &last.content)?
                };
                Ok(Example { from: tokens.len() - 1, tokens })
            };
            let pair = [of(chosen)?, of(rejected)?];
            if pair.iter().all(|example| example.tokens.len() <= longest) { pairs.push(pair) } else { left_out += 1 }
        }
        Ok((pairs, left_out))
    }

    /// Tokens of a conversation, with the beginning of an answer; of a model without a template, those of the texts one after another.
    pub(crate) fn begin(&self, prompt: &[Message]) -> Result<Vec<u32>> {
        if let Some(template) = &self.template {
            return template.tokens(prompt, true, &self.tokenizer);
        }
        let mut tokens = self.tokenizer.begin().to_vec();
        for message in prompt {
            tokens.extend(self.tokenizer.text(&message.content)?);
        }
        Ok(tokens)
    }

    /// A conversation's answer, with the token that ends it: as the model would write it, after the beginning that it is given.
    pub(crate) fn answer(&self, prompt: &[Message], answer: &str) -> Result<Example> {
        let mut tokens = self.begin(prompt)?;
        let from = tokens.len().max(1);
        tokens.extend(self.tokenizer.text(answer)?);
        tokens.extend(self.network.config().ends.first());
        Ok(Example { tokens, from })
    }

    /// Answers to conversations, drawn token by token as the model's distribution has them, each of at most so many tokens.
    pub(crate) fn answers(&self, conversations: &[Vec<Message>], most: usize, seed: u64) -> Result<Vec<String>> {
        let decoder = Decoder::load(&self.network.merged(&self.params)?)?;
        let ends = &self.network.config().ends;
        let sampling = Sampling { temperature: 1.0, ..Sampling::default() };
        let mut texts = Vec::with_capacity(conversations.len());
        for (batch, conversations) in conversations.chunks(TOGETHER).enumerate() {
            let mut next: Vec<Vec<u32>> =
                conversations.iter().map(|messages| self.begin(messages)).collect::<Result<_>>()?;
            let mut streams: Vec<Stream> =
                (0..).take(next.len()).map(|i| Stream::new(seed, "answers", (TOGETHER * batch) as u64 + i)).collect();
            let mut kept: Vec<_> = next.iter().map(|_| decoder.begin()).collect();
            let mut said = vec![Vec::new(); next.len()];
            let mut open: Vec<usize> = (0..next.len()).collect();
            for _ in 0..most {
                let mut pieces: Vec<Piece> = (kept.iter_mut().zip(&next).enumerate())
                    .filter(|(i, _)| open.binary_search(i).is_ok())
                    .map(|(_, (kept, tokens))| Piece { tokens, kept, wanted: 1 })
                    .collect();
                if pieces.is_empty() {
                    break;
                }
                let logits = decoder.forward(&mut pieces);
                let mut rows = logits.chunks_exact(decoder.config().vocabulary);
                open.retain(|i| {
                    let Some(logits) = rows.next() else { return false };
                    let token = sampling.draw(logits, &mut streams[*i]).token;
                    next[*i] = vec![token];
                    let over = ends.contains(&token);
                    if !over {
                        said[*i].push(token);
                    }
                    !over
                });
            }
            texts.extend(said.iter().map(|tokens| self.tokenizer.read(tokens)));
        }
        Ok(texts)
    }

    /// A text without a conversation, with the token that ends it.
    fn plain(&self, text: &str) -> Result<Example> {
        let mut tokens = self.tokenizer.begin().to_vec();
        tokens.extend(self.tokenizer.text(text)?);
        tokens.extend(self.network.config().ends.first());
        Ok(Example { tokens, from: 1 })
    }
}

/// The turns of a dialogue in the form of HH-RLHF.
fn dialogue(text: &str) -> Option<Vec<Message>> {
    let mut marks: Vec<(usize, &str, usize)> = Vec::new();
    for (role, mark) in TURNS {
        marks.extend(text.match_indices(mark).map(|(at, _)| (at, role, mark.len())));
    }
    marks.sort_unstable();
    let ends = marks.iter().skip(1).map(|(at, ..)| *at).chain([text.len()]);
    let turns = marks.iter().zip(ends).map(|((at, role, length), end)| Message {
        role: (*role).to_owned(),
        content: text[at + length..end].trim().to_owned(),
    });
    Some(turns.collect()).filter(|turns: &Vec<Message>| !turns.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dialogues_are_cut_into_turns() {
        let turns = dialogue("\n\nHuman: How?\n\nAssistant: So.\nAnd so.\n\nHuman: Ah").unwrap();
        let said: Vec<(&str, &str)> = turns.iter().map(|turn| (&*turn.role, &*turn.content)).collect();
        assert_eq!(said, [("user", "How?"), ("assistant", "So.\nAnd so."), ("user", "Ah")]);
        assert!(dialogue("no turns").is_none());
    }
}
