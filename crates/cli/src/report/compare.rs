//! The comparison of many runs: per algorithm and environment the interquartile mean over seeds with its bootstrap interval.
//!
//! Agarwal, Schwarzer, Castro, Courville, Bellemare, "Deep Reinforcement Learning at the Edge of the Statistical Precipice",
//! `NeurIPS` 2021.

use super::chart::{Chart, Point, SCRIPT, Series};
use super::html::{escape, grouped, number, page, section, table};
use super::run::{footer, stat};
use super::{RunReport, final_of, finite};
use serde::Serialize;
use tony_run::{Stat, stats};

/// Points of a curve over seeds.
const GRID: usize = 50;

/// What many runs say; its JSON is what `tony compare --json` prints.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison<'a> {
    /// One an algorithm and environment, in the order of environments, then algorithms.
    pub groups: Vec<Group>,
    /// Each pair of algorithms on one environment.
    pub pairs: Vec<Pair>,
    #[serde(skip)]
    runs: &'a [RunReport],
}

/// Runs of one algorithm on one environment.
#[derive(Clone, Debug, Serialize)]
pub struct Group {
    /// Algorithm's short name.
    pub algo: String,
    /// Environment's full name.
    pub env: String,
    /// Number of runs.
    pub seeds: usize,
    /// Final return: interquartile mean over runs.
    #[serde(rename = "return")]
    pub total: Option<Stat>,
    /// Final cost: interquartile mean over runs; `null` for a task without costs.
    pub cost: Option<Stat>,
    /// Share of runs whose every limited cost ended at or below its limit; `null` where nothing is limited.
    pub within_limit: Option<f64>,
    /// Limit on the cost `cost`, where all runs have the same.
    pub limit: Option<f64>,
    /// Each run's end.
    pub runs: Vec<Ended>,
}

/// The end of one run.
#[derive(Clone, Debug, Serialize)]
pub struct Ended {
    /// Name of its folder.
    pub run: String,
    /// Its seed.
    pub seed: String,
    /// Environment steps it took.
    pub steps: u64,
    /// Final return.
    #[serde(rename = "return")]
    pub total: Option<f64>,
    /// Final cost.
    pub cost: Option<f64>,
    /// Whether every limited cost ended at or below its limit.
    pub within_limit: Option<bool>,
}

/// Two algorithms on one environment.
#[derive(Clone, Debug, Serialize)]
pub struct Pair {
    /// The one.
    pub a: String,
    /// The other.
    pub b: String,
    /// Where they were compared.
    pub env: String,
    /// Probability that a run of `a` ends with a higher return than a run of `b`.
    pub p_improvement: Stat,
    /// Probability that a run of `a` ends with a lower cost than a run of `b`.
    pub p_lower_cost: Option<Stat>,
}

impl<'a> Comparison<'a> {
    /// Group the runs by algorithm and environment.
    pub fn new(runs: &'a [RunReport]) -> Self {
        let mut keys: Vec<(&str, &str)> = runs.iter().map(|run| (run.env.as_str(), run.algorithm.as_str())).collect();
        keys.sort_unstable();
        keys.dedup();
        let groups: Vec<Group> =
            keys.iter().map(|&(env, algo)| Group::new(env, algo, &members(runs, env, algo))).collect();
        let pairs = (groups.iter().enumerate())
            .flat_map(|(i, a)| groups[i + 1..].iter().map(move |b| (a, b)))
            .filter(|(a, b)| a.env == b.env)
            .filter_map(|(a, b)| Pair::new(a, b))
            .collect();
        Self { groups, pairs, runs }
    }
}

fn members<'a>(runs: &'a [RunReport], env: &str, algo: &str) -> Vec<&'a RunReport> {
    runs.iter().filter(|run| run.env == env && run.algorithm == algo).collect()
}

impl Group {
    fn new(env: &str, algo: &str, members: &[&RunReport]) -> Self {
        let runs: Vec<Ended> = members.iter().map(|run| Ended::new(run)).collect();
        let values = |pick: fn(&Ended) -> Option<f64>| runs.iter().filter_map(pick).collect::<Vec<f64>>();
        let judged: Vec<bool> = runs.iter().filter_map(|run| run.within_limit).collect();
        let within = judged.iter().filter(|within| **within).count() as f64 / judged.len() as f64;
        Self {
            algo: algo.to_owned(),
            env: env.to_owned(),
            seeds: runs.len(),
            total: stats::iqm(&values(|run| run.total)),
            cost: stats::iqm(&values(|run| run.cost)),
            within_limit: (!judged.is_empty()).then_some(within),
            limit: shared_limit(members, None),
            runs,
        }
    }
}

