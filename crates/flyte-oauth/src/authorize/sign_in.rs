//! Redirects to the sign-in page although the user may be signed in, and detection of the new sign-in.
//!
//! A request with `prompt=login`, or with an expired `max_age`, returns from the sign-in page with the same
//! parameters. Without a mark it would be redirected for ever. The mark is a token of this server, appended to the
//! request. It contains the time of the redirect and the session that was not sufficient, and is bound to the rest of
//! the request by a hash.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{Deserialize, Serialize};

use crate::AuthorizationServer;
use flyte_keys::KeyError;
use flyte_model::clock::UnixTime;
use flyte_settings::endpoints;
use flyte_store::BrowserSession;

/// The parameter with the mark; always the last one.
const PARAMETER: &str = "&flyte_sign_in=";
/// `typ` of the mark, so that no other token of this server is accepted as a mark (RFC 8725 section 3.11).
const TYP: &str = "flyte-sign-in+jwt";
/// The maximum time for a sign-in, in seconds. After that the user must sign in again.
pub(super) const MARK_LIFETIME_SECONDS: i64 = 3600;
/// The permitted age of a new sign-in if `max_age` is shorter, in seconds. The redirect and the consent page take
/// some time, also if `max_age` is 0.
const MIN_MAX_AGE_SECONDS: i64 = 300;

/// The demand for a new sign-in.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Demand {
    /// The time of the demand.
    iat: UnixTime,
    /// The hash of the request's query.
    req: String,
    /// The session that was not sufficient.
    #[serde(skip_serializing_if = "Option::is_none")]
    sid: Option<String>,
}

/// Splits the mark off a query.
pub(super) fn split(query: &str) -> (&str, Option<&str>) {
    match query.rsplit_once(PARAMETER) {
        Some((query, mark)) if !mark.contains('&') => (query, Some(mark)),
        _ => (query, None),
    }
}

/// Appends a mark to a query.
pub(super) fn marked(query: &str, mark: &str) -> String {
    format!("{query}{PARAMETER}{mark}")
}

/// Returns path and query of the sign-in page, which leads back to the request. `session` is the session that is not
/// sufficient, if there is one. `demanded` is true if the request needs a new sign-in and not just any session.
///
/// # Errors
/// [`KeyError`] if the mark cannot be signed.
pub(super) fn location(
    server: &AuthorizationServer,
    query: &str,
    session: Option<&BrowserSession>,
    demanded: bool,
) -> Result<String, KeyError> {
    let mut query = query.to_owned();
    if demanded {
        let demand = Demand {
            iat: server.clock.now(),
            req: fingerprint(&query),
            sid: session.map(|session| session.id.clone()),
        };
        query = marked(&query, &server.keys.sign(TYP, &demand)?);
    }
    let return_to = format!("{}?{query}", endpoints::AUTHORIZE);
    Ok(format!("{}?return_to={}", endpoints::LOGIN, flyte_pages::encode(&return_to)))
}

/// Returns the same for a user who wants another account than the session's.
///
/// # Errors
/// [`KeyError`] if the mark cannot be signed.
pub(super) fn location_of_another(
    server: &AuthorizationServer,
    query: &str,
    session: &BrowserSession,
) -> Result<String, KeyError> {
    Ok(location(server, query, Some(session), true)? + "&another_account=1")
}

/// Verifies a mark; `None` if it was not issued by this server, belongs to another request, or is too old.
pub(super) fn demand(server: &AuthorizationServer, query: &str, mark: &str) -> Option<Demand> {
    let demand: Demand = server.keys.verify(mark, TYP).ok()?;
    let age = server.clock.now().saturating_sub(demand.iat);
    (demand.req == fingerprint(query) && (0..=MARK_LIFETIME_SECONDS).contains(&age)).then_some(demand)
}

impl Demand {
    /// Whether a session is the demanded sign-in.
    pub(super) fn is_met_by(&self, session: &BrowserSession) -> bool {
        session.authenticated_at >= self.iat && self.sid.as_deref() != Some(session.id.as_str())
    }
}

/// Whether a session is recent enough for `max_age`. A demanded sign-in gets additional time for the redirect.
pub(super) fn is_recent(session: &BrowserSession, max_age: i64, demanded: bool, now: UnixTime) -> bool {
    let limit = if demanded { max_age.max(MIN_MAX_AGE_SECONDS) } else { max_age };
    now.saturating_sub(session.authenticated_at) <= limit
}

/// The hash that binds a mark to a request.
pub(super) fn fingerprint(query: &str) -> String {
    URL_SAFE_NO_PAD.encode(digest::digest(&digest::SHA256, query.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn session(id: &str, authenticated_at: UnixTime) -> BrowserSession {
        BrowserSession {
            id: id.into(),
            cookie_hash: [0; 32],
            user_id: "u".into(),
            authenticated_at,
            expires_at: authenticated_at + 1000,
        }
    }

    #[test]
    fn the_mark_is_the_last_parameter() {
        assert_eq!(split("a=b&flyte_sign_in=x.y.z"), ("a=b", Some("x.y.z")));
        assert_eq!(split("a=b"), ("a=b", None));
        assert_eq!(split("a=b&flyte_sign_in=x&c=d"), ("a=b&flyte_sign_in=x&c=d", None));
        assert_eq!(split("a=b&flyte_sign_in=x&flyte_sign_in=y"), ("a=b&flyte_sign_in=x", Some("y")));
        assert_eq!(split(""), ("", None));
    }

    #[test]
    fn only_a_new_session_meets_a_demand() {
        let demand = Demand { iat: 100, req: String::new(), sid: Some("old".into()) };
        assert!(demand.is_met_by(&session("new", 100)));
        assert!(!demand.is_met_by(&session("old", 100)), "the session that was not sufficient");
        assert!(!demand.is_met_by(&session("other", 99)), "a sign-in from before");
        let demand = Demand { sid: None, ..demand };
        assert!(demand.is_met_by(&session("new", 100)));
    }

    #[test]
    fn max_age_leaves_time_for_the_redirect() {
        let session = session("s", 100);
        for (max_age, demanded, now, recent) in [
            (10, false, 110, true),
            (10, false, 111, false),
            (0, false, 100, true),
            (0, false, 101, false),
            (0, true, 101, true),
            (0, true, 100 + MIN_MAX_AGE_SECONDS, true),
            (0, true, 101 + MIN_MAX_AGE_SECONDS, false),
            (1000, true, 1100, true),
            (1000, true, 1101, false),
        ] {
            assert_eq!(is_recent(&session, max_age, demanded, now), recent, "{max_age} {demanded} {now}");
        }
    }
}
