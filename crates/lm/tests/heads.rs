//! Trained heads: what they learn, what they refuse. And embeddings beside recorded ones.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::path::Path;

use tony_lm::{Embedder, Listed};

/// MiniLM, where it was fetched.
fn minilm() -> Option<Embedder> {
    match Listed::find("minilm").unwrap().locate() {
        Ok(folder) => Some(Embedder::open(&folder).unwrap()),
        Err(error) => {
            println!("skipped: {error}");
            None
        }
    }
}

/// Texts, and each 48th number of their embeddings, from a plain forward pass in double precision over the tensors of `model.safetensors`,
/// with tokens of Hugging Face's own `tokenizers` from Python.
fn recorded() -> [(String, [f64; 8]); 4] {
    [
        (
            "How do I bake bread?".to_owned(),
            [0.04218569, 0.0423398, -0.01020275, -0.07694424, -0.08129922, 0.03306058, -0.00980907, 0.00600289],
        ),
        (
            "The weather is lovely today, is it not?".to_owned(),
            [0.0311997, 0.0628832, 0.01173113, -0.03013366, 0.08895275, 0.03495934, 0.02479641, 0.00365972],
        ),
        (
            "caf\u{e9} na\u{ef}ve \u{2603} 12,5 % of it".to_owned(),
            [0.05091215, 0.01539844, -0.03305327, -0.0366183, -0.07211935, 0.09587518, 0.0802867, 0.00812302],
        ),
        (
            "Long texts reach far. ".repeat(40).trim().to_owned(),
            [0.06980631, -0.01761755, 0.01769577, 0.09738344, 0.03630976, 0.18304509, 0.04802701, 0.01403872],
        ),
    ]
}

#[test]
fn minilm_embeds_as_recorded() {
    let Some(embedder) = minilm() else { return };
    let recorded = recorded();
    let texts: Vec<&str> = recorded.iter().map(|(text, _)| text.as_str()).collect();
    for ((text, numbers), embedding) in recorded.iter().zip(embedder.embed(&texts).unwrap()) {
        for (x, recorded) in embedding.iter().step_by(48).zip(numbers) {
            // Single precision through six layers; numbers are of the size of 0.05.
            assert!((f64::from(*x) - recorded).abs() < 1e-6, "{text}: {x} {recorded}");
        }
        let length: f64 = embedding.iter().map(|x| f64::from(*x).powi(2)).sum();
        assert!((length - 1.0).abs() < 1e-6);
        assert_eq!(embedder.embed(&[text]).unwrap(), [embedding], "alone");
    }
}

/// A text longer than a window, an empty one, and one that looks like the model's marks.
#[test]
fn any_text_has_an_embedding() {
    let Some(embedder) = minilm() else { return };
    let long = "one two three four ".repeat(500);
    let all = embedder.embed(&[&long, "", "[CLS] [SEP]", "[CLS]"]).unwrap();
    let alike = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    assert!(all.iter().all(|x| (alike(x, x) - 1.0).abs() < 1e-5));
    // Of words repeated, a window says what the whole says.
    let short = embedder.embed(&[&long[..19 * 60]]).unwrap();
    assert!(alike(&all[0], &short[0]) > 0.95);
    // A mark in a text is its letters.
    assert!(alike(&all[2], &all[1]) < 0.9 && all[2] != all[3]);
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let Some(embedder) = minilm() else { return };
    let folder = tempfile::tempdir().unwrap();
    for file in ["config.json", "model.safetensors"] {
        std::os::unix::fs::symlink(embedder.path().join(file), folder.path().join(file)).unwrap();
    }
    let tokenizer = std::fs::read_to_string(embedder.path().join("tokenizer.json")).unwrap();
    let refused = |text: &str| {
        std::fs::write(folder.path().join("tokenizer.json"), text).unwrap();
        Embedder::open(folder.path()).unwrap_err().to_string()
    };
    let more = tokenizer.replacen("\"[PAD]\":0", "\"[PAD]\":0,\"[MORE]\":40000", 1);
    assert_ne!(more, tokenizer);
    assert!(refused(&more).contains("it knows 40001 tokens and the model 30522"));
    let mut frameless: serde_json::Value = serde_json::from_str(&tokenizer).unwrap();
    frameless["post_processor"] = serde_json::Value::Null;
    assert!(refused(&frameless.to_string()).contains("does not frame a text by two tokens"));
    assert!(refused("{").contains("it is no JSON"));
    assert!(Embedder::open(Path::new("/nowhere")).is_err());
}
