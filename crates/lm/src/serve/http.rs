//! What the servers share: who may ask, how much, how problems are told, what is counted, and how they stop.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::{Body, HttpBody as _};
use axum::extract::{MatchedPath, Request, State};
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, HOST, RETRY_AFTER};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use futures_util::StreamExt as _;
use serde_json::{Map, Value, json};

use crate::{Error, Result};

/// Where a server listens, and to whom.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Name or address of this machine; `127.0.0.1` is heard by nobody else.
    pub host: String,
    /// Port; 0 for any that is free.
    pub port: u16,
    /// Whoever sends one of these may ask; anyone where there is none.
    pub keys: Vec<String>,
    /// How long what runs may go on after a stop was asked for.
    pub grace: Duration,
}

impl Listen {
    /// Keys in a file, one a line.
    pub fn read_keys(path: &std::path::Path) -> Result<Vec<String>> {
        let text = fs_err::read_to_string(path)?;
        let keys: Vec<String> = text.lines().map(str::trim).filter(|key| !key.is_empty()).map(str::to_owned).collect();
        // Fewer characters can be guessed.
        if keys.is_empty() || keys.iter().any(|key| key.len() < 16 || !key.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err(Error::Invalid {
                what: format!("{} must have a key of 16 or more plain characters on each line", path.display()),
                hint: format!("head -c 24 /dev/urandom | base64 > {}", path.display()),
            });
        }
        Ok(keys)
    }
}

/// How long the body of a request may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(30);
/// Seconds after which one who was refused may try again.
const RETRY: u64 = 1;
/// Ends of the classes of seconds that requests take.
const SECONDS: [f64; 12] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0];

/// A request that is not answered, told as `OpenAI`'s servers tell it.
#[derive(Clone, Debug)]
pub(super) struct Problem {
    pub status: StatusCode,
    pub message: String,
    pub param: Option<String>,
    pub code: Option<&'static str>,
}

impl Problem {
    pub fn new(status: StatusCode, message: impl Into<String>) -> Self {
        Self { status, message: message.into(), param: None, code: None }
    }

    /// What was asked cannot be meant.
    pub fn bad(param: &str, code: &'static str, message: impl Into<String>) -> Self {
        let param = Some(param.to_owned()).filter(|param| !param.is_empty());
        Self { param, code: Some(code), ..Self::new(StatusCode::BAD_REQUEST, message) }
    }

    /// Too much is being asked already.
    pub fn busy(message: impl Into<String>) -> Self {
        Self { code: Some("rate_limit_exceeded"), ..Self::new(StatusCode::TOO_MANY_REQUESTS, message) }
    }

    /// The server itself is at fault.
    pub fn failed(message: impl Into<String>) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, message)
    }

    pub fn json(&self) -> Value {
        let kind = match self.status.as_u16() {
            401 => "authentication_error",
            403 => "permission_error",
            429 => "rate_limit_error",
            500.. => "server_error",
            _ => "invalid_request_error",
        };
        json!({"error": {"message": self.message, "type": kind, "param": self.param, "code": self.code}})
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = json_response(self.status, &self.json());
        if [StatusCode::TOO_MANY_REQUESTS, StatusCode::SERVICE_UNAVAILABLE].contains(&self.status) {
            response.headers_mut().insert(RETRY_AFTER, HeaderValue::from(RETRY));
        }
        response
    }
}

pub(super) fn json_response(status: StatusCode, value: &Value) -> Response {
    (status, [(CONTENT_TYPE, "application/json")], value.to_string()).into_response()
}

