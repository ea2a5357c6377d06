//! What a running training shows: one history, read by the plain lines and by the live panel.

use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use tony_run::Control;
use tony_run::{Metrics, Plan};

use crate::console;

/// A cost channel that is watched.
pub struct Channel {
    /// Its name: `cost`, or a named channel such as `hazards`.
    pub name: String,
    /// Its metric: sum over an episode, mean over the episodes of an update.
    pub metric: String,
    /// Most that it may be, where the algorithm limits it.
    pub limit: Option<f64>,
}

/// What is watched besides costs, each as name and metric.
#[derive(Clone, Copy)]
pub struct Measures {
    /// What the training is about.
    pub main: &'static [(&'static str, &'static str)],
    /// What stands beside it.
    pub beside: &'static [(&'static str, &'static str)],
    /// Metrics of which a small curve is enough.
    pub sparks: &'static [&'static str],
}

/// Of an agent.
pub const AGENT: Measures = Measures {
    main: &[("return", "Metrics/EpRet")],
    beside: &[("KL", "Train/KL"), ("length", "Metrics/EpLen")],
    sparks: &["Train/KL", "Train/Entropy", "Time/FPS"],
};

/// The channels to watch: the sum, and every channel with a limit of its own.
pub fn channels(plan: &Plan, costs: &[String]) -> Vec<Channel> {
    let limit = |name: &str| {
        let key = if name == "cost" { "cost.limit".to_owned() } else { format!("cost.limit.{name}") };
        plan.get(&key).and_then(|text| text.parse().ok())
    };
    let metric = |name: &str| if name == "cost" { "Metrics/EpCost".to_owned() } else { format!("Cost/{name}") };
    let channel = |name: &String| Channel { name: name.clone(), metric: metric(name), limit: limit(name) };
    costs.iter().rev().map(channel).filter(|c| c.name == "cost" || c.limit.is_some()).collect()
}

/// A training seen from outside.
pub struct Progress {
    /// The algorithm's title.
    pub title: String,
    /// The environment's name.
    pub env: String,
    /// The run folder.
    pub run: String,
    /// Environment steps that this process began with, and the number to reach.
    pub first: u64,
    /// Environment steps to reach.
    pub total: u64,
    /// Cost channels to show.
    pub channels: Vec<Channel>,
    /// What else to show.
    pub measures: Measures,
    /// The trainer's own word on where it is.
    pub control: Arc<Control>,
    /// When this process began to train.
    pub started: Instant,
    /// Metrics of every update of this process.
    pub history: Mutex<Vec<Metrics>>,
}

impl Progress {
    /// Take in an update.
    pub fn push(&self, metrics: &Metrics) {
        self.history.lock().unwrap_or_else(PoisonError::into_inner).push(metrics.clone());
    }

    /// Updates and seconds of the run by its newest line, where this process wrote one.
    pub fn done(&self) -> Option<(u64, f64)> {
        let history = self.history.lock().unwrap_or_else(PoisonError::into_inner);
        let newest = history.last()?;
        Some((newest.get("updates")? as u64, newest.get("seconds")?))
    }

    /// Environment steps so far, counted by the collector as it goes.
    pub fn steps(&self) -> u64 {
        self.control.steps.load(Ordering::Relaxed).max(self.first)
    }

    /// Environment steps a second since this process began, and the seconds left at that speed.
    pub fn speed(&self) -> (f64, Option<f64>) {
        let (done, seconds) = ((self.steps() - self.first) as f64, self.started.elapsed().as_secs_f64());
        let rate = done / seconds.max(1e-9);
        (rate, (done > 0.0).then(|| self.total.saturating_sub(self.steps()) as f64 / rate))
    }

    /// What the trainer is doing.
    pub fn phase(&self) -> &'static str {
        match self.control.phase.load(Ordering::Relaxed) {
            0 => "collecting",
            1 => "updating",
            _ => "committing",
        }
    }

    /// Names and values of one update's line.
    pub fn columns(&self, metrics: &Metrics) -> Vec<(String, String)> {
        let value = |name: &str| console::short_or_dash(metrics.get(name));
        let column = |(name, metric): &(&str, &str)| ((*name).to_owned(), value(metric));
        let steps = console::thousands(metrics.get("steps").unwrap_or(0.0) as u64);
        let mut columns = vec![("steps".to_owned(), steps)];
        columns.extend(self.measures.main.iter().map(column));
        if metrics.get("Options/K").is_some() {
            columns.push(("options".to_owned(), value("Options/K")));
            columns.push(("accuracy".to_owned(), value("Options/Accuracy")));
        }
        for Channel { name, metric, limit } in &self.channels {
            let name = limit.map_or(name.clone(), |limit| format!("{name}<{limit}"));
            columns.push((name, value(metric)));
        }
        for (metric, text) in metrics.iter().filter(|(name, _)| name.starts_with(MULTIPLIER)) {
            let name = metric.strip_prefix(MULTIPLIER).unwrap_or_default().replace('/', " ");
            columns.push((format!("lambda{name}"), console::short_or_dash(text)));
        }
        columns.extend(self.measures.beside.iter().map(column));
        columns.push(("steps/s".to_owned(), metrics.get("Time/FPS").map_or("-".to_owned(), |x| format!("{x:.0}"))));
        columns.push(("left".to_owned(), self.speed().1.map_or("-".to_owned(), console::duration)));
        columns
    }
}

/// Metric of a multiplier; with several constraints `/NAME` follows.
pub const MULTIPLIER: &str = "Metrics/LagrangeMultiplier";

/// Lines between two header lines.
const HEADER_EVERY: usize = 25;
/// Width of a column, at least.
const WIDTH: usize = 10;

/// One aligned line an update, under a header now and then.
#[derive(Default)]
pub struct Lines {
    printed: usize,
}

impl Lines {
    /// The lines that an update adds.
    pub fn next(&mut self, columns: &[(String, String)]) -> String {
        let row = |cell: fn(&(String, String)) -> &String| {
            let cells = columns.iter().map(|c| format!("{:>width$}", cell(c), width = WIDTH.max(c.0.chars().count())));
            cells.collect::<Vec<_>>().join(" ")
        };
        let header = if self.printed.is_multiple_of(HEADER_EVERY) { row(|c| &c.0) + "\n" } else { String::new() };
        self.printed += 1;
        header + &row(|c| &c.1)
    }
}
