//! Encoders of the BERT family on the CPU: texts to vectors.
//!
//! Devlin, Chang, Lee, Toutanova, "BERT: Pre-training of Deep Bidirectional Transformers for Language Understanding", NAACL 2019; a text's
//! embedding is the mean over its tokens, at length 1: Reimers and Gurevych, "Sentence-BERT", EMNLP 2019.
//!
//! As a decoder's, a text's numbers have the same bits alone, in any batch, and on any number of threads.

use std::path::Path;

use rayon::prelude::*;
use safetensors::SafeTensors;
use serde_json::Value as Json;
use tony_nn::{Attention, Gate, KeyValues, PackedMatrix, Precision, dot, gelu, layer_norm};

use crate::decoder::Tensor;
use crate::{Error, Result};

/// Sizes and constants.
#[derive(Clone, Debug, PartialEq)]
pub struct EncoderConfig {
    /// Tokens that it knows.
    pub vocabulary: usize,
    /// Most tokens of a text.
    pub context: usize,
    /// Numbers of a token between layers, and of an embedding.
    pub width: usize,
    /// Layers.
    pub layers: usize,
    /// Numbers of a token within a layer's second half.
    pub hidden: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Added to the variance in norms.
    pub epsilon: f32,
    /// Whether GELU is its approximation by a hyperbolic tangent.
    pub tanh: bool,
}

/// An encoder, ready to run.
#[derive(Debug)]
pub struct Encoder {
    config: EncoderConfig,
    words: PackedMatrix,
    /// What a token at each position begins with: the position's embedding, and that of a text that stands alone.
    places: Vec<f32>,
    norm: Norm,
    layers: Vec<Layer>,
}

#[derive(Debug)]
struct Layer {
    query: Linear,
    key: Linear,
    value: Linear,
    attended: Linear,
    after_attention: Norm,
    inner: Linear,
    outer: Linear,
    after: Norm,
}

#[derive(Debug)]
struct Linear {
    weight: PackedMatrix,
    bias: Vec<f32>,
}

#[derive(Debug)]
struct Norm {
    weight: Vec<f32>,
    bias: Vec<f32>,
}

/// Tokens of whole texts that go through the layers together: enough to share the unpacking of weights, few enough to stay in the caches.
const TOGETHER: usize = 512;

impl EncoderConfig {
    /// From the `config.json` of a Hugging Face folder; else what is wrong.
    fn of_json(json: &Json) -> std::result::Result<Self, String> {
        let kind = json["model_type"].as_str().unwrap_or("nothing");
        if kind != "bert" {
            return Err(format!("it is a model of the kind `{kind}`; encoders of the kind bert are read here"));
        }
        let positions = json["position_embedding_type"].as_str().unwrap_or("absolute");
        if positions != "absolute" {
            return Err(format!("its positions are `{positions}`; absolute ones are read here"));
        }
        let tanh = match json["hidden_act"].as_str().unwrap_or("gelu") {
            "gelu" => false,
            "gelu_new" | "gelu_pytorch_tanh" => true,
            other => return Err(format!("its activation is `{other}`; gelu and its approximation are read here")),
        };
        let size = |key: &str, most: usize| {
            let size = json[key].as_u64().ok_or_else(|| format!("its config.json lacks `{key}`"))?;
            let fits = (1..=most as u64).contains(&size);
            if fits { Ok(size as usize) } else { Err(format!("its `{key}` is {size}, where 1 to {most} are possible")) }
        };
        let config = Self {
            vocabulary: size("vocab_size", 1 << 20)?,
            context: size("max_position_embeddings", 1 << 14)?,
            width: size("hidden_size", 1 << 14)?,
            layers: size("num_hidden_layers", 1 << 10)?,
            hidden: size("intermediate_size", 1 << 16)?,
            heads: size("num_attention_heads", 1 << 10)?,
            epsilon: json["layer_norm_eps"].as_f64().unwrap_or(1e-12) as f32,
            tanh,
        };
        let Self { width, hidden, heads, .. } = config;
        if !width.is_multiple_of(16 * heads) || !hidden.is_multiple_of(16) {
            return Err(format!(
                "{heads} heads of a width of {width} with {hidden} inner numbers: multiples of 16 are computed here"
            ));
        }
        let fits = config.epsilon.is_finite() && config.epsilon > 0.0;
        if fits { Ok(config) } else { Err(format!("its epsilon is {}", config.epsilon)) }
    }
}

impl Encoder {
    /// Read a Hugging Face folder: `config.json` and `model.safetensors`.
    pub fn load(folder: &Path) -> Result<Self> {
        let bad = |what: String| Error::BadModel { path: folder.to_owned(), what };
        let json = serde_json::from_slice(&fs_err::read(folder.join("config.json"))?)
            .map_err(|error| bad(format!("its config.json is no JSON: {error}")))?;
        let config = EncoderConfig::of_json(&json).map_err(bad)?;
        let bytes = fs_err::read(folder.join("model.safetensors"))?;
        let tensors = SafeTensors::deserialize(&bytes)
            .map_err(|error| bad(format!("its model.safetensors is damaged: {error}")))?;
        Self::of(config, &Tensors(tensors)).map_err(bad)
    }

