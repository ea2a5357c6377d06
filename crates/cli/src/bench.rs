//! `tony bench`: speeds and their limits, measured in one process so that a busy machine slows both alike.

use std::num::NonZeroUsize;
use std::time::{Duration, Instant};

use rayon::prelude::*;
use serde::Serialize;
use serde_json::json;
use tony_env::Env;
use tony_random::Stream;
use tony_run::{Control, Layer, Manifest, Plan, RunFolder};

#[cfg(feature = "lm")]
use crate::failure::Failure;
use crate::failure::{Code, Result};
use crate::play::random_action;
use crate::train::number;
use crate::workload::Algorithm;
use crate::{Common, console, world};

/// Measure speeds.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony bench env SafetyPointGoal1\n  tony bench env --seconds 1\n  tony bench env HalfCheetah --threads 2 --seconds 10 --json\n  tony bench train cpo SafetyPointGoal1\n  tony bench model smollm2-135m --batch 16\n  tony bench learn smollm2-135m --adapt full\n  tony bench serve smollm2-135m"
)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    /// Steps of an environment with random actions, beside the bare physics calls that they need.
    ///
    /// Rates are per second of each thread's own processor time, summed over the threads. Atari games run in a worker process a thread and are
    /// measured by the clock, with eight of them in flight; their limit is a plain loop of the emulator's calls in the same workers.
    Env {
        /// The environment [default: all that have a physics engine, a line each].
        env: Option<String>,
        /// Threads, each with an environment of its own.
        #[arg(long, value_name = "N", default_value = "1")]
        threads: NonZeroUsize,
        /// How long to measure.
        #[arg(long, value_name = "S", default_value_t = 4.0)]
        seconds: f64,
    },
    /// Speed of a language model: prompts that are read, and tokens that are written.
    ///
    /// Each is measured three times, and the best counts: what else runs on the machine falls between.
    #[cfg(feature = "lm")]
    Model {
        /// A GGUF file, a Hugging Face folder, or a name from `tony doctor`.
        model: String,
        /// Tokens of each prompt.
        #[arg(long, value_name = "N", default_value = "512")]
        prefill: NonZeroUsize,
        /// Tokens to write after each.
        #[arg(long, value_name = "N", default_value = "64")]
        decode: NonZeroUsize,
        /// Sequences side by side.
        #[arg(long, value_name = "B", default_value = "1")]
        batch: NonZeroUsize,
        /// How exactly is computed.
        #[arg(long, value_enum, default_value_t)]
        precision: crate::generate::Precision,
        /// Worker threads [default: all cores].
        #[arg(long, value_name = "N")]
        threads: Option<NonZeroUsize>,
    },
    /// A language model that learns: tokens a second of gradients, and their arithmetic beside the machine's peak.
    ///
    /// By processor time, three times, and the best counts. Operations are those of the matrix products, attention left out; with `--recompute`
    /// what is computed twice counts once.
    #[cfg(feature = "lm")]
    Learn(LearnArgs),
    /// Clients that ask a server in this process: requests a second, and how long one waits; then four times more clients than it has places.
    #[cfg(feature = "lm")]
    Serve {
        /// A GGUF file, a Hugging Face folder, or a name from `tony doctor`.
        model: String,
        /// Clients at a time.
        #[arg(long, value_name = "N,N,..", value_delimiter = ',', default_values = ["1", "8", "32"])]
        clients: Vec<NonZeroUsize>,
        /// Requests of each round; at least one a client.
        #[arg(long, value_name = "N", default_value = "64")]
        requests: NonZeroUsize,
        /// Most tokens of an answer.
        #[arg(long, value_name = "N", default_value = "32")]
        max_tokens: NonZeroUsize,
        /// Worker threads [default: all cores].
        #[arg(long, value_name = "N")]
        threads: Option<NonZeroUsize>,
    },
    /// A language model as a grader: items an hour, with the shared beginning of an item's questions read once, and without.
    ///
    /// Both grade the same items in turns, and their probabilities are compared.
    #[cfg(feature = "lm")]
    #[command(
        after_help = "Example:\n  tony bench grader smollm2-135m --policy proposition_prompts.yaml --data test.jsonl --items 4"
    )]
    Grader {
        /// The model.
        model: String,
        /// The policy, whose propositions are asked.
        #[arg(long, value_name = "FILE")]
        policy: std::path::PathBuf,
        /// Completions, one JSON object a line: `prompt`, `completion`.
        #[arg(long, value_name = "FILE")]
        data: std::path::PathBuf,
        /// How the model is asked.
        #[arg(long, value_name = "W", value_enum, default_value = "brief")]
        wording: crate::rbr::AskedIn,
        /// Grade the first N items.
        #[arg(long, value_name = "N", default_value = "4")]
        items: NonZeroUsize,
        /// Worker threads [default: all cores].
        #[arg(long, value_name = "N")]
        threads: Option<NonZeroUsize>,
    },
    /// Training by phase, and the arithmetic of its updates beside the machine's peak.
    Train {
        /// The algorithm.
        algo: String,
        /// The environment.
        env: String,
        /// Settings of the algorithm.
        #[arg(value_name = "KEY=VALUE")]
        settings: Vec<String>,
        /// Environment steps (of few-shot algorithms, steps of the initialisation) [default: 100000, or 200].
        #[arg(long, value_name = "N")]
        steps: Option<String>,
        /// Worker threads [default: all cores].
        #[arg(long, value_name = "N")]
        threads: Option<NonZeroUsize>,
    },
}

