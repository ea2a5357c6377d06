//! The training loop: one step of the initialisation after another.

use std::sync::atomic::Ordering;
use std::time::Instant;

use rayon::prelude::*;
use tony_random::Stream;
use tony_run::{Archive, Checkpoint, Control, Loaded, Metrics, Outcome, Plan, RunFolder, Times, phase, settings};

use crate::algorithms::{self, Method};
use crate::evaluate::{Drawing, Evaluator, Score};
use crate::inner::{self, Inner, Moments};
use crate::learner::{Learner, Losses};
use crate::tasks::{self, Family, Kind};
use crate::{Error, Result, minibatches, outer};

settings! {
    /// Run
    pub struct Config {
        /// Named set of settings to start from: default is the published one for the task (on Omniglot by `ways`), gradients the experiment
        /// on combinations of gradients.
        "preset" preset: String = "default".to_owned();
        /// Steps of the initialisation in all.
        "steps" steps: u64 = 100_000, (1..);
        /// Everything random in the run follows from this.
        "seed" seed: u64 = 0;
        /// Steps that share a line of the records, as means. A checkpoint falls on such a line.
        "log.updates" log_updates: u64 = 100, (1..=1_000_000);
        /// Seconds between checkpoints, at least; the last step is always committed.
        "checkpoint.seconds" checkpoint_seconds: f64 = 10.0, (0.0..=1e9);
    }
}

/// Quantities of reinforcement learning that every line of records has, and that there are none of here.
const NOTHING_TO_MEASURE: [&str; 5] = ["Metrics/EpRet", "Metrics/EpCost", "Metrics/EpLen", "Train/KL", "Train/Entropy"];

/// The seed in a plan.
pub(crate) fn seed(plan: &Plan) -> Result<u64> {
    Ok(plan.group::<Config>()?.seed)
}

/// A training: tasks, network, initialisation, optimisers, counter.
pub struct Trainer {
    config: Config,
    outer: outer::Config,
    inner: inner::Config,
    tasks: tasks::Config,
    family: Family,
    learner: Learner,
    method: Method,
    phi: Vec<f32>,
    /// One for each place of the meta-batch; the first alone where moments form a chain.
    inners: Vec<Inner>,
    steps: u64,
    /// Wall time of earlier processes of this run.
    earlier_seconds: f64,
    times: Times,
}

/// What one step of the initialisation tells.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Mean loss of an example over the minibatches inside the tasks.
    pub loss: f64,
    /// How far the initialisation moved.
    pub moved: f64,
    /// Epsilon.
    pub eps: f64,
}

impl Trainer {
    /// Build from a plan; reads the data. Everything that can be refused is refused here, before the first step.
    pub fn new(plan: &Plan) -> Result<Self> {
        Self::with_family(plan, Family::new(plan)?)
    }

    /// From a plan and tasks that are there already.
    pub fn with_family(plan: &Plan, family: Family) -> Result<Self> {
        let entry = algorithms::find(&plan.algorithm);
        let entry = entry.ok_or_else(|| {
            Error::invalid(format!("no few-shot algorithm is called `{}`", plan.algorithm), "tony list algos")
        })?;
        let (config, outer, inner, tasks): (Config, outer::Config, inner::Config, tasks::Config) =
            (plan.group()?, plan.group()?, plan.group()?, plan.group()?);
        let method = entry.build(plan)?;
        let learner = family.learner()?;
        let examples = family.train(config.seed, 0).targets.len();
        let needed = inner.batch * if method.separate_tail && inner.steps > 1 { 2 } else { 1 };
        if examples < needed {
            let twice = if needed > inner.batch { "twice " } else { "" };
            return Err(Error::invalid(
                format!("a training task has {examples} examples, and {twice}inner.batch={} are needed", inner.batch),
                format!("inner.batch={}", (examples * inner.batch / needed).max(1)),
            ));
        }
        let places = match inner.moments {
            Moments::Chain => 1,
            Moments::Places | Moments::Reset => outer.meta_batch,
        };
        let phi = learner.init(&mut Stream::new(config.seed, "init", 0));
        let inners = vec![Inner::new(&inner, phi.len()); places];
        Ok(Self {
            config,
            outer,
            inner,
            tasks,
            family,
            learner,
            method,
            phi,
            inners,
            steps: 0,
            earlier_seconds: 0.0,
            times: Times::default(),
        })
    }

    /// Go on from a checkpoint of a run with the same plan.
    pub fn restore(&mut self, loaded: &Loaded) -> Result<()> {
        self.restore_from(&loaded.policy, &loaded.trainer, loaded.steps)?;
        self.earlier_seconds = loaded.seconds;
        Ok(())
    }

