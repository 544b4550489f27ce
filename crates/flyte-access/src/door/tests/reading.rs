//! Requests are read as a backend reads them, or refused.

use super::*;

fn limited() -> Caller {
    caller(Role::Admin, "all", "p", "")
}

fn pass(path: &str, message: Message<'_>) -> Result<(), Refusal> {
    Door::published().pass(&limited(), path, message, &Bucket)
}

fn binary(path: &str, parts: &[&[u8]]) -> Result<(), Refusal> {
    pass(path, Message::Binary(&parts.concat()))
}

fn json(path: &str, text: &str) -> Result<(), Refusal> {
    pass(path, Message::Json(text.as_bytes()))
}

/// A field with a length.
fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

const UPLOAD: &str = "/flyteidl2.dataproxy.DataProxyService/CreateUploadLocation";
const LIST_RUNS: &str = "/flyteidl2.workflow.RunService/ListRuns";

/// Decoders merge sub-messages that come twice, so that neither of them is what the backend sees.
#[test]
fn a_message_that_comes_twice_is_refused() {
    let own = field(2, b"p");
    let run_id = |content: &[u8]| field(1, content);
    assert_eq!(binary(GET, &[&run_id(&own)]), Ok(()));
    for second in [&own[..], &field(2, b""), &field(4, b"r"), b""] {
        let refused = binary(GET, &[&run_id(&own), &run_id(second)]);
        assert!(matches!(refused, Err(Refusal::Malformed(_))), "{second:?}: {refused:?}");
    }
    for text in [
        r#"{"runId": {"project": "p"}, "runId": {}}"#,
        r#"{"runId": {"project": "p"}, "run_id": {"project": ""}}"#,
        r#"{"runId": {"project": "p", "proj\u0065ct": ""}}"#,
    ] {
        assert!(matches!(json(GET, text), Err(Refusal::Malformed(_))), "{text}");
    }
}

