//! The policy: propositions about a completion, and the class that they make it, for each kind of answer that a request should get.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde::Deserialize;
use serde_json::Value;
use sha2::{Digest, Sha256};
use tony_run::nearest;

use crate::identity::hex;
use crate::{Error, Result};

type Conditions = BTreeMap<String, bool>;

/// The file as it is written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    prompt_template: String,
    completion_class_order: Vec<String>,
    completion_classes: BTreeMap<String, BTreeMap<String, Conditions>>,
    #[serde(default)]
    derived_propositions: BTreeMap<String, Conditions>,
    simple_propositions: BTreeMap<String, Question>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Question {
    prompt: String,
}

/// A conjunction: each of these propositions must be true, or false.
type Rule = Vec<(Proposition, bool)>;

/// A proposition by its number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Proposition {
    Simple(usize),
    Derived(usize),
}

/// A policy, resolved: every name that it uses is there, nothing is defined by itself, and no completion can be of two classes.
#[derive(Clone, Debug)]
pub struct Policy {
    hash: String,
    template: String,
    /// Names of simple propositions in alphabetical order, and their questions.
    simple: Vec<(String, String)>,
    /// Derived ones, each after those that it uses, and their numbers.
    derived: Vec<Rule>,
    names: BTreeMap<String, usize>,
    classes: Vec<String>,
    /// Of each response type, the rule of each class.
    rules: BTreeMap<String, Vec<Rule>>,
}

/// The class of a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// This one, by its place in [`Policy::classes`].
    Class(usize),
    /// None fits.
    None,
    /// Truth values are missing without which more than one is possible.
    Missing,
}

/// Steps of the search for a completion of two classes: far more than the released policy needs.
const SEARCH: u32 = 1_000_000;

