//! The classes of labelled completions.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tony_run::nearest;

use super::policy::{Assigned, Policy};
use crate::{Error, Message, Result, jsonl};

/// A completion of a data file. Other fields are left alone.
#[derive(Clone, Debug, Deserialize)]
pub struct Row {
    /// The kind of answer that the request should get, as `Hard Refuse`.
    pub response_type: String,
    /// The conversation up to the completion.
    pub prompt: Vec<Message>,
    /// The completion.
    pub completion: Vec<Message>,
    /// What people found true of it.
    #[serde(default)]
    pub propositions: BTreeMap<String, bool>,
}

/// How many completions of each response type are of each class.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Counts {
    /// Completions.
    pub rows: usize,
    /// Those that no class fits, or whose labels lack what decides.
    pub unassigned: usize,
    /// Those that more than one class fits: 0, since a policy whose classes overlap is refused.
    pub ambiguous: usize,
    /// By response type as the data names it, then by class, best first.
    pub counts: BTreeMap<String, serde_json::Map<String, serde_json::Value>>,
}

/// Count the classes of a data file's labelled completions.
pub fn count(policy: &Policy, path: &Path) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut numbers: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (line, row) in jsonl::read::<Row>(path)? {
        let bad = |what: String| Error::Data { path: path.to_owned(), line, what };
        let unknown = row.propositions.keys().find(|name| !policy.propositions().any(|known| known == name.as_str()));
        if let Some(name) = unknown {
            let near = nearest(name, policy.propositions()).map(|near| format!("; did you mean `{near}`?"));
            return Err(bad(format!("the policy has no proposition `{name}`{}", near.unwrap_or_default())));
        }
        let response = policy.written(&row.response_type).map_err(bad)?;
        let truth: Vec<Option<bool>> = policy.propositions().map(|name| row.propositions.get(name).copied()).collect();
        counts.rows += 1;
        let of_type = numbers.entry(row.response_type).or_insert_with(|| vec![0; policy.classes().len()]);
        match policy.class(response, &truth) {
            Assigned::Class(class) => of_type[class] += 1,
            Assigned::None | Assigned::Missing => counts.unassigned += 1,
        }
    }
    let named =
        |numbers: Vec<usize>| policy.classes().iter().cloned().zip(numbers.into_iter().map(Into::into)).collect();
    counts.counts = numbers.into_iter().map(|(response, numbers)| (response, named(numbers))).collect();
    Ok(counts)
}
