//! Recorded trajectories of the reference environments, replayed.
//!
//! A re-implementation is right when it gives the same numbers. [`compare`] holds an environment against recordings in four
//! blocks, of which each decides the next: the compiled model's facts, the reset, one step from every recorded state, and
//! the open loop from the reset. The first three have a tolerance; the open loop is reported only, because contacts that
//! exactly touch amplify the last bit of a number.
//!
//! A difference is `|ours - recorded| / max(1, |recorded|)`. What cannot be measured so (another length, another word, not a
//! number) counts as [`MISFIT`].

mod atari;
mod classic;
mod gymnasium;
mod safety;

use crate::atari_ram::AtariRam;
use crate::registry::Task;
use crate::safety_gym::SafetyGym;
use crate::{Context, Error, Result, find};
use flate2::read::GzDecoder;
use serde::Serialize;
use serde_json::Value;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest difference of model facts and of the reset.
pub const EXACT: f64 = 1e-12;
/// Largest difference of one step from a recorded state, if no other tolerance is given.
pub const ONE_STEP: f64 = 1e-9;
/// The open loop is followed until a difference exceeds this.
pub const PARTED: f64 = 1e-6;
/// The difference of things that have none.
pub const MISFIT: f64 = f64::MAX;
/// Unpacked bytes of a recording, at most; those of 1,000 steps have some 5 million.
const MAX_BYTES: u64 = 256 << 20;

/// How an environment compares with its recordings.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// Environment's full name.
    pub env: String,
    /// Is every file within the tolerances?
    pub ok: bool,
    /// One entry a file, in the order given.
    pub files: Vec<FileReport>,
}

impl Report {
    /// Recordings of an environment that there is not.
    pub fn unknown(env: &str, files: &[PathBuf], error: &Error) -> Self {
        let report = |file: &PathBuf| FileReport {
            file: file.display().to_string(),
            error: Some(chain(error)),
            ..FileReport::default()
        };
        Self { env: env.to_owned(), ok: false, files: files.iter().map(report).collect() }
    }
}

/// How an environment compares with one recording; `None` where a block does not apply or was not reached.
#[derive(Clone, Debug, Default, Serialize)]
pub struct FileReport {
    /// The file's path.
    pub file: String,
    /// Is it within the tolerances?
    pub ok: bool,
    /// Why the file could not be replayed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<String>,
    /// Largest difference of the compiled model's facts.
    pub model: Option<f64>,
    /// Largest difference of the reset, given the recorded start.
    pub reset: Option<f64>,
    /// Largest difference of the start that the recorded seed leads to here; told, not judged, because a recording may
    /// have been started otherwise.
    pub reset_from_seed: Option<f64>,
    /// One step from each recorded state.
    pub one_step: Option<OneStep>,
    /// From the reset with the recorded actions.
    pub open_loop: Option<OpenLoop>,
    /// Where each block's largest difference is; blocks without a difference are left out.
    pub worst: Vec<Place>,
}

/// Largest differences of one step.
#[derive(Clone, Debug, Serialize)]
pub struct OneStep {
    /// Recorded states from which a step was made.
    pub checks: usize,
    /// Largest difference of an observation (and of the inner state, where it is recorded).
    pub obs: f64,
    /// Largest difference of a reward or of a flag (`terminated`).
    pub reward: f64,
    /// Largest difference of a cost; `None` for tasks without.
    pub cost: Option<f64>,
}

/// How long the open loop stays together.
#[derive(Clone, Debug, Serialize)]
pub struct OpenLoop {
    /// First step with a difference above [`PARTED`]; `None`: there is none.
    #[serde(rename = "first_step_above_1e-6")]
    pub first_step: Option<usize>,
    /// Steps that were recorded.
    pub steps: usize,
}

/// Where a block differs most.
#[derive(Clone, Debug, Serialize)]
pub struct Place {
    /// `model`, `reset`, `reset_from_seed`, `obs`, `reward` or `cost`.
    pub block: &'static str,
    /// The quantity, under the recording's name.
    pub quantity: String,
    /// By how much.
    pub difference: f64,
}

/// Name of the environment that a recording is of.
pub fn env_of(file: &Path) -> Result<String> {
    Recording::read(file)?.env()
}

