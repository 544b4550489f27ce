//! Every RPC, by every role, in the project of the role and in another one.

use serde_json::{Map, Value};

use super::{
    super::{
        meaning::Meaning,
        plan::{Content, Form, NodeId},
    },
    *,
};
use flyte_policy::{Bindings, Permissions};
use std::{collections::HashSet, sync::Arc};

/// A request that names a project, and the domain `d` and the run `r` if the same message can name them; `None` if no field of
/// the request does.
fn naming(request: NodeId, project: &str) -> Option<Value> {
    let plan = &Door::published().plan;
    // The shortest ways come first.
    let (mut ways, mut seen) = (vec![(request, Vec::new())], HashSet::new());
    let mut at = 0;
    while let Some((id, way)) = ways.get(at).cloned() {
        at += 1;
        if !seen.insert(id) {
            continue;
        }
        let mut named = Map::new();
        for field in plan.node(id).fields.iter().filter(|field| field.form == Form::Single) {
            let value = match field.content {
                Content::Text(Meaning::Project) => project,
                Content::Text(Meaning::Domain) => "d",
                Content::Text(Meaning::Run) => "r",
                Content::Message(inner) => {
                    let mut way = way.clone();
                    way.push((field.json_name.to_string(), false));
                    ways.push((inner, way));
                    continue;
                }
                Content::Text(_) | Content::Other => continue,
            };
            named.insert(field.json_name.to_string(), value.into());
        }
        for field in plan.node(id).fields.iter().filter(|field| field.form == Form::List) {
            if let Content::Message(inner) = field.content {
                let mut way = way.clone();
                way.push((field.json_name.to_string(), true));
                ways.push((inner, way));
            }
        }
        if named.values().any(|value| value == project) {
            let inner = Value::Object(named);
            return Some(way.into_iter().rev().fold(inner, |inner, (name, is_list)| {
                let inner = if is_list { Value::Array(vec![inner]) } else { inner };
                Value::Object(Map::from_iter([(name, inner)]))
            }));
        }
    }
    None
}

fn decide(caller: &Caller, rpc: &Rpc, request: &Value) -> Result<(), Refusal> {
    let path = format!("/{}", rpc.name);
    let text = request.to_string();
    let door = Door::published();
    door.admit(caller, &path).and_then(|()| door.pass(caller, &path, Message::Json(text.as_bytes()), &Bucket))
}

/// Whether a person with these permissions, in a part of the control plane, may call an RPC that names this project.
fn expected(rpc: &Rpc, own: Permissions, limit: &Limit, named: Option<(&str, Option<&str>)>) -> bool {
    if rpc.scope == RequiredScope::None {
        return true;
    }
    if matches!(rpc.callers, Callers::Internal | Callers::OnlyRuns) {
        return false;
    }
    let has = match rpc.permission {
        Some(permission) => own.contains(permission),
        // Everyone may ask, also without a role, as long as no project is named.
        None => named.is_none() || !own.is_empty(),
    };
    let reaches = match (rpc.administrator, named) {
        (Administrator::OfServer(_), _) => limit.is_none(),
        (Administrator::OfProject(_), Some((project, _))) => {
            limit.domain.is_none() && limit.includes(project, None)
        }
        (_, Some((project, domain))) => limit.includes(project, domain),
        (_, None) => rpc.reach != Reach::Project || limit.is_none(),
    };
    has && reaches
}

#[test]
fn every_rpc_by_every_role_in_the_own_and_another_project() {
    let custom: Permissions = [Permission::Run].into_iter().collect();
    let auditor: Permissions = [Permission::ReadAudit].into_iter().collect();
    let roles = Role::ALL.map(Permissions::of_role).into_iter().chain([
        Permissions::NONE,
        custom.with_included(),
        auditor,
    ]);
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let mut decisions = 0;
    for own in roles {
        for (project, domain) in [("", ""), ("p", ""), ("p", "d"), ("", "d"), ("p", "e")] {
            let limit = Limit { project: given(project), domain: given(domain) };
            let person = Caller { grants: Grants::of(own, &limit), ..caller(Role::Viewer, "all", "", "") };
            for rpc in RPCS {
                let request = Door::published().entry(&format!("/{}", rpc.name)).unwrap().request;
                for other in ["p", "q"] {
                    let request = request.and_then(|request| naming(request, other));
                    // Some name a project and no domain of it.
                    let has_domain = |request: &Value| request.to_string().contains(":\"d\"");
                    let named = request.as_ref().map(|request| (other, has_domain(request).then_some("d")));
                    let request = request.unwrap_or_else(|| Value::Object(Map::new()));
                    let decided = decide(&person, rpc, &request);
                    let expected = expected(rpc, own, &limit, named);
                    assert_eq!(
                        decided.is_ok(),
                        expected,
                        "{} {own} {limit:?} {request}: {decided:?}",
                        rpc.name
                    );
                    decisions += 1;
                    // Of what the caller has no part in, it does not learn whether it exists.
                    if named.is_some_and(|(project, domain)| !limit.includes(project, domain))
                        && rpc.administrator == Administrator::No
                        && Door::published().admit(&person, &format!("/{}", rpc.name)).is_ok()
                        && rpc.scope != RequiredScope::None
                    {
                        assert!(
                            matches!(decided, Err(Refusal::NotFound { .. })),
                            "{}: {decided:?}",
                            rpc.name
                        );
                    }
                }
            }
        }
    }
    assert_eq!(decisions, 6 * 5 * 2 * RPCS.len());
}

#[test]
fn roles_in_several_projects_are_judged_project_by_project() {
    let mut bindings = Bindings::default();
    let limit = |project: &str| Limit { project: Some(project.to_owned()), domain: None };
    bindings.add(Permissions::of_role(Role::Contributor), &limit("p"));
    bindings.add(Permissions::of_role(Role::Viewer), &limit("q"));
    bindings.add(Permissions::of_role(Role::Admin), &limit("s"));
    let grants = Grants::of_bindings([Arc::new(bindings)]);
    let person = Caller { grants, ..caller(Role::Viewer, "all", "", "") };
    let of = |name: &str| Door::published().rpc(&format!("/flyteidl2.{name}")).unwrap();
    let (create, read) = (of("workflow.RunService/CreateRun"), of("workflow.RunService/GetRunDetails"));
    let (update, secret) =
        (of("project.ProjectService/UpdateProject"), of("secret.SecretService/CreateSecret"));
    for (rpc, project, expected) in [
        (create, "p", ""),
        (create, "q", "permission"),
        (create, "r", "not found"),
        (create, "s", ""),
        (read, "p", ""),
        (read, "q", ""),
        (read, "r", "not found"),
        (secret, "p", ""),
        (secret, "q", "permission"),
        (update, "s", ""),
        (update, "p", "permission"),
        (update, "r", "not found"),
    ] {
        let node = Door::published().entry(&format!("/{}", rpc.name)).unwrap().request.unwrap();
        let decided = decide(&person, rpc, &naming(node, project).unwrap());
        let found = match &decided {
            Ok(()) => "",
            Err(Refusal::NotFound { .. }) => "not found",
            Err(Refusal::Denied(Denied::Permission { .. })) => "permission",
            Err(_) => "other",
        };
        assert_eq!(found, expected, "{} {project}: {decided:?}", rpc.name);
    }
}
