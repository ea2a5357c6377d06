//! Recordings of Gymnasium's classic control.
//!
//! Their inner state is recorded after every step, so every step is a check; nothing is compiled. Observations are `f32`
//! there, and a sine that differs in its last bit may round to the next one: one unit in the last place of an `f32` is not
//! counted as a difference, the inner state decides.

use super::{MISFIT, Measured, Node, PARTED, Recording, Worst};
use crate::classic::{CartPole, Pendulum};
use crate::registry::Task;
use crate::space::Space;
use crate::{Env, Error, Result, Step};
use serde_json::json;

/// The two tasks behind one face: their inner state can be set and read.
enum Inner {
    CartPole(CartPole),
    Pendulum(Pendulum),
}

impl Inner {
    fn env(&mut self) -> &mut dyn Env {
        match self {
            Self::CartPole(env) => env,
            Self::Pendulum(env) => env,
        }
    }

    /// Go to a recorded state and observe it.
    fn go(&mut self, state: &Node<'_>, obs: &mut [f64]) -> Result<()> {
        let row = state.row()?;
        let wrong = |_| state.bad("has another length than this task's state");
        match self {
            Self::CartPole(env) => env.set_state(row.try_into().map_err(wrong)?, obs),
            Self::Pendulum(env) => env.set_state(row.try_into().map_err(wrong)?, obs),
        }
        Ok(())
    }

    fn state(&self) -> Vec<f64> {
        match self {
            Self::CartPole(env) => env.state().into(),
            Self::Pendulum(env) => env.state().into(),
        }
    }
}

/// Replay one recording.
pub(super) fn replay(task: &Task, recording: &Recording) -> Result<Measured> {
    let mut inner = match task {
        Task::CartPole => Inner::CartPole(CartPole::new()),
        Task::Pendulum => Inner::Pendulum(Pendulum::new()),
        _ => return Err(Error::NoRecordings { env: "this task".to_owned() }),
    };
    let root = recording.root();
    let actions = actions(&root, &inner.env().spec().action)?;
    let mut measured = Measured { steps: actions.len(), reset: settings(inner.env(), &root)?, ..Measured::default() };
    let mut obs = vec![0.0; inner.env().spec().obs_dim];
    let steps = Steps { node: root.at("steps")? };

    // Starts, by the step that they follow; the first follows none.
    let reset = root.at("reset")?;
    inner.env().reset(root.at("seed")?.index()? as u64, &mut obs)?;
    let mut seeded = Worst::default();
    seeded.row(&inner.state(), &reset.at("state")?.row()?, "reset.state");
    measured.reset_from_seed = Some(seeded);
    let mut starts = vec![None; actions.len() + 1];
    starts[0] = Some(reset);
    for start in root.at("resets")?.items()? {
        let after = start.at("after_step")?;
        let slot = starts.get_mut(after.index()? + 1).ok_or_else(|| after.bad("is beyond the last step"))?;
        *slot = Some(start);
    }
    for start in starts.iter().flatten() {
        inner.go(&start.at("state")?, &mut obs)?;
        rounded(&mut measured.reset, &obs, &start.at("obs")?.row()?, "reset.obs");
    }

    for (t, action) in actions.iter().enumerate() {
        let before = match &starts[t] {
            Some(start) => start.at("state")?,
            None => steps.node.at("state")?.item(t.saturating_sub(1))?,
        };
        inner.go(&before, &mut obs)?;
        let step = inner.env().step(action, &mut obs, &mut [])?;
        steps.compare(t, &inner.state(), &obs, step, &mut measured.obs, &mut measured.reward)?;
        measured.checks += 1;
    }

    for (t, action) in actions.iter().enumerate() {
        if let Some(start) = &starts[t] {
            inner.go(&start.at("state")?, &mut obs)?;
        }
        let step = inner.env().step(action, &mut obs, &mut [])?;
        let (mut rows, mut rewards) = (Worst::default(), Worst::default());
        steps.compare(t, &inner.state(), &obs, step, &mut rows, &mut rewards)?;
        let truncated = steps.node.at("truncated")?.item(t)?.flag()?;
        rewards.number(f64::from(step.truncated), f64::from(truncated), || format!("truncated[{t}]"));
        if rows.difference.max(rewards.difference) > PARTED {
            measured.parted = Some(t);
            break;
        }
    }
    Ok(measured)
}

/// The time limit and the bounds of the actions.
fn settings(env: &dyn Env, root: &Node<'_>) -> Result<Worst> {
    let mut worst = Worst::default();
    let mut compare = |name: &str, ours| {
        worst.facts(&ours, root.at(name)?.value, name);
        Ok::<_, Error>(())
    };
    compare("max_episode_steps", json!(env.spec().max_steps))?;
    if let Space::Box { low, high } = &env.spec().action {
        compare("action_low", json!(low))?;
        compare("action_high", json!(high))?;
    }
    Ok(worst)
}

/// Recorded actions as rows: a discrete action is recorded as its index.
fn actions(root: &Node<'_>, space: &Space) -> Result<Vec<Vec<f64>>> {
    let row = |action: Node<'_>| match space {
        Space::Discrete { .. } => Ok(vec![action.number()?]),
        Space::Box { low, .. } => action.row_of(low.len()),
    };
    root.at("actions")?.items()?.map(row).collect()
}

/// Compare rows that were rounded to `f32`.
fn rounded(worst: &mut Worst, ours: &[f64], recorded: &[f64], quantity: &str) {
    if ours.len() != recorded.len() {
        worst.note(MISFIT, || format!("{quantity}: {} numbers, recorded {}", ours.len(), recorded.len()));
    }
    for (i, (&ours, &recorded)) in ours.iter().zip(recorded).enumerate() {
        let (ours, recorded) = (ours as f32, recorded as f32);
        if ours != recorded.next_up() && ours != recorded.next_down() {
            worst.number(f64::from(ours), f64::from(recorded), || format!("{quantity}[{i}]"));
        }
    }
}

/// What followed each action.
struct Steps<'a> {
    node: Node<'a>,
}

impl Steps<'_> {
    fn compare(
        &self,
        t: usize,
        state: &[f64],
        obs: &[f64],
        step: Step,
        rows: &mut Worst,
        rewards: &mut Worst,
    ) -> Result<()> {
        rows.row(state, &self.node.at("state")?.item(t)?.row()?, &format!("state[{t}]"));
        rounded(rows, obs, &self.node.at("obs")?.item(t)?.row()?, &format!("obs[{t}]"));
        rewards.number(step.reward, self.node.at("reward")?.item(t)?.number()?, || format!("reward[{t}]"));
        let terminated = self.node.at("terminated")?.item(t)?.flag()?;
        rewards.number(f64::from(step.terminated), f64::from(terminated), || format!("terminated[{t}]"));
        Ok(())
    }
}
