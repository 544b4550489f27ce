//! Chromium, driven by chromedriver's WebDriver protocol (<https://www.w3.org/TR/webdriver2/>).

use std::{
    io::{BufRead as _, BufReader},
    process::{Child, Command, Stdio},
    time::Duration,
};

use reqwest::blocking::Client;
use serde_json::{Value, json};
use tempfile::TempDir;

use base64::Engine as _;

use crate::{eventually, repository};

/// WebDriver's name for the reference of an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// The Tab key (WebDriver section 17.4.2).
pub const TAB: &str = "\u{E004}";
/// The Enter key.
pub const ENTER: &str = "\u{E007}";

/// A headless browser with a fresh profile that trusts any certificate; closed when dropped.
#[derive(Debug)]
pub struct Browser {
    driver: Child,
    http: Client,
    session: String,
    _profile: TempDir,
}

impl Browser {
    /// Opens a browser with default settings.
    #[must_use]
    pub fn open() -> Self {
        Self::with(&json!({}))
    }

    /// Opens a browser without JavaScript.
    #[must_use]
    pub fn without_javascript() -> Self {
        let browser = Self::with(&json!({ "profile.managed_default_content_settings.javascript": 2 }));
        browser.go("data:text/html,<title>off</title><script>document.title='on'</script>");
        assert_eq!(browser.title(), "off", "JavaScript runs");
        browser
    }

    fn with(preferences: &Value) -> Self {
        let (driver, port) = driver();
        let profile = TempDir::new().unwrap();
        let http = Client::builder().no_proxy().timeout(Duration::from_secs(120)).build().unwrap();
        let driver_url = format!("http://127.0.0.1:{port}/session");
        let mut browser = Self { driver, http, session: driver_url, _profile: profile };
        let started = browser.call(
            "POST",
            "",
            &json!({ "capabilities": { "alwaysMatch": {
                "browserName": "chrome",
                "acceptInsecureCerts": true,
                "goog:chromeOptions": {
                    "binary": "/usr/bin/chromium",
                    "prefs": preferences,
                    "args": [
                        "--headless",
                        "--no-sandbox",
                        "--disable-gpu",
                        "--disable-quic",
                        "--no-first-run",
                        "--disable-background-networking",
                        "--disable-component-update",
                        "--disable-sync",
                        format!("--user-data-dir={}", browser._profile.path().display()),
                    ],
                },
            } } }),
        );
        browser.session = format!("{}/{}", browser.session, started["sessionId"].as_str().unwrap());
        browser
    }

    /// Sends a command; returns the error code if it failed.
    fn attempt(&self, method: &str, path: &str, body: &Value) -> Result<Value, String> {
        let request = self.http.request(method.parse().unwrap(), format!("{}{path}", self.session));
        let request = if method == "POST" { request.body(body.to_string()) } else { request };
        let answer = request.header("content-type", "application/json").send().unwrap();
        let answer: Value = serde_json::from_str(&answer.text().unwrap()).unwrap();
        match answer["value"]["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["value"].clone()),
        }
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        self.attempt(method, path, body).unwrap_or_else(|error| panic!("{method} {path}: {error}"))
    }

    fn get(&self, path: &str) -> String {
        self.call("GET", path, &Value::Null).as_str().unwrap_or_default().to_owned()
    }

    /// Acts on the first element that matches a CSS selector, as soon as it exists. If the page changes
    /// between finding the element and acting on it, it tries again.
    fn with_element(&self, selector: &str, method: &str, action: &str, body: &Value) -> Value {
        let query = json!({ "using": "css selector", "value": selector });
        eventually(selector, || {
            let found = self.attempt("POST", "/elements", &query).ok()?;
            let path = format!("/element/{}{action}", found[0][ELEMENT].as_str()?);
            self.attempt(method, &path, body).ok()
        })
    }

    /// Goes to an address.
    pub fn go(&self, url: &str) {
        self.call("POST", "/url", &json!({ "url": url }));
    }

    /// Gives the page the size of a screen, in CSS pixels.
    pub fn resize(&self, width: u32, height: u32) {
        let params = json!({ "width": width, "height": height, "deviceScaleFactor": 1, "mobile": false });
        let command = json!({ "cmd": "Emulation.setDeviceMetricsOverride", "params": params });
        self.call("POST", "/goog/cdp/execute", &command);
    }

    /// The current address.
    #[must_use]
    pub fn url(&self) -> String {
        self.get("/url")
    }

    /// The title of the page.
    #[must_use]
    pub fn title(&self) -> String {
        self.get("/title")
    }

    /// Waits until the address contains `part`, and returns the address.
    #[must_use]
    pub fn arrives(&self, part: &str) -> String {
        eventually(&format!("the browser is at {part}"), || Some(self.url()).filter(|url| url.contains(part)))
    }

    /// Waits until the page has this heading.
    pub fn shows(&self, heading: &str) {
        eventually(&format!("the page says {heading}"), || (self.text("h1") == heading).then_some(()));
    }

