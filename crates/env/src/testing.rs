//! What tests share.

use crate::Context;
use std::path::{Path, PathBuf};

/// With the physics library where it can be had; a line is printed where not, and tests leave out what needs it.
pub(crate) fn context() -> Context {
    let found = tony_mujoco::locate(false, &mut |line| eprintln!("{line}"));
    Context { library: found.inspect_err(|error| eprintln!("skipped, there is no MuJoCo: {error}")).ok() }
}

/// A file of `tests/data`.
pub(crate) fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}
