//! Large networks: decoder-only transformers ([`decoder`]), encoders of texts ([`Encoder`]), and convolutions on Burn ([`ConvNet`]).
//!
//! The forward pass of a decoder or an encoder keeps the promise of `tony-nn`: the same bits on any machine, for any number of threads, in any batch.
//!
//! Of convolutions, parameters, gradients and pictures are flat `f32` slices that the caller owns; Burn's tensors do not leave this crate.
//! Every product runs on the thread that asks for it (Burn's own thread pool is compiled out), so results do not depend on the number of
//! threads, and whoever has several things to do does them side by side. Unlike `tony-nn`, bits hold for one kind of processor: Burn's
//! matrix product blocks its sums by instruction set and cache sizes.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod conv;
pub mod decoder;
mod device;
mod encoder;

pub use conv::{ConvNet, Shape};
pub use device::Place;
pub use encoder::{Encoder, EncoderConfig};

/// What can be wrong with a network or a batch.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A file cannot be read.
    #[error(transparent)]
    Io(#[from] std::io::Error),
    /// A file is no model, or none that is understood.
    #[error("this model cannot be read: {what}\nin {path}")]
    BadModel {
        /// The file or folder.
        path: std::path::PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A size of a network is 0.
    #[error(
        "a network of pictures of side {side} with {channels} channels, {filters} filters and {classes} classes is none: each must be 1 or more"
    )]
    Shape {
        /// Pixels of a side.
        side: usize,
        /// Numbers of a pixel.
        channels: usize,
        /// Filters of each layer.
        filters: usize,
        /// Outputs.
        classes: usize,
    },
    /// A low-rank adaptation without a rank.
    #[error("a low-rank adaptation of rank 0 learns nothing: give a rank of 1 or more")]
    Rank,
    /// A device that this build has nothing for.
    #[error("this build computes nothing on `{0}`: build it with the feature of this name")]
    NotBuilt(&'static str),
    /// A device that the machine has not.
    #[error("no device for `{0}` is found on this machine, or its driver is missing")]
    NoDevice(&'static str),
    /// A tensor could not be read back.
    #[error("Burn gave no numbers for {0}")]
    Backend(&'static str),
}

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;
