//! `tony export`: a model as a Hugging Face folder.

use std::path::PathBuf;

use clap::ValueEnum;
use serde_json::json;
use tony_lm::decoder::Storage;
use tony_lm::{export, find_model};

use crate::failure::{Code, Result};
use crate::{Common, console};

/// Write a model as a Hugging Face folder.
///
/// MODEL is a GGUF file, a Hugging Face folder, a run folder (low-rank parts are added to what they belong to), or a name from `tony doctor`.
/// The folder holds config.json, model.safetensors, tokenizer.json with its settings, and the chat template.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony export smollm2-135m smollm2\n  tony export runs/sft-mine-0001 mine --precision bf16"
)]
pub struct Args {
    /// What to write.
    model: String,
    /// Folder to make.
    folder: PathBuf,
    /// How numbers are stored.
    #[arg(long, value_enum, default_value = "f32")]
    precision: Kind,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// Four bytes: what is read again computes the same bits.
    F32,
    /// Two bytes (bfloat16), rounded.
    Bf16,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let storage = match args.precision {
        Kind::F32 => Storage::Single,
        Kind::Bf16 => Storage::Brain,
    };
    export(&find_model(&args.model)?, &args.folder, storage)?;
    let folder = args.folder.display().to_string();
    console::answer(common.json, &json!({"folder": folder}), || {
        format!("wrote {folder}\nnext:\n  tony generate {folder} --prompt TEXT")
    })?;
    Ok(Code::Done)
}
