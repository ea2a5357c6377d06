//! Named sets of settings. What a set does not name keeps the documented default.

/// A named set of settings.
#[derive(Debug)]
pub struct Preset {
    /// Its name: `preset=NAME`.
    pub name: &'static str,
    /// Whose settings these are.
    pub summary: &'static str,
    /// Lists of keys and values; where two name one key, the later list counts.
    pub values: &'static [Values],
}

/// Keys and values.
pub type Values = &'static [(&'static str, &'static str)];

impl Preset {
    /// All keys and values, in the order in which they are laid over each other.
    pub fn entries(&self) -> impl Iterator<Item = &(&'static str, &'static str)> {
        self.values.iter().copied().flatten()
    }
}

const fn default(values: &'static [Values]) -> Preset {
    Preset { name: "default", summary: "OmniSafe's values", values }
}

const fn safety_gym(values: &'static [Values]) -> Preset {
    Preset { name: "safety-gym", summary: "the Safety Gym paper's agents", values }
}

const fn paper(values: &'static [Values]) -> Preset {
    Preset { name: "paper", summary: "the algorithm's own paper's values", values }
}

const fn sb3(values: &'static [Values]) -> Preset {
    Preset { name: "sb3", summary: "Stable-Baselines3's values", values }
}

/// Off-policy: one step of one environment, then one gradient step; a line of the records every 1,000.
pub(super) const ONE_STEP: Values = &[("steps_per_update", "1"), ("envs", "1"), ("log.updates", "1000")];

const NO_CLIPPING: (&str, &str) = ("max_grad_norm", "1000000000.0");
const NO_REGULARISER: (&str, &str) = ("critic.regulariser", "0.0");

/// Critics that learn as the policy does.
const OMNISAFE_PPO: Values = &[("critic.lr", "0.0003"), ("critic.schedule", "linear")];
const OMNISAFE_LAGRANGIAN: Values = &[("lagrangian.control", "adam")];

/// Of the tasks with MuJoCo; Stable-Baselines3 begins from the same.
const PPO_PAPER: Values = &[
    ("steps_per_update", "2048"),
    ("envs", "1"),
    ("normalise", "false"),
    ("passes", "10"),
    ("target_kl", "0.0"),
    ("lr.schedule", "constant"),
    ("critic.lr", "0.0003"),
    ("critic.schedule", "constant"),
    NO_REGULARISER,
];

const SAFETY_GYM: Values = &[
    ("steps_per_update", "30000"),
    ("envs", "10"),
    ("hidden", "[256, 256]"),
    ("init", "glorot"),
    ("log_std", "-0.5"),
    ("normalise", "false"),
    ("lambda", "0.97"),
    ("cost.lambda", "0.97"),
    ("target.lambda", "1.0"),
    NO_CLIPPING,
    NO_REGULARISER,
    ("critic.passes", "80"),
];
const SAFETY_GYM_PPO: Values = &[
    ("passes", "80"),
    ("minibatch", "0"),
    ("target_kl", "0.012"),
    ("lr.schedule", "constant"),
    ("critic.lr", "0.001"),
    ("critic.schedule", "constant"),
];
const SAFETY_GYM_TRPO: Values = &[("cg.iterations", "10"), ("line_search.trials", "10"), ("critic.minibatch", "0")];
const SAFETY_GYM_LAGRANGIAN: Values =
    &[("lagrangian.control", "softplus"), ("lagrangian.init", "1.0"), ("lagrangian.lr", "0.05")];

/// Without the recurrent layer: see the header of `pid_lagrangian.rs`.
const PID_PAPER: Values = &[
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
    NO_REGULARISER,
    ("lagrangian.control", "pid"),
    ("lagrangian.init", "0.0"),
    ("pid.cost_scale", "10.0"),
    ("pid.kp", "1.0"),
    ("pid.ki", "0.01"),
    ("pid.kd", "0.0"),
    ("pid.delay", "1"),
];
/// The paper's baseline.
const PID_PAPER_INTEGRAL: Values = &[("pid.kp", "0.0")];

pub(super) const PPO: &[Preset] = &[
    default(&[OMNISAFE_PPO]),
    safety_gym(&[SAFETY_GYM, SAFETY_GYM_PPO]),
    paper(&[PPO_PAPER, &[NO_CLIPPING]]),
    sb3(&[
        PPO_PAPER,
        &[
            ("init", "orthogonal"),
            ("standardise", "false"),
            ("standardise.minibatch", "true"),
            ("adam.epsilon", "1e-5"),
            ("max_grad_norm", "0.5"),
        ],
    ]),
];

pub(super) const PPO_LAG: &[Preset] = &[
    default(&[OMNISAFE_PPO, OMNISAFE_LAGRANGIAN]),
    safety_gym(&[SAFETY_GYM, SAFETY_GYM_PPO, SAFETY_GYM_LAGRANGIAN]),
    paper(&[PID_PAPER, PID_PAPER_INTEGRAL]),
];

pub(super) const PPO_PID: &[Preset] = &[default(&[OMNISAFE_PPO]), paper(&[PID_PAPER])];

