//! The live panel: a picture of [`Progress`], drawn a few times a second by a thread of its own.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use crossterm::event::{self, Event, KeyCode, KeyModifiers};
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Style, Stylize};
use ratatui::symbols::Marker;
use ratatui::text::{Line, Span};
use ratatui::widgets::{Axis, Block, Chart, Dataset, Gauge, GraphType, Paragraph, Sparkline};
use ratatui::{Frame, Terminal, backend::CrosstermBackend};
use tony_run::Metrics;

use crate::console::{self, duration, short, short_or_dash, thousands};
use crate::failure::Result;
use crate::progress::{Channel, MULTIPLIER, Progress};
use crate::signals::Stop;

/// The panel is up for as long as this lives; dropping it gives the terminal back.
pub struct Panel {
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Panel {
    /// Take the terminal and draw until dropped.
    pub fn start(progress: Arc<Progress>, stop: Stop) -> Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            console::leave_screen();
            before(panic);
        }));
        let done = Arc::new(AtomicBool::new(false));
        let mut panel = Self { done: done.clone(), thread: None };
        console::enter_screen()?;
        let mut terminal = Terminal::new(CrosstermBackend::new(std::io::stdout()))?;
        panel.thread = Some(std::thread::spawn(move || {
            while !done.load(Ordering::Relaxed) {
                // A terminal that went away must not take the training with it.
                if terminal.draw(|frame| draw(frame, &progress, stop.asked())).is_err() || listen(&stop).is_err() {
                    break;
                }
            }
        }));
        Ok(panel)
    }
}

impl Drop for Panel {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
        console::leave_screen();
    }
}

/// Wait for the next picture, or for a key: `q` and Ctrl-C stop as SIGINT does.
fn listen(stop: &Stop) -> std::io::Result<()> {
    if event::poll(Duration::from_millis(150))?
        && let Event::Key(key) = event::read()?
    {
        let control_c = key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL);
        if control_c || key.code == KeyCode::Char('q') {
            stop.ask(signal_hook::consts::SIGINT);
        }
    }
    Ok(())
}

/// One picture. Small terminals get fewer parts, never broken ones.
fn draw(frame: &mut Frame, progress: &Progress, stopping: bool) {
    let history = progress.history.lock().unwrap_or_else(PoisonError::into_inner);
    let area = frame.area();
    let charts = if area.height >= 18 && area.width >= 50 { Constraint::Min(8) } else { Constraint::Length(0) };
    let sparks = if area.height >= 12 && area.width >= 50 { 4 } else { 0 };
    let rows = [1, 1, 1 + progress.channels.len() as u16].map(Constraint::Length);
    let [head, gauge, numbers] = rows;
    let parts =
        [head, gauge, numbers, charts, Constraint::Length(sparks), Constraint::Length(1), Constraint::Length(1)];
    let [head, gauge, numbers, charts, sparks, phases, foot] = Layout::vertical(parts).areas(area);

    let title = Line::from(vec![progress.title.as_str().bold(), " on ".into(), progress.env.as_str().bold()]);
    frame.render_widget(title, head);
    let (rate, left) = progress.speed();
    let steps = progress.steps();
    let label = format!(
        "{} of {} steps, {rate:.0} steps/s, {} left, {}",
        thousands(steps),
        thousands(progress.total),
        left.map_or("?".to_owned(), duration),
        progress.phase()
    );
    let share = (steps as f64 / progress.total.max(1) as f64).clamp(0.0, 1.0);
    frame.render_widget(Gauge::default().ratio(share).label(label).gauge_style(Style::new().fg(Color::Blue)), gauge);
    frame.render_widget(Paragraph::new(number_lines(progress, &history)), numbers);
    draw_charts(frame, charts, progress, &history);
    draw_sparks(frame, sparks, progress, &history);
    frame.render_widget(phase_line(history.last()), phases);
    let words = if stopping {
        "stopping after this update; Ctrl-C again leaves at once"
    } else {
        "q or Ctrl-C: stop after this update, to be resumed"
    };
    let color = if stopping { Color::Yellow } else { Color::DarkGray };
    frame.render_widget(Line::from(vec![words.fg(color), format!("   {}", progress.run).fg(Color::DarkGray)]), foot);
}

/// Last known value: an update in which no episode ended has none.
fn last(history: &[Metrics], name: &str) -> Option<f64> {
    history.iter().rev().find_map(|metrics| metrics.get(name))
}

