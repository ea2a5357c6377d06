//! What a request for text asks for, in `OpenAI`'s words. Nothing that would change the answer is left unread: what is not supported is
//! refused by its name.

use serde_json::{Map, Value};
use tony_random::Stream;

use super::http::Problem;
use crate::{Constraint, Message, Model, Request, Sampling};

type Result<T> = std::result::Result<T, Problem>;

/// Most answers that one request may ask for.
const MOST_ANSWERS: usize = 128;
/// Most likeliest tokens that are told.
const MOST_LIKELIEST: u64 = 20;
/// Most stop texts, and bytes of each.
const STOPS: (usize, usize) = (16, 1024);

/// Said for whoever keeps records of requests; no answer depends on them.
const LEFT_ALONE: [&str; 4] = ["user", "metadata", "safety_identifier", "prompt_cache_key"];

/// Fields that are not supported, and the values with which they ask for nothing. The same as `null` is fine for all.
fn asks_for_nothing(name: &str, value: &Value) -> Option<bool> {
    let fine = match name {
        "frequency_penalty" | "presence_penalty" => value.as_f64() == Some(0.0),
        "logit_bias" => value.as_object().is_some_and(Map::is_empty),
        "response_format" => value["type"] == "text",
        "tools" | "functions" => value.as_array().is_some_and(Vec::is_empty),
        "tool_choice" | "function_call" => value == "none",
        "parallel_tool_calls" => value.is_boolean(),
        "modalities" => value == &serde_json::json!(["text"]),
        "store" | "echo" => value == false,
        "suffix" => value == "",
        "service_tier" => value == "auto" || value == "default",
        "best_of" => value == 1,
        "audio" | "prediction" | "reasoning_effort" | "verbosity" | "web_search_options" => false,
        _ => return None,
    };
    Some(fine)
}

/// The text to go on with.
pub(super) enum Prompt {
    Messages(Vec<Message>),
    /// As they are, each to be answered.
    Texts(Vec<String>),
    /// Tokens of each.
    Tokens(Vec<Vec<u32>>),
}

/// A request that was read.
pub(super) struct Asked {
    pub prompt: Prompt,
    /// Answers to each prompt.
    pub n: usize,
    max_tokens: Option<usize>,
    sampling: Sampling,
    pub seed: u64,
    stops: Vec<String>,
    /// What the answer is JSON of.
    schema: Option<Value>,
    pub stream: bool,
    pub usage: bool,
    /// Whether log-probabilities are told, and of how many of the likeliest.
    pub logprobs: Option<usize>,
}

/// The fields of a request that have not been read.
struct Fields(Map<String, Value>);

impl Fields {
    /// A field that is there and not null.
    fn take(&mut self, name: &str) -> Option<Value> {
        self.0.remove(name).filter(|value| !value.is_null())
    }

    fn read<T>(&mut self, name: &str, what: &str, read: impl Fn(&Value) -> Option<T>) -> Result<Option<T>> {
        let Some(value) = self.take(name) else { return Ok(None) };
        match read(&value) {
            Some(value) => Ok(Some(value)),
            None => Err(Problem::bad(name, "invalid_value", format!("`{name}` must be {what}"))),
        }
    }

    fn whole(&mut self, name: &str, from: u64, to: u64) -> Result<Option<u64>> {
        let within = |value: &Value| value.as_u64().filter(|n| (from..=to).contains(n));
        self.read(name, &format!("a whole number from {from} to {to}"), within)
    }

    fn real(&mut self, name: &str) -> Result<Option<f32>> {
        self.read(name, "a number", |value| value.as_f64().map(|x| x as f32))
    }

    fn flag(&mut self, name: &str) -> Result<bool> {
        Ok(self.read(name, "true or false", Value::as_bool)?.unwrap_or(false))
    }

