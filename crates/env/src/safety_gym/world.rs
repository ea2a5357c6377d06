//! A user's own world: robot, task and objects in a TOML file.
//!
//! ```toml
//! robot = "Point"            # Point, Car, Doggo, Racecar, Ant
//! task = "goal"              # goal, button, push, circle, run
//! extent = 1.5               # things are placed in the square of this half side, m
//!
//! [[objects]]
//! kind = "hazards"           # goal, hazards, vases, buttons, pillars, gremlins, box, circle, walls
//! count = 8
//!
//! [[objects]]
//! kind = "pillars"
//! name = "posts"             # of its lidar and its cost channel
//! places = [[0.5, 0.5], [-0.5, 0.5]]
//! ```
//!
//! Everything is Safety-Gymnasium's but for what the file says. A goal, a box, a circle and four buttons are there where the task needs
//! them, whether the file names them or not.

use super::layout::{Area, Place, distance};
use super::robots::{self, Robot};
use super::task::{self, Charge, Form, Kind, Motion, Objective, Task};
use super::{Generation, lidar};
use crate::{Error, Result};
use serde::Deserialize;
use std::path::Path;

const GENERATION: Generation = Generation::SafetyGymnasium;
/// Robots by name.
const ROBOTS: [(&str, fn() -> Robot); 5] = [
    ("Point", || robots::point(GENERATION)),
    ("Car", || robots::car(GENERATION)),
    ("Doggo", || robots::doggo(GENERATION)),
    ("Racecar", robots::racecar),
    ("Ant", robots::ant),
];
const TASKS: [&str; 5] = ["goal", "button", "push", "circle", "run"];
const KINDS: [&str; 9] = ["goal", "hazards", "vases", "buttons", "pillars", "gremlins", "box", "circle", "walls"];
/// Objects of one kind, at most: more are a slip of the fingers.
const MOST: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    robot: String,
    task: String,
    extent: Option<f64>,
    steps: Option<usize>,
    sight: Option<f64>,
    keepout: Option<f64>,
    start: Option<[Place; 2]>,
    #[serde(default)]
    objects: Vec<Object>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Object {
    kind: String,
    name: Option<String>,
    count: Option<usize>,
    places: Option<Vec<Place>>,
    within: Option<[Place; 2]>,
    size: Option<f64>,
    keepout: Option<f64>,
    travel: Option<f64>,
    seen: Option<bool>,
    cost: Option<bool>,
}

/// Is this the file of a world? It is one that names a robot, whether the rest of it can be read or not.
pub fn is_world(name: &str) -> bool {
    let path = Path::new(name);
    let names_robot =
        |text: String| text.lines().any(|line| line.split('=').next().is_some_and(|key| key.trim() == "robot"));
    path.extension().is_some_and(|extension| extension == "toml") && fs_err::read_to_string(path).is_ok_and(names_robot)
}

/// Robot and task of the file.
pub fn read(path: &Path) -> Result<(Robot, Task)> {
    let bad = |reason: String| Error::BadWorld { file: path.to_owned(), reason };
    let text = fs_err::read_to_string(path).map_err(|error| bad(error.to_string()))?;
    let file: File = toml::from_str(&text).map_err(|error| bad(error.to_string().trim_end().to_owned()))?;
    let name = path.file_stem().map_or_else(|| "world".into(), |stem| stem.to_string_lossy()).into_owned();
    file.build(name).map_err(bad)
}

/// What is wrong, in words.
type Fit<T> = std::result::Result<T, String>;

fn known<'a>(what: &str, name: &str, all: impl Iterator<Item = &'a str> + Clone) -> String {
    let near = all.clone().min_by_key(|known| strsim::damerau_levenshtein(&known.to_lowercase(), &name.to_lowercase()));
    let near = near.filter(|near| strsim::damerau_levenshtein(near, name) <= 1 + name.len() / 3);
    let meant = near.map(|near| format!("; `{near}` was meant?")).unwrap_or_default();
    format!("there is no {what} called `{name}`{meant}\nthere are {}", all.collect::<Vec<_>>().join(", "))
}

