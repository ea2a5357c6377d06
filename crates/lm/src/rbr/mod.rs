//! Rule-based rewards: from a policy in a file to the class of a completion.
//!
//! Mu, Helyar, Heidecke, Achiam, Vallone, Kivlichan, Lin, Beutel, Schulman, Weng, "Rule Based Rewards for Language Model Safety", `NeurIPS`
//! 2024. Policy files are those that the paper released (`proposition_prompts.yaml`), as they are.

mod cache;
mod case;
mod classes;
mod endpoint;
mod grader;
mod local;
mod patterns;
mod policy;
mod safety;
mod scores;

pub use cache::Cached;
pub use case::{Case, grade, graded_row};
pub use classes::{Counts, Row, count};
pub use endpoint::{Endpoint, EndpointGrader, Spent};
pub use grader::{Grader, Item, Question, Verdict};
pub use local::{LocalGrader, Wording};
pub use patterns::PatternGrader;
pub use policy::{Assigned, Policy};
pub use safety::{Comparison, Judgements, Measures, Numbers, Report, f1};
pub use scores::{Aim, Score, Scores, THRESHOLD, score, thresholds, truth};
