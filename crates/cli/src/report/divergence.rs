//! Why did my run diverge? What `diagnose=true` measured of a Q-learner, and what it says in plain words.

use super::html::{grouped, number, section};
use super::run::curve;
use super::{RunReport, finite};

/// Quantities in the order of the page: metric, title, unit, the line that should not be crossed.
const CURVES: [(&str, &str, &str, Option<f64>); 6] = [
    ("Diagnose/MaxAbsQ", "Largest |Q| of a minibatch", "", None),
    ("Diagnose/Alignment", "Cosine between what a step did and the errors", "1: straight towards the targets", None),
    ("Diagnose/Contraction", "Bound of the contraction's modulus", "below 1: learning contracts", Some(1.0)),
    ("Diagnose/RowRatio", "Row ratio of the kernel", "how much a step at one place moves the others", None),
    ("Train/Step", "Accepted share of the error", "of the temporal-difference error", None),
    ("Train/SolveResidual", "Residual of the kernel's solution", "share of the error", None),
];

/// Below this cosine a step goes elsewhere than towards its targets more than towards them.
const ALIGNED: f64 = 0.9;

/// The section; nothing where nothing was diagnosed.
pub fn divergence(input: &RunReport) -> String {
    let Some(reading) = reading(input) else { return String::new() };
    let charts: Vec<String> = (CURVES.iter())
        .filter_map(|(metric, title, unit, limit)| curve(input, metric, title, unit, 2, *limit))
        .collect();
    section(
        "divergence",
        "Why did my run diverge?",
        "Measured on the last minibatch before each line (diagnose=true), after Achiam, Knight and Abbeel 2019: a step changes the values by \
         about alpha K D (target - Q), K being the inner products of the rows' gradients. The bound of the modulus is estimated from the \
         minibatch alone with the alpha that explains best what the step did; at 1 or more nothing promises that learning settles, and it may still.",
        &format!("{reading}<div class=\"charts\">\n{}</div>\n", charts.concat()),
    )
}

/// Mean of a quantity over the lines that have it.
fn mean(input: &RunReport, metric: &str) -> Option<f64> {
    let values: Vec<f64> = input.metrics.iter().filter_map(|row| finite(row, metric)).collect();
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

fn reading(input: &RunReport) -> Option<String> {
    let last = |metric: &str| input.metrics.iter().rev().find_map(|row| finite(row, metric));
    let lines = input.metrics.iter().filter(|row| finite(row, "Diagnose/Diverged").is_some()).count();
    let first = input.metrics.iter().find(|row| finite(row, "Diagnose/Diverged").is_some_and(|flag| flag > 0.0));
    last("Diagnose/Diverged")?;
    let bound = last("Diagnose/Bound").map_or_else(|| "any number".to_owned(), number);
    let peak = input.metrics.iter().filter_map(|row| finite(row, "Diagnose/MaxAbsQ")).fold(0.0, f64::max);
    let mut words = vec![match first {
        Some(row) => format!(
            "It diverged: from step {} on (metrics.jsonl, line {}) values lie beyond {bound}, which no sum of discounted rewards of this task \
             reaches. The largest |Q| seen is {}.",
            grouped(finite(row, "steps").unwrap_or(0.0) as i64),
            row.line,
            number(peak)
        ),
        None => format!(
            "Values stayed possible in all {lines} lines: the largest |Q| seen is {}, and rewards of this task can add up to {bound}.",
            number(peak)
        ),
    }];
    if let Some(alignment) = mean(input, "Diagnose/Alignment") {
        words.push(format!(
            "A step moved the values at a cosine of {} to their errors, {}.",
            number(alignment),
            if alignment >= ALIGNED {
                "straight towards the targets"
            } else {
                "so most of what it did was generalisation to places that it was not about"
            }
        ));
    }
    if let (Some(modulus), Some(ratio)) = (mean(input, "Diagnose/Contraction"), mean(input, "Diagnose/RowRatio")) {
        words.push(format!(
            "The modulus is bounded by {} {}; the row ratio is {}.",
            number(modulus),
            if modulus < 1.0 {
                "(learning contracts)"
            } else {
                "(nothing holds learning together but luck and target networks)"
            },
            number(ratio)
        ));
    }
    if first.is_some() {
        words.push(
            "What helps: a target network that follows more slowly, activation=sin, a smaller lr, a smaller gamma, or preqn, which keeps its \
             steps straight."
                .to_owned(),
        );
    } else if mean(input, "Train/Step") == Some(0.0) {
        words.push(
            "No step was straight enough to be taken: the network is too small for the minibatch, or eta too strict."
                .to_owned(),
        );
    }
    let class = if first.is_some() { "bad" } else { "good" };
    Some(format!("<p class=\"verdict {class}\">{}</p>\n", words.join(" ")))
}
