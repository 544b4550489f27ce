//! Parses the values that people type for the inputs of deployed tasks, whose types are known but not their code.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use buffa_types::google::protobuf::Timestamp;
use flyte_idl::flyteidl2::core::literal_type::Type;
use flyte_idl::flyteidl2::core::{Literal, LiteralType, SimpleType};
use serde_json::{Value, json};

use super::MESSAGE_PACK;
use flyte_literal::python_name;

/// Parses a text as a value of a type.
///
/// # Errors
/// The reason why the text is not a value of the type.
pub(crate) fn parse(text: &str, literal_type: &LiteralType) -> Result<Literal, String> {
    let value = match &literal_type.r#type {
        // People type these values without the quotation marks of JSON.
        Some(
            Type::Simple(_)
            | Type::EnumType(_)
            | Type::Blob(_)
            | Type::StructuredDatasetType(_)
            | Type::Schema(_),
        ) => of_text(text, literal_type),
        Some(Type::UnionType(union)) => {
            // Every input is a valid `str`, so `str` is tried last.
            let is_text = |variant: &&LiteralType| matches!(&variant.r#type, Some(Type::Simple(simple)) if simple.as_known() == Some(SimpleType::STRING));
            let variants = union.variants.iter();
            let (texts, others): (Vec<_>, Vec<_>) = variants.partition(|variant| is_text(variant));
            let mut found = others.into_iter().chain(texts).filter_map(|variant| {
                let value = parse(text, variant).ok()?;
                Some(json!({"scalar": {"union": {"value": value, "type": variant}}}))
            });
            found.next().ok_or_else(|| mismatch(text, literal_type))
        }
        _ => {
            let value = serde_json::from_str(text)
                .map_err(|error| format!("{}, as JSON: {error}", mismatch(text, literal_type)))?;
            return of_json(&value, literal_type);
        }
    }?;
    literal(value)
}

/// Parses several texts as a list, one text for each item.
///
/// # Errors
/// The reason why the texts are not a value of the type.
pub(crate) fn parse_many(texts: &[String], literal_type: &LiteralType) -> Result<Literal, String> {
    match (&literal_type.r#type, texts) {
        (Some(Type::CollectionType(_)), [text]) if text.trim_start().starts_with('[') => {
            parse(text, literal_type)
        }
        (Some(Type::CollectionType(item)), texts) => {
            let items: Result<Vec<_>, _> = texts.iter().map(|text| parse(text, item)).collect();
            literal(json!({"collection": {"literals": items?}}))
        }
        (_, [text]) => parse(text, literal_type),
        _ => {
            Err(format!("it takes one value of the type {}, not {}", python_name(literal_type), texts.len()))
        }
    }
}

fn literal(value: Value) -> Result<Literal, String> {
    serde_json::from_value(value).map_err(|error| error.to_string())
}

/// The message that a text is not a value of a type.
fn mismatch(text: &str, literal_type: &LiteralType) -> String {
    format!("{text:?} is not a value of the type {}", python_name(literal_type))
}

