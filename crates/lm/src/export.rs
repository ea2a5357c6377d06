//! A model as a Hugging Face folder, whatever it came from.

use std::path::Path;

use serde_json::json;
use tony_deep::decoder::Storage;

use crate::model::Parts;
use crate::{Error, Result};

/// Write a GGUF file, a Hugging Face folder or a run folder as a new Hugging Face folder.
pub fn export(model: &Path, folder: &Path, storage: Storage) -> Result<()> {
    let Parts { file, tokenizer, template } = Parts::open(model)?;
    if folder.exists() {
        return Err(Error::Invalid {
            what: format!("{} is there already", folder.display()),
            hint: "name a folder that is not there".to_owned(),
        });
    }
    fs_err::create_dir_all(folder)?;
    file.save(folder, storage)?;
    fs_err::write(folder.join("tokenizer.json"), tokenizer.to_json()?)?;
    let ends = &file.config().ends;
    let spelled = |token: u32| String::from_utf8_lossy(tokenizer.spelled(token)).into_owned();
    let mut config = json!({
        "tokenizer_class": "PreTrainedTokenizerFast",
        "model_max_length": file.config().context,
        "clean_up_tokenization_spaces": false,
    });
    if let Some(end) = ends.first() {
        config["eos_token"] = json!(spelled(*end));
    }
    if let Some(begin) = tokenizer.begin().first() {
        config["bos_token"] = json!(spelled(*begin));
    }
    if let Some(template) = template {
        config["chat_template"] = json!(template.source());
    }
    fs_err::write(folder.join("tokenizer_config.json"), format!("{config:#}\n"))?;
    let generation = json!({"eos_token_id": ends});
    fs_err::write(folder.join("generation_config.json"), format!("{generation:#}\n"))?;
    Ok(())
}
