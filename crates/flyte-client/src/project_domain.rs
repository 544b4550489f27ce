//! A project and a domain together, which contain tasks, runs and apps.

use std::fmt;

use flyte_idl::flyteidl2::common::ProjectIdentifier;
use serde::Serialize;

/// A domain of a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize)]
pub struct ProjectDomain {
    /// The project's identifier.
    pub project: String,
    /// The domain's identifier, for example `development`.
    pub domain: String,
}

impl ProjectDomain {
    /// A domain of a project.
    pub fn new(project: impl Into<String>, domain: impl Into<String>) -> Self {
        Self { project: project.into(), domain: domain.into() }
    }

    pub(crate) fn identifier(&self, org: Option<&str>) -> ProjectIdentifier {
        ProjectIdentifier {
            organization: org.unwrap_or_default().to_owned(),
            domain: self.domain.clone(),
            name: self.project.clone(),
            ..Default::default()
        }
    }
}

impl fmt::Display for ProjectDomain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.project, self.domain)
    }
}
