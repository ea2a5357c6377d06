//! What a replay of a task with physics is made of: solid shapes that move with bodies, so that one player serves every task.
//!
//! A scene stays the same for an episode; [`crate::frame::Frame::bodies`] says where its bodies are. It is read from the compiled
//! model, so a task says only what its things are ([`Scene::of`]) and adds what it knows and the physics does not ([`Scene::add`]).

use crate::frame::{Form, Shape};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use tony_mujoco::{Model, Simulation};

/// A mesh keeps so many cells along its longest side: enough for a wheel that is a hand wide on the screen, and a fiftieth of the
/// faces of a machine part.
const CELLS: f32 = 24.0;

/// The shapes of an episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Scene {
    /// Where it is looked at from, at first.
    pub view: View,
    /// Everything that is drawn.
    pub parts: Vec<Part>,
    /// Meshes of parts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub meshes: Vec<Mesh>,
    /// Bodies that parts move with.
    pub bodies: usize,
}

/// Where a scene is looked at from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum View {
    /// From above and aside.
    Corner,
    /// Along y: what moves in the plane of x and z.
    Side,
    /// From above: what moves in the plane of x and y.
    Above,
}

/// A solid shape.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// What it shows: `robot`, `floor`, `goal`, `hazard`, ... ; the player chooses colours by it.
    pub kind: String,
    /// The body that it moves with; `None` stands still.
    pub body: Option<usize>,
    /// Its form.
    pub form: Solid,
    /// Sizes of the form, as MuJoCo gives them: radius and half length, radii, half sides; m.
    pub size: [f64; 3],
    /// Where it is in the body's frame.
    pub pose: Pose,
}

/// Forms of parts. The axis of a capsule and of a cylinder is z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Solid {
    /// The ground: a plane without end.
    Plane,
    /// Ball.
    Sphere,
    /// Rod with round ends.
    Capsule,
    /// Ball with three radii.
    Ellipsoid,
    /// Rod with flat ends.
    Cylinder,
    /// Box.
    Box,
    /// One of the scene's meshes.
    Mesh(usize),
}

/// Place and orientation.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Pose {
    /// Place, m.
    pub at: [f64; 3],
    /// Orientation as a unit quaternion w x y z.
    pub turn: [f64; 4],
}

impl Pose {
    /// Upright at a place.
    pub fn at(at: [f64; 3]) -> Self {
        Self { at, turn: [1.0, 0.0, 0.0, 0.0] }
    }

    /// Its seven numbers.
    pub(crate) fn numbers(&self) -> [f64; 7] {
        let ([x, y, z], [w, a, b, c]) = (self.at, self.turn);
        [x, y, z, w, a, b, c]
    }
}

/// Triangles.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Mesh {
    /// Corners, m, in ten-thousandths.
    pub vertices: Vec<[i32; 3]>,
    /// Three corners each.
    pub faces: Vec<[usize; 3]>,
}

