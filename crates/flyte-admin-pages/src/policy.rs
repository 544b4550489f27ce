//! Policies: the list, a new one, and the page of one.

pub(crate) mod change;

use axum::{
    extract::{Path, Query},
    response::Response,
};
use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_idl::cloudidl::{
    authorizer::{AuthorizerServiceClient, GetPolicyAssignmentRequest},
    common::{ListRequest, Policy, PolicyBinding, PolicyIdentifier, identity::Principal, resource},
    identity::{CreatePolicyRequest, GetPolicyRequest, ListPoliciesRequest, PolicyServiceClient},
};
use flyte_pages::{AdminView, Cell, Field, Form, FormKind, Link, Part, RowButton};
use flyte_policy::builtin;

use crate::{
    act::{Act, done},
    address,
    area::Area,
    cell::{self, visible},
    form,
    given::{Done, Given, Notice},
    group::{Page, Queried, next},
    place::{self, Place},
    refusal::Refusal,
    user::table,
    visit::{Visit, client},
};

/// The most rows of a page.
const MANY: u32 = 50;
/// The path of the area.
const POLICIES: &str = Area::Policies.href();

/// Shows the list.
pub(crate) async fn list(
    visit: Visit,
    page: Queried<Page>,
    done: Queried<Done>,
) -> Result<Response, Refusal> {
    let (Ok(Query(page)), Ok(Query(done))) = (page, done) else { return Err(Refusal::NoPage) };
    let request = ListRequest { limit: MANY, token: page.token, ..ListRequest::default() };
    let request =
        ListPoliciesRequest { request: MessageField::some(request), ..ListPoliciesRequest::default() };
    let answer = client!(visit, PolicyServiceClient).list(request).await?.into_owned();
    let rows = answer.policies.iter().map(|policy| {
        let bindings: Vec<_> = policy.bindings.iter().take(5).map(words).collect();
        vec![
            cell::link(address::of(POLICIES, &policy.id.name), &policy.id.name),
            cell::text(&policy.description),
            cell::text(&bindings.join("; ")),
        ]
    });
    let columns = ["Policy", "Purpose", "Gives"];
    let mut part = table("policies", "All policies", &columns, rows.collect(), "No policies.");
    next(&mut part, POLICIES, &answer.token);
    let open = visit
        .may("cloudidl.identity.PolicyService/CreatePolicy")
        .then(|| Link { href: format!("{POLICIES}/new"), text: "New policy".to_owned() });
    let view = AdminView {
        heading: "Policies".to_owned(),
        lead: "A policy is a named list of roles, each in a part of the control plane. All who have the policy have the roles."
            .to_owned(),
        open,
        parts: vec![part],
        ..AdminView::default()
    };
    Ok(visit.page(Area::Policies, &done.given(), view))
}

/// The project and the domain of a binding; empty for all.
fn project_domain(binding: &PolicyBinding) -> (String, String) {
    let resource = binding.resource.as_option().and_then(|resource| resource.resource.as_ref());
    match resource {
        Some(resource::Resource::Domain(domain)) => (String::new(), domain.name.clone()),
        Some(resource::Resource::Project(project)) => (project.name.clone(), project.domain.name.clone()),
        _ => (String::new(), String::new()),
    }
}

/// A binding in words.
fn words(binding: &PolicyBinding) -> String {
    let (project, domain) = project_domain(binding);
    format!("{} {}", binding.role_id.name, place::in_words(&project, &domain))
}

/// Shows the form of a new policy.
pub(crate) async fn new(visit: Visit) -> Result<Response, Refusal> {
    new_page(&visit, &Given::default())
}

fn new_page(visit: &Visit, given: &Given) -> Result<Response, Refusal> {
    if !visit.may("cloudidl.identity.PolicyService/CreatePolicy") {
        return Err(ConnectError::permission_denied("creating a policy").into());
    }
    let name = Field {
        hint: "Lower-case letters, digits and hyphens. The name and the purpose do not change later."
            .to_owned(),
        ..form::required("name", "Name", given.value("create", "name", ""))
    };
    let mut fields =
        vec![name, form::text("description", "Purpose", given.value("create", "description", ""))];
    fields.extend(form::binding(given, "create"));
    let form = Form {
        kind: FormKind::Create,
        lead: "A policy begins with one role. Its page adds others.".to_owned(),
        ..form::change("create", "/admin/policies/new", "create", fields, "Create the policy")
    };
    let part = Part { id: "new", forms: vec![form], ..Part::default() };
    let view = AdminView { heading: "New policy".to_owned(), parts: vec![part], ..AdminView::default() };
    Ok(visit.page(Area::Policies, given, view))
}

