//! What all endpoints do before they answer: count, record, wait, fail as they are told.
//! Never looks into what is asked.

use std::convert::Infallible;

use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, RETRY_AFTER};
use axum::http::{HeaderMap, Response, StatusCode};
use serde_json::{Value, json};

use super::counters::InFlight;
use super::{Failure, Knobs, Recorded, State};

/// A call that is to be answered properly.
#[derive(Debug)]
pub(super) struct Accepted {
    pub(super) knobs: Knobs,
    pub(super) guard: InFlight,
}

/// Lets a call in, or gives the answer that the knobs demand instead.
pub(super) async fn admit(
    state: &State,
    path: &'static str,
    headers: &HeaderMap,
    body: &Value,
) -> Result<Accepted, Response<Body>> {
    let counters = if path.contains("embed") { &state.embeddings } else { &state.chat };
    let (number, mut guard) = counters.begin();
    let authorization = headers.get(AUTHORIZATION).and_then(|value| value.to_str().ok()).map(str::to_owned);
    state.record(Recorded { path, authorization, headers: headers.clone(), body: body.clone() });
    let knobs = state.knobs();
    if knobs.silent {
        match std::future::pending::<Infallible>().await {}
    }
    tokio::time::sleep(knobs.delay_before_headers).await;
    if let Some(failure) = drawn(&knobs.failures, number) {
        guard.finish();
        return Err(failed(failure, path));
    }
    if let Some(raw) = &knobs.raw {
        guard.finish();
        return Err(answer(StatusCode::OK, raw.content_type, Body::from(raw.body.clone())));
    }
    Ok(Accepted { knobs, guard })
}

/// An answer with a body.
pub(super) fn answer(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, axum::http::HeaderValue::from_static(content_type));
    response
}

/// An answer in JSON.
pub(super) fn json_answer(body: &Value) -> Response<Body> {
    answer(StatusCode::OK, "application/json", Body::from(body.to_string()))
}

/// The failure that the call with this number meets: spread evenly, the same in every run.
fn drawn(failures: &[Failure], number: usize) -> Option<&Failure> {
    // Multiples of the golden ratio fill the interval from 0 to 1 more evenly than chance does.
    let number = u32::try_from(number).map_or(0.0, f64::from);
    let mut place = (number * 0.618_033_988_749_895).fract();
    failures.iter().find(|failure| {
        let hit = place < failure.share;
        place -= failure.share;
        hit
    })
}

pub(super) fn failed(failure: &Failure, path: &str) -> Response<Body> {
    let object = || {
        let error = json!({"message": "told to fail", "type": "mock_error", "code": null});
        if path.ends_with("messages") {
            json!({"type": "error", "error": error})
        } else {
            json!({"error": error})
        }
    };
    let body = failure.body.clone().unwrap_or_else(|| object().to_string());
    let status = StatusCode::from_u16(failure.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = answer(status, "application/json", Body::from(body));
    if let Some(value) = failure.retry_after.as_ref().and_then(|text| text.parse().ok()) {
        response.headers_mut().insert(RETRY_AFTER, value);
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn failures_meet_the_share_of_calls_that_they_are_given() {
        let failures = [Failure::share(429, 0.2), Failure::share(500, 0.1)];
        let drawn: Vec<u16> =
            (1..=1_000).filter_map(|n| drawn(&failures, n).map(|failure| failure.status)).collect();
        let count = |status| drawn.iter().filter(|drawn| **drawn == status).count();
        assert!((195..=205).contains(&count(429)), "{}", count(429));
        assert!((95..=105).contains(&count(500)), "{}", count(500));
    }
}
