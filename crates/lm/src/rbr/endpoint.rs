//! A grader behind any server that speaks `OpenAI`'s protocol.
//!
//! Each question is one call: the conversation, then the policy's question as a message of the user. The probability of yes is taken from
//! the log-probabilities of the answer's first token, summed over the spellings of yes and of no. Where the server tells none, the first word
//! of the answer must be yes or no; anything else is missing. Nothing in a completion can be taken for a verdict: verdicts are read from the
//! fields of the server's reply alone.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{self, Sender};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tony_random::Stream;
use ureq::http::{HeaderMap, StatusCode};

use super::grader::{Grader, Question, Verdict};
use super::policy::Policy;
use crate::{Error, Message, Result};

/// A server, and how it is asked.
#[derive(Clone, Debug)]
pub struct Endpoint {
    /// Address up to `/v1`, as `http://127.0.0.1:8000/v1`.
    pub url: String,
    /// The model's name there.
    pub model: String,
    /// Environment variable that has the API key; none is sent without one.
    pub key_variable: Option<String>,
    /// Calls at a time.
    pub concurrency: usize,
    /// Calls to one question after the first, where that failed.
    pub retries: u32,
    /// Time of one call.
    pub timeout: Duration,
    /// Wait before the second call to a question; doubled with each further one. A server's own `Retry-After` counts where it is longer.
    pub backoff: Duration,
    /// Most calls, those in the ledger counted.
    pub max_calls: Option<u64>,
    /// A file to which each call is written when it has ended: one JSON object a line, without any text.
    pub ledger: Option<PathBuf>,
}

impl Endpoint {
    /// A server of which nothing else is known.
    pub fn new(url: &str, model: &str) -> Self {
        Self {
            url: url.trim_end_matches('/').to_owned(),
            model: model.to_owned(),
            key_variable: None,
            concurrency: 8,
            retries: 4,
            timeout: Duration::from_mins(2),
            backoff: Duration::from_millis(500),
            max_calls: None,
            ledger: None,
        }
    }
}

/// What was spent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Spent {
    /// Calls, with those that failed.
    pub calls: u64,
    /// Calls that brought nothing.
    pub failures: u64,
    /// Tokens that were read.
    pub prompt_tokens: u64,
    /// Tokens that were written.
    pub completion_tokens: u64,
}

/// A line of the ledger.
#[derive(Debug, Serialize, Deserialize)]
struct Call {
    /// Seconds since 1970.
    time: u64,
    model: String,
    proposition: String,
    /// Which call to this question, from 1.
    attempt: u32,
    /// What the server said; 0 where it said nothing.
    status: u16,
    /// Why it brought nothing.
    failure: Option<String>,
    seconds: f64,
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// Asks a server.
#[derive(Debug)]
pub struct EndpointGrader {
    endpoint: Endpoint,
    agent: ureq::Agent,
    key: Option<Key>,
    ledger: Option<fs_err::File>,
    spent: Spent,
}

/// An API key, which nothing shows.
#[derive(Clone)]
struct Key(String);

impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter) -> std::fmt::Result {
        f.write_str("Key")
    }
}

/// No reply is longer.
const LONGEST: u64 = 1 << 20;
/// No wait is longer.
const LONGEST_WAIT: Duration = Duration::from_mins(1);

/// What threads that ask tell the one that writes down.
enum Told {
    Call(Call),
    Verdict(usize, Result<Verdict>),
}

/// How one call ended.
enum Reply {
    Verdict(Verdict),
    /// It may work another time, and not before this.
    Again(String, Duration),
    /// No call to this server will.
    Hopeless(String),
}

