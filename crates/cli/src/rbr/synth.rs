//! `tony rbr synth`: synthetic comparison data.

use std::num::NonZeroUsize;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Instant;

use serde_json::json;
use tony_lm::rbr::{Draft, Journal, Made, Policy, Synthesis, read_prompts, synthesise, write_drafts};
use tony_lm::{Model, Sampling};
use tony_run::Control;

use super::{EVERY, Grading};
use crate::failure::{Code, Failure, Result};
use crate::signals::{Stop, Words};
use crate::{Common, console, world};

/// Completions of known kinds for prompts, written by a model and checked by a grader: what weights are fitted on.
///
/// A prompt to be refused gets one perfect refusal, two with bad traits that are drawn at random, and one completion with what is disallowed;
/// one to be complied with a full and a partial answer and two of three kinds of no answer. The model is told the traits in words. What it
/// writes counts only if the grader finds it of the wanted kind; else it writes again.
///
/// OUT is added to, each completion as soon as it is known, with its `completion_type` and `features`, ready for `tony rbr fit`. What no
/// try brings goes to OUT.given-up. The same command goes on after a kill or a full disk and repeats nothing that is finished; which text is
/// written depends on seed, prompt and model alone.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  tony rbr synth --policy proposition_prompts.yaml --model smollm2-135m --prompts prompts.jsonl --grader regex --out synthetic.jsonl"
)]
pub struct Args {
    #[command(flatten)]
    grading: Grading,
    /// The model that writes.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// Prompts, one JSON object a line: `prompt` (a text or messages), `response_type`, perhaps `category`.
    #[arg(long, value_name = "FILE")]
    prompts: PathBuf,
    /// Where completions go.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Write for the first N prompts.
    #[arg(long, value_name = "N")]
    limit: Option<NonZeroUsize>,
    /// How often the model may try a completion.
    #[arg(long, value_name = "N", default_value = "8")]
    tries: NonZeroUsize,
    /// Most tokens of a completion.
    #[arg(long, value_name = "N", default_value = "200")]
    max_tokens: NonZeroUsize,
    /// Divides logits before drawing.
    #[arg(long, value_name = "T", default_value_t = 0.9, allow_negative_numbers = true)]
    temperature: f32,
    /// Draw from the likeliest tokens that together have this probability.
    #[arg(long, value_name = "P", default_value_t = 0.95, allow_negative_numbers = true)]
    top_p: f32,
    /// Seed of traits and texts.
    #[arg(long, value_name = "S", default_value_t = 0)]
    seed: u64,
    /// Texts that are written side by side.
    #[arg(long, value_name = "N", default_value = "8")]
    batch: NonZeroUsize,
}

const WRITING: Words =
    ["stopping after the running texts (Ctrl-C again leaves at once)", "left at once; what was made is kept"];

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let sampling = Sampling { temperature: args.temperature, top_p: args.top_p, ..Sampling::default() }.check()?;
    let policy = Policy::read(&args.grading.asking.policy)?;
    let mut prompts = read_prompts(&args.prompts, &policy)?;
    prompts.truncate(args.limit.map_or(usize::MAX, NonZeroUsize::get));
    if prompts.is_empty() {
        let failure = Failure::usage("no_rows", "there are no prompts to write for");
        return Err(failure.at(format!("in {}", args.prompts.display())));
    }
    let tuning = args.grading.tuning(&policy)?;
    let mut journal = Journal::open(&args.out)?;
    let path = tony_lm::find_model(&args.model)?;
    let control = Arc::new(Control::default());
    let stop = Stop::install(Arc::clone(&control), WRITING)?;
    let made = world::with_threads(args.grading.asking.threads, |_| {
        let model = Model::open(&path)?;
        let mut grader = args.grading.asking.grader(&policy)?;
        let settings = Synthesis {
            model: format!("{}, {} tokens, {sampling:?}", model.hash()?, args.max_tokens),
            seed: args.seed,
            tries: args.tries.get(),
            thresholds: args.grading.thresholds(&policy, grader.as_mut(), tuning.as_deref())?,
            batch: args.batch.get(),
        };
        let mut write = |drafts: &[Draft]| write_drafts(&model, drafts, args.max_tokens.get(), sampling);
        let (began, mut told) = (Instant::now(), 0.0);
        let mut progress = |made: &Made| {
            let seconds = began.elapsed().as_secs_f64();
            if seconds - told >= EVERY {
                told = seconds;
                let done = made.before + made.made + made.given_up;
                console::note(format!(
                    "{done} of {} completions, {} texts, {} given up",
                    made.wanted, made.texts, made.given_up
                ));
            }
            !control.stop.load(Ordering::Relaxed)
        };
        Ok(synthesise(&policy, &prompts, &settings, &mut write, grader.as_mut(), &mut journal, &mut progress)?)
    })?;
    let mut object = json!(made);
    object["out"] = json!(args.out);
    console::answer(common.json, &object, || {
        format!(
            "{} completions wanted: {} made from {} texts, {} were there, {} given up\n{}",
            made.wanted,
            made.made,
            made.texts,
            made.before,
            made.given_up,
            args.out.display()
        )
    })?;
    Ok(if made.finished() { Code::Done } else { stop.code() })
}
