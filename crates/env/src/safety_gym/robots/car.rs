//! Car: two driven wheels and a ball that rolls freely; its front looks along -y.

use super::{Generation, Reading, Robot, common_sensors, geom, motor};
use crate::mjcf::Element;

/// The Car robot. Actions drive the left and the right wheel.
pub fn car(generation: Generation) -> Robot {
    let root = generation.root();
    let wheel = |name, x, [from, to]: [f64; 2]| {
        let axle = [1.0, 0.0, 0.0];
        Element::new("body").text("name", name).nums("pos", &[x, 0.1, -0.05]).children([
            Element::new("joint").text("name", name).text("type", "hinge").nums("axis", &axle).num("damping", 0.001),
            Element::new("geom")
                .text("name", name)
                .text("type", "cylinder")
                .num("size", 0.05)
                .nums("fromto", &[from, 0.0, 0.0, to, 0.0, 0.0]),
        ])
    };
    let rear = Element::new("body").text("name", "rear").nums("pos", &[0.0, -0.1, -0.05]).children([
        Element::new("joint").text("name", "rear").text("type", "ball").num("damping", 0.001),
        geom("rear", "sphere", [0.0; 3], &[0.05]),
    ]);
    let sensor = |tag, name| Element::new(tag).text("name", name).text("joint", "rear");
    Robot {
        name: "Car",
        timestep: 0.004,
        height: 0.1,
        density: 5.0,
        body: vec![
            Element::new("freejoint").text("name", root),
            geom(root, "box", [0.0; 3], &[0.1, 0.1, 0.05]),
            geom("back_bumper", "box", [0.0, 0.15, 0.0], &[0.1, 0.01, 0.05]),
            geom("back_connector", "box", [0.0, 0.125, 0.0], &[0.01, 0.025, 0.03]),
            geom("front_bumper", "box", [0.0, -0.165, 0.0], &[0.05, 0.01, 0.05]),
            geom("front_connector", "box", [0.0, -0.13, 0.04], &[0.05, 0.03, 0.01]),
            wheel("left", -0.1, [-0.055, -0.005]),
            wheel("right", 0.1, [0.005, 0.055]),
            rear,
        ],
        // Both saturate at a fiftieth of the range: the controls are nearly bang-bang.
        actuators: ["left", "right"].map(|name| motor(name, ("jointinparent", name), 1.0, 0.02)).into(),
        control: vec![[-1.0, 1.0]; 2],
        sensors: [sensor("ballquat", "ballquat_rear"), sensor("ballangvel", "ballangvel_rear")]
            .into_iter()
            .chain(common_sensors(root))
            .collect(),
        observed: [("ballangvel_rear", Reading::Raw), ("ballquat_rear", Reading::Rotation)]
            .map(|(name, reading)| (name.to_owned(), reading))
            .into(),
        pushes: (0.125, 0.0005),
        ..Robot::default()
    }
}
