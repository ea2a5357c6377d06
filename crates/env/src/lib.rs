//! Environments.
//!
//! An [`Env`] writes into rows that the caller owns, never resets itself, and returns costs as named channels. The collector
//! resets, so no row crosses an episode and a time limit is never mistaken for a death.

#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

pub mod atari_ram;
pub mod check;
pub mod circle_gather;
pub mod classic;
mod film;
pub mod frame;
pub mod golden;
pub mod locomotion;
pub mod mjcf;
pub mod needs;
pub mod numpy;
pub mod options;
pub mod pcg64;
pub mod picture;
pub mod probe;
pub mod recording;
mod registry;
pub mod safety_gym;
pub mod scene;
pub mod space;
pub mod sparse;
mod state;
#[cfg(test)]
mod testing;

pub use registry::{Context, Listing, find, list, make};
pub use safety_gym::world::is_world;

/// What stands before the name of an environment that a Python program has.
pub const IN_PYTHON: &str = "python:";

use frame::Frame;
use scene::Scene;
use space::Space;

/// Result of this crate.
pub type Result<T> = std::result::Result<T, Error>;

/// What can go wrong in an environment.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No environment has this name.
    #[error("no environment is called `{name}`")]
    UnknownName {
        /// The name that was asked for.
        name: String,
        /// Nearest known name, if one is near.
        nearest: Option<String>,
    },
    /// A task needs MuJoCo and the context has none.
    #[error("{env} needs MuJoCo, and no MuJoCo library was given")]
    NeedsMujoco {
        /// Environment's name.
        env: String,
    },
    /// A robot's shape is meshes, and the context has none.
    #[error("{env} needs the meshes of its robot, and none were given")]
    NeedsMeshes {
        /// Environment's name.
        env: String,
    },
    /// A task needs the emulator of Atari games and the context has none.
    #[error("{env} needs the Arcade Learning Environment, and none was given")]
    NeedsArcade {
        /// Environment's name.
        env: String,
    },
    /// The Python that is to run the emulator cannot.
    #[error(
        "{} cannot run the Atari emulator: {reason}\ntry: install Python 3.10 to 3.14, or TONY_PYTHON=/path/to/python3",
        python.display()
    )]
    BadPython {
        /// The Python.
        python: std::path::PathBuf,
        /// Why not.
        reason: String,
    },
    /// The emulator of Atari games cannot be used.
    #[error("the ale-py that is here cannot be used: {reason}\nin {}\ntry: {fix}", folder.display())]
    BadAle {
        /// Where it is.
        folder: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
        /// What to type.
        fix: String,
    },
    /// Something that a task needs is not here.
    #[error(transparent)]
    Fetch(#[from] tony_fetch::Error),
    /// The physics library is not here, or not what it should be.
    #[error(transparent)]
    Mujoco(#[from] tony_mujoco::Error),
    /// The process that runs the emulator died again and again.
    #[error(
        "{env}, seed {seed}, step {step}: the emulator's process died {deaths} times in this step: {said}\ntry: tony doctor --fix atari, \
         then the same command again or `tony resume RUN`"
    )]
    Arcade {
        /// Environment's name.
        env: String,
        /// Seed of the episode.
        seed: u64,
        /// Steps of the episode, with this one.
        step: usize,
        /// How often.
        deaths: usize,
        /// How the last one ended.
        said: String,
    },
    /// An action is not in the action space.
    #[error("{env}, step {step}: number {component} of the action is {found}, expected {expected}")]
    BadAction {
        /// Environment's name.
        env: String,
        /// Steps of the episode before this one.
        step: usize,
        /// Which number of the action row.
        component: usize,
        /// What stands there.
        found: String,
        /// What may stand there.
        expected: String,
    },
    /// The simulation produced infinity or not-a-number.
    #[error("{env}, step {step}: {quantity} is not finite")]
    NotFinite {
        /// Environment's name.
        env: String,
        /// Steps of the episode before this one.
        step: usize,
        /// What is not finite.
        quantity: String,
    },
    /// The physics failed.
    #[error("{env}, step {step} of the episode with seed {seed}: the physics failed")]
    Physics {
        /// Environment's name.
        env: String,
        /// Seed of the episode.
        seed: u64,
        /// Steps of the episode before this one.
        step: usize,
        /// What MuJoCo says.
        source: tony_mujoco::Error,
    },
    /// The model of a task does not compile.
    #[error("the model of {env} does not compile")]
    Model {
        /// Environment's name.
        env: String,
        /// What MuJoCo says.
        source: tony_mujoco::Error,
    },
    /// No layout was found that keeps all things apart.
    #[error(
        "{env}, seed {seed}: no room for `{thing}`, in {tries} tries in each of {layouts} layouts\na larger extent, fewer objects or \
         smaller keepouts leave more"
    )]
    NoRoom {
        /// Environment's name.
        env: String,
        /// Seed of the episode.
        seed: u64,
        /// What could not be placed.
        thing: String,
        /// Tries for it in each layout.
        tries: usize,
        /// Layouts that were begun.
        layouts: usize,
    },
    /// The file of a world cannot be used.
    #[error("{} is no world: {reason}", file.display())]
    BadWorld {
        /// The file.
        file: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// A saved state does not belong to this environment or is damaged.
    #[error("the saved state of {env} cannot be used: {reason}")]
    BadState {
        /// Environment's name.
        env: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A recording of a reference environment cannot be used.
    #[error("{} cannot be used as a recording: {reason}", file.display())]
    BadGolden {
        /// The file.
        file: std::path::PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no reference to compare with.
    #[error("{env} has no reference, so there are no recordings of it: its laws can be checked without")]
    NoRecordings {
        /// Environment's name.
        env: String,
    },
    /// An environment that is not of this program failed.
    #[error("{env}, step {step} of the episode with seed {seed}: {what}")]
    Outside {
        /// Environment's name.
        env: String,
        /// Seed of the episode.
        seed: u64,
        /// Steps of the episode before this one.
        step: usize,
        /// What it says.
        what: String,
    },
    /// A Python program has the environment, and this one does not.
    #[error(
        "`{name}` is an environment of the Python program that trained in it, and only there can it be made\ntry: tony_rl.resume or tony_rl.load in Python, with the function that makes it"
    )]
    InPython {
        /// Its name there.
        name: String,
    },
    /// A recorded episode is damaged or of another format.
    #[error("the recorded episode cannot be used: {reason}")]
    BadRecording {
        /// What is wrong with it.
        reason: String,
    },
}

