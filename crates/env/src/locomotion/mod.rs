//! Gymnasium's MuJoCo tasks, `-v5`, and Safety-Gymnasium's with a limit on speed.
//!
//! A task is a table, [`Task`]; the rest is common. Each step holds the (clipped) action as controls for `frame_skip` physics
//! steps.
//!
//! `reset(seed)` starts where Gymnasium's `reset(seed=seed)` does: noise of NumPy's generator around the model's default pose.
//! Gymnasium's control cost does not clip the action; learners do, so it makes no difference to them.

pub mod ant;
pub mod half_cheetah;
pub mod hopper;
pub mod humanoid;
pub mod inverted_double_pendulum;
pub mod inverted_pendulum;
pub mod pusher;
pub mod reacher;
pub mod speed;
pub mod swimmer;
pub mod walker2d;

use crate::frame::{Form, Frame, Shape};
use crate::mjcf::Element;
use crate::pcg64::{Generator, Ziggurat};
use crate::space::Space;
use crate::state::{self, Reader};
use crate::{Context, Env, Error, Result, Spec, Step};
use tony_mujoco::{Model, Simulation};

/// What distinguishes one task.
#[derive(Clone, Copy, Debug)]
pub struct Task {
    /// Full name with version suffix.
    pub name: &'static str,
    /// What it asks of an agent, in a line.
    pub summary: &'static str,
    /// The model.
    pub model: fn() -> Element,
    /// Physics steps in an environment step.
    pub frame_skip: usize,
    /// Time limit in steps.
    pub max_steps: usize,
    /// Parts of the observation, in order.
    pub observed: &'static [Part],
    /// Where it is in the plane, for its velocity.
    pub whereabouts: fn(&Simulation) -> [f64; 2],
    /// What pays and what ends an episode.
    pub pay: Pay,
    /// Is more read than positions and velocities? MuJoCo leaves the rest as it was in the middle of the last physics step, and so do
    /// the references: a state does not tell it.
    pub lags: bool,
    /// How an episode starts.
    pub start: Start,
    /// Channel `cost` is 1 in steps faster than this, in m/s.
    pub speed_limit: Option<Limit>,
    /// Seen from above (x, y)? From the side (x, z) otherwise.
    pub from_above: bool,
}

/// A limit on speed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Limit {
    /// Of the velocity along x.
    Forward(f64),
    /// Of the speed in the plane.
    Plane(f64),
}

/// Part of an observation.
#[derive(Clone, Copy, Debug)]
pub enum Part {
    /// Positions from this one on, so that the task looks the same everywhere.
    Positions(usize),
    /// Velocities, clipped to this.
    Velocities(f64),
    /// Each body's inertia and mass about the centre of mass, ten numbers, from this body on.
    Inertias(usize),
    /// Each body's velocity about the centre of mass, from this body on.
    BodyVelocities(usize),
    /// Actuators' forces, from this degree of freedom on.
    ActuatorForces(usize),
    /// External forces on each body, clipped, from this body on.
    ContactForces(usize, f64),
    /// So many numbers that the task writes itself.
    Own(usize, fn(&Simulation, &mut [f64])),
}

impl Part {
    fn len(self, model: &Model) -> usize {
        match self {
            Self::Positions(first) => model.nq() - first,
            Self::Velocities(_) => model.nv(),
            Self::Inertias(first) => 10 * (model.nbody() - first),
            Self::BodyVelocities(first) | Self::ContactForces(first, _) => 6 * (model.nbody() - first),
            Self::ActuatorForces(first) => model.nv() - first,
            Self::Own(len, _) => len,
        }
    }

    fn write(self, simulation: &Simulation, obs: &mut [f64]) {
        match self {
            Self::Positions(first) => obs.copy_from_slice(&simulation.qpos()[first..]),
            Self::Velocities(limit) => clipped(simulation.qvel(), limit, obs),
            Self::Inertias(first) => obs.copy_from_slice(&simulation.cinert()[10 * first..]),
            Self::BodyVelocities(first) => obs.copy_from_slice(&simulation.cvel()[6 * first..]),
            Self::ActuatorForces(first) => obs.copy_from_slice(&simulation.qfrc_actuator()[first..]),
            Self::ContactForces(first, limit) => clipped(&simulation.cfrc_ext()[6 * first..], limit, obs),
            Self::Own(_, write) => write(simulation, obs),
        }
    }
}

