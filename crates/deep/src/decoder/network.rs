//! A transformer whose parameters are learned: log-probabilities of tokens, and gradients, on Burn.
//!
//! Short sequences are stacked, the rows of one below those of the other, so that weights are read once for many tokens; no row of a product
//! depends on the rows beside it, and attention is of each sequence by itself. So a sequence's numbers have the same bits whatever else is
//! in the batch, in whatever order, and however a batch is cut into pieces; and the probability that a token had when it was drawn is, to
//! the bit, the one that the first gradient step sees. Bits hold for one kind of processor, as in all of Burn.
//!
//! The graph is cut at every layer: a layer's part is made, or made anew from its input ([`Network::recompute`]), and gone back through by
//! itself. Products with the vocabulary, and softmax, are outside of it.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;

use burn_tensor::{Device, Int, Tensor, TensorData, activation};
use rayon::prelude::*;
use tony_nn::exponentials;
use tony_random::Stream;

use super::config::{Config, Family};
use super::file::ModelFile;
use crate::{Error, Place, Result};

/// Which parameters are learned.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Adaptation {
    /// All.
    Full,
    /// Of each matrix of a layer, a product of two narrow ones that is added to it (Hu et al. 2022, "`LoRA`"): `W + alpha / rank * B A`.
    LowRank {
        /// Rows of `A` and columns of `B`.
        rank: usize,
        /// See above.
        alpha: f32,
    },
}

/// Tokens of a sequence, of which those from `from` on are learned or looked at, each given all before it.
#[derive(Clone, Copy, Debug)]
pub struct Sequence<'a> {
    /// The tokens.
    pub tokens: &'a [u32],
    /// The first token that counts, at least 1.
    pub from: usize,
}

impl Sequence<'_> {
    /// Tokens that count.
    pub fn len(&self) -> usize {
        self.tokens.len() - self.from
    }

    /// Whether none does.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// What is known of a token that counts.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scored {
    /// Its log-probability.
    pub log_prob: f32,
    /// Entropy of the distribution that it is from, in nats.
    pub entropy: f32,
}

/// What a gradient is of, for each token that counts: `weight(sequence, token, its log-probability) * log-probability`, the weight held
/// fixed, and `entropy` times the entropy; sequences and tokens by their number.
pub type TokenWeight<'a> = dyn Fn(usize, usize, f32) -> f32 + Sync + 'a;

/// A transformer, its learned parameters elsewhere: one flat vector that the caller owns.
#[derive(Debug)]
pub struct Network {
    config: Config,
    adaptation: Adaptation,
    slots: Vec<Slot>,
    /// Learned parameters of each slot; with [`Adaptation::LowRank`] `A`, then `B`.
    learned: Vec<Option<Range<usize>>>,
    num_params: usize,
    /// Where its tensors are.
    device: Device,
    /// The weights that are not learned, by slot.
    frozen: Vec<Option<Tensor<2>>>,
    /// Make each layer's part of the graph anew when going back, instead of keeping all: less memory, a third more work.
    pub recompute: bool,
}

/// A weight of the model.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// Its layer; none of the ends.
    layer: Option<usize>,
    /// Its name in Hugging Face's files, without the layer.
    name: &'static str,
    pub rows: usize,
    pub columns: usize,
}

const EMBEDDING: &str = "embed_tokens.weight";
const NORM: &str = "norm.weight";
const OUTPUT: &str = "lm_head.weight";

/// Sums of gradients that are made side by side: a part of the result, so that it depends on no number of threads.
const LANES: usize = 4;
/// Most tokens of several sequences that are computed together.
const STACKED: usize = 512;
/// Burn's matrix product adds in another order where both sides have at most 64 rows, and where the result has at most 256 numbers: with more
/// than that, no row of it depends on how many there are.
const NARROW: usize = 64;
const FEW: usize = 256;
/// Rows of logits that are held at once.
const TOGETHER: usize = 256;

impl Slot {
    pub fn full_name(&self) -> String {
        self.layer.map_or_else(|| self.name.to_owned(), |layer| format!("layers.{layer}.{}", self.name))
    }

    fn len(&self) -> usize {
        self.rows * self.columns
    }

    /// A matrix of a layer.
    fn is_matrix(&self) -> bool {
        self.layer.is_some() && self.rows > 1
    }
}

