//! A machine with a bus and a keyring, or without.

use std::{
    env, fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::SERVICE;

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
pub(super) struct Desktop {
    processes: Processes,
    /// The address of the bus, for clients.
    pub(super) address: Option<String>,
    home: TempDir,
}

impl Desktop {
    /// A machine without a bus.
    pub(super) fn bare() -> Self {
        let home = TempDir::new().unwrap();
        let run = home.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
        Self { processes: Processes::default(), address: None, home }
    }

    /// A machine with a bus without services.
    pub(super) fn with_bus() -> Self {
        let mut desktop = Self::bare();
        desktop.start_bus();
        desktop
    }

    /// A machine with an unlocked, empty keyring.
    pub(super) fn with_keyring() -> Self {
        let mut desktop = Self::with_bus();
        desktop.start_keyring(Some(PASSWORD));
        desktop
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.home.path().join(name)
    }

    pub(super) fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
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

    pub(super) fn start_bus(&mut self) {
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
    pub(super) fn start_keyring(&mut self, password: Option<&[u8]>) {
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

    pub(super) fn is_owned(&self, name: &str) -> bool {
        let answer = self
            .command("dbus-send")
            .args(["--session", "--print-reply", "--dest=org.freedesktop.DBus", "/"])
            .args(["org.freedesktop.DBus.NameHasOwner", &format!("string:{name}")])
            .output()
            .expect("dbus-send is missing: run `./test --setup`, or install Debian's package dbus");
        String::from_utf8_lossy(&answer.stdout).contains("boolean true")
    }

    pub(super) fn python_command(&self, arguments: &[&str]) -> Command {
        let mut command = self.command(python());
        command.args(["-c", PYTHON]).args(arguments);
        command
    }

    pub(super) fn python(&self, arguments: &[&str]) -> String {
        let output = self.python_command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Reads the entry of a user name with Python.
    pub(super) fn python_finds(&self, user: &str) -> Option<String> {
        serde_json::from_str(&self.python(&["get", SERVICE, user])).unwrap()
    }

    /// The number of items of a user name.
    pub(super) fn items(&self, user: &str) -> usize {
        self.python(&["items", SERVICE, user]).trim().parse().unwrap()
    }

    /// Starts a process that owns a name on the bus. If `how` is `"fails"`, it answers each call with an error; if `"silent"`, it
    /// does not answer.
    pub(super) fn occupy(&mut self, name: &str, how: &str) {
        let mut process = self.python_command(&["own", name, how]).stdout(Stdio::piped()).spawn().unwrap();
        let output = process.stdout.take().unwrap();
        self.processes.0.push(process);
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line).unwrap();
        assert_eq!(line.trim(), "owned");
    }

    /// Runs a job of the token store in the session.
    pub(super) fn run_job(&self, job: Value) -> Value {
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

    pub(super) fn load(&self) -> Value {
        self.run_job(json!({"do": "load"}))
    }

    pub(super) fn save(&self, access: &str) -> Value {
        self.run_job(json!({"do": "save", "access": access, "refresh": "our refresh token"}))
    }

    /// The number of encrypted files.
    pub(super) fn files(&self) -> usize {
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