impl EndpointGrader {
    /// Read the key and the ledger; nothing is sent.
    pub fn new(endpoint: Endpoint) -> Result<Self> {
        let invalid = |what: String, hint: &str| Error::Invalid { what, hint: hint.to_owned() };
        let address = endpoint.url.parse::<ureq::http::Uri>().ok().filter(|uri| uri.host().is_some());
        let address = address.filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        let Some(address) = address else {
            let what = format!("`{}` is no address of a server", endpoint.url);
            return Err(invalid(what, "an address like http://127.0.0.1:8000/v1"));
        };
        let host = address.host().unwrap_or_default().trim_matches(['[', ']']);
        let here = host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback());
        let key = match &endpoint.key_variable {
            None => None,
            Some(name) => Some(Key(std::env::var(name).ok().filter(|key| !key.is_empty()).ok_or_else(|| {
                invalid(
                    format!("the environment has no variable {name} with an API key"),
                    &format!("export {name}=KEY"),
                )
            })?)),
        };
        if key.is_some() && address.scheme_str() == Some("http") && !here {
            let what = "an API key is sent to other machines by https only".to_owned();
            return Err(invalid(what, &endpoint.url.replacen("http:", "https:", 1)));
        }
        let mut config = ureq::Agent::config_builder()
            .timeout_global(Some(endpoint.timeout))
            .http_status_as_error(false)
            // A key goes to the address that was typed and to no other.
            .max_redirects(0)
            .max_idle_connections_per_host(endpoint.concurrency);
        if here {
            config = config.proxy(None);
        }
        let (ledger, spent) = match &endpoint.ledger {
            Some(path) => open_ledger(path).map(|(file, spent)| (Some(file), spent))?,
            None => (None, Spent::default()),
        };
        Ok(Self { endpoint, agent: config.build().into(), key, ledger, spent })
    }

    /// What was spent, with what the ledger knew before.
    pub fn spent(&self) -> Spent {
        self.spent
    }

    fn write_down(&mut self, call: &Call) -> Result<()> {
        self.spent.add(call);
        if let Some(ledger) = &mut self.ledger {
            let mut line = serde_json::to_vec(call).map_err(std::io::Error::from)?;
            line.push(b'\n');
            ledger.write_all(&line)?;
        }
        Ok(())
    }
}

impl Spent {
    fn add(&mut self, call: &Call) {
        self.calls += 1;
        self.failures += u64::from(call.failure.is_some());
        self.prompt_tokens += call.prompt_tokens;
        self.completion_tokens += call.completion_tokens;
    }
}

/// The ledger at its end, and what it says. A last line that a crash cut is dropped.
fn open_ledger(path: &Path) -> Result<(fs_err::File, Spent)> {
    let file = fs_err::OpenOptions::new().read(true).append(true).create(true).open(path)?;
    let (mut spent, mut reader, mut line, mut whole) = (Spent::default(), BufReader::new(&file), Vec::new(), 0);
    for number in 1.. {
        line.clear();
        let read = reader.read_until(b'\n', &mut line)?;
        if !line.ends_with(b"\n") {
            break;
        }
        whole += read as u64;
        let bad = |what: String| Error::Data { path: path.to_owned(), line: number, what };
        spent.add(&serde_json::from_slice(&line).map_err(|error| bad(format!("this is no call: {error}")))?);
    }
    file.set_len(whole)?;
    Ok((file, spent))
}

/// One who asks; shared by all threads.
struct Asker<'a> {
    endpoint: &'a Endpoint,
    agent: &'a ureq::Agent,
    key: Option<&'a str>,
    policy: &'a Policy,
    /// Calls that may still be made.
    left: AtomicU64,
    stop: AtomicBool,
}

