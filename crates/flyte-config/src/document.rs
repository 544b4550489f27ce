//! Changes single settings in a file.
//!
//! An edit changes only the bytes of one setting, which a YAML parser locates. Comments, unknown keys, order, quotation marks and
//! line endings stay the same. The edited text is then parsed and compared with the old one: if anything but the one setting
//! differs, the edit is refused and the document does not change.

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::error::{ConfigError, Origin};
use crate::key::Key;
use crate::scalar::{self, Plain};
use crate::tree::{Kind, NodeId, Style, Tree};
use crate::{atomic, config, value};

/// The text of a configuration file, open for edits.
#[derive(Debug)]
pub struct Document {
    path: PathBuf,
    text: String,
    tree: Tree,
    /// The content of the file when it was opened; `None` if the file did not exist or the text came from elsewhere.
    opened: Option<String>,
}

/// A value to set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Setting<'a> {
    /// Text, which is quoted if necessary.
    Text(&'a str),
    /// `true` or `false`.
    Boolean(bool),
    /// A list of words, which is written on one line.
    Words(&'a [String]),
}

/// Why an edit was refused.
struct Refusal {
    at: Option<NodeId>,
    reason: &'static str,
}

fn refuse<T>(at: NodeId, reason: &'static str) -> Result<T, Refusal> {
    Err(Refusal { at: Some(at), reason })
}

/// A replacement of a range of bytes.
struct Patch {
    range: Range<usize>,
    with: String,
}

impl Document {
    /// Opens the file at `path`. If it does not exist, the document is empty, and [`Self::save`] creates the file.
    ///
    /// # Errors
    /// If the file cannot be read or is malformed.
    pub fn open(path: &Path) -> Result<Self, ConfigError> {
        match config::read(path) {
            Ok(text) => Ok(Self { opened: Some(text.clone()), ..Self::parse(text, path)? }),
            Err(ConfigError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                Self::parse(String::new(), path)
            }
            Err(error) => Err(error),
        }
    }

    /// Parses `text` as the content of the file at `path`.
    ///
    /// # Errors
    /// If the text is malformed.
    pub fn parse(text: String, path: &Path) -> Result<Self, ConfigError> {
        let tree = config::parse(&text, path)?;
        Ok(Self { path: path.to_owned(), text, tree, opened: None })
    }

    /// The current text.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The value of a key; `None` if it is not set or not text.
    #[must_use]
    pub fn get(&self, key: &Key) -> Option<&str> {
        let section = self.tree.get(self.tree.root(), key.section);
        let value = self.tree.get(section, key.name)?;
        self.tree.text(value).filter(|_| !self.tree.is_null(value))
    }

    /// Sets a key. If it has this value already, the text does not change.
    ///
    /// # Errors
    /// [`ConfigError::NotEditable`] if the edit would change something else.
    pub fn set(&mut self, key: &Key, setting: Setting<'_>) -> Result<(), ConfigError> {
        let section = self.tree.get(self.tree.root(), key.section);
        if self.tree.get(section, key.name).is_some_and(|value| holds(&self.tree, value, setting)) {
            return Ok(());
        }
        let patch = self.plan_set(key, setting);
        self.apply(key, patch, Some(setting))
    }

    /// Removes a key. A comment after its value is kept.
    ///
    /// # Errors
    /// [`ConfigError::NotEditable`] if the edit would change something else.
    pub fn remove(&mut self, key: &Key) -> Result<(), ConfigError> {
        let Some((_, section)) = self.tree.root().and_then(|root| self.tree.entry(root, key.section)) else {
            return Ok(());
        };
        let Some((name, value)) = self.tree.entry(section, key.name) else { return Ok(()) };
        let patch = self.plan_remove(name, value);
        self.apply(key, patch, None)
    }

    /// Writes the file atomically. An existing file keeps its mode; only the owner can read a new file.
    ///
    /// # Errors
    /// If the file cannot be written, and [`ConfigError::ChangedMeanwhile`] if another program changed the file after it was opened.
    /// The file then stays the same.
    pub fn save(&self) -> Result<(), ConfigError> {
        if let Some(opened) = &self.opened
            && config::read(&self.path).is_ok_and(|now| now != *opened)
        {
            return Err(ConfigError::ChangedMeanwhile { path: self.path.clone() });
        }
        atomic::write(&self.path, &self.text)
    }

    fn plan_set(&self, key: &Key, setting: Setting<'_>) -> Result<Patch, Refusal> {
        let Some(root) = self.tree.root() else { return self.append_section(key, setting, 0) };
        let entries = match &self.tree.node(root).kind {
            Kind::Mapping { entries, flow: false } => entries,
            Kind::Scalar { .. } if self.tree.node(root).span.is_empty() => {
                return self.append_section(key, setting, 0);
            }
            _ => return refuse(root, "the file is not written as lines of sections (admin:, task:)"),
        };
        if let Some((section_key, section)) = self.tree.entry(root, key.section) {
            return self.set_in_section(section_key, section, key, setting);
        }
        let indent = entries.first().map_or(0, |(first, _)| self.tree.node(*first).column - 1);
        self.append_section(key, setting, indent)
    }

    fn set_in_section(
        &self,
        section_key: NodeId,
        section: NodeId,
        key: &Key,
        setting: Setting<'_>,
    ) -> Result<Patch, Refusal> {
        let node = self.tree.node(section);
        match &node.kind {
            Kind::Scalar { .. } if self.tree.is_null(section) && node.span.is_empty() => {
                let key_node = self.tree.node(section_key);
                let line =
                    format!("{}{}: {}", " ".repeat(key_node.column + 1), key.name, written(setting, false));
                Ok(self.line_after(key_node.span.end, &line))
            }
            Kind::Mapping { entries, flow } => match self.tree.entry(section, key.name) {
                Some((name, value)) => self.replace(name, value, &written(setting, *flow)),
                None => self.insert(section, entries, *flow, key.name, &written(setting, *flow)),
            },
            Kind::Alias(_) => refuse(section, "its section is an alias (*name)"),
            _ => refuse(section, "its section is not a mapping of keys to values"),
        }
    }

    /// Replaces a value.
    fn replace(&self, name: NodeId, value: NodeId, with: &str) -> Result<Patch, Refusal> {
        let node = self.tree.node(value);
        if node.anchored || node.tagged {
            return refuse(value, "its value has an anchor or a tag (&name or !name)");
        }
        match &node.kind {
            Kind::Scalar { style: Style::Block, .. } => {
                refuse(value, "its value is a block of text (| or >)")
            }
            Kind::Scalar { .. } if node.span.is_empty() => {
                let after = self.tree.node(name).span.end;
                let rest = self.text.get(after..).unwrap_or_default();
                let Some(colon) = rest.trim_start_matches([' ', '\t']).strip_prefix(':') else {
                    return refuse(name, "its colon is not on the line of its name");
                };
                let at = self.text.len() - colon.len();
                Ok(Patch { range: at..at, with: format!(" {with}") })
            }
            Kind::Scalar { .. } | Kind::Alias(_) => {
                Ok(Patch { range: node.span.clone(), with: with.to_owned() })
            }
            _ => refuse(value, "its value is a list or a mapping"),
        }
    }

    /// Adds an entry to a mapping.
    fn insert(
        &self,
        section: NodeId,
        entries: &[(NodeId, NodeId)],
        flow: bool,
        name: &str,
        value: &str,
    ) -> Result<Patch, Refusal> {
        let entry = format!("{name}: {value}");
        let (Some((first, _)), Some(last)) = (entries.first(), entries.last()) else {
            // An empty mapping is always written as `{}`.
            let at = self.tree.node(section).span.start + 1;
            return Ok(Patch { range: at..at, with: entry });
        };
        match self.tree.entry_end(*last) {
            Some(end) if flow => Ok(Patch { range: end..end, with: format!(", {entry}") }),
            Some(end) => Ok(self.line_after(end, &format!("{}{entry}", self.indent_of(*first)))),
            None => {
                // The end of a block scalar is hard to find, so insert before the first line of the section instead.
                let start = self.line_start(self.tree.node(*first).span.start);
                let with = format!("{}{entry}{}", self.indent_of(*first), self.line_end());
                Ok(Patch { range: start..start, with })
            }
        }
    }

    fn append_section(&self, key: &Key, setting: Setting<'_>, indent: usize) -> Result<Patch, Refusal> {
        if self.tree.ended_explicitly {
            return Err(Refusal { at: None, reason: "a line of three dots (...) ends the document" });
        }
        let (outer, inner) = (" ".repeat(indent), " ".repeat(indent + 2));
        let value = written(setting, false);
        let line_end = self.line_end();
        let lines = format!("{outer}{}:{line_end}{inner}{}: {value}{line_end}", key.section, key.name);
        let length = self.text.len();
        let missing = if self.text.is_empty() || self.text.ends_with('\n') { "" } else { line_end };
        Ok(Patch { range: length..length, with: format!("{missing}{lines}") })
    }

    fn plan_remove(&self, name: NodeId, value: NodeId) -> Result<Patch, Refusal> {
        let start = self.tree.node(name).span.start;
        let line_start = self.line_start(start);
        let indent = &self.text[line_start..start];
        if !indent.bytes().all(|byte| byte == b' ') {
            return refuse(name, "it is not on a line of its own");
        }
        let Some(end) = self.tree.entry_end((name, value)) else {
            return refuse(value, "its value ends in a block of text (| or >)");
        };
        let rest = self.text.get(end..).unwrap_or_default();
        let line = &rest[..rest.find('\n').map_or(rest.len(), |at| at + 1)];
        let with = line.find('#').map(|at| format!("{indent}{}", &line[at..])).unwrap_or_default();
        Ok(Patch { range: line_start..end + line.len(), with })
    }

    /// Applies a patch if it changes only this key.
    fn apply(
        &mut self,
        key: &Key,
        patch: Result<Patch, Refusal>,
        setting: Option<Setting<'_>>,
    ) -> Result<(), ConfigError> {
        let changed = patch.and_then(|patch| {
            let refusal = Refusal { at: None, reason: "the edit would change something else in the file" };
            let mut text = self.text.clone();
            let Patch { range, with } = patch;
            if text.get(range.clone()).is_none() {
                return Err(refusal);
            }
            text.replace_range(range, &with);
            match Tree::parse(&text) {
                Ok(tree) if self.differs_only_in(&tree, key, setting) => Ok((text, tree)),
                _ => Err(refusal),
            }
        });
        match changed {
            Ok((text, tree)) => {
                (self.text, self.tree) = (text, tree);
                Ok(())
            }
            Err(Refusal { at, reason }) => {
                let whole = Origin::File { path: self.path.clone(), line: 1, column: 1 };
                let section = self.tree.root().and_then(|root| self.tree.entry(root, key.section));
                let at = at.or(section.map(|(name, _)| name));
                let origin = at.map_or(whole, |id| value::origin(&self.path, &self.tree, id));
                Err(ConfigError::NotEditable { origin, key: key.to_string(), reason })
            }
        }
    }

    fn differs_only_in(&self, new: &Tree, key: &Key, setting: Option<Setting<'_>>) -> bool {
        let new_section =
            new.root().and_then(|root| new.entry(root, key.section)).map(|(_, section)| section);
        let new_value = new_section.and_then(|section| new.entry(section, key.name)).map(|(_, value)| value);
        let value_fits = match (setting, new_value) {
            (Some(setting), Some(value)) => holds(new, value, setting),
            (None, None) => true,
            _ => false,
        };
        let old_section = self.tree.root().and_then(|root| self.tree.entry(root, key.section));
        let properties =
            |tree: &Tree, section: NodeId| (tree.node(section).anchored, tree.node(section).tagged);
        let section_fits = match (old_section, new_section) {
            (Some((_, old)), Some(section)) => {
                properties(&self.tree, old) == properties(new, section)
                    && same_but(&self.tree, Some(old), new, Some(section), key.name)
            }
            (None, Some(section)) => same_but(&self.tree, None, new, Some(section), key.name),
            (Some(_), None) => false,
            (None, None) => true,
        };
        value_fits
            && section_fits
            && same_but(&self.tree, self.tree.root(), new, new.root(), key.section)
            && self.tree.comments == new.comments
    }

    fn line_start(&self, at: usize) -> usize {
        self.text[..at].rfind('\n').map_or(0, |newline| newline + 1)
    }

    /// The spaces before a node that is the first one on its line.
    fn indent_of(&self, id: NodeId) -> String {
        " ".repeat(self.tree.node(id).column - 1)
    }

    /// Inserts a line after the line that contains the byte `at`.
    fn line_after(&self, at: usize, line: &str) -> Patch {
        let rest = self.text.get(at..).unwrap_or_default();
        let (at, with) = match rest.find('\n') {
            Some(newline) => (at + newline + 1, format!("{line}{}", self.line_end())),
            None => (self.text.len(), format!("{}{line}", self.line_end())),
        };
        Patch { range: at..at, with }
    }

    /// The line ending of this file.
    fn line_end(&self) -> &'static str {
        if self.text.contains("\r\n") { "\r\n" } else { "\n" }
    }
}

