//! The collector: steps environments with a frozen policy, resets them, and fills a [`Rollout`].
//!
//! Each environment is a lane with random streams of its own and a fixed range of rows, and runs its whole share of the batch
//! without waiting for the others: threads take lanes, and no bit depends on how many threads there are.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use rayon::prelude::*;
use tony_env::{Env, Spec};
use tony_random::Stream;
use tony_run::Archive;

use crate::policy::{Actor, Scratch};
use crate::rollout::{End, Episode, Rollout};
use crate::{Error, Result};

/// Steps `envs` and fills rollouts of `rows` rows.
pub struct Collector {
    lanes: Vec<Lane>,
    horizon: usize,
    /// A time limit shorter than the task's own.
    episode_steps: usize,
}

/// Where a batch's time went, in CPU seconds summed over the lanes.
#[derive(Clone, Copy, Debug, Default)]
pub struct CollectTimes {
    /// In the environments' steps and resets.
    pub physics: f64,
    /// In the policy.
    pub policy: f64,
}

struct Lane {
    env: Box<dyn Env>,
    index: u64,
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

/// The rows of one lane in a rollout.
struct Share<'a> {
    obs: &'a mut [f32],
    act: &'a mut [f32],
    log_prob: &'a mut [f32],
    reward: &'a mut [f32],
    costs: &'a mut [f32],
}

impl Collector {
    /// One lane for each environment, `rows / envs.len()` rows each, for `actor`; `episode_steps`: a time limit besides the task's own.
    pub fn new(
        envs: Vec<Box<dyn Env>>,
        actor: &dyn Actor,
        seed: u64,
        rows: usize,
        episode_steps: Option<usize>,
    ) -> Result<Self> {
        if envs.is_empty() || rows == 0 || !rows.is_multiple_of(envs.len()) {
            return Err(Error::Invalid {
                what: format!("steps_per_update = {rows} cannot be shared by envs = {}", envs.len()),
                hint: "choose steps_per_update as a multiple of envs".to_owned(),
            });
        }
        let horizon = rows / envs.len();
        let memory = actor.memory_len();
        let mut lanes: Vec<Lane> = (0..).zip(envs).map(|(index, env)| Lane::new(env, index, seed, memory)).collect();
        for lane in &mut lanes {
            lane.reset(actor)?;
        }
        Ok(Self { lanes, horizon, episode_steps: episode_steps.unwrap_or(usize::MAX) })
    }

    /// What the environments are.
    pub fn spec(&self) -> &Spec {
        self.lanes[0].env.spec()
    }

