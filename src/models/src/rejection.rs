//! Reads a provider's error answer and says which reaction it asks for.
//! Never lets an API key or more than a few lines of the provider's text through.

use std::time::{Duration, SystemTime};

use secrecy::{ExposeSecret, SecretString};
use serde_json::Value;

use crate::error::ModelError;

/// An answer with a status that is no success.
#[derive(Debug)]
pub(crate) struct Rejection<'a> {
    pub(crate) status: u16,
    pub(crate) retry_after: RetryAfter,
    pub(crate) body: &'a [u8],
    pub(crate) api_key: Option<&'a SecretString>,
}

/// The headers that name a wait.
#[derive(Debug, Default)]
pub(crate) struct RetryAfter {
    /// `retry-after-ms`.
    pub(crate) milliseconds: Option<String>,
    /// `Retry-After`: seconds or a date.
    pub(crate) standard: Option<String>,
}

impl RetryAfter {
    fn wait(&self, now: SystemTime) -> Option<Duration> {
        let exact = self.milliseconds.as_deref().and_then(|text| text.trim().parse::<f64>().ok());
        let exact = exact.and_then(|milliseconds| Duration::try_from_secs_f64(milliseconds / 1_000.0).ok());
        exact.or_else(|| self.standard.as_deref().and_then(|text| wait_of(text, now)))
    }
}

/// What a provider said, fit for a log.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Reason(String);

impl Rejection<'_> {
    /// The error that tells the caller how to react.
    pub(crate) fn into_error(self, model: &str, now: SystemTime) -> ModelError {
        let said = serde_json::from_slice::<Value>(self.body).ok();
        let fault = said.as_ref().and_then(fault_of);
        let words = fault.and_then(message_of).map(|text| format!(": {}", presentable(text, self.api_key)));
        let reason = Reason(format!("HTTP {}{}", self.status, words.unwrap_or_default()));
        let retry_after = self.retry_after.wait(now);
        match self.status {
            // Waiting does not fill an empty account.
            429 if fault.is_some_and(is_out_of_money) => ModelError::refused(model, reason),
            429 => ModelError::Limited { model: model.to_owned(), retry_after },
            // Overloaded, or down for a while, and it says for how long: that is a limit, too.
            503 | 529 if retry_after.is_some() => {
                ModelError::Limited { model: model.to_owned(), retry_after }
            }
            // Request timeout, conflict with a parallel request, too early: passing conditions by definition.
            408 | 409 | 425 | 500.. => ModelError::unavailable(model, reason),
            _ => ModelError::refused(model, reason),
        }
    }
}

/// The error for a fault object that a provider put into an answer it had already begun.
pub(crate) fn late_fault(fault: &Value, model: &str, api_key: Option<&SecretString>) -> ModelError {
    let text = message_of(fault).unwrap_or("an error without a message");
    let reason = Reason(presentable(text, api_key));
    match kind_of(fault) {
        Some("rate_limit_error" | "rate_limit_exceeded") => {
            ModelError::Limited { model: model.to_owned(), retry_after: None }
        }
        Some(
            "invalid_request_error"
            | "authentication_error"
            | "permission_error"
            | "not_found_error"
            | "request_too_large"
            | "billing_error",
        ) => ModelError::refused(model, reason),
        _ => ModelError::unavailable(model, reason),
    }
}

/// The part of an error body that describes the fault: OpenAI nests it, others do not.
fn fault_of(body: &Value) -> Option<&Value> {
    match body {
        Value::Object(fields) => Some(fields.get("error").filter(|inner| !inner.is_null()).unwrap_or(body)),
        _ => None,
    }
}

fn message_of(fault: &Value) -> Option<&str> {
    ["message", "detail", "error"].iter().find_map(|key| fault.get(key)?.as_str()).or(fault.as_str())
}

/// OpenAI names it in the code, Anthropic in the details of what looks like a rate limit.
fn is_out_of_money(fault: &Value) -> bool {
    let detail = fault.pointer("/details/error_code").and_then(Value::as_str);
    kind_of(fault) == Some("insufficient_quota") || detail == Some("enforced_spend_limit_reached")
}

fn kind_of(fault: &Value) -> Option<&str> {
    ["code", "type"].iter().find_map(|key| fault.get(key)?.as_str())
}

/// A wait in seconds or until a date, as HTTP allows both. Dates in the past mean now.
fn wait_of(text: &str, now: SystemTime) -> Option<Duration> {
    let text = text.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(text).ok()?;
    Some(date.duration_since(now).unwrap_or_default())
}

