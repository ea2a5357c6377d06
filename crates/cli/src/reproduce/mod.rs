//! `tony reproduce`: a paper's claims, measured.

mod experiments;
mod jobs;
pub mod measure;
#[cfg(feature = "lm")]
mod rbr_study;
#[cfg(feature = "lm")]
mod rbr_world;
pub mod recipe;

use std::collections::BTreeMap;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::Serialize;
use serde_json::json;
use tony_run::{RunFolder, Stat, stats};

use crate::failure::{Code, Failure, Result};
use crate::report::{self, Reproduction, RunReport};
use crate::signals::{Stop, TRAINING};
use crate::{Common, console};
use experiments::{Long, Measure};
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
    /// A paper (`empi`, `cpo`, `pid_lagrangian`, `surprise`, `preqn`, `valor`, `reptile`, `rbr`), or a recipe file of your own (NAME.toml).
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
    /// Folder of data that is not part of the program (`rbr --budget medium`): the gold data and the policy of the paper's authors in `rbr`,
    /// `xstest`, `advbench`, `gsm8k`, each as published.
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
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

/// Measured values of an experiment as a table.
#[derive(Clone, Debug, Serialize)]
pub struct Tabled {
    /// What it shows.
    pub title: String,
    /// What the columns are.
    pub columns: Vec<String>,
    /// Its rows.
    pub rows: Vec<TabledRow>,
}

/// A row of such a table.
#[derive(Clone, Debug, Serialize)]
pub struct TabledRow {
    /// What is measured.
    pub name: String,
    /// Column by column: mean over seeds, its interval, the number of seeds.
    pub ours: Vec<Option<Stat>>,
    /// Column by column, what the paper gives; empty where it gives nothing.
    pub paper: Vec<String>,
}

impl Tabled {
    fn new(table: &recipe::Table, experiments: &Measured) -> Self {
        let ours = |id: &str, column: &str| {
            let found = experiments.get(&(table.experiment.clone(), format!("{id}.{column}")))?;
            stats::mean(&found.iter().map(|(_, value)| *value).filter(|value| value.is_finite()).collect::<Vec<_>>())
        };
        let row = |row: &recipe::Row| TabledRow {
            name: row.name.clone(),
            ours: table.columns.iter().map(|[column, _]| ours(&row.id, column)).collect(),
            paper: row.paper.clone(),
        };
        Self {
            title: table.title.clone(),
            columns: table.columns.iter().map(|[_, name]| name.clone()).collect(),
            rows: table.rows.iter().map(row).collect(),
        }
    }

