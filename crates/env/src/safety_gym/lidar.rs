//! The pseudo-lidar: how near the nearest object of a kind is in each direction, without rays.

use std::f64::consts::TAU;

/// Directions.
pub const BINS: usize = 16;
/// A position and orientation: a body's origin and its rotation matrix, row by row.
#[derive(Clone, Copy, Debug)]
pub struct Frame {
    /// Origin in the world.
    pub at: [f64; 3],
    /// Rotation matrix; its columns are the body's axes.
    pub axes: [f64; 9],
}

/// Write the closeness (0 = `sight` metres away or more, 1 = here) of `objects`, places on the floor, seen from `robot` into `bins`
/// (`[BINS]`; bin `i` looks along `i` times 22.5 degrees from the robot's x axis).
///
/// An object fills the bin that it is in; the neighbours get a share that grows as it nears them.
pub fn pseudo(robot: &Frame, objects: impl Iterator<Item = [f64; 2]>, sight: f64, bins: &mut [f64]) {
    bins.fill(0.0);
    for object in objects {
        // The object counts as lying at height 0, so a tilted robot's height enters.
        let v = [object[0] - robot.at[0], object[1] - robot.at[1], 0.0 - robot.at[2]];
        let along =
            |column: usize| v[0] * robot.axes[column] + v[1] * robot.axes[3 + column] + v[2] * robot.axes[6 + column];
        let (x, y) = (along(0), along(1));
        let closeness = (sight - x.hypot(y)).max(0.0) / sight;
        let width = TAU / BINS as f64;
        let angle = y.atan2(x).rem_euclid(TAU);
        let bin = (angle / width) as usize;
        let share = (angle - width * bin as f64) / width;
        // An angle a rounding error below 0 can come out as a full turn.
        let bin = bin % BINS;
        for (bin, closeness) in [
            (bin, closeness),
            ((bin + 1) % BINS, share * closeness),
            ((bin + BINS - 1) % BINS, (1.0 - share) * closeness),
        ] {
            bins[bin] = bins[bin].max(closeness);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn see(yaw: f64, object: [f64; 2]) -> [f64; BINS] {
        let (sin, cos) = yaw.sin_cos();
        let robot = Frame { at: [0.0, 0.0, 0.1], axes: [cos, -sin, 0.0, sin, cos, 0.0, 0.0, 0.0, 1.0] };
        let mut bins = [f64::NAN; BINS];
        pseudo(&robot, std::iter::once(object), 3.0, &mut bins);
        bins
    }

    /// Rounding of sines, a division by the bin's width (0.39) and a few products: some units in the last place of 1.
    fn close(a: f64, b: f64) -> bool {
        (a - b).abs() < 1e-14
    }

    #[test]
    fn straight_ahead_fills_its_bin_and_the_one_before() {
        let bins = see(0.0, [1.0, 0.0]);
        assert!(close(bins[0], 2.0 / 3.0) && close(bins[15], 2.0 / 3.0) && bins[1] == 0.0);
        assert!(bins[2..15].iter().all(|&bin| bin == 0.0));
    }

    #[test]
    fn the_middle_of_a_bin_shares_with_both_neighbours() {
        let angle = TAU / 32.0;
        let bins = see(0.0, [angle.cos(), angle.sin()]);
        assert!(close(bins[0], 2.0 / 3.0) && close(bins[1], 1.0 / 3.0) && close(bins[15], 1.0 / 3.0));
    }

    #[test]
    fn out_of_range_is_not_seen() {
        assert_eq!(see(0.0, [3.0, 0.0]), [0.0; BINS]);
        assert_eq!(see(0.0, [40.0, 1.0]), [0.0; BINS]);
    }

    #[test]
    fn angles_are_the_robots_not_the_worlds() {
        let bins = see(TAU / 4.0, [0.0, 1.0]);
        let ahead = see(0.0, [1.0, 0.0]);
        // A quarter turn's cosine is 6e-17, not 0: the object may lie a rounding error in bin 15 or in bin 0.
        assert!(close(bins[0].max(bins[15]), ahead[0]));
        assert!(bins[2..15].iter().all(|&bin| close(bin, 0.0)));
    }

    #[test]
    fn tilt_lowers_the_object() {
        // Pitched by 90 degrees, the robot's x axis points down: an object at its feet is straight ahead.
        let robot = Frame { at: [0.0, 0.0, 0.3], axes: [0.0, 0.0, 1.0, 0.0, 1.0, 0.0, -1.0, 0.0, 0.0] };
        let mut bins = [0.0; BINS];
        pseudo(&robot, std::iter::once([0.0, 0.0]), 3.0, &mut bins);
        assert!(close(bins[0], 0.9));
    }
}
