//! `CartPole-v1`: keep a pole upright on a cart that is pushed left or right.
//!
//! Barto, Sutton & Anderson, *Neuronlike adaptive elements that can solve difficult learning control problems* (1983), with
//! the corrected equations of Florian (2007), in Gymnasium's version: Euler steps of 20 ms, reward 1 a step, the failing one
//! too; the episode ends when the pole leans more than 12 degrees or the cart is more than 2.4 m off.
//!
//! - action: 0 pushes left, 1 right, with 10 N
//! - observation: position (m), velocity (m/s), angle (rad, 0 = upright), angular velocity (rad/s)
//! - start: each uniform on (-0.05, 0.05); `seed` gives Gymnasium's numbers

use crate::frame::{Form, Frame, Shape};
use crate::pcg64::Generator;
use crate::space::Space;
use crate::state;
use crate::{Env, Result, Spec, Step};

const GRAVITY: f64 = 9.8;
const POLE_MASS: f64 = 0.1;
const TOTAL_MASS: f64 = 0.1 + 1.0;
/// From the hinge to the pole's centre of mass.
const HALF_LENGTH: f64 = 0.5;
const POLE_MOMENT: f64 = POLE_MASS * HALF_LENGTH;
const FORCE: f64 = 10.0;
/// Seconds a step.
const TAU: f64 = 0.02;
const MAX_POSITION: f64 = 2.4;
const MAX_ANGLE: f64 = 12.0 * 2.0 * std::f64::consts::PI / 360.0;

/// The cart and its pole.
#[derive(Clone, Debug)]
pub struct CartPole {
    spec: Spec,
    /// Position, velocity, angle, angular velocity.
    state: [f64; 4],
    steps: usize,
}

impl CartPole {
    /// A cart at rest in the middle, the pole upright.
    pub fn new() -> Self {
        let spec = Spec {
            name: "CartPole-v1".to_owned(),
            obs_dim: 4,
            action: Space::Discrete { n: 2 },
            costs: Vec::new(),
            max_steps: 500,
        };
        Self { spec, state: [0.0; 4], steps: 0 }
    }

    fn observe(&self, obs: &mut [f64]) {
        for (obs, x) in obs.iter_mut().zip(self.state) {
            *obs = f64::from(x as f32);
        }
    }
}

super::closed_form!(CartPole);

impl Default for CartPole {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for CartPole {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut random = Generator::new(seed);
        (self.state, self.steps) = (std::array::from_fn(|_| random.uniform(-0.05, 0.05)), 0);
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let force = if self.spec.chosen(action, self.steps)? == 1 { FORCE } else { -FORCE };
        let [x, x_dot, theta, theta_dot] = self.state;
        let (sin, cos) = libm::sincos(theta);
        let push = (force + POLE_MOMENT * (theta_dot * theta_dot) * sin) / TOTAL_MASS;
        let inertia = HALF_LENGTH * (4.0 / 3.0 - POLE_MASS * (cos * cos) / TOTAL_MASS);
        let theta_acc = (GRAVITY * sin - cos * push) / inertia;
        let x_acc = push - POLE_MOMENT * theta_acc * cos / TOTAL_MASS;
        self.state = [x + TAU * x_dot, x_dot + TAU * x_acc, theta + TAU * theta_dot, theta_dot + TAU * theta_acc];
        self.steps += 1;
        self.observe(obs);
        let [x, _, theta, _] = self.state;
        let terminated = x.abs() > MAX_POSITION || theta.abs() > MAX_ANGLE;
        Ok(Step { reward: 1.0, terminated, truncated: !terminated && self.steps >= self.spec.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::save_counted(out, self.steps, &self.state);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        state::load_counted(&self.spec.name, state, &mut self.steps, &mut self.state)
    }

    fn step_seconds(&self) -> f64 {
        TAU
    }

    fn frame(&self) -> Frame {
        let [x, _, theta, _] = self.state;
        let tip = [x + 2.0 * HALF_LENGTH * theta.sin(), 2.0 * HALF_LENGTH * theta.cos()];
        let track = Form::Capsule { from: [-MAX_POSITION, 0.0], to: [MAX_POSITION, 0.0], r: 0.01 };
        let shapes = [
            ("ground", track),
            ("robot", Form::Rect { at: [x, 0.0], half: [0.2, 0.12], angle: 0.0 }),
            ("pole", Form::Capsule { from: [x, 0.0], to: tip, r: 0.04 }),
        ];
        Frame { shapes: shapes.map(|(kind, form)| Shape { kind: kind.to_owned(), form }).into(), ..Frame::default() }
    }
}
