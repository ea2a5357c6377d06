//! The collector: steps environments with a frozen policy, resets them, and fills a [`Rollout`].
//!
//! Each environment is a lane with random streams of its own, and runs its whole share of the batch without waiting for the others:
//! threads take lanes, and no bit depends on how many threads there are. Where environments work elsewhere ([`Env::works_ahead`]), a thread
//! takes several lanes and begins a step in each before it waits for the first; an actor that acts faster for many environments at once
//! ([`Actor::together`]) has them stepped in lockstep: with the same bits.
//!
//! A share is so many rows or so many whole episodes. Rows are laid down lane by lane.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use tony_env::{Env, Spec};
use tony_random::Stream;
use tony_run::Archive;

use crate::policy::{Actor, Scratch, Seat};
use crate::rollout::{End, Episode, Rollout};
use crate::train::Config;
use crate::{Error, Result};

/// Steps environments and fills rollouts.
pub struct Collector {
    lanes: Vec<Lane>,
    share: Share,
    /// A time limit shorter than the task's own.
    episode_steps: usize,
}

/// Where a batch's time went, in CPU seconds summed over the lanes; in lockstep the policy's are the clock's.
#[derive(Clone, Copy, Debug, Default)]
pub struct CollectTimes {
    /// In the environments' steps and resets.
    pub physics: f64,
    /// In the policy.
    pub policy: f64,
}

/// What each lane makes in a batch.
#[derive(Clone, Copy)]
enum Share {
    Rows(usize),
    Episodes(usize),
}

struct Lane {
    env: Box<dyn Env>,
    index: u64,
    /// Environments of one group draw the same episode seeds.
    group: u64,
    seed: u64,
    noise: Stream,
    /// Episodes started so far: the counter of the reset seeds.
    episodes: u64,
    obs: Vec<f64>,
    action: Vec<f64>,
    costs: Vec<f64>,
    /// What the actor carries from step to step.
    memory: Vec<f32>,
    /// Sums of the running episode.
    sums: Sums,
    rows: Rows,
    /// Episodes finished in this batch.
    finished: usize,
    ends: Vec<End>,
    final_obs: Vec<f32>,
    start_memory: Vec<f32>,
    episode_costs: Vec<f64>,
    scratch: Scratch,
    times: CollectTimes,
}

#[derive(Clone, Debug, Default)]
struct Sums {
    ret: f64,
    costs: Vec<f64>,
    length: usize,
}

/// A lane's rows of the batch, as [`Rollout`] names them.
#[derive(Debug, Default)]
struct Rows {
    obs: Vec<f32>,
    act: Vec<f32>,
    log_prob: Vec<f32>,
    reward: Vec<f32>,
    costs: Vec<f32>,
}

impl Collector {
    /// One lane for each environment. Of `config` it reads the seed, the share of a batch, the time limit and the groups.
    pub fn new(envs: Vec<Box<dyn Env>>, actor: &dyn Actor, config: &Config) -> Result<Self> {
        let (key, all) = match config.episodes_per_update {
            Some(episodes) => ("episodes_per_update", episodes),
            None => ("steps_per_update", config.steps_per_update),
        };
        for (key, all, by) in [(key, all, envs.len()), ("envs", envs.len(), config.group)] {
            if all == 0 || !all.is_multiple_of(by) {
                let by_key = if key == "envs" { "group" } else { "envs" };
                return Err(Error::Invalid {
                    what: format!("{key} = {all} cannot be shared by {by_key} = {by}"),
                    hint: format!("choose {key} as a multiple of {by_key}"),
                });
            }
        }
        let each = all / envs.len();
        let share = if config.episodes_per_update.is_some() { Share::Episodes(each) } else { Share::Rows(each) };
        let memory = actor.memory_len();
        let mut lanes: Vec<Lane> = (0..)
            .zip(envs)
            .map(|(index, env)| Lane::new(env, index, index / config.group as u64, config.seed, memory))
            .collect();
        for lane in &mut lanes {
            lane.reset(actor)?;
        }
        Ok(Self { lanes, share, episode_steps: config.episode_steps.unwrap_or(usize::MAX) })
    }

    /// What the environments are.
    pub fn spec(&self) -> &Spec {
        self.lanes[0].env.spec()
    }

