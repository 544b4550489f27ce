//! The attributes that this server stores, in one table (RFC 7643 section 7): what the schemas say, what filters and paths may
//! name, and what types values have.

mod attributes;
mod json;

use std::borrow::Cow;

use crate::{error::ScimError, filter::AttributePath};

pub(crate) use self::json::{resource_types, schemas};

/// The core schema of users.
pub(crate) const USER: &str = "urn:ietf:params:scim:schemas:core:2.0:User";
/// The extension of users for enterprises (RFC 7643 section 4.3).
pub(crate) const ENTERPRISE: &str = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User";
/// The core schema of groups.
pub(crate) const GROUP: &str = "urn:ietf:params:scim:schemas:core:2.0:Group";

/// The type of an attribute's values.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Type {
    /// A text.
    Text,
    /// `true` or `false`.
    Flag,
    /// A time (`xsd:dateTime`).
    Time,
    /// A URI: of a resource of these types, or of anything.
    Reference(&'static [&'static str]),
    /// An object with sub-attributes.
    Complex(&'static [Attribute]),
}

/// An attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Attribute {
    pub(crate) name: &'static str,
    pub(crate) kind: Type,
    pub(crate) is_list: bool,
    pub(crate) is_required: bool,
    pub(crate) is_read_only: bool,
    pub(crate) case_exact: bool,
    /// Unique among the resources of a client.
    pub(crate) is_unique: bool,
    /// Always part of a response.
    pub(crate) is_always_returned: bool,
    /// The values that a client may send; empty if there is no list of them.
    pub(crate) canonical_values: &'static [&'static str],
    pub(crate) description: &'static str,
}

impl Attribute {
    const fn new(name: &'static str, kind: Type, description: &'static str) -> Self {
        Self {
            name,
            kind,
            description,
            is_list: false,
            is_required: false,
            is_read_only: false,
            case_exact: false,
            is_unique: false,
            is_always_returned: false,
            canonical_values: &[],
        }
    }

    const fn text(name: &'static str, description: &'static str) -> Self {
        Self::new(name, Type::Text, description)
    }

    const fn one_of(self, canonical_values: &'static [&'static str]) -> Self {
        Self { canonical_values, ..self }
    }

    const fn list(self) -> Self {
        Self { is_list: true, ..self }
    }

    const fn required(self) -> Self {
        Self { is_required: true, ..self }
    }

    const fn read_only(self) -> Self {
        Self { is_read_only: true, ..self }
    }

    const fn exact(self) -> Self {
        Self { case_exact: true, ..self }
    }

    const fn unique(self) -> Self {
        Self { is_unique: true, ..self }
    }

    const fn always(self) -> Self {
        Self { is_always_returned: true, ..self }
    }

    /// Its sub-attributes.
    pub(crate) const fn subs(&self) -> &'static [Self] {
        match self.kind {
            Type::Complex(subs) => subs,
            _ => &[],
        }
    }
}

/// Finds an attribute by its name, in any case.
pub(crate) fn find<'a>(attributes: &'a [Attribute], name: &str) -> Option<&'a Attribute> {
    attributes.iter().find(|attribute| attribute.name.eq_ignore_ascii_case(name))
}

/// A type of resource.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Resource {
    /// A user.
    User,
    /// A group.
    Group,
}

/// What a path names: the extension's URN if it is in the extension, and the attribute and sub-attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The URN of the extension.
    pub(crate) extension: Option<&'static str>,
    /// The attribute; `None` for all of the extension.
    pub(crate) attribute: Option<&'static Attribute>,
    /// The sub-attribute.
    pub(crate) sub: Option<&'static Attribute>,
}

impl Found {
    /// The attribute that values are compared with: the sub-attribute, or `value` of a complex one.
    pub(crate) fn compared(&self) -> Option<&'static Attribute> {
        let attribute = self.attribute?;
        match (self.sub, attribute.kind) {
            (Some(sub), _) => Some(sub),
            (None, Type::Complex(subs)) => find(subs, "value"),
            (None, _) => Some(attribute),
        }
    }

    /// The names on the way to the value.
    pub(crate) fn names(&self) -> Vec<Cow<'static, str>> {
        let names = [self.extension, self.attribute.map(|it| it.name), self.sub.map(|it| it.name)];
        names.into_iter().flatten().map(Cow::Borrowed).collect()
    }

    /// The canonical name, in lower case: `emails.value`.
    pub(crate) fn key(&self) -> String {
        self.names().join(".").to_ascii_lowercase()
    }
}

impl Resource {
    /// Its name: `User`.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::User => "User",
            Self::Group => "Group",
        }
    }

    /// The part of its address: `Users`.
    pub(crate) const fn endpoint(self) -> &'static str {
        match self {
            Self::User => "Users",
            Self::Group => "Groups",
        }
    }

    /// The URN of its core schema.
    pub(crate) const fn schema(self) -> &'static str {
        match self {
            Self::User => USER,
            Self::Group => GROUP,
        }
    }

    /// The attributes of its core schema.
    pub(crate) const fn attributes(self) -> &'static [Attribute] {
        match self {
            Self::User => attributes::USER,
            Self::Group => attributes::GROUP,
        }
    }

    /// The attributes of an extension, by its URN in any case.
    pub(crate) fn extension(self, urn: &str) -> Option<(&'static str, &'static [Attribute])> {
        let is_it = self == Self::User && urn.eq_ignore_ascii_case(ENTERPRISE);
        is_it.then_some((ENTERPRISE, attributes::ENTERPRISE))
    }

    /// Finds what a path names.
    ///
    /// # Errors
    /// The reason, as the end of a sentence.
    pub(crate) fn find(self, path: &AttributePath) -> Result<Found, String> {
        let unknown = || format!("{path} is not an attribute of a {}", self.name());
        let (extension, attributes) = match path.schema.as_deref() {
            None => (None, None),
            Some(urn) if urn.eq_ignore_ascii_case(self.schema()) => (None, None),
            Some(urn) => {
                let (urn, attributes) = self.extension(urn).ok_or_else(unknown)?;
                (Some(urn), Some(attributes))
            }
        };
        if path.name.is_empty() {
            return match extension {
                Some(_) => Ok(Found { extension, attribute: None, sub: None }),
                None => Err(unknown()),
            };
        }
        let common = attributes::COMMON;
        let attribute = match attributes {
            Some(attributes) => find(attributes, &path.name),
            None => find(self.attributes(), &path.name).or_else(|| find(common, &path.name)),
        };
        let attribute = attribute.ok_or_else(unknown)?;
        let sub = match &path.sub {
            None => None,
            Some(sub) => Some(find(attribute.subs(), sub).ok_or_else(unknown)?),
        };
        Ok(Found { extension, attribute: Some(attribute), sub })
    }

    /// Finds what a filter names.
    pub(crate) fn find_in_filter(self, path: &AttributePath) -> Result<Found, ScimError> {
        self.find(path).map_err(ScimError::filter)
    }
}
