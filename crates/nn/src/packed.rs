//! Weights of large layers, packed as their file stores them, and products with them.
//!
//! A language model's step for one row reads every weight once, so its speed is that of the memory: weights stay at 4, 8 or 16 bits and
//! become single precision in registers. Sixteen rows of a matrix lie side by side, a few columns of each together, so that an element of
//! a product is one chain of fused multiply-adds over the columns in order, whatever the number of rows, threads or instruction set: a row
//! of a batch has the bits that it has alone.
//!
//! With [`Precision::Fast`] the other factor is rounded to whole numbers as well, a scale for each 32 columns. Sums of products of whole
//! numbers are exact in any order; the scaled sums are added in one chain again, and so bits depend on nothing here, either.
#![allow(unsafe_code)]
// A body must be inlined into the function that enables its instruction set; a product takes what it takes.
#![allow(clippy::inline_always, clippy::too_many_arguments)]

use rayon::prelude::*;

use crate::kernels::{self, Start, View, kernel};
use crate::peak::count_flops;
#[cfg(target_arch = "x86_64")]
use crate::simd::{Avx2, Avx512};
use crate::simd::{Path, Portable, Simd, WIDTH, exact_f16, path};

/// How exactly products with whole numbers ([`Packing::Four`], [`Packing::Eight`]) are computed; others are always exact.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Precision {
    /// In single precision.
    #[default]
    Full,
    /// Each 32 numbers of the other factor are rounded to whole numbers from -127 to 127 times a scale.
    Fast,
}

/// How the numbers of a [`PackedMatrix`] are given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Packing {
    /// Single precision.
    F32,
    /// IEEE half precision.
    F16,
    /// The upper halves of single precision.
    Bf16,
    /// Whole numbers from 0 to 15, a scale and a minimum for each 32 columns.
    Four,
    /// Whole numbers from -128 to 127, a scale and a minimum for each `group` (16 or 32) columns.
    Eight {
        /// Columns that share a scale.
        group: usize,
    },
}

impl Packing {
    fn is_whole(self) -> bool {
        matches!(self, Self::Four | Self::Eight { .. })
    }

    /// Columns that share a scale; a matrix has a multiple of these.
    pub fn group(self) -> usize {
        match self {
            Self::F32 | Self::F16 | Self::Bf16 => 2,
            Self::Four => 32,
            Self::Eight { group } => group,
        }
    }
}

/// One row of a matrix as it is given: the slice that its [`Packing`] names, the others being empty.
#[derive(Debug, Default)]
pub struct PackedRow {
    /// [`Packing::F32`]: the numbers.
    pub singles: Vec<f32>,
    /// [`Packing::F16`] and [`Packing::Bf16`]: their bits.
    pub halves: Vec<u16>,
    /// Whole numbers `q`: the number of column `j` in group `g` is `scales[g] * q[j] + mins[g]`.
    pub quants: Vec<i8>,
    /// Scales, one a group.
    pub scales: Vec<f32>,
    /// Minima, one a group.
    pub mins: Vec<f32>,
}

/// How scales are kept: in half precision where all of them are such numbers, and without minima where all are 0.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Heads {
    wide: bool,
    min: bool,
}

/// A matrix of `rows` x `columns` in packed form.
#[derive(Clone, Debug)]
pub struct PackedMatrix {
    packing: Packing,
    heads_are: Heads,
    rows: usize,
    columns: usize,
    /// Panel after panel of 16 rows, column after column.
    numbers: Vec<u8>,
    /// Panel after panel, group after group: 16 scales, then 16 minima where there are any.
    heads: Vec<u8>,
}

/// Panels that are one piece of work.
const JOB: usize = 4;
/// Columns that are unpacked at once, for two panels side by side.
const BLOCK: usize = 128;

