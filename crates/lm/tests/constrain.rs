//! Answers of a form: exactly one of a list, JSON of a schema, whatever a model would rather say.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../../deep/tests/common/mod.rs"]
mod common;

use common::{Family, Tiny, by_bytes};
use serde_json::{Value as Json, json};
use tony_lm::{Constraint, Event, Finish, MODELS, Model, Request, Sampling, Writer};

/// A model of 262 tokens, with a context long enough for an object.
fn tiny() -> Model {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let mut bytes = Tiny::with_vocabulary(Family::Llama, 262).gguf(&by_bytes());
    let key = b"llama.context_length";
    let at = bytes.windows(key.len()).position(|window| window == key).unwrap() + key.len() + 4;
    bytes[at..at + 4].copy_from_slice(&2048_u32.to_le_bytes());
    std::fs::write(&path, bytes).unwrap();
    Model::open(&path).unwrap()
}

fn request(constraint: Constraint, temperature: f32, seed: u64, max_tokens: usize) -> Request {
    let sampling = Sampling { temperature, ..Sampling::default() };
    Request { prompt: vec![1, 2, 3], max_tokens, sampling, seed, stops: vec![], constraint: Some(constraint) }
}

fn answers(model: &Model, requests: &[Request]) -> Vec<Vec<Event>> {
    let mut writer = Writer::new(model, requests.len());
    requests.iter().for_each(|request| assert!(writer.add(request.clone()).is_ok()));
    let mut events = vec![Vec::new(); requests.len()];
    while writer.pending() > 0 {
        for event in writer.step().unwrap() {
            events[event.request as usize].push(event);
        }
    }
    events
}

fn text(events: &[Event]) -> String {
    events.iter().map(|event| event.text.as_str()).collect()
}

#[test]
fn exactly_one_of_the_choices_is_said() {
    let model = tiny();
    let choices = ["yes", "no", "yes, then", "the \"end\"\n/\\é [a-z]+"].map(str::to_owned);
    let constraint = Constraint::choices(&model, &choices).unwrap();
    let requests: Vec<Request> = (0..64).map(|seed| request(constraint.clone(), 2.0, seed, 60)).collect();
    let mut said = std::collections::BTreeSet::new();
    for events in answers(&model, &requests) {
        assert!(choices.contains(&text(&events)), "{:?}", text(&events));
        assert_eq!(events.last().unwrap().finish, Some(Finish::Stop));
        said.insert(text(&events));
        // The first draw is from the tokens that begin a choice, by the model's logits at this temperature.
        let logits = events[0].first_logits.as_ref().unwrap();
        let begins = |token: u32| {
            let bytes = model.tokenizer.spelled(token);
            !model.tokenizer.is_special(token) && choices.iter().any(|choice| choice.as_bytes().starts_with(bytes))
        };
        let weight = |token: u32| (f64::from(logits[token as usize]) / 2.0).exp();
        let total: f64 = (0..262).filter(|token| begins(*token)).map(weight).sum();
        let first = events[0].choice;
        assert!(begins(first.token) && (first.sampled - (weight(first.token) / total).ln()).abs() < 1e-9);
        assert!(events.iter().all(|event| event.choice.sampled <= 0.0 && event.choice.logprob < 0.0));
        // `yes` may go on, so the model has to end it; after `no` nothing can come, and nothing is asked.
        let ended = model.tokenizer.is_special(events.last().unwrap().choice.token);
        assert_eq!(ended, text(&events) == "yes");
    }
    assert_eq!(said.len(), choices.len(), "each choice is met: {said:?}");
    let refused = |choices: &[&str]| {
        let choices: Vec<String> = choices.iter().map(|choice| (*choice).to_owned()).collect();
        Constraint::choices(&model, &choices).unwrap_err().to_string()
    };
    assert!(refused(&[]).contains("at least one") && refused(&["a", ""]).contains("at least one"));
}

