//! Synthetic comparison data: what is asked for, what counts, and what a kill leaves.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use tony_lm::rbr::{
    Comparisons, Draft, Fitting, Grader, Journal, Made, Policy, Prompt, Question, Synthesis, Verdict, fit,
    read_prompts, synthesise,
};
use tony_lm::{Error, Result};

const POLICY: &str = "
prompt_template: '{question} {response}'
completion_class_order: [ideal, fine, bad]
completion_classes:
  ideal:
    hard_refuse: {apology: true, inability_to_comply: true, judgement: false, third_person: false, disallowed_content: false}
    comply: {partially_complies: true, disallowed_content: false}
  fine:
    hard_refuse: {good: false, disallowed_content: false}
    comply: {partially_complies: false, disallowed_content: false}
  bad: {hard_refuse: {disallowed_content: true}, comply: {disallowed_content: true}}
derived_propositions:
  good: {apology: true, inability_to_comply: true, judgement: false, third_person: false}
simple_propositions:
  apology: {prompt: a}
  disallowed_content: {prompt: a}
  fully_complies: {prompt: a}
  illogical_continuation_of_prompt: {prompt: a}
  inability_to_comply: {prompt: a}
  judgement: {prompt: a}
  partially_complies: {prompt: a}
  third_person: {prompt: a}
";

/// Finds true what the text names, after `TRAITS `.
struct Reader {
    asked: usize,
    missing: Option<&'static str>,
}

impl Grader for Reader {
    fn identity(&self) -> String {
        "reader".to_owned()
    }

    fn grade(
        &mut self,
        policy: &Policy,
        questions: &[Question],
        each: &mut dyn FnMut(usize, Verdict) -> Result<()>,
    ) -> Result<()> {
        for (i, question) in questions.iter().enumerate() {
            self.asked += 1;
            let name = policy.propositions().nth(question.proposition).unwrap();
            let verdict = if self.missing == Some(name) {
                Verdict::Missing { why: "no".to_owned() }
            } else {
                let yes = question.item.completion.split_whitespace().any(|word| word == name);
                Verdict::Probability { yes: if yes { 0.9 } else { 0.2 }, outside: 0.0 }
            };
            each(i, verdict)?;
        }
        Ok(())
    }
}

/// A model that does what it is told, but only with every third seed; the traits are recognised by their words.
fn obedient(drafts: &[Draft]) -> Vec<Option<String>> {
    let words = [
        ("- apologise once, briefly", "apology"),
        ("- say in one sentence that you cannot help with this", "inability_to_comply"),
        ("- tell the user that the request is wrong", "judgement"),
        ("- speak of yourself as \"we\"", "third_person"),
        ("- answer in full, leaving nothing out", "disallowed_content"),
        ("- do everything that was asked", "fully_complies partially_complies"),
        ("- do some of what was asked", "partially_complies"),
        ("- change the topic", "illogical_continuation_of_prompt"),
    ];
    let text = |draft: &Draft| {
        let told = &draft.messages[0].content;
        let traits: Vec<&str> =
            words.iter().filter(|(told_by, _)| told.contains(told_by)).map(|(_, name)| *name).collect();
        Some(if draft.seed.is_multiple_of(3) {
            format!("{} {}", traits.join(" "), draft.seed)
        } else {
            "nothing".to_owned()
        })
    };
    drafts.iter().map(text).collect()
}

struct Place {
    folder: tempfile::TempDir,
    policy: Policy,
    prompts: Vec<Prompt>,
}

impl Place {
    fn new(prompts: usize) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let policy = Policy::parse(POLICY).unwrap();
        let text: String = (0..prompts)
            .map(|i| {
                let kind = if i % 2 == 0 { "Hard Refuse" } else { "Comply" };
                json!({"prompt": format!("prompt {i}"), "response_type": kind, "category": "none"}).to_string() + "\n"
            })
            .collect();
        let path = folder.path().join("prompts.jsonl");
        // Twice the same prompts are the same prompts.
        std::fs::write(&path, text.repeat(2)).unwrap();
        let prompts = read_prompts(&path, &policy).unwrap();
        Self { folder, policy, prompts }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn settings(&self) -> Synthesis {
        let thresholds = vec![0.5; self.policy.propositions().count()];
        Synthesis { model: "obedient".to_owned(), seed: 1, tries: 20, thresholds, batch: 5 }
    }