#[cfg(feature = "lm")]
#[derive(clap::Args)]
struct LearnArgs {
    /// A GGUF file, a Hugging Face folder, or a name from `tony doctor`.
    model: String,
    /// Tokens of each sequence.
    #[arg(long, value_name = "N", default_value = "512")]
    tokens: NonZeroUsize,
    /// Sequences of a gradient.
    #[arg(long, value_name = "B", default_value = "4")]
    batch: NonZeroUsize,
    /// Which parameters are learned: all, or two narrow matrices of this rank beside each matrix.
    #[arg(long, value_name = "full|RANK", default_value = "16")]
    adapt: String,
    /// Compute each layer once more when going back instead of keeping it.
    #[arg(long)]
    recompute: bool,
    /// What computes: cpu, or cuda or wgpu in a build with the feature of this name.
    #[arg(long, value_name = "DEVICE", default_value = "cpu", value_parser = device)]
    device: tony_lm::learn::Device,
    /// Worker threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    match &args.what {
        #[cfg(feature = "lm")]
        What::Learn(args) => world::with_threads(args.threads, |threads| bench_learn(args, threads, common)),
        What::Env { env: Some(env), threads, seconds } => bench_env(env, *threads, *seconds, common),
        What::Env { env: None, threads, seconds } => bench_all(*threads, *seconds, common),
        #[cfg(feature = "lm")]
        What::Model { model, prefill, decode, batch, precision, threads } => {
            let path = tony_lm::find_model(model)?;
            world::with_threads(*threads, |threads| {
                bench_model(&path, [prefill, decode, batch].map(|n| n.get()), *precision, threads, common)
            })
        }
        #[cfg(feature = "lm")]
        What::Serve { model, clients, requests, max_tokens, threads } => {
            let path = tony_lm::find_model(model)?;
            let clients: Vec<usize> = clients.iter().map(|clients| clients.get()).collect();
            world::with_threads(*threads, |threads| {
                crate::bench_serve::run(&path, &clients, requests.get(), max_tokens.get(), threads, common)
            })
        }
        #[cfg(feature = "lm")]
        What::Grader { model, policy, data, wording, items, threads } => {
            let path = tony_lm::find_model(model)?;
            let policy = tony_lm::rbr::Policy::read(policy)?;
            let mut cases = tony_lm::rbr::Case::read(&policy, data)?;
            cases.truncate(items.get());
            world::with_threads(*threads, |threads| {
                bench_grader(&path, &policy, &cases, wording.wording(), threads, common)
            })
        }
        What::Train { algo, env, settings, steps, threads } => {
            let algorithm = Algorithm::find(algo)?;
            let mut typed = Layer::command_line(settings)?;
            let steps = steps.clone().unwrap_or_else(|| if algorithm.is_agent() { "100000" } else { "200" }.to_owned());
            typed.entries.insert(0, ("steps".into(), steps));
            let plan = algorithm.resolve(env, &[typed])?;
            world::with_threads(*threads, |threads| bench_train(&plan, threads, common))
        }
    }
}