impl Ended {
    fn new(run: &RunReport) -> Self {
        let last = |metric: &str| final_of(&run.metrics, metric).map(|last| last.stat.mean);
        let limits = run.settings.iter().filter_map(|setting| {
            let (channel, metric) = match setting.key.strip_prefix("cost.limit")? {
                "" => (None, "Metrics/EpCost".to_owned()),
                channel => (channel.strip_prefix('.'), format!("Cost{}", channel.replacen('.', "/", 1))),
            };
            Some(last(&metric)? <= run.limit(channel)?)
        });
        let within: Vec<bool> = limits.collect();
        Self {
            run: run.name.clone(),
            seed: run.setting("seed").unwrap_or_default().to_owned(),
            steps: run.steps() as u64,
            total: last("Metrics/EpRet"),
            cost: last("Metrics/EpCost"),
            within_limit: (!within.is_empty()).then(|| within.iter().all(|within| *within)),
        }
    }
}

impl Pair {
    fn new(a: &Group, b: &Group) -> Option<Self> {
        let values =
            |group: &Group, pick: fn(&Ended) -> Option<f64>| group.runs.iter().filter_map(pick).collect::<Vec<f64>>();
        let totals = [a, b].map(|group| values(group, |run| run.total));
        let costs = [a, b].map(|group| values(group, |run| run.cost));
        Some(Self {
            a: a.algo.clone(),
            b: b.algo.clone(),
            env: a.env.clone(),
            p_improvement: stats::improvement(&totals[0], &totals[1])?,
            p_lower_cost: stats::improvement(&costs[1], &costs[0]),
        })
    }
}

/// What to bear in mind about the intervals, where a group has few runs.
pub fn caution<'g>(groups: impl IntoIterator<Item = &'g Group>) -> Option<&'static str> {
    groups.into_iter().any(|group| group.seeds < 5).then_some(
        "With fewer than five runs a bootstrap interval is too narrow: what it sets apart may still be chance.",
    )
}

/// The limit of a cost where all runs have the same.
fn shared_limit(runs: &[&RunReport], channel: Option<&str>) -> Option<f64> {
    let limit = runs.first()?.limit(channel)?;
    runs.iter().all(|run| run.limit(channel) == Some(limit)).then_some(limit)
}

/// The page.
pub fn compare_report(comparison: &Comparison) -> String {
    let mut envs: Vec<&str> = comparison.groups.iter().map(|group| group.env.as_str()).collect();
    envs.dedup();
    let sections: Vec<String> = envs.iter().map(|env| env_sections(comparison, env)).collect();
    let header = format!(
        "<header>\n<p class=\"eyebrow\">tony \u{b7} comparison</p>\n<h1>{}</h1>\n<p>{} runs, {} groups</p>\n</header>\n",
        escape(&envs.join(", ")),
        grouped(comparison.runs.len() as i64),
        grouped(comparison.groups.len() as i64)
    );
    page("Comparison of runs", &[header, sections.concat(), footer()].concat(), &[SCRIPT])
}

fn env_sections(comparison: &Comparison, env: &str) -> String {
    let groups: Vec<&Group> = comparison.groups.iter().filter(|group| group.env == env).collect();
    let pairs: Vec<&Pair> = comparison.pairs.iter().filter(|pair| pair.env == env).collect();
    let id = |what: &str| format!("{what}-{}", escape(env));
    let pairs = if pairs.is_empty() {
        String::new()
    } else {
        section(
            &id("pairs"),
            "Probability of improvement",
            "The probability that a run of the first ends with a higher return (a lower cost) than a run of the second, ties \
             counting half. An interval that holds 0.5 decides nothing.",
            &pair_table(&pairs),
        )
    };
    [
        section(
            &id("final"),
            &format!("{env}: where it ended"),
            &format!(
                "Interquartile mean over runs of each run's final value, with its 95 % bootstrap interval over runs. {}",
                caution(groups.iter().copied()).unwrap_or_default()
            ),
            &format!("{}<div class=\"charts\">\n{}</div>\n", group_table(&groups), scatter(&groups)),
        ),
        section(
            &id("curves"),
            &format!("{env}: curves"),
            "Line: interquartile mean over runs. Band: 95 % bootstrap interval over runs; a single run has none.",
            &format!("<div class=\"charts\">\n{}</div>\n", curves(comparison.runs, &groups).concat()),
        ),
        pairs,
        section(
            &id("runs"),
            "Runs",
            "Final values are means over the last five updates in which an episode ended.",
            &run_table(&groups),
        ),
    ]
    .concat()
}