/// What an environment is, fixed for its lifetime.
#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    /// Full name with version suffix, for example `SafetyPointGoal1-v0`.
    pub name: String,
    /// Length of an observation row.
    pub obs_dim: usize,
    /// Actions that [`Env::step`] takes.
    pub action: Space,
    /// Names of the cost channels, in the order of the `costs` row. Where there is any, the last is `cost`: the documented
    /// sum of the others (for Safety-Gymnasium the indicator of the sum).
    pub costs: Vec<String>,
    /// Time limit in steps: the step that reaches it returns `truncated`.
    pub max_steps: usize,
}

impl Spec {
    /// Copy a continuous action into `into`, each number clipped to its interval; not-a-number and infinity are errors.
    /// `step` is the number of steps before this one.
    pub fn clip(&self, action: &[f64], step: usize, into: &mut [f64]) -> Result<()> {
        let Space::Box { low, high } = &self.action else {
            return Err(self.bad_action(step, 0, &"a continuous action", "the index of a discrete one"));
        };
        self.check_length(action, step)?;
        for (i, (into, &x)) in into.iter_mut().zip(action).enumerate() {
            if !x.is_finite() {
                return Err(self.bad_action(step, i, &x, "a finite number"));
            }
            *into = x.clamp(low[i], high[i]);
        }
        Ok(())
    }

    /// The index that a discrete action stands for.
    pub fn chosen(&self, action: &[f64], step: usize) -> Result<usize> {
        let Space::Discrete { n } = self.action else {
            return Err(self.bad_action(step, 0, &"a discrete action", "a row of a box"));
        };
        self.check_length(action, step)?;
        if self.action.contains(action) {
            return Ok(action[0] as usize);
        }
        Err(self.bad_action(step, 0, &action[0], &format!("a whole number from 0 to {}", n - 1)))
    }

    fn check_length(&self, action: &[f64], step: usize) -> Result<()> {
        let (found, expected) = (action.len(), self.action.row_len());
        if found == expected {
            return Ok(());
        }
        let found_row = format!("in a row of {found}");
        Err(self.bad_action(step, found.min(expected), &found_row, &format!("a row of {expected}")))
    }

    fn bad_action(&self, step: usize, component: usize, found: &dyn ToString, expected: &str) -> Error {
        let (found, expected) = (found.to_string(), expected.to_owned());
        Error::BadAction { env: self.name.clone(), step, component, found, expected }
    }
}

/// What one step gave, besides the rows it wrote.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Step {
    /// Reward of the step.
    pub reward: f64,
    /// The task ended here: nothing follows, the value of the next state is 0.
    pub terminated: bool,
    /// The clock ran out: the next state has a value, it was just not visited.
    pub truncated: bool,
}

/// A Markov decision process with costs.
///
/// Rows are `f64` because the physics is; learners narrow them. After `terminated` or `truncated` the caller resets.
pub trait Env: Send {
    /// What this environment is.
    fn spec(&self) -> &Spec;

    /// Start an episode that is a function of `seed` alone and write its first observation (`[obs_dim]`).
    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()>;

    /// Take one action (`Space::row_len` numbers; a discrete action is its index as a number) and write the next
    /// observation (`[obs_dim]`) and costs (`[costs.len()]`).
    /// A continuous action outside the box is clipped to it.
    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step>;

    /// Do steps run elsewhere once [`Env::send`] began them? Then a caller with several environments begins a step in each before it waits
    /// for one.
    fn works_ahead(&self) -> bool {
        false
    }

    /// Begin a step whose result the next [`Env::step`], with the same action, takes. Nothing changes but when it is there; the default
    /// leaves all to the step.
    fn send(&mut self, _action: &[f64]) -> Result<()> {
        Ok(())
    }

    /// Everything that the future of this episode depends on, appended to `out`.
    fn save(&self, out: &mut Vec<u8>);

    /// Go on exactly from what [`Env::save`] wrote.
    fn load(&mut self, state: &[u8]) -> Result<()>;

    /// Only the physics calls of one step, controls held: nothing is observed, rewarded or drawn; where steps run elsewhere, those of many
    /// steps. The number of physics steps made; 0 for a task without a physics engine. Benchmarks measure [`Env::step`] against it; the
    /// episode is spoilt after.
    fn bare_physics(&mut self) -> Result<u32> {
        Ok(0)
    }

    /// Simulated seconds that one step takes: the pace of a replay.
    fn step_seconds(&self) -> f64 {
        0.02
    }

    /// What replays of the episode that was just reset are made of, where it is solid; [`Env::frame`] says where it is. The default:
    /// replays are flat.
    fn scene(&self) -> Option<Scene> {
        None
    }

    /// A picture of the present state for replays. The default shows nothing.
    fn frame(&self) -> Frame {
        Frame::default()
    }
}
