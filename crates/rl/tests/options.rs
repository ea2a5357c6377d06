//! Option discovery: the papers' cores against numbers that an independent program computed, the traps, and the laws of training.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

use std::path::PathBuf;

use serde_json::Value;
use tony_env::space::Space;
use tony_env::{Context, Env, Spec, Step};
use tony_nn::{Lstm, Sequences, Tape, gaussian};
use tony_random::Stream;
use tony_rl::algorithms::diayn::path_returns;
use tony_rl::algorithms::valor::{PathDecoder, differences, moments};
use tony_rl::options::{Told, discounted, information_bits, next_contexts, path_advantage, residual};
use tony_rl::policy::Scratch;
use tony_rl::{Trainer, algorithms, evaluate, load_actor};
use tony_run::{Archive, Control, Layer, Metrics, Training};

const ALGORITHMS: [&str; 3] = ["valor", "vic", "diayn"];

/// Numbers of the oracle are f64; ours pass through f32 (6e-8 relative) and some twenty operations on numbers near 1.
const F32: f64 = 2e-6;

/// The committed extract of the oracle, and the whole of it where it is at hand.
fn oracles() -> Vec<Value> {
    let mut all = vec![serde_json::from_str(include_str!("data/valor_curriculum.json")).unwrap()];
    let shared = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/oracles/valor_curriculum.json");
    match std::fs::read_to_string(&shared) {
        Ok(text) => all.push(serde_json::from_str(&text).unwrap()),
        Err(_) => {
            eprintln!("skipped: the full oracle valor_curriculum.json is not here; its committed extract was checked");
        }
    }
    all
}

fn numbers(value: &Value) -> Vec<f64> {
    match value {
        Value::Array(values) => values.iter().flat_map(numbers).collect(),
        other => vec![other.as_f64().unwrap()],
    }
}

fn narrow(value: &Value) -> Vec<f32> {
    numbers(value).iter().map(|&x| x as f32).collect()
}

#[track_caller]
fn close(got: &[f32], want: &Value) {
    let want = numbers(want);
    assert_eq!(got.len(), want.len());
    for (got, want) in got.iter().zip(want) {
        assert!((f64::from(*got) - want).abs() <= F32 * (1.0 + want.abs()), "{got} is not {want}");
    }
}

#[test]
fn the_curriculum_takes_the_papers_path() {
    for oracle in oracles() {
        let threshold = libm::log(oracle["threshold"]["p"].as_f64().unwrap());
        // The extract keeps all digits here.
        assert!((threshold - oracle["threshold"]["log_p"].as_f64().unwrap()).abs() < 1e-15);
        for (name, sequence) in oracle["curriculum"].as_object().unwrap() {
            let most = name.split("Kmax=").nth(1).unwrap().parse().unwrap();
            let sequence: Vec<usize> = numbers(sequence).iter().map(|&k| k as usize).collect();
            for pair in sequence.windows(2) {
                assert_eq!(next_contexts(pair[0], 0.0, threshold, most), pair[1], "{name}");
                assert_eq!(next_contexts(pair[0], -0.151, threshold, most), pair[0], "{name}");
            }
            assert_eq!(next_contexts(most, 0.0, threshold, most), most);
        }
        let mut active = 2;
        for step in oracle["driver_trace"].as_array().unwrap() {
            assert_eq!(step["K_before"], active);
            active = next_contexts(active, step["mean_log_p"].as_f64().unwrap(), threshold, 64);
            assert_eq!(step["K_after"], active);
        }
        for case in oracle["threshold_cases"].as_array().unwrap() {
            let probs = match &case["probs"] {
                Value::String(words) if words == "99 x 0.999 and 1 x 1e-6" => [vec![0.999; 99], vec![1e-6]].concat(),
                probs => numbers(probs),
            };
            let told = Told { log_p: probs.iter().map(|&p| libm::log(p)).collect(), right: vec![true; probs.len()] };
            let mean = told.mean_log_p();
            // A sum of a hundred f64.
            assert!((mean - case["mean_log_p"].as_f64().unwrap()).abs() < 1e-14, "{case}");
            assert_eq!(next_contexts(8, mean, threshold, 64) > 8, case["advance"].as_bool().unwrap(), "{case}");
        }
        for (contexts, chance) in oracle["chance_level"].as_object().unwrap() {
            let k: usize = contexts.parse().unwrap();
            let logits = vec![0.5; 1024];
            let told = Told::from_logits(&logits, 1024, k, &[0]);
            assert!((told.mean_log_p() - chance.as_f64().unwrap()).abs() < 1e-9, "{k}");
        }
        let bound = &oracle["mutual_information_bound_bits"];
        let bits = information_bits(bound["mean_log_p"].as_f64().unwrap(), bound["K"].as_u64().unwrap() as usize);
        assert!((bits - bound["bits"].as_f64().unwrap()).abs() < 1e-9);
    }
}

