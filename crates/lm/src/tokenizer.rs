//! Text to tokens and back.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use serde_json::{Value as Json, json};
use tony_deep::decoder::ModelFile;

use crate::tokenizer_file;
use crate::{Error, Result};

/// A model's tokenizer.
#[derive(Clone, Debug)]
pub struct Tokenizer {
    inner: tokenizers::Tokenizer,
    /// What each token spells.
    spelled: Vec<Box<[u8]>>,
    /// Special tokens by what they look like, longer ones first.
    specials: Vec<(String, u32)>,
    special: BTreeSet<u32>,
    /// What the model expects before a text.
    begin: Vec<u32>,
}

impl Tokenizer {
    /// That of a model: from the metadata of its GGUF file, or from the `tokenizer.json` of its folder.
    pub fn of(file: &ModelFile) -> Result<Self> {
        let bad = |what: String| Error::Tokenizer { path: file.path().to_owned(), what };
        let Some(metadata) = file.metadata() else { return Self::of_folder(file.path(), file.config().vocabulary) };
        let mut tokenizer = Self::of_json(&tokenizer_file::of_gguf(metadata).map_err(bad)?).map_err(bad)?;
        tokenizer.begin = tokenizer_file::begin(metadata);
        tokenizer.within(file.config().vocabulary).map_err(bad)
    }

    /// From the `tokenizer.json` of a folder, whose model knows so many tokens.
    pub(crate) fn of_folder(folder: &Path, vocabulary: usize) -> Result<Self> {
        let json = read_json(&folder.join("tokenizer.json"))?;
        let tokenizer = Self::of_json(&json).and_then(|tokenizer| tokenizer.within(vocabulary));
        tokenizer.map_err(|what| Error::Tokenizer { path: folder.to_owned(), what })
    }

    /// This, if a model knows all of its tokens; else what is wrong.
    fn within(self, vocabulary: usize) -> std::result::Result<Self, String> {
        let most = self.spelled.len();
        if most <= vocabulary {
            return Ok(self);
        }
        Err(format!("it knows {most} tokens and the model {vocabulary}: they do not belong together"))
    }

    /// From the contents of a `tokenizer.json`; else what is wrong.
    pub(crate) fn of_json(json: &Json) -> std::result::Result<Self, String> {
        let bytes = serde_json::to_vec(json).map_err(|error| error.to_string())?;
        let mut inner = tokenizers::Tokenizer::from_bytes(bytes).map_err(|error| error.to_string())?;
        // What a text is cut or filled to is the caller's business.
        inner.with_truncation(None).map_err(|error| error.to_string())?.with_padding(None);
        let begin = inner.encode_fast("", true).map_err(|error| error.to_string())?.get_ids().to_vec();
        inner.set_encode_special_tokens(true);
        let vocabulary: BTreeMap<String, u32> = inner.get_vocab(true).into_iter().collect();
        let most = vocabulary.values().max().map_or(0, |id| *id as usize + 1);
        if most > 1 << 20 {
            return Err(format!("it has a token number {most}"));
        }
        let added = inner.get_added_tokens_decoder();
        let by_bytes = is_by_bytes(&json["decoder"]);
        let mut spelled = vec![Box::default(); most];
        for (text, id) in &vocabulary {
            let whole = added.get(id).is_some_and(|added| &added.content == text);
            let bytes = if whole { text.as_bytes().to_vec() } else { spell(text, by_bytes) };
            spelled[*id as usize] = bytes.into_boxed_slice();
        }
        let special: BTreeSet<u32> = added.iter().filter(|(_, token)| token.special).map(|(id, _)| *id).collect();
        let mut specials: Vec<(String, u32)> =
            special.iter().filter_map(|id| Some((added.get(id)?.content.clone(), *id))).collect();
        specials.retain(|(text, _)| !text.is_empty());
        specials.sort_by(|a, b| b.0.len().cmp(&a.0.len()).then_with(|| a.cmp(b)));
        Ok(Self { inner, spelled, specials, special, begin })
    }

