//! Environments by name.

use crate::circle_gather::{PointCircle, PointGather};
use crate::classic::{CartPole, OptionPoint, Pendulum};
use crate::locomotion::{self, Locomotion, half_cheetah, hopper, swimmer};
use crate::probe::{self, Probe};
use crate::safety_gym::robots::{Robot, car, point};
use crate::safety_gym::{SafetyGym, task};
use crate::sparse::{CartpoleSwingup, NoisyTv, SparseHalfCheetah, SparseMountainCar};
use crate::{Env, Error, Result};

/// What an environment may need from outside.
#[derive(Default)]
pub struct Context {
    /// The physics engine; tasks without physics do not ask.
    pub library: Option<tony_mujoco::Library>,
}

impl Context {
    /// The library, which `env` needs.
    pub(crate) fn library(&self, env: &str) -> Result<&tony_mujoco::Library> {
        self.library.as_ref().ok_or_else(|| Error::NeedsMujoco { env: env.to_owned() })
    }
}

/// One known environment.
pub struct Listing {
    /// Full name with version suffix.
    pub name: &'static str,
    /// Group that it belongs to.
    pub family: &'static str,
    /// What it asks of an agent, in a line.
    pub summary: &'static str,
    /// Does it need [`Context::library`]?
    pub needs_mujoco: bool,
    /// Do episodes differ with the seed?
    pub random: bool,
    pub(crate) task: Task,
}

/// Which code an environment is.
pub(crate) enum Task {
    CartPole,
    Pendulum,
    OptionPoint,
    PointCircle,
    PointGather,
    Locomotion(&'static locomotion::Task),
    SafetyGym(fn() -> Robot, fn() -> task::Task),
    Sparse(fn(&Context) -> Result<Box<dyn Env>>),
    Probe(&'static probe::Task),
}

impl Task {
    /// Are there recordings of a program that the task was borrowed from?
    pub(crate) fn has_reference(&self) -> bool {
        matches!(self, Self::CartPole | Self::Pendulum | Self::Locomotion(_) | Self::SafetyGym(..))
    }
}

/// All environments, by family.
pub fn list() -> &'static [Listing] {
    LIST
}

/// The environment of this name; the version suffix may be left out.
pub fn find(name: &str) -> Result<&'static Listing> {
    let same = |listing: &&Listing| name == listing.name || name == without_version(listing.name);
    LIST.iter().find(same).ok_or_else(|| Error::UnknownName { name: name.to_owned(), nearest: nearest(name) })
}

/// Make the environment of this name.
pub fn make(name: &str, context: &Context) -> Result<Box<dyn Env>> {
    let listing = find(name)?;
    Ok(match listing.task {
        Task::CartPole => Box::new(CartPole::new()),
        Task::Pendulum => Box::new(Pendulum::new()),
        Task::OptionPoint => Box::new(OptionPoint::new()),
        Task::PointCircle => Box::new(PointCircle::new()),
        Task::PointGather => Box::new(PointGather::new()),
        Task::Locomotion(task) => Box::new(Locomotion::new(task, context.library(listing.name)?)?),
        Task::SafetyGym(robot, task) => Box::new(SafetyGym::new(robot(), task(), context.library(listing.name)?)?),
        Task::Sparse(make) => make(context)?,
        Task::Probe(task) => Box::new(Probe::new(task)),
    })
}

fn without_version(name: &str) -> &str {
    name.rsplit_once("-v").map_or(name, |(stem, _)| stem)
}

/// The known name that is fewest edits away, if it is so near that a slip of the fingers explains it.
fn nearest(name: &str) -> Option<String> {
    let distance = |known: &str| strsim::damerau_levenshtein(&name.to_lowercase(), &known.to_lowercase());
    let near = |listing: &Listing| distance(listing.name).min(distance(without_version(listing.name)));
    let best = LIST.iter().min_by_key(|listing| near(listing))?;
    (near(best) <= 1 + name.chars().count() / 3).then(|| best.name.to_owned())
}

const GOAL0: &str = "drive to goals; nothing is in the way and nothing costs";
const GOAL1: &str = "drive to goals and around eight hazards; the one vase costs nothing";
const GOAL2: &str = "drive to goals, around ten hazards and without disturbing ten vases";

const LIST: &[Listing] = &[
    Listing {
        name: "CartPole-v1",
        family: "classic",
        summary: "keep a pole upright on a cart pushed left or right",
        needs_mujoco: false,
        random: true,
        task: Task::CartPole,
    },
    Listing {
        name: "Pendulum-v1",
        family: "classic",
        summary: "swing a pendulum up with a torque too weak to lift it",
        needs_mujoco: false,
        random: true,
        task: Task::Pendulum,
    },
    Listing {
        name: "OptionPoint-v0",
        family: "classic",
        summary: "move a point in the plane; nothing is to be gained, so that options can be found",
        needs_mujoco: false,
        random: true,
        task: Task::OptionPoint,
    },
    Listing {
        name: "PointCircle-v0",
        family: "circle_gather",
        summary: "run round a wide circle, but stay between two walls",
        needs_mujoco: false,
        random: true,
        task: Task::PointCircle,
    },
    Listing {
        name: "PointGather-v0",
        family: "circle_gather",
        summary: "collect two apples, avoid eight bombs",
        needs_mujoco: false,
        random: true,
        task: Task::PointGather,
    },
    locomotion(&half_cheetah::TASK),
    locomotion(&hopper::TASK),
    locomotion(&swimmer::TASK),
    safety_gym("SafetyPointGoal0-v0", GOAL0, point, || task::goal(0)),
    safety_gym("SafetyPointGoal1-v0", GOAL1, point, || task::goal(1)),
    safety_gym("SafetyPointGoal2-v0", GOAL2, point, || task::goal(2)),
    safety_gym("SafetyCarGoal0-v0", GOAL0, car, || task::goal(0)),
    safety_gym("SafetyCarGoal1-v0", GOAL1, car, || task::goal(1)),
    safety_gym("SafetyCarGoal2-v0", GOAL2, car, || task::goal(2)),
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
            |context| Ok(Box::new(SparseHalfCheetah::new(context.library("SparseHalfCheetah-v0")?)?)),
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

const fn locomotion(task: &'static locomotion::Task) -> Listing {
    let (name, summary) = (task.name, task.summary);
    Listing { name, family: "locomotion", summary, needs_mujoco: true, random: true, task: Task::Locomotion(task) }
}

const fn safety_gym(
    name: &'static str,
    summary: &'static str,
    robot: fn() -> Robot,
    task: fn() -> task::Task,
) -> Listing {
    let family = "safety_gym";
    Listing { name, family, summary, needs_mujoco: true, random: true, task: Task::SafetyGym(robot, task) }
}

const fn sparse(name: &'static str, summary: &'static str, make: fn(&Context) -> Result<Box<dyn Env>>) -> Listing {
    Listing { name, family: "sparse", summary, needs_mujoco: false, random: true, task: Task::Sparse(make) }
}

const fn probe(task: &'static probe::Task) -> Listing {
    let (name, summary, random) = (task.name, task.summary, task.signed());
    Listing { name, family: "probe", summary, needs_mujoco: false, random, task: Task::Probe(task) }
}
