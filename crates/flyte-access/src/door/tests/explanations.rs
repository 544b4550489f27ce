//! Explanations say what the door decides.

use std::collections::{HashSet, VecDeque};

use serde_json::{Map, Value};

use super::{
    code::{backend, contributor},
    *,
};
use crate::door::{
    meaning::Meaning,
    plan::{Content, Form, NodeId},
};

#[test]
fn an_explanation_says_which_rule_decides() {
    let rules = backend(&[("projects.service-accounts", "default,p=etl")]);
    let explain = |caller: &Caller, path: &str, project: &str| {
        Door::published().explain(caller, path, project, "d", &rules).unwrap()
    };
    let allowed = explain(&contributor("p"), CREATE, "p");
    assert!(allowed.is_allowed());
    assert_eq!(allowed.rpc, "flyteidl2.workflow.RunService/CreateRun");
    let reasons: Vec<_> =
        allowed.steps.iter().map(|step| format!("{}: {}", step.rule, step.reason)).collect();
    assert!(reasons.contains(&"role: the caller's role is contributor".to_owned()), "{reasons:#?}");
    assert!(reasons.contains(&"limit: the caller's rights are for project \"p\"".to_owned()), "{reasons:#?}");
    assert!(reasons.contains(&"code: projects.service-accounts allows etl".to_owned()), "{reasons:#?}");
    assert!(reasons.contains(&"code: projects.pod-security allows baseline".to_owned()), "{reasons:#?}");
    let viewer = caller(Role::Viewer, "all", "p", "");
    let job = Caller { principal: PrincipalKind::Run, ..contributor("p") };
    for (caller, path, project, rule) in [
        (contributor("p"), CREATE, "q", Rule::Limit),
        (viewer.clone(), CREATE, "p", Rule::Role),
        (caller(Role::Contributor, "read", "p", ""), CREATE, "p", Rule::Scope),
        (job, CREATE, "p", Rule::Principal),
        (contributor("p"), ENQUEUE, "p", Rule::Principal),
        (contributor("p"), "/flyteidl2.project.ProjectService/CreateProject", "p", Rule::Administrator),
        (contributor("p"), "/flyteidl2.workflow.InternalRunService/RecordAction", "p", Rule::Principal),
    ] {
        let explanation = explain(&caller, path, project);
        let refusal = explanation.refusal().unwrap_or_else(|| panic!("{path}: {explanation:?}"));
        assert_eq!(refusal.rule, rule, "{explanation:?}");
        // The decision is the same.
        let request = serde_json::json!({"runId": {"project": project, "domain": "d"}}).to_string();
        let decided = Door::published()
            .admit(&caller, path)
            .and_then(|()| Door::published().pass(&caller, path, Message::Json(request.as_bytes()), &rules));
        assert_eq!(decided.unwrap_err().rule(), rule, "{path}");
    }
    // Reading a run carries no code.
    assert!(explain(&viewer, GET, "p").steps.iter().all(|step| step.rule != Rule::Code));
    let unknown = Door::published().explain(&viewer, "/a.B/C", "p", "d", &rules);
    assert_eq!(unknown.unwrap_err().rule(), Rule::Table);
}

/// The fields that lead from a request to the nearest message whose own fields name something of this meaning.
fn way(request: NodeId, meaning: Meaning) -> Option<(Vec<(String, Form)>, NodeId)> {
    let plan = &Door::published().plan;
    let (mut next, mut seen) = (VecDeque::from([(Vec::new(), request)]), HashSet::new());
    while let Some((path, id)) = next.pop_front() {
        if !seen.insert(id) {
            continue;
        }
        for field in &plan.node(id).fields {
            match field.content {
                Content::Text(found) if found == meaning => return Some((path, id)),
                Content::Message(inner) if field.form != Form::Map && !field.is_relation => {
                    let step = (field.name.to_string(), field.form);
                    next.push_back((path.iter().cloned().chain([step]).collect(), inner));
                }
                Content::Message(_) | Content::Text(_) | Content::Other => {}
            }
        }
    }
    None
}

/// Writes a text into a request.
fn write(request: &mut Value, path: &[(String, Form)], field: &str, text: &str) {
    let mut message = request;
    for (name, form) in path {
        let object = message.as_object_mut().unwrap();
        message = match form {
            Form::Single => object.entry(name.clone()).or_insert_with(|| Map::new().into()),
            Form::List | Form::Map => {
                let list =
                    object.entry(name.clone()).or_insert_with(|| Value::Array(vec![Map::new().into()]));
                &mut list[0]
            }
        };
    }
    message[field] = text.into();
}

/// A request that names a project, a domain and a run as far as requests of this RPC can.
fn request(entry: Entry, project: &str, domain: &str, run: &str) -> String {
    let mut json = Value::Object(Map::new());
    for (meaning, text) in [(Meaning::Project, project), (Meaning::Domain, domain), (Meaning::Run, run)] {
        let Some((path, id)) = entry.request.filter(|_| !text.is_empty()).and_then(|id| way(id, meaning))
        else {
            continue;
        };
        let fields = &Door::published().plan.node(id).fields;
        let field = fields.iter().find(|field| field.content == Content::Text(meaning)).unwrap();
        write(&mut json, &path, &field.name, text);
    }
    json.to_string()
}

