//! The training loop: the only place that loops over updates.

use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU64, Ordering};
use std::time::Instant;

use tony_env::{Env, Spec, Step};
use tony_random::Stream;
use tony_run::{Archive, Checkpoint, Loaded, Metrics, Plan, RunFolder, settings};

use crate::algorithm::Algorithm;
use crate::algorithms;
use crate::collector::Collector;
use crate::policy::{MlpPolicy, Policy, Scratch};
use crate::rollout::Rollout;
use crate::{Error, Result};

settings! {
    /// Run
    pub struct Config {
        /// Named set of settings to start from; `tony list algos` names them.
        "preset" preset: String = "default".to_owned();
        /// Environment steps in all; rounded up to whole updates.
        "steps" steps: u64 = 1_000_000, (1..);
        /// Everything random in the run follows from this.
        "seed" seed: u64 = 0;
        /// Environments that are stepped side by side. A part of the experiment: results depend on it (never on the number of threads).
        "envs" envs: usize = 4, (1..=4096);
        /// Environment steps an update, over all environments.
        "steps_per_update" steps_per_update: usize = 20_000, (1..=100_000_000);
        /// Seconds between checkpoints, at least; the last update is always committed.
        "checkpoint.seconds" checkpoint_seconds: f64 = 10.0, (0.0..=1e9);
    }
}

/// Shared with whoever watches or stops a training.
#[derive(Debug, Default)]
pub struct Control {
    /// Set it, and the training ends after the present update.
    pub stop: AtomicBool,
    /// Environment steps made so far.
    pub steps: AtomicU64,
    /// What is going on: see [`phase`].
    pub phase: AtomicU8,
}

/// Values of [`Control::phase`].
pub mod phase {
    /// Environments and policy at work.
    pub const COLLECT: u8 = 0;
    /// The algorithm learns.
    pub const UPDATE: u8 = 1;
    /// A checkpoint is written.
    pub const CHECKPOINT: u8 = 2;
}

/// Where the wall time of this process's training went, in seconds. Physics and policy share the collecting time in proportion to
/// their CPU time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Times {
    /// Environments.
    pub physics: f64,
    /// The policy while collecting.
    pub policy: f64,
    /// The algorithm.
    pub update: f64,
    /// Metrics and checkpoints.
    pub other: f64,
    /// Floating-point operations in the algorithm's products (see [`tony_nn::flop_count`]).
    pub update_flops: u64,
}

/// How a training ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All steps are done.
    Finished,
    /// It was asked to stop; everything up to the last update is committed.
    Stopped,
}

/// A training: environments, algorithm, counters.
pub struct Trainer {
    config: Config,
    spec: Spec,
    collector: Collector,
    rollout: Rollout,
    algorithm: Box<dyn Algorithm>,
    updates: u64,
    /// Wall time of earlier processes of this run.
    earlier_seconds: f64,
    times: Times,
}

impl Trainer {
    /// Build from a plan and its `envs` environments. Everything that can be refused is refused here, before the first step.
    pub fn new(plan: &Plan, envs: Vec<Box<dyn Env>>) -> Result<Self> {
        let config: Config = plan.group()?;
        let spec = envs.first().map(|env| env.spec().clone()).ok_or_else(|| Error::Invalid {
            what: "a training needs an environment".to_owned(),
            hint: "set envs to 1 or more".to_owned(),
        })?;
        let algorithm = algorithms::find(&plan.algorithm)?.build(plan, &spec, config.seed)?;
        let rows = config.steps_per_update;
        let collector = Collector::new(envs, config.seed, rows)?;
        let rollout = Rollout::new(spec.obs_dim, spec.action.row_len(), spec.costs.len(), rows);
        Ok(Self {
            config,
            spec,
            collector,
            rollout,
            algorithm,
            updates: 0,
            earlier_seconds: 0.0,
            times: Times::default(),
        })
    }

