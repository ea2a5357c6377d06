//! The paper's comparison (section 6) in the small world: every variant of a seed, measured by the judge.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use super::super::experiment::{Values, Watch};
use super::super::{Comparisons, Fitting, Policy, Signal, Weights, fit, rank};
use super::models::{
    Lesson, Measured, Mix, Practice, RewardModel, Size, Taste, WorldGrader, Worth, comparisons, copy, imitate, measure,
    newborn, policy, practise,
};
use crate::learn::Learner;
use crate::{Error, Result};

/// What one comparison spends.
#[derive(Clone, Debug)]
pub struct Budget {
    /// Sizes of all transformers.
    pub size: Size,
    /// The first teaching, from nothing.
    pub teach: Lesson,
    /// Teaching of safety.
    pub tune: Lesson,
    /// Reward models.
    pub prefer: Lesson,
    /// Completions whose labels graders are trained on.
    pub gold: usize,
    /// Requests with comparisons that weights are fitted on, a third of each response type; as many are ranked.
    pub compared: usize,
    /// Reinforcement learning.
    pub practice: Practice,
    /// Held-out requests of each kind.
    pub judged: usize,
    /// Trainings side by side, one thread each.
    pub at_once: usize,
}

impl Default for Budget {
    /// Half an hour on two cores for three seeds.
    fn default() -> Self {
        Self {
            size: Size { width: 160, layers: 4, hidden: 448 },
            teach: Lesson { rows: 8000, steps: 300, batch: 64, lr: 1e-3 },
            tune: Lesson { rows: 2000, steps: 60, batch: 32, lr: 5e-4 },
            prefer: Lesson { rows: 2000, steps: 60, batch: 32, lr: 5e-4 },
            gold: 300,
            compared: 300,
            practice: Practice {
                updates: 30,
                episodes: 64,
                mix: Mix::default(),
                settings: ["lr=2e-4", "passes=2", "reward.kl=0.3"].map(str::to_owned).to_vec(),
            },
            judged: 200,
            at_once: 2,
        }
    }
}

/// Buckets of the graders, smallest first; the last is the one that the method uses.
pub const GRADERS: [usize; 4] = [4, 16, 64, 512];
/// Fitted weights: with the best grader for three reward models, and for the helpful one with the smaller graders.
const WEIGHTS: [&str; 6] = ["helpful", "human", "old", "grader-4", "grader-16", "grader-64"];
/// Rows of what people made by hand, where they make no more than rule-based rewards need.
const MATCHED: usize = 60;

/// The variants of section 8, the most important ones first.
pub const VARIANTS: &[&str] = &[
    "helpful-sft",
    "human-sft",
    "rbr-sft",
    "helpful-ppo",
    "human-ppo",
    "rbr-ppo",
    "humanrm-rbr-ppo",
    "old-ppo",
    "old-rbr-ppo",
    "match-ppo",
    "sftonly-norbr",
    "rbr-norm",
    "rbr-nosft",
    "rbr-fixed1",
    "rbr-fixed10",
    "grader-4",
    "grader-16",
    "grader-64",
    "safety-25",
    "safety-90",
    "hard-25",
    "hard-85",
];

/// What variants share.
struct Shared {
    policy: Arc<Policy>,
    taught: BTreeMap<&'static str, Learner>,
    rms: BTreeMap<&'static str, Arc<RewardModel>>,
    graders: Vec<Arc<WorldGrader>>,
    /// By the names in [`WEIGHTS`].
    weights: BTreeMap<String, Arc<Weights>>,
}

fn missing(what: &str) -> Error {
    Error::Invalid { what: format!("the world has no {what}"), hint: String::new() }
}

impl Shared {
    fn learner(&self, name: &str) -> Result<Learner> {
        copy(self.taught.get(name).ok_or_else(|| missing(name))?)
    }

    fn worth(&self, rm: &str, rules: Option<(usize, Arc<Weights>)>, rm_on_safety: bool) -> Result<Worth> {
        let rules = rules.map(|(grader, weights)| (self.policy.clone(), self.graders[grader].clone(), weights));
        Ok(Worth { rm: self.rms.get(rm).ok_or_else(|| missing(rm))?.clone(), rm_on_safety, rules })
    }

    fn weights(&self, name: &str) -> Result<Arc<Weights>> {
        Ok(self.weights.get(name).ok_or_else(|| missing(name))?.clone())
    }
}

/// All propositions are features, as in the paper, whose features are more than its rules look at.
fn fitting(seed: u64) -> Fitting {
    Fitting { all: true, seed, ..Fitting::default() }
}

