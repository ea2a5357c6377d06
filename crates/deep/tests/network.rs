//! Learned transformers: log-probabilities against the definition, gradients against differences, and the same bits in any batch.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

mod common;

use common::{Family, Tiny, VOCABULARY, WIDTH};
use tony_deep::decoder::{Adaptation, Decoder, ModelFile, Network, Piece, Scored, Sequence, Storage};
use tony_deep::{Error, Place, Result};
use tony_random::Stream;

const FAMILIES: [Family; 4] = [Family::Llama, Family::Qwen2, Family::Qwen3, Family::Gemma3];
const LOW_RANK: Adaptation = Adaptation::LowRank { rank: 2, alpha: 3.0 };

fn tokens(n: usize, seed: u64) -> Vec<u32> {
    let mut stream = Stream::new(seed, "tokens", 0);
    (0..n).map(|_| stream.below(VOCABULARY) as u32).collect()
}

/// A network of a family from a folder, its parameters moved so that no low-rank part is zero.
fn network(family: Family, adaptation: Adaptation) -> (Network, Vec<f32>) {
    network_at(Place::Cpu, family, adaptation).unwrap()
}

fn network_at(place: Place, family: Family, adaptation: Adaptation) -> Result<(Network, Vec<f32>)> {
    let folder = tempfile::tempdir().unwrap();
    Tiny::new(family).write_folder(folder.path());
    let (network, mut params) = Network::open(&ModelFile::open(folder.path()).unwrap(), adaptation, 3, place)?;
    if adaptation != Adaptation::Full {
        let mut stream = Stream::new(4, "move", 0);
        params.iter_mut().for_each(|p| *p += 0.1 * stream.normal() as f32);
    }
    Ok((network, params))
}

/// Log-softmax in double storage, and its entropy.
fn log_softmax(logits: &[f64]) -> (Vec<f64>, f64) {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let sum = logits.iter().map(|l| (l - most).exp()).sum::<f64>().ln() + most;
    let logs: Vec<f64> = logits.iter().map(|l| l - sum).collect();
    let entropy = -logs.iter().map(|l| l * l.exp()).sum::<f64>();
    (logs, entropy)
}

#[test]
fn log_probabilities_are_those_of_the_definition() {
    let folder = tempfile::tempdir().unwrap();
    let text = tokens(13, 1);
    for family in FAMILIES {
        let tiny = Tiny::new(family);
        let (file, hugging_face) = (folder.path().join("model.gguf"), folder.path().join(format!("{family:?}")));
        std::fs::write(&file, tiny.gguf(&[])).unwrap();
        tiny.write_folder(&hugging_face);
        // As in the decoder's test, windows differ between the two forms.
        for (path, period) in [(&hugging_face, 2), (&file, 6)] {
            let (network, params) =
                Network::open(&ModelFile::open(path).unwrap(), Adaptation::Full, 0, Place::Cpu).unwrap();
            let scored = network.scores(&network.weights(&params), &[Sequence { tokens: &text, from: 1 }]).unwrap();
            assert_eq!(scored.len(), 12);
            for (i, scored) in scored.iter().enumerate() {
                let (logs, entropy) = log_softmax(&tiny.logits(&text[..=i], period));
                let expected = logs[text[i + 1] as usize];
                // Logits are of the size of 1 to 10, computed in single storage through two layers.
                assert!((f64::from(scored.log_prob) - expected).abs() < 5e-5, "{family:?} {i}: {scored:?} {expected}");
                assert!((f64::from(scored.entropy) - entropy).abs() < 5e-5, "{family:?} {i}: {scored:?} {entropy}");
            }
        }
    }
}

/// What [`Network::gradient`] is the gradient of, with weights that depend on sequence and token alone.
fn objective(network: &Network, params: &[f32], sequences: &[Sequence], entropy: f64) -> f64 {
    let scored = network.scores(&network.weights(params), sequences).unwrap();
    let mut at = 0;
    let mut sum = 0.0;
    for (i, sequence) in sequences.iter().enumerate() {
        for (j, scored) in scored[at..at + sequence.len()].iter().enumerate() {
            sum += f64::from(weight(i, j, 0.0)) * f64::from(scored.log_prob) + entropy * f64::from(scored.entropy);
        }
        at += sequence.len();
    }
    sum
}

