//! The picture of a replay: everything seen from above.

use super::{Owner, SafetyGym, lidar};
use crate::frame::{Form, Frame, Lidar, Shape};
use crate::locomotion::projected;

/// Length and radius of the line that shows where the robot's front is, in metres.
const POINTER: (f64, f64) = (0.12, 0.012);

/// The present state: ground, objects (flat ones first), robot, lidars.
pub(super) fn frame(env: &SafetyGym) -> Frame {
    let shape = |kind: &str, form| Shape { kind: kind.to_owned(), form };
    let extent = env.task.extent;
    let ground = Form::Rect { at: [0.0; 2], half: [extent; 2], angle: 0.0 };
    let mut shapes = vec![shape("ground", ground)];
    for (index, kind) in env.task.kinds.iter().enumerate() {
        let geoms = env.kinds[index].clone().flat_map(|thing| of(env, Owner::Thing(thing)));
        shapes.extend(geoms.map(|geom| shape(kind.one, form(env, geom))));
    }
    // What can be pushed stands on what is painted on the ground.
    shapes.sort_by_key(|shape| !matches!(shape.kind.as_str(), "ground" | "circle" | "goal" | "hazard"));
    // What is only seen has the place of something that touches.
    let solid = of(env, Owner::Robot).filter(|geom| env.simulation.model().geom_contype()[*geom] != 0);
    shapes.extend(solid.map(|geom| shape("robot", form(env, geom))));

    let robot = env.frame_of(0);
    let [x, y, _] = robot.at;
    let angle = robot.axes[3].atan2(robot.axes[0]);
    let (sin, cos) = (angle + env.robot.front).sin_cos();
    let (length, r) = POINTER;
    shapes.push(shape("heading", Form::Capsule { from: [x, y], to: [x + length * cos, y + length * sin], r }));

    let lidars = env.task.kinds.iter().zip(&env.kinds).filter(|(kind, _)| kind.seen).map(|(kind, things)| {
        let mut bins = vec![0.0; lidar::BINS];
        env.look(&robot, things.clone(), &mut bins);
        Lidar { kind: kind.name.clone(), at: [x, y], angle, bins }
    });
    Frame { shapes, lidars: lidars.collect(), ..Frame::default() }
}

fn of(env: &SafetyGym, owner: Owner) -> impl Iterator<Item = usize> {
    (0..env.owners.len()).filter(move |&geom| env.owners[geom] == owner)
}

/// Outline of a geom on the ground.
fn form(env: &SafetyGym, geom: usize) -> Form {
    const SPHERE: i32 = 2;
    const CAPSULE: i32 = 3;
    const CYLINDER: i32 = 5;
    let (model, simulation) = (env.simulation.model(), &env.simulation);
    let size: [f64; 3] = model.geom_size().as_chunks().0[geom];
    let [x, y, _]: [f64; 3] = simulation.geom_xpos().as_chunks().0[geom];
    let axes: [f64; 9] = simulation.geom_xmat().as_chunks().0[geom];
    let at = [x, y];
    // The third column is a cylinder's axis: standing it is a disc, lying (a wheel) a rectangle along the axis.
    let lying = axes[8].abs() < 0.5;
    match model.geom_type()[geom] {
        CYLINDER if lying => Form::Rect { at, half: [size[1], size[0]], angle: axes[5].atan2(axes[2]) },
        SPHERE | CYLINDER => Form::Disc { at, r: size[0] },
        CAPSULE => projected(simulation, geom, 1),
        // A box, or the box around a mesh: the sides along the two axes that stand up least.
        _ => {
            let upright = (0..3).max_by(|a, b| axes[6 + a].abs().total_cmp(&axes[6 + b].abs())).unwrap_or(2);
            let [first, second] = [[1, 2], [0, 2], [0, 1]][upright];
            Form::Rect { at, half: [size[first], size[second]], angle: axes[3 + first].atan2(axes[first]) }
        }
    }
}
