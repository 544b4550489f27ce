//! The page on which a user enters a device's code and approves or denies the device (RFC 8628 section 3.3).
//!
//! The steps: check that the user is signed in; parse the code; check the limit; find the waiting device; ask the
//! user. Before the decision all checks run again. Only signed-in users can try codes.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension,
    extract::{RawQuery, State},
    response::Response,
};
use http::{HeaderMap, StatusCode};

use super::{number, user_code::UserCode};
use crate::{
    AuthorizationServer,
    authorize::see_other,
    error::OAuthError,
    form::Form,
    parameters::{self, Parameters},
};
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::{CodeAttempt, session::SignedIn};
use flyte_model::{ClientAddr, Proximity};
use flyte_pages::{self, CodeRefusal, DeviceView, csrf};
use flyte_settings::endpoints;
use flyte_store::{DeviceAuthorization, DeviceDecision, StoreError};

/// Shows the form for the code or, with `user_code` in the query, the question.
pub(crate) async fn get(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    RawQuery(query): RawQuery,
    headers: HeaderMap,
) -> Response {
    let query = query.unwrap_or_default();
    let parameters = Parameters::parse(query.as_bytes());
    let typed = parameters.as_ref().ok().and_then(|it| it.one("user_code").ok().flatten());
    let visit = Visit { server: &server, headers: &headers, address };
    visit.show(typed).await.unwrap_or_else(|error| internal_error_page(&error))
}

/// Handles the decision.
pub(crate) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let parameters = form.parameters()?;
    // The token is bound to the session, so only the user who got the page can approve.
    if !csrf::verify(&headers, parameters.one(csrf::FIELD)?.unwrap_or_default()) {
        let event = Event::new(Kind::DeviceCodeRefused).from(address).detail(Detail::Reason, "csrf");
        server.audit.record(event).await;
        return Ok(flyte_pages::error_page(
            StatusCode::FORBIDDEN,
            "This page is out of date",
            "You signed in or out after this page was opened, or another site sent the form. The device was not approved: \
             open the address on your device again.",
        ));
    }
    let typed = parameters.one("user_code")?;
    let visit = Visit { server: &server, headers: &headers, address };
    let number = parameters.one("number")?.unwrap_or_default();
    let outcome = match parameters.one("decision")? {
        Some("approve") => visit.decide(typed, Some(number)).await,
        Some("deny") => visit.decide(typed, None).await,
        _ => visit.show(typed).await,
    };
    Ok(outcome.unwrap_or_else(|error| internal_error_page(&error)))
}

/// A browser's visit to the page.
struct Visit<'a> {
    server: &'a AuthorizationServer,
    headers: &'a HeaderMap,
    address: IpAddr,
}

/// A signed-in user, and a code that may be looked up.
struct Admitted<'a> {
    who: SignedIn,
    code: UserCode,
    attempt: CodeAttempt<'a>,
}

/// The result of looking up a code.
enum Lookup {
    /// A waiting device, and the number that it shows.
    View(DeviceView, Option<u8>),
    /// No device is waiting for the code.
    NotWaiting,
    /// A waiting device that requires a recent sign-in.
    SignIn,
}

impl<'a> Visit<'a> {
    /// Shows the form for the code, or the question about the device that waits for it.
    async fn show(&self, typed: Option<&str>) -> Result<Response, StoreError> {
        let Admitted { who, code, attempt } = match self.admit(typed).await? {
            Ok(admitted) => admitted,
            Err(response) => return Ok(response),
        };
        let device = match self.server.store.waiting_device(&code.hash(), self.server.clock.now()).await {
            Ok(device) => device,
            Err(error) => {
                attempt.withdrawn();
                return Err(error);
            }
        };
        if self.needs_new_sign_in(&who, device.as_ref()) {
            attempt.found();
            return Ok(see_other(&sign_in(Some(code))));
        }
        match self.view(&who, code, device).await? {
            Some(view) => {
                attempt.found();
                Ok(flyte_pages::confirm_device_page(&self.server.config, self.headers, &view))
            }
            None => Ok(self.not_waiting(&who, typed).await),
        }
    }

