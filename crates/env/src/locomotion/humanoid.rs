//! `Humanoid-v5` and `HumanoidStandup-v5`: a man-like robot that is to walk, or to get up from its back.
//!
//! Tassa, Erez & Todorov, *Synthesis and stabilization of complex behaviors through online trajectory optimization* (2012), in Gymnasium's
//! version: 17 actuated hinges, 15 ms a step. Observed: positions without the plane's, velocities, bodies' inertias and velocities,
//! actuators' forces, external forces.
//!
//! Walking pays 1.25 of the centre of mass's velocity along x, 5 while healthy (the torso between 1 and 2 m high), minus 0.1 of the squared
//! action and 5e-7 of the squared external forces, at most 10. Getting up pays the torso's height over the time of a physics step, plus 1,
//! minus the same; it does not end.

use super::{Contact, Forward, Moment, Paid, Part, Pay, RUN, Start, Task, floor, free_root};
use crate::mjcf::Element;
use crate::scene::View;
use tony_mujoco::Simulation;

/// What walking pays.
pub(super) const FORWARD: Forward = Forward {
    weight: 1.25,
    alive: 5.0,
    healthy: Some(|qpos, _| qpos[2] > 1.0 && qpos[2] < 2.0),
    control: 0.1,
    contact: CONTACT,
    ..RUN
};

/// The walking task.
pub const TASK: Task = Task {
    name: "Humanoid-v5",
    summary: "a man-like robot walks and does not fall",
    model: || model(&STANDING),
    frame_skip: 5,
    max_steps: 1000,
    observed: &[
        Part::Positions(2),
        Part::Velocities(f64::INFINITY),
        Part::Inertias(1),
        Part::BodyVelocities(1),
        Part::ActuatorForces(6),
        Part::ContactForces(1, f64::INFINITY),
    ],
    whereabouts: centre_of_mass,
    pay: Pay::Forward(FORWARD),
    lags: true,
    start: Start::Noise { scale: 0.01, normal: false },
    speed_limit: None,
    view: View::Corner,
};

/// The task of getting up.
pub const STANDUP: Task = Task {
    name: "HumanoidStandup-v5",
    summary: "a man-like robot gets up from its back",
    model: || model(&LYING),
    pay: Pay::Own(height),
    ..TASK
};

const CONTACT: Contact = Contact::Bounded(5e-7, 10.0);

fn height(moment: &Moment<'_>) -> Paid {
    let simulation = moment.simulation;
    let reward =
        simulation.qpos()[2] / simulation.model().timestep() - 0.1 * moment.effort() - CONTACT.of(simulation) + 1.0;
    Paid { reward, terminated: false }
}

fn centre_of_mass(simulation: &Simulation) -> [f64; 2] {
    let mass = simulation.model().body_mass();
    let places = simulation.xipos().as_chunks::<3>().0;
    let total: f64 = mass.iter().sum();
    [0, 1].map(|axis| mass.iter().zip(places).map(|(mass, at)| mass * at[axis]).sum::<f64>() / total)
}

/// What the two poses do not share.
struct Pose {
    name: &'static str,
    torso: f64,
    head: [f64; 3],
    upper_waist: [f64; 3],
    waist: [f64; 3],
    pelvis: [f64; 3],
    hip: f64,
    thigh: [f64; 3],
    shin: [f64; 3],
    shin_end: [f64; 3],
    foot: [f64; 3],
    /// Most that the left leg can be lifted, in degrees.
    left_lift: f64,
}

const STANDING: Pose = Pose {
    name: "humanoid",
    torso: 1.4,
    head: [0.0, 0.0, 0.19],
    upper_waist: [-0.01, 0.0, -0.12],
    waist: [-0.01, 0.0, -0.26],
    pelvis: [0.0, 0.0, -0.165],
    hip: -0.04,
    thigh: [0.0, 0.01, -0.34],
    shin: [0.0, 0.01, -0.403],
    shin_end: [0.0, 0.0, -0.3],
    foot: [0.0, 0.0, -0.45],
    left_lift: -110.0,
};

