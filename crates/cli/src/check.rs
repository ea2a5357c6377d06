//! `tony check`: the laws of an environment, or the replay of recorded trajectories.

use crate::Common;
use crate::failure::{Code, Result};

/// Check an environment.
#[derive(clap::Args)]
pub struct Args {
    env: String,
}

pub fn run(_: &Args, _: Common) -> Result<Code> {
    Ok(Code::Done)
}
