//! The collector's steady state allocates nothing.
#![allow(clippy::unwrap_used, missing_docs)]

use std::sync::atomic::AtomicU64;

use tony_env::{Context, Env};
use tony_random::Stream;
use tony_rl::collector::Collector;
use tony_rl::policy::{MlpOptions, MlpPolicy};
use tony_rl::rollout::Rollout;
use tony_rl::train::Config;

/// Blocks allocated while collecting one batch of `rows` rows after a first one.
fn blocks(env: &str, rows: usize) -> Option<u64> {
    let context = Context::new(tony_mujoco::locate(false, &mut |line| eprintln!("{line}")).ok(), None);
    let Ok(env) = tony_env::make(env, &context) else {
        eprintln!("skipped: {env} needs MuJoCo, which cannot be had here");
        return None;
    };
    let spec = env.spec().clone();
    let options = MlpOptions {
        hidden: vec![64, 64],
        activation: tony_nn::Activation::Tanh,
        init: tony_nn::Init::KaimingUniform,
        log_std: 0.0,
        normalise: Some(5.0),
    };
    let policy = MlpPolicy::new(spec.obs_dim, &spec.action, &options, &mut Stream::new(0, "init", 0)).unwrap();
    let envs: Vec<Box<dyn Env>> = vec![env];
    let mut collector = Collector::new(envs, &policy, &Config { steps_per_update: rows, ..Config::default() }).unwrap();
    let mut rollout = Rollout::new(spec.obs_dim, spec.action.row_len(), spec.costs.len(), rows);
    let progress = AtomicU64::new(0);
    for _ in 0..3 {
        collector.collect(&policy, &mut rollout, &progress).unwrap();
    }
    let counted = allocation_counter::measure(|| {
        collector.collect(&policy, &mut rollout, &progress).unwrap();
    });
    Some(counted.count_total)
}

#[test]
fn a_batch_five_times_longer_allocates_no_more() {
    // One thread, this one's: the counts are of the thread that measures.
    let pool = rayon::ThreadPoolBuilder::new().num_threads(1).build().unwrap();
    pool.install(|| {
        for env in ["CartPole-v1", "probe-two-costs", "SafetyPointGoal1-v0", "HalfCheetah-v5"] {
            let Some((short, long)) = blocks(env, 1_000).zip(blocks(env, 5_000)) else { continue };
            eprintln!("{env}: {short} blocks for 1,000 steps, {long} for 5,000");
            // Each batch hands out one list of shares and one of outcomes; nothing may grow with the steps or the episodes.
            assert!(long <= short && short < 40, "{env}: {short} {long}");
        }
    });
}
