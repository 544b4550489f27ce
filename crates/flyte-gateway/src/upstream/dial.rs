//! New connections to an address, with or without TLS.

use std::{io, net::SocketAddr, path::Path, sync::Arc, time::Duration};

use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _},
};
use socket2::{SockRef, TcpKeepalive};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use super::UpstreamError;
use crate::options::{HttpVersion, TlsOptions, UpstreamOptions};

/// How many probes of a silent connection must be lost.
const TCP_PROBES: u32 = 3;

/// A connection that has begun.
pub(super) enum Stream {
    /// Without encryption.
    Plain(TcpStream),
    /// With TLS, and whether HTTP/2 was agreed on.
    Tls(Box<TlsStream<TcpStream>>, bool),
}

/// Connects to an address.
pub(super) async fn dial(options: &UpstreamOptions, address: SocketAddr) -> Result<Stream, UpstreamError> {
    let tcp = TcpStream::connect(address).await.map_err(UpstreamError::connect)?;
    tcp.set_nodelay(true).map_err(UpstreamError::connect)?;
    // HTTP/1.1 has no pings.
    let keep_alive = TcpKeepalive::new()
        .with_time(options.keep_alive_interval.max(Duration::from_secs(1)))
        .with_interval((options.keep_alive_timeout / TCP_PROBES).max(Duration::from_secs(1)))
        .with_retries(TCP_PROBES);
    SockRef::from(&tcp).set_tcp_keepalive(&keep_alive).map_err(UpstreamError::connect)?;
    if options.url.scheme() != "https" {
        return Ok(Stream::Plain(tcp));
    }
    let setup = |error| UpstreamError::Tls(Arc::new(error));
    let config = client_config(&options.tls, options.http).await.map_err(setup)?;
    let name = options.tls.server_name.as_deref().or(options.url.host_str()).unwrap_or_default();
    // An IPv6 address is in brackets in a URL.
    let name = ServerName::try_from(name.trim_matches(['[', ']']).to_owned());
    let name = name.map_err(|error| setup(io::Error::other(error)))?;
    let connector = TlsConnector::from(Arc::new(config));
    let tls = connector.connect(name, tcp).await.map_err(UpstreamError::connect)?;
    let is_http2 = tls.get_ref().1.alpn_protocol() == Some(b"h2");
    Ok(Stream::Tls(Box::new(tls), is_http2))
}

async fn client_config(tls: &TlsOptions, http: HttpVersion) -> io::Result<ClientConfig> {
    let mut roots = RootCertStore::empty();
    match &tls.ca {
        Some(file) => {
            for certificate in certificates(file).await? {
                roots.add(certificate).map_err(|error| in_file(file, error))?;
            }
        }
        None => {
            let system = tokio::task::spawn_blocking(rustls_native_certs::load_native_certs).await?;
            // Some of the system's files may be unreadable; the others count.
            roots.add_parsable_certificates(system.certs);
        }
    }
    let builder = ClientConfig::builder().with_root_certificates(roots);
    let mut config = match (&tls.certificate, &tls.key) {
        (Some(certificate), Some(key)) => {
            let chain = certificates(certificate).await?;
            let pem = secrecy::SecretSlice::from(read(key).await?);
            let private = PrivateKeyDer::from_pem_slice(secrecy::ExposeSecret::expose_secret(&pem))
                .map_err(|error| in_file(key, error))?;
            builder.with_client_auth_cert(chain, private).map_err(|error| in_file(certificate, error))?
        }
        (None, None) => builder.with_no_client_auth(),
        (Some(_), None) | (None, Some(_)) => {
            return Err(io::Error::other("mutual TLS needs both a certificate and its key"));
        }
    };
    config.alpn_protocols = match http {
        HttpVersion::Auto => vec![b"h2".to_vec(), b"http/1.1".to_vec()],
        HttpVersion::Http1 => vec![b"http/1.1".to_vec()],
        HttpVersion::Http2 => vec![b"h2".to_vec()],
    };
    Ok(config)
}

async fn certificates(file: &Path) -> io::Result<Vec<CertificateDer<'static>>> {
    let pem = read(file).await?;
    CertificateDer::pem_slice_iter(&pem).collect::<Result<_, _>>().map_err(|error| in_file(file, error))
}

async fn read(file: &Path) -> io::Result<Vec<u8>> {
    tokio::fs::read(file).await.map_err(|error| in_file(file, error))
}

fn in_file(file: &Path, error: impl std::fmt::Display) -> io::Error {
    io::Error::other(format!("{}: {error}", file.display()))
}
