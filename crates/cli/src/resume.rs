//! `tony resume`: go on from the newest checkpoint that is whole.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use tony_run::{Error, Field, Plan, RunFolder, Source};

use crate::failure::{Code, Result};
use crate::training::Training;
use crate::workload::Algorithm;
use crate::{Common, console, train, training, world};

/// Go on with a run, bit for bit as if it had never stopped.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony resume runs/cpo-SafetyPointGoal1-0001\n  tony resume runs/cpo-SafetyPointGoal1-0001 --steps 2000000"
)]
pub struct Args {
    /// The run folder.
    run: PathBuf,
    /// Environment steps in all [default: what the run was begun with].
    #[arg(long, value_name = "N")]
    steps: Option<String>,
    /// Worker threads; results do not depend on it [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Show nothing but the end.
    #[arg(long)]
    quiet: bool,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let mut folder = RunFolder::open(&args.run)?;
    let algorithm = Algorithm::find(&folder.plan().algorithm)?;
    let fields = algorithm.fields(Some(&folder.plan().env));
    let mut plan = folder.plan().clone().check(&fields)?;
    if let Some(steps) = &args.steps {
        set_steps(&mut plan, &fields, steps)?;
    }
    world::with_threads(args.threads, |threads| {
        let loaded = folder.latest()?;
        for warning in loaded.iter().flat_map(|loaded| &loaded.warnings) {
            console::note(format!("warning: {warning}"));
        }
        let mut trainee = algorithm.trainee(&plan, common.offline)?;
        match &loaded {
            Some(loaded) => trainee.restore(loaded)?,
            None => console::note("no checkpoint was ever committed: starting over"),
        }
        let total: u64 = train::number(&plan, "steps")?;
        if folder.exit()?.is_some_and(|exit| exit.code == 0) && trainee.steps() >= total {
            let steps = console::thousands(trainee.steps());
            console::note(format!("{} is finished ({steps} steps); `--steps N` would go on", args.run.display()));
        }
        let before = loaded.as_ref().map_or((0, 0.0), |loaded| (loaded.updates, loaded.seconds));
        folder.resume(loaded.as_ref())?;
        if args.steps.is_some() {
            folder.set_plan(&plan)?;
        }
        let title = algorithm.about().title;
        let training = Training { folder, trainee, plan, title, before, threads, quiet: args.quiet };
        training::run(training, common)
    })
}

/// Another number of steps in all, checked as on `train`'s command line.
fn set_steps(plan: &mut Plan, fields: &[Field], text: &str) -> Result<()> {
    let field = fields.iter().find(|field| field.key == "steps");
    let allowed = field.map(|field| field.allowed.clone()).unwrap_or_default();
    let bad = || Error::BadValue { key: "steps".into(), value: text.into(), from: Source::CommandLine, allowed };
    let steps = field.and_then(|field| field.canonical("steps", text)).ok_or_else(bad)?;
    for entry in plan.entries.iter_mut().filter(|entry| entry.key == "steps") {
        entry.text.clone_from(&steps);
        entry.source = Source::CommandLine;
    }
    Ok(())
}
