//! Runs and processes: one owner at a time, and death at any moment.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::collections::HashSet;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{env, thread};
use tony_random::Stream;
use tony_run::{Error, RunFolder, RunState, list_runs};

/// Not a test: what the processes below run, chosen by environment variables.
#[test]
fn worker() {
    let Ok(work) = env::var("TONY_TEST_WORK") else { return };
    let dir = env::var("TONY_TEST_DIR").unwrap();
    let dir = Path::new(&dir);
    match work.as_str() {
        "hold" => {
            let _folder = RunFolder::open(dir).unwrap();
            fs_err::write(dir.join("held"), "").unwrap();
            thread::sleep(Duration::from_mins(1));
        }
        "train" => {
            let mut folder = match RunFolder::create(dir, &common::plan(), &common::manifest()) {
                Err(Error::Exists { .. }) => RunFolder::open(dir).unwrap(),
                folder => folder.unwrap(),
            };
            common::train(&mut folder, Duration::from_millis(3)).unwrap();
        }
        "create" => {
            for _ in 0..10 {
                RunFolder::create_in(dir, &common::plan(), &common::manifest()).unwrap();
            }
        }
        other => panic!("{other}"),
    }
}

fn start(work: &str, dir: &Path) -> Child {
    Command::new(env::current_exe().unwrap())
        .args(["worker", "--exact", "--nocapture"])
        .env("TONY_TEST_WORK", work)
        .env("TONY_TEST_DIR", dir)
        .stdout(Stdio::null())
        .spawn()
        .unwrap()
}

#[test]
fn a_run_has_one_owner() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let folder = RunFolder::create(&run, &common::plan(), &common::manifest()).unwrap();
    // The maker holds the lock as well.
    assert!(matches!(RunFolder::open(&run), Err(Error::Locked { pid: Some(pid), .. }) if pid == std::process::id()));
    drop(folder);

    let mut owner = start("hold", &run);
    let begun = Instant::now();
    while !run.join("held").exists() {
        assert!(begun.elapsed() < Duration::from_secs(30), "the other process does not start");
        thread::sleep(Duration::from_millis(5));
    }
    let error = RunFolder::open(&run).unwrap_err();
    let (message, hint) = (error.to_string(), error.hint());
    // Reading is for everybody.
    let state = RunFolder::open_read(&run).unwrap().state().unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    assert_eq!(message, format!("{} is in use by another process (pid {})", run.display(), owner.id()));
    assert_eq!((error.kind(), error.is_usage(), hint.is_some()), ("locked", false, true));
    assert_eq!(state, RunState::Running);
    // A dead owner holds nothing.
    let folder = RunFolder::open(&run).unwrap();
    drop(folder);
    assert_eq!(RunFolder::open_read(&run).unwrap().state().unwrap(), RunState::Crashed);
}

#[test]
fn names_are_given_once() {
    let dir = tempfile::tempdir().unwrap();
    let runs = dir.path().join("deep/runs");
    let workers: Vec<Child> = (0..4).map(|_| start("create", &runs)).collect();
    for mut worker in workers {
        assert!(worker.wait().unwrap().success());
    }
    let names: HashSet<String> = common::entries(&runs).into_iter().collect();
    let expected: HashSet<String> = (1..=40).map(|number| format!("cpo-SafetyPointGoal1-{number:04}")).collect();
    assert_eq!(names, expected);
}

#[test]
fn a_run_killed_again_and_again_ends_as_the_unbroken_one() {
    let dir = tempfile::tempdir().unwrap();
    let (straight, broken) = (dir.path().join("straight"), dir.path().join("broken"));
    let mut folder = RunFolder::create(&straight, &common::plan(), &common::manifest()).unwrap();
    common::train(&mut folder, Duration::ZERO).unwrap();
    drop(folder);

    let mut stream = Stream::new(5, "kill", 0);
    let (mut kills, mut done) = (0, false);
    while !done {
        assert!(kills < 1_000, "no progress");
        let mut child = start("train", &broken);
        // A start takes some milliseconds, an update at least three. Lives get longer, so that even a slow machine comes to an end.
        thread::sleep(Duration::from_micros(stream.below(5_000 + 1_000 * kills) as u64));
        if let Some(status) = child.try_wait().unwrap() {
            assert!(status.success(), "after {kills} kills");
            done = true;
        } else {
            child.kill().unwrap();
            // It may have ended just before.
            done = child.wait().unwrap().success();
            kills += 1;
        }
        // At any time, whatever is there is a run whose newest checkpoint is whole.
        if broken.exists() {
            let view = RunFolder::open_read(&broken).unwrap();
            let loaded = view.latest().unwrap();
            assert!(loaded.is_none_or(|loaded| loaded.warnings.is_empty()));
            view.metrics().unwrap();
        }
    }
    assert!(kills >= 10, "only killed {kills} times");

    let name = "checkpoints/0003000";
    for file in ["policy.safetensors", "trainer.safetensors", "state.json", "COMMIT.json"] {
        let read = |run: &Path| fs_err::read(run.join(name).join(file)).unwrap();
        assert_eq!(read(&straight), read(&broken), "{file}");
    }
    let log = |run: &Path| fs_err::read_to_string(run.join("metrics.jsonl")).unwrap();
    assert_eq!(log(&straight), log(&broken));
    assert_eq!(log(&straight).lines().count(), 30);
    let events = |run: &Path| {
        let name = common::entries(run).into_iter().find(|name| name.starts_with("events.out.tfevents.")).unwrap();
        fs_err::metadata(run.join(name)).unwrap().len()
    };
    assert_eq!(events(&straight), events(&broken));
    let runs = list_runs(dir.path()).unwrap();
    assert!(runs.iter().all(|run| run.state == RunState::Finished && run.steps == 3_000), "{runs:?}");
    assert_eq!(common::entries(&broken.join("checkpoints")), ["0002700", "0003000"]);
}
