use buffa::MessageField;
use flyte_idl::flyteidl2::{
    common::OffloadedInputData,
    core::{Container, TaskTemplate, task_template::Target},
    trigger::trigger_spec,
};

use super::*;
use crate::connection;
use flyte_store::{ActionId, AppId, AppStore as _, RunId, RunStore as _, TaskId, TaskStore as _};

fn spec(root: &str) -> TaskSpec {
    let args =
        ["a0", "--tgz", &format!("{root}/p/d/content/x.tgz"), "--inputs", "{{.input}}"].map(str::to_owned);
    let container = Container { args: args.to_vec(), ..Container::default() };
    let template =
        TaskTemplate { target: Some(Target::Container(Box::new(container))), ..TaskTemplate::default() };
    TaskSpec { task_template: MessageField::some(template), ..TaskSpec::default() }
}

fn app_spec(root: &str) -> AppSpec {
    let container = Container { args: vec![format!("--tgz={root}/p/d/app.tgz")], ..Container::default() };
    AppSpec {
        app_payload: Some(flyte_idl::flyteidl2::app::spec::AppPayload::Container(Box::new(container))),
        ..AppSpec::default()
    }
}

fn trigger(root: &str) -> TriggerSpec {
    let data =
        OffloadedInputData { uri: format!("{root}/p/d/inputs/inputs.pb"), ..OffloadedInputData::default() };
    TriggerSpec {
        input_wrapper: Some(trigger_spec::InputWrapper::OffloadedInputData(Box::new(data))),
        ..TriggerSpec::default()
    }
}

/// Creates a database of the version before this migration, whose objects were in `root`.
fn previous(path: &Path, root: &str) {
    let connection = Connection::open(path).unwrap();
    for migration in &connection::MIGRATIONS[..9] {
        connection.execute_batch(migration).unwrap();
    }
    connection.pragma_update(None, "application_id", connection::APPLICATION_ID).unwrap();
    connection.pragma_update(None, "user_version", 9).unwrap();
    let base = format!("{root}/p/d/runs/r1");
    let run_spec = RunSpec { run_base_dir: format!("{root}/p/d/mine"), ..RunSpec::default() };
    connection
        .execute(
            "INSERT INTO runs VALUES (1, 'p', 'd', 'r1', 'ada', 0, 'flyte', 'family', 1, NULL, NULL, ?1, '{}', 0,
                 NULL, 'run-family', ?2, 0, 1, 2, 3, 4, 't', 'v', 2)",
            params![run_spec.encode_to_vec(), base],
        )
        .unwrap();
    let (task, hash) = (spec(root).encode_to_vec(), vec![7_u8; 32]);
    connection.execute("INSERT INTO action_specs VALUES (?1, ?2)", params![hash, task]).unwrap();
    for (key, name, parent) in [(1, "a0", ""), (2, "a1", "a0")] {
        connection
            .execute(
                "INSERT INTO actions (pk, run, name, parent, \"group\", kind, task_project, task_domain, task_name,
                     task_version, task_type, short_name, environment, spec_hash, input_uri, output_base,
                     output_uri, phase, attempts, user_failures, system_failures, subject, created_at, queued_at,
                     not_before, ended_at, updated_at, version)
                 VALUES (?1, 1, ?2, ?3, '', 1, 'p', 'd', 't', 'v', '', '', '', ?4, ?5, ?6, ?7, 4, 1, 0, 0, 'ada', 1,
                     1, 1, 2, 2, 1)",
                params![key, name, parent, hash, format!("file://{base}/inputs.pb"), base, format!("{base}/{name}/1")],
            )
            .unwrap();
    }
    connection
        .execute(
            "INSERT INTO task_versions VALUES (1, 'p', 'd', 't', 'v', '', '', '', 0, 'ada', 'person', 1, ?1, ?2)",
            params![task_digest(&flyte_idl::canonical(&spec(root))), task],
        )
        .unwrap();
    connection.execute("INSERT INTO tasks VALUES ('p', 'd', 't', 1)", []).unwrap();
    connection
        .execute(
            "INSERT INTO apps (project, domain, name, revision, metadata, spec, wanted, status, conditions,
                 created_by, created_by_kind, created_at, updated_at)
             VALUES ('p', 'd', 'web', 1, x'', ?1, 0, 'stopped', '[]', 'ada', 'person', 1, 1)",
            [app_spec(root).encode_to_vec()],
        )
        .unwrap();
    let triggers = trigger(root).encode_to_vec();
    connection
        .execute(
            "INSERT INTO triggers VALUES (1, 'p', 'd', 't', 'nightly', 1, 'v', 1, ?1, x'', 'ada', 'person', 1,
                 'ada', 'person', 1, NULL, NULL)",
            [&triggers],
        )
        .unwrap();
    connection
        .execute(
            "INSERT INTO trigger_revisions VALUES ('p', 'd', 't', 'nightly', 1, 1, 'v', 1, ?1, x'', 'ada', 'person',
                 1, 'ada', 'person', 1, NULL)",
            [&triggers],
        )
        .unwrap();
}

