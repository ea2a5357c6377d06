//! One episode, recorded to be looked at again: the frames as compact JSON, the reward and the costs of every step.
//!
//! A frame is 20 or so shapes or bodies of which some move, so a recording stores *tracks*, not frames: each number that
//! describes one (its x, its radius, ...) is one constant, or one text over time. Numbers are kept in thousandths of a
//! world unit (of bodies in ten-thousandths, of their quaternions too), and texts hold differences, which is what makes a
//! 1,000-step episode of a Safety-Gymnasium task about 100 KB of plain JSON.
//!
//! ```text
//! {"format":2, "env":"SafetyPointGoal1-v0", "seed":7, "steps":1000000, "fps":50, "length":1000, "return":21.4,
//!  "reward":[...],                                                     one number a step
//!  "costs":[{"name":"hazards","total":31,"values":[...]}, ...],        one number a step
//!  "shapes":[{"kind":"goal","form":"disc","tracks":["oCDA...", 42, 300]}, ...],
//!  "lidars":[{"kind":"goal","bins":16,"tracks":[x, y, angle],"data":"AAB..."}],
//!  "scene":{...},                                                      see [`Scene`]
//!  "bodies":[{"tracks":[x, y, z, w, a, b, c]}, ...],
//!  "film":{...}}                                                       screens, where there are some: see `film.rs`
//! ```
//!
//! Tracks of a disc are x, y, r; of a rect x, y, half x, half y, angle; of a capsule from x, from y, to x, to y, r; of a
//! lidar x, y, angle; of a body its place and its unit quaternion. There are `length + 1` frames: frame 0 follows the reset
//! and frame t + 1 follows step t. Letters stand for 0 to 63: `A`-`Z`, `a`-`z`, `0`-`9`, `+`, `/`. `data` holds one letter
//! a bin, frame after frame: closeness 0 to 1. The text of a track holds its first value, then the difference of each later
//! frame to the frame before, each as a number whose lowest bit is the sign, five bits a letter, the lowest first; a letter
//! from 32 on has a successor.
//!
//! Format 1 had lists of numbers for texts, and no scenes; it is read too.

use crate::film::{self, Film};
use crate::frame::{Form, Frame, Lidar, Shape};
use crate::scene::{Pose, Scene};
use crate::{Env, Error, Result};
use serde::{Deserialize, Serialize};

/// Number of the file format that this code writes; it reads the ones before too.
pub const FORMAT: u32 = 2;

/// Stored units in one world unit, and in one radian.
const SCALE: f64 = 1000.0;
/// Stored units in a metre of a body's place, and in 1 of its quaternion: looked at from near, a millimetre would shake.
const FINE: f64 = 10_000.0;

/// Letters, from 0 to 63.
const LEVELS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";

/// A recorded episode.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Recording {
    format: u32,
    /// Environment's full name.
    pub env: String,
    /// Seed that the episode was reset with.
    pub seed: u64,
    /// Environment steps that the recorded policy had been trained for.
    pub steps: u64,
    /// Frames in one second of simulated time.
    pub fps: f64,
    /// The option that the recorded policy followed, where it has several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub option: Option<usize>,
    length: usize,
    #[serde(rename = "return")]
    total: f64,
    reward: Vec<f64>,
    costs: Vec<Channel>,
    shapes: Vec<ShapeTrack>,
    lidars: Vec<LidarTrack>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    scene: Option<Scene>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    bodies: Vec<BodyTrack>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    film: Option<film::Track>,
}

/// One cost channel of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Channel {
    /// Its name, for example `hazards`.
    pub name: String,
    /// Sum over the episode.
    pub total: f64,
    /// Cost of each step.
    pub values: Vec<f64>,
}

