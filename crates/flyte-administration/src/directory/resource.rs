//! Parts of the control plane, and permissions, as the hosted control plane's messages have them.

use buffa::{EnumValue, Enumeration as _, MessageField};
use connectrpc::ConnectError;
use flyte_idl::cloudidl::common::{Action, Domain, Organization, Project, Resource, resource};

use flyte_model::Limit;
use flyte_policy::{Permission, Permissions};
use flyte_rpc::invalid;

/// The part of the control plane that a resource is. An organization is all of it, a project without a domain is in all domains.
///
/// # Errors
/// `invalid_argument` that names `field`.
pub(crate) fn limit(field: &str, resource: Option<Resource>) -> Result<Limit, ConnectError> {
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    match resource.and_then(|resource| resource.resource) {
        None => Err(invalid(field, "is missing: an organization, a domain or a project")),
        Some(resource::Resource::Organization(_)) => Ok(Limit::default()),
        Some(resource::Resource::Domain(domain)) => match given(domain.name) {
            Some(domain) => Ok(Limit { project: None, domain: Some(domain) }),
            None => Err(invalid(&format!("{field}.domain.name"), "is missing")),
        },
        Some(resource::Resource::Project(project)) => {
            let Project { name, domain, .. } = *project;
            let domain = domain.into_option().and_then(|domain| given(domain.name));
            match given(name) {
                Some(project) => Ok(Limit { project: Some(project), domain }),
                None => Err(invalid(&format!("{field}.project.name"), "is missing")),
            }
        }
        Some(_) => Err(invalid(field, "must be an organization, a domain or a project")),
    }
}

/// The message of a part of the control plane.
pub(in crate::directory) fn message(org: &str, limit: &Limit) -> Resource {
    let organization = Organization { name: org.to_owned(), ..Organization::default() };
    let domain = |name: &str| Domain {
        name: name.to_owned(),
        organization: MessageField::some(organization.clone()),
        ..Domain::default()
    };
    let resource = match (&limit.project, &limit.domain) {
        (None, None) => resource::Resource::from(organization.clone()),
        (None, Some(name)) => domain(name).into(),
        (Some(project), name) => Project {
            name: project.clone(),
            domain: MessageField::some(domain(name.as_deref().unwrap_or_default())),
            ..Project::default()
        }
        .into(),
    };
    Resource { resource: Some(resource), ..Resource::default() }
}

/// The permission of an action.
///
/// # Errors
/// `invalid_argument` that names `field`, if nothing on this server needs the action.
pub(crate) fn permission(field: &str, action: EnumValue<Action>) -> Result<Permission, ConnectError> {
    let name = action.as_known().map_or("an unknown action", |action| action.proto_name());
    Permission::from_action(name).ok_or_else(|| {
        let known: Vec<_> = Permission::ALL.into_iter().filter_map(Permission::action).collect();
        invalid(field, &format!("has {name}, which this server does not have: it has {}", known.join(", ")))
    })
}

/// The actions of permissions. Some permissions have none.
pub(crate) fn actions(permissions: Permissions) -> Vec<EnumValue<Action>> {
    let names = permissions.iter().filter_map(Permission::action);
    names.filter_map(Action::from_proto_name).map(EnumValue::from).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_action_that_a_permission_has_exists() {
        let all: Permissions = Permission::ALL.into_iter().collect();
        let actions = actions(all);
        assert_eq!(actions.len(), Permission::ALL.into_iter().filter_map(Permission::action).count());
        for action in actions {
            assert!(all.contains(permission("actions", action).unwrap()));
        }
        let error = permission("actions", EnumValue::from(Action::ACTION_MANAGE_TENANT)).unwrap_err();
        assert!(error.message.unwrap().starts_with("actions has ACTION_MANAGE_TENANT, which this server"));
    }

    #[test]
    fn a_resource_is_read_back_as_it_was() {
        let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
        for (project, domain) in [("", ""), ("", "d"), ("p", ""), ("p", "d")] {
            let place = Limit { project: given(project), domain: given(domain) };
            assert_eq!(limit("resource", Some(message("acme", &place))).unwrap(), place);
        }
        assert!(limit("resource", None).is_err());
        assert!(limit("resource", Some(Resource::default())).is_err());
    }
}
