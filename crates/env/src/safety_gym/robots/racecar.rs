//! Racecar: a car with a driven rear axle and steered front wheels; Safety-Gymnasium's alone.
//!
//! Its shape is eleven meshes of the `safety-gymnasium` package (Apache-2.0), which a user fetches; only the chassis's mesh touches
//! anything.
#![allow(clippy::approx_constant, reason = "the reference's rounded numbers are its numbers")]

use super::{Generation, Robot, common_sensors};
use crate::mjcf::Element;
use tony_fetch::{Part, Pinned};

/// One of the meshes in its package.
macro_rules! mesh {
    ($file:literal, $length:literal, $sha256:literal) => {
        Pinned {
            name: "the meshes of Racecar (safety-gymnasium 1.0.0)",
            folder: "safety-gymnasium-1.0.0",
            file: $file,
            parts: &[Part {
                package: "safety-gymnasium",
                version: "1.0.0",
                member: concat!("safety_gymnasium/assets/meshes/", $file),
                python: tony_fetch::PYTHON,
            }],
            length: $length,
            sha256: $sha256,
            megabytes: 27,
            fix: "tony doctor --fix racecar",
            instead: None,
        }
    };
}

/// The meshes. All lie in one folder.
pub static MESHES: [Pinned; 11] = [
    mesh!("chassis_differential.STL", 20_284, "0e4b59d808e905ea112400b454f8a344a57ce74de695673266585a16e1a7de39"),
    mesh!("left_rear_wheel.obj", 124_311, "d2e2aa51cb3b2cb33856c45516a759ef53439cf55e09ef62df15b43af46d45a4"),
    mesh!("right_rear_wheel.obj", 115_921, "40ce941149b75e717bcf66c68eefc790858153388aba79bbf48b0a823379650f"),
    mesh!("left_steering_hinge.STL", 117_684, "971ee2e0d326e98507136404076c3b25b21fb5421a6d7313f1e04d3c52da5f79"),
    mesh!("right_steering_hinge.STL", 117_684, "784a543eef92dbf58379f4fb808c0aeaea03a89630459f56f22855d83c48501c"),
    mesh!("left_front_wheel.obj", 124_291, "3ec2731bd788fa12987ebf3d388b2f5b2e2ccb2dcdf9a2fa6a1d91df64efeff3"),
    mesh!("right_front_wheel.obj", 115_972, "5c0a81105c1ca1153c662992fa7a6047806842a07fcc73f2d18df7e26d3a4f10"),
    mesh!("diff_ring.stl", 2_882_084, "368df11cf7c7209d45b44efc3e8003148588c154b2a29f244097f8ef2d0b70a8"),
    mesh!("diff_carrier.stl", 140_484, "0cebbc4aec8f81ab6d3ae9bf9a5daa481d6c23631a8d09827c705471c5bc4c22"),
    mesh!("diff_spider.stl", 592_084, "a5005eaa64d61491d67598d923b41613286cddcc97c7f58f1b78631bf7167167"),
    mesh!("diff_side.stl", 586_184, "9491d60d0bfa1d204037409a7c8e605a66ece80a836c7b8fad775efd37627f52"),
];

/// Scales of the meshes that have one; the others are in metres.
fn scale(file: &str) -> Option<[f64; 3]> {
    match file {
        "diff_ring.stl" => Some([0.0005, 0.0005, 0.001]),
        "diff_carrier.stl" | "diff_spider.stl" | "diff_side.stl" => Some([0.001; 3]),
        _ => None,
    }
}

/// A mesh's name: its file's without the ending.
fn stem(file: &str) -> &str {
    file.split('.').next().unwrap_or(file)
}

/// Quarter turns as the reference rounds them.
const STEERED: [f64; 4] = [0.707_105, 0.0, 0.707_108, 0.0];
const UPRIGHT: [f64; 4] = [0.707_105, 0.707_108, 0.0, 0.0];
const DISC: [f64; 4] = [0.707_107, 0.707_106, 0.0, 0.0];
const GEAR: [f64; 4] = [0.707_107, 0.707_107, 0.0, 0.0];
const PRINCIPAL: [f64; 4] = [0.5, 0.5, -0.5, 0.5];
/// Principal inertias of the differentials' parts, kg m².
const DIFFERENTIAL: [f64; 3] = [0.04411, 0.02467, 0.02467];