    /// Fill `rollout`, counting steps in `progress` as they are made.
    pub fn collect(&mut self, actor: &dyn Actor, rollout: &mut Rollout, progress: &AtomicU64) -> Result<CollectTimes> {
        let (h, episode_steps) = (self.horizon, self.episode_steps);
        let costs = rollout.n_costs;
        // A chunk of width 0 is not allowed; without cost channels the column is empty and every lane's share of it is too.
        let mut cost_chunks = rollout.costs.chunks_mut((h * costs).max(1));
        let shares: Vec<Share> = rollout
            .obs
            .chunks_mut(h * rollout.obs_dim)
            .zip(rollout.act.chunks_mut(h * rollout.act_dim))
            .zip(rollout.log_prob.chunks_mut(h))
            .zip(rollout.reward.chunks_mut(h))
            .map(|(((obs, act), log_prob), reward)| Share {
                obs,
                act,
                log_prob,
                reward,
                costs: cost_chunks.next().unwrap_or_default(),
            })
            .collect();
        let outcomes: Vec<Result<()>> = self
            .lanes
            .par_iter_mut()
            .zip(shares)
            .map(|(lane, mut share)| lane.run(actor, &mut share, episode_steps, progress))
            .collect();
        outcomes.into_iter().collect::<Result<()>>()?;
        rollout.ends.clear();
        rollout.final_obs.clear();
        rollout.memory.clear();
        rollout.episode_costs.clear();
        let mut times = CollectTimes::default();
        for (i, lane) in self.lanes.iter().enumerate() {
            rollout.ends.extend(lane.ends.iter().map(|end| End { row: end.row + i * h, ..*end }));
            rollout.final_obs.extend_from_slice(&lane.final_obs);
            rollout.memory.extend_from_slice(&lane.start_memory);
            rollout.episode_costs.extend_from_slice(&lane.episode_costs);
            times.physics += lane.times.physics;
            times.policy += lane.times.policy;
        }
        Ok(times)
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

/// The seed of episode `episode` of environment `index`: 32 bits, the width of the seeds of the reference environments.
fn episode_seed(seed: u64, index: u64, episode: u64) -> u64 {
    let mut stream = Stream::new(seed, "episode", index);
    stream.seek(2 * episode);
    stream.bits() >> 32
}

impl Lane {
    fn new(env: Box<dyn Env>, index: u64, seed: u64, memory: usize) -> Self {
        let (obs, action, costs) = (env.spec().obs_dim, env.spec().action.row_len(), env.spec().costs.len());
        Self {
            env,
            index,
            seed,
            noise: Stream::new(seed, "action", index),
            episodes: 0,
            obs: vec![0.0; obs],
            action: vec![0.0; action],
            costs: vec![0.0; costs],
            memory: vec![0.0; memory],
            sums: Sums { costs: vec![0.0; costs], ..Sums::default() },
            ends: Vec::new(),
            final_obs: Vec::new(),
            start_memory: Vec::new(),
            episode_costs: Vec::new(),
            scratch: Scratch::default(),
            times: CollectTimes::default(),
        }
    }

    fn reset(&mut self, actor: &dyn Actor) -> Result<()> {
        self.env.reset(episode_seed(self.seed, self.index, self.episodes), &mut self.obs)?;
        actor.begin(&mut self.noise, &mut self.memory);
        self.episodes += 1;
        self.sums.ret = 0.0;
        self.sums.length = 0;
        self.sums.costs.fill(0.0);
        Ok(())
    }

    fn run(&mut self, actor: &dyn Actor, share: &mut Share, episode_steps: usize, progress: &AtomicU64) -> Result<()> {
        let (obs_dim, act_dim, n_costs) = (self.obs.len(), self.action.len(), self.costs.len());
        let horizon = share.reward.len();
        self.ends.clear();
        self.final_obs.clear();
        self.start_memory.clear();
        self.start_memory.extend_from_slice(&self.memory);
        self.episode_costs.clear();
        self.times = CollectTimes::default();
        let mut clock = Instant::now();
        for t in 0..horizon {
            let obs = &mut share.obs[t * obs_dim..][..obs_dim];
            let act = &mut share.act[t * act_dim..][..act_dim];
            narrow(&self.obs, obs);
            share.log_prob[t] = actor.act(obs, &mut self.memory, &mut self.noise, act, &mut self.scratch);
            for (wide, narrow) in self.action.iter_mut().zip(&*act) {
                *wide = f64::from(*narrow);
            }
            self.times.policy += lap(&mut clock);
            let step = self.env.step(&self.action, &mut self.obs, &mut self.costs)?;
            share.reward[t] = step.reward as f32;
            narrow(&self.costs, &mut share.costs[t * n_costs..][..n_costs]);
            self.sums.ret += step.reward;
            self.sums.length += 1;
            for (sum, cost) in self.sums.costs.iter_mut().zip(&self.costs) {
                *sum += cost;
            }
            let over = step.terminated || step.truncated || self.sums.length >= episode_steps;
            if over || t + 1 == horizon {
                let episode = over.then_some(Episode { ret: self.sums.ret, length: self.sums.length });
                self.ends.push(End { row: t, terminated: step.terminated, episode });
                self.final_obs.extend(self.obs.iter().map(|&x| x as f32));
                self.episode_costs.extend(self.sums.costs.iter().map(|&c| if over { c } else { 0.0 }));
            }
            if over {
                self.reset(actor)?;
                if t + 1 < horizon {
                    self.start_memory.extend_from_slice(&self.memory);
                }
            }
            progress.fetch_add(1, Ordering::Relaxed);
            self.times.physics += lap(&mut clock);
        }
        Ok(())
    }
}

fn narrow(wide: &[f64], narrow: &mut [f32]) {
    for (n, w) in narrow.iter_mut().zip(wide) {
        *n = *w as f32;
    }
}

/// Seconds since `clock`, which starts anew.
fn lap(clock: &mut Instant) -> f64 {
    let now = Instant::now();
    let seconds = (now - *clock).as_secs_f64();
    *clock = now;
    seconds
}
