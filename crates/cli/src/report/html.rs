//! Text of the pages: escaping, numbers, tables and the frame around them.

use serde::Serialize;

const STYLE: &str = include_str!("page.css");

/// Text made safe inside elements and quoted attributes.
pub fn escape(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for letter in text.chars() {
        match letter {
            '&' => safe.push_str("&amp;"),
            '<' => safe.push_str("&lt;"),
            '>' => safe.push_str("&gt;"),
            '"' => safe.push_str("&quot;"),
            '\'' => safe.push_str("&#39;"),
            _ => safe.push(letter),
        }
    }
    safe
}

/// A data block for scripts. `<` is written as its JSON escape, so that no text in the data can end the element.
pub fn data_block(attributes: &str, data: &impl Serialize) -> String {
    let json = serde_json::to_string(data).unwrap_or_else(|_| "null".to_owned()).replace('<', "\\u003c");
    format!("<script type=\"application/json\" {attributes}>{json}</script>")
}

/// A whole page. It may load nothing at all: the policy in its head makes the browser hold it to that.
pub fn page(title: &str, body: &str, scripts: &[&str]) -> String {
    let scripts: Vec<String> = scripts.iter().map(|script| format!("<script>\n{script}</script>\n")).collect();
    format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'; \
         script-src 'unsafe-inline'; img-src data:\">\n\
         <link rel=\"icon\" href=\"data:,\">\n<title>{}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n<main>\n\
         {body}</main>\n{}</body>\n</html>\n",
        escape(title),
        scripts.concat()
    )
}

/// A section with a heading and one line that says what it shows; `note` and `body` are HTML.
pub fn section(id: &str, heading: &str, note: &str, body: &str) -> String {
    let note = if note.is_empty() { String::new() } else { format!("<p class=\"note\">{note}</p>\n") };
    format!("<section id=\"{id}\">\n<h2>{}</h2>\n{note}{body}</section>\n", escape(heading))
}

/// A table whose cells are HTML; columns named in `numeric` are set flush right.
pub fn table(head: &[&str], numeric: &[usize], rows: &[Vec<String>]) -> String {
    let class = |i: usize| if numeric.contains(&i) { " class=\"num\"" } else { "" };
    let head: Vec<String> =
        head.iter().enumerate().map(|(i, cell)| format!("<th scope=\"col\"{}>{cell}</th>", class(i))).collect();
    let row = |cells: &Vec<String>| {
        let cells: Vec<String> =
            cells.iter().enumerate().map(|(i, cell)| format!("<td{}>{cell}</td>", class(i))).collect();
        format!("<tr>{}</tr>\n", cells.concat())
    };
    let rows: Vec<String> = rows.iter().map(row).collect();
    format!(
        "<div class=\"scroll\"><table>\n<thead><tr>{}</tr></thead>\n<tbody>\n{}</tbody>\n</table></div>\n",
        head.concat(),
        rows.concat()
    )
}

/// A number for reading: whole from 1,000 to a billion, else to about three figures.
pub fn number(value: f64) -> String {
    let size = value.abs();
    if !value.is_finite() {
        return "not a number".to_owned();
    }
    let text = if value == 0.0 {
        "0".to_owned()
    } else if size >= 1e9 {
        format!("{value:.2e}")
    } else if size >= 999.5 {
        return grouped(value.round() as i64);
    } else if size >= 99.95 {
        format!("{value:.1}")
    } else if size >= 1.0 {
        format!("{value:.2}")
    } else if size >= 0.001 {
        format!("{value:.4}")
    } else {
        format!("{value:.1e}")
    };
    signed(&trimmed(&text))
}

/// A number on an axis whose ticks are `step` apart: `0.05`, `25`, `200k`, `1.5M`, `2e9`.
pub fn tick(value: f64, step: f64) -> String {
    let (unit, letter) = match step {
        step if step >= 2e5 => (1e6, "M"),
        step if step >= 200.0 => (1e3, "k"),
        _ => (1.0, ""),
    };
    if value.abs() < step * 1e-6 {
        return "0".to_owned();
    }
    if !(1e-4..1e9).contains(&step) {
        let places = (value.abs().log10().floor() - step.log10().floor()).max(0.0) as usize;
        return signed(&format!("{value:.places$e}"));
    }
    let decimals = (-(step / unit).log10()).ceil().max(0.0) as usize;
    let text =
        if letter == "M" { trimmed(&format!("{:.2}", value / unit)) } else { format!("{:.decimals$}", value / unit) };
    signed(&format!("{text}{letter}"))
}

/// `1234567` as `1,234,567`.
pub fn grouped(value: i64) -> String {
    let digits = value.unsigned_abs().to_string();
    let mut text = if value < 0 { "\u{2212}".to_owned() } else { String::new() };
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Seconds as `8.2 s`, `5 min 12 s`, `3 h 20 min`.
pub fn duration(seconds: f64) -> String {
    let whole = seconds.round() as i64;
    match whole {
        0..60 => format!("{} s", number(seconds)),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
    }
}

/// Without zeros at the end of the decimals.
fn trimmed(text: &str) -> String {
    if text.contains('.') && !text.contains('e') {
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    } else {
        text.to_owned()
    }
}

/// With a true minus sign.
fn signed(text: &str) -> String {
    text.replace('-', "\u{2212}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_cannot_leave_its_place() {
        assert_eq!(escape("<b a=\"1\" c='2'>&"), "&lt;b a=&quot;1&quot; c=&#39;2&#39;&gt;&amp;");
        let block = data_block("id=\"x\"", &"</script><script>alert(1)//");
        assert_eq!(block.matches("</script>").count(), 1);
        assert!(!block.contains("<script>alert"));
    }

    #[test]
    fn numbers_read_well() {
        let cases = [
            (0.0, "0"),
            (25.0, "25"),
            (21.439, "21.44"),
            (-3.5, "\u{2212}3.5"),
            (123.45, "123.5"),
            (1_234_567.0, "1,234,567"),
            (392_968_437_760.0, "3.93e11"),
            (0.9990, "0.999"),
            (0.0123, "0.0123"),
            (0.000_02, "2.0e\u{2212}5"),
        ];
        for (value, text) in cases {
            assert_eq!(number(value), text);
        }
        assert_eq!(number(f64::NAN), "not a number");
    }

    #[test]
    fn ticks_share_one_precision() {
        assert_eq!(tick(0.15, 0.05), "0.15");
        assert_eq!(tick(25.0, 5.0), "25");
        assert_eq!(tick(200_000.0, 200_000.0), "0.2M");
        assert_eq!(tick(40_000.0, 20_000.0), "40k");
        assert_eq!(tick(1_500_000.0, 500_000.0), "1.5M");
        assert_eq!(tick(-10.0, 5.0), "\u{2212}10");
        assert_eq!(tick(4e11, 1e11), "4e11");
        assert_eq!(tick(-1.5e-7, 5e-8), "\u{2212}1.5e\u{2212}7");
        assert_eq!(tick(5e-8, 5e-8), "5e\u{2212}8");
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(8.2), "8.2 s");
        assert_eq!(duration(312.0), "5 min 12 s");
        assert_eq!(duration(12_000.0), "3 h 20 min");
    }
}
