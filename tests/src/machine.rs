//! A user's machine: its own home directory, with or without a keyring, and a user at its browser.

use std::{
    ffi::OsStr,
    fs,
    io::{BufRead as _, BufReader, Write as _},
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{CommandOutput, Server, binary, eventually, guard, peer, repository, sign_in_elsewhere};

/// A machine with only our binaries.
#[derive(Debug)]
pub struct Machine {
    home: TempDir,
    session: Option<Session>,
}

/// A D-Bus session with a Secret Service in it.
#[derive(Debug)]
struct Session {
    bus: Child,
    keyring: Child,
    address: String,
}

/// What the user at the browser does, as a `BROWSER` command.
#[derive(Clone, Debug)]
pub enum Person {
    /// There is no browser.
    Absent,
    /// Signs in with the password in this file.
    SignsIn(PathBuf),
    /// Gets the password wrong first.
    MistypesFirst(PathBuf),
    /// Writes the URL to this file and does nothing else.
    Looks(PathBuf),
}

impl Person {
    /// The command that opens a URL as this user would, with `%s` for the URL.
    #[must_use]
    pub fn command(&self) -> Option<String> {
        let sign_in = repository().join("tests/peers/sign-in.py");
        Some(match self {
            Self::Absent => return None,
            Self::SignsIn(password) => format!("{} {} %s", sign_in.display(), password.display()),
            Self::MistypesFirst(password) => {
                format!("{} --mistype {} %s", sign_in.display(), password.display())
            }
            Self::Looks(file) => {
                format!("{} {} %s", repository().join("tests/peers/look.sh").display(), file.display())
            }
        })
    }
}

impl Machine {
    /// A machine without a keyring, for example a container.
    #[must_use]
    pub fn bare() -> Self {
        guard::start();
        let home = TempDir::new().unwrap();
        let run = home.path().join("run");
        fs::create_dir(&run).unwrap();
        fs::set_permissions(&run, fs::Permissions::from_mode(0o700)).unwrap();
        Self { home, session: None }
    }

    /// A machine with an unlocked gnome-keyring, for example a desktop.
    #[must_use]
    pub fn with_keyring() -> Self {
        let mut machine = Self::bare();
        machine.start_keyring();
        machine
    }

    /// Gives the machine an unlocked gnome-keyring.
    pub fn start_keyring(&mut self) {
        let mut bus = self
            .command("dbus-daemon")
            .args(["--session", "--nofork", "--print-address"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("dbus-daemon is missing: install Debian's dbus, or run `./test --setup`");
        let mut address = String::new();
        BufReader::new(bus.stdout.take().unwrap()).read_line(&mut address).unwrap();
        let address = address.trim().to_owned();
        let keyring = self.unlocked_keyring(&address);
        self.session = Some(Session { bus, keyring, address });
        self.wait_for_keyring();
    }

    fn unlocked_keyring(&self, address: &str) -> Child {
        let mut keyring = self
            .command("gnome-keyring-daemon")
            .env("DBUS_SESSION_BUS_ADDRESS", address)
            .args(["--unlock", "--foreground", "--components=secrets"])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("gnome-keyring-daemon is missing: install gnome-keyring, or run `./test --setup`");
        keyring.stdin.take().unwrap().write_all(b"password of the keyring").unwrap();
        keyring
    }

    fn wait_for_keyring(&self) {
        // A request before the keyring has its name on the bus would make the bus start another one, which is locked.
        eventually("the keyring is on the bus", || {
            let owned = CommandOutput::of(self.command("dbus-send").args([
                "--session",
                "--print-reply",
                "--dest=org.freedesktop.DBus",
                "/org/freedesktop/DBus",
                "org.freedesktop.DBus.NameHasOwner",
                "string:org.freedesktop.secrets",
            ]));
            owned.out.contains("boolean true").then_some(())
        });
        // The default collection is created at the first unlocking. An item shows that it exists.
        eventually("the keyring is there", || {
            let mut store = self
                .command("secret-tool")
                .args(["store", "--label=first", "first", "item"])
                .stdin(Stdio::piped())
                .stderr(Stdio::null())
                .spawn()
                .expect("secret-tool is missing: install libsecret-tools, or run `./test --setup`");
            store.stdin.take().unwrap().write_all(b"x").unwrap();
            store.wait().unwrap().success().then_some(())
        });
    }

    /// Its home directory.
    #[must_use]
    pub fn home(&self) -> &Path {
        self.home.path()
    }

    /// A command with only this machine's environment.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap())
            .env("HOME", self.home())
            .env("XDG_RUNTIME_DIR", self.home().join("run"))
            .env("LANG", "C.UTF-8")
            .env("NO_COLOR", "1")
            .current_dir(self.home())
            .stdin(Stdio::null());
        if let Some(session) = &self.session {
            command.env("DBUS_SESSION_BUS_ADDRESS", &session.address);
        }
        command
    }

    /// The same for a program that a user can interrupt at a terminal. A shell makes its background processes
    /// (`./test &`) ignore SIGINT, and child processes inherit that.
    fn interruptible(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.command("/usr/bin/env");
        command.arg("--default-signal=INT,QUIT").arg(program);
        command
    }

    /// The `flyte` command without a user at the browser.
    #[must_use]
    pub fn flyte(&self, arguments: &[&str]) -> Command {
        let mut command = self.interruptible(binary("flyte"));
        command.args(arguments);
        command
    }

    /// The `flyte` command with this user at the browser.
    #[must_use]
    pub fn flyte_with(&self, person: &Person, arguments: &[&str]) -> Command {
        let mut command = self.command_with(person, binary("flyte"));
        command.args(arguments);
        command
    }

    /// Any command with this user at the browser.
    #[must_use]
    pub fn command_with(&self, person: &Person, program: impl AsRef<OsStr>) -> Command {
        let mut command = self.interruptible(program);
        if let Some(browser) = person.command() {
            command.env("BROWSER", browser);
        }
        command
    }

    /// The published Python `flyte`, unmodified, with this user at the browser.
    #[must_use]
    pub fn published_flyte(&self, server: &Server, person: &Person, arguments: &[&str]) -> Command {
        let mut command = self.command(peer::python().with_file_name("flyte"));
        // Its RPC transport uses the CA of the configuration, its OAuth client that of the system.
        command.env("SSL_CERT_FILE", server.ca()).args(arguments);
        if let Some(browser) = person.command() {
            // Python waits for a browser in the foreground.
            command.env("BROWSER", format!("{browser} &"));
        }
        command
    }

    /// Runs `flyte create config` for a server.
    pub fn configure(&self, server: &Server) {
        let ca = server.ca();
        let output = CommandOutput::of(&mut self.flyte(&[
            "create",
            "config",
            "--endpoint",
            &server.url(""),
            "--ca-cert-file",
            ca.to_str().unwrap(),
            "--project",
            "flytesnacks",
            "--domain",
            "development",
        ]));
        let _ = output.ok();
    }

    /// Configures the machine for a server and signs in there, in Chromium.
    pub fn sign_in(&self, server: &Server) {
        self.configure(server);
        let person = Person::SignsIn(server.password_file());
        let _ = CommandOutput::of(&mut self.flyte_with(&person, &["auth", "login"])).ok();
    }

    /// The same without Chromium, for tests about other things: fills in the forms over HTTP. Configures
    /// the machine if needed.
    pub fn sign_in_by_forms(&self, server: &Server) {
        if !self.config().exists() {
            self.configure(server);
        }
        let _ = self.sign_in_by(server, &["auth", "login"]).ok();
    }

    /// Runs a `flyte` command that opens a browser, and signs in with the forms. Returns the command's output.
    #[must_use]
    pub fn sign_in_by(&self, server: &Server, arguments: &[&str]) -> CommandOutput {
        let seen = self.home().join("authorization-url");
        let login = self
            .flyte_with(&Person::Looks(seen.clone()), arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let url = eventually("the browser is opened", || fs::read_to_string(&seen).ok());
        let callback = sign_in_elsewhere(server, &url);
        let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        let page = http.get(callback).send().unwrap();
        assert!(page.status().is_success(), "{page:?}");
        fs::remove_file(seen).unwrap();
        CommandOutput::from(login.wait_with_output().unwrap())
    }

    /// The configuration file that [`Machine::configure`] wrote.
    #[must_use]
    pub fn config(&self) -> PathBuf {
        self.home().join(".flyte/config.yaml")
    }

    /// The number of items in the keyring for a user name and an endpoint.
    #[must_use]
    pub fn keyring_items(&self, endpoint: &str, user: &str) -> usize {
        let output = CommandOutput::of(
            self.command("secret-tool").args(["search", "--all", "service", endpoint, "username", user]),
        );
        output.out.lines().filter(|line| line.starts_with("secret = ")).count()
    }

    /// The secret of the keyring's item for a user name and an endpoint.
    #[must_use]
    pub fn keyring_secret(&self, endpoint: &str, user: &str) -> Option<String> {
        let output = CommandOutput::of(
            self.command("secret-tool").args(["lookup", "service", endpoint, "username", user]),
        );
        (output.code == Some(0)).then_some(output.out)
    }

    /// Locks the keyring.
    pub fn lock_keyring(&self) {
        let _ = CommandOutput::of(self.command("dbus-send").args([
            "--session",
            "--print-reply",
            "--dest=org.freedesktop.secrets",
            "/org/freedesktop/secrets",
            "org.freedesktop.Secret.Service.Lock",
            "array:objpath:/org/freedesktop/secrets/collection/login",
        ]))
        .ok();
        let output = CommandOutput::of(self.command("secret-tool").args(["lookup", "first", "item"]));
        assert_ne!(output.out, "x", "the keyring is still unlocked");
    }

    /// Sends a signal to the keyring. A stopped one (`STOP`) accepts calls and never answers.
    pub fn signal_keyring(&self, name: &str) {
        let keyring = self.session.as_ref().unwrap().keyring.id().to_string();
        assert!(Command::new("kill").args(["-s", name, &keyring]).status().unwrap().success());
    }

    /// Unlocks the keyring with these shell lines, which read the password, like a user without a desktop.
    pub fn unlock_keyring_by(&mut self, lines: &str) {
        let mut shell = self
            .command("bash")
            .args(["-c", lines])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        shell.stdin.take().unwrap().write_all(b"password of the keyring\n").unwrap();
        assert!(shell.wait().unwrap().success());
        // The new daemon, which ends with the bus, replaces the old one.
        let session = self.session.as_mut().unwrap();
        eventually("the locked keyring has ended", || session.keyring.try_wait().unwrap());
        self.wait_for_keyring();
    }

    /// Unlocks the keyring with a new daemon, as a desktop login does.
    pub fn unlock_keyring(&mut self) {
        let session = self.session.as_mut().unwrap();
        session.keyring.kill().unwrap();
        session.keyring.wait().unwrap();
        let address = session.address.clone();
        let keyring = self.unlocked_keyring(&address);
        self.session.as_mut().unwrap().keyring = keyring;
        self.wait_for_keyring();
    }

    /// Waits until the stored access token has expired, for servers with short-lived tokens.
    pub fn wait_until_expired(&self) {
        eventually("the access token is expired", || {
            let output =
                CommandOutput::of(&mut self.flyte(&["-o", "json", "auth", "status", "--offline"])).ok();
            let status: serde_json::Value = serde_json::from_str(&output.out).unwrap();
            (status["expired"] == true).then_some(())
        });
    }
}

impl Drop for Machine {
    fn drop(&mut self) {
        if std::thread::panicking()
            && let Ok(seen) = fs::read_to_string(self.home().join("browser.log"))
        {
            #[allow(clippy::print_stderr, reason = "the test has failed: show what the user saw")]
            {
                eprintln!("the browser's log:\n{seen}");
            }
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        for process in [&mut self.keyring, &mut self.bus] {
            let _ = process.kill();
            let _ = process.wait();
        }
    }
}
