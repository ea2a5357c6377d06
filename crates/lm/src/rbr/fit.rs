//! Weights of rule-based rewards, from comparisons of completions.
//!
//! Mu et al. 2024, section 4.2 and the released fitter: `R_tot(p, c) = R_rm(p, c) + sum_i w_i phi_i(p, c)`, and for each response type
//! the `w` that makes `L(w) = mean over pairs of max(0, m + R_tot(worse) - R_tot(better))` small, by `AdamW` on all pairs at once.
//!
//! | paper | here |
//! |---|---|
//! | `phi` | [`Feature`]: probabilities of propositions and of classes |
//! | `m` | `margin`, times `margins` of the better completion's type |
//! | `L(w)` | [`hinge`] |
//!
//! The released fitter differs in ways that are not repeated: it cuts fractional margins to whole numbers, splits pairs and not prompts
//! into training and validation, shuffles without a seed, and orders features by a hash. A probability that is missing counts as the mean
//! of the training completions, and 1/2 where no completion has it: then it is the same for all, and its weight stays 0.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};
use tony_random::Stream;
use tony_run::nearest;

use super::comparisons::{Comparisons, Graded};
use super::policy::Policy;
use crate::{Error, Result};

/// How weights are fitted.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitting {
    /// How far the better of two completions should be ahead (m).
    pub margin: f64,
    /// What `margin` is multiplied with where the better completion is of this type; 1 where none is given.
    pub margins: BTreeMap<String, f64>,
    /// Learning rate of `AdamW`.
    pub lr: f64,
    /// Weight decay of `AdamW`.
    pub weight_decay: f64,
    /// Steps, each on all pairs.
    pub steps: usize,
    /// Share of the prompts that validate.
    pub validation: f64,
    /// Which prompts those are.
    pub seed: u64,
    /// Whether all propositions are features, or those that the response type's rules look at.
    pub all: bool,
    /// Features whose weight stays 0.
    pub frozen: Vec<String>,
    /// Whether scores of the reward model count; else rules alone decide.
    pub rm: bool,
}

impl Default for Fitting {
    /// As the paper's authors released it.
    fn default() -> Self {
        Self {
            margin: 1.0,
            margins: BTreeMap::new(),
            lr: 0.01,
            weight_decay: 0.05,
            steps: 1000,
            validation: 0.05,
            seed: 0,
            all: false,
            frozen: Vec::new(),
            rm: true,
        }
    }
}

/// One number about a completion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Feature {
    /// Probability of a proposition, by number.
    Proposition(usize),
    /// Probability of a class, by place.
    Class(usize),
}

/// The features of a response type by name, in the order of their names: propositions by their own, classes as `class:ideal`.
pub fn features(policy: &Policy, response: &str, all: bool) -> BTreeMap<String, Feature> {
    let names: Vec<&str> = policy.propositions().collect();
    let used = if all { (0..names.len()).collect() } else { policy.used(response) };
    let propositions = used.into_iter().map(|i| (names[i].to_owned(), Feature::Proposition(i)));
    let classes = policy.classes().iter().enumerate().map(|(c, name)| (format!("class:{name}"), Feature::Class(c)));
    propositions.chain(classes).collect()
}

/// Values of `features` from probabilities of all propositions.
fn values(policy: &Policy, response: &str, features: &[Feature], probabilities: &[f64]) -> Vec<f64> {
    let classes = policy.class_probabilities(response, probabilities);
    let value = |feature: &Feature| match feature {
        Feature::Proposition(i) => probabilities[*i],
        Feature::Class(c) => classes[*c],
    };
    features.iter().map(value).collect()
}

/// Two completions of a prompt by their rows, and how far the first should be ahead.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pair {
    /// Row of the better one.
    pub better: usize,
    /// Row of the worse one.
    pub worse: usize,
    /// How far it should be ahead.
    pub margin: f64,
}

/// The mean hinge loss at some weights.
#[derive(Clone, Debug, PartialEq)]
pub struct Hinge {
    /// The mean.
    pub loss: f64,
    /// Share of the pairs whose loss is 0.
    pub clipped: f64,
    /// Its gradient: the mean of `phi(worse) - phi(better)` over pairs, 0 for those whose loss is 0.
    pub gradient: Vec<f64>,
}

