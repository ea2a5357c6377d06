//! Pictures of a running environment as pixels, where there is neither a window nor a graphics device: one ray a pixel.
//!
//! It draws what replays draw, [`Scene`] and [`Frame`], with their colours, from the side that the scene names. A scene that is not much
//! larger than its robot is seen whole; otherwise the picture follows the robot. Flat frames are drawn flat, screens as they are.

use crate::frame::{Form, Frame, Picture, Shape};
use crate::scene::{Pose, Scene, Solid, View};

type Vector = [f64; 3];

/// Half the upright field of view, rad.
const FIELD: f64 = 0.305;
/// Where light comes from.
const LIGHT: Vector = [0.36, -0.45, 0.82];
const SKY: Vector = [1.0, 1.0, 1.0];

/// What each kind of thing looks like: red, green, blue, and how much of what is behind it it hides. page.css has the same colours.
const LOOKS: [(&str, u32, f64); 20] = [
    ("robot", 0x00_72_b2, 1.0),
    ("floor", 0xec_ef_f2, 1.0),
    ("ground", 0xb9_c0_c8, 1.0),
    ("heading", 0xff_ff_ff, 1.0),
    ("goal", 0x00_9e_73, 0.45),
    ("circle", 0x00_9e_73, 0.25),
    ("apple", 0x00_9e_73, 1.0),
    ("target", 0x00_9e_73, 1.0),
    ("hazard", 0xb8_51_9a, 0.8),
    ("bomb", 0xd5_5e_00, 1.0),
    ("sigwall", 0xd5_5e_00, 0.25),
    ("vase", 0xe6_9f_00, 1.0),
    ("pole", 0xe6_9f_00, 1.0),
    ("object", 0xe6_9f_00, 1.0),
    ("button", 0xe6_9f_00, 1.0),
    ("gremlin", 0x8a_75_00, 1.0),
    ("push_box", 0x3a_8f_c4, 1.0),
    ("box", 0x3a_8f_c4, 1.0),
    ("resting button", 0x7b_84_8f, 1.0),
    ("pillar", 0x7b_84_8f, 1.0),
];

fn look(kind: &str) -> (Vector, f64) {
    let known = LOOKS.iter().find(|(name, ..)| *name == kind || kind.strip_suffix('s') == Some(name));
    let (_, colour, opacity) = known.unwrap_or(&LOOKS[LOOKS.len() - 1]);
    ([16, 8, 0].map(|shift| f64::from(colour >> shift & 255) / 255.0), *opacity)
}

fn dot(a: Vector, b: Vector) -> f64 {
    a[0] * b[0] + a[1] * b[1] + a[2] * b[2]
}

/// `a + s b`.
fn add(a: Vector, b: Vector, s: f64) -> Vector {
    [a[0] + s * b[0], a[1] + s * b[1], a[2] + s * b[2]]
}

fn cross(a: Vector, b: Vector) -> Vector {
    [a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]]
}

fn length(a: Vector) -> f64 {
    dot(a, a).sqrt()
}

fn unit(a: Vector) -> Vector {
    a.map(|x| x / length(a).max(1e-12))
}

/// Draws one environment's episode.
#[derive(Clone, Debug)]
pub struct Painter {
    scene: Option<Scene>,
    /// Middle of what is seen at first, and half of its size, m.
    middle: Vector,
    reach: f64,
    follows: bool,
}

impl Painter {
    /// For an episode that begins with this frame; of a solid one, with its scene.
    pub fn new(scene: Option<Scene>, first: &Frame) -> Self {
        match scene {
            Some(scene) => Self::solid(scene, first),
            None => Self::flat(first),
        }
    }

