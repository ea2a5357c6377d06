//! Which examples of a task make which minibatch.

use tony_random::Stream;
use tony_run::{choices, settings};

choices! {
    /// Where the last minibatch of a task comes from.
    pub enum Tail {
        /// From examples that no minibatch before it uses.
        Separate = "separate",
        /// From the same cycle as the others: it overlaps them where a task has too few examples for all.
        Shared = "shared",
    }
}

settings! {
    /// Last minibatch
    pub struct Config {
        /// Where the last minibatch of a task comes from.
        "tail" tail: Tail = Tail::Separate;
    }
}

/// `count` minibatches of `batch` of the examples `from`: they cycle through a list that is shuffled anew for each pass, so a minibatch may
/// straddle two passes; or each is drawn for itself (`replacement`: an example may come again in the next, not in the same one).
pub fn cycle(
    mut from: Vec<usize>,
    batch: usize,
    count: usize,
    replacement: bool,
    stream: &mut Stream,
) -> Vec<Vec<usize>> {
    if replacement {
        let mut draw = || {
            stream.shuffle(&mut from);
            from.iter().copied().take(batch).collect()
        };
        return (0..count).map(|_| draw()).collect();
    }
    passes(from, batch, count, &mut |list| stream.shuffle(list))
}

/// Minibatches of a list that `shuffle` reorders before each pass.
pub fn passes(
    mut list: Vec<usize>,
    batch: usize,
    count: usize,
    shuffle: &mut dyn FnMut(&mut [usize]),
) -> Vec<Vec<usize>> {
    let mut next = list.len();
    let mut draw = || {
        if next == list.len() {
            shuffle(&mut list);
            next = 0;
        }
        next += 1;
        list[next - 1]
    };
    (0..count).map(|_| (0..batch).map(|_| draw()).collect()).collect()
}

/// Examples for the last minibatch and the rest. Of classes (equal targets) it takes turns, so that the last minibatch knows each.
pub fn split_tail(targets: &[f32], classes: usize, batch: usize, stream: &mut Stream) -> (Vec<usize>, Vec<usize>) {
    let mut order: Vec<usize> = (0..targets.len()).collect();
    stream.shuffle(&mut order);
    if classes > 1 {
        let mut seen = vec![0_usize; classes];
        let mut rank = vec![0; targets.len()];
        for i in &order {
            let class = targets[*i] as usize;
            rank[*i] = seen[class];
            seen[class] += 1;
        }
        order.sort_by_key(|i| rank[*i]);
    }
    let rest = order.split_off(batch.min(order.len()));
    (order, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_uses_every_example_before_any_again() {
        let mut stream = Stream::new(0, "minibatches", 0);
        let batches = cycle((0..15).collect(), 10, 3, false, &mut stream).concat();
        for pass in batches.chunks(15) {
            let mut sorted = pass.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..15).collect::<Vec<_>>());
        }
        assert_ne!(batches[..15], batches[15..], "each pass has its own order");
    }

    #[test]
    fn a_separate_tail_is_balanced_and_used_nowhere_else() {
        let targets: Vec<f32> = (0..50).map(|i| (i / 10) as f32).collect();
        let (tail, rest) = split_tail(&targets, 5, 10, &mut Stream::new(1, "minibatches", 0));
        for class in 0..5 {
            assert_eq!(tail.iter().filter(|i| **i / 10 == class).count(), 2);
        }
        assert_eq!((tail.len(), rest.len()), (10, 40));
        assert!(rest.iter().all(|i| !tail.contains(i)));
    }
}
