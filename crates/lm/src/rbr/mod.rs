//! Rule-based rewards: from a policy in a file to the class of a completion, and from comparisons to a reward.
//!
//! Mu, Helyar, Heidecke, Achiam, Vallone, Kivlichan, Lin, Beutel, Schulman, Weng, "Rule Based Rewards for Language Model Safety", `NeurIPS`
//! 2024. Policy files are those that the paper released (`proposition_prompts.yaml`), as they are.

mod classes;
mod comparisons;
mod fit;
mod grader;
mod policy;
mod ranking;
mod synth;

pub use classes::{Counts, Row, count};
pub use comparisons::{Comparisons, Graded};
pub use fit::{AdamW, Feature, Fitted, Fitting, Hinge, Pair, RuleReward, Share, Weights, features, fit, hinge};
pub use grader::{Grader, Item, Question, Verdict};
pub use policy::{Assigned, Policy};
pub use ranking::{LabelErrors, Misranked, Ranking, Signal, SignalErrors, TypeRanking, rank};
pub use synth::{Draft, Journal, Made, Prompt, Synthesis, read_prompts, synthesise, write_drafts};
