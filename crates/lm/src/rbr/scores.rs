//! How well a grader knows what people know: thresholds, and scores beside what guessing scores.

use serde::Serialize;
use tony_run::{Stat, stats};

use super::case::Case;
use super::grader::Verdict;
use super::policy::Policy;

/// What thresholds are chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Aim {
    /// The mean of the shares of true and of false propositions that are recognised: a grader cannot win by always saying what is common.
    Balanced,
    /// The share of verdicts that are right: a grader that knows nothing says what is common.
    Accuracy,
}

/// The threshold of each proposition without labels to choose it by.
pub const THRESHOLD: f64 = 0.5;

/// Of each proposition the threshold that is best for `aim` on these cases: midway between two neighbouring probabilities, of equally good ones
/// the one in the widest gap. A proposition without both kinds of labels gets 1 or 0, so that nothing, or all, is above; one without
/// labels [`THRESHOLD`].
pub fn thresholds(policy: &Policy, cases: &[Case], verdicts: &[Vec<Verdict>], aim: Aim) -> Vec<f64> {
    (0..policy.propositions().count())
        .map(|proposition| threshold(&labelled(cases, verdicts, proposition), aim))
        .collect()
}

/// Whether a proposition is taken for true: its probability is above the threshold. Missing stays missing.
pub fn truth(verdicts: &[Verdict], thresholds: &[f64]) -> Vec<Option<bool>> {
    verdicts.iter().zip(thresholds).map(|(verdict, threshold)| Some(verdict.yes()? > *threshold)).collect()
}

/// Scores of one proposition. Rows without a label or a verdict do not count.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Score {
    /// The proposition.
    pub name: String,
    /// Rows with label and verdict.
    pub n: usize,
    /// Of these, how many are labelled true.
    pub positive: usize,
    /// Rows without a verdict.
    pub missing: usize,
    /// Share that is right; nothing where nothing counts.
    pub accuracy: Option<f64>,
    /// Mean of the shares of true and of false ones that are right; nothing without both.
    pub balanced_accuracy: Option<f64>,
    /// Harmonic mean of precision and recall; nothing where neither people nor grader say yes.
    pub f1: Option<f64>,
    /// Probability that a true one has a higher probability than a false one, ties counting half; nothing without both.
    pub auc: Option<f64>,
    /// Mean square of probability minus label.
    pub brier: Option<f64>,
    /// Expected calibration error: how far mean probability and share of true ones lie apart, on average over ten bins of probability.
    pub calibration_error: Option<f64>,
    /// Mean probability that the grader gave to anything but yes and no.
    pub outside: Option<f64>,
    /// Above it a probability is a yes.
    pub threshold: f64,
}

/// Scores of a grader.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Scores {
    /// Rows.
    pub rows: usize,
    /// Propositions of rows without a verdict.
    pub missing: usize,
    /// Share of labelled verdicts that are right, and the interval over resampled rows; nothing without labels.
    pub accuracy: Option<Stat>,
    /// What saying each proposition's most frequent label would score on the same verdicts.
    pub majority: Option<f64>,
    /// Mean of the propositions' balanced accuracies.
    pub balanced_accuracy: Option<f64>,
    /// Mean over the propositions.
    pub auc: Option<f64>,
    /// Mean over the propositions.
    pub brier: Option<f64>,
    /// Mean over the propositions.
    pub calibration_error: Option<f64>,
    /// Mean probability that the grader gave to anything but yes and no.
    pub outside: Option<f64>,
    /// Each proposition, in the policy's order.
    pub propositions: Vec<Score>,
}

