//! Maintenance tasks that are no part of the program.
//!
//! `cargo run -p xtask -- mujoco-fields` regenerates `crates/mujoco/src/fields.rs`. It needs Python's pip and a C compiler
//! called `cc`; the build itself needs neither.

mod mujoco_fields;

use std::process::ExitCode;

/// What a task returns: the error is shown as it is.
type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let result = match task.as_deref() {
        Some("mujoco-fields") => mujoco_fields::run(),
        _ => Err("usage: cargo run -p xtask -- mujoco-fields".into()),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error}");
            ExitCode::FAILURE
        }
    }
}
