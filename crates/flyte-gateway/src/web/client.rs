//! The connections to the console and to apps: HTTP/1.1, which WebSockets need.

use std::{io, sync::Arc, time::Duration};

use axum::body::Body;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper_rustls::{ConfigBuilderExt as _, HttpsConnector, HttpsConnectorBuilder};
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

/// Why there is no client.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The certificate authorities cannot be read.
    #[error("the certificate authorities for the console and apps cannot be read: {0}")]
    Authorities(#[from] io::Error),
    /// The TLS library failed.
    #[error("the connection to the console and apps cannot be prepared: {0}")]
    Tls(#[from] rustls::Error),
}

/// Sends requests to the console and to apps.
#[derive(Clone, Debug)]
pub(super) struct Client(legacy::Client<HttpsConnector<HttpConnector>, Body>);

impl Client {
    /// Trusts the authorities of the setting `upstream.authority-file`, or else those of the machine.
    pub(super) fn new(upstream: &UpstreamConfig) -> Result<Self, ClientError> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions()?;
        let tls = match &upstream.authority_file {
            Some(file) => {
                let mut roots = RootCertStore::empty();
                let read = CertificateDer::pem_file_iter(file).map_err(io::Error::other)?;
                for certificate in read {
                    roots.add(certificate.map_err(io::Error::other)?)?;
                }
                tls.with_root_certificates(roots)
            }
            None => tls.with_native_roots()?,
        }
        .with_no_client_auth();
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_nodelay(true);
        http.set_connect_timeout(Some(Duration::from_secs(upstream.connect_timeout.unsigned_abs())));
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
        let client = legacy::Client::builder(TokioExecutor::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            // A request that may have been handled is not sent again.
            .retry_canceled_requests(false)
            .build(https.wrap_connector(http));
        Ok(Self(client))
    }

    /// Trusts nothing: tests connect without TLS.
    #[cfg(test)]
    pub(super) fn for_test() -> Self {
        let tls =
            ClientConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
                .with_safe_default_protocol_versions()
                .unwrap()
                .with_root_certificates(RootCertStore::empty())
                .with_no_client_auth();
        let https = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1().build();
        Self(legacy::Client::builder(TokioExecutor::new()).build(https))
    }

    pub(super) async fn send(&self, request: Request<Body>) -> Result<Response<Incoming>, legacy::Error> {
        self.0.request(request).await
    }
}
