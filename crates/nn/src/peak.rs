//! What the arithmetic units could do, and what they were asked to.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use crate::kernels::{self, Start, View};
use crate::mlp::{Buffer, stride};
use crate::simd;

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

/// Measure the machine's peak: GFLOP/s of a matrix product of side 768, blocked and packed beforehand, on each of `threads` threads at once;
/// the best of 32. (On Zen 4 with 512-bit vectors that is 96 % of what fused multiply-adds on registers alone do.)
pub fn machine_gflops(threads: usize) -> f64 {
    let threads = threads.max(1);
    let mut products = vec![Product::new(); threads];
    let seconds = (0..32).fold(f64::INFINITY, |best, _| {
        let start = Instant::now();
        std::thread::scope(|scope| {
            let (first, others) = products.split_at_mut(1);
            for product in others {
                scope.spawn(|| product.run());
            }
            first.iter_mut().for_each(Product::run);
        });
        best.min(start.elapsed().as_secs_f64())
    });
    std::hint::black_box(&products);
    (2 * (SIDE * PANEL).pow(3) * threads) as f64 / seconds * 1e-9
}

/// `c = a b`, each matrix as its blocks, row after row of blocks.
#[derive(Clone)]
struct Product {
    a: Vec<Buffer>,
    b: Vec<Buffer>,
    c: Vec<Buffer>,
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
        Self { a: blocks(0.5), b: blocks(0.25), c: blocks(0.0) }
    }

    fn run(&mut self) {
        let (path, stride) = (simd::path(), stride(PANEL));
        for (ij, c) in self.c.iter_mut().enumerate() {
            let (i, j) = (ij / SIDE, ij % SIDE);
            for k in 0..SIDE {
                let a = View { data: &self.a[i * SIDE + k], stride };
                let b = View { data: &self.b[k * SIDE + j], stride };
                let start = if k == 0 { Start::Zero } else { Start::Result };
                kernels::product(path, PANEL, PANEL, PANEL, a, b, start, c, stride);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_product_is_a_product() {
        let mut product = Product::new();
        product.run();
        let expected = (SIDE * PANEL) as f32 / 8.0;
        let columns =
            |block: &Buffer| block.chunks_exact(stride(PANEL)).all(|row| row[..PANEL].iter().all(|c| *c == expected));
        assert!(product.c.iter().all(columns));
    }
}
