//! Filters in the embedded engine's terms.
//! Never decides what a filter means: the tests of the stores hold both conversions to the same meaning.

use qdrant_edge::external::ordered_float::OrderedFloat;
use qdrant_edge::{
    Condition as EdgeCondition, FieldCondition, Filter as EdgeFilter, JsonPath, Match, Range, ValueVariants,
};

use crate::error::SearchError;
use crate::filter::{Condition, Direction, Field, Filter, Scalar, Test};

/// The engine's filter. Fails when a field is no path of the engine's.
pub fn convert(filter: &Filter) -> Result<EdgeFilter, SearchError> {
    Ok(EdgeFilter::new_must(condition(filter.condition())?))
}

fn condition(ours: &Condition) -> Result<EdgeCondition, SearchError> {
    let all = |parts: &[Condition]| parts.iter().map(condition).collect::<Result<Vec<_>, _>>();
    Ok(EdgeCondition::Filter(match ours {
        Condition::All(parts) => EdgeFilter { must: Some(all(parts)?), ..EdgeFilter::default() },
        Condition::Any(parts) => EdgeFilter { should: Some(all(parts)?), ..EdgeFilter::default() },
        Condition::Not(inner) => EdgeFilter::new_must_not(condition(inner)?),
        Condition::Field(field, passes) => test(&path(field)?, passes),
    }))
}

fn test(path: &JsonPath, test: &Test) -> EdgeFilter {
    match test {
        Test::OneOf(values) => EdgeFilter {
            should: Some(values.iter().map(|value| equal(path, value)).collect()),
            ..EdgeFilter::default()
        },
        Test::Beyond(direction, bound) => EdgeFilter::new_must(beyond(path, *direction, *bound)),
        Test::Exists => {
            EdgeFilter::new_must_not(EdgeCondition::Field(FieldCondition::new_is_empty(path.clone(), true)))
        }
    }
}

fn equal(path: &JsonPath, value: &Scalar) -> EdgeCondition {
    let is = |value| FieldCondition::new_match(path.clone(), Match::new_value(value));
    EdgeCondition::Field(match value {
        Scalar::Text(text) => is(ValueVariants::String(text.clone())),
        Scalar::Flag(flag) => is(ValueVariants::Bool(*flag)),
        // As a range, which takes 2020 and 2020.0 for the same number.
        Scalar::Number(number) => {
            let number = Some(OrderedFloat(*number));
            FieldCondition::new_range(path.clone(), Range { gte: number, lte: number, ..Range::default() })
        }
    })
}

fn beyond(path: &JsonPath, direction: Direction, bound: f64) -> EdgeCondition {
    let bound = Some(OrderedFloat(bound));
    let range = match direction {
        Direction::Above => Range { gt: bound, ..Range::default() },
        Direction::AtLeast => Range { gte: bound, ..Range::default() },
        Direction::Below => Range { lt: bound, ..Range::default() },
        Direction::AtMost => Range { lte: bound, ..Range::default() },
    };
    EdgeCondition::Field(FieldCondition::new_range(path.clone(), range))
}

fn path(field: &Field) -> Result<JsonPath, SearchError> {
    let refused = |()| SearchError::refused(format!("`{}` is not a path", field.as_str()));
    field.as_str().parse().map_err(refused)
}
