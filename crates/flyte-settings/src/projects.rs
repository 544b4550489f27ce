//! What the projects of a backend may use.

use std::str::FromStr;

use super::per_project::PerProject;

/// Where a backend keeps the objects of projects, and the rules for their code. In each list, `*` allows everything.
#[derive(Clone, Debug)]
pub struct ProjectsConfig {
    /// Prefixes of the objects of projects.
    pub storage: Vec<String>,
    /// Service accounts that code may run as.
    pub service_accounts: PerProject,
    /// The level that pod specifications must keep: one for each project, a [`PodSecurity`].
    pub pod_security: PerProject,
    /// `PodTemplate`s that tasks may name.
    pub pod_templates: PerProject,
    /// Groups of secrets, and Kubernetes secrets.
    pub secret_groups: PerProject,
    /// Config maps.
    pub config_maps: PerProject,
    /// Persistent volume claims.
    pub volume_claims: PerProject,
    /// Audiences of service-account tokens.
    pub token_audiences: PerProject,
    /// Registries of images.
    pub registries: PerProject,
    /// Types of tasks.
    pub task_types: PerProject,
    /// Whether the rules for code apply to callers without a limit.
    pub bind_administrators: bool,
}

/// A level of the Kubernetes Pod Security Standards.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum PodSecurity {
    /// Everything is allowed.
    Privileged,
    /// Known ways out of a container are not allowed.
    Baseline,
    /// Current practice for hardening pods.
    Restricted,
}

impl PodSecurity {
    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Privileged => "privileged",
            Self::Baseline => "baseline",
            Self::Restricted => "restricted",
        }
    }
}

/// A text is not the name of a level.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("privileged, baseline or restricted is expected")]
pub struct UnknownPodSecurity;

impl FromStr for PodSecurity {
    type Err = UnknownPodSecurity;

    fn from_str(text: &str) -> Result<Self, UnknownPodSecurity> {
        [Self::Privileged, Self::Baseline, Self::Restricted]
            .into_iter()
            .find(|level| level.name() == text)
            .ok_or(UnknownPodSecurity)
    }
}
