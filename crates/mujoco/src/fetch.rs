//! Where the pinned library is, and how it gets there.
//!
//! `TONY_MUJOCO=/path/libmujoco.so` wins. Otherwise the library lies in the user's cache folder
//! (`$XDG_CACHE_HOME/tony/mujoco-3.17.0/`, or `~/.cache/...`) and is fetched into it once: pip downloads the wheel, only the
//! shared library is taken out, its hash is checked, and it is renamed into place. So what lies there under its final name
//! is always whole; two processes that fetch at once each rename their own, equal file.

use std::ffi::OsString;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

use crate::{Error, Library, Result};

/// The version that everything here is made for: results differ between versions.
pub const VERSION: &str = "3.17.0";
/// Name of the shared library, in the wheel and in the cache.
const FILE: &str = "libmujoco.so.3.17.0";
/// The same in the wheel.
pub const MEMBER: &str = "mujoco/libmujoco.so.3.17.0";
/// No library is larger: a wheel that says so is not the one.
const MOST_BYTES: u64 = 1 << 26;
/// SHA-256 of that file in the wheel for `manylinux_2_28_x86_64`.
const SHA256: &str = "23496b023ee80fb61ab71167e94bc649f9941710fde96b18bb8204fb332523ad";

/// What of the process's environment decides where the library is and how it is fetched.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `TONY_MUJOCO`: a library that wins over the cache.
    pub library: Option<PathBuf>,
    /// `$XDG_CACHE_HOME`, or `$HOME/.cache`.
    pub cache: Option<PathBuf>,
    /// `PATH`, where pip is looked for.
    pub path: OsString,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Environment {
            library: variable("TONY_MUJOCO").map(PathBuf::from),
            // The XDG specification has relative paths ignored.
            cache: variable("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache"))),
            path: variable("PATH").unwrap_or_default(),
        }
    }

    /// Where the fetched library lies or would lie.
    pub fn cached(&self) -> Result<PathBuf> {
        let cache = self.cache.as_ref().ok_or(Error::NoCacheFolder)?;
        Ok(cache.join("tony").join(format!("mujoco-{VERSION}")).join(FILE))
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
    let cached = environment.cached()?;
    // Reading and hashing 7 MB takes 5 ms with the processor's SHA instructions, some 20 ms without: a flipped bit in the
    // physics is worth that at every start.
    match fs::read(&cached).map_err(|error| error.to_string()).and_then(|bytes| check(&bytes)) {
        Ok(()) => return Library::open(&cached),
        Err(_) if !cached.exists() && offline => return Err(Error::Absent { path: cached }),
        Err(_) if !cached.exists() => note(&format!("fetching MuJoCo {VERSION} with pip (26 MB, once)")),
        Err(reason) if offline => return Err(Error::DamagedCache { path: cached, reason }),
        Err(reason) => note(&format!("the cached MuJoCo library is damaged ({reason}): fetching it again (26 MB)")),
    }
    fetch(environment, &cached)?;
    Library::open(&cached)
}

/// Fetch the library into the cache, whatever lies there.
fn fetch(environment: &Environment, cached: &Path) -> Result<()> {
    let unwritable = |path: &Path| {
        let path = path.to_owned();
        move |source| Error::Cache { path, source }
    };
    let folder = cached.parent().ok_or(Error::NoCacheFolder)?;
    std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
    let scratch_file = || tempfile::Builder::new().prefix(".fetching-").tempfile_in(folder).map_err(unwritable(folder));
    // A folder that cannot be written is known before the download; one that is interrupted leaves nothing in it.
    drop(scratch_file()?);
    let scratch = tempfile::tempdir()?;
    let wheel = download_wheel(environment, scratch.path())?;
    let damaged = |reason: String| Error::DamagedDownload { path: wheel.clone(), reason };
    let bytes = unzip(&wheel).map_err(damaged)?;
    check(&bytes).map_err(damaged)?;
    let mut library = scratch_file()?;
    library.write_all(&bytes).map_err(unwritable(folder))?;
    library.as_file().sync_all().map_err(unwritable(folder))?;
    library.persist(cached).map_err(|error| unwritable(folder)(error.error))?;
    fs::File::open(folder)?.sync_all()?;
    Ok(())
}

