//! A policy that reads texts, trained token by token: whole episodes, groups that share prompts, lanes in lockstep.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod toy;

use std::sync::atomic::AtomicU64;

use tony_env::Env as _;
use tony_rl::actor_critic::minibatches;
use tony_rl::algorithm::{MakePolicy, Start};
use tony_rl::algorithms::rloo::leave_one_out;
use tony_rl::collector::Collector;
use tony_rl::grouped::Grouped;
use tony_rl::policy::{Batch, Policy};
use tony_rl::rollout::{End, Episode, Rollout};
use tony_rl::train::Config;
use tony_rl::{Trainer, algorithms, evaluate};
use tony_run::{Archive, Control, Layer, Metrics, Plan, Training};
use toy::{LONGEST, Reader, Repeat, TOKENS, WIDTH};

/// Eight environments in groups of four, two episodes each an update.
const SMALL: [&str; 5] = ["envs=8", "group=4", "episodes_per_update=16", "hidden=16", "seed=3"];
const PASSES: [&str; 3] = ["lr=0.05", "passes=4", "minibatch=16"];

fn plan(algorithm: &str, settings: &[&str]) -> Plan {
    let passes = if algorithm == "trpo" { &[] } else { &PASSES[..] };
    let undiscounted: &[&str] = if ["rloo", "grpo"].contains(&algorithm) { &[] } else { &["gamma=1", "lambda=1"] };
    let words: Vec<&str> = SMALL.iter().chain(passes).chain(undiscounted).chain(settings).copied().collect();
    algorithms::find(algorithm).unwrap().resolve("repeat", &[Layer::command_line(&words).unwrap()]).unwrap()
}

fn trainer(algorithm: &str, settings: &[&str], reader: &Reader) -> Trainer {
    let make: &MakePolicy = &|| Ok(Box::new(reader.clone()) as Box<dyn Policy>);
    Trainer::with_policy(&plan(algorithm, settings), Repeat::several(8), make).unwrap()
}

fn update(trainer: &mut Trainer, times: usize) -> Metrics {
    (0..times).fold(Metrics::new(), |_, _| trainer.update(1_000_000, &Control::default()).unwrap())
}

fn bytes(trainer: &Trainer) -> (Vec<u8>, Vec<u8>) {
    let (mut policy, mut state) = (Archive::new(), Archive::new());
    trainer.save(&mut policy, &mut state).unwrap();
    (policy.to_bytes().unwrap(), state.to_bytes().unwrap())
}

/// Whether lanes wait for each other, what is kept between steps, and how many threads there are, changes no bit.
#[test]
fn lockstep_and_what_is_kept_change_no_bit() {
    for settings in [&[][..], &["episodes_per_update=none", "steps_per_update=72"]] {
        let whole = settings.is_empty();
        let run = |together: bool, keeps: bool, threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let mut trainer = trainer("ppo", settings, &Reader { keeps, together, whole, ..Reader::new() });
                update(&mut trainer, 4);
                (trainer.steps(), bytes(&trainer))
            })
        };
        let one = run(false, false, 1);
        for (together, keeps, threads) in [(false, true, 3), (true, false, 1), (true, true, 3)] {
            assert!(one == run(together, keeps, threads), "{settings:?} {together} {keeps} {threads}");
        }
    }
}

fn collect(reader: &Reader, config: &Config, batches: usize) -> Vec<Rollout> {
    let mut collector = Collector::new(Repeat::several(config.envs), reader, config).unwrap();
    let mut rollout = Rollout::new(WIDTH, 1, 1, 0);
    let progress = AtomicU64::new(0);
    (0..batches)
        .map(|_| {
            collector.collect(reader, &mut rollout, &progress).unwrap();
            rollout.clone()
        })
        .collect()
}

