//! Tiny models with random weights, written as files of both kinds, and what they compute by the definition, in double precision.
#![allow(dead_code)] // Each test file uses its part.

use std::collections::BTreeMap;
use std::path::Path;

use tony_random::Stream;

/// A family of models.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    Llama,
    Qwen2,
    Qwen3,
    Gemma3,
}

pub const WIDTH: usize = 32;
pub const HIDDEN: usize = 48;
pub const HEADS: usize = 4;
pub const KEY_HEADS: usize = 2;
pub const SIZE: usize = 16;
pub const VOCABULARY: usize = 40;
/// Tokens that a layer with a window looks at.
pub const WINDOW: usize = 5;

/// A model: rows, columns and numbers of each tensor by its name in Hugging Face's form.
pub struct Tiny {
    pub family: Family,
    pub vocabulary: usize,
    pub tensors: BTreeMap<String, (usize, usize, Vec<f32>)>,
}

impl Tiny {
    pub fn new(family: Family) -> Self {
        Self::with_vocabulary(family, VOCABULARY)
    }

    pub fn with_vocabulary(family: Family, vocabulary: usize) -> Self {
        let mut stream = Stream::new(11, "tiny", family as u64);
        let mut tensors = BTreeMap::new();
        let mut add = |name: &str, rows: usize, columns: usize| {
            // Norms around 1; Gemma's files store the distance from it.
            let (mean, scale) = match (rows, name.contains("bias"), family) {
                (1, false, Family::Gemma3) => (0.0, 0.2),
                (1, false, _) => (1.0, 0.2),
                _ => (0.0, 0.3),
            };
            let numbers = (0..rows * columns).map(|_| mean + scale * stream.normal() as f32).collect();
            tensors.insert(name.to_owned(), (rows, columns, numbers));
        };
        add("embed_tokens.weight", vocabulary, WIDTH);
        add("norm.weight", 1, WIDTH);
        if family == Family::Qwen2 {
            add("lm_head.weight", vocabulary, WIDTH);
        }
        for layer in 0..2 {
            let mut add = |rest: &str, rows, columns| add(&format!("layers.{layer}.{rest}"), rows, columns);
            add("input_layernorm.weight", 1, WIDTH);
            for (name, heads) in [("q", HEADS), ("k", KEY_HEADS), ("v", KEY_HEADS)] {
                add(&format!("self_attn.{name}_proj.weight"), heads * SIZE, WIDTH);
                if family == Family::Qwen2 {
                    add(&format!("self_attn.{name}_proj.bias"), 1, heads * SIZE);
                }
            }
            if matches!(family, Family::Qwen3 | Family::Gemma3) {
                add("self_attn.q_norm.weight", 1, SIZE);
                add("self_attn.k_norm.weight", 1, SIZE);
            }
            add("self_attn.o_proj.weight", WIDTH, HEADS * SIZE);
            add("post_attention_layernorm.weight", 1, WIDTH);
            if family == Family::Gemma3 {
                add("pre_feedforward_layernorm.weight", 1, WIDTH);
                add("post_feedforward_layernorm.weight", 1, WIDTH);
            }
            add("mlp.gate_proj.weight", HIDDEN, WIDTH);
            add("mlp.up_proj.weight", HIDDEN, WIDTH);
            add("mlp.down_proj.weight", WIDTH, HIDDEN);
        }
        Self { family, vocabulary, tensors }
    }

