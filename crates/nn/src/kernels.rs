//! The inner loops, each compiled once for every instruction set of [`crate::simd`].
//!
//! Products are written over [`Simd`]; element-wise loops are plain Rust, which the compiler vectorises under each instruction set:
//! Rust neither fuses nor reorders floating-point operations, so their bits cannot depend on it.
#![allow(unsafe_code)]
// A body must be inlined into the function that enables its instruction set; sizes and strides of three matrices are what a product takes.
#![allow(clippy::inline_always, clippy::too_many_arguments)]

#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Path, Portable, Simd, WIDTH, path};
use crate::{Activation, BLOCK};

/// Compile `$body::<S>` under each instruction set, as a safe function that takes the [`Path`] first.
macro_rules! kernel {
    ($(#[$doc:meta])* $name:ident = $body:ident($($arg:ident: $type:ty),* $(,)?) $(-> $ret:ty)?) => {
        $(#[$doc])*
        pub(crate) fn $name(path: Path, $($arg: $type),*) $(-> $ret)? {
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx512f,avx512vl,avx512dq,avx512bw,avx2,fma,f16c")]
            fn avx512($($arg: $type),*) $(-> $ret)? {
                $body::<Avx512>($($arg),*)
            }
            #[cfg(target_arch = "x86_64")]
            #[target_feature(enable = "avx2,fma,f16c")]
            fn avx2($($arg: $type),*) $(-> $ret)? {
                $body::<Avx2>($($arg),*)
            }
            match path {
                // SAFETY: a path is in use only after its instruction set was detected.
                #[cfg(target_arch = "x86_64")]
                Path::Avx512 => unsafe { avx512($($arg),*) },
                // SAFETY: as above.
                #[cfg(target_arch = "x86_64")]
                Path::Avx2 => unsafe { avx2($($arg),*) },
                _ => $body::<Portable>($($arg),*),
            }
        }
    };
}
pub(crate) use kernel;

/// A matrix in a slice: row `i` starts at `i * stride`.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

/// What a product adds to.
#[derive(Clone, Copy)]
pub(crate) enum Start<'a> {
    /// Nothing.
    Zero,
    /// What the result holds already.
    Result,
    /// This row, in every row.
    Row(&'a [f32]),
}

kernel! {
    /// `c = start + a b` for `a` of m x k, `b` of k x n, `c` of m x n. `b` and `c` are read and written in whole vectors.
    product = product_body(m: usize, n: usize, k: usize, a: View, b: View, start: Start, c: &mut [f32], c_stride: usize)
}
kernel! {
    /// `c = start + a' b` for `a` of k x m.
    product_transposed = product_transposed_body(m: usize, n: usize, k: usize, a: View, b: View, start: Start, c: &mut [f32], c_stride: usize)
}

#[inline(always)]
fn product_body<S: Simd>(m: usize, n: usize, k: usize, a: View, b: View, start: Start, c: &mut [f32], c_stride: usize) {
    any_product::<S, false>(m, n, k, a, b, start, c, c_stride);
}

#[inline(always)]
fn product_transposed_body<S: Simd>(
    m: usize,
    n: usize,
    k: usize,
    a: View,
    b: View,
    start: Start,
    c: &mut [f32],
    c_stride: usize,
) {
    any_product::<S, true>(m, n, k, a, b, start, c, c_stride);
}

#[inline(always)]
fn any_product<S: Simd, const T: bool>(
    m: usize,
    n: usize,
    k: usize,
    a: View,
    b: View,
    start: Start,
    c: &mut [f32],
    c_stride: usize,
) {
    if m == 0 || n == 0 {
        return;
    }
    let vectors = n.div_ceil(WIDTH);
    let padded = vectors * WIDTH;
    let (a_rows, a_columns) = if T { (k, m) } else { (m, k) };
    assert!(fits(a, a_rows, a_columns) && fits(b, k, padded), "product operands are too short");
    assert!(c.len() >= (m - 1) * c_stride + padded && c_stride >= padded, "product result is too short");
    let start = match start {
        Start::Zero => RawStart::Zero,
        Start::Result => RawStart::Result,
        Start::Row(row) => {
            assert!(row.len() >= padded, "product start is too short");
            RawStart::Row(row.as_ptr())
        }
    };
    let mut tile = Tile {
        k,
        a: a.data.as_ptr(),
        lda: a.stride,
        b: b.data.as_ptr(),
        ldb: b.stride,
        start,
        c: c.as_mut_ptr(),
        ldc: c_stride,
    };
    let mut left = vectors;
    // SAFETY: tiles cover rows `0..m` and vectors `0..vectors`, which the checks above found inside every operand.
    unsafe {
        if S::WIDE {
            while left >= 2 {
                strip::<S, 8, 2, T>(m, tile);
                tile = tile.right(2);
                left -= 2;
            }
            if left == 1 {
                strip::<S, 8, 1, T>(m, tile);
            }
        } else {
            while left >= 1 {
                strip::<S, 6, 1, T>(m, tile);
                tile = tile.right(1);
                left -= 1;
            }
        }
    }
}

fn fits(view: View, rows: usize, columns: usize) -> bool {
    rows == 0 || (view.stride >= columns && view.data.len() >= (rows - 1) * view.stride + columns)
}

#[derive(Clone, Copy)]
enum RawStart {
    Zero,
    Result,
    Row(*const f32),
}

/// Where a register tile works.
#[derive(Clone, Copy)]
struct Tile {
    k: usize,
    a: *const f32,
    lda: usize,
    b: *const f32,
    ldb: usize,
    start: RawStart,
    c: *mut f32,
    ldc: usize,
}

impl Tile {
    /// The tile `vectors` further right. Pointers past the last tile are never used.
    #[inline(always)]
    fn right(self, vectors: usize) -> Self {
        let columns = vectors * WIDTH;
        let start = match self.start {
            RawStart::Row(row) => RawStart::Row(row.wrapping_add(columns)),
            other => other,
        };
        Self { b: self.b.wrapping_add(columns), c: self.c.wrapping_add(columns), start, ..self }
    }

    /// The tile `rows` further down.
    #[inline(always)]
    fn down<const T: bool>(self, rows: usize) -> Self {
        let a = self.a.wrapping_add(if T { rows } else { rows * self.lda });
        Self { a, c: self.c.wrapping_add(rows * self.ldc), ..self }
    }
}

/// One strip of `N` vectors, all rows: tiles of `M` rows, then of 4, 2 and 1.
#[inline(always)]
unsafe fn strip<S: Simd, const M: usize, const N: usize, const T: bool>(m: usize, mut tile: Tile) {
    let mut left = m;
    // SAFETY: the caller's promise: `m` rows of the strip lie inside the operands, and the tiles cover exactly these.
    unsafe {
        while left >= M {
            multiply::<S, M, N, T>(tile);
            tile = tile.down::<T>(M);
            left -= M;
        }
        if left >= 4 {
            multiply::<S, 4, N, T>(tile);
            tile = tile.down::<T>(4);
            left -= 4;
        }
        if left >= 2 {
            multiply::<S, 2, N, T>(tile);
            tile = tile.down::<T>(2);
            left -= 2;
        }
        if left >= 1 {
            multiply::<S, 1, N, T>(tile);
        }
    }
}

/// `M` rows by `N` vectors of the result in registers; each element is one chain of fused multiply-adds over `k`.
#[inline(always)]
unsafe fn multiply<S: Simd, const M: usize, const N: usize, const T: bool>(tile: Tile) {
    let Tile { k, a, lda, b, ldb, start, c, ldc } = tile;
    // SAFETY: the caller's promise: the tile lies inside the operands.
    unsafe {
        let mut sums = [[S::splat(0.0); N]; M];
        for (i, row) in sums.iter_mut().enumerate() {
            for (j, sum) in row.iter_mut().enumerate() {
                match start {
                    RawStart::Zero => {}
                    RawStart::Result => *sum = S::load(c.add(i * ldc + j * WIDTH)),
                    RawStart::Row(start) => *sum = S::load(start.add(j * WIDTH)),
                }
            }
        }
        for p in 0..k {
            let mut right = [S::splat(0.0); N];
            for (j, right) in right.iter_mut().enumerate() {
                *right = S::load(b.add(p * ldb + j * WIDTH));
            }
            for (i, row) in sums.iter_mut().enumerate() {
                let left = S::splat(*a.add(if T { p * lda + i } else { i * lda + p }));
                for (sum, right) in row.iter_mut().zip(right) {
                    *sum = S::fma(left, right, *sum);
                }
            }
        }
        for (i, row) in sums.iter().enumerate() {
            for (j, sum) in row.iter().enumerate() {
                S::store(c.add(i * ldc + j * WIDTH), *sum);
            }
        }
    }
}

kernel! {
    /// `y = b + x W` for one row, from parameters as the caller holds them: `layer` is `W` (k x n) followed by `b` (n).
    /// The same chain of operations as [`product`] started from the bias row, hence the same bits.
    row_layer = row_layer_body(x: &[f32], layer: &[f32], y: &mut [f32])
}

#[inline(always)]
fn row_layer_body<S: Simd>(x: &[f32], layer: &[f32], y: &mut [f32]) {
    let (k, n) = (x.len(), y.len());
    assert_eq!(layer.len(), (k + 1) * n, "a layer of {k} inputs and {n} outputs");
    let mut column = 0;
    // SAFETY: columns `column..column + 16 N` (or the `n - column` left) are inside rows of `n`, of which `layer` has `k + 1`.
    unsafe {
        while column + 4 * WIDTH <= n {
            row_tile::<S, 4>(x, layer, n, column, y);
            column += 4 * WIDTH;
        }
        if column + 2 * WIDTH <= n {
            row_tile::<S, 2>(x, layer, n, column, y);
            column += 2 * WIDTH;
        }
        if column + WIDTH <= n {
            row_tile::<S, 1>(x, layer, n, column, y);
            column += WIDTH;
        }
        if column < n {
            let (count, p) = (n - column, layer.as_ptr().add(column));
            let mut sum = S::load_partial(p.add(k * n), count);
            for (i, x) in x.iter().enumerate() {
                sum = S::fma(S::splat(*x), S::load_partial(p.add(i * n), count), sum);
            }
            S::store_partial(y.as_mut_ptr().add(column), sum, count);
        }
    }
}

#[inline(always)]
unsafe fn row_tile<S: Simd, const N: usize>(x: &[f32], layer: &[f32], n: usize, column: usize, y: &mut [f32]) {
    // SAFETY: the caller's promise: `16 N` columns from `column` are inside each row of `layer` and inside `y`.
    unsafe {
        let p = layer.as_ptr().add(column);
        let mut sums = [S::splat(0.0); N];
        for (j, sum) in sums.iter_mut().enumerate() {
            *sum = S::load(p.add(x.len() * n + j * WIDTH));
        }
        for (i, x) in x.iter().enumerate() {
            let x = S::splat(*x);
            for (j, sum) in sums.iter_mut().enumerate() {
                *sum = S::fma(x, S::load(p.add(i * n + j * WIDTH)), *sum);
            }
        }
        for (j, sum) in sums.iter().enumerate() {
            S::store(y.as_mut_ptr().add(column + j * WIDTH), *sum);
        }
    }
}

kernel! {
    /// The activation, in place.
    activate = activate_body(activation: Activation, z: &mut [f32])
}

#[inline(always)]
fn activate_body<S: Simd>(activation: Activation, z: &mut [f32]) {
    match activation {
        Activation::Tanh => z.iter_mut().for_each(|z| *z = tanh(*z)),
        // Written so that a NaN passes through.
        Activation::Relu => z.iter_mut().for_each(|z| *z = if *z < 0.0 { 0.0 } else { *z }),
        Activation::Sin if within_reach(z) => z.iter_mut().for_each(|z| *z = sin_cos(*z).0),
        Activation::Sin => z.iter_mut().for_each(|z| *z = any_sin_cos(*z).0),
    }
}

kernel! {
    /// The sine in place, and the cosine, which is its derivative, beside it.
    activate_sin = activate_sin_body(z: &mut [f32], slope: &mut [f32])
}

#[inline(always)]
fn activate_sin_body<S: Simd>(z: &mut [f32], slope: &mut [f32]) {
    if within_reach(z) {
        z.iter_mut().zip(slope).for_each(|(z, slope)| (*z, *slope) = sin_cos(*z));
    } else {
        z.iter_mut().zip(slope).for_each(|(z, slope)| (*z, *slope) = any_sin_cos(*z));
    }
}

/// Largest argument of [`sin_cos`]: up to here the quadrant's number times the first part of pi/2 leaves an exact remainder.
const REACH: f32 = 65_536.0;

/// Are all arguments in the range of [`sin_cos`]? A NaN is not.
#[inline(always)]
fn within_reach(z: &[f32]) -> bool {
    // Counted, not searched for: a search that may end early does not vectorise.
    z.iter().map(|z| u32::from(z.abs() <= REACH)).sum::<u32>() as usize == z.len()
}

/// [`sin_cos`] of any number; a NaN or an infinity gives a NaN.
fn any_sin_cos(x: f32) -> (f32, f32) {
    if x.abs() <= REACH { sin_cos(x) } else { (libm::sinf(x), libm::cosf(x)) }
}

/// Sine and cosine of `|x| <= 65536`, each within 1.0e-7 (measured over every 997th `f32`), never beyond +-1.
///
/// The remainder after the nearest multiple of pi/2 (in three parts, each step one fused multiply-add) goes through minimax polynomials
/// on +-0.79 (4.0e-9 and 1.3e-10 relative; iteratively reweighted least squares); the multiple's last two bits choose which and the signs.
#[inline(always)]
pub(crate) fn sin_cos(x: f32) -> (f32, f32) {
    const HALF_PI: [f32; 3] = [1.570_796_4, -4.371_139e-8, -1.715_124_5e-15];
    /// Adding it rounds to a whole number, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x.mul_add(std::f32::consts::FRAC_2_PI, ROUND);
    let multiple = rounded - ROUND;
    let mut r = x;
    for part in HALF_PI {
        r = multiple.mul_add(-part, r);
    }
    let t = r * r;
    let sine = (-1.951_145_8e-4_f32).mul_add(t, 8.332_133e-3).mul_add(t, -0.166_666_54);
    let sine = (r * t).mul_add(sine, r);
    let cosine = 2.442_878_6e-5_f32.mul_add(t, -1.388_727_8e-3).mul_add(t, 0.041_666_646);
    let cosine = (t * t).mul_add(cosine, t.mul_add(-0.5, 1.0));
    let quadrant = rounded.to_bits();
    let (s, c) = if quadrant & 1 == 0 { (sine, cosine) } else { (cosine, sine) };
    let signed = |x: f32, bit: u32| f32::from_bits(x.to_bits() ^ ((bit & 2) << 30));
    let at_most_1 = |x: f32| if x > 1.0 { 1.0 } else { x };
    (signed(at_most_1(s), quadrant), signed(at_most_1(c), quadrant.wrapping_add(1)))
}

/// Hyperbolic tangent within 3.1e-7 relative (5.2 units in the last place just below 1; measured over every seventh `f32`), odd, never beyond +-1; a NaN passes through.
///
/// `x P(x^2) / Q(x^2)`, the minimax approximation in relative error on `[0, 9]` (Remez exchange; 2.1e-8); above 9 the result rounds to 1.
/// All coefficients are positive, so nothing cancels, and the leading ones are 1, so a tiny `x` is returned as it is.
#[inline(always)]
pub fn tanh(x: f32) -> f32 {
    const P: [f32; 5] = [1.341_983_7e-8, 2.066_127_3e-5, 0.003_498_996_7, 0.133_839_81, 1.0];
    const Q: [f32; 5] = [7.804_735_6e-7, 3.291_039_4e-4, 0.025_890_209, 0.467_173, 1.0];
    let x = if x > 9.0 { 9.0 } else { x };
    let x = if x < -9.0 { -9.0 } else { x };
    let t = x * x;
    let (mut p, mut q) = (P[0], Q[0]);
    for i in 1..5 {
        p = p.mul_add(t, P[i]);
        q = q.mul_add(t, Q[i]);
    }
    let y = x * p / q;
    let y = if y > 1.0 { 1.0 } else { y };
    if y < -1.0 { -1.0 } else { y }
}

/// Exponential within 2 units in the last place (measured over every 9,973rd `f32`); 0 below -87.3, infinity above 88.7, and a NaN
/// passes through.
///
/// `2^n (1 + r + r^2 P(r))` with `n` the nearest whole number to `x / ln 2`; the minimax `P` on `|r| <= ln 2 / 2` (3.1e-9 relative;
/// iteratively reweighted least squares).
#[inline(always)]
pub(crate) fn exp(x: f32) -> f32 {
    const LN_2: [f32; 2] = [std::f32::consts::LN_2, -1.904_654_3e-9];
    const P: [f32; 5] = [1.381_46e-3, 8.368_717e-3, 4.166_839e-2, 0.166_665_21, 0.499_999_94];
    /// Adding it rounds to a whole number, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    let rounded = x.mul_add(std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    let r = n.mul_add(-LN_2[1], n.mul_add(-LN_2[0], x));
    let p = P[0].mul_add(r, P[1]).mul_add(r, P[2]).mul_add(r, P[3]).mul_add(r, P[4]);
    let y = (r * r).mul_add(p, r) + 1.0;
    // Half of the power at a time: 2^128 is not a number of this precision, 88.7 / ln 2 nearly is.
    let half = f32::from_bits((rounded.to_bits() << 22 & 0xff80_0000).wrapping_add(127 << 23));
    let rest = f32::from_bits((rounded.to_bits() << 23).wrapping_add(254 << 23).wrapping_sub(half.to_bits()));
    let y = y * half * rest;
    let y = if x < -87.3 { 0.0 } else { y };
    if x > 88.7 { f32::INFINITY } else { y }
}

kernel! {
    /// Softmax without its division, in place: `exp(scale (x - max))` within `seen`, 0 elsewhere; returns the sum. Lane `i` takes the elements
    /// whose index is `i` modulo 16, so zeros at either end change no bit.
    softmax = softmax_body(x: &mut [f32], seen: std::ops::Range<usize>, scale: f32) -> f32
}

#[inline(always)]
fn softmax_body<S: Simd>(x: &mut [f32], seen: std::ops::Range<usize>, scale: f32) -> f32 {
    assert!(x.len().is_multiple_of(WIDTH), "whole vectors");
    x[..seen.start].fill(f32::NEG_INFINITY);
    x[seen.end..].fill(f32::NEG_INFINITY);
    let mut lanes = [f32::NEG_INFINITY; WIDTH];
    for x in x.chunks_exact(WIDTH) {
        for i in 0..WIDTH {
            lanes[i] = if x[i] > lanes[i] { x[i] } else { lanes[i] };
        }
    }
    let most = lanes.into_iter().fold(f32::NEG_INFINITY, |most, x| if x > most { x } else { most });
    let mut sums = [0.0_f32; WIDTH];
    for x in x.chunks_exact_mut(WIDTH) {
        for i in 0..WIDTH {
            x[i] = exp(scale * (x[i] - most));
            sums[i] += x[i];
        }
    }
    sums.into_iter().sum()
}

kernel! {
    /// `y = factor x (shift + weight)`, element by element.
    weigh = weigh_body(factor: f32, x: &[f32], shift: f32, weight: &[f32], y: &mut [f32])
}

#[inline(always)]
fn weigh_body<S: Simd>(factor: f32, x: &[f32], shift: f32, weight: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).zip(weight).for_each(|((y, x), w)| *y = factor * x * (shift + w));
}

kernel! {
    /// `a = silu(a) b`.
    swiglu = swiglu_body(a: &mut [f32], b: &[f32])
}

#[inline(always)]
fn swiglu_body<S: Simd>(a: &mut [f32], b: &[f32]) {
    a.iter_mut().zip(b).for_each(|(a, b)| *a = *a / (1.0 + exp(-*a)) * b);
}

kernel! {
    /// `a = gelu(a) b`, with the approximation of GELU by a hyperbolic tangent.
    geglu = geglu_body(a: &mut [f32], b: &[f32])
}

#[inline(always)]
fn geglu_body<S: Simd>(a: &mut [f32], b: &[f32]) {
    // sqrt(2 / pi)
    const SLOPE: f32 = 0.797_884_6;
    for (a, b) in a.iter_mut().zip(b) {
        let inner = SLOPE * (*a * *a * *a).mul_add(0.044_715, *a);
        *a = 0.5 * *a * (1.0 + tanh(inner)) * b;
    }
}

kernel! {
    /// `x = gelu(x)`, exact but for 2e-7 of `x`: `x` times the normal distribution function, whose tail is Abramowitz and Stegun's 7.1.26.
    gelu = gelu_body(x: &mut [f32])
}

#[inline(always)]
fn gelu_body<S: Simd>(x: &mut [f32]) {
    const P: [f32; 5] = [1.061_405_4, -1.453_152, 1.421_413_7, -0.284_496_74, 0.254_829_6];
    for x in x {
        let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
        let t = 1.0 / z.mul_add(0.327_591_1, 1.0);
        let p = P[0].mul_add(t, P[1]).mul_add(t, P[2]).mul_add(t, P[3]).mul_add(t, P[4]);
        let beyond = *x * (0.5 * p * t * exp(-z * z));
        *x = if *x < 0.0 { beyond } else { *x - beyond };
    }
}

kernel! {
    /// `x = (x - mean) factor weight + bias`, element by element.
    standardise = standardise_body(x: &mut [f32], mean: f32, factor: f32, weight: &[f32], bias: &[f32])
}

#[inline(always)]
fn standardise_body<S: Simd>(x: &mut [f32], mean: f32, factor: f32, weight: &[f32], bias: &[f32]) {
    x.iter_mut().zip(weight).zip(bias).for_each(|((x, w), b)| *x = ((*x - mean) * factor).mul_add(*w, *b));
}

kernel! {
    /// Rotate pairs: `(a, b) = (a cos - b sin, b cos + a sin)`.
    rotate = rotate_body(a: &mut [f32], b: &mut [f32], cos: &[f32], sin: &[f32])
}

#[inline(always)]
fn rotate_body<S: Simd>(a: &mut [f32], b: &mut [f32], cos: &[f32], sin: &[f32]) {
    for ((a, b), (cos, sin)) in a.iter_mut().zip(b).zip(cos.iter().zip(sin)) {
        (*a, *b) = (*a * cos - *b * sin, *b * cos + *a * sin);
    }
}

kernel! {
    /// `d *= activation'(z)`, told from the activation `a` itself; for a sine `a` is the cosine that [`activate_sin`] left.
    chain = chain_body(activation: Activation, a: &[f32], d: &mut [f32])
}

#[inline(always)]
fn chain_body<S: Simd>(activation: Activation, a: &[f32], d: &mut [f32]) {
    match activation {
        Activation::Tanh => d.iter_mut().zip(a).for_each(|(d, a)| *d *= 1.0 - a * a),
        Activation::Relu => d.iter_mut().zip(a).for_each(|(d, a)| *d = if *a > 0.0 { *d } else { 0.0 }),
        Activation::Sin => d.iter_mut().zip(a).for_each(|(d, a)| *d *= a),
    }
}

kernel! {
    /// One step of `n` LSTM cells. `gates` (n x 4 hidden: input, forget, cell, output) are activated in place; `c = f before + i g` and
    /// `h = o tanh(c)` have rows at `stride`.
    cell = cell_body(n: usize, hidden: usize, gates: &mut [f32], gate_stride: usize, before: &[f32], c: &mut [f32], h: &mut [f32], stride: usize)
}

#[inline(always)]
fn cell_body<S: Simd>(
    n: usize,
    hidden: usize,
    gates: &mut [f32],
    gate_stride: usize,
    before: &[f32],
    c: &mut [f32],
    h: &mut [f32],
    stride: usize,
) {
    let rows = gates.chunks_mut(gate_stride).zip(before.chunks(stride));
    for ((gates, before), (c, h)) in rows.zip(c.chunks_mut(stride).zip(h.chunks_mut(stride))).take(n) {
        gates[..2 * hidden].iter_mut().for_each(|z| *z = sigmoid(*z));
        gates[2 * hidden..3 * hidden].iter_mut().for_each(|z| *z = tanh(*z));
        gates[3 * hidden..4 * hidden].iter_mut().for_each(|z| *z = sigmoid(*z));
        let (i, f) = (&gates[..hidden], &gates[hidden..2 * hidden]);
        let (g, o) = (&gates[2 * hidden..3 * hidden], &gates[3 * hidden..4 * hidden]);
        let (before, c, h) = (&before[..hidden], &mut c[..hidden], &mut h[..hidden]);
        for j in 0..hidden {
            c[j] = f[j].mul_add(before[j], i[j] * g[j]);
            h[j] = o[j] * tanh(c[j]);
        }
    }
}

/// Logistic function, `(1 + tanh(x / 2)) / 2`: within 2e-7 of the truth, never outside of 0 and 1; a NaN passes through.
#[inline(always)]
pub(crate) fn sigmoid(x: f32) -> f32 {
    tanh(0.5 * x).mul_add(0.5, 0.5)
}

kernel! {
    /// Backwards through `n` LSTM cells: from derivatives by `h` (`d_h`) and by `c` (`d_c`), the latter replaced by those by the `c`
    /// before, to derivatives by the gates' sums (`d_gates`, at the stride of `gates`).
    cell_backward = cell_backward_body(n: usize, hidden: usize, gates: View, before: &[f32], c: &[f32], d_h: &[f32], d_c: &mut [f32], d_gates: &mut [f32], stride: usize)
}

#[inline(always)]
fn cell_backward_body<S: Simd>(
    n: usize,
    hidden: usize,
    gates: View,
    before: &[f32],
    c: &[f32],
    d_h: &[f32],
    d_c: &mut [f32],
    d_gates: &mut [f32],
    stride: usize,
) {
    for r in 0..n {
        let (gates, d_gates) = (&gates.data[r * gates.stride..], &mut d_gates[r * gates.stride..]);
        let (i, f) = (&gates[..hidden], &gates[hidden..2 * hidden]);
        let (g, o) = (&gates[2 * hidden..3 * hidden], &gates[3 * hidden..4 * hidden]);
        let (d_i, rest) = d_gates.split_at_mut(hidden);
        let (d_f, rest) = rest.split_at_mut(hidden);
        let (d_g, d_o) = rest.split_at_mut(hidden);
        let (d_o, row) = (&mut d_o[..hidden], r * stride..r * stride + hidden);
        let (before, c, d_h, d_c) = (&before[row.clone()], &c[row.clone()], &d_h[row.clone()], &mut d_c[row]);
        for j in 0..hidden {
            let t = tanh(c[j]);
            let d = d_h[j] * o[j] * (1.0 - t * t) + d_c[j];
            d_i[j] = d * g[j] * (i[j] * (1.0 - i[j]));
            d_f[j] = d * before[j] * (f[j] * (1.0 - f[j]));
            d_g[j] = d * i[j] * (1.0 - g[j] * g[j]);
            d_o[j] = d_h[j] * t * (o[j] * (1.0 - o[j]));
            d_c[j] = d * f[j];
        }
    }
}

kernel! {
    /// `r = activation'(z) r + activation''(z) rz g`, told from the activation `a` itself and, of sines, from its `slope`.
    bend = bend_body(activation: Activation, a: &[f32], slope: &[f32], rz: &[f32], g: &[f32], r: &mut [f32])
}

#[inline(always)]
fn bend_body<S: Simd>(activation: Activation, a: &[f32], slope: &[f32], rz: &[f32], g: &[f32], r: &mut [f32]) {
    let all = r.iter_mut().zip(a).zip(rz.iter().zip(g));
    match activation {
        // With a = tanh z: a' = 1 - a^2, and a'' = -2 a a'.
        Activation::Tanh => all.for_each(|((r, a), (rz, g))| *r = (*r - 2.0 * a * rz * g) * (1.0 - a * a)),
        Activation::Relu => all.for_each(|((r, a), _)| *r = if *a > 0.0 { *r } else { 0.0 }),
        Activation::Sin => all.zip(slope).for_each(|(((r, a), (rz, g)), slope)| *r = *r * slope - a * rz * g),
    }
}

kernel! {
    /// `total += sum of the rows`, row after row.
    add_rows = add_rows_body(rows: View, n: usize, total: &mut [f32])
}

#[inline(always)]
fn add_rows_body<S: Simd>(rows: View, n: usize, total: &mut [f32]) {
    debug_assert!(n <= BLOCK);
    for row in rows.data.chunks(rows.stride).take(n) {
        total.iter_mut().zip(row).for_each(|(total, x)| *total += x);
    }
}

kernel! {
    /// `y = clip((x - mean) * inv_std, +-limit)`; a NaN passes through.
    normalise = normalise_body(x: &[f32], mean: &[f32], inv_std: &[f32], limit: f32, y: &mut [f32])
}

#[inline(always)]
fn normalise_body<S: Simd>(x: &[f32], mean: &[f32], inv_std: &[f32], limit: f32, y: &mut [f32]) {
    for (((y, x), mean), inv_std) in y.iter_mut().zip(x).zip(mean).zip(inv_std) {
        let z = (x - mean) * inv_std;
        let z = if z > limit { limit } else { z };
        *y = if z < -limit { -limit } else { z };
    }
}

/// Ask for the first `n` numbers of `row`, which are about to be read.
#[inline]
pub(crate) fn prefetch(row: &[f32], n: usize) {
    #[cfg(target_arch = "x86_64")]
    for line in row[..n.min(row.len())].chunks(WIDTH) {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        // SAFETY: SSE is part of the architecture; a prefetch reads nothing that the program sees, and the address is inside `row`.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.as_ptr().cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = (row, n);
}

/// Coefficients of one Adam step, the same for every parameter.
pub(crate) struct AdamStep {
    pub beta1: f32,
    pub one_minus_beta1: f32,
    pub beta2: f32,
    pub one_minus_beta2: f32,
    pub inv_sqrt_c2: f32,
    pub epsilon: f32,
    pub step: f32,
}

kernel! {
    /// Both moments and the parameters in one pass.
    adam_kernel = adam_body(c: &AdamStep, params: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32])
}

#[inline(always)]
fn adam_body<S: Simd>(c: &AdamStep, params: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32]) {
    for (((p, g), m), v) in params.iter_mut().zip(grad).zip(m).zip(v) {
        *m = c.beta1 * *m + c.one_minus_beta1 * g;
        *v = c.beta2 * *v + c.one_minus_beta2 * (g * g);
        *p -= c.step * *m / (v.sqrt() * c.inv_sqrt_c2 + c.epsilon);
    }
}

