//! `tony doctor`: what is here, what is missing, what that would enable. One entry of [`CHECKS`] an item.

use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;
use tony_env::needs;
#[cfg(feature = "lm")]
use tony_run::nearest;

use crate::failure::{Code, Failure, Result};
use crate::{Common, console, film, world};

/// Look at this machine: what is here, what is missing, and what that would enable.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony doctor\n  tony doctor --fix           fetch what is needed and missing\n  tony doctor --fix models    fetch the models to begin with\n  tony doctor --fix racecar   fetch the meshes of one of the robots\n  tony doctor --fix atari     fetch the emulator of Atari games\n  tony doctor --json"
)]
pub struct Args {
    /// Fetch and mend what is needed, or WHAT: `models`, a model by its name, `racecar` or `atari`.
    #[arg(long, value_name = "WHAT", num_args = 0..=1, default_missing_value = "")]
    fix: Option<String>,
    /// Agree to the terms under which WHAT may be used.
    #[arg(long, requires = "fix")]
    accept_terms: bool,
}

/// One thing that may be here or missing.
#[derive(Serialize)]
struct Item {
    name: &'static str,
    ok: bool,
    version: Option<String>,
    path: Option<PathBuf>,
    enables: String,
    fix: Option<String>,
    /// What is wrong with it.
    problem: Option<String>,
    /// Everything works without it.
    optional: bool,
}

/// How to look for an item and, where the program can, how to mend it.
struct Check {
    look: fn() -> Item,
    mend: Option<fn() -> Result<()>>,
}

const CHECKS: &[Check] = &[
    Check { look: processor, mend: None },
    Check { look: mujoco, mend: Some(fetch_mujoco) },
    Check { look: pip, mend: None },
    Check {
        look: || python("tensorboard", "tensorboard --logdir runs: the curves of many runs side by side"),
        mend: None,
    },
    Check { look: || python("safetensors", "reading checkpoints from Python"), mend: None },
    Check { look: ffmpeg, mend: None },
];

pub fn run(args: &Args, common: Common) -> Result<Code> {
    if let Some(what) = args.fix.as_deref().filter(|what| !what.is_empty()) {
        match what {
            "racecar" => drop(needs::meshes(common.offline, world::tell)?),
            "atari" => drop(needs::arcade(1, common.offline, world::tell)?),
            model => fetch_models(model, args.accept_terms, common)?,
        }
    }
    let mut items = Vec::new();
    for check in CHECKS {
        let mut item = (check.look)();
        if let Some(mend) = check.mend.filter(|_| args.fix.is_some() && !common.offline && !item.ok) {
            mend()?;
            item = (check.look)();
        }
        items.push(item);
    }
    items.push(racecar());
    items.push(atari());
    items.extend(models());
    let ok = items.iter().all(|item| item.ok || item.optional);
    if common.json {
        console::print_json(&serde_json::json!({"ok": ok, "items": items}))?;
    } else {
        print(&items, ok)?;
    }
    Ok(if ok { Code::Done } else { Code::Failed })
}

/// Models that have names, and whether they are here. Hashes are looked at, which takes a moment for each.
#[cfg(feature = "lm")]
fn models() -> Vec<Item> {
    let item = |model: &'static tony_lm::Listed| {
        let found = model.fetch(true, true, &mut |_| ());
        let damaged = found.as_ref().err().filter(|error| !matches!(error, tony_fetch::Error::Absent { .. }));
        Item {
            name: model.name,
            ok: found.is_ok(),
            version: Some(format!("{}, {}", model.about, model.licence)),
            path: found.as_ref().ok().cloned(),
            enables: model.enables.into(),
            fix: Some(model.fix().into()),
            problem: damaged.map(ToString::to_string),
            optional: true,
        }
    };
    tony_lm::MODELS.iter().map(item).collect()
}

#[cfg(not(feature = "lm"))]
fn models() -> Vec<Item> {
    Vec::new()
}

/// Fetch the model called `what`, or with `models` those to begin with.
#[cfg(feature = "lm")]
fn fetch_models(what: &str, accepted: bool, common: Common) -> Result<()> {
    use tony_lm::{Listed, MODELS};
    let wanted: Vec<&Listed> =
        if what == "models" { Listed::beginning().collect() } else { Listed::find(what).into_iter().collect() };
    if wanted.is_empty() {
        let names = || MODELS.iter().map(|model| model.name).chain(["models"]);
        let known = names().collect::<Vec<_>>().join(", ");
        let wrong = format!("nothing called `{what}` can be fetched; there are {known}");
        return Err(Failure::unknown("unknown_model", wrong, what, nearest(what, names()), "tony doctor"));
    }
    for model in wanted {
        if let Some(terms) = model.terms.filter(|_| !accepted) {
            let failure = Failure::usage("terms", format!("{}: {terms}", model.about));
            return Err(failure.hint(model.fix()));
        }
        model.fetch(true, common.offline, &mut |text| console::note(text))?;
    }
    Ok(())
}

