//! What a request names.

use std::{borrow::Cow, fmt};

use super::{Refusal, meaning::Meaning};

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
}

/// The way from a request to one of its fields, for messages.
#[derive(Clone, Copy, Debug)]
pub(super) struct Path<'p> {
    pub(super) parent: Option<&'p Path<'p>>,
    pub(super) name: &'p str,
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

    /// A text that is a part of no identifier, and whether it must name an object of the store.
    fn text(&mut self, text: &[u8], is_object: bool, path: &Path<'_>) -> Result<(), Refusal>;

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
    /// Adds a part.
    ///
    /// # Errors
    /// [`Refusal::Malformed`] for a part that was added before. Decoders take the last one; no encoder writes two.
    pub(super) fn set(
        &mut self,
        meaning: Meaning,
        text: Cow<'m, str>,
        path: &Path<'_>,
    ) -> Result<(), Refusal> {
        let part = match meaning {
            Meaning::Organization => &mut self.organization,
            Meaning::Project => &mut self.project,
            Meaning::Domain => &mut self.domain,
            Meaning::Run => &mut self.run,
            Meaning::Text | Meaning::Object => return Ok(()),
        };
        match part.replace(text) {
            None => Ok(()),
            Some(_) => Err(Refusal::Malformed(format!("{path} is in the request twice"))),
        }
    }

    pub(super) fn is_empty(&self) -> bool {
        [&self.organization, &self.project, &self.domain, &self.run]
            .into_iter()
            .flatten()
            .all(|part| part.is_empty())
    }

    pub(super) fn into_identifier(self, is_relation: bool) -> Identifier<'m> {
        Identifier {
            organization: self.organization.unwrap_or_default(),
            project: self.project.unwrap_or_default(),
            domain: self.domain.unwrap_or_default(),
            run: self.run.filter(|run| !run.is_empty()),
            is_relation,
        }
    }
}
