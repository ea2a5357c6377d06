//! One error type for the binary, and the only place where errors of the crates become a kind, a text, a hint and an exit code.

use std::fmt::Display;
use std::io::{self, Write};

use clap::CommandFactory;
use clap::error::{ContextKind, ContextValue};
use serde_json::json;
use tony_run::Source;

use crate::console;

/// Result of a verb.
pub type Result<T> = std::result::Result<T, Failure>;

/// How the process ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Code {
    /// What was asked for is done.
    Done = 0,
    /// It went wrong.
    Failed = 1,
    /// What was typed cannot be meant.
    Usage = 2,
    /// Stopped cleanly by SIGTERM: the same command line with `resume` goes on (what schedulers requeue).
    Stopped = 75,
    /// Interrupted by SIGINT.
    Interrupted = 130,
}

/// What went wrong, where, and what to type next.
#[derive(Debug)]
pub struct Failure {
    kind: &'static str,
    what: String,
    place: Option<String>,
    hint: Option<String>,
    code: Code,
}

impl Failure {
    /// What was typed is at fault: exit code 2.
    pub fn usage(kind: &'static str, what: impl Display) -> Self {
        Self { kind, what: what.to_string(), place: None, hint: None, code: Code::Usage }
    }

    /// What happened is at fault: exit code 1.
    pub fn failed(kind: &'static str, what: impl Display) -> Self {
        Self { code: Code::Failed, ..Self::usage(kind, what) }
    }

    /// What went wrong, in one stable word.
    pub fn kind(&self) -> &'static str {
        self.kind
    }

    /// What went wrong, in a sentence.
    pub fn what(&self) -> &str {
        &self.what
    }

    /// Where it went wrong.
    pub fn at(mut self, place: impl Display) -> Self {
        self.place = Some(place.to_string());
        self
    }

    /// What to type next.
    pub fn hint(mut self, hint: impl Display) -> Self {
        self.hint = Some(hint.to_string());
        self
    }

    /// `resume` is what to type next, where the error itself does not know better; where it speaks of any run, this one is meant.
    pub fn resumable(mut self, resume: &str) -> Self {
        self.hint = Some(self.hint.map_or_else(|| resume.to_owned(), |hint| hint.replace("tony resume RUN", resume)));
        self
    }

    /// `name` is the algorithm that a hint speaks of, where it is not on the command line.
    pub fn of_algorithm(mut self, name: &str) -> Self {
        self.hint = self.hint.map(|hint| hint.replace("ALGO", name));
        self
    }

    /// An unknown name; the hint is the command line with the nearest known name, that name where a file has the wrong one, or else where to
    /// look.
    pub fn unknown(kind: &'static str, what: impl Display, name: &str, nearest: Option<&str>, look: &str) -> Self {
        let right = |right: &str| corrected(name, right).unwrap_or_else(|| format!("write `{right}` there"));
        Self::usage(kind, what).hint(nearest.map_or_else(|| look.to_owned(), right))
    }

    /// From a text whose first line says what, whose next lines say where, and whose line `try: ` says what to type.
    fn from_text(kind: &'static str, code: Code, text: &str) -> Self {
        let (text, hint) = text.split_once("\ntry: ").map_or((text, None), |(text, hint)| (text, Some(hint)));
        let (what, place) = text.split_once('\n').map_or((text, None), |(what, place)| (what, Some(place)));
        Self { kind, what: what.to_owned(), place: place.map(str::to_owned), hint: hint.map(str::to_owned), code }
    }

    /// Tell the person, and the program that reads standard output as JSON; how the process ends.
    pub fn report(&self, json: bool) -> Code {
        if self.kind == CLOSED_PIPE {
            return Code::Done;
        }
        let mut text = format!("error: {}", self.what);
        for line in self.place.iter().flat_map(|place| place.lines()) {
            text.push_str("\n  ");
            text.push_str(line);
        }
        if let Some(hint) = &self.hint {
            text.push_str("\ntry: ");
            text.push_str(hint);
        }
        console::note(text);
        if json {
            let message =
                self.place.as_ref().map_or_else(|| self.what.clone(), |place| format!("{}\n{place}", self.what));
            let object = json!({"error": {"kind": self.kind, "message": message, "try": self.hint}});
            // Nobody reading is no reason to fail in another way.
            let _ = writeln!(io::stdout().lock(), "{object}");
        }
        self.code
    }
}

/// The reader of standard output left, as in `tony list envs | head -1`.
const CLOSED_PIPE: &str = "closed_pipe";

