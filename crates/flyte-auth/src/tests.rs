//! Tests of the whole crate with a small server, over TLS.
//!
//! These tests are inside the crate so that they can replace the store of a session: they never touch a developer's keyring.
//! `tests/secret_service.rs` tests a real keyring in a separate session bus.

mod device;
mod discovery;
mod http;
mod machines;
mod person;
mod processes;
mod realm;
mod root_cause;
mod sign_in;
mod sign_in_once;
mod step_up;
mod transport;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_server::tls_rustls::RustlsConfig;
use flyte_config::{AuthType, Endpoint, StoreKind};
use flyte_idl::flyteidl2::auth::{GetOAuth2MetadataResponse, GetPublicClientConfigResponse};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use self::{
    person::{AtTheScreen, Habit, Person},
    realm::{Parameters, Realm, Rules, Shared, date},
};
use crate::{
    Credentials, Interaction, Session, SessionOptions,
    clock::Clock,
    discovery::Overrides,
    http::HttpOptions,
    oauth::ClientId,
    store::{Login, LoginDetails},
    token::fingerprint,
};

const NOW: i64 = 1_700_000_000;

/// The kinds of server certificates.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Certificate {
    Good,
    Expired,
    NotYetValid,
    ForAnotherName,
    SelfSigned,
    /// Self-signed and marked as an authority, as `openssl req -x509` creates it.
    Authority,
}

/// A running TLS server, and the client's options for it.
struct Served {
    directory: tempfile::TempDir,
    port: u16,
}

impl Served {
    async fn new(certificate: Certificate, router: impl FnOnce(u16) -> Router) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (authority_key, leaf_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
        std::fs::write(directory.path().join("ca.pem"), authority.self_signed(&authority_key).unwrap().pem())
            .unwrap();
        let name = if certificate == Certificate::ForAnotherName { "other.example" } else { "localhost" };
        let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        match certificate {
            Certificate::Expired => leaf.not_after = date_time_ymd(2001, 1, 1),
            Certificate::NotYetValid => leaf.not_before = date_time_ymd(2099, 1, 1),
            Certificate::Authority => leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            _ => {}
        }
        let leaf = match certificate {
            Certificate::SelfSigned | Certificate::Authority => leaf.self_signed(&leaf_key),
            _ => leaf.signed_by(&leaf_key, &Issuer::new(authority, authority_key)),
        }
        .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = RustlsConfig::from_pem(leaf.pem().into_bytes(), leaf_key.serialize_pem().into_bytes())
            .await
            .unwrap();
        let router = router(port);
        tokio::spawn(axum_server::from_tcp_rustls(listener, tls).unwrap().serve(router.into_make_service()));
        Self { directory, port }
    }

    fn endpoint(&self) -> Endpoint {
        format!("localhost:{}", self.port).parse().unwrap()
    }

    fn url(&self, path: &str) -> Url {
        self.endpoint().url().join(path).unwrap()
    }

    fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn http_options(&self) -> HttpOptions {
        HttpOptions { ca_cert_file: Some(self.ca_file()), ..HttpOptions::default() }
    }

    fn http(&self) -> crate::http::Http {
        crate::http::Http::new(&self.http_options(), self.endpoint().url().clone()).unwrap()
    }

    /// Creates a session with tokens in memory only.
    fn session(&self, interaction: Arc<dyn Interaction>) -> Arc<Session> {
        Session::new(self.options(interaction))
    }

    /// Creates a session with tokens in the encrypted file, which other processes can read.
    fn session_on_disk(&self, interaction: Arc<dyn Interaction>) -> Arc<Session> {
        Session::new(SessionOptions { token_store: Some(StoreKind::File), ..self.options(interaction) })
    }

    fn options(&self, interaction: Arc<dyn Interaction>) -> SessionOptions {
        SessionOptions {
            endpoint: self.endpoint(),
            auth_type: AuthType::Pkce,
            auth_type_chosen: true,
            headless: false,
            match_number: false,
            credentials: Credentials::default(),
            http: self.http_options(),
            overrides: Overrides::default(),
            token_store: Some(StoreKind::Memory),
            data_dir: Some(self.directory.path().join("data")),
            state_dir: Some(self.directory.path().join("state")),
            interaction,
            clock: Clock::manual(NOW),
        }
    }
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A login that expires an hour after [`NOW`].
fn login(access: &str, refresh: &str) -> Login {
    Login {
        access_token: SecretString::from(access),
        refresh_token: Some(SecretString::from(refresh)),
        details: Some(LoginDetails {
            access_token_sha256: fingerprint(access),
            issued_at: Some(NOW),
            expires_at: Some(NOW + 3600),
            scopes: Vec::new(),
            client_id: ClientId::parse("flyte").unwrap(),
            issuer: String::new(),
            subject: None,
            auth_type: "Pkce".to_owned(),
        }),
    }
}
