//! A policy that is told which option to follow: what acts in option discovery. And the network under it, which values share.

use tony_env::space::Space;
use tony_nn::{Activation, Head as Derivatives, Init, Lstm, Mlp, Rows, Sequences, Tape, Workspace, axpy};
use tony_random::Stream;
use tony_run::Archive;

use crate::head::Head;
use crate::policy::{Actor, Scratch};
use crate::{Error, Result};

/// Paths that go through a recurrent network together: what it remembers of them for the way back stays within some 100 MB.
const CHUNK: usize = 256;

/// A network of an observation and a context: the observation beside an embedding of the context, an LSTM layer if asked for, and an MLP.
///
/// Parameters: embeddings (contexts x embedding), the LSTM's, the MLP's.
#[derive(Debug)]
pub(crate) struct ContextNet {
    shape: Shape,
    lstm: Option<Lstm>,
    mlp: Mlp,
}

/// Sizes of a [`ContextNet`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shape {
    /// Numbers in an observation.
    pub obs: usize,
    /// Contexts that there may be.
    pub contexts: usize,
    /// Length of a context's learned embedding; 0: one-hot.
    pub embedding: usize,
    /// Cells of the LSTM layer; 0: there is none.
    pub cells: usize,
    /// Hidden layers of the MLP.
    pub hidden: Vec<usize>,
    /// Outputs of the MLP.
    pub outputs: usize,
}

/// Observations of whole paths of equal length, path after path, and the context of each path.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PathRows<'a> {
    /// `[paths, steps, obs]`.
    pub obs: &'a [f32],
    /// Rows of a path.
    pub steps: usize,
    /// `[paths]`.
    pub contexts: &'a [u32],
}

/// Room for forward and backward passes; it grows at the first use.
#[derive(Debug, Default)]
pub(crate) struct Work {
    x: Vec<f32>,
    h: Vec<f32>,
    dx: Vec<f32>,
    dh: Vec<f32>,
    grad: Vec<f32>,
    lengths: Vec<usize>,
    tape: Tape,
    workspace: Workspace,
}

impl ContextNet {
    pub fn new(shape: Shape) -> Result<Self> {
        let Shape { obs, contexts, embedding, cells, hidden, outputs } = &shape;
        if hidden.iter().any(|&n| n == 0 || n > 4096) {
            return Err(Error::Invalid {
                what: format!("hidden = {hidden:?} is no list of layer widths"),
                hint: "give widths from 1 to 4096, for example hidden=64,64".to_owned(),
            });
        }
        let input = obs + if *embedding == 0 { *contexts } else { *embedding };
        let lstm = (*cells > 0).then(|| Lstm::new(input, *cells)).transpose()?;
        let below = if *cells > 0 { *cells } else { input };
        let mlp = Mlp::new(&[&[below], hidden.as_slice(), &[*outputs]].concat(), Activation::Tanh)?;
        Ok(Self { shape, lstm, mlp })
    }

    pub fn num_params(&self) -> usize {
        self.table() + self.lstm.as_ref().map_or(0, Lstm::num_params) + self.mlp.num_params()
    }

    /// Embeddings are standard normal, layers as `PyTorch` begins them.
    pub fn init(&self, params: &mut [f32], stream: &mut Stream) {
        let (table, rest) = params.split_at_mut(self.table());
        table.iter_mut().for_each(|x| *x = stream.normal() as f32);
        let (recurrent, mlp) = rest.split_at_mut(self.lstm.as_ref().map_or(0, Lstm::num_params));
        if let Some(lstm) = &self.lstm {
            lstm.init(recurrent, stream);
        }
        self.mlp.init(mlp, Init::KaimingUniform, stream);
    }

    /// How many numbers [`ContextNet::row`] carries from step to step.
    pub fn state_len(&self) -> usize {
        self.lstm.as_ref().map_or(0, Lstm::state_len)
    }

