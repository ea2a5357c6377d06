//! Running normalisation of observations.

use crate::simd::{Path, path};
use crate::{Error, Result, kernels};

/// Standard deviations below this count as this one, so that a component that never moved does not explode when it first does.
const MIN_STD: f64 = 1e-2;

/// Running mean and variance of rows, and the map `clip((x - mean) / std, -clip, clip)` made of them.
///
/// Until the first update it is the identity, without clipping: there is no scale yet to clip by.
#[derive(Clone, Debug, PartialEq)]
pub struct Normaliser {
    count: f64,
    mean: Vec<f64>,
    m2: Vec<f64>,
    mean32: Vec<f32>,
    inv_std: Vec<f32>,
    clip: f32,
    limit: f32,
}

impl Normaliser {
    /// For rows of `width` numbers; outputs stay within `+-clip` (`f32::INFINITY` for no clipping).
    pub fn new(width: usize, clip: f32) -> Self {
        let mut this = Self {
            count: 0.0,
            mean: vec![0.0; width],
            m2: vec![0.0; width],
            mean32: vec![0.0; width],
            inv_std: vec![1.0; width],
            clip,
            limit: f32::INFINITY,
        };
        this.refresh();
        this
    }

    /// Numbers in a row.
    pub fn width(&self) -> usize {
        self.mean.len()
    }

    /// Standardised numbers are clipped to plus or minus this.
    pub fn clip(&self) -> f32 {
        self.clip
    }

    /// Rows seen so far.
    pub fn count(&self) -> f64 {
        self.count
    }

    /// Running mean of each component.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// Running standard deviation (population) of each component, before the floor.
    pub fn std(&self) -> Vec<f64> {
        self.m2.iter().map(|m2| (m2 / self.count.max(1.0)).sqrt()).collect()
    }

    /// Merge `rows` (n x width) into the statistics: two passes over the batch, then Chan, Golub and `LeVeque` 1979, equation 2.1.
    ///
    /// # Panics
    /// If `rows` is not a whole number of rows.
    pub fn update(&mut self, rows: &[f32]) {
        let width = self.width();
        if width == 0 || rows.is_empty() {
            return;
        }
        assert_eq!(rows.len() % width, 0, "{} numbers are no whole rows of {width}", rows.len());
        let n = (rows.len() / width) as f64;
        let mut mean = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            mean.iter_mut().zip(row).for_each(|(sum, x)| *sum += f64::from(*x));
        }
        for sum in &mut mean {
            *sum /= n;
        }
        let mut m2 = vec![0.0; width];
        for row in rows.chunks_exact(width) {
            for ((m2, mean), x) in m2.iter_mut().zip(&mean).zip(row) {
                let deviation = f64::from(*x) - mean;
                *m2 += deviation * deviation;
            }
        }
        let total = self.count + n;
        for i in 0..width {
            let delta = mean[i] - self.mean[i];
            self.mean[i] += delta * (n / total);
            self.m2[i] += m2[i] + delta * delta * (self.count * n / total);
        }
        self.count = total;
        self.refresh();
    }

    /// Normalise `x` (n x width) into `y`: the same bits as a network's own first step with this normaliser.
    ///
    /// # Panics
    /// If `x` and `y` differ in length or are not whole rows.
    pub fn apply(&self, x: &[f32], y: &mut [f32]) {
        assert_eq!(x.len(), y.len(), "normaliser input and output differ in length");
        let (path, width) = (path(), self.width().max(1));
        assert_eq!(x.len() % width, 0, "{} numbers are no whole rows of {width}", x.len());
        for (x, y) in x.chunks_exact(width).zip(y.chunks_exact_mut(width)) {
            self.row(path, x, y);
        }
    }

    /// `[count, mean.., m2..]`: everything that [`Normaliser::set_state`] needs.
    pub fn state(&self) -> Vec<f64> {
        [&[self.count][..], &self.mean, &self.m2].concat()
    }

    /// Continue from what [`Normaliser::state`] returned.
    pub fn set_state(&mut self, state: &[f64]) -> Result<()> {
        let width = self.width();
        let expected = 1 + 2 * width;
        if state.len() != expected {
            return Err(Error::State { what: "normaliser", found: state.len(), expected });
        }
        self.count = state[0];
        self.mean.copy_from_slice(&state[1..=width]);
        self.m2.copy_from_slice(&state[1 + width..]);
        self.refresh();
        Ok(())
    }

    pub(crate) fn row(&self, path: Path, x: &[f32], y: &mut [f32]) {
        kernels::normalise(path, x, &self.mean32, &self.inv_std, self.limit, y);
    }

    fn refresh(&mut self) {
        if self.count == 0.0 {
            self.mean32.fill(0.0);
            self.inv_std.fill(1.0);
            self.limit = f32::INFINITY;
            return;
        }
        for i in 0..self.width() {
            self.mean32[i] = self.mean[i] as f32;
            self.inv_std[i] = (1.0 / (self.m2[i] / self.count).sqrt().max(MIN_STD)) as f32;
        }
        self.limit = self.clip;
    }
}
