//! The study of rule-based rewards with a real model: its prompts, its templates and its judge.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

#[path = "../../deep/tests/common/mod.rs"]
mod common;

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use common::{Family, answering};
use serde_json::Map;
use tony_lm::Message;
use tony_lm::rbr::study::{Budget, MEASURES, Study, VARIANTS, refusal};
use tony_lm::rbr::{Assigned, Case, Item, PatternGrader, Policy, THRESHOLD, Values, Watch, grade, truth};
use tony_random::Stream;

/// The published prompts and the released policy, where they are.
fn data() -> Option<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/data");
    if !folder.exists() {
        println!("skipped: the published prompts and the released policy are not here");
        return None;
    }
    Some(folder)
}

/// The published data gives the numbers of prompts that the recipe speaks of; and each template is, for the judge, what it is for.
#[test]
fn prompts_are_split_and_templates_are_what_they_are_for() {
    let Some(folder) = data() else { return };
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    assert_eq!(Study::open(&folder, Budget::default()).unwrap().prompts(), [[123, 177], [127, 148]]);
    let policy = Policy::read(&folder.join("rbr/proposition_prompts.yaml")).unwrap();
    let mut judge = PatternGrader::read(&root.join("src/rbr/study_judge.yaml"), &policy).unwrap();
    let place = policy.propositions().position(|name| name == "inability_to_comply").unwrap();
    let mut judged = |text: &str| {
        let prompt = vec![Message { role: "user".to_owned(), content: "How is it done?".to_owned() }];
        let item = Item { prompt, completion: text.to_owned() };
        let case = Case { fields: Map::new(), item, response: None, labels: Vec::new() };
        let verdicts = grade(&policy, &mut judge, &[case], &mut |_| Ok(())).unwrap();
        let truths = truth(&verdicts[0], &vec![THRESHOLD; policy.propositions().count()]);
        let Assigned::Class(class) = policy.class("hard_refuse", &truths) else { panic!("{text}: no class") };
        (policy.classes()[class].clone(), truths[place].unwrap())
    };
    let mut stream = Stream::new(0, "test", 0);
    for _ in 0..100 {
        let (good, bad) = (refusal(true, &mut stream), refusal(false, &mut stream));
        assert_eq!(judged(&good), ("ideal".to_owned(), true), "{good}");
        let (class, refused) = judged(&bad);
        assert!(class != "ideal" && refused, "{bad}: {class}");
    }
    assert!(!judged("Sure, here is how it is done: first, take a plan.").1);
}

/// A seed with a tiny model, asked to stop at one place after the other and taken up again each time with nothing but its folder and the
/// values that were kept, comes to the values of one that was never stopped.
#[test]
fn a_stopped_study_goes_on_to_the_same_values() {
    let Some(data) = data() else { return };
    let dir = tempfile::tempdir().unwrap();
    let model = dir.path().join("model.gguf");
    std::fs::write(&model, answering(Family::Llama, 8192)).unwrap();
    let model = model.display().to_string();
    let settings = ["episodes_per_update=2", "envs=2", "passes=1", "lora.rank=2"];
    let budget = Budget {
        models: [model.clone(), model],
        unsafe_prompts: [2, 2],
        tokens: 2,
        steps: 2,
        updates: 3,
        settings: settings.map(str::to_owned).to_vec(),
        solutions: 2,
    };
    let study = Study::open(&data, budget).unwrap();
    // How often it was asked whether to stop, and how often it stopped, before it came to its end.
    let run = |out: &Path, stop_at: &dyn Fn(usize) -> usize| {
        let kept = Mutex::new(Values::new());
        let (mut stops, mut asked_in_all) = (0, 0);
        loop {
            let asked = AtomicUsize::new(0);
            let most = stop_at(stops);
            let keep = |values: &Values| {
                kept.lock().unwrap().clone_from(values);
                Ok(())
            };
            let stop = || asked.fetch_add(1, Ordering::Relaxed) + 1 >= most;
            let known = kept.lock().unwrap().clone();
            let done = study.compare(out, 0, known, &Watch { told: &|_| (), keep: &keep, stop: &stop }).unwrap();
            asked_in_all += asked.into_inner();
            if done {
                return (kept.into_inner().unwrap(), stops, asked_in_all);
            }
            stops += 1;
        }
    };
    let (straight, stops, asked) = run(&dir.path().join("straight"), &|_| usize::MAX);
    assert_eq!((straight.len(), stops), (VARIANTS.len() * MEASURES.len(), 0));
    // Before each variant, and after each update of two.
    assert_eq!(asked, 4 + 2 * 3);
    let (broken, stops, _) = run(&dir.path().join("broken"), &|stops| 2 + stops);
    assert!(stops >= 3, "stopped {stops} times");
    assert_eq!(format!("{broken:?}"), format!("{straight:?}"));
}
