//! The effect of a stranger's connections on others.

use std::{
    fs,
    io::{ErrorKind, Read as _, Write as _},
    net::TcpStream,
    sync::Arc,
};

use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned,
    pki_types::{CertificateDer, ServerName, pem::PemObject as _},
};

use crate::server::{Server, header};

/// Settings for connections that all come from one address, as from a proxy.
fn settings(home: &std::path::Path) -> String {
    let file = home.join("s.toml");
    let http = "header-timeout = \"1s\"\nmax-connections = 4\ntrusted-proxies = [\"127.0.0.1\"]";
    fs::write(&file, format!("[http]\n{http}\n")).unwrap();
    file.to_str().unwrap().to_owned()
}

/// Reads until the server closes the connection.
fn closes(mut stream: TcpStream) {
    let mut rest = Vec::new();
    match stream.read_to_end(&mut rest) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), ErrorKind::ConnectionReset, "the server keeps it open"),
    }
}

#[test]
fn a_silent_connection_is_closed() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &["--config", &settings(home.path())]);
    for said in
        ["", "P", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r", "GET / HT", "GET /healthz HTTP/1.1\r\nhost: a\r\n"]
    {
        let mut stream = server.connect();
        stream.write_all(said.as_bytes()).unwrap();
        closes(stream);
    }
}

#[test]
fn the_places_of_silent_connections_are_freed() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &["--config", &settings(home.path())]);
    let silent: Vec<_> = (0..4).map(|_| server.connect()).collect();
    assert!(server.request("GET /healthz", &[], "").0.starts_with("HTTP/1.1 200"), "after a second");
    silent.into_iter().for_each(closes);
}

/// A connection from another address of this machine.
fn connect_from(server: &Server, address: [u8; 4]) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind((address, 0).into()).unwrap();
        socket.connect(server.address).await.unwrap()
    });
    let stream = stream.into_std().unwrap();
    stream.set_nonblocking(false).unwrap();
    stream
}

/// Asks whether the server is alive; the connection stays open.
fn is_answered(stream: &mut TcpStream) -> bool {
    let mut status = [0; 12];
    let asked = stream.write_all(b"GET /healthz HTTP/1.1\r\nhost: localhost\r\n\r\n");
    asked.and_then(|()| stream.read_exact(&mut status)).is_ok() && &status == b"HTTP/1.1 200"
}

#[test]
fn one_address_has_its_share_of_connections() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("s.toml");
    fs::write(&file, "[http]\nmax-connections = 8\n").unwrap();
    let server = Server::start(&home.path().join("data"), &["--config", file.to_str().unwrap()]);
    let mut held: Vec<_> = (0..2).map(|_| server.connect()).collect();
    assert!(held.iter_mut().all(is_answered));
    // At once, not when the others end.
    closes(server.connect());
    let mut other = connect_from(&server, [127, 0, 0, 2]);
    assert!(is_answered(&mut other));
    // What ends gives its place back.
    drop(held.pop());
    while !is_answered(&mut server.connect()) {}
}

/// Sends the beginning of a form and waits until the server reads it.
fn half_a_form(mut stream: TcpStream) -> TcpStream {
    write!(
        stream,
        "POST /oauth2/token HTTP/1.1\r\nhost: localhost\r\nexpect: 100-continue\r\n\
         content-type: application/x-www-form-urlencoded\r\ncontent-length: 9\r\n\r\n"
    )
    .unwrap();
    let mut told = [0; 25];
    stream.read_exact(&mut told).unwrap();
    assert_eq!(&told, b"HTTP/1.1 100 Continue\r\n\r\n");
    stream
}

#[test]
fn one_client_has_its_share_of_requests() {
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("s.toml");
    fs::write(&file, "[http]\nmax-concurrent-requests = 8\n").unwrap();
    let server = Server::start(&home.path().join("data"), &["--config", file.to_str().unwrap()]);
    let _held: Vec<_> = (0..2).map(|_| half_a_form(server.connect())).collect();
    let (head, _) = server.request("GET /oauth2/jwks", &[], "");
    assert!(head.starts_with("HTTP/1.1 429"), "{head}");
    assert_eq!(header(&head, "retry-after"), Some("1"));
    let mut other = connect_from(&server, [127, 0, 0, 2]);
    write!(other, "GET /oauth2/jwks HTTP/1.1\r\nhost: localhost\r\n\r\n").unwrap();
    let mut status = [0; 12];
    other.read_exact(&mut status).unwrap();
    assert_eq!(&status, b"HTTP/1.1 200");
}

#[test]
fn a_silent_connection_is_closed_behind_tls_too() {
    let home = tempfile::tempdir().unwrap();
    let data = home.path().join("data");
    let server = Server::start(&data, &["--tls", "on", "--config", &settings(home.path())]);
    // Before the handshake.
    closes(server.connect());
    // And after it.
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(data.join("ca.pem")).unwrap()).unwrap();
    let config = ClientConfig::builder().with_root_certificates(roots).with_no_client_auth();
    let name = ServerName::try_from("localhost").unwrap();
    let client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut stream = StreamOwned::new(client, server.connect());
    while stream.conn.is_handshaking() {
        stream.conn.complete_io(&mut stream.sock).unwrap();
    }
    match stream.read(&mut [0; 1]) {
        Ok(read) => assert_eq!(read, 0),
        Err(error) => assert!(
            matches!(error.kind(), ErrorKind::UnexpectedEof | ErrorKind::ConnectionReset),
            "the server keeps it open: {error}"
        ),
    }
}

#[test]
fn connections_that_wait_leave_files_to_open() {
    const MOST: u32 = 320;
    let home = tempfile::tempdir().unwrap();
    let mut server = Server::start_with_open_files(&home.path().join("data"), &[], MOST);
    // It says that the limit is low.
    server.wait_for("http.max-connections");
    let open = || fs::read_dir(format!("/proc/{}/fd", server.process.id())).unwrap().count();
    // From many addresses, none of which has more than its share, and none of which says anything.
    let mut silent: Vec<_> =
        (0..600_u16).map(|n| connect_from(&server, [127, 1, u8::try_from(n % 200).unwrap(), 1])).collect();
    // What is refused is closed at once, so that the last ones say when the server has seen all of them.
    for stream in silent.drain(300..) {
        closes(stream);
    }
    let open = open();
    assert!(open + 100 < MOST as usize, "{open} are open: none is left for the database and for tasks");
    drop(silent);
    while !is_answered(&mut server.connect()) {}
    server.signal("TERM");
    assert!(server.wait().success());
    assert!(!server.greeting.contains("Too many open files"), "{}", server.greeting);
}
