//! A model in a file: a GGUF file, or a Hugging Face folder. Tensors go by the names of Hugging Face, without `model.` before them.

use std::collections::BTreeMap;
use std::ops::Range;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use safetensors::{Dtype, SafeTensors};
use serde_json::Value as Json;

use super::config::{Config, Family, Scaling, ends};
use super::gguf::{self, Place, Value};
use super::tensor::{Kind, Tensor};
use crate::{Error, Result};

/// An opened model, its tensors still in the file.
#[derive(Debug)]
pub struct ModelFile {
    path: PathBuf,
    config: Config,
    source: Source,
}

#[derive(Debug)]
enum Source {
    Gguf {
        metadata: BTreeMap<String, Value>,
        tensors: BTreeMap<String, Place>,
    },
    HuggingFace {
        /// The bytes of each file.
        files: Vec<Vec<u8>>,
        tensors: BTreeMap<String, View>,
    },
    /// Rows, columns and numbers, as a Hugging Face file has them; weights of norms as they are used.
    Memory(BTreeMap<String, (usize, usize, Vec<f32>)>),
}

/// A tensor in one of the files of a folder.
#[derive(Debug)]
struct View {
    file: usize,
    kind: Dtype,
    shape: Vec<usize>,
    bytes: Range<usize>,
}

impl ModelFile {
    /// Open a GGUF file or a Hugging Face folder: sizes are checked, no tensor is read from a GGUF file.
    pub fn open(path: &Path) -> Result<Self> {
        if fs_err::metadata(path)?.is_dir() { Self::open_folder(path) } else { Self::open_gguf(path) }
    }

    fn open_gguf(path: &Path) -> Result<Self> {
        let header = gguf::read(path)?;
        let bad = |what: String| Error::BadModel { path: path.to_owned(), what };
        let config = Config::of_gguf(&header.metadata).map_err(bad)?;
        let mut tensors = BTreeMap::new();
        for (name, place) in header.tensors {
            tensors.insert(hugging_face_name(&name, config.family), place);
        }
        let source = Source::Gguf { metadata: header.metadata, tensors };
        let mut file = Self { path: path.to_owned(), config, source };
        if file.has("rope_freqs.weight") {
            let factors = file.vector("rope_freqs.weight", file.config.head_size / 2)?;
            file.config.rope_scaling = Scaling::Factors(factors);
        }
        Ok(file)
    }

    fn open_folder(path: &Path) -> Result<Self> {
        let bad = |what: String| Error::BadModel { path: path.to_owned(), what };
        let json = |name: &str| -> Result<Json> {
            let text = fs_err::read(path.join(name))?;
            serde_json::from_slice(&text).map_err(|error| bad(format!("its {name} is no JSON: {error}")))
        };
        let mut config = Config::of_json(&json("config.json")?).map_err(bad)?;
        let mut names = vec!["model.safetensors".to_owned()];
        if path.join("model.safetensors.index.json").exists() {
            let index = json("model.safetensors.index.json")?;
            let map = index["weight_map"].as_object().ok_or_else(|| bad("its index has no `weight_map`".to_owned()))?;
            names = map.values().filter_map(Json::as_str).map(str::to_owned).collect();
            names.sort();
            names.dedup();
        }
        if path.join("generation_config.json").exists() {
            config.ends.extend(ends(&json("generation_config.json")?["eos_token_id"]));
        }
        let (mut files, mut tensors) = (Vec::new(), BTreeMap::new());
        for name in names {
            if Path::new(&name).components().count() != 1 || name.starts_with('.') {
                return Err(bad(format!("its index names `{name}`, which is no file of this folder")));
            }
            let bytes = fs_err::read(path.join(&name))?;
            let damaged = |error| bad(format!("its {name} is damaged: {error}"));
            let (header, metadata) = SafeTensors::read_metadata(&bytes).map_err(damaged)?;
            let infos: BTreeMap<_, _> = metadata.tensors().into_iter().collect();
            for (name, info) in infos {
                // What models put before a name.
                let name = name.strip_prefix("language_model.").unwrap_or(&name);
                let name = name.strip_prefix("model.").unwrap_or(name).to_owned();
                // The header's length stands before it, in eight bytes.
                let (begin, end) = info.data_offsets;
                let bytes = 8 + header + begin..8 + header + end;
                let view = View { file: files.len(), kind: info.dtype, shape: info.shape.clone(), bytes };
                if tensors.insert(name.clone(), view).is_some() {
                    return Err(bad(format!("it has two tensors `{name}`")));
                }
            }
            files.push(bytes);
        }
        Ok(Self { path: path.to_owned(), config, source: Source::HuggingFace { files, tensors } })
    }

