//! The thread that owns the model's requests: it draws tokens for all of them, and is told of new ones between two steps.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, TryRecvError};

use tokio::sync::OwnedSemaphorePermit;
use tokio::sync::mpsc::UnboundedSender;

use super::http::Metrics;
use crate::{Event, Model, Request, Writer};

/// Answers that one client waits for.
pub(super) struct Job {
    pub requests: Vec<Request>,
    /// Likeliest tokens that every event is to tell.
    pub likeliest: usize,
    /// Where what is drawn goes; nobody listening gives the answers up.
    pub reply: UnboundedSender<Said>,
    /// A place for each request, free again at its end.
    pub places: OwnedSemaphorePermit,
}

/// What becomes known of a job.
pub(super) enum Said {
    /// Another token of one of its requests.
    Token { request: usize, event: Event },
    /// It will not be answered.
    Failed(String),
}

struct Open {
    request: usize,
    reply: UnboundedSender<Said>,
    /// Free when this is dropped.
    _place: Option<OwnedSemaphorePermit>,
}

/// Work on jobs until nobody can send any more.
pub(super) fn run(model: &Model, jobs: &Receiver<Job>, most: usize, memory: usize, metrics: &Metrics) {
    let mut writer = Writer::new(model, most).remembering(memory);
    let mut open: BTreeMap<u64, Open> = BTreeMap::new();
    loop {
        loop {
            let job = if open.is_empty() {
                let Ok(job) = jobs.recv() else { return };
                job
            } else {
                match jobs.try_recv() {
                    Ok(job) => job,
                    Err(TryRecvError::Empty | TryRecvError::Disconnected) => break,
                }
            };
            begin(&mut writer, &mut open, job);
        }
        let gone: Vec<u64> = open.iter().filter(|(_, one)| one.reply.is_closed()).map(|(id, _)| *id).collect();
        for id in gone {
            writer.cancel(id);
            open.remove(&id);
            metrics.add("tony_cancelled_total", 1);
        }
        match writer.step() {
            Ok(events) => {
                for event in events {
                    let (id, last) = (event.request, event.finish.is_some());
                    metrics.add("tony_written_tokens_total", 1);
                    if let Some(one) = open.get(&id) {
                        _ = one.reply.send(Said::Token { request: one.request, event });
                    }
                    if last {
                        open.remove(&id);
                    }
                }
            }
            Err(error) => {
                for id in writer.give_up() {
                    if let Some(one) = open.remove(&id) {
                        _ = one.reply.send(Said::Failed(error.to_string()));
                    }
                }
            }
        }
    }
}

fn begin(writer: &mut Writer, open: &mut BTreeMap<u64, Open>, job: Job) {
    let Job { requests, likeliest, reply, mut places } = job;
    for (i, request) in requests.into_iter().enumerate() {
        match writer.add(request) {
            Ok(id) => {
                writer.show_likeliest(id, likeliest);
                open.insert(id, Open { request: i, reply: reply.clone(), _place: places.split(1) });
            }
            Err(error) => _ = reply.send(Said::Failed(error.to_string())),
        }
    }
}
