//! `POST /v1/ask`: a cited answer, whole or as a stream of server-sent events.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, Instant};

use actix_web::http::header::ACCEPT;
use actix_web::{HttpRequest, HttpResponse, web};
use lectern_models::llm::{Delivery, Usage};
use lectern_schema::identifiers::GenerationId;
use lectern_search::query::Mode;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::answer::citation::Citation;
use crate::answer::error::AnswerError;
use crate::answer::event::Answer;
use crate::api::body::Body;
use crate::api::error::Problem;
use crate::api::observe::RequestId;
use crate::api::plan::{self, Raw};
use crate::api::sse;
use crate::app::App;
use crate::ask::{Ask, Asking, ask};
use crate::cache::CachePolicy;
use crate::cache::semantic::Resembled;
use crate::caller::Caller;
use crate::connection::Connection;
use crate::origin::CacheOutcome;
use crate::sessions::id::SessionId;
use crate::timings::{Timings, milliseconds};

/// Body of `POST /v1/ask`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AskRequest {
    question: String,
    #[serde(default)]
    session_id: Option<String>,
    #[serde(default)]
    stream: bool,
    #[serde(default = "default_limit")]
    limit: u64,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    filter: Option<Value>,
    #[serde(default)]
    alias: Option<String>,
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default)]
    cache: CachePolicy,
}

/// Chunks to make an answer of: enough for a question that spans documents, few enough for a small model.
fn default_limit() -> u64 {
    8
}

/// The whole answer, as response and as the `done` event.
#[derive(Debug, Serialize)]
pub struct AnswerBody<'a> {
    answer: &'a str,
    citations: &'a [Citation],
    generation: &'a GenerationId,
    model: &'a str,
    cache: CacheOutcome,
    #[serde(skip_serializing_if = "Option::is_none")]
    age_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    semantic: Option<&'a Resembled>,
    degraded: &'a [&'static str],
    flags: BTreeSet<&'a str>,
    usage: UsageBody,
    timings_ms: Timings,
    #[serde(skip_serializing_if = "Option::is_none")]
    session_id: Option<SessionId>,
    request_id: &'a str,
}

#[derive(Debug, Serialize)]
struct UsageBody {
    prompt_tokens: u64,
    completion_tokens: u64,
}

/// What one response knows about itself beside the answer.
#[derive(Debug, Clone)]
pub struct Context {
    /// Where the answer comes from.
    pub outcome: CacheOutcome,
    /// How old a kept answer is.
    pub age: Option<Duration>,
    /// The earlier question whose answer it is.
    pub resembled: Option<Resembled>,
    /// The session that was asked in.
    pub session_id: Option<SessionId>,
    /// Id of this request.
    pub request_id: RequestId,
    /// When this request came in.
    pub began: Instant,
}

impl<'a> AnswerBody<'a> {
    /// The answer for one request. What a kept answer once cost is not this request's: it has no usage and no stages.
    pub fn of(answer: &'a Answer, context: &'a Context) -> Self {
        let fresh = !context.outcome.is_kept();
        let usage = if fresh { answer.usage } else { Usage::default() };
        let stages = if fresh { answer.timings.clone() } else { Timings::default() };
        Self {
            answer: &answer.text,
            citations: &answer.citations,
            generation: &answer.generation,
            model: &answer.model,
            cache: context.outcome,
            age_ms: context.age.map(milliseconds),
            semantic: context.resembled.as_ref(),
            degraded: &answer.degraded,
            flags: answer.flags(),
            usage: UsageBody {
                prompt_tokens: usage.prompt_tokens,
                completion_tokens: usage.completion_tokens,
            },
            timings_ms: stages.with_total(context.began.elapsed()),
            session_id: context.session_id,
            request_id: context.request_id.as_str(),
        }
    }
}

/// `POST /v1/ask`
pub async fn post(
    app: web::Data<App>,
    caller: Caller,
    request_id: RequestId,
    http: HttpRequest,
    body: Body<AskRequest>,
) -> Result<HttpResponse, Problem> {
    let began = Instant::now();
    let parsed = parse(&body.0, caller, &request_id, &http)?;
    let delivery = parsed.delivery;
    let session_id = parsed.session;
    let asking = ask(&app.into_inner(), parsed).await?;
    let resembled = asking.resembled.clone();
    let context =
        Context { outcome: asking.outcome, age: asking.age, resembled, session_id, request_id, began };
    match delivery {
        Delivery::Streamed => Ok(sse::respond(asking, context, &http)),
        Delivery::Whole => whole(asking, &context, &http).await,
    }
}

fn parse(request: &AskRequest, caller: Caller, id: &RequestId, http: &HttpRequest) -> Result<Ask, Problem> {
    let raw = Raw {
        text_field: "question",
        text: &request.question,
        mode: request.mode,
        limit: request.limit,
        filter: request.filter.as_ref(),
        cache: request.cache,
    };
    let app = http.app_data::<web::Data<App>>();
    let config = &app.ok_or_else(|| Problem::from(AnswerError::Broken))?.config;
    Ok(Ask {
        alias: plan::alias(request.alias.as_deref(), config)?,
        retrieval: plan::retrieval(&raw, &caller)?,
        session: plan::session(request.session_id.as_deref())?,
        history: Arc::default(),
        deadline: plan::deadline(request.deadline_ms, config)?,
        delivery: delivery(request, http),
        caller,
        request_id: id.as_str().to_owned(),
    })
}

fn delivery(request: &AskRequest, http: &HttpRequest) -> Delivery {
    let accept = http.headers().get(ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let wants_events = accept.split(',').any(|kind| kind.trim().starts_with("text/event-stream"));
    if request.stream || wants_events { Delivery::Streamed } else { Delivery::Whole }
}

/// The answer in one piece. The work is given up when the client leaves, as it is when a stream's body is dropped.
async fn whole(asking: Asking, context: &Context, http: &HttpRequest) -> Result<HttpResponse, Problem> {
    let finished = Connection::while_open(http, asking.finish()).await.ok_or(AnswerError::Abandoned)?;
    let answer = finished.map_err(|error| Problem::from(error.as_ref()))?;
    let mut response = HttpResponse::Ok().json(AnswerBody::of(&answer, context));
    if context.outcome == CacheOutcome::Miss {
        response.extensions_mut().insert(answer.timings.clone());
    }
    Ok(response)
}
