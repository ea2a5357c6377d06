//! Measurements that recipes name beside trainings: identities, bounds and small exact problems, and comparisons with trainings of their own.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
#[cfg(feature = "lm")]
use std::time::Instant;

#[cfg(feature = "lm")]
use tony_lm::rbr::{Values, Watch};
use tony_nn::{Activation, Init, Mlp, Rows, Trace};
use tony_random::Stream;
use tony_rl::algorithms::empi::{improvement_bounds, line_step, visit_shift};
use tony_rl::algorithms::pid_lagrangian::{Config, Control, Controller};
use tony_rl::algorithms::preqn::precondition;
use tony_rl::diagnose::Kernel;
use tony_rl::tabular::{Evaluation, Mdp, Table, mix, trpo_bound};

#[cfg(feature = "lm")]
use crate::console;
use crate::failure::{Failure, Result};
use crate::signals::Stop;

/// One experiment.
pub struct Experiment {
    /// Its name in recipes.
    pub id: &'static str,
    /// How it is made.
    pub measure: Measure,
}

/// How an experiment is made.
pub enum Measure {
    /// In no time: names of values, and the values of a seed in that order.
    Quick(&'static [&'static str], fn(seed: u64) -> Vec<f64>),
    /// With trainings of its own: names of values, and what measures and keeps them.
    #[cfg_attr(not(feature = "lm"), expect(dead_code, reason = "all of them are of language models"))]
    Long(fn() -> Vec<String>, fn(&Long) -> Result<()>),
}

impl Experiment {
    /// Names of the values that it measures.
    pub fn values(&self) -> Vec<String> {
        match self.measure {
            Measure::Quick(names, _) => names.iter().map(|name| (*name).to_owned()).collect(),
            Measure::Long(names, _) => names(),
        }
    }
}

/// What a long experiment is given.
#[cfg_attr(not(feature = "lm"), expect(dead_code, reason = "all of them are of language models"))]
pub struct Long<'a> {
    /// Its name.
    pub id: &'a str,
    /// Seeds, from 0.
    pub seeds: u64,
    /// Folder of the reproduction.
    pub out: &'a Path,
    /// Trainings side by side, one thread each.
    pub at_once: usize,
    /// Folder of data that is not part of the program.
    pub data: &'a Path,
    /// Whether to stop.
    pub stop: &'a Stop,
}

impl Long<'_> {
    /// Name under which the seconds that were spent are kept.
    pub const SECONDS: &'static str = "seconds";

    fn file(&self, seed: u64) -> PathBuf {
        self.out.join(format!("{}-seed{seed}.json", self.id))
    }

    /// What is known of a seed: values by name.
    pub fn kept(&self, seed: u64) -> Result<BTreeMap<String, f64>> {
        let path = self.file(seed);
        if !path.exists() {
            return Ok(BTreeMap::new());
        }
        serde_json::from_slice(&fs_err::read(&path)?)
            .map_err(|error| Failure::usage("bad_file", format!("{}: {error}", path.display())).hint("delete it"))
    }

    /// Measure each seed of which not all `names` are known, until one does not come to its end: `one` is given the seed, what is known of
    /// it, and who hears of it; what it keeps is kept in a file, with the seconds that were spent.
    #[cfg(feature = "lm")]
    pub fn each_seed(
        &self,
        names: &[String],
        mut one: impl FnMut(u64, Values, &Watch) -> tony_lm::Result<bool>,
    ) -> Result<()> {
        for seed in 0..self.seeds {
            let known = self.kept(seed)?;
            if names.iter().all(|name| known.contains_key(name)) {
                continue;
            }
            let (began, before) = (Instant::now(), known.get(Self::SECONDS).copied().unwrap_or(0.0));
            let keep = |values: &Values| {
                let mut values = values.clone();
                values.insert(Self::SECONDS.to_owned(), before + began.elapsed().as_secs_f64());
                let text = serde_json::to_string_pretty(&values).map_err(std::io::Error::from)?;
                Ok(tony_run::replace(&self.file(seed), text.as_bytes())?)
            };
            let watch = Watch { told: &|text| console::note(text), keep: &keep, stop: &|| self.stop.asked() };
            if !one(seed, known, &watch)? {
                break;
            }
        }
        Ok(())
    }
}