    /// Go on from a checkpoint of a run with the same plan.
    pub fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        self.restore_from(&loaded.policy, &loaded.trainer, loaded.updates)?;
        self.earlier_seconds = loaded.seconds;
        Ok(())
    }

    /// Go on from what [`Trainer::save`] wrote after `updates` updates.
    pub fn restore_from(&mut self, policy: &Archive, trainer: &Archive, updates: u64) -> Result<()> {
        self.algorithm.learner_mut().policy.load(policy)?;
        self.algorithm.load(trainer)?;
        self.collector.load(trainer)?;
        self.updates = updates;
        Ok(())
    }

    /// Write the deployable policy, and everything else that the next update depends on.
    pub fn save(&self, policy: &mut Archive, trainer: &mut Archive) -> Result<()> {
        self.algorithm.learner().policy.save(policy)?;
        self.algorithm.save(trainer)?;
        self.collector.save(trainer)
    }

    /// Train until `steps` steps are done in all, or until asked to stop. Logs every update, commits checkpoints.
    pub fn run(
        &mut self,
        folder: &mut RunFolder,
        steps: u64,
        control: &Control,
        on_update: &mut dyn FnMut(&Metrics),
    ) -> Result<Outcome> {
        let start = Instant::now();
        let mut committed = Instant::now();
        control.steps.store(self.steps(), Ordering::Relaxed);
        while self.steps() < steps {
            let clock = Instant::now();
            let before = self.times;
            let mut metrics = self.update(steps, control)?;
            let logging = Instant::now();
            let seconds = self.earlier_seconds + start.elapsed().as_secs_f64();
            metrics.set("seconds", seconds);
            metrics.set("Time/FPS", self.rollout.rows() as f64 / clock.elapsed().as_secs_f64());
            metrics.set("Time/Physics", self.times.physics - before.physics);
            metrics.set("Time/Policy", self.times.policy - before.policy);
            metrics.set("Time/Update", self.times.update - before.update);
            folder.log(&metrics)?;
            let stop = control.stop.load(Ordering::Relaxed);
            let done = self.steps() >= steps;
            if stop || done || committed.elapsed().as_secs_f64() >= self.config.checkpoint_seconds {
                control.phase.store(phase::CHECKPOINT, Ordering::Relaxed);
                self.commit(folder, seconds)?;
                committed = Instant::now();
            }
            self.times.other += logging.elapsed().as_secs_f64();
            on_update(&metrics);
            if stop && !done {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }

    /// Collect one batch and learn from it, without records. `steps` is the length of the whole training, which schedules follow.
    pub fn update(&mut self, steps: u64, control: &Control) -> Result<Metrics> {
        control.phase.store(phase::COLLECT, Ordering::Relaxed);
        let clock = Instant::now();
        self.rollout.update = self.updates;
        self.rollout.progress = (self.steps() as f64 / steps as f64).min(1.0);
        let learner = self.algorithm.learner();
        let cpu = self.collector.collect(learner.policy.as_ref(), &mut self.rollout, &control.steps)?;
        let wall = clock.elapsed().as_secs_f64();
        let share = cpu.physics / (cpu.physics + cpu.policy).max(f64::MIN_POSITIVE);
        self.times.physics += wall * share;
        self.times.policy += wall * (1.0 - share);

        control.phase.store(phase::UPDATE, Ordering::Relaxed);
        let clock = Instant::now();
        let in_update = |error: Error| error.in_update(self.updates + 1);
        if let Some((quantity, row)) = self.rollout.first_non_finite() {
            return Err(in_update(Error::non_finite(quantity, row)));
        }
        let mut metrics = Metrics::new();
        metrics.set("steps", (self.steps() + self.rollout.rows() as u64) as f64);
        metrics.set("updates", (self.updates + 1) as f64);
        metrics.set("seconds", 0.0);
        metrics.put("Metrics/EpRet", self.rollout.mean_return());
        let total = self.spec.costs.iter().position(|name| name == "cost");
        metrics.put("Metrics/EpCost", total.and_then(|channel| self.rollout.mean_cost(channel)));
        metrics.put("Metrics/EpLen", self.rollout.mean_length());
        for (channel, name) in self.spec.costs.iter().enumerate().filter(|(channel, _)| Some(*channel) != total) {
            metrics.put(&format!("Cost/{name}"), self.rollout.mean_cost(channel));
        }
        let flops = tony_nn::flop_count();
        self.algorithm.update(&self.rollout, &mut metrics).map_err(in_update)?;
        self.times.update_flops += tony_nn::flop_count() - flops;
        self.updates += 1;
        self.times.update += clock.elapsed().as_secs_f64();
        Ok(metrics)
    }

    fn commit(&self, folder: &mut RunFolder, seconds: f64) -> Result<()> {
        let (mut policy, mut trainer) = (Archive::new(), Archive::new());
        self.save(&mut policy, &mut trainer)?;
        let (steps, updates) = (self.steps(), self.updates);
        folder.commit(&Checkpoint { steps, updates, seconds, policy: &policy, trainer: &trainer })?;
        Ok(())
    }

    /// The policy as it is.
    pub fn policy(&self) -> &dyn Policy {
        self.algorithm.learner().policy.as_ref()
    }

    /// Environment steps done in all.
    pub fn steps(&self) -> u64 {
        self.updates * self.config.steps_per_update as u64
    }

    /// The algorithm as it is.
    pub fn algorithm(&self) -> &dyn Algorithm {
        self.algorithm.as_ref()
    }

    /// What the environments are.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }

    /// Where the time of this process went.
    pub fn times(&self) -> Times {
        self.times
    }
}

/// The deployable policy in a checkpoint, for an environment of its shape.
pub fn load_policy(archive: &Archive, spec: &Spec) -> Result<Box<dyn Policy>> {
    Ok(Box::new(MlpPolicy::from_archive(archive, spec.obs_dim, &spec.action)?))
}

/// Sums over one evaluated episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeSums {
    /// Undiscounted return.
    pub ret: f64,
    /// Undiscounted cost by channel.
    pub costs: Vec<f64>,
    /// Length in steps.
    pub length: usize,
}

