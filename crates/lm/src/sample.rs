//! From logits to a token.

use std::cmp::Ordering;
use std::collections::BinaryHeap;

use tony_random::Stream;

use crate::{Error, Result};

/// How the next token is drawn: logits by `temperature`, then the `top_k` likeliest, then the likeliest whose probabilities reach `top_p`,
/// then those not less likely than `min_p` times the likeliest.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sampling {
    /// Divides logits; 0 takes the likeliest.
    pub temperature: f32,
    /// Most tokens to choose from; 0 for all.
    pub top_k: usize,
    /// Probability that those to choose from reach; 1 for all.
    pub top_p: f32,
    /// Share of the largest probability that one needs; 0 for all.
    pub min_p: f32,
}

impl Default for Sampling {
    fn default() -> Self {
        Self { temperature: 0.0, top_k: 0, top_p: 1.0, min_p: 0.0 }
    }
}

/// A token that was drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Choice {
    /// The token.
    pub token: u32,
    /// Its log-probability in the distribution that it was really drawn from (0 of the likeliest at temperature 0).
    pub sampled: f64,
    /// Its log-probability under the model: temperature 1, all tokens.
    pub logprob: f64,
}

/// A token and its logit; the greater the likelier, the lower number first among equals.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Candidate(f32, u32);

impl Eq for Candidate {}

impl Ord for Candidate {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0).then_with(|| other.1.cmp(&self.1))
    }
}

impl PartialOrd for Candidate {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Sampling {
    /// Refuse what is no distribution.
    pub fn check(self) -> Result<Self> {
        let fine = self.temperature >= 0.0
            && self.temperature.is_finite()
            && self.top_p > 0.0
            && self.top_p <= 1.0
            && (0.0..=1.0).contains(&self.min_p);
        if fine {
            return Ok(self);
        }
        Err(Error::Invalid {
            what: format!(
                "temperature {} must be 0 or more, top-p {} above 0 and up to 1, min-p {} from 0 to 1",
                self.temperature, self.top_p, self.min_p
            ),
            hint: "tony generate --help".to_owned(),
        })
    }

    /// Draw from the logits of all tokens.
    pub fn draw(&self, logits: &[f32], stream: &mut Stream) -> Choice {
        self.draw_among(logits, |_| true, stream)
    }

    /// Draw from the logits of the tokens that are allowed, at least one; the others are taken out before anything else.
    pub fn draw_among(&self, logits: &[f32], allowed: impl Fn(u32) -> bool, stream: &mut Stream) -> Choice {
        let all = log_sum(logits.iter().map(|x| f64::from(*x)));
        let choice =
            |token: u32, sampled: f64| Choice { token, sampled, logprob: f64::from(logits[token as usize]) - all };
        let candidates = logits.iter().enumerate().map(|(i, x)| Candidate(*x, i as u32)).filter(|c| allowed(c.1));
        if self.temperature == 0.0 {
            return choice(candidates.max().map_or(0, |best| best.1), 0.0);
        }
        let scaled = |logit: f32| f64::from(logit) / f64::from(self.temperature);
        let candidates: Vec<Candidate> = candidates.collect();
        let kept =
            if self.top_k == 0 && self.top_p == 1.0 && self.min_p == 0.0 { candidates } else { self.keep(candidates) };
        let total = log_sum(kept.iter().map(|c| scaled(c.0)));
        let mut left = stream.uniform();
        // Rounding may leave a little after the last.
        let mut drawn = kept[kept.len() - 1];
        for candidate in &kept {
            left -= (scaled(candidate.0) - total).exp();
            if left < 0.0 {
                drawn = *candidate;
                break;
            }
        }
        choice(drawn.1, scaled(drawn.0) - total)
    }

