//! Environments by name.

use crate::atari_ram::{self, Arcade, AtariRam};
use crate::circle_gather::{self, Creature, PointCircle, PointGather};
use crate::classic::{Acrobot, CartPole, ClosedForm, MountainCar, MountainCarContinuous, Pendulum};
use crate::locomotion::{
    self, Locomotion, ant, half_cheetah, hopper, humanoid, inverted_double_pendulum, inverted_pendulum, pusher,
    reacher, speed, swimmer, walker2d,
};
use crate::options::{AntMaze, OptionPoint, robots};
use crate::probe::{self, Probe};
use crate::safety_gym::world::{self, is_world};
use crate::safety_gym::{SafetyGym, suite};
use crate::sparse::{CartpoleSwingup, NoisyTv, SparseHalfCheetah, SparseMountainCar};
use crate::{Env, Error, IN_PYTHON, Result};
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use tony_mujoco::Model;

/// What an environment may need from outside.
#[derive(Default)]
pub struct Context {
    /// The physics engine; tasks without physics do not ask.
    pub library: Option<tony_mujoco::Library>,
    /// The folder of Racecar's meshes ([`crate::safety_gym::robots::MESHES`]); no other robot asks.
    pub meshes: Option<PathBuf>,
    /// Where Atari games run; no other task asks.
    pub arcade: Option<Arc<Arcade>>,
    /// Compiled models by their texts: a second environment of a task copies the first one's.
    pub(crate) models: Mutex<HashMap<String, Model>>,
}

impl Context {
    /// With a library and a folder of meshes, where there are some.
    pub fn new(library: Option<tony_mujoco::Library>, meshes: Option<PathBuf>) -> Self {
        Self { library, meshes, ..Self::default() }
    }

    /// The model of `env` with this text.
    pub(crate) fn model(&self, env: &str, xml: String) -> Result<Model> {
        let library = self.library(env)?;
        let mut models = self.models.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get(&xml) {
            return Ok(model.clone());
        }
        let failed = |source| Error::Model { env: env.to_owned(), source };
        let model = Model::from_xml(library, &xml).map_err(failed)?;
        models.insert(xml, model.clone());
        Ok(model)
    }

    /// The folder of meshes, which `env` needs.
    pub(crate) fn meshes(&self, env: &str) -> Result<&Path> {
        self.meshes.as_deref().ok_or_else(|| Error::NeedsMeshes { env: env.to_owned() })
    }

    /// Where Atari games run, which `env` needs.
    pub(crate) fn arcade(&self, env: &str) -> Result<&Arcade> {
        self.arcade.as_deref().ok_or_else(|| Error::NeedsArcade { env: env.to_owned() })
    }

    /// The library, which `env` needs.
    pub(crate) fn library(&self, env: &str) -> Result<&tony_mujoco::Library> {
        self.library.as_ref().ok_or_else(|| Error::NeedsMujoco { env: env.to_owned() })
    }
}

/// One known environment.
#[derive(Clone, Copy)]
pub struct Listing {
    /// Full name with version suffix.
    pub name: &'static str,
    /// Group that it belongs to.
    pub family: &'static str,
    /// What it asks of an agent, in a line.
    pub summary: &'static str,
    /// Does it need [`Context::library`]?
    pub needs_mujoco: bool,
    /// Does it need [`Context::meshes`]?
    pub needs_meshes: bool,
    /// Do episodes differ with the seed?
    pub random: bool,
    pub(crate) task: Task,
}

/// Makes an environment.
type Make = fn(&Context) -> Result<Box<dyn Env>>;