/// Weights set by hand (RBR-Fixed1 and -Fixed10): the classes from the best to the worst between `size` and `-size`, nothing else.
fn by_hand(policy: &Policy, weights: &Weights, size: f64) -> Weights {
    let mut weights = weights.clone();
    for fitted in weights.response_types.values_mut() {
        fitted.weights.values_mut().for_each(|weight| *weight = 0.0);
        for (class, share) in policy.classes().iter().zip([1.0, 0.5, -0.5, -1.0, -1.0]) {
            fitted.weights.insert(format!("class:{class}"), share * size);
        }
    }
    weights
}

/// Share of pairs with an ideal completion that a signal ranks wrongly, over all response types.
fn errors(ranking: &super::super::Ranking, signal: Signal) -> f64 {
    let of =
        |errors: &super::super::SignalErrors| errors.ideal.filter(|_| errors.signal == signal).map(|stat| stat.mean);
    let all: Vec<f64> =
        ranking.response_types.iter().filter_map(|response| response.signals.iter().find_map(of)).collect();
    all.iter().sum::<f64>() / all.len() as f64
}

/// What the variants of a seed share; none if it was stopped.
fn prepare(budget: &Budget, base: &Learner, seed: u64, watch: &Watch, values: &mut Values) -> Result<Option<Shared>> {
    let policy = Arc::new(policy()?);
    let told = |text: &str| (watch.told)(&format!("seed {seed}: {text}"));
    let few = Lesson { rows: MATCHED, ..budget.tune };
    let tastes = [
        ("human", Taste::Human, budget.tune),
        ("ideal", Taste::Ideal, budget.tune),
        ("old", Taste::Old, budget.tune),
        ("match", Taste::Human, few),
    ];
    let mut taught = BTreeMap::new();
    for (name, taste, lesson) in tastes {
        if (watch.stop)() {
            return Ok(None);
        }
        taught.insert(name, imitate(copy(base)?, taste, lesson, seed)?.0);
    }
    told("fine-tuned on four kinds of safety data");
    let few = Lesson { rows: MATCHED, ..budget.prefer };
    let mut rms = BTreeMap::new();
    for (name, taste, lesson) in [
        ("helpful", Taste::Helpful, budget.prefer),
        ("human", Taste::Human, budget.prefer),
        ("old", Taste::Old, budget.prefer),
        ("match", Taste::Human, few),
    ] {
        if (watch.stop)() {
            return Ok(None);
        }
        let (rm, loss) = RewardModel::learn(copy(base)?, taste, lesson, seed)?;
        told(&format!("{name} reward model: loss {loss:.3}"));
        rms.insert(name, Arc::new(rm));
    }
    taught.insert("helpful", copy(base)?);
    let mut graders = Vec::new();
    for buckets in GRADERS {
        let grader = WorldGrader::learn(&policy, buckets, budget.gold, seed)?;
        let accuracy = grader.accuracy(&policy, budget.gold, seed)?;
        told(&format!("grader of {buckets} buckets: accuracy {accuracy:.3}"));
        values.insert(format!("grader-{buckets}.accuracy"), accuracy);
        graders.push(Arc::new(grader));
    }
    let mut weights = BTreeMap::new();
    for name in WEIGHTS {
        let smaller = GRADERS.iter().position(|buckets| name == format!("grader-{buckets}"));
        let grader = smaller.unwrap_or(GRADERS.len() - 1);
        let rm = if smaller.is_some() { "helpful" } else { name };
        let rows = |held_out| {
            let rows = comparisons(&graders[grader], &policy, &rms[rm], budget.compared, seed, held_out)?;
            Comparisons::of_values(name.as_ref(), &policy, rows)
        };
        let fitted = fit(&policy, &rows(false)?, &fitting(seed))?;
        let ranking = rank(&policy, &fitted, &rows(true)?)?;
        for (signal, suffix) in [(Signal::Rm, "rm"), (Signal::Total, "total")] {
            values.insert(format!("ranking.{name}.{suffix}"), errors(&ranking, signal));
        }
        weights.insert(name.to_owned(), Arc::new(fitted));
    }
    told("weights fitted");
    (watch.keep)(values)?;
    Ok(Some(Shared { policy, taught, rms, graders, weights }))
}

