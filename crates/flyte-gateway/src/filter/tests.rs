//! Whatever an answer has of other projects, a limited caller does not get it; what is its own stays.

mod passages;
pub(crate) mod random;
mod subjects;
mod tokens;

use std::collections::BTreeSet;

use flyte_access::door::{Callers, Door, RPCS, Reach};
use proptest::prelude::*;
use serde_json::json;

use self::random::{Messages, Tree, encode, to_json};
use super::{table::ROWS, *};
use flyte_model::{Limit, Role};
use flyte_policy::Grants;

/// The messages of requests, as the door knows them.
const REQUESTS: &str = include_str!("../../../flyte-access/src/door/requests.txt");

fn caller(project: &str, domain: &str) -> Caller {
    let given = |text: &str| Some(text.to_owned()).filter(|text| !text.is_empty());
    let limit = Limit { project: given(project), domain: given(domain) };
    Caller { grants: Grants::of_role(Role::Admin, &limit), ..Caller::for_test() }
}

fn rpc(name: &str) -> &'static Rpc {
    Door::published().rpc(&format!("/{name}")).expect(name)
}

fn filter(caller: &Caller, name: &str, codec: Codec) -> Filter {
    Filter::new(caller, rpc(name), codec).unwrap().unwrap()
}

#[test]
fn every_rpc_that_spans_projects_has_a_row() {
    Plan::published().unwrap();
    let rows: BTreeSet<_> = ROWS.iter().map(|row| row.rpc).collect();
    assert_eq!(rows.len(), ROWS.len());
    for rpc in RPCS.iter().filter(|rpc| rpc.reach == Reach::Projects && rpc.callers != Callers::Internal) {
        assert!(rows.contains(rpc.name), "{} has no row", rpc.name);
    }
    for row in ROWS {
        let method = rpc(row.rpc).method();
        assert_eq!(row.is_stream, method.starts_with("Watch") && !row.items.is_empty(), "{}", row.rpc);
    }
}

/// The numbers and names of the fields of a message in [`REQUESTS`].
fn fields(message: &str) -> Vec<(u32, &'static str)> {
    let start = format!("message {message}");
    let lines = REQUESTS.lines().skip_while(|line| **line != *start).skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .map(|line| {
            let mut words = line.split(' ');
            (words.next().unwrap().parse().unwrap(), words.next().unwrap())
        })
        .collect()
}

#[test]
fn scopes_are_fields_of_their_requests() {
    let project = fields("flyteidl2.common.ProjectIdentifier");
    assert!(project.contains(&scope::PROJECT) && project.contains(&scope::DOMAIN));
    for row in ROWS {
        let Some(scope) = row.scope else { continue };
        let line = REQUESTS.lines().find_map(|line| line.strip_prefix(&format!("rpc {} ", row.rpc))).unwrap();
        let fields = fields(line);
        for field in [scope.project].iter().chain(scope.others) {
            assert!(fields.contains(field), "{} has no {field:?}", row.rpc);
        }
    }
}

proptest! {
    /// A random answer of each RPC with items of the caller's project and of others, in both forms.
    #[test]
    fn only_what_is_the_callers_own_is_left(seed: u64, has_domain: bool) {
        let caller = caller("own", if has_domain { "development" } else { "" });
        let answers = Messages::of_answers();
        for row in ROWS.iter().filter(|row| !row.items.is_empty()) {
            prop_assert!(row.needs_scope || row.scope.is_none() || !row.totals.is_empty());
            let tree = answers.random(row, seed, has_domain);
            let left = tree.without_foreign();
            let expected = answers.without_totals(row, left.as_ref().unwrap_or(&Tree::empty()));
            let binary = filter(&caller, row.rpc, Codec::Proto);
            let json = filter(&caller, row.rpc, Codec::Json);
            let filtered = binary.message(&encode(&tree));
            let in_json = json.message(to_json(&tree).to_string().as_bytes());
            // The project that an answer is about.
            if filtered == Err(Withheld::Foreign) {
                prop_assert!(tree.has_foreign() && in_json == Err(Withheld::Foreign), "{}", row.rpc);
                continue;
            }
            let (filtered, in_json) = (filtered.unwrap(), in_json.unwrap());
            let dropped = row.is_stream && tree.has_foreign() && encode(&expected).is_empty();
            prop_assert_eq!(filtered.is_none(), dropped, "{}", row.rpc);
            prop_assert_eq!(in_json.is_none(), dropped, "{}", row.rpc);
            let (Some(filtered), Some(in_json)) = (filtered, in_json) else { continue };
            let text = String::from_utf8_lossy(&filtered);
            prop_assert!(!text.contains("foreign"), "{}: {}", row.rpc, text);
            prop_assert_eq!(filtered, encode(&expected), "{}", row.rpc);
            let in_json: serde_json::Value = serde_json::from_slice(&in_json).unwrap();
            prop_assert_eq!(without_empty_lists(in_json), to_json(&expected), "{}", row.rpc);
        }
    }

    #[test]
    fn no_answer_panics(bytes: Vec<u8>, text in "[{}\\[\\]:,\"runsactiod0-9\\\\]{0,60}") {
        let caller = caller("own", "development");
        for row in ROWS {
            let _ = filter(&caller, row.rpc, Codec::Proto).message(&bytes);
            let _ = filter(&caller, row.rpc, Codec::Json).message(text.as_bytes());
            let _ = filter(&caller, row.rpc, Codec::Proto).see_request(&bytes);
            let _ = filter(&caller, row.rpc, Codec::Json).see_request(text.as_bytes());
        }
    }
}

