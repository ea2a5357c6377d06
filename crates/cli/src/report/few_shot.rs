//! The report of a few-shot learner: new tasks before and after adaptation, and the curves of its training.

use tony_meta::Drawing;

use super::RunReport;
use super::chart::SCRIPT;
use super::html::{escape, number, page, section, table};
use super::run::{checkpoints, curves, header, provenance, settings, stat};
use crate::few_shot::Evaluation;

/// The page.
pub fn few_shot_report(input: &RunReport, evaluation: &Evaluation, drawings: &[Drawing]) -> String {
    let title = format!("{} on {}", input.title, input.env);
    let body = [
        header(input, &title),
        verdict(evaluation),
        tasks(drawings),
        curves(input),
        numbers(evaluation),
        settings(input),
        provenance(input),
        checkpoints(input),
        "<footer><p>Intervals are 95 % percentile bootstrap intervals over new tasks of one run: they do not show what another seed \
         would give.</p></footer>\n"
            .to_owned(),
    ];
    page(&title, &body.concat(), &[SCRIPT])
}

fn verdict(evaluation: &Evaluation) -> String {
    let Evaluation { before, after, episodes, checkpoint, .. } = evaluation;
    format!(
        "<p class=\"verdict plain\">On new tasks the {} is {} before adaptation and {} after.\
         <small>Mean of {episodes} tasks with its 95 % bootstrap interval, checkpoint {}; median after adaptation {}.</small></p>\n",
        evaluation.meaning(),
        stat(*before),
        stat(*after),
        escape(checkpoint),
        number(evaluation.median),
    )
}

fn numbers(evaluation: &Evaluation) -> String {
    let row = |(name, stat): (String, tony_run::Stat)| {
        let interval = format!("[{}, {}]", number(stat.lo), number(stat.hi));
        vec![escape(name.trim()), number(stat.mean), interval, stat.n.to_string()]
    };
    let rows: Vec<Vec<String>> = evaluation.lines().into_iter().map(row).collect();
    let note = if evaluation.transductive.is_some() {
        "Transductive: the pictures to be told are normalised with each other. Alone: each is normalised with the known ones only."
    } else {
        "Of all points of the grid."
    };
    section("evaluation", "Evaluation", note, &table(&["new tasks", "mean", "95 % interval", "n"], &[1, 2, 3], &rows))
}

fn tasks(drawings: &[Drawing]) -> String {
    let note = match drawings.first() {
        None => return String::new(),
        Some(Drawing::Curves { .. }) => {
            "The first tasks that were measured. Dashed: the wave. Dots: its known points. Lines: predictions at the initialisation \
             (pale) and after more and more steps (darker)."
        }
        Some(Drawing::Pictures { .. }) => {
            "The first tasks that were measured. Each column is a character: above, its known drawings; below, the drawing to be told, \
             and the column that it was taken for before and after adaptation."
        }
    };
    let bodies: Vec<String> = drawings
        .iter()
        .enumerate()
        .map(|(i, drawing)| match drawing {
            Drawing::Curves { x, truth, support, predictions } => waves(i + 1, x, truth, support, predictions),
            Drawing::Pictures { side, support, query } => characters(i + 1, *side, support, query),
        })
        .collect();
    section(
        "tasks",
        "Before and after adaptation",
        note,
        &format!("<div class=\"charts\">\n{}</div>\n", bodies.concat()),
    )
}

const WIDTH: f32 = 440.0;
const HEIGHT: f32 = 230.0;

