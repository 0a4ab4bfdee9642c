//! Filters on documents and their metadata, checked and bounded; each backend has one conversion of its own.
//! Never lets a client name the tenant: scope is added by the server, with [`Filter::of_tenant`].

use std::fmt::Write as _;

use lectern_schema::chunk::key;
use lectern_schema::identifiers::TenantId;

mod parse;

/// A checked filter, in one form for all its spellings.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter {
    condition: Condition,
}

/// Why a filter is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("filter: {0}")]
pub struct BadFilter(String);

/// What must hold for a chunk to be found. Backends convert it; nobody else sees it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Condition {
    /// All of them hold.
    All(Vec<Condition>),
    /// At least one holds.
    Any(Vec<Condition>),
    /// It does not hold.
    Not(Box<Condition>),
    /// The field has a value that passes the test.
    Field(Field, Test),
}

/// Path of a payload field, e.g. `metadata.lang`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Field(String);

/// A test of one field. On a list it holds when it holds for any element.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    /// Equal to one of the values.
    OneOf(Vec<Scalar>),
    /// A number beyond the bound.
    Beyond(Direction, f64),
    /// Present and not empty.
    Exists,
}

/// A value that fields are compared with.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar {
    /// Exact text.
    Text(String),
    /// A number; 2020 and 2020.0 are equal.
    Number(f64),
    /// True or false.
    Flag(bool),
}

/// Which side of a bound, and whether the bound itself passes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Direction {
    /// `$gt`
    Above,
    /// `$gte`
    AtLeast,
    /// `$lt`
    Below,
    /// `$lte`
    AtMost,
}

impl Filter {
    /// Checks and bounds a filter as clients write it:
    /// `{"lang": "en", "year": {"$gte": 2020}, "$or": [{"tag": "a"}, {"tag": {"$in": ["b", "c"]}}]}`.
    pub fn parse(json: &serde_json::Value) -> Result<Self, BadFilter> {
        parse::filter(json).map(Self::normal)
    }

    /// Finds the tenant's documents alone: the server's own part of every filter.
    pub fn of_tenant(tenant: &TenantId) -> Self {
        let value = Scalar::Text(tenant.as_str().to_owned());
        Self::normal(Condition::Field(Field(key::TENANT.to_owned()), Test::OneOf(vec![value])))
    }

    /// Finds what both find.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self::normal(Condition::All(vec![self.condition, other.condition]))
    }

    /// The same text for the same filter, whatever the order of its keys: for cache keys.
    pub fn canonical(&self) -> String {
        self.condition.canonical()
    }

    pub(crate) fn condition(&self) -> &Condition {
        &self.condition
    }

    fn normal(condition: Condition) -> Self {
        Self { condition: condition.normal() }
    }
}

impl Condition {
    /// Flattens nested groups of one kind, sorts what has no order, drops repetitions.
    fn normal(self) -> Self {
        match self {
            Self::All(parts) => Self::group(parts, Self::All, |part| match part {
                Self::All(inner) => Ok(inner),
                other => Err(other),
            }),
            Self::Any(parts) => Self::group(parts, Self::Any, |part| match part {
                Self::Any(inner) => Ok(inner),
                other => Err(other),
            }),
            Self::Not(inner) => match inner.normal() {
                Self::Not(twice) => *twice,
                once => Self::Not(Box::new(once)),
            },
            Self::Field(field, Test::OneOf(mut values)) => {
                values.sort_by_cached_key(Scalar::canonical);
                values.dedup();
                Self::Field(field, Test::OneOf(values))
            }
            field @ Self::Field(..) => field,
        }
    }

    fn group(
        parts: Vec<Self>,
        make: impl Fn(Vec<Self>) -> Self,
        unwrap: impl Fn(Self) -> Result<Vec<Self>, Self>,
    ) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match unwrap(part.normal()) {
                Ok(inner) => flat.extend(inner),
                Err(other) => flat.push(other),
            }
        }
        flat.sort_by_cached_key(Self::canonical);
        flat.dedup();
        match flat.len() {
            1 => flat.pop().unwrap_or_else(|| make(Vec::new())),
            _ => make(flat),
        }
    }

    fn canonical(&self) -> String {
        let list = |parts: &[Self]| parts.iter().map(Self::canonical).collect::<Vec<_>>().join(",");
        match self {
            Self::All(parts) => format!("all({})", list(parts)),
            Self::Any(parts) => format!("any({})", list(parts)),
            Self::Not(inner) => format!("not({})", inner.canonical()),
            Self::Field(field, test) => format!("{}{}", field.as_str(), test.canonical()),
        }
    }
}

impl Field {
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl Test {
    fn canonical(&self) -> String {
        match self {
            Self::OneOf(values) => {
                let values: Vec<String> = values.iter().map(Scalar::canonical).collect();
                format!(" in [{}]", values.join(","))
            }
            Self::Beyond(direction, bound) => format!(" {} {bound}", direction.sign()),
            Self::Exists => " exists".to_owned(),
        }
    }
}

impl Scalar {
    /// Text is quoted and escaped, so that no text can imitate another filter.
    fn canonical(&self) -> String {
        let mut text = String::new();
        let written = match self {
            Self::Text(value) => write!(text, "{value:?}"),
            Self::Number(value) => write!(text, "{value}"),
            Self::Flag(value) => write!(text, "{value}"),
        };
        written.map_or_else(|_| String::new(), |()| text)
    }
}

impl Direction {
    fn sign(self) -> &'static str {
        match self {
            Self::Above => ">",
            Self::AtLeast => ">=",
            Self::Below => "<",
            Self::AtMost => "<=",
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn canonical(json: &serde_json::Value) -> String {
        Filter::parse(json).unwrap().canonical()
    }

    #[test]
    fn spellings_of_one_filter_are_equal() {
        let same = [
            json!({"lang": "en", "year": {"$gte": 2020, "$lt": 2024}}),
            json!({"year": {"$lt": 2024, "$gte": 2020}, "lang": {"$eq": "en"}}),
            json!({"$and": [{"year": {"$lt": 2024}}, {"$and": [{"lang": "en"}, {"year": {"$gte": 2020.0}}]}]}),
            json!({"$and": [{"metadata.lang": {"$in": ["en", "en"]}}, {"year": {"$gte": 2020, "$lt": 2024}}, {"lang": "en"}]}),
        ];
        let [first, others @ ..] = same.map(|json| Filter::parse(&json).unwrap());
        for other in others {
            assert_eq!((&other, other.canonical()), (&first, first.canonical()));
        }
    }

    #[test]
    fn different_filters_have_different_texts() {
        let texts = [
            canonical(&json!({"lang": "en"})),
            canonical(&json!({"lang": {"$ne": "en"}})),
            canonical(&json!({"title": "en"})),
            canonical(&json!({"year": 2020})),
            canonical(&json!({"year": "2020"})),
            canonical(&json!({"lang": "en\"], title in [\"en"})),
            canonical(&json!({"$or": [{"lang": "en"}, {"year": 2020}]})),
            canonical(&json!({"lang": "en", "year": 2020})),
        ];
        let mut unique = texts.to_vec();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), texts.len(), "{texts:#?}");
    }

    #[test]
    fn no_client_filter_widens_the_scope() {
        let scope = || Filter::of_tenant(&TenantId::parse("acme").unwrap());
        let client = Filter::parse(&json!({"$or": [{"lang": "en"}, {"lang": {"$ne": "en"}}]})).unwrap();
        assert!(
            matches!(scope().and(client).condition(), Condition::All(parts) if parts.contains(scope().condition()))
        );
    }
}
