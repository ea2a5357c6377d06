//! Regular expressions as a grader.

use std::collections::BTreeMap;
use std::path::Path;

use regex::{Regex, RegexBuilder};
use serde::Deserialize;
use sha2::{Digest as _, Sha256};

use super::grader::{Grader, Item, Question, Verdict, by_item};
use super::policy::Policy;
use crate::identity::hex;
use crate::{Error, Result};

/// Our own for the propositions of the released policy. Rules and probabilities are from the gold training data alone.
const BUILT_IN: &str = include_str!("patterns.yaml");

/// The file as it is written: by proposition.
type File = BTreeMap<String, List>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct List {
    #[serde(default)]
    rules: Vec<Rule>,
    otherwise: f64,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rule {
    #[serde(default)]
    completion: Option<String>,
    #[serde(default)]
    request: Option<String>,
    yes: f64,
}

/// Of one proposition: rules in their order, the first that fits decides.
#[derive(Debug)]
struct Decision {
    rules: Vec<(Option<Regex>, Option<Regex>, f64)>,
    otherwise: f64,
}

/// Decides by regular expressions; a proposition that its file lacks is missing.
///
/// The file is YAML: of each proposition `rules`, a list of `{completion: REGEX, request: REGEX, yes: PROBABILITY}`, and `otherwise`, the
/// probability where no rule fits. A rule has one or both expressions, on the completion and on the request (the last message of the
/// conversation); the first rule whose expressions match decides. Case is ignored, `.` matches line ends, and typographic quotation marks are
/// read as `'` and `"`.
#[derive(Debug)]
pub struct PatternGrader {
    identity: String,
    decisions: BTreeMap<String, Decision>,
}

/// Memory that an expression may take, compiled.
const LARGEST: usize = 4 << 20;

impl PatternGrader {
    /// The built-in patterns, for the released policy.
    pub fn built_in() -> Result<Self> {
        Self::of_text(BUILT_IN, "the built-in patterns")
    }

    /// From the text of a file that is called so.
    pub(super) fn of_text(text: &str, name: &str) -> Result<Self> {
        Self::parse(text).map_err(|what| Error::Patterns { path: name.into(), what })
    }

    /// From a file, for a policy: a name that the policy lacks is refused.
    pub fn read(path: &Path, policy: &Policy) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let bad = |what| Error::Patterns { path: path.to_owned(), what };
        let grader = Self::parse(&text).map_err(bad)?;
        for name in grader.decisions.keys() {
            policy.number(name).map_err(bad)?;
        }
        Ok(grader)
    }

    fn parse(text: &str) -> std::result::Result<Self, String> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        let mut decisions = BTreeMap::new();
        for (name, list) in file {
            let compile = |source: Option<String>| {
                let build = |source: String| {
                    let mut builder = RegexBuilder::new(&source);
                    builder.case_insensitive(true).dot_matches_new_line(true).size_limit(LARGEST).build()
                };
                source.map(build).transpose().map_err(|error| format!("a pattern of `{name}`: {error}"))
            };
            let mut rules = Vec::new();
            for rule in list.rules {
                if rule.completion.is_none() && rule.request.is_none() {
                    return Err(format!("a rule of `{name}` has neither `completion` nor `request`"));
                }
                rules.push((compile(rule.completion)?, compile(rule.request)?, rule.yes));
            }
            let mut given = rules.iter().map(|rule| rule.2).chain([list.otherwise]);
            if let Some(p) = given.find(|p| !(0.0..=1.0).contains(p)) {
                return Err(format!("`{name}` has a probability {p}, which is not between 0 and 1"));
            }
            decisions.insert(name, Decision { rules, otherwise: list.otherwise });
        }
        let identity = format!("regex:{}", &hex(Sha256::new_with_prefix(text))[..32]);
        Ok(Self { identity, decisions })
    }
}

impl Decision {
    fn of(&self, request: &str, completion: &str) -> f64 {
        let fits = |pattern: &Option<Regex>, text: &str| pattern.as_ref().is_none_or(|pattern| pattern.is_match(text));
        let found = self.rules.iter().find(|rule| fits(&rule.0, completion) && fits(&rule.1, request));
        found.map_or(self.otherwise, |rule| rule.2)
    }
}

/// The request, and the completion, with plain quotation marks.
fn texts(item: &Item) -> [String; 2] {
    let plain = |text: &str| text.replace(['\u{2018}', '\u{2019}'], "'").replace(['\u{201c}', '\u{201d}'], "\"");
    let request = item.prompt.last().map_or("", |message| message.content.as_str());
    [plain(request), plain(&item.completion)]
}

impl Grader for PatternGrader {
    fn identity(&self) -> String {
        self.identity.clone()
    }

    fn grade(
        &mut self,
        policy: &Policy,
        questions: &[Question],
        each: &mut dyn FnMut(usize, Verdict) -> Result<()>,
    ) -> Result<()> {
        let decisions: Vec<Option<&Decision>> = policy.propositions().map(|name| self.decisions.get(name)).collect();
        for (first, group) in by_item(questions) {
            let [request, completion] = texts(group[0].item);
            for (place, question) in (first..).zip(group) {
                let verdict = match decisions[question.proposition] {
                    Some(decision) => Verdict::Probability { yes: decision.of(&request, &completion), outside: 0.0 },
                    None => Verdict::Missing { why: "no pattern decides this proposition".to_owned() },
                };
                each(place, verdict)?;
            }
        }
        Ok(())
    }
}
