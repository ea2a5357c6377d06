//! Ant: a four-legged walker that falls; Safety-Gymnasium's alone.

use super::{Generation, Reading, Robot, common_sensors};
use crate::locomotion::free_root;
use crate::mjcf::Element;
use crate::numpy::RandomState;
use std::f64::consts::FRAC_PI_2;

/// A leg: the names of its bodies and geoms, and where it points.
struct Leg {
    bodies: [&'static str; 2],
    geoms: [&'static str; 2],
    direction: [f64; 2],
    /// Does the ankle bend to positive angles?
    up: bool,
}

const LEGS: [Leg; 4] = [
    Leg {
        bodies: ["front_left_leg", "front_left_foot"],
        geoms: ["left_leg_geom", "left_ankle_geom"],
        direction: [1.0, 1.0],
        up: true,
    },
    Leg {
        bodies: ["front_right_leg", "front_right_foot"],
        geoms: ["right_leg_geom", "right_ankle_geom"],
        direction: [-1.0, 1.0],
        up: false,
    },
    Leg {
        bodies: ["left_back_leg", "left_back_foot"],
        geoms: ["back_leg_geom", "third_ankle_geom"],
        direction: [-1.0, -1.0],
        up: false,
    },
    Leg {
        bodies: ["right_back_leg", "right_back_foot"],
        geoms: ["rightback_leg_geom", "fourth_ankle_geom"],
        direction: [1.0, -1.0],
        up: true,
    },
];

/// Lengths of a leg's first two parts along each axis, in metres; the last is twice as long.
const PART: f64 = 0.05;

/// The Ant robot. Actions turn hip and ankle of one leg after the other.
pub fn ant() -> Robot {
    let root = Generation::SafetyGymnasium.root();
    let joints: Vec<String> = (1..=LEGS.len()).flat_map(|k| [format!("hip_{k}"), format!("ankle_{k}")]).collect();
    let free = free_root().num("margin", 0.01);
    let torso = Element::new("geom").text("name", "torso_geom").text("type", "sphere").num("size", 0.0625);
    let of_joints = |tag: &'static str, suffix: &str| -> Vec<Element> {
        let sensor = |name: &String| Element::new(tag).text("name", &format!("{name}{suffix}")).text("joint", name);
        joints.iter().map(sensor).collect()
    };
    let of_site = |tag: &'static str, name: &str| {
        vec![Element::new(tag).text("name", name).text("objtype", "site").text("objname", root)]
    };
    let observed = |suffix: &'static str, reading| joints.iter().map(move |name| (format!("{name}{suffix}"), reading));
    Robot {
        name: "Ant",
        timestep: 0.01,
        integrator: "RK4",
        height: 0.18,
        density: 5.0,
        site: ([0.0, 0.0, -0.02], 0.032),
        defaults: vec![
            Element::new("joint").text("limited", "true").num("armature", 1.0).num("damping", 1.0),
            Element::new("motor").text("ctrllimited", "true").nums("ctrlrange", &[-1.0, 1.0]).num("gear", 150.0),
        ],
        floor_conaffinity: 3,
        body: [free, torso].into_iter().chain((0..LEGS.len()).map(leg)).collect(),
        actuators: joints.iter().map(|name| Element::new("motor").text("joint", name)).collect(),
        control: vec![[-1.0, 1.0]; joints.len()],
        sensors: [
            common_sensors(root),
            of_site("framepos", "agent_pos"),
            of_joints("jointpos", ""),
            of_site("frameangvel", "agent_qvel"),
            of_joints("jointvel", "_vel"),
        ]
        .concat(),
        observed: observed("_vel", Reading::Raw)
            .chain([("agent_pos".to_owned(), Reading::Height), ("agent_qvel".to_owned(), Reading::Raw)])
            .chain(observed("", Reading::Angle))
            .collect(),
        pose: Some(pose),
        fallen: Some(0.08),
        ..Robot::default()
    }
}

fn leg(number: usize) -> Element {
    let Leg { bodies, geoms, direction: [x, y], up } = &LEGS[number];
    let number = number + 1;
    let to = |length: f64| [x * length, y * length, 0.0];
    let bone = |name: &str, length: f64| {
        Element::new("geom")
            .text("name", name)
            .text("type", "capsule")
            .nums("fromto", &[[0.0; 3], to(length)].concat())
            .num("size", 0.02)
    };
    let joint = |name: &str, axis: [f64; 3], range: [f64; 2]| {
        let name = format!("{name}_{number}");
        Element::new("joint").text("name", &name).text("type", "hinge").nums("axis", &axis).nums("range", &range)
    };
    let range = if *up { [0.52, 1.74] } else { [-1.74, -0.52] };
    let foot = Element::new("body")
        .text("name", bodies[1])
        .nums("pos", &to(PART))
        .children([joint("ankle", [-x * y, 1.0, 0.0], range), bone(geoms[1], 2.0 * PART)]);
    let auxiliary = format!("aux_{number}");
    let hip = Element::new("body").text("name", &auxiliary).nums("pos", &to(PART)).children([
        joint("hip", [0.0, 0.0, 1.0], [-0.7, 0.7]),
        bone(geoms[0], PART),
        foot,
    ]);
    Element::new("body").text("name", bodies[0]).children([bone(&format!("{auxiliary}_geom"), PART), hip])
}

/// Hips begin near their middle, ankles near a right angle to the side that they bend to.
fn pose(random: &mut RandomState, joints: &mut [f64]) {
    for (i, joint) in joints.iter_mut().enumerate() {
        let noise = random.uniform(-0.1, 0.1);
        let angle = if i % 2 == 0 { noise } else { FRAC_PI_2 + noise };
        *joint = if matches!(i, 3 | 5) { -angle } else { angle };
    }
}
