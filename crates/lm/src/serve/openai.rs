//! A language model behind `OpenAI`'s interface: `/v1/chat/completions`, `/v1/completions`, `/v1/models`, and `/health`, `/metrics`.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::Sender;
use std::sync::{Arc, mpsc};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Path, Request, State};
use axum::http::StatusCode;
use axum::response::sse::{Event as Sent, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use tokio::sync::Semaphore;
use tokio::sync::mpsc::UnboundedReceiver;

use super::StopAtEnd;
use super::asked::Asked;
use super::engine::{self, Job, Said};
use super::http::{Gate, Listen, Problem, bind, health, json_response, metrics_response, read_object};
use crate::{Event, Finish, Model, Result};

/// How a model is served.
#[derive(Clone, Debug)]
pub struct ServeModel {
    /// Where.
    pub listen: Listen,
    /// What the model is called.
    pub name: String,
    /// Answers that are written side by side.
    pub parallel: usize,
    /// Answers that may wait; beyond them requests are refused.
    pub queue: usize,
    /// Memory for what is kept of requests that ended, in bytes: later ones that begin alike read only what is new.
    pub memory: usize,
}

/// Longest body of a request: texts of several hundred thousand tokens.
const LONGEST_BODY: usize = 2 << 20;

struct Served {
    model: Arc<Model>,
    name: String,
    jobs: Sender<Job>,
    places: Arc<Semaphore>,
    all_places: usize,
    gate: Arc<Gate>,
    began: u64,
    number: AtomicU64,
}

/// Serve until `stop` is set and what runs has ended, or its time of grace has. `ready` is told the address. Computes in the thread that calls.
pub fn serve_model(
    model: &Arc<Model>,
    options: &ServeModel,
    stop: &AtomicBool,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    let all_places = options.parallel.max(1) + options.queue;
    // Each request that waits for places to be told so may have its body in memory.
    let bound = bind(&options.listen, all_places + 64)?;
    let (jobs, receiver) = mpsc::channel();
    let gate = bound.gate.clone();
    let served = Arc::new(Served {
        model: model.clone(),
        name: options.name.clone(),
        jobs,
        places: Arc::new(Semaphore::new(all_places)),
        all_places,
        gate: gate.clone(),
        began: now(),
        number: AtomicU64::new(0),
    });
    let router = Router::new()
        .route("/v1/chat/completions", post(chat))
        .route("/v1/completions", post(complete))
        .route("/v1/models", get(models))
        .route("/v1/models/{*name}", get(one_model))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(served);
    ready(bound.address);
    std::thread::scope(|scope| {
        let http = scope.spawn(|| bound.serve(router, stop));
        let ended = StopAtEnd(stop);
        engine::run(model, &receiver, options.parallel, options.memory, &gate.metrics);
        drop(ended);
        http.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

/// Seconds since 1970.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |time| time.as_secs())
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let taken = (served.all_places - served.places.available_permits()) as u64;
    metrics_response(served.gate.metrics.text(&[("tony_answers_in_work", taken)]))
}

impl Served {
    fn described(&self) -> Value {
        json!({"id": self.name, "object": "model", "created": self.began, "owned_by": "tony"})
    }
}

async fn models(State(served): State<Arc<Served>>) -> Response {
    json_response(StatusCode::OK, &json!({"object": "list", "data": [served.described()]}))
}

async fn one_model(State(served): State<Arc<Served>>, Path(name): Path<String>) -> Response {
    if name == served.name {
        return json_response(StatusCode::OK, &served.described());
    }
    let message = format!("the model `{name}` is not here; this server has `{}`", served.name);
    let problem = Problem::bad("model", "model_not_found", message);
    Problem { status: StatusCode::NOT_FOUND, ..problem }.into_response()
}

async fn chat(State(served): State<Arc<Served>>, request: Request) -> Response {
    answer(&served, request, Kind::Chat).await.unwrap_or_else(Problem::into_response)
}

async fn complete(State(served): State<Arc<Served>>, request: Request) -> Response {
    answer(&served, request, Kind::Text).await.unwrap_or_else(Problem::into_response)
}

/// Which of the two interfaces.
#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Chat,
    Text,
}

async fn answer(served: &Arc<Served>, request: Request, kind: Kind) -> std::result::Result<Response, Problem> {
    let object = read_object(request, LONGEST_BODY).await?;
    let asked = match kind {
        Kind::Chat => Asked::chat(object, &served.name)?,
        Kind::Text => Asked::completion(object, &served.name)?,
    };
    let answers = asked.answers();
    if answers > served.all_places {
        let message = format!("this server takes {} answers at a time, and {answers} are asked for", served.all_places);
        return Err(Problem::bad("n", "invalid_value", message));
    }
    let places = served.places.clone().try_acquire_many_owned(answers as u32);
    let places = places.map_err(|_| Problem::busy("as many answers are waited for as this server takes"))?;
    // Reading a long text takes a while: other requests are not to wait for it.
    let model = served.model.clone();
    let read = tokio::task::spawn_blocking(move || {
        let prompts = asked.tokens(&model)?;
        let requests = asked.requests(&prompts, &model)?;
        // The places come along: a client that leaves now does not free them for more of this work.
        Ok::<_, Problem>((asked, prompts.iter().map(Vec::len).sum::<usize>(), requests, places))
    });
    let (asked, prompt_tokens, requests, places) = read.await.map_err(|error| Problem::failed(error.to_string()))??;
    served.gate.metrics.add("tony_prompt_tokens_total", prompt_tokens as u64);
    let (reply, said) = tokio::sync::mpsc::unbounded_channel();
    let job = Job { requests, likeliest: asked.logprobs.unwrap_or(0), reply, places };
    served.jobs.send(job).map_err(|_| Problem::failed("the model does not answer any more"))?;
    let number = served.number.fetch_add(1, Ordering::Relaxed);
    let prefix = if kind == Kind::Chat { "chatcmpl" } else { "cmpl" };
    let writing = Writing {
        served: served.clone(),
        kind,
        id: format!("{prefix}-{:x}-{number}", served.began),
        created: now(),
        prompt_tokens,
        reused: vec![None; answers],
        written: 0,
        open: answers,
        offsets: vec![0; answers],
        asked,
    };
    if writing.asked.stream { Ok(stream(writing, said)) } else { whole(writing, said).await }
}

/// An answer in the making.
struct Writing {
    served: Arc<Served>,
    kind: Kind,
    asked: Asked,
    id: String,
    created: u64,
    prompt_tokens: usize,
    /// Of each answer: tokens of its prompt that were not read anew.
    reused: Vec<Option<usize>>,
    written: usize,
    /// Answers that have not ended.
    open: usize,
    /// Of each answer: characters of the tokens so far.
    offsets: Vec<usize>,
}

impl Writing {
    /// Count a token, and tell its log-probabilities where they are wanted, in the form of this interface.
    fn take(&mut self, request: usize, event: &Event) -> Option<Value> {
        self.written += 1;
        if self.reused[request].is_none() {
            self.reused[request] = Some(event.reused);
            self.served.gate.metrics.add("tony_reused_tokens_total", event.reused as u64);
        }
        self.open -= usize::from(event.finish.is_some());
        let model = &self.served.model;
        // What ends an answer is no part of it.
        if self.asked.logprobs.is_none() || model.decoder.config().ends.contains(&event.choice.token) {
            return None;
        }
        let told = |token: u32, logprob: f64| {
            let bytes = model.tokenizer.spelled(token);
            json!({"token": shown(bytes), "logprob": finite(logprob), "bytes": bytes})
        };
        if self.kind == Kind::Chat {
            let mut token = told(event.choice.token, event.choice.logprob);
            token["top_logprobs"] = event.likeliest.iter().map(|(token, logprob)| told(*token, *logprob)).collect();
            return Some(token);
        }
        let name = |token: u32| shown(model.tokenizer.spelled(token));
        let chosen = (event.choice.token, event.choice.logprob);
        let mut top: Map<String, Value> = Map::new();
        for (token, logprob) in event.likeliest.iter().chain([&chosen]) {
            top.entry(name(*token)).or_insert(finite(*logprob));
        }
        let offset = self.offsets[request];
        self.offsets[request] += String::from_utf8_lossy(model.tokenizer.spelled(chosen.0)).chars().count();
        let top = if self.asked.logprobs == Some(0) { Value::Null } else { top.into() };
        Some(json!({"token": name(chosen.0), "logprob": finite(chosen.1), "top": top, "offset": offset}))
    }

    /// What [`Self::take`] told of some tokens, as one object.
    fn logprobs(&self, told: &[Value]) -> Value {
        if self.asked.logprobs.is_none() {
            return Value::Null;
        }
        if self.kind == Kind::Chat {
            return json!({"content": told, "refusal": null});
        }
        let column = |key: &str| told.iter().map(|token| token[key].clone()).collect::<Value>();
        json!({
            "tokens": column("token"), "token_logprobs": column("logprob"), "top_logprobs": column("top"),
            "text_offset": column("offset"),
        })
    }

    fn object(&self, chunk: bool) -> Map<String, Value> {
        let object = match (self.kind, chunk) {
            (Kind::Text, _) => "text_completion",
            (Kind::Chat, false) => "chat.completion",
            (Kind::Chat, true) => "chat.completion.chunk",
        };
        let version = concat!("tony-", env!("CARGO_PKG_VERSION"));
        let object = json!({
            "id": self.id, "object": object, "created": self.created, "model": self.served.name,
            "system_fingerprint": version, "seed": self.asked.seed,
        });
        match object {
            Value::Object(object) => object,
            _ => Map::new(),
        }
    }

    fn usage(&self) -> Value {
        let reused = self.reused.iter().step_by(self.asked.n).flatten().sum::<usize>();
        json!({
            "prompt_tokens": self.prompt_tokens, "completion_tokens": self.written,
            "total_tokens": self.prompt_tokens + self.written, "prompt_tokens_details": {"cached_tokens": reused},
        })
    }

    /// A part of a stream.
    fn chunk(&self, choices: Value) -> Value {
        let mut object = self.object(true);
        let last = choices.as_array().is_some_and(Vec::is_empty);
        object.insert("choices".to_owned(), choices);
        if self.asked.usage {
            object.insert("usage".to_owned(), if last { self.usage() } else { Value::Null });
        }
        object.into()
    }
}

/// A token as text; bytes that are no text in the form that `OpenAI` writes them in.
fn shown(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().fold("bytes:".to_owned(), |text, byte| format!("{text}\\x{byte:02x}")),
    }
}

/// JSON has no infinity; -9999 is what stands for a token that cannot be.
fn finite(logprob: f64) -> Value {
    logprob.max(-9999.0).into()
}

fn why(finish: Option<Finish>) -> Value {
    match finish {
        None => Value::Null,
        Some(Finish::Stop) => "stop".into(),
        // The protocol has no other word for an answer that is not complete.
        Some(Finish::Length | Finish::Stuck) => "length".into(),
    }
}

/// The answers, when all have ended.
async fn whole(mut writing: Writing, mut said: UnboundedReceiver<Said>) -> std::result::Result<Response, Problem> {
    let mut texts = vec![String::new(); writing.open];
    let mut logprobs = vec![Vec::new(); writing.open];
    let mut finishes = vec![None; writing.open];
    while writing.open > 0 {
        match said.recv().await {
            Some(Said::Token { request, event }) => {
                logprobs[request].extend(writing.take(request, &event));
                texts[request].push_str(&event.text);
                finishes[request] = event.finish;
            }
            Some(Said::Failed(what)) => return Err(Problem::failed(what)),
            None => return Err(Problem::failed("the model does not answer any more")),
        }
    }
    let choice = |(i, ((text, told), finish)): (usize, ((String, Vec<Value>), Option<Finish>))| {
        let mut choice = json!({"index": i, "finish_reason": why(finish), "logprobs": writing.logprobs(&told)});
        match writing.kind {
            Kind::Chat => choice["message"] = json!({"role": "assistant", "content": text, "refusal": null}),
            Kind::Text => choice["text"] = text.into(),
        }
        choice
    };
    let choices: Value = texts.into_iter().zip(logprobs).zip(finishes).enumerate().map(choice).collect();
    let mut object = writing.object(false);
    object.insert("choices".to_owned(), choices);
    object.insert("usage".to_owned(), writing.usage());
    Ok(json_response(StatusCode::OK, &object.into()))
}

/// What is left to send of a stream.
enum Left {
    /// The beginnings of the messages.
    Roles,
    Tokens,
    Usage,
    Done,
    Nothing,
}

/// The answers, as their texts become certain.
fn stream(writing: Writing, said: UnboundedReceiver<Said>) -> Response {
    let left = if writing.kind == Kind::Chat { Left::Roles } else { Left::Tokens };
    let parts = futures_util::stream::unfold((writing, said, left), |(mut writing, mut said, mut left)| async move {
        loop {
            let (text, next) = match left {
                Left::Roles => {
                    let role =
                        |i| json!({"index": i, "delta": {"role": "assistant", "content": ""}, "finish_reason": null});
                    (writing.chunk((0..writing.open).map(role).collect()).to_string(), Left::Tokens)
                }
                Left::Tokens if writing.open == 0 => {
                    left = if writing.asked.usage { Left::Usage } else { Left::Done };
                    continue;
                }
                Left::Tokens => match said.recv().await {
                    Some(Said::Token { request, event }) => {
                        let told: Vec<Value> = writing.take(request, &event).into_iter().collect();
                        if event.text.is_empty() && event.finish.is_none() && told.is_empty() {
                            continue;
                        }
                        let logprobs = writing.logprobs(&told);
                        let mut choice =
                            json!({"index": request, "finish_reason": why(event.finish), "logprobs": logprobs});
                        match writing.kind {
                            Kind::Chat if event.text.is_empty() => choice["delta"] = json!({}),
                            Kind::Chat => choice["delta"] = json!({"content": event.text}),
                            Kind::Text => choice["text"] = event.text.into(),
                        }
                        (writing.chunk(json!([choice])).to_string(), Left::Tokens)
                    }
                    Some(Said::Failed(what)) => (Problem::failed(what).json().to_string(), Left::Nothing),
                    None => {
                        let problem = Problem::failed("the model does not answer any more");
                        (problem.json().to_string(), Left::Nothing)
                    }
                },
                Left::Usage => (writing.chunk(json!([])).to_string(), Left::Done),
                Left::Done => ("[DONE]".to_owned(), Left::Nothing),
                Left::Nothing => return None,
            };
            return Some((Ok::<_, Infallible>(Sent::default().data(text)), (writing, said, next)));
        }
    });
    // A client that is gone is noticed when something is sent to it, while it waits in the queue, too.
    Sse::new(parts).keep_alive(KeepAlive::new().interval(Duration::from_secs(10))).into_response()
}
