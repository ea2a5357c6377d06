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

#[cfg(test)]
mod tests {
    use super::*;
    use tony_random::Stream;

    fn rows(n: usize, width: usize) -> Vec<f32> {
        let mut stream = Stream::new(1, "normaliser", n as u64);
        (0..n * width).map(|i| (100.0 + (1 + i % width) as f64 * stream.normal()) as f32).collect()
    }

    #[test]
    fn merging_batches_is_seeing_all_rows_at_once() {
        let (width, data) = (3, rows(500, 3));
        let (mut once, mut often) = (Normaliser::new(width, 10.0), Normaliser::new(width, 10.0));
        once.update(&data);
        for part in data.chunks(7 * width) {
            often.update(part);
        }
        assert_eq!((once.count(), often.count()), (500.0, 500.0));
        for j in 0..width {
            // f64 sums of 500 numbers near 100.
            assert!((once.mean()[j] - often.mean()[j]).abs() < 1e-10);
            assert!((once.std()[j] - often.std()[j]).abs() < 1e-10);
            // Four standard errors: 4 s / sqrt(500) of the mean, 4 s / sqrt(1000) of the deviation.
            let s = (j + 1) as f64;
            assert!((once.mean()[j] - 100.0).abs() < 0.18 * s && (once.std()[j] - s).abs() < 0.13 * s);
        }
    }

    #[test]
    fn identity_until_the_first_update_and_standard_afterwards() {
        let mut normaliser = Normaliser::new(2, 1.5);
        let mut y = [0.0; 2];
        normaliser.apply(&[300.0, -7.0], &mut y);
        assert_eq!(y, [300.0, -7.0]);
        normaliser.update(&[0.0, 5.0, 2.0, 5.0]);
        // Mean (1, 5), deviation (1, 0), and 0 counts as 0.01.
        for (x, expected) in [([1.0, 5.0], [0.0, 0.0]), ([0.5, 5.01], [-0.5, 1.0]), ([9.0, 4.0], [1.5, -1.5])] {
            normaliser.apply(&x, &mut y);
            // 5.01 - 5 in f32 is good to 5e-7, over 0.01.
            assert!((y[0] - expected[0]).abs() < 1e-6 && (y[1] - expected[1]).abs() < 1e-4_f32, "{y:?}");
        }
    }

    #[test]
    fn a_restored_state_is_the_same_map() {
        let mut normaliser = Normaliser::new(3, 5.0);
        normaliser.update(&rows(20, 3));
        let mut restored = Normaliser::new(3, 5.0);
        restored.set_state(&normaliser.state()).unwrap();
        assert_eq!(restored, normaliser);
        let wrong = Error::State { what: "normaliser", found: 5, expected: 7 };
        assert_eq!(restored.set_state(&[0.0; 5]), Err(wrong));
    }
}
