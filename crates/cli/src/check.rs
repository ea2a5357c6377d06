//! `tony check`: the laws of an environment, or the replay of recorded trajectories.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Instant;

use rayon::prelude::*;
use serde::Serialize;
use tony_env::Context;
use tony_env::check::ACTIONS;
use tony_env::golden;

use crate::failure::{Code, Failure, Result};
use crate::{Common, console, world};

/// Check an environment: the laws that every environment keeps, or recordings of the task that it must reproduce.
///
/// With --golden, four blocks are compared, of which each decides the next: the compiled model's facts and the reset (within
/// 1e-12), one step from every recorded state (within the tolerance), and the open loop, which is only told.
///
/// Without ENV all environments are checked; with --golden those whose recordings are given.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony check CartPole\n  tony check\n  tony check SafetyPointGoal1 --golden recordings/SafetyPointGoal1-v0-*.json.gz\n  tony check --golden recordings\n  tony check HalfCheetah --golden run.json.gz --tolerance 1e-10 --json"
)]
pub struct Args {
    /// The environment [default: all].
    env: Option<String>,
    /// Random and adversarial actions that the last law takes [default: 100000; of all environments 1000].
    #[arg(long, value_name = "N", conflicts_with = "golden")]
    actions: Option<usize>,
    /// Recorded trajectories to compare with: files, or folders of them.
    #[arg(long, value_name = "FILE", num_args = 1..)]
    golden: Vec<PathBuf>,
    /// Largest difference of one step from a recorded state [default: 1e-9].
    #[arg(long, value_name = "T", requires = "golden")]
    tolerance: Option<f64>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let ok = if args.golden.is_empty() { check_laws(args, common)? } else { compare(args, common)? };
    Ok(if ok { Code::Done } else { Code::Failed })
}

/// Reports of all environments.
#[derive(Serialize)]
struct All<R> {
    ok: bool,
    envs: Vec<R>,
}

fn check_laws(args: &Args, common: Common) -> Result<bool> {
    let check = |listing: &tony_env::Listing, context: &Context| -> Result<tony_env::check::Report> {
        let actions = args.actions.unwrap_or(if args.env.is_some() { ACTIONS } else { 1000 });
        Ok(tony_env::check::laws(tony_env::make(listing.name, context)?.as_mut(), listing.random, actions))
    };
    if let Some(env) = &args.env {
        let listing = tony_env::find(env)?;
        let report = check(listing, &world::context(listing, common.offline)?)?;
        console::answer(common.json, &report, || laws(&report))?;
        return Ok(report.ok);
    }
    let clock = Instant::now();
    // What must be fetched is, before the first is checked.
    let needs = tony_env::list().iter().map(|listing| Ok((listing, world::context(listing, common.offline)?)));
    let needs = needs.collect::<Result<Vec<_>>>()?;
    let check = |(listing, context): &(&tony_env::Listing, Context)| {
        let report = check(listing, context)?;
        if !common.json {
            console::print(&if report.ok { format!("{}  all laws hold", report.env) } else { laws(&report) })?;
        }
        Ok(report)
    };
    let envs = needs.par_iter().map(check).collect::<Result<Vec<_>>>()?;
    let ok = envs.iter().all(|report| report.ok);
    let kept = envs.iter().filter(|report| report.ok).count();
    let all = All { ok, envs };
    console::answer(common.json, &all, || {
        format!("{kept} of {} environments keep all laws, {:.0} s", all.envs.len(), clock.elapsed().as_secs_f64())
    })?;
    Ok(ok)
}

fn compare(args: &Args, common: Common) -> Result<bool> {
    let files = args.golden.iter().map(|path| recordings(path)).collect::<Result<Vec<_>>>()?.concat();
    let mut by_env: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
    match &args.env {
        Some(env) => drop(by_env.insert(env.clone(), files)),
        None => {
            for file in files {
                by_env.entry(golden::env_of(&file)?).or_default().push(file);
            }
        }
    }
    let compare = |(env, files): (&String, &Vec<PathBuf>)| match tony_env::find(env) {
        Ok(listing) => {
            let context = world::context(listing, common.offline)?;
            Ok(golden::compare(listing.name, files, args.tolerance, &context)?)
        }
        Err(error) if args.env.is_some() => Err(error.into()),
        Err(error) => Ok(golden::Report::unknown(env, files, &error)),
    };
    let reports = by_env.par_iter().map(compare).collect::<Result<Vec<_>>>()?;
    let ok = reports.iter().all(|report| report.ok);
    let failures = reports.iter().flat_map(|report| report.files.iter().map(move |file| (&report.env, file)));
    let failures: Vec<_> = failures
        .filter_map(|(env, file)| {
            let hint = format!("tony check {env} --golden with recordings of this task alone");
            Some(Failure::failed("golden", file.error.as_ref()?).hint(hint))
        })
        .collect();
    if let (Some(_), [report]) = (&args.env, reports.as_slice()) {
        console::answer(common.json, report, || differences(&report.files))?;
    } else {
        let all = All { ok, envs: reports };
        let files: Vec<_> = all.envs.iter().flat_map(|report| report.files.clone()).collect();
        let good = files.iter().filter(|file| file.ok).count();
        console::answer(common.json, &all, || {
            format!("{}\n{good} of {} recordings are reproduced", differences(&files), files.len())
        })?;
    }
    for failure in &failures {
        failure.report(false);
    }
    Ok(ok)
}

/// The recordings in a folder and its sub-folders, by name; a file is itself.
fn recordings(path: &Path) -> Result<Vec<PathBuf>> {
    if !path.is_dir() {
        return Ok(vec![path.to_owned()]);
    }
    let mut found = Vec::new();
    for entry in fs_err::read_dir(path)? {
        let path = entry?.path();
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        if path.is_dir() {
            found.extend(recordings(&path)?);
        } else if name.contains("-seed") && name.contains(".json") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

/// One line a law.
fn laws(report: &tony_env::check::Report) -> String {
    let mut rows = vec![vec![report.env.clone(), String::new(), String::new()]];
    let mark = |ok| if ok { "holds" } else { "BROKEN" };
    rows.extend(
        report
            .laws
            .iter()
            .map(|law| vec![format!("  {}", law.law), mark(law.ok).to_owned(), law.detail.replace('\n', "; ")]),
    );
    console::table(&rows)
}

/// One line a file: the largest difference of each block, then where those above nothing are.
fn differences(files: &[golden::FileReport]) -> String {
    let header =
        ["FILE", "OK", "MODEL", "RESET", "FROM SEED", "CHECKS", "OBS", "REWARD", "COST", "OPEN LOOP ABOVE 1e-6"];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    let number = |x: Option<f64>| match x {
        Some(x) if x == golden::MISFIT => "misfit".to_owned(),
        Some(x) => format!("{x:.1e}"),
        None => "-".to_owned(),
    };
    let mut worst = Vec::new();
    for file in files {
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
