//! Recorded episodes of Safety-Gymnasium's navigation tasks.
//!
//! The recorder compiled a model at every reset, we move bodies in one. So facts are compared twice: those of the model that
//! is compiled from our text with the recorded poses, and those of the model that runs, but for the `stat` of the
//! renderer (centre and extent of the scene), which no step reads.

use super::{Blocks, OneStep, OpenLoop, facts, largest};
use crate::safety_gym::SafetyGym;
use crate::safety_gym::layout::Place;
use crate::safety_gym::model::Pose;
use crate::{Env, Error, Result};
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use tony_mujoco::{Library, Model};

/// A recorded episode, as far as it is compared.
#[derive(Debug, Deserialize)]
struct Recorded {
    seed: u64,
    model: Value,
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

/// Compare a recorded episode with `env`, which is its task.
pub(super) fn compare(recorded: &Value, env: &mut SafetyGym, library: &Library) -> Result<Blocks> {
    let recorded = Recorded::deserialize(recorded).map_err(|error| super::bad(error.to_string()))?;
    recorded.check(env)?;
    let start = recorded.start(env)?;
    Ok(Blocks {
        model: recorded.model_facts(env, library, &start)?,
        reset: recorded.given_reset(env, &start)?,
        reset_from_seed: Some(recorded.seeded_reset(env, &start)?),
        one_step: recorded.single_steps(env, &start)?,
        open_loop: recorded.open_loop(env, &start)?,
    })
}

impl Recorded {
    /// Every length that is relied on below.
    fn check(&self, env: &SafetyGym) -> Result<()> {
        let (spec, n) = (env.spec(), self.actions.len());
        let columns = [&self.steps.reward, &self.steps.cost].into_iter().chain(self.steps.cost_terms.values());
        let (nq, nv) = (env.simulation().model().nq(), env.simulation().model().nv());
        let states = self.steps.state_every_10.iter();
        let fits = self.steps.obs.len() == n
            && columns.map(Vec::len).all(|len| len == n)
            && self.steps.terminated.len() == n
            && self.steps.truncated.len() == n
            && self.actions.iter().all(|action| action.len() == spec.action.row_len())
            && self.steps.obs.iter().chain([&self.reset.obs]).all(|obs| obs.len() == spec.obs_dim)
            && states.clone().all(|state| state.qpos.len() == nq && state.qvel.len() == nv)
            && states.clone().all(|state| state.qacc_warmstart.len() == nv);
        if fits { Ok(()) } else { Err(super::bad(format!("its rows do not have the lengths of {}", spec.name))) }
    }

    /// Poses that the recorder's model was compiled with: the goal's is the one that was drawn first.
    fn start(&self, env: &SafetyGym) -> Result<Vec<Pose>> {
        let world = &self.reset.world_config;
        let pose = |name: &str| {
            if name == "agent" {
                return Ok(Pose { place: world.agent_xy, yaw: world.agent_rot });
            }
            let object = world.geoms.get(name).or_else(|| world.free_geoms.get(name));
            let object = object.ok_or_else(|| super::bad(format!("world_config has no `{name}`")))?;
            let place = if name == "goal" { find(&self.reset.layout_sampled, name)? } else { [object.pos[0], object.pos[1]] };
            Ok(Pose { place, yaw: object.rot })
        };
        env.names().map(pose).collect()
    }

    /// Where the goal is in the state after `steps` steps.
    fn goal(&self, steps: usize) -> Result<Place> {
        match self.events.iter().filter(|event| event.step < steps).next_back() {
            Some(event) => Ok([event.goal_xpos[0], event.goal_xpos[1]]),
            None => find(&self.reset.layout, "goal"),
        }
    }

    fn model_facts(&self, env: &mut SafetyGym, library: &Library, start: &[Pose]) -> Result<f64> {
        let failed = |source| Error::Model { env: env.spec().name.clone(), source };
        let mut compiled = Model::from_xml(library, &env.mjcf(start)).map_err(failed)?;
        let body = compiled.id(tony_mujoco::Kind::Body, "goal").map_err(failed)?;
        compiled.body_pos_mut()[3 * body..][..2].copy_from_slice(&self.goal(0)?);
        env.begin(start, self.goal(0)?)?;
        let running = facts(&self.model, env.simulation().model())?;
        let of_the_scene = |name: &str| matches!(name, "stat.center" | "stat.extent");
        let running = running.into_iter().filter(|(name, _)| !of_the_scene(name));
        Ok(facts(&self.model, &compiled)?.into_iter().chain(running).map(|(_, difference)| difference).fold(0.0, f64::max))
    }

