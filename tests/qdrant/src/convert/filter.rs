//! Filters of the protocol as filters of the engine.
//! Never drops a condition: what the engine cannot check is refused.

use qdrant_client::qdrant::condition::ConditionOneOf;
use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{self, DatetimeRange};
use qdrant_edge::external::ordered_float::OrderedFloat;
use qdrant_edge::{
    Condition, DateTimeWrapper, FieldCondition, Filter, HasIdCondition, HasVectorCondition, IsEmptyCondition,
    IsNullCondition, Match, MatchExcept, MatchPhrase, MatchTextAny, MinShould, Nested, NestedCondition,
    Range, RangeInterface, ValueVariants, ValuesCount,
};
use tonic::Status;

use super::payload::{key, point_ids};
use super::size;
use crate::status::{refuse, unsupported, wrong_input};

pub(crate) fn optional(filter: Option<qdrant::Filter>) -> Result<Option<Filter>, Status> {
    filter.map(required).transpose()
}

pub(crate) fn required(filter: qdrant::Filter) -> Result<Filter, Status> {
    let min_should = match filter.min_should {
        None => None,
        Some(min_should) => Some(MinShould {
            conditions: conditions(min_should.conditions)?.unwrap_or_default(),
            min_count: size(min_should.min_count)?,
        }),
    };
    Ok(Filter {
        should: conditions(filter.should)?,
        min_should,
        must: conditions(filter.must)?,
        must_not: conditions(filter.must_not)?,
    })
}

fn conditions(messages: Vec<qdrant::Condition>) -> Result<Option<Vec<Condition>>, Status> {
    if messages.is_empty() {
        return Ok(None);
    }
    messages.into_iter().map(condition).collect::<Result<Vec<_>, Status>>().map(Some)
}

fn condition(message: qdrant::Condition) -> Result<Condition, Status> {
    let Some(message) = message.condition_one_of else {
        return Err(Status::invalid_argument("Malformed Condition type"));
    };
    Ok(match message {
        ConditionOneOf::Field(message) => Condition::Field(field(message)?),
        ConditionOneOf::IsEmpty(message) => Condition::IsEmpty(IsEmptyCondition::from(key(&message.key)?)),
        ConditionOneOf::IsNull(message) => Condition::IsNull(IsNullCondition::from(key(&message.key)?)),
        ConditionOneOf::HasId(message) => {
            Condition::HasId(point_ids(message.has_id)?.into_iter().collect::<HasIdCondition>())
        }
        ConditionOneOf::HasVector(message) => {
            Condition::HasVector(HasVectorCondition { has_vector: message.has_vector })
        }
        ConditionOneOf::Filter(message) => Condition::Filter(required(message)?),
        ConditionOneOf::Nested(message) => {
            let filter = message.filter.ok_or_else(|| wrong_input("a nested condition needs a filter"))?;
            let nested = Nested { key: key(&message.key)?, filter: required(filter)? };
            Condition::Nested(NestedCondition::new(nested))
        }
        ConditionOneOf::Slice(_) => return Err(unsupported("slice conditions")),
    })
}

fn field(message: qdrant::FieldCondition) -> Result<FieldCondition, Status> {
    refuse("geo_bounding_box conditions", message.geo_bounding_box.is_some())?;
    refuse("geo_radius conditions", message.geo_radius.is_some())?;
    refuse("geo_polygon conditions", message.geo_polygon.is_some())?;
    let range = match (message.range, message.datetime_range) {
        (Some(_), Some(_)) => {
            return Err(wrong_input("a condition has a range or a datetime range, not both"));
        }
        (Some(range), None) => Some(RangeInterface::Float(numeric_range(range))),
        (None, Some(range)) => Some(RangeInterface::DateTime(datetime_range(range)?)),
        (None, None) => None,
    };
    let condition = FieldCondition {
        key: key(&message.key)?,
        r#match: message.r#match.map(matching).transpose()?,
        range,
        geo_bounding_box: None,
        geo_radius: None,
        geo_polygon: None,
        values_count: message.values_count.map(values_count).transpose()?,
        is_empty: message.is_empty,
        is_null: message.is_null,
    };
    if condition.all_fields_none() {
        return Err(wrong_input(format!("the condition on `{}` says nothing", message.key)));
    }
    Ok(condition)
}

fn matching(message: qdrant::Match) -> Result<Match, Status> {
    let Some(value) = message.match_value else {
        return Err(Status::invalid_argument("Malformed Match condition"));
    };
    Ok(match value {
        MatchValue::Keyword(keyword) => Match::new_value(ValueVariants::String(keyword)),
        MatchValue::Integer(integer) => Match::new_value(ValueVariants::Integer(integer)),
        MatchValue::Boolean(flag) => Match::new_value(ValueVariants::Bool(flag)),
        MatchValue::Text(text) => Match::new_text(&text),
        MatchValue::TextAny(text_any) => Match::TextAny(MatchTextAny { text_any }),
        MatchValue::Phrase(phrase) => Match::Phrase(MatchPhrase { phrase }),
        MatchValue::Keywords(any) => Match::from(any.strings),
        MatchValue::Integers(any) => Match::from(any.integers),
        MatchValue::ExceptKeywords(except) => Match::Except(MatchExcept::from(except.strings)),
        MatchValue::ExceptIntegers(except) => Match::Except(MatchExcept::from(except.integers)),
        MatchValue::Prefix(_) => return Err(unsupported("prefix matches")),
        MatchValue::Substring(_) => return Err(unsupported("substring matches")),
    })
}

fn numeric_range(range: qdrant::Range) -> Range<OrderedFloat<f64>> {
    let bound = |bound: Option<f64>| bound.map(OrderedFloat);
    Range { lt: bound(range.lt), gt: bound(range.gt), gte: bound(range.gte), lte: bound(range.lte) }
}

fn datetime_range(range: DatetimeRange) -> Result<Range<DateTimeWrapper>, Status> {
    Ok(Range {
        lt: range.lt.map(|at| datetime(at.seconds, at.nanos)).transpose()?,
        gt: range.gt.map(|at| datetime(at.seconds, at.nanos)).transpose()?,
        gte: range.gte.map(|at| datetime(at.seconds, at.nanos)).transpose()?,
        lte: range.lte.map(|at| datetime(at.seconds, at.nanos)).transpose()?,
    })
}

fn datetime(seconds: i64, nanos: i32) -> Result<DateTimeWrapper, Status> {
    seconds
        .checked_mul(1_000_000)
        .and_then(|micros| micros.checked_add(i64::from(nanos) / 1_000))
        .and_then(DateTimeWrapper::from_timestamp)
        .ok_or_else(|| wrong_input(format!("the timestamp {seconds}.{nanos:09} is out of range")))
}

fn values_count(message: qdrant::ValuesCount) -> Result<ValuesCount, Status> {
    Ok(ValuesCount {
        lt: message.lt.map(size).transpose()?,
        gt: message.gt.map(size).transpose()?,
        gte: message.gte.map(size).transpose()?,
        lte: message.lte.map(size).transpose()?,
    })
}
