//! Protection against cross-site request forgery: double-submit tokens, bound to the browser session.
//!
//! A cookie holds a random secret. Each form holds an HMAC of the session cookie under that secret. Another site can
//! make a browser send the cookies, but it cannot compute the token. A token from before the sign-in, or from another
//! session, is invalid. The sign-in form is protected too, before there is a session.
//!
//! Browsers share cookies between the ports of a host, so on `localhost` any local program that serves pages could
//! set the cookie. Browsers send the origin of a request in `Sec-Fetch-Site`; every request from another origin is
//! refused.

use aws_lc_rs::{constant_time::verify_slices_are_equal, hmac};
use axum::{
    http::{HeaderMap, HeaderValue, header},
    response::Response,
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use flyte_identity::{
    cookie::{self, CookieSecret},
    session,
};

/// Name of the cookie.
pub const COOKIE: &str = "__Host-flyte_csrf";

/// Name of the form field.
pub const FIELD: &str = "csrf";

/// A token for the forms of one page.
#[derive(Clone, Debug)]
pub struct Csrf {
    /// The value of the form field.
    pub token: String,
    /// The cookie that belongs to the token, if the browser does not have it yet.
    pub set_cookie: Option<HeaderValue>,
}

impl Csrf {
    /// Adds the cookie that the page's forms need.
    #[must_use]
    pub fn attach(&self, mut page: Response) -> Response {
        if let Some(cookie) = &self.set_cookie {
            page.headers_mut().append(header::SET_COOKIE, cookie.clone());
        }
        page
    }
}

/// Returns the token for the forms of a page. `headers` are the headers of the request for that page.
#[must_use]
pub fn token(headers: &HeaderMap) -> Csrf {
    if let Some(secret) = cookie::read(headers, COOKIE) {
        return Csrf { token: encode(&secret, headers), set_cookie: None };
    }
    match cookie::generate().and_then(|secret| Some((cookie::set(COOKIE, &secret, None)?, secret))) {
        Some((set_cookie, secret)) => Csrf { token: encode(&secret, headers), set_cookie: Some(set_cookie) },
        // Without random numbers the form is shown, but its submission is refused.
        None => Csrf { token: String::new(), set_cookie: None },
    }
}

/// Whether `form_token` was issued by [`token`] to the browser and session that sent these headers.
#[must_use]
pub fn verify(headers: &HeaderMap, form_token: &str) -> bool {
    let elsewhere = headers.get("sec-fetch-site").is_some_and(|site| site != "same-origin" && site != "none");
    let Some(secret) = cookie::read(headers, COOKIE) else { return false };
    let Ok(form_mac) = URL_SAFE_NO_PAD.decode(form_token) else { return false };
    verify_slices_are_equal(&form_mac, mac(&secret, headers).as_ref()).is_ok() && !elsewhere
}

fn encode(secret: &CookieSecret, headers: &HeaderMap) -> String {
    URL_SAFE_NO_PAD.encode(mac(secret, headers))
}

fn mac(secret: &CookieSecret, headers: &HeaderMap) -> hmac::Tag {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret.as_ref());
    let mut message = hmac::Context::with_key(&key);
    message.update(b"flyte-server csrf v1\0");
    if let Some(session) = cookie::read(headers, session::COOKIE) {
        message.update(session.as_ref());
    }
    message.sign()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn browser(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::COOKIE, cookies.join("; ").parse().unwrap());
        headers
    }

    fn pair(set_cookie: &HeaderValue) -> String {
        set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned()
    }

    fn session() -> String {
        pair(&cookie::set(session::COOKIE, &cookie::generate().unwrap(), None).unwrap())
    }

    #[test]
    fn a_token_is_valid_only_in_its_browser_and_session() {
        let issued = token(&HeaderMap::new());
        let csrf = pair(&issued.set_cookie.unwrap());
        assert!(verify(&browser(&[&csrf]), &issued.token));
        assert!(!verify(&browser(&[&csrf]), ""));
        assert!(!verify(&browser(&[&csrf]), &issued.token[..42]));
        assert!(!verify(&HeaderMap::new(), &issued.token));
        let other = token(&HeaderMap::new());
        assert!(!verify(&browser(&[&csrf]), &other.token));

        let (mine, yours) = (session(), session());
        assert!(!verify(&browser(&[&csrf, &mine]), &issued.token), "from before signing in");
        let signed_in = token(&browser(&[&csrf, &mine]));
        assert!(signed_in.set_cookie.is_none(), "other tabs keep working");
        assert!(verify(&browser(&[&mine, &csrf]), &signed_in.token));
        assert!(!verify(&browser(&[&csrf, &yours]), &signed_in.token));
        assert!(!verify(&browser(&[&csrf]), &signed_in.token));
    }

    #[test]
    fn a_form_from_another_port_of_this_host_is_refused() {
        let issued = token(&HeaderMap::new());
        let mut headers = browser(&[&pair(&issued.set_cookie.unwrap())]);
        for (site, accepted) in
            [("same-origin", true), ("none", true), ("same-site", false), ("cross-site", false)]
        {
            headers.insert("sec-fetch-site", site.parse().unwrap());
            assert_eq!(verify(&headers, &issued.token), accepted, "{site}");
        }
    }
}
