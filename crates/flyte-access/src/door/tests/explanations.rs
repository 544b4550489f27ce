//! Explanations say what the door decides.

use super::{
    code::{backend, contributor},
    *,
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
