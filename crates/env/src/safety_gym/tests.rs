//! What needs the physics library; without it these tests print a line and pass.

use super::*;
use robots::{car, point};
use serde_json::Value;
use tony_mujoco::locate;

fn library() -> Option<Library> {
    let found = locate(false, &mut |line| eprintln!("{line}"));
    found.inspect_err(|error| eprintln!("skipped, there is no MuJoCo: {error}")).ok()
}

/// Both robots in all three levels.
fn tasks(library: &Library) -> impl Iterator<Item = SafetyGym> {
    let robots: [fn() -> Robot; 2] = [point, car];
    let pairs = robots.into_iter().flat_map(|robot| (0..3).map(move |level| (robot, level)));
    pairs.map(|(robot, level)| SafetyGym::new(robot(), task::goal(level), library).unwrap())
}

/// Rows of observation and costs.
fn rows(env: &SafetyGym) -> (Vec<f64>, Vec<f64>) {
    (vec![0.0; env.spec.obs_dim], vec![0.0; env.spec.costs.len()])
}

/// A deterministic action that drives about: mostly ahead, turning now this way, now that.
fn action(t: usize) -> [f64; 2] {
    let turn = (t as f64 * 0.07).sin();
    [1.0 - 0.4 * turn, 0.6 + 0.6 * turn]
}

fn bits(values: &[f64]) -> Vec<u64> {
    values.iter().map(|value| value.to_bits()).collect()
}

fn nums(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect()
}

fn assert_near(a: &[f64], b: &[f64], tolerance: f64) {
    assert_eq!(a.len(), b.len());
    for (i, (a, b)) in a.iter().zip(b).enumerate() {
        assert!((a - b).abs() <= tolerance, "number {i}: {a} and {b}");
    }
}

/// Each task with what the reference recorded of it.
fn recorded(library: &Library) -> Vec<(SafetyGym, Value)> {
    let data: Value = serde_json::from_str(include_str!("../../tests/data/safety_gym.json")).unwrap();
    let tasks: Vec<_> = tasks(library).zip(data["tasks"].as_array().unwrap().clone()).collect();
    assert!(tasks.len() == 6 && tasks.iter().all(|(env, data)| data["env"] == env.spec.name.as_str()));
    tasks
}

/// Recorded observations have 12 digits and are below 100: half a unit of the last is 5e-11.
const DIGITS: f64 = 1e-10;
/// A unit or two in the last place of sums and products around 1.
const ROUNDING: f64 = 1e-14;

#[test]
fn layouts_follow_from_the_seed() {
    let Some(library) = library() else { return };
    for (mut env, data) in recorded(&library) {
        let (mut obs, _) = rows(&env);
        for reset in data["resets"].as_array().unwrap() {
            env.reset(reset["seed"].as_u64().unwrap(), &mut obs).unwrap();
            assert_eq!(env.layout[0].to_vec(), nums(&reset["robot"]));
            assert_eq!(env.layout[GOAL].to_vec(), nums(&reset["goal"]));
            assert_eq!(env.start[0].yaw, reset["yaw"].as_f64().unwrap());
            assert_ne!(env.start[GOAL].place, env.layout[GOAL], "the goal is drawn twice");
        }
    }
}

#[test]
fn recorded_episodes_follow_from_the_seed() {
    let Some(library) = library() else { return };
    for (mut env, data) in recorded(&library) {
        let (mut obs, mut costs) = rows(&env);
        let episode = &data["episode"];
        env.reset(episode["seed"].as_u64().unwrap(), &mut obs).unwrap();
        assert_near(&obs, &nums(&episode["reset"]), ROUNDING);
        let (mut total, reached) = (0.0, episode["reached"].as_u64().unwrap() as usize);
        for (t, action) in episode["actions"].as_array().unwrap().iter().enumerate() {
            let goal = env.layout[GOAL];
            total += env.step(&nums(action), &mut obs, &mut costs).unwrap().reward;
            assert_eq!(env.layout[GOAL] != goal, t == reached, "the goal moves when it is reached");
            if t == 0 {
                assert_near(&obs, &nums(&episode["first"]), DIGITS);
            }
        }
        assert_eq!(env.layout[GOAL].to_vec(), nums(&episode["goal"]));
        assert_near(&obs, &nums(&episode["last"]), DIGITS);
        // A hundred rewards of 12 digits.
        assert!((total - episode["return"].as_f64().unwrap()).abs() < 1e-10);
    }
}

