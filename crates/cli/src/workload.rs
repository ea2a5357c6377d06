//! What can be trained: agents in environments and, where the program is built with them, few-shot learners on families of tasks and language
//! models on examples. The verbs
//! deal with algorithms and trainings by these two types, and look inside only where the kinds differ.

#[cfg(feature = "lm")]
use tony_lm::learn::supervised;
use tony_rl::algorithms;
use tony_run::{Control, Field, Layer, Loaded, Metrics, Outcome, Plan, RunFolder, Times};

use crate::failure::Result;
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

    /// Whether it trains an agent, which can be watched in its environment.
    pub fn is_agent(self) -> bool {
        matches!(self, Self::Agent(_))
    }

    /// What was typed, as one plan.
    pub fn resolve(self, env: &str, layers: &[Layer]) -> Result<Plan> {
        Ok(match self {
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
            Self::Agent(_) => {
                let envs = world::make(&plan.env, number(plan, "envs")?, offline)?;
                let costs = envs.first().map(|env| env.spec().costs.clone()).unwrap_or_default();
                Trainee::Agent { trainer: Box::new(tony_rl::Trainer::new(plan, envs)?), costs }
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
    },
    /// A few-shot learner.
    #[cfg(feature = "meta")]
    FewShot(Box<tony_meta::Trainer>),
    /// A language model.
    #[cfg(feature = "lm")]
    Language(Box<supervised::Trainer>),
}

impl Trainee {
    /// Steps done in all.
    pub fn steps(&self) -> u64 {
        match self {
            Self::Agent { trainer, .. } => trainer.steps(),
            #[cfg(feature = "meta")]
            Self::FewShot(trainer) => trainer.steps(),
            #[cfg(feature = "lm")]
            Self::Language(trainer) => trainer.steps(),
        }
    }

    /// Where the time of this process went.
    pub fn times(&self) -> Times {
        match self {
            Self::Agent { trainer, .. } => trainer.times(),
            #[cfg(feature = "meta")]
            Self::FewShot(trainer) => trainer.times(),
            #[cfg(feature = "lm")]
            Self::Language(trainer) => trainer.times(),
        }
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

    /// Go on from a checkpoint.
    pub fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        match self {
            Self::Agent { trainer, .. } => trainer.restore(loaded)?,
            #[cfg(feature = "meta")]
            Self::FewShot(trainer) => trainer.restore(loaded)?,
            #[cfg(feature = "lm")]
            Self::Language(trainer) => trainer.restore(loaded)?,
        }
        Ok(())
    }

    /// Train until `steps` steps are done in all, or until asked to stop.
    pub fn run(
        &mut self,
        folder: &mut RunFolder,
        steps: u64,
        control: &Control,
        on_update: &mut dyn FnMut(&Metrics),
    ) -> Result<Outcome> {
        Ok(match self {
            Self::Agent { trainer, .. } => trainer.run(folder, steps, control, on_update)?,
            #[cfg(feature = "meta")]
            Self::FewShot(trainer) => trainer.run(folder, steps, control, on_update)?,
            #[cfg(feature = "lm")]
            Self::Language(trainer) => trainer.run(folder, steps, control, on_update)?,
        })
    }
}
