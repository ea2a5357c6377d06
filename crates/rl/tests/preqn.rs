//! Preconditioned Q-learning and the theory of divergence against numbers that an independent program computed, and against the paper's theorem.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::PathBuf;

use serde_json::Value;
use tony_nn::{Rows, Trace};
use tony_random::Stream;
use tony_rl::actor_critic::Nonlinearity;
use tony_rl::algorithms::preqn::{Config, precondition, search, step};
use tony_rl::diagnose::{Kernel, cosine, inner};
use tony_rl::off_policy::{Net, ascend, td_targets};
use tony_rl::replay::Minibatch;

/// The committed extract, then, where it is at hand, the whole oracle.
fn oracles() -> Vec<Value> {
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/oracles/preqn_precondition.json");
    let mut all = vec![serde_json::from_str(include_str!("data/preqn.json")).unwrap()];
    match std::fs::read_to_string(&shared) {
        Ok(text) => all.push(serde_json::from_str(&text).unwrap()),
        Err(_) => eprintln!("skipped: the full oracle is not here; its committed extract was checked"),
    }
    all
}

fn numbers(value: &Value) -> Vec<f64> {
    let Value::Array(values) = value else { return vec![value.as_f64().unwrap()] };
    values.iter().flat_map(numbers).collect()
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

#[track_caller]
fn close(what: &str, got: &[f64], want: &[f64], tolerance: f64) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (got, want) in got.iter().zip(want) {
        assert!((got - want).abs() <= tolerance * want.abs().max(1.0), "{what}: {got} is not {want}");
    }
}

/// The oracle's critic in f64, with 4 units and 3 inputs, and its policy.
#[derive(Clone)]
struct Critic {
    theta: Vec<f64>,
}

const UNITS: usize = 4;
const INPUTS: usize = 3;

impl Critic {
    fn new(main: &Value) -> Self {
        Self { theta: ["W1", "b1", "w2", "b2"].iter().flat_map(|name| numbers(&main[*name])).collect() }
    }

    fn parts(&self) -> (&[f64], &[f64], &[f64], f64) {
        let (w1, rest) = self.theta.split_at(UNITS * INPUTS);
        (w1, &rest[..UNITS], &rest[UNITS..2 * UNITS], rest[2 * UNITS])
    }

    fn z(&self, x: &[f64]) -> Vec<f64> {
        let (w1, b1, ..) = self.parts();
        (0..UNITS).map(|k| inner(&w1[k * INPUTS..][..INPUTS], x) + b1[k]).collect()
    }

    fn value(&self, x: &[f64]) -> f64 {
        let (_, _, w2, b2) = self.parts();
        self.z(x).iter().zip(w2).map(|(z, w)| w * z.sin()).sum::<f64>() + b2
    }

    fn gradient(&self, x: &[f64]) -> Vec<f64> {
        let (_, _, w2, _) = self.parts();
        let z = self.z(x);
        let slopes: Vec<f64> = z.iter().zip(w2).map(|(z, w)| w * z.cos()).collect();
        let mut all: Vec<f64> = slopes.iter().flat_map(|slope| x.iter().map(move |x| slope * x)).collect();
        all.extend(&slopes);
        all.extend(z.iter().map(|z| z.sin()));
        all.push(1.0);
        all
    }

    fn moved(&self, step: f64, direction: &[f64]) -> Self {
        Self { theta: self.theta.iter().zip(direction).map(|(t, d)| t + step * d).collect() }
    }
}

/// The oracle's minibatch.
struct World {
    critic: Critic,
    x: Vec<Vec<f64>>,
    next_x: Vec<Vec<f64>>,
    q: Vec<f64>,
    target: Vec<f64>,
    delta: Vec<f64>,
    live: Vec<f64>,
    j: Vec<Vec<f64>>,
    k: Vec<f64>,
    gamma: f64,
}

fn gram(j: &[Vec<f64>]) -> Vec<f64> {
    j.iter().flat_map(|a| j.iter().map(|b| inner(a, b))).collect()
}

