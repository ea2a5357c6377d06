//! Reinforcement learning of language models: the algorithms of `tony-rl`, with a model as the policy and prompts as the environment.

use std::cell::RefCell;
use std::path::Path;
use std::sync::Arc;

use tony_env::Env;
use tony_rl::algorithms::Entry;
use tony_rl::{Policy, Trainer};
use tony_run::{Archive, Control, Field, Layer, Plan, Settings};

use super::policy::{self, LanguagePolicy};
use super::text_env::Task;
use super::{Learner, learner};
use crate::Result;

/// What is another default for language models, where an algorithm has the setting.
const DEFAULTS: &[(&str, &str)] = &[
    ("steps", "50000"),
    ("envs", "32"),
    ("episodes_per_update", "32"),
    ("gamma", "1"),
    ("cost.gamma", "1"),
    ("normalise", "false"),
    ("lr", "1e-4"),
    ("lr.schedule", "constant"),
    ("passes", "2"),
    ("minibatch", "0"),
    ("target_kl", "0"),
    ("max_grad_norm", "1"),
    ("checkpoint.seconds", "60"),
];
/// The same for algorithms that compare answers to one prompt.
const GROUPED: &[(&str, &str)] = &[("group", "4")];
/// GRPO has its own pull towards the model that training began with (Shao et al. 2024, section 4.1.4).
const GRPO: &[(&str, &str)] = &[("kl", "0.04"), ("reward.kl", "0")];

/// Does an environment's name stand for prompts in a file? The file of a world does not.
pub fn is_task(env: &str) -> bool {
    Path::new(env).extension().is_some_and(|extension| extension == "toml") && !tony_env::is_world(env)
}

/// Every setting of an algorithm with a language model.
pub fn fields(entry: &Entry) -> Vec<Field> {
    let mut fields = [entry.fields(), learner::Config::fields(), policy::Config::fields()].concat();
    for (key, value) in defaults(entry) {
        for field in fields.iter_mut().filter(|field| field.key == key) {
            field.defaults = vec![(key.to_owned(), value.to_owned())];
        }
    }
    fields
}

fn defaults(entry: &Entry) -> Vec<(&'static str, &'static str)> {
    let more: &[&[_]] = match entry.name {
        "rloo" => &[GROUPED],
        "grpo" => &[GROUPED, GRPO],
        _ => &[],
    };
    DEFAULTS.iter().chain(more.iter().copied().flatten()).copied().collect()
}

/// Lay a settings file and the command line over the defaults. `task` is the file of the task.
pub fn resolve(entry: &Entry, task: &str, layers: &[Layer]) -> Result<Plan> {
    Ok(Plan::resolve(entry.name, task, &fields(entry), layers)?)
}

/// A training of a language model.
pub struct Reinforced {
    /// The training.
    pub trainer: Trainer,
    /// The prompts, and what answers are worth.
    pub task: Arc<Task>,
}

impl Reinforced {
    /// Build from a plan; reads model and prompts. Everything that can be refused is refused here.
    pub fn new(plan: &Plan) -> Result<Self> {
        let run: tony_rl::train::Config = plan.group()?;
        let learner = Learner::new(plan, run.seed)?;
        let task = Arc::new(Task::open(Path::new(&plan.env), &learner)?);
        let envs: Vec<Box<dyn Env>> = (0..run.envs).map(|_| task.env()).collect();
        Ok(Self { trainer: trainer(plan, learner, envs)?, task })
    }
}

fn trainer(plan: &Plan, learner: Learner, envs: Vec<Box<dyn Env>>) -> Result<Trainer> {
    let width = envs.first().map_or(0, |env| env.spec().obs_dim);
    let policy = RefCell::new(Some(LanguagePolicy::new(learner, &plan.group()?, width)));
    let make = || match policy.take() {
        Some(policy) => Ok(Box::new(policy) as Box<dyn Policy>),
        None => Err(tony_rl::Error::Invalid { what: "a second policy was asked for".to_owned(), hint: String::new() }),
    };
    Ok(Trainer::with_policy(plan, envs, &make)?)
}

/// So many updates of a model without a run folder: what it has learned then. `told` is given the mean return of each update, and says whether
/// to go on: if not, there is no result.
pub(crate) fn practise(
    plan: &Plan,
    learner: Learner,
    envs: Vec<Box<dyn Env>>,
    updates: usize,
    told: &mut dyn FnMut(usize, f64) -> bool,
) -> Result<Option<Archive>> {
    let steps = plan.group::<tony_rl::train::Config>()?.steps;
    let mut trainer = trainer(plan, learner, envs)?;
    for update in 0..updates {
        let metrics = trainer.update(steps, &Control::default())?;
        if !told(update, metrics.get("Metrics/EpRet").unwrap_or(f64::NAN)) {
            return Ok(None);
        }
    }
    let mut archive = Archive::new();
    trainer.actor().save(&mut archive)?;
    Ok(Some(archive))
}