/// Processor time that the calling thread has used: descheduling by other processes does not count.
fn thread_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// What one thread did. Seconds are its own processor time.
#[derive(Clone, Copy, Default)]
struct Tally {
    /// Environment steps, and the time for them and for the resets between them.
    steps: u64,
    step_seconds: f64,
    /// Steps' worth of bare physics, the calls in it, and their time.
    bare_steps: u64,
    bare_physics: u64,
    bare_seconds: f64,
    /// Time of one reset.
    reset_seconds: f64,
}

/// Steps between two changes between the environment and its bare physics. One: held controls lead elsewhere within a few
/// steps, where contacts cost more or less, and the limit is that of the same states. Tasks without physics have steps that
/// take no longer than reading the clock, so they are measured in long slices.
const SLICE: u32 = 1;
const LIGHT_SLICE: u32 = 20_000;
/// Time between two measurements of the machine's peak, at least.
const PEAK_EVERY: Duration = Duration::from_secs(1);
/// Resets that are timed.
const RESETS: u64 = 20;

/// Step and reset for `limit`, and run the bare physics in between from the same states.
fn measure(env: &mut dyn Env, index: u64, limit: Duration) -> Result<Tally> {
    let spec = env.spec().clone();
    let (mut obs, mut costs) = (vec![0.0; spec.obs_dim], vec![0.0; spec.costs.len()]);
    let mut stream = Stream::new(0, "bench", index);
    let mut actions = vec![0.0; 256 * spec.action.row_len()];
    actions.chunks_mut(spec.action.row_len()).for_each(|row| random_action(&spec.action, &mut stream, row));
    let mut actions = actions.chunks(spec.action.row_len()).cycle();
    let (mut tally, mut state, mut resets) = (Tally::default(), Vec::new(), 0_u64);
    env.reset(index, &mut obs)?;
    let slice = if env.bare_physics()? > 0 { SLICE } else { LIGHT_SLICE };
    env.reset(index, &mut obs)?;
    let began = Instant::now();
    while began.elapsed() < limit {
        state.clear();
        env.save(&mut state);
        let start = thread_seconds();
        for _ in 0..slice {
            tally.bare_physics += u64::from(env.bare_physics()?);
        }
        tally.bare_seconds += thread_seconds() - start;
        tally.bare_steps += u64::from(slice);
        env.load(&state)?;

        let start = thread_seconds();
        for action in actions.by_ref().take(slice as usize) {
            let step = env.step(action, &mut obs, &mut costs)?;
            if step.terminated || step.truncated {
                resets += 1;
                env.reset(index.wrapping_add(resets << 32), &mut obs)?;
            }
        }
        tally.step_seconds += thread_seconds() - start;
        tally.steps += u64::from(slice);
    }
    // Few episodes end in a short benchmark of a long task, so resets are timed on their own as well.
    let start = thread_seconds();
    for reset in 0..RESETS {
        env.reset(index.wrapping_add(reset << 40), &mut obs)?;
    }
    tally.reset_seconds = (thread_seconds() - start) / RESETS as f64;
    Ok(tally)
}

/// Environments that a thread has in flight where steps run elsewhere.
const IN_FLIGHT: usize = 8;
/// Steps between two changes between them and the plain loop there.
const FAR_SLICE: usize = 250;

