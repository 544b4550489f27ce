//! The token store against a real GNOME Keyring, and Python's `keyring` as the other tool.
//!
//! Each test runs itself again inside a D-Bus session of its own, with a home of its own: the keyring of whoever runs the
//! tests is never touched. What is missing on the machine fails the test and says what to install.
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

use flyte_auth::store::{self, Backend, Login, LoginDetails, StoreError, StoreOptions, TokenStore};
use secrecy::{ExposeSecret as _, SecretString};

const SERVICE: &str = "flyte.example.com:8443";
/// Set for the second run of a test, inside the session.
const INSIDE: &str = "FLYTE_TEST_INSIDE_SESSION";

/// How the session is set up.
#[derive(Clone, Copy, PartialEq)]
enum Keyring {
    Unlocked,
    /// There is a session bus but nothing that keeps secrets.
    Absent,
}

/// Runs `body` inside a D-Bus session; `name` is the test's.
fn in_session(name: &str, keyring: Keyring, body: impl AsyncFnOnce()) {
    if std::env::var_os(INSIDE).is_some() {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            if keyring == Keyring::Unlocked {
                answers().await;
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
    // No service files: nothing is started that the test did not start, whatever the machine has installed.
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

/// Waits until the keyring is there and unlocked: the daemon says that it has started before it can be reached.
async fn answers() {
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
            scopes: vec!["all".to_owned()],
            client_id: "flyte".to_owned(),
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

/// The access and the refresh token that the store has, and whether it has notes about them.
async fn found(store: &dyn TokenStore) -> Option<(String, Option<String>, bool)> {
    let login = store.load().await.unwrap()?;
    Some((
        login.access_token.expose_secret().to_owned(),
        login.refresh_token.map(|token| token.expose_secret().to_owned()),
        login.details.is_some(),
    ))
}

/// Runs Python with the published `keyring`, used as the published Flyte client uses it.
fn python(program: &str) -> String {
    let python = Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("peers/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `./test --setup`", python.display());
    let mut command = Command::new(python);
    // Whatever the machine's own settings choose.
    command.env("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring").args(["-c", program]);
    let Output { status, stdout, stderr } = command.output().unwrap();
    let text = String::from_utf8(stdout).unwrap();
    assert!(status.success(), "{program}\n{text}\n{}", String::from_utf8_lossy(&stderr));
    text.trim().to_owned()
}

/// What Python's `keyring` has for the shared entry.
fn python_reads() -> String {
    python(&format!("import keyring; print(keyring.get_password('{SERVICE}', 'tokens'))"))
}

/// Python writes the shared entry; the refresh token is a Python expression.
fn python_writes(access: &str, refresh: &str) {
    python(&format!(
        r#"import keyring, json
keyring.set_password("{SERVICE}", "tokens", json.dumps({{"access_token": "{access}", "refresh_token": {refresh}}}))"#
    ));
}

/// All items of the endpoint, whoever wrote them: label, attributes, secret and its type. Without `xdg:schema`, which the
/// daemon adds of itself to some items and not to others, also where Python alone writes.
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

/// Starts GNOME Keyring, or unlocks it where it runs, as a desktop's login does.
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
fn each_finds_what_the_other_wrote_and_nothing_doubles() {
    in_session("each_finds_what_the_other_wrote_and_nothing_doubles", Keyring::Unlocked, async || {
        let store = open().await;
        assert_eq!(store.backend(), Backend::Keyring("Secret Service"));
        assert_eq!(found(&*store).await, None);

        // Written here, read there.
        store.save(&login("rust-1", "refresh-1")).await.unwrap();
        let json: serde_json::Value = serde_json::from_str(&python_reads()).unwrap();
        assert_eq!(json, serde_json::json!({"access_token": "rust-1", "refresh_token": "refresh-1"}));

        // Written there, read here: the newest counts, and our notes are not about it.
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

        // One item for the tokens, one for the notes, which hold no secret.
        let listed = items();
        assert_eq!(listed.len(), 2, "{listed:#?}");
        let notes = listed.iter().find(|item| item.contains("flyte-login")).unwrap();
        assert!(notes.contains("ada@example.com") && !notes.contains("_token\\\""), "{notes}");

        // Signing out here is signing out there, and the other way round.
        store.clear().await.unwrap();
        assert_eq!((python_reads().as_str(), items().len()), ("None", 0));
        store.clear().await.unwrap();
        python_writes("python-10", "None");
        python(&format!("import keyring; keyring.delete_password('{SERVICE}', 'tokens')"));
        assert_eq!(found(&*store).await, None);
    });
}

#[test]
fn the_item_is_exactly_as_python_writes_it() {
    in_session("the_item_is_exactly_as_python_writes_it", Keyring::Unlocked, async || {
        let store = open().await;
        python(&format!(
            r#"import keyring, json
keyring.set_password("{SERVICE}", "tokens", json.dumps({{"access_token": "a", "refresh_token": "r"}}, separators=(",", ":")))"#
        ));
        let theirs = items();
        assert_eq!(theirs.len(), 1);
        store.clear().await.unwrap();
        store.save(&Login { details: None, ..login("a", "r") }).await.unwrap();
        assert_eq!(items(), theirs);
    });
}

#[test]
fn another_tools_item_with_other_attributes_gives_way() {
    in_session("another_tools_item_with_other_attributes_gives_way", Keyring::Unlocked, async || {
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
fn an_entry_that_is_no_login_is_none() {
    in_session("an_entry_that_is_no_login_is_none", Keyring::Unlocked, async || {
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
fn a_locked_keyring_is_named_and_no_second_login_is_made() {
    in_session("a_locked_keyring_is_named_and_no_second_login_is_made", Keyring::Unlocked, async || {
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
            assert!(error.hint().unwrap().contains("--token-store file"), "{error:?}");
        }
        assert!(started.elapsed() < limit * 5, "{:?}", started.elapsed());
        // The encrypted file is not used beside it: the login would be in two places.
        assert!(!options(limit).data_dir.unwrap().exists());
        // Unlocked again, it is all there.
        unlock(&["--replace"]);
        answers().await;
        assert_eq!(found(&*open().await).await, Some(("rust".to_owned(), Some("r".to_owned()), true)));
    });
}

#[test]
fn without_a_secret_service_the_encrypted_file_is_used_and_moves_in_later() {
    in_session(
        "without_a_secret_service_the_encrypted_file_is_used_and_moves_in_later",
        Keyring::Absent,
        async || {
            let store = open().await;
            assert!(matches!(store.backend(), Backend::EncryptedFile(_)), "{:?}", store.backend());
            store.save(&login("in-the-file", "r")).await.unwrap();

            unlock(&[]);
            answers().await;
            let store = open().await;
            assert_eq!(store.backend(), Backend::Keyring("Secret Service"));
            let expected = Some(("in-the-file".to_owned(), Some("r".to_owned()), true));
            assert_eq!(found(&*store).await, expected);
            store.save(&login("renewed", "r2")).await.unwrap();
            let data_dir = options(Duration::ZERO).data_dir.unwrap();
            assert_eq!(std::fs::read_dir(data_dir).unwrap().count(), 0, "moved, not copied");
            assert!(python_reads().contains("renewed"));
        },
    );
}
