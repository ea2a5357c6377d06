//! `tony rbr`: rule-based rewards.

mod fit;
mod report;

use std::path::PathBuf;

use tony_lm::rbr::{Policy, count};

use crate::failure::{Code, Result};
use crate::{Common, console};

/// Rule-based rewards: a policy in a file, and what it says of completions.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// The class of each labelled completion, counted by response type.
    ///
    /// The policy file is YAML as the paper's authors released it (`proposition_prompts.yaml`): propositions, derived propositions, classes. A
    /// policy with a name that it lacks, a circle, or classes that overlap is refused.
    #[command(after_help = "Example:\n  tony rbr classes --policy proposition_prompts.yaml --data test.jsonl")]
    Classes {
        /// The policy.
        #[arg(long, value_name = "FILE")]
        policy: PathBuf,
        /// Completions, one JSON object a line: `response_type`, `prompt`, `completion`, `propositions`.
        #[arg(long, value_name = "FILE")]
        data: PathBuf,
    },
    Fit(fit::Args),
    Report(report::Args),
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let (policy, data) = match &args.what {
        What::Classes { policy, data } => (policy, data),
        What::Fit(args) => return fit::run(args, common),
        What::Report(args) => return report::run(args, common),
    };
    let policy = Policy::read(policy)?;
    let counts = count(&policy, data)?;
    console::answer(common.json, &counts, || {
        let mut rows = vec![vec!["response type".to_owned()]];
        rows[0].extend(policy.classes().iter().cloned());
        for (response, of_type) in &counts.counts {
            let mut row = vec![response.clone()];
            row.extend(policy.classes().iter().map(|class| of_type[class].to_string()));
            rows.push(row);
        }
        format!("{} completions, {} of no class\n{}", counts.rows, counts.unassigned, console::table(&rows))
    })?;
    Ok(Code::Done)
}