/// As [`measure`], of environments whose steps run elsewhere, by the clock: the first runs the plain loop, in turns with the others.
fn measure_elsewhere(envs: &mut [Box<dyn Env>], index: u64, limit: Duration) -> Result<Tally> {
    let Some((bare, envs)) = envs.split_first_mut() else { return Ok(Tally::default()) };
    let spec = bare.spec().clone();
    let (mut obs, mut costs) = (vec![0.0; spec.obs_dim], vec![0.0; spec.costs.len()]);
    let mut stream = Stream::new(0, "bench", index);
    let mut actions = vec![vec![0.0; spec.action.row_len()]; envs.len()];
    let (mut tally, mut resets) = (Tally::default(), 0_u64);
    bare.reset(index, &mut obs)?;
    bare.bare_physics()?;
    envs.iter_mut().try_for_each(|env| env.reset(index, &mut obs))?;
    let began = Instant::now();
    while began.elapsed() < limit {
        let clock = Instant::now();
        let frames = bare.bare_physics()?;
        tally.bare_seconds += clock.elapsed().as_secs_f64();
        tally.bare_physics += u64::from(frames);
        tally.bare_steps += FAR_SLICE as u64;

        let clock = Instant::now();
        for (env, action) in envs.iter_mut().zip(&mut actions) {
            random_action(&spec.action, &mut stream, action);
            env.send(action)?;
        }
        for i in (0..envs.len()).cycle().take(FAR_SLICE) {
            let step = envs[i].step(&actions[i], &mut obs, &mut costs)?;
            if step.terminated || step.truncated {
                resets += 1;
                envs[i].reset(index.wrapping_add(resets << 32), &mut obs)?;
            }
            random_action(&spec.action, &mut stream, &mut actions[i]);
            envs[i].send(&actions[i])?;
        }
        for (env, action) in envs.iter_mut().zip(&actions) {
            let step = env.step(action, &mut obs, &mut costs)?;
            if step.terminated || step.truncated {
                env.reset(index, &mut obs)?;
            }
        }
        tally.step_seconds += clock.elapsed().as_secs_f64();
        tally.steps += (FAR_SLICE + envs.len()) as u64;
    }
    let clock = Instant::now();
    for reset in 0..RESETS {
        envs[0].reset(index.wrapping_add(reset << 40), &mut obs)?;
    }
    tally.reset_seconds = clock.elapsed().as_secs_f64() / RESETS as f64;
    Ok(tally)
}

/// The threads' rates together: each is a count by its own seconds.
fn rate(tallies: &[Tally], count: fn(&Tally) -> u64, seconds: fn(&Tally) -> f64) -> f64 {
    tallies.iter().map(|t| count(t) as f64 / seconds(t).max(1e-9)).sum()
}

/// How fast an environment is.
#[derive(Serialize)]
struct EnvSpeed {
    env: &'static str,
    threads: NonZeroUsize,
    env_steps_per_s: f64,
    physics_steps_per_s: f64,
    raw_physics_steps_per_s: Option<f64>,
    share_of_limit: Option<f64>,
    /// What a reset costs, in steps.
    reset_in_steps: f64,
}

fn measure_env(name: &str, threads: NonZeroUsize, seconds: f64, offline: bool) -> Result<EnvSpeed> {
    let listing = tony_env::find(name)?;
    let limit = Duration::from_secs_f64(seconds.clamp(0.1, 3600.0));
    let tallies: Vec<Tally> = world::with_threads(Some(threads), |threads| {
        if listing.needs_arcade() {
            // A worker a thread, which the environments take in turns.
            let envs = world::make(listing.name, threads * (1 + IN_FLIGHT), offline)?;
            let mut groups: Vec<Vec<Box<dyn Env>>> = (0..threads).map(|_| Vec::new()).collect();
            envs.into_iter().enumerate().for_each(|(i, env)| groups[i % threads].push(env));
            let measure = |(i, envs): (usize, &mut Vec<_>)| measure_elsewhere(envs, i as u64, limit);
            return groups.par_iter_mut().enumerate().map(measure).collect();
        }
        let mut envs = world::make(listing.name, threads, offline)?;
        envs.par_iter_mut().enumerate().map(|(i, env)| measure(env.as_mut(), i as u64, limit)).collect()
    })?;
    let env_rate = rate(&tallies, |t| t.steps, |t| t.step_seconds);
    let raw = rate(&tallies, |t| t.bare_physics, |t| t.bare_seconds);
    let physics_a_step = tallies[0].bare_physics as f64 / tallies[0].bare_steps as f64;
    // A task without an engine integrates once a step.
    let physics_rate = env_rate * if physics_a_step > 0.0 { physics_a_step } else { 1.0 };
    let (raw, share) = if raw > 0.0 { (Some(raw), Some(physics_rate / raw)) } else { (None, None) };
    let reset: f64 =
        tallies.iter().map(|t| t.reset_seconds * t.steps as f64 / t.step_seconds).sum::<f64>() / tallies.len() as f64;
    Ok(EnvSpeed {
        env: listing.name,
        threads,
        env_steps_per_s: env_rate,
        physics_steps_per_s: physics_rate,
        raw_physics_steps_per_s: raw,
        share_of_limit: share,
        reset_in_steps: reset,
    })
}

