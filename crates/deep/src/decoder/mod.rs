//! Decoder-only transformers: files, and what they compute on the CPU.

mod config;
mod engine;
mod file;
mod gguf;
mod tensor;

pub use config::{Config, Family, Scaling};
pub use engine::{Decoder, Kept, Piece};
pub use file::ModelFile;
pub use gguf::Value;
pub use tensor::{Kind, Tensor};
pub use tony_nn::Precision;
