//! `PointGather-v0`: collect apples, avoid bombs.

use super::{Robot, actions, shape};
use crate::frame::{Form, Frame};
use crate::state::{self, Reader};
use crate::{Env, Result, Spec, Step};
use std::f64::consts::{FRAC_PI_2, PI};
use tony_random::Stream;

const APPLES: usize = 2;
const BOMBS: usize = 8;
/// Positions stay within +- this.
const RANGE: f64 = 6.0;
/// What is nearer than this to the torso's centre is collected.
const CATCH: f64 = 1.0;
/// Sensor bins for each kind of thing, over the half circle ahead.
const BINS: usize = 10;
const SENSOR_RANGE: f64 = 6.0;
const STEPS: usize = 15;

/// Reward 10 an apple and -1 a bomb; cost 1 in a step that collects a bomb, however many. The episode ends when nothing is left,
/// and the clock runs out after 15 steps.
///
/// Two apples, then eight bombs, lie at distinct points of {-6, -4, -2, 0, 2, 4}^2 except (0, 0).
///
/// - observation (29): x, y, heading; three constants of the episode (see the module); centre of mass of the torso; ten sensor bins for
///   apples and ten for bombs, from right to left over the half circle ahead: 1 - distance / 6 of the nearest thing in the bin, else 0
#[derive(Clone, Debug)]
pub struct PointGather {
    spec: Spec,
    robot: Robot,
    /// Apples, then bombs.
    things: Vec<[f64; 2]>,
    apples: usize,
    left: Vec<bool>,
    steps: usize,
}

impl PointGather {
    /// Nothing is laid out before the first reset.
    pub fn new() -> Self {
        let spec = Spec {
            name: "PointGather-v0".to_owned(),
            obs_dim: Robot::OBSERVED + 2 * BINS,
            action: actions(),
            costs: vec!["cost".to_owned()],
            max_steps: STEPS,
        };
        let (things, left) = (vec![[0.0; 2]; APPLES + BOMBS], vec![false; APPLES + BOMBS]);
        Self { spec, robot: Robot::default(), things, apples: APPLES, left, steps: 0 }
    }

    fn lay_out(&mut self, stream: &mut Stream) {
        for i in 0..self.things.len() {
            self.things[i] = loop {
                let mut even = || 2.0 * (stream.below(6) as f64 - 3.0);
                let place = [even(), even()];
                let [x, y] = place;
                if x * x + y * y >= 4.0 && !self.things[..i].contains(&place) {
                    break place;
                }
            };
        }
        self.left.fill(true);
    }

    fn observe(&self, obs: &mut [f64]) {
        let (robot, sensors) = obs.split_at_mut(Robot::OBSERVED);
        self.robot.observe(robot);
        sensors.fill(0.0);
        let [x, y] = self.robot.centre();
        for (i, [tx, ty]) in self.things.iter().enumerate().filter(|(i, _)| self.left[*i]) {
            let distance = libm::hypot(tx - x, ty - y);
            let bearing = wrapped(libm::atan2(ty - y, tx - x) - self.robot.heading());
            if distance > SENSOR_RANGE || bearing.abs() > FRAC_PI_2 {
                continue;
            }
            let bin = ((bearing + FRAC_PI_2) / (PI / BINS as f64)) as usize;
            if bin < BINS {
                let reading = &mut sensors[if i < self.apples { bin } else { BINS + bin }];
                *reading = reading.max(1.0 - distance / SENSOR_RANGE);
            }
        }
    }

    #[cfg(test)]
    pub(super) fn laid_out(seed: u64) -> Self {
        let mut env = Self::new();
        env.reset(seed, &mut vec![0.0; env.spec.obs_dim]).unwrap();
        env
    }

    #[cfg(test)]
    pub(super) fn things(&self) -> &[[f64; 2]] {
        &self.things
    }

    #[cfg(test)]
    pub(super) fn set_things(&mut self, apples: &[[f64; 2]], bombs: &[[f64; 2]]) {
        self.things = [apples, bombs].concat();
        self.apples = apples.len();
        self.left = vec![true; self.things.len()];
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

/// The same angle in `[-pi, pi)`.
fn wrapped(angle: f64) -> f64 {
    angle - 2.0 * PI * libm::floor((angle + PI) / (2.0 * PI))
}

impl Env for PointGather {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut stream = Stream::new(seed, "point-gather", 0);
        self.robot = Robot::start(&mut stream);
        self.lay_out(&mut stream);
        self.steps = 0;
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        let mut clipped = [0.0; 2];
        self.spec.clip(action, self.steps, &mut clipped)?;
        self.robot.go(clipped[0], clipped[1], RANGE);
        self.steps += 1;
        let [x, y] = self.robot.centre();
        let (mut reward, mut bombed) = (0.0, false);
        for (i, ([tx, ty], left)) in self.things.iter().zip(&mut self.left).enumerate() {
            if *left && libm::hypot(tx - x, ty - y) < CATCH {
                *left = false;
                bombed |= i >= self.apples;
                reward += if i < self.apples { 10.0 } else { -1.0 };
            }
        }
        costs[0] = f64::from(bombed);
        self.observe(obs);
        let terminated = !self.left.contains(&true);
        Ok(Step { reward, terminated, truncated: !terminated && self.steps >= self.spec.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.steps as u64);
        state::put_f64s(out, &self.robot.state());
        for (place, left) in self.things.iter().zip(&self.left) {
            state::put_f64s(out, place);
            state::put_u64(out, u64::from(*left));
        }
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = Reader::new(&self.spec.name, state, 8 * (7 + 3 * self.things.len()))?;
        self.steps = reader.u64()? as usize;
        let mut robot = [0.0; 6];
        reader.f64s(&mut robot)?;
        self.robot.set_state(robot);
        for (place, left) in self.things.iter_mut().zip(&mut self.left) {
            reader.f64s(place)?;
            *left = reader.u64()? != 0;
        }
        Ok(())
    }

    fn step_seconds(&self) -> f64 {
        0.2
    }

    fn frame(&self) -> Frame {
        let mut shapes = Vec::new();
        for (i, place) in self.things.iter().enumerate().filter(|(i, _)| self.left[*i]) {
            shapes.push(shape(if i < self.apples { "goal" } else { "hazard" }, Form::Disc { at: *place, r: 0.4 }));
        }
        shapes.extend(self.robot.shapes());
        Frame { shapes, lidars: Vec::new() }
    }
}
