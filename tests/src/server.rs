//! A running `flyte-server`.

use std::{
    fs::{self, File},
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{Certificate, PASSWORD, binary, eventually, free_port, guard};

/// A server with its own data directory; killed when dropped.
#[derive(Debug)]
pub struct Server {
    directory: TempDir,
    port: u16,
    callback_port: u16,
    arguments: Vec<String>,
    process: Child,
    proxy: Option<Proxy>,
}

/// A proxy in front of the server.
#[derive(Debug)]
struct Proxy {
    process: Child,
    port: u16,
    /// The authority of the certificate that it shows.
    ca: PathBuf,
}

impl Server {
    /// A server with the default settings.
    #[must_use]
    pub fn start() -> Self {
        Self::with(&[])
    }

    /// A server with further arguments.
    #[must_use]
    pub fn with(arguments: &[&str]) -> Self {
        guard::start();
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("password"), PASSWORD).unwrap();
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (port, callback_port) = (free_port(), free_port());
        let process = spawn(&directory, port, callback_port, &arguments);
        let server = Self { directory, port, callback_port, arguments, process, proxy: None };
        server.wait_until_ready();
        server
    }

    /// Starts a server without TLS behind a proxy, which all requests pass. The proxy is started with its port and the
    /// server's, and shows `certificate`.
    #[must_use]
    pub fn behind(certificate: &Certificate, start_proxy: impl FnOnce(u16, u16) -> Child) -> Self {
        guard::start();
        let directory = TempDir::new().unwrap();
        fs::write(directory.path().join("password"), PASSWORD).unwrap();
        let (port, public, callback_port) = (free_port(), free_port(), free_port());
        let public_url = format!("https://localhost:{public}");
        let arguments = ["--public-url", &public_url, "--tls", "off", "--trusted-proxy", "127.0.0.1"];
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let process = spawn(&directory, port, callback_port, &arguments);
        let proxy = Some(Proxy { process: start_proxy(public, port), port: public, ca: certificate.ca() });
        let server = Self { directory, port, callback_port, arguments, process, proxy };
        server.wait_until_ready();
        server
    }

    fn wait_until_ready(&self) {
        let http = self.http();
        eventually("the server is ready", || {
            http.get(self.url("/readyz")).send().ok().filter(|answer| answer.status().is_success())
        });
    }

    /// Its endpoint, `localhost:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("localhost:{}", self.port())
    }

    /// The URL of a path on it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://localhost:{}{path}", self.port())
    }

    /// The port that clients connect to.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.proxy.as_ref().map_or(self.port, |proxy| proxy.port)
    }

    /// The port of the callback that it announces to clients.
    #[must_use]
    pub fn callback_port(&self) -> u16 {
        self.callback_port
    }

    /// Its data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.directory.path().join("data")
    }

    /// Its certificate and key in one file, for a server that replaces it.
    #[must_use]
    pub fn pem(&self) -> PathBuf {
        self.directory.path().join("data/tls/server.pem")
    }

    /// The certificate of its authority.
    #[must_use]
    pub fn ca(&self) -> PathBuf {
        match &self.proxy {
            Some(proxy) => proxy.ca.clone(),
            None => self.directory.path().join("data/ca.pem"),
        }
    }

    /// The file with the administrator's password.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.directory.path().join("password")
    }

    /// What it has logged so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The number of log lines that contain all of `words`.
    #[must_use]
    pub fn logged(&self, words: &[&str]) -> usize {
        self.log().lines().filter(|line| words.iter().all(|word| line.contains(word))).count()
    }

    /// An HTTP client that trusts it.
    #[must_use]
    pub fn http(&self) -> reqwest::blocking::Client {
        let ca = eventually("the server has its certificate", || fs::read(self.ca()).ok());
        reqwest::blocking::Client::builder()
            .tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()])
            .redirect(reqwest::redirect::Policy::none())
            .no_proxy()
            .build()
            .unwrap()
    }

    /// The home page of a user, who signs in with the form.
    #[must_use]
    pub fn home_of(&self, email: &str, password: &str) -> String {
        let mut forms = Forms::new(self);
        let _ = forms.sign_in("/login", email, password);
        forms.get(&self.url("/")).text().unwrap()
    }

    /// A server command on the same data directory.
    #[must_use]
    pub fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(binary("flyte-server"));
        command.arg("--data-dir").arg(self.directory.path().join("data")).args(arguments);
        command.stdin(Stdio::null());
        command
    }

    /// Its process.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.id()
    }

    /// Sends a signal, for example `TERM`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args(["-s", name, &self.pid().to_string()]).status().unwrap();
        assert!(status.success());
    }

    /// Waits for it to end by itself; its exit code.
    pub fn wait(&mut self) -> Option<i32> {
        eventually("the server has stopped", || self.process.try_wait().unwrap()).code()
    }

    /// Starts it again on the same data, after it has ended.
    pub fn start_again(&mut self) {
        self.process = spawn(&self.directory, self.port, self.callback_port, &self.arguments);
        self.wait_until_ready();
    }

    /// Stops it and starts it on the same data with other arguments.
    pub fn restart_with(&mut self, arguments: &[&str]) {
        self.signal("TERM");
        assert_eq!(self.wait(), Some(0));
        self.arguments = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        self.start_again();
    }

    /// Kills it at once (SIGKILL) and starts it again.
    pub fn crash(&mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
        self.start_again();
    }
}