impl PackedMatrix {
    /// Pack the rows that `fill` writes, one after the other. Rows must fill whole groups; scales must be finite.
    ///
    /// # Panics
    /// Panics if `columns` is no multiple of the packing's group, or the group is neither 16 nor 32.
    pub fn new(packing: Packing, rows: usize, columns: usize, mut fill: impl FnMut(usize, &mut PackedRow)) -> Self {
        assert!(
            columns.is_multiple_of(packing.group()),
            "{columns} columns are not whole groups of {}",
            packing.group()
        );
        assert!([2, 16, 32].contains(&packing.group()), "groups of {} columns", packing.group());
        let panels = rows.div_ceil(WIDTH);
        let (singles, halves, quants, bytes) = match packing {
            Packing::F32 => (columns, 0, 0, 4 * columns),
            Packing::F16 | Packing::Bf16 => (0, columns, 0, 2 * columns),
            Packing::Four => (0, 0, columns, columns / 2),
            Packing::Eight { .. } => (0, 0, columns, columns),
        };
        let groups = quants / packing.group();
        let mut row = PackedRow {
            singles: vec![0.0; singles],
            halves: vec![0; halves],
            quants: vec![0; quants],
            scales: vec![0.0; groups],
            mins: vec![0.0; groups],
        };
        let (mut scales, mut mins) = (vec![0.0; panels * groups * WIDTH], vec![0.0; panels * groups * WIDTH]);
        let mut numbers = vec![0_u8; panels * WIDTH * bytes];
        for i in 0..rows {
            fill(i, &mut row);
            let (panel, lane) = (i / WIDTH, i % WIDTH);
            let panel_numbers = &mut numbers[panel * WIDTH * bytes..][..WIDTH * bytes];
            match packing {
                Packing::F32 => spread(row.singles.iter().map(|x| x.to_le_bytes()), lane, panel_numbers),
                Packing::F16 | Packing::Bf16 => spread(row.halves.iter().map(|x| x.to_le_bytes()), lane, panel_numbers),
                Packing::Four => {
                    let eights = row.quants.chunks_exact(8);
                    let bytes = |q: &[i8]| [0, 1, 2, 3].map(|i| q[i] as u8 | (q[4 + i] as u8) << 4);
                    spread(eights.map(bytes), lane, panel_numbers);
                }
                Packing::Eight { .. } => {
                    let fours = row.quants.chunks_exact(4);
                    spread(fours.map(|q| [0, 1, 2, 3].map(|i| q[i] as u8)), lane, panel_numbers);
                }
            }
            for g in 0..groups {
                scales[(panel * groups + g) * WIDTH + lane] = row.scales[g];
                mins[(panel * groups + g) * WIDTH + lane] = row.mins[g];
            }
        }
        // Fewer kinds to compile: these two have what all of theirs that are met in files need.
        let (fine, four) = (packing == Packing::Eight { group: 16 }, packing == Packing::Four);
        let heads_are = Heads {
            wide: fine || scales.iter().chain(&mins).any(|x| exact_f16(*x).is_none()),
            min: four || mins.iter().any(|x| *x != 0.0),
        };
        let mut heads = Vec::new();
        for (scales, mins) in scales.chunks_exact(WIDTH).zip(mins.chunks_exact(WIDTH)) {
            for x in scales.iter().chain(mins.iter().filter(|_| heads_are.min)) {
                match exact_f16(*x).filter(|_| !heads_are.wide) {
                    Some(half) => heads.extend(half.to_le_bytes()),
                    None => heads.extend(x.to_le_bytes()),
                }
            }
        }
        Self { packing, heads_are, rows, columns, numbers, heads }
    }

    /// Rows: outputs of a layer.
    pub fn rows(&self) -> usize {
        self.rows
    }

    /// Columns: inputs of a layer.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// Distance between rows of a product: `rows` to whole vectors.
    pub fn width(&self) -> usize {
        self.rows.next_multiple_of(WIDTH)
    }

    /// Memory that the numbers and scales take.
    pub fn bytes(&self) -> usize {
        self.numbers.len() + self.heads.len()
    }

    /// Row `i` in single precision into `out` (`columns` numbers).
    ///
    /// # Panics
    /// Panics if there is no such row, or `out` is of another length.
    pub fn row(&self, i: usize, out: &mut [f32]) {
        assert!(i < self.rows && out.len() == self.columns, "row {i} of {} with {} numbers", self.rows, out.len());
        let mut unpacked = Unpacked([0.0; 2 * WIDTH * BLOCK]);
        for first in (0..self.columns).step_by(BLOCK) {
            let count = BLOCK.min(self.columns - first);
            unpack(path(), self, i / WIDTH, first, count, &mut unpacked.0, WIDTH);
            for (out, lanes) in out[first..first + count].iter_mut().zip(unpacked.0.chunks_exact(WIDTH)) {
                *out = lanes[i % WIDTH];
            }
        }
    }

    /// `y = x W'`: `x` has rows of `columns`, `y` as many rows of [`PackedMatrix::width`].
    ///
    /// # Panics
    /// Panics if `x` and `y` are not of these shapes.
    pub fn product(&self, precision: Precision, x: &[f32], y: &mut [f32]) {
        Self::products(precision, x, &mut [(self, y)]);
    }

