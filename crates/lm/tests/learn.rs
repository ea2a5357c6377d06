//! Language models that learn: from answers, from preferences, by reinforcement; killed and resumed; mistakes and their messages.
#![allow(clippy::unwrap_used, clippy::panic)]

#[path = "../../deep/tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::sync::atomic::Ordering;

use common::{Family, Tiny, by_bytes};
use tony_lm::learn::reinforced::{self, Reinforced};
use tony_lm::learn::supervised::{Entry, Trainer};
use tony_lm::{Model, Request, Sampling, Writer};
use tony_run::{Control, Layer, Manifest, Metrics, Outcome, Plan, RunFolder, Training};

/// A model of 262 tokens in a folder, and data beside it.
fn model(folder: &Path) -> String {
    let path = folder.join("model.gguf");
    std::fs::write(&path, Tiny::with_vocabulary(Family::Llama, 262).gguf(&by_bytes())).unwrap();
    path.display().to_string()
}

fn write(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).unwrap();
    path.display().to_string()
}

fn words(model: &str, words: &[&str]) -> Vec<Layer> {
    let mut all = vec![format!("model={model}"), "checkpoint.seconds=0".to_owned()];
    all.extend(words.iter().map(|word| (*word).to_owned()));
    vec![Layer::command_line(&all).unwrap()]
}

fn supervised(name: &str, data: &str, model: &str, settings: &[&str]) -> Plan {
    Entry::find(name).unwrap().resolve(data, &words(model, settings)).unwrap()
}

fn folder(path: &Path, plan: &Plan) -> RunFolder {
    RunFolder::create(path, plan, &Manifest::new(0, 1)).unwrap()
}

/// What of a line of the records does not depend on the clock.
fn lasting(metrics: &Metrics) -> String {
    let timeless = metrics.iter().filter(|(name, _)| *name != "seconds" && !name.starts_with("Time/"));
    format!("{:?}", timeless.collect::<Vec<_>>())
}

/// The parameters in a run's newest checkpoint.
fn policy(run: &Path) -> Vec<u8> {
    RunFolder::open_read(run).unwrap().latest().unwrap().unwrap().policy.to_bytes().unwrap()
}

/// Train to the end; stopped after `stop` lines of the records and resumed from the folder, where that is asked for.
fn train(path: &Path, plan: &Plan, steps: u64, stop: Option<usize>) -> Vec<String> {
    let mut run = folder(path, plan);
    let mut trainer = Trainer::new(plan).unwrap();
    let (control, mut lines) = (Control::default(), 0);
    let outcome = trainer
        .run(&mut run, steps, &control, &mut |_| {
            lines += 1;
            // Asked for during the next line, which is then committed.
            if stop == Some(lines) {
                control.stop.store(true, Ordering::Relaxed);
            }
        })
        .unwrap();
    drop(run);
    if stop.is_some() {
        assert_eq!(outcome, Outcome::Stopped);
        let mut run = RunFolder::open(path).unwrap();
        let loaded = run.latest().unwrap().unwrap();
        let mut trainer = Trainer::new(plan).unwrap();
        trainer.restore(&loaded).unwrap();
        run.resume(Some(&loaded)).unwrap();
        trainer.run(&mut run, steps, &Control::default(), &mut |_| {}).unwrap();
    }
    RunFolder::open_read(path).unwrap().metrics().unwrap().iter().map(lasting).collect()
}

const ANSWERS: &str = r#"{"prompt": "the first", "completion": "aa"}
{"prompt": [{"role": "user", "content": "then the second"}], "completion": [{"role": "assistant", "content": "bbbb"}]}
{"messages": [{"role": "user", "content": "and"}, {"role": "assistant", "content": "c"}]}

{"text": "the then the end"}
{"prompt": "12", "completion": "34 56 78"}
"#;

const PAIRS: &str = r#"{"prompt": "say", "chosen": "good", "rejected": "bad"}
{"prompt": "do", "chosen": "good good", "rejected": "bad bad"}
{"chosen": "\n\nHuman: go\n\nAssistant: good", "rejected": "\n\nHuman: go\n\nAssistant: bad"}
{"prompt": "be", "chosen": "a good end", "rejected": "a bad end"}
"#;

