//! `Pusher-v5`: an arm that is to push a cylinder to a goal on a table.
//!
//! Gymnasium's version: seven actuated hinges, 50 ms a step, 100 steps. Reward: minus the cylinder's distance from the goal, minus half the
//! tip's from the cylinder, minus 0.1 of the squared action. Observed: the arm's positions and velocities, places of tip, cylinder and
//! goal. The cylinder is drawn at least 0.17 m from the goal.

use super::{Moment, Paid, Part, Pay, Start, Task, along_x};
use crate::mjcf::Element;
use crate::pcg64::Generator;
use crate::scene::View;
use tony_mujoco::Simulation;

/// The task.
pub const TASK: Task = Task {
    name: "Pusher-v5",
    summary: "push a cylinder to a goal with an arm",
    model,
    frame_skip: 5,
    max_steps: 100,
    observed: &[Part::Own(23, observe)],
    whereabouts: along_x,
    pay: Pay::Own(near),
    lags: true,
    start: Start::Own(start),
    speed_limit: None,
    view: View::Above,
};

/// Hinges of the arm.
const HINGES: usize = 7;
/// Bodies of its tip, of the cylinder and of the goal.
const BODIES: [usize; 3] = [10, 11, 12];

fn places(simulation: &Simulation) -> [[f64; 3]; 3] {
    BODIES.map(|body| simulation.xpos().as_chunks().0[body])
}

fn observe(simulation: &Simulation, obs: &mut [f64]) {
    obs[..HINGES].copy_from_slice(&simulation.qpos()[..HINGES]);
    obs[HINGES..2 * HINGES].copy_from_slice(&simulation.qvel()[..HINGES]);
    obs[2 * HINGES..].copy_from_slice(places(simulation).as_flattened());
}

fn near(moment: &Moment<'_>) -> Paid {
    let [tip, object, goal] = places(moment.simulation);
    let distance = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
    let reward = -distance(object, goal) - 0.5 * distance(object, tip) - 0.1 * moment.effort();
    Paid { reward, terminated: false }
}

fn start(random: &mut Generator, simulation: &mut Simulation) {
    loop {
        let object = [random.uniform(-0.3, 0.0), random.uniform(-0.2, 0.2)];
        if object.iter().map(|x| x * x).sum::<f64>().sqrt() > 0.17 {
            simulation.qpos_mut()[HINGES..].copy_from_slice(&[object[0], object[1], 0.0, 0.0]);
            break;
        }
    }
    let qvel = simulation.qvel_mut();
    qvel.iter_mut().for_each(|v| *v += random.uniform(-0.005, 0.005));
    qvel[HINGES..].fill(0.0);
}

fn model() -> Element {
    let slide = |name: &str, axis: [f64; 3]| {
        Element::new("joint")
            .text("name", name)
            .text("type", "slide")
            .nums("axis", &axis)
            .nums("range", &[-10.3213, 10.3])
            .num("damping", 0.5)
    };
    let cylinder = |size: [f64; 3], density| {
        Element::new("geom").text("type", "cylinder").nums("size", &size).num("density", density)
    };
    let slides = |stem: &str| {
        [slide(&format!("{stem}_slidey"), [0.0, 1.0, 0.0]), slide(&format!("{stem}_slidex"), [1.0, 0.0, 0.0])]
    };
    let object = body("object", [0.45, -0.05, -0.275])
        .child(cylinder([0.05, 0.05, 0.05], 0.01).num("contype", 1.0).num("conaffinity", 0.0))
        .children(slides("obj"));
    let goal = body("goal", [0.45, -0.05, -0.323])
        .child(cylinder([0.08, 0.001, 0.1], 0.00001).num("contype", 0.0).num("conaffinity", 0.0))
        .children(slides("goal"));
    let table = Element::new("geom")
        .text("name", "table")
        .text("type", "plane")
        .nums("pos", &[0.0, 0.5, -0.325])
        .nums("size", &[1.0, 1.0, 0.1])
        .num("contype", 1.0)
        .num("conaffinity", 1.0);
    let motors = [
        "r_shoulder_pan_joint",
        "r_shoulder_lift_joint",
        "r_upper_arm_roll_joint",
        "r_elbow_flex_joint",
        "r_forearm_roll_joint",
        "r_wrist_flex_joint",
        "r_wrist_roll_joint",
    ];
    let motor = |joint: &str| {
        Element::new("motor").text("joint", joint).nums("ctrlrange", &[-2.0, 2.0]).text("ctrllimited", "true")
    };
    let joints = Element::new("joint").num("armature", 0.04).num("damping", 1.0).text("limited", "true");
    let geoms = Element::new("geom")
        .nums("friction", &[0.8, 0.1, 0.1])
        .num("density", 300.0)
        .num("margin", 0.002)
        .num("condim", 1.0)
        .num("contype", 0.0)
        .num("conaffinity", 0.0);
    Element::new("mujoco")
        .text("model", "arm3d")
        .child(Element::new("compiler").text("angle", "radian").text("inertiafromgeom", "true"))
        .child(Element::new("option").num("timestep", 0.01).nums("gravity", &[0.0; 3]).num("iterations", 20.0))
        .child(Element::new("default").child(joints).child(geoms))
        .child(Element::new("worldbody").children([table, arm(), object, goal]))
        .child(Element::new("actuator").children(motors.map(motor)))
}

