//! The report of one run.

use super::answers;
use super::chart::{Chart, Point, SCRIPT, Series};
use super::divergence::divergence;
use super::html::{duration, escape, grouped, number, page, section, table};
use super::{FINAL_UPDATES, Final, Row, RunReport, final_of, finite, options, replay};
use tony_run::Stat;

/// Quantities that are the axis or the clock, not a curve.
const NOT_CURVES: [&str; 3] = ["steps", "updates", "seconds"];

/// A curve that has a name and a unit of its own, in the order of the page.
struct Known {
    metric: &'static str,
    title: &'static str,
    unit: &'static str,
    colour: usize,
}

const KNOWN: [Known; 25] = [
    Known { metric: "Metrics/EpRet", title: "Return", unit: "reward per episode", colour: 0 },
    Known { metric: "Metrics/EpCost", title: "Cost", unit: "cost per episode", colour: 1 },
    Known {
        metric: "Metrics/LossAfter",
        title: "Error on new tasks, after adaptation",
        unit: "mean squared",
        colour: 0,
    },
    Known { metric: "Metrics/LossBefore", title: "Before adaptation", unit: "mean squared", colour: 1 },
    Known {
        metric: "Metrics/AccuracyAfter",
        title: "New tasks told right, after adaptation",
        unit: "share",
        colour: 0,
    },
    Known { metric: "Metrics/AccuracyBefore", title: "Before adaptation", unit: "share", colour: 1 },
    Known { metric: "Metrics/Loss", title: "Loss on what is held out", unit: "nats", colour: 0 },
    Known { metric: "Metrics/Accuracy", title: "Held-out pairs told right", unit: "share", colour: 0 },
    Known { metric: "Train/Loss", title: "Loss", unit: "nats", colour: 1 },
    Known { metric: "Metrics/LagrangeMultiplier", title: "Lagrange multiplier", unit: "", colour: 3 },
    Known { metric: "Train/KL", title: "KL divergence, old to new policy", unit: "nats", colour: 2 },
    Known { metric: "Train/Entropy", title: "Policy entropy", unit: "nats", colour: 2 },
    Known { metric: "Train/StepFraction", title: "Accepted share of the trust-region step", unit: "", colour: 2 },
    Known { metric: "Train/OptimCase", title: "Case of the trust-region problem", unit: "0 to 4", colour: 2 },
    Known { metric: "Empi/Bound", title: "Lower bound of the improvement", unit: "discounted return", colour: 2 },
    Known { metric: "Empi/Promised", title: "Promised by the update before", unit: "discounted return", colour: 2 },
    Known { metric: "Empi/Happened", title: "Happened since the update before", unit: "reward per episode", colour: 0 },
    Known { metric: "Empi/Divergence", title: "Mean total variation distance of a step", unit: "", colour: 2 },
    Known { metric: "Surprise/Raw", title: "Mean bonus before its coefficient", unit: "nats or distance", colour: 3 },
    Known { metric: "Surprise/Eta", title: "Coefficient of the bonus", unit: "", colour: 3 },
    Known { metric: "Surprise/NllAfter", title: "Surprise of the model after its fit", unit: "nats", colour: 3 },
    Known { metric: "Surprise/Accepted", title: "Was the model's step accepted?", unit: "1 yes, 0 no", colour: 3 },
    Known { metric: "Value/ExplainedVariance", title: "Variance that the critic explains", unit: "share", colour: 2 },
    Known { metric: "Metrics/EpLen", title: "Episode length", unit: "steps", colour: 4 },
    Known { metric: "Time/FPS", title: "Speed", unit: "steps/s", colour: 4 },
];