/// All weights of a model, in the order of their use.
pub(super) fn slots(config: &Config, tied: bool) -> Vec<Slot> {
    let (width, hidden, size) = (config.width, config.hidden, config.head_size);
    let (queries, keys) = (config.heads * size, config.key_heads * size);
    let end = |name, rows, columns| Slot { layer: None, name, rows, columns };
    let mut all = vec![end(EMBEDDING, config.vocabulary, width)];
    for layer in 0..config.layers {
        let mut add = |name, rows, columns| all.push(Slot { layer: Some(layer), name, rows, columns });
        add("input_layernorm.weight", 1, width);
        add("self_attn.q_proj.weight", queries, width);
        add("self_attn.k_proj.weight", keys, width);
        add("self_attn.v_proj.weight", keys, width);
        if config.family == Family::Qwen2 {
            add("self_attn.q_proj.bias", 1, queries);
            add("self_attn.k_proj.bias", 1, keys);
            add("self_attn.v_proj.bias", 1, keys);
        }
        if matches!(config.family, Family::Qwen3 | Family::Gemma3) {
            add("self_attn.q_norm.weight", 1, size);
            add("self_attn.k_norm.weight", 1, size);
        }
        add("self_attn.o_proj.weight", width, queries);
        add("post_attention_layernorm.weight", 1, width);
        if config.family == Family::Gemma3 {
            add("pre_feedforward_layernorm.weight", 1, width);
            add("post_feedforward_layernorm.weight", 1, width);
        }
        add("mlp.gate_proj.weight", hidden, width);
        add("mlp.up_proj.weight", hidden, width);
        add("mlp.down_proj.weight", width, hidden);
    }
    all.push(end(NORM, 1, width));
    if !tied {
        all.push(end(OUTPUT, config.vocabulary, width));
    }
    all
}

impl Network {
    /// A model of a file, and its learned parameters.
    pub fn open(file: &ModelFile, adaptation: Adaptation, seed: u64, place: Place) -> Result<(Self, Vec<f32>)> {
        let device = place.open()?;
        let config = file.config().clone();
        let slots = slots(&config, !file.has(OUTPUT));
        let read = |slot: &Slot| file.numbers(&slot.full_name(), slot.rows, slot.columns);
        let weights = slots.par_iter().map(read).collect::<Result<Vec<_>>>()?;
        Self::of_weights(config, adaptation, slots, weights, seed, device)
    }

    /// A model of these sizes with random weights: normal with deviation 0.02, of what is added to the residual stream 0.02 / sqrt(2 layers)
    /// (Radford et al. 2019, "Language models are unsupervised multitask learners", section 2.3); norms 1. Input and output are tied.
    pub fn random(config: Config, seed: u64) -> Result<(Self, Vec<f32>)> {
        let slots = slots(&config, true);
        let inward = 0.02 / (2.0 * config.layers as f64).sqrt();
        let mut stream = Stream::new(seed, "init.network", 0);
        let mut draw = |slot: &Slot| -> Vec<f32> {
            let deviation = match slot.name {
                name if name.ends_with("bias") => 0.0,
                _ if slot.rows == 1 => return vec![1.0; slot.len()],
                "self_attn.o_proj.weight" | "mlp.down_proj.weight" => inward,
                _ => 0.02,
            };
            (0..slot.len()).map(|_| (deviation * stream.normal()) as f32).collect()
        };
        let weights = slots.iter().map(&mut draw).collect();
        Self::of_weights(config, Adaptation::Full, slots, weights, seed, Device::flex())
    }

    fn of_weights(
        config: Config,
        adaptation: Adaptation,
        slots: Vec<Slot>,
        weights: Vec<Vec<f32>>,
        seed: u64,
        device: Device,
    ) -> Result<(Self, Vec<f32>)> {
        let mut params = Vec::new();
        let (mut learned, mut frozen) = (Vec::new(), Vec::new());
        let mut stream = Stream::new(seed, "init.low-rank", 0);
        for (slot, weights) in slots.iter().zip(weights) {
            let start = params.len();
            match adaptation {
                Adaptation::Full => {
                    params.extend(weights);
                    frozen.push(None);
                }
                Adaptation::LowRank { rank, .. } => {
                    if slot.is_matrix() {
                        // A uniform as Kaiming's with slope sqrt 5, B zero: the model begins as it was.
                        let bound = 1.0 / (slot.columns as f64).sqrt();
                        params.extend((0..rank * slot.columns).map(|_| stream.range(-bound, bound) as f32));
                        params.resize(params.len() + slot.rows * rank, 0.0);
                    }
                    frozen.push(Some(matrix(weights, slot.rows, &device)));
                }
            }
            learned.push((params.len() > start).then_some(start..params.len()));
        }
        if let Adaptation::LowRank { rank: 0, .. } = adaptation {
            return Err(Error::Rank);
        }
        let num_params = params.len();
        Ok((Self { config, adaptation, slots, learned, num_params, device, frozen, recompute: false }, params))
    }

    /// What it is made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Length of the learned parameters.
    pub fn num_params(&self) -> usize {
        self.num_params
    }

    /// Numbers of all weights, learned or not.
    pub fn num_weights(&self) -> usize {
        self.slots.iter().map(Slot::len).sum()
    }

