//! Options that limit what a key or rule may do.

use clap::{Args, ValueEnum};
use flyte_client::Access;

/// What may be done.
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

/// Limits beside the role.
#[derive(Args, Debug)]
pub(crate) struct Limits {
    /// OAuth scope that tokens may have; can be given many times. All that the server gives without it
    #[arg(long, value_name = "SCOPE", value_delimiter = ',')]
    scope: Vec<String>,

    /// The one project to be used in. Any without it, whatever the configuration says
    #[arg(short, long, value_name = "NAME")]
    project: Option<String>,

    /// The one domain of that project to be used in, such as development
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
