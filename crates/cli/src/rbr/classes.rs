//! `tony rbr classes`: the class of each labelled completion.

use std::path::PathBuf;

use tony_lm::rbr::{Policy, count};

use crate::failure::{Code, Result};
use crate::{Common, console};

/// The class of each labelled completion, counted by response type.
///
/// The policy file is YAML as the paper's authors released it (`proposition_prompts.yaml`): propositions, derived propositions, classes. A
/// policy with a name that it lacks, a circle, or classes that overlap is refused.
#[derive(clap::Args)]
#[command(after_help = "Example:\n  tony rbr classes --policy proposition_prompts.yaml --data test.jsonl")]
pub struct Args {
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Completions, one JSON object a line: `response_type`, `prompt`, `completion`, `propositions`.
    #[arg(long, value_name = "FILE")]
    data: PathBuf,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let policy = Policy::read(&args.policy)?;
    let counts = count(&policy, &args.data)?;
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
