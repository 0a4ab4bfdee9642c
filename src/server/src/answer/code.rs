//! Follows where a Markdown text is code, as it comes.
//! Never parses Markdown beyond backticks.

/// Whether the text so far ends within code.
#[derive(Debug, Default)]
pub(super) struct Code {
    /// Backticks that opened it; 0 outside of code.
    open: usize,
    /// Backticks just read.
    run: usize,
}

impl Code {
    /// Backticks that open a block; fewer open code within a line, which ends with the line at the latest.
    const BLOCK: usize = 3;

    /// Takes the next character.
    pub(super) fn push(&mut self, c: char) {
        if c == '`' {
            self.run += 1;
            return;
        }
        self.open = self.after_run();
        self.run = 0;
        if c == '\n' && self.open < Self::BLOCK {
            self.open = 0;
        }
    }

    /// Whether a character that comes now would be code.
    pub(super) fn is_open(&self) -> bool {
        self.after_run() > 0
    }

    fn after_run(&self) -> usize {
        match (self.open, self.run) {
            (open, 0) => open,
            (0, run) => run,
            (open, run) if run == open || (open >= Self::BLOCK && run > open) => 0,
            (open, _) => open,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn is_code_after(text: &str) -> bool {
        let mut code = Code::default();
        text.chars().for_each(|c| code.push(c));
        code.is_open()
    }

    #[test]
    fn code_is_open_between_its_backticks() {
        for text in ["`", "a `b", "``a ` b", "```rust\nlet a = 1;\n", "```\n`a` b"] {
            assert!(is_code_after(text), "{text:?}");
        }
        for text in ["", "a `b`", "``a``", "```\na\n```\nb", "an `open one ends with its line\n"] {
            assert!(!is_code_after(text), "{text:?}");
        }
    }
}
