//! The roles and policies of a user or a group, and the forms that give and take them.

use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_idl::{
    cloudidl::{
        authorizer::{
            AssignIdentityRequest, AuthorizerServiceClient, UnassignIdentityRequest, assign_identity_request,
            unassign_identity_request,
        },
        common::{Identity, PolicyIdentifier, UserIdentifier, identity::Principal},
    },
    flyteauth::{Grant, GrantRoleRequest, RevokeRoleRequest, RoleServiceClient, Subject},
};
use flyte_pages::{Cell, Part, RowButton};

use crate::{
    act::Act,
    address,
    area::Area,
    cell, form,
    given::{Given, Notice},
    place::{self, Place},
    user::table,
    visit::{Visit, client},
};

/// The roles that a subject has itself.
pub(crate) fn roles(visit: &Visit, here: &str, grants: &[Grant], given: &Given) -> Part {
    let may_change = visit.may("flyteauth.RoleService/RevokeRole");
    let rows = grants.iter().map(|grant| {
        let mut row = vec![
            cell::link(address::of(Area::Roles.href(), &grant.role), &grant.role),
            Cell::Text(place::words(&grant.project, &grant.domain)),
        ];
        if may_change {
            row.push(Cell::Button(RowButton {
                form: "revoke-role",
                name: "grant",
                value: Place::value(&grant.role, &grant.project, &grant.domain),
                text: "Take away",
                what: format!("{} {}", grant.role, place::in_words(&grant.project, &grant.domain)),
            }));
        }
        row
    });
    let columns = if may_change { &["Role", "Where", "Change"][..] } else { &["Role", "Where"] };
    let mut part = table("roles", "Roles", columns, rows.collect(), "No roles of its own.");
    part.lead = "Groups and policies can give further roles.".to_owned();
    if may_change {
        part.forms.push(form::of_rows("revoke-role", here, "revoke-role"));
        let fields = form::binding(given, "grant-role");
        part.forms.push(form::change("grant-role", here, "grant-role", fields, "Give the role"));
    }
    part
}

/// The policies that a subject has itself.
pub(crate) fn policies(visit: &Visit, here: &str, policies: &[String], given: &Given) -> Part {
    let may_change = visit.may("flyteauth.GroupService/UnassignGroupPolicy");
    let rows = policies.iter().map(|policy| {
        let mut row = vec![cell::link(address::of(Area::Policies.href(), policy), policy)];
        if may_change {
            row.push(cell::remove("unassign", "policy", policy, policy));
        }
        row
    });
    let columns = if may_change { &["Policy", "Change"][..] } else { &["Policy"] };
    let mut part = table("policies", "Policies", columns, rows.collect(), "No policies of its own.");
    if may_change {
        part.forms.push(form::of_rows("unassign", here, "unassign"));
        let field = form::required("policy", "Policy", given.value("assign", "policy", ""));
        part.forms.push(form::change("assign", here, "assign", vec![field], "Assign the policy"));
    }
    part
}

/// Gives or takes a role, if that is what the form asks for.
pub(crate) async fn perform(act: &Act, subject: Subject) -> Result<Option<Notice>, ConnectError> {
    let roles = client!(act.visit, RoleServiceClient);
    let subject = MessageField::some(subject);
    match act.name() {
        "grant-role" => {
            let grant = Grant {
                role: act.typed.owned("role"),
                project: act.typed.owned("project"),
                domain: act.typed.owned("domain"),
                ..Grant::default()
            };
            let grant = MessageField::some(grant);
            roles.grant_role(GrantRoleRequest { subject, grant, ..GrantRoleRequest::default() }).await?;
            Ok(Some(Notice::ADDED))
        }
        "revoke-role" => {
            let Place { role, project, domain } = Place::parse(&act.typed, "grant");
            let grant = MessageField::some(Grant { role, project, domain, ..Grant::default() });
            roles.revoke_role(RevokeRoleRequest { subject, grant, ..RevokeRoleRequest::default() }).await?;
            Ok(Some(Notice::REMOVED))
        }
        _ => Ok(None),
    }
}

/// Assigns a policy to a user or takes it, if that is what the form asks for.
pub(crate) async fn perform_policy(act: &Act, user: &str) -> Result<Option<Notice>, ConnectError> {
    let authorizer = client!(act.visit, AuthorizerServiceClient);
    let subject = UserIdentifier { subject: user.to_owned(), ..UserIdentifier::default() };
    let identity = Identity { principal: Some(Principal::from(subject)), ..Identity::default() };
    let identity = MessageField::some(identity);
    let policy = PolicyIdentifier { name: act.typed.owned("policy"), ..PolicyIdentifier::default() };
    match act.name() {
        "assign" => {
            let assignment = Some(assign_identity_request::Assignment::from(policy));
            let request = AssignIdentityRequest { identity, assignment, ..AssignIdentityRequest::default() };
            authorizer.assign_identity(request).await?;
            Ok(Some(Notice::ADDED))
        }
        "unassign" => {
            let assignment = Some(unassign_identity_request::Assignment::from(policy));
            let request =
                UnassignIdentityRequest { identity, assignment, ..UnassignIdentityRequest::default() };
            authorizer.unassign_identity(request).await?;
            Ok(Some(Notice::REMOVED))
        }
        _ => Ok(None),
    }
}
