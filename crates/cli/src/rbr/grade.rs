//! `tony rbr grade`: propositions of completions, and how well a grader knows them.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde_json::json;
use tony_lm::rbr::{Case, Policy, Scores, Verdict, graded_row, score};

use super::{Grading, grade_all, share};
use crate::failure::{Code, Failure, Result};
use crate::{Common, console, world};

/// Which propositions are true of completions, says a grader; where people labelled them, how often it is right.
///
/// Without a verdict a proposition is missing, which is neither true nor false and counts in no score.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony rbr grade --policy proposition_prompts.yaml --grader regex --data test.jsonl --tune train.jsonl\n  tony rbr grade --policy proposition_prompts.yaml --grader smollm2-135m --data test.jsonl --cache verdicts.jsonl --out graded.jsonl"
)]
pub struct Args {
    #[command(flatten)]
    grading: Grading,
    /// Completions, one JSON object a line: `prompt`, `completion`; for scores `propositions`.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Write the rows here with `features`, the probability of each proposition, and `outside`, that of neither yes nor no.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Grade the first N rows.
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let policy = Policy::read(&args.grading.asking.policy)?;
    let mut cases = Case::read(&policy, &args.data)?;
    cases.truncate(args.limit.map_or(usize::MAX, NonZeroUsize::get));
    if cases.is_empty() {
        return Err(
            Failure::usage("no_rows", "there are no completions to grade").at(format!("in {}", args.data.display()))
        );
    }
    let tuning = args.grading.tuning(&policy)?;
    world::with_threads(args.grading.asking.threads, |_| {
        let mut grader = args.grading.asking.grader(&policy)?;
        let thresholds = args.grading.thresholds(&policy, grader.as_mut(), tuning.as_deref())?;
        let verdicts = grade_all(&policy, grader.as_mut(), &cases, "completions")?;
        if let Some(path) = &args.out {
            write(path, &policy, &cases, &verdicts, &grader.identity())?;
        }
        let scores = score(&policy, &cases, &verdicts, &thresholds);
        let mut object = json!(scores);
        object["grader"] = grader.identity().into();
        console::answer(common.json, &object, || text(&scores, why_missing(&verdicts)))?;
        Ok(Code::Done)
    })
}

/// The graded rows, whole or not at all.
fn write(path: &Path, policy: &Policy, cases: &[Case], verdicts: &[Vec<Verdict>], grader: &str) -> Result<()> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder)?;
    for (case, verdicts) in cases.iter().zip(verdicts) {
        serde_json::to_writer(&mut file, &graded_row(policy, case, verdicts, grader)).map_err(std::io::Error::from)?;
        file.write_all(b"\n")?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

/// The most frequent reason for a missing verdict.
fn why_missing(verdicts: &[Vec<Verdict>]) -> Option<String> {
    let mut reasons = std::collections::BTreeMap::<&str, usize>::new();
    for verdict in verdicts.iter().flatten() {
        if let Verdict::Missing { why } = verdict {
            *reasons.entry(why).or_default() += 1;
        }
    }
    reasons.into_iter().max_by_key(|(_, n)| *n).map(|(why, n)| format!("{n} of them: {why}"))
}

fn text(scores: &Scores, why_missing: Option<String>) -> String {
    let mut rows = vec![
        [
            "proposition",
            "n",
            "true",
            "missing",
            "accuracy",
            "balanced",
            "F1",
            "AUC",
            "Brier",
            "calibration",
            "threshold",
        ]
        .map(str::to_owned)
        .to_vec(),
    ];
    for s in &scores.propositions {
        let mut row = vec![s.name.clone(), s.n.to_string(), s.positive.to_string(), s.missing.to_string()];
        row.extend([s.accuracy, s.balanced_accuracy, s.f1, s.auc, s.brier, s.calibration_error].map(share));
        row.push(format!("{:.3}", s.threshold));
        rows.push(row);
    }
    let mut lines = vec![format!("{} completions, {} verdicts missing", scores.rows, scores.missing)];
    lines.extend(why_missing);
    if let (Some(accuracy), Some(majority)) = (&scores.accuracy, scores.majority) {
        let percent = |x: f64| format!("{:.1} %", 100.0 * x);
        lines.push(format!(
            "accuracy {} [{}, {}]; always the most frequent label {}",
            percent(accuracy.mean),
            percent(accuracy.lo),
            percent(accuracy.hi),
            percent(majority)
        ));
        lines.push(format!(
            "mean over propositions: balanced accuracy {}, AUC {}, Brier {}, calibration error {}",
            share(scores.balanced_accuracy),
            share(scores.auc),
            share(scores.brier),
            share(scores.calibration_error)
        ));
    }
    if let Some(outside) = scores.outside {
        lines.push(format!("probability of neither yes nor no: {outside:.3} on average"));
    }
    lines.push(console::table(&rows));
    lines.join("\n")
}
