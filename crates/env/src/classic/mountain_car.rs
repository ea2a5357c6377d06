//! `MountainCar-v0` and `MountainCarContinuous-v0`: an engine too weak for the hill has to swing out of a valley.
//!
//! A. Moore, *Efficient memory-based learning for robot control* (1990), in Gymnasium's versions: positions from -1.2 (a wall) to 0.6,
//! velocities within 0.07 a step, the valley's bottom at -0.52.
//!
//! - action: push left, not at all or right; or a force in [-1, 1]
//! - observation: position, velocity
//! - reward: -1 a step; or minus a tenth of the squared force, and 100 for arriving
//! - end: position 0.5 or more (with a force 0.45); the clock runs out after 200 steps (with a force 999)
//! - start: at rest, position uniform on (-0.6, -0.4); `seed` gives Gymnasium's numbers

use crate::frame::{Form, Frame, Shape};
use crate::pcg64::Generator;
use crate::space::Space;
use crate::state;
use crate::{Env, Result, Spec, Step};

const MIN_POSITION: f64 = -1.2;
const MAX_POSITION: f64 = 0.6;
const MAX_SPEED: f64 = 0.07;
const GRAVITY: f64 = 0.0025;

/// Push left, not at all or right.
#[derive(Clone, Debug)]
pub struct MountainCar {
    spec: Spec,
    /// Position and velocity.
    state: [f64; 2],
    steps: usize,
}

/// Push with a force.
#[derive(Clone, Debug)]
pub struct MountainCarContinuous {
    spec: Spec,
    /// Position and velocity, after the first step in single precision, as the reference keeps them.
    state: [f64; 2],
    steps: usize,
}

/// One step: velocity, then position, both within their bounds; the left wall stops the car.
fn roll([position, velocity]: [f64; 2], push: f64) -> [f64; 2] {
    let velocity = (velocity + push).clamp(-MAX_SPEED, MAX_SPEED);
    let position = (position + velocity).clamp(MIN_POSITION, MAX_POSITION);
    [position, if position == MIN_POSITION && velocity < 0.0 { 0.0 } else { velocity }]
}

fn observe(state: [f64; 2], obs: &mut [f64]) {
    obs.iter_mut().zip(state).for_each(|(obs, x)| *obs = f64::from(x as f32));
}

fn start(seed: u64) -> [f64; 2] {
    [Generator::new(seed).uniform(-0.6, -0.4), 0.0]
}

fn frame([position, _]: [f64; 2], goal: f64) -> Frame {
    let height = |x: f64| 0.45 * (3.0 * x).sin() + 0.55;
    let point = |x: f64| [x, height(x)];
    let mut shapes: Vec<Shape> = (-12..6)
        .map(|i| Form::Capsule { from: point(f64::from(i) / 10.0), to: point(f64::from(i + 1) / 10.0), r: 0.005 })
        .map(|form| Shape { kind: "ground".to_owned(), form })
        .collect();
    shapes.push(Shape { kind: "goal".to_owned(), form: Form::Disc { at: point(goal), r: 0.04 } });
    shapes.push(Shape { kind: "robot".to_owned(), form: Form::Disc { at: point(position), r: 0.05 } });
    Frame { shapes, ..Frame::default() }
}

impl MountainCar {
    const GOAL: f64 = 0.5;
    const FORCE: f64 = 0.001;

    /// A car at rest.
    pub fn new() -> Self {
        let spec = Spec {
            name: "MountainCar-v0".to_owned(),
            obs_dim: 2,
            action: Space::Discrete { n: 3 },
            costs: Vec::new(),
            max_steps: 200,
        };
        Self { spec, state: [-0.5, 0.0], steps: 0 }
    }

    fn observe(&self, obs: &mut [f64]) {
        observe(self.state, obs);
    }
}

impl MountainCarContinuous {
    const GOAL: f64 = 0.45;
    const POWER: f64 = 0.0015;

    /// A car at rest.
    pub fn new() -> Self {
        let spec = Spec {
            name: "MountainCarContinuous-v0".to_owned(),
            obs_dim: 2,
            action: Space::Box { low: vec![-1.0], high: vec![1.0] },
            costs: Vec::new(),
            max_steps: 999,
        };
        Self { spec, state: [-0.5, 0.0], steps: 0 }
    }

    fn observe(&self, obs: &mut [f64]) {
        observe(self.state, obs);
    }
}

super::closed_form!(MountainCar);
super::closed_form!(MountainCarContinuous);

impl Default for MountainCar {
    fn default() -> Self {
        Self::new()
    }
}

impl Default for MountainCarContinuous {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for MountainCar {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        (self.state, self.steps) = (start(seed), 0);
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let action = self.spec.chosen(action, self.steps)? as f64;
        let slope = libm::cos(3.0 * self.state[0]) * -GRAVITY;
        self.state = roll(self.state, (action - 1.0) * Self::FORCE + slope);
        self.steps += 1;
        self.observe(obs);
        let terminated = self.state[0] >= Self::GOAL && self.state[1] >= 0.0;
        Ok(Step { reward: -1.0, terminated, truncated: !terminated && self.steps >= self.spec.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::save_counted(out, self.steps, &self.state);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        state::load_counted(&self.spec.name, state, &mut self.steps, &mut self.state)
    }

    fn frame(&self) -> Frame {
        frame(self.state, Self::GOAL)
    }
}

impl Env for MountainCarContinuous {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        (self.state, self.steps) = (start(seed), 0);
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let mut force = [0.0];
        self.spec.clip(action, self.steps, &mut force)?;
        let [force] = force;
        let position = self.state[0];
        // The reference keeps the state in single precision from the first step on, and then multiplies in it too.
        let single = f64::from(position as f32) == position;
        let angle = if single { f64::from(3.0 * position as f32) } else { 3.0 * position };
        let state = roll(self.state, force * Self::POWER - GRAVITY * libm::cos(angle));
        let terminated = state[0] >= Self::GOAL && state[1] >= 0.0;
        self.state = state.map(|x| f64::from(x as f32));
        self.steps += 1;
        self.observe(obs);
        let reward = if terminated { 100.0 } else { 0.0 } - force * force * 0.1;
        Ok(Step { reward, terminated, truncated: !terminated && self.steps >= self.spec.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::save_counted(out, self.steps, &self.state);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        state::load_counted(&self.spec.name, state, &mut self.steps, &mut self.state)
    }

    fn frame(&self) -> Frame {
        frame(self.state, Self::GOAL)
    }
}
