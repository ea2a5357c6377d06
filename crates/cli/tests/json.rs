//! What programs read: the shape of each verb's JSON.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{Place, SHORT, mujoco};
use serde_json::Value;

#[track_caller]
fn is_stat(value: &Value, n: u64) {
    let [mean, lo, hi] =
        ["mean", "lo", "hi"].map(|key| value[key].as_f64().unwrap_or_else(|| panic!("no {key} in {value}")));
    assert!(lo <= mean && mean <= hi, "{value}");
    assert_eq!(value["n"], n, "{value}");
}

#[test]
fn train_and_eval_and_play() {
    let place = Place::new();
    let ended = place.tony(&format!("train ppo CartPole --out run --json {SHORT}"));
    let trained = ended.works().json();
    assert_eq!(trained["run"], "run");
    assert_eq!(trained["steps"], 4000);
    assert!(trained["seconds"].as_f64().unwrap() > 0.0);
    is_stat(&trained["final"]["return"], 10);
    assert!(ended.stderr.contains("Proximal Policy Optimization on CartPole-v1"), "{ended:?}");

    let quiet = place.tony(&format!("train ppo CartPole --out quiet --quiet --json {SHORT}"));
    assert_eq!(quiet.works().stderr, "");
    assert_eq!(quiet.json()["final"], trained["final"]);

    let evaluated = place.tony("eval run --episodes 7 --seed 3 --json").works().json();
    assert_eq!(evaluated["run"], "run");
    assert_eq!(evaluated["episodes"], 7);
    assert!(evaluated["checkpoint"].is_string());
    assert_eq!(evaluated["costs"], serde_json::json!({}));
    is_stat(&evaluated["return"], 7);
    is_stat(&evaluated["length"], 7);
    assert_eq!(
        place.tony("eval run --episodes 7 --seed 3 --json").json(),
        evaluated,
        "an evaluation is a function of its seed"
    );

    for what in ["run", "CartPole"] {
        let played = place.tony(&format!("play {what} --episodes 2 --json")).works().json();
        let page = std::fs::read_to_string(place.path().join(played["html"].as_str().unwrap())).unwrap();
        assert!(page.contains("</html>"));
    }
    let report = std::fs::read_to_string(place.path().join("run/report.html")).unwrap();
    assert!(report.contains("CartPole-v1") && report.contains("</html>"));
    assert_eq!(std::fs::read_dir(place.path().join("run/episodes")).unwrap().count(), 3);
}

#[test]
fn compare() {
    let place = Place::new();
    for (algo, seed) in [("ppo", 0), ("ppo", 1), ("trpo", 0), ("trpo", 1)] {
        place.tony(&format!("train {algo} CartPole --out {algo}-{seed} --seed {seed} --quiet {SHORT}")).works();
    }
    let runs = "ppo-0 ppo-1 trpo-0 trpo-1";
    let compared = place.tony(&format!("compare {runs} --html page.html --json")).works().json();
    let groups = compared["groups"].as_array().unwrap();
    assert_eq!(groups.len(), 2);
    for group in groups {
        assert_eq!(group["env"], "CartPole-v1");
        is_stat(&group["return"], 2);
    }
    let [pair] = compared["pairs"].as_array().unwrap().as_slice() else { panic!("{compared}") };
    let p = pair["p_improvement"]["mean"].as_f64().unwrap();
    assert!((0.0..=1.0).contains(&p), "{pair}");
    assert!(std::fs::read_to_string(place.path().join("page.html")).unwrap().contains("</html>"));
    let text = place.tony(&format!("compare {runs}"));
    assert!(text.works().stdout.contains("trpo"), "{text:?}");
}

#[test]
fn lists() {
    let place = Place::new();
    let algos = place.tony("list algos --json").works().json();
    let names: Vec<&str> = algos.as_array().unwrap().iter().map(|a| a["name"].as_str().unwrap()).collect();
    for name in
        ["ppo", "ppo-lag", "ppo-pid", "trpo", "trpo-lag", "trpo-pid", "cpo", "dqn", "ddpg", "td3", "sac", "preqn"]
    {
        assert!(names.contains(&name), "{name}");
    }
    let envs = place.tony("list envs --json").works().json();
    for list in [&algos, &envs] {
        for entry in list.as_array().unwrap() {
            assert!(["name", "family", "summary"].iter().all(|key| entry[key].is_string()), "{entry}");
        }
    }
    assert_eq!(place.tony("list runs --json").works().json(), serde_json::json!([]));
    place.trained("runs/one");
    let runs = place.tony("list runs --json").works().json();
    assert_eq!(runs[0]["name"], "one");
    assert_eq!(runs[0]["algorithm"], "ppo");
    assert_eq!(runs[0]["steps"], 4000);
    assert_eq!(runs[0]["state"], "finished");
    assert!(["family", "summary"].iter().all(|key| runs[0][key].is_string()));
}

