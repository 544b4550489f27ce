//! The words by which people name RPCs: a verb and a resource, for example `create run`.

use super::{Door, RPCS, Rpc};

/// A kind of resource, and the RPC of each verb.
type Resource = (&'static str, &'static [(&'static str, &'static str)]);

/// All resources by their names in the `flyte` command, in the singular.
const RESOURCES: &[Resource] = &[
    (
        "action",
        &[
            ("abort", "flyteidl2.workflow.RunService/AbortAction"),
            ("get", "flyteidl2.workflow.RunService/GetActionDetails"),
            ("list", "flyteidl2.workflow.RunService/ListActions"),
            ("watch", "flyteidl2.workflow.RunService/WatchActionDetails"),
        ],
    ),
    (
        "api-key",
        &[
            ("create", "flyteauth.ApiKeyService/CreateApiKey"),
            ("delete", "flyteauth.ApiKeyService/DeleteApiKey"),
            ("get", "flyteauth.ApiKeyService/GetApiKey"),
            ("list", "flyteauth.ApiKeyService/ListApiKeys"),
            ("rotate", "flyteauth.ApiKeyService/RotateApiKey"),
        ],
    ),
    (
        "app",
        &[
            ("create", "flyteidl2.app.AppService/Create"),
            ("delete", "flyteidl2.app.AppService/Delete"),
            ("deploy", "flyteidl2.app.AppService/Create"),
            ("get", "flyteidl2.app.AppService/Get"),
            ("list", "flyteidl2.app.AppService/List"),
            ("serve", "flyteidl2.app.AppService/Create"),
            ("update", "flyteidl2.app.AppService/Update"),
            ("watch", "flyteidl2.app.AppService/Watch"),
        ],
    ),
    (
        "artifact",
        &[
            ("create", "flyteidl2.artifact.ArtifactService/CreateArtifact"),
            ("delete", "flyteidl2.artifact.ArtifactService/DeleteArtifact"),
            ("get", "flyteidl2.artifact.ArtifactService/GetArtifact"),
            ("list", "flyteidl2.artifact.ArtifactService/ListArtifacts"),
        ],
    ),
    (
        "assignment",
        &[
            ("create", "cloudidl.authorizer.AuthorizerService/AssignIdentity"),
            ("delete", "cloudidl.authorizer.AuthorizerService/UnassignIdentity"),
            ("get", "cloudidl.authorizer.AuthorizerService/GetIdentityAssignments"),
            ("list", "cloudidl.authorizer.AuthorizerService/ListIdentityAssignments"),
        ],
    ),
    ("audit", &[("get", "flyteauth.AuditService/ListEvents"), ("list", "flyteauth.AuditService/ListEvents")]),
    (
        "code",
        &[
            ("create", "flyteidl2.dataproxy.DataProxyService/CreateUploadLocation"),
            ("get", "flyteidl2.dataproxy.DataProxyService/CreateDownloadLink"),
            ("upload", "flyteidl2.dataproxy.DataProxyService/CreateUploadLocation"),
        ],
    ),
    (
        "condition",
        &[
            ("get", "flyteidl2.workflow.RunService/GetActionDetails"),
            ("signal", "flyteidl2.workflow.RunService/SignalEvent"),
        ],
    ),
    (
        "domain",
        &[
            ("create", "flyteidl2.org.DomainService/CreateDomain"),
            ("delete", "flyteidl2.org.DomainService/DeleteDomain"),
            ("get", "flyteidl2.org.DomainService/GetDomain"),
            ("list", "flyteidl2.org.DomainService/ListDomains"),
            ("update", "flyteidl2.org.DomainService/UpdateDomain"),
        ],
    ),
    (
        "group",
        &[
            ("create", "flyteauth.GroupService/CreateGroup"),
            ("delete", "flyteauth.GroupService/DeleteGroup"),
            ("get", "flyteauth.GroupService/GetGroup"),
            ("list", "flyteauth.GroupService/ListGroups"),
            ("update", "flyteauth.GroupService/UpdateGroup"),
        ],
    ),
    ("io", &[("get", "flyteidl2.dataproxy.DataProxyService/GetActionData")]),
    ("logs", &[("get", "flyteidl2.dataproxy.DataProxyService/TailLogs")]),
    (
        "member",
        &[
            ("get", "cloudidl.identity.MemberService/ListMembers"),
            ("list", "cloudidl.identity.MemberService/ListMembers"),
        ],
    ),
    (
        "policy",
        &[
            ("create", "cloudidl.identity.PolicyService/CreatePolicy"),
            ("delete", "cloudidl.identity.PolicyService/DeletePolicy"),
            ("get", "cloudidl.identity.PolicyService/GetPolicy"),
            ("list", "cloudidl.identity.PolicyService/List"),
            ("update", "cloudidl.identity.PolicyService/CreatePolicyBinding"),
        ],
    ),
    (
        "project",
        &[
            ("create", "flyteidl2.project.ProjectService/CreateProject"),
            ("get", "flyteidl2.project.ProjectService/GetProject"),
            ("list", "flyteidl2.project.ProjectService/ListProjects"),
            ("update", "flyteidl2.project.ProjectService/UpdateProject"),
        ],
    ),
    (
        "role",
        &[
            ("create", "flyteauth.RoleService/CreateRole"),
            ("delete", "flyteauth.RoleService/DeleteRole"),
            ("get", "flyteauth.RoleService/GetRole"),
            ("grant", "flyteauth.RoleService/GrantRole"),
            ("list", "flyteauth.RoleService/ListRoles"),
            ("revoke", "flyteauth.RoleService/RevokeRole"),
            ("update", "flyteauth.RoleService/UpdateRole"),
        ],
    ),
    (
        "run",
        &[
            ("abort", "flyteidl2.workflow.RunService/AbortRun"),
            ("create", "flyteidl2.workflow.RunService/CreateRun"),
            ("get", "flyteidl2.workflow.RunService/GetRunDetails"),
            ("list", "flyteidl2.workflow.RunService/ListRuns"),
            ("rerun", "flyteidl2.workflow.RunService/CreateRun"),
            ("watch", "flyteidl2.workflow.RunService/WatchRunDetails"),
        ],
    ),
    (
        "secret",
        &[
            ("create", "flyteidl2.secret.SecretService/CreateSecret"),
            ("delete", "flyteidl2.secret.SecretService/DeleteSecret"),
            ("get", "flyteidl2.secret.SecretService/GetSecret"),
            ("list", "flyteidl2.secret.SecretService/ListSecrets"),
            ("update", "flyteidl2.secret.SecretService/UpdateSecret"),
        ],
    ),
    (
        "settings",
        &[
            ("create", "flyteidl2.settings.SettingsService/CreateSettings"),
            ("get", "flyteidl2.settings.SettingsService/GetSettings"),
            ("update", "flyteidl2.settings.SettingsService/UpdateSettings"),
        ],
    ),
    (
        "task",
        &[
            ("create", "flyteidl2.task.TaskService/DeployTask"),
            ("deploy", "flyteidl2.task.TaskService/DeployTask"),
            ("get", "flyteidl2.task.TaskService/GetTaskDetails"),
            ("list", "flyteidl2.task.TaskService/ListTasks"),
            ("run", "flyteidl2.workflow.RunService/CreateRun"),
        ],
    ),
    (
        "trigger",
        &[
            ("create", "flyteidl2.trigger.TriggerService/DeployTrigger"),
            ("delete", "flyteidl2.trigger.TriggerService/DeleteTriggers"),
            ("deploy", "flyteidl2.trigger.TriggerService/DeployTrigger"),
            ("get", "flyteidl2.trigger.TriggerService/GetTriggerDetails"),
            ("list", "flyteidl2.trigger.TriggerService/ListTriggers"),
            ("update", "flyteidl2.trigger.TriggerService/UpdateTriggers"),
        ],
    ),
    (
        "trust",
        &[
            ("create", "flyteauth.TrustService/CreateTrust"),
            ("delete", "flyteauth.TrustService/DeleteTrust"),
            ("get", "flyteauth.TrustService/GetTrust"),
            ("list", "flyteauth.TrustService/ListTrusts"),
        ],
    ),
    (
        "user",
        &[
            ("create", "flyteauth.UserService/CreateUser"),
            ("delete", "cloudidl.identity.UserService/DeleteUser"),
            ("get", "flyteauth.UserService/GetUser"),
            ("list", "flyteauth.UserService/ListUsers"),
            ("update", "flyteauth.UserService/UpdateUser"),
        ],
    ),
];

