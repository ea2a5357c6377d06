//! Named sets of settings. What a set does not name keeps the documented default.

/// A named set of settings.
#[derive(Debug)]
pub struct Preset {
    /// Its name: `preset=NAME`.
    pub name: &'static str,
    /// Whose settings these are.
    pub summary: &'static str,
    /// Keys and values.
    pub values: &'static [(&'static str, &'static str)],
}

type Values = &'static [(&'static str, &'static str)];

const fn default(values: Values) -> Preset {
    Preset { name: "default", summary: "OmniSafe's values", values }
}

const fn safety_gym(values: Values) -> Preset {
    Preset { name: "safety-gym", summary: "the Safety Gym paper's agents", values }
}

const fn paper(values: Values) -> Preset {
    Preset { name: "paper", summary: "the algorithm's own paper's values", values }
}

const fn sb3(values: Values) -> Preset {
    Preset { name: "sb3", summary: "Stable-Baselines3's values", values }
}

const PPO_DEFAULT: Preset = default(&[("critic.lr", "0.0003"), ("critic.schedule", "linear")]);
const TRPO_DEFAULT: Preset = default(&[]);

pub(super) const PPO: &[Preset] = &[
    PPO_DEFAULT,
    safety_gym(&[
        ("steps_per_update", "30000"),
        ("envs", "10"),
        ("hidden", "[256, 256]"),
        ("init", "glorot"),
        ("log_std", "-0.5"),
        ("normalise", "false"),
        ("lambda", "0.97"),
        ("cost.lambda", "0.97"),
        ("target.lambda", "1.0"),
        ("max_grad_norm", "1000000000.0"),
        ("passes", "80"),
        ("minibatch", "0"),
        ("target_kl", "0.012"),
        ("lr.schedule", "constant"),
        ("critic.lr", "0.001"),
        ("critic.schedule", "constant"),
        ("critic.regulariser", "0.0"),
        ("critic.passes", "80"),
    ]),
    paper(&[
        ("steps_per_update", "2048"),
        ("envs", "1"),
        ("normalise", "false"),
        ("passes", "10"),
        ("target_kl", "0.0"),
        ("lr.schedule", "constant"),
        ("critic.lr", "0.0003"),
        ("critic.schedule", "constant"),
        ("critic.regulariser", "0.0"),
        ("max_grad_norm", "1000000000.0"),
    ]),
    sb3(&[
        ("steps_per_update", "2048"),
        ("envs", "1"),
        ("init", "orthogonal"),
        ("normalise", "false"),
        ("standardise", "false"),
        ("standardise.minibatch", "true"),
        ("adam.epsilon", "1e-5"),
        ("max_grad_norm", "0.5"),
        ("passes", "10"),
        ("target_kl", "0.0"),
        ("lr.schedule", "constant"),
        ("critic.lr", "0.0003"),
        ("critic.schedule", "constant"),
        ("critic.regulariser", "0.0"),
    ]),
];

const LAG: (&str, &str) = ("lagrangian.control", "adam");

pub(super) const PPO_LAG: &[Preset] = &[
    default(&[("critic.lr", "0.0003"), ("critic.schedule", "linear"), LAG]),
    safety_gym(&[
        ("steps_per_update", "30000"),
        ("envs", "10"),
        ("hidden", "[256, 256]"),
        ("init", "glorot"),
        ("log_std", "-0.5"),
        ("normalise", "false"),
        ("lambda", "0.97"),
        ("cost.lambda", "0.97"),
        ("target.lambda", "1.0"),
        ("max_grad_norm", "1000000000.0"),
        ("passes", "80"),
        ("minibatch", "0"),
        ("target_kl", "0.012"),
        ("lr.schedule", "constant"),
        ("critic.lr", "0.001"),
        ("critic.schedule", "constant"),
        ("critic.regulariser", "0.0"),
        ("critic.passes", "80"),
        ("lagrangian.control", "softplus"),
        ("lagrangian.init", "1.0"),
        ("lagrangian.lr", "0.05"),
    ]),
    PID_PAPER_INTEGRAL,
];

pub(super) const PPO_PID: &[Preset] = &[PPO_DEFAULT, PID_PAPER];