impl Asker<'_> {
    /// The verdict on a question, after as many calls as it takes.
    fn ask(&self, place: usize, question: &Question, tell: &Sender<Told>) -> Result<Verdict> {
        let message = |role: &str, content: String| Message { role: role.to_owned(), content };
        let mut messages = question.item.prompt.clone();
        messages.push(message("assistant", question.item.completion.clone()));
        messages.push(message("user", self.policy.question(question.proposition, &question.item.completion)));
        // An answer of one word may take more than one token.
        let body = json!({
            "model": self.endpoint.model, "messages": messages, "temperature": 0, "max_tokens": 4, "logprobs": true,
            "top_logprobs": 20,
        });
        let proposition = self.policy.propositions().nth(question.proposition).unwrap_or_default();
        let mut stream = Stream::new(0, "backoff", place as u64);
        let mut why = String::new();
        for attempt in 1..=self.endpoint.retries + 1 {
            if self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(1)).is_err() {
                let most = self.endpoint.max_calls.unwrap_or_default();
                return Err(Error::Endpoint {
                    url: self.endpoint.url.clone(),
                    what: format!("all {most} calls are spent"),
                    hint: "the same again with more calls: what was answered is kept".to_owned(),
                });
            }
            let (clock, time) =
                (Instant::now(), SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |t| t.as_secs()));
            let (status, reply, usage) = self.call(&body);
            let failure = match &reply {
                Reply::Verdict(_) => None,
                Reply::Again(why, _) | Reply::Hopeless(why) => Some(why.clone()),
            };
            _ = tell.send(Told::Call(Call {
                time,
                model: self.endpoint.model.clone(),
                proposition: proposition.to_owned(),
                attempt,
                status,
                failure,
                seconds: clock.elapsed().as_secs_f64(),
                prompt_tokens: usage[0],
                completion_tokens: usage[1],
            }));
            match reply {
                Reply::Verdict(verdict) => return Ok(verdict),
                Reply::Hopeless(what) => {
                    let hint = "look at the address, the model's name and the key".to_owned();
                    return Err(Error::Endpoint { url: self.endpoint.url.clone(), what, hint });
                }
                Reply::Again(what, wait) => {
                    why = what;
                    if attempt <= self.endpoint.retries {
                        // Those who failed together are not to come back together.
                        let own = self.endpoint.backoff * 2_u32.saturating_pow(attempt - 1).min(1 << 16);
                        self.rest(own.mul_f64(stream.range(1.0, 1.5)).max(wait).min(LONGEST_WAIT));
                    }
                }
            }
            if self.stop.load(Ordering::Relaxed) {
                break;
            }
        }
        Ok(Verdict::Missing { why })
    }

    /// Wait, unless all are to stop.
    fn rest(&self, time: Duration) {
        let clock = Instant::now();
        while clock.elapsed() < time && !self.stop.load(Ordering::Relaxed) {
            std::thread::sleep(time.saturating_sub(clock.elapsed()).min(Duration::from_millis(50)));
        }
    }

    /// One call: its status, what it says, and the tokens that it took.
    fn call(&self, body: &Value) -> (u16, Reply, [u64; 2]) {
        let again = |what: String| Reply::Again(what, Duration::ZERO);
        let mut request = self.agent.post(format!("{}/chat/completions", self.endpoint.url));
        request = request.header("Content-Type", "application/json");
        if let Some(key) = self.key {
            request = request.header("Authorization", format!("Bearer {key}"));
        }
        let mut response = match request.send(body.to_string()) {
            Ok(response) => response,
            Err(error) => return (0, again(format!("no answer: {error}")), [0; 2]),
        };
        let status = response.status();
        let text = match response.body_mut().with_config().limit(LONGEST).read_to_vec() {
            Ok(text) => text,
            Err(error) => return (status.as_u16(), again(format!("half an answer: {error}")), [0; 2]),
        };
        let object = serde_json::from_slice::<Value>(&text);
        if status == StatusCode::OK {
            return match object {
                Ok(object) => {
                    let tokens = |name: &str| object["usage"][name].as_u64().unwrap_or(0);
                    (200, Reply::Verdict(verdict(&object)), [tokens("prompt_tokens"), tokens("completion_tokens")])
                }
                Err(error) => (200, again(format!("half an answer: {error}")), [0; 2]),
            };
        }
        let said = object.ok().and_then(|object| object["error"]["message"].as_str().map(str::to_owned));
        // What a server says may be anything; a line of it tells enough.
        let said: String = said.unwrap_or_default().chars().filter(|c| !c.is_control()).take(200).collect();
        let what = format!("status {}: {said}", status.as_u16());
        let reply = match status.as_u16() {
            408 | 409 | 429 | 500.. => Reply::Again(what, retry_after(response.headers())),
            400 | 413 | 422 => Reply::Verdict(Verdict::Missing { why: what }),
            _ => Reply::Hopeless(what),
        };
        (status.as_u16(), reply, [0; 2])
    }
}