#[test]
fn a_batch_of_whole_episodes_holds_as_many_from_each_environment() {
    let config = Config { envs: 6, group: 3, episodes_per_update: Some(12), ..Config::default() };
    for rollout in collect(&Reader::new(), &config, 5) {
        assert_eq!((rollout.ends.len(), rollout.final_obs.len(), rollout.episode_costs.len()), (12, 12 * WIDTH, 12));
        assert_eq!(rollout.ends[11].row + 1, rollout.rows());
        assert_eq!((rollout.obs.len(), rollout.costs.len()), (rollout.rows() * WIDTH, rollout.rows()));
        let lengths: Vec<usize> = (0..12).map(|i| rollout.segment(i).len()).collect();
        assert!(lengths.iter().any(|&n| n != lengths[0]) && lengths.iter().all(|n| (1..=LONGEST).contains(n)));
        for (i, end) in rollout.ends.iter().enumerate() {
            let rows = rollout.segment(i);
            let ret = rollout.reward[rows.clone()].iter().map(|&r| f64::from(r)).sum();
            assert_eq!((end.terminated, end.episode), (true, Some(Episode { ret, length: rows.len() })));
            // The first row shows the prompt alone; each next one the action of the one before.
            assert!(rollout.obs[rows.start * WIDTH + 1] < 0.0);
            for (t, row) in rows.enumerate() {
                let next =
                    if row == end.row { &rollout.final_obs[i * WIDTH..] } else { &rollout.obs[(row + 1) * WIDTH..] };
                assert_eq!(next[t + 1], rollout.act[row]);
            }
        }
    }
}

/// Prompts of a group are the same, episode by episode; those of another are drawn by themselves, and what is answered differs.
#[test]
fn a_group_shares_its_prompts() {
    let config = Config { envs: 6, group: 3, episodes_per_update: Some(12), seed: 1, ..Config::default() };
    let (mut apart, mut answers) = (0, 0);
    for rollout in collect(&Reader::new(), &config, 8) {
        let prompt = |env: usize, episode: usize| rollout.obs[rollout.segment(2 * env + episode).start * WIDTH];
        let answer = |env: usize| rollout.act[rollout.segment(2 * env)].to_vec();
        for episode in 0..2 {
            for env in 0..6 {
                assert_eq!(prompt(env, episode), prompt(env / 3 * 3, episode));
            }
            apart += usize::from(prompt(0, episode) != prompt(3, episode));
        }
        answers += usize::from(answer(0) != answer(1));
    }
    assert!(apart >= 8 && answers >= 5, "{apart} {answers}");
}

/// A run of ragged episodes is counted in steps, and goes on from a checkpoint as if nothing had happened.
#[test]
fn a_resumed_run_of_whole_episodes_is_the_unbroken_one() {
    for (algorithm, settings) in [
        ("ppo", &[][..]),
        ("ppo", &["surprise=surprisal"]),
        ("ppo-lag", &["cost.limit=1"]),
        ("empi", &["gamma=0.9", "standardise=false"]),
        ("rloo", &["clip=0.2"]),
        ("grpo", &[]),
    ] {
        let mut unbroken = trainer(algorithm, settings, &Reader::new());
        update(&mut unbroken, 6);
        let mut first = trainer(algorithm, settings, &Reader::new());
        let line = update(&mut first, 3);
        let (mut policy, mut state) = (Archive::new(), Archive::new());
        first.save(&mut policy, &mut state).unwrap();
        assert_eq!(line.get("steps"), Some(first.steps() as f64));
        assert!((3 * 16..=3 * 16 * LONGEST as u64).contains(&first.steps()), "{}", first.steps());
        let mut second = trainer(algorithm, settings, &Reader::new());
        assert_eq!(first.tally().updates, 3);
        second.load(&policy, &state).unwrap();
        *second.tally_mut() = *first.tally();
        update(&mut second, 3);
        assert_eq!(unbroken.steps(), second.steps());
        assert!(bytes(&unbroken) == bytes(&second), "{algorithm}");
    }
}

/// What draws by another forward pass learns through its own one, and says how far the two are apart.
#[test]
fn a_batch_is_settled_before_it_teaches() {
    let run = |off: f32| {
        let mut trainer = trainer("ppo", &[], &Reader { off, ..Reader::new() });
        let line = update(&mut trainer, 3);
        (line.get("Toy/Off").unwrap(), bytes(&trainer))
    };
    let (exact, other) = (run(0.0), run(0.25));
    assert_eq!(exact.0, 0.0);
    // One rounding in f32 of a number near 1.
    assert!((other.0 - 0.25).abs() < 1e-6, "{}", other.0);
    assert!(exact.1 == other.1);
}

