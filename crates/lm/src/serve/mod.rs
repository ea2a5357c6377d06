//! Servers: a language model behind `OpenAI`'s interface ([`serve_model`]), and rule-based rewards ([`serve_rewards`]).
//!
//! Whoever computes is one thread that owns what it needs; tasks that speak HTTP send it work and hear of it by channels. What waits is
//! bounded: the next one is told to try again. Not protected: there is no TLS, and a client that sends its headers slowly holds a
//! connection; let a proxy stand before a server that others than you can reach.

mod asked;
mod engine;
mod http;
mod openai;
mod rewards;

use std::sync::atomic::{AtomicBool, Ordering};

pub use http::Listen;
pub use openai::{ServeModel, serve_model};
pub use rewards::{END_MARKS, ServeRewards, serve_rewards};

/// Without the thread that computes nobody is to wait for it, not even where it ended by a panic.
struct StopAtEnd<'a>(&'a AtomicBool);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}
