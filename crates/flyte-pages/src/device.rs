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
use flyte_model::clock::UnixTime;
use flyte_settings::Config;
use flyte_store::DeviceAuthorization;

/// The device that a person is asked about.
#[derive(Clone, Debug)]
pub struct DeviceView {
    /// `client_name`.
    pub client_name: String,
    /// `client_id`.
    pub client_id: String,
    /// Who is asked.
    pub user_email: String,
    /// As the device shows it.
    pub user_code: String,
    /// Where the device asked from.
    pub address: String,
    /// Whether this browser is at the same address.
    pub same_address: bool,
    /// When it asked, as the `datetime` of HTML.
    pub datetime: String,
    /// The same as a time of day.
    pub time: String,
    /// How long ago that is.
    pub asked: String,
    /// The scopes asked for.
    pub scopes: Vec<String>,
}

impl DeviceView {
    /// What is shown of a device.
    #[must_use]
    pub fn new(
        device: DeviceAuthorization,
        client_name: String,
        user_email: String,
        user_code: String,
        browser: &str,
        now: UnixTime,
    ) -> Self {
        let asked_at = jiff::Timestamp::from_second(device.created_at).unwrap_or_default();
        let age = now.saturating_sub(device.created_at);
        Self {
            client_name,
            client_id: device.client_id,
            user_email,
            user_code,
            same_address: device.address == browser,
            address: device.address,
            datetime: asked_at.strftime("%Y-%m-%dT%H:%MZ").to_string(),
            time: asked_at.strftime("%H:%M UTC").to_string(),
            asked: if age < 2 { "just now".to_owned() } else { format!("{} ago", duration(age)) },
            scopes: device.scopes,
        }
    }
}

/// Why the page asks for a code again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CodeRefusal {
    /// What was typed cannot be a code.
    NotACode,
    /// No device waits with it: one answer to codes that never were, have expired, or are used.
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
            Self::NotACode => "That is not a code. It has eight letters and digits.".to_owned(),
            Self::NotWaiting => {
                "No device waits with this code. It may be mistyped, have expired, or be used already. \
                                 Compare it, or let the device show a new one."
                    .to_owned()
            }
            Self::Throttled { retry_after } => {
                format!("Too many codes were tried. Try again in {}.", duration(retry_after))
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
    /// This page, as a value in a query.
    return_to: &'a str,
}

#[derive(Template)]
#[template(path = "device_decided.html")]
struct DecidedTemplate<'a> {
    view: &'a DeviceView,
    approved: bool,
}

/// Asks for the code; `typed` is what was typed before. The form gets `/device` with the field `user_code`: it changes
/// nothing, so that it needs no token.
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

/// Asks whether the device may be signed in. The form posts to `/device`: `csrf`, `user_code`, and `decision`,
/// `approve` or `deny`.
#[must_use]
pub fn confirm_device_page(config: &Config, headers: &HeaderMap, view: &DeviceView) -> Response {
    let csrf = csrf::token(headers);
    let return_to = query::encode(&format!("/device?user_code={}", view.user_code));
    let template =
        ConfirmTemplate { view, server: server_name(config), csrf: &csrf.token, return_to: &return_to };
    csrf.attach(page(StatusCode::OK, &template, &FormAction::own()))
}

/// Says what was decided.
#[must_use]
pub fn device_decided_page(view: &DeviceView, approved: bool) -> Response {
    page(StatusCode::OK, &DecidedTemplate { view, approved }, &FormAction::own())
}
