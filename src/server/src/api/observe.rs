//! What every request gets: an id, a log line, its share in the metrics, and an error body that carries the id.
//! Never looks into a body.

use std::future::{Ready, ready};
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{Payload, ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use actix_web::{Error, FromRequest, HttpMessage, HttpRequest, web};
use uuid::Uuid;

use crate::api::error::Problem;
use crate::app::App;
use crate::timings::{Stage, Timings, milliseconds};

/// The id of a request: the client's own, or a new one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(String);

impl RequestId {
    const HEADER: HeaderName = HeaderName::from_static("x-request-id");
    /// Longest id that is taken over from a client.
    const MAX_BYTES: usize = 128;

    fn of(headers: &HeaderMap) -> Self {
        let plain = |text: &&str| {
            let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.' | b':');
            (1..=Self::MAX_BYTES).contains(&text.len()) && text.bytes().all(allowed)
        };
        let given = headers.get(Self::HEADER).and_then(|value| value.to_str().ok()).filter(plain);
        Self(given.map_or_else(|| Self::fresh().simple().to_string(), str::to_owned))
    }

    /// Version 7, in the order of time. It has to differ and is no secret: the system is not asked for random bytes.
    fn fresh() -> Uuid {
        let since_1970 = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut random = [0; 10];
        fastrand::fill(&mut random);
        let milliseconds = u64::try_from(since_1970.as_millis()).unwrap_or_default();
        uuid::Builder::from_unix_timestamp_millis(milliseconds, &random).into_uuid()
    }

    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromRequest for RequestId {
    type Error = Error;
    type Future = Ready<Result<Self, Error>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let id = request.extensions().get::<Self>().cloned();
        ready(Ok(id.unwrap_or_else(|| Self::of(request.headers()))))
    }
}

/// Middleware around every route.
pub async fn observe(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let began = Instant::now();
    let id = RequestId::of(request.headers());
    request.extensions_mut().insert(id.clone());
    let app = request.app_data::<web::Data<App>>().cloned();
    let _in_flight = app.as_ref().map(|app| app.metrics.request_began());
    let mut response = with_problem_body(next.call(request).await?.map_into_boxed_body(), &id);
    if let Ok(value) = HeaderValue::from_str(id.as_str()) {
        response.headers_mut().insert(RequestId::HEADER, value);
    }
    let took = began.elapsed();
    let route = response.request().match_pattern().unwrap_or_else(|| "unmatched".to_owned());
    let status = response.status().as_u16();
    if let Some(app) = app {
        app.metrics.request_ended(&route, status, took);
    }
    let timings = response.response().extensions().get::<Timings>().cloned().unwrap_or_default();
    tracing::info!(
        request_id = id.as_str(),
        %route,
        status,
        elapsed_ms = milliseconds(took),
        queue_ms = timings.stage_ms(Stage::Queue),
        rewrite_ms = timings.stage_ms(Stage::Rewrite),
        embed_ms = timings.stage_ms(Stage::Embed),
        search_ms = timings.stage_ms(Stage::Search),
        prompt_ms = timings.stage_ms(Stage::Prompt),
        llm_ms = timings.stage_ms(Stage::Llm),
        "request handled"
    );
    Ok(response)
}

/// Gives an error response its body with the request's id, and writes its cause to the log.
fn with_problem_body(response: ServiceResponse, id: &RequestId) -> ServiceResponse {
    let Some(problem) = response.response().error().and_then(|error| error.as_error::<Problem>()).cloned()
    else {
        return response;
    };
    problem.log(id.as_str());
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, problem.respond(id.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn id_for(given: &'static str) -> String {
        let mut headers = HeaderMap::new();
        headers.insert(RequestId::HEADER, HeaderValue::from_static(given));
        RequestId::of(&headers).0
    }

    #[test]
    fn a_client_s_id_is_taken_over_when_it_is_harmless() {
        assert_eq!(id_for("abc-1.2:3_4"), "abc-1.2:3_4");
        for bad in ["", "two words", "a\"b", "<script>"] {
            assert_ne!(id_for(bad), bad);
            assert_eq!(id_for(bad).len(), 32);
        }
    }
}