    /// Floating-point operations that the products of a gradient need for a token that counts, attention left out: 2 a multiply-add,
    /// forward and back by inputs, and by weights where these are learned.
    pub fn flops_per_token(&self) -> u64 {
        let tied = !self.slots.iter().any(|slot| slot.name == OUTPUT);
        let of = |(slot, learned): (&Slot, &Option<Range<usize>>)| {
            let used = slot.rows > 1 && (slot.name != EMBEDDING || tied);
            let (weights, own) = (if used { slot.len() } else { 0 }, learned.as_ref().map_or(0, Range::len));
            match self.adaptation {
                Adaptation::Full => 6 * weights,
                Adaptation::LowRank { .. } => 4 * weights + 6 * own,
            }
        };
        self.slots.iter().zip(&self.learned).map(of).sum::<usize>() as u64
    }

    /// The whole model with these learned parameters, to load or to save: tensors of single precision.
    pub fn merged(&self, params: &[f32]) -> Result<ModelFile> {
        self.check(params);
        let mut tensors = BTreeMap::new();
        for (i, slot) in self.slots.iter().enumerate() {
            let numbers = match (&self.frozen[i], &self.learned[i]) {
                (None, Some(range)) => params[range.clone()].to_vec(),
                (Some(weights), None) => numbers(weights.clone())?,
                (Some(weights), Some(_)) => {
                    let [a, b] = self.low_rank(i, params);
                    numbers(weights.clone() + b.matmul(a) * self.scale())?
                }
                (None, None) => continue,
            };
            tensors.insert(slot.full_name(), (slot.rows, slot.columns, numbers));
        }
        Ok(ModelFile::of_numbers(self.config.clone(), tensors))
    }

    /// Log-probability and entropy of every token that counts, sequence by sequence.
    ///
    /// # Panics
    /// If the weights are of another network, a token is not in the vocabulary, or a sequence counts from 0 on.
    pub fn scores(&self, weights: &Weights, sequences: &[Sequence]) -> Result<Vec<Scored>> {
        Ok(self.read(weights, sequences)?.0)
    }

    /// As [`Network::scores`], with what the last layer made of the token before each that counts, which it was told from: rows of
    /// [`Config::width`] numbers.
    ///
    /// # Panics
    /// As [`Network::scores`].
    pub fn read(&self, weights: &Weights, sequences: &[Sequence]) -> Result<(Vec<Scored>, Vec<f32>)> {
        let of = |range: Range<usize>| {
            let stack = self.stack(sequences, range, 1);
            let states = self.states_of(weights, &stack);
            let mut scored = Vec::new();
            self.head(weights, &states, &stack.targets(), None, &mut scored)?;
            Ok((scored, numbers(states)?))
        };
        let each: Vec<(Vec<Scored>, Vec<f32>)> = self.cut(sequences).into_par_iter().map(of).collect::<Result<_>>()?;
        let (scored, states): (Vec<_>, Vec<_>) = each.into_iter().unzip();
        Ok((scored.concat(), states.concat()))
    }

    /// What the last layer makes of the tokens from `from` on, after the last norm: rows of [`Config::width`] numbers, sequence by sequence.
    ///
    /// # Panics
    /// As [`Network::scores`].
    pub fn states(&self, weights: &Weights, sequences: &[Sequence]) -> Result<Vec<f32>> {
        let of = |range: Range<usize>| numbers(self.states_of(weights, &self.stack(sequences, range, 0)));
        let each: Vec<Vec<f32>> = self.cut(sequences).into_par_iter().map(of).collect::<Result<_>>()?;
        Ok(each.concat())
    }

    /// Overwrite `grad` with the gradient of what [`TokenWeight`] says, summed over all tokens that count. Returns what
    /// [`Network::scores`] does.
    ///
    /// # Panics
    /// As [`Network::scores`], or if `params` or `grad` is not of [`Network::num_params`] numbers.
    pub fn gradient(
        &self,
        params: &[f32],
        sequences: &[Sequence],
        weight: &TokenWeight,
        entropy: f32,
        grad: &mut [f32],
    ) -> Result<Vec<Scored>> {
        let scored = self.descend(params, sequences, grad, &|leaves, range, grad| {
            let stack = &self.stack(sequences, range, 1);
            let mut scored = Vec::new();
            let tokens: Vec<(usize, usize)> = (stack.first..)
                .zip(stack.sequences)
                .flat_map(|(i, sequence)| (0..sequence.len()).map(move |j| (i, j)))
                .collect();
            self.through(leaves, stack, grad, &mut |states, grad| {
                let weight = |row: usize, log_prob| weight(tokens[row].0, tokens[row].1, log_prob);
                let weigh = Weigh { weight: &weight, entropy, grad };
                let slopes = self.head(leaves, states, &stack.targets(), Some(weigh), &mut scored)?;
                slopes.ok_or(Error::Backend("the slopes"))
            })?;
            Ok(scored)
        })?;
        Ok(scored.concat())
    }

