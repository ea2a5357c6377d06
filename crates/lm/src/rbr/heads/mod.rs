//! Trained proposition heads: one logistic regression for each proposition, on numbers that a frozen encoder or language model makes of
//! an item. One reading of an item answers all propositions.
//!
//! How strongly weights are held down is chosen for each proposition by five-fold cross-validation in which the rows of one prompt stay
//! together, and the scores of the held-out rows make scores into probabilities. An item that heads were trained on is answered by its
//! held-out probability, so that thresholds that are tuned on training data are honest.
//!
//! A proposition without enough labels of both kinds gets its base rate for every item, `(true + 1) / (labels + 2)`: rules over classes of
//! completions stay decidable, and the probability is as sure as the labels make it. A proposition without any label is missing.

mod features;
mod logistic;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use tony_random::Stream;
use tony_run::Archive;

pub use features::Features;
use logistic::{Problem, dot, platt, sigmoid, softplus};

use super::case::Case;
use super::grader::{Grader, Item, Question, Verdict, by_item};
use super::policy::Policy;
use crate::identity::hex;
use crate::{Error, Result};

/// How heads are trained.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Training {
    /// Rows of both labels weigh as much: of rare propositions more are found, and calibration makes probabilities right again.
    pub balanced: bool,
    /// Of the folds.
    pub seed: u64,
}

/// Heads for the propositions of a policy.
#[derive(Clone, Debug)]
pub struct Heads {
    about: About,
    /// Means and scales that were taken out of the numbers.
    mean: Vec<f64>,
    scale: Vec<f64>,
    /// A row for each proposition: a weight for each number, and the bias. Zeros where none was trained.
    weights: Vec<f64>,
    /// What each item that they were trained on is told by, and its row of `held_out`.
    items: BTreeMap<[u8; 32], usize>,
    /// Probabilities of each row of the training data by heads that did not see it, a column for each proposition; not a number where missing.
    held_out: Vec<f64>,
    identity: String,
}

/// What the file says in words.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct About {
    /// Which weights made which numbers.
    features: String,
    /// What the encoder was called on the command line.
    encoder: String,
    balanced: bool,
    seed: u64,
    heads: Vec<Head>,
}

/// What is known of one proposition.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Head {
    /// The proposition.
    pub name: String,
    /// Rows that were labelled.
    pub n: usize,
    /// Rows that were labelled true.
    pub positive: usize,
    /// How it is answered.
    pub answer: Answer,
}

/// How a proposition is answered.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// By a head, whose score `s` means `sigmoid(slope s + shift)`.
    Trained {
        /// How strongly weights were held down.
        l2: f64,
        /// Of the calibration.
        slope: f64,
        /// Of the calibration.
        shift: f64,
    },
    /// By the base rate: too few labels of one kind.
    BaseRate(f64),
    /// Not at all: no labels.
    Missing,
}

/// Prompts that must have a label of each kind.
const ENOUGH: usize = 5;
const FOLDS: usize = 5;
/// How strongly weights may be held down, strongest first: each solution begins at the one before.
const L2: [f64; 7] = [1e-1, 3e-2, 1e-2, 3e-3, 1e-3, 3e-4, 1e-4];
const NOTE: &str = "heads";

