//! Tiny models of every family against their definition; the same bits in any company; files that are broken in every way.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::Path;

use common::{Family, Tiny, VOCABULARY};
use tony_deep::Error;
use tony_deep::decoder::{Decoder, Kind, ModelFile, Piece, Tensor};
use tony_random::Stream;

const FAMILIES: [Family; 4] = [Family::Llama, Family::Qwen2, Family::Qwen3, Family::Gemma3];

fn tokens(n: usize, seed: u64) -> Vec<u32> {
    let mut stream = Stream::new(seed, "tokens", 0);
    (0..n).map(|_| stream.below(VOCABULARY) as u32).collect()
}

fn open(path: &Path) -> Decoder {
    Decoder::load(&ModelFile::open(path).unwrap()).unwrap()
}

fn last_logits(model: &Decoder, tokens: &[u32]) -> Vec<f32> {
    let mut kept = model.begin();
    model.forward(&mut [Piece { kept: &mut kept, tokens, wanted: 1 }])
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn both_forms_of_every_family_compute_the_definition() {
    let folder = tempfile::tempdir().unwrap();
    let tokens = tokens(13, 1);
    for family in FAMILIES {
        let tiny = Tiny::new(family);
        let (file, hugging_face) = (folder.path().join("model.gguf"), folder.path().join(format!("{family:?}")));
        std::fs::write(&file, tiny.gguf(&[])).unwrap();
        tiny.write_folder(&hugging_face);
        // The folder's configuration says that each second layer of Gemma has no window; of a GGUF file it is each sixth.
        for (path, period) in [(&hugging_face, 2), (&file, 6)] {
            let logits = last_logits(&open(path), &tokens);
            for (logit, expected) in logits.iter().zip(tiny.logits(&tokens, period)) {
                // Single precision through two layers; logits are of the size of 1 to 10.
                assert!((f64::from(*logit) - expected).abs() < 2e-5, "{family:?} {period}: {logit} {expected}");
            }
        }
    }
}

#[test]
fn a_token_has_the_same_bits_in_any_company() {
    let folder = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        Tiny::new(family).write_folder(folder.path());
        let model = open(folder.path());
        let (mine, other, third) = (tokens(40, 2), tokens(33, 3), tokens(1, 4));
        // All at once, with logits of every token.
        let mut kept = model.begin();
        let whole = model.forward(&mut [Piece { kept: &mut kept, tokens: &mine, wanted: mine.len() }]);
        assert_eq!(kept.len(), mine.len());
        // Token by token.
        let mut kept = model.begin();
        let each = mine.chunks(1).flat_map(|tokens| model.forward(&mut [Piece { kept: &mut kept, tokens, wanted: 1 }]));
        assert_eq!(bits(&each.collect::<Vec<_>>()), bits(&whole), "{family:?}");
        // In pieces beside others, and after some were taken back.
        let (mut a, mut b, mut c) = (model.begin(), model.begin(), model.begin());
        model.forward(&mut [Piece { kept: &mut b, tokens: &mine[..9], wanted: 0 }]);
        b.truncate(7);
        let got = model.forward(&mut [
            Piece { kept: &mut a, tokens: &other, wanted: 2 },
            Piece { kept: &mut b, tokens: &mine[7..], wanted: 1 },
            Piece { kept: &mut c, tokens: &third, wanted: 1 },
        ]);
        let row = |i: usize| &got[i * VOCABULARY..(i + 1) * VOCABULARY];
        assert_eq!((got.len(), bits(row(2))), (4 * VOCABULARY, bits(&whole[whole.len() - VOCABULARY..])), "{family:?}");
        assert_eq!(bits(row(1)), bits(&last_logits(&model, &other)), "{family:?}");
        assert_eq!(bits(row(0)), bits(&last_logits(&model, &other[..32])), "{family:?}");
        // A copy of what is kept goes on alone.
        let mut copy = b.clone();
        let next = |kept| model.forward(&mut [Piece { kept, tokens: &third, wanted: 1 }]);
        assert_eq!(bits(&next(&mut b)), bits(&next(&mut copy)));
        for threads in [1, 2, 3] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let logits = pool.install(|| last_logits(&open(folder.path()), &mine));
            assert_eq!(bits(&logits), bits(&whole[whole.len() - VOCABULARY..]), "{threads} threads");
        }
    }
}

