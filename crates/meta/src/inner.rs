//! The inner loop's optimiser: what turns a minibatch's gradient into a step on one task.

use tony_run::{Archive, choices, settings};

use crate::Result;

choices! {
    /// What a gradient step inside a task is.
    pub enum Optimiser {
        /// Adam without momentum (`beta1 = 0`, `beta2 = 0.999`, `epsilon = 1e-8`).
        Adam = "adam",
        /// Plain gradient descent.
        Sgd = "sgd",
    }
}

choices! {
    /// Whose second moments Adam begins a task with. The published code never resets them.
    pub enum Moments {
        /// Those that the task before left at the same place of the meta-batch; the tasks of a meta-batch run side by side.
        Places = "places",
        /// Those of the task just before, as in the published code; the tasks of a meta-batch run one after another.
        Chain = "chain",
        /// None: each task begins anew.
        Reset = "reset",
    }
}

settings! {
    /// Inner loop: steps on one task
    pub struct Config {
        /// What a step is.
        "inner.optimiser" optimiser: Optimiser = Optimiser::Adam;
        /// Length of a step (alpha). Classification sums its loss over a minibatch, regression takes the mean.
        "inner.lr" lr: f64 = 0.001, (0.0..=100.0);
        /// Minibatches of a task, each one gradient (k).
        "inner.steps" steps: usize = 5, (1..=10_000);
        /// Examples of a minibatch.
        "inner.batch" batch: usize = 10, (1..=100_000);
        /// Draw the examples of minibatches anew each time, instead of cycling through a shuffled list.
        "inner.replacement" replacement: bool = false;
        /// Whose second moments Adam begins a task with.
        "inner.moments" moments: Moments = Moments::Places;
    }
}

/// An optimiser and its state.
#[derive(Clone, Debug, PartialEq)]
pub struct Inner {
    lr: f64,
    /// Of Adam: second moments, and steps taken over all tasks so far.
    moments: Option<(Vec<f32>, u64)>,
}

impl Inner {
    /// Gradient descent.
    pub fn sgd(lr: f64) -> Self {
        Self { lr, moments: None }
    }

    /// Adam without momentum, for `n` parameters.
    pub fn adam(n: usize, lr: f64) -> Self {
        Self { lr, moments: Some((vec![0.0; n], 0)) }
    }

    /// As the settings say, for `n` parameters.
    pub fn new(config: &Config, n: usize) -> Self {
        match config.optimiser {
            Optimiser::Sgd => Self::sgd(config.lr),
            Optimiser::Adam => Self::adam(n, config.lr),
        }
    }

    /// Length of a step of gradient descent (alpha).
    pub fn lr(&self) -> f64 {
        self.lr
    }

    /// One step from `theta` against the gradient `g`.
    pub fn step(&mut self, theta: &mut [f32], g: &[f32]) {
        match &mut self.moments {
            None => tony_nn::axpy(-self.lr as f32, g, theta),
            Some((v, t)) => {
                *t += 1;
                adam_step(theta, g, v, *t, self.lr);
            }
        }
    }

    /// Store the state under `name`.
    pub fn save(&self, name: &str, archive: &mut Archive) -> Result<()> {
        if let Some((v, t)) = &self.moments {
            archive.put_f32(&format!("{name}.v"), &[v.len()], v)?;
            archive.put_u64(&format!("{name}.t"), &[], &[*t])?;
        }
        Ok(())
    }

    /// Go on from what [`Inner::save`] stored.
    pub fn load(&mut self, name: &str, archive: &Archive) -> Result<()> {
        if let Some((v, t)) = &mut self.moments {
            *v = archive.f32(&format!("{name}.v"), &[v.len()])?;
            *t = archive.u64(&format!("{name}.t"), &[])?.first().copied().unwrap_or(0);
        }
        Ok(())
    }
}

/// Step number `t` (from 1) of Adam with `beta1 = 0`, in the form of the published code: epsilon is added to the root of the moment before
/// its bias is corrected, `theta -= lr sqrt(1 - beta2^t) g / (sqrt(v) + epsilon)`.
pub fn adam_step(theta: &mut [f32], g: &[f32], v: &mut [f32], t: u64, lr: f64) {
    const BETA2: f64 = 0.999;
    const EPSILON: f32 = 1e-8;
    let step = (lr * (1.0 - libm::pow(BETA2, t as f64)).sqrt()) as f32;
    let (keep, take) = (BETA2 as f32, (1.0 - BETA2) as f32);
    for ((theta, g), v) in theta.iter_mut().zip(g).zip(v) {
        *v = keep * *v + take * (g * g);
        *theta -= step * g / (v.sqrt() + EPSILON);
    }
}
