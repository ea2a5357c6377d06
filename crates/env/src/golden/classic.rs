//! Recordings of Gymnasium's classic control.
//!
//! Their inner state is recorded after every step, so every step is a check; nothing is compiled. Observations are `f32`
//! there, and a sine that differs in its last bit may round to the next one: one unit in the last place of an `f32` is not
//! counted as a difference, the inner state decides.

use super::{MISFIT, Measured, Node, PARTED, Recording, Worst};
use crate::classic::ClosedForm;
use crate::space::Space;
use crate::{Error, Result, Spec, Step};
use serde_json::json;

/// Go to a recorded state and observe it.
fn go(task: &mut dyn ClosedForm, state: &Node<'_>, obs: &mut [f64]) -> Result<()> {
    let fits = task.set_state(&state.row()?, obs);
    if fits { Ok(()) } else { Err(state.bad("has another length than this task's state")) }
}

/// Replay one recording.
pub(super) fn replay(task: &mut dyn ClosedForm, recording: &Recording) -> Result<Measured> {
    let root = recording.root();
    let actions = actions(&root, &task.spec().action)?;
    let mut measured = Measured { steps: actions.len(), reset: settings(task.spec(), &root)?, ..Measured::default() };
    let mut obs = vec![0.0; task.spec().obs_dim];
    let steps = Steps { node: root.at("steps")? };

    // Starts, by the step that they follow; the first follows none.
    let reset = root.at("reset")?;
    task.reset(root.at("seed")?.index()? as u64, &mut obs)?;
    let mut seeded = Worst::default();
    seeded.row(task.state(), &reset.at("state")?.row()?, "reset.state");
    measured.reset_from_seed = Some(seeded);
    let mut starts = vec![None; actions.len() + 1];
    starts[0] = Some(reset);
    for start in root.at("resets")?.items()? {
        let after = start.at("after_step")?;
        let slot = starts.get_mut(after.index()? + 1).ok_or_else(|| after.bad("is beyond the last step"))?;
        *slot = Some(start);
    }
    for start in starts.iter().flatten() {
        go(task, &start.at("state")?, &mut obs)?;
        rounded(&mut measured.reset, &obs, &start.at("obs")?.row()?, "reset.obs");
    }

    for (t, action) in actions.iter().enumerate() {
        let before = match &starts[t] {
            Some(start) => start.at("state")?,
            None => steps.node.at("state")?.item(t.saturating_sub(1))?,
        };
        go(task, &before, &mut obs)?;
        let step = task.step(action, &mut obs, &mut [])?;
        steps.compare(t, task.state(), &obs, step, &mut measured.obs, &mut measured.reward)?;
        measured.checks += 1;
    }

    for (t, action) in actions.iter().enumerate() {
        if let Some(start) = &starts[t] {
            go(task, &start.at("state")?, &mut obs)?;
        }
        let step = task.step(action, &mut obs, &mut [])?;
        let (mut rows, mut rewards) = (Worst::default(), Worst::default());
        steps.compare(t, task.state(), &obs, step, &mut rows, &mut rewards)?;
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
fn settings(spec: &Spec, root: &Node<'_>) -> Result<Worst> {
    let mut worst = Worst::default();
    let mut compare = |name: &str, ours| {
        worst.facts(&ours, root.at(name)?.value, name);
        Ok::<_, Error>(())
    };
    compare("max_episode_steps", json!(spec.max_steps))?;
    if let Space::Box { low, high } = &spec.action {
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
