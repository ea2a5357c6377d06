//! `tony`: one file a verb, `failure.rs` for every way to go wrong, `console.rs` for every character that leaves the program.
#![cfg_attr(test, allow(clippy::unwrap_used, clippy::expect_used, clippy::panic))]

mod bench;
#[cfg(feature = "lm")]
mod bench_serve;
#[cfg(test)]
mod browser;
#[cfg(feature = "lm")]
mod chat;
mod check;
mod compare;
mod completions;
mod console;
mod doctor;
mod eval;
#[cfg(feature = "lm")]
mod export;
mod failure;
#[cfg(feature = "meta")]
mod few_shot;
mod film;
#[cfg(feature = "lm")]
mod generate;
#[cfg(feature = "lm")]
mod language;
mod list;
mod panel;
mod play;
mod progress;
#[cfg(feature = "lm")]
mod rbr;
mod report;
mod reproduce;
mod resume;
#[cfg(feature = "lm")]
mod serve;
mod signals;
mod train;
mod training;
mod workload;
mod world;

use clap::error::ErrorKind;
use clap::{Parser, Subcommand};
use failure::{Code, Failure, Result};

/// Trains agents and language models that stay inside limits, and shows that they do.
#[derive(Parser)]
#[command(name = "tony", version, arg_required_else_help = true, after_help = EXAMPLES, max_term_width = 110)]
struct Cli {
    #[command(subcommand)]
    verb: Verb,
    /// Print one JSON object on standard output; progress and notes go to standard error.
    #[arg(long, global = true)]
    json: bool,
    /// Never use the network.
    #[arg(long, global = true)]
    offline: bool,
}

const EXAMPLES: &str = "\
Examples:
  tony train cpo SafetyPointGoal1              a safe agent, its curves, its replay
  tony train ppo-lag SafetyCarGoal1 seed=3 cost.limit=10
  tony train cpo --help                        every setting of an algorithm
  tony resume runs/cpo-SafetyPointGoal1-0001   go on after an interruption, bit for bit
  tony compare runs/*                          honest comparison of many runs
  tony reproduce cpo                           a paper's claims, measured, with verdicts
  tony doctor                                  what is here, and what would be missing";

#[derive(Subcommand)]
enum Verb {
    Train(train::Args),
    Resume(resume::Args),
    Eval(eval::Args),
    Play(play::Args),
    Compare(compare::Args),
    List(list::Args),
    Check(check::Args),
    Reproduce(reproduce::Args),
    #[cfg(feature = "lm")]
    Generate(generate::Args),
    #[cfg(feature = "lm")]
    Chat(chat::Args),
    #[cfg(feature = "lm")]
    Serve(serve::Args),
    #[cfg(feature = "lm")]
    Export(export::Args),
    #[cfg(feature = "lm")]
    Rbr(rbr::Args),
    Bench(bench::Args),
    Doctor(doctor::Args),
    Completions(completions::Args),
}

/// What every verb gets besides its own arguments.
#[derive(Clone, Copy)]
struct Common {
    json: bool,
    offline: bool,
}

fn run() -> Result<Code> {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand => {
            console::note(error.render().to_string().trim_end());
            return Ok(Code::Usage);
        }
        Err(error) if error.use_stderr() => return Err(Failure::from(error)),
        Err(help) => return train::print_help(&help.render()),
    };
    let common = Common { json: cli.json, offline: cli.offline };
    match cli.verb {
        Verb::Train(args) => train::run(&args, common),
        Verb::Resume(args) => resume::run(&args, common),
        Verb::Eval(args) => eval::run(&args, common),
        Verb::Play(args) => play::run(&args, common),
        Verb::Compare(args) => compare::run(&args, common),
        Verb::List(args) => list::run(&args, common),
        Verb::Check(args) => check::run(&args, common),
        Verb::Reproduce(args) => reproduce::run(&args, common),
        #[cfg(feature = "lm")]
        Verb::Generate(args) => generate::run(&args, common),
        #[cfg(feature = "lm")]
        Verb::Chat(args) => chat::run(&args, common),
        #[cfg(feature = "lm")]
        Verb::Serve(args) => serve::run(&args, common),
        #[cfg(feature = "lm")]
        Verb::Export(args) => export::run(&args, common),
        #[cfg(feature = "lm")]
        Verb::Rbr(args) => rbr::run(&args, common),
        Verb::Bench(args) => bench::run(&args, common),
        Verb::Doctor(args) => doctor::run(&args, common),
        Verb::Completions(args) => completions::run(&args),
    }
}

fn main() -> std::process::ExitCode {
    let code = run().unwrap_or_else(|failure| failure.report(std::env::args().any(|a| a == "--json")));
    std::process::ExitCode::from(code as u8)
}
