//! The page of a reproduction: claims beside what was measured, the curves behind them, and the recipe.

use super::RunReport;
use super::chart::{Chart, SCRIPT, Series};
use super::compare::over_seeds;
use super::finite;
use super::html::{duration, escape, grouped, page, section, table};
use super::run::stat;
use crate::reproduce::measure::Verdict;
use crate::reproduce::recipe::{Figure, Recipe};
use crate::reproduce::{Judged, Tabled};
use tony_run::Stat;

/// What the page shows.
pub struct Reproduction<'a> {
    /// The recipe.
    pub recipe: &'a Recipe,
    /// Its text, as it was before anything ran.
    pub text: &'a str,
    /// Name of the budget.
    pub budget: &'a str,
    /// Claims and verdicts.
    pub claims: &'a [Judged],
    /// Tables of what experiments measured.
    pub tables: &'a [Tabled],
    /// Run id, seed and records of every training.
    pub runs: &'a [(String, u64, RunReport)],
}

/// The page.
pub fn reproduction(input: &Reproduction) -> String {
    let Reproduction { recipe, budget, claims, .. } = input;
    let count = |verdict: Verdict| claims.iter().filter(|judged| judged.verdict == verdict).count();
    let header = format!(
        "<header>\n<p class=\"eyebrow\">tony \u{b7} reproduction, budget {}</p>\n<h1>{}</h1>\n<p>{}</p>\n\
         <p>{} of {} claims reproduced, {} partly, {} not.</p>\n<p>{}</p>\n</header>\n",
        escape(budget),
        escape(&recipe.title),
        escape(&recipe.source),
        count(Verdict::Reproduced),
        claims.len(),
        count(Verdict::Partly),
        count(Verdict::NotReproduced),
        escape(&recipe.about),
    );
    let figures: Vec<String> = recipe.figure.iter().filter_map(|figure| chart(input, figure)).collect();
    let figures = if figures.is_empty() {
        String::new()
    } else {
        section(
            "figures",
            "Curves",
            "Line: interquartile mean over seeds. Band: its 95 % bootstrap interval.",
            &format!("<div class=\"charts\">\n{}</div>\n", figures.concat()),
        )
    };
    let tables: String = input.tables.iter().enumerate().map(measured_table).collect();
    let body = [header, claim_table(claims), tables, figures, run_table(input), recipe_text(input.text)];
    page(&format!("{}: reproduction", recipe.title), &body.concat(), &[SCRIPT])
}

fn claim_table(claims: &[Judged]) -> String {
    let row = |judged: &Judged| {
        let class = match judged.verdict {
            Verdict::Reproduced => "good",
            Verdict::NotReproduced => "bad",
            Verdict::Partly | Verdict::NotRun => "",
        };
        vec![
            escape(&judged.claim),
            escape(&judged.paper),
            judged.ours.map_or("\u{2013}".to_owned(), stat),
            judged.ours.map_or(String::new(), |ours| ours.n.to_string()),
            escape(&judged.criterion),
            format!("<span class=\"{class}\">{}</span>", judged.verdict.words()),
        ]
    };
    let rows: Vec<Vec<String>> = claims.iter().map(row).collect();
    section(
        "claims",
        "Claims",
        "Ours: mean over seeds with its 95 % bootstrap interval. Reproduced: the criterion holds over the whole interval; partly: \
         for the mean alone. Criteria were written down before anything ran. With fewer than five seeds an interval is too narrow.",
        &table(&["claim", "paper", "ours", "n", "criterion", "verdict"], &[2, 3], &rows),
    )
}

fn measured_table((place, tabled): (usize, &Tabled)) -> String {
    let rows: Vec<Vec<String>> = (tabled.rows.iter())
        .map(|row| {
            let cell = |(i, ours): (usize, &Option<Stat>)| {
                let paper = row.paper.get(i).filter(|paper| !paper.is_empty());
                let paper = paper.map(|paper| format!("<br>paper: {}", escape(paper))).unwrap_or_default();
                ours.map_or("\u{2013}".to_owned(), stat) + &paper
            };
            std::iter::once(escape(&row.name)).chain(row.ours.iter().enumerate().map(cell)).collect()
        })
        .collect();
    let columns: Vec<&str> = std::iter::once("").chain(tabled.columns.iter().map(String::as_str)).collect();
    let numbers: Vec<usize> = (1..columns.len()).collect();
    let n = tabled.rows.iter().flat_map(|row| &row.ours).flatten().map(|ours| ours.n).max().unwrap_or(0);
    let note = format!("Ours: mean over {n} seeds with its 95 % bootstrap interval; the paper's below.");
    section(&format!("table-{place}"), &tabled.title, &note, &table(&columns, &numbers, &rows))
}

fn chart(input: &Reproduction, figure: &Figure) -> Option<String> {
    let series: Vec<Series> = (figure.runs.iter().enumerate())
        .map(|(colour, id)| {
            let runs: Vec<&RunReport> =
                input.runs.iter().filter(|(run, ..)| run == id).map(|(.., report)| report).collect();
            Series { label: id.clone(), colour, points: over_seeds(&runs, &figure.metric) }
        })
        .filter(|series| !series.points.is_empty())
        .collect();
    if series.is_empty() {
        return None;
    }
    let chart = Chart {
        title: figure.title.clone(),
        unit: figure.unit.clone(),
        x_unit: "steps".to_owned(),
        source: format!("{} in each run's metrics.jsonl", figure.metric),
        series,
        limit: figure.limit,
        legend: true,
        ..Chart::default()
    };
    Some(chart.svg())
}

fn run_table(input: &Reproduction) -> String {
    let row = |(id, seed, report): &(String, u64, RunReport)| {
        let chosen = report.settings.iter().filter(|setting| setting.source == "command line");
        let settings: Vec<String> = chosen.map(|setting| format!("{}={}", setting.key, setting.value)).collect();
        let seconds = report.metrics.last().and_then(|row| finite(row, "seconds"));
        vec![
            escape(id),
            seed.to_string(),
            escape(&report.algorithm),
            escape(&report.env),
            grouped(report.steps() as i64),
            seconds.map_or(String::new(), duration),
            escape(&report.ending),
            format!("<code>{}</code>", escape(&settings.join(" "))),
        ]
    };
    let rows: Vec<Vec<String>> = input.runs.iter().map(row).collect();
    if rows.is_empty() {
        return String::new();
    }
    section(
        "runs",
        "Trainings",
        "Each is a run folder beside this page; <code>tony compare</code> reads them too.",
        &table(&["run", "seed", "algorithm", "environment", "steps", "time", "ended", "settings"], &[1, 4, 5], &rows),
    )
}

fn recipe_text(text: &str) -> String {
    let recipe = format!("<details><summary>recipe.toml</summary><pre>{}</pre></details>\n", escape(text));
    section("recipe", "Recipe", "As it stood before the first step.", &recipe)
}