/// More tokens than go through the layers at once, in several sequences: cut as they may be, each has what it has alone.
#[test]
fn long_and_many_pieces_are_cut_without_a_trace() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::new(Family::Llama);
    tiny.write_folder(folder.path());
    let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap().replace(":64", ":1024");
    std::fs::write(folder.path().join("config.json"), config).unwrap();
    let model = open(folder.path());
    let all: Vec<Vec<u32>> = [300, 1, 255, 600, 2].iter().enumerate().map(|(i, n)| tokens(*n, i as u64)).collect();
    let mut kept: Vec<_> = all.iter().map(|_| model.begin()).collect();
    let mut pieces: Vec<Piece> =
        kept.iter_mut().zip(&all).map(|(kept, tokens)| Piece { kept, tokens, wanted: tokens.len().min(300) }).collect();
    let logits = model.forward(&mut pieces);
    let mut at = 0;
    for tokens in &all {
        let wanted = tokens.len().min(300);
        let mut kept = model.begin();
        let alone = model.forward(&mut [Piece { kept: &mut kept, tokens, wanted }]);
        assert_eq!(bits(&logits[at..at + wanted * VOCABULARY]), bits(&alone));
        at += wanted * VOCABULARY;
    }
    assert_eq!(at, logits.len());
}

/// Numbers of random blocks, against the layouts of llama.cpp's `ggml-quants` as formulas, one number at a time.
#[test]
fn every_kind_of_block_is_read_number_by_number() {
    let mut stream = Stream::new(8, "blocks", 0);
    let half = |b: &[u8]| {
        let bits = u16::from_le_bytes([b[0], b[1]]);
        let (sign, e, m) =
            (if bits >> 15 == 1 { -1.0 } else { 1.0 }, i32::from(bits >> 10 & 31), f64::from(bits & 1023));
        sign * if e == 0 { m * 2_f64.powi(-24) } else { (1.0 + m / 1024.0) * 2_f64.powi(e - 15) }
    };
    let bit = |b: &[u8], i: usize| f64::from(b[i / 8] >> (i % 8) & 1);
    let nibble = |b: u8, high: bool| f64::from(if high { b >> 4 } else { b & 15 });
    let six = |b: &[u8], j: usize| -> (f64, f64) {
        let (low, high) = (|x: u8| f64::from(x & 63), |x: u8| f64::from(x >> 6) * 16.0);
        if j < 4 {
            (low(b[j]), low(b[j + 4]))
        } else {
            (nibble(b[j + 4], false) + high(b[j - 4]), nibble(b[j + 4], true) + high(b[j]))
        }
    };
    for kind in [Kind::Q4_0, Kind::Q4_1, Kind::Q5_0, Kind::Q5_1, Kind::Q8_0, Kind::Q4K, Kind::Q5K, Kind::Q6K] {
        let (count, length) = kind.block();
        let (rows, blocks) = (3, 2);
        let mut bytes: Vec<u8> = (0..rows * blocks * length).map(|_| stream.below(256) as u8).collect();
        let halves: &[usize] = match kind {
            Kind::Q4_0 | Kind::Q5_0 | Kind::Q8_0 => &[0],
            Kind::Q6K => &[208],
            _ => &[0, 2],
        };
        // Scales that are numbers, small ones among them.
        for block in bytes.chunks_exact_mut(length) {
            halves.iter().for_each(|at| block[at + 1] &= 0xbb);
        }
        let expected: Vec<f64> = (bytes.chunks_exact(length))
            .flat_map(|b| {
                (0..count).map(move |i| match kind {
                    Kind::Q4_0 => half(b) * (nibble(b[2 + i % 16], i >= 16) - 8.0),
                    Kind::Q4_1 => half(b) * nibble(b[4 + i % 16], i >= 16) + half(&b[2..]),
                    Kind::Q5_0 => half(b) * (nibble(b[6 + i % 16], i >= 16) + 16.0 * bit(&b[2..], i) - 16.0),
                    Kind::Q5_1 => half(b) * (nibble(b[8 + i % 16], i >= 16) + 16.0 * bit(&b[4..], i)) + half(&b[2..]),
                    Kind::Q8_0 => half(b) * f64::from(b[2 + i] as i8),
                    Kind::Q4K => {
                        let (scale, min) = six(&b[4..], i / 32);
                        half(b) * scale * nibble(b[16 + i / 64 * 32 + i % 32], i % 64 >= 32) - half(&b[2..]) * min
                    }
                    Kind::Q5K => {
                        let (scale, min) = six(&b[4..], i / 32);
                        let fifth = f64::from(b[16 + i % 32] >> (i / 32) & 1);
                        let q = nibble(b[48 + i / 64 * 32 + i % 32], i % 64 >= 32) + 16.0 * fifth;
                        half(b) * scale * q - half(&b[2..]) * min
                    }
                    _ => {
                        let (part, i) = (i / 128, i % 128);
                        let low = nibble(b[part * 64 + i % 64], i >= 64);
                        let high = f64::from(b[128 + part * 32 + i % 32] >> (i / 32 * 2) & 3);
                        half(&b[208..]) * f64::from(b[192 + part * 8 + i / 16] as i8) * (low + 16.0 * high - 32.0)
                    }
                })
            })
            .collect();
        let tensor = Tensor { kind, rows, columns: blocks * count, bytes };
        let numbers = tensor.numbers(|i| i).unwrap();
        for (i, (x, expected)) in numbers.iter().zip(&expected).enumerate() {
            // A scale times a whole number, plus a minimum: two roundings.
            let size = expected.abs().max(numbers[i].abs().into()).max(1e-6);
            assert!((f64::from(*x) - expected).abs() <= 4e-6 * size.max(1.0), "{kind:?} {i}: {x} {expected}");
        }
    }
}

