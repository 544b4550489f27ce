//! What a stranger's connections can hold up.

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

use crate::server::Server;

fn settings(home: &std::path::Path) -> String {
    let file = home.join("s.toml");
    fs::write(&file, "[http]\nheader-timeout = \"1s\"\nmax-connections = 4\n").unwrap();
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
fn a_connection_that_says_nothing_is_closed() {
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
fn silent_connections_give_their_places_back() {
    let home = tempfile::tempdir().unwrap();
    let server = Server::start(&home.path().join("data"), &["--config", &settings(home.path())]);
    let silent: Vec<_> = (0..4).map(|_| server.connect()).collect();
    assert!(server.request("GET /healthz", &[], "").0.starts_with("HTTP/1.1 200"), "after a second");
    silent.into_iter().for_each(closes);
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
