//! `OptionAnt-v0`, `OptionHalfCheetah-v0`, `OptionSwimmer-v0`: Gymnasium's robots with nothing to gain.
//!
//! Of the paper: `HalfCheetah`'s and Swimmer's own observations, reward ignored; Ant without the contact forces in its observation (27
//! numbers), and a small penalty for being fallen instead of an end. The paper does not say how large: here it is 1 a step while the
//! torso is not between 0.2 and 1 m high. Its robots were Gym's `-v1` on MuJoCo 1.5; these are Gymnasium's `-v5` on today's.

use crate::locomotion::{Moment, Paid, Part, Pay, Task, ant, half_cheetah, swimmer};

/// Four legs; falling costs, and ends nothing.
pub const ANT: Task = Task {
    name: "OptionAnt-v0",
    summary: "a four-legged robot with nothing to gain, so that options can be found; falling costs",
    observed: &[Part::Positions(2), Part::Velocities(f64::INFINITY)],
    pay: Pay::Own(falling),
    lags: false,
    ..ant::TASK
};

/// A plane animal.
pub const HALF_CHEETAH: Task = Task {
    name: "OptionHalfCheetah-v0",
    summary: "a two-legged plane animal with nothing to gain, so that options can be found",
    pay: Pay::Own(nothing),
    ..half_cheetah::TASK
};

/// Three rods in a fluid.
pub const SWIMMER: Task = Task {
    name: "OptionSwimmer-v0",
    summary: "three rods in a viscous fluid with nothing to gain, so that options can be found",
    pay: Pay::Own(nothing),
    ..swimmer::TASK
};

fn falling(moment: &Moment) -> Paid {
    let up = ant::healthy(moment.simulation.qpos(), moment.simulation.qvel());
    Paid { reward: if up { 0.0 } else { -1.0 }, terminated: false }
}

fn nothing(_: &Moment) -> Paid {
    Paid { reward: 0.0, terminated: false }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locomotion::Locomotion;
    use crate::testing::context;
    use crate::{Env, Step};

    #[test]
    fn nothing_is_paid_and_nothing_ends() {
        let context = context();
        if context.library.is_none() {
            return;
        }
        for (name, dim) in [("OptionAnt", 27), ("OptionHalfCheetah", 17), ("OptionSwimmer", 8)] {
            let mut env = crate::make(name, &context).unwrap();
            let spec = env.spec().clone();
            assert_eq!((spec.obs_dim, spec.max_steps, spec.costs.len()), (dim, 1000, 0), "{name}");
            let mut obs = vec![0.0; dim];
            env.reset(0, &mut obs).unwrap();
            for t in 1..=1000 {
                let step = env.step(&vec![0.2; spec.action.row_len()], &mut obs, &mut []).unwrap();
                assert_eq!(step, Step { reward: 0.0, terminated: false, truncated: t == 1000 }, "{name}, step {t}");
            }
        }
    }

    #[test]
    fn a_fallen_ant_pays_and_goes_on() {
        let context = context();
        if context.library.is_none() {
            return;
        }
        let (mut env, mut obs) = (Locomotion::new(&ANT, &context).unwrap(), [0.0; 27]);
        env.reset(0, &mut obs).unwrap();
        let simulation = env.simulation_mut();
        let (mut qpos, qvel) = (simulation.qpos().to_vec(), simulation.qvel().to_vec());
        // On its way down from above it is too high, then up, whatever follows.
        qpos[2] = 1.5;
        env.begin(0, &qpos, &qvel, &mut obs).unwrap();
        let mut rewards = Vec::new();
        for _ in 0..20 {
            let step = env.step(&[0.0; 8], &mut obs, &mut []).unwrap();
            assert!(!step.terminated);
            assert_eq!(step.reward, if obs[0] > 1.0 { -1.0 } else { 0.0 });
            rewards.push(step.reward);
        }
        assert!(rewards[0] == -1.0 && rewards[19] == 0.0, "{rewards:?}");
    }
}
