//! Recordings of Safety Gym's and of Safety-Gymnasium's navigation tasks.
//!
//! The recorder compiled a model at every reset, we move bodies in one. So facts are compared twice: those of the model that
//! is compiled from our text with the recorded poses, and those of the model that runs, but for the extent and centre of the
//! scene, which only a renderer reads.
//!
//! The reset is that from the recorded poses; whether the recorded seed alone leads there too is told beside it
//! (`reset_from_seed`), and where it does the open loop starts from the seed and draws its goals itself.

use super::{EXACT, Measured, PARTED, Recording, Worst, compare_model};
use crate::safety_gym::layout::{Area, Place};
use crate::safety_gym::model::{DRAWN, Pose};
use crate::safety_gym::task::{BUTTON_DELAY, Objective, Role};
use crate::safety_gym::{Aim, FRAME_SKIP, Generation, SafetyGym, Start};
use crate::space::Space;
use crate::{Env, Error, Result, Step};
use serde::Deserialize;
use serde_json::json;
use std::collections::BTreeMap;
use tony_mujoco::{Kind, Library, Model};

/// What does not fit the task, in words.
type Fit<T> = std::result::Result<T, String>;

/// A recorded episode, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Recorded {
    seed: u64,
    reset: Reset,
    actions: Vec<Vec<f64>>,
    steps: Steps,
    events: Vec<Event>,
}

#[derive(Debug, Deserialize)]
struct Reset {
    /// Safety-Gymnasium's: where things were placed at first.
    #[serde(default)]
    layout_sampled: BTreeMap<String, Place>,
    layout: BTreeMap<String, Place>,
    world_config: World,
    goal_button: Option<usize>,
    qpos: Vec<f64>,
    qvel: Vec<f64>,
    mocap_pos: Vec<[f64; 3]>,
    qacc_warmstart: Vec<f64>,
    body_xpos: Vec<[f64; 3]>,
    body_xquat: Vec<[f64; 4]>,
    obs: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct World {
    #[serde(alias = "robot_xy")]
    agent_xy: Place,
    #[serde(alias = "robot_rot")]
    agent_rot: f64,
    geoms: BTreeMap<String, Object>,
    #[serde(alias = "objects")]
    free_geoms: BTreeMap<String, Object>,
}

#[derive(Debug, Deserialize)]
struct Object {
    pos: [f64; 3],
    rot: f64,
}

#[derive(Debug, Deserialize)]
struct Steps {
    obs: Vec<Vec<f64>>,
    reward: Vec<f64>,
    cost: Vec<f64>,
    /// Safety-Gymnasium's.
    terminated: Option<Vec<u8>>,
    truncated: Option<Vec<u8>>,
    /// Safety Gym's: either.
    done: Option<Vec<u8>>,
    cost_terms: BTreeMap<String, Vec<f64>>,
    state_every_10: Vec<State>,
}

impl Steps {
    /// Flags of an end by name, and what we say of it.
    fn ends(&self) -> impl Iterator<Item = (&'static str, &Vec<u8>, fn(Step) -> bool)> {
        let columns: [(_, _, fn(Step) -> bool); 3] = [
            ("terminated", &self.terminated, |step| step.terminated),
            ("truncated", &self.truncated, |step| step.truncated),
            ("done", &self.done, |step| step.terminated || step.truncated),
        ];
        columns.into_iter().filter_map(|(name, column, ours)| Some((name, column.as_ref()?, ours)))
    }
}

#[derive(Debug, Deserialize)]
struct State {
    step: usize,
    time: f64,
    qpos: Vec<f64>,
    qvel: Vec<f64>,
    #[serde(default)]
    mocap_pos: Vec<[f64; 3]>,
    qacc_warmstart: Vec<f64>,
}

/// The goal was reached in this step, and another chosen.
#[derive(Debug, Deserialize)]
struct Event {
    step: usize,
    goal_xpos: Option<[f64; 3]>,
    goal_button: Option<usize>,
}

/// Replay one recording of `env`'s task.
pub(super) fn replay(mut env: SafetyGym, library: &Library, recording: &Recording) -> Result<Measured> {
    let bad = |reason: String| Error::BadGolden { file: recording.file.clone(), reason };
    let recorded = Recorded::deserialize(&recording.json).map_err(|error| bad(error.to_string()))?;
    recorded.fits(&env).map_err(bad)?;
    env.reset(recorded.seed, &mut vec![0.0; env.spec().obs_dim])?;
    let replay = Replay { start: recorded.start(&env).map_err(bad)?, recorded };
    let mut measured =
        Measured { steps: replay.recorded.actions.len(), cost: Some(Worst::default()), ..Measured::default() };
    measured.model = Some(replay.model(&mut env, library, recording)?);
    measured.reset = replay.given_reset(&mut env)?;
    let seeded = replay.seeded_reset(&mut env)?;
    let from_seed = seeded.difference <= EXACT;
    measured.reset_from_seed = Some(seeded);
    replay.single_steps(&mut env, &mut measured)?;
    measured.parted = replay.open_loop(&mut env, from_seed)?;
    Ok(measured)
}

impl Recorded {
    /// How the recorded episode began. The goal's pose is the one that the recorder's model was compiled with, where it was drawn first;
    /// where that was not recorded it is the one that the seed leads `env` to.
    fn start(&self, env: &SafetyGym) -> Fit<Start> {
        let (world, seeded) = (&self.reset.world_config, env.started());
        let root = env.task().generation.root();
        let pose = |(i, name): (usize, &str)| {
            if name == root {
                return Ok(Pose { place: world.agent_xy, yaw: world.agent_rot });
            }
            let drawn = format!("{name}{DRAWN}");
            let object =
                [name, &drawn].into_iter().find_map(|name| world.geoms.get(name).or(world.free_geoms.get(name)));
            let object = object.ok_or_else(|| format!("reset.world_config has no `{name}`"))?;
            let [x, y, _] = object.pos;
            let place = match (name, self.reset.layout_sampled.get(name)) {
                ("goal", Some(first)) => *first,
                ("goal", None) => seeded.poses[i].place,
                _ => [x, y],
            };
            Ok(Pose { place, yaw: object.rot })
        };
        let poses = env.names().enumerate().map(pose).collect::<Fit<_>>()?;
        Ok(Start { poses, joints: self.reset.qpos[env.joints()].to_vec(), aim: self.aim(env, 0) })
    }

