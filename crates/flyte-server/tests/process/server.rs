//! A running flyte-server, and the requests that the tests send.

use std::{
    fs,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{SocketAddr, TcpStream},
    path::Path,
    process::{Child, Command, ExitStatus, Output, Stdio},
    sync::mpsc,
    thread,
    time::Duration,
};

use url::form_urlencoded;

/// Longer than any step takes, also on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// The command with this data directory, without the environment of this process.
pub(crate) fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_flyte-server"));
    command.env_clear().env("HOME", "/nonexistent").env("FLYTE_SERVER_RUNNER_ALLOW_ROOT", "true");
    command.arg("--data-dir").arg(data).args(arguments);
    command
}

/// Runs a command until it ends.
pub(crate) fn output(data: &Path, arguments: &[&str]) -> Output {
    command(data, arguments).stdin(Stdio::null()).output().unwrap()
}

/// Returns its standard error.
pub(crate) fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A process that is killed when the test ends, and its output lines.
pub(crate) struct Server {
    pub(crate) process: Child,
    pub(crate) address: SocketAddr,
    lines: mpsc::Receiver<String>,
    /// Its output before it was ready and, after it has ended, the rest.
    pub(crate) greeting: String,
    password: Option<String>,
}

impl Server {
    /// Starts it on a free port, without TLS by default, and waits until it is ready.
    pub(crate) fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut all = vec!["--listen", "127.0.0.1:0"];
        if !arguments.contains(&"--tls") {
            all.extend(["--tls", "off"]);
        }
        all.extend(arguments);
        Self::serving(data, spawn(data, &all))
    }

    /// Starts it with a limit of open files.
    pub(crate) fn start_with_open_files(data: &Path, arguments: &[&str], most: u32) -> Self {
        let mut command = Command::new("sh");
        command.args([
            "-c",
            &format!("ulimit -n {most}; exec \"$0\" \"$@\""),
            env!("CARGO_BIN_EXE_flyte-server"),
        ]);
        command.args(["--log-format", "json", "--tls", "off", "--listen", "127.0.0.1:0", "--data-dir"]);
        command.arg(data).args(arguments).env("HOME", "/nonexistent");
        Self::serving(data, spawn_command(command.env("FLYTE_SERVER_RUNNER_ALLOW_ROOT", "true")))
    }

    fn serving(data: &Path, (process, lines): (Child, mpsc::Receiver<String>)) -> Self {
        let mut server = Self {
            process,
            address: ([127, 0, 0, 1], 0).into(),
            lines,
            greeting: String::new(),
            password: None,
        };
        let serving = server.wait_for("\"serving\"");
        let (_, address) = serving.split_once("\"listen\":\"").unwrap();
        server.address = address.split('"').next().unwrap().parse().unwrap();
        server.password = password(data);
        server
    }

    /// Waits for the next line with this text; earlier lines are kept in `greeting`.
    pub(crate) fn wait_for(&mut self, text: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line with {text} after {}", self.greeting));
            if line.contains(text) {
                return line;
            }
            self.greeting += &line;
            self.greeting.push('\n');
        }
    }

    /// The administrator's first password, if its file exists.
    pub(crate) fn password(&self) -> Option<String> {
        self.password.clone()
    }

    pub(crate) fn signal(&self, name: &str) {
        let process = self.process.id().to_string();
        assert!(Command::new("kill").args([&format!("-{name}"), &process]).status().unwrap().success());
    }

    /// Waits for its end without a kill.
    pub(crate) fn wait(&mut self) -> ExitStatus {
        // Its standard error ends together with it.
        while let Ok(line) = self.lines.recv_timeout(PATIENCE) {
            self.greeting += &line;
        }
        self.process.wait().unwrap()
    }

    pub(crate) fn stop(mut self) {
        self.signal("TERM");
        assert!(self.wait().success());
    }

    pub(crate) fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    /// Sends a request with this body and returns head and body of the response.
    pub(crate) fn request(&self, line: &str, headers: &[String], body: &str) -> (String, String) {
        let mut stream = self.connect();
        let headers: String = headers.iter().map(|header| format!("{header}\r\n")).collect();
        write!(
            stream,
            "{line} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        let (head, body) = response.split_once("\r\n\r\n").unwrap();
        (head.to_owned(), body.to_owned())
    }

    /// Whether the sign-in page accepts the password.
    pub(crate) fn signs_in(&self, email: &str, password: &str) -> bool {
        let (head, page) = self.request("GET /login", &[], "");
        let cookie = header(&head, "set-cookie").expect("a cookie").split(';').next().unwrap();
        let (_, csrf) = page.split_once("name=\"csrf\" value=\"").expect("a form");
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("csrf", csrf.split('"').next().unwrap())
            .append_pair("return_to", "")
            .append_pair("email", email)
            .append_pair("password", password)
            .finish();
        let headers =
            [format!("cookie: {cookie}"), "content-type: application/x-www-form-urlencoded".to_owned()];
        let (head, page) = self.request("POST /login", &headers, &form);
        let signed_in = head.starts_with("HTTP/1.1 303");
        assert_eq!(signed_in, head.contains("__Host-flyte_session="), "{head}\n{page}");
        assert!(signed_in || page.contains("password"), "{head}\n{page}");
        signed_in
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Starts the command; its standard error arrives line by line.
pub(crate) fn spawn(data: &Path, arguments: &[&str]) -> (Child, mpsc::Receiver<String>) {
    spawn_command(&mut command(data, &[arguments, &["--log-format", "json"]].concat()))
}

fn spawn_command(command: &mut Command) -> (Child, mpsc::Receiver<String>) {
    let mut process =
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
    let stderr = BufReader::new(process.stderr.take().unwrap());
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        for line in stderr.lines().map_while(Result::ok) {
            // The receiver may be gone; the pipe must be read anyway.
            let _ = sender.send(line);
        }
    });
    (process, lines)
}

/// The administrator's first password in the data directory.
pub(crate) fn password(data: &Path) -> Option<String> {
    let text = fs::read_to_string(data.join("first-admin-password")).ok()?;
    text.lines().next().map(str::to_owned)
}

pub(crate) fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(": ")?;
        found.eq_ignore_ascii_case(name).then_some(value)
    })
}
