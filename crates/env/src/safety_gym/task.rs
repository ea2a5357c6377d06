//! Tasks as data: which objects there are, how they are placed, what they cost.

/// A task, besides its robot.
#[derive(Clone, Debug, PartialEq)]
pub struct Task {
    /// Name inside the environment's name: `Goal1`.
    pub name: String,
    /// Objects and the robot are placed in the square of this half side around the origin, in metres.
    pub extent: f64,
    /// Kinds of objects in order of declaration, which is the order of sampling and of lidars. The first is the goal.
    pub kinds: Vec<Kind>,
    /// Time limit in steps.
    pub max_steps: usize,
}

/// One kind of object.
#[derive(Clone, Debug, PartialEq)]
pub struct Kind {
    /// Name of its lidar and of its cost channels: `hazards`.
    pub name: &'static str,
    /// Name of one of them: `hazard`.
    pub one: &'static str,
    /// Names of the bodies, one an object: `hazard0`, ...
    pub bodies: Vec<String>,
    /// No other object's centre may be nearer than the sum of both keepouts at the start, in metres.
    pub keepout: f64,
    /// Form and size.
    pub form: Form,
    /// Height of the centre at the start, in metres.
    pub height: f64,
    /// Can be pushed around.
    pub free: bool,
    /// Touches other things.
    pub solid: bool,
    /// In kg/m³; the robot's where there is none.
    pub density: Option<f64>,
    /// MuJoCo's visual group, which says nothing about physics.
    pub group: u8,
    /// What it costs.
    pub charge: Charge,
}

/// Form of an object, in metres.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Form {
    /// Upright cylinder.
    Cylinder {
        /// Radius.
        radius: f64,
        /// Half the height.
        half: f64,
    },
    /// Cube.
    Cube {
        /// Half the side.
        half: f64,
    },
}

/// When an object costs. Every channel is an indicator: 1 where the named event happens, however often, else 0.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Charge {
    /// Never.
    Free,
    /// Channel `NAME`: the centre of the robot's root is inside, by the distance on the floor.
    Inside,
    /// Channels `NAME_contact` (the robot touches one), `NAME_velocity` (one moves at `speed` m/s or faster) and `NAME` (either).
    Disturbed {
        /// Least speed that counts, in m/s.
        speed: f64,
    },
}

impl Charge {
    /// Names of the channels of a kind called `name`.
    pub fn channels(self, name: &str) -> Vec<String> {
        match self {
            Self::Free => Vec::new(),
            Self::Inside => vec![name.to_owned()],
            Self::Disturbed { .. } => vec![format!("{name}_contact"), format!("{name}_velocity"), name.to_owned()],
        }
    }
}

/// Radius of the goal, in metres: the robot's root nearer than this reaches it.
pub const GOAL_RADIUS: f64 = 0.3;

/// Reach a goal that moves to a new place when reached. Level 0 has nothing in the way, level 1 eight hazards and a vase
/// that costs nothing, level 2 ten hazards and ten vases that cost when touched or moved.
pub fn goal(level: u8) -> Task {
    let vases_cost = Charge::Disturbed { speed: 1e-4 };
    let (extent, kinds) = match level {
        0 => (1.0, vec![goal_kind()]),
        1 => (1.5, vec![goal_kind(), hazards(8), vases(1, Charge::Free)]),
        _ => (2.0, vec![goal_kind(), hazards(10), vases(10, vases_cost)]),
    };
    Task { name: format!("Goal{level}"), extent, kinds, max_steps: 1000 }
}

fn goal_kind() -> Kind {
    Kind {
        name: "goal",
        one: "goal",
        bodies: vec!["goal".to_owned()],
        keepout: 0.305,
        form: Form::Cylinder { radius: GOAL_RADIUS, half: 0.15 },
        height: 0.16,
        free: false,
        solid: false,
        density: Some(0.0),
        group: 9,
        charge: Charge::Free,
    }
}

/// Keepout below the radius: hazards may overlap a little.
fn hazards(count: usize) -> Kind {
    Kind {
        name: "hazards",
        one: "hazard",
        bodies: numbered("hazard", count),
        keepout: 0.18,
        form: Form::Cylinder { radius: 0.2, half: 0.01 },
        height: 0.02,
        free: false,
        solid: false,
        density: None,
        group: 3,
        charge: Charge::Inside,
    }
}

/// They start 0.04 mm in the floor, so that they stand in contact from the first step.
fn vases(count: usize, charge: Charge) -> Kind {
    Kind {
        name: "vases",
        one: "vase",
        bodies: numbered("vase", count),
        keepout: 0.15,
        form: Form::Cube { half: 0.1 },
        height: 0.1 - 4e-5,
        free: true,
        solid: true,
        density: Some(0.001),
        group: 4,
        charge,
    }
}

fn numbered(stem: &str, count: usize) -> Vec<String> {
    (0..count).map(|i| format!("{stem}{i}")).collect()
}
