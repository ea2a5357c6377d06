//! Which library is opened, and what is said where there is none.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use tony_mujoco::{Environment, Error, VERSION, fetch, locate_in, status_in};

#[test]
fn offline_and_absent() {
    let folder = tempfile::tempdir().unwrap();
    let fetch = tony_fetch::Environment { cache: Some(folder.path().join("cache")), path: "/nowhere".into() };
    let environment = Environment { library: None, fetch };
    assert!(matches!(locate_in(&environment, true, &mut |_| ()), Err(Error::Fetch(_))));
    assert!(!folder.path().join("cache").exists(), "looking makes no folder");
    let status = status_in(&environment);
    assert!(!status.ok && status.version.is_none());
    assert_eq!(status.problem.as_deref(), Some("not fetched yet"));
    assert_eq!(status.fix.as_deref(), Some("tony doctor --fix"));
}

#[test]
fn the_pinned_library_is_the_one_that_everything_is_made_for() {
    let Some(bytes) = real() else { return };
    let environment = Environment::of_process();
    let status = status_in(&environment);
    assert_eq!((status.ok, status.version.as_deref()), (true, Some(VERSION)));
    assert_eq!(bytes.len() as u64, fetch::LIBRARY.length);
    assert!(fetch::LIBRARY.file.ends_with(VERSION) && fetch::LIBRARY.name.ends_with(VERSION));
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
fn tony_mujoco_wins_and_must_fit() {
    let folder = tempfile::tempdir().unwrap();
    let with =
        |path: PathBuf| locate_in(&Environment { library: Some(path), ..Environment::default() }, false, &mut |_| ());
    let error = with(folder.path().join("absent.so")).unwrap_err();
    assert!(matches!(error, Error::Open { .. }), "{error}");
    let junk = folder.path().join("junk.so");
    fs::write(&junk, b"not a library").unwrap();
    assert!(matches!(with(junk).unwrap_err(), Error::Open { .. }));
    // The C compiler that links Rust programs makes a library that says it is another version.
    let (source, old) = (folder.path().join("old.c"), folder.path().join("old.so"));
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
        let own = folder.path().join("libmujoco.so");
        fs::write(&own, bytes).unwrap();
        assert_eq!(with(own.clone()).unwrap().path(), own);
    }
}
