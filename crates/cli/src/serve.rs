//! `tony serve`: a language model behind `OpenAI`'s interface. And what all servers of this program take.

use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use tony_lm::serve::{Listen, ServeModel, serve_model};
use tony_lm::{Listed, Model, find_model};
use tony_run::Control;

use crate::failure::{Code, Result};
use crate::generate::Precision;
use crate::signals::{Stop, Words};
use crate::{Common, console, world};

/// A server that speaks `OpenAI`'s protocol.
///
/// `/v1/chat/completions` and `/v1/completions` (streams, log-probabilities, n, stop, seed, JSON of a schema), `/v1/models`, `/health`,
/// `/metrics`. Requests are answered side by side, and no bit of an answer depends on the others; those that begin alike are read once.
/// Fields that this server does not know are refused by name; `user`, `metadata`, `safety_identifier` and `prompt_cache_key` change
/// nothing. `top_k` and `min_p` are understood beside `OpenAI`'s own. When too many wait, the next is told to try again (429).
///
/// Ends with exit code 0 at SIGTERM or Ctrl-C, when what runs has ended. There is no TLS: let a proxy stand before a server that others than
/// you can reach.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony serve smollm2-135m\n  tony serve model.gguf --host 0.0.0.0 --api-key-file keys.txt\n  curl localhost:8000/v1/chat/completions -H 'Content-Type: application/json' -d '{\"messages\": [{\"role\": \"user\", \"content\": \"Hello\"}]}'"
)]
pub struct Args {
    /// The model: a GGUF file, a Hugging Face folder, or a name from `tony doctor`.
    model: String,
    #[command(flatten)]
    listening: Listening,
    /// Port; 0 takes any that is free.
    #[arg(long, default_value_t = 8000)]
    port: u16,
    /// Answers that are written side by side.
    #[arg(long, value_name = "N", default_value = "16")]
    parallel: NonZeroUsize,
    /// Answers that may wait for that; beyond them requests are refused.
    #[arg(long, value_name = "N", default_value_t = 64)]
    queue: usize,
    /// Megabytes of what is kept of finished conversations, so that their next turn reads only what is new.
    #[arg(long, value_name = "MB", default_value_t = 512)]
    cache: usize,
    /// How exactly is computed.
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Worker threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

/// Where a server listens, and to whom.
#[derive(clap::Args)]
pub struct Listening {
    /// Address to listen at; the default is heard by this machine alone.
    #[arg(long, default_value = "127.0.0.1")]
    host: String,
    /// A file with a key on each line; who sends none of them is refused.
    #[arg(long, value_name = "FILE")]
    api_key_file: Option<PathBuf>,
    /// Seconds that what runs may take when the server is to stop.
    #[arg(long, value_name = "S", default_value_t = 30)]
    grace: u64,
}

const SERVING: Words = ["stopping when what runs has ended (Ctrl-C again leaves at once)", "left at once"];

impl Listening {
    /// As the server takes it, with its port.
    pub fn listen(&self, port: u16) -> Result<Listen> {
        let keys = self.api_key_file.as_deref().map(Listen::read_keys).transpose()?.unwrap_or_default();
        Ok(Listen { host: self.host.clone(), port, keys, grace: Duration::from_secs(self.grace) })
    }
}

/// Tell where the server listens: the person, and a program that reads standard output.
pub fn tell_address(address: SocketAddr, keys: bool, what: &str, common: Common) {
    if !address.ip().is_loopback() && !keys {
        console::note("warning: anyone who can reach this machine may ask (try: --api-key-file FILE)");
    }
    console::note(format!("{what} at http://{address}"));
    if common.json {
        // Nobody reading is no reason not to serve.
        _ = console::print_json(&json!({"url": format!("http://{address}"), "serves": what}));
    }
}

/// Set when a signal asks the server to stop.
pub fn stop_at_signals() -> Result<Arc<Control>> {
    let control = Arc::new(Control::default());
    Stop::install(control.clone(), SERVING)?;
    Ok(control)
}

/// What a model is called in requests: its name, or that of its file without the ending.
fn name_of(model: &str) -> String {
    let stem = || Path::new(model).file_stem().map(|stem| stem.to_string_lossy().into_owned());
    if Listed::find(model).is_some() { model.to_owned() } else { stem().unwrap_or_else(|| model.to_owned()) }
}

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let listen = args.listening.listen(args.port)?;
    let path = find_model(&args.model)?;
    let control = stop_at_signals()?;
    world::with_threads(args.threads, |_| {
        let mut model = Model::open(&path)?;
        model.decoder.set_precision(args.precision.into());
        let keys = !listen.keys.is_empty();
        let name = name_of(&args.model);
        let options = ServeModel {
            listen,
            name: name.clone(),
            parallel: args.parallel.get(),
            queue: args.queue,
            memory: args.cache << 20,
        };
        serve_model(&Arc::new(model), &options, &control.stop, |address| tell_address(address, keys, &name, common))?;
        Ok(Code::Done)
    })
}
