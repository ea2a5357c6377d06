//! Small dense and recurrent networks, fused on the CPU: what reinforcement learning spends its update in. And what a language model
//! spends its time in when it writes: products with packed weights, and attention.
//!
//! Parameters, gradients and tangents are flat `f32` slices that the caller owns. Everything that is computed is a function of
//! its inputs alone: the same bits for any number of threads and on any machine, because
//! - an element of a product accumulates over the reduction in order, one exactly rounded fused multiply-add at a time; the
//!   instruction set only decides how many elements are computed side by side ([`simd`]);
//! - rows are cut into blocks of [`BLOCK`] and blocks into at most [`LANES`] lanes, whatever the number of threads, and lane results are
//!   added in lane order;
//! - `exp`, `log`, `tanh`, `sin` and `cos` are the crate's own or `libm`'s, never the platform's.
//!
//! Slices of wrong lengths are programming errors: functions check them once a call and panic with the shapes.
//!
//! Least squares, one full-batch Adam step at a time:
//! ```
//! use tony_nn::{Activation, Adam, Init, Mlp, Rows, Workspace};
//!
//! let mlp = Mlp::new(&[1, 16, 1], Activation::Tanh)?;
//! let mut params = vec![0.0; mlp.num_params()];
//! mlp.init(&mut params, Init::KaimingUniform, &mut tony_random::Stream::new(0, "init", 0));
//! let x: Vec<f32> = (-32..32).map(|i| i as f32 / 16.0).collect();
//! let target: Vec<f32> = x.iter().map(|x| x * x).collect();
//! let (mut adam, mut grad) = (Adam::new(params.len(), 0.9, 0.999, 1e-8), vec![0.0; params.len()]);
//! let (mut loss, mut work) = ([0.0], Workspace::default());
//! for _ in 0..500 {
//!     let head = |first: usize, y: &[f32], dy: &mut [f32], loss: &mut [f64]| {
//!         for (i, (y, dy)) in y.iter().zip(dy).enumerate() {
//!             *dy = (y - target[first + i]) / 64.0;
//!             loss[0] += f64::from(32.0 * *dy * *dy);
//!         }
//!     };
//!     mlp.gradient(&params, &Rows::all(&x, 1), &head, &mut grad, &mut loss, &mut work);
//!     adam.step(&mut params, &grad, 0.02);
//! }
//! assert!(loss[0] < 0.01);
//! # Ok::<(), tony_nn::Error>(())
//! ```
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod adam;
mod attention;
pub mod categorical;
mod cholesky;
pub mod gaussian;
mod hessian;
mod init;
mod kernels;
mod lstm;
mod mlp;
mod normaliser;
mod packed;
mod peak;
mod reduce;
mod rows;
pub mod simd;
pub mod squashed;
mod trace;
mod workspace;

pub use adam::Adam;
pub use attention::{Attention, Gate, KeyValues, exponentials, gelu, layer_norm, rms_norm, rotate};
pub use cholesky::Cholesky;
pub use hessian::Curve;
pub use init::Init;
pub use kernels::tanh;
pub use lstm::{Lstm, Sequences, Tape};
pub use mlp::{Activation, Head, Mlp};
pub use normaliser::Normaliser;
pub use packed::{PackedMatrix, PackedRow, Packing, Precision};
pub use peak::{flop_count, machine_gflops};
pub use reduce::{axpy, clip_norm, dot, norm, polyak};
pub use rows::Rows;
pub use simd::f16_to_f32;
pub use trace::Trace;
pub use workspace::{BLOCK, LANES, Scratch, Workspace};

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
