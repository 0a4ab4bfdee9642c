//! The `session` section of the configuration.
//! Never reads it from anywhere: `boot` does.

use std::num::NonZeroU32;
use std::time::Duration;

use serde::Deserialize;

use crate::config::milliseconds;

/// How long conversations are kept, and how much of them a question sees.
#[derive(Debug, Clone, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct SessionSection {
    /// How long a session is kept after its last question.
    #[serde(rename = "ttl_ms", deserialize_with = "milliseconds")]
    pub ttl: Duration,
    /// Turns of a session that are kept; older ones are deleted.
    pub max_turns: NonZeroU32,
    /// Tokens of earlier turns that a question sees; 0 shows none.
    pub history_tokens: u32,
    /// Whether the language model rewrites follow-ups to stand-alone questions.
    pub rewrite: bool,
    /// How long a question that is being answered holds back the next one of its session once its server has crashed.
    #[serde(rename = "lease_ms", deserialize_with = "milliseconds")]
    pub lease: Duration,
    /// How often expired sessions are deleted.
    #[serde(rename = "sweep_ms", deserialize_with = "milliseconds")]
    pub sweep: Duration,
}

impl Default for SessionSection {
    fn default() -> Self {
        Self {
            ttl: Duration::from_hours(30 * 24),
            max_turns: NonZeroU32::MIN.saturating_add(199),
            history_tokens: 1_500,
            rewrite: true,
            lease: Duration::from_secs(10),
            sweep: Duration::from_mins(1),
        }
    }
}
