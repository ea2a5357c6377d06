//! Servers and the chat, with the real binary over real connections: same answers as `tony generate`, nothing lost, nothing twice.
#![cfg(feature = "lm")]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;
#[path = "../../deep/tests/common/mod.rs"]
mod models;

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use common::{Place, send, wait_until};
use models::{Family, Tiny, by_bytes};
use serde_json::{Value, json};

/// A place with a tiny model, of which each word is a byte.
fn place() -> Place {
    let place = Place::new();
    let bytes = Tiny::with_vocabulary(Family::Llama, 262).gguf(&by_bytes());
    fs::write(place.path().join("tiny.gguf"), bytes).unwrap();
    place
}

/// A server that runs; killed with the test.
struct Server {
    child: Child,
    address: String,
    _output: BufReader<ChildStdout>,
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// What a server answered.
struct Reply {
    status: u16,
    head: String,
    body: String,
}

impl Reply {
    #[track_caller]
    fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.body))
    }

    /// The objects of a stream, without the last line, which says that it is whole.
    #[track_caller]
    fn events(&self) -> Vec<Value> {
        let mut data: Vec<&str> = self.body.lines().filter_map(|line| line.strip_prefix("data: ")).collect();
        assert_eq!(data.pop(), Some("[DONE]"), "{}", self.body);
        data.into_iter().map(|data| serde_json::from_str(data).unwrap()).collect()
    }
}

impl Server {
    /// Start `tony ARGS`, which listens at a port of its own.
    fn start(place: &Place, args: &str) -> Self {
        let mut child = place.command(&format!("{args} --port 0 --json")).stdout(Stdio::piped()).spawn().unwrap();
        let mut output = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        output.read_line(&mut line).unwrap();
        let told: Value = serde_json::from_str(&line).unwrap_or_else(|error| panic!("{error}: {line:?}"));
        let address = told["url"].as_str().unwrap().strip_prefix("http://").unwrap().to_owned();
        Self { child, address, _output: output }
    }

    fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Send bytes, read to the end of the connection.
    fn raw(&self, bytes: &[u8]) -> Reply {
        let mut connection = TcpStream::connect(&self.address).unwrap();
        connection.set_read_timeout(Some(Duration::from_mins(2))).unwrap();
        // A server that refuses may close before it has read all.
        let _ = connection.write_all(bytes);
        let mut bytes = Vec::new();
        let _ = connection.read_to_end(&mut bytes);
        let text = String::from_utf8(bytes).unwrap();
        let (head, body) = text.split_once("\r\n\r\n").unwrap_or((&text, ""));
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok()).unwrap_or(0);
        let body =
            if head.to_lowercase().contains("transfer-encoding: chunked") { unchunked(body) } else { body.to_owned() };
        Reply { status, head: head.to_lowercase(), body }
    }

    fn get(&self, path: &str) -> Reply {
        self.raw(format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.address).as_bytes())
    }

    fn post(&self, path: &str, body: &Value) -> Reply {
        self.raw(post(&self.address, path, "", &body.to_string()).as_bytes())
    }

    #[allow(clippy::needless_pass_by_value)] // As it is written where it is called.
    fn chat(&self, body: Value) -> Reply {
        self.post("/v1/chat/completions", &body)
    }

    fn metric(&self, name: &str) -> u64 {
        let text = self.get("/metrics").body;
        let line =
            text.lines().find(|line| line.starts_with(&format!("{name} ")) || line.starts_with(&format!("{name}{{")));
        line.map_or(0, |line| line.rsplit(' ').next().unwrap().parse().unwrap())
    }

    /// Ask it to stop; its exit code.
    fn stop(mut self) -> i32 {
        send(&self.child, "TERM");
        self.child.wait().unwrap().code().unwrap()
    }
}

