//! Robots: one table each.

mod car;
mod point;

pub use car::car;
pub use point::point;

use crate::mjcf::Element;

/// What a robot is. Its root body is called `agent` and has a site of that name at its origin, where the sensors sit.
#[derive(Clone, Debug)]
pub struct Robot {
    /// Name inside the environment's name: `Point`.
    pub name: &'static str,
    /// Seconds of one physics step.
    pub timestep: f64,
    /// Height of the root body at the start, in metres.
    pub height: f64,
    /// Density of every geom without its own, of the objects too, in kg/m³.
    pub density: f64,
    /// Heading of the front in the root's frame, in radians.
    pub front: f64,
    /// Joints, geoms and child bodies of the root.
    pub body: Vec<Element>,
    /// Actuators, in the order of the action.
    pub actuators: Vec<Element>,
    /// Range of every action.
    pub control: [f64; 2],
    /// Sensors besides those that every robot has.
    pub sensors: Vec<Element>,
    /// Names of those of [`Robot::sensors`] that are observed, in observed order, and how.
    pub observed: &'static [(&'static str, Reading)],
}

/// How a sensor enters the observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As it is.
    Raw,
    /// A quaternion as the rotation matrix it stands for, row by row.
    Rotation,
}

/// A motor with a force limit; `target` is the kind of thing that it acts on (`site`, `jointinparent`) and its name.
fn motor(name: &str, target: (&'static str, &str), gear: f64, force: f64) -> Element {
    actuator("motor", name, target, gear, force)
}

fn actuator(tag: &'static str, name: &str, (kind, target): (&'static str, &str), gear: f64, force: f64) -> Element {
    Element::new(tag)
        .text("name", name)
        .text(kind, target)
        .nums("gear", &[gear, 0.0, 0.0, 0.0, 0.0, 0.0])
        .text("ctrllimited", "true")
        .nums("ctrlrange", &[-1.0, 1.0])
        .text("forcelimited", "true")
        .nums("forcerange", &[-force, force])
}

fn geom(name: &str, form: &str, at: [f64; 3], size: &[f64]) -> Element {
    Element::new("geom").text("name", name).text("type", form).nums("pos", &at).nums("size", size)
}
