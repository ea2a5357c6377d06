//! A language model, whole.

use std::path::{Path, PathBuf};

use tony_deep::decoder::{Decoder, ModelFile, Value};

use crate::constrain::Grammars;
use crate::identity::sha256;
use crate::learn::Learner;
use crate::tokenizer::read_json;
use crate::{ChatTemplate, Error, Message, Result, Tokenizer};

/// Weights, tokenizer and chat template.
#[derive(Debug)]
pub struct Model {
    path: PathBuf,
    /// The weights.
    pub decoder: Decoder,
    /// Text to tokens and back.
    pub tokenizer: Tokenizer,
    template: Option<ChatTemplate>,
    pub(crate) grammars: Grammars,
}

/// What a model is made of, its weights not yet read.
#[derive(Debug)]
pub(crate) struct Parts {
    pub file: ModelFile,
    pub tokenizer: Tokenizer,
    pub template: Option<ChatTemplate>,
}

impl Parts {
    /// Open a GGUF file, a Hugging Face folder or a run folder. The tokenizer is read first, so that a wrong one is known soon.
    pub fn open(path: &Path) -> Result<Self> {
        if path.join("plan.toml").exists() {
            return Learner::of_run(path)?.into_parts();
        }
        let file = ModelFile::open(path)?;
        let tokenizer = Tokenizer::of(&file)?;
        let template = template(&file, &tokenizer)?;
        Ok(Self { file, tokenizer, template })
    }
}

impl Model {
    /// Open a GGUF file, a Hugging Face folder or a run folder, and read it.
    pub fn open(path: &Path) -> Result<Self> {
        let Parts { file, tokenizer, template } = Parts::open(path)?;
        let (path, grammars) = (path.to_owned(), Grammars::default());
        Ok(Self { path, decoder: Decoder::load(&file)?, tokenizer, template, grammars })
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// SHA-256 of its files, in hexadecimal digits.
    pub fn hash(&self) -> Result<String> {
        sha256(&self.path)
    }

    /// Tokens of a conversation, with the beginning of an answer.
    pub fn chat(&self, messages: &[Message]) -> Result<Vec<u32>> {
        let template = self.template.as_ref().ok_or_else(|| Error::NoTemplate { path: self.path.clone() })?;
        template.tokens(messages, true, &self.tokenizer)
    }

    /// Whether it takes messages.
    pub fn can_chat(&self) -> bool {
        self.template.is_some()
    }

    /// Tokens of a text as it is, after what the model expects before any.
    pub fn raw(&self, text: &str) -> Result<Vec<u32>> {
        let mut tokens = self.tokenizer.begin().to_vec();
        tokens.extend(self.tokenizer.text(text)?);
        Ok(tokens)
    }
}

/// The template of the GGUF file, or of the folder's `chat_template.jinja` or `tokenizer_config.json`.
fn template(file: &ModelFile, tokenizer: &Tokenizer) -> Result<Option<ChatTemplate>> {
    if let Some(metadata) = file.metadata() {
        let Some(source) = metadata.get("tokenizer.chat_template").and_then(Value::text) else { return Ok(None) };
        let mark = |key: &str| {
            let id = metadata.get(&format!("tokenizer.ggml.{key}_token_id")).and_then(Value::whole);
            id.map(|id| String::from_utf8_lossy(tokenizer.spelled(id as u32)).into_owned()).unwrap_or_default()
        };
        return ChatTemplate::new(source.to_owned(), mark("bos"), mark("eos")).map(Some);
    }
    let config = file.path().join("tokenizer_config.json");
    let config = if config.exists() { read_json(&config)? } else { serde_json::Value::Null };
    let jinja = file.path().join("chat_template.jinja");
    let source = if jinja.exists() {
        Some(fs_err::read_to_string(&jinja)?)
    } else {
        config["chat_template"].as_str().map(str::to_owned)
    };
    let mark = |key: &str| {
        let mark = &config[key];
        mark.as_str().or(mark["content"].as_str()).unwrap_or_default().to_owned()
    };
    source.map(|source| ChatTemplate::new(source, mark("bos_token"), mark("eos_token"))).transpose()
}
