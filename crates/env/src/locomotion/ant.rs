//! `Ant-v5`: a four-legged robot that is to walk.
//!
//! Schulman et al., *High-dimensional continuous control using generalized advantage estimation* (2015), in Gymnasium's version: eight
//! actuated hinges, 50 ms a step. Reward: velocity along x, plus 1 while healthy, minus 0.5 of the squared action, minus 0.0005 of the
//! squared external forces, each clipped to 1. Healthy: the torso between 0.2 and 1 m high. Observed besides positions and velocities:
//! the clipped external forces on all bodies.

use super::{Contact, Forward, Part, Pay, RUN, Start, Task, floor, free_root};
use crate::mjcf::Element;
use crate::scene::View;
use tony_mujoco::Simulation;

/// What walking pays.
pub(super) const FORWARD: Forward =
    Forward { alive: 1.0, healthy: Some(healthy), control: 0.5, contact: Contact::Clipped(5e-4, 1.0), ..RUN };

/// The task.
pub const TASK: Task = Task {
    name: "Ant-v5",
    summary: "a four-legged robot walks and does not fall",
    model: || model(&GYMNASIUM),
    frame_skip: 5,
    max_steps: 1000,
    observed: &[Part::Positions(2), Part::Velocities(f64::INFINITY), Part::ContactForces(1, 1.0)],
    whereabouts,
    pay: Pay::Forward(FORWARD),
    lags: true,
    start: Start::Noise { scale: 0.1, normal: true },
    speed_limit: None,
    view: View::Corner,
};

/// Is it up?
pub(crate) fn healthy(qpos: &[f64], qvel: &[f64]) -> bool {
    qpos[2] >= 0.2 && qpos[2] <= 1.0 && qpos.iter().chain(qvel).all(|x| x.is_finite())
}

/// The torso's place.
fn whereabouts(simulation: &Simulation) -> [f64; 2] {
    [simulation.xpos()[3], simulation.xpos()[4]]
}

/// The four legs of an Ant; lengths in metres, angles in the unit of the model.
pub(crate) struct Legs {
    /// Names of each leg's body, and of its foot's where that has one.
    pub(crate) names: [(&'static str, Option<&'static str>); 4],
    /// Lengths of a leg's first two parts along each axis; the last is twice as long.
    pub(crate) part: f64,
    /// Radius of all parts.
    pub(crate) radius: f64,
    /// How far hips turn to each side.
    pub(crate) hip: f64,
    /// Range of the ankles that bend to positive angles; the others have its mirror image.
    pub(crate) ankle: [f64; 2],
}

const LEGS: Legs = Legs {
    names: [("front_left_leg", None), ("front_right_leg", None), ("back_leg", None), ("right_back_leg", None)],
    part: 0.2,
    radius: 0.08,
    hip: 30.0,
    ankle: [30.0, 70.0],
};

/// Of each leg: names of the geoms of its last two parts, where it points, whether its ankle bends to positive angles.
const FORMS: [([&str; 2], [f64; 2], bool); 4] = [
    (["left_leg_geom", "left_ankle_geom"], [1.0, 1.0], true),
    (["right_leg_geom", "right_ankle_geom"], [-1.0, 1.0], false),
    (["back_leg_geom", "third_ankle_geom"], [-1.0, -1.0], false),
    (["rightback_leg_geom", "fourth_ankle_geom"], [1.0, -1.0], true),
];

impl Legs {
    /// Their bodies.
    pub(crate) fn bodies(&self) -> impl Iterator<Item = Element> {
        (0..FORMS.len()).map(|leg| self.body(leg))
    }

    fn body(&self, leg: usize) -> Element {
        let ((name, foot_name), (geoms, [x, y], up)) = (self.names[leg], FORMS[leg]);
        let number = leg + 1;
        let to = |length: f64| [x * length, y * length, 0.0];
        let bone = |name: &str, length: f64| {
            Element::new("geom")
                .text("name", name)
                .text("type", "capsule")
                .nums("fromto", &[[0.0; 3], to(length)].concat())
                .num("size", self.radius)
        };
        let joint = |name: &str, axis: [f64; 3], range: [f64; 2]| {
            let name = format!("{name}_{number}");
            Element::new("joint").text("name", &name).text("type", "hinge").nums("axis", &axis).nums("range", &range)
        };
        let [low, high] = self.ankle;
        let range = if up { [low, high] } else { [-high, -low] };
        let mut foot = Element::new("body");
        if let Some(name) = foot_name {
            foot = foot.text("name", name);
        }
        let foot = foot
            .nums("pos", &to(self.part))
            .children([joint("ankle", [-x * y, 1.0, 0.0], range), bone(geoms[1], 2.0 * self.part)]);
        let auxiliary = format!("aux_{number}");
        let hip = Element::new("body").text("name", &auxiliary).nums("pos", &to(self.part)).children([
            joint("hip", [0.0, 0.0, 1.0], [-self.hip, self.hip]),
            bone(geoms[0], self.part),
            foot,
        ]);
        Element::new("body").text("name", name).children([bone(&format!("{auxiliary}_geom"), self.part), hip])
    }
}

/// What the two versions of the model do not share.
pub(crate) struct Version {
    timestep: f64,
    /// Impedance of contacts, if not MuJoCo's.
    solimp: Option<[f64; 3]>,
}

pub(crate) const GYMNASIUM: Version = Version { timestep: 0.01, solimp: None };
/// Of Duan et al., *Benchmarking deep reinforcement learning for continuous control* (2016).
pub(crate) const DUAN: Version = Version { timestep: 0.02, solimp: Some([0.8, 0.8, 0.01]) };

pub(crate) fn model(version: &Version) -> Element {
    model_among(version, [])
}

/// With more things in the world.
pub(crate) fn model_among(version: &Version, things: impl IntoIterator<Item = Element>) -> Element {
    let mut geoms = Element::new("geom")
        .num("conaffinity", 0.0)
        .num("condim", 3.0)
        .num("density", 5.0)
        .nums("friction", &[1.0, 0.5, 0.5])
        .num("margin", 0.01);
    if let Some(solimp) = version.solimp {
        geoms = geoms.nums("solimp", &solimp);
    }
    let joints = Element::new("joint").text("limited", "true").num("armature", 1.0).num("damping", 1.0);
    let motors = Element::new("motor").text("ctrllimited", "true").nums("ctrlrange", &[-1.0, 1.0]).num("gear", 150.0);
    let floor = floor([40.0; 3]).num("conaffinity", 1.0);
    let free = free_root().num("margin", 0.01);
    let torso = Element::new("geom").text("name", "torso_geom").text("type", "sphere").num("size", 0.25);
    let body = Element::new("body").text("name", "torso").nums("pos", &[0.0, 0.0, 0.75]);
    let body = body.children([free, torso]).children(LEGS.bodies());
    let motor = |leg: usize| ["hip", "ankle"].map(|part| Element::new("motor").text("joint", &format!("{part}_{leg}")));
    Element::new("mujoco")
        .text("model", "ant")
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(Element::new("option").num("timestep", version.timestep).text("integrator", "RK4"))
        .child(Element::new("default").child(geoms).child(joints).child(motors))
        .child(Element::new("worldbody").child(floor).child(body).children(things))
        .child(Element::new("actuator").children([4, 1, 2, 3].into_iter().flat_map(motor)))
}
