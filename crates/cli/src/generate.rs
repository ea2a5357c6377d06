//! `tony generate`: text from a model.

use std::io::Write as _;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};

use serde_json::json;
use tony_lm::{Choice, Constraint, Finish, Message, Model, Request, Sampling, Writer, decoder, find_model};

use crate::failure::{Code, Failure, Result};
use crate::{Common, console, world};

/// Text from a language model.
///
/// MODEL is a GGUF file, a Hugging Face folder, a run folder, or a name from `tony doctor`. Without sampling options the likeliest token is taken each
/// time; results are the same bits on any number of threads.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony generate smollm2-135m --prompt \"How do I bake bread?\"\n  tony generate model.gguf --raw --prompt \"The capital of France is\" --max-tokens 8\n  tony generate smollm2-135m --messages talk.json --temperature 0.7 --top-p 0.9 --seed 1 --json\n  tony generate smollm2-135m --prompt \"Is the sky blue?\" --choices yes,no\n  tony generate smollm2-135m --prompt \"A person, as JSON\" --json-schema person.json"
)]
pub struct Args {
    /// The model.
    model: String,
    /// What to answer, or with --raw to go on with.
    #[arg(long, value_name = "TEXT", required_unless_present = "messages", conflicts_with = "messages")]
    prompt: Option<String>,
    /// A JSON list of `{"role": "user", "content": "..."}`.
    #[arg(long, value_name = "FILE", conflicts_with = "raw")]
    messages: Option<PathBuf>,
    /// Go on with the text as it is: no chat template.
    #[arg(long)]
    raw: bool,
    /// Most tokens to write.
    #[arg(long, value_name = "N", default_value = "256")]
    max_tokens: NonZeroUsize,
    #[command(flatten)]
    drawing: Drawing,
    /// A text that ends the answer; may be given several times.
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// The answer is exactly one of these texts.
    #[arg(long, value_name = "TEXT,...", value_delimiter = ',', conflicts_with = "json_schema")]
    choices: Vec<String>,
    /// The answer is JSON that the JSON schema in this file allows.
    #[arg(long, value_name = "FILE")]
    json_schema: Option<PathBuf>,
    /// How exactly is computed.
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Worker threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// How tokens are drawn.
#[derive(clap::Args)]
pub struct Drawing {
    /// Divides logits before drawing; 0 takes the likeliest token.
    #[arg(long, value_name = "T", default_value_t = 0.0, allow_negative_numbers = true)]
    temperature: f32,
    /// Draw from the N likeliest tokens; 0 for all.
    #[arg(long, value_name = "N", default_value_t = 0)]
    top_k: usize,
    /// Draw from the likeliest tokens that together have this probability.
    #[arg(long, value_name = "P", default_value_t = 1.0, allow_negative_numbers = true)]
    top_p: f32,
    /// Draw from tokens with this share of the largest probability.
    #[arg(long, value_name = "P", default_value_t = 0.0, allow_negative_numbers = true)]
    min_p: f32,
    /// Seed of the draws.
    #[arg(long, value_name = "S", default_value_t = 0)]
    pub seed: u64,
}

impl Drawing {
    /// Refused where it is no distribution.
    pub fn sampling(&self) -> Result<Sampling> {
        let Self { temperature, top_k, top_p, min_p, .. } = *self;
        Ok(Sampling { temperature, top_k, top_p, min_p }.check()?)
    }
}

/// How exactly a model's products are computed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Precision {
    /// In single precision.
    #[default]
    Full,
    /// Where weights are whole numbers, with whole numbers of 8 bits: up to twice as fast, other answers.
    Fast,
}

impl From<Precision> for decoder::Precision {
    fn from(precision: Precision) -> Self {
        match precision {
            Precision::Full => Self::Full,
            Precision::Fast => Self::Fast,
        }
    }
}

