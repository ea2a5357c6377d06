//! Decoder-only transformers: files, what they compute on the CPU ([`Decoder`]), and how they learn ([`Network`]).

mod config;
mod engine;
mod file;
mod gguf;
mod network;
mod save;
mod tensor;

pub use config::{Config, Family, Scaling};
pub use engine::{Decoder, Kept, Piece};
pub use file::ModelFile;
pub use gguf::Value;
pub use network::{Adaptation, Network, Scored, Sequence, TokenWeight, Weights};
pub use save::Storage;
pub use tensor::{Kind, Tensor};
pub use tony_nn::Precision;