#[test]
fn disturbed_vases_cost_as_recorded() {
    let Some(library) = library() else { return };
    for (mut env, data) in recorded(&library).into_iter().filter(|(_, data)| data.get("disturbed").is_some()) {
        let (mut obs, mut costs) = rows(&env);
        let state = &data["disturbed"];
        let goal = nums(&state["goal"]);
        env.reset(state["seed"].as_u64().unwrap(), &mut obs).unwrap();
        env.move_goal([goal[0], goal[1]]).unwrap();
        env.simulation.set_time(state["time"].as_f64().unwrap());
        env.simulation.qpos_mut().copy_from_slice(&nums(&state["qpos"]));
        env.simulation.qvel_mut().copy_from_slice(&nums(&state["qvel"]));
        env.simulation.qacc_warmstart_mut().copy_from_slice(&nums(&state["warmstart"]));
        env.go_on(state["step"].as_u64().unwrap() as usize).unwrap();
        let step = env.step(&nums(&state["action"]), &mut obs, &mut costs).unwrap();
        assert_near(&obs, &nums(&state["obs"]), DIGITS);
        assert!((step.reward - state["reward"].as_f64().unwrap()).abs() < 1e-12);
        assert_eq!(env.spec.costs, ["hazards", "vases_contact", "vases_velocity", "vases", "cost"]);
        assert_eq!(costs, [0.0, 1.0, 1.0, 1.0, 1.0]);
    }
}

#[test]
fn moving_bodies_equals_compiling_anew() {
    let Some(library) = library() else { return };
    for mut env in tasks(&library) {
        let (mut obs, _) = rows(&env);
        for seed in 0..5 {
            env.reset(seed, &mut obs).unwrap();
            env.layout[GOAL] = env.start[GOAL].place;
            env.lay_goal();
            let fresh = Model::from_xml(&library, &env.mjcf(&env.start)).unwrap();
            let fields: [fn(&Model) -> &[f64]; 11] = [
                Model::qpos0,
                Model::qpos_spring,
                Model::body_pos,
                Model::body_quat,
                Model::body_ipos,
                Model::body_iquat,
                Model::body_subtreemass,
                Model::body_invweight0,
                Model::dof_invweight0,
                Model::dof_m0,
                Model::actuator_acc0,
            ];
            for (i, field) in fields.into_iter().enumerate() {
                assert_eq!(bits(field(env.simulation.model())), bits(field(&fresh)), "field {i}");
            }
            let (ours, theirs) = (env.simulation.model().statistics().meaninertia, fresh.statistics().meaninertia);
            assert_eq!(ours.to_bits(), theirs.to_bits());
        }
    }
}

/// Why one forward call a step stands for the reference's three.
#[test]
fn a_second_forward_call_changes_no_bit() {
    let Some(library) = library() else { return };
    for mut env in tasks(&library) {
        let (mut obs, mut costs) = rows(&env);
        let read = |env: &SafetyGym| {
            let s = &env.simulation;
            [s.qpos(), s.qvel(), s.qacc(), s.qacc_warmstart(), s.sensordata(), s.xpos(), s.xmat()].map(bits)
        };
        env.reset(0, &mut obs).unwrap();
        for t in 0..200 {
            env.step(&action(t), &mut obs, &mut costs).unwrap();
            let (once, contacts) = (read(&env), env.simulation.ncon());
            env.forward().unwrap();
            assert!(once == read(&env) && contacts == env.simulation.ncon(), "{}, step {t}", env.spec.name);
        }
    }
}