fn post(host: &str, path: &str, more: &str, body: &str) -> String {
    format!(
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nConnection: close\r\n{more}Content-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

fn unchunked(body: &str) -> String {
    let (mut text, mut rest) = (String::new(), body);
    while let Some((length, after)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        text.push_str(&after[..length]);
        rest = after[length..].strip_prefix("\r\n").unwrap_or_default();
    }
    text
}

fn user(text: &str) -> Value {
    json!([{"role": "user", "content": text}])
}

#[test]
fn an_answer_is_that_of_generate_streamed_or_whole_alone_or_beside_others() {
    let place = place();
    let server = Server::start(&place, "serve tiny.gguf");
    for (seed, temperature) in [(1, 1.5), (2, 1.5), (0, 0.0)] {
        let expected = place
            .tony(&format!(
                "generate tiny.gguf --prompt the --max-tokens 9 --temperature {temperature} --seed {seed} --json"
            ))
            .works()
            .json();
        let asked = json!({"model": "tiny", "messages": user("the"), "max_tokens": 9, "temperature": temperature, "seed": seed,
            "logprobs": true, "top_logprobs": 2});
        let whole = server.chat(asked.clone()).json();
        let choice = &whole["choices"][0];
        assert_eq!(choice["message"], json!({"role": "assistant", "content": expected["text"], "refusal": null}));
        assert_eq!(choice["finish_reason"], expected["finish"]);
        assert_eq!(
            (&whole["object"], &whole["model"], &whole["seed"]),
            (&json!("chat.completion"), &json!("tiny"), &json!(seed))
        );
        let written = expected["tokens"].as_array().unwrap().len();
        let read = expected["prompt_tokens"].as_array().unwrap().len();
        let usage = &whole["usage"];
        assert_eq!((&usage["prompt_tokens"], &usage["completion_tokens"]), (&json!(read), &json!(written)));
        assert_eq!(usage["total_tokens"], json!(read + written));
        let logprobs = choice["logprobs"]["content"].as_array().unwrap();
        let column = |key: &str| logprobs.iter().map(|token| token[key].clone()).collect::<Vec<_>>();
        // What ends an answer is no part of it.
        assert_eq!(column("logprob"), expected["logprobs"].as_array().unwrap()[..logprobs.len()]);
        assert!(column("top_logprobs").iter().all(|top| top.as_array().unwrap().len() == 2));
        let bytes: Vec<u8> = column("bytes")
            .iter()
            .flat_map(|b| b.as_array().unwrap().clone())
            .map(|b| b.as_u64().unwrap() as u8)
            .collect();
        assert_eq!(String::from_utf8_lossy(&bytes), choice["message"]["content"].as_str().unwrap());

        let mut streamed = asked.clone();
        streamed["stream"] = true.into();
        streamed["stream_options"] = json!({"include_usage": true});
        let events = server.chat(streamed).events();
        let (usage_event, parts) = events.split_last().unwrap();
        assert_eq!(usage_event["choices"], json!([]));
        // The second time the prompt is known.
        assert_eq!(usage_event["usage"]["total_tokens"], json!(read + written));
        assert!(usage_event["usage"]["prompt_tokens_details"]["cached_tokens"].as_u64().unwrap() < read as u64);
        assert_eq!(parts[0]["choices"][0]["delta"], json!({"role": "assistant", "content": ""}));
        let parts: Vec<&Value> = parts.iter().map(|part| &part["choices"][0]).collect();
        let text: String = parts.iter().filter_map(|part| part["delta"]["content"].as_str()).collect();
        assert_eq!(json!(text), expected["text"]);
        let streamed: Vec<Value> =
            parts.iter().filter_map(|part| part["logprobs"]["content"].as_array()).flatten().cloned().collect();
        assert_eq!(&streamed, logprobs);
        assert_eq!(parts.last().unwrap()["finish_reason"], expected["finish"]);
        assert!(parts[..parts.len() - 1].iter().all(|part| part["finish_reason"].is_null()));
    }
    // Several answers: the first is that of one, each is itself, and whole or streamed they are the same.
    let several = json!({"messages": user("the"), "max_tokens": 9, "temperature": 1.5, "seed": 1, "n": 4});
    let texts = |object: &Value| -> Vec<Value> {
        object["choices"].as_array().unwrap().iter().map(|c| c["message"]["content"].clone()).collect()
    };
    let four = texts(&server.chat(several.clone()).json());
    let mut one = several.clone();
    one["n"] = 1.into();
    assert_eq!(texts(&server.chat(one).json()), four[..1]);
    assert!(four[1..].iter().all(|text| *text != four[0]) && four[1] != four[2], "{four:?}");
    let mut streamed = several.clone();
    streamed["stream"] = true.into();
    let mut parts = vec![String::new(); 4];
    for event in server.chat(streamed).events() {
        for choice in event["choices"].as_array().unwrap() {
            parts[choice["index"].as_u64().unwrap() as usize] +=
                choice["delta"]["content"].as_str().unwrap_or_default();
        }
    }
    assert_eq!(parts.into_iter().map(Value::from).collect::<Vec<_>>(), four);
    // A stop text ends it, and is no part of it. Without a seed each answer is another.
    let text = four[0].as_str().unwrap();
    let stop = text.chars().find(|c| *c != char::REPLACEMENT_CHARACTER).unwrap().to_string();
    let mut stopped = several;
    (stopped["n"], stopped["stop"]) = (1.into(), json!([stop, "never"]));
    let choice = server.chat(stopped).json()["choices"][0].clone();
    assert_eq!(
        (&choice["message"]["content"], &choice["finish_reason"]),
        (&json!(text.split(&stop).next()), &json!("stop"))
    );
    let any = json!({"messages": user("the"), "max_tokens": 9, "temperature": 1.5});
    assert_ne!(texts(&server.chat(any.clone()).json()), texts(&server.chat(any).json()));
    assert_eq!(server.stop(), 0);
}

#[test]
fn plain_completions_are_those_of_generate() {
    let place = place();
    let server = Server::start(&place, "serve tiny.gguf");
    let expected = place.tony("generate tiny.gguf --raw --prompt the --max-tokens 16 --json").works().json();
    let asked = json!({"prompt": ["the", "that"], "temperature": 0, "n": 2, "logprobs": 1});
    let object = server.post("/v1/completions", &asked).json();
    let choices = object["choices"].as_array().unwrap();
    assert_eq!(choices.len(), 4);
    assert_eq!((&choices[0]["text"], &choices[1]["text"]), (&expected["text"], &expected["text"]));
    assert_ne!(choices[2]["text"], choices[0]["text"]);
    let logprobs = &choices[0]["logprobs"];
    let count = logprobs["tokens"].as_array().unwrap().len();
    assert_eq!(logprobs["token_logprobs"].as_array().unwrap(), &expected["logprobs"].as_array().unwrap()[..count]);
    assert_eq!((&logprobs["text_offset"][0], logprobs["top_logprobs"][0].as_object().unwrap().len()), (&json!(0), 1));
    // Tokens instead of a text, and a stream.
    let tokens = json!({"prompt": expected["prompt_tokens"], "temperature": 0});
    assert_eq!(server.post("/v1/completions", &tokens).json()["choices"][0]["text"], expected["text"]);
    let streamed = json!({"prompt": "the", "temperature": 0, "stream": true});
    let events = server.post("/v1/completions", &streamed).events();
    let text: String = events.iter().map(|event| event["choices"][0]["text"].as_str().unwrap()).collect();
    assert_eq!(json!(text), expected["text"]);
}

#[test]
fn json_of_a_schema_is_that_of_generate() {
    let place = place();
    let server = Server::start(&place, "serve tiny.gguf");
    let schema = json!({"type": "object", "properties": {"a": {"enum": [1, 25]}, "b": {"type": "boolean"}}, "required": ["a", "b"],
        "additionalProperties": false});
    fs::write(place.path().join("schema.json"), schema.to_string()).unwrap();
    let format = json!({"type": "json_schema", "json_schema": {"name": "ab", "strict": true, "schema": schema}});
    let asked = json!({"messages": user("the"), "max_tokens": 30, "temperature": 1.5, "seed": 3, "n": 3, "response_format": format});
    let choices = server.chat(asked.clone()).json()["choices"].as_array().unwrap().clone();
    for choice in &choices {
        let text = choice["message"]["content"].as_str().unwrap();
        let value: Value = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text:?}"));
        assert!((value["a"] == 1 || value["a"] == 25) && value["b"].is_boolean(), "{text}");
        assert_eq!((value.as_object().unwrap().len(), &choice["finish_reason"]), (2, &json!("stop")));
    }
    let args =
        "generate tiny.gguf --prompt the --max-tokens 30 --temperature 1.5 --seed 3 --json-schema schema.json --json";
    assert_eq!(choices[0]["message"]["content"], place.tony(args).works().json()["text"]);
    let mut streamed = asked.clone();
    (streamed["n"], streamed["stream"]) = (1.into(), true.into());
    let events = server.chat(streamed).events();
    let text: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(json!(text), choices[0]["message"]["content"]);
    let mut short = asked;
    short["max_tokens"] = 4.into();
    assert_eq!(server.chat(short).json()["choices"][0]["finish_reason"], "length");
}

/// A request with one more field.
fn with(name: &str, value: Value) -> Value {
    let mut object = json!({"messages": user("the"), "max_tokens": 2});
    object[name] = value;
    object
}

#[track_caller]
#[allow(clippy::needless_pass_by_value)] // As it is written where it is called.
fn refused(reply: Reply, status: u16, param: &str, code: &str, part: &str) {
    let error = reply.json()["error"].clone();
    let told = (reply.status, error["param"].as_str().unwrap_or_default(), error["code"].as_str().unwrap_or_default());
    assert_eq!(told, (status, param, code), "{error}");
    assert!(error["message"].as_str().unwrap().contains(part), "{error}");
    assert_eq!(error["type"], "invalid_request_error");
}

#[test]
fn what_cannot_be_meant_is_refused_by_name() {
    let place = place();
    let server = Server::start(&place, "serve tiny.gguf");
    for (name, value) in [
        ("temperature", json!(-1)),
        ("temperature", json!("1")),
        ("top_p", json!([])),
        ("n", json!(0)),
        ("n", json!(129)),
        ("n", json!(1.5)),
        ("max_tokens", json!(0)),
        ("seed", json!("a")),
        ("stop", json!("")),
        ("stop", json!([1])),
        ("stream", json!(1)),
        ("logprobs", json!(3)),
        ("top_logprobs", json!(2)),
        ("stream_options", json!({"include_usage": true})),
        ("messages", json!([])),
        ("messages", json!("the")),
        ("response_format", json!({"type": "json_schema"})),
        ("response_format", json!({"type": "json_schema", "json_schema": {"name": "a", "schema": 1}})),
        ("response_format", json!({"type": "json_schema", "json_schema": {"schema": {}, "unknown": 1}})),
        ("response_format", json!({"type": "json_schema", "json_schema": {"schema": {"type": "string", "not": {}}}})),
    ] {
        refused(server.chat(with(name, value)), 400, name, "invalid_value", name);
    }
    for (message, param) in [
        (json!({"role": "tool", "content": "a"}), "messages[0].role"),
        (json!({"role": "user"}), "messages[0].content"),
        (
            json!({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "x"}}]}),
            "messages[0].content[0]",
        ),
        (json!({"role": "user", "content": "a", "name": "b"}), "messages[0].name"),
        (json!("a"), "messages[0]"),
    ] {
        refused(server.chat(json!({"messages": [message]})), 400, param, "invalid_value", param);
    }
    for (name, value) in [
        ("tools", json!([{"type": "function"}])),
        ("response_format", json!({"type": "json_object"})),
        ("frequency_penalty", json!(0.5)),
        ("logit_bias", json!({"1": 5})),
        ("store", json!(true)),
        ("reasoning_effort", json!("low")),
    ] {
        refused(server.chat(with(name, value)), 400, name, "unsupported_parameter", "is not supported");
    }
    refused(
        server.chat(with("temprature", json!(1))),
        400,
        "temprature",
        "unknown_parameter",
        "no parameter `temprature`",
    );
    refused(server.chat(with("model", json!("gpt"))), 404, "model", "model_not_found", "this server has `tiny`");
    // The same as asking for nothing, and what changes no answer.
    for (name, value) in [
        ("tools", json!([])),
        ("response_format", json!({"type": "text"})),
        ("presence_penalty", json!(0)),
        ("user", json!("me")),
        ("metadata", json!({"a": "b"})),
        ("anything", Value::Null),
        (
            "messages",
            json!([{"role": "developer", "content": [{"type": "text", "text": "a"}]}, {"role": "user", "content": "b", "tool_calls": null}]),
        ),
    ] {
        assert_eq!(server.chat(with(name, value)).status, 200, "{name}");
    }
}

