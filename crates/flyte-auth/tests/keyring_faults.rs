//! The token store with a keyring that is missing, locked, silent or broken, or that has several items. `secret_service.rs` tests
//! the store with a working keyring.
//!
//! Each test has a separate D-Bus session. The store depends on the environment of its process, so the tests start this test
//! program again in that session: see [`in_the_session`].
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use flyte_auth::store::{self, Login, StoreError, StoreOptions};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tempfile::TempDir;

const SERVICE: &str = "flyte.example:8443";
const PASSWORD: &[u8] = b"password of the keyring";

/// A bus that does not start the services that are installed on this machine.
const BUS: &str = r#"<busconfig>
  <type>session</type>
  <listen>unix:dir=RUN</listen>
  <servicedir>RUN/dbus-1/services</servicedir>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/>
    <allow eavesdrop="true"/>
    <allow own="*"/>
  </policy>
</busconfig>"#;

/// The Python program that runs in the session.
const PYTHON: &str = r#"
import json, sys, time
import keyring, secretstorage
import jeepney
from jeepney.io.blocking import open_dbus_connection

job, *rest = sys.argv[1:]
if job == "get":
    print(json.dumps(keyring.get_password(*rest)))
elif job == "items":
    collection = secretstorage.get_default_collection(secretstorage.dbus_init())
    print(len(list(collection.search_items({"service": rest[0], "username": rest[1]}))))
elif job == "lock":
    secretstorage.get_default_collection(secretstorage.dbus_init()).lock()
elif job == "own":
    bus = open_dbus_connection()
    bus.send_and_get_reply(jeepney.message_bus.RequestName(rest[0]))
    print("owned", flush=True)
    while rest[1] == "fails":
        call = bus.receive()
        if call.header.message_type == jeepney.MessageType.method_call:
            bus.send(jeepney.new_error(call, "org.freedesktop.DBus.Error.Failed", "s", ("out of order",)))
    time.sleep(60)
"#;

/// Processes that are killed at the end of the test.
#[derive(Default)]
struct Processes(Vec<Child>);

