//! `tony compare`: many runs, honestly.

use std::path::PathBuf;

use crate::failure::{Code, Result};
use crate::report::{Comparison, RunReport, compare_report};
use crate::{Common, console};
use tony_run::RunFolder;

/// Compare runs, grouped by algorithm and environment.
///
/// The final value of a run is the mean over its last five updates. A group shows the interquartile mean over its seeds with
/// a 95 % bootstrap interval, and the share of seeds whose costs ended within their limits; a pair shows the probability
/// that a seed of the one has a higher return than a seed of the other.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  tony compare runs/*\n  tony compare runs/cpo-* runs/ppo-lag-* --html compare.html\n  tony compare runs/* --json")]
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
    let runs: Vec<RunReport> = args.runs.iter().map(|path| Ok(read(path)?)).collect::<Result<_>>()?;
    let comparison = Comparison::new(&runs);
    if let Some(path) = &args.html {
        fs_err::write(path, compare_report(&comparison))?;
        console::note(format!("page: {}", path.display()));
    }
    if common.json {
        console::print_json(&comparison)?;
    } else {
        console::print(text(&comparison))?;
    }
    Ok(Code::Done)
}

fn text(_: &Comparison) -> String {
    String::new()
}