/// Train one variant; none if it was stopped.
fn variant(
    shared: &Shared,
    budget: &Budget,
    name: &str,
    seed: u64,
    stop: &(dyn Fn() -> bool + Sync),
) -> Result<Option<Learner>> {
    let best = GRADERS.len() - 1;
    let of = |weights: &str| Ok::<_, Error>(Some((best, shared.weights(weights)?)));
    let by_hand =
        |size| Ok::<_, Error>(Some((best, Arc::new(by_hand(&shared.policy, &*shared.weights("helpful")?, size)))));
    let mut mix = Mix::default();
    let (start, worth) = match name {
        "helpful-sft" => return shared.learner("helpful").map(Some),
        "human-sft" => return shared.learner("human").map(Some),
        "rbr-sft" => return shared.learner("ideal").map(Some),
        "helpful-ppo" => ("helpful", shared.worth("helpful", None, true)?),
        "human-ppo" => ("human", shared.worth("human", None, true)?),
        "humanrm-rbr-ppo" => ("human", shared.worth("human", of("human")?, true)?),
        "old-ppo" => ("old", shared.worth("old", None, true)?),
        "old-rbr-ppo" => ("old", shared.worth("old", of("old")?, true)?),
        "match-ppo" => ("match", shared.worth("match", None, true)?),
        "sftonly-norbr" => ("ideal", shared.worth("helpful", None, true)?),
        "rbr-norm" => ("ideal", shared.worth("helpful", of("helpful")?, false)?),
        "rbr-nosft" => ("helpful", shared.worth("helpful", of("helpful")?, true)?),
        "rbr-fixed1" => ("ideal", shared.worth("helpful", by_hand(1.0)?, true)?),
        "rbr-fixed10" => ("ideal", shared.worth("helpful", by_hand(10.0)?, true)?),
        "rbr-ppo" | "safety-25" | "safety-90" | "hard-25" | "hard-85" => {
            match name {
                "safety-25" => mix.safety = 0.25,
                "safety-90" => mix.safety = 0.9,
                "hard-25" => mix.refuse = 0.25,
                "hard-85" => mix.refuse = 0.85,
                _ => {}
            }
            ("ideal", shared.worth("helpful", of("helpful")?, true)?)
        }
        other => {
            let grader = GRADERS.iter().position(|buckets| other == format!("grader-{buckets}"));
            let grader = grader.ok_or_else(|| missing(other))?;
            ("ideal", shared.worth("helpful", Some((grader, shared.weights(other)?)), true)?)
        }
    };
    let practice = Practice { mix, ..budget.practice.clone() };
    practise(shared.learner(start)?, &worth, &practice, seed, &mut |_, _| !stop())
}

/// The model that every seed begins with: from nothing, taught to help.
pub fn base(budget: &Budget) -> Result<Learner> {
    Ok(imitate(newborn(budget.size, 0)?, Taste::Helpful, budget.teach, 0)?.0)
}

/// Names of all values of a seed's comparison.
pub fn names() -> Vec<String> {
    let measures = |name: &&str| Measured::NAMES.map(|measure| format!("{name}.{measure}"));
    let mut names: Vec<String> = VARIANTS.iter().flat_map(measures).collect();
    names.extend(GRADERS.iter().map(|buckets| format!("grader-{buckets}.accuracy")));
    for weights in WEIGHTS {
        names.extend(["rm", "total"].map(|signal| format!("ranking.{weights}.{signal}")));
    }
    names
}

/// Train and measure the variants of a seed of which nothing is known. Returns whether it came to the end.
pub fn compare(budget: &Budget, base: &Learner, seed: u64, known: Values, watch: &Watch) -> Result<bool> {
    let next: Vec<&str> = VARIANTS.iter().copied().filter(|name| !known.contains_key(&format!("{name}.f1"))).collect();
    let mut values = known;
    let Some(shared) = prepare(budget, base, seed, watch, &mut values)? else { return Ok(false) };
    let (values, failure, at) = (Mutex::new(values), Mutex::new(None), AtomicUsize::new(0));
    let one = |name: &str| -> Result<()> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build();
        let pool = pool.map_err(|error| Error::Invalid { what: error.to_string(), hint: String::new() })?;
        let trained = pool.install(|| variant(&shared, budget, name, seed, watch.stop))?;
        let Some(trained) = trained else { return Ok(()) };
        let measured = pool.install(|| measure(&shared.policy, &trained, budget.judged, seed))?;
        let said: Vec<String> = measured.named().iter().map(|(name, value)| format!("{name} {value:.3}")).collect();
        (watch.told)(&format!("seed {seed}: {name}: {}", said.join(", ")));
        let mut values = values.lock().unwrap_or_else(PoisonError::into_inner);
        for (measure, value) in measured.named() {
            values.insert(format!("{name}.{measure}"), value);
        }
        (watch.keep)(&values)
    };
    let work = || {
        while let Some(name) = next.get(at.fetch_add(1, Ordering::Relaxed)).filter(|_| !(watch.stop)()) {
            if let Err(error) = one(name) {
                failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                at.store(next.len(), Ordering::Relaxed);
            }
        }
    };
    std::thread::scope(|scope| (0..budget.at_once).for_each(|_| drop(scope.spawn(work))));
    match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
        Some(error) => Err(error),
        None => Ok(!(watch.stop)()),
    }
}
