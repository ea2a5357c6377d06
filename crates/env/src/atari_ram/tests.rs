//! Workers that die, Pythons and files that are not the right ones, and steps that are begun ahead.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use tony_random::Stream;

use super::*;
use crate::testing::arcade;
use crate::{check, find};

fn game(rom: &str) -> &'static Game {
    GAMES.iter().find(|game| game.rom == rom).unwrap()
}

fn kill(arcade: &Arcade) {
    for process in arcade.processes() {
        let killed = Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
        assert!(killed.success());
    }
}

/// Memory and reward after each of so many random actions, in episodes one after the other; `disturb` may do something before a step.
fn play(env: &mut AtariRam, steps: usize, disturb: &mut dyn FnMut(usize)) -> Vec<(Vec<f64>, Step)> {
    let (mut stream, mut obs) = (Stream::new(3, "play", 0), vec![0.0; RAM]);
    env.reset(3, &mut obs).unwrap();
    let mut seen = Vec::new();
    for t in 0..steps {
        let action = [stream.below(env.codes.len()) as f64];
        disturb(t);
        let step = env.step(&action, &mut obs, &mut []).unwrap();
        seen.push((obs.clone(), step));
        if step.terminated || step.truncated {
            env.reset(t as u64, &mut obs).unwrap();
        }
    }
    seen
}

#[test]
fn games_have_the_fields_names() {
    assert_eq!(GAMES.len(), 104);
    for (rom, name) in [("bank_heist", "BankHeist"), ("up_n_down", "UpNDown"), ("tic_tac_toe_3d", "TicTacToe3D")] {
        assert_eq!(game(rom).name(), name);
    }
    assert_eq!(GAMES.iter().map(Game::name).collect::<BTreeSet<_>>().len(), GAMES.len());
    for name in ["Pong-ram", "Pong-ramDeterministic", "Pong-ramDeterministic-v4"] {
        assert_eq!(find(name).unwrap().name, "Pong-ramDeterministic-v4");
    }
    assert!(
        matches!(find("Pnog-ram"), Err(Error::UnknownName { nearest: Some(near), .. }) if near.starts_with("Pong"))
    );
    assert_eq!(game("pong").codes(), [0, 1, 3, 4, 11, 12]);
}

/// Of one game a state is restored at each reset, of the next the file is loaded: both are the same episode every time. The third never
/// ends by itself, and begins before its first action.
#[test]
fn games_keep_the_laws() {
    let Some(arcade) = arcade(2, |_| ()) else { return };
    for rom in ["pong", "qbert", "space_war"] {
        let report = check::laws(&mut AtariRam::new(game(rom), &arcade), false, 300);
        assert!(report.ok, "{report:#?}");
    }
}

static REPORTS: Mutex<Vec<String>> = Mutex::new(Vec::new());

#[test]
fn killed_workers_are_replaced_and_nothing_is_lost() {
    let report = |line: &str| REPORTS.lock().unwrap_or_else(PoisonError::into_inner).push(line.to_owned());
    let Some(arcade) = arcade(1, report) else { return };
    let mut env = AtariRam::new(game("breakout"), &arcade);
    let whole = play(&mut env, 700, &mut |_| ());
    // Another game of the same process is in the middle of an episode.
    let (mut other, mut obs) = (AtariRam::new(game("pong"), &arcade), vec![0.0; RAM]);
    let expected = play(&mut AtariRam::new(game("pong"), &arcade), 60, &mut |_| ());
    let mut stream = Stream::new(3, "play", 0);
    other.reset(3, &mut obs).unwrap();
    for seen in &expected[..30] {
        let step = other.step(&[stream.below(6) as f64], &mut obs, &mut []).unwrap();
        assert_eq!((&obs, step), (&seen.0, seen.1));
    }
    let disturbed = play(&mut env, 700, &mut |t| {
        if [0, 1, 250, 611].contains(&t) {
            kill(&arcade);
        }
    });
    assert!(whole == disturbed);
    for seen in &expected[30..] {
        let action = [stream.below(6) as f64];
        other.send(&action).unwrap();
        // It dies with the step under way.
        kill(&arcade);
        let step = other.step(&action, &mut obs, &mut []).unwrap();
        assert_eq!((&obs, step), (&seen.0, seen.1));
    }
    let reports = REPORTS.lock().unwrap();
    assert!(reports.len() >= 4 && reports[0].contains("died (signal: 9"), "{reports:?}");
}

#[test]
fn a_game_that_kills_every_worker_is_named() {
    let Some(arcade) = arcade(1, |_| ()) else { return };
    let mut env = AtariRam::new(game("pong"), &arcade);
    let wrong = tempfile::NamedTempFile::new().unwrap();
    wrong.path().clone_into(&mut env.rom);
    let said = env.reset(5, &mut [0.0; RAM]).unwrap_err().to_string();
    assert!(
        said.starts_with("Pong-ramDeterministic-v4, seed 5, step 0: the emulator's process died 4 times"),
        "{said}"
    );
    assert!(said.contains("\ntry: "), "{said}");
    // Others play on.
    AtariRam::new(game("pong"), &arcade).reset(5, &mut [0.0; RAM]).unwrap();
}