fn clipped(values: &[f64], limit: f64, into: &mut [f64]) {
    into.iter_mut().zip(values).for_each(|(into, value)| *into = value.clamp(-limit, limit));
}

/// What pays.
#[derive(Clone, Copy, Debug)]
pub enum Pay {
    /// Velocity along x, and to be up.
    Forward(Forward),
    /// As the task says.
    Own(fn(&Moment<'_>) -> Paid),
}

/// Reward of moving along x.
#[derive(Clone, Copy, Debug)]
pub struct Forward {
    /// Weight of the velocity.
    pub weight: f64,
    /// Reward of a step in which it is up.
    pub alive: f64,
    /// Also of the step in which it falls? The older versions of the tasks.
    pub alive_when_fallen: bool,
    /// Is it up, given `qpos` and `qvel`? `None`: always, and it earns nothing. An episode ends when it is not.
    pub healthy: Option<fn(&[f64], &[f64]) -> bool>,
    /// Weight of the squared action.
    pub control: f64,
    /// What external forces cost.
    pub contact: Contact,
}

/// What external forces cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Contact {
    /// Nothing.
    Free,
    /// This weight of their squares, each clipped to this first.
    Clipped(f64, f64),
    /// This weight of their squares, at most this.
    Bounded(f64, f64),
}

impl Contact {
    /// What the present forces cost.
    pub(crate) fn of(self, simulation: &Simulation) -> f64 {
        let squares = |limit: f64| simulation.cfrc_ext().iter().map(|x| x.clamp(-limit, limit).powi(2)).sum::<f64>();
        match self {
            Self::Free => 0.0,
            Self::Clipped(weight, limit) => weight * squares(limit),
            Self::Bounded(weight, most) => (weight * squares(f64::INFINITY)).min(most),
        }
    }
}

/// A step that was made.
#[derive(Clone, Copy, Debug)]
pub struct Moment<'a> {
    /// The physics after it.
    pub simulation: &'a Simulation,
    /// Controls that were held.
    pub action: &'a [f64],
}

impl Moment<'_> {
    /// Sum of the squared action.
    pub fn effort(&self) -> f64 {
        self.action.iter().map(|a| a * a).sum()
    }
}

/// What a step gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Paid {
    /// Reward.
    pub reward: f64,
    /// Does the episode end here?
    pub terminated: bool,
}

/// How an episode starts: from the model's default pose.
#[derive(Clone, Copy, Debug)]
pub enum Start {
    /// With noise of this scale, uniform on positions; on velocities normal or uniform.
    Noise {
        /// The scale.
        scale: f64,
        /// Is the velocities' noise normal?
        normal: bool,
    },
    /// As the task says.
    Own(fn(&mut Generator, &mut Simulation)),
}

/// A running task.
#[derive(Debug)]
pub struct Locomotion {
    task: &'static Task,
    spec: Spec,
    simulation: Simulation,
    ziggurat: Ziggurat,
    /// Are external forces looked at? They are computed only then.
    forces: bool,
    /// Seconds in an environment step.
    dt: f64,
    /// Where it was after the last step.
    place: [f64; 2],
    seed: u64,
    steps: usize,
}

impl Locomotion {
    /// Compile the task's model and put it in its default pose.
    pub fn new(task: &'static Task, context: &Context) -> Result<Self> {
        let failed = |source| Error::Model { env: task.name.to_owned(), source };
        let model = context.model(task.name, (task.model)().to_string())?;
        let bounds = model.actuator_ctrlrange().as_chunks::<2>().0;
        let spec = Spec {
            name: task.name.to_owned(),
            obs_dim: task.observed.iter().map(|part| part.len(&model)).sum(),
            action: Space::Box {
                low: bounds.iter().map(|[low, _]| *low).collect(),
                high: bounds.iter().map(|[_, high]| *high).collect(),
            },
            costs: task.speed_limit.iter().map(|_| "cost".to_owned()).collect(),
            max_steps: task.max_steps,
        };
        let charged = matches!(&task.pay, Pay::Forward(forward) if forward.contact != Contact::Free);
        let forces = charged || task.observed.iter().any(|part| matches!(part, Part::ContactForces(..)));
        let dt = model.timestep() * task.frame_skip as f64;
        let simulation = Simulation::new(model).map_err(failed)?;
        Ok(Self { task, spec, simulation, ziggurat: Ziggurat::new(), forces, dt, place: [0.0; 2], seed: 0, steps: 0 })
    }

