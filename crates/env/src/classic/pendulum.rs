//! `Pendulum-v1`: swing a pendulum up and hold it there with a torque that is too weak to lift it at once.
//!
//! Gymnasium's version: semi-implicit Euler steps of 50 ms, a rod of 1 kg and 1 m, gravity 10 m/s^2, speed held within
//! 8 rad/s. No episode terminates; the clock runs out after 200 steps.
//!
//! - action: torque in [-2, 2] N m
//! - observation: cosine and sine of the angle (0 = upright), angular velocity (rad/s)
//! - reward: -(angle^2 + 0.1 velocity^2 + 0.001 torque^2) of the state acted in, angle in [-pi, pi)
//! - start: angle uniform on (-pi, pi), velocity on (-1, 1); `seed` gives Gymnasium's numbers

use crate::frame::{Form, Frame, Shape};
use crate::pcg64::Generator;
use crate::space::Space;
use crate::state;
use crate::{Env, Result, Spec, Step};
use std::f64::consts::PI;

const GRAVITY: f64 = 10.0;
const MASS: f64 = 1.0;
const LENGTH: f64 = 1.0;
const MAX_SPEED: f64 = 8.0;
const MAX_TORQUE: f64 = 2.0;
/// Seconds a step.
const DT: f64 = 0.05;

/// The pendulum.
#[derive(Clone, Debug)]
pub struct Pendulum {
    spec: Spec,
    /// Angle (unbounded: it counts turns) and angular velocity.
    state: [f64; 2],
    steps: usize,
}

impl Pendulum {
    /// A pendulum at rest, upright.
    pub fn new() -> Self {
        let spec = Spec {
            name: "Pendulum-v1".to_owned(),
            obs_dim: 3,
            action: Space::Box { low: vec![-MAX_TORQUE], high: vec![MAX_TORQUE] },
            costs: Vec::new(),
            max_steps: 200,
        };
        Self { spec, state: [0.0; 2], steps: 0 }
    }

    fn observe(&self, obs: &mut [f64]) {
        let [theta, speed] = self.state;
        let (sin, cos) = libm::sincos(theta);
        for (obs, x) in obs.iter_mut().zip([cos, sin, speed]) {
            *obs = f64::from(x as f32);
        }
    }
}

super::closed_form!(Pendulum);

impl Default for Pendulum {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for Pendulum {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut random = Generator::new(seed);
        (self.state, self.steps) = ([PI, 1.0].map(|bound| random.uniform(-bound, bound)), 0);
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let mut torque = [0.0];
        self.spec.clip(action, self.steps, &mut torque)?;
        let [torque] = torque;
        let [theta, speed] = self.state;
        let turned = theta + PI;
        // A remainder takes longer than all the rest, and in the first turn it changes nothing.
        let angle = if (0.0..2.0 * PI).contains(&turned) { turned } else { turned.rem_euclid(2.0 * PI) } - PI;
        let reward = -(angle * angle + 0.1 * (speed * speed) + 0.001 * (torque * torque));
        let gravity = 3.0 * GRAVITY / (2.0 * LENGTH) * libm::sin(theta);
        let acceleration = gravity + 3.0 / (MASS * LENGTH * LENGTH) * torque;
        let speed = (speed + acceleration * DT).clamp(-MAX_SPEED, MAX_SPEED);
        self.state = [theta + speed * DT, speed];
        self.steps += 1;
        self.observe(obs);
        Ok(Step { reward, terminated: false, truncated: self.steps >= self.spec.max_steps })
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
        let [theta, _] = self.state;
        let tip = [-LENGTH * theta.sin(), LENGTH * theta.cos()];
        let shapes = [
            ("pole", Form::Capsule { from: [0.0, 0.0], to: tip, r: 0.1 }),
            ("robot", Form::Disc { at: [0.0, 0.0], r: 0.05 }),
        ];
        Frame { shapes: shapes.map(|(kind, form)| Shape { kind: kind.to_owned(), form }).into(), ..Frame::default() }
    }
}
