//! The published Python `flyte` deploys tasks and an app at our server, lists them, and the app runs.

use std::fs;

use flyte_e2e::{CommandOutput, Machine, Person, Server, eventually};

const PROJECT: &str = r#"
import flyte
import flyte.app

IMAGE = "docker.io/library/python:3.12-slim"
env = flyte.TaskEnvironment(name="greet", image=IMAGE)
hourly = flyte.Trigger("hourly", flyte.Cron("0 * * * *"), inputs={"name": "world"}, auto_activate=False)


@env.task(triggers=hourly, entrypoint=True)
async def hello(name: str = "you") -> str:
    """Greets a person."""
    return f"hello {name}"


web = flyte.app.AppEnvironment(
    name="web",
    image=IMAGE,
    command=["sh", "-c", "echo it listens; exec python3 -u -m http.server --bind 127.0.0.1 $PORT"],
)
"#;

fn published(machine: &Machine, server: &Server, arguments: &[&str]) -> String {
    let mut command = machine.published_flyte(server, &Person::Absent, &["-c"]);
    command.arg(machine.config()).args(arguments).current_dir(machine.home().join("project"));
    let output = CommandOutput::of(&mut command).ok();
    output.out
}

#[test]
fn published_client_deploys_and_lists() {
    let (mut server, machine) = (Server::start(), Machine::with_keyring());
    machine.sign_in_by_forms(&server);
    let project = machine.home().join("project");
    fs::create_dir(&project).unwrap();
    fs::write(project.join("greet.py"), PROJECT).unwrap();
    let place = ["-p", "flytesnacks", "-d", "development"];
    let run = |server: &Server, before: &[&str], after: &[&str]| {
        published(&machine, server, &[before, &place, after].concat())
    };

    run(&server, &["deploy", "--version", "v1"], &["greet.py", "env"]);
    let tasks = run(&server, &["--output-format", "json", "get", "task"], &[]);
    assert!(tasks.contains("greet.hello") && tasks.contains("v1"), "{tasks}");
    let triggers = run(&server, &["get", "trigger"], &[]);
    assert!(triggers.contains("hourly"), "{triggers}");
    // Deploying again is not an error. Then deploy another version, which becomes the latest.
    run(&server, &["deploy", "--version", "v1"], &["greet.py", "env"]);
    run(&server, &["deploy", "--version", "v2"], &["greet.py", "env"]);
    let tasks = run(&server, &["--output-format", "json", "get", "task"], &["greet.hello"]);
    assert!(tasks.contains("v2") && !tasks.contains("v1"), "{tasks}");
    let details = run(&server, &["get", "task"], &["greet.hello", "v1"]);
    assert!(details.contains("Greets a person."), "{details}");

    run(&server, &["deploy", "--version", "v1"], &["greet.py", "web"]);
    let url = eventually("the app answers", || {
        // Python's notation of the message; the current state comes last.
        let app = run(&server, &["get", "app"], &["web"]);
        let last = app.rsplit("'deploymentStatus': '").next()?.to_owned();
        let url = app.split("'publicUrl': '").nth(1)?.split('\'').next()?.to_owned();
        last.starts_with("DEPLOYMENT_STATUS_ACTIVE").then_some(url)
    });
    let answers = || reqwest::blocking::get(&url).is_ok_and(|answer| answer.status().is_success());
    assert!(answers());

    // It outlives the server, and the next server still has it.
    server.signal("KILL");
    server.wait();
    assert!(answers(), "the app does not need the server");
    server.start_again();
    let apps = run(&server, &["get", "app"], &[]);
    assert!(apps.contains("web") && apps.contains("ACTIVE"), "{apps}");
    assert!(answers());

    run(&server, &["delete", "app"], &["web"]);
    eventually("the app is stopped", || (!answers()).then_some(()));
    eventually("nothing is left of it", || {
        (!server.data().join("apps/flytesnacks/development/web").exists()).then_some(())
    });
}
