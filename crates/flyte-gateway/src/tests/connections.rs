//! Connections to the backend: dead ones, encrypted ones, too many calls.

use std::{net::SocketAddr, path::Path, sync::Arc, time::Duration};

use bytes::Bytes;
use rcgen::{BasicConstraints, CertificateParams, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::{RootCertStore, ServerConfig, pki_types::PrivateKeyDer, server::WebPkiClientVerifier};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
};
use tokio_rustls::TlsAcceptor;

use super::{
    STREAM, UNARY,
    backend::{Backend, Exchange, answer},
    client::{Client, of_type},
    flyte::{CREATE_RUN, field, request},
    frame,
    gateway::{Served, caller},
};

/// A cable to a backend that can be cut, so that neither end notices.
struct Cable {
    address: SocketAddr,
    cut: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Cable {
    async fn to(backend: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, cut) = (listener.local_addr().unwrap(), watch::Sender::new(false));
        let mut tasks = JoinSet::new();
        let is_cut = cut.subscribe();
        tasks.spawn(async move {
            let mut cables = JoinSet::new();
            while let Ok((mut one, _)) = listener.accept().await {
                let mut is_cut = is_cut.clone();
                cables.spawn(async move {
                    let mut other = TcpStream::connect(backend).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut one, &mut other) => return,
                        _ = is_cut.wait_for(|is_cut| *is_cut) => {}
                    }
                    // Both ends stay open.
                    std::future::pending::<()>().await;
                });
            }
        });
        Self { address, cut, _tasks: tasks }
    }
}

#[tokio::test]
async fn a_backend_that_is_gone_without_a_word_ends_its_streams() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        let mut stream = exchange.head("application/grpc");
        stream.send_data(frame(0, b"message"), false).unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let cable = Cable::to(backend.address).await;
    let served = Served::with(cable.address, caller(), |options| {
        options.upstreams[0].keep_alive_interval = Duration::from_millis(50);
        options.upstreams[0].keep_alive_timeout = Duration::from_millis(200);
    })
    .await;
    let client = Client::new(served.address).await;
    let mut open = client.open(STREAM, &of_type("application/grpc"), frame(0, b"")).await;
    assert!(open.data().await.unwrap().is_ok());
    cable.cut.send_replace(true);
    let got = open.finish().await;
    assert_eq!(got.grpc_status(), Some("14"), "{got:?}");
}

#[tokio::test]
async fn three_hundred_streams_pass_a_limit_of_a_hundred() {
    let backend = Backend::with_streams(Some(100), |mut exchange| async move {
        let _ = exchange.read().await;
        let mut stream = exchange.head("application/grpc");
        stream.send_data(frame(0, b"message"), false).unwrap();
        let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    })
    .await;
    let served = Served::with(backend.address, caller(), |_| {}).await;
    let mut open = Vec::new();
    for _ in 0..3 {
        let client = Client::new(served.address).await;
        for _ in 0..100 {
            let mut one = client.open(STREAM, &of_type("application/grpc"), frame(0, b"")).await;
            assert_eq!(one.data().await.unwrap().unwrap(), frame(0, b"message"));
            open.push(one);
        }
    }
    assert_eq!(open.len(), 300);
    assert!((3..=5).contains(&backend.connections.load(std::sync::atomic::Ordering::SeqCst)));
}

#[tokio::test]
async fn too_many_calls_are_shed_in_the_callers_protocol() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        std::future::pending::<()>().await;
    })
    .await;
    let served = Served::with(backend.address, caller(), |options| options.max_concurrent_calls = 2).await;
    let client = Client::new(served.address).await;
    let mut waiting = Vec::new();
    for _ in 0..2 {
        let (answer, mut request) = client.start(UNARY, &of_type("application/proto")).await;
        request.send_data(Bytes::new(), true).unwrap();
        waiting.push((answer, request));
    }
    while backend.received().len() < 2 {
        tokio::task::yield_now().await;
    }
    let got = client.call(UNARY, &of_type("application/proto"), "").await;
    assert_eq!(got.status.as_u16(), 429);
    let got = client.call(STREAM, &of_type("application/grpc"), frame(0, b"")).await;
    assert_eq!(got.grpc_status(), Some("8"));
    assert_eq!(backend.received().len(), 2);
    // Cancelled calls make room.
    waiting.clear();
    let (answer, mut request) = loop {
        let (answer, mut request) = client.start(UNARY, &of_type("application/proto")).await;
        request.send_data(Bytes::new(), true).unwrap();
        if tokio::time::timeout(Duration::from_millis(50), answer).await.is_err() {
            break client.start(UNARY, &of_type("application/proto")).await;
        }
    };
    request.send_data(Bytes::new(), true).unwrap();
    drop(answer);
}

