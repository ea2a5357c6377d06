//! What is different about few-shot learners: they are measured on new tasks, before and after adapting to each.

use std::path::Path;

use serde::Serialize;
use serde_json::json;
use tony_meta::tasks::Kind;
use tony_meta::{Drawing, Score, Trainer};
use tony_run::{Exit, Loaded, RunFolder, RunView, Stat, Training, stats};

use crate::failure::{Code, Failure, Result};
use crate::progress::Measures;
use crate::report::{self, RunReport};
use crate::training::Finding;
use crate::{Common, console};

/// New tasks that the report draws.
const DRAWN: usize = 6;

/// What new tasks showed; its JSON is what `tony eval --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Evaluation {
    /// The run.
    pub run: String,
    /// Name of the checkpoint that was evaluated.
    pub checkpoint: String,
    /// Number of tasks.
    pub episodes: usize,
    /// The higher the better: accuracy after adaptation, or the error's negative.
    #[serde(rename = "return")]
    pub total: Stat,
    /// Tasks have no costs.
    pub costs: serde_json::Map<String, serde_json::Value>,
    /// Steps of adaptation.
    pub length: Stat,
    /// `loss` or `accuracy`: what is measured.
    pub measure: &'static str,
    /// At the initialisation.
    pub before: Stat,
    /// After adaptation.
    pub after: Stat,
    /// Half of the tasks are below it.
    pub median: f64,
    /// After adaptation, where pictures are told apart in each other's company, and where each is alone with the known ones.
    pub transductive: Option<Stat>,
    /// See there.
    pub alone: Option<Stat>,
}

impl Evaluation {
    fn new(run: &Path, checkpoint: &str, trainer: &Trainer, scores: &[Score]) -> Result<Self> {
        let (kind, steps) = (trainer.kind(), trainer.eval_steps() as f64);
        let stat =
            |pick: &dyn Fn(&Score) -> Option<f64>| stats::mean(&scores.iter().filter_map(pick).collect::<Vec<f64>>());
        let need = |stat: Option<Stat>| stat.ok_or_else(|| Failure::usage("bad_argument", "no tasks were asked for"));
        let sign = if kind == Kind::Sine { -1.0 } else { 1.0 };
        let mut sorted: Vec<f64> = scores.iter().map(|score| score.after).collect();
        sorted.sort_by(f64::total_cmp);
        Ok(Self {
            run: run.display().to_string(),
            checkpoint: checkpoint.to_owned(),
            episodes: scores.len(),
            total: need(stat(&|score| Some(sign * score.after)))?,
            costs: serde_json::Map::new(),
            length: need(stat(&|_| Some(steps)))?,
            measure: if kind == Kind::Sine { "loss" } else { "accuracy" },
            before: need(stat(&|score| Some(score.before)))?,
            after: need(stat(&|score| Some(score.after)))?,
            median: f64::midpoint(sorted[(sorted.len() - 1) / 2], sorted[sorted.len() / 2]),
            transductive: stat(&|score| Some(score.both?[0])),
            alone: stat(&|score| Some(score.both?[1])),
        })
    }

    /// Names and numbers of a table.
    pub fn lines(&self) -> Vec<(String, Stat)> {
        let mut lines =
            vec![(format!("{} before", self.measure), self.before), (format!("{} after", self.measure), self.after)];
        lines.extend(self.transductive.map(|stat| ("  transductive".to_owned(), stat)));
        lines.extend(self.alone.map(|stat| ("  each alone".to_owned(), stat)));
        lines
    }

    /// The words that name what is measured, in full.
    pub fn meaning(&self) -> &'static str {
        if self.measure == "loss" { "mean squared error" } else { "share of pictures told right" }
    }
}

/// What a training shows as it goes.
pub fn measures(trainer: &Trainer) -> Measures {
    let (main, sparks): (&[_], &[_]) = match trainer.kind() {
        Kind::Sine => (
            &[("before", "Metrics/LossBefore"), ("after", "Metrics/LossAfter")],
            &["Train/InnerLoss", "Train/StepNorm", "Time/FPS"],
        ),
        Kind::Omniglot => (
            &[("before", "Metrics/AccuracyBefore"), ("after", "Metrics/AccuracyAfter")],
            &["Train/InnerLoss", "Train/StepNorm", "Time/FPS", "Time/Examples"],
        ),
    };
    Measures { main, beside: &[("loss", "Train/InnerLoss"), ("eps", "Train/Eps")], sparks }
}

/// Measure a finished run, write its report, and only then say that it is finished.
pub fn finish(folder: &mut RunFolder, trainer: &Trainer, exit: &Exit) -> Result<Finding> {
    let checkpoint = folder.latest()?.map(|loaded| loaded.name).unwrap_or_default();
    let seed = folder.manifest().seed;
    let scores = trainer.evaluate(seed, trainer.eval_tasks())?;
    let drawings: Vec<Drawing> = trainer.drawings(seed, DRAWN.min(scores.len()))?;
    let evaluation = Evaluation::new(folder.dir(), &checkpoint, trainer, &scores)?;
    folder.finish(exit)?;
    let report = RunReport::from_folder(folder, None)?;
    folder.write_report(&report::few_shot_report(&report, &evaluation, &drawings))?;
    let mut object = json!({"return": evaluation.total, "before": evaluation.before, "after": evaluation.after,
        "median": evaluation.median, "measure": evaluation.measure});
    for (key, stat) in [("transductive", evaluation.transductive), ("alone", evaluation.alone)] {
        if let Some(stat) = stat {
            object[key] = json!(stat);
        }
    }
    Ok(Finding {
        object,
        about: format!("{} new tasks, {}", evaluation.episodes, evaluation.meaning()),
        rows: evaluation
            .lines()
            .into_iter()
            .map(|(name, stat)| vec![format!("  {name}"), console::stat(&stat)])
            .collect(),
        next: &["eval"],
    })
}

/// `tony eval` of a few-shot learner.
pub fn eval(run: &Path, view: &RunView, loaded: &Loaded, tasks: usize, seed: u64, common: Common) -> Result<Code> {
    let mut trainer = Trainer::new(view.plan())?;
    trainer.restore(loaded)?;
    let scores = trainer.evaluate(seed, tasks)?;
    let result = Evaluation::new(run, &loaded.name, &trainer, &scores)?;
    console::answer(common.json, &result, || {
        let mut rows = vec![["", "mean", "95 % interval"].map(str::to_owned).to_vec()];
        let row = |(name, s): (String, Stat)| vec![name, console::short(s.mean), console::interval(&s)];
        rows.extend(result.lines().into_iter().map(row));
        rows.push(vec!["median after".to_owned(), console::short(result.median)]);
        format!(
            "{}, checkpoint {}, {} new tasks from seed {seed}, {}\n{}",
            result.run,
            result.checkpoint,
            result.episodes,
            result.meaning(),
            console::table(&rows)
        )
    })?;
    Ok(Code::Done)
}
