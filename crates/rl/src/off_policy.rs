//! What the off-policy algorithms share: experience with its counters, and a network that learns by Adam.

use tony_env::Spec;
use tony_nn::{Adam, Init, Mlp, Rows, Trace, polyak};
use tony_random::Stream;
use tony_run::{Archive, Metrics, Plan, settings};

use crate::actor_critic::{Nonlinearity, check_widths};
use crate::algorithm::Start;
use crate::critic::{load_adam, save_adam};
use crate::net_actor::{Head, NetActor, Scale};
use crate::replay::{Minibatch, Replay};
use crate::rollout::Rollout;
use crate::{Error, Result, train};

settings! {
    /// Off-policy learning
    pub struct Config {
        /// Widths of the hidden layers, of the policy and of every critic.
        "hidden" hidden: Vec<usize> = vec![256, 256];
        /// Non-linearity: tanh, relu or sin.
        "activation" activation: Nonlinearity = Nonlinearity::Relu;
        /// What each number of an observation is multiplied by before the networks see it; a single one: all of them. Gymnasium's Pendulum tells
        /// up to 8 rad/s: obs.scale=1,1,0.125.
        "obs.scale" obs_scale: Vec<f64> = vec![1.0];
        /// Discount of rewards.
        "gamma" gamma: f64 = 0.99, (0.0..=1.0);
        /// Rows of experience that are kept; an episode's end takes one of its own. Memory is taken as it fills.
        "replay" replay: usize = 1_000_000, (100..=1_000_000_000);
        /// Transitions a gradient step.
        "minibatch" minibatch: usize = 256, (1..=65_536);
        /// Gradient steps an update; 0: as many as environment steps were collected for it.
        "gradient_steps" gradient_steps: usize = 0, (0..=100_000);
        /// Environment steps with actions drawn uniformly, before anything is learned.
        "start_steps" start_steps: u64 = 100, (1..);
        /// Measure why learning diverges, or that it does not, on the last minibatch of each line of the records: row ratio of the kernel,
        /// alignment, contraction, largest |Q|.
        "diagnose" diagnose: bool = false;
    }
}

settings! {
    /// Off-policy learning, a policy beside its critics
    pub struct PolicyConfig {
        /// Non-linearity of the policy, where it is another one than the critics'.
        "policy.activation" activation: Option<Nonlinearity> = None;
    }
}

/// Experience, what was last drawn from it, and the counters that random streams follow.
pub struct Experience {
    /// Settings.
    pub config: Config,
    /// Everything that is remembered.
    pub replay: Replay,
    /// The present minibatch as networks see it: observations scaled, actions of a box in the cube `[-1, 1]^d`.
    pub batch: Minibatch,
    /// Gradient steps so far.
    pub taken: u64,
    /// Largest |reward| so far: with the discount it bounds every true value.
    pub largest_reward: f64,
    scale: Scale,
    seed: u64,
    steps: u64,
    log_updates: u64,
}

impl Experience {
    /// Nothing yet.
    pub fn new(plan: &Plan, start: Start) -> Result<Self> {
        start.without_policy(plan)?;
        let Start { spec, seed, .. } = start;
        let (config, run): (Config, train::Config) = (plan.group()?, plan.group()?);
        check_widths(&config.hidden)?;
        if config.replay < config.minibatch {
            return Err(Error::Invalid {
                what: format!("replay = {} holds less than minibatch = {}", config.replay, config.minibatch),
                hint: "a larger replay, or a smaller minibatch".to_owned(),
            });
        }
        let scale = Scale::new(&spec.action, &factors(&config.obs_scale, spec)?);
        let replay = Replay::new(&spec.name, spec.obs_dim, spec.action.row_len(), run.envs, config.replay);
        Ok(Self {
            config,
            replay,
            batch: Minibatch::default(),
            taken: 0,
            largest_reward: 0.0,
            scale,
            seed,
            steps: 0,
            log_updates: run.log_updates,
        })
    }

