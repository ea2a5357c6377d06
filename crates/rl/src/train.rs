//! A training of an agent: collect, learn, and again.

use std::sync::atomic::Ordering;
use std::time::Instant;

use tony_env::{Env, Spec, Step};
use tony_random::Stream;
use tony_run::{Archive, Control, Metrics, Part, Plan, Tally, Training, phase, settings};

use crate::algorithm::{Algorithm, MakePolicy, Start};
use crate::algorithms;
use crate::collector::Collector;
use crate::context_policy::{self, ContextPolicy};
use crate::net_actor::{self, NetActor};
use crate::policy::{Actor, MlpPolicy, Scratch};
use crate::replay::Replay;
use crate::rollout::Rollout;
use crate::{Error, Result};

settings! {
    /// Run
    pub struct Config {
        /// Named set of settings to start from; `tony list algos` names them.
        "preset" preset: String = "default".to_owned();
        /// Environment steps in all; rounded up to whole lines of the records.
        "steps" steps: u64 = 1_000_000, (1..);
        /// Everything random in the run follows from this.
        "seed" seed: u64 = 0;
        /// Environments that are stepped side by side. A part of the experiment: results depend on it (never on the number of threads).
        "envs" envs: usize = 4, (1..=4096);
        /// Environment steps an update, over all environments.
        "steps_per_update" steps_per_update: usize = 20_000, (1..=100_000_000);
        /// Whole episodes an update, over all environments, however many steps they take; none: steps_per_update.
        "episodes_per_update" episodes_per_update: Option<usize> = None, if |episodes| episodes.is_none_or(|n| n > 0), "none, or a whole number, at least 1";
        /// So many consecutive environments see the same episodes: each group begins its n-th ones with the same seed.
        "group" group: usize = 1, (1..=4096);
        /// Updates that share a line of the records, as means. A checkpoint falls on such a line.
        "log.updates" log_updates: u64 = 1, (1..=1_000_000);
        /// Rewards are multiplied by this before the algorithm sees them; returns are told unscaled.
        "reward.scale" reward_scale: f64 = 1.0, (1e-9..=1e9);
        /// A time limit of episodes in training, shorter than the task's own; none: the task's.
        "episode_steps" episode_steps: Option<usize> = None, if |steps| steps.is_none_or(|n| n > 0), "none, or a whole number, at least 1";
        /// Seconds between checkpoints, at least; the last update is always committed.
        "checkpoint.seconds" checkpoint_seconds: f64 = 10.0, (0.0..=1e9);
    }
}

/// A training: environments, algorithm, counters.
pub struct Trainer {
    config: Config,
    spec: Spec,
    collector: Collector,
    rollout: Rollout,
    algorithm: Box<dyn Algorithm>,
    tally: Tally,
}

impl Trainer {
    /// Build from a plan and its `envs` environments. Everything that can be refused is refused here, before the first step.
    pub fn new(plan: &Plan, envs: Vec<Box<dyn Env>>) -> Result<Self> {
        Self::build(plan, envs, None)
    }

    /// [`Trainer::new`] around a ready policy, which an on-policy algorithm then improves.
    pub fn with_policy(plan: &Plan, envs: Vec<Box<dyn Env>>, policy: &MakePolicy) -> Result<Self> {
        Self::build(plan, envs, Some(policy))
    }

    fn build(plan: &Plan, envs: Vec<Box<dyn Env>>, policy: Option<&MakePolicy>) -> Result<Self> {
        let mut config: Config = plan.group()?;
        let spec = envs.first().map(|env| env.spec().clone()).ok_or_else(|| Error::Invalid {
            what: "a training needs an environment".to_owned(),
            hint: "set envs to 1 or more".to_owned(),
        })?;
        let start = Start { spec: &spec, seed: config.seed, policy };
        let algorithm = algorithms::find(&plan.algorithm)?.build(plan, start)?;
        if config.episodes_per_update.is_some()
            && (algorithm.steps_per_update().is_some() || algorithm.replay().is_some())
        {
            return Err(Error::Invalid {
                what: format!("{} counts steps and takes no episodes_per_update", plan.algorithm),
                hint: "leave episodes_per_update out, or use an on-policy algorithm: tony list algos".to_owned(),
            });
        }
        config.steps_per_update = algorithm.steps_per_update().unwrap_or(config.steps_per_update);
        let collector = Collector::new(envs, algorithm.actor(), &config)?;
        let mut rollout = Rollout::new(spec.obs_dim, spec.action.row_len(), spec.costs.len(), 0);
        rollout.memory_len = algorithm.actor().memory_len();
        Ok(Self { config, spec, collector, rollout, algorithm, tally: Tally::default() })
    }

