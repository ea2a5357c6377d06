//! Recordings of Safety-Gymnasium's navigation tasks.
//!
//! The recorder compiled a model at every reset, we move bodies in one. So facts are compared twice: those of the model that
//! is compiled from our text with the recorded poses, and those of the model that runs, but for the extent and centre of the
//! scene, which only a renderer reads.
//!
//! The reset is that from the recorded poses; whether the recorded seed alone leads there too is told beside it
//! (`reset_from_seed`), and where it does the open loop starts from the seed and draws its goals itself.

use super::{EXACT, Measured, PARTED, Recording, Worst, compare_model};
use crate::safety_gym::layout::Place;
use crate::safety_gym::model::Pose;
use crate::safety_gym::{FRAME_SKIP, SafetyGym};
use crate::space::Space;
use crate::{Env, Error, Result};
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
    layout_sampled: BTreeMap<String, Place>,
    layout: BTreeMap<String, Place>,
    world_config: World,
    qpos: Vec<f64>,
    qvel: Vec<f64>,
    qacc_warmstart: Vec<f64>,
    body_xpos: Vec<[f64; 3]>,
    body_xquat: Vec<[f64; 4]>,
    obs: Vec<f64>,
}

#[derive(Debug, Deserialize)]
struct World {
    agent_xy: Place,
    agent_rot: f64,
    geoms: BTreeMap<String, Object>,
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
    terminated: Vec<u8>,
    truncated: Vec<u8>,
    cost_terms: BTreeMap<String, Vec<f64>>,
    state_every_10: Vec<State>,
}

#[derive(Debug, Deserialize)]
struct State {
    step: usize,
    time: f64,
    qpos: Vec<f64>,
    qvel: Vec<f64>,
    qacc_warmstart: Vec<f64>,
}

/// The goal was reached in this step and moved.
#[derive(Debug, Deserialize)]
struct Event {
    step: usize,
    goal_xpos: [f64; 3],
}

/// Replay one recording of `env`'s task.
pub(super) fn replay(mut env: SafetyGym, library: &Library, recording: &Recording) -> Result<Measured> {
    let bad = |reason: String| Error::BadGolden { file: recording.file.clone(), reason };
    let recorded = Recorded::deserialize(&recording.json).map_err(|error| bad(error.to_string()))?;
    let replay = Replay { start: recorded.start(&env).map_err(bad)?, recorded };
    replay.recorded.fits(&env).map_err(bad)?;
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
    /// Poses that the recorder's model was compiled with: the goal's is the one that was drawn first.
    fn start(&self, env: &SafetyGym) -> Fit<Vec<Pose>> {
        let world = &self.reset.world_config;
        let pose = |name: &str| {
            if name == "agent" {
                return Ok(Pose { place: world.agent_xy, yaw: world.agent_rot });
            }
            let object = world.geoms.get(name).or_else(|| world.free_geoms.get(name));
            let object = object.ok_or_else(|| format!("reset.world_config has no `{name}`"))?;
            let [x, y, _] = object.pos;
            let place = if name == "goal" { self.reset.layout_sampled.get(name).copied() } else { Some([x, y]) };
            let place = place.ok_or_else(|| format!("reset.layout_sampled has no `{name}`"))?;
            Ok(Pose { place, yaw: object.rot })
        };
        env.names().map(pose).collect()
    }

    /// Checks every length and name that the replay relies on.
    fn fits(&self, env: &SafetyGym) -> Fit<()> {
        let (spec, n, steps) = (env.spec(), self.actions.len(), &self.steps);
        let (nq, nv) = (env.simulation().model().nq(), env.simulation().model().nv());
        let columns = [("reward", &steps.reward), ("cost", &steps.cost)].into_iter();
        let columns = columns.chain(steps.cost_terms.iter().map(|(name, column)| (name.as_str(), column)));
        let columns = columns.map(|(name, column)| (name, column.len()));
        let flags = [("terminated", steps.terminated.len()), ("truncated", steps.truncated.len())];
        let mut rows = columns.chain(flags).chain([("obs", steps.obs.len())]);
        if let Some((name, len)) = rows.find(|(_, len)| *len != n) {
            return Err(format!("steps.{name} has {len} entries for {n} actions"));
        }
        if let Some(action) = self.actions.iter().find(|action| action.len() != spec.action.row_len()) {
            return Err(format!(
                "an action has {} numbers, {} takes {}",
                action.len(),
                spec.name,
                spec.action.row_len()
            ));
        }
        let mut states = steps.state_every_10.iter();
        let lens = |state: &State| (state.qpos.len(), state.qvel.len(), state.qacc_warmstart.len());
        if let Some(state) = states.find(|state| lens(state) != (nq, nv, nv)) {
            return Err(format!("the state after step {} does not have nq = {nq} and nv = {nv}", state.step));
        }
        match env.names().find(|name| !self.reset.layout.contains_key(*name)) {
            Some(name) => Err(format!("reset.layout has no `{name}`")),
            None => Ok(()),
        }
    }
}