/// Returns the columns that contain this text.
fn names(path: &Path, text: &str) -> Vec<String> {
    let connection = Connection::open(path).unwrap();
    let list = |sql: &str| -> Vec<String> {
        connection
            .prepare(sql)
            .unwrap()
            .query_map([], |row| row.get(0))
            .unwrap()
            .collect::<Result<_, _>>()
            .unwrap()
    };
    let mut found = Vec::new();
    for table in list("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite_%'") {
        for column in list(&format!("SELECT name FROM pragma_table_info('{table}')")) {
            let sql = format!(
                "SELECT count(*) FROM {table} WHERE instr(CAST(\"{column}\" AS BLOB), CAST(?1 AS BLOB))"
            );
            let rows: i64 = connection.query_row(&sql, [text], |row| row.get(0)).unwrap();
            if rows > 0 {
                found.push(format!("{table}.{column}"));
            }
        }
    }
    found
}

#[tokio::test]
async fn the_migration_removes_directory_names() {
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("flyte.db");
    // This also works if the database has been moved.
    for root in [home.path().join("objects").display().to_string(), "/elsewhere/objects".to_owned()] {
        let _ = std::fs::remove_file(&path);
        previous(&path, &root);
        assert!(names(&path, &root).len() >= 8, "{:?}", names(&path, &root));
        let store = SqliteStore::open(&path).unwrap();
        let action = ActionId {
            run: RunId { project: "p".to_owned(), domain: "d".to_owned(), name: "r1".to_owned() },
            name: "a1".to_owned(),
        };
        let migrated = store.action_by_id(&action).await.unwrap().unwrap();
        assert_eq!(migrated.input_uri, "objects://p/d/runs/r1/inputs.pb");
        assert_eq!(migrated.output_base, "objects://p/d/runs/r1");
        assert_eq!(migrated.output_uri, "objects://p/d/runs/r1/a1/1");
        let expected = spec("objects:/");
        let kept = store.action_spec(&action).await.unwrap().unwrap();
        assert_eq!(TaskSpec::decode_from_slice(&kept).unwrap(), expected);
        let id = TaskId {
            project: "p".to_owned(),
            domain: "d".to_owned(),
            name: "t".to_owned(),
            version: "v".to_owned(),
        };
        let deployed = store.task_by_id(&id).await.unwrap().unwrap();
        assert_eq!(TaskSpec::decode_from_slice(&deployed.spec).unwrap(), expected);
        let app = AppId { project: "p".to_owned(), domain: "d".to_owned(), name: "web".to_owned() };
        let app = store.app_by_id(&app).await.unwrap().unwrap();
        assert_eq!(AppSpec::decode_from_slice(&app.spec).unwrap(), app_spec("objects:/"));

        let current = home.path().join("objects").display().to_string();
        let directories = store.object_directories(Some(&current)).await.unwrap();
        assert!(directories.all.contains(&root) && directories.all.contains(&current));
        let pending: Vec<_> = Some(&root).filter(|root| **root != current).cloned().into_iter().collect();
        assert_eq!(directories.pending, pending);
        store.object_directories_rewritten(pending).await.unwrap();
        assert_eq!(store.object_directories(Some(&current)).await.unwrap().pending, Vec::<String>::new());
        drop(store);
        assert_eq!(names(&path, &root), ["object_directories.path"]);
        let connection = Connection::open(&path).unwrap();
        let digest: Vec<u8> =
            connection.query_row("SELECT digest FROM task_versions", [], |row| row.get(0)).unwrap();
        assert_eq!(
            digest,
            task_digest(&flyte_idl::canonical(&expected)),
            "deploying the same task again changes nothing"
        );
        for table in ["triggers", "trigger_revisions"] {
            let sql = format!("SELECT spec FROM {table}");
            let spec: Vec<u8> = connection.query_row(&sql, [], |row| row.get(0)).unwrap();
            assert_eq!(TriggerSpec::decode_from_slice(&spec).unwrap(), trigger("objects:/"));
        }
    }
}
