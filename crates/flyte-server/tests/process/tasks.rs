//! The real server runs queued tasks, also if it is killed and restarted.

use std::{
    fs,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use buffa::{Message as _, MessageField};
use flyte_idl::flyteidl2::{
    core::{Container, KeyValuePair, TaskTemplate, task_template::Target},
    task::{RunSpec, TaskSpec},
};
use flyte_model::{ClientId, Limit, Role};
use flyte_store::{
    Action, ActionId, ActionKind, Creator, CreatorKind, NewAction, Phase, Run, RunId, RunStore as _, TaskRef,
};
use flyte_store_sqlite::SqliteStore;
use tempfile::TempDir;

use crate::server::{Server, errors, output};

struct World {
    home: TempDir,
    store: SqliteStore,
}

impl World {
    fn new() -> Self {
        let home = TempDir::new().unwrap();
        fs::DirBuilder::new().mode(0o700).create(home.path().join("data")).unwrap();
        let store = SqliteStore::open(&home.path().join("data/flyte.db")).unwrap();
        Self { home, store }
    }

    fn data(&self) -> PathBuf {
        self.home.path().join("data")
    }

    /// Queues a run of a shell script.
    async fn queue(&self, name: &str, script: &str) -> ActionId {
        let container = Container {
            command: ["/bin/sh", "-c"].map(str::to_owned).to_vec(),
            args: vec![script.to_owned()],
            env: vec![KeyValuePair {
                key: "GREETING".to_owned(),
                value: "{{.runName}}".to_owned(),
                ..KeyValuePair::default()
            }],
            ..Container::default()
        };
        let template =
            TaskTemplate { target: Some(Target::Container(Box::new(container))), ..TaskTemplate::default() };
        let spec = TaskSpec { task_template: MessageField::some(template), ..TaskSpec::default() };
        let run = Run {
            id: RunId {
                project: "flytesnacks".to_owned(),
                domain: "development".to_owned(),
                name: name.to_owned(),
            },
            creator: Creator {
                subject: "unknown".to_owned(),
                kind: CreatorKind::Person,
                client_id: ClientId::from_static("flyte"),
                family_id: "family".to_owned(),
                role: Role::Contributor,
                limit: Limit::default(),
            },
            spec: RunSpec::default().encode_to_bytes(),
            labels: Default::default(),
            source: 0,
            trigger: None,
            family_id: format!("family-of-{name}"),
            output_base: format!("objects://flytesnacks/development/runs/{name}"),
            max_concurrency: 0,
            created_at: 1_700_000_000_000,
            ended_at: None,
        };
        let id = ActionId::root(run.id.clone());
        let root = NewAction {
            id: id.clone(),
            parent: String::new(),
            group: String::new(),
            kind: ActionKind::Task,
            task: TaskRef::default(),
            task_type: "container".to_owned(),
            short_name: String::new(),
            environment: String::new(),
            spec: spec.encode_to_bytes(),
            input_uri: format!("{}/inputs.pb", run.output_base),
            output_base: run.output_base.clone(),
            output_uri: String::new(),
            caching: None,
            phase: Phase::Queued,
            waits_until: None,
            max_queued: None,
            deadline: None,
            failure: None,
            started_at: None,
            ended_at: None,
            subject: "unknown".to_owned(),
        };
        self.store.create_run(&run, &root).await.unwrap();
        id
    }

    async fn until_ended(&self, id: &ActionId) -> Action {
        until("the action has ended", async || {
            self.store.action_by_id(id).await.unwrap().filter(|action| action.phase.is_terminal())
        })
        .await
    }
}

async fn until<T>(what: &str, mut look: impl AsyncFnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(60);
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(Instant::now() < deadline, "still not: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

fn lines(path: &Path) -> Vec<String> {
    fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn queued_tasks_run_once_however_often_the_server_is_killed() {
    const TASKS: usize = 60;
    let world = World::new();
    let ledger = world.home.path().join("ledger");
    fs::write(&ledger, "").unwrap();
    let mut ids = Vec::new();
    for number in 0..TASKS {
        let script = format!("echo \"$GREETING $RUN_NAME $ACTION_NAME\" >> {}", ledger.display());
        ids.push(world.queue(&format!("r{number:02}"), &script).await);
    }
    for done in [10, 30] {
        let mut server = Server::start(&world.data(), &["--max-tasks", "3"]);
        until("tasks are being worked on", async || (lines(&ledger).len() >= done).then_some(())).await;
        server.process.kill().unwrap();
        server.process.wait().unwrap();
    }
    let _server = Server::start(&world.data(), &["--max-tasks", "3"]);
    for id in &ids {
        let action = world.until_ended(id).await;
        assert_eq!((action.phase, action.attempts), (Phase::Succeeded, 1), "{action:?}");
    }
    let mut ran = lines(&ledger);
    ran.sort();
    let expected: Vec<_> = (0..TASKS).map(|number| format!("r{number:02} r{number:02} a0")).collect();
    assert_eq!(ran, expected);
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_start_one_after_the_other() {
    let world = World::new();
    fs::write(world.home.path().join("settings.toml"), "[runner]\nmax-starting = 1\n").unwrap();
    let go = world.home.path().join("go");
    let mut ids = Vec::new();
    for name in ["r0", "r1", "r2"] {
        let script = format!("until [ -e {} ]; do sleep 0.5; done", go.display());
        ids.push(world.queue(name, &script).await);
    }
    let settings = world.home.path().join("settings.toml");
    let _server = Server::start(&world.data(), &["--max-tasks", "4", "--config", settings.to_str().unwrap()]);
    let attempt =
        |id: &ActionId| world.data().join(format!("attempts/flytesnacks/development/{}/a0/1", id.run.name));
    // Each waits, so its start is over, and the next one begins: all run although only one can start at a time.
    let started: Vec<_> = until("all tasks run", async || {
        ids.iter().map(|id| fs::metadata(attempt(id).join("spec.json")).ok()?.modified().ok()).collect()
    })
    .await;
    fs::write(&go, "").unwrap();
    for id in &ids {
        assert_eq!(world.until_ended(id).await.phase, Phase::Succeeded);
    }
    // A start takes several looks at the processes, however fast the machine is.
    let mut started = started;
    started.sort();
    for pair in started.windows(2) {
        let between = pair[1].duration_since(pair[0]).unwrap();
        assert!(between >= Duration::from_millis(200), "{between:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_has_a_reason() {
    let world = World::new();
    let failed = world.queue("r-failed", "echo the reason >&2; exit 4").await;
    let _server = Server::start(&world.data(), &["--max-tasks", "2"]);
    let action = world.until_ended(&failed).await;
    assert_eq!(action.phase, Phase::Failed);
    let message = action.failure.unwrap().message;
    assert!(message.contains("exit code 4") && message.contains("the reason"), "{message}");
    let directory = world.data().join("attempts/flytesnacks/development/r-failed/a0/1");
    assert!(!directory.join("token").exists() && !directory.join("work").exists());
    assert!(directory.join("log.jsonl").exists());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restored_backup_runs_at_another_path() {
    let world = World::new();
    let script = "echo {{.outputPrefix}} > {{.outputPrefix}}/told";
    let told = |data: &Path, run: &str| {
        let path = data.join("objects/flytesnacks/development/runs").join(run).join("a0/1/told");
        fs::read_to_string(path).unwrap()
    };
    let first = world.queue("r-first", script).await;
    let server = Server::start(&world.data(), &["--max-tasks", "2"]);
    let action = world.until_ended(&first).await;
    assert_eq!(action.phase, Phase::Succeeded, "{action:?}");
    assert!(told(&world.data(), "r-first").starts_with(&format!("{}/objects/", world.data().display())));
    server.stop();

    let second = world.queue("r-second", script).await;
    let server = Server::start(&world.data(), &["--max-tasks", "0"]);
    let backup = world.home.path().join("backup");
    for arguments in [&["backup"][..], &["backup", "--verify"], &["backup"]] {
        let arguments = [arguments, &[backup.to_str().unwrap()]].concat();
        let done = output(&world.data(), &arguments);
        assert!(done.status.success(), "{arguments:?}: {}", errors(&done));
    }
    server.stop();
    let World { home, store } = world;
    drop(store);
    fs::rename(home.path().join("data"), home.path().join("gone")).unwrap();

    let data = home.path().join("elsewhere/data");
    let restored = output(&data, &["restore", backup.to_str().unwrap()]);
    assert!(restored.status.success(), "{}", errors(&restored));
    let again = output(&data, &["restore", backup.to_str().unwrap()]);
    assert!(errors(&again).contains("is not empty"), "{}", errors(&again));
    let store = SqliteStore::open(&data.join("flyte.db")).unwrap();
    let world = World { home, store };
    let _server = Server::start(&data, &["--max-tasks", "2"]);
    let action = world.until_ended(&second).await;
    assert_eq!(action.phase, Phase::Succeeded, "{action:?}");
    assert_eq!(
        told(&data, "r-second"),
        format!("{}\n", data.join("objects/flytesnacks/development/runs/r-second/a0/1").display())
    );
    let kept = world.store.action_by_id(&first).await.unwrap().unwrap();
    assert_eq!(kept.output_uri, "objects://flytesnacks/development/runs/r-first/a0/1");
    assert!(told(&data, "r-first").contains("r-first"));
}
