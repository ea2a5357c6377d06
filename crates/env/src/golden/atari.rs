//! Recordings of Atari games: every byte of the console's memory after every step.
//!
//! An emulator cannot be set to a recorded memory alone, so all steps follow from the reset, and each is a check. Where an episode ended the
//! recorder reset the console without a seed.

use super::{Measured, Node, PARTED, Recording, Worst};
use crate::atari_ram::{self, AtariRam, FRAME_SKIP, RAM};
use crate::{Env, Result};
use serde_json::json;

/// Name of the environment that a recording is of, by its game and by how that was played.
pub(super) fn env(root: &Node<'_>) -> Result<String> {
    for (setting, ours) in [
        ("frame_skip", json!(FRAME_SKIP)),
        ("repeat_action_probability", json!(0.0)),
        ("full_action_space", json!(false)),
    ] {
        let recorded = root.at(setting)?;
        let same =
            recorded.value == &ours || recorded.value.as_f64().is_some() && recorded.value.as_f64() == ours.as_f64();
        if !same {
            return Err(recorded.bad(&format!("is {}, and games are played with {ours} here", recorded.value)));
        }
    }
    Ok(format!("{}{}", root.at("game")?.text()?, atari_ram::SUFFIX))
}

/// Replay one recording.
pub(super) fn replay(mut task: AtariRam, recording: &Recording) -> Result<Measured> {
    let root = recording.root();
    let actions = root.at("actions")?.row()?;
    let mut measured = Measured { steps: actions.len(), ..Measured::default() };
    measured.reset.facts(&json!(task.codes()), root.at("minimal_actions")?.value, "minimal_actions");
    let mut obs = [0.0; RAM];
    let reset = root.at("reset")?;
    task.reset(root.at("seed")?.index()? as u64, &mut obs)?;
    let mut seeded = Worst::default();
    compare(&mut seeded, &task, &obs, &reset, None)?;
    measured.reset.note(seeded.difference, || seeded.quantity.clone());
    measured.reset_from_seed = Some(seeded);

    let steps = root.at("steps")?;
    let resets = root.at("resets")?;
    let mut resets = resets.items()?;
    for (t, &action) in actions.iter().enumerate() {
        let step = task.step(&[action], &mut obs, &mut [])?;
        let (mut rows, mut rewards) = (Worst::default(), Worst::default());
        compare(&mut rows, &task, &obs, &steps, Some(t))?;
        rewards.number(step.reward, steps.at("reward")?.item(t)?.number()?, || format!("reward[{t}]"));
        let mut ended = false;
        for (flag, ours) in [("terminated", step.terminated), ("truncated", step.truncated)] {
            let recorded = steps.at(flag)?.item(t)?.flag()?;
            rewards.number(f64::from(ours), f64::from(recorded), || format!("{flag}[{t}]"));
            ended |= recorded;
        }
        let parted = rows.difference.max(rewards.difference) > PARTED;
        measured.obs.note(rows.difference, || rows.quantity);
        measured.reward.note(rewards.difference, || rewards.quantity);
        measured.checks += 1;
        if parted {
            measured.parted = measured.parted.or(Some(t));
        }
        if ended && let Some(reset) = resets.next() {
            match reset.get("seed") {
                Some(seed) => task.reset(seed.index()? as u64, &mut obs)?,
                None => task.again(&mut obs)?,
            }
            if reset.get("ram").is_some() {
                compare(&mut measured.reset, &task, &obs, &reset, None)?;
            }
        }
    }
    Ok(measured)
}

/// Compare memory and counters with those recorded at `node`, of step `t` where they are lists.
fn compare(worst: &mut Worst, task: &AtariRam, obs: &[f64], node: &Node<'_>, t: Option<usize>) -> Result<()> {
    let at = |key: &str| match t {
        Some(t) => node.at(key)?.item(t),
        None => node.at(key),
    };
    let place = |key: &str| t.map_or(format!("reset.{key}"), |t| format!("{key}[{t}]"));
    worst.row(obs, &bytes(&at("ram")?)?, &place("ram"));
    let moment = task.moment();
    for (key, ours) in [("lives", moment.lives), ("episode_frame_number", moment.frames)] {
        if node.get(key).is_some() {
            worst.number(f64::from(ours), at(key)?.number()?, || place(key));
        }
    }
    Ok(())
}

/// Bytes written in hexadecimal.
fn bytes(node: &Node<'_>) -> Result<Vec<f64>> {
    let text = node.text()?.as_bytes();
    let digit = |c: u8| char::from(c).to_digit(16);
    let byte = |pair: &[u8]| Some(f64::from(digit(pair[0])? * 16 + digit(*pair.get(1)?)?));
    let row: Option<Vec<f64>> = text.chunks(2).map(byte).collect();
    row.ok_or_else(|| node.bad("is not written in hexadecimal"))
}