fn written(setting: Setting<'_>, in_flow: bool) -> String {
    match setting {
        Setting::Text(text) if in_flow => scalar::write_in_flow(text),
        Setting::Text(text) => scalar::write(text),
        Setting::Boolean(value) => value.to_string(),
        Setting::Words(words) => {
            let words: Vec<_> = words.iter().map(|word| scalar::write_in_flow(word)).collect();
            format!("[{}]", words.join(", "))
        }
    }
}

/// Whether a value equals `setting`.
fn holds(tree: &Tree, value: NodeId, setting: Setting<'_>) -> bool {
    match setting {
        Setting::Text(text) => tree.plain(value) == Some(Plain::Text) && tree.text(value) == Some(text),
        Setting::Boolean(boolean) => tree.plain(value) == Some(Plain::Boolean(boolean)),
        Setting::Words(words) => {
            let Some(Kind::Sequence { items, .. }) = tree.resolve(value).map(|id| &tree.node(id).kind) else {
                return false;
            };
            items.len() == words.len()
                && items.iter().zip(words).all(|(item, word)| holds(tree, *item, Setting::Text(word)))
        }
    }
}

/// Whether two mappings have the same entries in the same order, except the entry `name`. A null or absent mapping counts as empty.
fn same_but(old: &Tree, old_id: Option<NodeId>, new: &Tree, new_id: Option<NodeId>, name: &str) -> bool {
    let (Some(olds), Some(news)) = (others(old, old_id, name), others(new, new_id, name)) else {
        return false;
    };
    olds.len() == news.len() && olds.iter().zip(&news).all(|(a, b)| old.same_entry(*a, new, *b))
}

fn others(tree: &Tree, id: Option<NodeId>, name: &str) -> Option<Vec<(NodeId, NodeId)>> {
    let Some(id) = id else { return Some(Vec::new()) };
    match &tree.node(id).kind {
        Kind::Mapping { entries, .. } => {
            Some(entries.iter().copied().filter(|(key, _)| tree.text(*key) != Some(name)).collect())
        }
        _ if tree.is_null(id) => Some(Vec::new()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