#[test]
fn the_ratio_before_the_first_step_is_exactly_one() {
    let mut reader = Reader::new();
    let mut stream = tony_random::Stream::new(2, "params", 0);
    reader.params_mut().iter_mut().for_each(|p| *p = stream.normal() as f32);
    let config = Config { envs: 6, episodes_per_update: Some(48), ..Config::default() };
    for rollout in collect(&reader, &config, 3) {
        assert_eq!(rollout.log_prob, reader.log_probs(&Batch::all(&rollout)));
    }
}

#[test]
fn minibatches_of_whole_episodes_end_at_the_border_that_is_nearest() {
    let mut rollout = Rollout::new(WIDTH, 1, 1, 0);
    let lengths = [3, 1, 4, 2, 2, 4, 1, 3, 3, 1, 4, 2, 9];
    let mut last = 0;
    for length in lengths {
        last += length;
        rollout.ends.push(End { row: last - 1, terminated: true, episode: None });
    }
    for (pass, size) in [(0, 6), (1, 6), (2, 1), (3, 100)] {
        let all = minibatches(true, &rollout, size, 7, pass);
        let mut rows: Vec<u32> = all.concat();
        rows.sort_unstable();
        assert_eq!(rows, (0..last as u32).collect::<Vec<_>>());
        let starts: Vec<usize> = (0..lengths.len()).map(|i| rollout.segment(i).start).collect();
        for batch in &all {
            assert!(starts.contains(&(batch[0] as usize)), "{batch:?}");
            assert!(batch.windows(2).all(|w| w[1] == w[0] + 1 || starts.contains(&(w[1] as usize))), "{batch:?}");
        }
        match size {
            // One episode each; all of them.
            1 => assert_eq!(all.len(), lengths.len()),
            100 => assert_eq!(all.len(), 1),
            // Half an episode too many or too few.
            _ => assert!(all[..all.len() - 1].iter().all(|batch| batch.len().abs_diff(size) <= 4), "{all:?}"),
        }
    }
    assert_ne!(minibatches(true, &rollout, 6, 7, 0), minibatches(true, &rollout, 6, 7, 1));
}

#[test]
fn what_cannot_take_a_policy_or_whole_episodes_says_so() {
    let refuse = |algorithm: &str, words: &[&str], ready: bool| {
        let plan = algorithms::find(algorithm).unwrap().resolve("repeat", &[Layer::command_line(words).unwrap()])?;
        let make: &MakePolicy = &|| Ok(Box::new(Reader::new()) as Box<dyn Policy>);
        let envs = Repeat::several(plan.get("envs").unwrap().parse().unwrap());
        let built = if ready { Trainer::with_policy(&plan, envs, make) } else { Trainer::new(&plan, envs) };
        built.map(|_| ())
    };
    let message = |algorithm: &str, words: &[&str], ready| refuse(algorithm, words, ready).unwrap_err().to_string();
    for algorithm in ["dqn", "valor", "diayn"] {
        let message = message(algorithm, &[], true);
        assert!(message.contains("makes its own policy"), "{algorithm}: {message}");
    }
    let off_policy = message("dqn", &["episodes_per_update=4"], false);
    assert!(off_policy.contains("dqn counts steps and takes no episodes_per_update"), "{off_policy}");
    assert_eq!(message("ppo", &["envs=8", "group=3"], true), "envs = 8 cannot be shared by group = 3");
    let episodes = message("ppo", &["envs=8", "episodes_per_update=12"], true);
    assert_eq!(episodes, "episodes_per_update = 12 cannot be shared by envs = 8");
    let mut trainer = trainer("trpo", &[], &Reader::new());
    let error = trainer.update(1_000, &Control::default()).unwrap_err();
    assert_eq!(error.to_string(), "a reader has no Fisher product");
}

/// Mean return and cost of the last quarter of `updates` updates.
fn learned(algorithm: &str, settings: &[&str], updates: usize) -> (f64, f64, Trainer) {
    let mut trainer = trainer(algorithm, settings, &Reader::new());
    let lines: Vec<Metrics> = (0..updates).map(|_| update(&mut trainer, 1)).collect();
    let late = |name: &str| {
        let last = &lines[updates - updates / 4..];
        last.iter().map(|line| line.get(name).unwrap()).sum::<f64>() / last.len() as f64
    };
    (late("Metrics/EpRet"), late("Metrics/EpCost"), trainer)
}