/// `L(w)` of rows with base rewards `rm` and features `phi` `[rows, weights]`. At least one pair.
pub fn hinge(weights: &[f64], rm: &[f64], phi: &[f64], pairs: &[Pair]) -> Hinge {
    let row = |i: usize| &phi[i * weights.len()..(i + 1) * weights.len()];
    let total: Vec<f64> =
        rm.iter().enumerate().map(|(i, rm)| rm + row(i).iter().zip(weights).map(|(x, w)| x * w).sum::<f64>()).collect();
    let (mut sum, mut clipped, mut counts) = (0.0, 0_usize, vec![0_i64; rm.len()]);
    for pair in pairs {
        let loss = pair.margin + total[pair.worse] - total[pair.better];
        if loss > 0.0 {
            sum += loss;
            counts[pair.worse] += 1;
            counts[pair.better] -= 1;
        } else {
            clipped += 1;
        }
    }
    let n = pairs.len() as f64;
    let mut gradient = vec![0.0; weights.len()];
    for (i, count) in counts.iter().enumerate().filter(|(_, count)| **count != 0) {
        for (g, x) in gradient.iter_mut().zip(row(i)) {
            *g += *count as f64 * x;
        }
    }
    gradient.iter_mut().for_each(|g| *g /= n);
    Hinge { loss: sum / n, clipped: clipped as f64 / n, gradient }
}

/// `AdamW` as `PyTorch` computes it, with its default moments.
#[derive(Clone, Debug)]
pub struct AdamW {
    lr: f64,
    weight_decay: f64,
    first: Vec<f64>,
    second: Vec<f64>,
    left: [f64; 2],
}

impl AdamW {
    const BETAS: [f64; 2] = [0.9, 0.999];
    const EPSILON: f64 = 1e-8;

    /// For `n` weights.
    pub fn new(n: usize, lr: f64, weight_decay: f64) -> Self {
        Self { lr, weight_decay, first: vec![0.0; n], second: vec![0.0; n], left: [1.0; 2] }
    }

    /// One step.
    pub fn step(&mut self, weights: &mut [f64], gradient: &[f64]) {
        let [b1, b2] = Self::BETAS;
        self.left = [self.left[0] * b1, self.left[1] * b2];
        let [c1, c2] = [1.0 - self.left[0], 1.0 - self.left[1]];
        let moments = self.first.iter_mut().zip(&mut self.second);
        for ((w, g), (m, v)) in weights.iter_mut().zip(gradient).zip(moments) {
            *w -= self.lr * self.weight_decay * *w;
            *m = b1 * *m + (1.0 - b1) * g;
            *v = b2 * *v + (1.0 - b2) * g * g;
            *w -= self.lr / c1 * *m / ((*v / c2).sqrt() + Self::EPSILON);
        }
    }
}

/// The weights of one response type, and how well they do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Fitted {
    /// Weight of each feature.
    pub weights: BTreeMap<String, f64>,
    /// What stands for a missing probability of each proposition.
    pub means: BTreeMap<String, f64>,
    /// Mean hinge loss of the training pairs.
    pub loss: f64,
    /// Share of the training pairs whose loss is 0.
    pub clipped: f64,
    /// The same of the prompts that validate; none where there are none.
    pub validation_loss: Option<f64>,
    /// The same.
    pub validation_clipped: Option<f64>,
    /// Training pairs.
    pub pairs: usize,
    /// Pairs that validate.
    pub validation_pairs: usize,
    /// Prompts with pairs, those that validate included.
    pub prompts: usize,
    /// Those that validate.
    pub validation_prompts: usize,
    /// Completions of these prompts.
    pub completions: usize,
    /// Missing probabilities of these, of the propositions above.
    pub missing: usize,
    /// Propositions that no training completion has a probability of: nothing can be learned from them.
    pub unknown: Vec<String>,
}

/// What this program writes; a file of another number is of another program.
const FORMAT: u32 = 1;

/// Fitted weights, and what they belong to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Weights {
    format: u32,
    /// Hash of the policy ([`Policy::hash`]).
    pub policy: String,
    /// Who graded the completions, where the data says so.
    pub grader: Option<String>,
    /// Hash of the comparisons ([`Comparisons::hash`]).
    pub data: String,
    /// How they were fitted.
    pub settings: Fitting,
    /// By response type.
    pub response_types: BTreeMap<String, Fitted>,
}

/// The reward that rules give a completion, rule by rule.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RuleReward {
    /// The sum.
    pub total: f64,
    /// What each feature gives, by name.
    pub ledger: Vec<Share>,
}

/// What one feature gives.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Share {
    /// The feature.
    pub feature: String,
    /// Its value.
    pub value: f64,
    /// Its weight.
    pub weight: f64,
    /// The product of both.
    pub reward: f64,
    /// Whether the value is not the grader's: a probability, or one that a class depends on, is missing.
    pub assumed: bool,
}

