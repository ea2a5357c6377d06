//! Variational Autoencoding Learning of Options by Reinforcement.
//!
//! J. Achiam, H. Edwards, D. Amodei, P. Abbeel, "Variational Option Discovery Algorithms" (2018), section 3.3 and appendices.
//!
//! The decoder sees a path as eleven equally spaced states, and of these only the ten differences: not where the agent is, but how it
//! moves. A bidirectional LSTM reads them; its outputs, averaged over time, tell the context. The advantage of a path is how well the
//! decoder knows its context, the same for each of its steps.
//!
//! Omitted: the hierarchy for Ant-Maze (section 4.3). Not in the paper, and chosen here: the width of the linear layer below the LSTM
//! (64), one Adam step of the decoder an iteration, and that the decoder chooses among the contexts that are drawn (`decoder.mask`).
//!
//! | paper | here |
//! |---|---|
//! | `N = 11` observations, `k` apart | [`moments`] |
//! | `s_k - s_0, s_2k - s_k, ...` | [`differences`] |
//! | `P_D(c\|tau)` | [`PathDecoder`] |
//! | `normalise(log P_D(c\|tau)) + normalise(return - V)` | [`path_advantage`] |

use tony_nn::{Activation, Adam, Init, Lstm, Mlp, Rows, Sequences, Tape, Workspace, axpy};
use tony_random::Stream;
use tony_run::{Archive, Metrics, Plan, settings};

use crate::Result;
use crate::algorithm::{Algorithm, Start};
use crate::critic::{load_adam, save_adam};
use crate::options::{Options, Told, adam, cross_entropy, finite, options_accessors, path_advantage};
use crate::rollout::Rollout;

/// Differences that the decoder sees of a path.
const DIFFERENCES: usize = 10;

settings! {
    /// VALOR
    pub struct Config {
        /// Width of the linear layer that the differences enter.
        "decoder.linear" linear: usize = 64, (1..=4096);
        /// Cells of the decoder's LSTM, in each direction.
        "decoder.lstm" cells: usize = 64, (1..=4096);
    }
}

/// VALOR.
pub struct Valor {
    options: Options,
    decoder: PathDecoder,
}

impl Valor {
    /// Build from settings.
    pub fn new(plan: &Plan, start: Start) -> Result<Self> {
        let (options, config) = (Options::new(plan, start, DIFFERENCES)?, plan.group::<Config>()?);
        let stream = &mut Stream::new(start.seed, "init.decoder", 0);
        let decoder =
            PathDecoder::new(start.spec.obs_dim, config.linear, config.cells, options.config.contexts, stream)?;
        Ok(Self { options, decoder })
    }
}

impl Algorithm for Valor {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let paths = self.options.paths(rollout)?;
        let config = &self.options.config;
        let (steps, lr) = (config.decoder_steps, config.decoder_lr);
        let seen = differences(&paths.states(), rollout.obs_dim, paths.steps, config.decoder_scale as f32);
        // What the decoder says before it learns from these paths is what it says of paths that it has not seen.
        let before = self.decoder.tell(&seen, &paths.contexts, paths.choices);
        let rewards = self.options.reward_advantage(&paths)?;
        let advantage = path_advantage(&before.log_p, paths.steps, rewards.as_deref());
        self.options.improve(&paths, &advantage, metrics)?;
        let mut loss = 0.0;
        for _ in 0..steps {
            loss = self.decoder.learn(&seen, &paths.contexts, paths.choices, lr)?;
        }
        let after = self.decoder.tell(&seen, &paths.contexts, paths.choices);
        self.options.finish(&paths, &before, &after, loss, metrics);
        Ok(())
    }

    options_accessors!();
}

/// Which of the states `s_0 ... s_T` a decoder of `n` differences sees: every `floor(T / n)`-th, and the last.
pub fn moments(steps: usize, n: usize) -> Vec<usize> {
    (0..n).map(|i| i * (steps / n)).chain([steps]).collect()
}

