//! EMPI: its bounds and line step against recorded answers and on random tables; its updates on hand-made batches.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::PathBuf;

use serde_json::Value;
use tony_env::Context;
use tony_random::Stream;
use tony_rl::algorithm::{Algorithm, Start};
use tony_rl::algorithms;
use tony_rl::algorithms::empi::{
    adapt, divergence_from_kl, improvement_bounds, line_step, measure, penalised_weight, visit_shift,
};
use tony_rl::policy::{Batch, Scratch};
use tony_rl::rollout::{End, Episode, Rollout};
use tony_rl::tabular::{Mdp, Table, mix, trpo_bound};
use tony_run::{Layer, Metrics};

/// The committed extract of the oracle, then, where it is at hand, the whole of it.
fn oracles() -> Vec<Value> {
    let mut all = vec![serde_json::from_str(include_str!("data/empi_bounds.json")).unwrap()];
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/oracles/empi_bounds.json");
    match std::fs::read_to_string(&shared) {
        Ok(text) => all.push(serde_json::from_str(&text).unwrap()),
        Err(_) => eprintln!("skipped: the full oracle empi_bounds.json is not here; its committed extract was checked"),
    }
    all
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn table(value: &Value) -> Table {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn mdp(value: &Value) -> Mdp {
    Mdp {
        gamma: number(&value["gamma"]),
        transition: value["P"].as_array().unwrap().iter().map(table).collect(),
        reward: table(&value["R"]),
        start: numbers(&value["mu"]),
    }
}

/// The oracle's tolerance: both sides are exact but for rounding.
fn close(what: &str, got: f64, want: f64) {
    assert!((got - want).abs() <= 1e-10 * (1.0 + want.abs()), "{what}: {got} is not {want}");
}

#[test]
fn every_quantity_and_bound_of_the_recorded_cases() {
    for case in oracles().iter().flat_map(|oracle| oracle["cases"].as_array().unwrap()) {
        let name = case["name"].as_str().unwrap();
        let (mdp, pi, new) = (mdp(case), table(&case["pi"]), table(&case["pi_new"]));
        let (old, after) = (mdp.evaluate(&pi).unwrap(), mdp.evaluate(&new).unwrap());
        let change = old.compare(&pi, &new);
        let g = mdp.gamma;
        let (lower, upper) = improvement_bounds(change.surrogate, change.epsilon, change.divergence, g);
        let with = |epsilon, divergence| improvement_bounds(change.surrogate, epsilon, divergence, g).0;
        let shift: f64 = old.visits.iter().zip(&after.visits).map(|(old, new)| (new - old).abs()).sum();
        for (key, got) in [
            ("J", old.ret),
            ("J_new", after.ret),
            ("gain", after.ret - old.ret),
            ("L", change.surrogate),
            ("eps", change.epsilon),
            ("eps_sa", change.largest_advantage),
            ("avg_tv", change.divergence),
            ("max_tv", change.largest_divergence),
            ("avg_kl_new_old", change.kl),
            ("lower_tv", lower),
            ("upper_tv", upper),
            ("lower_kl", with(change.epsilon, divergence_from_kl(change.kl))),
            ("lower_eps_sa", with(change.largest_advantage, change.divergence)),
            ("lower_trpo", trpo_bound(change.surrogate, change.largest_advantage, change.largest_divergence, g)),
            ("l1_d", shift),
            ("lemma3_rhs", visit_shift(change.divergence, g)),
        ] {
            close(&format!("{name} {key}"), got, number(&case["expect"][key]));
        }
        close(name, old.visits.iter().sum(), 1.0);
        for (got, want) in old.visits.iter().zip(numbers(&case["expect"]["d_pi"])) {
            close(name, *got, want);
        }
        for (got, want) in old.advantage.iter().flatten().zip(table(&case["expect"]["A_pi"]).concat()) {
            close(name, *got, want);
        }
        let line = &case["line"];
        let greedy = old.greedy();
        assert_eq!(greedy, table(&line["greedy"]), "{name}");
        let all = old.compare(&pi, &greedy);
        let (alpha, bound) = line_step(all.surrogate, all.epsilon, all.divergence, g);
        let there = mdp.evaluate(&mix(&pi, &greedy, alpha)).unwrap();
        for (key, got) in [
            ("L_greedy", all.surrogate),
            ("eps_greedy", all.epsilon),
            ("T_greedy", all.divergence),
            ("alpha_star", alpha),
            ("bound_at_star", bound),
            ("J", old.ret),
            ("J_new", there.ret),
        ] {
            close(&format!("{name} line {key}"), got, number(&line[key]));
        }
    }
}

#[test]
fn the_recorded_run_step_by_step() {
    for run in oracles().iter().flat_map(|oracle| oracle["runs"].as_array().unwrap()) {
        let (mdp, mut pi) = (mdp(run), table(&run["pi0"]));
        for (k, want) in numbers(&run["J"]).into_iter().enumerate() {
            let old = mdp.evaluate(&pi).unwrap();
            let greedy = old.greedy();
            let all = old.compare(&pi, &greedy);
            let (alpha, bound) = line_step(all.surrogate, all.epsilon, all.divergence, mdp.gamma);
            close(&format!("return of iteration {k}"), old.ret, want);
            // Once the policy is greedy, L and T are roundings of 0 and their quotient is anything.
            if bound > 1e-9 {
                close(&format!("share of iteration {k}"), alpha, number(&run["alpha"][k]));
                close(&format!("bound of iteration {k}"), bound, number(&run["bound"][k]));
            }
            pi = mix(&pi, &greedy, alpha);
        }
        if numbers(&run["J"]).len() == 200 {
            close("the optimum", mdp.evaluate(&pi).unwrap().ret, number(&run["J_optimal"]));
        }
    }
}

/// A row of probabilities, none of them 0.
fn distribution(n: usize, stream: &mut Stream) -> Vec<f64> {
    let weights: Vec<f64> = (0..n).map(|_| -libm::log(1.0 - stream.uniform()) + 1e-3).collect();
    let sum: f64 = weights.iter().sum();
    weights.into_iter().map(|w| w / sum).collect()
}

fn random(stream: &mut Stream, gamma: f64) -> (Mdp, Table) {
    let (states, actions) = (2 + stream.below(5), 2 + stream.below(3));
    let mut rows = |n| -> Table { (0..n).map(|_| distribution(states, stream)).collect() };
    let transition = (0..states).map(|_| rows(actions)).collect();
    let start = distribution(states, stream);
    let reward = (0..states).map(|_| (0..actions).map(|_| stream.normal()).collect()).collect();
    let policy = (0..states).map(|_| distribution(actions, stream)).collect();
    (Mdp { gamma, transition, reward, start }, policy)
}

#[test]
fn the_gain_of_any_step_lies_between_its_bounds() {
    let mut stream = Stream::new(1602, "tables", 0);
    let (mut tight, mut beats_trpo) = (0, 0);
    for trial in 0..10_000 {
        let gamma = [0.0, 0.5, 0.8, 0.9, 0.95, 0.99][trial % 6];
        let (mdp, pi) = random(&mut stream, gamma);
        let other: Table = pi.iter().map(|row| distribution(row.len(), &mut stream)).collect();
        let new = mix(&pi, &other, [0.01, 0.1, 0.5, 1.0][trial % 4]);
        let (old, after) = (mdp.evaluate(&pi).unwrap(), mdp.evaluate(&new).unwrap());
        let change = old.compare(&pi, &new);
        let gain = after.ret - old.ret;
        let (lower, upper) = improvement_bounds(change.surrogate, change.epsilon, change.divergence, gamma);
        // Rounding of returns of size 1/(1-gamma).
        let slack = 1e-10 / (1.0 - gamma);
        assert!(lower <= gain + slack && gain <= upper + slack, "{trial}: {lower} {gain} {upper}");
        let with = |epsilon, divergence| improvement_bounds(change.surrogate, epsilon, divergence, gamma).0;
        assert!(with(change.epsilon, divergence_from_kl(change.kl)) <= lower + slack, "{trial}: Pinsker");
        assert!(with(change.largest_advantage, change.divergence) <= lower + slack, "{trial}: B4");
        let trpo = trpo_bound(change.surrogate, change.largest_advantage, change.largest_divergence, gamma);
        assert!(trpo <= lower + slack, "{trial}: TRPO's bound is never the better one");
        let shift: f64 = old.visits.iter().zip(&after.visits).map(|(old, new)| (new - old).abs()).sum();
        assert!(shift <= visit_shift(change.divergence, gamma) + slack, "{trial}: key lemma");
        if gamma == 0.0 {
            assert!((gain - change.surrogate).abs() < 1e-12, "{trial}: without a future the surrogate is the gain");
        }
        tight += usize::from(upper - lower < 0.1);
        beats_trpo += usize::from(trpo < lower - 1e-6);
    }
    assert!(tight > 500 && beats_trpo > 1_000, "the tables test little: {tight} {beats_trpo}");
}

#[test]
fn returns_of_the_line_step_never_fall_and_reach_the_optimum() {
    let mut stream = Stream::new(1602, "runs", 0);
    for trial in 0..1_000 {
        let (mdp, mut pi) = random(&mut stream, 0.8);
        let mut value = vec![0.0; mdp.start.len()];
        let inner = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
        for _ in 0..200 {
            let best = |s: usize| {
                let worth = |(r, next): (&f64, &Vec<f64>)| r + mdp.gamma * inner(next, &value);
                mdp.reward[s].iter().zip(&mdp.transition[s]).map(worth).fold(f64::NEG_INFINITY, f64::max)
            };
            value = (0..value.len()).map(best).collect();
        }
        let optimum = inner(&mdp.start, &value);
        let (mut shares, mut before) = (Vec::new(), f64::NEG_INFINITY);
        for k in 0..400 {
            let old = mdp.evaluate(&pi).unwrap();
            assert!(old.ret >= before - 1e-12, "{trial}: the return fell in iteration {k}");
            if old.ret >= optimum - 1e-9 {
                break;
            }
            let greedy = old.greedy();
            let all = old.compare(&pi, &greedy);
            let (alpha, bound) = line_step(all.surrogate, all.epsilon, all.divergence, mdp.gamma);
            assert!(bound >= 0.0, "{trial}: iteration {k} promises {bound}");
            pi = mix(&pi, &greedy, alpha);
            before = old.ret + bound;
            shares.push(alpha);
        }
        let reached = mdp.evaluate(&pi).unwrap().ret;
        assert!((reached - optimum).abs() < 1e-6, "{trial}: {reached} of {optimum} after {} steps", shares.len());
        assert!(shares.last() >= shares.first(), "{trial}: the steps do not grow: {shares:?}");
    }
}

fn build(settings: &[&str]) -> tony_rl::Result<Box<dyn Algorithm>> {
    let words: Vec<&str> = ["hidden=8", "critic.passes=0"].iter().chain(settings).copied().collect();
    let entry = algorithms::find("empi")?;
    let plan = entry.resolve("probe-action", &[Layer::command_line(&words)?])?;
    entry.build(&plan, Start::new(tony_env::make("probe-action", &Context::default())?.spec(), 0))
}

/// Episodes of one step by the algorithm's own policy, paying `1 - (action - sign/2)^2`.
fn experience(algorithm: &dyn Algorithm, update: u64) -> Rollout {
    let mut rollout = Rollout::new(2, 1, 0, 2_000);
    let mut stream = Stream::new(9, "experience", update);
    for row in 0..2_000 {
        rollout.obs[2 * row] = if stream.below(2) == 1 { 1.0 } else { -1.0 };
        let (obs, act) = (&rollout.obs[2 * row..][..2], &mut rollout.act[row..=row]);
        rollout.log_prob[row] = algorithm.actor().act(obs, &mut [], &mut stream, act, &mut Scratch::default());
        let miss = act[0] - 0.5 * rollout.obs[2 * row];
        rollout.reward[row] = 1.0 - miss * miss;
        let ret = f64::from(rollout.reward[row]);
        rollout.ends.push(End { row, terminated: true, episode: Some(Episode { ret, length: 1 }) });
    }
    rollout.final_obs = vec![0.0; 4_000];
    rollout.update = update;
    rollout
}

fn bits(algorithm: &dyn Algorithm) -> Vec<u32> {
    algorithm.learner().unwrap().policy.params().iter().map(|p| p.to_bits()).collect()
}

fn update(algorithm: &mut dyn Algorithm, rollout: &Rollout) -> impl Fn(&str) -> f64 + use<> {
    let mut metrics = Metrics::new();
    algorithm.update(rollout, &mut metrics).unwrap();
    move |name: &str| metrics.get(name).unwrap_or_else(|| panic!("no {name}"))
}

#[test]
fn half_of_the_mean_ratio_change_is_the_divergence() {
    // Ratios 1.2 and 0.8 by turns: mean |rho - 1| = 0.2.
    let log_probs: Vec<f32> = (0..100).map(|i| if i % 2 == 0 { 1.2_f32.ln() } else { 0.8_f32.ln() }).collect();
    let advantage: Vec<f32> =
        (0..100).map(|i| if i < 50 { 1.0 } else { -0.5 } * if i % 2 == 0 { 1.0 } else { -1.0 }).collect();
    let measured = measure(&log_probs, &[0.0; 100], &advantage, 2);
    // Half the rows gain 0.2 each, half lose 0.1; the two chunks are these halves. Logarithms in f32.
    for (got, want) in [(measured.divergence, 0.1), (measured.surrogate, 0.05), (measured.epsilon, 0.2)] {
        assert!((got - want).abs() < 1e-6, "{measured:?}");
    }
    // At gamma 1/2: 2 L - 4 eps T.
    assert!((measured.promise(0.5, 1.0) - (0.1 - 4.0 * 0.2 * 0.1)).abs() < 1e-6);
    assert!((measured.promise(0.5, 0.25) - (0.1 - 0.2 * 0.1)).abs() < 1e-6);
}

#[test]
fn the_penalised_weight_is_the_derivative_of_the_penalised_surrogate() {
    let (a, c) = (0.7_f64, 0.3_f64);
    for log_ratio in [-1.0_f64, -0.2, 0.1, 0.8] {
        let value = |l: f64| libm::expm1(l) * a - c * libm::expm1(l).abs();
        let numeric = (value(log_ratio + 1e-6) - value(log_ratio - 1e-6)) / 2e-6;
        let weight = f64::from(penalised_weight(log_ratio as f32, a as f32, c as f32));
        assert!((numeric - weight).abs() < 1e-6, "{log_ratio}: {numeric} {weight}");
    }
    // The first step is the plain policy gradient; then |A| < c is pulled back from either side, |A| > c goes on.
    assert_eq!(penalised_weight(0.0, 0.2, 0.3), 0.2);
    assert!(penalised_weight(0.1, 0.2, 0.3) < 0.0 && penalised_weight(-0.1, 0.2, 0.3) > 0.0);
    assert!(penalised_weight(0.1, 0.4, 0.3) > 0.0);
    assert!(penalised_weight(80.0, 1.0, 0.0).is_finite());
}

#[test]
fn the_coefficient_follows_the_divergence() {
    for (halved, divergence, factor) in
        [(false, 0.03, 1.0 / 1.5), (false, 0.05, 1.0), (false, 0.076, 1.5), (true, 0.01, 1.5), (false, 0.034, 1.0)]
    {
        assert_eq!(adapt(2.0, halved, divergence, 0.05), 2.0 * factor, "{halved} {divergence}");
    }
}

#[test]
fn an_accepted_update_is_what_it_says() {
    for kappa in ["0", "0.01", "1"] {
        let mut empi = build(&["gamma=0.5", &format!("kappa={kappa}"), "log_std=-0.5"]).unwrap();
        let rollout = experience(empi.as_ref(), 0);
        let mut advantage = empi.learner().unwrap().estimate(&rollout).advantage;
        let unit = tony_rl::actor_critic::standardise(&mut advantage);
        let told = update(empi.as_mut(), &rollout);
        let log_probs = empi.learner().unwrap().policy.log_probs(&Batch::all(&rollout));
        let found = measure(&log_probs, &rollout.log_prob, &advantage, 50);
        assert!(found.surrogate > 0.0 && found.divergence > 0.0, "{kappa}: {found:?}");
        // What is logged is what can be measured afterwards, in units of the reward.
        for (name, want) in [
            ("Empi/Surrogate", unit * found.surrogate),
            ("Empi/Divergence", found.divergence),
            ("Empi/Epsilon", unit * found.epsilon),
            ("Empi/Bound", unit * found.promise(0.5, 1.0)),
        ] {
            assert_eq!(told(name), want, "{kappa}: {name}");
        }
        assert!(found.promise(0.5, kappa.parse().unwrap()) >= 0.0);
    }
}

#[test]
fn a_step_whose_bound_never_holds_is_taken_back_bit_for_bit() {
    // At gamma 0.9999 the penalty is 20,000 times what a step of any length can gain.
    let mut empi = build(&["gamma=0.9999", "kappa=1", "lr=0.01"]).unwrap();
    let rollout = experience(empi.as_ref(), 0);
    let before = bits(empi.as_ref());
    let first = update(empi.as_mut(), &rollout);
    assert_eq!(bits(empi.as_ref()), before);
    assert_eq!((first("Empi/Halvings"), first("Empi/Bound"), first("Empi/Divergence")), (11.0, 0.0, 0.0));
    let second = update(empi.as_mut(), &rollout);
    assert_eq!(second("Empi/Coefficient"), 1.5 * first("Empi/Coefficient"));
}

/// Where all advantages are equal there is nothing to gain; where there is no future there is no penalty.
#[test]
fn edges() {
    let mut empi = build(&["gamma=0"]).unwrap();
    let mut rollout = experience(empi.as_ref(), 0);
    let told = update(empi.as_mut(), &rollout);
    assert!((told("Empi/Bound") - told("Empi/Surrogate")).abs() < 1e-15 && told("Empi/Halvings") == 0.0);
    rollout.obs.fill(0.5);
    rollout.reward.fill(3.0);
    let before = bits(empi.as_ref());
    let still = update(empi.as_mut(), &rollout);
    assert_eq!(bits(empi.as_ref()), before);
    assert_eq!((still("Empi/Surrogate"), still("Empi/Halvings")), (0.0, 0.0));
    for settings in [["gamma=1"], ["standardise=true"]] {
        let error = build(&settings).err().unwrap().to_string();
        assert!(error.contains("gamma below 1"), "{error}");
    }
}

/// A line holds what the update before it promised beside what happened since.
#[test]
fn a_promise_stands_beside_what_happened() {
    let mut empi = build(&["gamma=0.5", "kappa=0.01"]).unwrap();
    let mut last: Option<(f64, f64)> = None;
    for t in 0..4 {
        let rollout = experience(empi.as_ref(), t);
        let mut metrics = Metrics::new();
        empi.update(&rollout, &mut metrics).unwrap();
        let ret = rollout.mean_return().unwrap();
        assert_eq!(metrics.get("Empi/Happened"), last.map(|(before, _)| ret - before), "update {t}");
        match (metrics.get("Empi/Promised"), last) {
            (None, None) => assert_eq!(t, 0),
            // The bound is linear in kappa; a few roundings.
            (Some(told), Some((_, promise))) => assert!((told - promise).abs() < 1e-12, "update {t}: {told} {promise}"),
            other => panic!("{other:?}"),
        }
        let of = |name: &str| metrics.get(name).unwrap();
        last = Some((ret, 0.01 * of("Empi/Bound") + 0.99 * 2.0 * of("Empi/Surrogate")));
    }
}
