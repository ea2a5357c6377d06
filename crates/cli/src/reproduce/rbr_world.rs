//! The comparison of rule-based rewards with its rivals in the small world (`rbr-world` in recipes).

use tony_lm::rbr::world::{Budget, base, compare, names};

use super::experiments::{Experiment, Long, Measure};
use crate::failure::Result;

pub const EXPERIMENT: Experiment = Experiment { id: "rbr-world", measure: Measure::Long(names, measure) };

fn measure(long: &Long) -> Result<()> {
    let budget = Budget { at_once: long.at_once, ..Budget::default() };
    let mut common = None;
    long.each_seed(&names(), |seed, known, watch| {
        if common.is_none() {
            (watch.told)("all seeds: teaching a new model to help");
        }
        let base = common.take().map_or_else(|| base(&budget), Ok)?;
        compare(&budget, common.insert(base), seed, known, watch)
    })
}
