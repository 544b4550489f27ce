//! A signed-in user's visit to a page.

use std::sync::Arc;

use axum::{
    Form,
    extract::{FromRequest, FromRequestParts, Request},
    http::{HeaderMap, Method, Uri, request::Parts},
};
use connectrpc::client::ClientConfig;
use flyte_identity::session::SignedIn;
use flyte_pages::{account::Frame, csrf};
use flyte_rpc::Local;
use flyte_settings::reserved;
use serde::{Deserialize, de::DeserializeOwned};

use crate::{Account, refusal::Refusal};

/// A visit of a user whose session is valid.
pub(crate) struct Visit {
    /// The user and the session.
    pub(crate) who: SignedIn,
    /// The headers of the request.
    pub(crate) headers: HeaderMap,
}

impl FromRequestParts<Arc<Account>> for Visit {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, account: &Arc<Account>) -> Result<Self, Refusal> {
        let Some(who) = account.sessions.current(&parts.headers).await? else {
            let path = parts.uri.path_and_query().map(|path| path.as_str().to_owned());
            return Err(match path {
                Some(path) if parts.method == Method::GET => Refusal::SignIn(path),
                _ => Refusal::Unauthenticated,
            });
        };
        Ok(Self { who, headers: parts.headers.clone() })
    }
}

/// The address of calls within this process. No connection is made to it.
const HERE: &str = "http://localhost";

impl Visit {
    /// The transport of RPCs as this user, and the configuration of their clients.
    pub(crate) async fn calls(&self, account: &Account) -> Result<(Local, ClientConfig), Refusal> {
        let mut caller = account.access.caller_of_session(&self.who.user, &self.who.session).await?;
        caller.client_id = reserved::ACCOUNT;
        let calls = account.services.by(Arc::new(caller));
        Ok((calls, ClientConfig::new(Uri::from_static(HERE))))
    }

    /// What all pages show.
    pub(crate) fn frame(&self) -> Frame<'_> {
        Frame { email: &self.who.user.email, notice: None, error: None }
    }

    /// The identifier of the user.
    pub(crate) fn user_id(&self) -> &str {
        &self.who.user.id
    }
}

/// The fields of a form from one of our own pages, in the same browser and session, and who sent it.
pub(crate) struct Posted<T> {
    pub(crate) visit: Visit,
    pub(crate) fields: T,
}

/// The field that all forms have.
#[derive(Deserialize)]
struct Token {
    #[serde(default, rename = "csrf")]
    token: String,
}

impl<T: DeserializeOwned> FromRequest<Arc<Account>> for Posted<T> {
    type Rejection = Refusal;

    async fn from_request(request: Request, account: &Arc<Account>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, account).await?;
        let bytes = axum::body::to_bytes(body, crate::MAX_FORM_BYTES).await.map_err(|_| Refusal::BadForm)?;
        let form = |bytes: axum::body::Bytes| {
            let request = Request::from_parts(parts.clone(), bytes.into());
            async move { request }
        };
        let token = Form::<Token>::from_request(form(bytes.clone()).await, account).await;
        let Form(Token { token }) = token.map_err(|_| Refusal::BadForm)?;
        if !csrf::verify(&visit.headers, &token) {
            return Err(Refusal::OutOfDate);
        }
        let fields = Form::<T>::from_request(form(bytes).await, account).await;
        let Form(fields) = fields.map_err(|_| Refusal::BadForm)?;
        Ok(Self { visit, fields })
    }
}