/// The Racecar robot. Actions set the speed of the rear axle (rad/s) and the steering angle (rad).
pub fn racecar() -> Robot {
    let root = Generation::SafetyGymnasium.root();
    let chassis = || Element::new("geom").text("type", "mesh").text("mesh", "chassis_differential");
    let bumper = || {
        Element::new("geom").nums("size", &[0.0165, 0.0875, 0.015]).nums("pos", &[0.39, 0.0, 0.04]).text("type", "box")
    };
    let hinge = |axis: [f64; 3]| Element::new("joint").nums("axis", &axis);
    let axle = Element::new("body").children([
        hinge([0.0, 1.0, 0.0]).text("name", "diff_ring"),
        rear_wheel("diff_sideA", "left_rear_wheel", 1.0),
        rear_wheel("diff_sideB", "right_rear_wheel", -1.0),
    ]);
    let driven =
        ring("diff_ring", 0.0, true).children([spider("diff_spiderA", 1.0), spider("diff_spiderB", -1.0), axle]);
    let idle = ring("diff2_ring", 0.32, false).children([
        spider("diff2_spiderA", 1.0),
        spider("diff2_spiderB", -1.0),
        side("diff2_sideA", 1.0, inertial([0.0; 3], 0.056, DIFFERENTIAL)),
        side("diff2_sideB", -1.0, inertial([0.0; 3], 0.056, DIFFERENTIAL)),
    ]);
    let car = Element::new("body").text("name", "pos_change").nums("pos", &[-0.16, 0.0, 0.0]).children([
        Element::new("body").text("name", "car_body").children([ghost(chassis()), chassis()]),
        bumper(),
        ghost(bumper()),
        front_wheel("left", 1.0),
        front_wheel("right", -1.0),
        driven,
        idle,
    ]);
    let exclude = |name: &str, wheel: &str| {
        Element::new("exclude").text("name", name).text("body1", "car_body").text("body2", wheel)
    };
    let limited = |actuator: Element, [low, high]: [f64; 2]| {
        actuator
            .text("forcelimited", "true")
            .nums("forcerange", &[-1.0, 1.0])
            .text("ctrllimited", "true")
            .nums("ctrlrange", &[low, high])
    };
    let control = vec![[-20.0, 20.0], [-0.785, 0.785]];
    Robot {
        name: "Racecar",
        timestep: 0.004,
        integrator: "RK4",
        height: 0.05,
        density: 5.0,
        site: ([0.02, 0.0, 0.0], 0.032),
        defaults: vec![Element::new("joint").num("damping", 0.001)],
        assets: MESHES
            .iter()
            .map(|mesh| {
                let element = Element::new("mesh").text("name", stem(mesh.file)).text("file", mesh.file);
                match scale(mesh.file) {
                    Some(scale) => element.nums("scale", &scale),
                    None => element,
                }
            })
            .collect(),
        body: vec![Element::new("joint").text("type", "free").text("name", root).num("damping", 0.0), car],
        equalities: vec![
            Element::new("joint")
                .text("joint1", "left_steering_hinge_joint")
                .text("joint2", "right_steering_hinge_joint"),
        ],
        exclusions: vec![exclude("left_body", "left_front_wheel"), exclude("right_body", "right_front_wheel")],
        actuators: vec![
            limited(Element::new("velocity").text("name", "diff_ring").text("joint", "diff_ring"), control[0]),
            limited(
                Element::new("position").text("name", "steering_hinge").text("joint", "left_steering_hinge_joint"),
                control[1],
            ),
        ],
        control,
        sensors: common_sensors(root),
        ..Robot::default()
    }
}

/// What is only seen.
fn ghost(geom: Element) -> Element {
    geom.text("contype", "0").text("conaffinity", "0").num("density", 0.0)
}

