//! Surprise: its formulas against recorded answers, what it adds to an update, and the laws of the training loop around it.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::PathBuf;

use serde_json::Value;
use tony_env::space::Space;
use tony_env::{Context, Env, Spec};
use tony_random::Stream;
use tony_rl::algorithm::Start;
use tony_rl::algorithms::surprise::{lagged, prediction_error, scale};
use tony_rl::dynamics::{Dynamics, Pairs, Replay, constrained_step, followed, kl, log_density};
use tony_rl::rollout::{End, Rollout};
use tony_rl::{Trainer, algorithms, returns};
use tony_run::{Archive, Control, Layer, Training};

/// The committed extract of the oracle, then, where it is at hand, the whole of it.
fn oracles() -> Vec<Value> {
    let mut all = vec![serde_json::from_str(include_str!("data/surprise_bonus.json")).unwrap()];
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/oracles/surprise_bonus.json");
    match std::fs::read_to_string(&shared) {
        Ok(text) => all.push(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            eprintln!("skipped: the full oracle surprise_bonus.json is not here; its committed extract was checked");
        }
    }
    all
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(number).collect()
}

fn tables(value: &Value) -> Vec<Vec<f64>> {
    value.as_array().unwrap().iter().map(numbers).collect()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// The oracle's tolerance.
fn close(what: &str, got: f64, want: f64) {
    near(what, got, want, 1e-9);
}

fn near(what: &str, got: f64, want: f64, relative: f64) {
    assert!((got - want).abs() <= relative * (1.0 + want.abs()), "{what}: {got} is not {want}");
}

#[test]
fn densities_errors_and_divergences() {
    for oracle in oracles() {
        for row in list(&oracle["gaussian_logp"]) {
            let [next, mean, log_std] = ["next_obs", "mean", "log_std"].map(|key| numbers(&row[key]));
            close("log density", log_density(&next, &mean, &log_std), number(&row["log_prob"]));
            close("surprisal", -log_density(&next, &mean, &log_std), number(&row["surprisal"]));
            close("distance", prediction_error(&next, &mean, false), number(&row["l2_error"]));
            close("square", prediction_error(&next, &mean, true), number(&row["squared_error"]));
        }
        let row = &oracle["kl_identities"];
        let of = |name: &str| ([number(&row[name]["mean"])], [libm::log(number(&row[name]["std"]))]);
        let (p, new, old) = (of("P"), of("P_new"), of("P_old"));
        let (to_old, to_new) = (kl(&p.0, &p.1, &old.0, &old.1), kl(&p.0, &p.1, &new.0, &new.1));
        close("KL to the old model", to_old, number(&row["KL_P_Pold"]));
        close("KL to the new model", to_new, number(&row["KL_P_Pnew"]));
        // What progress is in expectation: positive where the model came nearer to the truth.
        close("expected progress", to_old - to_new, number(&row["expected_learning_progress"]));
        let entropy = number(&row["entropy_P"]);
        close("expected surprisal, new", to_new + entropy, number(&row["expected_surprisal_new"]));
        close("expected surprisal, old", to_old + entropy, number(&row["expected_surprisal_old"]));
    }
}

/// Progress in expectation, from the densities themselves: the sign that the identity above only assumes.
#[test]
fn progress_is_the_newer_model_minus_the_older() {
    let oracle = &oracles()[0]["kl_identities"];
    let of = |name: &str| ([number(&oracle[name]["mean"])], [libm::log(number(&oracle[name]["std"]))]);
    let (new, old) = (of("P_new"), of("P_old"));
    let mut stream = Stream::new(1, "progress", 0);
    let n = 400_000;
    let progress = |x: f64| log_density(&[x], &new.0, &new.1) - log_density(&[x], &old.0, &old.1);
    let mean = (0..n).map(|_| progress(stream.normal())).sum::<f64>() / f64::from(n);
    // Its deviation is about 0.7, so the mean of 400,000 draws has one of 0.0011.
    assert!((mean - number(&oracle["expected_learning_progress"])).abs() < 0.006, "{mean}");
}

/// From observations to bonuses, advantages and the critic's targets, for two paths and two linear models.
#[test]
fn a_whole_batch() {
    for oracle in oracles() {
        let all = &oracle["trajectory_bonus"];
        let (gamma, lambda) = (number(&all["gamma"]), number(&all["gae_lambda"]));
        let predict = |model: &Value, obs: &[f64], act: &[f64]| -> (Vec<f64>, Vec<f64>) {
            let input: Vec<f64> = obs.iter().chain(act).copied().collect();
            let row = |(weights, b): (&Vec<f64>, f64)| weights.iter().zip(&input).map(|(w, x)| w * x).sum::<f64>() + b;
            let mean = tables(&model["W"]).iter().zip(numbers(&model["b"])).map(row).collect();
            (mean, numbers(&model["log_std"]))
        };
        let paths = list(&all["paths"]);
        let column = |key: &str| paths.iter().flat_map(|path| numbers(&path[key])).collect::<Vec<f64>>();
        let lengths: Vec<usize> = paths.iter().map(|path| list(&path["rew"]).len()).collect();
        let ends: Vec<End> = lengths
            .iter()
            .scan(0, |sum, n| {
                *sum += n;
                // As in the released code the value after a path is 0, whatever ended it.
                Some(End { row: *sum - 1, terminated: true, episode: None })
            })
            .collect();
        let obs: Vec<Vec<f64>> = paths.iter().flat_map(|path| tables(&path["obs"])).collect();
        let act: Vec<Vec<f64>> = paths.iter().flat_map(|path| tables(&path["act"])).collect();
        for (kind, expected) in all["results"].as_object().unwrap() {
            let mut raw = vec![0.0; obs.len()];
            for row in followed(&ends) {
                let next = &obs[row + 1];
                let (mean, log_std) = predict(&all["new_model"], &obs[row], &act[row]);
                let (old_mean, old_log_std) = predict(&all["old_model"], &obs[row], &act[row]);
                raw[row] = match kind.as_str() {
                    "surprisal" => -log_density(next, &mean, &log_std),
                    "learning_progress" => {
                        log_density(next, &mean, &log_std) - log_density(next, &old_mean, &old_log_std)
                    }
                    "squared_error" => prediction_error(next, &mean, true),
                    "l2_error" => prediction_error(next, &mean, false),
                    other => panic!("{other}"),
                };
            }
            let scaled = scale(&raw, number(&expected["eta0"]), false);
            close(kind, raw.len() as f64, number(&expected["n_steps"]));
            close(kind, scaled.mean, number(&expected["raw_mean"]));
            close(kind, scaled.eta, number(&expected["eta_effective"]));
            let check = |what: &str, got: &[f64], tolerance: f64| {
                for (got, want) in got.iter().zip(tables(&expected[what]).concat()) {
                    near(&format!("{kind} {what}"), *got, want, tolerance);
                }
            };
            check("raw_bonus", &raw, 1e-9);
            check("scaled_bonus", &scaled.bonus, 1e-9);
            let narrow = |column: &[f64]| column.iter().map(|x| *x as f32).collect::<Vec<f32>>();
            let wide = |column: &[f32]| column.iter().map(|x| f64::from(*x)).collect::<Vec<f64>>();
            let (reward, values) = (narrow(&column("rew")), narrow(&column("baseline_values")));
            let both: Vec<f64> = column("rew").iter().zip(&scaled.bonus).map(|(r, bonus)| r + bonus).collect();
            let nothing = vec![0.0; ends.len()];
            let gae = |signal: &[f32], lambda| returns::advantages(signal, &values, &ends, &nothing, gamma, lambda);
            let mut advantage = gae(&narrow(&both), lambda);
            // Columns of a batch are f32.
            check("advantages_unnormalised", &wide(&advantage), 1e-6);
            check("baseline_regression_targets", &wide(&returns::targets(&gae(&reward, 1.0), &values)), 1e-6);
            tony_rl::actor_critic::standardise(&mut advantage);
            check("advantages_centred", &wide(&advantage), 1e-5);
        }
    }
}

#[test]
fn the_coefficient() {
    for row in oracles().iter().flat_map(|oracle| list(&oracle["eta_normaliser"])) {
        let (raw, eta_0) = (numbers(&row["raw"]), number(&row["eta0"]));
        let plain = scale(&raw, eta_0, false);
        close("mean", plain.mean, number(&row["raw_mean"]));
        near("coefficient", plain.eta / eta_0, number(&row["eta_effective"]) / eta_0, 1e-9);
        let lifted = scale(&raw, eta_0, true).bonus;
        for (got, want) in plain.bonus.iter().zip(numbers(&row["scaled"])) {
            near("bonus", got / eta_0, want / eta_0, 1e-9);
        }
        for (got, want) in lifted.iter().zip(numbers(&row["scaled_if_nonnegative_mean"])) {
            near("lifted bonus", got / eta_0, want / eta_0, 1e-9);
        }
        for wrong in ["wrong_eta_if_mean_of_abs", "wrong_eta_if_no_floor"] {
            let same = row[wrong].as_f64().is_none_or(|wrong| (wrong - number(&row["eta_effective"])).abs() < 1e-12);
            assert!(same || (plain.eta - number(&row[wrong])).abs() > 1e-6, "{wrong}");
        }
    }
}

/// A model without hidden layers is a linear one: the formulas in f64, and the model itself in f32.
#[test]
fn the_objective_of_a_fit() {
    for oracle in oracles() {
        let row = &oracle["dynamics_fit_objective"];
        let (x, y) = (tables(&row["X"]), tables(&row["Y"]));
        let said = |params: &Value, x: &[f64]| {
            let w = numbers(&params["w"]);
            ([w[0] * x[0] + w[1] * x[1] + number(&params["b"])], [number(&params["log_std_bias"])])
        };
        let (mut nll, mut moved, mut reversed) = (0.0, 0.0, 0.0);
        for (x, y) in x.iter().zip(&y) {
            let ((mean, log_std), (old_mean, old_log_std)) = (said(&row["params"], x), said(&row["old_params"], x));
            nll -= log_density(y, &mean, &log_std) / 4.0;
            moved += kl(&old_mean, &old_log_std, &mean, &log_std) / 4.0;
            reversed += kl(&mean, &log_std, &old_mean, &old_log_std) / 4.0;
        }
        close("negative log-likelihood", nll, number(&row["nll"]));
        close("KL(old || new)", moved, number(&row["mean_kl_old_new"]));
        close("the wrong direction", reversed, number(&row["wrong_mean_kl_new_old"]));

        let action = Space::Box { low: vec![-1.0], high: vec![1.0] };
        let spec = Spec { name: "linear".to_owned(), obs_dim: 1, action, costs: Vec::new(), max_steps: 1 };
        let mut model = Dynamics::new(&spec, &[], &mut Stream::new(0, "linear", 0)).unwrap();
        let mut pairs = Pairs::default();
        for (x, y) in x.iter().zip(&y) {
            model.put(&[x[0] as f32], &[x[1] as f32], &[y[0] as f32], &mut pairs);
        }
        let flat = |params: &Value| -> Vec<f32> {
            let w = numbers(&params["w"]);
            [w[0], w[1], number(&params["b"]), 0.0, 0.0, number(&params["log_std_bias"])].map(|x| x as f32).to_vec()
        };
        model.params_mut().copy_from_slice(&flat(&row["params"]));
        let [new, old] = ["params", "old_params"].map(|key| model.predict(&flat(&row[key]), &pairs.inputs));
        let coefficient = number(&row["weight_decay_coeff"]);
        // f32 parameters and outputs of size one.
        near("model's likelihood", model.nll(&new, &pairs), number(&row["nll"]), 1e-6);
        near("model's divergence", model.divergence(&old, &new), number(&row["mean_kl_old_new"]), 1e-6);
        near("model's decay", model.decay(coefficient), number(&row["weight_decay_term"]), 1e-6);
        near("model's loss", model.nll(&new, &pairs) + model.decay(coefficient), number(&row["loss"]), 1e-6);
    }
}

#[test]
fn the_constrained_step() {
    for oracle in oracles() {
        let row = &oracle["trust_region_step"];
        let h = tables(&row["H"]);
        let product = |v: &[f64], out: &mut [f64]| {
            out.iter_mut().zip(&h).for_each(|(out, h)| *out = h.iter().zip(v).map(|(h, v)| h * v).sum());
        };
        let step = constrained_step(product, &numbers(&row["g"]), number(&row["kappa"]));
        close("x'Hx", step.curvature, number(&row["xHx"]));
        close("length", step.length, number(&row["initial_step_size"]));
        for (got, want) in step.direction.iter().zip(numbers(&row["cg_solution"])) {
            close("direction", *got, want);
        }
        let moved: Vec<f64> = step.direction.iter().map(|x| -step.length * x).collect();
        for (got, want) in moved.iter().zip(numbers(&row["delta_params"])) {
            close("step", *got, want);
        }
        let mut image = [0.0; 2];
        product(&moved, &mut image);
        close("divergence", 0.5 * (moved[0] * image[0] + moved[1] * image[1]), number(&row["quadratic_model_kl"]));
    }
}

#[test]
fn the_lag_and_the_pairs() {
    for oracle in oracles() {
        let lags = &oracle["learning_progress_lag"];
        let last = std::slice::from_ref(&lags["k=10_last"]);
        for (lag, rows) in [(1, list(&lags["k=1"])), (3, list(&lags["k=3"])), (10, last)] {
            for row in rows {
                let of = |key: &str| row[key].as_u64().unwrap() as usize;
                assert_eq!(of("new_index"), of("iteration"));
                assert_eq!(lagged(of("iteration"), lag, false), of("old_index_paper"), "lag {lag}: {row}");
                assert_eq!(lagged(of("iteration"), lag, true), of("old_index_code"), "lag {lag}: {row}");
            }
        }
        let row = &oracle["replay_pairs"];
        let flags = numbers(&row["terminal_flags"]);
        let ends: Vec<End> = (0..flags.len())
            .filter(|&i| flags[i] > 0.0)
            .map(|row| End { row, terminated: true, episode: None })
            .collect();
        let pairs: Vec<Vec<f64>> = followed(&ends).map(|row| vec![row as f64, (row + 1) as f64]).collect();
        assert_eq!(pairs, tables(&row["valid_pairs_index"]));
    }
}

fn build(algorithm: &str, env: &str, words: &[&str]) -> Trainer {
    let entry = algorithms::find(algorithm).unwrap();
    let plan = entry.resolve(env, &[Layer::command_line(words).unwrap()]).unwrap();
    let envs: usize = plan.get("envs").unwrap().parse().unwrap();
    Trainer::new(&plan, (0..envs).map(|_| tony_env::make(env, &Context::default()).unwrap()).collect()).unwrap()
}

#[test]
fn settings_of_the_bonus_that_cannot_be_are_refused() {
    let refuse = |words: &[&str]| {
        let entry = algorithms::find("trpo").unwrap();
        let plan = entry.resolve("probe-action", &[Layer::command_line(words).unwrap()])?;
        let spec = tony_env::make("probe-action", &Context::default()).unwrap().spec().clone();
        entry.build(&plan, Start::new(&spec, 0)).map(|_| ())
    };
    let message = |words: &[&str]| refuse(words).unwrap_err().to_string();
    assert!(message(&["surprise=curiosity"]).contains("surprisal"), "{}", message(&["surprise=curiosity"]));
    assert!(message(&["surprise=progress", "surprise.lag=0"]).contains("surprise.lag"));
    assert!(message(&["surprise=progress", "surprise.hidden=0"]).contains("layer widths"));
    assert!(message(&["suprise=progress"]).contains("surprise"));
}

/// The bonus moves advantages by its own discounted sum, and no target of a critic.
#[test]
fn a_bonus_counts_in_advantages_and_not_in_targets() {
    let trainer = build("trpo", "probe-action", &["standardise=false", "gamma=0.9", "lambda=0.8"]);
    let learner = trainer.algorithm().learner().unwrap();
    let mut rollout = Rollout::new(2, 1, 0, 40);
    let mut stream = Stream::new(3, "rollout", 0);
    rollout.obs.iter_mut().chain(&mut rollout.reward).for_each(|x| *x = stream.normal() as f32);
    rollout.ends =
        [(9, true), (24, false), (39, false)].map(|(row, terminated)| End { row, terminated, episode: None }).to_vec();
    rollout.final_obs = vec![0.5; 6];
    let rewarded = Rollout { bonus: (0..40).map(|i| 0.01 * i as f32).collect(), ..rollout.clone() };
    let (without, with) = (learner.estimate(&rollout), learner.estimate(&rewarded));
    assert_eq!(without.targets, with.targets);
    let alone = returns::advantages(&rewarded.bonus, &[0.0; 40], &rollout.ends, &[0.0; 3], 0.9, 0.8);
    for ((with, without), alone) in with.advantage.iter().zip(&without.advantage).zip(&alone) {
        // Two f32 sums of size one.
        assert!((with - without - alone).abs() < 1e-5, "{with} {without} {alone}");
    }
}

const BONUSES: [&[&str]; 4] = [
    &["surprise=surprisal"],
    &["surprise=progress"],
    &["surprise=progress", "surprise.lag=2", "surprise.lag.released=true", "surprise.decay=0"],
    &["surprise=error", "surprise.nonnegative=true"],
];
const SMALL: [&str; 9] = [
    "steps_per_update=621",
    "envs=3",
    "hidden=8",
    "seed=5",
    "surprise.hidden=7",
    "surprise.eta=0.1",
    "surprise.replay=1000",
    "surprise.batch=300",
    "cost.limit=100",
];

fn small(algorithm: &str, bonus: &[&str]) -> Trainer {
    build(algorithm, "probe-two-costs", &[&SMALL[..], bonus].concat())
}

fn bytes(trainer: &Trainer) -> (Vec<u8>, Vec<u8>) {
    let (mut policy, mut state) = (Archive::new(), Archive::new());
    trainer.save(&mut policy, &mut state).unwrap();
    (policy.to_bytes().unwrap(), state.to_bytes().unwrap())
}

fn update(trainer: &mut Trainer, times: usize) {
    (0..times).for_each(|_| drop(trainer.update(6_000, &Control::default()).unwrap()));
}

/// Model, replay (which wraps around here) and older models are a part of the run.
#[test]
fn a_surprised_run_resumes_bit_for_bit() {
    for algorithm in ["ppo", "trpo", "ppo-pid", "cpo", "empi"] {
        for bonus in BONUSES {
            let mut unbroken = small(algorithm, bonus);
            update(&mut unbroken, 6);
            let mut first = small(algorithm, bonus);
            update(&mut first, 3);
            let (mut policy, mut state) = (Archive::new(), Archive::new());
            first.save(&mut policy, &mut state).unwrap();
            let tally = *first.tally();
            let mut second = small(algorithm, bonus);
            assert_eq!(tally.updates, 3);
            second.load(&policy, &state).unwrap();
            *second.tally_mut() = tally;
            update(&mut second, 3);
            assert!(bytes(&unbroken) == bytes(&second), "{algorithm} {bonus:?}");
        }
        let (mut plain, mut surprised) = (small(algorithm, &[]), small(algorithm, BONUSES[0]));
        update(&mut plain, 2);
        update(&mut surprised, 2);
        assert!(bytes(&plain).0 != bytes(&surprised).0, "{algorithm}: the bonus changed nothing");
    }
}

#[test]
fn a_surprised_run_has_the_same_bits_for_any_number_of_threads() {
    for algorithm in ["ppo-lag", "trpo"] {
        for bonus in BONUSES {
            let run = |threads| {
                let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
                pool.install(|| {
                    let mut trainer = small(algorithm, bonus);
                    update(&mut trainer, 3);
                    bytes(&trainer)
                })
            };
            assert!(run(1) == run(2), "{algorithm} {bonus:?}");
        }
    }
}

/// Nothing pays and critics start at 0: there is no gradient until there is a bonus (progress needs an older model), and no 0/0.
#[test]
fn without_any_reward_nothing_moves_and_nothing_breaks() {
    for (bonus, moves) in [("none", [false; 3]), ("progress", [false, true, true]), ("surprisal", [true; 3])] {
        let words = ["steps_per_update=400", "normalise=false", "hidden=8", "critic.zero=true"];
        let mut trainer = build("trpo", "NoisyTV", &[&words[..], &[&format!("surprise={bonus}")]].concat());
        for moves in moves {
            let before = bytes(&trainer).0;
            let line = trainer.update(10_000, &Control::default()).unwrap();
            assert!(line.iter().all(|(_, value)| value.is_none_or(f64::is_finite)), "{line:?}");
            assert_eq!(line.get("Metrics/EpRet"), Some(0.0));
            assert_eq!(bytes(&trainer).0 != before, moves, "{bonus}: {line:?}");
        }
    }
}

/// Random steps through the two rooms, and what the model makes of each: surprisal stays high before the screen, progress fades there as
/// in the quiet room.
#[test]
fn noise_keeps_surprisal_and_not_progress() {
    let mut env = tony_env::make("NoisyTV", &Context::default()).unwrap();
    let spec = env.spec().clone();
    let mut model = Dynamics::new(&spec, &[32], &mut Stream::new(0, "init", 0)).unwrap();
    let mut replay = Replay::new(2, 1, 20_000);
    let mut last = None;
    for update in 0..200 {
        let rollout = wander(env.as_mut(), update);
        let older = model.params().to_vec();
        replay.add(&rollout);
        let pairs = replay.sample(1000, &model, &mut Stream::new(0, "batch", update));
        model.fit(&pairs, 0.01, 0.0).unwrap();
        last = Some((rollout, older));
    }
    let (rollout, older) = last.unwrap();
    let mut sums = [[0.0; 3]; 2];
    for row in followed(&rollout.ends) {
        let mut pairs = Pairs::default();
        let (obs, next) = (&rollout.obs[2 * row..][..2], &rollout.obs[2 * row + 2..][..2]);
        model.put(obs, &rollout.act[row..=row], next, &mut pairs);
        let density = |params: &[f32]| {
            let said = model.predict(params, &pairs.inputs);
            log_density(next, &said.mean, &said.log_std)
        };
        let sums = &mut sums[usize::from(next[0] > 0.0)];
        let (now, before) = (density(model.params()), density(&older));
        sums.iter_mut().zip([-now, now - before, 1.0]).for_each(|(sum, x)| *sum += x);
    }
    let [quiet, noisy] = sums.map(|[surprisal, progress, n]| [surprisal / n, progress / n]);
    assert!(noisy[0] - quiet[0] > 1.0, "surprisal: quiet {}, noisy {}", quiet[0], noisy[0]);
    assert!(noisy[1].abs() < 0.1, "progress: quiet {}, noisy {}", quiet[1], noisy[1]);
}

/// Ten episodes of random actions.
fn wander(env: &mut dyn Env, update: u64) -> Rollout {
    let mut rollout = Rollout::new(2, 1, 1, 1000);
    let (mut obs, mut cost) = ([0.0; 2], [0.0]);
    for episode in 0..10 {
        let mut stream = Stream::new(update, "wander", episode);
        env.reset(10 * update + episode, &mut obs).unwrap();
        for row in 100 * episode as usize..100 * (episode as usize + 1) {
            let act = stream.below(2) as f64;
            rollout.obs[2 * row..][..2].copy_from_slice(&obs.map(|x| x as f32));
            rollout.act[row] = act as f32;
            env.step(&[act], &mut obs, &mut cost).unwrap();
        }
        rollout.ends.push(End { row: 100 * episode as usize + 99, terminated: false, episode: None });
    }
    rollout
}