fn of_text(text: &str, literal_type: &LiteralType) -> Result<Value, String> {
    let wrong = || mismatch(text, literal_type);
    let primitive = |value| json!({"scalar": {"primitive": value}});
    Ok(match &literal_type.r#type {
        Some(Type::EnumType(choices)) => {
            if !choices.values.iter().any(|choice| choice == text) {
                return Err(format!("{text:?} is not one of {}", choices.values.join(", ")));
            }
            primitive(json!({"stringValue": text}))
        }
        Some(Type::Blob(blob)) => {
            json!({"scalar": {"blob": {"uri": url(text)?, "metadata": {"type": blob}}}})
        }
        Some(Type::StructuredDatasetType(data)) => json!({"scalar": {"structuredDataset": {
            "uri": url(text)?, "metadata": {"structuredDatasetType": data}}}}),
        Some(Type::Schema(schema)) => json!({"scalar": {"schema": {"uri": url(text)?, "type": schema}}}),
        Some(Type::Simple(simple)) => match simple.as_known() {
            Some(SimpleType::NONE) => match text.to_ascii_lowercase().as_str() {
                "none" | "null" => json!({"scalar": {"noneType": {}}}),
                _ => return Err(wrong()),
            },
            Some(SimpleType::INTEGER) => {
                primitive(json!({"integer": text.trim().parse::<i64>().map_err(|_| wrong())?.to_string()}))
            }
            Some(SimpleType::FLOAT) => {
                let number = text.trim().parse::<f64>().map_err(|_| wrong())?;
                // JSON has no number for NaN and the infinities; proto-JSON has these words.
                let value = match number {
                    number if number.is_nan() => json!("NaN"),
                    f64::INFINITY => json!("Infinity"),
                    f64::NEG_INFINITY => json!("-Infinity"),
                    number => json!(number),
                };
                primitive(json!({"floatValue": value}))
            }
            Some(SimpleType::STRING) => primitive(json!({"stringValue": text})),
            Some(SimpleType::BOOLEAN) => match text.trim().to_ascii_lowercase().as_str() {
                "true" | "yes" | "on" | "1" => primitive(json!({"boolean": true})),
                "false" | "no" | "off" | "0" => primitive(json!({"boolean": false})),
                _ => return Err(wrong()),
            },
            Some(SimpleType::DATETIME) => {
                let time = serde_json::from_value::<Timestamp>(json!(text.trim()));
                let time = time.map_err(|_| format!("{}; write it as 2026-01-31T12:00:00Z", wrong()))?;
                primitive(json!({"datetime": time}))
            }
            Some(SimpleType::DURATION) => {
                let seconds =
                    seconds(text).ok_or_else(|| format!("{}; write it as 90s or 1h30m", wrong()))?;
                primitive(json!({"duration": format!("{seconds}s")}))
            }
            Some(SimpleType::STRUCT) => {
                let value: Value =
                    serde_json::from_str(text).map_err(|error| format!("{}, as JSON: {error}", wrong()))?;
                pack(&value)?
            }
            _ => return Err(format!("a value of the type {} cannot be typed", python_name(literal_type))),
        },
        _ => return Err(wrong()),
    })
}

fn url(text: &str) -> Result<&str, String> {
    if text.contains("://") {
        return Ok(text);
    }
    Err(format!(
        "{text:?} is not a URL (for example s3://bucket/key); a deployed task cannot read this machine's files"
    ))
}

/// Parses a duration, for example `90s`, `1h30m` or `2d`, into whole seconds.
fn seconds(text: &str) -> Option<u64> {
    let mut total = 0_u64;
    let mut rest = text.trim();
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        let end = rest.find(|c: char| !c.is_ascii_digit())?;
        let (count, after) = rest.split_at(end);
        let unit = match after.chars().next()? {
            's' => 1,
            'm' => 60,
            'h' => 3600,
            'd' => 86_400,
            _ => return None,
        };
        total = total.checked_add(count.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = &after[1..];
    }
    Some(total)
}

/// Converts a JSON value to a value of a type.
fn of_json(value: &Value, literal_type: &LiteralType) -> Result<Literal, String> {
    match (&literal_type.r#type, value) {
        (Some(Type::CollectionType(item)), Value::Array(items)) => {
            let items: Result<Vec<_>, _> = items.iter().map(|value| of_json(value, item)).collect();
            literal(json!({"collection": {"literals": items?}}))
        }
        (Some(Type::MapValueType(item)), Value::Object(pairs)) => {
            let pairs = pairs.iter().map(|(name, value)| Ok((name.clone(), json!(of_json(value, item)?))));
            let pairs: Result<serde_json::Map<_, _>, String> = pairs.collect();
            literal(json!({"map": {"literals": pairs?}}))
        }
        (Some(Type::CollectionType(_) | Type::MapValueType(_)), value) => {
            Err(mismatch(&value.to_string(), literal_type))
        }
        (_, Value::String(text)) => parse(text, literal_type),
        (_, value) => parse(&value.to_string(), literal_type),
    }
}

/// Encodes the value of a data class as tasks expect it: in `MessagePack`.
fn pack(value: &Value) -> Result<Value, String> {
    let mut bytes = Vec::new();
    rmpv::encode::write_value(&mut bytes, &message_pack(value)).map_err(|error| error.to_string())?;
    Ok(json!({"scalar": {"binary": {"value": STANDARD.encode(bytes), "tag": MESSAGE_PACK}}}))
}

