//! Passes over a batch by several learners at once, where one of them decides when all stop.

use std::sync::{Mutex, PoisonError};

use rayon::Scope;

use crate::Result;

/// One learner's pass over the batch; gets the pass's number.
pub type Pass<'a> = &'a mut (dyn FnMut(usize) -> Result<()> + Send);

/// What the leader says after a pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Another pass, for everybody.
    Continue,
    /// This was the last pass, for everybody.
    Stop,
}

/// Run up to `most` passes of `leader`; every follower makes exactly as many as the leader ends up making.
///
/// A follower may start its pass `p` as soon as the leader has said `Continue` to pass `p - 1`, so nobody waits at a barrier, and a
/// policy with two critics keeps two threads busy. Each learner's passes run in order, so the result does not depend on the threads.
/// Returns the number of passes.
pub fn run<'a>(
    most: usize,
    leader: &'a mut (dyn FnMut(usize) -> Result<Verdict> + Send),
    followers: Vec<Pass<'a>>,
) -> Result<usize> {
    let state = State {
        allowed: most.min(1),
        over: most == 0,
        followers: followers.iter().map(|_| Progress::default()).collect(),
        error: None,
    };
    let shared = Shared {
        most,
        state: Mutex::new(state),
        leader: Mutex::new(leader),
        followers: followers.into_iter().map(Mutex::new).collect(),
    };
    rayon::scope(|scope| {
        if most > 0 {
            shared.wake_followers(scope);
            scope.spawn(|scope| shared.lead(scope, 0));
        }
    });
    let state = shared.state.into_inner().unwrap_or_else(PoisonError::into_inner);
    state.error.map_or(Ok(state.allowed), Err)
}

struct Shared<'a> {
    most: usize,
    state: Mutex<State>,
    // Only ever locked by the one task that runs this learner's present pass.
    leader: Mutex<&'a mut (dyn FnMut(usize) -> Result<Verdict> + Send)>,
    followers: Vec<Mutex<Pass<'a>>>,
}

struct State {
    /// Passes that are certain to be made.
    allowed: usize,
    over: bool,
    followers: Vec<Progress>,
    error: Option<crate::Error>,
}

#[derive(Default)]
struct Progress {
    done: usize,
    running: bool,
}

impl Shared<'_> {
    fn lead<'s>(&'s self, scope: &Scope<'s>, pass: usize) {
        let verdict = lock(&self.leader)(pass);
        let mut state = lock(&self.state);
        let more = match verdict {
            Ok(verdict) => verdict == Verdict::Continue && pass + 1 < self.most && state.error.is_none(),
            Err(error) => {
                state.error = Some(error);
                false
            }
        };
        state.over = !more;
        state.allowed += usize::from(more);
        drop(state);
        // The leader is spawned last, so that this thread, which takes its newest task first, goes on leading.
        self.wake_followers(scope);
        if more {
            scope.spawn(move |scope| self.lead(scope, pass + 1));
        }
    }

    fn wake_followers<'s>(&'s self, scope: &Scope<'s>) {
        let mut state = lock(&self.state);
        let (allowed, failed) = (state.allowed, state.error.is_some());
        for (i, follower) in state.followers.iter_mut().enumerate() {
            if !follower.running && follower.done < allowed && !failed {
                follower.running = true;
                scope.spawn(move |scope| self.follow(scope, i));
            }
        }
    }

    fn follow<'s>(&'s self, scope: &Scope<'s>, i: usize) {
        let pass = lock(&self.state).followers[i].done;
        let outcome = lock(&self.followers[i])(pass);
        let mut state = lock(&self.state);
        state.followers[i].done += 1;
        state.followers[i].running = false;
        if let Err(error) = outcome {
            state.error.get_or_insert(error);
        }
        drop(state);
        self.wake_followers(scope);
    }
}

/// A poisoned lock means that another task panicked; rayon passes that panic on, so the data behind the lock is never used again.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn passes_made(most: usize, stop_after: usize, threads: usize) -> (usize, Vec<Vec<usize>>) {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let (mut lead, mut a, mut b) = (Vec::new(), Vec::new(), Vec::new());
            let mut leader = |pass: usize| {
                lead.push(pass);
                Ok(if pass + 1 == stop_after { Verdict::Stop } else { Verdict::Continue })
            };
            let mut slow = |pass: usize| {
                std::thread::sleep(std::time::Duration::from_millis(1));
                a.push(pass);
                Ok(())
            };
            let mut fast = |pass: usize| {
                b.push(pass);
                Ok(())
            };
            let n = run(most, &mut leader, vec![&mut slow, &mut fast]).unwrap();
            (n, vec![lead, a, b])
        })
    }

    #[test]
    fn everybody_makes_as_many_passes_as_the_leader_and_in_order() {
        for threads in [1, 2, 3] {
            for (most, stop_after, expected) in [(5, 99, 5), (40, 3, 3), (7, 1, 1), (0, 1, 0), (4, 4, 4)] {
                let (n, made) = passes_made(most, stop_after, threads);
                assert_eq!(n, expected);
                for learner in made {
                    assert_eq!(learner, (0..expected).collect::<Vec<_>>());
                }
            }
        }
    }

    #[test]
    fn an_error_of_a_follower_ends_the_run() {
        let mut leader = |_: usize| Ok(Verdict::Continue);
        let mut bad =
            |pass: usize| if pass == 2 { Err(crate::Error::non_finite("gradient".to_owned(), 7)) } else { Ok(()) };
        let error = run(1000, &mut leader, vec![&mut bad]).unwrap_err();
        assert!(error.to_string().contains("gradient"), "{error}");
    }
}