/// Replay recordings of the environment called `name`. `tolerance` replaces [`ONE_STEP`]. A file that cannot be replayed is
/// an entry of the report, so that it does not hide the others.
pub fn compare(name: &str, files: &[PathBuf], tolerance: Option<f64>, context: &Context) -> Result<Report> {
    let listing = find(name)?;
    if listing.needs_mujoco {
        context.library(listing.name)?;
    }
    if listing.needs_meshes {
        context.meshes(listing.name)?;
    }
    if listing.needs_arcade() {
        context.arcade(listing.name)?;
    }
    if !listing.task.has_reference() {
        return Err(Error::NoRecordings { env: listing.name.to_owned() });
    }
    let report = |file: &PathBuf| {
        let measured = Recording::read(file).and_then(|recording| {
            recording.belongs_to(listing.name)?;
            match &listing.task {
                Task::AtariRam(game) => atari::replay(AtariRam::new(game, context.arcade(listing.name)?), &recording),
                Task::ClosedForm(make) => classic::replay(make().as_mut(), &recording),
                Task::Locomotion(task) => gymnasium::replay(task, context, &recording),
                Task::SafetyGym(entry) => {
                    let (library, (robot, task)) = (context.library(listing.name)?, entry.build());
                    safety::replay(SafetyGym::new(robot, task, context)?, library, &recording)
                }
                _ => Err(Error::NoRecordings { env: listing.name.to_owned() }),
            }
        });
        let file = file.display().to_string();
        match measured {
            Ok(measured) => measured.report(file, tolerance.unwrap_or(ONE_STEP)),
            Err(error) => FileReport { file, error: Some(chain(&error)), ..FileReport::default() },
        }
    };
    let files: Vec<FileReport> = files.iter().map(report).collect();
    Ok(Report { env: listing.name.to_owned(), ok: files.iter().all(|file| file.ok), files })
}

/// An error with its causes, on one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}

/// What a replay measured.
#[derive(Debug, Default)]
pub(crate) struct Measured {
    /// Compiled facts and settings; `None` for a task without a compiled model.
    pub(crate) model: Option<Worst>,
    pub(crate) reset: Worst,
    /// The start that the seed leads to.
    pub(crate) reset_from_seed: Option<Worst>,
    /// Recorded states from which a step was made.
    pub(crate) checks: usize,
    pub(crate) obs: Worst,
    pub(crate) reward: Worst,
    /// `None` for a task without costs.
    pub(crate) cost: Option<Worst>,
    pub(crate) parted: Option<usize>,
    /// Recorded steps.
    pub(crate) steps: usize,
}

impl Measured {
    fn report(self, file: String, tolerance: f64) -> FileReport {
        let within = |worst: &Worst, tolerance: f64| worst.difference <= tolerance;
        let exact = within(&self.reset, EXACT) && self.model.as_ref().is_none_or(|model| within(model, EXACT));
        let stepped = [Some(&self.obs), Some(&self.reward), self.cost.as_ref()];
        let ok = exact && stepped.into_iter().flatten().all(|worst| within(worst, tolerance));
        let blocks = [
            ("model", self.model.as_ref()),
            ("reset", Some(&self.reset)),
            ("reset_from_seed", self.reset_from_seed.as_ref()),
            ("obs", Some(&self.obs)),
            ("reward", Some(&self.reward)),
            ("cost", self.cost.as_ref()),
        ];
        let worst = blocks.iter().filter_map(|&(block, worst)| {
            let worst = worst.filter(|worst| worst.difference > 0.0)?;
            Some(Place { block, quantity: worst.quantity.clone(), difference: worst.difference })
        });
        FileReport {
            file,
            ok,
            error: None,
            model: self.model.as_ref().map(|model| model.difference),
            reset: Some(self.reset.difference),
            reset_from_seed: self.reset_from_seed.as_ref().map(|worst| worst.difference),
            one_step: Some(OneStep {
                checks: self.checks,
                obs: self.obs.difference,
                reward: self.reward.difference,
                cost: self.cost.as_ref().map(|cost| cost.difference),
            }),
            open_loop: Some(OpenLoop { first_step: self.parted, steps: self.steps }),
            worst: worst.collect(),
        }
    }
}

/// The largest of many differences, and where it is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Worst {
    pub(crate) difference: f64,
    pub(crate) quantity: String,
}

impl Worst {
    /// Take note of a difference.
    pub(crate) fn note(&mut self, difference: f64, quantity: impl FnOnce() -> String) {
        if difference > self.difference {
            *self = Self { difference, quantity: quantity() };
        }
    }

