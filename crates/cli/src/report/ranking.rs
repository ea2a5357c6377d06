//! How well rewards rank completions: rewards by kind of completion, shares of errors, weights.

use tony_lm::rbr::{Comparisons, Fitted, Ranking, Signal, SignalErrors, TypeRanking, Weights};
use tony_run::Stat;

use super::chart::Axis;
use super::html::{escape, grouped, number, page, section, table, tick};

/// The page. It names completions by id or line, and shows none.
pub fn ranking_report(weights: &Weights, data: &Comparisons, ranking: &Ranking) -> String {
    let types = ranking.response_types.iter().map(|of| one_type(of, weights.response_types.get(&of.response)));
    let body = [
        header(weights, data, ranking),
        verdict(ranking),
        types.collect::<Vec<_>>().concat(),
        fits(weights),
        "<footer><p>Intervals are 95 % percentile bootstrap intervals; prompts are resampled, each with all its completions. They do not show \
         what other training prompts, another grader or another reward model would give: weights hold for the ones that they were fitted \
         with.</p></footer>\n"
            .to_owned(),
    ];
    page("How rewards rank completions", &body.concat(), &[])
}

fn header(weights: &Weights, data: &Comparisons, ranking: &Ranking) -> String {
    let file = data.path.file_name().unwrap_or_default().to_string_lossy();
    let of = if ranking.validation {
        "These comparisons are those that the weights were fitted on: only the prompts that validated are shown."
    } else {
        "Other comparisons than those that the weights were fitted on."
    };
    let grader = |grader: &Option<String>| grader.as_deref().map_or("not named".to_owned(), escape);
    let graders = if weights.grader == data.grader {
        format!("Grader: <code>{}</code>.", grader(&data.grader))
    } else {
        let [here, there] = [&data.grader, &weights.grader].map(grader);
        format!("Grader: <code>{here}</code>; the weights were fitted with <code>{there}</code>.")
    };
    let left_out = if ranking.left_out.is_empty() {
        String::new()
    } else {
        format!("<p>Without weights, or without prompts to compare: {}.</p>\n", escape(&ranking.left_out.join(", ")))
    };
    format!(
        "<header>\n<p class=\"eyebrow\">tony \u{b7} rule-based rewards</p>\n<h1>How rewards rank completions</h1>\n\
         <p>{} completions in {}. {of}</p>\n<p>{graders} Policy: <code>{}</code>.</p>\n{left_out}</header>\n",
        grouped(data.rows.len() as i64),
        escape(&file),
        escape(weights.policy.get(..12).unwrap_or_default()),
    )
}

/// What is said first: how often the ideal is outranked.
fn verdict(ranking: &Ranking) -> String {
    let line = |of: &TypeRanking| {
        let told = |errors: &SignalErrors| Some(format!("{} {}", errors.signal.words(), percent(errors.ideal?.mean)));
        let parts: Vec<String> = of.signals.iter().filter_map(told).collect();
        let name = escape(&of.response.replace('_', " "));
        if parts.is_empty() {
            format!("{name}: no prompt has an ideal completion")
        } else {
            format!("{name}: an ideal completion is outranked in this share of the pairs: {}", parts.join(", "))
        }
    };
    let lines: Vec<String> = ranking.response_types.iter().map(line).collect();
    format!("<p class=\"verdict plain\">{}</p>\n", lines.join("<br>"))
}

/// `3.5 %`.
fn percent(share: f64) -> String {
    format!("{:.1}\u{a0}%", 100.0 * share)
}

/// `3.5 % [1.2, 6.8]`; one prompt has no interval.
fn share(stat: &Stat) -> String {
    let interval = if stat.n > 1 {
        format!("[{:.1}, {:.1}]", 100.0 * stat.lo, 100.0 * stat.hi)
    } else {
        "n = 1, no interval".to_owned()
    };
    format!("{} <span class=\"interval\">{interval}</span>", percent(stat.mean))
}

fn one_type(of: &TypeRanking, fitted: Option<&Fitted>) -> String {
    let figures: String = of.signals.iter().map(histograms).collect();
    let mut note = format!(
        "{} completions of {} prompts with a better and a worse one, {} of them with an ideal one.",
        grouped(of.completions as i64),
        grouped(of.prompts as i64),
        grouped(of.with_ideal as i64),
    );
    if of.with_ideal > 0 {
        note += " Each row is a kind of completion, the best above, in bars of its own height. Rewards are centred on the mean of the \
                 prompt\u{2019}s ideal completions; what lies to the right of it and is not ideal <span class=\"bad\">outranks them</span>.";
    }
    let body = [
        format!("<div class=\"charts\">\n{figures}</div>\n"),
        errors(of),
        worst(of),
        fitted.map(weight_table).unwrap_or_default(),
    ];
    section(&of.response, &of.response.replace('_', " "), &note, &body.concat())
}

