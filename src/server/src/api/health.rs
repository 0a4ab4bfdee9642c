//! `GET /live`, `GET /ready`, `GET /metrics`: what orchestrators and Prometheus ask.

use std::time::Instant;

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, Responder, web};
use serde::Serialize;

use crate::admission::Work;
use crate::app::App;

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

/// `GET /ready`: 200 when the configured alias can be served, else 503 with what is missing.
pub async fn ready(app: web::Data<App>) -> impl Responder {
    let store = store_trouble(&app).map(|reason| Failing { dependency: "store", reason });
    let failing: Vec<Failing> = store.into_iter().chain(saturated(&app)).collect();
    let (code, status) = if failing.is_empty() {
        (StatusCode::OK, "ready")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "unready")
    };
    HttpResponse::build(code).json(Readiness { status, failing })
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