/// The JSON list of messages in a file.
pub fn read_messages(path: &Path) -> Result<Vec<Message>> {
    let bytes = fs_err::read(path).map_err(|error| Failure::usage("no_messages", error))?;
    let bad = |what: String| Failure::usage("bad_messages", what).at(format!("in {}", path.display()));
    let messages: Vec<Message> = serde_json::from_slice(&bytes)
        .map_err(|error| bad(format!("these are no messages: {error}")))
        .map_err(|failure| failure.hint(r#"a file with [{"role": "user", "content": "..."}]"#))?;
    if messages.is_empty() { Err(bad("there are no messages".to_owned())) } else { Ok(messages) }
}

/// Bytes of a file with a schema, at most.
const SCHEMA_BYTES: u64 = 1 << 20;

/// The JSON schema in a file.
fn read_schema(path: &Path) -> Result<serde_json::Value> {
    let bad = |what: String| {
        let hint = r#"a file with {"type": "object", "properties": {...}}"#;
        Failure::usage("bad_schema", what).at(format!("in {}", path.display())).hint(hint)
    };
    let length = fs_err::metadata(path).map_err(|error| Failure::usage("no_schema", error))?.len();
    if length > SCHEMA_BYTES {
        return Err(bad(format!("a schema of {length} bytes is more than the {SCHEMA_BYTES} that are read")));
    }
    let bytes = fs_err::read(path).map_err(|error| Failure::usage("no_schema", error))?;
    serde_json::from_slice(&bytes).map_err(|error| bad(format!("this is no JSON: {error}")))
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let sampling = args.drawing.sampling()?;
    let messages = args.messages.as_deref().map(read_messages).transpose()?;
    let schema = args.json_schema.as_deref().map(read_schema).transpose()?;
    let path = find_model(&args.model)?;
    world::with_threads(args.threads, |_| {
        let mut model = Model::open(&path)?;
        model.decoder.set_precision(args.precision.into());
        let prompt = match (&messages, &args.prompt) {
            (Some(messages), _) => model.chat(messages)?,
            (None, Some(text)) if args.raw => model.raw(text)?,
            (None, text) => {
                let content = text.clone().unwrap_or_default();
                model.chat(&[Message { role: "user".to_owned(), content }])?
            }
        };
        let constraint = match &schema {
            Some(schema) => Some(Constraint::schema(&model, schema)?),
            None if args.choices.is_empty() => None,
            None => Some(Constraint::choices(&model, &args.choices)?),
        };
        let (max_tokens, seed, stops) = (args.max_tokens.get(), args.drawing.seed, args.stop.clone());
        let request = Request { prompt, max_tokens, sampling, seed, stops, constraint };
        answer(&model, request, common)
    })
}

fn answer(model: &Model, request: Request, common: Common) -> Result<Code> {
    let (prompt, constrained) = (request.prompt.clone(), request.constraint.is_some());
    let mut writer = Writer::new(model, 1);
    writer.add(request)?;
    let (mut text, mut choices, mut first, mut finish) = (String::new(), Vec::<Choice>::new(), Vec::new(), None);
    while writer.pending() > 0 {
        for event in writer.step()? {
            choices.push(event.choice);
            first = event.first_logits.unwrap_or(first);
            finish = event.finish.or(finish);
            if !common.json {
                let mut out = std::io::stdout().lock();
                out.write_all(event.text.as_bytes())?;
                out.flush()?;
            }
            text.push_str(&event.text);
        }
    }
    if !common.json {
        console::print("")?;
        if constrained && finish != Some(Finish::Stop) {
            let how = finish.map_or("", Finish::name);
            console::note(format!("warning: the answer is not complete ({how}): --max-tokens may be too few"));
        }
        return Ok(Code::Done);
    }
    let piece = |token: u32| String::from_utf8_lossy(model.tokenizer.spelled(token)).into_owned();
    let mut order: Vec<u32> = (0..first.len() as u32).collect();
    let by_logit = |a: &u32, b: &u32| first[*b as usize].total_cmp(&first[*a as usize]).then(a.cmp(b));
    order.sort_by(by_logit);
    order.truncate(5);
    let top: Vec<_> = order.iter().map(|t| json!({"id": t, "piece": piece(*t), "logit": first[*t as usize]})).collect();
    console::print_json(&json!({
        "prompt_tokens": prompt,
        "tokens": choices.iter().map(|choice| choice.token).collect::<Vec<_>>(),
        "text": text,
        "logprobs": choices.iter().map(|choice| choice.logprob).collect::<Vec<_>>(),
        "sampled_logprobs": choices.iter().map(|choice| choice.sampled).collect::<Vec<_>>(),
        "first_top5": top,
        "finish": finish.map(Finish::name),
    }))?;
    Ok(Code::Done)
}