#[test]
fn the_decoder_sees_eleven_states_and_the_last_is_the_last() {
    for oracle in oracles() {
        for (name, row) in oracle["subsample"].as_object().unwrap() {
            let steps: usize = name.strip_prefix("T=").unwrap().parse().unwrap();
            let indices: Vec<f64> = moments(steps, 10).iter().map(|&i| i as f64).collect();
            assert_eq!(indices, numbers(&row["indices"]), "{name}");
        }
        let example = &oracle["delta_example"];
        let states: Vec<f32> =
            (0..=65).map(f64::from).flat_map(|t| [0.02 * t, 0.001 * t * t]).map(|x| x as f32).collect();
        let deltas = differences(&states, 2, 65, 1.0);
        close(&deltas, &example["deltas"]);
        let sum = |i: usize| deltas.iter().skip(i).step_by(2).sum::<f32>();
        close(&[sum(0), sum(1)], &example["sum_of_deltas"]);
        close(&[states[130] - states[0], states[131] - states[1]], &example["sum_of_deltas"]);
    }
}

/// From (outputs x inputs) to (inputs x outputs).
fn transposed(matrix: &Value) -> Vec<f32> {
    let rows: Vec<Vec<f32>> = matrix.as_array().unwrap().iter().map(narrow).collect();
    (0..rows[0].len()).flat_map(|column| rows.iter().map(move |row| row[column]).collect::<Vec<_>>()).collect()
}

fn cell(direction: &Value) -> Vec<f32> {
    [transposed(&direction["Wx"]), transposed(&direction["Wh"]), narrow(&direction["b"])].concat()
}

#[test]
fn the_bidirectional_decoder_reads_in_order_both_ways() {
    for oracle in oracles() {
        let toy = &oracle["bilstm_decoder"];
        let linear = |layer: &Value| [transposed(&layer["W"]), narrow(&layer["b"])].concat();
        let mut decoder = PathDecoder::new(2, 2, 2, 3, &mut Stream::new(0, "unused", 0)).unwrap();
        let (fwd, bwd) = (cell(&toy["fwd"]), cell(&toy["bwd"]));
        let params = [linear(&toy["input_linear"]), fwd.clone(), bwd.clone(), linear(&toy["output_linear"])];
        decoder.params_mut().copy_from_slice(&params.concat());
        // Three times the same path, asked about each context.
        let mut tell = |path: &[f32]| {
            let told = decoder.tell(&path.repeat(3), &[0, 1, 2], 3);
            assert_eq!(told.right.iter().filter(|right| **right).count(), 1);
            told.log_p.iter().map(|&l| l as f32).collect::<Vec<f32>>()
        };
        let deltas = narrow(&toy["deltas"]);
        close(&tell(&deltas), &toy["log_probs"]);
        let reversed: Vec<f32> = deltas.chunks(2).rev().flatten().copied().collect();
        close(&tell(&reversed), &toy["log_probs_reversed_sequence"]);
        close(&tell(&[0.0; 6]), &oracle["still_invariance"]["log_probs_zero_deltas"]);

        let (w, b) = (narrow(&toy["input_linear"]["W"]), narrow(&toy["input_linear"]["b"]));
        let entered: Vec<f32> =
            deltas.chunks(2).flat_map(|d| [0, 1].map(|o| w[2 * o] * d[0] + w[2 * o + 1] * d[1] + b[o])).collect();
        let lstm = Lstm::new(2, 2).unwrap();
        let mut pooled = Vec::new();
        for (params, reverse, outputs) in [(fwd, false, "fwd_outputs"), (bwd, true, "bwd_outputs_in_time_order")] {
            let mut h = [0.0; 6];
            let sequences = Sequences { x: &entered, lengths: &[3], start: None, reverse };
            lstm.forward(&params, &sequences, &mut h, &mut Tape::default());
            close(&h, &toy[outputs]);
            pooled.extend([0, 1].map(|i| (h[i] + h[i + 2] + h[i + 4]) / 3.0));
        }
        close(&pooled, &toy["pooled"]);
        let (w, b) = (narrow(&toy["output_linear"]["W"]), narrow(&toy["output_linear"]["b"]));
        let logit = |k: usize| b[k] + (0..4).map(|i| w[4 * k + i] * pooled[i]).sum::<f32>();
        close(&[logit(0), logit(1), logit(2)], &toy["logits"]);
    }
}