/// Why a step need not compute again what the observation before it did, nor read sensors ten times.
#[test]
fn advancing_equals_the_bare_sequence_of_calls() {
    let Some(library) = library() else { return };
    for (mut env, mut bare) in tasks(&library).zip(tasks(&library)) {
        let (mut obs, mut costs) = rows(&env);
        env.reset(1, &mut obs).unwrap();
        bare.reset(1, &mut obs).unwrap();
        for t in 0..200 {
            env.step(&action(t), &mut obs, &mut costs).unwrap();
            bare.spec.clip(&action(t), t, bare.simulation.ctrl_mut()).unwrap();
            bare.bare_physics().unwrap();
            if env.layout[GOAL] != bare.layout[GOAL] {
                bare.move_goal(env.layout[GOAL]).unwrap();
            }
            let [ours, theirs] = [&env, &bare].map(|env| {
                let s = &env.simulation;
                [s.qpos(), s.qvel(), s.qacc_warmstart(), s.sensordata(), s.xpos(), s.xmat()].map(bits)
            });
            assert!(ours == theirs, "{}, step {t}", env.spec.name);
        }
    }
}

#[test]
fn a_saved_episode_goes_on_bit_for_bit() {
    let Some(library) = library() else { return };
    for (mut env, mut other) in tasks(&library).zip(tasks(&library)) {
        let (mut obs, mut costs) = rows(&env);
        let (mut obs2, mut costs2) = rows(&env);
        other.reset(99, &mut obs2).unwrap();
        env.reset(3, &mut obs).unwrap();
        let mut goals = 0;
        for t in 0..300 {
            if t % 37 == 0 {
                // The goal to the robot now and then, so that it is met and drawn.
                let [x, y] = env.where_is(0);
                env.move_goal([x + 0.25, y]).unwrap();
                let mut state = Vec::new();
                env.save(&mut state);
                other.load(&state).unwrap();
            }
            let goal = env.layout[GOAL];
            let step = env.step(&action(t), &mut obs, &mut costs).unwrap();
            let step2 = other.step(&action(t), &mut obs2, &mut costs2).unwrap();
            assert_eq!(step.reward.to_bits(), step2.reward.to_bits(), "{}, step {t}", env.spec.name);
            assert_eq!((bits(&obs), &costs), (bits(&obs2), &costs2));
            goals += usize::from(env.layout[GOAL] != goal);
        }
        assert!(goals >= 9);
        assert_eq!(env.random, other.random);
    }
}

#[test]
fn a_damaged_state_is_refused_and_changes_nothing() {
    let Some(library) = library() else { return };
    let mut env = tasks(&library).next().unwrap();
    let (mut obs, mut costs) = rows(&env);
    env.reset(0, &mut obs).unwrap();
    let (mut state, mut after) = (Vec::new(), Vec::new());
    env.save(&mut state);
    let message = env.load(&state[1..]).unwrap_err().to_string();
    assert!(message.contains("SafetyPointGoal0-v0") && message.contains("bytes, expected"), "{message}");
    env.save(&mut after);
    assert_eq!(state, after);
    env.step(&[0.0, 0.0], &mut obs, &mut costs).unwrap();
}

#[test]
fn episodes_start_without_cost() {
    let Some(library) = library() else { return };
    for mut env in tasks(&library) {
        let (mut obs, mut costs) = rows(&env);
        for seed in 0..200 {
            env.reset(seed, &mut obs).unwrap();
            env.charge(&mut costs);
            assert!(costs.iter().all(|&cost| cost == 0.0), "{}, seed {seed}", env.spec.name);
            assert!(env.last_distance > task::GOAL_RADIUS);
        }
    }
}

/// Put the robot at the origin, the first hazard at `hazard`, the second too, all else out of the way.
fn near_hazards(env: &mut SafetyGym, hazard: Place, yaw: f64) {
    let far = (0..env.things.len()).map(|i| Pose { place: [5.0 + i as f64, 0.0], yaw: 0.0 });
    let mut start: Vec<Pose> = far.collect();
    start[0] = Pose { place: [0.0, 0.0], yaw };
    (start[2].place, start[3].place) = (hazard, hazard);
    env.begin(&start, [5.0, 5.0]).unwrap();
}

#[test]
fn a_hazard_costs_inside_only_and_once() {
    let Some(library) = library() else { return };
    let mut env = SafetyGym::new(point(), task::goal(1), &library).unwrap();
    assert_eq!(env.spec.costs, ["hazards", "cost"]);
    let mut costs = [f64::NAN; 2];
    for (x, cost) in [(0.2, 0.0), (0.2 - 1e-12, 1.0), (0.0, 1.0), (0.25, 0.0)] {
        near_hazards(&mut env, [x, 0.0], 0.0);
        env.charge(&mut costs);
        assert_eq!(costs, [cost, cost], "hazards at {x}");
    }
}

