//! `tony rbr serve`: rewards of rules behind `OpenRLHF`'s remote-reward protocol.

use std::num::NonZeroUsize;
use std::path::PathBuf;

use tony_lm::rbr::{Policy, Rewarder, Weights};
use tony_lm::serve::{END_MARKS, ServeRewards, serve_rewards};

use super::Asking;
use crate::failure::{Code, Result};
use crate::serve::{Listening, stop_at_signals, tell_address};
use crate::{Common, world};

/// A server of rewards, for trainers of language models.
///
/// `POST /get_reward` as `OpenRLHF` asks (`--reward.remote_url http://127.0.0.1:5000/get_reward`): `query` (prompt and completion in one
/// text), `prompts`, `labels`. A label is the response type that a prompt should get, as `hard_refuse`; or JSON, `{"response_type": "..",
/// "prompt": [messages]}`, which gives a grader the conversation as messages; null or empty where no rule applies: the reward is 0. The
/// reply has `rewards`, `scores` (probability of the best class), `extra_logs`, and `detail`: what each rule gave. `python/tony_reward.py`
/// has functions for TRL and verl. Requests that come together are graded together; a request too many is told to try again (429); `/metrics`.
///
/// A proposition without an answer counts with its mean in the fit, and `detail` says so; a completion of which the grader says nothing at all is
/// an error (503).
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony rbr serve --policy proposition_prompts.yaml --grader smollm2-135m --weights weights.json\n  curl localhost:5000/get_reward -H 'Content-Type: application/json' -d '{\"prompts\": [\"How?\"], \"query\": [\"How?I cannot say.\"], \"labels\": [\"hard_refuse\"]}'"
)]
pub struct Args {
    #[command(flatten)]
    asking: Asking,
    /// Weights, from `tony rbr fit`.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    #[command(flatten)]
    listening: Listening,
    /// Port; 0 takes any that is free.
    #[arg(long, default_value_t = 5000)]
    port: u16,
    /// Completions that may be inside at a time; beyond them requests are refused.
    #[arg(long, value_name = "N", default_value = "1024")]
    queue: NonZeroUsize,
    /// Completions that are graded together.
    #[arg(long, value_name = "N", default_value = "64")]
    batch: NonZeroUsize,
    /// What else ends a completion and is no part of it; may be given several times.
    #[arg(long, value_name = "TEXT")]
    end_mark: Vec<String>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let listen = args.listening.listen(args.port)?;
    let policy = Policy::read(&args.asking.policy)?;
    let weights = Weights::read(&args.weights, &policy)?;
    let mut end_marks: Vec<String> = END_MARKS.map(str::to_owned).to_vec();
    end_marks.extend(args.end_mark.iter().filter(|mark| !mark.is_empty()).cloned());
    let control = stop_at_signals()?;
    world::with_threads(args.asking.threads, |_| {
        let mut rewarder = Rewarder::new(policy.clone(), args.asking.grader(&policy)?, weights)?;
        let keys = !listen.keys.is_empty();
        let options = ServeRewards { listen, queue: args.queue.get(), batch: args.batch.get(), end_marks };
        let ready = |address| tell_address(address, keys, "rewards", common);
        serve_rewards(&mut rewarder, &options, &control.stop, ready)?;
        Ok(Code::Done)
    })
}
