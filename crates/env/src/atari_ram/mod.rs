//! Atari 2600 games by their memory: `Pong-ramDeterministic-v4` and 103 others.
//!
//! M. G. Bellemare, Y. Naddaf, J. Veness & M. Bowling, *The Arcade Learning Environment* (2013), in the program of that name: the emulator
//! is `ale-py` 0.12.1 itself, so that the task is the reference's to the last bit.
//!
//! - action: one of those that do something in the game, repeated for 4 frames; the rewards of the frames are summed, and not clipped
//! - observation: the console's 128 bytes, 0 to 255
//! - start: the console's, the same for every seed, as nothing is left to chance (`repeat_action_probability` 0)
//! - end: the game's, not the loss of a life; the time limit is 30 minutes, 27,000 steps
//!
//! `Pong-ram` is short for `Pong-ramDeterministic-v4`. What the field calls `Pong-ram-v0` and `ALE/Pong-v5` repeats actions by chance and
//! is not here.
//!
//! ale-py is under the GPL, and the games are nobody's here: both lie in the user's cache (`tony doctor --fix atari`), and run in worker
//! processes of the user's Python, which this program talks to. An episode is its actions: that is what is saved, and what a worker that
//! takes the place of a dead one is given.

mod arcade;
mod games;
#[cfg(test)]
mod tests;
mod worker;

use std::path::PathBuf;
use std::sync::Arc;

pub use arcade::{Arcade, Environment};
pub use games::{FIX, GAMES, Game, VERSION};

use crate::frame::{Frame, Picture};
use crate::space::Space;
use crate::state;
use crate::{Env, Error, Result, Spec, Step};
use tony_random::Stream;
use worker::{Answer, Lost, Worker, put};

/// Bytes of the console's memory.
pub const RAM: usize = 128;
/// Frames that an action is repeated for.
pub const FRAME_SKIP: u32 = 4;
/// 30 minutes of 60 frames a second.
const MAX_FRAMES: u32 = 108_000;
/// Ending of the names: `-v4` leaves nothing to chance, `Deterministic` repeats an action for a fixed number of frames.
pub const SUFFIX: &str = "-ramDeterministic-v4";
/// What may stand for the ending.
pub const SHORT: &str = "-ram";
/// Processes that may die under one step: the game is what kills them then.
const TRIES: usize = 3;
/// Steps of a plain loop: many, so that it does not matter how one asks for them.
const BARE: usize = 250;
/// Among the actions of an episode: the console's own reset, which loads nothing.
const AGAIN: u8 = u8::MAX;

/// A game.
pub struct AtariRam {
    spec: Spec,
    game: Game,
    /// What the console calls each action.
    codes: Vec<u8>,
    rom: PathBuf,
    worker: Arc<Worker>,
    slot: u32,
    /// The process in which `slot` was made; 0: none.
    generation: u64,
    seed: u64,
    /// Codes of the episode's actions.
    actions: Vec<u8>,
    /// How many of the actions the process has done or was asked for; `None`: it has another episode.
    done: Option<usize>,
    /// Is there an answer to wait for?
    asked: bool,
    /// What the last answer said beside the memory.
    moment: Moment,
    commands: Vec<u8>,
    /// Plain loops run.
    bare: u64,
}

/// What the emulator counts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Moment {
    over: bool,
    reward: i32,
    pub(crate) lives: i32,
    /// Frames of the episode.
    pub(crate) frames: i32,
}

impl Moment {
    fn new(over: u8, counts: &[u8; 12]) -> Self {
        let &[a, b, c, d, e, f, g, h, i, j, k, l] = counts;
        let [reward, lives, frames] = [[a, b, c, d], [e, f, g, h], [i, j, k, l]].map(i32::from_le_bytes);
        Self { over: over != 0, reward, lives, frames }
    }
}

/// Full name of a game's environment.
pub(crate) fn name(game: &Game) -> String {
    game.name() + SUFFIX
}