impl Scene {
    /// All geoms of the model. `kind` names what belongs to a tree of bodies, by the tree's root.
    ///
    /// Left out is what hides nothing but itself: a body's simple shapes where it has meshes too, shapes that are there twice, and
    /// bodies that only draw others along.
    pub fn of<'a>(simulation: &Simulation, view: View, kind: impl Fn(usize) -> &'a str) -> Self {
        let model = simulation.model();
        let bodies: Vec<usize> = moving(model).collect();
        let mut scene = Self { view, parts: Vec::new(), meshes: Vec::new(), bodies: bodies.len() };
        let mut meshes: HashMap<usize, usize> = HashMap::new();
        let meshed = |body: i32| {
            (0..model.ngeom()).any(|geom| model.geom_bodyid()[geom] == body && model.geom_type()[geom] == MESH)
        };
        for geom in 0..model.ngeom() {
            let owner = model.geom_bodyid()[geom];
            let body = bodies.iter().position(|body| *body == owner as usize);
            let form = match model.geom_type()[geom] {
                _ if owner != 0 && body.is_none() => continue,
                MESH => {
                    let id = model.geom_dataid()[geom] as usize;
                    Solid::Mesh(*meshes.entry(id).or_insert_with(|| {
                        scene.meshes.push(coarse(model, id));
                        scene.meshes.len() - 1
                    }))
                }
                _ if meshed(owner) => continue,
                0 => Solid::Plane,
                2 => Solid::Sphere,
                3 => Solid::Capsule,
                4 => Solid::Ellipsoid,
                5 => Solid::Cylinder,
                6 => Solid::Box,
                _ => continue,
            };
            let kind = match (owner, form) {
                (_, Solid::Plane) => "floor",
                (0, _) => "wall",
                _ => kind(model.body_rootid()[owner as usize] as usize),
            };
            let pose = Pose {
                at: model.geom_pos().as_chunks().0[geom].map(rounded),
                turn: model.geom_quat().as_chunks().0[geom].map(rounded),
            };
            let size: [f64; 3] = model.geom_size().as_chunks().0[geom];
            let part = Part { kind: kind.to_owned(), body, form, size: size.map(rounded), pose };
            if !scene.parts.contains(&part) {
                scene.parts.push(part);
            }
        }
        scene
    }

    /// Does every part have the body and the mesh that it names, and every mesh the corners?
    pub(crate) fn check(&self) -> Result<(), String> {
        for part in &self.parts {
            let mesh = if let Solid::Mesh(mesh) = part.form { Some(mesh) } else { None };
            if part.body.is_some_and(|body| body >= self.bodies) || mesh.is_some_and(|mesh| mesh >= self.meshes.len()) {
                return Err(format!("a part of its scene, `{}`, has a body or a mesh that is not there", part.kind));
            }
        }
        let whole = |mesh: &Mesh| mesh.faces.iter().flatten().all(|corner| *corner < mesh.vertices.len());
        if self.meshes.iter().all(whole) { Ok(()) } else { Err("a mesh has a face without corners".to_owned()) }
    }

    /// A part that the physics does not know, with a body of its own: the next one in [`crate::frame::Frame::bodies`].
    pub fn add(&mut self, kind: &str, form: Solid, size: [f64; 3]) {
        let pose = Pose::at([0.0; 3]);
        self.parts.push(Part { kind: kind.to_owned(), body: Some(self.bodies), form, size, pose });
        self.bodies += 1;
    }

    /// Something on the ground that the physics does not know and that does not move: what is round lies flat, a line stands up.
    pub fn mark(&mut self, shape: &Shape) {
        /// Half the height of what lies flat and of what stands, m.
        const HALVES: [f64; 2] = [0.01, 0.3];
        let (form, size, [x, y], half, angle) = match shape.form {
            Form::Disc { at, r } => (Solid::Cylinder, [r, HALVES[0], 0.0], at, HALVES[0], 0.0),
            Form::Rect { at, half: [a, b], angle } => (Solid::Box, [a, b, HALVES[0]], at, HALVES[0], angle),
            Form::Capsule { from, to, r } => {
                let [dx, dy] = [0, 1].map(|i| (to[i] - from[i]) / 2.0);
                let size = [libm::hypot(dx, dy), r, HALVES[1]];
                let at = [0, 1].map(|i| f64::midpoint(from[i], to[i]));
                (Solid::Box, size, at, HALVES[1], libm::atan2(dy, dx))
            }
        };
        let turn = [libm::cos(angle / 2.0), 0.0, 0.0, libm::sin(angle / 2.0)].map(rounded);
        let pose = Pose { at: [x, y, half].map(rounded), turn };
        self.parts.push(Part { kind: shape.kind.clone(), body: None, form, size: size.map(rounded), pose });
    }
}

/// Where the bodies of [`Scene::of`] are.
pub fn bodies(simulation: &Simulation) -> impl Iterator<Item = Option<Pose>> {
    let (places, turns) = (simulation.xpos().as_chunks().0, simulation.xquat().as_chunks().0);
    moving(simulation.model()).map(|body| Some(Pose { at: places[body], turn: turns[body] }))
}

/// `mjGEOM_MESH`.
const MESH: i32 = 7;

/// Bodies that are seen, the world and what only draws others along (a mocap body) aside.
fn moving(model: &Model) -> impl Iterator<Item = usize> {
    (1..model.nbody()).filter(|&body| model.body_mocapid()[body] < 0 && model.body_geomnum()[body] > 0)
}

