//! Group Relative Policy Optimization.
//!
//! Z. Shao, P. Wang, Q. Zhu, R. Xu, J. Song, M. Zhang, Y. K. Li, Y. Wu, D. Guo, "DeepSeekMath: Pushing the Limits of Mathematical Reasoning in
//! Open Language Models" (2024), section 4.1, with outcome supervision. From Z. Liu et al., "Understanding R1-Zero-Like Training: A Critical
//! Perspective" (2025, "Dr. GRPO"): `deviation=false`, `length=limit`. From Q. Yu et al., "DAPO: An Open-Source LLM Reinforcement Learning
//! System at Scale" (2025): `length=batch`, `clip.high`.
//!
//! The clipped surrogate of PPO, action by action, with one advantage for all actions of an episode: how far its return lies from the
//! mean of the episodes that began alike, in their standard deviations (of the group itself, divisor `G`).
//!
//! Omitted: process supervision, refreshing the reference, training the reward model meanwhile; DAPO's resampling of groups that are alike
//! (`Train/GroupsAlike` counts them) and its penalty on long answers, which is a matter of the reward.
//!
//! | paper | here |
//! |---|---|
//! | `G`, `o_i`, `r_i` | `group`, an episode of it, its return |
//! | `A_{i,t} = (r_i - mean(r)) / std(r)` | [`group_advantages`] |
//! | `epsilon`; DAPO's `epsilon_low`, `epsilon_high` | `clip`; `clip`, `clip.high` |
//! | `1/G sum_i 1/abs(o_i) sum_t` | [`shares`] |
//! | `beta D_KL(pi, pi_ref)` (eq. 4) | `kl`, [`k3`] of `Rollout::reference` |

use tony_run::{Metrics, Settings, choices, settings};

use super::ppo::clipped_weight;
use super::{Entry, GROUPED, LOG_RATIO, presets};
use crate::algorithm::Algorithm;
use crate::grouped::{Grouped, grouped_accessors};
use crate::rollout::Rollout;
use crate::{Error, Result, train};

choices! {
    /// What a sum over actions is divided by.
    pub enum Length {
        /// Each episode's by its own length: each episode counts as much (GRPO).
        Episode = "episode",
        /// All of them by their number in the batch: each action counts as much (DAPO).
        Batch = "batch",
        /// Each episode's by the largest length there is (Dr. GRPO).
        Limit = "limit",
    }
}

settings! {
    /// GRPO
    pub struct Config {
        /// Ratios outside 1 +- clip earn nothing more (epsilon).
        "clip" clip: f64 = 0.2, (0.01..=1.0);
        /// How far above 1 a ratio may earn; none: as far as below.
        "clip.high" clip_high: Option<f64> = None, if |clip| clip.is_none_or(|c| (0.01..=1e6).contains(&c)), "none, or a number from 0.01 to 1000000";
        /// Divide a group's advantages by the standard deviation of its returns.
        "deviation" deviation: bool = true;
        /// What a sum over actions is divided by: episode, batch or limit.
        "length" length: Length = Length::Episode;
        /// Weight of the divergence from the reference policy in the objective (beta), for a policy that has one.
        "kl" kl: f64 = 0.0, (0.0..=100.0);
    }
}

struct Grpo {
    learner: Grouped,
    config: Config,
    /// Steps that an episode may last.
    limit: usize,
}

pub(super) const ENTRY: Entry = Entry {
    name: "grpo",
    title: "Group Relative Policy Optimization",
    family: "on-policy without critics",
    summary: "clipped surrogate of returns normalised among episodes that began alike; ignores costs",
    paper: "Shao et al. 2024",
    presets: presets::GRPO,
    groups: &[GROUPED, &[Config::fields]],
    build: |plan, start| {
        let run: train::Config = plan.group()?;
        let limit = run.episode_steps.unwrap_or(usize::MAX).min(start.spec.max_steps);
        Ok(Box::new(Grpo { learner: Grouped::new(plan, start)?, config: plan.group()?, limit }))
    },
};

impl Algorithm for Grpo {
    fn update(&mut self, rollout: &Rollout, metrics: &mut Metrics) -> Result<()> {
        let config = &self.config;
        if config.kl > 0.0 && rollout.reference.is_empty() {
            return Err(Error::Invalid {
                what: format!("kl = {} draws towards a reference policy, and this policy has none", config.kl),
                hint: "kl=0".to_owned(),
            });
        }
        let of = |returns: &[f64]| group_advantages(returns, config.deviation);
        let (advantage, share) =
            (self.learner.advantages(rollout, of, metrics)?, shares(rollout, config.length, self.limit));
        let (low, high) = (config.clip as f32, config.clip_high.unwrap_or(config.clip) as f32);
        let weight = |row: usize, log_prob: f32| {
            let ratio = libm::expf(log_prob - rollout.log_prob[row]);
            let clip = if advantage[row] > 0.0 { high } else { low };
            let gain = clipped_weight(ratio, advantage[row], clip);
            let pull = if config.kl > 0.0 { config.kl as f32 * k3(log_prob, rollout.reference[row]).1 } else { 0.0 };
            share[row] * (gain - pull)
        };
        self.learner.improve(rollout, false, &|_, _| Box::new(&weight), metrics)
    }

    grouped_accessors!();
}

