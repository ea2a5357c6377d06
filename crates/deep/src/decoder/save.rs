//! A model back to a Hugging Face folder: `config.json` and `model.safetensors`.

use std::path::Path;

use safetensors::tensor::{Dtype, TensorView, serialize_to_file};
use serde_json::{Value as Json, json};

use super::config::{Config, Family, Scaling, WINDOW_ROPE_BASE};
use super::file::ModelFile;
use super::network::slots;
use crate::{Error, Result};

/// How the numbers of a saved model are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storage {
    /// Four bytes, as they are computed with.
    Single,
    /// Two bytes with the range of four (bfloat16), rounded to the nearest.
    Brain,
}

impl ModelFile {
    /// Write weights and sizes into a folder that is there. What is read from it again computes the same bits, where it is
    /// [`Storage::Single`].
    pub fn save(&self, folder: &Path, storage: Storage) -> Result<()> {
        let config = self.config();
        let tied = !self.has("lm_head.weight");
        let bad = |what: String| Error::BadModel { path: self.path().to_owned(), what };
        let mut tensors: Vec<(String, Vec<usize>, Vec<u8>)> = Vec::new();
        for slot in slots(config, tied) {
            let name = slot.full_name();
            let mut numbers = self.numbers(&name, slot.rows, slot.columns)?;
            if config.family == Family::Gemma3 && name.ends_with("norm.weight") {
                numbers.iter_mut().for_each(|x| *x -= 1.0);
            }
            let bytes = match storage {
                Storage::Single => numbers.iter().flat_map(|x| x.to_le_bytes()).collect(),
                Storage::Brain => numbers.iter().flat_map(|x| brain(*x).to_le_bytes()).collect(),
            };
            let shape = if slot.rows == 1 { vec![slot.columns] } else { vec![slot.rows, slot.columns] };
            let prefix = if name.starts_with("lm_head") { "" } else { "model." };
            tensors.push((format!("{prefix}{name}"), shape, bytes));
        }
        let kind = if storage == Storage::Single { Dtype::F32 } else { Dtype::BF16 };
        let views = tensors
            .iter()
            .map(|(name, shape, bytes)| Ok((name.as_str(), TensorView::new(kind, shape.clone(), bytes)?)))
            .collect::<std::result::Result<Vec<_>, safetensors::SafeTensorError>>()
            .map_err(|error| bad(error.to_string()))?;
        let about = [("format".to_owned(), "pt".to_owned())].into();
        serialize_to_file(views, Some(about), &folder.join("model.safetensors")).map_err(|error| match error {
            safetensors::SafeTensorError::IoError(error) => Error::Io(error),
            other => bad(other.to_string()),
        })?;
        let dtype = if storage == Storage::Single { "float32" } else { "bfloat16" };
        let mut json = to_json(config, tied).map_err(bad)?;
        json["torch_dtype"] = json!(dtype);
        fs_err::write(folder.join("config.json"), format!("{json:#}\n"))?;
        Ok(())
    }
}

/// A number's upper half, rounded to the nearest, to even where two are as near.
fn brain(x: f32) -> u16 {
    let bits = x.to_bits();
    (bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16) as u16
}

/// The `config.json` of a model; else what it cannot say.
fn to_json(config: &Config, tied: bool) -> std::result::Result<Json, String> {
    let (kind, class) = match config.family {
        Family::Llama => ("llama", "LlamaForCausalLM"),
        Family::Qwen2 => ("qwen2", "Qwen2ForCausalLM"),
        Family::Qwen3 => ("qwen3", "Qwen3ForCausalLM"),
        Family::Gemma3 => ("gemma3_text", "Gemma3ForCausalLM"),
    };
    let rope = match &config.rope_scaling {
        Scaling::None => Json::Null,
        Scaling::Linear(factor) => json!({"rope_type": "linear", "type": "linear", "factor": factor}),
        Scaling::Llama3 { factor, low, high, original } => json!({
            "rope_type": "llama3", "factor": factor, "low_freq_factor": low, "high_freq_factor": high,
            "original_max_position_embeddings": *original as u64,
        }),
        Scaling::Factors(_) => {
            return Err("its rope scaling is a list of factors, which a Hugging Face folder cannot say".to_owned());
        }
    };
    let mut json = json!({
        "architectures": [class],
        "model_type": kind,
        "vocab_size": config.vocabulary,
        "max_position_embeddings": config.context,
        "hidden_size": config.width,
        "intermediate_size": config.hidden,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.key_heads,
        "head_dim": config.head_size,
        "rms_norm_eps": f64::from(config.epsilon),
        "rope_theta": config.rope_base,
        "rope_scaling": rope,
        "tie_word_embeddings": tied,
        "eos_token_id": if let [end] = config.ends[..] { json!(end) } else { json!(config.ends) },
        "hidden_act": "silu",
        "attention_bias": false,
        "use_cache": true,
    });
    if let Some((window, period)) = config.window {
        let kind =
            |layer: usize| if config.window_of(layer) == usize::MAX { "full_attention" } else { "sliding_attention" };
        json["sliding_window"] = json!(window);
        json["sliding_window_pattern"] = json!(period);
        json["layer_types"] = (0..config.layers).map(kind).collect();
    }
    if config.family == Family::Gemma3 {
        json["hidden_activation"] = json!("gelu_pytorch_tanh");
        json["hidden_act"] = json!("gelu_pytorch_tanh");
        json["query_pre_attn_scalar"] = json!((1.0 / f64::from(config.score_scale).powi(2)).round());
        json["rope_local_base_freq"] = json!(WINDOW_ROPE_BASE);
    }
    Ok(json)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn halves_are_rounded_to_the_nearest() {
        // Near 1 they are 2^-7 apart.
        for (x, expected) in [(1.0, 1.0), (1.004, 1.007_812_5), (1.003_9, 1.0), (-2.5, -2.5), (0.0, 0.0)] {
            assert_eq!(f32::from_bits(u32::from(brain(x)) << 16), expected);
        }
        // Halfway: to even.
        assert_eq!(brain(f32::from_bits(0x3f80_8000)), 0x3f80);
        assert_eq!(brain(f32::from_bits(0x3f81_8000)), 0x3f82);
    }
}
