//! From a trainer that is ready to a finished, or cleanly stopped, run: what `train` and `resume` share.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use serde_json::{Map, Value, json};
use tony_run::{Control, Exit, Outcome, Plan, RunFolder};

use crate::eval;
use crate::failure::{Code, Failure, Result};
#[cfg(feature = "meta")]
use crate::few_shot;
#[cfg(feature = "lm")]
use crate::language;
use crate::panel::Panel;
use crate::progress::{AGENT, Lines, Progress, channels};
use crate::report::{self, Evaluation, RunReport};
use crate::signals::{Stop, TRAINING};
use crate::train::number;
use crate::workload::{Algorithm, Trainee};
use crate::{Common, console};

/// Deterministic episodes at the end of a run, and how many of them are recorded to be looked at.
const EPISODES: usize = 10;
const RECORDED: usize = 3;
/// The same where a policy has options: as many as a report replays. Every option is played as often, and at least once.
const RECORDED_OPTIONS: usize = 6;

/// A run that is about to begin or to go on.
pub struct Training {
    /// Its folder, locked.
    pub folder: RunFolder,
    /// Restored where the run goes on.
    pub trainee: Trainee,
    /// What it was asked to do.
    pub plan: Plan,
    /// The algorithm's title.
    pub title: &'static str,
    /// Updates done and seconds worked before this process.
    pub before: (u64, f64),
    /// Worker threads.
    pub threads: usize,
    /// Show nothing but the end.
    pub quiet: bool,
}

/// Train to the end or to a clean stop, and say what to type next.
pub fn run(mut training: Training, common: Common) -> Result<Code> {
    let total: u64 = number(&training.plan, "steps")?;
    let control = Arc::new(Control::default());
    control.steps.store(training.trainee.steps(), Ordering::Relaxed);
    let stop = Stop::install(control.clone(), TRAINING)?;
    let progress = Arc::new(Progress {
        title: training.title.to_owned(),
        env: training.plan.env.clone(),
        run: training.folder.dir().display().to_string(),
        first: training.trainee.steps(),
        total,
        channels: channels(&training.plan, training.trainee.costs()),
        measures: match &training.trainee {
            Trainee::Agent { .. } => AGENT,
            #[cfg(feature = "meta")]
            Trainee::FewShot(trainer) => few_shot::measures(trainer),
            #[cfg(feature = "lm")]
            Trainee::Language(trainer) => language::measures(trainer),
        },
        control: control.clone(),
        started: Instant::now(),
        history: Mutex::default(),
    });
    // Results alone go to standard output where a program reads it.
    let say = |text: &str| {
        if common.json {
            console::note(text);
        } else {
            let _ = console::print(text);
        }
    };
    if !training.quiet {
        say(&headline(&training, total));
    }
    let watched = !training.quiet && !common.json && console::can_show_a_panel();
    let panel = watched.then(|| Panel::start(progress.clone(), stop.clone())).transpose()?;
    let resume = format!("tony resume {}", progress.run);
    let last_words = resume.clone();
    tony_mujoco::on_fatal(move |text| {
        // The library has told it, but on a screen that goes away.
        if console::on_screen() {
            console::leave_screen();
            console::note(format!("error: {text}\ntry: {last_words}"));
        }
    });
    let mut lines = Lines::default();
    let outcome = training.trainee.run(&mut training.folder, total, &control, &mut |metrics| {
        progress.push(metrics);
        if panel.is_none() && !training.quiet {
            // A closed pipe takes nobody's training away.
            say(&lines.next(&progress.columns(metrics)));
        }
    });
    drop(panel);
    for warning in training.folder.take_warnings() {
        console::note(format!("warning: {warning}"));
    }
    let (updates, seconds) = progress.done().unwrap_or(training.before);
    let exit = |code: Code, reason: String| Exit {
        code: code as i32,
        reason,
        steps: training.trainee.steps(),
        updates,
        seconds,
        resume: (code != Code::Done).then(|| resume.clone()),
    };
    match outcome {
        Err(error) => {
            let exit = exit(Code::Failed, error.what().to_owned());
            let failure = error.at(format!("in {}", progress.run)).resumable(&resume);
            // The first failure is the one to tell, also where the disk that is full cannot take this line.
            let _ = training.folder.finish(&exit);
            Err(failure)
        }
        Ok(Outcome::Stopped) => {
            let exit = exit(stop.code(), "stopped by a signal".into());
            training.folder.finish(&exit)?;
            console::note(format!(
                "stopped and committed at {} of {} steps\ntry: {resume}",
                console::thousands(exit.steps),
                console::thousands(total)
            ));
            if common.json {
                console::print_json(
                    &json!({"run": progress.run, "steps": exit.steps, "seconds": exit.seconds, "final": null, "resume": resume}),
                )?;
            }
            Ok(stop.code())
        }
        Ok(Outcome::Finished) => {
            let exit = exit(Code::Done, "finished".into());
            let finding = finish(&mut training, &exit, &progress, common)?;
            let object = json!({
                "run": progress.run, "steps": exit.steps, "seconds": exit.seconds, "final": finding.object,
            });
            console::answer(common.json, &object, || summary(&progress, &exit, &finding))?;
            Ok(Code::Done)
        }
    }
}

