//! `tony reproduce`: a paper's claims, measured.

mod experiments;
mod jobs;
pub mod measure;
pub mod recipe;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;
use tony_run::{RunFolder, Stat, stats};

use crate::failure::{Code, Failure, Result};
use crate::report::{self, Reproduction, RunReport};
use crate::{Common, console};
use jobs::{Jobs, check, folder_of};
use measure::{Value, Verdict, curve};
use recipe::{Budget, Claim, Recipe};

/// Reproduce a paper's claims.
///
/// A recipe says which trainings and experiments show which claims, and the criteria, before anything runs. A claim is
/// `reproduced` if its criterion holds over the whole 95 % interval over seeds, `partly` if it holds for the mean alone.
/// "Not reproduced" is a result, not a failure: the exit code is 0. The same command goes on after an interruption.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// A paper (`empi`, `cpo`, `pid_lagrangian`, `surprise`, `preqn`, `valor`, `reptile`), or a recipe file of your own (NAME.toml).
    paper: String,
    /// How much to spend.
    #[arg(long, value_enum, default_value = "small")]
    budget: Budget,
    /// Seeds of every training [default: the recipe's].
    #[arg(long, value_name = "N")]
    seeds: Option<NonZeroUsize>,
    /// Trainings side by side, one thread each [default: all cores].
    #[arg(long, value_name = "N")]
    jobs: Option<NonZeroUsize>,
    /// Folder to work in [default: runs/reproduce-PAPER-BUDGET].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
}

const EXAMPLES: &str = "\
Examples:
  tony reproduce cpo
  tony reproduce pid_lagrangian --seeds 5 --jobs 4
  tony reproduce cpo --budget paper --out runs/cpo-full
  tony reproduce my_claims.toml --json";

/// What was measured for a claim, and the verdict.
#[derive(Clone, Debug, Serialize)]
pub struct Judged {
    /// What is claimed.
    pub claim: String,
    /// What the paper gives.
    pub paper: String,
    /// Mean over seeds, its interval, the number of seeds.
    pub ours: Option<Stat>,
    /// When the claim counts as reproduced.
    pub criterion: String,
    /// The verdict.
    pub verdict: Verdict,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let (recipe, text) = recipe::find(&args.paper)?;
    let seeds = args.seeds.map(NonZeroUsize::get);
    let mut planned = recipe.plan(args.budget, seeds)?;
    let budget = args.budget.name();
    let out =
        args.out.clone().unwrap_or_else(|| Path::new("runs").join(format!("reproduce-{}-{budget}", recipe.paper)));
    check(&mut planned, common)?;
    let cores = std::thread::available_parallelism().map_or(1, NonZeroUsize::get);
    let jobs = Jobs { planned: &planned, out: &out, at_once: args.jobs.map_or(cores, NonZeroUsize::get), common };
    claim_folder(&out, &text)?;
    if !common.json {
        console::print(format!(
            "{}\n{}: {} trainings, {} at once, in {}",
            recipe.title,
            recipe.source,
            planned.len(),
            jobs.at_once,
            out.display()
        ))?;
    }
    if let Some(code) = jobs.run()? {
        console::note(format!("stopped; what is done is kept\ntry: {}", again(args)));
        return Ok(code);
    }
    let experiments = measured_experiments(&recipe, seeds);
    let mut runs = Vec::with_capacity(planned.len());
    for planned in &planned {
        let report = RunReport::from_folder(&RunFolder::open_read(&folder_of(&out, &planned.id, planned.seed))?, None)?;
        runs.push((planned.id.clone(), planned.seed, report));
    }
    let claims: Vec<Judged> = recipe.claim.iter().map(|claim| judge(claim, &runs, &experiments)).collect();
    let seconds = runs.iter().filter_map(|(.., run)| run.metrics.last()?.metrics.get("seconds")).sum::<f64>();
    let result = json!({"paper": recipe.paper, "budget": budget, "seconds": seconds, "claims": claims});
    let page = out.join("reproduction.html");
    fs_err::write(out.join("result.json"), format!("{result}\n"))?;
    fs_err::write(
        &page,
        report::reproduction(&Reproduction { recipe: &recipe, text: &text, budget, claims: &claims, runs: &runs }),
    )?;
    console::answer(common.json, &result, || {
        format!("{}\n{} of training; page: {}", table(&claims), console::duration(seconds), page.display())
    })?;
    Ok(Code::Done)
}

/// The command that goes on.
fn again(args: &Args) -> String {
    let mut words = vec!["tony reproduce".to_owned(), args.paper.clone()];
    if args.budget == Budget::Paper {
        words.push("--budget paper".to_owned());
    }
    words.extend(args.seeds.map(|n| format!("--seeds {n}")));
    words.extend(args.jobs.map(|n| format!("--jobs {n}")));
    words.extend(args.out.as_ref().map(|out| format!("--out {}", out.display())));
    words.join(" ")
}