    /// Products of the same rows with several matrices, shared out together.
    ///
    /// # Panics
    /// Panics if one of them is not of its shape.
    pub fn products(precision: Precision, x: &[f32], results: &mut [(&Self, &mut [f32])]) {
        let (path, columns) = (path(), results[0].0.columns);
        let m = x.len() / columns;
        if m == 0 {
            return;
        }
        // A row's results are cut into pieces where they lie; of several rows, each job has its piece and copies follow.
        let mut pieces: Vec<Vec<f32>> = Vec::new();
        for (matrix, y) in results.iter() {
            assert_eq!(
                (m * columns, m * matrix.width(), columns),
                (x.len(), y.len(), matrix.columns),
                "shapes of a product"
            );
            count_flops(2 * (m * matrix.rows * columns) as u64);
            pieces.push(if m == 1 { Vec::new() } else { vec![0.0; y.len()] });
        }
        let mut jobs: Vec<(&Self, usize, &mut [f32])> = Vec::new();
        for ((matrix, y), pieces) in results.iter_mut().zip(&mut pieces) {
            let pieces = if m == 1 { &mut **y } else { &mut **pieces };
            jobs.extend(pieces.chunks_mut(m * JOB * WIDTH).enumerate().map(|(i, piece)| (*matrix, i * JOB, piece)));
        }
        let whole = precision == Precision::Fast && jobs.iter().any(|(matrix, ..)| matrix.packing.is_whole());
        let rounded = whole.then(|| Rounded::new(path, x, columns));
        let job = |(matrix, panel, y): &mut (&Self, usize, &mut [f32])| match &rounded {
            Some(rounded) if matrix.packing.is_whole() => rows(path, matrix, *panel, rounded, y),
            _ if m == 1 => row(path, matrix, *panel, x, y),
            _ => matrix.block(path, *panel, m, x, y),
        };
        if jobs.len() > 1 && rayon::current_num_threads() > 1 {
            jobs.par_iter_mut().for_each(job);
        } else {
            jobs.iter_mut().for_each(job);
        }
        for ((matrix, y), pieces) in results.iter_mut().zip(&pieces) {
            let pieces = pieces.chunks(m * JOB * WIDTH);
            for (i, piece) in pieces.enumerate() {
                let columns = piece.len() / m;
                for (y, piece) in y.chunks_exact_mut(matrix.width()).zip(piece.chunks_exact(columns)) {
                    y[i * JOB * WIDTH..][..columns].copy_from_slice(piece);
                }
            }
        }
    }

    /// The product of `m` rows with the panels from `panel` that `y` has numbers of, two panels unpacked at a time.
    fn block(&self, path: Path, panel: usize, m: usize, x: &[f32], y: &mut [f32]) {
        let (stride, panels) = (y.len() / m, y.len() / m / WIDTH);
        let mut unpacked = Unpacked([0.0; 2 * WIDTH * BLOCK]);
        for left in (0..panels).step_by(2) {
            let side = (panels - left).min(2);
            for first in (0..self.columns).step_by(BLOCK) {
                let count = BLOCK.min(self.columns - first);
                for i in 0..side {
                    let unpacked = &mut unpacked.0[i * WIDTH..];
                    unpack(path, self, panel + left + i, first, count, unpacked, side * WIDTH);
                }
                let x = View { data: &x[first..], stride: self.columns };
                let weights = View { data: &unpacked.0, stride: side * WIDTH };
                let start = if first == 0 { Start::Zero } else { Start::Result };
                kernels::product(path, m, side * WIDTH, count, x, weights, start, &mut y[left * WIDTH..], stride);
            }
        }
    }
}

/// Items of `N` bytes to lane `lane` of a panel.
fn spread<const N: usize>(items: impl Iterator<Item = [u8; N]>, lane: usize, panel: &mut [u8]) {
    for (item, lanes) in items.zip(panel.chunks_exact_mut(N * WIDTH)) {
        lanes[N * lane..][..N].copy_from_slice(&item);
    }
}

/// Two panels of a block of columns.
#[repr(align(64))]
struct Unpacked([f32; 2 * WIDTH * BLOCK]);

/// A way of packing, to the kernels.
trait Format {
    /// Columns that share a head.
    const GROUP: usize;
    /// Columns whose numbers lie together.
    const STEP: usize;
    /// Bytes of `STEP` columns of a panel.
    const BYTES: usize;
    /// Bytes of the head of a group of a panel.
    const HEAD: usize;

    /// Scales and minima of 16 rows.
    ///
    /// # Safety
    /// `HEAD` bytes are valid, and the machine has the instruction set, here as below.
    unsafe fn head<S: Simd>(p: *const u8) -> [S::V; 2];

    /// Column `i` of the `STEP` at `p`, of 16 rows.
    ///
    /// # Safety
    /// `BYTES` bytes are valid, and `i` is below `STEP`.
    unsafe fn column<S: Simd>(head: [S::V; 2], p: *const u8, i: usize) -> S::V;
}

/// Numbers without scales, of 4 or 2 bytes.
struct Plain<const BITS: usize, const BRAIN: bool>;

// SAFETY (both methods): the trait's conditions.
impl<const BITS: usize, const BRAIN: bool> Format for Plain<BITS, BRAIN> {
    const GROUP: usize = 2;
    const STEP: usize = 1;
    const BYTES: usize = WIDTH * BITS / 8;
    const HEAD: usize = 0;

    #[inline(always)]
    unsafe fn head<S: Simd>(_: *const u8) -> [S::V; 2] {
        unsafe { [S::splat(0.0); 2] }
    }

    #[inline(always)]
    unsafe fn column<S: Simd>(_: [S::V; 2], p: *const u8, _: usize) -> S::V {
        unsafe {
            match (BITS, BRAIN) {
                (32, _) => S::load(p.cast()),
                (_, true) => S::load_bf16(p),
                (_, false) => S::load_f16(p),
            }
        }
    }
}

/// Whole numbers with scales: of each row four bytes, which are four columns, or in their low halves four and in their high halves the next.
struct Scaled<const BITS: usize, const GROUP: usize, const WIDE: bool, const MIN: bool>;

