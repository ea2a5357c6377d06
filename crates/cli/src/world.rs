//! Environments by name, with what they need.

use std::num::NonZeroUsize;

use tony_env::{Context, Env, Listing, needs};

use crate::console;
use crate::failure::{Failure, Result};

/// What the environment needs to be made; fetched at the first need, unless `offline`.
pub fn context(listing: &Listing, offline: bool) -> Result<Context> {
    Ok(needs::context(listing, rayon::current_num_threads(), offline, tell)?)
}

/// A line about what is fetched.
pub fn tell(text: &str) {
    console::note(text);
}

/// `n` copies of the environment called `name`.
pub fn make(name: &str, n: usize, offline: bool) -> Result<Vec<Box<dyn Env>>> {
    let listing = tony_env::find(name)?;
    let context = context(listing, offline)?;
    (0..n).map(|_| Ok(tony_env::make(listing.name, &context)?)).collect()
}

/// Run `work` with `threads` worker threads (default: every core).
pub fn with_threads<T: Send>(threads: Option<NonZeroUsize>, work: impl FnOnce(usize) -> Result<T> + Send) -> Result<T> {
    let threads = threads.or_else(|| std::thread::available_parallelism().ok()).map_or(1, usize::from);
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
    let pool =
        pool.map_err(|error| Failure::failed("threads", format!("{threads} threads cannot be started: {error}")))?;
    pool.install(|| work(threads))
}