impl Heads {
    /// Train heads on the labels of `cases`, whose numbers are `numbers`; `encoder` is what the source of the numbers is called.
    ///
    /// # Panics
    /// Panics if there are not as many rows of numbers as cases, each of the features' width.
    pub fn train(
        policy: &Policy,
        cases: &[Case],
        features: &Features,
        numbers: &[Vec<f32>],
        encoder: &str,
        training: Training,
    ) -> Result<Self> {
        let width = features.width();
        assert!(cases.len() == numbers.len() && numbers.iter().all(|row| row.len() == width), "numbers of each case");
        if cases.len() < 2 {
            let what = format!("heads cannot be trained on {} rows", cases.len());
            return Err(Error::Invalid { what, hint: "give labelled completions, some hundreds of them".to_owned() });
        }
        let (mean, scale) = spread(numbers, width);
        let rows: Vec<Vec<f64>> = numbers.iter().map(|row| standardise(row, &mean, &scale)).collect();
        let (prompts, folds) = folds(cases, training.seed);
        let columns: Vec<Column> = (0..policy.propositions().count())
            .into_par_iter()
            .map(|p| {
                let labels: Vec<Option<bool>> = cases.iter().map(|case| case.labels[p]).collect();
                Column::train(&rows, &labels, &prompts, &folds, training.balanced)
            })
            .collect();
        let heads = policy.propositions().zip(&columns).map(|(name, column)| Head {
            name: name.to_owned(),
            n: column.n,
            positive: column.positive,
            answer: column.answer,
        });
        let about = About {
            features: features.identity().to_owned(),
            encoder: encoder.to_owned(),
            balanced: training.balanced,
            seed: training.seed,
            heads: heads.collect(),
        };
        let mut items = BTreeMap::new();
        for (row, case) in cases.iter().enumerate() {
            items.entry(fingerprint(&case.item)).or_insert(row);
        }
        let mut trained = Self {
            about,
            mean,
            scale,
            weights: columns.iter().flat_map(|column| &column.weights).copied().collect(),
            items,
            held_out: (0..cases.len()).flat_map(|row| columns.iter().map(move |column| column.held_out[row])).collect(),
            identity: String::new(),
        };
        trained.identity = identity(&trained.archive()?.to_bytes()?);
        Ok(trained)
    }

    /// What is known of each proposition, in the policy's order.
    pub fn heads(&self) -> &[Head] {
        &self.about.heads
    }

    /// What the source of the numbers was called on the command line.
    pub fn encoder(&self) -> &str {
        &self.about.encoder
    }

    /// SHA-256 of the file that they are: equal heads have equal ones.
    pub fn identity(&self) -> &str {
        &self.identity
    }

    /// What heads that did not see it say of an item that these were trained on.
    pub fn held_out(&self, item: &Item) -> Option<Vec<Verdict>> {
        let (row, count) = (self.items.get(&fingerprint(item))?, self.about.heads.len());
        Some(self.held_out[row * count..][..count].iter().map(|p| verdict(Some(*p).filter(|p| !p.is_nan()))).collect())
    }

    /// What an item's numbers mean, proposition by proposition.
    ///
    /// # Panics
    /// Panics if there are not as many numbers as these heads were trained on.
    pub fn verdicts(&self, numbers: &[f32]) -> Vec<Verdict> {
        assert_eq!(numbers.len(), self.mean.len(), "numbers of an item");
        let row = standardise(numbers, &self.mean, &self.scale);
        let weights = self.weights.chunks_exact(row.len() + 1);
        let answer = |(head, weights): (&Head, &[f64])| match head.answer {
            Answer::Trained { slope, shift, .. } => Some(sigmoid(slope * score(&row, weights) + shift)),
            Answer::BaseRate(rate) => Some(rate),
            Answer::Missing => None,
        };
        self.about.heads.iter().zip(weights).map(answer).map(verdict).collect()
    }

    fn archive(&self) -> Result<Archive> {
        let (heads, width) = (self.about.heads.len(), self.mean.len());
        let mut archive = Archive::new();
        let about = serde_json::to_string(&self.about).map_err(std::io::Error::from)?;
        archive.set_note(NOTE, &about);
        archive.put_f64("mean", &[width], &self.mean)?;
        archive.put_f64("scale", &[width], &self.scale)?;
        archive.put_f64("weights", &[heads, width + 1], &self.weights)?;
        archive.put_f64("held_out", &[self.held_out.len() / heads.max(1), heads], &self.held_out)?;
        let rows: Vec<u64> = self.items.values().map(|row| *row as u64).collect();
        archive.put_u64("item_rows", &[rows.len()], &rows)?;
        archive.put_bytes("items", &self.items.keys().flatten().copied().collect::<Vec<_>>())?;
        Ok(archive)
    }