/// A group's advantages for its returns: their distances from the mean, in standard deviations if `deviation`; 0 where all are the same.
pub fn group_advantages(returns: &[f64], deviation: bool) -> Vec<f64> {
    let n = returns.len() as f64;
    let mean = returns.iter().sum::<f64>() / n;
    let variance = returns.iter().map(|ret| (ret - mean).powi(2)).sum::<f64>() / n;
    // The floor keeps rounding in returns that are the same from becoming an advantage.
    let scale = if deviation { 1.0 / (variance.sqrt() + 1e-6) } else { 1.0 };
    returns.iter().map(|ret| scale * (ret - mean)).collect()
}

/// How much of the objective each row is, `[rows]`; `limit` is the largest length of an episode.
pub fn shares(rollout: &Rollout, length: Length, limit: usize) -> Vec<f32> {
    let mut shares = vec![0.0; rollout.rows()];
    let episodes = rollout.ends.len() as f64;
    for episode in 0..rollout.ends.len() {
        let rows = rollout.segment(episode);
        let of = match length {
            Length::Episode => episodes * rows.len() as f64,
            Length::Batch => rollout.rows() as f64,
            Length::Limit => episodes * limit as f64,
        };
        shares[rows].fill((1.0 / of) as f32);
    }
    shares
}

/// An unbiased estimate of the divergence from the reference policy that is never negative, `r - log r - 1` with `r` the reference's
/// probability of the action over the policy's, and its derivative by the policy's log-probability.
pub fn k3(log_prob: f32, reference: f32) -> (f32, f32) {
    let log_ratio = (reference - log_prob).clamp(-LOG_RATIO, LOG_RATIO);
    let excess = libm::expm1f(log_ratio);
    (excess - log_ratio, -excess)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::algorithms::ppo::clipped_surrogate;
    use crate::rollout::End;

    #[test]
    fn advantages_are_distances_from_the_mean_of_the_group() {
        // Mean 2, variance (1 + 1 + 4 + 4) / 4.
        let deviation = 2.5_f64.sqrt();
        for (got, far) in group_advantages(&[1.0, 3.0, 4.0, 0.0], true).iter().zip([-1.0, 1.0, 2.0, -2.0]) {
            // The floor of 1e-6 beside a deviation of 1.6.
            assert!((got - far / deviation).abs() < 2e-6, "{got}");
        }
        assert_eq!(group_advantages(&[1.0, 3.0, 4.0, 0.0], false), [-1.0, 1.0, 2.0, -2.0]);
        assert_eq!(group_advantages(&[0.1; 5], true), [0.0; 5]);
        // A scale of the rewards changes nothing.
        let (one, ten) = (group_advantages(&[0.2, 0.9, 0.4], true), group_advantages(&[2.0, 9.0, 4.0], true));
        assert!(one.iter().zip(&ten).all(|(a, b)| (a - b).abs() < 1e-4), "{one:?} {ten:?}");
    }

    #[test]
    fn an_episode_or_an_action_counts_as_much_as_any_other() {
        let mut rollout = Rollout::new(1, 1, 0, 8);
        rollout.ends = [1, 7].map(|row| End { row, terminated: true, episode: None }).to_vec();
        let sums = |length| {
            let shares = shares(&rollout, length, 10);
            [shares[..2].iter().sum::<f32>(), shares[2..].iter().sum::<f32>()]
        };
        // Powers of two but for the sixths, of which six are summed.
        let near = |got: [f32; 2], want: [f32; 2]| got.iter().zip(want).all(|(g, w)| (g - w).abs() < 1e-6);
        assert!(near(sums(Length::Episode), [0.5, 0.5]));
        assert!(near(sums(Length::Batch), [0.25, 0.75]));
        assert!(near(sums(Length::Limit), [0.1, 0.3]));
    }

    /// The clipped surrogate less the divergence, with other limits above than below.
    #[test]
    fn the_weight_is_the_derivative_of_the_objective() {
        let (low, high, kl, old, reference) = (0.2, 0.4, 0.7, -1.2_f32, -0.9_f32);
        let limit = |advantage: f32| if advantage > 0.0 { high } else { low };
        for advantage in [-1.5_f32, 2.0] {
            for log_ratio in [-0.6_f32, -0.1, 0.05, 0.25, 0.6] {
                let value = |log_prob: f64| {
                    let ratio = libm::exp(log_prob - f64::from(old));
                    let towards = f64::from(reference) - log_prob;
                    let divergence = libm::exp(towards) - towards - 1.0;
                    let surrogate = clipped_surrogate(ratio as f32, advantage, limit(advantage));
                    f64::from(surrogate) - kl * divergence
                };
                let at = old + log_ratio;
                let numeric = (value(f64::from(at) + 1e-3) - value(f64::from(at) - 1e-3)) / 2e-3;
                let gain = clipped_weight(log_ratio.exp(), advantage, limit(advantage));
                let weight = f64::from(gain) - kl * f64::from(k3(at, reference).1);
                // f32 values of size one over a step of 1e-3.
                assert!((numeric - weight).abs() < 1e-3, "{advantage} {log_ratio}: {numeric} {weight}");
            }
        }
        let (at_home, slope) = k3(-0.9, -0.9);
        assert_eq!((at_home, slope), (0.0, 0.0));
        assert!(k3(-2.0, -0.9).0 > 0.0 && k3(-0.1, -0.9).0 > 0.0);
        // Less probable than in the reference: the divergence falls as the action becomes more probable.
        assert!(k3(-2.0, -0.9).1 < 0.0);
    }
}
