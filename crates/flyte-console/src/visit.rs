//! A signed-in user's visit to a page.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, Method, header, request::Parts},
};
use connectrpc::client::ClientConfig;

use crate::{Console, refusal::Refusal};
use flyte_identity::session::SignedIn;
use flyte_rpc::Local;
use flyte_store::StoreError;

/// The address of calls within this process. No connection is made to it.
const HERE: &str = "http://localhost";

/// A signed-in user, and the calls as that user.
pub(crate) struct Visit {
    /// The user's e-mail address.
    pub(crate) email: String,
    /// Whether the user has no role anywhere.
    pub(crate) is_without_role: bool,
    /// The transport of calls.
    pub(crate) calls: Local,
    /// What the generated clients need beside the transport.
    pub(crate) config: ClientConfig,
}

/// Creates a client of a service for a visit.
macro_rules! client {
    ($visit:expr, $client:ident) => {
        $client::new($visit.calls.clone(), $visit.config.clone())
    };
}
pub(crate) use client;

impl FromRequestParts<Arc<Console>> for Visit {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, console: &Arc<Console>) -> Result<Self, Refusal> {
        let signed_in = console.sessions.current(&parts.headers).await.map_err(Refusal::Store)?;
        let Some(signed_in) = signed_in else {
            let path = parts.uri.path_and_query().map(|path| path.as_str().to_owned());
            return Err(match path {
                Some(path) if is_navigation(&parts.method, &parts.headers) => Refusal::SignIn(path),
                _ => Refusal::Unauthenticated,
            });
        };
        Self::new(console, &signed_in).await.map_err(Refusal::Store)
    }
}

impl Visit {
    /// The visit of a user whose session is valid.
    ///
    /// # Errors
    /// [`StoreError`] if the user's rights cannot be read.
    pub(crate) async fn new(console: &Console, signed_in: &SignedIn) -> Result<Self, StoreError> {
        let caller = console.access.caller_of_session(&signed_in.user, &signed_in.session).await?;
        Ok(Self {
            email: signed_in.user.email.clone(),
            is_without_role: caller.grants.is_empty(),
            calls: console.services.by(Arc::new(caller)),
            config: ClientConfig::new(axum::http::Uri::from_static(HERE)),
        })
    }
}

/// Whether a user has opened the address, and not the script of a page.
fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is = |name: &str, wanted: &str| headers.get(name).is_none_or(|value| value == wanted);
    let is_stream = headers.get(header::ACCEPT).is_some_and(|value| value == "text/event-stream");
    method == Method::GET && is("sec-fetch-mode", "navigate") && !is_stream
}