#[test]
fn advantages_are_normalised_where_the_paper_does() {
    for oracle in oracles() {
        let plain = &oracle["advantage_valor_no_reward"];
        let advantage = path_advantage(&numbers(&plain["log_p_c"]), 7, None);
        let firsts: Vec<f32> = advantage.iter().step_by(7).copied().collect();
        close(&firsts, &plain["normalised"]);
        assert!(advantage.chunks(7).all(|path| path.iter().all(|a| *a == path[0])), "constant over time");

        let paid = &oracle["advantage_valor_with_reward"];
        let gamma = paid["gamma"].as_f64().unwrap();
        let returns = discounted(&narrow(&paid["rewards"]), 3, gamma);
        close(&returns, &paid["returns"]);
        let rewards = residual(&returns, &narrow(&paid["values"]));
        close(&path_advantage(&numbers(&paid["log_p_c"]), 3, Some(&rewards)), &paid["advantage"]);

        let dense = &oracle["advantage_diayn"];
        let (log_p, rewards) = (numbers(&dense["log_p_c_given_s"]), narrow(&dense["rewards"]));
        // The oracle's paths end with their third state: what ours pays for the state after it is 0 here.
        let log_p: Vec<f64> = log_p.chunks(3).flat_map(|path| [path, &[0.0]].concat()).collect();
        let returns = path_returns(&log_p, &rewards, 3, dense["gamma"].as_f64().unwrap());
        close(&returns, &dense["returns"]);
        close(&returns, &dense["value_targets"]);
        close(&residual(&returns, &narrow(&dense["values"])), &dense["advantage"]);

        let template = &oracle["template_logp"];
        let states = numbers(&template["per_state_log_p"]);
        assert_eq!(states.last().copied(), template["vic"].as_f64());
        let sum = path_returns(&states, &[0.0; 2], 2, 1.0)[0];
        close(&[sum], &template["diayn_undiscounted_sum"]);
        close(&[sum + 3.0 * 8.0_f32.ln()], &template["diayn_with_minus_log_G_K8"]);

        let entropy = &oracle["gaussian_entropy"];
        let h = gaussian::entropy(&narrow(&entropy["log_std"]));
        close(&[h as f32], &entropy["entropy"]);
        close(&[(h * entropy["beta"].as_f64().unwrap()) as f32], &entropy["bonus"]);
    }
}

/// Only movement counts: shifted by what f32 can add exactly, a path tells the decoder the same.
#[test]
fn a_shifted_path_gives_identical_answers() {
    let mut stream = Stream::new(1, "paths", 0);
    let states: Vec<f32> = (0..3 * 66 * 2).map(|_| (stream.below(128) as f32 - 64.0) / 64.0).collect();
    let shifted: Vec<f32> = states.iter().map(|x| x + 2.5).collect();
    let mut decoder = PathDecoder::new(2, 64, 64, 8, &mut stream).unwrap();
    let mut tell = |states: &[f32]| decoder.tell(&differences(states, 2, 65, 10.0), &[0, 3, 7], 8);
    assert_eq!(tell(&states), tell(&shifted));
}

/// Trained on paths of which two differ in their order in time alone, it tells all of them apart.
#[test]
fn the_decoder_learns_what_it_is_shown() {
    let mut stream = Stream::new(2, "decoder", 0);
    let mut decoder = PathDecoder::new(3, 8, 8, 4, &mut stream).unwrap();
    // The order in time alone tells two contexts apart, the direction the others.
    let shape = |context: u32, i: usize, t: usize| match (context, i) {
        (0, 0) => t as f32 / 9.0,
        (1, 0) => 1.0 - t as f32 / 9.0,
        (2, 1) | (3, 2) => 1.0,
        _ => 0.0,
    };
    let contexts: Vec<u32> = (0..80).map(|i| i % 4).collect();
    let seen: Vec<f32> = contexts
        .iter()
        .flat_map(|&c| (0..10).flat_map(move |t| (0..3).map(move |i| shape(c, i, t))))
        .map(|x| x + 0.1 * stream.normal() as f32)
        .collect();
    let losses: Vec<f64> = (0..300).map(|_| decoder.learn(&seen, &contexts, 4, 0.01).unwrap()).collect();
    assert!((losses[0] - 4.0_f64.ln()).abs() < 0.2, "{}", losses[0]);
    let told = decoder.tell(&seen, &contexts, 4);
    assert!(told.accuracy() > 0.99 && told.mean_log_p() > -0.05 && losses[299] < 0.05, "{}", told.mean_log_p());
}

