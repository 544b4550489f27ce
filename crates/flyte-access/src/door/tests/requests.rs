//! What requests name is found, wherever it is.

use std::{collections::HashSet, fmt::Write as _};

use buffa::Message as _;
use flyte_idl::flyteidl2::{actions::EnqueueRequest, workflow::CreateRunRequest};
use flyte_settings::Config;
use proptest::prelude::*;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::{
    super::{
        found::{Identifier, Path, Visitor},
        meaning::Meaning,
        plan::{Content, Field, Form, Json, Node, NodeId},
        tree::Tree,
    },
    *,
};

/// `CreateRunRequest.inputs`.
const INPUTS: u32 = 4;

/// Passes a request in both forms, which must be judged alike.
fn pass<M: buffa::Message + DeserializeOwned>(
    caller: &Caller,
    path: &str,
    request: &Value,
) -> Result<(), Refusal> {
    let json = request.to_string();
    let binary = serde_json::from_str::<M>(&json).unwrap().encode_to_vec();
    let passed = Door::published().pass(caller, path, Message::Json(json.as_bytes()), &Bucket);
    assert_eq!(passed, Door::published().pass(caller, path, Message::Binary(&binary), &Bucket), "{request}");
    passed
}

fn create(request: &Value) -> Result<(), Refusal> {
    pass::<CreateRunRequest>(&caller(Role::Contributor, "all", "p", "d"), CREATE, request)
}

fn run_id(project: &str, domain: &str, name: &str) -> Value {
    json!({"project": project, "domain": domain, "name": name})
}

/// A request that also has `more`, which is a member of the request or of its specifications.
fn with(more: &Value) -> Value {
    let mut request =
        json!({"runId": run_id("p", "d", "r"), "runSpec": {}, "taskSpec": {"taskTemplate": {}}});
    merge(&mut request, more);
    request
}

fn merge(into: &mut Value, from: &Value) {
    match (into, from) {
        (Value::Object(into), Value::Object(from)) => {
            for (name, value) in from {
                merge(into.entry(name).or_insert(Value::Null), value);
            }
        }
        (into, from) => *into = from.clone(),
    }
}

#[test]
fn every_identifier_and_every_object_counts() {
    assert_eq!(create(&with(&json!({}))), Ok(()));
    let uri = |project: &str| format!("s3://bucket/prefix/{project}/d/x");
    let literal = |uri: String| json!({"value": {"scalar": {"blob": {"uri": uri}}}});
    let nested = |uri: String| {
        json!({"value": {"collection": {"literals": [{"map": {"literals": {"k": {"scalar":
        {"union": {"value": {"scalar": {"structuredDataset": {"uri": uri}}}}}}}}}]}}})
    };
    for of in [
        |project: &str| json!({"runId": {"project": project}}),
        |project: &str| json!({"runSpec": {"relation": {"relatedTo": {"project": project}}}}),
        |project: &str| json!({"runSpec": {"relatedTo": {"project": project}}}),
        |project: &str| json!({"taskSpec": {"taskTemplate": {"id": {"project": project}}}}),
    ] {
        assert_eq!(create(&with(&of("p"))), Ok(()));
        assert!(matches!(create(&with(&of("q"))), Err(Refusal::NotFound { .. })), "{}", of("q"));
    }
    let inputs = |literal: Value| json!({"inputs": {"literals": [{"name": "x"}, literal]}});
    for (project, passes) in [("p", true), ("q", false)] {
        for more in [
            json!({"offloadedInputData": {"uri": uri(project)}}),
            json!({"runSpec": {"runBaseDir": uri(project)}}),
            json!({"runSpec": {"rawDataStorage": {"rawDataPrefix": uri(project)}}}),
            json!({"runSpec": {"envs": {"values": [{"key": "X", "value": uri(project)}]}}}),
            json!({"taskSpec": {"taskTemplate": {"container": {"args": ["a0", "--tgz", uri(project)]}}}}),
            json!({"taskSpec": {"taskTemplate": {"k8sPod": {"podSpec": {"containers": [{"args": [uri(project)]}]}}}}}),
            json!({"taskSpec": {"taskTemplate": {"metadata": {"codeBundleUri": uri(project)}}}}),
            inputs(literal(uri(project))),
            inputs(nested(uri(project))),
            inputs(json!({"value": {"offloadedMetadata": {"uri": uri(project)}}})),
        ] {
            assert_eq!(create(&with(&more)).is_ok(), passes, "{more}");
        }
    }
    // Data of others is theirs to guard; what the server reads itself must be in the store.
    assert_eq!(create(&with(&inputs(literal("s3://another/q/d/x".to_owned())))), Ok(()));
    for uri in
        ["s3://another/p/d/x", "/etc/passwd", "s3://bucket/prefix", "s3://bucket/prefix/p/d/../../q/d/x"]
    {
        let refused = create(&with(&json!({"offloadedInputData": {"uri": uri}})));
        let Err(Refusal::Invalid(message)) = refused else { panic!("{uri}: {refused:?}") };
        assert!(message.starts_with("offloaded_input_data.uri "), "{message}");
    }
    for uri in ["s3://bucket/prefix/p/d/../../q/d/x", "s3://bucket/prefix/"] {
        assert!(matches!(create(&with(&inputs(literal(uri.to_owned())))), Err(Refusal::Invalid(_))), "{uri}");
    }
}

