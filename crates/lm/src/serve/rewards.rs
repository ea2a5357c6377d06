//! Rewards of rules behind `OpenRLHF`'s remote-reward protocol.
//!
//! `POST /get_reward` with `{"query": [..], "prompts": [..], "labels": [..]}`, where a query is the prompt's text followed by the
//! completion's, both with the marks of the chat template; or, from our own Python functions, with `completions` (texts, or lists with one
//! message of the assistant) instead of `query`, and prompts that may be lists of messages. A label is the response type that the prompt
//! should get; or JSON, `{"response_type": .., "prompt": [messages]}`; null or an empty text for a prompt to which no rule applies. The
//! reply is `{"rewards", "scores", "extra_logs", "detail"}`, a number or an object for each.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::mpsc::{Receiver, Sender};
use std::sync::{Arc, mpsc};

use axum::Router;
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::{Map, Value, json};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use super::StopAtEnd;
use super::http::{Gate, Listen, Metrics, Problem, bind, health, json_response, metrics_response, read_object};
use crate::rbr::{Ask, Item, Reward, Rewarder};
use crate::{Message, Result};

/// How rewards are served.
#[derive(Clone, Debug)]
pub struct ServeRewards {
    /// Where.
    pub listen: Listen,
    /// Completions that may be inside at a time; beyond them requests are refused.
    pub queue: usize,
    /// Completions that are graded together.
    pub batch: usize,
    /// What ends a completion's text and is no part of it.
    pub end_marks: Vec<String>,
}

/// Longest body of a request: some thousand long conversations.
const LONGEST_BODY: usize = 32 << 20;

/// Ends of answers in the templates of usual models.
pub const END_MARKS: [&str; 9] = [
    "<|im_end|>",
    "<|endoftext|>",
    "<|eot_id|>",
    "<|end_of_text|>",
    "<|end|>",
    "<end_of_turn>",
    "<eos>",
    "</s>",
    "<|return|>",
];

/// A completion with the label of its prompt, which the thread that knows the rules reads.
struct Unread {
    item: Item,
    label: Option<String>,
}

struct Job {
    items: Vec<Unread>,
    reply: oneshot::Sender<std::result::Result<Vec<Reward>, Problem>>,
    /// Free when this is dropped.
    places: OwnedSemaphorePermit,
}

struct Served {
    jobs: Sender<Job>,
    places: Arc<Semaphore>,
    queue: usize,
    end_marks: Vec<String>,
    gate: Arc<Gate>,
}

/// Serve until `stop` is set and what runs has ended, or its time of grace has. `ready` is told the address. Grades in the thread that calls.
pub fn serve_rewards(
    rewarder: &mut Rewarder,
    options: &ServeRewards,
    stop: &AtomicBool,
    ready: impl FnOnce(SocketAddr),
) -> Result<()> {
    let bound = bind(&options.listen, options.queue + 16)?;
    let (jobs, receiver) = mpsc::channel();
    let gate = bound.gate.clone();
    let served = Served {
        jobs,
        places: Arc::new(Semaphore::new(options.queue)),
        queue: options.queue,
        end_marks: options.end_marks.clone(),
        gate: gate.clone(),
    };
    let router = Router::new()
        .route("/get_reward", post(reward))
        .route("/health", get(health))
        .route("/metrics", get(metrics))
        .with_state(Arc::new(served));
    ready(bound.address);
    std::thread::scope(|scope| {
        let http = scope.spawn(|| bound.serve(router, stop));
        let ended = StopAtEnd(stop);
        run(rewarder, &receiver, options.batch, &gate.metrics);
        drop(ended);
        http.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
    })
}

async fn metrics(State(served): State<Arc<Served>>) -> Response {
    let taken = (served.queue - served.places.available_permits()) as u64;
    metrics_response(served.gate.metrics.text(&[("tony_completions_in_work", taken)]))
}

async fn reward(State(served): State<Arc<Served>>, request: Request) -> Response {
    answer(&served, request).await.unwrap_or_else(Problem::into_response)
}

