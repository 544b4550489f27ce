//! The console and an app behind the gateway in a real Chromium.

use flyte_e2e::{Browser, PASSWORD, PublishedBackend, WebApp, eventually};
use serde_json::{Value, json};

const LIST_PROJECTS: &str = "/flyteidl2.project.ProjectService/ListProjects";

fn fill_in(browser: &Browser) {
    browser.fill("input[name=email]", "admin@localhost");
    browser.fill("input[name=password]", PASSWORD);
    browser.click("button[type=submit]");
}

/// Calls a unary RPC from the page of the browser. Returns the status and the answer, or a text if the page gets none.
fn call(browser: &Browser, url: &str, kind: &str) -> Value {
    browser.run(&format!(
        "const request = {{ method: 'POST', credentials: 'include', headers: {{ 'content-type': '{kind}' }}, body: '{{}}' }};
         return await fetch('{url}', request).then(
             async answer => [answer.status, await answer.json().catch(() => null)],
             error => 'refused: ' + error.name);"
    ))
}

/// Opens a `WebSocket` from the page: `open`, or `refused`.
fn open_socket(browser: &Browser, url: &str) -> Value {
    browser.run(&format!(
        "return await new Promise(done => {{
             const socket = new WebSocket('{url}');
             socket.onopen = () => done('open');
             socket.onerror = () => done('refused');
         }});"
    ))
}

#[test]
fn the_console_and_an_app_open_after_a_sign_in_and_close_with_it() {
    let (backend, pages) = (PublishedBackend::start(), WebApp::start());
    let url = pages.url("");
    let server = backend.gateway_with(&format!(
        "upstream.console-url = {url:?}\nupstream.apps = [\"*.apps.localhost={url}\"]\n"
    ));
    let browser = Browser::open();
    let app = format!("https://a.apps.localhost:{}", server.port());

    // The console: the sign-in page first, then the page that was asked for.
    let asked = server.url("/v2/domain/development/project/flytesnacks/runs?limit=5");
    browser.go(&asked);
    browser.shows("Sign in");
    fill_in(&browser);
    browser.shows("Projects");
    assert_eq!(browser.url(), asked);
    eventually("the page lists the projects", || {
        (browser.text("#projects") == "flytesnacks alpha beta").then_some(())
    });
    let seen = backend.seen();
    let listed = seen.iter().find(|call| call["path"] == LIST_PROJECTS).unwrap();
    let names: Vec<_> =
        listed["headers"].as_array().unwrap().iter().map(|header| header[0].as_str()).collect();
    assert!(names.contains(&Some("x-amzn-oidc-data")) && !names.contains(&Some("cookie")), "{names:?}");
    // The page passes the same door as a program.
    let internal = call(&browser, "/flyteidl2.workflow.InternalRunService/RecordAction", "application/json");
    assert_eq!(internal[1]["code"], "permission_denied", "{internal}");
    // A stream with the cookie stays open although the server looks at the session each second.
    let ended = browser.run(
        "const message = new TextEncoder().encode('{\"projectId\":{\"name\":\"flytesnacks\",\"domain\":\"silent\"}}');
         const body = new Uint8Array([0, 0, 0, 0, message.length, ...message]);
         const headers = { 'content-type': 'application/connect+json' };
         const answer = await fetch('/flyteidl2.workflow.RunService/WatchRuns', { method: 'POST', headers, body });
         const reader = answer.body.getReader();
         let ended = answer.status;
         const read = async () => { while (!(await reader.read()).done) ended = false; ended = true };
         read();
         await new Promise(done => setTimeout(done, 2500));
         return ended;",
    );
    assert_eq!(ended, false);
    // A media type that any page can send is none of an RPC.
    let plain = call(&browser, LIST_PROJECTS, "text/plain");
    assert_ne!(plain[0], 200, "{plain}");

    // The app: another host gets a cookie of its own, by way of the sign-in.
    browser.go(&format!("{app}/page?x=1"));
    browser.shows("App");
    assert_eq!(browser.url(), format!("{app}/page?x=1"));
    eventually("the app's socket and events work", || {
        let done = browser.text("#socket") == "echo hello" && browser.text("#events").ends_with("event 2");
        done.then_some(())
    });
    // They stay open although the server looks at the session each second.
    let opened = std::time::Instant::now();
    eventually("some seconds pass", || {
        assert_eq!(browser.text("#socket"), "echo hello");
        assert!(browser.text("#events").ends_with("event 2"), "{}", browser.text("#events"));
        (opened.elapsed() > std::time::Duration::from_secs(3)).then_some(())
    });
    let headers: Value = serde_json::from_str(&browser.text("#headers")).unwrap();
    assert_eq!(headers["host"], app.trim_start_matches("https://"), "{headers}");
    assert!(!headers.to_string().contains("flyte_"), "{headers}");
    browser.go(&format!("{app}/again"));
    browser.shows("App");
    let headers: Value = serde_json::from_str(&browser.text("#headers")).unwrap();
    assert_eq!(headers["cookie"], "own=1", "{headers}");
    // The app's page cannot call RPCs with the user's cookie of the main host.
    let before = backend.calls(LIST_PROJECTS);
    for kind in ["application/json", "text/plain"] {
        assert_ne!(call(&browser, &server.url(LIST_PROJECTS), kind)[0], json!(200));
    }

    // A page of another origin can use neither cookie.
    let first = browser.open_window();
    browser.go(&pages.url("/foreign"));
    browser.shows("Foreign");
    for kind in ["application/json", "text/plain"] {
        assert_ne!(call(&browser, &server.url(LIST_PROJECTS), kind)[0], json!(200));
        assert_eq!(call(&browser, &format!("{app}/page"), kind), "refused: TypeError");
    }
    let socket = app.replace("https", "wss");
    assert_eq!(open_socket(&browser, &format!("{socket}/socket")), "refused");
    assert_eq!(backend.calls(LIST_PROJECTS), before);

    // Signing out closes the app's socket, and the next page asks for a sign-in.
    browser.go(&server.url("/"));
    browser.click("button[type=submit]");
    browser.shows("You are signed out");
    browser.change_window(&first);
    eventually("the app's socket is closed", || browser.text("#socket").ends_with("closed").then_some(()));
    assert_eq!(call(&browser, "/page", "application/json")[0], 401);
    browser.go(&format!("{app}/page"));
    browser.shows("Sign in");
    browser.go(&asked);
    browser.shows("Sign in");
}