    /// Collect and learn `log.updates` times, without records. `steps` is the length of the whole training, which schedules follow.
    pub fn update(&mut self, steps: u64, control: &Control) -> Result<Metrics> {
        let mut episodes = Episodes::new(self.spec.costs.len());
        let mut means = Means::default();
        for _ in 0..self.config.log_updates {
            let metrics = self.learn(steps, control)?;
            episodes.add(&self.rollout);
            means.add(&metrics);
        }
        let mut metrics = self.tally.line();
        metrics.put("Metrics/EpRet", episodes.mean(episodes.ret));
        let total = self.spec.costs.iter().position(|name| name == "cost");
        metrics.put("Metrics/EpCost", total.and_then(|channel| episodes.mean(episodes.costs[channel])));
        metrics.put("Metrics/EpLen", episodes.mean(episodes.length as f64));
        for (channel, name) in self.spec.costs.iter().enumerate().filter(|(channel, _)| Some(*channel) != total) {
            metrics.put(&format!("Cost/{name}"), episodes.mean(episodes.costs[channel]));
        }
        means.write(&mut metrics);
        Ok(metrics)
    }

    /// Collect one batch and learn from it.
    fn learn(&mut self, steps: u64, control: &Control) -> Result<Metrics> {
        control.phase.store(phase::COLLECT, Ordering::Relaxed);
        let clock = Instant::now();
        self.rollout.update = self.tally.updates;
        self.rollout.progress = (self.tally.steps as f64 / steps as f64).min(1.0);
        let cpu = self.collector.collect(self.algorithm.actor(), &mut self.rollout, &control.steps)?;
        let wall = clock.elapsed().as_secs_f64();
        let share = cpu.physics / (cpu.physics + cpu.policy).max(f64::MIN_POSITIVE);
        self.tally.times.physics += wall * share;
        self.tally.times.policy += wall * (1.0 - share);

        control.phase.store(phase::UPDATE, Ordering::Relaxed);
        let clock = Instant::now();
        let in_update = |error: Error| error.in_update(self.tally.updates + 1);
        let mut metrics = Metrics::new();
        self.algorithm.actor().settle(&mut self.rollout, &mut metrics).map_err(in_update)?;
        if let Some((quantity, row)) = self.rollout.first_non_finite() {
            return Err(in_update(Error::non_finite(quantity, row)));
        }
        if self.config.reward_scale != 1.0 {
            self.rollout.reward.iter_mut().for_each(|reward| *reward *= self.config.reward_scale as f32);
        }
        let flops = tony_nn::flop_count();
        self.algorithm.update(&self.rollout, &mut metrics).map_err(in_update)?;
        self.tally.times.update_flops += tony_nn::flop_count() - flops;
        self.tally.steps += self.rollout.rows() as u64;
        self.tally.updates += 1;
        self.tally.times.update += clock.elapsed().as_secs_f64();
        Ok(metrics)
    }

    /// What acts, as it is.
    pub fn actor(&self) -> &dyn Actor {
        self.algorithm.actor()
    }

    /// The algorithm as it is.
    pub fn algorithm(&self) -> &dyn Algorithm {
        self.algorithm.as_ref()
    }

    /// What the environments are.
    pub fn spec(&self) -> &Spec {
        &self.spec
    }
}

impl Training for Trainer {
    type Error = Error;

    fn tally(&self) -> &Tally {
        &self.tally
    }

    fn tally_mut(&mut self) -> &mut Tally {
        &mut self.tally
    }

    fn checkpoint_seconds(&self) -> f64 {
        self.config.checkpoint_seconds
    }

    fn advance(&mut self, steps: u64, control: &Control) -> Result<Metrics> {
        let before = self.tally.times;
        let mut metrics = self.update(steps, control)?;
        let now = self.tally.times;
        metrics.set("Time/Physics", now.physics - before.physics);
        metrics.set("Time/Policy", now.policy - before.policy);
        metrics.set("Time/Update", now.update - before.update);
        Ok(metrics)
    }

    fn save(&self, policy: &mut Archive, trainer: &mut Archive) -> Result<()> {
        self.algorithm.actor().save(policy)?;
        self.algorithm.save(trainer)?;
        self.collector.save(trainer)
    }

    fn load(&mut self, policy: &Archive, trainer: &Archive) -> Result<()> {
        self.algorithm.actor_mut().load(policy)?;
        self.algorithm.load(trainer)?;
        self.collector.load(trainer)
    }

    /// The rows of the replay, if there is one.
    fn parts(&self) -> Vec<Part<'_>> {
        self.algorithm.replay().map_or_else(Vec::new, Replay::parts)
    }

    fn load_parts(&mut self, read: &dyn Fn(&str) -> tony_run::Result<Archive>) -> Result<()> {
        self.algorithm.replay_mut().map_or(Ok(()), |replay| replay.load_rows(read))
    }
}

/// Sums over the episodes that finished since the last line of the records.
struct Episodes {
    count: usize,
    ret: f64,
    costs: Vec<f64>,
    length: usize,
}