/// Quantities of some algorithm that have no chart of their own.
const OTHERS: &[&str] = &[
    "Empi/Surrogate",
    "Empi/Epsilon",
    "Empi/Coefficient",
    "Empi/Halvings",
    "Surprise/NllBefore",
    "Surprise/KL",
    "Train/Beta",
    "Train/Lambda",
    "Train/LR",
    "Train/Passes",
    "Train/Alignment",
    "Train/SolveResidual",
    "Train/Damping",
    "Train/Step",
    "Train/Alpha",
    "Train/Exploration",
    "Train/InnerLoss",
    "Train/StepNorm",
    "Train/Eps",
    "Train/Accuracy",
    "Train/GradNorm",
    "Train/GroupsAlike",
    "Train/SamplerGap",
    "Train/KLReference",
    "Loss/Q",
    "Value/Q",
    "Diagnose/RowRatio",
    "Diagnose/Alignment",
    "Diagnose/Contraction",
    "Diagnose/EffectiveAlpha",
    "Diagnose/MaxAbsQ",
    "Diagnose/Bound",
    "Diagnose/Diverged",
    "Options/LogProbLearned",
    "Options/Chance",
    "Options/DecoderLoss",
    "Options/Bits",
    "Options/K",
    "Options/LogProb",
    "Options/Accuracy",
    "Time/Examples",
    "Time/Tokens",
    "Time/GFLOPS",
    "Time/Physics",
    "Time/Policy",
    "Time/Update",
    "steps",
    "updates",
    "seconds",
];

/// Quantities that some training logs; costs, multipliers and critics have more, one a channel.
pub fn metrics() -> impl Iterator<Item = &'static str> {
    KNOWN.iter().map(|known| known.metric).chain(OTHERS.iter().copied())
}

/// Does some training log a quantity of this name?
pub fn is_metric(name: &str) -> bool {
    let of_channel = |stem: &str| name.strip_prefix(stem).is_some_and(|channel| channel.len() > 1);
    metrics().any(|known| known == name)
        || ["Cost/", "Metrics/LagrangeMultiplier/", "Value/ExplainedVariance/"].into_iter().any(of_channel)
}

/// The page.
pub fn run_report(input: &RunReport) -> String {
    let title = format!("{} on {}", input.title, input.env);
    let body = [
        header(input, &title),
        verdict(input),
        tiles(input),
        options::options(input),
        curves(input),
        divergence(input),
        replay(input),
        answers::answers(input),
        evaluation(input),
        settings(input),
        provenance(input),
        checkpoints(input),
        footer(),
    ];
    page(&title, &body.concat(), &[&[SCRIPT], replay::SCRIPTS.as_slice()].concat())
}

pub(super) fn header(input: &RunReport, title: &str) -> String {
    let seed = input.setting("seed");
    let seconds = input.metrics.iter().rev().find_map(|row| finite(row, "seconds"));
    // A line of the records may stand for many.
    let updates = input.metrics.iter().rev().find_map(|row| finite(row, "updates"));
    let facts = [
        Some(format!("{} {}", grouped(input.steps() as i64), steps_are(input))),
        updates.map(|n| format!("{} updates", grouped(n as i64))),
        seconds.map(duration),
        seed.map(|seed| format!("seed {}", escape(seed))),
        (!input.ending.is_empty()).then(|| escape(&input.ending)),
    ];
    let facts: Vec<String> = facts.into_iter().flatten().collect();
    format!(
        "<header>\n<p class=\"eyebrow\">tony \u{b7} {}</p>\n<h1>{}</h1>\n<p>{}</p>\n</header>\n",
        escape(&input.name),
        escape(title),
        facts.join(" \u{b7} ")
    )
}

/// Few-shot learners step their initialisation, not an environment.
fn is_few_shot(input: &RunReport) -> bool {
    let told = |row: &Row| row.metrics.iter().any(|(name, _)| name == "Train/Eps");
    input.metrics.first().is_some_and(told)
}

/// What is counted.
fn steps_are(input: &RunReport) -> &'static str {
    let of_language = |row: &Row| row.metrics.iter().any(|(name, _)| name == "Train/Loss");
    if is_few_shot(input) {
        "steps of the initialisation"
    } else if input.metrics.first().is_some_and(of_language) {
        "steps of the optimiser"
    } else {
        "environment steps"
    }
}

/// A final cost beside its limit, in plain words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Within,
    WithinOnAverage,
    AboveOnAverage,
    Above,
}

impl Standing {
    fn of(cost: Stat, limit: f64) -> Self {
        match (cost.mean <= limit, cost.hi <= limit, cost.lo <= limit) {
            (true, true, _) => Self::Within,
            (true, false, _) => Self::WithinOnAverage,
            (false, _, true) => Self::AboveOnAverage,
            (false, _, false) => Self::Above,
        }
    }

