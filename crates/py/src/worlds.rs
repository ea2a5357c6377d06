//! Our environments, several side by side, as rows of arrays.
//!
//! An episode is a function of its seed alone. Whoever names a seed gets that episode; later ones of the same environment draw theirs
//! from a stream of that seed, so what an environment does depends neither on the others nor on the number of threads.

use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

use numpy::{PyArray1, PyArray2, PyArray3, PyArrayMethods, PyReadonlyArray2, PyUntypedArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyBytes;
use rayon::prelude::*;
use rayon::{ThreadPool, ThreadPoolBuilder};
use tony_env::picture::Painter;
use tony_env::space::Space;
use tony_env::{Env, Spec};
use tony_random::Stream;

use crate::failure::{Failure, Result};

/// Name, family and summary of every environment.
pub fn listings() -> impl ExactSizeIterator<Item = (&'static str, &'static str, &'static str)> {
    tony_env::list().iter().map(|listing| (listing.name, listing.family, listing.summary))
}

/// `n` copies of the environment called `name`, which share what they need; it is fetched at the first need, unless `offline`.
pub fn make(py: Python<'_>, name: &str, n: usize, offline: bool) -> Result<Vec<Box<dyn Env>>> {
    py.detach(|| {
        let listing = tony_env::find(name)?;
        let workers = std::thread::available_parallelism().map_or(1, usize::from).min(n);
        let context = tony_env::needs::context(listing, workers, offline, tell)?;
        (0..n).map(|_| Ok(tony_env::make(listing.name, &context)?)).collect()
    })
}

/// A line about what is fetched, where Python's warnings go.
fn tell(text: &str) {
    Python::attach(|py| {
        let written =
            py.import("sys").and_then(|sys| sys.getattr("stderr")?.call_method1("write", (format!("{text}\n"),)));
        // A program without a standard error does without the line.
        drop(written);
    });
}

/// What happens to an environment whose episode is over.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Autoreset {
    /// The next step resets it, and tells the first observation with no reward.
    NextStep,
    /// The step that ends an episode also begins the next one.
    SameStep,
    /// Nothing, until it is told to.
    Disabled,
}

impl FromStr for Autoreset {
    type Err = Failure;

    fn from_str(text: &str) -> Result<Self> {
        match text {
            "NextStep" => Ok(Self::NextStep),
            "SameStep" => Ok(Self::SameStep),
            "Disabled" => Ok(Self::Disabled),
            _ => Err(Failure::new(
                format!("there is no autoreset mode `{text}`"),
                Some("\"NextStep\", \"SameStep\" or \"Disabled\""),
            )),
        }
    }
}

/// Where an environment is in its episode.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    /// It was never reset.
    Unborn,
    /// An episode runs.
    Running,
    /// The last step ended the episode.
    Over,
}

struct World {
    env: Box<dyn Env>,
    /// Of the last episode that was asked for by its seed.
    seed: u64,
    /// Episodes since then, whose seeds follow from that one.
    followed: u64,
    phase: Phase,
    /// Where pictures are asked for, what draws those of the episode.
    draws: bool,
    painter: Option<Painter>,
}

impl World {
    fn reset(&mut self, seed: Option<u64>, obs: &mut [f64]) -> tony_env::Result<()> {
        let seed = if let Some(seed) = seed {
            (self.seed, self.followed) = (seed, 0);
            seed
        } else {
            let mut seeds = Stream::new(self.seed, "episodes", 0);
            seeds.seek(2 * self.followed);
            self.followed += 1;
            // 32 bits: the width of the seeds of the reference environments.
            seeds.bits() >> 32
        };
        self.phase = Phase::Unborn;
        self.env.reset(seed, obs)?;
        self.painter = self.draws.then(|| Painter::new(self.env.scene(), &self.env.frame()));
        self.phase = Phase::Running;
        Ok(())
    }
}

/// What one environment writes in a step.
struct Row<'a> {
    action: &'a [f64],
    obs: &'a mut [f64],
    costs: &'a mut [f64],
    /// Of the episode that ended, where the next one begins in the same step.
    last_obs: Option<&'a mut [f64]>,
    reward: &'a mut f64,
    terminated: &'a mut bool,
    truncated: &'a mut bool,
}

