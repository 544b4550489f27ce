//! What may be granted to whoever acts: a role, scopes, and a part of the control plane.

use std::{fmt, str::FromStr};

/// What somebody may do at most; each role includes those before it. The numbers are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// Reads.
    Viewer = 0,
    /// Runs and deploys too.
    Contributor = 1,
    /// Everything.
    Admin = 2,
}

impl Role {
    /// All of them, the least first.
    pub const ALL: [Self; 3] = [Self::Viewer, Self::Contributor, Self::Admin];

    /// Its name in requests and answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Contributor => "contributor",
            Self::Admin => "admin",
        }
    }

    /// The role with this number; `None` where there is none.
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

/// A text that names no role.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be viewer, contributor or admin")]
pub struct UnknownRole;

impl FromStr for Role {
    type Err = UnknownRole;

    fn from_str(text: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.as_str() == text).ok_or(UnknownRole)
    }
}

/// The part of the control plane that somebody works in; the default is all of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Limit {
    /// The one project.
    pub project: Option<String>,
    /// The one domain of that project; never without a project.
    pub domain: Option<String>,
}

impl Limit {
    /// Whether it leaves everything open.
    #[must_use]
    pub fn is_none(&self) -> bool {
        self.project.is_none() && self.domain.is_none()
    }

    /// Whether something in `project`, and in `domain` where it is in one, lies within.
    #[must_use]
    pub fn includes(&self, project: &str, domain: Option<&str>) -> bool {
        let domain_fits = match (&self.domain, domain) {
            (Some(own), Some(domain)) => own == domain,
            _ => true,
        };
        self.project.as_deref().is_none_or(|own| own == project) && domain_fits
    }

    /// Whether everything within `other` lies within this one too.
    #[must_use]
    pub fn covers(&self, other: &Self) -> bool {
        let covers = |own: &Option<String>, other: &Option<String>| own.is_none() || own == other;
        covers(&self.project, &other.project) && covers(&self.domain, &other.domain)
    }
}

/// What a machine identity may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rights {
    /// What it may do at most.
    pub role: Role,
    /// The scopes that its tokens may have.
    pub scopes: Vec<String>,
    /// Where.
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
    fn a_limit_includes_what_lies_within() {
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