#[test]
fn explanations_and_decisions_are_the_same_for_all_callers_and_rpcs() {
    let door = Door::published();
    let rules = backend(&[("projects.service-accounts", "default,p=etl")]);
    let stores: [&dyn Storage; 2] = [&rules, &Bucket];
    let pod = "pod:namespace/name/uid";
    let principals = [
        (PrincipalKind::Person, ""),
        (PrincipalKind::ApiKey, ""),
        (PrincipalKind::Federated, ""),
        (PrincipalKind::Run, ""),
        (PrincipalKind::Run, pod),
    ];
    let mut callers = Vec::new();
    for (principal, family_id) in principals {
        for (role, scope) in [
            (Role::Viewer, "all"),
            (Role::Viewer, "read"),
            (Role::Contributor, "all"),
            (Role::Contributor, "openid"),
            (Role::Admin, "all"),
            (Role::Admin, "read"),
        ] {
            for (project, domain) in [("", ""), ("p", ""), ("p", "d")] {
                let subject = if principal == PrincipalKind::Run { "p/d/r" } else { "someone" };
                callers.push(Caller {
                    principal,
                    subject: subject.to_owned(),
                    family_id: family_id.to_owned(),
                    ..caller(role, scope, project, domain)
                });
            }
        }
    }
    let (mut allowed, mut refused) = (0, HashSet::new());
    for rpc in RPCS.iter().filter(|rpc| rpc.scope != RequiredScope::None) {
        let path = format!("/{}", rpc.name);
        let entry = door.entry(&path).unwrap();
        for (project, domain) in [("", ""), ("p", ""), ("p", "d"), ("p", "e"), ("q", "d")] {
            for caller in &callers {
                // A run's own actions are those of its own project, whatever else is asked.
                let is_own = rpc.own_run && caller.principal == PrincipalKind::Run;
                let run = if is_own { "r" } else { "" };
                let named = match (is_own, project, domain) {
                    (true, "", "") => ("p", "d"),
                    (true, project, "") => (project, "d"),
                    _ => (project, domain),
                };
                let request = request(entry, named.0, named.1, run);
                for storage in stores {
                    let decided = door
                        .admit(caller, &path)
                        .and_then(|()| door.pass(caller, &path, Message::Json(request.as_bytes()), storage));
                    let explained = door.explain(caller, &path, project, domain, storage).unwrap();
                    let about = || format!("{path} {request} {caller:?}\n{decided:?}\n{explained:#?}");
                    assert_eq!(explained.is_allowed(), decided.is_ok(), "{}", about());
                    let rule = decided.as_ref().err().map(Refusal::rule);
                    assert_eq!(explained.refusal().map(|step| step.rule), rule, "{}", about());
                    let all_allow = explained.steps.iter().all(|step| step.allows);
                    assert_eq!(all_allow, explained.is_allowed(), "{}", about());
                    match rule {
                        Some(rule) => drop(refused.insert(rule)),
                        None => allowed += 1,
                    }
                }
            }
        }
    }
    assert!(allowed > 10_000, "{allowed}");
    let rules = [Rule::Scope, Rule::Principal, Rule::Role, Rule::Administrator, Rule::Limit, Rule::Request];
    assert!(rules.iter().all(|rule| refused.contains(rule)), "{refused:?}");
}

#[test]
fn refusals_say_by_which_rule_and_no_more_than_was_asked() {
    let rules = backend(&[("projects.service-accounts", "default,p=etl")]);
    let refusal = |caller: &Caller, path: &str, request: Value| {
        let request = request.to_string();
        let door = Door::published();
        let passed = door
            .admit(caller, path)
            .and_then(|()| door.pass(caller, path, Message::Json(request.as_bytes()), &rules));
        passed.unwrap_err().error_info(path)
    };
    let rpc = &CREATE[1..];
    let entries = |info: &flyte_idl::google::rpc::ErrorInfo| {
        let mut entries: Vec<_> = info.metadata.clone().into_iter().collect();
        entries.sort();
        entries
    };
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    let viewer = refusal(&caller(Role::Viewer, "all", "p", ""), CREATE, serde_json::json!({}));
    assert_eq!((viewer.reason.as_str(), viewer.domain.as_str()), ("INSUFFICIENT_ROLE", "flyteauth"));
    assert_eq!(entries(&viewer), [pair("rpc", rpc), pair("rule", "role")]);
    let of_other = serde_json::json!({"runId": {"project": "q".repeat(1000), "domain": "d"}});
    let other = refusal(&contributor("p"), CREATE, of_other);
    assert_eq!(other.reason, "OUTSIDE_OF_LIMIT");
    let expected =
        [pair("domain", "d"), pair("project", &"q".repeat(256)), pair("rpc", rpc), pair("rule", "limit")];
    assert_eq!(entries(&other), expected);
    let code = serde_json::json!({
        "runId": {"project": "p", "domain": "d"},
        "taskSpec": {"taskTemplate": {"securityContext": {"runAs": {"k8sServiceAccount": "flyte"}}}},
    });
    let code = refusal(&contributor("p"), CREATE, code);
    assert_eq!(code.reason, "CODE_NOT_ALLOWED");
    assert!(entries(&code).contains(&pair("setting", "projects.service-accounts")), "{code:?}");
}