impl World {
    fn step(&mut self, row: Row, autoreset: Autoreset) -> tony_env::Result<()> {
        let Row { action, obs, costs, last_obs, reward, terminated, truncated } = row;
        if self.phase == Phase::Over && autoreset == Autoreset::NextStep {
            (*reward, *terminated, *truncated) = (0.0, false, false);
            costs.fill(0.0);
            return self.reset(None, obs);
        }
        let step = self.env.step(action, obs, costs)?;
        (*reward, *terminated, *truncated) = (step.reward, step.terminated, step.truncated);
        if step.terminated || step.truncated {
            self.phase = Phase::Over;
            if let Some(last_obs) = last_obs {
                last_obs.copy_from_slice(obs);
                self.reset(None, obs)?;
            }
        }
        Ok(())
    }
}

/// Environments of one task, stepped side by side.
#[pyclass(module = "tony_rl._tony")]
pub struct Worlds {
    /// Behind a lock, so that two threads of Python cannot step at once.
    all: Mutex<Vec<World>>,
    spec: Spec,
    autoreset: Autoreset,
    pool: Option<ThreadPool>,
}

/// Observations `[n, obs_dim]`, rewards, costs `[n, channels]`, terminated, truncated, and where an episode ended and the next began in
/// this step, the last observations of those that ended.
type Stepped<'py> = (
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<f64>>,
    Bound<'py, PyArray2<f64>>,
    Bound<'py, PyArray1<bool>>,
    Bound<'py, PyArray1<bool>>,
    Option<Bound<'py, PyArray2<f64>>>,
);

#[pymethods]
impl Worlds {
    /// `n` environments called `name`, or of the world in the TOML file `name`, on `threads` threads; 0: as many as there are cores. With
    /// `draws`, [`Worlds::render`] has pictures.
    #[new]
    #[pyo3(signature = (name, n, *, autoreset = "NextStep", threads = 1, draws = false, offline = false))]
    fn new(
        py: Python<'_>,
        name: &str,
        n: usize,
        autoreset: &str,
        threads: usize,
        draws: bool,
        offline: bool,
    ) -> Result<Self> {
        if n == 0 {
            return Err(Failure::new("no environments were asked for", Some("num_envs=1")));
        }
        let autoreset = autoreset.parse()?;
        let envs = make(py, name, n, offline)?;
        let spec = envs[0].spec().clone();
        let world = |env| World { env, seed: 0, followed: 0, phase: Phase::Unborn, draws, painter: None };
        let worlds: Vec<World> = envs.into_iter().map(world).collect();
        let threads = if threads == 0 { std::thread::available_parallelism().map_or(1, usize::from) } else { threads };
        let threads = threads.min(n);
        let pool = (threads > 1).then(|| ThreadPoolBuilder::new().num_threads(threads).build()).transpose();
        let pool = pool.map_err(|error| Failure::new(format!("{threads} threads cannot be started: {error}"), None))?;
        Ok(Self { all: Mutex::new(worlds), spec, autoreset, pool })
    }

    /// Full name, with the version.
    #[getter]
    fn name(&self) -> &str {
        &self.spec.name
    }

    /// Length of an observation.
    #[getter]
    fn obs_dim(&self) -> usize {
        self.spec.obs_dim
    }

    /// Number of discrete actions; None where actions are a box.
    #[getter]
    fn actions(&self) -> Option<usize> {
        match self.spec.action {
            Space::Discrete { n } => Some(n),
            Space::Box { .. } => None,
        }
    }

    /// Lower and upper bounds of actions; None where they are discrete.
    #[getter]
    fn bounds(&self) -> Option<(Vec<f64>, Vec<f64>)> {
        match &self.spec.action {
            Space::Box { low, high } => Some((low.clone(), high.clone())),
            Space::Discrete { .. } => None,
        }
    }

    /// Names of the cost channels; where there are any, the last is the total, `cost`.
    #[getter]
    fn costs(&self) -> Vec<String> {
        self.spec.costs.clone()
    }

    /// Steps after which an episode is truncated.
    #[getter]
    fn max_steps(&self) -> usize {
        self.spec.max_steps
    }