impl World {
    fn new(main: &Value) -> Self {
        let critic = Critic::new(main);
        let (wp, bp) = (numbers(&main["Wp"]), numbers(&main["bp"])[0]);
        let rows = |name: &str| -> Vec<Vec<f64>> { main[name].as_array().unwrap().iter().map(numbers).collect() };
        let x: Vec<Vec<f64>> = rows("obs").into_iter().zip(rows("act")).map(|(o, a)| [o, a].concat()).collect();
        let with_mu = |obs: Vec<f64>| {
            let mu = (inner(&wp, &obs) + bp).tanh();
            [obs, vec![mu]].concat()
        };
        let next_x: Vec<Vec<f64>> = rows("obs2").into_iter().map(with_mu).collect();
        let gamma = number(&main["gamma"]);
        let live: Vec<f64> = numbers(&main["done"]).iter().map(|done| 1.0 - done).collect();
        let q: Vec<f64> = x.iter().map(|x| critic.value(x)).collect();
        let next = next_x.iter().map(|x| critic.value(x));
        let target: Vec<f64> = numbers(&main["rew"])
            .iter()
            .zip(&live)
            .zip(next)
            .map(|((r, live), next)| r + gamma * live * next)
            .collect();
        let delta = target.iter().zip(&q).map(|(t, q)| t - q).collect();
        let j: Vec<Vec<f64>> = x.iter().map(|x| critic.gradient(x)).collect();
        let k = gram(&j);
        Self { critic, x, next_x, q, target, delta, live, j, k, gamma }
    }

    fn kernel(&self) -> Kernel<'_> {
        Kernel { k: &self.k, n: self.q.len() }
    }

    /// `J' z`.
    fn along(&self, z: &[f64]) -> Vec<f64> {
        (0..self.j[0].len()).map(|p| self.j.iter().zip(z).map(|(j, z)| j[p] * z).sum()).collect()
    }

    /// Values after a step.
    fn after(&self, step: f64, direction: &[f64]) -> Vec<f64> {
        let moved = self.critic.moved(step, direction);
        self.x.iter().map(|x| moved.value(x)).collect()
    }

    fn change(&self, step: f64, direction: &[f64]) -> Vec<f64> {
        self.after(step, direction).iter().zip(&self.q).map(|(after, q)| after - q).collect()
    }
}

#[test]
fn kernel_solution_and_first_order_property_are_the_oracle_s() {
    for oracle in oracles() {
        let main = &oracle["main"];
        let world = World::new(main);
        close("q", &world.q, &numbers(&main["q"]), 1e-12);
        close("delta", &world.delta, &numbers(&main["delta"]), 1e-12);
        close("jacobian", &world.j.concat(), &numbers(&main["jacobian"]), 1e-12);
        close("kernel", &world.k, &numbers(&main["K"]), 1e-12);
        let exact = precondition(world.kernel(), &world.delta, 0.0).unwrap();
        // Condition 122.
        close("Z", &exact.z, &numbers(&main["Z"]), 1e-11);
        assert!(exact.residual < 1e-13);
        // With the algorithm's damping: two rounds leave (2 lambda / s)^2 = 1e-8 of the weakest direction.
        let damped = precondition(world.kernel(), &world.delta, Config::default().damping).unwrap();
        close("Z", &damped.z, &numbers(&main["Z"]), 1e-7);
        close("row ratio", &world.kernel().row_ratios(), &numbers(&main["row_ratio"]), 1e-12);

        let direction = world.along(&exact.z);
        for row in main["rows"].as_array().unwrap() {
            let alpha = number(&row["alpha"]);
            close("values after", &world.after(alpha, &direction), &numbers(&row["q_after"]), 1e-11);
            let change = world.change(alpha, &direction);
            let over_alpha: Vec<f64> = change.iter().map(|c| c / alpha).collect();
            close("change / alpha", &over_alpha, &numbers(&row["dq_over_alpha"]), 1e-9);
            close("cosine", &[cosine(&change, &world.delta)], &numbers(&row["cos_preqn"]), 1e-9);
            let plain: Vec<f64> = world.delta.iter().map(|d| d / world.q.len() as f64).collect();
            let plain = cosine(&world.change(alpha, &world.along(&plain)), &world.delta);
            close("plain cosine", &[plain], &numbers(&row["cos_plain_td"]), 1e-9);
        }
        // Half the step, half the error of first order.
        let error = |alpha: f64| {
            let change = world.change(alpha, &direction);
            let rest: Vec<f64> = change.iter().zip(&world.delta).map(|(c, d)| c / alpha - d).collect();
            inner(&rest, &rest).sqrt()
        };
        let ratio = error(0.002) / error(0.001);
        assert!((ratio - 2.0).abs() < 0.01, "{ratio}");
    }
}

