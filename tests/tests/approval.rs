//! A checked-out repository decides nothing about tokens before the person has agreed.

use std::{fs, process::Command};

use flyte_e2e::{Machine, Server, Told};

/// A repository on the machine whose configuration names a server and, in one more line, something that matters.
fn checkout(machine: &Machine, server: &Server, line: &str) -> std::path::PathBuf {
    let repository = machine.home().join("repository");
    fs::create_dir_all(repository.join(".git")).unwrap();
    fs::create_dir_all(repository.join(".flyte")).unwrap();
    let text = format!("admin:\n  endpoint: {}\n  {line}\n", server.endpoint());
    fs::write(repository.join(".flyte/config.yaml"), text).unwrap();
    repository
}

fn run_there(command: &mut Command, repository: &std::path::Path) -> Told {
    Told::by(command.current_dir(repository))
}

#[test]
fn a_command_in_a_checkouts_configuration_is_not_run_before_it_is_approved() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in(&server);
    let mark = machine.home().join("mark");
    let line = format!(
        "caCertFilePath: {}\n  authType: ExternalCommand\n  command: [touch, {}]",
        server.ca().display(),
        mark.display()
    );
    let repository = checkout(&machine, &server, &line);
    let told = run_there(&mut machine.flyte(&["get", "project"]), &repository).failed(1);
    assert!(told.err.contains("admin.command: touch") && told.err.contains("--config"), "{told:?}");
    assert!(!mark.exists());
    // Changed by the person's own hand, it is still to be looked at: what was there before is not theirs.
    let _ =
        run_there(&mut machine.flyte(&["create", "config", "--project", "p", "--force"]), &repository).ok();
    let told = run_there(&mut machine.flyte(&["get", "project"]), &repository).failed(1);
    assert!(told.err.contains("before you have approved it"), "{told:?}");
    assert!(!mark.exists());
}

#[test]
fn what_the_person_names_or_writes_is_theirs() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in(&server);
    let repository = checkout(&machine, &server, &format!("caCertFilePath: {}", server.ca().display()));
    let _ = run_there(&mut machine.flyte(&["get", "project"]), &repository).failed(1);
    let named = ["--config", ".flyte/config.yaml", "get", "project"];
    let _ = run_there(&mut machine.flyte(&named), &repository).ok();
    // Written by `create config`, it needs no second look.
    fs::remove_file(repository.join(".flyte/config.yaml")).unwrap();
    let (url, ca) = (server.url(""), server.ca());
    let write = ["create", "config", "--endpoint", &url, "--ca-cert-file", ca.to_str().unwrap()];
    let _ = run_there(&mut machine.flyte(&write), &repository).ok();
    assert!(repository.join(".flyte/config.yaml").exists());
    let told = run_there(&mut machine.flyte(&["get", "project"]), &repository).ok();
    assert!(told.out.contains("flytesnacks"), "{told:?}");
}