fn warn_of_threads(threads: NonZeroUsize) {
    if std::thread::available_parallelism().is_ok_and(|cores| threads > cores) {
        console::note("warning: more threads than cores; processor time does not show that they wait for each other");
    }
}

fn bench_env(name: &str, threads: NonZeroUsize, seconds: f64, common: Common) -> Result<Code> {
    warn_of_threads(threads);
    let speed = measure_env(name, threads, seconds, common.offline)?;
    console::answer(common.json, &speed, || {
        let number = |x: f64| console::thousands(x.round() as u64);
        let mut rows = vec![
            vec![
                "environment steps/s".to_owned(),
                number(speed.env_steps_per_s),
                "with resets, random actions".to_owned(),
            ],
            vec!["physics steps/s".to_owned(), number(speed.physics_steps_per_s), String::new()],
        ];
        if let (Some(raw), Some(share)) = (speed.raw_physics_steps_per_s, speed.share_of_limit) {
            rows.push(vec![
                "bare physics steps/s".to_owned(),
                number(raw),
                "the limit: the physics calls alone".to_owned(),
            ]);
            rows.push(vec!["share of the limit".to_owned(), format!("{:.1} %", 100.0 * share), String::new()]);
        }
        rows.push(vec!["a reset costs".to_owned(), format!("{:.2}", speed.reset_in_steps), "steps".to_owned()]);
        let plural = if threads.get() == 1 { "" } else { "s" };
        let clock = if tony_env::find(speed.env).is_ok_and(tony_env::Listing::needs_arcade) {
            "the clock"
        } else {
            "processor time"
        };
        let heading = format!("{}, {threads} thread{plural}, by {clock}", speed.env);
        format!("{heading}\n{}", console::table(&rows))
    })?;
    Ok(Code::Done)
}

/// All environments with a physics engine.
fn bench_all(threads: NonZeroUsize, seconds: f64, common: Common) -> Result<Code> {
    warn_of_threads(threads);
    let mut speeds = Vec::new();
    for listing in tony_env::list().iter().filter(|listing| listing.needs_mujoco) {
        console::note(listing.name);
        speeds.push(measure_env(listing.name, threads, seconds, common.offline)?);
    }
    console::answer(common.json, &json!({ "envs": speeds }), || {
        let header = ["ENV", "STEPS/S", "BARE PHYSICS/S", "SHARE", "A RESET, IN STEPS"];
        let row = |speed: &EnvSpeed| {
            let number = |x: f64| console::thousands(x.round() as u64);
            vec![
                speed.env.to_owned(),
                number(speed.env_steps_per_s),
                speed.raw_physics_steps_per_s.map_or_else(|| "-".to_owned(), number),
                speed.share_of_limit.map_or_else(|| "-".to_owned(), |share| format!("{:.1} %", 100.0 * share)),
                format!("{:.2}", speed.reset_in_steps),
            ]
        };
        let rows: Vec<Vec<String>> =
            std::iter::once(header.map(str::to_owned).to_vec()).chain(speeds.iter().map(row)).collect();
        console::table(&rows)
    })?;
    Ok(Code::Done)
}