fn positive(what: &str, value: f64) -> Fit<f64> {
    if value > 0.0 && value.is_finite() { Ok(value) } else { Err(format!("{what} is {value}, and must be above 0")) }
}

impl File {
    fn build(self, name: String) -> Fit<(Robot, Task)> {
        let robot = ROBOTS.iter().find(|(robot, _)| *robot == self.robot);
        let (_, robot) = robot.ok_or_else(|| known("robot", &self.robot, ROBOTS.iter().map(|(robot, _)| *robot)))?;
        let robot = robot();
        let plain = match self.task.as_str() {
            "goal" => Task { kinds: Vec::new(), ..task::goal(GENERATION, 1) },
            "button" => Task { kinds: Vec::new(), ..task::button(GENERATION, 1) },
            "push" => Task { kinds: Vec::new(), ..task::push(GENERATION, 1, &robot) },
            "circle" => Task { kinds: Vec::new(), ..task::circle(GENERATION, 0) },
            "run" => Task { kinds: Vec::new(), ..task::run(GENERATION) },
            other => return Err(known("task", other, TASKS.iter().copied())),
        };
        let start = match self.start {
            Some(rectangle) => Area::Within(proper("start", rectangle)?),
            None => plain.start,
        };
        let mut task = Task {
            name,
            extent: positive("extent", self.extent.unwrap_or(plain.extent))?,
            max_steps: self.steps.unwrap_or(plain.max_steps),
            sight: positive("sight", self.sight.unwrap_or(plain.sight))?,
            keepout: self.keepout.unwrap_or(plain.keepout),
            start,
            ..plain
        };
        if task.max_steps == 0 {
            return Err("steps is 0, and must be 1 or more".to_owned());
        }
        for needed in needed(task.objective) {
            if !self.objects.iter().any(|object| object.kind == *needed) {
                let object = Object::of(needed);
                task.kinds.push(object.build(&robot, task.extent)?);
            }
        }
        for object in &self.objects {
            task.kinds.push(object.build(&robot, task.extent)?);
        }
        // What is reached or pushed comes first, then what stands, what is pushed about, what circles: the order in which places are drawn.
        task.kinds.sort_by_key(|kind| match kind.motion {
            Motion::Fixed => usize::from(!matches!(kind.name.as_str(), "goal" | "buttons")),
            Motion::Free => 2,
            Motion::Circling { .. } => 3,
        });
        check_names(&task)?;
        check_places(&task)?;
        Ok((robot, task))
    }
}

/// Kinds that a task needs.
fn needed(objective: Objective) -> &'static [&'static str] {
    match objective {
        Objective::Goal => &["goal"],
        Objective::Button => &["buttons"],
        Objective::Push => &["goal", "box"],
        Objective::Circle(_) => &["circle"],
        Objective::Run => &[],
    }
}

fn proper(what: &str, [low, high]: [Place; 2]) -> Fit<[Place; 2]> {
    let fine = low.iter().zip(high).all(|(low, high)| low.is_finite() && high.is_finite() && *low <= high);
    if fine {
        Ok([low, high])
    } else {
        Err(format!("{what} = [[x, y], [x, y]] is the lowest and the highest corner, in this order"))
    }
}

impl Object {
    fn of(kind: &str) -> Self {
        Self {
            kind: kind.to_owned(),
            name: None,
            count: None,
            places: None,
            within: None,
            size: None,
            keepout: None,
            travel: None,
            seen: None,
            cost: None,
        }
    }