const LYING: Pose = Pose {
    name: "humanoidstandup",
    torso: 0.105,
    head: [-0.15, 0.0, 0.0],
    upper_waist: [0.11, 0.0, 0.0],
    waist: [0.21, 0.0, 0.0],
    pelvis: [0.165, 0.0, 0.0],
    hip: 0.0,
    thigh: [0.34, 0.01, 0.0],
    shin: [0.403, 0.01, 0.0],
    shin_end: [0.3, 0.0, 0.0],
    foot: [0.35, 0.0, -0.1],
    left_lift: -120.0,
};

/// Actuated hinges in the order of the action, with their gears.
const MOTORS: [(&str, f64); 17] = [
    ("abdomen_y", 100.0),
    ("abdomen_z", 100.0),
    ("abdomen_x", 100.0),
    ("right_hip_x", 100.0),
    ("right_hip_z", 100.0),
    ("right_hip_y", 300.0),
    ("right_knee", 200.0),
    ("left_hip_x", 100.0),
    ("left_hip_z", 100.0),
    ("left_hip_y", 300.0),
    ("left_knee", 200.0),
    ("right_shoulder1", 25.0),
    ("right_shoulder2", 25.0),
    ("right_elbow", 25.0),
    ("left_shoulder1", 25.0),
    ("left_shoulder2", 25.0),
    ("left_elbow", 25.0),
];

/// A hinge: axis, range in degrees, stiffness, damping, armature.
struct Hinge {
    axis: [f64; 3],
    range: [f64; 2],
    stiffness: f64,
    damping: f64,
    armature: f64,
}

impl Hinge {
    fn element(&self, name: &str, pos: [f64; 3]) -> Element {
        Element::new("joint")
            .text("name", name)
            .text("type", "hinge")
            .nums("pos", &pos)
            .nums("axis", &self.axis)
            .nums("range", &self.range)
            .num("stiffness", self.stiffness)
            .num("damping", self.damping)
            .num("armature", self.armature)
    }
}

fn capsule(name: &str, from: [f64; 3], to: [f64; 3], radius: f64) -> Element {
    Element::new("geom")
        .text("name", name)
        .text("type", "capsule")
        .nums("fromto", &[from, to].concat())
        .num("size", radius)
}

fn sphere(name: &str, pos: [f64; 3], radius: f64) -> Element {
    Element::new("geom").text("name", name).text("type", "sphere").nums("pos", &pos).num("size", radius)
}

/// A capsule across the body, centred here.
fn across(name: &str, [x, y, z]: [f64; 3], half: f64, radius: f64) -> Element {
    capsule(name, [x, y - half, z], [x, y + half, z], radius)
}

fn body(name: &str, pos: [f64; 3]) -> Element {
    Element::new("body").text("name", name).nums("pos", &pos)
}