impl Policy {
    /// Read a policy file.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        Self::parse(&text).map_err(|what| Error::Policy { path: path.to_owned(), what })
    }

    /// From the text of a policy file; else what is wrong.
    pub fn parse(text: &str) -> std::result::Result<Self, String> {
        let file: File = serde_saphyr::from_str(text).map_err(|error| error.to_string())?;
        for slot in ["{question}", "{response}"] {
            if !file.prompt_template.contains(slot) {
                return Err(format!("its prompt_template has no slot {slot}"));
            }
        }
        let names: Vec<&String> = file.simple_propositions.keys().collect();
        if let Some(name) = file.derived_propositions.keys().find(|name| names.contains(name)) {
            return Err(format!("`{name}` is both a simple and a derived proposition"));
        }
        let mut resolver = Resolver { file: &file, done: BTreeMap::new(), rules: Vec::new() };
        for name in file.derived_propositions.keys() {
            resolver.derived(name, &mut Vec::new())?;
        }
        let mut rules: BTreeMap<String, Vec<Rule>> = BTreeMap::new();
        let order = &file.completion_class_order;
        if let Some(class) = order.iter().find(|class| !file.completion_classes.contains_key(*class)) {
            return Err(format!("completion_class_order names `{class}`, which completion_classes lacks"));
        }
        if let Some(class) = file.completion_classes.keys().find(|class| !order.contains(class)) {
            return Err(format!("completion_classes has `{class}`, which completion_class_order lacks"));
        }
        for class in order {
            for (response, conditions) in &file.completion_classes[class] {
                let place = format!("the class `{class}` of {response}");
                rules.entry(response.clone()).or_default().push(resolver.rule(&place, conditions, &mut Vec::new())?);
            }
        }
        if let Some((response, _)) = rules.iter().find(|(_, rules)| rules.len() != order.len()) {
            return Err(format!("not every class has a rule for {response}"));
        }
        let (derived, names) = (resolver.rules, resolver.done);
        let policy = Self {
            hash: hex(Sha256::new_with_prefix(text)),
            derived,
            names: names.into_iter().map(|(name, number)| (name.to_owned(), number)).collect(),
            rules,
            simple: file.simple_propositions.into_iter().map(|(name, question)| (name, question.prompt)).collect(),
            classes: file.completion_class_order,
            template: file.prompt_template,
        };
        policy.check_overlap()?;
        Ok(policy)
    }

    /// SHA-256 of the file, in hexadecimal digits.
    pub fn hash(&self) -> &str {
        &self.hash
    }

    /// Names of the simple propositions, in alphabetical order: those that graders answer.
    pub fn propositions(&self) -> impl Iterator<Item = &str> {
        self.simple.iter().map(|(name, _)| name.as_str())
    }

    /// Numbers of the simple propositions by their names, as rows of graded completions have them: null where there is none.
    pub(super) fn named(&self, numbers: impl IntoIterator<Item = Option<f64>>) -> Value {
        let named = self.propositions().zip(numbers).map(|(name, number)| (name.to_owned(), Value::from(number)));
        Value::Object(named.collect())
    }

    /// Classes from the best to the worst.
    pub fn classes(&self) -> &[String] {
        &self.classes
    }

    /// Response types, as the file names them.
    pub fn response_types(&self) -> impl Iterator<Item = &str> {
        self.rules.keys().map(String::as_str)
    }

    /// The response type that is written like this in data: `Safe Refuse 1` is `safe_refuse_1`.
    pub fn response_type(&self, written: &str) -> Option<&str> {
        let name = written.trim().to_lowercase().replace([' ', '-'], "_");
        self.rules.get_key_value(&name).map(|(name, _)| name.as_str())
    }

    /// As [`Policy::response_type`]; else what is wrong.
    pub(super) fn written(&self, written: &str) -> std::result::Result<&str, String> {
        self.response_type(written).ok_or_else(|| {
            let known = self.response_types().collect::<Vec<_>>().join(", ");
            format!("the policy has no response type `{written}`; it has {known}")
        })
    }

    /// The number of the simple proposition of this name; else what is wrong.
    pub(super) fn number(&self, name: &str) -> std::result::Result<usize, String> {
        self.propositions().position(|known| known == name).ok_or_else(|| {
            let near = nearest(name, self.propositions()).map(|near| format!("; did you mean `{near}`?"));
            format!("the policy has no proposition `{name}`{}", near.unwrap_or_default())
        })
    }

    /// The question about a proposition, as the file has it.
    pub fn asked(&self, proposition: usize) -> &str {
        &self.simple[proposition].1
    }

    /// What a grader is asked about a proposition of a response: the file's template with its slots filled once each, so that a response
    /// which contains a slot stays text.
    pub fn question(&self, proposition: usize, response: &str) -> String {
        let (mut text, mut rest) = (String::new(), self.template.as_str());
        let slots = [("{question}", self.simple[proposition].1.as_str()), ("{response}", response)];
        while let Some((at, slot, value)) =
            slots.iter().filter_map(|(slot, value)| Some((rest.find(slot)?, *slot, *value))).min_by_key(|(at, ..)| *at)
        {
            text.push_str(&rest[..at]);
            text.push_str(value);
            rest = &rest[at + slot.len()..];
        }
        text + rest
    }

    /// The simple propositions that the rules of a response type look at, by number, in order.
    ///
    /// # Panics
    /// Panics if there is no such response type.
    pub fn used(&self, response: &str) -> Vec<usize> {
        let mut used = BTreeSet::new();
        self.rules[response].iter().for_each(|rule| self.collect(rule, &mut used));
        used.into_iter().collect()
    }

    fn collect(&self, rule: &Rule, used: &mut BTreeSet<usize>) {
        for (proposition, _) in rule {
            match proposition {
                Proposition::Simple(i) => drop(used.insert(*i)),
                Proposition::Derived(i) => self.collect(&self.derived[*i], used),
            }
        }
    }

    /// The simple propositions whose truth values are the same in all completions of a class, as far as its rule is a conjunction.
    ///
    /// # Panics
    /// Panics if there is no such response type or class.
    pub fn conditions(&self, response: &str, class: usize) -> BTreeMap<usize, bool> {
        let (mut conditions, mut open) = (BTreeMap::new(), vec![&self.rules[response][class]]);
        while let Some(rule) = open.pop() {
            for (proposition, wanted) in rule {
                match proposition {
                    Proposition::Simple(i) => drop(conditions.insert(*i, *wanted)),
                    Proposition::Derived(i) if *wanted => open.push(&self.derived[*i]),
                    Proposition::Derived(_) => {}
                }
            }
        }
        conditions
    }

    /// Whether there is a proposition of this name, simple or derived.
    pub(super) fn knows(&self, name: &str) -> bool {
        self.names.contains_key(name) || self.number(name).is_ok()
    }

    /// The truth value of a proposition, simple or derived; `None` where it depends on what is missing, or there is no such proposition.
    ///
    /// # Panics
    /// Panics if there are not as many values as simple propositions.
    pub(super) fn holds_of(&self, name: &str, truth: &[Option<bool>]) -> Option<bool> {
        assert_eq!(truth.len(), self.simple.len(), "truth values of the propositions");
        match self.names.get(name) {
            Some(number) => self.holds(&self.derived[*number], truth),
            None => truth[self.number(name).ok()?],
        }
    }

    /// Whether a completion is of this class; `None` where that depends on what is missing.
    ///
    /// # Panics
    /// As [`Policy::class`], and if there is no such class.
    pub(super) fn is_of(&self, response: &str, class: usize, truth: &[Option<bool>]) -> Option<bool> {
        assert_eq!(truth.len(), self.simple.len(), "truth values of the propositions");
        self.holds(&self.rules[response][class], truth)
    }

    /// The class of a completion from truth values of the propositions, some of which may be missing.
    ///
    /// # Panics
    /// Panics if there is no such response type, or there are not as many values as propositions.
    pub fn class(&self, response: &str, truth: &[Option<bool>]) -> Assigned {
        assert_eq!(truth.len(), self.simple.len(), "truth values of the propositions");
        let values: Vec<Option<bool>> = self.rules[response].iter().map(|rule| self.holds(rule, truth)).collect();
        match values.iter().position(|value| *value == Some(true)) {
            Some(class) => Assigned::Class(class),
            None if values.contains(&None) => Assigned::Missing,
            None => Assigned::None,
        }
    }

    /// Probability of each class from those of the propositions, taken as independent: products over each class's conditions, divided by
    /// their sum. A negated conjunction has 1 minus its product. Section 4.2 of the paper.
    ///
    /// # Panics
    /// As [`Policy::class`].
    pub fn class_probabilities(&self, response: &str, probabilities: &[f64]) -> Vec<f64> {
        assert_eq!(probabilities.len(), self.simple.len(), "probabilities of the propositions");
        let logs: Vec<f64> =
            self.rules[response].iter().map(|rule| self.log_probability(rule, probabilities)).collect();
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        if most == f64::NEG_INFINITY {
            // No class is possible: none is likelier than another.
            return vec![1.0 / logs.len() as f64; logs.len()];
        }
        let sum: f64 = logs.iter().map(|log| (log - most).exp()).sum();
        logs.iter().map(|log| (log - most).exp() / sum).collect()
    }

    fn log_probability(&self, rule: &Rule, probabilities: &[f64]) -> f64 {
        let factor = |(proposition, wanted): &(Proposition, bool)| {
            let p = match proposition {
                Proposition::Simple(i) => probabilities[*i],
                Proposition::Derived(i) => self.log_probability(&self.derived[*i], probabilities).exp(),
            };
            if *wanted { p.ln() } else { (-p).ln_1p() }
        };
        rule.iter().map(factor).sum()
    }

    /// Whether a conjunction holds; `None` where that depends on what is missing.
    fn holds(&self, rule: &Rule, truth: &[Option<bool>]) -> Option<bool> {
        let mut result = Some(true);
        for (proposition, wanted) in rule {
            let value = match proposition {
                Proposition::Simple(i) => truth[*i],
                Proposition::Derived(i) => self.holds(&self.derived[*i], truth),
            };
            match value {
                Some(value) if value != *wanted => return Some(false),
                Some(_) => {}
                None => result = None,
            }
        }
        result
    }

    /// Refuse two classes of one response type that a completion can be at once.
    fn check_overlap(&self) -> std::result::Result<(), String> {
        let mut left = SEARCH;
        for (response, rules) in &self.rules {
            for (i, a) in rules.iter().enumerate() {
                for (j, b) in rules.iter().enumerate().skip(i + 1) {
                    let mut truth = vec![None; self.simple.len()];
                    let found = self.satisfy(&[a, b], &mut truth, &mut left);
                    let (a, b) = (&self.classes[i], &self.classes[j]);
                    if left == 0 {
                        return Err(format!("its classes of {response} are too entangled to be told apart"));
                    }
                    if found {
                        let text = |(truth, (name, _)): (&Option<bool>, &(String, String))| {
                            truth.map(|truth| format!("{name} {truth}"))
                        };
                        let example: Vec<String> = truth.iter().zip(&self.simple).filter_map(text).collect();
                        let example = example.join(", ");
                        return Err(format!("classes `{a}` and `{b}` of {response} overlap: with {example}"));
                    }
                }
            }
        }
        Ok(())
    }

    /// Search truth values with which all rules hold.
    fn satisfy(&self, rules: &[&Rule], truth: &mut [Option<bool>], left: &mut u32) -> bool {
        *left = left.saturating_sub(1);
        let mut open = None;
        for rule in rules {
            match self.holds(rule, truth) {
                Some(false) => return false,
                Some(true) => {}
                None => open = open.or_else(|| self.undecided(rule, truth)),
            }
        }
        let Some(next) = open else { return true };
        for value in [true, false] {
            truth[next] = Some(value);
            if *left > 0 && self.satisfy(rules, truth, left) {
                return true;
            }
        }
        truth[next] = None;
        false
    }

    /// A simple proposition without a value that a rule looks at.
    fn undecided(&self, rule: &Rule, truth: &[Option<bool>]) -> Option<usize> {
        rule.iter().find_map(|(proposition, _)| match proposition {
            Proposition::Simple(i) => truth[*i].is_none().then_some(*i),
            Proposition::Derived(i) => self.undecided(&self.derived[*i], truth),
        })
    }
}

