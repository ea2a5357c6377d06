//! The real binary, in a folder of its own.
#![allow(dead_code)] // Each test program uses a part.

use std::hash::Hasher;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// A folder to run in, gone after the test.
pub struct Place {
    dir: TempDir,
}

/// How a command ended.
#[derive(Debug)]
pub struct Ended {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    /// Its standard output as one JSON value.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("not JSON ({error}): {self:?}"))
    }

    /// It failed with this code, and said all of these.
    #[track_caller]
    pub fn fails(&self, code: i32, parts: &[&str]) -> &Self {
        assert_eq!(self.code, code, "{self:?}");
        assert!(self.stderr.starts_with("error: ") || self.stderr.contains("\nerror: "), "{self:?}");
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is missing in {self:?}");
        }
        self
    }

    /// It worked.
    #[track_caller]
    pub fn works(&self) -> &Self {
        assert_eq!(self.code, 0, "{self:?}");
        self
    }
}

impl Place {
    pub fn new() -> Self {
        Self { dir: TempDir::new().unwrap() }
    }

    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// The command `tony ARGS` in this folder; words are separated by blanks.
    pub fn command(&self, args: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_tony"));
        command.args(args.split_whitespace()).current_dir(self.path()).stdin(Stdio::null());
        command
    }

    /// Run `tony ARGS` to its end.
    pub fn tony(&self, args: &str) -> Ended {
        let output = self.command(args).output().unwrap();
        Ended {
            // A process that a signal ended has no code.
            code: output.status.code().unwrap_or(-1),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Start `tony ARGS` with its output thrown away.
    pub fn start(&self, args: &str) -> Child {
        self.command(args).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap()
    }

    /// A short finished training, in `OUT`.
    pub fn trained(&self, out: &str) -> PathBuf {
        self.tony(&format!("train ppo CartPole --out {out} --quiet {SHORT}")).works();
        self.path().join(out)
    }
}

/// Settings of a training that takes a second: eight updates, each committed.
pub const SHORT: &str = "--steps 4000 steps_per_update=500 envs=2 hidden=8,8 checkpoint.seconds=0";

/// Folders of a run's checkpoints, oldest first; without those that were set aside because they are damaged.
pub fn checkpoints(run: &Path) -> Vec<PathBuf> {
    let mut folders: Vec<PathBuf> =
        std::fs::read_dir(run.join("checkpoints")).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.retain(|path| path.file_name().unwrap().to_str().unwrap().chars().all(|c| c.is_ascii_digit()));
    folders.sort();
    folders
}

/// Hashes of the two files of the newest checkpoint, which decide how a run goes on.
pub fn newest(run: &Path) -> [u64; 2] {
    let folder = checkpoints(run).pop().unwrap();
    ["policy.safetensors", "trainer.safetensors"].map(|file| {
        let mut hasher = std::hash::DefaultHasher::new();
        hasher.write(&std::fs::read(folder.join(file)).unwrap());
        hasher.finish()
    })
}

/// Wait for something that will happen.
#[track_caller]
pub fn wait_until(what: &str, mut happened: impl FnMut() -> bool) {
    // A minute: far longer than any step of these tests takes on the slowest machine, short enough to end a hanging test.
    for _ in 0..6000 {
        if happened() {
            return;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what} did not happen within a minute");
}

/// Send a signal by number.
pub fn send(child: &Child, signal: &str) {
    let status = Command::new("kill").args([format!("-{signal}"), child.id().to_string()]).status().unwrap();
    assert!(status.success());
}

/// Is MuJoCo here, or can it be fetched? Says so where not.
pub fn mujoco(place: &Place) -> bool {
    let here = place.tony("doctor --fix").stdout.contains("here     mujoco");
    if !here {
        eprintln!("skipped: MuJoCo is not here and cannot be fetched");
    }
    here
}
