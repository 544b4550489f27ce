//! Values of inputs and outputs, as JSON has them.

pub(crate) mod text;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buffa_types::google::protobuf::{Duration, Timestamp};
use flyte_idl::flyteidl2::core::blob_type::BlobDimensionality;
use flyte_idl::flyteidl2::core::literal::Value as Kind;
use flyte_idl::flyteidl2::core::primitive::Value as Primitive;
use flyte_idl::flyteidl2::core::scalar::Value as Scalar;
use flyte_idl::flyteidl2::core::{Binary, Literal};
use serde_json::{Map, Value, json};

/// How binary values are encoded that are no plain bytes.
const MESSAGE_PACK: &str = "msgpack";

/// A value as JSON has it: numbers, texts, lists and objects as they are, moments by RFC 3339, periods in seconds, files and
/// data frames by their `uri`.
pub(crate) fn value(literal: &Literal) -> Value {
    match &literal.value {
        Some(Kind::Scalar(value)) => value.value.as_ref().map_or(Value::Null, scalar),
        Some(Kind::Collection(list)) => list.literals.iter().map(value).collect(),
        Some(Kind::Map(map)) => {
            let sorted: std::collections::BTreeMap<_, _> = map.literals.iter().collect();
            sorted.into_iter().map(|(name, literal)| (name.clone(), value(literal))).collect()
        }
        Some(Kind::OffloadedMetadata(elsewhere)) => {
            json!({"uri": elsewhere.uri, "size": elsewhere.size_bytes})
        }
        None => Value::Null,
    }
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
        // JSON has no number for what is none.
        Primitive::FloatValue(number) => {
            serde_json::Number::from_f64(*number).map_or_else(|| json!(number.to_string()), Value::Number)
        }
        Primitive::StringValue(text) => json!(text),
        Primitive::Boolean(truth) => json!(truth),
        Primitive::Datetime(moment) => json!(rfc3339(moment)),
        Primitive::Duration(period) => json!(seconds(period)),
    }
}

fn rfc3339(moment: &Timestamp) -> String {
    serde_json::to_value(moment).ok().and_then(|text| text.as_str().map(str::to_owned)).unwrap_or_default()
}

fn seconds(period: &Duration) -> f64 {
    // A period that a person can mean is exact to a microsecond.
    #[allow(clippy::cast_precision_loss, reason = "see above")]
    let whole = period.seconds as f64;
    whole + f64::from(period.nanos) / 1e9
}

fn binary(binary: &Binary) -> Value {
    let mut bytes: &[u8] = &binary.value;
    if binary.tag == MESSAGE_PACK
        && let Ok(value) = rmpv::decode::read_value(&mut bytes)
        && bytes.is_empty()
    {
        return unpacked(value);
    }
    json!({"base64": STANDARD.encode(&binary.value), "tag": binary.tag})
}

fn unpacked(value: rmpv::Value) -> Value {
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
        rmpv::Value::Array(list) => list.into_iter().map(unpacked).collect(),
        rmpv::Value::Map(pairs) => {
            let name = |key| match unpacked(key) {
                Value::String(text) => text,
                other => other.to_string(),
            };
            pairs.into_iter().map(|(key, value)| (name(key), unpacked(value))).collect::<Map<_, _>>().into()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(literal: Value) -> Value {
        value(&serde_json::from_value(literal).unwrap())
    }

    #[test]
    fn values_are_what_json_calls_them() {
        let primitive = |value| of(json!({"scalar": {"primitive": value}}));
        assert_eq!(primitive(json!({"integer": "-9007199254740993"})), json!(-9_007_199_254_740_993_i64));
        assert_eq!(primitive(json!({"floatValue": 0.5})), json!(0.5));
        assert_eq!(primitive(json!({"floatValue": "NaN"})), json!("NaN"));
        assert_eq!(primitive(json!({"stringValue": ""})), json!(""));
        assert_eq!(primitive(json!({"datetime": "2026-11-25T01:02:03Z"})), json!("2026-11-25T01:02:03Z"));
        assert_eq!(primitive(json!({"duration": "90.5s"})), json!(90.5));
        assert_eq!(of(json!({"scalar": {"noneType": {}}})), json!(null));
        let one = json!({"scalar": {"primitive": {"integer": "1"}}});
        assert_eq!(of(json!({"scalar": {"union": {"value": one}}})), json!(1));
        assert_eq!(of(json!({"collection": {"literals": [one, one]}})), json!([1, 1]));
        assert_eq!(of(json!({"map": {"literals": {"a": one}}})), json!({"a": 1}));
        let blob = json!({"uri": "s3://b/k", "metadata": {"type": {"dimensionality": "MULTIPART"}}});
        assert_eq!(of(json!({"scalar": {"blob": blob}})), json!({"uri": "s3://b/k", "kind": "dir"}));
        assert_eq!(of(json!({"scalar": {"generic": {"a": [1, null]}}})), json!({"a": [1.0, null]}));
        assert_eq!(of(json!({})), json!(null));
    }

    #[test]
    fn data_classes_are_objects_and_other_bytes_stay_bytes() {
        let mut packed = Vec::new();
        let map = vec![
            ("name".into(), "x".into()),
            (7.into(), rmpv::Value::Array(vec![rmpv::Value::Nil, true.into(), 1.5.into()])),
        ];
        rmpv::encode::write_value(&mut packed, &rmpv::Value::Map(map)).unwrap();
        let literal = |tag: &str, bytes: &[u8]| {
            of(json!({"scalar": {"binary": {"value": STANDARD.encode(bytes), "tag": tag}}}))
        };
        assert_eq!(literal("msgpack", &packed), json!({"name": "x", "7": [null, true, 1.5]}));
        assert_eq!(literal("other", b"hi"), json!({"base64": "aGk=", "tag": "other"}));
        // Broken: shown as it is.
        assert_eq!(literal("msgpack", &[0xc0, 0xc0]), json!({"base64": "wMA=", "tag": "msgpack"}));
    }
}
