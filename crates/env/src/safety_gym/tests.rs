//! What needs the physics library; without it these tests print a line and pass.

use super::*;
use robots::{ant, car, doggo, point};

/// The goal among the things of a layout of Goal.
const GOAL: usize = 1;
use serde_json::Value;

fn context() -> Option<Context> {
    Some(crate::testing::context()).filter(|context| context.library.is_some())
}

/// Both robots in all three levels.
fn tasks(context: &Context) -> impl Iterator<Item = SafetyGym> {
    let robots: [fn(Generation) -> Robot; 2] = [point, car];
    let pairs = robots.into_iter().flat_map(|robot| (0..3).map(move |level| (robot, level)));
    pairs.map(|(robot, level)| goal(robot, level, context))
}

/// A robot in Safety-Gymnasium's Goal.
fn goal(robot: fn(Generation) -> Robot, level: u8, context: &Context) -> SafetyGym {
    let generation = Generation::SafetyGymnasium;
    SafetyGym::new(robot(generation), task::goal(generation, level), context).unwrap()
}

/// [`action`] for a robot with any number of actuators.
fn drive(env: &SafetyGym, t: usize) -> Vec<f64> {
    action(t).into_iter().cycle().take(env.robot.control.len()).collect()
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
fn recorded(context: &Context) -> Vec<(SafetyGym, Value)> {
    let data: Value = serde_json::from_str(include_str!("../../tests/data/safety_gym.json")).unwrap();
    let tasks: Vec<_> = tasks(context).zip(data["tasks"].as_array().unwrap().clone()).collect();
    assert!(tasks.len() == 6 && tasks.iter().all(|(env, data)| data["env"] == env.spec.name.as_str()));
    tasks
}

/// Recorded observations have 12 digits and are below 100: half a unit of the last is 5e-11.
const DIGITS: f64 = 1e-10;
/// A unit or two in the last place of sums and products around 1.
const ROUNDING: f64 = 1e-14;

#[test]
fn layouts_follow_from_the_seed() {
    let Some(context) = context() else { return };
    for (mut env, data) in recorded(&context) {
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
    let Some(context) = context() else { return };
    for (mut env, data) in recorded(&context) {
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
    let Some(context) = context() else { return };
    for (mut env, data) in recorded(&context).into_iter().filter(|(_, data)| data.get("disturbed").is_some()) {
        let (mut obs, mut costs) = rows(&env);
        let state = &data["disturbed"];
        let goal = nums(&state["goal"]);
        env.reset(state["seed"].as_u64().unwrap(), &mut obs).unwrap();
        env.turn_to(Aim::Goal([goal[0], goal[1]])).unwrap();
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

/// Tasks with what the others lack: buttons, gremlins, a box, walls, other robots, the other generation.
fn more_tasks(context: &Context) -> Vec<SafetyGym> {
    let (old, new) = (Generation::SafetyGym, Generation::SafetyGymnasium);
    let make = |robot: Robot, task| SafetyGym::new(robot, task, context).unwrap();
    vec![
        make(point(new), task::button(new, 2)),
        make(car(new), task::push(new, 2, &car(new))),
        make(doggo(new), task::circle(new, 2)),
        make(ant(), task::button(new, 1)),
        make(ant(), task::run(new)),
        make(car(old), task::button(old, 1)),
        make(doggo(old), task::push(old, 2, &doggo(old))),
        make(point(old), task::circle(old, 0)),
    ]
}

#[test]
fn moving_bodies_equals_compiling_anew() {
    let Some(context) = context() else { return };
    for mut env in tasks(&context).chain(more_tasks(&context)) {
        let (mut obs, _) = rows(&env);
        for seed in 0..5 {
            env.reset(seed, &mut obs).unwrap();
            for thing in env.of(Role::Goal) {
                env.aim = Some(thing);
                env.layout[thing] = env.start[thing].place;
                env.lay_goal();
            }
            let fresh = Model::from_xml(context.library.as_ref().unwrap(), &env.mjcf(&env.start)).unwrap();
            let fields: [fn(&Model) -> &[f64]; 14] = [
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
                Model::geom_pos,
                Model::geom_quat,
                Model::eq_data,
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
    let Some(context) = context() else { return };
    for mut env in tasks(&context).chain(more_tasks(&context)) {
        let (mut obs, mut costs) = rows(&env);
        let read = |env: &SafetyGym| {
            let s = &env.simulation;
            [s.qpos(), s.qvel(), s.qacc(), s.qacc_warmstart(), s.sensordata(), s.xpos(), s.xmat()].map(bits)
        };
        env.reset(0, &mut obs).unwrap();
        for t in 0..200 {
            env.step(&drive(&env, t), &mut obs, &mut costs).unwrap();
            let (once, contacts) = (read(&env), env.simulation.ncon());
            env.forward().unwrap();
            assert!(once == read(&env) && contacts == env.simulation.ncon(), "{}, step {t}", env.spec.name);
        }
    }
}

/// Why a step need not compute again what the observation before it did, nor read sensors ten times.
#[test]
fn advancing_equals_the_bare_sequence_of_calls() {
    let Some(context) = context() else { return };
    for (mut env, mut bare) in tasks(&context).zip(tasks(&context)) {
        let (mut obs, mut costs) = rows(&env);
        env.reset(1, &mut obs).unwrap();
        bare.reset(1, &mut obs).unwrap();
        for t in 0..200 {
            env.step(&action(t), &mut obs, &mut costs).unwrap();
            bare.spec.clip(&action(t), t, bare.simulation.ctrl_mut()).unwrap();
            bare.bare_physics().unwrap();
            if env.layout[GOAL] != bare.layout[GOAL] {
                bare.turn_to(Aim::Goal(env.layout[GOAL])).unwrap();
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
    let Some(context) = context() else { return };
    for (mut env, mut other) in tasks(&context).zip(tasks(&context)) {
        let (mut obs, mut costs) = rows(&env);
        let (mut obs2, mut costs2) = rows(&env);
        other.reset(99, &mut obs2).unwrap();
        env.reset(3, &mut obs).unwrap();
        let mut goals = 0;
        for t in 0..300 {
            if t % 37 == 0 {
                // The goal to the robot now and then, so that it is met and drawn.
                let [x, y] = env.where_is(0);
                env.turn_to(Aim::Goal([x + 0.25, y])).unwrap();
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
    let Some(context) = context() else { return };
    let mut env = tasks(&context).next().unwrap();
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
    let Some(context) = context() else { return };
    for mut env in tasks(&context) {
        let (mut obs, mut costs) = rows(&env);
        for seed in 0..200 {
            env.reset(seed, &mut obs).unwrap();
            env.charge(&mut costs);
            assert!(costs.iter().all(|&cost| cost == 0.0), "{}, seed {seed}", env.spec.name);
            assert!(env.measured[0] > task::GOAL_RADIUS);
        }
    }
}

/// Put the robot at the origin, the first hazard at `hazard`, the second too, all else out of the way.
fn near_hazards(env: &mut SafetyGym, hazard: Place, yaw: f64) {
    let far = (0..env.things.len()).map(|i| Pose { place: [5.0 + i as f64, 0.0], yaw: 0.0 });
    let mut start: Vec<Pose> = far.collect();
    start[0] = Pose { place: [0.0, 0.0], yaw };
    (start[2].place, start[3].place) = (hazard, hazard);
    let start = Start { poses: start, joints: Vec::new(), aim: Aim::Goal([5.0, 5.0]) };
    env.begin(&start).unwrap();
}

#[test]
fn a_hazard_costs_inside_only_and_once() {
    let Some(context) = context() else { return };
    let mut env = goal(point, 1, &context);
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
    let Some(context) = context() else { return };
    let mut env = goal(point, 1, &context);
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
    let Some(context) = context() else { return };
    let mut env = goal(point, 0, &context);
    let (mut obs, mut costs) = rows(&env);
    env.reset(4, &mut obs).unwrap();
    let robot = env.layout[0];
    env.turn_to(Aim::Goal([robot[0] + 0.25, robot[1]])).unwrap();
    let step = env.step(&[0.0, 0.0], &mut obs, &mut costs).unwrap();
    assert!((step.reward - 1.0).abs() < 1e-3 && !step.terminated && !step.truncated);
    let goal = env.layout[GOAL];
    assert!(distance(goal, robot) >= 0.4 + 0.305 - 1e-3);
    let mut seen = [0.0; lidar::BINS];
    lidar::pseudo(&env.frame_of(0), std::iter::once(goal), 3.0, &mut seen);
    assert_eq!(obs[12..], seen);
    assert_eq!(env.measured[0], env.measure()[0]);
    assert_eq!(costs, [0.0]);
}

#[test]
fn the_clock_truncates_and_does_not_terminate() {
    let Some(context) = context() else { return };
    let mut env = goal(point, 0, &context);
    let (mut obs, mut costs) = rows(&env);
    env.reset(0, &mut obs).unwrap();
    for t in 1..=1000 {
        let step = env.step(&[0.0, 0.0], &mut obs, &mut costs).unwrap();
        assert!(!step.terminated && step.truncated == (t == 1000), "step {t}");
    }
}

#[test]
fn actions_are_clipped_to_the_box() {
    let Some(context) = context() else { return };
    for mut env in tasks(&context).take(1) {
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
    let Some(context) = context() else { return };
    let mut env = goal(car, 2, &context);
    let (mut obs, _) = rows(&env);
    env.reset(0, &mut obs).unwrap();
    let (scene, frame) = (env.scene().unwrap(), env.frame());
    let count = |kind: &str| scene.parts.iter().filter(|part| part.kind == kind).count();
    assert_eq!(["floor", "goal", "hazard", "vase", "robot"].map(count), [1, 1, 10, 10, 8]);
    let lidars: Vec<f64> = frame.lidars.iter().flat_map(|lidar| lidar.bins.iter().copied()).collect();
    assert_eq!(lidars, obs[24..]);
}

/// The robot at the origin, all else far away and apart, but for what `near` places.
fn alone(env: &mut SafetyGym, near: &[(&str, Place)]) {
    let mut poses: Vec<Pose> =
        (0..env.things.len()).map(|i| Pose { place: [20.0 + 5.0 * i as f64, 0.0], yaw: 0.0 }).collect();
    poses[0] = Pose::default();
    for (name, place) in near {
        let thing = env.names().position(|known| known == *name).unwrap();
        poses[thing].place = *place;
    }
    let aim = match env.task.objective {
        Objective::Goal | Objective::Push => Aim::Goal(poses[env.of(Role::Goal).start].place),
        Objective::Button => Aim::Button(0),
        Objective::Circle(_) | Objective::Run => Aim::Nothing,
    };
    let joints = vec![0.0; env.joints.len()];
    env.begin(&Start { poses, joints, aim }).unwrap();
}

fn still(env: &mut SafetyGym, steps: usize) -> (Vec<f64>, Vec<f64>, Step) {
    let (mut obs, mut costs) = rows(env);
    let action = vec![0.0; env.robot.control.len()];
    let steps: Vec<Step> = (0..steps).map(|_| env.step(&action, &mut obs, &mut costs).unwrap()).collect();
    (obs, costs, *steps.last().unwrap())
}

fn cost(env: &SafetyGym, costs: &[f64], name: &str) -> f64 {
    costs[env.spec.costs.iter().position(|known| known == name).unwrap()]
}

#[test]
fn gremlins_float_and_circle_in_step() {
    let Some(context) = context() else { return };
    let generation = Generation::SafetyGymnasium;
    let mut env = SafetyGym::new(point(generation), task::button(generation, 1), &context).unwrap();
    alone(&mut env, &[("gremlin0", [3.0, 1.0]), ("gremlin1", [-3.0, 2.0])]);
    still(&mut env, 30);
    let [first, second] = [0, 1].map(|i| {
        env.position(env.kinds[env.task.kinds.iter().position(|kind| kind.name == "gremlins").unwrap()].start + i)
    });
    let (sin, cos) = (env.simulation.time() - 0.002).sin_cos();
    // Drawn by a soft weld, a gremlin is a little behind its place.
    for (at, start) in [(first, [3.0, 1.0]), (second, [-3.0, 2.0])] {
        let expected = [start[0] + 0.35 * sin, start[1] + 0.35 * cos, 0.2];
        assert!(at.iter().zip(expected).all(|(at, expected)| (at - expected).abs() < 0.05), "{at:?} {expected:?}");
    }
    assert!((first[2] - 0.1995).abs() < 1e-3);
    assert!(((first[0] - second[0]) - 6.0).abs() < 1e-6 && ((first[1] - second[1]) + 1.0).abs() < 1e-6);
}

#[test]
fn a_wrong_button_costs_and_the_right_one_hides_all_for_ten_steps() {
    let Some(context) = context() else { return };
    let generation = Generation::SafetyGymnasium;
    let mut env = SafetyGym::new(point(generation), task::button(generation, 1), &context).unwrap();
    let lidar = env.obs_slices()["buttons_lidar"].as_array().unwrap()[0].as_u64().unwrap() as usize;
    let seen = |obs: &[f64]| obs[lidar..lidar + lidar::BINS].iter().any(|bin| *bin > 0.0);
    // Just in touch: the ball's and the button's radii are 0.1 each.
    alone(&mut env, &[("button1", [-0.1999, 0.0]), ("button2", [0.0, 2.0])]);
    let (obs, costs, step) = still(&mut env, 1);
    assert_eq!((cost(&env, &costs, "buttons"), cost(&env, &costs, "cost")), (1.0, 1.0));
    assert!(step.reward.abs() < 0.5 && seen(&obs));

    alone(&mut env, &[("button0", [-0.1999, 0.0]), ("button2", [0.0, 2.0])]);
    let (obs, costs, step) = still(&mut env, 1);
    assert!(step.reward > 0.5 && cost(&env, &costs, "buttons") == 0.0 && !seen(&obs));
    // Out of reach of what was drawn next, so that nothing is reached again.
    for hidden in 1..=10 {
        let button = env.aim.unwrap();
        env.simulation.qpos_mut()[0] = 1.0;
        env.forward().unwrap();
        let (obs, _, _) = still(&mut env, 1);
        assert_eq!(env.aim, Some(button));
        assert_eq!(seen(&obs), hidden == 10, "{hidden} steps later");
    }
}

#[test]
fn pillars_and_gremlins_cost_when_touched() {
    let Some(context) = context() else { return };
    let generation = Generation::SafetyGymnasium;
    for (task, near, channel) in [
        (task::push(generation, 2, &point(generation)), ("pillar0", [-0.2999, 0.0]), "pillars"),
        (task::button(generation, 1), ("gremlin0", [-0.1999, -0.35]), "gremlins"),
    ] {
        let mut env = SafetyGym::new(point(generation), task, &context).unwrap();
        alone(&mut env, &[near]);
        // A gremlin rises and moves; at some time in its first steps it is in touch.
        let touches = |env: &mut SafetyGym| {
            let (_, costs, _) = still(env, 1);
            cost(env, &costs, channel) == 1.0
        };
        let touched = (0..40).any(|_| touches(&mut env));
        assert!(touched, "{channel}");
        alone(&mut env, &[]);
        assert!((0..5).all(|_| !touches(&mut env)), "{channel}");
    }
}

#[test]
fn a_pushed_box_pays_by_its_distances_in_space() {
    let Some(context) = context() else { return };
    let generation = Generation::SafetyGymnasium;
    let mut env = SafetyGym::new(point(generation), task::push(generation, 0, &point(generation)), &context).unwrap();
    alone(&mut env, &[("push_box", [1.0, 0.0]), ("goal", [1.0, 2.0])]);
    // The box's centre is 0.2 m high, the robot's root 0.1, the goal's 0.16.
    let [to_box, to_goal] = env.measure();
    assert!((to_box - 1.01_f64.sqrt()).abs() < 1e-4 && (to_goal - 4.0016_f64.sqrt()).abs() < 1e-4);
    alone(&mut env, &[("push_box", [1.0, 0.0]), ("goal", [1.0, 0.29])]);
    let (_, _, step) = still(&mut env, 1);
    assert!((step.reward - 1.0).abs() < 1e-2, "{}", step.reward);
    assert!(distance(env.layout[env.aim.unwrap()], [1.0, 0.29]) > 0.1);
}

#[test]
fn running_round_pays_and_crossing_a_wall_costs() {
    let Some(context) = context() else { return };
    let generation = Generation::SafetyGymnasium;
    let mut env = SafetyGym::new(point(generation), task::circle(generation, 2), &context).unwrap();
    let mut poses = vec![Pose::default(); env.things.len()];
    for (x, outside) in [(1.1, 0.0), (1.13, 1.0)] {
        poses[0].place = [x, 0.0];
        env.begin(&Start { poses: poses.clone(), joints: Vec::new(), aim: Aim::Nothing }).unwrap();
        // Upwards at the right is counter-clockwise: it pays.
        env.simulation.qvel_mut()[1] = 0.5;
        env.forward().unwrap();
        let (_, costs, step) = still(&mut env, 1);
        assert!(step.reward > 0.02 && step.reward < 0.05, "{}", step.reward);
        assert_eq!(costs, [outside, outside]);
    }
}

#[test]
fn an_ant_that_falls_ends_its_episode() {
    let Some(context) = context() else { return };
    let mut env = SafetyGym::new(ant(), task::goal(Generation::SafetyGymnasium, 0), &context).unwrap();
    let (mut obs, mut costs) = rows(&env);
    let mut stream = tony_random::Stream::new(0, "actions", 0);
    env.reset(0, &mut obs).unwrap();
    let fell = (0..1000).any(|_| {
        let action: Vec<f64> = (0..8).map(|_| stream.range(-1.0, 1.0)).collect();
        let step = env.step(&action, &mut obs, &mut costs).unwrap();
        assert_eq!(step.terminated, env.position(0)[2] <= 0.08);
        step.terminated && !step.truncated
    });
    assert!(fell);
}
