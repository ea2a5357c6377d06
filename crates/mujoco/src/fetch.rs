//! Where the pinned library is, and how it gets there.
//!
//! `TONY_MUJOCO=/path/libmujoco.so` wins. Otherwise the library lies in the user's cache folder and is fetched into it once: see
//! [`tony_fetch`].

use std::path::PathBuf;

use tony_fetch::{Part, Pinned};

use crate::{Error, Library, Result};

/// The version that everything here is made for: results differ between versions.
pub const VERSION: &str = "3.17.0";
/// The library in its wheel.
pub const WHEEL: Part =
    Part { package: "mujoco", version: VERSION, member: "mujoco/libmujoco.so.3.17.0", python: tony_fetch::PYTHON };
/// The library.
pub const LIBRARY: Pinned = Pinned {
    name: "MuJoCo 3.17.0",
    folder: "mujoco-3.17.0",
    file: "libmujoco.so.3.17.0",
    parts: &[WHEEL],
    length: 7_252_544,
    sha256: "23496b023ee80fb61ab71167e94bc649f9941710fde96b18bb8204fb332523ad",
    megabytes: 26,
    fix: "tony doctor --fix",
    instead: Some("TONY_MUJOCO=/path/to/libmujoco.so.3.17.0"),
};

/// What of the process's environment decides where the library is and how it is fetched.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `TONY_MUJOCO`: a library that wins over the cache.
    pub library: Option<PathBuf>,
    /// The cache, and where pip is looked for.
    pub fetch: tony_fetch::Environment,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let library = std::env::var_os("TONY_MUJOCO").filter(|value| !value.is_empty()).map(PathBuf::from);
        Self { library, fetch: tony_fetch::Environment::of_process() }
    }
}

/// Open the library: `TONY_MUJOCO`, else the cached one, else fetch it (unless `offline`), saying so in one line to `note`.
pub fn locate(offline: bool, note: &mut dyn FnMut(&str)) -> Result<Library> {
    locate_in(&Environment::of_process(), offline, note)
}

/// As [`locate`], in an environment that the caller describes.
pub fn locate_in(environment: &Environment, offline: bool, note: &mut dyn FnMut(&str)) -> Result<Library> {
    check_platform()?;
    if let Some(path) = &environment.library {
        return Library::open(path);
    }
    // Reading and hashing 7 MB takes 5 ms with the processor's SHA instructions, some 20 ms without: a flipped bit in the
    // physics is worth that at every start.
    Library::open(&LIBRARY.locate(&environment.fetch, true, offline, note)?)
}

/// The wheel, the field table and the recorded results are those of 64-bit x86 Linux.
fn check_platform() -> Result<()> {
    if cfg!(all(target_arch = "x86_64", target_os = "linux")) {
        Ok(())
    } else {
        Err(Error::Platform { platform: format!("{} {}", std::env::consts::ARCH, std::env::consts::OS) })
    }
}

/// What `tony doctor` says about MuJoCo.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Status {
    /// It is here and works.
    pub ok: bool,
    /// Its version, where it works.
    pub version: Option<String>,
    /// Where it is, or would be.
    pub path: Option<PathBuf>,
    /// What it makes possible.
    pub enables: &'static str,
    /// What is wrong, where it does not work.
    pub problem: Option<String>,
    /// What to type to mend it, where it does not work.
    pub fix: Option<String>,
}

/// Look, fetch nothing.
pub fn status() -> Status {
    status_in(&Environment::of_process())
}

/// As [`status`], in an environment that the caller describes.
pub fn status_in(environment: &Environment) -> Status {
    let path = environment.library.clone().or_else(|| LIBRARY.cached(&environment.fetch).ok());
    let enables = "every environment with bodies: Safety-Gymnasium tasks, HalfCheetah-v5, Hopper-v5, Swimmer-v5";
    match locate_in(environment, true, &mut |_| ()) {
        Ok(library) => {
            Status { ok: true, version: Some(library.version().into()), path, enables, problem: None, fix: None }
        }
        Err(error) => {
            let text = error.to_string();
            let (problem, fix) = match &error {
                Error::Fetch(tony_fetch::Error::Absent { .. }) => {
                    ("not fetched yet".to_owned(), "tony doctor --fix".to_owned())
                }
                _ => match text.split_once("\ntry: ") {
                    Some((problem, fix)) => (problem.to_owned(), fix.to_owned()),
                    None => (text, "tony doctor --fix".to_owned()),
                },
            };
            Status { ok: false, version: None, path, enables, problem: Some(problem), fix: Some(fix) }
        }
    }
}
