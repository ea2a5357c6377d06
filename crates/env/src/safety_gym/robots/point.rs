//! Point: a ball that slides on the floor and turns about the vertical, with a box that shows where its front is.

use super::{Robot, actuator, geom, motor};
use crate::mjcf::Element;

/// The Point robot. Action 0 pushes along the heading, action 1 sets the turning speed.
///
/// Its slides lie along the axes of the *start* heading, not along the world's.
pub fn point() -> Robot {
    let joint = |name, form, axis: [f64; 3], damping| {
        Element::new("joint").text("name", name).text("type", form).nums("axis", &axis).num("damping", damping)
    };
    Robot {
        name: "Point",
        timestep: 0.002,
        height: 0.1,
        density: 1.0,
        front: 0.0,
        body: vec![
            joint("x", "slide", [1.0, 0.0, 0.0], 0.01),
            joint("y", "slide", [0.0, 1.0, 0.0], 0.01),
            joint("z", "hinge", [0.0, 0.0, 1.0], 0.005),
            geom("agent", "sphere", [0.0; 3], &[0.1]).nums("friction", &[1.0, 0.01, 0.01]),
            geom("pointarrow", "box", [0.1, 0.0, 0.0], &[0.05; 3]),
        ],
        // Both saturate at a twentieth of the range: the controls are nearly bang-bang.
        actuators: vec![
            motor("x", ("site", "agent"), 0.3, 0.05),
            actuator("velocity", "z", ("jointinparent", "z"), 0.3, 0.05).num("kv", 1.0),
        ],
        control: [-1.0, 1.0],
        sensors: Vec::new(),
        observed: &[],
    }
}
