//! A recipe: which trainings show which claims of a paper, and the criteria, written down before anything runs.

use std::path::Path;

use serde::{Deserialize, Serialize};
use tony_run::{Layer, Plan, Source, nearest};

use super::experiments;
use super::measure::{Criterion, Value};
use crate::failure::{Failure, Result};
use crate::report;
use crate::workload::Algorithm;

/// The recipes that come with the program, by the paper's short name; of another budget than small, where that is another recipe, with its name.
const BUILT_IN: &[(&str, &str)] = &[
    ("empi", include_str!("../../../../recipes/empi.toml")),
    ("cpo", include_str!("../../../../recipes/cpo.toml")),
    ("pid_lagrangian", include_str!("../../../../recipes/pid_lagrangian.toml")),
    ("surprise", include_str!("../../../../recipes/surprise.toml")),
    ("preqn", include_str!("../../../../recipes/preqn.toml")),
    ("valor", include_str!("../../../../recipes/valor.toml")),
    #[cfg(feature = "meta")]
    ("reptile", include_str!("../../../../recipes/reptile.toml")),
    #[cfg(feature = "lm")]
    ("rbr", include_str!("../../../../recipes/rbr.toml")),
    #[cfg(feature = "lm")]
    ("rbr.medium", include_str!("../../../../recipes/rbr.medium.toml")),
    #[cfg(feature = "lm")]
    ("rbr.paper", include_str!("../../../../recipes/rbr.paper.toml")),
];

/// How much may be spent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Budget {
    /// Half an hour on two cores.
    Small,
    /// Hours on two cores, with a real model (rbr).
    Medium,
    /// The paper's own sizes.
    Paper,
}

impl Budget {
    /// As it is typed.
    pub fn name(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Medium => "medium",
            Self::Paper => "paper",
        }
    }
}

/// What a recipe file says.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recipe {
    /// Short name of the paper.
    pub paper: String,
    /// Its title.
    pub title: String,
    /// Authors, year, where it was published.
    pub source: String,
    /// What is reproduced here, what is not, and why.
    pub about: String,
    /// Seeds of every training and experiment, from 0.
    pub seeds: usize,
    /// Trainings.
    #[serde(default)]
    pub run: Vec<Run>,
    /// Measurements without training.
    #[serde(default)]
    pub experiment: Vec<Experiment>,
    /// What the paper claims, and what would show it.
    pub claim: Vec<Claim>,
    /// What is left to a person, in order, where this program alone cannot do it.
    #[serde(default)]
    pub command: Vec<Command>,
    /// Tables of what experiments measure.
    #[serde(default)]
    pub table: Vec<Table>,
    /// Curves to look at.
    #[serde(default)]
    pub figure: Vec<Figure>,
}

/// Trainings of one algorithm with one set of settings, one for each seed.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Run {
    /// Its name in this recipe.
    pub id: String,
    /// The algorithm.
    pub algorithm: String,
    /// The environment; without one, that of the run named in `like`.
    pub env: Option<String>,
    /// Steps in all; without, those of the run named in `like`.
    pub steps: Option<u64>,
    /// An earlier run of this recipe whose settings this one begins with.
    pub like: Option<String>,
    /// Settings as on the command line.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Seeds, where not the recipe's number.
    pub seeds: Option<usize>,
    /// Data that not everybody has: without it the run is left out, and claims that need it are not run.
    pub needs: Option<String>,
    /// What changes at the paper's own sizes.
    pub paper: Option<Larger>,
}

/// What changes at the paper's own sizes.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Larger {
    /// Steps in all.
    pub steps: Option<u64>,
    /// Settings besides.
    #[serde(default)]
    pub settings: Vec<String>,
    /// Seeds.
    pub seeds: Option<usize>,
}

/// A measurement without training: see [`experiments`].
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Its name in this recipe and in [`experiments::ALL`].
    pub id: String,
    /// Seeds, where not the recipe's number.
    pub seeds: Option<usize>,
}

/// A claim and what would show it.
#[derive(Clone, Debug, Deserialize)]
pub struct Claim {
    /// What is claimed.
    #[serde(rename = "claim")]
    pub says: String,
    /// What the paper (or, marked so, a reference run of its method) gives.
    pub paper: String,
    /// What is measured here, once for each seed.
    pub value: Value,
    /// Subtracted from it, seed by seed.
    pub minus: Option<Value>,
    /// Divides it, seed by seed.
    pub over: Option<Value>,
    /// When the claim counts as reproduced.
    #[serde(flatten)]
    pub criterion: Criterion,
}

/// One step of what is left to a person.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Command {
    /// What it is for.
    pub does: String,
    /// What is typed.
    pub run: String,
}