/// Words that name no RPC. The message lists those that there are.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum UnknownWords {
    /// There is no such kind of resource.
    #[error("resource: {0:?} is not one of {known}", known = resources())]
    Resource(String),
    /// Nothing of this name is done to this kind of resource.
    #[error("verb: {verb:?} is not one of {known}, which go with {resource}")]
    Verb {
        /// The verb as given.
        verb: String,
        /// The resource.
        resource: &'static str,
        /// The verbs of the resource.
        known: String,
    },
    /// There is no RPC of this name.
    #[error("rpc: {0:?} is not the name of an RPC, for example RunService/CreateRun")]
    Rpc(String),
}

fn resources() -> String {
    let names: Vec<_> = RESOURCES.iter().map(|(name, _)| *name).collect();
    names.join(", ")
}

/// Whether a text names a kind of resource: in the singular or the plural, in any case.
fn names(text: &str, resource: &str) -> bool {
    let text = text.to_ascii_lowercase().replace('_', "-");
    let plural_of = |word: &str, one: &str| {
        let stems = (word.strip_suffix("ies"), one.strip_suffix('y'));
        word.strip_suffix('s') == Some(one) || matches!(stems, (Some(word), Some(one)) if word == one)
    };
    text == resource || plural_of(&text, resource) || plural_of(resource, &text)
}

