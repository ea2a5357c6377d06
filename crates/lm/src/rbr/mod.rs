//! Rule-based rewards: from a policy in a file to the class of a completion.
//!
//! Mu, Helyar, Heidecke, Achiam, Vallone, Kivlichan, Lin, Beutel, Schulman, Weng, "Rule Based Rewards for Language Model Safety", `NeurIPS`
//! 2024. Policy files are those that the paper released (`proposition_prompts.yaml`), as they are.

mod classes;
mod endpoint;
mod grader;
mod policy;

pub use classes::{Counts, Row, count};
pub use endpoint::{Endpoint, EndpointGrader, Spent};
pub use grader::{Grader, Item, Question, Verdict};
pub use policy::{Assigned, Policy};
