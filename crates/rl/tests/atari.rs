//! Training in worker processes: the same bits for any number of threads and workers, and when workers are killed. Skipped with a line where
//! there is no Atari emulator.
#![allow(clippy::unwrap_used, missing_docs)]

use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tony_env::Context;
use tony_env::atari_ram::{Arcade, Environment};
use tony_rl::{Trainer, algorithms};
use tony_run::{Archive, Control, Layer, Training};

fn context(workers: usize) -> Option<Context> {
    let mut note = |line: &str| eprintln!("{line}");
    let found = Arcade::locate(&Environment::of_process(), workers, false, |_| (), &mut note);
    let found = found.inspect_err(|error| eprintln!("skipped, there is no Atari emulator: {error}")).ok();
    let mut context = Context::default();
    context.arcade = Some(Arc::new(found?));
    Some(context)
}

/// Parameters and state after two updates; with `killer` a worker is killed now and then.
fn train(workers: usize, threads: usize, killer: bool) -> Option<(Vec<u8>, Vec<u8>)> {
    let context = Arc::new(context(workers)?);
    let words = ["steps_per_update=800", "envs=5", "hidden=16", "seed=5"];
    let plan =
        algorithms::find("ppo").unwrap().resolve("Breakout-ram", &[Layer::command_line(&words).unwrap()]).unwrap();
    let envs = (0..5).map(|_| tony_env::make("Breakout-ram", &context).unwrap()).collect();
    let done = Arc::new(AtomicBool::new(!killer));
    let (theirs, over) = (context.clone(), done.clone());
    let killer = std::thread::spawn(move || {
        // Long enough apart for the next to get somewhere on a busy machine.
        for pause in [900, 1_500, 2_500].map(Duration::from_millis) {
            std::thread::sleep(pause);
            if over.load(Ordering::Relaxed) {
                return;
            }
            if let Some(process) = theirs.arcade.as_ref().unwrap().processes().first() {
                Command::new("kill").args(["-9", &process.to_string()]).status().unwrap();
            }
        }
    });
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
    let bytes = pool.install(|| {
        let mut trainer = Trainer::new(&plan, envs).unwrap();
        (0..2).for_each(|_| drop(trainer.update(1_600, &Control::default()).unwrap()));
        let (mut policy, mut state) = (Archive::new(), Archive::new());
        trainer.save(&mut policy, &mut state).unwrap();
        (policy.to_bytes().unwrap(), state.to_bytes().unwrap())
    });
    done.store(true, Ordering::Relaxed);
    killer.join().unwrap();
    Some(bytes)
}

#[test]
fn threads_workers_and_deaths_change_no_bit() {
    let Some(one) = train(1, 1, false) else { return };
    assert!(train(2, 3, false).unwrap() == one);
    assert!(train(2, 2, true).unwrap() == one);
}
