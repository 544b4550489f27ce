//! The gateway in front of a backend that is made of the published services, with the published clients.

use std::{fs, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use flyte_e2e::{CommandOutput, Machine, Person, PublishedBackend, Server, python, repository};
use serde_json::Value;

/// The values of a header in a call that the backend has seen.
fn header<'c>(call: &'c Value, name: &str) -> Vec<&'c str> {
    let headers = call["headers"].as_array().unwrap().iter();
    headers.filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

const SCRIPT: &str = r#"
import sys
import flyte
import flyte.remote

env = flyte.TaskEnvironment(name="peer", image="python:3.12")

@env.task
def same(x: int) -> int:
    return x

if __name__ == "__main__":
    flyte.init_from_config(sys.argv[1], project=sys.argv[2], domain="development")
    print("projects", sorted(project.pb2.id for project in flyte.remote.Project.listall()))
    run = flyte.with_runcontext(mode="remote", name=sys.argv[3]).run(same, 42)
    run.wait()
    print("outputs", run.outputs()[0])
    print("runs", sorted(run.name for run in flyte.remote.Run.listall()))
    flyte.deploy(env, version="v1")
    print("task", flyte.remote.Task.get("peer.same", version="v1").fetch().name)
    for name in sys.argv[4:]:
        try:
            print("foreign", flyte.remote.Run.get(name).name)
        except Exception as error:
            print("foreign", type(error).__name__, error)
"#;

/// Runs [`SCRIPT`] with the published SDK.
fn script(machine: &Machine, server: &Server, person: &Person, arguments: &[&str]) -> CommandOutput {
    let path = machine.home().join("script.py");
    fs::write(&path, SCRIPT).unwrap();
    let mut command = machine.command(python());
    if let Some(browser) = person.command() {
        // Python waits for a browser in the foreground.
        command.env("BROWSER", format!("{browser} &"));
    }
    command.env("SSL_CERT_FILE", server.ca()).current_dir(machine.home()).arg(path).arg(machine.config());
    CommandOutput::of(command.args(arguments))
}

#[test]
fn the_published_clients_work_through_the_gateway() {
    let backend = PublishedBackend::start();
    let (server, machine) = (backend.gateway(), Machine::with_keyring());
    machine.configure(&server);
    let person = Person::SignsIn(server.password_file());
    let output = script(&machine, &server, &person, &["alpha", "first"]).ok();
    for line in
        ["projects ['alpha', 'beta', 'flytesnacks']", "outputs 42", "runs ['first']", "task peer.same"]
    {
        assert!(output.out.contains(line), "{line}: {output:?}");
    }
    // The published command and ours, with the login of the SDK.
    for mut command in [
        machine.published_flyte(&server, &Person::Absent, &["get", "run", "--project", "alpha"]),
        machine.flyte(&["get", "run", "--project", "alpha"]),
    ] {
        let listed = CommandOutput::of(&mut command).ok();
        assert!(listed.out.contains("first"), "{listed:?}");
    }
    let logs = CommandOutput::of(&mut machine.flyte(&["get", "logs", "first", "--project", "alpha"])).ok();
    assert!(logs.out.contains("line 2 of first"), "{logs:?}");

    // The backend sees who calls, and nothing of the caller's own words and credentials.
    let seen = backend.seen();
    assert!(seen.iter().any(|call| call["path"] == "/flyteidl2.workflow.RunService/CreateRun"), "{seen:?}");
    // Before a run gets a name, the gateway asks in its own name to which project that name belongs.
    let is_question = |call: &&Value| {
        call["path"] == "/flyteidl2.workflow.RunService/ListRuns"
            && header(call, "x-forwarded-proto").is_empty()
    };
    assert!(seen.iter().any(|call| is_question(&call)), "{seen:?}");
    for call in &seen {
        assert_eq!(header(call, "x-amzn-oidc-data").len(), usize::from(!is_question(&call)), "{call}");
        for name in ["authorization", "flyte-authorization", "cookie"] {
            assert!(header(call, name).is_empty(), "{call}");
        }
    }
    let started = CommandOutput::of(&mut machine.flyte(&[
        "get",
        "run",
        "first",
        "--project",
        "alpha",
        "--output-format",
        "json",
    ]))
    .ok();
    assert!(started.out.contains("admin@localhost"), "the backend knows who started it: {started:?}");
}