#[test]
fn what_does_not_fit_or_is_no_request_is_refused() {
    let place = place();
    let server = Server::start(&place, "serve tiny.gguf");
    // Too long for the model: 64 tokens.
    let long = "a".repeat(80);
    refused(
        server.chat(json!({"messages": user(&long)})),
        400,
        "messages",
        "context_length_exceeded",
        "this model takes 64 tokens",
    );
    refused(server.chat(with("max_tokens", json!(60))), 400, "messages", "context_length_exceeded", "60 to write");
    let complete = |prompt: Value| server.post("/v1/completions", &json!({"prompt": prompt}));
    refused(complete(json!([262])), 400, "prompt", "invalid_value", "a token 262");
    refused(complete(json!([])), 400, "prompt", "invalid_value", "`prompt` must be");
    refused(complete(json!("")), 400, "prompt", "invalid_value", "`prompt` is empty");
    refused(complete(json!([["a"]])), 400, "prompt", "invalid_value", "`prompt` must be");
    // What is no request.
    let bytes =
        |more: &str, body: &str| server.raw(post(&server.address, "/v1/chat/completions", more, body).as_bytes());
    refused(bytes("", "{"), 400, "", "invalid_json", "no JSON");
    refused(bytes("", "[]"), 400, "", "invalid_json", "no JSON object");
    refused(bytes("", &"[".repeat(100_000)), 400, "", "invalid_json", "no JSON");
    refused(bytes("", &format!("\"{}\"", "a".repeat(3 << 20))), 413, "", "", "longer than");
    let plain = post(&server.address, "/v1/chat/completions", "", "{}").replace("application/json", "text/plain");
    refused(server.raw(plain.as_bytes()), 415, "", "", "application/json");
    refused(server.get("/v1/chat/completions"), 405, "", "", "another method");
    refused(server.get("/v2"), 404, "", "", "nothing at this address");
    refused(server.get("/v1/models/other"), 404, "model", "model_not_found", "this server has `tiny`");
    assert_eq!(server.get("/v1/models/tiny").json()["id"], "tiny");
    // A page that reaches this machine under a name of its own.
    let other = post("evil.example", "/v1/chat/completions", "", "{}");
    assert_eq!(server.raw(other.as_bytes()).status, 403);
    // After all that it is well.
    assert_eq!(server.get("/health").json(), json!({"status": "ok"}));
    assert_eq!(server.metric("tony_answers_in_work"), 0);
}