    /// Write a Hugging Face folder.
    pub fn write_folder(&self, folder: &Path) {
        let kind = match self.family {
            Family::Llama => "llama",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
            Family::Gemma3 => "gemma3_text",
        };
        let gemma = self.family == Family::Gemma3;
        let config = serde_json::json!({
            "model_type": kind, "hidden_size": WIDTH, "intermediate_size": HIDDEN, "num_hidden_layers": 2,
            "num_attention_heads": HEADS, "num_key_value_heads": KEY_HEADS, "head_dim": SIZE, "vocab_size": self.vocabulary,
            "max_position_embeddings": 64, "rms_norm_eps": 1e-5, "rope_theta": 1000.0, "eos_token_id": [2],
            "sliding_window": WINDOW, "sliding_window_pattern": 2, "query_pre_attn_scalar": 16,
            "hidden_act": if gemma { "gelu_pytorch_tanh" } else { "silu" },
        });
        std::fs::create_dir_all(folder).unwrap();
        std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
        let (mut header, mut bytes) = (serde_json::Map::new(), Vec::new());
        for (name, (rows, columns, x)) in &self.tensors {
            let name = if name.starts_with("lm_head") { name.clone() } else { format!("model.{name}") };
            let shape = if *rows == 1 { vec![*columns] } else { vec![*rows, *columns] };
            let offsets = [bytes.len(), bytes.len() + 4 * x.len()];
            header.insert(name, serde_json::json!({"dtype": "F32", "shape": shape, "data_offsets": offsets}));
            bytes.extend(x.iter().flat_map(|x| x.to_le_bytes()));
        }
        let header = serde_json::Value::from(header).to_string();
        let whole = [&(header.len() as u64).to_le_bytes(), header.as_bytes(), &bytes].concat();
        std::fs::write(folder.join("model.safetensors"), whole).unwrap();
    }

    /// The bytes of a GGUF file, with these entries of metadata besides its sizes.
    pub fn gguf(&self, more: &[(&str, Meta)]) -> Vec<u8> {
        let kind = match self.family {
            Family::Llama => "llama",
            Family::Qwen2 => "qwen2",
            Family::Qwen3 => "qwen3",
            Family::Gemma3 => "gemma3",
        };
        let mut metadata = vec![("general.architecture".to_owned(), Meta::Text(kind.to_owned()))];
        for (key, value) in [
            ("embedding_length", WIDTH),
            ("feed_forward_length", HIDDEN),
            ("block_count", 2),
            ("attention.head_count", HEADS),
            ("attention.head_count_kv", KEY_HEADS),
            ("attention.key_length", SIZE),
            ("vocab_size", self.vocabulary),
            ("context_length", 64),
            ("attention.sliding_window", WINDOW),
        ] {
            metadata.push((format!("{kind}.{key}"), Meta::Whole(value as u32)));
        }
        metadata.push((format!("{kind}.attention.layer_norm_rms_epsilon"), Meta::Real(1e-5)));
        metadata.push((format!("{kind}.rope.freq_base"), Meta::Real(1000.0)));
        metadata.extend(more.iter().map(|(key, value)| ((*key).to_owned(), value.clone())));
        let tensors: Vec<(String, Vec<u64>, u32, Vec<u8>)> = (self.tensors.iter())
            .map(|(name, (rows, columns, x))| {
                let mut x = x.clone();
                let rotated = name.contains("q_proj") || name.contains("k_proj");
                if rotated && self.family == Family::Llama {
                    // Pairs of rows that are turned together lie side by side.
                    for head in 0..rows / SIZE {
                        for i in 0..SIZE {
                            let from = head * SIZE + i % 2 * (SIZE / 2) + i / 2;
                            let row = self.tensors[name].2[from * columns..][..*columns].to_vec();
                            x[(head * SIZE + i) * columns..][..*columns].copy_from_slice(&row);
                        }
                    }
                }
                if *rows == 1 && self.family == Family::Gemma3 {
                    x.iter_mut().for_each(|x| *x += 1.0);
                }
                let sizes = if *rows == 1 { vec![*columns as u64] } else { vec![*columns as u64, *rows as u64] };
                (self.gguf_name(name), sizes, 0, x.iter().flat_map(|x| x.to_le_bytes()).collect())
            })
            .collect();
        gguf(&metadata, &tensors)
    }

