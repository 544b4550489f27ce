//! `GET /`: the home page.

use std::{fmt, sync::Arc};

use axum::{Extension, extract::State, http::HeaderMap, response::Response};
use flyte_identity::session::SignedIn;
use flyte_pages::{HomeView, Overview, home_page, internal_error_page};
use futures_util::future::BoxFuture;

use super::authority;
use crate::AuthorizationServer;

/// Says what a signed-in user has on this server. An extension of the request, because the authorization server knows no
/// control plane.
#[derive(Clone)]
pub struct OverviewSource(pub Arc<dyn Fn(SignedIn) -> BoxFuture<'static, Overview> + Send + Sync>);

impl fmt::Debug for OverviewSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("OverviewSource").finish_non_exhaustive()
    }
}

/// `GET /`
pub(super) async fn show(
    State(server): State<Arc<AuthorizationServer>>,
    source: Option<Extension<OverviewSource>>,
    headers: HeaderMap,
) -> Response {
    let signed_in = match server.sessions.current(&headers).await {
        Ok(signed_in) => signed_in,
        Err(error) => return internal_error_page(&error),
    };
    let overview = match (&signed_in, source) {
        (Some(signed_in), Some(Extension(OverviewSource(source)))) => source(signed_in.clone()).await,
        _ => Overview::default(),
    };
    let view = HomeView {
        signed_in: signed_in.as_ref().map(|signed_in| (signed_in.user.email.as_str(), overview)),
        fingerprint: authority::fingerprint(&server.config),
    };
    home_page(&server.config, &headers, &view)
}