fn refused(path: &Path) -> String {
    let loaded = ModelFile::open(path).and_then(|file| Decoder::load(&file));
    match loaded {
        Err(Error::BadModel { what, .. }) => what,
        other => panic!("{other:?}"),
    }
}

#[test]
fn broken_files_are_refused_and_nothing_is_set_aside_for_what_they_claim() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("model.gguf");
    let good = Tiny::new(Family::Llama).gguf(&[]);
    let check = |name: &str, bytes: &[u8], expected: &str| {
        std::fs::write(&path, bytes).unwrap();
        let what = refused(&path);
        assert!(what.contains(expected), "{name}: {what}");
    };
    check("empty", b"", "ends at byte 0");
    check("another format", b"PK\x03\x04 something else entirely", "does not begin with `GGUF`");
    check("a version to come", &[b"GGUF", &[9, 0, 0, 0][..], &good[8..]].concat(), "version 9");
    // Cut anywhere: in the header or in the tensors.
    for length in (5..good.len() - 32).step_by(good.len() / 97) {
        check("cut", &good[..length], "cut");
    }
    let claims = |at: usize, n: u64| [&good[..at], &n.to_le_bytes(), &good[at + 8..]].concat();
    check("a hundred thousand million tensors", &claims(8, 100_000_000_000), "claims 100000000000 tensors");
    check("so many entries", &claims(16, u64::MAX), "claims");
    check("a name of 100 GB", &claims(24, 100_000_000_000), "cut");
    let find = |part: &[u8]| good.windows(part.len()).position(|window| window == part).unwrap();
    let tensor = find(b"token_embd.weight") + 17;
    check("sizes beyond the file", &claims(tensor + 4, 1 << 40), "beyond the end");
    check("sizes that overflow", &claims(tensor + 12, u64::MAX), "beyond the end");
    check("another shape", &claims(tensor + 12, 39), "39 x 32 where its sizes ask for 40 x 32");
    let kind = tensor + 20;
    check("an unknown type", &[&good[..kind], &[99, 0, 0, 0], &good[kind + 4..]].concat(), "type 99");
    let renamed = |from: &[u8], to: &[u8]| {
        let at = find(from);
        [&good[..at], to, &good[at + from.len()..]].concat()
    };
    check(
        "no such tensor",
        &renamed(b"blk.1.ffn_up", b"blk.1.ffn_xx"),
        "lacks the tensor `layers.1.mlp.up_proj.weight`",
    );
    check("twice the same", &renamed(b"blk.1.ffn_up", b"blk.0.ffn_up"), "two tensors `blk.0.ffn_up.weight`");
    check("another architecture", &renamed(b"llama", b"mamba"), "kind `mamba`");
    let heads = find(b"llama.attention.head_count") + 26 + 4;
    check("no heads", &[&good[..heads], &[0; 4], &good[heads + 4..]].concat(), "heads is 0");
    check(
        "heads that do not divide",
        &[&good[..heads], &[3, 0, 0, 0], &good[heads + 4..]].concat(),
        "3 heads cannot share 2",
    );
    let mut infinite = good.clone();
    let end = infinite.len();
    infinite[end - 64..].fill(0xff);
    check("not a number", &infinite, "not finite");
}