#[test]
fn keys_of_two_projects_see_nothing_of_each_other() {
    let backend = PublishedBackend::start();
    let (server, administrator) = (backend.gateway(), Machine::with_keyring());
    administrator.sign_in_by_forms(&server);
    let key = |project: &str| {
        let arguments = ["create", "api-key", project, "--project", project, "--expires", "1d"];
        CommandOutput::of(&mut administrator.flyte(&arguments)).ok().out.trim().to_owned()
    };
    // Unmodified, the SDK cannot read a port in an API key: the key's client and secret go into the configuration.
    let machine = |project: &str| {
        let key = String::from_utf8(STANDARD.decode(key(project)).unwrap()).unwrap();
        let mut parts = key.rsplit(':').skip(1);
        let (secret, id) = (parts.next().unwrap(), parts.next().unwrap());
        let machine = Machine::bare();
        let file = machine.home().join("secret");
        fs::write(&file, secret).unwrap();
        let create = ["create", "config", "--endpoint", &server.url(""), "--client-id", id];
        let mut create = machine.flyte(&create);
        create.arg("--client-secret-file").arg(file).arg("--ca-cert-file").arg(server.ca());
        let _ = CommandOutput::of(create.args(["--project", project, "--domain", "development"])).ok();
        machine
    };
    let run = |machine: &Machine, arguments: &[&str]| script(machine, &server, &Person::Absent, arguments);
    let (alpha, beta) = (machine("alpha"), machine("beta"));
    let first = run(&alpha, &["alpha", "first"]).ok();
    let second = run(&beta, &["beta", "second", "first"]).ok();
    for (output, project, name) in [(&first, "alpha", "first"), (&second, "beta", "second")] {
        assert!(output.out.contains(&format!("projects ['{project}']")), "{output:?}");
        assert!(output.out.contains(&format!("runs ['{name}']")), "{output:?}");
    }
    assert!(second.out.contains("foreign") && !second.out.contains("foreign first"), "{second:?}");
    // In the other's project by name.
    let refused = run(&beta, &["alpha", "third"]);
    assert!(refused.code != Some(0) && refused.out.contains("there is no project"), "{refused:?}");
}

#[test]
fn every_rpc_answers_as_the_backend_does() {
    let backend = PublishedBackend::start();
    // With a public name, the authority has name constraints, of which grpcio (BoringSSL) does not know those for addresses.
    let server = backend.gateway_with("tls.host-names = [\"flyte.example.com\"]\n");
    let machine = Machine::with_keyring();
    machine.sign_in_by_forms(&server);
    let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out;
    let file = machine.home().join("token");
    fs::write(&file, token).unwrap();
    let answered = "flyteidl2.auth.,flyteidl2.cluster.ClusterService/SelectCluster";
    // For runs alone, or for the parts of a backend alone.
    let refused = "flyteidl2.actions.,flyteidl2.cacheservice.,flyteidl2.connector.,flyteidl2.app.AppService/UpdateStatus,\
        flyteidl2.app.AppService/Lease,flyteidl2.workflow.EventsProxyService/,flyteidl2.workflow.InternalRunService/,\
        flyteidl2.workflow.QueueService/,flyteidl2.workflow.StateService/";
    let mut command = Command::new(python());
    command.arg(repository().join("tests/peers/every-call.py"));
    command.arg(format!("127.0.0.1:{}", backend.port())).arg(server.endpoint()).arg(server.ca()).arg(file);
    let output = CommandOutput::of(command.args([answered, refused])).ok();
    let counts: Value = serde_json::from_str(&output.out).unwrap();
    for protocol in ["connect", "grpc", "grpc_web", "grpcio"] {
        assert!(counts[protocol].as_u64().unwrap() > 100, "{counts}");
    }
}
