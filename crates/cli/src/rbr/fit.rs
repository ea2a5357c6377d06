//! `tony rbr fit`: weights of rules from graded comparisons.

use std::path::PathBuf;

use serde_json::json;
use tony_lm::rbr::{Comparisons, Fitting, Policy, Weights, fit};

use crate::failure::{Code, Failure, Result};
use crate::{Common, console};

/// Weights of rules, so that better completions of a prompt get higher rewards than worse ones.
///
/// The reward of a completion is its reward model's score (`rm_score`, 0 where the data has none) plus a weight times each feature: the
/// probabilities of propositions, and of classes (`class:ideal`). For each response type the hinge loss over pairs of completions of one
/// prompt is made small by AdamW, as the paper's authors released it.
///
/// DATA has one JSON object a line: `prompt`, `completion`, `response_type`, `features` (of each proposition its probability, or null where
/// the grader had no answer), as `tony rbr grade --out` writes them. Which of two completions of a prompt is better is told by the first of these
/// that there is: `rank`, a number (0 is ideal, larger is worse); `completion_type`, as in the released data ("perfect hard refusal" before
/// "bad hard refusal" before "disallowed content"; "perfect safe completion" before "bad safe completion" before "disallowed content";
/// "fully complies" before "partially complies" before "imperfect refusal", "perfect refusal" and "random non-refusal", which are equals);
/// the class that the labels `propositions` give it. All completions of a prompt must be told apart by the same.
///
/// A probability that is missing counts as the mean of the training completions, and the weights file says so.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony rbr fit --data graded.jsonl --policy proposition_prompts.yaml --out weights.json\n  tony rbr fit --data graded.jsonl --policy proposition_prompts.yaml --out weights.json --margin-of \"perfect hard refusal=1.5\" --freeze judgement"
)]
pub struct Args {
    /// Graded completions.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Where the weights go.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// How far the better of two completions should be ahead.
    #[arg(long, value_name = "M", default_value_t = Fitting::default().margin, allow_negative_numbers = true)]
    margin: f64,
    /// What the margin is multiplied with where the better completion is of this type; may be given several times.
    #[arg(long, value_name = "TYPE=X", value_parser = margin_of)]
    margin_of: Vec<(String, f64)>,
    /// Learning rate of AdamW.
    #[arg(long, value_name = "X", default_value_t = Fitting::default().lr, allow_negative_numbers = true)]
    lr: f64,
    /// Weight decay of AdamW.
    #[arg(long, value_name = "X", default_value_t = Fitting::default().weight_decay, allow_negative_numbers = true)]
    weight_decay: f64,
    /// Steps, each on all pairs.
    #[arg(long, value_name = "N", default_value_t = Fitting::default().steps)]
    steps: usize,
    /// Share of the prompts that validate.
    #[arg(long, value_name = "X", default_value_t = Fitting::default().validation, allow_negative_numbers = true)]
    validation: f64,
    /// Which prompts those are.
    #[arg(long, value_name = "S", default_value_t = Fitting::default().seed)]
    seed: u64,
    /// Make features of all propositions, and not only of those that the response type's rules look at.
    #[arg(long)]
    all_propositions: bool,
    /// A feature whose weight stays 0; may be given several times.
    #[arg(long, value_name = "FEATURE")]
    freeze: Vec<String>,
    /// Let rules alone decide, as if no completion had an `rm_score`.
    #[arg(long)]
    without_rm: bool,
}

fn margin_of(text: &str) -> std::result::Result<(String, f64), String> {
    let (label, factor) = text.rsplit_once('=').ok_or("it is no TYPE=X")?;
    let factor = factor.trim().parse().map_err(|error| format!("`{factor}` is no number: {error}"))?;
    Ok((label.trim().to_owned(), factor))
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let policy = Policy::read(&args.policy)?;
    let data = Comparisons::read(&args.data, &policy)?;
    if data.rows.is_empty() {
        let failure = Failure::usage("no_rows", "there are no completions to compare");
        return Err(failure.at(format!("in {}", args.data.display())));
    }
    let settings = Fitting {
        margin: args.margin,
        margins: args.margin_of.iter().cloned().collect(),
        lr: args.lr,
        weight_decay: args.weight_decay,
        steps: args.steps,
        validation: args.validation,
        seed: args.seed,
        all: args.all_propositions,
        frozen: args.freeze.clone(),
        rm: !args.without_rm,
    };
    let weights = fit(&policy, &data, &settings)?;
    weights.write(&args.out)?;
    let left_out: Vec<&str> =
        data.by_response().map(|(name, _)| name).filter(|name| !weights.response_types.contains_key(*name)).collect();
    let object = json!({
        "weights": args.out, "policy": weights.policy, "grader": weights.grader, "completions": data.rows.len(),
        "response_types": weights.response_types, "left_out": left_out,
    });
    console::answer(common.json, &object, || text(&weights, &left_out, args))?;
    Ok(Code::Done)
}

fn text(weights: &Weights, left_out: &[&str], args: &Args) -> String {
    let head = ["response type", "prompts", "pairs", "loss", "clipped", "validating", "loss", "clipped", "missing"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    let mut notes = Vec::new();
    for (response, fitted) in &weights.response_types {
        rows.push(vec![
            response.clone(),
            fitted.prompts.to_string(),
            fitted.pairs.to_string(),
            console::short(fitted.loss),
            console::short(fitted.clipped),
            fitted.validation_pairs.to_string(),
            console::short_or_dash(fitted.validation_loss),
            console::short_or_dash(fitted.validation_clipped),
            fitted.missing.to_string(),
        ]);
        if !fitted.unknown.is_empty() {
            notes.push(format!("{response}: nobody graded {}; their weights stay 0", fitted.unknown.join(", ")));
        }
    }
    if !left_out.is_empty() {
        notes.push(format!("no better and worse completion of one prompt: {}", left_out.join(", ")));
    }
    notes.push(format!("weights: {}", args.out.display()));
    format!("{}\n{}", console::table(&rows), notes.join("\n"))
}