    /// The schema of a `response_format` that asks for JSON of one. Another format stays unread.
    fn schema(&mut self) -> Result<Option<Value>> {
        if self.0.get("response_format").is_none_or(|format| format["type"] != "json_schema") {
            return Ok(None);
        }
        let mut told = self.take("response_format").unwrap_or_default();
        let bad = |what| Problem::bad("response_format", "invalid_value", what);
        let Value::Object(mut told) = told["json_schema"].take() else {
            return Err(bad("`response_format.json_schema` must be an object".to_owned()));
        };
        let schema = told.remove("schema").filter(Value::is_object);
        let schema = schema.ok_or_else(|| bad("`response_format.json_schema.schema` must be an object".to_owned()))?;
        // Names for people; and every answer keeps to its schema, asked to be strict or not.
        match told.keys().find(|key| !["name", "description", "strict"].contains(&key.as_str())) {
            Some(key) => Err(bad(format!("there is no parameter `response_format.json_schema.{key}`"))),
            None => Ok(Some(schema)),
        }
    }

    /// Refuse what is left.
    fn end(self) -> Result<()> {
        for (name, value) in self.0.iter().filter(|(_, value)| !value.is_null()) {
            if LEFT_ALONE.contains(&name.as_str()) {
                continue;
            }
            match asks_for_nothing(name, value) {
                Some(true) => {}
                Some(false) => {
                    let what = format!("`{name}` is not supported by this server, with this value");
                    return Err(Problem::bad(name, "unsupported_parameter", what));
                }
                None => {
                    let what = format!("there is no parameter `{name}`");
                    return Err(Problem::bad(name, "unknown_parameter", what));
                }
            }
        }
        Ok(())
    }
}

impl Asked {
    /// A request to `/v1/chat/completions`.
    pub fn chat(object: Map<String, Value>, model: &str) -> Result<Self> {
        let mut fields = Fields(object);
        let messages = fields.take("messages").unwrap_or_default();
        let messages = messages.as_array().filter(|messages| !messages.is_empty());
        let messages = messages.ok_or_else(|| {
            Problem::bad("messages", "invalid_value", "`messages` must be a list of one or more messages")
        })?;
        let read = |(i, message): (usize, &Value)| {
            read_message(message).map_err(|(at, what)| {
                let param = format!("messages[{i}]{at}");
                Problem::bad(&param, "invalid_value", format!("`{param}` {what}"))
            })
        };
        let messages: Vec<Message> = messages.iter().enumerate().map(read).collect::<Result<_>>()?;
        let shown = fields.flag("logprobs")?;
        let likeliest = fields.whole("top_logprobs", 0, MOST_LIKELIEST)?;
        if likeliest.is_some() && !shown {
            return Err(Problem::bad("top_logprobs", "invalid_value", "`top_logprobs` needs `logprobs` to be true"));
        }
        let newer = fields.whole("max_completion_tokens", 1, u64::from(u32::MAX))?;
        let max_tokens = fields.whole("max_tokens", 1, u64::from(u32::MAX))?;
        let max_tokens = newer.or(max_tokens).map(|n| n as usize);
        let logprobs = shown.then(|| likeliest.unwrap_or(0) as usize);
        Self::rest(fields, model, Prompt::Messages(messages), max_tokens, logprobs)
    }

    /// A request to `/v1/completions`.
    pub fn completion(object: Map<String, Value>, model: &str) -> Result<Self> {
        let mut fields = Fields(object);
        let value = fields.take("prompt").unwrap_or_default();
        let prompt = read_prompt(&value).ok_or_else(|| {
            Problem::bad(
                "prompt",
                "invalid_value",
                "`prompt` must be a text, a list of texts, tokens, or lists of tokens",
            )
        })?;
        let logprobs = fields.whole("logprobs", 0, MOST_LIKELIEST)?.map(|n| n as usize);
        let max_tokens = fields.whole("max_tokens", 1, u64::from(u32::MAX))?;
        let max_tokens = max_tokens.map_or(16, |n| n as usize);
        Self::rest(fields, model, prompt, Some(max_tokens), logprobs)
    }

