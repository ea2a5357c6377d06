//! The rows of a batch: which, and how they are read.

use crate::simd::Path;
use crate::{Normaliser, kernels};

/// Rows ahead of the one being read that are asked for from memory: a shuffled index defeats the hardware's own prefetching.
const AHEAD: usize = 8;

/// Input rows: `data` is rows of `width` numbers; `index` picks rows out of it (all of them if absent); `normaliser` is applied to each.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The rows, one after another.
    pub data: &'a [f32],
    /// Numbers in a row.
    pub width: usize,
    /// Which rows, in which order.
    pub index: Option<&'a [u32]>,
    /// Applied as a row is read.
    pub normaliser: Option<&'a Normaliser>,
}

impl<'a> Rows<'a> {
    /// All rows of `data`, as they are.
    pub fn all(data: &'a [f32], width: usize) -> Self {
        Self { data, width, index: None, normaliser: None }
    }

    /// Number of rows.
    pub fn len(&self) -> usize {
        self.index.map_or(self.data.len() / self.width.max(1), <[u32]>::len)
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.data[i * self.width..(i + 1) * self.width]
    }

    /// Row `i`, normalised, into `y`.
    pub(crate) fn read(&self, path: Path, i: usize, y: &mut [f32]) {
        let x = match self.index {
            Some(index) => {
                if let Some(soon) = index.get(i + AHEAD) {
                    kernels::prefetch(self.data.get(*soon as usize * self.width..).unwrap_or_default(), self.width);
                }
                self.row(index[i] as usize)
            }
            None => self.row(i),
        };
        match self.normaliser {
            Some(normaliser) => normaliser.row(path, x, y),
            None => y.copy_from_slice(x),
        }
    }
}
