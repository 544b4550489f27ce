//! Bindings: who has which role, and where.

use flyte_model::Limit;

/// The kind of a [`Subject`]. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SubjectKind {
    /// A person with an account; the identifier of the account.
    User = 0,
    /// A group of people; its identifier.
    Group = 1,
    /// An API key; its `client_id`.
    Application = 2,
    /// A policy; its name. Its assignees have its bindings.
    Policy = 3,
}

impl SubjectKind {
    /// All kinds.
    pub const ALL: [Self; 4] = [Self::User, Self::Group, Self::Application, Self::Policy];

    /// The kind with this number; `None` if no kind has it.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as i64 == number)
    }

    /// The noun for messages.
    #[must_use]
    pub const fn noun(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::Group => "group",
            Self::Application => "API key",
            Self::Policy => "policy",
        }
    }
}

/// Who has bindings.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Subject {
    /// The kind.
    pub kind: SubjectKind,
    /// The identifier, by the kind.
    pub id: String,
}

impl Subject {
    /// A person.
    #[must_use]
    pub fn user(id: &str) -> Self {
        Self { kind: SubjectKind::User, id: id.to_owned() }
    }

    /// A group.
    #[must_use]
    pub fn group(id: &str) -> Self {
        Self { kind: SubjectKind::Group, id: id.to_owned() }
    }

    /// An API key.
    #[must_use]
    pub fn application(client_id: &str) -> Self {
        Self { kind: SubjectKind::Application, id: client_id.to_owned() }
    }

    /// A policy.
    #[must_use]
    pub fn policy(name: &str) -> Self {
        Self { kind: SubjectKind::Policy, id: name.to_owned() }
    }
}

/// A role of a subject in a part of the control plane.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Binding {
    /// Who has the role.
    pub subject: Subject,
    /// The name of a built-in or custom role.
    pub role: String,
    /// Where: everywhere, in a project, in a domain of a project, or in a domain of all projects.
    pub limit: Limit,
}
