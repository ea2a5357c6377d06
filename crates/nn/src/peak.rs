//! What the arithmetic units could do, and what they were asked to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::kernels::{self, Start, View};
use crate::simd;

static FLOPS: AtomicU64 = AtomicU64::new(0);

/// Floating-point operations done in the products of networks by this process so far: 2 for each multiply-add that the mathematics needs.
pub fn flop_count() -> u64 {
    FLOPS.load(Ordering::Relaxed)
}

pub(crate) fn count_flops(flops: u64) {
    FLOPS.fetch_add(flops, Ordering::Relaxed);
}

/// Measure the machine's peak: GFLOP/s of one well-blocked matrix product on `threads` threads at once, the best of several.
pub fn machine_gflops(threads: usize) -> f64 {
    const M: usize = 192;
    const K: usize = 192;
    const N: usize = 256;
    let path = simd::path();
    let work = |rounds: usize| {
        let (a, b, mut c) = (vec![0.5_f32; M * K], vec![0.25_f32; K * N], vec![0.0_f32; M * N]);
        for _ in 0..rounds {
            let (a, b) = (View { data: &a, stride: K }, View { data: &b, stride: N });
            kernels::product(path, M, N, K, a, b, Start::Zero, std::hint::black_box(&mut c), N);
        }
    };
    work(8);
    let rounds = 64;
    (0..8).fold(0.0, |best: f64, _| {
        let start = Instant::now();
        std::thread::scope(|scope| (0..threads.max(1)).for_each(|_| drop(scope.spawn(|| work(rounds)))));
        let flops = (2 * M * N * K * rounds * threads.max(1)) as f64;
        best.max(flops / start.elapsed().as_secs_f64() * 1e-9)
    })
}