/// A world of our own: positions on a grid that one of five moves changes, or that nothing changes at all.
struct Grid {
    spec: Spec,
    at: [f64; 2],
    time: u64,
    frozen: bool,
    /// Ends by itself after so many steps.
    fatal: u64,
}

impl Grid {
    fn boxed(frozen: bool, fatal: u64) -> Box<dyn Env> {
        let action = Space::Discrete { n: 5 };
        let spec = Spec { name: "grid".to_owned(), obs_dim: 2, action, costs: Vec::new(), max_steps: 12 };
        Box::new(Self { spec, at: [0.0; 2], time: 0, frozen, fatal })
    }
}

impl Env for Grid {
    fn spec(&self) -> &Spec {
        &self.spec
    }

    fn reset(&mut self, seed: u64, obs: &mut [f64]) -> tony_env::Result<()> {
        let mut stream = Stream::new(seed, "reset", 0);
        self.at = [stream.range(-0.5, 0.5), stream.range(-0.5, 0.5)];
        self.time = 0;
        obs.copy_from_slice(&self.at);
        Ok(())
    }

    fn step(&mut self, action: &[f64], obs: &mut [f64], _: &mut [f64]) -> tony_env::Result<Step> {
        let moves = [[0.0, 0.0], [0.3, 0.0], [-0.3, 0.0], [0.0, 0.3], [0.0, -0.3]];
        if !self.frozen {
            self.at.iter_mut().zip(moves[action[0] as usize]).for_each(|(x, d)| *x += d);
        }
        self.time += 1;
        obs.copy_from_slice(&self.at);
        let reward = if self.frozen { 0.0 } else { -0.01 };
        Ok(Step { reward, terminated: self.time >= self.fatal, truncated: self.time >= 12 })
    }

    fn save(&self, out: &mut Vec<u8>) {
        out.extend([self.at[0].to_le_bytes(), self.at[1].to_le_bytes(), self.time.to_le_bytes()].concat());
    }

    fn load(&mut self, state: &[u8]) -> tony_env::Result<()> {
        let word = |i: usize| state[8 * i..8 * i + 8].try_into().unwrap();
        (self.at, self.time) =
            ([f64::from_le_bytes(word(0)), f64::from_le_bytes(word(1))], u64::from_le_bytes(word(2)));
        Ok(())
    }
}

fn trainer(algorithm: &str, env: &str, settings: &[&str]) -> tony_rl::Result<Trainer> {
    let plan = algorithms::find(algorithm).unwrap().resolve(env, &[Layer::command_line(settings).unwrap()])?;
    let envs: usize = plan.get("envs").unwrap().parse().unwrap();
    let make = |_| match env {
        "grid" => Grid::boxed(false, 99),
        "frozen" => Grid::boxed(true, 99),
        "fatal" => Grid::boxed(false, 7),
        known => tony_env::make(known, &Context::default()).unwrap(),
    };
    Trainer::new(&plan, (0..envs).map(make).collect())
}

fn train(trainer: &mut Trainer, updates: usize) -> Vec<Metrics> {
    (0..updates).map(|_| trainer.update(u64::MAX, &Control::default()).unwrap()).collect()
}

fn bytes(trainer: &Trainer) -> (Vec<u8>, Vec<u8>) {
    let (mut policy, mut state) = (Archive::new(), Archive::new());
    trainer.save(&mut policy, &mut state).unwrap();
    (policy.to_bytes().unwrap(), state.to_bytes().unwrap())
}

/// Small, in every shape: recurrent and not, embedded and one-hot, growing and not, continuous and discrete.
const SHAPES: &[(&str, &[&str])] = &[
    ("OptionPoint", &["contexts=6", "lstm=8", "hidden=8", "paths=12", "envs=3", "curriculum.threshold=0.3"]),
    ("OptionPoint", &["contexts=6", "lstm=0", "hidden=8", "embedding=0", "paths=12", "envs=3", "curriculum=false"]),
    ("grid", &["contexts=6", "lstm=4", "hidden=8", "paths=300", "envs=3", "value.hidden=8", "decoder.steps=2"]),
];

