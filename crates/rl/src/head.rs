//! [`Head`]: the action distribution on top of a network's outputs.

use tony_env::space::Space;
use tony_nn::{categorical, gaussian};
use tony_random::Stream;

/// What the outputs mean. `log_std` is a free vector, one number an action dimension; empty for a categorical head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Head {
    /// Diagonal Gaussian; the network gives the mean, a free vector the log of the standard deviation.
    Gaussian,
    /// Categorical; the network gives the logits.
    Categorical,
}

impl Head {
    /// The head for actions of `space`, with the numbers of outputs, of log-deviations, and in an action row.
    pub fn of(space: &Space) -> (Self, usize, usize) {
        match space {
            Space::Box { low, .. } => (Self::Gaussian, low.len(), low.len()),
            Space::Discrete { n } => (Self::Categorical, *n, 0),
        }
    }

    /// Length of an action row.
    pub fn act_dim(self, outputs: usize) -> usize {
        if self == Self::Gaussian { outputs } else { 1 }
    }

    /// Draw an action from one row of outputs; returns its log-probability.
    pub fn sample(self, y: &[f32], log_std: &[f32], stream: &mut Stream, act: &mut [f32]) -> f32 {
        let mut log_prob = [0.0];
        match self {
            Self::Gaussian => {
                gaussian::sample(y, log_std, stream, act);
                gaussian::log_prob(y, log_std, act, &mut log_prob);
            }
            Self::Categorical => {
                let mut index = [0];
                categorical::sample(y, y.len(), stream, &mut index);
                categorical::log_prob(y, y.len(), &index, &mut log_prob);
                act[0] = index[0] as f32;
            }
        }
        log_prob[0]
    }

    /// The most likely action of one row of outputs.
    pub fn mode(self, y: &[f32], act: &mut [f32]) {
        match self {
            Self::Gaussian => act.copy_from_slice(y),
            Self::Categorical => {
                let mut index = [0];
                categorical::mode(y, y.len(), &mut index);
                act[0] = index[0] as f32;
            }
        }
    }

    /// Log-probabilities of actions, one for each row of `outputs` numbers.
    pub fn log_probs(self, y: &[f32], outputs: usize, log_std: &[f32], act: &[f32], out: &mut [f32]) {
        match self {
            Self::Gaussian => gaussian::log_prob(y, log_std, act, out),
            Self::Categorical => categorical::log_prob(y, outputs, &whole(act), out),
        }
    }

    /// Gradient of `sum over rows of weight * log_prob + entropy * H`: overwrites `dy`, adds to `d_log_std`. `rows` are (outputs, actions,
    /// weights).
    pub fn gradient(
        self,
        rows: (&[f32], &[f32], &[f32]),
        log_std: &[f32],
        entropy: f32,
        dy: &mut [f32],
        d_log_std: &mut [f64],
    ) {
        let (y, act, weights) = rows;
        match self {
            Self::Gaussian => {
                gaussian::log_prob_gradient(y, log_std, act, weights, dy, d_log_std);
                // Every log-deviation adds itself to every row's entropy.
                d_log_std.iter_mut().for_each(|sum| *sum += f64::from(entropy) * weights.len() as f64);
            }
            Self::Categorical => {
                let outputs = y.len() / weights.len().max(1);
                categorical::log_prob_gradient(y, outputs, &whole(act), weights, f64::from(entropy), dy);
            }
        }
    }

    /// Mean of KL(old || now) over rows, given outputs and log-deviations of both.
    pub fn kl(self, old: (&[f32], &[f32]), now: (&[f32], &[f32]), outputs: usize) -> f64 {
        let mut out = vec![0.0; now.0.len() / outputs];
        match self {
            Self::Gaussian => gaussian::kl(old.0, old.1, now.0, now.1, &mut out),
            Self::Categorical => categorical::kl(old.0, now.0, outputs, &mut out),
        }
        mean(&out)
    }

    /// Mean entropy of rows of logits (categorical) or of any row (Gaussian: the outputs do not matter).
    pub fn entropy(self, y: impl FnOnce() -> Vec<f32>, outputs: usize, log_std: &[f32]) -> f64 {
        match self {
            Self::Gaussian => gaussian::entropy(log_std),
            Self::Categorical => {
                let y = y();
                let mut out = vec![0.0; y.len() / outputs];
                categorical::entropy(&y, outputs, &mut out);
                mean(&out)
            }
        }
    }
}

/// Discrete actions as indices.
fn whole(act: &[f32]) -> Vec<u32> {
    act.iter().map(|&a| a as u32).collect()
}

fn mean(column: &[f32]) -> f64 {
    column.iter().map(|&x| f64::from(x)).sum::<f64>() / column.len().max(1) as f64
}