pub(crate) fn adam(c: &AdamStep, params: &mut [f32], grad: &[f32], m: &mut [f32], v: &mut [f32]) {
    assert_eq!(
        (params.len(), grad.len()),
        (m.len(), v.len()),
        "parameters and gradient of another length than the optimiser"
    );
    adam_kernel(path(), c, params, grad, m, v);
}

kernel! { dot_kernel = dot_body(a: &[f32], b: &[f32]) -> f64 }

/// Lane `i` takes the elements whose index is `i` modulo 16; a product of two `f32` is exact in `f64`.
#[inline(always)]
fn dot_body<S: Simd>(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0_f64; WIDTH];
    let (a, b) = (a.chunks_exact(WIDTH), b.chunks_exact(WIDTH));
    let tail = a.remainder().iter().zip(b.remainder());
    for (a, b) in a.zip(b) {
        for i in 0..WIDTH {
            lanes[i] += f64::from(a[i]) * f64::from(b[i]);
        }
    }
    lanes.iter_mut().zip(tail).for_each(|(lane, (a, b))| *lane += f64::from(*a) * f64::from(*b));
    let mut width = WIDTH / 2;
    while width > 0 {
        for i in 0..width {
            lanes[i] += lanes[i + width];
        }
        width /= 2;
    }
    lanes[0]
}