#[test]
fn help_teaches() {
    let place = Place::new();
    for verb in [
        "",
        "train",
        "resume",
        "eval",
        "play",
        "compare",
        "list",
        "check",
        "reproduce",
        "bench",
        "doctor",
        "completions",
    ] {
        let help = place.tony(&format!("{verb} --help"));
        assert!(help.works().stdout.contains("Examples:"), "{verb}");
    }
    let keys = place.tony("train cpo --help");
    for key in ["cost.limit", "target_kl", "steps_per_update", "preset=NAME", "Constrained Policy Optimization"] {
        assert!(keys.works().stdout.contains(key), "{key}");
    }
    assert!(place.tony("completions bash").works().stdout.contains("tony"));
    assert!(place.tony("--version").works().stdout.starts_with("tony "));
}

#[test]
fn doctor() {
    let place = Place::new();
    let ended = place.tony("doctor --json");
    let told = ended.json();
    assert_eq!(told["ok"].as_bool().unwrap(), ended.code == 0);
    for item in told["items"].as_array().unwrap() {
        assert!(item["name"].is_string() && item["ok"].is_boolean() && item["enables"].is_string(), "{item}");
        assert!(["version", "path", "fix"].iter().all(|key| item.get(key).is_some()), "{item}");
    }
    assert!(told["items"].as_array().unwrap().iter().any(|item| item["name"] == "mujoco"));
}

#[test]
fn doctor_without_the_library() {
    let place = Place::new();
    let output = place
        .command("doctor --json --offline")
        .env("XDG_CACHE_HOME", place.path())
        .env_remove("TONY_MUJOCO")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let told: Value = serde_json::from_slice(&output.stdout).unwrap();
    let mujoco = told["items"].as_array().unwrap().iter().find(|item| item["name"] == "mujoco").unwrap();
    assert_eq!(mujoco["ok"], false);
    assert!(mujoco["fix"].as_str().unwrap().contains("tony doctor --fix"));
    let output = place
        .command("train cpo SafetyPointGoal1 --offline")
        .env("XDG_CACHE_HOME", place.path())
        .env_remove("TONY_MUJOCO")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.starts_with("error: MuJoCo") && said.contains("\ntry: "), "{said}");
    assert!(!place.path().join("runs").exists());
}

#[test]
fn check() {
    let place = Place::new();
    let told = place.tony("check CartPole --json").works().json();
    assert_eq!(told["env"], "CartPole-v1");
    assert_eq!(told["ok"], true);
    for law in told["laws"].as_array().unwrap() {
        assert!(law["law"].is_string() && law["ok"] == true && law["detail"].is_string(), "{law}");
    }
}

#[test]
fn bench() {
    let place = Place::new();
    let told = place.tony("bench env CartPole --seconds 0.2 --json").works().json();
    assert_eq!(told["env"], "CartPole-v1");
    assert_eq!(told["threads"], 1);
    assert!(told["env_steps_per_s"].as_f64().unwrap() > 0.0);
    assert!(told["raw_physics_steps_per_s"].is_null() && told["share_of_limit"].is_null());
    let told =
        place.tony("bench train ppo CartPole --steps 4000 steps_per_update=1000 --threads 1 --json").works().json();
    let share = ["physics", "policy", "update", "other"].map(|part| told["share"][part].as_f64().unwrap());
    // Four shares that were rounded to f64 once each.
    assert!((share.iter().sum::<f64>() - 1.0).abs() < 1e-12, "{share:?}");
    for key in ["env_steps_per_s", "seconds", "update_gflops", "machine_gflops", "peak_rss_bytes"] {
        assert!(told[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!(std::fs::read_dir(place.path()).unwrap().count(), 0, "a benchmark left something behind");
}

#[test]
fn bench_of_a_task_with_physics() {
    let place = Place::new();
    if !mujoco(&place) {
        return;
    }
    let told = place.tony("bench env SafetyPointGoal1 --seconds 0.5 --json").works().json();
    let share = told["share_of_limit"].as_f64().unwrap();
    assert!(share > 0.0 && share < 2.0, "{told}");
    assert!(told["raw_physics_steps_per_s"].as_f64().unwrap() > 0.0);
}
