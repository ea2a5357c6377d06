//! An environment written in Python, as one of ours.
//!
//! Python's half (`tony_rl.adapter.Adapter`) flattens observations, reads costs and checks shapes. This half keeps the contract of
//! [`Env`]: rows that the caller owns, finite numbers, and a state that saves and loads. A Gymnasium environment cannot tell its state,
//! so what is saved is the seed of the episode and its actions, which are taken again at loading; whether the same observation
//! came of it is checked.

use std::sync::{Arc, Mutex, PoisonError};

use numpy::{PyArray1, PyArrayMethods};
use pyo3::prelude::*;
use pyo3::types::PyAny;
use tony_env::space::Space;
use tony_env::{Env, Error, Spec, Step};

use crate::failure;

/// The last exception that an environment raised.
pub type Cause = Arc<Mutex<Option<PyErr>>>;

/// A Gymnasium environment behind its adapter.
pub struct Foreign {
    reset: Py<PyAny>,
    step: Py<PyAny>,
    /// The rows that the adapter writes.
    obs: Py<PyArray1<f64>>,
    costs: Py<PyArray1<f64>>,
    spec: Spec,
    seed: u64,
    /// Of the episode so far.
    actions: Vec<f64>,
    action: Vec<f64>,
    cause: Cause,
}

impl Foreign {
    /// Behind an adapter. `cause` receives what it raises.
    pub fn new(adapter: &Bound<'_, PyAny>, cause: Cause) -> failure::Result<Self> {
        let get = |name: &str| adapter.getattr(name);
        let action = match get("n")?.extract()? {
            Some(n) => Space::Discrete { n },
            None => Space::Box { low: get("low")?.extract()?, high: get("high")?.extract()? },
        };
        let width = action.row_len();
        let spec = Spec {
            name: get("name")?.extract()?,
            obs_dim: get("obs_dim")?.extract()?,
            action,
            costs: get("costs")?.extract()?,
            max_steps: get("max_steps")?.extract()?,
        };
        let row = |name: &str| -> PyResult<Py<PyArray1<f64>>> { Ok(get(name)?.cast_into::<PyArray1<f64>>()?.unbind()) };
        Ok(Self {
            reset: get("reset")?.unbind(),
            step: get("step")?.unbind(),
            obs: row("obs")?,
            costs: row("cost_row")?,
            spec,
            seed: 0,
            actions: Vec::new(),
            action: vec![0.0; width],
            cause,
        })
    }

    /// Steps of the episode so far.
    fn steps(&self) -> usize {
        self.actions.len() / self.action.len()
    }

    /// What Python raised, as one of our errors.
    fn raised(&self, error: PyErr) -> Error {
        let what = error.to_string();
        *self.cause.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
        Error::Outside { env: self.spec.name.clone(), seed: self.seed, step: self.steps(), what }
    }

    /// Copy a row that the adapter wrote.
    fn read(&self, row: &Bound<'_, PyArray1<f64>>, quantity: &str, into: &mut [f64]) -> Result<(), Error> {
        let row = row.readonly();
        // The adapter made it, in order and of this length.
        into.copy_from_slice(row.as_slice().unwrap_or_default());
        match into.iter().position(|x| !x.is_finite()) {
            None => Ok(()),
            Some(i) => Err(self.not_finite(format!("number {i} of {quantity}"))),
        }
    }

    fn not_finite(&self, quantity: String) -> Error {
        Error::NotFinite { env: self.spec.name.clone(), step: self.steps(), quantity }
    }
}

impl Env for Foreign {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> tony_env::Result<()> {
        self.seed = seed;
        self.actions.clear();
        Python::attach(|py| {
            self.reset.call1(py, (seed,)).map_err(|error| self.raised(error))?;
            self.read(self.obs.bind(py), "the first observation", obs)
        })
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> tony_env::Result<Step> {
        let steps = self.steps();
        match self.spec.action {
            Space::Box { .. } => self.spec.clip(action, steps, &mut self.action)?,
            Space::Discrete { .. } => self.action[0] = self.spec.chosen(action, steps)? as f64,
        }
        let step = Python::attach(|py| {
            let answer = self.step.call1(py, (PyArray1::from_slice(py, &self.action),));
            let answer = answer.and_then(|answer| answer.extract::<(f64, bool, bool)>(py));
            let (reward, terminated, truncated) = answer.map_err(|error| self.raised(error))?;
            self.read(self.obs.bind(py), "the observation", obs)?;
            self.read(self.costs.bind(py), "the costs", costs)?;
            if !reward.is_finite() {
                return Err(self.not_finite("the reward".to_owned()));
            }
            Ok(Step { reward, terminated, truncated })
        })?;
        self.actions.extend_from_slice(&self.action);
        Ok(step)
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend(self.seed.to_le_bytes());
        out.extend((self.actions.len() as u64).to_le_bytes());
        self.actions.iter().for_each(|x| out.extend(x.to_le_bytes()));
        Python::attach(|py| {
            let obs = self.obs.bind(py).readonly();
            obs.as_slice().unwrap_or_default().iter().for_each(|x| out.extend(x.to_le_bytes()));
        });
    }

    fn load(&mut self, state: &[u8]) -> tony_env::Result<()> {
        let bad = |reason: &str| Error::BadState { env: self.spec.name.clone(), reason: reason.to_owned() };
        let (words, rest) = state.as_chunks::<8>();
        let (dim, width) = (self.spec.obs_dim, self.action.len());
        let count = words.get(1).map_or(usize::MAX, |word| u64::from_le_bytes(*word) as usize);
        if !rest.is_empty() || Some(words.len()) != count.checked_add(2 + dim) || !count.is_multiple_of(width) {
            return Err(bad("it is not as long as it says"));
        }
        let numbers: Vec<f64> = words[2..].iter().map(|word| f64::from_le_bytes(*word)).collect();
        let (actions, saved) = numbers.split_at(count);
        let (mut obs, mut costs) = (vec![0.0; dim], vec![0.0; self.spec.costs.len()]);
        self.reset(u64::from_le_bytes(words[0]), &mut obs)?;
        for action in actions.chunks(width) {
            self.step(action, &mut obs, &mut costs)?;
        }
        if obs.iter().zip(saved).all(|(now, then)| now.to_bits() == then.to_bits()) {
            return Ok(());
        }
        let reason = "the same seed and the same actions led to another observation: it draws from something that its seed does not \
                      decide, so a run in it cannot be gone on with";
        Err(Error::BadState { env: self.spec.name.clone(), reason: reason.to_owned() })
    }
}