pub(crate) fn dot(a: &[f32], b: &[f32]) -> f64 {
    dot_kernel(path(), a, b)
}

kernel! { axpy_kernel = axpy_body(alpha: f32, x: &[f32], y: &mut [f32]) }

#[inline(always)]
fn axpy_body<S: Simd>(alpha: f32, x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += alpha * x);
}

pub(crate) fn axpy(alpha: f32, x: &[f32], y: &mut [f32]) {
    axpy_kernel(path(), alpha, x, y);
}

kernel! { polyak_kernel = polyak_body(tau: f32, x: &[f32], y: &mut [f32]) }

#[inline(always)]
fn polyak_body<S: Simd>(tau: f32, x: &[f32], y: &mut [f32]) {
    y.iter_mut().zip(x).for_each(|(y, x)| *y += tau * (x - *y));
}

pub(crate) fn polyak(tau: f32, x: &[f32], y: &mut [f32]) {
    polyak_kernel(path(), tau, x, y);
}

kernel! {
    /// `k += (a + 1) g`, element by element: a layer's share of a kernel, the 1 being its bias.
    add_gram = add_gram_body(a: &[f64], g: &[f64], k: &mut [f64])
}

#[inline(always)]
fn add_gram_body<S: Simd>(a: &[f64], g: &[f64], k: &mut [f64]) {
    k.iter_mut().zip(a).zip(g).for_each(|((k, a), g)| *k += (a + 1.0) * g);
}

