//! What the options of a policy do, drawn as paths, and how well they were told apart.

use super::chart::{Chart, Point, Series};
use super::html::{escape, number, section, tick};
use super::{Row, RunReport, finite};
use serde::{Deserialize, Serialize};

/// Most points of a drawn path.
const MOST_POINTS: usize = 250;
/// Above this many options, ends are not numbered: the numbers would hide the paths.
const MOST_NUMBERS: usize = 64;

/// Side and margin of the picture.
const SIDE: f64 = 440.0;
const MARGIN: f64 = 40.0;

/// Quantities that this section draws.
pub(super) const DRAWN: [&str; 7] = [
    "Options/K",
    "Options/LogProb",
    "Options/LogProbLearned",
    "Options/Chance",
    "Options/Accuracy",
    "Options/Bits",
    "Options/DecoderLoss",
];

/// Paths of a policy's options in two coordinates; what `options.json` of a run holds.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Traces {
    /// Number of options.
    pub options: usize,
    /// Names of the two coordinates.
    pub coordinates: [String; 2],
    /// One path an evaluated episode.
    pub paths: Vec<Trace>,
}

/// One path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Trace {
    /// The option that was followed, from 0.
    pub option: usize,
    /// Where it led, in time order.
    pub points: Vec<[f64; 2]>,
}

/// What was seen in the course of evaluated episodes.
#[derive(Debug, Default)]
pub struct Watched {
    /// Where the robot was, if the task draws one, episode by episode.
    pub robot: Vec<Vec<Option<[f64; 2]>>>,
    /// Observations, episode by episode.
    pub obs: Vec<Vec<Vec<f64>>>,
}

impl Traces {
    /// Episode `i` followed option `i mod options`. The coordinates are the robot's place if it moved anywhere, else the two numbers of the
    /// observation that vary most.
    pub fn new(options: usize, watched: &Watched) -> Self {
        let places: Option<Vec<Vec<[f64; 2]>>> =
            watched.robot.iter().map(|path| path.iter().copied().collect()).collect();
        let moved = |path: &Vec<[f64; 2]>| path.iter().any(|at| at != &path[0]);
        let (coordinates, paths) = if let Some(paths) = places.filter(|paths| paths.iter().any(moved)) {
            (["x", "y"].map(str::to_owned), paths)
        } else {
            let axes = widest(&watched.obs);
            let path = |path: &Vec<Vec<f64>>| path.iter().map(|obs| axes.map(|i| obs[i])).collect();
            (axes.map(|i| format!("number {i} of the observation")), watched.obs.iter().map(path).collect())
        };
        let trace = |(i, path): (usize, Vec<[f64; 2]>)| {
            let every = path.len().div_ceil(MOST_POINTS).max(1);
            let mut points: Vec<[f64; 2]> = path.iter().step_by(every).copied().collect();
            if (path.len().max(1) - 1) % every != 0 {
                points.extend(path.last());
            }
            Trace { option: i % options, points }
        };
        Self { options, coordinates, paths: paths.into_iter().enumerate().map(trace).collect() }
    }
}

/// The two numbers of the observation with the largest variance over all rows; the first twice where there is one.
fn widest(obs: &[Vec<Vec<f64>>]) -> [usize; 2] {
    let width = obs.iter().flatten().map(Vec::len).next().unwrap_or(0);
    let variance = |i: usize| {
        let column = || obs.iter().flatten().map(move |row| row[i]);
        let n = column().count().max(1) as f64;
        let mean = column().sum::<f64>() / n;
        column().map(|x| (x - mean).powi(2)).sum::<f64>() / n
    };
    let mut order: Vec<(usize, f64)> = (0..width).map(|i| (i, variance(i))).collect();
    order.sort_by(|a, b| b.1.total_cmp(&a.1).then(a.0.cmp(&b.0)));
    let first = order.first().map_or(0, |entry| entry.0);
    [first, order.get(1).map_or(first, |entry| entry.0)]
}

