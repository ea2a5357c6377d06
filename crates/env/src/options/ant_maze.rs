//! `AntMaze-v0`: the ant of [`OptionAnt`](super::robots::ANT) in a corridor with two corners, to use options in.
//!
//! Ours. The paper's maze is "modified from MLSH" and not published; this is the plan of Duan et al., *Benchmarking deep reinforcement learning
//! for continuous control* (2016), section 3.5: a corridor of seven square cells of 4 m, three ahead, one to the right, three back.
//! Reward: metres by which the shortest way to the goal became shorter, and 10 at the goal, which ends the episode; so the sum of the first
//! part is the way walked, whatever the steps. The shortest way goes by the corners of the wall between. Falling costs 1 a step and
//! ends nothing, as for options.
//!
//! - observation: the 27 numbers of `OptionAnt`, then the torso's x, y from the start, m
//! - start: at the origin, facing along the corridor, with the ant's noise
//! - goal: within 2 m of the middle of the last cell, two cells to the right of the start

use super::robots;
use crate::frame::{Form, Frame, Shape};
use crate::locomotion::{self, Locomotion, ant};
use crate::mjcf::Element;
use crate::scene::{Scene, View};
use crate::{Context, Env, Result, Spec, Step};

/// Side of a cell, m.
const CELL: f64 = 4.0;
/// Half the thickness of the outer walls, and half their height, m.
const THICK: f64 = 0.5;
const HEIGHT: f64 = 1.0;
/// Numbers of the observation before the place.
const BODY: usize = 27;
/// Middle of the last cell.
const GOAL: [f64; 2] = [0.0, -2.0 * CELL];
/// So near is there.
const NEAR: f64 = 2.0;
const ARRIVED: f64 = 10.0;
/// Where the wall between the corridors ends, and its two sides.
const WALL_END: f64 = 1.5 * CELL;
const WALL: [f64; 2] = [-0.5 * CELL, -1.5 * CELL];

/// Walls by their middle and half lengths in the plane.
const WALLS: [([f64; 2], [f64; 2]); 5] = [
    ([0.5 * CELL, -CELL], [CELL, 0.5 * CELL]),
    ([CELL, 0.5 * CELL + THICK], [1.5 * CELL, THICK]),
    ([CELL, -2.5 * CELL - THICK], [1.5 * CELL, THICK]),
    ([-0.5 * CELL - THICK, -CELL], [THICK, 1.5 * CELL + 2.0 * THICK]),
    ([2.5 * CELL + THICK, -CELL], [THICK, 1.5 * CELL + 2.0 * THICK]),
];

/// Physics, body and falls are those of `OptionAnt`; the way is not.
const TASK: locomotion::Task = locomotion::Task { name: "AntMaze-v0", model, view: View::Above, ..robots::ANT };

fn model() -> Element {
    let wall = |([x, y], [half_x, half_y]): ([f64; 2], [f64; 2])| {
        Element::new("geom")
            .text("type", "box")
            .nums("pos", &[x, y, HEIGHT])
            .nums("size", &[half_x, half_y, HEIGHT])
            .num("conaffinity", 1.0)
    };
    ant::model_among(&ant::GYMNASIUM, WALLS.into_iter().map(wall))
}

/// Length of the shortest way from `at` to the goal.
fn way([x, y]: [f64; 2]) -> f64 {
    let far = |a: [f64; 2], b: [f64; 2]| libm::hypot(a[0] - b[0], a[1] - b[1]);
    let corners = WALL.map(|side| [WALL_END, side]);
    // Does the straight line to `to` cross the wall? It does where it passes one of the wall's sides left of its end.
    let blocked = |to: [f64; 2]| {
        let crosses = |side: f64| {
            let share = (y - side) / (y - to[1]);
            y > WALL[1] && y >= side && to[1] < side && x + share * (to[0] - x) < WALL_END
        };
        WALL.into_iter().any(crosses)
    };
    if !blocked(GOAL) {
        far([x, y], GOAL)
    } else if !blocked(corners[1]) {
        far([x, y], corners[1]) + far(corners[1], GOAL)
    } else {
        far([x, y], corners[0]) + far(corners[0], corners[1]) + far(corners[1], GOAL)
    }
}

/// The ant in its maze.
#[derive(Debug)]
pub struct AntMaze {
    spec: Spec,
    body: Locomotion,
    /// From where it is now to the goal, m.
    left: f64,
}

impl AntMaze {
    /// Compile the model and put the ant at the start.
    pub fn new(context: &Context) -> Result<Self> {
        let body = Locomotion::new(&TASK, context)?;
        let spec = Spec { obs_dim: BODY + 2, ..body.spec().clone() };
        Ok(Self { spec, body, left: 0.0 })
    }

    /// Write where it is; how much shorter the way has become.
    fn proceed(&mut self, obs: &mut [f64]) -> f64 {
        let at = [self.body.simulation().qpos()[0], self.body.simulation().qpos()[1]];
        obs[BODY..].copy_from_slice(&at);
        let left = way(at);
        std::mem::replace(&mut self.left, left) - left
    }
}