const WIDTH: f64 = 440.0;
const SIDE: f64 = 12.0;
const ROW: f64 = 54.0;
/// Of a row, what bars may take: the rest is its name.
const BAR: f64 = 34.0;
const BINS: f64 = 44.0;

/// One picture: a row of bars for each kind of completion over one axis.
fn histograms(errors: &SignalErrors) -> String {
    let rows: Vec<&(String, Vec<f64>)> = errors.centred.iter().filter(|(_, values)| !values.is_empty()).collect();
    let name = match errors.signal {
        Signal::Rm => "Reward model",
        Signal::Rbr => "Rules",
        Signal::Total => "Reward model + rules",
    };
    if rows.is_empty() {
        return String::new();
    }
    let all = rows.iter().flat_map(|(_, values)| values.iter().copied());
    let axis = Axis::around(all.chain([0.0]), 6.0);
    // One edge is at 0: a bar is on one side of the ideal.
    let width = (axis.hi - axis.lo) / BINS;
    let first = (axis.lo / width).floor();
    let across = |value: f64| SIDE + axis.share(value) * (WIDTH - 2.0 * SIDE);
    let bottom = ROW * rows.len() as f64 + 4.0;
    let mut parts = Vec::new();
    for (i, (label, values)) in rows.iter().enumerate() {
        let base = ROW * (i + 1) as f64;
        let mut counts = vec![0_usize; BINS as usize + 2];
        for value in values {
            let bin = ((value / width).floor() - first).clamp(0.0, BINS + 1.0);
            counts[bin as usize] += 1;
        }
        let peak = counts.iter().copied().max().unwrap_or(1) as f64;
        let (mut below, mut above) = (String::new(), String::new());
        for (bin, count) in counts.iter().enumerate().filter(|(_, count)| **count > 0) {
            let left = (first + bin as f64) * width;
            let (x, right) = (across(left), across(left + width));
            let height = (BAR * *count as f64 / peak).max(1.0);
            let bar = format!("M{x:.1} {base:.1}v-{height:.1}H{right:.1}v{height:.1}z");
            // The edge at 0 is a product and a sum away from 0.
            if left > -0.5 * width { &mut above } else { &mut below }.push_str(&bar);
        }
        let (tone, beyond) = if i == 0 { ("c2", "c2") } else { ("c0", "bad") };
        parts.push(format!(
            "<g class=\"{tone}\"><path style=\"fill:currentColor\" d=\"{below}\"/></g>\
             <g class=\"{beyond}\"><path style=\"fill:currentColor\" d=\"{above}\"/></g>\
             <path class=\"grid\" d=\"M{SIDE} {base:.1}H{}\"/><text x=\"{SIDE}\" y=\"{:.1}\">{}, n = {}</text>",
            WIDTH - SIDE,
            base - ROW + 14.0,
            escape(label),
            grouped(values.len() as i64),
        ));
    }
    for value in axis.ticks() {
        let x = across(value);
        parts.push(format!(
            "<path class=\"grid\" d=\"M{x:.1} {bottom:.1}v4\"/><text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            bottom + 16.0,
            tick(value, axis.step)
        ));
    }
    let zero = across(0.0);
    parts.push(format!(
        "<path style=\"stroke:var(--ink);stroke-width:1;stroke-dasharray:3 3\" d=\"M{zero:.1} 4V{bottom:.1}\"/>"
    ));
    let said: Vec<String> = rows
        .iter()
        .map(|(label, values)| format!("{label} {}", number(values.iter().sum::<f64>() / values.len() as f64)))
        .collect();
    let said = escape(&format!("{name}, mean centred rewards: {}", said.join(", ")));
    format!(
        "<figure class=\"traces\"><figcaption>{name}<small>minus the ideal\u{2019}s</small></figcaption>\n\
         <svg viewBox=\"0 0 {WIDTH} {:.0}\" role=\"img\" aria-label=\"{said}\">{}</svg></figure>\n",
        bottom + 22.0,
        parts.concat()
    )
}

