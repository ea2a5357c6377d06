//! Line charts and scatter charts as inline SVG, written once, here: they print, need no script to be seen, and take a
//! few kilobytes. (A charting library would have to travel inside every page, because a page may load nothing: 3 to 4 MB
//! each for curves that are a path and two axes.) `chart.js` adds the read-out under the pointer.

use super::html::{data_block, escape, number, tick};
use serde::Serialize;

/// The script of the read-outs.
pub(super) const SCRIPT: &str = include_str!("chart.js");

const WIDTH: f64 = 440.0;
const HEIGHT: f64 = 250.0;
const LEFT: f64 = 46.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 34.0;

/// Above this many points a line shows the mean of runs of points with their range as a band.
const MOST_POINTS: usize = 600;

/// One chart.
#[derive(Clone, Debug, Default)]
pub struct Chart {
    /// What is shown.
    pub title: String,
    /// Unit of the vertical axis.
    pub unit: String,
    /// Quantity and unit of the horizontal axis.
    pub x_unit: String,
    /// Where the numbers come from.
    pub source: String,
    /// Lines or, with [`Chart::scatter`], clouds of points.
    pub series: Vec<Series>,
    /// A horizontal line that values should stay below.
    pub limit: Option<f64>,
    /// Points without lines, and no line from the axis's zero.
    pub scatter: bool,
    /// Write each series' name above the plot.
    pub legend: bool,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub struct Series {
    /// Its name.
    pub label: String,
    /// Index into the palette.
    pub colour: usize,
    /// Points from left to right; a `y` that is not finite is a gap.
    pub points: Vec<Point>,
}

/// One point of a line.
#[derive(Clone, Debug, Default)]
pub struct Point {
    /// Position on the horizontal axis.
    pub x: f64,
    /// Value.
    pub y: f64,
    /// Interval around the value.
    pub band: Option<[f64; 2]>,
    /// Where the number stands, for the read-out: `line 12`, the name of a run.
    pub from: String,
}

/// What `chart.js` needs to find the point under the pointer.
#[derive(Serialize)]
struct Readout<'a> {
    plot: [f64; 4],
    x: [f64; 2],
    y: [f64; 2],
    x_unit: &'a str,
    scatter: bool,
    series: Vec<ReadoutSeries<'a>>,
}

#[derive(Serialize)]
struct ReadoutSeries<'a> {
    label: &'a str,
    colour: usize,
    /// x, y and what to say.
    points: Vec<(f64, f64, String)>,
}

/// An axis: its range, widened to whole ticks, and their distance.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) lo: f64,
    pub(super) hi: f64,
    pub(super) step: f64,
}

impl Axis {
    /// The axis that shows all `values`, with about `count` ticks.
    pub(super) fn around(values: impl Iterator<Item = f64>, count: f64) -> Self {
        let (lo, hi) = values
            .filter(|value| value.is_finite())
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), value| (lo.min(value), hi.max(value)));
        let (lo, hi) = match (lo, hi) {
            (lo, hi) if lo > hi => (0.0, 1.0),
            (lo, hi) if hi - lo <= 1e-9 * hi.abs().max(lo.abs()) => {
                let room = if lo == 0.0 { 1.0 } else { lo.abs() / 2.0 };
                (lo - room, hi + room)
            }
            range => range,
        };
        let rough = (hi - lo) / count;
        let power = 10_f64.powf(rough.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().find(|m| m * power >= rough).unwrap_or(10.0) * power;
        Self { lo: (lo / step + 1e-9).floor() * step, hi: (hi / step - 1e-9).ceil() * step, step }
    }

    pub(super) fn share(self, value: f64) -> f64 {
        (value - self.lo) / (self.hi - self.lo)
    }

    pub(super) fn ticks(self) -> impl Iterator<Item = f64> {
        let count = ((self.hi - self.lo) / self.step).round() as u32;
        (0..=count).map(move |i| self.lo + f64::from(i) * self.step)
    }
}

