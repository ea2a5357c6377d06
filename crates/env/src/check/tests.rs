//! Each law is broken by an environment made for it, and by nothing else.

use std::sync::atomic::{AtomicUsize, Ordering};

use super::{Report, laws};
use crate::space::Space;
use crate::state::{self, Reader};
use crate::testing::{can_make, context};
use crate::{Env, Result, Spec, Step, list, make};
use tony_random::Stream;

/// What is wrong with the environment under test.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Fault {
    Nothing,
    CostNotLast,
    NumberNotWritten,
    NegativeCost,
    SumIsNotOne,
    HistoryLeaks,
    SeedIgnored,
    StateIncomplete,
    AnyStateLoads,
    NeverTruncates,
    TruncatesEarly,
    NotClipped,
    TakesNan,
}

/// A random walk in an interval, with two costs, and perhaps a fault.
struct Walk {
    fault: Fault,
    spec: Spec,
    place: f64,
    /// Decides the start and nothing later; saved, so that a state is whole.
    start: f64,
    steps: u64,
    resets: u64,
}

impl Walk {
    fn new(fault: Fault) -> Self {
        let mut costs = ["left", "right", "cost"].map(str::to_owned).to_vec();
        if fault == Fault::CostNotLast {
            costs.rotate_left(1);
        }
        let action = Space::Box { low: vec![-1.0], high: vec![1.0] };
        let spec = Spec { name: "walk-v0".to_owned(), obs_dim: 2, action, costs, max_steps: 40 };
        Self { fault, spec, place: 0.0, start: 0.0, steps: 0, resets: 0 }
    }

    fn observe(&self, obs: &mut [f64]) {
        obs[0] = self.place;
        if self.fault != Fault::NumberNotWritten || self.steps < 5 {
            obs[1] = self.start;
        }
    }
}

impl Env for Walk {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        self.resets += 1;
        let leak = if self.fault == Fault::HistoryLeaks { self.resets } else { 0 };
        let seed = if self.fault == Fault::SeedIgnored { 0 } else { seed };
        self.start = Stream::new(seed, "reset", leak).uniform();
        (self.place, self.steps) = (self.start, 0);
        self.observe(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        let mut act = [0.0];
        let refused = self.spec.clip(action, self.steps as usize, &mut act);
        if self.fault != Fault::TakesNan || action.len() != 1 {
            refused?;
        }
        self.place += if self.fault == Fault::NotClipped { action[0] } else { act[0] };
        self.steps += 1;
        self.observe(obs);
        let floor = if self.fault == Fault::NegativeCost { f64::NEG_INFINITY } else { 0.0 };
        costs[0] = (-self.place).max(floor).max(-1e6);
        costs[1] = self.place.max(0.0);
        costs[2] = if self.fault == Fault::SumIsNotOne { costs[0].max(costs[1]) + 0.5 } else { costs[0] + costs[1] };
        let limit = match self.fault {
            Fault::NeverTruncates => u64::MAX,
            Fault::TruncatesEarly => 39,
            _ => 40,
        };
        Ok(Step { reward: self.place, terminated: false, truncated: self.steps >= limit })
    }

    fn save(&self, out: &mut Vec<u8>) {
        state::put_u64(out, self.steps);
        let start = if self.fault == Fault::StateIncomplete { 0.0 } else { self.start };
        state::put_f64s(out, &[self.place, start]);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        let padded = [state, &[0; 24]].concat();
        let state = if self.fault == Fault::AnyStateLoads { &padded[..24] } else { state };
        let mut reader = Reader::new("walk-v0", state, 24)?;
        self.steps = reader.u64()?;
        let mut numbers = [0.0; 2];
        reader.f64s(&mut numbers)?;
        [self.place, self.start] = numbers;
        Ok(())
    }
}

fn broken(report: &Report) -> Vec<&str> {
    report.laws.iter().filter(|law| !law.ok).map(|law| law.law).collect()
}

#[test]
fn each_fault_breaks_its_law() {
    let table: [(Fault, &[&str]); 13] = [
        (Fault::Nothing, &[]),
        (Fault::CostNotLast, &["description"]),
        (Fault::NumberNotWritten, &["rows", "any-action"]),
        (Fault::NegativeCost, &["rows"]),
        (Fault::SumIsNotOne, &["sum-of-costs"]),
        (Fault::HistoryLeaks, &["same-seed"]),
        (Fault::SeedIgnored, &["other-seed"]),
        (Fault::StateIncomplete, &["save-load"]),
        (Fault::AnyStateLoads, &["damaged-state"]),
        (Fault::NeverTruncates, &["time-limit"]),
        (Fault::TruncatesEarly, &["time-limit"]),
        (Fault::NotClipped, &["outside-the-box"]),
        (Fault::TakesNan, &["bad-action", "any-action"]),
    ];
    for (fault, expected) in table {
        let report = laws(&mut Walk::new(fault), true, 200);
        assert_eq!(broken(&report), expected, "{fault:?}: {report:#?}");
        assert_eq!(report.ok, expected.is_empty());
    }
}

/// A coin that is tossed at reset breaks the laws of what is said not to be random.
#[test]
fn randomness_must_be_declared() {
    assert_eq!(broken(&laws(&mut Walk::new(Fault::Nothing), false, 200)), ["other-seed"]);
    assert!(laws(&mut Walk::new(Fault::SeedIgnored), false, 200).ok);
}

#[test]
fn every_environment_keeps_the_laws() {
    let context = context();
    // Of Atari games, which are one emulator and have episodes of up to 27,000 steps, two stand for all: see `atari_ram/tests.rs`.
    let possible = list().iter().filter(|listing| can_make(listing, &context) && !listing.needs_arcade());
    let possible: Vec<_> = possible.collect();
    let next = AtomicUsize::new(0);
    let check = || {
        while let Some(listing) = possible.get(next.fetch_add(1, Ordering::Relaxed)) {
            let report = laws(make(listing.name, &context).unwrap().as_mut(), listing.random, 500);
            assert!(report.ok, "{report:#?}");
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| (0..threads).for_each(|_| drop(scope.spawn(check))));
}
