//! What an answer is worth: named parts, each a number that can be told from the prompt and the answer alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use regex::Regex;
use serde::Deserialize;

use super::RewardModel;
use crate::rbr::{Ask, Item, Policy, Rewarder, Weights, Wording, named};
use crate::{Error, Message, Result, find_model};

/// A part of a reward, or a cost, as a task file names it.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Named {
    /// How it is told.
    pub kind: Kind,
    /// What it is multiplied by.
    #[serde(default = "one")]
    pub weight: f64,
    /// The expression of [`Kind::Pattern`], where a prompt has none of its own.
    pub pattern: Option<String>,
    /// The run folder of [`Kind::Model`].
    pub run: Option<String>,
    /// The policy of [`Kind::Rules`].
    pub policy: Option<PathBuf>,
    /// Its weights, from `tony rbr fit`.
    pub weights: Option<PathBuf>,
    /// Who says what is true of an answer.
    pub grader: Option<String>,
}

fn one() -> f64 {
    1.0
}

/// How a part is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// 1 where the answer, without space around it, is the prompt's `answer`.
    Match,
    /// 1 where the last number in the answer is the prompt's `answer`.
    Number,
    /// 1 where a regular expression matches: the prompt's `pattern`, or the part's.
    Pattern,
    /// 1 where the answer is JSON.
    Json,
    /// Tokens of the answer.
    Length,
    /// What a reward model says.
    Model,
    /// What the rules of a policy give an answer of the prompt's `response_type`; 0 where it has none.
    Rules,
}

/// What parts need to know of a prompt.
#[derive(Clone, Debug, Default)]
pub struct Truth {
    /// The right answer.
    pub answer: Option<String>,
    /// What the answer matches.
    pub pattern: Option<Regex>,
    /// The kind of answer that it should be, as a policy names it.
    pub response_type: Option<String>,
}

/// A part that is ready.
#[derive(Debug)]
pub struct Reward {
    /// Its name.
    pub name: String,
    /// What it is multiplied by.
    pub weight: f64,
    kind: Kind,
    pattern: Option<Regex>,
    judge: Judge,
}

/// Who judges, where it is more than a look at the text.
enum Judge {
    Nobody,
    Model(Box<RewardModel>),
    Rules(Box<Mutex<Rewarder>>),
}

impl std::fmt::Debug for Judge {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str(match self {
            Self::Nobody => "Nobody",
            Self::Model(..) => "Model",
            Self::Rules(_) => "Rules",
        })
    }
}

/// An answer to be judged.
#[derive(Clone, Copy, Debug)]
pub struct Answer<'a> {
    /// The conversation up to it.
    pub prompt: &'a [Message],
    /// What is known to be right.
    pub truth: &'a Truth,
    /// What was said.
    pub text: &'a str,
    /// Tokens of what was said.
    pub tokens: usize,
}

impl Reward {
    /// All parts of a table of a task file, in the order of their names.
    pub fn all(path: &Path, parts: BTreeMap<String, Named>) -> Result<Vec<Self>> {
        parts.into_iter().map(|(name, part)| Self::new(path, name, &part)).collect()
    }

    fn new(path: &Path, name: String, part: &Named) -> Result<Self> {
        let bad = |what: String| Error::Task { path: path.to_owned(), what: format!("`{name}` {what}") };
        let pattern = part.pattern.as_deref().map(expression).transpose().map_err(&bad)?;
        let unread = match part.kind {
            Kind::Model => [part.policy.is_some(), part.weights.is_some(), part.grader.is_some()].contains(&true),
            Kind::Rules => part.run.is_some(),
            _ => [part.run.is_some(), part.policy.is_some(), part.weights.is_some(), part.grader.is_some()]
                .contains(&true),
        };
        if unread {
            return Err(bad("has a key that its kind does not read".to_owned()));
        }
        let judge = match part.kind {
            Kind::Model => {
                let run =
                    part.run.as_ref().ok_or_else(|| bad("lacks `run`, the folder of a reward model".to_owned()))?;
                let run = find_model(run)?;
                Judge::Model(Box::new(RewardModel::of_run(&run)?))
            }
            Kind::Rules => {
                let (Some(policy), Some(weights), Some(grader)) = (&part.policy, &part.weights, &part.grader) else {
                    return Err(bad("lacks `policy`, `weights` or `grader`".to_owned()));
                };
                let policy = Policy::read(policy)?;
                let weights = Weights::read(weights, &policy)?;
                let grader = named(grader, &policy, Wording::Brief)?;
                Judge::Rules(Box::new(Mutex::new(Rewarder::new(policy, grader, weights)?)))
            }
            _ => Judge::Nobody,
        };
        Ok(Self { weight: part.weight, kind: part.kind, pattern, judge, name })
    }

    /// Whether it can judge the answers to a prompt of which this is known; else what is lacking.
    pub fn needs(&self, truth: &Truth) -> std::result::Result<(), String> {
        let lacks = |what: &str| Err(format!("`{}` needs the prompt's `{what}`", self.name));
        match self.kind {
            Kind::Match | Kind::Number if truth.answer.is_none() => lacks("answer"),
            Kind::Pattern if truth.pattern.is_none() && self.pattern.is_none() => lacks("pattern"),
            Kind::Rules => match (&self.judge, &truth.response_type) {
                (Judge::Rules(rewarder), Some(written)) => lock(rewarder).response_type(written).map(|_| ()),
                _ => Ok(()),
            },
            _ => Ok(()),
        }
    }

