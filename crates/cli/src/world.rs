//! Environments by name, with the physics library where the task needs it.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use tony_env::atari_ram::Arcade;
use tony_env::safety_gym::robots::MESHES;
use tony_env::{Context, Env, Listing};

use crate::console;
use crate::failure::{Failure, Result};

/// What the environment needs to be made; fetches MuJoCo and meshes at the first need, unless `offline`.
pub fn context(listing: &Listing, offline: bool) -> Result<Context> {
    let mut context = Context::default();
    if listing.needs_mujoco {
        context.library = Some(tony_mujoco::locate(offline, &mut |text| console::note(text))?);
    }
    if listing.needs_meshes {
        context.meshes = Some(meshes(offline)?);
    }
    if listing.needs_arcade() {
        context.arcade = Some(arcade(rayon::current_num_threads(), offline)?);
    }
    Ok(context)
}

/// So many workers for Atari games: those that are there already, as long as somebody has them.
pub fn arcade(workers: usize, offline: bool) -> tony_env::Result<Arc<Arcade>> {
    static KNOWN: Mutex<Vec<(usize, Weak<Arcade>)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(arcade) = known.iter().find_map(|(has, arcade)| arcade.upgrade().filter(|_| *has == workers)) {
        return Ok(arcade);
    }
    let environment = tony_env::atari_ram::Environment::of_process();
    let arcade = Arcade::locate(&environment, workers, offline, |text| console::note(text), &mut |text| {
        console::note(text);
    })?;
    let arcade = Arc::new(arcade);
    known.push((workers, Arc::downgrade(&arcade)));
    Ok(arcade)
}

/// The folder of Racecar's meshes.
pub fn meshes(offline: bool) -> Result<PathBuf> {
    let environment = tony_fetch::Environment::of_process();
    let files = tony_fetch::locate_all(&MESHES, &environment, true, offline, &mut |text| console::note(text))?;
    let folder = files.first().and_then(|file| file.parent()).map(Path::to_owned);
    folder.ok_or_else(|| Failure::failed("meshes", "Racecar has no meshes"))
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
