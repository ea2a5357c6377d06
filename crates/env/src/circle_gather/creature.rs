//! Circle and Gather with bodies: `AntCircle-v0`, `HumanoidCircle-v0`, `AntGather-v0`, `SwimmerGather-v0`.
//!
//! The first three are of the CPO paper (section 8 and appendix 10.3), the last of Achiam & Sastry, *Surprise-based intrinsic motivation for
//! deep reinforcement learning* (2017), after Duan et al., *Benchmarking deep reinforcement learning for continuous control* (2016). Of the
//! originals: bodies, motors, physics steps, observations, starts, rewards, costs and ends. Not of the originals: they ran on MuJoCo of
//! 2016, whose contacts and solver differ from today's, so trajectories do not correspond; here an action is a share of the motors'
//! bounds, in [-1, 1], as their learners saw it. No recordings of the originals are known.
//!
//! Observation: positions, velocities, of Humanoid the external forces clipped to 1, the centre of mass, and in Gather the sensors. Start:
//! normal noise of 0.01 on positions and of 0.1 on velocities.

use super::bodies::{self, Body};
use super::field::Field;
use super::{course, shape};
use crate::frame::Frame;
use crate::space::Space;
use crate::state::{self, Reader};
use crate::{Context, Env, Error, Result, Spec, Step};
use tony_mujoco::Simulation;
use tony_random::Stream;

/// A body with something to do.
#[derive(Debug)]
pub struct Task {
    /// Full name with version suffix.
    pub name: &'static str,
    /// What it asks of an agent, in a line.
    pub summary: &'static str,
    body: &'static Body,
    goal: Goal,
    max_steps: usize,
}

#[derive(Clone, Copy, Debug)]
enum Goal {
    /// Pays `(x vy - y vx) / (1 + |r - radius|)` of the centre of mass; costs while `|x| >= wall`.
    Circle { radius: f64, wall: f64 },
    /// Pays for apples, and takes 1 for a bomb, which costs where there are costs.
    Gather { apple: f64, costs: bool },
}

/// Apples in [`Goal::Gather`], and as many bombs.
const APPLES: usize = 8;

/// All.
pub static TASKS: [Task; 4] = [
    Task {
        name: "AntCircle-v0",
        summary: "a four-legged robot runs round a wide circle, but stays between two walls",
        body: &bodies::ANT,
        goal: Goal::Circle { radius: 10.0, wall: 3.0 },
        max_steps: 500,
    },
    Task {
        name: "AntGather-v0",
        summary: "a four-legged robot collects eight apples and avoids eight bombs",
        body: &bodies::ANT,
        goal: Goal::Gather { apple: 10.0, costs: true },
        max_steps: 500,
    },
    Task {
        name: "HumanoidCircle-v0",
        summary: "a man-like robot runs round a wide circle, but stays between two walls",
        body: &bodies::HUMANOID,
        goal: Goal::Circle { radius: 10.0, wall: 2.5 },
        max_steps: 1000,
    },
    Task {
        name: "SwimmerGather-v0",
        summary: "three rods swim to eight apples and avoid eight bombs",
        body: &bodies::SWIMMER,
        goal: Goal::Gather { apple: 1.0, costs: false },
        max_steps: 500,
    },
];

/// A running task.
#[derive(Debug)]
pub struct Creature {
    task: &'static Task,
    spec: Spec,
    simulation: Simulation,
    /// Empty where nothing is collected.
    field: Field,
    seed: u64,
    steps: usize,
}

impl Creature {
    /// Compile the body's model.
    pub fn new(task: &'static Task, context: &Context) -> Result<Self> {
        let model = context.model(task.name, (task.body.model)().to_string())?;
        let gathers = matches!(task.goal, Goal::Gather { .. });
        let forces = if task.body.feels { 6 * model.nbody() } else { 0 };
        let sensed = if gathers { Field::SENSED } else { 0 };
        let costs = !matches!(task.goal, Goal::Gather { costs: false, .. });
        let spec = Spec {
            name: task.name.to_owned(),
            obs_dim: model.nq() + model.nv() + forces + 3 + sensed,
            action: Space::Box { low: vec![-1.0; model.nu()], high: vec![1.0; model.nu()] },
            costs: costs.then(|| "cost".to_owned()).into_iter().collect(),
            max_steps: task.max_steps,
        };
        let simulation = Simulation::new(model).map_err(|source| Error::Model { env: spec.name.clone(), source })?;
        let things = if gathers { APPLES } else { 0 };
        Ok(Self { task, spec, simulation, field: Field::new(things, things), seed: 0, steps: 0 })
    }