    /// A network for values, from `input` numbers to `output`.
    pub fn critic(&self, name: &'static str, input: usize, output: usize) -> Result<Net> {
        self.net(name, input, output, self.config.activation)
    }

    /// A policy beside its critics, from `input` numbers to `output`.
    pub fn policy(&self, plan: &Plan, input: usize, output: usize) -> Result<Net> {
        let config: PolicyConfig = plan.group()?;
        self.net("policy", input, output, config.activation.unwrap_or(self.config.activation))
    }

    fn net(&self, name: &'static str, input: usize, output: usize, activation: Nonlinearity) -> Result<Net> {
        let sizes = [&[input], self.config.hidden.as_slice(), &[output]].concat();
        Net::new(name, &sizes, activation, self.seed)
    }

    /// What acts by `net`, at first uniformly.
    pub fn actor(&self, net: &Net, head: Head) -> NetActor {
        NetActor::new(net.mlp.clone(), net.params.clone(), head, true, self.scale.clone())
    }

    /// Remember a batch; returns how many gradient steps are due.
    pub fn add(&mut self, rollout: &Rollout) -> usize {
        self.replay.append(rollout);
        self.steps += rollout.rows() as u64;
        let largest = rollout.reward.iter().fold(0.0_f32, |largest, r| largest.max(r.abs()));
        self.largest_reward = self.largest_reward.max(f64::from(largest));
        match (self.warming_up(), self.config.gradient_steps) {
            (true, _) => 0,
            (false, 0) => rollout.rows(),
            (false, steps) => steps,
        }
    }

    /// Environment steps so far.
    pub fn steps(&self) -> u64 {
        self.steps
    }

    /// Are actions still drawn uniformly?
    pub fn warming_up(&self) -> bool {
        self.steps < self.config.start_steps
    }

    /// Draw the next minibatch.
    pub fn draw(&mut self) {
        self.taken += 1;
        let mut stream = self.stream("replay");
        self.replay.sample(self.config.minibatch, &mut stream, &mut self.batch);
        self.scale.shrink(&mut self.batch.act);
        self.scale.observe(&mut self.batch.obs);
        self.scale.observe(&mut self.batch.next_obs);
    }

    /// The random numbers of the present gradient step that are called so.
    pub fn stream(&self, name: &str) -> Stream {
        Stream::new(self.seed, name, self.taken)
    }

    /// Standard normal numbers of the present gradient step that are called so.
    pub fn normals(&self, name: &str, count: usize) -> Vec<f32> {
        let mut stream = self.stream(name);
        (0..count).map(|_| stream.normal() as f32).collect()
    }

    /// Is step number `step` of `due` in this update one to be diagnosed: the last before a line of the records?
    pub fn diagnoses(&self, rollout: &Rollout, step: usize, due: usize) -> bool {
        self.config.diagnose && step + 1 == due && (rollout.update + 1).is_multiple_of(self.log_updates)
    }

    /// Write counters and how far the replay is.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        archive.put_u64("experience.counters", &[2], &[self.steps, self.taken])?;
        archive.put_f64("experience.largest_reward", &[1], &[self.largest_reward])?;
        self.replay.save(archive)
    }

    /// Read back what [`Experience::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        let counters = archive.u64("experience.counters", &[2])?;
        (self.steps, self.taken) = (counters[0], counters[1]);
        self.largest_reward = archive.f64("experience.largest_reward", &[1])?[0];
        self.replay.load(archive)
    }
}

/// A factor for each number of an observation; none where all are 1.
fn factors(given: &[f64], spec: &Spec) -> Result<Vec<f64>> {
    if given.iter().any(|factor| !factor.is_finite() || *factor == 0.0) || ![1, spec.obs_dim].contains(&given.len()) {
        return Err(Error::Invalid {
            what: format!("obs.scale = {given:?} does not fit the observations of {}", spec.name),
            hint: format!("give one factor for all, or {} of them, none 0", spec.obs_dim),
        });
    }
    if given.iter().all(|factor| *factor == 1.0) {
        return Ok(Vec::new());
    }
    Ok(given.iter().copied().cycle().take(spec.obs_dim).collect())
}