// SAFETY (both methods): the trait's conditions.
impl<const BITS: usize, const GROUP: usize, const WIDE: bool, const MIN: bool> Format
    for Scaled<BITS, GROUP, WIDE, MIN>
{
    const GROUP: usize = GROUP;
    const STEP: usize = 32 / BITS;
    const BYTES: usize = 4 * WIDTH;
    const HEAD: usize = WIDTH * if WIDE { 4 } else { 2 } * if MIN { 2 } else { 1 };

    #[inline(always)]
    unsafe fn head<S: Simd>(p: *const u8) -> [S::V; 2] {
        unsafe {
            match (WIDE, MIN) {
                (true, true) => [S::load(p.cast()), S::load(p.add(4 * WIDTH).cast())],
                (true, false) => [S::load(p.cast()), S::splat(0.0)],
                (false, true) => [S::load_f16(p), S::load_f16(p.add(2 * WIDTH))],
                (false, false) => [S::load_f16(p), S::splat(0.0)],
            }
        }
    }

    #[inline(always)]
    unsafe fn column<S: Simd>([scale, min]: [S::V; 2], p: *const u8, i: usize) -> S::V {
        unsafe { S::fma(if BITS == 4 { S::load_nibble(p, i) } else { S::load_i8(p, i) }, scale, min) }
    }
}

/// A way of packing whole numbers.
trait Whole: Format {
    /// Whether there are minima.
    const MIN: bool;

    /// Exact products of a group's 16 rows with each of `M` rows of whole numbers.
    ///
    /// # Safety
    /// `GROUP` columns are valid at `p` and each of `x`, and the machine has the instruction set.
    unsafe fn dots<S: Simd, const M: usize>(p: *const u8, x: [*const i8; M]) -> [S::V; M];
}

impl<const BITS: usize, const GROUP: usize, const WIDE: bool, const MIN: bool> Whole
    for Scaled<BITS, GROUP, WIDE, MIN>
{
    const MIN: bool = MIN;

    #[inline(always)]
    unsafe fn dots<S: Simd, const M: usize>(p: *const u8, x: [*const i8; M]) -> [S::V; M] {
        // SAFETY: the trait's conditions; there are no groups of four bits but those of 32.
        unsafe { if BITS == 4 { S::dots_nibbles(p, x) } else { S::dots_i8::<GROUP, M>(p, x) } }
    }
}

/// Call `$body::<S, F>` with the format `F` of a matrix of whole numbers; `$other` of another.
macro_rules! with_whole {
    ($matrix:expr, $body:ident::<$s:ident>($($arg:expr),* $(,)?), $other:expr) => {
        match ($matrix.packing, $matrix.heads_are.wide, $matrix.heads_are.min) {
            (Packing::Four, false, _) => $body::<$s, Scaled<4, 32, false, true>>($($arg),*),
            (Packing::Four, true, _) => $body::<$s, Scaled<4, 32, true, true>>($($arg),*),
            (Packing::Eight { group: 16 }, _, false) => $body::<$s, Scaled<8, 16, true, false>>($($arg),*),
            (Packing::Eight { group: 16 }, _, true) => $body::<$s, Scaled<8, 16, true, true>>($($arg),*),
            (Packing::Eight { .. }, false, false) => $body::<$s, Scaled<8, 32, false, false>>($($arg),*),
            (Packing::Eight { .. }, true, false) => $body::<$s, Scaled<8, 32, true, false>>($($arg),*),
            (Packing::Eight { .. }, false, true) => $body::<$s, Scaled<8, 32, false, true>>($($arg),*),
            (Packing::Eight { .. }, true, true) => $body::<$s, Scaled<8, 32, true, true>>($($arg),*),
            _ => $other,
        }
    };
}

/// Call `$body::<S, F>` with the matrix's format `F`.
macro_rules! with_format {
    ($matrix:expr, $body:ident::<$s:ident>($($arg:expr),* $(,)?)) => {
        match $matrix.packing {
            Packing::F32 => $body::<$s, Plain<32, false>>($($arg),*),
            Packing::F16 => $body::<$s, Plain<16, false>>($($arg),*),
            Packing::Bf16 => $body::<$s, Plain<16, true>>($($arg),*),
            _ => with_whole!($matrix, $body::<$s>($($arg),*), ()),
        }
    };
}

kernel! {
    /// Columns `first` to `first + count` of a panel into `out`, a row of 16 numbers each `stride`.
    unpack = unpack_body(matrix: &PackedMatrix, panel: usize, first: usize, count: usize, out: &mut [f32], stride: usize)
}

#[inline(always)]
fn unpack_body<S: Simd>(
    matrix: &PackedMatrix,
    panel: usize,
    first: usize,
    count: usize,
    out: &mut [f32],
    stride: usize,
) {
    assert!(first + count <= matrix.columns && panel * WIDTH < matrix.rows, "outside of the matrix");
    assert!(stride >= WIDTH && out.len() >= (count - 1) * stride + WIDTH, "unpacked numbers do not fit");
    with_format!(matrix, unpack_format::<S>(matrix, panel, first, count, out.as_mut_ptr(), stride));
}

