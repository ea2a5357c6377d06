//! Circle and Gather of the CPO paper: Point-Circle and Point-Gather with its kinematic point robot, the others with bodies ([`Creature`]).
//!
//! J. Achiam, D. Held, A. Tamar, P. Abbeel, *Constrained Policy Optimization* (2017), section 8 and appendix 10.3, in the version of
//! the published code: the robot is set to where it goes, and MuJoCo only draws it and gives the centre of mass of its torso, so
//! these tasks need no physics.
//!
//! - action: how far forward (nominally within +-1), and the turn before it in radians (nominally within +-0.25). Nothing in the original clips
//!   them, so the box here is [`REACH`] wide: a policy with a deviation of 1 does not meet its ends.
//! - start: position and heading normal with deviation 0.01. Three velocities, normal with deviation 0.1, are drawn at the start
//!   and never change: the original observes them too.

mod bodies;
mod circle;
mod creature;
mod field;
mod gather;

pub use circle::PointCircle;
pub use creature::{Creature, TASKS, Task};
pub use gather::PointGather;

use crate::frame::{Form, Shape};
use crate::space::Space;
use tony_random::Stream;

/// Bound of each action number.
const REACH: f64 = 10.0;
/// From the robot's origin to the centre of mass of its torso, a sphere of radius 0.5 with an arrow of half size 0.5 x 0.1 x 0.1.
const TORSO_OFFSET: f64 = 0.0426;
const TORSO_HEIGHT: f64 = 0.5;
const RADIUS: f64 = 0.5;

/// The point robot.
#[derive(Clone, Debug, Default, PartialEq)]
struct Robot {
    /// x, y, heading.
    pose: [f64; 3],
    /// Drawn at the start of an episode, observed, and otherwise without meaning.
    velocity: [f64; 3],
}

impl Robot {
    /// Numbers that it observes of itself: pose, velocities, centre of mass.
    const OBSERVED: usize = 9;

    fn start(stream: &mut Stream) -> Self {
        let pose = std::array::from_fn(|_| 0.01 * stream.normal());
        Self { pose, velocity: std::array::from_fn(|_| 0.1 * stream.normal()) }
    }

    /// Turn, then go; positions stay within +- `range`. The displacement that was asked for.
    fn go(&mut self, forward: f64, turn: f64, range: f64) -> [f64; 2] {
        let [x, y, heading] = &mut self.pose;
        *heading += turn;
        let (dx, dy) = (libm::cos(*heading) * forward, libm::sin(*heading) * forward);
        *x = (*x + dx).clamp(-range, range);
        *y = (*y + dy).clamp(-range, range);
        [dx, dy]
    }

    fn heading(&self) -> f64 {
        self.pose[2]
    }

    /// Centre of mass of the torso, seen from above.
    fn centre(&self) -> [f64; 2] {
        let [x, y, heading] = self.pose;
        [x + TORSO_OFFSET * libm::cos(heading), y + TORSO_OFFSET * libm::sin(heading)]
    }

    fn observe(&self, obs: &mut [f64]) {
        let [x, y] = self.centre();
        obs[..3].copy_from_slice(&self.pose);
        obs[3..6].copy_from_slice(&self.velocity);
        obs[6..9].copy_from_slice(&[x, y, TORSO_HEIGHT]);
    }

    fn state(&self) -> [f64; 6] {
        let ([x, y, heading], [vx, vy, turn]) = (self.pose, self.velocity);
        [x, y, heading, vx, vy, turn]
    }

    fn set_state(&mut self, [x, y, heading, vx, vy, turn]: [f64; 6]) {
        *self = Self { pose: [x, y, heading], velocity: [vx, vy, turn] };
    }

    fn shapes(&self) -> [Shape; 2] {
        let (from, heading) = ([self.pose[0], self.pose[1]], self.heading());
        let tip = [from[0] + RADIUS * libm::cos(heading), from[1] + RADIUS * libm::sin(heading)];
        [shape("robot", Form::Disc { at: from, r: RADIUS }), shape("heading", Form::Capsule { from, to: tip, r: 0.1 })]
    }
}

fn actions() -> Space {
    Space::Box { low: vec![-REACH; 2], high: vec![REACH; 2] }
}

fn shape(kind: &str, form: Form) -> Shape {
    Shape { kind: kind.to_owned(), form }
}