    /// Write them to a file: tensors, and JSON in its header.
    pub fn save(&self, path: &Path) -> Result<()> {
        Ok(self.archive()?.write(path)?)
    }

    /// Read them from a file, all of whose sizes are checked.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = fs_err::read(path)?;
        let bad = |what: String| Error::Heads { path: path.to_owned(), what };
        let archive = Archive::from_bytes(&bytes, path).map_err(|error| bad(first_line(&error)))?;
        let about = archive.need_note(NOTE).map_err(|_| bad("it holds no heads".to_owned()))?;
        let about: About = serde_json::from_str(about).map_err(|error| bad(format!("its description: {error}")))?;
        let heads = about.heads.len();
        let size = |name: &str| archive.shape(name).and_then(|shape| shape.first().copied()).unwrap_or(0);
        let (width, rows, items) = (size("mean"), size("held_out"), size("item_rows"));
        let tensor = |name: &str, shape: &[usize]| archive.f64(name, shape).map_err(|error| bad(first_line(&error)));
        let (mean, scale) = (tensor("mean", &[width])?, tensor("scale", &[width])?);
        let weights = tensor("weights", &[heads, width + 1])?;
        let held_out = tensor("held_out", &[rows, heads])?;
        let item_rows = archive.u64("item_rows", &[items]).map_err(|error| bad(first_line(&error)))?;
        let keys = archive.bytes("items").map_err(|error| bad(first_line(&error)))?;
        let known = keys.as_chunks().0.iter().copied().zip(item_rows.iter().map(|row| *row as usize));
        let numbers = mean.iter().chain(&scale).chain(&weights);
        let answers = about.heads.iter().flat_map(|head| match head.answer {
            Answer::Trained { slope, shift, .. } => [slope, shift],
            Answer::BaseRate(rate) => [rate, 0.0],
            Answer::Missing => [0.0; 2],
        });
        let probabilities = held_out.iter().all(|p| p.is_nan() || (0.0..=1.0).contains(p));
        if !numbers.copied().chain(answers).all(f64::is_finite) || !probabilities {
            return Err(bad("some of its numbers are none".to_owned()));
        }
        if keys.len() != 32 * items || item_rows.iter().any(|row| *row >= rows as u64) {
            return Err(bad("the items that it was trained on do not fit together".to_owned()));
        }
        let identity = identity(&bytes);
        Ok(Self { about, mean, scale, weights, items: known.collect(), held_out, identity })
    }
}

/// Heads, with the source of their numbers.
#[derive(Debug)]
pub struct HeadsGrader {
    heads: Heads,
    features: Features,
    path: PathBuf,
}

impl HeadsGrader {
    /// Heads that were read from `path`; `features` must be what they were trained on.
    pub fn new(path: &Path, heads: Heads, features: Features) -> Result<Self> {
        let bad = |what: String| Error::Heads { path: path.to_owned(), what };
        if features.identity() != heads.about.features {
            let (theirs, given) = (&heads.about.features, features.identity());
            return Err(bad(format!("they were trained on the numbers of {theirs}, and {given} is given")));
        }
        if features.width() != heads.mean.len() {
            let (theirs, given) = (heads.mean.len(), features.width());
            return Err(bad(format!("they weigh {theirs} numbers of an item, and it has {given}")));
        }
        Ok(Self { heads, features, path: path.to_owned() })
    }
}

impl Grader for HeadsGrader {
    fn identity(&self) -> String {
        format!("heads:{}", self.heads.identity)
    }

