//! From the records of trainings to a number for each seed, and from those to a verdict.

use serde::{Deserialize, Serialize};
use tony_run::{Metrics, Stat};

/// A number that is measured once for each seed.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged, deny_unknown_fields)]
pub enum Value {
    /// A quantity of the trainings of one run.
    Run {
        /// Id of the run.
        run: String,
        /// The quantity.
        metric: String,
        /// What to make of its curve.
        #[serde(default)]
        take: Take,
        /// Share of the training's steps at which to begin.
        #[serde(default)]
        from: f64,
        /// Share at which to end.
        #[serde(default = "whole")]
        to: f64,
        /// The level that `take` speaks of.
        #[serde(default)]
        level: f64,
    },
    /// A value of an experiment without training.
    Experiment {
        /// Id of the experiment.
        experiment: String,
        /// Name of the value.
        value: String,
    },
}

fn whole() -> f64 {
    1.0
}

/// What to make of a curve. Lines without the quantity do not count.
#[derive(Clone, Copy, Debug, Default, Deserialize, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
pub enum Take {
    /// Mean.
    #[default]
    Mean,
    /// Largest value.
    Max,
    /// Smallest value.
    Min,
    /// Last value.
    Last,
    /// `sum_k max(0, x_k - level)`: the PID Lagrangian paper's figure of merit of a cost.
    SumAbove,
    /// Share of the lines at or below the level.
    ShareAtMost,
    /// Share of the lines that are lower than the line before.
    ShareFalling,
    /// Largest fall from one line to the next; 0 where nothing falls.
    LargestFall,
    /// Largest value after the first one at or below the level; nothing where none is.
    MaxAfterReaching,
}

impl Take {
    /// Of a curve's values in order.
    pub fn of(self, values: &[f64], level: f64) -> Option<f64> {
        if values.is_empty() {
            return None;
        }
        let n = values.len() as f64;
        let falls = || values.windows(2).map(|pair| pair[0] - pair[1]);
        let max = |values: &[f64]| values.iter().copied().reduce(f64::max);
        match self {
            Self::Mean => Some(values.iter().sum::<f64>() / n),
            Self::Max => max(values),
            Self::Min => values.iter().copied().reduce(f64::min),
            Self::Last => values.last().copied(),
            Self::SumAbove => Some(values.iter().map(|x| (x - level).max(0.0)).sum()),
            Self::ShareAtMost => Some(values.iter().filter(|x| **x <= level).count() as f64 / n),
            Self::ShareFalling => Some(falls().filter(|fall| *fall > 0.0).count() as f64 / (n - 1.0).max(1.0)),
            Self::LargestFall => Some(falls().fold(0.0, f64::max)),
            Self::MaxAfterReaching => max(&values[values.iter().position(|x| *x <= level)?..]),
        }
    }
}

/// The values of `metric` in the lines whose steps lie in the given shares of the training, ends included.
pub fn curve(lines: &[Metrics], metric: &str, from: f64, to: f64) -> Vec<f64> {
    let steps = |line: &Metrics| line.get("steps").unwrap_or(0.0);
    let all = lines.last().map_or(0.0, steps);
    let inside = |line: &&Metrics| (from * all..=to * all).contains(&steps(line));
    lines.iter().filter(inside).filter_map(|line| line.get(metric)).filter(|value| value.is_finite()).collect()
}

/// When a claim counts as reproduced: what must hold of the mean over seeds, and for a full verdict of its whole interval.
#[derive(Clone, Copy, Debug, Deserialize)]
pub struct Criterion {
    at_least: Option<f64>,
    at_most: Option<f64>,
}

/// What became of a claim.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub enum Verdict {
    /// The criterion holds over the whole interval of several seeds.
    #[serde(rename = "reproduced")]
    Reproduced,
    /// It holds for the mean, and the interval reaches beyond.
    #[serde(rename = "partly")]
    Partly,
    /// It does not hold.
    #[serde(rename = "not reproduced")]
    NotReproduced,
    /// There is nothing to judge.
    #[serde(rename = "not run")]
    NotRun,
}

impl Verdict {
    /// In words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Reproduced => "reproduced",
            Self::Partly => "partly",
            Self::NotReproduced => "not reproduced",
            Self::NotRun => "not run",
        }
    }
}