fn weight(sequence: usize, token: usize, _: f32) -> f32 {
    0.5 + (sequence as f32) - 0.3 * (token % 3) as f32
}

#[test]
fn gradients_are_those_of_differences() {
    let (a, b) = (tokens(9, 5), tokens(6, 6));
    let sequences = [Sequence { tokens: &a, from: 3 }, Sequence { tokens: &b, from: 1 }];
    for family in FAMILIES {
        for adaptation in [Adaptation::Full, LOW_RANK] {
            let (network, params) = network(family, adaptation);
            for entropy in [0.0_f32, 0.7] {
                let mut grad = vec![0.0; network.num_params()];
                let scored = network.gradient(&params, &sequences, &weight, entropy, &mut grad).unwrap();
                assert_eq!(scored, network.scores(&network.weights(&params), &sequences).unwrap());
                // Along random directions, with a step at which rounding (1e-6 of values near 10) and curvature are both small.
                let mut stream = Stream::new(7, "direction", 0);
                for _ in 0..4 {
                    let direction: Vec<f32> = params.iter().map(|_| stream.normal() as f32).collect();
                    let step = 2e-3 / tony_nn::norm(&direction) as f32 * tony_nn::norm(&params).sqrt() as f32;
                    let at = |sign: f32| {
                        let moved: Vec<f32> = params.iter().zip(&direction).map(|(p, d)| p + sign * step * d).collect();
                        objective(&network, &moved, &sequences, f64::from(entropy))
                    };
                    let difference = (at(1.0) - at(-1.0)) / (2.0 * f64::from(step));
                    let slope = tony_nn::dot(&grad, &direction);
                    let size = tony_nn::norm(&grad) + 1.0;
                    assert!(
                        (slope - difference).abs() < 0.02 * size,
                        "{family:?} {adaptation:?}: {slope} {difference}"
                    );
                }
            }
        }
    }
}

#[test]
fn gradients_through_states_are_those_of_differences() {
    let text = tokens(8, 8);
    let sequences = [Sequence { tokens: &text, from: 7 }];
    for adaptation in [Adaptation::Full, LOW_RANK] {
        let (network, params) = network(Family::Llama, adaptation);
        let value = |params: &[f32]| {
            let states = network.states(&network.weights(params), &sequences).unwrap();
            assert_eq!(states.len(), WIDTH);
            states.iter().enumerate().map(|(i, x)| f64::from(*x) * (i as f64 - 7.0)).sum::<f64>()
        };
        let mut grad = vec![0.0; network.num_params()];
        let slope = |_: usize, rows: &mut [f32]| rows.iter_mut().enumerate().for_each(|(i, x)| *x = i as f32 - 7.0);
        network.gradient_by_states(&params, &sequences, &slope, &mut grad).unwrap();
        let mut stream = Stream::new(9, "direction", 0);
        let direction: Vec<f32> = params.iter().map(|_| stream.normal() as f32).collect();
        let at = |step: f32| value(&params.iter().zip(&direction).map(|(p, d)| p + step * d).collect::<Vec<f32>>());
        let difference = (at(5e-4) - at(-5e-4)) / 1e-3;
        let slope = tony_nn::dot(&grad, &direction);
        assert!((slope - difference).abs() < 0.01 * slope.abs().max(1.0), "{adaptation:?}: {slope} {difference}");
    }
}

