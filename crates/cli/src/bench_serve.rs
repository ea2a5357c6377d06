//! `tony bench serve`: clients that ask a server in this process over real connections.

use std::collections::BTreeSet;
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tony_lm::Model;
use tony_lm::serve::{Listen, ServeModel, serve_model};

use crate::failure::{Code, Failure, Result};
use crate::{Common, console};

/// What each client asks: other words first, so that no two requests begin alike.
const QUESTION: &str = "is a number. Please tell me something about it that is true, short, and not well known.";
/// Places of the server that is asked too much, and clients for each of them.
const OVERLOAD: (usize, usize) = (8, 4);

/// How clients fared.
#[derive(Default)]
struct Fared {
    seconds: Vec<f64>,
    tokens: u64,
    refused: usize,
    ids: Vec<String>,
    failed: Option<String>,
}

pub fn run(
    path: &Path,
    clients: &[usize],
    requests: usize,
    max_tokens: usize,
    threads: usize,
    common: Common,
) -> Result<Code> {
    let model = Arc::new(Model::open(path)?);
    let (places, times) = OVERLOAD;
    let mut rows = Vec::new();
    let ordinary = clients.iter().map(|clients| (*clients, 16, 64, "")).chain([(
        places * times,
        places / 2,
        places / 2,
        "overload",
    )]);
    for (clients, parallel, queue, kind) in ordinary {
        let requests = requests.max(clients);
        console::note(format!("{clients} clients, {requests} requests, {} places", parallel + queue));
        let clock = Instant::now();
        let fared = ask_all(&model, [parallel, queue], clients, requests, max_tokens)?;
        let took = clock.elapsed().as_secs_f64();
        if let Some(what) = fared.failed {
            return Err(Failure::failed("server", what));
        }
        let mut seconds = fared.seconds;
        seconds.sort_by(f64::total_cmp);
        let quantile = |q: f64| seconds[((seconds.len() as f64 * q).ceil() as usize).clamp(1, seconds.len()) - 1];
        let answered = fared.ids.len();
        let twice = answered - fared.ids.iter().collect::<BTreeSet<_>>().len();
        rows.push(json!({
            "kind": kind, "clients": clients, "places": parallel + queue, "requests": requests, "requests_per_s": answered as f64 / took,
            "tokens_per_s": fared.tokens as f64 / took, "p50_s": quantile(0.5), "p99_s": quantile(0.99), "refused": fared.refused,
            "lost": requests - answered, "twice": twice,
        }));
    }
    let object =
        json!({"model": path.display().to_string(), "threads": threads, "max_tokens": max_tokens, "rows": rows});
    console::answer(common.json, &object, || {
        let heading =
            ["clients", "requests/s", "tokens/s", "half within", "99 % within", "told to try again", "lost", "twice"];
        let mut table = vec![heading.map(str::to_owned).to_vec()];
        for row in &rows {
            let number = |key: &str| console::short(row[key].as_f64().unwrap_or_default());
            let seconds = |key: &str| format!("{} s", number(key));
            let count = |key: &str| row[key].to_string();
            table.push(vec![
                count("clients"),
                number("requests_per_s"),
                number("tokens_per_s"),
                seconds("p50_s"),
                seconds("p99_s"),
                count("refused"),
                count("lost"),
                count("twice"),
            ]);
        }
        format!(
            "{}, {threads} threads, answers of up to {max_tokens} tokens\n{}",
            path.display(),
            console::table(&table)
        )
    })?;
    Ok(Code::Done)
}

/// Serve, and let `clients` ask `requests` questions in all.
fn ask_all(
    model: &Arc<Model>,
    [parallel, queue]: [usize; 2],
    clients: usize,
    requests: usize,
    max_tokens: usize,
) -> Result<Fared> {
    let listen = Listen { host: "127.0.0.1".to_owned(), port: 0, keys: Vec::new(), grace: Duration::from_secs(5) };
    let options = ServeModel { listen, name: "model".to_owned(), parallel, queue, memory: 64 << 20 };
    let stop = &AtomicBool::new(false);
    let (told, address) = mpsc::channel();
    std::thread::scope(|scope| {
        let asking = scope.spawn(move || {
            // Nothing is told where the server cannot listen; it says why itself.
            let address = address.recv().ok();
            let fared = address.map(|address| ask_side_by_side(address, clients, requests, max_tokens));
            stop.store(true, Ordering::Relaxed);
            fared.unwrap_or_default()
        });
        let served = serve_model(model, &options, stop, move |address| _ = told.send(address));
        let fared = asking.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        served?;
        Ok(fared)
    })
}

fn ask_side_by_side(address: SocketAddr, clients: usize, requests: usize, max_tokens: usize) -> Fared {
    let next = AtomicUsize::new(0);
    let client = || {
        let mut fared = Fared::default();
        while fared.failed.is_none() {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= requests {
                break;
            }
            let clock = Instant::now();
            match ask(address, number, max_tokens, &mut fared) {
                Ok(()) => fared.seconds.push(clock.elapsed().as_secs_f64()),
                Err(what) => fared.failed = Some(what),
            }
        }
        fared
    };
    std::thread::scope(|scope| {
        let running: Vec<_> = (0..clients).map(|_| scope.spawn(client)).collect();
        running.into_iter().map(|client| client.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))).fold(
            Fared::default(),
            |mut all, one| {
                all.seconds.extend(one.seconds);
                all.ids.extend(one.ids);
                (all.tokens, all.refused) = (all.tokens + one.tokens, all.refused + one.refused);
                all.failed = all.failed.or(one.failed);
                all
            },
        )
    })
}

/// Ask until there is an answer.
fn ask(address: SocketAddr, number: usize, max_tokens: usize, fared: &mut Fared) -> std::result::Result<(), String> {
    let content = format!("{number} {QUESTION}");
    let body = json!({"messages": [{"role": "user", "content": content}], "max_tokens": max_tokens, "temperature": 0})
        .to_string();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: {address}\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    loop {
        let sent = TcpStream::connect(address).and_then(|mut connection| {
            connection.write_all(request.as_bytes())?;
            let mut reply = String::new();
            connection.read_to_string(&mut reply)?;
            Ok(reply)
        });
        let reply = sent.map_err(|error| format!("the server was not reached: {error}"))?;
        let (head, body) = reply.split_once("\r\n\r\n").unwrap_or_default();
        match head.split(' ').nth(1) {
            Some("200") => {
                let object: Value = serde_json::from_str(body).map_err(|error| format!("half an answer: {error}"))?;
                fared.tokens += object["usage"]["completion_tokens"].as_u64().unwrap_or(0);
                fared.ids.push(object["id"].to_string());
                return Ok(());
            }
            Some("429") => {
                fared.refused += 1;
                std::thread::sleep(Duration::from_millis(50));
            }
            _ => return Err(format!("the server answered {}", reply.lines().next().unwrap_or_default())),
        }
    }
}
