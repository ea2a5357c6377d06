//! Trained heads: what they learn, what they refuse. And embeddings beside recorded ones.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../../deep/tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};

use common::{Family, answering};
use serde_json::json;
use tony_lm::rbr::{
    Answer, Case, Features, Grader, Heads, HeadsGrader, Item, Policy, Question, THRESHOLD, Training, Verdict, grade,
    score,
};
use tony_lm::{Embedder, Error, Listed, Message};
use tony_run::Archive;

const POLICY: &str = "
prompt_template: '{question} {response}'
completion_class_order: [ideal, bad]
completion_classes:
  ideal: {comply: {refuses: false}}
  bad: {comply: {refuses: true}}
simple_propositions:
  asks: {prompt: x}
  doses: {prompt: x}
  refuses: {prompt: x}
";

fn policy() -> Policy {
    Policy::parse(POLICY).unwrap()
}

fn item(request: &str, completion: &str) -> Item {
    let message = Message { role: "user".to_owned(), content: request.to_owned() };
    Item { prompt: vec![message], completion: completion.to_owned() }
}

/// Two answers to each of 30 requests: `refuses` is what the words say, nothing doses, and nobody was asked about `asks`.
fn cases(folder: &Path) -> Vec<Case> {
    let (kind, unkind) =
        (["yes", "of course, yes", "here it is", "sure thing"], ["no", "no, never", "I cannot", "not today"]);
    let row = |i: usize, refuses: bool| {
        let completion = if refuses { unkind[i % 4] } else { kind[i % 4] };
        let prompt = [json!({"role": "user", "content": format!("please {i}")})];
        json!({"prompt": prompt, "completion": completion, "propositions": {"refuses": refuses, "doses": false}})
    };
    let rows: Vec<String> =
        (0..30).flat_map(|i| [row(i, i % 3 == 0), row(i, true)]).map(|row| row.to_string()).collect();
    let path = folder.join("rows.jsonl");
    std::fs::write(&path, rows.join("\n")).unwrap();
    Case::read(&policy(), &path).unwrap()
}

/// A tiny model, and heads on what it makes of the cases.
fn trained(folder: &Path, training: Training) -> (PathBuf, Vec<Case>, Heads) {
    let (path, cases) = (folder.join("model.gguf"), cases(folder));
    std::fs::write(&path, answering(Family::Llama, 512)).unwrap();
    let features = Features::open(&path).unwrap();
    let numbers: Vec<Vec<f32>> = cases.iter().map(|case| features.of(&case.item).unwrap()).collect();
    let heads = Heads::train(&policy(), &cases, &features, &numbers, "tiny", training).unwrap();
    (path, cases, heads)
}

fn verdicts(heads: &Heads, model: &Path, items: &[Item]) -> Vec<Vec<Verdict>> {
    let mut grader = HeadsGrader::new(Path::new("x"), heads.clone(), Features::open(model).unwrap()).unwrap();
    let policy = policy();
    let questions: Vec<Question> =
        items.iter().flat_map(|item| (0..3).map(move |proposition| Question { item, proposition })).collect();
    let mut all = vec![vec![Verdict::Missing { why: String::new() }; 3]; items.len()];
    grader
        .grade(&policy, &questions, &mut |place, verdict| {
            all[place / 3][place % 3] = verdict;
            Ok(())
        })
        .unwrap();
    all
}

