//! Filters in Qdrant's terms.
//! Never decides what a filter means: the tests of the stores hold both conversions to the same meaning.

use qdrant_client::qdrant::r#match::MatchValue;
use qdrant_client::qdrant::{self, FieldCondition, IsEmptyCondition, Match, Range};

use crate::filter::{Condition, Direction, Field, Filter, Scalar, Test};

/// Qdrant's filter.
pub fn convert(filter: &Filter) -> qdrant::Filter {
    qdrant::Filter::must([condition(filter.condition())])
}

fn condition(ours: &Condition) -> qdrant::Condition {
    match ours {
        Condition::All(parts) => qdrant::Filter::must(parts.iter().map(condition)),
        Condition::Any(parts) => qdrant::Filter::should(parts.iter().map(condition)),
        Condition::Not(inner) => qdrant::Filter::must_not([condition(inner)]),
        Condition::Field(field, passes) => test(field, passes),
    }
    .into()
}

fn test(field: &Field, test: &Test) -> qdrant::Filter {
    match test {
        Test::OneOf(values) => qdrant::Filter::should(values.iter().map(|value| equal(field, value).into())),
        Test::Beyond(direction, bound) => qdrant::Filter::must([beyond(field, *direction, *bound).into()]),
        Test::Exists => {
            qdrant::Filter::must_not([IsEmptyCondition { key: field.as_str().to_owned() }.into()])
        }
    }
}

fn equal(field: &Field, value: &Scalar) -> FieldCondition {
    let is = |value| Some(Match { match_value: Some(value) });
    let on = on(field);
    match value {
        Scalar::Text(text) => FieldCondition { r#match: is(MatchValue::Keyword(text.clone())), ..on },
        Scalar::Flag(flag) => FieldCondition { r#match: is(MatchValue::Boolean(*flag)), ..on },
        // As a range, which takes 2020 and 2020.0 for the same number.
        Scalar::Number(number) => {
            let range = Range { gte: Some(*number), lte: Some(*number), ..Range::default() };
            FieldCondition { range: Some(range), ..on }
        }
    }
}

fn beyond(field: &Field, direction: Direction, bound: f64) -> FieldCondition {
    let bound = Some(bound);
    let range = match direction {
        Direction::Above => Range { gt: bound, ..Range::default() },
        Direction::AtLeast => Range { gte: bound, ..Range::default() },
        Direction::Below => Range { lt: bound, ..Range::default() },
        Direction::AtMost => Range { lte: bound, ..Range::default() },
    };
    FieldCondition { range: Some(range), ..on(field) }
}

fn on(field: &Field) -> FieldCondition {
    FieldCondition { key: field.as_str().to_owned(), ..FieldCondition::default() }
}
