//! How well rewards rank completions: what is looked at before anything is trained with them (the paper's "outer loop", section 4.2).

use serde::Serialize;
use tony_run::{Stat, stats};

use super::comparisons::{Comparisons, Graded};
use super::fit::{Weights, contested, validates};
use super::policy::Policy;
use crate::Result;

/// Whose reward.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Signal {
    /// The reward model alone.
    Rm,
    /// The rules alone.
    Rbr,
    /// Their sum.
    Total,
}

impl Signal {
    /// For people.
    pub fn words(self) -> &'static str {
        match self {
            Self::Rm => "reward model",
            Self::Rbr => "rules",
            Self::Total => "both",
        }
    }
}

/// How often a reward ranks completions wrongly, as shares of pairs of one prompt; equal rewards count half. Intervals resample prompts.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct SignalErrors {
    /// Whose.
    pub signal: Signal,
    /// How often a completion that is not ideal has a higher reward than an ideal one; none where no prompt has both.
    pub ideal: Option<Stat>,
    /// The same for completions of each label, best first.
    pub by_label: Vec<LabelErrors>,
    /// How often any worse completion has a higher reward than a better one.
    pub all: Stat,
    /// Of each label, best first, the rewards minus the mean of the prompt's ideal completions.
    #[serde(skip)]
    pub centred: Vec<(String, Vec<f64>)>,
}

/// How often completions of one label outrank the ideal ones.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct LabelErrors {
    /// The label.
    pub label: String,
    /// Pairs.
    pub pairs: usize,
    /// Share of errors.
    pub error: Stat,
}

/// Two completions of a prompt that the rewards rank wrongly.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Misranked {
    /// The better one.
    pub better: String,
    /// What it is.
    pub better_label: String,
    /// The worse one.
    pub worse: String,
    /// What it is.
    pub worse_label: String,
    /// By how much the worse one is ahead.
    pub ahead: f64,
}

/// Rewards of one response type.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct TypeRanking {
    /// The response type.
    pub response: String,
    /// Prompts with a better and a worse completion.
    pub prompts: usize,
    /// Those that have an ideal one.
    pub with_ideal: usize,
    /// Completions.
    pub completions: usize,
    /// Reward model (where there are scores), rules, sum.
    pub signals: Vec<SignalErrors>,
    /// Pairs that all rewards together rank wrongly by most, largest first.
    pub worst: Vec<Misranked>,
}

/// How well rewards rank the completions of a file.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Ranking {
    /// Whether these are the comparisons that weights were fitted on: then only the prompts that validated are looked at.
    pub validation: bool,
    /// By response type.
    pub response_types: Vec<TypeRanking>,
    /// Response types of the data without weights, or without prompts to compare.
    pub left_out: Vec<String>,
}

/// Misranked pairs to name.
const WORST: usize = 10;

/// A completion and its rewards.
struct Scored<'a> {
    row: &'a Graded,
    rbr: f64,
}

impl Scored<'_> {
    fn reward(&self, signal: Signal) -> f64 {
        match signal {
            Signal::Rm => self.row.rm,
            Signal::Rbr => self.rbr,
            Signal::Total => self.row.rm + self.rbr,
        }
    }
}

/// Rank the completions of a file by each reward.
pub fn rank(policy: &Policy, weights: &Weights, data: &Comparisons) -> Result<Ranking> {
    let validation = weights.data == data.hash;
    let (mut response_types, mut left_out) = (Vec::new(), Vec::new());
    for (response, rows) in data.by_response() {
        let mut prompts = contested(rows);
        if validation {
            let held = validates(&weights.settings, response, prompts.len());
            prompts = prompts.into_iter().zip(held).filter_map(|(prompt, held)| held.then_some(prompt)).collect();
        }
        if prompts.is_empty() || !weights.response_types.contains_key(response) {
            left_out.push(response.to_owned());
            continue;
        }
        let mut scored: Vec<Vec<Scored>> = Vec::with_capacity(prompts.len());
        for prompt in prompts {
            let rewards = weights.rewards(policy, &data.path, prompt)?;
            scored.push(prompt.iter().zip(rewards).map(|(row, rbr)| Scored { row, rbr }).collect());
        }
        let signals: &[Signal] = if data.has_rm { &[Signal::Rm, Signal::Rbr, Signal::Total] } else { &[Signal::Rbr] };
        response_types.push(TypeRanking {
            response: response.to_owned(),
            prompts: scored.len(),
            with_ideal: scored.iter().filter(|prompt| prompt[0].row.rank == 0.0).count(),
            completions: scored.iter().map(Vec::len).sum(),
            signals: signals.iter().filter_map(|signal| errors(&scored, *signal)).collect(),
            worst: worst(&scored, data.has_rm),
        });
    }
    Ok(Ranking { validation, response_types, left_out })
}