    /// The physics.
    pub(crate) fn simulation(&self) -> &Simulation {
        &self.simulation
    }

    /// The physics, to be driven.
    pub(crate) fn simulation_mut(&mut self) -> &mut Simulation {
        &mut self.simulation
    }

    /// Start an episode from these positions, velocities and time, and write its first observation.
    pub(crate) fn start(&mut self, qpos: &[f64], qvel: &[f64], time: f64, obs: &mut [f64]) -> Result<()> {
        self.steps = 0;
        self.simulation.reset();
        self.simulation.set_time(time);
        self.simulation.qpos_mut().copy_from_slice(qpos);
        self.simulation.qvel_mut().copy_from_slice(qvel);
        self.settle(obs)
    }

    /// Fill what the first observation and the first picture show, and the solver's first guess.
    fn settle(&mut self, obs: &mut [f64]) -> Result<()> {
        self.simulation.forward().map_err(|source| self.broken(source))?;
        self.place = (self.task.whereabouts)(&self.simulation);
        self.observe(obs)
    }

    /// [`Locomotion::start`] of a task that draws its own first state.
    pub(crate) fn begin(&mut self, seed: u64, qpos: &[f64], qvel: &[f64], obs: &mut [f64]) -> Result<()> {
        self.seed = seed;
        self.start(qpos, qvel, 0.0, obs)
    }

    /// Steps of the episode so far.
    pub(crate) fn steps(&self) -> usize {
        self.steps
    }

    fn observe(&self, obs: &mut [f64]) -> Result<()> {
        let mut rest = &mut *obs;
        for part in self.task.observed {
            let (now, later) = rest.split_at_mut(part.len(self.simulation.model()));
            part.write(&self.simulation, now);
            rest = later;
        }
        match obs.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(i) => {
                let quantity = format!("number {i} of the observation");
                Err(Error::NotFinite { env: self.spec.name.clone(), step: self.steps, quantity })
            }
        }
    }

    fn broken(&self, source: tony_mujoco::Error) -> Error {
        Error::Physics { env: self.spec.name.clone(), seed: self.seed, step: self.steps, source }
    }
}

impl Env for Locomotion {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        self.seed = seed;
        self.steps = 0;
        self.simulation.reset();
        let mut random = Generator::new(seed);
        match self.task.start {
            Start::Noise { scale, normal } => {
                for x in self.simulation.qpos_mut() {
                    *x += random.uniform(-scale, scale);
                }
                for v in self.simulation.qvel_mut() {
                    *v += if normal { scale * random.normal(&self.ziggurat) } else { random.uniform(-scale, scale) };
                }
            }
            Start::Own(draw) => draw(&mut random, &mut self.simulation),
        }
        self.settle(obs)
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        self.spec.clip(action, self.steps, self.simulation.ctrl_mut())?;
        self.simulation.steps(self.task.frame_skip).map_err(|source| self.broken(source))?;
        if self.forces {
            self.simulation.rne_post_constraint();
        }
        self.observe(obs)?;
        self.steps += 1;
        let now = (self.task.whereabouts)(&self.simulation);
        let before = std::mem::replace(&mut self.place, now);
        let velocity = [(now[0] - before[0]) / self.dt, (now[1] - before[1]) / self.dt];
        let moment = Moment { simulation: &self.simulation, action: self.simulation.ctrl() };
        let paid = match &self.task.pay {
            Pay::Own(pay) => pay(&moment),
            Pay::Forward(forward) => {
                let healthy = forward.healthy.map(|healthy| healthy(self.simulation.qpos(), self.simulation.qvel()));
                let up = healthy == Some(true) || (forward.alive_when_fallen && healthy.is_some());
                let alive = if up { forward.alive } else { 0.0 };
                let lost = forward.control * moment.effort() + forward.contact.of(&self.simulation);
                Paid { reward: forward.weight * velocity[0] + alive - lost, terminated: healthy == Some(false) }
            }
        };
        if let Some(limit) = self.task.speed_limit {
            let fast = match limit {
                Limit::Forward(limit) => velocity[0] > limit,
                Limit::Plane(limit) => velocity[0].hypot(velocity[1]) > limit,
            };
            costs[0] = f64::from(u8::from(fast));
        }
        let Paid { reward, terminated } = paid;
        Ok(Step { reward, terminated, truncated: !terminated && self.steps >= self.task.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.seed);
        state::put_u64(out, self.steps as u64);
        state::put_f64s(out, &self.place);
        let mut physics = vec![0.0; self.simulation.state_len()];
        self.simulation.get_state(&mut physics);
        state::put_f64s(out, &physics);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let mut physics = vec![0.0; self.simulation.state_len()];
        let mut reader = Reader::new(&self.spec.name, state, 8 * (4 + physics.len()))?;
        (self.seed, self.steps) = (reader.u64()?, reader.u64()? as usize);
        reader.f64s(&mut self.place)?;
        reader.f64s(&mut physics)?;
        self.simulation.set_state(&physics).map_err(|source| self.broken(source))?;
        self.simulation.kinematics();
        Ok(())
    }

