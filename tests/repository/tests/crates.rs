//! The crates depend on each other as the pages say. The table in `crates/README.md` and the picture in
//! `docs/architecture.md` are generated; `INSTA_UPDATE=always cargo test -p flyte-repository --test crates` updates both.

use std::{collections::BTreeMap, fmt::Write as _};

use flyte_repository::{Package, assert_generated, packages, uses};

/// Crates that never depend on each other, directly or through others. Names that do not exist yet are allowed.
const APART: &[&[&str]] = &[
    &["flyte-console", "flyte-oauth", "flyte-control-plane", "flyte-gateway", "flyte-runner-local"],
    &["flyte-administration", "flyte-control-plane", "flyte-gateway", "flyte-oauth"],
    &["flyte-scim", "flyte-control-plane", "flyte-gateway", "flyte-oauth"],
    &["flyte-store-sqlite", "flyte-store-postgres"],
];

/// The crates that client and server share. Otherwise, the two meet only over sockets.
const SHARED: &[&str] =
    &["flyte-api-key", "flyte-idl", "flyte-literal", "flyte-table", "flyte-time", "flyte-version"];

/// The crates of the client.
const CLIENT: &[&str] =
    &["flyte-auth", "flyte-client", "flyte-cli", "flyte-config", "flyte-hints", "flyte-python"];

#[test]
fn the_table_of_crates_is_up_to_date() {
    let mut table = "| floor | crate | depends on | what |\n|---|---|---|---|\n".to_owned();
    for package in packages() {
        let Package { name, description, directory, dependencies, floor } = &package;
        assert!(!description.is_empty(), "{directory}/Cargo.toml has no description");
        let link = directory.strip_prefix("crates/").map_or_else(|| format!("../{directory}"), str::to_owned);
        let dependencies: Vec<_> = dependencies.iter().map(String::as_str).collect();
        let dependencies = dependencies.join(", ");
        writeln!(table, "| {floor} | [{name}]({link}) | {dependencies} | {description} |").unwrap();
    }
    assert_generated("crates/README.md", "crates", &table);
}

#[test]
fn the_picture_of_the_floors_is_up_to_date() {
    // Without crates that only test or measure.
    let mut packages = packages();
    packages.retain(|package| {
        let is_product = package.directory.starts_with("crates/") || package.directory == "python/auth";
        is_product && package.name != "flyte-testing"
    });
    let mut floors = BTreeMap::<_, Vec<_>>::new();
    for package in &packages {
        floors.entry(package.floor).or_default().push(package.name.as_str());
    }
    let mut picture = "```mermaid\nflowchart TB\n".to_owned();
    for (floor, names) in floors.iter().rev() {
        writeln!(picture, "  subgraph floor{floor}[\"floor {floor}\"]").unwrap();
        for name in names {
            writeln!(picture, "    {name}").unwrap();
        }
        picture.push_str("  end\n");
    }
    for package in packages.iter().rev() {
        // An arrow that a longer way stands for says nothing new.
        let further: Vec<_> = package.dependencies.iter().map(|name| uses(&packages, name)).collect();
        for name in
            package.dependencies.iter().filter(|name| !further.iter().any(|used| used.contains(*name)))
        {
            writeln!(picture, "  {} --> {name}", package.name).unwrap();
        }
    }
    picture.push_str("```\n");
    assert_generated("docs/architecture.md", "floors", &picture);
}

#[test]
fn crates_that_meet_only_in_the_server_do_not_use_each_other() {
    let packages = packages();
    for group in APART {
        for name in *group {
            let used = uses(&packages, name);
            let other = group.iter().find(|other| used.contains(**other));
            assert_eq!(other, None, "{name} uses {other:?}, which belongs beside it");
        }
    }
}

#[test]
fn client_and_server_share_few_crates() {
    let packages = packages();
    let server = uses(&packages, "flyte-server");
    for name in CLIENT {
        assert!(packages.iter().any(|package| package.name == *name), "there is no crate {name}");
        assert!(!server.contains(*name), "flyte-server uses {name}, which is the client's");
        let used = uses(&packages, name);
        let strange = used.intersection(&server).find(|shared| !SHARED.contains(&shared.as_str()));
        assert_eq!(strange, None, "{name} uses a crate of the server. If both need it, add it to SHARED");
    }
}
