//! Commands that the published `flyte` has too: both show the same data, and ours works with the published services.

use std::{
    fs::{self, File},
    io::Write as _,
    path::Path,
    process::{Child, Command, Stdio},
};

use flyte_e2e::{
    Certificate, CommandOutput, Flaw, Machine, Project, Server, eventually, free_port, python, repository,
};
use serde_json::Value;
use tempfile::TempDir;

fn ours(project: &Project, arguments: &[&str]) -> CommandOutput {
    CommandOutput::of(&mut project.ours(arguments))
}

fn published(project: &Project, arguments: &[&str]) -> CommandOutput {
    CommandOutput::of(&mut project.published(arguments))
}

fn json(output: CommandOutput) -> Value {
    let output = output.ok();
    serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"))
}

/// The name of the action of a run's waiting condition.
fn waiting(project: &Project, run: &str) -> String {
    eventually("the run waits", || {
        let found = json(ours(project, &["get", "condition", run, "-o", "json"]));
        let paused = found.as_array()?.iter().find(|condition| condition["phase"] == "paused")?;
        assert_eq!((&paused["name"], &paused["type"]), (&"approval".into(), &"bool".into()));
        Some(paused["action"].as_str()?.to_owned())
    })
}

#[test]
fn runs_are_signalled_rerun_and_their_code_is_downloaded() {
    let environment = python().ancestors().nth(2).unwrap().to_owned();
    let server = Server::with(&["--python", environment.to_str().unwrap(), "--max-tasks", "4"]);
    let project = Project::at(&server);
    let first = project.run(&["waits.py", "release"]);
    let action = waiting(&project, &first);
    let theirs = published(&project, &["get", "condition", &first]).ok();
    assert!(theirs.out.contains("approval") && theirs.out.contains(&action), "{theirs:?}");
    for command in ["ours", "published"] {
        let arguments = ["get", "run", "--paused-only"];
        let paused =
            if command == "ours" { ours(&project, &arguments) } else { published(&project, &arguments) };
        assert!(paused.ok().out.contains(&first), "{command}");
    }
    let missing = ours(&project, &["signal", "condition", &first, &action]).failed(2);
    assert!(missing.err.contains("the value is missing"), "{missing:?}");
    let wrong = ours(&project, &["signal", "condition", &first, &action, "maybe"]).failed(2);
    assert!(wrong.err.contains("\"maybe\" is not true or false"), "{wrong:?}");
    // The name of the condition works too.
    let signalled = ours(&project, &["signal", "condition", &first, "approval", "yes"]).ok();
    assert!(signalled.err.contains("Signalled condition approval"), "{signalled:?}");
    assert_eq!(project.ended(&first)["outputs"], "{'o0': '1 True'}");
    let late = ours(&project, &["signal", "condition", &first, &action, "no"]).failed(1);
    assert!(late.err.contains("no longer waits"), "{late:?}");
    let no = ours(&project, &["signal", "condition", &first, "a0", "no"]).failed(1);
    assert!(no.err.contains("is not a condition"), "{no:?}");

    // A rerun has the inputs of the earlier run, unless they are changed.
    let help = ours(&project, &["rerun", &first, "--help"]).ok();
    assert!(help.out.contains("--n <int>") && help.out.contains("--recover"), "{help:?}");
    let started =
        ours(&project, &["rerun", &first, "--n", "2", "--name", "again", "--label", "try=2", "-o", "json"]);
    assert_eq!(json(started)["name"], "again");
    let action = waiting(&project, "again");
    let _ = published(&project, &["signal", "condition", "again", &action, "false"]).ok();
    assert_eq!(project.ended("again")["outputs"], "{'o0': '2 False'}");
    let shown = json(ours(&project, &["get", "run", "again", "-o", "json"]));
    assert_eq!((&shown["labels"]["try"], &shown["task"]), (&"2".into(), &"waits.release".into()));
    let wrong = ours(&project, &["rerun", &first, "--n", "many"]).failed(2);
    assert!(wrong.err.contains("'--n <int>'"), "{wrong:?}");
    let recovered = ours(&project, &["rerun", &first, "--recover"]).failed(1);
    assert!(recovered.err.contains("recover runs"), "{recovered:?}");

    // The code of both commands is the same.
    let (mine, theirs) = (project.path().join("mine"), project.path().join("theirs"));
    let listed = ours(&project, &["get", "code", &first]).ok();
    assert!(listed.out.contains("waits.py\n"), "{listed:?}");
    let _ = ours(&project, &["get", "code", "again", "--dest", "mine"]).ok();
    let _ = published(&project, &["get", "code", &first, "--dest", "theirs"]).ok();
    let unpacked = fs::read(mine.join("waits.py")).unwrap();
    assert_eq!(unpacked, fs::read(theirs.join("waits.py")).unwrap());
    assert_eq!(unpacked, fs::read(project.path().join("waits.py")).unwrap());
    fs::write(mine.join("waits.py"), "mine").unwrap();
    let refused = ours(&project, &["get", "code", &first, "--dest", "mine"]).failed(1);
    assert!(refused.err.contains("--force") && refused.err.contains("waits.py"), "{refused:?}");

    // Times, with the words of the published command.
    for (bounds, count) in [
        (&["--created-after", "now - 1 hour"][..], 2),
        (&["--created-before", "now - 1 hour"], 0),
        (&["--created-after", "2020-01-01", "--updated-after", "now - 1 day"], 2),
        (&["--with-label-key", "try"], 1),
    ] {
        let arguments = [&["get", "run"], bounds].concat();
        let found = json(ours(&project, &[&arguments[..], &["-o", "json"]].concat()));
        assert_eq!(found.as_array().unwrap().len(), count, "{bounds:?}: {found}");
        let theirs = published(&project, &arguments).ok();
        assert_eq!(theirs.out.matches("waits.release").count(), count, "{bounds:?}: {theirs:?}");
    }
    let empty = ours(&project, &["get", "run", "--created-after", "now", "--created-before", "now - 1 day"])
        .failed(2);
    assert!(empty.err.contains("no run can match"), "{empty:?}");
}