    /// Overwrite `grad` with the gradient of a function of what [`Network::states`] gives. `slope` turns a sequence's number and its rows of
    /// states into the function's slope by each, in place.
    ///
    /// # Panics
    /// As [`Network::gradient`].
    pub fn gradient_by_states(
        &self,
        params: &[f32],
        sequences: &[Sequence],
        slope: &(dyn Fn(usize, &mut [f32]) + Sync),
        grad: &mut [f32],
    ) -> Result<()> {
        self.descend(params, sequences, grad, &|leaves, range, grad| {
            let stack = &self.stack(sequences, range, 0);
            self.through(leaves, stack, grad, &mut |states, _| {
                let mut rows = numbers(states.clone())?;
                let mut rest = rows.as_mut_slice();
                for (i, sequence) in (stack.first..).zip(stack.sequences) {
                    let (own, after) = rest.split_at_mut(sequence.len() * self.config.width);
                    slope(i, own);
                    rest = after;
                }
                Ok(matrix(rows, states.dims()[0], &self.device))
            })
        })?;
        Ok(())
    }

    /// Fewest rows of a stack: with as many, no row of a product depends on how many there are.
    fn least(&self) -> usize {
        let narrowest = self.slots.iter().filter(|slot| slot.is_matrix()).map(|slot| slot.rows).min().unwrap_or(1);
        let narrowest = match self.adaptation {
            Adaptation::LowRank { rank, .. } => narrowest.min(rank),
            Adaptation::Full => narrowest,
        };
        (NARROW + 1).max(FEW / narrowest + 1)
    }

    /// The stacks of a batch: which sequences are computed together.
    fn cut(&self, sequences: &[Sequence]) -> Vec<Range<usize>> {
        let all: usize = sequences.iter().map(|sequence| sequence.tokens.len()).sum();
        let most = (all / LANES).clamp(self.least(), STACKED.max(self.least()));
        let (mut stacks, mut start, mut tokens) = (Vec::new(), 0, 0);
        for (i, sequence) in sequences.iter().enumerate() {
            if i > start && tokens + sequence.tokens.len() > most {
                stacks.push(start..i);
                (start, tokens) = (i, 0);
            }
            tokens += sequence.tokens.len();
        }
        if start < sequences.len() {
            stacks.push(start..sequences.len());
        }
        stacks
    }