    /// Begin episodes: environment i with `seeds[i]`, where that is None with the next seed of its own, and only where `mask[i]`.
    #[pyo3(signature = (obs, seeds, mask = None))]
    fn reset(
        &self,
        py: Python<'_>,
        obs: &Bound<'_, PyArray2<f64>>,
        seeds: Vec<Option<u64>>,
        mask: Option<Vec<bool>>,
    ) -> Result<()> {
        let mut obs = obs.readwrite();
        let rows = contiguous(obs.as_slice_mut())?;
        let (pool, dim) = (self.pool.as_ref(), self.spec.obs_dim);
        py.detach(|| {
            let mut worlds = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            let n = worlds.len();
            if rows.len() != n * dim || seeds.len() != n || mask.as_ref().is_some_and(|mask| mask.len() != n) {
                return Err(Failure::new(
                    format!("there are {n} environments, with {dim} numbers an observation"),
                    None,
                ));
            }
            let mut tasks: Vec<_> = worlds.iter_mut().zip(rows.chunks_mut(dim)).zip(seeds).collect();
            if let Some(mask) = mask {
                let mut kept = mask.into_iter();
                tasks.retain(|_| kept.next().unwrap_or_default());
            }
            each(pool, tasks, |((world, obs), seed)| world.reset(seed, obs))
        })
    }

    /// One step of each. Nothing is stepped if an action is not one.
    fn step<'py>(&self, py: Python<'py>, actions: PyReadonlyArray2<'py, f64>) -> Result<Stepped<'py>> {
        let (dim, channels, width) = (self.spec.obs_dim, self.spec.costs.len(), self.spec.action.row_len());
        let n = actions.shape()[0];
        let actions = contiguous(actions.as_slice())?;
        let obs = PyArray2::<f64>::zeros(py, [n, dim], false);
        let rewards = PyArray1::<f64>::zeros(py, n, false);
        let costs = PyArray2::<f64>::zeros(py, [n, channels], false);
        let terminated = PyArray1::<bool>::zeros(py, n, false);
        let truncated = PyArray1::<bool>::zeros(py, n, false);
        let last = (self.autoreset == Autoreset::SameStep).then(|| PyArray2::<f64>::zeros(py, [n, dim], false));
        {
            let mut obs = obs.readwrite();
            let mut rewards = rewards.readwrite();
            let mut costs = costs.readwrite();
            let mut terminated = terminated.readwrite();
            let mut truncated = truncated.readwrite();
            let mut last = last.as_ref().map(PyArrayMethods::readwrite);
            let obs = contiguous(obs.as_slice_mut())?;
            let rewards = contiguous(rewards.as_slice_mut())?;
            let costs = contiguous(costs.as_slice_mut())?;
            let terminated = contiguous(terminated.as_slice_mut())?;
            let truncated = contiguous(truncated.as_slice_mut())?;
            let last = last.as_mut().map(|last| contiguous(last.as_slice_mut())).transpose()?;
            py.detach(|| {
                let mut worlds = self.all.lock().unwrap_or_else(PoisonError::into_inner);
                self.check(&worlds, actions)?;
                let mut last = last.map(|last| last.chunks_mut(dim));
                // Where nothing costs there is no row to cut.
                let mut costs = costs.chunks_mut(channels.max(1));
                let rows = actions.chunks(width).zip(obs.chunks_mut(dim)).zip(rewards).zip(terminated).zip(truncated);
                let rows = rows.map(|((((action, obs), reward), terminated), truncated)| {
                    let costs = costs.next().unwrap_or_default();
                    let last_obs = last.as_mut().and_then(Iterator::next);
                    Row { action, obs, costs, last_obs, reward, terminated, truncated }
                });
                let mut tasks: Vec<_> = worlds.iter_mut().zip(rows).collect();
                // Steps that run elsewhere are begun everywhere before one is waited for.
                let ahead =
                    |(world, _): &&mut (&mut World, Row)| world.phase == Phase::Running && world.env.works_ahead();
                tasks.iter_mut().filter(ahead).try_for_each(|(world, row)| world.env.send(row.action))?;
                each(self.pool.as_ref(), tasks, |(world, row)| world.step(row, self.autoreset))
            })?;
        }
        Ok((obs, rewards, costs, terminated, truncated, last))
    }

    /// Simulated seconds of a step.
    #[getter]
    fn step_seconds(&self) -> f64 {
        let worlds = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        worlds[0].env.step_seconds()
    }

