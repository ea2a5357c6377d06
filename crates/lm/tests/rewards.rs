//! Weights of rules from comparisons, and how well rewards rank completions.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tony_lm::rbr::{AdamW, Comparisons, Fitting, Graded, Pair, Policy, Signal, Weights, features, fit, hinge, rank};
use tony_random::Stream;

const POLICY: &str = "
prompt_template: '{question} {response}'
completion_class_order: [ideal, fine, bad]
completion_classes:
  ideal: {hard_refuse: {refuses: true, judges: false}, comply: {helps: true, harms: false}}
  fine: {hard_refuse: {refuses: true, judges: true}, comply: {helps: false, harms: false}}
  bad: {hard_refuse: {refuses: false}, comply: {harms: true}}
simple_propositions:
  refuses: {prompt: does it refuse}
  judges: {prompt: does it judge}
  harms: {prompt: does it harm}
  helps: {prompt: does it help}
";

struct Place {
    folder: tempfile::TempDir,
    policy: Policy,
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), policy: Policy::parse(POLICY).unwrap() }
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("data.jsonl")
    }

    fn try_read(&self, rows: &[Value]) -> Result<Comparisons, String> {
        let text = rows.iter().fold(String::new(), |text, row| text + &row.to_string() + "\n");
        std::fs::write(self.path(), text).unwrap();
        Comparisons::read(&self.path(), &self.policy).map_err(|error| error.to_string())
    }

    fn read(&self, rows: &[Value]) -> Comparisons {
        self.try_read(rows).unwrap()
    }
}

fn row(prompt: usize, kind: &str, p: [f64; 2], rm: f64) -> Value {
    json!({
        "prompt": [{"role": "user", "content": format!("prompt {prompt}")}],
        "completion": format!("{kind} {p:?} {rm}"),
        "response_type": "Hard Refuse",
        "completion_type": kind,
        "features": {"refuses": p[0], "judges": p[1]},
        "rm_score": rm,
    })
}

/// Four completions of each prompt. Propositions are seen through noise; the reward model likes whatever is no refusal.
fn noisy(prompts: usize, seed: u64) -> Vec<Value> {
    let mut stream = Stream::new(seed, "test", 0);
    let mut rows = Vec::new();
    for prompt in 0..prompts {
        let taste = 3.0 * stream.normal();
        for (kind, refuses, judges) in [
            ("perfect hard refusal", 0.9, 0.1),
            ("bad hard refusal", 0.9, 0.9),
            ("bad hard refusal", 0.8, 0.7),
            ("disallowed content", 0.1, 0.2),
        ] {
            let mut p = |mean: f64| (mean + 0.15 * stream.normal()).clamp(0.0, 1.0);
            let p = [p(refuses), p(judges)];
            rows.push(row(prompt, kind, p, taste - 2.0 * refuses + stream.normal()));
        }
    }
    rows
}

/// Central differences at points without a kink nearby: the slope is constant there, so the difference is exact up to rounding.
#[test]
fn the_gradient_of_the_hinge_is_its_slope() {
    let mut stream = Stream::new(3, "test", 0);
    let (rows, n) = (12, 5);
    let phi: Vec<f64> = (0..rows * n).map(|_| stream.uniform()).collect();
    let rm: Vec<f64> = (0..rows).map(|_| stream.normal()).collect();
    let pairs: Vec<Pair> =
        (0..20).map(|i| Pair { better: i % rows, worse: (i * 5 + 1) % rows, margin: 0.25 * i as f64 }).collect();
    let mut clipped = Vec::new();
    for _ in 0..20 {
        let weights: Vec<f64> = (0..n).map(|_| 3.0 * stream.normal()).collect();
        let here = hinge(&weights, &rm, &phi, &pairs);
        clipped.push(here.clipped);
        for i in 0..n {
            let h = 1e-6;
            let at = |d: f64| {
                let mut moved = weights.clone();
                moved[i] += d;
                hinge(&moved, &rm, &phi, &pairs).loss
            };
            let slope = (at(h) - at(-h)) / (2.0 * h);
            assert!((slope - here.gradient[i]).abs() < 1e-8, "{slope} {}", here.gradient[i]);
        }
    }
    assert!(clipped.iter().any(|share| *share > 0.1 && *share < 0.9), "both kinds of pairs: {clipped:?}");
}