kernel! {
    /// `out = x' y` for `x` and `y` of any number of rows of [`BLOCK`] numbers in strips of [`STRIP`] columns, `out` of BLOCK x BLOCK.
    inner_products = inner_products_body(x: &[f64], y: &[f64], out: &mut [f64])
}

#[inline(always)]
fn inner_products_body<S: Simd>(x: &[f64], y: &[f64], out: &mut [f64]) {
    let strip = x.len() / BLOCK * STRIP;
    for i in (0..BLOCK).step_by(TILE.0) {
        let x = &x[i / STRIP * strip..][..strip];
        for (j, y) in y.chunks_exact(strip).enumerate() {
            let mut sums = [[0.0_f64; STRIP]; TILE.0];
            for (x, y) in x.chunks_exact(STRIP).zip(y.chunks_exact(STRIP)) {
                let right: [f64; STRIP] = std::array::from_fn(|k| y[k]);
                for (k, sums) in sums.iter_mut().enumerate() {
                    let left = x[i % STRIP + k];
                    sums.iter_mut().zip(right).for_each(|(sum, right)| *sum = left.mul_add(right, *sum));
                }
            }
            for (k, sums) in sums.iter().enumerate() {
                out[(i + k) * BLOCK + j * STRIP..][..STRIP].copy_from_slice(sums);
            }
        }
    }
}