/// The JSON object in a request's body, of `most` bytes at most.
pub(super) async fn read_object(request: Request, most: usize) -> std::result::Result<Map<String, Value>, Problem> {
    let kind = request.headers().get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    // A page in somebody's browser may send other kinds to this machine without being asked first whether it may.
    if !kind.split(';').next().is_some_and(|kind| kind.trim().eq_ignore_ascii_case("application/json")) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "the content type must be application/json"));
    }
    let late = || Problem::new(StatusCode::REQUEST_TIMEOUT, "the body of the request did not arrive");
    let (mut body, mut bytes, mut length) = (request.into_body().into_data_stream(), Vec::new(), 0);
    let reading = async {
        while let Some(part) = body.next().await {
            let part = part.map_err(|_| late())?;
            length += part.len();
            if length <= most {
                bytes.extend_from_slice(&part);
            } else if length > 8 * most {
                // Who sends a little too much hears why; who sends without end does not.
                break;
            }
        }
        Ok::<(), Problem>(())
    };
    tokio::time::timeout(BODY_TIME, reading).await.map_err(|_| late())??;
    if length > most {
        let what = format!("the body of the request is longer than {most} bytes");
        return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what));
    }
    match serde_json::from_slice(&bytes) {
        Ok(Value::Object(object)) => Ok(object),
        Ok(_) => Err(Problem::bad("", "invalid_json", "the body of the request is no JSON object")),
        Err(error) => Err(Problem::bad("", "invalid_json", format!("the body of the request is no JSON: {error}"))),
    }
}

/// Stands before every request.
pub(super) struct Gate {
    keys: Vec<String>,
    /// Only this machine can reach the server.
    loopback: bool,
    /// Requests that may be inside at a time.
    most: usize,
    inside: AtomicUsize,
    stopping: AtomicBool,
    pub metrics: Metrics,
}

impl Gate {
    fn check(&self, headers: &HeaderMap, path: &str) -> std::result::Result<(), Problem> {
        if self.stopping.load(Ordering::Relaxed) {
            return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping"));
        }
        let header = |name| headers.get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        // A page in somebody's browser can reach this machine under a name of its own (DNS rebinding).
        if self.loopback && self.keys.is_empty() && !header(HOST).is_none_or(is_this_machine) {
            let message = "without a key only requests to localhost or a loopback address are answered";
            return Err(Problem::new(StatusCode::FORBIDDEN, message));
        }
        if self.keys.is_empty() || path == "/health" {
            return Ok(());
        }
        let given = header(AUTHORIZATION).and_then(|value| value.strip_prefix("Bearer ")).unwrap_or_default();
        // All keys are compared, so that the time says nothing of which was near.
        let known = self.keys.iter().fold(false, |known, key| same(given.trim(), key) | known);
        if known {
            return Ok(());
        }
        let message = "the API key is missing or wrong: send `Authorization: Bearer KEY`";
        Err(Problem { code: Some("invalid_api_key"), ..Problem::new(StatusCode::UNAUTHORIZED, message) })
    }
}

/// Whether two texts are the same, in a time that depends on the length of the first alone.
fn same(given: &str, key: &str) -> bool {
    let (given, key) = (given.as_bytes(), key.as_bytes());
    let mut difference = usize::from(given.len() != key.len());
    for (i, byte) in given.iter().enumerate() {
        difference |= usize::from(byte ^ key[i % key.len()]);
    }
    std::hint::black_box(difference) == 0
}

