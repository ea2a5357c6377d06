//! A tiny encoder against its definition; the same bits in any company; folders that are broken in every way.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeMap;
use std::path::Path;

use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value as Json, json};
use tony_deep::{Encoder, Error};
use tony_random::Stream;

const VOCABULARY: usize = 40;
const CONTEXT: usize = 700;
const WIDTH: usize = 32;
const HIDDEN: usize = 48;
const HEADS: usize = 2;
const LAYERS: usize = 2;

type Tensors = BTreeMap<String, (Vec<usize>, Vec<f32>)>;

fn config() -> Json {
    json!({"model_type": "bert", "vocab_size": VOCABULARY, "max_position_embeddings": CONTEXT, "hidden_size": WIDTH,
        "intermediate_size": HIDDEN, "num_attention_heads": HEADS, "num_hidden_layers": LAYERS, "hidden_act": "gelu",
        "layer_norm_eps": 1e-12, "type_vocab_size": 2})
}

fn tensors() -> Tensors {
    let mut tensors = Tensors::new();
    let mut add = |name: String, shape: &[usize], mean: f64, spread: f64| {
        let mut stream = Stream::new(5, &name, 0);
        let numbers = (0..shape.iter().product()).map(|_| (mean + spread * stream.normal()) as f32).collect();
        tensors.insert(name, (shape.to_vec(), numbers));
    };
    add("embeddings.word_embeddings.weight".into(), &[VOCABULARY, WIDTH], 0.0, 1.0);
    add("embeddings.position_embeddings.weight".into(), &[CONTEXT, WIDTH], 0.0, 0.3);
    add("embeddings.token_type_embeddings.weight".into(), &[2, WIDTH], 0.0, 0.3);
    let mut norms = vec!["embeddings.LayerNorm".to_owned()];
    for layer in 0..LAYERS {
        let name = |rest: &str| format!("encoder.layer.{layer}.{rest}");
        let linears = [
            ("attention.self.query", WIDTH, WIDTH),
            ("attention.self.key", WIDTH, WIDTH),
            ("attention.self.value", WIDTH, WIDTH),
            ("attention.output.dense", WIDTH, WIDTH),
            ("intermediate.dense", HIDDEN, WIDTH),
            ("output.dense", WIDTH, HIDDEN),
        ];
        for (rest, rows, columns) in linears {
            add(name(&format!("{rest}.weight")), &[rows, columns], 0.0, 0.2);
            add(name(&format!("{rest}.bias")), &[rows], 0.0, 0.2);
        }
        norms.extend(["attention.output.LayerNorm", "output.LayerNorm"].map(name));
    }
    for norm in norms {
        add(format!("{norm}.weight"), &[WIDTH], 1.0, 0.2);
        add(format!("{norm}.bias"), &[WIDTH], 0.0, 0.2);
    }
    tensors
}

fn write(folder: &Path, config: &Json, tensors: &Tensors) {
    std::fs::write(folder.join("config.json"), config.to_string()).unwrap();
    let bytes: Vec<(&String, &Vec<usize>, Vec<u8>)> =
        tensors.iter().map(|(n, (s, x))| (n, s, x.iter().flat_map(|x| x.to_le_bytes()).collect())).collect();
    let views = bytes.iter().map(|(n, s, b)| (n.as_str(), TensorView::new(Dtype::F32, (*s).clone(), b).unwrap()));
    std::fs::write(folder.join("model.safetensors"), safetensors::serialize(views, None).unwrap()).unwrap();
}

