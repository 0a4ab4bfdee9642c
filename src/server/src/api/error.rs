//! Turns failures into responses: `application/problem+json` (RFC 9457) for the client, the whole cause chain for the log.
//! The client never sees a cause; a dependency's failure is never a 500.

use std::error::Error;
use std::fmt::Write as _;
use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, ResponseError};
use lectern_models::error::ModelError;
use lectern_search::error::SearchError;
use serde::Serialize;

use crate::answer::error::AnswerError;
use crate::flight::Delivered;
use crate::generations::NotServed;
use crate::sessions::error::SessionError;

/// A response that is not a success.
#[derive(Debug, Clone)]
pub struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    field: Option<Box<str>>,
    stage: Option<&'static str>,
    delivered: Option<Box<Delivered>>,
    retry_after: Option<Duration>,
    cause: Option<Box<str>>,
}

/// The body of a problem response.
#[derive(Debug, Serialize)]
pub struct ProblemBody<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'a str,
    status: u16,
    code: &'a str,
    detail: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    field: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stage: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    delivered: Option<&'a Delivered>,
    /// The same as the header `Retry-After`, which the last event of a stream cannot have.
    #[serde(skip_serializing_if = "Option::is_none")]
    retry_after_ms: Option<u64>,
    request_id: &'a str,
}

impl Problem {
    /// What a client is told to wait when a dependency is down and does not say for how long.
    const DEPENDENCY_RETRY: Duration = Duration::from_secs(2);

    /// A problem with a stable code and a sentence that is safe to show.
    pub fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            field: None,
            stage: None,
            delivered: None,
            retry_after: None,
            cause: None,
        }
    }

    /// A value that cannot be accepted, with the field that it stands in.
    pub fn value(field: impl Into<String>, detail: impl Into<String>) -> Self {
        let mut problem = Self::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", detail);
        problem.field = Some(field.into().into());
        problem
    }

    fn late(stage: &'static str, doing: &str) -> Self {
        let mut problem = Self::new(
            StatusCode::GATEWAY_TIMEOUT,
            "deadline_exceeded",
            format!("the deadline passed while {doing}; ask with a longer `deadline_ms` or try again"),
        );
        problem.stage = Some(stage);
        problem
    }

    fn unavailable(code: &'static str, detail: impl Into<String>, retry_after: Option<Duration>) -> Self {
        let mut problem = Self::new(StatusCode::SERVICE_UNAVAILABLE, code, detail);
        problem.retry_after = Some(retry_after.unwrap_or(Self::DEPENDENCY_RETRY));
        problem
    }

    /// The same, telling the client what it had been sent before the failure.
    #[must_use]
    pub fn after(mut self, delivered: Delivered) -> Self {
        self.delivered = Some(Box::new(delivered));
        self
    }

    /// The body for one request.
    pub fn body<'a>(&'a self, request_id: &'a str) -> ProblemBody<'a> {
        ProblemBody {
            kind: format!("urn:lectern:problem:{}", self.code),
            title: self.status.canonical_reason().unwrap_or("Error"),
            status: self.status.as_u16(),
            code: self.code,
            detail: &self.detail,
            field: self.field.as_deref(),
            stage: self.stage,
            delivered: self.delivered.as_deref(),
            retry_after_ms: self.retry_after_seconds().map(|seconds| seconds.saturating_mul(1_000)),
            request_id,
        }
    }

    /// The whole response for one request.
    pub fn respond(&self, request_id: &str) -> HttpResponse {
        let mut response = HttpResponse::build(self.status);
        if let Some(seconds) = self.retry_after_seconds() {
            response.insert_header((RETRY_AFTER, seconds.to_string()));
        }
        response.content_type("application/problem+json").json(self.body(request_id))
    }

    /// Whole seconds, as the header takes them, rounded up: who comes back earlier is refused again.
    fn retry_after_seconds(&self) -> Option<u64> {
        const ALMOST_A_SECOND: Duration = Duration::from_nanos(999_999_999);
        self.retry_after.map(|wait| wait.saturating_add(ALMOST_A_SECOND).as_secs().max(1))
    }

    /// Writes the cause to the log. Called once, where the problem becomes a response or the last event of a stream.
    pub fn log(&self, request_id: &str) {
        let (status, code, cause) = (self.status.as_u16(), self.code, self.cause.as_deref());
        if self.status == StatusCode::INTERNAL_SERVER_ERROR {
            tracing::error!(request_id, status, code, cause, "request failed");
        } else if self.status.is_server_error() {
            tracing::warn!(request_id, status, code, cause, "request failed");
        } else {
            tracing::debug!(request_id, status, code, "request refused");
        }
    }
}

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.detail)
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.status
    }

    /// Without a request id; the middleware that knows it responds again.
    fn error_response(&self) -> HttpResponse {
        self.respond("")
    }
}

