//! Robots: one table each.

mod ant;
mod car;
mod doggo;
mod point;
mod racecar;

pub use ant::ant;
pub use car::car;
pub use doggo::doggo;
pub use point::point;
pub use racecar::{MESHES, racecar};

use super::Generation;
use crate::mjcf::Element;
use crate::numpy::RandomState;

/// What a robot is. Its root body has a site where the sensors sit; both are called [`Generation::root`].
#[derive(Clone, Debug)]
pub struct Robot {
    /// Name inside the environment's name: `Point`.
    pub name: &'static str,
    /// Seconds of one physics step.
    pub timestep: f64,
    /// MuJoCo's name of the integrator.
    pub integrator: &'static str,
    /// Height of the root body at the start, in metres.
    pub height: f64,
    /// Density of every geom without its own, of the objects too, in kg/m³.
    pub density: f64,
    /// Place of the sensors' site in the root's frame and its radius, in metres.
    pub site: ([f64; 3], f64),
    /// Defaults besides those of all geoms.
    pub defaults: Vec<Element>,
    /// What the floor touches, as MuJoCo's bit mask.
    pub floor_conaffinity: u8,
    /// Meshes, files of a folder that a user has fetched.
    pub assets: Vec<Element>,
    /// Joints, geoms and child bodies of the root.
    pub body: Vec<Element>,
    /// Joints that move together.
    pub equalities: Vec<Element>,
    /// Bodies that do not touch one another.
    pub exclusions: Vec<Element>,
    /// Actuators, in the order of the action.
    pub actuators: Vec<Element>,
    /// Range of each action.
    pub control: Vec<[f64; 2]>,
    /// All sensors.
    pub sensors: Vec<Element>,
    /// Names of those of [`Robot::sensors`] that are observed besides the four of the site, in observed order, and how.
    pub observed: Vec<(String, Reading)>,
    /// How its joints begin an episode, if not at rest: draws them (`[joints besides the root's]`).
    pub pose: Option<fn(&mut RandomState, &mut [f64])>,
    /// The episode ends when the root is this low or lower, in metres.
    pub fallen: Option<f64>,
    /// Half the side of the box that it pushes, in metres, and the box's density.
    pub pushes: (f64, f64),
}

/// How a sensor enters the observation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reading {
    /// As it is.
    Raw,
    /// A quaternion as the rotation matrix it stands for, row by row.
    Rotation,
    /// An angle as its sine and cosine.
    Angle,
    /// Of a place the height.
    Height,
}

impl Default for Robot {
    fn default() -> Self {
        Self {
            name: "",
            timestep: 0.002,
            integrator: "Euler",
            height: 0.1,
            density: 1.0,
            site: ([0.0; 3], 0.032),
            defaults: Vec::new(),
            floor_conaffinity: 1,
            assets: Vec::new(),
            body: Vec::new(),
            equalities: Vec::new(),
            exclusions: Vec::new(),
            actuators: Vec::new(),
            control: Vec::new(),
            sensors: Vec::new(),
            observed: Vec::new(),
            pose: None,
            fallen: None,
            pushes: (0.2, 0.001),
        }
    }
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

/// Sensors that every robot has; those of the subtree are not observed but belong to the reference's model.
fn common_sensors(root: &str) -> Vec<Element> {
    let at_site = OF_SITE.map(|tag| (tag, "site"));
    let of_body = ["subtreecom", "subtreelinvel", "subtreeangmom"].map(|tag| (tag, "body"));
    at_site.into_iter().chain(of_body).map(|(tag, of)| Element::new(tag).text("name", tag).text(of, root)).collect()
}

/// Sensors of the site, which every robot observes.
pub const OF_SITE: [&str; 4] = ["accelerometer", "velocimeter", "gyro", "magnetometer"];
