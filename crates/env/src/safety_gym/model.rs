//! The MuJoCo model of a robot in a task.

use super::layout::Place;
use super::robots::Robot;
use super::task::{Form, Kind, Task};
use crate::mjcf::Element;

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

/// The model with the robot and every object (in order of declaration) in these `poses`, the robot's first.
///
/// Bodies come in the reference's order, which is that of free joints in the state: robot, free objects, fixed objects.
pub fn mjcf(robot: &Robot, task: &Task, poses: &[Pose]) -> Element {
    let robot_body = body("agent", poses[0], robot.height)
        .children(robot.body.iter().cloned())
        .child(Element::new("site").text("name", "agent").text("type", "sphere").num("size", 0.032));
    let objects = task.kinds.iter().flat_map(|kind| kind.bodies.iter().map(move |name| (kind, name)));
    let objects: Vec<_> =
        objects.zip(&poses[1..]).map(|((kind, name), pose)| (kind, object(kind, name, *pose))).collect();
    let of = |free| objects.iter().filter(move |(kind, _)| kind.free == free).map(|(_, body)| body.clone());
    let floor = Element::new("geom").text("name", "floor").text("type", "plane").nums("size", &[3.5, 3.5, 0.1]);
    Element::new("mujoco")
        .child(Element::new("compiler").text("angle", "radian"))
        .child(Element::new("option").num("timestep", robot.timestep))
        .child(Element::new("default").child(Element::new("geom").text("condim", "6").num("density", robot.density)))
        .child(Element::new("worldbody").child(floor).child(robot_body).children(of(true)).children(of(false)))
        .child(Element::new("actuator").children(robot.actuators.iter().cloned()))
        .child(Element::new("sensor").children(robot.sensors.iter().cloned()).children(common_sensors()))
}

fn body(name: &str, pose: Pose, height: f64) -> Element {
    let [x, y] = pose.place;
    Element::new("body").text("name", name).nums("pos", &[x, y, height]).nums("quat", &pose.quat())
}

fn object(kind: &Kind, name: &str, pose: Pose) -> Element {
    let geom = Element::new("geom").text("name", name).text("group", &kind.group.to_string());
    let mut geom = match kind.form {
        Form::Cylinder { radius, half } => geom.text("type", "cylinder").nums("size", &[radius, half]),
        Form::Cube { half } => geom.text("type", "box").nums("size", &[half; 3]),
    };
    if let Some(density) = kind.density {
        geom = geom.num("density", density);
    }
    if !kind.solid {
        geom = geom.text("contype", "0").text("conaffinity", "0");
    }
    let joint = kind.free.then(|| Element::new("freejoint").text("name", name));
    body(name, pose, kind.height).children(joint).child(geom)
}

/// Sensors that every robot has; those of the subtree are not observed but belong to the reference's model.
fn common_sensors() -> impl Iterator<Item = Element> {
    let at_site = ["accelerometer", "velocimeter", "gyro", "magnetometer"].map(|tag| (tag, "site"));
    let of_body = ["subtreecom", "subtreelinvel", "subtreeangmom"].map(|tag| (tag, "body"));
    at_site.into_iter().chain(of_body).map(|(tag, of)| Element::new(tag).text("name", tag).text(of, "agent"))
}