#[test]
fn heads_learn_what_words_say_and_admit_what_labels_do_not() {
    let folder = tempfile::tempdir().unwrap();
    for balanced in [false, true] {
        let (model, cases, heads) = trained(folder.path(), Training { balanced, seed: 1 });
        let [asks, doses, refuses] = heads.heads() else { panic!() };
        assert_eq!((asks.n, asks.answer), (0, Answer::Missing));
        assert_eq!((doses.n, doses.positive, doses.answer), (60, 0, Answer::BaseRate(1.0 / 62.0)));
        assert_eq!((refuses.n, refuses.positive), (60, 40));
        assert!(matches!(refuses.answer, Answer::Trained { slope, .. } if slope > 0.0), "{refuses:?}");
        // New requests, answered in words that were seen: known. Nothing is said where nothing was learned.
        let said = verdicts(&heads, &model, &[item("again", "no, never"), item("again", "of course, yes")]);
        assert!(said[0][2].yes().unwrap() > 0.8 && said[1][2].yes().unwrap() < 0.2, "{said:?}");
        assert!(said.iter().all(|said| said[0].yes().is_none() && said[1].yes() == Some(1.0 / 62.0)));
        // An item of the training data is answered by heads that did not see its prompt.
        let item = cases[7].item.clone();
        let held_out = heads.held_out(&item).unwrap();
        assert_eq!(verdicts(&heads, &model, std::slice::from_ref(&item))[0], held_out);
        assert!(cases.iter().all(|case| {
            let known = heads.held_out(&case.item).unwrap()[2].yes().unwrap();
            (known > 0.5) == case.labels[2].unwrap()
        }));
        assert_eq!(heads.held_out(&Item { completion: "else".to_owned(), ..item }), None);
    }
}

#[test]
fn training_gives_the_same_bits_on_any_number_of_threads_and_files_read_back() {
    let folder = tempfile::tempdir().unwrap();
    let training = Training { balanced: false, seed: 1 };
    let (model, cases, heads) = trained(folder.path(), training);
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        let again = pool.install(|| trained(folder.path(), training)).2;
        assert_eq!(again.identity(), heads.identity(), "{threads} threads");
    }
    let folded = trained(folder.path(), Training { seed: 2, ..training }).2;
    assert_ne!(folded.held_out(&cases[0].item), heads.held_out(&cases[0].item), "other folds");
    let file = folder.path().join("heads.safetensors");
    heads.save(&file).unwrap();
    let again = Heads::load(&file).unwrap();
    assert_eq!((again.identity(), again.encoder(), again.heads()), (heads.identity(), "tiny", heads.heads()));
    let mut grader = HeadsGrader::new(&file, again, Features::open(&model).unwrap()).unwrap();
    assert!(grader.identity().starts_with("heads:") && grader.identity().len() == 6 + 64);
    let graded = grade(&policy(), &mut grader, &cases, &mut |_| Ok(())).unwrap();
    assert_eq!(graded[3], heads.held_out(&cases[3].item).unwrap());
}

#[test]
fn files_that_do_not_belong_together_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _, heads) = trained(folder.path(), Training::default());
    let file = folder.path().join("heads.safetensors");
    heads.save(&file).unwrap();
    let whole = std::fs::read(&file).unwrap();
    let refused = |bytes: &[u8]| {
        std::fs::write(&file, bytes).unwrap();
        let error = Heads::load(&file).unwrap_err();
        assert!(matches!(error, Error::Heads { .. }) && error.hint().unwrap().starts_with("tony rbr heads"));
        assert!(error.to_string().ends_with(&format!("in {}", file.display())), "{error}");
        error.to_string()
    };
    for cut in [0, 5, whole.len() / 2, whole.len() - 1] {
        assert!(refused(&whole[..cut]).contains("not a whole safetensors file"), "{cut}");
    }
    let archive = Archive::from_bytes(&whole, &file).unwrap();
    let changed = |change: &dyn Fn(&mut Archive)| {
        let mut archive = archive.clone();
        change(&mut archive);
        refused(&archive.to_bytes().unwrap())
    };
    let width = archive.shape("mean").unwrap()[0];
    let narrower = changed(&|a| a.put_f64("weights", &[3, width], &vec![0.0; 3 * width]).unwrap());
    assert!(
        narrower.contains("`weights`") && narrower.contains(&format!("F64 [3, {}] is needed", width + 1)),
        "{narrower}"
    );
    assert!(changed(&|a| a.put_f64("scale", &[width], &vec![f64::NAN; width]).unwrap()).contains("numbers are none"));
    assert!(changed(&|a| a.put_f64("held_out", &[1, 3], &[0.1, 2.0, 0.3]).unwrap()).contains("numbers are none"));
    assert!(changed(&|a| a.put_bytes("items", &[1; 33]).unwrap()).contains("items that it was trained on"));
    assert!(changed(&|a| a.put_u64("item_rows", &[1], &[60]).unwrap()).contains("items that it was trained on"));
    assert!(changed(&|a| a.set_note("heads", "{}")).contains("its description: missing field"));
    assert!(refused(&Archive::new().to_bytes().unwrap()).contains("it holds no heads"));

    // Another model; fewer numbers, as heads of an altered file have them; another policy.
    let other = folder.path().join("other.gguf");
    std::fs::write(&other, answering(Family::Qwen2, 512)).unwrap();
    let grader = |heads: &Heads, model: &Path| HeadsGrader::new(&file, heads.clone(), Features::open(model).unwrap());
    let strange = grader(&heads, &other).unwrap_err().to_string();
    assert!(
        strange.contains("they were trained on the numbers of decoder-1:") && strange.contains("is given"),
        "{strange}"
    );
    let mut narrow = archive.clone();
    for (name, shape) in [("mean", vec![4]), ("scale", vec![4]), ("weights", vec![3, 5])] {
        narrow.put_f64(name, &shape, &vec![0.0; shape.iter().product()]).unwrap();
    }
    std::fs::write(&file, narrow.to_bytes().unwrap()).unwrap();
    let narrow = grader(&Heads::load(&file).unwrap(), &model).unwrap_err().to_string();
    assert!(narrow.contains(&format!("they weigh 4 numbers of an item, and it has {width}")), "{narrow}");
    let renamed = Policy::parse(&POLICY.replace("doses", "dozes")).unwrap();
    let (item, mut grader) = (item("a", "b"), grader(&heads, &model).unwrap());
    let question = Question { item: &item, proposition: 0 };
    let other = grader.grade(&renamed, &[question], &mut |_, _| Ok(())).unwrap_err().to_string();
    assert!(other.contains("of another policy: only one of the two has `dozes`"), "{other}");
}

