//! Language models: text to tokens and back, chat templates, sampling, generation, learning ([`learn`]), and rule-based rewards ([`rbr`]).
//!
//! A model is a [`Model`]: weights, tokenizer and chat template from one file or folder. A [`Writer`] runs any number of requests
//! side by side; what one of them is answered has the same bits whoever else is served.
//!
//! Text that comes from people, data or models is never read as a model's marks: [`Tokenizer::text`] cannot make a special token, and a
//! chat template cannot be told to make one by a message.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod catalogue;
mod chat;
mod constrain;
mod embedder;
mod error;
mod export;
mod identity;
mod jsonl;
pub mod learn;
mod model;
pub mod rbr;
mod sample;
pub mod serve;
mod tokenizer;
mod tokenizer_file;
mod writer;

pub use catalogue::{Listed, MODELS, find_model};
pub use chat::{ChatTemplate, Message};
pub use constrain::Constraint;
pub use embedder::Embedder;
pub use error::{Error, Result};
pub use export::export;
pub use model::Model;
pub use sample::{Choice, Sampling, most_likely};
pub use tokenizer::Tokenizer;
pub use tony_deep::Error as DeepError;
pub use tony_deep::decoder;
pub use writer::{Event, Finish, Request, Writer};
