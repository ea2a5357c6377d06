//! `SparseMountainCar-v0`: an engine too weak for the hill has to swing out of a valley; only leaving it pays.
//!
//! The original is a box that slides on a polyline in `Box2D`. Here it is a point of the same mass on the smooth curve that the
//! polyline samples, `y(x) = 1 - cos(pi x / 2)`, pushed along it by a force `F`:
//!
//! `(1 + y'^2) x'' = (F / m) sqrt(1 + y'^2) - g y' - y' y'' x'^2`
//!
//! in five semi-implicit Euler steps of 10 ms, and then slowed by Coulomb friction, 0.01 of the weight's part across the track.
//! Contact with the corners of the polyline, the box's rotation and the jolt of its start inside the track are left out.
//!
//! - action: force in [-1, 1] N; more than 0.105 m up the slope it no longer holds the car
//! - observation: position (m), horizontal velocity (m/s)
//! - start: position 0, velocity uniform on (-1, 1)
//! - end: position 0.6 or more, or 2 m off on either side; that step pays 1, every other 0 (the left exit pays too)

use crate::frame::{Form, Frame, Shape};
use crate::space::Space;
use crate::state;
use crate::{Env, Result, Spec, Step};
use std::f64::consts::{FRAC_PI_2, PI};
use tony_random::Stream;

const MASS: f64 = 0.4;
const GRAVITY: f64 = 10.0;
/// Coulomb, of the car on the track.
const FRICTION: f64 = 0.01;
/// Seconds of a physics step, and how many are a step.
const H: f64 = 0.01;
const SUBSTEPS: usize = 5;
const GOAL: f64 = 0.6;
const EDGE: f64 = 2.0;

/// The car.
#[derive(Clone, Debug)]
pub struct SparseMountainCar {
    spec: Spec,
    /// Position and velocity.
    state: [f64; 2],
    steps: usize,
}

impl SparseMountainCar {
    /// A car at rest in the valley.
    pub fn new() -> Self {
        let spec = Spec {
            name: "SparseMountainCar-v0".to_owned(),
            obs_dim: 2,
            action: Space::Box { low: vec![-1.0], high: vec![1.0] },
            costs: Vec::new(),
            max_steps: super::MAX_STEPS,
        };
        Self { spec, state: [0.0; 2], steps: 0 }
    }
}

impl Default for SparseMountainCar {
    fn default() -> Self {
        Self::new()
    }
}

/// Height of the track.
fn height(x: f64) -> f64 {
    1.0 - libm::cos(FRAC_PI_2 * x)
}

/// Slope of the track.
fn slope(x: f64) -> f64 {
    FRAC_PI_2 * libm::sin(FRAC_PI_2 * x)
}

/// Horizontal acceleration without friction.
fn acceleration(x: f64, velocity: f64, force: f64) -> f64 {
    let (slope, bend) = (slope(x), 0.25 * PI * PI * libm::cos(FRAC_PI_2 * x));
    let stretch = 1.0 + slope * slope;
    (force / MASS * stretch.sqrt() - GRAVITY * slope - slope * bend * velocity * velocity) / stretch
}

impl Env for SparseMountainCar {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        self.state = [0.0, Stream::new(seed, "reset", 0).range(-1.0, 1.0)];
        self.steps = 0;
        obs.copy_from_slice(&self.state);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let mut force = [0.0];
        self.spec.clip(action, self.steps, &mut force)?;
        let [x, velocity] = &mut self.state;
        for _ in 0..SUBSTEPS {
            let pushed = *velocity + H * acceleration(*x, *velocity, force[0]);
            let slowed = H * FRICTION * GRAVITY / (1.0 + slope(*x) * slope(*x));
            // Friction stops the car; it never turns it round.
            *velocity = pushed.signum() * (pushed.abs() - slowed).max(0.0);
            *x += H * *velocity;
        }
        self.steps += 1;
        obs.copy_from_slice(&self.state);
        let [x, _] = self.state;
        let terminated = x >= GOAL || x.abs() >= EDGE;
        let reward = if terminated { 1.0 } else { 0.0 };
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
        let [x, _] = self.state;
        let point = |x: f64| [x, height(x)];
        let mut shapes: Vec<Shape> = (-20..20)
            .map(|i| Form::Capsule { from: point(f64::from(i) / 10.0), to: point(f64::from(i + 1) / 10.0), r: 0.01 })
            .map(|form| Shape { kind: "ground".to_owned(), form })
            .collect();
        shapes.push(Shape { kind: "goal".to_owned(), form: Form::Disc { at: point(GOAL), r: 0.08 } });
        // Standing on the track, turned along it.
        let (angle, [at_x, at_y]) = (libm::atan(slope(x)), point(x));
        let at = [at_x - 0.1 * libm::sin(angle), at_y + 0.1 * libm::cos(angle)];
        shapes.push(Shape { kind: "robot".to_owned(), form: Form::Rect { at, half: [0.2, 0.1], angle } });
        Frame { shapes, ..Frame::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::super::testing::{Outcome, episodes};
    use super::*;

    #[test]
    fn the_acceleration_is_that_of_the_equation_of_motion() {
        // Solved by an independent program in f64.
        for (x, velocity, force, expected) in
            [(0.3, 0.5, 1.0, -2.951_601_670_360_583_6), (0.0, 0.0, 1.0, 2.5), (-0.5, 1.0, -1.0, 4.167_392_626_108_962)]
        {
            assert!((acceleration(x, velocity, force) - expected).abs() < 1e-9, "{x} {velocity} {force}");
        }
        assert!((height(GOAL) - 0.412_214_747_707_526_86).abs() < 1e-12);
        assert!((MASS * GRAVITY * height(GOAL) - 1.648_858_990_830_107_5).abs() < 1e-12);
        // Where the full force just balances the slope.
        assert!(acceleration(0.105_121_121_206_089_14, 0.0, 1.0).abs() < 1e-9);
    }

    #[test]
    fn only_swinging_gets_out() {
        let run = |act: &mut dyn FnMut(&[f64], &mut Stream) -> f64| episodes(&mut SparseMountainCar::new(), 1000, act);
        for force in [-1.0, -0.5, 0.0, 0.5, 1.0] {
            assert_eq!(run(&mut |_, _| force).paid, 0, "a constant force of {force}");
        }
        // The two simplest policies and noise, as an independent program found them: 100 %, 51 steps, at most 63; 0.7 %.
        let Outcome { paid, mean_length, longest, .. } = run(&mut |obs, _| if obs[1] > 0.0 { 1.0 } else { -1.0 });
        assert!(
            paid == 1000 && (mean_length - 51.0).abs() < 2.0 && (60..=66).contains(&longest),
            "{mean_length} {longest}"
        );
        let noise = run(&mut |_, stream| stream.normal());
        assert!(noise.paid <= 20, "noise solves {} of 1000", noise.paid);
    }
}