    /// Fill `rollout`, counting steps in `progress` as they are made.
    pub fn collect(&mut self, actor: &dyn Actor, rollout: &mut Rollout, progress: &AtomicU64) -> Result<CollectTimes> {
        let mut times = CollectTimes::default();
        if actor.together() {
            times.policy = self.run_together(actor, progress)?;
        } else {
            let (share, limit) = (self.share, self.episode_steps);
            let ahead = self.lanes.iter().all(|lane| lane.env.works_ahead());
            let count = if ahead { self.lanes.len().min(rayon::current_num_threads()) } else { self.lanes.len() };
            let mut groups: Vec<Vec<&mut Lane>> = (0..count).map(|_| Vec::new()).collect();
            for (i, lane) in self.lanes.iter_mut().enumerate() {
                groups[i % count].push(lane);
            }
            let outcomes: Vec<Result<()>> =
                groups.par_iter_mut().map(|lanes| run(lanes, actor, share, limit, progress)).collect();
            outcomes.into_iter().collect::<Result<()>>()?;
        }
        rollout.clear();
        for lane in &self.lanes {
            let first = rollout.rows();
            rollout.obs.extend_from_slice(&lane.rows.obs);
            rollout.act.extend_from_slice(&lane.rows.act);
            rollout.log_prob.extend_from_slice(&lane.rows.log_prob);
            rollout.reward.extend_from_slice(&lane.rows.reward);
            rollout.costs.extend_from_slice(&lane.rows.costs);
            rollout.ends.extend(lane.ends.iter().map(|end| End { row: first + end.row, ..*end }));
            rollout.final_obs.extend_from_slice(&lane.final_obs);
            rollout.memory.extend_from_slice(&lane.start_memory);
            rollout.episode_costs.extend_from_slice(&lane.episode_costs);
            times.physics += lane.times.physics;
            times.policy += lane.times.policy;
        }
        Ok(times)
    }

    /// Step all lanes side by side until each has its share. Returns the seconds spent in the policy.
    fn run_together(&mut self, actor: &dyn Actor, progress: &AtomicU64) -> Result<f64> {
        let (share, limit) = (self.share, self.episode_steps);
        self.lanes.iter_mut().for_each(Lane::begin);
        let mut policy = 0.0;
        loop {
            let mut open: Vec<&mut Lane> = self.lanes.iter_mut().filter(|lane| lane.owes(share)).collect();
            if open.is_empty() {
                return Ok(policy);
            }
            let mut clock = Instant::now();
            let mut seats: Vec<Seat> = open.iter_mut().map(|lane| lane.seat()).collect();
            actor.act_together(&mut seats);
            drop(seats);
            open.iter_mut().try_for_each(|lane| lane.send())?;
            policy += lap(&mut clock);
            let outcomes: Vec<Result<()>> = open
                .par_iter_mut()
                .map(|lane| {
                    let mut clock = Instant::now();
                    lane.step(actor, share, limit)?;
                    lane.times.physics += lap(&mut clock);
                    Ok(())
                })
                .collect();
            progress.fetch_add(open.len() as u64, Ordering::Relaxed);
            outcomes.into_iter().collect::<Result<()>>()?;
        }
    }

    /// Everything that the next batch depends on.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        for lane in &self.lanes {
            let name = |field: &str| format!("env.{}.{field}", lane.index);
            let mut state = Vec::new();
            lane.env.save(&mut state);
            archive.put_bytes(&name("state"), &state)?;
            archive.put_f64(&name("observation"), &[lane.obs.len()], &lane.obs)?;
            archive.put_u64(
                &name("counters"),
                &[3],
                &[lane.noise.position(), lane.episodes, lane.sums.length as u64],
            )?;
            archive.put_f32(&name("memory"), &[lane.memory.len()], &lane.memory)?;
            let mut sums = lane.sums.costs.clone();
            sums.push(lane.sums.ret);
            archive.put_f64(&name("sums"), &[sums.len()], &sums)?;
        }
        Ok(())
    }

    /// Go on from what [`Collector::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        for lane in &mut self.lanes {
            let index = lane.index;
            let name = |field: &str| format!("env.{index}.{field}");
            lane.env.load(archive.bytes(&name("state"))?)?;
            lane.obs = archive.f64(&name("observation"), &[lane.obs.len()])?;
            lane.memory = archive.f32(&name("memory"), &[lane.memory.len()])?;
            let counters = archive.u64(&name("counters"), &[3])?;
            lane.noise.seek(counters[0]);
            lane.episodes = counters[1];
            let mut sums = archive.f64(&name("sums"), &[lane.sums.costs.len() + 1])?;
            lane.sums.ret = sums.pop().unwrap_or_default();
            lane.sums.costs = sums;
            lane.sums.length = counters[2] as usize;
        }
        Ok(())
    }
}

/// The seed of episode `episode` of the environments of group `group`: 32 bits, the width of the seeds of the reference environments.
fn episode_seed(seed: u64, group: u64, episode: u64) -> u64 {
    let mut stream = Stream::new(seed, "episode", group);
    stream.seek(2 * episode);
    stream.bits() >> 32
}

impl Lane {
    fn new(env: Box<dyn Env>, index: u64, group: u64, seed: u64, memory: usize) -> Self {
        let (obs, action, costs) = (env.spec().obs_dim, env.spec().action.row_len(), env.spec().costs.len());
        Self {
            env,
            index,
            group,
            seed,
            noise: Stream::new(seed, "action", index),
            episodes: 0,
            obs: vec![0.0; obs],
            action: vec![0.0; action],
            costs: vec![0.0; costs],
            memory: vec![0.0; memory],
            sums: Sums { costs: vec![0.0; costs], ..Sums::default() },
            rows: Rows::default(),
            finished: 0,
            ends: Vec::new(),
            final_obs: Vec::new(),
            start_memory: Vec::new(),
            episode_costs: Vec::new(),
            scratch: Scratch::default(),
            times: CollectTimes::default(),
        }
    }

