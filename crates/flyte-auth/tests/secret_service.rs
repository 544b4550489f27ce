//! The token store against a real GNOME Keyring, and Python's `keyring` as the other tool.
//!
//! Each test starts itself again in a separate D-Bus session with a separate home directory, so it never touches the developer's
//! keyring. If a program is missing, the test fails and names the package to install.
#![cfg(target_os = "linux")]
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "test code outside of #[test] functions")]

use std::{
    io::Write as _,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use flyte_auth::oauth::{ClientId, Scope};
use flyte_auth::store::{self, Backend, Login, LoginDetails, StoreError, StoreOptions, TokenStore};
use secrecy::{ExposeSecret as _, SecretString};

const SERVICE: &str = "flyte.example.com:8443";
/// Set when a test runs inside its session.
const INSIDE: &str = "FLYTE_TEST_INSIDE_SESSION";

/// The keyring of the session.
#[derive(Clone, Copy, PartialEq)]
enum Keyring {
    Unlocked,
    /// The session bus has no Secret Service.
    Absent,
}

/// Runs `body` inside a D-Bus session. `name` is the test's name.
fn in_session(name: &str, keyring: Keyring, body: impl AsyncFnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            if keyring == Keyring::Unlocked {
                wait_for_keyring().await;
            }
            body().await;
        });
        std::fs::write(PathBuf::from(std::env::var_os("HOME").unwrap()).join("ran"), "").unwrap();
        return;
    }
    let home = tempfile::tempdir().unwrap();
    let runtime_dir = home.path().join("run");
    std::fs::create_dir(&runtime_dir).unwrap();
    std::fs::set_permissions(&runtime_dir, std::fs::Permissions::from_mode(0o700)).unwrap();
    // Without service files, the bus starts no service that is installed on the machine.
    let bus = home.path().join("bus.conf");
    std::fs::write(
        &bus,
        r#"<busconfig><type>session</type><listen>unix:tmpdir=/tmp</listen><auth>EXTERNAL</auth>
<policy context="default"><allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/></policy></busconfig>"#,
    )
    .unwrap();
    let start = match keyring {
        Keyring::Unlocked => {
            "printf password | gnome-keyring-daemon --unlock --components=secrets >/dev/null && "
        }
        Keyring::Absent => "",
    };
    let status = Command::new("dbus-run-session")
        .arg(format!("--config-file={}", bus.display()))
        .args(["--", "sh", "-c", &format!("{start}exec \"$0\" --exact {name} --nocapture")])
        .arg(std::env::current_exe().unwrap())
        .env(INSIDE, "1")
        .env("HOME", home.path())
        .env("XDG_RUNTIME_DIR", &runtime_dir)
        .env_remove("XDG_DATA_HOME")
        .env_remove("XDG_CONFIG_HOME")
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .stdin(Stdio::null())
        .status()
        .expect(
            "dbus-run-session is missing: install Debian's dbus and gnome-keyring, or run `./test --setup`",
        );
    assert!(status.success(), "{name} failed in its session (is gnome-keyring installed? `./test --setup`)");
    assert!(home.path().join("ran").exists(), "{name} is not this test's name");
}

fn options(keyring_timeout: Duration) -> StoreOptions {
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    StoreOptions {
        service: SERVICE.to_owned(),
        data_dir: Some(home.join("data")),
        state_dir: Some(home.join("state")),
        kind: None,
        keyring_timeout,
        unlock_timeout: keyring_timeout,
    }
}