    /// Some sequences of a batch; what is looked at is `before` rows before the tokens that count.
    fn stack<'a>(&self, sequences: &'a [Sequence<'a>], range: Range<usize>, before: usize) -> Stack<'a> {
        Stack::new(&self.config, range.start, &sequences[range], before, self.least(), &self.device)
    }

    /// Sum gradients of stacks: lane by lane, and then the lanes in order.
    fn descend<T: Send>(
        &self,
        params: &[f32],
        sequences: &[Sequence],
        grad: &mut [f32],
        one: &(dyn Fn(&Weights, Range<usize>, &mut [f32]) -> Result<T> + Sync),
    ) -> Result<Vec<T>> {
        self.check(grad);
        grad.fill(0.0);
        let (leaves, stacks) = (self.weights(params), self.cut(sequences));
        let mut others = vec![vec![0.0; grad.len()]; LANES.min(stacks.len()).saturating_sub(1)];
        let lanes = others.len() + 1;
        let sums: Vec<&mut [f32]> =
            std::iter::once(&mut *grad).chain(others.iter_mut().map(Vec::as_mut_slice)).collect();
        let results: Vec<Vec<T>> = sums
            .into_par_iter()
            .enumerate()
            .map(|(lane, sum)| {
                stacks[lane..].iter().step_by(lanes).map(|range| one(&leaves, range.clone(), sum)).collect()
            })
            .collect::<Result<_>>()?;
        for other in &others {
            tony_nn::axpy(1.0, other, grad);
        }
        let mut results: Vec<_> = results.into_iter().map(Vec::into_iter).collect();
        Ok((0..stacks.len()).filter_map(|i| results[i % lanes].next()).collect())
    }

    fn check(&self, params: &[f32]) {
        assert_eq!(params.len(), self.num_params, "numbers given against those that the network learns");
    }

    fn scale(&self) -> f32 {
        if let Adaptation::LowRank { rank, alpha } = self.adaptation { alpha / rank as f32 } else { 1.0 }
    }

    /// `A` and `B` of a slot.
    fn low_rank(&self, slot: usize, params: &[f32]) -> [Tensor<2>; 2] {
        let Slot { rows, columns, .. } = self.slots[slot];
        let range = self.learned[slot].clone().unwrap_or_default();
        let rank = range.len() / (rows + columns);
        let (a, b) = params[range].split_at(rank * columns);
        [matrix(a.to_vec(), rank, &self.device), matrix(b.to_vec(), rows, &self.device)]
    }

    /// The weights with these learned parameters: made once, they are read with often.
    ///
    /// # Panics
    /// If `params` is not of [`Network::num_params`] numbers.
    pub fn weights(&self, params: &[f32]) -> Weights {
        self.check(params);
        let mut weights = Weights { ends: BTreeMap::new(), layers: vec![Vec::new(); self.config.layers] };
        for (i, slot) in self.slots.iter().enumerate() {
            let range = self.learned[i].clone();
            let mut add = |part: Part, tensor: Tensor<2>, learned: Option<Range<usize>>| {
                let leaf = Leaf { tensor, learned };
                match slot.layer {
                    Some(layer) => weights.layers[layer].push(((slot.name, part), leaf)),
                    None => drop(weights.ends.insert(slot.name, leaf)),
                }
            };
            match (&self.frozen[i], range) {
                (None, Some(range)) => {
                    let weights = matrix(params[range.clone()].to_vec(), slot.rows, &self.device);
                    add(Part::Weight, weights, Some(range));
                }
                (Some(weights), None) => add(Part::Weight, weights.clone(), None),
                (Some(weights), Some(range)) => {
                    add(Part::Weight, weights.clone(), None);
                    let [a, b] = self.low_rank(i, params);
                    let middle = range.start + a.dims()[0] * a.dims()[1];
                    add(Part::A, a, Some(range.start..middle));
                    add(Part::B, b, Some(middle..range.end));
                }
                (None, None) => {}
            }
        }
        weights
    }

    /// What the last layer makes of the rows that are looked at. Nothing is kept, but Burn is asked as [`Network::through`] asks it: some of
    /// its functions have other bits where no graph could be made.
    fn states_of(&self, leaves: &Weights, stack: &Stack) -> Tensor<2> {
        let mut x = self.embedded(leaves, &stack.tokens).autodiff();
        for (i, layer) in leaves.layers.iter().enumerate() {
            let weights = layer.iter().map(|(name, leaf)| (*name, leaf.tensor.clone().autodiff())).collect();
            x = self.layer(i, x, &weights, stack);
        }
        self.norm(stack.looked_at(&x), &leaves.ends[NORM].tensor.clone().autodiff()).inner()
    }

    /// Forward, then `head`, which turns states of the rows that are looked at into slopes by them, then back; slopes are added to `grad`.
    fn through(
        &self,
        leaves: &Weights,
        stack: &Stack,
        grad: &mut [f32],
        head: &mut dyn FnMut(&Tensor<2>, &mut [f32]) -> Result<Tensor<2>>,
    ) -> Result<()> {
        let mut x = self.embedded(leaves, &stack.tokens);
        let (mut inputs, mut graphs) = (Vec::new(), Vec::new());
        for i in 0..leaves.layers.len() {
            if self.recompute {
                inputs.push(x.clone());
            }
            let graph = self.graph(i, leaves, x, stack);
            x = graph.output.clone().inner();
            if !self.recompute {
                graphs.push(graph);
            }
        }
        let norm = &leaves.ends[NORM];
        let last = stack.looked_at(&x).autodiff().require_grad();
        let weight = norm.tracked();
        let states = self.norm(last.clone(), &weight);
        let slope = head(&states.clone().inner(), grad)?;
        let mut slopes = (states * slope.autodiff()).sum().backward();
        let slope = last.grad_remove(&mut slopes).ok_or(Error::Backend("a slope"))?;
        if let Some(place) = &norm.learned {
            add(weight.grad_remove(&mut slopes), &mut grad[place.clone()])?;
        }
        let mut slope = stack.put_back(&slope);
        for i in (0..leaves.layers.len()).rev() {
            let graph = match inputs.pop() {
                Some(input) => Some(self.graph(i, leaves, input, stack)),
                None => graphs.pop(),
            };
            let Some(graph) = graph else { continue };
            let mut slopes = (graph.output * slope.autodiff()).sum().backward();
            slope = graph.input.grad_remove(&mut slopes).ok_or(Error::Backend("a slope"))?;
            for (tensor, (_, leaf)) in graph.weights.into_iter().zip(&leaves.layers[i]) {
                if let Some(place) = &leaf.learned {
                    add(tensor.grad_remove(&mut slopes), &mut grad[place.clone()])?;
                }
            }
        }
        if let Some(place) = &leaves.ends[EMBEDDING].learned {
            let (width, scale) = (self.config.width, self.embedding_scale());
            let grad = &mut grad[place.clone()];
            for (token, slope) in stack.tokens.iter().zip(numbers(slope)?.chunks_exact(width)) {
                tony_nn::axpy(scale, slope, &mut grad[*token as usize * width..][..width]);
            }
        }
        Ok(())
    }

    /// A layer's part of the graph.
    fn graph(&self, i: usize, leaves: &Weights, x: Tensor<2>, stack: &Stack) -> Graph {
        let input = x.autodiff().require_grad();
        let weights: Vec<Tensor<2>> = leaves.layers[i].iter().map(|(_, leaf)| leaf.tracked()).collect();
        let named = leaves.layers[i].iter().zip(&weights).map(|((name, _), tensor)| (*name, tensor.clone())).collect();
        let output = self.layer(i, input.clone(), &named, stack);
        Graph { input, weights, output }
    }

    fn embedding_scale(&self) -> f32 {
        if self.config.family == Family::Gemma3 { (self.config.width as f32).sqrt() } else { 1.0 }
    }

    fn embedded(&self, leaves: &Weights, tokens: &[u32]) -> Tensor<2> {
        let most = self.config.vocabulary;
        assert!(tokens.iter().all(|token| (*token as usize) < most), "a token that is not among the {most} known");
        let rows = tokens.iter().map(|token| *token as i32).collect();
        let rows = Tensor::<1, Int>::from_data(TensorData::new(rows, [tokens.len()]), &self.device);
        leaves.ends[EMBEDDING].tensor.clone().select(0, rows) * self.embedding_scale()
    }

    fn norm<const D: usize>(&self, x: Tensor<D>, weight: &Tensor<2>) -> Tensor<D> {
        let mean = (x.clone() * x.clone()).mean_dim(D - 1);
        let mut shape = [1; D];
        shape[D - 1] = weight.dims()[1];
        x * (mean + self.config.epsilon).sqrt().recip() * weight.clone().reshape(shape)
    }

    /// A layer, where a graph can be made.
    fn layer(&self, index: usize, x: Tensor<2>, weights: &Named, stack: &Stack) -> Tensor<2> {
        let config = &self.config;
        let (heads, key_heads, size, n) = (config.heads, config.key_heads, config.head_size, x.dims()[0]);
        let weight = |name: &'static str| weights.get(&(name, Part::Weight));
        let linear = |x: &Tensor<2>, name: &'static str| -> Tensor<2> {
            let mut y = x.clone().matmul(weights[&(name, Part::Weight)].clone().transpose());
            if let (Some(a), Some(b)) = (weights.get(&(name, Part::A)), weights.get(&(name, Part::B))) {
                let narrow = x.clone().matmul(a.clone().transpose()) * self.scale();
                y = y + narrow.matmul(b.clone().transpose());
            }
            y
        };
        let biased = |y: Tensor<2>, name| weight(name).map_or(y.clone(), |bias| y + bias.clone());
        let windowed = usize::from(config.window_of(index) != usize::MAX);
        let [cos, sin] = stack.turns[windowed].clone().map(Tensor::autodiff);
        let turned = |y: Tensor<2>, heads: usize, norm: &'static str| -> Tensor<3> {
            let y = y.reshape([n, heads, size]);
            let y = weight(norm).map_or(y.clone(), |weight| self.norm(y, weight));
            let (a, b) = (y.clone().slice([0..n, 0..heads, 0..size / 2]), y.slice([0..n, 0..heads, size / 2..size]));
            let first = a.clone() * cos.clone() - b.clone() * sin.clone();
            Tensor::cat(vec![first, b * cos.clone() + a * sin.clone()], 2)
        };
        let h = self.norm(x.clone(), &weights[&("input_layernorm.weight", Part::Weight)]);
        let query = biased(linear(&h, "self_attn.q_proj.weight"), "self_attn.q_proj.bias");
        let key = biased(linear(&h, "self_attn.k_proj.weight"), "self_attn.k_proj.bias");
        let value = biased(linear(&h, "self_attn.v_proj.weight"), "self_attn.v_proj.bias");
        let query = turned(query, heads, "self_attn.q_norm.weight") * config.score_scale;
        let key = turned(key, key_heads, "self_attn.k_norm.weight");
        let value = value.reshape([n, key_heads, size]);
        // Heads that share keys lie below each other: [key heads, sharing heads x tokens, size].
        let shared = heads / key_heads;
        let attend = |part: &Range<usize>| {
            let n = part.len();
            let of = |y: &Tensor<3>| y.clone().narrow(0, part.start, n);
            let query = of(&query).reshape([n, key_heads, shared, size]).permute([1, 2, 0, 3]);
            let query = query.reshape([key_heads, shared * n, size]);
            let scores = query.matmul(of(&key).permute([1, 2, 0])) + stack.masks[windowed][&n].clone().autodiff();
            let attended = activation::softmax(scores, 2).matmul(of(&value).permute([1, 0, 2]));
            attended.reshape([key_heads, shared, n, size]).permute([2, 0, 1, 3]).reshape([n, heads * size])
        };
        let attended = Tensor::cat(stack.parts.iter().map(attend).collect(), 0);
        let after = |y: Tensor<2>, name| weight(name).map_or(y.clone(), |weight| self.norm(y, weight));
        let gemma = config.family == Family::Gemma3;
        let names = if gemma {
            ("post_attention_layernorm.weight", "pre_feedforward_layernorm.weight", "post_feedforward_layernorm.weight")
        } else {
            ("", "post_attention_layernorm.weight", "")
        };
        let x = x + after(linear(&attended, "self_attn.o_proj.weight"), names.0);
        let h = self.norm(x.clone(), &weights[&(names.1, Part::Weight)]);
        let gate = linear(&h, "mlp.gate_proj.weight");
        let gate = if gemma { gelu(gate) } else { activation::silu(gate) };
        let y = linear(&(gate * linear(&h, "mlp.up_proj.weight")), "mlp.down_proj.weight");
        x + after(y, names.2)
    }

    /// From states to log-probabilities of `targets`; with `weigh`, slopes by the states, and those by the output matrix into its `grad`.
    fn head(
        &self,
        leaves: &Weights,
        states: &Tensor<2>,
        targets: &[u32],
        mut weigh: Option<Weigh>,
        scored: &mut Vec<Scored>,
    ) -> Result<Option<Tensor<2>>> {
        let output = leaves.ends.get(OUTPUT).unwrap_or(&leaves.ends[EMBEDDING]);
        let vocabulary = self.config.vocabulary;
        let padded = vocabulary.next_multiple_of(16);
        let mut row = vec![0.0_f32; padded];
        let mut slopes = Vec::new();
        for (start, targets) in (0..).step_by(TOGETHER).zip(targets.chunks(TOGETHER)) {
            let states = states.clone().narrow(0, start, targets.len());
            let mut logits = numbers(filled_up(&states).matmul(output.tensor.clone().transpose()))?;
            logits.truncate(targets.len() * vocabulary);
            for (i, (logits, target)) in logits.chunks_exact_mut(vocabulary).zip(targets).enumerate() {
                row[..vocabulary].copy_from_slice(logits);
                row[vocabulary..].fill(f32::NEG_INFINITY);
                let (most, sum) = exponentials(&mut row);
                let log_sum = libm::logf(sum);
                let log_prob = logits[*target as usize] - most - log_sum;
                let inverse = 1.0 / sum;
                let mean: f32 = tony_nn::dot(&row[..vocabulary], logits) as f32 * inverse;
                let entropy = (most + log_sum - mean).max(0.0);
                scored.push(Scored { log_prob, entropy });
                let Some(Weigh { weight, entropy: bonus, .. }) = &weigh else { continue };
                let w = weight(start + i, log_prob);
                if *bonus == 0.0 {
                    logits.iter_mut().zip(&row).for_each(|(slope, e)| *slope = -w * (e * inverse));
                } else {
                    for (slope, e) in logits.iter_mut().zip(&row) {
                        let p = e * inverse;
                        *slope = -p * (w + bonus * (*slope - most - log_sum + entropy));
                    }
                }
                logits[*target as usize] += w;
            }
            let Some(Weigh { grad, .. }) = &mut weigh else { continue };
            let by_logits = matrix(logits, targets.len(), &self.device);
            slopes.push(by_logits.clone().matmul(output.tensor.clone()));
            if let Some(place) = &output.learned {
                add(Some(by_logits.transpose().matmul(states)), &mut grad[place.clone()])?;
            }
        }
        Ok(weigh.is_some().then(|| Tensor::cat(slopes, 0)))
    }
}

