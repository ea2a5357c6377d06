//! Few-shot learners from the command line: trained, stopped, gone on with, measured, refused.
#![cfg(feature = "meta")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, checkpoints, newest, send, wait_until};
use serde_json::Value;

/// A training of a second or less.
const SHORT: &str = "--steps 600 log.updates=100 hidden=16,16 eval.tasks=20 checkpoint.seconds=0";

#[track_caller]
fn is_stat(value: &Value, n: u64) {
    let [mean, lo, hi] = ["mean", "lo", "hi"].map(|key| value[key].as_f64().unwrap());
    assert!(lo <= mean && mean <= hi, "{value}");
    assert_eq!(value["n"], n, "{value}");
}

#[test]
fn every_algorithm_trains_is_measured_and_reported() {
    let place = Place::new();
    for algo in ["reptile", "fomaml", "maml"] {
        let ended = place.tony(&format!("train {algo} sine --out {algo} --json {SHORT}"));
        let trained = ended.works().json();
        assert_eq!((&trained["run"], &trained["steps"]), (&algo.into(), &600.into()));
        for key in ["return", "before", "after"] {
            is_stat(&trained["final"][key], 20);
        }
        assert!(ended.stderr.contains("after") && ended.stderr.contains("on sine"), "{ended:?}");
        let lines = std::fs::read_to_string(place.path().join(algo).join("metrics.jsonl")).unwrap();
        assert_eq!(lines.lines().count(), 6);
        let line: Value = serde_json::from_str(lines.lines().next_back().unwrap()).unwrap();
        for key in ["steps", "updates", "seconds", "Time/FPS", "Metrics/LossBefore", "Metrics/LossAfter", "Train/Eps"] {
            assert!(line[key].is_number(), "{key} in {line}");
        }
        assert!(line.as_object().unwrap().contains_key("Metrics/EpRet") && line["Metrics/EpRet"].is_null());
        let evaluated = place.tony(&format!("eval {algo} --episodes 7 --seed 3 --json")).works().json();
        assert_eq!((&evaluated["episodes"], &evaluated["measure"]), (&7.into(), &"loss".into()));
        for key in ["return", "before", "after", "length"] {
            is_stat(&evaluated[key], 7);
        }
        let page = std::fs::read_to_string(place.path().join(algo).join("report.html")).unwrap();
        for part in ["Before and after adaptation", "mean squared error", "</html>", "<svg"] {
            assert!(page.contains(part), "{part}");
        }
    }
    assert!(place.tony("eval reptile --episodes 5").works().stdout.contains("loss after"));
    assert!(place.tony("compare reptile maml --json").works().json()["groups"].is_array());
    place.tony("play reptile").fails(2, &["has no episodes to play", "report.html"]);
    let bench = place.tony("bench train reptile sine --steps 200 --threads 1 --json").works().json();
    assert!(bench["examples_per_s"].as_f64().unwrap() > 0.0 && bench["update_gflops"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_stopped_and_a_killed_run_go_on_bit_for_bit() {
    let place = Place::new();
    let train =
        "train reptile sine --steps 15000 log.updates=200 meta_batch=2 hidden=32,32 eval.tasks=5 checkpoint.seconds=0";
    place.tony(&format!("{train} --out unbroken --quiet --threads 1")).works();
    for (signal, code) in [("KILL", None), ("TERM", Some(75))] {
        let run = place.path().join(signal);
        let mut child = place.start(&format!("{train} --out {signal} --threads 2"));
        wait_until("a checkpoint", || run.join("checkpoints").is_dir() && !checkpoints(&run).is_empty());
        send(&child, signal);
        assert_eq!(child.wait().unwrap().code(), code);
        place.tony(&format!("resume {signal} --quiet")).works();
        assert_eq!(newest(&run), newest(&place.path().join("unbroken")), "{signal}");
    }
}

#[test]
fn mistakes_are_told_before_the_first_step() {
    let place = Place::new();
    place.tony("train reptil sine").fails(2, &["no algorithm is called `reptil`", "try: tony train reptile sine"]);
    place.tony("train reptile CartPole").fails(2, &["no few-shot task is called `CartPole`", "sine, omniglot"]);
    place.tony("train ppo omniglot").fails(2, &["omniglot", "try: tony list envs"]);
    place.tony("train reptile sine wayz=5").fails(2, &["unknown setting `wayz`"]);
    place.tony("train reptile sine inner.steps=0").fails(2, &["setting `inner.steps` cannot be `0`"]);
    place
        .tony("train reptile omniglot")
        .fails(2, &["no pictures of characters were found", "data/omniglot", "try: data=PATH"]);
    place.tony("train reptile omniglot data=nowhere").fails(2, &["looked for nowhere"]);
    std::fs::write(place.path().join("broken.zip"), b"PK").unwrap();
    place.tony("train reptile omniglot data=broken.zip").fails(1, &["broken.zip: broken archive"]);
    place
        .tony("train maml sine inner.optimiser=adam")
        .fails(2, &["plain gradient descent", "try: inner.optimiser=sgd"]);
    assert!(!place.path().join("runs").exists(), "a run folder was made for a training that cannot be");
    for key in ["inner.moments", "ways", "preset=NAME", "eps.start"] {
        assert!(place.tony("train reptile --help").works().stdout.contains(key), "{key}");
    }
    let algos = place.tony("list algos --json").works().json();
    assert!(algos.as_array().unwrap().iter().any(|algo| algo["name"] == "maml" && algo["family"] == "few-shot"));
}
