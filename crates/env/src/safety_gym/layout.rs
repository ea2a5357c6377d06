//! Where things stand at the start: rejection sampling in the reference's order of draws.

use crate::numpy::RandomState;
use std::ops::Range;

/// Draws for one object before the whole layout starts again.
pub(super) const TRIES: usize = 100;
/// Layouts started before giving up.
pub(super) const RESTARTS: usize = 10_000;
/// Draws for a new goal before giving up.
const GOAL_TRIES: usize = 10_000;

/// Place in a layout: position on the floor in metres.
pub type Place = [f64; 2];

/// Where a thing may be placed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Area {
    /// Anywhere in the task's square.
    Anywhere,
    /// In this rectangle, given by its lowest and its highest corner.
    Within([Place; 2]),
    /// Here, within a nanometre: such a place is drawn like all others.
    Near(Place),
    /// Here. Nothing is drawn, and nothing keeps away from it.
    Exactly(Place),
}

/// Half the side of the square in which [`Area::Near`] draws.
const NEAR: f64 = 1e-9;

/// Rules of a layout: things are placed one after the other, each away from those before.
#[derive(Clone, Debug, Default)]
pub struct Rules {
    things: Vec<Rule>,
    /// How far others stay from each thing: its keepout, or endlessly less where nothing keeps away from it.
    kept: Vec<f64>,
}

#[derive(Clone, Copy, Debug)]
struct Rule {
    /// Keepout radius.
    keepout: f64,
    /// Lowest and highest place of the centre; none for a thing that is not drawn.
    bounds: Option<[Place; 2]>,
    place: Place,
}

impl Rules {
    /// The next thing: in `area`, wholly inside if that has an extent, or in the square of half side `extent`.
    pub fn push(&mut self, area: Area, extent: f64, keepout: f64) {
        let shrunk = |[low, high]: [Place; 2]| Some([low.map(|x| x + keepout), high.map(|x| x - keepout)]);
        let around = |place: Place, half: f64| [place.map(|x| x - half), place.map(|x| x + half)];
        let (bounds, place) = match area {
            Area::Anywhere => (shrunk(around([0.0; 2], extent)), [0.0; 2]),
            Area::Within(rectangle) => (shrunk(rectangle), [0.0; 2]),
            Area::Near(place) => (shrunk(around(place, keepout + NEAR)), place),
            Area::Exactly(place) => (None, place),
        };
        self.kept.push(if bounds.is_some() { keepout } else { f64::NEG_INFINITY });
        self.things.push(Rule { keepout, bounds, place });
    }

    /// Number of things.
    pub fn len(&self) -> usize {
        self.things.len()
    }

    /// Are there none?
    pub fn is_empty(&self) -> bool {
        self.things.is_empty()
    }

    /// Fill `layout` (`[things]`). If none is found in all tries: the thing that was hardest to place, which is the last that was come to.
    pub fn sample(&self, random: &mut RandomState, layout: &mut [Place]) -> Result<(), usize> {
        let mut hardest = 0;
        for _ in 0..RESTARTS {
            match (0..layout.len()).find(|i| !self.place(random, layout, *i, *i, TRIES)) {
                None => return Ok(()),
                Some(thing) => hardest = hardest.max(thing),
            }
        }
        Err(hardest)
    }

    /// Find a new place for thing `i` among all others. `false`, with the old place kept, if none was found.
    pub fn replace(&self, random: &mut RandomState, layout: &mut [Place], i: usize) -> bool {
        self.place(random, layout, i, layout.len(), GOAL_TRIES)
    }

    /// Draw places for thing `i` until one keeps away from all others before `end`.
    fn place(&self, random: &mut RandomState, layout: &mut [Place], i: usize, end: usize, tries: usize) -> bool {
        let Rule { keepout, bounds, place } = self.things[i];
        let Some([low, high]) = bounds else {
            layout[i] = place;
            return true;
        };
        for _ in 0..tries {
            let place = [random.uniform(low[0], high[0]), random.uniform(low[1], high[1])];
            let clear = |others: Range<usize>| clear(place, keepout, &layout[others.clone()], &self.kept[others]);
            if clear(0..i) && clear(i + 1..end.max(i + 1)) {
                layout[i] = place;
                return true;
            }
        }
        false
    }
}

/// Is the [`distance`] of `place` to each of the `others` at least the sum of the keepouts?
///
/// Squares of all are compared before anything is decided, for a crowded layout takes thousands of places, and a decision at each of the
/// others costs more than the comparison. Only what rounding might decide is looked at again.
fn clear(place: Place, keepout: f64, others: &[Place], kept: &[f64]) -> bool {
    const ROUNDING: f64 = 1e-9;
    let room_at = |other: &Place, kept: f64| {
        let [dx, dy] = [place[0] - other[0], place[1] - other[1]];
        let least = (kept + keepout).max(0.0);
        dx * dx + dy * dy - least * least
    };
    let smaller = |a: f64, b: f64| if b < a { b } else { a };
    // Four side by side: each would wait for the one before.
    let ((fours, rest), (fours_kept, rest_kept)) = (others.as_chunks::<4>(), kept.as_chunks::<4>());
    let mut rooms = [f64::INFINITY; 4];
    for (others, kept) in fours.iter().zip(fours_kept) {
        rooms = std::array::from_fn(|lane| smaller(rooms[lane], room_at(&others[lane], kept[lane])));
    }
    let rest = rest.iter().zip(rest_kept).map(|(other, kept)| room_at(other, *kept));
    let room = rooms.into_iter().chain(rest).fold(f64::INFINITY, smaller);
    room > ROUNDING
        || (room >= -ROUNDING && others.iter().zip(kept).all(|(other, kept)| distance(place, *other) >= kept + keepout))
}