/// Weights after some steps, loss and clipped share, from a program of its own (NumPy, differences of pairs as one matrix).
const TRACE: [(usize, [f64; 3], f64, f64); 5] = [
    (
        1,
        [0.009_999_999_727_272_743, -0.009_999_999_647_058_843, 0.009_999_999_684_210_543],
        2.073_666_666_966_666_6,
        0.0,
    ),
    (2, [0.019_994_999_454_681_778, -0.019_994_999_294_294_09, 0.019_994_999_368_568_91], 2.064_004_833_933_183, 0.0),
    (10, [0.099_775_297_016_512_9, -0.099_775_296_216_176_34, 0.099_775_296_586_858_52], 1.986_883_879_913_523_3, 0.0),
    (100, [0.975_649_368_544_803_2, -0.975_649_360_718_740_4, 0.975_649_364_343_442], 1.140_205_613_954_505_8, 0.0),
    (
        1000,
        [4.244_161_292_604_188, -0.635_831_809_480_812_3, 2.294_098_800_740_194],
        0.506_157_748_114_109_2,
        0.666_666_666_666_666_6,
    ),
];

#[test]
fn adamw_takes_the_steps_of_another_program() {
    let phi = [0.9, 0.1, 0.8, 0.2, 0.7, 0.4, 0.1, 0.95, 0.05, 0.6, 0.3, 0.5, 0.55, 0.2, 0.9, 0.3, 0.3, 0.3];
    let rm = [0.5, 1.25, 2.0, -0.5, 0.25, 0.75];
    let pairs = [(0, 1, 1.0), (0, 2, 1.5), (1, 2, 0.5), (3, 4, 1.0), (3, 5, 1.0), (4, 5, 2.0)]
        .map(|(better, worse, margin)| Pair { better, worse, margin });
    let (mut weights, mut optimiser, mut steps) = ([0.0; 3], AdamW::new(3, 0.01, 0.05), 0);
    for (until, expected, loss, clipped) in TRACE {
        while steps < until {
            let gradient = hinge(&weights, &rm, &phi, &pairs).gradient;
            optimiser.step(&mut weights, &gradient);
            steps += 1;
        }
        // Both add in orders of their own; a thousand steps make of a last bit some more.
        let near = |a: f64, b: f64| (a - b).abs() < 1e-10;
        let now = hinge(&weights, &rm, &phi, &pairs);
        assert!(weights.iter().zip(expected).all(|(a, b)| near(*a, b)), "after {until}: {weights:?}");
        assert!(near(now.loss, loss) && near(now.clipped, clipped), "after {until}: {now:?}");
    }
}

#[test]
fn rules_rank_what_the_reward_model_cannot() {
    let place = Place::new();
    let data = place.read(&noisy(120, 1));
    let weights = fit(&place.policy, &data, &Fitting::default()).unwrap();
    let fitted = &weights.response_types["hard_refuse"];
    assert_eq!((fitted.prompts, fitted.validation_prompts, fitted.completions), (120, 6, 480));
    // One ideal, two bad, one disallowed: 2 + 1 + 2 pairs of each prompt.
    assert_eq!((fitted.pairs, fitted.validation_pairs), (114 * 5, 6 * 5));
    assert!(fitted.weights["refuses"] > 0.0 && fitted.weights["judges"] < 0.0, "{:?}", fitted.weights);
    assert_eq!(
        fitted.weights.keys().collect::<Vec<_>>(),
        ["class:bad", "class:fine", "class:ideal", "judges", "refuses"]
    );
    let fresh = place.read(&noisy(100, 2));
    let ranking = rank(&place.policy, &weights, &fresh).unwrap();
    assert!(!ranking.validation);
    let of = &ranking.response_types[0];
    let error = |signal: Signal| of.signals.iter().find(|errors| errors.signal == signal).unwrap();
    let [rm, rbr, total] = [Signal::Rm, Signal::Rbr, Signal::Total].map(|signal| error(signal).ideal.unwrap());
    assert_eq!((rm.n, of.prompts, of.with_ideal), (100, 100, 100));
    assert!(rm.mean > 0.5 && rbr.mean < 0.05 && total.mean < 0.15 && total.hi < rm.lo, "{rm:?} {rbr:?} {total:?}");
    let labels: Vec<&str> = error(Signal::Rm).by_label.iter().map(|errors| errors.label.as_str()).collect();
    assert_eq!(labels, ["bad hard refusal", "disallowed content"]);
    assert_eq!(error(Signal::Rm).by_label[0].pairs, 200);
    // Of what they were fitted on, only prompts that validated count.
    let again = rank(&place.policy, &weights, &place.read(&noisy(120, 1))).unwrap();
    assert!(again.validation && again.response_types[0].prompts == 6);
    // Without the reward model its scores are nothing.
    let alone = fit(&place.policy, &data, &Fitting { rm: false, ..Fitting::default() }).unwrap();
    let unscored: Vec<Value> = noisy(120, 1)
        .into_iter()
        .map(|mut row| {
            row.as_object_mut().unwrap().remove("rm_score");
            row
        })
        .collect();
    let never = fit(&place.policy, &place.read(&unscored), &Fitting::default()).unwrap();
    assert_ne!(alone.response_types["hard_refuse"].weights, fitted.weights);
    let rows = |weights: &Weights| weights.response_types["hard_refuse"].loss;
    assert!((rows(&alone) - rows(&never)).abs() < 0.02, "other prompts validate, nothing else differs");
}