/// Every experiment.
pub const ALL: &[Experiment] = &[
    #[cfg(feature = "lm")]
    super::rbr_world::EXPERIMENT,
    #[cfg(feature = "lm")]
    super::rbr_study::EXPERIMENT,
    Experiment {
        id: "empi-bounds",
        measure: Measure::Quick(&["violations", "lemma_violations", "tighter_than_trpo"], empi_bounds),
    },
    Experiment { id: "empi-line", measure: Measure::Quick(&["worst_fall", "gap", "growth"], empi_line) },
    Experiment {
        id: "pid-plant",
        measure: Measure::Quick(&["peak_i", "peak_pi", "peak_pid", "unrest_i", "unrest_pi"], pid_plant),
    },
    Experiment { id: "preqn-operators", measure: Measure::Quick(&["violations", "worst_ratio"], preqn_operators) },
    Experiment { id: "preqn-two-states", measure: Measure::Quick(&["plain", "preconditioned"], preqn_two_states) },
    Experiment {
        id: "preqn-kernels",
        measure: Measure::Quick(
            &[
                "row_ratio_relu",
                "row_ratio_tanh",
                "row_ratio_sin",
                "row_ratio_relu_shallow",
                "row_ratio_relu_deep",
                "diagonal_narrow",
                "diagonal_wide",
            ],
            preqn_kernels,
        ),
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

/// Q-learning with a constant kernel on 200 random processes of three states and two actions, kernels that meet both conditions of Theorem 2:
/// the share whose modulus is 1 or more, and the largest ratio of what a step leaves of the distance of two value functions to the modulus.
fn preqn_operators(seed: u64) -> Vec<f64> {
    const PAIRS: usize = 6;
    let mut stream = Stream::new(seed, "preqn-operators", 0);
    let (mut tried, mut violations, mut worst) = (0, 0, 0.0_f64);
    while tried < 200 {
        let (alpha, gamma) = (0.1 + 0.8 * stream.uniform(), 0.9 * stream.uniform());
        let rho = distribution(PAIRS, &mut stream);
        let mut k = vec![0.0; PAIRS * PAIRS];
        for i in 0..PAIRS {
            k[i * PAIRS + i] = 1.0 / rho[i];
            for j in 0..i {
                let shared = 0.1 * stream.normal();
                k[i * PAIRS + j] = shared;
                k[j * PAIRS + i] = shared;
            }
        }
        let kernel = Kernel { k: &k, n: PAIRS };
        if kernel.conditions(&rho, alpha, gamma) != (true, true) {
            continue;
        }
        tried += 1;
        let modulus = kernel.modulus(&rho, alpha, gamma);
        violations += usize::from(modulus >= 1.0);
        let next: Table = (0..PAIRS).map(|_| distribution(PAIRS / 2, &mut stream)).collect();
        let reward: Vec<f64> = (0..PAIRS).map(|_| stream.normal()).collect();
        // Pair 2 s + a: the best of a state's two actions counts.
        let step = |q: &[f64]| -> Vec<f64> {
            let best: Vec<f64> = q.chunks_exact(2).map(|pair| pair[0].max(pair[1])).collect();
            let target = |i: usize| reward[i] + gamma * next[i].iter().zip(&best).map(|(p, v)| p * v).sum::<f64>();
            let weighted: Vec<f64> = (0..PAIRS).map(|i| rho[i] * (target(i) - q[i])).collect();
            q.iter().zip(kernel.product(&weighted)).map(|(q, change)| q + alpha * change).collect()
        };
        let mut other = || -> Vec<f64> { (0..PAIRS).map(|_| 10.0 * stream.normal()).collect() };
        let (a, b) = (other(), other());
        let apart = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
        worst = worst.max(apart(&step(&a), &step(&b)) / apart(&a, &b) / modulus);
    }
    vec![violations as f64 / 200.0, worst]
}

/// Two states with features (1, 0) and (2, 0.1), both followed by the second, no reward: the factor by which values end up growing in each
/// step of plain and of preconditioned learning.
fn preqn_two_states(_: u64) -> Vec<f64> {
    const FEATURES: [[f64; 2]; 2] = [[1.0, 0.0], [2.0, 0.1]];
    let (alpha, gamma) = (0.1, 0.99);
    let k: Vec<f64> =
        FEATURES.iter().flat_map(|a| FEATURES.map(|b| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>())).collect();
    let kernel = Kernel { k: &k, n: 2 };
    let radius = |preconditioned: bool| {
        let (mut q, mut growth) = (vec![1.0, 1.0], f64::NAN);
        for _ in 0..5_000 {
            let delta: Vec<f64> = q.iter().map(|value| gamma * q[1] - value).collect();
            let z = if preconditioned {
                precondition(kernel, &delta, 0.0).map_or_else(Vec::new, |solution| solution.z)
            } else {
                delta.iter().map(|delta| delta / 2.0).collect()
            };
            let next: Vec<f64> = q.iter().zip(kernel.product(&z)).map(|(q, change)| q + alpha * change).collect();
            let norm = |q: &[f64]| q.iter().map(|x| x * x).sum::<f64>().sqrt();
            growth = norm(&next) / norm(&q);
            let length = norm(&next);
            q = next.iter().map(|x| x / length).collect();
        }
        growth
    };
    vec![radius(false), radius(true)]
}

/// Kernels of fresh networks with one output on 256 normal inputs of 23 numbers: mean row ratios by activation (two layers of 64), of
/// rectified ones by depth (one and four layers of 64), and mean diagonals of these by width (two layers of 32 and of 256).
fn preqn_kernels(seed: u64) -> Vec<f64> {
    const ROWS: usize = 256;
    const INPUTS: usize = 23;
    let mut stream = Stream::new(seed, "preqn-kernels", 0);
    let data: Vec<f32> = (0..ROWS * INPUTS).map(|_| stream.normal() as f32).collect();
    let mut kernel = |hidden: &[usize], activation: Activation| {
        let Ok(mlp) = Mlp::new(&[&[INPUTS], hidden, &[1]].concat(), activation) else { return (f64::NAN, f64::NAN) };
        let mut params = vec![0.0; mlp.num_params()];
        mlp.init(&mut params, Init::KaimingUniform, &mut stream);
        let (mut trace, mut values, mut k) = (Trace::default(), vec![0.0; ROWS], vec![0.0; ROWS * ROWS]);
        trace.forward(&mlp, &params, &Rows::all(&data, INPUTS), &mut values);
        trace.backward(&mlp, &params, &vec![1.0; ROWS]);
        trace.kernel(&mlp, &mut k);
        let ratios = Kernel { k: &k, n: ROWS }.row_ratios();
        let diagonal = k.iter().step_by(ROWS + 1).sum::<f64>();
        (ratios.iter().sum::<f64>() / ROWS as f64, diagonal / ROWS as f64)
    };
    vec![
        kernel(&[64, 64], Activation::Relu).0,
        kernel(&[64, 64], Activation::Tanh).0,
        kernel(&[64, 64], Activation::Sin).0,
        kernel(&[64], Activation::Relu).0,
        kernel(&[64; 4], Activation::Relu).0,
        kernel(&[32, 32], Activation::Relu).1,
        kernel(&[256, 256], Activation::Relu).1,
    ]
}