    /// Outputs for one observation; the same bits as [`ContextNet::forward`].
    pub fn row<'s>(
        &self,
        params: &[f32],
        obs: &[f32],
        context: usize,
        state: &mut [f32],
        scratch: &'s mut Scratch,
    ) -> &'s [f32] {
        let [table, recurrent, mlp] = self.parts(params);
        let Scratch { input, output, net, .. } = scratch;
        input.resize(self.input(), 0.0);
        output.resize(self.mlp.output(), 0.0);
        self.fill(table, obs, context, input);
        if let Some(lstm) = &self.lstm {
            lstm.step(recurrent, input, state, net);
            self.mlp.forward_row(mlp, &state[..lstm.hidden()], output, net);
        } else {
            self.mlp.forward_row(mlp, input, output, net);
        }
        output
    }

    /// Outputs of all rows, `[paths, steps, outputs]`; states begin at zero.
    pub fn forward(&self, params: &[f32], paths: &PathRows, work: &mut Work) -> Vec<f32> {
        let mut y = vec![0.0; paths.contexts.len() * paths.steps * self.mlp.output()];
        let size = CHUNK * paths.steps * self.mlp.output();
        for (chunk, y) in paths.chunks(self.shape.obs).zip(y.chunks_mut(size.max(1))) {
            self.enter(params, &chunk, work);
            let Work { x, h, .. } = work;
            let [_, _, mlp] = self.parts(params);
            self.mlp.forward(mlp, &Rows::all(if self.lstm.is_some() { h } else { x }, self.mlp.input()), y);
        }
        y
    }

    /// Overwrite `grad` with the gradient of a loss whose derivatives `head` tells, as in [`Mlp::gradient`]; its first argument is the
    /// row's number among all paths.
    pub fn gradient(
        &self,
        params: &[f32],
        paths: &PathRows,
        head: &Derivatives,
        grad: &mut [f32],
        sums: &mut [f64],
        work: &mut Work,
    ) {
        grad.fill(0.0);
        sums.fill(0.0);
        let mut chunk_sums = vec![0.0; sums.len()];
        for (c, chunk) in paths.chunks(self.shape.obs).enumerate() {
            self.enter(params, &chunk, work);
            let Work { x, h, dx, dh, grad: part, tape, workspace, .. } = work;
            part.resize(grad.len(), 0.0);
            dx.resize(x.len(), 0.0);
            let (d_table, rest) = part.split_at_mut(self.table());
            let (d_recurrent, d_mlp) = rest.split_at_mut(self.lstm.as_ref().map_or(0, Lstm::num_params));
            let [_, recurrent, mlp] = self.parts(params);
            let first = c * CHUNK * paths.steps;
            let head = |row: usize, y: &[f32], dy: &mut [f32], sums: &mut [f64]| head(first + row, y, dy, sums);
            let sums_here = chunk_sums.as_mut_slice();
            if let Some(lstm) = &self.lstm {
                dh.resize(h.len(), 0.0);
                let rows = Rows::all(h, lstm.hidden());
                self.mlp.gradient_with_inputs(mlp, &rows, &head, d_mlp, dh, sums_here, workspace);
                lstm.backward(recurrent, dh, d_recurrent, Some(dx), tape);
            } else {
                let rows = Rows::all(x, self.input());
                self.mlp.gradient_with_inputs(mlp, &rows, &head, d_mlp, dx, sums_here, workspace);
            }
            d_table.fill(0.0);
            if self.shape.embedding > 0 {
                let rows =
                    dx.chunks_exact(self.input()).zip(chunk.contexts.iter().flat_map(|c| repeat(c, chunk.steps)));
                for (dx, context) in rows {
                    let d = &mut d_table[*context as usize * self.shape.embedding..][..self.shape.embedding];
                    d.iter_mut().zip(&dx[self.shape.obs..]).for_each(|(d, x)| *d += x);
                }
            }
            axpy(1.0, part, grad);
            sums.iter_mut().zip(&chunk_sums).for_each(|(sum, part)| *sum += part);
        }
    }

    /// Inputs into `work.x`, and the LSTM's outputs, where there is one, into `work.h`.
    fn enter(&self, params: &[f32], paths: &PathRows, work: &mut Work) {
        let [table, recurrent, _] = self.parts(params);
        let rows = paths.contexts.len() * paths.steps;
        work.x.resize(rows * self.input(), 0.0);
        let contexts = paths.contexts.iter().flat_map(|c| repeat(c, paths.steps));
        for ((x, obs), context) in
            work.x.chunks_exact_mut(self.input()).zip(paths.obs.chunks_exact(self.shape.obs)).zip(contexts)
        {
            self.fill(table, obs, *context as usize, x);
        }
        if let Some(lstm) = &self.lstm {
            work.lengths.clear();
            work.lengths.resize(paths.contexts.len(), paths.steps);
            work.h.resize(rows * lstm.hidden(), 0.0);
            let sequences = Sequences { x: &work.x, lengths: &work.lengths, start: None, reverse: false };
            lstm.forward(recurrent, &sequences, &mut work.h, &mut work.tape);
        }
    }

    /// One input row.
    fn fill(&self, table: &[f32], obs: &[f32], context: usize, x: &mut [f32]) {
        let (seen, told) = x.split_at_mut(self.shape.obs);
        seen.copy_from_slice(obs);
        if self.shape.embedding > 0 {
            told.copy_from_slice(&table[context * self.shape.embedding..][..self.shape.embedding]);
        } else {
            told.fill(0.0);
            told[context] = 1.0;
        }
    }

    fn input(&self) -> usize {
        self.shape.obs + if self.shape.embedding == 0 { self.shape.contexts } else { self.shape.embedding }
    }

    /// Length of the table of embeddings.
    fn table(&self) -> usize {
        self.shape.contexts * self.shape.embedding
    }

    /// Embeddings, LSTM, MLP.
    fn parts<'a>(&self, params: &'a [f32]) -> [&'a [f32]; 3] {
        let (table, rest) = params[..self.num_params()].split_at(self.table());
        let (recurrent, mlp) = rest.split_at(self.lstm.as_ref().map_or(0, Lstm::num_params));
        [table, recurrent, mlp]
    }
}