    fn solid(scene: Scene, frame: &Frame) -> Self {
        let root = frame.bodies.first().copied().flatten().map_or([0.0; 3], |pose| pose.at);
        let parts: Vec<Part> = parts(&scene, frame).filter(|part| part.form != Solid::Plane).collect();
        let robot = parts.iter().filter(|part| part.kind == "robot");
        let radius = robot.map(|part| length(add(part.at, root, -1.0)) + part.bound).fold(0.1, f64::max);
        let side = |axis: usize, sign: f64| {
            let far = |part: &Part| sign * part.at[axis] + part.bound;
            parts.iter().map(far).fold(sign * root[axis] + radius, f64::max)
        };
        let [x, y] = [0, 1].map(|axis| (side(axis, 1.0), -side(axis, -1.0)));
        let reach = (x.0 - x.1).max(y.0 - y.1) / 2.0;
        if !(1.5 * radius..12.0 * radius).contains(&reach) {
            return Self { scene: Some(scene), middle: root, reach: 1.3 * radius, follows: true };
        }
        let middle = [f64::midpoint(x.0, x.1), f64::midpoint(y.0, y.1), root[2]];
        Self { scene: Some(scene), middle, reach, follows: false }
    }

    fn flat(frame: &Frame) -> Self {
        let mut bounds = [[f64::INFINITY, f64::NEG_INFINITY]; 2];
        let mut hold = |[x, y]: [f64; 2], r: f64| {
            for (bound, at) in bounds.iter_mut().zip([x, y]) {
                *bound = [bound[0].min(at - r), bound[1].max(at + r)];
            }
        };
        for shape in &frame.shapes {
            match shape.form {
                Form::Disc { at, r } => hold(at, r),
                Form::Rect { at, half: [a, b], .. } => hold(at, a.max(b)),
                Form::Capsule { from, to, r } => [from, to].into_iter().for_each(|end| hold(end, r)),
            }
        }
        if !bounds[0][0].is_finite() {
            bounds = [[-1.0, 1.0]; 2];
        }
        let [x, y] = bounds.map(|[low, high]| (f64::midpoint(low, high), (high - low) / 2.0));
        // What hangs may swing up.
        Self { scene: None, middle: [x.0, y.0, 0.0], reach: 1.5 * x.1.max(y.1).max(1e-3), follows: false }
    }

    /// A frame of the episode as `[height, width, 3]`.
    pub fn paint(&self, frame: &Frame, width: usize, height: usize) -> Vec<u8> {
        let mut pixels = Vec::with_capacity(3 * width * height);
        let mut put = |colour: Vector| pixels.extend(colour.map(|x| (x.clamp(0.0, 1.0) * 255.0).round() as u8));
        match (&self.scene, &frame.picture) {
            (Some(scene), _) => self.paint_solid(scene, frame, [width, height], &mut put),
            (None, Some(screen)) => paint_screen(screen, [width, height], &mut put),
            (None, None) => self.paint_flat(frame, [width, height], &mut put),
        }
        pixels
    }

    fn paint_solid(&self, scene: &Scene, frame: &Frame, [width, height]: [usize; 2], put: &mut dyn FnMut(Vector)) {
        let parts: Vec<Part> = parts(scene, frame).collect();
        let robot = frame.bodies.first().copied().flatten().map_or([0.0; 3], |pose| pose.at);
        // What hops does not shake the picture.
        let target = if self.follows { [robot[0], robot[1], self.middle[2]] } else { self.middle };
        let (around, above): (f64, f64) = match scene.view {
            View::Corner => (-0.85, 0.6),
            View::Side => (-std::f64::consts::FRAC_PI_2, 0.12),
            View::Above => (-std::f64::consts::FRAC_PI_2, 1.2),
        };
        let ((sin, cos), (rise, flat)) = (libm::sincos(around), libm::sincos(above));
        let back = [flat * cos, flat * sin, rise];
        let right = [-sin, cos, 0.0];
        let up = cross(back, right);
        let tan = libm::tan(FIELD);
        let distance = 1.25 * self.reach / tan;
        let eye = add(target, back, distance);
        let far = 4.0 * distance;
        for row in 0..height {
            let y = (1.0 - 2.0 * (row as f64 + 0.5) / height as f64) * tan;
            let near: Vec<&Part> =
                parts.iter().filter(|part| part.may_be_on(y, eye, back, up, tan / height as f64)).collect();
            let mut hits = Vec::new();
            for column in 0..width {
                let x = (2.0 * (column as f64 + 0.5) / width as f64 - 1.0) * tan * width as f64 / height as f64;
                let way = unit(add(add(back.map(|b| -b), right, x), up, y));
                hits.clear();
                hits.extend(near.iter().filter_map(|part| part.hit(eye, way).map(|(t, normal)| (t, normal, *part))));
                put(seen(&mut hits, &parts, eye, way, (target, far)));
            }
        }
    }