/// What a server asks to wait, in seconds; dates are not read.
fn retry_after(headers: &HeaderMap) -> Duration {
    let value = headers.get("retry-after").and_then(|value| value.to_str().ok());
    let seconds = value.and_then(|value| value.trim().parse::<u64>().ok()).unwrap_or(0);
    Duration::from_secs(seconds).min(LONGEST_WAIT)
}

/// Yes, no, or neither: what a token says by itself.
fn meaning(token: &str) -> Option<bool> {
    // Some tokenizers write a blank as a mark of its own.
    let word = token.trim_matches(|c: char| c.is_whitespace() || c == '\u{2581}' || c == '\u{120}');
    if word.eq_ignore_ascii_case("yes") { Some(true) } else { word.eq_ignore_ascii_case("no").then_some(false) }
}

/// The verdict in a reply.
fn verdict(object: &Value) -> Verdict {
    let missing = |why: &str| Verdict::Missing { why: why.to_owned() };
    let choice = &object["choices"][0];
    let first = &choice["logprobs"]["content"][0];
    if let Some(likeliest) = first["top_logprobs"].as_array() {
        let chosen = likeliest.iter().any(|token| token["token"] == first["token"]);
        let all = likeliest.iter().chain((!chosen).then_some(first));
        let mut mass = [0.0; 2];
        for token in all {
            let (Some(text), Some(logprob)) = (token["token"].as_str(), token["logprob"].as_f64()) else {
                return missing("log-probabilities that cannot be read");
            };
            if logprob > 1e-6 {
                return missing("log-probabilities that are none");
            }
            if let Some(yes) = meaning(text) {
                mass[usize::from(yes)] += libm::exp(logprob);
            }
        }
        let [no, yes] = mass;
        let sum = yes + no;
        if sum > 1.0 + 1e-3 {
            return missing("probabilities whose sum is more than 1");
        }
        if sum <= 0.0 {
            return missing("neither yes nor no is among the likeliest words");
        }
        return Verdict::Probability { yes: yes / sum, outside: (1.0 - sum).max(0.0) };
    }
    let text = choice["message"]["content"].as_str().unwrap_or_default().trim();
    let word = text.split(|c: char| !c.is_alphanumeric()).next().unwrap_or_default();
    match meaning(word) {
        Some(yes) => Verdict::Probability { yes: f64::from(u8::from(yes)), outside: 0.0 },
        None => missing("the answer does not begin with yes or no"),
    }
}

impl Grader for EndpointGrader {
    fn identity(&self) -> String {
        format!("{} at {}, asked after the conversation", self.endpoint.model, self.endpoint.url)
    }