    /// Compare two numbers.
    pub(crate) fn number(&mut self, ours: f64, recorded: f64, quantity: impl FnOnce() -> String) {
        self.note(difference(ours, recorded), quantity);
    }

    /// Compare two rows; `quantity` names the row.
    pub(crate) fn row(&mut self, ours: &[f64], recorded: &[f64], quantity: &str) {
        if ours.len() != recorded.len() {
            self.note(MISFIT, || format!("{quantity}: {} numbers, recorded {}", ours.len(), recorded.len()));
        }
        for (i, (&ours, &recorded)) in ours.iter().zip(recorded).enumerate() {
            self.number(ours, recorded, || format!("{quantity}[{i}]"));
        }
    }

    /// Compare our facts with recorded ones, field by field. What was recorded must be there and equal; what was not
    /// recorded is not compared.
    pub(crate) fn facts(&mut self, ours: &Value, recorded: &Value, quantity: &str) {
        match (ours, recorded) {
            (Value::Object(ours), Value::Object(recorded)) => {
                for (field, recorded) in recorded {
                    let quantity = format!("{quantity}.{field}");
                    match ours.get(field) {
                        Some(ours) => self.facts(ours, recorded, &quantity),
                        None => self.note(MISFIT, || format!("{quantity} (recorded, and not known here)")),
                    }
                }
            }
            (Value::Array(ours), Value::Array(recorded)) => {
                if ours.len() != recorded.len() {
                    self.note(MISFIT, || format!("{quantity}: {} entries, recorded {}", ours.len(), recorded.len()));
                }
                for (i, (ours, recorded)) in ours.iter().zip(recorded).enumerate() {
                    self.facts(ours, recorded, &format!("{quantity}[{i}]"));
                }
            }
            _ => match (ours.as_f64(), recorded.as_f64()) {
                (Some(ours), Some(recorded)) => self.number(ours, recorded, || quantity.to_owned()),
                _ if ours == recorded => {}
                _ => self.note(MISFIT, || format!("{quantity}: {ours}, recorded {recorded}")),
            },
        }
    }
}

/// Absolute below 1, relative above; [`MISFIT`] where either is not a number.
pub(crate) fn difference(ours: f64, recorded: f64) -> f64 {
    if ours == recorded {
        return 0.0;
    }
    let difference = (ours - recorded).abs() / recorded.abs().max(1.0);
    if difference.is_finite() { difference } else { MISFIT }
}

/// Facts that every compiled model has; a recording without them proves nothing.
const SECTIONS: [&str; 10] =
    ["opt", "dims", "stat", "qpos0", "qpos_spring", "body", "joint", "dof", "geom", "actuator"];

/// Compare a compiled model with the recording's `model`.
pub(crate) fn compare_model(model: &tony_mujoco::Model, recording: &Recording) -> Result<Worst> {
    let recorded = recording.root().at("model")?;
    for section in SECTIONS {
        recorded.at(section)?;
    }
    let mut worst = Worst::default();
    worst.facts(&model.facts(), recorded.value, "model");
    Ok(worst)
}

/// A recording as it was read.
#[derive(Debug)]
pub(crate) struct Recording {
    file: PathBuf,
    json: Value,
}

impl Recording {
    /// Read a recording: JSON, gzip-compressed or plain. The content decides which, not the name.
    pub(crate) fn read(file: &Path) -> Result<Self> {
        let bad = |reason: String| Error::BadGolden { file: file.to_owned(), reason };
        let mut packed = Vec::new();
        let source = fs_err::File::open(file).map_err(|source| bad(source.to_string()))?;
        source.take(MAX_BYTES + 1).read_to_end(&mut packed).map_err(|source| bad(source.to_string()))?;
        let text = if packed.starts_with(&[0x1f, 0x8b]) {
            let mut text = Vec::new();
            let read = GzDecoder::new(packed.as_slice()).take(MAX_BYTES + 1).read_to_end(&mut text);
            read.map_err(|error| bad(format!("it is damaged or cut off, gzip says: {error}")))?;
            text
        } else {
            packed
        };
        if text.len() as u64 > MAX_BYTES {
            return Err(bad(format!("it holds more than {} MB", MAX_BYTES >> 20)));
        }
        if text.is_empty() {
            return Err(bad("it is empty".to_owned()));
        }
        let json = serde_json::from_slice(&text).map_err(|error| match error.classify() {
            serde_json::error::Category::Eof => bad("it is cut off: the JSON in it does not end".to_owned()),
            _ => bad(format!("it is neither gzip nor JSON ({error})")),
        })?;
        Ok(Self { file: file.to_owned(), json })
    }