/// Which code an environment is.
#[derive(Clone, Copy)]
pub(crate) enum Task {
    AtariRam(&'static atari_ram::Game),
    ClosedForm(fn() -> Box<dyn ClosedForm>),
    Creature(&'static circle_gather::Task),
    Locomotion(&'static locomotion::Task),
    SafetyGym(suite::Entry),
    /// Its name is its file.
    World,
    /// Whatever else there is.
    Other(Make),
    Probe(&'static probe::Task),
}

impl Listing {
    /// Does it need [`Context::arcade`]?
    pub fn needs_arcade(&self) -> bool {
        matches!(self.task, Task::AtariRam(_))
    }
}

impl Task {
    /// Are there recordings of a program that the task was borrowed from?
    pub(crate) fn has_reference(&self) -> bool {
        matches!(self, Self::AtariRam(_) | Self::ClosedForm(_) | Self::Locomotion(_) | Self::SafetyGym(_))
    }
}

/// All environments, by family.
pub fn list() -> &'static [Listing] {
    &LIST
}

/// The environment of this name; the version suffix may be left out. The path of a [`world`]'s file is a name too.
pub fn find(name: &str) -> Result<&'static Listing> {
    if is_world(name) {
        return find_world(name);
    }
    if let Some(name) = name.strip_prefix(IN_PYTHON) {
        return Err(Error::InPython { name: name.to_owned() });
    }
    let same = |listing: &&Listing| {
        name == listing.name || name == without_version(listing.name) || short(listing) == Some(name)
    };
    LIST.iter().find(same).ok_or_else(|| Error::UnknownName { name: name.to_owned(), nearest: nearest(name) })
}

/// The world of this file, as it is now.
fn find_world(name: &str) -> Result<&'static Listing> {
    let (robot, _) = world::read(Path::new(name))?;
    let listing = Listing {
        name: name.to_owned().leak(),
        family: "world",
        summary: "a world of your own",
        needs_mujoco: true,
        needs_meshes: !robot.assets.is_empty(),
        random: true,
        task: Task::World,
    };
    // A program looks up a handful of worlds in its life.
    Ok(Box::leak(Box::new(listing)))
}

/// Make the environment of this name.
pub fn make(name: &str, context: &Context) -> Result<Box<dyn Env>> {
    let listing = find(name)?;
    Ok(match &listing.task {
        Task::AtariRam(game) => Box::new(AtariRam::new(game, context.arcade(listing.name)?)),
        Task::ClosedForm(make) => make(),
        Task::Creature(task) => Box::new(Creature::new(task, context)?),
        Task::Locomotion(task) => Box::new(Locomotion::new(task, context)?),
        Task::SafetyGym(entry) => {
            let (robot, task) = entry.build();
            Box::new(SafetyGym::new(robot, task, context)?)
        }
        Task::World => {
            let (robot, task) = world::read(Path::new(listing.name))?;
            Box::new(SafetyGym::named(listing.name, robot, task, context)?)
        }
        Task::Other(make) => make(context)?,
        Task::Probe(task) => Box::new(Probe::new(task)),
    })
}

fn without_version(name: &str) -> &str {
    name.rsplit_once("-v").map_or(name, |(stem, _)| stem)
}

/// An Atari game's name without what it shares with all others.
fn short(listing: &Listing) -> Option<&'static str> {
    let stem = listing.name.strip_suffix(atari_ram::SUFFIX)?;
    Some(&listing.name[..stem.len() + atari_ram::SHORT.len()])
}

/// The known name that is fewest edits away, if it is so near that a slip of the fingers explains it.
fn nearest(name: &str) -> Option<String> {
    let distance = |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let near = |listing: &Listing| {
        let names = [Some(listing.name), Some(without_version(listing.name)), short(listing)];
        names.into_iter().flatten().map(distance).min()
    };
    let best = LIST.iter().min_by_key(|listing| near(listing))?;
    (near(best)? <= 1 + name.chars().count() / 3).then(|| best.name.to_owned())
}

static LIST: LazyLock<Vec<Listing>> = LazyLock::new(|| {
    let safety_gym = suite::all().map(|entry| {
        let (robot, task) = entry.build();
        Listing {
            // The list lives as long as the program.
            name: task.generation.env(robot.name, &task.name).leak(),
            family: "safety_gym",
            summary: entry.summary(),
            needs_mujoco: true,
            needs_meshes: !robot.assets.is_empty(),
            random: entry.is_random(),
            task: Task::SafetyGym(entry),
        }
    });
    let speed = speed::TASKS.iter().map(|task| Listing { family: "safety_gym", ..locomotion(task) });
    let atari = atari_ram::GAMES.iter().map(|game| Listing {
        name: atari_ram::name(game).leak(),
        family: "atari_ram",
        summary: "an Atari 2600 game, seen by the console's 128 bytes of memory",
        needs_mujoco: false,
        needs_meshes: false,
        random: false,
        task: Task::AtariRam(game),
    });
    let creatures = circle_gather::TASKS.iter().map(creature);
    ONE_BY_ONE.iter().copied().chain(creatures).chain(safety_gym).chain(speed).chain(atari).collect()
});

/// A robot with nothing to gain.
macro_rules! nothing_to_gain {
    ($task:path) => {
        Listing {
            family: "options",
            // Not the reference's, though its robot is.
            task: Task::Other(|context| Ok(Box::new(Locomotion::new(&$task, context)?))),
            ..locomotion(&$task)
        }
    };
}

