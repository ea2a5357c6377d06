//! Instruction sets: one virtual vector of 16 `f32`, whatever the machine has.
//!
//! [`path`] says which set is in use: the best that the machine has, or the one that the environment variable `TONY_SIMD`
//! (`avx512`, `avx2`, `portable`) asks for. The choice changes speed and never a bit of a result.
//!
//! No closures here: one that the compiler does not inline is compiled without the instruction set, and so is what it calls.
#![allow(unsafe_code)]
// An operation must be inlined into the function that enables its instruction set.
#![allow(clippy::inline_always)]

use std::cell::Cell;
use std::sync::OnceLock;

/// Numbers in a virtual vector.
pub(crate) const WIDTH: usize = 16;

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Path {
    /// Rust's own arithmetic; `f32::mul_add` rounds exactly on any machine, slowly where the hardware lacks it.
    Portable,
    /// 256-bit vectors with fused multiply-add and half-precision conversion.
    Avx2,
    /// 512-bit vectors.
    Avx512,
}

/// The instruction sets that this machine has, slowest first.
pub fn available() -> Vec<Path> {
    let mut paths = vec![Path::Portable];
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") && is_x86_feature_detected!("f16c") {
            paths.push(Path::Avx2);
            if is_x86_feature_detected!("avx512f")
                && is_x86_feature_detected!("avx512vl")
                && is_x86_feature_detected!("avx512dq")
                && is_x86_feature_detected!("avx512bw")
            {
                paths.push(Path::Avx512);
            }
        }
    }
    paths
}

thread_local! {
    static FORCED: Cell<Option<Path>> = const { Cell::new(None) };
}

/// The instruction set that a call from this thread uses.
pub fn path() -> Path {
    static BEST: OnceLock<Path> = OnceLock::new();
    FORCED.get().unwrap_or_else(|| {
        *BEST.get_or_init(|| {
            let wanted = match std::env::var("TONY_SIMD").as_deref() {
                Ok("portable") => Path::Portable,
                Ok("avx2") => Path::Avx2,
                _ => Path::Avx512,
            };
            at_most(wanted)
        })
    })
}

/// Run `body` with calls from this thread using `wanted`, or the best below it that the machine has: for tests and benchmarks.
pub fn with_path<R>(wanted: Path, body: impl FnOnce() -> R) -> R {
    struct Restore(Option<Path>);
    impl Drop for Restore {
        fn drop(&mut self) {
            FORCED.set(self.0);
        }
    }
    let _restore = Restore(FORCED.replace(Some(at_most(wanted))));
    body()
}

fn at_most(wanted: Path) -> Path {
    available().into_iter().rfind(|path| *path as u8 <= wanted as u8).unwrap_or(Path::Portable)
}

/// Sixteen `f32` side by side.
///
/// # Safety
/// Pointers must be valid for 16 numbers (`count` for a partial access, eight rows of 8 for a tile; the bytes that hold them for the packed loads), and the machine must have the instruction set: a kernel
/// reaches an implementation only through a [`Path`] that [`available`] listed.
pub(crate) trait Simd: Copy {
    type V: Copy;
    /// Whether the register file holds a tile of 8 x 2 vectors (else 6 x 1).
    const WIDE: bool;
    unsafe fn splat(x: f32) -> Self::V;
    unsafe fn load(p: *const f32) -> Self::V;
    /// The first `count` (below 16) numbers at `p`, then zeros.
    unsafe fn load_partial(p: *const f32, count: usize) -> Self::V;
    unsafe fn store(p: *mut f32, v: Self::V);
    unsafe fn store_partial(p: *mut f32, v: Self::V, count: usize);
    /// `a * b + c`, rounded once.
    unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V;
    /// 16 numbers in half precision (IEEE binary16).
    unsafe fn load_f16(p: *const u8) -> Self::V;
    /// 16 numbers in the upper halves of single precision.
    unsafe fn load_bf16(p: *const u8) -> Self::V;
    /// Byte `i` of each of 16 times four, with its sign.
    unsafe fn load_i8(p: *const u8, i: usize) -> Self::V;
    /// Number `i` of each of 16 times eight: of four bytes the low halves, then the high halves.
    unsafe fn load_nibble(p: *const u8, i: usize) -> Self::V;
    /// Exact products of 16 rows of 32 numbers, laid out as [`Simd::load_nibble`] reads them, with each of `M` rows of 32 bytes from
    /// -127 to 127.
    unsafe fn dots_nibbles<const M: usize>(w: *const u8, x: [*const i8; M]) -> [Self::V; M];
    /// The same for `N` (at most 32) signed bytes, laid out as [`Simd::load_i8`] reads them.
    unsafe fn dots_i8<const N: usize, const M: usize>(w: *const u8, x: [*const i8; M]) -> [Self::V; M];
    /// An 8 x 8 tile from rows at a stride to columns at a stride.
    #[inline(always)]
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        for i in 0..8 {
            for j in 0..8 {
                // SAFETY: the trait's condition, for a tile.
                unsafe { *to.add(j * to_stride + i) = *from.add(i * from_stride + j) };
            }
        }
    }
}