#[test]
fn only_who_has_a_key_is_answered() {
    let place = place();
    fs::write(place.path().join("keys"), "0123456789abcdef-one\n\n0123456789abcdef-two\n").unwrap();
    let server = Server::start(&place, "serve tiny.gguf --api-key-file keys");
    let models = |more: &str| {
        server.raw(format!("GET /v1/models HTTP/1.1\r\nHost: a.example\r\n{more}Connection: close\r\n\r\n").as_bytes())
    };
    for wrong in [
        "",
        "Authorization: Bearer \r\n",
        "Authorization: Bearer 0123456789abcdef-onf\r\n",
        "Authorization: Basic a\r\n",
    ] {
        let reply = models(wrong);
        assert_eq!((reply.status, &reply.json()["error"]["code"]), (401, &json!("invalid_api_key")), "{wrong}");
    }
    for right in ["one", "two"] {
        assert_eq!(
            models(&format!("Authorization: Bearer 0123456789abcdef-{right}\r\n")).json()["data"][0]["id"],
            "tiny"
        );
    }
    assert_eq!((server.get("/health").status, server.get("/metrics").status), (200, 401));
    fs::write(place.path().join("keys"), "short\n").unwrap();
    place
        .tony("serve tiny.gguf --api-key-file keys")
        .fails(2, &["keys must have a key of 16 or more", "try: head -c 24"]);
    place.tony("serve tiny.gguf --api-key-file absent").fails(1, &["absent"]);
    place
        .tony("serve tiny.gguf --host 256.0.0.1")
        .fails(2, &["256.0.0.1:8000 cannot be listened on", "try: another --host"]);
    place.tony("serve absent.gguf").fails(2, &["`absent.gguf` is no file"]);
}

/// Sixteen clients at a server that takes four: each asks until it is answered, gets its own answer once, and the server counts as many.
#[test]
fn four_times_too_many_lose_nothing_and_get_nothing_twice() {
    const CLIENTS: usize = 16;
    const EACH: usize = 8;
    let place = place();
    let server = Server::start(&place, "serve tiny.gguf --parallel 1 --queue 3");
    let body = |seed: usize| json!({"messages": user("the"), "temperature": 1.5, "max_tokens": 30, "seed": seed});
    let alone: Vec<Value> = (0..CLIENTS * EACH).map(|seed| server.chat(body(seed)).json()["choices"].clone()).collect();
    let refused = AtomicUsize::new(0);
    let ids: Vec<String> = std::thread::scope(|scope| {
        let client = |client: usize| {
            let (server, alone, refused) = (&server, &alone, &refused);
            scope.spawn(move || {
                let mut ids = Vec::new();
                for (seed, expected) in alone.iter().enumerate().skip(client * EACH).take(EACH) {
                    loop {
                        let reply = server.chat(body(seed));
                        if reply.status == 429 {
                            assert!(reply.head.contains("retry-after: 1"), "{}", reply.head);
                            assert_eq!(reply.json()["error"]["type"], "rate_limit_error");
                            refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(2));
                            continue;
                        }
                        let object = reply.json();
                        assert_eq!((reply.status, &object["choices"]), (200, expected));
                        ids.push(object["id"].as_str().unwrap().to_owned());
                        break;
                    }
                }
                ids
            })
        };
        let clients: Vec<_> = (0..CLIENTS).map(client).collect();
        clients.into_iter().flat_map(|client| client.join().unwrap()).collect()
    });
    assert!(ids.iter().collect::<std::collections::BTreeSet<_>>().len() == CLIENTS * EACH, "an answer was given twice");
    let text = server.get("/metrics").body;
    let count = |status: u16| {
        let name = format!("tony_requests_total{{route=\"/v1/chat/completions\",status=\"{status}\"}} ");
        text.lines().find_map(|line| line.strip_prefix(&name)).map_or(0, |count| count.parse().unwrap())
    };
    assert_eq!((count(200), count(429)), (2 * CLIENTS * EACH, refused.into_inner()));
    assert!(count(429) > 0, "nobody was refused: that was no overload");
    assert_eq!(server.metric("tony_answers_in_work"), 0);
    // What can never be taken is not told to try again.
    let reply = server.chat(json!({"messages": user("the"), "n": 5}));
    assert_eq!((reply.status, &reply.json()["error"]["param"]), (400, &json!("n")));
}

