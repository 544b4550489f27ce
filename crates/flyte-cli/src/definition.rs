//! Roles and policies as YAML documents, in the form of the published plugin, which administrators write and edit.

use std::fmt::Write as _;
use std::path::Path;

use flyte_client::Grant;
use flyte_client::policy::Policy;
use flyte_client::role::{NewRole, Role};
use serde::{Deserialize, Serialize};

use crate::failure::{Exit, Failure};

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoleDefinition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    /// Permissions of a `flyte-server`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) permissions: Option<Vec<String>>,
    /// Actions of a hosted control plane, which a `flyte-server` has as well.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) actions: Option<Vec<String>>,
}

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct PolicyDefinition {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) description: Option<String>,
    #[serde(default)]
    bindings: Option<Vec<Binding>>,
}

/// A role in a part of the control plane.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Binding {
    role: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    resource: Option<Resource>,
}

/// A part of the control plane; everything if it is empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Resource {
    #[serde(default, skip_serializing_if = "String::is_empty")]
    organization: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    project: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    domain: String,
}

/// Reads a definition from a file.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, Failure> {
    let shown = path.display();
    let text = std::fs::read_to_string(path).map_err(|error| {
        Failure::new(format!("cannot read {shown}")).why(error).next("Check the path given with --file.")
    })?;
    parse(&text).map_err(|why| {
        Failure::new(format!("{shown} is not valid"))
            .why(why)
            .next("Correct the file, then try again.")
            .exit(Exit::Usage)
    })
}

/// Reads a definition. The error says what is wrong, and in which line.
pub(crate) fn parse<T: for<'de> Deserialize<'de>>(text: &str) -> Result<T, String> {
    serde_saphyr::from_str(text).map_err(|error| error.to_string())
}

/// Checks that a definition is that of the resource that the command names.
fn check_name(name: &str, defined: Option<&str>) -> Result<(), Failure> {
    match defined {
        Some(defined) if defined != name => {
            Err(Failure::new(format!("the command names {name}, and the definition names {defined}"))
                .next("Give both the same name, or leave out the name in the definition.")
                .exit(Exit::Usage))
        }
        _ => Ok(()),
    }
}

impl RoleDefinition {
    /// Checks the name, and that there are permissions or actions, but not both.
    pub(crate) fn check(&self, name: &str) -> Result<(), Failure> {
        check_name(name, self.name.as_deref())?;
        match (&self.permissions, &self.actions) {
            (Some(_), Some(_)) => {
                Err(Failure::new(format!("the definition of role {name} has permissions and actions"))
                    .next("Keep one of the lists: each action is a permission of a flyte-server, too.")
                    .exit(Exit::Usage))
            }
            _ => Ok(()),
        }
    }

    /// The role to create.
    pub(crate) fn new_role(self, name: &str) -> Result<NewRole, Failure> {
        self.check(name)?;
        Ok(NewRole {
            name: name.to_owned(),
            description: self.description.unwrap_or_default(),
            permissions: self.permissions.unwrap_or_default(),
            actions: self.actions.unwrap_or_default(),
        })
    }

    /// A role as a text to edit. `all` is a role with all that roles can have.
    pub(crate) fn template(role: &Role, all: &Role) -> Result<String, Failure> {
        let by_permissions = !all.permissions.is_empty();
        let (list, known, own) = match by_permissions {
            true => ("permissions", &all.permissions, &role.permissions),
            false => ("actions", &all.actions, &role.actions),
        };
        let mut text = format!("# Known {list}:\n");
        for word in known {
            let _ = writeln!(text, "#   - {word}");
        }
        let definition = Self {
            name: Some(role.name.clone()),
            description: Some(role.description.clone()),
            permissions: by_permissions.then(|| own.clone()),
            actions: (!by_permissions).then(|| own.clone()),
        };
        text.push('\n');
        text.push_str(&yaml(&definition)?);
        Ok(text)
    }
}

const BINDINGS: &str = "\
# Each binding is a role in a part of the control plane. Without a resource, it is for
# all projects and domains.
#
# bindings:
#   - role: contributor
#     resource:
#       project: alpha
#       domain: production
";