kernel! {
    /// `to = factor from`, row by row.
    scale_rows = scale_rows_body(factors: &[f32], stride: usize, from: &[f32], to: &mut [f32])
}

#[inline(always)]
fn scale_rows_body<S: Simd>(factors: &[f32], stride: usize, from: &[f32], to: &mut [f32]) {
    for ((factor, from), to) in factors.iter().zip(from.chunks_exact(stride)).zip(to.chunks_exact_mut(stride)) {
        to.iter_mut().zip(from).for_each(|(to, from)| *to = factor * from);
    }
}

/// Columns of a panel of [`cholesky`].
const PANEL: usize = 32;
/// Rows and columns of its tiles.
const TILE: (usize, usize) = (4, 8);
/// Columns of a strip: what a tile of inner products reads lies side by side, where rows of [`BLOCK`] numbers would share few cache sets.
pub const STRIP: usize = TILE.1;

kernel! {
    /// Overwrite the lower triangle of the symmetric `a` (n x n) by its Cholesky factor; false where it has none.
    cholesky = cholesky_body(a: &mut [f64], n: usize) -> bool
}

#[inline(always)]
fn cholesky_body<S: Simd>(a: &mut [f64], n: usize) -> bool {
    assert_eq!(a.len(), n * n, "numbers of a symmetric matrix");
    // The panel's columns as rows, so that what happens to each of its rows happens side by side.
    let mut columns = vec![0.0_f64; PANEL * (n + TILE.1)];
    for first in (0..n).step_by(PANEL) {
        let end = (first + PANEL).min(n);
        for j in first..end {
            for i in j..end {
                let (low, high) = (j * n, i * n);
                let sum = (first..j).fold(a[high + j], |sum, p| (-a[high + p]).mul_add(a[low + p], sum));
                a[high + j] = if i == j { sum.sqrt() } else { sum / a[low + j] };
                // The square root of what is not positive is not either, or not a number.
                if i == j && !(a[high + j] > 0.0 && a[high + j].is_finite()) {
                    return false;
                }
            }
        }
        let (below, width) = (n - end, n - end + TILE.1);
        for (i, row) in a[end * n..].chunks_exact(n).enumerate() {
            (first..end).for_each(|j| columns[(j - first) * width + i] = row[j]);
        }
        for j in 0..end - first {
            let (done, rest) = columns.split_at_mut(j * width);
            let column = &mut rest[..below];
            let diagonal = &a[(first + j) * n + first..][..=j];
            for (factor, earlier) in diagonal.iter().zip(done.chunks_exact(width)) {
                column.iter_mut().zip(earlier).for_each(|(x, e)| *x = (-factor).mul_add(*e, *x));
            }
            column.iter_mut().for_each(|x| *x /= diagonal[j]);
        }
        for (i, row) in a[end * n..].chunks_exact_mut(n).enumerate() {
            (first..end).for_each(|j| row[j] = columns[(j - first) * width + i]);
        }
        subtract_square(&columns[..(end - first) * width], width, below, &mut a[end * n..], n, end);
    }
    true
}

