//! Recordings of Gymnasium's MuJoCo tasks.
//!
//! They hold positions, velocities and time every ten steps, and few the solver's first guess. Where they do not, it is the one that the
//! open loop has in that step: Humanoid's solver does not converge, and from no guess at all its forces are off by 1e-5.

use super::{Measured, Node, PARTED, Recording, Worst, compare_model};
use crate::locomotion::{Contact, Limit, Locomotion, Pay, Start, Task};
use crate::space::Space;
use crate::{Context, Env, Result};
use serde_json::json;

/// Replay one recording.
pub(super) fn replay(task: &'static Task, context: &Context, recording: &Recording) -> Result<Measured> {
    let mut env = Locomotion::new(task, context)?;
    let root = recording.root();
    let (actions, steps) = (Actions::read(&root, env.spec().action.row_len())?, Steps { node: root.at("steps")? });
    let mut measured = Measured { steps: actions.0.len(), ..Measured::default() };
    measured.cost = task.speed_limit.map(|_| Worst::default());
    measured.model = Some(model(&env, task, recording)?);
    let mut obs = vec![0.0; env.spec().obs_dim];

    let start = root.at("reset")?;
    let first = start.at("obs")?.row()?;
    let (nq, nv) = (env.simulation().model().nq(), env.simulation().model().nv());
    let worst = &mut measured.reset;
    if let (Start::Noise { .. }, Some(qpos)) = (task.start, root.get("init_qpos")) {
        worst.row(env.simulation().qpos(), &qpos.row()?, "init_qpos");
        worst.row(env.simulation().qvel(), &root.at("init_qvel")?.row()?, "init_qvel");
    }
    env.reset(root.at("seed")?.index()? as u64, &mut obs)?;
    let (qpos, qvel) = (start.at("qpos")?.row_of(nq)?, start.at("qvel")?.row_of(nv)?);
    let mut seeded = Worst::default();
    seeded.row(env.simulation().qpos(), &qpos, "reset.qpos");
    seeded.row(env.simulation().qvel(), &qvel, "reset.qvel");
    measured.reset_from_seed = Some(seeded);
    env.start(&qpos, &qvel, 0.0, &mut obs)?;
    worst.row(&obs, &first, "reset.obs");

    env.start(&qpos, &qvel, 0.0, &mut obs)?;
    let mut guesses = Vec::new();
    for (t, action) in actions.0.iter().enumerate() {
        let found = steps.step(&mut env, t, action, &mut obs)?;
        if t == 0 {
            // The reset is a recorded state too.
            measured.checks += 1;
            measured.obs.note(found.obs.difference, || found.obs.quantity.clone());
            measured.reward.note(found.reward.difference, || found.reward.quantity.clone());
        }
        if found.obs.difference.max(found.reward.difference).max(found.cost.difference) > PARTED {
            measured.parted = Some(t);
            break;
        }
        guesses.push(env.simulation().qacc_warmstart().to_vec());
    }

    let states = steps.node.at("state_every_10")?;
    for state in states.items()? {
        let t = state.at("step")?.index()?;
        let (qpos, qvel) = (state.at("qpos")?.row_of(nq)?, state.at("qvel")?.row_of(nv)?);
        env.start(&qpos, &qvel, state.at("time")?.number()?, &mut obs)?;
        let guess = state.get("qacc_warmstart").map(|guess| guess.row_of(nv)).transpose()?;
        if let Some(guess) = guess.as_ref().or(guesses.get(t)) {
            env.simulation_mut().qacc_warmstart_mut().copy_from_slice(guess);
        }
        if !task.lags {
            measured.obs.row(&obs, &steps.obs(t)?, &format!("obs[{t}]"));
        }
        // What lags is right after one step.
        let from = t + 1;
        for (t, action) in actions.0.iter().enumerate().skip(from).take(1 + usize::from(task.lags)) {
            let found = steps.step(&mut env, t, action, &mut obs)?;
            measured.checks += 1;
            measured.obs.note(found.obs.difference, || found.obs.quantity);
            if t > from || !task.lags {
                measured.reward.note(found.reward.difference, || found.reward.quantity);
                if let Some(cost) = measured.cost.as_mut() {
                    cost.note(found.cost.difference, || found.cost.quantity);
                }
            }
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
        // Gymnasium's bounds have single precision.
        "action_low": low.iter().map(|x| f64::from(*x as f32)).collect::<Vec<_>>(),
        "action_high": high.iter().map(|x| f64::from(*x as f32)).collect::<Vec<_>>(),
    });
    let root = recording.root();
    for (name, ours) in settings.as_object().into_iter().flatten() {
        // Safety-Gymnasium's recordings do not have the time limit.
        match root.get(name) {
            None if name == "default_max_episode_steps" && task.speed_limit.is_some() => {}
            _ => worst.facts(ours, root.at(name)?.value, name),
        }
    }
    // Weights that the recording names; a task with a reward of its own is judged by its rewards.
    let kwargs = root.at("kwargs")?;
    for (name, ours) in weights(task) {
        if let Some(recorded) = kwargs.get(name) {
            worst.facts(&json!(ours), recorded.value, name);
        }
    }
    Ok(worst)
}

/// Constants of the task under the reference's names.
fn weights(task: &Task) -> Vec<(&'static str, f64)> {
    let mut weights = Vec::new();
    if let Start::Noise { scale, .. } = task.start {
        weights.push(("_reset_noise_scale", scale));
    }
    if let Some(Limit::Forward(limit) | Limit::Plane(limit)) = task.speed_limit {
        weights.push(("_velocity_threshold", limit));
    }
    if let Pay::Forward(forward) = &task.pay {
        weights.extend([
            ("_forward_reward_weight", forward.weight),
            ("_ctrl_cost_weight", forward.control),
            ("_healthy_reward", forward.alive),
        ]);
        if let Contact::Clipped(weight, _) | Contact::Bounded(weight, _) = forward.contact {
            weights.push(("_contact_cost_weight", weight));
        }
    }
    weights
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

    /// Take recorded step `t` and compare what it gave.
    fn step(&self, env: &mut Locomotion, t: usize, action: &[f64], obs: &mut [f64]) -> Result<Found> {
        let mut costs = vec![0.0; env.spec().costs.len()];
        let step = env.step(action, obs, &mut costs)?;
        let (at, mut found) = (|name| self.node.at(name)?.item(t), Found::default());
        found.obs.row(obs, &self.obs(t)?, &format!("obs[{t}]"));
        found.reward.number(step.reward, at("reward")?.number()?, || format!("reward[{t}]"));
        let terminated = at("terminated")?.flag()?;
        found.reward.number(f64::from(step.terminated), f64::from(terminated), || format!("terminated[{t}]"));
        if let Some(cost) = costs.first() {
            found.cost.number(*cost, at("cost")?.number()?, || format!("cost[{t}]"));
        }
        Ok(found)
    }
}

/// Differences of a step.
#[derive(Debug, Default)]
struct Found {
    obs: Worst,
    reward: Worst,
    cost: Worst,
}
