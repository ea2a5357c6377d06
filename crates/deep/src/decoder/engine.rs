//! The forward pass on the CPU, over any mix of tokens of any number of sequences.
//!
//! Weights stay packed as their file has them, and everything is computed in single precision unless [`Precision::Fast`] is asked for. A token's logits have the same bits whether
//! its sequence runs alone or beside others, token by token or in pieces, and on any number of threads: what one client of a server is
//! told does not depend on who else asks.

use rayon::prelude::*;
use tony_nn::{Attention, Gate, KeyValues, PackedMatrix, Precision, rms_norm, rotate};

use super::config::{Config, Family};
use super::file::ModelFile;
use crate::Result;

/// A model, ready to run.
#[derive(Debug)]
pub struct Decoder {
    config: Config,
    embedding: PackedMatrix,
    /// Where it is not the embedding itself.
    output: Option<PackedMatrix>,
    norm: Vec<f32>,
    norm_shift: f32,
    layers: Vec<Layer>,
    /// Of layers without and with a window.
    frequencies: [Vec<f64>; 2],
    precision: Precision,
}

#[derive(Debug)]
struct Layer {
    before_attention: Vec<f32>,
    query: Linear,
    key: Linear,
    value: Linear,
    /// Norms of each head's queries and keys.
    head_norms: Option<[Vec<f32>; 2]>,
    output: PackedMatrix,
    after_attention: Option<Vec<f32>>,
    before_gate: Vec<f32>,
    gate: PackedMatrix,
    up: PackedMatrix,
    down: PackedMatrix,
    after_gate: Option<Vec<f32>>,
}

#[derive(Debug)]
struct Linear {
    weight: PackedMatrix,
    bias: Option<Vec<f32>>,
}

/// What is kept of a sequence's tokens: keys and values of each layer.
#[derive(Clone, Debug)]
pub struct Kept {
    layers: Vec<KeyValues>,
}

impl Kept {
    /// Tokens that are kept.
    pub fn len(&self) -> usize {
        self.layers[0].len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Forget all but the first `len` tokens.
    pub fn truncate(&mut self, len: usize) {
        self.layers.iter_mut().for_each(|layer| layer.truncate(len));
    }

    /// A copy of the first `len` tokens.
    #[must_use]
    pub fn first(&self, len: usize) -> Self {
        Self { layers: self.layers.iter().map(|layer| layer.first(len)).collect() }
    }

    /// Memory that is held.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(KeyValues::bytes).sum()
    }
}

/// The next tokens of one sequence.
#[derive(Debug)]
pub struct Piece<'a> {
    /// What is kept of those before; these are added.
    pub kept: &'a mut Kept,
    /// The tokens.
    pub tokens: &'a [u32],
    /// Logits are wanted of so many of the last tokens.
    pub wanted: usize,
}

/// Tokens that go through the layers together: enough to share the unpacking of weights, few enough to stay in the caches.
const TOGETHER: usize = 256;

impl Decoder {
    /// Read a model's weights, several layers side by side.
    pub fn load(file: &ModelFile) -> Result<Self> {
        let config = file.config().clone();
        let (width, vocabulary) = (config.width, config.vocabulary);
        let embedding = matrix(file, "embed_tokens.weight", vocabulary, width, |i| i)?;
        let output = file.has("lm_head.weight").then(|| matrix(file, "lm_head.weight", vocabulary, width, |i| i));
        let layers = (0..config.layers).into_par_iter().map(|layer| Layer::load(file, layer)).collect::<Result<_>>()?;
        Ok(Self {
            embedding,
            output: output.transpose()?,
            norm: file.vector("norm.weight", width)?,
            norm_shift: file.norm_shift(),
            layers,
            frequencies: [config.frequencies(false), config.frequencies(true)],
            precision: Precision::Full,
            config,
        })
    }

    /// What it is made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Compute products from here on like this. At first it is [`Precision::Full`].
    pub fn set_precision(&mut self, precision: Precision) {
        self.precision = precision;
    }

    /// Memory of the weights.
    pub fn bytes(&self) -> usize {
        let layers = self.layers.iter().map(|l| {
            [&l.query.weight, &l.key.weight, &l.value.weight, &l.output, &l.gate, &l.up, &l.down]
                .map(PackedMatrix::bytes)
        });
        let ends = [Some(&self.embedding), self.output.as_ref()];
        layers.flatten().sum::<usize>() + ends.into_iter().flatten().map(PackedMatrix::bytes).sum::<usize>()
    }

