//! Tokens that say when they were sent, on the clock that the test reads, too.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use axum::body::Bytes;

static BASE: LazyLock<Instant> = LazyLock::new(Instant::now);

/// What a stamped answer begins with: when its call came in and when this token was sent, since a moment in this process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stamp {
    /// When the call came in.
    pub called: Duration,
    /// When the token was sent.
    pub sent: Duration,
}

/// The time since the moment that stamps count from.
pub fn now() -> Duration {
    BASE.elapsed()
}

impl Stamp {
    /// A stamp of now, for a call that came in then.
    pub(super) fn of(called: Duration) -> Self {
        Self { called, sent: now() }
    }

    /// As a token.
    pub(super) fn token(self) -> String {
        format!("@{}@{}@ ", self.called.as_micros(), self.sent.as_micros())
    }

    /// Reads the stamp in a text, once it has come whole.
    pub fn find(text: &str) -> Option<Self> {
        let micros = |text: &str| text.parse().ok().map(Duration::from_micros);
        let parts: Vec<&str> = text.split('@').collect();
        // A third part shows that the second one is whole.
        let whole = |parts: &[&str]| Some(Self { called: micros(parts[0])?, sent: micros(parts[1])? });
        parts.windows(3).find_map(whole)
    }
}

/// A part that waits for its stamp.
#[derive(Debug)]
pub(super) struct Unstamped {
    /// The part, with [`Self::PLACE`] where the stamp goes.
    pub(super) part: String,
    /// When the call came in.
    pub(super) called: Duration,
}

impl Unstamped {
    /// Where the stamp goes.
    pub(super) const PLACE: &str = "STAMP";

    /// The part, stamped now.
    pub(super) fn stamped(self) -> Bytes {
        Bytes::from(self.part.replace(Self::PLACE, &Stamp::of(self.called).token()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_is_found_in_the_text_once_it_is_whole() {
        let stamp = Stamp { called: Duration::from_micros(17), sent: Duration::from_micros(4_200) };
        let text = format!("data: {{\"text\":\"{}\"}}", stamp.token());
        assert_eq!(Stamp::find(&text), Some(stamp));
        assert_eq!(Stamp::find(&format!("docs@20261121T101500Z {text}")), Some(stamp));
        assert_eq!(Stamp::find("data: @17@42"), None);
        assert_eq!(Stamp::find("no stamp"), None);
    }
}
