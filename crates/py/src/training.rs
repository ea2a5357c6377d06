//! Training in a Python program: in our environments by name, or in the program's own.

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::Duration;

use numpy::{PyArray2, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::{PyAny, PyDict};
use rayon::{ThreadPool, ThreadPoolBuilder};
use tony_env::space::Space;
use tony_env::{Env, Spec};
use tony_random::Stream;
use tony_rl::algorithms::{self, Entry};
use tony_rl::policy::Scratch;
use tony_rl::{Actor, Trainer, load_actor};
use tony_run::{
    Control, Exit, Field, Layer, Loaded, Manifest, Metrics, Outcome, Plan, RunFolder, Source, Stat, Training, stats,
};

use crate::failure::{Failure, Result};
use crate::foreign::{Cause, Foreign};
use crate::worlds;

/// How often the program is told how far the training is, and is asked whether it is to stop.
const TICK: Duration = Duration::from_millis(100);

/// Name, title and summary of every algorithm.
pub fn listings() -> impl ExactSizeIterator<Item = (&'static str, &'static str, &'static str)> {
    algorithms::list().iter().map(|entry| (entry.name, entry.title, entry.summary))
}

/// Where an agent acts.
struct Place {
    /// What the plan calls it.
    name: String,
    /// Makes an adapter of an environment of the program; none: the environment is ours.
    make: Option<Py<PyAny>>,
    cause: Cause,
    offline: bool,
}

impl Place {
    fn new(name: &str, make: Option<Py<PyAny>>, offline: bool) -> Result<Self> {
        let name = match make {
            Some(_) => format!("{}{name}", tony_env::IN_PYTHON),
            None => tony_env::find(name)?.name.to_owned(),
        };
        Ok(Self { name, make, cause: Cause::default(), offline })
    }

    fn envs(&self, py: Python<'_>, n: usize) -> Result<Vec<Box<dyn Env>>> {
        let Some(make) = &self.make else { return worlds::make(py, &self.name, n, self.offline) };
        let env = |_| Ok(Box::new(Foreign::new(make.call0(py)?.bind(py), self.cause.clone())?) as Box<dyn Env>);
        (0..n).map(env).collect()
    }

    /// Its name to people.
    fn shown(&self) -> &str {
        self.name.strip_prefix(tony_env::IN_PYTHON).unwrap_or(&self.name)
    }

    /// Whose fault it was.
    fn blame(&self, error: tony_rl::Error) -> Failure {
        let cause = self.cause.lock().unwrap_or_else(PoisonError::into_inner).take();
        match error {
            tony_rl::Error::Env(error) if self.make.is_some() => Failure::of_env(error.to_string(), cause),
            other => other.into(),
        }
    }
}

/// A setting by the name that Python can write: `cost_limit` is `cost.limit`, `cost_limit_hazards` is `cost.limit.hazards`.
fn key(fields: &[Field], name: &str) -> String {
    let dotted = |field: &Field| match name.strip_prefix(&field.key.replace('.', "_")) {
        Some("") => Some(field.key.to_owned()),
        Some(rest) => Some(format!("{}.{}", field.key, rest.strip_prefix('_')?)).filter(|key| field.owns(key)),
        None => None,
    };
    if fields.iter().any(|field| field.owns(name)) {
        return name.to_owned();
    }
    fields.iter().find_map(dotted).unwrap_or_else(|| name.to_owned())
}

fn layer(entry: &Entry, settings: Vec<(String, String)>) -> Layer {
    let fields = entry.fields();
    let entries = settings.into_iter().map(|(name, text)| (key(&fields, &name), text)).collect();
    Layer { source: Source::CommandLine, entries }
}

/// A whole number of a plan, already checked when the plan was made.
fn number(plan: &Plan, key: &str) -> Result<u64> {
    let value = plan.get(key).and_then(|text| text.parse().ok());
    value.ok_or_else(|| Failure::new(format!("setting `{key}` is missing or not a whole number"), None))
}

/// Off-policy networks stretch their actions to the bounds.
fn check_bounds(entry: &Entry, spec: &Spec) -> Result<()> {
    let Space::Box { low, high } = &spec.action else { return Ok(()) };
    if entry.family != "off-policy" || low.iter().chain(high).all(|bound| bound.is_finite()) {
        return Ok(());
    }
    let what = format!("{} needs bounds on every action, and the action space of {} has none", entry.name, spec.name);
    Err(Failure::new(what, Some("gymnasium.wrappers.TransformAction, or ppo")))
}

/// Train with `algorithm` in the environment called `env`: ours, or the program's that `make` makes adapters of. `watch` is told how it
/// goes.
#[pyfunction]
#[pyo3(signature = (algorithm, env, settings, *, make = None, out = None, threads = 0, offline = false, watch))]
#[expect(clippy::too_many_arguments, reason = "they are Python's keyword arguments")]
pub fn train(
    py: Python<'_>,
    algorithm: &str,
    env: &str,
    settings: Vec<(String, String)>,
    make: Option<Py<PyAny>>,
    out: Option<PathBuf>,
    threads: usize,
    offline: bool,
    watch: &Bound<'_, PyAny>,
) -> Result<Policy> {
    let entry = algorithms::find(algorithm)?;
    let place = Place::new(env, make, offline)?;
    let plan = entry.resolve(&place.name, &[layer(entry, settings)])?;
    let pool = pool(threads)?;
    let envs = place.envs(py, number(&plan, "envs")? as usize)?;
    check_bounds(entry, envs[0].spec())?;
    let trainer = py.detach(|| pool.install(|| Trainer::new(&plan, envs))).map_err(|error| place.blame(error))?;
    let mut manifest = Manifest::new(number(&plan, "seed")?, pool.current_num_threads());
    let ours = tony_env::find(&plan.env);
    manifest.mujoco = ours.is_ok_and(|listing| listing.needs_mujoco).then(|| tony_mujoco::VERSION.to_owned());
    let folder = match out {
        Some(dir) => RunFolder::create(&dir, &plan, &manifest)?,
        None => RunFolder::create_in(Path::new("runs"), &plan, &manifest)?,
    };
    Run { entry, place, plan, pool, trainer, folder, before: (0, 0.0) }.finish(py, watch)
}

/// Go on with the run in the folder `run`, bit for bit as if it had never stopped; with `steps`, to so many in all.
#[pyfunction]
#[pyo3(signature = (run, *, steps = None, make = None, threads = 0, offline = false, watch))]
pub fn resume(
    py: Python<'_>,
    run: PathBuf,
    steps: Option<u64>,
    make: Option<Py<PyAny>>,
    threads: usize,
    offline: bool,
    watch: &Bound<'_, PyAny>,
) -> Result<Policy> {
    let mut folder = RunFolder::open(&run)?;
    let entry = algorithms::find(&folder.plan().algorithm)?;
    let mut plan = folder.plan().clone().check(&entry.fields())?;
    let place = place_of(&plan, &run, make, offline)?;
    if let Some(steps) = steps {
        for entry in plan.entries.iter_mut().filter(|entry| entry.key == "steps") {
            (entry.text, entry.source) = (steps.to_string(), Source::CommandLine);
        }
        plan = plan.check(&entry.fields())?;
    }
    let pool = pool(threads)?;
    let envs = place.envs(py, number(&plan, "envs")? as usize)?;
    let loaded = folder.latest()?;
    warn(py, loaded.iter().flat_map(|loaded| &loaded.warnings))?;
    let trainer = py.detach(|| {
        pool.install(|| {
            let mut trainer = Trainer::new(&plan, envs)?;
            loaded.as_ref().map_or(Ok(()), |loaded| trainer.restore(loaded))?;
            Ok(trainer)
        })
    });
    let trainer = trainer.map_err(|error| place.blame(error))?;
    let before = loaded.as_ref().map_or((0, 0.0), |loaded| (loaded.updates, loaded.seconds));
    folder.resume(loaded.as_ref())?;
    if steps.is_some() {
        folder.set_plan(&plan)?;
    }
    Run { entry, place, plan, pool, trainer, folder, before }.finish(py, watch)
}

/// The newest policy of the run in the folder `run`.
#[pyfunction]
#[pyo3(signature = (run, *, make = None, offline = false))]
pub fn load(py: Python<'_>, run: PathBuf, make: Option<Py<PyAny>>, offline: bool) -> Result<Policy> {
    let view = RunFolder::open_read(&run)?;
    let place = place_of(view.plan(), &run, make, offline)?;
    let none = || Failure::new(format!("{} has no checkpoint yet", run.display()), Some("tony_rl.resume"));
    let loaded = view.latest()?.ok_or_else(none)?;
    warn(py, &loaded.warnings)?;
    let env = place.envs(py, 1)?.swap_remove(0);
    Policy::new(place, &run, &view.plan().algorithm, &loaded, env.spec())
}

/// Where a run took place; `make` is needed, and used, where only the program has the environment.
fn place_of(plan: &Plan, run: &Path, make: Option<Py<PyAny>>, offline: bool) -> Result<Place> {
    match (plan.env.strip_prefix(tony_env::IN_PYTHON), make) {
        (Some(name), Some(make)) => Place::new(name, Some(make), offline),
        (None, None) => Place::new(&plan.env, None, offline),
        (Some(name), None) => {
            let what = format!("{} is a run in `{name}`, which only a Python program can make", run.display());
            Err(Failure::new(what, Some("name the function that makes it as the second argument")))
        }
        (None, Some(_)) => {
            let what = format!("{} is a run in `{}`, which needs nothing that makes it", run.display(), plan.env);
            Err(Failure::new(what, Some("leave the second argument out")))
        }
    }
}

/// `threads` threads; 0: as many as there are cores.
fn pool(threads: usize) -> Result<ThreadPool> {
    let pool = ThreadPoolBuilder::new().num_threads(threads).build();
    pool.map_err(|error| Failure::new(format!("{threads} threads cannot be started: {error}"), None))
}

fn warn<'a>(py: Python<'_>, warnings: impl IntoIterator<Item = &'a String>) -> Result<()> {
    let warn = py.import("warnings")?.getattr("warn")?;
    warnings.into_iter().try_for_each(|text| Ok(warn.call1((text,)).map(drop)?))
}