fn repeat<T>(item: &T, times: usize) -> impl Iterator<Item = &T> {
    std::iter::repeat_n(item, times)
}

impl<'a> PathRows<'a> {
    /// Some of the paths.
    pub fn first(&self, paths: usize, obs: usize) -> Self {
        let paths = paths.min(self.contexts.len());
        Self { obs: &self.obs[..paths * self.steps * obs], contexts: &self.contexts[..paths], ..*self }
    }

    fn chunks(&self, obs: usize) -> impl Iterator<Item = PathRows<'a>> {
        let steps = self.steps;
        let rows = self.obs.chunks(CHUNK * steps * obs);
        rows.zip(self.contexts.chunks(CHUNK)).map(move |(obs, contexts)| PathRows { obs, steps, contexts })
    }
}

/// A policy with contexts: at each reset one of the first [`ContextPolicy::active`] is drawn, and followed to the end of the episode.
///
/// Memory: a uniform number that says which of the active contexts it is, then the state of the LSTM. (The number of contexts may
/// grow between a reset and the first step; the draw stays uniform.)
#[derive(Debug)]
pub(crate) struct ContextPolicy {
    net: ContextNet,
    head: Head,
    /// The network's, then `log_std`.
    params: Vec<f32>,
    active: usize,
    work: Work,
}

impl ContextPolicy {
    /// A new policy; `shape.outputs` is told by the actions.
    pub fn new(shape: Shape, space: &Space, active: usize, log_std: f32, stream: &mut Stream) -> Result<Self> {
        let (head, outputs, extra) = Head::of(space);
        let net = ContextNet::new(Shape { outputs, ..shape })?;
        let mut params = vec![log_std; net.num_params() + extra];
        net.init(&mut params[..net.num_params()], stream);
        Ok(Self { net, head, params, active, work: Work::default() })
    }