    /// Bring everything that is read up to date with the state.
    fn settle(&mut self) -> Result<()> {
        self.simulation.forward().map_err(|source| self.broken(source))?;
        self.simulation.subtree_vel();
        if self.task.body.feels {
            self.simulation.rne_post_constraint();
        }
        Ok(())
    }

    fn observe(&self, obs: &mut [f64]) {
        let simulation = &self.simulation;
        let mut rest = obs;
        let mut put = |values: &mut dyn Iterator<Item = f64>, len: usize| {
            let (now, later) = std::mem::take(&mut rest).split_at_mut(len);
            now.iter_mut().zip(values).for_each(|(obs, value)| *obs = value);
            rest = later;
        };
        put(&mut simulation.qpos().iter().copied(), simulation.model().nq());
        put(&mut simulation.qvel().iter().copied(), simulation.model().nv());
        if self.task.body.feels {
            let forces = simulation.cfrc_ext();
            put(&mut forces.iter().map(|force| force.clamp(-1.0, 1.0)), forces.len());
        }
        put(&mut self.centre().into_iter(), 3);
        if !rest.is_empty() {
            let [x, y, _] = self.centre();
            self.field.sense([x, y], simulation.qpos()[self.task.body.heading], rest);
        }
    }

    /// Centre of mass of the whole body.
    fn centre(&self) -> [f64; 3] {
        self.simulation.subtree_com().as_chunks().0[1]
    }

    /// Reward, cost and end of the present state, after `action`.
    fn judge(&mut self, action: &[f64]) -> (f64, bool, bool) {
        let fallen =
            self.task.body.upright.is_some_and(|[low, high]| !(low..=high).contains(&self.simulation.qpos()[2]));
        let [x, y, _] = self.centre();
        match self.task.goal {
            Goal::Circle { radius, wall } => {
                let [vx, vy, _]: [f64; 3] = self.simulation.subtree_linvel().as_chunks().0[1];
                let circling = (x * vy - y * vx) / (1.0 + (libm::hypot(x, y) - radius).abs());
                (circling + self.task.body.wellbeing(action, &self.simulation), x.abs() >= wall, fallen)
            }
            Goal::Gather { .. } if fallen => (-10.0, false, true),
            Goal::Gather { apple, .. } => {
                let [apples, bombs] = self.field.collect([x, y]);
                (apple * apples as f64 - bombs as f64, bombs > 0, self.field.is_empty())
            }
        }
    }

    fn broken(&self, source: tony_mujoco::Error) -> Error {
        Error::Physics { env: self.spec.name.clone(), seed: self.seed, step: self.steps, source }
    }
}

