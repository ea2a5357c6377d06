//! Laws of the training loop: threads, resuming, numbers that are not finite, memory.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::collections::BTreeMap;

use tony_env::space::Space;
use tony_env::{Context, Env, Spec, Step};
use tony_rl::algorithm::Start;
use tony_rl::{Error, Trainer, algorithms};
use tony_run::{Archive, Control, Layer, Training};

const ALGORITHMS: [&str; 10] =
    ["ppo", "ppo-lag", "ppo-pid", "trpo", "trpo-lag", "trpo-pid", "cpo", "empi", "rloo", "grpo"];

fn trainer(algorithm: &str, settings: &[&str]) -> Trainer {
    let groups: &[&str] = match algorithm {
        "rloo" => &["group=3", "episodes_per_update=60", "clip=0.2", "passes=3", "minibatch=70"],
        "grpo" => &["group=3", "episodes_per_update=60", "minibatch=70"],
        _ => &[],
    };
    let common = ["steps_per_update=600", "envs=3", "hidden=16,8", "seed=5"];
    let words: Vec<&str> = common.iter().chain(groups).chain(settings).copied().collect();
    let entry = algorithms::find(algorithm).unwrap();
    let plan = entry.resolve("probe-two-costs", &[Layer::command_line(&words).unwrap()]).unwrap();
    let envs = (0..3).map(|_| tony_env::make("probe-two-costs", &Context::default()).unwrap()).collect();
    Trainer::new(&plan, envs).unwrap()
}

const OFF_POLICY: [&str; 5] = ["dqn", "ddpg", "td3", "sac", "preqn"];

/// Small networks that learn from the first update on; episodes of one and of ten steps.
fn off_policy(algorithm: &str, settings: &[&str]) -> Trainer {
    let env = if algorithm == "dqn" { "probe-action-discrete" } else { "probe-two-costs" };
    let words = ["steps_per_update=6", "log.updates=10", "envs=3", "hidden=16,8", "seed=5", "start_steps=12"];
    let more = ["minibatch=130", "gradient_steps=2", "replay=200", "diagnose=true"];
    let words: Vec<&str> = words.iter().chain(&more).chain(settings).copied().collect();
    let entry = algorithms::find(algorithm).unwrap();
    let plan = entry.resolve(env, &[Layer::command_line(&words).unwrap()]).unwrap();
    let envs = (0..3).map(|_| tony_env::make(env, &Context::default()).unwrap()).collect();
    Trainer::new(&plan, envs).unwrap()
}

fn update(trainer: &mut Trainer, times: usize) {
    for _ in 0..times {
        trainer.update(6_000, &Control::default()).unwrap();
    }
}

fn bytes(trainer: &Trainer) -> (Vec<u8>, Vec<u8>) {
    let (mut policy, mut state) = (Archive::new(), Archive::new());
    trainer.save(&mut policy, &mut state).unwrap();
    (policy.to_bytes().unwrap(), state.to_bytes().unwrap())
}

#[test]
fn the_number_of_threads_changes_no_bit() {
    for algorithm in ALGORITHMS {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = trainer(algorithm, &[]);
                update(&mut trainer, 4);
                bytes(&trainer)
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(5), "{algorithm}");
    }
}

#[test]
fn a_resumed_run_is_the_unbroken_one() {
    for algorithm in ALGORITHMS {
        // 600 rows over 3 environments with episodes of 10: broken off after the 7th step of an episode at 207 rows each.
        let settings = &["steps_per_update=621", "cost.limit.steep=11", "cost.limit.gentle=11"];
        let mut unbroken = trainer(algorithm, settings);
        update(&mut unbroken, 6);
        let mut first = trainer(algorithm, settings);
        update(&mut first, 3);
        let (mut policy, mut state) = (Archive::new(), Archive::new());
        first.save(&mut policy, &mut state).unwrap();
        let tally = *first.tally();
        drop(first);
        let mut second = trainer(algorithm, settings);
        assert_eq!(tally.updates, 3);
        second.load(&policy, &state).unwrap();
        *second.tally_mut() = tally;
        update(&mut second, 3);
        assert_eq!(unbroken.steps(), second.steps());
        assert!(bytes(&unbroken) == bytes(&second), "{algorithm}");
    }
}