    fn paint_flat(&self, frame: &Frame, [width, height]: [usize; 2], put: &mut dyn FnMut(Vector)) {
        let scale = 2.0 * self.reach / width.min(height).max(1) as f64;
        for row in 0..height {
            for column in 0..width {
                let x = self.middle[0] + (column as f64 + 0.5 - width as f64 / 2.0) * scale;
                let y = self.middle[1] - (row as f64 + 0.5 - height as f64 / 2.0) * scale;
                put(frame.shapes.iter().fold(SKY, |under, shape| {
                    let (colour, opacity) = look(&shape.kind);
                    // Half covered at the edge, over a pixel.
                    let share = (0.5 - outside(shape, [x, y]) / scale).clamp(0.0, 1.0) * opacity;
                    add(under, add(colour, under, -1.0), share)
                }));
            }
        }
    }
}

/// The screen, stretched.
fn paint_screen(screen: &Picture, [width, height]: [usize; 2], put: &mut dyn FnMut(Vector)) {
    for row in 0..height {
        for column in 0..width {
            let at = row * screen.height / height * screen.width + column * screen.width / width;
            let colour = screen.pixels.get(at).and_then(|number| screen.palette.get(usize::from(*number)));
            put(colour.copied().unwrap_or_default().map(|x| f64::from(x) / 255.0));
        }
    }
}

/// How far a place is outside of a shape; less than 0 inside.
fn outside(shape: &Shape, [x, y]: [f64; 2]) -> f64 {
    match shape.form {
        Form::Disc { at, r } => libm::hypot(x - at[0], y - at[1]) - r,
        Form::Rect { at, half, angle } => {
            let ((sin, cos), [dx, dy]) = (libm::sincos(angle), [x - at[0], y - at[1]]);
            ((cos * dx + sin * dy).abs() - half[0]).max((cos * dy - sin * dx).abs() - half[1])
        }
        Form::Capsule { from, to, r } => {
            let [ax, ay] = [to[0] - from[0], to[1] - from[1]];
            let along = ((x - from[0]) * ax + (y - from[1]) * ay) / (ax * ax + ay * ay).max(1e-12);
            let share = along.clamp(0.0, 1.0);
            libm::hypot(x - from[0] - share * ax, y - from[1] - share * ay) - r
        }
    }
}

/// A part where it is now.
struct Part<'a> {
    kind: &'a str,
    form: Solid,
    size: Vector,
    at: Vector,
    /// Its own axes in the world.
    axes: [Vector; 3],
    /// Radius of a ball that holds it.
    bound: f64,
    colour: Vector,
    opacity: f64,
    scene: &'a Scene,
}

/// The axes of a unit quaternion's frame.
fn axes([w, x, y, z]: [f64; 4]) -> [Vector; 3] {
    [
        [1.0 - 2.0 * (y * y + z * z), 2.0 * (x * y + w * z), 2.0 * (x * z - w * y)],
        [2.0 * (x * y - w * z), 1.0 - 2.0 * (x * x + z * z), 2.0 * (y * z + w * x)],
        [2.0 * (x * z + w * y), 2.0 * (y * z - w * x), 1.0 - 2.0 * (x * x + y * y)],
    ]
}

/// `v`, given in a frame with these axes, in the world.
fn turned(axes: &[Vector; 3], v: Vector) -> Vector {
    add(add(axes[0].map(|a| a * v[0]), axes[1], v[1]), axes[2], v[2])
}

