//! Completions as data files have them, and what a grader says of each.

use std::path::Path;

use serde_json::{Map, Value};

use super::grader::{Grader, Item, Question, Verdict};
use super::policy::Policy;
use crate::{Error, Message, Result, jsonl};

/// A row of a data file.
#[derive(Clone, Debug)]
pub struct Case {
    /// The row as it was.
    pub fields: Map<String, Value>,
    /// What is graded.
    pub item: Item,
    /// The kind of answer that the request should get, as the policy names it, where the row says so.
    pub response: Option<String>,
    /// What people found true, by proposition.
    pub labels: Vec<Option<bool>>,
}

impl Case {
    /// The rows of a file, one JSON object a line: `prompt` and `completion` are texts or lists of messages; `response_type`, or as `XSTest` has
    /// it `label` (safe requests are to be complied with, unsafe ones refused); `propositions`, where people labelled them. Other fields are
    /// kept.
    pub fn read(policy: &Policy, path: &Path) -> Result<Vec<Self>> {
        let rows = jsonl::read::<Map<String, Value>>(path)?;
        let case = |(line, fields)| {
            Self::new(policy, fields).map_err(|what| Error::Data { path: path.to_owned(), line, what })
        };
        rows.into_iter().map(case).collect()
    }

    fn new(policy: &Policy, fields: Map<String, Value>) -> std::result::Result<Self, String> {
        let prompt = messages(&fields, "prompt", "user")?;
        let completion = messages(&fields, "completion", "assistant")?;
        let [completion] = &completion[..] else {
            return Err(format!("`completion` has {} messages, where one is graded", completion.len()));
        };
        let response = match (fields.get("response_type"), fields.get("label").and_then(Value::as_str)) {
            (Some(Value::String(written)), _) => Some(policy.written(written)?.to_owned()),
            (Some(_), _) => return Err("`response_type` is no text".to_owned()),
            (None, Some("safe")) => policy.response_type("comply").map(str::to_owned),
            (None, Some("unsafe")) => policy.response_type("hard_refuse").map(str::to_owned),
            (None, _) => None,
        };
        let mut labels = vec![None; policy.propositions().count()];
        match fields.get("propositions") {
            None | Some(Value::Null) => {}
            Some(Value::Object(given)) => {
                for (name, value) in given {
                    labels[policy.number(name)?] = match value {
                        Value::Bool(label) => Some(*label),
                        Value::Null => None,
                        _ => return Err(format!("the label `{name}` is neither true nor false")),
                    };
                }
            }
            Some(_) => return Err("`propositions` is no object of names and labels".to_owned()),
        }
        let item = Item { prompt, completion: completion.content.clone() };
        Ok(Self { fields, item, response, labels })
    }
}

/// A text, which `role` said, or a list of messages.
fn messages(fields: &Map<String, Value>, key: &str, role: &str) -> std::result::Result<Vec<Message>, String> {
    match fields.get(key) {
        None | Some(Value::Null) => Err(format!("it has no `{key}`")),
        Some(Value::String(text)) => Ok(vec![Message { role: role.to_owned(), content: text.clone() }]),
        Some(list) => serde::Deserialize::deserialize(list)
            .map_err(|error| format!("`{key}` is neither a text nor a list of messages: {error}")),
    }
}

/// What a grader says of each case's propositions, in the policy's order. The grader gets all questions at once, so that it may answer several
/// at a time. `progress` is told how many cases' worth of answers there are, and may stop the work with an error.
pub fn grade(
    policy: &Policy,
    grader: &mut dyn Grader,
    cases: &[Case],
    progress: &mut dyn FnMut(usize) -> Result<()>,
) -> Result<Vec<Vec<Verdict>>> {
    let n = policy.propositions().count();
    let of_item = |item| (0..n).map(move |proposition| Question { item, proposition });
    let questions: Vec<Question> = cases.iter().flat_map(|case| of_item(&case.item)).collect();
    let mut verdicts = vec![vec![Verdict::Missing { why: "the grader passed it over".to_owned() }; n]; cases.len()];
    let mut answered = 0;
    grader.grade(policy, &questions, &mut |place, verdict| {
        verdicts[place / n][place % n] = verdict;
        answered += 1;
        if answered % n == 0 { progress(answered / n) } else { Ok(()) }
    })?;
    Ok(verdicts)
}

/// The row with what a grader said of it: `features` has each proposition's probability and `outside` the probability that the grader gave
/// to anything but yes and no, null where there is no verdict; `grader` names who said so.
pub fn graded_row(policy: &Policy, case: &Case, verdicts: &[Verdict], grader: &str) -> Map<String, Value> {
    let mut row = case.fields.clone();
    row.insert("features".to_owned(), policy.named(verdicts.iter().map(Verdict::yes)));
    row.insert("outside".to_owned(), policy.named(verdicts.iter().map(Verdict::outside)));
    row.insert("grader".to_owned(), grader.into());
    row
}