#[test]
fn the_number_of_threads_changes_no_bit_off_policy() {
    for algorithm in OFF_POLICY {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = off_policy(algorithm, &[]);
                update(&mut trainer, 2);
                bytes(&trainer)
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(5), "{algorithm}");
    }
}

/// The replay included: its rows travel as parts. At 66 rows a lane the ring has turned at the 12th of 20 updates a line.
#[test]
fn a_resumed_run_is_the_unbroken_one_off_policy() {
    for algorithm in OFF_POLICY {
        let mut unbroken = off_policy(algorithm, &[]);
        update(&mut unbroken, 8);
        let mut first = off_policy(algorithm, &[]);
        update(&mut first, 5);
        let (mut policy, mut state) = (Archive::new(), Archive::new());
        first.save(&mut policy, &mut state).unwrap();
        let tally = *first.tally();
        let parts: BTreeMap<String, Archive> =
            first.parts().iter().map(|part| (part.name.clone(), (part.make)().unwrap())).collect();
        drop(first);
        let mut second = off_policy(algorithm, &[]);
        assert_eq!(tally.updates, 50);
        second.load(&policy, &state).unwrap();
        *second.tally_mut() = tally;
        second.load_parts(&|name| Ok(parts[name].clone())).unwrap();
        update(&mut second, 3);
        assert!(bytes(&unbroken) == bytes(&second), "{algorithm}");
        let rows = |trainer: &Trainer| -> Vec<Vec<u8>> {
            trainer.parts().iter().map(|part| (part.make)().unwrap().to_bytes().unwrap()).collect()
        };
        assert!(rows(&unbroken) == rows(&second), "{algorithm}");
    }
}

#[test]
fn what_is_diagnosed_is_logged_once_a_line_and_off_by_default() {
    for algorithm in OFF_POLICY {
        // Enough parameters for any error on 130 rows: else no step of PreQN's is straight enough.
        let mut trainer = off_policy(algorithm, &["hidden=64,64"]);
        let line = trainer.update(6_000, &Control::default()).unwrap();
        for name in ["RowRatio", "Alignment", "Contraction", "EffectiveAlpha", "MaxAbsQ", "Bound", "Diverged"] {
            assert!(line.get(&format!("Diagnose/{name}")).is_some(), "{algorithm} {name}: {}", line.to_json());
        }
        let alignment = line.get("Diagnose/Alignment").unwrap();
        assert!(alignment > if algorithm == "preqn" { 0.97 } else { 0.0 }, "{algorithm}: {alignment}");
        assert_eq!(line.get("Diagnose/Diverged"), Some(0.0), "{algorithm}");
        let mut trainer = off_policy(algorithm, &["diagnose=false"]);
        let line = trainer.update(6_000, &Control::default()).unwrap();
        assert!(line.iter().all(|(name, _)| !name.starts_with("Diagnose/")), "{algorithm}");
    }
}

/// Measuring is not learning.
#[test]
fn a_diagnosis_changes_no_bit() {
    for algorithm in OFF_POLICY {
        let run = |diagnose: &str| {
            let mut trainer = off_policy(algorithm, &[diagnose]);
            update(&mut trainer, 3);
            bytes(&trainer)
        };
        assert!(run("diagnose=true") == run("diagnose=false"), "{algorithm}");
    }
}

#[test]
fn seeds_matter() {
    let run = |seed: &str| {
        let mut trainer = trainer("ppo", &[seed]);
        update(&mut trainer, 1);
        bytes(&trainer)
    };
    assert!(run("seed=1") == run("seed=1"));
    assert!(run("seed=1") != run("seed=2"));
}