    fn gguf_name(&self, name: &str) -> String {
        let gate_norm = if self.family == Family::Gemma3 { "post_attention_norm" } else { "ffn_norm" };
        let names = [
            ("embed_tokens", "token_embd"),
            ("lm_head", "output"),
            ("input_layernorm", "attn_norm"),
            ("post_attention_layernorm", gate_norm),
            ("pre_feedforward_layernorm", "ffn_norm"),
            ("post_feedforward_layernorm", "post_ffw_norm"),
            ("self_attn.q_proj", "attn_q"),
            ("self_attn.k_proj", "attn_k"),
            ("self_attn.v_proj", "attn_v"),
            ("self_attn.o_proj", "attn_output"),
            ("self_attn.q_norm", "attn_q_norm"),
            ("self_attn.k_norm", "attn_k_norm"),
            ("mlp.gate_proj", "ffn_gate"),
            ("mlp.up_proj", "ffn_up"),
            ("mlp.down_proj", "ffn_down"),
            ("layers.", "blk."),
        ];
        let name = if name == "norm.weight" { "output_norm.weight" } else { name };
        names.iter().fold(name.to_owned(), |name, (theirs, ours)| name.replace(theirs, ours))
    }

    fn numbers(&self, name: &str) -> Vec<f64> {
        self.tensors[name].2.iter().map(|x| f64::from(*x)).collect()
    }

    fn linear(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let (rows, columns, _) = self.tensors[name];
        assert_eq!(x.len(), columns);
        let weights = self.numbers(name);
        let bias = name.replace(".weight", ".bias");
        let bias = if self.tensors.contains_key(&bias) { self.numbers(&bias) } else { vec![0.0; rows] };
        weights.chunks(columns).zip(bias).map(|(w, b)| w.iter().zip(x).map(|(w, x)| w * x).sum::<f64>() + b).collect()
    }

    fn norm(&self, name: &str, x: &[f64]) -> Vec<f64> {
        let shift = if self.family == Family::Gemma3 { 1.0 } else { 0.0 };
        let factor = 1.0 / (x.iter().map(|x| x * x).sum::<f64>() / x.len() as f64 + 1e-5).sqrt();
        x.iter().zip(self.numbers(name)).map(|(x, w)| x * factor * (shift + w)).collect()
    }