    fn build(&self, robot: &Robot, extent: f64) -> Fit<Kind> {
        let called = self.name.as_deref().unwrap_or(&self.kind);
        let refuse = |what: &str| Err(format!("`{called}`: {what}"));
        let alone = matches!(self.kind.as_str(), "goal" | "box" | "circle");
        let of_a_kind = if self.kind == "buttons" { 4 } else { 1 };
        let count = match (self.count, &self.places) {
            (Some(count), Some(places)) if count != places.len() => {
                return refuse(&format!("count is {count}, and there are {} places", places.len()));
            }
            (_, Some(places)) => places.len(),
            (count, None) => count.unwrap_or(of_a_kind),
        };
        if count == 0 || count > MOST {
            return refuse(&format!("count is {count}, and must be from 1 to {MOST}"));
        }
        if alone && (count > 1 || self.name.is_some()) {
            return refuse(&format!("there is one {} and it has no other name", self.kind));
        }
        let mut kind = match self.kind.as_str() {
            "goal" => task::goal_kind(GENERATION),
            "hazards" => task::hazards(count),
            "vases" => task::vases(count, Charge::Disturbed { speed: 1e-4 }),
            "buttons" => task::buttons(count, Charge::Pressed),
            "pillars" => task::pillars(count, Charge::Touched),
            "gremlins" => task::gremlins(count),
            "box" => task::push_box(GENERATION, robot),
            "circle" => task::circle_kind(),
            "walls" => {
                if !matches!(count, 2 | 4) {
                    return refuse("there are 2 walls, across x, or 4");
                }
                let at = self.size.map_or(Ok(extent), |size| positive("size", size))?;
                let limits = [at, if count == 4 { at } else { f64::INFINITY }];
                task::walls(count, at, 2.0 * extent, limits)
            }
            other => return Err(known("kind of object", other, KINDS.iter().copied())),
        };
        if let Some(name) = &self.name {
            let plain = |c: char| c.is_ascii_lowercase() || c == '_';
            if name.is_empty() || !name.chars().all(plain) || KINDS.contains(&name.as_str()) {
                return refuse("a name is small letters and underscores, and none of the kinds");
            }
            kind.bodies = (0..count).map(|i| format!("{name}_{i}")).collect();
            kind.name.clone_from(name);
        }
        if let Some(size) = self.size.filter(|_| self.kind != "walls") {
            kind.resize(positive(&format!("`{called}`: size"), size)?);
        }
        if let Some(keepout) = self.keepout {
            if !(keepout >= 0.0 && keepout.is_finite()) {
                return refuse(&format!("keepout is {keepout}, and must be 0 or more"));
            }
            kind.keepout = keepout;
        }
        match (self.travel, &mut kind.motion) {
            (Some(radius), Motion::Circling { travel }) => *travel = positive(&format!("`{called}`: travel"), radius)?,
            (Some(_), _) => return refuse("only gremlins travel"),
            (None, _) => {}
        }
        match (&self.places, self.within) {
            (Some(_), Some(_)) => return refuse("give places or within, not both"),
            (Some(places), None) => {
                if places.iter().flatten().any(|x| !x.is_finite()) {
                    return refuse("a place is not finite");
                }
                kind.areas = places.iter().copied().map(Area::Near).collect();
            }
            (None, Some(rectangle)) => kind.areas = vec![Area::Within(proper(called, rectangle)?); count],
            (None, None) => {}
        }
        kind.seen = self.seen.unwrap_or(kind.seen);
        if self.cost == Some(true) && kind.charge == Charge::Free {
            return refuse("this kind costs nothing that could be switched on");
        }
        if self.cost == Some(false) {
            kind.charge = Charge::Free;
        }
        Ok(kind)
    }
}

impl Kind {
    /// Scale to this reach on the floor.
    fn resize(&mut self, size: f64) {
        let scale = size / self.form.reach();
        self.keepout *= scale;
        self.form = match self.form {
            Form::Cylinder { half, .. } => Form::Cylinder { radius: size, half },
            Form::Sphere { .. } => Form::Sphere { radius: size },
            Form::Cuboid { half } => Form::Cuboid { half: half.map(|half| half * scale) },
            Form::Posts { .. } => Form::Posts { half: size },
        };
        // What stands on the floor goes on to.
        if !matches!(self.form, Form::Cylinder { .. }) {
            self.height *= scale;
        }
    }
}

