//! Intervals for reports: means, interquartile means and probabilities of improvement with percentile bootstrap intervals.
//!
//! Agarwal, Schwarzer, Castro, Courville, Bellemare, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
//! `NeurIPS` 2021, sections 4.1 and 4.3. Everything is a function of its input alone: the resamples come from a fixed stream.

use serde::{Deserialize, Serialize};
use tony_random::Stream;

/// Share of the resamples that an interval covers.
const COVERAGE: f64 = 0.95;

/// A statistic with its 95 % bootstrap interval and the number of values (episodes, seeds) behind it.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Stat {
    /// The statistic: mean, or interquartile mean.
    pub mean: f64,
    /// Lower end of the interval.
    pub lo: f64,
    /// Upper end of the interval.
    pub hi: f64,
    /// Number of values.
    pub n: usize,
}

/// Mean of `values`; nothing where there are none.
pub fn mean(values: &[f64]) -> Option<Stat> {
    stratified_mean(&[values])
}

/// Interquartile mean of `values` (the mean of what is left after dropping the lowest and highest quarter, each rounded down).
pub fn iqm(values: &[f64]) -> Option<Stat> {
    stratified_iqm(&[values])
}

/// Mean of all values together; each group (task) is resampled within itself.
pub fn stratified_mean(groups: &[&[f64]]) -> Option<Stat> {
    bootstrap(groups, 0.0)
}

/// Interquartile mean of all values together; each group (task) is resampled within itself.
pub fn stratified_iqm(groups: &[&[f64]]) -> Option<Stat> {
    bootstrap(groups, 0.25)
}

/// Probability that a value of `a` is greater than one of `b`, ties counting half; `n` is the smaller of the two numbers.
pub fn improvement(a: &[f64], b: &[f64]) -> Option<Stat> {
    if a.is_empty() || b.is_empty() {
        return None;
    }
    let (a, b) = (sorted(a), sorted(b));
    let ones = |values: &[f64]| vec![1_u32; values.len()];
    let mean = exceed(&a, &ones(&a), &b, &ones(&b));
    let mut stream = stream();
    let (mut count_a, mut count_b) = (vec![0; a.len()], vec![0; b.len()]);
    let draws = (0..resamples(a.len() + b.len())).map(|_| {
        resample(&mut count_a, &mut stream);
        resample(&mut count_b, &mut stream);
        exceed(&a, &count_a, &b, &count_b)
    });
    Some(interval(mean, draws.collect(), a.len().min(b.len())))
}

/// A statistic of `n` items with the interval of its resamples: `statistic` gets how often each item was drawn, once each for the value itself.
/// Resamples without a value (of a group that none of them holds) are left out; nothing where the items themselves have none.
pub fn resampled(n: usize, statistic: impl Fn(&[u32]) -> Option<f64>) -> Option<Stat> {
    let mean = statistic(&vec![1; n])?;
    let mut stream = stream();
    let mut counts = vec![0; n];
    let draws = (0..resamples(n)).filter_map(|_| {
        resample(&mut counts, &mut stream);
        statistic(&counts)
    });
    let draws: Vec<f64> = draws.collect();
    Some(if draws.is_empty() { Stat { mean, lo: mean, hi: mean, n } } else { interval(mean, draws, n) })
}

/// Share of pairs with a value of `a` above one of `b`; both sorted, each value as often as `count_*` says.
fn exceed(a: &[f64], count_a: &[u32], b: &[f64], count_b: &[u32]) -> f64 {
    // `below`: how many of b are less than a[i]; `equal`: how many are the same. Both only move forwards.
    let (mut first, mut below, mut wins) = (0, 0_u64, 0.0);
    for (x, &times) in a.iter().zip(count_a) {
        while first < b.len() && b[first] < *x {
            below += u64::from(count_b[first]);
            first += 1;
        }
        let same = b[first..].iter().zip(&count_b[first..]).take_while(|(y, _)| *y <= x);
        let equal: u64 = same.map(|(_, &count)| u64::from(count)).sum();
        wins += f64::from(times) * (below as f64 + 0.5 * equal as f64);
    }
    wins / (a.len() as f64 * b.len() as f64)
}

/// Trimmed mean of the pooled groups with the interval of its resamples; `trim` is the share to drop at each end.
fn bootstrap(groups: &[&[f64]], trim: f64) -> Option<Stat> {
    let n: usize = groups.iter().map(|group| group.len()).sum();
    if n == 0 {
        return None;
    }
    // Sorting once and resampling counts makes every resample sorted.
    let mut pooled: Vec<(f64, usize)> =
        groups.iter().enumerate().flat_map(|(g, group)| group.iter().map(move |&value| (value, g))).collect();
    pooled.sort_by(|a, b| a.0.total_cmp(&b.0));
    let values: Vec<f64> = pooled.iter().map(|(value, _)| *value).collect();
    let places: Vec<Vec<usize>> = (0..groups.len()).map(|g| (0..n).filter(|&i| pooled[i].1 == g).collect()).collect();
    let drop = (trim * n as f64) as u64;

    let mean = trimmed_mean(&values, &vec![1; n], drop);
    let mut stream = stream();
    let mut counts = vec![0; n];
    let draws = (0..resamples(n)).map(|_| {
        counts.fill(0);
        for place in &places {
            for _ in 0..place.len() {
                counts[place[stream.below(place.len())]] += 1;
            }
        }
        trimmed_mean(&values, &counts, drop)
    });
    Some(interval(mean, draws.collect(), n))
}