    /// For the terminal.
    fn text(&self) -> String {
        let has_paper = self.rows.iter().any(|row| !row.paper.is_empty());
        let title = if has_paper { format!("{} (the paper's)", self.title) } else { self.title.clone() };
        let mut rows = vec![std::iter::once(&title).chain(&self.columns).cloned().collect()];
        for row in &self.rows {
            let cell = |(i, ours): (usize, &Option<Stat>)| {
                let paper = row.paper.get(i).filter(|paper| !paper.is_empty());
                let paper = paper.map(|paper| format!(" ({paper})")).unwrap_or_default();
                ours.as_ref().map_or("-".to_owned(), console::stat) + &paper
            };
            rows.push(std::iter::once(row.name.clone()).chain(row.ours.iter().enumerate().map(cell)).collect());
        }
        console::table(&rows) + "\n"
    }
}

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
    let (recipe, text) = recipe::find(&args.paper, args.budget)?;
    if !recipe.command.is_empty() {
        let object = json!({"paper": recipe.paper, "budget": args.budget.name(), "commands": recipe.command});
        console::answer(common.json, &object, || by_hand(&recipe))?;
        return Ok(Code::Done);
    }
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
            "{}\n{}: {}in {}",
            recipe.title,
            recipe.source,
            if planned.is_empty() {
                String::new()
            } else {
                format!("{} trainings, {} at once, ", planned.len(), jobs.at_once)
            },
            out.display()
        ))?;
    }
    let stop = Stop::install(Arc::default(), TRAINING)?;
    jobs.run(&stop)?;
    let experiments = measured_experiments(&recipe, seeds, &jobs, &args.data, &stop)?;
    if stop.asked() {
        console::note(format!("stopped; what is done is kept\ntry: {}", again(args)));
        return Ok(stop.code());
    }
    let mut runs = Vec::with_capacity(planned.len());
    for planned in &planned {
        let report = RunReport::from_folder(&RunFolder::open_read(&folder_of(&out, &planned.id, planned.seed))?, None)?;
        runs.push((planned.id.clone(), planned.seed, report));
    }
    let claims: Vec<Judged> = recipe.claim.iter().map(|claim| judge(claim, &runs, &experiments)).collect();
    let tables: Vec<Tabled> = recipe.table.iter().map(|table| Tabled::new(table, &experiments)).collect();
    let trained = runs.iter().filter_map(|(.., run)| run.metrics.last()?.metrics.get("seconds")).sum::<f64>();
    let spent = experiments.iter().filter(|((_, name), _)| name == Long::SECONDS).flat_map(|(_, values)| values);
    let seconds = trained + spent.map(|(_, seconds)| seconds).sum::<f64>();
    let result =
        json!({"paper": recipe.paper, "budget": budget, "seconds": seconds, "claims": claims, "tables": tables});
    let page = out.join("reproduction.html");
    fs_err::write(out.join("result.json"), format!("{result}\n"))?;
    fs_err::write(
        &page,
        report::reproduction(&Reproduction {
            recipe: &recipe,
            text: &text,
            budget,
            claims: &claims,
            tables: &tables,
            runs: &runs,
        }),
    )?;
    console::answer(common.json, &result, || {
        let tables: Vec<String> = tables.iter().map(Tabled::text).collect();
        let spent = console::duration(seconds);
        format!("{}{}\n{spent} of training; page: {}", tables.concat(), table(&claims), page.display())
    })?;
    Ok(Code::Done)
}

/// What is left to a person.
fn by_hand(recipe: &Recipe) -> String {
    let mut lines = vec![recipe.title.clone(), recipe.source.clone(), String::new()];
    lines.extend(console::wrapped(&recipe.about, 100));
    for (i, command) in recipe.command.iter().enumerate() {
        lines.extend([String::new(), format!("{}. {}", i + 1, command.does), format!("   {}", command.run)]);
    }
    lines.join("\n")
}

/// The command that goes on.
fn again(args: &Args) -> String {
    let mut words = vec!["tony reproduce".to_owned(), args.paper.clone()];
    if args.budget != Budget::Small {
        words.push(format!("--budget {}", args.budget.name()));
    }
    words.extend(args.seeds.map(|n| format!("--seeds {n}")));
    words.extend(args.jobs.map(|n| format!("--jobs {n}")));
    if args.data != Path::new("data") {
        words.push(format!("--data {}", args.data.display()));
    }
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

/// Measure whatever is not yet measured, until a signal asks to stop.
fn measured_experiments(
    recipe: &Recipe,
    seeds: Option<usize>,
    jobs: &Jobs,
    data: &Path,
    stop: &Stop,
) -> Result<Measured> {
    let mut measured = Measured::new();
    for experiment in &recipe.experiment {
        let Some(known) = experiments::find(&experiment.id) else { continue };
        let seeds = seeds.or(experiment.seeds).unwrap_or(recipe.seeds) as u64;
        let mut put = |name: String, seed: u64, value: f64| {
            measured.entry((experiment.id.clone(), name)).or_default().push((seed, value));
        };
        match known.measure {
            Measure::Quick(names, of) => {
                for seed in 0..seeds {
                    names.iter().zip(of(seed)).for_each(|(name, value)| put((*name).to_owned(), seed, value));
                }
            }
            Measure::Long(_, measure) => {
                let Jobs { out, at_once, .. } = *jobs;
                let long = Long { id: known.id, seeds, out, at_once, data, stop };
                measure(&long)?;
                for seed in 0..seeds {
                    long.kept(seed)?.into_iter().for_each(|(name, value)| put(name, seed, value));
                }
            }
        }
    }
    Ok(measured)
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
