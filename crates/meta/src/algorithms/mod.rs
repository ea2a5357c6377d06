//! The algorithms: one file each, one line each below.

pub mod fomaml;
pub mod maml;
pub mod reptile;

use tony_run::{Field, Layer, Plan, Settings};

use crate::inner::{self, Inner};
use crate::learner::Losses;
use crate::tasks::{self, Kind};
use crate::{Error, Result, outer, train};

/// Overwrites the last argument with the direction in which one task moves the initialisation; the mean loss on the way.
pub type Direction = dyn Fn(&Losses, &[f32], &mut Inner, &mut [f32]) -> Result<f64> + Send + Sync;

/// An algorithm, ready.
pub struct Method {
    /// What it makes of a task.
    pub direction: Box<Direction>,
    /// Whether the last minibatch is of examples of its own.
    pub separate_tail: bool,
}

/// What `tony list algos` shows of an algorithm, and how to build it.
pub struct Entry {
    /// Name on the command line.
    pub name: &'static str,
    /// Name in words.
    pub title: &'static str,
    /// Kind of algorithm.
    pub family: &'static str,
    /// What it does, in a line.
    pub summary: &'static str,
    /// Where it was published.
    pub paper: &'static str,
    groups: &'static [fn() -> Vec<Field>],
    build: fn(&Plan) -> Result<Method>,
}

/// Groups that every algorithm has.
const COMMON: &[fn() -> Vec<Field>] =
    &[train::Config::fields, outer::Config::fields, inner::Config::fields, tasks::Config::fields];

/// Every algorithm.
const ENTRIES: &[Entry] = &[reptile::ENTRY, fomaml::ENTRY, maml::ENTRY];

/// Every algorithm there is.
pub fn list() -> &'static [Entry] {
    ENTRIES
}

/// The algorithm called `name`, where it is one of these.
pub fn find(name: &str) -> Option<&'static Entry> {
    ENTRIES.iter().find(|entry| entry.name == name)
}

impl Entry {
    /// Every setting on a task, with its documentation; without a task those of all tasks.
    pub fn fields(&self, task: Option<Kind>) -> Vec<Field> {
        let own = match task {
            Some(kind) => vec![kind.fields()],
            None => Kind::ALL.iter().map(|kind| kind.fields()).collect(),
        };
        let groups = COMMON.iter().chain(self.groups).flat_map(|group| group());
        groups.chain(own.into_iter().flatten()).collect()
    }

    /// Lay a settings file and the command line over the preset that they choose (`preset=NAME`), and that over the defaults. On Omniglot
    /// the default preset depends on `ways`.
    pub fn resolve(&self, task: &str, layers: &[Layer]) -> Result<Plan> {
        let kind = Kind::find(task)?;
        let fields = self.fields(Some(kind));
        let chosen = Plan::resolve(self.name, kind.name(), &fields, layers)?;
        let name = chosen.get("preset").unwrap_or_default();
        let presets = tasks::presets(self.name, kind, &chosen);
        let preset = presets.iter().find(|preset| preset.chosen_by == name).ok_or_else(|| Error::UnknownPreset {
            name: name.to_owned(),
            algorithm: self.name,
            task: kind.name().to_owned(),
            known: presets.iter().map(|preset| preset.chosen_by).collect::<Vec<_>>().join(", "),
        })?;
        let mut all = vec![Layer::preset(&preset.name, preset.values.iter().flat_map(|values| values.iter()))];
        all.extend_from_slice(layers);
        Ok(Plan::resolve(self.name, kind.name(), &fields, &all)?)
    }

    /// Build the algorithm.
    pub fn build(&self, plan: &Plan) -> Result<Method> {
        (self.build)(plan)
    }
}
