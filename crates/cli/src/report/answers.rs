//! What a language model said in training, and what it was given for it.

use serde_json::Value;

use super::RunReport;
use super::html::{escape, number, section, table};

/// Answers of a batch that a page shows.
const SHOWN: usize = 12;
/// Characters of an answer that it shows.
const LETTERS: usize = 600;

/// What was said in one update.
#[derive(Clone, Debug, Default)]
pub struct Batch {
    /// The update.
    pub update: String,
    /// Its answers, as they are kept.
    pub answers: Vec<Value>,
}

/// The first and the last batch of answers side by side with their rewards; nothing where none were kept.
pub fn answers(input: &RunReport) -> String {
    if input.answers.is_empty() {
        return String::new();
    }
    let bodies: Vec<String> = input.answers.iter().map(batch).collect();
    let note = "Of the first and of the last batch that was kept, the best and the worst answers, each with all that its reward was made of. \
                Everything that was said is in the folder `samples`, one file an update.";
    section("answers", "Answers", note, &bodies.concat())
}

fn batch(batch: &Batch) -> String {
    let reward = |answer: &Value| answer["reward"].as_f64().unwrap_or_default();
    let mut order: Vec<&Value> = batch.answers.iter().collect();
    order.sort_by(|a, b| reward(b).total_cmp(&reward(a)));
    let half = SHOWN / 2;
    let shown: Vec<&Value> = if order.len() <= SHOWN {
        order
    } else {
        order[..half].iter().chain(&order[order.len() - half..]).copied().collect()
    };
    let parts = |answer: &Value, of: &str| -> Vec<String> {
        let parts = answer[of].as_object().into_iter().flatten();
        parts.map(|(name, value)| format!("{} {}", escape(name), number(value.as_f64().unwrap_or(f64::NAN)))).collect()
    };
    let row = |answer: &&Value| {
        let text = answer["text"].as_str().unwrap_or_default();
        let cut: String = text.chars().take(LETTERS).collect();
        let more = if cut.len() < text.len() { "\u{2026}" } else { "" };
        let made = [parts(answer, "rewards"), parts(answer, "costs")].concat().join(", ");
        vec![
            escape(answer["prompt"].as_str().unwrap_or_default()),
            format!("{}{more}", escape(&cut)),
            number(reward(answer)),
            made,
        ]
    };
    let rows: Vec<Vec<String>> = shown.iter().map(row).collect();
    format!(
        "<details><summary>Update {}: {} answers</summary>\n{}</details>\n",
        escape(batch.update.trim_start_matches('0')),
        batch.answers.len(),
        table(&["prompt", "answer", "reward", "made of"], &[2], &rows)
    )
}