/// The circle that pays, in dots, and the two walls at its sides.
fn course(radius: f64, wall: f64) -> impl Iterator<Item = Shape> {
    let walls = [-wall, wall].map(|x| shape("wall", Form::Capsule { from: [x, -radius], to: [x, radius], r: 0.05 }));
    let dots = (0..60).map(move |i| {
        let angle = f64::from(i) * std::f64::consts::TAU / 60.0;
        shape("goal", Form::Disc { at: [radius * libm::cos(angle), radius * libm::sin(angle)], r: 0.15 })
    });
    walls.into_iter().chain(dots)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Env, Step};

    fn act(env: &mut dyn Env, action: [f64; 2], obs: &mut [f64]) -> (Step, f64) {
        let mut cost = [f64::NAN];
        let step = env.step(&action, obs, &mut cost).unwrap();
        (step, cost[0])
    }

    #[test]
    fn the_robot_turns_before_it_goes_and_stays_in_range() {
        let mut robot = Robot::default();
        let moved = robot.go(2.0, std::f64::consts::FRAC_PI_2, 6.0);
        // Cosine of a rounded right angle.
        assert!(moved[0].abs() < 1e-15 && moved[1] == 2.0, "{moved:?}");
        robot.go(100.0, 0.0, 6.0);
        assert_eq!(robot.pose[1], 6.0);
        assert!((robot.centre()[1] - 6.0426).abs() < 1e-12);
    }

    #[test]
    fn circling_pays_by_the_way_round_and_costs_beyond_the_walls() {
        let mut env = PointCircle::new();
        let mut obs = [0.0; 9];
        env.reset(3, &mut obs).unwrap();
        env.place([0.0, -2.0, 0.0]);
        // Counter-clockwise at the bottom of the circle: (x dy - y dx) / (1 + |r - 15|).
        let (step, cost) = act(&mut env, [0.5, 0.0], &mut obs);
        let (x, y) = (0.5 + TORSO_OFFSET, -2.0);
        let expected = 2.0 * 0.5 / (1.0 + (libm::hypot(x, y) - 15.0).abs());
        assert!((step.reward - expected).abs() < 1e-12 && cost == 0.0, "{step:?}");
        // The other way round is paid back.
        let (step, _) = act(&mut env, [-0.5, 0.0], &mut obs);
        assert!(step.reward < 0.0);
        let (_, cost) = act(&mut env, [2.5 - TORSO_OFFSET, 0.0], &mut obs);
        assert_eq!(cost, 1.0, "the wall itself is beyond");
    }

    #[test]
    fn circle_episodes_end_after_50_to_65_steps() {
        let mut env = PointCircle::new();
        let mut obs = [0.0; 9];
        let mut lengths: Vec<usize> = (0..400)
            .map(|seed| {
                env.reset(seed, &mut obs).unwrap();
                1 + (0..200).take_while(|_| !act(&mut env, [0.0, 0.0], &mut obs).0.terminated).count()
            })
            .collect();
        lengths.sort_unstable();
        lengths.dedup();
        assert_eq!(lengths, (50..=65).collect::<Vec<_>>());
    }

    #[test]
    fn things_lie_on_the_even_grid_and_off_the_start() {
        for seed in 0..200 {
            let env = PointGather::laid_out(seed);
            let mut places = env.things().to_vec();
            places.sort_by(|a, b| a.partial_cmp(b).unwrap());
            places.dedup();
            assert_eq!(places.len(), 10);
            let legal = |x: f64| x % 2.0 == 0.0 && (-6.0..=4.0).contains(&x);
            assert!(places.iter().all(|[x, y]| legal(*x) && legal(*y) && x * x + y * y >= 4.0), "{places:?}");
        }
    }

    #[test]
    fn apples_pay_bombs_cost_and_both_vanish() {
        let mut env = PointGather::laid_out(0);
        let mut obs = [0.0; 29];
        // Apples first: onto an apple, then onto a bomb two to the right of nothing else.
        env.set_things(&[[2.0, 0.0], [-6.0, -6.0]], &[[4.0, 0.0]]);
        env.place([0.0, 0.0, 0.0]);
        let (step, cost) = act(&mut env, [1.5, 0.0], &mut obs);
        assert_eq!((step.reward, cost), (10.0, 0.0));
        let (step, cost) = act(&mut env, [2.0, 0.0], &mut obs);
        assert_eq!((step.reward, cost, step.terminated), (-1.0, 1.0, false));
        // Nothing is collected twice; the last thing ends the episode.
        assert_eq!(act(&mut env, [0.0, 0.0], &mut obs).0.reward, 0.0);
        env.place([-6.0, -5.5, 0.0]);
        let (step, _) = act(&mut env, [0.0, 0.0], &mut obs);
        assert!(step.reward == 10.0 && step.terminated);
    }

    #[test]
    fn sensors_see_the_nearer_half_ahead() {
        let mut env = PointGather::laid_out(0);
        let mut obs = [0.0; 29];
        env.set_things(&[[4.0, 0.5], [2.0, 0.25], [0.0, 3.0], [-2.0, 0.0]], &[[0.0, -4.0]]);
        env.place([-TORSO_OFFSET, 0.0, 0.0]);
        act(&mut env, [0.0, 0.0], &mut obs);
        let (apples, bombs) = (&obs[9..19], &obs[19..]);
        // Straight ahead lies on the edge of bins 4 and 5; both apples there are a little to the left, the nearer one counts.
        let near = 1.0 - libm::hypot(2.0, 0.25) / 6.0;
        assert!((apples[5] - near).abs() < 1e-12, "{apples:?}");
        // Exactly to the left is out of the half circle's last bin, and what lies behind is not seen.
        assert_eq!(apples.iter().filter(|&&a| a > 0.0).count(), 1, "{apples:?}");
        // Exactly to the right is the first bin.
        assert!((bombs[0] - (1.0 - 4.0 / 6.0)).abs() < 1e-12, "{bombs:?}");
    }
}
