//! Settings from declaration to plan and back.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::path::Path;
use tony_run::settings::{Scalar, Settings};
use tony_run::{Error, Field, Layer, Limits, Plan, Source, choices, settings};

choices! {
    /// How weights start.
    pub enum Init {
        /// Uniform.
        Kaiming = "kaiming",
        /// Rows at right angles.
        Orthogonal = "orthogonal",
    }
}

settings! {
    /// Proximal Policy Optimization
    ///
    /// More about it.
    pub struct Ppo {
        /// Probability ratios are clipped to 1 plus or minus this.
        "clip" clip: f64 = 0.2, (0.0..=1.0);
        /// Passes over the rollout.
        "passes" passes: usize = 40, (1..);
        /// Step size of Adam.
        "lr" lr: f64 = 3e-4, if |v| *v > 0.0, "a number above 0";
        /// Stop early at this divergence.
        ///
        /// `none` never stops.
        "target_kl" target_kl: Option<f64> = Some(0.02);
        /// How weights start.
        "init" init: Init = Init::Kaiming;
    }
}

settings! {
    /// Training
    pub struct Common {
        /// Environment steps.
        "steps" steps: u64 = 1_000_000, (1..);
        /// Hidden layers.
        "hidden" hidden: Vec<usize> = vec![64, 64], if |v| v.iter().all(|n| *n > 0), "a list of widths above 0";
        /// Limits on the mean cost of an episode.
        "cost.limit" cost_limit: Limits = Limits::one(25.0), if |v| v.iter().all(|(_, x)| x >= 0.0), "at least 0";
        /// Discount of costs.
        "cost.gamma" cost_gamma: f64 = 0.99, (0.0..1.0);
        /// Normalise observations.
        "normalise" normalise: bool = true;
        /// A remark.
        "note" note: String = String::new();
    }
}

settings! {
    /// Nothing to set
    struct Empty {}
}

fn fields() -> Vec<Field> {
    [Ppo::fields(), Common::fields(), Empty::fields()].concat()
}

fn words(words: &[&str]) -> Layer {
    Layer::command_line(words).unwrap()
}

fn resolve(layers: &[Layer]) -> tony_run::Result<Plan> {
    Plan::resolve("ppo", "SafetyPointGoal1-v0", &fields(), layers)
}

#[test]
fn declarations_document_themselves() {
    let fields = fields();
    let clip = &fields[0];
    assert_eq!((clip.key, clip.group.as_str()), ("clip", "Proximal Policy Optimization"));
    assert_eq!(clip.doc, "Probability ratios are clipped to 1 plus or minus this.");
    assert_eq!((clip.kind.as_str(), clip.allowed.as_str()), ("a number", "a number from 0 to 1"));
    assert_eq!(fields[1].allowed, "a whole number, at least 1");
    assert_eq!(fields[2].allowed, "a number above 0");
    assert_eq!(fields[3].doc, "Stop early at this divergence.\n\n`none` never stops.");
    assert_eq!(fields[3].kind, "a number or `none`");
    assert_eq!(fields[4].allowed, "one of `kaiming`, `orthogonal`");
    assert_eq!(fields[4].choices, ["kaiming", "orthogonal"]);
    assert_eq!(fields[7].default_text(), "25.0");
    assert_eq!(fields[8].allowed, "a number, at least 0 and below 1");
    for field in &fields {
        for (key, text) in &field.defaults {
            assert_eq!(field.canonical(key, text).as_deref(), Some(text.as_str()), "the default of {key}");
        }
    }
}

