//! `Reacher-v5`: a two-link arm in the plane whose fingertip is to be at a target.
//!
//! Gymnasium's version: two actuated hinges, 20 ms a step, 50 steps. Reward: minus the fingertip's distance from the target, minus the
//! squared action. Observed: cosines and sines of the angles, the target's place, the hinges' velocities, from the target to the
//! fingertip in the plane. The target is drawn in a disc of 0.2 m.

use super::{Moment, Paid, Part, Pay, Start, Task, along_x};
use crate::mjcf::Element;
use crate::pcg64::Generator;
use crate::scene::View;
use tony_mujoco::Simulation;

/// The task.
pub const TASK: Task = Task {
    name: "Reacher-v5",
    summary: "bring the tip of a two-link arm to a target",
    model,
    frame_skip: 2,
    max_steps: 50,
    observed: &[Part::Own(10, observe)],
    whereabouts: along_x,
    pay: Pay::Own(near),
    lags: true,
    start: Start::Own(start),
    speed_limit: None,
    view: View::Above,
};

/// From the target to the fingertip.
fn apart(simulation: &Simulation) -> [f64; 3] {
    let places: &[[f64; 3]] = simulation.xpos().as_chunks().0;
    [0, 1, 2].map(|axis| places[3][axis] - places[4][axis])
}

fn observe(simulation: &Simulation, obs: &mut [f64]) {
    let (qpos, qvel, [x, y, _]) = (simulation.qpos(), simulation.qvel(), apart(simulation));
    let [first, second] = [qpos[0], qpos[1]];
    obs.copy_from_slice(&[
        first.cos(),
        second.cos(),
        first.sin(),
        second.sin(),
        qpos[2],
        qpos[3],
        qvel[0],
        qvel[1],
        x,
        y,
    ]);
}

fn near(moment: &Moment<'_>) -> Paid {
    let distance = apart(moment.simulation).iter().map(|x| x * x).sum::<f64>().sqrt();
    Paid { reward: -distance - moment.effort(), terminated: false }
}

fn start(random: &mut Generator, simulation: &mut Simulation) {
    let qpos = simulation.qpos_mut();
    qpos.iter_mut().for_each(|x| *x += random.uniform(-0.1, 0.1));
    loop {
        let target = [random.uniform(-0.2, 0.2), random.uniform(-0.2, 0.2)];
        if target.iter().map(|x| x * x).sum::<f64>().sqrt() < 0.2 {
            qpos[2..].copy_from_slice(&target);
            break;
        }
    }
    let qvel = simulation.qvel_mut();
    qvel.iter_mut().for_each(|v| *v += random.uniform(-0.005, 0.005));
    qvel[2..].fill(0.0);
}

fn model() -> Element {
    let geoms = Element::new("geom").num("contype", 0.0).nums("friction", &[1.0, 0.1, 0.1]);
    let geom = |name: &str, kind: &str| Element::new("geom").text("name", name).text("type", kind);
    let side = |name: &str, from: [f64; 2], to: [f64; 2]| {
        let ends = [from[0], from[1], 0.01, to[0], to[1], 0.01];
        geom(name, "capsule").num("conaffinity", 0.0).nums("fromto", &ends).num("size", 0.02)
    };
    let body = |name: &str, pos: [f64; 3]| Element::new("body").text("name", name).nums("pos", &pos);
    let joint = |name: &str, kind: &str, axis: [f64; 3]| {
        Element::new("joint").text("name", name).text("type", kind).nums("axis", &axis)
    };
    let link = |name: &str| geom(name, "capsule").nums("fromto", &[0.0, 0.0, 0.0, 0.1, 0.0, 0.0]).num("size", 0.01);
    let fingertip = body("fingertip", [0.11, 0.0, 0.0]).child(geom("fingertip", "sphere").num("size", 0.01));
    let second = body("body1", [0.1, 0.0, 0.0]).children([
        joint("joint1", "hinge", [0.0, 0.0, 1.0]).text("limited", "true").nums("range", &[-3.0, 3.0]),
        link("link1"),
        fingertip,
    ]);
    let first = body("body0", [0.0, 0.0, 0.01]).children([
        joint("joint0", "hinge", [0.0, 0.0, 1.0]).text("limited", "false"),
        link("link0"),
        second,
    ]);
    let slide = |name, axis, reference: f64| {
        joint(name, "slide", axis)
            .num("armature", 0.0)
            .num("damping", 0.0)
            .text("limited", "true")
            .nums("range", &[-0.27, 0.27])
            .num("ref", reference)
            .num("stiffness", 0.0)
    };
    let target = body("target", [0.1, -0.1, 0.01]).children([
        slide("target_x", [1.0, 0.0, 0.0], 0.1),
        slide("target_y", [0.0, 1.0, 0.0], -0.1),
        geom("target", "sphere").num("conaffinity", 0.0).num("size", 0.009),
    ]);
    let ground = geom("ground", "plane").num("conaffinity", 0.0).nums("size", &[1.0, 1.0, 10.0]);
    let root = geom("root", "cylinder")
        .num("conaffinity", 0.0)
        .nums("fromto", &[0.0, 0.0, 0.0, 0.0, 0.0, 0.02])
        .num("size", 0.011);
    let motor = |name| {
        Element::new("motor")
            .text("joint", name)
            .num("gear", 200.0)
            .text("ctrllimited", "true")
            .nums("ctrlrange", &[-1.0, 1.0])
    };
    let defaults = Element::new("joint").num("armature", 1.0).num("damping", 1.0);
    Element::new("mujoco")
        .text("model", "reacher")
        .child(Element::new("compiler").text("angle", "radian").text("inertiafromgeom", "true"))
        .child(Element::new("default").child(defaults).child(geoms))
        .child(Element::new("option").num("timestep", 0.01).text("integrator", "RK4"))
        .child(Element::new("worldbody").children([
            ground,
            side("sideS", [-0.3, -0.3], [0.3, -0.3]),
            side("sideE", [0.3, -0.3], [0.3, 0.3]),
            side("sideN", [-0.3, 0.3], [0.3, 0.3]),
            side("sideW", [-0.3, -0.3], [-0.3, 0.3]),
            root,
            first,
            target,
        ]))
        .child(Element::new("actuator").children(["joint0", "joint1"].map(motor)))
}
