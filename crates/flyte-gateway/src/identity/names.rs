//! The names of the headers that say who a caller is.

use std::fmt;

use http::{HeaderMap, HeaderName};

/// The header with the claims, which a backend reads first by default (`runs.identityHeaders.claimsJwtHeader`).
pub static CLAIMS_HEADER: HeaderName = HeaderName::from_static("x-amzn-oidc-data");
/// The header with the subject, which a backend reads next by default (`runs.identityHeaders.subjectHeader`).
pub static SUBJECT_HEADER: HeaderName = HeaderName::from_static("x-amzn-oidc-identity");

/// How the names of headers begin by which proxies say who a caller is, or from where it comes, with `-` for every
/// character that is not a letter or digit.
const PREFIXES: [&str; 13] = [
    "authenticated-",
    "flyte-authorization",
    "forwarded",
    "impersonate-",
    "proxy-authorization",
    "remote-",
    "x-amzn-oidc-",
    "x-auth-request-",
    "x-authenticated-",
    "x-forwarded-",
    "x-goog-",
    "x-remote-",
    "x-user",
];

/// Whether a backend, or something in front of it, may take a header for a statement about the caller. Servers spell
/// names differently: CGI and WSGI make `X_User` and `X-User` the same variable, some proxies do so with a dot, and gRPC
/// appends `-bin` to the names of binary values.
#[must_use]
pub fn is_identity_header(name: &HeaderName) -> bool {
    let name = plain(name);
    PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The name with `-` for every character that is not a letter or digit.
fn plain(name: &HeaderName) -> String {
    name.as_str().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect()
}

/// The headers that a backend is configured to read beside [`CLAIMS_HEADER`] and [`SUBJECT_HEADER`].
#[derive(Clone, Default, PartialEq, Eq)]
pub struct IdentityHeaderNames {
    /// The header with the subject: the backend's `runs.identityHeaders.subjectHeader`.
    pub subject: Option<HeaderName>,
    /// The header with the e-mail address: the backend's `runs.identityHeaders.emailHeader`.
    pub email: Option<HeaderName>,
}

impl IdentityHeaderNames {
    /// Removes every header that says who the caller is: those of [`is_identity_header`], and the configured ones with
    /// their other spellings.
    pub fn remove_from(&self, headers: &mut HeaderMap) {
        let own: Vec<String> = [&self.subject, &self.email].into_iter().flatten().map(plain).collect();
        let is_own = |name: &HeaderName| {
            let name = plain(name);
            own.iter().any(|own| name == *own || name.strip_suffix("-bin") == Some(own))
        };
        let removed: Vec<HeaderName> =
            headers.keys().filter(|name| is_identity_header(name) || is_own(name)).cloned().collect();
        for name in &removed {
            headers.remove(name);
        }
    }
}

impl fmt::Debug for IdentityHeaderNames {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = |name: &Option<HeaderName>| name.as_ref().map(ToString::to_string);
        f.debug_struct("IdentityHeaderNames")
            .field("subject", &name(&self.subject))
            .field("email", &name(&self.email))
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_is_removed() {
        let names = IdentityHeaderNames {
            subject: Some(HeaderName::from_static("kc-subject")),
            email: Some(HeaderName::from_static("kc-email")),
        };
        let mut headers = HeaderMap::new();
        for name in [
            "x-user",
            "x_user",
            "x.user",
            "x-user-bin",
            "x-user-id",
            "X-AMZN-OIDC-DATA",
            "x_amzn_oidc_data",
            "x-amzn_oidc-data",
            "x.amzn.oidc.identity",
            "x-amzn-oidc-accesstoken",
            "x-amzn-oidc-data-bin",
            "x-auth-request-user",
            "x_auth_request_email",
            "x-forwarded-user",
            "x-forwarded-email",
            "x-forwarded-proto",
            "forwarded",
            "remote_user",
            "x-remote-user",
            "impersonate-user",
            "flyte-authorization",
            "proxy_authorization",
            "kc-subject",
            "kc_subject",
            "kc-subject-bin",
            "kc.email",
        ] {
            let name: HeaderName = name.parse().unwrap();
            headers.append(name.clone(), "mallory".parse().unwrap());
            headers.append(name, "mallory".parse().unwrap());
        }
        for name in
            ["content-type", "kc-subject-matter", "user-agent", "te", "x-request-id", "connect-timeout-ms"]
        {
            headers.append(name, "kept".parse().unwrap());
        }
        names.remove_from(&mut headers);
        assert!(headers.values().all(|value| value == "kept"), "{headers:?}");
        assert_eq!(headers.len(), 6);
    }
}
