//! `tony rbr`: rule-based rewards. One file a verb; here is what they share.

mod classes;
mod eval;
mod grade;

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::time::Instant;

use tony_lm::rbr::{
    Aim, Cached, Case, Grader, LocalGrader, PatternGrader, Policy, THRESHOLD, Verdict, Wording, thresholds,
};
use tony_run::nearest;

use crate::failure::{Code, Failure, Result};
use crate::{Common, console, generate};

/// Rule-based rewards: a policy in a file, and what it says of completions.
#[derive(clap::Args)]
pub struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(clap::Subcommand)]
enum What {
    Classes(classes::Args),
    Grade(grade::Args),
    Eval(eval::Args),
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    match &args.what {
        What::Classes(args) => classes::run(args, common),
        What::Grade(args) => grade::run(args, common),
        What::Eval(args) => eval::run(args, common),
    }
}

/// Who grades, and how verdicts become yes or no.
#[derive(clap::Args)]
struct Grading {
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// `regex`, `regex:FILE`, `lm:MODEL`, or a MODEL.
    ///
    /// `regex` is a built-in set of patterns for the released policy, FILE one of your own: YAML, of each proposition `rules` (a list of
    /// `{completion: REGEX, request: REGEX, yes: PROBABILITY}`, the first that fits decides) and `otherwise`. A MODEL is asked yes or no; see
    /// `--wording`.
    #[arg(long, value_name = "G")]
    grader: String,
    /// Choose each proposition's threshold on these labelled rows [default: 0.5 for all].
    #[arg(long, value_name = "FILE")]
    tune: Option<PathBuf>,
    /// What thresholds are chosen for.
    #[arg(long, value_name = "AIM", value_enum, default_value = "balanced", requires = "tune")]
    tune_for: TuneFor,
    /// Keep verdicts here and take those that are kept: a grading that was killed goes on.
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
    /// How a MODEL is asked: the conversation, then the beginning of the proposition's question (brief) or all of it (full); or the
    /// policy file's own template after the conversation (released).
    #[arg(long, value_name = "W", value_enum, default_value = "brief")]
    wording: AskedIn,
    /// Worker threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

#[derive(Clone, Copy, clap::ValueEnum)]
enum TuneFor {
    /// The mean of the shares of true and of false propositions that are recognised.
    Balanced,
    /// The share of verdicts that are right.
    Accuracy,
}

/// How a model is asked.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum AskedIn {
    /// The conversation, then the beginning of the question.
    Brief,
    /// The conversation, then the whole question.
    Full,
    /// The conversation, then the policy file's template.
    Released,
}

impl AskedIn {
    /// As the library names it.
    pub fn wording(self) -> Wording {
        match self {
            Self::Brief => Wording::Brief,
            Self::Full => Wording::Full,
            Self::Released => Wording::Released,
        }
    }
}

/// Kinds of graders, for the nearest name.
const KINDS: [&str; 2] = ["regex", "lm"];

impl Grading {
    /// The grader, with its cache.
    fn grader(&self, policy: &Policy) -> Result<Box<dyn Grader>> {
        let grader: Box<dyn Grader> = match self.grader.split_once(':').unwrap_or((&self.grader, "")) {
            ("regex", "") => Box::new(PatternGrader::built_in()?),
            ("regex", file) => Box::new(PatternGrader::read(Path::new(file), policy)?),
            ("lm", model) => Box::new(LocalGrader::open(&generate::find_model(model)?, self.wording.wording())?),
            _ => match generate::find_model(&self.grader) {
                Ok(path) => Box::new(LocalGrader::open(&path, self.wording.wording())?),
                Err(failure) if failure.kind() == "unknown_model" => return Err(self.unknown()),
                Err(failure) => return Err(failure),
            },
        };
        Ok(match &self.cache {
            Some(path) => Box::new(Cached::open(grader, path)?),
            None => grader,
        })
    }

    fn unknown(&self) -> Failure {
        let name = &self.grader;
        let what = format!("no grader is called `{name}`: graders are regex, regex:FILE, lm:MODEL, or a MODEL");
        let models = tony_lm::MODELS.iter().map(|model| model.name);
        Failure::unknown(
            "unknown_grader",
            what,
            name,
            nearest(name, KINDS.into_iter().chain(models)),
            "tony rbr grade --help",
        )
    }

    /// Thresholds, from the rows to tune on, which must have labels.
    fn thresholds(&self, policy: &Policy, grader: &mut dyn Grader) -> Result<Vec<f64>> {
        let Some(path) = &self.tune else { return Ok(vec![THRESHOLD; policy.propositions().count()]) };
        let cases = Case::read(policy, path)?;
        if cases.iter().all(|case| case.labels.iter().all(Option::is_none)) {
            let what = "these rows have no `propositions`, so no thresholds can be chosen on them";
            return Err(Failure::usage("no_labels", what).at(format!("in {}", path.display())));
        }
        let verdicts = grade_all(policy, grader, &cases, "to tune on")?;
        let aim = match self.tune_for {
            TuneFor::Balanced => Aim::Balanced,
            TuneFor::Accuracy => Aim::Accuracy,
        };
        Ok(thresholds(policy, &cases, &verdicts, aim))
    }
}

/// Seconds between two lines of progress.
const EVERY: f64 = 10.0;

/// Grade all cases, telling now and then how far it is.
fn grade_all(policy: &Policy, grader: &mut dyn Grader, cases: &[Case], what: &str) -> Result<Vec<Vec<Verdict>>> {
    let (began, mut told) = (Instant::now(), 0.0);
    let verdicts = tony_lm::rbr::grade(policy, grader, cases, &mut |done| {
        let seconds = began.elapsed().as_secs_f64();
        if seconds - told >= EVERY {
            told = seconds;
            let left = console::duration(seconds / done as f64 * (cases.len() - done) as f64);
            console::note(format!("graded {done} of {} completions {what}, {left} left", cases.len()));
        }
        Ok(())
    })?;
    Ok(verdicts)
}

/// `0.912` or `-`.
fn share(x: Option<f64>) -> String {
    x.map_or_else(|| "-".to_owned(), |x| format!("{x:.3}"))
}
