//! The MuJoCo model of a robot in a task.

use super::Generation;
use super::layout::Place;
use super::robots::Robot;
use super::task::{Form, Kind, Motion, Task};
use crate::mjcf::Element;
use std::path::Path;

/// Where a thing stands and which way it looks.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Pose {
    /// Position on the floor, in metres.
    pub place: Place,
    /// Rotation about the vertical, in radians.
    pub yaw: f64,
}

impl Pose {
    /// The rotation as a quaternion.
    pub fn quat(self) -> [f64; 4] {
        let (sin, cos) = (self.yaw / 2.0).sin_cos();
        [cos, 0.0, 0.0, sin]
    }
}

/// Suffixes of the two bodies of a thing that circles: the one that is drawn along, and the one that draws.
pub const DRAWN: &str = "obj";
/// See [`DRAWN`].
pub const DRAWS: &str = "mocap";

/// Indices of kinds in the order of their bodies, which is that of free joints in the state: what moves (what circles last), then what
/// does not.
pub fn order_of_bodies(task: &Task) -> Vec<usize> {
    const SAFETY_GYM: [&str; 8] = ["vases", "gremlins", "box", "goal", "hazards", "pillars", "buttons", "circle"];
    let mut order: Vec<usize> = (0..task.kinds.len()).collect();
    order.sort_by_key(|&i| {
        let kind = &task.kinds[i];
        match task.generation {
            Generation::SafetyGym => SAFETY_GYM.iter().position(|name| kind.name == *name).unwrap_or(SAFETY_GYM.len()),
            Generation::SafetyGymnasium => match kind.motion {
                Motion::Free => 0,
                Motion::Circling { .. } => 1,
                Motion::Fixed => 2,
            },
        }
    });
    order
}

/// The model with the robot and every object (in order of declaration) in these `poses`, the robot's first. `meshes` is the folder of the
/// robot's meshes, if it has some.
pub fn mjcf(robot: &Robot, task: &Task, meshes: Option<&Path>, poses: &[Pose]) -> Element {
    let root = task.generation.root();
    let (at, radius) = robot.site;
    let site = Element::new("site").text("name", root).text("type", "sphere").nums("pos", &at).num("size", radius);
    let robot_body = body(root, poses[0], robot.height).children(robot.body.iter().cloned()).child(site);
    let (mut moving, mut drawing, mut fixed, mut welds) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let mut firsts = vec![1];
    firsts.extend(task.kinds.iter().scan(1, |next, kind| {
        *next += kind.bodies.len();
        Some(*next)
    }));
    for i in order_of_bodies(task) {
        let kind = &task.kinds[i];
        for (name, pose) in kind.bodies.iter().zip(&poses[firsts[i]..]) {
            match kind.motion {
                Motion::Fixed => fixed.push(object(kind, name, *pose)),
                Motion::Free => moving.push(object(kind, name, *pose)),
                Motion::Circling { .. } => {
                    let (drawn, draws) = (format!("{name}{DRAWN}"), format!("{name}{DRAWS}"));
                    moving.push(object(kind, &drawn, *pose));
                    drawing.push(mocap(kind, &draws, *pose));
                    welds.push(
                        Element::new("weld")
                            .text("name", &draws)
                            .text("body1", &draws)
                            .text("body2", &drawn)
                            .nums("solref", &[0.02, 1.5]),
                    );
                }
            }
        }
    }
    let floor = Element::new("geom")
        .text("name", "floor")
        .text("type", "plane")
        .nums("size", &[task.floor, task.floor, 0.1])
        .text("conaffinity", &robot.floor_conaffinity.to_string());
    let geoms = Element::new("geom").text("condim", "6").num("density", robot.density);
    let option = Element::new("option").num("timestep", robot.timestep).text("integrator", robot.integrator);
    let mut compiler = Element::new("compiler").text("angle", "radian");
    if let Some(folder) = meshes {
        compiler = compiler.text("meshdir", &folder.to_string_lossy());
    }
    Element::new("mujoco")
        .child(compiler)
        .child(option)
        .child(Element::new("default").child(geoms).children(robot.defaults.iter().cloned()))
        .child(
            Element::new("worldbody").children([floor, robot_body]).children(moving).children(drawing).children(fixed),
        )
        .child(Element::new("asset").children(robot.assets.iter().cloned()))
        .child(Element::new("equality").children(robot.equalities.iter().cloned()).children(welds))
        .child(Element::new("contact").children(robot.exclusions.iter().cloned()))
        .child(Element::new("actuator").children(robot.actuators.iter().cloned()))
        .child(Element::new("sensor").children(robot.sensors.iter().cloned()))
}

fn body(name: &str, pose: Pose, height: f64) -> Element {
    let [x, y] = pose.place;
    Element::new("body").text("name", name).nums("pos", &[x, y, height]).nums("quat", &pose.quat())
}

fn object(kind: &Kind, name: &str, pose: Pose) -> Element {
    let joint = (kind.motion != Motion::Fixed).then(|| Element::new("freejoint").text("name", name));
    body(name, pose, kind.height).children(joint).children(geoms(kind, name))
}

/// The body that draws a circling one: at the origin, so that its place is where the other is to be moved from its first place. Its
/// geom shows where that is, and has the robot's density in the reference.
fn mocap(kind: &Kind, name: &str, pose: Pose) -> Element {
    let [x, y] = pose.place;
    let shown = Kind { solid: false, density: None, ..kind.clone() };
    let geoms = geoms(&shown, name).into_iter();
    let geoms = geoms.map(|geom| geom.nums("pos", &[x, y, kind.height]).nums("quat", &pose.quat()));
    Element::new("body").text("name", name).text("mocap", "true").children(geoms)
}

fn geoms(kind: &Kind, name: &str) -> Vec<Element> {
    let geom = |name: &str, form: &str, size: &[f64]| {
        let mut geom = Element::new("geom")
            .text("name", name)
            .text("group", &kind.group.to_string())
            .text("type", form)
            .nums("size", size);
        if let Some(density) = kind.density {
            geom = geom.num("density", density);
        }
        if !kind.solid {
            geom = geom.text("contype", "0").text("conaffinity", "0");
        }
        geom
    };
    match kind.form {
        Form::Cylinder { radius, half } => vec![geom(name, "cylinder", &[radius, half])],
        Form::Sphere { radius } => vec![geom(name, "sphere", &[radius; 3])],
        Form::Cuboid { half } => vec![geom(name, "box", &half)],
        Form::Posts { half } => {
            let corners = [[half, half], [-half, half], [half, -half], [-half, -half]];
            let post = |(i, [x, y]): (usize, &[f64; 2])| {
                geom(&format!("col{}", i + 1), "box", &[half / 2.0, half / 2.0, half]).nums("pos", &[*x, *y, 0.0])
            };
            let posts = corners.iter().enumerate().map(post);
            std::iter::once(geom(name, "box", &[half; 3])).chain(posts).collect()
        }
    }
}