    /// The policy that `archive` describes; see [`Actor::save`].
    pub fn from_archive(archive: &Archive, obs_dim: usize, space: &Space) -> Result<Self> {
        let layers = archive.shape("policy.sizes").unwrap_or(&[6]).to_vec();
        let sizes: Vec<usize> = archive.u64("policy.sizes", &layers)?.iter().map(|&n| n as usize).collect();
        let (_, outputs, _) = Head::of(space);
        let &[obs, contexts, embedding, cells, ref hidden @ .., found] = sizes.as_slice() else {
            return Err(Error::Invalid {
                what: format!("the policy of options has sizes {sizes:?}, which say too little"),
                hint: "use an older checkpoint of the run".to_owned(),
            });
        };
        if obs != obs_dim || found != outputs {
            return Err(Error::Invalid {
                what: format!(
                    "the policy has {obs} observations and {found} outputs, the environment has {obs_dim} observations and {outputs} action numbers"
                ),
                hint: "use the environment that the policy was trained on".to_owned(),
            });
        }
        let shape = Shape { obs, contexts, embedding, cells, hidden: hidden.to_vec(), outputs };
        let mut policy = Self::new(shape, space, 1, 0.0, &mut Stream::new(0, "unused", 0))?;
        policy.load(archive)?;
        Ok(policy)
    }

    /// Contexts that are drawn: `K`.
    pub fn active(&self) -> usize {
        self.active
    }

    /// Draw from more contexts from now on.
    pub fn set_active(&mut self, active: usize) {
        self.active = active.min(self.net.shape.contexts);
    }

    /// The context that a memory stands for.
    pub fn context(&self, memory: &[f32]) -> usize {
        ((memory[0] * self.active as f32) as usize).min(self.active - 1)
    }

    pub fn params(&self) -> &[f32] {
        &self.params
    }

    pub fn params_mut(&mut self) -> &mut [f32] {
        &mut self.params
    }

    /// Outputs of all rows and log-deviations: the distributions, for [`ContextPolicy::kl`].
    pub fn distributions(&mut self, paths: &PathRows) -> (Vec<f32>, Vec<f32>) {
        let y = self.net.forward(&self.params, paths, &mut self.work);
        (y, self.log_std().to_vec())
    }

    /// Mean of KL(old || now) over rows.
    pub fn kl(&self, old: &(Vec<f32>, Vec<f32>), now: &(Vec<f32>, Vec<f32>)) -> f64 {
        self.head.kl((&old.0, &old.1), (&now.0, &now.1), self.net.shape.outputs)
    }

    /// Mean entropy over the rows of distributions.
    pub fn entropy(&self, now: &(Vec<f32>, Vec<f32>)) -> f64 {
        self.head.entropy(|| now.0.clone(), self.net.shape.outputs, &now.1)
    }

    /// Log-probabilities of actions, `[paths, steps, act_dim]`.
    #[cfg(test)]
    pub fn log_probs(&mut self, paths: &PathRows, act: &[f32]) -> Vec<f32> {
        let (y, log_std) = self.distributions(paths);
        let mut out = vec![0.0; y.len() / self.net.shape.outputs];
        self.head.log_probs(&y, self.net.shape.outputs, &log_std, act, &mut out);
        out
    }

    /// Write into `grad` the gradient of `sum_i weight_i log pi(a_i|s_i, c) + entropy * sum_i H(pi(.|s_i, c))`.
    pub fn gradient(&mut self, paths: &PathRows, act: &[f32], weight: &[f32], entropy: f32, grad: &mut [f32]) {
        let (outputs, log_std) = (self.net.shape.outputs, &self.params[self.net.num_params()..]);
        let act_dim = self.head.act_dim(outputs);
        let fill = |first: usize, y: &[f32], dy: &mut [f32], sums: &mut [f64]| {
            let rows = first..first + y.len() / outputs;
            let act = &act[rows.start * act_dim..rows.end * act_dim];
            self.head.gradient((y, act, &weight[rows]), log_std, entropy, dy, sums);
        };
        let (head, extra) = grad.split_at_mut(self.net.num_params());
        let mut sums = vec![0.0; extra.len()];
        self.net.gradient(&self.params, paths, &fill, head, &mut sums, &mut self.work);
        extra.iter_mut().zip(sums).for_each(|(g, sum)| *g = sum as f32);
    }

