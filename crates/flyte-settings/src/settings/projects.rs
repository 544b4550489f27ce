//! `projects`: what the projects of a backend may use.

use super::check::any;
use crate::{
    PodSecurity,
    per_project::PerProject,
    setting::{Default::Value, Setting},
};

/// [`ProjectsConfig::storage`](crate::ProjectsConfig::storage).
pub static PROJECTS_STORAGE: Setting<Vec<String>> = Setting {
    key: "projects.storage",
    flag: None,
    placeholder: "s3://BUCKET/PREFIX",
    default: Value("s3://flyte-data"),
    help: "Prefixes below which the backend keeps the objects of projects, as `PROJECT/DOMAIN/...`: its \
           `runs.storagePrefix`, and the bucket of `storage.metadataContainer`. The directory `uploads` below each of them \
           is included. Callers whose rights are limited to a project can name no objects of others, in any spelling. \
           For a `dataproxy.upload.storagePrefix` other than `uploads`, add the URL with that prefix.",
    check: |prefixes| match prefixes.iter().find(|prefix| !is_prefix(prefix)) {
        Some(prefix) => Err(format!(
            "{prefix:?} is not the URL of a bucket, for example s3://bucket or s3://bucket/prefix"
        )),
        None => Ok(()),
    },
};

/// Whether a text is the URL of a bucket or of a prefix in it.
fn is_prefix(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once("://") else { return false };
    let path = rest.trim_matches('/');
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.len() < 16
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'))
        && path.split('/').all(|part| !matches!(part, "" | "." | ".."))
        && !path.contains(|c: char| c.is_control() || c.is_whitespace() || "\\%?#".contains(c))
}

/// [`ProjectsConfig::service_accounts`](crate::ProjectsConfig::service_accounts).
pub static PROJECTS_SERVICE_ACCOUNTS: Setting<PerProject> = Setting {
    key: "projects.service-accounts",
    flag: None,
    placeholder: "[PROJECT=]NAME",
    default: Value("default"),
    help: "Kubernetes service accounts that tasks and apps may run as. Without a name, they run as the backend's default. \
           `*` allows all accounts of the namespace, which include the backend's own.",
    check: any,
};

/// [`ProjectsConfig::pod_security`](crate::ProjectsConfig::pod_security).
pub static PROJECTS_POD_SECURITY: Setting<PerProject> = Setting {
    key: "projects.pod-security",
    flag: None,
    placeholder: "[PROJECT=]LEVEL",
    default: Value("baseline"),
    help: "Level of the Kubernetes Pod Security Standards that the pod specifications of tasks and apps must keep: \
           `privileged`, `baseline` or `restricted`. Also label the namespace with a level: this setting applies to calls \
           through this server.",
    check: |levels| {
        if let Some(level) = levels.values().find(|level| level.parse::<PodSecurity>().is_err()) {
            return Err(format!("{level:?} is not a level: privileged, baseline or restricted is expected"));
        }
        let mut projects: Vec<_> = levels.projects().collect();
        projects.sort_unstable();
        let twice = projects.windows(2).find_map(|pair| match pair {
            [one, other] if one == other => Some(*one),
            _ => None,
        });
        if let Some(project) = twice {
            return Err(format!("project {project:?} has two levels"));
        }
        if levels.of("").len() == 1 {
            Ok(())
        } else {
            Err("one level for all projects is expected".to_owned())
        }
    },
};

/// [`ProjectsConfig::pod_templates`](crate::ProjectsConfig::pod_templates).
pub static PROJECTS_POD_TEMPLATES: Setting<PerProject> = Setting {
    key: "projects.pod-templates",
    flag: None,
    placeholder: "[PROJECT=]NAME",
    default: Value(""),
    help: "`PodTemplate`s of the namespace that tasks may name. Without a name, the backend's default applies. `*` allows all.",
    check: any,
};

/// [`ProjectsConfig::secret_groups`](crate::ProjectsConfig::secret_groups).
pub static PROJECTS_SECRET_GROUPS: Setting<PerProject> = Setting {
    key: "projects.secret-groups",
    flag: None,
    placeholder: "[PROJECT=]NAME",
    default: Value(""),
    help: "Groups of secrets, and Kubernetes secrets of the namespace, that tasks and apps may use. Secrets without a group, \
           which `flyte create secret` creates, belong to the task's own project and need no entry. `*` allows all.",
    check: any,
};

/// [`ProjectsConfig::config_maps`](crate::ProjectsConfig::config_maps).
pub static PROJECTS_CONFIG_MAPS: Setting<PerProject> = Setting {
    key: "projects.config-maps",
    flag: None,
    placeholder: "[PROJECT=]NAME",
    default: Value(""),
    help: "Kubernetes config maps of the namespace that tasks and apps may use. `*` allows all.",
    check: any,
};

/// [`ProjectsConfig::volume_claims`](crate::ProjectsConfig::volume_claims).
pub static PROJECTS_VOLUME_CLAIMS: Setting<PerProject> = Setting {
    key: "projects.volume-claims",
    flag: None,
    placeholder: "[PROJECT=]NAME",
    default: Value(""),
    help: "Persistent volume claims of the namespace that tasks and apps may use. `*` allows all.",
    check: any,
};

/// [`ProjectsConfig::token_audiences`](crate::ProjectsConfig::token_audiences).
pub static PROJECTS_TOKEN_AUDIENCES: Setting<PerProject> = Setting {
    key: "projects.token-audiences",
    flag: None,
    placeholder: "[PROJECT=]AUDIENCE",
    default: Value(""),
    help: "Audiences of the service-account tokens that pod specifications may request, for example `sts.amazonaws.com`. \
           `*` allows all.",
    check: any,
};

/// [`ProjectsConfig::registries`](crate::ProjectsConfig::registries).
pub static PROJECTS_REGISTRIES: Setting<PerProject> = Setting {
    key: "projects.registries",
    flag: None,
    placeholder: "[PROJECT=]REGISTRY",
    default: Value("*"),
    help: "Registries of images that tasks and apps may run, for example `ghcr.io` or `ghcr.io/acme`. `docker.io` is the \
           registry of images without one. `*` allows all.",
    check: any,
};

/// [`ProjectsConfig::task_types`](crate::ProjectsConfig::task_types).
pub static PROJECTS_TASK_TYPES: Setting<PerProject> = Setting {
    key: "projects.task-types",
    flag: None,
    placeholder: "[PROJECT=]TYPE",
    default: Value(
        "python,python-task,container,raw-container,container_array,pod,sidecar,sandboxed-python,core-sleep,spark,ray,dask,\
         pytorch,tensorflow,mpi,clustered-task",
    ),
    help: "Types of tasks. The backend makes pods of the default ones, which the rules here apply to. Tasks of connectors, \
           for example `snowflake`, run with the connector's own rights: allow them for projects that may use those. \
           `*` allows all.",
    check: any,
};

/// [`ProjectsConfig::bind_administrators`](crate::ProjectsConfig::bind_administrators).
pub static PROJECTS_BIND_ADMINISTRATORS: Setting<bool> = Setting {
    key: "projects.bind-administrators",
    flag: None,
    placeholder: "true|false",
    default: Value("true"),
    help: "Whether the rules for code also apply to callers whose rights are not limited to a project, by the project \
           that their requests name.",
    check: any,
};
