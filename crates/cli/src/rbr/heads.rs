//! `tony rbr heads`: trained heads for a policy's propositions.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;
use tony_lm::Listed;
use tony_lm::rbr::{Answer, Case, Features, Head, Heads, Policy, Scores, THRESHOLD, Training, Verdict, score};

use super::{EVERY, share};
use crate::failure::{Code, Failure, Result};
use crate::{Common, console, world};

/// Train a head for each proposition: a logistic regression on numbers that a frozen encoder or language model makes of a completion.
///
/// One reading of a completion then answers all propositions (`--grader heads:FILE`). How strongly weights are held down is chosen by
/// cross-validation, in which the rows of one prompt stay together; the scores shown are those of held-out rows. A proposition with too few
/// labels of one kind is answered by its base rate. A completion that heads were trained on is answered by its held-out probability, so
/// thresholds may be tuned on the training data.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony rbr heads --policy proposition_prompts.yaml --data train.jsonl --encoder minilm --out heads.safetensors\n  tony rbr grade --policy proposition_prompts.yaml --grader heads:heads.safetensors --data test.jsonl"
)]
pub struct Args {
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Labelled completions, one JSON object a line: `prompt`, `completion`, `propositions`.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// `minilm`, the folder of another encoder of the BERT family, or a language MODEL.
    #[arg(long, value_name = "MODEL")]
    encoder: String,
    /// The heads: tensors in the safetensors format, with JSON in its header.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Let true and false rows of a proposition weigh the same.
    #[arg(long)]
    balanced: bool,
    /// Seed of the folds.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Worker threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let policy = Policy::read(&args.policy)?;
    let cases = Case::read(&policy, &args.data)?;
    if cases.iter().all(|case| case.labels.iter().all(Option::is_none)) {
        let what = "these rows have no `propositions`, so nothing can be learned from them";
        return Err(Failure::usage("no_labels", what).at(format!("in {}", args.data.display())));
    }
    let found = tony_lm::find_model(&args.encoder)?;
    // A path is found again from any folder, a name on any machine.
    let encoder = match Listed::find(&args.encoder) {
        Some(listed) => listed.name.to_owned(),
        None => fs_err::canonicalize(&found)?.display().to_string(),
    };
    world::with_threads(args.threads, |_| {
        let features = Features::open(&found)?;
        let began = Instant::now();
        let numbers = numbers(&features, &cases)?;
        let reading = began.elapsed().as_secs_f64();
        let training = Training { balanced: args.balanced, seed: args.seed };
        let heads = Heads::train(&policy, &cases, &features, &numbers, &encoder, training)?;
        let fitting = began.elapsed().as_secs_f64() - reading;
        heads.save(&args.out)?;
        let held_out: Vec<Vec<Verdict>> = cases.iter().filter_map(|case| heads.held_out(&case.item)).collect();
        let scores = score(&policy, &cases, &held_out, &vec![THRESHOLD; policy.propositions().count()]);
        let per_hour = cases.len() as f64 / reading * 3600.0;
        let mut object = json!(scores);
        object["heads"] = json!(heads.heads());
        object["encoder"] = encoder.clone().into();
        object["numbers"] = features.width().into();
        object["seconds"] = json!({"reading": reading, "fitting": fitting});
        object["items_per_hour"] = per_hour.into();
        object["out"] = args.out.display().to_string().into();
        console::answer(common.json, &object, || {
            let times = format!(
                "{} read by {encoder}, {} numbers each, in {} ({per_hour:.0} an hour); heads fitted in {}",
                cases.len(),
                features.width(),
                console::duration(reading),
                console::duration(fitting)
            );
            text(&scores, heads.heads(), &times)
        })?;
        Ok(Code::Done)
    })
}

/// The numbers of each case, telling now and then how far it is.
fn numbers(features: &Features, cases: &[Case]) -> Result<Vec<Vec<f32>>> {
    let (began, mut told, mut numbers) = (Instant::now(), 0.0, Vec::new());
    for case in cases {
        numbers.push(features.of(&case.item)?);
        let seconds = began.elapsed().as_secs_f64();
        if seconds - told >= EVERY {
            told = seconds;
            let left = console::duration(seconds / numbers.len() as f64 * (cases.len() - numbers.len()) as f64);
            console::note(format!("read {} of {} completions, {left} left", numbers.len(), cases.len()));
        }
    }
    Ok(numbers)
}

fn text(scores: &Scores, heads: &[Head], times: &str) -> String {
    let mut rows = vec![
        ["proposition", "n", "true", "accuracy", "balanced", "AUC", "Brier", "calibration", "answered by"]
            .map(str::to_owned)
            .to_vec(),
    ];
    for (s, head) in scores.propositions.iter().zip(heads) {
        let mut row = vec![s.name.clone(), head.n.to_string(), head.positive.to_string()];
        row.extend([s.accuracy, s.balanced_accuracy, s.auc, s.brier, s.calibration_error].map(share));
        row.push(match head.answer {
            Answer::Trained { l2, .. } => format!("a head, L2 {l2}"),
            Answer::BaseRate(rate) => format!("the base rate {rate:.4}: too few labels of one kind"),
            Answer::Missing => "nothing: no labels".to_owned(),
        });
        rows.push(row);
    }
    let mut lines = vec![times.to_owned()];
    if let (Some(accuracy), Some(majority)) = (&scores.accuracy, scores.majority) {
        lines.push(format!(
            "held out: accuracy {:.1} % [{:.1}, {:.1}] at 0.5; always the most frequent label {:.1} %",
            100.0 * accuracy.mean,
            100.0 * accuracy.lo,
            100.0 * accuracy.hi,
            100.0 * majority
        ));
    }
    let means = [scores.balanced_accuracy, scores.auc, scores.brier, scores.calibration_error].map(share);
    let [balanced, auc, brier, calibration] = means;
    lines.push(format!(
        "mean over propositions: balanced accuracy {balanced}, AUC {auc}, Brier {brier}, calibration error {calibration}"
    ));
    lines.push(console::table(&rows));
    lines.join("\n")
}
