//! What the arithmetic units could do, and what they were asked to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::kernels::{self, Start, View};
use crate::simd::{self, Path};
use crate::workspace::{Buffer, stride};

static FLOPS: AtomicU64 = AtomicU64::new(0);

/// Floating-point operations done in the products of networks by this process so far: 2 for each multiply-add that the mathematics needs.
pub fn flop_count() -> u64 {
    FLOPS.load(Ordering::Relaxed)
}

pub(crate) fn count_flops(flops: u64) {
    FLOPS.fetch_add(flops, Ordering::Relaxed);
}

/// The measured product is of square matrices of `SIDE` blocks a side, each block a square of `PANEL`: three of them stay in a
/// second-level cache, and a strip of one in the first level.
const SIDE: usize = 4;
const PANEL: usize = 192;

/// Measure the machine's peak: GFLOP/s of a matrix product of side 768, blocked and packed beforehand, done 8 times on each of `threads`
/// threads at once, in some 0.1 s. Each block counts with its best time, so that what else runs on the machine falls between. (On Zen 4
/// with 512-bit vectors that is 96 % of what fused multiply-adds on registers alone do.)
pub fn machine_gflops(threads: usize) -> f64 {
    let path = simd::path();
    let mut products = vec![Product::new(); threads.max(1)];
    std::thread::scope(|scope| {
        for product in &mut products {
            scope.spawn(move || (0..8).for_each(|_| product.run(path)));
        }
    });
    std::hint::black_box(&products);
    let flops = (2 * (SIDE * PANEL).pow(3)) as f64;
    products.iter().map(|product| flops * 1e-9 / product.seconds.iter().sum::<f64>()).sum()
}

/// `c = a b`, each matrix as its blocks, row after row of blocks; and the best time that each block of `c` took.
#[derive(Clone)]
struct Product {
    a: Vec<Buffer>,
    b: Vec<Buffer>,
    c: Vec<Buffer>,
    seconds: [f64; SIDE * SIDE],
}

impl Product {
    fn new() -> Self {
        let blocks = |value: f32| {
            let mut block = Buffer::default();
            block.resize(PANEL * stride(PANEL));
            block.fill(value);
            vec![block; SIDE * SIDE]
        };
        // Powers of two: every sum is exact.
        Self { a: blocks(0.5), b: blocks(0.25), c: blocks(0.0), seconds: [f64::INFINITY; SIDE * SIDE] }
    }

    fn run(&mut self, path: Path) {
        let stride = stride(PANEL);
        for (ij, (c, seconds)) in self.c.iter_mut().zip(&mut self.seconds).enumerate() {
            let (i, j) = (ij / SIDE, ij % SIDE);
            let clock = Instant::now();
            for k in 0..SIDE {
                let a = View { data: &self.a[i * SIDE + k], stride };
                let b = View { data: &self.b[k * SIDE + j], stride };
                let start = if k == 0 { Start::Zero } else { Start::Result };
                kernels::product(path, PANEL, PANEL, PANEL, a, b, start, c, stride);
            }
            *seconds = seconds.min(clock.elapsed().as_secs_f64());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_product_is_a_product() {
        let mut product = Product::new();
        product.run(simd::path());
        let expected = (SIDE * PANEL) as f32 / 8.0;
        let columns =
            |block: &Buffer| block.chunks_exact(stride(PANEL)).all(|row| row[..PANEL].iter().all(|c| *c == expected));
        assert!(product.c.iter().all(columns));
    }
}
