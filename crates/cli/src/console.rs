//! The only place that writes to the terminal: results on standard output, notes and progress on standard error.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};

use crossterm::{cursor, execute, terminal};
use indicatif::{ProgressBar, ProgressStyle};
use tony_run::Stat;

use crate::failure::Result;

/// Write a result and a line end to standard output. A closed pipe is reported so that the verb ends; it is not a failure
/// (see [`crate::failure::Failure::report`]).
pub fn print(text: impl AsRef<str>) -> Result<()> {
    let mut out = io::stdout().lock();
    out.write_all(text.as_ref().as_bytes())?;
    out.write_all(b"\n")?;
    Ok(out.flush()?)
}

/// Print one JSON value on standard output.
pub fn print_json(value: &impl serde::Serialize) -> Result<()> {
    print(serde_json::to_string(value).map_err(io::Error::from)?)
}

/// A verb's answer: the object where a program reads, else the text.
pub fn answer(json: bool, object: &impl serde::Serialize, text: impl FnOnce() -> String) -> Result<()> {
    if json { print_json(object) } else { print(text()) }
}

/// Tell the person something beside the result. Nobody listening is fine.
pub fn note(text: impl AsRef<str>) {
    let _ = writeln!(io::stderr().lock(), "{}", text.as_ref());
}

/// A bar on standard error that fills up in `steps` steps, where a person looks at it.
pub fn bar(steps: u64, what: impl Into<Cow<'static, str>>) -> ProgressBar {
    let style = ProgressStyle::with_template("{msg} {wide_bar} {pos}/{len}, {eta} left");
    let bar = ProgressBar::new(steps).with_message(what);
    match style {
        Ok(style) => bar.with_style(style),
        Err(_) => bar,
    }
}

/// The live panel has the terminal.
static SCREEN: AtomicBool = AtomicBool::new(false);

/// Take the whole terminal, with keys delivered one by one and unseen.
pub fn enter_screen() -> Result<()> {
    SCREEN.store(true, Ordering::SeqCst);
    terminal::enable_raw_mode()?;
    Ok(execute!(io::stdout(), terminal::EnterAlternateScreen, cursor::Hide)?)
}

/// Give the terminal back as it was. May be called from anywhere, any number of times.
pub fn leave_screen() {
    if SCREEN.swap(false, Ordering::SeqCst) {
        // A terminal that is gone needs no tidying.
        let _ = execute!(io::stdout(), terminal::LeaveAlternateScreen, cursor::Show);
        let _ = terminal::disable_raw_mode();
    }
}

/// Is a person watching in a terminal that can show more than lines?
pub fn can_show_a_panel() -> bool {
    let dumb = std::env::var("TERM").is_ok_and(|term| term == "dumb");
    io::stdout().is_terminal() && io::stdin().is_terminal() && !dumb
}

/// Does the live panel have the terminal?
pub fn on_screen() -> bool {
    SCREEN.load(Ordering::SeqCst)
}

/// Rows as aligned columns, two spaces apart. Columns whose cells below the first row all begin like numbers are right-aligned.
pub fn table(rows: &[Vec<String>]) -> String {
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let cell = |row: &[String], c: usize| row.get(c).map_or(0, |t| t.chars().count());
    let widths: Vec<usize> = (0..columns).map(|c| rows.iter().map(|r| cell(r, c)).max().unwrap_or(0)).collect();
    let numeric =
        |t: &str| t.is_empty() || t == "-" || t.starts_with(|c: char| c.is_ascii_digit() || c == '-' || c == '+');
    let right: Vec<bool> =
        (0..columns).map(|c| rows.len() > 1 && rows[1..].iter().all(|r| r.get(c).is_none_or(|t| numeric(t)))).collect();
    let mut lines = Vec::with_capacity(rows.len());
    for row in rows {
        let mut line = String::new();
        for (c, text) in row.iter().enumerate() {
            let pad = " ".repeat(widths[c] - text.chars().count());
            let (before, after) = if right[c] { (pad.as_str(), "") } else { ("", pad.as_str()) };
            line.push_str(if c == 0 { "" } else { "  " });
            line.push_str(before);
            line.push_str(text);
            line.push_str(after);
        }
        lines.push(line.trim_end().to_owned());
    }
    lines.join("\n")
}

/// Lines of words, none longer than `width` characters unless a word is. At least one line.
pub fn wrapped(text: &str, width: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace() {
        let line = &lines[lines.len() - 1];
        if !line.is_empty() && line.chars().count() + 1 + word.chars().count() > width {
            lines.push(String::new());
        }
        let last = lines.len() - 1;
        let line = &mut lines[last];
        line.push_str(if line.is_empty() { "" } else { " " });
        line.push_str(word);
    }
    lines
}

/// `1234567` as `1,234,567`.
pub fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// Four significant digits or so: what fits a column and is still worth comparing.
pub fn short(x: f64) -> String {
    let size = x.abs();
    if x == 0.0 || !x.is_finite() {
        format!("{x}")
    } else if !(1e-3..1e6).contains(&size) {
        format!("{x:.2e}")
    } else if size >= 1000.0 {
        format!("{x:.0}")
    } else if size >= 100.0 {
        format!("{x:.1}")
    } else if size >= 1.0 {
        format!("{x:.2}")
    } else {
        format!("{x:.4}")
    }
}

/// A value that may be missing, as [`short`] or `-`.
pub fn short_or_dash(x: Option<f64>) -> String {
    x.map_or_else(|| "-".to_owned(), short)
}

/// `12.31 [10.02, 14.70]`: mean and 95 % interval.
pub fn stat(s: &Stat) -> String {
    format!("{} {}", short(s.mean), interval(s))
}

/// `[10.02, 14.70]`: 95 % interval. One value has none, whatever its two ends say.
pub fn interval(s: &Stat) -> String {
    if s.n > 1 { format!("[{}, {}]", short(s.lo), short(s.hi)) } else { "[n = 1]".to_owned() }
}

/// Seconds as `4.2 s`, `3 m 20 s`, `2 h 05 m`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as u64;
    match whole {
        0..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} m {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} m", whole / 3600, whole / 60 % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_well() {
        assert_eq!(thousands(0), "0");
        assert_eq!(thousands(999), "999");
        assert_eq!(thousands(1_000_000), "1,000,000");
        assert_eq!(short(25.0), "25.00");
        assert_eq!(short(-1234.5), "-1234");
        assert_eq!(short(0.000_012), "1.20e-5");
        assert_eq!(duration(4.25), "4.2 s");
        assert_eq!(duration(9.96), "10 s");
        assert_eq!(duration(3661.0), "1 h 01 m");
    }

    #[test]
    fn lines_break_between_words() {
        assert_eq!(wrapped("it never falls by more", 10), ["it never", "falls by", "more"]);
        assert_eq!(wrapped("", 10), [""]);
        assert_eq!(wrapped("unbreakable words", 5), ["unbreakable", "words"]);
    }

    #[test]
    fn tables_align_numbers_right_and_words_left() {
        let row = |a: &str, b: &str| vec![a.to_owned(), b.to_owned()];
        assert_eq!(
            table(&[row("name", "n"), row("a", "10"), row("longer", "7")]),
            "name     n\na       10\nlonger   7"
        );
    }
}
