//! Pages to look at: the report of a run, the comparison of many, the replay of episodes.
//!
//! A page is one file that loads nothing: style, scripts and data are inside, so it opens from a disk, a mail or an
//! artefact store, with no network, and looks the same in ten years. Curves are SVG drawn here (see [`chart`] for why not
//! a library); the replay is a canvas driven by `player.js`.
//!
//! - [`RunReport::from_folder`] gathers what a run folder holds, [`run_report`] makes its page.
//! - [`Comparison::new`] compares runs, its JSON is what `tony compare --json` prints, [`compare_report`] makes its page.
//! - [`reproduction`] shows the claims of a paper beside what was measured.
//! - `ranking_report` shows how well rule-based rewards rank completions.
//! - [`replay_page`] shows recorded episodes alone.

mod answers;
mod chart;
mod compare;
mod divergence;
#[cfg(feature = "meta")]
mod few_shot;
mod folder;
mod html;
mod options;
#[cfg(feature = "lm")]
mod ranking;
mod replay;
mod reproduction;
mod run;
#[cfg(test)]
mod tests;

pub use compare::{Comparison, caution, compare_report};
#[cfg(feature = "meta")]
pub use few_shot::few_shot_report;
pub use options::{Traces, Watched};
#[cfg(feature = "lm")]
pub use ranking::ranking_report;
pub use replay::replay_page;
pub use reproduction::{Reproduction, reproduction};
pub use run::{is_metric, metrics, run_report};

use serde::{Deserialize, Serialize};
use tony_env::recording::Recording;
use tony_run::{Metrics, Stat, stats};

/// How many of the last updates make the final numbers: the last five epochs, as published comparisons take them.
pub const FINAL_UPDATES: usize = 5;

/// Everything that the report of one run shows.
#[derive(Clone, Debug, Default)]
pub struct RunReport {
    /// Name of the run folder.
    pub name: String,
    /// The algorithm's short name, for example `cpo`.
    pub algorithm: String,
    /// The algorithm in words, for example `Constrained Policy Optimization`.
    pub title: String,
    /// Environment's full name.
    pub env: String,
    /// Every setting, in the plan's order.
    pub settings: Vec<Setting>,
    /// The manifest: which program, machine and seed this was.
    pub manifest: serde_json::Map<String, serde_json::Value>,
    /// What `metrics.jsonl` holds.
    pub metrics: Vec<Row>,
    /// Evaluation with fresh episodes, where there was one.
    pub evaluation: Option<Evaluation>,
    /// Checkpoints in the folder, oldest first.
    pub checkpoints: Vec<Saved>,
    /// Recorded episodes, oldest first.
    pub episodes: Vec<Recording>,
    /// What each option does, where the run found options.
    pub options: Option<Traces>,
    /// The first and the last answers of a language model that are kept.
    pub answers: Vec<answers::Batch>,
    /// How the run ended, in words; empty while it goes on.
    pub ending: String,
}

/// One setting with its provenance.
#[derive(Clone, Debug, Default)]
pub struct Setting {
    /// Its key.
    pub key: String,
    /// Its value as text.
    pub value: String,
    /// Where the value came from, in words: `default`, `preset paper`, `command line`.
    pub source: String,
    /// What it does.
    pub doc: String,
}

/// One line of `metrics.jsonl`.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Number of the line, from 1.
    pub line: usize,
    /// Its quantities.
    pub metrics: Metrics,
}

/// What `tony eval` found; its JSON is what `tony eval --json` prints.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Evaluation {
    /// The run.
    pub run: String,
    /// Name of the checkpoint that was evaluated.
    pub checkpoint: String,
    /// Number of episodes.
    pub episodes: usize,
    /// Options of the policy: episode `i` followed option `i mod options`. None where it has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<usize>,
    /// Sum of rewards of an episode.
    #[serde(rename = "return")]
    pub total: Stat,
    /// Sum of each cost channel over an episode, in the environment's order.
    #[serde(with = "in_order")]
    pub costs: Vec<(String, Stat)>,
    /// Steps of an episode.
    pub length: Stat,
}

/// Named statistics as a JSON object that keeps their order.
mod in_order {
    use serde::{Deserialize, Deserializer, Serializer};
    use tony_run::Stat;

    pub fn serialize<S: Serializer>(stats: &[(String, Stat)], to: S) -> Result<S::Ok, S::Error> {
        to.collect_map(stats.iter().map(|(name, stat)| (name, stat)))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<(String, Stat)>, D::Error> {
        let object = serde_json::Map::deserialize(from)?;
        let stat = |(name, value)| Ok((name, serde_json::from_value(value).map_err(serde::de::Error::custom)?));
        object.into_iter().map(stat).collect()
    }
}

/// One checkpoint.
#[derive(Clone, Debug, Default)]
pub struct Saved {
    /// Name of its folder.
    pub name: String,
    /// Environment steps so far.
    pub steps: u64,
    /// Updates so far.
    pub updates: u64,
    /// Hash of the policy file.
    pub policy: String,
}

/// A quantity at the end of training.
#[derive(Clone, Debug, PartialEq)]
pub struct Final {
    /// Mean over the last [`FINAL_UPDATES`] updates that have the quantity, with its bootstrap interval.
    pub stat: Stat,
    /// First and last line of `metrics.jsonl` that it was taken from.
    pub lines: [usize; 2],
}

/// The final value of `metric`; `None` if no line has it.
pub fn final_of(rows: &[Row], metric: &str) -> Option<Final> {
    let found = rows.iter().rev().filter_map(|row| Some((row.line, finite(row, metric)?)));
    let last: Vec<(usize, f64)> = found.take(FINAL_UPDATES).collect();
    let values: Vec<f64> = last.iter().rev().map(|(_, value)| *value).collect();
    let lines = [last.last()?.0, last.first()?.0];
    Some(Final { stat: stats::mean(&values)?, lines })
}

impl RunReport {
    /// Value of a setting.
    pub fn setting(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|setting| setting.key == key).map(|setting| setting.value.as_str())
    }

    /// Limit on a cost: `None` is the documented sum `cost`, a name is that channel alone.
    pub fn limit(&self, channel: Option<&str>) -> Option<f64> {
        let key = channel.map_or("cost.limit".to_owned(), |name| format!("cost.limit.{name}"));
        self.setting(&key)?.parse().ok()
    }

    /// Environment steps of the last update.
    pub fn steps(&self) -> f64 {
        self.metrics.iter().filter_map(|row| finite(row, "steps")).next_back().unwrap_or(0.0)
    }
}

/// The row's value of `metric` if it has one that is a number.
fn finite(row: &Row, metric: &str) -> Option<f64> {
    row.metrics.get(metric).filter(|value| value.is_finite())
}
