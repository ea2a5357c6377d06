//! What tests of the sparse tasks share.

use crate::Env;
use tony_random::Stream;

/// What many episodes gave.
#[derive(Debug)]
pub(super) struct Outcome {
    /// Episodes with any reward.
    pub paid: usize,
    /// Mean return.
    pub mean_return: f64,
    /// Mean length in steps.
    pub mean_length: f64,
    /// Length of the longest episode.
    pub longest: usize,
}

/// Run `n` episodes with actions that `act` draws from an observation.
pub(super) fn episodes(env: &mut dyn Env, n: usize, act: &mut dyn FnMut(&[f64], &mut Stream) -> f64) -> Outcome {
    let (mut paid, mut earned, mut lengths, mut longest) = (0, 0.0, 0, 0);
    for episode in 0..n {
        let mut stream = Stream::new(7, "actions", episode as u64);
        let mut obs = vec![0.0; env.spec().obs_dim];
        env.reset(episode as u64, &mut obs).unwrap();
        let (mut ret, mut length) = (0.0, 0);
        loop {
            let action = act(&obs, &mut stream);
            let step = env.step(&[action], &mut obs, &mut []).unwrap();
            ret += step.reward;
            length += 1;
            if step.terminated || step.truncated {
                break;
            }
        }
        paid += usize::from(ret > 0.0);
        earned += ret;
        lengths += length;
        longest = longest.max(length);
    }
    Outcome { paid, mean_return: earned / n as f64, mean_length: lengths as f64 / n as f64, longest }
}
