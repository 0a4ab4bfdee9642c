//! Who asks. Every request has a caller, and whose documents they may see follows from it alone.
//! Never taken from the request's own fields.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::{FromRequest, HttpRequest};
use lectern_schema::identifiers::TenantId;

/// The one who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    tenant: TenantId,
}

impl Caller {
    /// The one caller of a server without authentication.
    fn anonymous() -> Self {
        Self { tenant: TenantId::public() }
    }

    /// Whose documents the caller may see.
    pub fn tenant(&self) -> &TenantId {
        &self.tenant
    }
}

impl FromRequest for Caller {
    type Error = actix_web::Error;
    type Future = Ready<Result<Self, Self::Error>>;

    fn from_request(_: &HttpRequest, _: &mut Payload) -> Self::Future {
        ready(Ok(Self::anonymous()))
    }
}
