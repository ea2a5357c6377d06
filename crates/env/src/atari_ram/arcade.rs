//! The Python that runs the emulators, the files that it needs, and the worker processes that it becomes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tony_fetch::Pinned;

use super::games::{self, FIX, GAMES, Game, VERSION};
use super::worker::{Launch, Worker};
use crate::{Error, Result};

/// What of the process's environment decides which Python and which ale-py play.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `TONY_PYTHON`, else `python3`.
    pub python: OsString,
    /// `TONY_ALE`: the folder of an installed `ale_py`, which wins over the cache.
    pub folder: Option<PathBuf>,
    /// The cache, and where pip is looked for.
    pub fetch: tony_fetch::Environment,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            python: variable("TONY_PYTHON").unwrap_or_else(|| "python3".into()),
            folder: variable("TONY_ALE").map(PathBuf::from),
            fetch: tony_fetch::Environment::of_process(),
        }
    }
}

/// Where the emulators run: worker processes, which start when the first environment needs them.
pub struct Arcade {
    /// The compiled module that the workers load.
    pub module: PathBuf,
    roms: PathBuf,
    workers: Vec<Arc<Worker>>,
    /// Environments made so far: they take the workers in turns.
    made: AtomicUsize,
}

impl Arcade {
    /// With so many workers and the files of `environment`; what is missing is fetched unless `offline`, which one line to `note` says. Each
    /// file's hash is looked at. `report` is told of a worker that died and was started again.
    pub fn locate(
        environment: &Environment,
        workers: usize,
        offline: bool,
        report: fn(&str),
        note: &mut dyn FnMut(&str),
    ) -> Result<Self> {
        let python = Python::ask(&environment.python)?;
        let bad_python = || Error::BadPython {
            python: python.program.clone(),
            reason: format!("it is {}, and ale-py {VERSION} is for CPython 3.10 to 3.14 on 64-bit Linux", python.tag),
        };
        let number = python.tag.strip_prefix("cpython-").ok_or_else(bad_python)?;
        let (module, roms) = match &environment.folder {
            Some(folder) => installed(folder, &python, games::files(number).ok_or_else(bad_python)?)?,
            None if cfg!(all(target_os = "linux", target_arch = "x86_64")) => {
                let files = games::files(number).ok_or_else(bad_python)?;
                let found = tony_fetch::locate_all(files, &environment.fetch, true, offline, note)?;
                let roms = found.last().and_then(|rom| rom.parent()).map(Path::to_owned).unwrap_or_default();
                (found.into_iter().next().unwrap_or_default(), roms)
            }
            None => return Err(bad_python()),
        };
        let launch = Arc::new(Launch { python: python.program, module: module.clone(), report });
        let workers = (0..workers.max(1)).map(|_| Arc::new(Worker::new(launch.clone()))).collect();
        Ok(Self { module, roms, workers, made: AtomicUsize::new(0) })
    }

    /// The next worker's turn.
    pub(super) fn worker(&self) -> Arc<Worker> {
        self.workers[self.made.fetch_add(1, Ordering::Relaxed) % self.workers.len()].clone()
    }

    /// The file of a game.
    pub(super) fn rom(&self, game: &Game) -> PathBuf {
        self.roms.join(format!("{}.bin", game.rom))
    }

    /// Process numbers of the workers that run.
    pub fn processes(&self) -> Vec<u32> {
        self.workers.iter().filter_map(|worker| worker.process()).collect()
    }
}

/// A Python, and which one it is.
struct Python {
    program: PathBuf,
    /// For example `cpython-311`.
    tag: String,
}

impl Python {
    /// What `program` says of itself.
    fn ask(program: &OsString) -> Result<Self> {
        const QUESTION: &str = "import sys; print(sys.implementation.cache_tag); print(sys.executable)";
        let bad = |reason: String| Error::BadPython { python: program.into(), reason };
        let mut command = Command::new(program);
        command.args(["-I", "-S", "-c", QUESTION]).stdin(Stdio::null());
        let output = command.output().map_err(|error| bad(error.to_string()))?;
        let said = String::from_utf8_lossy(&output.stdout).into_owned();
        match said.lines().collect::<Vec<_>>()[..] {
            [tag, program] if output.status.success() => Ok(Self { program: program.into(), tag: tag.to_owned() }),
            _ => Err(bad(last_line(&String::from_utf8_lossy(&output.stderr)).unwrap_or("it says nothing").to_owned())),
        }
    }
}

/// The module and the games in the folder of an installed `ale_py`. Another version is refused, by the games' files here and by what the
/// module says of itself when it runs.
fn installed(folder: &Path, python: &Python, files: &[Pinned]) -> Result<(PathBuf, PathBuf)> {
    let bad = |reason: String| Error::BadAle {
        folder: folder.to_owned(),
        reason,
        fix: format!("python3 -m pip install ale-py=={VERSION}, or unset TONY_ALE and `{FIX}`"),
    };
    let begins = format!("_ale_py.{}-", python.tag);
    let entries = fs_err::read_dir(folder).map_err(|error| bad(error.to_string()))?;
    let is_module = |path: &PathBuf| {
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        name.starts_with(&begins)
    };
    let module = entries.flatten().map(|entry| entry.path()).find(is_module);
    let module = module.ok_or_else(|| bad(format!("it has no {begins}*.so for {}", python.program.display())))?;
    let roms = folder.join("roms");
    for file in &files[files.len() - GAMES.len()..] {
        file.check(&roms.join(file.file), true).map_err(|reason| bad(format!("{}: {reason}", file.name)))?;
    }
    Ok((module, roms))
}

/// The last line that says something.
pub(super) fn last_line(text: &str) -> Option<&str> {
    text.lines().map(str::trim).rfind(|line| !line.is_empty())
}