/// Everything that is there now.
fn parts<'a>(scene: &'a Scene, frame: &'a Frame) -> impl Iterator<Item = Part<'a>> {
    let place = |pose: Pose| (pose.at, axes(pose.turn));
    scene.parts.iter().filter_map(move |part| {
        let (at, own) = place(part.pose);
        let (at, axes) = match part.body {
            None => (at, own),
            Some(body) => {
                let (root, frame) = place(frame.bodies.get(body).copied().flatten()?);
                (add(root, turned(&frame, at), 1.0), own.map(|axis| turned(&frame, axis)))
            }
        };
        let [a, b, c] = part.size;
        let bound = match part.form {
            Solid::Plane => f64::INFINITY,
            Solid::Sphere => a,
            Solid::Capsule => a + b,
            Solid::Ellipsoid => a.max(b).max(c),
            Solid::Cylinder => libm::hypot(a, b),
            Solid::Box => length([a, b, c]),
            Solid::Mesh(mesh) => {
                let corners = &scene.meshes[mesh].vertices;
                corners.iter().map(|corner| length(corner.map(corner_of))).fold(0.0, f64::max)
            }
        };
        let (colour, opacity) = look(&part.kind);
        // Neighbouring bodies in two shades: limbs are told apart.
        let shade = if part.kind == "robot" && part.body.is_some_and(|body| body % 2 == 1) { 0.82 } else { 1.0 };
        let (kind, form, size) = (part.kind.as_str(), part.form, part.size);
        Some(Part { kind, form, size, at, axes, bound, colour: colour.map(|x| x * shade), opacity, scene })
    })
}

/// Metres of a stored corner's number.
fn corner_of(x: i32) -> f64 {
    f64::from(x) * 1e-4
}

/// Where a ray meets a part: how far on its way, and the direction of the surface there.
type Hit = Option<(f64, Vector)>;

impl Part<'_> {
    /// Might rays of the row that looks up by `y` meet it? `margin` is half a row.
    fn may_be_on(&self, y: f64, eye: Vector, back: Vector, up: Vector, margin: f64) -> bool {
        let to = add(self.at, eye, -1.0);
        let (ahead, high) = (-dot(to, back), dot(to, up));
        if !self.bound.is_finite() || ahead <= 1.01 * self.bound {
            return true;
        }
        let ends = [ahead - self.bound, ahead + self.bound];
        let low = ends.map(|ahead| (high - self.bound) / ahead);
        let top = ends.map(|ahead| (high + self.bound) / ahead);
        (low[0].min(low[1]) - margin..=top[0].max(top[1]) + margin).contains(&y)
    }

    /// Where the ray from `from` along `way`, of length 1, first comes in.
    fn hit(&self, from: Vector, way: Vector) -> Hit {
        let to = add(self.at, from, -1.0);
        let along = dot(to, way);
        if self.bound.is_finite() && dot(to, to) - along * along > self.bound * self.bound {
            return None;
        }
        let own = |v: Vector| self.axes.map(|axis| dot(axis, v));
        let (o, d) = (own(to).map(|x| -x), own(way));
        let [a, b, _] = self.size;
        let (t, normal) = match self.form {
            Solid::Plane => Some((-o[2] / d[2], [0.0, 0.0, 1.0])),
            Solid::Sphere => ellipsoid(o, d, [a; 3]),
            Solid::Ellipsoid => ellipsoid(o, d, self.size),
            Solid::Capsule => capsule(o, d, a, b),
            Solid::Cylinder => cylinder(o, d, a, b),
            Solid::Box => cuboid(o, d, self.size),
            Solid::Mesh(mesh) => self.mesh(mesh, o, d),
        }?;
        (t > 1e-6 && t.is_finite()).then(|| (t, turned(&self.axes, normal)))
    }

    fn mesh(&self, mesh: usize, o: Vector, d: Vector) -> Hit {
        let mesh = &self.scene.meshes[mesh];
        let hits = mesh.faces.iter().filter_map(|face| {
            let [a, b, c] = face.map(|corner| mesh.vertices[corner].map(corner_of));
            let (side, other, to) = (add(b, a, -1.0), add(c, a, -1.0), add(o, a, -1.0));
            let normal = cross(side, other);
            let facing = dot(normal, d);
            let t = -dot(normal, to) / facing;
            let at = cross(d, to);
            // Shares of the corners b and c.
            let (u, v) = (-dot(other, at) / facing, dot(side, at) / facing);
            (facing.abs() > 1e-12 && t > 0.0 && u >= 0.0 && v >= 0.0 && u + v <= 1.0).then(|| (t, unit(normal)))
        });
        hits.min_by(|(a, _), (b, _)| a.total_cmp(b))
    }
}

