//! Families of tasks by name, what they need, and the published settings for each.

use tony_run::{Field, Plan, Settings, settings};

use crate::learner::{Examples, Learner};
use crate::omniglot::{self, Omniglot};
use crate::sine::{self, Sine};
use crate::{Error, Result};

settings! {
    /// Adaptation to new tasks
    pub struct Config {
        /// Steps on a new task before it is scored.
        "eval.steps" steps: usize = 50, (0..=100_000);
        /// Examples of a minibatch of these steps.
        "eval.batch" batch: usize = 5, (1..=100_000);
        /// New tasks that each line of the records is measured on.
        "log.tasks" log_tasks: usize = 4, (0..=100_000);
        /// New tasks that a finished run is measured on.
        "eval.tasks" tasks: usize = 200, (1..=1_000_000);
    }
}

/// A family of tasks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Regression of sine waves.
    Sine,
    /// Handwritten characters.
    Omniglot,
}

impl Kind {
    /// Every family.
    pub const ALL: &[Self] = &[Self::Sine, Self::Omniglot];

    /// Name on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sine => "sine",
            Self::Omniglot => "omniglot",
        }
    }

    /// What it asks, in a line.
    pub fn summary(self) -> &'static str {
        match self {
            Self::Sine => "a sine wave of unknown amplitude and phase, from ten of its points",
            Self::Omniglot => {
                "characters of one alphabet or another, from one or a few drawings of each; needs data=PATH"
            }
        }
    }

    /// The family called `name`.
    pub fn find(name: &str) -> Result<Self> {
        Self::ALL.iter().copied().find(|kind| kind.name() == name).ok_or_else(|| Error::UnknownTask {
            name: name.to_owned(),
            known: Self::ALL.iter().map(|kind| kind.name()).collect::<Vec<_>>().join(", "),
        })
    }

    /// Its settings.
    pub fn fields(self) -> Vec<Field> {
        match self {
            Self::Sine => sine::Config::fields(),
            Self::Omniglot => omniglot::Config::fields(),
        }
    }
}

/// A named set of settings.
pub struct Preset {
    /// What `preset=` has to say.
    pub chosen_by: &'static str,
    /// Name in the records.
    pub name: String,
    /// Lists of keys and values, later ones over earlier ones.
    pub values: Vec<&'static [(&'static str, &'static str)]>,
}

/// What `preset=` may say, and what it means.
pub const PRESETS: &[(&str, &str)] = &[
    (
        "default",
        "the published settings for the task (of the demonstration on sine; on Omniglot by ways: up to 10, or more)",
    ),
    ("gradients", "the experiment on combinations of gradients: see inner.steps, combine and eps.start"),
];

/// What the published runs on Omniglot share.
const OMNIGLOT: &[(&str, &str)] =
    &[("eval.steps", "50"), ("eps.start", "1.0"), ("meta_batch", "5"), ("train_shots", "10")];
/// 5 ways: 100,000 outer steps; Adam at 0.001, 5 inner minibatches of 10.
const FEW_WAYS: &[(&str, &str)] =
    &[("steps", "100000"), ("inner.lr", "0.001"), ("inner.batch", "10"), ("inner.steps", "5"), ("eval.batch", "5")];
/// 20 ways: 200,000 outer steps; Adam at 0.0005, 10 inner minibatches of 20.
const MANY_WAYS: &[(&str, &str)] =
    &[("steps", "200000"), ("inner.lr", "0.0005"), ("inner.batch", "20"), ("inner.steps", "10"), ("eval.batch", "10")];