/// Without the recurrent layer: see the header of `pid_lagrangian.rs`.
const PID_PAPER: Preset = paper(&[
    ("steps_per_update", "13312"),
    ("envs", "104"),
    ("hidden", "[512, 512]"),
    ("normalise.clip", "10.0"),
    ("lambda", "0.97"),
    ("cost.lambda", "0.97"),
    ("standardise", "false"),
    ("cost.centre", "false"),
    ("max_grad_norm", "10000.0"),
    ("clip", "0.1"),
    ("passes", "8"),
    ("minibatch", "0"),
    ("target_kl", "0.0"),
    ("lr", "0.0001"),
    ("lr.schedule", "constant"),
    ("cost.clip", "separate"),
    ("critic.lr", "0.0001"),
    ("critic.schedule", "constant"),
    ("critic.regulariser", "0.0"),
    ("lagrangian.init", "0.0"),
    ("pid.cost_scale", "10.0"),
    ("pid.kp", "1.0"),
    ("pid.ki", "0.01"),
    ("pid.kd", "0.0"),
    ("pid.delay", "1"),
]);

const PID_PAPER_INTEGRAL: Preset = paper(&[
    ("steps_per_update", "13312"),
    ("envs", "104"),
    ("hidden", "[512, 512]"),
    ("normalise.clip", "10.0"),
    ("lambda", "0.97"),
    ("cost.lambda", "0.97"),
    ("standardise", "false"),
    ("cost.centre", "false"),
    ("max_grad_norm", "10000.0"),
    ("clip", "0.1"),
    ("passes", "8"),
    ("minibatch", "0"),
    ("target_kl", "0.0"),
    ("lr", "0.0001"),
    ("lr.schedule", "constant"),
    ("cost.clip", "separate"),
    ("critic.lr", "0.0001"),
    ("critic.schedule", "constant"),
    ("critic.regulariser", "0.0"),
    ("lagrangian.control", "pid"),
    ("lagrangian.init", "0.0"),
    ("pid.cost_scale", "10.0"),
    ("pid.kp", "0.0"),
    ("pid.ki", "0.01"),
    ("pid.kd", "0.0"),
    ("pid.delay", "1"),
]);

const SAFETY_GYM_TRPO: Preset = safety_gym(&[
    ("steps_per_update", "30000"),
    ("envs", "10"),
    ("hidden", "[256, 256]"),
    ("init", "glorot"),
    ("log_std", "-0.5"),
    ("normalise", "false"),
    ("lambda", "0.97"),
    ("cost.lambda", "0.97"),
    ("target.lambda", "1.0"),
    ("max_grad_norm", "1000000000.0"),
    ("cg.iterations", "10"),
    ("line_search.trials", "10"),
    ("critic.regulariser", "0.0"),
    ("critic.passes", "80"),
    ("critic.minibatch", "0"),
]);

pub(super) const TRPO: &[Preset] = &[
    TRPO_DEFAULT,
    SAFETY_GYM_TRPO,
    paper(&[
        ("steps_per_update", "50000"),
        ("envs", "10"),
        ("hidden", "[50, 50]"),
        ("normalise", "false"),
        ("lambda", "1.0"),
        ("cg.iterations", "10"),
        ("line_search.trials", "10"),
        ("line_search.decay", "0.5"),
        ("critic.regulariser", "0.0"),
    ]),
    sb3(&[
        ("steps_per_update", "2048"),
        ("envs", "1"),
        ("init", "orthogonal"),
        ("normalise", "false"),
        ("max_grad_norm", "1000000000.0"),
        ("line_search.trials", "10"),
        ("critic.regulariser", "0.0"),
    ]),
];

pub(super) const TRPO_LAG: &[Preset] = &[
    default(&[LAG]),
    safety_gym(&[
        ("steps_per_update", "30000"),
        ("envs", "10"),
        ("hidden", "[256, 256]"),
        ("init", "glorot"),
        ("log_std", "-0.5"),
        ("normalise", "false"),
        ("lambda", "0.97"),
        ("cost.lambda", "0.97"),
        ("target.lambda", "1.0"),
        ("max_grad_norm", "1000000000.0"),
        ("cg.iterations", "10"),
        ("line_search.trials", "10"),
        ("critic.regulariser", "0.0"),
        ("critic.passes", "80"),
        ("critic.minibatch", "0"),
        ("lagrangian.control", "softplus"),
        ("lagrangian.init", "1.0"),
        ("lagrangian.lr", "0.05"),
    ]),
];

pub(super) const TRPO_PID: &[Preset] = &[TRPO_DEFAULT];

pub(super) const CPO: &[Preset] = &[
    default(&[("critic.schedule", "linear")]),
    SAFETY_GYM_TRPO,
    paper(&[
        ("steps_per_update", "50000"),
        ("envs", "10"),
        ("hidden", "[64, 32]"),
        ("normalise", "false"),
        ("gamma", "0.995"),
        ("cost.gamma", "1.0"),
        ("cost.lambda", "1.0"),
        ("target.lambda", "1.0"),
        ("cg.iterations", "10"),
        ("cg.damping", "1e-5"),
        ("critic.regulariser", "0.0"),
    ]),
];
