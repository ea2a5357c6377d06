//! Apples and bombs, and the sensors that see them.

use super::shape;
use crate::Result;
use crate::frame::{Form, Shape};
use crate::state::{self, Reader};
use std::f64::consts::{FRAC_PI_2, PI};
use tony_random::Stream;

/// What is nearer than this to the torso's centre is collected.
const CATCH: f64 = 1.0;
/// Radius of a thing in pictures, m.
pub(super) const THING: f64 = 0.4;
/// Sensor bins for each kind of thing, over the half circle ahead.
const BINS: usize = 10;
const SENSOR_RANGE: f64 = 6.0;

/// Apples, then bombs, at distinct points of {-6, -4, -2, 0, 2, 4}^2 except (0, 0).
#[derive(Clone, Debug)]
pub(super) struct Field {
    things: Vec<[f64; 2]>,
    apples: usize,
    left: Vec<bool>,
}

impl Field {
    /// Numbers that [`Field::sense`] writes.
    pub(super) const SENSED: usize = 2 * BINS;

    /// Nothing is laid out yet.
    pub(super) fn new(apples: usize, bombs: usize) -> Self {
        Self { things: vec![[0.0; 2]; apples + bombs], apples, left: vec![false; apples + bombs] }
    }

    #[cfg(test)]
    pub(super) fn of(apples: &[[f64; 2]], bombs: &[[f64; 2]]) -> Self {
        let things = [apples, bombs].concat();
        Self { left: vec![true; things.len()], apples: apples.len(), things }
    }

    #[cfg(test)]
    pub(super) fn places(&self) -> &[[f64; 2]] {
        &self.things
    }

    /// Put everything at a new place.
    pub(super) fn lay_out(&mut self, stream: &mut Stream) {
        for i in 0..self.things.len() {
            self.things[i] = loop {
                let mut even = || 2.0 * (stream.below(6) as f64 - 3.0);
                let place = [even(), even()];
                let [x, y] = place;
                if x * x + y * y >= 4.0 && !self.things[..i].contains(&place) {
                    break place;
                }
            };
        }
        self.left.fill(true);
    }

    /// Write ten sensor bins for apples and ten for bombs, from right to left over the half circle ahead: 1 - distance / 6 of the nearest
    /// thing in the bin, else 0.
    pub(super) fn sense(&self, [x, y]: [f64; 2], heading: f64, sensors: &mut [f64]) {
        sensors.fill(0.0);
        for (i, [tx, ty]) in self.things.iter().enumerate().filter(|(i, _)| self.left[*i]) {
            let distance = libm::hypot(tx - x, ty - y);
            let bearing = wrapped(libm::atan2(ty - y, tx - x) - heading);
            if distance > SENSOR_RANGE || bearing.abs() > FRAC_PI_2 {
                continue;
            }
            let bin = ((bearing + FRAC_PI_2) / (PI / BINS as f64)) as usize;
            if bin < BINS {
                let reading = &mut sensors[if i < self.apples { bin } else { BINS + bin }];
                *reading = reading.max(1.0 - distance / SENSOR_RANGE);
            }
        }
    }

    /// Collect what is near: how many apples and how many bombs.
    pub(super) fn collect(&mut self, [x, y]: [f64; 2]) -> [usize; 2] {
        let mut collected = [0, 0];
        for (i, ([tx, ty], left)) in self.things.iter().zip(&mut self.left).enumerate() {
            if *left && libm::hypot(tx - x, ty - y) < CATCH {
                *left = false;
                collected[usize::from(i >= self.apples)] += 1;
            }
        }
        collected
    }

    /// Is nothing left?
    pub(super) fn is_empty(&self) -> bool {
        !self.left.contains(&true)
    }

    /// Numbers of 8 bytes that [`Field::save`] writes.
    pub(super) fn words(&self) -> usize {
        3 * self.things.len()
    }

    pub(super) fn save(&self, out: &mut Vec<u8>) {
        for (place, left) in self.things.iter().zip(&self.left) {
            state::put_f64s(out, place);
            state::put_u64(out, u64::from(*left));
        }
    }

    pub(super) fn load(&mut self, reader: &mut Reader<'_>) -> Result<()> {
        for (place, left) in self.things.iter_mut().zip(&mut self.left) {
            reader.f64s(place)?;
            *left = reader.u64()? != 0;
        }
        Ok(())
    }

    /// What each thing is, where, and whether it is left.
    pub(super) fn things(&self) -> impl Iterator<Item = (&'static str, [f64; 2], bool)> {
        let kind = |i| if i < self.apples { "apple" } else { "bomb" };
        self.things.iter().zip(&self.left).enumerate().map(move |(i, (place, left))| (kind(i), *place, *left))
    }

    /// What is left, seen from above.
    pub(super) fn shapes(&self) -> impl Iterator<Item = Shape> {
        self.things().filter(|(.., left)| *left).map(|(kind, at, _)| shape(kind, Form::Disc { at, r: THING }))
    }
}

/// The same angle in `[-pi, pi)`.
fn wrapped(angle: f64) -> f64 {
    angle - 2.0 * PI * libm::floor((angle + PI) / (2.0 * PI))
}