fn is_this_machine(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => host.split(':').next().unwrap_or_default(),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Is inside as long as it lives.
struct Inside(Arc<Gate>);

impl Drop for Inside {
    fn drop(&mut self) {
        self.0.inside.fetch_sub(1, Ordering::Relaxed);
    }
}

async fn guard(State(gate): State<Arc<Gate>>, request: Request, next: Next) -> Response {
    let began = Instant::now();
    let route = request.extensions().get::<MatchedPath>().map_or("other", MatchedPath::as_str).to_owned();
    let inside = gate.inside.fetch_add(1, Ordering::Relaxed);
    let here = Inside(gate.clone());
    let asks = request.method() == Method::POST;
    let response = match gate.check(request.headers(), request.uri().path()) {
        Ok(()) if asks && inside >= gate.most => Problem::busy("too many requests at a time").into_response(),
        Ok(()) => next.run(request).await,
        Err(problem) => problem.into_response(),
    };
    gate.metrics.count(&route, response.status(), began.elapsed());
    if response.body().size_hint().exact().is_some() {
        return response;
    }
    // A stream is inside until its last byte is sent.
    response.map(|body| Body::from_stream(body.into_data_stream().inspect(move |_| _ = &here)))
}

/// What is counted, for Prometheus.
#[derive(Default)]
pub(super) struct Metrics {
    requests: Mutex<BTreeMap<(String, u16), u64>>,
    /// Of each route: requests by class of seconds, and all seconds.
    seconds: Mutex<BTreeMap<String, ([u64; SECONDS.len() + 1], f64)>>,
    counters: Mutex<BTreeMap<&'static str, u64>>,
}

impl Metrics {
    fn count(&self, route: &str, status: StatusCode, time: Duration) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        *requests.entry((route.to_owned(), status.as_u16())).or_default() += 1;
        let mut seconds = self.seconds.lock().unwrap_or_else(PoisonError::into_inner);
        let (classes, sum) = seconds.entry(route.to_owned()).or_insert(([0; SECONDS.len() + 1], 0.0));
        let time = time.as_secs_f64();
        classes[SECONDS.iter().position(|end| time <= *end).unwrap_or(SECONDS.len())] += 1;
        *sum += time;
    }

    /// Count more of a thing whose name ends in `_total`.
    pub fn add(&self, name: &'static str, count: u64) {
        *self.counters.lock().unwrap_or_else(PoisonError::into_inner).entry(name).or_default() += count;
    }

    /// All of them, and what is measured just now.
    pub fn text(&self, now: &[(&str, u64)]) -> String {
        let mut text = "# TYPE tony_requests_total counter\n".to_owned();
        for ((route, status), count) in &*self.requests.lock().unwrap_or_else(PoisonError::into_inner) {
            _ = writeln!(text, "tony_requests_total{{route=\"{route}\",status=\"{status}\"}} {count}");
        }
        text.push_str("# TYPE tony_request_seconds histogram\n");
        for (route, (classes, sum)) in &*self.seconds.lock().unwrap_or_else(PoisonError::into_inner) {
            let mut below = 0;
            let ends = SECONDS.iter().map(f64::to_string).chain(["+Inf".to_owned()]);
            for (count, end) in classes.iter().zip(ends) {
                below += count;
                _ = writeln!(text, "tony_request_seconds_bucket{{route=\"{route}\",le=\"{end}\"}} {below}");
            }
            _ = writeln!(text, "tony_request_seconds_sum{{route=\"{route}\"}} {sum}");
            _ = writeln!(text, "tony_request_seconds_count{{route=\"{route}\"}} {below}");
        }
        for (name, count) in &*self.counters.lock().unwrap_or_else(PoisonError::into_inner) {
            _ = writeln!(text, "# TYPE {name} counter\n{name} {count}");
        }
        for (name, value) in now {
            _ = writeln!(text, "# TYPE {name} gauge\n{name} {value}");
        }
        text
    }
}

pub(super) async fn health() -> Response {
    json_response(StatusCode::OK, &json!({"status": "ok"}))
}

pub(super) fn metrics_response(text: String) -> Response {
    ([(CONTENT_TYPE, "text/plain; version=0.0.4")], text).into_response()
}

/// A server that listens and answers nobody yet.
pub(super) struct Bound {
    listener: std::net::TcpListener,
    pub address: SocketAddr,
    pub gate: Arc<Gate>,
    grace: Duration,
}