/// Distance on the floor.
pub fn distance(a: Place, b: Place) -> f64 {
    let [dx, dy] = [a[0] - b[0], a[1] - b[1]];
    (dx * dx + dy * dy).sqrt()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::safety_gym::task::{self, Task};
    use crate::safety_gym::{Generation, robots};

    /// The rules of a task, as its environment has them.
    fn rules(task: &Task) -> Rules {
        let mut rules = Rules::default();
        rules.push(task.start, task.extent, task.keepout);
        for kind in &task.kinds {
            kind.areas.iter().for_each(|area| rules.push(*area, task.extent, kind.keepout));
        }
        rules
    }

    #[test]
    fn ten_thousand_layouts_keep_their_keepouts() {
        let of = |level| {
            let generation = Generation::SafetyGymnasium;
            [
                task::goal(generation, level),
                task::button(generation, level),
                task::push(generation, level, &robots::car(generation)),
            ]
        };
        for task in (0..3).flat_map(of) {
            let rules = rules(&task);
            let mut layout = vec![[0.0; 2]; rules.len()];
            for seed in 0..10_000 {
                let random = &mut RandomState::new(seed);
                assert_eq!(rules.sample(random, &mut layout), Ok(()), "{}", task.name);
                assert!(rules.replace(random, &mut layout, 1), "{}", task.name);
                for i in 0..rules.len() {
                    let keepout = rules.things[i].keepout;
                    assert!(layout[i].iter().all(|x| x.abs() <= task.extent - keepout));
                    for j in 0..i {
                        assert!(distance(layout[i], layout[j]) >= keepout + rules.things[j].keepout);
                    }
                }
            }
        }
    }

    #[test]
    fn places_are_clear_where_every_distance_says_so_to_the_last_bit() {
        let random = &mut RandomState::new(0);
        let mut cleared = 0;
        for n in 0..2000 {
            let count = n % 12;
            let mut others: Vec<Place> = (0..count).map(|_| [random.unit(), random.unit()]).collect();
            let mut kept: Vec<f64> = (0..count).map(|_| 0.3 * random.unit()).collect();
            let (place, keepout) = ([random.unit(), random.unit()], 0.2 * random.unit());
            if count > 2 {
                // One that touches, a bit nearer or farther, and one that nothing keeps away from.
                let least: f64 = kept[1] + keepout;
                let reach = [least.next_down(), least, least.next_up()][n % 3];
                others[1] = [place[0] + reach, place[1]];
                kept[2] = f64::NEG_INFINITY;
            }
            let expected = others.iter().zip(&kept).all(|(other, kept)| distance(place, *other) >= kept + keepout);
            assert_eq!(clear(place, keepout, &others, &kept), expected, "{place:?} {keepout} {others:?} {kept:?}");
            cleared += i32::from(expected);
        }
        assert!((200..1800).contains(&cleared), "{cleared}");
    }

    #[test]
    fn a_crowded_square_gives_up() {
        let mut rules = Rules::default();
        rules.push(Area::Anywhere, 1.0, 0.9);
        rules.push(Area::Anywhere, 1.0, 0.9);
        let mut layout = [[0.0, 0.0]; 2];
        assert_eq!(rules.sample(&mut RandomState::new(0), &mut layout), Err(1));
        layout = [[0.0, 0.0], [0.5, 0.5]];
        assert!(!rules.replace(&mut RandomState::new(0), &mut layout, 1));
        assert_eq!(layout[1], [0.5, 0.5]);
    }

    #[test]
    fn fixed_places_are_drawn_only_where_the_reference_draws_them() {
        let mut rules = Rules::default();
        rules.push(Area::Near([1.125, 0.0]), 2.0, 0.0);
        rules.push(Area::Exactly([0.0, 0.5]), 2.0, 0.0);
        rules.push(Area::Within([[-0.2, 16.5], [0.2, 16.5]]), 2.0, 0.0);
        let (mut layout, random) = ([[9.0; 2]; 3], &mut RandomState::new(0));
        assert_eq!(rules.sample(random, &mut layout), Ok(()));
        assert!(layout[0] != [1.125, 0.0] && distance(layout[0], [1.125, 0.0]) < 2e-9);
        assert_eq!((layout[1], layout[2][1]), ([0.0, 0.5], 16.5));
        // Two things drew two numbers each.
        let mut other = RandomState::new(0);
        for _ in 0..4 {
            other.unit();
        }
        assert_eq!(*random, other);
    }
}