#[test]
fn neither_the_order_of_rows_nor_threads_change_a_bit() {
    let place = Place::new();
    let mut rows = noisy(40, 4);
    rows.extend(rows[..7].to_vec());
    let data = place.read(&rows);
    let weights = fit(&place.policy, &data, &Fitting::default()).unwrap();
    for seed in 0..3 {
        Stream::new(seed, "test", 1).shuffle(&mut rows);
        let other = place.read(&rows);
        assert_eq!(other.hash, data.hash);
        assert_eq!(fit(&place.policy, &other, &Fitting::default()).unwrap(), weights);
    }
    std::thread::scope(|scope| {
        let fits: Vec<_> =
            (0..3).map(|_| scope.spawn(|| fit(&place.policy, &data, &Fitting::default()).unwrap())).collect();
        assert!(fits.into_iter().all(|fit| fit.join().unwrap() == weights));
    });
    let other = fit(&place.policy, &data, &Fitting { seed: 1, ..Fitting::default() }).unwrap();
    assert_ne!(other.response_types, weights.response_types, "other prompts validate");
}

#[test]
fn margins_are_fractions_and_belong_to_the_better_completion() {
    let place = Place::new();
    let mut rows = noisy(10, 5);
    rows.iter_mut().for_each(|row| row["rm_score"] = json!(0.0));
    let data = place.read(&rows);
    let loss = |settings: Fitting| {
        let fitted =
            &fit(&place.policy, &data, &Fitting { steps: 0, ..settings }).unwrap().response_types["hard_refuse"];
        (fitted.loss, fitted.clipped)
    };
    // Before the first step all rewards are 0, and the loss of each pair is its margin.
    assert_eq!(loss(Fitting::default()), (1.0, 0.0));
    assert_eq!(loss(Fitting { margin: 0.25, ..Fitting::default() }), (0.25, 0.0));
    let margins = BTreeMap::from([("perfect hard refusal".to_owned(), 1.5)]);
    let (of_labels, _) = loss(Fitting { margin: 0.5, margins, ..Fitting::default() });
    // Three of five pairs have an ideal completion.
    assert!((of_labels - (3.0 * 0.75 + 2.0 * 0.5) / 5.0).abs() < 1e-12);
    // A frozen feature stays where it began.
    let frozen = Fitting { frozen: vec!["judges".to_owned()], ..Fitting::default() };
    let weights = fit(&place.policy, &data, &frozen).unwrap();
    let weights = &weights.response_types["hard_refuse"].weights;
    assert!(weights["judges"] == 0.0 && weights["refuses"] != 0.0);
    let refused = |settings: Fitting| fit(&place.policy, &data, &settings).unwrap_err().to_string();
    let unknown = refused(Fitting { frozen: vec!["judge".to_owned()], ..Fitting::default() });
    assert!(unknown.contains("no feature is called `judge`; did you mean `judges`?"), "{unknown}");
    let margins = BTreeMap::from([("ideal".to_owned(), 2.0)]);
    assert!(refused(Fitting { margins, ..Fitting::default() }).contains("perfect hard refusal"));
    assert!(refused(Fitting { margin: f64::NAN, ..Fitting::default() }).contains("margins"));
}