/// Those that are no product of robots and tasks.
const ONE_BY_ONE: &[Listing] = &[
    closed_form(
        "Acrobot-v1",
        "swing the lower of two links up with a torque between them",
        || Box::new(Acrobot::new()),
    ),
    closed_form("CartPole-v1", "keep a pole upright on a cart pushed left or right", || Box::new(CartPole::new())),
    closed_form("MountainCar-v0", "push a car left or right until it swings out of a valley", || {
        Box::new(MountainCar::new())
    }),
    closed_form("MountainCarContinuous-v0", "push a car with a force until it swings out of a valley", || {
        Box::new(MountainCarContinuous::new())
    }),
    closed_form("Pendulum-v1", "swing a pendulum up with a torque too weak to lift it", || Box::new(Pendulum::new())),
    other("circle_gather", "PointCircle-v0", "run round a wide circle, but stay between two walls", |_| {
        Ok(Box::new(PointCircle::new()))
    }),
    other("circle_gather", "PointGather-v0", "collect two apples, avoid eight bombs", |_| {
        Ok(Box::new(PointGather::new()))
    }),
    locomotion(&ant::TASK),
    locomotion(&half_cheetah::TASK),
    locomotion(&hopper::TASK),
    locomotion(&humanoid::TASK),
    locomotion(&humanoid::STANDUP),
    locomotion(&inverted_double_pendulum::TASK),
    locomotion(&inverted_pendulum::TASK),
    locomotion(&pusher::TASK),
    locomotion(&reacher::TASK),
    locomotion(&swimmer::TASK),
    locomotion(&walker2d::TASK),
    other(
        "options",
        "OptionPoint-v0",
        "move a point in the plane; nothing is to be gained, so that options can be found",
        |_| Ok(Box::new(OptionPoint::new())),
    ),
    nothing_to_gain!(robots::ANT),
    nothing_to_gain!(robots::HALF_CHEETAH),
    nothing_to_gain!(robots::SWIMMER),
    Listing {
        needs_mujoco: true,
        ..other(
            "options",
            "AntMaze-v0",
            "a four-legged robot finds its way round two corners: a place to use options in",
            |context| Ok(Box::new(AntMaze::new(context)?)),
        )
    },
    sparse("SparseMountainCar-v0", "swing out of a valley; only leaving it pays", |_| {
        Ok(Box::new(SparseMountainCar::new()))
    }),
    sparse("CartpoleSwingup-v0", "swing a hanging pole up; only an upright one pays", |_| {
        Ok(Box::new(CartpoleSwingup::new()))
    }),
    Listing {
        needs_mujoco: true,
        ..sparse(
            "SparseHalfCheetah-v0",
            "a two-legged plane animal runs; only being five metres ahead pays",
            |context| Ok(Box::new(SparseHalfCheetah::new(context)?)),
        )
    },
    sparse("NoisyTV-v0", "two rooms, one with a screen of noise; nothing pays: what does curiosity watch?", |_| {
        Ok(Box::new(NoisyTv::new()))
    }),
    probe(&probe::constant::TASK),
    probe(&probe::one_step_credit::TASK),
    probe(&probe::action::CONTINUOUS),
    probe(&probe::action::DISCRETE),
    probe(&probe::time_limit::TASK),
    probe(&probe::cost::TASK),
    probe(&probe::two_costs::TASK),
];

const fn creature(task: &'static circle_gather::Task) -> Listing {
    let (name, summary, needs_mujoco) = (task.name, task.summary, true);
    let family = "circle_gather";
    Listing { name, family, summary, needs_mujoco, needs_meshes: false, random: true, task: Task::Creature(task) }
}

const fn closed_form(name: &'static str, summary: &'static str, make: fn() -> Box<dyn ClosedForm>) -> Listing {
    let task = Task::ClosedForm(make);
    Listing { name, family: "classic", summary, needs_mujoco: false, needs_meshes: false, random: true, task }
}

const fn locomotion(task: &'static locomotion::Task) -> Listing {
    let (name, summary) = (task.name, task.summary);
    Listing {
        name,
        family: "locomotion",
        summary,
        needs_mujoco: true,
        needs_meshes: false,
        random: true,
        task: Task::Locomotion(task),
    }
}

/// Made by a function of its own, and without MuJoCo.
const fn other(family: &'static str, name: &'static str, summary: &'static str, make: Make) -> Listing {
    let task = Task::Other(make);
    Listing { name, family, summary, needs_mujoco: false, needs_meshes: false, random: true, task }
}

const fn sparse(name: &'static str, summary: &'static str, make: Make) -> Listing {
    other("sparse", name, summary, make)
}

const fn probe(task: &'static probe::Task) -> Listing {
    let (name, summary, random) = (task.name, task.summary, task.signed());
    Listing {
        name,
        family: "probe",
        summary,
        needs_mujoco: false,
        needs_meshes: false,
        random,
        task: Task::Probe(task),
    }
}