#[test]
fn triggers_projects_and_settings_are_shown_and_changed() {
    let server = Server::start();
    let project = Project::at(&server);
    let _ = published(&project, &["deploy", "waits.py", "env"]).ok();
    let listed = json(ours(&project, &["get", "trigger", "-o", "json"]));
    assert_eq!(listed[0]["name"], "nightly", "{listed}");
    assert_eq!(listed[0]["automation"]["timezone"], "Europe/Zurich", "{listed}");
    let theirs = published(&project, &["get", "trigger"]).ok();
    assert!(theirs.out.contains("nightly") && theirs.out.contains("0 6 * * *"), "{theirs:?}");
    let one = ours(&project, &["get", "trigger", "waits.release", "nightly"]).ok();
    assert!(one.out.contains("cron 0 6 * * * (Europe/Zurich)") && one.out.contains("inactive"), "{one:?}");
    let refused = ours(&project, &["update", "trigger", "nightly", "waits.release", "--activate"]).failed(1);
    assert!(refused.err.contains("start runs by schedules"), "{refused:?}");
    let _ = ours(&project, &["update", "trigger", "nightly", "waits.release", "--deactivate"]).ok();
    let _ = ours(&project, &["delete", "trigger", "nightly", "waits.release", "--yes"]).ok();
    let gone = ours(&project, &["get", "trigger", "waits.release", "nightly"]).failed(1);
    assert!(gone.err.contains("flyte get trigger waits.release"), "{gone:?}");

    let nothing = ours(&project, &["update", "project", "flytesnacks"]).failed(2);
    assert!(nothing.err.contains("--description"), "{nothing:?}");
    let update = ["update", "project", "flytesnacks", "--name", "Snacks", "--label", "team=ml", "--archive"];
    let changed = json(ours(&project, &[&update[..], &["-o", "json"]].concat()));
    assert_eq!((&changed["name"], &changed["state"]), (&"Snacks".into(), &"archived".into()), "{changed}");
    let theirs = published(&project, &["get", "project", "--archived"]).ok();
    assert!(theirs.out.contains("Snacks") && theirs.out.contains("team: ml"), "{theirs:?}");
    let _ =
        published(&project, &["update", "project", "flytesnacks", "--unarchive", "--description", "x"]).ok();
    let shown = json(ours(&project, &["get", "project", "flytesnacks", "-o", "json"]));
    assert_eq!((&shown["state"], &shown["description"]), (&"active".into(), &"x".into()), "{shown}");

    // Both write the same file, except for comments.
    let scope = ["get", "settings", "--domain", "development", "--project", "flytesnacks", "--to-file"];
    let _ = ours(&project, &[&scope[..], &["mine.yaml"]].concat()).ok();
    let _ = published(&project, &[&scope[..], &["theirs.yaml"]].concat()).ok();
    let lines = |file: &str| {
        let text = fs::read_to_string(project.path().join(file)).unwrap();
        text.lines().filter(|line| !line.starts_with("## ")).map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(lines("mine.yaml"), lines("theirs.yaml"));
    // This server keeps no secrets, and says so.
    for arguments in [
        &["create", "secret", "s", "--value", "s3cr3t"][..],
        &["get", "secret"],
        &["get", "secret", "s"],
        &["delete", "secret", "s", "--yes"],
    ] {
        let refused = ours(&project, arguments).failed(1);
        assert!(refused.err.contains("keeps no secrets") && !refused.err.contains("s3cr3t"), "{refused:?}");
    }
}

/// The services of the published package, killed when dropped.
struct Services {
    port: u16,
    values: TempDir,
    process: Child,
}

impl Services {
    fn start(certificate: &Certificate) -> Self {
        let (port, values) = (free_port(), TempDir::new().unwrap());
        let log = values.path().join("log");
        let process = Command::new(python())
            .arg(repository().join("tests/peers/published-services.py"))
            .arg(port.to_string())
            .arg(certificate.pem())
            .arg(values.path())
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut services = Self { port, values, process };
        eventually("the published services listen", || {
            let said = fs::read_to_string(&log).unwrap();
            assert!(services.process.try_wait().unwrap().is_none(), "{said}");
            said.contains("listening").then_some(())
        });
        services
    }
}

impl Drop for Services {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

#[test]
fn secrets_and_settings_of_a_backend_work() {
    let certificate = Certificate::new(Flaw::None);
    let (services, machine) = (Services::start(&certificate), Machine::bare());
    let command = |arguments: &[&str]| {
        let mut command =
            machine.flyte(&["--endpoint", &format!("localhost:{}", services.port), "--org", "acme"]);
        command.env("FLYTE_ADMIN_CACERTFILEPATH", certificate.ca()).args(arguments);
        command
    };
    let run = |arguments: &[&str]| CommandOutput::of(&mut command(arguments));
    let piped = |arguments: &[&str], input: &[u8]| {
        let mut process = command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        process.stdin.take().unwrap().write_all(input).unwrap();
        CommandOutput::from(process.wait_with_output().unwrap())
    };
    let kept = |name: &str| fs::read(services.values.path().join(name)).unwrap();
    let scope = ["--project", "flytesnacks", "--domain", "development"];

    let created = piped(&["create", "secret", "piped"], b"s3cr3t\n").ok();
    assert!(created.err.contains("Created secret piped of the organization"), "{created:?}");
    assert_eq!(kept("piped"), b"s3cr3t");
    let _ = piped(&["create", "secret", "unchanged", "--from-file", "-"], b"s3cr3t\n").ok();
    assert_eq!(kept("unchanged"), b"s3cr3t\n");
    let file = machine.home().join("value");
    fs::write(&file, [0xff, 0]).unwrap();
    let _ =
        run(&[&["create", "secret", "binary", "--from-file", file.to_str().unwrap()], &scope[..]].concat())
            .ok();
    assert_eq!(kept("binary"), [0xff, 0]);
    let warned = run(&["create", "secret", "given", "--value", "s3cr3t"]).ok();
    assert!(warned.err.contains("Other users of this machine can see"), "{warned:?}");
    let image =
        ["create", "secret", "pull", "--type", "image_pull", "--registry", "ghcr.io", "--username", "ada"];
    let _ = piped(&image, b"p4ss\n").ok();
    let auth = "{\"auths\":{\"ghcr.io\":{\"auth\":\"YWRhOnA0c3M=\"}}}";
    assert_eq!(kept("pull"), auth.as_bytes());
    let empty = piped(&["create", "secret", "empty"], b"\n").failed(2);
    assert!(empty.err.contains("the value is empty"), "{empty:?}");
    let again = run(&["create", "secret", "given", "--value", "x"]).failed(1);
    assert!(again.err.contains("flyte get secret"), "{again:?}");

    let listed = json(run(&["get", "secret", "-o", "json"]));
    let names: Vec<_> =
        listed.as_array().unwrap().iter().map(|secret| secret["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["piped", "unchanged", "given", "pull"]);
    let table = run(&["get", "secret"]).ok();
    assert!(table.out.contains("image_pull") && !table.out.contains("s3cr3t"), "{table:?}");
    let one = json(run(&[&["get", "secret", "binary", "-o", "json"], &scope[..]].concat()));
    assert_eq!(
        (&one["type"], &one["status"], &one["domain"]),
        (&"regular".into(), &"present".into(), &"development".into())
    );
    let _ = run(&["delete", "secret", "piped", "--yes"]).ok();
    let gone = run(&["get", "secret", "piped"]).failed(1);
    assert!(gone.err.contains("there is no secret piped"), "{gone:?}");

    let file = machine.home().join("settings.yaml");
    let _ = run(&["get", "settings", "--domain", "production", "--to-file", file.to_str().unwrap()]).ok();
    // As the published `flyte edit settings --from-file` reads it.
    let parsed = parsed(&file);
    assert_eq!(parsed["run.default_queue"], "gpu");
    assert_eq!(parsed["run.max_action_concurrency"], 5);
    assert_eq!(parsed["app.disallow_anonymous"], "UNSET");
    assert_eq!(parsed.as_object().unwrap().len(), 3, "{parsed}");
    let inherited = fs::read_to_string(&file).unwrap().replace("# labels", "labels").replace("#   ", "  ");
    fs::write(&file, inherited).unwrap();
    let labels = self::parsed(&file)["labels"].clone();
    assert_eq!(labels, serde_json::json!({"team": "ml: 1", "cost": "7"}));
}

/// A file of settings as the published package reads it.
fn parsed(file: &Path) -> Value {
    const READ: &str = "import json, sys; from flyte.remote import Settings; \
                        print(json.dumps(Settings.parse_yaml(open(sys.argv[1]).read()), default=repr))";
    json(CommandOutput::of(Command::new(python()).args(["-c", READ]).arg(file)))
}
