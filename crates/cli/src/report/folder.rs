//! From a run folder to what a report shows.

use super::answers::Batch;
use super::{Evaluation, Row, RunReport, Saved, Setting};
use crate::failure::Result;
use crate::workload::Algorithm;
use serde_json::{Map, Value};
use std::path::{Path, PathBuf};
use tony_env::recording::Recording;
use tony_run::{Plan, RunState, RunView};

/// Recorded episodes that a report shows: the newest, so that the page stays light enough to mail.
const EPISODES: usize = 6;

impl RunReport {
    /// Gather what the folder of `run` holds. `evaluation` is what was measured with its newest checkpoint.
    pub fn from_folder(run: &RunView, evaluation: Option<Evaluation>) -> Result<Self> {
        let plan = documented(run.plan());
        let metrics = run.metrics()?.into_iter().enumerate().map(|(i, metrics)| Row { line: i + 1, metrics }).collect();
        let setting = |entry: &tony_run::Entry| Setting {
            key: entry.key.clone(),
            value: entry.text.clone(),
            source: entry.source.to_string(),
            doc: entry.doc.split_whitespace().collect::<Vec<&str>>().join(" "),
        };
        let title = Algorithm::find(&plan.algorithm).map_or(plan.algorithm.as_str(), |found| found.about().title);
        Ok(Self {
            name: run.name(),
            title: title.to_owned(),
            settings: plan.entries.iter().map(setting).collect(),
            manifest: object(serde_json::to_value(run.manifest()).ok()),
            metrics,
            evaluation,
            checkpoints: checkpoints(&run.dir().join("checkpoints"))?,
            episodes: episodes(run)?,
            answers: answers(run)?,
            options: run.options()?.and_then(|text| serde_json::from_str(&text).ok()),
            ending: ending(run)?,
            algorithm: plan.algorithm,
            env: plan.env,
        })
    }
}

/// The plan with what each setting does; as it stands where it is of another version of the algorithm.
fn documented(plan: &Plan) -> Plan {
    let fields = Algorithm::find(&plan.algorithm).map(|algorithm| algorithm.fields(Some(&plan.env)));
    fields.ok().and_then(|fields| plan.clone().check(&fields).ok()).unwrap_or_else(|| plan.clone())
}

fn ending(run: &RunView) -> Result<String> {
    Ok(match (run.exit()?, run.state()?) {
        (Some(exit), _) => exit.reason,
        (None, RunState::Running) => "still running".to_owned(),
        (None, _) => "ended without a word".to_owned(),
    })
}

fn episodes(run: &RunView) -> Result<Vec<Recording>> {
    let all = run.episodes()?;
    let newest = all.iter().skip(all.len().saturating_sub(EPISODES));
    newest.map(|(_, path)| Ok(Recording::from_json(&fs_err::read_to_string(path)?)?)).collect()
}

/// The first and the last answers of a language model in training.
fn answers(run: &RunView) -> Result<Vec<Batch>> {
    let mut all = run.samples()?;
    let ends: Vec<_> = all.pop().into_iter().chain(all.into_iter().next()).rev().collect();
    let read = |(update, path): (String, PathBuf)| {
        let text = fs_err::read_to_string(path)?;
        let answers = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
        Ok(Batch { update, answers })
    };
    ends.into_iter().map(read).collect()
}

/// Committed checkpoints by name. What is damaged shows as far as it can be read: the reader of checkpoints judges it.
fn checkpoints(dir: &Path) -> Result<Vec<Saved>> {
    let mut saved = Vec::new();
    if !dir.is_dir() {
        return Ok(saved);
    }
    for entry in fs_err::read_dir(dir)? {
        let path = entry?.path();
        let json = |file: &str| {
            let text = fs_err::read_to_string(path.join(file)).ok()?;
            serde_json::from_str::<Value>(&text).ok()
        };
        let (Some(commit), state) = (json("COMMIT.json"), object(json("state.json"))) else { continue };
        let count = |key: &str| state.get(key).and_then(Value::as_u64).unwrap_or(0);
        saved.push(Saved {
            name: path.file_name().unwrap_or_default().to_string_lossy().into_owned(),
            steps: count("steps"),
            updates: count("updates"),
            policy: commit["files"]["policy.safetensors"]["sha256"].as_str().unwrap_or_default().to_owned(),
        });
    }
    saved.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(saved)
}

fn object(value: Option<Value>) -> Map<String, Value> {
    match value {
        Some(Value::Object(object)) => object,
        _ => Map::new(),
    }
}
