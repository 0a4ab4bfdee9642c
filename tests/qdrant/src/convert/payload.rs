//! Point ids, payload values and payload keys, both ways, and which parts of a payload are wanted.
//! Never changes a value on the way, but for numbers that the target cannot hold.

use std::collections::HashMap;

use qdrant_client::qdrant::point_id::PointIdOptions;
use qdrant_client::qdrant::value::Kind;
use qdrant_client::qdrant::with_payload_selector::SelectorOptions;
use qdrant_client::qdrant::{self, ListValue, Struct, Value};
use qdrant_edge::{JsonPath, Payload, PayloadSelector, PointId, WithPayloadInterface};
use serde_json::Value as Json;
use tonic::Status;
use uuid::Uuid;

use crate::status::wrong_input;

pub(crate) fn point_id(id: Option<qdrant::PointId>) -> Result<PointId, Status> {
    match id.and_then(|id| id.point_id_options) {
        Some(PointIdOptions::Num(number)) => Ok(PointId::NumId(number)),
        Some(PointIdOptions::Uuid(text)) => Uuid::parse_str(&text)
            .map(PointId::Uuid)
            .map_err(|_| Status::invalid_argument(format!("Unable to parse UUID: {text}"))),
        None => Err(Status::invalid_argument("Empty ID is not allowed")),
    }
}

pub(crate) fn point_ids(ids: Vec<qdrant::PointId>) -> Result<Vec<PointId>, Status> {
    ids.into_iter().map(|id| point_id(Some(id))).collect()
}

pub(crate) fn point_id_message(id: PointId) -> qdrant::PointId {
    let options = match id {
        PointId::NumId(number) => PointIdOptions::Num(number),
        PointId::Uuid(uuid) => PointIdOptions::Uuid(uuid.to_string()),
    };
    qdrant::PointId { point_id_options: Some(options) }
}

/// A payload key such as `metadata.lang` or `tags[]`.
pub(crate) fn key(text: &str) -> Result<JsonPath, Status> {
    text.parse().map_err(|()| wrong_input(format!("invalid payload key `{text}`")))
}

pub(crate) fn payload(fields: HashMap<String, Value>) -> Result<Payload, Status> {
    Ok(Payload(object(fields)?))
}

pub(crate) fn payload_message(payload: Option<Payload>) -> HashMap<String, Value> {
    fields_message(payload.map(|payload| payload.0).unwrap_or_default())
}

fn object(fields: HashMap<String, Value>) -> Result<serde_json::Map<String, Json>, Status> {
    let mut fields: Vec<(String, Value)> = fields.into_iter().collect();
    fields.sort_by(|(one, _), (other, _)| one.cmp(other));
    fields.into_iter().map(|(name, value)| Ok((name, json(value)?))).collect()
}

fn json(value: Value) -> Result<Json, Status> {
    Ok(match value.kind {
        None => return Err(Status::invalid_argument("Value kind is not set")),
        Some(Kind::NullValue(_)) => Json::Null,
        Some(Kind::BoolValue(flag)) => Json::Bool(flag),
        Some(Kind::IntegerValue(integer)) => Json::from(integer),
        Some(Kind::DoubleValue(number)) => {
            serde_json::Number::from_f64(number).map_or(Json::Null, Json::Number)
        }
        Some(Kind::StringValue(text)) => Json::String(text),
        Some(Kind::ListValue(list)) => {
            Json::Array(list.values.into_iter().map(json).collect::<Result<_, Status>>()?)
        }
        Some(Kind::StructValue(structure)) => Json::Object(object(structure.fields)?),
    })
}

fn fields_message(fields: serde_json::Map<String, Json>) -> HashMap<String, Value> {
    fields.into_iter().map(|(name, value)| (name, value_message(value))).collect()
}

fn value_message(json: Json) -> Value {
    let kind = match json {
        Json::Null => Kind::NullValue(0),
        Json::Bool(flag) => Kind::BoolValue(flag),
        Json::Number(number) => match number.as_i64() {
            Some(integer) => Kind::IntegerValue(integer),
            None => Kind::DoubleValue(number.as_f64().unwrap_or(f64::NAN)),
        },
        Json::String(text) => Kind::StringValue(text),
        Json::Array(values) => {
            Kind::ListValue(ListValue { values: values.into_iter().map(value_message).collect() })
        }
        Json::Object(fields) => Kind::StructValue(Struct { fields: fields_message(fields) }),
    };
    Value { kind: Some(kind) }
}

/// What is wanted of a payload; `unset` is what the method gives when the request does not say.
pub(crate) fn with_payload(
    selector: Option<qdrant::WithPayloadSelector>,
    unset: bool,
) -> Result<WithPayloadInterface, Status> {
    let keys = |fields: &[String]| fields.iter().map(|field| key(field)).collect::<Result<Vec<_>, Status>>();
    Ok(match selector {
        None => WithPayloadInterface::Bool(unset),
        Some(selector) => match selector.selector_options {
            None => return Err(Status::invalid_argument("No PayloadSelector")),
            Some(SelectorOptions::Enable(enabled)) => WithPayloadInterface::Bool(enabled),
            Some(SelectorOptions::Include(include)) => {
                WithPayloadInterface::Selector(PayloadSelector::new_include(keys(&include.fields)?))
            }
            Some(SelectorOptions::Exclude(exclude)) => {
                WithPayloadInterface::Selector(PayloadSelector::new_exclude(keys(&exclude.fields)?))
            }
        },
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_payload_survives_the_way_there_and_back() {
        let Json::Object(fields) = json!({
            "text": "a", "int": -3, "float": 0.5, "flag": true, "nothing": null,
            "list": [1, "b", [2.5]], "object": {"deep": {"er": "c"}, "empty": {}}
        }) else {
            panic!("an object")
        };
        let there = fields_message(fields.clone());
        assert_eq!(payload(there).unwrap().0, fields);
    }

    #[test]
    fn an_integer_beyond_the_protocols_range_becomes_a_double() {
        let Some(Kind::DoubleValue(number)) = value_message(json!(u64::MAX)).kind else { panic!("a double") };
        assert!(1.8e19 < number);
    }

    #[test]
    fn a_point_id_that_is_no_uuid_is_refused() {
        let id = qdrant::PointId { point_id_options: Some(PointIdOptions::Uuid("seven".to_owned())) };
        assert_eq!(point_id(Some(id)).unwrap_err().code(), tonic::Code::InvalidArgument);
        assert_eq!(point_id(None).unwrap_err().code(), tonic::Code::InvalidArgument);
    }
}
