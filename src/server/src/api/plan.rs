//! What search and ask requests have in common, checked: text, mode, limit, filter, alias, deadline.
//! Never fills in what a client must say.

use std::time::{Duration, Instant};

use lectern_resilience::deadline::Deadline;
use lectern_schema::identifiers::AliasName;
use lectern_search::filter::Filter;
use lectern_search::query::{Limit, Mode};
use serde_json::Value;

use crate::answer::question::Question;
use crate::api::error::Problem;
use crate::cache::CachePolicy;
use crate::caller::Caller;
use crate::config::Config;
use crate::retrieve::Retrieval;
use crate::sessions::id::SessionId;

/// The fields as a client sent them, and how this endpoint calls its text.
#[derive(Debug)]
pub struct Raw<'a> {
    /// Name of the field with the text.
    pub text_field: &'static str,
    /// The text.
    pub text: &'a str,
    /// How to search.
    pub mode: Mode,
    /// Most hits.
    pub limit: u64,
    /// Filter on documents and metadata.
    pub filter: Option<&'a Value>,
    /// What the caches may do.
    pub cache: CachePolicy,
}

/// Checks what to look for, among what the caller may see.
pub fn retrieval(raw: &Raw<'_>, caller: &Caller) -> Result<Retrieval, Problem> {
    let question =
        Question::parse(raw.text).map_err(|bad| Problem::value(raw.text_field, bad.to_string()))?;
    let limit = Limit::parse(raw.limit).map_err(|bad| Problem::value("limit", bad.to_string()))?;
    let filter = raw.filter.map(Filter::parse).transpose();
    let filter = filter.map_err(|bad| Problem::value("filter", bad.to_string()))?;
    let tenant = caller.tenant().clone();
    Ok(Retrieval { tenant, question, mode: raw.mode, limit, filter, cache: raw.cache })
}

/// The alias that is meant: the one named, or the configured one.
pub fn alias(named: Option<&str>, config: &Config) -> Result<AliasName, Problem> {
    let parse = |name| AliasName::parse(name).map_err(|bad| Problem::value("alias", bad.to_string()));
    named.map_or_else(|| Ok(config.store.alias.clone()), parse)
}

/// The session that is meant, if one is.
pub fn session(named: Option<&str>) -> Result<Option<SessionId>, Problem> {
    let parsed = named.map(SessionId::parse).transpose();
    parsed.map_err(|bad| Problem::value("session_id", bad.to_string()))
}

/// The deadline of a request that came in now.
pub fn deadline(asked_ms: Option<u64>, config: &Config) -> Result<Deadline, Problem> {
    let most = config.limits.deadline_max;
    let budget = match asked_ms.map(Duration::from_millis) {
        None => config.limits.deadline.min(most),
        Some(asked) if !asked.is_zero() && asked <= most => asked,
        Some(_) => {
            return Err(Problem::value("deadline_ms", format!("must be from 1 to {}", most.as_millis())));
        }
    };
    Ok(Deadline::after(Instant::now(), budget))
}
