//! `tony check`: the laws of an environment, or the replay of recorded trajectories.

use std::path::PathBuf;

use tony_env::golden;

use crate::failure::{Code, Failure, Result};
use crate::{Common, console, world};

/// Check an environment: the laws that every environment keeps, or recordings of the task that it must reproduce.
///
/// With --golden, four blocks are compared, of which each decides the next: the compiled model's facts and the reset (within
/// 1e-12), one step from every recorded state (within the tolerance), and the open loop, which is only told.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony check CartPole\n  tony check SafetyPointGoal1 --golden recordings/SafetyPointGoal1-v0-*.json.gz\n  tony check HalfCheetah --golden run.json.gz --tolerance 1e-10 --json"
)]
pub struct Args {
    /// The environment.
    env: String,
    /// Recorded trajectories of the task to compare with.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    golden: Vec<PathBuf>,
    /// Largest difference of one step from a recorded state [default: 1e-9].
    #[arg(long, value_name = "T", requires = "golden")]
    tolerance: Option<f64>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let listing = tony_env::find(&args.env)?;
    let context = world::context(listing, common.offline)?;
    let ok = if args.golden.is_empty() {
        let report = tony_env::check::laws(tony_env::make(listing.name, &context)?.as_mut(), listing.random);
        console::answer(common.json, &report, || laws(&report))?;
        report.ok
    } else {
        let report = golden::compare(listing.name, &args.golden, args.tolerance, &context)?;
        console::answer(common.json, &report, || differences(&report))?;
        for file in &report.files {
            if let Some(error) = &file.error {
                let hint = format!("tony check {} --golden with recordings of this task alone", args.env);
                Failure::failed("golden", error).hint(hint).report(false);
            }
        }
        report.ok
    };
    Ok(if ok { Code::Done } else { Code::Failed })
}

/// One line a law.
fn laws(report: &tony_env::check::Report) -> String {
    let mut rows = vec![vec![report.env.clone(), String::new(), String::new()]];
    let mark = |ok| if ok { "holds" } else { "BROKEN" };
    rows.extend(
        report.laws.iter().map(|law| vec![format!("  {}", law.law), mark(law.ok).to_owned(), law.detail.clone()]),
    );
    console::table(&rows)
}

/// One line a file: the largest difference of each block, then where those above nothing are.
fn differences(report: &golden::Report) -> String {
    let header =
        ["FILE", "OK", "MODEL", "RESET", "FROM SEED", "CHECKS", "OBS", "REWARD", "COST", "OPEN LOOP ABOVE 1e-6"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let number = |x: Option<f64>| match x {
        Some(x) if x == golden::MISFIT => "misfit".to_owned(),
        Some(x) => format!("{x:.1e}"),
        None => "-".to_owned(),
    };
    let mut worst = Vec::new();
    for file in &report.files {
        let name = file.file.rsplit('/').next().unwrap_or(&file.file).to_owned();
        let step = file.one_step.as_ref();
        let open = file.open_loop.as_ref().map(|open| match open.first_step {
            Some(first) => format!("step {first} of {}", open.steps),
            None => format!("never in {}", open.steps),
        });
        rows.push(vec![
            name.clone(),
            if file.ok { "yes" } else { "NO" }.to_owned(),
            number(file.model),
            number(file.reset),
            number(file.reset_from_seed),
            step.map_or("-".to_owned(), |step| step.checks.to_string()),
            number(step.map(|step| step.obs)),
            number(step.map(|step| step.reward)),
            number(step.and_then(|step| step.cost)),
            open.unwrap_or_else(|| "-".to_owned()),
        ]);
        let places = file.worst.iter().filter(|_| !file.ok);
        worst
            .extend(places.map(|p| {
                format!("{name}: {} differs most in {}: {}", p.block, p.quantity, number(Some(p.difference)))
            }));
    }
    worst.insert(0, console::table(&rows));
    worst.join("\n")
}