    /// What is to be reached in the state after `steps` steps.
    fn aim(&self, env: &SafetyGym, steps: usize) -> Aim {
        let event = self.events.iter().rfind(|event| event.step < steps);
        match env.task().objective {
            Objective::Goal | Objective::Push => match event.and_then(|event| event.goal_xpos) {
                Some([x, y, _]) => Aim::Goal([x, y]),
                None => self.reset.layout.get("goal").map_or(Aim::Nothing, |place| Aim::Goal(*place)),
            },
            Objective::Button => {
                let button = event.and_then(|event| event.goal_button).or(self.reset.goal_button);
                button.map_or(Aim::Nothing, Aim::Button)
            }
            Objective::Circle(_) | Objective::Run => Aim::Nothing,
        }
    }

    /// Steps from the state after `steps` steps until buttons are seen and cost again.
    fn timer(&self, env: &SafetyGym, steps: usize) -> u64 {
        let event = self.events.iter().rfind(|event| event.step < steps);
        let since = event.filter(|_| env.task().objective == Objective::Button).map(|event| steps - 1 - event.step);
        since.map_or(0, |since| BUTTON_DELAY.saturating_sub(since as u64))
    }

    /// Checks every length and name that the replay relies on.
    fn fits(&self, env: &SafetyGym) -> Fit<()> {
        let (spec, n, steps) = (env.spec(), self.actions.len(), &self.steps);
        let model = env.simulation().model();
        let (nq, nv, nmocap) = (model.nq(), model.nv(), model.nmocap());
        let columns = [("reward", &steps.reward), ("cost", &steps.cost)].into_iter();
        let columns = columns.chain(steps.cost_terms.iter().map(|(name, column)| (name.as_str(), column)));
        let columns = columns.map(|(name, column)| (name, column.len()));
        let flags = steps.ends().map(|(name, column, _)| (name, column.len()));
        let mut rows = columns.chain(flags).chain([("obs", steps.obs.len())]);
        if let Some((name, len)) = rows.find(|(_, len)| *len != n) {
            return Err(format!("steps.{name} has {len} entries for {n} actions"));
        }
        if steps.ends().next().is_none() {
            return Err("steps has none of `terminated`, `truncated` and `done`".to_owned());
        }
        if let Some(action) = self.actions.iter().find(|action| action.len() != spec.action.row_len()) {
            return Err(format!(
                "an action has {} numbers, {} takes {}",
                action.len(),
                spec.name,
                spec.action.row_len()
            ));
        }
        if self.reset.qpos.len() != nq {
            return Err(format!("reset.qpos has {} numbers, not nq = {nq}", self.reset.qpos.len()));
        }
        let mut states = steps.state_every_10.iter();
        let lens =
            |state: &State| (state.qpos.len(), state.qvel.len(), state.qacc_warmstart.len(), state.mocap_pos.len());
        if let Some(state) = states.find(|state| lens(state) != (nq, nv, nv, nmocap)) {
            return Err(format!(
                "the state after step {} does not have nq = {nq}, nv = {nv} and nmocap = {nmocap}",
                state.step
            ));
        }
        let drawn = env.task().kinds.iter().flat_map(|kind| kind.bodies.iter().zip(&kind.areas));
        let mut drawn = drawn.filter(|(_, area)| !matches!(area, Area::Exactly(_))).map(|(name, _)| name.as_str());
        let root = env.task().generation.root();
        let missing = std::iter::once(root).chain(&mut drawn).find(|name| !self.reset.layout.contains_key(*name));
        if let Some(name) = missing {
            return Err(format!("reset.layout has no `{name}`"));
        }
        let buttons =
            env.task().kinds.iter().find(|kind| kind.role == Role::Buttons).map_or(0, |kind| kind.bodies.len());
        let mut pressed = self.events.iter().map(|event| event.goal_button).chain([self.reset.goal_button]).flatten();
        match pressed.find(|button| *button >= buttons) {
            Some(button) => Err(format!("its goal is button {button}, and there are {buttons}")),
            None if env.task().objective == Objective::Button && self.reset.goal_button.is_none() => {
                Err("reset has no `goal_button`".to_owned())
            }
            None => Ok(()),
        }
    }
}

/// A recording with the start that its model was compiled with.
struct Replay {
    recorded: Recorded,
    start: Start,
}

impl Replay {
    /// Facts of both models, and what else makes the task.
    fn model(&self, env: &mut SafetyGym, library: &Library, recording: &Recording) -> Result<Worst> {
        let failed = |source| Error::Model { env: env.spec().name.clone(), source };
        let mut compiled = Model::from_xml(library, &env.mjcf(&self.start.poses)).map_err(failed)?;
        env.begin(&self.start)?;
        if let Some(body) = compiled.find(Kind::Body, "goal") {
            let place = &env.simulation().model().body_pos()[3 * body..][..2];
            compiled.body_pos_mut()[3 * body..][..2].copy_from_slice(place);
        }
        let mut worst = compare_model(&compiled, recording)?;
        let mut running = env.simulation().model().facts();
        for of_the_scene in ["extent", "center"] {
            running["stat"][of_the_scene] = compiled.facts()["stat"][of_the_scene].take();
        }
        worst.facts(&running, &recording.json["model"], "running model");

        let (spec, extent) = (env.spec(), env.task().extent);
        let Space::Box { low, high } = &spec.action else { return Ok(worst) };
        let mut settings = json!({ "obs_slices": env.obs_slices() });
        if env.task().generation == Generation::SafetyGymnasium {
            settings["num_steps"] = json!(spec.max_steps);
            settings["frameskip"] = json!(FRAME_SKIP);
            settings["extents"] = json!([-extent, -extent, extent, extent]);
            // Gymnasium's bounds have single precision.
            let single = |row: &[f64]| row.iter().map(|x| f64::from(*x as f32)).collect::<Vec<_>>();
            settings["action_low"] = json!(single(low));
            settings["action_high"] = json!(single(high));
        }
        for (name, ours) in settings.as_object().into_iter().flatten() {
            worst.facts(ours, recording.root().at(name)?.value, name);
        }
        Ok(worst)
    }