#[test]
fn a_step_that_was_begun_is_the_step() {
    let Some(arcade) = arcade(1, |_| ()) else { return };
    let (mut plain, mut ahead) = (AtariRam::new(game("pong"), &arcade), AtariRam::new(game("pong"), &arcade));
    let (mut a, mut b) = (vec![0.0; RAM], vec![0.0; RAM]);
    plain.reset(0, &mut a).unwrap();
    ahead.reset(0, &mut b).unwrap();
    for t in 0..90 {
        let action = [f64::from(t / 7 % 6)];
        // Now and then another action is begun than is taken, and a state is saved in between, which knows nothing of it.
        let begun = if t % 10 == 4 { [f64::from((t + 1) % 6)] } else { action };
        ahead.send(&begun).unwrap();
        let (mut x, mut y) = (Vec::new(), Vec::new());
        plain.save(&mut x);
        ahead.save(&mut y);
        assert_eq!(x, y);
        let step = plain.step(&action, &mut a, &mut []).unwrap();
        assert_eq!((step, &a), (ahead.step(&action, &mut b, &mut []).unwrap(), &b));
        assert!(ahead.frame().picture.is_some_and(|picture| picture.pixels.len() == 160 * 210));
    }
    ahead.send(&[2.0]).unwrap();
    plain.reset(9, &mut a).unwrap();
    ahead.reset(9, &mut b).unwrap();
    assert_eq!(a, b);
    assert!(ahead.send(&[6.0]).is_err());
}

/// An executable file in a folder of its own.
fn script(text: &str) -> (tempfile::TempDir, OsString) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("python3");
    fs_err::write(&path, text).unwrap();
    fs_err::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    (folder, path.into())
}

fn refused(environment: &Environment) -> String {
    let found = Arcade::locate(environment, 1, true, |_| (), &mut |_| ());
    found.err().unwrap().to_string()
}

#[test]
fn pythons_that_cannot_are_named() {
    let with = |python: OsString| refused(&Environment { python, ..Environment::of_process() });
    let said = with("/no/such/python3".into());
    assert!(said.starts_with("/no/such/python3 cannot run the Atari emulator: No such file"), "{said}");
    assert!(said.contains("\ntry: install Python 3.10 to 3.14, or TONY_PYTHON="), "{said}");
    let (_old, old) = script("#!/bin/sh\necho cpython-38\necho /usr/bin/python3.8\n");
    assert!(with(old).contains("it is cpython-38, and ale-py 0.12.1 is for CPython 3.10 to 3.14"));
    let (_broken, broken) = script("#!/bin/sh\necho 'no module named encodings' >&2\nexit 1\n");
    assert!(with(broken).contains("no module named encodings"));
}

#[test]
fn files_that_are_not_the_pinned_ones_are_named() {
    let Some(arcade) = arcade(1, |_| ()) else { return };
    // Without a cache and without a network.
    let empty = tempfile::tempdir().unwrap();
    let mut environment = Environment { folder: None, ..Environment::of_process() };
    environment.fetch.cache = Some(empty.path().to_owned());
    let said = refused(&environment);
    assert!(said.starts_with("ale-py 0.12.1 for Python 3.1") && said.contains("`tony doctor --fix atari`"), "{said}");

    // A cache of which one game was altered, and one is missing.
    let copy = |to: &Path| {
        let folder = arcade.module.parent().unwrap();
        assert!(Command::new("cp").arg("-r").arg(folder).arg(to).status().unwrap().success());
    };
    fs_err::create_dir_all(empty.path().join("tony")).unwrap();
    let cached = empty.path().join("tony/ale-py-0.12.1");
    copy(&cached);
    let pong = cached.join("roms/pong.bin");
    let mut bytes = fs_err::read(&pong).unwrap();
    bytes[99] ^= 1;
    fs_err::write(&pong, &bytes).unwrap();
    let said = refused(&environment);
    assert!(said.starts_with("the cached ROM pong.bin of ale-py 0.12.1 is damaged: its SHA-256 is"), "{said}");
    fs_err::remove_file(&pong).unwrap();
    assert!(refused(&environment).starts_with("ROM pong.bin of ale-py 0.12.1 is not here"));

    // The same in the folder of an installed ale_py, and a module that is none.
    environment.folder = Some(cached.clone());
    let said = refused(&environment);
    assert!(said.contains("ROM pong.bin") && said.contains("\ntry: python3 -m pip install ale-py==0.12.1"), "{said}");
    bytes[99] ^= 1;
    fs_err::write(&pong, &bytes).unwrap();
    let mine = Arcade::locate(&environment, 1, true, |_| (), &mut |_| ()).unwrap();
    fs_err::write(&mine.module, "no module").unwrap();
    let said = AtariRam::new(game("pong"), &mine).reset(0, &mut [0.0; RAM]).unwrap_err().to_string();
    assert!(said.starts_with("the ale-py that is here cannot be used: ") && said.contains("\ntry: "), "{said}");
    fs_err::remove_file(&mine.module).unwrap();
    assert!(refused(&environment).contains("it has no _ale_py.cpython-"));
}

#[test]
fn another_version_is_refused() {
    let Some(arcade) = arcade(1, |_| ()) else { return };
    // It says of itself what the worker would: 12 bytes of head, and a version.
    let (_folder, python) = script("#!/bin/sh\nprintf '\\0\\0\\0\\0\\0\\0\\0\\0\\006\\0\\0\\0000.11.0'\nsleep 9\n");
    let launch = worker::Launch { python: python.into(), module: arcade.module.clone(), report: |_| () };
    let said = Worker::new(Arc::new(launch)).revive(0).unwrap_err().to_string();
    assert!(
        said.contains("it is version 0.11.0, not 0.12.1") && said.contains("\ntry: tony doctor --fix atari"),
        "{said}"
    );
}
