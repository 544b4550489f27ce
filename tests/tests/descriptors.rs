//! `proto/` matches the published flyteidl2, and `cloudidl` of the published plugin.

use std::{
    io::Write as _,
    process::{Command, Stdio},
};

use flyte_e2e::{CommandOutput, files, python, repository};
use serde_json::Value;

/// The published Python module of each file below `proto/` that is not ours alone.
fn modules() -> Vec<String> {
    let proto = repository().join("proto");
    let mut modules: Vec<_> = ["flyteidl2", "cloudidl"]
        .iter()
        .flat_map(|package| files(&proto.join(package)))
        .map(|(path, _)| {
            let path = path.strip_prefix(&proto).unwrap().with_extension("");
            let module = path.to_str().unwrap().replace('/', ".");
            // The plugin carries what it needs of the hosted control plane's own.
            format!("{}_pb2", module.replacen("cloudidl.", "flyteplugins.union.internal.", 1))
        })
        .collect();
    modules.sort();
    modules
}

fn published() -> Value {
    let output = CommandOutput::of(
        Command::new(python()).arg(repository().join("tests/peers/descriptors.py")).args(modules()),
    );
    serde_json::from_str(&output.ok().out).unwrap()
}

fn ours() -> Value {
    let mut process = Command::new(python())
        .arg(repository().join("tests/peers/our-descriptors.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(flyte_idl::FILE_DESCRIPTOR_SET).unwrap();
    serde_json::from_str(&CommandOutput::from(process.wait_with_output().unwrap()).ok().out).unwrap()
}

#[test]
fn descriptors_match_the_published_ones() {
    let (ours, published) = (ours(), published());
    let mut compared = 0;
    for kind in ["messages", "enums", "methods"] {
        for (name, mine) in ours[kind].as_object().unwrap() {
            let theirs = &published[kind][name];
            assert!(!theirs.is_null(), "{name} is not in the published package");
            // In both directions, because a field that we lack would be dropped silently.
            assert_eq!(mine, theirs, "{name}");
            compared += 1;
        }
    }
    assert!(compared > 400, "only {compared} things were compared");
    // Services are whole.
    for name in published["methods"].as_object().unwrap().keys() {
        assert!(!ours["methods"][name].is_null(), "{name} is missing in proto/");
    }
}