impl Drop for Processes {
    fn drop(&mut self) {
        for process in &mut self.0 {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}

/// A home directory, optionally with a bus and a keyring.
struct Desktop {
    processes: Processes,
    address: Option<String>,
    home: TempDir,
}

impl Desktop {
    /// A machine without a bus.
    fn bare() -> Self {
        let home = TempDir::new().unwrap();
        let run = home.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
        Self { processes: Processes::default(), address: None, home }
    }

    /// A machine with a bus without services.
    fn with_bus() -> Self {
        let mut desktop = Self::bare();
        desktop.start_bus();
        desktop
    }

    /// A machine with an unlocked, empty keyring.
    fn with_keyring() -> Self {
        let mut desktop = Self::with_bus();
        desktop.start_keyring(Some(PASSWORD));
        desktop
    }

    fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", env::var_os("PATH").unwrap())
            .env("HOME", self.home.path())
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("XDG_DATA_HOME", self.path("share"))
            .env("LANG", "C.UTF-8")
            .env("PYTHON_KEYRING_BACKEND", "keyring.backends.SecretService.Keyring")
            .stdin(Stdio::null());
        if let Some(address) = &self.address {
            command.env("DBUS_SESSION_BUS_ADDRESS", address);
        }
        command
    }

    fn start_bus(&mut self) {
        let configuration = self.path("bus.conf");
        fs::write(&configuration, BUS.replace("RUN", self.path("run").to_str().unwrap())).unwrap();
        let mut bus = self
            .command("dbus-daemon")
            .args(["--nofork", "--print-address", "--config-file"])
            .arg(configuration)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is missing: run `./test --setup`, or install Debian's package dbus");
        let output = bus.stdout.take().unwrap();
        self.processes.0.push(bus);
        let mut address = String::new();
        BufReader::new(output).read_line(&mut address).unwrap();
        assert!(!address.is_empty(), "dbus-daemon did not start");
        self.address = Some(address.trim().to_owned());
    }

    /// Starts gnome-keyring. With a password, it has a collection that the password unlocks.
    fn start_keyring(&mut self, password: Option<&[u8]>) {
        let mut command = self.command("gnome-keyring-daemon");
        command.args(["--foreground", "--components=secrets"]);
        if password.is_some() {
            command.arg("--unlock");
        }
        let mut keyring =
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect(
                "gnome-keyring-daemon is missing: run `./test --setup`, or install Debian's package gnome-keyring",
            );
        keyring.stdin.take().unwrap().write_all(password.unwrap_or_default()).unwrap();
        self.processes.0.push(keyring);
        let until = Instant::now() + Duration::from_secs(20);
        while !self.is_owned("org.freedesktop.secrets") {
            assert!(Instant::now() < until, "gnome-keyring did not start");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn is_owned(&self, name: &str) -> bool {
        let answer = self
            .command("dbus-send")
            .args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"])
            .args(["org.freedesktop.DBus.NameHasOwner", &format!("string:{name}")])
            .output()
            .expect("dbus-send is missing: run `./test --setup`, or install Debian's package dbus");
        String::from_utf8_lossy(&answer.stdout).contains("boolean true")
    }

    fn python_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(python());
        command.args(["-c", PYTHON]).args(arguments);
        command
    }

    fn python(&self, arguments: &[&str]) -> String {
        let output = self.python_command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Reads the entry of a user name with Python.
    fn python_finds(&self, user: &str) -> Option<String> {
        serde_json::from_str(&self.python(&["get", SERVICE, user])).unwrap()
    }

    /// The number of items of a user name.
    fn items(&self, user: &str) -> usize {
        self.python(&["items", SERVICE, user]).trim().parse().unwrap()
    }

    /// Starts a process that owns a name on the bus. If `how` is `"fails"`, it answers each call with an error; if `"silent"`, it
    /// does not answer.
    fn occupy(&mut self, name: &str, how: &str) {
        let mut process = self.python_command(&["own", name, how]).stdout(Stdio::piped()).spawn().unwrap();
        let output = process.stdout.take().unwrap();
        self.processes.0.push(process);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "owned");
    }

    /// Runs a job of the token store in the session.
    fn run_job(&self, job: Value) -> Value {
        let answer = self.path("answer.json");
        let _ = fs::remove_file(&answer);
        let output = self
            .command(env::current_exe().unwrap())
            .args(["--ignored", "--exact", "in_the_session"])
            .env("FLYTE_TEST_JOB", job.to_string())
            .env("FLYTE_TEST_ANSWER", &answer)
            .env("FLYTE_TEST_HOME", self.home.path())
            .output()
            .unwrap();
        assert!(output.status.success(), "{job}: {output:?}");
        serde_json::from_slice(&fs::read(answer).unwrap()).unwrap()
    }

    fn load(&self) -> Value {
        self.run_job(json!({"do": "load"}))
    }

    fn save(&self, access: &str) -> Value {
        self.run_job(json!({"do": "save", "access": access, "refresh": "our refresh token"}))
    }

    /// The number of encrypted files.
    fn files(&self) -> usize {
        fs::read_dir(self.path("data")).map_or(0, Iterator::count)
    }
}

/// The Python interpreter that has the package `keyring`.
fn python() -> PathBuf {
    let python = env::var_os("FLYTE_TEST_PYTHON").map_or_else(
        || Path::new(env!("CARGO_TARGET_TMPDIR")).parent().unwrap().join("peers/venv/bin/python"),
        PathBuf::from,
    );
    assert!(
        python.exists(),
        "{} is missing: run `./test --setup`, or have FLYTE_TEST_PYTHON name a Python interpreter that has \
         tests/peers/requirements.txt installed",
        python.display()
    );
    python
}

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
