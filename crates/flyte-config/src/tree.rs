//! A YAML document as a tree. Each node has its position in the text.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use granit_parser::{Event, Parser, ScalarStyle, Span, StructureStyle};

use crate::scalar::{self, Plain};

/// The maximum number of aliases and merge keys to follow.
const MAX_INDIRECTION: usize = 16;

/// The index of a node in its tree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct NodeId(usize);

#[derive(Debug)]
pub(crate) struct Node {
    pub(crate) kind: Kind,
    /// The position of the text, in bytes. For a collection in block style, the end may include lines after it.
    pub(crate) span: Range<usize>,
    /// The line, from 1.
    pub(crate) line: usize,
    /// The column in characters, from 1.
    pub(crate) column: usize,
    /// Whether the node has an anchor (`&name`), so that aliases may refer to it.
    pub(crate) anchored: bool,
    /// Whether the node has a tag (`!name`).
    pub(crate) tagged: bool,
}

#[derive(Debug)]
pub(crate) enum Kind {
    Scalar { text: String, style: Style },
    Sequence { items: Vec<NodeId>, flow: bool },
    Mapping { entries: Vec<(NodeId, NodeId)>, flow: bool },
    Alias(usize),
}

/// The style of a scalar.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    Plain,
    Quoted,
    /// A literal (`|`) or folded (`>`) block.
    Block,
}

/// Why a text is not a YAML document.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    pub(crate) line: usize,
    pub(crate) column: usize,
    pub(crate) reason: String,
}

#[derive(Debug, Default)]
pub(crate) struct Tree {
    nodes: Vec<Node>,
    root: Option<NodeId>,
    anchors: HashMap<usize, NodeId>,
    /// The text of every comment, in order.
    pub(crate) comments: Vec<String>,
    /// Whether a line `...` ends the document. Text after it would not be part of the document.
    pub(crate) ended_explicitly: bool,
}

impl Tree {
    /// Parses a text that contains at most one document.
    pub(crate) fn parse(text: &str) -> Result<Self, SyntaxError> {
        let options = granit_parser::options! { max_buffered_comment_events: 1 << 20 };
        let mut builder = Builder::default();
        for event in Parser::new_from_str_with_options(text, options) {
            let (event, span) = event.map_err(|error| SyntaxError {
                line: error.marker().line(),
                column: error.marker().col() + 1,
                reason: error.info(),
            })?;
            builder.take(event, &span, text)?;
        }
        Ok(builder.tree)
    }

    /// The top node; `None` if the text contains no document.
    pub(crate) fn root(&self) -> Option<NodeId> {
        self.root
    }

    pub(crate) fn node(&self, id: NodeId) -> &Node {
        &self.nodes[id.0]
    }

    /// Follows aliases to a node; `None` for an alias of itself.
    pub(crate) fn resolve(&self, id: NodeId) -> Option<NodeId> {
        let mut id = id;
        for _ in 0..MAX_INDIRECTION {
            match self.node(id).kind {
                Kind::Alias(anchor) => id = *self.anchors.get(&anchor)?,
                _ => return Some(id),
            }
        }
        None
    }

    /// The entry `name` of a mapping. Does not follow aliases and merge keys.
    pub(crate) fn entry(&self, mapping: NodeId, name: &str) -> Option<(NodeId, NodeId)> {
        let Kind::Mapping { entries, .. } = &self.node(mapping).kind else { return None };
        entries.iter().copied().find(|(key, _)| self.text(*key) == Some(name))
    }

    /// The value of `name` in a mapping. Follows aliases and merge keys (`<<`).
    pub(crate) fn get(&self, mapping: Option<NodeId>, name: &str) -> Option<NodeId> {
        self.get_within(mapping?, name, MAX_INDIRECTION)
    }

    fn get_within(&self, mapping: NodeId, name: &str, depth: usize) -> Option<NodeId> {
        let depth = depth.checked_sub(1)?;
        let mapping = self.resolve(mapping)?;
        if let Some((_, value)) = self.entry(mapping, name) {
            return self.resolve(value);
        }
        let merged = self.resolve(self.entry(mapping, "<<")?.1)?;
        match &self.node(merged).kind {
            Kind::Sequence { items, .. } => items.iter().find_map(|item| self.get_within(*item, name, depth)),
            _ => self.get_within(merged, name, depth),
        }
    }

    /// The text of a scalar.
    pub(crate) fn text(&self, id: NodeId) -> Option<&str> {
        match &self.node(id).kind {
            Kind::Scalar { text, .. } => Some(text),
            _ => None,
        }
    }