/// Which bonus, `surprise=` says. The paper's critic makes one constrained step an update; here Adam fits one that starts at 0.
const SURPRISE: Values = &[
    ("steps_per_update", "5000"),
    ("envs", "10"),
    ("init", "glorot"),
    ("normalise", "false"),
    ("gamma", "0.995"),
    ("cg.iterations", "10"),
    ("cg.damping", "1e-5"),
    NO_CLIPPING,
    NO_REGULARISER,
    ("critic.zero", "true"),
    ("surprise.replay", "5000000"),
];

pub(super) const TRPO: &[Preset] = &[
    default(&[]),
    safety_gym(&[SAFETY_GYM, SAFETY_GYM_TRPO]),
    paper(&[&[
        ("steps_per_update", "50000"),
        ("envs", "10"),
        ("hidden", "[50, 50]"),
        ("normalise", "false"),
        ("lambda", "1.0"),
        ("cg.iterations", "10"),
        ("line_search.trials", "10"),
        ("line_search.decay", "0.5"),
        NO_REGULARISER,
    ]]),
    sb3(&[&[
        ("steps_per_update", "2048"),
        ("envs", "1"),
        ("init", "orthogonal"),
        ("normalise", "false"),
        NO_CLIPPING,
        ("line_search.trials", "10"),
        NO_REGULARISER,
    ]]),
    Preset {
        name: "surprise-classic",
        summary: "the surprise paper's, SparseMountainCar and CartpoleSwingup",
        values: &[SURPRISE, &[("hidden", "[32]")]],
    },
    Preset {
        name: "surprise-locomotion",
        summary: "the surprise paper's, SparseHalfCheetah",
        values: &[SURPRISE, &[("hidden", "[64, 32]"), ("target_kl", "0.05")]],
    },
];

pub(super) const TRPO_LAG: &[Preset] =
    &[default(&[OMNISAFE_LAGRANGIAN]), safety_gym(&[SAFETY_GYM, SAFETY_GYM_TRPO, SAFETY_GYM_LAGRANGIAN])];

pub(super) const TRPO_PID: &[Preset] = &[default(&[])];

pub(super) const CPO: &[Preset] = &[
    default(&[&[("critic.schedule", "linear")]]),
    safety_gym(&[SAFETY_GYM, SAFETY_GYM_TRPO]),
    paper(&[&[
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
        NO_REGULARISER,
    ]]),
];

const fn options(values: &'static [Values]) -> Preset {
    Preset { name: "default", summary: "the paper's values, with a fifth of its paths", values }
}

const fn point(values: &'static [Values]) -> Preset {
    Preset {
        name: "point",
        summary: "eight options of OptionPoint, feed-forward, no curriculum: learned in minutes",
        values,
    }
}

/// 1,000 paths of 250 steps.
const OPTIONS_PAPER: Values = &[("paths", "1000"), ("envs", "8"), ("episode_steps", "250")];
/// The point's world is small: what decoders see is brought to the size of 1.
const POINT: Values = &[
    ("contexts", "8"),
    ("curriculum", "false"),
    ("lstm", "0"),
    ("hidden", "[64]"),
    ("decoder.scale", "10.0"),
    ("steps", "2600000"),
];
const NO_ENTROPY: Values = &[("entropy", "0.0")];

pub(super) const VALOR: &[Preset] = &[options(&[]), paper(&[OPTIONS_PAPER]), point(&[POINT])];

pub(super) const VIC: &[Preset] =
    &[options(&[NO_ENTROPY]), paper(&[OPTIONS_PAPER, NO_ENTROPY]), point(&[POINT, NO_ENTROPY])];

pub(super) const DIAYN: &[Preset] = &[options(&[]), paper(&[OPTIONS_PAPER]), point(&[POINT])];

/// For tasks of short episodes: sixteen groups of four.
const GROUPS: Values = &[("envs", "8"), ("group", "4"), ("episodes_per_update", "64")];

const fn groups(values: &'static [Values]) -> Preset {
    Preset { name: "default", summary: "ours, for short episodes and small networks", values }
}

pub(super) const RLOO: &[Preset] = &[groups(&[GROUPS])];

/// One step a batch of 16 questions; the episode of a language model begins with the question.
const DEEPSEEKMATH: Values =
    &[("envs", "1024"), ("group", "64"), ("episodes_per_update", "1024"), ("lr", "1e-6"), ("kl", "0.04")];

pub(super) const GRPO: &[Preset] = &[
    groups(&[GROUPS, &[("passes", "4")]]),
    paper(&[DEEPSEEKMATH]),
    Preset {
        name: "dr-grpo",
        summary: "the default without division by deviations and lengths",
        values: &[GROUPS, &[("passes", "4"), ("deviation", "false"), ("length", "limit")]],
    },
    Preset {
        name: "dapo",
        summary: "the default, every action counting as much, with DAPO's higher upper limit",
        values: &[GROUPS, &[("passes", "4"), ("length", "batch"), ("clip.high", "0.28")]],
    },
];

/// No settings were published.
pub(super) const EMPI: &[Preset] = &[Preset {
    name: "default",
    summary: "ours",
    values: &[&[
        ("steps_per_update", "4000"),
        ("log_std", "-0.5"),
        ("normalise", "false"),
        ("standardise", "false"),
        NO_REGULARISER,
    ]],
}];