/// What cannot be read is missing, with the reason; what can be is answered all the same.
#[test]
fn odd_items_stay_items() {
    let folder = tempfile::tempdir().unwrap();
    let (model, _, heads) = trained(folder.path(), Training::default());
    let long = "no ".repeat(2000);
    let items = [
        item("", ""),
        item(&long, &long),
        item("<|end|>", "<|start|>bot: yes"),
        Item { prompt: vec![], completion: "no".to_owned() },
    ];
    for (item, said) in items.iter().zip(verdicts(&heads, &model, &items)) {
        match &said[2] {
            Verdict::Probability { yes, outside } => assert!((0.0..=1.0).contains(yes) && *outside == 0.0),
            Verdict::Missing { why } => assert!(!why.is_empty(), "{item:?}"),
        }
    }
    let few = Heads::train(&policy(), &[], &Features::open(&model).unwrap(), &[], "tiny", Training::default());
    assert!(few.unwrap_err().to_string().contains("cannot be trained on 0 rows"));
}

/// Heads on `MiniLM`, trained on a part of the gold data, know more of another part than its most frequent labels do.
#[test]
fn minilm_heads_beat_the_majority_on_gold() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data/rbr");
    let (Ok(encoder), true) = (Listed::find("minilm").unwrap().locate(), folder.exists()) else {
        println!("skipped: MiniLM or the gold data is not here");
        return;
    };
    let policy = Policy::read(&folder.join("proposition_prompts.yaml")).unwrap();
    let read = |file: &str, n: usize| Case::read(&policy, &folder.join(file)).unwrap()[..n].to_vec();
    let (train, test) = (read("train.jsonl", 100), read("test.jsonl", 40));
    let features = Features::open(&encoder).unwrap();
    let numbers: Vec<Vec<f32>> = train.iter().map(|case| features.of(&case.item).unwrap()).collect();
    let heads = Heads::train(&policy, &train, &features, &numbers, "minilm", Training::default()).unwrap();
    let mut grader = HeadsGrader::new(&folder, heads, features).unwrap();
    let verdicts = grade(&policy, &mut grader, &test, &mut |_| Ok(())).unwrap();
    let scores = score(&policy, &test, &verdicts, &[THRESHOLD; 23]);
    let (accuracy, majority) = (scores.accuracy.unwrap().mean, scores.majority.unwrap());
    assert!(accuracy > majority + 0.02, "{accuracy} {majority}");
}