    /// As the text of a `tokenizer.json`, which puts [`Tokenizer::begin`] before a text.
    pub(crate) fn to_json(&self) -> Result<String> {
        let bad = |what: String| Error::Tokenizer { path: "tokenizer.json".into(), what };
        let text = self.inner.to_string(false).map_err(|error| bad(error.to_string()))?;
        let mut json: Json = serde_json::from_str(&text).map_err(|error| bad(error.to_string()))?;
        if let (Some(begin), Json::Null) = (self.begin.first(), &json["post_processor"]) {
            let mark = String::from_utf8_lossy(self.spelled(*begin)).into_owned();
            let first = json!({"SpecialToken": {"id": mark, "type_id": 0}});
            let part = |id: &str| json!({"Sequence": {"id": id, "type_id": 0}});
            json["post_processor"] = json!({
                "type": "TemplateProcessing",
                "single": [first, part("A")],
                "pair": [first, part("A"), part("B")],
                "special_tokens": {mark.clone(): {"id": mark, "ids": [begin], "tokens": [mark]}},
            });
        }
        Ok(json.to_string())
    }

    /// Tokens of a text, in which nothing is a special token, whatever it looks like.
    pub fn text(&self, text: &str) -> Result<Vec<u32>> {
        let encoding = self.inner.encode_fast(text, false).map_err(|error| Error::Invalid {
            what: format!("this text has no tokens: {error}"),
            hint: "tony generate --help".to_owned(),
        })?;
        Ok(encoding.get_ids().to_vec())
    }

    /// Tokens of a text of our own making, in which special tokens are read as such; `left_out` is then taken out of what stands between.
    pub(crate) fn marked_without(&self, text: &str, left_out: char) -> Result<Vec<u32>> {
        let (mut ids, mut rest) = (Vec::new(), text);
        while !rest.is_empty() {
            let next = self.specials.iter().filter_map(|(mark, id)| Some((rest.find(mark.as_str())?, mark, *id)));
            // The first; of those at one place the longest, which `specials` has first.
            let next = next.min_by_key(|(at, ..)| *at);
            let (before, after) = match next {
                Some((at, mark, _)) => (&rest[..at], &rest[at + mark.len()..]),
                None => (rest, ""),
            };
            if !before.is_empty() {
                ids.extend(self.text(&before.replace(left_out, ""))?);
            }
            ids.extend(next.map(|(_, _, id)| id));
            rest = after;
        }
        Ok(ids)
    }

    /// What the model expects before a text: its begin token, or nothing; of an encoder, what stands before a text and what after it.
    pub fn begin(&self) -> &[u32] {
        &self.begin
    }

    /// What a token spells; a part of a character may be. Nothing for tokens that there are not.
    pub fn spelled(&self, token: u32) -> &[u8] {
        self.spelled.get(token as usize).map_or(&[], |bytes| bytes)
    }

    /// Tokens as text, special ones left out, what is no UTF-8 replaced.
    pub fn read(&self, tokens: &[u32]) -> String {
        let shown = tokens.iter().filter(|token| !self.is_special(**token));
        let bytes: Vec<u8> = shown.flat_map(|token| self.spelled(*token)).copied().collect();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Whether this token is a mark of the model and not text.
    pub fn is_special(&self, token: u32) -> bool {
        self.special.contains(&token)
    }

    /// Special tokens by what they look like, longer ones first.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &str> {
        self.specials.iter().map(|(text, _)| text.as_str())
    }
}

pub(crate) fn read_json(path: &Path) -> Result<Json> {
    let bytes = fs_err::read(path)?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::Tokenizer { path: path.to_owned(), what: format!("it is no JSON: {error}") })
}

/// Whether tokens are spelled with a character for each byte, says the decoder.
fn is_by_bytes(decoder: &Json) -> bool {
    decoder["type"] == "ByteLevel" || decoder["decoders"].as_array().is_some_and(|all| all.iter().any(is_by_bytes))
}

/// The bytes that a token of the vocabulary stands for.
fn spell(token: &str, by_bytes: bool) -> Vec<u8> {
    if by_bytes {
        return token.chars().flat_map(byte_of).collect();
    }
    let byte = token.strip_prefix("<0x").and_then(|rest| u8::from_str_radix(rest.strip_suffix('>')?, 16).ok());
    byte.map_or_else(|| token.replace('\u{2581}', " ").into_bytes(), |byte| vec![byte])
}

/// GPT-2's alphabet: bytes that print stand for themselves, the others for characters from 256 on, in order.
fn byte_of(character: char) -> Vec<u8> {
    let code = character as u32;
    let prints = |byte: u32| matches!(byte, 33..=126 | 161..=172 | 174..=255);
    let byte = if code < 256 {
        prints(code).then_some(code)
    } else {
        (0..256).filter(|b| !prints(*b)).nth(code as usize - 256)
    };
    byte.map_or_else(|| character.to_string().into_bytes(), |byte| vec![byte as u8])
}
