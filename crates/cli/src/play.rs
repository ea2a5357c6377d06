//! `tony play`: episodes to look at, on a page that needs nothing else, or as a film.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tony_env::recording::{Recording, record};
use tony_env::space::Space;
use tony_random::Stream;

use crate::failure::{Code, Failure, Result};
use crate::workload::Algorithm;
use crate::{Common, console, eval, film, report, world};

/// Write a replay: a run's policy, or random actions in an environment.
///
/// Without a file a page is written. Films need neither a window nor a graphics device; MP4 files are encoded by ffmpeg.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony play runs/cpo-SafetyPointGoal1-0001\n  tony play runs/cpo-SafetyPointGoal1-0001 --episodes 5 --html replay.html\n  tony play runs/cpo-SafetyPointGoal1-0001 --gif replay.gif --mp4 replay.mp4\n  tony play SafetyCarGoal2        random actions, to see the task"
)]
pub struct Args {
    /// A run folder, or the name of an environment.
    #[arg(value_name = "RUN or ENV")]
    what: String,
    /// Episodes to show [default: 3, and 1 where only a film is asked for].
    #[arg(long, value_name = "N")]
    episodes: Option<NonZeroUsize>,
    /// The page to write [default: replay.html in the run folder, or ENV-replay.html here].
    #[arg(long, value_name = "FILE")]
    html: Option<PathBuf>,
    /// The GIF file to write.
    #[arg(long, value_name = "FILE")]
    gif: Option<PathBuf>,
    /// The MP4 file to write.
    #[arg(long, value_name = "FILE")]
    mp4: Option<PathBuf>,
    /// Seed of the episodes, which are never those of training.
    #[arg(long, value_name = "S")]
    seed: Option<u64>,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    // What cannot be done is known before the episodes are played.
    if args.mp4.is_some() {
        film::ffmpeg()?;
    }
    let folder = Path::new(&args.what);
    let is_run = folder.is_dir() || (args.what.contains('/') && !tony_env::is_world(&args.what));
    let (recordings, title, default) = if is_run { of_run(folder, args, common)? } else { of_env(args, common)? };
    let mut written = serde_json::Map::new();
    let html = args.html.clone().or_else(|| (!args.films()).then_some(default));
    if let Some(path) = html {
        fs_err::write(&path, report::replay_page(&title, &recordings))?;
        written.insert("html".to_owned(), json!(path));
    }
    let films = [("gif", film::Kind::Gif, &args.gif), ("mp4", film::Kind::Mp4, &args.mp4)];
    for (name, kind, path) in films.into_iter().filter_map(|(name, kind, path)| Some((name, kind, path.as_ref()?))) {
        film::film(&recordings, kind, path)?;
        written.insert(name.to_owned(), json!(path));
    }
    let paths = || written.values().filter_map(Value::as_str).collect::<Vec<_>>().join("\n");
    console::answer(common.json, &written, paths)?;
    Ok(Code::Done)
}

impl Args {
    /// Is a film asked for?
    fn films(&self) -> bool {
        self.gif.is_some() || self.mp4.is_some()
    }

    /// How many episodes to play.
    fn episodes(&self) -> usize {
        let usual = if self.films() && self.html.is_none() { 1 } else { 3 };
        self.episodes.map_or(usual, NonZeroUsize::get)
    }
}

/// The newest policy of a run.
fn of_run(folder: &Path, args: &Args, common: Common) -> Result<(Vec<Recording>, String, PathBuf)> {
    let (view, loaded) = eval::open(folder)?;
    if !Algorithm::find(&view.plan().algorithm)?.can_be_watched(&view.plan().env) {
        let what = format!("{} has no episodes to play: what was trained in it has no pictures", folder.display());
        let report = folder.join("report.html");
        return Err(Failure::usage("no_episodes", what).hint(format!("look at {}", report.display())));
    }
    let mut env = world::make(&view.plan().env, 1, common.offline)?.remove(0);
    let actor = tony_rl::load_actor(&loaded.policy, env.spec())?;
    let task = eval::Task {
        run: folder,
        checkpoint: &loaded.name,
        steps: loaded.steps,
        episodes: args.episodes(),
        recorded: args.episodes(),
        seed: args.seed.unwrap_or(view.manifest().seed),
    };
    let recordings = eval::measure(&task, actor.as_ref(), env.as_mut())?.recordings;
    let title = format!("{} on {}, {} steps", view.plan().algorithm, view.plan().env, console::thousands(loaded.steps));
    Ok((recordings, title, folder.join("replay.html")))
}

/// Uniformly random actions.
fn of_env(args: &Args, common: Common) -> Result<(Vec<Recording>, String, PathBuf)> {
    let listing = tony_env::find(&args.what)?;
    let mut env = world::make(listing.name, 1, common.offline)?.remove(0);
    let space = env.spec().action.clone();
    let first = args.seed.unwrap_or(0);
    let episode = |i: u64| {
        let mut stream = Stream::new(first + i, "play", 0);
        record::<Failure>(env.as_mut(), first + i, 0, |_, action| {
            random_action(&space, &mut stream, action);
            Ok(())
        })
    };
    let recordings = (0..args.episodes() as u64).map(episode).collect::<Result<_>>()?;
    Ok((recordings, format!("{}, random actions", listing.name), format!("{}-replay.html", listing.name).into()))
}

/// Fill `action` with a uniformly random one.
pub fn random_action(space: &Space, stream: &mut Stream, action: &mut [f64]) {
    match space {
        Space::Box { low, high } => {
            for (a, (l, h)) in action.iter_mut().zip(low.iter().zip(high)) {
                *a = l + (h - l) * stream.uniform();
            }
        }
        Space::Discrete { n } => action[0] = stream.below(*n) as f64,
    }
}