    /// A sequence without tokens.
    pub fn begin(&self) -> Kept {
        let empty = KeyValues::new(self.config.key_heads, self.config.head_size);
        Kept { layers: vec![empty; self.config.layers] }
    }

    /// Add tokens to sequences. Returns the logits that were asked for, piece by piece, rows of [`Config::vocabulary`] numbers.
    ///
    /// # Panics
    /// Panics if a token is not in the vocabulary, or more logits are wanted than there are tokens.
    pub fn forward(&self, pieces: &mut [Piece]) -> Vec<f32> {
        let mut last = [Vec::new()];
        self.through(pieces, &[self.config.layers], &mut last);
        self.logits(&last[0])
    }

    /// What tokens of texts have come to after some of the layers: for each of `layers` (layers run through, so 1 and more), rows of
    /// [`Config::width`] numbers, text by text. Each text comes with how many of its last tokens are asked for. Layers behind the last that
    /// is asked for are not run.
    ///
    /// # Panics
    /// Panics if there is no such layer, and as [`Decoder::forward`].
    pub fn states(&self, texts: &[(&[u32], usize)], layers: &[usize]) -> Vec<Vec<f32>> {
        assert!(layers.iter().all(|layer| (1..=self.config.layers).contains(layer)), "layers {layers:?}");
        let mut kept: Vec<Kept> = texts.iter().map(|_| self.begin()).collect();
        let pieces = kept.iter_mut().zip(texts).map(|(kept, (tokens, wanted))| Piece { kept, tokens, wanted: *wanted });
        let mut states = vec![Vec::new(); layers.len()];
        self.through(&mut pieces.collect::<Vec<_>>(), layers, &mut states);
        states
    }

    /// Run pieces through the layers that `layers` speak of; `states` gets what the wanted tokens have come to after each.
    fn through(&self, pieces: &mut [Piece], layers: &[usize], states: &mut [Vec<f32>]) {
        let mut at = vec![0; pieces.len()];
        // Pieces in their order, cut so that no more than `TOGETHER` tokens run at once.
        let mut first = 0;
        while first < pieces.len() {
            let (mut room, mut end) = (TOGETHER, first);
            let mut cuts = Vec::new();
            while end < pieces.len() && room > 0 {
                let count = (pieces[end].tokens.len() - at[end]).min(room);
                cuts.push(at[end]..at[end] + count);
                at[end] += count;
                room -= count;
                if at[end] < pieces[end].tokens.len() {
                    break;
                }
                end += 1;
            }
            let mut cut: Vec<Piece> = pieces[first..]
                .iter_mut()
                .zip(cuts)
                .map(|(piece, cut)| {
                    let unwanted = piece.tokens.len() - piece.wanted;
                    let wanted = cut.end.saturating_sub(unwanted.max(cut.start));
                    Piece { kept: &mut *piece.kept, tokens: &piece.tokens[cut], wanted }
                })
                .collect();
            self.run(&mut cut, layers, states);
            first = end;
        }
    }

    /// The layers that `layers` speak of, for tokens that run at once.
    fn run(&self, pieces: &mut [Piece], layers: &[usize], states: &mut [Vec<f32>]) {
        let config = &self.config;
        let rows: usize = pieces.iter().map(|piece| piece.tokens.len()).sum();
        let mut x = vec![0.0; rows * config.width];
        let tokens = pieces.iter().flat_map(|piece| piece.tokens);
        for (token, x) in tokens.zip(x.chunks_exact_mut(config.width)) {
            self.embedding.row(*token as usize, x);
            if config.family == Family::Gemma3 {
                let scale = (config.width as f32).sqrt();
                x.iter_mut().for_each(|x| *x *= scale);
            }
        }
        let positions: Vec<usize> =
            pieces.iter().flat_map(|piece| piece.kept.len()..piece.kept.len() + piece.tokens.len()).collect();
        let angles = [false, true].map(|windowed| {
            let used = config.window.is_some() || !windowed;
            self.angles(if used { &positions } else { &[] }, windowed)
        });
        let mut work = Work::new(config, rows);
        let most = layers.iter().copied().max().unwrap_or(0);
        for (i, layer) in self.layers[..most].iter().enumerate() {
            let windowed = config.window_of(i) != usize::MAX;
            self.layer(layer, i, &mut x, &angles[usize::from(windowed)], pieces, &mut work);
            for (_, states) in layers.iter().zip(&mut *states).filter(|(layer, _)| **layer == i + 1) {
                let mut end = 0;
                for piece in &*pieces {
                    end += piece.tokens.len();
                    states.extend_from_slice(&x[(end - piece.wanted) * config.width..end * config.width]);
                }
            }
        }
    }

