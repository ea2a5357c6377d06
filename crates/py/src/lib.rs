//! `tony_rl._tony`: what the Python package `tony_rl` is made of.
//!
//! [`worlds`] steps our environments for Gymnasium; [`foreign`] is a Gymnasium environment as one of ours; [`training`] trains in either.
//! Everything that only Python needs to know (spaces, `info`, registration) is written in Python, in `python/tony_rl`.

#![expect(clippy::needless_pass_by_value, reason = "what Python hands over is owned")]

mod failure;
mod foreign;
mod training;
mod worlds;

use pyo3::prelude::*;
use pyo3::types::PyList;

use failure::{EnvError, Error};

/// The compiled part of `tony_rl`.
#[pymodule]
fn _tony(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let py = module.py();
    module.add("__version__", env!("CARGO_PKG_VERSION"))?;
    module.add("Error", py.get_type::<Error>())?;
    module.add("EnvError", py.get_type::<EnvError>())?;
    module.add("ENVIRONMENTS", PyList::new(py, worlds::listings())?)?;
    module.add("ALGORITHMS", PyList::new(py, training::listings())?)?;
    module.add_class::<worlds::Worlds>()?;
    module.add_class::<training::Policy>()?;
    module.add_function(wrap_pyfunction!(training::train, module)?)?;
    module.add_function(wrap_pyfunction!(training::resume, module)?)?;
    module.add_function(wrap_pyfunction!(training::load, module)?)
}
