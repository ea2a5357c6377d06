//! `CartpoleSwingup-v0`: swing a hanging pole up with a cart that must not leave its slider; only an upright pole pays.
//!
//! The original is a cart of 1 kg and a pole of 0.1 kg (1 m by 0.1 m, hinged at its end) in `Box2D`. Here are the equations of motion of
//! the same two bodies, angle 0 upright and counter-clockwise positive, in five semi-implicit Euler steps of 10 ms:
//!
//! ```text
//! (M + m) x'' - m l cos(th) th'' + m l sin(th) th'^2 = F
//! (I + m l^2) th'' - m l cos(th) x''                 = m g l sin(th)
//! ```
//!
//! The original's reset turns the pole but does not move it along, which its solver mends in the first step; here nothing needs mending.
//!
//! - action: force on the cart in [-10, 10] N: a standard normal policy uses a tenth of it
//! - observation: position (m), velocity (m/s), angle (rad, not wrapped), angular velocity (rad/s)
//! - start: position uniform on (-1, 1), velocity on (-2, 2), angle on (pi - 1, pi + 1), angular velocity on (-3, 3)
//! - end: the cart more than 3 m off. Reward: 1 a step while the cosine of the angle exceeds 0.8 and the cart is on its slider

use crate::frame::{Form, Frame, Shape};
use crate::space::Space;
use crate::state;
use crate::{Env, Result, Spec, Step};
use std::f64::consts::PI;
use tony_random::Stream;

const CART: f64 = 1.0;
const POLE: f64 = 0.1;
/// From the hinge to the pole's centre of mass.
const HALF_LENGTH: f64 = 0.5;
/// Of the pole about its centre: a rectangle of 1 m by 0.1 m.
const INERTIA: f64 = POLE * (0.1 * 0.1 + 1.0) / 12.0;
const GRAVITY: f64 = 10.0;
const FORCE: f64 = 10.0;
const EDGE: f64 = 3.0;
const UPRIGHT: f64 = 0.8;
/// Seconds of a physics step, and how many are a step.
const H: f64 = 0.01;
const SUBSTEPS: usize = 5;

/// The cart and its pole.
#[derive(Clone, Debug)]
pub struct CartpoleSwingup {
    spec: Spec,
    /// Position, velocity, angle, angular velocity.
    state: [f64; 4],
    steps: usize,
}

impl CartpoleSwingup {
    /// A cart at rest in the middle, the pole hanging.
    pub fn new() -> Self {
        let spec = Spec {
            name: "CartpoleSwingup-v0".to_owned(),
            obs_dim: 4,
            action: Space::Box { low: vec![-FORCE], high: vec![FORCE] },
            costs: Vec::new(),
            max_steps: super::MAX_STEPS,
        };
        Self { spec, state: [0.0, 0.0, PI, 0.0], steps: 0 }
    }
}

impl Default for CartpoleSwingup {
    fn default() -> Self {
        Self::new()
    }
}

/// Accelerations of cart and pole.
fn accelerations(angle: f64, spin: f64, force: f64) -> [f64; 2] {
    let (sin, cos, arm) = (libm::sin(angle), libm::cos(angle), POLE * HALF_LENGTH);
    let (mass, inertia, coupling) = (CART + POLE, INERTIA + arm * HALF_LENGTH, arm * cos);
    let (push, torque) = (force - arm * sin * spin * spin, arm * GRAVITY * sin);
    let determinant = mass * inertia - coupling * coupling;
    [(inertia * push + coupling * torque) / determinant, (mass * torque + coupling * push) / determinant]
}

/// Has the cart left its slider, and what does the step pay?
fn judge(x: f64, angle: f64) -> (bool, f64) {
    let over = x.abs() > EDGE;
    (over, if !over && libm::cos(angle) > UPRIGHT { 1.0 } else { 0.0 })
}

