//! What tests share.

use crate::atari_ram::{Arcade, Environment};
use crate::safety_gym::robots::MESHES;
use crate::{Context, Listing};
use std::path::{Path, PathBuf};

/// With the physics library where it can be had; a line is printed where not, and tests leave out what needs it.
pub(crate) fn context() -> Context {
    let found = tony_mujoco::locate(false, &mut |line| eprintln!("{line}"));
    let library = found.inspect_err(|error| eprintln!("skipped, there is no MuJoCo: {error}")).ok();
    let environment = tony_fetch::Environment::of_process();
    let meshes = tony_fetch::locate_all(&MESHES, &environment, false, false, &mut |line| eprintln!("{line}"));
    let meshes = meshes.inspect_err(|error| eprintln!("skipped, there are no meshes of Racecar: {error}")).ok();
    let arcade = arcade(1, |line| eprintln!("{line}")).map(std::sync::Arc::new);
    Context { arcade, ..Context::new(library, meshes.and_then(|files| files[0].parent().map(Path::to_owned))) }
}

/// Workers for Atari games where there is an emulator; a line is printed where not.
pub(crate) fn arcade(workers: usize, report: fn(&str)) -> Option<Arcade> {
    let found = Arcade::locate(&Environment::of_process(), workers, false, report, &mut |line| eprintln!("{line}"));
    found.inspect_err(|error| eprintln!("skipped, there is no Atari emulator: {error}")).ok()
}

/// Can it be made with what there is?
pub(crate) fn can_make(listing: &Listing, context: &Context) -> bool {
    let can_act = context.arcade.is_some() || !listing.needs_arcade();
    can_act
        && (context.library.is_some() || !listing.needs_mujoco)
        && (context.meshes.is_some() || !listing.needs_meshes)
}

/// A file of `tests/data`.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