/// How wrong it is that the worse of two has this reward beside the better one's.
fn wrong(better: f64, worse: f64) -> f64 {
    if worse > better {
        1.0
    } else if worse == better {
        0.5
    } else {
        0.0
    }
}

fn errors(prompts: &[Vec<Scored>], signal: Signal) -> Option<SignalErrors> {
    let mut labels: Vec<(f64, &str)> =
        prompts.iter().flatten().map(|scored| (scored.row.rank, scored.row.label.as_str())).collect();
    labels.sort_by(|a, b| a.0.total_cmp(&b.0).then(a.1.cmp(b.1)));
    labels.dedup_by(|a, b| a.1 == b.1);
    // Errors and pairs of each prompt that has any: those of a completion that `of` takes with each better one that `over` takes.
    let count = |over: &dyn Fn(&Graded) -> bool, of: &dyn Fn(&Graded) -> bool| -> Vec<(f64, f64)> {
        let of_prompt = |prompt: &Vec<Scored>| {
            let mut sums = (0.0, 0.0);
            for better in prompt.iter().filter(|better| over(better.row)) {
                for worse in prompt.iter().filter(|worse| worse.row.rank > better.row.rank && of(worse.row)) {
                    sums.0 += wrong(better.reward(signal), worse.reward(signal));
                    sums.1 += 1.0;
                }
            }
            sums
        };
        prompts.iter().map(of_prompt).filter(|(_, pairs)| *pairs > 0.0).collect()
    };
    let (any, ideal) = (|_: &Graded| true, |row: &Graded| row.rank == 0.0);
    let by_label = labels.iter().filter_map(|(_, label)| {
        let clusters = count(&ideal, &|row| row.label == *label);
        let pairs = clusters.iter().map(|(_, pairs)| *pairs as usize).sum();
        share(&clusters).map(|error| LabelErrors { label: (*label).to_owned(), pairs, error })
    });
    let mut centred: Vec<(String, Vec<f64>)> =
        labels.iter().map(|(_, label)| ((*label).to_owned(), Vec::new())).collect();
    for prompt in prompts {
        let best: Vec<f64> = prompt.iter().filter(|s| ideal(s.row)).map(|s| s.reward(signal)).collect();
        if best.is_empty() {
            continue;
        }
        let mean = best.iter().sum::<f64>() / best.len() as f64;
        for scored in prompt {
            let of_label = centred.iter_mut().filter(|(label, _)| *label == scored.row.label);
            of_label.for_each(|(_, values)| values.push(scored.reward(signal) - mean));
        }
    }
    Some(SignalErrors {
        signal,
        ideal: share(&count(&ideal, &any)),
        by_label: by_label.collect(),
        all: share(&count(&any, &any))?,
        centred,
    })
}

/// Sum of errors by sum of pairs of prompts that have any; prompts are resampled whole, since what lies in one is not independent.
fn share(prompts: &[(f64, f64)]) -> Option<Stat> {
    stats::resampled(prompts.len(), |counts| {
        let drawn =
            prompts.iter().zip(counts).map(|((errors, pairs), n)| (errors * f64::from(*n), pairs * f64::from(*n)));
        let (errors, pairs) = drawn.fold((0.0, 0.0), |sum, part| (sum.0 + part.0, sum.1 + part.1));
        (pairs > 0.0).then(|| errors / pairs)
    })
}

fn worst(prompts: &[Vec<Scored>], has_rm: bool) -> Vec<Misranked> {
    let signal = if has_rm { Signal::Total } else { Signal::Rbr };
    let mut found = Vec::new();
    for prompt in prompts {
        // One a prompt: its best-ranked completion beside the one that is furthest ahead of it.
        let pairs = prompt.iter().flat_map(|better| {
            let worse = prompt.iter().filter(|worse| worse.row.rank > better.row.rank);
            worse.map(move |worse| (worse.reward(signal) - better.reward(signal), better, worse))
        });
        found.extend(pairs.filter(|(ahead, ..)| *ahead > 0.0).max_by(|a, b| a.0.total_cmp(&b.0)));
    }
    found.sort_by(|a, b| b.0.total_cmp(&a.0).then(a.2.row.line.cmp(&b.2.row.line)));
    let named = |(ahead, better, worse): (f64, &Scored, &Scored)| Misranked {
        better: better.row.id.clone(),
        better_label: better.row.label.clone(),
        worse: worse.row.id.clone(),
        worse_label: worse.row.label.clone(),
        ahead,
    };
    found.into_iter().take(WORST).map(named).collect()
}