/// A network with its optimiser, its target network if it has one, and the minibatch that last went through it.
#[derive(Debug)]
pub struct Net {
    /// Its place in archives and messages.
    pub name: &'static str,
    /// Its shape.
    pub mlp: Mlp,
    /// Its parameters.
    pub params: Vec<f32>,
    /// Those of its target network; empty without one.
    pub target: Vec<f32>,
    /// The gradient that was last computed.
    pub grad: Vec<f32>,
    /// The minibatch on its way.
    pub trace: Trace,
    adam: Adam,
}

impl Net {
    /// A network of these sizes; initial weights as `PyTorch`'s layers begin, from the stream `init.NAME`.
    pub fn new(name: &'static str, sizes: &[usize], activation: Nonlinearity, seed: u64) -> Result<Self> {
        let mlp = Mlp::new(sizes, activation.activation())?;
        let n = mlp.num_params();
        let mut params = vec![0.0; n];
        mlp.init(&mut params, Init::KaimingUniform, &mut Stream::new(seed, &format!("init.{name}"), 0));
        let adam = Adam::new(n, 0.9, 0.999, 1e-8);
        Ok(Self { name, mlp, params, target: Vec::new(), grad: vec![0.0; n], trace: Trace::default(), adam })
    }

    /// The same with a target network, which begins alike.
    #[must_use]
    pub fn with_target(self) -> Self {
        Self { target: self.params.clone(), ..self }
    }

    /// Outputs for rows of inputs, kept for the way back.
    pub fn forward(&mut self, x: &[f32]) -> Vec<f32> {
        let rows = Rows::all(x, self.mlp.input());
        let mut y = vec![0.0; rows.len() * self.mlp.output()];
        self.trace.forward(&self.mlp, &self.params, &rows, &mut y);
        y
    }

    /// Outputs under these parameters, its own or its target network's; nothing kept.
    pub fn outputs(&self, params: &[f32], x: &[f32]) -> Vec<f32> {
        let rows = Rows::all(x, self.mlp.input());
        let mut y = vec![0.0; rows.len() * self.mlp.output()];
        self.mlp.forward(params, &rows, &mut y);
        y
    }

    /// Go back from derivatives by the outputs.
    pub fn backward(&mut self, dy: &[f32]) {
        self.trace.backward(&self.mlp, &self.params, dy);
    }

    /// After [`Net::backward`]: derivatives by the inputs.
    pub fn by_input(&mut self) -> Vec<f32> {
        let mut dx = vec![0.0; self.trace.rows() * self.mlp.input()];
        self.trace.input_gradient(&self.mlp, &self.params, &mut dx);
        dx
    }

    /// After [`Net::backward`]: the gradient by the parameters into `grad`; an error if it is not finite. Its norm is at most `max_norm`.
    pub fn by_params(&mut self, max_norm: f64) -> Result<()> {
        self.trace.gradient(&self.mlp, None, &mut self.grad);
        if tony_nn::clip_norm(&mut self.grad, max_norm).is_finite() {
            return Ok(());
        }
        Err(Error::non_finite(format!("gradient of the network `{}`", self.name), 0))
    }

    /// One step of Adam down `grad`.
    pub fn descend(&mut self, lr: f64) {
        self.adam.step(&mut self.params, &self.grad, lr);
    }

    /// Take the target network this share of the way to the present parameters.
    pub fn follow(&mut self, tau: f32) {
        polyak(tau, &self.params, &mut self.target);
    }

