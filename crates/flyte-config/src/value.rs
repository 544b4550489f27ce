//! Reads the values of keys from environment variables and the file, and converts them to their types.

use std::collections::BTreeMap;
use std::path::Path;

use crate::environment::Environment;
use crate::error::{ConfigError, Origin};
use crate::key::{Key, Kind};
use crate::scalar::{self, Plain};
use crate::tree::{self, NodeId, Tree};

/// A value and its origin.
pub(crate) struct Found<T> {
    pub(crate) value: T,
    pub(crate) key: &'static Key,
    pub(crate) origin: Origin,
}

impl<T> Found<T> {
    /// Converts the value to a more specific type.
    pub(crate) fn convert<U, E: std::fmt::Display>(
        self,
        convert: impl FnOnce(T) -> Result<U, E>,
    ) -> Result<U, ConfigError> {
        convert(self.value).map_err(|error| ConfigError::Value {
            origin: self.origin,
            key: self.key.to_string(),
            reason: format!("cannot be used: {error}"),
        })
    }
}

/// The sources of values. Environment variables take precedence over the file.
pub(crate) struct Sources<'a> {
    pub(crate) environment: &'a Environment,
    /// The file's path and content.
    pub(crate) file: Option<(&'a Path, &'a Tree)>,
}

/// A value before its conversion.
enum Raw<'a> {
    Variable(&'a str),
    Node(&'a Tree, NodeId),
}

impl<'a> Sources<'a> {
    pub(crate) fn text(&self, key: &'static Key) -> Result<Option<Found<String>>, ConfigError> {
        self.find(key, |raw| match raw {
            Raw::Variable(text) => Ok((*text).to_owned()),
            Raw::Node(tree, id) => text(tree, *id),
        })
    }

    pub(crate) fn boolean(&self, key: &'static Key) -> Result<bool, ConfigError> {
        let found = self.find(key, |raw| match raw {
            Raw::Variable(text) => match *text {
                "1" => Ok(true),
                "0" => Ok(false),
                text => scalar::boolean(text).ok_or_else(|| format!("not {text:?}")),
            },
            Raw::Node(tree, id) => match tree.plain(*id) {
                Some(Plain::Boolean(value)) => Ok(value),
                _ => Err(describe(tree, *id)),
            },
        })?;
        Ok(found.is_some_and(|found| found.value))
    }

    pub(crate) fn words(&self, key: &'static Key) -> Result<Vec<String>, ConfigError> {
        let found = self.find(key, |raw| match raw {
            Raw::Variable(text) if text.trim_start().starts_with('[') => serde_json::from_str(text)
                .map_err(|error| format!("and this is not a JSON array of text ({error})")),
            Raw::Variable(text) if key.kind == Kind::Command => {
                shlex::split(text).ok_or_else(|| "and the quotes do not match".to_owned())
            }
            Raw::Variable(text) => Ok(text
                .split(|c: char| c == ',' || c.is_whitespace())
                .filter(|word| !word.is_empty())
                .map(str::to_owned)
                .collect()),
            Raw::Node(tree, id) => match &tree.node(*id).kind {
                tree::Kind::Sequence { items, .. } => items
                    .iter()
                    .map(|item| {
                        tree.resolve(*item)
                            .map_or_else(|| Err("an alias of itself".to_owned()), |id| word(tree, id))
                    })
                    .collect(),
                _ => Err(describe(tree, *id)),
            },
        })?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    pub(crate) fn map(&self, key: &'static Key) -> Result<BTreeMap<String, String>, ConfigError> {
        let found = self.find(key, |raw| match raw {
            Raw::Variable(text) => serde_json::from_str(text)
                .map_err(|error| format!("and this is not a JSON object of text ({error})")),
            Raw::Node(tree, id) => match &tree.node(*id).kind {
                tree::Kind::Mapping { entries, .. } => entries
                    .iter()
                    .map(|(name, value)| {
                        let value = tree.resolve(*value).ok_or_else(|| "an alias of itself".to_owned())?;
                        Ok((word(tree, *name)?, word(tree, value)?))
                    })
                    .collect(),
                _ => Err(describe(tree, *id)),
            },
        })?;
        Ok(found.map(|found| found.value).unwrap_or_default())
    }

    fn find<T>(
        &self,
        key: &'static Key,
        convert: impl Fn(&Raw<'a>) -> Result<T, String>,
    ) -> Result<Option<Found<T>>, ConfigError> {
        let Some((raw, origin)) = self.raw(key)? else { return Ok(None) };
        match convert(&raw) {
            Ok(value) => Ok(Some(Found { value, key, origin })),
            Err(found) => {
                let reason = format!("has to be {}, {found}", key.kind);
                Err(ConfigError::Value { origin, key: key.to_string(), reason })
            }
        }
    }

    fn raw(&self, key: &'static Key) -> Result<Option<(Raw<'a>, Origin)>, ConfigError> {
        for name in key.variables() {
            if let Some(value) = self.environment.variable(&name) {
                return Ok(Some((Raw::Variable(value), Origin::Variable(name))));
            }
        }
        let Some((path, tree)) = self.file else { return Ok(None) };
        let Some(section) = tree.get(tree.root(), key.section) else { return Ok(None) };
        match tree.node(section).kind {
            tree::Kind::Mapping { .. } => {}
            _ if tree.is_null(section) => return Ok(None),
            _ => {
                return Err(ConfigError::Value {
                    origin: origin(path, tree, section),
                    key: key.section.to_owned(),
                    reason: format!("has to be a mapping of keys to values, {}", describe(tree, section)),
                });
            }
        }
        let value = tree.get(Some(section), key.name);
        // Null and empty text count as not set, as in the published client.
        let set = value.filter(|id| !tree.is_null(*id) && tree.text(*id) != Some(""));
        Ok(set.map(|id| (Raw::Node(tree, id), origin(path, tree, id))))
    }
}

/// The position of a node.
pub(crate) fn origin(path: &Path, tree: &Tree, id: NodeId) -> Origin {
    let node = tree.node(id);
    Origin::File { path: path.to_owned(), line: node.line, column: node.column }
}

fn text(tree: &Tree, id: NodeId) -> Result<String, String> {
    match (tree.plain(id), tree.text(id)) {
        (Some(Plain::Text), Some(text)) => Ok(text.to_owned()),
        (Some(Plain::Boolean(_) | Plain::Number), Some(text)) => {
            Err(format!("not {text}; put it in quotes if you mean the text"))
        }
        _ => Err(describe(tree, id)),
    }
}

/// Reads a word of a list. A number is read as the text that is written there, because the list contains only text.
fn word(tree: &Tree, id: NodeId) -> Result<String, String> {
    match tree.text(id) {
        Some(text) if !tree.is_null(id) => Ok(text.to_owned()),
        _ => Err(format!("but one of them is not: {}", describe(tree, id))),
    }
}

/// Describes a node that has the wrong type.
fn describe(tree: &Tree, id: NodeId) -> String {
    match &tree.node(id).kind {
        tree::Kind::Scalar { text, style: tree::Style::Quoted } => format!("not the quoted text {text:?}"),
        tree::Kind::Scalar { text, .. } => format!("not {text:?}"),
        tree::Kind::Sequence { .. } => "not a list".to_owned(),
        tree::Kind::Mapping { .. } => "not a mapping".to_owned(),
        tree::Kind::Alias(_) => "not an alias".to_owned(),
    }
}