fn body(name: &str, pos: [f64; 3]) -> Element {
    Element::new("body").text("name", name).nums("pos", &pos)
}

/// From the shoulder to the two fingers; only the hand touches anything.
#[allow(clippy::approx_constant, reason = "the reference's rounded numbers are its numbers")]
fn arm() -> Element {
    let hinge = |name: &str, axis: [f64; 3], range: [f64; 2], damping| {
        Element::new("joint")
            .text("name", name)
            .text("type", "hinge")
            .nums("axis", &axis)
            .nums("range", &range)
            .num("damping", damping)
    };
    let bone = |name: &str, from: [f64; 3], to: [f64; 3], radius| {
        let geom =
            Element::new("geom").text("type", "capsule").nums("fromto", &[from, to].concat()).num("size", radius);
        if name.is_empty() { geom } else { geom.text("name", name) }
    };
    let ball = |name: &str, pos: [f64; 3], radius| {
        Element::new("geom").text("name", name).text("type", "sphere").nums("pos", &pos).num("size", radius)
    };
    let solid = |geom: Element| geom.num("contype", 1.0).num("conaffinity", 1.0);
    let [pan, lift, roll] = [[0.0, 0.0, 1.0], [0.0, 1.0, 0.0], [1.0, 0.0, 0.0]];
    let tips = body("tips_arm", [0.0; 3])
        .children([ball("tip_arml", [0.1, -0.1, 0.0], 0.01), ball("tip_armr", [0.1, 0.1, 0.0], 0.01)]);
    let wrist = body("r_wrist_roll_link", [0.0; 3]).children([
        hinge("r_wrist_roll_joint", roll, [-1.5, 1.5], 0.1),
        tips,
        solid(bone("", [0.0, -0.1, 0.0], [0.0, 0.1, 0.0], 0.02)),
        solid(bone("", [0.0, -0.1, 0.0], [0.1, -0.1, 0.0], 0.02)),
        solid(bone("", [0.0, 0.1, 0.0], [0.1, 0.1, 0.0], 0.02)),
    ]);
    let flex = body("r_wrist_flex_link", [0.321, 0.0, 0.0]).children([
        bone("wf", [0.0, -0.02, 0.0], [0.0, 0.02, 0.0], 0.01),
        hinge("r_wrist_flex_joint", lift, [-1.094, 0.0], 0.1),
        wrist,
    ]);
    let forearm = body("r_forearm_link", [0.0; 3]).children([bone("fa", [0.0; 3], [0.291, 0.0, 0.0], 0.05), flex]);
    let forearm_roll = body("r_forearm_roll_link", [0.0; 3]).children([
        bone("fr", [-0.1, 0.0, 0.0], [0.1, 0.0, 0.0], 0.02),
        hinge("r_forearm_roll_joint", roll, [-1.5, 1.5], 0.1),
        forearm,
    ]);
    let elbow = body("r_elbow_flex_link", [0.4, 0.0, 0.0]).children([
        bone("ef", [0.0, -0.02, 0.0], [0.0, 0.02, 0.0], 0.06),
        hinge("r_elbow_flex_joint", lift, [-2.3213, 0.0], 0.1),
        forearm_roll,
    ]);
    let upper = body("r_upper_arm_link", [0.0; 3]).children([bone("ua", [0.0; 3], [0.4, 0.0, 0.0], 0.06), elbow]);
    let upper_roll = body("r_upper_arm_roll_link", [0.0; 3]).children([
        bone("uar", [-0.1, 0.0, 0.0], [0.1, 0.0, 0.0], 0.02),
        hinge("r_upper_arm_roll_joint", roll, [-1.5, 1.7], 0.1),
        upper,
    ]);
    let shoulder = body("r_shoulder_lift_link", [0.1, 0.0, 0.0]).children([
        bone("sl", [0.0, -0.1, 0.0], [0.0, 0.1, 0.0], 0.1),
        hinge("r_shoulder_lift_joint", lift, [-0.5236, 1.3963], 1.0),
        upper_roll,
    ]);
    body("r_shoulder_pan_link", [0.0, -0.6, 0.0]).children([
        ball("e1", [-0.06, 0.05, 0.2], 0.05),
        ball("e2", [0.06, 0.05, 0.2], 0.05),
        ball("e1p", [-0.06, 0.09, 0.2], 0.03),
        ball("e2p", [0.06, 0.09, 0.2], 0.03),
        bone("sp", [0.0, 0.0, -0.4], [0.0, 0.0, 0.2], 0.1),
        hinge("r_shoulder_pan_joint", pan, [-2.2854, 1.714_602], 1.0),
        shoulder,
    ])
}
