//! The table and the definitions are whole.

use std::collections::{BTreeMap, BTreeSet};

use buffa_descriptor::{DescriptorPool, FieldKind, MessageIndex, ScalarType, SingularKind};

use super::{super::meaning, *};

/// The lines of each message, by its name.
fn messages() -> BTreeMap<&'static str, Vec<&'static str>> {
    let mut messages = BTreeMap::new();
    for paragraph in REQUESTS.split("\n\n") {
        let mut lines = paragraph.lines();
        if let Some(name) = lines.next().and_then(|line| line.strip_prefix("message ")) {
            messages.insert(name, lines.collect());
        }
    }
    messages
}

#[test]
fn every_rpc_has_one_row() {
    assert_eq!(Door::published().plan.faults, [""; 0]);
    let names: BTreeSet<_> = RPCS.iter().map(|rpc| rpc.name).collect();
    assert_eq!(names.len(), RPCS.len(), "a row is there twice");
    assert_eq!(REQUESTS.lines().filter(|line| line.starts_with("rpc ")).count(), RPCS.len());
}

#[test]
fn a_table_that_lacks_an_rpc_closes_the_door() {
    let definitions = "rpc a.B/C a.D\nrpc a.B/E a.D\n\nmessage a.D\n1 project text\n";
    static ONE: [Rpc; 1] = [Rpc::read("a.B/C")];
    let door = Door { plan: Plan::new(&ONE, definitions) };
    assert_eq!(door.plan.faults, ["RPC a.B/E has no row in the table"]);
    assert!(door.rpc("/a.B/C").is_none());
    for wrong in [
        "message a.D\n1 x a.Missing\n",
        "message a.D\nx y text\n",
        "1 x text\n",
        "message a.D\n\nmessage a.D\n",
    ] {
        assert!(!Plan::new(&[], wrong).faults.is_empty(), "{wrong:?}");
    }
}

#[test]
fn the_tables_of_meanings_are_of_fields_that_exist() {
    let messages = messages();
    for message in meaning::messages() {
        assert!(messages.contains_key(message), "there is no message {message}");
    }
    for path in meaning::paths() {
        let (message, field) = path.rsplit_once('.').unwrap();
        let fields = messages.get(message).unwrap_or_else(|| panic!("there is no message {message}"));
        let is = |line: &&str| {
            line.split(' ').nth(1).is_some_and(|name| name.trim_end_matches(['*', '{', '}']) == field)
        };
        assert!(fields.iter().any(is), "there is no field {path}");
    }
}

/// Texts that sound like places in the store and need not be in it.
const FREE: &[&str] = &[
    // Where tasks write on their own, perhaps to a bucket of the user.
    "flyteidl2.task.RawDataStorage.raw_data_prefix",
    // Code, which may be in another store.
    "flyteidl2.app.Meta.code_bundle_uri",
    "flyteidl2.core.TaskMetadata.code_bundle_uri",
    // Values, which tasks read with their own rights.
    "flyteidl2.core.ArtifactCard.uri",
    "flyteidl2.core.ArtifactQuery.uri",
    "flyteidl2.core.Blob.uri",
    "flyteidl2.core.LiteralOffloadedMetadata.uri",
    "flyteidl2.core.Schema.uri",
    "flyteidl2.core.StructuredDataset.uri",
    // Closed RPCs.
    "flyteidl2.cacheservice.CachedOutput.output_uri",
    "flyteidl2.connector.CreateTaskRequest.output_prefix",
    "flyteidl2.connector.GetTaskRequest.output_prefix",
    "flyteidl2.workflow.RecordActionRequest.input_uri",
    // Links for people, directories of containers, names of pods.
    "cloudidl.identity.CreateAppRequest.client_uri",
    "cloudidl.identity.CreateAppRequest.jwks_uri",
    "cloudidl.identity.CreateAppRequest.logo_uri",
    "cloudidl.identity.CreateAppRequest.policy_uri",
    "cloudidl.identity.CreateAppRequest.redirect_uris",
    "cloudidl.identity.CreateAppRequest.tos_uri",
    "cloudidl.identity.UpdateAppRequest.client_uri",
    "cloudidl.identity.UpdateAppRequest.jwks_uri",
    "cloudidl.identity.UpdateAppRequest.logo_uri",
    "cloudidl.identity.UpdateAppRequest.policy_uri",
    "cloudidl.identity.UpdateAppRequest.redirect_uris",
    "cloudidl.identity.UpdateAppRequest.tos_uri",
    "flyteauth.Trust.jwks_uri",
    "flyteidl2.core.LogContext.pod_name_prefix",
    "flyteidl2.core.LogContext.pod_name_prefixes",
    "flyteidl2.core.TaskLog.icon_uri",
    "flyteidl2.core.TaskLog.uri",
    "flyteidl2.logs.dataplane.ContainerSelector.pod_name_prefix",
    "flyteidl2.logs.dataplane.LogsSource.pod_name_prefixes",
];

