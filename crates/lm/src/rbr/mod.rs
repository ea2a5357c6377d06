//! Rule-based rewards: from a policy in a file to the class of a completion, and from comparisons to a reward.
//!
//! Mu, Helyar, Heidecke, Achiam, Vallone, Kivlichan, Lin, Beutel, Schulman, Weng, "Rule Based Rewards for Language Model Safety", `NeurIPS`
//! 2024. Policy files are those that the paper released (`proposition_prompts.yaml`), as they are.

mod cache;
mod case;
mod classes;
mod comparisons;
mod endpoint;
mod experiment;
mod fit;
mod grader;
mod heads;
mod local;
mod patterns;
mod policy;
mod ranking;
mod reward;
mod safety;
mod scores;
pub mod study;
mod synth;
pub mod world;

pub use cache::Cached;
pub use case::{Case, grade, graded_row};
pub use classes::{Counts, Row, count};
pub use comparisons::{Comparisons, Graded};
pub use endpoint::{Endpoint, EndpointGrader, Spent};
pub use experiment::{Values, Watch};
pub use fit::{AdamW, Feature, Fitted, Fitting, Hinge, Pair, RuleReward, Share, Weights, features, fit, hinge};
pub use grader::{Grader, Item, Question, Verdict, named};
pub use heads::{Answer, Features, Head, Heads, HeadsGrader, Training};
pub use local::{LocalGrader, Wording};
pub use patterns::PatternGrader;
pub use policy::{Assigned, Policy};
pub use ranking::{LabelErrors, Misranked, Ranking, Signal, SignalErrors, TypeRanking, rank};
pub use reward::{Ask, Reward, Rewarder};
pub use safety::{Comparison, Judgements, Measures, Numbers, Report, f1};
pub use scores::{Aim, Score, Scores, THRESHOLD, score, thresholds, truth};
pub use synth::{Draft, Journal, Made, Prompt, Synthesis, read_prompts, synthesise, write_drafts};
