//! Pages of synthetic runs: what they must hold, and that a browser runs their scripts.

use super::answers::Batch;
use super::*;
use crate::browser::Browser;
use std::f64::consts::TAU;
use std::path::{Path, PathBuf};
use std::process::Command;
use tony_env::frame::{Form, Frame, Lidar, Shape};
use tony_env::recording::Recorder;
use tony_env::scene::{Mesh, Part, Pose, Scene, Solid, View};
use tony_random::Stream;

/// A run that learns: the return rises to 20, the cost falls from 60 towards `cost`.
fn a_run(algorithm: &str, seed: u64, cost: f64) -> RunReport {
    let mut noise = Stream::new(seed, "synthetic run", 0);
    let mut row = |i: usize| {
        let t = i as f64 / 50.0;
        let mut metrics = Metrics::new();
        metrics.set("steps", 20_000.0 * i as f64);
        metrics.set("updates", i as f64);
        metrics.set("seconds", 6.0 * i as f64);
        metrics.set("Metrics/EpRet", 20.0 * (1.0 - (-4.0 * t).exp()) + noise.normal());
        metrics.set("Metrics/EpCost", cost + (60.0 - cost) * (-5.0 * t).exp() + 2.0 * noise.normal());
        metrics.set("Metrics/EpLen", 1000.0);
        metrics.set("Cost/hazards", 50.0 * (-5.0 * t).exp() + 20.0);
        metrics.put("Metrics/LagrangeMultiplier", (i > 3).then_some(t * 0.4));
        metrics.set("Train/KL", 0.01 + 0.002 * noise.normal());
        metrics.set("Train/Entropy", 2.8 - t);
        metrics.set("Time/FPS", 3400.0 + 50.0 * noise.normal());
        metrics.set("Train/LossV", 1.0 / (1.0 + 10.0 * t));
        Row { line: i, metrics }
    };
    let setting = |key: &str, value: &str, source: &str, doc: &str| Setting {
        key: key.into(),
        value: value.into(),
        source: source.into(),
        doc: doc.into(),
    };
    let stat = |mean: f64| Stat { mean, lo: mean - 1.0, hi: mean + 1.0, n: 10 };
    RunReport {
        name: format!("{algorithm}-SafetyPointGoal1-{seed:04}"),
        algorithm: algorithm.into(),
        title: "Constrained Policy Optimization".into(),
        env: "SafetyPointGoal1-v0".into(),
        settings: vec![
            setting("seed", &seed.to_string(), "command line", "Seed of everything random."),
            setting("cost.limit", "25.0", "default", "Largest mean cost of an episode."),
            setting("hidden", "[64, 64]", "preset </script><b>", "Hidden layers & \"more\"."),
        ],
        manifest: serde_json::Map::from_iter([
            ("cpu".to_owned(), "A <processor>".into()),
            ("seed".to_owned(), 1.into()),
        ]),
        metrics: (1..=50).map(&mut row).collect(),
        evaluation: Some(Evaluation {
            run: "r".into(),
            checkpoint: "0001000000".into(),
            episodes: 10,
            options: None,
            total: stat(21.0),
            costs: vec![("hazards".into(), stat(20.0)), ("cost".into(), stat(23.0))],
            length: Stat { mean: 1000.0, lo: 1000.0, hi: 1000.0, n: 10 },
        }),
        checkpoints: vec![Saved { name: "0001000000".into(), steps: 1_000_000, updates: 50, policy: "ab12".into() }],
        episodes: vec![from_above(1000), from_the_side(400)],
        options: None,
        answers: Vec::new(),
        ending: "finished".into(),
    }
}

fn disc(kind: &str, at: [f64; 2], r: f64) -> Shape {
    Shape { kind: kind.into(), form: Form::Disc { at, r } }
}

