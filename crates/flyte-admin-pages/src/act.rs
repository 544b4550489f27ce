//! A change that a form asks for.

use std::sync::Arc;

use axum::{
    body::Bytes,
    extract::{FromRequest, FromRequestParts as _, Request},
    response::{IntoResponse as _, Redirect, Response},
};
use connectrpc::ConnectError;

use crate::{
    AdminPages,
    given::{Given, Notice, Typed},
    refusal::{Refusal, alert},
    visit::Visit,
};
use flyte_access::policy::recently_signed_in;
use flyte_pages::csrf;

/// A form that a user has sent from a page of this server, within the time for which a sign-in counts as recent.
pub(crate) struct Act {
    /// The visit.
    pub(crate) visit: Visit,
    /// The fields.
    pub(crate) typed: Typed,
}

impl FromRequest<Arc<AdminPages>> for Act {
    type Rejection = Refusal;

    async fn from_request(request: Request, pages: &Arc<AdminPages>) -> Result<Self, Refusal> {
        let (mut parts, body) = request.into_parts();
        let visit = Visit::from_request_parts(&mut parts, pages).await?;
        let body = Bytes::from_request(Request::from_parts(parts, body), pages).await;
        let body = body.map_err(|rejection| Refusal::Unreadable(rejection.into_response().status()))?;
        let typed = Typed::parse(&body);
        if !csrf::verify(&visit.headers, typed.csrf()) {
            return Err(Refusal::OutOfDate);
        }
        if recently_signed_in(visit.calls.caller(), visit.now, "a change").is_err() {
            let again = (visit.headers, visit.email, visit.path);
            return Err(Refusal::SignInAgain(Box::new(again)));
        }
        Ok(Self { visit, typed })
    }
}

impl Act {
    /// What is to be done.
    pub(crate) fn name(&self) -> &str {
        self.typed.text("act")
    }

    /// What the page shows after a failed change.
    ///
    /// # Errors
    /// The refusal, if it has a page of its own.
    pub(crate) fn failed(&self, error: ConnectError) -> Result<Given, Refusal> {
        let (status, text) = alert(error)?;
        Ok(Given { typed: self.typed.clone(), alert: Some(text), notice: None, status })
    }

    /// Checks that the user has typed the name of what ends for good.
    ///
    /// # Errors
    /// `invalid_argument`.
    pub(crate) fn confirmed(&self, wanted: &str) -> Result<(), ConnectError> {
        let typed = self.typed.text("confirm");
        match !wanted.is_empty() && typed == wanted {
            true => Ok(()),
            false => Err(ConnectError::invalid_argument(format!(
                "nothing was changed, because the text to confirm it is not {wanted:?}"
            ))),
        }
    }
}

/// The error for a form without a known act.
pub(crate) fn unknown() -> ConnectError {
    ConnectError::invalid_argument("this form is not known; reload the page and try again")
}

/// Leads to a page after a change, so that reloading it changes nothing again.
pub(crate) fn done(path: &str, notice: Notice) -> Response {
    Redirect::to(&format!("{path}?done={}", notice.code())).into_response()
}