/// A training that is about to begin or to go on.
struct Run {
    entry: &'static Entry,
    place: Place,
    plan: Plan,
    pool: ThreadPool,
    trainer: Trainer,
    folder: RunFolder,
    /// Updates done and seconds worked before.
    before: (u64, f64),
}

impl Run {
    /// Train to the end, or until Python's own signal handler raises, which finishes the update and commits first.
    fn finish(mut self, py: Python<'_>, watch: &Bound<'_, PyAny>) -> Result<Policy> {
        let total = number(&self.plan, "steps")?;
        let run = self.folder.dir().to_owned();
        let channels = &self.trainer.spec().costs;
        let limits = limits(&self.plan, channels);
        watch.call_method1("start", (self.entry.title, self.place.shown(), &run, total, limits))?;
        let (outcome, interrupted, last) = self.train(py, total, watch)?;
        let (updates, seconds) = last.unwrap_or(self.before);
        let exit = |code, reason: &str, resume| Exit {
            code,
            reason: reason.to_owned(),
            steps: self.trainer.steps(),
            updates,
            seconds,
            resume: Some(format!("tony_rl.resume(\"{}\")", run.display())).filter(|_| resume),
        };
        match outcome {
            Err(error) => {
                let failure = self.place.blame(error);
                // The first failure is the one to tell, also where the disk that is full cannot take this line.
                let _ = self.folder.finish(&exit(1, &failure.text(), true));
                Err(failure)
            }
            Ok(Outcome::Stopped) => {
                self.folder.finish(&exit(130, "stopped by a signal", true))?;
                Err(interrupted.map_or_else(|| Failure::new("stopped", None), Failure::from))
            }
            Ok(Outcome::Finished) => {
                self.folder.finish(&exit(0, "finished", false))?;
                if let Some(error) = interrupted {
                    return Err(error.into());
                }
                warn(py, &self.folder.take_warnings())?;
                let none = || Failure::new(format!("{} has no checkpoint", run.display()), None);
                let loaded = self.folder.latest()?.ok_or_else(none)?;
                let Self { place, plan, trainer, .. } = self;
                Policy::new(place, &run, &plan.algorithm, &loaded, trainer.spec())
            }
        }
    }

