//! `tony rbr train`: reinforcement learning with the rewards of rules.

use std::path::PathBuf;

use crate::failure::{Code, Failure, Result};
use crate::train::{self, More};
use crate::{Common, console};

/// Train a language model with the rewards of rules, and of a reward model beside them.
///
/// Writes a task file, which says what is asked and what answers are worth, and trains on it as `tony train ALGO TASK.toml` does. Each row of the
/// prompts has `prompt` and `response_type`, the kind of answer that it should get; a row without one is judged by the reward model alone.
/// Ablations of the paper: without `--rm` the rules are all of the reward; `--model` is what training begins from (a run of `tony train sft` on
/// ideal answers, or on helpful ones alone); another grader is another `--grader`; weights by hand are a weights file; the share of
/// safety prompts, and of those to refuse, is that of the rows.
#[derive(clap::Args)]
#[command(
    after_help = "Example:\n  tony rbr train --policy proposition_prompts.yaml --weights weights.json --grader heads:heads.safetensors --rm runs/rm-pairs-0001 --prompts prompts.jsonl --model runs/sft-ideal-0001 --steps 100000"
)]
pub struct Args {
    /// The policy.
    #[arg(long, value_name = "FILE")]
    policy: PathBuf,
    /// Weights, from `tony rbr fit`.
    #[arg(long, value_name = "FILE")]
    weights: PathBuf,
    /// `regex`, `regex:FILE`, `heads:FILE`, `lm:MODEL`, or a MODEL.
    #[arg(long, value_name = "G")]
    grader: String,
    /// Run folder of a reward model, from `tony train rm`.
    #[arg(long, value_name = "RUN")]
    rm: Option<PathBuf>,
    /// JSONL rows of `prompt` and `response_type`.
    #[arg(long, value_name = "FILE")]
    prompts: PathBuf,
    /// The model to begin from.
    #[arg(long, value_name = "MODEL")]
    model: String,
    /// ppo, ppo-lag, ppo-pid, rloo or grpo.
    #[arg(long, value_name = "ALGO", default_value = "ppo")]
    algo: String,
    /// Most tokens of an answer.
    #[arg(long, value_name = "N", default_value = "256")]
    max_tokens: usize,
    /// The task file to write.
    #[arg(long, value_name = "FILE", default_value = "rbr.toml")]
    task: PathBuf,
    /// Settings of the algorithm: `tony train ALGO --help` shows them.
    #[arg(value_name = "KEY=VALUE")]
    settings: Vec<String>,
    #[command(flatten)]
    more: More,
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let text = |path: &PathBuf| -> Result<toml::Value> {
        let whole = std::path::absolute(path)?;
        Ok(whole.display().to_string().into())
    };
    // A file is found from wherever the run is resumed; a name stays one.
    let grader = match args.grader.split_once(':') {
        Some((kind, file)) if !file.is_empty() && kind != "lm" => {
            format!("{kind}:{}", std::path::absolute(file)?.display())
        }
        _ => args.grader.clone(),
    };
    let mut rules = toml::Table::new();
    rules.insert("kind".to_owned(), "rules".into());
    rules.insert("policy".to_owned(), text(&args.policy)?);
    rules.insert("weights".to_owned(), text(&args.weights)?);
    rules.insert("grader".to_owned(), grader.into());
    let mut rewards = toml::Table::new();
    rewards.insert("rules".to_owned(), rules.into());
    if let Some(rm) = &args.rm {
        let mut model = toml::Table::new();
        model.insert("kind".to_owned(), "model".into());
        model.insert("run".to_owned(), text(rm)?);
        rewards.insert("model".to_owned(), model.into());
    }
    let mut task = toml::Table::new();
    task.insert("prompts".to_owned(), text(&args.prompts)?);
    task.insert("max_tokens".to_owned(), (args.max_tokens as i64).into());
    task.insert("rewards".to_owned(), rewards.into());
    let task = toml::to_string(&task).map_err(|error| Failure::failed("task", error))?;
    if args.task.exists() && fs_err::read_to_string(&args.task)? != task {
        return Err(Failure::usage(
            "exists",
            format!("{} is there already, and says something else", args.task.display()),
        )
        .hint("--task FILE with another name"));
    }
    fs_err::write(&args.task, task)?;
    console::note(format!("wrote {}", args.task.display()));
    let mut settings = vec![format!("model={}", args.model)];
    settings.extend(args.settings.iter().cloned());
    let typed = train::Args::typed(&args.algo, args.task.display().to_string(), settings, args.more.clone());
    train::run(&typed, common)
}