#[test]
fn each_type_reads_what_people_write() {
    assert_eq!(<u64 as Scalar>::parse("1_000_000"), Some(1_000_000));
    assert_eq!(<u64 as Scalar>::parse("1e6"), Some(1_000_000));
    assert_eq!(<u64 as Scalar>::parse("18446744073709551615"), Some(u64::MAX));
    for bad in ["-1", "1.5", "1e30", "", "ten", "nan", "0x10"] {
        assert_eq!(<u64 as Scalar>::parse(bad), None, "{bad}");
    }
    for bad in ["nan", "inf", "-inf", "1e999", "", "1,5"] {
        assert_eq!(<f64 as Scalar>::parse(bad), None, "{bad}");
    }
    assert_eq!(<Vec<usize> as Scalar>::parse("256,256"), Some(vec![256, 256]));
    assert_eq!(<Vec<usize> as Scalar>::parse("[ 64, 32 ]"), Some(vec![64, 32]));
    assert_eq!(<Vec<usize> as Scalar>::parse("[]"), Some(vec![]));
    for bad in ["", "64,", "[64", "64,x"] {
        assert_eq!(<Vec<usize> as Scalar>::parse(bad), None, "{bad}");
    }
}

#[test]
fn later_places_win_and_are_remembered() {
    let preset = Layer::preset("safety-gym", &[("hidden", "256,256"), ("passes", "80"), ("lr", "1e-3")]);
    let plan = resolve(&[preset, words(&["passes=10", "lr=0.01", "lr=0.02", "note=a=b"])]).unwrap();
    let from = |key: &str| plan.entries.iter().find(|entry| entry.key == key).unwrap().source.clone();
    assert_eq!(from("clip"), Source::Default);
    assert_eq!(from("hidden"), Source::Preset("safety-gym".into()));
    assert_eq!(from("passes"), Source::CommandLine);
    let (mut ppo, mut common) = (Ppo::default(), Common::default());
    plan.apply(&mut ppo).unwrap();
    plan.apply(&mut common).unwrap();
    assert_eq!((ppo.passes, ppo.lr, ppo.clip), (10, 0.02, 0.2));
    assert_eq!((common.hidden, common.note.as_str()), (vec![256, 256], "a=b"));
    assert_eq!((plan.get("lr"), plan.get("gamma")), (Some("0.02"), None));
}

#[test]
fn naming_a_limit_replaces_the_default_ones() {
    let limits = |line: &[&str]| {
        let mut common = Common::default();
        resolve(&[words(line)]).unwrap().apply(&mut common).unwrap();
        common.cost_limit
    };
    assert_eq!(limits(&[]), Limits::one(25.0));
    assert_eq!(limits(&["cost.limit=10"]), Limits::one(10.0));
    let two = limits(&["cost.limit.vases=5", "cost.limit.hazards=20"]);
    assert_eq!(two, Limits::from([("hazards", 20.0), ("vases", 5.0)]));
    assert_eq!(two.iter().collect::<Vec<_>>(), [("hazards", 20.0), ("vases", 5.0)]);
    assert_eq!(limits(&["cost.limit.vases=5", "cost.limit=25"]), Limits::from([("", 25.0), ("vases", 5.0)]));
    assert!(limits(&["cost.limit=none"]).is_empty());
}

#[test]
fn each_mistake_is_named_with_its_place() {
    let message = |line: &str| {
        let error = resolve(&[words(&[line])]).unwrap_err();
        assert!(error.is_usage() && error.hint().is_some(), "{error}");
        error.to_string()
    };
    assert_eq!(
        message("clpi=0.1"),
        "unknown setting `clpi` (command line); did you mean `clip` (Proximal Policy Optimization)?"
    );
    assert_eq!(
        message("cost.limits=3"),
        "unknown setting `cost.limits` (command line); did you mean `cost.limit` (Training)?"
    );
    assert_eq!(message("zzz=1"), "unknown setting `zzz` (command line)");
    assert_eq!(
        message("clip.x=1"),
        "unknown setting `clip.x` (command line); did you mean `clip` (Proximal Policy Optimization)?"
    );
    assert_eq!(message("clip=1.5"), "setting `clip` cannot be `1.5` (command line): it must be a number from 0 to 1");
    assert_eq!(
        message("passes=ten"),
        "setting `passes` cannot be `ten` (command line): it must be a whole number, at least 1"
    );
    assert_eq!(
        message("steps=0"),
        "setting `steps` cannot be `0` (command line): it must be a whole number, at least 1"
    );
    assert_eq!(message("lr=0"), "setting `lr` cannot be `0` (command line): it must be a number above 0");
    assert_eq!(
        message("normalise=yes"),
        "setting `normalise` cannot be `yes` (command line): it must be `true` or `false`"
    );
    assert!(message("init=kaimin").ends_with("one of `kaiming`, `orthogonal`"));
    assert!(message("cost.limit.hazards=-1").ends_with("at least 0"));
    assert!(message("cost.limit.hazards=none").ends_with("at least 0"));
    assert!(message("target_kl=nan").ends_with("a number or `none`"));
    let preset = resolve(&[Layer::preset("paper", &[("clip", "2")])]).unwrap_err();
    assert!(preset.to_string().contains("(preset paper)"));
    for word in ["clip", "=3", "--clip"] {
        assert!(matches!(Layer::command_line(&[word]), Err(Error::NotAssignment { .. })));
    }
}

