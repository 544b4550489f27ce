//! The configuration keys of this project: the name, the type and the documentation of each.

use std::fmt;

/// The type of a key's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// The words of a command. In an environment variable: a JSON array, or words quoted as in a shell.
    Command,
    /// A list of words. In an environment variable: a JSON array, or words separated by commas or spaces.
    Words,
    /// A mapping of text to text. In an environment variable: a JSON object.
    Map,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Text => "text",
            Self::Boolean => "true or false",
            Self::Command => "a list of words (the command and its arguments)",
            Self::Words => "a list of words",
            Self::Map => "a mapping of names to text",
        })
    }
}

/// One key of the configuration.
#[derive(Debug, PartialEq, Eq)]
pub struct Key {
    /// The top-level key.
    pub section: &'static str,
    /// The key within the section.
    pub name: &'static str,
    /// The type of its value.
    pub kind: Kind,
    /// A second environment variable, which the published client reads first; may be empty.
    pub alias: &'static str,
    /// The documentation, in Markdown.
    pub doc: &'static str,
}

impl Key {
    /// The environment variables that override the key, the one with precedence first.
    pub fn variables(&self) -> impl Iterator<Item = String> {
        let derived = format!("FLYTE_{}_{}", self.section, self.name).to_uppercase();
        let alias = (!self.alias.is_empty()).then(|| self.alias.to_owned());
        alias.into_iter().chain([derived])
    }
}

impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", self.section, self.name)
    }
}

