//! The token store with a keyring that is missing, locked, silent or broken, or that has several items. `secret_service.rs` tests
//! the store with a working keyring.
//!
//! Each test has a separate D-Bus session. The store depends on the environment of its process, so the tests start this test
//! program again in that session: see [`in_the_session`].
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod desktop;

use std::{
    env, fs,
    io::Write as _,
    path::PathBuf,
    process::Stdio,
    time::{Duration, Instant},
};

use flyte_auth::store::{self, Login, StoreError, StoreOptions};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

use self::desktop::Desktop;

const SERVICE: &str = "flyte.example:8443";

#[test]
#[ignore = "a process that the other tests start"]
fn in_the_session() {
    let job: Value = serde_json::from_str(&env::var("FLYTE_TEST_JOB").unwrap()).unwrap();
    let home = PathBuf::from(env::var_os("FLYTE_TEST_HOME").unwrap());
    let options = StoreOptions {
        service: job["service"].as_str().unwrap_or(SERVICE).to_owned(),
        data_dir: Some(home.join("data")),
        state_dir: Some(home.join("state")),
        kind: None,
        keyring_timeout: Duration::from_secs(job["timeout"].as_u64().unwrap_or(20)),
        unlock_timeout: Duration::from_secs(job["timeout"].as_u64().unwrap_or(20)),
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let started = Instant::now();
    let mut answer = runtime.block_on(work(&job, &options)).unwrap_or_else(|error| {
        let kind = match &error {
            StoreError::KeyringLocked { .. } => "KeyringLocked",
            StoreError::Keyring { .. } => "Keyring",
            StoreError::KeyringSilent { .. } => "KeyringSilent",
            _ => "other",
        };
        json!({"error": kind, "message": error.to_string()})
    });
    answer["seconds"] = started.elapsed().as_secs().into();
    fs::write(env::var_os("FLYTE_TEST_ANSWER").unwrap(), answer.to_string()).unwrap();
}

async fn work(job: &Value, options: &StoreOptions) -> Result<Value, StoreError> {
    let store = store::open(options).await?;
    match job["do"].as_str().unwrap() {
        "load" => {}
        "save" => {
            let access = job["access"].as_str().unwrap();
            store
                .save(&Login {
                    access_token: SecretString::from(access),
                    refresh_token: job["refresh"].as_str().map(SecretString::from),
                    details: serde_json::from_value(json!({
                        "access_token_sha256": sha256(access), "issued_at": 1, "expires_at": 2, "scopes": ["all"],
                        "client_id": "flyte", "issuer": "https://issuer.example", "auth_type": "Pkce",
                    }))
                    .unwrap(),
                })
                .await?;
        }
        "clear" => store.clear().await?,
        "probe" => store.probe().await?,
        other => panic!("{other}?"),
    }
    let login = store.load().await?;
    Ok(json!({
        "backend": store.backend().to_string(),
        "access": login.as_ref().map(|login| login.access_token.expose_secret()),
        "refresh": login.as_ref().and_then(|login| login.refresh_token.as_ref()).map(secrecy::ExposeSecret::expose_secret),
        "details": login.as_ref().and_then(|login| login.details.as_ref()),
    }))
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_newest_of_several_items_is_used_and_the_others_are_deleted() {
    let desktop = Desktop::with_keyring();
    desktop.save("older");
    // Modification times are in whole seconds.
    std::thread::sleep(Duration::from_millis(1100));
    let mut tool = desktop
        .command("secret-tool")
        .args(["store", "--label=other", "service", SERVICE, "username", "tokens", "more", "attributes"])
        .stdin(Stdio::piped())
        .spawn()
        .expect("secret-tool is missing: run `./test --setup`, or install Debian's package libsecret-tools");
    tool.stdin.take().unwrap().write_all(br#"{"access_token": "newer"}"#).unwrap();
    assert!(tool.wait().unwrap().success());
    assert_eq!(desktop.items("tokens"), 2);
    assert_eq!(desktop.load()["access"], "newer");
    desktop.save("newest");
    assert_eq!(desktop.items("tokens"), 1);
    assert!(desktop.python_finds("tokens").unwrap().contains("newest"));
}

#[test]
fn a_keyring_that_cannot_be_unlocked_is_an_error_at_once() {
    let desktop = Desktop::with_keyring();
    desktop.save("ours");
    desktop.python(&["lock"]);
    // No service can show a prompt.
    for work in ["load", "probe", "clear"] {
        let refused = desktop.run_job(json!({"do": work}));
        assert_eq!(refused["error"], "KeyringLocked", "{refused}");
        assert_eq!(refused["message"], "the system keyring is locked, and could not be unlocked");
        assert!(refused["seconds"].as_u64().unwrap() < 10, "{refused}");
    }
    assert_eq!(desktop.save("forked")["error"], "KeyringLocked");
    assert_eq!(desktop.files(), 0, "the login must not be in two places");
}

#[test]
fn an_unanswered_prompt_times_out() {
    let mut desktop = Desktop::with_keyring();
    desktop.save("ours");
    desktop.python(&["lock"]);
    desktop.occupy("org.gnome.keyring.SystemPrompter", "silent");
    let refused = desktop.run_job(json!({"do": "load", "timeout": 2}));
    assert_eq!(refused["error"], "KeyringLocked", "{refused}");
    assert_eq!(refused["message"], "the system keyring is locked, and was not unlocked within 2 seconds");
    assert!((2..8).contains(&refused["seconds"].as_u64().unwrap()), "{refused}");
    assert_eq!(desktop.files(), 0);
}

#[test]
fn a_broken_keyring_is_an_error_and_not_a_missing_keyring() {
    for (how, kind) in [("fails", "Keyring"), ("silent", "KeyringSilent")] {
        let mut desktop = Desktop::with_bus();
        desktop.occupy("org.freedesktop.secrets", how);
        let refused = desktop.run_job(json!({"do": "save", "access": "ours", "timeout": 3}));
        assert_eq!(refused["error"], kind, "{refused}");
        assert_eq!(desktop.files(), 0);
    }
}

#[test]
fn without_a_keyring_the_login_is_in_the_encrypted_file() {
    // No bus, a dead bus, a bus without a keyring, a keyring that cannot start, and a keyring without a collection.
    let gone = || {
        let mut desktop = Desktop::bare();
        desktop.address = Some(format!("unix:path={}", desktop.path("run/gone").display()));
        desktop
    };
    let empty = || {
        let mut desktop = Desktop::with_bus();
        desktop.start_keyring(None);
        desktop
    };
    let broken = || {
        let mut desktop = Desktop::bare();
        let services = desktop.path("run/dbus-1/services");
        fs::create_dir_all(&services).unwrap();
        let service = "[D-BUS Service]\nName=org.freedesktop.secrets\nExec=/bin/false\n";
        fs::write(services.join("org.freedesktop.secrets.service"), service).unwrap();
        desktop.start_bus();
        desktop
    };
    for (what, desktop) in [
        ("cannot start", broken()),
        ("no bus", Desktop::bare()),
        ("gone", gone()),
        ("no keyring", Desktop::with_bus()),
        ("empty", empty()),
    ] {
        let saved = desktop.save("ours");
        assert!(
            saved["backend"].as_str().is_some_and(|name| name.contains("encrypted file")),
            "{what}: {saved}"
        );
        let found = desktop.load();
        assert_eq!(
            (&found["access"], &found["refresh"]),
            (&json!("ours"), &json!("our refresh token")),
            "{what}"
        );
        assert_eq!(desktop.files(), 1, "{what}");
    }
}

#[test]
fn each_endpoint_has_its_own_login_which_other_tools_can_read() {
    let desktop = Desktop::with_keyring();
    desktop.run_job(json!({"do": "save", "access": "no refresh"}));
    let tool = desktop
        .command("secret-tool")
        .args(["lookup", "service", SERVICE, "username", "tokens"])
        .output()
        .expect("secret-tool is missing: run `./test --setup`, or install Debian's package libsecret-tools");
    // The JSON has exactly these two members, as Python writes it if there is no refresh token.
    let shared: Value = serde_json::from_slice(&tool.stdout).unwrap();
    assert_eq!(shared, json!({"access_token": "no refresh", "refresh_token": null}));
    // The same host with another port is another endpoint.
    let other = desktop.run_job(json!({"do": "load", "service": "flyte.example"}));
    assert_eq!((&other["access"], &other["error"]), (&Value::Null, &Value::Null));
}
