//! Tasks on this machine: run, followed, limited and stopped. If the server is killed, none is lost or runs twice.

use std::{
    collections::BTreeSet,
    fs,
    io::Read as _,
    path::Path,
    process::Command,
    thread,
    time::{Duration, Instant},
};

use flyte_e2e::{CommandOutput, Machine, Server, eventually};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A server, and a token of its administrator's.
struct World {
    server: Server,
    http: reqwest::blocking::Client,
    token: String,
}

impl World {
    fn new(arguments: &[&str]) -> Self {
        let server = Server::with(arguments);
        let machine = Machine::bare();
        machine.sign_in_by_forms(&server);
        let token = CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out.trim().to_owned();
        let http = server.http();
        Self { server, http, token }
    }

    fn try_call(&self, token: &str, method: &str, request: &Value) -> (u16, Value) {
        // A connection from before a crash may fail only when it is used.
        let answer = eventually("the server answers", || {
            self.http.post(self.server.url(method)).bearer_auth(token).json(request).send().ok()
        });
        (answer.status().as_u16(), answer.json().unwrap())
    }

    fn call(&self, method: &str, request: &Value) -> Value {
        let (status, answer) = self.try_call(&self.token, method, request);
        assert_eq!(status, 200, "{method}: {answer}");
        answer
    }

    /// Starts a run of a container that is a shell script.
    fn run(&self, name: &str, script: &str, change: impl FnOnce(&mut Value)) {
        let mut container = json!({
            "image": "none",
            "command": ["/bin/sh", "-c"],
            "args": [script],
            "env": [{"key": "GREETING", "value": "hello {{.runName}}"}],
        });
        change(&mut container);
        let request = json!({
            "runId": {"project": "flytesnacks", "domain": "development", "name": name},
            "taskSpec": {
                "taskTemplate": {
                    "id": {"resourceType": "TASK", "project": "flytesnacks", "domain": "development", "name": "shell", "version": "1"},
                    "type": "container",
                    "container": container,
                },
                "shortName": "shell",
            },
            "inputs": {},
        });
        self.call("/flyteidl2.workflow.RunService/CreateRun", &request);
    }

    fn action(name: &str) -> Value {
        json!({"run": {"project": "flytesnacks", "domain": "development", "name": name}, "name": "a0"})
    }

    fn details(&self, name: &str) -> Value {
        let request = json!({"actionId": Self::action(name)});
        self.call("/flyteidl2.workflow.RunService/GetActionDetails", &request)["details"].clone()
    }

    fn phase(&self, name: &str) -> String {
        self.details(name)["status"]["phase"].as_str().unwrap_or_default().to_owned()
    }

    fn until_phase(&self, name: &str, phase: &str) -> Value {
        eventually(&format!("{name} is {phase}"), || {
            let details = self.details(name);
            let now = details["status"]["phase"].as_str().unwrap_or_default();
            let ended = ["SUCCEEDED", "FAILED", "ABORTED", "TIMED_OUT"].iter().any(|end| now.ends_with(end));
            assert!(!ended || now.ends_with(phase), "{details}");
            now.ends_with(phase).then_some(details)
        })
    }

    /// Follows the log of a run's action to its end. Returns each line with the time of its arrival.
    fn follow(&self, service: &str, name: &str) -> Vec<(Instant, Value)> {
        let request = serde_json::to_vec(&json!({"actionId": Self::action(name), "attempt": 1})).unwrap();
        let mut body = vec![0];
        body.extend(u32::try_from(request.len()).unwrap().to_be_bytes());
        body.extend(request);
        let mut answer = self
            .http
            .post(self.server.url(&format!("/{service}/TailLogs")))
            .bearer_auth(&self.token)
            .header("content-type", "application/connect+json")
            .timeout(Duration::from_secs(110))
            .body(body)
            .send()
            .unwrap();
        let mut lines = Vec::new();
        loop {
            let mut head = [0; 5];
            answer.read_exact(&mut head).unwrap();
            let length = u32::from_be_bytes(head[1..].try_into().unwrap());
            let mut message = vec![0; length as usize];
            answer.read_exact(&mut message).unwrap();
            let message: Value = serde_json::from_slice(&message).unwrap();
            if head[0] & 2 != 0 {
                assert!(message["error"].is_null(), "{message}");
                return lines;
            }
            for log in message["logs"].as_array().into_iter().flatten() {
                lines.extend(
                    log["lines"].as_array().into_iter().flatten().map(|line| (Instant::now(), line.clone())),
                );
            }
        }
    }
}