/// Gradients of the first minibatches combined: plain descent, one task a step, minibatches that never overlap.
const GRADIENTS: &[(&str, &str)] = &[
    ("steps", "40000"),
    ("shots", "5"),
    ("train_shots", "20"),
    ("inner.optimiser", "sgd"),
    ("inner.lr", "0.003"),
    ("inner.batch", "25"),
    ("inner.steps", "2"),
    ("meta_batch", "1"),
    ("eps.start", "0.25"),
    ("eval.steps", "5"),
    ("eval.batch", "25"),
];
/// The demonstration on sine waves: one task a step, one pass over its 50 points.
const SINE: &[(&str, &str)] = &[
    ("steps", "30000"),
    ("log.updates", "500"),
    ("inner.optimiser", "sgd"),
    ("inner.lr", "0.02"),
    ("inner.batch", "10"),
    ("inner.steps", "5"),
    ("meta_batch", "1"),
    ("eps.start", "0.1"),
    ("eval.steps", "32"),
    ("eval.batch", "10"),
    ("log.tasks", "20"),
];
/// The last step alone is a fifth of five, but five times as far diverges with some seeds (one of three).
const SINE_LAST: &[(&str, &str)] = &[("eps.start", "0.2")];
/// Of a bare gradient.
const SINE_MAML: &[(&str, &str)] = &[("eps.start", "0.02")];
/// Ours: the steps of MAML are plain, and its outer step is of the gradient of the summed loss of ten pictures.
const OMNIGLOT_MAML: &[(&str, &str)] = &[("inner.optimiser", "sgd"), ("inner.lr", "0.01"), ("eps.start", "0.005")];
const COMBINED: &[(&str, &str)] = &[("steps", "10000"), ("eps.start", "0.25"), ("inner.steps", "2")];

/// The presets of an algorithm on a family of tasks; the first is the default. `chosen` is the plan without any.
pub fn presets(algorithm: &str, kind: Kind, chosen: &Plan) -> Vec<Preset> {
    let preset = |chosen_by, name: &str, values| Preset { chosen_by, name: name.to_owned(), values };
    match kind {
        Kind::Sine => {
            let own = match algorithm {
                "fomaml" => SINE_LAST,
                "maml" => SINE_MAML,
                _ => &[],
            };
            vec![
                preset("default", "sine demo", vec![SINE, own]),
                preset("gradients", "gradients", vec![SINE, COMBINED]),
            ]
        }
        Kind::Omniglot => {
            let ways: usize = chosen.get("ways").and_then(|text| text.parse().ok()).unwrap_or(5);
            let (name, row) = if ways > 10 { ("omniglot 20-way", MANY_WAYS) } else { ("omniglot 5-way", FEW_WAYS) };
            let own: &[_] = if algorithm == "maml" { OMNIGLOT_MAML } else { &[] };
            vec![
                preset("default", name, vec![OMNIGLOT, row, own]),
                preset("gradients", "gradients", vec![OMNIGLOT, GRADIENTS]),
            ]
        }
    }
}

/// A task to be tested on.
#[derive(Clone, Debug)]
pub struct Test {
    /// To adapt to.
    pub support: Examples,
    /// To be scored on.
    pub query: Examples,
}

/// A family of tasks with its data.
pub enum Family {
    /// Regression of sine waves.
    Sine(Sine),
    /// Handwritten characters.
    Omniglot(Omniglot),
}

impl Family {
    /// From a plan; reads data where it needs some.
    pub fn new(plan: &Plan) -> Result<Self> {
        Ok(match Kind::find(&plan.env)? {
            Kind::Sine => Self::Sine(Sine::new(plan.group()?)),
            Kind::Omniglot => Self::Omniglot(Omniglot::open(plan.group()?, crate::train::seed(plan)?)?),
        })
    }

    /// Which it is.
    pub fn kind(&self) -> Kind {
        match self {
            Self::Sine(_) => Kind::Sine,
            Self::Omniglot(_) => Kind::Omniglot,
        }
    }

    /// What is learned.
    pub fn learner(&self) -> Result<Learner> {
        match self {
            Self::Sine(sine) => sine.learner(),
            Self::Omniglot(omniglot) => omniglot.learner(),
        }
    }

    /// Training task number `number`.
    pub fn train(&self, seed: u64, number: u64) -> Examples {
        match self {
            Self::Sine(sine) => sine.train(seed, number),
            Self::Omniglot(omniglot) => omniglot.train(seed, number),
        }
    }

    /// Test task number `number` of those called `name`: they share nothing with training's but their family.
    pub fn test(&self, seed: u64, name: &str, number: u64) -> Test {
        match self {
            Self::Sine(sine) => sine.test(seed, name, number),
            Self::Omniglot(omniglot) => omniglot.test(seed, name, number),
        }
    }

    /// In words, for notes and for telling that other data is there than was.
    pub fn describe(&self) -> String {
        match self {
            Self::Sine(_) => "sine waves".to_owned(),
            Self::Omniglot(omniglot) => omniglot.describe(),
        }
    }
}
