//! The small world: its language and judge, its graders, and a comparison from end to end.

use std::sync::Arc;
use std::time::Instant;

use tony_lm::rbr::world::{
    Case, Lesson, Mix, Practice, Request, RewardModel, Size, Taste, WorldGrader, Worth, Writing, answers, comparisons,
    copy, held_out, imitate, measure, newborn, policy, practise, truth, vocabulary,
};
use tony_lm::rbr::{Assigned, Comparisons, Fitting, fit};
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

#[test]
#[ignore = "minutes"]
fn explore() {
    let clock = Instant::now();
    let at = |what: &str| println!("{:6.1} s {what}", clock.elapsed().as_secs_f64());
    let env = |name: &str, or: usize| std::env::var(name).ok().and_then(|v| v.parse().ok()).unwrap_or(or);
    let policy = Arc::new(policy().unwrap());
    let size = Size { width: env("WIDTH", 96), layers: env("LAYERS", 3), hidden: env("HIDDEN", 256) };
    let seed = 0;
    let base = newborn(size, seed).unwrap();
    at(&format!("{} parameters", base.params.len()));
    let sft = Lesson { rows: 4000, steps: env("SFT", 400) as u64, batch: 16, lr: 1e-3 };
    let (helpful, loss) = imitate(base, Taste::Helpful, sft, seed).unwrap();
    at(&format!("helpful sft: loss {loss:.3}"));
    let show = |learner: &tony_lm::learn::Learner, what: &str| {
        at(&format!("{what}: {:?}", measure(&policy, learner, 100, 5).unwrap()));
        let [safety, _] = held_out(100);
        let some: Vec<Request> = (0..9).map(|i| safety[33 * i]).collect();
        for (request, text) in some.iter().zip(answers(learner, &some, 3).unwrap()) {
            println!("      {:>12}{} ->{text}", request.response(), request.text());
        }
    };
    show(&helpful, "Helpful-SFT");
    let tune = Lesson { rows: 2000, steps: env("TUNE", 150) as u64, batch: 16, lr: 5e-4 };
    let (human, _) = imitate(copy(&helpful).unwrap(), Taste::Human, tune, seed).unwrap();
    show(&human, "Human-SFT");
    let (ideal, _) = imitate(copy(&helpful).unwrap(), Taste::Ideal, tune, seed).unwrap();
    show(&ideal, "RBR-SFT");
    let prefer = Lesson { rows: 1500, steps: env("RM", 150) as u64, batch: 16, lr: 5e-4 };
    let (helpful_rm, loss) = RewardModel::learn(copy(&helpful).unwrap(), Taste::Helpful, prefer, seed).unwrap();
    at(&format!("helpful rm: loss {loss:.3}"));
    let (human_rm, loss) = RewardModel::learn(copy(&helpful).unwrap(), Taste::Human, prefer, seed).unwrap();
    at(&format!("human rm: loss {loss:.3}"));
    let (helpful_rm, human_rm) = (Arc::new(helpful_rm), Arc::new(human_rm));
    let grader = Arc::new(WorldGrader::learn(&policy, 512, 300, seed).unwrap());
    at(&format!("grader: {:.3}", grader.accuracy(&policy, 300, seed).unwrap()));
    let rows = comparisons(&grader, &policy, &helpful_rm, 300, seed, false).unwrap();
    let data = Comparisons::of_values("comparisons".as_ref(), &policy, rows).unwrap();
    let weights = Arc::new(fit(&policy, &data, &Fitting::default()).unwrap());
    for (response, fitted) in &weights.response_types {
        at(&format!("{response}: loss {:.3} clipped {:.3} {:.2?}", fitted.loss, fitted.clipped, fitted.weights));
    }
    let practice = Practice {
        updates: env("UPDATES", 60),
        episodes: env("EPISODES", 32),
        mix: Mix::default(),
        settings: std::env::var("PPO").unwrap_or_default().split_whitespace().map(str::to_owned).collect(),
    };
    let plain = |rm: &Arc<RewardModel>| Worth { rm: rm.clone(), rm_on_safety: true, rules: None };
    let ruled = Worth { rules: Some((policy.clone(), grader, weights)), ..plain(&helpful_rm) };
    for (name, learner, worth) in [
        ("RBR-PPO", &ideal, ruled),
        ("Human-PPO", &human, plain(&human_rm)),
        ("Helpful-PPO", &helpful, plain(&helpful_rm)),
    ] {
        let mut curve = Vec::new();
        let trained = practise(copy(learner).unwrap(), &worth, &practice, seed, &mut |_, ret| curve.push(ret)).unwrap();
        let means: Vec<f64> = curve.chunks(6).map(|c| c.iter().sum::<f64>() / c.len() as f64).collect();
        at(&format!("{name} {means:.2?}"));
        show(&trained, name);
    }
}