/// Differences of successive [`moments`] of each path, times `scale`: `[paths, 10, obs]` from states `[paths, steps + 1, obs]`.
pub fn differences(states: &[f32], obs: usize, steps: usize, scale: f32) -> Vec<f32> {
    let moments = moments(steps, DIFFERENCES);
    let pairs = |path: &[f32]| -> Vec<f32> {
        let between = |pair: &[usize], i: usize| scale * (path[pair[1] * obs + i] - path[pair[0] * obs + i]);
        moments.windows(2).flat_map(|pair| (0..obs).map(move |i| between(pair, i))).collect()
    };
    states.chunks_exact((steps + 1) * obs).flat_map(pairs).collect()
}

/// `P_D(c|tau)`: a linear layer, an LSTM in both directions, the average over time of each, and a linear layer to the contexts.
///
/// Parameters: the first linear layer's, those of the LSTM forwards and of the LSTM backwards, the last linear layer's.
pub struct PathDecoder {
    below: Mlp,
    lstm: Lstm,
    above: Mlp,
    params: Vec<f32>,
    adam: Adam,
    tapes: [Tape; 2],
    workspace: Workspace,
}

impl PathDecoder {
    /// For differences of `obs` numbers.
    pub fn new(obs: usize, linear: usize, cells: usize, contexts: usize, stream: &mut Stream) -> Result<Self> {
        let below = Mlp::new(&[obs, linear], Activation::Tanh)?;
        let lstm = Lstm::new(linear, cells)?;
        let above = Mlp::new(&[2 * cells, contexts], Activation::Tanh)?;
        let mut params = vec![0.0; below.num_params() + 2 * lstm.num_params() + above.num_params()];
        let mut decoder = Self {
            adam: adam(params.len()),
            below,
            lstm,
            above,
            params: Vec::new(),
            tapes: <_>::default(),
            workspace: <_>::default(),
        };
        let [first, forwards, backwards, last] = decoder.split(&mut params);
        decoder.below.init(first, Init::KaimingUniform, stream);
        decoder.lstm.init(forwards, stream);
        decoder.lstm.init(backwards, stream);
        decoder.above.init(last, Init::KaimingUniform, stream);
        decoder.params = params;
        Ok(decoder)
    }

    /// Its parameters, to set.
    pub fn params_mut(&mut self) -> &mut [f32] {
        &mut self.params
    }

    /// What it says of paths, given `seen`, `[paths, times, obs]`, about their contexts.
    pub fn tell(&mut self, seen: &[f32], contexts: &[u32], choices: usize) -> Told {
        let (_, pooled) = self.read(seen, contexts.len());
        let above = &self.params[self.params.len() - self.above.num_params()..];
        let mut logits = vec![0.0; contexts.len() * self.above.output()];
        self.above.forward(above, &Rows::all(&pooled, self.above.input()), &mut logits);
        Told::from_logits(&logits, self.above.output(), choices, contexts)
    }