/// What a gradient is of; where slopes by the output matrix are added.
struct Weigh<'a> {
    weight: &'a dyn Fn(usize, f32) -> f32,
    entropy: f32,
    grad: &'a mut [f32],
}

/// The parts of a weight.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Weight,
    A,
    B,
}

type Named = BTreeMap<(&'static str, Part), Tensor<2>>;

/// The weights of a network with certain learned parameters, to read with: [`Network::weights`].
#[derive(Clone, Debug)]
pub struct Weights {
    ends: BTreeMap<&'static str, Leaf>,
    layers: Vec<Vec<((&'static str, Part), Leaf)>>,
}

#[derive(Clone, Debug)]
struct Leaf {
    tensor: Tensor<2>,
    /// Where slopes by it go.
    learned: Option<Range<usize>>,
}

impl Leaf {
    /// As the beginning of a graph, if it is learned.
    fn tracked(&self) -> Tensor<2> {
        let tensor = self.tensor.clone().autodiff();
        if self.learned.is_some() { tensor.require_grad() } else { tensor }
    }
}

/// A layer's part of the graph.
struct Graph {
    input: Tensor<2>,
    weights: Vec<Tensor<2>>,
    output: Tensor<2>,
}

/// Sequences that are computed together, the rows of one below those of the other.
struct Stack<'a> {
    sequences: &'a [Sequence<'a>],
    /// The number of the first.
    first: usize,
    /// All tokens, and what fills up.
    tokens: Vec<u32>,
    /// Rows of each sequence; what fills up is one more.
    parts: Vec<Range<usize>>,
    /// Rows of each sequence that are looked at.
    looked: Vec<Range<usize>>,
    /// Cosines and sines, `[rows, 1, head size / 2]`; of layers without and with a window.
    turns: [[Tensor<3>; 2]; 2],
    /// By length, what is added to scores, `[1, sharing heads x tokens, tokens]`: 0 where a token may look, else far below. Of layers without
    /// and with a window.
    masks: [BTreeMap<usize, Tensor<3>>; 2],
}

impl<'a> Stack<'a> {
    fn new(
        config: &Config,
        first: usize,
        sequences: &'a [Sequence<'a>],
        before: usize,
        least: usize,
        device: &Device,
    ) -> Self {
        let (mut tokens, mut parts, mut looked) = (Vec::new(), Vec::new(), Vec::new());
        for sequence in sequences {
            let start = tokens.len();
            tokens.extend(sequence.tokens);
            parts.push(start..tokens.len());
            looked.push(start + sequence.from - before..tokens.len() - before);
        }
        if tokens.len() < least {
            parts.push(tokens.len()..least);
            tokens.resize(least, 0);
        }
        let cube = |numbers: Vec<f32>, shape: [usize; 3]| Tensor::from_data(TensorData::new(numbers, shape), device);
        let longest = parts.iter().map(Range::len).max().unwrap_or(0);
        let half = config.head_size / 2;
        let turns = |windowed: bool| {
            let frequencies = config.frequencies(windowed);
            [libm::cos, libm::sin].map(|f| {
                let turn = |t: usize| frequencies.iter().map(move |frequency| f(t as f64 * frequency) as f32);
                let table: Vec<f32> = (0..longest).flat_map(turn).collect();
                let all: Vec<f32> = parts.iter().flat_map(|part| &table[..part.len() * half]).copied().collect();
                cube(all, [tokens.len(), 1, half])
            })
        };
        let masks = |windowed: bool| {
            let window = config.window.filter(|_| windowed).map_or(usize::MAX, |(window, _)| window);
            let seen = |t: usize, s: usize| if s <= t && t - s < window { 0.0 } else { f32::MIN / 2.0 };
            let shared = config.heads / config.key_heads;
            let lengths: BTreeSet<usize> = parts.iter().map(Range::len).collect();
            let mask = |n: usize| {
                let one = (0..n).flat_map(|t| (0..n).map(move |s| seen(t, s))).collect::<Vec<f32>>();
                cube(one.repeat(shared), [1, shared * n, n])
            };
            lengths.into_iter().map(|n| (n, mask(n))).collect::<BTreeMap<_, _>>()
        };
        let kinds = [false, config.window.is_some()];
        let (turns, masks) = if kinds[1] {
            (kinds.map(turns), kinds.map(masks))
        } else {
            let (turns, masks) = (turns(false), masks(false));
            ([turns.clone(), turns], [masks.clone(), masks])
        };
        Self { sequences, first, tokens, parts, looked, turns, masks }
    }

    /// Tokens that count, one after the other.
    fn targets(&self) -> Vec<u32> {
        self.sequences.iter().flat_map(|sequence| &sequence.tokens[sequence.from..]).copied().collect()
    }

    /// The rows that are looked at.
    fn looked_at(&self, x: &Tensor<2>) -> Tensor<2> {
        Tensor::cat(self.looked.iter().map(|rows| x.clone().slice([rows.clone()])).collect(), 0)
    }

    /// Rows as of [`Stack::looked_at`] where they belong among all, others zero.
    fn put_back(&self, rows: &Tensor<2>) -> Tensor<2> {
        let mut all = Tensor::<2>::zeros([self.tokens.len(), rows.dims()[1]], &rows.device());
        let mut start = 0;
        for looked in &self.looked {
            all = all.slice_assign([looked.clone()], rows.clone().narrow(0, start, looked.len()));
            start += looked.len();
        }
        all
    }
}

