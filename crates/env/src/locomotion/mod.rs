//! Locomotion: planar bodies that are to move along x, after Gymnasium's `-v5` tasks.
//!
//! A task is a table, [`Task`]; the rest is common. Each step holds the (clipped) action as controls for `frame_skip` physics
//! steps. Reward: velocity of `qpos[0]` over the step, plus 1 while healthy where the task has a notion of health, minus
//! `ctrl_cost` times the squared action. Observation: positions without the first `hidden`, then velocities. An unhealthy
//! state terminates.
//!
//! `reset(seed)` starts where Gymnasium's `reset(seed=seed)` does: noise of NumPy's generator around the model's default pose.
//! Gymnasium's control cost does not clip the action; learners do, so it makes no difference to them.

pub mod half_cheetah;
pub mod hopper;
pub mod swimmer;

use crate::frame::{Form, Frame, Shape};
use crate::mjcf::Element;
use crate::pcg64::{Generator, Ziggurat};
use crate::space::Space;
use crate::state::{self, Reader};
use crate::{Env, Error, Result, Spec, Step};
use tony_mujoco::{Library, Model, Simulation};

/// What distinguishes one locomotion task.
#[derive(Debug)]
pub struct Task {
    /// Full name with version suffix.
    pub name: &'static str,
    /// What it asks of an agent, in a line.
    pub summary: &'static str,
    /// The model.
    pub model: fn() -> Element,
    /// Physics steps in an environment step.
    pub frame_skip: usize,
    /// Leading positions that are not observed, so that the task looks the same everywhere.
    pub hidden: usize,
    /// Observed velocities are clipped to this.
    pub max_speed: f64,
    /// Weight of the squared action.
    pub ctrl_cost: f64,
    /// Is the body up to go on, given `qpos` and `qvel`? `None`: always, and it earns nothing.
    pub healthy: Option<fn(&[f64], &[f64]) -> bool>,
    /// Scale of the noise at reset.
    pub noise: f64,
    /// Is the velocities' noise normal? Uniform otherwise; the positions' always is.
    pub normal: bool,
    /// Seen from above (x, y)? From the side (x, z) otherwise.
    pub from_above: bool,
}

/// A running locomotion task.
#[derive(Debug)]
pub struct Locomotion {
    task: &'static Task,
    spec: Spec,
    simulation: Simulation,
    ziggurat: Ziggurat,
    /// Seconds in an environment step.
    dt: f64,
    seed: u64,
    steps: usize,
}

impl Locomotion {
    /// Time limit in steps.
    const MAX_STEPS: usize = 1000;

    /// Compile the task's model and put it in its default pose.
    pub fn new(task: &'static Task, library: &Library) -> Result<Self> {
        let failed = |source| Error::Model { env: task.name.to_owned(), source };
        let model = Model::from_xml(library, &(task.model)().to_string()).map_err(failed)?;
        let bounds = model.actuator_ctrlrange().as_chunks::<2>().0;
        let spec = Spec {
            name: task.name.to_owned(),
            obs_dim: model.nq() - task.hidden + model.nv(),
            action: Space::Box {
                low: bounds.iter().map(|[low, _]| *low).collect(),
                high: bounds.iter().map(|[_, high]| *high).collect(),
            },
            costs: Vec::new(),
            max_steps: Self::MAX_STEPS,
        };
        let dt = model.timestep() * task.frame_skip as f64;
        let simulation = Simulation::new(model).map_err(failed)?;
        Ok(Self { task, spec, simulation, ziggurat: Ziggurat::new(), dt, seed: 0, steps: 0 })
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
        self.simulation.forward().map_err(|source| self.broken(source))?;
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
        let (qpos, qvel) = (self.simulation.qpos(), self.simulation.qvel());
        let velocities = qvel.iter().map(|v| v.clamp(-self.task.max_speed, self.task.max_speed));
        for (obs, x) in obs.iter_mut().zip(qpos[self.task.hidden..].iter().copied().chain(velocities)) {
            *obs = x;
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
        let noise = self.task.noise;
        for x in self.simulation.qpos_mut() {
            *x += random.uniform(-noise, noise);
        }
        for v in self.simulation.qvel_mut() {
            *v += if self.task.normal { noise * random.normal(&self.ziggurat) } else { random.uniform(-noise, noise) };
        }
        // Fills what the first picture shows, and the solver's first guess.
        self.simulation.forward().map_err(|source| self.broken(source))?;
        self.observe(obs)
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> Result<Step> {
        self.spec.clip(action, self.steps, self.simulation.ctrl_mut())?;
        let before = self.simulation.qpos()[0];
        self.simulation.steps(self.task.frame_skip).map_err(|source| self.broken(source))?;
        self.observe(obs)?;
        self.steps += 1;
        let velocity = (self.simulation.qpos()[0] - before) / self.dt;
        let effort: f64 = self.simulation.ctrl().iter().map(|a| a * a).sum();
        let healthy = self.task.healthy.map(|healthy| healthy(self.simulation.qpos(), self.simulation.qvel()));
        let alive = if healthy == Some(true) { 1.0 } else { 0.0 };
        let terminated = healthy == Some(false);
        Ok(Step {
            reward: velocity + alive - self.task.ctrl_cost * effort,
            terminated,
            truncated: !terminated && self.steps >= Self::MAX_STEPS,
        })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.seed);
        state::put_u64(out, self.steps as u64);
        let mut physics = vec![0.0; self.simulation.state_len()];
        self.simulation.get_state(&mut physics);
        state::put_f64s(out, &physics);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let mut physics = vec![0.0; self.simulation.state_len()];
        let mut reader = Reader::new(&self.spec.name, state, 8 * (2 + physics.len()))?;
        (self.seed, self.steps) = (reader.u64()?, reader.u64()? as usize);
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

    /// The body's capsules in the plane of movement, where they were at the last physics step.
    fn frame(&self) -> Frame {
        let (model, y) = (self.simulation.model(), if self.task.from_above { 1 } else { 2 });
        let (at, axes) = (self.simulation.geom_xpos(), self.simulation.geom_xmat());
        let torso = self.simulation.xpos()[3];
        // Geom 0 is the floor, which from above would hide nothing and show nothing.
        let floor = Form::Capsule { from: [torso - 3.0, -0.01], to: [torso + 3.0, -0.01], r: 0.01 };
        let mut shapes = Vec::with_capacity(model.ngeom());
        if !self.task.from_above {
            shapes.push(Shape { kind: "ground".to_owned(), form: floor });
        }
        for geom in 1..model.ngeom() {
            let (radius, half) = (model.geom_size()[3 * geom], model.geom_size()[3 * geom + 1]);
            // A capsule lies along the third column of its rotation matrix.
            let (dx, dy) = (half * axes[9 * geom + 2], half * axes[9 * geom + 3 * y + 2]);
            let (x, y) = (at[3 * geom], at[3 * geom + y]);
            let form = Form::Capsule { from: [x - dx, y - dy], to: [x + dx, y + dy], r: radius };
            shapes.push(Shape { kind: "robot".to_owned(), form });
        }
        Frame { shapes, lidars: Vec::new() }
    }
}

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