    /// Go on from what [`Trainer::save`] wrote after `steps` steps.
    pub fn restore_from(&mut self, policy: &Archive, trainer: &Archive, steps: u64) -> Result<()> {
        let (then, now) = (policy.need_note("data")?, self.family.describe());
        if then != now {
            return Err(Error::invalid(
                format!("the run was trained on {then}, and {now} are here"),
                format!("data=PATH of the {then}"),
            ));
        }
        self.phi = policy.f32("phi", &[self.phi.len()])?;
        for (i, inner) in self.inners.iter_mut().enumerate() {
            inner.load(&format!("inner.{i}"), trainer)?;
        }
        self.steps = steps;
        Ok(())
    }

    /// Write the initialisation, and everything else that the next step depends on.
    pub fn save(&self, policy: &mut Archive, trainer: &mut Archive) -> Result<()> {
        policy.set_note("kind", "few-shot");
        policy.set_note("data", &self.family.describe());
        policy.put_f32("phi", &[self.phi.len()], &self.phi)?;
        for (i, inner) in self.inners.iter().enumerate() {
            inner.save(&format!("inner.{i}"), trainer)?;
        }
        Ok(())
    }

    /// Train until `steps` steps are done in all, or until asked to stop. Logs a line every `log.updates` steps, commits checkpoints.
    pub fn run(
        &mut self,
        folder: &mut RunFolder,
        steps: u64,
        control: &Control,
        on_update: &mut dyn FnMut(&Metrics),
    ) -> Result<Outcome> {
        let (start, mut committed) = (Instant::now(), Instant::now());
        control.steps.store(self.steps, Ordering::Relaxed);
        while self.steps < steps {
            control.phase.store(phase::UPDATE, Ordering::Relaxed);
            let clock = Instant::now();
            let count = (self.config.log_updates - self.steps % self.config.log_updates).min(steps - self.steps);
            let mut sum = Step::default();
            for _ in 0..count {
                let step = self.step(steps)?;
                sum = Step { loss: sum.loss + step.loss, moved: sum.moved + step.moved, eps: sum.eps + step.eps };
                control.steps.store(self.steps, Ordering::Relaxed);
            }
            let training = clock.elapsed().as_secs_f64();
            let records = Instant::now();
            let mut metrics = self.measure(count, sum)?;
            let seconds = self.earlier_seconds + start.elapsed().as_secs_f64();
            metrics.set("seconds", seconds);
            metrics.set("Time/FPS", count as f64 / clock.elapsed().as_secs_f64());
            let examples = count * (self.outer.meta_batch * self.inner.steps * self.inner.batch) as u64;
            metrics.set("Time/Examples", examples as f64 / training);
            let flops = examples * self.learner.flops_per_gradient();
            metrics.set("Time/GFLOPS", flops as f64 / training * 1e-9);
            self.times.update += training;
            self.times.update_flops += flops;
            folder.log(&metrics)?;
            let stop = control.stop.load(Ordering::Relaxed);
            let done = self.steps >= steps;
            if stop || done || committed.elapsed().as_secs_f64() >= self.config.checkpoint_seconds {
                control.phase.store(phase::CHECKPOINT, Ordering::Relaxed);
                self.commit(folder, seconds)?;
                committed = Instant::now();
            }
            self.times.other += records.elapsed().as_secs_f64();
            on_update(&metrics);
            if stop && !done {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }

    /// One step of the initialisation. `steps` is the length of the whole training, which epsilon follows.
    pub fn step(&mut self, steps: u64) -> Result<Step> {
        let (places, first) = (self.outer.meta_batch, self.steps * self.outer.meta_batch as u64);
        if self.inner.moments == Moments::Reset {
            let fresh = Inner::new(&self.inner, self.phi.len());
            self.inners.fill(fresh);
        }
        let mut inners = std::mem::take(&mut self.inners);
        let this = &*self;
        let told: Result<Vec<(Vec<f32>, f64)>> = if inners.len() == places && places > 1 {
            inners.par_iter_mut().enumerate().map(|(place, inner)| this.task(first + place as u64, inner)).collect()
        } else {
            let chain = inners.first_mut();
            let chain = chain.ok_or_else(|| Error::invalid("no task is learned from", "meta_batch=1"))?;
            (0..places).map(|place| this.task(first + place as u64, chain)).collect()
        };
        self.inners = inners;
        let (directions, losses): (Vec<Vec<f32>>, Vec<f64>) = told?.into_iter().unzip();
        let eps = outer::anneal(self.outer.start, self.outer.end, self.steps, steps);
        let before = self.phi.clone();
        outer::interpolate(&mut self.phi, &directions, eps);
        let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        let moved = self.phi.iter().zip(&before).map(square).sum::<f64>().sqrt();
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        for (quantity, value) in [("the loss", loss), ("the step of the initialisation", moved)] {
            if !value.is_finite() {
                self.phi = before;
                return Err(Error::NonFinite { quantity, update: self.steps + 1 });
            }
        }
        self.steps += 1;
        Ok(Step { loss, moved, eps })
    }

    /// The direction that training task number `number` gives, and its mean loss.
    fn task(&self, number: u64, inner: &mut Inner) -> Result<(Vec<f32>, f64)> {
        let examples = self.family.train(self.config.seed, number);
        let mut stream = Stream::new(self.config.seed, "minibatches", number);
        let inner::Config { batch, steps, replacement, .. } = self.inner;
        let all: Vec<usize> = (0..examples.targets.len()).collect();
        let batches = if self.method.separate_tail {
            let (tail, rest) = minibatches::split_tail(&examples.targets, self.learner.classes(), batch, &mut stream);
            let mut batches = minibatches::cycle(rest, batch, steps - 1, replacement, &mut stream);
            batches.push(tail);
            batches
        } else {
            minibatches::cycle(all, batch, steps, replacement, &mut stream)
        };
        let losses = Losses {
            count: batches.len(),
            gradient: &|i, theta, g| self.learner.gradient(theta, &examples, &batches[i], g),
            hessian_vector: &|i, theta, v, out| self.learner.hessian_vector(theta, v, &examples, &batches[i], out),
        };
        let mut direction = vec![0.0; self.phi.len()];
        let loss = (self.method.direction)(&losses, &self.phi, inner, &mut direction)?;
        Ok((direction, loss))
    }

    /// A line of the records after `count` steps that sum to `sum`.
    fn measure(&self, count: u64, sum: Step) -> Result<Metrics> {
        let mut metrics = Metrics::new();
        metrics.set("steps", self.steps as f64);
        metrics.set("updates", self.steps as f64);
        metrics.set("seconds", 0.0);
        NOTHING_TO_MEASURE.iter().for_each(|name| metrics.set_none(name));
        let fresh = self.steps * self.tasks.log_tasks as u64;
        let scores = self.evaluator().scores(self.config.seed, "log task", fresh, self.tasks.log_tasks)?;
        let mean = |pick: &dyn Fn(&Score) -> f64| {
            (!scores.is_empty()).then(|| scores.iter().map(pick).sum::<f64>() / scores.len() as f64)
        };
        let name = measure_name(self.family.kind());
        metrics.put(&format!("Metrics/{name}Before"), mean(&|score| score.before));
        metrics.put(&format!("Metrics/{name}After"), mean(&|score| score.after));
        let n = count as f64;
        metrics.set("Train/InnerLoss", sum.loss / n);
        metrics.set("Train/StepNorm", sum.moved / n);
        metrics.set("Train/Eps", sum.eps / n);
        Ok(metrics)
    }

    fn commit(&self, folder: &mut RunFolder, seconds: f64) -> Result<()> {
        let (mut policy, mut trainer) = (Archive::new(), Archive::new());
        self.save(&mut policy, &mut trainer)?;
        let checkpoint =
            Checkpoint { steps: self.steps, updates: self.steps, seconds, policy: &policy, trainer: &trainer };
        folder.commit(&checkpoint)?;
        Ok(())
    }

    fn evaluator(&self) -> Evaluator<'_> {
        Evaluator {
            family: &self.family,
            learner: &self.learner,
            config: &self.tasks,
            phi: &self.phi,
            // Evaluation begins with training's moments (of the first place).
            inner: &self.inners[0],
            replacement: self.inner.replacement,
        }
    }

    /// Scores of `count` new tasks, which are a function of `seed`.
    pub fn evaluate(&self, seed: u64, count: usize) -> Result<Vec<Score>> {
        self.evaluator().scores(seed, "test task", 0, count)
    }

    /// Pictures of the first `count` of the tasks that [`Trainer::evaluate`] scores.
    pub fn drawings(&self, seed: u64, count: usize) -> Result<Vec<Drawing>> {
        self.evaluator().drawings(seed, "test task", count)
    }

    /// Where the time of this process went: steps of the initialisation, and records with the tasks that they are measured on.
    pub fn times(&self) -> Times {
        self.times
    }

    /// Steps done in all.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// The initialisation.
    pub fn phi(&self) -> &[f32] {
        &self.phi
    }

    /// Which tasks these are.
    pub fn kind(&self) -> Kind {
        self.family.kind()
    }

    /// The tasks.
    pub fn family(&self) -> &Family {
        &self.family
    }

    /// What is learned.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// Steps on a new task.
    pub fn eval_steps(&self) -> usize {
        self.tasks.steps
    }

    /// Number of new tasks that a finished run is measured on.
    pub fn eval_tasks(&self) -> usize {
        self.tasks.tasks
    }
}

/// What scores of these tasks measure, in one word.
pub fn measure_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Sine => "Loss",
        Kind::Omniglot => "Accuracy",
    }
}
