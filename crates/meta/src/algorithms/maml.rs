//! Model-Agnostic Meta-Learning.
//!
//! C. Finn, P. Abbeel, S. Levine, "Model-Agnostic Meta-Learning for Fast Adaptation of Deep Networks" (2017), algorithm 2; notation of
//! A. Nichol, J. Achiam, J. Schulman, "On First-Order Meta-Learning Algorithms" (2018), sections 2 and 5.
//!
//! The gradient, by the initialisation, of the loss that `k - 1` steps of gradient descent lead to: `g_k` carried back through each step by
//! `I - alpha H`, the last step first. The products with Hessians are exact for dense networks (`tony_nn::Mlp::hessian_vector`) and differences of
//! gradients for convolutional ones.
//!
//! Omitted: the outer Adam of the paper (the outer step is plain, of annealed length), step sizes that are learned, and reinforcement
//! learning. Steps inside a task are plain gradient descent: Adam's would need derivatives of its state.
//!
//! | paper | here |
//! |---|---|
//! | `phi` | `phi`, the initialisation |
//! | `phi_1 .. phi_k` | `path`: the parameters before each step, and after the last |
//! | `g_k = L_k'(phi_k)` | `v` at first |
//! | `(I - alpha H_1(phi_1)) .. (I - alpha H_{k-1}(phi_{k-1})) g_k` | `v` at last |
//! | `alpha` | `inner.lr` |
//! | `beta`, the outer step size | `eps` |

use tony_run::Settings;

use super::{Entry, Method};
use crate::inner::{self, Inner, Optimiser};
use crate::learner::Losses;
use crate::minibatches::{self, Tail};
use crate::{Error, Result};

pub(super) const ENTRY: Entry = Entry {
    name: "maml",
    title: "Model-Agnostic Meta-Learning",
    family: "few-shot",
    summary: "moves the initialisation down the loss after a few steps on each task, second order included",
    paper: "Finn et al. 2017",
    groups: &[minibatches::Config::fields],
    build: |plan| {
        let (inner, last): (inner::Config, minibatches::Config) = (plan.group()?, plan.group()?);
        if inner.optimiser != Optimiser::Sgd {
            return Err(Error::invalid(
                "maml differentiates through the steps on a task, which must be plain gradient descent here",
                "inner.optimiser=sgd, or fomaml, which takes any",
            ));
        }
        let direction = |losses: &Losses, phi: &[f32], inner: &mut Inner, out: &mut [f32]| {
            let loss = meta_gradient(losses, phi, inner.lr(), out)?;
            out.iter_mut().for_each(|g| *g = -*g);
            Ok(loss)
        };
        Ok(Method { direction: Box::new(direction), separate_tail: last.tail == Tail::Separate })
    },
};

/// Overwrite `v` with the gradient, by `phi`, of the last loss after a step of length `alpha` down each of the others; the mean loss on
/// the way.
pub fn meta_gradient(losses: &Losses, phi: &[f32], alpha: f64, v: &mut [f32]) -> Result<f64> {
    let mut descent = Inner::sgd(alpha);
    let (mut path, mut loss) = (vec![phi.to_vec()], 0.0);
    for i in 0..losses.count {
        loss += (losses.gradient)(i, &path[i], v)?;
        if i + 1 < losses.count {
            let mut theta = path[i].clone();
            descent.step(&mut theta, v);
            path.push(theta);
        }
    }
    let mut hv = vec![0.0; v.len()];
    for i in (0..losses.count.saturating_sub(1)).rev() {
        (losses.hessian_vector)(i, &path[i], v, &mut hv)?;
        tony_nn::axpy(-alpha as f32, &hv, v);
    }
    Ok(loss / losses.count as f64)
}