    fn bare_physics(&mut self) -> Result<u32> {
        self.simulation.steps(self.task.frame_skip).map_err(|source| self.broken(source))?;
        Ok(self.task.frame_skip as u32)
    }

    fn step_seconds(&self) -> f64 {
        self.dt
    }

    /// The body's shapes in the plane of movement, where they were at the last physics step.
    fn frame(&self) -> Frame {
        let (simulation, y) = (&self.simulation, if self.task.from_above { 1 } else { 2 });
        let model = simulation.model();
        let torso = simulation.xpos()[3];
        // The floor from above would hide nothing and show nothing.
        let floor = Form::Capsule { from: [torso - 3.0, -0.01], to: [torso + 3.0, -0.01], r: 0.01 };
        let mut shapes = Vec::with_capacity(model.ngeom());
        if !self.task.from_above {
            shapes.push(Shape { kind: "ground".to_owned(), form: floor });
        }
        let of_world = |geom: &usize| model.geom_bodyid()[*geom] == 0;
        for geom in (0..model.ngeom()).filter(|geom| !of_world(geom)) {
            shapes.push(Shape { kind: "robot".to_owned(), form: projected(simulation, geom, y) });
        }
        Frame { shapes, ..Frame::default() }
    }
}

/// Outline of a geom in the plane of x and axis `y`.
pub(crate) fn projected(simulation: &Simulation, geom: usize, y: usize) -> Form {
    /// `mjGEOM_CAPSULE`.
    const CAPSULE: i32 = 3;
    let model = simulation.model();
    let [r, half, _]: [f64; 3] = model.geom_size().as_chunks().0[geom];
    let axes: [f64; 9] = simulation.geom_xmat().as_chunks().0[geom];
    let at = [simulation.geom_xpos()[3 * geom], simulation.geom_xpos()[3 * geom + y]];
    if model.geom_type()[geom] != CAPSULE {
        return Form::Disc { at, r };
    }
    // A capsule lies along the third column of its rotation matrix.
    let (dx, dy) = (half * axes[2], half * axes[3 * y + 2]);
    Form::Capsule { from: [at[0] - dx, at[1] - dy], to: [at[0] + dx, at[1] + dy], r }
}

/// The planar body's place: its first position, along x.
fn along_x(simulation: &Simulation) -> [f64; 2] {
    [simulation.qpos()[0], 0.0]
}

/// Reward of [`Pay::Forward`] without anything but the velocity.
pub const RUN: Forward =
    Forward { weight: 1.0, alive: 0.0, alive_when_fallen: false, healthy: None, control: 0.0, contact: Contact::Free };

/// A joint that is not limited, sprung or damped: one of the three by which the plane moves.
fn root_joint(name: &str, kind: &str, axis: [f64; 3]) -> Element {
    Element::new("joint")
        .text("name", name)
        .text("type", kind)
        .nums("axis", &axis)
        .text("limited", "false")
        .num("armature", 0.0)
        .num("damping", 0.0)
        .num("stiffness", 0.0)
}

/// The ground, of this half size and spacing of its grid in metres.
pub(crate) fn floor(size: [f64; 3]) -> Element {
    Element::new("geom").text("name", "floor").text("type", "plane").nums("size", &size)
}

/// The joint by which a body goes anywhere, without what other joints have by default.
pub(crate) fn free_root() -> Element {
    Element::new("joint")
        .text("name", "root")
        .text("type", "free")
        .text("limited", "false")
        .num("armature", 0.0)
        .num("damping", 0.0)
}
