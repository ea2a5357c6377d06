//! Bad input: each gets one clear message (what, where, what to type next) and its exit code, and loses nothing.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use common::{Place, SHORT, checkpoints, mujoco, newest, send, wait_until};

#[test]
fn unknown_names_are_told_with_the_nearest_known_one() {
    let place = Place::new();
    place
        .tony("train cpoo SafetyPointGoal1")
        .fails(2, &["no algorithm is called `cpoo`", "try: tony train cpo SafetyPointGoal1"]);
    place
        .tony("train ppo CartPol")
        .fails(2, &["no environment is called `CartPol`", "try: tony train ppo CartPole-v1"]);
    place.tony("train xyzzyx CartPole").fails(2, &["no algorithm is called `xyzzyx`", "try: tony list algos"]);
    place
        .tony("train surprise CartPole")
        .fails(2, &["surprise is a bonus", "try: tony train trpo ENV surprise=surprisal"]);
    place.tony("train ppo CartPole gama=0.9").fails(2, &["unknown setting `gama`", "gamma", "try: "]);
    place.tony("train ppo CartPole preset=sb4").fails(2, &["no preset `sb4`", "sb3", "try: tony list algos ppo"]);
    place.tony("trian ppo CartPole").fails(2, &["unrecognized subcommand 'trian'", "try: tony train ppo CartPole"]);
    place
        .tony("train ppo CartPole --stesp 10")
        .fails(2, &["unexpected argument '--stesp'", "try: tony train ppo CartPole --steps 10"]);
    place.tony("eval nowhere").fails(2, &["nowhere is not a run", "try: tony list runs"]);
    assert!(!place.path().join("runs").exists(), "a run folder was made for a command that could not be meant");
}

#[test]
fn values_of_the_wrong_type_or_out_of_range_are_refused_before_the_first_step() {
    let place = Place::new();
    place.tony("train ppo CartPole --steps 0").fails(2, &["setting `steps` cannot be `0`", "command line", "try: "]);
    place.tony("train ppo CartPole --steps many").fails(2, &["setting `steps` cannot be `many`", "try: "]);
    place.tony("train ppo CartPole gamma=1.5").fails(2, &["setting `gamma` cannot be `1.5`", "try: "]);
    place.tony("train ppo CartPole hidden=64,x").fails(2, &["setting `hidden` cannot be `64,x`", "try: "]);
    place.tony("train ppo CartPole gamma").fails(2, &["`gamma` is not of the form key=value", "try: "]);
    place
        .tony("train ppo CartPole --threads 0")
        .fails(2, &["invalid value '0' for '--threads <N>'", "try: tony train --help"]);
    place.tony("train cpo CartPole").fails(2, &["no costs", "try: "]);
    place
        .tony("train ppo python:Mine-v0")
        .fails(2, &["`Mine-v0` is an environment of the Python program", "try: tony_rl.resume"]);
    place.tony("train valor OptionPoint contexts=0").fails(2, &["setting `contexts` cannot be `0`", "try: "]);
    place.tony("train valor OptionPoint contexts=-4").fails(2, &["setting `contexts` cannot be `-4`", "try: "]);
    place.tony("train vic OptionPoint paths=10").fails(2, &["paths = 10 cannot be shared by envs = 4", "try: "]);
    place
        .tony("train")
        .fails(2, &["required arguments were not provided", "usage: tony train", "try: tony train --help"]);
    place.tony("eval x --episodes 0").fails(2, &["invalid value '0' for '--episodes <N>'"]);
    assert!(!place.path().join("runs").exists());
}

#[test]
fn a_broken_settings_file_is_told_with_its_line() {
    let place = Place::new();
    fs::write(place.path().join("mine.toml"), "gamma = 0.9\nlr = = 3\n").unwrap();
    place.tony("train ppo CartPole --config mine.toml").fails(2, &["settings file mine.toml: line 2", "try: "]);
    fs::write(place.path().join("mine.toml"), "gama = 0.9\n").unwrap();
    place.tony("train ppo CartPole --config mine.toml").fails(2, &["unknown setting `gama` (file mine.toml)", "gamma"]);
    place.tony("train ppo CartPole --config none.toml").fails(2, &["settings file none.toml", "try: "]);
}