#[test]
fn answers_and_preferences_are_learned_and_a_killed_training_goes_on_bit_for_bit() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    let (answers, pairs) = (write(dir.path(), "a.jsonl", ANSWERS), write(dir.path(), "p.jsonl", PAIRS));
    for (name, data, adapt) in
        [("sft", &answers, "full"), ("sft", &answers, "lora"), ("rm", &pairs, "full"), ("rm", &pairs, "lora")]
    {
        let settings =
            [&format!("adapt={adapt}"), "batch=3", "log.updates=2", "held_out=0.25", "lr=0.02", "lora.rank=4"];
        let plan = supervised(name, data, &model, &settings);
        let straight = dir.path().join(format!("{name}-{adapt}"));
        let lines = train(&straight, &plan, 12, None);
        assert_eq!(lines.len(), 6);
        let loss = |run: &Path| {
            let metrics = RunFolder::open_read(run).unwrap().metrics().unwrap();
            [0, 5].map(|line: usize| metrics[line].get("Train/Loss").unwrap())
        };
        let [first, last] = loss(&straight);
        assert!(last < 0.8 * first, "{name} {adapt}: {first} to {last}");
        for stop in [1, 3] {
            let resumed = dir.path().join(format!("{name}-{adapt}-{stop}"));
            assert_eq!(train(&resumed, &plan, 12, Some(stop)), lines, "{name} {adapt} {stop}");
            assert_eq!(policy(&resumed), policy(&straight), "{name} {adapt} {stop}");
        }
    }
}

#[test]
fn a_run_is_a_model_that_says_what_it_learned() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    let data = write(dir.path(), "a.jsonl", &"{\"prompt\": \"say\", \"completion\": \"the end\"}\n".repeat(8));
    let plan = supervised("sft", &data, &model, &["adapt=full", "batch=4", "held_out=0", "lr=0.01", "log.updates=100"]);
    let run = dir.path().join("run");
    train(&run, &plan, 100, None);
    let learned = Model::open(&run).unwrap();
    let prompt = learned.chat(&[tony_lm::Message { role: "user".into(), content: "say".into() }]).unwrap();
    let mut writer = Writer::new(&learned, 1);
    writer
        .add(Request {
            prompt,
            max_tokens: 20,
            sampling: Sampling::default(),
            seed: 0,
            stops: Vec::new(),
            constraint: None,
        })
        .unwrap();
    let mut said = String::new();
    while writer.pending() > 0 {
        said.extend(writer.step().unwrap().iter().map(|event| &*event.text));
    }
    assert_eq!(said, "the end");
}

const TASK: &str = r#"
prompts = "prompts.jsonl"
max_tokens = 6
[rewards.letters]
kind = "pattern"
weight = 2
[costs.length]
kind = "length"
"#;
const PROMPTS: &str = r#"{"prompt": "the", "pattern": "[a-m]", "id": "first"}
{"prompt": "then", "pattern": "[n-z]"}
"#;

fn task(dir: &Path) -> PathBuf {
    write(dir, "prompts.jsonl", PROMPTS);
    PathBuf::from(write(dir, "task.toml", TASK))
}

fn by_reinforcement(name: &str, dir: &Path, settings: &[&str]) -> Plan {
    let model = model(dir);
    let mut all = vec!["envs=8", "episodes_per_update=8", "hidden=16", "adapt=full", "lr=0.003"];
    all.extend(settings);
    let entry = tony_rl::algorithms::find(name).unwrap();
    reinforced::resolve(entry, &task(dir).display().to_string(), &words(&model, &all)).unwrap()
}

