//! `Walker2d-v5`: a two-legged plane robot that is to walk.
//!
//! Erez, Tassa & Todorov, *Infinite-horizon model predictive control for periodic tasks with contacts* (2011), in Gymnasium's
//! version: six actuated hinges, 8 ms a step. Reward: velocity, plus 1 while healthy, minus 0.001 of the squared action. Healthy:
//! between 0.8 and 2 m high, leaning less than 1 rad. Observed velocities are clipped to 10.

use super::{Forward, Part, Pay, RUN, Start, Task, along_x, root_joint};
use crate::mjcf::Element;

/// What walking pays.
pub(super) const FORWARD: Forward = Forward { alive: 1.0, healthy: Some(healthy), control: 0.001, ..RUN };

/// The task.
pub const TASK: Task = Task {
    name: "Walker2d-v5",
    summary: "a two-legged plane robot walks and does not fall",
    model: || model(1.9),
    frame_skip: 4,
    max_steps: 1000,
    observed: &[Part::Positions(1), Part::Velocities(10.0)],
    whereabouts: along_x,
    pay: Pay::Forward(FORWARD),
    lags: false,
    start: Start::Noise { scale: 0.005, normal: false },
    speed_limit: None,
    from_above: false,
};

fn healthy(qpos: &[f64], _: &[f64]) -> bool {
    qpos[1] > 0.8 && qpos[1] < 2.0 && qpos[2] > -1.0 && qpos[2] < 1.0
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

/// The model. In versions before the fifth one foot slides more easily than the other.
pub(super) fn model(right_friction: f64) -> Element {
    let geoms = Element::new("geom")
        .text("type", "capsule")
        .num("conaffinity", 0.0)
        .num("condim", 3.0)
        .nums("friction", &[0.7, 0.1, 0.1]);
    let joints = Element::new("joint").num("armature", 0.01).num("damping", 0.1);
    let motors = Element::new("motor").nums("ctrlrange", &[-1.0, 1.0]).num("gear", 100.0);
    let floor = Element::new("geom")
        .text("name", "floor")
        .text("type", "plane")
        .nums("size", &[40.0, 40.0, 40.0])
        .num("conaffinity", 1.0);
    // The slides count from the ground: their reference is the start's height.
    let below = [0.0, 0.0, -HEIGHT];
    let torso = Element::new("body")
        .text("name", "torso")
        .nums("pos", &[0.0, 0.0, HEIGHT])
        .child(root_joint("rootx", "slide", [1.0, 0.0, 0.0]).nums("pos", &below))
        .child(root_joint("rootz", "slide", [0.0, 0.0, 1.0]).nums("pos", &below).num("ref", HEIGHT))
        .child(root_joint("rooty", "hinge", [0.0, 1.0, 0.0]))
        .child(capsule("torso_geom", 0.05, (TOP - HIP) / 2.0, 0.9))
        .child(leg("", right_friction))
        .child(leg("_left", 1.9));
    let joints_of = |side: &str| ["thigh", "leg", "foot"].map(|part| format!("{part}{side}_joint"));
    let motor = |joint: String| Element::new("motor").text("joint", &joint);
    Element::new("mujoco")
        .text("model", "walker2d")
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(Element::new("option").num("timestep", 0.002).text("integrator", "RK4"))
        .child(Element::new("default").child(geoms).child(joints).child(motors))
        .child(Element::new("worldbody").child(floor).child(torso))
        .child(Element::new("actuator").children(["", "_left"].map(joints_of).concat().into_iter().map(motor)))
}

fn leg(side: &str, friction: f64) -> Element {
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
    let geom = |name: &str| format!("{name}{side}_geom");
    let foot = body("foot", [0.2, 0.0, -0.35]).child(hinge("foot", [-0.2, 0.0, 0.1], [-45.0, 45.0])).child(
        capsule(&geom("foot"), 0.06, 0.1, friction)
            .nums("pos", &[-0.1, 0.0, 0.1])
            .nums("axisangle", &[0.0, 1.0, 0.0, -90.0]),
    );
    let shin = body("leg", [0.0, 0.0, SHIN - HIP])
        .child(hinge("leg", [0.0, 0.0, 0.25], [-150.0, 0.0]))
        .child(capsule(&geom("leg"), 0.04, 0.25, 0.9))
        .child(foot);
    body("thigh", [0.0, 0.0, HIP - HEIGHT])
        .child(hinge("thigh", [0.0; 3], [-150.0, 0.0]))
        .child(capsule(&geom("thigh"), 0.05, (HIP - KNEE) / 2.0, 0.9).nums("pos", &[0.0, 0.0, THIGH - HIP]))
        .child(shin)
}

fn capsule(name: &str, radius: f64, half: f64, friction: f64) -> Element {
    Element::new("geom").text("name", name).nums("size", &[radius, half]).num("friction", friction)
}
