//! A run that was stopped, interrupted or killed goes on bit for bit.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::time::Duration;

use common::{Place, SHORT, checkpoints, mujoco, newest, send, wait_until};
use tony_random::Stream;

/// Run `train`, killed again and again at random moments, and compare with the run that nobody touched.
fn killed_is_unbroken(place: &Place, train: &str, stream: &mut Stream) {
    place.tony(&format!("{train} --out unbroken --quiet")).works();
    let (run, mut kills) = (place.path().join("killed"), 0);
    let mut child = place.start(&format!("{train} --out killed"));
    loop {
        // From before the first checkpoint to after several; ever longer, so that a slow machine gets through, too.
        std::thread::sleep(Duration::from_millis(5 + stream.below(400 + 100 * kills) as u64));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        send(&child, "KILL");
        child.wait().unwrap();
        kills += 1;
        // A run that was killed before its folder was whole is no run yet: it begins again.
        let whole =
            place.tony("list runs . --json").json().as_array().unwrap().iter().any(|run| run["name"] == "killed");
        if !whole {
            let _ = std::fs::remove_dir_all(&run);
        }
        child = if whole { place.start("resume killed") } else { place.start(&format!("{train} --out killed")) };
    }
    assert_eq!(child.wait().unwrap().code(), Some(0));
    eprintln!("{train}: killed {kills} times");
    assert_eq!(newest(&run), newest(&place.path().join("unbroken")), "{train}");
    let lines =
        |run: &str| std::fs::read_to_string(place.path().join(run).join("metrics.jsonl")).unwrap().lines().count();
    assert_eq!(lines("killed"), lines("unbroken"), "an update is missing or told twice");
    std::fs::remove_dir_all(place.path().join("killed")).unwrap();
    std::fs::remove_dir_all(place.path().join("unbroken")).unwrap();
}

#[test]
fn killed_at_random_moments_equals_unbroken() {
    let place = Place::new();
    let mut stream = Stream::new(1, "kill", 0);
    for algo in ["ppo", "trpo"] {
        let settings = "--steps 16000 steps_per_update=1000 envs=2 hidden=8,8 checkpoint.seconds=0";
        killed_is_unbroken(&place, &format!("train {algo} CartPole {settings}"), &mut stream);
    }
}

/// The replay goes on, too: 4,000 rows in a ring of 1,000, learned from at every step.
#[test]
fn killed_at_random_moments_equals_unbroken_with_a_replay() {
    let place = Place::new();
    let mut stream = Stream::new(3, "kill", 0);
    for (algo, env) in [("sac", "Pendulum"), ("dqn", "CartPole")] {
        let settings = "--steps 4000 steps_per_update=2 envs=2 log.updates=250 hidden=8,8 minibatch=32 replay=1000 checkpoint.seconds=0";
        killed_is_unbroken(&place, &format!("train {algo} {env} {settings}"), &mut stream);
    }
}

#[test]
fn killed_at_random_moments_equals_unbroken_with_options() {
    let place = Place::new();
    let mut stream = Stream::new(3, "kill", 0);
    // Recurrent, and with a threshold that the number of contexts passes on the way.
    let settings = "--steps 31200 paths=40 envs=2 lstm=16 curriculum.threshold=0.5 checkpoint.seconds=0";
    killed_is_unbroken(&place, &format!("train valor OptionPoint {settings}"), &mut stream);
}

#[test]
fn killed_at_random_moments_equals_unbroken_with_costs_and_physics() {
    let place = Place::new();
    if !mujoco(&place) {
        return;
    }
    let mut stream = Stream::new(2, "kill", 0);
    for algo in ["cpo", "ppo-pid"] {
        let settings = "--steps 12000 steps_per_update=2000 envs=2 hidden=8,8 checkpoint.seconds=0";
        killed_is_unbroken(&place, &format!("train {algo} SafetyPointGoal1 {settings}"), &mut stream);
    }
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    let place = Place::new();
    for algo in ["ppo", "trpo"] {
        let run = |threads: u32| {
            let out = format!("{algo}-{threads}");
            place.tony(&format!("train {algo} CartPole --out {out} --threads {threads} --quiet {SHORT}")).works();
            newest(&place.path().join(out))
        };
        let one = run(1);
        assert_eq!(one, run(2), "{algo}");
        assert_eq!(one, run(5), "{algo}");
    }
}

#[test]
fn seeds_differ_and_repeat() {
    let place = Place::new();
    let run = |out: &str, seed: u32| {
        place.tony(&format!("train ppo CartPole --out {out} --seed {seed} --quiet {SHORT}")).works();
        newest(&place.path().join(out))
    };
    let one = run("a", 1);
    assert_eq!(one, run("b", 1));
    assert_ne!(one, run("c", 2));
}

#[test]
fn signals_stop_cleanly_and_the_run_goes_on() {
    let place = Place::new();
    // Long enough that it never ends by itself, and updates long enough to hit one in the middle.
    let train = "train ppo CartPole --steps 100000000 steps_per_update=2000 envs=2";
    for (signal, code) in [("TERM", 75), ("INT", 130)] {
        let child = place
            .command(&format!("{train} --out {signal}"))
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let run = place.path().join(signal);
        wait_until("the first update", || {
            std::fs::read_to_string(run.join("metrics.jsonl")).is_ok_and(|text| !text.is_empty())
        });
        send(&child, signal);
        let output = child.wait_with_output().unwrap();
        let said = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{said}");
        assert!(said.contains(&format!("try: tony resume {signal}")), "{said}");
        let exit: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(run.join("exit.json")).unwrap()).unwrap();
        assert_eq!(exit["code"], code);
        assert_eq!(exit["resume"], format!("tony resume {signal}"));
        assert!(!checkpoints(&run).is_empty());
        let steps = exit["steps"].as_u64().unwrap();
        let ended = place.tony(&format!("resume {signal} --steps {} --json", steps + 2000));
        ended.works();
        assert_eq!(ended.json()["steps"], steps + 2000);
    }
}

#[test]
fn a_second_interrupt_leaves_at_once() {
    let place = Place::new();
    // One update of 50 million steps: the process can only end before it by leaving at once.
    let mut child = place.start("train ppo CartPole --out run --steps 100000000 steps_per_update=50000000 envs=2");
    wait_until("the run folder", || place.path().join("run/plan.toml").exists());
    std::thread::sleep(Duration::from_millis(500));
    send(&child, "INT");
    std::thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "the first interrupt did not wait for the update");
    send(&child, "INT");
    wait_until("the end", || child.try_wait().unwrap().is_some());
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn a_finished_run_says_so() {
    let place = Place::new();
    let run = place.trained("run");
    let before = newest(&run);
    let ended = place.tony("resume run");
    ended.works();
    assert!(ended.stderr.contains("run is finished (4,000 steps)"), "{ended:?}");
    assert_eq!(newest(&run), before);
}
