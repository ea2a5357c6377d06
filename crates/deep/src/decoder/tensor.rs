//! Tensors as files store them, and their rows as kernels read them.

use safetensors::Dtype;
use tony_nn::{PackedMatrix, PackedRow, Packing, f16_to_f32};

/// How a file stores numbers. The names are those of GGUF; blocks run along a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[allow(missing_docs)] // Names of formats.
pub enum Kind {
    F32,
    F16,
    Bf16,
    Q4_0,
    Q4_1,
    Q5_0,
    Q5_1,
    Q8_0,
    Q4K,
    Q5K,
    Q6K,
}

impl Kind {
    /// The kind that GGUF numbers so, or the name of one that is not read here.
    pub(super) fn of_gguf(number: u32) -> Result<Self, String> {
        Ok(match number {
            0 => Self::F32,
            1 => Self::F16,
            2 => Self::Q4_0,
            3 => Self::Q4_1,
            6 => Self::Q5_0,
            7 => Self::Q5_1,
            8 => Self::Q8_0,
            12 => Self::Q4K,
            13 => Self::Q5K,
            14 => Self::Q6K,
            30 => Self::Bf16,
            other => return Err(format!("type {other}")),
        })
    }

    /// Numbers of a block, and its bytes.
    pub fn block(self) -> (usize, usize) {
        match self {
            Self::F32 => (1, 4),
            Self::F16 | Self::Bf16 => (1, 2),
            Self::Q4_0 => (32, 18),
            Self::Q4_1 => (32, 20),
            Self::Q5_0 => (32, 22),
            Self::Q5_1 => (32, 24),
            Self::Q8_0 => (32, 34),
            Self::Q4K => (256, 144),
            Self::Q5K => (256, 176),
            Self::Q6K => (256, 210),
        }
    }

    /// How its numbers are packed.
    pub fn packing(self) -> Packing {
        match self {
            Self::F32 => Packing::F32,
            Self::F16 => Packing::F16,
            Self::Bf16 => Packing::Bf16,
            Self::Q4_0 | Self::Q4_1 | Self::Q4K => Packing::Four,
            Self::Q5_0 | Self::Q5_1 | Self::Q8_0 | Self::Q5K => Packing::Eight { group: 32 },
            Self::Q6K => Packing::Eight { group: 16 },
        }
    }

    /// Unpack a row's bytes. Every kind is exact: whole numbers as they are, scales in single precision as the reference computes them.
    fn read(self, bytes: &[u8], row: &mut PackedRow) {
        let blocks = bytes.chunks_exact(self.block().1).enumerate();
        match self {
            Self::F32 => blocks.for_each(|(i, b)| row.singles[i] = f32::from_le_bytes([b[0], b[1], b[2], b[3]])),
            Self::F16 | Self::Bf16 => blocks.for_each(|(i, b)| row.halves[i] = u16::from_le_bytes([b[0], b[1]])),
            Self::Q4_0 | Self::Q4_1 => {
                for (i, b) in blocks {
                    let (scale, rest) = (half(b), if self == Self::Q4_0 { &b[2..] } else { &b[4..] });
                    row.scales[i] = scale;
                    row.mins[i] = if self == Self::Q4_0 { -8.0 * scale } else { half(&b[2..]) };
                    nibbles(rest, &mut row.quants[32 * i..]);
                }
            }
            Self::Q5_0 | Self::Q5_1 => {
                for (i, b) in blocks {
                    row.scales[i] = half(b);
                    row.mins[i] = if self == Self::Q5_0 { 0.0 } else { half(&b[2..]) };
                    let high = if self == Self::Q5_0 { &b[2..] } else { &b[4..] };
                    let bits = u32::from_le_bytes([high[0], high[1], high[2], high[3]]);
                    let quants = &mut row.quants[32 * i..][..32];
                    nibbles(&high[4..], quants);
                    let less = if self == Self::Q5_0 { 16 } else { 0 };
                    quants.iter_mut().enumerate().for_each(|(j, q)| *q += ((bits >> j & 1) << 4) as i8 - less);
                }
            }
            Self::Q8_0 => {
                for (i, b) in blocks {
                    row.scales[i] = half(b);
                    row.quants[32 * i..][..32].iter_mut().zip(&b[2..]).for_each(|(q, b)| *q = *b as i8);
                }
            }
            Self::Q4K | Self::Q5K => {
                for (i, b) in blocks {
                    let (scale, min) = (half(b), half(&b[2..]));
                    for j in 0..8 {
                        let (s, m) = six_bits(&b[4..16], j);
                        row.scales[8 * i + j] = scale * f32::from(s);
                        row.mins[8 * i + j] = -(min * f32::from(m));
                    }
                    let (high, low) = b[16..].split_at(if self == Self::Q4K { 0 } else { 32 });
                    for (j, low) in low.chunks_exact(32).enumerate() {
                        let quants = &mut row.quants[256 * i + 64 * j..][..64];
                        for l in 0..32 {
                            let bits = high.get(l).map_or(0, |high| high >> (2 * j));
                            quants[l] = ((low[l] & 15) | (bits & 1) << 4) as i8;
                            quants[32 + l] = ((low[l] >> 4) | (bits & 2) << 3) as i8;
                        }
                    }
                }
            }
            Self::Q6K => {
                for (i, b) in blocks {
                    let (low, high, scales) = (&b[..128], &b[128..192], &b[192..208]);
                    let scale = half(&b[208..]);
                    for (j, s) in scales.iter().enumerate() {
                        row.scales[16 * i + j] = scale * f32::from(*s as i8);
                    }
                    for j in 0..256 {
                        // Halves of 128, in each four quarters of 32: low bits of the first two quarters lie in low halves of bytes.
                        let (half, quarter, l) = (j / 128, j / 32 % 4, j % 32);
                        let low = low[64 * half + 32 * (quarter % 2) + l] >> (4 * (quarter / 2)) & 15;
                        let high = high[32 * half + l] >> (2 * quarter) & 3;
                        row.quants[256 * i + j] = (low | high << 4) as i8 - 32;
                    }
                }
            }
        }
    }
}