    /// The type of a scalar. A quoted or tagged scalar is always text.
    pub(crate) fn plain(&self, id: NodeId) -> Option<Plain> {
        let node = self.node(id);
        match &node.kind {
            Kind::Scalar { text, style: Style::Plain } if !node.tagged => Some(scalar::resolve(text)),
            Kind::Scalar { .. } => Some(Plain::Text),
            _ => None,
        }
    }

    /// Whether a value is null.
    pub(crate) fn is_null(&self, id: NodeId) -> bool {
        self.plain(id) == Some(Plain::Null)
    }

    /// Whether two subtrees contain the same data in the same order.
    pub(crate) fn same(&self, id: NodeId, other: &Self, other_id: NodeId) -> bool {
        let (node, other_node) = (self.node(id), other.node(other_id));
        if (node.anchored, node.tagged) != (other_node.anchored, other_node.tagged) {
            return false;
        }
        match (&node.kind, &other_node.kind) {
            (Kind::Scalar { text, style }, Kind::Scalar { text: other, style: other_style }) => {
                text == other && style == other_style
            }
            (Kind::Alias(anchor), Kind::Alias(other)) => anchor == other,
            (Kind::Sequence { items, .. }, Kind::Sequence { items: others, .. }) => {
                items.len() == others.len() && items.iter().zip(others).all(|(a, b)| self.same(*a, other, *b))
            }
            (Kind::Mapping { entries, .. }, Kind::Mapping { entries: others, .. }) => {
                entries.len() == others.len()
                    && entries.iter().zip(others).all(|(a, b)| self.same_entry(*a, other, *b))
            }
            _ => false,
        }
    }

    /// Whether two entries have the same key and value.
    pub(crate) fn same_entry(&self, entry: (NodeId, NodeId), other: &Self, others: (NodeId, NodeId)) -> bool {
        self.same(entry.0, other, others.0) && self.same(entry.1, other, others.1)
    }

    /// The end of the text of a node and its children; `None` if it is not known, because the last child is a block scalar.
    pub(crate) fn end(&self, id: NodeId) -> Option<usize> {
        let node = self.node(id);
        match &node.kind {
            Kind::Scalar { style: Style::Block, .. } => None,
            Kind::Sequence { items, flow: false } => match items.last() {
                Some(last) => self.end(*last),
                None => Some(node.span.end),
            },
            Kind::Mapping { entries, flow: false } => match entries.last() {
                Some(last) => self.entry_end(*last),
                None => Some(node.span.end),
            },
            _ => Some(node.span.end),
        }
    }

    /// The end of an entry of a mapping. An absent value has the position of its key.
    pub(crate) fn entry_end(&self, (key, value): (NodeId, NodeId)) -> Option<usize> {
        Some(self.end(key)?.max(self.end(value)?))
    }
}

/// A collection that has not ended yet.
struct Open {
    id: NodeId,
    children: Vec<NodeId>,
}