    /// Approves the device that waits for the code, with the number that the user entered, or denies it.
    async fn decide(&self, typed: Option<&str>, approval: Option<&str>) -> Result<Response, StoreError> {
        let approved = approval.is_some();
        let Admitted { who, code, attempt } = match self.admit(typed).await? {
            Ok(admitted) => admitted,
            Err(response) => return Ok(response),
        };
        let (hash, now) = (code.hash(), self.server.clock.now());
        // Everything that can fail comes before the decision. After the decision, no error page may say that the
        // device was not approved.
        let lookup = async {
            let device = self.server.store.waiting_device(&hash, now).await?;
            if approved && self.needs_new_sign_in(&who, device.as_ref()) {
                return Ok(Lookup::SignIn);
            }
            let match_number = device.as_ref().and_then(|device| device.match_number);
            let view = self.view(&who, code, device).await?;
            Ok(view.map_or(Lookup::NotWaiting, |view| Lookup::View(view, match_number)))
        };
        let (view, match_number) = match lookup.await {
            Ok(Lookup::View(view, match_number)) => (view, match_number),
            Ok(Lookup::NotWaiting) => return Ok(self.not_waiting(&who, typed).await),
            Ok(Lookup::SignIn) => {
                attempt.found();
                return Ok(see_other(&sign_in(typed.and_then(UserCode::parse))));
            }
            Err(error) => {
                attempt.withdrawn();
                return Err(error);
            }
        };
        let entered = approval.and_then(number::parse);
        if approved && match_number.is_some() && entered.is_none() {
            attempt.found();
            let view = DeviceView { is_number_missing: true, ..view };
            return Ok(flyte_pages::confirm_device_page(&self.server.config, self.headers, &view));
        }
        // A wrong number ends the code, so there is one guess.
        let is_wrong = approved && match_number.is_some() && entered != match_number;
        let approved = approved && !is_wrong;
        let decision = if approved {
            DeviceDecision::Approve {
                user_id: who.user.id.clone(),
                session_id: who.session.id.clone(),
                authenticated_at: who.session.authenticated_at,
            }
        } else {
            DeviceDecision::Deny
        };
        let device = match self.server.store.decide_device(&hash, &decision, now).await {
            Ok(Some(device)) => device,
            Ok(None) => {
                if self.server.signed_in(self.headers).await?.is_none() {
                    // The user signed out, or the password changed, since this request began.
                    attempt.withdrawn();
                    return Ok(see_other(&sign_in(typed.and_then(UserCode::parse))));
                }
                return Ok(self.not_waiting(&who, typed).await);
            }
            Err(error) => {
                attempt.withdrawn();
                return Err(error);
            }
        };
        attempt.found();
        let kind = if approved { Kind::DeviceApproved } else { Kind::DeviceDenied };
        let event = self
            .event(kind, &who)
            .client(&device.client_id)
            .detail(Detail::Email, &who.user.email)
            .detail(Detail::Session, &who.session.id)
            .detail(Detail::Family, &device.family_id)
            .detail(Detail::DeviceAddress, &device.address);
        let event = if is_wrong { event.detail(Detail::Reason, "wrong number") } else { event };
        self.server.audit.record(event).await;
        Ok(match is_wrong {
            true => flyte_pages::wrong_number_page(&view),
            false => flyte_pages::device_decided_page(&view, approved),
        })
    }

    /// Returns the signed-in user and the code if the code may be looked up; otherwise the page to show.
    async fn admit(&self, typed: Option<&str>) -> Result<Result<Admitted<'a>, Response>, StoreError> {
        let code = typed.and_then(UserCode::parse);
        let Some(who) = self.server.signed_in(self.headers).await? else {
            return Ok(Err(see_other(&sign_in(code))));
        };
        let Some(code) = code else {
            let refusal = typed.map(|_| CodeRefusal::NotACode);
            return Ok(Err(flyte_pages::enter_code_page(
                &who.user.email,
                typed.unwrap_or_default(),
                refusal,
            )));
        };
        let address = self.address;
        match self.server.throttle.admit_user_code(&who.user.id, address, code.hash()) {
            Ok(attempt) => Ok(Ok(Admitted { who, code, attempt })),
            Err(throttled) => {
                let event = self.event(Kind::DeviceCodeRefused, &who).detail(Detail::Reason, "throttled");
                self.server.audit.record(event).await;
                let refusal = CodeRefusal::Throttled { retry_after: throttled.retry_after };
                Ok(Err(flyte_pages::enter_code_page(&who.user.email, &code.to_string(), Some(refusal))))
            }
        }
    }

    /// Whether the device requires a more recent sign-in from the user. A sign-in after the device's request is
    /// always sufficient, so no user is asked twice.
    fn needs_new_sign_in(&self, who: &SignedIn, device: Option<&DeviceAuthorization>) -> bool {
        let Some((device, max_age)) = device.and_then(|device| Some((device, device.max_age?))) else {
            return false;
        };
        let signed_in_at = who.session.authenticated_at;
        signed_in_at < device.created_at && self.server.clock.now().saturating_sub(signed_in_at) > max_age
    }

    fn event(&self, kind: Kind, who: &SignedIn) -> Event {
        Event::new(kind).from(self.address).subject(&who.user.id)
    }

    /// Describes the device for the page; `None` if there is no device, or its client was deleted.
    async fn view(
        &self,
        who: &SignedIn,
        code: UserCode,
        device: Option<DeviceAuthorization>,
    ) -> Result<Option<DeviceView>, StoreError> {
        let Some(device) = device else { return Ok(None) };
        let Some(client) = self.server.store.client_by_id(&device.client_id).await? else { return Ok(None) };
        let (email, code) = (who.user.email.clone(), code.to_string());
        let network = match device.address.parse() {
            Ok(address) => Proximity::of(address, self.address),
            Err(_) => Proximity::Unknown,
        };
        let now = self.server.clock.now();
        Ok(Some(DeviceView::new(device, client.name, email, code, network, now)))
    }

    /// The page for a code for which no device is waiting. The attempt stays counted.
    async fn not_waiting(&self, who: &SignedIn, typed: Option<&str>) -> Response {
        self.server.audit.record(self.event(Kind::DeviceCodeFailed, who)).await;
        flyte_pages::enter_code_page(
            &who.user.email,
            typed.unwrap_or_default(),
            Some(CodeRefusal::NotWaiting),
        )
    }
}

/// The sign-in page, which leads back here with the code.
fn sign_in(code: Option<UserCode>) -> String {
    let mut return_to = endpoints::DEVICE.to_owned();
    if let Some(code) = code {
        parameters::append(&mut return_to, "user_code", &code.to_string());
    }
    format!("{}?return_to={}", endpoints::LOGIN, flyte_pages::encode(&return_to))
}

fn internal_error_page(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a device could not be looked up");
    flyte_pages::error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The server could not look up the device, so it was not approved. Try again.",
    )
}