#[test]
fn the_line_search_follows_the_oracle_s_trace() {
    for oracle in oracles() {
        let (world, wanted) = (World::new(&oracle["main"]), &oracle["linesearch"]);
        let direction = world.along(&precondition(world.kernel(), &world.delta, 0.0).unwrap().z);
        let config = Config {
            alpha: number(&wanted["start_alpha"]),
            eta: number(&wanted["eta"]),
            decay: number(&wanted["backtrack"]),
            ..Config::default()
        };
        let mut seen = Vec::new();
        let found = search(&config, |share| {
            let cosine = cosine(&world.change(share, &direction), &world.delta);
            seen.extend([share, cosine]);
            cosine
        });
        let trace = wanted["trace"].as_array().unwrap();
        let expected: Vec<f64> = trace.iter().flat_map(|t| [number(&t["alpha"]), number(&t["cos"])]).collect();
        close("trace", &seen, &expected, 1e-9);
        assert_eq!((found.share, found.first), (Some(0.25), seen[1]));
        let nothing = search(&Config { trials: 3, ..config }, |_| -1.0);
        assert_eq!((nothing.share, nothing.first), (None, -1.0));
    }
}

/// A state that is there twice with two targets: the kernel is singular, and the best that can be done is their mean.
#[test]
fn a_singular_kernel_has_the_shortest_solution_and_never_a_nan() {
    for oracle in oracles() {
        let (world, wanted) = (World::new(&oracle["main"]), &oracle["rank_deficient"]);
        let rows: Vec<usize> = numbers(&wanted["batch_rows"]).iter().map(|row| *row as usize).collect();
        let j: Vec<Vec<f64>> = rows.iter().map(|&row| world.j[row].clone()).collect();
        let (k, delta) = (gram(&j), numbers(&wanted["delta"]));
        close("kernel", &k, &numbers(&wanted["K"]), 1e-12);
        let kernel = Kernel { k: &k, n: rows.len() };
        let solution = precondition(kernel, &delta, Config::default().damping).unwrap();
        // As above; and rounding of 1e-16 is divided by a damping of 3e-6 twice.
        close("Z", &solution.z, &numbers(&wanted["Z_min_norm"]), 1e-6);
        let rest: Vec<f64> = kernel.product(&solution.z).iter().zip(&delta).map(|(image, d)| image - d).collect();
        close("residual", &rest, &numbers(&wanted["residual"]), 1e-6);
        // Without any damping the first factor fails, and what helped is told.
        let helped = precondition(kernel, &delta, 0.0).unwrap();
        assert!(helped.z.iter().all(|z| z.is_finite()) && inner(&helped.z, &helped.z) < 1e9, "{helped:?}");
    }
    let nothing = Kernel { k: &[0.0; 4], n: 2 };
    assert_eq!(precondition(nothing, &[1.0, 2.0], 1e-6), None);
    let broken = Kernel { k: &[f64::NAN; 4], n: 2 };
    assert_eq!(precondition(broken, &[1.0, 2.0], 1e-6), None);
    // A matrix that is no kernel (its eigenvalues are 3 and -1) is damped until it can be factored.
    let indefinite = precondition(Kernel { k: &[1.0, 2.0, 2.0, 1.0], n: 2 }, &[1.0, 0.0], 1e-6);
    assert!(indefinite.is_none_or(|solution| solution.damping >= 0.1));
}

/// A network of the crate with the oracle's parameters, whose layers hold `W` by inputs.
fn network(world: &World) -> Net {
    let mut net = Net::new("q", &[INPUTS, UNITS, 1], Nonlinearity::Sin, 0).unwrap();
    let (w1, b1, w2, b2) = world.critic.parts();
    let by_input = (0..INPUTS).flat_map(|i| (0..UNITS).map(move |k| w1[k * INPUTS + i]));
    let all = by_input.chain(b1.iter().copied()).chain(w2.iter().copied()).chain([b2]);
    net.params = all.map(|p| p as f32).collect();
    net
}