fn mesh(name: &str) -> Element {
    ghost(Element::new("geom").text("type", "mesh").text("mesh", name))
}

/// A disc that touches others.
fn disc(radius: f64, half: f64, pos: [f64; 3], quat: [f64; 4]) -> Element {
    Element::new("geom").nums("size", &[radius, half]).nums("pos", &pos).nums("quat", &quat).text("type", "cylinder")
}

fn untouched(geom: Element) -> Element {
    geom.text("contype", "0").text("conaffinity", "0")
}

fn inertial(pos: [f64; 3], mass: f64, diagonal: [f64; 3]) -> Element {
    Element::new("inertial").nums("pos", &pos).num("mass", mass).nums("diaginertia", &diagonal).nums("quat", &PRINCIPAL)
}

fn body(name: &str) -> Element {
    Element::new("body").text("name", name)
}

/// A steered front wheel; `y` is 1 on the left.
fn front_wheel(side: &str, y: f64) -> Element {
    let steering = format!("{side}_steering_hinge");
    let wheel = format!("{side}_front_wheel");
    let centre = [0.0, 0.0, -0.0225 * y];
    let wheel = body(&wheel).nums("quat", &UPRIGHT).children([
        inertial(centre, 0.34055, [0.000_412_26, 0.000_260_46, 0.000_260_46]),
        Element::new("joint").text("name", &format!("{wheel}_joint")).nums("axis", &[0.0, 0.0, -1.0]),
        mesh(&wheel),
        Element::new("geom").nums("size", &[0.05, 0.0225]).nums("pos", &centre).text("type", "cylinder"),
    ]);
    body(&steering).nums("pos", &[0.325, 0.1 * y, 0.0]).nums("quat", &STEERED).children([
        Element::new("inertial").nums("pos", &[0.0; 3]).num("mass", 0.1).nums("diaginertia", &[4e-6; 3]),
        Element::new("joint")
            .text("name", &format!("{steering}_joint"))
            .nums("axis", &[-1.0, 0.0, 0.0])
            .text("limited", "true")
            .nums("range", &[-0.785, 0.785]),
        mesh(&steering),
        wheel,
    ])
}

/// A differential's ring at `x`; the front one touches nothing.
fn ring(name: &str, x: f64, solid: bool) -> Element {
    let rim = disc(0.025, 0.005, [0.0, 0.025, 0.0], DISC);
    body(name).nums("pos", &[x, 0.0, 0.0]).children([
        inertial([0.0; 3], 0.0637, DIFFERENTIAL),
        mesh("diff_ring").nums("quat", &GEAR),
        mesh("diff_carrier").nums("quat", &GEAR),
        if solid { rim } else { untouched(rim) },
    ])
}

fn spider(name: &str, turn: f64) -> Element {
    body(name).nums("quat", &[0.707_107, 0.0, 0.0, 0.707_106 * turn]).children([
        inertial([0.0; 3], 0.056, DIFFERENTIAL),
        mesh("diff_spider").nums("quat", &GEAR),
        untouched(disc(0.015, 0.005, [0.0, 0.01, 0.0], DISC)),
    ])
}

/// A differential's gear to one side; `y` is 1 on the left.
fn side(name: &str, y: f64, inertial: Element) -> Element {
    let quat = [DISC[0], DISC[1] * y, 0.0, 0.0];
    body(name).children([
        inertial,
        mesh("diff_side").nums("quat", &quat),
        untouched(disc(0.015, 0.005, [0.0, 0.01 * y, 0.0], quat)),
    ])
}

/// A driven rear wheel with its gear.
fn rear_wheel(name: &str, wheel: &str, y: f64) -> Element {
    let inertia = inertial([0.0, 0.105_201 * y, 7.09759e-8 * y], 0.39655, [0.045_092_1, 0.025_652_1, 0.025_082_3]);
    side(name, y, inertia).children([
        mesh(wheel).nums("pos", &[0.0, 0.1 * y, 0.0]).nums("quat", &UPRIGHT),
        disc(0.05, 0.0225, [0.0, 0.1225 * y, 8.26471e-8 * y], UPRIGHT),
    ])
}
