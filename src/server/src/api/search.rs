//! `POST /v1/search` and `GET /v1/search`: hits of one generation, without an answer.

use std::time::Instant;

use actix_web::http::header::{CACHE_CONTROL, ETAG, IF_NONE_MATCH};
use actix_web::{HttpRequest, HttpResponse, web};
use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::{AliasName, ChunkId, ContentHash, DocumentId, GenerationId};
use lectern_search::error::SearchError;
use lectern_search::query::{Hit, Mode, ScoreKind};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::answer::error::AnswerError;
use crate::api::body::Body;
use crate::api::error::Problem;
use crate::api::plan::{self, Raw};
use crate::app::App;
use crate::caller::Caller;
use crate::generations::Served;
use crate::retrieve::{Retrieval, Retrieved};
use crate::timings::{Stage, Stopwatch, Timings};

/// Body of `POST /v1/search`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SearchRequest {
    query: String,
    #[serde(default = "default_limit")]
    limit: u64,
    #[serde(default)]
    mode: Mode,
    #[serde(default)]
    filter: Option<Value>,
    #[serde(default)]
    alias: Option<String>,
}

fn default_limit() -> u64 {
    10
}

/// Response of both.
#[derive(Debug, Serialize)]
struct SearchResponse {
    hits: Vec<HitBody>,
    generation: GenerationId,
    degraded: Vec<&'static str>,
    timings_ms: Timings,
}

#[derive(Debug, Serialize)]
struct HitBody {
    chunk_id: ChunkId,
    document_id: DocumentId,
    uri: String,
    title: String,
    heading_path: Vec<String>,
    text: String,
    score: f32,
    score_kind: ScoreKind,
    metadata: Map<String, Value>,
}

impl From<Hit> for HitBody {
    fn from(hit: Hit) -> Self {
        let Hit { chunk_id, score, score_kind, payload } = hit;
        Self {
            chunk_id,
            document_id: payload.document_id,
            uri: payload.uri,
            title: payload.title,
            heading_path: payload.heading_path,
            text: payload.text,
            score,
            score_kind,
            metadata: payload.metadata,
        }
    }
}

/// A search whose every part was checked.
struct Search {
    caller: Caller,
    alias: AliasName,
    retrieval: Retrieval,
    deadline: Deadline,
    began: Instant,
}

impl Search {
    fn parse(
        request: &SearchRequest,
        text_field: &'static str,
        caller: Caller,
        app: &App,
    ) -> Result<Self, Problem> {
        let raw = Raw {
            text_field,
            text: &request.query,
            mode: request.mode,
            limit: request.limit,
            filter: request.filter.as_ref(),
        };
        Ok(Self {
            caller,
            alias: plan::alias(request.alias.as_deref(), &app.config)?,
            retrieval: plan::retrieval(&raw)?,
            deadline: plan::deadline(None, &app.config)?,
            began: Instant::now(),
        })
    }

    /// A weak tag: equal for the same question of the same tenant to the same generation.
    fn etag(&self, generation: &GenerationId) -> String {
        let Retrieval { question, mode, limit, filter: _ } = &self.retrieval;
        let search = format!("{mode:?} {}", limit.get());
        let parts = [self.caller.tenant().as_str(), generation.as_str(), &search, question.as_str()];
        format!("W/\"{}\"", ContentHash::of(&parts))
    }
}

/// `POST /v1/search`
pub async fn post(
    app: web::Data<App>,
    caller: Caller,
    body: Body<SearchRequest>,
) -> Result<HttpResponse, Problem> {
    let search = Search::parse(&body.0, "query", caller, &app)?;
    let served = app.generations.served(&search.alias, search.deadline).await.map_err(AnswerError::from)?;
    let (generation, found, timings) = run(&app, &search, served).await?;
    Ok(respond(generation, found, timings))
}

/// `GET /v1/search`: cacheable by its `ETag`, which costs no search to compare.
pub async fn get(app: web::Data<App>, caller: Caller, http: HttpRequest) -> Result<HttpResponse, Problem> {
    let search = Search::parse(&read_query(http.query_string())?, "q", caller, &app)?;
    let served = app.generations.served(&search.alias, search.deadline).await.map_err(AnswerError::from)?;
    let tag = search.etag(&served.manifest().generation);
    let known = http.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if known.split(',').any(|known| known.trim() == tag || known.trim() == "*") {
        return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
    }
    let (generation, found, timings) = run(&app, &search, served).await?;
    let whole = found.degraded.is_empty().then(|| search.etag(&generation));
    let mut response = respond(generation, found, timings);
    if let Some(Ok(tag)) = whole.map(actix_web::http::header::HeaderValue::try_from) {
        response.headers_mut().insert(ETAG, tag);
    }
    Ok(response)
}

/// Reads `q`, `limit` and `mode`; anything else is refused by name.
fn read_query(query: &str) -> Result<SearchRequest, Problem> {
    let mut request = SearchRequest {
        query: String::new(),
        limit: default_limit(),
        mode: Mode::default(),
        filter: None,
        alias: None,
    };
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        match name.as_ref() {
            "q" => request.query = value.into_owned(),
            "limit" => {
                let number = value.parse().map_err(|_| Problem::value("limit", "must be a whole number"))?;
                request.limit = number;
            }
            "mode" => {
                request.mode = serde_json::from_value(Value::from(value.into_owned()))
                    .map_err(|_| Problem::value("mode", "must be `hybrid`, `dense` or `sparse`"))?;
            }
            "alias" => request.alias = Some(value.into_owned()),
            other => {
                let detail = "unknown parameter, expected one of `q`, `limit`, `mode`, `alias`";
                return Err(Problem::value(other.chars().take(64).collect::<String>(), detail));
            }
        }
    }
    Ok(request)
}

/// Searches the pinned generation, or once more the current one when the pinned one was deleted meanwhile.
async fn run(
    app: &App,
    search: &Search,
    served: Served,
) -> Result<(GenerationId, Retrieved, Timings), AnswerError> {
    let mut watch = Stopwatch::start();
    let admitted = app.answerer.admission.admit(search.deadline).await?;
    watch.lap(Stage::Queue);
    let retriever = &app.answerer.retriever;
    let mut pinned = served;
    let mut found =
        retriever.retrieve(&admitted, &pinned, &search.retrieval, search.deadline, &mut watch).await;
    if matches!(found, Err(AnswerError::Search(SearchError::Gone(_)))) {
        pinned = app.generations.refresh(&search.alias, search.deadline).await?;
        found = retriever.retrieve(&admitted, &pinned, &search.retrieval, search.deadline, &mut watch).await;
    }
    let timings = watch.into_timings();
    app.metrics.stages(&timings);
    Ok((pinned.manifest().generation.clone(), found?, timings.with_total(search.began.elapsed())))
}

fn respond(generation: GenerationId, found: Retrieved, timings: Timings) -> HttpResponse {
    let hits = found.hits.into_iter().map(HitBody::from).collect();
    let logged = timings.clone();
    let body = SearchResponse { hits, generation, degraded: found.degraded, timings_ms: timings };
    let mut response = HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, no-cache")).json(body);
    response.extensions_mut().insert(logged);
    response
}
