//! `Swimmer-v5`: three rods in a viscous fluid that are to swim.
//!
//! Coulom, *Reinforcement learning using neural networks, with applications to motor control* (2002), in Gymnasium's version:
//! two actuated hinges, 40 ms a step, nothing touches anything. Reward: velocity along x minus 0.0001 of the squared action;
//! no episode terminates.

use super::{Forward, Part, Pay, RUN, Start, Task, floor};
use crate::mjcf::Element;
use crate::scene::View;

/// The task.
pub const TASK: Task = Task {
    name: "Swimmer-v5",
    summary: "three rods in a viscous fluid swim",
    model,
    frame_skip: 4,
    max_steps: 1000,
    observed: &[Part::Positions(2), Part::Velocities(f64::INFINITY)],
    whereabouts: |simulation| [simulation.qpos()[0], simulation.qpos()[1]],
    pay: Pay::Forward(Forward { control: 0.0001, ..RUN }),
    lags: false,
    start: Start::Noise { scale: 0.1, normal: false },
    speed_limit: None,
    view: View::Above,
};

fn model() -> Element {
    let geoms = Element::new("geom").num("contype", 0.0).num("conaffinity", 0.0);
    let joints = Element::new("joint").num("armature", 0.1);
    let motors = Element::new("motor").nums("ctrlrange", &[-1.0, 1.0]).num("gear", 150.0);
    let floor = floor([40.0, 40.0, 0.1]).nums("pos", &[0.0, 0.0, -0.1]);
    let joint =
        |name, kind, axis: [f64; 3]| Element::new("joint").text("name", name).text("type", kind).nums("axis", &axis);
    let back = Element::new("body")
        .text("name", "back")
        .nums("pos", &[-1.0, 0.0, 0.0])
        .child(rod(0.0))
        .child(joint("motor2_rot", "hinge", [0.0, 0.0, 1.0]).nums("range", &[-100.0, 100.0]));
    let mid = Element::new("body")
        .text("name", "mid")
        .nums("pos", &[0.5, 0.0, 0.0])
        .child(rod(0.0))
        .child(joint("motor1_rot", "hinge", [0.0, 0.0, 1.0]).nums("range", &[-100.0, 100.0]))
        .child(back);
    let torso = Element::new("body")
        .text("name", "torso")
        .child(rod(1.5))
        .child(joint("slider1", "slide", [1.0, 0.0, 0.0]))
        .child(joint("slider2", "slide", [0.0, 1.0, 0.0]))
        .child(joint("free_body_rot", "hinge", [0.0, 0.0, 1.0]))
        .child(mid);
    let motor = |joint| Element::new("motor").text("joint", joint);
    let fluid = Element::new("option")
        .num("timestep", 0.01)
        .text("integrator", "RK4")
        .num("density", 4000.0)
        .num("viscosity", 0.1);
    Element::new("mujoco")
        .text("model", "swimmer")
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(fluid)
        .child(Element::new("default").child(geoms).child(joints).child(motors))
        .child(Element::new("worldbody").child(floor).child(torso))
        .child(Element::new("actuator").children(["motor1_rot", "motor2_rot"].map(motor)))
}

/// A rod of 1 m from `x` backwards.
fn rod(x: f64) -> Element {
    Element::new("geom")
        .text("type", "capsule")
        .nums("fromto", &[x, 0.0, 0.0, x - 1.0, 0.0, 0.0])
        .num("size", 0.1)
        .num("condim", 1.0)
}

/// The swimmer of Duan et al., *Benchmarking deep reinforcement learning for continuous control* (2016): heavier motions in shorter steps.
pub(crate) fn duan_model() -> Element {
    let geoms = Element::new("geom").num("contype", 0.0).num("conaffinity", 0.0);
    let motors = Element::new("motor").nums("ctrlrange", &[-1.0, 1.0]).num("gear", 50.0);
    let joint =
        |name, kind, axis: [f64; 3]| Element::new("joint").text("name", name).text("type", kind).nums("axis", &axis);
    let bend = |name| joint(name, "hinge", [0.0, 0.0, 1.0]).nums("range", &[-100.0, 100.0]);
    let body = |name: &str, x: f64| Element::new("body").text("name", name).nums("pos", &[x, 0.0, 0.0]);
    let back = body("back", -1.0).child(rod(0.0)).child(bend("rot3"));
    let mid = body("mid", 0.5).child(rod(0.0)).child(bend("rot2")).child(back);
    let torso = body("torso", 0.0).child(rod(1.5)).children([
        joint("slider1", "slide", [1.0, 0.0, 0.0]),
        joint("slider2", "slide", [0.0, 1.0, 0.0]),
        joint("rot", "hinge", [0.0, 0.0, 1.0]),
        mid,
    ]);
    let fluid = Element::new("option")
        .num("timestep", 0.001)
        .text("integrator", "Euler")
        .num("density", 4000.0)
        .num("viscosity", 0.1)
        .child(Element::new("flag").text("warmstart", "disable"));
    let motor = |joint| Element::new("motor").text("joint", joint);
    Element::new("mujoco")
        .text("model", "swimmer of 2016")
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(fluid)
        .child(Element::new("default").child(geoms).child(motors))
        .child(Element::new("worldbody").child(torso))
        .child(Element::new("actuator").children(["rot2", "rot3"].map(motor)))
}
