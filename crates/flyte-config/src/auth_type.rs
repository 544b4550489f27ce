//! The authentication modes of a client.

use std::fmt;
use std::str::FromStr;

/// The value of `admin.authType`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum AuthType {
    /// Authorization code with PKCE in the person's browser (RFC 7636, RFC 8252).
    #[default]
    Pkce,
    /// A code entered in a browser on any device (RFC 8628).
    DeviceFlow,
    /// A machine's client ID and secret (RFC 6749 section 4.4).
    ClientSecret,
    /// A command prints the token.
    ExternalCommand,
    /// The caller supplies the headers of each call.
    Passthrough,
    /// The server exchanges the OIDC token of a CI job (RFC 8693). The published client does not have this mode.
    TokenExchange,
}

impl AuthType {
    /// Every mode, the default first.
    pub const ALL: [Self; 6] = [
        Self::Pkce,
        Self::DeviceFlow,
        Self::ClientSecret,
        Self::ExternalCommand,
        Self::Passthrough,
        Self::TokenExchange,
    ];

    /// Whether a person signs in. In the other modes, a machine has its own credentials.
    #[must_use]
    pub const fn is_for_people(self) -> bool {
        matches!(self, Self::Pkce | Self::DeviceFlow)
    }

    /// The spelling that every Flyte tool reads from a file.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pkce => "Pkce",
            Self::DeviceFlow => "DeviceFlow",
            Self::ClientSecret => "ClientSecret",
            Self::ExternalCommand => "ExternalCommand",
            Self::Passthrough => "Passthrough",
            Self::TokenExchange => "TokenExchange",
        }
    }
}

impl fmt::Display for AuthType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is not an authentication mode.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an authentication type; use pkce, headless, client-secret, external-command, passthrough or token-exchange"
)]
pub struct UnknownAuthType(pub String);

impl FromStr for AuthType {
    type Err = UnknownAuthType;

    /// Accepts every spelling of the published client, in upper or lower case, with `-`, `_` or nothing between words.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let word: String =
            text.chars().filter(|c| !matches!(c, '-' | '_' | ' ')).flat_map(char::to_lowercase).collect();
        match word.as_str() {
            "pkce" => Ok(Self::Pkce),
            "headless" | "deviceflow" | "devicecode" | "device" => Ok(Self::DeviceFlow),
            "clientsecret" | "clientcredentials" | "appcredential" => Ok(Self::ClientSecret),
            "externalcommand" | "command" | "custom" => Ok(Self::ExternalCommand),
            "passthrough" => Ok(Self::Passthrough),
            "tokenexchange" | "keyless" => Ok(Self::TokenExchange),
            _ => Err(UnknownAuthType(text.to_owned())),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_the_published_client_is_accepted() {
        let spellings = [
            (AuthType::Pkce, vec!["pkce", "Pkce", "PKCE"]),
            (
                AuthType::DeviceFlow,
                vec!["headless", "device-flow", "device_flow", "DeviceFlow", "deviceflow"],
            ),
            (
                AuthType::ClientSecret,
                vec!["client-secret", "client_secret", "clientsecret", "app-credential", "app_credential"],
            ),
            (
                AuthType::ExternalCommand,
                vec!["external-command", "external_command", "externalcommand", "command", "Custom"],
            ),
            (AuthType::Passthrough, vec!["Passthrough", "passthrough", "pass-through"]),
            (AuthType::TokenExchange, vec!["TokenExchange", "token-exchange", "keyless"]),
        ];
        for (auth_type, words) in spellings {
            for word in words {
                assert_eq!(word.parse(), Ok(auth_type), "{word}");
            }
        }
        assert!("oauth".parse::<AuthType>().is_err());
        assert!("".parse::<AuthType>().is_err());
    }

    #[test]
    fn the_canonical_spelling_reads_back() {
        for auth_type in AuthType::ALL {
            assert_eq!(auth_type.to_string().parse(), Ok(auth_type));
        }
    }
}
