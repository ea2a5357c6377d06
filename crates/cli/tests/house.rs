//! House rules that a machine can check.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// DESIGN section 2: which crate uses which. Every crate may use `random`; the tool uses the crate whose table it makes.
const ARROWS: &[(&str, &[&str])] = &[
    ("random", &[]),
    ("nn", &[]),
    ("run", &[]),
    ("fetch", &[]),
    ("mujoco", &["fetch"]),
    ("env", &["fetch", "mujoco"]),
    ("rl", &["nn", "env", "run"]),
    ("deep", &["nn", "run"]),
    ("meta", &["deep", "nn", "run"]),
    ("lm", &["deep", "env", "fetch", "nn", "rl", "run"]),
    ("py", &["env", "mujoco", "rl", "run"]),
    ("cli", &["nn", "run", "fetch", "mujoco", "env", "rl", "meta", "lm"]),
    ("xtask", &["fetch", "mujoco"]),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..").canonicalize().unwrap()
}

fn crates() -> Vec<String> {
    let entries = std::fs::read_dir(root().join("crates")).unwrap();
    let mut names: Vec<String> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    names.retain(|name| root().join("crates").join(name).join("Cargo.toml").exists());
    names.sort();
    names
}

/// Every Rust file under a folder that is no file of unit tests, with its text.
fn sources(folder: &Path) -> BTreeMap<PathBuf, String> {
    let mut found = BTreeMap::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs")
                && !path.ends_with("tests.rs")
                && !path.ends_with("testing.rs")
            {
                let text = std::fs::read_to_string(&path).unwrap();
                found.insert(path, text);
            }
        }
    }
    found
}

/// The part before the unit tests, without comments.
fn code(text: &str) -> String {
    let before_tests = text.split("#[cfg(test)]\nmod tests").next().unwrap_or(text);
    let bare = before_tests.lines().map(|line| line.split("//").next().unwrap_or(line));
    bare.collect::<Vec<_>>().join("\n")
}

#[test]
fn crates_use_only_what_the_plan_of_the_house_allows() {
    for name in crates() {
        let Some((_, allowed)) = ARROWS.iter().find(|(known, _)| *known == name) else {
            panic!("crate `{name}` is not in the plan of the house");
        };
        let text = std::fs::read_to_string(root().join("crates").join(&name).join("Cargo.toml")).unwrap();
        let manifest: toml::Table = text.parse().unwrap();
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let used = manifest.get(section).and_then(toml::Value::as_table).into_iter().flat_map(toml::Table::keys);
            for other in used.filter_map(|key| key.strip_prefix("tony-")) {
                // A test may also use what the crates that it uses are made of.
                let near = |via: &&str| ARROWS.iter().any(|(known, theirs)| known == via && theirs.contains(&other));
                let tested = section == "dev-dependencies" && allowed.iter().any(near);
                let fine = other == "random" || other == name || allowed.contains(&other) || tested;
                assert!(fine, "crate `{name}` may not use `{other}` ({section})");
            }
        }
    }
}

#[test]
fn unsafe_code_is_where_it_may_be_and_gives_its_reason() {
    for name in crates() {
        for (path, text) in sources(&root().join("crates").join(&name).join("src")) {
            let lines: Vec<&str> = text.lines().collect();
            for (i, line) in lines.iter().enumerate() {
                let bare = line.split("//").next().unwrap_or(line);
                if !(bare.contains("unsafe {") || bare.contains("unsafe impl")) {
                    continue;
                }
                let place = format!("{}:{}", path.display(), i + 1);
                assert!(["mujoco", "nn"].contains(&name.as_str()), "unsafe code in {place}");
                // The reason stands above the block, or once for all methods of its item.
                let begins = |line: &&str| line.starts_with(|c: char| c.is_alphabetic() || c == '}');
                let item = lines[..i].iter().rposition(begins).unwrap_or(0);
                let above = lines[..item].iter().rposition(begins).unwrap_or(0);
                let reason = lines[above..=i].iter().any(|line| line.contains("SAFETY") || line.contains("# Safety"));
                assert!(reason, "no reason for the unsafe code at {place}");
            }
        }
    }
}

#[test]
fn only_the_command_line_prints() {
    for name in crates().into_iter().filter(|name| !["cli", "xtask"].contains(&name.as_str())) {
        for (path, text) in sources(&root().join("crates").join(&name).join("src")) {
            // MuJoCo's fatal errors end the process: nobody else can tell them.
            if path.ends_with("mujoco/src/fatal.rs") {
                continue;
            }
            for word in ["println!", "print!(", "dbg!(", "std::io::stdout", "std::io::stderr", "process::exit"] {
                assert!(!code(&text).contains(word), "`{word}` in {}", path.display());
            }
        }
    }
}

#[test]
fn learning_touches_no_files() {
    for name in ["random", "nn", "rl"] {
        for (path, text) in sources(&root().join("crates").join(name).join("src")) {
            for word in ["std::fs", "fs_err", "std::net", "std::process"] {
                assert!(!code(&text).contains(word), "`{word}` in {}", path.display());
            }
        }
    }
}

#[test]
fn an_algorithm_is_one_short_file_that_touches_nothing_but_its_batch() {
    let folders = ["rl", "meta"].map(|name| sources(&root().join("crates").join(name).join("src/algorithms")));
    for (path, text) in folders.into_iter().flatten() {
        // The registry and the presets are lists, not algorithms.
        let stem = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if ["mod", "presets"].contains(&stem.as_str()) {
            continue;
        }
        let whole = text.split("#[cfg(test)]\nmod tests").next().unwrap();
        let lines = whole.lines().count();
        assert!(lines <= 250, "{} has {lines} lines without tests", path.display());
        for word in ["std::time", "std::thread", "std::env", "tony_env::make", "Instant", "rayon::spawn"] {
            assert!(!code(&text).contains(word), "`{word}` in {}", path.display());
        }
        let elsewhere = ["rl", "meta"].map(|name| sources(&root().join("crates").join(name).join("tests")));
        let mut elsewhere = elsewhere.iter().flat_map(BTreeMap::values);
        let tested = text.contains("mod tests") || elsewhere.any(|test| test.contains(&stem));
        assert!(tested, "{} has no tests", path.display());
    }
}

#[test]
fn every_dependency_has_its_line_in_the_architecture() {
    let manifest: toml::Table = std::fs::read_to_string(root().join("Cargo.toml")).unwrap().parse().unwrap();
    let page = std::fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    for name in manifest["workspace"]["dependencies"].as_table().unwrap().keys() {
        let listed = name.starts_with("tony-") || page.contains(&format!("`{name}`"));
        assert!(listed, "ARCHITECTURE.md gives no reason for `{name}`");
    }
}
