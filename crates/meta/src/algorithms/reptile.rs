//! Reptile.
//!
//! A. Nichol, J. Achiam, J. Schulman, "On First-Order Meta-Learning Algorithms" (2018), algorithms 1 and 2.
//!
//! Take `k` gradient steps on a task, then move the initialisation some of the way to where they led. Serial with `meta_batch=1`; with
//! more tasks, towards the mean of where they led. With one step (`k = 1`) that is training on all tasks jointly; with more, the second
//! order of the expansion in alpha pulls gradients of different minibatches of a task together.
//!
//! Omitted: weight decay of the inner loop (off in every published run), and the outer loop's Adam, which the paper tried and dropped.
//!
//! | paper | here |
//! |---|---|
//! | `phi` | `phi`, the initialisation |
//! | `phi~ = U^k(phi)` | `theta` after the last step of [`displacement`] |
//! | `epsilon` | `eps`, applied by [`crate::outer::interpolate`] |
//! | `alpha` | `inner.lr` |
//! | `g_1 .. g_k` | gradients of the minibatches; plain steps make `phi~ - phi = -alpha (g_1 + .. + g_k)` |
//! | sums, averages and single ones of `g_1 .. g_k` (section 6.1) | `combine`, at `inner.steps=k` |

use tony_run::{choices, settings};

use super::{Entry, Method};
use crate::Result;
use crate::inner::Inner;
use crate::learner::Losses;

choices! {
    /// What of the steps inside a task moves the initialisation.
    pub enum Combine {
        /// All: `phi~ - phi`, Reptile (for plain steps, `g_1 + .. + g_k`).
        Sum = "sum",
        /// All, divided by their number.
        Mean = "mean",
        /// The last one alone (`g_k`).
        Last = "last",
    }
}

settings! {
    /// Reptile
    pub struct Config {
        /// What of the steps inside a task moves the initialisation.
        "combine" combine: Combine = Combine::Sum;
    }
}

pub(super) const ENTRY: Entry = Entry {
    name: "reptile",
    title: "Reptile",
    family: "few-shot",
    summary: "moves the initialisation towards what a few steps on each task lead to",
    paper: "Nichol et al. 2018",
    groups: &[<Config as tony_run::Settings>::fields],
    build: |plan| {
        let config: Config = plan.group()?;
        let direction = move |losses: &Losses, phi: &[f32], inner: &mut Inner, out: &mut [f32]| {
            displacement(losses, phi, inner, config.combine, out)
        };
        Ok(Method { direction: Box::new(direction), separate_tail: false })
    },
};

/// Overwrite `out` with the direction that one task gives, `phi~ - phi` or what `combine` makes of it; the mean loss on the way.
pub fn displacement(losses: &Losses, phi: &[f32], inner: &mut Inner, combine: Combine, out: &mut [f32]) -> Result<f64> {
    let (mut theta, mut g) = (phi.to_vec(), vec![0.0; phi.len()]);
    let (mut from, mut loss) = (phi.to_vec(), 0.0);
    for i in 0..losses.count {
        if combine == Combine::Last {
            from.copy_from_slice(&theta);
        }
        loss += (losses.gradient)(i, &theta, &mut g)?;
        inner.step(&mut theta, &g);
    }
    let share = if combine == Combine::Mean { 1.0 / losses.count as f32 } else { 1.0 };
    for (out, (theta, from)) in out.iter_mut().zip(theta.iter().zip(&from)) {
        *out = (theta - from) * share;
    }
    Ok(loss / losses.count as f64)
}