fn lines_of(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

fn alive(pid: &str) -> bool {
    Path::new("/proc").join(pid).exists()
}

#[test]
fn thousand_runs_survive_three_crashes_and_run_once() {
    const RUNS: usize = 1000;
    let mut world = World::new(&["--max-tasks", "4"]);
    let directory = TempDir::new().unwrap();
    let ledger = directory.path().join("ledger");
    let script = format!("echo \"$RUN_NAME $FLYTE_ATTEMPT_NUMBER\" >> {}", ledger.display());
    thread::scope(|scope| {
        for part in 0..8 {
            let (world, script) = (&world, &script);
            scope.spawn(move || {
                for number in (part..RUNS).step_by(8) {
                    world.run(&format!("r{number:04}"), script, |_| {});
                }
            });
        }
    });
    for done in [200, 450, 700] {
        eventually("runs are being worked on", || (lines_of(&ledger).len() >= done).then_some(()));
        world.server.crash();
    }
    eventually("all runs have ended", || {
        let unfinished = [0, RUNS / 2, RUNS - 1].map(|number| world.phase(&format!("r{number:04}")));
        (lines_of(&ledger).len() >= RUNS && unfinished.iter().all(|phase| phase.ends_with("SUCCEEDED")))
            .then_some(())
    });
    let mut ended = BTreeSet::new();
    eventually("each run has succeeded", || {
        ended.clear();
        let mut token = String::new();
        loop {
            let request = json!({
                "request": {"limit": 250, "token": token},
                "projectId": {"name": "flytesnacks", "domain": "development"},
            });
            let page = world.call("/flyteidl2.workflow.RunService/ListRuns", &request);
            for run in page["runs"].as_array().into_iter().flatten() {
                if run["action"]["status"]["phase"].as_str().is_some_and(|phase| phase.ends_with("SUCCEEDED"))
                {
                    ended.insert(run["action"]["id"]["run"]["name"].as_str().unwrap().to_owned());
                }
            }
            token = page["token"].as_str().unwrap_or_default().to_owned();
            if token.is_empty() {
                break;
            }
        }
        (ended.len() == RUNS).then_some(())
    });
    let ran = lines_of(&ledger);
    let distinct: BTreeSet<_> = ran.iter().map(|line| line.split(' ').next().unwrap()).collect();
    assert_eq!((ran.len(), distinct.len()), (RUNS, RUNS), "each has run once");
}

#[test]
fn log_is_followed_while_it_is_written() {
    let world = World::new(&["--max-tasks", "2"]);
    let directory = TempDir::new().unwrap();
    let go = directory.path().join("go");
    let script = format!(
        "echo \"$GREETING\"; while [ ! -e {} ]; do sleep 0.05; done; echo wrong >&2; seq 1 20000; echo $PWD",
        go.display()
    );
    world.run("r-followed", &script, |_| {});
    let lines = thread::scope(|scope| {
        let following = scope.spawn(|| world.follow("flyteidl2.workflow.RunLogsService", "r-followed"));
        world.until_phase("r-followed", "RUNNING");
        thread::sleep(Duration::from_secs(1));
        fs::write(&go, "").unwrap();
        let went = Instant::now();
        let lines = following.join().unwrap();
        assert!(lines[0].0 < went, "the first line is there before the last is written");
        lines
    });
    let texts: Vec<_> = lines.iter().map(|(_, line)| line["message"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts.len(), 20_003);
    assert_eq!(texts[0], "hello r-followed");
    assert!(texts.contains(&"wrong") && texts.contains(&"20000"));
    assert!(lines.iter().all(|(_, line)| line["originator"] == "USER" && line["timestamp"].is_string()));
    world.until_phase("r-followed", "SUCCEEDED");
    let again = world.follow("flyteidl2.dataproxy.DataProxyService", "r-followed");
    assert_eq!(again.len(), lines.len());
}

#[test]
fn failure_has_cause_and_hint() {
    let world = World::new(&[]);
    world.run("r-failed", "echo so far so good; echo it broke >&2; exit 3", |_| {});
    world.run("r-missing", "", |container| {
        container["command"] = json!(["a0-missing"]);
        container["args"] = json!(["--inputs", "{{.input}}"]);
    });
    world.run("r-hog", "head -c 300000000 /dev/zero | tail | sleep 1000", |container| {
        container["resources"] = json!({"limits": [{"name": "MEMORY", "value": "100Mi"}]});
    });
    let message = |name: &str| {
        let details = world.until_phase(name, "FAILED");
        details["errorInfo"]["message"].as_str().unwrap_or_default().to_owned()
    };
    let failed = message("r-failed");
    assert!(failed.contains("exit code 3") && failed.contains("it broke"), "{failed}");
    let missing = message("r-missing");
    assert!(missing.contains("a0-missing") && missing.contains("runner.python"), "{missing}");
    let hog = message("r-hog");
    assert!(hog.contains("its limit is 100 MiB"), "{hog}");
}

#[test]
fn aborting_a_run_ends_all_processes() {
    let directory = TempDir::new().unwrap();
    let config = directory.path().join("server.toml");
    fs::write(&config, "[runner]\ngrace-period = \"1s\"\n").unwrap();
    let world = World::new(&["--config", &config.display().to_string()]);
    // Not in the directory of the configuration, which tasks cannot see.
    let scratch = TempDir::new().unwrap();
    let pids = scratch.path().join("pids");
    let script = format!(
        "trap '' TERM; (setsid sh -c 'echo $$ >> {pids}; sleep 1000' &); echo $$ >> {pids}; sleep 1000; sleep 1000",
        pids = pids.display()
    );
    world.run("r-deaf", &script, |_| {});
    let pids =
        eventually("both processes are there", || Some(lines_of(&pids)).filter(|lines| lines.len() == 2));
    let run = World::action("r-deaf")["run"].clone();
    world.call("/flyteidl2.workflow.RunService/AbortRun", &json!({"runId": run, "reason": "enough"}));
    world.until_phase("r-deaf", "ABORTED");
    eventually("its processes are gone", || pids.iter().all(|pid| !alive(pid)).then_some(()));
    let lines = world.follow("flyteidl2.workflow.RunLogsService", "r-deaf");
    let last = &lines.last().unwrap().1;
    assert_eq!(
        (last["message"].as_str(), last["originator"].as_str()),
        (Some("the command was stopped on request"), Some("SYSTEM"))
    );
}

#[test]
fn task_has_its_own_identity_and_no_server_secrets() {
    let mut world = World::new(&[]);
    let directory = TempDir::new().unwrap();
    let (dump, go) = (directory.path().join("dump"), directory.path().join("go"));
    let script = format!(
        "cat {data}/flyte.db {data}/sealing.key > /dev/null 2>&1 && echo read; env > {dump}.new; \
         mv {dump}.new {dump}; while [ ! -e {go} ]; do sleep 0.05; done; cat $(dirname $FLYTECTL_CONFIG)/token > /dev/null && echo mine",
        data = world.server.data().display(),
        dump = dump.display(),
        go = go.display(),
    );
    world.run("r-identity", &script, |_| {});
    let environment = eventually("the task has written its environment", || fs::read_to_string(&dump).ok());
    let variable = |name: &str| {
        environment
            .lines()
            .find_map(|line| line.strip_prefix(&format!("{name}=")))
            .unwrap_or_default()
            .to_owned()
    };
    assert_eq!(variable("RUN_NAME"), "r-identity");
    assert_eq!(variable("ACTION_NAME"), "a0");
    assert_eq!(variable("_U_EP_OVERRIDE"), format!("dns:///{}", world.server.endpoint()));
    assert!(!environment.contains("FLYTE_SERVER_"), "nothing of the server's: {environment}");
    let config = fs::read_to_string(variable("FLYTECTL_CONFIG")).unwrap();
    assert!(config.contains("authType: ExternalCommand"), "{config}");
    let file = Path::new(&variable("FLYTECTL_CONFIG")).with_file_name("token");
    let token = fs::read_to_string(&file).unwrap();
    assert!(!environment.contains(&token), "no secret is in the environment");
    let projects = |world: &World, token: &str| {
        world.try_call(token, "/flyteidl2.project.ProjectService/ListProjects", &json!({})).0
    };
    assert_eq!(projects(&world, &token), 200);
    // The next server takes it over and issues a new token.
    world.server.crash();
    eventually("the token is renewed", || (fs::read_to_string(&file).ok()? != token).then_some(()));
    assert_eq!(projects(&world, &token), 200, "the one before is good until it expires");
    fs::write(&go, "").unwrap();
    world.until_phase("r-identity", "SUCCEEDED");
    assert_eq!(projects(&world, &token), 401, "it is dead with its run");
    assert!(!file.exists());
    let lines = world.follow("flyteidl2.workflow.RunLogsService", "r-identity");
    let texts: Vec<_> = lines.iter().map(|(_, line)| line["message"].as_str().unwrap_or_default()).collect();
    assert_eq!(texts, ["mine"]);
}

#[test]
fn task_continues_while_the_server_is_stopped() {
    let mut world = World::new(&[]);
    let directory = TempDir::new().unwrap();
    let (pid, go) = (directory.path().join("pid"), directory.path().join("go"));
    let script = format!(
        "echo $$ > {}; while [ ! -e {} ]; do sleep 0.05; done; echo done",
        pid.display(),
        go.display()
    );
    world.run("r-long", &script, |_| {});
    let process = eventually("it runs", || lines_of(&pid).first().cloned());
    world.server.signal("TERM");
    assert_eq!(world.server.wait(), Some(0));
    assert!(alive(&process));
    fs::write(&go, "").unwrap();
    eventually("it has ended without a server", || (!alive(&process)).then_some(()));
    world.server.start_again();
    let details = world.until_phase("r-long", "SUCCEEDED");
    assert_eq!(details["status"]["attempts"].as_u64().unwrap_or(1), 1);
    // Nothing remains of it, including the supervisor.
    let left = Command::new("pgrep")
        .args(["-f", &world.server.data().join("attempts").display().to_string()])
        .output();
    assert!(left.is_ok_and(|left| left.stdout.is_empty()));
}
