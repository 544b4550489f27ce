//! Ambiguous requests, as bytes.

use std::io::{Read as _, Write as _};

use crate::server::Server;

/// Sends bytes and reads until the server closes the connection.
fn answer(server: &Server, sent: &str) -> String {
    let mut stream = server.connect();
    stream.write_all(sent.as_bytes()).unwrap();
    let mut answer = Vec::new();
    // A reset after the response counts as an end too.
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stream.read(&mut piece) {
        answer.extend_from_slice(&piece[..read]);
    }
    String::from_utf8(answer).unwrap()
}

const PATHS: [&str; 7] = [
    "/healthz",
    "/oauth2/token",
    "/oauth2/userinfo",
    "/login",
    "/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata",
    "/flyteidl2.auth.IdentityService/UserInfo",
    "/objects/a",
];

#[test]
fn every_route_refuses_ambiguous_requests() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &[]);
    let long = "content-length: 5\r\n";
    let chunked = "transfer-encoding: chunked\r\n";
    let body = "0\r\n\r\n";
    for path in PATHS {
        let host = "host: localhost\r\n";
        let auth = "authorization: Bearer x\r\n";
        for (what, request) in [
            (
                "two authorizations",
                format!("POST {path} HTTP/1.1\r\n{host}{auth}{auth}content-length: 0\r\n\r\n"),
            ),
            (
                "two of the server's own",
                format!("POST {path} HTTP/1.1\r\n{host}flyte-{auth}flyte-{auth}content-length: 0\r\n\r\n"),
            ),
            ("two hosts", format!("GET {path} HTTP/1.1\r\n{host}host: other\r\n\r\n")),
            ("no host", format!("GET {path} HTTP/1.1\r\n\r\n")),
            ("an invalid host", format!("GET {path} HTTP/1.1\r\nhost: a b\r\n\r\n")),
            ("an absolute form", format!("GET http://localhost{path} HTTP/1.1\r\n{host}\r\n")),
            ("a fragment", format!("GET {path}#x HTTP/1.1\r\n{host}\r\n")),
            (
                "an upgrade",
                format!("GET {path} HTTP/1.1\r\n{host}connection: upgrade\r\nupgrade: h2c\r\n\r\n"),
            ),
            (
                "a named header",
                format!("GET {path} HTTP/1.1\r\n{host}connection: authorization\r\n{auth}\r\n"),
            ),
            ("two lengths", format!("POST {path} HTTP/1.1\r\n{host}{long}{chunked}\r\n{body}")),
            (
                "two lengths, the other way",
                format!("POST {path} HTTP/1.1\r\n{host}{chunked}{long}\r\n{body}"),
            ),
            ("a length twice", format!("POST {path} HTTP/1.1\r\n{host}{long}{long}\r\n{body}")),
            ("a coding twice", format!("POST {path} HTTP/1.1\r\n{host}{chunked}{chunked}\r\n{body}")),
            ("an unsupported coding", {
                format!("POST {path} HTTP/1.1\r\n{host}transfer-encoding: gzip, chunked\r\n\r\n{body}")
            }),
        ] {
            let answer = answer(&server, &request);
            assert!(answer.starts_with("HTTP/1.1 400 "), "{what}: {path}: {answer}");
            assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{what}: {path}: {answer}");
        }
    }
}

#[test]
fn requests_before_an_ambiguous_one_are_answered_and_later_ones_are_not() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &[]);
    let good = "GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let form = "POST /oauth2/token HTTP/1.1\r\nhost: localhost\r\ntransfer-encoding: chunked\r\n\
                content-type: application/x-www-form-urlencoded\r\n\r\n3;x=y\r\na=b\r\n0\r\n\r\n";
    let bad = "POST /healthz HTTP/1.1\r\nhost: localhost\r\ncontent-length: 50\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n";
    let all = answer(&server, &format!("{good}{form}{good}{bad}{good}"));
    let statuses: Vec<_> = all.split("HTTP/1.1 ").skip(1).map(|answer| &answer[..3]).collect();
    assert_eq!(statuses, ["200", "400", "200", "400"], "{all}");
    assert!(all.contains("client_id is missing"), "the form was read: {all}");
}

#[test]
fn a_head_that_arrives_byte_by_byte_is_checked_too() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &[]);
    let mut stream = server.connect();
    stream.set_nodelay(true).unwrap();
    for byte in b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n" {
        stream.write_all(&[*byte]).unwrap();
    }
    let mut status = [0; 12];
    stream.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 400");
}

/// Sends an HTTP/2 request and returns the status; `None` if its stream or the connection was reset.
fn http2(server: &Server, path: &str, authority: &str, headers: &[(&str, &str)]) -> Option<u16> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let uri = http::Uri::builder().scheme("http").authority(authority).path_and_query(path).build().unwrap();
    let mut request = http::Request::post(uri).version(http::Version::HTTP_2);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(()).unwrap();
    runtime.block_on(async {
        let stream = tokio::net::TcpStream::connect(server.address).await.unwrap();
        let (client, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        let (answer, _) = client.ready().await.unwrap().send_request(request, true).unwrap();
        answer.await.ok().map(|answer| answer.status().as_u16())
    })
}

#[test]
fn http2_has_one_host_and_one_path() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &[]);
    let metadata = PATHS[4];
    let json = ("content-type", "application/json");
    for (headers, expected) in [
        (&[json][..], 400), // an empty body is not JSON: the method was called
        (&[json, ("host", "localhost")], 400),
        (&[json, ("host", "other")], 400),
        (&[json, ("authorization", "Bearer x"), ("authorization", "Bearer x")], 400),
    ] {
        assert_eq!(http2(&server, metadata, "localhost", headers), Some(expected), "{headers:?}");
    }
    assert_eq!(http2(&server, "/healthz", "localhost", &[]), Some(405));
    assert_eq!(http2(&server, "/healthz", "localhost", &[("host", "LOCALHOST:80")]), Some(405));
    assert_eq!(http2(&server, "/healthz", "localhost", &[("host", "other")]), Some(400));
    assert_eq!(http2(&server, "/healthz", "a@localhost", &[]), Some(400));
    assert_eq!(
        http2(&server, "/healthz", "localhost", &[("te", "trailers"), ("content-length", "0")]),
        Some(405)
    );
}

#[test]
fn a_path_is_never_changed() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &[]);
    let call = |path: &str| {
        let headers = ["content-type: application/json".to_owned()];
        server.request(&format!("POST {path}"), &headers, "{}").0
    };
    let metadata = PATHS[4];
    assert!(call(metadata).starts_with("HTTP/1.1 200"), "{}", call(metadata));
    for path in [
        format!("/{metadata}"),
        format!("{metadata}/"),
        format!("{metadata};x=1"),
        format!("/.{metadata}"),
        format!("/public/..{metadata}"),
        format!("/public/..%2F{}", &metadata[1..]),
        metadata.replace("/Get", "/%47et"),
        metadata.replace("/Get", "%2FGet"),
        metadata.replace("/Get", "//Get"),
        metadata.replace("/Get", "/./Get"),
        metadata.replace("/Get", "/Get\u{2024}"),
        metadata.replace("auth.Auth", "auth%2EAuth"),
        metadata.replace(".auth.", "..auth."),
    ] {
        let head = call(&path);
        assert!(["HTTP/1.1 401", "HTTP/1.1 404"].iter().any(|is| head.starts_with(is)), "{path}: {head}");
    }
    for path in [metadata.to_uppercase(), metadata.to_lowercase()] {
        let head = call(&path);
        assert!(!head.starts_with("HTTP/1.1 200"), "{path}: {head}");
    }
}