fn schema() -> Json {
    json!({
        "type": "object", "additionalProperties": false, "required": ["name", "kind", "n", "tags", "x", "none", "either", "inner"],
        "properties": {
            "name": {"type": "string", "maxLength": 6},
            "kind": {"enum": ["a \"b\"", 3, null]},
            "n": {"type": "integer", "minimum": -5, "maximum": 120},
            "tags": {"type": "array", "items": {"type": "string", "maxLength": 2}, "minItems": 1, "maxItems": 3},
            "x": {"type": "number", "minimum": 0, "maximum": 1},
            "flag": {"type": "boolean"},
            "none": {"type": "null"},
            "either": {"anyOf": [{"const": "none"}, {"type": "integer", "minimum": 0, "maximum": 9}]},
            "inner": {"$ref": "#/$defs/inner"},
        },
        "$defs": {"inner": {"type": "object", "additionalProperties": false, "required": ["code"],
            "properties": {"code": {"type": "string", "pattern": "^[A-Z]{2}[0-9]{2}$"}}}},
    })
}

/// What `schema` says, by hand.
fn fits(value: &Json) -> bool {
    let short = |value: &Json, most: usize| value.as_str().is_some_and(|text| text.chars().count() <= most);
    // `-0` is a whole number, too.
    let within = |value: &Json, range: std::ops::RangeInclusive<i64>| {
        value.as_f64().is_some_and(|n| n.fract() == 0.0 && range.contains(&(n as i64)))
    };
    let object = value.as_object().unwrap();
    let tags = object["tags"].as_array().unwrap();
    let code = object["inner"]["code"].as_str().unwrap().as_bytes();
    let known = ["name", "kind", "n", "tags", "x", "flag", "none", "either", "inner"];
    object.keys().all(|key| known.contains(&key.as_str()))
        && short(&object["name"], 6)
        && [json!("a \"b\""), json!(3), json!(null)].contains(&object["kind"])
        && within(&object["n"], -5..=120)
        && (1..=3).contains(&tags.len())
        && tags.iter().all(|tag| short(tag, 2))
        && object["x"].as_f64().is_some_and(|x| (0.0..=1.0).contains(&x))
        && object.get("flag").is_none_or(Json::is_boolean)
        && object["none"].is_null()
        && (object["either"] == "none" || within(&object["either"], 0..=9))
        && object["inner"].as_object().unwrap().len() == 1
        && code.len() == 4
        && code[..2].iter().all(u8::is_ascii_uppercase)
        && code[2..].iter().all(u8::is_ascii_digit)
}

/// Random walks by a model's logits, and by equal logits of whatever is allowed: what is complete is JSON that fits.
#[test]
fn whatever_is_drawn_fits_the_schema() {
    let model = tiny();
    let constraint = Constraint::schema(&model, &schema()).unwrap();
    let requests: Vec<Request> =
        (0..60).map(|seed| request(constraint.clone(), [0.0, 1.0, 1e9][seed % 3], seed as u64, 1000)).collect();
    let mut complete = 0;
    for events in answers(&model, &requests) {
        match events.last().unwrap().finish {
            Some(Finish::Stop) => {
                let value: Json = serde_json::from_str(&text(&events)).unwrap();
                assert!(fits(&value), "{value}");
                complete += 1;
            }
            // Digits of a number have no end.
            finish => assert_eq!((finish, events.len()), (Some(Finish::Length), 1000), "{}", text(&events)),
        }
    }
    assert!(complete >= 40, "{complete} of 60 walks ended");
}

#[test]
fn a_form_changes_nothing_for_others_and_a_budget_that_is_too_small_is_told() {
    let model = tiny();
    let constraint = Constraint::schema(&model, &schema()).unwrap();
    let free = Request { constraint: None, ..request(constraint.clone(), 1.0, 3, 30) };
    let requests = [request(constraint.clone(), 1.0, 1, 400), free, request(constraint.clone(), 1.0, 2, 5)];
    let shown = |events: &[Event]| -> Vec<(u32, u64)> {
        events.iter().map(|event| (event.choice.token, event.choice.sampled.to_bits())).collect()
    };
    let together = answers(&model, &requests);
    for (request, together) in requests.iter().zip(&together) {
        assert_eq!(shown(together), shown(&answers(&model, std::slice::from_ref(request))[0]));
    }
    assert_eq!((together[2].len(), together[2].last().unwrap().finish), (5, Some(Finish::Length)));
}

