//! What a request names.

use std::{borrow::Cow, fmt};

use super::{Refusal, meaning::Meaning, plan::Node, tree::Tree};

/// The depth of the deepest identifiers that are the subject of a request: `app.metadata.id`, `action.action_id.run`.
const SUBJECT_DEPTH: usize = 2;

/// An identifier in a request. Parts that it leaves out are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Identifier<'m> {
    /// The organization.
    pub(super) organization: Cow<'m, str>,
    /// The project.
    pub(super) project: Cow<'m, str>,
    /// The domain.
    pub(super) domain: Cow<'m, str>,
    /// The name of the run, if it is the identifier of one.
    pub(super) run: Option<Cow<'m, str>>,
    /// Whether it is related to the subject of the request, and not a part of it.
    pub(super) is_relation: bool,
    /// Whether it is the subject of the request, which is in a project.
    pub(super) is_subject: bool,
}

/// The way from a request to one of its fields, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p> {
    pub(super) parent: Option<&'p Path<'p>>,
    pub(super) name: &'p str,
}

impl Path<'_> {
    /// How many messages the field is inside of.
    fn depth(&self) -> usize {
        self.parent.map_or(0, |parent| parent.depth() + 1)
    }
}

/// Whether an identifier at this place is the subject of the request. Those that are deeper inside are parts of specifications.
pub(super) fn is_subject(node: &Node, path: Option<&Path<'_>>, is_relation: bool) -> bool {
    node.is_in_project && !is_relation && path.is_some_and(|path| path.depth() <= SUBJECT_DEPTH)
}

impl fmt::Display for Path<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(parent) = self.parent {
            write!(f, "{parent}.")?;
        }
        f.write_str(self.name)
    }
}

/// Judges what a reader finds, as it finds it.
pub(super) trait Visitor {
    /// An identifier.
    fn identifier(&mut self, identifier: &Identifier<'_>) -> Result<(), Refusal>;

    /// A text that is a part of no identifier.
    fn text(&mut self, text: &[u8], meaning: Meaning, path: &Path<'_>) -> Result<(), Refusal>;

    /// An entry of a map of annotations.
    fn annotation(&mut self, key: &[u8], value: &[u8], path: &Path<'_>) -> Result<(), Refusal>;

    /// A message that is judged as a whole. Its texts are found one by one as well.
    fn whole(&mut self, tree: &Tree<'_>, path: &Path<'_>) -> Result<(), Refusal>;

    /// A message of an unknown type.
    fn unknown_message(&mut self, path: &Path<'_>) -> Result<(), Refusal>;
}

/// The parts of an identifier, as a reader finds them.
#[derive(Default)]
pub(super) struct Parts<'m> {
    organization: Option<Cow<'m, str>>,
    project: Option<Cow<'m, str>>,
    domain: Option<Cow<'m, str>>,
    run: Option<Cow<'m, str>>,
}

impl<'m> Parts<'m> {
    /// Adds a part. The readers refuse requests that have one twice.
    pub(super) fn set(&mut self, meaning: Meaning, text: Cow<'m, str>) {
        match meaning {
            Meaning::Organization => self.organization = Some(text),
            Meaning::Project => self.project = Some(text),
            Meaning::Domain => self.domain = Some(text),
            Meaning::Run => self.run = Some(text),
            Meaning::Text
            | Meaning::Object
            | Meaning::Base
            | Meaning::RelativePath
            | Meaning::Action
            | Meaning::Code(_) => {}
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        [&self.organization, &self.project, &self.domain, &self.run]
            .into_iter()
            .flatten()
            .all(|part| part.is_empty())
    }

    pub(super) fn into_identifier(self, is_relation: bool, is_subject: bool) -> Identifier<'m> {
        Identifier {
            organization: self.organization.unwrap_or_default(),
            project: self.project.unwrap_or_default(),
            domain: self.domain.unwrap_or_default(),
            run: self.run.filter(|run| !run.is_empty()),
            is_relation,
            is_subject,
        }
    }
}