/// Values of an experiment that are named `ROW.COLUMN`.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// What the rows are.
    pub title: String,
    /// The experiment.
    pub experiment: String,
    /// Columns: how each is called in values' names, and in the table.
    pub columns: Vec<[String; 2]>,
    /// Rows.
    pub rows: Vec<Row>,
}

/// A row of a table.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Row {
    /// How it is called in values' names.
    pub id: String,
    /// How it is called in the table.
    pub name: String,
    /// Column by column, what the paper gives.
    #[serde(default)]
    pub paper: Vec<String>,
}

/// One chart with a curve for each of several runs.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Figure {
    /// What is shown.
    pub title: String,
    /// The quantity.
    pub metric: String,
    /// Its unit.
    #[serde(default)]
    pub unit: String,
    /// Ids of the runs.
    pub runs: Vec<String>,
    /// A line that values should stay below.
    pub limit: Option<f64>,
}

/// A training of a recipe, resolved.
#[derive(Clone, Debug)]
pub struct Planned {
    /// Id of its run.
    pub id: String,
    /// Its seed.
    pub seed: u64,
    /// Its settings.
    pub plan: Plan,
    /// Data that not everybody has.
    pub needs: Option<String>,
}

/// The recipe of a paper for a budget, or in a file; and its text.
pub fn find(paper: &str, budget: Budget) -> Result<(Recipe, String)> {
    let known = |wanted: &str| BUILT_IN.iter().find(|(name, _)| *name == wanted);
    let own = known(&format!("{paper}.{}", budget.name()));
    let (name, text) = if let Some((name, text)) = own.or_else(|| known(paper)) {
        if budget == Budget::Medium && own.is_none() {
            let what = format!("`{paper}` has no medium budget: only rbr has");
            return Err(Failure::usage("no_budget", what).hint(format!("tony reproduce {paper} --budget small")));
        }
        ((*name).to_owned(), (*text).to_owned())
    } else if Path::new(paper).extension().is_some_and(|extension| extension == "toml") {
        let text = fs_err::read_to_string(paper).map_err(|error| Failure::usage("no_recipe", error))?;
        (paper.to_owned(), text)
    } else {
        let names = || BUILT_IN.iter().map(|(name, _)| *name).filter(|name| !name.contains('.'));
        let known = names().collect::<Vec<_>>().join(", ");
        return Err(Failure::unknown(
            "unknown_paper",
            format!("there is no recipe for `{paper}`; there are {known}, and files that end in .toml"),
            paper,
            nearest(paper, names()),
            "tony reproduce --help",
        ));
    };
    Ok((parse(&text).map_err(|failure| failure.at(format!("in the recipe {name}")))?, text))
}

/// Read a recipe and check all that can be checked without its trainings.
pub fn parse(text: &str) -> Result<Recipe> {
    let recipe: Recipe =
        toml::from_str(text).map_err(|error| Failure::usage("bad_recipe", error.to_string().trim()))?;
    recipe.check()?;
    Ok(recipe)
}

impl Recipe {
    fn check(&self) -> Result<()> {
        let bad = |what: String| Err(Failure::usage("bad_recipe", what));
        let ids: Vec<&str> = self.ids().collect();
        for (i, id) in ids.iter().enumerate() {
            if ids[..i].contains(id) {
                return bad(format!("two runs or experiments are called `{id}`"));
            }
            if id.is_empty()
                || !id.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
                || id.starts_with('.')
            {
                return bad(format!("`{id}` is no name for a folder: letters, digits, `-`, `_` and `.` are"));
            }
        }
        for experiment in &self.experiment {
            if experiments::find(&experiment.id).is_none() {
                let known = || experiments::ALL.iter().map(|known| known.id);
                let near = meant(&experiment.id, known());
                let known = known().collect::<Vec<_>>().join(", ");
                return bad(format!("there is no experiment `{}`; there are {known}{near}", experiment.id));
            }
        }
        for claim in &self.claim {
            claim.criterion.check().or_else(|what| bad(format!("the claim \"{}\": {what}", claim.says)))?;
            for value in [Some(&claim.value), claim.minus.as_ref(), claim.over.as_ref()].into_iter().flatten() {
                self.check_value(value).or_else(|what| bad(format!("the claim \"{}\": {what}", claim.says)))?;
            }
        }
        for table in &self.table {
            for (row, [column, _]) in table.rows.iter().flat_map(|row| table.columns.iter().map(move |c| (row, c))) {
                let value =
                    Value::Experiment { experiment: table.experiment.clone(), value: format!("{}.{column}", row.id) };
                self.check_value(&value).or_else(|what| bad(format!("the table \"{}\": {what}", table.title)))?;
            }
        }
        for figure in &self.figure {
            let runs = figure.runs.iter().try_for_each(|run| self.check_run(run));
            let checked = runs.and_then(|()| check_metric(&figure.metric));
            checked.or_else(|what| bad(format!("the figure \"{}\": {what}", figure.title)))?;
        }
        Ok(())
    }