#[test]
fn the_number_of_threads_changes_no_bit_of_options() {
    for (algorithm, (env, settings)) in ALGORITHMS.iter().flat_map(|a| SHAPES.iter().map(move |s| (a, s))) {
        let run = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = trainer(algorithm, env, settings).unwrap();
                train(&mut trainer, 3);
                bytes(&trainer)
            })
        };
        let one = run(1);
        assert!(one == run(2) && one == run(5), "{algorithm} {settings:?}");
    }
}

#[test]
fn a_resumed_discovery_is_the_unbroken_one() {
    for (algorithm, (env, settings)) in ALGORITHMS.iter().flat_map(|a| SHAPES.iter().map(move |s| (a, s))) {
        let mut unbroken = trainer(algorithm, env, settings).unwrap();
        train(&mut unbroken, 6);
        let mut first = trainer(algorithm, env, settings).unwrap();
        train(&mut first, 3);
        let (mut policy, mut state) = (Archive::new(), Archive::new());
        first.save(&mut policy, &mut state).unwrap();
        let tally = *first.tally();
        drop(first);
        let mut second = trainer(algorithm, env, settings).unwrap();
        assert_eq!(tally.updates, 3);
        second.load(&policy, &state).unwrap();
        *second.tally_mut() = tally;
        train(&mut second, 3);
        assert!(bytes(&unbroken) == bytes(&second), "{algorithm} {settings:?}");
    }
}

/// The decoder is asked before it learns from a batch: what it said does not depend on how fast it learns from it, and the number of
/// contexts follows from what it said, one step a batch at most.
#[test]
fn the_decoder_is_asked_before_it_learns_and_contexts_follow() {
    for algorithm in ALGORITHMS {
        let first = |lr: &str| {
            let mut trainer = trainer(algorithm, "OptionPoint", &["paths=40", "lstm=0", lr]).unwrap();
            train(&mut trainer, 1).remove(0)
        };
        let (slow, fast) = (first("decoder.lr=0"), first("decoder.lr=0.05"));
        assert_eq!(slow.get("Options/LogProb"), fast.get("Options/LogProb"), "{algorithm}");
        assert_eq!(slow.get("Options/LogProb"), slow.get("Options/LogProbLearned"), "{algorithm}");
        assert_ne!(fast.get("Options/LogProb"), fast.get("Options/LogProbLearned"), "{algorithm}");

        let settings = [
            "paths=40",
            "lstm=0",
            "contexts=12",
            "curriculum.threshold=0.6",
            "lr=0.01",
            "decoder.lr=0.01",
            "decoder.scale=5",
        ];
        let mut trainer = trainer(algorithm, "OptionPoint", &settings).unwrap();
        let log = train(&mut trainer, 40);
        let of = |metrics: &Metrics, name: &str| metrics.get(name).unwrap();
        let mut active = 2;
        for metrics in &log {
            assert_eq!(of(metrics, "Options/K"), active as f64, "{algorithm}");
            active = next_contexts(active, of(metrics, "Options/LogProb"), libm::log(0.6), 12);
        }
        assert!(active > 4, "{algorithm}: the curriculum never moved");
        if algorithm != "diayn" {
            // Its loss is of the same answers, before its one step. The loss is summed in another order.
            let (said, loss) = (of(&log[7], "Options/LogProb"), of(&log[7], "Options/DecoderLoss"));
            assert!((said + loss).abs() < 1e-9, "{algorithm}: {said} {loss}");
        }
    }
}

/// Actions that change nothing must not tell the decoder anything: with random poses, chance is all there is.
#[test]
fn without_movement_the_decoder_stays_at_chance() {
    for algorithm in ALGORITHMS {
        let settings = ["contexts=4", "curriculum=false", "paths=400", "lstm=8", "steps=1000000"];
        let mut trainer = trainer(algorithm, "frozen", &settings).unwrap();
        let log = train(&mut trainer, 30);
        let late: f64 = log[20..].iter().map(|m| m.get("Options/LogProb").unwrap()).sum::<f64>() / 10.0;
        let chance = -(4.0_f64.ln());
        // 4,000 paths: what is left is the decoder's own unevenness, far below the 1.39 nats that a full leak would give.
        assert!((late - chance).abs() < 0.05, "{algorithm}: {late} where chance is {chance}");
    }
}