/// What a finished run is worth.
pub struct Finding {
    /// For programs.
    pub object: Value,
    /// What was measured, for people.
    pub about: String,
    /// The numbers, as rows of a table.
    pub rows: Vec<Vec<String>>,
    /// Verbs to type next, before the run's name.
    pub next: &'static [&'static str],
}

/// Evaluate, record, write the report, and only then say that the run is finished.
fn finish(training: &mut Training, exit: &Exit, progress: &Progress, common: Common) -> Result<Finding> {
    let Training { folder, trainee, plan, .. } = training;
    let trainer = match trainee {
        Trainee::Agent { trainer, .. } => trainer,
        #[cfg(feature = "meta")]
        Trainee::FewShot(trainer) => return few_shot::finish(folder, trainer, exit),
        #[cfg(feature = "lm")]
        Trainee::Language(trainer) => return language::finish(folder, trainer, exit),
    };
    let checkpoint = folder.latest()?.map(|loaded| loaded.name).unwrap_or_default();
    let (episodes, recorded) = match trainer.actor().options() {
        0 => (EPISODES, RECORDED),
        options => (EPISODES.next_multiple_of(options), RECORDED_OPTIONS.min(options)),
    };
    let task = eval::Task {
        run: folder.dir(),
        checkpoint: &checkpoint,
        steps: exit.steps,
        episodes,
        recorded,
        seed: number(plan, "seed")?,
    };
    let eval::Measured { evaluation, recordings, traces } = trainee.measure(&task, plan, common.offline)?;
    for (i, recording) in recordings.iter().enumerate() {
        folder.write_episode(&format!("{:010}-{i}", exit.steps), &recording.to_json()?)?;
    }
    if let Some(traces) = traces {
        let text = serde_json::to_string(&traces).map_err(|error| Failure::failed("report", error.to_string()))?;
        folder.write_options(&text)?;
    }
    folder.finish(exit)?;
    let report = RunReport::from_folder(folder, Some(evaluation.clone()))?;
    folder.write_report(&report::run_report(&report))?;
    let mut rows = vec![vec!["  return".to_owned(), console::stat(&evaluation.total)]];
    for (name, cost) in &evaluation.costs {
        let limit = progress.channels.iter().find(|c| &c.name == name).and_then(|c| c.limit);
        let verdict =
            limit.map(|limit| format!("{} the limit {limit}", if cost.mean <= limit { "within" } else { "over" }));
        rows.push(vec![format!("  {name}"), console::stat(cost), verdict.unwrap_or_default()]);
    }
    rows.push(vec!["  length".to_owned(), console::stat(&evaluation.length)]);
    Ok(Finding {
        object: flat(&evaluation),
        about: format!("{} fresh episodes of the deterministic policy", evaluation.episodes),
        rows,
        next: if Algorithm::find(&plan.algorithm)?.can_be_watched(&plan.env) {
            &["play", "eval"]
        } else {
            &["generate", "eval"]
        },
    })
}

/// Return, costs and length side by side.
fn flat(evaluation: &Evaluation) -> Value {
    let mut object = Map::from_iter([("return".to_owned(), json!(evaluation.total))]);
    object.extend(evaluation.costs.iter().map(|(name, stat)| (name.clone(), json!(stat))));
    object.insert("length".to_owned(), json!(evaluation.length));
    Value::Object(object)
}

/// One line of what will happen.
fn headline(training: &Training, total: u64) -> String {
    let Training { plan, title, threads, folder, trainee, .. } = training;
    let limits: Vec<String> = channels(plan, trainee.costs())
        .into_iter()
        .filter_map(|channel| {
            let name = if channel.name == "cost" { String::new() } else { channel.name + " " };
            Some(format!(", {name}limit {}", channel.limit?))
        })
        .collect();
    let from = match trainee.steps() {
        0 => String::new(),
        steps => format!(" from step {}", console::thousands(steps)),
    };
    format!(
        "{title} on {}{from}: {} steps{}, seed {}, {threads} thread{}, run folder {}",
        plan.env,
        console::thousands(total),
        limits.concat(),
        plan.get("seed").unwrap_or("0"),
        if *threads == 1 { "" } else { "s" },
        folder.dir().display(),
    )
}

/// Where things are, and what to type next.
fn summary(progress: &Progress, exit: &Exit, finding: &Finding) -> String {
    let run = &progress.run;
    let report = Path::new(run).join("report.html");
    let next: Vec<String> = finding
        .next
        .iter()
        .map(|verb| {
            let more = match *verb {
                "generate" => " --prompt TEXT",
                "eval" => " --episodes 100",
                _ => "",
            };
            format!("\n  tony {verb} {run}{more}")
        })
        .collect();
    format!(
        "finished {} steps in {}; {}, mean [95 % interval]:\n{}\nreport: {}\nnext:{}\n  tony compare runs/*",
        console::thousands(exit.steps),
        console::duration(exit.seconds),
        finding.about,
        console::table(&finding.rows),
        report.display(),
        next.concat(),
    )
}
