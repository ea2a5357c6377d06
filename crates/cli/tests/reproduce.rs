//! `tony reproduce`: verdicts from trainings, the same after kills, and recipes that cannot be meant.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::time::Duration;

use common::{Place, send};
use serde_json::Value;

const RECIPE: &str = r#"
paper = "small"
title = "A small reproduction"
source = "nobody, never"
about = "Two algorithms on a probe whose answer is known: one step that pays 1 - (action - sign / 2)^2."
seeds = 2

[[run]]
id = "learner"
algorithm = "ppo"
env = "probe-action"
steps = 8000
settings = ["steps_per_update=400", "hidden=8", "normalise=false", "lr=0.003", "minibatch=100", "checkpoint.seconds=0"]

[[run]]
id = "sleeper"
algorithm = "ppo"
like = "learner"
settings = ["lr=0"]

[[experiment]]
id = "pid-plant"

[[claim]]
claim = "what learns ends higher than what does not"
paper = "obvious"
value = { run = "learner", metric = "Metrics/EpRet", from = 0.8 }
minus = { run = "sleeper", metric = "Metrics/EpRet", from = 0.8 }
at_least = 0.01

[[claim]]
claim = "what does not learn keeps its policy"
paper = "obvious"
value = { run = "sleeper", metric = "Train/KL", take = "max" }
at_most = 0

[[claim]]
claim = "a claim that does not hold"
paper = "wishful"
value = { run = "sleeper", metric = "Metrics/EpRet" }
at_least = 1000

[[claim]]
claim = "a level that is never reached"
paper = "wishful"
value = { run = "sleeper", metric = "Metrics/EpLen", take = "max_after_reaching", level = -1 }
at_least = 0

[[claim]]
claim = "proportional control lowers the first peak"
paper = "section 4"
value = { experiment = "pid-plant", value = "peak_pi" }
minus = { experiment = "pid-plant", value = "peak_i" }
at_most = -1

[[figure]]
title = "Return"
metric = "Metrics/EpRet"
runs = ["learner", "sleeper"]
"#;

fn verdicts(result: &Value) -> Vec<&str> {
    result["claims"].as_array().unwrap().iter().map(|claim| claim["verdict"].as_str().unwrap()).collect()
}

#[test]
fn claims_are_judged_and_a_killed_reproduction_ends_as_the_unbroken_one() {
    let place = Place::new();
    fs::write(place.path().join("small.toml"), RECIPE).unwrap();
    let unbroken = place.tony("reproduce small.toml --out unbroken --jobs 2 --json").works().json();
    assert_eq!((unbroken["paper"].as_str(), unbroken["budget"].as_str()), (Some("small"), Some("small")));
    assert_eq!(
        verdicts(&unbroken),
        ["reproduced", "reproduced", "not reproduced", "not reproduced", "reproduced"],
        "{unbroken}"
    );
    let first = &unbroken["claims"][0];
    assert!(["claim", "paper", "criterion"].iter().all(|key| first[key].is_string()), "{first}");
    assert!(["mean", "lo", "hi", "n"].iter().all(|key| first["ours"][key].is_number()), "{first}");
    assert_eq!(unbroken["claims"][3]["ours"], Value::Null);
    let page = fs::read_to_string(place.path().join("unbroken/reproduction.html")).unwrap();
    assert!(page.contains("what learns ends higher") && page.contains("<svg"), "the page");

    let mut kills = 0;
    loop {
        let mut child = place.start("reproduce small.toml --out killed --jobs 1");
        // Ever longer, so that a slow machine gets through, too.
        std::thread::sleep(Duration::from_millis(30 + 40 * kills));
        if child.try_wait().unwrap().is_some() {
            break;
        }
        send(&child, "KILL");
        child.wait().unwrap();
        kills += 1;
    }
    eprintln!("killed {kills} times");
    let killed = place.tony("reproduce small.toml --out killed --json").works().json();
    assert_eq!(killed["claims"], unbroken["claims"]);
    let more = place.tony("reproduce small.toml --out more --seeds 3 --json").works().json();
    assert_eq!(more["claims"][0]["ours"]["n"], 3);
}

