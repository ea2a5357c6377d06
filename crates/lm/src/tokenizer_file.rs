//! The tokenizer that a GGUF file describes, as the `tokenizer.json` that Hugging Face would have for it.

use std::collections::{BTreeMap, HashMap};

use serde_json::{Value as Json, json};
use tony_deep::decoder::Value;

/// Text between tokens is cut by these patterns, one for each name that GGUF gives (the pre-tokenizers of the models themselves).
const QWEN2: &str =
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";
const LLAMA3: &str = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+";

/// Kinds of tokens in GGUF.
const CONTROL: u64 = 3;
const USER_DEFINED: u64 = 4;

type Metadata = BTreeMap<String, Value>;

/// The contents of a `tokenizer.json`; else what is wrong.
pub(crate) fn of_gguf(metadata: &Metadata) -> Result<Json, String> {
    let get = |key: &str| metadata.get(&format!("tokenizer.ggml.{key}"));
    let list = |key: &str| get(key).and_then(Value::list);
    let texts = |key: &str| -> Option<Vec<&str>> { list(key)?.iter().map(Value::text).collect() };
    let tokens = texts("tokens").ok_or("its metadata has no list of tokens")?;
    let mut vocabulary = HashMap::with_capacity(tokens.len());
    for (id, token) in tokens.iter().enumerate() {
        if vocabulary.insert(*token, id).is_some() {
            return Err(format!("two of its tokens are {token:?}"));
        }
    }
    let kinds: Vec<u64> = list("token_type").unwrap_or_default().iter().filter_map(Value::whole).collect();
    let added = kinds.iter().zip(&tokens).enumerate().filter(|(_, (kind, _))| [CONTROL, USER_DEFINED].contains(kind));
    let added: Vec<Json> = added
        .map(|(id, (kind, token))| {
            json!({"id": id, "content": token, "single_word": false, "lstrip": false, "rstrip": false,
                "normalized": false, "special": *kind == CONTROL})
        })
        .collect();
    let parts = match get("model").and_then(Value::text).unwrap_or("nothing") {
        "gpt2" => {
            let merges = texts("merges").ok_or("its metadata has no list of merges")?;
            let merges: Option<Vec<_>> = merges.iter().map(|merge| merge.split_once(' ')).collect();
            by_bytes(
                get("pre").and_then(Value::text).unwrap_or("default"),
                &merges.ok_or("one of its merges is no pair")?,
            )?
        }
        "llama" => {
            let scores = list("scores").ok_or("its metadata has no list of scores")?;
            let scores: Vec<f64> = scores.iter().filter_map(Value::real).collect();
            if scores.len() != tokens.len() {
                return Err(format!("it has {} tokens and {} scores", tokens.len(), scores.len()));
            }
            let prefix = get("add_space_prefix").and_then(Value::flag).unwrap_or(true);
            by_pieces(prefix, &merges_of(&tokens, &scores, &vocabulary))
        }
        other => return Err(format!("its tokenizer is of the kind `{other}`; gpt2 and llama are read here")),
    };
    let Parts { normalizer, pre_tokenizer, decoder, mut model } = parts;
    model["type"] = "BPE".into();
    model["vocab"] = tokens.iter().enumerate().map(|(id, token)| ((*token).to_owned(), Json::from(id))).collect();
    Ok(json!({"version": "1.0", "truncation": null, "padding": null, "added_tokens": added, "normalizer": normalizer,
        "pre_tokenizer": pre_tokenizer, "post_processor": null, "decoder": decoder, "model": model}))
}

/// The token before a text, where the GGUF file wants one.
pub(crate) fn begin(metadata: &Metadata) -> Vec<u32> {
    let get = |key: &str| metadata.get(&format!("tokenizer.ggml.{key}"));
    let by_pieces = get("model").and_then(Value::text) == Some("llama");
    let wanted = get("add_bos_token").and_then(Value::flag).unwrap_or(by_pieces);
    let id = get("bos_token_id").and_then(Value::whole).filter(|_| wanted);
    id.map(|id| id as u32).into_iter().collect()
}

struct Parts {
    normalizer: Json,
    pre_tokenizer: Json,
    decoder: Json,
    model: Json,
}

/// Merges of bytes.
fn by_bytes(pre: &str, merges: &[(&str, &str)]) -> Result<Parts, String> {
    let bytes = |by_words: bool| json!({"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": by_words});
    let split = |pattern: &str| {
        let split = json!({"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": false});
        json!({"type": "Sequence", "pretokenizers": [split, bytes(false)]})
    };
    let (normalizer, pre_tokenizer) = match pre {
        "gpt-2" | "default" => (Json::Null, bytes(true)),
        "smollm" => {
            let digits = json!({"type": "Digits", "individual_digits": true});
            (Json::Null, json!({"type": "Sequence", "pretokenizers": [digits, bytes(true)]}))
        }
        "qwen2" => (json!({"type": "NFC"}), split(QWEN2)),
        "llama-bpe" => (Json::Null, split(LLAMA3)),
        other => {
            return Err(format!(
                "text is cut by `{other}`; default, gpt-2, smollm, qwen2 and llama-bpe are known here"
            ));
        }
    };
    let model = json!({"merges": merges, "byte_fallback": false, "ignore_merges": pre == "llama-bpe"});
    Ok(Parts { normalizer, pre_tokenizer, decoder: bytes(true), model })
}

/// Merges of pieces of text in which spaces are marked (`SentencePiece`).
fn by_pieces(prefix: bool, merges: &[(&str, &str)]) -> Parts {
    let spaces = json!({"type": "Replace", "pattern": {"String": " "}, "content": "\u{2581}"});
    let normalizer = if prefix {
        json!({"type": "Sequence", "normalizers": [{"type": "Prepend", "prepend": "\u{2581}"}, spaces]})
    } else {
        spaces
    };
    let back = json!({"type": "Replace", "pattern": {"String": "\u{2581}"}, "content": " "});
    let decoder = json!({"type": "Sequence", "decoders": [back, {"type": "ByteFallback"}, {"type": "Fuse"}]});
    let model = json!({"merges": merges, "byte_fallback": true, "fuse_unk": true, "unk_token": "<unk>"});
    Parts { normalizer, pre_tokenizer: Json::Null, decoder, model }
}

/// Merges in the order of the scores of what they make: every pair of tokens that together is a token.
fn merges_of<'a>(tokens: &[&'a str], scores: &[f64], vocabulary: &HashMap<&str, usize>) -> Vec<(&'a str, &'a str)> {
    let mut merges = Vec::new();
    for (id, token) in tokens.iter().enumerate() {
        for (at, _) in token.char_indices().skip(1) {
            let (left, right) = token.split_at(at);
            if let (Some(l), Some(r)) = (vocabulary.get(left), vocabulary.get(right)) {
                merges.push((-scores[id], id, *l, *r, left, right));
            }
        }
    }
    merges.sort_by(|a, b| a.0.total_cmp(&b.0).then_with(|| (a.1, a.2, a.3).cmp(&(b.1, b.2, b.3))));
    merges.into_iter().map(|(.., left, right)| (left, right)).collect()
}