/// One line of bounded length without the key. Some providers repeat the whole request, key included.
fn presentable(text: &str, api_key: Option<&SecretString>) -> String {
    const MOST_CHARS: usize = 300;
    let text = match api_key.map(ExposeSecret::expose_secret).filter(|key| !key.is_empty()) {
        Some(key) => text.replace(key, "[redacted]"),
        None => text.to_owned(),
    };
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}...", line.get(..end).unwrap_or_default()),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::error::Error;

    fn error_for(status: u16, retry_after: Option<&str>, body: &str) -> ModelError {
        let key = SecretString::from("sk-planted");
        let retry_after = RetryAfter { milliseconds: None, standard: retry_after.map(str::to_owned) };
        Rejection { status, retry_after, body: body.as_bytes(), api_key: Some(&key) }
            .into_error("gpt", SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777))
    }

    fn reason(error: &ModelError) -> String {
        error.source().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn a_wrong_request_or_key_is_refused_with_the_providers_message() {
        for status in [400, 401, 403, 404, 422] {
            let error = error_for(status, None, r#"{"error":{"message":"no such model","type":"x"}}"#);
            assert!(matches!(error, ModelError::Refused { .. }), "{status}");
            assert_eq!(reason(&error), format!("HTTP {status}: no such model"));
        }
    }

    #[test]
    fn messages_are_found_in_every_common_shape() {
        for body in [r#"{"error":"boom"}"#, r#"{"message":"boom"}"#, r#"{"detail":"boom"}"#] {
            assert_eq!(reason(&error_for(500, None, body)), "HTTP 500: boom");
        }
        assert_eq!(reason(&error_for(502, None, "<html>Bad gateway</html>")), "HTTP 502");
    }

    #[test]
    fn a_rate_limit_carries_its_wait_in_seconds_or_as_a_date() {
        let wait = |header| match error_for(429, header, "") {
            ModelError::Limited { retry_after, .. } => retry_after,
            other => panic!("{other:?}"),
        };
        assert_eq!(wait(Some("7")), Some(Duration::from_secs(7)));
        assert_eq!(wait(Some("0.5")), Some(Duration::from_millis(500)));
        // The date is RFC 9110's own example, one minute after "now".
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:50:37 GMT")), Some(Duration::from_mins(1)));
        assert_eq!(wait(Some("Sun, 06 Nov 1994 08:00:00 GMT")), Some(Duration::ZERO));
        for nonsense in [None, Some("soon"), Some("-1"), Some("NaN"), Some("1e300")] {
            assert_eq!(wait(nonsense), None, "{nonsense:?}");
        }
    }

    #[test]
    fn the_exact_wait_is_preferred_where_it_can_be_read() {
        let wait = |exact: &str| {
            let headers = RetryAfter { milliseconds: Some(exact.to_owned()), standard: Some("7".to_owned()) };
            headers.wait(SystemTime::UNIX_EPOCH)
        };
        assert_eq!(wait("250"), Some(Duration::from_millis(250)));
        assert_eq!(wait("soon"), Some(Duration::from_secs(7)));
    }

    #[test]
    fn a_provider_that_is_down_for_a_named_time_is_limited() {
        for status in [503, 529] {
            let error = error_for(status, Some("3"), "");
            assert_eq!(error.retry_after(), Some(Duration::from_secs(3)), "{status}");
        }
    }

    #[test]
    fn an_empty_account_is_refused_although_it_says_429() {
        for body in [
            r#"{"error":{"message":"pay","code":"insufficient_quota"}}"#,
            r#"{"error":{"type":"rate_limit_error","details":{"error_code":"enforced_spend_limit_reached"}}}"#,
        ] {
            assert!(matches!(error_for(429, None, body), ModelError::Refused { .. }), "{body}");
        }
    }

    #[test]
    fn a_failing_provider_is_unavailable() {
        for status in [408, 409, 425, 500, 502, 503, 504, 529] {
            assert!(matches!(error_for(status, None, ""), ModelError::Unavailable { .. }), "{status}");
        }
    }

    #[test]
    fn the_providers_words_are_bounded_and_hold_no_key() {
        let long = format!(r#"{{"error":{{"message":"bad key sk-planted {}"}}}}"#, "x".repeat(5_000));
        let text = reason(&error_for(401, None, &long));
        assert!(text.starts_with("HTTP 401: bad key [redacted] xxx"), "{text}");
        assert!(text.chars().count() < 330);
    }
}
