//! Regression of sine waves: `f(x) = a sin(x + b)`, `a` uniform in [0.1, 5], `b` in [0, 2 pi], on [-5, 5].
//!
//! The loss is the squared error averaged over a grid. A training task is the whole grid; of a test task a few grid points are known (drawn
//! with replacement, as in the demonstration code), and it is scored on all of them.

use std::f64::consts::TAU;

use tony_nn::{Activation, Mlp};
use tony_random::Stream;
use tony_run::{choices, settings};

use crate::Result;
use crate::learner::{Examples, Learner};
use crate::tasks::Test;

choices! {
    /// What a hidden unit applies.
    pub enum Unit {
        /// Hyperbolic tangent, as in the demonstration code.
        Tanh = "tanh",
        /// Rectifier, as in the paper.
        Relu = "relu",
    }
}

settings! {
    /// Sine waves
    pub struct Config {
        /// Hidden layers.
        "hidden" hidden: Vec<usize> = vec![64, 64], if |sizes| sizes.iter().all(|n| (1..=4096).contains(n)), "a list of whole numbers from 1 to 4096";
        /// What a hidden unit applies.
        "unit" unit: Unit = Unit::Tanh;
        /// Points of the grid.
        "points" points: usize = 50, (2..=100_000);
        /// Points of a new task that are known.
        "support" support: usize = 10, (1..=100_000);
    }
}

/// The family of tasks.
pub struct Sine {
    config: Config,
    grid: Vec<f32>,
}

impl Sine {
    /// With these settings.
    pub fn new(config: Config) -> Self {
        let step = 10.0 / (config.points - 1) as f64;
        let grid = (0..config.points).map(|i| (-5.0 + i as f64 * step) as f32).collect();
        Self { config, grid }
    }

    /// The grid.
    pub fn grid(&self) -> &[f32] {
        &self.grid
    }

    pub(crate) fn learner(&self) -> Result<Learner> {
        let mut sizes = vec![1];
        sizes.extend(&self.config.hidden);
        sizes.push(1);
        let activation = match self.config.unit {
            Unit::Tanh => Activation::Tanh,
            Unit::Relu => Activation::Relu,
        };
        Ok(Learner::Regression(Mlp::new(&sizes, activation)?))
    }

    pub(crate) fn train(&self, seed: u64, number: u64) -> Examples {
        self.wave(&mut Stream::new(seed, "task", number))
    }

    pub(crate) fn test(&self, seed: u64, name: &str, number: u64) -> Test {
        let mut stream = Stream::new(seed, name, number);
        let query = self.wave(&mut stream);
        let known: Vec<usize> = (0..self.config.support).map(|_| stream.below(self.grid.len())).collect();
        let pick = |from: &[f32]| known.iter().map(|i| from[*i]).collect();
        Test { support: Examples { inputs: pick(&query.inputs), targets: pick(&query.targets) }, query }
    }

    /// All of one wave.
    fn wave(&self, stream: &mut Stream) -> Examples {
        let (a, b) = (stream.range(0.1, 5.0), stream.range(0.0, TAU));
        let f = |x: &f32| (a * libm::sin(f64::from(*x) + b)) as f32;
        Examples { inputs: self.grid.clone(), targets: self.grid.iter().map(f).collect() }
    }
}