    /// What environment `i` looks like, `[height, width, 3]`.
    fn render<'py>(&self, py: Python<'py>, i: usize, width: usize, height: usize) -> Result<Bound<'py, PyArray3<u8>>> {
        let pixels = py.detach(|| {
            let mut worlds = self.all.lock().unwrap_or_else(PoisonError::into_inner);
            let world = number(&mut worlds, i)?;
            let none = || Failure::new("there is nothing to see before an episode begins", Some("env.reset(seed=0)"));
            let painter = world.painter.as_ref().ok_or_else(none)?;
            Ok::<_, Failure>(painter.paint(&world.env.frame(), width, height))
        })?;
        Ok(PyArray1::from_vec(py, pixels).reshape([height, width, 3])?)
    }

    /// Everything that the future of environment `i` depends on.
    fn save<'py>(&self, py: Python<'py>, i: usize) -> Result<Bound<'py, PyBytes>> {
        let mut worlds = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let world = number(&mut worlds, i)?;
        if world.phase == Phase::Unborn {
            return Err(Failure::new("an environment that was never reset has no state", Some("env.reset(seed=0)")));
        }
        let mut state = vec![u8::from(world.phase == Phase::Over)];
        state.extend(world.seed.to_le_bytes());
        state.extend(world.followed.to_le_bytes());
        world.env.save(&mut state);
        Ok(PyBytes::new(py, &state))
    }

    /// Go on exactly from what [`Worlds::save`] gave, which an environment of the same task may have given.
    fn load(&self, i: usize, state: &[u8]) -> Result<()> {
        let mut worlds = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let world = number(&mut worlds, i)?;
        let short =
            || Failure::new(format!("this is no saved state of {}", self.spec.name), Some("env.unwrapped.save()"));
        let (over, rest) = state.split_first().ok_or_else(short)?;
        let (seed, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (followed, rest) = rest.split_first_chunk().ok_or_else(short)?;
        world.env.load(rest)?;
        (world.seed, world.followed) = (u64::from_le_bytes(*seed), u64::from_le_bytes(*followed));
        world.phase = if *over == 1 { Phase::Over } else { Phase::Running };
        Ok(())
    }
}

impl Worlds {
    /// Is there an action for each environment, and may each take it?
    fn check(&self, worlds: &[World], actions: &[f64]) -> Result<()> {
        let (n, width) = (worlds.len(), self.spec.action.row_len());
        if actions.len() != n * width {
            let found = actions.len();
            return Err(Failure::new(
                format!("{}: {found} numbers of actions, expected {n} rows of {width}", self.spec.name),
                None,
            ));
        }
        for (i, (world, action)) in worlds.iter().zip(actions.chunks(width)).enumerate() {
            let next = match world.phase {
                Phase::Running => None,
                Phase::Unborn => Some("was never reset"),
                Phase::Over if self.autoreset == Autoreset::Disabled => Some("has ended its episode"),
                Phase::Over => continue,
            };
            if let Some(what) = next {
                return Err(Failure::new(format!("environment {i} of {} {what}", self.spec.name), Some("env.reset()")));
            }
            let fits = match self.spec.action {
                Space::Box { .. } => action.iter().all(|x| x.is_finite()),
                Space::Discrete { .. } => self.spec.action.contains(action),
            };
            if !fits {
                let allowed = match self.spec.action {
                    Space::Box { .. } => "finite numbers (those outside the bounds are clipped)".to_owned(),
                    Space::Discrete { n } => format!("a whole number from 0 to {}", n - 1),
                };
                let what =
                    format!("environment {i} of {}: the action is {action:?}, expected {allowed}", self.spec.name);
                return Err(Failure::new(what, None));
            }
        }
        Ok(())
    }
}

/// Environment number `i`.
fn number(worlds: &mut [World], i: usize) -> Result<&mut World> {
    let n = worlds.len();
    worlds.get_mut(i).ok_or_else(|| Failure::new(format!("there is no environment {i}: they are 0 to {}", n - 1), None))
}

/// The elements of an array, which must lie in order.
pub fn contiguous<T, E>(slice: std::result::Result<T, E>) -> Result<T> {
    slice.map_err(|_| Failure::new("an array does not lie in order", Some("numpy.ascontiguousarray(array)")))
}

/// Do `work` for every task, and tell the first failure with the number of its environment.
fn each<T: Send>(
    pool: Option<&ThreadPool>,
    tasks: Vec<T>,
    work: impl Fn(T) -> tony_env::Result<()> + Sync + Send,
) -> Result<()> {
    let failed = match pool {
        None => tasks.into_iter().enumerate().find_map(|(i, task)| Some((i, work(task).err()?))),
        Some(pool) => pool.install(|| {
            let failures = tasks.into_par_iter().enumerate().filter_map(|(i, task)| Some((i, work(task).err()?)));
            failures.min_by_key(|(i, _)| *i)
        }),
    };
    failed.map_or(Ok(()), |(_, error)| Err(error.into()))
}