/// Pairs beyond which a file is not what it should be: two hundred times the released data's.
const MOST_PAIRS: usize = 10_000_000;

/// Fit weights for each response type that has prompts with a better and a worse completion.
pub fn fit(policy: &Policy, data: &Comparisons, settings: &Fitting) -> Result<Weights> {
    settings.check(policy, data)?;
    let mut response_types = BTreeMap::new();
    for (response, rows) in data.by_response() {
        if let Some(fitted) = fit_response(policy, data, response, rows, settings)? {
            response_types.insert(response.to_owned(), fitted);
        }
    }
    if response_types.is_empty() {
        let what = format!("no prompt in {} has a better and a worse completion", data.path.display());
        return Err(Error::Invalid { what, hint: "tony rbr synth --help".to_owned() });
    }
    let (policy, grader, data) = (policy.hash().to_owned(), data.grader.clone(), data.hash.clone());
    Ok(Weights { format: FORMAT, policy, grader, data, settings: settings.clone(), response_types })
}

/// Which prompts of a response type with `n` of them validate.
pub(super) fn validates(settings: &Fitting, response: &str, n: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..n).collect();
    Stream::new(settings.seed, &format!("validation {response}"), 0).shuffle(&mut order);
    let share = (settings.validation * n as f64).round() as usize;
    // Two prompts are enough to hold one back, one is not.
    let count = if settings.validation > 0.0 && n > 1 { share.clamp(1, n - 1) } else { 0 };
    let mut validates = vec![false; n];
    order.iter().take(count).for_each(|prompt| validates[*prompt] = true);
    validates
}

/// Prompts whose completions are not all of one rank, as ranges of `rows`.
pub(super) fn contested(rows: &[Graded]) -> Vec<&[Graded]> {
    let prompts = rows.chunk_by(|a, b| a.prompt == b.prompt);
    prompts.filter(|prompt| prompt.first().map(|row| row.rank) != prompt.last().map(|row| row.rank)).collect()
}

fn fit_response(
    policy: &Policy,
    data: &Comparisons,
    response: &str,
    rows: &[Graded],
    settings: &Fitting,
) -> Result<Option<Fitted>> {
    let prompts = contested(rows);
    if prompts.is_empty() {
        return Ok(None);
    }
    let features = features(policy, response, settings.all);
    let chosen: Vec<Feature> = features.values().copied().collect();
    let needed = needed(policy, response, &chosen);
    let validates = validates(settings, response, prompts.len());
    let mut probabilities = Vec::new();
    for row in prompts.iter().copied().flatten() {
        probabilities.push(row.probabilities(policy, &needed, &data.path)?);
    }
    let training: Vec<bool> =
        prompts.iter().zip(&validates).flat_map(|(prompt, held)| vec![!held; prompt.len()]).collect();
    let (mut means, mut unknown) = (vec![0.5; policy.propositions().count()], Vec::new());
    let names: Vec<&str> = policy.propositions().collect();
    for i in &needed {
        let known = probabilities.iter().zip(&training).filter(|(_, training)| **training);
        let known: Vec<f64> = known.filter_map(|(p, _)| p[*i]).collect();
        if known.is_empty() {
            unknown.push(names[*i].to_owned());
        } else {
            means[*i] = known.iter().sum::<f64>() / known.len() as f64;
        }
    }
    let phi: Vec<f64> =
        probabilities.iter().flat_map(|p| values(policy, response, &chosen, &filled(p, &means))).collect();
    let rm: Vec<f64> = prompts.iter().copied().flatten().map(|row| if settings.rm { row.rm } else { 0.0 }).collect();
    let (mut pairs, mut held) = (Vec::new(), Vec::new());
    let mut first = 0;
    for (prompt, validates) in prompts.iter().zip(&validates) {
        let into = if *validates { &mut held } else { &mut pairs };
        for (i, better) in prompt.iter().enumerate() {
            let margin = settings.margin * settings.margins.get(&better.label).copied().unwrap_or(1.0);
            let worse = (i + 1..prompt.len()).filter(|j| prompt[*j].rank > better.rank);
            into.extend(worse.map(|j| Pair { better: first + i, worse: first + j, margin }));
        }
        first += prompt.len();
    }
    let mut weights = vec![0.0; chosen.len()];
    let frozen: Vec<bool> = features.keys().map(|name| settings.frozen.contains(name)).collect();
    let mut optimiser = AdamW::new(weights.len(), settings.lr, settings.weight_decay);
    for _ in 0..settings.steps {
        let mut gradient = hinge(&weights, &rm, &phi, &pairs).gradient;
        gradient.iter_mut().zip(&frozen).filter(|(_, frozen)| **frozen).for_each(|(g, _)| *g = 0.0);
        optimiser.step(&mut weights, &gradient);
    }
    let trained = hinge(&weights, &rm, &phi, &pairs);
    let validated = (!held.is_empty()).then(|| hinge(&weights, &rm, &phi, &held));
    let missing = probabilities.iter().map(|p| needed.iter().filter(|i| p[**i].is_none()).count()).sum();
    Ok(Some(Fitted {
        weights: features.into_keys().zip(weights).collect(),
        means: needed.iter().map(|i| (names[*i].to_owned(), means[*i])).collect(),
        loss: trained.loss,
        clipped: trained.clipped,
        validation_loss: validated.as_ref().map(|hinge| hinge.loss),
        validation_clipped: validated.map(|hinge| hinge.clipped),
        pairs: pairs.len(),
        validation_pairs: held.len(),
        prompts: prompts.len(),
        validation_prompts: validates.iter().filter(|held| **held).count(),
        completions: probabilities.len(),
        missing,
        unknown,
    }))
}