/// Score verdicts by people's labels.
pub fn score(policy: &Policy, cases: &[Case], verdicts: &[Vec<Verdict>], thresholds: &[f64]) -> Scores {
    let propositions: Vec<Score> = (policy.propositions().enumerate())
        .map(|(i, name)| {
            let pairs = labelled(cases, verdicts, i);
            let missing = verdicts.iter().filter(|verdicts| verdicts[i].yes().is_none()).count();
            let outside = mean(verdicts.iter().filter_map(|verdicts| verdicts[i].outside()));
            Score { missing, outside, ..of_pairs(name, &pairs, thresholds[i]) }
        })
        .collect();
    // Right ones and all of each row.
    let of_row = |(case, verdicts): (&Case, &Vec<Verdict>)| {
        let truth = truth(verdicts, thresholds);
        let pairs = truth.iter().zip(&case.labels).filter_map(|(truth, label)| Some(((*truth)?, (*label)?)));
        pairs.fold((0.0, 0.0), |(right, all), (truth, label)| (right + f64::from(truth == label), all + 1.0))
    };
    let rows: Vec<(f64, f64)> = cases.iter().zip(verdicts).map(of_row).collect();
    let accuracy = stats::resampled(rows.len(), |counts| {
        let sum = |part: fn(&(f64, f64)) -> f64| {
            rows.iter().zip(counts).map(|(row, count)| part(row) * f64::from(*count)).sum::<f64>()
        };
        let all = sum(|row| row.1);
        (all > 0.0).then(|| sum(|row| row.0) / all)
    });
    let (n, common) = propositions
        .iter()
        .fold((0, 0), |(n, common), score| (n + score.n, common + score.positive.max(score.n - score.positive)));
    let average = |number: fn(&Score) -> Option<f64>| mean(propositions.iter().filter_map(number));
    Scores {
        rows: cases.len(),
        missing: propositions.iter().map(|score| score.missing).sum(),
        accuracy,
        majority: (n > 0).then(|| common as f64 / n as f64),
        balanced_accuracy: average(|score| score.balanced_accuracy),
        auc: average(|score| score.auc),
        brier: average(|score| score.brier),
        calibration_error: average(|score| score.calibration_error),
        outside: average(|score| score.outside),
        propositions,
    }
}

/// Probabilities and labels of a proposition, where both are there.
fn labelled(cases: &[Case], verdicts: &[Vec<Verdict>], proposition: usize) -> Vec<(f64, bool)> {
    let pair =
        |(case, verdicts): (&Case, &Vec<Verdict>)| Some((verdicts[proposition].yes()?, case.labels[proposition]?));
    cases.iter().zip(verdicts).filter_map(pair).collect()
}

fn mean(numbers: impl Iterator<Item = f64>) -> Option<f64> {
    let (sum, n) = numbers.fold((0.0, 0_u32), |(sum, n), x| (sum + x, n + 1));
    (n > 0).then(|| sum / f64::from(n))
}

fn threshold(pairs: &[(f64, bool)], aim: Aim) -> f64 {
    let positive = pairs.iter().filter(|pair| pair.1).count();
    let negative = pairs.len() - positive;
    match (positive, negative) {
        (0, 0) => return THRESHOLD,
        (0, _) => return 1.0,
        (_, 0) => return 0.0,
        _ => {}
    }
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| b.0.total_cmp(&a.0));
    // Quality times `positive * negative`, or times their number: whole numbers, so that equals are equal.
    let quality = |found: usize, wrong: usize| match aim {
        Aim::Balanced => found * negative + (negative - wrong) * positive,
        Aim::Accuracy => found + negative - wrong,
    };
    // Nothing above the threshold; then one group of equal probabilities more each time.
    let (mut best, mut found, mut wrong) = ((quality(0, 0), 1.0 - sorted[0].0, 0.5 * (1.0 + sorted[0].0)), 0, 0);
    let mut groups = sorted.chunk_by(|a, b| a.0 == b.0).peekable();
    while let Some(group) = groups.next() {
        let hits = group.iter().filter(|pair| pair.1).count();
        (found, wrong) = (found + hits, wrong + group.len() - hits);
        let (high, low) = (group[0].0, groups.peek().map_or(0.0, |next| next[0].0));
        let middle = (quality(found, wrong), high - low, 0.5 * (high + low));
        // Nothing lies between a probability of 0 and the end of the scale.
        if middle.1 > 0.0 && (middle.0, middle.1) > (best.0, best.1) {
            best = middle;
        }
    }
    best.2
}

fn of_pairs(name: &str, pairs: &[(f64, bool)], threshold: f64) -> Score {
    let count = |said: bool, label: bool| pairs.iter().filter(|(p, l)| (*p > threshold) == said && *l == label).count();
    let (hits, misses, wrong, right) = (count(true, true), count(false, true), count(true, false), count(false, false));
    let share = |part: usize, whole: usize| (whole > 0).then(|| part as f64 / whole as f64);
    let both = share(hits, hits + misses).zip(share(right, right + wrong));
    Score {
        name: name.to_owned(),
        n: pairs.len(),
        positive: hits + misses,
        missing: 0,
        accuracy: share(hits + right, pairs.len()),
        balanced_accuracy: both.map(|(a, b)| 0.5 * (a + b)),
        f1: share(2 * hits, 2 * hits + wrong + misses),
        auc: auc(pairs),
        brier: mean(pairs.iter().map(|(p, label)| (p - f64::from(*label)).powi(2))),
        calibration_error: calibration_error(pairs),
        outside: None,
        threshold,
    }
}