#[test]
fn a_word_that_chooses_layers_is_taken_out() {
    let mut layer = words(&["preset=paper", "clip=0.1", "preset=sb3"]);
    assert_eq!(layer.take("preset").as_deref(), Some("sb3"));
    assert_eq!(layer.take("preset"), None);
    assert_eq!(layer.entries, [("clip".to_owned(), "0.1".to_owned())]);
}

#[test]
fn a_file_may_be_flat_or_nested() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("my.toml");
    let load = |text: &str| {
        fs_err::write(&path, text).unwrap();
        Layer::file(&path)
    };
    let nested =
        load("clip = 0.1\nhidden = [32, 32]\n[cost]\ngamma = 0.5\n[cost.limit]\nhazards = 20\nvases = 5.5\n").unwrap();
    let flat = load(
        "clip = 0.1\nhidden = [32, 32]\n\"cost.gamma\" = 0.5\n\"cost.limit.hazards\" = 20\ncost.limit.vases = 5.5\n",
    )
    .unwrap();
    assert_eq!(nested, flat);
    let plan = resolve(&[nested]).unwrap();
    assert_eq!(plan.get("cost.limit.hazards"), Some("20.0"));
    assert_eq!(plan.get("cost.limit"), None);
    assert_eq!(plan.get("hidden"), Some("[32, 32]"));

    let error = resolve(&[load("clip = true").unwrap()]).unwrap_err().to_string();
    assert_eq!(
        error,
        format!("setting `clip` cannot be `true` (file {}): it must be a number from 0 to 1", path.display())
    );
    let error = load("clip = 0.1\nlr =\n").unwrap_err();
    assert!(error.to_string().starts_with(&format!("settings file {}: line 2: ", path.display())), "{error}");
    assert!(load("day = 2020-01-01").unwrap_err().to_string().contains("`day` has a value that no setting takes"));
    assert!(load(&"[".repeat(100_000)).is_err());
    assert!(load(&format!("a = {}", "[".repeat(100_000))).is_err());
    fs_err::remove_file(&path).unwrap();
    let error = Layer::file(&path).unwrap_err();
    assert!(error.is_usage() && error.to_string().contains("No such file"), "{error}");
}

#[test]
fn a_plan_reads_back_exactly() {
    let awkward = "note=\"' # \t quoted \\ é\u{1}";
    let preset = Layer::preset("two words", &[("lr", "1e-5"), ("steps", "9223372036854775808")]);
    let file = Layer { source: Source::File("a \"b\".toml".into()), entries: vec![("hidden".into(), "[]".into())] };
    for note in [
        awkward,
        "note=",
        "note=007",
        "note=25",
        "note=2020-01-01",
        "note=true",
        "note=a\nb",
        "note={a = 1}",
        "note=1 # x",
    ] {
        let layers =
            [preset.clone(), file.clone(), words(&["cost.limit.a b=1", "cost.limit.hazards=2"]), words(&[note])];
        let plan = resolve(&layers).unwrap();
        let text = plan.to_toml();
        let again = Plan::from_toml(&text, Path::new("plan.toml")).unwrap();
        assert_eq!(again, plan, "{text}");
        let again = again.check(&fields()).unwrap();
        assert_eq!(again.to_toml(), text);
        let mut common = Common::default();
        again.apply(&mut common).unwrap();
        assert_eq!(common.note, note["note=".len()..].trim());
        assert_eq!(common.steps, 9_223_372_036_854_775_808);
    }
}