#[test]
fn a_sequence_has_the_same_bits_in_any_batch() {
    let texts: Vec<Vec<u32>> = (0..7).map(|i| tokens(5 + 3 * i, 20 + i as u64)).collect();
    let sequences: Vec<Sequence> = texts.iter().map(|tokens| Sequence { tokens, from: 2 }).collect();
    for adaptation in [Adaptation::Full, LOW_RANK] {
        let (mut network, params) = network(Family::Gemma3, adaptation);
        let scored = network.scores(&network.weights(&params), &sequences).unwrap();
        let alone: Vec<Scored> = sequences
            .iter()
            .flat_map(|sequence| network.scores(&network.weights(&params), &[*sequence]).unwrap())
            .collect();
        assert_eq!(scored, alone);
        let mut grad = vec![0.0; network.num_params()];
        // The first step of an algorithm that learns from ratios sees exactly 1.
        let ratio = std::sync::Mutex::new(Vec::new());
        let weigh = |i: usize, j: usize, log_prob: f32| {
            let before: usize = sequences[..i].iter().map(Sequence::len).sum();
            ratio.lock().unwrap().push(libm::expf(log_prob - scored[before + j].log_prob));
            weight(i, j, log_prob)
        };
        network.gradient(&params, &sequences, &weigh, 0.01, &mut grad).unwrap();
        let ratio = ratio.into_inner().unwrap();
        assert!(ratio.len() == scored.len() && ratio.iter().all(|ratio| *ratio == 1.0));
        // Made anew or kept, on any number of threads: the same bits.
        for (recompute, threads) in [(true, 1), (false, 1), (true, 3), (false, 3)] {
            network.recompute = recompute;
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            let mut again = vec![0.0; grad.len()];
            pool.install(|| network.gradient(&params, &sequences, &weight, 0.01, &mut again)).unwrap();
            assert!(again.iter().zip(&grad).all(|(a, b)| a.to_bits() == b.to_bits()), "{recompute} {threads}");
        }
        // Cut into pieces, or in another order, the sum is the same but for the rounding of its order.
        let mut sum = vec![0.0_f32; grad.len()];
        for (i, sequence) in sequences.iter().enumerate().rev() {
            let mut one = vec![0.0; grad.len()];
            network.gradient(&params, &[*sequence], &|_, j, _| weight(i, j, 0.0), 0.01, &mut one).unwrap();
            sum.iter_mut().zip(&one).for_each(|(sum, one)| *sum += one);
        }
        let size = tony_nn::norm(&grad);
        let distance: Vec<f32> = sum.iter().zip(&grad).map(|(a, b)| a - b).collect();
        assert!(tony_nn::norm(&distance) < 1e-6 * size, "{} of {size}", tony_nn::norm(&distance));
    }
}

#[test]
fn what_was_learned_is_a_model_again() {
    let text = tokens(11, 30);
    for family in FAMILIES {
        for adaptation in [Adaptation::Full, LOW_RANK] {
            let (network, params) = network(family, adaptation);
            let decoder = Decoder::load(&network.merged(&params).unwrap()).unwrap();
            let mut kept = decoder.begin();
            let logits = decoder.forward(&mut [Piece { kept: &mut kept, tokens: &text[..10], wanted: 10 }]);
            let scored = network.scores(&network.weights(&params), &[Sequence { tokens: &text, from: 1 }]).unwrap();
            for ((logits, target), scored) in logits.chunks_exact(VOCABULARY).zip(&text[1..]).zip(&scored) {
                let (logs, _) = log_softmax(&logits.iter().map(|l| f64::from(*l)).collect::<Vec<_>>());
                let distance = (logs[*target as usize] - f64::from(scored.log_prob)).abs();
                assert!(distance < 1e-4, "{family:?} {adaptation:?}: {distance}");
            }
        }
    }
}