fn narrow(rows: &[Vec<f64>]) -> Vec<f32> {
    rows.concat().iter().map(|x| *x as f32).collect()
}

/// The same through the networks that learn, to what f32 allows (1e-6, times the condition 122 for `Z`).
#[test]
fn the_networks_own_kernel_and_step_are_the_oracle_s() {
    for oracle in oracles() {
        let main = &oracle["main"];
        let world = World::new(main);
        let (mut net, x) = (network(&world), narrow(&world.x));
        let values = net.forward(&x);
        close("q", &values.iter().map(|q| f64::from(*q)).collect::<Vec<_>>(), &world.q, 1e-6);
        let batch = Minibatch {
            reward: numbers(&main["rew"]).iter().map(|r| *r as f32).collect(),
            live: world.live.iter().map(|live| *live as f32).collect(),
            ..Minibatch::default()
        };
        let targets = td_targets(&batch, world.gamma, &net.outputs(&net.params, &narrow(&world.next_x)));
        close("targets", &targets.iter().map(|t| f64::from(*t)).collect::<Vec<_>>(), &world.target, 1e-6);
        net.backward(&[1.0; 4]);
        let mut kernel = vec![0.0; 16];
        net.trace.kernel(&net.mlp, &mut kernel);
        close("kernel", &kernel, &world.k, 1e-6);
        let solution = precondition(Kernel { k: &kernel, n: 4 }, &world.delta, 1e-6).unwrap();
        close("Z", &solution.z, &numbers(&main["Z"]), 1e-4);
        // The step that training takes, whole: Z / b or an optimiser's scale would end elsewhere.
        let delta: Vec<f64> = targets.iter().zip(&values).map(|(t, q)| f64::from(t - q)).collect();
        let config = Config { alpha: 0.05, ..Config::default() };
        let (_, found) = step(&mut net, &x, &values, &delta, &mut kernel, &config).unwrap();
        let wanted = main["rows"].as_array().unwrap().iter().find(|row| number(&row["alpha"]) == 0.05).unwrap();
        assert_eq!(found.share, Some(0.05));
        close("cosine", &[found.first], &[number(&wanted["cos_preqn"])], 1e-5);
        let after: Vec<f64> = net.outputs(&net.params, &x).iter().map(|q| f64::from(*q)).collect();
        close("values after", &after, &numbers(&wanted["q_after"]), 1e-5);
    }
}

#[test]
fn the_policy_s_gradient_is_the_oracle_s() {
    for oracle in oracles() {
        let main = &oracle["main"];
        let world = World::new(main);
        let mut policy = Net::new("policy", &[2, 1], Nonlinearity::Relu, 0).unwrap();
        policy.params = [numbers(&main["Wp"]), numbers(&main["bp"])].concat().iter().map(|p| *p as f32).collect();
        let obs: Vec<f32> = numbers(&main["obs"]).iter().map(|x| *x as f32).collect();
        let objective = ascend(&mut policy, &mut network(&world), &obs, 0.0).unwrap();
        let wanted = &oracle["policy_gradient"];
        close("objective", &[objective], &numbers(&wanted["objective"]), 1e-6);
        // The optimiser descends.
        let ascent: Vec<f64> = policy.grad.iter().map(|g| -f64::from(*g)).collect();
        close("gradient", &ascent, &[numbers(&wanted["grad_Wp"]), numbers(&wanted["grad_bp"])].concat(), 1e-6);
    }
}

/// Differentiating the target, too, gives another kernel: the one that a residual-gradient mistake would have.
#[test]
fn the_residual_gradient_s_kernel_is_not_ours() {
    for oracle in oracles() {
        let world = World::new(&oracle["main"]);
        let residual = |row: usize| -> Vec<f64> {
            let next = world.critic.gradient(&world.next_x[row]);
            world.j[row].iter().zip(next).map(|(j, next)| j - world.gamma * world.live[row] * next).collect()
        };
        let wrong = gram(&(0..4).map(residual).collect::<Vec<_>>());
        close("wrong kernel", &wrong, &numbers(&oracle["wrong_residual_gradient_K"]), 1e-12);
        let mut net = network(&world);
        net.forward(&narrow(&world.x));
        net.backward(&[1.0; 4]);
        let mut ours = vec![0.0; 16];
        net.trace.kernel(&net.mlp, &mut ours);
        assert!((ours[0] - wrong[0]).abs() > 1.0, "{} {}", ours[0], wrong[0]);
    }
}

