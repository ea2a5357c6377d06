//! The references' first steps, and recordings that are none.

use super::{FileReport, MISFIT, compare, env_of};
use crate::find;
use crate::testing::{can_make, context, data};
use crate::{Context, Error};
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde_json::{Value, json};
use std::io::{Read, Write};
use std::path::PathBuf;

fn recording(env: &str) -> PathBuf {
    data(&format!("golden/{env}.json.gz"))
}

fn unpacked(env: &str) -> Value {
    let mut text = String::new();
    GzDecoder::new(fs_err::File::open(recording(env)).unwrap()).read_to_string(&mut text).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// Compare `env` with bytes as the only file.
fn check(env: &str, bytes: &[u8], context: &Context) -> FileReport {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    file.write_all(bytes).unwrap();
    compare(env, &[file.path().to_owned()], None, context).unwrap().files.remove(0)
}

/// Compare `env` with its own recording after `change`.
fn check_changed(env: &str, context: &Context, change: impl FnOnce(&mut Value)) -> FileReport {
    let mut json = unpacked(env);
    change(&mut json);
    check(env, json.to_string().as_bytes(), context)
}

/// Every recording in `tests/data/golden`, with what it is of.
fn recordings() -> Vec<(String, PathBuf)> {
    let files = fs_err::read_dir(data("golden")).unwrap().map(|entry| entry.unwrap().path());
    let files = files.filter(|file| file.extension().is_some_and(|extension| extension == "gz"));
    files.map(|file| (env_of(&file).unwrap(), file)).collect()
}

#[test]
fn the_references_first_steps_are_reproduced() {
    let context = context();
    let mut replayed = 0;
    for (env, file) in recordings() {
        if !can_make(find(&env).unwrap(), &context) {
            continue;
        }
        let report = compare(&env, &[file], None, &context).unwrap();
        assert!(report.ok, "{report:#?}");
        let file = &report.files[0];
        // The start follows from the seed: NumPy's generator is ours, but for the last bit of a logarithm in a normal, and for the digits
        // that Safety Gym's recordings have.
        assert!(file.reset_from_seed.unwrap() <= 1e-12, "{report:#?}");
        // Short runs stay together whole.
        assert_eq!(file.open_loop.as_ref().unwrap().first_step, None, "{report:#?}");
        assert!(file.one_step.as_ref().unwrap().checks >= 1);
        replayed += 1;
    }
    assert!(replayed >= 5);
}

/// Every task that was borrowed is held to a recording, or is another level or robot of one that is.
#[test]
fn every_reference_is_represented() {
    let recorded: Vec<String> = recordings().into_iter().map(|(env, _)| env).collect();
    for listing in crate::list().iter().filter(|listing| listing.task.has_reference()) {
        let stem = |name: &str| {
            name.trim_end_matches(|c: char| !c.is_alphabetic()).trim_end_matches(char::is_numeric).to_owned()
        };
        let kind = |name: &str| -> String {
            let parts = ["Goal", "Button", "Push", "Circle", "Run", "Velocity", "-ram"];
            parts.iter().find(|part| name.contains(**part)).map_or_else(|| stem(name), |part| (*part).to_owned())
        };
        assert!(recorded.iter().any(|env| kind(env) == kind(listing.name)), "{}", listing.name);
    }
}

#[test]
fn what_differs_is_named() {
    let context = Context::default();
    let place = |report: &FileReport| (report.worst[0].block, report.worst[0].quantity.clone());
    // The last state: no step starts from it, so only one number is wrong.
    let states = unpacked("Pendulum-v1")["steps"]["state"].as_array().unwrap().len();
    let report = check_changed("Pendulum-v1", &context, |json| json["steps"]["state"][states - 1][0] = json!(1.5));
    assert!(!report.ok);
    assert_eq!(place(&report), ("obs", format!("state[{}][0]", states - 1)));
    let report = check_changed("Pendulum-v1", &context, |json| json["steps"]["reward"][7] = json!(-1.0));
    assert!(!report.ok);
    assert_eq!(place(&report), ("reward", "reward[7]".to_owned()));
    assert_eq!(report.open_loop.unwrap().first_step, Some(7));
    let report = check_changed("CartPole-v1", &context, |json| json["steps"]["terminated"][14] = json!(0));
    assert_eq!(place(&report), ("reward", "terminated[14]".to_owned()));
    let report = check_changed("CartPole-v1", &context, |json| json["max_episode_steps"] = json!(499));
    assert_eq!(place(&report), ("reset", "max_episode_steps".to_owned()));
    assert!(!report.ok);
    let report = check_changed("CartPole-v1", &context, |json| json["steps"]["obs"][3] = json!([1.0]));
    assert_eq!(report.one_step.unwrap().obs, MISFIT);
}

#[test]
fn every_fact_of_a_model_counts() {
    let context = context();
    if context.library.is_none() {
        return;
    }
    // Twice the tolerance where the compiled model is equal to the last bit.
    let nudged = |value: &Value| json!(value.as_f64().unwrap() + 2e-12);
    let changes: [(&str, fn(&mut Value) -> &mut Value); 4] = [
        ("model.geom.size[1][0]", |model| &mut model["geom"]["size"][1][0]),
        ("model.dof.damping[4]", |model| &mut model["dof"]["damping"][4]),
        ("model.opt.timestep", |model| &mut model["opt"]["timestep"]),
        ("model.joint.range[3][1]", |model| &mut model["joint"]["range"][3][1]),
    ];
    for (name, field) in changes {
        let report = check_changed("Hopper-v5", &context, |json| {
            let field = field(&mut json["model"]);
            *field = nudged(field);
        });
        assert!(!report.ok, "{name}");
        assert_eq!(report.worst[0].quantity, name);
    }
    let report = check_changed("Hopper-v5", &context, |json| json["model"]["geom"]["colour"] = json!([1]));
    assert_eq!(report.worst[0].quantity, "model.geom.colour (recorded, and not known here)");
    let report = check_changed("Hopper-v5", &context, |json| json["model"]["joint"]["type"][0] = json!("mjJNT_HINGE"));
    assert!(report.worst[0].quantity.starts_with("model.joint.type[0]: "), "{report:#?}");
    assert_eq!(report.model, Some(MISFIT));
    let report = check_changed("Hopper-v5", &context, |json| {
        json["model"].as_object_mut().unwrap().remove("geom");
    });
    assert!(report.error.unwrap().contains("model has no `geom`"));
}

#[test]
fn a_tolerance_can_be_given() {
    let mut file = tempfile::NamedTempFile::new().unwrap();
    let mut json = unpacked("Pendulum-v1");
    let state = &mut json["steps"]["state"][7][1];
    *state = json!(state.as_f64().unwrap() + 1e-5);
    file.write_all(json.to_string().as_bytes()).unwrap();
    let ok =
        |tolerance| compare("Pendulum", &[file.path().to_owned()], tolerance, &Context::default()).unwrap().files[0].ok;
    assert!(!ok(None));
    // The velocity of a changed state moves the next one by little more than itself.
    assert!(ok(Some(1e-4)));
}

#[test]
fn what_is_no_recording_is_said_and_hides_nothing() {
    let context = Context::default();
    let packed = fs_err::read(recording("CartPole-v1")).unwrap();
    let said = |bytes: &[u8]| check("CartPole", bytes, &context).error.unwrap();
    assert!(said(b"").contains("is empty"));
    assert!(said(b"steps,reward\n1,2\n").contains("neither gzip nor JSON"));
    assert!(said(&packed[..packed.len() / 2]).contains("damaged or cut off"));
    let mut flipped = packed.clone();
    flipped[packed.len() / 2] ^= 0x10;
    assert!(check("CartPole", &flipped, &context).error.is_some());
    assert!(said(b"{\"env\":\"CartPole-v1\",\"actions\":[1,").contains("is cut off"));
    assert!(said(b"{\"runs\":3}").contains("has no `env`: this is not a golden recording"));
    assert!(said(b"[1,2]").contains("this is not a golden recording"));
    assert!(said(unpacked("Pendulum-v1").to_string().as_bytes()).contains("is of Pendulum-v1, not of CartPole-v1"));
    let short = check_changed("CartPole-v1", &context, |json| {
        json["steps"]["reward"].as_array_mut().unwrap().truncate(3);
    });
    assert!(short.error.unwrap().contains("steps.reward has no entry 3"));

    // Plain JSON is read too, and a bad file among good ones is one bad entry.
    let plain = tempfile::NamedTempFile::new().unwrap();
    fs_err::write(plain.path(), unpacked("CartPole-v1").to_string()).unwrap();
    let files = [recording("CartPole-v1"), PathBuf::from("/no/such/file.json.gz"), plain.path().to_owned()];
    let report = compare("CartPole", &files, None, &context).unwrap();
    assert!(!report.ok);
    assert_eq!(report.files.iter().map(|file| file.ok).collect::<Vec<_>>(), [true, false, true]);
}

#[test]
fn a_bomb_does_not_go_off() {
    let mut bomb = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![b' '; 1 << 20];
    for _ in 0..257 {
        bomb.write_all(&zeros).unwrap();
    }
    let report = check("CartPole", &bomb.finish().unwrap(), &Context::default());
    assert!(report.error.unwrap().contains("holds more than 256 MB"));
}

#[test]
fn tasks_that_cannot_be_compared_say_why() {
    let none = Context::default();
    assert!(matches!(compare("probe-cost", &[], None, &none), Err(Error::NoRecordings { .. })));
    assert!(matches!(compare("Hopper", &[], None, &none), Err(Error::NeedsMujoco { .. })));
    assert!(
        matches!(compare("Hoper", &[], None, &none), Err(Error::UnknownName { nearest: Some(name), .. }) if name == "Hopper-v5")
    );
}

#[test]
fn the_reports_json_is_the_documented_one() {
    let report = compare("CartPole", &[recording("CartPole-v1")], None, &Context::default()).unwrap();
    let json = serde_json::to_value(&report).unwrap();
    let file = &json["files"][0];
    assert_eq!(json["env"], "CartPole-v1");
    assert_eq!((&json["ok"], &file["ok"]), (&json!(true), &json!(true)));
    assert_eq!((&file["model"], &file["reset"]), (&Value::Null, &json!(0.0)));
    assert_eq!(file["one_step"], json!({ "checks": 64, "obs": file["one_step"]["obs"], "reward": 0.0, "cost": null }));
    assert_eq!(file["open_loop"], json!({ "first_step_above_1e-6": null, "steps": 64 }));
}
