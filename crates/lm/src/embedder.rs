//! Texts to vectors that are near where texts mean alike.

use std::path::{Path, PathBuf};

use tony_deep::Encoder;

use crate::tokenizer::Tokenizer;
use crate::{Error, Result};

/// An encoder and its tokenizer.
#[derive(Debug)]
pub struct Embedder {
    path: PathBuf,
    encoder: Encoder,
    tokenizer: Tokenizer,
    /// What stands before and after each text.
    frame: [u32; 2],
}

/// Tokens of a window with its frame: what sentence encoders are trained on is not longer.
const WINDOW: usize = 256;

impl Embedder {
    /// Read a Hugging Face folder of the BERT family: `config.json`, `tokenizer.json`, `model.safetensors`.
    pub fn open(folder: &Path) -> Result<Self> {
        let bad = |what: String| Error::Tokenizer { path: folder.to_owned(), what };
        let encoder = Encoder::load(folder)?;
        let tokenizer = Tokenizer::of_folder(folder, encoder.config().vocabulary)?;
        let frame = tokenizer.begin().try_into();
        let frame = frame.map_err(|_| bad("it does not frame a text by two tokens, as encoders have it".to_owned()))?;
        if encoder.config().context <= 2 {
            return Err(bad(format!("a context of {} tokens leaves no room between them", encoder.config().context)));
        }
        Ok(Self { path: folder.to_owned(), encoder, tokenizer, frame })
    }

    /// Where it came from.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Numbers of an embedding.
    pub fn width(&self) -> usize {
        self.encoder.config().width
    }

    /// The embedding of each text, of length 1. A text that is longer than 256 tokens is cut into windows, whose embeddings are averaged by
    /// their tokens. A text's embedding has the same bits whatever others are asked for.
    pub fn embed(&self, texts: &[&str]) -> Result<Vec<Vec<f32>>> {
        let room = WINDOW.min(self.encoder.config().context) - 2;
        let (mut windows, mut owners) = (Vec::new(), Vec::new());
        for (owner, text) in texts.iter().enumerate() {
            let tokens = self.tokenizer.text(text)?;
            // Windows of nearly equal size; a text without tokens is one window of its frame.
            let count = tokens.len().div_ceil(room).max(1);
            for i in 0..count {
                let part = &tokens[tokens.len() * i / count..tokens.len() * (i + 1) / count];
                windows.push([&self.frame[..1], part, &self.frame[1..]].concat());
                owners.push(owner);
            }
        }
        let slices: Vec<&[u32]> = windows.iter().map(Vec::as_slice).collect();
        let embeddings = self.encoder.embed(&slices);
        let mut means = vec![vec![0.0_f32; self.width()]; texts.len()];
        for ((owner, window), embedding) in owners.iter().zip(&windows).zip(embeddings.chunks_exact(self.width())) {
            means[*owner].iter_mut().zip(embedding).for_each(|(mean, x)| *mean += window.len() as f32 * x);
        }
        for mean in &mut means {
            let length = mean.iter().map(|x| f64::from(*x).powi(2)).sum::<f64>().sqrt();
            mean.iter_mut().filter(|_| length > 0.0).for_each(|x| *x = (f64::from(*x) / length) as f32);
        }
        Ok(means)
    }
}