/// `a -= columns' columns` in the lower triangle that begins at column `first` of the rows in `a`.
#[inline(always)]
fn subtract_square(columns: &[f64], width: usize, below: usize, a: &mut [f64], n: usize, first: usize) {
    let (rows, across) = TILE;
    for i in (0..below).step_by(rows) {
        let height = rows.min(below - i);
        for j in (0..i + height).step_by(across) {
            let mut sums = [[0.0_f64; TILE.1]; TILE.0];
            for column in columns.chunks_exact(width) {
                // Rows and columns beyond the matrix hold what is never stored.
                let right: [f64; TILE.1] = std::array::from_fn(|k| column[j + k]);
                for (k, sums) in sums.iter_mut().enumerate() {
                    let left = column[i + k];
                    sums.iter_mut().zip(right).for_each(|(sum, right)| *sum = left.mul_add(right, *sum));
                }
            }
            for (k, sums) in sums.iter().enumerate().take(height) {
                let stored = &mut a[(i + k) * n + first + j..(i + k) * n + n];
                stored.iter_mut().zip(sums).for_each(|(a, sum)| *a -= sum);
            }
        }
    }
}

kernel! {
    /// Solve `L L' x = b` in place, for `L` from [`cholesky`].
    cholesky_solve = cholesky_solve_body(l: &[f64], x: &mut [f64])
}