fn waves(task: usize, x: &[f32], truth: &[f32], support: &[(f32, f32)], predictions: &[(usize, Vec<f32>)]) -> String {
    let values = truth.iter().chain(predictions.iter().flat_map(|(_, y)| y));
    let top = values.fold(1.0_f32, |top, y| top.max(y.abs())).min(8.0) * 1.08;
    let (first, last) = (x.first().copied().unwrap_or(0.0), x.last().copied().unwrap_or(1.0));
    let place = |x: f32, y: f32| {
        let across = (x - first) / (last - first).max(f32::MIN_POSITIVE) * (WIDTH - 20.0) + 10.0;
        (across, (0.5 - y.clamp(-top, top) / (2.0 * top)) * HEIGHT)
    };
    let path = |y: &[f32]| {
        let corner = |(x, y): (&f32, &f32)| {
            let (x, y) = place(*x, *y);
            format!("{x:.1} {y:.1}")
        };
        format!("M{}", x.iter().zip(y).map(corner).collect::<Vec<_>>().join("L"))
    };
    let count = predictions.len().max(2);
    let line = |(i, (_, y)): (usize, &(usize, Vec<f32>))| {
        let strength = 0.25 + 0.75 * i as f32 / (count - 1) as f32;
        let colour = if i == 0 { "c1" } else { "c0" };
        format!("<g class=\"{colour}\" opacity=\"{strength:.2}\"><path class=\"line\" d=\"{}\"/></g>", path(y))
    };
    let lines: String = predictions.iter().enumerate().map(line).collect();
    let dots: Vec<String> = support
        .iter()
        .map(|(x, y)| {
            let (x, y) = place(*x, *y);
            format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"4\"/>")
        })
        .collect();
    let dots = dots.concat();
    let error = |y: &[f32]| {
        let sum: f32 = y.iter().zip(truth).map(|(y, t)| (y - t) * (y - t)).sum();
        number(f64::from(sum) / y.len().max(1) as f64)
    };
    let errors: Vec<String> = predictions.iter().map(|(steps, y)| format!("{} after {steps}", error(y))).collect();
    format!(
        "<figure class=\"chart\"><figcaption>Task {task}<small>mean squared error</small></figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"Task {task}: {errors}\">\
         <path class=\"grid\" d=\"M0 {middle}H{WIDTH}\"/><path class=\"limit\" fill=\"none\" d=\"{wave}\"/>{lines}\
         <g class=\"c2 dots\">{dots}</g></svg>\n<p class=\"source\">{errors} steps</p></figure>\n",
        errors = errors.join(", "),
        middle = HEIGHT / 2.0,
        wave = path(truth),
    )
}

/// Pixels of the page for one of a picture.
const SCALE: usize = 2;

fn characters(task: usize, side: usize, support: &[Vec<Vec<f32>>], query: &[(Vec<f32>, usize, usize)]) -> String {
    let size = side * SCALE;
    let cell = size + 14;
    let shots = support.iter().map(Vec::len).max().unwrap_or(0);
    let (width, height) = (cell * query.len(), cell * shots + cell + 44);
    let mut parts = Vec::new();
    for (class, (known, (asked, before, after))) in support.iter().zip(query).enumerate() {
        let left = class * cell + 7;
        for (shot, drawing) in known.iter().enumerate() {
            parts.push(picture(left, shot * cell + 4, side, drawing, ""));
        }
        let top = shots * cell + 16;
        let right = *after == class;
        parts.push(picture(left, top, side, asked, if right { "good" } else { "bad" }));
        let (mark, tone) = if right { ("\u{2713}", "good") } else { ("\u{2717}", "bad") };
        let middle = left + size / 2;
        parts.push(format!(
            "<text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\">{} \u{2192} {}</text>\
             <g class=\"{tone}\"><text x=\"{middle}\" y=\"{}\" text-anchor=\"middle\" style=\"fill:currentColor\">{mark}</text></g>",
            top + size + 13,
            before + 1,
            after + 1,
            top + size + 26,
        ));
    }
    let right = |pick: &dyn Fn(&(Vec<f32>, usize, usize)) -> usize| {
        query.iter().enumerate().filter(|(class, asked)| pick(asked) == *class).count()
    };
    let (before, after) = (right(&|asked| asked.1), right(&|asked| asked.2));
    let told = format!("{before} of {n} told right before adaptation, {after} of {n} after", n = query.len());
    format!(
        "<figure class=\"chart\"><figcaption>Task {task}</figcaption>\n\
         <svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"Task {task}: {told}\" style=\"max-width:{width}px\">{}</svg>\n\
         <p class=\"source\">{told}</p></figure>\n",
        parts.concat(),
    )
}

/// A drawing: paper, and its ink row by row as one path. `tone` frames it.
fn picture(left: usize, top: usize, side: usize, drawing: &[f32], tone: &str) -> String {
    let mut ink = Vec::new();
    for (y, row) in drawing.chunks_exact(side).enumerate() {
        let mut x = 0;
        while x < side {
            let run = row[x..].iter().take_while(|pixel| **pixel < 0.5).count();
            if run > 0 {
                ink.push(format!("M{x} {y}h{run}v1h-{run}z"));
            }
            x += run.max(1);
        }
    }
    let frame = if tone.is_empty() { "stroke:var(--rule)" } else { "stroke:currentColor;stroke-width:1.4" };
    format!(
        "<g class=\"{tone}\" transform=\"translate({left} {top}) scale({SCALE})\">\
         <rect width=\"{side}\" height=\"{side}\" style=\"fill:#fff;{frame}\"/><path d=\"{}\" style=\"fill:#111\"/></g>",
        ink.concat()
    )
}
