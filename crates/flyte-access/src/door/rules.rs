//! What code may be, project by project.

use std::{collections::HashMap, fmt};

use flyte_settings::{PerProject, PodSecurity, ProjectsConfig};

/// The rules for code that a backend runs, which the [door](super::Door) applies to every task, app and pod in a request.
#[derive(Clone, Debug)]
pub struct Rules {
    others: ProjectRules,
    projects: HashMap<String, ProjectRules>,
    bind_administrators: bool,
}

/// What code asks for. The value says which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ask {
    /// To run as a service account.
    ServiceAccount,
    /// To be based on a `PodTemplate`.
    PodTemplate,
    /// A group of secrets, or a Kubernetes secret.
    Secret,
    /// A config map.
    ConfigMap,
    /// A persistent volume claim.
    VolumeClaim,
    /// A service-account token for an audience.
    TokenAudience,
    /// To run an image.
    Image,
    /// To be run as a type of tasks.
    TaskType,
    /// What the Pod Security Standards forbid at this level.
    Security(PodSecurity),
    /// What is never allowed.
    Never,
}

impl Ask {
    /// The setting that decides.
    pub(super) fn rule(self) -> &'static str {
        match self {
            Self::ServiceAccount => "projects.service-accounts",
            Self::PodTemplate => "projects.pod-templates",
            Self::Secret => "projects.secret-groups",
            Self::ConfigMap => "projects.config-maps",
            Self::VolumeClaim => "projects.volume-claims",
            Self::TokenAudience => "projects.token-audiences",
            Self::Image => "projects.registries",
            Self::TaskType => "projects.task-types",
            Self::Security(_) => "projects.pod-security",
            Self::Never => "none",
        }
    }

    fn noun(self) -> &'static str {
        match self {
            Self::ServiceAccount => "the service account ",
            Self::PodTemplate => "the pod template ",
            Self::Secret => "the secret group ",
            Self::ConfigMap => "the config map ",
            Self::VolumeClaim => "the volume claim ",
            Self::TokenAudience => "a token for the audience ",
            Self::Image => "the image ",
            Self::TaskType => "the task type ",
            Self::Security(_) | Self::Never => "",
        }
    }
}

/// A refusal by the rules for code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Forbidden {
    /// The field of the request.
    pub field: String,
    /// What the field asks for.
    pub what: String,
    /// The setting that decides; `none` if nothing allows it.
    pub rule: &'static str,
    /// The project; empty if the request names none.
    pub project: String,
    /// What the rule allows.
    pub allowed: String,
}

impl std::error::Error for Forbidden {}

impl fmt::Display for Forbidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { field, what, rule, project, allowed } = self;
        write!(f, "{field} asks for {what}")?;
        if *rule == "none" {
            return f.write_str(", which is not allowed in any project");
        }
        write!(f, ", which {rule} does not allow")?;
        if !project.is_empty() {
            write!(f, " in project {project:?}")?;
        }
        write!(f, " (allowed: {allowed})")
    }
}

/// Values that are allowed.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Allowed {
    All,
    These(Vec<String>),
}

impl Allowed {
    fn new(values: &PerProject, project: &str) -> Self {
        let values = values.of(project);
        if values.contains(&"*") {
            Self::All
        } else {
            Self::These(values.into_iter().map(str::to_owned).collect())
        }
    }

    fn contains(&self, value: &str) -> bool {
        match self {
            Self::All => true,
            Self::These(values) => values.iter().any(|allowed| allowed == value),
        }
    }

    fn any(&self, is_match: impl Fn(&str) -> bool) -> bool {
        match self {
            Self::All => true,
            Self::These(values) => values.iter().any(|allowed| is_match(allowed)),
        }
    }
}

impl fmt::Display for Allowed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::All => f.write_str("all"),
            Self::These(values) if values.is_empty() => f.write_str("none"),
            Self::These(values) => f.write_str(&values.join(", ")),
        }
    }
}

/// The rules of one project.
#[derive(Clone, Debug)]
struct ProjectRules {
    pod_security: PodSecurity,
    service_accounts: Allowed,
    pod_templates: Allowed,
    secret_groups: Allowed,
    config_maps: Allowed,
    volume_claims: Allowed,
    token_audiences: Allowed,
    registries: Allowed,
    task_types: Allowed,
}

impl ProjectRules {
    fn new(config: &ProjectsConfig, project: &str) -> Self {
        Self {
            // The settings have checked the levels.
            pod_security: config
                .pod_security
                .of(project)
                .first()
                .and_then(|level| level.parse().ok())
                .unwrap_or(PodSecurity::Restricted),
            service_accounts: Allowed::new(&config.service_accounts, project),
            pod_templates: Allowed::new(&config.pod_templates, project),
            secret_groups: Allowed::new(&config.secret_groups, project),
            config_maps: Allowed::new(&config.config_maps, project),
            volume_claims: Allowed::new(&config.volume_claims, project),
            token_audiences: Allowed::new(&config.token_audiences, project),
            registries: Allowed::new(&config.registries, project),
            task_types: Allowed::new(&config.task_types, project),
        }
    }

    fn list(&self, ask: Ask) -> Option<&Allowed> {
        match ask {
            Ask::ServiceAccount => Some(&self.service_accounts),
            Ask::PodTemplate => Some(&self.pod_templates),
            Ask::Secret => Some(&self.secret_groups),
            Ask::ConfigMap => Some(&self.config_maps),
            Ask::VolumeClaim => Some(&self.volume_claims),
            Ask::TokenAudience => Some(&self.token_audiences),
            Ask::Image => Some(&self.registries),
            Ask::TaskType => Some(&self.task_types),
            Ask::Security(_) | Ask::Never => None,
        }
    }