fn half(bytes: &[u8]) -> f32 {
    f16_to_f32(u16::from_le_bytes([bytes[0], bytes[1]]))
}

/// 16 bytes: numbers 0 to 15 of a block in the low halves, the others in the high ones.
fn nibbles(bytes: &[u8], quants: &mut [i8]) {
    for (j, byte) in bytes[..16].iter().enumerate() {
        (quants[j], quants[16 + j]) = ((byte & 15) as i8, (byte >> 4) as i8);
    }
}

/// Scale and minimum number `j` of eight in 12 bytes, six bits each.
fn six_bits(bytes: &[u8], j: usize) -> (u8, u8) {
    if j < 4 {
        (bytes[j] & 63, bytes[j + 4] & 63)
    } else {
        let both = bytes[j + 4];
        ((both & 15) | bytes[j - 4] >> 6 << 4, (both >> 4) | bytes[j] >> 6 << 4)
    }
}

/// A tensor of one or two dimensions, in the bytes of its file.
#[derive(Clone, Debug)]
pub struct Tensor {
    /// How its numbers are stored.
    pub kind: Kind,
    /// Rows; 1 of a vector.
    pub rows: usize,
    /// Numbers of a row.
    pub columns: usize,
    /// The rows, one after the other.
    pub bytes: Vec<u8>,
}

impl Tensor {
    /// That of a safetensors file called `name`, which must have this shape (a vector has one row); else what is wrong.
    pub(crate) fn of_safetensors(
        name: &str,
        (kind, shape, bytes): (Dtype, &[usize], &[u8]),
        expected: (usize, usize),
    ) -> Result<Self, String> {
        let kind = match kind {
            Dtype::F32 => Kind::F32,
            Dtype::F16 => Kind::F16,
            Dtype::BF16 => Kind::Bf16,
            other => return Err(format!("the tensor `{name}` is of {other:?}; F32, F16 and BF16 are read")),
        };
        let (rows, columns) = match *shape {
            [n] => (1, n),
            [rows, columns] => (rows, columns),
            _ => return Err(format!("the tensor `{name}` has the shape {shape:?}")),
        };
        Self { kind, rows, columns, bytes: bytes.to_vec() }.of_shape(name, expected)
    }

    /// This, if it has so many rows and columns; else what is wrong.
    pub(super) fn of_shape(self, name: &str, (rows, columns): (usize, usize)) -> Result<Self, String> {
        if (self.rows, self.columns) == (rows, columns) {
            return Ok(self);
        }
        let is = format!("{} x {}", self.rows, self.columns);
        Err(format!("the tensor `{name}` is {is} where its sizes ask for {rows} x {columns}"))
    }

    fn row(&self, i: usize) -> &[u8] {
        let bytes = self.bytes.len() / self.rows;
        &self.bytes[i * bytes..][..bytes]
    }

    /// Pack it, with the rows in the order of `order(i)`. `None` if a scale or a number is not finite.
    pub fn pack(&self, order: impl Fn(usize) -> usize) -> Option<PackedMatrix> {
        let mut finite = true;
        let packed = PackedMatrix::new(self.kind.packing(), self.rows, self.columns, |i, row| {
            self.kind.read(self.row(order(i)), row);
            let singles = row.singles.iter().chain(&row.scales).chain(&row.mins);
            let infinite = if self.kind == Kind::F16 { 0x7c00 } else { 0x7f80 };
            finite &= singles.into_iter().all(|x| x.is_finite()) && row.halves.iter().all(|x| x & infinite != infinite);
        });
        finite.then_some(packed)
    }

    /// All numbers in single precision, rows in the order of `order(i)`. `None` if one is not finite.
    pub fn numbers(&self, order: impl Fn(usize) -> usize) -> Option<Vec<f32>> {
        let mut numbers = vec![0.0; self.rows * self.columns];
        let packed = self.pack(order)?;
        numbers.chunks_exact_mut(self.columns).enumerate().for_each(|(i, row)| packed.row(i, row));
        Some(numbers)
    }
}