/// `MiniLM`, where it was fetched.
fn minilm() -> Option<Embedder> {
    match Listed::find("minilm").unwrap().locate() {
        Ok(folder) => Some(Embedder::open(&folder).unwrap()),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// Texts, and each 48th number of their embeddings, from a plain forward pass in double precision over the tensors of `model.safetensors`,
/// with tokens of Hugging Face's own `tokenizers` from Python.
fn recorded() -> [(String, [f64; 8]); 4] {
    [
        (
            "How do I bake bread?".to_owned(),
            [
                0.042_185_69,
                0.042_339_8,
                -0.010_202_75,
                -0.076_944_24,
                -0.081_299_22,
                0.033_060_58,
                -0.009_809_07,
                0.006_002_89,
            ],
        ),
        (
            "The weather is lovely today, is it not?".to_owned(),
            [
                0.031_199_7,
                0.062_883_2,
                0.011_731_13,
                -0.030_133_66,
                0.088_952_75,
                0.034_959_34,
                0.024_796_41,
                0.003_659_72,
            ],
        ),
        (
            "caf\u{e9} na\u{ef}ve \u{2603} 12,5 % of it".to_owned(),
            [
                0.050_912_15,
                0.015_398_44,
                -0.033_053_27,
                -0.036_618_3,
                -0.072_119_35,
                0.095_875_18,
                0.080_286_7,
                0.008_123_02,
            ],
        ),
        (
            "Long texts reach far. ".repeat(40).trim().to_owned(),
            [
                0.069_806_31,
                -0.017_617_55,
                0.017_695_77,
                0.097_383_44,
                0.036_309_76,
                0.183_045_09,
                0.048_027_01,
                0.014_038_72,
            ],
        ),
    ]
}

#[test]
fn minilm_embeds_as_recorded() {
    let Some(embedder) = minilm() else { return };
    let recorded = recorded();
    let texts: Vec<&str> = recorded.iter().map(|(text, _)| text.as_str()).collect();
    for ((text, numbers), embedding) in recorded.iter().zip(embedder.embed(&texts).unwrap()) {
        for (x, recorded) in embedding.iter().step_by(48).zip(numbers) {
            // Single precision through six layers; numbers are of the size of 0.05.
            assert!((f64::from(*x) - recorded).abs() < 1e-6, "{text}: {x} {recorded}");
        }
        let length: f64 = embedding.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((length - 1.0).abs() < 1e-6);
        assert_eq!(embedder.embed(&[text]).unwrap(), [embedding], "alone");
    }
}

/// A text longer than a window, an empty one, and one that looks like the model's marks.
#[test]
fn any_text_has_an_embedding() {
    let Some(embedder) = minilm() else { return };
    let long = "one two three four ".repeat(500);
    let all = embedder.embed(&[&long, "", "[CLS] [SEP]", "[CLS]"]).unwrap();
    let alike = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    assert!(all.iter().all(|x| (alike(x, x) - 1.0).abs() < 1e-5));
    // Of words repeated, a window says what the whole says.
    let short = embedder.embed(&[&long[..19 * 60]]).unwrap();
    assert!(alike(&all[0], &short[0]) > 0.95);
    // A mark in a text is its letters.
    assert!(alike(&all[2], &all[1]) < 0.9 && all[2] != all[3]);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let Some(embedder) = minilm() else { return };
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::os::unix::fs::symlink(embedder.path().join(file), folder.path().join(file)).unwrap();
    }
    let tokenizer = std::fs::read_to_string(embedder.path().join("tokenizer.json")).unwrap();
    let refused = |text: &str| {
        std::fs::write(folder.path().join("tokenizer.json"), text).unwrap();
        Embedder::open(folder.path()).unwrap_err().to_string()
    };
    let more = tokenizer.replacen("\"[PAD]\":0", "\"[PAD]\":0,\"[MORE]\":40000", 1);
    assert_ne!(more, tokenizer);
    assert!(refused(&more).contains("it knows 40001 tokens and the model 30522"));
    let mut frameless: serde_json::Value = serde_json::from_str(&tokenizer).unwrap();
    frameless["post_processor"] = serde_json::Value::Null;
    assert!(refused(&frameless.to_string()).contains("does not frame a text by two tokens"));
    assert!(refused("{").contains("it is no JSON"));
    assert!(Embedder::open(Path::new("/nowhere")).is_err());
}
