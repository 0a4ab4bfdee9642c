//! Shows how far a build has come, on standard error: bars on a terminal, lines elsewhere.
//! Never changes what it shows.

use std::io::{IsTerminal, Write, stderr};
use std::sync::Arc;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::MissedTickBehavior;

use crate::pipeline::progress::{Progress, Standing};

/// How often bars move.
const FRAME: Duration = Duration::from_millis(125);
/// How often a line is written where there is no terminal: logs are read later.
const LINE: Duration = Duration::from_secs(5);

/// Does the work and shows its progress meanwhile.
pub(super) async fn shown<T>(progress: Arc<Progress>, work: impl Future<Output = T>) -> T {
    let mut display = Display::new();
    let mut ticks = tokio::time::interval(display.pace());
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tokio::pin!(work);
    loop {
        tokio::select! {
            done = &mut work => {
                display.end(progress.standing());
                return done;
            }
            _ = ticks.tick() => display.show(progress.standing()),
        }
    }
}

enum Display {
    Bars { all: MultiProgress, documents: ProgressBar, chunks: ProgressBar },
    Lines { last: Standing },
}

impl Display {
    fn new() -> Self {
        if !stderr().is_terminal() {
            return Self::Lines { last: Standing::default() };
        }
        let all = MultiProgress::with_draw_target(ProgressDrawTarget::stderr());
        let documents = all.add(bar("files read       "));
        let chunks = all.add(bar("chunks embedded  "));
        Self::Bars { all, documents, chunks }
    }

    fn pace(&self) -> Duration {
        match self {
            Self::Bars { .. } => FRAME,
            Self::Lines { .. } => LINE,
        }
    }

    fn show(&mut self, now: Standing) {
        match self {
            Self::Bars { documents, chunks, .. } => {
                documents.set_length(now.sources);
                documents.set_position(now.sources_read);
                chunks.set_length(now.chunks_cut);
                chunks.set_position(now.chunks_written);
                if now.sealing {
                    chunks.set_message("building the index");
                }
            }
            Self::Lines { last } if *last != now => {
                *last = now;
                // Progress that cannot be written is no reason to stop the work.
                let _ = writeln!(stderr(), "{}", line(now));
            }
            Self::Lines { .. } => {}
        }
    }

    fn end(&mut self, now: Standing) {
        self.show(now);
        if let Self::Bars { all, documents, chunks } = self {
            documents.finish();
            chunks.finish();
            // The bars have done their work whether or not they can be removed.
            let _ = all.clear();
        }
    }
}

fn bar(name: &'static str) -> ProgressBar {
    let template = "{prefix} {bar:30} {human_pos}/{human_len}  {per_sec}  {eta} left  {msg}";
    let style = ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar());
    ProgressBar::new(0).with_style(style).with_prefix(name)
}

fn line(now: Standing) -> String {
    let read = format!("{} of {} files read", now.sources_read, now.sources);
    let index = if now.sealing { ", building the index" } else { "" };
    if now.chunks_written == 0 {
        return format!("{read}, {} chunks{index}", now.chunks_cut);
    }
    format!("{read}, {} of {} chunks embedded and written{index}", now.chunks_written, now.chunks_cut)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_reads_alone() {
        let now = Standing { sources: 3, sources_read: 2, chunks_cut: 9, chunks_written: 4, sealing: true };
        assert_eq!(line(now), "2 of 3 files read, 4 of 9 chunks embedded and written, building the index");
    }
}
