//! Machines without a place for files: without a home directory, with a read-only one, or with a full disk. A missing
//! cache or lock ends no command, and nothing is written to the working directory instead.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _},
    os::unix::fs::{MetadataExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
};

use base64::{Engine as _, prelude::BASE64_STANDARD};
use flyte_e2e::{Ci, CommandOutput, Machine, Server, binary, files, sign_in_elsewhere};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A user ID without an account, which owns nothing.
const UNKNOWN_USER: &str = "54321";

/// A place to run in.
struct Place {
    name: &'static str,
    /// What starts a command there.
    by: Vec<String>,
    variables: Vec<(&'static str, PathBuf)>,
    directory: TempDir,
}

impl Place {
    fn new(name: &'static str, by: &[&str], variables: &[(&'static str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let at = |path: &Path, mode| fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
        at(directory.path(), 0o755);
        for (home, mode) in [("work", 0o777), ("home", 0o777), ("read-only", 0o555)] {
            fs::create_dir(directory.path().join(home)).unwrap();
            at(&directory.path().join(home), mode);
        }
        fs::create_dir_all(directory.path().join("file/.local/share")).unwrap();
        fs::write(directory.path().join("file/.local/state"), "a file").unwrap();
        fs::write(directory.path().join("file/.local/share/flyte"), "a file").unwrap();
        // Relative ones are below the directory.
        let variables = variables.iter().map(|(name, value)| (*name, directory.path().join(value))).collect();
        Self { name, by: by.iter().map(|&word| word.to_owned()).collect(), variables, directory }
    }

    /// All kinds of places.
    fn all() -> Vec<Self> {
        let unprivileged: Vec<_> = match fs::metadata("/proc/self").unwrap().uid() {
            // Root can write anywhere.
            0 => ["setpriv", "--reuid", UNKNOWN_USER, "--regid", UNKNOWN_USER, "--clear-groups"].to_vec(),
            _ => Vec::new(),
        };
        let no_room = ["sh", "-c", "ulimit -f 0; exec \"$0\" \"$@\""];
        vec![
            // As `unshare` and containers with an arbitrary user have it.
            Self::new("no HOME and no such user", &unprivileged, &[]),
            Self::new("HOME=/", &unprivileged, &[("HOME", "/")]),
            Self::new("HOME below a file", &[], &[("HOME", "/dev/null")]),
            Self::new("a read-only home", &unprivileged, &[("HOME", "read-only")]),
            Self::new("a file where the directories should be", &[], &[("HOME", "file")]),
            Self::new(
                "XDG directories that cannot be",
                &[],
                &[("HOME", "home"), ("XDG_STATE_HOME", "/proc/state"), ("XDG_DATA_HOME", "/proc/data")],
            ),
            Self::new("a full disk", &no_room, &[("HOME", "home")]),
        ]
    }

    /// `flyte` in this place, from a directory that every user can write to.
    fn flyte(&self, flyte: &Path, arguments: &[&str]) -> Command {
        let mut words = self.by.iter().map(String::as_str).chain([flyte.to_str().unwrap()]);
        let mut command = Command::new(words.next().unwrap());
        command.args(words).args(arguments);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap()).env("NO_COLOR", "1");
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command.current_dir(self.directory.path().join("work")).stdin(Stdio::null());
        command
    }

    /// Asserts that nothing was written to the working directory.
    fn assert_clean(&self) {
        let left = fs::read_dir(self.directory.path().join("work")).unwrap().count();
        assert_eq!(left, 0, "{}: something is left in the working directory", self.name);
    }
}

/// Files that every user can read: the command, and the certificate authority of a server.
struct Shared {
    directory: TempDir,
}

impl Shared {
    fn new(server: &Server) -> Self {
        let directory = TempDir::new().unwrap();
        let shared = Self { directory };
        fs::set_permissions(shared.directory.path(), fs::Permissions::from_mode(0o755)).unwrap();
        fs::copy(server.ca(), shared.path("ca.pem")).unwrap();
        fs::copy(binary("flyte"), shared.path("flyte")).unwrap();
        for name in ["ca.pem", "flyte"] {
            fs::set_permissions(shared.path(name), fs::Permissions::from_mode(0o755)).unwrap();
        }
        shared
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }
}