/// What the training is about, and each cost against its limit.
fn number_lines<'a>(progress: &'a Progress, history: &[Metrics]) -> Vec<Line<'a>> {
    let value = |metric: &str| short_or_dash(last(history, metric));
    let mut words: Vec<Span> = Vec::new();
    for (name, metric) in progress.measures.main {
        let name = if words.is_empty() { format!("{name:<12}") } else { format!("   {name} ") };
        words.extend([Span::from(name), value(metric).bold()]);
    }
    words.extend(progress.measures.beside.last().map(|(name, metric)| format!("   {name} {}", value(metric)).into()));
    let mut lines = vec![Line::from(words)];
    for channel in &progress.channels {
        let value = last(history, &channel.metric);
        let verdict = match (value, channel.limit) {
            (Some(value), Some(limit)) if value <= limit => format!("   within the limit {limit}").fg(Color::Green),
            (Some(_), Some(limit)) => format!("   over the limit {limit}").fg(Color::Red),
            (None, Some(limit)) => format!("   limit {limit}").into(),
            (_, None) => "   no limit".fg(Color::DarkGray),
        };
        let name = Span::from(format!("{:<12}", channel.name));
        lines.push(Line::from(vec![name, short_or_dash(value).bold(), verdict]));
    }
    lines
}

/// Curves of what the training is about and of each cost, its limit drawn.
fn draw_charts(frame: &mut Frame, area: Rect, progress: &Progress, history: &[Metrics]) {
    if area.is_empty() {
        return;
    }
    let main = progress.measures.main.iter();
    let main: Vec<Channel> =
        main.map(|(name, metric)| Channel { name: (*name).into(), metric: (*metric).into(), limit: None }).collect();
    let shown: Vec<&Channel> = main.iter().chain(&progress.channels).take(usize::from(area.width / 25)).collect();
    let areas = Layout::horizontal(shown.iter().map(|_| Constraint::Fill(1))).split(area);
    for (channel, &area) in shown.into_iter().zip(areas.iter()) {
        let point = |m: &Metrics| Some((m.get("steps")?, m.get(&channel.metric)?));
        let curve: Vec<(f64, f64)> = history.iter().filter_map(point).collect();
        let ends = [progress.first as f64, progress.total as f64];
        let line: Vec<(f64, f64)> = channel.limit.iter().flat_map(|&limit| ends.map(|x| (x, limit))).collect();
        let values = curve.iter().chain(&line).map(|p| p.1);
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| (l.min(v), h.max(v)));
        let (low, high) = if low > high { (0.0, 1.0) } else { (low, high) };
        let margin = 0.05 * (high - low).max(1e-6);
        let bounds = [low - margin, high + margin];
        let set =
            |data, color| Dataset::default().data(data).marker(Marker::Braille).graph_type(GraphType::Line).fg(color);
        let chart = Chart::new(vec![set(&line, Color::Red), set(&curve, Color::Cyan)])
            .block(
                Block::bordered().title(format!(" {} ", channel.name)).border_style(Style::new().fg(Color::DarkGray)),
            )
            .x_axis(Axis::default().bounds(ends))
            .y_axis(Axis::default().bounds(bounds).labels([short(low), short(high)]));
        frame.render_widget(chart, area);
    }
}

/// Multipliers and the likes of the KL divergence, as sparklines.
fn draw_sparks(frame: &mut Frame, area: Rect, progress: &Progress, history: &[Metrics]) {
    let Some(newest) = history.last().filter(|_| !area.is_empty()) else { return };
    let mut names: Vec<&str> =
        newest.iter().map(|(name, _)| name).filter(|name| name.starts_with(MULTIPLIER)).collect();
    names.extend(progress.measures.sparks);
    names.truncate(usize::from(area.width / 20));
    let areas = Layout::horizontal(names.iter().map(|_| Constraint::Fill(1))).split(area);
    for (name, &area) in names.iter().zip(areas.iter()) {
        let values: Vec<f64> = history.iter().filter_map(|m| m.get(name)).collect();
        let from = values.len().saturating_sub(usize::from(area.width.saturating_sub(2)));
        let values = &values[from..];
        let (low, high) = values.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), &v| (l.min(v), h.max(v)));
        // Eighths of a row from the lowest to the highest value; the lowest still shows.
        let bars: Vec<u64> = values.iter().map(|v| 4 + (60.0 * (v - low) / (high - low).max(1e-12)) as u64).collect();
        let title = name.rsplit_once('/').map_or(*name, |(_, name)| name).replace("LagrangeMultiplier", "multiplier");
        let title = format!(" {title} {} ", short_or_dash(values.last().copied()));
        let block = Block::bordered().title(title).border_style(Style::new().fg(Color::DarkGray));
        frame.render_widget(Sparkline::default().data(&bars).max(64).block(block).fg(Color::Cyan), area);
    }
}