/// Waits until the keyring answers and is unlocked. The daemon reports its start before it answers.
async fn wait_for_keyring() {
    let started = Instant::now();
    while started.elapsed() < Duration::from_secs(20) {
        if let Ok(store) = store::open(&options(Duration::from_secs(5))).await
            && matches!(store.backend(), Backend::Keyring(_))
            && store.probe().await.is_ok()
        {
            return;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    panic!("gnome-keyring-daemon does not answer");
}

async fn open() -> Arc<dyn TokenStore> {
    store::open(&options(Duration::from_secs(20))).await.unwrap()
}

fn login(access: &str, refresh: &str) -> Login {
    Login {
        access_token: SecretString::from(access),
        refresh_token: Some(SecretString::from(refresh)),
        details: Some(LoginDetails {
            access_token_sha256: sha256(access),
            issued_at: Some(1),
            expires_at: Some(2),
            scopes: Scope::parse_list("all"),
            client_id: ClientId::parse("flyte").unwrap(),
            issuer: "https://issuer.example".to_owned(),
            subject: Some("ada@example.com".to_owned()),
            auth_type: "Pkce".to_owned(),
        }),
    }
}

fn sha256(text: &str) -> String {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    digest.as_ref().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Loads the login: its access token, its refresh token, and whether it has details.
async fn found(store: &dyn TokenStore) -> Option<(String, Option<String>, bool)> {
    let login = store.load().await.unwrap()?;
    Some((
        login.access_token.expose_secret().to_owned(),
        login.refresh_token.map(|token| token.expose_secret().to_owned()),
        login.details.is_some(),
    ))
}

/// Runs Python with the published package `keyring`, which the published Flyte client uses.
fn python(program: &str) -> String {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("peers/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `./test --setup`", python.display());
    let mut command = Command::new(python);
    // The machine's settings must not choose another backend.
    command.env("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring").args(["-c", program]);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{program}\n{text}\n{}", String::from_utf8_lossy(&stderr));
    text.trim().to_owned()
}

/// Reads the shared entry with Python's `keyring`.
fn python_reads() -> String {
    python(&format!("import keyring; print(keyring.get_password('{SERVICE}', 'tokens'))"))
}

/// Writes the shared entry with Python's `keyring`. `refresh` is a Python expression.
fn python_writes(access: &str, refresh: &str) {
    python(&format!(
        r#"import keyring, json
keyring.set_password("{SERVICE}", "tokens", json.dumps({{"access_token": "{access}", "refresh_token": {refresh}}}))"#
    ));
}

/// All items of the endpoint: label, attributes, secret and content type. The attribute `xdg:schema` is left out, because the daemon
/// adds it to some items only.
fn items() -> Vec<String> {
    let listed = python(&format!(
        r#"
import json, secretstorage
bus = secretstorage.dbus_init()
for item in secretstorage.get_default_collection(bus).search_items({{"service": "{SERVICE}"}}):
    attributes = {{name: value for name, value in item.get_attributes().items() if name != "xdg:schema"}}
    print(json.dumps([item.get_label(), attributes, item.get_secret().decode(), item.get_secret_content_type()], sort_keys=True))
"#
    ));
    let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// Starts GNOME Keyring, or unlocks it if it runs, as the login to a desktop does.
fn unlock(arguments: &[&str]) {
    let mut daemon = Command::new("gnome-keyring-daemon")
        .args(["--unlock", "--components=secrets"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .spawn()
        .expect("gnome-keyring-daemon is missing: install Debian's gnome-keyring, or run `./test --setup`");
    daemon.stdin.take().unwrap().write_all(b"password").unwrap();
    assert!(daemon.wait().unwrap().success());
}

#[test]
fn both_tools_share_one_entry() {
    in_session("both_tools_share_one_entry", Keyring::Unlocked, async || {
        let store = open().await;
        assert_eq!(store.backend(), Backend::Keyring("Secret Service"));
        assert_eq!(found(&*store).await, None);

        // Python reads what the store wrote.
        store.save(&login("rust-1", "refresh-1")).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&python_reads()).unwrap();
        assert_eq!(json, serde_json::json!({"access_token": "rust-1", "refresh_token": "refresh-1"}));

        // The store reads what Python wrote. Its own details belong to the previous token.
        for n in 0..5 {
            python_writes(&format!("python-{n}"), &format!("'refresh-{n}'"));
            let expected = (format!("python-{n}"), Some(format!("refresh-{n}")), false);
            assert_eq!(found(&*store).await, Some(expected));
            store.save(&login(&format!("rust-{n}"), "r")).await.unwrap();
            assert_eq!(found(&*store).await, Some((format!("rust-{n}"), Some("r".to_owned()), true)));
            assert!(python_reads().contains(&format!("rust-{n}")));
        }
        python_writes("python-9", "None");
        assert_eq!(found(&*store).await, Some(("python-9".to_owned(), None, false)));

        // One item has the tokens. The other has the details, which contain no secret.
        let listed = items();
        assert_eq!(listed.len(), 2, "{listed:#?}");
        let details = listed.iter().find(|item| item.contains("flyte-login")).unwrap();
        assert!(details.contains("ada@example.com") && !details.contains("_token\\\""), "{details}");

        // Signing out in either tool signs out the other one.
        store.clear().await.unwrap();
        assert_eq!((python_reads().as_str(), items().len()), ("None", 0));
        store.clear().await.unwrap();
        python_writes("python-10", "None");
        python(&format!("import keyring; keyring.delete_password('{SERVICE}', 'tokens')"));
        assert_eq!(found(&*store).await, None);
    });
}

#[test]
fn the_item_is_identical_to_the_item_that_python_writes() {
    in_session("the_item_is_identical_to_the_item_that_python_writes", Keyring::Unlocked, async || {
        let store = open().await;
        python(&format!(
            r#"import keyring, json
keyring.set_password("{SERVICE}", "tokens", json.dumps({{"access_token": "a", "refresh_token": "r"}}, separators=(",", ":")))"#
        ));
        let written_by_python = items();
        assert_eq!(written_by_python.len(), 1);
        store.clear().await.unwrap();
        store.save(&Login { details: None, ..login("a", "r") }).await.unwrap();
        assert_eq!(items(), written_by_python);
    });
}

#[test]
fn an_item_with_other_attributes_is_replaced() {
    in_session("an_item_with_other_attributes_is_replaced", Keyring::Unlocked, async || {
        let mut secret_tool = Command::new("secret-tool")
            .args(["store", "--label=by hand", "service", SERVICE, "username", "tokens"])
            .stdin(Stdio::piped())
            .spawn()
            .expect("secret-tool is missing: install Debian's libsecret-tools, or run `./test --setup`");
        secret_tool.stdin.take().unwrap().write_all(br#"{"access_token": "by-hand"}"#).unwrap();
        assert!(secret_tool.wait().unwrap().success());
        let store = open().await;
        assert_eq!(found(&*store).await, Some(("by-hand".to_owned(), None, false)));
        store.save(&login("rust", "r")).await.unwrap();
        let listed = items();
        assert_eq!(listed.len(), 2, "{listed:#?}");
        assert!(python_reads().contains("rust"));
    });
}

#[test]
fn an_invalid_entry_is_ignored() {
    in_session("an_invalid_entry_is_ignored", Keyring::Unlocked, async || {
        let store = open().await;
        for nonsense in ["", "not JSON", "[]", r#"{"refresh_token": "r"}"#] {
            python(&format!("import keyring; keyring.set_password('{SERVICE}', 'tokens', '{nonsense}')"));
            assert_eq!(found(&*store).await, None, "{nonsense}");
        }
        store.save(&login("rust", "r")).await.unwrap();
        assert!(found(&*store).await.is_some());
    });
}

#[test]
fn a_locked_keyring_is_an_error_and_no_second_login_is_stored() {
    in_session("a_locked_keyring_is_an_error_and_no_second_login_is_stored", Keyring::Unlocked, async || {
        let store = open().await;
        store.save(&login("rust", "r")).await.unwrap();
        python(
            "import secretstorage; secretstorage.get_default_collection(secretstorage.dbus_init()).lock()",
        );
        let limit = Duration::from_secs(3);
        let started = Instant::now();
        let locked = store::open(&options(limit)).await.unwrap();
        for outcome in [
            locked.load().await.map(drop),
            locked.probe().await,
            locked.save(&login("other", "r")).await,
            locked.clear().await,
        ] {
            let error = outcome.unwrap_err();
            assert!(matches!(error, StoreError::KeyringLocked { .. }), "{error:?}");
        }
        assert!(started.elapsed() < limit * 5, "{:?}", started.elapsed());
        // The encrypted file is not used, because the login would then be in two places.
        assert!(!options(limit).data_dir.unwrap().exists());
        // After the keyring is unlocked, the login is unchanged.
        unlock(&["--replace"]);
        wait_for_keyring().await;
        assert_eq!(found(&*open().await).await, Some(("rust".to_owned(), Some("r".to_owned()), true)));
    });
}

#[test]
fn the_login_moves_from_the_encrypted_file_to_a_new_keyring() {
    in_session("the_login_moves_from_the_encrypted_file_to_a_new_keyring", Keyring::Absent, async || {
        let store = open().await;
        assert!(matches!(store.backend(), Backend::EncryptedFile(_)), "{:?}", store.backend());
        store.save(&login("in-the-file", "r")).await.unwrap();

        unlock(&[]);
        wait_for_keyring().await;
        let store = open().await;
        assert_eq!(store.backend(), Backend::Keyring("Secret Service"));
        let expected = Some(("in-the-file".to_owned(), Some("r".to_owned()), true));
        assert_eq!(found(&*store).await, expected);
        store.save(&login("renewed", "r2")).await.unwrap();
        let data_dir = options(Duration::ZERO).data_dir.unwrap();
        assert_eq!(std::fs::read_dir(data_dir).unwrap().count(), 0, "moved, not copied");
        assert!(python_reads().contains("renewed"));
    });
}
