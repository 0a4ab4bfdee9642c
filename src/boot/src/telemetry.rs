//! Sends the log to standard error, as text for people or as JSON for machines.
//! Never decides what is logged: that is where the thing happens.

use std::fmt;
use std::io::{IsTerminal, stderr};

use serde::Deserialize;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::util::SubscriberInitExt;

/// The `telemetry` section of the configuration.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TelemetrySection {
    /// What is logged, e.g. `info` or `warn,lectern_server=debug`.
    pub log: LogFilter,
    /// How it is written.
    pub format: LogFormat,
}

/// How a log line is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LogFormat {
    /// A line for people; with colours on a terminal.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// A list of levels by module, comma separated: known to be well formed.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct LogFilter(String);

impl LogFilter {
    /// Takes what `tracing` calls directives.
    pub fn parse(text: &str) -> Result<Self, BadFilter> {
        match EnvFilter::builder().parse(text) {
            Ok(_) if !text.trim().is_empty() => Ok(Self(text.to_owned())),
            _ => Err(BadFilter),
        }
    }

    fn compiled(&self) -> EnvFilter {
        EnvFilter::new(&self.0)
    }
}

impl Default for LogFilter {
    fn default() -> Self {
        Self("info".to_owned())
    }
}

impl TryFrom<String> for LogFilter {
    type Error = BadFilter;

    fn try_from(text: String) -> Result<Self, BadFilter> {
        Self::parse(&text)
    }
}

impl fmt::Display for LogFilter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The text is no log filter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a log filter: write a level (`error`, `warn`, `info`, `debug`, `trace`, `off`) or `MODULE=LEVEL`, with commas between"
)]
pub struct BadFilter;

/// The process has a log already.
#[derive(Debug, thiserror::Error)]
#[error("the log is set up already; do so once, in `main`")]
pub struct Installed;

/// Begins the log of this process. To be called once, before anything is logged.
pub fn install(section: &TelemetrySection) -> Result<(), Installed> {
    let log = tracing_subscriber::fmt().with_env_filter(section.log.compiled()).with_writer(stderr);
    match section.format {
        LogFormat::Text => log.with_ansi(stderr().is_terminal()).finish().try_init(),
        LogFormat::Json => log.json().flatten_event(true).with_span_list(false).finish().try_init(),
    }
    .map_err(|_| Installed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_filter_is_refused_where_it_is_written_not_where_it_is_used() {
        for text in ["", " ", "lectern=loud", "=", "a=b=c"] {
            assert_eq!(LogFilter::parse(text), Err(BadFilter), "{text:?}");
        }
        for text in ["info", "off", "warn,lectern_server=debug"] {
            assert_eq!(LogFilter::parse(text).unwrap().to_string(), text);
        }
    }
}