fn bench_train(plan: &Plan, threads: usize, common: Common) -> Result<Code> {
    let mut trainer = Algorithm::find(&plan.algorithm)?.trainee(plan, common.offline)?;
    let scratch = tempfile::tempdir()?;
    let manifest = Manifest::new(number(plan, "seed")?, threads);
    let mut folder = RunFolder::create(&scratch.path().join("run"), plan, &manifest)?;
    // The peak is measured again and again between updates: a machine that others use too has fast and slow times, and both sides of
    // the ratio must see the same of them.
    let (mut peaks, mut measuring, mut last) = (Vec::new(), 0.0, None::<Instant>);
    let mut examples = Vec::new();
    let began = Instant::now();
    trainer.run(&mut folder, number(plan, "steps")?, &Control::default(), &mut |metrics| {
        examples.extend(metrics.get("Time/Examples"));
        if last.is_none_or(|last| last.elapsed() > PEAK_EVERY) {
            let start = Instant::now();
            peaks.push(tony_nn::machine_gflops(threads));
            measuring += start.elapsed().as_secs_f64();
            last = Some(Instant::now());
        }
    })?;
    let seconds = began.elapsed().as_secs_f64() - measuring;
    let memory = peak_memory()?;
    let times = trainer.times();
    let update_gflops = times.update_flops as f64 / times.update.max(1e-9) / 1e9;
    let machine_gflops = peaks.iter().sum::<f64>() / peaks.len().max(1) as f64;
    let whole = times.learning() + times.other;
    let share = [times.physics, times.policy, times.update, times.other].map(|part| part / whole.max(1e-9));
    let speed = trainer.steps() as f64 / seconds;
    let examples = (!examples.is_empty()).then(|| examples.iter().sum::<f64>() / examples.len() as f64);
    if common.json {
        console::print_json(&json!({
            "algo": plan.algorithm, "env": plan.env, "threads": threads, "env_steps_per_s": speed, "examples_per_s": examples, "seconds": seconds,
            "share": {"physics": share[0], "policy": share[1], "update": share[2], "other": share[3]},
            "update_gflops": update_gflops, "machine_gflops": machine_gflops, "peak_rss_bytes": memory,
        }))?;
        return Ok(Code::Done);
    }
    let plural = if threads == 1 { "" } else { "s" };
    let percent = |x: f64| format!("{:.1} %", 100.0 * x);
    let examples = examples.map(|n| format!(", {} examples/s", console::thousands(n as u64))).unwrap_or_default();
    console::print(format!(
        "{} on {}, {threads} thread{plural}: {} steps in {}, {} steps/s{examples}\n\
         time: physics {}, policy {}, update {}, other {}\n\
         update: {update_gflops:.1} GFLOP/s, {} of the {machine_gflops:.1} GFLOP/s that this machine reaches in a large matrix product\n\
         most memory: {:.0} MB",
        plan.algorithm,
        plan.env,
        console::thousands(trainer.steps()),
        console::duration(seconds),
        console::short(speed),
        percent(share[0]),
        percent(share[1]),
        percent(share[2]),
        percent(share[3]),
        percent(update_gflops / machine_gflops),
        memory.unwrap_or(0) as f64 / 1e6,
    ))?;
    Ok(Code::Done)
}

#[cfg(feature = "lm")]
fn bench_model(
    path: &std::path::Path,
    [prefill, decode, batch]: [usize; 3],
    precision: crate::generate::Precision,
    threads: usize,
    common: Common,
) -> Result<Code> {
    use tony_lm::decoder::{Decoder, Kept, ModelFile, Piece};
    let file = ModelFile::open(path).map_err(tony_lm::Error::from)?;
    let mut model = Decoder::load(&file).map_err(tony_lm::Error::from)?;
    model.set_precision(precision.into());
    let config = model.config();
    if prefill + decode > config.context {
        let what = format!("{prefill} + {decode} tokens are more than the {} that this model takes", config.context);
        return Err(Failure::usage("invalid", what));
    }
    // Any tokens: what is computed does not depend on which.
    let tokens: Vec<u32> = (0..prefill).map(|i| (i * 7919 % config.vocabulary) as u32).collect();
    let (mut fast_prefill, mut fast_decode, mut peaks, mut flops, mut kept_bytes) =
        (0.0_f64, 0.0_f64, 0.0_f64, 0.0_f64, 0);
    for _ in 0..3 {
        peaks = peaks.max(tony_nn::machine_gflops(threads));
        let mut kept: Vec<Kept> = (0..batch).map(|_| model.begin()).collect();
        let (clock, before) = (Instant::now(), tony_nn::flop_count());
        let mut pieces: Vec<Piece> = kept.iter_mut().map(|kept| Piece { kept, tokens: &tokens, wanted: 1 }).collect();
        model.forward(&mut pieces);
        let seconds = clock.elapsed().as_secs_f64();
        fast_prefill = fast_prefill.max((batch * prefill) as f64 / seconds);
        flops = flops.max((tony_nn::flop_count() - before) as f64 / seconds / 1e9);
        let clock = Instant::now();
        for token in (0..decode).map(|i| [(i * 104_729 % config.vocabulary) as u32]) {
            let mut pieces: Vec<Piece> =
                kept.iter_mut().map(|kept| Piece { kept, tokens: &token, wanted: 1 }).collect();
            model.forward(&mut pieces);
        }
        fast_decode = fast_decode.max((batch * decode) as f64 / clock.elapsed().as_secs_f64());
        kept_bytes = kept.iter().map(Kept::bytes).sum();
    }
    let memory = peak_memory()?;
    let object = json!({
        "prefill_tokens_per_s": fast_prefill, "decode_tokens_per_s": fast_decode, "batch": batch, "threads": threads,
        "precision": if precision == crate::generate::Precision::Fast { "fast" } else { "full" },
        "peak_rss_bytes": memory, "weights_bytes": model.bytes(), "kept_bytes": kept_bytes, "prefill_gflops": flops, "machine_gflops": peaks,
    });
    console::answer(common.json, &object, || {
        let megabytes = |bytes: usize| bytes as f64 / 1e6;
        let gigabytes = fast_decode / batch as f64 * model.bytes() as f64 / 1e9;
        let rows = [
            vec![
                "prompts read".to_owned(),
                format!("{fast_prefill:.0} tokens/s"),
                format!("{flops:.0} of the {peaks:.0} GFLOP/s of a large matrix product"),
            ],
            vec![
                "tokens written".to_owned(),
                format!("{fast_decode:.1} tokens/s"),
                format!("weights are read at {gigabytes:.1} GB/s"),
            ],
            vec!["weights".to_owned(), format!("{:.0} MB", megabytes(model.bytes())), String::new()],
            vec!["kept of the tokens".to_owned(), format!("{:.0} MB", megabytes(kept_bytes)), String::new()],
            vec!["most memory".to_owned(), format!("{:.0} MB", megabytes(memory.unwrap_or(0) as usize)), String::new()],
        ];
        let plural = |n: usize, word: &str| format!("{n} {word}{}", if n == 1 { "" } else { "s" });
        format!(
            "{}, {precision:?} precision, {}, {} of {prefill} + {decode} tokens\n{}",
            path.display(),
            plural(threads, "thread"),
            plural(batch, "sequence"),
            console::table(&rows)
        )
    })?;
    Ok(Code::Done)
}