#[derive(Clone, Copy)]
pub(crate) struct Portable;

// SAFETY (all methods): plain reads and writes of `WIDTH` or `count` numbers, which the trait requires to be valid.
impl Simd for Portable {
    type V = [f32; WIDTH];
    const WIDE: bool = false;

    #[inline(always)]
    unsafe fn splat(x: f32) -> Self::V {
        [x; WIDTH]
    }

    #[inline(always)]
    unsafe fn load(p: *const f32) -> Self::V {
        unsafe { p.cast::<Self::V>().read_unaligned() }
    }

    #[inline(always)]
    unsafe fn load_partial(p: *const f32, count: usize) -> Self::V {
        let mut v = [0.0; WIDTH];
        unsafe { p.copy_to_nonoverlapping(v.as_mut_ptr(), count) };
        v
    }

    #[inline(always)]
    unsafe fn store(p: *mut f32, v: Self::V) {
        unsafe { p.cast::<Self::V>().write_unaligned(v) };
    }

    #[inline(always)]
    unsafe fn store_partial(p: *mut f32, v: Self::V, count: usize) {
        unsafe { p.copy_from_nonoverlapping(v.as_ptr(), count) };
    }

    #[inline(always)]
    unsafe fn fma(a: Self::V, b: Self::V, mut c: Self::V) -> Self::V {
        for i in 0..WIDTH {
            c[i] = a[i].mul_add(b[i], c[i]);
        }
        c
    }

    #[inline(always)]
    unsafe fn load_f16(p: *const u8) -> Self::V {
        let halves = unsafe { p.cast::<[u16; WIDTH]>().read_unaligned() };
        halves.map(f16_to_f32)
    }

    #[inline(always)]
    unsafe fn load_bf16(p: *const u8) -> Self::V {
        let halves = unsafe { p.cast::<[u16; WIDTH]>().read_unaligned() };
        halves.map(|half| f32::from_bits(u32::from(half) << 16))
    }

    #[inline(always)]
    unsafe fn load_i8(p: *const u8, i: usize) -> Self::V {
        let fours = unsafe { p.cast::<[[i8; 4]; WIDTH]>().read_unaligned() };
        fours.map(|four| f32::from(four[i]))
    }

    #[inline(always)]
    unsafe fn load_nibble(p: *const u8, i: usize) -> Self::V {
        let fours = unsafe { p.cast::<[[u8; 4]; WIDTH]>().read_unaligned() };
        fours.map(|four| f32::from(four[i % 4] >> (4 * (i / 4)) & 15))
    }

    #[inline(always)]
    unsafe fn dots_nibbles<const M: usize>(w: *const u8, x: [*const i8; M]) -> [Self::V; M] {
        let steps = unsafe { w.cast::<[[[u8; 4]; WIDTH]; 4]>().read_unaligned() };
        x.map(|x| {
            let x = unsafe { x.cast::<[[i8; 8]; 4]>().read_unaligned() };
            let step = |x: &[i8; 8], four: &[u8; 4]| -> i32 {
                (0..4)
                    .map(|i| i32::from(four[i] & 15) * i32::from(x[i]) + i32::from(four[i] >> 4) * i32::from(x[4 + i]))
                    .sum()
            };
            std::array::from_fn(|row| steps.iter().zip(&x).map(|(fours, x)| step(x, &fours[row])).sum::<i32>() as f32)
        })
    }

