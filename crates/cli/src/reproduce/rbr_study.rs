//! Rule-based rewards with a real language model on real prompts (`rbr-study` in recipes).

use tony_lm::rbr::study::{Budget, Study};

use super::experiments::{Experiment, Long, Measure};
use crate::failure::{Failure, Result};

pub const EXPERIMENT: Experiment = Experiment { id: "rbr-study", measure: Measure::Long(Study::names, measure) };

fn measure(long: &Long) -> Result<()> {
    let study = Study::open(long.data, Budget::default()).map_err(|error| {
        Failure::from(error).at(format!("in the data folder {}", long.data.display())).hint(
            "--data DIR: a folder with rbr, xstest, advbench and gsm8k; `tony reproduce --help` says what they are",
        )
    })?;
    long.each_seed(&Study::names(), |seed, known, watch| {
        study.compare(&long.out.join(format!("{}-seed{seed}", long.id)), seed, known, watch)
    })
}