    fn words(self) -> &'static str {
        match self {
            Self::Within => "within the limit",
            Self::WithinOnAverage => "within the limit on average, though its interval reaches above",
            Self::AboveOnAverage => "above the limit on average, though its interval reaches below",
            Self::Above => "above the limit",
        }
    }

    fn class(self) -> &'static str {
        match self {
            Self::Within | Self::WithinOnAverage => "good",
            Self::AboveOnAverage | Self::Above => "bad",
        }
    }
}

/// A cost of the run: how it is called, which metric holds it, its limit.
struct Cost {
    name: String,
    metric: String,
    limit: Option<f64>,
}

/// The documented sum first, then each channel.
fn costs(input: &RunReport) -> Vec<Cost> {
    let mut costs = vec![Cost { name: "cost".into(), metric: "Metrics/EpCost".into(), limit: input.limit(None) }];
    let channels = names(&input.metrics).into_iter().filter_map(|name| name.strip_prefix("Cost/"));
    for channel in channels.filter(|channel| *channel != "cost") {
        let metric = format!("Cost/{channel}");
        costs.push(Cost { name: channel.to_owned(), metric, limit: input.limit(Some(channel)) });
    }
    costs.retain(|cost| input.metrics.iter().any(|row| finite(row, &cost.metric).is_some()));
    costs
}

fn verdict(input: &RunReport) -> String {
    let Some(total) = final_of(&input.metrics, "Metrics/EpRet") else {
        return "<p class=\"verdict\">No episode has ended yet, so there is nothing to judge.</p>\n".to_owned();
    };
    let measured: Vec<(Cost, Final)> = (costs(input).into_iter())
        .filter_map(|cost| final_of(&input.metrics, &cost.metric).map(|last| (cost, last)))
        .collect();
    let limited = measured.iter().filter_map(|(cost, last)| Some((cost, last, cost.limit?)));
    let standings: Vec<(Standing, String)> = limited
        .map(|(cost, last, limit)| {
            let standing = Standing::of(last.stat, limit);
            let text = format!(
                "{} {} is {} of {}",
                if cost.name == "cost" { "cost" } else { "cost of" },
                if cost.name == "cost" {
                    stat(last.stat)
                } else {
                    format!("{} {}", escape(&cost.name), stat(last.stat))
                },
                standing.words(),
                number(limit)
            );
            (standing, text)
        })
        .collect();
    let class = match standings.iter().map(|(standing, _)| standing.class()) {
        mut classes if classes.clone().next().is_some() => {
            if classes.any(|class| class == "bad") {
                "bad"
            } else {
                "good"
            }
        }
        _ => "plain",
    };
    let texts: Vec<String> = standings.into_iter().map(|(_, text)| text).collect();
    let against = match (texts.is_empty(), measured.first()) {
        (false, _) => format!(", and its {}", texts.join("; its ")),
        (true, Some((_, last))) => format!(", and its cost is {}; no limit was set", stat(last.stat)),
        (true, None) => "; this task has no costs".to_owned(),
    };
    format!(
        "<p class=\"verdict {class}\">At the end of training the return is {}{against}.\
         <small>Mean of the last {} updates (metrics.jsonl, {}) with its 95 % bootstrap interval.</small></p>\n",
        stat(total.stat),
        total.stat.n,
        lines(total.lines)
    )
}

/// Mean and interval.
pub(super) fn stat(stat: Stat) -> String {
    let interval = if stat.n > 1 {
        format!("[{}, {}]", number(stat.lo), number(stat.hi))
    } else {
        "n = 1, no interval".to_owned()
    };
    format!("<b>{}</b> <span class=\"interval\">{interval}</span>", number(stat.mean))
}

fn lines([first, last]: [usize; 2]) -> String {
    if first == last { format!("line {first}") } else { format!("lines {first}\u{2013}{last}") }
}