/// The definition, in double precision: what each token comes to.
fn definition(tensors: &Tensors, tokens: &[u32], tanh: bool) -> Vec<Vec<f64>> {
    let numbers = |name: &str| -> Vec<f64> { tensors[name].1.iter().map(|x| f64::from(*x)).collect() };
    let row = |name: &str, i: usize| numbers(name)[i * WIDTH..(i + 1) * WIDTH].to_vec();
    let norm = |x: &[f64], name: &str| -> Vec<f64> {
        let (w, b) = (numbers(&format!("{name}.weight")), numbers(&format!("{name}.bias")));
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / x.len() as f64;
        (0..x.len()).map(|i| (x[i] - mean) / (variance + 1e-12).sqrt() * w[i] + b[i]).collect()
    };
    let linear = |x: &[f64], name: &str| -> Vec<f64> {
        let (w, b) = (numbers(&format!("{name}.weight")), numbers(&format!("{name}.bias")));
        b.iter().enumerate().map(|(i, b)| b + (0..x.len()).map(|j| w[i * x.len() + j] * x[j]).sum::<f64>()).collect()
    };
    let sum = |a: &[f64], b: &[f64]| -> Vec<f64> { a.iter().zip(b).map(|(a, b)| a + b).collect() };
    let gelu = |x: &f64| {
        let inner = (2.0 / std::f64::consts::PI).sqrt() * (x + 0.044_715 * x.powi(3));
        0.5 * x * if tanh { 1.0 + inner.tanh() } else { libm::erfc(-x / 2.0_f64.sqrt()) }
    };
    let mut x: Vec<Vec<f64>> = (tokens.iter().enumerate())
        .map(|(i, token)| {
            let word = row("embeddings.word_embeddings.weight", *token as usize);
            let place = row("embeddings.position_embeddings.weight", i);
            let kind = row("embeddings.token_type_embeddings.weight", 0);
            norm(&sum(&sum(&word, &place), &kind), "embeddings.LayerNorm")
        })
        .collect();
    for layer in 0..LAYERS {
        let name = |rest: &str| format!("encoder.layer.{layer}.{rest}");
        let all = |rest: &str| -> Vec<Vec<f64>> { x.iter().map(|x| linear(x, &name(rest))).collect() };
        let [q, k, v] = ["attention.self.query", "attention.self.key", "attention.self.value"].map(all);
        let size = WIDTH / HEADS;
        x = (x.iter().zip(&q))
            .map(|(x, q)| {
                let mut attended = vec![0.0; WIDTH];
                for head in 0..HEADS {
                    let of = |x: &[f64]| x[head * size..(head + 1) * size].to_vec();
                    let score = |k: &Vec<f64>| {
                        (of(q).iter().zip(of(k)).map(|(q, k)| q * k).sum::<f64>() / (size as f64).sqrt()).exp()
                    };
                    let weights: Vec<f64> = k.iter().map(score).collect();
                    let total: f64 = weights.iter().sum();
                    for (w, v) in weights.iter().zip(&v) {
                        attended[head * size..].iter_mut().zip(of(v)).for_each(|(a, v)| *a += w / total * v);
                    }
                }
                let attended = linear(&attended, &name("attention.output.dense"));
                let x = norm(&sum(x, &attended), &name("attention.output.LayerNorm"));
                let inner: Vec<f64> = linear(&x, &name("intermediate.dense")).iter().map(gelu).collect();
                norm(&sum(&x, &linear(&inner, &name("output.dense"))), &name("output.LayerNorm"))
            })
            .collect();
    }
    x
}

fn tokens(n: usize, seed: u64) -> Vec<u32> {
    let mut stream = Stream::new(seed, "tokens", 0);
    (0..n).map(|_| stream.below(VOCABULARY) as u32).collect()
}

fn bits(x: &[f32]) -> Vec<u32> {
    x.iter().map(|x| x.to_bits()).collect()
}

#[test]
fn an_encoder_computes_its_definition() {
    let folder = tempfile::tempdir().unwrap();
    let tensors = tensors();
    let prefixed = tensors.iter().map(|(name, tensor)| (format!("bert.{name}"), tensor.clone())).collect();
    for (act, tanh, tensors_are) in [("gelu", false, &tensors), ("gelu_new", true, &prefixed)] {
        let mut config = config();
        config["hidden_act"] = act.into();
        write(folder.path(), &config, tensors_are);
        let encoder = Encoder::load(folder.path()).unwrap();
        for n in [1, 2, 17, 40] {
            let tokens = tokens(n, n as u64);
            let expected = definition(&tensors, &tokens, tanh);
            let states = encoder.forward(&[&tokens]);
            for (x, y) in states.iter().zip(expected.iter().flatten()) {
                // Single precision through two layers of numbers of the size of 1.
                assert!((f64::from(*x) - y).abs() < 1e-5, "{act} {n}: {x} {y}");
            }
            let mean: Vec<f64> = (0..WIDTH).map(|j| expected.iter().map(|row| row[j]).sum::<f64>()).collect();
            let length = mean.iter().map(|x| x * x).sum::<f64>().sqrt();
            let embedding = encoder.embed(&[&tokens]);
            assert_eq!(embedding.len(), WIDTH);
            assert!(embedding.iter().zip(mean).all(|(x, y)| (f64::from(*x) - y / length).abs() < 1e-5), "{act} {n}");
        }
    }
}

