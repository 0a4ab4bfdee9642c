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

use crate::admission::Work;
use crate::answer::error::AnswerError;
use crate::api::body::Body;
use crate::api::error::Problem;
use crate::api::plan::{self, Raw};
use crate::app::App;
use crate::budget::Budget;
use crate::cache::CachePolicy;
use crate::caller::Caller;
use crate::canary::Ending;
use crate::canary::lot::Lot;
use crate::connection::Connection;
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
    #[serde(default)]
    deadline_ms: Option<u64>,
    #[serde(default)]
    cache: CachePolicy,
}

fn default_limit() -> u64 {
    10
}

/// Response of both.
#[derive(Debug, Serialize)]
struct SearchResponse<'a> {
    hits: Vec<HitBody<'a>>,
    generation: GenerationId,
    degraded: Vec<&'static str>,
    timings_ms: Timings,
}

#[derive(Debug, Serialize)]
struct HitBody<'a> {
    chunk_id: ChunkId,
    document_id: &'a DocumentId,
    uri: &'a str,
    title: &'a str,
    heading_path: &'a [String],
    text: &'a str,
    score: f32,
    score_kind: ScoreKind,
    metadata: &'a Map<String, Value>,
}

impl<'a> From<&'a Hit> for HitBody<'a> {
    fn from(hit: &'a Hit) -> Self {
        let payload = &hit.payload;
        Self {
            chunk_id: hit.chunk_id,
            document_id: &payload.document_id,
            uri: &payload.uri,
            title: &payload.title,
            heading_path: &payload.heading_path,
            text: &payload.text,
            score: hit.score,
            score_kind: hit.score_kind,
            metadata: &payload.metadata,
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
            cache: request.cache,
        };
        Ok(Self {
            alias: plan::alias(request.alias.as_deref(), &app.config)?,
            retrieval: plan::retrieval(&raw, &caller)?,
            deadline: plan::deadline(request.deadline_ms, &app.config)?,
            caller,
            began: Instant::now(),
        })
    }

    /// The generation that serves this search to its end.
    async fn served(&self, app: &App) -> Result<Served, AnswerError> {
        let lot = Lot::Question(self.caller.tenant(), &self.retrieval.question);
        Ok(app.generations.served(&self.alias, &lot, self.deadline).await?)
    }

    /// A weak tag: equal for the same question of the same tenant to the same generation.
    fn etag(&self, generation: &GenerationId) -> String {
        let Retrieval { question, mode, limit, .. } = &self.retrieval;
        let search = format!("{} {}", mode.name(), limit.get());
        let parts = [self.caller.tenant().as_str(), generation.as_str(), &search, question.as_str()];
        format!("W/\"{}\"", ContentHash::of(&parts))
    }
}

/// `POST /v1/search`
pub async fn post(
    app: web::Data<App>,
    caller: Caller,
    http: HttpRequest,
    body: Body<SearchRequest>,
) -> Result<HttpResponse, Problem> {
    let search = Search::parse(&body.0, "query", caller, &app)?;
    let served = search.served(&app).await?;
    let (generation, found, timings) = run(&app, &search, served, &http).await?;
    Ok(respond(generation, found, timings))
}

/// `GET /v1/search`: cacheable by its `ETag`, which costs no search to compare.
pub async fn get(app: web::Data<App>, caller: Caller, http: HttpRequest) -> Result<HttpResponse, Problem> {
    let search = Search::parse(&read_query(http.query_string())?, "q", caller, &app)?;
    let served = search.served(&app).await?;
    let tag = search.etag(&served.manifest().generation);
    let known = http.headers().get(IF_NONE_MATCH).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if known.split(',').any(|known| known.trim() == tag || known.trim() == "*") {
        served.ended(Ending::Found);
        return Ok(HttpResponse::NotModified().insert_header((ETAG, tag)).finish());
    }
    let (generation, found, timings) = run(&app, &search, served, &http).await?;
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
        deadline_ms: None,
        cache: CachePolicy::default(),
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

/// Searches for as long as the client is there.
async fn run(
    app: &App,
    search: &Search,
    served: Served,
    http: &HttpRequest,
) -> Result<(GenerationId, Retrieved, Timings), AnswerError> {
    if let Some(known) = app.answerer.retriever.known(&served, &search.retrieval) {
        served.ended(Ending::of(known.hits.len()));
        let timings = Timings::default().with_total(search.began.elapsed());
        return Ok((served.manifest().generation.clone(), known, timings));
    }
    let work = search_once_more_when_gone(app, search, served);
    Connection::while_open(http, work).await.unwrap_or(Err(AnswerError::Abandoned))
}

/// Searches the pinned generation, or once more the current one when the pinned one was deleted meanwhile.
async fn search_once_more_when_gone(
    app: &App,
    search: &Search,
    served: Served,
) -> Result<(GenerationId, Retrieved, Timings), AnswerError> {
    let mut watch = Stopwatch::start();
    let budget = Budget::for_search(search.deadline, Instant::now());
    let (tenant, until) = (search.caller.tenant(), budget.until(Stage::Queue));
    let admitted = app.answerer.admission.admit(Work::Search, tenant, until).await?;
    watch.lap(Stage::Queue);
    let retriever = &app.answerer.retriever;
    let mut pinned = served;
    let mut found = retriever.retrieve(&admitted, &pinned, &search.retrieval, &budget, &mut watch).await;
    if matches!(found, Err(AnswerError::Search(SearchError::Gone(_)))) {
        pinned = app.generations.refresh(&search.alias, search.deadline).await?;
        found = retriever.retrieve(&admitted, &pinned, &search.retrieval, &budget, &mut watch).await;
    }
    let timings = watch.into_timings();
    app.metrics.stages(&timings);
    pinned.ended(found.as_ref().map_or(Ending::Failed, |found| Ending::of(found.hits.len())));
    let found = found?;
    app.metrics.degraded(&found.degraded);
    Ok((pinned.manifest().generation.clone(), found, timings.with_total(search.began.elapsed())))
}

fn respond(generation: GenerationId, found: Retrieved, timings: Timings) -> HttpResponse {
    let hits = found.hits.iter().map(HitBody::from).collect();
    let logged = timings.clone();
    let body = SearchResponse { hits, generation, degraded: found.degraded, timings_ms: timings };
    let mut response = HttpResponse::Ok().insert_header((CACHE_CONTROL, "private, no-cache")).json(body);
    response.extensions_mut().insert(logged);
    response
}
