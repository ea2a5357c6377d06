//! A training: one step of the initialisation after another.

use rayon::prelude::*;
use tony_random::Stream;
use tony_run::{Archive, Control, Metrics, Plan, Tally, Training, settings};

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
    tally: Tally,
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
        Ok(Self { config, outer, inner, tasks, family, learner, method, phi, inners, tally: Tally::default() })
    }

    /// One step of the initialisation. `steps` is the length of the whole training, which epsilon follows.
    pub fn step(&mut self, steps: u64) -> Result<Step> {
        let (places, first) = (self.outer.meta_batch, self.tally.steps * self.outer.meta_batch as u64);
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
        let eps = outer::anneal(self.outer.start, self.outer.end, self.tally.steps, steps);
        let before = self.phi.clone();
        outer::interpolate(&mut self.phi, &directions, eps);
        let square = |(a, b): (&f32, &f32)| f64::from(a - b).powi(2);
        let moved = self.phi.iter().zip(&before).map(square).sum::<f64>().sqrt();
        let loss = losses.iter().sum::<f64>() / losses.len() as f64;
        for (quantity, value) in [("the loss", loss), ("the step of the initialisation", moved)] {
            if !value.is_finite() {
                self.phi = before;
                return Err(Error::NonFinite { quantity, update: self.tally.steps + 1 });
            }
        }
        self.tally.steps += 1;
        self.tally.updates += 1;
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
        let mut metrics = self.tally.line_without_agent();
        let fresh = self.tally.steps * self.tasks.log_tasks as u64;
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

impl Training for Trainer {
    type Error = Error;

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn checkpoint_seconds(&self) -> f64 {
        self.config.checkpoint_seconds
    }

    fn advance(&mut self, steps: u64, control: &Control) -> Result<Metrics> {
        let mut sum = Step::default();
        let (count, seconds) = self.take_steps(self.config.log_updates, steps, control, &mut |trainer| {
            let step = trainer.step(steps)?;
            sum = Step { loss: sum.loss + step.loss, moved: sum.moved + step.moved, eps: sum.eps + step.eps };
            Ok(())
        })?;
        let mut metrics = self.measure(count, sum)?;
        let examples = count * (self.outer.meta_batch * self.inner.steps * self.inner.batch) as u64;
        metrics.set("Time/Examples", examples as f64 / seconds);
        let flops = examples * self.learner.flops_per_gradient();
        metrics.set("Time/GFLOPS", flops as f64 / seconds * 1e-9);
        self.tally.times.update_flops += flops;
        Ok(metrics)
    }

    fn save(&self, policy: &mut Archive, trainer: &mut Archive) -> Result<()> {
        policy.set_note("kind", "few-shot");
        policy.set_note("data", &self.family.describe());
        policy.put_f32("phi", &[self.phi.len()], &self.phi)?;
        for (i, inner) in self.inners.iter().enumerate() {
            inner.save(&format!("inner.{i}"), trainer)?;
        }
        Ok(())
    }

    fn load(&mut self, policy: &Archive, trainer: &Archive) -> Result<()> {
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
        Ok(())
    }
}

/// What scores of these tasks measure, in one word.
pub fn measure_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Sine => "Loss",
        Kind::Omniglot => "Accuracy",
    }
}
