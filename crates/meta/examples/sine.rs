//! Error on new sine waves after 0, 5 and 32 steps, by method and seed: `cargo run --release -p tony-meta --example sine -- reptile 3`
//! trains with seeds 0, 1, 2; further words are settings.
// Lines are put together piece by piece.
#![allow(clippy::print_stdout, clippy::format_push_string)]

use std::time::Instant;

use tony_meta::{Trainer, algorithms};
use tony_run::Layer;

type Failure = Box<dyn std::error::Error + Send + Sync>;

fn main() -> Result<(), Failure> {
    let mut words = std::env::args().skip(1);
    let name = words.next().unwrap_or_else(|| "reptile".to_owned());
    let seeds: u64 = words.next().map_or(Ok(3), |n| n.parse())?;
    let settings: Vec<String> = words.collect();
    let entry = algorithms::find(&name).ok_or("no such algorithm")?;
    for seed in 0..seeds {
        let mut line = format!("{name} {} seed {seed}:", settings.join(" "));
        let mut phi = None;
        let clock = Instant::now();
        for after in [0, 5, 32] {
            let mut typed = settings.clone();
            typed.extend([format!("seed={seed}"), format!("eval.steps={after}")]);
            let plan = entry.resolve("sine", &[Layer::command_line(&typed)?])?;
            let steps: u64 = plan.get("steps").unwrap_or("0").parse()?;
            let mut trainer = Trainer::new(&plan)?;
            match &phi {
                None => {
                    while trainer.steps() < steps {
                        trainer.step(steps)?;
                    }
                    let (mut policy, mut rest) = Default::default();
                    trainer.save(&mut policy, &mut rest)?;
                    line += &format!(" {:.1} s;", clock.elapsed().as_secs_f64());
                    phi = Some((policy, rest));
                }
                Some((policy, rest)) => trainer.restore_from(policy, rest, steps)?,
            }
            let mut errors: Vec<f64> = trainer.evaluate(1000, 200)?.iter().map(|score| score.after).collect();
            errors.sort_by(f64::total_cmp);
            let mean = errors.iter().sum::<f64>() / errors.len() as f64;
            line += &format!(" after {after}: mean {mean:.3}, median {:.3};", errors[errors.len() / 2]);
        }
        println!("{line}");
    }
    Ok(())
}
