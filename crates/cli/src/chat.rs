//! `tony chat`: a conversation in the terminal, or line by line from a pipe.

use std::io::{self, BufRead, IsTerminal, Read as _, Write as _};
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use signal_hook::consts::SIGINT;
use signal_hook::iterator::Signals;
use tony_lm::{Finish, Message, Model, Request, Sampling, Writer, find_model};
use tony_random::Stream;

use crate::failure::{Code, Failure, Result};
use crate::generate::{Drawing, Precision, read_messages};
use crate::{Common, console, world};

/// A conversation with a language model.
///
/// In a terminal each line is a message, and its answer appears as it is written; Ctrl-C ends the answer. From a pipe the same, without
/// anything beside the answers on standard output. `/help` tells the commands. A turn reads only what is new; the answers are those of
/// `tony generate` for the same messages.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  tony chat smollm2-135m\n  tony chat smollm2-135m --system \"You answer in one sentence.\" --temperature 0.7\n  echo \"How do I bake bread?\" | tony chat smollm2-135m"
)]
pub struct Args {
    /// The model: a GGUF file, a Hugging Face folder, or a name from `tony doctor`.
    model: String,
    /// What the model is told before all.
    #[arg(long, value_name = "TEXT", conflicts_with = "messages")]
    system: Option<String>,
    /// Go on with a conversation that `/save` wrote.
    #[arg(long, value_name = "FILE")]
    messages: Option<PathBuf>,
    /// Most tokens of an answer.
    #[arg(long, value_name = "N", default_value = "1024")]
    max_tokens: NonZeroUsize,
    #[command(flatten)]
    drawing: Drawing,
    /// How exactly is computed.
    #[arg(long, value_enum, default_value_t)]
    precision: Precision,
    /// Worker threads [default: all cores].
    #[arg(long, value_name = "N")]
    threads: Option<NonZeroUsize>,
}

const HELP: &str = "\
/reset          forget the conversation (the system message stays)
/system TEXT    what the model is told before all; without TEXT, nothing
/save FILE      write the conversation as JSON (`tony chat MODEL --messages FILE` goes on with it)
/quit           leave; the end of the input does, too";

/// Longest line that is taken.
const LONGEST: u64 = 1 << 20;
/// What is kept of the conversations so far.
const MEMORY: usize = 1 << 30;

pub fn run(args: &Args, common: Common) -> Result<Code> {
    let sampling = args.drawing.sampling()?;
    let system = args.system.clone().map(|content| Message { role: "system".to_owned(), content });
    let messages = match &args.messages {
        Some(path) => read_messages(path)?,
        None => system.into_iter().collect(),
    };
    let path = find_model(&args.model)?;
    world::with_threads(args.threads, |_| {
        let mut model = Model::open(&path)?;
        model.decoder.set_precision(args.precision.into());
        if !model.can_chat() {
            return Err(tony_lm::Error::NoTemplate { path }.into());
        }
        let writer = Writer::new(&model, 1).remembering(MEMORY);
        let terminal = io::stdin().is_terminal() && io::stdout().is_terminal() && !common.json;
        let (max_tokens, seed) = (args.max_tokens.get(), args.drawing.seed);
        let talk = Talk { model: &model, writer, messages, sampling, max_tokens, seed, turns: 0, common };
        talk.run(&args.model, terminal)
    })
}

struct Talk<'a> {
    model: &'a Model,
    writer: Writer<'a>,
    messages: Vec<Message>,
    sampling: Sampling,
    max_tokens: usize,
    seed: u64,
    turns: u64,
    common: Common,
}

/// Whether an answer is being written, and is to end.
#[derive(Default)]
struct Interrupt {
    writing: AtomicBool,
    asked: AtomicBool,
}

/// Ctrl-C ends the answer that is being written, else the program.
fn listen() -> Result<Arc<Interrupt>> {
    let interrupt = Arc::new(Interrupt::default());
    let mut signals = Signals::new([SIGINT])?;
    let heard = interrupt.clone();
    std::thread::spawn(move || {
        for _ in signals.forever() {
            if !heard.writing.load(Ordering::SeqCst) || heard.asked.swap(true, Ordering::SeqCst) {
                std::process::exit(i32::from(Code::Interrupted as u8));
            }
        }
    });
    Ok(interrupt)
}