impl Chart {
    /// The chart as a `<figure>`.
    pub fn svg(&self) -> String {
        let thinned: Vec<Series> = self.series.iter().map(|series| series.thinned(MOST_POINTS)).collect();
        let points = || thinned.iter().flat_map(|series| &series.points);
        let bands = points().flat_map(|point| point.band.into_iter().flatten());
        let x_zero = if self.scatter { None } else { Some(0.0) };
        let mut x = Axis::around(points().map(|point| point.x).chain(x_zero), 4.0);
        if !self.scatter {
            // Time ends where the data ends, not at the next tick.
            x.hi = points().map(|point| point.x).fold(f64::MIN_POSITIVE, f64::max);
        }
        let y_zero = if self.limit.is_some() { Some(0.0) } else { None };
        let y = Axis::around(points().map(|point| point.y).chain(bands).chain(self.limit).chain(y_zero), 5.0);
        let place = Place { x, y };

        let mut svg = vec![place.grid()];
        svg.extend(self.limit.map(|limit| place.limit(limit)));
        let marks = |series: &Series| if self.scatter { place.cloud(series) } else { place.line(series) };
        svg.extend(thinned.iter().map(marks));
        svg.push(format!(
            "<text class=\"axis\" x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\">{}</text>",
            WIDTH - RIGHT,
            HEIGHT - 4.0,
            escape(&self.x_unit)
        ));
        svg.push("<line class=\"hair\" visibility=\"hidden\"/>".to_owned());

        let legend = if self.legend { self.legend_text() } else { String::new() };
        let unit = if self.unit.is_empty() { String::new() } else { format!(" <small>{}</small>", escape(&self.unit)) };
        let many = self.series.iter().map(|series| series.points.len()).max().unwrap_or(0);
        let thinning = if many > MOST_POINTS {
            format!("; each point is the mean of {} updates, the band their range", many.div_ceil(MOST_POINTS))
        } else {
            String::new()
        };
        let source = format!("{}{thinning}", escape(&self.source));
        format!(
            "<figure class=\"chart\"><figcaption>{}{unit}</figcaption>{legend}\n\
             <svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">\n{}\n</svg>\n\
             <p class=\"source\" aria-live=\"off\">{source}</p>\n{}</figure>\n",
            escape(&self.title),
            escape(&self.described()),
            svg.join("\n"),
            data_block("class=\"points\"", &self.readout(&thinned, place)),
        )
    }

    fn legend_text(&self) -> String {
        let item = |series: &Series| {
            let mark =
                if self.scatter { marker(series.colour, 7.0, 7.0, 4.0) } else { "<path d=\"M0 7H14\"/>".to_owned() };
            format!(
                "<span><svg class=\"key c{}\" viewBox=\"0 0 14 14\" aria-hidden=\"true\">{mark}</svg>{}</span>",
                series.colour % COLOURS,
                escape(&series.label)
            )
        };
        let items: Vec<String> = self.series.iter().map(item).collect();
        format!("<p class=\"legend\">{}</p>", items.concat())
    }

    /// The chart in one sentence, for those who hear the page.
    fn described(&self) -> String {
        let ends: Vec<String> = (self.series.iter())
            .filter_map(|series| {
                let mut values = series.points.iter().map(|point| point.y).filter(|y| y.is_finite());
                let first = values.next()?;
                let last = values.next_back().unwrap_or(first);
                Some(format!("{} from {} to {}", series.label, number(first), number(last)))
            })
            .collect();
        let limit = self.limit.map(|limit| format!("; limit {}", number(limit))).unwrap_or_default();
        format!("{}: {}{limit}", self.title, ends.join(", "))
    }

    fn readout<'a>(&'a self, thinned: &'a [Series], place: Place) -> Readout<'a> {
        let say = |point: &Point| {
            let band = point.band.map(|[lo, hi]| format!(" [{}, {}]", number(lo), number(hi))).unwrap_or_default();
            let from = if point.from.is_empty() { String::new() } else { format!(" ({})", point.from) };
            format!("{}{band}{from}", number(point.y))
        };
        let series = |series: &'a Series| ReadoutSeries {
            label: &series.label,
            colour: series.colour % COLOURS,
            points: (series.points.iter())
                .filter(|point| point.y.is_finite())
                .map(|point| (point.x, short(point.y), say(point)))
                .collect(),
        };
        Readout {
            plot: [LEFT, TOP, WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM],
            x: [place.x.lo, place.x.hi],
            y: [place.y.lo, place.y.hi],
            x_unit: &self.x_unit,
            scatter: self.scatter,
            series: thinned.iter().map(series).collect(),
        }
    }
}

