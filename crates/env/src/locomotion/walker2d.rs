//! `Walker2d-v5`: a two-legged plane robot that is to walk.
//!
//! Erez, Tassa & Todorov, *Infinite-horizon model predictive control for periodic tasks with contacts* (2011), in Gymnasium's
//! version: six actuated hinges, 8 ms a step. Reward: velocity, plus 1 while healthy, minus 0.001 of the squared action. Healthy:
//! between 0.8 and 2 m high, leaning less than 1 rad. Observed velocities are clipped to 10.

use super::hopper::{Foot, leg, torso};
use super::{Forward, Part, Pay, RUN, Start, Task, along_x, floor};
use crate::mjcf::Element;
use crate::scene::View;

/// What walking pays.
pub(super) const FORWARD: Forward = Forward { alive: 1.0, healthy: Some(healthy), control: 0.001, ..RUN };

/// The task.
pub const TASK: Task = Task {
    name: "Walker2d-v5",
    summary: "a two-legged plane robot walks and does not fall",
    model: || model(1.9),
    frame_skip: 4,
    max_steps: 1000,
    observed: &[Part::Positions(1), Part::Velocities(10.0)],
    whereabouts: along_x,
    pay: Pay::Forward(FORWARD),
    lags: false,
    start: Start::Noise { scale: 0.005, normal: false },
    speed_limit: None,
    view: View::Side,
};

fn healthy(qpos: &[f64], _: &[f64]) -> bool {
    qpos[1] > 0.8 && qpos[1] < 2.0 && qpos[2] > -1.0 && qpos[2] < 1.0
}

/// The model. In versions before the fifth one foot slides more easily than the other.
pub(super) fn model(right_friction: f64) -> Element {
    let geoms = Element::new("geom")
        .text("type", "capsule")
        .num("conaffinity", 0.0)
        .num("condim", 3.0)
        .nums("friction", &[0.7, 0.1, 0.1]);
    let joints = Element::new("joint").num("armature", 0.01).num("damping", 0.1);
    let motors = Element::new("motor").nums("ctrlrange", &[-1.0, 1.0]).num("gear", 100.0);
    let floor = floor([40.0; 3]).num("conaffinity", 1.0);
    let leg = |side, friction| leg(side, &Foot { reach: 0.2, half: 0.1, friction });
    let torso = torso().child(leg("", right_friction)).child(leg("_left", 1.9));
    let joints_of = |side: &str| ["thigh", "leg", "foot"].map(|part| format!("{part}{side}_joint"));
    let motor = |joint: String| Element::new("motor").text("joint", &joint);
    Element::new("mujoco")
        .text("model", "walker2d")
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(Element::new("option").num("timestep", 0.002).text("integrator", "RK4"))
        .child(Element::new("default").child(geoms).child(joints).child(motors))
        .child(Element::new("worldbody").child(floor).child(torso))
        .child(Element::new("actuator").children(["", "_left"].map(joints_of).concat().into_iter().map(motor)))
}