/// Run the deterministic policy for `episodes` fresh episodes, each a function of `seed` and its number. `observe` sees the environment
/// after every reset (no step) and step.
pub fn evaluate(
    policy: &dyn Policy,
    env: &mut dyn Env,
    episodes: usize,
    seed: u64,
    observe: &mut dyn FnMut(usize, &dyn Env, Option<&Step>, &[f64]),
) -> Result<Vec<EpisodeSums>> {
    let spec = env.spec().clone();
    let (mut obs, mut narrow) = (vec![0.0; spec.obs_dim], vec![0.0_f32; spec.obs_dim]);
    let (mut action, mut act) = (vec![0.0; spec.action.row_len()], vec![0.0_f32; spec.action.row_len()]);
    let mut costs = vec![0.0; spec.costs.len()];
    let mut scratch = Scratch::default();
    let mut all = Vec::with_capacity(episodes);
    for episode in 0..episodes {
        let episode_seed = Stream::new(seed, "evaluation", episode as u64).bits() >> 32;
        env.reset(episode_seed, &mut obs)?;
        costs.fill(0.0);
        observe(episode, env, None, &costs);
        let mut sums = EpisodeSums { ret: 0.0, costs: vec![0.0; costs.len()], length: 0 };
        loop {
            narrow.iter_mut().zip(&obs).for_each(|(n, w)| *n = *w as f32);
            policy.mode(&narrow, &mut act, &mut scratch);
            action.iter_mut().zip(&act).for_each(|(w, n)| *w = f64::from(*n));
            let step = env.step(&action, &mut obs, &mut costs)?;
            observe(episode, env, Some(&step), &costs);
            sums.ret += step.reward;
            sums.costs.iter_mut().zip(&costs).for_each(|(sum, cost)| *sum += cost);
            sums.length += 1;
            if step.terminated || step.truncated {
                break;
            }
        }
        all.push(sums);
    }
    Ok(all)
}