async fn answer(served: &Served, request: Request) -> std::result::Result<Response, Problem> {
    let object = read_object(request, LONGEST_BODY).await?;
    let (items, nulls) = read(&object, &served.end_marks)?;
    if items.len() > served.queue {
        let what = format!("{} completions are more than the {} that this server takes", items.len(), served.queue);
        return Err(Problem::bad("query", "invalid_value", what));
    }
    let places = served.places.clone().try_acquire_many_owned(items.len() as u32);
    let places = places.map_err(|_| Problem::busy("as many completions are waited for as this server takes"))?;
    let (reply, told) = oneshot::channel();
    let gone = || Problem::failed("nobody grades any more");
    served.jobs.send(Job { items, reply, places }).map_err(|_| gone())?;
    let rewards = told.await.map_err(|_| gone())??;
    if !nulls && let Some(i) = rewards.iter().position(|reward| reward.reward.is_none()) {
        let why = rewards[i].missing.first().map(|(_, why)| why.as_str()).unwrap_or_default();
        let what = format!("the grader says nothing of completion {i}: {why}");
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, what));
    }
    let column = |value: &dyn Fn(&Reward) -> Value| rewards.iter().map(value).collect::<Value>();
    let numbers = column(&|reward| reward.reward.into());
    let object = json!({
        "rewards": numbers,
        "scores": column(&|reward| reward.ideal.into()),
        "extra_logs": {
            "rbr_reward": numbers,
            "rbr_ideal": column(&|reward| reward.ideal.into()),
            "rbr_missing": column(&|reward| reward.missing.len().into()),
            "rbr_outside": column(&|reward| reward.outside.into()),
        },
        "detail": rewards,
    });
    Ok(json_response(StatusCode::OK, &object))
}

/// Grade until nobody can ask any more; what waits is graded together.
fn run(rewarder: &mut Rewarder, jobs: &Receiver<Job>, batch: usize, metrics: &Metrics) {
    while let Ok(first) = jobs.recv() {
        let mut together = vec![first];
        let mut count = together[0].items.len();
        while count < batch
            && let Ok(job) = jobs.try_recv()
        {
            count += job.items.len();
            together.push(job);
        }
        let mut asks: Vec<Ask> = Vec::new();
        let mut waiting = Vec::new();
        // Nobody waits for what a client that is gone wanted.
        for job in together.into_iter().filter(|job| !job.reply.is_closed()) {
            match job.items.into_iter().map(|item| resolve(rewarder, item)).collect::<std::result::Result<Vec<_>, _>>()
            {
                Ok(items) => {
                    waiting.push((job.reply, items.len(), job.places));
                    asks.extend(items);
                }
                Err(problem) => _ = job.reply.send(Err(problem)),
            }
        }
        match rewarder.rewards(&asks) {
            Ok(rewards) => {
                metrics.add("tony_rewards_total", rewards.len() as u64);
                metrics
                    .add("tony_verdicts_missing_total", rewards.iter().map(|reward| reward.missing.len() as u64).sum());
                let mut rewards = rewards.into_iter();
                for (reply, count, _places) in waiting {
                    _ = reply.send(Ok(rewards.by_ref().take(count).collect()));
                }
            }
            Err(error) => {
                for (reply, ..) in waiting {
                    _ = reply.send(Err(Problem::failed(error.to_string())));
                }
            }
        }
    }
}

fn resolve(rewarder: &Rewarder, unread: Unread) -> std::result::Result<Ask, Problem> {
    let response = match &unread.label {
        None => None,
        Some(label) => {
            let known = rewarder.response_type(label).map(str::to_owned);
            Some(known.map_err(|what| Problem::bad("labels", "invalid_value", what))?)
        }
    };
    Ok(Ask { item: unread.item, response })
}