    /// Train on threads of its own while this one, which is Python's, tells `watch` and listens for signals. How it ended, what the
    /// signal raised, and updates and seconds by the last line.
    fn train(&mut self, py: Python<'_>, total: u64, watch: &Bound<'_, PyAny>) -> Result<Ended> {
        let control = Control::default();
        control.steps.store(self.trainer.steps(), Ordering::Relaxed);
        let Self { pool, trainer, folder, .. } = self;
        let (sender, mut lines) = channel::<Metrics>();
        let (mut raised, mut last) = (None, None);
        let outcome = thread::scope(|scope| {
            let control = &control;
            let worker = scope.spawn(move || {
                pool.install(|| {
                    trainer.run(folder, total, control, &mut |metrics| {
                        // Nobody listens any more where telling failed; that ends the training, too.
                        let _ = sender.send(metrics.clone());
                    })
                })
            });
            loop {
                let lines = &mut lines;
                let line = py.detach(move || lines.recv_timeout(TICK));
                let told = match &line {
                    Ok(metrics) => {
                        last = metrics.get("updates").zip(metrics.get("seconds")).map(|(u, s)| (u as u64, s));
                        to_dict(py, metrics).and_then(|line| watch.call_method1("line", (line,)).map(drop))
                    }
                    Err(RecvTimeoutError::Timeout) => Ok(()),
                    Err(RecvTimeoutError::Disconnected) => break,
                };
                let far = (control.steps.load(Ordering::Relaxed), control.phase.load(Ordering::Relaxed));
                let told = told.and_then(|()| watch.call_method1("tick", far)).and_then(|_| py.check_signals());
                if let Err(error) = told {
                    raised.get_or_insert(error);
                    control.stop.store(true, Ordering::Relaxed);
                }
            }
            py.detach(|| worker.join())
        });
        let outcome = outcome.map_err(|_| Failure::new("the training panicked: this is a fault of tony_rl", None))?;
        Ok((outcome, raised, last))
    }
}

