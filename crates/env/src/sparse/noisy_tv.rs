//! `NoisyTV-v0`: two rooms, one of them with a screen of pure noise; nothing pays. What does a curious agent watch?
//!
//! A task of our own, for bonuses that reward what a model of the world does not predict. Which room one is in, a switch decides; in the
//! quiet room the screen is dark, in the other it shows a fresh standard normal number at every step, which nobody can predict.
//! A bonus for surprise stays high before the screen for ever (its floor there is the entropy of the noise, 1.42 nats above that of a
//! known number); a bonus for learning fades in both rooms once the model knows that noise is noise.
//!
//! - action: 0 stays, 1 goes to the other room
//! - observation: room (-1 quiet, 1 with the screen), number on the screen
//! - start: either room. Reward: 0. Cost: 1 for a step that ends before the screen, so that a run shows how much was watched

use crate::frame::{Form, Frame, Shape};
use crate::space::Space;
use crate::state::{self, Reader};
use crate::{Env, Result, Spec, Step};
use tony_random::Stream;

/// Steps of an episode.
const MAX_STEPS: usize = 100;

/// The two rooms.
#[derive(Clone, Debug)]
pub struct NoisyTv {
    spec: Spec,
    /// Room and screen.
    state: [f64; 2],
    seed: u64,
    steps: usize,
}

impl NoisyTv {
    /// In the quiet room.
    pub fn new() -> Self {
        let spec = Spec {
            name: "NoisyTV-v0".to_owned(),
            obs_dim: 2,
            action: Space::Discrete { n: 2 },
            costs: vec!["cost".to_owned()],
            max_steps: MAX_STEPS,
        };
        Self { spec, state: [-1.0, 0.0], seed: 0, steps: 0 }
    }

    /// Be in a room, and see what its screen shows at this step.
    fn enter(&mut self, room: f64, obs: &mut [f64]) {
        let screen = if room > 0.0 { Stream::new(self.seed, "screen", self.steps as u64).normal() } else { 0.0 };
        self.state = [room, screen];
        obs.copy_from_slice(&self.state);
    }
}

impl Default for NoisyTv {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for NoisyTv {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let heads = Stream::new(seed, "reset", 0).below(2) == 1;
        (self.seed, self.steps) = (seed, 0);
        self.enter(if heads { 1.0 } else { -1.0 }, obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        let switch = self.spec.chosen(action, self.steps)? == 1;
        self.steps += 1;
        let room = if switch { -self.state[0] } else { self.state[0] };
        self.enter(room, obs);
        costs[0] = f64::from(u8::from(room > 0.0));
        Ok(Step { reward: 0.0, terminated: false, truncated: self.steps >= self.spec.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.seed);
        state::put_u64(out, self.steps as u64);
        state::put_f64s(out, &self.state);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let mut reader = Reader::new(&self.spec.name, state, 8 * 4)?;
        (self.seed, self.steps) = (reader.u64()?, reader.u64()? as usize);
        reader.f64s(&mut self.state)
    }

    fn step_seconds(&self) -> f64 {
        0.1
    }

    fn frame(&self) -> Frame {
        let [room, screen] = self.state;
        let shapes = [
            ("ground", Form::Rect { at: [-1.0, 0.0], half: [0.95, 1.0], angle: 0.0 }),
            ("ground", Form::Rect { at: [1.0, 0.0], half: [0.95, 1.0], angle: 0.0 }),
            // The screen is as wide as its number is large.
            ("hazard", Form::Rect { at: [1.0, 0.8], half: [0.05 + 0.25 * screen.abs().min(3.0), 0.1], angle: 0.0 }),
            ("robot", Form::Disc { at: [room, -0.2], r: 0.2 }),
        ];
        Frame { shapes: shapes.map(|(kind, form)| Shape { kind: kind.to_owned(), form }).into(), ..Frame::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screen_is_dark_in_one_room_and_standard_normal_in_the_other() {
        let (mut env, mut obs, mut cost) = (NoisyTv::new(), [0.0; 2], [0.0]);
        let (mut sum, mut squares, mut n) = (0.0, 0.0, 0.0);
        for seed in 0..200 {
            env.reset(seed, &mut obs).unwrap();
            let first = obs[0] > 0.0;
            assert!(first || obs[1] == 0.0);
            for t in 0..MAX_STEPS {
                // To the other room at the tenth step, back at the sixtieth.
                env.step(&[if [10, 60].contains(&t) { 1.0 } else { 0.0 }], &mut obs, &mut cost).unwrap();
                let inside = (10..60).contains(&t) != first;
                assert_eq!((obs[0], cost[0]), if inside { (1.0, 1.0) } else { (-1.0, 0.0) });
                if inside {
                    (sum, squares, n) = (sum + obs[1], squares + obs[1] * obs[1], n + 1.0);
                } else {
                    assert_eq!(obs[1], 0.0);
                }
            }
        }
        // Standard errors over 10,000 draws: 0.01 of the mean, 0.014 of the variance.
        assert!((sum / n).abs() < 0.04 && (squares / n - 1.0).abs() < 0.06, "{} {}", sum / n, squares / n);
    }
}
