//! [`Rollout`]: all that an algorithm learns from.

/// A batch of experience as flat columns; row `i` is one step of one environment.
///
/// The rows of an environment are contiguous and in time order. A *segment* is a run of rows of one episode; every segment ends in
/// an [`End`], so no quantity crosses an episode and the last row of each environment always has one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Rollout {
    /// Length of an observation.
    pub obs_dim: usize,
    /// Length of an action row.
    pub act_dim: usize,
    /// Number of cost channels.
    pub n_costs: usize,
    /// Observations before the action, `[rows, obs_dim]`.
    pub obs: Vec<f32>,
    /// Actions, `[rows, act_dim]`.
    pub act: Vec<f32>,
    /// Log-probability of each action under the policy that took it.
    pub log_prob: Vec<f32>,
    /// Rewards.
    pub reward: Vec<f32>,
    /// Costs, `[rows, n_costs]`.
    pub costs: Vec<f32>,
    /// Log-probability of each action under the policy that the learning one should stay near, `[rows]`; empty: there is none.
    pub reference: Vec<f32>,
    /// What a wrapper adds to the rewards, `[rows]`; empty: nothing. It counts in the advantages and not in the critic's targets.
    pub bonus: Vec<f32>,
    /// Ends of segments, by increasing row.
    pub ends: Vec<End>,
    /// Observation after the last row of each segment, `[ends.len(), obs_dim]`.
    pub final_obs: Vec<f32>,
    /// How many numbers the actor carries from step to step.
    pub memory_len: usize,
    /// What it carried into the first row of each segment, `[ends.len(), memory_len]`.
    pub memory: Vec<f32>,
    /// Cost sums of the episode that finished at each end, `[ends.len(), n_costs]`; zeros where none did.
    pub episode_costs: Vec<f64>,
    /// Index of the update that learns from this batch, from 0: the counter of its random streams.
    pub update: u64,
    /// Share of the training's steps taken before this batch, in `[0, 1)`: where schedules stand.
    pub progress: f64,
}

/// The end of a segment.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct End {
    /// Last row of the segment.
    pub row: usize,
    /// The task ended: the state after it has value 0. Otherwise the clock or the batch ran out and the value is bootstrapped.
    pub terminated: bool,
    /// The finished episode, if the segment ends one (the batch may end in the middle).
    pub episode: Option<Episode>,
}

/// Sums over one finished episode, from its reset on, whichever batch that was in.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Episode {
    /// Undiscounted return.
    pub ret: f64,
    /// Length in steps.
    pub length: usize,
}

impl Rollout {
    /// An empty rollout of the given shape with `rows` rows.
    pub fn new(obs_dim: usize, act_dim: usize, n_costs: usize, rows: usize) -> Self {
        Self {
            obs_dim,
            act_dim,
            n_costs,
            obs: vec![0.0; rows * obs_dim],
            act: vec![0.0; rows * act_dim],
            log_prob: vec![0.0; rows],
            reward: vec![0.0; rows],
            costs: vec![0.0; rows * n_costs],
            ..Self::default()
        }
    }

    /// Forget all rows; the shape stays.
    pub fn clear(&mut self) {
        let Self { obs, act, log_prob, reward, costs, reference, bonus, final_obs, memory, .. } = self;
        [obs, act, log_prob, reward, costs, reference, bonus, final_obs, memory].into_iter().for_each(Vec::clear);
        self.ends.clear();
        self.episode_costs.clear();
    }

    /// The rows of segment `index`, the one that `ends[index]` ends.
    pub fn segment(&self, index: usize) -> std::ops::Range<usize> {
        let start = index.checked_sub(1).map_or(0, |before| self.ends[before].row + 1);
        start..self.ends[index].row + 1
    }

    /// Number of rows.
    pub fn rows(&self) -> usize {
        self.reward.len()
    }

    /// One cost channel as a column, `[rows]`.
    pub fn cost_column(&self, channel: usize) -> Vec<f32> {
        self.costs.iter().skip(channel).step_by(self.n_costs.max(1)).copied().collect()
    }

    /// Mean undiscounted return of the episodes that finished in this batch; `None` if none did.
    pub fn mean_return(&self) -> Option<f64> {
        self.mean(|_, episode| episode.ret)
    }

    /// Mean length of the episodes that finished in this batch.
    pub fn mean_length(&self) -> Option<f64> {
        self.mean(|_, episode| episode.length as f64)
    }

    /// Mean undiscounted cost of one channel over the episodes that finished in this batch.
    pub fn mean_cost(&self, channel: usize) -> Option<f64> {
        self.mean(|end, _| self.episode_costs[end * self.n_costs + channel])
    }

    fn mean(&self, value: impl Fn(usize, Episode) -> f64) -> Option<f64> {
        let (mut sum, mut count) = (0.0, 0_usize);
        for (i, end) in self.ends.iter().enumerate() {
            if let Some(episode) = end.episode {
                sum += value(i, episode);
                count += 1;
            }
        }
        (count > 0).then(|| sum / count as f64)
    }

    /// Name of the first column with a number that is not finite, and its row.
    pub fn first_non_finite(&self) -> Option<(String, usize)> {
        let scan = |name: &str, column: &[f32], width: usize| {
            let at = column.iter().position(|x| !x.is_finite())?;
            let name = if width > 1 { format!("{name}[{}]", at % width) } else { name.to_owned() };
            Some((name, at / width))
        };
        scan("observation", &self.obs, self.obs_dim)
            .or_else(|| scan("action", &self.act, self.act_dim))
            .or_else(|| scan("log-probability", &self.log_prob, 1))
            .or_else(|| scan("reference log-probability", &self.reference, 1))
            .or_else(|| scan("reward", &self.reward, 1))
            .or_else(|| scan("cost", &self.costs, self.n_costs.max(1)))
            .or_else(|| {
                let (name, end) = scan("final observation", &self.final_obs, self.obs_dim)?;
                Some((name, self.ends[end].row))
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn means_are_over_finished_episodes_only() {
        let mut rollout = Rollout::new(1, 1, 2, 4);
        rollout.ends = vec![
            End { row: 1, terminated: true, episode: Some(Episode { ret: 3.0, length: 2 }) },
            End { row: 3, terminated: false, episode: None },
        ];
        rollout.episode_costs = vec![5.0, 7.0, 0.0, 0.0];
        rollout.final_obs = vec![0.0; 2];
        assert_eq!(rollout.mean_return(), Some(3.0));
        assert_eq!(rollout.mean_length(), Some(2.0));
        assert_eq!(rollout.mean_cost(1), Some(7.0));
        rollout.ends.remove(0);
        assert_eq!(rollout.mean_return(), None);
    }

    #[test]
    fn the_first_bad_number_is_named_with_its_row() {
        let mut rollout = Rollout::new(3, 1, 1, 4);
        assert_eq!(rollout.first_non_finite(), None);
        rollout.reward[3] = f32::NAN;
        assert_eq!(rollout.first_non_finite(), Some(("reward".to_owned(), 3)));
        rollout.obs[2 * 3 + 1] = f32::INFINITY;
        assert_eq!(rollout.first_non_finite(), Some(("observation[1]".to_owned(), 2)));
    }
}