/// The completions of a request, and whether those without a verdict are to be null instead of an error.
fn read(object: &Map<String, Value>, end_marks: &[String]) -> std::result::Result<(Vec<Unread>, bool), Problem> {
    let known = ["query", "prompts", "labels", "completions", "missing"];
    if let Some(name) = object.keys().find(|name| !known.contains(&name.as_str())) {
        return Err(Problem::bad(name, "unknown_parameter", format!("there is no parameter `{name}`")));
    }
    let list = |name: &str| object.get(name).and_then(Value::as_array);
    let bad = |name: &str, what: &str| Problem::bad(name, "invalid_value", format!("`{name}` {what}"));
    let nulls = match object.get("missing") {
        None => false,
        Some(value) if value == "null" => true,
        Some(_) => return Err(bad("missing", "must be \"null\"")),
    };
    let prompts = list("prompts").ok_or_else(|| bad("prompts", "must be a list"))?;
    let labels = list("labels").ok_or_else(|| bad("labels", "must be a list"))?;
    let (name, answers) = match (list("query"), list("completions")) {
        (Some(list), None) => ("query", list),
        (None, Some(list)) => ("completions", list),
        _ => return Err(bad("query", "must be a list; or `completions`, but not both")),
    };
    if prompts.len() != answers.len() || labels.len() != answers.len() {
        return Err(bad(name, "must be as long as `prompts` and `labels`"));
    }
    let mut items = Vec::new();
    for (i, ((prompt, answer), label)) in prompts.iter().zip(answers).zip(labels).enumerate() {
        let at = |name: &str, what: &str| bad(&format!("{name}[{i}]"), what);
        let completion = if name == "query" {
            let (query, prompt) = (answer.as_str(), prompt.as_str());
            let (Some(query), Some(prompt)) = (query, prompt) else {
                return Err(at("query", "must be a text, and so must its prompt"));
            };
            completion_of(query, prompt, end_marks).ok_or_else(|| at("query", "does not begin with its prompt"))?
        } else {
            let text = match answer {
                Value::String(text) => Some(text.as_str()),
                other => read_messages(other).filter(|list| list.len() == 1).and_then(|_| other[0]["content"].as_str()),
            };
            let text = text.ok_or_else(|| at("completions", "must be a text, or a list with one message"))?;
            without_end(text, end_marks).to_owned()
        };
        let mut prompt = match prompt {
            Value::String(text) => vec![Message { role: "user".to_owned(), content: text.clone() }],
            other => read_messages(other).ok_or_else(|| at("prompts", "must be a text or a list of messages"))?,
        };
        let label = match label {
            Value::Null => None,
            Value::String(text) if text.trim().is_empty() => None,
            Value::String(text) if text.trim_start().starts_with('{') => {
                let object: Value =
                    serde_json::from_str(text).map_err(|_| at("labels", "looks like JSON and is none"))?;
                Some(read_label(&object, &mut prompt).ok_or_else(|| at("labels", LABEL))?)
            }
            Value::String(text) => Some(text.clone()),
            object => Some(read_label(object, &mut prompt).ok_or_else(|| at("labels", LABEL))?),
        };
        items.push(Unread { item: Item { prompt, completion }, label });
    }
    Ok((items, nulls))
}

const LABEL: &str = "must be a response type, or {\"response_type\": .., \"prompt\": [messages]}";

fn read_label(object: &Value, prompt: &mut Vec<Message>) -> Option<String> {
    if !object["prompt"].is_null() {
        *prompt = read_messages(&object["prompt"])?;
    }
    object["response_type"].as_str().map(str::to_owned)
}

fn read_messages(value: &Value) -> Option<Vec<Message>> {
    let text = |message: &Value, key: &str| message[key].as_str().map(str::to_owned);
    value.as_array()?.iter().map(|m| Some(Message { role: text(m, "role")?, content: text(m, "content")? })).collect()
}

/// What follows the prompt in a query. A trainer cuts a long prompt at its beginning, so the query may begin with the prompt's end only.
fn completion_of(query: &str, prompt: &str, end_marks: &[String]) -> Option<String> {
    let rest = query.strip_prefix(prompt).or_else(|| {
        let overlap = overlap(prompt.as_bytes(), query.as_bytes());
        // A few letters agree by accident.
        (overlap >= 16).then(|| query.get(overlap..)).flatten()
    })?;
    Some(without_end(rest, end_marks).to_owned())
}

/// Length of the longest end of `a` with which `b` begins, in a time linear in both (Knuth, Morris, Pratt).
fn overlap(a: &[u8], b: &[u8]) -> usize {
    if b.is_empty() {
        return 0;
    }
    let mut fallback = vec![0; b.len()];
    for i in 1..b.len() {
        let mut k = fallback[i - 1];
        while k > 0 && b[i] != b[k] {
            k = fallback[k - 1];
        }
        fallback[i] = k + usize::from(b[i] == b[k]);
    }
    let mut matched = 0;
    for byte in a {
        while matched > 0 && (matched == b.len() || *byte != b[matched]) {
            matched = fallback[matched - 1];
        }
        matched += usize::from(*byte == b[matched]);
    }
    matched
}

