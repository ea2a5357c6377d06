//! `tony train`: from what was typed to a run folder and a trainer that is ready.

use std::io::IsTerminal;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use clap::builder::StyledStr;
use tony_run::{Layer, Manifest, Plan, RunFolder};

use crate::failure::{Code, Failure, Result};
use crate::training::Training;
use crate::workload::Algorithm;
use crate::{Common, console, list, training, world};

/// What else a verb that trains takes.
#[derive(Clone, clap::Args)]
pub struct More {
    /// Environment steps in all: tokens, of a language model (the same as steps=N).
    #[arg(long, value_name = "N")]
    steps: Option<String>,
    /// Seed of everything that is random (seed=S).
    #[arg(long, value_name = "S")]
    seed: Option<String>,
    /// Worker threads; results do not depend on it [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Run folder to make [default: the next free runs/ALGO-TASK-NNNN].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Show nothing but the end.
    #[arg(long)]
    quiet: bool,
}

/// Train an agent.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Algorithm: `tony list algos` shows them.
    algo: String,
    /// Environment: `tony list envs` shows them; the version suffix may be left out. Of few-shot algorithms, the family of tasks.
    env: String,
    /// Settings of the algorithm: `tony train ALGO --help` shows them.
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Environment steps in all (the same as steps=N).
    #[arg(long, value_name = "N")]
    steps: Option<String>,
    /// Seed of everything that is random (seed=S).
    #[arg(long, value_name = "S")]
    seed: Option<String>,
    /// Environments to collect from (envs=N).
    #[arg(long, value_name = "N")]
    envs: Option<String>,
    /// Worker threads; results do not depend on it [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
    /// Run folder to make [default: the next free runs/ALGO-ENV-NNNN].
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Settings file in TOML; the command line wins over it.
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Show nothing but the end.
    #[arg(long)]
    quiet: bool,
}

const EXAMPLES: &str = "\
Examples:
  tony train cpo SafetyPointGoal1
  tony train ppo-lag SafetyPointGoal1 --steps 2000000 --seed 3 cost.limit=10
  tony train trpo-pid SafetyCarGoal2 cost.limit.hazards=20 cost.limit.vases=5
  tony train ppo HalfCheetah preset=sb3 hidden=256,256
  tony train cpo SafetyPointGoal1 --config mine.toml --out runs/mine --json
  tony train reptile omniglot shots=1 ways=5 data=/data/omniglot
  tony train cpo --help        every setting of cpo, with its default

Ctrl-C or SIGTERM finish the update and commit; `tony resume RUN` goes on, bit for bit.";

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let algorithm = Algorithm::find(&args.algo)?;
    let plan = plan(algorithm, args)?;
    world::with_threads(args.threads, |threads| {
        let trainee = algorithm.trainee(&plan, common.offline)?;
        let mut manifest = Manifest::new(number(&plan, "seed")?, threads);
        manifest.commit = option_env!("TONY_COMMIT").map(str::to_owned);
        let physics = tony_env::find(&plan.env).is_ok_and(|listing| listing.needs_mujoco);
        manifest.mujoco = physics.then(|| tony_mujoco::VERSION.to_owned());
        let folder = match &args.out {
            Some(dir) => RunFolder::create(dir, &plan, &manifest)?,
            None => RunFolder::create_in(Path::new("runs"), &plan, &manifest)?,
        };
        let title = algorithm.about().title;
        let training = Training { folder, trainee, plan, title, before: (0, 0.0), threads, quiet: args.quiet };
        training::run(training, common)
    })
}

#[cfg(feature = "lm")]
impl Args {
    /// As if it had been typed: an algorithm, what it is trained on, settings.
    pub fn typed(algo: &str, env: String, settings: Vec<String>, more: More) -> Self {
        let More { steps, seed, threads, out, quiet } = more;
        Self { algo: algo.to_owned(), env, settings, steps, seed, envs: None, threads, out, config: None, quiet }
    }
}

/// A whole number of a plan, already checked when the plan was made.
pub fn number<T: std::str::FromStr>(plan: &Plan, key: &str) -> Result<T> {
    let value = plan.get(key).and_then(|text| text.parse().ok());
    value.ok_or_else(|| Failure::usage("bad_value", format!("setting `{key}` is missing or not a whole number")))
}

/// Defaults, then the preset, then the settings file, then the command line, where `key=value` counts more than a flag.
fn plan(algorithm: Algorithm, args: &Args) -> Result<Plan> {
    let flags = [("steps", &args.steps), ("seed", &args.seed), ("envs", &args.envs)];
    let flags = flags.into_iter().filter_map(|(key, text)| Some((key.to_owned(), text.clone()?)));
    let mut typed = Layer::command_line(&args.settings)?;
    typed.entries.splice(0..0, flags);
    let mut layers: Vec<Layer> = args.config.as_deref().map(Layer::file).transpose()?.into_iter().collect();
    layers.push(typed);
    algorithm.resolve(&args.env, &layers)
}

/// Print clap's help; where an algorithm is named, with its settings.
pub fn print_help(help: &StyledStr) -> Result<Code> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let trains = words.first().is_some_and(|verb| verb == "train");
    let named = words.iter().skip(1).filter(|_| trains).find_map(|word| Algorithm::find(word).ok());
    let help = if std::io::stdout().is_terminal() { help.ansi().to_string() } else { help.to_string() };
    console::print(help.trim_end())?;
    if let Some(algorithm) = named {
        console::print(format!("\n{}", list::algorithm_page(algorithm)))?;
    }
    Ok(Code::Done)
}
