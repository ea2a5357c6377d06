//! `PointGather-v0`: collect apples, avoid bombs.

use super::field::Field;
use super::{Robot, actions};
use crate::frame::Frame;
use crate::state::{self, Reader};
use crate::{Env, Result, Spec, Step};
use tony_random::Stream;

const APPLES: usize = 2;
const BOMBS: usize = 8;
/// Positions stay within +- this.
const RANGE: f64 = 6.0;
const STEPS: usize = 15;

/// Reward 10 an apple and -1 a bomb; cost 1 in a step that collects a bomb, however many. The episode ends when nothing is left,
/// and the clock runs out after 15 steps.
///
/// - observation (29): x, y, heading; three constants of the episode (see the module); centre of mass of the torso; sensors
#[derive(Clone, Debug)]
pub struct PointGather {
    spec: Spec,
    robot: Robot,
    field: Field,
    steps: usize,
}

impl PointGather {
    /// Nothing is laid out before the first reset.
    pub fn new() -> Self {
        let spec = Spec {
            name: "PointGather-v0".to_owned(),
            obs_dim: Robot::OBSERVED + Field::SENSED,
            action: actions(),
            costs: vec!["cost".to_owned()],
            max_steps: STEPS,
        };
        Self { spec, robot: Robot::default(), field: Field::new(APPLES, BOMBS), steps: 0 }
    }

    fn observe(&self, obs: &mut [f64]) {
        let (robot, sensors) = obs.split_at_mut(Robot::OBSERVED);
        self.robot.observe(robot);
        self.field.sense(self.robot.centre(), self.robot.heading(), sensors);
    }

    #[cfg(test)]
    pub(super) fn laid_out(seed: u64) -> Self {
        let mut env = Self::new();
        env.reset(seed, &mut vec![0.0; env.spec.obs_dim]).unwrap();
        env
    }

    #[cfg(test)]
    pub(super) fn things(&self) -> &[[f64; 2]] {
        self.field.things()
    }

    #[cfg(test)]
    pub(super) fn set_things(&mut self, apples: &[[f64; 2]], bombs: &[[f64; 2]]) {
        self.field = Field::of(apples, bombs);
    }

    #[cfg(test)]
    pub(super) fn place(&mut self, pose: [f64; 3]) {
        self.robot.pose = pose;
    }
}

impl Default for PointGather {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for PointGather {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut stream = Stream::new(seed, "point-gather", 0);
        self.robot = Robot::start(&mut stream);
        self.field.lay_out(&mut stream);
        self.steps = 0;
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        let mut clipped = [0.0; 2];
        self.spec.clip(action, self.steps, &mut clipped)?;
        self.robot.go(clipped[0], clipped[1], RANGE);
        self.steps += 1;
        let [apples, bombs] = self.field.collect(self.robot.centre());
        costs[0] = f64::from(bombs > 0);
        self.observe(obs);
        let terminated = self.field.is_empty();
        let truncated = !terminated && self.steps >= self.spec.max_steps;
        Ok(Step { reward: 10.0 * apples as f64 - bombs as f64, terminated, truncated })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.steps as u64);
        state::put_f64s(out, &self.robot.state());
        self.field.save(out);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = Reader::new(&self.spec.name, state, 8 * (7 + self.field.words()))?;
        self.steps = reader.u64()? as usize;
        let mut robot = [0.0; 6];
        reader.f64s(&mut robot)?;
        self.robot.set_state(robot);
        self.field.load(&mut reader)
    }

    fn step_seconds(&self) -> f64 {
        0.2
    }

    fn frame(&self) -> Frame {
        Frame { shapes: self.field.shapes().chain(self.robot.shapes()).collect(), ..Frame::default() }
    }
}
