//! Real disks that are full or cannot be written: a tiny file system in memory, mounted for the test. Needs Linux and root; skipped
//! with a line elsewhere.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use tempfile::TempDir;
use tony_run::{Checkpoint, Error, Exit, RunFolder};

/// A mounted tmpfs; unmounted when dropped.
struct Mount {
    dir: TempDir,
}

impl Mount {
    fn new(size: &str) -> Option<Self> {
        let dir = tempfile::tempdir().unwrap();
        let options = format!("size={size}");
        mount(&["-t", "tmpfs", "-o", &options, "tmpfs"], dir.path())
            .map_err(|reason| eprintln!("skipped: no tmpfs can be mounted here: {reason}"))
            .ok()?;
        Some(Self { dir })
    }

    fn remount(&self, options: &str) {
        mount(&["-o", &format!("remount,{options}")], self.dir.path()).unwrap();
    }

    fn run(&self) -> PathBuf {
        self.dir.path().join("run")
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        unmount(self.dir.path());
    }
}

/// A process that another test is starting just now has our open files until it becomes another program: the file system is busy for
/// that moment, so this is tried again for a while.
fn unmount(dir: &Path) {
    let mut said = String::new();
    for _ in 0..100 {
        let output = Command::new("umount").arg(dir).output().unwrap();
        if output.status.success() {
            return;
        }
        said = String::from_utf8_lossy(&output.stderr).into_owned();
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert!(std::thread::panicking(), "{} cannot be unmounted: {said}", dir.display());
}

fn mount(arguments: &[&str], dir: &Path) -> Result<(), String> {
    let output = Command::new("mount").args(arguments).arg(dir).output().map_err(|error| error.to_string())?;
    if output.status.success() { Ok(()) } else { Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()) }
}

fn commit(folder: &mut RunFolder, update: u64) -> tony_run::Result<String> {
    let (policy, trainer) = common::archives(update, update);
    let (steps, updates) = (update * 100, update);
    folder.commit(&Checkpoint { steps, updates, seconds: 1.0, policy: &policy, trainer: &trainer }, &[])
}

#[test]
fn a_full_disk_stops_the_run_and_loses_nothing() {
    let Some(mount) = Mount::new("256k") else { return };
    let mut folder = RunFolder::create(&mount.run(), &common::plan(), &common::manifest()).unwrap();
    folder.log(&common::metrics(1, 1)).unwrap();
    commit(&mut folder, 1).unwrap();
    let filler = mount.dir.path().join("filler");
    fs_err::write(&filler, vec![0; 1 << 20]).unwrap_err();

    // Pages that files already own can still take some lines; then the logs give way, with one warning each.
    let mut update = 1;
    let mut warnings = Vec::new();
    while warnings.len() < 2 {
        update += 1;
        folder.log(&common::metrics(update, update)).unwrap();
        warnings.extend(folder.take_warnings());
    }
    assert!(
        warnings.iter().any(|w| w.contains("metrics.jsonl") && w.contains("No space left on device")),
        "{warnings:?}"
    );
    for _ in 0..5 {
        update += 1;
        folder.log(&common::metrics(update, update)).unwrap();
    }
    assert_eq!(folder.take_warnings(), [] as [String; 0]);
    // What is in the log is whole.
    let before = folder.metrics().unwrap().len() as u64;
    assert!(before < update);

    let error = commit(&mut folder, update).unwrap_err();
    assert_eq!((error.kind(), error.is_usage()), ("disk_full", false));
    let message = error.to_string();
    assert!(message.contains("/checkpoints/") && message.contains("No space left on device"), "{message}");
    assert!(error.hint().unwrap().contains("tony resume"));
    let exit = Exit { code: 1, reason: message, steps: 100, updates: 1, seconds: 1.0, resume: None };
    assert_eq!(folder.finish(&exit).unwrap_err().kind(), "disk_full");
    assert_eq!(common::entries(&mount.run().join("checkpoints")), ["0000100"]);
    assert!(common::entries(&mount.run()).iter().all(|name| !name.starts_with(".exit")));
    let loaded = folder.latest().unwrap().unwrap();
    assert_eq!((loaded.steps, loaded.warnings.len()), (100, 0));
    // A new run does not fit either, and leaves nothing behind.
    let other = mount.dir.path().join("other");
    assert_eq!(RunFolder::create(&other, &common::plan(), &common::manifest()).unwrap_err().kind(), "disk_full");
    assert_eq!(common::entries(mount.dir.path()), ["filler", "run"]);

    // With room again the lines that waited are written, and all goes on. Emptied, not removed: a `mount` that another test is
    // just starting may hold the descriptor with which the filler was written, and a removed file keeps its blocks until then.
    fs_err::OpenOptions::new().write(true).open(&filler).unwrap().set_len(0).unwrap();
    update += 1;
    folder.log(&common::metrics(update, update)).unwrap();
    commit(&mut folder, update).unwrap();
    assert_eq!(folder.metrics().unwrap().len() as u64, update);
    drop(folder);
    let mut folder = RunFolder::open(&mount.run()).unwrap();
    let loaded = folder.latest().unwrap().unwrap();
    folder.resume(Some(&loaded)).unwrap();
    assert_eq!((loaded.updates, folder.take_warnings().len()), (update, 0));
    assert_eq!(folder.metrics().unwrap().len() as u64, update);
}