#[test]
fn errors_are_json_where_a_program_reads() {
    let place = Place::new();
    for (args, kind) in [
        ("train cpoo CartPole --json", "unknown_algorithm"),
        ("train ppo CartPol --json", "unknown_env"),
        ("train ppo CartPole gama=1 --json", "unknown_key"),
        ("train ppo CartPole --steps 0 --json", "bad_value"),
        ("trian ppo CartPole --json", "usage"),
        ("eval nowhere --json", "not_a_run"),
    ] {
        let ended = place.tony(args);
        ended.fails(2, &["error: "]);
        let error = &ended.json()["error"];
        assert_eq!(error["kind"], kind, "{args}");
        assert!(!error["message"].as_str().unwrap().is_empty(), "{args}");
        assert!(!error["try"].as_str().unwrap().is_empty(), "{args}");
    }
}

#[test]
fn an_existing_folder_is_not_overwritten() {
    let place = Place::new();
    fs::create_dir(place.path().join("mine")).unwrap();
    fs::write(place.path().join("mine/thesis.txt"), "years of work").unwrap();
    place.tony(&format!("train ppo CartPole --out mine {SHORT}")).fails(2, &["mine already exists", "try: "]);
    assert_eq!(fs::read_to_string(place.path().join("mine/thesis.txt")).unwrap(), "years of work");
    assert_eq!(fs::read_dir(place.path().join("mine")).unwrap().count(), 1);
}

#[test]
fn resuming_something_that_is_not_a_run_says_so() {
    let place = Place::new();
    fs::create_dir(place.path().join("photos")).unwrap();
    for verb in ["resume", "eval", "play", "compare"] {
        place.tony(&format!("{verb} ./photos")).fails(2, &["photos is not a run", "try: tony list runs"]);
    }
    assert_eq!(fs::read_dir(place.path().join("photos")).unwrap().count(), 0);
}

/// Damages the newest checkpoint of a run and resumes it: the update after the checkpoint before is done again, bit for bit.
fn damaged(damage: fn(&Path), words: &str) {
    let place = Place::new();
    let run = place.trained("run");
    let before = newest(&run);
    let folder = checkpoints(&run).pop().unwrap();
    damage(&folder);
    let name = folder.file_name().unwrap().to_str().unwrap();
    for command in ["eval run --episodes 1", "resume run --quiet"] {
        let ended = place.tony(command);
        ended.works();
        let parts = ["warning: ", words, name];
        assert!(parts.iter().all(|part| ended.stderr.contains(part)), "{ended:?}");
    }
    assert_eq!(newest(&run), before);
}

#[test]
fn a_flipped_byte_falls_back_to_the_checkpoint_before() {
    damaged(
        |folder| {
            let path = folder.join("policy.safetensors");
            let mut bytes = fs::read(&path).unwrap();
            let middle = bytes.len() / 2;
            bytes[middle] ^= 1;
            fs::write(path, bytes).unwrap();
        },
        "policy.safetensors",
    );
}

#[test]
fn a_truncated_file_falls_back_to_the_checkpoint_before() {
    damaged(
        |folder| {
            let path = folder.join("trainer.safetensors");
            let bytes = fs::read(&path).unwrap();
            fs::write(path, &bytes[..bytes.len() - 10]).unwrap();
        },
        "trainer.safetensors",
    );
}

#[test]
fn a_missing_commit_falls_back_to_the_checkpoint_before() {
    damaged(|folder| fs::remove_file(folder.join("COMMIT.json")).unwrap(), "COMMIT.json");
}