fn model(pose: &Pose) -> Element {
    let joints = Element::new("joint").text("limited", "true").num("armature", 1.0).num("damping", 1.0);
    let geoms =
        Element::new("geom").num("conaffinity", 1.0).num("condim", 1.0).num("contype", 1.0).num("margin", 0.001);
    let motors = Element::new("motor").text("ctrllimited", "true").nums("ctrlrange", &[-0.4, 0.4]);
    let floor = floor([20.0, 20.0, 0.125]).num("condim", 3.0).nums("friction", &[1.0, 0.1, 0.1]);
    let free = free_root().num("stiffness", 0.0);
    let bend = |axis, range, stiffness| Hinge { axis, range, stiffness, damping: 5.0, armature: 0.02 };
    let quat = [1.0, 0.0, -0.002, 0.0];
    let pelvis = body("pelvis", pose.pelvis).nums("quat", &quat).children([
        bend([1.0, 0.0, 0.0], [-35.0, 35.0], 10.0).element("abdomen_x", [0.0, 0.0, 0.1]),
        across("butt", [-0.02, 0.0, 0.0], 0.07, 0.09),
        leg(pose, "right", -1.0),
        leg(pose, "left", 1.0),
    ]);
    let waist = body("lwaist", pose.waist).nums("quat", &quat).children([
        across("lwaist", [0.0; 3], 0.06, 0.06),
        bend([0.0, 0.0, 1.0], [-45.0, 45.0], 20.0).element("abdomen_z", [0.0, 0.0, 0.065]),
        bend([0.0, 1.0, 0.0], [-75.0, 30.0], 10.0).element("abdomen_y", [0.0, 0.0, 0.065]),
        pelvis,
    ]);
    let torso = body("torso", [0.0, 0.0, pose.torso]).children([
        free,
        across("torso1", [0.0; 3], 0.07, 0.07),
        sphere("head", pose.head, 0.09),
        across("uwaist", pose.upper_waist, 0.06, 0.06),
        waist,
        arm("right", -1.0),
        arm("left", 1.0),
    ]);
    let tendon = |side: &str| {
        let joint = |part: &str, coefficient| {
            Element::new("joint").text("joint", &format!("{side}_{part}")).num("coef", coefficient)
        };
        Element::new("fixed")
            .text("name", &format!("{side}_hipknee"))
            .children([joint("hip_y", -1.0), joint("knee", 1.0)])
    };
    let motor =
        |(joint, gear): (&str, f64)| Element::new("motor").text("name", joint).text("joint", joint).num("gear", gear);
    Element::new("mujoco")
        .text("model", pose.name)
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(Element::new("default").child(joints).child(geoms).child(motors))
        .child(
            Element::new("option")
                .text("integrator", "RK4")
                .num("iterations", 50.0)
                .text("solver", "PGS")
                .num("timestep", 0.003),
        )
        .child(Element::new("worldbody").child(floor).child(torso))
        .child(Element::new("tendon").child(tendon("left")).child(tendon("right")))
        .child(Element::new("actuator").children(MOTORS.map(motor)))
}

/// The leg on this side: `y` is -1 on the right.
fn leg(pose: &Pose, side: &str, y: f64) -> Element {
    let left = y > 0.0;
    let mirrored = |[x, py, z]: [f64; 3]| [x, -y * py, z];
    let named = |part: &str| format!("{side}_{part}");
    let hip = |axis, range, stiffness, armature| Hinge { axis, range, stiffness, damping: 5.0, armature };
    let knee = Hinge {
        axis: [0.0, -1.0, 0.0],
        range: [-160.0, -2.0],
        stiffness: if left { 1.0 } else { 0.0 },
        damping: 1.0,
        armature: 0.006,
    };
    let foot = body(&named("foot"), pose.foot).child(sphere(&named("foot"), [0.0, 0.0, 0.1], 0.075));
    let shin = body(&named("shin"), mirrored(pose.shin)).children([
        knee.element(&named("knee"), [0.0, 0.0, 0.02]),
        capsule(&named("shin1"), [0.0; 3], pose.shin_end, 0.049),
        foot,
    ]);
    let lift = [if left { pose.left_lift } else { -110.0 }, 20.0];
    body(&named("thigh"), [0.0, 0.1 * y, pose.hip]).children([
        hip([-y, 0.0, 0.0], [-25.0, 5.0], 10.0, 0.01).element(&named("hip_x"), [0.0; 3]),
        hip([0.0, 0.0, -y], [-60.0, 35.0], 10.0, 0.01).element(&named("hip_z"), [0.0; 3]),
        hip([0.0, 1.0, 0.0], lift, 20.0, if left { 0.01 } else { 0.008 }).element(&named("hip_y"), [0.0; 3]),
        capsule(&named("thigh1"), [0.0; 3], mirrored(pose.thigh), 0.06),
        shin,
    ])
}

