//! The connections to the console and to apps: HTTP/1.1, which `WebSockets` need.

use std::{io, path::Path, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{self, connect::HttpConnector},
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, pem::PemObject as _},
};

use flyte_settings::UpstreamConfig;

/// How long a connection without requests is kept.
const IDLE: Duration = Duration::from_secs(60);

/// Sends requests to the console and to apps.
#[derive(Clone, Debug)]
pub(super) struct Client(legacy::Client<HttpsConnector<HttpConnector>, Body>);

impl Client {
    /// Trusts the authorities of the setting `upstream.authority-file`, or else those of the machine.
    pub(super) fn new(upstream: &UpstreamConfig) -> Self {
        let roots = roots(upstream.authority_file.as_deref()).unwrap_or_else(|error| {
            // The server checks the file at its start. Connections without encryption need no authority.
            tracing::error!(%error, "the certificate authorities for the console and apps cannot be read");
            RootCertStore::empty()
        });
        Self::with(roots, Duration::from_secs(upstream.connect_timeout.unsigned_abs()))
    }

    /// Trusts nothing: tests connect without TLS.
    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        Self::with(RootCertStore::empty(), IDLE)
    }

    fn with(roots: RootCertStore, connect_timeout: Duration) -> Self {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            // The provider has cipher suites for both versions.
            .unwrap_or_else(|_| ClientConfig::builder())
            .with_root_certificates(roots)
            .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(connect_timeout));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            // A request that may have been handled is not sent again.
            .retry_canceled_requests(false)
            .build(https.wrap_connector(http));
        Self(client)
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, legacy::Error> {
        self.0.request(request).await
    }
}

fn roots(authority_file: Option<&Path>) -> io::Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    let certificates: Vec<CertificateDer<'static>> = match authority_file {
        Some(file) => {
            let read = CertificateDer::pem_file_iter(file).map_err(io::Error::other)?;
            read.collect::<Result<_, _>>().map_err(io::Error::other)?
        }
        None => rustls_native_certs::load_native_certs().certs,
    };
    roots.add_parsable_certificates(certificates);
    Ok(roots)
}
