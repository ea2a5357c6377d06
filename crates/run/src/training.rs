//! What all trainings share: lines of the records, checkpoints, and the loop from one to the next.

use std::sync::atomic::Ordering;
use std::time::Instant;

use crate::control::phase;
use crate::{Archive, Checkpoint, Control, Error, Loaded, Metrics, Outcome, Part, RunFolder, Times};

/// How far a training has come.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Tally {
    /// Steps done in all.
    pub steps: u64,
    /// Updates done in all.
    pub updates: u64,
    /// Wall time of earlier processes of this run.
    pub earlier_seconds: f64,
    /// Where the time of this process went.
    pub times: Times,
}

/// Quantities that every line of the records has, of agents.
const OF_AGENTS: [&str; 5] = ["Metrics/EpRet", "Metrics/EpCost", "Metrics/EpLen", "Train/KL", "Train/Entropy"];

impl Tally {
    /// The beginning of a line of the records.
    pub fn line(&self) -> Metrics {
        let mut metrics = Metrics::new();
        metrics.set("steps", self.steps as f64);
        metrics.set("updates", self.updates as f64);
        metrics.set("seconds", self.earlier_seconds);
        metrics
    }

    /// The same where nothing acts.
    pub fn line_without_agent(&self) -> Metrics {
        let mut metrics = self.line();
        OF_AGENTS.iter().for_each(|name| metrics.set_none(name));
        metrics
    }
}

/// A training, in a run folder or without one.
pub trait Training {
    /// What can go wrong.
    type Error: From<Error>;

    /// How far it has come.
    fn tally(&self) -> &Tally;

    /// The same, to be changed.
    fn tally_mut(&mut self) -> &mut Tally;

    /// Seconds between checkpoints, at least.
    fn checkpoint_seconds(&self) -> f64;

    /// Learn until a line of the records is due, at most to the end of a training of `steps` steps, and measure what the line tells.
    fn advance(&mut self, steps: u64, control: &Control) -> Result<Metrics, Self::Error>;

    /// Write what was learned, and everything else that the next step depends on.
    fn save(&self, policy: &mut Archive, trainer: &mut Archive) -> Result<(), Self::Error>;

    /// Read what [`Training::save`] wrote.
    fn load(&mut self, policy: &Archive, trainer: &Archive) -> Result<(), Self::Error>;

    /// What is committed beside [`Training::save`].
    fn parts(&self) -> Vec<Part<'_>> {
        Vec::new()
    }

    /// Read [`Training::parts`], after [`Training::load`]; `read` gives one by its name.
    fn load_parts(&mut self, _read: &dyn Fn(&str) -> crate::Result<Archive>) -> Result<(), Self::Error> {
        Ok(())
    }

    /// Steps done in all.
    fn steps(&self) -> u64 {
        self.tally().steps
    }

    /// Take steps up to the next multiple of `every`, where a line of the records is due, at most until `steps` are done in all: how many
    /// that were, and the seconds that they took.
    fn take_steps(
        &mut self,
        every: u64,
        steps: u64,
        control: &Control,
        step: &mut dyn FnMut(&mut Self) -> Result<(), Self::Error>,
    ) -> Result<(u64, f64), Self::Error> {
        control.phase.store(phase::UPDATE, Ordering::Relaxed);
        let clock = Instant::now();
        let count = (every - self.steps() % every).min(steps - self.steps());
        for _ in 0..count {
            step(self)?;
            control.steps.store(self.steps(), Ordering::Relaxed);
        }
        let seconds = clock.elapsed().as_secs_f64();
        self.tally_mut().times.update += seconds;
        Ok((count, seconds))
    }

    /// Go on from a checkpoint of a run with the same plan.
    fn restore(&mut self, loaded: &Loaded) -> Result<(), Self::Error> {
        self.load(&loaded.policy, &loaded.trainer)?;
        self.load_parts(&|name| loaded.part(name))?;
        let times = self.tally().times;
        *self.tally_mut() =
            Tally { steps: loaded.steps, updates: loaded.updates, earlier_seconds: loaded.seconds, times };
        Ok(())
    }

    /// Train until `steps` steps are done in all, or until asked to stop: log lines, commit checkpoints.
    fn run(
        &mut self,
        folder: &mut RunFolder,
        steps: u64,
        control: &Control,
        on_line: &mut dyn FnMut(&Metrics),
    ) -> Result<Outcome, Self::Error> {
        let (start, mut committed) = (Instant::now(), Instant::now());
        control.steps.store(self.steps(), Ordering::Relaxed);
        while self.steps() < steps {
            let (clock, before) = (Instant::now(), *self.tally());
            let mut metrics = self.advance(steps, control)?;
            let seconds = self.tally().earlier_seconds + start.elapsed().as_secs_f64();
            metrics.set("seconds", seconds);
            metrics.set("Time/FPS", (self.steps() - before.steps) as f64 / clock.elapsed().as_secs_f64());
            folder.log(&metrics)?;
            let stop = control.stop.load(Ordering::Relaxed);
            let done = self.steps() >= steps;
            if stop || done || committed.elapsed().as_secs_f64() >= self.checkpoint_seconds() {
                control.phase.store(phase::CHECKPOINT, Ordering::Relaxed);
                let (mut policy, mut trainer) = (Archive::new(), Archive::new());
                self.save(&mut policy, &mut trainer)?;
                let Tally { steps, updates, .. } = *self.tally();
                let checkpoint = Checkpoint { steps, updates, seconds, policy: &policy, trainer: &trainer };
                folder.commit(&checkpoint, &self.parts())?;
                committed = Instant::now();
            }
            let times = &mut self.tally_mut().times;
            times.other += clock.elapsed().as_secs_f64() - (times.learning() - before.times.learning());
            on_line(&metrics);
            if stop && !done {
                return Ok(Outcome::Stopped);
            }
        }
        Ok(Outcome::Finished)
    }
}