/// Mean of sorted `values`, each as often as `counts` says, without the `drop` lowest and highest.
fn trimmed_mean(values: &[f64], counts: &[u32], drop: u64) -> f64 {
    let n = values.len() as u64;
    let (low, high) = (drop, n - drop);
    let (mut before, mut sum) = (0_u64, 0.0);
    for (value, &count) in values.iter().zip(counts) {
        let after = before + u64::from(count);
        let kept = after.min(high).saturating_sub(before.max(low));
        if kept > 0 {
            sum += value * kept as f64;
        }
        before = after;
    }
    sum / (high - low) as f64
}

/// Percentile interval of bootstrap `draws` around the statistic `mean` of `n` values.
fn interval(mean: f64, mut draws: Vec<f64>, n: usize) -> Stat {
    draws.sort_by(f64::total_cmp);
    // Linear interpolation between the order statistics (definition 7 of Hyndman and Fan, 1996).
    let quantile = |q: f64| {
        let place = q * (draws.len() - 1) as f64;
        let (below, part) = (place.floor() as usize, place.fract());
        let above = draws[(below + 1).min(draws.len() - 1)];
        draws[below] + part * (above - draws[below])
    };
    let tail = 0.5 * (1.0 - COVERAGE);
    // A sum in another order may differ in the last bit: the interval of equal values must still hold their mean.
    Stat { mean, lo: quantile(tail).min(mean), hi: quantile(1.0 - tail).max(mean), n }
}

/// 10,000 resamples, fewer only where the values are so many that the interval hardly depends on it.
fn resamples(n: usize) -> usize {
    (10_000_000 / n.max(1)).clamp(1_000, 10_000)
}

fn stream() -> Stream {
    Stream::new(0, "bootstrap", 0)
}

fn sorted(values: &[f64]) -> Vec<f64> {
    let mut values = values.to_vec();
    values.sort_by(f64::total_cmp);
    values
}

fn resample(counts: &mut [u32], stream: &mut Stream) {
    counts.fill(0);
    for _ in 0..counts.len() {
        counts[stream.below(counts.len())] += 1;
    }
}

#[cfg(test)]
mod tests {
    use super::{Stat, improvement, iqm, mean, resampled, stratified_iqm, stratified_mean, trimmed_mean};
    use tony_random::Stream;

    #[test]
    fn one_value_is_its_own_interval() {
        let one = Some(Stat { mean: 3.5, lo: 3.5, hi: 3.5, n: 1 });
        assert_eq!(mean(&[3.5]), one);
        assert_eq!(iqm(&[3.5]), one);
        assert_eq!((mean(&[]), iqm(&[]), improvement(&[], &[1.0])), (None, None, None));
    }

    #[test]
    fn statistics_of_the_sample_are_those_computed_by_hand() {
        assert_eq!(mean(&[1.0, 2.0, 6.0]).unwrap().mean, 3.0);
        // Eight values: two go at each end, (3 + 4 + 5 + 6) / 4 stays, whatever the extremes are.
        assert_eq!(iqm(&[8.0, -1e9, 3.0, 2.0, 5.0, 6.0, 1e9, 4.0]).unwrap().mean, 4.5);
        // Five values: a quarter rounds down to one.
        assert_eq!(iqm(&[5.0, 1.0, 2.0, 9.0, 3.0]).unwrap().mean, 10.0 / 3.0);
        // Three values: nothing goes.
        assert_eq!(iqm(&[1.0, 2.0, 6.0]).unwrap().mean, 3.0);
        // Counts of resamples: 1, 1, 1, 4 and 1, 2, 4, 4 without the lowest and highest.
        assert_eq!(trimmed_mean(&[1.0, 2.0, 4.0, 8.0], &[3, 0, 1, 0], 1), 1.0);
        assert_eq!(trimmed_mean(&[1.0, 2.0, 4.0, 8.0], &[1, 1, 2, 0], 1), 3.0);
    }

    #[test]
    fn improvement_counts_pairs_and_halves_ties() {
        // Pairs (2,1) (2,2) (2,3) (4,1) (4,2) (4,3): four wins, one tie, one loss.
        let stat = improvement(&[2.0, 4.0], &[1.0, 2.0, 3.0]).unwrap();
        assert_eq!((stat.mean, stat.n), (4.5 / 6.0, 2));
        assert!(0.0 <= stat.lo && stat.lo < stat.mean && stat.mean < stat.hi && stat.hi <= 1.0, "{stat:?}");
        assert_eq!(improvement(&[5.0, 6.0], &[1.0, 2.0]), Some(Stat { mean: 1.0, lo: 1.0, hi: 1.0, n: 2 }));
        assert_eq!(improvement(&[1.0; 3], &[1.0; 3]), Some(Stat { mean: 0.5, lo: 0.5, hi: 0.5, n: 3 }));
        let (there, back) = (improvement(&[1.0, 3.0], &[2.0, 2.5]), improvement(&[2.0, 2.5], &[1.0, 3.0]));
        assert_eq!(there.unwrap().mean + back.unwrap().mean, 1.0);
    }