fn spawn(directory: &TempDir, port: u16, callback_port: u16, arguments: &[String]) -> Child {
    let log = File::options().create(true).append(true).open(directory.path().join("log")).unwrap();
    Command::new(binary("flyte-server"))
        .arg("--data-dir")
        .arg(directory.path().join("data"))
        .args(["--listen", &format!("127.0.0.1:{port}"), "--admin-password-file"])
        .arg(directory.path().join("password"))
        .args(["--log", "flyte=debug"])
        // The tests may run as root.
        .env("FLYTE_SERVER_RUNNER_ALLOW_ROOT", "true")
        // A separate port for each server, because the published client requires the port that the server names.
        .env("FLYTE_SERVER_CLIENT_REDIRECT_URI", format!("http://localhost:{callback_port}/callback"))
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .unwrap()
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in [Some(&mut self.process), self.proxy.as_mut().map(|proxy| &mut proxy.process)] {
            let Some(process) = process else { continue };
            let _ = process.kill();
            let _ = process.wait();
        }
        if std::thread::panicking() {
            let log = self.log();
            let tail: Vec<_> = log.lines().rev().take(40).collect();
            #[allow(clippy::print_stderr, reason = "the test has failed: show what the server saw")]
            {
                eprintln!("the server's log ends (last line first):\n{}", tail.join("\n"));
            }
        }
    }
}

/// A browser without scripts, by HTTP only.
struct Forms<'a> {
    server: &'a Server,
    http: reqwest::blocking::Client,
    cookies: std::collections::BTreeMap<String, String>,
}

impl<'a> Forms<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, http: server.http(), cookies: std::collections::BTreeMap::new() }
    }

    fn send(&mut self, request: reqwest::blocking::RequestBuilder) -> reqwest::blocking::Response {
        let header: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        let request = request.header("cookie", header.join("; ")).header("origin", self.server.url(""));
        let answer = request.send().unwrap();
        for cookie in answer.headers().get_all("set-cookie") {
            let (name, rest) = cookie.to_str().unwrap().split_once('=').unwrap();
            self.cookies.insert(name.to_owned(), rest.split(';').next().unwrap().to_owned());
        }
        answer
    }

    fn get(&mut self, url: &str) -> reqwest::blocking::Response {
        self.send(self.http.get(url))
    }

    /// Signs a user in with the form at a path. Returns where the browser goes then.
    fn sign_in(&mut self, login: &str, email: &str, password: &str) -> String {
        let page = self.get(&self.server.url(login)).text().unwrap();
        let field = |name: &str| {
            let tag = page.split('<').find(|tag| tag.contains(&format!("name=\"{name}\""))).unwrap();
            let value = tag.split("value=\"").nth(1).unwrap().split('"').next().unwrap();
            value.replace("&#38;", "&").replace("&amp;", "&")
        };
        let names: Vec<_> = page
            .split("<input")
            .skip(1)
            .filter(|tag| tag.contains("type=\"hidden\""))
            .map(|tag| tag.split("name=\"").nth(1).unwrap().split('"').next().unwrap())
            .collect();
        let mut form: Vec<_> = names.into_iter().map(|name| (name, field(name))).collect();
        form.push(("email", email.to_owned()));
        form.push(("password", password.to_owned()));
        location(&self.send(self.http.post(self.server.url("/login")).form(&form)))
    }
}

fn location(answer: &reqwest::blocking::Response) -> String {
    answer.headers()["location"].to_str().unwrap().to_owned()
}

/// Signs the administrator in at an authorization URL with the forms of the pages, like a browser on another machine.
/// Returns the callback URL, which does not work on that machine.
#[must_use]
pub fn sign_in_elsewhere(server: &Server, url: &str) -> String {
    let mut forms = Forms::new(server);
    let login = location(&forms.get(url));
    let back = forms.sign_in(&login, "admin@localhost", PASSWORD);
    location(&forms.get(&server.url(&back)))
}