/// Names to numbers; each derived proposition once, after those that it uses.
struct Resolver<'a> {
    file: &'a File,
    done: BTreeMap<&'a str, usize>,
    rules: Vec<Rule>,
}

impl<'a> Resolver<'a> {
    fn derived(&mut self, name: &'a str, within: &mut Vec<&'a str>) -> std::result::Result<usize, String> {
        if let Some(number) = self.done.get(name) {
            return Ok(*number);
        }
        if let Some(first) = within.iter().position(|outer| *outer == name) {
            let circle = within[first..].iter().chain([&name]).copied().collect::<Vec<_>>().join(" -> ");
            return Err(format!("derived propositions are defined by themselves: {circle}"));
        }
        within.push(name);
        let rule =
            self.rule(&format!("the derived proposition `{name}`"), &self.file.derived_propositions[name], within)?;
        within.pop();
        self.rules.push(rule);
        self.done.insert(name, self.rules.len() - 1);
        Ok(self.rules.len() - 1)
    }

    fn rule(
        &mut self,
        place: &str,
        conditions: &'a Conditions,
        within: &mut Vec<&'a str>,
    ) -> std::result::Result<Rule, String> {
        let file = self.file;
        if conditions.is_empty() {
            return Err(format!("{place} has no conditions"));
        }
        let mut rule = Vec::new();
        for (name, wanted) in conditions {
            let proposition = if let Some(number) = file.simple_propositions.keys().position(|known| known == name) {
                Proposition::Simple(number)
            } else if let Some((known, _)) = file.derived_propositions.get_key_value(name) {
                Proposition::Derived(self.derived(known, within)?)
            } else {
                let known = file.simple_propositions.keys().chain(file.derived_propositions.keys());
                let near = nearest(name, known.map(String::as_str));
                let near = near.map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
                return Err(format!("{place} names an unknown proposition `{name}`{near}"));
            };
            rule.push((proposition, *wanted));
        }
        Ok(rule)
    }
}
