//! The small world: its language and judge, its graders, and a comparison from end to end.
#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout)]

use std::sync::Mutex;

use tony_lm::rbr::world::{
    Budget, Case, Lesson, Practice, Request, Size, WorldGrader, Writing, base, compare, names, policy, truth,
    vocabulary,
};
use tony_lm::rbr::{Assigned, Values, Watch};
use tony_random::Stream;

const CASES: [Case; 4] = [Case::Ordinary, Case::Boundary, Case::Hard, Case::Soft];

/// Every completion that can be written is of the class that it is written for.
#[test]
fn the_judge_puts_each_completion_into_its_class() {
    let policy = policy().unwrap();
    assert_eq!(policy.propositions().count(), 14);
    assert!((110..=160).contains(&vocabulary().len()), "{}", vocabulary().len());
    let mut stream = Stream::new(1, "test", 0);
    for round in 0..4000 {
        let request = Request::draw(CASES[round % 4], round % 3 == 0, &mut stream);
        for (writing, comply, hard, soft) in [
            (Writing::Full, "ideal", "disallowed_completion", "disallowed_completion"),
            (Writing::Partial, "ideal", "disallowed_completion", "disallowed_completion"),
            (Writing::FullMeta, "minimum_acceptable_style", "disallowed_completion", "disallowed_completion"),
            (Writing::Refusal, "unacceptable_completion", "ideal", "unacceptable_completion"),
            (Writing::BadRefusal, "", "", "unacceptable_completion"),
            (Writing::Soft, "unacceptable_completion", "unacceptable_completion", "ideal"),
            (Writing::BadSoft, "", "unacceptable_completion", ""),
            (Writing::Nonsense, "illogical_completion", "illogical_completion", "illogical_completion"),
        ] {
            let text = writing.text(&request, &mut stream);
            let truth: Vec<Option<bool>> = policy.propositions().map(|name| truth(&request, &text, name)).collect();
            let Assigned::Class(class) = policy.class(request.response(), &truth) else { panic!("{text}: no class") };
            let class = policy.classes()[class].as_str();
            let said = format!("{request:?} {writing:?} {text}: {class}");
            let expected = match request.response() {
                "comply" => comply,
                "hard_refuse" => hard,
                _ => soft,
            };
            match (expected, writing, request.response()) {
                // Asking back counts as an answer, and speaking of machines besides only spoils its style, as in the released policy.
                ("", _, "comply") => {
                    let allowed = ["unacceptable_completion", "ideal", "minimum_acceptable_style"];
                    assert!(allowed.contains(&class), "{said}");
                }
                ("", Writing::BadRefusal, _) => {
                    // Two apologies are not one.
                    assert!(["minimum_acceptable_style", "unacceptable_completion"].contains(&class), "{said}");
                }
                ("", ..) => assert!(["minimum_acceptable_style", "unacceptable_completion"].contains(&class), "{said}"),
                (expected, ..) => assert_eq!(class, expected, "{said}"),
            }
        }
    }
}

#[test]
fn graders_with_more_buckets_are_better() {
    let policy = policy().unwrap();
    let accuracy = [4, 16, 64, 512].map(|buckets| {
        let grader = WorldGrader::learn(&policy, buckets, 300, 1).unwrap();
        grader.accuracy(&policy, 300, 1).unwrap()
    });
    println!("{accuracy:?}");
    assert!(accuracy.windows(2).all(|pair| pair[0] < pair[1]), "{accuracy:?}");
}

/// The whole comparison at sizes at which nothing is learned: every value is there and possible, what is known is not measured again, a
/// stop leaves what is known, and going on gives the values of a comparison that was never stopped.
#[test]
fn a_comparison_goes_on_where_it_stopped() {
    let lesson = Lesson { rows: 24, steps: 2, batch: 4, lr: 1e-3 };
    let budget = Budget {
        size: Size { width: 32, layers: 1, hidden: 32 },
        teach: lesson,
        tune: lesson,
        prefer: lesson,
        gold: 60,
        compared: 12,
        practice: Practice { updates: 1, episodes: 4, ..Budget::default().practice },
        judged: 4,
        at_once: 2,
    };
    let base = base(&budget).unwrap();
    let kept = Mutex::new(Values::new());
    let keep = |values: &Values| {
        kept.lock().unwrap().clone_from(values);
        Ok(())
    };
    let told = Mutex::new(Vec::new());
    let tell = |line: &str| told.lock().unwrap().push(line.to_owned());
    let whole = Watch { told: &tell, keep: &keep, stop: &|| false };
    assert!(compare(&budget, &base, 1, Values::new(), &whole).unwrap());
    let values = kept.lock().unwrap().clone();
    for name in names() {
        let value = values[&name];
        assert!((0.0..=1.0).contains(&value), "{name}: {value}");
    }
    assert_eq!(values.len(), names().len());
    assert!(told.lock().unwrap().iter().any(|line| line.starts_with("seed 1: rbr-ppo: not_unsafe ")));

    let enough = |values: &Values| values.keys().filter(|name| name.contains(".f1")).count() >= 5;
    let stopped = Watch { stop: &|| enough(&kept.lock().unwrap()), ..whole };
    kept.lock().unwrap().clear();
    assert!(!compare(&budget, &base, 1, Values::new(), &stopped).unwrap());
    let known = kept.lock().unwrap().clone();
    assert!(enough(&known) && known.len() < values.len());
    told.lock().unwrap().clear();
    let whole = Watch { stop: &|| false, ..stopped };
    assert!(compare(&budget, &base, 1, known, &whole).unwrap());
    assert_eq!(*kept.lock().unwrap(), values);
    assert!(!told.lock().unwrap().iter().any(|line| line.starts_with("seed 1: helpful-sft")));
}
