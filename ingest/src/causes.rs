//! An error with everything that caused it, for people and for logs.
//! Never repeats a cause that its effect has said already.

use std::error::Error;

/// The messages of an error and its causes, outermost first.
pub fn all(error: &dyn Error) -> Vec<String> {
    let mut messages: Vec<String> = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        let message = cause.to_string();
        if messages.last().is_none_or(|last| !last.contains(&message)) {
            messages.push(message);
        }
        next = cause.source();
    }
    messages
}

/// The messages in one line.
pub fn in_one_line(error: &dyn Error) -> String {
    all(error).join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{0}")]
    struct Layer(&'static str, #[source] Option<Box<Layer>>);

    #[test]
    fn every_cause_is_told_once() {
        let error = Layer("outer", Some(Box::new(Layer("middle", Some(Box::new(Layer("middle", None)))))));
        assert_eq!(in_one_line(&error), "outer: middle");
    }
}
