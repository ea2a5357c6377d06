//! `tony rbr report`: how well rewards rank completions, before anything is trained with them.

use std::path::PathBuf;

use serde_json::json;
use tony_lm::rbr::{Comparisons, Policy, Ranking, Weights, rank};

use crate::failure::{Code, Failure, Result};
use crate::report::ranking_report;
use crate::{Common, console};

/// How often rewards rank a worse completion above a better one: the reward model, the rules, and both together.
///
/// The page shows rewards by kind of completion, shares of errors with intervals over prompts, weights, and what was ranked worst, by its id
/// or line. Of the data that the weights were fitted on only the prompts that validated are looked at.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  tony rbr report --weights weights.json --data graded-test.jsonl --policy proposition_prompts.yaml --out report.html"
)]
pub struct Args {
    /// The weights, as `tony rbr fit` wrote them.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// Graded completions, as for `tony rbr fit`.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Write a page.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let policy = Policy::read(&args.policy)?;
    let weights = Weights::read(&args.weights, &policy)?;
    let data = Comparisons::read(&args.data, &policy)?;
    let ranking = rank(&policy, &weights, &data)?;
    if ranking.response_types.is_empty() {
        let what = "no response type with weights has a prompt with a better and a worse completion to rank";
        return Err(Failure::usage("nothing_to_rank", what).at(format!("in {}", args.data.display())));
    }
    if let Some(path) = &args.out {
        fs_err::write(path, ranking_report(&weights, &data, &ranking))?;
        console::note(format!("page: {}", path.display()));
    }
    if weights.grader != data.grader {
        console::note("the grader is not the one that the weights were fitted with");
    }
    let object = json!({
        "html": args.out, "grader": data.grader, "validation": ranking.validation, "left_out": ranking.left_out,
        "response_types": ranking.response_types,
    });
    console::answer(common.json, &object, || text(&ranking))?;
    Ok(Code::Done)
}

fn text(ranking: &Ranking) -> String {
    let head = ["response type", "prompts", "reward", "outranks the ideal", "any pair"];
    let mut rows = vec![head.map(str::to_owned).to_vec()];
    for of in &ranking.response_types {
        for errors in &of.signals {
            rows.push(vec![
                of.response.clone(),
                of.prompts.to_string(),
                errors.signal.words().to_owned(),
                errors.ideal.as_ref().map_or("-".to_owned(), console::stat),
                console::stat(&errors.all),
            ]);
        }
    }
    let of_what = if ranking.validation { "the prompts that validated" } else { "all prompts" };
    format!(
        "Share of pairs of one prompt that are ranked wrongly [95 % interval over prompts], of {of_what}\n{}",
        console::table(&rows)
    )
}
