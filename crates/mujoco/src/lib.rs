//! A small safe binding to the MuJoCo C library, opened at run time: the build needs no C library and no C compiler.
//!
//! [`locate`] finds the pinned version (and fetches it once), [`Model::from_xml`] compiles MJCF text, [`Simulation`] steps
//! it. Fields of MuJoCo's structures are reached through a table of offsets for exactly that version (`fields.rs`, made
//! from the wheel's own headers by `cargo run -p xtask -- mujoco-fields`), which [`Library::open`] proves before anything
//! else is done.
//!
//! Slices are borrowed from the model or the simulation, so nothing can step while one is held. Only floating-point fields
//! can be written: sizes, addresses and types stay what the compiler made them.
#![allow(unsafe_code)]
// The C library is behind this crate; each block gives its reason.
// Structures are opaque bytes here; the offsets in the table are those that the C compiler aligned.
#![allow(clippy::cast_ptr_alignment)]
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod error;
mod facts;
mod fatal;
pub mod fetch;
mod field;
#[allow(dead_code, missing_docs, clippy::wildcard_imports, clippy::unreadable_literal)] // Generated: a whole table.
mod fields;
mod library;
mod model;
mod proof;
mod simulation;

pub use error::{Error, Result};
pub use fatal::on_fatal;
pub use fetch::{Environment, Status, VERSION, locate, locate_in, status, status_in};
pub use library::Library;
pub use model::{Kind, Model, ModelMut, Options, Statistics};
pub use simulation::{Contact, Quantity, Simulation, Warning};
