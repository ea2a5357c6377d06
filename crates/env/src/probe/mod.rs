//! Probe environments: tasks so small that the right answer is a formula.
//!
//! An algorithm that fails one of them has a bug of a known kind, and the file of the probe says which. All share one
//! machine: a state is a sign (drawn at reset where the task is signed, else 0) and the time; the observation is
//! `[sign, time / horizon]`, the clock 0 where the task hides it; the action is one number.

pub mod action;
pub mod constant;
pub mod cost;
pub mod one_step_credit;
pub mod time_limit;
pub mod two_costs;

use crate::frame::{Form, Frame, Shape};
use crate::space::Space;
use crate::state::{self, Reader};
use crate::{Env, Result, Spec, Step};
use tony_random::Stream;

/// A probe's definition.
#[derive(Debug)]
pub struct Task {
    /// Full name with version suffix.
    pub name: &'static str,
    /// What it tests, in a line.
    pub summary: &'static str,
    /// What the agent does.
    action: Action,
    /// Is a sign, +1 or -1, drawn at reset?
    signed: bool,
    /// Steps of every episode.
    horizon: usize,
    /// How every episode ends.
    end: End,
    /// Reward of an action in a state.
    reward: fn(State, f64) -> f64,
    /// Cost channels but for their sum, each a function of the action, at least 0.
    costs: &'static [(&'static str, fn(f64) -> f64)],
}

impl Task {
    /// Do episodes differ with the seed?
    pub const fn signed(&self) -> bool {
        self.signed
    }
}

#[derive(Clone, Copy, Debug)]
enum Action {
    /// A number in [-bound, bound].
    Box(f64),
    /// An index below n.
    Discrete(usize),
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    /// The last step terminates; the clock is observed.
    Terminates,
    /// The clock runs out and is hidden: to the agent the task goes on for ever.
    RunsOut,
}

/// Where a probe is.
#[derive(Clone, Copy, Debug, PartialEq)]
struct State {
    sign: f64,
    time: usize,
}

/// A running probe.
#[derive(Debug)]
pub struct Probe {
    task: &'static Task,
    spec: Spec,
    state: State,
}

impl Probe {
    /// The probe of this definition, at time 0 with a positive sign.
    pub fn new(task: &'static Task) -> Self {
        let channels = task.costs.iter().map(|(name, _)| (*name).to_owned());
        // With one channel, that is the sum.
        let sum = (task.costs.len() > 1).then(|| "cost".to_owned());
        let spec = Spec {
            name: task.name.to_owned(),
            obs_dim: 2,
            action: match task.action {
                Action::Box(bound) => Space::Box { low: vec![-bound], high: vec![bound] },
                Action::Discrete(n) => Space::Discrete { n },
            },
            costs: channels.chain(sum).collect(),
            max_steps: task.horizon,
        };
        Self { task, spec, state: State { sign: if task.signed { 1.0 } else { 0.0 }, time: 0 } }
    }

    fn observe(&self, obs: &mut [f64]) {
        let clock = match self.task.end {
            End::Terminates => self.state.time as f64 / self.task.horizon as f64,
            End::RunsOut => 0.0,
        };
        obs.copy_from_slice(&[self.state.sign, clock]);
    }
}

impl Env for Probe {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let heads = Stream::new(seed, "reset", 0).below(2) == 1;
        let sign = if heads { 1.0 } else { -1.0 };
        self.state = State { sign: if self.task.signed { sign } else { 0.0 }, time: 0 };
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        let mut act = [0.0];
        match self.task.action {
            Action::Box(_) => self.spec.clip(action, self.state.time, &mut act)?,
            Action::Discrete(_) => act[0] = self.spec.chosen(action, self.state.time)? as f64,
        }
        let [act] = act;
        let reward = (self.task.reward)(self.state, act);
        let mut sum = 0.0;
        for (cost, (_, channel)) in costs.iter_mut().zip(self.task.costs) {
            *cost = channel(act);
            sum += *cost;
        }
        if let Some(last) = costs.last_mut() {
            *last = sum;
        }
        self.state.time += 1;
        self.observe(obs);
        let over = self.state.time >= self.task.horizon;
        let terminated = over && self.task.end == End::Terminates;
        Ok(Step { reward, terminated, truncated: over && !terminated })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.state.time as u64);
        state::put_f64s(out, &[self.state.sign]);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = Reader::new(&self.spec.name, state, 16)?;
        let time = reader.u64()? as usize;
        let mut sign = [0.0];
        reader.f64s(&mut sign)?;
        self.state = State { sign: sign[0], time };
        Ok(())
    }

    fn frame(&self) -> Frame {
        let at = [self.state.time as f64, self.state.sign];
        Frame { shapes: vec![Shape { kind: "robot".to_owned(), form: Form::Disc { at, r: 0.2 } }], ..Frame::default() }
    }
}