#[tokio::test]
async fn a_run_that_starts_is_a_call_although_its_caller_has_gone() {
    for content_type in ["application/proto", "application/connect+proto"] {
        let (go, gone) = tokio::sync::watch::channel(false);
        let backend = Backend::new(move |mut exchange| {
            let mut gone = gone.clone();
            async move {
                let body = exchange.read().await.unwrap_or_default();
                if exchange.head.uri.path() == CREATE_RUN {
                    let _ = gone.wait_for(|gone| *gone).await;
                }
                answer(&mut exchange, body);
            }
        })
        .await;
        let served =
            Served::with(backend.address, caller(), |options| options.max_concurrent_calls = 2).await;
        // The first one opens connections.
        let client = Client::new(served.address).await;
        assert_eq!(client.call(UNARY, &of_type("application/proto"), "").await.status.as_u16(), 200);
        // Without a name, in a project.
        let run = field(6, &[field(2, b"development"), field(3, b"mine")].concat());
        let run = request(content_type, &run, &serde_json::Value::Null);
        for started in 1..=2 {
            let (answer, mut body) = client.start(CREATE_RUN, &of_type(content_type)).await;
            body.send_data(run.clone(), true).unwrap();
            while backend.received().len() < started + 1 {
                tokio::task::yield_now().await;
            }
            body.send_reset(h2::Reason::CANCEL);
            drop(answer);
        }
        // The same connection, so the resets have arrived before these.
        for _ in 0..20 {
            let got = client.call(UNARY, &of_type("application/proto"), "").await;
            assert_eq!(got.status.as_u16(), 429, "{content_type}");
        }
        assert_eq!(backend.received().len(), 3);
        // They make room when they end.
        go.send(true).unwrap();
        let room = async {
            while client.call(UNARY, &of_type("application/proto"), "").await.status.as_u16() != 200 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(super::PATIENCE, room).await.unwrap();
    }
}

#[tokio::test]
async fn silent_streams_leave_room_for_other_calls() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        if exchange.head.uri.path() == UNARY {
            return answer(&mut exchange, Bytes::new());
        }
        std::future::pending::<()>().await;
    })
    .await;
    let served = Served::with(backend.address, caller(), |options| options.max_concurrent_calls = 2).await;
    let client = Client::new(served.address).await;
    let mut silent = Vec::new();
    for opened in 1..=10 {
        let (answer, mut request) = client.start(STREAM, &of_type("application/grpc")).await;
        request.send_data(frame(0, b""), true).unwrap();
        silent.push((answer, request));
        while backend.received().len() < opened {
            tokio::task::yield_now().await;
        }
    }
    let got = client.call(UNARY, &of_type("application/proto"), "").await;
    assert_eq!(got.status, 200, "{got:?}");
}

/// An authority and what it has signed, as PEM files.
struct Authority {
    directory: tempfile::TempDir,
    issuer: Issuer<'static, KeyPair>,
}

impl Authority {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let certificate = params.self_signed(&key).unwrap();
        std::fs::write(directory.path().join("ca.pem"), certificate.pem()).unwrap();
        Self { directory, issuer: Issuer::new(params, key) }
    }

    fn sign(&self, name: &str, usage: ExtendedKeyUsagePurpose) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec!["backend.example.com".to_owned()]).unwrap();
        params.extended_key_usages = vec![usage];
        let certificate = params.signed_by(&key, &self.issuer).unwrap();
        std::fs::write(self.path(&format!("{name}.pem")), certificate.pem()).unwrap();
        std::fs::write(self.path(&format!("{name}.key")), key.serialize_pem()).unwrap();
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.directory.path().join(name)
    }

    fn certificates(file: &Path) -> Vec<rustls::pki_types::CertificateDer<'static>> {
        use rustls::pki_types::pem::PemObject as _;
        rustls::pki_types::CertificateDer::pem_file_iter(file).unwrap().map(Result::unwrap).collect()
    }

    /// A server that speaks one version of HTTP, and demands our certificate.
    fn acceptor(&self, protocol: &[u8]) -> TlsAcceptor {
        use rustls::pki_types::pem::PemObject as _;
        let mut roots = RootCertStore::empty();
        roots.add_parsable_certificates(Self::certificates(&self.path("ca.pem")));
        let verifier = WebPkiClientVerifier::builder(Arc::new(roots)).build().unwrap();
        let mut config = ServerConfig::builder()
            .with_client_cert_verifier(verifier)
            .with_single_cert(
                Self::certificates(&self.path("server.pem")),
                PrivateKeyDer::from_pem_file(self.path("server.key")).unwrap(),
            )
            .unwrap();
        config.alpn_protocols = vec![protocol.to_vec()];
        Arc::new(config).into()
    }
}

