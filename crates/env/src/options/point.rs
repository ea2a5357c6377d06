//! `OptionPoint-v0`: a point that moves in the plane, with nothing to gain: a world for methods that find options by themselves.
//!
//! Ours, after the Point of Achiam et al., "Variational Option Discovery Algorithms" (2018), whose dynamics are not published. A step
//! moves the point by 0.02 times the action, so that the 65 steps of an episode reach 1.3, the range of the paper's pictures. No
//! episode terminates.
//!
//! - action: velocity in [-1, 1]^2
//! - observation: x, y
//! - reward: 0
//! - start: x, y uniform within 0.01 of the origin

use tony_random::Stream;

use crate::frame::{Form, Frame, Shape};
use crate::space::Space;
use crate::state;
use crate::{Env, Result, Spec, Step};

/// Distance of a step at full speed.
const STRIDE: f64 = 0.02;
/// Largest coordinate at the start.
const START: f64 = 0.01;
/// Steps of an episode.
const STEPS: usize = 65;

/// The point.
#[derive(Clone, Debug)]
pub struct OptionPoint {
    spec: Spec,
    at: [f64; 2],
    steps: usize,
}

impl OptionPoint {
    /// A point at the origin.
    pub fn new() -> Self {
        let spec = Spec {
            name: "OptionPoint-v0".to_owned(),
            obs_dim: 2,
            action: Space::Box { low: vec![-1.0; 2], high: vec![1.0; 2] },
            costs: Vec::new(),
            max_steps: STEPS,
        };
        Self { spec, at: [0.0; 2], steps: 0 }
    }
}

impl Default for OptionPoint {
    fn default() -> Self {
        Self::new()
    }
}

impl Env for OptionPoint {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut stream = Stream::new(seed, "reset", 0);
        self.at = [(); 2].map(|()| stream.range(-START, START));
        self.steps = 0;
        obs.copy_from_slice(&self.at);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let mut velocity = [0.0; 2];
        self.spec.clip(action, self.steps, &mut velocity)?;
        self.at.iter_mut().zip(velocity).for_each(|(x, v)| *x += STRIDE * v);
        self.steps += 1;
        obs.copy_from_slice(&self.at);
        Ok(Step { reward: 0.0, terminated: false, truncated: self.steps >= STEPS })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::save_counted(out, self.steps, &self.at);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        state::load_counted(&self.spec.name, state, &mut self.steps, &mut self.at)
    }

    /// What a step would take if full speed were 1 in the picture's units.
    fn step_seconds(&self) -> f64 {
        STRIDE
    }

    fn frame(&self) -> Frame {
        let reach = STRIDE * STEPS as f64;
        let shapes = [
            ("ground", Form::Rect { at: [0.0; 2], half: [reach; 2], angle: 0.0 }),
            ("robot", Form::Disc { at: self.at, r: 0.03 }),
        ];
        Frame { shapes: shapes.map(|(kind, form)| Shape { kind: kind.to_owned(), form }).into(), ..Frame::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_episode_in_one_direction_reaches_the_edge_and_no_further() {
        let (mut env, mut obs) = (OptionPoint::new(), [0.0; 2]);
        env.reset(3, &mut obs).unwrap();
        assert!(obs.iter().all(|x| x.abs() <= START) && obs[0] != obs[1]);
        let start = obs;
        for t in 1..=STEPS {
            // Beyond the space: clipped to full speed.
            let step = env.step(&[5.0, -0.5], &mut obs, &mut []).unwrap();
            assert_eq!((step.reward, step.terminated, step.truncated), (0.0, false, t == STEPS));
        }
        // 65 sums of f64.
        assert!((obs[0] - start[0] - 1.3).abs() < 1e-12 && (obs[1] - start[1] + 0.65).abs() < 1e-12, "{obs:?}");
    }
}