/// The arm on this side: `y` is -1 on the right.
fn arm(side: &str, y: f64) -> Element {
    let named = |part: &str| format!("{side}_{part}");
    let range = if y < 0.0 { [-85.0, 60.0] } else { [-60.0, 85.0] };
    let hinge = |axis, range, stiffness, armature| Hinge { axis, range, stiffness, damping: 1.0, armature };
    let lower = body(&named("lower_arm"), [0.18, 0.18 * y, -0.18]).children([
        hinge([0.0, -1.0, -y], [-90.0, 50.0], 0.0, 0.0028).element(&named("elbow"), [0.0; 3]),
        capsule(&named("larm"), [0.01, -0.01 * y, 0.01], [0.17, -0.17 * y, 0.17], 0.031),
        sphere(&named("hand"), [0.18, -0.18 * y, 0.18], 0.04),
    ]);
    body(&named("upper_arm"), [0.0, 0.17 * y, 0.06]).children([
        hinge([2.0, -y, 1.0], range, 1.0, 0.0068).element(&named("shoulder1"), [0.0; 3]),
        hinge([0.0, y, 1.0], range, 1.0, 0.0051).element(&named("shoulder2"), [0.0; 3]),
        capsule(&named("uarm1"), [0.0; 3], [0.16, 0.16 * y, -0.16], 0.04),
        lower,
    ])
}

/// The humanoid of Duan et al., *Benchmarking deep reinforcement learning for continuous control* (2016): ten motors, arms without elbows,
/// masses given and not computed.
pub(crate) fn simple_model() -> Element {
    let joints = Element::new("joint").text("limited", "true").num("armature", 1.0).num("damping", 1.0);
    let geoms = Element::new("geom")
        .num("condim", 3.0)
        .num("conaffinity", 0.0)
        .num("margin", 0.1)
        .nums("friction", &[1.0, 0.5, 0.5]);
    let floor = floor([40.0; 3]).num("conaffinity", 1.0);
    let free = free_root().num("margin", 0.01);
    let pelvis = body("pelvis", [0.0, 0.0, -0.425]).nums("quat", &[0.999_998, 0.0, -0.002, 0.0]).children([
        inertial(
            [-0.014_838_7, 0.0, 0.038_709_7],
            [0.997_805, 0.0, 0.066_227_3, 0.0],
            7.888_54,
            [0.079_569_7, 0.061_956_2, 0.044_981_6],
        ),
        across("lwaist", [0.0, 0.0, 0.15], 0.06, 0.06),
        across("butt", [-0.02, 0.0, 0.0], 0.07, 0.09),
        simple_leg("right", -1.0),
        simple_leg("left", 1.0),
    ]);
    let torso = body("torso", [0.0, 0.0, 1.4]).children([
        inertial([0.0, 0.0, 0.040_362_4], UNTURNED, 8.322_08, [0.159_056, 0.147_471, 0.033_062_7]),
        free,
        across("torso1", [0.0; 3], 0.07, 0.07),
        sphere("head", [0.0, 0.0, 0.19], 0.09),
        across("uwaist", [0.0, 0.0, -0.12], 0.06, 0.06),
        pelvis,
        simple_arm("right", -1.0),
        simple_arm("left", 1.0),
    ]);
    let motor = |side: &str, part: &str, gear| {
        Element::new("motor")
            .text("joint", &format!("{side}_{part}"))
            .num("gear", gear)
            .text("ctrllimited", "true")
            .nums("ctrlrange", &[-1.0, 1.0])
    };
    let sides = ["right", "left"];
    let legs = sides.iter().flat_map(|side| ["hip1", "hip3", "knee"].map(|part| motor(side, part, 100.0)));
    let arms = sides.iter().flat_map(|side| ["shoulder1", "shoulder2"].map(|part| motor(side, part, 20.0)));
    Element::new("mujoco")
        .text("model", "humanoid of 2016")
        .child(Element::new("compiler").text("angle", "radian"))
        .child(Element::new("default").child(joints).child(geoms))
        .child(Element::new("option").num("timestep", 0.01).text("integrator", "RK4"))
        .child(Element::new("worldbody").child(floor).child(torso))
        .child(Element::new("actuator").children(legs).children(arms))
}

