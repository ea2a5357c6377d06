//! Every algorithm against problems whose answers are known in closed form.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use tony_env::probe::{action, constant, cost, one_step_credit, time_limit, two_costs};
use tony_env::{Context, Env};
use tony_nn::{Activation, Mlp, Rows};
use tony_rl::policy::Scratch;
use tony_rl::{Trainer, algorithms};
use tony_run::{Archive, Control, Layer, Metrics, Training};

const UNCONSTRAINED: [&str; 3] = ["ppo", "trpo", "empi"];
const CONSTRAINED: [&str; 5] = ["ppo-lag", "ppo-pid", "trpo-lag", "trpo-pid", "cpo"];

/// Small networks and batches: a second of training each. Advantages keep their scale, so that multipliers have that of the rewards.
const SMALL: &[&str] = &[
    "envs=4",
    "steps_per_update=400",
    "hidden=16",
    "normalise=false",
    "standardise=false",
    "critic.lr=0.01",
    "critic.schedule=constant",
    "critic.regulariser=0",
];

/// Train `updates` updates; returns the trainer and the last metrics.
fn train(algorithm: &str, env: &str, updates: usize, settings: &[&str]) -> (Trainer, Vec<Metrics>) {
    let mut words: Vec<&str> = SMALL.to_vec();
    words.extend(match algorithm {
        "empi" => &["lr=0.003", "minibatch=100", "critic.minibatch=100"][..],
        ppo if ppo.starts_with("ppo") => &["lr=0.003", "lr.schedule=constant", "passes=10", "minibatch=100"],
        _ => &["critic.minibatch=100", "target_kl=0.1", "cg.damping=0.01"],
    });
    words.extend(settings);
    let entry = algorithms::find(algorithm).unwrap();
    let plan = entry.resolve(env, &[Layer::command_line(&words).unwrap()]).unwrap();
    let envs: Vec<Box<dyn Env>> = (0..4).map(|_| tony_env::make(env, &Context::default()).unwrap()).collect();
    let mut trainer = Trainer::new(&plan, envs).unwrap();
    let control = Control::default();
    let log = (0..updates).map(|_| trainer.update(u64::MAX, &control).unwrap()).collect();
    (trainer, log)
}

/// Controller gains for rewards and costs of size one.
fn gains(algorithm: &str) -> &'static [&'static str] {
    match algorithm.split_once('-') {
        Some((_, "lag")) => &["lagrangian.lr=0.02"],
        Some(_) => &["pid.kp=0.5", "pid.ki=0.1", "pid.kd=0"],
        None => &[],
    }
}

/// Algorithms without critics.
const GROUPED: [&str; 2] = ["rloo", "grpo"];

/// Train an algorithm without critics for `updates` updates of 80 episodes, in groups of four that began alike.
fn compare(algorithm: &str, env: &str, updates: usize, settings: &[&str]) -> Trainer {
    let mut words = vec!["envs=8", "group=4", "episodes_per_update=80", "hidden=16", "normalise=false", "lr=0.01"];
    words.extend(settings);
    let plan = algorithms::find(algorithm).unwrap().resolve(env, &[Layer::command_line(&words).unwrap()]).unwrap();
    let envs: Vec<Box<dyn Env>> = (0..8).map(|_| tony_env::make(env, &Context::default()).unwrap()).collect();
    let mut trainer = Trainer::new(&plan, envs).unwrap();
    (0..updates).for_each(|_| drop(trainer.update(u64::MAX, &Control::default()).unwrap()));
    trainer
}

#[test]
fn groups_find_the_actions_that_matter() {
    for algorithm in GROUPED {
        for passes in ["passes=1", "passes=4"] {
            let continuous = compare(algorithm, "probe-action", 200, &[passes, "log_std=-1", "minibatch=40"]);
            let discrete = compare(algorithm, "probe-action-discrete", 60, &[passes]);
            for sign in [-1.0, 1.0] {
                let obs = [sign as f32, 0.0];
                // A Gaussian of deviation 0.4 locates the maximum of a parabola to a tenth.
                near(algorithm, best_action(&continuous, obs), action::best(sign), 0.15);
                near(algorithm, best_action(&discrete, obs), action::best_index(sign) as f64, 0.0);
            }
        }
    }
}

/// Algorithms with a critic of states and continuous actions.
const OFF_POLICY: [&str; 4] = ["ddpg", "td3", "sac", "preqn"];

