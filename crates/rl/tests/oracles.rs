//! The cores of the papers against numbers that independent programs computed.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::PathBuf;

use serde_json::Value;
use tony_rl::algorithm::Norm;
use tony_rl::algorithms::cpo::{Case, Model, Step, solve};
use tony_rl::algorithms::pid_lagrangian::{Config, Control, Controller};

/// The committed extract of an oracle, then, where it is at hand, the whole of it.
fn oracle(extract: &str, name: &str, rows: &str) -> Vec<Vec<Value>> {
    let parse = |text: &str| serde_json::from_str::<Value>(text).unwrap()[rows].as_array().unwrap().clone();
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/oracles").join(name);
    let mut all = vec![parse(extract)];
    match std::fs::read_to_string(&shared) {
        Ok(text) => all.push(parse(&text)),
        Err(_) => eprintln!("skipped: the full oracle {name} is not here; its committed extract was checked"),
    }
    all
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn inner(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn close(what: &str, got: f64, want: f64, relative: f64) {
    assert!((got - want).abs() <= relative * (1.0 + want.abs()), "{what}: {got} is not {want}");
}

fn case_of(row: &Value) -> Case {
    [Case::Infeasible, Case::Recoverable, Case::Cut, Case::Feasible, Case::NoGradient]
        [row["case"].as_u64().unwrap() as usize]
}

#[test]
fn cpo_solves_every_instance_of_the_dual() {
    let sets = oracle(include_str!("data/cpo_dual.json"), "cpo_dual.json", "instances");
    for row in &sets[0] {
        let name = row["name"].as_str().unwrap();
        let [q, r, s, c, d] = ["q", "r", "s", "c", "D"].map(|key| number(&row[key]));
        let model = Model { q, r: vec![r], s: vec![vec![s]], c: vec![c], bb: vec![number(&row["bb"])], d };
        let step = solve(&model);
        assert_eq!(step.case, case_of(row), "{name}");
        if let Some(lambda) = row["lam"].as_f64() {
            // 1e-9 is the tolerance that the oracle states for a closed form.
            close(name, step.lambda, lambda, 1e-9);
            close(name, step.nu[0], number(&row["nu"]), 1e-9);
        }
        let objective = -step.g_scale * q - step.b_scale[0] * r;
        close(name, objective, number(&row["objective"]), 1e-9);
        close(name, model.predicted_cost(0, &step), number(&row["predicted_cost"]), 1e-9);
    }
    for row in sets.get(1).into_iter().flatten() {
        let name = row["name"].as_str().unwrap();
        let (g, b) = (numbers(&row["g"]), numbers(&row["b"]));
        let h: Vec<Vec<f64>> = row["H"].as_array().unwrap().iter().map(numbers).collect();
        let (h_g, h_b) = (tony_rl::linear::eliminate(&h, &g).unwrap(), tony_rl::linear::eliminate(&h, &b).unwrap());
        let (c, d) = (number(&row["c"]), number(&row["D"]));
        let model = Model {
            q: inner(&g, &h_g),
            r: vec![inner(&b, &h_g)],
            s: vec![vec![inner(&b, &h_b)]],
            c: vec![c],
            bb: vec![inner(&b, &b)],
            d,
        };
        let step = solve(&model);
        assert_eq!(step.case, case_of(row), "{name}");
        for (i, want) in numbers(&row["x"]).iter().enumerate() {
            close(name, -step.g_scale * h_g[i] - step.b_scale[0] * h_b[i], *want, 1e-9);
        }
    }
}

/// Two constraints against exhaustive search: no feasible point near or far in the trust region is better.
#[test]
fn cpo_with_two_constraints_beats_every_feasible_point() {
    let mut stream = tony_random::Stream::new(4, "two", 0);
    let mut cases = [0; 5];
    for _ in 0..200 {
        let mut normal = || stream.normal();
        // H = I, so that the gradients themselves are their images.
        let g = [normal(), normal(), normal()];
        let b = [[normal(), normal(), normal()], [normal(), normal(), normal()]];
        let c = [0.1 * normal(), 0.1 * normal()];
        let model = Model {
            q: inner(&g, &g),
            r: b.iter().map(|b| inner(b, &g)).collect(),
            s: b.iter().map(|x| b.iter().map(|y| inner(x, y)).collect()).collect(),
            c: c.to_vec(),
            bb: b.iter().map(|b| inner(b, b)).collect(),
            d: 0.02,
        };
        let step = solve(&model);
        cases[step.case as usize] += 1;
        let x: Vec<f64> =
            (0..3).map(|i| -step.g_scale * g[i] - step.b_scale[0] * b[0][i] - step.b_scale[1] * b[1][i]).collect();
        assert!(inner(&x, &x) <= 0.02 * (1.0 + 1e-9));
        let feasible = |x: &[f64]| (0..2).all(|k| c[k] + inner(&b[k], x) <= 1e-9);
        let candidates: Vec<Vec<f64>> = (0..2000)
            .map(|_| {
                let v = [stream.normal(), stream.normal(), stream.normal()];
                let radius = (0.02 * stream.uniform()).sqrt() / inner(&v, &v).sqrt();
                v.iter().map(|v| v * radius).collect()
            })
            .filter(|x: &Vec<f64>| feasible(x))
            .collect();
        if step.case == Case::Infeasible {
            assert!(candidates.is_empty(), "there was a feasible point");
            let worst = (0..2).filter(|&k| c[k] > 0.0).map(|k| c[k] * inner(&b[k], &x)).sum::<f64>();
            assert!(worst < 0.0, "recovery raises the violated costs");
        } else {
            assert!(feasible(&x), "{model:?} {step:?}");
            assert!(candidates.iter().all(|y| inner(&g, y) >= inner(&g, &x) - 1e-9), "a better point exists");
        }
    }
    assert!(cases[0] > 0 && cases[1] > 20 && cases[2] > 20, "the instances cover too little: {cases:?}");
}

#[test]
fn a_cost_without_gradient_is_never_divided_by() {
    let model = Model { q: 1.0, r: vec![0.0], s: vec![vec![0.0]], c: vec![5.0], bb: vec![0.0], d: 0.02 };
    let Step { case, g_scale, b_scale, .. } = solve(&model);
    assert_eq!((case, b_scale), (Case::NoGradient, vec![0.0]));
    close("the step of plain TRPO", g_scale, 0.02_f64.sqrt(), 1e-15);
}

fn controller(settings: &Value) -> Config {
    let of = |key: &str, default: f64| settings.get(key).map_or(default, number);
    Config {
        control: Control::Pid,
        norm: match settings.get("mode").and_then(Value::as_str) {
            Some("diff_norm") => Norm::Difference,
            Some("plain") => Norm::Plain,
            _ => Norm::Sum,
        },
        init: of("init", 0.0),
        cost_scale: of("scale", 1.0),
        kp: of("kp", 0.0),
        ki: of("ki", 0.0),
        kd: of("kd", 0.0),
        ema_p: of("ap", 0.0),
        ema_d: of("ad", 0.0),
        delay: of("delay", 1.0) as usize,
        ..Config::default()
    }
}

#[test]
fn the_pid_controller_follows_every_trace() {
    for set in oracle(include_str!("data/pid_traces.json"), "pid_traces.json", "traces") {
        for trace in set.iter().filter(|trace| trace.get("J").is_some()) {
            let name = trace["name"].as_str().unwrap();
            let config = controller(&trace["settings"]);
            let mut state = Controller::new(&config);
            for (k, cost) in numbers(&trace["J"]).into_iter().enumerate() {
                let d = &trace["settings"]["d"];
                let limit = d.as_array().map_or_else(|| number(d), |d| number(&d[k]));
                let lambda = state.step(&config, cost, limit);
                let expect = |column: &str| number(&trace["expect"][column][k]);
                // The oracle's tolerance.
                close(name, lambda, expect("lam"), 1e-12);
                close(name, state.integral, expect("i"), 1e-12);
                close(name, state.proportional, expect("p"), 1e-12);
                close(name, state.smoothed, expect("e"), 1e-12);
                close(name, state.derivative, expect("dc"), 1e-12);
            }
        }
    }
}

/// The plant of the oracle: `x' = x + (1 - u) - u` with cost `x`, limit 25.
#[test]
fn in_closed_loop_proportional_control_damps_and_derivative_control_cuts_the_first_peak() {
    let set = oracle(include_str!("data/pid_traces.json"), "pid_traces.json", "traces").remove(0);
    let mut peaks = Vec::new();
    for trace in set.iter().filter(|trace| trace.get("J").is_none()) {
        let config = controller(&trace["settings"]);
        let mut state = Controller::new(&config);
        let (mut x, mut costs) = (0.0, Vec::new());
        for _ in 0..400 {
            costs.push(x);
            let lambda = state.step(&config, x, 25.0);
            x += 1.0 - 2.0 * lambda / (1.0 + lambda);
        }
        let summary = &trace["summary"];
        let peak = costs.iter().copied().fold(0.0, f64::max);
        let overshoot: f64 = costs.iter().map(|x| (x - 25.0).max(0.0)).sum();
        let late: f64 = costs[200..].iter().map(|x| (x - 25.0).abs()).sum::<f64>() / 200.0;
        // 400 steps of feedback multiply rounding by a few hundred at most.
        close("peak", peak, number(&summary["peak"]), 1e-9);
        close("figure of merit", overshoot, number(&summary["fom"]), 1e-9);
        close("late error", late, number(&summary["mean_abs_err_last200"]), 1e-9);
        peaks.push((peak, late));
    }
    let [i, pi, pid] = peaks[..] else { panic!("three plants") };
    assert!(pid.0 < pi.0 && pi.0 < i.0, "{peaks:?}");
    assert!(pi.1 < 0.1 * i.1, "{peaks:?}");
}