impl From<&AnswerError> for Problem {
    fn from(error: &AnswerError) -> Self {
        let mut problem = match error {
            AnswerError::Overloaded { retry_after } => {
                Self::unavailable("overloaded", "too many requests are under way", Some(*retry_after))
            }
            AnswerError::ShareUsed { retry_after } => {
                let mut problem = Self::new(
                    StatusCode::TOO_MANY_REQUESTS,
                    "share_used",
                    "too many requests of this tenant are waiting",
                );
                problem.retry_after = Some(*retry_after);
                problem
            }
            AnswerError::Late { stage } => Self::late(stage.name(), stage.doing()),
            AnswerError::Abandoned => Self::new(
                client_closed_request(),
                "client_closed_request",
                "the client closed the connection",
            ),
            AnswerError::NotServed(not_served) => not_served.into(),
            AnswerError::Search(error) => error.into(),
            AnswerError::Embedder(error) => {
                Self::model("embedder_unavailable", "embedder_failed", "the embedding model", error)
            }
            AnswerError::Llm(error) => {
                Self::model("llm_unavailable", "llm_failed", "the language model", error)
            }
            AnswerError::Session(error) => error.into(),
            AnswerError::Broken => Self::new(
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "the work ended early; this is a bug",
            ),
        };
        problem.cause = Some(chain(error).into());
        problem
    }
}

impl From<AnswerError> for Problem {
    fn from(error: AnswerError) -> Self {
        Self::from(&error)
    }
}

impl From<&NotServed> for Problem {
    fn from(error: &NotServed) -> Self {
        match error {
            NotServed::Unknown(alias) => Self::new(
                StatusCode::NOT_FOUND,
                "unknown_alias",
                format!("alias `{alias}` does not exist; nothing was published under it yet"),
            ),
            NotServed::Refused(reason) => Self::unavailable("generation_refused", reason.clone(), None),
            NotServed::Unavailable { .. } => {
                Self::unavailable("store_unavailable", "the vector store is unavailable", None)
            }
        }
    }
}

impl From<&SessionError> for Problem {
    fn from(error: &SessionError) -> Self {
        let mut problem = match error {
            SessionError::Unknown => Self::new(
                StatusCode::NOT_FOUND,
                "unknown_session",
                "there is no such session; it may have expired or been erased; begin one with `POST /v1/sessions`",
            ),
            SessionError::Crowded => Self::new(
                StatusCode::CONFLICT,
                "session_busy",
                "too many questions of this session are waiting for their answers; ask again when one has come",
            ),
            SessionError::Late { stage } => Self::late("session", stage),
            SessionError::Closed | SessionError::Resting | SessionError::Unavailable(_) => {
                Self::unavailable("sql_unavailable", "the session database is unavailable", None)
            }
            SessionError::Lost | SessionError::Damaged(_) => {
                Self::unavailable("sql_failed", "the session database did not answer as it should", None)
            }
        };
        problem.cause = Some(chain(error).into());
        problem
    }
}

impl From<SessionError> for Problem {
    fn from(error: SessionError) -> Self {
        Self::from(&error)
    }
}