    fn check_run(&self, run: &str) -> std::result::Result<(), String> {
        let known = || self.run.iter().map(|known| known.id.as_str());
        let unknown = || format!("it names a run `{run}`, which the recipe lacks{}", meant(run, known()));
        known().any(|known| known == run).then_some(()).ok_or_else(unknown)
    }

    fn check_value(&self, value: &Value) -> std::result::Result<(), String> {
        match value {
            Value::Run { run, metric, .. } => {
                self.check_run(run)?;
                check_metric(metric)
            }
            Value::Experiment { experiment, value } => {
                let known = self.experiment.iter().find(|known| &known.id == experiment);
                let known = known.and_then(|known| experiments::find(&known.id));
                let known =
                    known.ok_or_else(|| format!("it names an experiment `{experiment}`, which the recipe lacks"))?;
                let values = known.values();
                if values.contains(value) {
                    return Ok(());
                }
                let near = meant(value, values.iter().map(String::as_str));
                Err(format!("`{experiment}` measures no `{value}`{near}; it measures {}", values.join(", ")))
            }
        }
    }

    /// Names of all runs and experiments.
    fn ids(&self) -> impl Iterator<Item = &str> {
        let runs = self.run.iter().map(|run| run.id.as_str());
        runs.chain(self.experiment.iter().map(|experiment| experiment.id.as_str()))
    }

    /// Every training, seed by seed, so that early results are whole comparisons. Unknown algorithms, environments and settings are refused.
    pub fn plan(&self, budget: Budget, seeds: Option<usize>) -> Result<Vec<Planned>> {
        let mut planned = Vec::new();
        for run in &self.run {
            let place = |failure: Failure| {
                failure.at(format!("in the run `{}` of the recipe {}", run.id, self.paper)).of_algorithm(&run.algorithm)
            };
            let larger = run.paper.clone().filter(|_| budget == Budget::Paper).unwrap_or_default();
            let chain = self.chain(run).map_err(place)?;
            let missing = |what: &str| place(Failure::usage("bad_recipe", format!("it has no {what}")));
            let env = chain.iter().rev().find_map(|run| run.env.as_deref()).ok_or_else(|| missing("env"))?;
            let steps = chain.iter().rev().find_map(|run| run.steps).ok_or_else(|| missing("steps"))?;
            let algorithm = Algorithm::find(&run.algorithm).map_err(place)?;
            let settings: Vec<String> =
                chain.iter().flat_map(|run| &run.settings).chain(&larger.settings).cloned().collect();
            for seed in 0..seeds.or(larger.seeds).or(run.seeds).unwrap_or(self.seeds) as u64 {
                let mut words = settings.clone();
                words.extend([format!("steps={}", larger.steps.unwrap_or(steps)), format!("seed={seed}")]);
                let words = Layer::command_line(&words).map_err(|error| place(error.into()))?;
                let layer = Layer { source: Source::File(format!("{}.toml", self.paper)), ..words };
                let plan = algorithm.resolve(env, &[layer]).map_err(place)?;
                planned.push(Planned { id: run.id.clone(), seed, plan, needs: run.needs.clone() });
            }
        }
        planned.sort_by_key(|planned| planned.seed);
        Ok(planned)
    }

    /// The run after those that it is like, the farthest first.
    fn chain<'a>(&'a self, run: &'a Run) -> Result<Vec<&'a Run>> {
        let mut chain = vec![run];
        while let Some(like) = &chain[0].like {
            let before = self.run.iter().take_while(|earlier| earlier.id != chain[0].id);
            let earlier = before.into_iter().find(|earlier| &earlier.id == like).ok_or_else(|| {
                Failure::usage("bad_recipe", format!("it is like `{like}`, and no run before it is called so"))
            })?;
            chain.insert(0, earlier);
        }
        Ok(chain)
    }
}

fn check_metric(metric: &str) -> std::result::Result<(), String> {
    let unknown = || format!("no training logs a quantity `{metric}`{}", meant(metric, report::metrics()));
    report::is_metric(metric).then_some(()).ok_or_else(unknown)
}

/// The known name that is near, as a question.
fn meant<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> String {
    nearest(name, known).map(|known| format!("; did you mean `{known}`?")).unwrap_or_default()
}
