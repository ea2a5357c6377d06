//! Laws that every environment keeps, checked by running it.
//!
//! Learners rely on each: a number that is not written is read as the last row's, a cost below zero pays for another, a seed
//! that leaks makes runs differ, a state that is not whole makes a resumed run another run.

use crate::frame::Form;
use crate::space::Space;
use crate::{Env, Error, Result, Spec, Step};
use serde::Serialize;
use tony_random::Stream;

/// How an environment keeps the laws.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Environment's full name.
    pub env: String,
    /// Does it keep all?
    pub ok: bool,
    /// One entry a law.
    pub laws: Vec<Law>,
}

/// One law.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Law {
    /// Its name.
    pub law: &'static str,
    /// Is it kept?
    pub ok: bool,
    /// What was seen.
    pub detail: String,
}

/// What was seen; `Err` breaks the law.
type Verdict = std::result::Result<String, String>;

/// Steps of an episode that most laws look at.
const WATCHED: usize = 200;
/// Steps compared after a state was restored.
const RESTORED: usize = 30;

/// Actions of the law `any-action` where one environment is looked at by itself.
pub const ACTIONS: usize = 100_000;

/// Run `env` and see whether it keeps the laws. `random`: do its episodes differ with the seed? ([`crate::Listing::random`])
/// `actions`: how many the law `any-action` takes.
pub fn laws(env: &mut dyn Env, random: bool, actions: usize) -> Report {
    let name = env.spec().name.clone();
    let mut subject = Subject { spec: env.spec().clone(), env, random };
    let laws = [
        ("description", subject.description()),
        ("rows", subject.rows()),
        ("sum-of-costs", subject.sum_of_costs()),
        ("same-seed", subject.same_seed()),
        ("other-seed", subject.other_seed()),
        ("save-load", subject.save_load()),
        ("damaged-state", subject.damaged_state()),
        ("time-limit", subject.time_limit()),
        ("outside-the-box", subject.outside_the_box()),
        ("bad-action", subject.bad_action()),
        ("any-action", subject.any_action(actions)),
    ];
    let laws: Vec<Law> = laws
        .into_iter()
        .map(|(law, verdict)| match verdict {
            Ok(detail) => Law { law, ok: true, detail },
            Err(detail) => Law { law, ok: false, detail },
        })
        .collect();
    Report { env: name, ok: laws.iter().all(|law| law.ok), laws }
}

/// An environment under examination.
struct Subject<'a> {
    spec: Spec,
    env: &'a mut dyn Env,
    random: bool,
}

/// What an agent sees of one step.
#[derive(Clone, Debug)]
struct Moment {
    obs: Vec<f64>,
    costs: Vec<f64>,
    step: Step,
}

impl Moment {
    /// All numbers, bit for bit.
    fn bits(&self) -> Vec<u64> {
        let flags = [f64::from(self.step.terminated), f64::from(self.step.truncated), self.step.reward];
        self.obs.iter().chain(&self.costs).chain(&flags).map(|x| x.to_bits()).collect()
    }

    fn over(&self) -> bool {
        self.step.terminated || self.step.truncated
    }
}

/// Errors of the environment break the law in whose check they turn up.
fn said(error: &Error) -> String {
    format!("it failed: {error}")
}

