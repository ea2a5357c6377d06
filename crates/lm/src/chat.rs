//! Messages to tokens by a model's own template.

use minijinja::syntax::SyntaxConfig;
use minijinja::{Environment, ErrorKind, UndefinedBehavior, Value, context};
use serde::{Deserialize, Serialize};

use crate::{Error, Result, Tokenizer};

/// One message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Message {
    /// Who speaks: `system`, `user`, `assistant`.
    pub role: String,
    /// What is said.
    pub content: String,
}

/// Steps that a template may take: hundreds for each of thousands of messages.
const FUEL: u64 = 5_000_000;
/// Stands inside marks that a message contains, and is taken out again before tokens are made: what a message says never is a mark. It
/// is not a character of any text (Unicode sets it aside for such uses).
const BREAK: char = '\u{fdd0}';

/// A chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    source: String,
    begin: String,
    end: String,
}

impl ChatTemplate {
    /// From its source; `begin` and `end` are what the model's begin and end tokens look like.
    pub fn new(source: String, begin: String, end: String) -> Result<Self> {
        let mut environment = Environment::new();
        environment.set_fuel(Some(FUEL));
        // As Hugging Face's own renderer does.
        environment.set_syntax(SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build().map_err(failed)?);
        environment.set_undefined_behavior(UndefinedBehavior::Lenient);
        environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
        environment.add_function("raise_exception", |text: String| -> std::result::Result<Value, minijinja::Error> {
            Err(minijinja::Error::new(ErrorKind::InvalidOperation, text))
        });
        environment.add_template_owned("chat", source.clone()).map_err(failed)?;
        Ok(Self { environment, source, begin, end })
    }

    /// The template as it was given.
    pub(crate) fn source(&self) -> &str {
        &self.source
    }

    /// The text that messages become, with the beginning of an answer where one is asked for.
    pub fn render(&self, messages: &[Message], answer: bool) -> Result<String> {
        let template = self.environment.get_template("chat").map_err(failed)?;
        let messages: Vec<Value> =
            messages.iter().map(|m| context! { role => &*m.role, content => &*m.content }).collect();
        let values =
            context! { messages, add_generation_prompt => answer, bos_token => &*self.begin, eos_token => &*self.end };
        template.render(values).map_err(failed)
    }

    /// The tokens that messages become. Only the template makes special tokens, never what a message says.
    pub fn tokens(&self, messages: &[Message], answer: bool, tokenizer: &Tokenizer) -> Result<Vec<u32>> {
        let broken: Vec<Message> = messages
            .iter()
            .map(|m| Message { role: broken(&m.role, tokenizer), content: broken(&m.content, tokenizer) })
            .collect();
        let text = self.render(&broken, answer)?;
        tokenizer.marked_without(&text, BREAK)
    }
}

/// A text in which no mark is whole, nor can become whole by what stands before or after it.
fn broken(text: &str, tokenizer: &Tokenizer) -> String {
    let mut text = text.replace(BREAK, "");
    for mark in tokenizer.marks() {
        let Some(first) = mark.chars().next() else { continue };
        if text.contains(mark) {
            text = text.replace(mark, &format!("{first}{BREAK}{}", &mark[first.len_utf8()..]));
        }
        let inside = mark.char_indices().skip(1).map(|(at, _)| mark.split_at(at));
        let (mut begins, mut ends) = (false, false);
        for (left, right) in inside {
            begins |= text.starts_with(right);
            ends |= text.ends_with(left);
        }
        if begins {
            text.insert(0, BREAK);
        }
        if ends {
            text.push(BREAK);
        }
    }
    text
}

#[allow(clippy::needless_pass_by_value)] // As `map_err` hands it over.
fn failed(error: minijinja::Error) -> Error {
    let what = if error.kind() == ErrorKind::OutOfFuel { "it does not end".to_owned() } else { error.to_string() };
    Error::Template { what }
}
