//! `SparseHalfCheetah-v0`: the plane animal of `HalfCheetah-v5`, paid only once it is five metres ahead.
//!
//! Of the original: bodies, gears, 14 kg, physics steps of 10 ms, one of them a step (500 steps are 5 s), controls clipped to [-1, 1],
//! observation (positions without x, velocities, centre of mass of the whole animal), start (normal noise of 0.01 on positions, 0.1 on
//! velocities), reward (1 after each step with the centre of mass beyond x = 5), no end but the clock, no control cost.
//!
//! Not of the original: it ran rllab's own model file on an early MuJoCo (contact solver and integrator of its time). Here is Gymnasium's
//! model, which descends from that file, on today's MuJoCo with its default solver; joints and floor may answer differently, so
//! trajectories do not correspond. No recordings of the original are known.

use crate::frame::{Form, Frame, Shape};
use crate::locomotion::{self, Locomotion, Pay, RUN, half_cheetah};
use crate::scene::Scene;
use crate::{Context, Env, Result, Spec, Step};
use tony_random::Stream;

/// Numbers in the observation that are positions and velocities; the centre of mass follows.
const STATE: usize = 17;
/// Where the reward begins, m.
const FAR: f64 = 5.0;

/// Physics, actions and pictures are those of a locomotion task; reset and reward are not.
const TASK: locomotion::Task = locomotion::Task {
    name: "SparseHalfCheetah-v0",
    summary: "a two-legged plane animal runs; only being five metres ahead pays",
    frame_skip: 1,
    pay: Pay::Forward(RUN),
    ..half_cheetah::TASK
};

/// The animal.
#[derive(Debug)]
pub struct SparseHalfCheetah {
    spec: Spec,
    body: Locomotion,
}

impl SparseHalfCheetah {
    /// Compile the model and put it in its default pose.
    pub fn new(context: &Context) -> Result<Self> {
        let body = Locomotion::new(&TASK, context)?;
        let spec = Spec { obs_dim: STATE + 3, max_steps: super::MAX_STEPS, ..body.spec().clone() };
        Ok(Self { spec, body })
    }

    /// Write the centre of mass of the whole animal behind the state, and return its x.
    fn observe_centre(&mut self, obs: &mut [f64]) -> f64 {
        let simulation = self.body.simulation_mut();
        // A step leaves the frames of bodies where they were before it.
        simulation.kinematics();
        let masses = &simulation.model().body_mass()[1..];
        let places = simulation.xipos()[3..].as_chunks::<3>().0;
        let centre = &mut obs[STATE..];
        centre.fill(0.0);
        for (mass, place) in masses.iter().zip(places) {
            centre.iter_mut().zip(place).for_each(|(sum, x)| *sum += mass * x);
        }
        let total: f64 = masses.iter().sum();
        centre.iter_mut().for_each(|sum| *sum /= total);
        centre[0]
    }
}

impl Env for SparseHalfCheetah {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut stream = Stream::new(seed, "reset", 0);
        // The default pose is all zeros.
        let noise = |scale: f64, stream: &mut Stream| std::array::from_fn::<f64, 9, _>(|_| scale * stream.normal());
        let (qpos, qvel) = (noise(0.01, &mut stream), noise(0.1, &mut stream));
        self.body.begin(seed, &qpos, &qvel, &mut obs[..STATE])?;
        self.observe_centre(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        self.body.step(action, &mut obs[..STATE], costs)?;
        let far = self.observe_centre(obs) > FAR;
        let truncated = self.body.steps() >= self.spec.max_steps;
        Ok(Step { reward: f64::from(u8::from(far)), terminated: false, truncated })
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.body.save(out);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        self.body.load(state)
    }

    fn bare_physics(&mut self) -> Result<u32> {
        self.body.bare_physics()
    }

    fn step_seconds(&self) -> f64 {
        self.body.step_seconds()
    }

    /// The body, and the line that pays.
    fn scene(&self) -> Option<Scene> {
        let line = Form::Capsule { from: [FAR, -1.0], to: [FAR, 1.0], r: 0.02 };
        let mut scene = self.body.scene()?;
        scene.mark(&Shape { kind: "goal".to_owned(), form: line });
        Some(scene)
    }

    fn frame(&self) -> Frame {
        self.body.frame()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[test]
    fn the_centre_of_mass_is_that_of_the_state_shown_and_pays_beyond_five_metres() {
        let context = context();
        if context.library.is_none() {
            return;
        }
        let (mut env, mut obs) = (SparseHalfCheetah::new(&context).unwrap(), [0.0; 20]);
        assert!((env.body.simulation().model().body_mass().iter().sum::<f64>() - 14.0).abs() < 1e-9);
        env.reset(3, &mut obs).unwrap();
        // At rest the animal's centre lies near its torso, 0.7 m up.
        assert!(obs[17].abs() < 0.2 && obs[18].abs() < 1e-9 && (0.4..0.8).contains(&obs[19]), "{obs:?}");
        for (start, reward) in [(4.9, 0.0), (5.3, 1.0)] {
            let mut qpos = [0.0; 9];
            qpos[0] = start;
            env.body.begin(0, &qpos, &[0.0; 9], &mut obs[..STATE]).unwrap();
            let step = env.step(&[0.5; 6], &mut obs, &mut []).unwrap();
            assert_eq!(step.reward, reward, "at {start}");
            // MuJoCo's own sum over the tree, at the same state.
            env.body.simulation_mut().forward().unwrap();
            for (got, want) in obs[STATE..].iter().zip(&env.body.simulation().subtree_com()[3..6]) {
                assert!((got - want).abs() < 1e-12, "{got} {want}");
            }
        }
        assert_eq!(env.step_seconds(), 0.01);
    }
}