#[inline(always)]
fn unpack_format<S: Simd, F: Format>(
    matrix: &PackedMatrix,
    panel: usize,
    first: usize,
    count: usize,
    out: *mut f32,
    stride: usize,
) {
    debug_assert!(first.is_multiple_of(F::GROUP) && count.is_multiple_of(F::GROUP));
    // SAFETY: the caller checked that the columns and the panel are the matrix's, whose slices have this layout, and that `out` has room.
    unsafe {
        let (mut numbers, mut head) = matrix.at::<F>(panel, first);
        for group in 0..count / F::GROUP {
            let scales = F::head::<S>(head);
            for column in (group * F::GROUP..(group + 1) * F::GROUP).step_by(F::STEP) {
                for i in 0..F::STEP {
                    S::store(out.add((column + i) * stride), F::column::<S>(scales, numbers, i));
                }
                numbers = numbers.add(F::BYTES);
            }
            head = head.add(F::HEAD);
        }
    }
}

kernel! {
    /// One row's product with the panels from `panel` that `y` has numbers of.
    row = row_body(matrix: &PackedMatrix, panel: usize, x: &[f32], y: &mut [f32])
}

#[inline(always)]
fn row_body<S: Simd>(matrix: &PackedMatrix, panel: usize, x: &[f32], y: &mut [f32]) {
    assert!(x.len() == matrix.columns && y.len().is_multiple_of(WIDTH), "a row's product");
    assert!(panel * WIDTH + y.len() <= matrix.width(), "outside of the matrix");
    with_format!(matrix, row_format::<S>(matrix, panel, x, y));
}

#[inline(always)]
fn row_format<S: Simd, F: Format>(matrix: &PackedMatrix, panel: usize, x: &[f32], y: &mut [f32]) {
    let panels = y.len() / WIDTH;
    for i in (0..panels - panels % 2).step_by(2) {
        // SAFETY: the caller checked that the panels are the matrix's and that `x` has its columns; `y` has 16 numbers for each.
        unsafe { row_panels::<S, F, 2>(matrix, panel + i, x, y.as_mut_ptr().add(i * WIDTH)) };
    }
    if panels % 2 == 1 {
        // SAFETY: as above.
        unsafe { row_panels::<S, F, 1>(matrix, panel + panels - 1, x, y.as_mut_ptr().add((panels - 1) * WIDTH)) };
    }
}

/// `N` panels at once, so that the chains of additions overlap.
///
/// # Safety
/// The panels are the matrix's, `x` has its columns, and `y` room for the results.
#[inline(always)]
unsafe fn row_panels<S: Simd, F: Format, const N: usize>(matrix: &PackedMatrix, panel: usize, x: &[f32], y: *mut f32) {
    // SAFETY: the caller's promise.
    unsafe {
        let mut at = [matrix.at::<F>(panel, 0); N];
        for (i, at) in at.iter_mut().enumerate() {
            *at = matrix.at::<F>(panel + i, 0);
        }
        let mut sums = [S::splat(0.0); N];
        for x in x.chunks_exact(F::GROUP) {
            let mut heads = [[S::splat(0.0); 2]; N];
            for i in 0..N {
                heads[i] = F::head::<S>(at[i].1);
                at[i].1 = at[i].1.add(F::HEAD);
            }
            for x in x.chunks_exact(F::STEP) {
                for (column, x) in x.iter().enumerate() {
                    let x = S::splat(*x);
                    for i in 0..N {
                        sums[i] = S::fma(x, F::column::<S>(heads[i], at[i].0, column), sums[i]);
                    }
                }
                for (numbers, _) in &mut at {
                    *numbers = numbers.add(F::BYTES);
                }
            }
        }
        for (i, sum) in sums.iter().enumerate() {
            S::store(y.add(i * WIDTH), *sum);
        }
    }
}

/// Rows of whole numbers.
pub(crate) struct Rounded {
    rows: usize,
    columns: usize,
    numbers: Vec<i8>,
    /// Of each row, one for each 32 columns begun.
    blocks: Vec<Block>,
}

#[derive(Clone, Copy)]
pub(crate) struct Block {
    scale: f32,
    /// Sums of the first 16 numbers, of the others, and of all, times the scale.
    sums: [f32; 3],
}

/// Columns that share a scale in rows of whole numbers.
const ROUNDED: usize = 32;
/// Rows that share the unpacking of whole numbers.
const TILE: usize = 4;

impl Rounded {
    fn new(path: Path, x: &[f32], columns: usize) -> Self {
        let rows = x.len() / columns;
        let mut numbers = vec![0; x.len()];
        let mut blocks = vec![Block { scale: 0.0, sums: [0.0; 3] }; rows * columns.div_ceil(ROUNDED)];
        round(path, x, columns, &mut numbers, &mut blocks);
        Self { rows, columns, numbers, blocks }
    }
}