/// Of a oneof, decoders keep the last, so that the first says nothing.
#[test]
fn two_fields_that_exclude_each_other_are_refused() {
    // `run_id` and `project_id` of CreateRun; `org` and `project_id` of ListRuns.
    let run_id = field(1, &field(2, b"p"));
    for last in [&b""[..], &field(3, b"")] {
        let refused = binary(CREATE, &[&run_id, &field(6, last)]);
        assert!(matches!(refused, Err(Refusal::Malformed(_))), "{last:?}: {refused:?}");
    }
    let refused = binary(LIST_RUNS, &[&field(4, &field(3, b"p")), &field(2, b"acme")]);
    assert!(matches!(refused, Err(Refusal::Malformed(_))), "{refused:?}");
    let text = r#"{"runId": {"project": "p"}, "projectId": {"name": "p"}}"#;
    assert!(matches!(json(CREATE, text), Err(Refusal::Malformed(_))));
    // What is `null` is left out.
    assert_eq!(json(CREATE, r#"{"projectId": null, "runId": {"project": "p"}}"#), Ok(()));
    assert_eq!(json(CREATE, r#"{"runId": {"project": "p", "domain": null}, "projectId": null}"#), Ok(()));
}

/// A backend may take an empty project for all of them.
#[test]
fn the_subject_of_a_request_names_its_project() {
    for text in [
        r#"{"projectId": {}, "taskId": {"project": "p"}}"#,
        r#"{"projectId": {"name": ""}, "taskId": {"project": "p"}}"#,
        r#"{"projectId": {"domain": "d"}, "taskId": {"project": "p"}}"#,
        r#"{"runId": {"project": "p"}, "taskId": {"name": "t"}}"#,
    ] {
        let refused = json(CREATE, text);
        assert_eq!(refused, Err(Refusal::Invalid("the request names no project".to_owned())), "{text}");
    }
    let refused = binary(CREATE, &[&field(6, b""), &field(2, &field(2, b"p"))]);
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    // An app may depend on another, which its specification names.
    let create = "/flyteidl2.app.AppService/Create";
    let app = |metadata: &str| {
        format!(
            r#"{{"app": {{"metadata": {metadata}, "spec": {{"inputs": {{"items": [{{"appId": {{"project": "p"}}}}]}}}}}}}}"#
        )
    };
    assert_eq!(json(create, &app(r#"{"id": {"project": "p"}}"#)), Ok(()));
    assert!(matches!(json(create, &app(r#"{"id": {"name": "a"}}"#)), Err(Refusal::Invalid(_))));
}

/// A backend makes paths and names of objects from the names in a request.
#[test]
fn names_and_paths_lead_nowhere_else() {
    let upload = |more: &str| json(UPLOAD, &format!(r#"{{"project": "p"{more}}}"#));
    assert_eq!(
        upload(r#", "domain": "d", "org": "acme", "filename": "a b.txt", "filenameRoot": "x/y-1""#),
        Ok(())
    );
    for name in ["100%.txt", "a%20b", "what?", ".hidden", "a..b", "/x", "ünï"] {
        assert_eq!(upload(&format!(r#", "filename": "{name}""#)), Ok(()), "{name}");
    }
    for more in [
        r#", "domain": "../q/d""#,
        r#", "domain": "..""#,
        r#", "domain": "d/x""#,
        r#", "domain": "d%2f..""#,
        r#", "org": "../..""#,
        r#", "org": "a\\b""#,
        r#", "filenameRoot": "../../q/d/x""#,
        r#", "filenameRoot": "x/../../../q/d""#,
        r#", "filenameRoot": "%2e%2e/q""#,
        r#", "filenameRoot": "..?x""#,
        r#", "filename": "..""#,
        r#", "filename": "s3://bucket/prefix/q/d/x""#,
        r#", "filename": "gs://another/x""#,
        r#", "filename": "a\u0000b""#,
    ] {
        let refused = upload(more);
        assert!(
            matches!(refused, Err(Refusal::Invalid(_) | Refusal::NotFound { .. })),
            "{more}: {refused:?}"
        );
    }
    // Also for those who reach everything: an encoder of paths writes no `..`.
    let all = caller(Role::Admin, "all", "", "");
    let message = br#"{"project": "p", "filenameRoot": "../../q"}"#;
    let refused = Door::published().pass(&all, UPLOAD, Message::Json(message), &Bucket);
    assert!(matches!(refused, Err(Refusal::Invalid(_))), "{refused:?}");
    for name in ["../q", "r\u{0}", "a/b"] {
        let text = serde_json::json!({"runId": {"project": "p", "domain": "d", "name": name}}).to_string();
        assert!(matches!(json(GET, &text), Err(Refusal::Invalid(_))), "{text}");
    }
}

/// A directory in which the backend makes one for each project may be the store itself.
#[test]
fn a_base_directory_is_the_store_or_a_part_of_ones_own() {
    let buckets = Buckets::new(["s3://bucket/prefix"]).unwrap();
    let upload = "/flyteidl2.dataproxy.DataProxyService/UploadInputs";
    let pass = |caller: &Caller, base: &str| {
        let text =
            serde_json::json!({"projectId": {"name": "p", "domain": "d"}, "baseDir": base}).to_string();
        Door::published().pass(caller, upload, Message::Json(text.as_bytes()), &buckets)
    };
    for base in ["", "s3://bucket/prefix", "s3://bucket/prefix/", "s3://bucket/prefix/p/d/x"] {
        assert_eq!(pass(&limited(), base), Ok(()), "{base}");
    }
    assert!(matches!(pass(&limited(), "s3://bucket/prefix/q/d"), Err(Refusal::NotFound { .. })));
    for base in
        ["s3://bucket", "s3://bucket/prefix/p", "s3://another/p/d", "/tmp", "s3://bucket/prefix/p/d/.."]
    {
        assert!(matches!(pass(&limited(), base), Err(Refusal::Invalid(_))), "{base}");
    }
    // A backend can write in other buckets too.
    assert_eq!(pass(&caller(Role::Contributor, "all", "", ""), "s3://another/x"), Ok(()));
}

#[test]
fn what_is_nested_too_deeply_is_refused() {
    let deep = |open: &str, close: &str| {
        format!(
            r#"{{"runId": {{"project": "p"}}, "taskSpec": {{"taskTemplate": {{"custom": {{"a": {}1{}}}}}}}}}"#,
            open.repeat(200),
            close.repeat(200)
        )
    };
    for text in [deep("[", "]"), deep(r#"{"a":"#, "}")] {
        assert!(matches!(json(CREATE, &text), Err(Refusal::Malformed(_))));
    }
    // What is in no field is skipped without a stack.
    let (open, close) = ("[".repeat(100_000), "]".repeat(100_000));
    let unknown = format!(r#"{{"runId": {{"project": "p"}}, "x": {open}{close}}}"#);
    assert_eq!(json(CREATE, &unknown), Ok(()));
}