/// Pays or shows a NaN at one step.
struct Broken {
    spec: Spec,
    time: usize,
    bad_reward: bool,
}

impl Env for Broken {
    fn spec(&self) -> &Spec {
        &self.spec
    }
    fn reset(&mut self, _: u64, obs: &mut [f64]) -> tony_env::Result<()> {
        obs.fill(0.0);
        Ok(())
    }
    fn step(&mut self, _: &[f64], obs: &mut [f64], _: &mut [f64]) -> tony_env::Result<Step> {
        self.time += 1;
        let poison = if self.time == 150 { f64::NAN } else { 1.0 };
        obs.fill(0.0);
        if !self.bad_reward {
            obs[1] = poison;
        }
        Ok(Step {
            reward: if self.bad_reward { poison } else { 0.0 },
            terminated: self.time.is_multiple_of(10),
            truncated: false,
        })
    }
    fn save(&self, _: &mut Vec<u8>) {}
    fn load(&mut self, _: &[u8]) -> tony_env::Result<()> {
        Ok(())
    }
}

#[test]
fn a_number_that_is_not_finite_is_named_with_its_update_and_row() {
    for (bad_reward, expected, expected_row) in [(true, "reward", 49), (false, "final observation[1]", 49)] {
        let space = Space::Box { low: vec![-1.0], high: vec![1.0] };
        let spec = Spec { name: "broken".to_owned(), obs_dim: 2, action: space, costs: Vec::new(), max_steps: 10 };
        let entry = algorithms::find("ppo").unwrap();
        let words = ["steps_per_update=100", "envs=1", "hidden=4"];
        let plan = entry.resolve("broken", &[Layer::command_line(&words).unwrap()]).unwrap();
        let mut trainer = Trainer::new(&plan, vec![Box::new(Broken { spec, time: 0, bad_reward })]).unwrap();
        trainer.update(1_000, &Control::default()).unwrap();
        let before = bytes(&trainer).0;
        let error = trainer.update(1_000, &Control::default()).unwrap_err();
        let Error::NonFinite { quantity, update, row } = &error else { panic!("{error}") };
        assert_eq!((quantity.as_str(), *update, *row), (expected, 2, expected_row));
        assert_eq!(bytes(&trainer).0, before, "the policy learned from it");
    }
}

#[test]
fn settings_that_do_not_fit_are_refused_before_the_first_step() {
    let refuse = |algorithm: &str, env: &str, words: &[&str]| {
        let entry = algorithms::find(algorithm).unwrap();
        let envs = (0..4).map(|_| tony_env::make(env, &Context::default()).unwrap()).collect();
        let plan = entry.resolve(env, &[Layer::command_line(words).unwrap()])?;
        Trainer::new(&plan, envs).map(|_| ())
    };
    let message = |outcome: tony_rl::Result<()>| outcome.unwrap_err().to_string();
    assert!(message(refuse("cpo", "probe-constant", &[])).contains("has no costs"));
    assert!(message(refuse("cpo", "probe-cost", &["cost.limit.hazards=3"])).contains("no cost channel `hazards`"));
    assert!(message(refuse("cpo", "probe-cost", &["cost.limit=none"])).contains("none is given"));
    assert!(message(refuse("cpo", "probe-cost", &["cost.limit=-1"])).contains("never negative"));
    assert!(message(refuse("ppo", "probe-cost", &["steps_per_update=1001"])).contains("cannot be shared"));
    assert!(message(refuse("ppo", "probe-cost", &["hidden=[]"])).contains("layer widths"));
    for word in ["group=1", "episodes_per_update=none"] {
        let message = message(refuse("grpo", "probe-cost", &["envs=4", word]));
        assert_eq!(message, "grpo compares whole episodes that began alike");
    }
    assert!(message(refuse("rloo", "probe-cost", &["envs=4", "group=3"])).contains("envs = 4 cannot be shared"));
    assert!(message(refuse("ppo", "probe-cost", &["preset=spinning"])).contains("no preset"));
    assert!(message(refuse("ppo", "probe-cost", &["standardise.minibatch=true"])).contains("standardise=false"));
    let box_needed = "needs continuous actions, and probe-action-discrete-v0 has 2 discrete ones";
    for algorithm in ["ddpg", "td3", "sac", "preqn"] {
        let message = message(refuse(algorithm, "probe-action-discrete", &["envs=4", "steps_per_update=4"]));
        assert_eq!(message, format!("{algorithm} {box_needed}"));
    }
    let message_dqn = message(refuse("dqn", "probe-action", &["envs=4"]));
    assert_eq!(message_dqn, "dqn needs discrete actions, and probe-action-v0 has 1 continuous ones");
    assert!(message(refuse("sac", "probe-action", &["replay=100"])).contains("holds less than minibatch = 256"));
    assert!(message(refuse("dqn", "probe-action-discrete", &["policy.activation=sin"])).contains("unknown setting"));
    for scale in ["1,2,3", "0", "[]"] {
        let message = message(refuse("ddpg", "probe-action", &[&format!("obs.scale={scale}")]));
        assert!(message.contains("does not fit the observations of probe-action-v0"), "{message}");
    }
    assert!(message(refuse("td3", "probe-action", &["hidden=0"])).contains("layer widths"));
    assert!(message(refuse("preqn", "probe-action", &["minibatch=5000"])).contains("kernel of its square"));
    assert!(algorithms::find("cop").err().unwrap().to_string().contains("did you mean `cpo`"));
}

