use std::fs;

use buffa::Message as _;
use flyte_idl::flyteidl2::app::{Spec, spec::AppPayload};

use super::*;
use flyte_model::{Actor, PrincipalKind};
use flyte_runs::testing::Server;
use flyte_store::NewApp;

#[tokio::test]
async fn an_unreadable_exit_of_an_earlier_process_fails_the_app() {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().to_owned();
    let app = Server::new(move |config| config.data_dir = data_dir).await;
    let id = AppId { project: "p".to_owned(), domain: "d".to_owned(), name: "web".to_owned() };
    let payload = AppPayload::Container(Box::new(Container {
        command: vec!["web".to_owned()],
        ..Container::default()
    }));
    let spec = Spec { app_payload: Some(payload), ..Spec::default() };
    let new = NewApp {
        id: id.clone(),
        metadata: Vec::new(),
        spec: spec.encode_to_vec(),
        wanted: true,
        reason: String::new(),
        by: Actor { subject: "user-Ada".to_owned(), kind: PrincipalKind::Person },
        at: flyte_testing::NOW,
    };
    app.store.create_app(&new).await.unwrap();
    let directory = directories::of_process(home.path(), &id, 1);
    fs::create_dir_all(&directory).unwrap();
    fs::write(directory.join("lock"), "").unwrap();
    fs::write(directory.join("exit.json"), "torn").unwrap();
    let mut watchdog = Watchdog::new(Arc::new(crate::testing::state(&app)), Arc::default(), id.clone());
    assert!(matches!(watchdog.step().await, Ok(Next::Wait(_))));
    let record = app.store.app_by_id(&id).await.unwrap().unwrap();
    assert_eq!((record.status(), record.process), (AppStatus::Failed, None));
    let message = &record.conditions.last().unwrap().message;
    assert!(message.contains(&directory.display().to_string()), "{message}");
}
