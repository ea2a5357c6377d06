//! The trainings of a recipe: several at once, one thread each, each in a run folder of its own that goes on where it stopped.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tony_run::{Control, Exit, Manifest, Outcome, RunFolder};

use super::recipe::Planned;
use crate::failure::{Code, Failure, Result};
use crate::signals::Stop;
use crate::train::number;
use crate::workload::Algorithm;
use crate::{Common, console, world};

/// Seconds between lines of progress.
const EVERY: Duration = Duration::from_secs(15);

/// What is to be done.
pub struct Jobs<'a> {
    /// All trainings.
    pub planned: &'a [Planned],
    /// Folder of the reproduction.
    pub out: &'a Path,
    /// Trainings side by side.
    pub at_once: usize,
    /// What every verb gets.
    pub common: Common,
}

/// The run folder of a training.
pub fn folder_of(out: &Path, id: &str, seed: u64) -> PathBuf {
    out.join(format!("{id}-seed{seed}"))
}

/// Build each training once: what does not fit is refused, and what must be fetched is fetched, before the first step. Runs whose data is not
/// here are left out, with a line that says so.
pub fn check(planned: &mut Vec<Planned>, common: Common) -> Result<()> {
    let mut left_out = Vec::new();
    for first in planned.iter().filter(|planned| planned.seed == 0) {
        let Err(error) = Algorithm::find(&first.plan.algorithm)?.trainee(&first.plan, common.offline) else { continue };
        let Some(needs) = &first.needs else { return Err(error.at(format!("in the run `{}`", first.id))) };
        console::note(format!("the run `{}` is left out, for it needs {needs}: {}", first.id, error.what()));
        left_out.push(first.id.clone());
    }
    planned.retain(|planned| !left_out.contains(&planned.id));
    Ok(())
}

impl Jobs<'_> {
    /// Train whatever is not yet trained, until a signal asks to stop.
    pub fn run(&self, stop: &Stop) -> Result<()> {
        let controls: Vec<Arc<Control>> = self.planned.iter().map(|_| Arc::default()).collect();
        let (next, done) = (AtomicUsize::new(0), AtomicUsize::new(0));
        let failure = Mutex::new(None);
        let work = || {
            while !stop.asked() {
                let job = next.fetch_add(1, Ordering::Relaxed);
                let Some(planned) = self.planned.get(job) else { break };
                if let Err(error) = self.train(planned, &controls[job]) {
                    failure.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert(error);
                    next.store(self.planned.len(), Ordering::Relaxed);
                }
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        std::thread::scope(|scope| {
            let workers: Vec<_> = (0..self.at_once.min(self.planned.len())).map(|_| scope.spawn(work)).collect();
            let (began, mut told) = (Instant::now(), Instant::now());
            while workers.iter().any(|worker| !worker.is_finished()) {
                std::thread::sleep(Duration::from_millis(100));
                if stop.asked() {
                    controls.iter().for_each(|control| control.stop.store(true, Ordering::Relaxed));
                }
                if told.elapsed() > EVERY {
                    told = Instant::now();
                    console::note(self.progress(&controls, done.load(Ordering::Relaxed), began));
                }
            }
        });
        match failure.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(failure) => Err(failure),
            None => Ok(()),
        }
    }

    /// One line: how much is done, what is at work, how long it may take.
    fn progress(&self, controls: &[Arc<Control>], done: usize, began: Instant) -> String {
        let mut working = Vec::new();
        let (mut steps, mut all) = (0.0, 0.0);
        for (planned, control) in self.planned.iter().zip(controls) {
            let total = planned.plan.get("steps").and_then(|text| text.parse().ok()).unwrap_or(0.0_f64);
            let now = control.steps.load(Ordering::Relaxed) as f64;
            steps += now;
            all += total;
            if now > 0.0 && now < total {
                working.push(format!("{} seed {} {:.0} %", planned.id, planned.seed, 100.0 * now / total));
            }
        }
        let left = began.elapsed().as_secs_f64() * (all / steps.max(1.0) - 1.0);
        format!(
            "{done} of {} trainings done; {}; about {} left",
            self.planned.len(),
            working.join(", "),
            console::duration(left.max(0.0))
        )
    }

    /// Train one to its end, from wherever it stands.
    fn train(&self, planned: &Planned, control: &Control) -> Result<()> {
        let total: u64 = number(&planned.plan, "steps")?;
        let dir = folder_of(self.out, &planned.id, planned.seed);
        let begun = dir.exists();
        let mut folder = if begun {
            let folder = RunFolder::open(&dir)?;
            if folder.plan().entries != planned.plan.entries {
                return Err(Failure::usage("other_plan", format!("{} was begun with other settings", dir.display()))
                    .hint("use another folder: --out DIR"));
            }
            if folder.exit()?.is_some_and(|exit| exit.code == Code::Done as i32 || exit.code == Code::Failed as i32) {
                control.steps.store(total, Ordering::Relaxed);
                return Ok(());
            }
            folder
        } else {
            let mut manifest = Manifest::new(planned.seed, 1);
            manifest.commit = option_env!("TONY_COMMIT").map(str::to_owned);
            RunFolder::create(&dir, &planned.plan, &manifest)?
        };
        world::with_threads(std::num::NonZeroUsize::new(1), |_| {
            let algorithm = Algorithm::find(&planned.plan.algorithm)?;
            let mut trainer = algorithm.trainee(&planned.plan, self.common.offline)?;
            let loaded = folder.latest()?;
            if let Some(loaded) = &loaded {
                trainer.restore(loaded)?;
            }
            if begun {
                folder.resume(loaded.as_ref())?;
            }
            let (mut updates, mut seconds) = loaded.map_or((0, 0.0), |loaded| (loaded.updates, loaded.seconds));
            let outcome = trainer.run(&mut folder, total, control, &mut |metrics| {
                updates = metrics.get("updates").unwrap_or(0.0) as u64;
                seconds = metrics.get("seconds").unwrap_or(0.0);
            });
            let (code, reason) = match &outcome {
                Ok(Outcome::Finished) => (Code::Done, "finished".to_owned()),
                Ok(Outcome::Stopped) => return Ok(()),
                // That a training breaks down can be the result: its records up to there are judged.
                Err(error) if error.kind() == "not_finite" => (Code::Failed, error.what().to_owned()),
                Err(_) => return outcome.map(|_| ()),
            };
            Ok(folder.finish(&Exit {
                code: code as i32,
                reason,
                steps: trainer.steps(),
                updates,
                seconds,
                resume: None,
            })?)
        })
    }
}
