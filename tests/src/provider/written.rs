//! What the mock answers: a scripted text, or a sentence of the prompt's evidence.
//! Never understands a question, and knows no format.

use serde_json::Value;

use super::Knobs;

/// An answer before it is put into a format.
#[derive(Debug)]
pub(super) struct Written {
    pub(super) tokens: Vec<String>,
    pub(super) prompt_tokens: usize,
    pub(super) model: Value,
}

impl Written {
    /// Answers the last message of a call; `system` is a part of the prompt, too.
    pub(super) fn new(knobs: &Knobs, body: &Value) -> Self {
        let messages = body.get("messages").and_then(Value::as_array);
        let mut contents: Vec<&str> = body.get("system").and_then(Value::as_str).into_iter().collect();
        contents
            .extend(messages.into_iter().flatten().filter_map(|message| message.get("content")?.as_str()));
        let text = text(knobs, contents.last().copied().unwrap_or_default());
        Self {
            tokens: text.split_inclusive(' ').map(str::to_owned).collect(),
            prompt_tokens: contents.iter().map(|text| text.split_whitespace().count()).sum(),
            model: body.get("model").cloned().unwrap_or_default(),
        }
    }
}

/// What is replied to a prompt: rewritten questions, then answers.
fn text(knobs: &Knobs, prompt: &str) -> String {
    if let Some((before, follow_up)) = prompt.rsplit_once("Follow-up: ") {
        let asked = before.lines().rev().find_map(|line| line.strip_prefix("Asked: ")).unwrap_or_default();
        return knobs.rewritten.clone().unwrap_or_else(|| format!("{follow_up} ({asked})"));
    }
    let question = prompt.rsplit_once("Question: ").map(|(_, question)| question.replace('\n', " "));
    match (&knobs.answer, question) {
        (Some(answer), _) => answer.clone(),
        (None, Some(question)) if knobs.echo => format!("You asked: {question} [1]"),
        _ => quotation(prompt),
    }
}

/// The first sentence behind the prompt's first marker, with the marker: what a faithful model would do.
fn quotation(prompt: &str) -> String {
    let mut lines = prompt.lines().skip_while(|line| marker(line).is_none());
    let Some(marked) = lines.next() else { return "I could not find an answer.".to_owned() };
    // A fence holds the marker and its nonce; the text begins on the lines below it.
    let beside = marked.split_once(']').map(|(_, text)| text.trim()).filter(|_| !marked.starts_with("<<<"));
    let below = lines
        .take_while(|line| !line.starts_with(">>>") && marker(line).is_none())
        .filter(|line| !line.starts_with(['#', '|', '`']) && line.split_whitespace().count() > 3);
    let text = beside.filter(|text| !text.is_empty()).into_iter().chain(below).next().unwrap_or_default();
    let sentence = text.find(". ").and_then(|end| text.get(..=end)).unwrap_or(text);
    format!("{sentence} [{}]", marker(marked).unwrap_or_default())
}

/// The number in the line's first `[n]`.
fn marker(line: &str) -> Option<u32> {
    line.split('[').skip(1).find_map(|rest| rest.split_once(']')?.0.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_default_answer_quotes_the_first_piece_of_evidence() {
        let prompt = "<<<source [3] nonce\nTitle\nKeys expire after ninety days. Then renew them.\n>>>nonce\n\nQuestion: when?";
        assert_eq!(quotation(prompt), "Keys expire after ninety days. [3]");
        assert_eq!(quotation("[1] Keys expire.\n\nQuestion: when do keys expire?"), "Keys expire. [1]");
        assert_eq!(quotation("Question: when?"), "I could not find an answer.");
    }
}