/// Train an off-policy algorithm for `updates` updates of 4 steps and 2 gradient steps each.
fn learn(algorithm: &str, env: &str, updates: usize, settings: &[&str]) -> Trainer {
    let mut words = vec!["envs=4", "steps_per_update=4", "gradient_steps=2", "hidden=32", "minibatch=64"];
    words.extend(["start_steps=200", "replay=4000", "log.updates=1"]);
    words.extend(match algorithm {
        "dqn" => &["lr=0.003", "target.interval=200", "exploration.end=0.3", "exploration.fraction=0"][..],
        // A little entropy, so that values stay near those of the reward.
        "sac" => &["lr=0.003", "tau=0.05", "entropy.weight=0.01"],
        "preqn" => &["lr=0.003", "noise=0.3", "alpha=0.1"],
        _ => &["lr=0.003", "tau=0.05", "noise=0.3"],
    });
    words.extend(settings);
    let plan = algorithms::find(algorithm).unwrap().resolve(env, &[Layer::command_line(&words).unwrap()]).unwrap();
    let envs: Vec<Box<dyn Env>> = (0..4).map(|_| tony_env::make(env, &Context::default()).unwrap()).collect();
    let mut trainer = Trainer::new(&plan, envs).unwrap();
    (0..updates).for_each(|_| drop(trainer.update(u64::MAX, &Control::default()).unwrap()));
    trainer
}

/// Outputs of the critic for its inputs, told from what is saved of it.
fn critic(trainer: &Trainer, algorithm: &str, x: &[f32], outputs: usize) -> Vec<f32> {
    let (mut policy, mut state) = (Archive::new(), Archive::new());
    trainer.save(&mut policy, &mut state).unwrap();
    let activation = if algorithm == "preqn" { Activation::Sin } else { Activation::Relu };
    let net = Mlp::new(&[x.len(), 32, outputs], activation).unwrap();
    let name = if state.shape("q.params").is_some() { "q.params" } else { "q1.params" };
    let (params, mut y) = (state.f32(name, &[net.num_params()]).unwrap(), vec![0.0; outputs]);
    net.forward(&params, &Rows::all(x, x.len()), &mut y);
    y
}

/// Mean of the critic over actions, where they do not matter.
fn q_value(trainer: &Trainer, algorithm: &str, obs: [f32; 2]) -> f64 {
    let values = [-0.8, -0.4, 0.0, 0.4, 0.8].map(|act| critic(trainer, algorithm, &[obs[0], obs[1], act], 1)[0]);
    f64::from(values.iter().sum::<f32>()) / 5.0
}

#[test]
fn off_policy_values_of_a_constant_and_of_a_credit_are_learned() {
    for algorithm in OFF_POLICY {
        let trainer = learn(algorithm, "probe-constant", 300, &[]);
        near(algorithm, q_value(&trainer, algorithm, [0.0, 0.0]), constant::VALUE, 0.05);
        let trainer = learn(algorithm, "probe-one-step-credit", 500, &["gamma=0.5"]);
        for sign in [-1.0, 1.0] {
            for time in [0, 1] {
                let obs = [sign as f32, time as f32 / 2.0];
                // Entropy of 0.01 nats is worth less than that; what is left is the fit of a small network that Adam keeps moving.
                near(algorithm, q_value(&trainer, algorithm, obs), one_step_credit::value(sign, time, 0.5), 0.1);
            }
        }
    }
}

#[test]
fn off_policy_a_time_limit_is_not_death() {
    for algorithm in OFF_POLICY {
        let trainer = learn(algorithm, "probe-time-limit", 1_200, &["gamma=0.9"]);
        // The mistake finds 2.6.
        near(algorithm, q_value(&trainer, algorithm, [0.0, 0.0]), time_limit::value(0.9), 0.4);
    }
}

#[test]
fn off_policy_actions_that_matter_are_found() {
    for algorithm in OFF_POLICY {
        let trainer = learn(algorithm, "probe-action", 1_500, &[]);
        for sign in [-1.0, 1.0] {
            // Exploration of 0.6 around it locates the maximum of a parabola to a tenth.
            near(algorithm, best_action(&trainer, [sign as f32, 0.0]), action::best(sign), 0.15);
        }
    }
    let trainer = learn("dqn", "probe-action-discrete", 500, &[]);
    for sign in [-1.0, 1.0] {
        let best = action::best_index(sign);
        near("dqn", best_action(&trainer, [sign as f32, 0.0]), best as f64, 0.0);
        let values = critic(&trainer, "dqn", &[sign as f32, 0.0], 2);
        near("dqn", f64::from(values[best]), action::VALUE, 0.05);
        near("dqn", f64::from(values[1 - best]), 0.0, 0.05);
    }
}

fn value(trainer: &Trainer, obs: [f32; 2]) -> f64 {
    let learner = trainer.algorithm().learner().unwrap();
    f64::from(learner.critics[0].values(&learner.policy.features(&obs))[0])
}

fn best_action(trainer: &Trainer, obs: [f32; 2]) -> f64 {
    let mut act = [0.0];
    trainer.actor().mode(&obs, &mut [], &mut act, &mut Scratch::default());
    f64::from(act[0])
}