/// Alone, beside others, cut into several runs (texts of 700, 300 and 400 tokens do not fit into one), on any number of threads.
#[test]
fn a_text_has_the_same_bits_in_any_company() {
    let folder = tempfile::tempdir().unwrap();
    write(folder.path(), &config(), &tensors());
    let encoder = Encoder::load(folder.path()).unwrap();
    let texts: Vec<Vec<u32>> = [5, 700, 1, 300, 400, 16, 17].iter().map(|n| tokens(*n, *n as u64)).collect();
    let texts: Vec<&[u32]> = texts.iter().map(Vec::as_slice).collect();
    let together = encoder.embed(&texts);
    for (text, embedding) in texts.iter().zip(together.chunks_exact(WIDTH)) {
        assert_eq!(bits(&encoder.embed(&[text])), bits(embedding), "{} tokens", text.len());
    }
    for threads in [1, 3] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        assert_eq!(bits(&pool.install(|| encoder.embed(&texts))), bits(&together), "{threads} threads");
    }
    assert!(encoder.embed(&[]).is_empty());
}

#[test]
fn folders_that_cannot_be_meant_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let (config, tensors) = (config(), tensors());
    let refused = || match Encoder::load(folder.path()) {
        Err(Error::BadModel { path, what }) => {
            assert_eq!(path, folder.path());
            what
        }
        other => panic!("{other:?}"),
    };
    let with = |key: &str, value: Json| {
        let mut changed = config.clone();
        changed[key] = value;
        write(folder.path(), &changed, &tensors);
        refused()
    };
    assert!(with("model_type", "llama".into()).contains("kind `llama`; encoders of the kind bert"));
    assert!(with("hidden_act", "relu".into()).contains("activation is `relu`"));
    assert!(with("position_embedding_type", "relative_key".into()).contains("positions are `relative_key`"));
    assert!(with("hidden_size", Json::Null).contains("lacks `hidden_size`"));
    assert!(with("num_hidden_layers", 0.into()).contains("`num_hidden_layers` is 0"));
    assert!(with("vocab_size", (1_u64 << 40).into()).contains("1 to 1048576 are possible"));
    assert!(with("num_attention_heads", 3.into()).contains("3 heads of a width of 32"));
    assert!(with("hidden_size", 64.into()).contains("is 700 x 32 where its sizes ask for 700 x 64"));
    assert!(
        with("num_hidden_layers", 3.into()).contains("lacks the tensor `encoder.layer.2.attention.self.query.weight`")
    );
    assert!(with("layer_norm_eps", 0.into()).contains("epsilon"));
    let mut infinite = tensors.clone();
    infinite.get_mut("encoder.layer.1.output.dense.bias").unwrap().1[3] = f32::NAN;
    write(folder.path(), &config, &infinite);
    assert!(refused().contains("`encoder.layer.1.output.dense.bias` has numbers that are not finite"));
    write(folder.path(), &config, &tensors);
    let (file, whole) =
        (folder.path().join("model.safetensors"), std::fs::read(folder.path().join("model.safetensors")).unwrap());
    for cut in [0, 7, 100, whole.len() / 2, whole.len() - 1] {
        std::fs::write(&file, &whole[..cut]).unwrap();
        assert!(refused().contains("its model.safetensors is damaged"), "{cut}");
    }
    // A header that claims more than there can be.
    std::fs::write(&file, [&(1_u64 << 60).to_le_bytes(), &whole[8..]].concat()).unwrap();
    assert!(refused().contains("is damaged"));
    std::fs::write(folder.path().join("config.json"), "{").unwrap();
    assert!(refused().contains("its config.json is no JSON"));
    std::fs::remove_file(folder.path().join("config.json")).unwrap();
    assert!(matches!(Encoder::load(folder.path()), Err(Error::Io(_))));
}
