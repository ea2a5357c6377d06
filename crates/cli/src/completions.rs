//! `tony completions`: a script for the shell.

use clap::CommandFactory;
use clap_complete::Shell;

use crate::console;
use crate::failure::{Code, Result};

/// Print a completion script for a shell.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony completions bash > ~/.local/share/bash-completion/completions/tony\n  tony completions fish > ~/.config/fish/completions/tony.fish"
)]
pub struct Args {
    /// The shell to write for.
    shell: Shell,
}

pub fn run(args: &Args) -> Result<Code> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut crate::Cli::command(), "tony", &mut script);
    console::print(String::from_utf8_lossy(&script).trim_end())?;
    Ok(Code::Done)
}