#[test]
fn what_is_missing_is_neither_yes_nor_no() {
    let place = Place::new();
    let mut rows = noisy(30, 6);
    for row in &mut rows {
        row["features"]["judges"] = Value::Null;
    }
    rows[0]["features"]["refuses"] = Value::Null;
    let data = place.read(&rows);
    let weights = fit(&place.policy, &data, &Fitting { validation: 0.0, ..Fitting::default() }).unwrap();
    let fitted = &weights.response_types["hard_refuse"];
    assert_eq!((&fitted.unknown[..], fitted.missing), (&["judges".to_owned()][..], 121));
    assert_eq!((fitted.weights["judges"], fitted.means["judges"]), (0.0, 0.5));
    let known: Vec<f64> = rows.iter().filter_map(|row| row["features"]["refuses"].as_f64()).collect();
    let mean = known.iter().sum::<f64>() / known.len() as f64;
    assert!((fitted.means["refuses"] - mean).abs() < 1e-12);
    // The mean stands for it, and the ledger says so; in the order of the policy: harms, helps, judges, refuses.
    let reward =
        |refuses: Option<f64>| weights.reward(&place.policy, "hard_refuse", &[None, None, Some(0.5), refuses]).unwrap();
    let (assumed, given) = (reward(None), reward(Some(fitted.means["refuses"])));
    assert_eq!(assumed.total, given.total);
    let marks = |reward: &tony_lm::rbr::RuleReward| -> Vec<bool> { reward.ledger.iter().map(|s| s.assumed).collect() };
    assert_eq!(marks(&assumed), [true, true, true, false, true]);
    assert_eq!(marks(&given), [false; 5]);
    for share in &given.ledger {
        assert_eq!(share.reward, share.weight * share.value);
    }
    let sum: f64 = given.ledger.iter().map(|share| share.reward).sum();
    assert_eq!(given.total, sum);
    // What nobody asked about is no missing answer.
    rows[3]["features"].as_object_mut().unwrap().remove("judges");
    let error = fit(&place.policy, &place.read(&rows), &Fitting::default()).unwrap_err().to_string();
    assert!(error.contains("its features lack `judges`, which hard_refuse needs") && error.ends_with("data.jsonl:4"));
    let all = Fitting { all: true, ..Fitting::default() };
    let error = fit(&place.policy, &place.read(&noisy(5, 1)), &all).unwrap_err().to_string();
    assert!(error.contains("lack `harms`"), "{error}");
    assert!(weights.reward(&place.policy, "comply", &[None; 4]).unwrap_err().to_string().contains("for `comply`"));
}

#[test]
fn weights_of_something_else_are_refused() {
    let place = Place::new();
    let weights = fit(&place.policy, &place.read(&noisy(10, 7)), &Fitting::default()).unwrap();
    let path = place.folder.path().join("weights.json");
    weights.write(&path).unwrap();
    assert_eq!(Weights::read(&path, &place.policy).unwrap(), weights);
    let text = std::fs::read_to_string(&path).unwrap();
    let refused = |from: &str, to: &str| {
        assert!(text.contains(from), "{from}");
        std::fs::write(&path, text.replacen(from, to, 1)).unwrap();
        Weights::read(&path, &place.policy).unwrap_err().to_string()
    };
    assert!(refused("\"judges\"", "\"judge\"").contains("hard_refuse has no weight for `judges`"));
    let extra = refused("\"judges\"", "\"judgess\": 1.0, \"judges\"");
    assert!(extra.contains("a weight for `judgess`, which is none of its features; did you mean `judges`?"), "{extra}");
    assert!(refused("\"means\": {", "\"means\": {\"helps\": 0.5,").contains("a mean for `helps`"));
    assert!(refused("\"format\": 1", "\"format\": 2").contains("format 2"));
    assert!(refused("\"hard_refuse\"", "\"shrug\"").contains("no response type `shrug`"));
    let changed = |map: &str, value: f64| {
        let mut object: Value = serde_json::from_str(&text).unwrap();
        object["response_types"]["hard_refuse"][map]["judges"] = json!(value);
        std::fs::write(&path, object.to_string()).unwrap();
        Weights::read(&path, &place.policy).unwrap_err().to_string()
    };
    assert!(changed("means", 7.0).contains("the mean of `judges` in hard_refuse is 7"));
    assert!(changed("weights", f64::NAN).contains("null"), "JSON has no such number");
    assert!(refused("{", "[").contains("in "));
    std::fs::write(&path, &text).unwrap();
    let other = Policy::parse(&POLICY.replace("does it judge", "does it blame")).unwrap();
    let error = Weights::read(&path, &other).unwrap_err().to_string();
    assert!(error.contains("fitted under another policy") && error.contains(&other.hash()[..12]), "{error}");
}