    /// One Adam step on the mean cross-entropy, which it returns as it was.
    pub fn learn(&mut self, seen: &[f32], contexts: &[u32], choices: usize, lr: f64) -> Result<f64> {
        let (n, k, cells) = (contexts.len(), self.above.output(), self.lstm.hidden());
        let (linear, pooled) = self.read(seen, n);
        let times = linear.len() / self.lstm.inputs() / n;
        let mut params = std::mem::take(&mut self.params);
        let mut grad = vec![0.0; params.len()];
        let [first, forwards, backwards, last] = self.split(&mut params);
        let [d_first, d_forwards, d_backwards, d_last] = self.split(&mut grad);
        let head = |row: usize, y: &[f32], dy: &mut [f32], sums: &mut [f64]| {
            let truth = &contexts[row..row + y.len() / k];
            sums[0] += cross_entropy(y, k, choices, truth, n, dy);
        };
        let (mut d_pooled, mut loss) = (vec![0.0; pooled.len()], [0.0]);
        let rows = Rows::all(&pooled, 2 * cells);
        self.above.gradient_with_inputs(last, &rows, &head, d_last, &mut d_pooled, &mut loss, &mut self.workspace);
        // Each time has the same share in the average.
        d_pooled.iter_mut().for_each(|d| *d /= times as f32);
        let mut d_linear = vec![0.0; linear.len()];
        let mut d_backward_linear = vec![0.0; linear.len()];
        let half = |side: usize| -> Vec<f32> {
            let rows = d_pooled.chunks_exact(2 * cells).map(|row| &row[side * cells..][..cells]);
            rows.flat_map(|row| std::iter::repeat_n(row, times)).flatten().copied().collect()
        };
        let [ahead, back] = &mut self.tapes;
        self.lstm.backward(forwards, &half(0), d_forwards, Some(&mut d_linear), ahead);
        self.lstm.backward(backwards, &half(1), d_backwards, Some(&mut d_backward_linear), back);
        axpy(1.0, &d_backward_linear, &mut d_linear);
        let width = self.lstm.inputs();
        let pass = |row: usize, _: &[f32], dy: &mut [f32], _: &mut [f64]| {
            dy.copy_from_slice(&d_linear[row * width..][..dy.len()]);
        };
        let rows = Rows::all(seen, self.below.input());
        self.below.gradient(first, &rows, &pass, d_first, &mut [], &mut self.workspace);
        self.params = params;
        finite("gradient of the decoder", &grad)?;
        self.adam.step(&mut self.params, &grad, lr);
        Ok(loss[0] / n as f64)
    }

    /// Outputs of the first linear layer, and averages over time of the LSTM's outputs, forwards and backwards, `[paths, 2 cells]`.
    fn read(&mut self, seen: &[f32], n: usize) -> (Vec<f32>, Vec<f32>) {
        let rows = Rows::all(seen, self.below.input());
        let (times, cells) = (rows.len() / n, self.lstm.hidden());
        let mut params = std::mem::take(&mut self.params);
        let [first, forwards, backwards, _] = self.split(&mut params);
        let mut linear = vec![0.0; rows.len() * self.lstm.inputs()];
        self.below.forward(first, &rows, &mut linear);
        let (mut pooled, mut h) = (vec![0.0; n * 2 * cells], vec![0.0; rows.len() * cells]);
        let lengths = vec![times; n];
        for (side, params) in [forwards, backwards].into_iter().enumerate() {
            let sequences = Sequences { x: &linear, lengths: &lengths, start: None, reverse: side == 1 };
            self.lstm.forward(params, &sequences, &mut h, &mut self.tapes[side]);
            for (pooled, h) in pooled.chunks_exact_mut(2 * cells).zip(h.chunks_exact(times * cells)) {
                for h in h.chunks_exact(cells) {
                    pooled[side * cells..][..cells].iter_mut().zip(h).for_each(|(sum, h)| *sum += h / times as f32);
                }
            }
        }
        self.params = params;
        (linear, pooled)
    }

    /// The parts of parameters or of their gradient.
    fn split<'a>(&self, params: &'a mut [f32]) -> [&'a mut [f32]; 4] {
        let (first, rest) = params.split_at_mut(self.below.num_params());
        let (forwards, rest) = rest.split_at_mut(self.lstm.num_params());
        let (backwards, last) = rest.split_at_mut(self.lstm.num_params());
        [first, forwards, backwards, last]
    }

    fn save(&self, archive: &mut Archive) -> Result<()> {
        archive.put_f32("decoder.params", &[self.params.len()], &self.params)?;
        save_adam(&self.adam, "decoder.adam", archive)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32("decoder.params", &[self.params.len()])?;
        load_adam(&mut self.adam, "decoder.adam", archive)
    }
}