    /// The visible text of the first element that a CSS selector finds.
    #[must_use]
    pub fn text(&self, selector: &str) -> String {
        self.with_element(selector, "GET", "/text", &Value::Null).as_str().unwrap().to_owned()
    }

    /// The text of the focused element, or its name if it has no text.
    #[must_use]
    pub fn focus(&self) -> String {
        eventually("something has the focus", || {
            let active = self.attempt("GET", "/element/active", &Value::Null).ok()?;
            let element = format!("/element/{}", active[ELEMENT].as_str()?);
            let text = self.attempt("GET", &format!("{element}/text"), &Value::Null).ok()?;
            if text != "" {
                return Some(text.as_str()?.to_owned());
            }
            let name = self.attempt("GET", &format!("{element}/attribute/name"), &Value::Null).ok()?;
            Some(name.as_str().unwrap_or_default().to_owned())
        })
    }

    /// Runs the body of an asynchronous JavaScript function in the page, and returns its value.
    #[must_use]
    pub fn run(&self, body: &str) -> Value {
        let script = format!("return (async () => {{ {body} }})()");
        self.call("POST", "/execute/sync", &json!({ "script": script, "args": [] }))
    }

    /// Makes the system's colours dark or light, for all pages.
    pub fn prefer(&self, scheme: &str) {
        let features = json!([{ "name": "prefers-color-scheme", "value": scheme }]);
        let parameters = json!({ "features": features });
        let body = json!({ "cmd": "Emulation.setEmulatedMedia", "params": parameters });
        self.call("POST", "/goog/cdp/execute", &body);
    }

    /// What axe-core finds wrong with the page: rules, elements and reasons. Empty if nothing.
    #[must_use]
    pub fn axe(&self) -> Vec<String> {
        // The page's policy forbids to load the script, but not to run it from here.
        let axe = std::fs::read_to_string(repository().join("tests/peers/node_modules/axe-core/axe.min.js"));
        let axe = axe.expect("axe-core is missing: run `./test --setup`");
        let run = "const found = await axe.run(document, { resultTypes: ['violations'] });
            return found.violations.flatMap(({ id, nodes }) =>
                nodes.map(({ target, failureSummary }) => `${id} at ${target}: ${failureSummary}`))";
        let found = self.run(&format!("{axe}; {run}"));
        found.as_array().unwrap().iter().map(|it| it.as_str().unwrap().to_owned()).collect()
    }

    /// Whether the page is wider than the window, so that it would have to be scrolled sideways.
    #[must_use]
    pub fn overflows(&self) -> bool {
        let script = "return document.documentElement.scrollWidth > document.documentElement.clientWidth";
        self.run(script).as_bool().unwrap()
    }

    /// A picture of the whole page as PNG, for people to look at.
    #[must_use]
    pub fn picture(&self) -> Vec<u8> {
        let body = json!({ "cmd": "Page.captureScreenshot", "params": { "captureBeyondViewport": true } });
        let answer = self.call("POST", "/goog/cdp/execute", &body);
        base64::engine::general_purpose::STANDARD.decode(answer["data"].as_str().unwrap()).unwrap()
    }

    /// Opens another window and changes to it. Returns the name of the one before.
    #[must_use]
    pub fn open_window(&self) -> String {
        let before = self.get("/window");
        let opened = self.call("POST", "/window/new", &json!({ "type": "tab" }));
        self.change_window(opened["handle"].as_str().unwrap());
        before
    }

    /// Changes to a window.
    pub fn change_window(&self, name: &str) {
        self.call("POST", "/window", &json!({ "handle": name }));
    }

    /// Types into a field.
    pub fn fill(&self, selector: &str, text: &str) {
        self.with_element(selector, "POST", "/value", &json!({ "text": text }));
    }

    /// Clicks.
    pub fn click(&self, selector: &str) {
        self.with_element(selector, "POST", "/click", &json!({}));
    }

    /// Presses keys, one after another, in the focused element.
    pub fn press(&self, keys: &str) {
        let strokes: Vec<_> = keys
            .chars()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
            })
            .collect();
        self.call(
            "POST",
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": strokes }] }),
        );
    }
}

/// Starts a chromedriver and returns its port. It chooses a port for IPv4 and fails if that is in use for IPv6. Then it is started again.
fn driver() -> (Child, u16) {
    for _ in 0..10 {
        let mut process = Command::new("chromedriver")
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("chromedriver is missing: install chromium-driver, or run `./test --setup`");
        let said = BufReader::new(process.stdout.take().unwrap());
        let port = said.lines().map_while(Result::ok).find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        if let Some(port) = port {
            return (process, port);
        }
        let _ = process.wait();
    }
    panic!("chromedriver does not start");
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Ends Chromium; killing the driver alone would leave it behind.
        let _ = self.http.delete(&self.session).send();
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}