/// To the micrometre: what is shown needs no more, and its text is short.
fn rounded(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

/// A mesh of the model with the corners in each cell of a grid drawn together.
fn coarse(model: &Model, id: usize) -> Mesh {
    let part = |first: &[i32], count: &[i32]| first[id] as usize..(first[id] + count[id]) as usize;
    let corners = &model.mesh_vert().as_chunks::<3>().0[part(model.mesh_vertadr(), model.mesh_vertnum())];
    let triangles = &model.mesh_face().as_chunks::<3>().0[part(model.mesh_faceadr(), model.mesh_facenum())];
    let span = |axis: usize| {
        let values = || corners.iter().map(|corner| corner[axis]);
        values().fold(f32::NEG_INFINITY, f32::max) - values().fold(f32::INFINITY, f32::min)
    };
    let cell = (0..3).map(span).fold(0.0, f32::max).max(1e-6) / CELLS;
    let mut mesh = Mesh { vertices: Vec::new(), faces: Vec::new() };
    let mut cells: HashMap<[i32; 3], usize> = HashMap::new();
    let kept: Vec<usize> = (corners.iter())
        .map(|corner| {
            *cells.entry(corner.map(|x| (x / cell).round() as i32)).or_insert_with(|| {
                mesh.vertices.push(corner.map(|x| (f64::from(x) * 1e4).round() as i32));
                mesh.vertices.len() - 1
            })
        })
        .collect();
    let mut seen = HashSet::new();
    for triangle in triangles {
        let [a, b, c] = triangle.map(|corner| kept[corner as usize]);
        let mut sorted = [a, b, c];
        sorted.sort_unstable();
        if a != b && b != c && c != a && seen.insert(sorted) {
            mesh.faces.push([a, b, c]);
        }
    }
    mesh
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::locomotion::{Locomotion, humanoid};
    use crate::recording::{Recording, record};
    use crate::testing::{can_make, context};
    use crate::{Env, Error, Listing, list, make};

    const HANGING: [&str; 2] = ["InvertedPendulum-v5", "SwimmerGather-v0"];

    /// `v` turned by a quaternion.
    fn turned([w, a, b, c]: [f64; 4], [x, y, z]: [f64; 3]) -> [f64; 3] {
        let t = [2.0 * (b * z - c * y), 2.0 * (c * x - a * z), 2.0 * (a * y - b * x)];
        [x + w * t[0] + b * t[2] - c * t[1], y + w * t[1] + c * t[0] - a * t[2], z + w * t[2] + a * t[1] - b * t[0]]
    }

    /// A plane pendulum and its rail hang in nothing, and the swimmer of Gather swims in it.
    #[test]
    fn every_task_with_physics_has_a_robot_on_a_floor() {
        let context = context();
        let solid = |listing: &&Listing| listing.needs_mujoco && can_make(listing, &context);
        for listing in list().iter().filter(solid) {
            let mut env = make(listing.name, &context).unwrap();
            env.reset(1, &mut vec![0.0; env.spec().obs_dim]).unwrap();
            let (scene, frame) = (env.scene().unwrap(), env.frame());
            let has = |kind: &str| scene.parts.iter().any(|part| part.kind == kind);
            assert!(has("robot") && (has("floor") || HANGING.contains(&listing.name)), "{}", listing.name);
            assert_eq!(frame.bodies.len(), scene.bodies, "{}", listing.name);
            assert!(frame.robot().is_some() && frame.shapes.is_empty(), "{}", listing.name);
            scene.check().unwrap();
            let paid =
                listing.name.contains("Gather") || listing.name.contains("Goal") || listing.name.contains("Button");
            let aims = ["goal", "apple", "button"].into_iter().any(has);
            assert!(aims || !paid, "{}", listing.name);
        }
    }

    #[test]
    fn parts_are_where_the_physics_has_them() {
        let context = context();
        if context.library.is_none() {
            return;
        }
        let mut env = Locomotion::new(&humanoid::TASK, &context).unwrap();
        let mut obs = vec![0.0; env.spec().obs_dim];
        env.reset(0, &mut obs).unwrap();
        for _ in 0..10 {
            env.step(&[0.3; 17], &mut obs, &mut []).unwrap();
        }
        let (scene, frame) = (env.scene().unwrap(), env.frame());
        let places = env.simulation().geom_xpos().as_chunks::<3>().0;
        assert_eq!(scene.parts.len(), places.len());
        for (part, expected) in scene.parts.iter().zip(places) {
            let body = part.body.map_or(Pose::at([0.0; 3]), |body| frame.bodies[body].unwrap());
            let local = turned(body.turn, part.pose.at);
            for axis in 0..3 {
                // The place in the body is written to the micrometre.
                assert!((body.at[axis] + local[axis] - expected[axis]).abs() < 2e-6, "{part:?} {expected:?}");
            }
        }
    }

    #[test]
    fn a_recorded_robot_of_many_limbs_stays_small() {
        let context = context();
        if context.library.is_none() {
            return;
        }
        let mut env = make("SafetyDoggoGoal2-v0", &context).unwrap();
        let mut t = 0.0;
        let recording = record::<Error>(env.as_mut(), 3, 0, |_, action| {
            t += 1.0;
            action.iter_mut().enumerate().for_each(|(i, a)| *a = (t * 0.3 + i as f64).sin());
            Ok(())
        });
        let recording = recording.unwrap();
        let text = recording.to_json().unwrap();
        assert_eq!(recording.length(), 1000);
        assert!(text.len() < 700_000, "{} bytes", text.len());
        assert_eq!(Recording::from_json(&text).unwrap(), recording);
    }

    #[test]
    fn meshes_are_drawn_coarsely() {
        let context = context();
        if context.library.is_none() || context.meshes.is_none() {
            return;
        }
        let mut env = make("SafetyRacecarGoal0-v0", &context).unwrap();
        env.reset(0, &mut vec![0.0; env.spec().obs_dim]).unwrap();
        let scene = env.scene().unwrap();
        let faces: usize = scene.meshes.iter().map(|mesh| mesh.faces.len()).sum();
        // The files have 80,000.
        assert!((2_000..20_000).contains(&faces), "{faces}");
        let size = serde_json::to_string(&scene).unwrap().len();
        assert!(size < 450_000, "{size} bytes");
    }
}
