//! The JSON form of messages ([ProtoJSON](https://protobuf.dev/programming-guides/json/)).
//!
//! Only people and browsers call in JSON; all other callers use the binary form. So one generic conversion, which reads the
//! descriptors, replaces generated code for each message.

use std::sync::{Arc, LazyLock};

use buffa::{DecodeOptions, EncodeError};
use buffa_descriptor::{
    DescriptorPool, MessageIndex, PoolError,
    reflect::{DynamicMessage, DynamicMessageSeed},
};
use bytes::Bytes;
use serde::{
    Deserializer, Serialize as _, Serializer,
    de::{DeserializeSeed as _, Error as _},
    ser::Error as _,
};

use crate::{FILE_DESCRIPTOR_SET, wire::WireMessage};

/// Looks up a message of `proto/` by its full name.
fn descriptor(message: &str) -> Result<(Arc<DescriptorPool>, MessageIndex), String> {
    static POOL: LazyLock<Result<Arc<DescriptorPool>, PoolError>> =
        LazyLock::new(|| DescriptorPool::decode(FILE_DESCRIPTOR_SET).map(Arc::new));
    let pool = POOL.as_ref().map_err(|error| format!("the descriptors cannot be read: {error}"))?;
    let index = pool.message_index(message).ok_or_else(|| format!("{message} has no descriptor"))?;
    Ok((Arc::clone(pool), index))
}

/// Options without limits, for bytes that this process has just encoded.
fn unlimited() -> DecodeOptions {
    DecodeOptions::new().with_element_memory_limit(usize::MAX).with_unknown_field_limit(usize::MAX)
}

/// Writes `message` as JSON.
pub(crate) fn serialize<M: WireMessage, S: Serializer>(
    message: &M,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serialize_encoded(M::FULL_NAME, message.try_to_wire(), serializer)
}

/// Reads a message from JSON. Unknown names are ignored, so that newer clients can call older servers.
pub(crate) fn deserialize<'de, M: WireMessage, D: Deserializer<'de>>(deserializer: D) -> Result<M, D::Error> {
    let encoded = deserialize_encoded(M::FULL_NAME, deserializer)?;
    M::from_wire(&encoded, &unlimited()).map_err(D::Error::custom)
}

/// The part of [`serialize`] that is the same for all messages.
fn serialize_encoded<S: Serializer>(
    name: &str,
    encoded: Result<Bytes, EncodeError>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let (pool, index) = descriptor(name).map_err(S::Error::custom)?;
    let encoded = encoded.map_err(S::Error::custom)?;
    DynamicMessage::decode_with_options(pool, index, &encoded, &unlimited())
        .map_err(S::Error::custom)?
        .serialize(serializer)
}

/// The part of [`deserialize`] that is the same for all messages.
fn deserialize_encoded<'de, D: Deserializer<'de>>(name: &str, deserializer: D) -> Result<Vec<u8>, D::Error> {
    let (pool, index) = descriptor(name).map_err(D::Error::custom)?;
    DynamicMessageSeed::new(pool, index)
        .ignore_unknown_fields(true)
        .deserialize(deserializer)?
        .try_encode_to_vec()
        .map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use buffa::Message as _;
    use serde_json::{Value, json};

    use crate::flyteidl2::{common::ListRequest, task::TaskSpec};

    /// A task with every kind of field, in the form that `google.protobuf.json_format` of Python writes.
    fn task() -> Value {
        json!({
            "taskTemplate": {
                "id": {"resourceType": "TASK", "project": "flyte", "name": "a.b"},
                "type": "python",
                "metadata": {"retries": {"retries": 3}, "timeout": "90.500s", "interruptible": true},
                "interface": {"inputs": {"variables": [
                    {"key": "x", "value": {"type": {"simple": "INTEGER"}, "description": "d"}},
                ]}},
                "custom": {"number": 1.0, "half": 0.5, "list": [null, true, "s", {"deep": {}}]},
                "container": {
                    "image": "i",
                    "args": ["a", "b"],
                    "resources": {"requests": [{"name": "CPU", "value": "1"}]},
                    "ports": [{"containerPort": 80}],
                    "architecture": "ARM64",
                },
                "taskTypeVersion": -2,
                "config": {"b": "2", "a": "1"},
                "reusePolicy": {},
            },
            "defaultInputs": [
                {"name": "i", "parameter": {"var": {}, "default": primitive("integer", "9007199254740993")}},
                {"name": "f", "parameter": {"default": primitive("floatValue", 1e300)}},
                {"name": "n", "parameter": {"default": primitive("floatValue", "NaN")}},
                {"name": "t", "parameter": {"default": primitive("datetime", "2026-11-28T10:00:00.123Z")}},
                {"name": "d", "parameter": {"default": primitive("duration", "-1.000000001s")}},
                {"name": "e", "parameter": {"default": primitive("stringValue", "")}},
                {"name": "b", "parameter": {"default": {"scalar": {"binary": {"value": "+/8=", "tag": "msgpack"}}}}},
                {"name": "m", "parameter": {"default": {"map": {"literals": {"k": {"scalar": {"noneType": {}}}}}}}},
                {"name": "u", "parameter": {"required": false}},
            ],
            "shortName": "b",
            "environment": {"name": "env"},
        })
    }

    fn primitive(kind: &str, value: impl Into<Value>) -> Value {
        json!({"scalar": {"primitive": {kind: value.into()}}})
    }

    #[test]
    fn json_equals_that_of_the_python_implementation() {
        let message: TaskSpec = serde_json::from_value(task()).unwrap();
        assert_eq!(message.task_template.task_type_version, -2);
        assert_eq!(serde_json::to_value(&message).unwrap(), task());
        // The size in Python: no field is lost.
        assert_eq!(message.encode_to_vec().len(), 417);
        let text = serde_json::to_string(&message).unwrap();
        assert_eq!(serde_json::from_str::<TaskSpec>(&text).unwrap().encode_to_vec().len(), 417);
    }

    #[test]
    fn proto_names_are_accepted_and_unknown_names_ignored() {
        let request: ListRequest =
            serde_json::from_str(r#"{"raw_filters": ["a"], "limit": "5", "later": {"x": [1]}}"#).unwrap();
        assert_eq!((request.raw_filters.as_slice(), request.limit), (&["a".to_owned()][..], 5));
    }

    #[test]
    fn malformed_json_is_rejected() {
        for text in [
            "5",
            "[]",
            "{",
            r#"{"limit": "x"}"#,
            r#"{"limit": -1}"#,
            r#"{"sortBy": 5}"#,
            r#"{"limit":1,"limit":2}"#,
        ] {
            assert!(serde_json::from_str::<ListRequest>(text).is_err(), "{text}");
        }
    }
}