#[test]
fn four_options_of_the_point_are_told_apart() {
    for algorithm in ALGORITHMS {
        let settings = ["preset=point", "contexts=4", "paths=60", "lr=0.003", "decoder.lr=0.003"];
        let mut trainer = trainer(algorithm, "OptionPoint", &settings).unwrap();
        let log = train(&mut trainer, 60);
        let last = log.last().unwrap();
        let (accuracy, said) = (last.get("Options/Accuracy").unwrap(), last.get("Options/LogProb").unwrap());
        assert!(accuracy > 0.9 && said > -0.5, "{algorithm}: {accuracy} {said}");

        // What is deployed follows the option that it is told, each its own way.
        let mut archive = Archive::new();
        trainer.actor().save(&mut archive).unwrap();
        let mut env = tony_env::make("OptionPoint", &Context::default()).unwrap();
        let actor = load_actor(&archive, env.spec()).unwrap();
        let mut ends = vec![Vec::new(); 8];
        evaluate(actor.as_ref(), env.as_mut(), 8, 1, &mut |episode, _, _, obs, _| ends[episode] = obs.to_vec())
            .unwrap();
        let apart = |a: &[f64], b: &[f64]| ((a[0] - b[0]).powi(2) + (a[1] - b[1]).powi(2)).sqrt();
        for (i, j) in (0..8).flat_map(|i| (0..i).map(move |j| (i, j))) {
            let distance = apart(&ends[i], &ends[j]);
            // Starts differ by 0.028 at most; the same option ends where it ended.
            assert!(
                if i - j == 4 { distance < 0.1 } else { distance > 0.1 },
                "{algorithm} {i} {j}: {distance} {ends:?}"
            );
        }
    }
}

#[test]
fn discrete_actions_and_a_recurrent_policy_find_options_too() {
    let settings =
        ["contexts=4", "curriculum=false", "paths=100", "lr=0.01", "decoder.lr=0.01", "lstm=16", "hidden=16"];
    for algorithm in ["valor", "vic"] {
        let mut trainer = trainer(algorithm, "grid", &settings).unwrap();
        let accuracy = train(&mut trainer, 100).pop().unwrap().get("Options/Accuracy").unwrap();
        assert!(accuracy > 0.9, "{algorithm}: {accuracy}");
    }
}

/// What an episode remembers: the same observation is answered by what came before it.
#[test]
fn a_recurrent_policy_remembers_within_an_episode_and_forgets_between() {
    let trainer = trainer("valor", "OptionPoint", &["contexts=3"]).unwrap();
    let actor = trainer.actor();
    let (mut memory, mut scratch) = (vec![5.0; actor.memory_len()], Scratch::default());
    assert_eq!(actor.memory_len(), 1 + 2 * 64);
    let mut episode = || {
        actor.begin(&mut Stream::new(1, "begin", 0), &mut memory);
        actor.follow(1, &mut memory);
        [(); 3].map(|()| {
            let mut act = [0.0; 2];
            actor.mode(&[0.1, 0.2], &mut memory, &mut act, &mut scratch);
            act
        })
    };
    let first = episode();
    assert!(first[0] != first[1] && first[1] != first[2]);
    assert_eq!(episode(), first);
}

#[test]
fn settings_that_make_no_whole_paths_are_refused_before_the_first_step() {
    let message =
        |algorithm: &str, settings: &[&str]| trainer(algorithm, "OptionPoint", settings).err().unwrap().to_string();
    assert!(message("valor", &["contexts=0"]).contains("`contexts` cannot be `0`"));
    assert!(message("vic", &["contexts=-3"]).contains("`contexts` cannot be `-3`"));
    assert!(message("vic", &["paths=10", "envs=4"]).contains("paths = 10 cannot be shared by envs = 4"));
    assert!(message("diayn", &["steps_per_update=1000"]).contains("is not paths = 200 of 65 steps"));
    assert!(message("valor", &["episode_steps=9"]).contains("paths of 10 steps or more; these have 9"));
    assert!(message("valor", &["contexts=4", "curriculum.start=5"]).contains("more than contexts = 4"));
    assert!(message("valor", &["hidden=64,0"]).contains("layer widths"));
    let mut fatal = trainer("vic", "fatal", &["paths=8"]).unwrap();
    let error = fatal.update(1, &Control::default()).unwrap_err();
    assert!(error.to_string().contains("of 7 steps where every path has 12"), "{error}");
    assert!(error.hint().unwrap().contains("episode_steps"));
    let mut short = trainer("vic", "fatal", &["paths=8", "episode_steps=6"]).unwrap();
    short.update(1, &Control::default()).unwrap();
}