#[test]
fn rows_that_cannot_be_meant_are_told() {
    let place = Place::new();
    let good = row(0, "perfect hard refusal", [0.9, 0.1], 0.0);
    let refused = |key: &str, value: Value| {
        let mut bad = good.clone();
        bad[key] = value;
        let error = place.try_read(&[good.clone(), bad]).unwrap_err();
        assert!(error.ends_with("data.jsonl:2"), "{error}");
        error
    };
    let kind = refused("completion_type", json!("excellent"));
    assert!(kind.contains("no completion type `excellent`; it has perfect hard refusal, bad hard refusal"), "{kind}");
    assert!(refused("rank", json!(-1.0)).contains("its rank is -1; 0 is ideal"));
    assert!(refused("rank", json!(1.0)).contains("its rank comes from `rank` and that of another"));
    assert!(refused("completion_type", Value::Null).contains("no `rank`, no `completion_type`"));
    assert!(refused("features", Value::Null).contains("grade it first"));
    assert!(refused("features", json!({"judges": 1.5})).contains("the probability of `judges` is 1.5"));
    assert!(refused("features", json!({"judge": 0.5})).contains("no proposition `judge`; did you mean `judges`?"));
    assert!(refused("response_type", json!("Shrug")).contains("no response type `Shrug`"));
    assert!(refused("rm_score", Value::Null).contains("some have none"));
    assert!(refused("grader", json!("another")).contains("graded by another and rows before by nobody"));
    assert!(refused("completion", json!(3)).contains("neither a text nor a list of messages"));
    let error =
        fit(&place.policy, &place.read(std::slice::from_ref(&good)), &Fitting::default()).unwrap_err().to_string();
    assert!(error.contains("a better and a worse completion"), "{error}");
    // The class of labels, where nothing else tells the rank.
    let labelled = |judges: bool| {
        let mut row = good.clone();
        row["completion_type"] = Value::Null;
        row["propositions"] = json!({"refuses": true, "judges": judges});
        row
    };
    let data = place.read(&[labelled(true), labelled(false)]);
    let found: Vec<(&str, f64, usize)> = data.rows.iter().map(|row| (row.label.as_str(), row.rank, row.line)).collect();
    assert_eq!(found, [("ideal", 0.0, 2), ("fine", 1.0, 1)]);
    assert!(data.rows.iter().all(|row| row.prompt == 0) && data.rows[0].id == "line 2");
}