/// Make the folder, or go on in it: only with the recipe that it was begun with, so that no criterion changes after a result.
fn claim_folder(out: &Path, text: &str) -> Result<()> {
    let kept = out.join("recipe.toml");
    if kept.exists() {
        if fs_err::read_to_string(&kept)? == text {
            return Ok(());
        }
        return Err(Failure::usage("other_recipe", format!("{} was begun with another recipe", out.display()))
            .at("criteria are fixed before results are known")
            .hint(format!("--out {}-2", out.display())));
    }
    fs_err::create_dir_all(out)?;
    Ok(fs_err::write(kept, text)?)
}

/// Values of each experiment by seed: `(experiment, value) -> one a seed`.
type Measured = BTreeMap<(String, String), Vec<(u64, f64)>>;

fn measured_experiments(recipe: &Recipe, seeds: Option<usize>) -> Measured {
    let mut measured = Measured::new();
    for experiment in &recipe.experiment {
        let Some(known) = experiments::find(&experiment.id) else { continue };
        for seed in 0..seeds.or(experiment.seeds).unwrap_or(recipe.seeds) as u64 {
            for (name, value) in known.values.iter().zip((known.measure)(seed)) {
                measured.entry((experiment.id.clone(), (*name).to_owned())).or_default().push((seed, value));
            }
        }
    }
    measured
}

/// The value for each seed; `None` where a curve has no such value.
fn values(value: &Value, runs: &[(String, u64, RunReport)], experiments: &Measured) -> BTreeMap<u64, Option<f64>> {
    match value {
        Value::Experiment { experiment, value } => {
            let found = experiments.get(&(experiment.clone(), value.clone()));
            found.into_iter().flatten().map(|(seed, value)| (*seed, Some(*value))).collect()
        }
        Value::Run { run, metric, take, from, to, level } => {
            let mine = runs.iter().filter(|(id, ..)| id == run);
            let of = |(_, seed, report): &(String, u64, RunReport)| {
                let lines: Vec<_> = report.metrics.iter().map(|row| row.metrics.clone()).collect();
                (*seed, take.of(&curve(&lines, metric, *from, *to), *level))
            };
            mine.map(of).collect()
        }
    }
}

/// Measure a claim seed by seed, and judge it.
fn judge(claim: &Claim, runs: &[(String, u64, RunReport)], experiments: &Measured) -> Judged {
    let of = |value: &Value| values(value, runs, experiments);
    let mut found = of(&claim.value);
    let pairs: [(_, fn(f64, f64) -> f64); 2] = [(&claim.minus, |a, b| a - b), (&claim.over, |a, b| a / b)];
    for (other, with) in pairs {
        let Some(other) = other.as_ref().map(of) else { continue };
        for (seed, value) in &mut found {
            *value = value.zip(other.get(seed).copied().flatten()).map(|(a, b)| with(a, b));
        }
    }
    let numbers: Vec<f64> = found.values().flatten().copied().filter(|value| value.is_finite()).collect();
    let ours = stats::mean(&numbers);
    // A seed in which there is nothing to measure (a level never reached) does not show the claim.
    let verdict = match claim.criterion.judge(ours.as_ref()) {
        Verdict::Reproduced if numbers.len() < found.len() => Verdict::Partly,
        Verdict::NotRun if !found.is_empty() => Verdict::NotReproduced,
        verdict => verdict,
    };
    Judged { claim: claim.says.clone(), paper: claim.paper.clone(), criterion: claim.criterion.words(), verdict, ours }
}

/// Claims as a table for the terminal; long ones take several lines.
fn table(claims: &[Judged]) -> String {
    const CLAIM_WIDTH: usize = 48;
    const PAPER_WIDTH: usize = 26;
    let mut rows = vec![["CLAIM", "PAPER", "OURS", "N", "CRITERION", "VERDICT"].map(str::to_owned).to_vec()];
    for judged in claims {
        let mut says = console::wrapped(&judged.claim, CLAIM_WIDTH).into_iter();
        let mut paper = console::wrapped(&judged.paper, PAPER_WIDTH).into_iter();
        rows.push(vec![
            says.next().unwrap_or_default(),
            paper.next().unwrap_or_default(),
            judged.ours.as_ref().map_or("-".to_owned(), console::stat),
            judged.ours.map_or("-".to_owned(), |stat| stat.n.to_string()),
            judged.criterion.clone(),
            judged.verdict.words().to_owned(),
        ]);
        while says.len() + paper.len() > 0 {
            rows.push(vec![says.next().unwrap_or_default(), paper.next().unwrap_or_default()]);
        }
    }
    console::table(&rows)
}