fn group_table(groups: &[&Group]) -> String {
    let or_none = |value: Option<Stat>| value.map_or("\u{2013}".to_owned(), stat);
    let row = |group: &&Group| {
        let within = group.within_limit.map_or("\u{2013}".to_owned(), |share| {
            let judged = group.runs.iter().filter(|run| run.within_limit.is_some()).count();
            let class = if share >= 0.5 { "good" } else { "bad" };
            format!("<span class=\"{class}\">{:.0} of {judged}</span>", share * judged as f64)
        });
        vec![
            format!("<b>{}</b>", escape(&group.algo)),
            group.seeds.to_string(),
            or_none(group.total),
            or_none(group.cost),
            group.limit.map_or("\u{2013}".to_owned(), number),
            within,
        ]
    };
    let rows: Vec<Vec<String>> = groups.iter().map(row).collect();
    table(&["algorithm", "runs", "return", "cost", "limit", "runs within"], &[1, 2, 3, 4, 5], &rows)
}

fn pair_table(pairs: &[&Pair]) -> String {
    let row = |pair: &&Pair| {
        vec![
            format!("<b>{}</b> over <b>{}</b>", escape(&pair.a), escape(&pair.b)),
            stat(pair.p_improvement),
            pair.p_lower_cost.map_or("\u{2013}".to_owned(), stat),
        ]
    };
    let rows: Vec<Vec<String>> = pairs.iter().map(row).collect();
    table(&["pair", "higher return", "lower cost"], &[1, 2], &rows)
}

fn run_table(groups: &[&Group]) -> String {
    let row = |(group, run): (&str, &Ended)| {
        let value = |value: Option<f64>| value.map_or("\u{2013}".to_owned(), number);
        vec![
            escape(group),
            format!("<code>{}</code>", escape(&run.run)),
            escape(&run.seed),
            grouped(run.steps as i64),
            value(run.total),
            value(run.cost),
            match run.within_limit {
                Some(true) => "<span class=\"good\">within</span>".to_owned(),
                Some(false) => "<span class=\"bad\">above</span>".to_owned(),
                None => "\u{2013}".to_owned(),
            },
        ]
    };
    let all = groups.iter().flat_map(|group| group.runs.iter().map(|run| (group.algo.as_str(), run)));
    let rows: Vec<Vec<String>> = all.map(row).collect();
    table(&["algorithm", "run", "seed", "steps", "return", "cost", "limit"], &[2, 3, 4, 5], &rows)
}