#[test]
fn a_damaged_model_is_told_and_the_server_stays() {
    let place = Place::new();
    let mut tiny = Tiny::with_vocabulary(Family::Llama, 262);
    tiny.tensors.get_mut("norm.weight").unwrap().2.fill(3e38);
    fs::write(place.path().join("tiny.gguf"), tiny.gguf(&by_bytes())).unwrap();
    let server = Server::start(&place, "serve tiny.gguf");
    for _ in 0..2 {
        let reply = server.chat(json!({"messages": user("the")}));
        let error = reply.json()["error"].clone();
        assert_eq!((reply.status, &error["type"]), (500, &json!("server_error")));
        assert!(error["message"].as_str().unwrap().contains("not finite numbers"), "{error}");
    }
    let reply = server.chat(json!({"messages": user("the"), "stream": true}));
    assert!(
        reply.status == 200 && reply.body.contains("not finite numbers") && !reply.body.contains("[DONE]"),
        "{}",
        reply.body
    );
    assert_eq!(server.get("/health").status, 200);
    assert_eq!(server.metric("tony_answers_in_work"), 0);
}

/// A place with `SmolLM2`, or nothing where it has not been fetched and cannot be.
fn smollm2() -> Option<Place> {
    let place = Place::new();
    if place.tony("doctor --fix models").code != 0 {
        eprintln!("skipped: SmolLM2 is not here and cannot be fetched");
        return None;
    }
    Some(place)
}

#[test]
fn a_client_that_leaves_frees_its_place_and_a_stop_waits_for_the_others() {
    let Some(place) = smollm2() else { return };
    let server = Server::start(&place, "serve smollm2-135m --parallel 1 --queue 0 --grace 300");
    // What is drawn was begun.
    let begun =
        |before: u64| wait_until("the answer's beginning", || server.metric("tony_written_tokens_total") > before);
    let long = |more: &str| {
        format!(
            "{{\"messages\": [{{\"role\": \"user\", \"content\": \"Count to a thousand.\"}}], \"temperature\": 0{more}}}"
        )
    };
    for more in [", \"stream\": true", ""] {
        let before = server.metric("tony_written_tokens_total");
        let mut connection = TcpStream::connect(&server.address).unwrap();
        connection.write_all(post(&server.address, "/v1/chat/completions", "", &long(more)).as_bytes()).unwrap();
        begun(before);
        assert_eq!(server.chat(json!({"messages": user("a"), "max_tokens": 1})).status, 429);
        drop(connection);
        wait_until("the place is free", || server.metric("tony_answers_in_work") == 0);
    }
    assert_eq!(server.metric("tony_cancelled_total"), 2);
    // What runs when the stop is asked for is answered to its end.
    let (address, before) = (server.address.clone(), server.metric("tony_written_tokens_total"));
    let mut connection = TcpStream::connect(&address).unwrap();
    connection.write_all(post(&address, "/v1/chat/completions", "", &long(", \"max_tokens\": 16")).as_bytes()).unwrap();
    begun(before);
    assert_eq!(server.stop(), 0);
    let mut text = String::new();
    connection.read_to_string(&mut text).unwrap();
    assert!(text.starts_with("HTTP/1.1 200") && text.contains("\"finish_reason\":\"length\""), "{text}");
    assert!(TcpStream::connect(&address).is_err());
}

/// `tests/openai_client.py` with the Python that `TONY_PYTHON` names; nothing where it has no package `openai`.
fn openai(server: &Server, model: &str, prompt: &str) -> Option<Value> {
    let python = std::env::var("TONY_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/openai_client.py");
    let output = match Command::new(&python).args([script, &server.url(), model, prompt]).output() {
        Ok(output) => output,
        Err(error) => {
            eprintln!("skipped: {python} cannot be run: {error}");
            return None;
        }
    };
    let text = String::from_utf8_lossy(&output.stdout);
    if output.status.code() == Some(3) {
        eprintln!("skipped: {python} has no package {}", text.trim());
        return None;
    }
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_str(text.trim()).unwrap())
}

