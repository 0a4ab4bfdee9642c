//! The URL table. One file per endpoint holds its request, its response and its handler.

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::web::{self, ServiceConfig};

use crate::api::error::Problem;

pub mod admin;
pub mod ask;
pub mod body;
pub mod error;
pub mod health;
pub mod observe;
pub mod plan;
pub mod search;
pub mod sessions;
pub mod sse;

/// What everybody may reach.
pub fn public(routes: &mut ServiceConfig) {
    routes
        .service(
            web::resource("/v1/search")
                .post(search::post)
                .get(search::get)
                .default_service(web::to(method_not_allowed)),
        )
        .service(web::resource("/v1/ask").post(ask::post).default_service(web::to(method_not_allowed)))
        .service(
            web::resource("/v1/sessions").post(sessions::create).default_service(web::to(method_not_allowed)),
        )
        .service(
            web::resource("/v1/sessions/{session_id}")
                .get(sessions::get)
                .delete(sessions::erase)
                .default_service(web::to(method_not_allowed)),
        )
        .service(
            web::resource("/v1/sessions/{session_id}/turns")
                .get(sessions::turns)
                .default_service(web::to(method_not_allowed)),
        )
        .default_service(web::to(not_found));
}

/// What operators alone may reach.
pub fn admin(routes: &mut ServiceConfig) {
    routes
        .service(web::resource("/live").get(health::live))
        .service(web::resource("/ready").get(health::ready))
        .service(web::resource("/metrics").get(health::metrics))
        .service(web::resource("/v1/admin/generations").get(admin::generations))
        .service(web::resource("/v1/admin/cache").get(admin::cache).delete(admin::clear_cache))
        .default_service(web::to(not_found));
}

async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::new(StatusCode::NOT_FOUND, "unknown_route", "there is nothing at this address"))
}

async fn method_not_allowed() -> Result<HttpResponse, Problem> {
    let detail = "this address does not take this method";
    Err(Problem::new(StatusCode::METHOD_NOT_ALLOWED, "method_not_allowed", detail))
}
