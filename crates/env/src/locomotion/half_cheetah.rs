//! `HalfCheetah-v5`: a two-legged plane animal that is to run.
//!
//! Wawrzynski, *A cat-like robot real-time learning to run* (2009), in Gymnasium's version: six actuated, sprung hinges, 14 kg
//! in all, 50 ms a step. Reward: velocity minus 0.1 of the squared action; no episode terminates.

use super::{Forward, Part, Pay, RUN, Start, Task, along_x, floor, root_joint};
use crate::mjcf::Element;
use crate::scene::View;

/// The task.
pub const TASK: Task = Task {
    name: "HalfCheetah-v5",
    summary: "a two-legged plane animal runs",
    model,
    frame_skip: 5,
    max_steps: 1000,
    observed: &[Part::Positions(1), Part::Velocities(f64::INFINITY)],
    whereabouts: along_x,
    pay: Pay::Forward(Forward { control: 0.1, ..RUN }),
    lags: false,
    start: Start::Noise { scale: 0.1, normal: true },
    speed_limit: None,
    view: View::Side,
};

/// Of all capsules together, in kilograms.
const MASS: f64 = 14.0;
const RADIUS: f64 = 0.046;
/// Half length of the torso's spine.
const TORSO: f64 = 0.5;
/// Half length of the head.
const HEAD: f64 = 0.15;

/// A limb: its body's place, its hinge, and its capsule.
struct Limb {
    name: &'static str,
    pos: [f64; 3],
    range: [f64; 2],
    stiffness: f64,
    damping: f64,
    gear: f64,
    geom: [f64; 3],
    /// Rotation of the capsule about y, radians.
    angle: f64,
    half: f64,
}

/// Back thigh, shin and foot, then the front ones.
const LIMBS: [Limb; 6] = [
    Limb {
        name: "bthigh",
        pos: [-0.5, 0.0, 0.0],
        range: [-0.52, 1.05],
        stiffness: 240.0,
        damping: 6.0,
        gear: 120.0,
        geom: [0.1, 0.0, -0.13],
        angle: -3.8,
        half: 0.145,
    },
    Limb {
        name: "bshin",
        pos: [0.16, 0.0, -0.25],
        range: [-0.785, 0.785],
        stiffness: 180.0,
        damping: 4.5,
        gear: 90.0,
        geom: [-0.14, 0.0, -0.07],
        angle: -2.03,
        half: 0.15,
    },
    Limb {
        name: "bfoot",
        pos: [-0.28, 0.0, -0.14],
        range: [-0.4, 0.785],
        stiffness: 120.0,
        damping: 3.0,
        gear: 60.0,
        geom: [0.03, 0.0, -0.097],
        angle: -0.27,
        half: 0.094,
    },
    Limb {
        name: "fthigh",
        pos: [0.5, 0.0, 0.0],
        range: [-1.0, 0.7],
        stiffness: 180.0,
        damping: 4.5,
        gear: 120.0,
        geom: [-0.07, 0.0, -0.12],
        angle: 0.52,
        half: 0.133,
    },
    Limb {
        name: "fshin",
        pos: [-0.14, 0.0, -0.24],
        range: [-1.2, 0.87],
        stiffness: 120.0,
        damping: 3.0,
        gear: 60.0,
        geom: [0.065, 0.0, -0.09],
        angle: -0.6,
        half: 0.106,
    },
    Limb {
        name: "ffoot",
        pos: [0.13, 0.0, -0.18],
        range: [-0.5, 0.5],
        stiffness: 60.0,
        damping: 1.5,
        gear: 30.0,
        geom: [0.045, 0.0, -0.07],
        angle: -0.6,
        half: 0.07,
    },
];

fn model() -> Element {
    let geoms = Element::new("geom")
        .text("type", "capsule")
        .num("conaffinity", 0.0)
        .nums("friction", &[0.4, 0.1, 0.1])
        .nums("solimp", &[0.0, 0.8, 0.01]);
    let joints = Element::new("joint").num("armature", 0.1).nums("solimplimit", &[0.0, 0.8, 0.03]);
    let motors = Element::new("motor").nums("ctrlrange", &[-1.0, 1.0]);
    let floor = floor([40.0; 3]).num("conaffinity", 1.0);
    let torso = Element::new("geom")
        .text("name", "torso")
        .nums("fromto", &[-TORSO, 0.0, 0.0, TORSO, 0.0, 0.0])
        .num("size", RADIUS);
    let body = Element::new("body")
        .text("name", "torso")
        .nums("pos", &[0.0, 0.0, 0.7])
        .child(root_joint("rootx", "slide", [1.0, 0.0, 0.0]))
        .child(root_joint("rootz", "slide", [0.0, 0.0, 1.0]))
        .child(root_joint("rooty", "hinge", [0.0, 1.0, 0.0]))
        .child(torso)
        .child(capsule("head", [0.6, 0.0, 0.1], 0.87, HEAD))
        .child(leg(&LIMBS[..3]))
        .child(leg(&LIMBS[3..]));
    let motor =
        |limb: &Limb| Element::new("motor").text("name", limb.name).text("joint", limb.name).num("gear", limb.gear);
    Element::new("mujoco")
        .text("model", "half_cheetah")
        .child(
            Element::new("compiler").text("angle", "radian").text("inertiafromgeom", "true").num("settotalmass", MASS),
        )
        .child(Element::new("option").num("timestep", 0.01))
        .child(Element::new("default").child(geoms).child(joints).child(motors))
        .child(Element::new("worldbody").child(floor).child(body))
        .child(Element::new("actuator").children(LIMBS.iter().map(motor)))
}

/// The limbs of a leg, each hanging on the one before.
fn leg(limbs: &[Limb]) -> Element {
    let (limb, rest) = (&limbs[0], &limbs[1..]);
    let hinge = Element::new("joint")
        .text("name", limb.name)
        .text("type", "hinge")
        .nums("axis", &[0.0, 1.0, 0.0])
        .nums("range", &limb.range)
        .num("stiffness", limb.stiffness)
        .num("damping", limb.damping);
    let body = Element::new("body")
        .text("name", limb.name)
        .nums("pos", &limb.pos)
        .child(hinge)
        .child(capsule(limb.name, limb.geom, limb.angle, limb.half));
    if rest.is_empty() { body } else { body.child(leg(rest)) }
}

fn capsule(name: &str, pos: [f64; 3], angle: f64, half: f64) -> Element {
    Element::new("geom")
        .text("name", name)
        .nums("pos", &pos)
        .nums("axisangle", &[0.0, 1.0, 0.0, angle])
        .nums("size", &[RADIUS, half])
}