kernel! {
    /// Each 32 numbers of a row to whole numbers: the largest becomes 127, halves go to the even one.
    round = round_body(x: &[f32], columns: usize, numbers: &mut [i8], blocks: &mut [Block])
}

#[inline(always)]
fn round_body<S: Simd>(x: &[f32], columns: usize, numbers: &mut [i8], blocks: &mut [Block]) {
    let x = x.chunks_exact(columns).flat_map(|row| row.chunks(ROUNDED));
    let numbers = numbers.chunks_exact_mut(columns).flat_map(|row| row.chunks_mut(ROUNDED));
    for ((x, numbers), block) in x.zip(numbers).zip(blocks) {
        // Bits of what is not negative are in the order of the numbers, and what is no number is above them: it is not lost.
        let most = f32::from_bits(x.iter().fold(0, |most, x| most.max(x.to_bits() & 0x7fff_ffff)));
        let inverse = 127.0 / most;
        let inverse = if inverse.is_finite() { inverse } else { 0.0 };
        for (number, x) in numbers.iter_mut().zip(x) {
            *number = (x * inverse).round_ties_even() as i8;
        }
        block.scale = most / 127.0;
        let (first, second) = numbers.split_at(numbers.len().min(ROUNDED / 2));
        let [first, second] = [first, second].map(|half| half.iter().map(|n| i32::from(*n)).sum::<i32>());
        block.sums = [first, second, first + second].map(|sum| sum as f32 * block.scale);
    }
}

kernel! {
    /// Products of rows of whole numbers with the panels from `panel` that `y` has numbers of.
    rows = rows_body(matrix: &PackedMatrix, panel: usize, x: &Rounded, y: &mut [f32])
}

#[inline(always)]
fn rows_body<S: Simd>(matrix: &PackedMatrix, panel: usize, x: &Rounded, y: &mut [f32]) {
    assert!(x.columns == matrix.columns && y.len().is_multiple_of(x.rows * WIDTH), "a product of whole numbers");
    assert!(panel * WIDTH + y.len() / x.rows <= matrix.width(), "outside of the matrix");
    with_whole!(matrix, rows_format::<S>(matrix, panel, x, y), ());
}

#[inline(always)]
fn rows_format<S: Simd, F: Whole>(matrix: &PackedMatrix, panel: usize, x: &Rounded, y: &mut [f32]) {
    let stride = y.len() / x.rows;
    for i in 0..stride / WIDTH {
        for row in (0..x.rows).step_by(TILE) {
            // SAFETY: the caller checked that the panels are the matrix's and that `x` has its columns; these rows have 16 numbers in `y`.
            unsafe {
                let y = y.as_mut_ptr().add(row * stride + i * WIDTH);
                match x.rows - row {
                    1 => rows_panel::<S, F, 1>(matrix, panel + i, x, row, y, stride),
                    2 => rows_panel::<S, F, 2>(matrix, panel + i, x, row, y, stride),
                    3 => rows_panel::<S, F, 3>(matrix, panel + i, x, row, y, stride),
                    _ => rows_panel::<S, F, TILE>(matrix, panel + i, x, row, y, stride),
                }
            }
        }
    }
}

/// `M` rows from `row`.
///
/// # Safety
/// The panel is the matrix's, `x` has its columns and the rows, and `y` room for 16 numbers of each at `stride`.
#[inline(always)]
unsafe fn rows_panel<S: Simd, F: Whole, const M: usize>(
    matrix: &PackedMatrix,
    panel: usize,
    x: &Rounded,
    row: usize,
    y: *mut f32,
    stride: usize,
) {
    // SAFETY: the caller's promise; `Rounded::new` made as many numbers and blocks as are read.
    unsafe {
        let (mut numbers, mut head) = matrix.at::<F>(panel, 0);
        let each = x.columns.div_ceil(ROUNDED);
        let mut at = [x.numbers.as_ptr(); M];
        let mut blocks = [x.blocks.as_ptr(); M];
        for i in 0..M {
            at[i] = at[i].add((row + i) * x.columns);
            blocks[i] = blocks[i].add((row + i) * each);
        }
        let zero = S::splat(0.0);
        let mut sums = [zero; M];
        for group in 0..x.columns / F::GROUP {
            let [scale, min] = F::head::<S>(head);
            let dots = F::dots::<S, M>(numbers, at);
            for i in 0..M {
                let block = &*blocks[i].add(group * F::GROUP / ROUNDED);
                sums[i] = S::fma(dots[i], S::fma(scale, S::splat(block.scale), zero), sums[i]);
                if F::MIN {
                    let sum = if F::GROUP == ROUNDED { block.sums[2] } else { block.sums[group % 2] };
                    sums[i] = S::fma(min, S::splat(sum), sums[i]);
                }
                at[i] = at[i].add(F::GROUP);
            }
            numbers = numbers.add(F::GROUP / F::STEP * F::BYTES);
            head = head.add(F::HEAD);
        }
        for (i, sum) in sums.iter().enumerate() {
            S::store(y.add(i * stride), *sum);
        }
    }
}