    #[test]
    fn an_interval_is_that_of_the_exact_bootstrap_distribution() {
        // All 27 resamples of {0, 3, 6} have means 0, 1, .., 6 with weights 1 3 6 7 6 3 1: 1/27 = 3.7 % lie at each end, so the
        // quantiles at 2.5 % and 97.5 % are the extremes.
        let stat = mean(&[0.0, 3.0, 6.0]).unwrap();
        assert_eq!(stat, Stat { mean: 3.0, lo: 0.0, hi: 6.0, n: 3 });
        // Ten heads, ten tails: the number of heads is binomial(20, 1/2); its quantiles at 2.5 % and 97.5 % are 6 and 14.
        let coins: Vec<f64> = (0..20).map(|i| f64::from(i % 2)).collect();
        assert_eq!(mean(&coins).unwrap(), Stat { mean: 0.5, lo: 0.3, hi: 0.7, n: 20 });
    }

    #[test]
    fn a_statistic_of_items_has_the_interval_of_its_resamples() {
        let (values, groups) = ([1.0, 2.0, 6.0, 4.0], [true, false, false, true]);
        let average = |counts: &[u32], of: &dyn Fn(usize) -> bool| {
            let drawn = || counts.iter().enumerate().filter(|(i, _)| of(*i)).map(|(i, n)| (i, f64::from(*n)));
            let n: f64 = drawn().map(|(_, n)| n).sum();
            (n > 0.0).then(|| drawn().map(|(i, n)| n * values[i]).sum::<f64>() / n)
        };
        // Of all items: what `mean` says of them, drawn from the same stream.
        let all = resampled(4, |counts| average(counts, &|_| true)).unwrap();
        let expected = mean(&values).unwrap();
        assert_eq!((all.mean, all.n), (expected.mean, 4));
        assert!((all.lo - expected.lo).abs() < 0.3 && (all.hi - expected.hi).abs() < 0.3, "{all:?} {expected:?}");
        // Of a group: resamples that hold none of it say nothing.
        let group = resampled(4, |counts| average(counts, &|i| groups[i])).unwrap();
        assert_eq!((group.mean, group.lo, group.hi), (2.5, 1.0, 4.0));
        assert_eq!(resampled(4, |counts| average(counts, &|_| false)), None);
        assert_eq!(resampled(0, |counts| average(counts, &|_| true)), None);
    }

    #[test]
    fn groups_are_resampled_within_themselves() {
        // Two tasks of very different scale but without spread: nothing is uncertain. Pooled, much would be.
        let (low, high) = ([1.0; 5], [101.0; 5]);
        assert_eq!(stratified_mean(&[&low, &high]), Some(Stat { mean: 51.0, lo: 51.0, hi: 51.0, n: 10 }));
        let stat = stratified_iqm(&[&low, &high]).unwrap();
        assert_eq!((stat.lo, stat.mean, stat.hi), (51.0, 51.0, 51.0));
        let pooled = mean(&[low, high].concat()).unwrap();
        assert!(pooled.hi - pooled.lo > 40.0, "{pooled:?}");
        assert_eq!(stratified_mean(&[&low, &[]]).unwrap().n, 5);
    }

    #[test]
    fn intervals_cover_the_truth_as_often_as_they_say() {
        let mut stream = Stream::new(11, "coverage", 0);
        let (repeats, size) = (400, 30);
        let mut covered = [0; 2];
        for _ in 0..repeats {
            let sample: Vec<f64> = (0..size).map(|_| 2.0 + 3.0 * stream.normal()).collect();
            for (count, stat) in covered.iter_mut().zip([mean(&sample), iqm(&sample)]) {
                let stat = stat.unwrap();
                *count += i32::from(stat.lo <= 2.0 && 2.0 <= stat.hi);
            }
        }
        // A percentile interval of 30 normal values covers about 93.5 % (its spread lacks the factor 29/30 and the t quantile).
        // Three standard deviations of 400 trials are 3.7 points.
        for count in covered {
            let share = f64::from(count) / f64::from(repeats);
            assert!((0.898..=0.975).contains(&share), "{covered:?} of {repeats}");
        }
    }

    #[test]
    fn a_sample_has_one_interval() {
        let sample: Vec<f64> = (0..50).map(|i| f64::from(i * i % 17)).collect();
        let mut turned = sample.clone();
        turned.reverse();
        assert_eq!(iqm(&sample), iqm(&sample));
        assert_eq!(iqm(&sample), iqm(&turned));
    }
}
