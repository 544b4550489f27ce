//! The gateway while it stops, with silent clients, and with a backend that hangs.

use std::{
    io::Read as _,
    net::TcpStream,
    sync::mpsc,
    thread::{self, JoinHandle},
    time::Duration,
};

use flyte_e2e::{CommandOutput, Machine, PublishedBackend, Server, eventually};
use reqwest::{blocking::Client, header::CONTENT_TYPE};

const GET_PROJECT: &str = "/flyteidl2.project.ProjectService/GetProject";
const WATCH_RUNS: &str = "/flyteidl2.workflow.RunService/WatchRuns";
/// The length of the head of an envelope in the Connect protocol, in bytes.
const HEAD: usize = 5;

fn token(server: &Server) -> String {
    let machine = Machine::bare();
    machine.sign_in_by_forms(server);
    CommandOutput::of(&mut machine.flyte(&["auth", "token"])).ok().out.trim().to_owned()
}

/// A client over HTTP/2 that waits as long as it takes.
fn client(server: &Server) -> Client {
    let ca = std::fs::read(server.ca()).unwrap();
    let builder = Client::builder().tls_certs_only([reqwest::Certificate::from_pem(&ca).unwrap()]);
    builder.no_proxy().timeout(None).build().unwrap()
}

/// A call of `WatchRuns` that no message ends (Connect protocol, JSON).
struct Watch {
    begun: mpsc::Receiver<()>,
    ended: JoinHandle<Vec<u8>>,
}

impl Watch {
    fn open(server: &Server, token: &str) -> Self {
        let message = r#"{"projectId":{"name":"flytesnacks","domain":"silent"}}"#;
        let mut body = vec![0];
        body.extend(u32::try_from(message.len()).unwrap().to_be_bytes());
        body.extend(message.as_bytes());
        let request = client(server).post(server.url(WATCH_RUNS)).bearer_auth(token);
        let request = request.header(CONTENT_TYPE, "application/connect+json").body(body);
        let (send, begun) = mpsc::channel();
        let ended = thread::spawn(move || {
            let mut answer = request.send().unwrap();
            let mut all = Vec::new();
            let mut part = [0; 1024];
            while let Ok(length @ 1..) = answer.read(&mut part) {
                all.extend(&part[..length]);
                let _ = send.send(());
            }
            all
        });
        Self { begun, ended }
    }

    /// Waits for the first message.
    fn has_begun(&self) {
        self.begun.recv_timeout(Duration::from_secs(120)).unwrap();
    }

    /// Waits for the end: the last envelope.
    fn end(self) -> String {
        let all = self.ended.join().unwrap();
        let mut rest = all.as_slice();
        let mut last = String::new();
        while rest.len() >= HEAD {
            let length = u32::from_be_bytes(rest[1..HEAD].try_into().unwrap()) as usize;
            last = format!("{} {}", rest[0], String::from_utf8_lossy(&rest[HEAD..HEAD + length]));
            rest = &rest[HEAD + length..];
        }
        assert!(rest.is_empty(), "{all:?}");
        last
    }
}

#[test]
fn a_stop_finishes_calls_and_ends_streams() {
    let backend = PublishedBackend::start();
    // Long enough for a busy machine to see that the server is unready.
    let mut server = backend.gateway_with("http.drain-delay = \"4s\"\nhttp.drain-timeout = \"2m\"\n");
    let token = token(&server);
    let watch = Watch::open(&server, &token);
    watch.has_begun();
    let request = client(&server).post(server.url(GET_PROJECT)).bearer_auth(&token);
    let request = request.header(CONTENT_TYPE, "application/json").body(r#"{"id":"slow"}"#);
    let call = thread::spawn(move || request.send().unwrap().text().unwrap());
    eventually("the call waits at the backend", || (backend.calls(GET_PROJECT) == 1).then_some(()));

    let http = server.http();
    server.signal("TERM");
    let unready = eventually("the server is not ready", || {
        http.get(server.url("/readyz")).send().ok().filter(|answer| answer.status() == 503)
    });
    assert!(!unready.text().unwrap().contains("backend"));
    // The stream ends while the call still waits.
    let end = watch.end();
    assert!(end.starts_with("2 ") && end.contains("\"unavailable\""), "{end}");
    assert!(!call.is_finished());
    backend.release();
    assert!(call.join().unwrap().contains("\"slow\""));
    assert_eq!(server.wait(), Some(0));
}

#[test]
fn silent_connections_end_and_leave_room_for_others() {
    let backend = PublishedBackend::start();
    let server = backend.gateway_with("http.max-connections = 64\nhttp.header-timeout = \"2s\"\n");
    let http = server.http();
    // One address may have a quarter of the places.
    let connect = || TcpStream::connect(("127.0.0.1", server.port())).unwrap();
    let silent: Vec<_> = (0..200).map(|_| connect()).collect();
    // This machine is that one address, so its calls wait until the silent connections have ended.
    eventually("calls are answered again", || {
        http.get(server.url("/healthz")).send().ok().filter(|answer| answer.status() == 200)
    });
    for mut connection in silent {
        connection.set_read_timeout(Some(Duration::from_secs(120))).unwrap();
        let end = connection.read(&mut [0]);
        assert!(
            matches!(&end, Ok(0))
                || end.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset)
        );
    }
}

#[test]
fn a_silent_stream_stays_until_its_backend_hangs() {
    let backend = PublishedBackend::start();
    let settings = "upstream.keep-alive-interval = \"1s\"\nhttp.keep-alive-interval = \"1s\"\nhttp.header-timeout = \"1s\"\n\
                    http.request-timeout = \"1s\"\nupstream.request-timeout = \"1s\"\n";
    let server = backend.gateway_with(settings);
    let watch = Watch::open(&server, &token(&server));
    watch.has_begun();
    // Longer than every time limit.
    thread::sleep(Duration::from_secs(4));
    assert!(!watch.ended.is_finished());
    // The kernel still acknowledges what is sent to a stopped process. Only the pings find it.
    backend.signal("STOP");
    let end = watch.end();
    backend.signal("CONT");
    assert!(end.starts_with("2 ") && end.contains("\"unavailable\""), "{end}");
}
