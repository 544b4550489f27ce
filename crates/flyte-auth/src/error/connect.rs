//! Why a server could not be reached.

use std::{error::Error as StdError, io};

use crate::http::ProxyServer;

/// Why a server could not be reached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectFailure {
    /// Nothing listens there.
    #[error("the connection was refused; nothing listens at that address")]
    Refused,
    /// The host name is not known.
    #[error("the host name cannot be resolved")]
    UnknownHost,
    /// It took too long.
    #[error("it did not answer in time")]
    TimedOut,
    /// The certificate has expired.
    #[error("its TLS certificate has expired")]
    CertificateExpired,
    /// The certificate is not valid yet.
    #[error("its TLS certificate is not valid yet; one of the two clocks is wrong")]
    CertificateNotYetValid,
    /// The certificate is self-signed or signed by an authority that is not trusted here.
    #[error("its TLS certificate is self-signed or signed by an authority that this machine does not trust")]
    UnknownAuthority,
    /// The certificate is an authority's own (RFC 5280 section 4.2.1.9, `CA:TRUE`), which is refused for a server.
    #[error("its TLS certificate is marked as an authority (CA:TRUE), which is not accepted for a server")]
    AuthorityCertificate,
    /// The certificate is for another name.
    #[error("its TLS certificate is for another host name")]
    CertificateName,
    /// It speaks something else than TLS, most likely plain HTTP.
    #[error("it does not speak TLS")]
    NotTls,
    /// The proxy in between is why.
    #[error("{proxy} cannot be used: {failure}")]
    Proxy {
        /// Host and port of the proxy, and the setting that names it.
        proxy: String,
        /// The setting; `None` where the system's is used.
        setting: Option<&'static str>,
        /// What is wrong with it.
        failure: Box<ConnectFailure>,
    },
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

/// What an HTTP error tells.
struct Told {
    failure: ConnectFailure,
    /// Whether a proxy failed before there was a tunnel through it.
    in_front_of_tunnel: bool,
}

impl ConnectFailure {
    /// Reads the failure out of an HTTP error and what caused it.
    #[must_use]
    pub fn of(error: &reqwest::Error) -> Self {
        Self::through(error, None)
    }

    /// The same of a request that went through `proxy`.
    pub(crate) fn through(error: &reqwest::Error, proxy: Option<&ProxyServer>) -> Self {
        let told = Self::told(error);
        // A plain request has no tunnel: whatever fails while connecting is the proxy's. Elsewhere TLS is the server's.
        let has_tunnel = error.url().is_some_and(|url| url.scheme() == "https");
        let is_about_proxy = told.in_front_of_tunnel
            || (proxy.is_some() && error.is_connect() && !(has_tunnel && told.failure.is_about_tls()));
        match (is_about_proxy, proxy) {
            (false, _) => told.failure,
            (true, Some(proxy)) => Self::Proxy {
                proxy: format!("the proxy {proxy}"),
                setting: Some(proxy.setting()),
                failure: Box::new(told.failure),
            },
            (true, None) => Self::Proxy {
                proxy: "the system's proxy".to_owned(),
                setting: None,
                failure: Box::new(told.failure),
            },
        }
    }

    /// Whether it may go away by itself, for a server that has answered before.
    pub(crate) fn is_temporary(&self) -> bool {
        match self {
            Self::Refused | Self::UnknownHost | Self::TimedOut | Self::Other(_) => true,
            Self::Proxy { failure, .. } => failure.is_temporary(),
            _ => false,
        }
    }

    fn told(error: &reqwest::Error) -> Told {
        let mut innermost = error.to_string();
        let mut tunnel = None;
        let mut failure = None;
        // Its own text is not looked at: it holds the URL, and a host may well be called proxy.
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
            // A SOCKS proxy that leaves names to this machine has words of its own.
            if innermost.contains("dns error") || innermost.contains("failed to lookup address") {
                failure = Some(Self::UnknownHost);
            }
            // The cause of that is not in the chain.
            if innermost.starts_with("SOCKS error: failed to create underlying connection") {
                failure = Some(Self::Other("nothing answers at that address".to_owned()));
            }
            if let Some(said) = innermost.strip_prefix("tunnel error: ") {
                tunnel = Some(match said {
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
        let in_front_of_tunnel = tunnel.is_some();
        let failure = match failure.or(tunnel) {
            Some(failure) => failure,
            None if error.is_timeout() => Self::TimedOut,
            None => Self::Other(innermost),
        };
        Told { failure, in_front_of_tunnel }
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

    /// What to do next about a server that is not the configured endpoint, such as an identity provider.
    #[must_use]
    pub fn hint_elsewhere(&self) -> Option<String> {
        let text = match self {
            Self::Refused => {
                "Check that this server runs; the control plane names it, so its administrator can correct the address."
            }
            Self::UnknownHost => {
                "Check this machine's DNS; the control plane names this server, so its administrator can correct the address."
            }
            Self::UnknownAuthority => {
                "Add its authority to the system's, or to the file of admin.caCertFilePath if that is set; insecureSkipVerify is for the \
                endpoint alone."
            }
            Self::CertificateName => {
                "Ask the administrator: the control plane names this server by another name than its certificate."
            }
            other => return other.hint(),
        };
        Some(text.to_owned())
    }

    /// What to do next, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(
            match self {
                Self::Refused => "Check that the server runs and that the endpoint's port is right: `flyte create config --endpoint HOST:PORT`.",
                Self::UnknownHost => "Check the endpoint's spelling and this machine's DNS: `flyte create config --endpoint HOST`.",
                Self::TimedOut => "Check the network, the VPN and the proxy, then try again.",
                Self::CertificateExpired => "Check this machine's clock (`date`); if it is right, the server's certificate must be renewed.",
                Self::CertificateNotYetValid => "Check this machine's clock (`date`).",
                Self::UnknownAuthority => {
                    "Trust its authority: `flyte create config --endpoint HOST --ca-cert-file FILE`."
                }
                Self::AuthorityCertificate => {
                    "Ask the server's administrator for a certificate of a server (CA:FALSE), signed by that authority."
                }
                Self::CertificateName => "Use the name that the certificate is for as the endpoint.",
                Self::NotTls => {
                    "Check the port. If plain HTTP is meant: `--insecure`, or `flyte create config --endpoint HOST --insecure`."
                }
                Self::Proxy { setting, failure, .. } => {
                    let setting = setting.unwrap_or("the system's proxy settings");
                    return Some(match &**failure {
                        Self::Other(text) if text == WANTS_PASSWORD => {
                            format!("Put them into {setting}: http://USER:PASSWORD@HOST:PORT.")
                        }
                        Self::UnknownHost => format!(
                            "Check the host names; with socks5h:// in {setting} the proxy looks them up instead of this machine."
                        ),
                        _ => format!("Check {setting}; name hosts that need no proxy in NO_PROXY."),
                    });
                }
                Self::Other(_) => return None,
            }
            .to_owned(),
        )
    }
}

/// What a proxy's 407 means.
const WANTS_PASSWORD: &str = "it wants a user name and a password";

/// An error and what I/O errors carry inside: their `source` skips that, and one is often wrapped in another.
fn layers<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    std::iter::successors(Some(error), |error| {
        let inner = error.downcast_ref::<io::Error>()?.get_ref()?;
        Some(inner as &(dyn StdError + 'static))
    })
}