impl Door {
    /// Finds the RPC that does this to a kind of resource.
    ///
    /// # Errors
    /// [`UnknownWords`].
    pub fn find_by_words(&self, verb: &str, resource: &str) -> Result<&'static Rpc, UnknownWords> {
        let known = RESOURCES.iter().find(|(name, _)| names(resource, name));
        let (resource, verbs) = known.ok_or_else(|| UnknownWords::Resource(resource.to_owned()))?;
        let found = verbs.iter().find(|(known, _)| verb.eq_ignore_ascii_case(known));
        let rpc = found.and_then(|(_, name)| self.rpc(&format!("/{name}")));
        rpc.ok_or_else(|| {
            let known: Vec<_> = verbs.iter().map(|(verb, _)| *verb).collect();
            UnknownWords::Verb { verb: verb.to_owned(), resource, known: known.join(", ") }
        })
    }

    /// Finds an RPC by its name: `package.Service/Method`, or `Service/Method` if only one package has it.
    ///
    /// # Errors
    /// [`UnknownWords::Rpc`].
    pub fn find_by_name(&self, name: &str) -> Result<&'static Rpc, UnknownWords> {
        let name = name.strip_prefix('/').unwrap_or(name);
        let by_short_name = || {
            let mut found = RPCS.iter().filter(|rpc| rpc.short_name() == name);
            found.next().filter(|_| found.next().is_none())
        };
        let found = RPCS.iter().find(|rpc| rpc.name == name).or_else(by_short_name);
        found.ok_or_else(|| UnknownWords::Rpc(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_name_rpcs_that_exist() {
        let door = Door::published();
        for (resource, verbs) in RESOURCES {
            assert!(verbs.is_sorted(), "{resource}");
            for (verb, rpc) in *verbs {
                assert_eq!(door.find_by_words(verb, resource).unwrap().name, *rpc, "{verb} {resource}");
            }
        }
        assert!(RESOURCES.is_sorted_by_key(|(name, _)| *name));
        for (verb, resource, method) in [
            ("get", "runs", "GetRunDetails"),
            ("Create", "API_Keys", "CreateApiKey"),
            ("get", "log", "TailLogs"),
            ("update", "setting", "UpdateSettings"),
            ("list", "policies", "List"),
        ] {
            assert_eq!(door.find_by_words(verb, resource).unwrap().method(), method);
        }
    }

    #[test]
    fn unknown_words_get_those_that_there_are() {
        let door = Door::published();
        let error = |verb, resource| door.find_by_words(verb, resource).unwrap_err().to_string();
        assert_eq!(
            error("destroy", "runs"),
            "verb: \"destroy\" is not one of abort, create, get, list, rerun, watch, which go with run"
        );
        let resource = error("get", "pod");
        assert!(
            resource.starts_with("resource: \"pod\" is not one of action, api-key, app, ")
                && resource.contains("trust"),
            "{resource}"
        );
    }

    #[test]
    fn rpcs_have_short_names_if_those_are_unique() {
        let door = Door::published();
        let create = "flyteidl2.workflow.RunService/CreateRun";
        for name in [create, "RunService/CreateRun", "/flyteidl2.workflow.RunService/CreateRun"] {
            assert_eq!(door.find_by_name(name).unwrap().name, create);
        }
        // Two packages have this service.
        for name in ["CacheService/Get", "RunService/Create", "CreateRun", ""] {
            assert_eq!(door.find_by_name(name), Err(UnknownWords::Rpc(name.to_owned())));
        }
    }
}