    /// Fails where the policy has other propositions than the heads.
    fn grade(
        &mut self,
        policy: &Policy,
        questions: &[Question],
        each: &mut dyn FnMut(usize, Verdict) -> Result<()>,
    ) -> Result<()> {
        let theirs: Vec<&str> = self.heads.about.heads.iter().map(|head| head.name.as_str()).collect();
        let asked: Vec<&str> = policy.propositions().collect();
        if theirs != asked {
            let odd = asked.iter().find(|name| !theirs.contains(name));
            let odd = odd.or_else(|| theirs.iter().find(|name| !asked.contains(name)));
            let what = format!("they are of another policy: only one of the two has `{}`", odd.unwrap_or(&""));
            return Err(Error::Heads { path: self.path.clone(), what });
        }
        for (first, group) in by_item(questions) {
            let verdicts = match self.heads.held_out(group[0].item) {
                Some(verdicts) => Ok(verdicts),
                None => self.features.of(group[0].item).map(|numbers| self.heads.verdicts(&numbers)),
            };
            for (place, question) in (first..).zip(group) {
                let missing = |error: &Error| Verdict::Missing { why: first_line(error) };
                let verdict = verdicts.as_ref().map_or_else(missing, |all| all[question.proposition].clone());
                each(place, verdict)?;
            }
        }
        Ok(())
    }
}

/// One proposition's training.
struct Column {
    n: usize,
    positive: usize,
    answer: Answer,
    weights: Vec<f64>,
    held_out: Vec<f64>,
}

impl Column {
    fn train(rows: &[Vec<f64>], labels: &[Option<bool>], prompts: &[usize], folds: &[usize], balanced: bool) -> Self {
        let width = rows[0].len();
        let labelled: Vec<(usize, bool)> =
            labels.iter().enumerate().filter_map(|(row, label)| Some((row, (*label)?))).collect();
        let (n, positive) = (labelled.len(), labelled.iter().filter(|(_, label)| *label).count());
        let prompts_with = |wanted: bool| {
            labelled
                .iter()
                .filter(|(_, label)| *label == wanted)
                .map(|(row, _)| prompts[*row])
                .collect::<BTreeSet<_>>()
                .len()
        };
        if prompts_with(true).min(prompts_with(false)) < ENOUGH {
            let rate = (positive as f64 + 1.0) / (n as f64 + 2.0);
            let (answer, held_out) = if n == 0 { (Answer::Missing, f64::NAN) } else { (Answer::BaseRate(rate), rate) };
            return Self { n, positive, answer, weights: vec![0.0; width + 1], held_out: vec![held_out; rows.len()] };
        }
        let problem = |left_out: Option<usize>| {
            let seen: Vec<_> = labelled.iter().filter(|(row, _)| Some(folds[*row]) != left_out).collect();
            let of = |wanted: bool| seen.iter().filter(|(_, label)| *label == wanted).count().max(1) as f64;
            let (all, each) = (seen.len() as f64, [of(false), of(true)]);
            let weight = |label: bool| if balanced { 0.5 / each[usize::from(label)] } else { 1.0 / all };
            Problem {
                rows: seen.iter().map(|(row, _)| rows[*row].as_slice()).collect(),
                labels: seen.iter().map(|(_, label)| *label).collect(),
                weights: seen.iter().map(|(_, label)| weight(*label)).collect(),
                l2: 0.0,
            }
        };
        let mut scores = vec![vec![0.0; rows.len()]; L2.len()];
        for fold in 0..FOLDS {
            let (mut problem, mut params) = (problem(Some(fold)), vec![0.0; width + 1]);
            for (l2, scores) in L2.iter().zip(&mut scores) {
                problem.l2 = *l2;
                params = problem.solve(params);
                for (row, score_of) in scores.iter_mut().enumerate().filter(|(row, _)| folds[*row] == fold) {
                    *score_of = score(&rows[row], &params);
                }
            }
        }
        let truth: Vec<bool> = labelled.iter().map(|(_, label)| *label).collect();
        let calibrated = scores.iter().map(|scores| {
            let scores: Vec<f64> = labelled.iter().map(|(row, _)| scores[*row]).collect();
            let [slope, shift] = platt(&scores, &truth);
            let loss = |(score, label): (&f64, &bool)| {
                let z = slope * score + shift;
                softplus(if *label { -z } else { z })
            };
            (scores.iter().zip(&truth).map(loss).sum::<f64>(), [slope, shift])
        });
        let calibrated: Vec<(f64, [f64; 2])> = calibrated.collect();
        let best = (0..L2.len()).min_by(|a, b| calibrated[*a].0.total_cmp(&calibrated[*b].0)).unwrap_or(0);
        let [slope, shift] = calibrated[best].1;
        let whole = Problem { l2: L2[best], ..problem(None) };
        Self {
            n,
            positive,
            answer: Answer::Trained { l2: L2[best], slope, shift },
            weights: whole.solve(vec![0.0; width + 1]),
            held_out: scores[best].iter().map(|score| sigmoid(slope * score + shift)).collect(),
        }
    }
}