/// A robot that circles through hazards, a goal that jumps, three lidars.
fn from_above(length: usize) -> Recording {
    let frame = |t: usize| {
        let turn = t as f64 * 0.015;
        let robot = [1.1 * turn.cos(), 1.1 * (1.3 * turn).sin()];
        let hazards: Vec<[f64; 2]> = (0..8)
            .map(|i| (f64::from(i) * 2.4, 0.4 + 0.14 * f64::from(i)))
            .map(|(a, r)| [r * a.cos(), r * a.sin()])
            .collect();
        let goal = [[1.2, 1.0], [-1.0, 1.2], [-1.1, -0.9]][t / 250 % 3];
        let ground = Shape { kind: "ground".into(), form: Form::Rect { at: [0.0; 2], half: [1.5; 2], angle: 0.0 } };
        let vase =
            Shape { kind: "vase".into(), form: Form::Rect { at: [0.3, 1.1], half: [0.1; 2], angle: turn / 9.0 } };
        let mut shapes = vec![ground];
        shapes.extend(hazards.iter().map(|&at| disc("hazard", at, 0.2)));
        shapes.extend([disc("goal", goal, 0.3), vase, disc("robot", robot, 0.1)]);
        let to = [robot[0] + 0.12 * turn.cos(), robot[1] + 0.12 * turn.sin()];
        shapes.push(Shape { kind: "heading".into(), form: Form::Capsule { from: robot, to, r: 0.012 } });
        let lidar = |(kind, things): (&str, &[[f64; 2]])| {
            let mut bins = vec![0.0; 16];
            for thing in things {
                let (dx, dy) = (thing[0] - robot[0], thing[1] - robot[1]);
                let bin = ((dy.atan2(dx) - turn).rem_euclid(TAU) / TAU * 16.0).round() as usize % 16;
                bins[bin] = f64::max(bins[bin], (1.0 - dx.hypot(dy) / 3.0).max(0.0));
            }
            Lidar { kind: kind.into(), at: robot, angle: turn, bins }
        };
        let lidars = [("goal", &[goal][..]), ("hazards", &hazards), ("vases", &[[0.3, 1.1]])];
        let near = hazards.iter().any(|h| (h[0] - robot[0]).hypot(h[1] - robot[1]) < 0.2);
        (
            Frame { shapes, lidars: lidars.into_iter().map(lidar).collect(), ..Frame::default() },
            f64::from(u8::from(near)),
        )
    };
    let costs = ["hazards".to_owned(), "cost".to_owned()];
    let mut recorder = Recorder::new("SafetyPointGoal1-v0", 7, 1_000_000, 50.0, &costs, None, &frame(0).0);
    for t in 1..=length {
        let (picture, cost) = frame(t);
        recorder.push(&picture, 0.02 + 0.03 * (t as f64 * 0.05).sin(), &[cost, cost]);
    }
    recorder.finish()
}

/// Capsules that run to the right, seen from the side, without costs.
fn from_the_side(length: usize) -> Recording {
    let frame = |t: usize| {
        let x = t as f64 * 0.1;
        let capsule = |kind: &str, from: [f64; 2], to: [f64; 2], r| Shape {
            kind: kind.into(),
            form: Form::Capsule { from, to, r },
        };
        let swing = 0.3 * (t as f64 * 0.4).sin();
        let shapes = vec![
            capsule("ground", [x - 3.0, -0.01], [x + 3.0, -0.01], 0.01),
            capsule("robot", [x - 0.5, 0.6], [x + 0.5, 0.6], 0.046),
            capsule("robot", [x - 0.5, 0.6], [x - 0.5 + swing, 0.1], 0.046),
            capsule("robot", [x + 0.5, 0.6], [x + 0.5 - swing, 0.1], 0.046),
        ];
        Frame { shapes, ..Frame::default() }
    };
    let mut recorder = Recorder::new("HalfCheetah-v5", 3, 500_000, 20.0, &[], None, &frame(0));
    (1..=length).for_each(|t| recorder.push(&frame(t), 2.0, &[]));
    recorder.finish()
}