    /// The reset given the recorded start.
    fn given_reset(&self, env: &mut SafetyGym) -> Result<Worst> {
        env.begin(&self.start)?;
        let mut obs = vec![0.0; env.spec().obs_dim];
        env.observe(&mut obs);
        let (physics, reset, mut worst) = (env.simulation(), &self.recorded.reset, Worst::default());
        worst.row(physics.qpos(), &reset.qpos, "reset.qpos");
        worst.row(physics.qvel(), &reset.qvel, "reset.qvel");
        worst.row(physics.mocap_pos(), reset.mocap_pos.as_flattened(), "reset.mocap_pos");
        worst.row(physics.qacc_warmstart(), &reset.qacc_warmstart, "reset.qacc_warmstart");
        worst.row(physics.xpos(), reset.body_xpos.as_flattened(), "reset.body_xpos");
        worst.row(physics.xquat(), reset.body_xquat.as_flattened(), "reset.body_xquat");
        worst.row(&obs, &reset.obs, "reset.obs");
        Ok(worst)
    }

    /// The reset from the recorded seed alone: places, yaws, goal, observation.
    fn seeded_reset(&self, env: &mut SafetyGym) -> Result<Worst> {
        let mut obs = vec![0.0; env.spec().obs_dim];
        env.reset(self.recorded.seed, &mut obs)?;
        let (mut worst, started) = (Worst::default(), env.started());
        for (i, name) in env.names().enumerate() {
            let (ours, theirs) = (started.poses[i], self.start.poses[i]);
            worst.row(&ours.place, &theirs.place, &format!("place of {name}"));
            worst.number(ours.yaw, theirs.yaw, || format!("yaw of {name}"));
            if let Some(place) = self.recorded.reset.layout.get(name) {
                worst.row(&env.layout()[i], place, &format!("reset.layout.{name}"));
            }
        }
        worst.row(&started.joints, &self.start.joints, "joints");
        worst.row(&obs, &self.recorded.reset.obs, "reset.obs");
        Ok(worst)
    }