/// Begin to listen; `most` requests may be inside at a time.
pub(super) fn bind(listen: &Listen, most: usize) -> Result<Bound> {
    let cannot = |error: std::io::Error| Error::Invalid {
        what: format!("{}:{} cannot be listened on: {error}", listen.host, listen.port),
        hint: "another --host or --port; port 0 takes any that is free".to_owned(),
    };
    let listener = std::net::TcpListener::bind((&*listen.host, listen.port)).map_err(cannot)?;
    listener.set_nonblocking(true)?;
    let address = listener.local_addr()?;
    let gate = Gate {
        keys: listen.keys.clone(),
        loopback: address.ip().is_loopback(),
        most,
        inside: AtomicUsize::new(0),
        stopping: AtomicBool::new(false),
        metrics: Metrics::default(),
    };
    Ok(Bound { listener, address, gate: Arc::new(gate), grace: listen.grace })
}

impl Bound {
    /// Answer until `stop` is set: then no connection is taken any more, and what runs may end within the time of grace. What is left is
    /// dropped before this returns.
    pub fn serve(self, router: Router, stop: &AtomicBool) -> Result<()> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            .max_blocking_threads(4)
            .enable_io()
            .enable_time()
            .build()?;
        let Self { listener, gate, grace, .. } = self;
        let router = router
            .fallback(|| async { Problem::new(StatusCode::NOT_FOUND, "there is nothing at this address") })
            .method_not_allowed_fallback(|| async {
                Problem::new(StatusCode::METHOD_NOT_ALLOWED, "this address takes another method")
            })
            .layer(axum::middleware::from_fn_with_state(gate.clone(), guard));
        let (say, mut told) = tokio::sync::watch::channel(false);
        let ended: std::io::Result<()> = runtime.block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener)?;
            let stopped = async move { _ = told.wait_for(|stopping| *stopping).await };
            let mut serving = tokio::spawn(axum::serve(listener, router).with_graceful_shutdown(stopped).into_future());
            while !stop.load(Ordering::Relaxed) {
                if let Ok(ended) = tokio::time::timeout(Duration::from_millis(50), &mut serving).await {
                    return ended.unwrap_or(Ok(()));
                }
            }
            gate.stopping.store(true, Ordering::Relaxed);
            _ = say.send(true);
            // Late ones are dropped with the runtime.
            _ = tokio::time::timeout(grace, serving).await;
            Ok(())
        });
        runtime.shutdown_timeout(Duration::from_secs(1));
        Ok(ended?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_the_same_or_not() {
        assert!(same("secret", "secret"));
        for other in ["", "s", "secre", "secrets", "secretsecret", "Secret", "secreT"] {
            assert!(!same(other, "secret"), "{other}");
        }
    }

    #[test]
    fn names_of_this_machine() {
        for host in ["localhost", "LOCALHOST:8000", "127.0.0.1:1", "127.1.2.3", "[::1]:8000", "[::1]"] {
            assert!(is_this_machine(host), "{host}");
        }
        for host in ["", "example.org", "localhost.example.org:80", "10.0.0.1", "[::2]:1", "127.0.0.1.example.org"] {
            assert!(!is_this_machine(host), "{host}");
        }
    }

    #[test]
    fn what_is_counted_can_be_read() {
        let metrics = Metrics::default();
        metrics.count("/a", StatusCode::OK, Duration::from_millis(30));
        metrics.count("/a", StatusCode::OK, Duration::from_secs(100));
        metrics.add("tony_tokens_total", 3);
        let text = metrics.text(&[("tony_running", 2)]);
        for line in [
            "tony_requests_total{route=\"/a\",status=\"200\"} 2",
            "tony_request_seconds_bucket{route=\"/a\",le=\"0.025\"} 0",
            "tony_request_seconds_bucket{route=\"/a\",le=\"0.05\"} 1",
            "tony_request_seconds_bucket{route=\"/a\",le=\"+Inf\"} 2",
            "tony_request_seconds_count{route=\"/a\"} 2",
            "tony_tokens_total 3",
            "tony_running 2",
        ] {
            assert!(text.lines().any(|known| known == line), "{line} is missing in {text}");
        }
    }
}