    /// Write parameters, target network and optimiser.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        archive.put_f32(&format!("{}.params", self.name), &[self.params.len()], &self.params)?;
        if !self.target.is_empty() {
            archive.put_f32(&format!("{}.target", self.name), &[self.target.len()], &self.target)?;
        }
        save_adam(&self.adam, &format!("{}.adam", self.name), archive)
    }

    /// Read back what [`Net::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32(&format!("{}.params", self.name), &[self.params.len()])?;
        if !self.target.is_empty() {
            self.target = archive.f32(&format!("{}.target", self.name), &[self.target.len()])?;
        }
        load_adam(&mut self.adam, &format!("{}.adam", self.name), archive)
    }
}

/// Rows of `a` and of `b` side by side: what a state-action value takes.
pub fn beside(a: &[f32], b: &[f32], rows: usize) -> Vec<f32> {
    let (wide, narrow) = (a.len() / rows, b.len() / rows);
    let mut all = Vec::with_capacity(a.len() + b.len());
    for (a, b) in a.chunks_exact(wide).zip(b.chunks_exact(narrow)) {
        all.extend_from_slice(a);
        all.extend_from_slice(b);
    }
    all
}

/// The last `width` numbers of each row of `rows` rows: what a state-action value's derivative says of the action.
pub fn last_columns(x: &[f32], width: usize, rows: usize) -> Vec<f32> {
    x.chunks_exact(x.len() / rows).flat_map(|row| &row[row.len() - width..]).copied().collect()
}

/// The smaller of two columns, row by row.
pub fn smaller(a: &[f32], b: &[f32]) -> Vec<f32> {
    // Written so that a NaN passes through.
    a.iter().zip(b).map(|(a, b)| if a < b || a.is_nan() { *a } else { *b }).collect()
}

/// `r + gamma (1 - d) Q'`, where `d` marks real ends only: after a time limit the value goes on.
pub fn td_targets(batch: &Minibatch, gamma: f64, next: &[f32]) -> Vec<f32> {
    let rows = batch.reward.iter().zip(&batch.live).zip(next);
    rows.map(|((reward, live), next)| reward + gamma as f32 * live * next).collect()
}

/// One step of Adam on `mean (Q - target)^2` after the minibatch went through `q`; returns the loss.
pub fn fit(q: &mut Net, values: &[f32], targets: &[f32], lr: f64) -> Result<f64> {
    let scale = 2.0 / values.len() as f32;
    let dy: Vec<f32> = values.iter().zip(targets).map(|(q, target)| scale * (q - target)).collect();
    q.backward(&dy);
    q.by_params(f64::INFINITY)?;
    q.descend(lr);
    let squares = values.iter().zip(targets).map(|(q, target)| f64::from(q - target).powi(2));
    Ok(squares.sum::<f64>() / values.len() as f64)
}

/// One step of Adam up the deterministic policy gradient (Silver et al. 2014): the mean over the batch of `grad_phi mu(s) grad_a Q(s, a)` at
/// `a = mu(s) = tanh(policy(s))`. Returns the mean of `Q`.
pub fn ascend(policy: &mut Net, q: &mut Net, obs: &[f32], lr: f64) -> Result<f64> {
    let mut act = policy.forward(obs);
    act.iter_mut().for_each(|a| *a = tony_nn::tanh(*a));
    let rows = act.len() / policy.mlp.output();
    let values = q.forward(&beside(obs, &act, rows));
    q.backward(&vec![-1.0 / rows as f32; rows]);
    let mut dy = last_columns(&q.by_input(), policy.mlp.output(), rows);
    dy.iter_mut().zip(&act).for_each(|(dy, a)| *dy *= 1.0 - a * a);
    policy.backward(&dy);
    policy.by_params(f64::INFINITY)?;
    policy.descend(lr);
    Ok(mean(&values))
}

/// Mean of a column.
pub fn mean(column: &[f32]) -> f64 {
    column.iter().map(|x| f64::from(*x)).sum::<f64>() / column.len().max(1) as f64
}

/// Quantities of every line that these algorithms do not have.
pub fn nothing_on_policy(metrics: &mut Metrics) {
    metrics.set_none("Train/KL");
    metrics.set_none("Train/Entropy");
}