#[tokio::test]
async fn tls_needs_the_right_certificates_on_both_sides() {
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let authority = Authority::new();
    authority.sign("server", ExtendedKeyUsagePurpose::ServerAuth);
    authority.sign("client", ExtendedKeyUsagePurpose::ClientAuth);
    for protocol in [b"h2".as_slice(), b"http/1.1"] {
        let acceptor = authority.acceptor(protocol);
        let is_http2 = protocol == b"h2";
        let backend = Backend::raw(move |tcp| {
            let acceptor = acceptor.clone();
            async move {
                let Ok(tls) = acceptor.accept(tcp).await else { return };
                if !is_http2 {
                    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
                    let mut tls = tls;
                    let mut request = [0; 4096];
                    let length = tls.read(&mut request).await.unwrap();
                    assert!(request[..length].starts_with(b"POST /flyteidl2"));
                    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 4\r\n\r\ndone";
                    tls.write_all(answer).await.unwrap();
                    let _ = tls.read(&mut request).await;
                    return;
                }
                let mut connection = h2::server::handshake(tls).await.unwrap();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let (head, body) = request.into_parts();
                    let mut exchange = Exchange { head, body, respond };
                    tokio::spawn(async move {
                        let _ = exchange.read().await;
                        answer(&mut exchange, Bytes::from_static(b"done"));
                    });
                }
            }
        })
        .await;
        for (name, certificate, is_right) in [
            ("backend.example.com", Some("client"), true),
            ("backend.example.com", None, false),
            ("other.example.com", Some("client"), false),
        ] {
            let served = Served::with(backend.address, caller(), |options| {
                let upstream = &mut options.upstreams[0];
                upstream.url = format!("https://{}", backend.address).parse().unwrap();
                upstream.tls.ca = Some(authority.path("ca.pem"));
                upstream.tls.certificate = certificate.map(|name| authority.path(&format!("{name}.pem")));
                upstream.tls.key = certificate.map(|name| authority.path(&format!("{name}.key")));
                upstream.tls.server_name = Some(name.to_owned());
            })
            .await;
            let client = Client::new(served.address).await;
            let got = client.call(UNARY, &of_type("application/proto"), "").await;
            let is_done = got.status == 200 && got.text() == "done";
            assert_eq!(is_done, is_right, "{name} {certificate:?}: {got:?}");
            if !is_right {
                assert_eq!(got.status.as_u16(), 503, "{got:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_thousand_honest_cancels_on_one_connection_are_no_attack() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        let mut stream = exchange.head("application/grpc");
        let _ = stream.send_data(frame(0, b"message"), false);
        let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    for _ in 0..20 {
        let mut open = Vec::new();
        for _ in 0..50 {
            open.push(client.open(STREAM, &of_type("application/grpc"), frame(0, b"")).await);
        }
        for one in &mut open {
            assert!(one.data().await.unwrap().is_ok());
            one.request.send_reset(h2::Reason::CANCEL);
        }
    }
    let mut last = client.open(STREAM, &of_type("application/grpc"), frame(0, b"")).await;
    assert!(last.data().await.unwrap().is_ok());
    assert_eq!(backend.connections.load(std::sync::atomic::Ordering::SeqCst), 1);
}

#[tokio::test]
async fn messages_of_five_mebibytes_pass_and_bombs_do_not() {
    let backend = Backend::echo().await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    // An unknown field.
    let mut large = vec![0xfa, 0x7f, 0x80, 0x80, 0xc0, 0x02];
    large.resize(large.len() + (5 << 20), b'x');
    for (content_type, body) in
        [("application/proto", Bytes::from(large.clone())), ("application/grpc", frame(0, &large))]
    {
        let got = client.call(UNARY, &of_type(content_type), body.clone()).await;
        assert!(got.status == 200 && got.body == body, "{content_type}: {:?}", (got.headers, got.trailers));
    }
    let before = backend.received().len();
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::copy(&mut std::io::Read::take(std::io::repeat(0), 24 << 20), &mut bomb).unwrap();
    let bomb = bomb.finish().unwrap();
    for (content_type, header, body) in [
        ("application/proto", "content-encoding", Bytes::from(bomb.clone())),
        ("application/grpc", "grpc-encoding", frame(1, &bomb)),
        ("application/connect+proto", "connect-content-encoding", frame(1, &bomb)),
    ] {
        let got = client.call(STREAM, &[("content-type", content_type), (header, "gzip")], body).await;
        assert!(got.grpc_status() == Some("8") || got.text().contains("resource_exhausted"), "{got:?}");
    }
    assert_eq!(backend.received().len(), before);
}
