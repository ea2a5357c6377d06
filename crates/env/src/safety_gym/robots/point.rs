//! Point: a ball that slides on the floor and turns about the vertical, with a box that shows where its front is.

use super::{Generation, Robot, actuator, common_sensors, geom, motor};
use crate::mjcf::Element;

/// The Point robot. Action 0 pushes along the heading, action 1 sets the turning speed.
///
/// Its slides lie along the axes of the *start* heading, not along the world's.
pub fn point(generation: Generation) -> Robot {
    let root = generation.root();
    let joint = |name, form, axis: [f64; 3], damping| {
        Element::new("joint").text("name", name).text("type", form).nums("axis", &axis).num("damping", damping)
    };
    Robot {
        name: "Point",
        body: vec![
            joint("x", "slide", [1.0, 0.0, 0.0], 0.01),
            joint("y", "slide", [0.0, 1.0, 0.0], 0.01),
            joint("z", "hinge", [0.0, 0.0, 1.0], 0.005),
            geom(root, "sphere", [0.0; 3], &[0.1]).nums("friction", &[1.0, 0.01, 0.01]),
            geom("pointarrow", "box", [0.1, 0.0, 0.0], &[0.05; 3]),
        ],
        // Both saturate at a twentieth of the range: the controls are nearly bang-bang.
        actuators: vec![
            motor("x", ("site", root), 0.3, 0.05),
            actuator("velocity", "z", ("jointinparent", "z"), 0.3, 0.05).num("kv", 1.0),
        ],
        control: vec![[-1.0, 1.0]; 2],
        sensors: common_sensors(root),
        ..Robot::default()
    }
}