/// The section of a run's report; empty for a run without options.
pub(super) fn options(input: &RunReport) -> String {
    let curve = |label: &str, metric: &str, colour: usize| Series {
        label: label.to_owned(),
        colour,
        points: input.metrics.iter().map(|row| point(row, metric)).collect(),
    };
    let chart = |title: &str, unit: &str, series: Vec<Series>, metrics: &str| {
        Chart {
            title: title.to_owned(),
            unit: unit.to_owned(),
            x_unit: "environment steps".to_owned(),
            source: format!("metrics.jsonl: {metrics}"),
            legend: series.len() > 1,
            series,
            ..Chart::default()
        }
        .svg()
    };
    if !input.metrics.iter().any(|row| finite(row, "Options/K").is_some()) {
        return String::new();
    }
    let told = vec![
        curve("fresh paths", "Options/LogProb", 0),
        curve("paths just learned from", "Options/LogProbLearned", 2),
        curve("chance", "Options/Chance", 7),
    ];
    let charts = [
        chart(
            "What the decoder knows",
            "log-probability of the true context, nats",
            told,
            "Options/LogProb, LogProbLearned, Chance",
        ),
        chart(
            "Accuracy of the decoder",
            "share of fresh paths",
            vec![curve("accuracy", "Options/Accuracy", 2)],
            "Options/Accuracy",
        ),
        chart("Options", "contexts that are drawn (K)", vec![curve("K", "Options/K", 3)], "Options/K"),
        chart(
            "Information about the context",
            "bits a path, at least",
            vec![curve("bits", "Options/Bits", 5)],
            "Options/Bits",
        ),
    ];
    let (picture, note) = match &input.options {
        Some(traces) if !traces.paths.is_empty() => (
            picture(traces),
            format!(
                "The most likely actions under each of the {} options, {} paths; a number stands where its option ends. ",
                traces.options,
                traces.paths.len()
            ),
        ),
        _ => (String::new(), String::new()),
    };
    let note = format!(
        "{note}Fresh paths are those that the decoder had not learned from when it was asked: a gap to the paths just learned from is what it \
         knows by heart."
    );
    section("options", "Options", &note, &format!("<div class=\"charts\">\n{picture}{}</div>\n", charts.concat()))
}

fn point(row: &Row, metric: &str) -> Point {
    Point {
        x: finite(row, "steps").unwrap_or(0.0),
        y: finite(row, metric).unwrap_or(f64::NAN),
        band: None,
        from: format!("line {}", row.line),
    }
}

/// All paths, a colour an option. One unit is as long on both axes where they are a place.
fn picture(traces: &Traces) -> String {
    let [across, up] = [0, 1].map(|axis| {
        let values = || traces.paths.iter().flat_map(|trace| &trace.points).map(move |at| at[axis]);
        let (lo, hi) = (values().fold(f64::INFINITY, f64::min), values().fold(f64::NEG_INFINITY, f64::max));
        if hi - lo > 1e-9 { [lo, hi] } else { [lo - 0.5, hi + 0.5] }
    });
    let place = traces.coordinates[0] == "x";
    let [across, up] = if place {
        let half = (across[1] - across[0]).max(up[1] - up[0]) / 2.0;
        [across, up].map(|[lo, hi]| [f64::midpoint(lo, hi) - half, f64::midpoint(lo, hi) + half])
    } else {
        [across, up]
    };
    let room = SIDE - 2.0 * MARGIN;
    let x = |value: f64| MARGIN + room * (value - across[0]) / (across[1] - across[0]);
    let y = |value: f64| SIDE - MARGIN - room * (value - up[0]) / (up[1] - up[0]);
    let path = |trace: &Trace| {
        let corners: Vec<String> = trace.points.iter().map(|at| format!("{:.1} {:.1}", x(at[0]), y(at[1]))).collect();
        format!("<path style=\"stroke:{}\" d=\"M{}\"/>", colour(trace.option), corners.join("L"))
    };
    let end = |trace: &Trace| {
        let Some(at) = trace.points.last() else { return String::new() };
        let dot = format!(
            "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" style=\"fill:{}\"/>",
            x(at[0]),
            y(at[1]),
            colour(trace.option)
        );
        if traces.options > MOST_NUMBERS {
            return dot;
        }
        format!("{dot}<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", x(at[0]) + 4.0, y(at[1]) - 4.0, trace.option)
    };
    let paths: Vec<String> = traces.paths.iter().map(path).collect();
    // One number an option: that of its first path.
    let ends: Vec<String> = traces.paths.iter().take(traces.options).map(end).collect();
    let corner = |value: f64, range: [f64; 2]| tick(value, (range[1] - range[0]) / 20.0);
    let frame = format!(
        "<rect class=\"grid\" x=\"{MARGIN}\" y=\"{MARGIN}\" width=\"{room}\" height=\"{room}\"/>\
         <text x=\"{MARGIN}\" y=\"{}\">{}</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text><text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>",
        SIDE - MARGIN + 16.0,
        corner(across[0], across),
        SIDE - MARGIN,
        SIDE - MARGIN + 16.0,
        corner(across[1], across),
        MARGIN - 4.0,
        SIDE - MARGIN,
        corner(up[0], up),
        MARGIN - 4.0,
        MARGIN + 10.0,
        corner(up[1], up),
    );
    format!(
        "<figure class=\"traces\"><figcaption>Paths <small>{} across, {} up</small></figcaption>\n\
         <svg viewBox=\"0 0 {SIDE} {SIDE}\" role=\"img\" aria-label=\"{}\">\n{frame}\n<g class=\"paths\">{}</g>\n{}\n</svg>\n\
         <p class=\"source\">options.json</p></figure>\n",
        escape(&traces.coordinates[0]),
        escape(&traces.coordinates[1]),
        escape(&described(traces)),
        paths.join("\n"),
        ends.concat()
    )
}

