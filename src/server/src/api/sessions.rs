//! `POST /v1/sessions`, `GET` and `DELETE /v1/sessions/{id}`, `GET /v1/sessions/{id}/turns`: conversations begun, looked
//! at, erased, exported.

use actix_web::http::StatusCode;
use actix_web::http::header::CACHE_CONTROL;
use actix_web::{HttpRequest, HttpResponse, web};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::api::body::OptionalBody;
use crate::api::error::Problem;
use crate::api::plan;
use crate::app::App;
use crate::caller::Caller;
use crate::sessions::error::SessionError;
use crate::sessions::id::SessionId;
use crate::sessions::store::Session;
use crate::sessions::turns::TurnRow;

/// Body of `POST /v1/sessions`: nothing, or an object without fields.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CreateRequest {}

#[derive(Debug, Serialize)]
struct SessionBody {
    session_id: SessionId,
    created_at: Timestamp,
    last_used_at: Timestamp,
    expires_at: Timestamp,
    turns: u64,
}

impl From<Session> for SessionBody {
    fn from(session: Session) -> Self {
        Self {
            session_id: session.id,
            created_at: session.created_at,
            last_used_at: session.used_at,
            expires_at: session.expires_at,
            turns: session.turns,
        }
    }
}

/// A page of turns, oldest first. `next` goes into `after` for the page behind it; without it, this is the last.
#[derive(Debug, Serialize)]
struct TurnsBody {
    turns: Vec<TurnBody>,
    #[serde(skip_serializing_if = "Option::is_none")]
    next: Option<u64>,
}

#[derive(Debug, Serialize)]
struct TurnBody {
    number: u64,
    state: String,
    question: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    standalone_question: Option<String>,
    answer: Option<String>,
    citations: Value,
    generation: Option<String>,
    model: Option<String>,
    degraded: Value,
    usage: UsageBody,
    request_id: String,
    began_at: Option<Timestamp>,
    ended_at: Option<Timestamp>,
}

#[derive(Debug, Serialize)]
struct UsageBody {
    prompt_tokens: i64,
    completion_tokens: i64,
}

impl From<TurnRow> for TurnBody {
    fn from(row: TurnRow) -> Self {
        let list = |json: Option<String>| {
            json.and_then(|json| serde_json::from_str(&json).ok()).unwrap_or_else(|| Value::Array(Vec::new()))
        };
        let time = |millis| Timestamp::from_millisecond(millis).ok();
        Self {
            number: u64::try_from(row.number).unwrap_or_default(),
            state: row.state,
            question: row.question,
            standalone_question: row.standalone,
            answer: row.answer,
            citations: list(row.citations),
            generation: row.generation,
            model: row.model,
            degraded: list(row.degraded),
            usage: UsageBody { prompt_tokens: row.prompt_tokens, completion_tokens: row.completion_tokens },
            request_id: row.request_id,
            began_at: time(row.began_at),
            ended_at: row.ended_at.and_then(time),
        }
    }
}

/// `POST /v1/sessions`
pub async fn create(
    app: web::Data<App>,
    caller: Caller,
    _: OptionalBody<CreateRequest>,
) -> Result<HttpResponse, Problem> {
    let session = app.sessions.create(caller.tenant(), plan::deadline(None, &app.config)?).await?;
    Ok(HttpResponse::Created()
        .insert_header(("Location", format!("/v1/sessions/{}", session.id)))
        .insert_header((CACHE_CONTROL, "no-store"))
        .json(SessionBody::from(session)))
}

/// `GET /v1/sessions/{id}`
pub async fn get(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    let deadline = plan::deadline(None, &app.config)?;
    let session = app.sessions.get(parse(&id)?, caller.tenant(), deadline).await?;
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(SessionBody::from(session)))
}

/// `DELETE /v1/sessions/{id}`
pub async fn erase(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
) -> Result<HttpResponse, Problem> {
    app.sessions.erase(parse(&id)?, caller.tenant(), plan::deadline(None, &app.config)?).await?;
    Ok(HttpResponse::new(StatusCode::NO_CONTENT))
}

/// `GET /v1/sessions/{id}/turns?after=&limit=`
pub async fn turns(
    app: web::Data<App>,
    caller: Caller,
    id: web::Path<String>,
    http: HttpRequest,
) -> Result<HttpResponse, Problem> {
    let page = Page::parse(http.query_string())?;
    let deadline = plan::deadline(None, &app.config)?;
    let page_and_one = (page.after, page.limit + 1);
    let mut rows = app.sessions.turns(parse(&id)?, caller.tenant(), page_and_one, deadline).await?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let is_last = rows.len() <= limit;
    rows.truncate(limit);
    let turns: Vec<TurnBody> = rows.into_iter().map(TurnBody::from).collect();
    let next = turns.last().map(|turn| turn.number).filter(|_| !is_last);
    Ok(HttpResponse::Ok().insert_header((CACHE_CONTROL, "no-store")).json(TurnsBody { turns, next }))
}

/// A text that cannot be a session's id names no session.
fn parse(id: &str) -> Result<SessionId, Problem> {
    SessionId::parse(id).map_err(|_| SessionError::Unknown.into())
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Page {
    after: u64,
    limit: u32,
}

impl Page {
    const MOST: u32 = 200;
    const USUAL: u32 = 50;

    fn parse(query: &str) -> Result<Self, Problem> {
        let mut page = Self { after: 0, limit: Self::USUAL };
        for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
            match name.as_ref() {
                "after" => {
                    page.after =
                        value.parse().map_err(|_| Problem::value("after", "must be a whole number"))?;
                }
                "limit" => {
                    let limit = value.parse().ok().filter(|limit| (1..=Self::MOST).contains(limit));
                    let bad = || Problem::value("limit", format!("must be from 1 to {}", Self::MOST));
                    page.limit = limit.ok_or_else(bad)?;
                }
                other => {
                    let detail = "unknown parameter, expected one of `after`, `limit`";
                    return Err(Problem::value(other.chars().take(64).collect::<String>(), detail));
                }
            }
        }
        Ok(page)
    }
}