impl Episodes {
    fn new(costs: usize) -> Self {
        Self { count: 0, ret: 0.0, costs: vec![0.0; costs], length: 0 }
    }

    fn add(&mut self, rollout: &Rollout) {
        for (i, end) in rollout.ends.iter().enumerate() {
            let Some(episode) = end.episode else { continue };
            self.count += 1;
            self.ret += episode.ret;
            self.length += episode.length;
            let costs = &rollout.episode_costs[i * rollout.n_costs..][..rollout.n_costs];
            self.costs.iter_mut().zip(costs).for_each(|(sum, cost)| *sum += cost);
        }
    }

    fn mean(&self, sum: f64) -> Option<f64> {
        (self.count > 0).then(|| sum / self.count as f64)
    }
}

/// Means of what the algorithm measured, over the updates in which it did.
#[derive(Default)]
struct Means {
    sums: Vec<(String, f64, u32)>,
}

impl Means {
    fn add(&mut self, metrics: &Metrics) {
        for (name, value) in metrics.iter() {
            let at = self.sums.iter().position(|(known, ..)| known == name).unwrap_or_else(|| {
                self.sums.push((name.to_owned(), 0.0, 0));
                self.sums.len() - 1
            });
            if let Some(value) = value {
                self.sums[at].1 += value;
                self.sums[at].2 += 1;
            }
        }
    }

    fn write(&self, metrics: &mut Metrics) {
        for (name, sum, count) in &self.sums {
            metrics.put(name, (*count > 0).then(|| sum / f64::from(*count)));
        }
    }
}

/// The deployable actor in a checkpoint, for an environment of its shape.
pub fn load_actor(archive: &Archive, spec: &Spec) -> Result<Box<dyn Actor>> {
    match archive.note("kind") {
        None => Ok(Box::new(MlpPolicy::from_archive(archive, spec.obs_dim, &spec.action)?)),
        Some(net_actor::KIND) => Ok(Box::new(NetActor::from_archive(archive, spec)?)),
        Some(context_policy::KIND) => Ok(Box::new(ContextPolicy::from_archive(archive, spec.obs_dim, &spec.action)?)),
        Some(kind) => Err(Error::Invalid {
            what: format!("the checkpoint holds a policy of kind `{kind}`, which this version does not know"),
            hint: "use the version that wrote the run: manifest.json names it".to_owned(),
        }),
    }
}

/// Sums over one evaluated episode.
#[derive(Clone, Debug, PartialEq)]
pub struct EpisodeSums {
    /// Undiscounted return.
    pub ret: f64,
    /// Undiscounted cost by channel.
    pub costs: Vec<f64>,
    /// Length in steps.
    pub length: usize,
}

/// Run the deterministic actor for `episodes` fresh episodes, each a function of `seed` and its number; an actor with options follows
/// option `i mod options` in episode `i`. `observe` sees the environment after every reset (no step) and step, with the observation and
/// the costs.
pub fn evaluate(
    actor: &dyn Actor,
    env: &mut dyn Env,
    episodes: usize,
    seed: u64,
    observe: &mut dyn FnMut(usize, &dyn Env, Option<&Step>, &[f64], &[f64]),
) -> Result<Vec<EpisodeSums>> {
    let spec = env.spec().clone();
    let (mut obs, mut narrow) = (vec![0.0; spec.obs_dim], vec![0.0_f32; spec.obs_dim]);
    let (mut action, mut act) = (vec![0.0; spec.action.row_len()], vec![0.0_f32; spec.action.row_len()]);
    let mut costs = vec![0.0; spec.costs.len()];
    let (mut memory, mut scratch) = (vec![0.0; actor.memory_len()], Scratch::default());
    let mut all = Vec::with_capacity(episodes);
    for episode in 0..episodes {
        let mut stream = Stream::new(seed, "evaluation", episode as u64);
        env.reset(stream.bits() >> 32, &mut obs)?;
        actor.begin(&mut stream, &mut memory);
        scratch.kept = None;
        if actor.options() > 0 {
            actor.follow(episode % actor.options(), &mut memory);
        }
        costs.fill(0.0);
        observe(episode, env, None, &obs, &costs);
        let mut sums = EpisodeSums { ret: 0.0, costs: vec![0.0; costs.len()], length: 0 };
        loop {
            narrow.iter_mut().zip(&obs).for_each(|(n, w)| *n = *w as f32);
            actor.mode(&narrow, &mut memory, &mut act, &mut scratch);
            action.iter_mut().zip(&act).for_each(|(w, n)| *w = f64::from(*n));
            let step = env.step(&action, &mut obs, &mut costs)?;
            observe(episode, env, Some(&step), &obs, &costs);
            sums.ret += step.reward;
            sums.costs.iter_mut().zip(&costs).for_each(|(sum, cost)| *sum += cost);
            sums.length += 1;
            if step.terminated || step.truncated {
                break;
            }
        }
        all.push(sums);
    }
    Ok(all)
}