#[test]
fn an_unlimited_caller_reaches_everything() {
    let all = caller(Role::Contributor, "all", "", "");
    let request = json!({
        "runId": run_id("p", "d", "r"),
        "taskId": run_id("q", "e", "t"),
        "inputs": {"literals": [{"value": {"scalar": {"blob": {"uri": "s3://bucket/prefix/../x"}}}}]},
    });
    assert_eq!(pass::<CreateRunRequest>(&all, CREATE, &request), Ok(()));
    // What is missing is the service's to say.
    assert_eq!(pass::<CreateRunRequest>(&all, CREATE, &json!({})), Ok(()));
    let limited = caller(Role::Contributor, "all", "p", "");
    assert!(matches!(pass::<CreateRunRequest>(&limited, CREATE, &json!({})), Err(Refusal::Invalid(_))));
    // A project's domains are all there for those who are limited to the project alone.
    let request = json!({"runId": run_id("p", "another", "r")});
    assert_eq!(pass::<CreateRunRequest>(&limited, CREATE, &request), Ok(()));
    let Err(Refusal::NotFound { message, .. }) = create(&request) else { panic!("it passed") };
    assert_eq!(message, "project \"p\" has no domain \"another\", only d");
}

#[test]
fn a_run_names_itself_and_relates_to_others() {
    let enqueue = |run: Value, more: Value| {
        let mut request = json!({"action": {"actionId": {"run": run, "name": "a1"}}});
        merge(&mut request, &more);
        pass::<EnqueueRequest>(&self::run(), ENQUEUE, &request)
    };
    let own = || run_id("p", "d", "r");
    assert_eq!(enqueue(own(), json!({})), Ok(()));
    let other = json!({"run": run_id("p", "d", "other"), "name": "a0"});
    assert_eq!(enqueue(own(), json!({"action": {"recoveredFrom": other}})), Ok(()));
    for (project, domain, name) in [("p", "d", "s"), ("q", "d", "r"), ("p", "e", "r"), ("", "", "r")] {
        assert_eq!(enqueue(run_id(project, domain, name), json!({})), denied(Denied::Run("Enqueue")));
    }
    for (project, domain) in [("p/d", "r"), ("p", "d"), ("", "")] {
        assert!(enqueue(run_id(project, domain, ""), json!({})).is_err(), "{project} {domain}");
    }
    let none = Door::published().pass(&self::run(), ENQUEUE, Message::Binary(&[]), &Bucket);
    assert!(matches!(none, Err(Refusal::Invalid(_))), "{none:?}");
    // Its code and its values may be in another project: it reads them with its own rights.
    let args = json!({"action": {"task": {"spec": {"taskTemplate": {"container":
        {"args": ["--tgz", "s3://bucket/prefix/q/d/x"]}}}}}});
    assert_eq!(enqueue(own(), args), Ok(()));
    let inputs = json!({"action": {"inputUri": "s3://bucket/prefix/q/d/x"}});
    assert!(matches!(enqueue(own(), inputs), Err(Refusal::NotFound { .. })));
}

