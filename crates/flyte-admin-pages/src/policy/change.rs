//! Changes of a policy.

use axum::{extract::Path, response::Response};
use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_idl::cloudidl::{
    common::{Domain, Organization, PolicyBinding, Project, Resource, RoleIdentifier, resource},
    identity::{
        CreatePolicyBindingRequest, DeletePolicyBindingRequest, DeletePolicyRequest, PolicyServiceClient,
    },
};

use super::{POLICIES, id, one};
use crate::{
    act::{Act, done, unknown},
    address,
    given::Notice,
    place::Place,
    refusal::Refusal,
    visit::client,
};

/// The message of a role in a part of the control plane.
pub(super) fn binding(role: &str, project: &str, domain: &str) -> PolicyBinding {
    let domain = || Domain { name: domain.to_owned(), ..Domain::default() };
    let resource = match (project, domain().name.as_str()) {
        ("", "") => resource::Resource::from(Organization::default()),
        ("", _) => domain().into(),
        (project, _) => {
            Project { name: project.to_owned(), domain: MessageField::some(domain()), ..Project::default() }
                .into()
        }
    };
    PolicyBinding {
        role_id: MessageField::some(RoleIdentifier { name: role.to_owned(), ..RoleIdentifier::default() }),
        resource: MessageField::some(Resource { resource: Some(resource), ..Resource::default() }),
        ..PolicyBinding::default()
    }
}

/// Makes a change, and leads to the page that shows it.
pub(crate) async fn act(Path(name): Path<String>, act: Act) -> Result<Response, Refusal> {
    match perform(&act, &name).await {
        Ok(Notice::DELETED) => Ok(done(POLICIES, Notice::DELETED)),
        Ok(notice) => Ok(done(&address::of(POLICIES, &name), notice)),
        Err(error) => one(&act.visit, &name, &act.failed(error)?).await,
    }
}

async fn perform(act: &Act, name: &str) -> Result<Notice, ConnectError> {
    let policies = client!(act.visit, PolicyServiceClient);
    let typed = &act.typed;
    let id = MessageField::some(id(name));
    match act.name() {
        "add-binding" => {
            let binding = binding(typed.text("role"), typed.text("project"), typed.text("domain"));
            let binding = MessageField::some(binding);
            let request = CreatePolicyBindingRequest { id, binding, ..CreatePolicyBindingRequest::default() };
            policies.create_policy_binding(request).await?;
            Ok(Notice::ADDED)
        }
        "remove-binding" => {
            let Place { role, project, domain } = Place::parse(typed, "binding");
            let binding = MessageField::some(binding(&role, &project, &domain));
            let request = DeletePolicyBindingRequest { id, binding, ..DeletePolicyBindingRequest::default() };
            policies.delete_policy_binding(request).await?;
            Ok(Notice::REMOVED)
        }
        "delete" => {
            act.confirmed(name)?;
            policies.delete_policy(DeletePolicyRequest { id, ..DeletePolicyRequest::default() }).await?;
            Ok(Notice::DELETED)
        }
        _ => Err(unknown()),
    }
}
