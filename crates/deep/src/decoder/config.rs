//! What a decoder-only transformer is made of, as its file says.

use std::collections::BTreeMap;

use serde_json::Value as Json;

use super::gguf::Value;

/// A family of models: what differs in their layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// Llama and what is built like it (`SmolLM2`).
    Llama,
    /// Biases on queries, keys and values.
    Qwen2,
    /// Norms of each head's queries and keys.
    Qwen3,
    /// As Qwen 3, and norms after attention and gate, windows in five layers of six, GELU, scaled embeddings.
    Gemma3,
}

/// Positions in rotary embedding.
#[derive(Clone, Debug, PartialEq)]
pub enum Scaling {
    /// As they are.
    None,
    /// Divided by this.
    Linear(f64),
    /// Llama 3: low frequencies divided by `factor`, high ones not, those between partly.
    Llama3 {
        /// Divisor of low frequencies.
        factor: f64,
        /// Waves longer than `original / low` are low.
        low: f64,
        /// Waves shorter than `original / high` are high.
        high: f64,
        /// Context that the model was first trained on.
        original: f64,
    },
    /// Each frequency divided by its own number.
    Factors(Vec<f32>),
}

/// Sizes and constants.
#[derive(Clone, Debug, PartialEq)]
pub struct Config {
    /// The family.
    pub family: Family,
    /// Tokens that it knows.
    pub vocabulary: usize,
    /// Most tokens of a sequence.
    pub context: usize,
    /// Numbers of a token between layers.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Numbers of a gate.
    pub hidden: usize,
    /// Heads of queries.
    pub heads: usize,
    /// Heads of keys and values.
    pub key_heads: usize,
    /// Numbers of a head.
    pub head_size: usize,
    /// Added to the mean square in norms.
    pub epsilon: f32,
    /// Base of rotary frequencies.
    pub rope_base: f64,
    /// How positions are scaled.
    pub rope_scaling: Scaling,
    /// Most tokens that a layer with a window looks at, and each how many layers one has none.
    pub window: Option<(usize, usize)>,
    /// Scores are multiplied by this.
    pub score_scale: f32,
    /// Tokens that end a text.
    pub ends: Vec<u32>,
}

/// Frequencies of layers with a window (Gemma 3).
pub(super) const WINDOW_ROPE_BASE: f64 = 10_000.0;

impl Config {
    /// From the metadata of a GGUF file; else what is wrong.
    pub(super) fn of_gguf(metadata: &BTreeMap<String, Value>) -> Result<Self, String> {
        let architecture = metadata.get("general.architecture").and_then(Value::text).unwrap_or("nothing");
        let family = match architecture {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            "gemma3" => Family::Gemma3,
            other => return Err(unknown(other)),
        };
        let get = |key: &str| metadata.get(&format!("{architecture}.{key}"));
        let optional = |key: &str| get(key).and_then(Value::whole).map(|n| n as usize);
        let whole = |key: &str| optional(key).ok_or_else(|| format!("its metadata lacks `{architecture}.{key}`"));
        let real = |key: &str| get(key).and_then(Value::real);
        let (width, heads) = (whole("embedding_length")?, whole("attention.head_count")?);
        let head_size = optional("attention.key_length").unwrap_or(width / heads.max(1));
        let scaling = match (get("rope.scaling.type").and_then(Value::text), real("rope.scaling.factor")) {
            (None | Some("none"), _) => Scaling::None,
            (Some("linear"), Some(factor)) => Scaling::Linear(factor),
            (Some(other), _) => return Err(format!("its rope scaling is `{other}`, which is not read here")),
        };
        let tokens = metadata.get("tokenizer.ggml.tokens").and_then(Value::list).map(<[Value]>::len);
        let end = |key| metadata.get(key).and_then(Value::whole).map(|n| n as u32);
        let ends = ["tokenizer.ggml.eos_token_id", "tokenizer.ggml.eot_token_id"].into_iter().filter_map(end);
        Self {
            family,
            vocabulary: tokens.or_else(|| optional("vocab_size")).ok_or("it has no tokens")?,
            context: whole("context_length")?,
            width,
            layers: whole("block_count")?,
            hidden: whole("feed_forward_length")?,
            heads,
            key_heads: optional("attention.head_count_kv").unwrap_or(heads),
            head_size,
            epsilon: real("attention.layer_norm_rms_epsilon").unwrap_or(1e-5) as f32,
            rope_base: real("rope.freq_base").unwrap_or(10_000.0),
            rope_scaling: scaling,
            window: (family == Family::Gemma3).then(|| optional("attention.sliding_window").map(|n| (n, 6))).flatten(),
            score_scale: (1.0 / (head_size as f64).sqrt()) as f32,
            ends: ends.collect(),
        }
        .checked()
    }