/// The picture in words, for those who hear the page.
fn described(traces: &Traces) -> String {
    let ends: Vec<String> = (traces.paths.iter().take(traces.options))
        .filter_map(|trace| {
            let at = trace.points.last()?;
            Some(format!("option {} ends at {}, {}", trace.option, number(at[0]), number(at[1])))
        })
        .collect();
    format!("Paths of {} options: {}", traces.options, ends.join("; "))
}

/// Neighbours in number are far apart in hue: steps of the golden angle.
fn colour(option: usize) -> String {
    format!("hsl({:.0} 65% {}%)", (option as f64 * 137.508) % 360.0, 42 + 8 * (option % 3))
}

#[cfg(test)]
mod tests {
    use super::*;
    use tony_run::Metrics;

    fn watched(robot: Option<f64>) -> Watched {
        let path = |option: usize| (0..=600).map(move |t| (option as f64, f64::from(t)));
        Watched {
            robot: (0..4).map(|i| path(i).map(|(o, t)| robot.map(|speed| [o + speed * t, 0.0])).collect()).collect(),
            obs: (0..4).map(|i| path(i).map(|(o, t)| vec![0.5, o, 0.01 * t]).collect()).collect(),
        }
    }

    #[test]
    fn paths_are_places_where_something_moves_and_the_widest_numbers_elsewhere() {
        let traces = Traces::new(2, &watched(Some(0.1)));
        assert_eq!(traces.coordinates, ["x", "y"]);
        let options: Vec<usize> = traces.paths.iter().map(|trace| trace.option).collect();
        assert_eq!(options, [0, 1, 0, 1]);
        let points = &traces.paths[1].points;
        assert!(points.len() <= MOST_POINTS + 1 && points[0] == [1.0, 0.0] && points.last() == Some(&[61.0, 0.0]));
        for still in [Some(0.0), None] {
            let traces = Traces::new(2, &watched(still));
            // 0 to 6 varies more than 0 to 3; the constant least.
            assert_eq!(traces.coordinates, ["number 2 of the observation", "number 1 of the observation"]);
            assert_eq!(traces.paths[3].points.last(), Some(&[6.0, 3.0]));
        }
    }

    #[test]
    fn the_section_shows_every_option_and_is_absent_without_them() {
        let mut input = RunReport { options: Some(Traces::new(2, &watched(Some(0.1)))), ..RunReport::default() };
        assert_eq!(options(&input), "");
        let mut metrics = Metrics::new();
        metrics.set("steps", 10.0);
        for name in DRAWN {
            metrics.set(name, 1.0);
        }
        input.metrics = vec![Row { line: 1, metrics }];
        let html = options(&input);
        assert_eq!(html.matches("<path style=\"stroke:").count(), 4);
        // The ends of charts' lines are circles of a class.
        assert_eq!(html.matches("<circle cx").count(), 2);
        assert!(html.contains("each of the 2 options, 4 paths") && html.contains("option 1 ends at 61, 0"), "{html}");
        assert!(colour(0) != colour(1) && !html.contains("NaN"));
    }
}