macro_rules! keys {
    ($($(#[doc = $doc:literal])+ $constant:ident = $section:literal . $name:literal : $kind:ident $(, $alias:literal)?;)+) => {
        $($(#[doc = $doc])+ pub const $constant: &Key = &Key {
            section: $section,
            name: $name,
            kind: Kind::$kind,
            alias: concat!($($alias)?),
            doc: concat!($($doc),+),
        };)+

        /// Every key, in the order of the documentation.
        pub const ALL: &[&Key] = &[$($constant),+];
    };
}

keys! {
    /// Address of the control plane: `dns:///host:port`, `https://host:port` or `host:port`.
    ENDPOINT = "admin"."endpoint": Text;
    /// Use plain HTTP and send no credentials. Only for a server that needs no sign-in.
    INSECURE = "admin"."insecure": Boolean;
    /// Accept any TLS certificate of the endpoint, but not of other servers, for example an identity provider. For a quick try only: an attacker on the network can read everything.
    INSECURE_SKIP_VERIFY = "admin"."insecureSkipVerify": Boolean;
    /// PEM file of the certificate authorities to trust for the endpoint instead of the system's. For other servers, for example an identity provider, they are trusted in addition to the system's. Takes precedence over `insecureSkipVerify`.
    CA_CERT_FILE_PATH = "admin"."caCertFilePath": Text;
    /// How to sign in: `Pkce` (the default), `DeviceFlow`, `ClientSecret`, `ExternalCommand`, `Passthrough` or `TokenExchange` (a CI job's own token), in upper or lower case. The published client does not know `TokenExchange`.
    AUTH_TYPE = "admin"."authType": Text, "FLYTE_AUTH_TYPE";
    /// The command that prints the access token, with `authType: ExternalCommand`. It runs without a shell.
    COMMAND = "admin"."command": Command, "FLYTE_AUTH_COMMAND";
    /// The command that prints the token for a proxy in front of the server (`proxy-authorization`).
    PROXY_COMMAND = "admin"."proxyCommand": Command, "FLYTE_AUTH_PROXY_COMMAND";
    /// The client ID, with `authType: ClientSecret`. In the other modes, the server provides it.
    CLIENT_ID = "admin"."clientId": Text;
    /// File that contains the client's secret. If set, it implies `authType: ClientSecret`.
    CLIENT_SECRET_LOCATION = "admin"."clientSecretLocation": Text;
    /// Name of the environment variable that contains the client's secret. If that variable is set, it implies `authType: ClientSecret`.
    CLIENT_SECRET_ENV_VAR = "admin"."clientSecretEnvVar": Text;
    /// PEM file of the private key (EC P-256 or RSA) with which the client authenticates instead of a secret (RFC 7523). If set, it implies `authType: ClientSecret`. The published client does not know this key.
    CLIENT_PRIVATE_KEY_LOCATION = "admin"."clientPrivateKeyLocation": Text;
    /// Scopes to request instead of the scopes that the server advertises.
    SCOPES = "admin"."scopes": Words;
    /// Proxy for every request: `http://`, `https://`, `socks5://` or `socks5h://`, by default `http://`. A password in it needs no percent-encoding. If not set, `HTTPS_PROXY` (for https) and `HTTP_PROXY` apply, or else `ALL_PROXY`, in upper or lower case, but never to this machine (`localhost`, `127.0.0.0/8`, `::1`). `NO_PROXY` names exceptions from all of them: hosts with their subdomains (`example.com`, `.example.com`, `*.example.com`), addresses, networks (`10.0.0.0/8`), or `*`. With a port (`example.com:8443`), an exception is only for this port.
    HTTP_PROXY_URL = "admin"."httpProxyURL": Text;
    /// Where the tokens of your login are stored: `keyring` (only the system's keyring), `file` (an encrypted file, even if there is a keyring) or `memory` (each command signs in again). If not set, the keyring, or the encrypted file on a machine without a keyring. The published client does not know this key.
    TOKEN_STORE = "admin"."tokenStore": Text, "FLYTE_TOKEN_STORE";
    /// Do not use the system's keyring: the published client's spelling of `tokenStore: memory`. `tokenStore` takes precedence.
    DISABLE_KEYRING = "admin"."disableKeyring": Boolean;
    /// Address of the web console, if it is not the endpoint's.
    CONSOLE_ENDPOINT = "console"."endpoint": Text;
    /// Organization of the requests.
    ORG = "task"."org": Text;
    /// Project of the requests.
    PROJECT = "task"."project": Text;
    /// Domain (stage) of the requests, for example `development`.
    DOMAIN = "task"."domain": Text;
    /// The image builder: `local`, `local-podman` or `remote`.
    IMAGE_BUILDER = "image"."builder": Text;
    /// Registry that built images are pushed to, for example `ghcr.io/my-org`.
    IMAGE_REGISTRY = "image"."registry": Text;
    /// Names that tasks can use for image references.
    IMAGE_REFS = "image"."image_refs": Map;
    /// Keep a record of local runs.
    PERSISTENCE = "local"."persistence": Boolean;
    /// Report local runs to the control plane.
    TRACKED = "local"."tracked": Boolean;
    /// Fail a local run that cannot be reported.
    TRACKED_STRICT = "local"."tracked_strict": Boolean;
}

/// The top-level keys, sorted.
pub const SECTIONS: &[&str] = &["admin", "console", "image", "local", "task"];

/// Finds the key with this name.
#[must_use]
pub fn find(section: &str, name: &str) -> Option<&'static Key> {
    ALL.iter().copied().find(|key| key.section == section && key.name == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_follow_the_published_rule() {
        let names = |key: &Key| key.variables().collect::<Vec<_>>();
        assert_eq!(names(INSECURE_SKIP_VERIFY), ["FLYTE_ADMIN_INSECURESKIPVERIFY"]);
        assert_eq!(names(AUTH_TYPE), ["FLYTE_AUTH_TYPE", "FLYTE_ADMIN_AUTHTYPE"]);
        assert_eq!(names(IMAGE_REFS), ["FLYTE_IMAGE_IMAGE_REFS"]);
    }

    #[test]
    fn the_sections_are_those_of_the_keys() {
        let mut sections: Vec<_> = ALL.iter().map(|key| key.section).collect();
        sections.sort_unstable();
        sections.dedup();
        assert_eq!(sections, SECTIONS);
    }
}