/// A completion without the marks and blanks at its end.
fn without_end<'a>(text: &'a str, end_marks: &[String]) -> &'a str {
    let mut text = text.trim_end();
    while let Some(rest) = end_marks.iter().find_map(|mark| text.strip_suffix(mark.as_str())) {
        text = rest.trim_end();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn marks() -> Vec<String> {
        END_MARKS.map(str::to_owned).to_vec()
    }

    #[test]
    fn a_completion_is_what_follows_its_prompt() {
        let prompt = "<|im_start|>user\nHow do I bake bread?<|im_end|>\n<|im_start|>assistant\n";
        let whole = |rest: &str| completion_of(&format!("{prompt}{rest}"), prompt, &marks());
        assert_eq!(whole("With flour.<|im_end|>\n<|endoftext|>").as_deref(), Some("With flour."));
        assert_eq!(whole("").as_deref(), Some(""));
        // What a completion says of marks in its middle stays.
        assert_eq!(whole("a<|im_end|>b</s>").as_deref(), Some("a<|im_end|>b"));
        let cut = &format!("{prompt}With flour.")[20..];
        assert_eq!(completion_of(cut, prompt, &marks()).as_deref(), Some("With flour."));
        assert_eq!(completion_of("Something else.", prompt, &marks()), None);
        assert_eq!(completion_of("", prompt, &marks()), None);
    }

    #[test]
    fn ends_overlap_beginnings() {
        let slow = |a: &[u8], b: &[u8]| (0..=a.len().min(b.len())).rev().find(|n| a[a.len() - n..] == b[..*n]).unwrap();
        let mut stream = tony_random::Stream::new(3, "overlap", 0);
        for _ in 0..2000 {
            let mut text = |most| (0..stream.below(most)).map(|_| b"ab"[stream.below(2)]).collect::<Vec<u8>>();
            let (a, b) = (text(12), text(12));
            assert_eq!(overlap(&a, &b), slow(&a, &b), "{a:?} {b:?}");
        }
    }

    #[test]
    fn requests_are_read_as_they_are_meant() {
        let read = |value: Value| read(value.as_object().unwrap(), &marks());
        let (items, nulls) =
            read(json!({"query": ["ab<|end|>", "ab"], "prompts": ["a", "a"], "labels": ["Hard Refuse", null]}))
                .unwrap();
        assert_eq!(
            (items[0].item.completion.as_str(), items[0].label.as_deref(), nulls),
            ("b", Some("Hard Refuse"), false)
        );
        assert_eq!((items[0].item.prompt[0].content.as_str(), items[1].label.as_deref()), ("a", None));
        let label = r#"{"response_type": "comply", "prompt": [{"role": "user", "content": "hi"}]}"#;
        let (items, _) = read(json!({"query": ["ab"], "prompts": ["a"], "labels": [label]})).unwrap();
        assert_eq!((items[0].item.prompt[0].content.as_str(), items[0].label.as_deref()), ("hi", Some("comply")));
        let said = json!([{"role": "assistant", "content": "b"}]);
        let asked = json!([{"role": "user", "content": "a"}]);
        let (items, nulls) =
            read(json!({"completions": [said], "prompts": [asked], "labels": [""], "missing": "null"})).unwrap();
        assert_eq!((items[0].item.completion.as_str(), items[0].label.is_none(), nulls), ("b", true, true));
        for bad in [
            json!({}),
            json!({"query": ["a"], "prompts": [], "labels": []}),
            json!({"query": ["a"], "completions": ["a"], "prompts": ["a"], "labels": [""]}),
            json!({"query": [1], "prompts": ["a"], "labels": [""]}),
            json!({"query": ["b"], "prompts": ["a"], "labels": [""]}),
            json!({"query": ["a"], "prompts": ["a"], "labels": ["{"]}),
            json!({"query": ["a"], "prompts": ["a"], "labels": [7]}),
            json!({"query": ["a"], "prompts": ["a"], "labels": [""], "reward": [1]}),
            json!({"completions": ["a"], "prompts": [[{"role": "user"}]], "labels": [""]}),
        ] {
            assert!(read(bad.clone()).is_err(), "{bad}");
        }
    }
}
