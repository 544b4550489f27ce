//! Why a server could not be reached.

use std::{error::Error as StdError, io};

use crate::http::ProxyServer;

/// Why a server could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// Nothing listens at the address.
    #[error("the connection was refused; nothing listens at that address")]
    Refused,
    /// The host name is not known.
    #[error("the host name cannot be resolved")]
    UnknownHost,
    /// The server did not answer in time.
    #[error("it did not answer in time")]
    TimedOut,
    /// The certificate has expired.
    #[error("its TLS certificate has expired")]
    CertificateExpired,
    /// The certificate is not valid yet.
    #[error("its TLS certificate is not valid yet; one of the two clocks is wrong")]
    CertificateNotYetValid,
    /// The certificate is self-signed or signed by an authority that this machine does not trust.
    #[error("its TLS certificate is self-signed or signed by an authority that this machine does not trust")]
    UnknownAuthority,
    /// The certificate is an authority's own (RFC 5280 section 4.2.1.9, `CA:TRUE`), which is refused for a server.
    #[error("its TLS certificate is marked as an authority (CA:TRUE), which is not accepted for a server")]
    AuthorityCertificate,
    /// The certificate is for another name.
    #[error("its TLS certificate is for another host name")]
    CertificateName,
    /// The server does not speak TLS, but most likely plain HTTP.
    #[error("it does not speak TLS")]
    NotTls,
    /// The connection failed at the proxy.
    #[error("{proxy} cannot be used: {failure}")]
    Proxy {
        /// Host and port of the proxy, and the setting that names it.
        proxy: String,
        /// The setting; `None` if the proxy comes from the system's settings.
        setting: Option<&'static str>,
        /// Why the proxy cannot be used.
        failure: Box<ConnectFailure>,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// The cause of an HTTP error.
struct Cause {
    failure: ConnectFailure,
    /// Whether a proxy failed before there was a tunnel through it.
    before_tunnel: bool,
}

impl ConnectFailure {
    /// Finds the failure in an HTTP error and its sources.
    #[must_use]
    pub fn of(error: &reqwest::Error) -> Self {
        Self::through(error, None)
    }

    /// Finds the failure of a request that went through `proxy`.
    pub(crate) fn through(error: &reqwest::Error, proxy: Option<&ProxyServer>) -> Self {
        let Cause { failure, before_tunnel } = Self::find_cause(error);
        // A plain HTTP request has no tunnel, so any connection failure is the proxy's. Behind a tunnel, TLS is the server's.
        let has_tunnel = error.url().is_some_and(|url| url.scheme() == "https");
        let is_about_proxy = before_tunnel
            || (proxy.is_some() && error.is_connect() && !(has_tunnel && failure.is_about_tls()));
        match (is_about_proxy, proxy) {
            (false, _) => failure,
            (true, Some(proxy)) => Self::Proxy {
                proxy: format!("the proxy {proxy}"),
                setting: Some(proxy.setting()),
                failure: Box::new(failure),
            },
            (true, None) => Self::Proxy {
                proxy: "the system's proxy".to_owned(),
                setting: None,
                failure: Box::new(failure),
            },
        }
    }

    /// Whether the proxy asks for a user name and a password.
    #[must_use]
    pub fn wants_password(&self) -> bool {
        matches!(self, Self::Other(text) if text == WANTS_PASSWORD)
    }

    /// Whether the failure may go away by itself if the server has answered before.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Refused | Self::UnknownHost | Self::TimedOut | Self::Other(_) => true,
            Self::Proxy { failure, .. } => failure.is_temporary(),
            _ => false,
        }
    }

    fn find_cause(error: &reqwest::Error) -> Cause {
        let mut innermost = error.to_string();
        let mut tunnel = None;
        let mut failure = None;
        // The text of the error itself is skipped: it holds the URL, whose host could be named like one of the texts below.
        let mut cause = error.source();
        while let Some(current) = cause {
            for layer in layers(current) {
                if let Some(tls) = layer.downcast_ref::<rustls::Error>() {
                    failure = Some(Self::of_tls(tls));
                }
                match layer.downcast_ref::<io::Error>().map(io::Error::kind) {
                    Some(io::ErrorKind::ConnectionRefused) => failure = Some(Self::Refused),
                    Some(io::ErrorKind::TimedOut) => failure = Some(Self::TimedOut),
                    _ => {}
                }
            }
            innermost = current.to_string();
            // With a SOCKS proxy that leaves host names to this machine, the text is a different one.
            if innermost.contains("dns error") || innermost.contains("failed to lookup address") {
                failure = Some(Self::UnknownHost);
            }
            // The chain of sources does not hold the cause of this one.
            if innermost.starts_with("SOCKS error: failed to create underlying connection") {
                failure = Some(Self::Other("nothing answers at that address".to_owned()));
            }
            if let Some(reason) = innermost.strip_prefix("tunnel error: ") {
                tunnel = Some(match reason {
                    "proxy authorization required" => Self::Other(WANTS_PASSWORD.to_owned()),
                    "unsuccessful" => Self::Other("it did not let the request through".to_owned()),
                    other => Self::Other(other.to_owned()),
                });
            }
            if failure.is_some() {
                break;
            }
            cause = current.source();
        }
        let before_tunnel = tunnel.is_some();
        let failure = match failure.or(tunnel) {
            Some(failure) => failure,
            None if error.is_timeout() => Self::TimedOut,
            None => Self::Other(innermost),
        };
        Cause { failure, before_tunnel }
    }

    fn of_tls(error: &rustls::Error) -> Self {
        use rustls::CertificateError as Certificate;
        match error {
            rustls::Error::InvalidCertificate(certificate) => match certificate {
                Certificate::Expired | Certificate::ExpiredContext { .. } => Self::CertificateExpired,
                Certificate::NotValidYet | Certificate::NotValidYetContext { .. } => {
                    Self::CertificateNotYetValid
                }
                Certificate::NotValidForName | Certificate::NotValidForNameContext { .. } => {
                    Self::CertificateName
                }
                Certificate::UnknownIssuer | Certificate::BadSignature => Self::UnknownAuthority,
                other if other.to_string().contains("CaUsedAsEndEntity") => Self::AuthorityCertificate,
                other => Self::Other(format!("its TLS certificate is not valid: {other}")),
            },
            rustls::Error::InvalidMessage(rustls::InvalidMessage::InvalidContentType) => Self::NotTls,
            other => Self::Other(format!("TLS failed: {other}")),
        }
    }

    fn is_about_tls(&self) -> bool {
        match self {
            Self::CertificateExpired
            | Self::CertificateNotYetValid
            | Self::UnknownAuthority
            | Self::AuthorityCertificate
            | Self::CertificateName
            | Self::NotTls => true,
            Self::Other(text) => text.contains("TLS"),
            _ => false,
        }
    }
}

/// The meaning of a proxy's HTTP 407.
const WANTS_PASSWORD: &str = "it wants a user name and a password";

/// An error and the errors that I/O errors wrap. [`source`](StdError::source) skips the wrapped error, and I/O errors are often
/// nested.
fn layers<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
        Some(inner as &(dyn StdError + 'static))
    })
}
