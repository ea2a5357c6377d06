//! `tony compare`: many runs, honestly.

use std::path::PathBuf;

use tony_run::{RunFolder, Stat};

use crate::failure::{Code, Result};
use crate::report::{Comparison, FINAL_UPDATES, RunReport, caution, compare_report};
use crate::{Common, console};

/// Compare runs, grouped by algorithm and environment.
///
/// The final value of a run is the mean over its last five updates. A group shows the interquartile mean over its seeds with
/// a 95 % bootstrap interval, and the share of seeds whose costs ended within their limits; a pair shows the probability
/// that a seed of the one has a higher return than a seed of the other.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony compare runs/*\n  tony compare runs/cpo-* runs/ppo-lag-* --html compare.html\n  tony compare runs/* --json"
)]
pub struct Args {
    /// Run folders.
    #[arg(required = true, value_name = "RUN")]
    runs: Vec<PathBuf>,
    /// Write a page with curves and bands.
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let read = |path: &PathBuf| RunReport::from_folder(&RunFolder::open_read(path)?, None);
    let runs: Vec<RunReport> = args.runs.iter().map(read).collect::<Result<_>>()?;
    let comparison = Comparison::new(&runs);
    if let Some(path) = &args.html {
        fs_err::write(path, compare_report(&comparison))?;
        console::note(format!("page: {}", path.display()));
    }
    console::answer(common.json, &comparison, || text(&comparison))?;
    Ok(Code::Done)
}

/// The groups, then the pairs.
fn text(comparison: &Comparison) -> String {
    let stat = |stat: &Option<Stat>| stat.as_ref().map_or("-".to_owned(), console::stat);
    let mut rows =
        vec![["ALGORITHM", "ENVIRONMENT", "SEEDS", "RETURN", "COST", "LIMIT", "WITHIN"].map(str::to_owned).to_vec()];
    rows.extend(comparison.groups.iter().map(|group| {
        vec![
            group.algo.clone(),
            group.env.clone(),
            group.seeds.to_string(),
            stat(&group.total),
            stat(&group.cost),
            console::short_or_dash(group.limit),
            group.within_limit.map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share)),
        ]
    }));
    let heading =
        format!("Interquartile mean [95 % interval] over seeds of the mean over the last {FINAL_UPDATES} updates");
    let mut lines = vec![heading, console::table(&rows)];
    let pairs = comparison
        .pairs
        .iter()
        .map(|pair| vec![format!("P({} > {})", pair.a, pair.b), console::stat(&pair.p_improvement), pair.env.clone()]);
    let pairs: Vec<Vec<String>> = pairs.collect();
    if !pairs.is_empty() {
        let heading = "\nProbability that a seed of the one has a higher return than a seed of the other";
        lines.extend([heading.to_owned(), console::table(&pairs)]);
    }
    lines.extend(caution(&comparison.groups).map(|caution| format!("\n{caution}")));
    lines.join("\n")
}
