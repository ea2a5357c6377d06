//! How a setting changes over a training.

use tony_run::choices;

choices! {
    /// How a learning rate changes over a training.
    pub enum Schedule {
        /// It stays.
        Constant = "constant",
        /// It falls linearly to 0.
        Linear = "linear",
    }
}

impl Schedule {
    /// The factor at `progress` in `[0, 1]`.
    pub fn factor(self, progress: f64) -> f64 {
        match self {
            Self::Constant => 1.0,
            Self::Linear => (1.0 - progress).max(0.0),
        }
    }
}
