//! A plain Flyte 2 backend, which has no sign-in: most commands work, and the others explain why they cannot.

use std::process::Command;

use flyte_e2e::{Certificate, CommandOutput, Flaw, Machine, StandIn};
use serde_json::Value;

/// A machine's command for a backend, without any login.
fn flyte(
    machine: &Machine,
    backend: &StandIn,
    certificate: Option<&Certificate>,
    arguments: &[&str],
) -> Command {
    let mut command = machine.flyte(&["--endpoint", &backend.endpoint()]);
    match certificate {
        Some(certificate) => command.env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()),
        None => command.arg("--insecure"),
    };
    command.args(arguments);
    command
}

/// Asserts that the command says that there is no sign-in, and how to add one.
#[track_caller]
fn assert_no_sign_in(output: &CommandOutput) {
    let text = &output.err;
    assert!(text.contains("has no sign-in") && text.contains("docs/guide/backend.md"), "{output:?}");
    for wrong in
        ["Log in again", "Check admin.endpoint", "not a Flyte control plane", "not signed in", "auth login`"]
    {
        assert!(!text.contains(wrong), "{wrong}: {output:?}");
    }
}

#[test]
fn commands_work_and_explain_the_missing_sign_in() {
    let certificate = Certificate::new(Flaw::None);
    for certificate in [None, Some(&certificate)] {
        let (backend, machine) = (StandIn::plain_backend(certificate), Machine::bare());
        let run =
            |arguments: &[&str]| CommandOutput::of(&mut flyte(&machine, &backend, certificate, arguments));
        let projects = run(&["get", "project"]).ok();
        assert!(projects.out.contains("flytesnacks"), "{projects:?}");
        for command in [&["whoami"][..], &["auth", "login"], &["auth", "token"]] {
            assert_no_sign_in(&run(command).failed(1));
        }
        let status = run(&["auth", "status"]);
        assert_no_sign_in(&status);
        assert_ne!(status.code, Some(0));
        let doctor = run(&["auth", "doctor", "-o", "json"]).ok();
        let report: Value = serde_json::from_str(&doctor.out).unwrap();
        let discovery =
            report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "discovery");
        assert!(discovery.unwrap()["found"].as_str().unwrap().contains("has no sign-in"), "{report}");
        // A service that it does not have.
        let missing = run(&["get", "api-key"]).failed(1);
        assert!(missing.err.contains("switched off") && missing.err.contains("older"), "{missing:?}");
        assert!(backend.asked().iter().all(|asked| asked.header("authorization").is_empty()));
    }
}

#[test]
fn doctor_checks_what_each_mode_needs() {
    let certificate = Certificate::new(Flaw::None);
    let (backend, machine) = (StandIn::plain_backend(Some(&certificate)), Machine::bare());
    let run = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = flyte(&machine, &backend, Some(&certificate), arguments);
        CommandOutput::of(command.envs(variables.iter().copied()))
    };
    let by_command: &[_] =
        &[("FLYTE_AUTH_TYPE", "ExternalCommand"), ("FLYTE_AUTH_COMMAND", "echo from-outside")];
    let passthrough: &[_] = &[("FLYTE_AUTH_TYPE", "Passthrough")];
    for mode in [by_command, passthrough] {
        let projects = run(&["get", "project"], mode).ok();
        assert!(projects.out.contains("flytesnacks"), "{projects:?}");
    }
    let output = backend.asked_for("ListProjects");
    let tokens: Vec<_> = output.iter().map(|asked| asked.header("authorization")).collect();
    assert_eq!(tokens, ["Bearer from-outside", ""]);
    let doctor = run(&["auth", "doctor", "-o", "json"], passthrough).ok();
    assert!(doctor.out.contains("not needed by authType Passthrough"), "{doctor:?}");
    // The rejected token is the failure, not discovery.
    let doctor = run(&["auth", "doctor", "-o", "json"], by_command).failed(1);
    let report: Value = serde_json::from_str(&doctor.out).unwrap();
    for check in report["checks"].as_array().unwrap() {
        assert_eq!(check["verdict"] == "fail", check["check"] == "sign-in", "{check}");
    }
    // Configured credentials are not dropped silently.
    let key = "bG9jYWxob3N0OjE6Y2k6czNjcmV0Ok5vbmU=";
    let output = CommandOutput::of(machine.flyte(&["get", "project"]).env("FLYTE_API_KEY", key));
    assert_eq!(output.code, Some(1), "{output:?}");
}

#[test]
fn python_package_works_without_a_sign_in() {
    let certificate = Certificate::new(Flaw::None);
    let (backend, machine) = (StandIn::plain_backend(Some(&certificate)), Machine::bare());
    let python = flyte_e2e::target().join("peers/ours/bin/python");
    assert!(python.exists(), "{} is missing: run `python/dev`", python.display());
    let script = format!(
        "import flyte, flyte.remote\n\
         flyte.init(endpoint='{}', ca_cert_file_path='{}')\n\
         print([project.id for project in flyte.remote.Project.listall()])\n\
         try:\n    flyte.remote.User.get()\n\
         except Exception as error:\n    print(error)\n",
        backend.endpoint(),
        certificate.ca().display()
    );
    let output = CommandOutput::of(machine.command(python).args(["-c", &script])).ok();
    assert!(output.out.contains("['flytesnacks']"), "{output:?}");
    assert!(
        output.out.contains("has no sign-in") && output.out.contains("docs/guide/backend.md"),
        "{output:?}"
    );
}