/// A list that has lost all its elements is written as an empty one.
fn without_empty_lists(mut json: serde_json::Value) -> serde_json::Value {
    if let Some(members) = json.as_object_mut() {
        for (_, value) in members.iter_mut() {
            *value = without_empty_lists(std::mem::take(value));
        }
        members.retain(|_, value| value.as_array().is_none_or(|list| !list.is_empty()));
    } else if let Some(list) = json.as_array_mut() {
        for value in list {
            *value = without_empty_lists(std::mem::take(value));
        }
    }
    json
}

const LIST_TASKS: &str = "flyteidl2.task.TaskService/ListTasks";

fn list_tasks(request: &serde_json::Value, caller: &Caller) -> serde_json::Value {
    let filter = filter(caller, LIST_TASKS, Codec::Json);
    filter.see_request(request.to_string().as_bytes()).unwrap();
    let task = |project: &str, domain: &str, run: &str| {
        json!({
            "taskId": {"project": project, "domain": domain, "name": "n"},
            "taskSummary": {"latestRun": {"runId": {"project": run, "domain": domain}, "rootTaskName": run}},
        })
    };
    let answer = json!({
        "tasks": [
            task("own", "development", "own"),
            task("own", "development", "other"),
            task("own", "production", "own"),
            task("other", "development", "other"),
            {"taskId": {"name": "n"}},
            {},
        ],
        "token": "6",
        "metadata": {"total": 6, "filteredTotal": 6},
    });
    let filtered = filter.message(answer.to_string().as_bytes()).unwrap().unwrap();
    serde_json::from_slice(&filtered).unwrap()
}

#[test]
fn a_page_is_shorter_and_keeps_its_token() {
    let caller = caller("own", "development");
    let everything = list_tasks(&json!({"org": "o"}), &caller);
    assert_eq!(everything["token"], "6");
    assert_eq!(everything["tasks"].as_array().unwrap().len(), 2);
    assert_eq!(everything["tasks"][0]["taskSummary"]["latestRun"]["runId"]["project"], "own");
    // Another project's run of the caller's own task.
    assert_eq!(everything["tasks"][1]["taskSummary"], json!({}));
    // A count of everything would tell how much others have.
    assert_eq!(everything.get("metadata"), None);
}

#[test]
fn counts_stay_if_the_request_asks_for_the_callers_own() {
    for (project, domain, request, stays) in [
        ("own", "", json!({"projectId": {"name": "own"}}), true),
        ("own", "", json!({"project_id": {"name": "own", "domain": "production"}}), true),
        ("own", "development", json!({"projectId": {"name": "own", "domain": "development"}}), true),
        ("own", "development", json!({"projectId": {"name": "own"}}), false),
        ("own", "development", json!({"projectId": {"domain": "development"}}), false),
        ("own", "", json!({"projectId": {"name": "own"}, "org": "o"}), false),
        ("own", "", json!({"projectId": {"name": "own"}, "project_id": {"name": "own"}}), false),
        ("own", "", json!({"org": ""}), false),
        ("own", "", json!({"projectId": null}), false),
        ("own", "", json!({}), false),
    ] {
        let answer = list_tasks(&request, &caller(project, domain));
        assert_eq!(answer.get("metadata").is_some(), stays, "{project} {domain} {request}");
    }
}