/// Colours of the palette in `page.css`.
const COLOURS: usize = 8;

/// Where values lie in the picture.
#[derive(Clone, Copy)]
struct Place {
    x: Axis,
    y: Axis,
}

impl Place {
    fn x(self, value: f64) -> f64 {
        LEFT + self.x.share(value) * (WIDTH - LEFT - RIGHT)
    }

    fn y(self, value: f64) -> f64 {
        HEIGHT - BOTTOM - self.y.share(value) * (HEIGHT - TOP - BOTTOM)
    }

    fn grid(self) -> String {
        let across = self.y.ticks().map(|value| {
            let y = self.y(value);
            format!(
                "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{}\"/><text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                WIDTH - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                tick(value, self.y.step)
            )
        });
        let bottom = HEIGHT - BOTTOM;
        let along = self.x.ticks().filter(|value| *value <= self.x.hi).map(|value| {
            let x = self.x(value);
            format!(
                "<path class=\"grid\" d=\"M{x:.1} {bottom}v4\"/><text x=\"{x:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                bottom + 16.0,
                tick(value, self.x.step)
            )
        });
        across.chain(along).collect::<Vec<String>>().join("\n")
    }

    /// The limit: a tint over what lies above it, a dashed line, its name.
    fn limit(self, limit: f64) -> String {
        let y = self.y(limit);
        let right = WIDTH - RIGHT;
        format!(
            "<rect class=\"over\" x=\"{LEFT}\" y=\"{TOP}\" width=\"{}\" height=\"{:.1}\"/>\
             <path class=\"limit\" d=\"M{LEFT} {y:.1}H{right}\"/>\
             <text class=\"limit-name\" x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">limit {}</text>",
            right - LEFT,
            (y - TOP).max(0.0),
            right - 4.0,
            y - 5.0,
            number(limit)
        )
    }

    fn line(self, series: &Series) -> String {
        let mut path = String::new();
        let mut shape = Vec::new();
        for run in series.points.split(|point| !point.y.is_finite()).filter(|run| !run.is_empty()) {
            let corners: Vec<String> =
                run.iter().map(|point| format!("{:.1} {:.1}", self.x(point.x), self.y(point.y))).collect();
            // A run of one point has no length: the round cap of a zero-length stroke shows it as a dot.
            path.extend(["M", &corners.join("L"), if run.len() == 1 { "h0" } else { "" }]);
            let edge = |i: usize| move |point: &Point| point.band.map(|band| (point.x, band[i]));
            let corner = |(x, y): (f64, f64)| format!("{:.1} {:.1}", self.x(x), self.y(y));
            let upper = run.iter().filter_map(edge(1)).map(corner);
            let lower = run.iter().rev().filter_map(edge(0)).map(corner);
            let outline: Vec<String> = upper.chain(lower).collect();
            if outline.len() > 2 {
                shape.push(format!("<path class=\"band\" d=\"M{}Z\"/>", outline.join("L")));
            }
        }
        let last = series.points.iter().rfind(|point| point.y.is_finite());
        let end = last.map(|point| {
            format!("<circle class=\"end\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"3\"/>", self.x(point.x), self.y(point.y))
        });
        format!(
            "<g class=\"c{}\">{}<path class=\"line\" d=\"{path}\"/>{}</g>",
            series.colour % COLOURS,
            shape.concat(),
            end.unwrap_or_default()
        )
    }

    fn cloud(self, series: &Series) -> String {
        let dots = series.points.iter().map(|point| marker(series.colour, self.x(point.x), self.y(point.y), 5.0));
        format!("<g class=\"c{} dots\">{}</g>", series.colour % COLOURS, dots.collect::<Vec<String>>().concat())
    }
}

