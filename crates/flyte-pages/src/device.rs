//! The pages on which a person connects a device (RFC 8628 section 3.3).

use askama::Template;
use axum::{
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::Response,
};

use super::{
    csrf,
    duration::duration,
    form_action::FormAction,
    page::{page, server_name},
};
use crate::query;
use flyte_model::{ClientId, Proximity, Scopes, clock::UnixTime};
use flyte_settings::Config;
use flyte_store::DeviceAuthorization;

/// The content of the pages that ask about a device.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// `client_name`.
    pub client_name: String,
    /// `client_id`.
    pub client_id: ClientId,
    /// E-mail address of the person who is asked.
    pub user_email: String,
    /// The user code, formatted as on the device.
    pub user_code: String,
    /// IP address of the device's request.
    pub address: String,
    /// Where the device is, compared with this browser.
    pub network: Proximity,
    /// The time of the device's request, as a `datetime` attribute of HTML.
    pub datetime: String,
    /// The same time as a time of day.
    pub time: String,
    /// The age of the request, in words.
    pub age: String,
    /// The requested scopes.
    pub scopes: Scopes,
    /// Whether the page asks for the number that the device shows.
    pub asks_number: bool,
    /// Whether the number was left out, or was no number.
    pub is_number_missing: bool,
}

impl DeviceView {
    /// Describes a device authorization.
    #[must_use]
    pub fn new(
        device: DeviceAuthorization,
        client_name: String,
        user_email: String,
        user_code: String,
        network: Proximity,
        now: UnixTime,
    ) -> Self {
        let requested_at = jiff::Timestamp::from_second(device.created_at).unwrap_or_default();
        let age = now.saturating_sub(device.created_at);
        Self {
            client_name,
            asks_number: device.match_number.is_some(),
            is_number_missing: false,
            client_id: device.client_id,
            user_email,
            user_code,
            network,
            address: device.address,
            datetime: requested_at.strftime("%Y-%m-%dT%H:%MZ").to_string(),
            time: requested_at.strftime("%H:%M UTC").to_string(),
            age: if age < 2 { "just now".to_owned() } else { format!("{} ago", duration(age)) },
            scopes: device.scopes,
        }
    }
}

/// Why the page asks for a code again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeRefusal {
    /// The text cannot be a user code.
    NotACode,
    /// No device is waiting for the code. Unknown, expired and used codes get the same answer.
    NotWaiting,
    /// Too many codes were tried.
    Throttled {
        /// Seconds to wait.
        retry_after: i64,
    },
}

impl CodeRefusal {
    fn status(self) -> StatusCode {
        match self {
            Self::NotACode => StatusCode::BAD_REQUEST,
            Self::NotWaiting => StatusCode::NOT_FOUND,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
        }
    }

    fn message(self) -> String {
        match self {
            Self::NotACode => "This is not a code. A code has eight letters and digits.".to_owned(),
            Self::NotWaiting => {
                "No device is waiting for this code. Check it, or get a new one: it may have expired."
                    .to_owned()
            }
            Self::Throttled { retry_after } => {
                format!("Too many wrong codes. Try again in {}.", duration(retry_after))
            }
        }
    }
}

#[derive(Template)]
#[template(path = "device_enter.html")]
struct EnterTemplate<'a> {
    user_email: &'a str,
    typed: &'a str,
    error: Option<&'a str>,
}

#[derive(Template)]
#[template(path = "device_confirm.html")]
struct ConfirmTemplate<'a> {
    view: &'a DeviceView,
    server: &'a str,
    csrf: &'a str,
    /// Path and query of this page, encoded as a query value.
    return_to: &'a str,
}

#[derive(Template)]
#[template(path = "device_wrong_number.html")]
struct WrongNumberTemplate<'a> {
    view: &'a DeviceView,
}

#[derive(Template)]
#[template(path = "device_decided.html")]
struct DecidedTemplate<'a> {
    view: &'a DeviceView,
    approved: bool,
}

/// The page that asks for the code. `typed` is the text of the previous attempt. The form sends `user_code` to
/// `/device` by GET. It changes nothing, so it needs no CSRF token.
#[must_use]
pub fn enter_code_page(user_email: &str, typed: &str, refusal: Option<CodeRefusal>) -> Response {
    let message = refusal.map(CodeRefusal::message);
    let template = EnterTemplate { user_email, typed, error: message.as_deref() };
    let status = refusal.map_or(StatusCode::OK, CodeRefusal::status);
    let mut response = page(status, &template, &FormAction::own());
    if let Some(CodeRefusal::Throttled { retry_after }) = refusal {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    }
    response
}

/// The page that asks whether to sign the device in. Its form posts `csrf`, `user_code`, `decision` (`approve` or
/// `deny`) and, if the view asks for it, `number` to `/device`.
#[must_use]
pub fn confirm_device_page(config: &Config, headers: &HeaderMap, view: &DeviceView) -> Response {
    let csrf = csrf::token(headers);
    let return_to = query::encode(&format!("/device?user_code={}", view.user_code));
    let template =
        ConfirmTemplate { view, server: server_name(config), csrf: &csrf.token, return_to: &return_to };
    let status = if view.is_number_missing { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    csrf.attach(page(status, &template, &FormAction::own()))
}

/// The page after a wrong number, which has ended the code.
#[must_use]
pub fn wrong_number_page(view: &DeviceView) -> Response {
    page(StatusCode::FORBIDDEN, &WrongNumberTemplate { view }, &FormAction::own())
}

/// The page that confirms the decision.
#[must_use]
pub fn device_decided_page(view: &DeviceView, approved: bool) -> Response {
    page(StatusCode::OK, &DecidedTemplate { view, approved }, &FormAction::own())
}
