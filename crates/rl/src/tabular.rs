//! Decision processes small enough to be solved exactly: where a paper's statement is checked to the last digits.
//!
//! A [`Table`] holds one row a state and one number an action: a policy's probabilities, rewards, advantages.

use crate::linear::eliminate;

/// `[state][action]`.
pub type Table = Vec<Vec<f64>>;

/// A discounted Markov decision process with known transitions.
#[derive(Clone, Debug, PartialEq)]
pub struct Mdp {
    /// Discount, below 1.
    pub gamma: f64,
    /// Probability of the next state, `[state][action][next state]`.
    pub transition: Vec<Table>,
    /// Reward of an action in a state.
    pub reward: Table,
    /// Distribution of the first state.
    pub start: Vec<f64>,
}

/// What a policy is worth.
#[derive(Clone, Debug, PartialEq)]
pub struct Evaluation {
    /// `J`, the expected discounted return.
    pub ret: f64,
    /// `A(s, a)`.
    pub advantage: Table,
    /// `d(s) = (1 - gamma) sum_t gamma^t P(s_t = s)`: sums to 1.
    pub visits: Vec<f64>,
}

/// How one policy differs from another, seen from the states that the old one visits.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Change {
    /// `L`: the expected advantage (the old policy's) of the new policy's actions.
    pub surrogate: f64,
    /// `max_s |E_{a ~ new} A(s, a)|`.
    pub epsilon: f64,
    /// `max_{s,a} |A(s, a)|`.
    pub largest_advantage: f64,
    /// `T`: mean total variation distance.
    pub divergence: f64,
    /// The largest total variation distance in any state.
    pub largest_divergence: f64,
    /// Mean KL(new || old).
    pub kl: f64,
}

impl Mdp {
    /// Evaluate a policy; `None` for a discount of 1, where the sums have no limit.
    pub fn evaluate(&self, policy: &Table) -> Option<Evaluation> {
        let states = 0..self.start.len();
        let flow =
            |s: usize, next: usize| inner(&policy[s], &self.transition[s].iter().map(|p| p[next]).collect::<Vec<_>>());
        let system = |entry: &dyn Fn(usize, usize) -> f64| -> Table {
            let row = |s| states.clone().map(|t| f64::from(u8::from(s == t)) - self.gamma * entry(s, t)).collect();
            states.clone().map(row).collect()
        };
        let earned: Vec<f64> = states.clone().map(|s| inner(&policy[s], &self.reward[s])).collect();
        let value = eliminate(&system(&flow), &earned)?;
        let visits = eliminate(&system(&|s, t| flow(t, s)), &self.start)?;
        let advantage = |s: usize| {
            let gain = |(reward, next): (&f64, &Vec<f64>)| reward + self.gamma * inner(next, &value) - value[s];
            self.reward[s].iter().zip(&self.transition[s]).map(gain).collect()
        };
        Some(Evaluation {
            ret: inner(&self.start, &value),
            advantage: states.clone().map(advantage).collect(),
            visits: visits.into_iter().map(|d| (1.0 - self.gamma) * d).collect(),
        })
    }
}

impl Evaluation {
    /// Compare `new` with the policy `old` that this evaluates.
    pub fn compare(&self, old: &Table, new: &Table) -> Change {
        let expected: Vec<f64> = new.iter().zip(&self.advantage).map(|(new, a)| inner(new, a)).collect();
        let rows = || old.iter().zip(new);
        let distance = |(old, new): (&Vec<f64>, &Vec<f64>)| {
            0.5 * old.iter().zip(new).map(|(old, new)| (new - old).abs()).sum::<f64>()
        };
        let distances: Vec<f64> = rows().map(distance).collect();
        let kl = |(old, new): (&Vec<f64>, &Vec<f64>)| -> f64 {
            let terms = old.iter().zip(new).filter(|(_, new)| **new > 0.0);
            terms.map(|(old, new)| new * (libm::log(*new) - libm::log(*old))).sum()
        };
        Change {
            surrogate: inner(&self.visits, &expected),
            epsilon: largest(expected),
            largest_advantage: largest(self.advantage.iter().flatten().copied()),
            divergence: inner(&self.visits, &distances),
            largest_divergence: largest(distances),
            kl: inner(&self.visits, &rows().map(kl).collect::<Vec<_>>()),
        }
    }

    /// The policy that takes an action of the largest advantage everywhere; the first of equals.
    pub fn greedy(&self) -> Table {
        let choose = |a: &Vec<f64>| {
            let best = (0..a.len()).fold(0, |best, i| if a[i] > a[best] { i } else { best });
            (0..a.len()).map(|i| f64::from(u8::from(i == best))).collect()
        };
        self.advantage.iter().map(choose).collect()
    }
}

/// The policy on the line from `from` to `to`: `(1 - alpha) from + alpha to`.
pub fn mix(from: &Table, to: &Table, alpha: f64) -> Table {
    let row = |(from, to): (&Vec<f64>, &Vec<f64>)| {
        from.iter().zip(to).map(|(from, to)| (1.0 - alpha) * from + alpha * to).collect()
    };
    from.iter().zip(to).map(row).collect()
}

/// The lower bound of TRPO (2015), which [`improvement_bounds`](crate::algorithms::empi::improvement_bounds) is compared with: from the
/// largest `|A(s, a)|` and the largest total variation distance in any state.
pub fn trpo_bound(surrogate: f64, largest_advantage: f64, largest_divergence: f64, gamma: f64) -> f64 {
    let penalty = 4.0 * gamma * largest_advantage / ((1.0 - gamma) * (1.0 - gamma));
    surrogate / (1.0 - gamma) - penalty * largest_divergence * largest_divergence
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn largest(values: impl IntoIterator<Item = f64>) -> f64 {
    values.into_iter().fold(0.0, |largest, x| x.abs().max(largest))
}
