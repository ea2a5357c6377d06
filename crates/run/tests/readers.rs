//! What other people's readers make of our files: `TensorBoard` and Python's `safetensors`.
//!
//! Needs both packages in the Python that `TONY_PYTHON` names (`python3` by default); skipped with a line where they are absent.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use serde_json::json;
use std::process::Command;
use tony_run::{Archive, Checkpoint, Metrics, RunFolder};

#[test]
fn tensorboard_and_safetensors_read_what_we_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let run = dir.path().join("run");
    let mut folder = RunFolder::create(&run, &common::plan(), &common::manifest()).unwrap();
    for update in 1..=3_u32 {
        let mut metrics = Metrics::new();
        metrics.set("steps", f64::from(update) * 20_000.0);
        metrics.set("updates", f64::from(update));
        metrics.set("Train/KL", 0.125 / f64::from(update));
        metrics.put("Metrics/EpRet", (update > 1).then_some(-1e-3));
        folder.log(&metrics).unwrap();
    }
    let (mut policy, mut trainer) = (Archive::new(), Archive::new());
    policy.put_f32("weight", &[2, 2], &[1.0, -2.5, 0.0, 1e-3]).unwrap();
    policy.set_note("algorithm", "cpo");
    policy.set_note("env", "SafetyPointGoal1-v0");
    trainer.put_f64("scalar", &[], &[0.1]).unwrap();
    trainer.put_u64("positions", &[2], &[7, 1 << 60]).unwrap();
    trainer.put_bytes("env.0", &[0, 255]).unwrap();
    folder
        .commit(&Checkpoint { steps: 60_000, updates: 3, seconds: 1.0, policy: &policy, trainer: &trainer }, &[])
        .unwrap();

    let python = std::env::var("TONY_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/readers.py");
    let output = match Command::new(&python).arg(script).arg(&run).output() {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: {python} cannot be run: {error}"),
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(3) {
        return eprintln!("skipped: {python} has no package {}", text.trim());
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: serde_json::Value = serde_json::from_str(text.trim()).unwrap();

    assert_eq!(seen["versions"], json!(["brain.Event:2"]));
    // TensorBoard keeps 32 bits of each number.
    let third = f64::from(0.125_f32 / 3.0);
    assert_eq!(seen["scalars"]["Train/KL"], json!([[20_000, 0.125], [40_000, 0.0625], [60_000, third]]));
    let small = f64::from(-1e-3_f32);
    assert_eq!(seen["scalars"]["Metrics/EpRet"], json!([[40_000, small], [60_000, small]]));
    assert!(seen["wall_times"][0].as_f64().unwrap() > 1.7e9);
    assert_eq!(seen["lines"][0], json!({"steps": 20_000, "updates": 1, "Train/KL": 0.125, "Metrics/EpRet": null}));
    let policy = &seen["archives"]["policy.safetensors"];
    assert_eq!(policy["tensors"]["weight"], json!(["float32", [2, 2], [1.0, -2.5, 0.0, f64::from(1e-3_f32)]]));
    assert_eq!(policy["notes"]["tony"], json!(r#"{"algorithm":"cpo","env":"SafetyPointGoal1-v0"}"#));
    let trainer = &seen["archives"]["trainer.safetensors"]["tensors"];
    assert_eq!(trainer["scalar"], json!(["float64", [], [0.1]]));
    assert_eq!(trainer["positions"], json!(["uint64", [2], [7, 1_u64 << 60]]));
    assert_eq!(trainer["env.0"], json!(["uint8", [2], [0, 255]]));
}