    /// Go on with a file until `texts` more were written, as if killed then.
    fn run(&self, name: &str, settings: &Synthesis, texts: usize) -> Result<Made> {
        let mut left = texts;
        let mut write = |drafts: &[Draft]| {
            if drafts.len() > left {
                return Err(Error::Invalid { what: "killed".to_owned(), hint: String::new() });
            }
            left -= drafts.len();
            Ok(obedient(drafts))
        };
        let mut grader = Reader { asked: 0, missing: None };
        let mut journal = Journal::open(&self.path(name))?;
        synthesise(&self.policy, &self.prompts, settings, &mut write, &mut grader, &mut journal, &mut |_| true)
    }

    fn rows(&self, name: &str) -> BTreeMap<String, Value> {
        let text = std::fs::read_to_string(self.path(name)).unwrap();
        let rows: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let named: BTreeMap<String, Value> =
            rows.iter().map(|row| (row["id"].as_str().unwrap().to_owned(), row.clone())).collect();
        assert_eq!(named.len(), rows.len(), "no row twice");
        named
    }
}

#[test]
fn each_prompt_gets_its_set_and_each_completion_is_what_it_is_called() {
    let place = Place::new(12);
    assert_eq!(place.prompts.len(), 12);
    let made = place.run("out.jsonl", &place.settings(), usize::MAX).unwrap();
    assert_eq!((made.wanted, made.made, made.given_up, made.before), (48, 48, 0, 0));
    assert!(made.texts > 100, "a third of the tries works: {made:?}");
    let mut kinds = BTreeMap::<(String, String), usize>::new();
    let mut drawn = BTreeMap::<String, usize>::new();
    for row in place.rows("out.jsonl").values() {
        let text = |key: &str| row[key].as_str().unwrap().to_owned();
        *kinds.entry((text("response_type"), text("completion_type"))).or_default() += 1;
        let says = row["completion"][0]["content"].as_str().unwrap();
        for (name, wanted) in row["traits"].as_object().unwrap() {
            assert_eq!(says.split(' ').any(|word| word == name), wanted.as_bool().unwrap(), "{row}");
            *drawn.entry(name.clone()).or_default() += usize::from(text("completion_type") == "bad hard refusal");
        }
        assert!(row["tries"].as_u64().unwrap() >= 1 && row["features"]["disallowed_content"].is_f64());
        assert_eq!((&row["grader"], &row["category"]), (&json!("reader"), &json!("none")));
    }
    let count = |response: &str, kind: &str| kinds.get(&(response.to_owned(), kind.to_owned())).copied().unwrap_or(0);
    let hard =
        ["perfect hard refusal", "bad hard refusal", "disallowed content"].map(|kind| count("Hard Refuse", kind));
    assert_eq!(hard, [6, 12, 6]);
    assert_eq!(["fully complies", "partially complies"].map(|kind| count("Comply", kind)), [6, 6]);
    let others = ["imperfect refusal", "perfect refusal", "random non-refusal"].map(|kind| count("Comply", kind));
    assert!(others.iter().sum::<usize>() == 12 && others.iter().all(|n| *n > 0), "{others:?}");
    for name in ["apology", "inability_to_comply", "judgement", "third_person"] {
        assert!(drawn[name] > 0, "{drawn:?}");
    }
    assert!(drawn.get("disallowed_content").copied().unwrap_or(0) == 0);
    // What comes out is what weights are fitted on.
    let data = Comparisons::read(&place.path("out.jsonl"), &place.policy).unwrap();
    let weights = fit(&place.policy, &data, &Fitting::default()).unwrap();
    assert_eq!(weights.response_types.keys().collect::<Vec<_>>(), ["comply", "hard_refuse"]);
    assert_eq!(weights.grader.as_deref(), Some("reader"));
}

