//! Which texts are being embedded now, so that two batches that are under way never send the same one.
//! Never holds a vector: whoever waits finds it in the cache.

use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use lectern_schema::identifiers::ContentHash;
use tokio::sync::Notify;

/// The texts that somebody has undertaken to embed.
#[derive(Debug, Clone, Default)]
pub(super) struct Claims {
    claimed: Arc<Mutex<HashSet<ContentHash>>>,
    released: Arc<Notify>,
}

impl Claims {
    /// Claims a text; `false` when somebody else embeds it.
    pub(super) fn claim(&self, text: &ContentHash) -> bool {
        self.claimed().insert(text.clone())
    }

    /// Gives up texts whose vectors are in the cache now.
    pub(super) fn release<'a>(&self, texts: impl Iterator<Item = &'a ContentHash>) {
        let mut claimed = self.claimed();
        for text in texts {
            claimed.remove(text);
        }
        drop(claimed);
        self.released.notify_waiters();
    }

    /// Waits until nobody has any of these texts claimed.
    pub(super) async fn ended(&self, texts: &[ContentHash]) {
        loop {
            // Before looking: what is released in between must not be missed.
            let released = self.released.notified();
            if !texts.iter().any(|text| self.claimed().contains(text)) {
                return;
            }
            released.await;
        }
    }

    fn claimed(&self) -> MutexGuard<'_, HashSet<ContentHash>> {
        self.claimed.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    #[test]
    fn a_text_is_claimed_once_until_it_is_released_and_who_needs_it_waits() {
        let (claims, text) = (Claims::default(), ContentHash::of(&["a"]));
        let other = claims.clone();
        assert!(claims.claim(&text) && !other.claim(&text));
        let texts = [text.clone()];
        let mut waiting = Box::pin(other.ended(&texts));
        assert_eq!(waiting.as_mut().now_or_never(), None);
        claims.release(texts.iter());
        assert_eq!(waiting.now_or_never(), Some(()));
        assert!(other.claim(&text));
    }
}
