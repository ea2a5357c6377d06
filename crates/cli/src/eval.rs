//! `tony eval`: the deterministic policy in fresh episodes.

use std::path::{Path, PathBuf};

use tony_env::Env;
use tony_env::recording::{Recorder, Recording};
use tony_rl::Actor;
use tony_run::{Loaded, RunFolder, RunView, Stat, stats};

use crate::failure::{Code, Failure, Result};
#[cfg(feature = "meta")]
use crate::few_shot;
use crate::report::{Evaluation, Traces, Watched};
use crate::workload::Algorithm;
use crate::{Common, console, world};

/// Measure a trained agent in fresh episodes.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony eval runs/cpo-SafetyPointGoal1-0001\n  tony eval runs/cpo-SafetyPointGoal1-0001 --episodes 100 --seed 7 --json"
)]
pub struct Args {
    /// The run folder.
    run: PathBuf,
    /// Episodes to play; of few-shot learners, new tasks to adapt to.
    #[arg(long, value_name = "N", default_value_t = std::num::NonZeroUsize::new(20).unwrap_or(std::num::NonZeroUsize::MIN))]
    episodes: std::num::NonZeroUsize,
    /// Seed of the episodes, which are never those of training [default: the run's].
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

/// What to measure.
pub struct Task<'a> {
    /// The run folder.
    pub run: &'a Path,
    /// Name of its checkpoint.
    pub checkpoint: &'a str,
    /// Environment steps that the policy was trained for.
    pub steps: u64,
    /// Episodes to play.
    pub episodes: usize,
    /// How many of the first of them to record.
    pub recorded: usize,
    /// Seed of the episodes; its stream is not training's.
    pub seed: u64,
}

/// What was measured.
pub struct Measured {
    /// Sums over episodes.
    pub evaluation: Evaluation,
    /// The first episodes.
    pub recordings: Vec<Recording>,
    /// Where the options of the policy lead, if it has any.
    pub traces: Option<Traces>,
}

/// Play episodes with the deterministic policy; one with options follows option `i mod options` in episode `i`.
pub fn measure(task: &Task, actor: &dyn Actor, env: &mut dyn Env) -> Result<Measured> {
    let &Task { episodes, recorded, seed, steps, .. } = task;
    let spec = env.spec().clone();
    let options = Some(actor.options()).filter(|options| *options > 0);
    let mut recorders: Vec<Recorder> = Vec::new();
    let mut watched = Watched::default();
    // Where nothing is random, all episodes of one option are one.
    let alike = options.is_none() && tony_env::find(&spec.name).is_ok_and(|listing| !listing.random);
    let played = if alike { episodes.min(1) } else { episodes };
    let mut sums = tony_rl::evaluate(actor, env, played, seed, &mut |episode, env, step, obs, costs| {
        if options.is_some() {
            watched.robot.resize(episode + 1, Vec::new());
            watched.obs.resize(episode + 1, Vec::new());
            watched.robot[episode].push(env.frame().robot());
            watched.obs[episode].push(obs.to_vec());
        }
        if episode >= recorded {
            return;
        }
        match step {
            None => recorders.push(Recorder::of(env, seed, steps)),
            Some(step) => recorders[episode].push(&env.frame(), step.reward, costs),
        }
    })?;
    if let Some(only) = sums.first().filter(|_| alike).cloned() {
        sums.resize(episodes, only);
    }
    let stat = |pick: &dyn Fn(&tony_rl::EpisodeSums) -> f64| {
        let values: Vec<f64> = sums.iter().map(pick).collect();
        stats::mean(&values).ok_or_else(|| Failure::usage("bad_argument", "no episodes were asked for"))
    };
    let costs = spec.costs.iter().enumerate().map(|(k, name)| Ok((name.clone(), stat(&|sums| sums.costs[k])?)));
    let evaluation = Evaluation {
        run: task.run.display().to_string(),
        checkpoint: task.checkpoint.to_owned(),
        episodes,
        options,
        total: stat(&|sums| sums.ret)?,
        costs: costs.collect::<Result<_>>()?,
        length: stat(&|sums| sums.length as f64)?,
    };
    let mut recordings: Vec<Recording> = recorders.into_iter().map(Recorder::finish).collect();
    for (i, recording) in recordings.iter_mut().enumerate() {
        recording.option = options.map(|options| i % options);
    }
    Ok(Measured { evaluation, recordings, traces: options.map(|options| Traces::new(options, &watched)) })
}

/// A run's newest checkpoint that is whole, to be looked at; says what is wrong with newer ones.
pub fn open(run: &Path) -> Result<(RunView, Loaded)> {
    let view = RunFolder::open_read(run)?;
    let none = || {
        Failure::failed("no_checkpoint", format!("{} has no checkpoint yet", run.display()))
            .hint(format!("tony resume {}", run.display()))
    };
    let loaded = view.latest()?.ok_or_else(none)?;
    for warning in &loaded.warnings {
        console::note(format!("warning: {warning}"));
    }
    Ok((view, loaded))
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let (view, loaded) = open(&args.run)?;
    #[cfg(feature = "meta")]
    if tony_meta::algorithms::find(&view.plan().algorithm).is_some() {
        let seed = args.seed.unwrap_or(view.manifest().seed);
        return few_shot::eval(&args.run, &view, &loaded, args.episodes.get(), seed, common);
    }
    #[cfg(feature = "lm")]
    if tony_lm::learn::supervised::Entry::find(&view.plan().algorithm).is_some() {
        return crate::language::eval(&args.run, &view, &loaded, common);
    }
    let seed = args.seed.unwrap_or(view.manifest().seed);
    let task = Task {
        run: &args.run,
        checkpoint: &loaded.name,
        steps: loaded.steps,
        episodes: args.episodes.get(),
        recorded: 0,
        seed,
    };
    let algorithm = Algorithm::find(&view.plan().algorithm)?;
    let result = if algorithm.can_be_watched(&view.plan().env) {
        let mut env = world::make(&view.plan().env, 1, common.offline)?.remove(0);
        let actor = tony_rl::load_actor(&loaded.policy, env.spec())?;
        measure(&task, actor.as_ref(), env.as_mut())?
    } else {
        let mut trainee = algorithm.trainee(view.plan(), common.offline)?;
        trainee.restore(&loaded)?;
        trainee.measure(&task, view.plan(), common.offline)?
    };
    let result = result.evaluation;
    if common.json {
        console::print_json(&result)?;
    } else {
        let mut rows = vec![["", "mean", "95 % interval"].map(str::to_owned).to_vec()];
        let row = |name: &str, s: &Stat| vec![name.to_owned(), console::short(s.mean), console::interval(s)];
        rows.push(row("return", &result.total));
        rows.extend(result.costs.iter().map(|(name, cost)| row(name, cost)));
        rows.push(row("length", &result.length));
        let Evaluation { run, checkpoint, episodes, options, .. } = &result;
        let turns = options.map(|n| format!(", options 0 to {} in turn", n - 1)).unwrap_or_default();
        console::print(format!(
            "{run}, checkpoint {checkpoint}, {episodes} episodes from seed {seed}{turns}\n{}",
            console::table(&rows)
        ))?;
    }
    Ok(Code::Done)
}