impl PackedMatrix {
    /// Where the numbers and the head of a column of a panel begin.
    ///
    /// # Safety
    /// They are the matrix's, and the column begins a group.
    #[inline(always)]
    unsafe fn at<F: Format>(&self, panel: usize, column: usize) -> (*const u8, *const u8) {
        let numbers = (panel * self.columns + column) / F::STEP * F::BYTES;
        let head = (panel * self.columns + column) / F::GROUP * F::HEAD;
        // SAFETY: the caller's promise; `new` laid both slices out like this.
        unsafe { (self.numbers.as_ptr().add(numbers), self.heads.as_ptr().add(head)) }
    }
}

#[cfg(test)]
mod tests {
    use tony_random::Stream;

    use super::*;
    use crate::simd::{available, f16_to_f32, with_path};

    const PACKINGS: [Packing; 6] = [
        Packing::F32,
        Packing::F16,
        Packing::Bf16,
        Packing::Four,
        Packing::Eight { group: 32 },
        Packing::Eight { group: 16 },
    ];

    /// A matrix with numbers that its packing holds, and the numbers.
    fn matrix(packing: Packing, rows: usize, columns: usize, wide: bool, min: bool) -> (PackedMatrix, Vec<f32>) {
        let mut stream = Stream::new(1, "packed", rows as u64);
        let mut numbers = Vec::new();
        let mut any = || stream.normal() as f32;
        let matrix = PackedMatrix::new(packing, rows, columns, |_, row| {
            let narrow = |x: f32| (x * 64.0).round() / 64.0;
            match packing {
                Packing::F32 => {
                    row.singles.iter_mut().for_each(|x| *x = any());
                    numbers.extend_from_slice(&row.singles);
                }
                Packing::F16 => {
                    row.halves.iter_mut().for_each(|x| *x = exact_f16(narrow(any())).unwrap());
                    numbers.extend(row.halves.iter().map(|x| f16_to_f32(*x)));
                }
                Packing::Bf16 => {
                    row.halves.iter_mut().for_each(|x| *x = (any().to_bits() >> 16) as u16);
                    numbers.extend(row.halves.iter().map(|x| f32::from_bits(u32::from(*x) << 16)));
                }
                Packing::Four | Packing::Eight { .. } => {
                    let from = if packing == Packing::Four { 0.0 } else { -128.0 };
                    let most = if packing == Packing::Four { 15.0 } else { 127.0 };
                    row.quants.iter_mut().for_each(|q| *q = (any() * 60.0).clamp(from, most) as i8);
                    let scale = |x: f32| if wide { x } else { narrow(x) };
                    row.scales.iter_mut().for_each(|x| *x = scale(any()));
                    row.mins.iter_mut().for_each(|x| *x = if min { scale(any()) } else { 0.0 });
                    numbers.extend(row.quants.iter().enumerate().map(|(j, q)| {
                        let g = j / packing.group();
                        f32::from(*q).mul_add(row.scales[g], row.mins[g])
                    }));
                }
            }
        });
        assert_eq!(matrix.heads_are.wide, !row_is_plain(packing) && (wide || packing == Packing::Eight { group: 16 }));
        (matrix, numbers)
    }

    fn row_is_plain(packing: Packing) -> bool {
        matches!(packing, Packing::F32 | Packing::F16 | Packing::Bf16)
    }

    /// Every packing, with and without minima, in half and in single precision; shapes with loose ends of every kind.
    #[test]
    fn products_are_those_of_the_definition_bit_for_bit() {
        for (packing, wide, min) in
            PACKINGS.iter().flat_map(|p| [(false, false), (false, true), (true, true)].map(|(w, m)| (*p, w, m)))
        {
            for (rows, columns) in [(1, 32), (16, 64), (37, 160), (144, 288)] {
                let (matrix, numbers) = matrix(packing, rows, columns, wide, min);
                let mut unpacked = vec![0.0; columns];
                for (i, expected) in numbers.chunks_exact(columns).enumerate() {
                    matrix.row(i, &mut unpacked);
                    assert_eq!(unpacked, expected, "{packing:?} {rows} x {columns}");
                }
                let x: Vec<f32> = (0..9 * columns).map(|i| ((i * 37 % 101) as f32 - 50.0) / 32.0).collect();
                for (path, m) in available().into_iter().flat_map(|path| [1, 2, 9].map(|m| (path, m))) {
                    let mut y = vec![f32::NAN; m * matrix.width()];
                    with_path(path, || matrix.product(Precision::Full, &x[..m * columns], &mut y));
                    for (x, y) in x.chunks_exact(columns).zip(y.chunks_exact(matrix.width())) {
                        for (w, y) in numbers.chunks_exact(columns).zip(y) {
                            let expected = x.iter().zip(w).fold(0.0_f32, |sum, (x, w)| x.mul_add(*w, sum));
                            assert_eq!(y.to_bits(), expected.to_bits(), "{packing:?} {rows} x {columns} {path:?} {m}");
                        }
                    }
                }
            }
        }
    }