/// Propositions that the features depend on, by number, in order.
fn needed(policy: &Policy, response: &str, features: &[Feature]) -> Vec<usize> {
    let mut needed = policy.used(response);
    needed.extend(features.iter().filter_map(|feature| match feature {
        Feature::Proposition(i) => Some(*i),
        Feature::Class(_) => None,
    }));
    needed.sort_unstable();
    needed.dedup();
    needed
}

fn filled(probabilities: &[Option<f64>], means: &[f64]) -> Vec<f64> {
    probabilities.iter().zip(means).map(|(p, mean)| p.unwrap_or(*mean)).collect()
}

impl Fitting {
    fn check(&self, policy: &Policy, data: &Comparisons) -> Result<()> {
        let hint = || "tony rbr fit --help".to_owned();
        let whole = |x: f64| x.is_finite() && x >= 0.0;
        let numbers = [self.margin, self.lr, self.weight_decay].into_iter().chain(self.margins.values().copied());
        if !numbers.into_iter().all(whole) || !(0.0..1.0).contains(&self.validation) {
            let what = "margins, learning rate and weight decay must be 0 or more, the validating share below 1";
            return Err(Error::Invalid { what: what.to_owned(), hint: hint() });
        }
        let known: Vec<String> =
            policy.response_types().flat_map(|response| features(policy, response, true).into_keys()).collect();
        if let Some(name) = self.frozen.iter().find(|name| !known.contains(name)) {
            let near = nearest(name, known.iter().map(String::as_str)).map(|near| format!("; did you mean `{near}`?"));
            let what = format!("no feature is called `{name}`{}", near.unwrap_or_default());
            return Err(Error::Invalid { what, hint: hint() });
        }
        if let Some(label) = self.margins.keys().find(|label| !data.rows.iter().any(|row| row.label == **label)) {
            let mut labels: Vec<&str> = data.rows.iter().map(|row| row.label.as_str()).collect();
            labels.sort_unstable();
            labels.dedup();
            let what = format!("a margin is for `{label}`, but completions here are: {}", labels.join(", "));
            return Err(Error::Invalid { what, hint: hint() });
        }
        let prompts = data.by_response().flat_map(|(_, rows)| contested(rows));
        let pairs: usize = prompts.map(|prompt| prompt.len() * (prompt.len() - 1) / 2).sum();
        if pairs > MOST_PAIRS {
            let what = format!("{pairs} pairs of completions are too many; prompts with fewer completions have fewer");
            return Err(Error::Invalid { what, hint: hint() });
        }
        Ok(())
    }
}

impl Weights {
    /// Read a file of weights for a policy, which must be the one that they were fitted under.
    pub fn read(path: &Path, policy: &Policy) -> Result<Self> {
        let text = fs_err::read_to_string(path)?;
        let weights = serde_json::from_str::<Self>(&text).map_err(|error| error.to_string());
        let fits = |weights: Self| weights.check(policy).map(|()| weights);
        weights.and_then(fits).map_err(|what| Error::Weights { path: path.to_owned(), what })
    }