#[test]
fn contraction_is_judged_as_the_oracle_does() {
    for oracle in oracles() {
        let mut cases = oracle["contraction"].as_array().unwrap().clone();
        cases.push(oracle["two_state_full_rank"]["contraction_check"].clone());
        for case in &cases {
            let (k, rho) = (numbers(&case["K"]), numbers(&case["rho"]));
            let (alpha, gamma) = (number(&case["alpha"]), number(&case["gamma"]));
            let kernel = Kernel { k: &k, n: rho.len() };
            let modulus = kernel.modulus(&rho, alpha, gamma);
            close("modulus", &[modulus], &numbers(&case["modulus"]), 1e-12);
            let (small_step, local) = kernel.conditions(&rho, alpha, gamma);
            assert_eq!(small_step, case["cond1"].as_bool().unwrap());
            // Where data is missing, (17) holds with equality in the oracle and is refused here.
            let missing = rho.contains(&0.0);
            assert_eq!(local, case["cond2"].as_bool().unwrap() && !missing);
            assert_eq!(modulus < 1.0, case["contraction"].as_bool().unwrap());
        }
    }
}

/// One parameter for two states whose values it cannot move apart: preconditioning slows the growth down and does not stop it.
#[test]
fn two_states_diverge_and_converge_as_the_oracle_s_do() {
    for oracle in oracles() {
        let of = &oracle["two_state"];
        let (features, gamma) = (numbers(&of["features"]), number(&of["gamma"]));
        let k: Vec<f64> = features.iter().flat_map(|a| features.iter().map(move |b| a * b)).collect();
        let run = |preconditioned: bool| {
            let mut theta = number(&of["theta0"]);
            for _ in 0..200 {
                let q: Vec<f64> = features.iter().map(|f| f * theta).collect();
                let delta: Vec<f64> = q.iter().map(|q1| gamma * q[1] - q1).collect();
                let z = if preconditioned {
                    precondition(Kernel { k: &k, n: 2 }, &delta, 1e-9).unwrap().z
                } else {
                    delta.iter().map(|d| d / 2.0).collect()
                };
                theta += 0.1 * inner(&features, &z);
            }
            theta
        };
        close("plain", &[run(false)], &numbers(&of["plain_td_alpha_0p1_after_200"]), 1e-9);
        // Damping of 1e-9 twice, over 200 steps of growth.
        close("preconditioned", &[run(true)], &numbers(&of["preqn_alpha_0p1_after_200"]), 1e-6);

        // With two parameters every error can be made, and preconditioned values contract where plain ones grow.
        let of = &oracle["two_state_full_rank"];
        let (k, rho, alpha, gamma) =
            (numbers(&of["K"]), numbers(&of["rho"]), number(&of["alpha"]), number(&of["gamma"]));
        let step = |q: &[f64], preconditioned: bool| -> Vec<f64> {
            let kernel = Kernel { k: &k, n: 2 };
            let delta: Vec<f64> = q.iter().map(|q1| gamma * q[1] - q1).collect();
            let z = if preconditioned {
                precondition(kernel, &delta, 0.0).unwrap().z
            } else {
                delta.iter().zip(&rho).map(|(d, rho)| d * rho).collect()
            };
            q.iter().zip(kernel.product(&z)).map(|(q, change)| q + alpha * change).collect()
        };
        for (name, preconditioned) in [("plain_td", false), ("preqn", true)] {
            let columns = [step(&[1.0, 0.0], preconditioned), step(&[0.0, 1.0], preconditioned)];
            let matrix = [columns[0][0], columns[1][0], columns[0][1], columns[1][1]];
            // The kernel's condition is 2,500.
            close(name, &matrix, &numbers(&of[format!("{name}_matrix")]), 1e-9);
            let mut q = vec![1.0, 1.0];
            let mut growth = 0.0;
            for _ in 0..5_000 {
                let next = step(&q, preconditioned);
                let norm = |q: &[f64]| inner(q, q).sqrt();
                growth = norm(&next) / norm(&q);
                let scale = norm(&next);
                q = next.iter().map(|q| q / scale).collect();
            }
            close(name, &[growth], &numbers(&of[format!("{name}_spectral_radius")]), 1e-6);
        }
    }
}