    /// A model that is in no file: rows, columns and numbers of its tensors.
    pub(super) fn of_numbers(config: Config, tensors: BTreeMap<String, (usize, usize, Vec<f32>)>) -> Self {
        Self { path: PathBuf::from("memory"), config, source: Source::Memory(tensors) }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What it is made of.
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// The metadata of a GGUF file.
    pub fn metadata(&self) -> Option<&BTreeMap<String, Value>> {
        if let Source::Gguf { metadata, .. } = &self.source { Some(metadata) } else { None }
    }

    /// How this model cannot be what it says.
    fn bad(&self, what: impl Into<String>) -> Error {
        Error::BadModel { path: self.path.clone(), what: what.into() }
    }

    /// Whether there is such a tensor.
    pub fn has(&self, name: &str) -> bool {
        match &self.source {
            Source::Gguf { tensors, .. } => tensors.contains_key(name),
            Source::HuggingFace { tensors, .. } => tensors.contains_key(name),
            Source::Memory(tensors) => tensors.contains_key(name),
        }
    }

    /// Read a tensor that must have this shape.
    pub fn tensor(&self, name: &str, rows: usize, columns: usize) -> Result<Tensor> {
        let missing = || self.bad(format!("it lacks the tensor `{name}`"));
        let expected = (rows, columns);
        let tensor = match &self.source {
            Source::Gguf { tensors, .. } => {
                let Place { kind, rows, columns, offset, bytes } = *tensors.get(name).ok_or_else(missing)?;
                let file = std::fs::File::open(&self.path)?;
                let mut read = vec![0; bytes];
                file.read_exact_at(&mut read, offset)?;
                Tensor { kind, rows, columns, bytes: read }.of_shape(name, expected)
            }
            Source::HuggingFace { files, tensors } => {
                let View { file, kind, shape, bytes } = tensors.get(name).ok_or_else(missing)?;
                Tensor::of_safetensors(name, (*kind, shape, &files[*file][bytes.clone()]), expected)
            }
            Source::Memory(tensors) => {
                let (rows, columns, numbers) = tensors.get(name).ok_or_else(missing)?;
                let bytes = numbers.iter().flat_map(|x| x.to_le_bytes()).collect();
                Tensor { kind: Kind::F32, rows: *rows, columns: *columns, bytes }.of_shape(name, expected)
            }
        };
        tensor.map_err(|what| self.bad(what))
    }

    /// Read a vector in single precision.
    pub fn vector(&self, name: &str, length: usize) -> Result<Vec<f32>> {
        self.tensor(name, 1, length)?.numbers(|i| i).ok_or_else(|| self.not_finite(name))
    }

    /// Read a tensor in single precision, with rows and weights of norms as they are used.
    pub(super) fn numbers(&self, name: &str, rows: usize, columns: usize) -> Result<Vec<f32>> {
        let of = |part: &str| name.contains(&format!("self_attn.{part}_proj"));
        let turned = of("q") || of("k");
        let mut numbers = if rows == 1 {
            let vector = self.vector(name, columns)?;
            if turned { (0..columns).map(|i| vector[self.rotated_row(i)]).collect() } else { vector }
        } else {
            let order = |i| if turned { self.rotated_row(i) } else { i };
            self.tensor(name, rows, columns)?.numbers(order).ok_or_else(|| self.not_finite(name))?
        };
        if name.ends_with("norm.weight") {
            numbers.iter_mut().for_each(|x| *x += self.norm_shift());
        }
        Ok(numbers)
    }

    /// A tensor has numbers that are none.
    pub(super) fn not_finite(&self, name: &str) -> Error {
        self.bad(format!("the tensor `{name}` has numbers that are not finite: the file is damaged"))
    }

    /// Where row `i` of a matrix that makes queries or keys lies in the file, whose pairs of rotated rows may lie side by side.
    pub(super) fn rotated_row(&self, i: usize) -> usize {
        if !matches!(self.source, Source::Gguf { .. }) || self.config.family != Family::Llama {
            return i;
        }
        let size = self.config.head_size;
        let (head, within) = (i / size * size, i % size);
        head + within % (size / 2) * 2 + within / (size / 2)
    }

    /// What is added to weights of norms: files of Gemma in Hugging Face's form store their distance from 1.
    pub(super) fn norm_shift(&self) -> f32 {
        let stored = matches!(self.source, Source::HuggingFace { .. }) && self.config.family == Family::Gemma3;
        if stored { 1.0 } else { 0.0 }
    }
}

/// Names of GGUF and of Hugging Face.
const NAMES: [(&str, &str); 14] = [
    ("attn_norm", "input_layernorm"),
    ("attn_q", "self_attn.q_proj"),
    ("attn_k", "self_attn.k_proj"),
    ("attn_v", "self_attn.v_proj"),
    ("attn_output", "self_attn.o_proj"),
    ("attn_q_norm", "self_attn.q_norm"),
    ("attn_k_norm", "self_attn.k_norm"),
    ("ffn_gate", "mlp.gate_proj"),
    ("ffn_up", "mlp.up_proj"),
    ("ffn_down", "mlp.down_proj"),
    ("post_attention_norm", "post_attention_layernorm"),
    ("post_ffw_norm", "post_feedforward_layernorm"),
    ("token_embd", "embed_tokens"),
    ("output_norm", "norm"),
];

fn hugging_face_name(name: &str, family: Family) -> String {
    let layer = name.strip_prefix("blk.").and_then(|rest| rest.split_once('.'));
    let (prefix, rest) = layer.map_or((String::new(), name), |(layer, rest)| (format!("layers.{layer}."), rest));
    let (stem, suffix) = rest.rsplit_once('.').unwrap_or((rest, ""));
    let stem = match stem {
        "ffn_norm" if family == Family::Gemma3 => "pre_feedforward_layernorm",
        "ffn_norm" => "post_attention_layernorm",
        "output" if layer.is_none() => "lm_head",
        other => NAMES.iter().find(|(theirs, _)| *theirs == other).map_or(other, |(_, name)| name),
    };
    format!("{prefix}{stem}.{suffix}")
}