    fn of(config: EncoderConfig, tensors: &Tensors) -> std::result::Result<Self, String> {
        let width = config.width;
        let mut places = tensors.numbers("embeddings.position_embeddings.weight", config.context, width)?;
        // Of two kinds of text the first: a text that stands alone.
        let kinds = tensors.numbers("embeddings.token_type_embeddings.weight", 2, width)?;
        places.chunks_exact_mut(width).for_each(|row| add(row, &kinds[..width]));
        let layers = (0..config.layers).into_par_iter().map(|layer| Layer::of(&config, tensors, layer));
        Ok(Self {
            words: tensors.matrix("embeddings.word_embeddings.weight", config.vocabulary, width)?,
            places,
            norm: tensors.norm("embeddings.LayerNorm", width)?,
            layers: layers.collect::<std::result::Result<_, _>>()?,
            config,
        })
    }

    /// What it is made of.
    pub fn config(&self) -> &EncoderConfig {
        &self.config
    }

    /// What the tokens of texts come to: text by text, a row of [`EncoderConfig::width`] numbers for each token.
    ///
    /// # Panics
    /// Panics if a text has no token or more than [`EncoderConfig::context`], or a token is not in the vocabulary.
    pub fn forward(&self, texts: &[&[u32]]) -> Vec<f32> {
        let (mut states, mut rest) = (Vec::new(), texts);
        while !rest.is_empty() {
            let mut tokens = 0;
            let fits = |text: &&&[u32]| {
                tokens += text.len();
                tokens <= TOGETHER
            };
            let (now, later) = rest.split_at(rest.iter().take_while(fits).count().max(1));
            states.extend(self.run(now));
            rest = later;
        }
        states
    }

    /// The embedding of each text, [`EncoderConfig::width`] numbers: the mean of what its tokens come to, divided by its length.
    ///
    /// # Panics
    /// As [`Encoder::forward`].
    pub fn embed(&self, texts: &[&[u32]]) -> Vec<f32> {
        let (width, states) = (self.config.width, self.forward(texts));
        let (mut embeddings, mut states) = (vec![0.0; texts.len() * width], &states[..]);
        for (text, embedding) in texts.iter().zip(embeddings.chunks_exact_mut(width)) {
            let (mine, rest) = states.split_at(text.len() * width);
            mine.chunks_exact(width).for_each(|row| add(embedding, row));
            let length = dot(embedding, embedding).sqrt();
            if length > 0.0 {
                embedding.iter_mut().for_each(|x| *x = (f64::from(*x) / length) as f32);
            }
            states = rest;
        }
        embeddings
    }

    /// All layers, for texts that run at once.
    fn run(&self, texts: &[&[u32]]) -> Vec<f32> {
        let config = &self.config;
        let (width, rows) = (config.width, texts.iter().map(|text| text.len()).sum::<usize>());
        let mut x = vec![0.0; rows * width];
        let mut row = x.chunks_exact_mut(width);
        for text in texts {
            assert!((1..=config.context).contains(&text.len()), "a text of {} tokens", text.len());
            for ((token, place), x) in text.iter().zip(self.places.chunks_exact(width)).zip(&mut row) {
                self.words.row(*token as usize, x);
                add(x, place);
            }
        }
        self.norm.apply(&mut x, config.epsilon);
        let zeros = |n: usize| vec![0.0; rows * n];
        let (mut query, mut key, mut value) = (zeros(width), zeros(width), zeros(width));
        let (mut attended, mut result, mut inner) = (zeros(width), zeros(width), zeros(config.hidden));
        // GELU's approximation is a gate; here nothing is gated.
        let ones = if config.tanh { vec![1.0; inner.len()] } else { Vec::new() };
        for layer in &self.layers {
            let linears = [&layer.query, &layer.key, &layer.value];
            Linear::apply_all(linears, &x, [&mut query, &mut key, &mut value]);
            self.attend(texts, [&query, &key, &value], &mut attended);
            Linear::apply_all([&layer.attended], &attended, [&mut result]);
            add(&mut x, &result);
            layer.after_attention.apply(&mut x, config.epsilon);
            Linear::apply_all([&layer.inner], &x, [&mut inner]);
            if config.tanh {
                Gate::Gelu.apply(&mut inner, &ones);
            } else {
                gelu(&mut inner);
            }
            Linear::apply_all([&layer.outer], &inner, [&mut result]);
            add(&mut x, &result);
            layer.after.apply(&mut x, config.epsilon);
        }
        x
    }

