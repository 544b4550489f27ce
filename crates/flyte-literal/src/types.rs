//! The types of inputs and outputs, in Python notation.

use flyte_idl::flyteidl2::core::blob_type::BlobDimensionality;
use flyte_idl::flyteidl2::core::literal_type::Type;
use flyte_idl::flyteidl2::core::{LiteralType, SimpleType};

/// Writes a type in Python notation, for example `list[int]` or `str | None`.
#[must_use]
pub fn python_name(literal_type: &LiteralType) -> String {
    match &literal_type.r#type {
        Some(Type::Simple(simple)) => simple_name(simple.as_known(), literal_type),
        Some(Type::CollectionType(item)) => format!("list[{}]", python_name(item)),
        Some(Type::MapValueType(value)) => format!("dict[str, {}]", python_name(value)),
        Some(Type::Blob(blob)) => match blob.dimensionality.as_known() {
            Some(BlobDimensionality::MULTIPART) => "Dir".to_owned(),
            _ => "File".to_owned(),
        },
        Some(Type::EnumType(choices)) => {
            let choices: Vec<_> = choices.values.iter().map(|choice| format!("{choice:?}")).collect();
            format!("Literal[{}]", choices.join(", "))
        }
        Some(Type::UnionType(union)) => {
            union.variants.iter().map(python_name).collect::<Vec<_>>().join(" | ")
        }
        Some(Type::StructuredDatasetType(_)) => "DataFrame".to_owned(),
        Some(Type::Schema(_)) => "Schema".to_owned(),
        None => "Any".to_owned(),
    }
}

fn simple_name(simple: Option<SimpleType>, literal_type: &LiteralType) -> String {
    let word = match simple {
        Some(SimpleType::NONE) => "None",
        Some(SimpleType::INTEGER) => "int",
        Some(SimpleType::FLOAT) => "float",
        Some(SimpleType::STRING) => "str",
        Some(SimpleType::BOOLEAN) => "bool",
        Some(SimpleType::DATETIME) => "datetime",
        Some(SimpleType::DURATION) => "timedelta",
        Some(SimpleType::BINARY) => "bytes",
        Some(SimpleType::ERROR) => "Exception",
        // The schema of a data class has its name.
        Some(SimpleType::STRUCT) => match title(literal_type) {
            Some(title) => return title,
            None => "dict",
        },
        None => "Any",
    };
    word.to_owned()
}

fn title(literal_type: &LiteralType) -> Option<String> {
    let metadata = serde_json::to_value(literal_type.metadata.as_option()?).ok()?;
    metadata.get("title").and_then(|title| title.as_str()).map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn of(json: Value) -> String {
        python_name(&serde_json::from_value::<LiteralType>(json).unwrap())
    }

    #[test]
    fn types_are_in_python_notation() {
        assert_eq!(of(json!({"simple": "INTEGER"})), "int");
        assert_eq!(of(json!({"collectionType": {"simple": "STRING"}})), "list[str]");
        assert_eq!(
            of(json!({"mapValueType": {"collectionType": {"simple": "FLOAT"}}})),
            "dict[str, list[float]]"
        );
        assert_eq!(
            of(json!({"unionType": {"variants": [{"simple": "STRING"}, {"simple": "NONE"}]}})),
            "str | None"
        );
        assert_eq!(of(json!({"enumType": {"values": ["a", "b"]}})), "Literal[\"a\", \"b\"]");
        assert_eq!(of(json!({"blob": {"dimensionality": "MULTIPART"}})), "Dir");
        assert_eq!(of(json!({"blob": {}})), "File");
        assert_eq!(of(json!({"simple": "STRUCT", "metadata": {"title": "Config"}})), "Config");
        assert_eq!(of(json!({"simple": "STRUCT"})), "dict");
        assert_eq!(of(json!({"simple": "NONE"})), "None");
        assert_eq!(of(json!({})), "Any");
    }
}