/// This command line with one word, or the key of one `key=value`, replaced, ready to be typed; `None` if it has no such word.
fn corrected(wrong: &str, right: &str) -> Option<String> {
    let mut found = false;
    let words = std::env::args().skip(1).map(|word| {
        let word = match word.strip_prefix(wrong) {
            Some(rest) if rest.is_empty() || rest.starts_with('=') => {
                found = true;
                format!("{right}{rest}")
            }
            _ => word,
        };
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_./=,:@%+".contains(c);
        if word.chars().all(plain) && !word.is_empty() { word } else { format!("'{}'", word.replace('\'', r"'\''")) }
    });
    let line = std::iter::once("tony".to_owned()).chain(words).collect::<Vec<_>>().join(" ");
    found.then_some(line)
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            Self::failed(CLOSED_PIPE, error)
        } else {
            tony_run::Error::Io(error).into()
        }
    }
}

impl From<tony_run::Error> for Failure {
    fn from(error: tony_run::Error) -> Self {
        let code = if error.is_usage() { Code::Usage } else { Code::Failed };
        let near = match &error {
            tony_run::Error::UnknownKey { key, from: Source::CommandLine, nearest } => {
                nearest.split('`').nth(1).and_then(|right| corrected(key, right))
            }
            _ => None,
        };
        let algorithm = std::env::args().skip(1).skip_while(|word| word != "train").nth(1).unwrap_or("ALGO".into());
        let hint = near.or_else(|| error.hint());
        Self { hint, ..Self::from_text(error.kind(), code, &error.to_string()) }.of_algorithm(&algorithm)
    }
}

impl From<tony_mujoco::Error> for Failure {
    fn from(error: tony_mujoco::Error) -> Self {
        Self::from_text("mujoco", Code::Failed, &error.to_string())
    }
}

impl From<tony_fetch::Error> for Failure {
    fn from(error: tony_fetch::Error) -> Self {
        Self::from_text("fetch", Code::Failed, &error.to_string())
    }
}

#[cfg(feature = "lm")]
impl From<tony_lm::Error> for Failure {
    fn from(error: tony_lm::Error) -> Self {
        use tony_lm::Error;
        let hint = error.hint();
        let failure = match error {
            Error::Io(error) | Error::Deep(tony_lm::DeepError::Io(error)) => return error.into(),
            Error::Run(error) => return error.into(),
            Error::Fetch(error) => return error.into(),
            Error::Rl(error) => return error.into(),
            Error::Task { .. } => Self::from_text("bad_task", Code::Usage, &error.to_string()),
            Error::UnknownModel { ref name, ref nearest, .. } => {
                return Self::unknown("unknown_model", &error, name, nearest.as_deref(), "tony doctor");
            }
            Error::UnknownGrader { ref name, ref nearest } => {
                return Self::unknown("unknown_grader", &error, name, nearest.as_deref(), "tony rbr grade --help");
            }
            Error::NonFiniteStep { .. } => Self::failed("not_finite", error),
            Error::Invalid { .. } => Self::usage("invalid", error),
            Error::Heads { .. } => Self::from_text("bad_heads", Code::Usage, &error.to_string()),
            Error::NonFinite { .. } => Self::from_text("not_finite", Code::Failed, &error.to_string()),
            Error::Policy { .. } => Self::from_text("bad_policy", Code::Usage, &error.to_string()),
            Error::Weights { .. } => Self::from_text("bad_weights", Code::Usage, &error.to_string()),
            Error::Patterns { .. } => Self::from_text("bad_patterns", Code::Usage, &error.to_string()),
            Error::Data { .. } => Self::from_text("bad_data", Code::Usage, &error.to_string()),
            Error::Endpoint { .. } => Self::from_text("endpoint", Code::Failed, &error.to_string()),
            Error::NoTemplate { .. } => Self::from_text("no_template", Code::Usage, &error.to_string()),
            other => Self::from_text("bad_model", Code::Failed, &other.to_string()),
        };
        Self { hint, ..failure }
    }
}

