//! The house of the server: on which floor each crate lives, and that none of them depends on its own floor or one above.

use std::{collections::BTreeMap, process::Command};

use flyte_e2e::repository;

/// The server's crates, the lowest floor first.
const FLOORS: [&[&str]; 9] = [
    &["flyte-idl", "flyte-model", "flyte-secrets", "flyte-table"],
    &["flyte-settings", "flyte-store"],
    &["flyte-http", "flyte-keys", "flyte-audit", "flyte-federation", "flyte-objects"],
    &["flyte-identity", "flyte-store-sqlite"],
    &["flyte-access", "flyte-pages"],
    &["flyte-runs"],
    &["flyte-oauth", "flyte-control-plane", "flyte-runner-local"],
    &["flyte-server"],
    &["flyte-bench", "flyte-e2e"],
];
/// The client's crates, the lowest floor first.
const CLIENT: [&[&str]; 5] = [
    &["flyte-config", "flyte-idl", "flyte-table"],
    &["flyte-auth"],
    &["flyte-client"],
    &["flyte-cli", "flyte-python"],
    &["flyte-e2e"],
];
/// For tests alone.
const TESTING: &str = "flyte-testing";

/// What each crate of the workspace depends on, tests left out.
fn dependencies() -> BTreeMap<String, Vec<String>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version=1", "--no-deps", "--offline"])
        .current_dir(repository())
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let packages = metadata["packages"].as_array().unwrap();
    let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
    let names: Vec<_> = packages.iter().map(|package| text(&package["name"])).collect();
    packages
        .iter()
        .map(|package| {
            let used = package["dependencies"].as_array().unwrap().iter();
            // A feature for tests may bring in optional crates.
            let used = used.filter(|used| used["kind"] != "dev" && used["optional"] == false);
            let used = used.map(|used| text(&used["name"])).filter(|name| names.contains(name)).collect();
            (text(&package["name"]), used)
        })
        .collect()
}

fn floor(house: &[&[&str]], name: &str) -> Option<usize> {
    house.iter().position(|floor| floor.contains(&name))
}

#[test]
fn every_crate_uses_only_floors_below_it() {
    for (name, used) in dependencies() {
        if name == TESTING {
            continue;
        }
        let houses = [&FLOORS[..], &CLIENT[..]].map(|house| floor(house, &name).map(|at| (house, at)));
        assert!(houses.iter().any(Option::is_some), "{name} lives on no floor: give it one");
        for (house, at) in houses.into_iter().flatten() {
            for used in &used {
                match floor(house, used) {
                    Some(below) => assert!(below < at, "{name} uses {used}, which is not below it"),
                    // The end-to-end tests and the load generators use both houses.
                    None => assert!(
                        floor(&FLOORS, used).or(floor(&CLIENT, used)).is_some() && at + 1 == house.len(),
                        "{name} uses {used} of another house"
                    ),
                }
            }
        }
    }
}
