//! `Hopper-v5`: a one-legged plane robot that is to hop.
//!
//! Erez, Tassa & Todorov, *Infinite-horizon model predictive control for periodic tasks with contacts* (2011), in Gymnasium's
//! version: three actuated hinges, 8 ms a step. Reward: velocity, plus 1 while healthy, minus 0.001 of the squared action. Healthy:
//! higher than 0.7 m, leaning less than 0.2 rad, and no other number of the state beyond 100. Observed velocities are clipped
//! to 10.

use super::{Forward, Part, Pay, RUN, Start, Task, along_x, floor, root_joint};
use crate::mjcf::Element;
use crate::scene::View;

/// What hopping pays.
pub(super) const FORWARD: Forward = Forward { alive: 1.0, healthy: Some(healthy), control: 0.001, ..RUN };

/// The task.
pub const TASK: Task = Task {
    name: "Hopper-v5",
    summary: "a one-legged plane robot hops and does not fall",
    model,
    frame_skip: 4,
    max_steps: 1000,
    observed: &[Part::Positions(1), Part::Velocities(10.0)],
    whereabouts: along_x,
    pay: Pay::Forward(FORWARD),
    lags: false,
    start: Start::Noise { scale: 0.005, normal: false },
    speed_limit: None,
    view: View::Side,
};

fn healthy(qpos: &[f64], qvel: &[f64]) -> bool {
    qpos[1] > 0.7 && qpos[2].abs() < 0.2 && qpos[2..].iter().chain(qvel).all(|x| x.abs() < 100.0)
}

/// Heights at the start, in metres. Places and lengths are differences of them, as in the reference: not all of these are round numbers.
const TOP: f64 = 1.45;
/// Of the torso's centre.
const HEIGHT: f64 = 1.25;
const HIP: f64 = 1.05;
/// Of the thigh's centre.
const THIGH: f64 = 0.825;
const KNEE: f64 = 0.6;
/// Of the shin's centre.
const SHIN: f64 = 0.35;

fn model() -> Element {
    let geoms = Element::new("geom")
        .text("type", "capsule")
        .num("condim", 1.0)
        .num("margin", 0.001)
        .nums("solimp", &[0.8, 0.8, 0.01]);
    let joints = Element::new("joint").num("armature", 1.0).num("damping", 1.0);
    let motors = Element::new("motor").nums("ctrlrange", &[-1.0, 1.0]).num("gear", 200.0);
    let floor = floor([20.0, 20.0, 0.125]).num("condim", 3.0);
    let torso = torso().child(leg("", &Foot { reach: 0.13, half: 0.195, friction: 2.0 }));
    let motor = |joint| Element::new("motor").text("joint", joint);
    Element::new("mujoco")
        .text("model", "hopper")
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(Element::new("option").num("timestep", 0.002).text("integrator", "RK4"))
        .child(Element::new("default").child(geoms).child(joints).child(motors))
        .child(Element::new("worldbody").child(floor).child(torso))
        .child(Element::new("actuator").children(["thigh_joint", "leg_joint", "foot_joint"].map(motor)))
}

/// The torso that Hopper and Walker2d have, and how it moves in the plane.
pub(super) fn torso() -> Element {
    // The slides count from the ground: their reference is the start's height.
    let below = [0.0, 0.0, -HEIGHT];
    Element::new("body")
        .text("name", "torso")
        .nums("pos", &[0.0, 0.0, HEIGHT])
        .child(root_joint("rootx", "slide", [1.0, 0.0, 0.0]).nums("pos", &below))
        .child(root_joint("rootz", "slide", [0.0, 0.0, 1.0]).nums("pos", &below).num("ref", HEIGHT))
        .child(root_joint("rooty", "hinge", [0.0, 1.0, 0.0]))
        .child(capsule("torso_geom", 0.05, (TOP - HIP) / 2.0, 0.9))
}

/// The foot of a leg.
pub(super) struct Foot {
    /// From the ankle to its front, in metres.
    pub(super) reach: f64,
    /// Half the length of its capsule, in metres.
    pub(super) half: f64,
    pub(super) friction: f64,
}

/// The leg that Hopper and Walker2d have; `side` ends the names of its parts.
pub(super) fn leg(side: &str, foot: &Foot) -> Element {
    let body =
        |name: &str, pos: [f64; 3]| Element::new("body").text("name", &format!("{name}{side}")).nums("pos", &pos);
    let hinge = |name: &str, pos: [f64; 3], range: [f64; 2]| {
        Element::new("joint")
            .text("name", &format!("{name}{side}_joint"))
            .text("type", "hinge")
            .nums("axis", &[0.0, -1.0, 0.0])
            .nums("pos", &pos)
            .nums("range", &range)
    };
    let bone = |name: &str, radius, half, friction| capsule(&format!("{name}{side}_geom"), radius, half, friction);
    let Foot { reach, half, friction } = *foot;
    let foot = body("foot", [reach, 0.0, -0.35]).child(hinge("foot", [-reach, 0.0, 0.1], [-45.0, 45.0])).child(
        bone("foot", 0.06, half, friction)
            .nums("pos", &[-reach / 2.0, 0.0, 0.1])
            .nums("axisangle", &[0.0, 1.0, 0.0, -90.0]),
    );
    let shin = body("leg", [0.0, 0.0, SHIN - HIP])
        .child(hinge("leg", [0.0, 0.0, 0.25], [-150.0, 0.0]))
        .child(bone("leg", 0.04, 0.25, 0.9))
        .child(foot);
    body("thigh", [0.0, 0.0, HIP - HEIGHT])
        .child(hinge("thigh", [0.0; 3], [-150.0, 0.0]))
        .child(bone("thigh", 0.05, (HIP - KNEE) / 2.0, 0.9).nums("pos", &[0.0, 0.0, THIGH - HIP]))
        .child(shin)
}

fn capsule(name: &str, radius: f64, half: f64, friction: f64) -> Element {
    Element::new("geom").text("name", name).nums("size", &[radius, half]).num("friction", friction)
}
