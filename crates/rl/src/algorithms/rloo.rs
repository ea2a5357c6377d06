//! REINFORCE with a leave-one-out baseline.
//!
//! A. Ahmadian, C. Cremer, M. Gallé, M. Fadaee, J. Kreutzer, O. Pietquin, A. Üstün, S. Hooker, "Back to Basics: Revisiting REINFORCE-Style
//! Optimization for Learning from Human Feedback in LLMs" (2024), section 3.2, after W. Kool, H. van Hoof, M. Welling, "Buy 4 REINFORCE
//! Samples, Get a Baseline for Free!" (2019).
//!
//! A whole episode is one action, and what the other episodes that began alike returned is its baseline, which leaves the gradient's mean
//! as it is. With `clip` an episode's probability ratio enters as in PPO, for several steps a batch; without, every step is plain REINFORCE.
//!
//! Omitted: the penalty for leaving a reference policy, which is a part of the reward and the policy's to take off (`Actor::settle`).
//!
//! | paper | here |
//! |---|---|
//! | `k`, `y_(1) ... y_(k)` | `group`, the episodes of a group |
//! | `R(y_(i), x)` | an episode's return, undiscounted |
//! | `R(y_(i), x) - 1/(k-1) sum_{j != i} R(y_(j), x)` | [`leave_one_out`] |
//! | `pi(y) / pi_old(y)` | the product of the ratios of an episode's actions, [`episode_ratios`] |

use tony_run::{Metrics, Settings, settings};

use super::ppo::clipped_weight;
use super::{Entry, GROUPED, LOG_RATIO, presets};
use crate::Result;
use crate::algorithm::Algorithm;
use crate::grouped::{Grouped, grouped_accessors};
use crate::rollout::Rollout;

settings! {
    /// RLOO
    pub struct Config {
        /// Weigh an episode by its probability ratio, which earns nothing more outside 1 +- clip; none: no ratio.
        "clip" clip: Option<f64> = None, if |clip| clip.is_none_or(|c| (0.01..=1e6).contains(&c)), "none, or a number from 0.01 to 1000000";
    }
}

struct Rloo {
    learner: Grouped,
    config: Config,
}

pub(super) const ENTRY: Entry = Entry {
    name: "rloo",
    title: "REINFORCE Leave-One-Out",
    family: "on-policy without critics",
    summary: "whole episodes against the mean of the others that began alike; ignores costs",
    paper: "Ahmadian et al. 2024",
    presets: presets::RLOO,
    groups: &[GROUPED, &[Config::fields]],
    build: |plan, start| Ok(Box::new(Rloo { learner: Grouped::new(plan, start)?, config: plan.group()? })),
};

impl Algorithm for Rloo {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let advantage = self.learner.advantages(rollout, leave_one_out, metrics)?;
        let share = 1.0 / rollout.ends.len() as f32;
        let clip = self.config.clip;
        self.learner.improve(
            rollout,
            true,
            &|policy, batch| {
                let advantage = &advantage;
                let Some(clip) = clip else { return Box::new(move |row, _| share * advantage[row]) };
                let ratios = episode_ratios(rollout, batch.index.unwrap_or_default(), &policy.log_probs(batch));
                Box::new(move |row, _| share * clipped_weight(ratios[row], advantage[row], clip as f32))
            },
            metrics,
        )
    }

    grouped_accessors!();
}

/// A group's advantages for its returns: each return less the mean of the others.
pub fn leave_one_out(returns: &[f64]) -> Vec<f64> {
    let sum: f64 = returns.iter().sum();
    returns.iter().map(|ret| ret - (sum - ret) / (returns.len() - 1) as f64).collect()
}

/// The probability of each row's episode now over that when it was collected, `[rows]`, held below `e^20`; `log_probs` are of the whole episodes whose rows
/// `index` lists. Rows of other episodes get 1.
pub fn episode_ratios(rollout: &Rollout, index: &[u32], log_probs: &[f32]) -> Vec<f32> {
    let mut change = vec![0.0; rollout.rows()];
    for (&row, now) in index.iter().zip(log_probs) {
        change[row as usize] = now - rollout.log_prob[row as usize];
    }
    for segment in 0..rollout.ends.len() {
        let rows = rollout.segment(segment);
        let sum: f32 = change[rows.clone()].iter().sum();
        change[rows].fill(libm::expf(sum.clamp(-LOG_RATIO, LOG_RATIO)));
    }
    change
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::ppo::clipped_surrogate;
    use crate::rollout::End;

    /// What the others returned, one by one. The advantage of the best is positive, and all of them sum to 0.
    #[test]
    fn the_baseline_is_the_mean_of_the_others() {
        assert_eq!(leave_one_out(&[1.0, 2.0, 6.0]), [1.0 - 4.0, 2.0 - 3.5, 6.0 - 1.5]);
        assert_eq!(leave_one_out(&[5.0, 5.0]), [0.0, 0.0]);
        let returns = [0.3, -1.2, 7.0, 2.5];
        for (i, advantage) in leave_one_out(&returns).into_iter().enumerate() {
            let others = (0..4).filter(|&j| j != i).map(|j| returns[j]).sum::<f64>() / 3.0;
            // Two orders of adding four numbers.
            assert!((advantage - (returns[i] - others)).abs() < 1e-12);
        }
    }

    /// The weight of a log-probability is the derivative of its episode's clipped surrogate.
    #[test]
    fn weights_are_the_derivative_of_the_surrogate_of_whole_episodes() {
        let mut rollout = Rollout::new(1, 1, 0, 5);
        rollout.log_prob = vec![-1.0, -0.5, -2.0, -0.3, -1.5];
        rollout.ends = [1, 4].map(|row| End { row, terminated: true, episode: None }).to_vec();
        let (clip, advantages) = (0.2, [1.5, -0.7]);
        let of_row = |row: usize| usize::from(row > 1);
        let value = |log_probs: &[f64]| -> f64 {
            (0..2)
                .map(|episode| {
                    let rows = rollout.segment(episode);
                    let change: f64 = rows.map(|row| log_probs[row] - f64::from(rollout.log_prob[row])).sum();
                    f64::from(clipped_surrogate(change.exp() as f32, advantages[episode], clip))
                })
                .sum()
        };
        for shift in [[0.05, -0.02, 0.03, 0.01, -0.06], [0.3, 0.1, 0.0, 0.1, 0.0], [-0.3, 0.0, -0.2, -0.3, 0.1]] {
            let now: Vec<f64> = shift.iter().zip(&rollout.log_prob).map(|(s, l)| s + f64::from(*l)).collect();
            // The batch lists the second episode first.
            let index = [2, 3, 4, 0, 1];
            let listed: Vec<f32> = index.iter().map(|&row| now[row as usize] as f32).collect();
            let ratios = episode_ratios(&rollout, &index, &listed);
            for row in 0..5 {
                let side = |h: f64| {
                    let mut moved = now.clone();
                    moved[row] += h;
                    value(&moved)
                };
                let numeric = (side(1e-3) - side(-1e-3)) / 2e-3;
                let weight = f64::from(clipped_weight(ratios[row], advantages[of_row(row)], clip));
                // f32 values of size one over a step of 1e-3.
                assert!((numeric - weight).abs() < 1e-3, "{shift:?} {row}: {numeric} {weight}");
            }
        }
    }
}