#[test]
fn the_point_slides_along_its_start_heading() {
    let Some(library) = library() else { return };
    let mut env = SafetyGym::new(point(), task::goal(1), &library).unwrap();
    let (mut obs, mut costs) = rows(&env);
    near_hazards(&mut env, [9.0, 9.0], TAU / 4.0);
    for _ in 0..20 {
        env.step(&[1.0, 0.0], &mut obs, &mut costs).unwrap();
    }
    let [x, y] = env.where_is(0);
    assert!(env.simulation.qpos()[0] > 0.05 && y > 0.05 && x.abs() < 1e-9, "{x} {y}");
}

#[test]
fn reaching_the_goal_pays_one_and_shows_the_next() {
    let Some(library) = library() else { return };
    let mut env = SafetyGym::new(point(), task::goal(0), &library).unwrap();
    let (mut obs, mut costs) = rows(&env);
    env.reset(4, &mut obs).unwrap();
    let robot = env.layout[0];
    env.move_goal([robot[0] + 0.25, robot[1]]).unwrap();
    let step = env.step(&[0.0, 0.0], &mut obs, &mut costs).unwrap();
    assert!((step.reward - 1.0).abs() < 1e-3 && !step.terminated && !step.truncated);
    let goal = env.layout[GOAL];
    assert!(distance(goal, robot) >= 0.4 + 0.305 - 1e-3);
    let mut seen = [0.0; lidar::BINS];
    lidar::pseudo(&env.frame_of(0), std::iter::once(goal), &mut seen);
    assert_eq!(obs[12..], seen);
    assert_eq!(env.last_distance, env.goal_distance());
    assert_eq!(costs, [0.0]);
}

#[test]
fn the_clock_truncates_and_does_not_terminate() {
    let Some(library) = library() else { return };
    let mut env = SafetyGym::new(point(), task::goal(0), &library).unwrap();
    let (mut obs, mut costs) = rows(&env);
    env.reset(0, &mut obs).unwrap();
    for t in 1..=1000 {
        let step = env.step(&[0.0, 0.0], &mut obs, &mut costs).unwrap();
        assert!(!step.terminated && step.truncated == (t == 1000), "step {t}");
    }
}

#[test]
fn actions_are_clipped_to_the_box() {
    let Some(library) = library() else { return };
    for mut env in tasks(&library).take(1) {
        let (mut obs, mut costs) = rows(&env);
        let mut end = |action: [f64; 2]| {
            env.reset(0, &mut obs).unwrap();
            env.step(&action, &mut obs, &mut costs).unwrap();
            bits(&obs)
        };
        assert_eq!(end([7.0, -3.0]), end([1.0, -1.0]));
    }
}

#[test]
fn pictures_show_everything_once() {
    let Some(library) = library() else { return };
    let mut env = SafetyGym::new(car(), task::goal(2), &library).unwrap();
    let (mut obs, _) = rows(&env);
    env.reset(0, &mut obs).unwrap();
    let frame = env.frame();
    let count = |kind: &str| frame.shapes.iter().filter(|shape| shape.kind == kind).count();
    let kinds = ["ground", "goal", "hazard", "vase", "robot", "heading"];
    assert_eq!(kinds.map(count), [1, 1, 10, 10, 8, 1]);
    let lidars: Vec<f64> = frame.lidars.iter().flat_map(|lidar| lidar.bins.iter().copied()).collect();
    assert_eq!(lidars, obs[24..]);
    // The front of the car is its -y: the small bumper lies that way.
    let crate::frame::Form::Capsule { from, to, .. } = frame.shapes.last().unwrap().form else { panic!("no line") };
    let ahead = env.simulation.geom_xpos().as_chunks::<3>().0[4];
    assert!((to[0] - from[0]) * (ahead[0] - from[0]) + (to[1] - from[1]) * (ahead[1] - from[1]) > 0.0);
}