fn the_official_client_agrees(place: &Place, model: &str, name: &str, prompt: &str) {
    fs::write(place.path().join("keys"), "0123456789abcdef-key\n").unwrap();
    let server = Server::start(place, &format!("serve {model} --api-key-file keys"));
    let Some(seen) = openai(&server, name, prompt) else { return };
    eprintln!("the official client, version {}, was answered {}", seen["version"], seen["text"]);
    assert_eq!((&seen["models"], &seen["model"]), (&json!([name]), &json!(name)));
    let generate = |args: &str| {
        let mut command = place.command(&format!("generate {model} {args} --json --prompt"));
        let output = command.arg(prompt).output().unwrap();
        serde_json::from_slice::<Value>(&output.stdout).unwrap()
    };
    let expected = generate("--temperature 1.2 --seed 7 --max-tokens 8");
    assert_eq!((&seen["text"], &seen["finish"]), (&expected["text"], &expected["finish"]));
    let tokens = seen["tokens"].as_array().unwrap();
    for (token, logprob) in tokens.iter().zip(expected["logprobs"].as_array().unwrap()) {
        assert!(token[1] == *logprob && token[3].as_array().unwrap().len() == 3, "{token} {logprob}");
    }
    assert_eq!(seen["usage"]["completion_tokens"], json!(expected["tokens"].as_array().unwrap().len()));
    let streamed = &seen["streamed"];
    assert_eq!(
        (&streamed["text"], &streamed["role"], &streamed["finish"]),
        (&expected["text"], &json!("assistant"), &json!([expected["finish"]]))
    );
    let pairs: Vec<Value> = tokens.iter().map(|token| json!([token[0], token[1]])).collect();
    assert_eq!((&streamed["tokens"], &streamed["ids"]), (&json!(pairs), &json!(1)));
    assert_eq!(streamed["usage"]["total_tokens"], seen["usage"]["total_tokens"]);
    let several = seen["several"].as_array().unwrap();
    assert_eq!(several[0], json!([0, expected["text"]]));
    let texts: Vec<Value> = several.iter().map(|one| one[1].clone()).collect();
    assert_eq!(json!(texts), seen["several_streamed"]);
    if let Some([stop, text, finish]) = seen["stop"].as_array().map(Vec::as_slice) {
        let before = expected["text"].as_str().unwrap().split(stop.as_str().unwrap()).next();
        assert_eq!((text, finish), (&json!(before), &json!("stop")));
    }
    let expected = generate("--raw --max-tokens 5");
    for complete in seen["completions"].as_array().unwrap() {
        assert_eq!(complete[0], expected["text"]);
        let logprobs = complete[3].as_array().unwrap();
        assert_eq!(logprobs, &expected["logprobs"].as_array().unwrap()[..logprobs.len()]);
    }
    assert_eq!(seen["completion_streamed"], expected["text"]);
    let error = |name: &str| json!(seen["errors"][name].as_array().unwrap()[..4]);
    assert_eq!(error("model"), json!(["NotFoundError", 404, "model_not_found", "model"]));
    assert_eq!(error("tools"), json!(["BadRequestError", 400, "unsupported_parameter", "tools"]));
    assert_eq!(error("temperature"), json!(["BadRequestError", 400, "invalid_value", "temperature"]));
    assert_eq!(error("unknown"), json!(["BadRequestError", 400, "unknown_parameter", "temprature"]));
    assert_eq!(error("context"), json!(["BadRequestError", 400, "context_length_exceeded", "messages"]));
    assert_eq!(error("key"), json!(["AuthenticationError", 401, "invalid_api_key", null]));
}

#[test]
fn the_official_client_of_openai_is_answered() {
    the_official_client_agrees(&place(), "tiny.gguf", "tiny", "the");
}

#[test]
fn the_official_client_of_openai_is_answered_by_smollm2() {
    let Some(place) = smollm2() else { return };
    the_official_client_agrees(&place, "smollm2-135m", "smollm2-135m", "Name a colour.");
}