#[cfg(not(feature = "lm"))]
fn fetch_models(what: &str, _: bool, _: Common) -> Result<()> {
    let failure = Failure::usage(
        "no_models",
        format!("`{what}` cannot be fetched: this program was built without language models"),
    );
    Err(failure.hint("cargo build --release"))
}

fn print(items: &[Item], ok: bool) -> Result<()> {
    for item in items {
        let mark = if item.ok { "here   " } else { "missing" };
        let version = item.version.as_deref().unwrap_or_default();
        let path = item.path.as_ref().map(|path| format!("  {}", path.display())).unwrap_or_default();
        console::print(format!("{mark}  {:<12} {version}{path}", item.name).trim_end())?;
        let word = if item.ok { "enables" } else { "would enable" };
        console::print(format!("         {word} {}", item.enables))?;
        if let Some(problem) = &item.problem {
            console::print(format!("         {}", problem.replace('\n', "\n         ")))?;
        }
        if let Some(fix) = item.fix.as_ref().filter(|_| !item.ok) {
            console::print(format!("         try: {fix}"))?;
        }
    }
    console::print(if ok { "\nall that is needed is here" } else { "\nsomething that is needed is missing" })
}

/// Which kernels run; every one gives the same bits.
fn processor() -> Item {
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    Item {
        name: "processor",
        ok: true,
        version: Some(format!("{threads} threads, {}", format!("{:?}", tony_nn::simd::path()).to_lowercase())),
        path: None,
        enables: "training; the results are the same bits on every processor and for every number of threads".into(),
        fix: None,
        problem: None,
        optional: false,
    }
}

fn mujoco() -> Item {
    let status = tony_mujoco::status();
    Item {
        name: "mujoco",
        ok: status.ok,
        version: status.version,
        path: status.path,
        enables: status.enables.into(),
        fix: status.fix,
        problem: status.problem,
        optional: false,
    }
}

/// The meshes of a robot.
fn racecar() -> Item {
    let found = needs::meshes(true, world::tell);
    Item {
        name: "racecar",
        ok: found.is_ok(),
        version: Some("safety-gymnasium 1.0.0, Apache-2.0".into()),
        path: found.ok(),
        enables: "SafetyRacecar*: the meshes of that robot".into(),
        fix: Some("tony doctor --fix racecar".into()),
        problem: None,
        optional: true,
    }
}

/// The encoder of films.
fn ffmpeg() -> Item {
    let path = film::in_path("ffmpeg");
    Item {
        name: "ffmpeg",
        ok: path.is_some(),
        version: None,
        path,
        enables: "tony play RUN --mp4 FILE".into(),
        fix: Some("install ffmpeg (Debian: apt install ffmpeg)".into()),
        problem: None,
        optional: true,
    }
}

/// The emulator of Atari games, and a Python that runs it.
fn atari() -> Item {
    let found = needs::arcade(1, true, world::tell);
    let problem = found.as_ref().err().filter(|error| {
        // That nothing was fetched yet is no problem.
        !matches!(error, tony_env::Error::Fetch(tony_fetch::Error::Absent { .. }))
    });
    let problem = problem.map(|error| error.to_string().split("\ntry: ").next().unwrap_or_default().to_owned());
    Item {
        name: "atari",
        ok: found.is_ok(),
        version: Some(format!("ale-py {}, GPL-2.0: it runs in processes of its own", tony_env::atari_ram::VERSION)),
        path: found.ok().map(|arcade| arcade.module.clone()),
        enables: "*-ram*-v4: Atari games by the console's memory".into(),
        fix: Some(tony_env::atari_ram::FIX.into()),
        problem,
        optional: true,
    }
}

fn fetch_mujoco() -> Result<()> {
    tony_mujoco::locate(false, &mut |text| console::note(text))?;
    Ok(())
}

/// A Python one-liner's output, where it succeeds.
fn ask_python(code: &str) -> Option<String> {
    let output = Command::new("python3").args(["-c", code]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

fn pip() -> Item {
    let version = ask_python("import importlib.metadata as m; print(m.version('pip'))");
    Item {
        name: "pip",
        ok: version.is_some(),
        version,
        path: None,
        enables: "fetching MuJoCo; not needed once it is here".into(),
        fix: Some("install Python's pip (Debian: apt install python3-pip)".into()),
        problem: None,
        optional: true,
    }
}

/// A Python package that can read what we write.
fn python(package: &'static str, enables: &str) -> Item {
    let version = ask_python(&format!("import importlib.metadata as m; print(m.version('{package}'))"));
    Item {
        name: package,
        ok: version.is_some(),
        version,
        path: None,
        enables: enables.to_owned(),
        fix: Some(format!("python3 -m pip install {package}")),
        problem: None,
        optional: true,
    }
}