#[test]
fn a_plan_is_a_page_to_read() {
    let plan = resolve(&[words(&["cost.limit.hazards=20", "init=orthogonal"])]).unwrap();
    let text = plan.to_toml();
    let head = r#"# What this run was asked to do: each setting with its value and where it came from.
format = 1
algorithm = "ppo"
env = "SafetyPointGoal1-v0"
count = 11

[settings]
# Probability ratios are clipped to 1 plus or minus this.
"clip" = { value = 0.2, from = "default" }
"#;
    assert!(text.starts_with(head), "{text}");
    assert!(text.contains("\"cost.limit.hazards\" = { value = 20.0, from = \"command line\" }\n"), "{text}");
    assert!(text.contains("\"init\" = { value = \"orthogonal\", from = \"command line\" }\n"), "{text}");
    assert!(text.contains("\"hidden\" = { value = [64, 64], from = \"default\" }\n"), "{text}");
}

#[test]
fn a_broken_plan_says_where() {
    let good = resolve(&[]).unwrap().to_toml();
    let read = |text: &str| Plan::from_toml(text, Path::new("runs/a/plan.toml")).unwrap_err();
    for (text, part) in [
        (good.replace("format = 1", "format = 2"), "has format 2"),
        (good.replace("format = 1\n", ""), "`format` is missing"),
        (good.replace("algorithm = \"ppo\"", "algorithm = 3"), "`algorithm` is missing or not a text"),
        (good.replace("[settings]", "[setting]"), "the table `settings` is missing"),
        (good.replace("value = 0.2, ", ""), "`clip` is not of the form"),
        (good.replace("from = \"default\"", "from = \"the moon\""), "`clip` is not of the form"),
        (good[..good.rfind('"').unwrap()].to_owned(), "line "),
        (
            good[..good.trim_end().rfind('\n').unwrap()].to_owned(),
            "it holds 10 settings, but `count` says 11: some are lost",
        ),
        (String::new(), "`format` is missing"),
    ] {
        let error = read(&text).to_string();
        assert!(error.starts_with("runs/a/plan.toml") && error.contains(part), "{error}");
    }
    // A key or value that this version does not know, and a setting that the plan's version did not have.
    let plan = |text: &str| Plan::from_toml(text, Path::new("plan.toml")).unwrap();
    assert!(matches!(plan(&good.replace("\"clip\"", "\"clap\"")).check(&fields()), Err(Error::UnknownKey { .. })));
    assert!(matches!(plan(&good.replace("0.2,", "20,")).check(&fields()), Err(Error::BadValue { .. })));
    let passes = good.lines().find(|line| line.starts_with("\"passes\"")).unwrap();
    let old = good.replace(&format!("{passes}\n"), "").replace("count = 11", "count = 10");
    assert_eq!(plan(&old).check(&fields()).unwrap(), plan(&good));
}

#[test]
fn a_group_sets_and_tells_by_key() {
    let mut common = Common::default();
    assert!(common.set("cost.limit.vases", "5").unwrap());
    assert_eq!(common.get("cost.limit.vases").as_deref(), Some("5.0"));
    assert_eq!(common.get("cost.limit").as_deref(), Some("25.0"));
    assert_eq!(common.get("hidden").as_deref(), Some("[64, 64]"));
    assert!(!common.set("clip", "0.1").unwrap());
    assert!(common.set("hidden", "0").is_err());
    assert_eq!(common.get("clip"), None);
    assert!(!Empty::default().set("clip", "1").unwrap());
}
