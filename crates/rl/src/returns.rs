//! Returns and advantages: the only place that bootstraps.
//!
//! J. Schulman et al., "High-Dimensional Continuous Control Using Generalized Advantage Estimation" (2016), eq. 11-16.

use crate::rollout::End;

/// Generalised advantage estimates.
///
/// `signal` is a reward or a cost column `[rows]`, `values` the critic's value of each row's observation, `final_values` its value of
/// each end's final observation `[ends]`. With `delta_t = r_t + gamma V(s_{t+1}) - V(s_t)` the estimate is
/// `A_t = sum_l (gamma lambda)^l delta_{t+l}` to the end of the segment. The value after a termination is 0; after a time limit or the
/// end of the batch it is the critic's.
pub fn advantages(
    signal: &[f32],
    values: &[f32],
    ends: &[End],
    final_values: &[f32],
    gamma: f64,
    lambda: f64,
) -> Vec<f32> {
    let mut out = vec![0.0; signal.len()];
    let mut start = 0;
    for (end, &final_value) in ends.iter().zip(final_values) {
        let mut next_value = if end.terminated { 0.0 } else { f64::from(final_value) };
        let mut advantage = 0.0;
        for t in (start..=end.row).rev() {
            let value = f64::from(values[t]);
            let delta = f64::from(signal[t]) + gamma * next_value - value;
            advantage = delta + gamma * lambda * advantage;
            out[t] = advantage as f32;
            next_value = value;
        }
        start = end.row + 1;
    }
    out
}

/// Targets for the critic: the lambda-return `A_t + V(s_t)`. At `lambda = 1` this is the discounted sum of what followed, bootstrapped
/// where the segment was cut.
pub fn targets(advantages: &[f32], values: &[f32]) -> Vec<f32> {
    advantages.iter().zip(values).map(|(a, v)| a + v).collect()
}

/// Share of the variance of `targets` that `values` explain: 1 is all of it, 0 what a constant does, below 0 is worse than a constant.
/// `None` where the targets do not vary.
pub fn explained_variance(targets: &[f32], values: &[f32]) -> Option<f64> {
    let variance = |column: &dyn Fn(usize) -> f64| {
        let n = targets.len() as f64;
        let mean = (0..targets.len()).map(column).sum::<f64>() / n;
        (0..targets.len()).map(|i| (column(i) - mean).powi(2)).sum::<f64>() / n
    };
    let all = variance(&|i| f64::from(targets[i]));
    let left = variance(&|i| f64::from(targets[i]) - f64::from(values[i]));
    (all > 0.0).then(|| 1.0 - left / all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tony_random::Stream;

    const fn end(row: usize, terminated: bool) -> End {
        End { row, terminated, episode: None }
    }

    /// The definition, in quadratic time: sum over l of (gamma lambda)^l delta.
    fn by_definition(r: &[f32], v: &[f32], ends: &[End], last: &[f32], gamma: f64, lambda: f64) -> Vec<f64> {
        (0..r.len())
            .map(|t| {
                let k = ends.iter().position(|e| e.row >= t).unwrap();
                (t..=ends[k].row)
                    .map(|u| {
                        let next = match (u == ends[k].row, ends[k].terminated) {
                            (false, _) => f64::from(v[u + 1]),
                            (true, true) => 0.0,
                            (true, false) => f64::from(last[k]),
                        };
                        (gamma * lambda).powi((u - t) as i32) * (f64::from(r[u]) + gamma * next - f64::from(v[u]))
                    })
                    .sum()
            })
            .collect()
    }

    #[test]
    fn equals_the_definition_over_many_segments() {
        let mut stream = Stream::new(0, "gae", 0);
        let mut column = |n: usize| -> Vec<f32> { (0..n).map(|_| stream.normal() as f32).collect() };
        let (r, v, last) = (column(40), column(40), column(4));
        let ends = [end(0, true), end(12, false), end(30, true), end(39, false)];
        let fast = advantages(&r, &v, &ends, &last, 0.97, 0.9);
        let slow = by_definition(&r, &v, &ends, &last, 0.97, 0.9);
        for (a, b) in fast.iter().zip(&slow) {
            // One rounding to f32 of numbers of size ten.
            assert!((f64::from(*a) - b).abs() < 1e-5, "{a} {b}");
        }
    }

    #[test]
    fn a_time_limit_is_not_death() {
        // Reward 1 for ever, exact critic 1 / (1 - gamma): nothing is better or worse than expected, unless the clock counts as death.
        let gamma = 0.9;
        let (r, v) = ([1.0; 5], [10.0; 5]);
        let cut = advantages(&r, &v, &[end(4, false)], &[10.0], gamma, 0.95);
        assert!(cut.iter().all(|a| a.abs() < 1e-5), "{cut:?}");
        let dead = advantages(&r, &v, &[end(4, true)], &[10.0], gamma, 0.95);
        assert!(dead[4] < -8.9, "{dead:?}");
    }

    #[test]
    fn a_critic_explains_all_or_nothing_of_the_variance_or_adds_to_it() {
        let targets = [1.0, 2.0, 3.0, 6.0];
        assert_eq!(explained_variance(&targets, &targets), Some(1.0));
        // A constant that is off explains as little as one that is not.
        assert_eq!(explained_variance(&targets, &[-7.0; 4]), Some(0.0));
        assert_eq!(explained_variance(&targets, &targets.map(|t| -t)), Some(-3.0));
        assert_eq!(explained_variance(&[0.0; 4], &targets), None);
    }

    #[test]
    fn lambda_one_targets_are_discounted_sums() {
        let (r, v) = ([1.0, 2.0, 3.0], [5.0, -1.0, 0.5]);
        let a = advantages(&r, &v, &[end(2, true)], &[99.0], 0.5, 1.0);
        let t = targets(&a, &v);
        for (got, want) in t.iter().zip([1.0 + 0.5 * 2.0 + 0.25 * 3.0, 2.0 + 0.5 * 3.0, 3.0]) {
            assert!((got - want).abs() < 1e-6, "{t:?}");
        }
    }
}
