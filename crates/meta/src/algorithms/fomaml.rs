//! First-order MAML.
//!
//! C. Finn, P. Abbeel, S. Levine, "Model-Agnostic Meta-Learning" (2017), section 5.2; A. Nichol, J. Achiam, J. Schulman, "On First-Order
//! Meta-Learning Algorithms" (2018), sections 2 and 6.2-6.3.
//!
//! MAML without second derivatives: take `k - 1` steps on a task, and use the gradient of the last minibatch, at the parameters where they
//! led, as if it were the gradient at the initialisation. The last minibatch should be of examples that the steps before it have not seen
//! (`tail=separate`); shared ones are already fitted where they are asked.
//!
//! Omitted: Finn's outer Adam. The published Reptile code calls this `foml` and lets the outer step be the step that the inner optimiser
//! would make of the last gradient, with its scaling (`update=step`); `update=gradient` takes the bare gradient.
//!
//! | paper | here |
//! |---|---|
//! | `phi` | `phi`, the initialisation |
//! | `g_k = L_k'(phi_k)` | the last gradient of [`last_gradient`] |
//! | `alpha` | `inner.lr` |
//! | outer step size | `eps` |

use tony_run::{Settings, choices, settings};

use super::reptile::{Combine, displacement};
use super::{Entry, Method};
use crate::Result;
use crate::inner::Inner;
use crate::learner::Losses;
use crate::minibatches::{self, Tail};

choices! {
    /// What the last minibatch's gradient becomes.
    pub enum Update {
        /// The step that the inner optimiser makes of it.
        Step = "step",
        /// Itself, downhill.
        Gradient = "gradient",
    }
}

settings! {
    /// First-order MAML
    pub struct Config {
        /// What the last minibatch's gradient becomes before it moves the initialisation.
        "update" update: Update = Update::Step;
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: "fomaml",
    title: "First-order MAML",
    family: "few-shot",
    summary: "moves the initialisation along the gradient after a few steps on each task",
    paper: "Finn et al. 2017",
    groups: &[Config::fields, minibatches::Config::fields],
    build: |plan| {
        let (config, last): (Config, minibatches::Config) = (plan.group()?, plan.group()?);
        let direction = move |losses: &Losses, phi: &[f32], inner: &mut Inner, out: &mut [f32]| match config.update {
            Update::Step => displacement(losses, phi, inner, Combine::Last, out),
            Update::Gradient => {
                let loss = last_gradient(losses, phi, inner, out)?;
                out.iter_mut().for_each(|g| *g = -*g);
                Ok(loss)
            }
        };
        Ok(Method { direction: Box::new(direction), separate_tail: last.tail == Tail::Separate })
    },
};

/// Overwrite `out` with `g_k`, the gradient of the last minibatch after a step on each of the others; the mean loss on the way.
pub fn last_gradient(losses: &Losses, phi: &[f32], inner: &mut Inner, out: &mut [f32]) -> Result<f64> {
    let (mut theta, mut loss) = (phi.to_vec(), 0.0);
    for i in 0..losses.count {
        loss += (losses.gradient)(i, &theta, out)?;
        if i + 1 < losses.count {
            inner.step(&mut theta, out);
        }
    }
    Ok(loss / losses.count as f64)
}