    /// The reset given the recorded layout.
    fn given_reset(&self, env: &mut SafetyGym, start: &[Pose]) -> Result<f64> {
        env.begin(start, self.goal(0)?)?;
        let (simulation, reset) = (env.simulation(), &self.reset);
        let mut obs = vec![0.0; env.spec().obs_dim];
        env.observe(&mut obs);
        let blocks = [
            largest(simulation.qpos(), &reset.qpos),
            largest(simulation.qvel(), &reset.qvel),
            largest(simulation.qacc_warmstart(), &reset.qacc_warmstart),
            largest(simulation.xpos(), reset.body_xpos.as_flattened()),
            largest(simulation.xquat(), reset.body_xquat.as_flattened()),
            largest(&obs, &reset.obs),
        ];
        Ok(blocks.into_iter().fold(0.0, f64::max))
    }

    /// The reset from the recorded seed alone: places, yaws, goal, observation.
    fn seeded_reset(&self, env: &mut SafetyGym, start: &[Pose]) -> Result<f64> {
        let mut obs = vec![0.0; env.spec().obs_dim];
        env.reset(self.seed, &mut obs)?;
        let mut worst = largest(&obs, &self.reset.obs);
        for (ours, theirs) in env.start().iter().zip(start) {
            worst = worst.max(largest(&ours.place, &theirs.place)).max((ours.yaw - theirs.yaw).abs());
        }
        for (name, place) in env.names().zip(env.layout()) {
            worst = worst.max(largest(place, &find(&self.reset.layout, name)?));
        }
        Ok(worst)
    }

    /// One step from the start and from every recorded state.
    fn single_steps(&self, env: &mut SafetyGym, start: &[Pose]) -> Result<OneStep> {
        let mut found = OneStep::default();
        let states = self.steps.state_every_10.iter().map(|state| (state.step + 1, Some(state)));
        for (t, state) in std::iter::once((0, None)).chain(states).filter(|(t, _)| *t < self.actions.len()) {
            env.begin(start, self.goal(t)?)?;
            if let Some(state) = state {
                let simulation = env.simulation_mut();
                simulation.set_time(state.time);
                simulation.qpos_mut().copy_from_slice(&state.qpos);
                simulation.qvel_mut().copy_from_slice(&state.qvel);
                simulation.qacc_warmstart_mut().copy_from_slice(&state.qacc_warmstart);
                env.go_on(t)?;
            }
            let [obs, reward, cost] = self.step(env, t, true)?;
            found.checks += 1;
            found.obs = found.obs.max(obs);
            found.reward = found.reward.max(reward);
            found.cost = found.cost.max(cost);
        }
        Ok(found)
    }

    /// The whole episode, from the seed alone where its layout follows from it, else from the recorded layout.
    fn open_loop(&self, env: &mut SafetyGym, start: &[Pose]) -> Result<OpenLoop> {
        let given = self.seeded_reset(env, start)? > super::EXACT;
        if given {
            env.begin(start, self.goal(0)?)?;
        }
        let mut found = OpenLoop { steps: self.actions.len(), ..OpenLoop::default() };
        for t in 0..self.actions.len() {
            let [obs, reward, cost] = self.step(env, t, given)?;
            if found.first_step_above.is_none() && obs.max(reward).max(cost) > super::DRIFT {
                found.first_step_above = Some(t);
            }
            found.largest = found.largest.max(obs).max(reward);
            found.costs_differ += usize::from(cost > 0.0);
        }
        Ok(found)
    }

    /// Take recorded step `t`. Largest difference of observation, reward (infinite if the episode ends otherwise) and costs.
    /// With `given` goals a goal that moves goes where the recorded one went, not where our generator sends it.
    fn step(&self, env: &mut SafetyGym, t: usize, given: bool) -> Result<[f64; 3]> {
        let spec = env.spec().clone();
        let (mut obs, mut costs) = (vec![0.0; spec.obs_dim], vec![0.0; spec.costs.len()]);
        let step = env.step(&self.actions[t], &mut obs, &mut costs)?;
        if given && self.events.iter().any(|event| event.step == t) {
            env.move_goal(self.goal(t + 1)?)?;
            env.observe(&mut obs);
        }
        let ends = [step.terminated, step.truncated] == [self.steps.terminated[t] != 0, self.steps.truncated[t] != 0];
        let reward = if ends { (step.reward - self.steps.reward[t]).abs() } else { f64::INFINITY };
        let mut cost = 0.0_f64;
        for (name, ours) in spec.costs.iter().zip(&costs) {
            let theirs = match name.as_str() {
                "cost" => Some(&self.steps.cost),
                name => self.steps.cost_terms.get(&format!("cost_{name}")),
            };
            cost = theirs.map_or(cost, |theirs| cost.max((ours - theirs[t]).abs()));
        }
        Ok([largest(&obs, &self.steps.obs[t]), reward, cost])
    }
}

fn find(layout: &BTreeMap<String, Place>, name: &str) -> Result<Place> {
    layout.get(name).copied().ok_or_else(|| super::bad(format!("a layout has no `{name}`")))
}