    fn log_std(&self) -> &[f32] {
        &self.params[self.net.num_params()..]
    }

    /// Outputs for one observation.
    fn output<'s>(&self, obs: &[f32], memory: &mut [f32], scratch: &'s mut Scratch) -> &'s [f32] {
        let context = self.context(memory);
        self.net.row(&self.params, obs, context, &mut memory[1..], scratch)
    }
}

impl Actor for ContextPolicy {
    fn memory_len(&self) -> usize {
        1 + self.net.state_len()
    }

    fn begin(&self, stream: &mut Stream, memory: &mut [f32]) {
        memory.fill(0.0);
        memory[0] = stream.uniform() as f32;
    }

    fn options(&self) -> usize {
        self.active
    }

    fn follow(&self, option: usize, memory: &mut [f32]) {
        memory[0] = (option as f32 + 0.5) / self.active as f32;
    }

    fn act(&self, obs: &[f32], memory: &mut [f32], stream: &mut Stream, act: &mut [f32], scratch: &mut Scratch) -> f32 {
        self.head.sample(self.output(obs, memory, scratch), self.log_std(), stream, act)
    }

    fn mode(&self, obs: &[f32], memory: &mut [f32], act: &mut [f32], scratch: &mut Scratch) {
        self.head.mode(self.output(obs, memory, scratch), act);
    }

    fn save(&self, archive: &mut Archive) -> Result<()> {
        let Shape { obs, contexts, embedding, cells, hidden, outputs } = &self.net.shape;
        let sizes: Vec<u64> = [&[*obs, *contexts, *embedding, *cells], hidden.as_slice(), &[*outputs]]
            .concat()
            .iter()
            .map(|&n| n as u64)
            .collect();
        archive.set_note("kind", KIND);
        archive.put_u64("policy.sizes", &[sizes.len()], &sizes)?;
        archive.put_u64("policy.active", &[1], &[self.active as u64])?;
        Ok(archive.put_f32("policy.params", &[self.params.len()], &self.params)?)
    }

    fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32("policy.params", &[self.params.len()])?;
        self.active = (archive.u64("policy.active", &[1])?[0] as usize).clamp(1, self.net.shape.contexts);
        Ok(())
    }
}

/// The note in a policy archive that tells this kind of actor from others.
pub(crate) const KIND: &str = "options";

#[cfg(test)]
mod tests {
    use super::*;

    fn policies() -> impl Iterator<Item = ContextPolicy> {
        let spaces = [Space::Box { low: vec![-1.0; 2], high: vec![1.0; 2] }, Space::Discrete { n: 4 }];
        let shapes = [(0, 0), (3, 0), (0, 6), (3, 6)];
        spaces.into_iter().flat_map(move |space| {
            shapes.map(|(embedding, cells)| {
                let shape = Shape { obs: 3, contexts: 5, embedding, cells, hidden: vec![7], outputs: 0 };
                ContextPolicy::new(shape, &space, 4, -0.3, &mut Stream::new(1, "test", 0)).unwrap()
            })
        })
    }

    /// Paths of `steps` steps as a collector makes them: observations, actions, log-probabilities, contexts.
    fn collect(policy: &ContextPolicy, paths: usize, steps: usize) -> (Vec<f32>, Vec<f32>, Vec<f32>, Vec<u32>) {
        let mut stream = Stream::new(2, "rows", 0);
        let act_dim = policy.head.act_dim(policy.net.shape.outputs);
        let obs: Vec<f32> = (0..paths * steps * 3).map(|_| stream.normal() as f32).collect();
        let mut act = vec![0.0; paths * steps * act_dim];
        let (mut memory, mut scratch) = (vec![9.0; policy.memory_len()], Scratch::default());
        let (mut log_probs, mut contexts) = (Vec::new(), Vec::new());
        for (row, (obs, act)) in obs.chunks(3).zip(act.chunks_mut(act_dim)).enumerate() {
            if row % steps == 0 {
                policy.begin(&mut stream, &mut memory);
                contexts.push(policy.context(&memory) as u32);
            }
            log_probs.push(policy.act(obs, &mut memory, &mut stream, act, &mut scratch));
        }
        (obs, act, log_probs, contexts)
    }

