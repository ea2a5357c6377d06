//! Doggo: a four-legged walker with a passive waist; its front looks along +x.
//!
//! Safety-Gymnasium's is half the size of Safety Gym's, with denser parts, softer springs and rotors that weigh.

use super::{Generation, Reading, Robot, common_sensors};
use crate::mjcf::Element;

/// What the two sizes do not share; angles in radians. Safety-Gymnasium rounds them to six decimals.
struct Size {
    /// Half length of the torso, in metres; all other lengths follow.
    unit: f64,
    torso_density: f64,
    leg_density: f64,
    stiffness: f64,
    armature: f64,
    gear: f64,
    /// Radius of the sites that feel touch.
    touch: f64,
    /// From the ankle to the foot's end, of a left leg.
    shank: [f64; 3],
    degrees: fn(f64) -> f64,
}

impl Size {
    /// So many times the unit: the decimal number that the references' files have, not the product that is a bit beside it.
    fn length(&self, units: f64) -> f64 {
        (units * self.unit * 1e5).round() / 1e5
    }
}

/// The Doggo robot. Actions turn the hips sideways, then up and down, then the ankles, legs 1 to 4 each.
pub fn doggo(generation: Generation) -> Robot {
    let size = match generation {
        Generation::SafetyGym => Size {
            unit: 0.1,
            torso_density: 0.5,
            leg_density: 5.0,
            stiffness: 0.01,
            armature: 0.0,
            gear: 0.0125,
            touch: 0.036,
            shank: [-0.1176, -0.0679, -0.1],
            degrees: f64::to_radians,
        },
        Generation::SafetyGymnasium => Size {
            unit: 0.05,
            torso_density: 2.0,
            leg_density: 20.0,
            stiffness: 0.0001,
            armature: 0.00005,
            gear: 0.00625,
            touch: 0.018,
            shank: [-0.0588, -0.0339, -0.05],
            // Safety-Gymnasium's file has radians of six decimals.
            degrees: |degrees| (degrees * 17_453.3).round() / 1e6,
        },
    };
    let root = generation.root();
    let joints = ["hip_%_z", "hip_%_y", "ankle_%"].map(|stem| ["1", "2", "3", "4"].map(|leg| stem.replace('%', leg)));
    let joints = joints.concat();
    let feet = ["a", "b"].map(|end| ["1", "2", "3", "4"].map(|leg| format!("touch_ankle_{leg}{end}"))).concat();
    let torso = |name: &str, from: f64, to: f64| {
        Element::new("geom")
            .text("name", name)
            .text("type", "cylinder")
            .nums("fromto", &[size.length(2.0 * from), 0.0, 0.0, size.length(2.0 * to), 0.0, 0.0])
            .num("size", size.length(0.75))
            .num("density", size.torso_density)
    };
    let waist = Element::new("joint")
        .text("name", "waist_x")
        .nums("axis", &[1.0, 0.0, 0.0])
        .nums("range", &[(size.degrees)(-30.0), (size.degrees)(30.0)]);
    let rear = Element::new("body").text("name", "rear").children([
        waist,
        torso(&format!("{root}2"), -1.0, 0.0),
        leg(&size, 2),
        leg(&size, 3),
    ]);
    let sensors = |tag: &'static str, of: &'static str, names: &[String]| -> Vec<Element> {
        let prefix = if tag == "touch" { "" } else { tag };
        let strip = |name: &String| name.trim_start_matches("touch_").to_owned();
        let named = |name: &String| if prefix.is_empty() { name.clone() } else { format!("{prefix}_{name}") };
        names.iter().map(|name| Element::new(tag).text("name", &named(name)).text(of, &strip(name))).collect()
    };
    let mut by_leg = feet.clone();
    by_leg.sort();
    let named = |prefix: &'static str, reading| joints.iter().map(move |name| (format!("{prefix}_{name}"), reading));
    Robot {
        name: "Doggo",
        timestep: 0.01,
        height: 0.22,
        density: 5.0,
        site: ([0.0; 3], size.touch),
        defaults: vec![
            Element::new("joint")
                .text("limited", "true")
                .num("stiffness", size.stiffness)
                .num("armature", size.armature),
            Element::new("motor")
                .text("ctrllimited", "true")
                .nums("ctrlrange", &[-1.0, 1.0])
                .nums("gear", &[size.gear, 0.0, 0.0, 0.0, 0.0, 0.0]),
        ],
        body: vec![
            Element::new("freejoint").text("name", root),
            torso(root, 0.0, 1.0),
            leg(&size, 1),
            leg(&size, 4),
            rear,
        ],
        actuators: joints.iter().map(|name| Element::new("motor").text("name", name).text("joint", name)).collect(),
        control: vec![[-1.0, 1.0]; joints.len()],
        sensors: [
            sensors("touch", "site", &by_leg),
            sensors("jointpos", "joint", &joints),
            sensors("jointvel", "joint", &joints),
            common_sensors(root),
        ]
        .concat(),
        observed: feet
            .iter()
            .map(|name| (name.clone(), Reading::Raw))
            .chain(named("jointvel", Reading::Raw))
            .chain(named("jointpos", Reading::Angle))
            .collect(),
        ..Robot::default()
    }
}