    /// Attention of each text's tokens over all of them.
    fn attend(&self, texts: &[&[u32]], inputs: [&[f32]; 3], out: &mut [f32]) {
        let (width, mut inputs, mut out) = (self.config.width, inputs, out);
        let mut tasks = Vec::new();
        for text in texts {
            let split = inputs.map(|input| input.split_at(text.len() * width));
            let (mine, rest) = out.split_at_mut(text.len() * width);
            tasks.push((split.map(|(mine, _)| mine), mine));
            (inputs, out) = (split.map(|(_, rest)| rest), rest);
        }
        let attend = |([query, key, value], out): ([&[f32]; 3], &mut [f32])| self.attend_one(query, key, value, out);
        if tasks.len() > 1 && rayon::current_num_threads() > 1 {
            tasks.into_par_iter().for_each(attend);
        } else {
            tasks.into_iter().for_each(attend);
        }
    }

    /// Attention is causal where it is computed, and the last token sees all: so each token's query is one more query of the last.
    fn attend_one(&self, query: &[f32], key: &[f32], value: &[f32], out: &mut [f32]) {
        let (width, heads) = (self.config.width, self.config.heads);
        let (tokens, size) = (query.len() / width, width / heads);
        let mut kept = KeyValues::new(heads, size);
        kept.extend(tokens, key, value, width);
        // By head, then by token, and back.
        let places = |i: usize| ((i % tokens) * width + i / tokens * size, i * size);
        let mut queries = vec![0.0; query.len()];
        for (from, to) in (0..heads * tokens).map(places) {
            queries[to..to + size].copy_from_slice(&query[from..from + size]);
        }
        let how =
            Attention { query_heads: heads * tokens, scale: (1.0 / (size as f64).sqrt()) as f32, window: usize::MAX };
        let mut results = vec![0.0; query.len()];
        kept.attend(how, 1, &queries, queries.len(), &mut results);
        for (to, from) in (0..heads * tokens).map(places) {
            out[to..to + size].copy_from_slice(&results[from..from + size]);
        }
    }
}

impl Layer {
    fn of(config: &EncoderConfig, tensors: &Tensors, layer: usize) -> std::result::Result<Self, String> {
        let (width, hidden) = (config.width, config.hidden);
        let name = |rest: &str| format!("encoder.layer.{layer}.{rest}");
        let linear = |rest: &str, rows, columns| -> std::result::Result<Linear, String> {
            let weight = tensors.matrix(&name(&format!("{rest}.weight")), rows, columns)?;
            Ok(Linear { weight, bias: tensors.numbers(&name(&format!("{rest}.bias")), 1, rows)? })
        };
        let norm = |rest: &str| tensors.norm(&name(rest), width);
        Ok(Self {
            query: linear("attention.self.query", width, width)?,
            key: linear("attention.self.key", width, width)?,
            value: linear("attention.self.value", width, width)?,
            attended: linear("attention.output.dense", width, width)?,
            after_attention: norm("attention.output.LayerNorm")?,
            inner: linear("intermediate.dense", hidden, width)?,
            outer: linear("output.dense", width, hidden)?,
            after: norm("output.LayerNorm")?,
        })
    }
}

impl Linear {
    /// The results of several layers on the same rows.
    fn apply_all<const N: usize>(linears: [&Self; N], x: &[f32], results: [&mut Vec<f32>; N]) {
        let mut products: Vec<(&PackedMatrix, &mut [f32])> =
            linears.iter().zip(results).map(|(linear, y)| (&linear.weight, &mut y[..])).collect();
        PackedMatrix::products(Precision::Full, x, &mut products);
        for (linear, (_, y)) in linears.iter().zip(products) {
            y.chunks_exact_mut(linear.bias.len()).for_each(|row| add(row, &linear.bias));
        }
    }
}

impl Norm {
    fn apply(&self, x: &mut [f32], epsilon: f32) {
        layer_norm(x, &self.weight, &self.bias, epsilon);
    }
}

/// Tensors of a file; some models put their kind before a name.
struct Tensors<'a>(SafeTensors<'a>);

impl Tensors<'_> {
    fn tensor(&self, name: &str, rows: usize, columns: usize) -> std::result::Result<Tensor, String> {
        let view = self.0.tensor(name).or_else(|_| self.0.tensor(&format!("bert.{name}")));
        let view = view.map_err(|_| format!("it lacks the tensor `{name}`"))?;
        Tensor::of_safetensors(name, (view.dtype(), view.shape(), view.data()), (rows, columns))
    }

    fn matrix(&self, name: &str, rows: usize, columns: usize) -> std::result::Result<PackedMatrix, String> {
        self.tensor(name, rows, columns)?.pack(|i| i).ok_or_else(|| not_finite(name))
    }

    fn numbers(&self, name: &str, rows: usize, columns: usize) -> std::result::Result<Vec<f32>, String> {
        self.tensor(name, rows, columns)?.numbers(|i| i).ok_or_else(|| not_finite(name))
    }

    fn norm(&self, name: &str, width: usize) -> std::result::Result<Norm, String> {
        let vector = |rest: &str| self.numbers(&format!("{name}.{rest}"), 1, width);
        Ok(Norm { weight: vector("weight")?, bias: vector("bias")? })
    }
}

fn not_finite(name: &str) -> String {
    format!("the tensor `{name}` has numbers that are not finite: the file is damaged")
}

fn add(y: &mut [f32], x: &[f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += x);
}
