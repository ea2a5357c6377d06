//! `tony rbr`: rule-based rewards. One file a verb; here is what they share.

mod classes;
mod eval;
mod fit;
mod grade;
mod heads;
mod report;
mod serve;
mod synth;
mod train;

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::time::Instant;

use tony_lm::rbr::{
    Aim, Cached, Case, Endpoint, EndpointGrader, Grader, Policy, THRESHOLD, Verdict, Wording, thresholds,
};

use crate::failure::{Code, Failure, Result};
use crate::{Common, console};

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
    Fit(fit::Args),
    Report(report::Args),
    Synth(synth::Args),
    Heads(heads::Args),
    Serve(serve::Args),
    Train(train::Args),
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    match &args.what {
        What::Classes(args) => classes::run(args, common),
        What::Grade(args) => grade::run(args, common),
        What::Eval(args) => eval::run(args, common),
        What::Fit(args) => fit::run(args, common),
        What::Report(args) => report::run(args, common),
        What::Synth(args) => synth::run(args, common),
        What::Heads(args) => heads::run(args, common),
        What::Serve(args) => serve::run(args, common),
        What::Train(args) => train::run(args, common),
    }
}

/// Who grades.
#[derive(clap::Args)]
struct Asking {
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// `regex`, `regex:FILE`, `heads:FILE`, `lm:MODEL`, a MODEL, or `URL#MODEL`.
    ///
    /// `regex` is a built-in set of patterns for the released policy, FILE one of your own: YAML, of each proposition `rules` (a list of
    /// `{completion: REGEX, request: REGEX, yes: PROBABILITY}`, the first that fits decides) and `otherwise`. Heads are what `tony rbr
    /// heads` trained. A MODEL is asked yes or no; see `--wording`. `http://127.0.0.1:8000/v1#smollm2-135m` is a model behind a server that
    /// speaks `OpenAI`'s protocol.
    #[arg(long, value_name = "G")]
    grader: String,
    /// Keep verdicts here and take those that are kept: a grading that was killed goes on.
    #[arg(long, value_name = "FILE")]
    cache: Option<PathBuf>,
    /// How a MODEL is asked: the conversation, then the beginning of the proposition's question (brief) or all of it (full); or the
    /// policy file's own template after the conversation (released). A server is always asked the last.
    #[arg(long, value_name = "W", value_enum, default_value = "brief")]
    wording: AskedIn,
    /// Environment variable that has the API key of a server.
    #[arg(long, value_name = "NAME")]
    api_key_env: Option<String>,
    /// Calls to a server at a time.
    #[arg(long, value_name = "N", default_value = "8")]
    calls: NonZeroUsize,
    /// Most calls to a server, those in the ledger counted.
    #[arg(long, value_name = "N")]
    max_calls: Option<u64>,
    /// A file to which each call to a server is written: when, how it ended, how many tokens; no texts.
    #[arg(long, value_name = "FILE")]
    ledger: Option<PathBuf>,
    /// Worker threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Who grades, and how verdicts become yes or no.
#[derive(clap::Args)]
struct Grading {
    #[command(flatten)]
    asking: Asking,
    /// Choose each proposition's threshold on these labelled rows [default: 0.5 for all].
    #[arg(long, value_name = "FILE")]
    tune: Option<PathBuf>,
    /// What thresholds are chosen for.
    #[arg(long, value_name = "AIM", value_enum, default_value = "balanced", requires = "tune")]
    tune_for: TuneFor,
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

impl Asking {
    /// The grader, with its cache.
    fn grader(&self, policy: &Policy) -> Result<Box<dyn Grader>> {
        let grader: Box<dyn Grader> = if self.grader.starts_with("http://") || self.grader.starts_with("https://") {
            Box::new(EndpointGrader::new(self.endpoint()?)?)
        } else {
            tony_lm::rbr::named(&self.grader, policy, self.wording.wording())?
        };
        Ok(match &self.cache {
            Some(path) => Box::new(Cached::open(grader, path)?),
            None => grader,
        })
    }

    fn endpoint(&self) -> Result<Endpoint> {
        let Some((url, model)) = self.grader.split_once('#').filter(|(_, model)| !model.is_empty()) else {
            let what = format!("which model of `{}` is to grade?", self.grader);
            return Err(Failure::usage("unknown_grader", what).hint(format!("--grader {}#MODEL", self.grader)));
        };
        Ok(Endpoint {
            key_variable: self.api_key_env.clone(),
            concurrency: self.calls.get(),
            max_calls: self.max_calls,
            ledger: self.ledger.clone(),
            ..Endpoint::new(url, model)
        })
    }
}

impl Grading {
    /// The rows to tune on, which must have labels.
    fn tuning(&self, policy: &Policy) -> Result<Option<Vec<Case>>> {
        let Some(path) = &self.tune else { return Ok(None) };
        let cases = Case::read(policy, path)?;
        if cases.iter().all(|case| case.labels.iter().all(Option::is_none)) {
            let what = "these rows have no `propositions`, so no thresholds can be chosen on them";
            return Err(Failure::usage("no_labels", what).at(format!("in {}", path.display())));
        }
        Ok(Some(cases))
    }

    /// Thresholds of the propositions, chosen on the rows to tune on.
    fn thresholds(&self, policy: &Policy, grader: &mut dyn Grader, tuning: Option<&[Case]>) -> Result<Vec<f64>> {
        let Some(cases) = tuning else { return Ok(vec![THRESHOLD; policy.propositions().count()]) };
        let verdicts = grade_all(policy, grader, cases, "completions to tune on")?;
        let aim = match self.tune_for {
            TuneFor::Balanced => Aim::Balanced,
            TuneFor::Accuracy => Aim::Accuracy,
        };
        Ok(thresholds(policy, cases, &verdicts, aim))
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
            console::note(format!("graded {done} of {} {what}, {left} left", cases.len()));
        }
        Ok(())
    })?;
    Ok(verdicts)
}

/// `0.912` or `-`.
fn share(x: Option<f64>) -> String {
    x.map_or_else(|| "-".to_owned(), |x| format!("{x:.3}"))
}
