//! A stop does not lose running requests.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpStream},
};

use crate::server::Server;

/// Sends a request with half of its body, and waits until the server handles it.
fn half_a_request(server: &Server) -> TcpStream {
    let mut stream = server.connect();
    write!(
        stream,
        "POST /oauth2/token HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 22\r\n\r\n"
    )
    .unwrap();
    // The handler reads the body, so the request is running.
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream.write_all(b"grant_type=").unwrap();
    stream
}

#[test]
fn a_running_request_is_answered() {
    for signal in ["TERM", "INT"] {
        let home = tempfile::tempdir().unwrap();
        let mut server = Server::start(&home.path().join("data"), &[]);
        let mut stream = half_a_request(&server);
        server.signal(signal);
        server.wait_for("stopping");
        stream.write_all(b"nonsense+:)").unwrap();
        let mut response = String::new();
        stream.read_to_string(&mut response).unwrap();
        assert!(response.starts_with("HTTP/1.1 400"), "{response}");
        assert!(response.contains("\"error\""), "{response}");
        assert!(server.wait().success());
        assert!(TcpStream::connect(server.address).is_err());
    }
}

#[test]
fn a_signal_right_after_the_start_stops_it_cleanly() {
    let home = tempfile::tempdir().unwrap();
    for _ in 0..10 {
        let mut server = Server::start(&home.path().join("data"), &[]);
        server.signal("HUP");
        server.signal("TERM");
        assert_eq!(server.wait().code(), Some(0));
    }
}

#[test]
fn a_second_signal_stops_immediately() {
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start(&home.path().join("data"), &[]);
    let stream = half_a_request(&server);
    server.signal("TERM");
    server.wait_for("stopping");
    server.signal("TERM");
    assert!(server.wait().success());
    stream.shutdown(Shutdown::Both).ok();
}

#[test]
fn load_balancers_see_the_draining_first() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("s.toml");
    std::fs::write(&file, "[http]\ndrain-delay = \"1h\"\n").unwrap();
    let mut server = Server::start(&home.path().join("data"), &["--config", file.to_str().unwrap()]);
    assert!(server.request("GET /readyz", &[], "").0.starts_with("HTTP/1.1 200"));
    server.signal("TERM");
    server.wait_for("stopping");
    let (head, body) = server.request("GET /readyz", &[], "");
    assert!(head.starts_with("HTTP/1.1 503"), "{head}");
    assert_eq!(body, "draining\n");
    assert!(server.request("GET /healthz", &[], "").0.starts_with("HTTP/1.1 200"));
    assert!(
        server.request("GET /oauth2/jwks", &[], "").0.starts_with("HTTP/1.1 200"),
        "requests are still accepted"
    );
    server.signal("TERM");
    assert!(server.wait().success());
}
