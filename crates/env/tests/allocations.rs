//! Steps and resets of all environments allocate nothing once one episode was made.
#![allow(unsafe_code, clippy::unwrap_used, clippy::print_stdout)]

use std::alloc::{GlobalAlloc, Layout, System};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use tony_env::safety_gym::robots::MESHES;
use tony_env::space::Space;
use tony_env::{Context, list, make};

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
    let mut note = |line: &str| println!("{line}");
    let library = tony_mujoco::locate(false, &mut note);
    let meshes = tony_fetch::locate_all(&MESHES, &tony_fetch::Environment::of_process(), false, false, &mut note);
    let library = library.inspect_err(|error| println!("skipped, there is no MuJoCo: {error}")).ok();
    let meshes = meshes.inspect_err(|error| println!("skipped, there are no meshes of Racecar: {error}")).ok();
    let meshes = meshes.and_then(|files| files[0].parent().map(Path::to_owned));
    let context = Context::new(library, meshes);
    for listing in list() {
        // What an Atari game does is kept, so that it can be done again.
        if listing.needs_arcade()
            || listing.needs_mujoco && context.library.is_none()
            || listing.needs_meshes && context.meshes.is_none()
        {
            continue;
        }
        let mut env = make(listing.name, &context).unwrap();
        let (mut obs, mut costs) = (vec![0.0; env.spec().obs_dim], vec![0.0; env.spec().costs.len()]);
        let (ahead, turned): (Vec<f64>, Vec<f64>) = match &env.spec().action {
            Space::Box { low, high } => {
                (high.clone(), low.iter().zip(high).map(|(low, high)| 0.7 * low + 0.3 * high).collect())
            }
            Space::Discrete { n } => (vec![(n - 1) as f64], vec![0.0]),
        };
        let mut episode = |seed: u64| {
            env.reset(seed, &mut obs).unwrap();
            for t in 0..60 {
                let step = env.step(if t % 3 == 0 { &turned } else { &ahead }, &mut obs, &mut costs).unwrap();
                if step.terminated || step.truncated {
                    break;
                }
            }
        };
        episode(10);
        let before = ALLOCATIONS.load(Ordering::Relaxed);
        for seed in 11..14 {
            episode(seed);
        }
        assert_eq!(ALLOCATIONS.load(Ordering::Relaxed) - before, 0, "{}", listing.name);
    }
}