impl From<&SearchError> for Problem {
    fn from(error: &SearchError) -> Self {
        match error {
            SearchError::Refused(_) | SearchError::Garbled(_) => {
                Self::unavailable("store_failed", "the vector store did not answer as it should", None)
            }
            SearchError::Gone(_) => Self::unavailable(
                "generation_gone",
                "the generation was deleted while it was being searched; try again",
                None,
            ),
            SearchError::Resting { retry_after } => {
                Self::unavailable("store_unavailable", "the vector store is unavailable", Some(*retry_after))
            }
            SearchError::Late | SearchError::Unavailable(_) | SearchError::UnknownAlias(_) => {
                Self::unavailable("store_unavailable", "the vector store is unavailable", None)
            }
        }
    }
}

impl Problem {
    fn model(unavailable: &'static str, failed: &'static str, who: &str, error: &ModelError) -> Self {
        match error {
            ModelError::Limited { retry_after, .. } => {
                Self::unavailable(unavailable, format!("{who} is rate-limited"), *retry_after)
            }
            ModelError::Unavailable { .. }
            | ModelError::Late { .. }
            | ModelError::Open { .. }
            | ModelError::Busy { .. }
            | ModelError::Stalled { .. } => {
                Self::unavailable(unavailable, format!("{who} is unavailable"), error.retry_after())
            }
            ModelError::Refused { .. } => Self::unavailable(
                failed,
                format!("{who} refused the request; its operator can see why"),
                None,
            ),
            ModelError::Garbled { .. } => {
                Self::unavailable(failed, format!("{who} answered with something that cannot be read"), None)
            }
        }
    }
}

/// 499, as nginx writes it to its log: no registered status says that nobody was there to take the response.
fn client_closed_request() -> StatusCode {
    StatusCode::from_u16(499).unwrap_or(StatusCode::REQUEST_TIMEOUT)
}

/// An error with all its causes, for the log.
pub fn chain(error: &(dyn Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        // A string takes every write.
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dependency_s_failure_is_never_a_500_and_says_when_to_come_back() {
        let unavailable = || ModelError::Unavailable { model: "m".into(), source: "refused".into() };
        let garbled = || ModelError::Garbled { model: "m".into(), source: "html".into() };
        let errors = [
            AnswerError::Search(SearchError::Unavailable("down".into())),
            AnswerError::Search(SearchError::Refused("bad".into())),
            AnswerError::Search(SearchError::Garbled("odd".into())),
            AnswerError::Embedder(unavailable()),
            AnswerError::Embedder(garbled()),
            AnswerError::Llm(unavailable()),
            AnswerError::Llm(garbled()),
            AnswerError::Llm(ModelError::Limited { model: "m".into(), retry_after: None }),
        ];
        for error in errors {
            let problem = Problem::from(&error);
            assert_eq!(problem.status, StatusCode::SERVICE_UNAVAILABLE, "{error}");
            assert!(problem.respond("r").headers().contains_key(RETRY_AFTER), "{error}");
        }
    }

    #[test]
    fn the_client_does_not_see_the_cause_but_the_log_does() {
        let secret = AnswerError::Search(SearchError::Unavailable("10.0.0.7 refused".into()));
        let problem = Problem::from(&secret);
        assert!(!serde_json::to_string(&problem.body("r")).unwrap().contains("10.0.0.7"));
        assert_eq!(
            problem.cause.as_deref(),
            Some("the search failed: the vector store is unavailable: 10.0.0.7 refused")
        );
    }

    #[test]
    fn a_late_answer_names_the_stage() {
        let problem = Problem::from(&AnswerError::Late { stage: crate::timings::Stage::Search });
        assert_eq!((problem.status.as_u16(), problem.code), (504, "deadline_exceeded"));
        assert!(problem.detail.contains("while searching"));
        assert_eq!(serde_json::to_value(problem.body("r")).unwrap()["stage"], "search");
    }
}