    /// The candidates that remain, likeliest first.
    fn keep(&self, candidates: Vec<Candidate>) -> Vec<Candidate> {
        let scaled = |logit: f32| f64::from(logit) / f64::from(self.temperature);
        // A heap: as many are taken in order as are kept, and the rest is never sorted.
        let mut heap: BinaryHeap<Candidate> = candidates.into();
        let count = if self.top_k == 0 { heap.len() } else { self.top_k.min(heap.len()) };
        let mut kept = Vec::new();
        if self.top_k > 0 {
            kept.extend((0..count).filter_map(|_| heap.pop()));
            heap = std::mem::take(&mut kept).into();
        }
        let total = log_sum(heap.iter().map(|c| scaled(c.0)));
        let mut reached = 0.0;
        while let Some(candidate) = heap.pop() {
            let probability = (scaled(candidate.0) - total).exp();
            let most = kept.first().map_or(probability, |most: &Candidate| (scaled(most.0) - total).exp());
            if !kept.is_empty() && (reached >= f64::from(self.top_p) || probability < f64::from(self.min_p) * most) {
                break;
            }
            reached += probability;
            kept.push(candidate);
        }
        kept
    }
}

/// The likeliest token, the lowest number among equals.
pub fn most_likely(logits: &[f32]) -> u32 {
    let best = logits.iter().enumerate().map(|(i, x)| Candidate(*x, i as u32)).max();
    best.map_or(0, |best| best.1)
}

/// The `count` likeliest tokens, likeliest first, with their log-probabilities at temperature 1.
pub(crate) fn likeliest(logits: &[f32], count: usize) -> Vec<(u32, f64)> {
    if count == 0 {
        return Vec::new();
    }
    let all = log_sum(logits.iter().map(|x| f64::from(*x)));
    let mut heap: BinaryHeap<Candidate> = logits.iter().enumerate().map(|(i, x)| Candidate(*x, i as u32)).collect();
    let taken = (0..count).filter_map(|_| heap.pop());
    taken.map(|Candidate(logit, token)| (token, f64::from(logit) - all)).collect()
}

/// Logarithm of the sum of exponentials.
fn log_sum(x: impl Iterator<Item = f64> + Clone) -> f64 {
    let most = x.clone().fold(f64::NEG_INFINITY, f64::max);
    most + x.map(|x| (x - most).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOGITS: [f32; 5] = [1.0, 3.0, 2.0, 3.0, -1.0];

    fn log_softmax(logits: &[f32]) -> Vec<f64> {
        let sum: f64 = logits.iter().map(|x| f64::from(*x).exp()).sum();
        logits.iter().map(|x| f64::from(*x) - sum.ln()).collect()
    }

    fn probabilities(sampling: Sampling) -> [f64; 5] {
        let mut shares = [0.0; 5];
        let mut stream = Stream::new(5, "sample", 0);
        for _ in 0..40_000 {
            let choice = sampling.draw(&LOGITS, &mut stream);
            shares[choice.token as usize] += 1.0 / 40_000.0;
            assert!((choice.logprob - log_softmax(&LOGITS)[choice.token as usize]).abs() < 1e-12);
        }
        shares
    }

    /// Every way to narrow the choice: shares of 40,000 draws, and the log-probability that each draw reports, are those of the definition.
    #[test]
    fn draws_have_the_probabilities_that_they_report() {
        let e = |x: f64| x.exp();
        let cases = [
            (Sampling { temperature: 1.0, ..Default::default() }, [e(1.0), e(3.0), e(2.0), e(3.0), e(-1.0)]),
            (Sampling { temperature: 2.0, ..Default::default() }, [e(0.5), e(1.5), e(1.0), e(1.5), e(-0.5)]),
            (Sampling { temperature: 1.0, top_k: 3, ..Default::default() }, [0.0, e(3.0), e(2.0), e(3.0), 0.0]),
            // The first of two equals alone reaches 0.39 of the probability.
            (Sampling { temperature: 1.0, top_p: 0.39, ..Default::default() }, [0.0, 1.0, 0.0, 0.0, 0.0]),
            (Sampling { temperature: 1.0, top_p: 0.75, ..Default::default() }, [0.0, e(3.0), 0.0, e(3.0), 0.0]),
            (Sampling { temperature: 1.0, min_p: 0.3, ..Default::default() }, [0.0, e(3.0), e(2.0), e(3.0), 0.0]),
            (Sampling { temperature: 1.0, top_k: 3, top_p: 0.9, min_p: 0.5 }, [0.0, e(3.0), 0.0, e(3.0), 0.0]),
        ];
        for (sampling, weights) in cases {
            let sum: f64 = weights.iter().sum();
            let shares = probabilities(sampling);
            for (share, weight) in shares.iter().zip(weights) {
                // Four standard deviations of a share of 40,000 draws.
                assert!((share - weight / sum).abs() < 0.01, "{sampling:?} {shares:?}");
            }
            let choice = sampling.draw(&LOGITS, &mut Stream::new(6, "sample", 0));
            assert!((choice.sampled - (weights[choice.token as usize] / sum).ln()).abs() < 1e-6, "{sampling:?}");
        }
    }

    #[test]
    fn the_likeliest_is_the_first_of_equals() {
        let choice = Sampling::default().draw(&LOGITS, &mut Stream::new(0, "sample", 0));
        assert_eq!((choice.token, choice.sampled), (1, 0.0));
        assert!((choice.logprob - log_softmax(&LOGITS)[1]).abs() < 1e-12);
    }

    #[test]
    fn what_is_no_distribution_is_refused() {
        for (temperature, top_p, min_p) in
            [(-1.0, 1.0, 0.0), (f32::NAN, 1.0, 0.0), (1.0, 0.0, 0.0), (1.0, 1.5, 0.0), (1.0, 1.0, 2.0)]
        {
            assert!(Sampling { temperature, top_k: 0, top_p, min_p }.check().is_err());
        }
        assert!(Sampling::default().check().is_ok());
    }
}