#[test]
fn every_field_that_sounds_like_a_place_in_the_store_is_classified() {
    let listed: BTreeSet<_> =
        meaning::paths().into_iter().chain(FREE.iter().map(ToString::to_string)).collect();
    let sounds = |name: &str| {
        name.split('_').any(|word| matches!(word, "uri" | "uris" | "prefix" | "prefixes"))
            || name.ends_with("base_dir")
            || name.ends_with("output_base")
    };
    let mut missing = Vec::new();
    for (message, lines) in messages() {
        for line in lines {
            let words: Vec<_> = line.split(' ').collect();
            let name = words[1].trim_end_matches(['*', '{', '}']);
            let path = format!("{message}.{name}");
            if words[2] == "text" && sounds(name) && !listed.contains(path.as_str()) {
                missing.push(path);
            }
        }
    }
    assert!(missing.is_empty(), "say what these mean: {missing:#?}");
}

/// The definitions are those of our own descriptors. Whether they are the published ones, `tests/tests/descriptors.rs` asks.
#[test]
fn the_definitions_are_those_of_our_descriptors() {
    let pool = DescriptorPool::decode(flyte_idl::FILE_DESCRIPTOR_SET).unwrap();
    let messages = messages();
    let kind = |kind: SingularKind| match kind {
        SingularKind::Message(index) => Some(pool.message(index).full_name().to_owned()),
        SingularKind::Scalar(ScalarType::String) => Some("text".to_owned()),
        _ => None,
    };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut compare = vec![];
    for service in pool.services() {
        for method in service.methods() {
            let request = pool.message(method.input()).full_name().to_owned();
            let line = format!("rpc {}/{} {request}", service.full_name(), method.name());
            assert!(REQUESTS.lines().any(|known| known == line), "{line} is missing");
            compare.push(method.input());
        }
    }
    while let Some(index) = compare.pop() {
        let message = pool.message(index);
        if !seen.insert(message.full_name().to_owned()) {
            continue;
        }
        let mut ours = Vec::new();
        for field in message.fields() {
            let (form, what, inner): (_, _, Option<MessageIndex>) = match field.kind() {
                FieldKind::Singular(one) => ("", kind(one), as_message(one)),
                FieldKind::List(one) => ("*", kind(one), as_message(one)),
                FieldKind::Map { value, .. } => ("{}", kind(value), as_message(value)),
            };
            if let Some(what) = what {
                ours.push((field.number(), format!("{} {}{form} {what}", field.number(), field.name())));
                compare.extend(inner);
            }
        }
        ours.sort();
        let ours: Vec<_> = ours.into_iter().map(|(_, line)| line).collect();
        // The names of oneofs, and their fields without text, are compared there.
        let known: Vec<_> = messages[message.full_name()]
            .iter()
            .map(|line| line.splitn(4, ' ').take(3).collect::<Vec<_>>())
            .filter(|words| words[2] != "other")
            .map(|words| words.join(" "))
            .collect();
        assert_eq!(known, ours, "{}", message.full_name());
    }
    assert!(seen.len() > 150, "only {} messages were compared", seen.len());
}

fn as_message(kind: SingularKind) -> Option<MessageIndex> {
    match kind {
        SingularKind::Message(index) => Some(index),
        _ => None,
    }
}