#[test]
fn a_saved_model_is_read_again_with_the_same_bits() {
    let folder = tempfile::tempdir().unwrap();
    let text = tokens(9, 31);
    for family in FAMILIES {
        let gguf = folder.path().join("model.gguf");
        std::fs::write(&gguf, Tiny::new(family).gguf(&[])).unwrap();
        let original = ModelFile::open(&gguf).unwrap();
        let scored = |file: &ModelFile| {
            let (network, params) = Network::open(file, Adaptation::Full, 0, Place::Cpu).unwrap();
            network.scores(&network.weights(&params), &[Sequence { tokens: &text, from: 1 }]).unwrap()
        };
        for storage in [Storage::Single, Storage::Brain] {
            let saved = folder.path().join(format!("{family:?}-{storage:?}"));
            std::fs::create_dir(&saved).unwrap();
            original.save(&saved, storage).unwrap();
            let again = ModelFile::open(&saved).unwrap();
            assert_eq!(again.config(), original.config(), "{family:?}");
            let (before, after) = (scored(&original), scored(&again));
            if storage == Storage::Single {
                assert_eq!(before, after, "{family:?}");
            }
            let far = before.iter().zip(&after).map(|(a, b)| (a.log_prob - b.log_prob).abs()).fold(0.0, f32::max);
            // Eight bits of each weight through two layers, at log-probabilities of 1 to 10.
            assert!(far < 0.3, "{family:?} {storage:?}: {far}");
        }
    }
}

#[test]
fn a_small_model_learns_a_text_by_heart() {
    let (network, _) = network(Family::Llama, Adaptation::Full);
    let (network, mut params) = Network::random(network.config().clone(), 1).unwrap();
    let text: Vec<u32> = (0..24).map(|i| (i * i + 3) % 40).collect();
    let sequences = [Sequence { tokens: &text, from: 1 }];
    let mut adam = tony_nn::Adam::new(params.len(), 0.9, 0.999, 1e-8);
    let mut grad = vec![0.0; params.len()];
    let mut losses = Vec::new();
    for _ in 0..120 {
        let scored = network.gradient(&params, &sequences, &|_, _, _| -1.0 / 23.0, 0.0, &mut grad).unwrap();
        losses.push(-scored.iter().map(|s| f64::from(s.log_prob)).sum::<f64>() / 23.0);
        adam.step(&mut params, &grad, 0.01);
    }
    // At first every token is as likely as any other.
    assert!((losses[0] - 40_f64.ln()).abs() < 0.1, "{}", losses[0]);
    assert!(losses[119] < 0.05, "{}", losses[119]);
}

/// What a graphics device computes is what the processor does, but for rounding. Such a device is looked for only in builds that could use one.
#[test]
fn graphics_devices_agree_with_the_processor() {
    let (a, b) = (tokens(9, 5), tokens(6, 6));
    let sequences = [Sequence { tokens: &a, from: 3 }, Sequence { tokens: &b, from: 1 }];
    for (place, built) in [(Place::Cuda, cfg!(feature = "cuda")), (Place::Wgpu, cfg!(feature = "wgpu"))] {
        for (family, adaptation) in FAMILIES.iter().flat_map(|f| [Adaptation::Full, LOW_RANK].map(|a| (*f, a))) {
            let (there, params) = match network_at(place, family, adaptation) {
                Ok(opened) => opened,
                Err(Error::NotBuilt(name)) => {
                    assert!(!built && name == place.name(), "{name}");
                    println!("skipped: this build computes nothing on {name}");
                    break;
                }
                Err(error) => {
                    assert!(built && matches!(error, Error::NoDevice(_)), "{error}");
                    println!("skipped: {error}");
                    break;
                }
            };
            let (here, _) = network(family, adaptation);
            let of = |network: &Network| {
                let mut grad = vec![0.0; network.num_params()];
                let scored = network.gradient(&params, &sequences, &weight, 0.7, &mut grad).unwrap();
                let (read, states) = network.read(&network.weights(&params), &sequences).unwrap();
                let logs = |scored: &[Scored]| scored.iter().map(|s| s.log_prob).collect::<Vec<_>>();
                [logs(&scored), logs(&read), states, grad]
            };
            for (what, (there, here)) in of(&there).iter().zip(of(&here)).enumerate() {
                let apart: Vec<f32> = there.iter().zip(&here).map(|(a, b)| a - b).collect();
                let (apart, size) = (tony_nn::norm(&apart), tony_nn::norm(&here));
                assert!(
                    size > 0.1 && apart < 1e-4 * size,
                    "{place:?} {family:?} {adaptation:?} {what}: {apart} of {size}"
                );
            }
        }
    }
}
