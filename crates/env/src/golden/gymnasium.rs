//! Recordings of Gymnasium's MuJoCo tasks.
//!
//! They hold positions, velocities and time every ten steps, and not the solver's warm start; the solver converges far enough
//! that a step from a cold start agrees within 1e-13.

use super::{Measured, Node, PARTED, Recording, Worst, compare_model};
use crate::locomotion::{Locomotion, Task};
use crate::space::Space;
use crate::{Env, Result, Step};
use serde_json::json;
use tony_mujoco::Library;

/// Replay one recording.
pub(super) fn replay(task: &'static Task, library: &Library, recording: &Recording) -> Result<Measured> {
    let mut env = Locomotion::new(task, library)?;
    let root = recording.root();
    let (actions, steps) = (Actions::read(&root, env.spec().action.row_len())?, Steps { node: root.at("steps")? });
    let mut measured = Measured { steps: actions.0.len(), ..Measured::default() };
    measured.model = Some(model(&env, task, recording)?);
    let mut obs = vec![0.0; env.spec().obs_dim];

    let start = root.at("reset")?;
    let first = start.at("obs")?.row()?;
    let (nq, nv) = (env.simulation().model().nq(), env.simulation().model().nv());
    let worst = &mut measured.reset;
    worst.row(env.simulation().qpos(), &root.at("init_qpos")?.row()?, "init_qpos");
    worst.row(env.simulation().qvel(), &root.at("init_qvel")?.row()?, "init_qvel");
    env.reset(root.at("seed")?.index()? as u64, &mut obs)?;
    let (qpos, qvel) = (start.at("qpos")?.row_of(nq)?, start.at("qvel")?.row_of(nv)?);
    let mut seeded = Worst::default();
    seeded.row(env.simulation().qpos(), &qpos, "reset.qpos");
    seeded.row(env.simulation().qvel(), &qvel, "reset.qvel");
    measured.reset_from_seed = Some(seeded);
    env.start(&qpos, &qvel, 0.0, &mut obs)?;
    worst.row(&obs, &first, "reset.obs");

    let states = steps.node.at("state_every_10")?;
    for state in states.items()? {
        let t = state.at("step")?.index()?;
        let (qpos, qvel) = (state.at("qpos")?.row_of(nq)?, state.at("qvel")?.row_of(nv)?);
        env.start(&qpos, &qvel, state.at("time")?.number()?, &mut obs)?;
        measured.obs.row(&obs, &steps.obs(t)?, &format!("obs[{t}]"));
        if let Some(action) = actions.0.get(t + 1) {
            let step = env.step(action, &mut obs, &mut [])?;
            steps.compare(t + 1, &obs, step, &mut measured.obs, &mut measured.reward)?;
            measured.checks += 1;
        }
    }

    env.start(&qpos, &qvel, 0.0, &mut obs)?;
    for (t, action) in actions.0.iter().enumerate() {
        let step = env.step(action, &mut obs, &mut [])?;
        let (mut rows, mut rewards) = (Worst::default(), Worst::default());
        steps.compare(t, &obs, step, &mut rows, &mut rewards)?;
        if t == 0 {
            // The reset is a recorded state too.
            steps.compare(t, &obs, step, &mut measured.obs, &mut measured.reward)?;
            measured.checks += 1;
        }
        if rows.difference.max(rewards.difference) > PARTED {
            measured.parted = Some(t);
            break;
        }
    }
    Ok(measured)
}

/// The compiled model, and what else makes the task.
fn model(env: &Locomotion, task: &Task, recording: &Recording) -> Result<Worst> {
    let mut worst = compare_model(env.simulation().model(), recording)?;
    let Space::Box { low, high } = &env.spec().action else { return Ok(worst) };
    let settings = json!({
        "frame_skip": task.frame_skip,
        "dt": env.step_seconds(),
        "default_max_episode_steps": env.spec().max_steps,
        "action_low": low,
        "action_high": high,
    });
    let weights = json!({
        "_forward_reward_weight": 1,
        "_ctrl_cost_weight": task.ctrl_cost,
        "_reset_noise_scale": task.noise,
        "_exclude_current_positions_from_observation": true,
    });
    let root = recording.root();
    for (ours, recorded) in [(settings, root.clone()), (weights, root.at("kwargs")?)] {
        for (name, ours) in ours.as_object().into_iter().flatten() {
            worst.facts(ours, recorded.at(name)?.value, name);
        }
    }
    Ok(worst)
}

/// Recorded actions, one row a step.
struct Actions(Vec<Vec<f64>>);

impl Actions {
    fn read(root: &Node<'_>, len: usize) -> Result<Self> {
        let actions = root.at("actions")?;
        let rows = actions.items()?.map(|row| row.row_of(len));
        Ok(Self(rows.collect::<Result<_>>()?))
    }
}

/// What followed each action.
struct Steps<'a> {
    node: Node<'a>,
}

impl Steps<'_> {
    fn obs(&self, t: usize) -> Result<Vec<f64>> {
        self.node.at("obs")?.item(t)?.row()
    }

    fn compare(&self, t: usize, obs: &[f64], step: Step, rows: &mut Worst, rewards: &mut Worst) -> Result<()> {
        rows.row(obs, &self.obs(t)?, &format!("obs[{t}]"));
        rewards.number(step.reward, self.node.at("reward")?.item(t)?.number()?, || format!("reward[{t}]"));
        let terminated = self.node.at("terminated")?.item(t)?.flag()?;
        rewards.number(f64::from(step.terminated), f64::from(terminated), || format!("terminated[{t}]"));
        Ok(())
    }
}