#[cfg(feature = "lm")]
fn device(name: &str) -> std::result::Result<tony_lm::learn::Device, String> {
    use tony_run::settings::Scalar;
    tony_lm::learn::Device::parse(name).ok_or_else(tony_lm::learn::Device::kind)
}

#[cfg(feature = "lm")]
fn bench_learn(args: &LearnArgs, threads: usize, common: Common) -> Result<Code> {
    use tony_lm::decoder::{Adaptation, ModelFile, Network, Sequence};
    let rank: Option<usize> = match args.adapt.as_str() {
        "full" => None,
        rank => Some(rank.parse().map_err(|_| {
            let what = format!("`{rank}` is neither `full` nor a rank, a whole number");
            Failure::usage("bad_value", what).hint("--adapt full, or --adapt 16")
        })?),
    };
    let adaptation = match rank {
        Some(rank) => Adaptation::LowRank { rank, alpha: 2.0 * rank as f32 },
        None => Adaptation::Full,
    };
    let path = tony_lm::find_model(&args.model)?;
    let (tokens, batch) = (args.tokens.get(), args.batch.get());
    let file = ModelFile::open(&path).map_err(tony_lm::Error::from)?;
    let (mut network, params) =
        Network::open(&file, adaptation, 0, args.device.into()).map_err(tony_lm::Error::from)?;
    network.recompute = args.recompute;
    let config = network.config();
    if tokens < 2 || tokens > config.context {
        let what = format!("sequences have 2 to {} tokens, which is all that this model takes", config.context);
        return Err(Failure::usage("invalid", what));
    }
    // Any tokens: what is computed does not depend on which.
    let text = |i: usize| (0..tokens).map(|j| ((j * 7919 + i) % config.vocabulary) as u32).collect();
    let texts: Vec<Vec<u32>> = (0..batch).map(text).collect();
    let sequences: Vec<Sequence> = texts.iter().map(|tokens| Sequence { tokens, from: 1 }).collect();
    let flops = (network.flops_per_token() * (tokens * batch) as u64) as f64;
    let mut grad = vec![0.0; network.num_params()];
    let (mut peak, mut speed, mut share) = (0.0, 0.0_f64, 0.0_f64);
    for _ in 0..3 {
        let before = tony_nn::machine_gflops(1);
        let (clock, start) = (Instant::now(), process_seconds());
        network.gradient(&params, &sequences, &|_, _, _| 1.0, 0.0, &mut grad).map_err(tony_lm::Error::from)?;
        let (wall, used) = (clock.elapsed().as_secs_f64(), process_seconds() - start);
        let now = 0.5 * (before + tony_nn::machine_gflops(1));
        speed = speed.max((tokens * batch) as f64 / wall);
        if flops / used / 1e9 / now > share {
            (share, peak) = (flops / used / 1e9 / now, now);
        }
    }
    let memory = peak_memory()?;
    let object = json!({
        "tokens_per_s": speed, "gflops_per_core": share * peak, "machine_gflops_per_core": peak, "share_of_peak": share, "tokens": tokens,
        "batch": batch, "rank": rank, "recompute": args.recompute, "device": args.device.name(), "threads": threads, "learned": params.len(), "peak_rss_bytes": memory,
    });
    console::answer(common.json, &object, || {
        format!(
            "{}, {}, {batch} sequences of {tokens} tokens, {threads} threads\n\
             {speed:.0} tokens/s; by processor time {:.1} of the {peak:.1} GFLOP/s that a core reaches in a large matrix product, {:.0} %\n\
             most memory: {:.0} MB",
            path.display(),
            rank.map_or("all parameters".to_owned(), |rank| format!("rank {rank}")),
            share * peak,
            100.0 * share,
            memory.unwrap_or(0) as f64 / 1e6,
        )
    })?;
    Ok(Code::Done)
}