/// Where the time of the newest update went.
fn phase_line(newest: Option<&Metrics>) -> Line<'static> {
    let Some(newest) = newest else { return Line::from("waiting for the first update".fg(Color::DarkGray)) };
    let mut spans = vec![Span::from("time        ")];
    let seconds = PHASES.map(|(_, metric, _)| newest.get(metric).unwrap_or(0.0));
    let whole = seconds.iter().sum::<f64>();
    if whole == 0.0 {
        // Of a training whose time has no parts.
        return Line::default();
    }
    for ((name, _, color), seconds) in PHASES.into_iter().zip(seconds) {
        let share = seconds / whole;
        let bar = "█".repeat((share * 20.0).round() as usize);
        spans.extend([format!("{name} {:.0} % ", 100.0 * share).into(), bar.fg(color), "  ".into()]);
    }
    Line::from(spans)
}

/// Parts of an update's time: name, metric in seconds, colour.
const PHASES: [(&str, &str, Color); 3] = [
    ("physics", "Time/Physics", Color::Green),
    ("policy", "Time/Policy", Color::Magenta),
    ("update", "Time/Update", Color::Yellow),
];

#[cfg(test)]
mod tests {
    use std::sync::{Mutex, atomic::AtomicU64};
    use std::time::Instant;

    use ratatui::backend::TestBackend;
    use tony_run::Control;

    use super::*;

    fn progress(updates: u64) -> Progress {
        let metrics = |update: u64| {
            let mut metrics = Metrics::new();
            let x = update as f64;
            let values =
                [("steps", 20_000.0 * x), ("Metrics/EpRet", x), ("Metrics/EpCost", 80.0 - x), ("Cost/hazards", 3.0)];
            let more = [
                (MULTIPLIER, 0.1 * x),
                ("Train/KL", 0.01),
                ("Time/Physics", 3.0),
                ("Time/Policy", 1.0),
                ("Time/Update", 1.0),
            ];
            values.iter().chain(&more).for_each(|(name, value)| metrics.set(name, *value));
            metrics
        };
        let channel =
            |name: &str, metric: &str, limit| Channel { name: name.into(), metric: metric.into(), limit: Some(limit) };
        Progress {
            title: "Constrained Policy Optimization".into(),
            env: "SafetyPointGoal1-v0".into(),
            run: "runs/cpo-SafetyPointGoal1-0001".into(),
            first: 0,
            total: 1_000_000,
            channels: vec![channel("cost", "Metrics/EpCost", 25.0), channel("hazards", "Cost/hazards", 20.0)],
            measures: crate::progress::AGENT,
            control: Arc::new(Control { steps: AtomicU64::new(20_000 * updates), ..Control::default() }),
            started: Instant::now(),
            history: Mutex::new((1..=updates).map(metrics).collect()),
        }
    }

    fn picture(progress: &Progress, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| draw(frame, progress, false)).unwrap();
        terminal.backend().to_string()
    }

    #[test]
    fn the_panel_tells_all_that_matters() {
        let text = picture(&progress(30), 120, 40);
        for part in [
            "Constrained Policy Optimization on SafetyPointGoal1-v0",
            "600,000 of 1,000,000 steps",
            "over the limit 25",
            "within the limit 20",
            "multiplier 3.00",
            "KL 0.0100",
            "physics 60 %",
            "runs/cpo-SafetyPointGoal1-0001",
        ] {
            assert!(text.contains(part), "`{part}` is missing in\n{text}");
        }
    }

    #[test]
    fn any_size_of_terminal_can_be_drawn_at_any_time() {
        for updates in [0, 1, 2, 300] {
            for (width, height) in [(1, 1), (3, 40), (20, 5), (49, 17), (50, 18), (80, 24), (250, 80)] {
                picture(&progress(updates), width, height);
            }
        }
    }
}
