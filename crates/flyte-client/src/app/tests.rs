use serde_json::json;

use super::*;

fn app(message: serde_json::Value) -> App {
    App::from(serde_json::from_value::<wire::App>(message).unwrap())
}

#[test]
fn the_state_of_an_app_is_its_latest_condition() {
    let found = app(json!({
        "metadata": {"id": {"project": "p", "domain": "d", "name": "board"}, "revision": "3"},
        "spec": {"container": {"image": "auto"}, "desiredState": "DESIRED_STATE_ACTIVE",
            "creator": {"user": {"id": {"subject": "s"}, "spec": {"email": "ada@example.com"}}}},
        "status": {"currentReplicas": 1, "ingress": {"publicUrl": "https://h/apps/board"},
            "createdAt": "1970-01-01T00:16:40Z",
            "conditions": [
                {"deploymentStatus": "DEPLOYMENT_STATUS_DEPLOYING"},
                {"deploymentStatus": "DEPLOYMENT_STATUS_ACTIVE", "message": "up"}]}
    }));
    let expected = App {
        name: "board".into(),
        project_domain: ProjectDomain::new("p", "d"),
        revision: 3,
        state: State::Active,
        message: "up".into(),
        wanted: true,
        url: "https://h/apps/board".into(),
        replicas: 1,
        image: "auto".into(),
        created_by: "ada@example.com".into(),
        created_at: Some(1000),
        updated_at: None,
    };
    assert_eq!(found, expected);
    let stopped = app(json!({"spec": {"desiredState": "DESIRED_STATE_STOPPED"}}));
    assert_eq!((stopped.wanted, stopped.state), (false, State::Unknown));
}

#[test]
fn variables_replace_those_with_the_same_name() {
    let pairs = |pairs: &[(&str, &str)]| -> Vec<_> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let message = json!({"container": {"env": [{"key": "A", "value": "1"}, {"key": "B", "value": "2"}]}});
    let mut spec = Spec(serde_json::from_value(message).unwrap());
    assert!(spec.set_variables(&pairs(&[("B", "3"), ("C", "")])));
    let Some(AppPayload::Container(container)) = spec.0.app_payload else { panic!("no container") };
    let found: Vec<_> = container.env.iter().map(|one| (one.key.as_str(), one.value.as_str())).collect();
    assert_eq!(found, [("A", "1"), ("B", "3"), ("C", "")]);
    let mut empty = Spec::default();
    assert!(empty.set_variables(&[]) && !empty.set_variables(&pairs(&[("A", "1")])));
}

#[test]
fn states_are_read_and_filtered_by_the_statuses_of_the_protocol() {
    for (text, state) in [
        ("active", State::Active),
        ("Stopped", State::Stopped),
        ("assigned", State::Pending),
        ("scaling-up", State::Active),
        ("DEPLOYMENT_STATUS_FAILED", State::Failed),
    ] {
        assert_eq!(text.parse(), Ok(state), "{text}");
    }
    for text in ["", "unspecified", "running"] {
        assert!(text.parse::<State>().is_err(), "{text}");
    }
    let options = ListOptions {
        created_by: Some("s".into()),
        states: vec![State::Failed, State::Pending],
        ..ListOptions::default()
    };
    let filters: Vec<_> = options.filters().into_iter().map(|filter| (filter.field, filter.values)).collect();
    let statuses =
        ["FAILED", "UNASSIGNED", "ASSIGNED", "PENDING"].map(|name| format!("DEPLOYMENT_STATUS_{name}"));
    let expected =
        [("created_by".to_owned(), vec!["s".to_owned()]), ("status_phase".to_owned(), statuses.to_vec())];
    assert_eq!(filters, expected);
    assert!(ListOptions::default().filters().is_empty());
}

#[test]
fn a_service_account_keeps_the_secrets_of_an_app() {
    let message = json!({"securityContext": {"secrets": [{"key": "K"}], "allowAnonymous": true}});
    let mut spec = Spec(serde_json::from_value(message).unwrap());
    spec.set_service_account("robot");
    let context = spec.0.security_context.into_option().unwrap();
    assert_eq!((context.secrets.len(), context.allow_anonymous), (1, true));
    assert_eq!(context.run_as.into_option().unwrap().k8s_service_account, "robot");
}
