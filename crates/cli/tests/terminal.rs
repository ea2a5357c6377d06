//! In a terminal: the live panel comes up, and the terminal is as before however the training ends.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::io::Write;
use std::process::{Command, Stdio};

use common::{Place, SHORT, wait_until};

const ENTER: &str = "\u{1b}[?1049h";
const LEAVE: &str = "\u{1b}[?1049l";
const SHOW_CURSOR: &str = "\u{1b}[?25h";

/// `tony ARGS` inside a terminal of its own; `None` where this machine has no `script` (util-linux) to make one.
fn in_terminal(place: &Place, args: &str) -> Option<Command> {
    if !Command::new("script").arg("--version").output().is_ok_and(|out| out.status.success()) {
        eprintln!("skipped: no `script` to make a terminal with");
        return None;
    }
    let mut command = Command::new("script");
    let inner = format!("stty cols 100 rows 30; exec {} {args}", env!("CARGO_BIN_EXE_tony"));
    command.args(["-qec", &inner, "/dev/null"]).current_dir(place.path()).env("TERM", "xterm-256color");
    command.stdin(Stdio::piped()).stdout(Stdio::piped());
    Some(command)
}

#[track_caller]
fn restored(said: &str) -> &str {
    let (before, after) = said.rsplit_once(LEAVE).unwrap_or_else(|| panic!("the panel never left: {said:?}"));
    assert!(before.contains(ENTER), "the panel never came: {said:?}");
    assert!(after.contains(SHOW_CURSOR), "the cursor stayed away: {after:?}");
    assert!(!after.contains(ENTER), "the panel came back: {after:?}");
    after
}

#[test]
fn a_finished_training_gives_the_terminal_back_and_then_tells() {
    let place = Place::new();
    let Some(mut command) = in_terminal(&place, &format!("train ppo CartPole --out run {SHORT}")) else { return };
    let mut child = command.spawn().unwrap();
    let _open = child.stdin.take();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}");
    assert!(restored(&said).contains("finished 4,000 steps"), "{said}");
}

#[test]
fn control_c_stops_cleanly_and_gives_the_terminal_back() {
    let place = Place::new();
    let train = "train ppo CartPole --out run --steps 100000000 steps_per_update=1000 envs=2 hidden=8,8";
    let Some(mut command) = in_terminal(&place, train) else { return };
    let mut child = command.spawn().unwrap();
    let mut keys = child.stdin.take().unwrap();
    let log = place.path().join("run/metrics.jsonl");
    wait_until("the first update", || std::fs::read_to_string(&log).is_ok_and(|text| !text.is_empty()));
    keys.write_all(b"\x03").unwrap();
    keys.flush().unwrap();
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(restored(&said).contains("try: tony resume run"), "{said}");
}
