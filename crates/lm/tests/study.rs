//! The study of rule-based rewards with a real model: its prompts, its templates and its judge.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::path::Path;

use serde_json::Map;
use tony_lm::Message;
use tony_lm::rbr::study::{Budget, Study, refusal};
use tony_lm::rbr::{Assigned, Case, Item, PatternGrader, Policy, THRESHOLD, grade, truth};
use tony_random::Stream;

/// The published data gives the numbers of prompts that the recipe speaks of; and each template is, for the judge, what it is for.
#[test]
fn prompts_are_split_and_templates_are_what_they_are_for() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let folder = root.join("../../../shared/data");
    if !folder.exists() {
        println!("skipped: the published prompts and the released policy are not here");
        return;
    }
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
