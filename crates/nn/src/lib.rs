//! Small dense networks, fused on the CPU: what reinforcement learning spends its update in.
//!
//! Parameters, gradients and tangents are flat `f32` slices that the caller owns. Everything that is computed is a function of
//! its inputs alone: the same bits for any number of threads and on any machine, because
//! - an element of a product accumulates over the reduction in order, one exactly rounded fused multiply-add at a time; the
//!   instruction set only decides how many elements are computed side by side ([`simd`]);
//! - rows are cut into blocks of [`BLOCK`] and blocks into at most [`LANES`] lanes, whatever the number of threads, and lane results are
//!   added in lane order;
//! - `exp`, `log` and `tanh` are the crate's own or `libm`'s, never the platform's.
//!
//! Slices of wrong lengths are programming errors: functions check them once a call and panic with the shapes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adam;
pub mod categorical;
pub mod gaussian;
mod init;
mod kernels;
mod mlp;
mod normaliser;
mod peak;
mod reduce;
mod schedule;
pub mod simd;

pub use adam::Adam;
pub use init::Init;
pub use mlp::{Activation, BLOCK, Head, LANES, Mlp, Rows, Scratch, Workspace};
pub use normaliser::Normaliser;
pub use peak::{flop_count, machine_gflops};
pub use reduce::{axpy, clip_norm, dot, norm};
pub use schedule::Schedule;

/// What can be wrong with a shape or a stored state.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// A network needs an input and an output, and at least one unit in each layer.
    #[error("layer sizes {0:?} are no network: give at least an input and an output size, each 1 or more")]
    Sizes(Vec<usize>),
    /// A stored state belongs to something of another size.
    #[error(
        "the stored {what} has {found} numbers where {expected} are expected: it belongs to a network or observation of another size"
    )]
    State {
        /// Whose state.
        what: &'static str,
        /// Length that was given.
        found: usize,
        /// Length that fits.
        expected: usize,
    },
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
