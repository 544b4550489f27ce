//! The certificate of the server's own authority, for clients that must trust it.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use crate::AuthorizationServer;
use flyte_pages::error_page;
use flyte_settings::{Config, TlsSource};

/// The path of the certificate.
pub(super) const PATH: &str = "/ca.pem";

/// Returns the authority's certificate as PEM; `None` if the server uses another certificate.
fn pem(config: &Config) -> Option<String> {
    if config.tls.source != TlsSource::LocalAuthority {
        return None;
    }
    std::fs::read_to_string(config.data_dir.join("ca.pem")).ok()
}

/// Returns the SHA-256 fingerprint of the authority's certificate, formatted as in other tools.
pub(super) fn fingerprint(config: &Config) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem(config)?.as_bytes()).ok()?;
    let bytes = digest(&SHA256, &certificate);
    Some(bytes.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// `GET /ca.pem`
pub(super) async fn serve(State(server): State<Arc<AuthorizationServer>>) -> Response {
    match pem(&server.config) {
        Some(pem) => (
            [
                (header::CONTENT_TYPE, "application/x-pem-file"),
                (header::CONTENT_DISPOSITION, "attachment; filename=\"ca.pem\""),
                (header::CACHE_CONTROL, "no-store"),
            ],
            pem,
        )
            .into_response(),
        None => error_page(
            StatusCode::NOT_FOUND,
            "Not found",
            "This server does not use its own certificate authority.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;
    use crate::fixture;

    #[tokio::test]
    async fn the_certificate_is_offered_while_the_authority_is_used() {
        let home = tempfile::tempdir().unwrap();
        let authority = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap().cert.pem();
        std::fs::write(home.path().join("ca.pem"), &authority).unwrap();
        let directory = home.path().to_owned();
        let state = Arc::new(fixture::authorization_server(move |config| config.data_dir = directory).await);
        let shown = fingerprint(&state.config).unwrap();
        let bytes: Vec<_> = shown.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let certificate = CertificateDer::from_pem_slice(authority.as_bytes()).unwrap();
        assert_eq!(bytes, digest(&SHA256, &certificate).as_ref());
        let answer = serve(State(state)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, authority);

        let directory = home.path().to_owned();
        let state = fixture::authorization_server(move |config| {
            config.data_dir = directory;
            config.tls.source = TlsSource::Files { certificate: "c".into(), key: "k".into() };
        });
        let state = Arc::new(state.await);
        assert_eq!(fingerprint(&state.config), None);
        assert_eq!(serve(State(state)).await.status(), StatusCode::NOT_FOUND);
    }
}
