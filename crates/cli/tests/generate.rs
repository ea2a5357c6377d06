//! Verbs of language models, with a tiny one: what they print, and what they say of bad input.
#![cfg(feature = "lm")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../deep/tests/common/mod.rs"]
mod models;

use std::fs;

use common::Place;
use models::{Family, Tiny, by_bytes};
use serde_json::{Value, json};

fn place() -> Place {
    let place = Place::new();
    let bytes = Tiny::with_vocabulary(Family::Llama, 262).gguf(&by_bytes());
    fs::write(place.path().join("tiny.gguf"), bytes).unwrap();
    fs::write(place.path().join("talk.json"), r#"[{"role": "user", "content": "hello <|end|>"}]"#).unwrap();
    place
}

#[test]
fn an_answer_is_printed_as_text_and_as_one_object() {
    let place = place();
    let run = |args: &str| place.tony(&format!("generate tiny.gguf {args} --max-tokens 6")).works().json();
    let raw = run("--raw --prompt the --json");
    assert_eq!(raw["prompt_tokens"], json!([257]));
    let tokens = raw["tokens"].as_array().unwrap();
    assert!(tokens.len() <= 6 && tokens.len() == raw["logprobs"].as_array().unwrap().len());
    let top = raw["first_top5"].as_array().unwrap();
    assert_eq!((top.len(), &top[0]["id"]), (5, &tokens[0]), "greedy takes the largest logit");
    assert!(top.windows(2).all(|pair| pair[0]["logit"].as_f64() >= pair[1]["logit"].as_f64()));
    assert!(raw["logprobs"].as_array().unwrap().iter().all(|x| x.as_f64().unwrap() < 0.0));
    assert_eq!(raw["sampled_logprobs"][0], json!(0.0), "greedy is certain");
    // As text: the same, and nothing else on standard output.
    let text = place.tony("generate tiny.gguf --raw --prompt the --max-tokens 6");
    assert_eq!(text.works().stdout, format!("{}\n", raw["text"].as_str().unwrap()));
    // Messages and a prompt that is one message are the same chat; what a message says is no mark.
    let chat = run("--messages talk.json --json");
    let marks =
        |value: &Value| value["prompt_tokens"].as_array().unwrap().iter().filter(|t| t.as_u64() >= Some(260)).count();
    assert_eq!(marks(&chat), 3);
    fs::write(place.path().join("talk.json"), r#"[{"role": "user", "content": "the"}]"#).unwrap();
    assert_eq!(run("--messages talk.json --json"), run("--prompt the --json"));
    // Drawn tokens depend on the seed alone.
    let drawn = |seed: u64, threads: u64| {
        run(&format!("--raw --prompt the --temperature 1.5 --seed {seed} --threads {threads} --json"))
    };
    assert_eq!(drawn(1, 1), drawn(1, 2));
    assert_ne!(drawn(1, 1)["tokens"], drawn(2, 1)["tokens"]);
}

#[test]
fn an_answer_has_the_form_that_was_asked_for() {
    let place = place();
    let run = |args: &str| place.tony(&format!("generate tiny.gguf --raw --prompt the {args} --json")).works().json();
    for seed in 0..8 {
        let one = run(&format!("--choices yes,no,maybe --temperature 2 --seed {seed}"));
        assert!(["yes", "no", "maybe"].contains(&one["text"].as_str().unwrap()) && one["finish"] == "stop", "{one}");
    }
    let schema = r#"{"type": "object", "properties": {"n": {"type": "integer", "minimum": 1, "maximum": 9}}, "required": ["n"],
        "additionalProperties": false}"#;
    fs::write(place.path().join("schema.json"), schema).unwrap();
    let object: Value = serde_json::from_str(run("--json-schema schema.json")["text"].as_str().unwrap()).unwrap();
    assert!((1..10).contains(&object["n"].as_u64().unwrap()), "{object}");
    // Too few tokens: it says so.
    assert_eq!(run("--json-schema schema.json --max-tokens 2")["finish"], "length");
    let short = place.tony("generate tiny.gguf --raw --prompt the --json-schema schema.json --max-tokens 2");
    assert!(short.works().stderr.contains("the answer is not complete (length)"), "{short:?}");
    let refused = |schema: &str, parts: &[&str]| {
        fs::write(place.path().join("schema.json"), schema).unwrap();
        place.tony("generate tiny.gguf --prompt a --json-schema schema.json").fails(2, parts);
    };
    refused("{", &["this is no JSON", "in schema.json", "try: "]);
    refused("[]", &["a JSON schema is an object"]);
    refused(r#"{"type": "array", "uniqueItems": true}"#, &["uniqueItems", "try: "]);
    place.tony("generate tiny.gguf --prompt a --json-schema absent.json").fails(2, &["absent.json"]);
    place.tony("generate tiny.gguf --prompt a --json-schema a --choices b").fails(2, &["cannot be used with"]);
}

#[test]
fn the_speed_of_a_model_is_measured() {
    let object =
        place().tony("bench model tiny.gguf --prefill 20 --decode 8 --batch 3 --threads 1 --json").works().json();
    for key in ["prefill_tokens_per_s", "decode_tokens_per_s", "peak_rss_bytes"] {
        assert!(object[key].as_f64().unwrap() > 0.0, "{key}");
    }
    assert_eq!((&object["batch"], &object["threads"]), (&json!(3), &json!(1)));
    let fast = place().tony("bench model tiny.gguf --prefill 20 --decode 8 --precision fast --json").works().json();
    assert_eq!((&object["precision"], &fast["precision"]), (&json!("full"), &json!("fast")));
    place().tony("bench model tiny.gguf --prefill 60 --decode 8").fails(2, &["60 + 8 tokens are more than the 64"]);
}

#[test]
fn bad_input_is_told_before_anything_runs() {
    let place = place();
    let refused = |args: &str, code: i32, parts: &[&str]| {
        place.tony(&format!("generate {args}")).fails(code, parts);
    };
    refused("tiny.gguf", 2, &["required arguments were not provided", "try: "]);
    refused(
        "smollm2-135n --prompt a",
        2,
        &["`smollm2-135n` is no file or folder", "try: tony generate smollm2-135m --prompt a"],
    );
    refused(
        "tiny.gguf --prompt a --temperature -1",
        2,
        &["temperature -1 must be 0 or more", "try: tony generate --help"],
    );
    refused("tiny.gguf --prompt a --top-p 0", 2, &["top-p 0 above 0", "try: "]);
    refused("tiny.gguf --prompt a --max-tokens 0", 2, &["invalid value '0'", "try: "]);
    refused("tiny.gguf --messages absent.json", 2, &["absent.json", "No such file"]);
    let message = |text: &str| fs::write(place.path().join("talk.json"), text).unwrap();
    message("[{\"role\": \"user\"}]");
    refused("tiny.gguf --messages talk.json", 2, &["no messages: missing field `content`", "in talk.json", "try: "]);
    message("[]");
    refused("tiny.gguf --messages talk.json", 2, &["there are no messages"]);
    let long = place.command("generate tiny.gguf --raw --prompt").arg("a".repeat(64)).output().unwrap();
    let said = String::from_utf8_lossy(&long.stderr);
    assert!(said.contains("the prompt has 64 tokens; this model takes 64"), "{said}");
    // A file that was cut, one that is something else, and a folder without a model: exit code 1, with the path.
    let bytes = fs::read(place.path().join("tiny.gguf")).unwrap();
    fs::write(place.path().join("cut.gguf"), &bytes[..bytes.len() - 100]).unwrap();
    refused("cut.gguf --prompt a", 1, &["this model cannot be read", "it may have been cut", "in cut.gguf"]);
    fs::write(place.path().join("other.gguf"), "{}").unwrap();
    refused("other.gguf --prompt a", 1, &["this model cannot be read", "in other.gguf"]);
    fs::create_dir(place.path().join("folder")).unwrap();
    refused("folder --prompt a", 1, &["folder/config.json"]);
    let failure = place.tony("generate cut.gguf --prompt a --json").json();
    assert_eq!(failure["error"]["kind"], "bad_model");
    // A name whose file is not here says how to have it.
    let output =
        place.command("generate smollm2-135m --prompt a").env("XDG_CACHE_HOME", place.path()).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("SmolLM2-135M-Instruct is not here") && said.contains("try: `tony doctor --fix models`"),
        "{said}"
    );
}

#[test]
fn terms_are_shown_before_a_model_is_fetched() {
    let place = Place::new();
    place
        .tony("doctor --fix gemma3-270m --offline")
        .fails(2, &["Gemma Terms of Use", "try: tony doctor --fix gemma3-270m --accept-terms"]);
    place
        .tony("doctor --fix gemma3-271m")
        .fails(2, &["nothing called `gemma3-271m`", "try: tony doctor --fix gemma3-270m"]);
}

#[test]
fn classes_of_completions_are_counted() {
    let place = Place::new();
    let policy = "prompt_template: '{question} {response}'\ncompletion_class_order: [good, bad]\ncompletion_classes:\n  good: {comply: {helps: true}}\n  bad: {comply: {helps: false}}\nsimple_propositions:\n  helps: {prompt: x}\n";
    let row = |helps: &str| {
        format!(
            "{{\"response_type\": \"Comply\", \"prompt\": [], \"completion\": [], \"propositions\": {{{helps}}}}}\n"
        )
    };
    fs::write(place.path().join("policy.yaml"), policy).unwrap();
    fs::write(place.path().join("data.jsonl"), [row("\"helps\": true"), row("\"helps\": false"), row("")].concat())
        .unwrap();
    let command = "rbr classes --policy policy.yaml --data data.jsonl";
    let expected = json!({"rows": 3, "unassigned": 1, "ambiguous": 0, "counts": {"Comply": {"good": 1, "bad": 1}}});
    assert_eq!(place.tony(&format!("{command} --json")).works().json(), expected);
    let text = place.tony(command);
    assert!(
        text.works().stdout.contains("3 completions, 1 of no class")
            && text.stdout.contains("Comply            1    1"),
        "{text:?}"
    );
    fs::write(place.path().join("data.jsonl"), [row("\"helps\": true"), row("\"hepls\": true")].concat()).unwrap();
    place.tony(command).fails(2, &["no proposition `hepls`; did you mean `helps`?", "in data.jsonl:2"]);
    fs::write(place.path().join("policy.yaml"), policy.replace("helps: false", "helps: true")).unwrap();
    place.tony(command).fails(2, &["classes `good` and `bad` of comply overlap: with helps true", "in policy.yaml"]);
    place.tony("rbr classes --policy absent.yaml --data data.jsonl").fails(1, &["absent.yaml"]);
}
