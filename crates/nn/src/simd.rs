//! Instruction sets: one virtual vector of 16 `f32`, whatever the machine has.
//!
//! [`path`] says which set is in use: the best that the machine has, or the one that the environment variable `TONY_SIMD`
//! (`avx512`, `avx2`, `portable`) asks for. The choice changes speed and never a bit of a result.
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
    /// 16 signed bytes.
    unsafe fn load_i8(p: *const u8) -> Self::V;
    /// 16 bytes as the numbers 0 to 15 in their low halves, then those in their high halves.
    unsafe fn load_nibbles(p: *const u8) -> [Self::V; 2];
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
    unsafe fn load_i8(p: *const u8) -> Self::V {
        let bytes = unsafe { p.cast::<[i8; WIDTH]>().read_unaligned() };
        bytes.map(f32::from)
    }

    #[inline(always)]
    unsafe fn load_nibbles(p: *const u8) -> [Self::V; 2] {
        let bytes = unsafe { p.cast::<[u8; WIDTH]>().read_unaligned() };
        [bytes.map(|byte| f32::from(byte & 15)), bytes.map(|byte| f32::from(byte >> 4))]
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
        unsafe fn load_i8(p: *const u8) -> Self::V {
            unsafe { _mm512_cvtepi32_ps(_mm512_cvtepi8_epi32(_mm_loadu_si128(p.cast()))) }
        }

        #[inline(always)]
        unsafe fn load_nibbles(p: *const u8) -> [Self::V; 2] {
            unsafe {
                let [low, high] = nibbles(p);
                [_mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(low)), _mm512_cvtepi32_ps(_mm512_cvtepu8_epi32(high))]
            }
        }

        #[inline(always)]
        unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
            unsafe { transpose8(from, from_stride, to, to_stride) };
        }
    }

    /// The low and the high halves of 16 bytes.
    ///
    /// # Safety
    /// 16 bytes are valid at `p`.
    #[inline(always)]
    unsafe fn nibbles(p: *const u8) -> [__m128i; 2] {
        // SAFETY: the caller's promise.
        unsafe {
            let (both, mask) = (_mm_loadu_si128(p.cast()), _mm_set1_epi8(15));
            [_mm_and_si128(both, mask), _mm_and_si128(_mm_srli_epi16::<4>(both), mask)]
        }
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
        unsafe fn load_i8(p: *const u8) -> Self::V {
            unsafe {
                let all = _mm_loadu_si128(p.cast());
                let (low, high) = (_mm256_cvtepi8_epi32(all), _mm256_cvtepi8_epi32(_mm_srli_si128::<8>(all)));
                [_mm256_cvtepi32_ps(low), _mm256_cvtepi32_ps(high)]
            }
        }

        #[inline(always)]
        unsafe fn load_nibbles(p: *const u8) -> [Self::V; 2] {
            unsafe {
                let [low, high] = nibbles(p);
                let (a, b) = (_mm256_cvtepu8_epi32(low), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(low)));
                let (c, d) = (_mm256_cvtepu8_epi32(high), _mm256_cvtepu8_epi32(_mm_srli_si128::<8>(high)));
                [[_mm256_cvtepi32_ps(a), _mm256_cvtepi32_ps(b)], [_mm256_cvtepi32_ps(c), _mm256_cvtepi32_ps(d)]]
            }
        }

        #[inline(always)]
        unsafe fn transpose8(from: *const f32, from_stride: usize, to: *mut f32, to_stride: usize) {
            unsafe { transpose8(from, from_stride, to, to_stride) };
        }
    }
}
