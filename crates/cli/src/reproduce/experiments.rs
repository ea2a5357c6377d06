//! Measurements without training that recipes name: identities, bounds and small exact problems.

use tony_random::Stream;
use tony_rl::algorithms::empi::{improvement_bounds, line_step, visit_shift};
use tony_rl::algorithms::pid_lagrangian::{Config, Control, Controller};
use tony_rl::tabular::{Evaluation, Mdp, Table, mix, trpo_bound};

/// One experiment.
pub struct Experiment {
    /// Its name in recipes.
    pub id: &'static str,
    /// Names of the values that it measures.
    pub values: &'static [&'static str],
    /// Measure them, in that order.
    pub measure: fn(seed: u64) -> Vec<f64>,
}

/// Every experiment.
pub const ALL: &[Experiment] = &[
    Experiment {
        id: "empi-bounds",
        values: &["violations", "lemma_violations", "tighter_than_trpo"],
        measure: empi_bounds,
    },
    Experiment { id: "empi-line", values: &["worst_fall", "gap", "growth"], measure: empi_line },
    Experiment {
        id: "pid-plant",
        values: &["peak_i", "peak_pi", "peak_pid", "unrest_i", "unrest_pi"],
        measure: pid_plant,
    },
];

/// The experiment called `id`.
pub fn find(id: &str) -> Option<&'static Experiment> {
    ALL.iter().find(|experiment| experiment.id == id)
}

/// Numbers that add up to 1.
fn distribution(n: usize, stream: &mut Stream) -> Vec<f64> {
    let drawn: Vec<f64> = (0..n).map(|_| 0.01 + stream.uniform()).collect();
    let sum: f64 = drawn.iter().sum();
    drawn.into_iter().map(|x| x / sum).collect()
}

fn policy(mdp: &Mdp, stream: &mut Stream) -> Table {
    mdp.reward.iter().map(|rewards| distribution(rewards.len(), stream)).collect()
}

/// A decision process of two to six states with two or three actions each, rewards normal.
fn random_mdp(gamma: f64, stream: &mut Stream) -> Mdp {
    let (states, actions) = (2 + stream.below(5), 2 + stream.below(2));
    let mut table = |row: &mut dyn FnMut(&mut Stream) -> Vec<f64>| (0..states).map(|_| row(stream)).collect::<Table>();
    let reward = table(&mut |stream| (0..actions).map(|_| stream.normal()).collect());
    let start = distribution(states, stream);
    let transition = (0..states).map(|_| (0..actions).map(|_| distribution(states, stream)).collect()).collect();
    Mdp { gamma, transition, reward, start }
}

/// 2,000 random pairs of policies: how often a gain is outside its bounds, how often visits change more than the lemma allows (both
/// beyond rounding), and in what share of the pairs the bound is at least as high as TRPO's.
fn empi_bounds(seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "empi-bounds", 0);
    let (mut violations, mut lemma, mut tighter) = (0, 0, 0);
    for _ in 0..2000 {
        let gamma = 0.95 * stream.uniform();
        let mdp = random_mdp(gamma, &mut stream);
        let (old, new) = (policy(&mdp, &mut stream), policy(&mdp, &mut stream));
        let Some((before, after)) = mdp.evaluate(&old).zip(mdp.evaluate(&new)) else { continue };
        let change = before.compare(&old, &new);
        let (low, high) = improvement_bounds(change.surrogate, change.epsilon, change.divergence, gamma);
        let gain = after.ret - before.ret;
        violations += usize::from(gain < low - 1e-10 || gain > high + 1e-10);
        let moved: f64 = before.visits.iter().zip(&after.visits).map(|(a, b)| (a - b).abs()).sum();
        lemma += usize::from(moved > visit_shift(change.divergence, gamma) + 1e-10);
        let trpo = trpo_bound(change.surrogate, change.largest_advantage, change.largest_divergence, gamma);
        tighter += usize::from(low >= trpo - 1e-10);
    }
    vec![violations as f64, lemma as f64, tighter as f64 / 2000.0]
}

/// 200 exact line steps on each of 40 processes at gamma 0.8: the largest fall of a return, the largest distance from the optimum at
/// the end, and the mean growth of the step.
fn empi_line(seed: u64) -> Vec<f64> {
    let mut stream = Stream::new(seed, "empi-line", 0);
    let (mut worst, mut gap, mut growth) = (0.0_f64, 0.0_f64, 0.0);
    for _ in 0..40 {
        let mdp = random_mdp(0.8, &mut stream);
        let mut pi = policy(&mdp, &mut stream);
        let (mut last, mut alphas) = (f64::NEG_INFINITY, Vec::new());
        for _ in 0..200 {
            let Some(now) = mdp.evaluate(&pi) else { continue };
            worst = worst.max(last - now.ret);
            last = now.ret;
            let greedy = now.greedy();
            let all = now.compare(&pi, &greedy);
            let (alpha, _) = line_step(all.surrogate, all.epsilon, all.divergence, mdp.gamma);
            alphas.push(alpha);
            pi = mix(&pi, &greedy, alpha);
        }
        let ends = alphas.first().zip(alphas.last());
        growth += ends.map_or(0.0, |(first, last)| last - first) / 40.0;
        gap = gap.max(optimum(&mdp, pi.clone()).map_or(f64::INFINITY, |best| best - last));
    }
    vec![worst, gap, growth]
}

/// The largest return there is, by policy iteration.
fn optimum(mdp: &Mdp, start: Table) -> Option<f64> {
    let mut pi = start;
    loop {
        let Evaluation { ret, .. } = mdp.evaluate(&pi)?;
        let greedy = mdp.evaluate(&pi)?.greedy();
        if mdp.evaluate(&greedy)?.ret <= ret + 1e-14 {
            return Some(ret);
        }
        pi = greedy;
    }
}

/// A plant of one number under the controller: `x += (1 - u) - u` with `u = lambda / (1 + lambda)`, cost `x`, limit 25, from a start that
/// differs a little with the seed. The largest cost, and the mean distance from the limit over the last 200 of 400 steps.
fn pid_plant(seed: u64) -> Vec<f64> {
    let start = if seed == 0 { 0.0 } else { 2.0 * Stream::new(seed, "plant", 0).uniform() };
    let run = |kp: f64, kd: f64| {
        let config = Config {
            control: Control::Pid,
            init: 0.0,
            cost_scale: 1.0,
            kp,
            ki: 0.01,
            kd,
            ema_p: 0.0,
            ema_d: 0.0,
            delay: 1,
            ..Config::default()
        };
        let (mut controller, mut x) = (Controller::new(&config), start);
        let (mut peak, mut unrest) = (f64::NEG_INFINITY, 0.0);
        for step in 0..400 {
            let multiplier = controller.step(&config, x, 25.0);
            peak = f64::max(peak, x);
            unrest += if step >= 200 { (x - 25.0).abs() / 200.0 } else { 0.0 };
            let u = multiplier / (1.0 + multiplier);
            x += (1.0 - u) - u;
        }
        (peak, unrest)
    };
    let (i, pi, pid) = (run(0.0, 0.0), run(0.1, 0.0), run(0.1, 1.0));
    vec![i.0, pi.0, pid.0, i.1, pi.1]
}