impl AtariRam {
    /// A console that is switched off. Its process starts with the first reset.
    pub fn new(game: &Game, arcade: &Arcade) -> Self {
        let (codes, worker) = (game.codes(), arcade.worker());
        let spec = Spec {
            name: name(game),
            obs_dim: RAM,
            action: Space::Discrete { n: codes.len() },
            costs: Vec::new(),
            max_steps: (MAX_FRAMES - game.opening()).div_ceil(FRAME_SKIP) as usize,
        };
        Self {
            spec,
            game: *game,
            codes,
            rom: arcade.rom(game),
            slot: worker.slot(),
            worker,
            generation: 0,
            seed: 0,
            actions: Vec::new(),
            done: None,
            asked: false,
            moment: Moment::default(),
            commands: Vec::new(),
            bare: 0,
        }
    }

    /// Codes of the actions, in their order.
    pub(crate) fn codes(&self) -> &[u8] {
        &self.codes
    }

    /// What the emulator counted up to now.
    pub(crate) fn moment(&self) -> Moment {
        self.moment
    }

    /// Start the next episode as the console does, without loading the game.
    pub(crate) fn again(&mut self, obs: &mut [f64]) -> Result<()> {
        self.settle();
        self.actions.push(AGAIN);
        self.done = None;
        self.answer(obs)
    }

    /// Ask for the row after the last action: for one step where the process is one behind, else for the whole episode.
    fn ask(&mut self) -> std::result::Result<(), Lost> {
        self.commands.clear();
        if self.generation == 0 {
            // Not lost: it is not there yet.
            return Err(Lost);
        }
        match self.actions.split_last() {
            Some((&last, before)) if self.done == Some(before.len()) => {
                put(&mut self.commands, b's', last, self.slot, &[]);
            }
            _ => put(&mut self.commands, b'p', 0, self.slot, &[&self.actions]),
        }
        self.worker.send(self.generation, &self.commands)?;
        self.done = Some(self.actions.len());
        self.asked = true;
        Ok(())
    }

    /// Make the game in the process that is there now, in place of the one that was lost.
    fn move_on(&mut self) -> Result<()> {
        self.generation = self.worker.revive(self.generation)?;
        (self.done, self.asked) = (None, false);
        self.commands.clear();
        let settings = [u8::from(self.game.restores), FRAME_SKIP as u8];
        let rom = self.rom.as_os_str().as_encoded_bytes();
        put(&mut self.commands, b'm', 0, self.slot, &[&settings, rom]);
        // Where this is lost too, so is what is asked next.
        let _ = self.worker.send(self.generation, &self.commands);
        Ok(())
    }

    /// The row after the last action, asked for if it was not. A process that dies is replaced, and its episode made again.
    fn answer(&mut self, obs: &mut [f64]) -> Result<()> {
        let mut died = 0;
        loop {
            let asked = if self.asked { Ok(()) } else { self.ask() };
            let answer = asked.and_then(|()| self.worker.receive(self.generation, self.slot));
            self.asked = false;
            if let Ok(answer) = answer
                && let Some((counts, memory)) = answer.data.split_first_chunk()
            {
                self.moment = Moment::new(answer.flag, counts);
                for (obs, byte) in obs.iter_mut().zip(memory) {
                    *obs = f64::from(*byte);
                }
                return Ok(());
            }
            died += usize::from(self.generation != 0);
            if died > TRIES {
                return Err(Error::Arcade {
                    env: self.spec.name.clone(),
                    seed: self.seed,
                    step: self.actions.len(),
                    deaths: died,
                    said: self.worker.last_words(),
                });
            }
            self.move_on()?;
        }
    }

    fn picture(&self) -> Option<Picture> {
        if self.asked || self.done != Some(self.actions.len()) {
            return None;
        }
        let mut command = Vec::new();
        put(&mut command, b'f', 0, self.slot, &[]);
        self.worker.send(self.generation, &command).ok()?;
        let Answer { data, .. } = self.worker.receive(self.generation, self.slot).ok()?;
        let (&[a, b, c, d], data) = data.split_first_chunk()?;
        let [height, width] = [[a, b], [c, d]].map(|size| usize::from(u16::from_le_bytes(size)));
        let (pixels, palette) = data.split_at_checked(height * width)?;
        let palette = palette.chunks_exact(3).map(|c| [c[0], c[1], c[2]]).collect();
        Some(Picture { width, height, pixels: pixels.to_owned(), palette })
    }

