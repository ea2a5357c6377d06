//! Where things stand at the start: rejection sampling in the reference's order of draws.

use crate::numpy::RandomState;

/// Draws for one object before the whole layout starts again.
const TRIES: usize = 100;
/// Layouts started before giving up.
const RESTARTS: usize = 10_000;
/// Draws for a new goal before giving up.
const GOAL_TRIES: usize = 10_000;

/// Place in a layout: position on the floor in metres.
pub type Place = [f64; 2];

/// Rules of a layout: things are placed one after the other in the square, each away from those before.
#[derive(Clone, Debug)]
pub struct Rules {
    /// Half side of the square.
    pub extent: f64,
    /// Keepout radius of each thing.
    pub keepout: Vec<f64>,
}

impl Rules {
    /// Fill `layout` (`[things]`). `false` if none was found in all tries.
    pub fn sample(&self, random: &mut RandomState, layout: &mut [Place]) -> bool {
        (0..RESTARTS).any(|_| (0..layout.len()).all(|i| self.place(random, layout, i, 0..i, TRIES)))
    }

    /// Find a new place for thing `i` among all others. `false`, with the old place kept, if none was found.
    pub fn replace(&self, random: &mut RandomState, layout: &mut [Place], i: usize) -> bool {
        self.place(random, layout, i, 0..layout.len(), GOAL_TRIES)
    }

    /// Draw places for thing `i` until one keeps away from the `others` (itself left out).
    fn place(
        &self,
        random: &mut RandomState,
        layout: &mut [Place],
        i: usize,
        others: std::ops::Range<usize>,
        tries: usize,
    ) -> bool {
        let keepout = self.keepout[i];
        let bound = self.extent - keepout;
        for _ in 0..tries {
            let place = [random.uniform(-bound, bound), random.uniform(-bound, bound)];
            let clear = |j: usize| distance(place, layout[j]) >= self.keepout[j] + keepout;
            if others.clone().filter(|&j| j != i).all(clear) {
                layout[i] = place;
                return true;
            }
        }
        false
    }
}

/// Distance on the floor.
pub fn distance(a: Place, b: Place) -> f64 {
    let [dx, dy] = [a[0] - b[0], a[1] - b[1]];
    (dx * dx + dy * dy).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety_gym::task;

    #[test]
    fn ten_thousand_layouts_keep_their_keepouts() {
        for level in 0..3 {
            let task = task::goal(level);
            let kinds = task.kinds.iter().flat_map(|kind| kind.bodies.iter().map(|_| kind.keepout));
            let rules = Rules { extent: task.extent, keepout: std::iter::once(0.4).chain(kinds).collect() };
            let n = rules.keepout.len();
            let mut layout = vec![[0.0; 2]; n];
            for seed in 0..10_000 {
                let random = &mut RandomState::new(seed);
                assert!(rules.sample(random, &mut layout) && rules.replace(random, &mut layout, 1));
                for i in 0..n {
                    assert!(layout[i].iter().all(|x| x.abs() <= task.extent - rules.keepout[i]));
                    for j in 0..i {
                        assert!(distance(layout[i], layout[j]) >= rules.keepout[i] + rules.keepout[j]);
                    }
                }
            }
        }
    }

    #[test]
    fn a_crowded_square_gives_up() {
        let rules = Rules { extent: 1.0, keepout: vec![0.9, 0.9] };
        let mut layout = [[0.0, 0.0]; 2];
        assert!(!rules.sample(&mut RandomState::new(0), &mut layout));
        layout = [[0.0, 0.0], [0.5, 0.5]];
        assert!(!rules.replace(&mut RandomState::new(0), &mut layout, 1));
        assert_eq!(layout[1], [0.5, 0.5]);
    }
}
