//! `tony rbr eval`: what completions do on prompts that are about safety.

use std::path::{Path, PathBuf};

use serde_json::json;
use tony_lm::rbr::{Case, Comparison, Judgements, Measures, Numbers, Policy, Report, truth};
use tony_run::Stat;

use super::{Grading, grade_all};
use crate::failure::{Code, Failure, Result};
use crate::{Common, console, world};

/// How safe completions are, and how helpful where help is right.
///
/// Not-Unsafe is the share without disallowed content, of all; Not-Overrefuse the share that delivers something or asks back (the released
/// policy's `no_compliance` is false), of prompts to be complied with; Hard-Refusal-Style the share of the best class, of prompts to be
/// refused; F1 the harmonic mean of the first two. A row has `prompt`, `completion`, and `response_type`, or `XSTest`'s `label`: safe is to be
/// complied with, unsafe to be refused. `--grader labels` takes people's `propositions`. Intervals resample prompts.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony rbr eval --policy proposition_prompts.yaml --grader regex --tune train.jsonl --data completions.jsonl\n  tony rbr eval --policy proposition_prompts.yaml --grader smollm2-135m --data before.jsonl --against after.jsonl\n  tony rbr eval --policy proposition_prompts.yaml --grader labels --data test.jsonl"
)]
pub struct Args {
    #[command(flatten)]
    grading: Grading,
    /// Completions, one JSON object a line.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// Completions of another policy: its measures, and those minus the first ones on the prompts of both.
    #[arg(long, value_name = "FILE")]
    against: Option<PathBuf>,
}

/// Takes people's labels instead of a grader's verdicts.
const LABELS: &str = "labels";

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let policy = Policy::read(&args.grading.asking.policy)?;
    let read = |path: &Path| -> Result<Vec<Case>> {
        let cases = Case::read(&policy, path)?;
        let place = || format!("in {}", path.display());
        if cases.is_empty() {
            return Err(Failure::usage("no_rows", "there are no completions").at(place()));
        }
        if cases.iter().all(|case| case.response.is_none()) {
            let what = "these rows have neither `response_type` nor `label`: nobody knows what the right answer is";
            return Err(Failure::usage("no_response_types", what).at(place()));
        }
        Ok(cases)
    };
    let labels = args.grading.asking.grader == LABELS;
    if labels && args.grading.tune.is_some() {
        return Err(Failure::usage("invalid", "labels have no thresholds to tune").hint("leave --tune out"));
    }
    let cases = read(&args.data)?;
    let tuning = args.grading.tuning(&policy)?;
    let others = args.against.as_deref().map(read).transpose()?;
    world::with_threads(args.grading.asking.threads, |_| {
        let mut grader = if labels { None } else { Some(args.grading.asking.grader(&policy)?) };
        let thresholds = match &mut grader {
            Some(grader) => args.grading.thresholds(&policy, grader.as_mut(), tuning.as_deref())?,
            None => Vec::new(),
        };
        let mut judge = |cases: &[Case], what: &str| -> Result<Judgements> {
            let truths: Vec<_> = match &mut grader {
                Some(grader) => {
                    let verdicts = grade_all(&policy, grader.as_mut(), cases, what)?;
                    verdicts.iter().map(|verdicts| truth(verdicts, &thresholds)).collect()
                }
                None => cases.iter().map(|case| case.labels.clone()).collect(),
            };
            Ok(Judgements::new(&policy, cases, &truths)?)
        };
        let first = judge(&cases, "completions")?;
        let report = first.report();
        let mut object = json!(report);
        let second = others.map(|cases| judge(&cases, "completions to compare with")).transpose()?;
        let second = second.map(|second| (second.report(), first.compare(&second)));
        if let Some((other, comparison)) = &second {
            object["against"] = json!(other);
            object["comparison"] = json!(comparison);
        }
        object["grader"] = grader.map_or_else(|| LABELS.to_owned(), |grader| grader.identity()).into();
        console::answer(common.json, &object, || text(&report, second.as_ref()))?;
        Ok(Code::Done)
    })
}

/// Names and values of the measures.
fn rows<T: Copy>(measures: &Measures<T>) -> [(&'static str, T); 4] {
    [
        ("Not-Unsafe", measures.not_unsafe),
        ("Not-Overrefuse", measures.not_overrefuse),
        ("Hard-Refusal-Style", measures.hard_refusal_style),
        ("F1", measures.f1),
    ]
}

fn text(report: &Report, second: Option<&(Report, Comparison)>) -> String {
    let percent = |stat: Option<Stat>| {
        let text = |s: Stat| format!("{:.1} [{:.1}, {:.1}]", 100.0 * s.mean, 100.0 * s.lo, 100.0 * s.hi);
        stat.map_or_else(|| "-".to_owned(), text)
    };
    let counted = |numbers: &Numbers, i: usize| {
        let of = [numbers.not_unsafe, numbers.not_overrefuse, numbers.hard_refusal_style];
        of.get(i).map(ToString::to_string).unwrap_or_default()
    };
    let mut table = vec![["measure", "%", "n", "missing"].map(str::to_owned).to_vec()];
    table[0].extend(second.map(|_| ["against", "n", "missing", "difference"].map(str::to_owned)).into_iter().flatten());
    for (i, (name, stat)) in rows(&report.shares).into_iter().enumerate() {
        let mut row = vec![name.to_owned(), percent(stat), counted(&report.n, i), counted(&report.missing, i)];
        if let Some((other, comparison)) = second {
            row.extend([percent(rows(&other.shares)[i].1), counted(&other.n, i), counted(&other.missing, i)]);
            row.push(percent(rows(&comparison.difference)[i].1));
        }
        table.push(row);
    }
    let pairs = second.map(|(_, Comparison { prompts, unpaired, .. })| {
        format!("\n{prompts} prompts of both; {unpaired} completions of prompts that only one has")
    });
    console::table(&table) + &pairs.unwrap_or_default()
}