impl Subject<'_> {
    fn reset(&mut self, seed: u64) -> std::result::Result<Moment, String> {
        let mut obs = vec![f64::NAN; self.spec.obs_dim];
        self.env.reset(seed, &mut obs).map_err(|error| said(&error))?;
        Ok(Moment { obs, costs: Vec::new(), step: Step::default() })
    }

    fn try_step(&mut self, action: &[f64]) -> Result<Moment> {
        let (mut obs, mut costs) = (vec![f64::NAN; self.spec.obs_dim], vec![f64::NAN; self.spec.costs.len()]);
        let step = self.env.step(action, &mut obs, &mut costs)?;
        Ok(Moment { obs, costs, step })
    }

    fn step(&mut self, action: &[f64]) -> std::result::Result<Moment, String> {
        self.try_step(action).map_err(|error| said(&error))
    }

    fn saved(&self) -> Vec<u8> {
        let mut state = Vec::new();
        self.env.save(&mut state);
        state
    }

    fn load(&mut self, state: &[u8]) -> std::result::Result<(), String> {
        self.env.load(state).map_err(|error| said(&error))
    }

    fn draw(&self, stream: &mut Stream) -> Vec<f64> {
        match &self.spec.action {
            Space::Box { low, high } => low.iter().zip(high).map(|(low, high)| stream.range(*low, *high)).collect(),
            Space::Discrete { n } => vec![stream.below(*n) as f64],
        }
    }

    /// Random actions until the episode is over or `steps` are made.
    fn walk(&mut self, seed: u64, steps: usize) -> std::result::Result<Vec<Moment>, String> {
        let mut stream = Stream::new(seed, "check", 0);
        let mut moments = vec![self.reset(seed)?];
        for _ in 0..steps {
            let action = self.draw(&mut stream);
            moments.push(self.step(&action)?);
            if moments.last().is_some_and(Moment::over) {
                break;
            }
        }
        Ok(moments)
    }

    /// The description makes sense.
    fn description(&mut self) -> Verdict {
        let spec = &self.spec;
        let seconds = self.env.step_seconds();
        let distinct = spec.costs.iter().all(|name| spec.costs.iter().filter(|other| *other == name).count() == 1);
        let intervals = match &spec.action {
            Space::Box { low, high } => {
                let proper = |(low, high): (&f64, &f64)| low.is_finite() && high.is_finite() && low < high;
                !low.is_empty() && low.len() == high.len() && low.iter().zip(high).all(proper)
            }
            Space::Discrete { n } => *n > 0,
        };
        let demands = [
            (!spec.name.is_empty(), "it has no name"),
            (spec.obs_dim > 0, "it observes nothing"),
            (intervals, "an action interval is empty or not finite"),
            (spec.max_steps > 0, "its time limit is 0"),
            (distinct, "two cost channels have one name"),
            (spec.costs.last().is_none_or(|last| last == "cost"), "the last cost channel is not `cost`"),
            (seconds > 0.0 && seconds.is_finite(), "a step lasts no time"),
        ];
        if let Some((_, broken)) = demands.iter().find(|(kept, _)| !kept) {
            return Err((*broken).to_owned());
        }
        let (obs, act, costs) = (spec.obs_dim, spec.action.row_len(), spec.costs.len());
        Ok(format!("{obs} numbers observed, {act} acted, {costs} cost channels, {} steps", spec.max_steps))
    }

    /// Every number is written and finite, costs are not negative, pictures can be drawn.
    fn rows(&mut self) -> Verdict {
        let mut seen = 0;
        for seed in 0..3 {
            for (t, moment) in self.walk(seed, WATCHED)?.iter().enumerate() {
                let at = format!("seed {seed}, step {t}");
                let unwritten = |row: &[f64]| row.iter().position(|x| !x.is_finite());
                if let Some(i) = unwritten(&moment.obs) {
                    return Err(format!("{at}: number {i} of the observation is not written or not finite"));
                }
                if let Some(i) = unwritten(&moment.costs) {
                    return Err(format!("{at}: cost `{}` is not written or not finite", self.spec.costs[i]));
                }
                if let Some(i) = moment.costs.iter().position(|&cost| cost < 0.0) {
                    return Err(format!("{at}: cost `{}` is {}, below 0", self.spec.costs[i], moment.costs[i]));
                }
                if !moment.step.reward.is_finite() {
                    return Err(format!("{at}: the reward is {}", moment.step.reward));
                }
                seen += 1;
            }
            if let Some(shape) = self.env.frame().shapes.iter().find(|shape| !drawable(&shape.form)) {
                return Err(format!("seed {seed}: the picture has a `{}` that is not finite", shape.kind));
            }
        }
        Ok(format!("{seen} rows, all finite"))
    }

    /// `cost` is the sum of the other channels, or the indicator of that sum, and always the same of the two.
    fn sum_of_costs(&mut self) -> Verdict {
        let others = self.spec.costs.len().saturating_sub(1);
        if others == 0 {
            return Ok("there are not several costs".to_owned());
        }
        let (mut sums, mut indicates, mut costly) = (true, true, 0);
        for seed in 0..3 {
            for moment in self.walk(seed, WATCHED)?.iter().skip(1) {
                let (parts, total) = (&moment.costs[..others], moment.costs[others]);
                let sum: f64 = parts.iter().sum();
                sums &= (total - sum).abs() <= 1e-9 * sum.max(1.0);
                indicates &= total == if sum > 0.0 { 1.0 } else { 0.0 };
                costly += usize::from(sum > 0.0);
                if !sums && !indicates {
                    return Err(format!("seed {seed}: `cost` is {total} where the channels are {parts:?}"));
                }
            }
        }
        Ok(format!("`cost` is the {} in {costly} costly steps", if sums { "sum" } else { "indicator of the sum" }))
    }

    /// An episode is a function of its seed: what ran before does not matter.
    fn same_seed(&mut self) -> Verdict {
        let first = self.walk(1, WATCHED)?;
        self.walk(2, WATCHED / 2)?;
        let again = self.walk(1, WATCHED)?;
        if first.len() != again.len() {
            return Err(format!("one seed gave episodes of {} and {} steps", first.len() - 1, again.len() - 1));
        }
        match first.iter().zip(&again).position(|(first, again)| first.bits() != again.bits()) {
            Some(t) => Err(format!("one seed gave two episodes: they differ at step {t}")),
            None => Ok(format!("{} steps repeated bit for bit", first.len() - 1)),
        }
    }

    /// Episodes differ with the seed, if they are to.
    fn other_seed(&mut self) -> Verdict {
        // Sixteen seeds: a fair coin tossed at reset shows one face in all of them once in 32,768 environments.
        let mut starts = Vec::new();
        for seed in 0..16 {
            starts.push(self.walk(seed, 1)?.iter().map(Moment::bits).collect::<Vec<_>>());
        }
        // Actions are drawn from the seed too, so only the first observations count.
        let differ = starts.iter().any(|start| start[0] != starts[0][0]);
        match (self.random, differ) {
            (true, true) => Ok("sixteen seeds start differently".to_owned()),
            (true, false) => Err("sixteen seeds start alike".to_owned()),
            (false, true) => Err("it is said not to be random, and its starts differ with the seed".to_owned()),
            (false, false) => Ok("nothing in it is random".to_owned()),
        }
    }

    /// A restored state goes on bit for bit, whatever happened in between.
    fn save_load(&mut self) -> Verdict {
        let length = self.walk(3, WATCHED)?.len() - 1;
        let mut points = vec![0, length / 3, 2 * length / 3, length - 1];
        points.dedup();
        for &point in &points {
            let mut stream = Stream::new(3, "check", 0);
            self.reset(3)?;
            for _ in 0..point {
                let action = self.draw(&mut stream);
                self.step(&action)?;
            }
            let (state, position) = (self.saved(), stream.position());
            let expected = self.go_on(&mut stream)?;
            self.walk(4, 5)?;
            self.load(&state)?;
            if self.saved() != state {
                return Err(format!("saved at step {point}: the state changes by being loaded"));
            }
            stream.seek(position);
            let found = self.go_on(&mut stream)?;
            if found != expected {
                let t = found.iter().zip(&expected).take_while(|(found, expected)| found == expected).count();
                return Err(format!("saved at step {point}: restored, it differs {} steps later", t + 1));
            }
        }
        Ok(format!("restored at steps {points:?}, {} bytes", self.saved().len()))
    }

    /// Bits of what follows from here.
    fn go_on(&mut self, stream: &mut Stream) -> std::result::Result<Vec<Vec<u64>>, String> {
        let mut seen = Vec::new();
        for _ in 0..RESTORED {
            let action = self.draw(stream);
            let moment = self.step(&action)?;
            seen.push(moment.bits());
            if moment.over() {
                break;
            }
        }
        Ok(seen)
    }

    /// A state that is too short or too long is refused, and leaves the present one alone.
    fn damaged_state(&mut self) -> Verdict {
        self.reset(5)?;
        let state = self.saved();
        let longer = [state.as_slice(), &[0]].concat();
        let pieces = [&[], &state[..state.len() / 2], &state[..state.len().saturating_sub(1)], longer.as_slice()];
        for piece in pieces.into_iter().filter(|piece| piece.len() != state.len()) {
            if self.env.load(piece).is_ok() {
                return Err(format!("it loads {} bytes of a state of {}", piece.len(), state.len()));
            }
            if self.saved() != state {
                return Err(format!("refusing {} bytes of a state of {} changed it", piece.len(), state.len()));
            }
        }
        Ok("states of other lengths are refused".to_owned())
    }

    /// The step that reaches the time limit truncates, no other does, and none both truncates and terminates.
    fn time_limit(&mut self) -> Verdict {
        let limit = self.spec.max_steps;
        let moments = self.walk(0, limit + 1)?;
        let steps = moments.len() - 1;
        let Some(Moment { step, .. }) = moments.last() else { return Err("no step was made".to_owned()) };
        if step.truncated && step.terminated {
            return Err(format!("step {steps} both terminates and truncates"));
        }
        if step.truncated && steps != limit {
            return Err(format!("step {steps} truncates, the limit is {limit}"));
        }
        if steps > limit {
            return Err(format!("step {limit} reaches the limit and does not truncate"));
        }
        let end = if step.truncated { "was cut at its limit" } else { "ended before the limit" };
        Ok(format!("an episode of {steps} steps {end}, {limit}"))
    }

    /// A continuous action outside the box is clipped to it; a discrete one that is no index is refused.
    fn outside_the_box(&mut self) -> Verdict {
        self.reset(6)?;
        let state = self.saved();
        match self.spec.action.clone() {
            Space::Box { low, high } => {
                let beyond = |signs: usize| -> (Vec<f64>, Vec<f64>) {
                    let pick = |i: usize| signs >> (i % 2) & 1 == 1;
                    let width = |i: usize| high[i] - low[i];
                    let outside = (0..low.len()).map(|i| if pick(i) { high[i] + width(i) } else { low[i] - width(i) });
                    let inside = (0..low.len()).map(|i| if pick(i) { high[i] } else { low[i] });
                    (outside.collect(), inside.collect())
                };
                for (outside, inside) in (0..4).map(beyond) {
                    self.load(&state)?;
                    let expected = self.step(&inside)?;
                    self.load(&state)?;
                    if self.step(&outside)?.bits() != expected.bits() {
                        return Err(format!("{outside:?} does not do what {inside:?} does"));
                    }
                }
                Ok("actions beyond the bounds do what the bounds do".to_owned())
            }
            Space::Discrete { n } => {
                for index in [n as f64, -1.0, 0.5] {
                    self.load(&state)?;
                    if self.try_step(&[index]).is_ok() {
                        return Err(format!("it takes {index}, and has actions 0 to {}", n - 1));
                    }
                }
                Ok(format!("only 0 to {} are taken", n - 1))
            }
        }
    }

    /// Whatever is done, what comes back is finite: random actions, bounds held and bounds in turns, actions far outside, and actions
    /// that are none in between.
    fn any_action(&mut self, actions: usize) -> Verdict {
        const HELD: usize = 25;
        let (mut stream, mut episodes, mut seen) = (Stream::new(8, "check", 0), 0, 0);
        let mut held = Vec::new();
        while seen < actions {
            self.reset(episodes)?;
            episodes += 1;
            for t in 0..actions - seen {
                if t % HELD == 0 {
                    held = self.corner(&mut stream);
                }
                let action = match stream.below(8) {
                    0 => self.corner(&mut stream),
                    1 => self.outside(&mut stream),
                    2 | 3 => self.draw(&mut stream),
                    4 => {
                        let mut broken = self.draw(&mut stream);
                        let at = stream.below(broken.len());
                        broken[at] = [f64::NAN, f64::INFINITY, -f64::INFINITY][stream.below(3)];
                        if self.try_step(&broken).is_ok() {
                            return Err(format!("seed {}, step {t}: it takes the action {broken:?}", episodes - 1));
                        }
                        held.clone()
                    }
                    _ => held.clone(),
                };
                let moment = self.step(&action).map_err(|said| format!("seed {}, step {t}: {said}", episodes - 1))?;
                seen += 1;
                let finite = |row: &[f64]| row.iter().all(|x| x.is_finite());
                if !finite(&moment.obs) || !finite(&moment.costs) || !moment.step.reward.is_finite() {
                    return Err(format!("seed {}, step {t}: what {action:?} gives is not finite", episodes - 1));
                }
                if moment.over() {
                    break;
                }
            }
        }
        Ok(format!("{seen} actions in {episodes} episodes, all answers finite"))
    }

    /// Every number at one of its bounds; of discrete actions the first or the last.
    fn corner(&self, stream: &mut Stream) -> Vec<f64> {
        match &self.spec.action {
            Space::Box { low, high } => {
                low.iter().zip(high).map(|(low, high)| if stream.below(2) == 0 { *low } else { *high }).collect()
            }
            Space::Discrete { n } => vec![if stream.below(2) == 0 { 0.0 } else { (n - 1) as f64 }],
        }
    }

    /// A corner, a million times as far; of discrete actions any.
    fn outside(&self, stream: &mut Stream) -> Vec<f64> {
        match self.spec.action {
            Space::Box { .. } => self.corner(stream).into_iter().map(|x| 1e6 * x).collect(),
            Space::Discrete { .. } => self.draw(stream),
        }
    }

    /// Not-a-number, infinity and rows of another length are refused, and leave the state alone.
    fn bad_action(&mut self) -> Verdict {
        let good = self.draw(&mut Stream::new(7, "check", 0));
        let poisoned = |i: usize, x: f64| {
            let mut action = good.clone();
            action[i] = x;
            action
        };
        let numbers = [f64::NAN, f64::INFINITY, f64::NEG_INFINITY];
        let mut bad: Vec<Vec<f64>> = (0..good.len()).flat_map(|i| numbers.map(|x| poisoned(i, x))).collect();
        bad.extend([Vec::new(), [good.as_slice(), &[0.0]].concat()]);
        self.reset(7)?;
        let state = self.saved();
        self.load(&state)?;
        let expected = self.step(&good)?;
        for action in bad {
            self.load(&state)?;
            if self.try_step(&action).is_ok() {
                return Err(format!("it takes the action {action:?}"));
            }
            if self.step(&good)?.bits() != expected.bits() {
                return Err(format!("refusing the action {action:?} changed the state"));
            }
        }
        Ok("refused, and the episode can go on".to_owned())
    }
}

fn drawable(form: &Form) -> bool {
    let numbers: &[f64] = match form {
        Form::Disc { at, r } => &[at[0], at[1], *r],
        Form::Rect { at, half, angle } => &[at[0], at[1], half[0], half[1], *angle],
        Form::Capsule { from, to, r } => &[from[0], from[1], to[0], to[1], *r],
    };
    numbers.iter().all(|x| x.is_finite())
}

#[cfg(test)]
mod tests;
