//! `GET /live`, `GET /ready`, `GET /metrics`: what orchestrators and Prometheus ask.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::http::header::RETRY_AFTER;
use actix_web::{HttpResponse, Responder, web};
use serde::Serialize;

use crate::admission::Work;
use crate::app::App;
use crate::sessions::Trouble;

/// `GET /live`: the process turns. Depends on nothing, so that no outage elsewhere restarts it.
pub async fn live() -> impl Responder {
    HttpResponse::Ok().json(serde_json::json!({ "status": "live" }))
}

#[derive(Debug, Serialize)]
struct Readiness {
    status: &'static str,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    failing: Vec<Failing>,
}

#[derive(Debug, Serialize)]
struct Failing {
    dependency: &'static str,
    reason: String,
}

/// `GET /ready`: 200 when the configured alias can be served, else 503 with what is missing. A session database that is
/// down is named, but leaves the replica ready: searches and questions without a session need none, and all replicas share
/// the database, so that none would be left to serve them.
pub async fn ready(app: web::Data<App>) -> impl Responder {
    let store = store_trouble(&app).map(|reason| Failing { dependency: "store", reason });
    let capacity = saturated(&app);
    let sessions = app.sessions.trouble();
    let is_opening = sessions.as_deref() == Some(&Trouble::Opening);
    let sql = sessions.map(|trouble| Failing { dependency: "sql", reason: trouble.to_string() });
    let (code, status) = match (&store, capacity.is_empty(), &sql) {
        (None, true, None) => (StatusCode::OK, "ready"),
        (None, true, Some(_)) if !is_opening => (StatusCode::OK, "degraded"),
        _ => (StatusCode::SERVICE_UNAVAILABLE, "unready"),
    };
    let failing = store.into_iter().chain(capacity).chain(sql).collect();
    let mut response = HttpResponse::build(code);
    if code == StatusCode::SERVICE_UNAVAILABLE {
        response.insert_header((RETRY_AFTER, "1"));
    }
    response.json(Readiness { status, failing })
}

fn store_trouble(app: &App) -> Option<String> {
    if !app.generations.is_followed() {
        return Some("the vector store does not answer".to_owned());
    }
    let alias = &app.config.store.alias;
    match app.generations.status().into_iter().find(|status| status.alias == *alias) {
        Some(status) if status.served.is_some() => None,
        Some(status) => status.refused.map(|refusal| refusal.reason.clone()),
        None => Some(format!("alias `{alias}` has no generation yet; publish one with `lectern-ingest run`")),
    }
}

/// Classes of work that have turned requests away for too long: other replicas may have room.
fn saturated(app: &App) -> Vec<Failing> {
    let (now, limits) = (Instant::now(), &app.config.limits);
    let full = |work: &Work| app.answerer.admission.load(*work, now).saturated >= limits.unready_after;
    let failing = |work: Work| Failing {
        dependency: "capacity",
        reason: format!("{} requests are turned away: all places and the queue are full", work.name()),
    };
    Work::ALL.into_iter().filter(full).map(failing).collect()
}

/// `GET /metrics`
pub async fn metrics(app: web::Data<App>) -> impl Responder {
    for work in Work::ALL {
        app.metrics.load(work, app.answerer.admission.load(work, Instant::now()));
    }
    HttpResponse::Ok()
        .content_type("application/openmetrics-text; version=1.0.0; charset=utf-8")
        .body(app.metrics.render())
}