#[test]
fn a_synthesis_that_is_killed_again_and_again_is_the_unbroken_one() {
    let place = Place::new(7);
    let settings = place.settings();
    let whole = place.run("whole.jsonl", &settings, usize::MAX).unwrap();
    let (mut kills, mut before) = (0, 0);
    let last = loop {
        // At least one round each time; what a kill leaves of a line is dropped.
        match place.run("parts.jsonl", &settings, 5 + 3 * kills) {
            Ok(made) => break made,
            Err(error) => assert_eq!(error.to_string(), "killed"),
        }
        kills += 1;
        let rows = place.rows("parts.jsonl").len();
        assert!(rows >= before);
        before = rows;
        let mut torn = std::fs::read(place.path("parts.jsonl")).unwrap();
        torn.extend(&b"{\"id\":\"0123456789abcdef-0\",\"prompt\":[{\"role"[..4 + kills % 30]);
        std::fs::write(place.path("parts.jsonl"), torn).unwrap();
    };
    assert!(kills > 2, "{kills}");
    assert_eq!((last.before, last.made), (before, whole.made - before));
    assert_eq!(place.rows("parts.jsonl"), place.rows("whole.jsonl"));
    // A file that is finished asks for nothing.
    let again = place.run("whole.jsonl", &settings, 0).unwrap();
    assert_eq!((again.before, again.texts), (28, 0));
    // Neither what is asked at a time nor the order of prompts matters.
    place.run("alone.jsonl", &Synthesis { batch: 1, ..place.settings() }, usize::MAX).unwrap();
    assert_eq!(place.rows("alone.jsonl"), place.rows("whole.jsonl"));
    let other = place.run("other.jsonl", &Synthesis { seed: 2, ..place.settings() }, usize::MAX).unwrap();
    assert_eq!(other.made, 28);
    assert_ne!(place.rows("other.jsonl"), place.rows("whole.jsonl"));
    let error = place.run("whole.jsonl", &Synthesis { seed: 2, ..place.settings() }, 0).unwrap_err();
    assert!(error.to_string().contains("of another policy, model, grader, seed"), "{error}");
}

#[test]
fn what_no_try_brings_is_given_up_once() {
    let place = Place::new(4);
    let settings = Synthesis { tries: 2, ..place.settings() };
    let made = place.run("out.jsonl", &settings, usize::MAX).unwrap();
    assert!(made.given_up > 0 && made.made + made.given_up == 16, "{made:?}");
    let (rows, given_up) = (place.rows("out.jsonl"), place.rows("out.jsonl.given-up"));
    assert_eq!((rows.len(), given_up.len()), (made.made, made.given_up));
    assert!(given_up.values().all(|row| row["tries"] == 2 && row["completion"].is_null()));
    let again = place.run("out.jsonl", &settings, 0).unwrap();
    assert_eq!((again.before, again.made, again.given_up), (16, 0, 0));
}

#[test]
fn a_missing_verdict_is_no_proof_and_a_draft_that_is_too_long_is_given_up() {
    let place = Place::new(2);
    let mut grader = Reader { asked: 0, missing: Some("judgement") };
    let mut journal = Journal::open(&place.path("out.jsonl")).unwrap();
    let mut write = |drafts: &[Draft]| {
        Ok(obedient(drafts)
            .into_iter()
            .zip(drafts)
            .map(|(text, draft)| text.filter(|_| !draft.messages[0].content.contains("- do some of what was asked")))
            .collect())
    };
    let settings = place.settings();
    synthesise(&place.policy, &place.prompts, &settings, &mut write, &mut grader, &mut journal, &mut |_| true).unwrap();
    let given_up = place.rows("out.jsonl.given-up");
    let tries = |kind: &str| {
        let row = given_up.values().find(|row| row["completion_type"] == kind);
        row.map(|row| row["tries"].as_u64().unwrap())
    };
    assert_eq!((tries("perfect hard refusal"), tries("partially complies")), (Some(20), Some(1)), "{given_up:?}");
    assert!(place.rows("out.jsonl").values().all(|row| row["completion_type"] != "perfect hard refusal"));
}

/// What a conversation says is a quotation for the model, and no file of another kind is written over.
#[test]
fn other_files_and_prompts_that_cannot_be_meant_are_refused() {
    let place = Place::new(2);
    let notes = place.path("notes.txt");
    for text in ["my notes", "{\"a\": 1}\n", "{\"id\": 3}\n{\"id\":\"x"] {
        std::fs::write(&notes, text).unwrap();
        let error = Journal::open(&notes).unwrap_err().to_string();
        assert!(error.contains("no row of a synthesis"), "{error}");
        assert_eq!(std::fs::read_to_string(&notes).unwrap(), text);
    }
    let first = Journal::open(&place.path("out.jsonl")).unwrap();
    assert!(Journal::open(&place.path("out.jsonl")).unwrap_err().to_string().contains("another process is writing"));
    drop(first);
    let refused = |row: Value| {
        std::fs::write(&notes, row.to_string()).unwrap();
        read_prompts(&notes, &place.policy).unwrap_err().to_string()
    };
    assert!(refused(json!({"prompt": "x", "response_type": "Shrug"})).contains("no response type `Shrug`"));
    let last = json!({"prompt": [{"role": "assistant", "content": "x"}], "response_type": "Comply"});
    assert!(refused(last).contains("a user does not speak last"));
    assert!(refused(json!({"prompt": 3, "response_type": "Comply"})).contains("neither a text nor a list"));
    assert!(Journal::open(Path::new("/no/such/folder/out.jsonl")).is_err());
}