    /// One step from the start and from every recorded state.
    fn single_steps(&self, env: &mut SafetyGym, measured: &mut Measured) -> Result<()> {
        let states = self.recorded.steps.state_every_10.iter().map(|state| (state.step + 1, Some(state)));
        for (t, state) in std::iter::once((0, None)).chain(states).filter(|(t, _)| *t < self.recorded.actions.len()) {
            env.begin(&Start { aim: self.recorded.aim(env, t), ..self.start.clone() })?;
            if let Some(state) = state {
                let physics = env.simulation_mut();
                physics.set_time(state.time);
                physics.qpos_mut().copy_from_slice(&state.qpos);
                physics.qvel_mut().copy_from_slice(&state.qvel);
                physics.mocap_pos_mut().copy_from_slice(state.mocap_pos.as_flattened());
                physics.qacc_warmstart_mut().copy_from_slice(&state.qacc_warmstart);
                env.set_timer(self.recorded.timer(env, t));
                env.go_on(t)?;
            }
            let [obs, reward, cost] = self.step(env, t, true)?;
            measured.checks += 1;
            for (total, found) in [(&mut measured.obs, obs), (&mut measured.reward, reward)]
                .into_iter()
                .chain(measured.cost.as_mut().map(|total| (total, cost)))
            {
                total.note(found.difference, || found.quantity);
            }
        }
        Ok(())
    }

    /// First step at which the whole episode parts from the recorded one.
    fn open_loop(&self, env: &mut SafetyGym, from_seed: bool) -> Result<Option<usize>> {
        if from_seed {
            let mut obs = vec![0.0; env.spec().obs_dim];
            env.reset(self.recorded.seed, &mut obs)?;
        } else {
            env.begin(&self.start)?;
        }
        for t in 0..self.recorded.actions.len() {
            if self.step(env, t, !from_seed)?.iter().any(|worst| worst.difference > PARTED) {
                return Ok(Some(t));
            }
        }
        Ok(None)
    }

    /// Take recorded step `t` and compare observation, reward (and how the episode ends), costs. With `given` goals a goal
    /// that moves goes where the recorded one went, not where our generator sends it.
    fn step(&self, env: &mut SafetyGym, t: usize, given: bool) -> Result<[Worst; 3]> {
        let (steps, spec) = (&self.recorded.steps, env.spec());
        let (mut obs, mut costs) = (vec![0.0; spec.obs_dim], vec![0.0; spec.costs.len()]);
        let step = env.step(&self.recorded.actions[t], &mut obs, &mut costs)?;
        if given && self.recorded.events.iter().any(|event| event.step == t) {
            env.turn_to(self.recorded.aim(env, t + 1))?;
            env.observe(&mut obs);
        }
        let mut worst = [const { Worst { difference: 0.0, quantity: String::new() } }; 3];
        worst[0].row(&obs, &steps.obs[t], &format!("obs[{t}]"));
        worst[1].number(step.reward, steps.reward[t], || format!("reward[{t}]"));
        for (name, recorded, ours) in steps.ends() {
            worst[1].number(f64::from(u8::from(ours(step))), f64::from(recorded[t]), || format!("{name}[{t}]"));
        }
        for (name, &ours) in env.spec().costs.iter().zip(&costs) {
            let recorded =
                if name == "cost" { Some(&steps.cost) } else { steps.cost_terms.get(&format!("cost_{name}")) };
            if let Some(theirs) = recorded {
                worst[2].number(ours, theirs[t], || format!("{name}[{t}]"));
            }
        }
        Ok(worst)
    }
}