#[test]
fn every_preset_of_every_algorithm_resolves() {
    for entry in algorithms::list() {
        // Options need paths; limits need a cost.
        let env = match entry.name {
            "valor" | "vic" | "diayn" => "OptionPoint",
            "dqn" => "probe-action-discrete",
            _ => "probe-cost",
        };
        for preset in entry.presets {
            let word = format!("preset={}", preset.name);
            let plan = entry.resolve(env, &[Layer::command_line(&[word]).unwrap()]).unwrap();
            let spec = tony_env::make(env, &Context::default()).unwrap().spec().clone();
            entry.build(&plan, Start::new(&spec, 0)).unwrap();
            let values: BTreeMap<_, _> = preset.entries().copied().collect();
            for (key, value) in values {
                assert_eq!(plan.get(key), Some(value), "{} {}: written as it is stored", entry.name, preset.name);
            }
        }
    }
}

/// One line for three updates: the same learning, and the means of what three lines would say.
#[test]
fn a_line_of_several_updates_gives_their_means() {
    let control = Control::default();
    let mut each = trainer("ppo", &[]);
    let lines: Vec<_> = (0..3).map(|_| each.update(6_000, &control).unwrap()).collect();
    let mut three = trainer("ppo", &["log.updates=3"]);
    let line = three.update(6_000, &control).unwrap();
    assert!(bytes(&each) == bytes(&three));
    assert_eq!((line.get("steps"), line.get("updates")), (Some(1_800.0), Some(3.0)));
    // Every update finishes as many episodes here, so the mean over episodes is the mean of the means.
    for name in ["Metrics/EpRet", "Metrics/EpCost", "Metrics/EpLen", "Train/KL", "Train/Entropy", "Cost/steep"] {
        let mean = lines.iter().map(|line| line.get(name).unwrap()).sum::<f64>() / 3.0;
        let found = line.get(name).unwrap();
        // Two orders of adding three numbers.
        assert!((found - mean).abs() <= 1e-12 * mean.abs(), "{name}: {found} {mean}");
    }
}

#[test]
fn episodes_may_be_cut_shorter_than_the_task_does() {
    let mut trainer = trainer("ppo", &["episode_steps=4"]);
    let line = trainer.update(6_000, &Control::default()).unwrap();
    assert_eq!(line.get("Metrics/EpLen"), Some(4.0));
}
