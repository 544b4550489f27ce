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

/// What a script of the peers prints, given our own descriptors.
fn by_our_descriptors(script: &str, arguments: &[&str]) -> String {
    let mut process = Command::new(python())
        .arg(repository().join("tests/peers").join(script))
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(flyte_idl::FILE_DESCRIPTOR_SET).unwrap();
    CommandOutput::from(process.wait_with_output().unwrap()).ok().out
}

fn ours() -> Value {
    serde_json::from_str(&by_our_descriptors("our-descriptors.py", &[])).unwrap()
}

/// Together with the test of `flyte-access` that each RPC in the file has a row in the table, this finds RPCs that the table lacks.
#[test]
fn the_door_knows_every_published_rpc_and_its_requests() {
    let file = repository().join("crates/flyte-access/src/door/requests.txt");
    let (known, published) =
        (std::fs::read_to_string(&file).unwrap(), by_our_descriptors("published-requests.py", &[]));
    let rpcs = |text: &str| {
        text.lines().filter(|line| line.starts_with("rpc ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(rpcs(&known), rpcs(&published));
    assert!(rpcs(&published).len() > 130, "too few RPCs were found");
    if known != published {
        let expected = std::env::temp_dir().join("flyte-requests.txt");
        std::fs::write(&expected, published).unwrap();
        panic!("{} differs from the published messages, which are in {}", file.display(), expected.display());
    }
}

#[test]
fn the_gateway_knows_the_published_answers() {
    let file = repository().join("crates/flyte-gateway/src/filter/answers.txt");
    let known = std::fs::read_to_string(&file).unwrap();
    let rpcs = known.lines().filter_map(|line| line.strip_prefix("rpc ")?.split(' ').next());
    let arguments: Vec<_> = ["--answers"].into_iter().chain(rpcs).collect();
    assert!(arguments.len() > 15);
    let published = by_our_descriptors("published-requests.py", &arguments);
    if known != published {
        let expected = std::env::temp_dir().join("flyte-answers.txt");
        std::fs::write(&expected, published).unwrap();
        panic!("{} differs from the published messages, which are in {}", file.display(), expected.display());
    }
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
