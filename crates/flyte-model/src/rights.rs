//! The rights that a principal can have: a role, scopes, and a part of the control plane.

use std::{fmt, str::FromStr};

use crate::Scopes;

/// The most that a principal may do. Each role includes the roles before it. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// May read.
    Viewer = 0,
    /// May also run and deploy.
    Contributor = 1,
    /// May do everything.
    Admin = 2,
}

impl Role {
    /// All roles, the weakest first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Contributor, Self::Admin];

    /// Returns the role's name in requests and responses.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Contributor => "contributor",
            Self::Admin => "admin",
        }
    }

    /// Returns the role with this number, or `None` if no role has it.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|role| *role as i64 == number)
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not the name of a role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be viewer, contributor or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// The part of the control plane that a principal may work in. The default is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The only project.
    pub project: Option<String>,
    /// The only domain of that project. It is never set without a project.
    pub domain: Option<String>,
}

impl Limit {
    /// Returns whether nothing is excluded.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.project.is_none() && self.domain.is_none()
    }

    /// Returns whether the limit includes `project` and `domain`. `domain` is `None` for a thing that is in no domain.
    #[must_use]
    pub fn includes(&self, project: &str, domain: Option<&str>) -> bool {
        let domain_fits = match (&self.domain, domain) {
            (Some(own), Some(domain)) => own == domain,
            _ => true,
        };
        self.project.as_deref().is_none_or(|own| own == project) && domain_fits
    }

    /// Returns whether everything that `other` includes is included here too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let covers = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        covers(&self.project, &other.project) && covers(&self.domain, &other.domain)
    }
}

/// The rights of a machine identity.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// The most that it may do.
    pub role: Role,
    /// The scopes that its tokens may have.
    pub scopes: Scopes,
    /// The part of the control plane that it may work in.
    pub limit: Limit,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(project: &str, domain: &str) -> Limit {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        Limit { project: given(project), domain: given(domain) }
    }

    #[test]
    fn roles_are_ordered_named_and_numbered() {
        assert!(Role::Viewer < Role::Contributor && Role::Contributor < Role::Admin);
        for role in Role::ALL {
            assert_eq!(role.as_str().parse(), Ok(role));
            assert_eq!(Role::from_number(role as i64), Some(role));
        }
        assert_eq!("Admin".parse::<Role>(), Err(UnknownRole));
        assert_eq!(Role::from_number(3), None);
    }

    #[test]
    fn a_limit_includes_its_own_project_and_domain() {
        for (own, project, domain, expected) in [
            (limit("", ""), "p", Some("d"), true),
            (limit("p", ""), "p", Some("d"), true),
            (limit("p", ""), "q", Some("d"), false),
            (limit("p", "d"), "p", Some("d"), true),
            (limit("p", "d"), "p", None, true),
            (limit("p", "d"), "p", Some("e"), false),
            (limit("p", "d"), "q", Some("d"), false),
        ] {
            assert_eq!(own.includes(project, domain), expected, "{own:?} {project} {domain:?}");
        }
    }

    #[test]
    fn a_limit_covers_no_more_than_itself() {
        let (all, project, domain) = (limit("", ""), limit("p", ""), limit("p", "d"));
        assert!(all.covers(&all) && all.covers(&project) && all.covers(&domain));
        assert!(!project.covers(&all) && project.covers(&project) && project.covers(&domain));
        assert!(!domain.covers(&all) && !domain.covers(&project) && domain.covers(&domain));
        assert!(!project.covers(&limit("q", "")) && !domain.covers(&limit("p", "e")));
    }
}
