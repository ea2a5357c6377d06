//! `tony list`: what there is.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tony_rl::algorithms::{self, Entry};
use tony_run::RunState;

use crate::failure::{Code, Result};
use crate::{Common, console, train};

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
            let entry = train::algorithm(name)?;
            console::answer(common.json, &[algorithm_json(entry)], || algorithm_page(entry))?;
        }
        What::Algos { name: None } => {
            let rows = algorithms::list().iter().map(|a| [a.name, a.title, a.summary]);
            show(common, ["NAME", "TITLE", "WHAT IT IS"], rows, || {
                algorithms::list().iter().map(algorithm_json).collect()
            })?;
        }
        What::Envs => {
            let rows = tony_env::list().iter().map(|e| [e.name, e.family, e.summary]);
            show(common, ["NAME", "FAMILY", "WHAT IT ASKS"], rows, || {
                let object = |e: &tony_env::Listing| json!({"name": e.name, "family": e.family, "summary": e.summary, "needs_mujoco": e.needs_mujoco});
                tony_env::list().iter().map(object).collect()
            })?;
        }
        What::Runs { folder } => runs(folder, common)?,
    }
    Ok(Code::Done)
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

fn algorithm_json(entry: &Entry) -> Value {
    let settings = entry.fields().into_iter().map(|field| {
        json!({"key": field.key, "group": field.group, "doc": field.doc, "default": field.default_text(), "allowed": field.allowed, "choices": field.choices})
    });
    let presets = entry.presets.iter().map(|preset| json!({"name": preset.name, "summary": preset.summary}));
    json!({
        "name": entry.name, "family": entry.family, "summary": entry.summary, "title": entry.title, "paper": entry.paper,
        "presets": presets.collect::<Vec<_>>(), "settings": settings.collect::<Vec<_>>(),
    })
}

/// The manual page of an algorithm: what it is, its presets, every setting with its default.
pub fn algorithm_page(entry: &Entry) -> String {
    let mut lines = vec![format!("{} ({})", entry.title, entry.name), entry.summary.to_owned(), entry.paper.to_owned()];
    if !entry.presets.is_empty() {
        let rows: Vec<Vec<String>> =
            entry.presets.iter().map(|p| vec![format!("  {}", p.name), p.summary.to_owned()]).collect();
        lines.extend(["\nPresets (preset=NAME):".to_owned(), console::table(&rows)]);
    }
    let mut group = String::new();
    for field in entry.fields() {
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