#[test]
fn malformed_requests_are_refused() {
    let pass = |message| Door::published().pass(&caller(Role::Viewer, "all", "p", ""), GET, message, &Bucket);
    // `run_id` with a project of three bytes, of which two are there; field 0; a group; a varint without an end.
    for bytes in
        [&b"\x0a\x04\x12\x03pp"[..], b"\x00", b"\x0b\x0c", b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"]
    {
        assert!(matches!(pass(Message::Binary(bytes)), Err(Refusal::Malformed(_))), "{bytes:?}");
    }
    // Not UTF-8; a varint where a message is due; a project that is there twice.
    for bytes in [&b"\x0a\x03\x12\x01\xff"[..], b"\x08\x01", b"\x0a\x06\x12\x01p\x12\x01p"] {
        assert!(matches!(pass(Message::Binary(bytes)), Err(Refusal::Malformed(_))), "{bytes:?}");
    }
    for text in [
        "",
        "{",
        "[]",
        "1",
        "\"x\"",
        "{} {}",
        r#"{"runId": []}"#,
        r#"{"runId": {"project": 1}}"#,
        r#"{"runId": {"project": "p", "project": "p"}}"#,
    ] {
        assert!(matches!(pass(Message::Json(text.as_bytes())), Err(Refusal::Malformed(_))), "{text}");
    }
    // Both names of a field, names with escapes, unknown fields, and `null`.
    for text in [
        r#"{"run_id": {"project": "p"}}"#,
        r#"{"runId": {"\u0070roject": "\u0070"}, "unknown": {"project": "q"}}"#,
        r#"{"runId": {"project": "p", "domain": null}}"#,
    ] {
        assert_eq!(pass(Message::Json(text.as_bytes())), Ok(()), "{text}");
    }
    for text in [r#"{"run_id": {"project": "q"}}"#, r#"{"runId": {"\u0070roject": "\u0071"}}"#] {
        assert!(matches!(pass(Message::Json(text.as_bytes())), Err(Refusal::NotFound { .. })), "{text}");
    }
    let mut deep = Vec::new();
    for _ in 0..120 {
        // `Literal.collection.literals` again and again.
        deep = field_bytes(1, &deep);
        deep = field_bytes(2, &deep);
    }
    // `inputs.literals.value` of the request.
    for number in [2, 1, INPUTS] {
        deep = field_bytes(number, &deep);
    }
    let refused =
        Door::published().pass(&caller(Role::Admin, "all", "", ""), CREATE, Message::Binary(&deep), &Bucket);
    assert!(matches!(refused, Err(Refusal::Malformed(_))), "{refused:?}");
}

#[test]
fn a_message_of_any_type_is_looked_into() {
    static RPCS: [Rpc; 1] = [Rpc::read("a.B/C")];
    let definitions = "rpc a.B/C a.D\n\nmessage a.D\n1 any google.protobuf.Any\n2 text text\n\n\
                       message a.E\n1 project text\n\nmessage google.protobuf.Any\n1 type_url text\n";
    let door = Door { plan: Plan::new(&RPCS, definitions) };
    assert_eq!(door.plan.faults, [""; 0]);
    let any = |url: &str, project: &str| {
        let content = field_bytes(1, project.as_bytes());
        field_bytes(1, &[field_bytes(1, url.as_bytes()), field_bytes(2, &content)].concat())
    };
    let limited = caller(Role::Viewer, "read", "p", "");
    let pass = |caller: &Caller, bytes: &[u8]| door.pass(caller, "/a.B/C", Message::Binary(bytes), &Bucket);
    assert_eq!(pass(&limited, &any("type.googleapis.com/a.E", "p")), Ok(()));
    assert!(matches!(pass(&limited, &any("type.googleapis.com/a.E", "q")), Err(Refusal::NotFound { .. })));
    assert!(matches!(pass(&limited, &any("type.googleapis.com/a.F", "p")), Err(Refusal::Invalid(_))));
    assert_eq!(pass(&caller(Role::Viewer, "read", "", ""), &any("a.F", "q")), Ok(()));
}

/// A field with a length.
fn field_bytes(number: u32, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for mut value in [u64::from(number << 3 | 2), content.len() as u64] {
        while value >= 0x80 {
            bytes.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        bytes.push(value.to_le_bytes()[0]);
    }
    bytes.extend_from_slice(content);
    bytes
}

/// The shortest way to each message of a request, found by looking into each once.
fn ways(request: NodeId) -> Vec<(NodeId, Vec<&'static Field>)> {
    let plan = &Door::published().plan;
    let mut ways = vec![(request, Vec::new())];
    let mut seen = HashSet::from([format!("{request:?}")]);
    let mut next = 0;
    while let Some((node, way)) = ways.get(next).cloned() {
        next += 1;
        for field in &plan.node(node).fields {
            if let Content::Message(inner) = field.content
                && seen.insert(format!("{inner:?}"))
            {
                ways.push((inner, way.iter().copied().chain([field]).collect()));
            }
        }
    }
    ways
}

/// A request that has nothing but this text, in both forms.
fn request(way: &[&Field], field: &Field, text: &str) -> (Vec<u8>, Value) {
    let plan = &Door::published().plan;
    let (mut binary, mut json) = (text.as_bytes().to_vec(), json!(text));
    for field in way.iter().copied().chain([field]).rev() {
        let json_form = |content| match content {
            Content::Message(id) => plan.node(id).json,
            Content::Text(_) | Content::Other => Json::Object,
        };
        match json_form(field.content) {
            Json::Object => {}
            Json::Text => json = json!(text),
            Json::Any => json = json!({"some": [1, null, true, {"thing": text}]}),
        }
        if field.form == Form::Map {
            binary = field_bytes(2, &binary);
            json = json!({"key": json});
        } else if field.form == Form::List {
            json = json!([json]);
        }
        binary = field_bytes(field.number, &binary);
        json = json!({(*field.json_name): json});
    }
    (binary, json)
}

#[test]
fn every_way_of_every_request_is_watched() {
    let door = Door::published();
    let mut config = Config::for_test(std::path::Path::new("/nowhere")).projects;
    config.storage = vec!["s3://bucket/prefix".to_owned()];
    let backend = Backend::new(&config).unwrap();
    let stores: [&dyn Storage; 2] = [&Bucket, &backend];
    let (mut names, mut objects) = (0, 0);
    for rpc in RPCS.iter().filter(|rpc| rpc.callers != Callers::Internal && rpc.scope != RequiredScope::None)
    {
        let path = format!("/{}", rpc.name);
        let Some(request_node) = door.plan.rpc(rpc.name).unwrap().request else { continue };
        for (node, way) in ways(request_node) {
            let node: &Node = door.plan.node(node);
            for field in &node.fields {
                let Content::Text(meaning) = field.content else { continue };
                let caller = caller(Role::Admin, "all", "p", "d");
                let others = match meaning {
                    Meaning::Project | Meaning::Domain => "other",
                    Meaning::Text
                    | Meaning::Object
                    | Meaning::Base
                    | Meaning::RelativePath
                    | Meaning::Action
                    | Meaning::Code(_) => "s3://bucket/prefix/other/d/x",
                    Meaning::Organization | Meaning::Run => continue,
                };
                let (binary, json) = request(&way, field, others);
                let json_text = json.to_string();
                for (form, message) in
                    [("binary", Message::Binary(&binary)), ("json", Message::Json(json_text.as_bytes()))]
                {
                    for storage in stores {
                        // What code asks for, the rules decide first.
                        if matches!(meaning, Meaning::Code(_) | Meaning::Action) && storage.rules().is_some()
                        {
                            continue;
                        }
                        let passed = door.pass(&caller, &path, message, storage);
                        let mut text = String::new();
                        write!(text, "{form} {path} {json}: {passed:?}").unwrap();
                        assert!(matches!(passed, Err(Refusal::NotFound { .. })), "{text}");
                    }
                }
                match meaning {
                    Meaning::Project | Meaning::Domain => names += 1,
                    _ => objects += 1,
                }
            }
        }
    }
    assert!(names > 250 && objects > 1000, "{names} names and {objects} objects were found");
}

/// Collects what a reader finds.
#[derive(Default)]
struct Found(Vec<String>);

impl Visitor for Found {
    fn identifier(&mut self, identifier: &Identifier<'_>) -> Result<(), Refusal> {
        self.0.push(format!("{identifier:?}"));
        Ok(())
    }

    fn text(&mut self, text: &[u8], meaning: Meaning, path: &Path<'_>) -> Result<(), Refusal> {
        if !text.is_empty() {
            self.0.push(format!("{path} {} {}", meaning == Meaning::Object, String::from_utf8_lossy(text)));
        }
        Ok(())
    }

    fn annotation(&mut self, key: &[u8], value: &[u8], path: &Path<'_>) -> Result<(), Refusal> {
        self.0.push(format!("{path} {} {}", String::from_utf8_lossy(key), String::from_utf8_lossy(value)));
        Ok(())
    }

    fn whole(&mut self, tree: &Tree<'_>, path: &Path<'_>) -> Result<(), Refusal> {
        self.0.push(format!("{path} {tree:?}"));
        Ok(())
    }

    fn unknown_message(&mut self, path: &Path<'_>) -> Result<(), Refusal> {
        self.0.push(path.to_string());
        Ok(())
    }
}

fn found(read: impl FnOnce(&mut Found) -> Result<(), Refusal>) -> Result<Vec<String>, Refusal> {
    let mut found = Found::default();
    read(&mut found)?;
    found.0.sort();
    Ok(found.0)
}

fn name() -> impl Strategy<Value = String> {
    "[pq\"\\\\é/ ]{0,3}"
}

proptest! {
    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..96), json in "[{}\\[\\]:,\"runIdprojectnl0-9\\\\]{0,60}") {
        let all = caller(Role::Admin, "all", "p", "d");
        for rpc in [CREATE, GET, ENQUEUE] {
            let _ = Door::published().pass(&all, rpc, Message::Binary(&bytes), &Bucket);
            let _ = Door::published().pass(&all, rpc, Message::Json(json.as_bytes()), &Bucket);
        }
    }

    /// What decodes as a request is read, and both forms of it have the same in them.
    #[test]
    fn both_forms_are_read_alike(
        project in name(), domain in name(), run in name(), task in name(), args in prop::collection::vec(name(), 0..3),
    ) {
        let request = json!({
            "runId": {"project": project, "domain": domain, "name": run},
            "taskSpec": {"taskTemplate": {
                "id": {"project": task, "name": "n"},
                "custom": {"a": [args, {"b": task}]},
                "container": {"args": args, "env": [{"key": run, "value": task}]},
                "config": {"k": task},
            }},
            "runSpec": {"labels": {"values": {"k": run}}, "relation": {"relatedTo": {"project": task}}},
        });
        let binary = serde_json::from_value::<CreateRunRequest>(request.clone()).unwrap().encode_to_vec();
        let plan = &Door::published().plan;
        let node = plan.rpc(CREATE.trim_start_matches('/')).unwrap().request.unwrap();
        let from_binary = found(|found| super::super::binary::read(plan, node, &binary, found)).unwrap();
        let json = request.to_string();
        let from_json = found(|found| super::super::json::read(plan, node, json.as_bytes(), found)).unwrap();
        // A text in any JSON has no path of fields.
        let texts = |found: Vec<String>| -> Vec<_> {
            let mut texts: Vec<_> = found.into_iter().map(|line| match line.split_once("custom") {
                Some((_, line)) => line.rsplit_once(" false ").map_or(String::new(), |(_, text)| text.to_owned()),
                None => line,
            }).collect();
            texts.sort();
            texts
        };
        prop_assert_eq!(texts(from_binary), texts(from_json));
    }
}