impl PolicyDefinition {
    /// The bindings of the policy `name`; `None` if the definition has no list of them. `org` is the configured organization.
    pub(crate) fn bindings(&self, name: &str, org: Option<&str>) -> Result<Option<Vec<Grant>>, Failure> {
        check_name(name, self.name.as_deref())?;
        let Some(bindings) = &self.bindings else { return Ok(None) };
        let grant = |binding: &Binding| {
            let Resource { organization, project, domain } = binding.resource.clone().unwrap_or_default();
            if !organization.is_empty() && org.is_some_and(|org| org != organization) {
                return Err(Failure::new(format!(
                    "the definition of policy {name} names the organization {organization}, which is not the configured one"
                ))
                .next(format!("Leave out the organization, or add --org {organization}."))
                .exit(Exit::Usage));
            }
            if binding.role.is_empty() {
                return Err(Failure::new(format!("a binding of policy {name} has no role"))
                    .next("Name the role, for example viewer.")
                    .exit(Exit::Usage));
            }
            Ok(Grant { role: binding.role.clone(), project, domain })
        };
        bindings.iter().map(grant).collect::<Result<_, _>>().map(Some)
    }

    /// A policy as a text to edit.
    pub(crate) fn template(policy: &Policy) -> Result<String, Failure> {
        let bindings = policy.bindings.iter().map(|grant| Binding {
            role: grant.role.clone(),
            resource: (!grant.is_everywhere()).then(|| Resource {
                organization: String::new(),
                project: grant.project.clone(),
                domain: grant.domain.clone(),
            }),
        });
        let definition = Self {
            name: Some(policy.name.clone()),
            description: Some(policy.description.clone()),
            bindings: Some(bindings.collect()),
        };
        Ok(format!("{BINDINGS}\n{}", yaml(&definition)?))
    }
}

fn yaml(value: &impl Serialize) -> Result<String, Failure> {
    serde_saphyr::to_string(value).map_err(|error| Failure::new("cannot write the definition").why(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_role_is_read_back_from_its_text() {
        let all = Role { permissions: vec!["run".into(), "deploy".into()], ..Role::default() };
        let role = Role {
            name: "ops".into(),
            description: "Runs: all".into(),
            permissions: vec!["run".into()],
            actions: vec!["ACTION_X".into()],
            ..Role::default()
        };
        let text = RoleDefinition::template(&role, &all).unwrap();
        assert!(text.starts_with("# Known permissions:\n#   - run\n#   - deploy\n\nname: ops\n"), "{text}");
        let read: RoleDefinition = parse(&text).unwrap();
        assert_eq!((read.permissions.clone(), read.actions.clone()), (Some(role.permissions.clone()), None));
        assert_eq!(read.new_role("ops").unwrap().description, "Runs: all");
        let hosted = Role { actions: vec!["ACTION_X".into()], ..Role::default() };
        let read: RoleDefinition = parse(&RoleDefinition::template(&role, &hosted).unwrap()).unwrap();
        assert_eq!((read.permissions, read.actions), (None, Some(vec!["ACTION_X".to_owned()])));
    }

    #[test]
    fn a_policy_is_read_back_from_its_text() {
        let bindings = ["viewer", "ops@alpha", "ops@alpha/production", "viewer@/staging"];
        let bindings: Vec<Grant> = bindings.iter().map(|text| text.parse().unwrap()).collect();
        let policy = Policy { name: "team".into(), description: String::new(), bindings: bindings.clone() };
        let read: PolicyDefinition = parse(&PolicyDefinition::template(&policy).unwrap()).unwrap();
        assert_eq!(read.bindings("team", None).unwrap(), Some(bindings));
        assert_eq!(read.description.as_deref(), Some(""));
    }

    #[test]
    fn nothing_in_a_definition_is_ignored() {
        let role = "name: ops\ndescription: Runs\nactions: [create_flyte_executions]\n";
        let role: RoleDefinition = parse(role).unwrap();
        assert_eq!(role.clone().new_role("ops").unwrap().actions, ["create_flyte_executions"]);
        let advice = role.new_role("eye").unwrap_err().advice();
        assert!(advice.starts_with("the command names eye, and the definition names ops"), "{advice}");
        let both: RoleDefinition = parse("permissions: [run]\nactions: []\n").unwrap();
        assert!(both.new_role("ops").is_err());
        let wrong = parse::<RoleDefinition>("name: ops\naction: [X]\n").unwrap_err();
        assert!(wrong.contains("action") && wrong.contains("line 2"), "{wrong}");
        let org = "bindings:\n- role: viewer\n  resource: {organization: acme, project: alpha}\n";
        let policy: PolicyDefinition = parse(org).unwrap();
        for (org, expected) in [(None, true), (Some("acme"), true), (Some("other"), false)] {
            assert_eq!(policy.bindings("p", org).is_ok(), expected, "{org:?}");
        }
        assert!(parse::<PolicyDefinition>("bindings:\n- resource: {project: alpha}\n").is_err(), "no role");
        assert!(
            parse::<PolicyDefinition>("bindings:\n- role: viewer\n  resource: {projekt: alpha}\n").is_err()
        );
    }
}
