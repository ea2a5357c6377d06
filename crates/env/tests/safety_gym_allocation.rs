//! Steps and resets of navigation tasks allocate nothing once one was made.
#![allow(unsafe_code, clippy::unwrap_used, clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicU64, Ordering};
use tony_env::{Context, make};

struct Counting;
static ALLOCATIONS: AtomicU64 = AtomicU64::new(0);

// SAFETY: passes everything on to the system's allocator.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, p: *mut u8, layout: Layout) {
        unsafe { System.dealloc(p, layout) };
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// The only test of this file: the counter is the process's.
#[test]
fn steps_and_resets_allocate_nothing() {
    let library = match tony_mujoco::locate(false, &mut |line| println!("{line}")) {
        Ok(library) => library,
        Err(error) => return println!("skipped, there is no MuJoCo: {error}"),
    };
    let context = Context { library: Some(library), ..Context::default() };
    for name in ["SafetyPointGoal1", "SafetyPointGoal2", "SafetyCarGoal1", "SafetyCarGoal2"] {
        let mut env = make(name, &context).unwrap();
        let (mut obs, mut costs) = (vec![0.0; env.spec().obs_dim], vec![0.0; env.spec().costs.len()]);
        let mut episode = |seed: u64| {
            env.reset(seed, &mut obs).unwrap();
            for t in 0..100 {
                env.step(&[1.0, f64::from(t).sin()], &mut obs, &mut costs).unwrap();
            }
        };
        episode(10);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for seed in 11..15 {
            episode(seed);
        }
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{name}");
    }
}
