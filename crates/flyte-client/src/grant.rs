//! Roles in parts of the control plane.

use std::fmt;
use std::str::FromStr;

use buffa::MessageField;
use flyte_idl::cloudidl::common::{
    Domain, Organization, PolicyBinding, Project, Resource, RoleIdentifier, resource,
};
use flyte_idl::flyteauth as wire;
use serde::Serialize;

/// A role in a part of the control plane. As text: `ROLE`, `ROLE@PROJECT`, `ROLE@PROJECT/DOMAIN`, or `ROLE@/DOMAIN` for a domain
/// of all projects.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Grant {
    /// The name of the role.
    pub role: String,
    /// The project; empty for all projects.
    pub project: String,
    /// The domain; empty for all domains.
    pub domain: String,
}

/// A text that is not a role in a part of the control plane.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("write ROLE, ROLE@PROJECT, ROLE@PROJECT/DOMAIN, or ROLE@/DOMAIN for a domain of all projects")]
pub struct WrongGrant;

impl Grant {
    /// Whether the role is for all projects and domains.
    #[must_use]
    pub fn is_everywhere(&self) -> bool {
        self.project.is_empty() && self.domain.is_empty()
    }

    /// The message of the hosted control plane. Its shape is that of the published plugin: a project always has a domain, which
    /// is empty for all domains.
    pub(crate) fn binding(&self, org: &str) -> PolicyBinding {
        PolicyBinding {
            role_id: MessageField::some(role_id(org, &self.role)),
            resource: MessageField::some(self.resource(org)),
            ..PolicyBinding::default()
        }
    }

    fn resource(&self, org: &str) -> Resource {
        let organization = Organization { name: org.to_owned(), ..Organization::default() };
        let domain = Domain {
            name: self.domain.clone(),
            organization: MessageField::some(organization.clone()),
            ..Domain::default()
        };
        let resource = match (self.project.as_str(), self.domain.as_str()) {
            ("", "") => resource::Resource::from(organization),
            ("", _) => domain.into(),
            (project, _) => {
                Project { name: project.to_owned(), domain: MessageField::some(domain), ..Project::default() }
                    .into()
            }
        };
        Resource { resource: Some(resource), ..Resource::default() }
    }

    /// A role in the part of the control plane that a message of the hosted control plane says.
    pub(crate) fn in_resource(role: String, resource: Option<Resource>) -> Self {
        let everywhere = Self { role, ..Self::default() };
        match resource.and_then(|resource| resource.resource) {
            Some(resource::Resource::Domain(domain)) => Self { domain: domain.name, ..everywhere },
            Some(resource::Resource::Project(project)) => Self {
                project: project.name,
                domain: project.domain.into_option().map(|domain| domain.name).unwrap_or_default(),
                ..everywhere
            },
            // Roles are not given in the other parts.
            _ => everywhere,
        }
    }
}

/// The message of a role's name.
pub(crate) fn role_id(org: &str, name: &str) -> RoleIdentifier {
    RoleIdentifier { organization: org.to_owned(), name: name.to_owned(), ..RoleIdentifier::default() }
}

impl From<PolicyBinding> for Grant {
    fn from(binding: PolicyBinding) -> Self {
        let role = binding.role_id.into_option().map(|id| id.name).unwrap_or_default();
        Self::in_resource(role, binding.resource.into_option())
    }
}

impl From<wire::Grant> for Grant {
    fn from(message: wire::Grant) -> Self {
        Self { role: message.role, project: message.project, domain: message.domain }
    }
}

impl From<Grant> for wire::Grant {
    fn from(grant: Grant) -> Self {
        let Grant { role, project, domain } = grant;
        Self { role, project, domain, ..Default::default() }
    }
}

impl fmt::Display for Grant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.role)?;
        if !self.is_everywhere() {
            write!(f, "@{}", self.project)?;
        }
        if !self.domain.is_empty() {
            write!(f, "/{}", self.domain)?;
        }
        Ok(())
    }
}

impl FromStr for Grant {
    type Err = WrongGrant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (role, place) = match text.split_once('@') {
            Some((role, place)) => (role, Some(place)),
            None => (text, None),
        };
        let (project, domain) = match place.map(|place| place.split_once('/').unwrap_or((place, ""))) {
            None => ("", ""),
            // Nothing after the sign is a forgotten name rather than everything.
            Some(("", "")) => return Err(WrongGrant),
            Some(named) => named,
        };
        if role.is_empty() || domain.contains(['/', '@']) || project.contains('@') || text.ends_with('/') {
            return Err(WrongGrant);
        }
        Ok(Self { role: role.to_owned(), project: project.to_owned(), domain: domain.to_owned() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(role: &str, project: &str, domain: &str) -> Grant {
        Grant { role: role.into(), project: project.into(), domain: domain.into() }
    }

    #[test]
    fn text_and_messages_are_read_back() {
        for (text, expected) in [
            ("viewer", grant("viewer", "", "")),
            ("viewer@alpha", grant("viewer", "alpha", "")),
            ("ops@alpha/production", grant("ops", "alpha", "production")),
            ("ops@/production", grant("ops", "", "production")),
        ] {
            assert_eq!(text.parse(), Ok(expected.clone()), "{text}");
            assert_eq!(expected.to_string(), text);
            assert_eq!(Grant::from(expected.binding("acme")), expected);
            assert_eq!(Grant::from(wire::Grant::from(expected.clone())), expected);
        }
        for wrong in
            ["", "@alpha", "viewer@", "viewer@/", "viewer@alpha/", "viewer@a/b/c", "viewer@a@b", "v@a/b@c"]
        {
            assert_eq!(wrong.parse::<Grant>(), Err(WrongGrant), "{wrong}");
        }
    }
}