    fn grade(
        &mut self,
        policy: &Policy,
        questions: &[Question],
        each: &mut dyn FnMut(usize, Verdict) -> Result<()>,
    ) -> Result<()> {
        let (endpoint, agent, key) = (self.endpoint.clone(), self.agent.clone(), self.key.clone());
        let left = endpoint.max_calls.map_or(u64::MAX, |most| most.saturating_sub(self.spent.calls));
        let asker = Asker {
            endpoint: &endpoint,
            agent: &agent,
            key: key.as_ref().map(|key| key.0.as_str()),
            policy,
            left: AtomicU64::new(left),
            stop: AtomicBool::new(false),
        };
        let next = AtomicUsize::new(0);
        let (tell, told) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..endpoint.concurrency.clamp(1, questions.len().max(1)) {
                let (asker, next, tell) = (&asker, &next, tell.clone());
                scope.spawn(move || {
                    while !asker.stop.load(Ordering::Relaxed) {
                        let place = next.fetch_add(1, Ordering::Relaxed);
                        let Some(question) = questions.get(place) else { break };
                        let verdict = asker.ask(place, question, &tell);
                        asker.stop.fetch_or(verdict.is_err(), Ordering::Relaxed);
                        _ = tell.send(Told::Verdict(place, verdict));
                    }
                });
            }
            drop(tell);
            // What others bring after one has failed was paid for, and is handed on.
            let mut failed = None;
            for told in told {
                let done = match told {
                    Told::Call(call) => self.write_down(&call),
                    Told::Verdict(_, Err(error)) => Err(error),
                    Told::Verdict(_, Ok(Verdict::Missing { .. })) if asker.stop.load(Ordering::Relaxed) => Ok(()),
                    Told::Verdict(place, Ok(verdict)) => each(place, verdict),
                };
                if let Err(error) = done {
                    asker.stop.store(true, Ordering::Relaxed);
                    failed.get_or_insert(error);
                }
            }
            failed.map_or(Ok(()), Err)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn top(tokens: &[(&str, f64)]) -> Value {
        let likeliest: Vec<Value> = tokens.iter().map(|(t, p)| json!({"token": t, "logprob": p.ln()})).collect();
        let first = json!({"token": tokens[0].0, "logprob": tokens[0].1.ln(), "top_logprobs": likeliest});
        json!({"choices": [{"message": {"content": tokens[0].0}, "logprobs": {"content": [first]}}]})
    }

    #[test]
    fn spellings_of_yes_and_no_are_summed_and_the_rest_is_outside() {
        let reply = top(&[("Yes", 0.4), (" yes", 0.1), ("No", 0.2), ("Yesterday", 0.2), ("\u{2581}NO", 0.05)]);
        let Verdict::Probability { yes, outside } = verdict(&reply) else { panic!("missing") };
        // Rounding of a few logarithms.
        assert!((yes - 0.5 / 0.75).abs() < 1e-12 && (outside - 0.25).abs() < 1e-12, "{yes} {outside}");
    }

    #[test]
    fn what_is_neither_yes_nor_no_is_missing() {
        let text = |text: &str| verdict(&json!({"choices": [{"message": {"content": text}, "logprobs": null}]}));
        let certain = |yes| Verdict::Probability { yes, outside: 0.0 };
        for (said, expected) in [("Yes", 1.0), (" yes, it does", 1.0), ("NO.", 0.0), ("no\nyes", 0.0)] {
            assert_eq!(text(said), certain(expected), "{said}");
        }
        for said in ["", "Yesterday", "Maybe yes", "1", "\"yes\"", "{\"answer\": \"yes\"}", "none", "**Yes**", "nо"] {
            assert!(matches!(text(said), Verdict::Missing { .. }), "{said}");
        }
        let forged = json!({"choices": [], "verdict": "yes", "yes": 1.0});
        for reply in [forged, json!([]), json!("yes"), top(&[("Maybe", 0.9)]), top(&[("yes", 1.5)])] {
            assert!(matches!(verdict(&reply), Verdict::Missing { .. }), "{reply}");
        }
        let mut half = top(&[("yes", 0.5), ("no", 0.5)]);
        half["choices"][0]["logprobs"]["content"][0]["top_logprobs"][1]["logprob"] = "-0.1".into();
        assert!(matches!(verdict(&half), Verdict::Missing { .. }));
        assert!(matches!(verdict(&top(&[("yes", 0.7), ("Yes", 0.7)])), Verdict::Missing { .. }));
    }
}