impl Criterion {
    /// A criterion must say something, and must be possible.
    pub fn check(&self) -> Result<(), String> {
        match (self.at_least, self.at_most) {
            (None, None) => Err("it has no criterion: at_least, at_most, or both".to_owned()),
            (Some(low), Some(high)) if low > high => Err(format!("nothing is at least {low} and at most {high}")),
            _ => Ok(()),
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        let number = |x: f64| if x != 0.0 && x.abs() < 1e-3 { format!("{x:e}") } else { x.to_string() };
        match (self.at_least, self.at_most) {
            (Some(low), Some(high)) => format!("from {} to {}", number(low), number(high)),
            (Some(low), None) => format!("at least {}", number(low)),
            (None, Some(high)) => format!("at most {}", number(high)),
            (None, None) => String::new(),
        }
    }

    /// The verdict on a measured value.
    pub fn judge(&self, ours: Option<&Stat>) -> Verdict {
        let Some(ours) = ours else { return Verdict::NotRun };
        let holds = |x: f64| self.at_least.is_none_or(|low| x >= low) && self.at_most.is_none_or(|high| x <= high);
        match (holds(ours.mean), holds(ours.lo) && holds(ours.hi)) {
            // One seed has no interval.
            (true, true) if ours.n > 1 => Verdict::Reproduced,
            (true, _) => Verdict::Partly,
            (false, _) => Verdict::NotReproduced,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_are_taken_as_their_names_say() {
        let values = [3.0, 1.0, 2.0, 5.0, 4.0];
        let take = |take: Take, level| take.of(&values, level);
        assert_eq!(take(Take::Mean, 0.0), Some(3.0));
        assert_eq!(
            (take(Take::Max, 0.0), take(Take::Min, 0.0), take(Take::Last, 0.0)),
            (Some(5.0), Some(1.0), Some(4.0))
        );
        assert_eq!(take(Take::SumAbove, 2.5), Some(0.5 + 2.5 + 1.5));
        assert_eq!(take(Take::ShareAtMost, 3.0), Some(0.6));
        assert_eq!(take(Take::ShareFalling, 0.0), Some(0.5));
        assert_eq!(take(Take::LargestFall, 0.0), Some(2.0));
        // The first 3 does not count: the level was not yet reached.
        assert_eq!(Take::MaxAfterReaching.of(&[9.0, 1.0, 4.0], 2.0), Some(4.0));
        assert_eq!(Take::MaxAfterReaching.of(&[9.0, 3.0], 2.0), None);
        assert_eq!(Take::Mean.of(&[], 0.0), None);
    }

    #[test]
    fn windows_are_shares_of_the_steps_and_gaps_do_not_count() {
        let line = |steps: f64, value: Option<f64>| {
            let mut line = Metrics::new();
            line.set("steps", steps);
            line.put("x", value);
            line
        };
        let lines: Vec<Metrics> =
            (1..=10).map(|i| line(f64::from(i) * 100.0, (i != 9).then(|| f64::from(i)))).collect();
        assert_eq!(curve(&lines, "x", 0.8, 1.0), [8.0, 10.0]);
        assert_eq!(curve(&lines, "x", 0.0, 0.2), [1.0, 2.0]);
        assert_eq!(curve(&lines, "y", 0.0, 1.0), [0.0; 0]);
    }

    #[test]
    fn a_verdict_needs_the_whole_interval() {
        let criterion = Criterion { at_least: None, at_most: Some(1.0) };
        let stat = |mean, lo, hi| Stat { mean, lo, hi, n: 3 };
        assert_eq!(criterion.judge(Some(&stat(0.5, 0.4, 0.9))), Verdict::Reproduced);
        assert_eq!(criterion.judge(Some(&stat(0.9, 0.4, 1.1))), Verdict::Partly);
        assert_eq!(criterion.judge(Some(&Stat { n: 1, ..stat(0.5, 0.5, 0.5) })), Verdict::Partly);
        assert_eq!(criterion.judge(Some(&stat(1.1, 0.9, 1.2))), Verdict::NotReproduced);
        assert_eq!(criterion.judge(None), Verdict::NotRun);
        assert!(Criterion { at_least: Some(2.0), at_most: Some(1.0) }.check().is_err());
    }
}