impl Talk<'_> {
    fn run(mut self, name: &str, terminal: bool) -> Result<Code> {
        let interrupt = listen()?;
        if terminal {
            console::note(format!("{name}; /help tells the commands, Ctrl-D leaves"));
        }
        let mut input = io::stdin().lock();
        loop {
            if terminal {
                write("> ")?;
            }
            let mut line = String::new();
            let bad = |what: String| Failure::usage("bad_input", what);
            let read = input.by_ref().take(LONGEST + 1).read_line(&mut line);
            if read.map_err(|error| bad(format!("the input cannot be read: {error}")))? == 0 {
                break;
            }
            if line.len() as u64 > LONGEST {
                return Err(bad(format!("a line is longer than {LONGEST} bytes")));
            }
            match line.trim() {
                "" => {}
                "/quit" | "/exit" => break,
                command if command.starts_with('/') => self.command(command),
                text => self.answer(text, &interrupt)?,
            }
        }
        if terminal {
            write("\n")?;
        }
        Ok(Code::Done)
    }

    fn command(&mut self, line: &str) {
        let (command, rest) = line.split_once(char::is_whitespace).unwrap_or((line, ""));
        match (command, rest.trim()) {
            ("/help", _) => console::note(HELP),
            ("/reset", _) => {
                self.messages.retain(|message| message.role == "system");
                self.turns = 0;
            }
            ("/system", text) => {
                self.messages.retain(|message| message.role != "system");
                if !text.is_empty() {
                    self.messages.insert(0, Message { role: "system".to_owned(), content: text.to_owned() });
                }
            }
            ("/save", "") => console::note("where? /save FILE"),
            ("/save", path) => match self.save(Path::new(path)) {
                Ok(()) => console::note(format!("saved to {path}")),
                Err(error) => console::note(format!("not saved: {error}")),
            },
            _ => console::note(format!("there is no command {command}\n{HELP}")),
        }
    }

    fn save(&self, path: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(&self.messages)?;
        fs_err::OpenOptions::new().write(true).create_new(true).open(path)?.write_all(&text)
    }

    /// Answer a message. What cannot be answered is told, and forgotten.
    fn answer(&mut self, text: &str, interrupt: &Interrupt) -> Result<()> {
        self.messages.push(Message { role: "user".to_owned(), content: text.to_owned() });
        let seed = if self.turns == 0 { self.seed } else { Stream::new(self.seed, "turn", self.turns).bits() };
        let added = self.model.chat(&self.messages).and_then(|prompt| {
            let (max_tokens, sampling, tokens) = (self.max_tokens, self.sampling, prompt.len());
            let id =
                self.writer.add(Request { prompt, max_tokens, sampling, seed, stops: Vec::new(), constraint: None })?;
            Ok((id, tokens))
        });
        let (id, prompt_tokens) = match added {
            Ok(added) => added,
            Err(error) => {
                self.messages.pop();
                console::note(format!("error: {error}\ntry: /reset"));
                return Ok(());
            }
        };
        self.turns += 1;
        interrupt.asked.store(false, Ordering::SeqCst);
        interrupt.writing.store(true, Ordering::SeqCst);
        let (mut said, mut tokens, mut reused, mut finish) = (String::new(), 0, 0, None);
        while self.writer.pending() > 0 {
            if interrupt.asked.load(Ordering::SeqCst) {
                self.writer.cancel(id);
                break;
            }
            for event in self.writer.step()? {
                (tokens, reused, finish) = (tokens + 1, event.reused, event.finish);
                said.push_str(&event.text);
                if !self.common.json {
                    write(&harmless(&event.text))?;
                }
            }
        }
        interrupt.writing.store(false, Ordering::SeqCst);
        if self.common.json {
            let finish = finish.map_or("interrupted", Finish::name);
            console::print_json(&json!({
                "text": said, "finish": finish, "prompt_tokens": prompt_tokens, "reused_tokens": reused, "tokens": tokens,
            }))?;
        } else {
            write("\n")?;
        }
        self.messages.push(Message { role: "assistant".to_owned(), content: said });
        Ok(())
    }
}

/// A text without the characters that command a terminal.
fn harmless(text: &str) -> String {
    let shown = |c: char| if c.is_control() && c != '\n' && c != '\t' { char::REPLACEMENT_CHARACTER } else { c };
    text.chars().map(shown).collect()
}

fn write(text: &str) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_bytes())?;
    Ok(out.flush()?)
}
