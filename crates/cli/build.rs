//! Tells the program which commit it was built from; without git or its history it does not know. And leaves out the line numbers of others.
#![allow(clippy::print_stdout, reason = "this is how a build script talks to cargo")]

use std::process::Command;

fn main() {
    // `-dirty` must come and go with the sources, the commit with the history.
    println!("cargo::rerun-if-changed=..");
    println!("cargo::rerun-if-env-changed=TONY_COMMIT");
    if let Some(log) = git(&["rev-parse", "--git-path", "logs/HEAD"]).filter(|log| std::path::Path::new(log).exists()) {
        println!("cargo::rerun-if-changed={log}");
    }
    // Line numbers of all crates are six times the program. A panic says its own, and a backtrace has the names of functions without them.
    if std::env::var("CARGO_CFG_TARGET_OS").is_ok_and(|system| system == "linux") {
        println!("cargo::rustc-link-arg-bins=-Wl,--strip-debug");
    }
    let packaged = std::env::var("TONY_COMMIT").ok();
    if let Some(commit) = packaged.or_else(|| git(&["describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"])) {
        println!("cargo::rustc-env=TONY_COMMIT={commit}");
    }
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