    /// The whole recording.
    pub(crate) fn root(&self) -> Node<'_> {
        Node { file: &self.file, path: String::new(), value: &self.json }
    }

    /// Name of the environment that it is of. Recordings of Atari games name the game.
    fn env(&self) -> Result<String> {
        let root = self.root();
        if root.get("env").is_none() && root.get("game").is_some() {
            return atari::env(&root);
        }
        Ok(root.at("env")?.text()?.to_owned())
    }

    /// Fails for a recording of another environment, and for JSON that is no recording.
    fn belongs_to(&self, env: &str) -> Result<()> {
        let root = self.root();
        let recorded = self.env()?;
        for key in ["actions", "steps", "reset"] {
            root.at(key)?;
        }
        if recorded == env { Ok(()) } else { Err(root.bad(&format!("is of {recorded}, not of {env}"))) }
    }
}

/// A value inside a recording that knows where it stands, for messages.
#[derive(Clone, Debug)]
pub(crate) struct Node<'a> {
    file: &'a Path,
    path: String,
    value: &'a Value,
}

impl<'a> Node<'a> {
    /// An error about this value: `problem` follows its name.
    pub(crate) fn bad(&self, problem: &str) -> Error {
        let name = if self.path.is_empty() { "it" } else { self.path.as_str() };
        Error::BadGolden { file: self.file.to_owned(), reason: format!("{name} {problem}") }
    }

    fn inner(&self, path: String, value: &'a Value) -> Self {
        Node { file: self.file, path, value }
    }

    /// A field, if it is there and not null.
    pub(crate) fn get(&self, key: &str) -> Option<Self> {
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        self.value.get(key).filter(|value| !value.is_null()).map(|value| self.inner(path, value))
    }

    /// A field.
    pub(crate) fn at(&self, key: &str) -> Result<Self> {
        self.get(key).ok_or_else(|| self.bad(&format!("has no `{key}`: this is not a golden recording")))
    }

    /// The entries of a list.
    pub(crate) fn items(&self) -> Result<impl ExactSizeIterator<Item = Self> + use<'_, 'a>> {
        let list = self.value.as_array().ok_or_else(|| self.bad("is not a list"))?;
        Ok(list.iter().enumerate().map(|(i, value)| self.inner(format!("{}[{i}]", self.path), value)))
    }

    /// An entry of a list.
    pub(crate) fn item(&self, i: usize) -> Result<Self> {
        let value = self.value.get(i).ok_or_else(|| self.bad(&format!("has no entry {i}")))?;
        Ok(self.inner(format!("{}[{i}]", self.path), value))
    }

    /// A text.
    pub(crate) fn text(&self) -> Result<&'a str> {
        self.value.as_str().ok_or_else(|| self.bad("is not a text"))
    }

    /// A number.
    pub(crate) fn number(&self) -> Result<f64> {
        self.value.as_f64().ok_or_else(|| self.bad("is not a number"))
    }

    /// A whole number that is not negative.
    pub(crate) fn index(&self) -> Result<usize> {
        let index = self.value.as_u64().ok_or_else(|| self.bad("is not a whole number"))?;
        Ok(index as usize)
    }

    /// A flag, recorded as 0 or 1.
    pub(crate) fn flag(&self) -> Result<bool> {
        match (self.value.as_u64(), self.value.as_bool()) {
            (Some(0), _) | (_, Some(false)) => Ok(false),
            (Some(1), _) | (_, Some(true)) => Ok(true),
            _ => Err(self.bad("is neither 0 nor 1")),
        }
    }

    /// A list of numbers.
    pub(crate) fn row(&self) -> Result<Vec<f64>> {
        let list = self.value.as_array().ok_or_else(|| self.bad("is not a list"))?;
        let row: Option<Vec<f64>> = list.iter().map(Value::as_f64).collect();
        row.ok_or_else(|| self.bad("is not a list of numbers"))
    }

    /// A list of exactly `len` numbers.
    pub(crate) fn row_of(&self, len: usize) -> Result<Vec<f64>> {
        let row = self.row()?;
        if row.len() == len { Ok(row) } else { Err(self.bad(&format!("has {} numbers, expected {len}", row.len()))) }
    }
}

#[cfg(test)]
mod tests;