    #[inline(always)]
    unsafe fn dots_i8<const N: usize, const M: usize>(w: *const u8, x: [*const i8; M]) -> [Self::V; M] {
        x.map(|x| {
            let mut sums = [0; WIDTH];
            for step in 0..N / 4 {
                let (fours, x) = unsafe {
                    (
                        w.cast::<[[i8; 4]; WIDTH]>().add(step).read_unaligned(),
                        x.cast::<[i8; 4]>().add(step).read_unaligned(),
                    )
                };
                for (sum, four) in sums.iter_mut().zip(fours) {
                    *sum += (0..4).map(|i| i32::from(four[i]) * i32::from(x[i])).sum::<i32>();
                }
            }
            sums.map(|sum| sum as f32)
        })
    }
}

/// IEEE binary16 to binary32, exactly.
pub fn f16_to_f32(half: u16) -> f32 {
    let (sign, magnitude) = (u32::from(half & 0x8000) << 16, u32::from(half & 0x7fff));
    let bits = match magnitude {
        // Zero and the subnormal numbers are multiples of 2^-24.
        0..0x400 => (magnitude as f32 * f32::from_bits(0x3380_0000)).to_bits(),
        0x400..0x7c00 => (magnitude << 13) + ((127 - 15) << 23),
        _ => (magnitude << 13) | 0x7f80_0000,
    };
    f32::from_bits(sign | bits)
}

/// The half-precision number that equals `x`, where there is one.
pub(crate) fn exact_f16(x: f32) -> Option<u16> {
    let (sign, magnitude) = ((x.to_bits() >> 16 & 0x8000) as u16, f32::from_bits(x.to_bits() & 0x7fff_ffff));
    let half = if magnitude < f32::from_bits(0x3880_0000) {
        (magnitude * 16_777_216.0) as u16
    } else {
        u16::try_from(magnitude.to_bits().wrapping_sub((127 - 15) << 23) >> 13).ok()?
    };
    (f16_to_f32(sign | half).to_bits() == x.to_bits()).then_some(sign | half)
}