fn score(row: &[f64], weights: &[f64]) -> f64 {
    dot(row, &weights[..row.len()]) + weights[row.len()]
}

fn verdict(yes: Option<f64>) -> Verdict {
    match yes {
        Some(yes) => Verdict::Probability { yes, outside: 0.0 },
        None => Verdict::Missing { why: "the training data had no label of this proposition".to_owned() },
    }
}

/// Mean of each number, and what its distance from it is multiplied by: so that each column has the same spread, and a row the length 1.
fn spread(numbers: &[Vec<f32>], width: usize) -> (Vec<f64>, Vec<f64>) {
    let n = numbers.len() as f64;
    let mut mean = vec![0.0; width];
    for row in numbers {
        mean.iter_mut().zip(row).for_each(|(mean, x)| *mean += f64::from(*x) / n);
    }
    let mut squares = vec![0.0; width];
    for row in numbers {
        let all = squares.iter_mut().zip(row).zip(&mean);
        all.for_each(|((square, x), mean)| *square += (f64::from(*x) - mean).powi(2) / n);
    }
    let scale = |square: &f64| if *square > 0.0 { 1.0 / (square * width as f64).sqrt() } else { 0.0 };
    (mean, squares.iter().map(scale).collect())
}

fn standardise(row: &[f32], mean: &[f64], scale: &[f64]) -> Vec<f64> {
    row.iter().zip(mean).zip(scale).map(|((x, mean), scale)| (f64::from(*x) - mean) * scale).collect()
}

/// Of each row the number of its prompt, and its fold.
fn folds(cases: &[Case], seed: u64) -> (Vec<usize>, Vec<usize>) {
    let mut known = BTreeMap::new();
    let mut prompts = Vec::new();
    for case in cases {
        let prompt: Vec<(&str, &str)> =
            case.item.prompt.iter().map(|m| (m.role.as_str(), m.content.as_str())).collect();
        let next = known.len();
        prompts.push(*known.entry(prompt).or_insert(next));
    }
    let mut order: Vec<usize> = (0..known.len()).collect();
    Stream::new(seed, "folds", 0).shuffle(&mut order);
    let mut fold = vec![0; order.len()];
    order.iter().enumerate().for_each(|(place, prompt)| fold[*prompt] = place % FOLDS);
    let folds = prompts.iter().map(|prompt| fold[*prompt]).collect();
    (prompts, folds)
}

/// What an item is told by.
fn fingerprint(item: &Item) -> [u8; 32] {
    let mut hash = Sha256::new();
    let said = item.prompt.iter().flat_map(|message| [&message.role, &message.content]);
    for text in said.chain([&item.completion]) {
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
    }
    hash.finalize().into()
}

fn identity(bytes: &[u8]) -> String {
    hex(Sha256::new_with_prefix(bytes))
}

fn first_line(error: &dyn std::error::Error) -> String {
    error.to_string().lines().next().unwrap_or_default().to_owned()
}