impl Env for AntMaze {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> Result<()> {
        self.body.reset(seed, &mut obs[..BODY])?;
        self.proceed(obs);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], costs: &mut [f64]) -> Result<Step> {
        let step = self.body.step(action, &mut obs[..BODY], costs)?;
        let progress = self.proceed(obs);
        let [x, y] = [obs[BODY], obs[BODY + 1]];
        let arrived = libm::hypot(x - GOAL[0], y - GOAL[1]) < NEAR;
        let reward = step.reward + progress + if arrived { ARRIVED } else { 0.0 };
        Ok(Step { reward, terminated: arrived, truncated: step.truncated && !arrived })
    }

    fn save(&self, out: &mut Vec<u8>) {
        self.body.save(out);
    }

    fn load(&mut self, state: &[u8]) -> Result<()> {
        self.body.load(state)?;
        self.left = way([self.body.simulation().qpos()[0], self.body.simulation().qpos()[1]]);
        Ok(())
    }

    fn bare_physics(&mut self) -> Result<u32> {
        self.body.bare_physics()
    }

    fn step_seconds(&self) -> f64 {
        self.body.step_seconds()
    }

    /// The body between its walls, and the goal.
    fn scene(&self) -> Option<Scene> {
        let mut scene = self.body.scene()?;
        scene.mark(&Shape { kind: "goal".to_owned(), form: Form::Disc { at: GOAL, r: NEAR } });
        Some(scene)
    }

    fn frame(&self) -> Frame {
        self.body.frame()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::context;

    #[test]
    fn the_shortest_way_is_known_at_places_and_never_jumps() {
        let cases = [
            // Beside the goal, and straight below the wall.
            ([0.0, -8.0], 0.0),
            ([8.0, -8.0], 8.0),
            // In the turn: by the lower corner (6, -6).
            ([6.0, -4.0], 2.0 + libm::hypot(6.0, 2.0)),
            // At the start: by both corners.
            ([0.0, 0.0], libm::hypot(6.0, 2.0) + 4.0 + libm::hypot(6.0, 2.0)),
            // Above the upper corner in the turn, the lower one is seen past it.
            ([8.0, 0.0], libm::hypot(2.0, 6.0) + libm::hypot(6.0, 2.0)),
        ];
        for (at, length) in cases {
            assert!((way(at) - length).abs() < 1e-12, "{at:?}: {} is not {length}", way(at));
        }
        // Along any line in the open a step changes the way by no more than its length.
        let inside = |[x, y]: [f64; 2]| {
            (-2.0..=10.0).contains(&x) && (-10.0..=2.0).contains(&y) && !(x < WALL_END && y < WALL[0] && y > WALL[1])
        };
        let mut seen = 0;
        for i in 0..120 {
            for j in 0..120 {
                let at = [-2.0 + 0.1 * f64::from(i), -10.0 + 0.1 * f64::from(j)];
                for to in [[at[0] + 0.1, at[1]], [at[0], at[1] + 0.1]] {
                    if inside(at) && inside(to) {
                        assert!((way(at) - way(to)).abs() <= 0.1 + 1e-9, "{at:?} {to:?}");
                        seen += 1;
                    }
                }
            }
        }
        assert!(seen > 10_000);
    }

    #[test]
    fn progress_pays_by_the_metre_walls_hold_and_the_goal_ends_it() {
        let context = context();
        if context.library.is_none() {
            return;
        }
        let (mut env, mut obs) = (AntMaze::new(&context).unwrap(), [0.0; 29]);
        env.reset(0, &mut obs).unwrap();
        let before = way([obs[27], obs[28]]);
        let mut sum = 0.0;
        for t in 0..200 {
            let action: [f64; 8] = std::array::from_fn(|i| libm::sin(0.3 * f64::from(t) + i as f64));
            sum += env.step(&action, &mut obs, &mut []).unwrap().reward;
            sum += f64::from(!(0.2..=1.0).contains(&obs[0]));
        }
        assert!((sum - (before - way([obs[27], obs[28]]))).abs() < 1e-9);
        // Thrown at the outer wall behind it, it bounces.
        let mut place = |x: f64, y: f64, vx: f64| {
            env.reset(0, &mut obs).unwrap();
            let simulation = env.body.simulation_mut();
            let (mut qpos, mut qvel) = (simulation.qpos().to_vec(), simulation.qvel().to_vec());
            (qpos[0], qpos[1], qvel[0]) = (x, y, vx);
            env.body.begin(0, &qpos, &qvel, &mut obs[..BODY]).unwrap();
            env.proceed(&mut obs);
            let mut last = Step::default();
            let mut least = f64::INFINITY;
            for _ in 0..20 {
                last = env.step(&[0.0; 8], &mut obs, &mut []).unwrap();
                least = least.min(obs[27]);
                if last.terminated {
                    break;
                }
            }
            (last, least)
        };
        let (_, least) = place(0.0, 0.0, -20.0);
        assert!(least > -2.2 && least < -1.0, "{least}");
        let (last, _) = place(3.0, -8.0, -5.0);
        assert!(last.terminated && !last.truncated && last.reward > ARRIVED - 1.0, "{last:?}");
    }
}