#[cfg(target_arch = "x86_64")]
pub(crate) use x86::{Avx2, Avx512};

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{Simd, WIDTH};
    // Forty intrinsics by name would say nothing that their prefix does not.
    #[allow(clippy::wildcard_imports)]
    use std::arch::x86_64::*;

    #[derive(Clone, Copy)]
    pub(crate) struct Avx512;

    // SAFETY (all methods): the trait's conditions are exactly what the intrinsics ask for.
    impl Simd for Avx512 {
        type V = __m512;
        const WIDE: bool = true;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { _mm512_set1_ps(x) }
        }

        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { _mm512_loadu_ps(p) }
        }

        #[inline(always)]
        unsafe fn load_partial(p: *const f32, count: usize) -> Self::V {
            unsafe { _mm512_maskz_loadu_ps((1 << count) - 1, p) }
        }

        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe { _mm512_storeu_ps(p, v) };
        }

        #[inline(always)]
        unsafe fn store_partial(p: *mut f32, v: Self::V, count: usize) {
            unsafe { _mm512_mask_storeu_ps(p, (1 << count) - 1, v) };
        }

        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { _mm512_fmadd_ps(a, b, c) }
        }

        #[inline(always)]
        unsafe fn load_f16(p: *const u8) -> Self::V {
            unsafe { _mm512_cvtph_ps(_mm256_loadu_si256(p.cast())) }
        }

        #[inline(always)]
        unsafe fn load_bf16(p: *const u8) -> Self::V {
            unsafe { _mm512_castsi512_ps(_mm512_slli_epi32::<16>(_mm512_cvtepu16_epi32(_mm256_loadu_si256(p.cast())))) }
        }

        #[inline(always)]
        unsafe fn load_i8(p: *const u8, i: usize) -> Self::V {
            unsafe {
                let up = _mm512_sll_epi32(_mm512_loadu_si512(p.cast()), _mm_cvtsi32_si128(24 - 8 * i as i32));
                _mm512_cvtepi32_ps(_mm512_srai_epi32::<24>(up))
            }
        }

        #[inline(always)]
        unsafe fn load_nibble(p: *const u8, i: usize) -> Self::V {
            unsafe {
                let down = _mm512_srl_epi32(_mm512_loadu_si512(p.cast()), _mm_cvtsi32_si128(nibble_at(i)));
                _mm512_cvtepi32_ps(_mm512_and_si512(down, _mm512_set1_epi32(15)))
            }
        }

        #[inline(always)]
        unsafe fn dots_nibbles<const M: usize>(w: *const u8, x: [*const i8; M]) -> [Self::V; M] {
            unsafe {
                let (sums, mut both) = (dots_nibbles(w, x), [_mm512_setzero_ps(); M]);
                for (both, [low, high]) in both.iter_mut().zip(sums) {
                    *both = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high);
                }
                both
            }
        }

        #[inline(always)]
        unsafe fn dots_i8<const N: usize, const M: usize>(w: *const u8, x: [*const i8; M]) -> [Self::V; M] {
            unsafe {
                let (sums, mut both) = (dots_i8::<N, M>(w, x), [_mm512_setzero_ps(); M]);
                for (both, [low, high]) in both.iter_mut().zip(sums) {
                    *both = _mm512_insertf32x8::<1>(_mm512_castps256_ps512(low), high);
                }
                both
            }
        }

        #[inline(always)]
        unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
            unsafe { transpose8(from, from_stride, to, to_stride) };
        }
    }

    /// Products of bytes are added in 16 bits, which hold all: eight times two times 15 times 127 is 30,480.
    ///
    /// # Safety
    /// As [`Simd::dots_nibbles`].
    #[inline(always)]
    unsafe fn dots_nibbles<const M: usize>(w: *const u8, x: [*const i8; M]) -> [[__m256; 2]; M] {
        // SAFETY: 256 bytes of weights and 32 of each row are valid, says the caller.
        unsafe {
            let (mask, ones) = (_mm256_set1_epi8(15), _mm256_set1_epi16(1));
            let mut sums = [[_mm256_setzero_si256(); 2]; M];
            for step in 0..4 {
                let a = _mm256_loadu_si256(w.add(64 * step).cast());
                let b = _mm256_loadu_si256(w.add(64 * step + 32).cast());
                let low = [_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)];
                let (a, b) = (_mm256_srli_epi16::<4>(a), _mm256_srli_epi16::<4>(b));
                let high = [_mm256_and_si256(a, mask), _mm256_and_si256(b, mask)];
                for i in 0..M {
                    let x = x[i].cast::<[u8; 4]>().add(2 * step);
                    let first = _mm256_set1_epi32(i32::from_le_bytes(x.read()));
                    let second = _mm256_set1_epi32(i32::from_le_bytes(x.add(1).read()));
                    for k in 0..2 {
                        sums[i][k] = _mm256_add_epi16(sums[i][k], _mm256_maddubs_epi16(low[k], first));
                        sums[i][k] = _mm256_add_epi16(sums[i][k], _mm256_maddubs_epi16(high[k], second));
                    }
                }
            }
            let mut wide = [[_mm256_setzero_ps(); 2]; M];
            for i in 0..M {
                for k in 0..2 {
                    wide[i][k] = _mm256_cvtepi32_ps(_mm256_madd_epi16(sums[i][k], ones));
                }
            }
            wide
        }
    }

    /// The sign of a weight goes to the other factor, because one of the two has to be without sign; 2 times 128 times 127 is 32,512.
    ///
    /// # Safety
    /// As [`Simd::dots_i8`].
    #[inline(always)]
    unsafe fn dots_i8<const N: usize, const M: usize>(w: *const u8, x: [*const i8; M]) -> [[__m256; 2]; M] {
        // SAFETY: 16 `N` bytes of weights and `N` of each row are valid, says the caller.
        unsafe {
            let ones = _mm256_set1_epi16(1);
            let mut sums = [[_mm256_setzero_si256(); 2]; M];
            for step in 0..N / 4 {
                let a = _mm256_loadu_si256(w.add(64 * step).cast());
                let b = _mm256_loadu_si256(w.add(64 * step + 32).cast());
                let (w, sizes) = ([a, b], [_mm256_abs_epi8(a), _mm256_abs_epi8(b)]);
                for i in 0..M {
                    let x = _mm256_set1_epi32(i32::from_le_bytes(x[i].cast::<[u8; 4]>().add(step).read()));
                    for k in 0..2 {
                        let pairs = _mm256_maddubs_epi16(sizes[k], _mm256_sign_epi8(x, w[k]));
                        sums[i][k] = _mm256_add_epi32(sums[i][k], _mm256_madd_epi16(pairs, ones));
                    }
                }
            }
            let mut wide = [[_mm256_setzero_ps(); 2]; M];
            for i in 0..M {
                for k in 0..2 {
                    wide[i][k] = _mm256_cvtepi32_ps(sums[i][k]);
                }
            }
            wide
        }
    }

    /// The first bit of number `i` of eight in four bytes.
    #[inline(always)]
    fn nibble_at(i: usize) -> i32 {
        (8 * (i % 4) + 4 * (i / 4)) as i32
    }

    /// Two 4 x 4 transposes side by side, twice, then halves exchanged.
    ///
    /// # Safety
    /// As [`Simd::transpose8`].
    #[inline(always)]
    unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
        // SAFETY: eight rows of 8 are valid at both pointers, says the caller.
        unsafe {
            let (upper, lower) = (quad(from, from_stride), quad(from.add(4 * from_stride), from_stride));
            for j in 0..4 {
                _mm256_storeu_ps(to.add(j * to_stride), _mm256_permute2f128_ps::<0x20>(upper[j], lower[j]));
                _mm256_storeu_ps(to.add((j + 4) * to_stride), _mm256_permute2f128_ps::<0x31>(upper[j], lower[j]));
            }
        }
    }

    /// Four rows of 8, transposed within each half: entry `j` holds columns `j` and `j + 4`.
    ///
    /// # Safety
    /// As [`Simd::transpose8`], for four rows.
    #[inline(always)]
    unsafe fn quad(from: *const f32, stride: usize) -> [__m256; 4] {
        // SAFETY: four rows of 8 are valid, says the caller.
        unsafe {
            let (a, b) = (_mm256_loadu_ps(from), _mm256_loadu_ps(from.add(stride)));
            let (c, d) = (_mm256_loadu_ps(from.add(2 * stride)), _mm256_loadu_ps(from.add(3 * stride)));
            let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
            let (ab_high, cd_high) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
            [
                _mm256_shuffle_ps::<0x44>(ab, cd),
                _mm256_shuffle_ps::<0xee>(ab, cd),
                _mm256_shuffle_ps::<0x44>(ab_high, cd_high),
                _mm256_shuffle_ps::<0xee>(ab_high, cd_high),
            ]
        }
    }

    /// A mask of `count` leading lanes is read `WIDTH - count` numbers into this.
    static MASK: [i32; 2 * WIDTH] = {
        let mut mask = [0; 2 * WIDTH];
        let mut i = 0;
        while i < WIDTH {
            mask[i] = -1;
            i += 1;
        }
        mask
    };

    #[derive(Clone, Copy)]
    pub(crate) struct Avx2;

    impl Avx2 {
        #[inline(always)]
        unsafe fn masks(count: usize) -> [__m256i; 2] {
            unsafe {
                let p = MASK.as_ptr().add(WIDTH - count);
                [_mm256_loadu_si256(p.cast()), _mm256_loadu_si256(p.add(8).cast())]
            }
        }
    }

    // SAFETY (all methods): as above; a mask is read within `MASK` because `count` is below `WIDTH`.
    impl Simd for Avx2 {
        type V = [__m256; 2];
        const WIDE: bool = false;

        #[inline(always)]
        unsafe fn splat(x: f32) -> Self::V {
            unsafe { [_mm256_set1_ps(x); 2] }
        }

        #[inline(always)]
        unsafe fn load(p: *const f32) -> Self::V {
            unsafe { [_mm256_loadu_ps(p), _mm256_loadu_ps(p.add(8))] }
        }

        #[inline(always)]
        unsafe fn load_partial(p: *const f32, count: usize) -> Self::V {
            unsafe {
                let [low, high] = Self::masks(count);
                [_mm256_maskload_ps(p, low), _mm256_maskload_ps(p.wrapping_add(8), high)]
            }
        }

        #[inline(always)]
        unsafe fn store(p: *mut f32, v: Self::V) {
            unsafe {
                _mm256_storeu_ps(p, v[0]);
                _mm256_storeu_ps(p.add(8), v[1]);
            }
        }

        #[inline(always)]
        unsafe fn store_partial(p: *mut f32, v: Self::V, count: usize) {
            unsafe {
                let [low, high] = Self::masks(count);
                _mm256_maskstore_ps(p, low, v[0]);
                _mm256_maskstore_ps(p.wrapping_add(8), high, v[1]);
            }
        }

        #[inline(always)]
        unsafe fn fma(a: Self::V, b: Self::V, c: Self::V) -> Self::V {
            unsafe { [_mm256_fmadd_ps(a[0], b[0], c[0]), _mm256_fmadd_ps(a[1], b[1], c[1])] }
        }

        #[inline(always)]
        unsafe fn load_f16(p: *const u8) -> Self::V {
            unsafe {
                let (low, high) = (_mm_loadu_si128(p.cast()), _mm_loadu_si128(p.add(16).cast()));
                [_mm256_cvtph_ps(low), _mm256_cvtph_ps(high)]
            }
        }

        #[inline(always)]
        unsafe fn load_bf16(p: *const u8) -> Self::V {
            unsafe {
                let low = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.cast()));
                let high = _mm256_cvtepu16_epi32(_mm_loadu_si128(p.add(16).cast()));
                let (low, high) = (_mm256_slli_epi32::<16>(low), _mm256_slli_epi32::<16>(high));
                [_mm256_castsi256_ps(low), _mm256_castsi256_ps(high)]
            }
        }

        #[inline(always)]
        unsafe fn load_i8(p: *const u8, i: usize) -> Self::V {
            unsafe {
                let up = _mm_cvtsi32_si128(24 - 8 * i as i32);
                let low = _mm256_sll_epi32(_mm256_loadu_si256(p.cast()), up);
                let high = _mm256_sll_epi32(_mm256_loadu_si256(p.add(32).cast()), up);
                let (low, high) = (_mm256_srai_epi32::<24>(low), _mm256_srai_epi32::<24>(high));
                [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
            }
        }

        #[inline(always)]
        unsafe fn load_nibble(p: *const u8, i: usize) -> Self::V {
            unsafe {
                let (down, mask) = (_mm_cvtsi32_si128(nibble_at(i)), _mm256_set1_epi32(15));
                let low = _mm256_srl_epi32(_mm256_loadu_si256(p.cast()), down);
                let high = _mm256_srl_epi32(_mm256_loadu_si256(p.add(32).cast()), down);
                let (low, high) = (_mm256_and_si256(low, mask), _mm256_and_si256(high, mask));
                [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
            }
        }

        #[inline(always)]
        unsafe fn dots_nibbles<const M: usize>(w: *const u8, x: [*const i8; M]) -> [Self::V; M] {
            unsafe { dots_nibbles(w, x) }
        }

        #[inline(always)]
        unsafe fn dots_i8<const N: usize, const M: usize>(w: *const u8, x: [*const i8; M]) -> [Self::V; M] {
            unsafe { dots_i8::<N, M>(w, x) }
        }

        #[inline(always)]
        unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
            unsafe { transpose8(from, from_stride, to, to_stride) };
        }
    }
}