    /// The other factor rounded by the definition, then products in double precision; and the same bits in any company, any way.
    #[test]
    fn fast_products_are_those_of_rounded_numbers() {
        for (packing, wide, min) in
            PACKINGS.iter().flat_map(|p| [(false, false), (false, true), (true, true)].map(|(w, m)| (*p, w, m)))
        {
            for (rows, columns) in [(1, 32), (37, 160), (144, 288)] {
                let (matrix, numbers) = matrix(packing, rows, columns, wide, min);
                // Blocks that are small, large and 0, and the largest numbers that whole numbers can come to.
                let number = |i: usize| ((i * 37 % 101) as f32 - 50.0) * [1e-3, 1.0, 0.0, 300.0][i / ROUNDED % 4];
                let mut x: Vec<f32> = (0..9 * columns).map(number).collect();
                x[..ROUNDED].fill(1.0);
                let rounded: Vec<f64> = (x.chunks(ROUNDED))
                    .flat_map(|x| {
                        let most = x.iter().fold(0.0_f32, |most, x| most.max(x.abs()));
                        let inverse = if most > 0.0 { 127.0 / most } else { 0.0 };
                        x.iter().map(move |x| f64::from((x * inverse).round_ties_even()) * f64::from(most / 127.0))
                    })
                    .collect();
                let exact: Vec<f64> = x.iter().map(|x| f64::from(*x)).collect();
                let factor = if row_is_plain(packing) { exact } else { rounded };
                let mut all = vec![f32::NAN; 9 * matrix.width()];
                matrix.product(Precision::Fast, &x, &mut all);
                for (x, y) in factor.chunks_exact(columns).zip(all.chunks_exact(matrix.width())) {
                    for (w, y) in numbers.chunks_exact(columns).zip(y) {
                        let terms = || x.iter().zip(w).map(|(x, w)| x * f64::from(*w));
                        let size: f64 = terms().map(f64::abs).sum();
                        // A rounding of 2^-24 for each of at most 288 terms, most of them far smaller.
                        assert!((f64::from(*y) - terms().sum::<f64>()).abs() <= 4e-6 * size, "{packing:?} {rows} {y}");
                    }
                }
                for (path, m) in available().into_iter().flat_map(|path| [1, 2, 3, 4, 9].map(|m| (path, m))) {
                    let mut y = vec![f32::NAN; m * matrix.width()];
                    with_path(path, || matrix.product(Precision::Fast, &x[..m * columns], &mut y));
                    for (y, whole) in y.chunks_exact(matrix.width()).zip(all.chunks_exact(matrix.width())) {
                        let bits = |y: &[f32]| y[..rows].iter().map(|y| y.to_bits()).collect::<Vec<_>>();
                        assert_eq!(bits(y), bits(whole), "{packing:?} {rows} x {columns} {path:?} {m}");
                    }
                }
            }
        }
    }

    /// What whole numbers can come to at most, of either sign; and what is no number is not lost.
    #[test]
    fn fast_products_neither_overflow_nor_hide() {
        for (packing, q) in
            [(Packing::Four, 15), (Packing::Eight { group: 32 }, -128), (Packing::Eight { group: 16 }, -128)]
        {
            let matrix = PackedMatrix::new(packing, 20, 64, |_, row| {
                row.quants.fill(q);
                row.scales.fill(1.0);
            });
            for path in available() {
                let product = |x: &[f32]| {
                    let mut y = vec![0.0; matrix.width()];
                    with_path(path, || matrix.product(Precision::Fast, x, &mut y));
                    y[19]
                };
                for sign in [-1.0, 1.0] {
                    assert_eq!(
                        product(&[sign * 127.0; 64]),
                        sign * 127.0 * 64.0 * f32::from(q),
                        "{packing:?} {path:?}"
                    );
                }
                assert_eq!(product(&[1e-39; 64]), 0.0, "too small for a scale");
                for hole in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                    let mut x = [1.0; 64];
                    x[40] = hole;
                    assert!(!product(&x).is_finite(), "{packing:?} {path:?} {hole}");
                }
            }
        }
    }

    #[test]
    fn halves_are_exact() {
        for half in (0..=u16::MAX).filter(|half| half & 0x7c00 != 0x7c00) {
            let x = f16_to_f32(half);
            assert_eq!(exact_f16(x), Some(half), "{half:#x} {x}");
        }
        assert!(f16_to_f32(0x7c00) == f32::INFINITY && f16_to_f32(0x7e00).is_nan());
        assert_eq!((f16_to_f32(0x3c00), f16_to_f32(0xc000), f16_to_f32(1)), (1.0, -2.0, 5.960_464_5e-8));
        for x in [1.0 + f32::EPSILON, 65_536.0, 1e-9, f32::INFINITY, f32::NAN] {
            assert_eq!(exact_f16(x), None, "{x}");
        }
    }

    #[test]
    fn a_small_file_stays_small() {
        let (matrix, _) = matrix(Packing::Four, 64, 320, false, true);
        // Half a byte a number, and two halves for each 32.
        assert_eq!(matrix.bytes(), 64 * 320 / 2 + 64 * 10 * 4);
    }
}
