//! Ant: a four-legged walker that falls; Safety-Gymnasium's alone.

use super::{Generation, Reading, Robot, common_sensors};
use crate::locomotion::ant::Legs;
use crate::locomotion::free_root;
use crate::mjcf::Element;
use crate::numpy::RandomState;
use std::f64::consts::FRAC_PI_2;

const LEGS: Legs = Legs {
    names: [
        ("front_left_leg", Some("front_left_foot")),
        ("front_right_leg", Some("front_right_foot")),
        ("left_back_leg", Some("left_back_foot")),
        ("right_back_leg", Some("right_back_foot")),
    ],
    part: 0.05,
    radius: 0.02,
    hip: 0.7,
    ankle: [0.52, 1.74],
};

/// The Ant robot. Actions turn hip and ankle of one leg after the other.
pub fn ant() -> Robot {
    let root = Generation::SafetyGymnasium.root();
    let joints: Vec<String> = (1..=LEGS.names.len()).flat_map(|k| [format!("hip_{k}"), format!("ankle_{k}")]).collect();
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
        body: [free, torso].into_iter().chain(LEGS.bodies()).collect(),
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

/// Hips begin near their middle, ankles near a right angle to the side that they bend to.
fn pose(random: &mut RandomState, joints: &mut [f64]) {
    for (i, joint) in joints.iter_mut().enumerate() {
        let noise = random.uniform(-0.1, 0.1);
        let angle = if i % 2 == 0 { noise } else { FRAC_PI_2 + noise };
        *joint = if matches!(i, 3 | 5) { -angle } else { angle };
    }
}
