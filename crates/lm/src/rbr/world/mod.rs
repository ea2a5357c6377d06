//! A small world with known ground truth, in which the paper's whole comparison is made.
//!
//! Requests of four areas and none, written by templates; answers in a language of some 150 words, whose propositions exact rules decide;
//! transformers, reward models and graders that are trained here.

mod compare;
mod language;
mod models;

pub use compare::{Budget, GRADERS, VARIANTS, base, compare, names};
pub use language::{Area, Case, Clause, Request, Want, Writing, truth, vocabulary};
pub use models::{
    Lesson, Measured, Mix, Practice, RewardModel, Size, Taste, WorldGrader, Worth, comparisons, copy, held_out,
    imitate, measure, newborn, policy, practise,
};
