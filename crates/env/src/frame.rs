//! What a replay draws: plain shapes in world units, or where the bodies of a [`crate::scene::Scene`] are, so that one player serves every
//! environment.

use crate::scene::Pose;
use serde::{Deserialize, Serialize};

/// One picture of an environment.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    /// What to draw, back to front.
    pub shapes: Vec<Shape>,
    /// Range finders around the robot, one a kind of object.
    pub lidars: Vec<Lidar>,
    /// Where the bodies of the environment's scene are, the robot's first; `None` for one that is not there now.
    pub bodies: Vec<Option<Pose>>,
    /// The screen, of a task that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub picture: Option<Picture>,
}

/// A screen of coloured points.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Picture {
    /// Points in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// Colour number of each point, row by row from the top.
    pub pixels: Vec<u8>,
    /// Red, green and blue of each colour number; of one that is not seen it may be black.
    pub palette: Vec<[u8; 3]>,
}

impl Frame {
    /// Where the robot is: its first body, or the centre of its first shape, if there is one.
    pub fn robot(&self) -> Option<[f64; 2]> {
        if let Some(Some(Pose { at: [x, y, _], .. })) = self.bodies.first() {
            return Some([*x, *y]);
        }
        let robot = self.shapes.iter().find(|shape| shape.kind == "robot")?;
        Some(match robot.form {
            Form::Disc { at, .. } | Form::Rect { at, .. } => at,
            Form::Capsule { from, to, .. } => [0, 1].map(|i| f64::midpoint(from[i], to[i])),
        })
    }
}

/// A shape in world units (metres in MuJoCo tasks), x to the right, y up, angles in radians counter-clockwise.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Shape {
    /// What it shows: `robot`, `goal`, `hazard`, `vase`, `ground`, ... ; the player chooses colours by it.
    pub kind: String,
    /// Its form.
    pub form: Form,
}

/// Forms of shapes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Form {
    /// Centre and radius.
    Disc {
        /// Centre.
        at: [f64; 2],
        /// Radius.
        r: f64,
    },
    /// Rectangle by centre, half sizes and rotation.
    Rect {
        /// Centre.
        at: [f64; 2],
        /// Half sizes along its own axes.
        half: [f64; 2],
        /// Rotation.
        angle: f64,
    },
    /// Thick line with round ends.
    Capsule {
        /// One end.
        from: [f64; 2],
        /// Other end.
        to: [f64; 2],
        /// Radius.
        r: f64,
    },
}

/// One range finder: bin `i` looks along `angle + 2 pi i / bins.len()` from `at`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Lidar {
    /// What it sees: `goal`, `hazards`, `vases`.
    pub kind: String,
    /// Origin in world units.
    pub at: [f64; 2],
    /// Direction of bin 0.
    pub angle: f64,
    /// Closeness in [0, 1], 1 = touching.
    pub bins: Vec<f64>,
}