    /// From the `config.json` of a Hugging Face folder; else what is wrong.
    pub(super) fn of_json(json: &Json) -> Result<Self, String> {
        let kind = json["model_type"].as_str().unwrap_or("nothing");
        let family = match kind {
            "llama" => Family::Llama,
            "qwen2" => Family::Qwen2,
            "qwen3" => Family::Qwen3,
            "gemma3_text" => Family::Gemma3,
            "gemma3" if json["text_config"].is_object() => return Self::of_json(&json["text_config"]),
            other => return Err(unknown(other)),
        };
        let optional = |key: &str| json[key].as_u64().map(|n| n as usize);
        let whole = |key: &str| optional(key).ok_or_else(|| format!("its config.json lacks `{key}`"));
        let (width, heads) = (whole("hidden_size")?, whole("num_attention_heads")?);
        let head_size = optional("head_dim").unwrap_or(width / heads.max(1));
        let act = json["hidden_act"].as_str().or(json["hidden_activation"].as_str()).unwrap_or("silu");
        let fits = if family == Family::Gemma3 { act == "gelu_pytorch_tanh" } else { act == "silu" };
        if !fits {
            return Err(format!("its activation is `{act}`, which is not that of its family"));
        }
        // Newer files keep what belongs to rotary positions together, and apart for layers with a window.
        let newer = &json["rope_parameters"];
        let rope = if newer["full_attention"].is_object() { &newer["full_attention"] } else { newer };
        let rope = if rope.is_object() { rope } else { &json["rope_scaling"] };
        let number = |key: &str| rope[key].as_f64().ok_or_else(|| format!("its rope scaling lacks `{key}`"));
        let rope_scaling = match rope["rope_type"].as_str().or(rope["type"].as_str()).unwrap_or("default") {
            "default" => Scaling::None,
            "linear" => Scaling::Linear(number("factor")?),
            "llama3" => Scaling::Llama3 {
                factor: number("factor")?,
                low: number("low_freq_factor")?,
                high: number("high_freq_factor")?,
                original: number("original_max_position_embeddings")?,
            },
            other => return Err(format!("its rope scaling is `{other}`, which is not read here")),
        };
        let scored = json["query_pre_attn_scalar"].as_f64().unwrap_or(head_size as f64);
        let period = optional("sliding_window_pattern").or(optional("_sliding_window_pattern")).unwrap_or(6);
        Self {
            family,
            vocabulary: whole("vocab_size")?,
            context: whole("max_position_embeddings")?,
            width,
            layers: whole("num_hidden_layers")?,
            hidden: whole("intermediate_size")?,
            heads,
            key_heads: optional("num_key_value_heads").unwrap_or(heads),
            head_size,
            epsilon: json["rms_norm_eps"].as_f64().unwrap_or(1e-6) as f32,
            rope_base: rope["rope_theta"].as_f64().or(json["rope_theta"].as_f64()).unwrap_or(10_000.0),
            rope_scaling,
            window: (family == Family::Gemma3).then(|| optional("sliding_window").map(|n| (n, period))).flatten(),
            score_scale: (1.0 / scored.sqrt()) as f32,
            ends: ends(&json["eos_token_id"]),
        }
        .checked()
    }

    /// Sizes that make a model, and that the kernels take.
    fn checked(self) -> Result<Self, String> {
        let sizes = [
            ("vocabulary", self.vocabulary, 1 << 20),
            ("context", self.context, 1 << 24),
            ("width", self.width, 1 << 16),
            ("layers", self.layers, 1 << 10),
            ("hidden", self.hidden, 1 << 18),
            ("heads", self.heads, 1 << 10),
            ("heads of keys", self.key_heads, 1 << 10),
            ("head size", self.head_size, 1 << 10),
        ];
        for (name, size, most) in sizes {
            if size == 0 || size > most {
                return Err(format!("its {name} is {size}, where 1 to {most} are possible"));
            }
        }
        if !self.heads.is_multiple_of(self.key_heads) {
            return Err(format!("{} heads cannot share {} heads of keys", self.heads, self.key_heads));
        }
        for (name, size) in [("width", self.width), ("hidden", self.hidden), ("head size", self.head_size)] {
            if !size.is_multiple_of(16) {
                return Err(format!("its {name} is {size}; multiples of 16 are computed here"));
            }
        }
        let constants = [f64::from(self.epsilon), self.rope_base, f64::from(self.score_scale)];
        if constants.iter().any(|x| !(x.is_finite() && *x > 0.0)) {
            return Err(format!("epsilon, base of positions or scale of scores is not positive: {constants:?}"));
        }
        if self.window.is_some_and(|(window, period)| window == 0 || period == 0) {
            return Err("its window is empty".to_owned());
        }
        Ok(self)
    }

    /// Tokens that layer `layer` looks at: those of the window, or all.
    pub fn window_of(&self, layer: usize) -> usize {
        match self.window {
            Some((window, period)) if !(layer + 1).is_multiple_of(period) => window,
            _ => usize::MAX,
        }
    }

    /// Rotary frequencies of a layer with a window, or of one without: radians a token, one for each pair of a head's numbers.
    pub fn frequencies(&self, windowed: bool) -> Vec<f64> {
        let base = if windowed { WINDOW_ROPE_BASE } else { self.rope_base };
        let plain = (0..self.head_size / 2).map(|i| base.powf(-2.0 * i as f64 / self.head_size as f64));
        match &self.rope_scaling {
            _ if windowed => plain.collect(),
            Scaling::None => plain.collect(),
            Scaling::Linear(factor) => plain.map(|f| f / factor).collect(),
            Scaling::Factors(factors) => plain.zip(factors).map(|(f, factor)| f / f64::from(*factor)).collect(),
            Scaling::Llama3 { factor, low, high, original } => plain
                .map(|f| {
                    let waves = original * f / std::f64::consts::TAU;
                    let kept = ((waves - low) / (high - low)).clamp(0.0, 1.0);
                    f * (kept + (1.0 - kept) / factor)
                })
                .collect(),
        }
    }
}

/// Tokens that end a text: one, or a list.
pub(super) fn ends(json: &Json) -> Vec<u32> {
    let list = json.as_array().map_or_else(|| std::slice::from_ref(json), Vec::as_slice);
    list.iter().filter_map(Json::as_u64).map(|id| id as u32).collect()
}

fn unknown(kind: &str) -> String {
    format!("it is a model of the kind `{kind}`; llama, qwen2, qwen3 and gemma3 (text) are read here")
}
