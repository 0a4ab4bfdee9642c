//! `GET /v1/admin/generations`, `GET` and `DELETE /v1/admin/cache`: what operators look at and may forget.

use actix_web::{HttpResponse, Responder, web};
use lectern_schema::canary::{Canary, Share};
use lectern_schema::generation::Counts;
use lectern_schema::identifiers::{AliasName, GenerationId};
use serde::Serialize;

use crate::app::App;
use crate::cache::semantic::SemanticCache;
use crate::canary::figures::{Figures, PairFigures};
use crate::canary::trial::Trial;
use crate::generations::Refusal;

#[derive(Debug, Serialize)]
struct AliasBody {
    alias: AliasName,
    generation: Option<GenerationId>,
    counts: Option<Counts>,
    fingerprint: Option<String>,
    refused: Option<RefusedBody>,
    canary: Option<CanaryBody>,
    canary_refused: Option<RefusedBody>,
}

/// A canary, and what both generations did since this server began to serve it.
#[derive(Debug, Serialize)]
struct CanaryBody {
    generation: GenerationId,
    percent: Share,
    counts: Option<Counts>,
    roles: RolesBody,
    comparison: PairFigures,
}

#[derive(Debug, Serialize)]
struct RolesBody {
    live: Figures,
    canary: Figures,
}

impl CanaryBody {
    fn of(trial: &Trial) -> Self {
        let (Canary { generation, share }, findings) = (trial.canary().clone(), trial.findings());
        Self {
            generation,
            percent: share,
            counts: trial.collection.manifest().counts(),
            roles: RolesBody { live: findings.live, canary: findings.canary },
            comparison: findings.pairs,
        }
    }
}

#[derive(Debug, Serialize)]
struct RefusedBody {
    generation: GenerationId,
    reason: String,
}

impl RefusedBody {
    fn of(refusal: &Refusal) -> Self {
        Self { generation: refusal.generation.clone(), reason: refusal.reason.clone() }
    }
}

/// `GET /v1/admin/generations`: what each alias serves, with which canary beside it, and what was refused.
pub async fn generations(app: web::Data<App>) -> impl Responder {
    let body = |status: crate::generations::Status| {
        let manifest = status.served.as_ref().map(|served| served.manifest());
        AliasBody {
            alias: status.alias,
            generation: manifest.map(|manifest| manifest.generation.clone()),
            counts: manifest.and_then(lectern_schema::generation::Manifest::counts),
            fingerprint: manifest.map(|manifest| manifest.fingerprint.digest()),
            refused: status.refused.as_deref().map(RefusedBody::of),
            canary: status.trial.as_deref().map(CanaryBody::of),
            canary_refused: status.canary_refused.as_deref().map(RefusedBody::of),
        }
    };
    let aliases: Vec<AliasBody> = app.generations.status().into_iter().map(body).collect();
    HttpResponse::Ok().json(serde_json::json!({ "aliases": aliases }))
}

/// `GET /v1/admin/cache`: how much is kept.
pub async fn cache(app: web::Data<App>) -> impl Responder {
    let size = |(entries, bytes): (u64, u64)| serde_json::json!({ "entries": entries, "bytes": bytes });
    let retriever = &app.answerer.retriever;
    HttpResponse::Ok().json(serde_json::json!({
        "answers": size(app.cache.size()),
        "retrievals": size(retriever.retrievals.size()),
        "vectors": size(retriever.vectors.size()),
    }))
}

/// `DELETE /v1/admin/cache`: forgets everything that is kept.
pub async fn clear_cache(app: web::Data<App>) -> impl Responder {
    app.cache.clear();
    app.semantic.iter().for_each(SemanticCache::clear);
    app.answerer.retriever.retrievals.clear();
    app.answerer.retriever.vectors.clear();
    HttpResponse::NoContent().finish()
}