    /// Take an answer that nobody wants any more.
    fn settle(&mut self) {
        if std::mem::take(&mut self.asked) {
            // Of a process that is gone nothing comes.
            let _ = self.worker.receive(self.generation, self.slot);
        }
    }
}

impl Env for AtariRam {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        self.settle();
        self.seed = seed;
        self.actions.clear();
        self.done = None;
        self.answer(obs)
    }

    fn works_ahead(&self) -> bool {
        true
    }

    fn send(&mut self, action: &[f64]) -> Result<()> {
        if !self.asked {
            let code = self.codes[self.spec.chosen(action, self.actions.len())?];
            self.actions.push(code);
            if self.ask().is_err() {
                self.move_on()?;
                // A process that dies at once is the next step's to mend.
                let _ = self.ask();
            }
            self.asked = true;
        }
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        let steps = self.actions.len() - usize::from(self.asked);
        let code = self.codes[self.spec.chosen(action, steps)?];
        if self.asked && self.actions[steps] != code {
            // Another action than the one that was begun: the episode is made again without it.
            self.settle();
            self.actions.pop();
            self.done = None;
        }
        if !self.asked {
            self.actions.push(code);
        }
        self.answer(obs)?;
        let Moment { over, reward, frames, .. } = self.moment;
        let truncated = !over && frames >= MAX_FRAMES as i32;
        Ok(Step { reward: f64::from(reward), terminated: over, truncated })
    }

    fn save(&self, out: &mut Vec<u8>) {
        let steps = self.actions.len() - usize::from(self.asked);
        state::put_u64(out, self.seed);
        state::put_u64(out, steps as u64);
        out.extend_from_slice(&self.actions[..steps]);
    }

    /// The episode is made again when its next step is asked for.
    fn load(&mut self, state: &[u8]) -> Result<()> {
        let bad = |reason: String| Error::BadState { env: self.spec.name.clone(), reason };
        let (head, actions) = state.split_at_checked(16).ok_or_else(|| bad("it ends too early".to_owned()))?;
        let mut reader = state::Reader::new(&self.spec.name, head, 16)?;
        let (seed, steps) = (reader.u64()?, reader.u64()?);
        if steps != actions.len() as u64 {
            return Err(bad(format!("it has {} actions, expected {steps}", actions.len())));
        }
        if let Some(code) = actions.iter().find(|code| !self.codes.contains(code)) {
            return Err(bad(format!("it has the action {code}, which the game does not")));
        }
        self.settle();
        self.seed = seed;
        self.actions.clear();
        self.actions.extend_from_slice(actions);
        self.done = None;
        Ok(())
    }

    /// [`BARE`] steps of a plain loop in the worker, with random actions.
    fn bare_physics(&mut self) -> Result<u32> {
        self.settle();
        let mut stream = Stream::new(self.seed, "bare", self.bare);
        let codes: Vec<u8> = (0..BARE).map(|_| self.codes[stream.below(self.codes.len())]).collect();
        self.bare += 1;
        self.done = None;
        if self.generation == 0 {
            self.move_on()?;
        }
        self.commands.clear();
        put(&mut self.commands, b'b', 0, self.slot, &[&codes]);
        let sent = self.worker.send(self.generation, &self.commands);
        let lost = sent.and_then(|()| self.worker.receive(self.generation, self.slot)).is_err();
        Ok(if lost { 0 } else { BARE as u32 * FRAME_SKIP })
    }

    fn step_seconds(&self) -> f64 {
        f64::from(FRAME_SKIP) / 60.0
    }

    /// The screen; nothing where the emulator does not have the episode at the moment.
    fn frame(&self) -> Frame {
        Frame { picture: self.picture(), ..Frame::default() }
    }
}

impl Drop for AtariRam {
    fn drop(&mut self) {
        self.commands.clear();
        put(&mut self.commands, b'd', 0, self.slot, &[]);
        // A process that is gone has forgotten it.
        let _ = self.worker.send(self.generation, &self.commands);
        self.worker.forget(self.slot);
    }
}