#[inline(always)]
fn cholesky_solve_body<S: Simd>(l: &[f64], x: &mut [f64]) {
    let n = x.len();
    assert_eq!(l.len(), n * n, "numbers of a factor");
    for i in 0..n {
        let sum = l[i * n..][..i].iter().zip(&*x).fold(x[i], |sum, (l, x)| (-l).mul_add(*x, sum));
        x[i] = sum / l[i * n + i];
    }
    for i in (0..n).rev() {
        let (rest, last) = x.split_at_mut(i);
        last[0] /= l[i * n + i];
        rest.iter_mut().zip(&l[i * n..]).for_each(|(x, l)| *x = (-l).mul_add(last[0], *x));
    }
}

pub(crate) fn scale(factor: f32, y: &mut [f32]) {
    for y in y {
        *y *= factor;
    }
}

kernel! {
    /// `to = from'`, from m x n; zeros beyond the m numbers of a row.
    transpose = transpose_body(m: usize, n: usize, from: View, to: &mut [f32], to_stride: usize)
}

#[inline(always)]
fn transpose_body<S: Simd>(m: usize, n: usize, from: View, to: &mut [f32], to_stride: usize) {
    assert!(fits(from, m, n) && to.len() >= n * to_stride && to_stride >= m, "transposed operands are too short");
    if m < to_stride {
        to.chunks_exact_mut(to_stride).take(n).for_each(|row| row[m..].fill(0.0));
    }
    let (whole_m, whole_n) = (m - m % 8, n - n % 8);
    for i in (0..whole_m).step_by(8) {
        for j in (0..whole_n).step_by(8) {
            // SAFETY: the tile lies inside m x n, which the check above found inside both operands.
            unsafe {
                let from_tile = from.data.as_ptr().add(i * from.stride + j);
                S::transpose8(from_tile, from.stride, to.as_mut_ptr().add(j * to_stride + i), to_stride);
            }
        }
    }
    for i in 0..m {
        for j in if i < whole_m { whole_n } else { 0 }..n {
            to[j * to_stride + i] = from.data[i * from.stride + j];
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd;

    #[test]
    fn tanh_is_accurate_odd_and_saturates() {
        let (mut worst, mut values) = (0.0_f64, Vec::new());
        // A prime stride visits every exponent from the smallest subnormal up to infinity: 43,000 numbers.
        for bits in (1..=0x7f80_0000_u32).step_by(49_999).chain([0x7f80_0000]) {
            let x = f32::from_bits(bits);
            let (y, expected) = (tanh(x), libm::tanh(f64::from(x)));
            assert_eq!(tanh(-x), -y);
            assert!(y <= 1.0, "{x}");
            // A subnormal result may be off by its spacing.
            worst = worst.max((f64::from(y) - expected).abs() / expected.max(f64::from(f32::MIN_POSITIVE)));
            values.extend([x, -x]);
        }
        // Five roundings of 6e-8 and the approximation's 2e-8.
        assert!(worst < 3.2e-7, "{worst}");
        assert_eq!((tanh(0.0), tanh(1e-30)), (0.0, 1e-30));
        assert!(tanh(20.0) > 0.999_999_9 && tanh(f32::NAN).is_nan());
        for path in simd::available() {
            let mut wide = values.clone();
            activate(path, Activation::Tanh, &mut wide);
            assert!(wide.iter().zip(&values).all(|(wide, x)| wide.to_bits() == tanh(*x).to_bits()), "{path:?}");
        }
    }

    #[test]
    fn sine_and_cosine_are_accurate_and_bounded() {
        let (mut worst, mut values) = (0.0_f64, Vec::new());
        // A prime stride visits every exponent up to the end of the range.
        for bits in (0..=REACH.to_bits()).step_by(9_973).chain([REACH.to_bits()]) {
            let x = f32::from_bits(bits);
            let (s, c) = sin_cos(x);
            let expected = (libm::sin(f64::from(x)), libm::cos(f64::from(x)));
            worst = worst.max((f64::from(s) - expected.0).abs()).max((f64::from(c) - expected.1).abs());
            assert_eq!((sin_cos(-x), s.abs() <= 1.0 && c.abs() <= 1.0), ((-s, c), true), "{x}");
            values.extend([x, -x]);
        }
        // A rounding of the remainder and one of the result, of numbers up to 1, and the polynomial's.
        assert!(worst < 1.0e-7, "{worst}");
        assert_eq!((sin_cos(1e-20).0, sin_cos(0.0)), (1e-20, (0.0, 1.0)));
        let far = [1e6_f32, -3e9, f32::MAX].map(|x| (x, any_sin_cos(x)));
        assert!(far.iter().all(|(x, (s, _))| (f64::from(*s) - libm::sin(f64::from(*x))).abs() < 1e-7), "{far:?}");
        assert!(any_sin_cos(f32::NAN).0.is_nan() && any_sin_cos(f32::INFINITY).1.is_nan());
        for path in simd::available() {
            // Whole vectors within the range, and one number beyond it that sends all of them the other way: the same bits.
            for extra in [0.5, 1e9] {
                let all: Vec<f32> = values.iter().copied().chain([extra]).collect();
                let (mut sine, mut slope) = (all.clone(), vec![0.0; all.len()]);
                activate_sin(path, &mut sine, &mut slope);
                let mut alone = all.clone();
                activate(path, Activation::Sin, &mut alone);
                for ((s, c), x) in sine.iter().zip(&slope).zip(&all) {
                    let expected = any_sin_cos(*x);
                    assert_eq!(
                        (s.to_bits(), c.to_bits()),
                        (expected.0.to_bits(), expected.1.to_bits()),
                        "{path:?} {x}"
                    );
                }
                assert_eq!(alone, sine, "{path:?}");
            }
        }
    }

    #[test]
    fn exponential_is_accurate_and_ends_well() {
        let mut worst = 0.0_f64;
        // A prime stride visits every exponent on both sides of 0, up to the ends of the range.
        for bits in (0..88.7_f32.to_bits()).step_by(9_973) {
            for x in [f32::from_bits(bits), -f32::from_bits(bits)].into_iter().filter(|x| *x > -87.3) {
                let expected = libm::exp(f64::from(x));
                worst = worst.max((f64::from(exp(x)) - expected).abs() / expected);
            }
        }
        // Two units in the last place of the largest spacing, 2^-23.
        assert!(worst < 2.4e-7, "{worst}");
        assert_eq!((exp(0.0), exp(-0.0), exp(-88.0), exp(89.0)), (1.0, 1.0, 0.0, f32::INFINITY));
        assert_eq!((exp(f32::NEG_INFINITY), exp(f32::INFINITY)), (0.0, f32::INFINITY));
        assert!(exp(f32::NAN).is_nan() && exp(88.69).is_finite());
    }

    #[test]
    fn softmax_sees_its_range_alone() {
        let x: Vec<f32> = (0..48).map(|i| (i * 29 % 17) as f32 / 3.0 - 2.0).collect();
        for path in simd::available() {
            let mut wide = x.clone();
            let sum = softmax(path, &mut wide, 5..23, 0.5);
            let most = x[5..23].iter().copied().fold(f32::NEG_INFINITY, f32::max);
            let expected: f64 = x[5..23].iter().map(|x| f64::from(0.5 * (x - most)).exp()).sum();
            assert!((f64::from(sum) - expected).abs() < 1e-5 && wide[..5] == [0.0; 5] && wide[23..] == [0.0; 25]);
            // The same bits in a row that ends where what is seen does.
            let mut short = x[..32].to_vec();
            assert_eq!((softmax(path, &mut short, 5..23, 0.5), &short[..]), (sum, &wide[..32]), "{path:?}");
        }
    }

    #[test]
    fn sigmoid_is_accurate() {
        for i in -4_000..=4_000 {
            let x = i as f32 / 100.0;
            let expected = 1.0 / (1.0 + libm::exp(-f64::from(x)));
            // Half of tanh's error (3.1e-7 / 2) and one rounding.
            assert!((f64::from(sigmoid(x)) - expected).abs() < 2e-7 && (0.0..=1.0).contains(&sigmoid(x)), "{x}");
        }
        assert!(sigmoid(0.0) == 0.5 && sigmoid(f32::NAN).is_nan());
    }

    #[test]
    fn transposes_of_any_shape() {
        for (m, n) in [(1, 1), (8, 8), (7, 9), (16, 24), (33, 17)] {
            let from: Vec<f32> = (0..m * n).map(|i| i as f32).collect();
            for path in simd::available() {
                let mut to = vec![f32::NAN; n * (m + 3)];
                transpose(path, m, n, View { data: &from, stride: n }, &mut to, m + 3);
                for (j, row) in to.chunks_exact(m + 3).enumerate() {
                    assert!((0..m).all(|i| row[i] == from[i * n + j]) && row[m..] == [0.0; 3], "{m} x {n} {path:?}");
                }
            }
        }
    }

    #[test]
    #[should_panic(expected = "too short")]
    fn a_short_operand_is_refused_before_it_is_read() {
        let b = [0.0; 16 * 3];
        let (a, b) = (View { data: &[0.0; 5], stride: 3 }, View { data: &b, stride: 16 });
        product(path(), 2, 16, 3, a, b, Start::Zero, &mut [0.0; 32], 16);
    }
}
