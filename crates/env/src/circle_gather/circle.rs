//! `PointCircle-v0`: run round a wide circle, but stay between two walls.

use super::{Robot, actions, course};
use crate::frame::Frame;
use crate::state::{self, Reader};
use crate::{Env, Result, Spec, Step};
use tony_random::Stream;

/// Radius of the circle that pays.
const CIRCLE: f64 = 15.0;
/// Distance of the walls from the middle.
const WALL: f64 = 2.5;
/// Episodes last from `SHORTEST` to `LONGEST` steps.
const SHORTEST: usize = 50;
const LONGEST: usize = 65;

/// Reward `(x dy - y dx) / (1 + |r - 15|)` for the step's displacement `(dx, dy)`, at the place after it; cost 1 while `|x| >= 2.5`.
///
/// Each episode ends after 50 to 65 steps, drawn at its start. That is a part of the task and no clock of the experimenter's: the end is an end,
/// as in the original, whose values after it are 0.
///
/// - observation (9): x, y, heading; three constants of the episode (see the module); centre of mass of the torso
#[derive(Clone, Debug)]
pub struct PointCircle {
    spec: Spec,
    robot: Robot,
    steps: usize,
    length: usize,
}

impl PointCircle {
    /// The robot in the middle.
    pub fn new() -> Self {
        let spec = Spec {
            name: "PointCircle-v0".to_owned(),
            obs_dim: Robot::OBSERVED,
            action: actions(),
            costs: vec!["cost".to_owned()],
            max_steps: LONGEST,
        };
        Self { spec, robot: Robot::default(), steps: 0, length: LONGEST }
    }

    #[cfg(test)]
    pub(super) fn place(&mut self, pose: [f64; 3]) {
        self.robot.pose = pose;
    }
}

impl Default for PointCircle {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for PointCircle {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut stream = Stream::new(seed, "point-circle", 0);
        self.robot = Robot::start(&mut stream);
        self.length = SHORTEST + stream.below(LONGEST + 1 - SHORTEST);
        self.steps = 0;
        self.robot.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        let mut clipped = [0.0; 2];
        self.spec.clip(action, self.steps, &mut clipped)?;
        let [dx, dy] = self.robot.go(clipped[0], clipped[1], f64::INFINITY);
        self.steps += 1;
        self.robot.observe(obs);
        let [x, y] = self.robot.centre();
        costs[0] = f64::from(x.abs() >= WALL);
        let reward = (x * dy - y * dx) / (1.0 + (libm::hypot(x, y) - CIRCLE).abs());
        Ok(Step { reward, terminated: self.steps >= self.length, truncated: false })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.steps as u64);
        state::put_u64(out, self.length as u64);
        state::put_f64s(out, &self.robot.state());
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = Reader::new(&self.spec.name, state, 8 * 8)?;
        (self.steps, self.length) = (reader.u64()? as usize, reader.u64()? as usize);
        let mut robot = [0.0; 6];
        reader.f64s(&mut robot)?;
        self.robot.set_state(robot);
        Ok(())
    }

    fn step_seconds(&self) -> f64 {
        0.1
    }

    fn frame(&self) -> Frame {
        let shapes = course(CIRCLE, WALL).chain(self.robot.shapes()).collect();
        Frame { shapes, ..Frame::default() }
    }
}