#[test]
fn schemas_that_cannot_be_followed_are_refused() {
    let model = tiny();
    let refused = |schema: &Json| Constraint::schema(&model, schema).unwrap_err().to_string();
    assert!(refused(&json!({"type": "array", "uniqueItems": true})).contains("uniqueItems"));
    assert!(refused(&json!({"type": "object", "properties": {"a": {"not": {"type": "null"}}}})).contains("not"));
    assert!(refused(&json!({"type": "integer", "minimum": 5, "maximum": 3})).contains("cannot be asked for"));
    assert!(refused(&json!({"$ref": "#/$defs/absent"})).contains("cannot be asked for"));
    assert!(refused(&json!({"$ref": "https://example.org/schema"})).contains("cannot be asked for"));
    assert!(refused(&json!({"type": "strnig"})).contains("strnig"));
    assert!(refused(&json!([])).contains("is an object"));
    let mut deep = json!({"type": "null"});
    for _ in 0..200 {
        deep = json!({"type": "array", "items": deep, "minItems": 1});
    }
    // Whether it is followed or refused, it ends.
    let _ = Constraint::schema(&model, &deep);
    let large =
        json!({"type": "array", "items": {"type": "string", "pattern": "(a|b|ab){1,900}{1,900}x"}, "minItems": 900});
    let _ = Constraint::schema(&model, &large);
}

/// A recursive schema is followed as deep as the tokens go.
#[test]
fn a_schema_may_refer_to_itself() {
    let model = tiny();
    let schema = json!({"$ref": "#/$defs/tree", "$defs": {"tree": {"type": "array", "items": {"$ref": "#/$defs/tree"}, "maxItems": 2}}});
    let constraint = Constraint::schema(&model, &schema).unwrap();
    let requests: Vec<Request> = (0..16).map(|seed| request(constraint.clone(), 1e9, seed, 600)).collect();
    for events in answers(&model, &requests) {
        if events.last().unwrap().finish == Some(Finish::Stop) {
            let value: Json = serde_json::from_str(&text(&events)).unwrap();
            assert!(value.as_array().is_some_and(|items| items.len() <= 2));
        }
    }
}

/// A real vocabulary of 49,152 tokens: valid JSON, and how long a form takes.
#[test]
fn smollm2_answers_in_json() {
    let path = match MODELS[0].fetch(false, false, &mut |line| println!("{line}")) {
        Ok(path) => path,
        Err(error) => {
            println!("skipped: {error}");
            return;
        }
    };
    let model = Model::open(&path).unwrap();
    let timed = |name: &str, schema: &Json| {
        let clock = std::time::Instant::now();
        let constraint = Constraint::schema(&model, schema).unwrap();
        println!("{name}: {:.1} ms", clock.elapsed().as_secs_f64() * 1e3);
        constraint
    };
    timed("first schema, with the vocabulary's trie", &json!({"type": "string"}));
    let constraint = timed("next schema", &schema());
    let prompt = model.raw("A person as JSON: ").unwrap();
    for (temperature, seed) in [(0.0, 0), (1.0, 1), (1e9, 2)] {
        let request = Request { prompt: prompt.clone(), ..request(constraint.clone(), temperature, seed, 150) };
        let events = &answers(&model, &[request])[0];
        println!("{temperature}: {:?} {:?}", events.last().unwrap().finish, text(events));
        if events.last().unwrap().finish == Some(Finish::Stop) {
            assert!(fits(&serde_json::from_str(&text(events)).unwrap()));
        }
    }
}