    /// Write a file of weights; an older one is replaced at once.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = serde_json::to_string_pretty(self).map_err(std::io::Error::from)?;
        text.push('\n');
        Ok(tony_run::replace(path, text.as_bytes())?)
    }

    /// Refuse weights that do not belong to a policy.
    fn check(&self, policy: &Policy) -> std::result::Result<(), String> {
        if self.format != FORMAT {
            return Err(format!("they are of format {}, and this program knows {FORMAT}", self.format));
        }
        if self.policy != policy.hash() {
            let [theirs, ours] = [&self.policy, policy.hash()].map(|hash| hash.get(..12).unwrap_or(hash).to_owned());
            return Err(format!(
                "they were fitted under another policy (SHA-256 {theirs}\u{2026}, and this one's is {ours}\u{2026})"
            ));
        }
        for (response, fitted) in &self.response_types {
            if !policy.response_types().any(|known| known == response) {
                return Err(format!("the policy has no response type `{response}`"));
            }
            let expected = features(policy, response, self.settings.all);
            let needed = needed(policy, response, &expected.values().copied().collect::<Vec<_>>());
            let names: Vec<&str> = policy.propositions().collect();
            let means: Vec<&str> = needed.iter().map(|i| names[*i]).collect();
            same_keys(response, "weight", expected.keys().map(String::as_str), &fitted.weights)?;
            same_keys(response, "mean", means.into_iter(), &fitted.means)?;
            if let Some((name, weight)) = fitted.weights.iter().find(|(_, weight)| !weight.is_finite()) {
                return Err(format!("the weight of `{name}` in {response} is {weight}"));
            }
            if let Some((name, mean)) = fitted.means.iter().find(|(_, mean)| !(0.0..=1.0).contains(*mean)) {
                return Err(format!("the mean of `{name}` in {response} is {mean}, and it is one of probabilities"));
            }
        }
        Ok(())
    }

    /// The reward of a completion from probabilities of the policy's propositions in their order, `None` where there is none: `R_rbr`, and
    /// what each feature gives.
    ///
    /// # Panics
    /// Panics if the policy is not the one that they were read for, or there are not as many probabilities as propositions.
    pub fn reward(&self, policy: &Policy, response: &str, probabilities: &[Option<f64>]) -> Result<RuleReward> {
        assert_eq!(self.policy, policy.hash(), "weights of another policy");
        assert_eq!(probabilities.len(), policy.propositions().count(), "probabilities of the propositions");
        let Some(fitted) = self.response_types.get(response) else {
            let known = self.response_types.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
            let what = format!("there are no weights for `{response}`, but for {known}");
            return Err(Error::Invalid { what, hint: "tony rbr fit --help".to_owned() });
        };
        let means: Vec<f64> =
            policy.propositions().map(|name| fitted.means.get(name).copied().unwrap_or(0.5)).collect();
        let features = features(policy, response, self.settings.all);
        let chosen: Vec<Feature> = features.values().copied().collect();
        let values = values(policy, response, &chosen, &filled(probabilities, &means));
        let class_assumed = policy.used(response).iter().any(|i| probabilities[*i].is_none());
        let share = |((feature, kind), value): ((String, Feature), f64)| {
            let weight = fitted.weights[&feature];
            let assumed = match kind {
                Feature::Proposition(i) => probabilities[i].is_none(),
                Feature::Class(_) => class_assumed,
            };
            Share { feature, value, weight, reward: weight * value, assumed }
        };
        let ledger: Vec<Share> = features.into_iter().zip(values).map(share).collect();
        Ok(RuleReward { total: ledger.iter().map(|share| share.reward).sum(), ledger })
    }

    /// Rewards of graded completions of one response type, in their order.
    pub(super) fn rewards(&self, policy: &Policy, path: &Path, rows: &[Graded]) -> Result<Vec<f64>> {
        let reward = |row: &Graded| {
            let features: Vec<Feature> = features(policy, &row.response, self.settings.all).into_values().collect();
            let probabilities = row.probabilities(policy, &needed(policy, &row.response, &features), path)?;
            Ok(self.reward(policy, &row.response, &probabilities)?.total)
        };
        rows.iter().map(reward).collect()
    }
}

/// Refuse a key that is lacking, or one too many.
fn same_keys<'a>(
    response: &str,
    kind: &str,
    expected: impl Iterator<Item = &'a str> + Clone,
    found: &BTreeMap<String, f64>,
) -> std::result::Result<(), String> {
    if let Some(lacking) = expected.clone().find(|name| !found.contains_key(*name)) {
        return Err(format!("{response} has no {kind} for `{lacking}`"));
    }
    match found.keys().find(|name| !expected.clone().any(|known| known == name.as_str())) {
        Some(name) => {
            let near = nearest(name, expected).map(|near| format!("; did you mean `{near}`?")).unwrap_or_default();
            Err(format!("{response} has a {kind} for `{name}`, which is none of its features{near}"))
        }
        None => Ok(()),
    }
}
