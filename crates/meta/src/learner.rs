//! What is learned: a network with flat parameters, and the loss of a minibatch.

use std::cell::RefCell;

use tony_deep::ConvNet;
use tony_nn::{Init, Mlp, Rows, Workspace};
use tony_random::Stream;

use crate::Result;

/// Examples of a task.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Examples {
    /// One row of numbers an example.
    pub inputs: Vec<f32>,
    /// A value to be predicted, or the number of a class.
    pub targets: Vec<f32>,
}

/// The losses `L_1 .. L_k` of one task's minibatches (numbered from 0 here), as functions of the parameters.
pub struct Losses<'a> {
    /// How many there are (k).
    pub count: usize,
    /// Overwrites the last argument with the gradient of loss number `i` at the parameters; the loss.
    pub gradient: &'a dyn Fn(usize, &[f32], &mut [f32]) -> Result<f64>,
    /// Overwrites the last argument with the product of the Hessian of loss number `i` at the parameters with a vector.
    pub hessian_vector: &'a dyn Fn(usize, &[f32], &[f32], &mut [f32]) -> Result<()>,
}

/// A network.
pub enum Learner {
    /// Predicts one value; the loss is the mean squared error.
    Regression(Mlp),
    /// Tells classes apart; the loss is the cross-entropy, summed over the minibatch as in the published code.
    Classification(ConvNet),
}

thread_local! {
    static WORK: RefCell<Workspace> = RefCell::default();
}

impl Learner {
    /// Length of the flat parameters.
    pub fn num_params(&self) -> usize {
        match self {
            Self::Regression(mlp) => mlp.num_params(),
            Self::Classification(net) => net.num_params(),
        }
    }

    /// Numbers in an input row.
    pub fn input(&self) -> usize {
        match self {
            Self::Regression(mlp) => mlp.input(),
            Self::Classification(net) => net.input(),
        }
    }

    /// Classes; 1 of a regression.
    pub fn classes(&self) -> usize {
        match self {
            Self::Regression(_) => 1,
            Self::Classification(net) => net.shape().classes,
        }
    }

    /// Floating-point operations of a gradient of one example.
    pub fn flops_per_gradient(&self) -> u64 {
        3 * match self {
            Self::Regression(mlp) => mlp.flops_per_row(),
            Self::Classification(net) => net.flops_per_picture(),
        }
    }

    /// Initial parameters.
    pub fn init(&self, stream: &mut Stream) -> Vec<f32> {
        let mut params = vec![0.0; self.num_params()];
        match self {
            Self::Regression(mlp) => mlp.init(&mut params, Init::KaimingUniform, stream),
            Self::Classification(net) => net.init(&mut params, stream),
        }
        params
    }

    /// Overwrite `grad` with the gradient of the loss of these examples; the loss per example.
    pub fn gradient(&self, params: &[f32], examples: &Examples, chosen: &[usize], grad: &mut [f32]) -> Result<f64> {
        match self {
            Self::Regression(mlp) => {
                let index: Vec<u32> = chosen.iter().map(|i| *i as u32).collect();
                let scale = 1.0 / chosen.len() as f32;
                let head = |first: usize, y: &[f32], dy: &mut [f32], loss: &mut [f64]| {
                    for (i, (y, dy)) in y.iter().zip(dy).enumerate() {
                        let error = y - examples.targets[chosen[first + i]];
                        *dy = 2.0 * scale * error;
                        loss[0] += f64::from(scale * error * error);
                    }
                };
                let mut loss = [0.0];
                WORK.with_borrow_mut(|work| {
                    mlp.gradient(params, &rows(&examples.inputs, self.input(), &index), &head, grad, &mut loss, work);
                });
                Ok(loss[0])
            }
            Self::Classification(net) => {
                let (pictures, labels) = self.minibatch(examples, chosen);
                Ok(net.gradient(params, &pictures, &labels, grad)? / labels.len() as f64)
            }
        }
    }

    /// Overwrite `out` with the product of the loss's Hessian with `v`: exact for a regression, a difference of gradients for a
    /// classification (see [`ConvNet::hessian_vector`]).
    pub fn hessian_vector(
        &self,
        params: &[f32],
        v: &[f32],
        examples: &Examples,
        chosen: &[usize],
        out: &mut [f32],
    ) -> Result<()> {
        match self {
            Self::Regression(mlp) => {
                let index: Vec<u32> = chosen.iter().map(|i| *i as u32).collect();
                let scale = 2.0 / chosen.len() as f32;
                let curve = |first: usize, y: &[f32], ry: &mut [f32], dy: &mut [f32]| {
                    for (i, ((y, ry), dy)) in y.iter().zip(ry).zip(dy).enumerate() {
                        *dy = scale * (y - examples.targets[chosen[first + i]]);
                        *ry *= scale;
                    }
                };
                WORK.with_borrow_mut(|work| {
                    mlp.hessian_vector(params, v, &rows(&examples.inputs, self.input(), &index), &curve, out, work);
                });
                Ok(())
            }
            Self::Classification(net) => {
                let (pictures, labels) = self.minibatch(examples, chosen);
                Ok(net.hessian_vector(params, v, &pictures, &labels, out)?)
            }
        }
    }

    /// Outputs for all rows, one batch: values, or scores of classes.
    pub fn outputs(&self, params: &[f32], inputs: &[f32]) -> Result<Vec<f32>> {
        match self {
            Self::Regression(mlp) => {
                let mut y = vec![0.0; inputs.len() / mlp.input()];
                mlp.forward(params, &Rows::all(inputs, mlp.input()), &mut y);
                Ok(y)
            }
            Self::Classification(net) => Ok(net.scores(params, inputs)?),
        }
    }

    fn minibatch(&self, examples: &Examples, chosen: &[usize]) -> (Vec<f32>, Vec<usize>) {
        let width = self.input();
        let row = |i: &usize| &examples.inputs[i * width..(i + 1) * width];
        let labels = chosen.iter().map(|i| examples.targets[*i] as usize).collect();
        (chosen.iter().flat_map(row).copied().collect(), labels)
    }
}

fn rows<'a>(data: &'a [f32], width: usize, index: &'a [u32]) -> Rows<'a> {
    Rows { data, width, index: Some(index), normaliser: None }
}