/// Rows of experience are a part of the checkpoint: what is wrong with them is told before the first step.
#[test]
fn a_replay_cut_short_or_of_another_run_is_told() {
    let place = Place::new();
    let settings = "--steps 600 log.updates=100 hidden=8 minibatch=32 replay=500 checkpoint.seconds=0 --quiet";
    place.tony(&format!("train sac Pendulum --out run {settings}")).works();
    let run = place.path().join("run");
    let parts = |folder: &Path| -> Vec<PathBuf> {
        let files = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
        files.filter(|path| path.file_name().unwrap().to_str().unwrap().starts_with("replay-")).collect()
    };
    let newest = checkpoints(&run).pop().unwrap();
    let part = parts(&newest).remove(0);
    let bytes = fs::read(&part).unwrap();
    fs::write(&part, &bytes[..bytes.len() / 2]).unwrap();
    let ended = place.tony("resume run --steps 800");
    ended.works();
    for words in ["is damaged", "replay-0-0-open.safetensors", "were committed", "using checkpoint 0000500 instead"] {
        assert!(ended.stderr.contains(words), "{words}: {ended:?}");
    }
    for folder in checkpoints(&run) {
        parts(&folder).iter().for_each(|part| fs::write(part, b"no rows").unwrap());
    }
    place.tony("resume run --steps 900").fails(1, &["no checkpoint of run is whole", "7 bytes long"]);
}

#[test]
fn continuous_algorithms_refuse_discrete_actions_and_the_reverse() {
    let place = Place::new();
    place
        .tony("train preqn CartPole --out a")
        .fails(2, &["needs continuous actions", "CartPole-v1 has 2 discrete", "try: use dqn"]);
    place
        .tony("train dqn Pendulum --out b")
        .fails(2, &["needs discrete actions", "Pendulum-v1 has 1 continuous", "try: use sac"]);
    assert!(!place.path().join("a").exists() && !place.path().join("b").exists(), "before the run begins");
}

#[test]
fn without_any_whole_checkpoint_nothing_is_guessed() {
    let place = Place::new();
    let run = place.trained("run");
    for folder in checkpoints(&run) {
        fs::remove_file(folder.join("COMMIT.json")).unwrap();
    }
    place.tony("resume run").fails(1, &["no checkpoint of run is whole", "try: "]);
    place.tony("eval run").fails(1, &["no checkpoint of run is whole", "try: "]);
    assert!(run.join("metrics.jsonl").metadata().unwrap().len() > 0);
}

#[test]
fn a_policy_of_other_shapes_is_told_with_both_shapes() {
    let place = Place::new();
    let run = place.trained("run");
    let plan = fs::read_to_string(run.join("plan.toml")).unwrap();
    let before = newest(&run);
    fs::write(run.join("plan.toml"), plan.replace("CartPole-v1", "Pendulum-v1")).unwrap();
    place.tony("eval run").fails(2, &["the policy has layers [4, 8, 8, 2]", "3 observations", "try: "]);
    let other = ["policy.params", "policy.safetensors is F32 [130], but F32 [114] is needed", "try: "];
    place.tony("resume run --steps 8000").fails(1, &other);
    assert_eq!(newest(&run), before);
}

#[test]
fn two_processes_cannot_resume_one_run() {
    let place = Place::new();
    let run = place.path().join("run");
    let mut first = place.start("train ppo CartPole --out run --steps 100000000 checkpoint.seconds=0");
    wait_until("the first checkpoint", || run.join("checkpoints").is_dir() && !checkpoints(&run).is_empty());
    let ended = place.tony("resume run");
    send(&first, "KILL");
    first.wait().unwrap();
    ended.fails(1, &["run is in use by another process", &first.id().to_string(), "try: "]);
}

#[test]
fn a_closed_pipe_is_not_an_error() {
    let place = Place::new();
    for args in ["list envs", "list algos --json", "train ppo --help", "doctor"] {
        let mut child = place.command(args).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let mut said = String::new();
        child.stderr.take().unwrap().read_to_string(&mut said).unwrap();
        // The doctor fails for another reason where MuJoCo is missing, before or after the pipe closes.
        let code = child.wait().unwrap().code();
        assert_eq!((code, said.as_str()), (Some(0), ""), "{args}");
    }
}