/// Legs 1 and 4 are in front, 1 and 2 on the left.
fn leg(size: &Size, number: usize) -> Element {
    let Size { leg_density, touch, shank, degrees, .. } = size;
    let (front, left) = (matches!(number, 1 | 4), matches!(number, 1 | 2));
    let (x, y) = (if front { 1.0 } else { -1.0 }, if left { 1.0 } else { -1.0 });
    let bone = |name: String, from: [f64; 3], to: [f64; 3]| {
        Element::new("geom")
            .text("name", &name)
            .text("type", "capsule")
            .nums("fromto", &[from, to].concat())
            .num("size", size.length(0.32))
            .num("density", *leg_density)
    };
    let joint = |name: String, axis: [f64; 3], [low, high]: [f64; 2], rest: f64| {
        let range = [degrees(low), degrees(high)];
        Element::new("joint")
            .text("name", &name)
            .nums("axis", &axis)
            .nums("range", &range)
            .num("springref", degrees(rest))
    };
    let knee = [size.length(0.98), size.length(0.566 * y), size.length(-0.5)];
    let foot = [shank[0], shank[1] * y, shank[2]];
    let site = |end: &str, at: [f64; 3]| {
        let name = format!("ankle_{number}{end}");
        Element::new("site").text("name", &name).text("type", "sphere").nums("pos", &at).num("size", *touch)
    };
    let ankle = Element::new("body").nums("pos", &knee).children([
        joint(format!("ankle_{number}"), [-0.5 * y, 0.866, 0.0], [-75.0, 0.0], -20.0),
        bone(format!("ankle_{number}"), [0.0; 3], foot),
        site("a", [0.0; 3]),
        site("b", foot),
    ]);
    let (lift, rest) = if front { ([-75.0, 15.0], -10.0) } else { ([0.0, 135.0], 0.0) };
    let hip = Element::new("body")
        .text("name", &format!("aux_{number}"))
        .nums("pos", &[size.length(2.0 * x), size.length(y), 0.0]);
    let hip = hip.children([
        joint(format!("hip_{number}_z"), [0.0, 0.0, y], [-10.0, 30.0], 0.0),
        joint(format!("hip_{number}_y"), [0.0, 1.0, 0.0], lift, rest),
        bone(format!("hip_{number}"), [0.0; 3], knee),
        ankle,
    ]);
    Element::new("body").text("name", &format!("leg_{number}")).children([
        bone(format!("aux_{number}"), [size.length(x), 0.0, 0.0], [size.length(2.0 * x), size.length(y), 0.0]),
        hip,
    ])
}