/// Roots of `a t^2 + 2 b t + c`, the smaller first.
fn roots(a: f64, b: f64, c: f64) -> Option<[f64; 2]> {
    let root = (b * b - a * c).sqrt();
    (root.is_finite() && a != 0.0).then(|| [(-b - root) / a, (-b + root) / a])
}

fn ellipsoid(o: Vector, d: Vector, size: Vector) -> Hit {
    let by = |v: Vector| [0, 1, 2].map(|i| v[i] / size[i]);
    let (p, q) = (by(o), by(d));
    let [t, _] = roots(dot(q, q), dot(p, q), dot(p, p) - 1.0)?;
    Some((t, unit(by(by(add(o, d, t))))))
}

/// The round side of a rod, where it is not beyond its ends.
fn side(o: Vector, d: Vector, r: f64, half: f64) -> Hit {
    let flat = |v: Vector| [v[0], v[1], 0.0];
    let (p, q) = (flat(o), flat(d));
    let [t, _] = roots(dot(q, q), dot(p, q), dot(p, p) - r * r)?;
    let at = add(o, d, t);
    (at[2].abs() <= half).then(|| (t, flat(at).map(|x| x / r)))
}

fn nearest(hits: impl IntoIterator<Item = Hit>) -> Hit {
    hits.into_iter().flatten().filter(|(t, _)| *t > 0.0).min_by(|(a, _), (b, _)| a.total_cmp(b))
}

fn capsule(o: Vector, d: Vector, r: f64, half: f64) -> Hit {
    let end = |z: f64| ellipsoid([o[0], o[1], o[2] - z], d, [r; 3]);
    nearest([side(o, d, r, half), end(half), end(-half)])
}

fn cylinder(o: Vector, d: Vector, r: f64, half: f64) -> Hit {
    let lid = |z: f64| {
        let t = (z - o[2]) / d[2];
        let [x, y, _] = add(o, d, t);
        (x * x + y * y <= r * r).then_some((t, [0.0, 0.0, z.signum()]))
    };
    nearest([side(o, d, r, half), lid(half), lid(-half)])
}

fn cuboid(o: Vector, d: Vector, half: Vector) -> Hit {
    let (mut enter, mut leave, mut normal) = (f64::NEG_INFINITY, f64::INFINITY, [0.0; 3]);
    for axis in 0..3 {
        let [low, high] = [-half[axis], half[axis]].map(|wall| (wall - o[axis]) / d[axis]);
        if low.min(high) > enter {
            (enter, normal) = (low.min(high), [0.0; 3]);
            normal[axis] = if low < high { -1.0 } else { 1.0 };
        }
        leave = leave.min(low.max(high));
    }
    (enter <= leave && enter > 0.0).then_some((enter, normal))
}