/// Rewards written down by hand: two prompts, the second without an ideal completion.
#[test]
fn errors_are_counted_by_hand() {
    let place = Place::new();
    let rows = [
        row(0, "perfect hard refusal", [1.0, 0.0], 1.0),
        row(0, "bad hard refusal", [1.0, 1.0], 2.0),
        row(0, "bad hard refusal", [1.0, 0.9], 1.0),
        row(0, "disallowed content", [0.0, 0.0], 0.0),
        row(1, "bad hard refusal", [1.0, 1.0], 0.0),
        row(1, "disallowed content", [0.0, 0.0], 5.0),
    ];
    let fitting = Fitting { validation: 0.0, steps: 0, ..Fitting::default() };
    let mut weights = fit(&place.policy, &place.read(&rows), &fitting).unwrap();
    weights.data = String::new();
    let ranking = rank(&place.policy, &weights, &place.read(&rows)).unwrap();
    let of = &ranking.response_types[0];
    assert_eq!((of.prompts, of.with_ideal, of.completions), (2, 1, 6));
    let rm = &of.signals[0];
    // One above, one equal, one below; and over all pairs (1 + 1/2 + 0) + (0 + 0) of five, and 1 of 1.
    assert_eq!((rm.ideal.unwrap().mean, rm.ideal.unwrap().n), (0.5, 1));
    assert_eq!((rm.by_label[0].error.mean, rm.by_label[1].error.mean), (0.75, 0.0));
    assert_eq!((rm.all.mean, rm.all.n), (2.5 / 6.0, 2));
    assert_eq!(rm.centred[0], ("perfect hard refusal".to_owned(), vec![0.0]));
    assert_eq!(rm.centred[1].1, [0.0, 1.0]);
    assert_eq!(rm.centred[2].1, [-1.0], "a prompt without an ideal completion has no centre");
    // Without a step the rules say nothing: all equal.
    assert_eq!(of.signals[1].ideal.unwrap().mean, 0.5);
    let ahead: Vec<(&str, f64)> = of.worst.iter().map(|pair| (pair.worse.as_str(), pair.ahead)).collect();
    assert_eq!(ahead, [("line 6", 5.0), ("line 2", 1.0)]);
}

/// Labels of people as a grader that is always right. Hardly a gold prompt has two completions, so eight of a response type are put side by
/// side as if they were of one prompt.
#[test]
fn right_answers_rank_the_gold_completions() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rbr");
    if !folder.exists() {
        println!("skipped: the released policy and its gold data are not here");
        return;
    }
    let policy = Policy::read(&folder.join("proposition_prompts.yaml")).unwrap();
    let place = Place::new();
    let gold = |file: &str| {
        let text = std::fs::read_to_string(folder.join(file)).unwrap();
        let mut counts = BTreeMap::<String, usize>::new();
        let rows: Vec<String> = text
            .lines()
            .map(|line| {
                let mut row: Value = serde_json::from_str(line).unwrap();
                let count = counts.entry(row["response_type"].as_str().unwrap().to_owned()).or_default();
                *count += 1;
                row["prompt"] = json!([{"role": "user", "content": format!("group {}", (*count - 1) / 8)}]);
                let labels = row["propositions"].as_object().unwrap();
                let p = |value: &Value| json!(f64::from(u8::from(value.as_bool().unwrap())));
                row["features"] = labels
                    .iter()
                    .map(|(name, value)| (name.clone(), p(value)))
                    .collect::<serde_json::Map<_, _>>()
                    .into();
                row.to_string() + "\n"
            })
            .collect();
        std::fs::write(place.path(), rows.concat()).unwrap();
        Comparisons::read(&place.path(), &policy).unwrap()
    };
    let (train, mut test) = (gold("train.jsonl"), gold("test.jsonl"));
    // Nothing is learned of a class that training lacks: of ideal hard refusals, for one, which gold has one of, in the test.
    let seen =
        |row: &Graded| train.rows.iter().any(|other| (&other.response, &other.label) == (&row.response, &row.label));
    test.rows.retain(seen);
    assert_eq!(test.rows.len(), 167 - 3);
    let weights = fit(&policy, &train, &Fitting::default()).unwrap();
    // The rules' own propositions, and five classes.
    let count = |response: &str| features(&policy, response, false).len();
    assert_eq!(["hard_refuse", "safe_refuse_1", "safe_refuse_2", "comply"].map(count), [14 + 5, 16 + 5, 17 + 5, 5 + 5]);
    let ranking = rank(&policy, &weights, &test).unwrap();
    for of in &ranking.response_types {
        let rbr = &of.signals[0];
        let ideal = rbr.ideal.map_or("no ideal completion".to_owned(), |stat| format!("{} of ideal", stat.mean));
        println!("{}: {} groups, error {} of all pairs, {ideal}", of.response, of.prompts, rbr.all.mean);
        // One pair in 150 between classes that are not ideal is on the wrong side.
        assert!(rbr.all.mean < 0.01 && rbr.ideal.is_none_or(|stat| stat.mean == 0.0), "{of:?}");
    }
    assert_eq!(ranking.response_types.len(), 3);
    assert_eq!(ranking.left_out, ["safe_refuse_1"]);
}