#[derive(Default)]
struct Builder {
    tree: Tree,
    open: Vec<Open>,
    documents: usize,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: &Span, text: &str) -> Result<(), SyntaxError> {
        match event {
            Event::DocumentStart(..) => {
                self.documents += 1;
                if self.documents > 1 {
                    let reason = "a second document starts here; a configuration has only one document";
                    return Err(SyntaxError {
                        line: span.start.line(),
                        column: span.start.col() + 1,
                        reason: reason.to_owned(),
                    });
                }
            }
            Event::DocumentEnd => {
                self.tree.ended_explicitly = span.slice(text).is_some_and(|end| end == "...");
            }
            Event::Comment(text, _) => self.tree.comments.push(text.into_owned()),
            Event::Alias(anchor) => {
                self.add(Kind::Alias(anchor), span, 0, false);
            }
            Event::Scalar(text, style, anchor, tag) => {
                let style = match style {
                    ScalarStyle::Plain => Style::Plain,
                    ScalarStyle::SingleQuoted | ScalarStyle::DoubleQuoted => Style::Quoted,
                    ScalarStyle::Literal | ScalarStyle::Folded => Style::Block,
                };
                self.add(Kind::Scalar { text: text.into_owned(), style }, span, anchor, tag.is_some());
            }
            Event::SequenceStart(style, anchor, tag) => {
                let flow = style == StructureStyle::Flow;
                self.begin(Kind::Sequence { items: Vec::new(), flow }, span, anchor, tag.is_some());
            }
            Event::MappingStart(style, anchor, tag) => {
                let flow = style == StructureStyle::Flow;
                self.begin(Kind::Mapping { entries: Vec::new(), flow }, span, anchor, tag.is_some());
            }
            Event::SequenceEnd | Event::MappingEnd => self.finish(span)?,
            _ => {}
        }
        Ok(())
    }

    fn begin(&mut self, kind: Kind, span: &Span, anchor: usize, tagged: bool) {
        let id = self.add(kind, span, anchor, tagged);
        self.open.push(Open { id, children: Vec::new() });
    }

    fn add(&mut self, kind: Kind, span: &Span, anchor: usize, tagged: bool) -> NodeId {
        let id = NodeId(self.tree.nodes.len());
        self.tree.nodes.push(Node {
            kind,
            span: span.byte_range().unwrap_or_default(),
            line: span.start.line(),
            column: span.start.col() + 1,
            anchored: anchor != 0,
            tagged,
        });
        if anchor != 0 {
            self.tree.anchors.insert(anchor, id);
        }
        match self.open.last_mut() {
            Some(open) => open.children.push(id),
            None => self.tree.root = Some(id),
        }
        id
    }

    fn finish(&mut self, span: &Span) -> Result<(), SyntaxError> {
        let Some(Open { id, children }) = self.open.pop() else { return Ok(()) };
        let end = span.byte_range().unwrap_or_default().end;
        match &mut self.tree.nodes[id.0].kind {
            Kind::Sequence { items, .. } => *items = children,
            Kind::Mapping { entries, .. } => {
                *entries = children.chunks_exact(2).map(|pair| (pair[0], pair[1])).collect();
            }
            Kind::Scalar { .. } | Kind::Alias(_) => {}
        }
        self.tree.nodes[id.0].span.end = end;
        self.refuse_duplicates(id)
    }

    /// Refuses duplicate keys of a mapping (YAML 1.2 section 3.2.1.1). The published client uses the last one without an error,
    /// which hides a mistake.
    fn refuse_duplicates(&self, id: NodeId) -> Result<(), SyntaxError> {
        let Kind::Mapping { entries, .. } = &self.tree.node(id).kind else { return Ok(()) };
        let mut seen = HashSet::new();
        for (key, _) in entries {
            if let Some(text) = self.tree.text(*key)
                && !seen.insert(text)
            {
                let node = self.tree.node(*key);
                let reason = format!("the key {text:?} is given twice");
                return Err(SyntaxError { line: node.line, column: node.column, reason });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value<'t>(tree: &'t Tree, section: &str, name: &str) -> Option<&'t str> {
        tree.get(tree.get(tree.root(), section), name).and_then(|id| tree.text(id))
    }

    #[test]
    fn nodes_have_their_position() {
        let text = "# top\nadmin:\n  endpoint: 'dns:///h' # here\n";
        let tree = Tree::parse(text).unwrap();
        let node = tree.node(tree.get(tree.get(tree.root(), "admin"), "endpoint").unwrap());
        assert_eq!((node.line, node.column, &text[node.span.clone()]), (3, 13, "'dns:///h'"));
        assert_eq!(tree.comments, [" top", " here"]);
    }

    #[test]
    fn aliases_and_merge_keys_are_followed() {
        let tree = Tree::parse("base: &b {org: acme}\ntask:\n  <<: *b\n  project: p\nadmin: *b\n").unwrap();
        assert_eq!(value(&tree, "task", "org"), Some("acme"));
        assert_eq!(value(&tree, "task", "project"), Some("p"));
        assert_eq!(value(&tree, "admin", "org"), Some("acme"));
    }

    #[test]
    fn an_alias_of_itself_has_no_value() {
        let tree = Tree::parse("task: &t\n  <<: *t\n  a: b\n").unwrap();
        assert_eq!(value(&tree, "task", "org"), None);
    }

    #[test]
    fn mistakes_are_located() {
        let error = Tree::parse("admin:\n  endpoint: [a\ntask: b\n").unwrap_err();
        assert!(error.line >= 2, "{error:?}");
        let error = Tree::parse("admin: {}\ntask: {}\nadmin: {}\n").unwrap_err();
        assert_eq!((error.line, error.column), (3, 1));
        let error = Tree::parse("a: b\n---\nc: d\n").unwrap_err();
        assert_eq!(error.line, 2);
        assert!(Tree::parse("\tadmin: x\n").is_err() || Tree::parse("admin:\n\tx: y\n").is_err());
    }

    #[test]
    fn many_comments_are_not_an_error() {
        let text = "# x\n".repeat(5000) + "admin: {}\n";
        assert_eq!(Tree::parse(&text).unwrap().comments.len(), 5000);
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[ \\na-c:#&*<>|\\[\\]{},'\"!?~%.-]{0,60}") {
            if let Ok(tree) = Tree::parse(&text) {
                tree.get(tree.get(tree.root(), "a"), "b");
            }
        }
    }
}