fn message_pack(value: &Value) -> rmpv::Value {
    match value {
        Value::Null => rmpv::Value::Nil,
        Value::Bool(truth) => (*truth).into(),
        Value::Number(number) => number
            .as_i64()
            .map(rmpv::Value::from)
            .or_else(|| number.as_u64().map(rmpv::Value::from))
            .unwrap_or_else(|| number.as_f64().unwrap_or_default().into()),
        Value::String(text) => text.as_str().into(),
        Value::Array(items) => rmpv::Value::Array(items.iter().map(message_pack).collect()),
        Value::Object(pairs) => {
            let pairs = pairs.iter().map(|(name, value)| (name.as_str().into(), message_pack(value)));
            rmpv::Value::Map(pairs.collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_to_json(text: &str, literal_type: Value) -> Result<Value, String> {
        let literal_type: LiteralType = serde_json::from_value(literal_type).unwrap();
        parse(text, &literal_type).map(|literal| flyte_literal::value(&literal))
    }

    #[test]
    fn texts_are_parsed_by_type() {
        let simple = |name: &str| json!({"simple": name});
        let optional =
            json!({"unionType": {"variants": [simple("STRING"), simple("INTEGER"), simple("NONE")]}});
        for (text, literal_type, expected) in [
            ("-7", simple("INTEGER"), json!(-7)),
            ("0.5", simple("FLOAT"), json!(0.5)),
            ("nan", simple("FLOAT"), json!("NaN")),
            ("a b", simple("STRING"), json!("a b")),
            ("Yes", simple("BOOLEAN"), json!(true)),
            ("2026-01-31T12:00:00Z", simple("DATETIME"), json!("2026-01-31T12:00:00Z")),
            ("1h30m", simple("DURATION"), json!(5400.0)),
            ("none", optional.clone(), json!(null)),
            ("7", optional.clone(), json!(7)),
            ("seven", optional, json!("seven")),
            (r#"{"a": [1, 2.5, null, true]}"#, simple("STRUCT"), json!({"a": [1, 2.5, null, true]})),
            ("[1, 2]", json!({"collectionType": simple("INTEGER")}), json!([1, 2])),
            (
                r#"{"a": ["x"]}"#,
                json!({"mapValueType": {"collectionType": simple("STRING")}}),
                json!({"a": ["x"]}),
            ),
            ("b", json!({"enumType": {"values": ["a", "b"]}}), json!("b")),
            ("s3://b/k", json!({"blob": {}}), json!({"uri": "s3://b/k", "kind": "file"})),
        ] {
            assert_eq!(parse_to_json(text, literal_type.clone()), Ok(expected), "{text} as {literal_type}");
        }
    }

    #[test]
    fn errors_name_the_type() {
        let simple = |name: &str| json!({"simple": name});
        for (text, literal_type, message) in [
            ("x", simple("INTEGER"), "\"x\" is not a value of the type int"),
            ("1.5", simple("INTEGER"), "the type int"),
            ("maybe", simple("BOOLEAN"), "the type bool"),
            ("tomorrow", simple("DATETIME"), "write it as 2026-01-31T12:00:00Z"),
            ("90", simple("DURATION"), "write it as 90s"),
            ("c", json!({"enumType": {"values": ["a", "b"]}}), "not one of a, b"),
            ("here.csv", json!({"blob": {}}), "cannot read this machine's files"),
            ("1", json!({"collectionType": simple("INTEGER")}), "the type list[int]"),
            ("[\"x\"]", json!({"collectionType": simple("INTEGER")}), "the type int"),
            (
                "x",
                json!({"unionType": {"variants": [simple("INTEGER"), simple("NONE")]}}),
                "the type int | None",
            ),
        ] {
            let error = parse_to_json(text, literal_type).unwrap_err();
            assert!(error.contains(message), "{text}: {error}");
        }
    }

    #[test]
    fn several_texts_become_a_list() {
        let list: LiteralType =
            serde_json::from_value(json!({"collectionType": {"simple": "INTEGER"}})).unwrap();
        let parse = |texts: &[&str]| {
            let texts: Vec<_> = texts.iter().map(|text| (*text).to_owned()).collect();
            parse_many(&texts, &list).map(|literal| flyte_literal::value(&literal))
        };
        assert_eq!(parse(&["1", "2"]), Ok(json!([1, 2])));
        assert_eq!(parse(&["1"]), Ok(json!([1])));
        assert_eq!(parse(&["[1, 2]"]), Ok(json!([1, 2])));
        assert!(parse(&["x"]).is_err());
    }
}
