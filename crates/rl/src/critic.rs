//! Value functions: `V(s)` of the reward and of each constrained cost.

use tony_nn::{Activation, Adam, Init, Mlp, Rows, Workspace, clip_norm};
use tony_random::Stream;
use tony_run::{Archive, settings};

use crate::{Error, Result};

settings! {
    /// Critics
    pub struct Config {
        /// Learning rate of the critics.
        "critic.lr" lr: f64 = 1e-3, (0.0..=1.0);
        /// Let the critics' learning rate fall to 0 over the training: constant or linear.
        "critic.schedule" schedule: crate::schedule::Schedule = crate::schedule::Schedule::Constant;
        /// Multiple of the squared norm of a critic's parameters added to its loss.
        "critic.regulariser" regulariser: f64 = 0.001, (0.0..=1.0);
        /// Start critics at 0 everywhere: where nothing is paid yet they say nothing, and the policy does not follow their noise.
        "critic.zero" zero: bool = false;
    }
}

/// A scalar multilayer perceptron fitted by mean squared error.
#[derive(Debug)]
pub struct Critic {
    name: String,
    net: Mlp,
    params: Vec<f32>,
    adam: Adam,
    grad: Vec<f32>,
    workspace: Workspace,
}

/// How one pass of fitting goes.
#[derive(Clone, Copy, Debug)]
pub struct Fit {
    /// Rows a gradient step.
    pub minibatch: usize,
    /// Learning rate.
    pub lr: f64,
    /// Multiple of the squared norm of the parameters in the loss.
    pub regulariser: f32,
    /// Largest norm of the gradient.
    pub max_grad_norm: f64,
}

impl Critic {
    /// A new critic; `name` is its place in archives and messages, for example `value`.
    pub fn new(
        name: &str,
        sizes: &[usize],
        activation: Activation,
        init: Init,
        adam_epsilon: f64,
        stream: &mut Stream,
    ) -> Result<Self> {
        // Its output is a value, not an action: orthogonal initialisation uses gain 1 there, not the policy's 0.01.
        let init =
            if let Init::Orthogonal { hidden, .. } = init { Init::Orthogonal { hidden, output: 1.0 } } else { init };
        let net = Mlp::new(sizes, activation)?;
        let mut params = vec![0.0; net.num_params()];
        net.init(&mut params, init, stream);
        let n = params.len();
        Ok(Self {
            name: name.to_owned(),
            net,
            params,
            adam: Adam::new(n, 0.9, 0.999, adam_epsilon),
            grad: vec![0.0; n],
            workspace: Workspace::default(),
        })
    }

    /// Set the last layer to 0, and with it every value.
    #[must_use]
    pub fn at_zero(mut self) -> Self {
        let last = self.net.sizes()[self.net.sizes().len() - 2] + 1;
        let from = self.params.len() - last;
        self.params[from..].fill(0.0);
        self
    }

    /// Values of what the policy's features say, `[rows, feature_len]` -> `[rows]`.
    pub fn values(&self, features: &[f32]) -> Vec<f32> {
        let rows = Rows::all(features, self.net.input());
        let mut values = vec![0.0; rows.len()];
        self.net.forward(&self.params, &rows, &mut values);
        values
    }

    /// One pass over rows of features in the given order, one Adam step a minibatch, towards `targets`.
    pub fn fit_pass(&mut self, features: &[f32], targets: &[f32], order: &[u32], fit: &Fit) -> Result<()> {
        for index in order.chunks(fit.minibatch) {
            let rows = Rows { index: Some(index), ..Rows::all(features, self.net.input()) };
            let scale = 2.0 / index.len() as f32;
            let head = |first: usize, y: &[f32], dy: &mut [f32], _: &mut [f64]| {
                for (i, (dy, y)) in dy.iter_mut().zip(y).enumerate() {
                    *dy = scale * (y - targets[index[first + i] as usize]);
                }
            };
            self.net.gradient(&self.params, &rows, &head, &mut self.grad, &mut [], &mut self.workspace);
            if fit.regulariser > 0.0 {
                for (g, p) in self.grad.iter_mut().zip(&self.params) {
                    *g += 2.0 * fit.regulariser * p;
                }
            }
            if !clip_norm(&mut self.grad, fit.max_grad_norm).is_finite() {
                return Err(Error::non_finite(format!("gradient of the critic `{}`", self.name), index[0] as usize));
            }
            self.adam.step(&mut self.params, &self.grad, fit.lr);
        }
        Ok(())
    }

    /// Write parameters and optimiser state.
    pub fn save(&self, archive: &mut Archive) -> Result<()> {
        archive.put_f32(&format!("critic.{}.params", self.name), &[self.params.len()], &self.params)?;
        save_adam(&self.adam, &format!("critic.{}.adam", self.name), archive)
    }

    /// Read back what [`Critic::save`] wrote.
    pub fn load(&mut self, archive: &Archive) -> Result<()> {
        self.params = archive.f32(&format!("critic.{}.params", self.name), &[self.params.len()])?;
        load_adam(&mut self.adam, &format!("critic.{}.adam", self.name), archive)
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its parameters.
    pub fn params(&self) -> &[f32] {
        &self.params
    }
}

/// Write an optimiser's state under `name`.
pub fn save_adam(adam: &Adam, name: &str, archive: &mut Archive) -> Result<()> {
    let (m, v, t) = adam.state();
    archive.put_f32(&format!("{name}.m"), &[m.len()], m)?;
    archive.put_f32(&format!("{name}.v"), &[v.len()], v)?;
    Ok(archive.put_u64(&format!("{name}.t"), &[1], &[t])?)
}

/// Read back what [`save_adam`] wrote, for as many parameters.
pub fn load_adam(adam: &mut Adam, name: &str, archive: &Archive) -> Result<()> {
    let n = adam.state().0.len();
    let (m, v) = (archive.f32(&format!("{name}.m"), &[n])?, archive.f32(&format!("{name}.v"), &[n])?);
    Ok(adam.set_state(&m, &v, archive.u64(&format!("{name}.t"), &[1])?[0])?)
}