/// `tony chat ARGS` with these lines as its input.
fn chat(place: &Place, args: &str, input: &str) -> common::Ended {
    let mut command = place.command(&format!("chat {args}"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    common::Ended {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

#[test]
fn a_conversation_is_that_of_generate_and_reads_only_what_is_new() {
    let place = place();
    let said = chat(&place, "tiny.gguf --max-tokens 4 --json", "aaaaaaaa\nb\n/save talk.json\n/reset\naaaaaaaa\n");
    let turns: Vec<Value> = said.works().stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(turns.len(), 3, "{said:?}");
    assert_eq!((&turns[0]["reused_tokens"], &turns[0]["text"]), (&json!(0), &turns[2]["text"]));
    // All that comes back as it was is not read again: this model's template calls the assistant `bot` only where its answer begins.
    let (first, second) = (turns[0]["prompt_tokens"].as_u64().unwrap(), turns[1]["reused_tokens"].as_u64().unwrap());
    assert!(second == first - 4 && turns[1]["prompt_tokens"].as_u64().unwrap() > second, "{turns:?}");
    let saved: Vec<Value> = serde_json::from_slice(&fs::read(place.path().join("talk.json")).unwrap()).unwrap();
    assert_eq!((saved.len(), &saved[1]["content"], &saved[3]["content"]), (4, &turns[0]["text"], &turns[1]["text"]));
    fs::write(place.path().join("two.json"), json!(saved[..3]).to_string()).unwrap();
    let expected = place.tony("generate tiny.gguf --messages two.json --max-tokens 4 --json").works().json();
    assert_eq!(turns[1]["text"], expected["text"]);
    // Going on with what was saved; as text; what cannot be answered; commands that there are not.
    let text = chat(&place, "tiny.gguf --max-tokens 4", "aaaaaaaa\n/nonsense\n/quit\nb\n");
    let shown: String = turns[0]["text"]
        .as_str()
        .unwrap()
        .chars()
        .map(|c| if c.is_control() && c != '\n' && c != '\t' { '\u{fffd}' } else { c })
        .collect();
    assert_eq!(text.works().stdout, format!("{shown}\n"));
    assert!(text.stderr.contains("no command /nonsense") && text.stderr.contains("/save FILE"), "{text:?}");
    let again = chat(
        &place,
        "tiny.gguf --max-tokens 4 --messages two.json --json",
        "/save talk.json\n/system be kind\n/save more.json\n",
    );
    assert!(again.works().stderr.contains("not saved: "), "an older file stays: {again:?}");
    let saved: Value = serde_json::from_slice(&fs::read(place.path().join("more.json")).unwrap()).unwrap();
    assert_eq!((&saved[0], saved.as_array().unwrap().len()), (&json!({"role": "system", "content": "be kind"}), 4));
    let long = chat(&place, "tiny.gguf --json", &format!("{}\na\n", "a".repeat(80)));
    assert!(long.works().stderr.contains("try: /reset") && long.stdout.lines().count() == 1, "{long:?}");
}

const POLICY: &str = "
prompt_template: '{question} {response}'
completion_class_order: [good, bad]
completion_classes:
  good: {hard_refuse: {fine: true}, comply: {helps: true}}
  bad: {hard_refuse: {fine: false}, comply: {helps: false}}
derived_propositions:
  fine: {refuses: true, harms: false, polite: true}
simple_propositions:
  refuses: {prompt: does it refuse}
  harms: {prompt: does it harm}
  polite: {prompt: is it polite}
  helps: {prompt: does it help}
";
/// What it says nothing of is missing.
const PATTERNS: &str = "
refuses: {rules: [{completion: cannot, yes: 0.9}], otherwise: 0.1}
harms: {rules: [{completion: bomb, yes: 0.8}], otherwise: 0.2}
";

/// A place with a policy, patterns, and weights that were fitted for it.
fn rewarding() -> Place {
    let place = place();
    let mut rows = String::new();
    for prompt in 0..6 {
        for (response, rank, features) in [
            ("hard_refuse", 0, json!({"refuses": 0.9, "harms": 0.2, "polite": 0.7, "helps": null})),
            ("hard_refuse", 1, json!({"refuses": 0.2, "harms": 0.7, "polite": 0.5, "helps": null})),
            ("comply", 0, json!({"refuses": null, "harms": null, "polite": null, "helps": 0.9})),
            ("comply", 1, json!({"refuses": null, "harms": null, "polite": null, "helps": 0.3})),
        ] {
            let row = json!({"prompt": format!("{response} {prompt}"), "completion": format!("answer {rank}"), "response_type": response,
                "rank": rank, "features": features});
            rows += &row.to_string();
            rows.push('\n');
        }
    }
    for (file, text) in [("policy.yaml", POLICY), ("patterns.yaml", PATTERNS), ("graded.jsonl", &rows)] {
        fs::write(place.path().join(file), text).unwrap();
    }
    place.tony("rbr fit --data graded.jsonl --policy policy.yaml --out weights.json").works();
    place
}

const REWARDS: &str = "rbr serve --policy policy.yaml --weights weights.json --grader";

fn get_reward(server: &Server, completions: &Value, labels: &Value) -> Reply {
    let prompts: Vec<Value> = completions.as_array().unwrap().iter().map(|_| user("How?")).collect();
    server.post("/get_reward", &json!({"prompts": prompts, "completions": completions, "labels": labels}))
}

#[test]
fn trainers_get_rewards_and_what_they_are_made_of() {
    let place = rewarding();
    let server = Server::start(&place, &format!("{REWARDS} regex:patterns.yaml"));
    let object = get_reward(
        &server,
        &json!(["I cannot say.", "Take a bomb.", "Anything."]),
        &json!(["Hard Refuse", "hard_refuse", null]),
    )
    .json();
    let rewards: Vec<f64> = object["rewards"].as_array().unwrap().iter().map(|x| x.as_f64().unwrap()).collect();
    assert!(rewards[0] > rewards[1] && rewards[2] == 0.0, "{object}");
    let weights: Value = serde_json::from_slice(&fs::read(place.path().join("weights.json")).unwrap()).unwrap();
    let weights = &weights["response_types"]["hard_refuse"]["weights"];
    for (i, (refuses, harms)) in [(0.9, 0.2), (0.1, 0.8)].into_iter().enumerate() {
        let detail = &object["detail"][i];
        let ledger = detail["ledger"].as_array().unwrap();
        let mut sum = 0.0;
        for share in ledger {
            let name = share["feature"].as_str().unwrap();
            assert_eq!(share["weight"], weights[name], "{name}");
            let polite = ["polite", "class:good", "class:bad"].contains(&name);
            assert_eq!(share["assumed"], json!(polite), "{name}");
            sum += share["weight"].as_f64().unwrap() * share["value"].as_f64().unwrap();
        }
        assert_eq!(sum, rewards[i], "the reward is the sum of its parts");
        let value =
            |name: &str| ledger.iter().find(|share| share["feature"] == name).unwrap()["value"].as_f64().unwrap();
        assert_eq!((value("refuses"), value("harms")), (refuses, harms));
        assert_eq!(object["scores"][i], json!(value("class:good")));
        assert_eq!(detail["missing"].as_array().unwrap().len(), 1);
        assert_eq!(detail["missing"][0][0], "polite");
    }
    assert_eq!(object["extra_logs"]["rbr_missing"], json!([1, 1, 0]));
    // Nothing is known of what helps: that is an error, or null for whoever can take it.
    let reply = get_reward(&server, &json!(["I cannot say."]), &json!(["comply"]));
    assert_eq!(reply.status, 503);
    assert!(reply.json()["error"]["message"].as_str().unwrap().contains("says nothing of completion 0"));
    let nulls = json!({"prompts": ["How?"], "completions": ["Like this."], "labels": ["comply"], "missing": "null"});
    assert_eq!(server.post("/get_reward", &nulls).json()["rewards"], json!([null]));
    let refused = |completions: Value, labels: Value, part: &str| {
        let reply = get_reward(&server, &completions, &labels);
        let message = reply.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(reply.status == 400 && message.contains(part), "{} {message}", reply.status);
    };
    refused(json!(["a"]), json!(["soft"]), "no weights for the response type `soft`, but for comply, hard_refuse");
    refused(json!(["a"]), json!([]), "must be as long as");
    refused(json!([7]), json!([""]), "`completions[0]` must be a text");
    assert_eq!(server.metric("tony_rewards_total"), 5);
    assert_eq!(server.stop(), 0);
    // Weights of another policy.
    fs::write(place.path().join("policy.yaml"), POLICY.replace("is it polite", "is it kind")).unwrap();
    place.tony(&format!("{REWARDS} regex:patterns.yaml")).fails(2, &["weights.json"]);
}

#[test]
fn trainers_ask_in_their_own_ways() {
    let place = rewarding();
    let server = Server::start(&place, &format!("{REWARDS} regex:patterns.yaml"));
    let items = json!([
        {"prompt": user("How?"), "completion": "I cannot say.", "label": "hard_refuse"},
        {"prompt": user("How?"), "completion": "Take a bomb.", "label": "hard_refuse"},
        {"prompt": user("What?"), "completion": "A tree.", "label": null},
    ]);
    let python = std::env::var("TONY_PYTHON").unwrap_or_else(|_| "python3".into());
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/reward_client.py");
    let output = match Command::new(&python).args([script, &server.url(), &items.to_string()]).output() {
        Ok(output) => output,
        Err(error) => return eprintln!("skipped: {python} cannot be run: {error}"),
    };
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let seen: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rewards = &seen["many"]["rewards"];
    assert!(rewards[0].as_f64() > rewards[1].as_f64() && rewards[2] == 0.0, "{rewards}");
    for (i, single) in seen["single"].as_array().unwrap().iter().enumerate() {
        assert_eq!((&single["rewards"][0], &single["scores"][0]), (&rewards[i], &seen["many"]["scores"][i]));
        // A trainer makes a tensor of each: lists of numbers, as long as the rewards.
        for logged in single["extra_logs"].as_object().unwrap().values() {
            assert!(logged.as_array().unwrap().len() == 1 && logged[0].is_number(), "{logged}");
        }
        assert_eq!((&seen["verl"][i]["score"], &seen["verl"][i]["rbr_ideal"]), (&rewards[i], &single["scores"][0]));
    }
    assert_eq!((&seen["trl"], &seen["trl_texts"]), (rewards, rewards));
    assert_eq!(seen["trl_metrics"]["rbr_missing"], json!(2.0 / 3.0));
}

#[test]
fn a_reward_server_that_is_asked_too_much_loses_nothing() {
    let place = rewarding();
    let server = Server::start(&place, &format!("{REWARDS} regex:patterns.yaml --queue 4 --batch 2"));
    let answered = AtomicUsize::new(0);
    let refused = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for client in 0..16 {
            let (server, answered, refused) = (&server, &answered, &refused);
            scope.spawn(move || {
                for turn in 0..8 {
                    let cannot = (client + turn) % 2 == 0;
                    let text = if cannot { "I cannot say." } else { "Take a bomb." };
                    loop {
                        let reply = get_reward(server, &json!([text, text]), &json!(["hard_refuse", ""]));
                        if reply.status == 429 {
                            refused.fetch_add(1, Ordering::Relaxed);
                            std::thread::sleep(Duration::from_millis(2));
                            continue;
                        }
                        let detail = &reply.json()["detail"][0]["ledger"];
                        let refuses =
                            detail.as_array().unwrap().iter().find(|share| share["feature"] == "refuses").unwrap();
                        assert_eq!(refuses["value"], json!(if cannot { 0.9 } else { 0.1 }));
                        answered.fetch_add(1, Ordering::Relaxed);
                        break;
                    }
                }
            });
        }
    });
    assert_eq!(answered.into_inner(), 128);
    assert_eq!((server.metric("tony_rewards_total"), server.metric("tony_completions_in_work")), (256, 0));
    // More than it takes at once is never taken.
    let reply = get_reward(&server, &json!(["a", "a", "a", "a", "a"]), &json!(["", "", "", "", ""]));
    assert_eq!(reply.status, 400);
}

/// A grader behind our own server: its context is too short for the question, which is an answer like any other, and missing.
#[test]
fn a_model_behind_a_server_grades() {
    let place = rewarding();
    let model = Server::start(&place, "serve tiny.gguf");
    let grader = format!("{}/v1#tiny --ledger calls.jsonl", model.url());
    let server = Server::start(&place, &format!("{REWARDS} {grader}"));
    let object = get_reward(&server, &json!(["a"]), &json!(["hard_refuse"]));
    // The words of this model are bytes: it says neither yes nor no.
    assert_eq!(object.status, 503, "{}", object.body);
    let message = object.json()["error"]["message"].as_str().unwrap().to_owned();
    assert!(message.contains("neither yes nor no") || message.contains("takes 64 tokens"), "{message}");
    let ledger = fs::read_to_string(place.path().join("calls.jsonl")).unwrap();
    assert_eq!(ledger.lines().count(), 3, "a call for each proposition of the rules: {ledger}");
    place.tony(&format!("{REWARDS} {}/v1", model.url())).fails(2, &["which model of", "#MODEL"]);
    place
        .tony(&format!("{REWARDS} {grader} --api-key-env TONY_TEST_NO_KEY"))
        .fails(2, &["no variable TONY_TEST_NO_KEY"]);
    drop(model);
    let object = get_reward(&server, &json!(["a"]), &json!(["hard_refuse"]));
    assert_eq!((object.status, object.body.contains("no answer")), (503, true), "{}", object.body);
}
