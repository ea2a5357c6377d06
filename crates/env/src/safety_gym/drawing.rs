//! What a replay shows.

use super::task::Objective;
use super::{Generation, Role, SafetyGym, lidar};
use crate::frame::{Frame, Lidar};
use crate::scene::{self, Pose, Scene, Solid, View};

/// Radius and half height of what stands round the button to be reached, m: Safety-Gymnasium's goal there.
const AIM: [f64; 3] = [0.2, 0.1, 0.0];
/// Radius of what covers a button that is not seen for a while, m: a little more than a button's.
const COVER: f64 = 0.102;

/// Robot and things by their kinds, and what shows the state of buttons.
pub(super) fn scene(env: &SafetyGym) -> Scene {
    let kind_of = |thing: usize| {
        let kind = env.kinds.iter().position(|things| things.contains(&thing));
        kind.map_or("robot", |kind| env.task.kinds[kind].one)
    };
    let mut scene = Scene::of(&env.simulation, View::Corner, |root| {
        env.things.iter().position(|thing| thing.body == root).map_or("robot", kind_of)
    });
    if env.task.objective == Objective::Button {
        env.of(Role::Buttons).for_each(|_| scene.add("resting button", Solid::Sphere, [COVER; 3]));
        if env.task.generation == Generation::SafetyGym {
            scene.add("goal", Solid::Cylinder, AIM);
        }
    }
    scene
}

/// Where everything is, and what the lidars of kinds see.
pub(super) fn frame(env: &SafetyGym) -> Frame {
    let mut bodies: Vec<Option<Pose>> = scene::bodies(&env.simulation).collect();
    if env.task.objective == Objective::Button {
        let at = |thing| Pose::at(env.position(thing));
        bodies.extend(env.of(Role::Buttons).map(|button| (env.timer > 0).then(|| at(button))));
        if env.task.generation == Generation::SafetyGym {
            bodies.push(env.aim.map(at));
        }
    }
    let robot = env.frame_of(0);
    let [x, y, _] = robot.at;
    let angle = robot.axes[3].atan2(robot.axes[0]);
    let lidars = env.task.kinds.iter().zip(&env.kinds).filter(|(kind, _)| kind.seen).map(|(kind, things)| {
        let mut bins = vec![0.0; lidar::BINS];
        env.look(&robot, things.clone(), &mut bins);
        Lidar { kind: kind.name.clone(), at: [x, y], angle, bins }
    });
    Frame { lidars: lidars.collect(), bodies, ..Frame::default() }
}
