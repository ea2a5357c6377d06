//! Answers of a form that was asked for: one of a list, or JSON that fits a schema.
//!
//! The form becomes a grammar over bytes, and a walk through the vocabulary as a trie tells which tokens can come next: the others are
//! taken out before anything is drawn, so a [`crate::Choice`] has the log-probability of the distribution really drawn from. A text may
//! come in any of its tokenizations. Only where the form is complete may the model end its answer, and where nothing can be added to it,
//! the answer ends by itself.
//!
//! Grammar and trie are those of the crate `llguidance`. Forms come from clients: their size, and the work for one token, are bounded.

use std::fmt;
use std::sync::{Arc, OnceLock};

use llguidance::api::TopLevelGrammar;
use llguidance::toktrie::{ApproximateTokEnv, SimpleVob, TokEnv, TokRxInfo, TokTrie};
use llguidance::{Matcher, ParserFactory};
use serde_json::{Value as Json, json};
use tony_deep::decoder::Config;

use crate::{Error, Model, Result, Tokenizer};

/// The form of an answer, for the model that it was made for.
#[derive(Clone)]
pub struct Constraint {
    begin: Guide,
}

impl Constraint {
    /// Exactly one of these texts.
    pub fn choices(model: &Model, choices: &[String]) -> Result<Self> {
        if choices.is_empty() || choices.iter().any(String::is_empty) {
            return Err(invalid("choices are texts of at least one character, and there is at least one"));
        }
        // Texts of the grammar are quoted as those of JSON are.
        let quoted: Vec<String> = choices.iter().map(|choice| Json::from(choice.as_str()).to_string()).collect();
        Self::new(model, TopLevelGrammar::from_lark(format!("start: {}", quoted.join(" | "))))
    }

    /// A JSON value that this schema allows, one space after commas and colons. Keywords that are not supported are an error that names
    /// them.
    pub fn schema(model: &Model, schema: &Json) -> Result<Self> {
        let Json::Object(keywords) = schema else { return Err(invalid("a JSON schema is an object")) };
        let mut keywords = keywords.clone();
        // Free white space would let a model write nothing else.
        let layout = json!({"whitespace_flexible": false, "item_separator": ", ", "key_separator": ": "});
        keywords.insert("x-guidance".to_owned(), layout);
        Self::new(model, TopLevelGrammar::from_json_schema(keywords.into()))
    }

    fn new(model: &Model, grammar: TopLevelGrammar) -> Result<Self> {
        let parsers = model.grammars.parsers(model.decoder.config(), &model.tokenizer)?;
        let mut matcher = Matcher::new(parsers.create_parser(grammar));
        if let Some(error) = matcher.get_error() {
            return Err(invalid(&format!("this form cannot be asked for: {error}")));
        }
        let mask = matcher.compute_mask().map_err(|error| invalid(&format!("this form is too complex: {error}")))?;
        if mask.is_zero() {
            return Err(invalid("no token of this model begins this form"));
        }
        let ends = model.decoder.config().ends.clone();
        Ok(Self { begin: Guide { matcher, mask, end: model.decoder.config().vocabulary as u32, ends } })
    }

    /// What allows an answer's first token.
    pub(crate) fn begin(&self) -> Guide {
        Guide { matcher: self.begin.matcher.deep_clone(), ..self.begin.clone() }
    }
}

impl fmt::Debug for Constraint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Constraint").finish_non_exhaustive()
    }
}

fn invalid(what: &str) -> Error {
    Error::Invalid { what: what.to_owned(), hint: "tony generate --help".to_owned() }
}

/// Where an answer stands in its form.
#[derive(Clone)]
pub(crate) struct Guide {
    matcher: Matcher,
    mask: SimpleVob,
    /// Stands for all tokens that end a text.
    end: u32,
    ends: Vec<u32>,
}

/// What may follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// A token.
    Token,
    /// Nothing: the form is complete.
    Nothing,
    /// The bounds of work for one token do not suffice, or no token of the vocabulary fits.
    Stuck,
}

impl Guide {
    /// Whether this token may be next.
    pub fn allows(&self, token: u32) -> bool {
        self.mask.is_allowed(if self.ends.contains(&token) { self.end } else { token })
    }

    /// Go on with a token that was allowed.
    pub fn advance(&mut self, token: u32) -> Next {
        let token = if self.ends.contains(&token) { self.end } else { token };
        if self.matcher.consume_token(token).is_err() {
            return Next::Stuck;
        }
        if self.matcher.is_stopped() {
            return if self.matcher.stop_reason().is_ok() { Next::Nothing } else { Next::Stuck };
        }
        match self.matcher.compute_mask() {
            Ok(mask) if !mask.is_zero() => {
                self.mask = mask;
                Next::Token
            }
            _ if self.matcher.is_stopped() && self.matcher.stop_reason().is_ok() => Next::Nothing,
            _ => Next::Stuck,
        }
    }
}

impl fmt::Debug for Guide {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guide").finish_non_exhaustive()
    }
}

/// A model's vocabulary as a trie, made when it is first needed.
#[derive(Default)]
pub(crate) struct Grammars(OnceLock<std::result::Result<ParserFactory, String>>);

impl Grammars {
    fn parsers(&self, config: &Config, tokenizer: &Tokenizer) -> Result<&ParserFactory> {
        let made = self.0.get_or_init(|| {
            let end = config.vocabulary as u32;
            // Marks have no text: no form can ask for one. One more token stands for those that end a text.
            let text = |token| if tokenizer.is_special(token) { Vec::new() } else { tokenizer.spelled(token).to_vec() };
            let words: Vec<Vec<u8>> =
                (0..=end).map(|token| if config.ends.contains(&token) { Vec::new() } else { text(token) }).collect();
            let trie = TokTrie::from(&TokRxInfo::new(end + 1, end), &words);
            let environment: TokEnv = Arc::new(ApproximateTokEnv::new(trie));
            let mut parsers = ParserFactory::new_simple(&environment).map_err(|error| error.to_string())?;
            parsers.quiet().limits_mut().verbose_errors = false;
            Ok(parsers)
        });
        made.as_ref().map_err(|error| invalid(&format!("this model's tokens cannot be constrained: {error}")))
    }
}

impl fmt::Debug for Grammars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Grammars").finish_non_exhaustive()
    }
}