/// Creates a policy.
pub(crate) async fn create(act: Act) -> Result<Response, Refusal> {
    let name = act.typed.owned("name");
    let typed = &act.typed;
    let binding = change::binding(typed.text("role"), typed.text("project"), typed.text("domain"));
    let policy = Policy {
        id: MessageField::some(id(&name)),
        bindings: vec![binding],
        description: act.typed.owned("description"),
        ..Policy::default()
    };
    let request =
        CreatePolicyRequest { policy: MessageField::some(policy), ..CreatePolicyRequest::default() };
    match client!(act.visit, PolicyServiceClient).create_policy(request).await {
        Ok(_) => Ok(done(&address::of(POLICIES, &name), Notice::CREATED)),
        Err(error) => new_page(&act.visit, &act.failed(error)?),
    }
}

/// The identifier of a policy.
fn id(name: &str) -> PolicyIdentifier {
    PolicyIdentifier { name: name.to_owned(), ..PolicyIdentifier::default() }
}

/// Shows the page of a policy.
pub(crate) async fn show(
    visit: Visit,
    Path(name): Path<String>,
    done: Queried<Done>,
) -> Result<Response, Refusal> {
    let Query(done) = done.map_err(|_| Refusal::NoPage)?;
    one(&visit, &name, &done.given()).await
}

async fn one(visit: &Visit, name: &str, given: &Given) -> Result<Response, Refusal> {
    let request = GetPolicyRequest { id: MessageField::some(id(name)), ..GetPolicyRequest::default() };
    let found = client!(visit, PolicyServiceClient).get_policy(request).await?.into_owned().policy;
    let policy = found.into_option().ok_or(Refusal::NoPage)?;
    let here = address::of(POLICIES, name);
    let is_own = builtin(name).is_none();
    let mut parts = vec![bindings(visit, &policy, &here, is_own, given)];
    if is_own {
        parts.push(assignees(visit, name).await?);
    }
    if is_own && visit.may("cloudidl.identity.PolicyService/DeletePolicy") {
        parts.push(Part {
            id: "delete",
            title: "Delete",
            lead: "All who have the policy lose its roles. This cannot be undone.".to_owned(),
            forms: vec![form::danger(
                "delete-policy",
                &here,
                "delete",
                vec![form::confirm(name)],
                "Delete the policy",
            )],
            ..Part::default()
        });
    }
    let view = AdminView {
        kind: "Policy",
        heading: visible(name),
        lead: visible(&policy.description),
        parts,
        ..AdminView::default()
    };
    Ok(visit.page(Area::Policies, given, view))
}

fn bindings(visit: &Visit, policy: &Policy, here: &str, is_own: bool, given: &Given) -> Part {
    let may_change = is_own && visit.may("cloudidl.identity.PolicyService/DeletePolicyBinding");
    let rows = policy.bindings.iter().map(|binding| {
        let (project, domain) = project_domain(binding);
        let role = &binding.role_id.name;
        let mut row = vec![
            cell::link(address::of(Area::Roles.href(), role), role),
            Cell::Text(place::words(&project, &domain)),
        ];
        if may_change {
            row.push(Cell::Button(RowButton {
                form: "remove-binding",
                name: "binding",
                value: Place::value(role, &project, &domain),
                text: "Remove",
                what: words(binding),
            }));
        }
        row
    });
    let columns = if may_change { &["Role", "Where", "Change"][..] } else { &["Role", "Where"] };
    let mut part = table("bindings", "Roles", columns, rows.collect(), "It gives no roles.");
    if may_change {
        part.forms.push(form::of_rows("remove-binding", here, "remove-binding"));
        let fields = form::binding(given, "add-binding");
        part.forms.push(form::change("add-binding", here, "add-binding", fields, "Add the role"));
    }
    part
}

async fn assignees(visit: &Visit, name: &str) -> Result<Part, ConnectError> {
    let request = GetPolicyAssignmentRequest {
        id: MessageField::some(id(name)),
        ..GetPolicyAssignmentRequest::default()
    };
    let answer = client!(visit, AuthorizerServiceClient).get_policy_assignment(request).await?.into_owned();
    let rows: Vec<_> = answer
        .policy_assignment
        .identities
        .iter()
        .take(MANY as usize)
        .filter_map(|identity| match identity.principal.as_ref()? {
            Principal::UserId(id) => Some(vec![
                Cell::Text("User".to_owned()),
                cell::link(address::of(Area::Users.href(), &id.subject), &id.subject),
            ]),
            Principal::ApplicationId(id) => Some(vec![
                Cell::Text("API key".to_owned()),
                cell::link(address::of(Area::ApiKeys.href(), &id.subject), &id.subject),
            ]),
            Principal::ExternalIdentity(_) => None,
        })
        .collect();
    let total = answer.policy_assignment.identities.len();
    let mut part =
        table("assignees", "Who has it", &["Kind", "Who"], rows, "No user or API key has it directly.");
    part.lead = match total > MANY as usize {
        true => format!("The first {MANY} of {total}. The pages of groups show the policies of groups."),
        false => "The pages of groups show the policies of groups.".to_owned(),
    };
    Ok(part)
}