/// A number over time, in stored units.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
enum Track {
    /// It never changed.
    Still(i64),
    /// First value, then the difference of each later frame to the frame before, in letters.
    Moving(String),
    /// The same as numbers: format 1.
    Listed(Vec<i64>),
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct ShapeTrack {
    kind: String,
    form: FormName,
    tracks: Vec<Track>,
    /// Half-open ranges of frames in which the shape is there; left out where it always is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Vec<[usize; 2]>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FormName {
    Disc,
    Rect,
    Capsule,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct LidarTrack {
    kind: String,
    bins: usize,
    tracks: Vec<Track>,
    data: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Vec<[usize; 2]>>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct BodyTrack {
    tracks: Vec<Track>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    shown: Option<Vec<[usize; 2]>>,
}

/// Collects the frames of a running episode.
#[derive(Clone, Debug)]
pub struct Recorder {
    env: String,
    seed: u64,
    steps: u64,
    fps: f64,
    total: f64,
    totals: Vec<f64>,
    costs: Vec<Channel>,
    reward: Vec<f64>,
    shapes: Vec<Column<FormName>>,
    lidars: Vec<Column<usize>>,
    scene: Option<Scene>,
    /// One a body of the scene: its seven numbers, the last ones where it is not there, and whether it is.
    bodies: Vec<(Vec<Vec<i64>>, Vec<bool>)>,
    film: Film,
}

/// Numbers of one thing over all frames so far; `form` and `kind` are its identity from frame to frame.
#[derive(Clone, Debug)]
struct Column<F> {
    kind: String,
    form: F,
    /// `[frames][numbers of the form]` in stored units; before the thing appears its first numbers, after it left its last.
    values: Vec<Vec<i64>>,
    /// Lidar letters, `bins` a frame.
    letters: Vec<u8>,
    shown: Vec<bool>,
}

impl Recorder {
    /// Start with the present state of an environment that was just reset with `seed`; `steps` is how long the policy has been
    /// trained.
    pub fn of(env: &dyn Env, seed: u64, steps: u64) -> Self {
        let spec = env.spec();
        Self::new(&spec.name, seed, steps, 1.0 / env.step_seconds(), &spec.costs, env.scene(), &env.frame())
    }

    /// Start with the frame after the reset, and what solid frames are made of.
    ///
    /// `costs` names the channels of [`Recorder::push`], `steps` is how long the policy has been trained, `fps` the number
    /// of environment steps in a second of simulated time.
    pub fn new(
        env: &str,
        seed: u64,
        steps: u64,
        fps: f64,
        costs: &[String],
        scene: Option<Scene>,
        first: &Frame,
    ) -> Self {
        let channel = |name: &String| Channel { name: name.clone(), total: 0.0, values: Vec::new() };
        let mut recorder = Self {
            env: env.to_owned(),
            seed,
            steps,
            fps,
            total: 0.0,
            totals: vec![0.0; costs.len()],
            costs: costs.iter().map(channel).collect(),
            reward: Vec::new(),
            shapes: Vec::new(),
            lidars: Vec::new(),
            bodies: vec![Default::default(); scene.as_ref().map_or(0, |scene| scene.bodies)],
            scene,
            film: Film::default(),
        };
        recorder.add(first);
        recorder
    }

    /// Add one step: the frame it led to, its reward and its costs (one a channel).
    pub fn push(&mut self, frame: &Frame, reward: f64, costs: &[f64]) {
        self.total += reward;
        self.reward.push(millionths(reward));
        for ((channel, total), &cost) in self.costs.iter_mut().zip(&mut self.totals).zip(costs) {
            *total += cost;
            channel.values.push(millionths(cost));
        }
        self.add(frame);
    }

    fn add(&mut self, frame: &Frame) {
        let now = self.reward.len();
        self.film.add(frame.picture.as_ref());
        follow(&mut self.shapes, now, &frame.shapes, |shape| {
            let (form, values) = numbers(&shape.form);
            (shape.kind.as_str(), form, values, Vec::new())
        });
        follow(&mut self.lidars, now, &frame.lidars, |lidar| {
            let values = vec![stored(lidar.at[0]), stored(lidar.at[1]), stored(lidar.angle)];
            (
                lidar.kind.as_str(),
                lidar.bins.len(),
                values,
                lidar.bins.iter().map(|&closeness| letter(closeness)).collect(),
            )
        });
        for (i, (rows, shown)) in self.bodies.iter_mut().enumerate() {
            let pose = frame.bodies.get(i).copied().flatten();
            shown.push(pose.is_some());
            let fine = |pose: Pose| pose.numbers().map(|number| (number * FINE).round() as i64).to_vec();
            rows.push(match (pose.map(fine), rows.last()) {
                (Some(row), last) => row_near(row, last),
                (None, Some(last)) => last.clone(),
                (None, None) => fine(Pose::at([0.0; 3])),
            });
        }
    }

    /// The episode so far.
    pub fn finish(mut self) -> Recording {
        for (channel, total) in self.costs.iter_mut().zip(&self.totals) {
            channel.total = millionths(*total);
        }
        let shape = |column: Column<FormName>| ShapeTrack {
            shown: ranges(&column.shown),
            tracks: tracks(&column.values),
            kind: column.kind,
            form: column.form,
        };
        let lidar = |column: Column<usize>| LidarTrack {
            shown: ranges(&column.shown),
            tracks: tracks(&column.values),
            kind: column.kind,
            bins: column.form,
            data: column.letters.into_iter().map(char::from).collect(),
        };
        let body =
            |(rows, shown): (Vec<Vec<i64>>, Vec<bool>)| BodyTrack { tracks: tracks(&rows), shown: ranges(&shown) };
        Recording {
            format: FORMAT,
            env: self.env,
            seed: self.seed,
            steps: self.steps,
            fps: self.fps,
            option: None,
            length: self.reward.len(),
            total: millionths(self.total),
            reward: self.reward,
            costs: self.costs,
            shapes: self.shapes.into_iter().map(shape).collect(),
            lidars: self.lidars.into_iter().map(lidar).collect(),
            scene: self.scene,
            bodies: self.bodies.into_iter().map(body).collect(),
            film: self.film.finish(),
        }
    }
}

/// Play one episode of `env` with the policy `act(observation, action)` and record it.
///
/// `steps` is how long the policy has been trained.
pub fn record<E: From<Error>>(
    env: &mut dyn Env,
    seed: u64,
    steps: u64,
    mut act: impl FnMut(&[f64], &mut [f64]) -> std::result::Result<(), E>,
) -> std::result::Result<Recording, E> {
    let spec = env.spec().clone();
    let mut obs = vec![0.0; spec.obs_dim];
    let mut action = vec![0.0; spec.action.row_len()];
    let mut costs = vec![0.0; spec.costs.len()];
    env.reset(seed, &mut obs)?;
    let mut recorder = Recorder::of(env, seed, steps);
    loop {
        act(&obs, &mut action)?;
        let step = env.step(&action, &mut obs, &mut costs)?;
        recorder.push(&env.frame(), step.reward, &costs);
        if step.terminated || step.truncated {
            return Ok(recorder.finish());
        }
    }
}

impl Recording {
    /// Steps of the episode.
    pub fn length(&self) -> usize {
        self.length
    }

    /// Sum of rewards.
    pub fn total(&self) -> f64 {
        self.total
    }

    /// Cost channels, in the environment's order.
    pub fn costs(&self) -> &[Channel] {
        &self.costs
    }

    /// Reward of each step.
    pub fn reward(&self) -> &[f64] {
        &self.reward
    }

    /// What solid frames are made of.
    pub fn scene(&self) -> Option<&Scene> {
        self.scene.as_ref()
    }

    /// All `length + 1` frames, to the precision of the file.
    pub fn frames(&self) -> Vec<Frame> {
        let shapes: Vec<Vec<Vec<f64>>> = self.shapes.iter().map(|shape| self.unpack(&shape.tracks, SCALE)).collect();
        let lidars: Vec<Vec<Vec<f64>>> = self.lidars.iter().map(|lidar| self.unpack(&lidar.tracks, SCALE)).collect();
        let bodies: Vec<Vec<Vec<f64>>> = self.bodies.iter().map(|body| self.unpack(&body.tracks, FINE)).collect();
        let film = self.film.as_ref().and_then(|film| film.pictures(self.length + 1).ok()).unwrap_or_default();
        let frame = |t: usize| Frame {
            picture: film.get(t).cloned(),
            shapes: (self.shapes.iter().zip(&shapes))
                .filter(|(shape, _)| is_shown(shape.shown.as_deref(), t))
                .map(|(shape, values)| Shape { kind: shape.kind.clone(), form: form(shape.form, &values[t]) })
                .collect(),
            lidars: (self.lidars.iter().zip(&lidars))
                .filter(|(lidar, _)| is_shown(lidar.shown.as_deref(), t))
                .map(|(lidar, values)| Lidar {
                    kind: lidar.kind.clone(),
                    at: [values[t][0], values[t][1]],
                    angle: values[t][2],
                    bins: lidar.data.as_bytes()[t * lidar.bins..(t + 1) * lidar.bins]
                        .iter()
                        .map(|&letter| f64::from(level(letter)) / 63.0)
                        .collect(),
                })
                .collect(),
            bodies: (self.bodies.iter().zip(&bodies))
                .map(|(body, values)| {
                    let row = &values[t];
                    let pose = || Pose { at: [row[0], row[1], row[2]], turn: [row[3], row[4], row[5], row[6]] };
                    is_shown(body.shown.as_deref(), t).then(pose)
                })
                .collect(),
        };
        (0..=self.length).map(frame).collect()
    }

    /// The tracks as `[frames][tracks]` in world units.
    fn unpack(&self, tracks: &[Track], scale: f64) -> Vec<Vec<f64>> {
        let mut rows = vec![vec![0.0; tracks.len()]; self.length + 1];
        for (i, track) in tracks.iter().enumerate() {
            let changes = track.changes();
            let mut value = 0;
            for (t, row) in rows.iter_mut().enumerate() {
                value = match track {
                    Track::Still(constant) => *constant,
                    _ => i64::wrapping_add(value, changes[t]),
                };
                row[i] = value as f64 / scale;
            }
        }
        rows
    }

    /// The file's text: one line of JSON.
    pub fn to_json(&self) -> Result<String> {
        serde_json::to_string(self).map_err(|error| unusable(error.to_string()))
    }

    /// Read what [`Recording::to_json`] wrote; every length is checked, so that a damaged file is an error here and not
    /// a strange picture later.
    pub fn from_json(text: &str) -> Result<Self> {
        let recording: Self = serde_json::from_str(text).map_err(|error| unusable(error.to_string()))?;
        recording.validate()?;
        Ok(recording)
    }

    fn validate(&self) -> Result<()> {
        let frames = self.length.saturating_add(1);
        let same = |what: &str, found: usize, expected: usize| {
            let message = || unusable(format!("{what} has {found} entries, expected {expected}"));
            if found == expected { Ok(()) } else { Err(message()) }
        };
        let moving = |what: &str, tracks: &[Track], expected: usize| {
            same(&format!("the track list of {what}"), tracks.len(), expected)?;
            tracks.iter().try_for_each(|track| match track {
                Track::Still(_) => Ok(()),
                _ => same(&format!("a track of {what}"), track.changes().len(), frames),
            })
        };
        if !(1..=FORMAT).contains(&self.format) {
            return Err(unusable(format!("its format is {}, this program reads formats 1 to {FORMAT}", self.format)));
        }
        if !(self.fps.is_finite() && self.fps > 0.0) {
            return Err(unusable(format!("`fps` is {}, it must be a positive number", self.fps)));
        }
        same("`reward`", self.reward.len(), self.length)?;
        for channel in &self.costs {
            same(&format!("cost `{}`", channel.name), channel.values.len(), self.length)?;
        }
        for shape in &self.shapes {
            moving(&format!("shape `{}`", shape.kind), &shape.tracks, shape.form.count())?;
        }
        for lidar in &self.lidars {
            moving(&format!("lidar `{}`", lidar.kind), &lidar.tracks, 3)?;
            same(&format!("the data of lidar `{}`", lidar.kind), lidar.data.len(), lidar.bins.saturating_mul(frames))?;
        }
        for (i, body) in self.bodies.iter().enumerate() {
            moving(&format!("body {i}"), &body.tracks, 7)?;
        }
        same("the list of bodies", self.bodies.len(), self.scene.as_ref().map_or(0, |scene| scene.bodies))?;
        self.scene.as_ref().map_or(Ok(()), Scene::check).map_err(unusable)?;
        self.film.as_ref().map_or(Ok(()), |film| film.pictures(frames).map(drop))
    }
}

fn unusable(reason: String) -> Error {
    Error::BadRecording { reason }
}

impl FormName {
    /// Numbers that describe the form.
    fn count(self) -> usize {
        match self {
            Self::Disc => 3,
            Self::Rect | Self::Capsule => 5,
        }
    }
}

fn numbers(form: &Form) -> (FormName, Vec<i64>) {
    let (name, values): (_, &[f64]) = match form {
        Form::Disc { at, r } => (FormName::Disc, &[at[0], at[1], *r]),
        Form::Rect { at, half, angle } => (FormName::Rect, &[at[0], at[1], half[0], half[1], *angle]),
        Form::Capsule { from, to, r } => (FormName::Capsule, &[from[0], from[1], to[0], to[1], *r]),
    };
    (name, values.iter().map(|&value| stored(value)).collect())
}

fn form(name: FormName, v: &[f64]) -> Form {
    match name {
        FormName::Disc => Form::Disc { at: [v[0], v[1]], r: v[2] },
        FormName::Rect => Form::Rect { at: [v[0], v[1]], half: [v[2], v[3]], angle: v[4] },
        FormName::Capsule => Form::Capsule { from: [v[0], v[1]], to: [v[2], v[3]], r: v[4] },
    }
}

/// Append frame `now` to the columns.
///
/// A thing is the same thing as in the frame before if kind and form agree and it is the next such one in drawing order;
/// a new thing enters behind the one that it is drawn after.
fn follow<T, F: PartialEq>(
    columns: &mut Vec<Column<F>>,
    now: usize,
    things: &[T],
    describe: impl Fn(&T) -> (&str, F, Vec<i64>, Vec<u8>),
) {
    let mut previous = None;
    for thing in things {
        let (kind, form, values, letters) = describe(thing);
        let same = |c: &Column<F>| c.shown.len() == now && c.kind == kind && c.form == form;
        let at = columns.iter().position(same).unwrap_or_else(|| {
            let at = previous.map_or(0, |previous| previous + 1);
            let values = vec![values.clone(); now];
            let letters = vec![LEVELS[0]; letters.len() * now];
            columns.insert(at, Column { kind: kind.to_owned(), form, values, letters, shown: vec![false; now] });
            at
        });
        columns[at].values.push(values);
        columns[at].letters.extend(letters);
        columns[at].shown.push(true);
        previous = Some(at);
    }
    for column in columns.iter_mut().filter(|column| column.shown.len() == now) {
        if let Some(last) = column.values.last().cloned() {
            column.values.push(last);
        }
        let bins = column.letters.len() / now.max(1);
        column.letters.extend(std::iter::repeat_n(LEVELS[0], bins));
        column.shown.push(false);
    }
}

impl Track {
    /// What a moving track's text or list holds.
    fn changes(&self) -> Vec<i64> {
        let text = match self {
            Self::Still(_) => return Vec::new(),
            Self::Listed(changes) => return changes.clone(),
            Self::Moving(text) => text,
        };
        let (mut changes, mut number, mut shift) = (Vec::new(), 0_u64, 0_u32);
        for letter in text.bytes().map(level) {
            number |= u64::from(letter & 31).checked_shl(shift).unwrap_or(0);
            shift += 5;
            if letter < 32 {
                let size = (number >> 1) as i64;
                changes.push(if number & 1 == 1 { -size } else { size });
                (number, shift) = (0, 0);
            }
        }
        changes
    }

    /// A moving track.
    fn moving(changes: &[i64]) -> Self {
        let mut text = String::new();
        for change in changes {
            let mut number = change.unsigned_abs() << 1 | u64::from(*change < 0);
            loop {
                let more = if number >> 5 > 0 { 32 } else { 0 };
                text.push(char::from(LEVELS[(number & 31) as usize | more]));
                number >>= 5;
                if more == 0 {
                    break;
                }
            }
        }
        Self::Moving(text)
    }
}

/// A body's numbers with the sign of the quaternion that is nearer to the last one's: both are the same orientation, and of one sign its
/// numbers move smoothly.
fn row_near(mut row: Vec<i64>, last: Option<&Vec<i64>>) -> Vec<i64> {
    if last.is_some_and(|last| row[3..].iter().zip(&last[3..]).map(|(a, b)| a * b).sum::<i64>() < 0) {
        row[3..].iter_mut().for_each(|number| *number = -*number);
    }
    row
}

/// `[frames][numbers]` as one track a number.
fn tracks(rows: &[Vec<i64>]) -> Vec<Track> {
    let track = |i: usize| {
        let changes = std::iter::once(rows[0][i]).chain(rows.windows(2).map(|pair| pair[1][i] - pair[0][i]));
        let changes: Vec<i64> = changes.collect();
        if changes[1..].iter().all(|&change| change == 0) { Track::Still(changes[0]) } else { Track::moving(&changes) }
    };
    (0..rows.first().map_or(0, Vec::len)).map(track).collect()
}

/// Half-open ranges where `shown` holds; `None` where it always does.
fn ranges(shown: &[bool]) -> Option<Vec<[usize; 2]>> {
    let mut ranges: Vec<[usize; 2]> = Vec::new();
    for t in (0..shown.len()).filter(|&t| shown[t]) {
        match ranges.last_mut() {
            Some(range) if range[1] == t => range[1] = t + 1,
            _ => ranges.push([t, t + 1]),
        }
    }
    (ranges != [[0, shown.len()]]).then_some(ranges)
}

fn is_shown(ranges: Option<&[[usize; 2]]>, t: usize) -> bool {
    ranges.is_none_or(|ranges| ranges.iter().any(|range| (range[0]..range[1]).contains(&t)))
}

/// World units to stored units; what is not a number is stored as 0.
fn stored(value: f64) -> i64 {
    (value * SCALE).round() as i64
}

fn letter(closeness: f64) -> u8 {
    LEVELS[(closeness.clamp(0.0, 1.0) * 63.0).round() as usize]
}

fn level(letter: u8) -> u8 {
    LEVELS.iter().position(|&known| known == letter).unwrap_or(0) as u8
}

/// Rounded to six decimals: the sum of 1,000 rewards stays right to 0.0005.
fn millionths(value: f64) -> f64 {
    (value * 1e6).round() / 1e6
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::scene::View;

    /// A robot on a circle, a goal that jumps, a vase that vanishes, five still hazards, three lidars.
    fn world(t: usize) -> Frame {
        let turn = t as f64 * 0.01;
        let at = [1.5 * turn.cos(), 1.5 * turn.sin()];
        let disc = |kind: &str, at: [f64; 2], r: f64| Shape { kind: kind.into(), form: Form::Disc { at, r } };
        let mut shapes: Vec<Shape> = (0..16).map(|i| disc("hazard", [f64::from(i) * 0.2, -1.0], 0.2)).collect();
        shapes.push(disc("goal", if t < 300 { [1.0, 1.0] } else { [-1.0, 0.5] }, 0.3));
        if !(100..200).contains(&t) {
            let form = Form::Rect { at: [0.5, 0.25], half: [0.1, 0.1], angle: 0.3 };
            shapes.push(Shape { kind: "vase".into(), form });
        }
        shapes.push(disc("robot", at, 0.1));
        let to = [at[0] - 0.1 * turn.sin(), at[1] + 0.1 * turn.cos()];
        shapes.push(Shape { kind: "robot".into(), form: Form::Capsule { from: at, to, r: 0.02 } });
        let bins = |k: usize| (0..16).map(|i| ((i * k + t) % 100) as f64 / 100.0).collect();
        let lidar = |(k, kind): (usize, &str)| Lidar { kind: kind.into(), at, angle: turn, bins: bins(k + 1) };
        let bodies = vec![
            Some(Pose { at: [at[0], at[1], 0.1], turn: [(turn / 2.0).cos(), 0.0, 0.0, (turn / 2.0).sin()] }),
            (t < 500).then(|| Pose::at([1e3, -1e-3, 0.5])),
        ];
        let lidars = ["goal", "hazards", "vases"].into_iter().enumerate().map(lidar).collect();
        Frame { shapes, lidars, bodies, ..Frame::default() }
    }

    fn episode(length: usize) -> Recording {
        let costs = ["hazards".to_owned(), "cost".to_owned()];
        let scene = Scene { view: View::Corner, parts: Vec::new(), meshes: Vec::new(), bodies: 2 };
        let mut recorder = Recorder::new("SafetyPointGoal1-v0", 7, 1_000_000, 50.0, &costs, Some(scene), &world(0));
        for t in 1..=length {
            let cost = f64::from(u8::from(t % 50 < 3));
            recorder.push(&world(t), (t as f64 * 0.1).sin() / 30.0, &[cost, cost]);
        }
        recorder.finish()
    }

    #[test]
    fn every_frame_comes_back() {
        let recording = episode(1000);
        assert_eq!(Recording::from_json(&recording.to_json().unwrap()).unwrap(), recording);
        let frames = recording.frames();
        assert_eq!(frames.len(), 1001);
        for (t, frame) in frames.iter().enumerate() {
            let expected = world(t);
            assert_eq!(frame.shapes.len(), expected.shapes.len(), "frame {t}");
            for (shape, expected) in frame.shapes.iter().zip(&expected.shapes) {
                assert_eq!(shape.kind, expected.kind);
                // Stored in thousandths, so half of one is the largest rounding error.
                for (a, b) in numbers(&shape.form).1.iter().zip(plain(&expected.form)) {
                    assert!((*a as f64 / SCALE - b).abs() <= 0.000_501, "frame {t}: {shape:?} {expected:?}");
                }
            }
            for (body, expected) in frame.bodies.iter().zip(&expected.bodies) {
                assert_eq!(body.is_some(), expected.is_some());
                let (Some(body), Some(expected)) = (body, expected) else { continue };
                // A quaternion's opposite is the same orientation.
                let sign = if body.turn[0] * expected.turn[0] < 0.0 { -1.0 } else { 1.0 };
                let signed = |(i, x): (usize, f64)| if i < 3 { x } else { sign * x };
                for (a, b) in body.numbers().into_iter().enumerate().map(signed).zip(expected.numbers()) {
                    assert!((a - b).abs() <= 0.000_050_1, "frame {t}: {body:?} {expected:?}");
                }
            }
            for (lidar, expected) in frame.lidars.iter().zip(&expected.lidars) {
                assert_eq!(lidar.kind, expected.kind);
                // 64 levels: half a level is 1/126.
                assert!(lidar.bins.iter().zip(&expected.bins).all(|(a, b)| (a - b).abs() <= 1.0 / 126.0 + 1e-12));
            }
        }
    }

    fn plain(form: &Form) -> Vec<f64> {
        match form {
            Form::Disc { at, r } => vec![at[0], at[1], *r],
            Form::Rect { at, half, angle } => vec![at[0], at[1], half[0], half[1], *angle],
            Form::Capsule { from, to, r } => vec![from[0], from[1], to[0], to[1], *r],
        }
    }

    /// What programs before this one wrote: lists, and no scene.
    #[test]
    fn the_first_format_is_read() {
        let text = r#"{"format":1,"env":"Pendulum-v1","seed":1,"steps":0,"fps":20.0,"length":2,"return":-1.0,"reward":[-0.5,-0.5],"costs":[],
            "shapes":[{"kind":"robot","form":"disc","tracks":[[10,-3,0],5,300]}],"lidars":[]}"#;
        let frames = Recording::from_json(text).unwrap().frames();
        let at = |t: usize| frames[t].robot().unwrap();
        assert_eq!([at(0), at(1), at(2)], [[0.01, 0.005], [0.007, 0.005], [0.007, 0.005]]);
    }

    #[test]
    fn every_difference_has_letters() {
        let changes: Vec<i64> = (0..40).flat_map(|bits| [(1 << bits) - 1, -(1 << bits)]).collect();
        assert_eq!(Track::moving(&changes).changes(), changes);
        assert_eq!(Track::moving(&[0, -1, 16]), Track::Moving("ADgB".to_owned()));
    }

    #[test]
    fn sums_are_of_the_exact_numbers() {
        let recording = episode(1000);
        let exact: f64 = (1..=1000).map(|t| (f64::from(t) * 0.1).sin() / 30.0).sum();
        assert!((recording.total() - exact).abs() <= 5e-7); // written with six decimals
        assert_eq!(recording.costs()[0].total, 60.0); // steps 1, 2 and 50 k, 50 k + 1, 50 k + 2 for k = 1 to 19, and 1000
    }

    #[test]
    fn a_thousand_steps_stay_small() {
        let size = episode(1000).to_json().unwrap().len();
        assert!(size < 200_000, "{size} bytes");
    }

    #[test]
    fn an_empty_episode_is_one_frame() {
        let recording = episode(0);
        let again = Recording::from_json(&recording.to_json().unwrap()).unwrap();
        assert_eq!(again.frames().len(), 1);
    }

    #[test]
    fn a_damaged_file_is_refused_with_the_reason() {
        let text = episode(20).to_json().unwrap();
        let cases = [
            (text.replace("\"format\":2", "\"format\":9"), "its format is 9, this program reads formats 1 to 2"),
            (text.replace("\"bodies\":2", "\"bodies\":3"), "the list of bodies has 2 entries, expected 3"),
            (text.replace("\"length\":20", "\"length\":21"), "`reward` has 20 entries, expected 21"),
            (text.replace("\"fps\":50.0", "\"fps\":0.0"), "`fps` is 0"),
            (text.replacen("\"data\":\"", "\"data\":\"A", 1), "the data of lidar `goal` has 337 entries, expected 336"),
            (text.replace("\"form\":\"rect\"", "\"form\":\"disc\""), "the track list of shape `vase` has 5 entries"),
            (text[..text.len() / 2].to_owned(), "EOF while parsing"),
        ];
        for (damaged, reason) in cases {
            let message = Recording::from_json(&damaged).unwrap_err().to_string();
            assert!(message.contains(reason), "{message}");
        }
    }
}