/// The colour that comes from along a ray that meets these parts, with shadows of `all` on the floor, which fades to the sky at a distance.
fn seen(
    hits: &mut [(f64, Vector, &Part)],
    all: &[Part],
    eye: Vector,
    way: Vector,
    (target, far): (Vector, f64),
) -> Vector {
    hits.sort_unstable_by(|(a, ..), (b, ..)| a.total_cmp(b));
    // Up to the first that hides all behind it, then from there to the eye.
    let last = hits.iter().position(|(.., part)| part.opacity >= 1.0).map_or(hits.len(), |first| first + 1);
    hits[..last].iter().rev().fold(SKY, |behind, (t, normal, part)| {
        let at = add(eye, way, *t);
        let normal = if dot(*normal, way) > 0.0 { normal.map(|x| -x) } else { *normal };
        let lit = if part.form == Solid::Plane {
            let cell = far / 32.0;
            let even = ((at[0] / cell).floor() + (at[1] / cell).floor()).rem_euclid(2.0) < 1.0;
            let shadow = all
                .iter()
                .any(|part| part.form != Solid::Plane && part.opacity >= 1.0 && part.hit(at, LIGHT).is_some());
            let shade = (if even { 1.0 } else { 0.91 }) * (if shadow { 0.72 } else { 1.0 });
            let away = length(add(at, target, -1.0)) / far;
            let fade = ((away - 0.35) / 0.65).clamp(0.0, 1.0);
            add(part.colour.map(|x| x * shade), add(SKY, part.colour.map(|x| x * shade), -1.0), fade)
        } else {
            let shine = libm::pow(dot(normal, unit(add(LIGHT, way, -1.0))).max(0.0), 40.0);
            let light = 0.57 + 0.11 * normal[2] + 0.5 * dot(normal, LIGHT).max(0.0);
            part.colour.map(|x| x * light + 0.12 * shine)
        };
        add(behind, add(lit, behind, -1.0), part.opacity)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;
    use tony_random::Stream;

    /// A ray that meets each form: where, and which way its surface looks.
    #[test]
    fn rays_meet_forms_where_geometry_says() {
        let down = [0.0, 0.0, -1.0];
        let from = |x: f64, y: f64| [x, y, 10.0];
        let meets = |hit: Hit, t: f64, normal: Vector| {
            let (found, facing) = hit.unwrap();
            assert!((found - t).abs() < 1e-9 && length(add(facing, normal, -1.0)) < 1e-9, "{found} {facing:?}");
        };
        meets(ellipsoid(from(0.0, 0.0), down, [1.0, 2.0, 3.0]), 7.0, [0.0, 0.0, 1.0]);
        meets(capsule(from(0.0, 0.0), down, 0.5, 2.0), 7.5, [0.0, 0.0, 1.0]);
        meets(capsule([10.0, 0.0, 1.0], [-1.0, 0.0, 0.0], 0.5, 2.0), 9.5, [1.0, 0.0, 0.0]);
        meets(cylinder(from(0.3, 0.0), down, 0.5, 2.0), 8.0, [0.0, 0.0, 1.0]);
        meets(cylinder([0.0, -10.0, 1.9], [0.0, 1.0, 0.0], 0.5, 2.0), 9.5, [0.0, -1.0, 0.0]);
        meets(cuboid(from(0.9, -1.9), down, [1.0, 2.0, 3.0]), 7.0, [0.0, 0.0, 1.0]);
        for hit in [
            ellipsoid(from(1.1, 0.0), down, [1.0, 2.0, 3.0]),
            capsule(from(0.6, 0.0), down, 0.5, 2.0),
            cylinder([0.0, -10.0, 2.1], [0.0, 1.0, 0.0], 0.5, 2.0),
            cuboid(from(1.1, 0.0), down, [1.0, 2.0, 3.0]),
        ] {
            assert!(hit.is_none(), "{hit:?}");
        }
    }

    /// Every task has a picture with its robot in it, and what moves changes it.
    #[test]
    fn every_kind_of_task_has_a_picture_that_moves() {
        let context = context();
        for name in [
            "CartPole",
            "OptionPoint",
            "NoisyTV",
            "SafetyPointGoal2",
            "SafetyDoggoButton1",
            "HalfCheetah",
            "AntGather",
            "Humanoid",
        ] {
            let listing = crate::find(name).unwrap();
            if listing.needs_mujoco && context.library.is_none() {
                continue;
            }
            let mut env = crate::make(name, &context).unwrap();
            let spec = env.spec().clone();
            let (mut obs, mut costs) = (vec![0.0; spec.obs_dim], vec![0.0; spec.costs.len()]);
            env.reset(0, &mut obs).unwrap();
            let painter = Painter::new(env.scene(), &env.frame());
            let before = painter.paint(&env.frame(), 80, 60);
            assert_eq!(before.len(), 80 * 60 * 3);
            let colours: std::collections::HashSet<&[u8]> = before.chunks(3).collect();
            assert!(colours.len() > 5, "{name}: {} colours", colours.len());
            assert_eq!(before, painter.paint(&env.frame(), 80, 60), "{name}");
            let mut stream = Stream::new(0, "test", 0);
            for _ in 0..40 {
                let action: Vec<f64> = match &spec.action {
                    crate::space::Space::Box { low, high } => {
                        low.iter().zip(high).map(|(l, h)| l + (h - l) * stream.uniform()).collect()
                    }
                    crate::space::Space::Discrete { n } => vec![stream.below(*n) as f64],
                };
                env.step(&action, &mut obs, &mut costs).unwrap();
            }
            let after = painter.paint(&env.frame(), 80, 60);
            let changed = before.chunks(3).zip(after.chunks(3)).filter(|(a, b)| a != b).count();
            assert!(changed > 3, "{name}: {changed} pixels changed");
        }
    }
}
