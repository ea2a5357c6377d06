//! `InvertedPendulum-v5`: a pole on a cart that is to stay upright.
//!
//! Barto, Sutton & Anderson, *Neuronlike adaptive elements that can solve difficult learning control problems* (1983), with physics, in
//! Gymnasium's version: one force on the cart, 40 ms a step. Reward: 1 while the pole leans 0.2 rad at most; the episode ends when it
//! leans more.

use super::{Moment, Paid, Part, Pay, Start, Task, along_x};
use crate::mjcf::Element;
use crate::scene::View;
use std::f64::consts::FRAC_1_SQRT_2;

/// The task.
pub const TASK: Task = Task {
    name: "InvertedPendulum-v5",
    summary: "keep a pole upright by pushing its cart",
    model,
    frame_skip: 2,
    max_steps: 1000,
    observed: &[Part::Positions(0), Part::Velocities(f64::INFINITY)],
    whereabouts: along_x,
    pay: Pay::Own(upright),
    lags: false,
    start: Start::Noise { scale: 0.01, normal: false },
    speed_limit: None,
    view: View::Side,
};

fn upright(moment: &Moment<'_>) -> Paid {
    let terminated = moment.simulation.qpos()[1].abs() > 0.2;
    Paid { reward: f64::from(u8::from(!terminated)), terminated }
}

/// Rail and cart lie along x.
pub(super) const ALONG_X: [f64; 4] = [FRAC_1_SQRT_2, 0.0, FRAC_1_SQRT_2, 0.0];

fn model() -> Element {
    let geoms = Element::new("geom").num("contype", 0.0).nums("friction", &[1.0, 0.1, 0.1]);
    let geom = |name: &str| Element::new("geom").text("name", name).text("type", "capsule");
    let joint = |name, kind, axis: [f64; 3], range: [f64; 2]| {
        Element::new("joint")
            .text("name", name)
            .text("type", kind)
            .nums("axis", &axis)
            .text("limited", "true")
            .nums("range", &range)
    };
    let pole = Element::new("body").text("name", "pole").children([
        joint("hinge", "hinge", [0.0, 1.0, 0.0], [-90.0, 90.0]),
        geom("cpole").nums("fromto", &[0.0, 0.0, 0.0, 0.001, 0.0, 0.6]).num("size", 0.049),
    ]);
    let cart = Element::new("body").text("name", "cart").children([
        joint("slider", "slide", [1.0, 0.0, 0.0], [-1.0, 1.0]),
        geom("cart").nums("quat", &ALONG_X).nums("size", &[0.1, 0.1]),
        pole,
    ]);
    let motor = Element::new("motor")
        .text("name", "slide")
        .text("joint", "slider")
        .num("gear", 100.0)
        .text("ctrllimited", "true")
        .nums("ctrlrange", &[-3.0, 3.0]);
    Element::new("mujoco")
        .text("model", "inverted pendulum")
        .child(Element::new("compiler").text("angle", "degree").text("inertiafromgeom", "true"))
        .child(Element::new("default").child(Element::new("joint").num("damping", 1.0)).child(geoms))
        .child(Element::new("option").num("timestep", 0.02).text("integrator", "RK4"))
        .child(
            Element::new("worldbody").child(geom("rail").nums("quat", &ALONG_X).nums("size", &[0.02, 1.0])).child(cart),
        )
        .child(Element::new("actuator").child(motor))
}
