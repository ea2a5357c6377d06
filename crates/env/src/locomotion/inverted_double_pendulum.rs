//! `InvertedDoublePendulum-v5`: two poles on a cart that are to stay upright.
//!
//! Gymnasium's version: one force on the cart, 50 ms a step. Reward: 10 while the tip is higher than 1 m, minus 0.01 x² + (z - 2)² of the
//! tip, minus 0.001 and 0.005 of the poles' squared velocities; the episode ends when the tip is lower. Observed: the cart's place,
//! sines and cosines of both angles, velocities and the force of the cart's limits, clipped to 10.

use super::inverted_pendulum::ALONG_X;
use super::{Moment, Paid, Part, Pay, Start, Task, along_x, floor};
use crate::mjcf::Element;
use crate::scene::View;
use tony_mujoco::Simulation;

/// The task.
pub const TASK: Task = Task {
    name: "InvertedDoublePendulum-v5",
    summary: "keep two poles, one on the other, upright by pushing their cart",
    model,
    frame_skip: 5,
    max_steps: 1000,
    observed: &[Part::Own(5, angles), Part::Velocities(10.0), Part::Own(1, limit_force)],
    whereabouts: along_x,
    pay: Pay::Own(upright),
    lags: true,
    start: Start::Noise { scale: 0.1, normal: true },
    speed_limit: None,
    view: View::Side,
};

fn angles(simulation: &Simulation, obs: &mut [f64]) {
    let [cart, first, second] = [0, 1, 2].map(|i| simulation.qpos()[i]);
    obs.copy_from_slice(&[cart, first.sin(), second.sin(), first.cos(), second.cos()]);
}

fn limit_force(simulation: &Simulation, obs: &mut [f64]) {
    obs[0] = simulation.qfrc_constraint()[0].clamp(-10.0, 10.0);
}

fn upright(moment: &Moment<'_>) -> Paid {
    let [x, _, z]: [f64; 3] = moment.simulation.site_xpos().as_chunks().0[0];
    let [first, second] = [1, 2].map(|i| moment.simulation.qvel()[i]);
    let terminated = z <= 1.0;
    let alive = if terminated { 0.0 } else { 10.0 };
    let far = 0.01 * x * x + (z - 2.0) * (z - 2.0);
    let fast = 1e-3 * first * first + 5e-3 * second * second;
    Paid { reward: alive - far - fast, terminated }
}

fn model() -> Element {
    let geoms = Element::new("geom").num("contype", 0.0).nums("friction", &[1.0, 0.1, 0.1]);
    let geom = |name: &str| Element::new("geom").text("name", name).text("type", "capsule");
    let joint =
        |name, kind, axis: [f64; 3]| Element::new("joint").text("name", name).text("type", kind).nums("axis", &axis);
    let hinge = |name| joint(name, "hinge", [0.0, 1.0, 0.0]);
    let pole = |name: &str| geom(name).nums("fromto", &[0.0, 0.0, 0.0, 0.0, 0.0, 0.6]).num("size", 0.045);
    let tip = Element::new("site").text("name", "tip").nums("pos", &[0.0, 0.0, 0.6]).nums("size", &[0.01, 0.01]);
    let second = Element::new("body").text("name", "pole2").nums("pos", &[0.0, 0.0, 0.6]).children([
        hinge("hinge2"),
        pole("cpole2"),
        tip,
    ]);
    let first = Element::new("body").text("name", "pole").children([hinge("hinge"), pole("cpole"), second]);
    let slider = joint("slider", "slide", [1.0, 0.0, 0.0])
        .text("limited", "true")
        .nums("range", &[-1.0, 1.0])
        .num("margin", 0.01);
    let cart = Element::new("body").text("name", "cart").children([
        slider,
        geom("cart").nums("quat", &ALONG_X).nums("size", &[0.1, 0.1]),
        first,
    ]);
    let floor = floor([40.0; 3]).nums("pos", &[0.0, 0.0, -3.0]);
    let motor = Element::new("motor")
        .text("name", "slide")
        .text("joint", "slider")
        .num("gear", 500.0)
        .text("ctrllimited", "true")
        .nums("ctrlrange", &[-1.0, 1.0]);
    Element::new("mujoco")
        .text("model", "inverted double pendulum")
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(Element::new("default").child(Element::new("joint").num("damping", 0.05)).child(geoms))
        .child(
            Element::new("option").nums("gravity", &[1e-5, 0.0, -9.81]).num("timestep", 0.01).text("integrator", "RK4"),
        )
        .child(Element::new("worldbody").children([
            floor,
            geom("rail").nums("quat", &ALONG_X).nums("size", &[0.02, 1.0]),
            cart,
        ]))
        .child(Element::new("actuator").child(motor))
}