    fn rest(
        mut fields: Fields,
        model: &str,
        prompt: Prompt,
        max_tokens: Option<usize>,
        logprobs: Option<usize>,
    ) -> Result<Self> {
        if let Some(asked) = fields.read("model", "a text", |value| value.as_str().map(str::to_owned))?
            && asked != model
        {
            let message = format!("the model `{asked}` is not here; this server has `{model}`");
            let problem = Problem::bad("model", "model_not_found", message);
            return Err(Problem { status: axum::http::StatusCode::NOT_FOUND, ..problem });
        }
        let sampling = Sampling {
            temperature: fields.real("temperature")?.unwrap_or(1.0),
            top_k: fields.whole("top_k", 0, u64::from(u32::MAX))?.unwrap_or(0) as usize,
            top_p: fields.real("top_p")?.unwrap_or(1.0),
            min_p: fields.real("min_p")?.unwrap_or(0.0),
        };
        let sampling =
            sampling.check().map_err(|error| Problem::bad("temperature", "invalid_value", error.to_string()))?;
        let n = fields.whole("n", 1, MOST_ANSWERS as u64)?.unwrap_or(1) as usize;
        let prompts = match &prompt {
            Prompt::Messages(_) => 1,
            Prompt::Texts(texts) => texts.len(),
            Prompt::Tokens(lists) => lists.len(),
        };
        if n * prompts > MOST_ANSWERS {
            let what = format!(
                "{n} answers to each of {prompts} prompts are more than the {MOST_ANSWERS} a request may ask for"
            );
            return Err(Problem::bad("n", "invalid_value", what));
        }
        let seed =
            fields.read("seed", "a whole number", |value| value.as_i64().map(|seed| seed as u64).or(value.as_u64()))?;
        let stops = fields.read("stop", &format!("a text or a list of up to {} texts", STOPS.0), read_stops)?;
        let schema = fields.schema()?;
        let stream = fields.flag("stream")?;
        let usage = match fields.take("stream_options") {
            Some(Value::Object(options)) if stream => {
                let mut options = Fields(options);
                let usage = options.flag("include_usage")?;
                // Padding against guessing texts from the lengths of what is sent: there is none.
                _ = options.read("include_obfuscation", "false", |value| (value == false).then_some(()))?;
                options.end()?;
                usage
            }
            Some(_) => {
                let what = "`stream_options` is an object, and goes with `stream`";
                return Err(Problem::bad("stream_options", "invalid_value", what));
            }
            None => false,
        };
        fields.end()?;
        // Hashes of the standard library have a random key each.
        let any = || std::hash::BuildHasher::hash_one(&std::hash::RandomState::new(), "seed") >> 1;
        Ok(Self {
            prompt,
            n,
            max_tokens,
            sampling,
            seed: seed.unwrap_or_else(any),
            stops: stops.unwrap_or_default(),
            schema,
            stream,
            usage,
            logprobs,
        })
    }

    /// Answers to all prompts.
    pub fn answers(&self) -> usize {
        self.n
            * match &self.prompt {
                Prompt::Messages(_) => 1,
                Prompt::Texts(texts) => texts.len(),
                Prompt::Tokens(lists) => lists.len(),
            }
    }

    /// The tokens of each prompt.
    pub fn tokens(&self, model: &Model) -> Result<Vec<Vec<u32>>> {
        let name = if matches!(self.prompt, Prompt::Messages(_)) { "messages" } else { "prompt" };
        let bad = |error: crate::Error| Problem::bad(name, "invalid_value", error.to_string());
        match &self.prompt {
            Prompt::Messages(messages) => Ok(vec![model.chat(messages).map_err(bad)?]),
            Prompt::Texts(texts) => texts.iter().map(|text| model.raw(text).map_err(bad)).collect(),
            Prompt::Tokens(lists) => Ok(lists.clone()),
        }
    }