#[test]
fn a_closed_pipe_does_not_take_a_training_away() {
    let place = Place::new();
    let mut child =
        place.command(&format!("train ppo CartPole --out run {SHORT}")).stdout(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(place.path().join("run/report.html").exists());
    assert!(fs::read_to_string(place.path().join("run/exit.json")).unwrap().contains("\"code\": 0"));
}

#[test]
fn a_golden_file_that_is_not_one_is_told() {
    let place = Place::new();
    if !mujoco(&place) {
        return;
    }
    fs::write(place.path().join("notes.txt"), "not a recording").unwrap();
    place.tony("check SafetyPointGoal1 --golden notes.txt").fails(1, &["notes.txt", "try: "]);
    place.tony("check SafetyPointGoal1 --golden missing.json.gz").fails(1, &["missing.json.gz", "try: "]);
}

/// A small file system of its own, gone after the test; `None` where this user may not mount.
struct Mount(std::path::PathBuf);

impl Mount {
    fn new(path: &Path, options: &str) -> Option<Self> {
        fs::create_dir_all(path).unwrap();
        let done = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        let mounted = done.is_ok_and(|status| status.success());
        if !mounted {
            eprintln!("skipped: this user may not mount a tmpfs");
        }
        mounted.then(|| Self(path.to_owned()))
    }

    fn set(&self, options: &str) {
        let status = Command::new("mount").args(["-o", &format!("remount,{options}")]).arg(&self.0).status().unwrap();
        assert!(status.success());
    }
}

impl Drop for Mount {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_stops_the_run_and_leaves_the_last_checkpoint_whole() {
    let place = Place::new();
    let train = "train ppo CartPole --quiet --steps 40000 steps_per_update=500 envs=2 hidden=8,8 checkpoint.seconds=0";
    let Some(_mount) = Mount::new(&place.path().join("small"), "size=2m") else { return };
    let child = place.command(&format!("{train} --out small/run")).stderr(Stdio::piped()).spawn().unwrap();
    let (run, ballast) = (place.path().join("small/run"), place.path().join("small/ballast"));
    wait_until("the first checkpoint", || run.join("checkpoints").is_dir() && !checkpoints(&run).is_empty());
    assert!(fs::write(&ballast, vec![0; 1 << 21]).is_err(), "the disk is not full");
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{said}");
    for part in ["error: ", "o space left on device", "small/run", "try: free some space, then tony resume small/run"] {
        assert!(said.contains(part), "`{part}` is missing in {said}");
    }
    fs::remove_file(ballast).unwrap();
    place.tony("resume small/run --quiet").works();
    place.tony(&format!("{train} --out unbroken")).works();
    assert_eq!(newest(&run), newest(&place.path().join("unbroken")));
}

#[test]
fn a_read_only_folder_is_told() {
    let place = Place::new();
    let Some(mount) = Mount::new(&place.path().join("fixed"), "size=16m") else { return };
    let run = place.trained("fixed/run");
    let before = newest(&run);
    mount.set("ro");
    place
        .tony(&format!("train ppo CartPole --out fixed/other {SHORT}"))
        .fails(1, &["ead-only file system", "fixed", "try: "]);
    place.tony("resume fixed/run --steps 8000").fails(1, &["ead-only file system", "fixed", "try: "]);
    // What only reads still works.
    place.tony("eval fixed/run --episodes 2").works();
    mount.set("rw");
    assert_eq!(newest(&run), before);
}

#[test]
fn without_a_terminal_everything_works() {
    let place = Place::new();
    let ended = place.tony(&format!("train ppo CartPole --out run {SHORT}"));
    ended.works();
    assert!(!ended.stdout.contains('\u{1b}'), "escape codes outside a terminal: {ended:?}");
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(lines[0].starts_with("Proximal Policy Optimization on CartPole-v1: 4,000 steps, seed 0"), "{ended:?}");
    assert!(lines[1].contains("steps") && lines[1].contains("return") && lines[1].contains("KL"), "{ended:?}");
    assert_eq!(lines[2].split_whitespace().next(), Some("500"));
    assert!(ended.stdout.contains("report: run/report.html") && ended.stdout.contains("tony play run"), "{ended:?}");
}