    /// Logits of the last token; of Gemma each `period`-th layer has no window.
    pub fn logits(&self, tokens: &[u32], period: usize) -> Vec<f64> {
        let gemma = self.family == Family::Gemma3;
        let scale = if gemma { (WIDTH as f64).sqrt() } else { 1.0 };
        let embedding = self.numbers("embed_tokens.weight");
        let mut all: Vec<Vec<f64>> = (tokens.iter())
            .map(|t| embedding[*t as usize * WIDTH..][..WIDTH].iter().map(|x| x * scale).collect())
            .collect();
        for layer in 0..2 {
            let name = |rest: &str| format!("layers.{layer}.{rest}.weight");
            let windowed = gemma && (layer + 1) % period != 0;
            let turned = |heads: &str, position: usize, x: &[f64]| -> Vec<f64> {
                let mut y = self.linear(&name(&format!("self_attn.{heads}_proj")), x);
                for head in y.chunks_mut(SIZE) {
                    if matches!(self.family, Family::Qwen3 | Family::Gemma3) {
                        head.copy_from_slice(&self.norm(&name(&format!("self_attn.{heads}_norm")), head));
                    }
                    for i in 0..SIZE / 2 {
                        let base: f64 = if windowed { 10_000.0 } else { 1000.0 };
                        let angle = position as f64 * base.powf(-(2.0 * i as f64) / SIZE as f64);
                        let (a, b) = (head[i], head[i + SIZE / 2]);
                        head[i] = a * angle.cos() - b * angle.sin();
                        head[i + SIZE / 2] = b * angle.cos() + a * angle.sin();
                    }
                }
                y
            };
            let normed: Vec<Vec<f64>> = all.iter().map(|x| self.norm(&name("input_layernorm"), x)).collect();
            let queries: Vec<_> = normed.iter().enumerate().map(|(t, x)| turned("q", t, x)).collect();
            let keys: Vec<_> = normed.iter().enumerate().map(|(t, x)| turned("k", t, x)).collect();
            let values: Vec<_> = normed.iter().map(|x| self.linear(&name("self_attn.v_proj"), x)).collect();
            for t in 0..tokens.len() {
                let first = if windowed { (t + 1).saturating_sub(WINDOW) } else { 0 };
                let mut mixed = Vec::new();
                for head in 0..HEADS {
                    let at = head * KEY_HEADS / HEADS * SIZE;
                    let score = |s: usize| -> f64 {
                        (0..SIZE).map(|i| queries[t][head * SIZE + i] * keys[s][at + i]).sum::<f64>() / 4.0
                    };
                    let weights: Vec<f64> = (first..=t).map(|s| score(s).exp()).collect();
                    let sum: f64 = weights.iter().sum();
                    mixed.extend(
                        (0..SIZE)
                            .map(|i| (first..=t).zip(&weights).map(|(s, w)| w * values[s][at + i]).sum::<f64>() / sum),
                    );
                }
                let mut out = self.linear(&name("self_attn.o_proj"), &mixed);
                if gemma {
                    out = self.norm(&name("post_attention_layernorm"), &out);
                }
                all[t].iter_mut().zip(out).for_each(|(x, y)| *x += y);
                let before = if gemma { "pre_feedforward_layernorm" } else { "post_attention_layernorm" };
                let normed = self.norm(&name(before), &all[t]);
                let up = self.linear(&name("mlp.up_proj"), &normed);
                let gate = self.linear(&name("mlp.gate_proj"), &normed).into_iter().map(|a| {
                    let inner = (2.0 / std::f64::consts::PI).sqrt() * (a + 0.044_715 * a.powi(3));
                    if gemma { 0.5 * a * (1.0 + inner.tanh()) } else { a / (1.0 + (-a).exp()) }
                });
                let gated: Vec<f64> = gate.zip(up).map(|(a, b)| a * b).collect();
                let mut out = self.linear(&name("mlp.down_proj"), &gated);
                if gemma {
                    out = self.norm(&name("post_feedforward_layernorm"), &out);
                }
                all[t].iter_mut().zip(out).for_each(|(x, y)| *x += y);
            }
        }
        let last = self.norm("norm.weight", &all[tokens.len() - 1]);
        let output = if self.family == Family::Qwen2 { "lm_head.weight" } else { "embed_tokens.weight" };
        self.linear(output, &last)
    }
}

/// A value of a GGUF file's metadata.
#[derive(Clone)]
pub enum Meta {
    Whole(u32),
    Real(f32),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Wholes(Vec<i32>),
    Reals(Vec<f32>),
}

/// A chat template.
const TEMPLATE: &str = "{% for m in messages %}\n<|start|>{{ m['role'] }}: {{ m['content'] | trim }}<|end|>\n{% endfor %}{% if add_generation_prompt %}<|start|>bot:{% endif %}";

/// Metadata of a tokenizer of 262 tokens: GPT-2's alphabet, one token a byte, some merges, and two marks, the second ending a text.
pub fn by_bytes() -> Vec<(&'static str, Meta)> {
    let prints = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let others: Vec<u32> = (0..256).filter(|byte| !prints(*byte)).collect();
    let shown = |byte: u32| others.iter().position(|other| *other == byte).map_or(byte, |at| 256 + at as u32);
    let mut tokens: Vec<String> = (0..256).map(|b| char::from_u32(shown(b)).unwrap().to_string()).collect();
    let merges = ["t h", "th e", "\u{120} the", "e n"];
    tokens.extend(merges.iter().map(|merge| merge.replace(' ', "")));
    tokens.extend(["<|start|>".to_owned(), "<|end|>".to_owned()]);
    let mut kinds = vec![1; 260];
    kinds.extend([3, 3]);
    vec![
        ("tokenizer.ggml.model", Meta::Text("gpt2".into())),
        ("tokenizer.ggml.pre", Meta::Text("smollm".into())),
        ("tokenizer.ggml.tokens", Meta::Texts(tokens)),
        ("tokenizer.ggml.token_type", Meta::Wholes(kinds)),
        ("tokenizer.ggml.merges", Meta::Texts(merges.map(str::to_owned).to_vec())),
        ("tokenizer.ggml.eos_token_id", Meta::Whole(261)),
        ("tokenizer.chat_template", Meta::Text(TEMPLATE.into())),
    ]
}

