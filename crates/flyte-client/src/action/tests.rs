use serde_json::json;

use super::*;

#[test]
fn details_contain_the_attempts_and_the_error() {
    let message: wire::ActionDetails = serde_json::from_value(json!({
        "id": {"run": {"project": "p", "domain": "d", "name": "r1"}, "name": "a7"},
        "metadata": {"parent": "a0", "group": "g", "task": {"id": {"name": "env.t", "version": "v1"}, "shortName": "t"},
            "executedBy": {"application": {"id": {"subject": "ci"}}}},
        "status": {"phase": "ACTION_PHASE_FAILED", "attempts": 2, "cacheStatus": "CACHE_HIT", "startTime": "1970-01-01T00:16:40.250Z",
            "endTime": "1970-01-01T00:16:42Z"},
        "errorInfo": {"message": "ValueError: no", "code": "ValueError", "kind": "KIND_USER"},
        "attempts": [
            {"attempt": 1, "phase": "ACTION_PHASE_FAILED", "errorInfo": {"message": "first"}, "logsAvailable": true},
            {"attempt": 2, "phase": "ACTION_PHASE_FAILED", "outputs": {"outputUri": "file:///o"}}]
    }))
    .unwrap();
    let details = ActionDetails::from(message);
    let expected = Action {
        name: "a7".into(),
        run: "r1".into(),
        project_domain: ProjectDomain::new("p", "d"),
        parent: "a0".into(),
        group: "g".into(),
        task: "env.t".into(),
        version: "v1".into(),
        short_name: "t".into(),
        phase: Phase::Failed,
        attempts: 2,
        started_at: Some(1000),
        ended_at: Some(1002),
        duration_ms: Some(1750),
        created_by: "ci".into(),
        cached: true,
    };
    assert_eq!(details.action, expected);
    assert_eq!(details.action.id().to_string(), "r1 a7");
    let error = details.error.unwrap();
    assert_eq!((error.code.as_str(), error.kind), ("ValueError", Blame::User));
    assert_eq!(details.history[0].error.as_ref().unwrap().message, "first");
    assert!(details.history[0].has_logs && !details.history[1].has_logs);
    assert_eq!(details.history[1].outputs_uri, "file:///o");
    let written = serde_json::to_value(&expected).unwrap();
    assert_eq!((&written["project"], &written["phase"]), (&json!("p"), &json!("failed")));
}

#[test]
fn an_abort_has_a_reason_and_a_person() {
    let message: wire::ActionDetails = serde_json::from_value(json!({
        "abortInfo": {"reason": "enough", "abortedBy": {"user": {"spec": {"firstName": "Ada", "lastName": "L"}}}},
        "metadata": {"trace": {"name": "step"}}
    }))
    .unwrap();
    let details = ActionDetails::from(message);
    assert_eq!(details.abort, Some(Abort { reason: "enough".into(), by: "Ada L".into() }));
    assert_eq!((details.action.task.as_str(), details.action.duration_ms), ("step", None));
}