type Ended = (std::result::Result<Outcome, tony_rl::Error>, Option<PyErr>, Option<(u64, f64)>);

/// The limit of each channel that has one, by its metric.
fn limits(plan: &Plan, channels: &[String]) -> Vec<(String, f64)> {
    let limit = |name: &String| {
        let total = name == "cost";
        let key = if total { "cost.limit".to_owned() } else { format!("cost.limit.{name}") };
        let metric = if total { "Metrics/EpCost".to_owned() } else { format!("Cost/{name}") };
        Some((metric, plan.get(&key)?.parse().ok()?))
    };
    channels.iter().filter_map(limit).collect()
}

fn to_dict<'py>(py: Python<'py>, metrics: &Metrics) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    metrics.iter().try_for_each(|(name, value)| dict.set_item(name, value))?;
    Ok(dict)
}

/// A trained policy.
#[pyclass(module = "tony_rl._tony")]
pub struct Policy {
    place: Place,
    run: PathBuf,
    algorithm: String,
    steps: u64,
    spec: Spec,
    actor: Box<dyn Actor>,
    seats: Mutex<Vec<Seat>>,
}

/// What acting in one environment needs from step to step.
struct Seat {
    memory: Vec<f32>,
    stream: Stream,
    scratch: Scratch,
}

impl Policy {
    fn new(place: Place, run: &Path, algorithm: &str, loaded: &Loaded, spec: &Spec) -> Result<Self> {
        let (run, algorithm, spec) = (run.to_owned(), algorithm.to_owned(), spec.clone());
        let actor = load_actor(&loaded.policy, &spec)?;
        Ok(Self { place, run, algorithm, steps: loaded.steps, spec, actor, seats: Mutex::default() })
    }

    fn seat(&self, seed: u64, number: u64, option: Option<usize>) -> Seat {
        let mut seat = Seat {
            memory: vec![0.0; self.actor.memory_len()],
            stream: Stream::new(seed, "action", number),
            scratch: Scratch::default(),
        };
        self.actor.begin(&mut seat.stream, &mut seat.memory);
        if let Some(option) = option {
            self.actor.follow(option, &mut seat.memory);
        }
        seat
    }
}

#[pymethods]
impl Policy {
    /// The run folder.
    #[getter]
    fn run(&self) -> &Path {
        &self.run
    }

    /// The algorithm that trained it.
    #[getter]
    fn algorithm(&self) -> &str {
        &self.algorithm
    }

