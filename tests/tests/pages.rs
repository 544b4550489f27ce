//! The pages in a real Chromium: without JavaScript, with the keyboard, and for third-party clients.

use std::{
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    process::{Child, Stdio},
    thread::{self, JoinHandle},
};

use flyte_e2e::{
    Browser, CommandOutput, ENTER, Machine, PASSWORD, Person, Project, Server, TAB, eventually, python,
};

/// Starts `flyte auth login`. Returns the command and the URL for the browser.
fn login(server: &Server, machine: &Machine) -> (Child, String) {
    machine.configure(server);
    let seen = machine.home().join("url");
    let process = machine
        .flyte_with(&Person::Looks(seen.clone()), &["auth", "login"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    (process, eventually("the browser is opened", || fs::read_to_string(&seen).ok()))
}

/// Signs in at the page that the browser shows.
fn sign_in(browser: &Browser) {
    browser.fill("input[name=email]", "admin@localhost");
    browser.fill("input[name=password]", PASSWORD);
    browser.click("button[type=submit]");
}

#[test]
fn sign_in_needs_no_javascript() {
    let (server, machine) = (Server::start(), Machine::bare());
    let (process, url) = login(&server, &machine);
    let browser = Browser::without_javascript();
    browser.go(&url);
    assert_eq!(browser.title().split(" \u{b7} ").next(), Some("Sign in"));
    sign_in(&browser);
    let _ = browser.arrives("/callback?");
    assert!(browser.text("body").contains("You are signed in"), "{}", browser.text("body"));
    let output = CommandOutput::from(process.wait_with_output().unwrap()).ok();
    assert!(output.out.contains("as admin@localhost"), "{output:?}");
}

#[test]
fn sign_in_and_out_need_no_mouse() {
    let (server, machine) = (Server::start(), Machine::bare());
    let (process, url) = login(&server, &machine);
    let browser = Browser::open();
    browser.go(&url);
    // The first field has the focus already.
    eventually("the field has the focus", || (browser.focus() == "email").then_some(()));
    browser.press("admin@localhost");
    browser.press(TAB);
    assert_eq!(browser.focus(), "password");
    browser.press("not the password");
    browser.press(ENTER);
    // After a mistake, the focus is on the password, and the address is kept.
    assert!(browser.text("[role=alert]").contains("is wrong"), "{}", browser.text("[role=alert]"));
    eventually("the field has the focus", || (browser.focus() == "password").then_some(()));
    browser.press(PASSWORD);
    browser.press(ENTER);
    let _ = browser.arrives("/callback?");
    let _ = CommandOutput::from(process.wait_with_output().unwrap()).ok();

    browser.go(&server.url("/"));
    browser.shows("You are signed in");
    for _ in 0..30 {
        if browser.focus() == "Sign out everywhere" {
            break;
        }
        browser.press(TAB);
    }
    assert_eq!(browser.focus(), "Sign out everywhere");
    browser.press(ENTER);
    browser.shows("You are signed out");
}

#[test]
fn signing_out_in_the_browser_ends_its_session() {
    let (server, machine) = (Server::start(), Machine::bare());
    let (process, url) = login(&server, &machine);
    let browser = Browser::open();
    browser.go(&url);
    sign_in(&browser);
    let _ = browser.arrives("/callback?");
    let _ = CommandOutput::from(process.wait_with_output().unwrap()).ok();

    // Signed in: another machine's login goes through without being asked again.
    let other = Machine::bare();
    let (process, url) = login(&server, &other);
    browser.go(&url);
    let _ = browser.arrives("/callback?");
    let _ = CommandOutput::from(process.wait_with_output().unwrap()).ok();

    browser.go(&server.url("/"));
    browser.click("button[type=submit]");
    browser.shows("You are signed out");
    // Signed out: the next one is asked.
    let third = Machine::bare();
    let (mut process, url) = login(&server, &third);
    browser.go(&url);
    browser.shows("Sign in");
    process.kill().unwrap();
    process.wait().unwrap();
}

/// A client that is not ours, as it waits for its callback: the query that the browser brings.
struct Stranger {
    port: u16,
    waiting: JoinHandle<String>,
}

impl Stranger {
    fn waits() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let waiting = thread::spawn(move || {
            loop {
                let (mut stream, _) = listener.accept().unwrap();
                let mut line = String::new();
                BufReader::new(&stream).read_line(&mut line).unwrap();
                let _ =
                    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
                if let Some((_, query)) = line.split_once("GET /callback?") {
                    return query.split(' ').next().unwrap().to_owned();
                }
            }
        });
        Self { port, waiting }
    }

    /// The URL for the browser; the challenge is that of RFC 7636 appendix B.
    fn url(&self, server: &Server) -> String {
        server.url(&format!(
            "/oauth2/authorize?response_type=code&client_id=stranger&scope=openid+email&state=s1&\
             redirect_uri=http%3A%2F%2F127.0.0.1%3A{}%2Fcallback&code_challenge_method=S256&\
             code_challenge=E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            self.port
        ))
    }
}

/// Registers the stranger.
fn register_stranger(server: &Server) {
    let arguments = ["client", "add", "stranger", "--public", "--name", "A <b>stranger</b>"];
    let mut add = server.command(&arguments);
    add.args(["--redirect-uri", "http://127.0.0.1/callback", "--scope", "openid,email"]);
    let _ = CommandOutput::of(&mut add).ok();
}

#[test]
fn third_party_public_client_needs_consent_each_time() {
    let server = Server::start();
    register_stranger(&server);
    let browser = Browser::open();
    // Denied first.
    let stranger = Stranger::waits();
    browser.go(&stranger.url(&server));
    sign_in(&browser);
    browser.shows("Allow A <b>stranger</b>?");
    let page = browser.text("main");
    assert!(page.contains("admin@localhost") && page.contains("127.0.0.1"), "{page}");
    browser.click("button[value=deny]");
    let query = stranger.waiting.join().unwrap();
    assert!(query.contains("error=access_denied") && query.contains("state=s1"), "{query}");
    assert!(!query.contains("code="), "{query}");

    // Asked again, and allowed; the code is worth tokens.
    let stranger = Stranger::waits();
    browser.go(&stranger.url(&server));
    browser.shows("Allow A <b>stranger</b>?");
    browser.click("button[value=allow]");
    let redirect_uri = format!("http://127.0.0.1:{}/callback", stranger.port);
    let query = stranger.waiting.join().unwrap();
    let code =
        query.split('&').find_map(|part| part.strip_prefix("code=")).unwrap_or_else(|| panic!("{query}"));
    let answer = server
        .http()
        .post(server.url("/oauth2/token"))
        .form(&[
            ("grant_type", "authorization_code"),
            ("client_id", "stranger"),
            ("code", code),
            ("redirect_uri", &redirect_uri),
            ("code_verifier", "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
        ])
        .send()
        .unwrap();
    assert_eq!(answer.status().as_u16(), 200, "{}", answer.text().unwrap());

    // Any program can claim to be this client, so an earlier consent does not count (RFC 8252 8.6).
    let stranger = Stranger::waits();
    browser.go(&stranger.url(&server));
    browser.shows("Allow A <b>stranger</b>?");
    browser.click("button[value=allow]");
    assert!(stranger.waiting.join().unwrap().contains("code="));
}

#[test]
fn an_address_that_the_published_command_prints_shows_the_run() {
    let environment = python().ancestors().nth(2).unwrap().to_owned();
    let server = Server::with(&["--python", environment.to_str().unwrap(), "--max-tasks", "4"]);
    let project = Project::at(&server);
    let run = ["run", "app.py", "main", "--n", "3"];
    let output = CommandOutput::of(&mut project.published(&run)).ok();
    // The command may print a frame or an escape sequence beside it.
    let is_part = |c: char| c.is_ascii_alphanumeric() || ":/.-_".contains(c);
    let mut words = output.out.split(|c: char| !is_part(c));
    let url = words.find(|word| word.starts_with("https://") && word.contains("/v2/domain/"));
    let url = url.unwrap_or_else(|| panic!("{output:?}"));

    let browser = Browser::open();
    browser.go(url);
    browser.shows("Sign in");
    sign_in(&browser);
    let _ = browser.arrives("/runs/");
    // The page follows the run to its end by itself.
    let shows = |browser: &Browser, selector: &str, words: &str| {
        eventually(words, || browser.text(selector).contains(words).then_some(()));
    };
    shows(&browser, "#state", "succeeded");
    shows(&browser, "#outputs", "o0");
    shows(&browser, ".log", "hello world");
    shows(&browser, "#children", "succeeded");
    assert!(browser.text("#inputs").contains("world"), "{}", browser.text("#inputs"));
    assert!(browser.text("#state").contains("admin@localhost"), "{}", browser.text("#state"));
    browser.click("#children td a");
    shows(&browser, ".kind", "Action");

    // The same without a script.
    let browser = Browser::without_javascript();
    browser.go(url);
    sign_in(&browser);
    let _ = browser.arrives("/runs/");
    for (selector, words) in [("#state", "succeeded"), (".log", "hello world"), ("#outputs", "o0")] {
        assert!(browser.text(selector).contains(words), "{}", browser.text("main"));
    }
}
