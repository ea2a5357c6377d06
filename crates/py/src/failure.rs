//! Errors as Python sees them: what and where, then `try:` and what to type next.

use std::error::Error as _;

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::{PyErr, create_exception};

create_exception!(tony_rl, Error, PyException, "What was asked for cannot be done; the message says what would be.");
create_exception!(
    tony_rl,
    EnvError,
    Error,
    "An environment written in Python did what none may do; where it raised an exception, that is the cause."
);

/// Any error, on its way to Python.
pub struct Failure(PyErr);

/// Result of what Python calls.
pub type Result<T> = std::result::Result<T, Failure>;

impl Failure {
    /// What is wrong, and what to do about it.
    pub fn new(what: impl std::fmt::Display, hint: Option<&str>) -> Self {
        let hint = hint.map(|hint| format!("\ntry: {hint}")).unwrap_or_default();
        Self(Error::new_err(format!("{what}{hint}")))
    }

    /// What it says.
    pub fn text(&self) -> String {
        Python::attach(|py| self.0.value(py).to_string())
    }

    /// The fault of an environment written in Python, and the exception that it raised, if it did.
    pub fn of_env(what: String, cause: Option<PyErr>) -> Self {
        let error = EnvError::new_err(what);
        Python::attach(|py| error.set_cause(py, cause));
        Self(error)
    }
}

impl From<Failure> for PyErr {
    fn from(Failure(error): Failure) -> Self {
        error
    }
}

impl From<PyErr> for Failure {
    fn from(error: PyErr) -> Self {
        Self(error)
    }
}

impl From<tony_env::Error> for Failure {
    fn from(error: tony_env::Error) -> Self {
        let source = error.source().map(|source| format!("\n{source}")).unwrap_or_default();
        let hint = match &error {
            tony_env::Error::UnknownName { nearest: Some(nearest), .. } => Some(format!("\"{nearest}\"")),
            tony_env::Error::UnknownName { .. } => Some("tony_rl.ENVIRONMENTS names them all".to_owned()),
            _ => None,
        };
        Self::new(format!("{error}{source}"), hint.as_deref())
    }
}

impl From<tony_rl::Error> for Failure {
    fn from(error: tony_rl::Error) -> Self {
        match error {
            tony_rl::Error::Env(error) => error.into(),
            error => Self::new(&error, error.hint().as_deref()),
        }
    }
}

impl From<tony_run::Error> for Failure {
    fn from(error: tony_run::Error) -> Self {
        Self::new(&error, error.hint().as_deref())
    }
}
