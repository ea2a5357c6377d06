//! `tony doctor`: what is here, what is missing, what that would enable. One entry of [`CHECKS`] an item.

use std::path::PathBuf;
use std::process::Command;

use serde::Serialize;

use crate::failure::{Code, Result};
use crate::{Common, console};

/// Look at this machine: what is here, what is missing, and what that would enable.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony doctor\n  tony doctor --fix        fetch what is missing\n  tony doctor --json"
)]
pub struct Args {
    /// Fetch and mend what can be.
    #[arg(long)]
    fix: bool,
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
];

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let mut items = Vec::new();
    for check in CHECKS {
        let mut item = (check.look)();
        if let Some(mend) = check.mend.filter(|_| args.fix && !common.offline && !item.ok) {
            mend()?;
            item = (check.look)();
        }
        items.push(item);
    }
    let ok = items.iter().all(|item| item.ok || item.optional);
    if common.json {
        console::print_json(&serde_json::json!({"ok": ok, "items": items}))?;
    } else {
        print(&items, ok)?;
    }
    Ok(if ok { Code::Done } else { Code::Failed })
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