impl From<tony_env::Error> for Failure {
    fn from(error: tony_env::Error) -> Self {
        use std::error::Error as _;
        match &error {
            tony_env::Error::UnknownName { name, nearest } => {
                Self::unknown("unknown_env", &error, name, nearest.as_deref(), "tony list envs")
            }
            tony_env::Error::Fetch(error) => Self::from_text("fetch", Code::Failed, &error.to_string()),
            tony_env::Error::Mujoco(error) => Self::from_text("mujoco", Code::Failed, &error.to_string()),
            world @ tony_env::Error::BadWorld { .. } => Self::from_text("world", Code::Usage, &world.to_string()),
            python @ tony_env::Error::InPython { .. } => Self::from_text("in_python", Code::Usage, &python.to_string()),
            other => {
                let source = other.source().map(|source| format!("\n{source}")).unwrap_or_default();
                Self::from_text("env", Code::Failed, &format!("{other}{source}"))
            }
        }
    }
}

impl From<tony_rl::Error> for Failure {
    fn from(error: tony_rl::Error) -> Self {
        use tony_rl::Error;
        let hint = error.hint();
        let failure = match error {
            Error::Run(error) => return error.into(),
            Error::Env(error) => return error.into(),
            Error::UnknownAlgorithm { ref name, ref nearest } => {
                let what = format!("no algorithm is called `{name}`");
                return Self::unknown("unknown_algorithm", what, name, nearest.as_deref(), "tony list algos");
            }
            Error::UnknownPreset { .. } => Self::usage("unknown_preset", error),
            Error::NoCosts { .. } => Self::usage("no_costs", error),
            Error::UnknownChannel { .. } => Self::usage("unknown_channel", error),
            Error::Invalid { .. } => Self::usage("invalid", error),
            Error::NonFinite { .. } => Self::failed("not_finite", error),
            other => Self::failed("other_shapes", other),
        };
        Self { hint, ..failure }
    }
}

#[cfg(feature = "meta")]
impl From<tony_meta::Error> for Failure {
    fn from(error: tony_meta::Error) -> Self {
        use tony_meta::Error;
        let hint = error.hint();
        let failure = match error {
            Error::Run(error) => return error.into(),
            Error::Io(error) => return error.into(),
            Error::UnknownTask { .. } => Self::usage("unknown_env", error),
            Error::UnknownPreset { .. } => Self::usage("unknown_preset", error),
            Error::Invalid { .. } => Self::usage("invalid", error),
            Error::NoData { .. } => Self::usage("no_data", error),
            Error::BadPicture { .. } => Self::failed("bad_picture", error),
            Error::NonFinite { .. } => Self::failed("not_finite", error),
            other => Self::failed("other_shapes", other),
        };
        Self { hint, ..failure }
    }
}

impl From<clap::Error> for Failure {
    fn from(error: clap::Error) -> Self {
        let text = error.render().to_string();
        let what: Vec<&str> = text.lines().take_while(|line| !line.is_empty()).map(str::trim).collect();
        let what = what.join(" ");
        let usage = text.lines().find_map(|line| line.strip_prefix("Usage: "));
        let context = |kinds: &[ContextKind]| {
            kinds.iter().find_map(|&kind| match error.get(kind)? {
                ContextValue::String(text) => Some(text.clone()),
                ContextValue::Strings(texts) => texts.first().cloned(),
                _ => None,
            })
        };
        let wrong = context(&[ContextKind::InvalidSubcommand, ContextKind::InvalidValue, ContextKind::InvalidArg]);
        let right =
            context(&[ContextKind::SuggestedSubcommand, ContextKind::SuggestedValue, ContextKind::SuggestedArg]);
        let verbs = crate::Cli::command();
        let verb = std::env::args().skip(1).find(|word| verbs.find_subcommand(word).is_some());
        let help = || verb.map_or_else(|| "tony --help".to_owned(), |verb| format!("tony {verb} --help"));
        let hint = wrong.zip(right).and_then(|(wrong, right)| corrected(&wrong, &right)).unwrap_or_else(help);
        let failure = Self::usage("usage", what.strip_prefix("error: ").unwrap_or(&what)).hint(hint);
        match usage {
            Some(line) => failure.at(format!("usage: {line}")),
            None => failure,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_split_into_what_where_and_what_to_type() {
        let failure = Failure::from_text("mujoco", Code::Failed, "it is broken\nin /a/file\ntry: mend it");
        assert_eq!(failure.what, "it is broken");
        assert_eq!(failure.place.as_deref(), Some("in /a/file"));
        assert_eq!(failure.hint.as_deref(), Some("mend it"));
        assert_eq!(Failure::from_text("mujoco", Code::Failed, "it is broken").hint, None);
    }

    #[test]
    fn a_closed_pipe_ends_well() {
        let failure = Failure::from(io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.report(true), Code::Done);
    }
}