    /// Cosines, then sines, of each position.
    fn angles(&self, positions: &[usize], windowed: bool) -> Vec<f32> {
        let frequencies = &self.frequencies[usize::from(windowed)];
        let angle = |position: usize| frequencies.iter().map(move |f| position as f64 * f);
        let both =
            |p: &usize| angle(*p).map(libm::cos).chain(angle(*p).map(libm::sin)).map(|x| x as f32).collect::<Vec<_>>();
        positions.iter().flat_map(both).collect()
    }

    fn layer(&self, layer: &Layer, index: usize, x: &mut [f32], angles: &[f32], pieces: &mut [Piece], work: &mut Work) {
        let config = &self.config;
        let size = config.head_size;
        let (queries, keys) = (config.heads * size, config.key_heads * size);
        let norm = |x: &[f32], weight: &[f32], y: &mut [f32]| rms_norm(x, weight, self.norm_shift, config.epsilon, y);
        norm(x, &layer.before_attention, &mut work.normed);
        PackedMatrix::products(
            self.precision,
            &work.normed,
            &mut [
                (&layer.query.weight, &mut work.query),
                (&layer.key.weight, &mut work.key),
                (&layer.value.weight, &mut work.value),
            ],
        );
        let linears = [(&layer.query, &mut work.query), (&layer.key, &mut work.key), (&layer.value, &mut work.value)];
        for (linear, y) in linears {
            if let Some(bias) = &linear.bias {
                y.chunks_exact_mut(bias.len()).for_each(|y| y.iter_mut().zip(bias).for_each(|(y, b)| *y += b));
            }
        }
        if let Some(norms) = &layer.head_norms {
            for (norm_of, y) in norms.iter().zip([&mut work.query, &mut work.key]) {
                let heads = y.clone();
                norm(&heads, norm_of, y);
            }
        }
        for (row, angles) in angles.chunks_exact(size).enumerate() {
            let (cos, sin) = angles.split_at(size / 2);
            rotate(&mut work.query[row * queries..][..queries], cos, sin);
            rotate(&mut work.key[row * keys..][..keys], cos, sin);
        }
        let how = Attention { query_heads: config.heads, scale: config.score_scale, window: config.window_of(index) };
        let mut tasks = Vec::new();
        let (mut query, mut key, mut value) = (&work.query[..], &work.key[..], &work.value[..]);
        let mut attended = &mut work.attended[..];
        for piece in pieces {
            let rows = piece.tokens.len();
            let (mine, rest) = attended.split_at_mut(rows * queries);
            tasks.push((&mut piece.kept.layers[index], rows, query, key, value, mine));
            (query, key, value) = (&query[rows * queries..], &key[rows * keys..], &value[rows * keys..]);
            attended = rest;
        }
        let attend =
            |(kept, rows, query, key, value, out): (&mut KeyValues, usize, &[f32], &[f32], &[f32], &mut [f32])| {
                kept.extend(rows, key, value, keys);
                kept.attend(how, rows, query, queries, out);
            };
        if tasks.len() > 1 && rayon::current_num_threads() > 1 {
            tasks.into_par_iter().for_each(attend);
        } else {
            tasks.into_iter().for_each(attend);
        }
        layer.output.product(self.precision, &work.attended, &mut work.result);
        let add = |result: &mut Vec<f32>, after: &Option<Vec<f32>>, normed: &mut Vec<f32>, x: &mut [f32]| {
            if let Some(after) = after {
                norm(result, after, normed);
                std::mem::swap(result, normed);
            }
            x.iter_mut().zip(&*result).for_each(|(x, y)| *x += y);
        };
        add(&mut work.result, &layer.after_attention, &mut work.normed, x);
        norm(x, &layer.before_gate, &mut work.normed);
        PackedMatrix::products(
            self.precision,
            &work.normed,
            &mut [(&layer.gate, &mut work.gate), (&layer.up, &mut work.up)],
        );
        let gate = if config.family == Family::Gemma3 { Gate::Gelu } else { Gate::Silu };
        gate.apply(&mut work.gate, &work.up);
        layer.down.product(self.precision, &work.gate, &mut work.result);
        add(&mut work.result, &layer.after_gate, &mut work.normed, x);
    }

    /// What the last tokens of texts have come to after the last layer and its norm, as of [`super::Network::states`]: a row of
    /// [`Config::width`] numbers for each text.
    ///
    /// # Panics
    /// As [`Decoder::forward`].
    pub fn last_states(&self, texts: &[&[u32]]) -> Vec<f32> {
        let texts: Vec<(&[u32], usize)> = texts.iter().map(|tokens| (*tokens, 1)).collect();
        self.normed(&self.states(&texts, &[self.config.layers])[0])
    }

