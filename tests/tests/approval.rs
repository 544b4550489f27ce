//! Settings of a checked-out repository about tokens need the user's approval.

use std::{fs, process::Command};

use flyte_e2e::{CommandOutput, Machine, Server};

/// A repository whose configuration names a server and has one more setting, which needs approval.
fn checkout(machine: &Machine, server: &Server, line: &str) -> std::path::PathBuf {
    let repository = machine.home().join("repository");
    fs::create_dir_all(repository.join(".git")).unwrap();
    fs::create_dir_all(repository.join(".flyte")).unwrap();
    let text = format!("admin:\n  endpoint: {}\n  {line}\n", server.endpoint());
    fs::write(repository.join(".flyte/config.yaml"), text).unwrap();
    repository
}

fn run_there(command: &mut Command, repository: &std::path::Path) -> CommandOutput {
    CommandOutput::of(command.current_dir(repository))
}

#[test]
fn command_of_a_checkout_runs_only_after_approval() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in(&server);
    let mark = machine.home().join("mark");
    let line = format!(
        "caCertFilePath: {}\n  authType: ExternalCommand\n  command: [touch, {}]",
        server.ca().display(),
        mark.display()
    );
    let repository = checkout(&machine, &server, &line);
    let output = run_there(&mut machine.flyte(&["get", "project"]), &repository).failed(1);
    assert!(output.err.contains("admin.command: touch") && output.err.contains("--config"), "{output:?}");
    assert!(!mark.exists());
    // After the user changes the file, the old settings in it still need approval.
    let _ =
        run_there(&mut machine.flyte(&["create", "config", "--project", "p", "--force"]), &repository).ok();
    let output = run_there(&mut machine.flyte(&["get", "project"]), &repository).failed(1);
    assert!(output.err.contains("before you have approved it"), "{output:?}");
    assert!(!mark.exists());
}

#[test]
fn named_and_written_files_need_no_approval() {
    let (server, machine) = (Server::start(), Machine::bare());
    machine.sign_in(&server);
    let repository = checkout(&machine, &server, &format!("caCertFilePath: {}", server.ca().display()));
    let _ = run_there(&mut machine.flyte(&["get", "project"]), &repository).failed(1);
    let named = ["--config", ".flyte/config.yaml", "get", "project"];
    let _ = run_there(&mut machine.flyte(&named), &repository).ok();
    // A file written by `create config` needs no approval.
    fs::remove_file(repository.join(".flyte/config.yaml")).unwrap();
    let (url, ca) = (server.url(""), server.ca());
    let write = ["create", "config", "--endpoint", &url, "--ca-cert-file", ca.to_str().unwrap()];
    let _ = run_there(&mut machine.flyte(&write), &repository).ok();
    assert!(repository.join(".flyte/config.yaml").exists());
    let output = run_there(&mut machine.flyte(&["get", "project"]), &repository).ok();
    assert!(output.out.contains("flytesnacks"), "{output:?}");
}
