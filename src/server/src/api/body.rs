//! JSON bodies, read within a bound and refused with the field that is wrong.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use actix_web::dev::Payload;
use actix_web::http::StatusCode;
use actix_web::{FromRequest, HttpRequest, web};
use serde::de::DeserializeOwned;
use serde_json::error::Category;

use crate::api::error::Problem;

/// A request body that is JSON of the right shape.
#[derive(Debug)]
pub struct Body<T>(pub T);

impl<T: DeserializeOwned + 'static> FromRequest for Body<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move { parse(&read(bytes).await?).map(Self) })
    }
}

/// Time for sending a body: a question takes one packet, the largest body allowed takes a slow line a few seconds.
const SENT_WITHIN: Duration = Duration::from_secs(15);

async fn read(
    body: impl Future<Output = Result<web::Bytes, actix_web::Error>>,
) -> Result<web::Bytes, Problem> {
    let sent = tokio::time::timeout(SENT_WITHIN, body).await.map_err(|_| {
        let detail = "the body did not arrive in time; send it at once";
        Problem::new(StatusCode::REQUEST_TIMEOUT, "body_too_slow", detail)
    })?;
    sent.map_err(|error| unreadable(&error))
}

/// A request body that may be left out; if it is there, it is JSON of the right shape.
#[derive(Debug)]
pub struct OptionalBody<T>(pub Option<T>);

impl<T: DeserializeOwned + 'static> FromRequest for OptionalBody<T> {
    type Error = Problem;
    type Future = Pin<Box<dyn Future<Output = Result<Self, Problem>>>>;

    fn from_request(request: &HttpRequest, payload: &mut Payload) -> Self::Future {
        let bytes = web::Bytes::from_request(request, payload);
        Box::pin(async move {
            let bytes = read(bytes).await?;
            let given = !bytes.trim_ascii().is_empty();
            given.then(|| parse(&bytes)).transpose().map(Self)
        })
    }
}

fn unreadable(error: &actix_web::Error) -> Problem {
    match error.as_response_error().status_code() {
        StatusCode::PAYLOAD_TOO_LARGE => Problem::new(
            StatusCode::PAYLOAD_TOO_LARGE,
            "body_too_large",
            "the body is larger than `http.max_body_bytes`",
        ),
        _ => {
            Problem::new(StatusCode::BAD_REQUEST, "unreadable_body", "the body could not be read to its end")
        }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Problem> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut json).map_err(|error| {
        let path = error.path().to_string();
        let inner = error.into_inner();
        match inner.classify() {
            // A dot is the path of the whole body.
            Category::Data if path == "." => {
                Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "invalid_value", located(&inner))
            }
            Category::Data => Problem::value(path, located(&inner)),
            Category::Syntax | Category::Eof | Category::Io => not_json(&inner),
        }
    })?;
    json.end().map_err(|error| not_json(&error))?;
    Ok(value)
}

fn not_json(error: &serde_json::Error) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "not_json", format!("the body is not JSON: {error}"))
}

/// The message without serde's position, which says little about a value.
fn located(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.rsplit_once(" at line ").map_or_else(|| text.clone(), |(message, _)| message.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Example {
        #[expect(dead_code, reason = "only its parsing is looked at")]
        limit: u16,
    }

    fn refusal(body: &str) -> serde_json::Value {
        serde_json::to_value(parse::<Example>(body.as_bytes()).unwrap_err().body("r")).unwrap()
    }

    #[test]
    fn broken_json_is_a_400() {
        for body in ["", "{", "{\"limit\": 1}}", "nonsense"] {
            assert_eq!(refusal(body)["code"], "not_json", "{body}");
        }
    }

    #[test]
    fn a_wrong_value_is_a_422_that_names_the_field() {
        let problem = refusal(r#"{"limit": -1}"#);
        assert_eq!((problem["status"].as_u64(), problem["field"].as_str()), (Some(422), Some("limit")));
    }

    #[test]
    fn an_unknown_field_is_named() {
        let problem = refusal(r#"{"limits": 1}"#);
        assert_eq!(problem["field"], "limits");
        assert_eq!(problem["detail"], "unknown field `limits`, expected `limit`");
    }
}
