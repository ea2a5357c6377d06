//! `Acrobot-v1`: swing the lower of two links up with a torque at the joint between them.
//!
//! R. Sutton, *Generalization in reinforcement learning: successful examples using sparse coarse coding* (1996), with the equations of
//! Sutton and Barto's book, in Gymnasium's version: links of 1 kg and 1 m, gravity 9.8 m/s^2, one Runge-Kutta step of 0.2 s.
//!
//! - action: torque -1, 0 or 1 N m
//! - observation: cosine and sine of both angles (0 = hanging; the second is against the first), angular velocities (rad/s)
//! - reward: -1 a step, 0 for the step that arrives
//! - end: the tip higher than 1 m above the upper joint; the clock runs out after 500 steps
//! - start: all four numbers uniform on (-0.1, 0.1), in single precision; `seed` gives Gymnasium's numbers

use crate::frame::{Form, Frame, Shape};
use crate::pcg64::Generator;
use crate::space::Space;
use crate::state;
use crate::{Env, Result, Spec, Step};
use std::f64::consts::{FRAC_PI_2, PI};

/// Length and mass of a link are 1, its inertia too; its centre of mass is in its middle.
const CENTRE: f64 = 0.5;
const GRAVITY: f64 = 9.8;
/// Seconds a step.
const DT: f64 = 0.2;
/// Bounds of the angular velocities.
const MAX_SPEEDS: [f64; 2] = [4.0 * PI, 9.0 * PI];

/// Two links.
#[derive(Clone, Debug)]
pub struct Acrobot {
    spec: Spec,
    /// Angles, then angular velocities.
    state: [f64; 4],
    steps: usize,
}

impl Acrobot {
    /// Two links at rest, hanging.
    pub fn new() -> Self {
        let spec = Spec {
            name: "Acrobot-v1".to_owned(),
            obs_dim: 6,
            action: Space::Discrete { n: 3 },
            costs: Vec::new(),
            max_steps: 500,
        };
        Self { spec, state: [0.0; 4], steps: 0 }
    }

    fn observe(&self, obs: &mut [f64]) {
        let [first, second, first_speed, second_speed] = self.state;
        let ((first_sin, first_cos), (second_sin, second_cos)) = (libm::sincos(first), libm::sincos(second));
        let row = [first_cos, first_sin, second_cos, second_sin, first_speed, second_speed];
        obs.iter_mut().zip(row).for_each(|(obs, x)| *obs = f64::from(x as f32));
    }
}

super::closed_form!(Acrobot);

impl Default for Acrobot {
    fn default() -> Self {
        Self::new()
    }
}

/// Velocities and accelerations of a state under a torque. Sutton and Barto, *Reinforcement Learning* (1998), section 11.3.
fn slope([first, second, first_speed, second_speed]: [f64; 4], torque: f64) -> [f64; 4] {
    let (sin, cos) = libm::sincos(second);
    let d1 = CENTRE * CENTRE + (1.0 + CENTRE * CENTRE + 2.0 * CENTRE * cos) + 1.0 + 1.0;
    let d2 = (CENTRE * CENTRE + CENTRE * cos) + 1.0;
    let phi2 = CENTRE * GRAVITY * libm::cos(first + second - FRAC_PI_2);
    let phi1 = -CENTRE * (second_speed * second_speed) * sin - 2.0 * CENTRE * second_speed * first_speed * sin
        + (CENTRE + 1.0) * GRAVITY * libm::cos(first - FRAC_PI_2)
        + phi2;
    let second_acceleration = (torque + d2 / d1 * phi1 - CENTRE * (first_speed * first_speed) * sin - phi2)
        / (CENTRE * CENTRE + 1.0 - d2 * d2 / d1);
    let first_acceleration = -(d2 * second_acceleration + phi1) / d1;
    [first_speed, second_speed, first_acceleration, second_acceleration]
}

/// The state a step later: the classical Runge-Kutta method.
fn advanced(state: [f64; 4], torque: f64) -> [f64; 4] {
    let ahead = |slope: [f64; 4], by: f64| [0, 1, 2, 3].map(|i| state[i] + by * slope[i]);
    let k1 = slope(state, torque);
    let k2 = slope(ahead(k1, DT / 2.0), torque);
    let k3 = slope(ahead(k2, DT / 2.0), torque);
    let k4 = slope(ahead(k3, DT), torque);
    [0, 1, 2, 3].map(|i| state[i] + DT / 6.0 * (k1[i] + 2.0 * k2[i] + 2.0 * k3[i] + k4[i]))
}

/// The angle in [-pi, pi], turn by turn as the reference does it.
fn wrapped(mut angle: f64) -> f64 {
    while angle > PI {
        angle -= 2.0 * PI;
    }
    while angle < -PI {
        angle += 2.0 * PI;
    }
    angle
}

impl Env for Acrobot {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut random = Generator::new(seed);
        self.state = [(); 4].map(|()| f64::from(random.uniform(-0.1, 0.1) as f32));
        self.steps = 0;
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let torque = self.spec.chosen(action, self.steps)? as f64 - 1.0;
        let [first, second, first_speed, second_speed] = advanced(self.state, torque);
        let bounded = |speed: f64, i: usize| speed.clamp(-MAX_SPEEDS[i], MAX_SPEEDS[i]);
        self.state = [wrapped(first), wrapped(second), bounded(first_speed, 0), bounded(second_speed, 1)];
        self.steps += 1;
        self.observe(obs);
        let [first, second, ..] = self.state;
        let terminated = -libm::cos(first) - libm::cos(second + first) > 1.0;
        let reward = if terminated { 0.0 } else { -1.0 };
        Ok(Step { reward, terminated, truncated: !terminated && self.steps >= self.spec.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::save_counted(out, self.steps, &self.state);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        state::load_counted(&self.spec.name, state, &mut self.steps, &mut self.state)
    }

    fn step_seconds(&self) -> f64 {
        DT
    }

    fn frame(&self) -> Frame {
        let [first, second, ..] = self.state;
        let elbow = [first.sin(), -first.cos()];
        let tip = [elbow[0] + (first + second).sin(), elbow[1] - (first + second).cos()];
        let shape = |kind: &str, form| Shape { kind: kind.to_owned(), form };
        Frame {
            shapes: vec![
                shape("goal", Form::Capsule { from: [-2.2, 1.0], to: [2.2, 1.0], r: 0.01 }),
                shape("pole", Form::Capsule { from: [0.0; 2], to: elbow, r: 0.1 }),
                shape("pole", Form::Capsule { from: elbow, to: tip, r: 0.1 }),
                shape("robot", Form::Disc { at: elbow, r: 0.05 }),
            ],
            ..Frame::default()
        }
    }
}