#[test]
fn ppo_learns_to_answer() {
    let (ret, _, trainer) = learned("ppo", &["target_kl=0"], 80);
    assert!(ret > 3.5, "{ret} of 4");
    let mut seen = |_: usize, _: &dyn tony_env::Env, _: Option<&tony_env::Step>, _: &[f64], _: &[f64]| {};
    let episodes = evaluate(trainer.actor(), &mut Repeat::new(), 8, 1, &mut seen).unwrap();
    assert!(episodes.iter().all(|episode| episode.ret == 4.0 && episode.length == LONGEST), "{episodes:?}");
}

/// With one step a batch, with a ratio, and with each way to normalise.
#[test]
fn groups_learn_to_answer() {
    for (algorithm, settings) in [
        ("rloo", &["passes=1", "minibatch=0"][..]),
        ("rloo", &["clip=0.2"]),
        ("grpo", &[]),
        ("grpo", &["deviation=false", "length=limit"]),
        ("grpo", &["length=batch", "clip.high=0.28"]),
    ] {
        let (ret, ..) = learned(algorithm, settings, 120);
        assert!(ret > 3.5, "{algorithm} {settings:?}: {ret} of 4");
    }
}

/// Of a reference that answers at random, and of which the objective says how much it counts.
#[test]
fn grpo_stays_near_a_reference() {
    let entropy = |kl: &str| {
        let reference = Some(-libm::logf(TOKENS as f32));
        let mut trainer = trainer("grpo", &[kl], &Reader { reference, ..Reader::new() });
        update(&mut trainer, 60).get("Train/Entropy").unwrap()
    };
    let (near, far) = (entropy("kl=3"), entropy("kl=0"));
    assert!(near > 1.3 && far < 0.8, "{near} {far} of ln 5");
    let mut without = trainer("grpo", &["kl=0.1"], &Reader::new());
    let error = without.update(1_000, &Control::default()).unwrap_err().to_string();
    assert!(error.contains("this policy has none"), "{error}");
}

/// Four environments in pairs, two episodes each: the first ones of a pair are one group, the second ones another.
#[test]
fn a_group_is_the_same_episode_of_neighbouring_environments() {
    let words = ["envs=4", "group=2", "episodes_per_update=8"];
    let plan = algorithms::find("rloo").unwrap().resolve("repeat", &[Layer::command_line(&words).unwrap()]).unwrap();
    let env = Repeat::new();
    let learner = Grouped::new(&plan, Start::new(env.spec(), 0)).unwrap();
    let mut rollout = Rollout::new(WIDTH, 1, 1, 16);
    for (i, ret) in [1.0, 20.0, 3.0, 60.0, 0.0, 5.0, 0.0, 7.0].into_iter().enumerate() {
        rollout.reward[2 * i + 1] = ret;
        let episode = Some(Episode { ret: ret.into(), length: 2 });
        rollout.ends.push(End { row: 2 * i + 1, terminated: true, episode });
    }
    let mut metrics = Metrics::new();
    let advantages = learner.advantages(&rollout, leave_one_out, &mut metrics).unwrap();
    let expected = [-2.0, -40.0, 2.0, 40.0, 0.0, -2.0, 0.0, 2.0];
    assert_eq!(advantages, expected.iter().flat_map(|&a| [a, a]).collect::<Vec<f32>>());
    assert_eq!(metrics.get("Train/GroupsAlike"), Some(0.25));
    rollout.ends[7].episode = None;
    assert!(learner.advantages(&rollout, leave_one_out, &mut metrics).is_err());
}

/// Each token that pays costs as much.
#[test]
fn ppo_lagrangian_answers_within_its_limit() {
    let settings = ["target_kl=0", "cost.limit=2", "cost.gamma=1", "cost.lambda=1", "standardise=false", "lr=0.02"];
    let (ret, cost, _) = learned("ppo-lag", &settings, 300);
    assert!((cost - 2.0).abs() < 0.3 && (ret - 2.0).abs() < 0.3, "return {ret}, cost {cost}");
}