const UNTURNED: [f64; 4] = [1.0, 0.0, 0.0, 0.0];

fn inertial(pos: [f64; 3], quat: [f64; 4], mass: f64, diagonal: [f64; 3]) -> Element {
    Element::new("inertial").nums("pos", &pos).nums("quat", &quat).num("mass", mass).nums("diaginertia", &diagonal)
}

fn simple_hinge(name: &str, pos: [f64; 3], axis: [f64; 3], range: [f64; 2], stiffness: f64) -> Element {
    Element::new("joint")
        .text("name", name)
        .text("type", "hinge")
        .nums("pos", &pos)
        .nums("axis", &axis)
        .nums("range", &range)
        .num("stiffness", stiffness)
        .num("margin", 0.01)
}

fn simple_leg(side: &str, y: f64) -> Element {
    let named = |part: &str| format!("{side}_{part}");
    let foot = body(&named("foot"), [0.0, 0.0, -0.45]).child(sphere(&named("foot"), [0.0, 0.0, 0.1], 0.075));
    let shin = body(&named("shin"), [0.0, -0.01 * y, -0.403]).children([
        inertial([0.0, 0.0, -0.181], UNTURNED, 3.100_16, [0.045_501, 0.045_501, 0.003_721_74]),
        simple_hinge(&named("knee"), [0.0, 0.0, 0.05], [0.0, -1.0, 0.0], [-1.3, -0.034_906_6], 0.0),
        capsule(&named("shin1"), [0.0; 3], [0.0, 0.0, -0.362], 0.049),
        foot,
    ]);
    body(&named("thigh"), [0.0, 0.1 * y, -0.04]).children([
        inertial(
            [0.0, -0.005 * y, -0.17],
            [0.999_892, -0.014_701_1 * y, 0.0, 0.0],
            5.377_61,
            [0.079_238_7, 0.079_238_7, 0.011_360_2],
        ),
        simple_hinge(&named("hip1"), [0.0; 3], [-y, 0.0, 0.0], [-0.15, 0.087_266_5], 10.0),
        simple_hinge(&named("hip3"), [0.0; 3], [0.0, 1.0, 0.0], [-1.919_86, 0.174_533], 20.0),
        capsule(&named("thigh1"), [0.0; 3], [0.0, -0.01 * y, -0.34], 0.065),
        shin,
    ])
}

#[allow(clippy::approx_constant, reason = "the reference's rounded numbers are its numbers")]
fn simple_arm(side: &str, y: f64) -> Element {
    let named = |part: &str| format!("{side}_{part}");
    let quat = [0.888_074, 0.325_058 * y, -0.325_058, 0.0];
    let bone = Element::new("geom")
        .text("name", &named("uarm1"))
        .text("type", "capsule")
        .nums("size", &[0.04, 0.2])
        .nums("pos", &[0.08, 0.08 * y, -0.08])
        .nums("quat", &quat);
    body(&named("upper_arm"), [0.0, 0.17 * y, 0.06]).children([
        inertial([0.08, 0.08 * y, -0.08], quat, 1.594_06, [0.013_997_2, 0.013_997_2, 0.001_275_25]),
        simple_hinge(&named("shoulder1"), [0.0; 3], [0.0, y, 1.0], [-1.047_2, 0.785_398], 1.0),
        simple_hinge(&named("shoulder2"), [0.0; 3], [2.0, -y, 1.0], [-0.785_398, 0.785_398], 1.0),
        bone,
    ])
}
