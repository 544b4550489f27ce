//! Next steps if a server cannot be reached, or if something in front of it answers.

use flyte_auth::http::{Target, TrustSetting};
use flyte_auth::{ConnectFailure, Intermediary};

use crate::Hint;

/// What to do about a failed connection to `target`.
#[must_use]
pub fn unreachable(target: &Target, failure: &ConnectFailure) -> Option<String> {
    match (target, failure) {
        (Target::ControlPlane { address, trust }, ConnectFailure::UnknownAuthority) => {
            let trust = match trust {
                TrustSetting::Variable => "Trust its authority: `export SSL_CERT_FILE=FILE`.".to_owned(),
                TrustSetting::Configuration => {
                    format!(
                        "Trust its authority: `flyte create config --endpoint {address} --ca-cert-file FILE`."
                    )
                }
            };
            Some(format!(
                "{trust} A flyte-server names FILE when it starts, and offers it as ca.pem on its page {address}/."
            ))
        }
        (Target::ControlPlane { .. }, failure) => failure.hint(),
        (Target::Other, failure) => of_another_server(failure),
    }
}

/// What to do about a server that the control plane names, for example an identity provider.
fn of_another_server(failure: &ConnectFailure) -> Option<String> {
    let text = match failure {
        ConnectFailure::Refused => {
            "Check that this server runs; the control plane names it, so its administrator can correct the address."
        }
        ConnectFailure::UnknownHost => {
            "Check this machine's DNS; the control plane names this server, so its administrator can correct the address."
        }
        ConnectFailure::UnknownAuthority => {
            "Add its authority to the system's, or to the file of admin.caCertFilePath if that is set; insecureSkipVerify is for the \
            endpoint alone."
        }
        ConnectFailure::CertificateName => {
            "Ask the administrator: the control plane names this server by another name than its certificate."
        }
        other => return other.hint(),
    };
    Some(text.to_owned())
}

impl Hint for ConnectFailure {
    /// The next step if the server is the control plane.
    fn hint(&self) -> Option<String> {
        let text = match self {
            Self::Refused => {
                "Check that the server runs and that the endpoint's port is right: `flyte create config --endpoint HOST:PORT`."
            }
            Self::UnknownHost => {
                "Check the endpoint's spelling and this machine's DNS: `flyte create config --endpoint HOST`."
            }
            Self::TimedOut => "Check the network, the VPN and the proxy, then try again.",
            Self::CertificateExpired => {
                "Check this machine's clock (`date`); if it is right, the server's certificate must be renewed."
            }
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
                    failure if failure.wants_password() => {
                        format!("Put them into {setting}: http://USER:PASSWORD@HOST:PORT.")
                    }
                    Self::UnknownHost => format!(
                        "Check the host names; with socks5h:// in {setting} the proxy looks them up instead of this machine."
                    ),
                    _ => format!("Check {setting}; name hosts that need no proxy in NO_PROXY."),
                });
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

impl Hint for Intermediary {
    fn hint(&self) -> Option<String> {
        let later = match self.retry_after {
            Some(seconds) => format!("Try again in {seconds} seconds."),
            None => "Try again later.".to_owned(),
        };
        let words = self.words.as_deref().unwrap_or_default().to_ascii_lowercase();
        let text = match self.status {
            // The first text is nginx's, the second is Go's.
            400 if words.contains("plain http") || words.contains("http request to an https") => {
                "The server has TLS: leave out --insecure, or run `flyte create config --endpoint HOST`."
            }
            400 if !(words.is_empty()
                || ["large", "long", "size", "header"].iter().any(|word| words.contains(word))) =>
            {
                return None;
            }
            400 | 431 => {
                "The request may be too large for a proxy in front of the server, for example because of a \
                large token: let its administrator allow larger request headers."
            }
            401 => {
                "Something in front of the server wants its own sign-in: set admin.proxyCommand to a command that \
                prints a token for it."
            }
            403 => {
                "Something in front of the server refuses you: check the VPN and the network, then ask its administrator."
            }
            407 => {
                "A proxy wants credentials: put them into its address (HTTPS_PROXY or admin.httpProxyURL), or set \
                admin.proxyCommand to a command that prints a token."
            }
            413 => "Let the administrator of the proxy in front of the server allow larger requests.",
            511 => "The network wants you to sign in first: open any web page in a browser.",
            502..=504 => return Some(format!("The proxy in front of the server cannot reach it. {later}")),
            429 | 500.. => return Some(later),
            _ => return None,
        };
        Some(text.to_owned())
    }
}