/// With rows of zeros below, so many that no row of a product depends on how many there are.
fn filled_up(x: &Tensor<2>) -> Tensor<2> {
    let [rows, columns] = x.dims();
    if rows > NARROW {
        return x.clone();
    }
    Tensor::cat(vec![x.clone(), Tensor::zeros([NARROW + 1 - rows, columns], &x.device())], 0)
}

/// GELU by a hyperbolic tangent, as Gemma has it.
fn gelu(x: Tensor<2>) -> Tensor<2> {
    // sqrt(2 / pi)
    let inner = (x.clone() * x.clone() * x.clone() * 0.044_715 + x.clone()) * 0.797_884_6;
    x * (inner.tanh() + 1.0) * 0.5
}

fn matrix(values: Vec<f32>, rows: usize, device: &Device) -> Tensor<2> {
    let columns = values.len() / rows.max(1);
    Tensor::from_data(TensorData::new(values, [rows, columns]), device)
}

fn numbers(tensor: Tensor<2>) -> Result<Vec<f32>> {
    tensor.into_data().try_into_vec().map_err(|_| Error::Backend("a tensor"))
}

fn add(slope: Option<Tensor<2>>, grad: &mut [f32]) -> Result<()> {
    let slope = numbers(slope.ok_or(Error::Backend("a gradient"))?)?;
    tony_nn::axpy(1.0, &slope, grad);
    Ok(())
}
