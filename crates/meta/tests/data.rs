//! Reading pictures, and everything that can be wrong with them.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs)]

mod common;

use std::collections::BTreeSet;
use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};

use common::{characters, files, plan, png, write_folder};
use tempfile::TempDir;
use tony_meta::omniglot::{Config, Omniglot};
use tony_meta::pictures::{self, SIDE};
use tony_meta::tasks::{Family, Kind};
use tony_meta::{Error, Trainer};

fn zip_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut writer = zip::ZipWriter::new(Cursor::new(Vec::new()));
    for (name, bytes) in files {
        writer.start_file(name.as_str(), zip::write::SimpleFileOptions::default()).unwrap();
        writer.write_all(bytes).unwrap();
    }
    writer.finish().unwrap().into_inner()
}

/// Names are written as they are, whatever they are: the crate's own writer refuses bad ones.
fn tar_of(files: &[(String, Vec<u8>)]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for (name, bytes) in files {
        let mut header = tar::Header::new_gnu();
        header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
        header.set_size(bytes.len() as u64);
        header.set_entry_type(tar::EntryType::Regular);
        header.set_cksum();
        builder.append(&header, &bytes[..]).unwrap();
    }
    builder.into_inner().unwrap()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

fn place(dir: &TempDir, name: &str, bytes: &[u8]) -> PathBuf {
    let path = dir.path().join(name);
    std::fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn folders_and_archives_hold_the_same_characters() {
    let classes = characters(5, 3);
    let files = files(&classes);
    let dir = TempDir::new().unwrap();
    write_folder(&dir.path().join("folder"), &files);
    let tar = tar_of(&files);
    // An archive in another order, and with what is no picture, is the same collection.
    let mut shuffled: Vec<(String, Vec<u8>)> = files.iter().rev().cloned().collect();
    shuffled.push(("images/README.txt".into(), b"not a picture".to_vec()));
    shuffled.push(("images/alphabet/.hidden.png".into(), Vec::new()));
    for path in [
        dir.path().join("folder"),
        place(&dir, "a.zip", &zip_of(&files)),
        place(&dir, "b.tar", &tar),
        place(&dir, "c.tar.gz", &gzip(&tar)),
        place(&dir, "d.tgz", &gzip(&tar_of(&shuffled))),
    ] {
        assert_eq!(pictures::read(&path).unwrap(), classes, "{}", path.display());
    }
    // A folder with Omniglot's halves, one packed and one not, and something else beside them.
    let halves = dir.path().join("halves");
    let half = |name: &str| -> Vec<(String, Vec<u8>)> {
        files.iter().map(|(path, bytes)| (path.replacen("images/", &format!("{name}/"), 1), bytes.clone())).collect()
    };
    write_folder(&halves, &half("images_background"));
    std::fs::write(halves.join("images_evaluation.zip"), zip_of(&half("images_evaluation"))).unwrap();
    std::fs::write(halves.join("one_shot_all_runs.zip"), b"is not read").unwrap();
    let names: Vec<String> = pictures::read(&halves).unwrap().into_iter().map(|class| class.name).collect();
    assert_eq!(names.len(), 10);
    assert!(names[0].starts_with("images_background/alphabet/") && names[9].starts_with("images_evaluation/alphabet/"));
}

#[track_caller]
fn refused(path: &Path, parts: &[&str]) {
    let error = pictures::read(path).unwrap_err();
    let text = error.to_string();
    for part in parts {
        assert!(text.contains(part), "`{part}` is missing in `{text}`");
    }
    assert!(error.hint().is_some(), "no hint for `{text}`");
}

#[test]
fn every_broken_picture_is_named() {
    let dir = TempDir::new().unwrap();
    let good = files(&characters(3, 2));
    let whole = png(SIDE as u32, &[1; SIDE * SIDE]);
    let mut flipped = whole.clone();
    let at = flipped.len() - 20;
    flipped[at] ^= 0x55;
    let wide = {
        let mut bytes = Vec::new();
        let mut writer = png::Encoder::new(&mut bytes, 4, 2).write_header().unwrap();
        writer.write_image_data(&[0; 4 * 2 * 4 / 4]).ok();
        drop(writer);
        bytes
    };
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("empty", Vec::new(), "is empty"),
        ("cut", whole[..whole.len() / 2].to_vec(), "is no PNG picture"),
        ("flipped", flipped, "is no PNG picture"),
        ("text", b"not a picture at all".to_vec(), "is no PNG picture"),
        ("small", png(30, &[1; 900]), "is 30 x 30 pixels where the pictures before it are 28 x 28"),
        ("wide", wide, "4 x 2 pixels; drawings are square"),
    ];
    for (name, bytes, part) in cases {
        let bad = (format!("images/alphabet/zzz/{name}.png"), bytes);
        let files: Vec<_> = good.iter().cloned().chain([bad]).collect();
        let file = format!("zzz/{name}.png");
        write_folder(&dir.path().join(name), &files);
        refused(&dir.path().join(name), &[part, &file]);
        refused(&place(&dir, &format!("{name}.zip"), &zip_of(&files)), &[part, &file, ".zip"]);
        refused(&place(&dir, &format!("{name}.tar.gz"), &gzip(&tar_of(&files))), &[part, &file, ".tar.gz"]);
    }
}

#[test]
fn no_path_climbs_out() {
    let dir = TempDir::new().unwrap();
    let whole = png(SIDE as u32, &[1; SIDE * SIDE]);
    for (i, name) in ["../outside/a.png", "images/../../a.png", "/etc/a.png"].iter().enumerate() {
        let files = [("images/b/a.png".to_owned(), whole.clone()), ((*name).to_owned(), whole.clone())];
        let part = "leads out of the archive";
        refused(&place(&dir, &format!("{i}.zip"), &zip_of(&files)), &[part, name]);
        refused(&place(&dir, &format!("{i}.tar"), &tar_of(&files)), &[part, name]);
    }
    #[cfg(unix)]
    {
        let folder = dir.path().join("linked");
        write_folder(&folder, &files(&characters(2, 2)));
        std::os::unix::fs::symlink("/etc", folder.join("images/elsewhere")).unwrap();
        refused(&folder, &["is a link", "elsewhere"]);
    }
}

#[test]
fn archives_that_are_none_and_places_that_are_empty() {
    let dir = TempDir::new().unwrap();
    refused(&place(&dir, "a.zip", b"PK\x03\x04 and then nothing"), &["a.zip: broken archive"]);
    refused(&place(&dir, "a.tar.gz", &gzip(&tar_of(&files(&characters(2, 2))))[..200]), &["a.tar.gz: broken archive"]);
    refused(&place(&dir, "a.rar", b"?"), &["none of .zip, .tar, .tar.gz, .tgz"]);
    refused(dir.path(), &["no folder of PNG pictures"]);
    refused(&dir.path().join("nowhere"), &["no pictures of characters were found: looked for", "nowhere"]);
    let loose = dir.path().join("loose");
    write_folder(&loose, &[("a.png".into(), png(SIDE as u32, &[1; SIDE * SIDE]))]);
    refused(&loose, &["its class is unknown"]);
}

fn family(count: usize, each: usize, words: &[&str]) -> Result<Omniglot, Error> {
    Omniglot::new(plan("reptile", "omniglot", words).group::<Config>().unwrap(), characters(count, each), 0)
}

#[test]
fn too_few_characters_or_drawings_are_refused_with_what_would_do() {
    // Of 20 characters 14 are for training and 6 for testing.
    let told = |result: Result<Omniglot, Error>| {
        let error = result.err().unwrap();
        format!("{error} | {}", error.hint().unwrap())
    };
    let text = told(family(20, 12, &["ways=8"]));
    assert!(
        text.contains("ways=8 needs as many characters for testing, and there are 6 (of 20 in all) | ways=6"),
        "{text}"
    );
    let text = told(family(20, 12, &["ways=5", "train_classes=1"]));
    assert!(text.contains("for training, and there are 4"), "{text}");
    let text = told(family(20, 6, &["ways=5"]));
    assert!(
        text.contains("training needs 10 drawings of each character") && text.contains("| train_shots=6"),
        "{text}"
    );
    let text = told(family(20, 10, &["ways=5", "shots=10"]));
    assert!(text.contains("testing needs 11 drawings") && text.contains("| shots=9"), "{text}");
    assert!(family(20, 10, &["ways=6", "shots=9"]).is_ok());
}

#[test]
fn settings_that_cannot_be_are_refused() {
    let try_plan = |algorithm: &str, task: &str, words: &[&str]| {
        let layer = tony_run::Layer::command_line(words).unwrap();
        tony_meta::algorithms::find(algorithm).unwrap().resolve(task, &[layer])
    };
    let text = |result: Result<tony_run::Plan, Error>| result.unwrap_err().to_string();
    assert!(text(try_plan("reptile", "cartpole", &[])).contains("there are sine, omniglot"));
    assert!(text(try_plan("reptile", "sine", &["preset=mine"])).contains("it has default, gradients"));
    assert!(text(try_plan("reptile", "sine", &["ways=5"])).contains("unknown setting `ways`"));
    let plan = try_plan("maml", "sine", &["inner.optimiser=adam"]).unwrap();
    let error = Trainer::new(&plan).err().unwrap();
    assert!(error.to_string().contains("must be plain gradient descent"), "{error}");
    let plan = try_plan("fomaml", "sine", &["inner.batch=30"]).unwrap();
    let error = Trainer::new(&plan).err().unwrap();
    assert!(error.to_string().contains("50 examples, and twice inner.batch=30 are needed"), "{error}");
    assert_eq!(error.hint().unwrap(), "inner.batch=25");
}

/// The published commands, by ways.
#[test]
fn defaults_are_the_published_settings() {
    let of = |words: &[&str], keys: &[&str]| -> Vec<String> {
        let plan = plan("reptile", "omniglot", words);
        keys.iter().map(|key| plan.get(key).unwrap().to_owned()).collect()
    };
    let keys = [
        "train_shots",
        "inner.batch",
        "inner.steps",
        "inner.lr",
        "inner.optimiser",
        "eps.start",
        "eps.end",
        "meta_batch",
        "steps",
        "eval.batch",
        "eval.steps",
        "filters",
    ];
    let five = ["10", "10", "5", "0.001", "adam", "1.0", "0.0", "5", "100000", "5", "50", "64"];
    assert_eq!(of(&["ways=5", "shots=1"], &keys), five);
    assert_eq!(of(&["shots=5"], &keys), five);
    let twenty = ["10", "20", "10", "0.0005", "adam", "1.0", "0.0", "5", "200000", "10", "50", "64"];
    assert_eq!(of(&["ways=20"], &keys), twenty);
    let gradients =
        of(&["preset=gradients"], &["inner.optimiser", "inner.lr", "inner.batch", "meta_batch", "steps", "eps.start"]);
    assert_eq!(gradients, ["sgd", "0.003", "25", "1", "40000", "0.25"]);
    // What is typed wins.
    assert_eq!(of(&["ways=20", "inner.lr=0.1"], &["inner.lr"]), ["0.1"]);
}

/// Test characters are never trained on, turned or not; the split is a function of the seed, and a smaller training set leaves the test
/// characters alone.
#[test]
fn test_characters_are_nowhere_in_training() {
    let split = |words: &[&str], seed: u64| {
        let config: Config = plan("reptile", "omniglot", words).group().unwrap();
        let family = Omniglot::new(config, characters(40, 12), seed).unwrap();
        family.names().map(|part| part.into_iter().map(str::to_owned).collect::<BTreeSet<String>>())
    };
    let [training, testing] = split(&[], 0);
    assert_eq!((training.len(), testing.len()), (29, 11));
    assert!(training.is_disjoint(&testing));
    assert_eq!(split(&["train_classes=5"], 0)[1], testing);
    assert_ne!(split(&[], 1)[1], testing);

    // By what is drawn: every picture of a test task is an unturned drawing of a test character, none of them one of training's.
    let family = Family::Omniglot(family(40, 12, &[]).unwrap());
    let Family::Omniglot(omniglot) = &family else { panic!("{:?}", Kind::Omniglot) };
    let classes = characters(40, 12);
    let drawings = |part: usize| -> BTreeSet<Vec<u8>> {
        let names = &omniglot.names()[part];
        classes
            .iter()
            .filter(|class| names.contains(&class.name.as_str()))
            .flat_map(|class| class.drawings.clone())
            .collect()
    };
    let [known, held_out] = [drawings(0), drawings(1)];
    let narrow = |inputs: &[f32]| -> Vec<Vec<u8>> {
        inputs.chunks(SIDE * SIDE).map(|picture| picture.iter().map(|p| *p as u8).collect()).collect()
    };
    let mut turned = 0;
    for number in 0..40 {
        let test = family.test(0, "test task", number);
        let pictures = [narrow(&test.support.inputs), narrow(&test.query.inputs)].concat();
        assert!(pictures.iter().all(|picture| held_out.contains(picture)), "task {number}");
        // The question is not among what is known.
        assert!(narrow(&test.query.inputs).iter().all(|question| !narrow(&test.support.inputs).contains(question)));
        let task = family.train(0, number);
        turned += narrow(&task.inputs).iter().filter(|picture| !known.contains(*picture)).count();
        assert!(narrow(&task.inputs).iter().all(|picture| !held_out.contains(picture)), "task {number}");
        let labels: Vec<usize> = task.targets.iter().map(|label| *label as usize).collect();
        assert_eq!(labels, (0..50).map(|i| i / 10).collect::<Vec<_>>());
    }
    // Three quarters of 2,000 pictures are turned; five standard deviations of whole classes of ten are 300.
    assert!((1200..1800).contains(&turned), "{turned}");
}

/// The real collection, where it is at hand.
#[test]
fn omniglot_is_whole() {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/omniglot");
    if !shared.exists() {
        eprintln!("skipped: Omniglot is not here");
        return;
    }
    let classes = pictures::read(&shared).unwrap();
    assert_eq!(classes.len(), 1623);
    assert!(classes.iter().all(|class| class.drawings.len() == 20));
    let ink: f64 = classes.iter().flat_map(|class| &class.drawings).flatten().map(|p| 1.0 - f64::from(*p)).sum();
    // Strokes cover some percent of the paper: background is 1 and ink is 0, not the other way round.
    let share = ink / (1623.0 * 20.0 * (SIDE * SIDE) as f64);
    assert!((0.03..0.15).contains(&share), "{share}");
    let config: Config = plan("reptile", "omniglot", &[]).group().unwrap();
    let [training, testing] = Omniglot::new(config, classes, 0).unwrap().names().map(|names| names.len());
    assert_eq!((training, testing), (1200, 423));
}
