//! The comparison of rule-based rewards with its rivals in the small world (`rbr-world` in recipes).

use std::time::Instant;

use tony_lm::rbr::world::{Budget, base, compare, names};
use tony_lm::rbr::{Values, Watch};

use super::experiments::{Experiment, Long, Measure};
use crate::console;
use crate::failure::Result;

pub const EXPERIMENT: Experiment = Experiment { id: "rbr-world", measure: Measure::Long(names, measure) };

fn measure(long: &Long) -> Result<()> {
    let budget = Budget { at_once: long.at_once, ..Budget::default() };
    let mut common = None;
    for seed in 0..long.seeds {
        let known = long.kept(seed)?;
        if names().iter().all(|name| known.contains_key(name)) {
            continue;
        }
        if common.is_none() {
            console::note("all seeds: teaching a new model to help");
            common = Some(base(&budget)?);
        }
        let Some(common) = &common else { continue };
        let (began, before) = (Instant::now(), known.get(Long::SECONDS).copied().unwrap_or(0.0));
        let keep = |values: &Values| {
            let mut values = values.clone();
            values.insert(Long::SECONDS.to_owned(), before + began.elapsed().as_secs_f64());
            Ok(long.keep(seed, &values)?)
        };
        let watch = Watch { told: &|text| console::note(text), keep: &keep, stop: &|| long.stop.asked() };
        if !compare(&budget, common, seed, known, &watch)? {
            break;
        }
    }
    Ok(())
}