    fn reset(&mut self, actor: &dyn Actor) -> Result<()> {
        self.env.reset(episode_seed(self.seed, self.group, self.episodes), &mut self.obs)?;
        actor.begin(&mut self.noise, &mut self.memory);
        self.scratch.kept = None;
        self.episodes += 1;
        self.sums.ret = 0.0;
        self.sums.length = 0;
        self.sums.costs.fill(0.0);
        Ok(())
    }

    /// A new batch, in the middle of an episode or at its start.
    fn begin(&mut self) {
        self.rows.clear();
        self.finished = 0;
        self.ends.clear();
        self.final_obs.clear();
        self.start_memory.clear();
        self.start_memory.extend_from_slice(&self.memory);
        self.episode_costs.clear();
        self.scratch.kept = None;
        self.times = CollectTimes::default();
    }

    /// Has it rows to make in this batch?
    fn owes(&self, share: Share) -> bool {
        match share {
            Share::Rows(rows) => self.rows.reward.len() < rows,
            Share::Episodes(episodes) => self.finished < episodes,
        }
    }

    /// Make a row of the observation as it is, for the actor to fill.
    fn seat(&mut self) -> Seat<'_> {
        let rows = &mut self.rows;
        let (obs, act, log_prob) = (rows.obs.len(), rows.act.len(), rows.log_prob.len());
        rows.obs.extend(self.obs.iter().map(|&x| x as f32));
        rows.act.resize(act + self.action.len(), 0.0);
        rows.log_prob.push(0.0);
        Seat {
            obs: &rows.obs[obs..],
            memory: &mut self.memory,
            stream: &mut self.noise,
            act: &mut rows.act[act..],
            scratch: &mut self.scratch,
            log_prob: &mut rows.log_prob[log_prob],
        }
    }

    /// Begin in the environment what the last row's action says.
    fn send(&mut self) -> Result<()> {
        let act = &self.rows.act[self.rows.act.len() - self.action.len()..];
        for (wide, narrow) in self.action.iter_mut().zip(act) {
            *wide = f64::from(*narrow);
        }
        Ok(self.env.send(&self.action)?)
    }

    /// Do what was begun, and reset the environment where its episode is over.
    fn step(&mut self, actor: &dyn Actor, share: Share, limit: usize) -> Result<()> {
        let step = self.env.step(&self.action, &mut self.obs, &mut self.costs)?;
        self.rows.reward.push(step.reward as f32);
        self.rows.costs.extend(self.costs.iter().map(|&c| c as f32));
        self.sums.ret += step.reward;
        self.sums.length += 1;
        for (sum, cost) in self.sums.costs.iter_mut().zip(&self.costs) {
            *sum += cost;
        }
        let over = step.terminated || step.truncated || self.sums.length >= limit;
        self.finished += usize::from(over);
        if over || !self.owes(share) {
            let episode = over.then_some(Episode { ret: self.sums.ret, length: self.sums.length });
            self.ends.push(End { row: self.rows.reward.len() - 1, terminated: step.terminated, episode });
            self.final_obs.extend(self.obs.iter().map(|&x| x as f32));
            self.episode_costs.extend(self.sums.costs.iter().map(|&c| if over { c } else { 0.0 }));
        }
        if over {
            self.reset(actor)?;
            if self.owes(share) {
                self.start_memory.extend_from_slice(&self.memory);
            }
        }
        Ok(())
    }

    /// Choose the next action and begin it.
    fn act(&mut self, actor: &dyn Actor, clock: &mut Instant) -> Result<()> {
        let Seat { obs, memory, stream, act, scratch, log_prob } = self.seat();
        *log_prob = actor.act(obs, memory, stream, act, scratch);
        self.send()?;
        self.times.policy += lap(clock);
        Ok(())
    }
}

/// Make the whole shares of a thread's lanes: each lane's step is begun before the others' are waited for.
fn run(lanes: &mut [&mut Lane], actor: &dyn Actor, share: Share, limit: usize, progress: &AtomicU64) -> Result<()> {
    let mut clock = Instant::now();
    for lane in lanes.iter_mut() {
        lane.begin();
        lane.act(actor, &mut clock)?;
    }
    while lanes.iter().any(|lane| lane.owes(share)) {
        for lane in lanes.iter_mut().filter(|lane| lane.owes(share)) {
            lane.step(actor, share, limit)?;
            progress.fetch_add(1, Ordering::Relaxed);
            lane.times.physics += lap(&mut clock);
            if lane.owes(share) {
                lane.act(actor, &mut clock)?;
            }
        }
    }
    Ok(())
}

impl Rows {
    fn clear(&mut self) {
        let Self { obs, act, log_prob, reward, costs } = self;
        [obs, act, log_prob, reward, costs].into_iter().for_each(Vec::clear);
    }
}

/// Seconds since `clock`, which starts anew.
fn lap(clock: &mut Instant) -> f64 {
    let now = Instant::now();
    let seconds = (now - *clock).as_secs_f64();
    *clock = now;
    seconds
}