fn auc(pairs: &[(f64, bool)]) -> Option<f64> {
    let mut sorted = pairs.to_vec();
    sorted.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut wins, mut positive) = (0.0, 0.0, 0.0);
    for group in sorted.chunk_by(|a, b| a.0 == b.0) {
        let hits = group.iter().filter(|pair| pair.1).count() as f64;
        let others = group.len() as f64 - hits;
        wins += hits * (below + 0.5 * others);
        (below, positive) = (below + others, positive + hits);
    }
    (below > 0.0 && positive > 0.0).then(|| wins / (below * positive))
}

/// Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", `ICML` 2017, equation 3, with bins of equal width.
fn calibration_error(pairs: &[(f64, bool)]) -> Option<f64> {
    let mut bins = [(0.0, 0.0); 10];
    for (p, label) in pairs {
        let bin = &mut bins[((p * 10.0) as usize).min(9)];
        *bin = (bin.0 + p, bin.1 + f64::from(*label));
    }
    (!pairs.is_empty()).then(|| bins.iter().map(|(p, label)| (p - label).abs()).sum::<f64>() / pairs.len() as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pairs(numbers: &[(f64, u8)]) -> Vec<(f64, bool)> {
        numbers.iter().map(|(p, label)| (*p, *label == 1)).collect()
    }

    #[test]
    fn scores_are_those_computed_by_hand() {
        let score = of_pairs("x", &pairs(&[(0.9, 1), (0.8, 0), (0.6, 1), (0.3, 1), (0.2, 0), (0.1, 0)]), 0.5);
        assert_eq!((score.n, score.positive, score.accuracy), (6, 3, Some(4.0 / 6.0)));
        assert_eq!((score.balanced_accuracy, score.f1), (Some(2.0 / 3.0), Some(4.0 / 6.0)));
        // Of nine pairs of a true and a false one, seven are in order.
        assert_eq!(score.auc, Some(7.0 / 9.0));
        assert!((score.brier.unwrap() - (0.01 + 0.64 + 0.16 + 0.49 + 0.04 + 0.01) / 6.0).abs() < 1e-12);
        // Each in a bin of its own.
        assert!((score.calibration_error.unwrap() - (0.1 + 0.8 + 0.4 + 0.7 + 0.2 + 0.1) / 6.0).abs() < 1e-12);
        // Ties count half; without both kinds there is nothing to tell apart; nobody says yes, nothing to be precise about.
        assert_eq!(of_pairs("x", &pairs(&[(0.5, 1), (0.5, 0)]), 0.5).auc, Some(0.5));
        let none = of_pairs("x", &pairs(&[(0.1, 0), (1.0, 0)]), 1.0);
        assert_eq!((none.accuracy, none.balanced_accuracy, none.auc, none.f1), (Some(1.0), None, None, None));
        assert_eq!(of_pairs("x", &[], 0.5).accuracy, None);
    }

    /// Against trying every threshold.
    #[test]
    fn thresholds_are_the_best_there_are() {
        let mut stream = tony_random::Stream::new(3, "thresholds", 0);
        for aim in [Aim::Balanced, Aim::Accuracy] {
            for _ in 0..200 {
                let n = 2 + stream.below(12);
                let some: Vec<(f64, bool)> =
                    (0..n).map(|_| (stream.below(11) as f64 / 10.0, stream.below(3) == 0)).collect();
                let quality = |threshold: f64| {
                    let score = of_pairs("x", &some, threshold);
                    if aim == Aim::Balanced { score.balanced_accuracy } else { score.accuracy }
                };
                if quality(0.5).is_none() {
                    continue;
                }
                let best = (0..=20).map(|i| quality(f64::from(i) / 20.0).unwrap()).fold(0.0, f64::max);
                let chosen = threshold(&some, aim);
                assert!((quality(chosen).unwrap() - best).abs() < 1e-12 && (0.0..=1.0).contains(&chosen), "{some:?}");
            }
        }
        // The middle of the widest gap; what has one kind only.
        assert_eq!(threshold(&pairs(&[(0.9, 1), (0.2, 0), (0.1, 0)]), Aim::Balanced), 0.5 * (0.9 + 0.2));
        assert_eq!(
            (threshold(&pairs(&[(0.9, 0)]), Aim::Balanced), threshold(&pairs(&[(0.9, 1)]), Aim::Balanced)),
            (1.0, 0.0)
        );
        assert_eq!(threshold(&[], Aim::Balanced), 0.5);
    }
}
