//! What environments need from outside: the physics library, the meshes of one robot, the emulator of Atari games. Each is fetched at the
//! first need.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::atari_ram::{self, Arcade};
use crate::safety_gym::robots::MESHES;
use crate::{Context, Error, Listing, Result};

/// All that `listing` needs; nothing is fetched `offline`. Atari games run in so many `workers`. `tell` hears, in a line each, what is
/// fetched, and later of workers that died and were started again.
pub fn context(listing: &Listing, workers: usize, offline: bool, tell: fn(&str)) -> Result<Context> {
    let mut context = Context::default();
    if listing.needs_mujoco {
        context.library = Some(tony_mujoco::locate(offline, &mut |text| tell(text))?);
    }
    if listing.needs_meshes {
        context.meshes = Some(meshes(offline, tell)?);
    }
    if listing.needs_arcade() {
        context.arcade = Some(arcade(workers, offline, tell)?);
    }
    Ok(context)
}

/// The folder of Racecar's meshes.
pub fn meshes(offline: bool, tell: fn(&str)) -> Result<PathBuf> {
    let environment = tony_fetch::Environment::of_process();
    let files = tony_fetch::locate_all(&MESHES, &environment, true, offline, &mut |text| tell(text))?;
    let folder = files.first().and_then(|file| file.parent()).map(Path::to_owned);
    folder.ok_or_else(|| Error::NeedsMeshes { env: "Racecar".to_owned() })
}

/// So many workers for Atari games: those that are there already, as long as somebody has them.
pub fn arcade(workers: usize, offline: bool, tell: fn(&str)) -> Result<Arc<Arcade>> {
    static KNOWN: Mutex<Vec<(usize, Weak<Arcade>)>> = Mutex::new(Vec::new());
    let mut known = KNOWN.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(arcade) = known.iter().find_map(|(has, arcade)| arcade.upgrade().filter(|_| *has == workers)) {
        return Ok(arcade);
    }
    let environment = atari_ram::Environment::of_process();
    let arcade = Arc::new(Arcade::locate(&environment, workers, offline, tell, &mut |text| tell(text))?);
    known.push((workers, Arc::downgrade(&arcade)));
    Ok(arcade)
}
