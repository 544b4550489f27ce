//! Values of inputs and outputs (`Literal`), converted to JSON.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buffa_types::google::protobuf::{Duration, Timestamp};
use flyte_idl::flyteidl2::core::blob_type::BlobDimensionality;
use flyte_idl::flyteidl2::core::literal::Value as Kind;
use flyte_idl::flyteidl2::core::primitive::Value as Primitive;
use flyte_idl::flyteidl2::core::scalar::Value as Scalar;
use flyte_idl::flyteidl2::core::{Binary, Literal};
use flyte_idl::flyteidl2::task::NamedLiteral;
use serde_json::{Map, Value, json};

/// The tag of binary values that contain `MessagePack`.
pub const MESSAGE_PACK: &str = "msgpack";

/// Converts a value to JSON. A time becomes an RFC 3339 text, a duration a number of seconds, and a file or data frame an object
/// with its `uri`.
#[must_use]
pub fn value(literal: &Literal) -> Value {
    match &literal.value {
        Some(Kind::Scalar(value)) => value.value.as_ref().map_or(Value::Null, scalar),
        Some(Kind::Collection(list)) => list.literals.iter().map(value).collect(),
        Some(Kind::Map(map)) => {
            let sorted: BTreeMap<_, _> = map.literals.iter().collect();
            sorted.into_iter().map(|(name, literal)| (name.clone(), value(literal))).collect()
        }
        Some(Kind::OffloadedMetadata(offloaded)) => {
            json!({"uri": offloaded.uri, "size": offloaded.size_bytes})
        }
        None => Value::Null,
    }
}

/// Literals as JSON values by name.
#[must_use]
pub fn values(literals: &[NamedLiteral]) -> BTreeMap<String, Value> {
    let value = |named: &NamedLiteral| {
        let value = named.value.as_option().map_or(Value::Null, value);
        (named.name.clone(), value)
    };
    literals.iter().map(value).collect()
}

fn scalar(scalar: &Scalar) -> Value {
    match scalar {
        Scalar::Primitive(primitive) => primitive.value.as_ref().map_or(Value::Null, simple),
        Scalar::NoneType(_) => Value::Null,
        Scalar::Union(union) => union.value.as_option().map_or(Value::Null, value),
        Scalar::Binary(bytes) => binary(bytes),
        Scalar::Blob(blob) => {
            let blob_type = blob.metadata.r#type.as_option();
            let dimensionality = blob_type.and_then(|blob_type| blob_type.dimensionality.as_known());
            let kind = if dimensionality == Some(BlobDimensionality::MULTIPART) { "dir" } else { "file" };
            json!({"uri": blob.uri, "kind": kind})
        }
        Scalar::Schema(schema) => json!({"uri": schema.uri}),
        Scalar::StructuredDataset(data) => {
            let format = data.metadata.structured_dataset_type.format.clone();
            json!({"uri": data.uri, "format": format})
        }
        Scalar::Generic(structure) => serde_json::to_value(structure).unwrap_or(Value::Null),
        Scalar::Error(error) => json!({"error": error.message}),
    }
}

fn simple(primitive: &Primitive) -> Value {
    match primitive {
        Primitive::Integer(number) => json!(number),
        // JSON has no number for NaN and the infinities.
        Primitive::FloatValue(number) => {
            serde_json::Number::from_f64(*number).map_or_else(|| json!(number.to_string()), Value::Number)
        }
        Primitive::StringValue(text) => json!(text),
        Primitive::Boolean(truth) => json!(truth),
        Primitive::Datetime(time) => json!(rfc3339(time)),
        Primitive::Duration(duration) => json!(seconds(duration)),
    }
}

fn rfc3339(time: &Timestamp) -> String {
    serde_json::to_value(time).ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
}

fn seconds(duration: &Duration) -> f64 {
    #[allow(clippy::cast_precision_loss, reason = "exact to a microsecond for centuries")]
    let whole = duration.seconds as f64;
    whole + f64::from(duration.nanos) / 1e9
}