#[cfg(feature = "lm")]
fn bench_grader(
    path: &std::path::Path,
    policy: &tony_lm::rbr::Policy,
    cases: &[tony_lm::rbr::Case],
    wording: tony_lm::rbr::Wording,
    threads: usize,
    common: Common,
) -> Result<Code> {
    use tony_lm::rbr::{LocalGrader, grade};
    if cases.is_empty() {
        return Err(Failure::usage("no_rows", "there are no completions to grade"));
    }
    let open = || LocalGrader::open(path, wording);
    let mut graders = [open()?, open()?.without_reuse()];
    let (mut seconds, mut difference, mut missing) = ([0.0; 2], 0.0_f64, 0);
    for case in cases {
        let mut verdicts = [Vec::new(), Vec::new()];
        for (i, grader) in graders.iter_mut().enumerate() {
            // Processor time: what others do on the machine does not count.
            let start = process_seconds();
            verdicts[i] = grade(policy, grader, std::slice::from_ref(case), &mut |_| Ok(()))?.concat();
            seconds[i] += process_seconds() - start;
        }
        for (with, without) in verdicts[0].iter().zip(&verdicts[1]) {
            match (with.yes(), without.yes()) {
                (Some(a), Some(b)) => difference = difference.max((a - b).abs()),
                _ => missing += 1,
            }
        }
    }
    let hourly = seconds.map(|seconds| 3600.0 * threads as f64 * cases.len() as f64 / seconds);
    let propositions = policy.propositions().count();
    let object = json!({
        "items": cases.len(), "propositions": propositions, "threads": threads, "items_per_hour": hourly[0],
        "items_per_hour_without_reuse": hourly[1], "ratio": seconds[1] / seconds[0], "largest_difference": difference, "missing": missing,
    });
    console::answer(common.json, &object, || {
        format!(
            "{} items, {propositions} propositions each, {threads} threads, by processor time\n\
             shared beginnings read once: {:.0} items/hour\n\
             each question from its start: {:.0} items/hour, {:.2} times as long\n\
             largest difference of a probability {difference:.1e}, {missing} verdicts missing",
            cases.len(),
            hourly[0],
            hourly[1],
            seconds[1] / seconds[0],
        )
    })?;
    Ok(Code::Done)
}

/// Processor time that all threads of this process have used.
#[cfg(feature = "lm")]
fn process_seconds() -> f64 {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ProcessCPUTime);
    time.tv_sec as f64 + 1e-9 * time.tv_nsec as f64
}

/// Most resident memory that this process ever had, in bytes, where the system tells.
fn peak_memory() -> Result<Option<u64>> {
    if !cfg!(target_os = "linux") {
        return Ok(None);
    }
    let status = fs_err::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    Ok(line.and_then(|line| line.trim().strip_suffix(" kB")?.parse::<u64>().ok()).map(|kilobytes| kilobytes * 1024))
}