    /// The part, not yet weighted.
    pub fn of(&self, answer: Answer) -> Result<f64> {
        let Answer { truth, text, .. } = answer;
        let expected = truth.answer.as_deref().unwrap_or_default().trim();
        let is = |holds: bool| f64::from(u8::from(holds));
        Ok(match self.kind {
            Kind::Match => is(text.trim() == expected),
            Kind::Number => is(last_number(text).is_some_and(|number| Some(number) == last_number(expected))),
            Kind::Pattern => is(truth.pattern.as_ref().or(self.pattern.as_ref()).is_some_and(|p| p.is_match(text))),
            Kind::Json => is(serde_json::from_str::<serde::de::IgnoredAny>(text.trim()).is_ok()),
            Kind::Length => answer.tokens as f64,
            Kind::Model | Kind::Rules => match &self.judge {
                Judge::Nobody => 0.0,
                Judge::Model(model) => model.rewards(&[(answer.prompt, text)])?[0],
                Judge::Rules(rewarder) => {
                    let mut rewarder = lock(rewarder);
                    let response = truth.response_type.as_deref().and_then(|r| rewarder.policy().response_type(r));
                    let ask = Ask {
                        response: response.map(str::to_owned),
                        item: Item { prompt: answer.prompt.to_vec(), completion: text.to_owned() },
                    };
                    let told = rewarder.rewards(&[ask])?.into_iter().next().unwrap_or_default();
                    told.reward.ok_or_else(|| Error::Invalid {
                        what: format!(
                            "`{}`: the grader says nothing at all of an answer: {:?}",
                            self.name, told.missing
                        ),
                        hint: "mend the grader, then go on with tony resume".to_owned(),
                    })?
                }
            },
        })
    }
}

/// A lock is only poisoned where a grader panicked, and that panic ends the training.
fn lock(rewarder: &Mutex<Rewarder>) -> MutexGuard<'_, Rewarder> {
    rewarder.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A regular expression, which is bounded in size; matching takes time that is linear in the text.
pub fn expression(pattern: &str) -> std::result::Result<Regex, String> {
    regex::RegexBuilder::new(pattern)
        .size_limit(1 << 20)
        .build()
        .map_err(|error| format!("has a `pattern` that is no regular expression: {error}"))
}

/// The last decimal number in a text, thousands separated by commas or not.
fn last_number(text: &str) -> Option<f64> {
    let of_number = |c: char| c.is_ascii_digit() || c == '.' || c == ',' || c == '-';
    let mut words = text.split(|c: char| !of_number(c)).filter(|word| word.contains(|c: char| c.is_ascii_digit()));
    let word = words.next_back()?.trim_end_matches(['.', ',', '-']).replace(',', "");
    let start = word.rfind('-').unwrap_or(0);
    word[start..].parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(kind: Kind, pattern: Option<&str>) -> Reward {
        let pattern = pattern.map(str::to_owned);
        let named = Named { kind, weight: 1.0, pattern, run: None, policy: None, weights: None, grader: None };
        Reward::new(Path::new("task.toml"), "part".to_owned(), &named).unwrap()
    }

    #[test]
    fn parts_tell_right_from_wrong() {
        let truth = Truth { answer: Some("1,234".to_owned()), ..Truth::default() };
        let of = |kind, pattern, text: &str| {
            part(kind, pattern).of(Answer { prompt: &[], truth: &truth, text, tokens: 7 }).unwrap()
        };
        assert_eq!((of(Kind::Match, None, " 1,234\n"), of(Kind::Match, None, "1234")), (1.0, 0.0));
        assert_eq!(of(Kind::Number, None, "First 2, so it is 1234."), 1.0);
        assert_eq!(of(Kind::Number, None, "1234, no: 5"), 0.0);
        assert_eq!(of(Kind::Number, None, "none"), 0.0);
        assert_eq!(of(Kind::Number, None, "-1234"), 0.0);
        assert_eq!((of(Kind::Pattern, Some("^a+$"), "aaa"), of(Kind::Pattern, Some("^a+$"), "aab")), (1.0, 0.0));
        assert_eq!((of(Kind::Json, None, "{\"a\": [1]}"), of(Kind::Json, None, "{a}")), (1.0, 0.0));
        assert_eq!(of(Kind::Length, None, "any"), 7.0);
    }

    #[test]
    fn what_a_part_lacks_is_said() {
        let lacking = part(Kind::Match, None).needs(&Truth::default()).unwrap_err();
        assert_eq!(lacking, "`part` needs the prompt's `answer`");
        let named = |text: &str| toml::from_str::<Named>(text).unwrap();
        let refuse =
            |text: &str| Reward::new(Path::new("task.toml"), "part".to_owned(), &named(text)).unwrap_err().to_string();
        assert!(refuse("kind = \"rules\"\ngrader = \"regex\"").contains("lacks `policy`, `weights` or `grader`"));
        assert!(refuse("kind = \"json\"\nrun = \"x\"").contains("a key that its kind does not read"));
        let error = refuse("kind = \"pattern\"\npattern = \"(\"");
        assert!(error.contains("no regular expression") && error.contains("task.toml"), "{error}");
    }
}
