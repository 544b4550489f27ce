//! The certificate of the server's own authority, for clients that have to trust it.

use std::sync::Arc;

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    extract::State,
    http::{StatusCode, header},
    response::{IntoResponse as _, Response},
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};

use super::error::error_page;
use crate::app::App;
use flyte_settings::TlsSource;

/// Its path on the server.
pub(super) const PATH: &str = "/ca.pem";

/// The authority's certificate as PEM; `None` if the server has its certificate from elsewhere.
fn pem(app: &App) -> Option<String> {
    if app.config.tls.source != TlsSource::LocalAuthority {
        return None;
    }
    std::fs::read_to_string(app.config.data_dir.join("ca.pem")).ok()
}

/// The SHA-256 fingerprint of the authority's certificate, as other tools show it.
pub(super) fn fingerprint(app: &App) -> Option<String> {
    let certificate = CertificateDer::from_pem_slice(pem(app)?.as_bytes()).ok()?;
    let bytes = digest(&SHA256, &certificate);
    Some(bytes.as_ref().iter().map(|byte| format!("{byte:02X}")).collect::<Vec<_>>().join(":"))
}

/// `GET /ca.pem`
pub(super) async fn serve(State(app): State<Arc<App>>) -> Response {
    match pem(&app) {
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
            "This server's certificate is not from an authority of its own.",
        ),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use http_body_util::BodyExt as _;

    use super::*;
    use crate::{
        testing,
        tls::{Authority, Name},
    };

    #[tokio::test]
    async fn it_is_offered_while_it_is_in_use() {
        let home = tempfile::tempdir().unwrap();
        let names = BTreeSet::from([Name::parse("localhost")]);
        let authority = Authority::load_or_create(home.path(), &names, testing::NOW).unwrap();
        std::fs::write(home.path().join("ca.pem"), authority.certificate_pem()).unwrap();
        let directory = home.path().to_owned();
        let app = Arc::new(testing::app(move |config| config.data_dir = directory).await);
        let shown = fingerprint(&app).unwrap();
        let bytes: Vec<_> = shown.split(':').map(|byte| u8::from_str_radix(byte, 16).unwrap()).collect();
        let certificate = CertificateDer::from_pem_slice(authority.certificate_pem().as_bytes()).unwrap();
        assert_eq!(bytes, digest(&SHA256, &certificate).as_ref());
        let answer = serve(State(app)).await;
        assert_eq!(answer.status(), StatusCode::OK);
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        assert_eq!(body, authority.certificate_pem());

        let directory = home.path().to_owned();
        let app = testing::app(move |config| {
            config.data_dir = directory;
            config.tls.source = TlsSource::Files { certificate: "c".into(), key: "k".into() };
        });
        let app = Arc::new(app.await);
        assert_eq!(fingerprint(&app), None);
        assert_eq!(serve(State(app)).await.status(), StatusCode::NOT_FOUND);
    }
}