/// The kinds of a machine's credentials, with their variables.
fn machines(
    server: &Server,
    ci: &Ci,
    key: &str,
    token: &str,
) -> Vec<(&'static str, Vec<(&'static str, String)>)> {
    let decoded = String::from_utf8(BASE64_STANDARD.decode(key).unwrap()).unwrap();
    let parts: Vec<_> = decoded.split(':').collect();
    let [client, secret, _] = parts[parts.len() - 3..] else { panic!("{decoded}") };
    let own = ci.token(&server.url(""), json!({}));
    let endpoint = ("FLYTE_ADMIN_ENDPOINT", server.url(""));
    vec![
        ("an API key", vec![("FLYTE_API_KEY", key.to_owned())]),
        (
            "ClientSecret",
            vec![
                endpoint.clone(),
                ("FLYTE_ADMIN_CLIENTID", client.to_owned()),
                ("FLYTE_ADMIN_CLIENTSECRETENVVAR", "MY_SECRET".to_owned()),
                ("MY_SECRET", secret.to_owned()),
            ],
        ),
        (
            "ExternalCommand",
            vec![
                endpoint.clone(),
                ("FLYTE_AUTH_TYPE", "ExternalCommand".to_owned()),
                ("FLYTE_ADMIN_COMMAND", format!("printf %s {token}")),
            ],
        ),
        (
            "TokenExchange",
            vec![
                endpoint.clone(),
                ("FLYTE_AUTH_TYPE", "TokenExchange".to_owned()),
                ("FLYTE_ID_TOKEN", own.clone()),
            ],
        ),
        ("a CI job's own token", vec![endpoint, ("FLYTE_ID_TOKEN", own), ("CI", "true".to_owned())]),
    ]
}

#[test]
fn machine_credentials_need_no_writable_directory() {
    let (server, ci, admin) = (Server::start(), Ci::start(), Machine::bare());
    admin.sign_in_by_forms(&server);
    let key = CommandOutput::of(&mut admin.flyte(&["create", "api-key", "batch"])).ok().out.trim().to_owned();
    let trust = ["create", "trust", "ci", "--issuer", ci.issuer(), "--claim", "repository=acme/app"];
    let _ = CommandOutput::of(&mut admin.flyte(&trust)).ok();
    let token = CommandOutput::of(&mut admin.flyte(&["auth", "token"])).ok().out.trim().to_owned();
    let (shared, machines) = (Shared::new(&server), machines(&server, &ci, &key, &token));
    thread::scope(|scope| {
        for place in Place::all() {
            let (shared, machines) = (&shared, &machines);
            scope.spawn(move || {
                for (machine, variables) in machines {
                    for arguments in [&["get", "project"][..], &["auth", "token"]] {
                        let mut command = place.flyte(&shared.path("flyte"), arguments);
                        command.envs(variables.iter().map(|(name, value)| (name, value)));
                        let output = CommandOutput::of(
                            command.env("FLYTE_ADMIN_CACERTFILEPATH", shared.path("ca.pem")),
                        );
                        let what = format!("{}, {machine}, {arguments:?}: {output:?}", place.name);
                        assert_eq!(output.code, Some(0), "{what}");
                        assert_eq!(output.err, "", "a false alarm: {what}");
                        let expected = if arguments[0] == "get" { "flytesnacks" } else { "eyJ" };
                        assert!(output.out.contains(expected), "{what}");
                    }
                }
                place.assert_clean();
            });
        }
    });
}

#[test]
fn login_in_memory_is_announced_once() {
    let server = Server::start();
    let shared = Shared::new(&server);
    for place in Place::all() {
        let flyte = |arguments: &[&str]| {
            let mut command = place.flyte(&shared.path("flyte"), arguments);
            command.env("FLYTE_ADMIN_ENDPOINT", server.url(""));
            command.env("FLYTE_ADMIN_CACERTFILEPATH", shared.path("ca.pem"));
            command
        };
        let mut login = flyte(&["--auth-type", "pkce", "auth", "login"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut said = String::new();
        let mut reader = BufReader::new(login.stderr.take().unwrap());
        let link = loop {
            let mut line = String::new();
            assert_ne!(reader.read_line(&mut line).unwrap(), 0, "{}: {said}", place.name);
            said.push_str(&line);
            if line.starts_with("https://") {
                break line.trim().to_owned();
            }
        };
        let callback = sign_in_elsewhere(&server, &link);
        let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        assert!(http.get(callback).send().unwrap().status().is_success());
        reader.read_to_string(&mut said).unwrap();
        let output = CommandOutput::from(login.wait_with_output().unwrap());
        assert_eq!(output.code, Some(0), "{}: {said} {output:?}", place.name);
        assert!(output.out.contains("as admin@localhost"), "{}: {output:?}", place.name);
        let words = "This login is kept in memory and ends with this command: there is no keyring";
        assert_eq!(said.matches(words).count(), 1, "{}: {said}", place.name);
        assert_eq!(said.matches("WARN").count(), 0, "{}: {said}", place.name);

        // The login ended with the command, and the status says so.
        let status = CommandOutput::of(&mut flyte(&["-o", "json", "auth", "status"])).failed(4);
        let status: Value = serde_json::from_str(&status.out).unwrap();
        assert_eq!(status["signed_in"], false, "{}", place.name);
        place.assert_clean();
        let kept = files(place.directory.path());
        assert!(
            !kept.iter().any(|(path, _)| path.extension().is_some_and(|kind| kind == "tokens")),
            "{}: {kept:?}",
            place.name
        );
    }
}
