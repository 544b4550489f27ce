//! A signed-in user's visit to a page.

use std::sync::Arc;

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, StatusCode, request::Parts},
    response::Response,
};
use connectrpc::client::ClientConfig;
use flyte_pages::{AdminView, Link, admin_page};

use crate::{
    AdminPages,
    area::{self, Area},
    given::Given,
    refusal::Refusal,
};
use flyte_access::{Caller, door::Door};
use flyte_model::clock::UnixTime;
use flyte_rpc::Local;
use flyte_settings::reserved;

/// The address of calls within this process. No connection is made to it.
const HERE: &str = "http://localhost";

/// A signed-in user, and the calls as that user.
pub(crate) struct Visit {
    /// The user's e-mail address.
    pub(crate) email: String,
    /// The user's subject.
    pub(crate) subject: String,
    /// The transport of calls.
    pub(crate) calls: Local,
    /// What the generated clients need beside the transport.
    pub(crate) config: ClientConfig,
    /// The headers of the request.
    pub(crate) headers: HeaderMap,
    /// The path and the query of the request.
    pub(crate) path: String,
    /// The current time.
    pub(crate) now: UnixTime,
}

/// Creates a client of a service for a visit.
macro_rules! client {
    ($visit:expr, $client:ident) => {
        $client::new($visit.calls.clone(), $visit.config.clone())
    };
}
pub(crate) use client;

impl FromRequestParts<Arc<AdminPages>> for Visit {
    type Rejection = Refusal;

    async fn from_request_parts(parts: &mut Parts, pages: &Arc<AdminPages>) -> Result<Self, Refusal> {
        let path = parts.uri.path_and_query().map_or_else(String::new, |path| path.as_str().to_owned());
        let signed_in = pages.sessions.current(&parts.headers).await.map_err(Refusal::Store)?;
        let signed_in = signed_in.ok_or_else(|| Refusal::SignIn(path.clone()))?;
        let caller = pages.access.caller_of_session(&signed_in.user, &signed_in.session).await;
        // The audit log says by what a change was made.
        let caller = Caller { client_id: reserved::ADMIN_PAGES, ..caller.map_err(Refusal::Store)? };
        Ok(Self {
            calls: pages.services.by(Arc::new(caller)),
            email: signed_in.user.email,
            subject: signed_in.user.id,
            config: ClientConfig::new(axum::http::Uri::from_static(HERE)),
            headers: parts.headers.clone(),
            path,
            now: pages.clock.now(),
        })
    }
}

impl Visit {
    /// Whether the door lets the user make this call (`package.Service/Method`), as far as it can say without the request.
    pub(crate) fn may(&self, rpc: &str) -> bool {
        Door::published().admit(self.calls.caller(), &format!("/{rpc}")).is_ok()
    }

    /// The page of a view in an area. The crumbs of the view follow those to the area.
    pub(crate) fn page(&self, area: Area, given: &Given, view: AdminView) -> Response {
        let link = |href: &str, text: &str| Link { href: href.to_owned(), text: text.to_owned() };
        let mut crumbs = vec![link("/", "Home"), link("/admin", "Administration")];
        if self.path.split('?').next() != Some(area.href()) {
            crumbs.push(link(area.href(), area.title()));
        }
        crumbs.extend(view.crumbs);
        let view = AdminView {
            email: self.email.clone(),
            tabs: area::tabs(self, Some(area)),
            crumbs,
            notice: given.notice,
            alert: given.alert.clone(),
            ..view
        };
        admin_page(&self.headers, given.status, &view)
    }

    /// The first page, which is in no area.
    pub(crate) fn first_page(&self, view: AdminView) -> Response {
        let view = AdminView {
            email: self.email.clone(),
            crumbs: vec![Link { href: "/".to_owned(), text: "Home".to_owned() }],
            ..view
        };
        admin_page(&self.headers, StatusCode::OK, &view)
    }
}