/// A recording with the poses that its model was compiled with.
struct Replay {
    recorded: Recorded,
    start: Vec<Pose>,
}

impl Replay {
    /// Where the goal is in the state after `steps` steps.
    fn goal(&self, steps: usize) -> Place {
        match self.recorded.events.iter().rfind(|event| event.step < steps) {
            Some(event) => [event.goal_xpos[0], event.goal_xpos[1]],
            None => self.recorded.reset.layout["goal"],
        }
    }

    /// Facts of both models, and what else makes the task.
    fn model(&self, env: &mut SafetyGym, library: &Library, recording: &Recording) -> Result<Worst> {
        let failed = |source| Error::Model { env: env.spec().name.clone(), source };
        let mut compiled = Model::from_xml(library, &env.mjcf(&self.start)).map_err(failed)?;
        let body = compiled.id(Kind::Body, "goal").map_err(failed)?;
        compiled.body_pos_mut()[3 * body..][..2].copy_from_slice(&self.goal(0));
        let mut worst = compare_model(&compiled, recording)?;

        env.begin(&self.start, self.goal(0))?;
        let mut running = env.simulation().model().facts();
        for of_the_scene in ["extent", "center"] {
            running["stat"][of_the_scene] = compiled.facts()["stat"][of_the_scene].take();
        }
        worst.facts(&running, &recording.json["model"], "running model");

        let (spec, extent) = (env.spec(), env.extent());
        let Space::Box { low, high } = &spec.action else { return Ok(worst) };
        let settings = json!({
            "num_steps": spec.max_steps,
            "frameskip": FRAME_SKIP,
            "extents": [-extent, -extent, extent, extent],
            "action_low": low,
            "action_high": high,
            "obs_slices": env.obs_slices(),
        });
        for (name, ours) in settings.as_object().into_iter().flatten() {
            worst.facts(ours, recording.root().at(name)?.value, name);
        }
        Ok(worst)
    }

    /// The reset given the recorded poses.
    fn given_reset(&self, env: &mut SafetyGym) -> Result<Worst> {
        env.begin(&self.start, self.goal(0))?;
        let mut obs = vec![0.0; env.spec().obs_dim];
        env.observe(&mut obs);
        let (physics, reset, mut worst) = (env.simulation(), &self.recorded.reset, Worst::default());
        worst.row(physics.qpos(), &reset.qpos, "reset.qpos");
        worst.row(physics.qvel(), &reset.qvel, "reset.qvel");
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
        let mut worst = Worst::default();
        for (i, name) in env.names().enumerate() {
            let (ours, theirs) = (env.start()[i], self.start[i]);
            worst.row(&ours.place, &theirs.place, &format!("place of {name}"));
            worst.number(ours.yaw, theirs.yaw, || format!("yaw of {name}"));
            worst.row(&env.layout()[i], &self.recorded.reset.layout[name], &format!("reset.layout.{name}"));
        }
        worst.row(&obs, &self.recorded.reset.obs, "reset.obs");
        Ok(worst)
    }

    /// One step from the start and from every recorded state.
    fn single_steps(&self, env: &mut SafetyGym, measured: &mut Measured) -> Result<()> {
        let states = self.recorded.steps.state_every_10.iter().map(|state| (state.step + 1, Some(state)));
        for (t, state) in std::iter::once((0, None)).chain(states).filter(|(t, _)| *t < self.recorded.actions.len()) {
            env.begin(&self.start, self.goal(t))?;
            if let Some(state) = state {
                let physics = env.simulation_mut();
                physics.set_time(state.time);
                physics.qpos_mut().copy_from_slice(&state.qpos);
                physics.qvel_mut().copy_from_slice(&state.qvel);
                physics.qacc_warmstart_mut().copy_from_slice(&state.qacc_warmstart);
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
            env.begin(&self.start, self.goal(0))?;
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
            env.move_goal(self.goal(t + 1))?;
            env.observe(&mut obs);
        }
        let mut worst = [const { Worst { difference: 0.0, quantity: String::new() } }; 3];
        worst[0].row(&obs, &steps.obs[t], &format!("obs[{t}]"));
        worst[1].number(step.reward, steps.reward[t], || format!("reward[{t}]"));
        for (name, ours, theirs) in
            [("terminated", step.terminated, &steps.terminated), ("truncated", step.truncated, &steps.truncated)]
        {
            worst[1].number(f64::from(u8::from(ours)), f64::from(theirs[t]), || format!("{name}[{t}]"));
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
