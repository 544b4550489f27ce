//! Options that limit the rights of a key or rule.

use clap::{Args, ValueEnum};
use flyte_client::Access;

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