    /// What the model is asked: `n` answers to each prompt, in order.
    pub fn requests(&self, prompts: &[Vec<u32>], model: &Model) -> Result<Vec<Request>> {
        let config = model.decoder.config();
        let name = if matches!(self.prompt, Prompt::Messages(_)) { "messages" } else { "prompt" };
        let constraint = self.schema.as_ref().map(|schema| Constraint::schema(model, schema)).transpose();
        let constraint = constraint
            .map_err(|error| Problem::bad("response_format", "invalid_value", format!("`response_format`: {error}")))?;
        let mut requests = Vec::new();
        for prompt in prompts {
            let (context, read) = (config.context, prompt.len());
            let wanted = self.max_tokens.unwrap_or(1);
            if read + wanted > context {
                let what = format!(
                    "this model takes {context} tokens: {read} of `{name}` and {wanted} to write are {}",
                    read + wanted
                );
                return Err(Problem::bad(name, "context_length_exceeded", what));
            }
            if prompt.is_empty() {
                return Err(Problem::bad(
                    name,
                    "invalid_value",
                    format!("`{name}` is empty: there is nothing to go on with"),
                ));
            }
            if let Some(token) = prompt.iter().find(|token| **token as usize >= config.vocabulary) {
                let what = format!("`{name}` has a token {token}; this model has {}", config.vocabulary);
                return Err(Problem::bad(name, "invalid_value", what));
            }
            requests.extend((0..self.n).map(|_| Request {
                prompt: prompt.clone(),
                max_tokens: self.max_tokens.unwrap_or(context - read),
                sampling: self.sampling,
                seed: 0,
                stops: self.stops.clone(),
                constraint: constraint.clone(),
            }));
        }
        // The first answer is the one that this seed gives elsewhere; those after it have seeds of their own.
        for (i, request) in requests.iter_mut().enumerate() {
            request.seed = if i == 0 { self.seed } else { Stream::new(self.seed, "answer", i as u64).bits() };
        }
        Ok(requests)
    }
}

/// A message; else where in it something is wrong, and what.
fn read_message(message: &Value) -> std::result::Result<Message, (String, String)> {
    let bad = |at: &str, what: &str| (at.to_owned(), what.to_owned());
    let Some(object) = message.as_object() else { return Err(bad("", "must be an object")) };
    let role = match object.get("role").and_then(Value::as_str) {
        // The newer name.
        Some("developer") => "system",
        Some(role @ ("system" | "user" | "assistant")) => role,
        _ => return Err(bad(".role", "must be system, developer, user or assistant")),
    };
    let content = match object.get("content") {
        Some(Value::String(text)) => text.clone(),
        Some(Value::Array(parts)) => {
            let mut whole = String::new();
            for (i, part) in parts.iter().enumerate() {
                let text = part["text"].as_str().filter(|_| part["type"] == "text");
                whole.push_str(
                    text.ok_or_else(|| (format!(".content[{i}]"), "must be a part of type text".to_owned()))?,
                );
            }
            whole
        }
        _ => return Err(bad(".content", "must be a text or a list of texts")),
    };
    let empty = |value: &Value| value.is_null() || value.as_array().is_some_and(Vec::is_empty);
    let other = object.iter().find(|(name, value)| !["role", "content"].contains(&name.as_str()) && !empty(value));
    match other {
        Some((name, _)) => Err((format!(".{name}"), "is not supported by this server".to_owned())),
        None => Ok(Message { role: role.to_owned(), content }),
    }
}

fn read_prompt(value: &Value) -> Option<Prompt> {
    let tokens = |value: &Value| -> Option<Vec<u32>> {
        value.as_array()?.iter().map(|token| u32::try_from(token.as_u64()?).ok()).collect()
    };
    if let Some(text) = value.as_str() {
        return Some(Prompt::Texts(vec![text.to_owned()]));
    }
    let list = value.as_array().filter(|list| !list.is_empty())?;
    match &list[0] {
        Value::String(_) => {
            list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>().map(Prompt::Texts)
        }
        Value::Number(_) => tokens(value).map(|tokens| Prompt::Tokens(vec![tokens])),
        Value::Array(_) => list.iter().map(tokens).collect::<Option<_>>().map(Prompt::Tokens),
        _ => None,
    }
}

fn read_stops(value: &Value) -> Option<Vec<String>> {
    let stops: Vec<String> = match value {
        Value::String(text) => vec![text.clone()],
        Value::Array(list) => list.iter().map(|text| text.as_str().map(str::to_owned)).collect::<Option<_>>()?,
        _ => return None,
    };
    let fine = stops.len() <= STOPS.0 && stops.iter().all(|stop| (1..=STOPS.1).contains(&stop.len()));
    fine.then_some(stops)
}
