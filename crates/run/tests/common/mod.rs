//! A small run, and a small training loop whose every number follows from the last.
#![allow(dead_code, reason = "each test uses a part")]

use std::path::Path;
use std::thread;
use std::time::Duration;
use tony_run::{Archive, Checkpoint, Exit, Layer, Manifest, Metrics, Plan, Result, RunFolder, Settings, settings};

settings! {
    /// Test
    pub struct Config {
        /// Updates to do.
        "updates" updates: u64 = 40, (1..);
    }
}

pub fn plan() -> Plan {
    let line = Layer::command_line(&["updates=30"]).unwrap();
    Plan::resolve("cpo", "SafetyPointGoal1-v0", &Config::fields(), &[line]).unwrap()
}

pub fn manifest() -> Manifest {
    Manifest::new(7, 2)
}

pub fn metrics(update: u64, state: u64) -> Metrics {
    let mut metrics = Metrics::new();
    metrics.set("steps", update as f64 * 100.0);
    metrics.set("updates", update as f64);
    metrics.put("Metrics/EpRet", (!state.is_multiple_of(3)).then_some(state as f64 / 7.0));
    metrics.set("Metrics/EpCost", (state % 50) as f64);
    metrics
}

/// What a run stores after an update.
pub fn archives(update: u64, state: u64) -> (Archive, Archive) {
    let (mut policy, mut trainer) = (Archive::new(), Archive::new());
    policy.put_f32("weight", &[1_000], &vec![state as f32; 1_000]).unwrap();
    policy.set_note("env", "SafetyPointGoal1-v0");
    trainer.put_u64("state", &[2], &[update, state]).unwrap();
    (policy, trainer)
}

/// Trains `folder` to its end from where it stands; each update takes at least `pause`.
pub fn train(folder: &mut RunFolder, pause: Duration) -> Result<()> {
    let (mut update, mut state) = (0, 1);
    if let Some(loaded) = folder.latest()? {
        let position = loaded.trainer.u64("state", &[2])?;
        (update, state) = (position[0], position[1]);
        assert_eq!((loaded.steps, &loaded.warnings), (update * 100, &vec![]));
        folder.resume(Some(&loaded))?;
    } else {
        folder.resume(None)?;
    }
    let mut config = Config::default();
    folder.plan().apply(&mut config)?;
    while update < config.updates {
        thread::sleep(pause);
        update += 1;
        state = (state * 16_807) % 2_147_483_647;
        folder.log(&metrics(update, state))?;
        // Not every update: logs run ahead of checkpoints.
        if update % 3 == 0 || update == config.updates {
            let (policy, trainer) = archives(update, state);
            let (steps, seconds) = (update * 100, update as f64);
            folder.commit(&Checkpoint { steps, updates: update, seconds, policy: &policy, trainer: &trainer }, &[])?;
        }
    }
    let (updates, steps) = (update, update * 100);
    folder.finish(&Exit { code: 0, reason: "done".into(), steps, updates, seconds: 1.0, resume: None })
}

/// Names of what is in a folder, sorted.
pub fn entries(dir: &Path) -> Vec<String> {
    let mut names: Vec<String> =
        fs_err::read_dir(dir).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}
