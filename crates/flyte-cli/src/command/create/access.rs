//! Options that limit the rights of a key or rule.

use clap::{Args, ValueEnum};
use flyte_client::{Access, Grant};

/// The role of a key or rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Role {
    /// Reads
    Viewer,
    /// Reads, runs and deploys
    Contributor,
    /// Everything
    Admin,
}

impl Role {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Contributor => "contributor",
            Self::Admin => "admin",
        }
    }
}

/// A part of the control plane in which a role is given.
#[derive(Args, Debug)]
pub(crate) struct Place {
    /// The role is for this project. By default all projects, regardless of the configuration
    #[arg(short, long, value_name = "NAME", requires = "role")]
    project: Option<String>,

    /// The role is for this domain, for example development. By default all domains
    #[arg(short, long, value_name = "NAME", requires = "role")]
    domain: Option<String>,
}

impl Place {
    /// A role there.
    pub(crate) fn grant(self, role: String) -> Grant {
        Grant { role, project: self.project.unwrap_or_default(), domain: self.domain.unwrap_or_default() }
    }
}

/// Limits in addition to the role.
#[derive(Args, Debug)]
pub(crate) struct Limits {
    /// OAuth scope of its tokens; can be repeated. By default all scopes
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<String>,

    /// Limit it to this project. By default all projects, regardless of the configuration
    #[arg(short, long, value_name = "NAME")]
    project: Option<String>,

    /// Limit it to this domain of the project, for example development
    #[arg(short, long, value_name = "NAME", requires = "project")]
    domain: Option<String>,
}

impl Limits {
    pub(crate) fn with(self, role: Option<Role>) -> Access {
        Access {
            role: role.map(Role::as_str).unwrap_or_default().to_owned(),
            scopes: self.scope,
            project: self.project.unwrap_or_default(),
            domain: self.domain.unwrap_or_default(),
        }
    }
}
