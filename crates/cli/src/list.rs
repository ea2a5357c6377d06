//! `tony list`: what there is.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tony_run::RunState;

use crate::failure::{Code, Result};
use crate::workload::Algorithm;
use crate::{Common, console};

/// Show algorithms, environments or runs.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony list algos\n  tony list algos cpo        its settings, presets and paper\n  tony list envs\n  tony list runs\n  tony list runs /data/runs --json"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Algorithms; with a NAME its paper, presets and settings.
    Algos {
        /// One algorithm, in full.
        name: Option<String>,
    },
    /// Environments.
    Envs,
    /// Runs in a folder.
    Runs {
        /// Folder to look in.
        #[arg(default_value = "runs")]
        folder: PathBuf,
    },
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    match &args.what {
        What::Algos { name: Some(name) } => {
            let algorithm = Algorithm::find(name)?;
            console::answer(common.json, &[algorithm_json(algorithm)], || algorithm_page(algorithm))?;
        }
        What::Algos { name: None } => {
            let rows = Algorithm::list().into_iter().map(|algorithm| {
                let about = algorithm.about();
                [about.name, about.title, about.summary]
            });
            show(common, ["NAME", "TITLE", "WHAT IT IS"], rows, || {
                Algorithm::list().into_iter().map(algorithm_json).collect()
            })?;
        }
        What::Envs => {
            let rows = tony_env::list().iter().map(|e| [e.name, e.family, e.summary]);
            let rows = rows.chain(few_shot().into_iter().map(|(name, summary)| [name, FEW_SHOT, summary]));
            show(common, ["NAME", "FAMILY", "WHAT IT ASKS"], rows, || {
                let object = |e: &tony_env::Listing| json!({"name": e.name, "family": e.family, "summary": e.summary, "needs_mujoco": e.needs_mujoco});
                let task = |(name, summary)| json!({"name": name, "family": FEW_SHOT, "summary": summary, "needs_mujoco": false});
                tony_env::list().iter().map(object).chain(few_shot().into_iter().map(task)).collect()
            })?;
            if !common.json {
                console::print(by_family())?;
            }
        }
        What::Runs { folder } => runs(folder, common)?,
    }
    Ok(Code::Done)
}

/// How many environments of each family there are.
fn by_family() -> String {
    let mut counts: Vec<(&str, usize)> = Vec::new();
    let families = tony_env::list().iter().map(|listing| listing.family);
    for family in families.chain(few_shot().iter().map(|_| FEW_SHOT)) {
        match counts.iter_mut().find(|(known, _)| *known == family) {
            Some((_, count)) => *count += 1,
            None => counts.push((family, 1)),
        }
    }
    let all: usize = counts.iter().map(|(_, count)| count).sum();
    let parts: Vec<String> = counts.iter().map(|(family, count)| format!("{family} {count}")).collect();
    format!("\n{all} environments: {}", parts.join(", "))
}

/// Family of what few-shot algorithms are trained on.
const FEW_SHOT: &str = "few-shot";

/// Families of tasks of few-shot algorithms: name, and what they ask.
fn few_shot() -> Vec<(&'static str, &'static str)> {
    #[cfg(feature = "meta")]
    return tony_meta::tasks::Kind::ALL.iter().map(|kind| (kind.name(), kind.summary())).collect();
    #[cfg(not(feature = "meta"))]
    Vec::new()
}

/// Rows as a table or, where a program reads, objects.
fn show<const N: usize>(
    common: Common,
    header: [&str; N],
    rows: impl Iterator<Item = [&'static str; N]>,
    objects: impl FnOnce() -> Vec<Value>,
) -> Result<()> {
    if common.json {
        return console::print_json(&objects());
    }
    let owned = |row: [&str; N]| row.map(str::to_owned).to_vec();
    let rows: Vec<Vec<String>> = std::iter::once(owned(header)).chain(rows.map(owned)).collect();
    console::print(console::table(&rows))
}

fn runs(folder: &Path, common: Common) -> Result<()> {
    let runs = if folder.is_dir() { tony_run::list_runs(folder)? } else { Vec::new() };
    let state = |state: &RunState| format!("{state:?}").to_lowercase();
    if common.json {
        let object = |run: &tony_run::RunSummary| {
            let summary = format!("{} on {}, {} steps, {}", run.algorithm, run.env, run.steps, state(&run.state));
            let mut object = json!({"name": run.name, "family": run.algorithm, "summary": summary});
            if let (Value::Object(object), Ok(Value::Object(all))) = (&mut object, serde_json::to_value(run)) {
                object.extend(all);
            }
            object
        };
        return console::print_json(&runs.iter().map(object).collect::<Vec<_>>());
    }
    if runs.is_empty() {
        console::note(format!("no runs in {}\ntry: tony train cpo SafetyPointGoal1", folder.display()));
        return Ok(());
    }
    let mut rows =
        vec![["RUN", "ALGORITHM", "ENVIRONMENT", "STEPS", "RETURN", "COST", "STATE"].map(str::to_owned).to_vec()];
    rows.extend(runs.iter().map(|run| {
        vec![
            run.path.display().to_string(),
            run.algorithm.clone(),
            run.env.clone(),
            console::thousands(run.steps),
            console::short_or_dash(run.last_return),
            console::short_or_dash(run.last_cost),
            state(&run.state),
        ]
    }));
    console::print(console::table(&rows))
}

fn algorithm_json(algorithm: Algorithm) -> Value {
    let about = algorithm.about();
    let settings = algorithm.fields(None).into_iter().map(|field| {
        json!({"key": field.key, "group": field.group, "doc": field.doc, "default": field.default_text(), "allowed": field.allowed, "choices": field.choices})
    });
    let presets = about.presets.iter().map(|(name, summary)| json!({"name": name, "summary": summary}));
    json!({
        "name": about.name, "family": about.family, "summary": about.summary, "title": about.title, "paper": about.paper,
        "presets": presets.collect::<Vec<_>>(), "settings": settings.collect::<Vec<_>>(),
    })
}

/// The manual page of an algorithm: what it is, its presets, every setting with its default.
pub fn algorithm_page(algorithm: Algorithm) -> String {
    let about = algorithm.about();
    let mut lines = vec![format!("{} ({})", about.title, about.name), about.summary.to_owned(), about.paper.to_owned()];
    if !about.presets.is_empty() {
        let rows: Vec<Vec<String>> =
            about.presets.iter().map(|(name, summary)| vec![format!("  {name}"), (*summary).to_owned()]).collect();
        lines.extend(["\nPresets (preset=NAME):".to_owned(), console::table(&rows)]);
    }
    let mut group = String::new();
    for field in algorithm.fields(None) {
        if field.group != group {
            lines.push(format!("\nSettings, {}:", field.group));
            group.clone_from(&field.group);
        }
        let name = if field.named { "[.NAME]" } else { "" };
        lines.push(format!("  {}{name}={}   {}", field.key, field.default_text(), field.allowed));
        lines.extend(field.doc.lines().map(|line| format!("      {line}")));
    }
    lines.join("\n")
}
