//! Many environments fit into memory: their models are copies of one that was compiled once.
#![allow(clippy::unwrap_used, clippy::print_stdout)]

use tony_env::{Context, make};

/// Resident memory of this process, in megabytes.
fn resident() -> f64 {
    let status = fs_err::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<f64>().unwrap() / 1024.0
}

#[test]
fn a_thousand_environments_fit_into_500_megabytes() {
    let library = match tony_mujoco::locate(false, &mut |line| println!("{line}")) {
        Ok(library) => library,
        Err(error) => return println!("skipped, there is no MuJoCo: {error}"),
    };
    let context = Context::new(Some(library), None);
    let before = resident();
    let mut envs: Vec<_> = (0..1024).map(|_| make("SafetyPointGoal1", &context).unwrap()).collect();
    let (mut obs, mut costs) = (vec![0.0; 60], vec![0.0; 2]);
    for (seed, env) in envs.iter_mut().enumerate() {
        env.reset(seed as u64, &mut obs).unwrap();
        env.step(&[1.0, 0.1], &mut obs, &mut costs).unwrap();
    }
    let used = resident() - before;
    println!("{used:.0} MB");
    assert!(used < 500.0, "{used} MB");
}