fn scatter(groups: &[&Group]) -> String {
    let point = |run: &Ended| Some(Point { x: run.total?, y: run.cost?, band: None, from: run.run.clone() });
    let series: Vec<Series> = (groups.iter().enumerate())
        .map(|(colour, group)| Series {
            label: group.algo.clone(),
            colour,
            points: group.runs.iter().filter_map(point).collect(),
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    if series.is_empty() {
        return String::new();
    }
    let chart = Chart {
        title: "Final cost against final return".to_owned(),
        unit: "cost per episode".to_owned(),
        x_unit: "return".to_owned(),
        source: "One mark a run. Better is further right, and below the limit.".to_owned(),
        limit: groups
            .iter()
            .find_map(|group| group.limit)
            .filter(|limit| groups.iter().all(|group| group.limit.is_none_or(|other| other == *limit))),
        series,
        scatter: true,
        legend: true,
    };
    chart.svg()
}

fn curves(runs: &[RunReport], groups: &[&Group]) -> Vec<String> {
    let all: Vec<&RunReport> = groups.iter().flat_map(|group| members(runs, &group.env, &group.algo)).collect();
    let mut channels: Vec<&str> = Vec::new();
    for (name, _) in all.iter().filter_map(|run| run.metrics.first()).flat_map(|row| row.metrics.iter()) {
        if name.starts_with("Cost/") && name != "Cost/cost" && !channels.contains(&name) {
            channels.push(name);
        }
    }
    let mut metrics = vec![
        ("Metrics/EpRet", "Return".to_owned(), "reward per episode", None),
        ("Metrics/EpCost", "Cost".to_owned(), "cost per episode", shared_limit(&all, None)),
    ];
    metrics.extend(channels.into_iter().map(|metric| {
        let name = metric.trim_start_matches("Cost/");
        (metric, format!("Cost: {name}"), "cost per episode", shared_limit(&all, Some(name)))
    }));
    metrics.push(("Metrics/LagrangeMultiplier", "Lagrange multiplier".to_owned(), "", None));
    metrics.push(("Metrics/EpLen", "Episode length".to_owned(), "steps", None));
    let chart = |(metric, title, unit, limit): (&str, String, &str, Option<f64>)| {
        let series: Vec<Series> = (groups.iter().enumerate())
            .map(|(colour, group)| Series {
                label: group.algo.clone(),
                colour,
                points: over_seeds(&members(runs, &group.env, &group.algo), metric),
            })
            .filter(|series| !series.points.is_empty())
            .collect();
        if series.is_empty() {
            return None;
        }
        let chart = Chart {
            title,
            unit: unit.to_owned(),
            x_unit: "environment steps".to_owned(),
            source: format!("{metric} in each run's metrics.jsonl"),
            series,
            limit,
            legend: true,
            ..Chart::default()
        };
        Some(chart.svg())
    };
    metrics.into_iter().filter_map(chart).collect()
}

/// Interquartile mean and interval over runs, on steps that all of them reached.
pub(super) fn over_seeds(runs: &[&RunReport], metric: &str) -> Vec<Point> {
    let curve = |run: &&RunReport| -> Vec<(f64, f64)> {
        run.metrics.iter().filter_map(|row| Some((finite(row, "steps")?, finite(row, metric)?))).collect()
    };
    let curves: Vec<Vec<(f64, f64)>> = runs.iter().map(curve).filter(|curve| !curve.is_empty()).collect();
    let last = curves.iter().filter_map(|curve| curve.last()).map(|point| point.0).fold(f64::INFINITY, f64::min);
    let cells = curves.iter().map(Vec::len).min().unwrap_or(0).min(GRID);
    let point = |i: usize| {
        let (from, to) = (last * i as f64 / cells as f64, last * (i + 1) as f64 / cells as f64);
        let values: Vec<f64> = curves.iter().map(|curve| mean_within(curve, from, to)).collect();
        let stat = stats::iqm(&values)?;
        let band = (stat.n > 1).then_some([stat.lo, stat.hi]);
        Some(Point { x: to, y: stat.mean, band, from: format!("n = {}", stat.n) })
    };
    (0..cells).filter_map(point).collect()
}

/// Mean of the points in (from, to]; where there is none, the straight line between the nearest at `to`.
fn mean_within(curve: &[(f64, f64)], from: f64, to: f64) -> f64 {
    let inside: Vec<f64> = curve.iter().filter(|(x, _)| *x > from && *x <= to).map(|(_, y)| *y).collect();
    if !inside.is_empty() {
        return inside.iter().sum::<f64>() / inside.len() as f64;
    }
    let after = curve.partition_point(|(x, _)| *x <= to);
    match (after.checked_sub(1).and_then(|i| curve.get(i)), curve.get(after)) {
        (Some((x0, y0)), Some((x1, y1))) => y0 + (y1 - y0) * (to - x0) / (x1 - x0),
        (Some((_, y)), None) | (None, Some((_, y))) => *y,
        (None, None) => f64::NAN,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cell_is_the_mean_of_its_updates_or_lies_between_its_neighbours() {
        let curve = [(10.0, 1.0), (20.0, 3.0), (40.0, 5.0)];
        assert_eq!(mean_within(&curve, 0.0, 20.0), 2.0);
        assert_eq!(mean_within(&curve, 20.0, 30.0), 4.0);
        assert_eq!(mean_within(&curve, 0.0, 5.0), 1.0);
        assert_eq!(mean_within(&curve, 40.0, 50.0), 5.0);
    }
}