/// One of four marks, so that colour is never the only difference between two algorithms.
fn marker(index: usize, x: f64, y: f64, r: f64) -> String {
    match index % 4 {
        0 => format!("<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"{r}\"/>"),
        1 => format!(
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{}\" height=\"{}\"/>",
            x - r * 0.9,
            y - r * 0.9,
            r * 1.8,
            r * 1.8
        ),
        2 => format!("<path d=\"M{x:.1} {:.1}l{:.1} {:.1}h{:.1}z\"/>", y - r * 1.1, r * 1.1, r * 2.0, -r * 2.2),
        _ => format!("<path d=\"M{x:.1} {:.1}l{r} {r}l-{r} {r}l-{r} -{r}z\"/>", y - r),
    }
}

impl Series {
    /// Runs of points joined to one point of their mean, so that at most `most` are left.
    fn thinned(&self, most: usize) -> Self {
        if self.points.len() <= most {
            return self.clone();
        }
        let joined = |run: &[Point]| {
            let values: Vec<f64> = run.iter().map(|point| point.y).filter(|y| y.is_finite()).collect();
            let (first, last) = (run.first(), run.last());
            let names = [first, last].map(|point| point.map_or("", |point| point.from.as_str()));
            Point {
                x: last.map_or(0.0, |point| point.x),
                y: values.iter().sum::<f64>() / values.len() as f64,
                band: (!values.is_empty()).then(|| {
                    values.iter().fold([f64::INFINITY, f64::NEG_INFINITY], |[lo, hi], &y| [lo.min(y), hi.max(y)])
                }),
                from: format!("{} to {}", names[0], names[1]),
            }
        };
        let points = self.points.chunks(self.points.len().div_ceil(most)).map(joined).collect();
        Self { label: self.label.clone(), colour: self.colour, points }
    }
}

/// To five figures: what a read-out needs to find the nearest point.
fn short(value: f64) -> f64 {
    format!("{value:.4e}").parse().unwrap_or(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(values: &[f64]) -> Series {
        let point =
            |(i, &y): (usize, &f64)| Point { x: (i + 1) as f64, y, band: None, from: format!("line {}", i + 1) };
        Series { label: "return".into(), colour: 0, points: values.iter().enumerate().map(point).collect() }
    }

    #[test]
    fn axes_end_on_ticks() {
        assert_eq!(Axis::around([0.0, 23.0].into_iter(), 5.0), Axis { lo: 0.0, hi: 25.0, step: 5.0 });
        assert_eq!(Axis::around([-3.0, 7.0].into_iter(), 5.0), Axis { lo: -4.0, hi: 8.0, step: 2.0 });
        let flat = Axis::around([4.0, 4.0].into_iter(), 5.0);
        assert!(flat.lo < 4.0 && flat.hi > 4.0);
        assert_eq!(Axis::around([f64::NAN].into_iter(), 5.0).lo, 0.0);
    }

    #[test]
    fn a_gap_stays_a_gap() {
        let chart = Chart { series: vec![series(&[1.0, f64::NAN, 3.0, 4.0])], ..Chart::default() };
        let svg = chart.svg();
        let line = svg.split("class=\"line\" d=\"").nth(1).unwrap().split('"').next().unwrap();
        assert_eq!(line.matches('M').count(), 2, "{line}");
        assert!(!svg.contains("NaN"));
    }

    #[test]
    fn the_limit_is_drawn_and_named() {
        let chart = Chart { series: vec![series(&[40.0, 20.0])], limit: Some(25.0), ..Chart::default() };
        let svg = chart.svg();
        assert!(svg.contains(">limit 25<"));
        assert!(svg.contains("limit 25\""), "the spoken description names it too");
    }

    #[test]
    fn long_lines_show_mean_and_range() {
        let values: Vec<f64> = (0..6000).map(|i| f64::from(i % 10)).collect();
        let thin = series(&values).thinned(600);
        assert_eq!(thin.points.len(), 600);
        assert_eq!((thin.points[3].y, thin.points[3].band), (4.5, Some([0.0, 9.0])));
        assert_eq!(thin.points[0].from, "line 1 to line 10");
    }
}