fn reinforce(path: &Path, plan: &Plan, steps: u64, stop: Option<usize>) -> Vec<String> {
    let mut run = folder(path, plan);
    let mut trainer = Reinforced::new(plan).unwrap().trainer;
    let (control, mut lines) = (Control::default(), 0);
    trainer
        .run(&mut run, steps, &control, &mut |_| {
            lines += 1;
            if stop == Some(lines) {
                control.stop.store(true, Ordering::Relaxed);
            }
        })
        .unwrap();
    drop(run);
    if stop.is_some() {
        let mut run = RunFolder::open(path).unwrap();
        let loaded = run.latest().unwrap().unwrap();
        let mut trainer = Reinforced::new(plan).unwrap().trainer;
        trainer.restore(&loaded).unwrap();
        assert!(trainer.steps() < steps, "it was stopped on the way");
        run.resume(Some(&loaded)).unwrap();
        trainer.run(&mut run, steps, &Control::default(), &mut |_| {}).unwrap();
    }
    RunFolder::open_read(path).unwrap().metrics().unwrap().iter().map(lasting).collect()
}

#[test]
fn reinforcement_is_the_same_bits_killed_or_not_and_on_any_threads() {
    let dir = tempfile::tempdir().unwrap();
    for (name, settings) in
        [("ppo", &[][..]), ("ppo-pid", &["cost.limit=3"]), ("rloo", &["group=4"]), ("grpo", &["group=4"])]
    {
        let plan = by_reinforcement(name, dir.path(), settings);
        let straight = dir.path().join(format!("{name}-straight"));
        let lines = reinforce(&straight, &plan, 240, None);
        for (stop, threads) in [(Some(2), 1), (None, 3)] {
            let other = dir.path().join(format!("{name}-{stop:?}-{threads}"));
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            assert_eq!(pool.install(|| reinforce(&other, &plan, 240, stop)), lines, "{name} {stop:?} {threads}");
            assert_eq!(policy(&other), policy(&straight), "{name}");
        }
    }
}

#[test]
fn reinforcement_raises_the_reward() {
    let dir = tempfile::tempdir().unwrap();
    // The likeliest answers are long: an answer is asked to be short.
    write(dir.path(), "prompts.jsonl", "{\"prompt\": \"the\"}\n{\"prompt\": \"end\"}\n");
    let text = "prompts = \"prompts.jsonl\"\nmax_tokens = 6\n[rewards.short]\nkind = \"length\"\nweight = -1\n";
    for (name, settings) in [("ppo", &["critic.lr=0.01"][..]), ("rloo", &["group=8"]), ("grpo", &["group=8", "kl=0"])] {
        let plan = by_reinforcement(
            name,
            dir.path(),
            &[&["reward.kl=0", "lr=0.01", "episodes_per_update=32", "envs=32"], settings].concat(),
        );
        write(dir.path(), "task.toml", text);
        let run = dir.path().join(format!("{name}-learns"));
        reinforce(&run, &plan, 4_000, None);
        let metrics = RunFolder::open_read(&run).unwrap().metrics().unwrap();
        let returns: Vec<f64> = metrics.iter().filter_map(|line| line.get("Metrics/EpRet")).collect();
        let (first, last) = (returns[0], returns[returns.len() - 1]);
        // An answer ends at once, at -1, where it ended never, at -6.
        assert!(first < -5.0 && last > -2.5, "{name}: {first} to {last}");
    }
}

#[test]
fn rewards_are_told_by_part_and_the_first_ratio_is_exactly_one() {
    let dir = tempfile::tempdir().unwrap();
    let plan = by_reinforcement("ppo", dir.path(), &["passes=1", "lr=0", "reward.kl=0.5"]);
    let Reinforced { mut trainer, task } = Reinforced::new(&plan).unwrap();
    let metrics = trainer.update(1_000, &Control::default()).unwrap();
    let samples = task.drain();
    assert_eq!(samples.len(), 8);
    for sample in &samples {
        assert_eq!(sample.reward, 2.0 * sample.rewards["letters"]);
        assert_eq!(sample.costs["length"], sample.tokens as f64);
        assert!(sample.tokens <= 6 && (sample.prompt == "first" || sample.prompt == "2"), "{sample:?}");
    }
    let mean = samples.iter().map(|sample| sample.reward).sum::<f64>() / 8.0;
    assert_eq!(metrics.get("Metrics/EpRet"), Some(mean), "returns are told without what staying near is paid");
    assert_eq!(metrics.get("Cost/length"), metrics.get("Metrics/EpLen"));
    // The model has not moved, so its log-probabilities are those that the batch was collected with, to the bit.
    assert_eq!((metrics.get("Train/KL"), metrics.get("Train/KLReference")), (Some(0.0), Some(0.0)));
    // The pass that acts rounds otherwise than the one that learns, and no more than that.
    let gap = metrics.get("Train/SamplerGap").unwrap();
    assert!(gap > 0.0 && gap < 1e-4, "{gap}");
}