/// The shared library's bytes out of a wheel.
fn unzip(wheel: &Path) -> std::result::Result<Vec<u8>, String> {
    let file = fs::File::open(wheel).map_err(|error| error.to_string())?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| error.to_string())?;
    let entry = archive.by_name(MEMBER).map_err(|error| error.to_string())?;
    let mut bytes = Vec::new();
    entry.take(MOST_BYTES).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    Ok(bytes)
}

/// Download the wheel of [`VERSION`] into a folder.
pub fn download_wheel(environment: &Environment, into: &Path) -> Result<PathBuf> {
    for program in [&["python3", "-m", "pip"][..], &["pip3"], &["pip"]] {
        let mut command = Command::new(program[0]);
        command.args(&program[1..]).args(["download", "--quiet", "--disable-pip-version-check", "--no-input"]);
        command.args(["--no-deps", "--only-binary=:all:", "--python-version", "311"]);
        command.args(["--platform", "manylinux_2_28_x86_64", "--retries", "2", "--timeout", "20", "-d"]);
        command.arg(into).arg(format!("mujoco=={VERSION}"));
        command.env("PATH", &environment.path).stdin(Stdio::null()).stdout(Stdio::null());
        let Ok(output) = command.output() else { continue };
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() {
            return find_wheel(into);
        }
        if said.contains("No module named pip") || output.status.code() == Some(127) {
            continue;
        }
        let words =
            ["connection broken by", "NewConnectionError", "NameResolutionError", "ConnectTimeout", "ProxyError"];
        let (said, unreachable) = (last_lines(&said), words.iter().any(|word| said.contains(word)));
        return Err(if unreachable {
            Error::NoNetwork { said }
        } else {
            Error::Pip { command: format!("{} download --no-deps mujoco=={VERSION}", program.join(" ")), said }
        });
    }
    Err(Error::NoPip)
}

/// The last three lines of pip's complaint. Of a broken connection the reason stands last, behind the object that met it.
fn last_lines(said: &str) -> String {
    let reason = |line: &str| {
        let reason = if line.contains("connection broken by") { line.rsplit(">: ").next() } else { None };
        reason.unwrap_or(line).chars().take(200).collect()
    };
    let lines: Vec<String> = said.lines().map(str::trim).filter(|line| !line.is_empty()).map(reason).collect();
    lines[lines.len().saturating_sub(3)..].join("\n")
}

/// The one wheel in a folder.
fn find_wheel(folder: &Path) -> Result<PathBuf> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "whl") {
            return Ok(path);
        }
    }
    Err(Error::DamagedDownload { path: folder.to_owned(), reason: "pip reported success but left no wheel".into() })
}

/// Check the pinned hash; the error says what differs.
fn check(bytes: &[u8]) -> std::result::Result<(), String> {
    let found = Sha256::digest(bytes).iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
    if found == SHA256 { Ok(()) } else { Err(format!("its SHA-256 is {found}, not {SHA256}")) }
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
    let path = environment.library.clone().or_else(|| environment.cached().ok());
    let enables = "every environment with bodies: Safety-Gymnasium tasks, HalfCheetah-v5, Hopper-v5, Swimmer-v5";
    match locate_in(environment, true, &mut |_| ()) {
        Ok(library) => {
            Status { ok: true, version: Some(library.version().into()), path, enables, problem: None, fix: None }
        }
        Err(error) => {
            let text = error.to_string();
            let (problem, fix) = match &error {
                Error::Absent { .. } => ("not fetched yet".to_owned(), "tony doctor --fix".to_owned()),
                _ => match text.split_once("\ntry: ") {
                    Some((problem, fix)) => (problem.to_owned(), fix.to_owned()),
                    None => (text, "tony doctor --fix".to_owned()),
                },
            };
            Status { ok: false, version: None, path, enables, problem: Some(problem), fix: Some(fix) }
        }
    }
}