/// Lidars, channels and bodies are told apart by their names.
fn check_names(task: &Task) -> Fit<()> {
    for (i, kind) in task.kinds.iter().enumerate() {
        if task.kinds[..i].iter().any(|other| other.name == kind.name) {
            return Err(format!("two kinds of objects are called `{}`: give one of them `name = \"...\"`", kind.name));
        }
        let channels = |kind: &Kind| kind.charge.channels(&kind.name);
        let taken = task.kinds[..i].iter().flat_map(channels).collect::<Vec<_>>();
        if let Some(channel) = channels(kind).into_iter().find(|channel| taken.contains(channel)) {
            return Err(format!("two kinds of objects have the cost `{channel}`: give one of them another name"));
        }
    }
    let lidars = task.kinds.iter().filter(|kind| kind.seen).count();
    if lidars * lidar::BINS > 4096 {
        return Err(format!("{lidars} lidars are too many"));
    }
    Ok(())
}

/// Fixed places that can never be apart, and areas in which nothing fits.
fn check_places(task: &Task) -> Fit<()> {
    let mut fixed: Vec<(&str, Place, f64)> = Vec::new();
    let robot = ("the robot", task.start, task.keepout);
    let objects = task
        .kinds
        .iter()
        .flat_map(|kind| kind.bodies.iter().zip(&kind.areas).map(|(name, area)| (name.as_str(), *area, kind.keepout)));
    for (name, area, keepout) in std::iter::once(robot).chain(objects) {
        let room = match area {
            Area::Anywhere => 2.0 * task.extent,
            Area::Within([low, high]) if area == task.start && name == "the robot" && low == high => f64::INFINITY,
            Area::Within([low, high]) => (high[0] - low[0]).min(high[1] - low[1]),
            Area::Near(_) | Area::Exactly(_) => f64::INFINITY,
        };
        if room < 2.0 * keepout && !(keepout == 0.0) {
            return Err(format!("there is no room for `{name}`: it keeps {keepout} m to each side, and has {room} m"));
        }
        if let Area::Near(place) = area {
            for (other, there, kept) in &fixed {
                let (apart, needed) = (distance(place, *there), keepout + kept);
                if apart < needed {
                    return Err(format!(
                        "`{other}` at {there:?} and `{name}` at {place:?} are {apart:.3} m apart and keep {needed:.3} m\nmove one of \
                         them, or make a keepout smaller"
                    ));
                }
            }
            fixed.push((name, place, keepout));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety_gym::SafetyGym;
    use crate::testing::context;
    use crate::{Env, find, make};

    fn built(text: &str) -> Fit<(Robot, Task)> {
        toml::from_str::<File>(text).map_err(|error| error.to_string())?.build("mine".to_owned())
    }

    #[test]
    fn the_published_task_can_be_written_down() {
        let text = "robot = \"Car\"\ntask = \"goal\"\n[[objects]]\nkind = \"goal\"\nkeepout = 0.305\n[[objects]]\nkind = \"hazards\"\n\
                    count = 8\n[[objects]]\nkind = \"vases\"\ncost = false\n";
        let (robot, task) = built(text).unwrap();
        assert_eq!(robot.name, "Car");
        assert_eq!(Task { name: "Goal1".to_owned(), ..task }, task::goal(GENERATION, 1));
    }

    #[test]
    fn a_world_of_all_kinds_runs() {
        let context = context();
        if context.library.is_none() {
            return;
        }
        let text = "robot = \"Point\"\ntask = \"push\"\nextent = 3\nsteps = 50\n[[objects]]\nkind = \"pillars\"\nname = \"posts\"\n\
                    places = [[1, 1], [-1, 1]]\nsize = 0.1\n[[objects]]\nkind = \"gremlins\"\ncount = 2\ntravel = 0.2\n[[objects]]\nkind = \
                    \"hazards\"\nwithin = [[-3, -3], [0, 0]]\n[[objects]]\nkind = \"walls\"\ncount = 2\nsize = 2.5\n";
        let (robot, task) = built(text).unwrap();
        let mut env = SafetyGym::named("mine.toml", robot, task, &context).unwrap();
        assert_eq!(
            env.spec().costs,
            ["posts", "hazards", "out_of_boundary", "gremlins", "cost"].map(str::to_owned).to_vec()
        );
        let (mut obs, mut costs) = (vec![0.0; env.spec().obs_dim], vec![0.0; env.spec().costs.len()]);
        assert_eq!(obs.len(), 12 + 5 * lidar::BINS);
        for seed in 0..5 {
            env.reset(seed, &mut obs).unwrap();
            let ends: Vec<bool> =
                (0..50).map(|_| env.step(&[1.0, 0.3], &mut obs, &mut costs).unwrap().truncated).collect();
            assert!(ends[49] && !ends[..49].contains(&true));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let base = "robot = \"Point\"\ntask = \"goal\"\n";
        let object = |text: &str| format!("{base}[[objects]]\n{text}\n");
        for (text, said) in [
            ("robot = \"Pont\"\ntask = \"goal\"".to_owned(), "no robot called `Pont`; `Point` was meant?"),
            ("robot = \"Point\"\ntask = \"gaol\"".to_owned(), "no task called `gaol`; `goal` was meant?"),
            (format!("{base}extend = 2"), "unknown field `extend`"),
            (format!("{base}extent = -1"), "extent is -1, and must be above 0"),
            (object("kind = \"hazard\""), "no kind of object called `hazard`; `hazards` was meant?"),
            (object("kind = \"hazards\"\ncount = 0"), "`hazards`: count is 0"),
            (object("kind = \"hazards\"\nsize = -0.1"), "`hazards`: size is -0.1"),
            (object("kind = \"hazards\"\ntravel = 0.1"), "only gremlins travel"),
            (
                object("kind = \"hazards\"\n[[objects]]\nkind = \"hazards\""),
                "two kinds of objects are called `hazards`",
            ),
            (object("kind = \"goal\"\ncount = 2"), "there is one goal"),
            (
                object("kind = \"pillars\"\nplaces = [[0, 0], [0.1, 0]]"),
                "`pillar0` at [0.0, 0.0] and `pillar1` at [0.1, 0.0] are 0.100 m apart",
            ),
            (format!("{base}extent = 0.3"), "there is no room for `the robot`"),
            (
                object("kind = \"goal\"\nplaces = [[1, 0]]\n[[objects]]\nkind = \"pillars\"\nplaces = [[1.1, 0]]"),
                "`goal` at [1.0, 0.0] and `pillar0` at [1.1, 0.0]",
            ),
        ] {
            let error = built(&text).unwrap_err();
            assert!(error.contains(said), "{text}\n{error}");
        }
    }

    #[test]
    fn a_file_is_an_environment() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("crowded.toml");
        let name = path.to_str().unwrap();
        assert!(!is_world(name) && find(name).is_err());
        fs_err::write(&path, "prompts = \"a.jsonl\"\n").unwrap();
        assert!(!is_world(name));
        fs_err::write(
            &path,
            "robot = \"Point\"\ntask = \"goal\"\nextent = 1\n[[objects]]\nkind = \"pillars\"\ncount = 40\n",
        )
        .unwrap();
        assert!(is_world(name));
        let context = context();
        if context.library.is_none() {
            return;
        }
        let mut env = make(name, &context).unwrap();
        let error = env.reset(7, &mut vec![0.0; env.spec().obs_dim]).unwrap_err().to_string();
        assert!(
            error.contains("seed 7: no room for `pillar") && error.contains("100 tries in each of 10000 layouts"),
            "{error}"
        );
        fs_err::write(&path, "robot = \"Point\"\ntask = \n").unwrap();
        let error = find(name).err().unwrap().to_string();
        assert!(error.contains("crowded.toml is no world") && error.contains("line 2"), "{error}");
    }
}