/// How often each kind outranks the ideal.
fn errors(of: &TypeRanking) -> String {
    let mut labels: Vec<&str> = Vec::new();
    for errors in of.signals.iter().flat_map(|errors| &errors.by_label) {
        if !labels.contains(&errors.label.as_str()) {
            labels.push(&errors.label);
        }
    }
    let mut head = vec!["outranks the ideal", "pairs"];
    head.extend(of.signals.iter().map(|errors| errors.signal.words()));
    let of_label = |errors: &SignalErrors, label: &str| errors.by_label.iter().find(|e| e.label == label).cloned();
    let mut rows: Vec<Vec<String>> = Vec::new();
    for label in labels {
        let found: Vec<_> = of.signals.iter().map(|errors| of_label(errors, label)).collect();
        let pairs = found.iter().flatten().next().map_or(0, |errors| errors.pairs);
        let mut row = vec![escape(label), grouped(pairs as i64)];
        row.extend(found.iter().map(|errors| errors.as_ref().map_or("\u{2013}".to_owned(), |e| share(&e.error))));
        rows.push(row);
    }
    let pairs: usize = of.signals.first().map_or(0, |errors| errors.by_label.iter().map(|e| e.pairs).sum());
    if pairs > 0 {
        let mut together = vec!["all that are not ideal".to_owned(), grouped(pairs as i64)];
        together.extend(of.signals.iter().map(|errors| errors.ideal.as_ref().map_or("\u{2013}".to_owned(), share)));
        rows.push(together);
    }
    let mut any = vec!["any worse above any better".to_owned(), String::new()];
    any.extend(of.signals.iter().map(|errors| share(&errors.all)));
    rows.push(any);
    let numeric: Vec<usize> = (1..head.len()).collect();
    format!("<div style=\"margin-top:14px\">{}</div>\n", table(&head, &numeric, &rows))
}

fn worst(of: &TypeRanking) -> String {
    let rows: Vec<Vec<String>> = (of.worst.iter())
        .map(|pair| {
            vec![
                format!("<code>{}</code> {}", escape(&pair.worse), escape(&pair.worse_label)),
                format!("<code>{}</code> {}", escape(&pair.better), escape(&pair.better_label)),
                number(pair.ahead),
            ]
        })
        .collect();
    if rows.is_empty() {
        return "<p class=\"note\">No pair is ranked wrongly.</p>\n".to_owned();
    }
    let inside = table(&["ranked above", "a better completion of its prompt", "by"], &[2], &rows);
    format!("<details><summary>Ranked worst, one pair of a prompt</summary>\n{inside}</details>\n")
}

const WEIGHT: f64 = 170.0;

fn weight_table(fitted: &Fitted) -> String {
    let most = fitted.weights.values().fold(f64::MIN_POSITIVE, |most, weight| most.max(weight.abs()));
    let mut weights: Vec<(&String, &f64)> = fitted.weights.iter().collect();
    weights.sort_by(|a, b| b.1.total_cmp(a.1));
    let row = |(name, weight): (&String, &f64)| {
        let (middle, length) = (WEIGHT / 2.0, weight.abs() / most * (WEIGHT / 2.0 - 2.0));
        let (left, tone) = if *weight < 0.0 { (middle - length, "bad") } else { (middle, "c0") };
        let bar = format!(
            "<svg class=\"{tone}\" width=\"{WEIGHT}\" height=\"12\" aria-hidden=\"true\"><rect x=\"{left:.1}\" y=\"1\" width=\"{length:.1}\" \
             height=\"10\" style=\"fill:currentColor\"/><path d=\"M{middle} 0v12\" style=\"stroke:var(--soft)\"/></svg>"
        );
        let mean = fitted.means.get(name).map_or("\u{2013}".to_owned(), |mean| number(*mean));
        let unknown = if fitted.unknown.contains(name) { " <small>never graded</small>" } else { "" };
        vec![format!("<code>{}</code>{unknown}", escape(name)), number(*weight), bar, mean]
    };
    let rows: Vec<Vec<String>> = weights.into_iter().map(row).collect();
    let inside = table(&["feature", "weight", "", "mean in training"], &[1, 3], &rows);
    format!("<details open><summary>Weights</summary>\n{inside}</details>\n")
}

fn fits(weights: &Weights) -> String {
    let missing = || "\u{2013}".to_owned();
    let row = |(response, fitted): (&String, &Fitted)| {
        vec![
            escape(response),
            grouped(fitted.completions as i64),
            grouped(fitted.prompts as i64),
            grouped(fitted.pairs as i64),
            number(fitted.loss),
            number(fitted.clipped),
            grouped(fitted.validation_prompts as i64),
            fitted.validation_loss.map_or_else(missing, number),
            fitted.validation_clipped.map_or_else(missing, number),
            grouped(fitted.missing as i64),
        ]
    };
    let rows: Vec<Vec<String>> = weights.response_types.iter().map(row).collect();
    let settings = &weights.settings;
    let note = format!(
        "Hinge loss over training pairs, AdamW: margin {}, learning rate {}, weight decay {}, {} steps, seed {}{}. Clipped: pairs that are far \
         enough apart. Missing probabilities count as the training mean.",
        number(settings.margin),
        number(settings.lr),
        number(settings.weight_decay),
        settings.steps,
        settings.seed,
        if settings.rm { "" } else { ", without the reward model" },
    );
    let head = [
        "response type",
        "completions",
        "prompts",
        "pairs",
        "loss",
        "clipped",
        "validating",
        "loss",
        "clipped",
        "missing",
    ];
    section("fit", "The fit", &note, &table(&head, &[1, 2, 3, 4, 5, 6, 7, 8, 9], &rows))
}