#[test]
fn an_answer_that_names_no_project_needs_a_request_that_does() {
    let groups = "flyteidl2.workflow.RunService/WatchGroups";
    for (domain, request, passes) in [
        ("", &b"\x0a\x05\x1a\x03own"[..], true),
        ("", b"", false),
        ("", b"\x0a\x00", false),
        ("development", b"\x0a\x05\x1a\x03own", false),
        ("development", b"\x0a\x12\x1a\x03own\x12\x0bdevelopment", true),
        // Twice, which decoders merge.
        ("", b"\x0a\x05\x1a\x03own\x0a\x05\x1a\x03own", false),
        ("", b"\x0a\xff", false),
    ] {
        let seen = filter(&caller("own", domain), groups, Codec::Proto).see_request(request);
        assert_eq!(seen.is_ok(), passes, "{domain} {request:?}");
        let Err(refusal) = seen else { continue };
        assert_eq!(refusal.code, Code::InvalidArgument);
        assert!(refusal.message.starts_with("project_id: name your project"), "{}", refusal.message);
    }
    // What is filtered item by item needs none.
    assert_eq!(filter(&caller("own", ""), LIST_TASKS, Codec::Proto).see_request(b""), Ok(None));
}

#[test]
fn a_caller_without_a_limit_has_no_filter() {
    for row in ROWS {
        assert!(Filter::new(&caller("", ""), rpc(row.rpc), Codec::Proto).unwrap().is_none());
    }
    // An RPC that the table lacks.
    let unknown = Rpc { name: "a.B/ListC", ..*rpc(LIST_TASKS) };
    let refusal = Filter::new(&caller("p", ""), &unknown, Codec::Proto).unwrap_err();
    assert_eq!(refusal.code, Code::PermissionDenied);
}

#[test]
fn secrets_of_the_organization_are_everyones() {
    let answer = json!({"secrets": [
        {"id": {"name": "a"}},
        {"id": {"name": "b", "project": "own"}},
        {"id": {"name": "c", "domain": "production"}},
        {"id": {"name": "d", "project": "other"}},
    ]});
    let filter =
        filter(&caller("own", "development"), "flyteidl2.secret.SecretService/ListSecrets", Codec::Json);
    let filtered = filter.message(answer.to_string().as_bytes()).unwrap().unwrap();
    let filtered: serde_json::Value = serde_json::from_slice(&filtered).unwrap();
    let names: Vec<_> =
        filtered["secrets"].as_array().unwrap().iter().map(|secret| &secret["id"]["name"]).collect();
    assert_eq!(names, ["a", "b"]);
}

#[test]
fn what_stays_in_json_is_copied() {
    let app = r#"{"metadata":{"id":{"project":"own"}}, "x" :[0.1000000000000000055511151231257827,1e400,"\u0061"]}"#;
    let answer = format!(
        r#"{{ "token":"1" ,"apps":[{{"metadata":{{"id":{{"project":"other"}}}}}}, {app}],"b":18446744073709551616}}"#
    );
    let filter = filter(&caller("own", ""), "flyteidl2.app.AppService/List", Codec::Json);
    let filtered = filter.message(answer.as_bytes()).unwrap().unwrap();
    let expected = format!(r#"{{"token":"1","apps":[{app}],"b":18446744073709551616}}"#);
    assert_eq!(String::from_utf8(filtered).unwrap(), expected);
}

#[test]
fn an_answer_that_cannot_be_read_is_not_shown() {
    for bytes in [&b"\x0a"[..], b"\x0a\x05x", b"\x08\x01", b"\x0a\x02\x0a\x05", b"\x0b"] {
        let filter = filter(&caller("own", ""), LIST_TASKS, Codec::Proto);
        assert_eq!(filter.message(bytes), Err(Unreadable.into()), "{bytes:?}");
    }
    for text in [
        "",
        "[]",
        "1",
        "{",
        r#"{"tasks": 1}"#,
        r#"{"tasks": [1]}"#,
        r#"{"tasks": [{"taskId": {"project": 1}}]}"#,
    ] {
        let filter = filter(&caller("own", ""), LIST_TASKS, Codec::Json);
        assert_eq!(filter.message(text.as_bytes()), Err(Unreadable.into()), "{text}");
    }
}