    fn allows(&self, ask: Ask, value: &str) -> bool {
        match (ask, self.list(ask)) {
            (Ask::Image, Some(registries)) => registries.any(|registry| is_from(value, registry)),
            (_, Some(allowed)) => allowed.contains(value),
            (Ask::Security(level), None) => self.pod_security < level,
            (_, None) => false,
        }
    }

    fn describe(&self, ask: Ask) -> String {
        self.list(ask).map_or_else(|| self.pod_security.name().to_owned(), ToString::to_string)
    }
}

impl Rules {
    /// The rules of the settings.
    #[must_use]
    pub fn new(config: &ProjectsConfig) -> Self {
        let lists = [
            &config.service_accounts,
            &config.pod_security,
            &config.pod_templates,
            &config.secret_groups,
            &config.config_maps,
            &config.volume_claims,
            &config.token_audiences,
            &config.registries,
            &config.task_types,
        ];
        let projects = lists.into_iter().flat_map(PerProject::projects);
        Self {
            // No project has an empty name.
            others: ProjectRules::new(config, ""),
            projects: projects
                .map(|project| (project.to_owned(), ProjectRules::new(config, project)))
                .collect(),
            bind_administrators: config.bind_administrators,
        }
    }

    /// Whether the rules apply to callers without a limit.
    pub(super) fn bind_administrators(&self) -> bool {
        self.bind_administrators
    }

    fn of(&self, project: &str) -> &ProjectRules {
        self.projects.get(project).unwrap_or(&self.others)
    }

    /// Whether a request for this is allowed in all projects.
    pub(super) fn allow_everywhere(&self, ask: Ask, value: &str) -> bool {
        self.others.allows(ask, value) && self.projects.values().all(|rules| rules.allows(ask, value))
    }

    /// Decides whether code in a project may have what it asks for.
    ///
    /// # Errors
    /// [`Forbidden`].
    pub(super) fn judge(
        &self,
        project: &str,
        ask: Ask,
        value: &str,
        field: &dyn fmt::Display,
    ) -> Result<(), Forbidden> {
        let rules = self.of(project);
        if rules.allows(ask, value) {
            return Ok(());
        }
        let what = match ask {
            Ask::Security(_) | Ask::Never => value.to_owned(),
            _ => format!("{}{value:?}", ask.noun()),
        };
        Err(Forbidden {
            field: field.to_string(),
            what,
            rule: ask.rule(),
            project: project.to_owned(),
            allowed: rules.describe(ask),
        })
    }

    /// The rules of a project in words: the setting, and what it allows.
    pub fn describe(&self, project: &str) -> impl Iterator<Item = (&'static str, String)> {
        let rules = self.of(project);
        [
            Ask::Security(PodSecurity::Baseline),
            Ask::ServiceAccount,
            Ask::PodTemplate,
            Ask::Secret,
            Ask::ConfigMap,
            Ask::VolumeClaim,
            Ask::TokenAudience,
            Ask::Image,
            Ask::TaskType,
        ]
        .into_iter()
        .map(|ask| (ask.rule(), rules.describe(ask)))
    }
}

/// Whether an image is from a registry, or from a directory of one.
fn is_from(image: &str, registry: &str) -> bool {
    let (first, rest) = image.split_once('/').unwrap_or(("", image));
    let has_registry = first.contains(['.', ':']) || first == "localhost";
    let host = if has_registry { first } else { "docker.io" };
    // The library of Docker Hub is what has no directory.
    let path = match (has_registry, first) {
        (true, _) => rest.to_owned(),
        (false, "") => format!("library/{rest}"),
        (false, _) => image.to_owned(),
    };
    let (allowed_host, allowed_path) =
        registry.trim_end_matches('/').split_once('/').unwrap_or((registry, ""));
    let is_below = path
        .strip_prefix(allowed_path)
        .is_some_and(|rest| allowed_path.is_empty() || rest.starts_with(['/', ':', '@']) || rest.is_empty());
    allowed_host.trim_end_matches('/').eq_ignore_ascii_case(host)
        && is_below
        && !path.split('/').any(|part| matches!(part, "" | "." | ".."))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_from_registries() {
        for (image, registry, expected) in [
            ("ghcr.io/acme/x:1", "ghcr.io", true),
            ("ghcr.io/acme/x:1", "ghcr.io/", true),
            ("GHCR.io/acme/x@sha256:0", "ghcr.io/acme", true),
            ("ghcr.io/acme/x", "ghcr.io/acme/x", true),
            ("ghcr.io/acme2/x", "ghcr.io/acme", false),
            ("ghcr.io/acme/../evil/x", "ghcr.io/acme", false),
            ("ghcr.io.evil.org/acme/x", "ghcr.io", false),
            ("evil.org/ghcr.io/acme/x", "ghcr.io", false),
            ("localhost:5000/x", "localhost:5000", true),
            ("localhost/x", "docker.io", false),
            ("python:3.13", "docker.io", true),
            ("python:3.13", "docker.io/library", true),
            ("acme/x", "docker.io/acme", true),
            ("acme/x", "docker.io/library", false),
            ("python", "ghcr.io", false),
            ("registry.example.org:5000/team/x", "registry.example.org:5000/team", true),
            ("registry.example.org/team/x", "registry.example.org:5000/team", false),
        ] {
            assert_eq!(is_from(image, registry), expected, "{image} {registry}");
        }
    }
}
