//! `SettingsService` and `SecretService`.

use serde_json::json;

use super::*;

#[tokio::test]
async fn settings_are_empty_and_changes_are_rejected() {
    let server = Server::start().await;
    server.json(CREATE, Some("Root"), &json!({"project": {"id": "p1"}})).await;
    let call = async |method: &str, key: Value| {
        let method = format!("/flyteidl2.settings.SettingsService/{method}");
        server.json(&method, Some("Root"), &json!({"key": key})).await
    };
    let all = call("GetSettingsForEdit", json!({"org": "whatever"})).await.json();
    assert_eq!(all, json!({"requestedKey": {"org": "acme"}}));
    let key = json!({"project": "p1", "domain": "development"});
    let one = call("GetSettings", key.clone()).await.json();
    assert_eq!(one["settingsRecord"]["settings"], json!({}), "{one}");
    for (key, code) in [
        (json!({"domain": "nowhere"}), "not_found"),
        (json!({"project": "p2", "domain": "development"}), "not_found"),
        (json!({"project": "p1"}), "invalid_argument"),
    ] {
        assert_eq!(call("GetSettingsForEdit", key.clone()).await.error().0, code, "{key}");
    }
    for method in ["CreateSettings", "UpdateSettings"] {
        let (code, message) = call(method, key.clone()).await.error();
        assert_eq!(code, "unimplemented");
        assert!(message.contains("keeps no settings"), "{message}");
    }
}

#[tokio::test]
async fn secrets_are_rejected_with_an_explanation() {
    let server = Server::start().await;
    for method in ["CreateSecret", "UpdateSecret", "GetSecret", "DeleteSecret", "ListSecrets"] {
        let method = format!("/flyteidl2.secret.SecretService/{method}");
        let (code, message) = server.json(&method, Some("Root"), &json!({})).await.error();
        assert_eq!(code, "unimplemented");
        assert!(message.starts_with("this server keeps no secrets"), "{message}");
    }
}