    fn normed(&self, last: &[f32]) -> Vec<f32> {
        let mut normed = vec![0.0; last.len()];
        rms_norm(last, &self.norm, self.norm_shift, self.config.epsilon, &mut normed);
        normed
    }

    /// Logits of rows that came out of the last layer.
    fn logits(&self, last: &[f32]) -> Vec<f32> {
        let normed = self.normed(last);
        let output = self.output.as_ref().unwrap_or(&self.embedding);
        let mut logits = vec![0.0; last.len() / self.config.width * output.width()];
        if !logits.is_empty() {
            output.product(self.precision, &normed, &mut logits);
        }
        if output.width() != output.rows() {
            logits = logits.chunks_exact(output.width()).flat_map(|row| &row[..output.rows()]).copied().collect();
        }
        logits
    }
}

/// Intermediate results of a layer, for all rows.
struct Work {
    normed: Vec<f32>,
    query: Vec<f32>,
    key: Vec<f32>,
    value: Vec<f32>,
    attended: Vec<f32>,
    result: Vec<f32>,
    gate: Vec<f32>,
    up: Vec<f32>,
}

impl Work {
    fn new(config: &Config, rows: usize) -> Self {
        let zeros = |n: usize| vec![0.0; rows * n];
        let (queries, keys) = (config.heads * config.head_size, config.key_heads * config.head_size);
        Self {
            normed: zeros(config.width),
            query: zeros(queries),
            key: zeros(keys),
            value: zeros(keys),
            attended: zeros(queries),
            result: zeros(config.width),
            gate: zeros(config.hidden),
            up: zeros(config.hidden),
        }
    }
}

impl Layer {
    fn load(file: &ModelFile, layer: usize) -> Result<Self> {
        let config = file.config();
        let (width, hidden, size) = (config.width, config.hidden, config.head_size);
        let (queries, keys) = (config.heads * size, config.key_heads * size);
        let name = |rest: &str| format!("layers.{layer}.{rest}");
        let vector = |rest: &str, length: usize| file.vector(&name(rest), length);
        let optional = |rest: &str, length| file.has(&name(rest)).then(|| vector(rest, length)).transpose();
        let plain = |rest: &str, rows, columns| matrix(file, &name(rest), rows, columns, |i| i);
        let linear = |rest: &str, rows: usize, order: &dyn Fn(usize) -> usize| -> Result<Linear> {
            let weight = matrix(file, &name(&format!("{rest}.weight")), rows, width, order)?;
            let bias = optional(&format!("{rest}.bias"), rows)?;
            let bias = bias.map(|bias| (0..rows).map(|i| bias[order(i)]).collect());
            Ok(Linear { weight, bias })
        };
        let rotated = |i: usize| file.rotated_row(i);
        let head_norms = match config.family {
            Family::Llama | Family::Qwen2 => None,
            Family::Qwen3 | Family::Gemma3 => {
                Some([vector("self_attn.q_norm.weight", size)?, vector("self_attn.k_norm.weight", size)?])
            }
        };
        let gemma = config.family == Family::Gemma3;
        let after = |rest: &str| gemma.then(|| vector(rest, width)).transpose();
        let before_gate = if gemma { "pre_feedforward_layernorm.weight" } else { "post_attention_layernorm.weight" };
        Ok(Self {
            before_attention: vector("input_layernorm.weight", width)?,
            query: linear("self_attn.q_proj", queries, &rotated)?,
            key: linear("self_attn.k_proj", keys, &rotated)?,
            value: linear("self_attn.v_proj", keys, &|i| i)?,
            head_norms,
            output: plain("self_attn.o_proj.weight", width, queries)?,
            after_attention: after("post_attention_layernorm.weight")?,
            before_gate: vector(before_gate, width)?,
            gate: plain("mlp.gate_proj.weight", hidden, width)?,
            up: plain("mlp.up_proj.weight", hidden, width)?,
            down: plain("mlp.down_proj.weight", width, hidden)?,
            after_gate: after("post_feedforward_layernorm.weight")?,
        })
    }
}

fn matrix(
    file: &ModelFile,
    name: &str,
    rows: usize,
    columns: usize,
    order: impl Fn(usize) -> usize,
) -> Result<PackedMatrix> {
    file.tensor(name, rows, columns)?.pack(order).ok_or_else(|| file.not_finite(name))
}