/// Theorem 2 on random kernels, data and problems: where (16) and (17) hold, iterates approach the optimum by the modulus or faster.
#[test]
fn where_the_conditions_hold_iterates_contract_by_the_modulus() {
    let mut stream = Stream::new(11, "theorem", 0);
    let (states, mut held) = (5, 0);
    for _ in 0..400 {
        let spread = 0.02 * stream.uniform();
        let mut k = vec![0.0; states * states];
        for i in 0..states {
            for j in 0..=i {
                let value = if i == j { stream.range(0.5, 1.5) } else { spread * stream.normal() };
                (k[i * states + j], k[j * states + i]) = (value, value);
            }
        }
        let weights: Vec<f64> = (0..states).map(|_| stream.range(0.2, 1.0)).collect();
        let rho: Vec<f64> = weights.iter().map(|w| w / weights.iter().sum::<f64>()).collect();
        let (alpha, gamma) = (stream.range(0.1, 3.0), stream.range(0.5, 0.9));
        let kernel = Kernel { k: &k, n: states };
        let (small_step, local) = kernel.conditions(&rho, alpha, gamma);
        // Each state leads to one other and pays something; so the optimum is the limit of exact backups.
        let next: Vec<usize> = (0..states).map(|_| stream.below(states)).collect();
        let pay: Vec<f64> = (0..states).map(|_| stream.normal()).collect();
        let backup = |q: &[f64]| -> Vec<f64> { (0..states).map(|s| pay[s] + gamma * q[next[s]]).collect() };
        let optimum = (0..1_000).fold(vec![0.0; states], |q, _| backup(&q));
        let modulus = kernel.modulus(&rho, alpha, gamma);
        let distance = |q: &[f64]| q.iter().zip(&optimum).map(|(q, o)| (q - o).abs()).fold(0.0, f64::max);
        let mut q: Vec<f64> = optimum.iter().map(|o| o + stream.normal()).collect();
        for _ in 0..50 {
            let before = distance(&q);
            let error: Vec<f64> =
                backup(&q).iter().zip(&q).zip(&rho).map(|((t, q), rho)| alpha * rho * (t - q)).collect();
            q.iter_mut().zip(kernel.product(&error)).for_each(|(q, change)| *q += change);
            // The bound holds whether the conditions do or not.
            assert!(distance(&q) <= before * modulus + 1e-12, "{} {before} {modulus}", distance(&q));
        }
        if small_step && local {
            held += 1;
            assert!(modulus < 1.0, "the theorem's conditions and a modulus of {modulus}");
        }
    }
    assert!(held > 30, "the conditions held in {held} of 400 problems only");
}

/// A used trace computes what a fresh one does.
#[test]
fn a_used_trace_changes_nothing() {
    let world = World::new(&oracles()[0]["main"]);
    let mut net = network(&world);
    let x = narrow(&world.x);
    let mut kernels = [vec![0.0; 16], vec![0.0; 16]];
    for kernel in &mut kernels {
        net.forward(&x);
        net.backward(&[1.0; 4]);
        net.trace.kernel(&net.mlp, kernel);
        net.trace.gradient(&net.mlp, Some(&[1.0, 2.0, 3.0, 4.0]), &mut net.grad);
    }
    let mut fresh = Trace::default();
    let mut y = [0.0; 4];
    fresh.forward(&net.mlp, &net.params, &Rows::all(&x, INPUTS), &mut y);
    fresh.backward(&net.mlp, &net.params, &[1.0; 4]);
    let mut kernel = vec![0.0; 16];
    fresh.kernel(&net.mlp, &mut kernel);
    assert!(kernels[0] == kernels[1] && kernels[1] == kernel);
}