#[test]
fn a_stopped_reproduction_says_how_to_go_on() {
    let place = Place::new();
    fs::write(place.path().join("small.toml"), RECIPE.replace("steps = 8000", "steps = 100000000")).unwrap();
    let child = place.start("reproduce small.toml --out stopped --jobs 2");
    common::wait_until("a first training", || place.path().join("stopped/learner-seed0/metrics.jsonl").exists());
    send(&child, "TERM");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(75));
}

#[test]
fn recipes_that_cannot_be_meant_are_refused_before_the_first_step() {
    let place = Place::new();
    let refuse = |from: &str, to: &str, parts: &[&str]| {
        assert!(RECIPE.contains(from), "{from}");
        fs::write(place.path().join("bad.toml"), RECIPE.replacen(from, to, 1)).unwrap();
        place.tony("reproduce bad.toml --out bad").fails(2, parts);
        assert!(!place.path().join("bad").exists(), "a folder was made for {from} -> {to}");
    };
    refuse(
        "Metrics/EpRet",
        "Metrics/EpRat",
        &["no training logs a quantity `Metrics/EpRat`; did you mean `Metrics/EpRet`?", "what learns ends higher"],
    );
    let parts = ["no environment is called `probe-akshun`", "the run `learner`", "try: write `probe-action-v0` there"];
    refuse("probe-action", "probe-akshun", &parts);
    refuse("algorithm = \"ppo\"", "algorithm = \"ppq\"", &["no algorithm is called `ppq`"]);
    refuse(
        "minibatch=100",
        "minibach=100",
        &["unknown setting `minibach` (file ", "the run `learner`", "try: tony train ppo --help"],
    );
    refuse("run = \"learner\"", "run = \"lerner\"", &["names a run `lerner`", "did you mean `learner`?"]);
    refuse("like = \"learner\"", "like = \"later\"", &["like `later`"]);
    refuse("at_least = 0.01", "", &["no criterion"]);
    refuse("at_least = 0.01", "at_least = 2\nat_most = 1", &["at least 2 and at most 1"]);
    refuse("take = \"max\"", "take = \"largest\"", &["bad.toml"]);
    refuse("value = \"peak_pi\"", "value = \"peak\"", &["measures no `peak`", "peak_pid"]);
    refuse("id = \"pid-plant\"", "id = \"plant\"", &["no experiment `plant`", "pid-plant"]);
    refuse("id = \"sleeper\"", "id = \"../sleeper\"", &["no name for a folder"]);
    refuse("id = \"sleeper\"", "id = \"learner\"", &["two runs or experiments are called `learner`"]);
    refuse("seeds = 2", "seeds = 2\nseed = 1", &["unknown field `seed`", "bad.toml"]);
    refuse("steps_per_update=400", "steps_per_update=401", &["cannot be shared", "the run `learner`"]);
    place.tony("reproduce cop").fails(2, &["no recipe for `cop`", "try: tony reproduce cpo"]);
    place.tony("reproduce missing.toml").fails(2, &["missing.toml"]);
    place.tony("reproduce cpo --seeds 0").fails(2, &["invalid value '0'"]);
}

#[test]
fn criteria_do_not_change_after_results() {
    let place = Place::new();
    let recipe = place.path().join("small.toml");
    fs::write(&recipe, RECIPE.replace("steps = 8000", "steps = 400")).unwrap();
    place.tony("reproduce small.toml --out kept --json").works();
    fs::write(&recipe, RECIPE.replace("steps = 8000", "steps = 400").replace("at_least = 1000", "at_least = -1000"))
        .unwrap();
    place.tony("reproduce small.toml --out kept").fails(2, &["was begun with another recipe", "try: --out kept-2"]);
}