#[test]
fn mistakes_are_told_before_anything_is_learned() {
    let dir = tempfile::tempdir().unwrap();
    let model = model(dir.path());
    let refuse = |name: &str, text: &str, settings: &[&str]| {
        let data = write(dir.path(), "bad.jsonl", text);
        Trainer::new(&supervised(name, &data, &model, settings)).unwrap_err().to_string()
    };
    let answer = "{\"prompt\": \"a\", \"completion\": \"b\"}\n";
    for (text, what) in [
        ("{\"prompt\": \"a\"}\n", "bad.jsonl:1"),
        (&format!("{answer}{{\"messages\": []}}\n"), "bad.jsonl:2"),
        ("{\"messages\": [{\"role\": \"user\", \"content\": \"a\"}]}\n", "not the assistant's"),
        (&format!("{answer}{{\"prompt\": \"a\", \"compl\n"), "bad.jsonl:2"),
        ("", "no rows to learn from"),
    ] {
        let error = refuse("sft", text, &[]);
        assert!(error.contains(what), "{error}");
    }
    assert!(refuse("sft", answer, &["tokens=3"]).contains("1 are longer than 3 tokens"));
    assert!(refuse("rm", answer, &[]).contains("bad.jsonl:1"));
    let dialogue = "{\"chosen\": \"\\n\\nHuman: a\", \"rejected\": \"\\n\\nHuman: b\"}\n";
    assert!(refuse("rm", dialogue, &[]).contains("does not end with the assistant's turn"));
    let error = Trainer::new(&supervised("sft", "x.jsonl", "smollm2-135", &[])).unwrap_err();
    assert!(error.to_string().contains("no model's name"), "{error}");

    let refuse = |task: &str, prompts: &str| {
        write(dir.path(), "prompts.jsonl", prompts);
        let path = write(dir.path(), "task.toml", task);
        let entry = tony_rl::algorithms::find("ppo").unwrap();
        let plan = reinforced::resolve(entry, &path, &words(&model, &[])).unwrap();
        Reinforced::new(&plan).err().unwrap().to_string()
    };
    for (task, prompts, what) in [
        ("prompts = 3", PROMPTS, "task.toml"),
        ("prompts = \"none.jsonl\"\nmax_tokens = 4\n[rewards.a]\nkind = \"json\"", PROMPTS, "none.jsonl"),
        ("prompts = \"prompts.jsonl\"\nmax_tokens = 4\n[rewards]", PROMPTS, "no rewards"),
        ("prompts = \"prompts.jsonl\"\nmax_tokens = 0\n[rewards.a]\nkind = \"json\"", PROMPTS, "`max_tokens` is 0"),
        ("prompts = \"prompts.jsonl\"\nmax_tokens = 4\n[rewards.a]\nkind = \"jsn\"", PROMPTS, "jsn"),
        ("prompts = \"prompts.jsonl\"\nmax_tokens = 4\n[rewards.a]\nkind = \"match\"", PROMPTS, "prompts.jsonl:1"),
        ("prompts = \"prompts.jsonl\"\nmax_tokens = 4\n[rewards.a]\nkind = \"model\"", PROMPTS, "lacks `run`"),
        (TASK, "{\"prompt\": \"a\", \"pattern\": \"(\"}\n", "prompts.jsonl:1"),
        (
            "prompts = \"prompts.jsonl\"\nmax_tokens = 90000\n[rewards.a]\nkind = \"json\"",
            PROMPTS,
            "more than the model's",
        ),
        (
            "prompts = \"prompts.jsonl\"\nprompt_tokens = 1\nmax_tokens = 4\n[rewards.a]\nkind = \"json\"",
            PROMPTS,
            "short enough",
        ),
    ] {
        let error = refuse(task, prompts);
        assert!(error.contains(what), "{error}");
    }
}
