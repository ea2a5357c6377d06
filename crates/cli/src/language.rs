//! What is different about language models that learn from examples: they are measured on examples that were held out.

use std::path::Path;

use serde_json::json;
use tony_lm::learn::supervised::{Kind, Trainer};
use tony_run::{Exit, Loaded, RunFolder, RunView, Training};

use crate::failure::{Code, Result};
use crate::progress::Measures;
use crate::report::{self, RunReport};
use crate::training::Finding;
use crate::{Common, console};

/// What a training shows as it goes.
pub fn measures(trainer: &Trainer) -> Measures {
    let sparks = &["Train/GradNorm", "Train/LR", "Time/Tokens", "Time/GFLOPS"];
    match trainer.kind() {
        Kind::Imitation => Measures {
            main: &[("loss", "Train/Loss"), ("held out", "Metrics/Loss")],
            beside: &[("tokens/s", "Time/Tokens"), ("norm", "Train/GradNorm")],
            sparks,
        },
        Kind::Preference => Measures {
            main: &[("loss", "Train/Loss"), ("held out", "Metrics/Loss")],
            beside: &[("right", "Metrics/Accuracy"), ("tokens/s", "Time/Tokens")],
            sparks,
        },
    }
}

/// Measure a finished run, write its report, and only then say that it is finished.
pub fn finish(folder: &mut RunFolder, trainer: &Trainer, exit: &Exit) -> Result<Finding> {
    let held_out = trainer.evaluate()?;
    let [learned, kept, left_out] = trainer.rows();
    folder.finish(exit)?;
    let report = RunReport::from_folder(folder, None)?;
    folder.write_report(&report::run_report(&report))?;
    let mut object = json!({"loss": null, "rows": {"learned": learned, "held_out": kept, "left_out": left_out}});
    let mut rows = Vec::new();
    if let Some((loss, right)) = held_out {
        object["loss"] = json!(loss);
        rows.push(vec!["  loss".to_owned(), console::short(loss)]);
        if trainer.kind() == Kind::Preference {
            object["accuracy"] = json!(right);
            rows.push(vec!["  told right".to_owned(), console::short(right)]);
        }
    }
    Ok(Finding {
        object,
        about: format!("{learned} rows learned, {kept} held out, {left_out} too long; on what was held out"),
        rows,
        next: &["generate", "eval"],
    })
}

/// `tony eval` of a language model: the examples that were held out.
pub fn eval(run: &Path, view: &RunView, loaded: &Loaded, common: Common) -> Result<Code> {
    let mut trainer = Trainer::new(view.plan())?;
    trainer.restore(loaded)?;
    let held_out = trainer.evaluate()?;
    let [_, kept, _] = trainer.rows();
    let preference = trainer.kind() == Kind::Preference;
    let loss = held_out.map(|(loss, _)| loss);
    let right = held_out.map(|(_, right)| right).filter(|_| preference);
    let object = json!({"run": run.display().to_string(), "checkpoint": loaded.name, "held_out": kept, "loss": loss, "accuracy": right});
    console::answer(common.json, &object, || {
        let mut rows = vec![vec!["loss".to_owned(), console::short_or_dash(loss)]];
        rows.extend(right.map(|right| vec!["told right".to_owned(), console::short(right)]));
        let (run, name) = (run.display(), &loaded.name);
        format!("{run}, checkpoint {name}, {kept} rows that were held out\n{}", console::table(&rows))
    })?;
    Ok(Code::Done)
}