impl Env for Creature {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        let mut stream = Stream::new(seed, "creature", 0);
        (self.seed, self.steps) = (seed, 0);
        self.simulation.reset();
        if let Some(start) = self.task.body.start {
            self.simulation.qpos_mut().copy_from_slice(start);
        }
        self.simulation.qpos_mut().iter_mut().for_each(|x| *x += 0.01 * stream.normal());
        self.simulation.qvel_mut().iter_mut().for_each(|v| *v += 0.1 * stream.normal());
        self.field.lay_out(&mut stream);
        self.settle()?;
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        self.spec.clip(action, self.steps, self.simulation.ctrl_mut())?;
        self.simulation.steps(self.task.body.frame_skip).map_err(|source| self.broken(source))?;
        self.settle()?;
        self.steps += 1;
        let (reward, costly, terminated) = self.judge(action);
        costs.iter_mut().for_each(|cost| *cost = f64::from(costly));
        self.observe(obs);
        Ok(Step { reward, terminated, truncated: !terminated && self.steps >= self.task.max_steps })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.seed);
        state::put_u64(out, self.steps as u64);
        let mut physics = vec![0.0; self.simulation.state_len()];
        self.simulation.get_state(&mut physics);
        state::put_f64s(out, &physics);
        self.field.save(out);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let mut physics = vec![0.0; self.simulation.state_len()];
        let mut reader = Reader::new(&self.spec.name, state, 8 * (2 + physics.len() + self.field.words()))?;
        (self.seed, self.steps) = (reader.u64()?, reader.u64()? as usize);
        reader.f64s(&mut physics)?;
        self.field.load(&mut reader)?;
        self.simulation.set_state(&physics).map_err(|source| self.broken(source))?;
        self.simulation.kinematics();
        Ok(())
    }

    /// The physics steps and the call that brings everything up to date.
    fn bare_physics(&mut self) -> Result<u32> {
        self.simulation.steps(self.task.body.frame_skip).map_err(|source| self.broken(source))?;
        self.settle()?;
        Ok(self.task.body.frame_skip as u32)
    }

    fn step_seconds(&self) -> f64 {
        self.simulation.model().timestep() * self.task.body.frame_skip as f64
    }

    fn frame(&self) -> Frame {
        let mut shapes = Vec::new();
        if let Goal::Circle { radius, wall } = self.task.goal {
            shapes.extend(course(radius, wall));
        }
        shapes.extend(self.field.shapes());
        let model = self.simulation.model();
        let of_body = (0..model.ngeom()).filter(|geom| model.geom_bodyid()[*geom] != 0);
        shapes.extend(of_body.map(|geom| shape("robot", crate::locomotion::projected(&self.simulation, geom, 1))));
        Frame { shapes, ..Frame::default() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    fn creature(name: &str) -> Option<Creature> {
        let context = context();
        context.library.as_ref()?;
        let task = TASKS.iter().find(|task| task.name == name).unwrap();
        Some(Creature::new(task, &context).unwrap())
    }

    #[test]
    fn observations_have_the_published_sizes() {
        for (name, observed, acted) in [
            ("AntCircle-v0", 32, 8),
            ("AntGather-v0", 52, 8),
            ("HumanoidCircle-v0", 102, 10),
            ("SwimmerGather-v0", 33, 2),
        ] {
            let Some(env) = creature(name) else { return };
            assert_eq!((env.spec.obs_dim, env.spec.action.row_len()), (observed, acted), "{name}");
        }
    }

    #[test]
    fn going_round_pays_and_the_wall_costs() {
        let Some(mut env) = creature("AntCircle-v0") else { return };
        let mut obs = vec![0.0; 32];
        for (x, costly) in [(2.0, false), (3.5, true)] {
            env.reset(0, &mut obs).unwrap();
            env.simulation.qpos_mut()[0] = x;
            env.simulation.qvel_mut().fill(0.0);
            // Away from the middle at the right, upwards is counter-clockwise.
            env.simulation.qvel_mut()[1] = 1.0;
            env.settle().unwrap();
            let (reward, cost, fallen) = env.judge(&[0.0; 8]);
            let [x, y, _] = env.centre();
            let expected = x / (1.0 + (libm::hypot(x, y) - 10.0).abs());
            assert!((reward - expected).abs() < 0.01, "{reward} {expected}");
            assert_eq!((cost, fallen), (costly, false));
        }
        env.simulation.qpos_mut()[2] = 1.2;
        env.settle().unwrap();
        assert!(env.judge(&[0.0; 8]).2);
    }

    #[test]
    fn what_is_collected_pays_once() {
        for (name, apple) in [("AntGather-v0", 10.0), ("SwimmerGather-v0", 1.0)] {
            let Some(mut env) = creature(name) else { return };
            env.reset(0, &mut vec![0.0; env.spec.obs_dim]).unwrap();
            let [x, y, _] = env.centre();
            env.field = Field::of(&[[x + 0.5, y], [9.0, 9.0]], &[[x, y - 0.5], [x, y + 0.5]]);
            let action = vec![0.0; env.spec.action.row_len()];
            assert_eq!(env.judge(&action), (apple - 2.0, true, false), "{name}");
            assert_eq!(env.judge(&action), (0.0, false, false));
        }
    }

    #[test]
    fn a_humanoid_is_paid_for_standing_and_pays_for_effort() {
        let Some(mut env) = creature("HumanoidCircle-v0") else { return };
        env.reset(0, &mut vec![0.0; 102]).unwrap();
        env.simulation.qvel_mut().fill(0.0);
        env.settle().unwrap();
        let (idle, _, fallen) = env.judge(&[0.0; 10]);
        let (busy, _, _) = env.judge(&[1.0; 10]);
        assert!((0.19..=0.2).contains(&idle) && !fallen, "{idle}");
        assert!((idle - busy - 0.005).abs() < 1e-12);
    }
}