fn tiles(input: &RunReport) -> String {
    let mut tiles: Vec<(String, String, &str)> = vec![("return".into(), "Metrics/EpRet".into(), "")];
    tiles.extend(costs(input).into_iter().map(|cost| (cost.name, cost.metric, "")));
    tiles.push(("options".into(), "Options/K".into(), ""));
    tiles.push(("decoder accuracy".into(), "Options/Accuracy".into(), ""));
    tiles.push(("episode length".into(), "Metrics/EpLen".into(), "steps"));
    tiles.push(("speed".into(), "Time/FPS".into(), "steps/s"));
    let tile = |(name, metric, unit): (String, String, &str)| {
        let last = final_of(&input.metrics, &metric)?;
        Some(format!(
            "<div><dt>{}</dt><dd>{} <small>{unit}</small></dd><dd class=\"source\">[{}, {}], {}</dd></div>\n",
            escape(&name),
            number(last.stat.mean),
            number(last.stat.lo),
            number(last.stat.hi),
            lines(last.lines)
        ))
    };
    format!("<dl class=\"tiles\">\n{}</dl>\n", tiles.into_iter().filter_map(tile).collect::<Vec<String>>().concat())
}

/// Names of all quantities, in the order of their first appearance.
fn names(rows: &[Row]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for (name, _) in rows.iter().flat_map(|row| row.metrics.iter()) {
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

pub(super) fn curves(input: &RunReport) -> String {
    let names = names(&input.metrics);
    let costs = costs(input);
    let mut charts = Vec::new();
    let mut drawn: Vec<&str> = NOT_CURVES.to_vec();
    // `Cost/cost` is the sum that `Metrics/EpCost` already shows.
    drawn.push("Cost/cost");
    drawn.extend(options::DRAWN);
    for known in &KNOWN {
        let limit = costs.iter().find(|cost| cost.metric == known.metric).and_then(|cost| cost.limit);
        charts.extend(curve(input, known.metric, known.title, known.unit, known.colour, limit));
        drawn.push(known.metric);
        if known.metric == "Metrics/EpCost" {
            for cost in costs.iter().filter(|cost| cost.metric.starts_with("Cost/")) {
                charts.extend(curve(
                    input,
                    &cost.metric,
                    &format!("Cost: {}", cost.name),
                    known.unit,
                    known.colour,
                    cost.limit,
                ));
            }
        }
    }
    let rest = names
        .iter()
        .filter(|name| !drawn.contains(name) && !name.starts_with("Cost/") && !name.starts_with("Diagnose/"));
    let (multipliers, others): (Vec<&str>, Vec<&str>) = rest.partition(|name| name.contains("Multiplier"));
    charts.extend(multipliers.into_iter().filter_map(|name| curve(input, name, name, "", 3, None)));
    let more: Vec<String> = others.into_iter().filter_map(|name| curve(input, name, name, "", 5, None)).collect();
    let more = if more.is_empty() {
        String::new()
    } else {
        format!(
            "<details><summary>{} more quantities</summary><div class=\"charts\">\n{}</div></details>\n",
            more.len(),
            more.concat()
        )
    };
    section(
        "curves",
        "Curves",
        if is_few_shot(input) {
            "Each point is one line of metrics.jsonl: means over the steps since the line before, and over a few new tasks. Point at a \
             curve to read a value and its line."
        } else {
            "Each point is one update: the mean over the episodes that ended in it. Point at a curve to read a value and the \
             line of metrics.jsonl that holds it."
        },
        &format!("<div class=\"charts\">\n{}</div>\n{more}", charts.concat()),
    )
}

/// One quantity over the run.
pub(super) fn curve(
    input: &RunReport,
    metric: &str,
    title: &str,
    unit: &str,
    colour: usize,
    limit: Option<f64>,
) -> Option<String> {
    let has = |row: &&Row| finite(row, metric).is_some();
    let first = input.metrics.iter().find(has)?.line;
    let last = input.metrics.iter().rfind(has)?.line;
    let point = |row: &Row| Point {
        x: finite(row, "steps").unwrap_or(0.0),
        y: finite(row, metric).unwrap_or(f64::NAN),
        band: None,
        from: format!("line {}", row.line),
    };
    let points = input.metrics.iter().map(point).collect();
    let chart = Chart {
        title: title.to_owned(),
        unit: unit.to_owned(),
        x_unit: steps_are(input).to_owned(),
        source: format!("metrics.jsonl, {}: {metric}", lines([first, last])),
        series: vec![Series { label: title.to_lowercase(), colour, points }],
        limit,
        ..Chart::default()
    };
    Some(chart.svg())
}

fn replay(input: &RunReport) -> String {
    if input.episodes.is_empty() {
        return String::new();
    }
    section("replay", "Replay", replay::HELP, &replay::player(&input.episodes, input.limit(None)))
}

fn evaluation(input: &RunReport) -> String {
    let Some(evaluation) = &input.evaluation else { return String::new() };
    let row = |name: &str, value: &Stat, limit: Option<f64>| {
        let standing = limit.map(|limit| {
            let standing = Standing::of(*value, limit);
            format!("<span class=\"{}\">{}</span>", standing.class(), standing.words())
        });
        vec![
            escape(name),
            number(value.mean),
            format!("[{}, {}]", number(value.lo), number(value.hi)),
            value.n.to_string(),
            limit.map(number).unwrap_or_default(),
            standing.unwrap_or_default(),
        ]
    };
    let mut rows = vec![row("return", &evaluation.total, None)];
    for (name, value) in &evaluation.costs {
        rows.push(row(name, value, input.limit(if name == "cost" { None } else { Some(name) })));
    }
    rows.push(row("episode length", &evaluation.length, None));
    section(
        "evaluation",
        "Evaluation",
        &format!(
            "The most likely action in every step, {} fresh episodes{}, checkpoint {}.",
            grouped(evaluation.episodes as i64),
            evaluation.options.map(|n| format!(" of {n} options in turn")).unwrap_or_default(),
            escape(&evaluation.checkpoint)
        ),
        &table(&["sum over an episode", "mean", "95 % interval", "n", "limit", ""], &[1, 2, 3, 4], &rows),
    )
}

pub(super) fn settings(input: &RunReport) -> String {
    let row = |setting: &super::Setting| {
        let chosen = setting.source != "default";
        let value = format!("<code>{}</code>", escape(&setting.value));
        vec![
            format!("<code>{}</code>", escape(&setting.key)),
            if chosen { format!("<b>{value}</b>") } else { value },
            escape(&setting.source),
            escape(&setting.doc),
        ]
    };
    let rows: Vec<Vec<String>> = input.settings.iter().map(row).collect();
    section(
        "settings",
        "Settings",
        "As in plan.toml. Bold: not the default.",
        &table(&["setting", "value", "from", "what it does"], &[], &rows),
    )
}

pub(super) fn provenance(input: &RunReport) -> String {
    let text = |value: &serde_json::Value| match value {
        serde_json::Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let row = |(key, value): (&String, &serde_json::Value)| vec![escape(&key.replace('_', " ")), escape(&text(value))];
    let rows: Vec<Vec<String>> = input.manifest.iter().filter(|(_, value)| !value.is_null()).map(row).collect();
    section("provenance", "Provenance", "As in manifest.json.", &table(&["what", "value"], &[], &rows))
}

pub(super) fn checkpoints(input: &RunReport) -> String {
    if input.checkpoints.is_empty() {
        return String::new();
    }
    let row = |saved: &super::Saved| {
        vec![
            format!("<code>{}</code>", escape(&saved.name)),
            grouped(saved.steps as i64),
            grouped(saved.updates as i64),
            format!("<code>{}</code>", escape(&saved.policy)),
        ]
    };
    let rows: Vec<Vec<String>> = input.checkpoints.iter().map(row).collect();
    section(
        "checkpoints",
        "Checkpoints",
        "Hash of the policy file as committed.",
        &table(&["checkpoint", "steps", "updates", "policy, SHA-256"], &[1, 2], &rows),
    )
}

/// What the intervals mean.
pub(super) fn footer() -> String {
    format!(
        "<footer><p>Final numbers are means over the last {FINAL_UPDATES} updates in which an episode ended. Intervals are 95 % \
         percentile bootstrap intervals; over updates of one run they show its fluctuation, not what another seed would give.</p></footer>\n"
    )
}