/// What tokens 262 and on of [`answering`] spell; the third has a blank before it.
const ANSWERS: [&str; 5] = ["yes", "Yes", "\u{120}YES", "no", "yesterday"];

/// The bytes of a GGUF file of a tiny model with the tokenizer of [`by_bytes`] and words for yes and no, which takes this many tokens.
pub fn answering(family: Family, context: u32) -> Vec<u8> {
    let mut metadata = by_bytes();
    for (key, value) in &mut metadata {
        match (*key, value) {
            ("tokenizer.ggml.tokens", Meta::Texts(tokens)) => tokens.extend(ANSWERS.map(str::to_owned)),
            ("tokenizer.ggml.token_type", Meta::Wholes(kinds)) => kinds.extend([1; ANSWERS.len()]),
            _ => {}
        }
    }
    let mut bytes = Tiny::with_vocabulary(family, 262 + ANSWERS.len()).gguf(&metadata);
    let key = b".context_length";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 4;
    bytes[at..at + 4].copy_from_slice(&context.to_le_bytes());
    bytes
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.extend((text.len() as u64).to_le_bytes());
    out.extend(text.as_bytes());
}

/// The bytes of a GGUF file: tensors have a name, sizes (columns first), the number of their type, and bytes.
pub fn gguf(metadata: &[(String, Meta)], tensors: &[(String, Vec<u64>, u32, Vec<u8>)]) -> Vec<u8> {
    let mut out = b"GGUF".to_vec();
    out.extend(3_u32.to_le_bytes());
    out.extend((tensors.len() as u64).to_le_bytes());
    out.extend((metadata.len() as u64).to_le_bytes());
    let list = |out: &mut Vec<u8>, kind: u32, count: usize| {
        out.extend(9_u32.to_le_bytes());
        out.extend(kind.to_le_bytes());
        out.extend((count as u64).to_le_bytes());
    };
    for (key, value) in metadata {
        text(&mut out, key);
        match value {
            Meta::Whole(n) => {
                out.extend(4_u32.to_le_bytes());
                out.extend(n.to_le_bytes());
            }
            Meta::Real(x) => {
                out.extend(6_u32.to_le_bytes());
                out.extend(x.to_le_bytes());
            }
            Meta::Flag(flag) => {
                out.extend(7_u32.to_le_bytes());
                out.push(u8::from(*flag));
            }
            Meta::Text(value) => {
                out.extend(8_u32.to_le_bytes());
                text(&mut out, value);
            }
            Meta::Texts(values) => {
                list(&mut out, 8, values.len());
                values.iter().for_each(|value| text(&mut out, value));
            }
            Meta::Wholes(values) => {
                list(&mut out, 5, values.len());
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
            Meta::Reals(values) => {
                list(&mut out, 6, values.len());
                values.iter().for_each(|value| out.extend(value.to_le_bytes()));
            }
        }
    }
    let mut offset = 0_u64;
    for (name, sizes, kind, bytes) in tensors {
        text(&mut out, name);
        out.extend((sizes.len() as u32).to_le_bytes());
        sizes.iter().for_each(|size| out.extend(size.to_le_bytes()));
        out.extend(kind.to_le_bytes());
        out.extend(offset.to_le_bytes());
        offset += (bytes.len() as u64).next_multiple_of(32);
    }
    out.resize(out.len().next_multiple_of(32), 0);
    for (.., bytes) in tensors {
        out.extend(bytes);
        out.resize(out.len().next_multiple_of(32), 0);
    }
    out
}