impl Env for CartpoleSwingup {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut stream = Stream::new(seed, "reset", 0);
        self.state =
            [stream.range(-1.0, 1.0), stream.range(-2.0, 2.0), PI + stream.range(-1.0, 1.0), stream.range(-3.0, 3.0)];
        self.steps = 0;
        obs.copy_from_slice(&self.state);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let mut force = [0.0];
        self.spec.clip(action, self.steps, &mut force)?;
        let [x, velocity, angle, spin] = &mut self.state;
        for _ in 0..SUBSTEPS {
            let [push, turn] = accelerations(*angle, *spin, force[0]);
            *velocity += H * push;
            *spin += H * turn;
            *x += H * *velocity;
            *angle += H * *spin;
        }
        self.steps += 1;
        obs.copy_from_slice(&self.state);
        let (terminated, reward) = judge(self.state[0], self.state[2]);
        Ok(Step { reward, terminated, truncated: !terminated && self.steps >= self.spec.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::save_counted(out, self.steps, &self.state);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        state::load_counted(&self.spec.name, state, &mut self.steps, &mut self.state)
    }

    fn step_seconds(&self) -> f64 {
        H * SUBSTEPS as f64
    }

    fn frame(&self) -> Frame {
        let [x, _, angle, _] = self.state;
        let tip = [x - 2.0 * HALF_LENGTH * libm::sin(angle), 2.0 * HALF_LENGTH * libm::cos(angle)];
        let shapes = [
            ("ground", Form::Capsule { from: [-EDGE, 0.0], to: [EDGE, 0.0], r: 0.01 }),
            ("robot", Form::Rect { at: [x, 0.0], half: [0.58, 0.43], angle: 0.0 }),
            ("pole", Form::Capsule { from: [x, 0.0], to: tip, r: 0.05 }),
        ];
        Frame { shapes: shapes.map(|(kind, form)| Shape { kind: kind.to_owned(), form }).into(), ..Frame::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::episodes;
    use super::*;

    #[test]
    fn the_accelerations_solve_the_equations_of_motion() {
        // Solved by an independent program in f64.
        for (angle, spin, force, expected) in [
            (2.841_592_653_589_793, 0.5, 3.0, [2.699_464_435_706_196_8, 0.563_050_159_730_277_4]),
            (0.1, 0.0, 0.0, [0.072_436_733_007_969_95, 1.601_609_502_539_168]),
            (2.0, -2.0, -10.0, [-9.626_981_465_801_933, 19.599_818_679_423_837]),
        ] {
            for (got, want) in accelerations(angle, spin, force).into_iter().zip(expected) {
                assert!((got - want).abs() < 1e-9, "{angle} {spin} {force}: {got} is not {want}");
            }
        }
    }

    #[test]
    fn an_upright_pole_on_the_slider_pays() {
        assert_eq!([judge(0.0, 0.6), judge(0.0, 0.65), judge(3.01, 0.0)], [(false, 1.0), (false, 0.0), (true, 0.0)]);
    }

    #[test]
    fn energy_is_kept_without_a_force() {
        let mut env = CartpoleSwingup::new();
        env.state = [0.0, 0.0, 2.0, 0.0];
        let energy = |[_, v, th, w]: [f64; 4]| {
            let arm = POLE * HALF_LENGTH;
            0.5 * (CART + POLE) * v * v - arm * libm::cos(th) * v * w
                + 0.5 * (INERTIA + arm * HALF_LENGTH) * w * w
                + arm * GRAVITY * libm::cos(th)
        };
        let before = energy(env.state);
        for _ in 0..100 {
            env.step(&[0.0], &mut [0.0; 4], &mut []).unwrap();
            // The semi-implicit step of 10 ms shifts the energy to and fro by a few per cent of the pole's 1 J.
            assert!((energy(env.state) - before).abs() < 0.05, "{:?}", env.state);
        }
    }

    #[test]
    fn weak_noise_never_pays_and_strong_noise_seldom() {
        // A Runge-Kutta integration of the same equations: at deviation 1 return 0 and episodes of 106 steps, at 10 3.3 % are paid, 0.58 on
        // average. Standard errors over 1000 episodes: 3 steps, 0.6 %, 0.15.
        let weak = episodes(&mut CartpoleSwingup::new(), 1000, &mut |_, stream| stream.normal());
        assert!(weak.paid == 0 && (weak.mean_length - 106.0).abs() < 10.0, "{weak:?}");
        let strong = episodes(&mut CartpoleSwingup::new(), 1000, &mut |_, stream| 10.0 * stream.normal());
        assert!((15..=55).contains(&strong.paid) && (0.1..1.1).contains(&strong.mean_return), "{strong:?}");
    }
}
