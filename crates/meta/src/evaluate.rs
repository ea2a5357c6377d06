//! New tasks: adapt to a few examples, and be scored on others. Whatever adapting changes is gone afterwards.

use rayon::prelude::*;
use tony_random::Stream;

use crate::Result;
use crate::inner::Inner;
use crate::learner::{Examples, Learner};
use crate::minibatches;
use crate::tasks::{self, Family, Test};

/// How one new task went.
#[derive(Clone, Debug, PartialEq)]
pub struct Score {
    /// Mean squared error, or share of pictures told right, at the initialisation.
    pub before: f64,
    /// After adaptation.
    pub after: f64,
    /// After adaptation, share told right when the pictures are normalised with each other (transductive), and each alone with the known
    /// ones. Of classification only.
    pub both: Option<[f64; 2]>,
}

/// What a page shows of a task.
#[derive(Clone, Debug)]
pub enum Drawing {
    /// A wave, and what was predicted.
    Curves {
        /// The grid.
        x: Vec<f32>,
        /// The wave.
        truth: Vec<f32>,
        /// Known points.
        support: Vec<(f32, f32)>,
        /// Predictions after so many steps.
        predictions: Vec<(usize, Vec<f32>)>,
    },
    /// Characters, class by class.
    Pictures {
        /// Pixels of a side.
        side: usize,
        /// Known drawings of each class.
        support: Vec<Vec<Vec<f32>>>,
        /// The drawing to be told, and the class that it was taken for before and after adaptation.
        query: Vec<(Vec<f32>, usize, usize)>,
    },
}

/// Adapts and scores.
pub struct Evaluator<'a> {
    /// The tasks.
    pub family: &'a Family,
    /// The network.
    pub learner: &'a Learner,
    /// Steps on a new task.
    pub config: &'a tasks::Config,
    /// The initialisation.
    pub phi: &'a [f32],
    /// The optimiser that every new task begins with.
    pub inner: &'a Inner,
    /// Whether minibatches are drawn with replacement.
    pub replacement: bool,
}

impl Evaluator<'_> {
    /// Scores of `count` tasks from number `first` of those called `name`.
    pub fn scores(&self, seed: u64, name: &str, first: u64, count: usize) -> Result<Vec<Score>> {
        let one = |i: usize| {
            let number = first + i as u64;
            let test = self.family.test(seed, name, number);
            let theta = self.adapt(&test, seed, name, number, self.config.steps)?;
            self.score(&test, &theta)
        };
        (0..count).into_par_iter().map(one).collect()
    }

    /// Pictures of the first `count` tasks called `name`.
    pub fn drawings(&self, seed: u64, name: &str, count: usize) -> Result<Vec<Drawing>> {
        let one = |number: u64| {
            let test = self.family.test(seed, name, number);
            let adapted = |steps: usize| self.adapt(&test, seed, name, number, steps);
            self.draw(&test, &adapted)
        };
        (0..count as u64).map(one).collect()
    }

    /// Parameters after `steps` steps on the known examples.
    fn adapt(&self, test: &Test, seed: u64, name: &str, number: u64, steps: usize) -> Result<Vec<f32>> {
        let mut stream = Stream::new(seed, name, number);
        // Beyond what the task itself was drawn from.
        stream.seek(1 << 32);
        let known = test.support.targets.len();
        let batch = self.config.batch.min(known);
        let batches = minibatches::cycle((0..known).collect(), batch, steps, self.replacement, &mut stream);
        let (mut theta, mut inner, mut g) = (self.phi.to_vec(), self.inner.clone(), vec![0.0; self.phi.len()]);
        for batch in &batches {
            self.learner.gradient(&theta, &test.support, batch, &mut g)?;
            inner.step(&mut theta, &g);
        }
        Ok(theta)
    }

    fn score(&self, test: &Test, theta: &[f32]) -> Result<Score> {
        let Test { support, query } = test;
        match self.family {
            Family::Sine(_) => Ok(Score {
                before: squared_error(self.learner, self.phi, query)?,
                after: squared_error(self.learner, theta, query)?,
                both: None,
            }),
            Family::Omniglot(omniglot) => {
                let right = |params: &[f32], transductive: bool| -> Result<f64> {
                    let guesses = classify(self.learner, params, support, query, transductive)?;
                    let right =
                        guesses.iter().zip(&query.targets).filter(|(guess, target)| **guess == **target as usize);
                    Ok(right.count() as f64 / guesses.len() as f64)
                };
                let both = [right(theta, true)?, right(theta, false)?];
                let transductive = omniglot.config().transductive;
                let after = both[usize::from(!transductive)];
                Ok(Score { before: right(self.phi, transductive)?, after, both: Some(both) })
            }
        }
    }

    fn draw(&self, test: &Test, adapted: &dyn Fn(usize) -> Result<Vec<f32>>) -> Result<Drawing> {
        let Test { support, query } = test;
        match self.family {
            Family::Sine(sine) => {
                let whole = self.config.steps;
                let mut steps: Vec<usize> = (0..=4).map(|i| whole * i / 4).collect();
                steps.dedup();
                let predictions = steps.into_iter().map(|n| Ok((n, self.learner.outputs(&adapted(n)?, sine.grid())?)));
                Ok(Drawing::Curves {
                    x: sine.grid().to_vec(),
                    truth: query.targets.clone(),
                    support: support.inputs.iter().copied().zip(support.targets.iter().copied()).collect(),
                    predictions: predictions.collect::<Result<_>>()?,
                })
            }
            Family::Omniglot(omniglot) => {
                let (width, theta) = (self.learner.input(), adapted(self.config.steps)?);
                let guess = |params| classify(self.learner, params, support, query, omniglot.config().transductive);
                let (before, after) = (guess(self.phi)?, guess(&theta)?);
                let mut known = vec![Vec::new(); query.targets.len()];
                for (picture, target) in support.inputs.chunks_exact(width).zip(&support.targets) {
                    known[*target as usize].push(picture.to_vec());
                }
                let asked = query.inputs.chunks_exact(width).zip(before).zip(after);
                let query = asked.map(|((picture, before), after)| (picture.to_vec(), before, after)).collect();
                Ok(Drawing::Pictures { side: crate::pictures::SIDE, support: known, query })
            }
        }
    }
}

/// Over all of `examples`.
fn squared_error(learner: &Learner, params: &[f32], examples: &Examples) -> Result<f64> {
    let y = learner.outputs(params, &examples.inputs)?;
    let sum: f64 = y.iter().zip(&examples.targets).map(|(y, t)| f64::from(y - t).powi(2)).sum();
    Ok(sum / y.len() as f64)
}

/// The class that each picture of `query` is taken for. Batch norm needs company: with `transductive` that is the other pictures of
/// `query`; without, each picture is alone with the known ones.
pub fn classify(
    learner: &Learner,
    params: &[f32],
    support: &Examples,
    query: &Examples,
    transductive: bool,
) -> Result<Vec<usize>> {
    let (classes, width) = (learner.classes(), learner.input());
    // Of equal scores the first counts.
    let best = |scores: &[f32]| {
        let better = |best: usize, i: usize| if scores[i] > scores[best] { i } else { best };
        (0..scores.len()).fold(0, better)
    };
    if transductive {
        let scores = learner.outputs(params, &query.inputs)?;
        return Ok(scores.chunks_exact(classes).map(best).collect());
    }
    let alone = |picture: &[f32]| {
        let scores = learner.outputs(params, &[&support.inputs, picture].concat())?;
        Ok(best(&scores[scores.len() - classes..]))
    };
    query.inputs.chunks_exact(width).map(alone).collect()
}
