//! What can be trained: agents in environments and, where the program is built with them, few-shot learners on families of tasks and language
//! models on examples. The verbs
//! deal with algorithms and trainings by these two types, and look inside only where the kinds differ.

#[cfg(feature = "lm")]
use std::sync::Arc;

#[cfg(feature = "lm")]
use tony_lm::learn::{reinforced, supervised, text_env};
use tony_rl::algorithms;
#[cfg(feature = "lm")]
use tony_run::Samples;
use tony_run::{Control, Field, Layer, Loaded, Metrics, Outcome, Plan, RunFolder, Tally, Times, Training};

use crate::eval;
use crate::failure::{Failure, Result};
use crate::train::number;
use crate::world;

/// An algorithm of either kind.
#[derive(Clone, Copy)]
pub enum Algorithm {
    /// Learns from what an agent experiences.
    Agent(&'static algorithms::Entry),
    /// Learns to learn.
    #[cfg(feature = "meta")]
    FewShot(&'static tony_meta::algorithms::Entry),
    /// A language model learns from examples.
    #[cfg(feature = "lm")]
    Language(&'static supervised::Entry),
}

/// What there is to say about an algorithm.
pub struct About {
    /// Name on the command line.
    pub name: &'static str,
    /// Name in words.
    pub title: &'static str,
    /// Kind of algorithm.
    pub family: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    /// Names of its sets of settings, and what they are.
    pub presets: Vec<(&'static str, &'static str)>,
}

impl Algorithm {
    /// The algorithm called `name`.
    pub fn find(name: &str) -> Result<Self> {
        #[cfg(feature = "meta")]
        if let Some(entry) = tony_meta::algorithms::find(name) {
            return Ok(Self::FewShot(entry));
        }
        #[cfg(feature = "lm")]
        if let Some(entry) = supervised::Entry::find(name) {
            return Ok(Self::Language(entry));
        }
        let known = Self::list().into_iter().map(|algorithm| algorithm.about().name);
        Ok(Self::Agent(algorithms::find(name).map_err(|error| match error {
            tony_rl::Error::UnknownAlgorithm { name, .. } => {
                let nearest = tony_run::nearest(&name, known).map(str::to_owned);
                tony_rl::Error::UnknownAlgorithm { name, nearest }
            }
            other => other,
        })?))
    }

    /// Every algorithm.
    pub fn list() -> Vec<Self> {
        let agents = algorithms::list().iter().map(Self::Agent);
        #[cfg(feature = "meta")]
        let agents = agents.chain(tony_meta::algorithms::list().iter().map(Self::FewShot));
        #[cfg(feature = "lm")]
        let agents = agents.chain(supervised::ENTRIES.iter().map(Self::Language));
        agents.collect()
    }

    /// What there is to say about it.
    pub fn about(self) -> About {
        match self {
            Self::Agent(&algorithms::Entry { name, title, family, summary, paper, presets, .. }) => {
                let presets = presets.iter().map(|preset| (preset.name, preset.summary)).collect();
                About { name, title, family, summary, paper, presets }
            }
            #[cfg(feature = "meta")]
            Self::FewShot(&tony_meta::algorithms::Entry { name, title, family, summary, paper, .. }) => {
                About { name, title, family, summary, paper, presets: tony_meta::tasks::PRESETS.to_vec() }
            }
            #[cfg(feature = "lm")]
            Self::Language(&supervised::Entry { name, title, family, summary, paper, .. }) => {
                About { name, title, family, summary, paper, presets: Vec::new() }
            }
        }
    }

    /// Every setting: on a task, where they depend on it.
    pub fn fields(self, task: Option<&str>) -> Vec<Field> {
        match self {
            #[cfg(feature = "lm")]
            Self::Agent(entry) if task.is_some_and(reinforced::is_task) => reinforced::fields(entry),
            Self::Agent(entry) => {
                let _ = task;
                entry.fields()
            }
            #[cfg(feature = "meta")]
            Self::FewShot(entry) => entry.fields(task.and_then(|task| tony_meta::tasks::Kind::find(task).ok())),
            #[cfg(feature = "lm")]
            Self::Language(entry) => entry.fields(),
        }
    }

    /// Whether it trains an agent.
    pub fn is_agent(self) -> bool {
        matches!(self, Self::Agent(_))
    }

    /// Whether what it trains on `env` can be watched there: a language model says something, which is read and not watched.
    pub fn can_be_watched(self, env: &str) -> bool {
        let file = std::path::Path::new(env).extension().is_some_and(|extension| extension == "toml");
        self.is_agent() && (!file || tony_env::is_world(env))
    }

    /// What was typed, as one plan.
    pub fn resolve(self, env: &str, layers: &[Layer]) -> Result<Plan> {
        Ok(match self {
            #[cfg(feature = "lm")]
            Self::Agent(entry) if reinforced::is_task(env) => reinforced::resolve(entry, env, layers)?,
            Self::Agent(entry) => entry.resolve(tony_env::find(env)?.name, layers)?,
            #[cfg(feature = "meta")]
            Self::FewShot(entry) => entry.resolve(env, layers)?,
            #[cfg(feature = "lm")]
            Self::Language(entry) => entry.resolve(env, layers)?,
        })
    }

    /// A training that is ready. Everything that can be refused is refused here.
    pub fn trainee(self, plan: &Plan, offline: bool) -> Result<Trainee> {
        Ok(match self {
            #[cfg(feature = "lm")]
            Self::Agent(_) if reinforced::is_task(&plan.env) => {
                let reinforced::Reinforced { trainer, task } = reinforced::Reinforced::new(plan)?;
                Trainee::Agent { costs: task.costs().to_vec(), trainer: Box::new(trainer), task: Some(task) }
            }
            Self::Agent(_) => {
                let envs = world::make(&plan.env, number(plan, "envs")?, offline)?;
                let costs = envs.first().map(|env| env.spec().costs.clone()).unwrap_or_default();
                let trainer = Box::new(tony_rl::Trainer::new(plan, envs)?);
                Trainee::Agent {
                    trainer,
                    costs,
                    #[cfg(feature = "lm")]
                    task: None,
                }
            }
            #[cfg(feature = "meta")]
            Self::FewShot(_) => Trainee::FewShot(Box::new(tony_meta::Trainer::new(plan)?)),
            #[cfg(feature = "lm")]
            Self::Language(_) => Trainee::Language(Box::new(supervised::Trainer::new(plan)?)),
        })
    }
}

/// A training of either kind.
pub enum Trainee {
    /// An agent.
    Agent {
        /// Its training.
        trainer: Box<tony_rl::Trainer>,
        /// Cost channels of the environment.
        costs: Vec<String>,
        /// The prompts of a language model.
        #[cfg(feature = "lm")]
        task: Option<Arc<text_env::Task>>,
    },
    /// A few-shot learner.
    #[cfg(feature = "meta")]
    FewShot(Box<tony_meta::Trainer>),
    /// A language model.
    #[cfg(feature = "lm")]
    Language(Box<supervised::Trainer>),
}

impl Trainee {
    fn training(&self) -> &dyn AnyTraining {
        match self {
            Self::Agent { trainer, .. } => trainer.as_ref(),
            #[cfg(feature = "meta")]
            Self::FewShot(trainer) => trainer.as_ref(),
            #[cfg(feature = "lm")]
            Self::Language(trainer) => trainer.as_ref(),
        }
    }

    fn training_mut(&mut self) -> &mut dyn AnyTraining {
        match self {
            Self::Agent { trainer, .. } => trainer.as_mut(),
            #[cfg(feature = "meta")]
            Self::FewShot(trainer) => trainer.as_mut(),
            #[cfg(feature = "lm")]
            Self::Language(trainer) => trainer.as_mut(),
        }
    }

    /// Steps done in all.
    pub fn steps(&self) -> u64 {
        self.training().tally().steps
    }

    /// Where the time of this process went.
    pub fn times(&self) -> Times {
        self.training().tally().times
    }

    /// Cost channels.
    pub fn costs(&self) -> &[String] {
        match self {
            Self::Agent { costs, .. } => costs,
            #[cfg(feature = "meta")]
            Self::FewShot(_) => &[],
            #[cfg(feature = "lm")]
            Self::Language(_) => &[],
        }
    }

    /// Measure an agent as it is, in fresh episodes.
    pub fn measure(&self, task: &eval::Task, plan: &Plan, offline: bool) -> Result<eval::Measured> {
        match self {
            #[cfg(feature = "lm")]
            Self::Agent { trainer, task: Some(texts), .. } => {
                // A text has no pictures to record; and what is said here was not said in training.
                let task = eval::Task { recorded: 0, ..*task };
                let measured = eval::measure(&task, trainer.actor(), texts.env().as_mut());
                drop(texts.drain());
                measured
            }
            Self::Agent { trainer, .. } => {
                eval::measure(task, trainer.actor(), world::make(&plan.env, 1, offline)?.remove(0).as_mut())
            }
            #[cfg(any(feature = "meta", feature = "lm"))]
            _ => Err(Failure::failed("no_agent", "what is no agent has no episodes")),
        }
    }

    /// Go on from a checkpoint.
    pub fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        self.training_mut().restore(loaded)
    }

    /// Train until `steps` steps are done in all, or until asked to stop.
    pub fn run(
        &mut self,
        folder: &mut RunFolder,
        steps: u64,
        control: &Control,
        on_update: &mut dyn FnMut(&Metrics),
    ) -> Result<Outcome> {
        #[cfg(feature = "lm")]
        if let Self::Agent { trainer, task: Some(task), .. } = self {
            let samples = Samples::of(folder);
            let mut failure = None;
            let outcome = AnyTraining::run(trainer.as_mut(), folder, steps, control, &mut |metrics| {
                let written = serde_json::to_value(task.drain())
                    .map_err(|error| Failure::failed("samples", error))
                    .and_then(|all| Ok(samples.write(metrics, &all)?));
                failure = failure.take().or(written.err());
                on_update(metrics);
            })?;
            return failure.map_or(Ok(outcome), Err);
        }
        self.training_mut().run(folder, steps, control, on_update)
    }
}

/// A [`Training`], whatever its errors are.
trait AnyTraining {
    fn tally(&self) -> &Tally;
    fn restore(&mut self, loaded: &Loaded) -> Result<()>;
    fn run(
        &mut self,
        folder: &mut RunFolder,
        steps: u64,
        control: &Control,
        on_update: &mut dyn FnMut(&Metrics),
    ) -> Result<Outcome>;
}

impl<T: Training> AnyTraining for T
where
    Failure: From<T::Error>,
{
    fn tally(&self) -> &Tally {
        Training::tally(self)
    }

    fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        Ok(Training::restore(self, loaded)?)
    }

    fn run(
        &mut self,
        folder: &mut RunFolder,
        steps: u64,
        control: &Control,
        on_update: &mut dyn FnMut(&Metrics),
    ) -> Result<Outcome> {
        Ok(Training::run(self, folder, steps, control, on_update)?)
    }
}