    /// The environment that it was trained in.
    #[getter]
    fn env(&self) -> &str {
        self.place.shown()
    }

    /// Environment steps that it was trained for.
    #[getter]
    fn steps(&self) -> u64 {
        self.steps
    }

    /// Numbers in an observation.
    #[getter]
    fn obs_dim(&self) -> usize {
        self.spec.obs_dim
    }

    /// Are its actions indices?
    #[getter]
    fn discrete(&self) -> bool {
        matches!(self.spec.action, Space::Discrete { .. })
    }

    /// How many options it has; 0: none.
    #[getter]
    fn options(&self) -> usize {
        self.actor.options()
    }

    /// Begin `n` episodes side by side: what it carries from step to step, and its random numbers, begin anew.
    #[pyo3(signature = (n = 1, *, seed = 0, option = None))]
    fn begin(&self, n: usize, seed: u64, option: Option<usize>) -> Result<()> {
        if let Some(option) = option.filter(|option| *option >= self.actor.options()) {
            let what = format!("there is no option {option}: {} has {}", self.algorithm, self.actor.options());
            return Err(Failure::new(what, None));
        }
        let seats = (0..n as u64).map(|number| self.seat(seed, number, option)).collect();
        *self.seats.lock().unwrap_or_else(PoisonError::into_inner) = seats;
        Ok(())
    }

    /// An action for each row of observations: the most likely one, or one drawn.
    fn act<'py>(
        &self,
        py: Python<'py>,
        obs: PyReadonlyArray2<'py, f32>,
        deterministic: bool,
    ) -> Result<Bound<'py, PyArray2<f32>>> {
        let [n, dim] = [0, 1].map(|axis| obs.shape()[axis]);
        if dim != self.spec.obs_dim {
            let what = format!("an observation of {} has {} numbers, not {dim}", self.env(), self.spec.obs_dim);
            return Err(Failure::new(what, None));
        }
        let width = self.spec.action.row_len();
        let actions = PyArray2::<f32>::zeros(py, [n, width], false);
        {
            let mut rows = actions.readwrite();
            let (obs, rows) = (worlds::contiguous(obs.as_slice())?, worlds::contiguous(rows.as_slice_mut())?);
            let mut seats = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
            if seats.len() != n {
                *seats = (0..n as u64).map(|number| self.seat(0, number, None)).collect();
            }
            for ((obs, act), seat) in obs.chunks(dim).zip(rows.chunks_mut(width)).zip(seats.iter_mut()) {
                let Seat { memory, stream, scratch } = seat;
                if deterministic {
                    self.actor.mode(obs, memory, act, scratch);
                } else {
                    self.actor.act(obs, memory, stream, act, scratch);
                }
            }
        }
        Ok(actions)
    }

    /// Return, costs and length of fresh episodes of the deterministic policy: mean, 95 % bootstrap interval, number of episodes.
    #[pyo3(signature = (episodes = 10, *, seed = 0))]
    fn evaluate<'py>(&self, py: Python<'py>, episodes: usize, seed: u64) -> Result<Bound<'py, PyDict>> {
        let mut env = self.place.envs(py, 1)?.swap_remove(0);
        let sums =
            py.detach(|| tony_rl::evaluate(self.actor.as_ref(), env.as_mut(), episodes, seed, &mut |_, _, _, _, _| ()));
        let sums = sums.map_err(|error| self.place.blame(error))?;
        let stat = |values: Vec<f64>| {
            let Stat { mean, lo, hi, n } =
                stats::mean(&values).ok_or_else(|| Failure::new("no episodes were asked for", Some("episodes=10")))?;
            let dict = PyDict::new(py);
            [("mean", mean), ("lo", lo), ("hi", hi)].iter().try_for_each(|(name, value)| dict.set_item(name, value))?;
            dict.set_item("n", n)?;
            Ok::<_, Failure>(dict)
        };
        let all = PyDict::new(py);
        all.set_item("return", stat(sums.iter().map(|episode| episode.ret).collect())?)?;
        for (channel, name) in env.spec().costs.iter().enumerate() {
            all.set_item(name, stat(sums.iter().map(|episode| episode.costs[channel]).collect())?)?;
        }
        all.set_item("length", stat(sums.iter().map(|episode| episode.length as f64).collect())?)?;
        Ok(all)
    }
}
