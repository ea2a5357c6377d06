//! Rule-based rewards with a real language model on real prompts (`rbr-study` in recipes).

use std::time::Instant;

use tony_lm::rbr::study::{Budget, Study};
use tony_lm::rbr::{Values, Watch};

use super::experiments::{Experiment, Long, Measure};
use crate::console;
use crate::failure::{Failure, Result};

pub const EXPERIMENT: Experiment = Experiment { id: "rbr-study", measure: Measure::Long(Study::names, measure) };

fn measure(long: &Long) -> Result<()> {
    let study = Study::open(long.data, Budget::default()).map_err(|error| {
        Failure::from(error).at(format!("in the data folder {}", long.data.display())).hint(
            "--data DIR: a folder with rbr, xstest, advbench and gsm8k; `tony reproduce --help` says what they are",
        )
    })?;
    for seed in 0..long.seeds {
        let known = long.kept(seed)?;
        if Study::names().iter().all(|name| known.contains_key(name)) {
            continue;
        }
        let (began, before) = (Instant::now(), known.get(Long::SECONDS).copied().unwrap_or(0.0));
        let keep = |values: &Values| {
            let mut values = values.clone();
            values.insert(Long::SECONDS.to_owned(), before + began.elapsed().as_secs_f64());
            Ok(long.keep(seed, &values)?)
        };
        let watch = Watch { told: &|text| console::note(text), keep: &keep, stop: &|| long.stop.asked() };
        if !study.compare(&long.out.join(format!("{}-seed{seed}", long.id)), seed, known, &watch)? {
            break;
        }
    }
    Ok(())
}