fn binary(binary: &Binary) -> Value {
    let mut bytes: &[u8] = &binary.value;
    if binary.tag == MESSAGE_PACK
        && let Ok(value) = rmpv::decode::read_value(&mut bytes)
        && bytes.is_empty()
    {
        return unpack(value);
    }
    json!({"base64": STANDARD.encode(&binary.value), "tag": binary.tag})
}

fn unpack(value: rmpv::Value) -> Value {
    match value {
        rmpv::Value::Nil => Value::Null,
        rmpv::Value::Boolean(truth) => json!(truth),
        rmpv::Value::Integer(number) => number
            .as_i64()
            .map(|number| json!(number))
            .or(number.as_u64().map(|number| json!(number)))
            .unwrap_or_default(),
        rmpv::Value::F32(number) => simple(&Primitive::FloatValue(f64::from(number))),
        rmpv::Value::F64(number) => simple(&Primitive::FloatValue(number)),
        rmpv::Value::String(text) => json!(String::from_utf8_lossy(text.as_bytes())),
        rmpv::Value::Binary(bytes) | rmpv::Value::Ext(_, bytes) => json!({"base64": STANDARD.encode(bytes)}),
        rmpv::Value::Array(list) => list.into_iter().map(unpack).collect(),
        rmpv::Value::Map(pairs) => {
            let name = |key| match unpack(key) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            pairs.into_iter().map(|(key, value)| (name(key), unpack(value))).collect::<Map<_, _>>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json_of(literal: Value) -> Value {
        value(&serde_json::from_value(literal).unwrap())
    }

    #[test]
    fn literals_become_json_values() {
        let primitive = |value| json_of(json!({"scalar": {"primitive": value}}));
        assert_eq!(primitive(json!({"integer": "-9007199254740993"})), json!(-9_007_199_254_740_993_i64));
        assert_eq!(primitive(json!({"floatValue": 0.5})), json!(0.5));
        assert_eq!(primitive(json!({"floatValue": "NaN"})), json!("NaN"));
        assert_eq!(primitive(json!({"stringValue": ""})), json!(""));
        assert_eq!(primitive(json!({"datetime": "2026-11-25T01:02:03Z"})), json!("2026-11-25T01:02:03Z"));
        assert_eq!(primitive(json!({"duration": "90.5s"})), json!(90.5));
        assert_eq!(json_of(json!({"scalar": {"noneType": {}}})), json!(null));
        let one = json!({"scalar": {"primitive": {"integer": "1"}}});
        assert_eq!(json_of(json!({"scalar": {"union": {"value": one}}})), json!(1));
        assert_eq!(json_of(json!({"collection": {"literals": [one, one]}})), json!([1, 1]));
        assert_eq!(json_of(json!({"map": {"literals": {"a": one}}})), json!({"a": 1}));
        let blob = json!({"uri": "s3://b/k", "metadata": {"type": {"dimensionality": "MULTIPART"}}});
        assert_eq!(json_of(json!({"scalar": {"blob": blob}})), json!({"uri": "s3://b/k", "kind": "dir"}));
        assert_eq!(json_of(json!({"scalar": {"generic": {"a": [1, null]}}})), json!({"a": [1.0, null]}));
        assert_eq!(json_of(json!({})), json!(null));
    }

    #[test]
    fn message_pack_becomes_json_and_other_bytes_become_base64() {
        let mut packed = Vec::new();
        let map = vec![
            ("name".into(), "x".into()),
            (7.into(), rmpv::Value::Array(vec![rmpv::Value::Nil, true.into(), 1.5.into()])),
        ];
        rmpv::encode::write_value(&mut packed, &rmpv::Value::Map(map)).unwrap();
        let literal = |tag: &str, bytes: &[u8]| {
            json_of(json!({"scalar": {"binary": {"value": STANDARD.encode(bytes), "tag": tag}}}))
        };
        assert_eq!(literal("msgpack", &packed), json!({"name": "x", "7": [null, true, 1.5]}));
        assert_eq!(literal("other", b"hi"), json!({"base64": "aGk=", "tag": "other"}));
        // Bytes after the value make it invalid MessagePack.
        assert_eq!(literal("msgpack", &[0xc0, 0xc0]), json!({"base64": "wMA=", "tag": "msgpack"}));
    }
}