fn near(what: &str, got: f64, want: f64, tolerance: f64) {
    assert!((got - want).abs() <= tolerance, "{what}: {got:.4} is not {want:.4} +- {tolerance}");
}

/// Mean of a metric over the last half of the updates.
fn late(log: &[Metrics], name: &str) -> f64 {
    let tail = &log[log.len() / 2..];
    tail.iter().map(|metrics| metrics.get(name).unwrap()).sum::<f64>() / tail.len() as f64
}

/// Integral control over a slow policy circles the answer without settling (the PID paper's first claim), so only its mean over some
/// turns is held to it, and less tightly.
fn circles(algorithm: &str) -> bool {
    algorithm == "trpo-lag"
}

#[test]
fn the_value_of_a_constant_is_learned() {
    for algorithm in UNCONSTRAINED {
        let (trainer, _) = train(algorithm, "probe-constant", 20, &[]);
        // Regression to a constant: what is left is Adam's step.
        near(algorithm, value(&trainer, [0.0, 0.0]), constant::VALUE, 0.02);
    }
}

#[test]
fn credit_crosses_one_step_with_one_discount() {
    for algorithm in UNCONSTRAINED {
        let (trainer, _) = train(algorithm, "probe-one-step-credit", 40, &["gamma=0.5"]);
        for sign in [-1.0, 1.0] {
            for time in [0, 1] {
                let obs = [sign as f32, time as f32 / 2.0];
                // Two noiseless targets for each sign; what is left is the fit of a small network.
                near(algorithm, value(&trainer, obs), one_step_credit::value(sign, time, 0.5), 0.05);
            }
        }
    }
}

#[test]
fn a_time_limit_is_not_death() {
    for algorithm in UNCONSTRAINED {
        let (trainer, _) = train(algorithm, "probe-time-limit", 150, &["gamma=0.9"]);
        // The mistake finds 2.6.
        near(algorithm, value(&trainer, [0.0, 0.0]), time_limit::value(0.9), 0.3);
    }
}

#[test]
fn actions_that_matter_are_found() {
    for algorithm in UNCONSTRAINED {
        let (continuous, _) = train(algorithm, "probe-action", 60, &["log_std=-1"]);
        let (discrete, _) = train(algorithm, "probe-action-discrete", 40, &[]);
        for sign in [-1.0, 1.0] {
            let obs = [sign as f32, 0.0];
            // 400 noisy samples an update locate the maximum of a parabola to a few hundredths.
            near(algorithm, best_action(&continuous, obs), action::best(sign), 0.12);
            near(algorithm, best_action(&discrete, obs), action::best_index(sign) as f64, 0.0);
        }
    }
}

#[test]
fn a_cost_binds_at_its_multiplier() {
    for algorithm in CONSTRAINED {
        let limit = format!("cost.limit={}", cost::LIMIT);
        let settings = [&[limit.as_str(), "log_std=-0.5"], gains(algorithm)].concat();
        let (trainer, log) = train(algorithm, "probe-cost", if circles(algorithm) { 1000 } else { 400 }, &settings);
        let slack = if circles(algorithm) { 2.0 } else { 1.0 };
        near(algorithm, late(&log, "Metrics/EpCost"), cost::LIMIT, 0.05 * slack);
        if algorithm != "cpo" {
            near(algorithm, late(&log, "Metrics/LagrangeMultiplier"), cost::MULTIPLIER, 0.15 * slack);
        }
        if !circles(algorithm) {
            near(algorithm, best_action(&trainer, [0.0, 0.0]), cost::ACTION, 0.25);
        }
    }
}

#[test]
fn without_a_binding_limit_the_reward_decides() {
    for algorithm in CONSTRAINED {
        let (trainer, _) = train(algorithm, "probe-cost", 120, &["cost.limit=3", "log_std=-0.5"]);
        near(algorithm, best_action(&trainer, [0.0, 0.0]), cost::FREE_ACTION, 0.35);
    }
}

#[test]
fn of_two_costs_only_the_one_that_binds_pulls() {
    for algorithm in CONSTRAINED {
        let limits: &[&str] = &["cost.limit.steep=12.5", "cost.limit.gentle=12.5", "log_std=-0.5"];
        let settings = [limits, gains(algorithm)].concat();
        let (trainer, log) =
            train(algorithm, "probe-two-costs", if circles(algorithm) { 1000 } else { 400 }, &settings);
        let slack = if circles(algorithm) { 2.0 } else { 1.0 };
        near(algorithm, late(&log, "Cost/steep"), two_costs::COSTS[0], 0.4 * slack);
        near(algorithm, late(&log, "Cost/gentle"), two_costs::COSTS[1], 0.3 * slack);
        if !circles(algorithm) {
            near(algorithm, best_action(&trainer, [0.0, 0.0]), two_costs::ACTION, 0.25);
        }
    }
}