#[test]
fn broken_folders_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let tiny = Tiny::new(Family::Llama);
    tiny.write_folder(folder.path());
    let (config, weights) = (folder.path().join("config.json"), folder.path().join("model.safetensors"));
    let (good, bytes) = (std::fs::read_to_string(&config).unwrap(), std::fs::read(&weights).unwrap());
    let with = |from: &str, to: &str| {
        std::fs::write(&config, good.replace(from, to)).unwrap();
        let what = refused(folder.path());
        std::fs::write(&config, &good).unwrap();
        what
    };
    assert!(with("\"llama\"", "\"mamba\"").contains("kind `mamba`"));
    assert!(with("{", "").contains("no JSON"));
    assert!(with("\"hidden_size\":32", "\"hidden_size\":48").contains("ask for 40 x 48"));
    assert!(with("\"silu\"", "\"relu\"").contains("activation is `relu`"));
    assert!(with("\"rope_theta\"", "\"rope_scaling\":{\"rope_type\":\"yarn\"},\"rope_theta\"").contains("`yarn`"));
    let generation = folder.path().join("generation_config.json");
    std::fs::write(&generation, r#"{"eos_token_id": [7, 8]}"#).unwrap();
    assert_eq!(ModelFile::open(folder.path()).unwrap().config().ends, [2, 7, 8]);
    std::fs::write(&generation, "[").unwrap();
    assert!(refused(folder.path()).contains("generation_config.json is no JSON"));
    std::fs::remove_file(&generation).unwrap();
    for length in [0, 7, 100, bytes.len() - 1] {
        std::fs::write(&weights, &bytes[..length]).unwrap();
        assert!(refused(folder.path()).contains("model.safetensors is damaged"), "{length}");
    }
    std::fs::remove_file(&weights).unwrap();
    assert!(matches!(ModelFile::open(folder.path()), Err(Error::Io(_))));
    let index = folder.path().join("model.safetensors.index.json");
    std::fs::write(&index, r#"{"weight_map": {"a": "../elsewhere.safetensors"}}"#).unwrap();
    assert!(refused(folder.path()).contains("no file of this folder"));
}

/// Llama 3's frequencies as its authors publish them: long waves slower by the factor, short ones as they are.
#[test]
fn rotary_frequencies_are_scaled_as_published() {
    let folder = tempfile::tempdir().unwrap();
    Tiny::new(Family::Llama).write_folder(folder.path());
    let config = folder.path().join("config.json");
    let scaling = r#""rope_scaling":{"rope_type":"llama3","factor":8.0,"low_freq_factor":1.0,"high_freq_factor":4.0,
        "original_max_position_embeddings":256},"rope_theta""#;
    let text = std::fs::read_to_string(&config).unwrap().replace("\"rope_theta\"", scaling);
    std::fs::write(&config, text).unwrap();
    let file = ModelFile::open(folder.path()).unwrap();
    for (i, scaled) in file.config().frequencies(false).into_iter().enumerate() {
        let plain = 1000_f64.powf(-(i as f64) / 8.0);
        let wave = std::f64::consts::TAU / plain;
        let expected = if wave < 256.0 / 4.0 {
            plain
        } else if wave > 256.0 {
            plain / 8.0
        } else {
            let smooth = (256.0 / wave - 1.0) / 3.0;
            (1.0 - smooth) * plain / 8.0 + smooth * plain
        };
        assert!((scaled - expected).abs() < 1e-15, "{i}");
    }
}

/// After the last layer, what becomes logits; after one layer, what a model of that one layer has; and the same bits in any company.
#[test]
fn states_are_what_tokens_come_to_after_some_layers() {
    let folder = tempfile::tempdir().unwrap();
    for family in FAMILIES {
        Tiny::new(family).write_folder(folder.path());
        let (model, width) = (open(folder.path()), open(folder.path()).config().width);
        let (mine, other) = (tokens(40, 2), tokens(33, 3));
        let both = model.states(&[(&mine, 5), (&other, 33)], &[2, 1]);
        assert_eq!([both[0].len(), both[1].len()], [38 * width; 2]);
        let alone = [1, 2].map(|layer| model.states(&[(&mine, 5)], &[layer]).remove(0));
        assert_eq!((bits(&both[1][..5 * width]), bits(&both[0][..5 * width])), (bits(&alone[0]), bits(&alone[1])));
        let config = std::fs::read_to_string(folder.path().join("config.json")).unwrap();
        let shallow = config.replace("\"num_hidden_layers\":2", "\"num_hidden_layers\":1");
        assert_ne!(shallow, config);
        std::fs::write(folder.path().join("config.json"), shallow).unwrap();
        let first = open(folder.path()).states(&[(&mine, 5)], &[1]).remove(0);
        assert_eq!(bits(&first), bits(&alone[0]), "{family:?}");
        // Layers that differ show that these are different states.
        assert_ne!(bits(&alone[0]), bits(&alone[1]));
    }
}