fn many_runs() -> Vec<RunReport> {
    let group =
        |(algorithm, cost): (&'static str, f64)| (1..=3).map(move |seed| a_run(algorithm, seed + cost as u64, cost));
    [("cpo", 22.0), ("ppo", 55.0), ("ppo-lag", 26.0)].into_iter().flat_map(group).collect()
}

fn pages() -> Vec<(&'static str, String)> {
    let runs = many_runs();
    vec![
        ("report", run_report(&runs[0])),
        ("compare", compare_report(&Comparison::new(&runs))),
        ("replay", replay_page("A <replay>", &runs[0].episodes)),
        ("solid", replay_page("A solid replay", &[solid(1000)])),
        #[cfg(feature = "lm")]
        ("ranking", a_ranking()),
    ]
}

/// Weights and comparisons of two response types: rules see through noise what a reward model does not.
#[cfg(feature = "lm")]
fn a_ranking() -> String {
    use tony_lm::rbr::{Comparisons, Fitting, Policy, fit, rank};
    let policy = "
prompt_template: '{question} {response}'
completion_class_order: [ideal, bad]
completion_classes:
  ideal: {hard_refuse: {refuses: true, judges: false}, comply: {refuses: false}}
  bad: {hard_refuse: {refuses: false}, comply: {refuses: true}}
simple_propositions: {refuses: {prompt: x}, judges: {prompt: x}}
";
    let policy = Policy::parse(policy).unwrap();
    let mut noise = Stream::new(1, "synthetic comparisons", 0);
    let mut data = |prompts: usize| {
        let mut text = String::new();
        for i in 0..4 * prompts {
            let (prompt, kind) = (i / 4, i % 4);
            let (response, ideal) = [("Hard Refuse", [0.9, 0.1]), ("Comply", [0.1, 0.1])][prompt % 2];
            let label = ["perfect </script><b>", "bad </script><b>", "bad </script><b>", "A <replay>"][kind];
            let away = [0.0, 0.5, 0.6, 0.8][kind];
            let p = ideal.map(|p: f64| ((p - away).abs() + 0.15 * noise.normal()).clamp(0.0, 1.0));
            let rm = 2.0 * (prompt % 5) as f64 + away + noise.normal();
            let rank = [0, 1, 1, 2][kind];
            text += &serde_json::json!({"prompt": format!("{prompt}"), "completion": format!("{i}"), "response_type": response, "rank": rank,
                "completion_type": label, "features": {"refuses": p[0], "judges": p[1]}, "rm_score": rm, "id": format!("A <processor> {i}")})
            .to_string();
            text.push('\n');
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("graded.jsonl");
        fs_err::write(&path, text).unwrap();
        Comparisons::read(&path, &policy).unwrap()
    };
    let weights = fit(&policy, &data(300), &Fitting::default()).unwrap();
    let fresh = data(200);
    let page = ranking_report(&weights, &fresh, &rank(&policy, &weights, &fresh).unwrap());
    assert!(page.contains("an ideal completion is outranked in") && page.contains("A &lt;processor&gt; "));
    page
}

#[test]
fn pages_load_nothing() {
    for (name, page) in pages() {
        for link in [
            "http:",
            "https:",
            "src=",
            "@import",
            "url(",
            "<link rel=\"stylesheet\"",
            "fetch(",
            "XMLHttpRequest",
            "import(",
        ] {
            assert!(!page.contains(link), "{name} contains {link}");
        }
        assert!(page.contains("default-src 'none'"), "{name} lets the browser load things");
    }
}

#[test]
fn text_from_data_stays_text() {
    for (name, page) in pages() {
        assert_eq!(page.matches("<script").count(), page.matches("</script>").count(), "{name}");
        assert!(
            !page.contains("A <replay>") && !page.contains("</script><b>") && !page.contains("A <processor>"),
            "{name}"
        );
    }
    let report = &pages()[0].1;
    assert!(report.contains("preset &lt;/script&gt;&lt;b&gt;"));
    assert!(report.contains("A &lt;processor&gt;"));
}

#[test]
fn the_report_leads_from_each_number_to_its_lines() {
    let run = a_run("cpo", 1, 22.0);
    let page = run_report(&run);
    let total = final_of(&run.metrics, "Metrics/EpRet").unwrap();
    assert_eq!(total.lines, [46, 50]);
    assert_eq!(total.stat.n, 5);
    assert!(page.contains(&html::number(total.stat.mean)));
    for text in [
        "Constrained Policy Optimization on SafetyPointGoal1-v0",
        "within the limit of 25",
        "lines 46\u{2013}50",
        ">limit 25<",
        "metrics.jsonl, lines 1\u{2013}50: Metrics/EpRet",
        // The multiplier is absent in the first three lines.
        "metrics.jsonl, lines 4\u{2013}50: Metrics/LagrangeMultiplier",
        "1,000,000 environment steps",
        "Train/LossV",
        "10 fresh episodes",
    ] {
        assert!(page.contains(text), "{text}");
    }
}

#[test]
fn a_cost_above_its_limit_is_said_to_be() {
    assert!(run_report(&a_run("ppo", 1, 55.0)).contains("above the limit of 25"));
}

#[test]
fn a_run_that_has_not_begun_is_a_page_too() {
    let page = run_report(&RunReport { env: "X-v0".into(), ..RunReport::default() });
    assert!(page.contains("nothing to judge"));
    let comparison = Comparison::new(&[]);
    assert!(compare_report(&comparison).contains("0 runs"));
    assert!(!page.contains("NaN"));
}

/// A Q-learner whose values leave what rewards can pay, or stay.
#[test]
fn a_diagnosed_run_says_whether_and_when_it_diverged() {
    let run = |growth: f64| {
        let row = |i: usize| {
            let mut metrics = Metrics::new();
            metrics.set("steps", 1000.0 * i as f64);
            metrics.set("updates", 1000.0 * i as f64);
            let largest = 100.0 * growth.powi(i as i32);
            metrics.set("Diagnose/MaxAbsQ", largest);
            metrics.set("Diagnose/Bound", 1627.0);
            metrics.set("Diagnose/Diverged", f64::from(u8::from(largest > 1627.0)));
            metrics.set("Diagnose/Alignment", if growth > 1.0 { 0.35 } else { 0.99 });
            metrics.set("Diagnose/Contraction", if growth > 1.0 { 2.5 } else { 0.9995 });
            metrics.set("Diagnose/RowRatio", 0.4);
            Row { line: i, metrics }
        };
        run_report(&RunReport { metrics: (1..=20).map(row).collect(), ..RunReport::default() })
    };
    let page = run(1.5);
    // 100 x 1.5^7 = 1,709 is the first above 1,627.
    assert!(
        page.contains("It diverged: from step 7 000 on") || page.contains("It diverged: from step 7,000 on"),
        "{page}"
    );
    assert!(
        page.contains("line 7)") && page.contains("generalisation") && page.contains("nothing holds learning together")
    );
    let page = run(1.0);
    assert!(page.contains("Values stayed possible in all 20 lines") && page.contains("straight towards the targets"));
    assert!(page.contains("learning contracts") && !page.contains("It diverged"));
    let none = run_report(&a_run("cpo", 0, 20.0));
    assert!(!none.contains("Why did my run diverge"));
}

#[test]
fn a_comparison_counts_and_ranks() {
    let runs = many_runs();
    let comparison = Comparison::new(&runs);
    let json = serde_json::to_value(&comparison).unwrap();
    let group = |algo: &str| json["groups"].as_array().unwrap().iter().find(|group| group["algo"] == algo).unwrap();
    assert_eq!(group("cpo")["seeds"], 3);
    assert_eq!(group("cpo")["within_limit"], 1.0);
    assert_eq!(group("ppo")["within_limit"], 0.0);
    assert!(group("cpo")["cost"]["mean"].as_f64().unwrap() < 25.0);
    let pairs = json["pairs"].as_array().unwrap();
    assert_eq!(pairs.len(), 3);
    // cpo ends near 22, ppo near 55, with a spread of 1: certain.
    assert_eq!((&pairs[0]["a"], &pairs[0]["b"]), (&"cpo".into(), &"ppo".into()));
    assert_eq!(pairs[0]["p_lower_cost"]["mean"], 1.0);
    let page = compare_report(&comparison);
    assert!(page.contains("3 of 3") && page.contains("0 of 3"));
}

#[test]
fn one_run_has_no_interval() {
    let run = [a_run("cpo", 1, 22.0)];
    let page = compare_report(&Comparison::new(&run));
    assert!(
        page.contains("n = 1, no interval")
            && page.contains("With fewer than five runs a bootstrap interval is too narrow")
    );
    assert!(!page.contains("class=\"interval\">["));
}

#[test]
fn an_evaluation_reads_back_in_order() {
    let evaluation = a_run("cpo", 1, 22.0).evaluation.unwrap();
    let text = serde_json::to_string(&evaluation).unwrap();
    assert!(text.contains(r#""costs":{"hazards":{"mean":20.0"#), "{text}");
    let again: Evaluation = serde_json::from_str(&text).unwrap();
    assert_eq!(again.costs, evaluation.costs);
}

/// The pages in Chromium: every script runs to its end, and the player stands where the address says.
#[test]
fn a_browser_runs_the_scripts() {
    let Some(browser) = crate::browser::find() else {
        eprintln!("skipped: no chromium on this machine");
        return;
    };
    // Kept where it is asked for, to be looked at.
    let kept = std::env::var_os("TONY_TEST_PAGES").map(PathBuf::from);
    let scratch = tempfile::tempdir().unwrap();
    let dir = kept.as_deref().unwrap_or(scratch.path());
    fs_err::create_dir_all(dir).unwrap();
    for (name, page) in pages() {
        let path = dir.join(format!("{name}.html"));
        fs_err::write(&path, page).unwrap();
        let dom = dump(&browser, &path, "#ep=0&t=500&play=0", scratch.path());
        assert!(!dom.contains("data-error"), "{name}");
        if name == "ranking" {
            assert!(dom.contains("</footer>"), "it has no scripts");
            continue;
        }
        if !["replay", "solid"].contains(&name) {
            assert!(dom.contains("data-charts=\"ready\""), "{name}");
        }
        if name != "compare" {
            assert!(dom.contains("data-player=\"ready\"") && dom.contains("data-step=\"500\""), "{name}");
            assert!(dom.contains("500 / 1,000"), "{name}");
        }
    }
}

/// A robot that runs 6 m along x past a goal, with a lidar, and a cost at each tenth step.
fn solid(length: usize) -> Recording {
    let part = |kind: &str, body, form, size| Part { kind: kind.into(), body, form, size, pose: Pose::at([0.0; 3]) };
    let parts = vec![
        part("floor", None, Solid::Plane, [0.0, 0.0, 0.05]),
        part("robot", Some(0), Solid::Sphere, [0.2, 0.0, 0.0]),
        Part {
            pose: Pose { at: [0.2, 0.0, 0.1], turn: [0.7, 0.0, 0.7, 0.0] },
            ..part("robot", Some(0), Solid::Capsule, [0.05, 0.15, 0.0])
        },
        part("goal", Some(1), Solid::Cylinder, [0.3, 0.15, 0.0]),
        part("vase", Some(2), Solid::Mesh(0), [0.0; 3]),
    ];
    let mesh = Mesh {
        vertices: vec![[0, 0, 0], [3000, 0, 0], [0, 3000, 0], [0, 0, 3000]],
        faces: vec![[0, 2, 1], [0, 1, 3], [1, 2, 3], [0, 3, 2]],
    };
    let scene = Scene { view: View::Corner, parts, meshes: vec![mesh], bodies: 3 };
    let frame = |t: usize| {
        let (x, turn) = (6.0 * t as f64 / length as f64 - 3.0, t as f64 * 0.05);
        let robot = Pose { at: [x, 0.0, 0.2], turn: [(turn / 2.0).cos(), 0.0, 0.0, (turn / 2.0).sin()] };
        let bodies =
            vec![Some(robot), (t < length / 2).then(|| Pose::at([1.5, 1.0, 0.15])), Some(Pose::at([-2.0, -1.5, 0.0]))];
        let bins = (0..16).map(|i| f64::from(i) / 15.0).collect();
        Frame {
            bodies,
            lidars: vec![Lidar { kind: "goal".into(), at: [x, 0.0], angle: turn, bins }],
            ..Frame::default()
        }
    };
    let costs = ["hazards".to_owned(), "cost".to_owned()];
    let mut recorder = Recorder::new("SafetyPointGoal1-v0", 7, 1_000_000, 50.0, &costs, Some(scene), &frame(0));
    for t in 1..=length {
        let cost = f64::from(u8::from(t.is_multiple_of(10)));
        recorder.push(&frame(t), 0.01, &[cost, cost]);
    }
    recorder.finish()
}

/// The pixels that differ between two pictures, of all; and the middle column of what is robot blue in the second.
fn compared(before: &[[u8; 3]], after: &[[u8; 3]], width: usize) -> (usize, f64) {
    let differ = before.iter().zip(after).filter(|(a, b)| a != b).count();
    let blue = |pixel: &[u8; 3]| i32::from(pixel[2]) > 2 * i32::from(pixel[0]) + 40 && pixel[2] > pixel[1];
    // Charts and slider are blue too, and below.
    let stage = &after[..after.len() / 2];
    let columns: Vec<f64> =
        stage.iter().enumerate().filter(|(_, pixel)| blue(pixel)).map(|(i, _)| (i % width) as f64).collect();
    (differ, columns.iter().sum::<f64>() / columns.len() as f64)
}

#[test]
fn a_solid_scene_moves_turns_and_is_followed_in_a_browser() {
    if crate::browser::find().is_none() {
        eprintln!("skipped: no chromium on this machine");
        return;
    }
    let scratch = tempfile::tempdir().unwrap();
    let path = scratch.path().join("solid.html");
    fs_err::write(&path, replay_page("A solid replay", &[solid(200), from_above(100)])).unwrap();
    let (width, size) = (960, [960, 1000]);
    let mut page = Browser::open(&path, "play=0&film=1", size).unwrap();
    let mut at = |script: &str| {
        page.evaluate(script).unwrap();
        crate::browser::pixels(&page.picture().unwrap()).unwrap()
    };
    let start = at("replay.show(0, 0)");
    let colours: std::collections::HashSet<[u8; 3]> = start[..start.len() / 2].iter().copied().collect();
    assert!(colours.len() > 300, "a shaded picture, not {} colours", colours.len());
    let (same, left) = compared(&start, &at("replay.show(0, 0)"), width);
    assert_eq!(same, 0, "the same moment is the same picture");
    // The robot crosses the picture; what there is to see fits in it.
    let (moved, right) = compared(&start, &at("replay.show(0, 199)"), width);
    assert!(moved > 2000 && (20.0..400.0).contains(&left) && (500.0..940.0).contains(&right), "{moved} {left} {right}");
    let cost = at("replay.show(0, 200)");
    let alarm = |picture: &[[u8; 3]]| picture.iter().filter(|[r, g, b]| *r > 180 && *g < 170 && *b < 140).count();
    assert!(alarm(&cost) > alarm(&start) + 300, "a cost is seen: {} {}", alarm(&cost), alarm(&start));
    for step in [9, 109, 199] {
        let (_, middle) = compared(&start, &at(&format!("replay.follow(true); replay.show(0, {step})")), width);
        assert!((middle - 480.0).abs() < 60.0, "followed at step {step}: {middle}");
    }
    let followed = at("replay.show(0, 100)");
    page.drag([400, 300], [520, 340]).unwrap();
    let turned = crate::browser::pixels(&page.picture().unwrap()).unwrap();
    assert!(compared(&followed, &turned, width).0 > 10_000, "a drag turns the scene");
    // A flat episode beside a solid one is drawn on the other canvas.
    page.evaluate("replay.show(1, 50)").unwrap();
    assert_eq!(page.evaluate("document.getElementById('solid').hidden").unwrap(), true);
    assert_eq!(page.evaluate("document.getElementById('stage').hidden").unwrap(), false);
    assert_eq!(page.evaluate("document.documentElement.dataset.error ?? ''").unwrap(), "");
    // Without WebGL there are words and charts.
    let off = "HTMLCanvasElement.prototype.getContext = ((get) => function (kind, ...more) { \
        return kind === 'webgl2' ? null : get.call(this, kind, ...more); })(HTMLCanvasElement.prototype.getContext)";
    page.ask("Page.enable", &serde_json::json!({})).unwrap();
    page.ask("Page.addScriptToEvaluateOnNewDocument", &serde_json::json!({"source": off})).unwrap();
    page.ask("Page.reload", &serde_json::json!({})).unwrap();
    page.wait_for(
        "document.documentElement?.dataset.player === 'ready' && !document.getElementById('no-solid').hidden",
    )
    .unwrap();
    assert_eq!(page.evaluate("document.documentElement.dataset.error ?? ''").unwrap(), "");
    assert_eq!(page.evaluate("document.getElementById('solid').hidden").unwrap(), true);
}

#[test]
fn films_are_as_long_as_their_episodes() {
    let scratch = tempfile::tempdir().unwrap();
    let episodes = [solid(40), from_above(20)];
    let gif = scratch.path().join("film.gif");
    crate::film::film(&episodes, crate::film::Kind::Gif, &gif).unwrap();
    let mut reader = gif::DecodeOptions::new().read_info(fs_err::File::open(&gif).unwrap()).unwrap();
    let mut delays = Vec::new();
    while let Some(frame) = reader.next_frame_info().unwrap() {
        delays.push(frame.delay);
    }
    // 50 steps a second: each fourth, eight hundredths.
    assert_eq!(delays, [8; 11 + 6]);
    assert_eq!(reader.width(), 640);
    if crate::film::ffmpeg().is_err() {
        eprintln!("skipped: no ffmpeg on this machine");
        return;
    }
    let mp4 = scratch.path().join("film.mp4");
    crate::film::film(&episodes, crate::film::Kind::Mp4, &mp4).unwrap();
    assert_eq!(&fs_err::read(&mp4).unwrap()[4..8], b"ftyp");
}

fn dump(browser: &Path, page: &Path, hash: &str, profile: &Path) -> String {
    let output = Command::new(browser)
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking"])
        .args(["--disable-component-update", "--disable-sync", "--virtual-time-budget=2000", "--dump-dom"])
        .arg(format!("--user-data-dir={}", profile.join("profile").display()))
        .arg(format!("file://{}{hash}", page.display()))
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Recipes are checked against the names of quantities, so no algorithm may log one that the page does not know.
#[test]
fn every_quantity_that_an_algorithm_logs_is_known() {
    let mut unknown = Vec::new();
    for entry in tony_rl::algorithms::list() {
        let (env, words): (&str, &[&str]) = match (entry.family, entry.name) {
            ("option discovery", _) => ("OptionPoint", &["paths=8", "contexts=4", "hidden=8", "lstm=0"]),
            (_, "dqn") => ("probe-action-discrete", &["minibatch=8", "start_steps=10", "hidden=8", "diagnose=true"]),
            ("off-policy", _) => ("probe-action", &["minibatch=8", "start_steps=10", "hidden=8", "diagnose=true"]),
            ("on-policy without critics", _) => {
                ("probe-action", &["envs=4", "episodes_per_update=8", "group=4", "hidden=8"])
            }
            _ => ("probe-two-costs", &["steps_per_update=400", "hidden=8", "surprise=progress"]),
        };
        let mut words = words.to_vec();
        if entry.name.ends_with("-pid") {
            words.extend(["lagrangian.beta=true", "standardise=false"]);
        }
        let plan = entry.resolve(env, &[tony_run::Layer::command_line(&words).unwrap()]).unwrap();
        let envs = crate::world::make(env, plan.get("envs").unwrap().parse().unwrap(), true).unwrap();
        let mut trainer = tony_rl::Trainer::new(&plan, envs).unwrap();
        for _ in 0..2 {
            let metrics = trainer.update(1_000_000, &tony_run::Control::default()).unwrap();
            let names = metrics.iter().map(|(name, _)| name.to_owned());
            unknown.extend(names.filter(|name| !is_metric(name)).map(|name| format!("{}: {name}", entry.name)));
        }
    }
    assert!(unknown.is_empty(), "{unknown:?}");
}

#[test]
fn what_a_model_said_is_shown_with_its_rewards_and_never_as_markup() {
    let answer = |i: usize| {
        serde_json::json!({"prompt": format!("p{i}"), "text": format!("<script>alert({i})</script>"), "reward": i,
            "rewards": {"right<b>": 0.5}, "costs": {"length": 3}})
    };
    let batch = |update: &str| Batch { update: update.into(), answers: (0..40).map(answer).collect() };
    let page =
        run_report(&RunReport { answers: vec![batch("0000000001"), batch("0000000009")], ..a_run("ppo", 1, 0.0) });
    assert!(page.contains("Update 1: 40 answers") && page.contains("Update 9: 40 answers"));
    // The best and the worst are there, what lies between is not.
    assert!(page.contains("&lt;script&gt;alert(39)") && page.contains("&lt;script&gt;alert(0)"));
    assert!(!page.contains("<script>alert") && !page.contains("alert(20)") && page.contains("right&lt;b&gt; 0.5"));
}