#[test]
fn a_read_only_run_can_be_read() {
    let Some(mount) = Mount::new("1m") else { return };
    let mut folder = RunFolder::create(&mount.run(), &common::plan(), &common::manifest()).unwrap();
    folder.log(&common::metrics(1, 1)).unwrap();
    commit(&mut folder, 1).unwrap();
    drop(folder);
    mount.remount("ro");

    let view = RunFolder::open_read(&mount.run()).unwrap();
    assert_eq!((view.latest().unwrap().unwrap().steps, view.metrics().unwrap().len()), (100, 1));
    view.state().unwrap();
    let other = mount.dir.path().join("other");
    for error in [
        RunFolder::open(&mount.run()).unwrap_err(),
        view.write_report("<html>").unwrap_err(),
        RunFolder::create(&other, &common::plan(), &common::manifest()).unwrap_err(),
        RunFolder::create_in(&other, &common::plan(), &common::manifest()).unwrap_err(),
    ] {
        assert_eq!(error.kind(), "read_only");
        assert!(matches!(error, Error::Io(_)) && error.hint().is_some());
        let message = error.to_string();
        let place = mount.dir.path().display().to_string();
        assert!(message.contains(&place) && message.contains("Read-only file system"), "{message}");
    }
    assert!(RunFolder::open(&mount.run()).unwrap_err().to_string().contains("/run/.lock"));
    mount.remount("rw");
}

#[test]
fn a_disk_that_becomes_read_only_stops_the_run() {
    let Some(mount) = Mount::new("1m") else { return };
    {
        let mut folder = RunFolder::create(&mount.run(), &common::plan(), &common::manifest()).unwrap();
        commit(&mut folder, 1).unwrap();
    }
    // A file system with files open for writing cannot be remounted; a bind mount over the run can hide it from new files.
    let mut folder = RunFolder::open(&mount.run()).unwrap();
    let loaded = folder.latest().unwrap();
    folder.resume(loaded.as_ref()).unwrap();
    let checkpoints = mount.run().join("checkpoints");
    self::mount(&["--bind", &checkpoints.display().to_string()], &checkpoints).unwrap();
    self::mount(&["-o", "remount,bind,ro"], &checkpoints).unwrap();
    let error = commit(&mut folder, 2).unwrap_err();
    unmount(&checkpoints);
    assert_eq!(error.kind(), "read_only");
    assert!(error.to_string().contains("checkpoints/.scratch-0000200"), "{error}");
    assert_eq!(folder.latest().unwrap().unwrap().steps, 100);
    assert_eq!(commit(&mut folder, 2).unwrap(), "0000200");
}