    #[test]
    fn the_sampler_and_the_trainer_share_one_forward_function() {
        for mut policy in policies() {
            let (obs, act, log_probs, contexts) = collect(&policy, 300, 4);
            assert!(log_probs == policy.log_probs(&PathRows { obs: &obs, steps: 4, contexts: &contexts }, &act));
        }
    }

    #[test]
    fn contexts_are_uniform_below_the_active_number_and_stay_in_an_episode() {
        let mut policy = policies().next().unwrap();
        let mut memory = vec![0.0; policy.memory_len()];
        for active in [1, 4, 5] {
            policy.set_active(active);
            let (mut stream, mut counts) = (Stream::new(3, "contexts", 0), vec![0; active]);
            for _ in 0..4_000 {
                policy.begin(&mut stream, &mut memory);
                counts[policy.context(&memory)] += 1;
            }
            // Five standard deviations of a count.
            let (mean, spread) = (4_000.0 / active as f64, 5.0 * (4_000.0 / active as f64).sqrt());
            assert!(counts.iter().all(|&n| (f64::from(n) - mean).abs() < spread), "{counts:?}");
            for option in 0..active {
                policy.follow(option, &mut memory);
                assert_eq!(policy.context(&memory), option);
            }
        }
        memory[0] = 1.0;
        assert_eq!(policy.context(&memory), 4, "a draw that rounds to 1");
    }

    #[test]
    fn the_gradient_is_the_derivative_of_the_weighted_log_probabilities_and_the_entropy() {
        for mut policy in policies() {
            let (obs, act, _, contexts) = collect(&policy, 9, 4);
            let paths = PathRows { obs: &obs, steps: 4, contexts: &contexts };
            let weight: Vec<f32> = (0..36).map(|row| (row as f32 * 0.37).sin()).collect();
            let mut grad = vec![0.0; policy.params.len()];
            policy.gradient(&paths, &act, &weight, 0.25, &mut grad);
            let value = |policy: &mut ContextPolicy| {
                let log_probs = policy.log_probs(&paths, &act);
                let weighted: f64 = log_probs.iter().zip(&weight).map(|(l, w)| f64::from(*l) * f64::from(*w)).sum();
                let now = policy.distributions(&paths);
                weighted + 0.25 * policy.entropy(&now) * 36.0
            };
            for (i, got) in grad.iter().enumerate() {
                let at = policy.params[i];
                let mut side = |h: f32| {
                    policy.params[i] = at + h;
                    let v = value(&mut policy);
                    policy.params[i] = at;
                    v
                };
                let numeric = (side(1e-2) - side(-1e-2)) / 2e-2;
                // As for the MLP policy: f32 log-probabilities leave 1e-3 in the difference, the curvature over 1e-2 about as much.
                assert!((numeric - f64::from(*got)).abs() < 2e-2 * (1.0 + numeric.abs()), "{i}: {numeric} {got}");
            }
        }
    }

    #[test]
    fn a_saved_policy_acts_as_the_one_that_was_saved() {
        let space = Space::Box { low: vec![-1.0; 2], high: vec![1.0; 2] };
        for policy in policies().filter(|policy| policy.head == Head::Gaussian) {
            let mut archive = Archive::new();
            policy.save(&mut archive).unwrap();
            let copy = ContextPolicy::from_archive(&archive, 3, &space).unwrap();
            assert!(collect(&policy, 5, 4) == collect(&copy, 5, 4) && copy.active() == 4);
            let error = ContextPolicy::from_archive(&archive, 4, &space).unwrap_err().to_string();
            assert!(error.contains("3 observations"), "{error}");
        }
    }
}
