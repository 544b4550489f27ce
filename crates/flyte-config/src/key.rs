//! The keys that this project understands: the one place where each is named, typed and explained.

use std::fmt;

/// What kind of value a key takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Text.
    Text,
    /// `true` or `false`.
    Boolean,
    /// Words of a command; in an environment variable a JSON array or a shell-quoted line.
    Command,
    /// A list of words; in an environment variable a JSON array or separated by commas or spaces.
    Words,
    /// A mapping of text to text; in an environment variable a JSON object.
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
    /// What it takes.
    pub kind: Kind,
    /// A second environment variable that the published client reads first, or empty.
    pub alias: &'static str,
    /// What it does, in Markdown.
    pub doc: &'static str,
}

impl Key {
    /// The environment variables that override it, the preferred one first.
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
    /// Speak plain HTTP and send no credentials. Only for a server that needs no login.
    INSECURE = "admin"."insecure": Boolean;
    /// Accept any TLS certificate of the endpoint (of no other server, such as an identity provider). For a quick try only: whoever is between you and the server can read everything.
    INSECURE_SKIP_VERIFY = "admin"."insecureSkipVerify": Boolean;
    /// PEM file of the certificate authorities to trust for the endpoint instead of the system's. For other servers that take part, such as an identity provider, they are trusted beside the system's. Wins over `insecureSkipVerify`.
    CA_CERT_FILE_PATH = "admin"."caCertFilePath": Text;
    /// How to log in: `Pkce` (the default), `DeviceFlow`, `ClientSecret`, `ExternalCommand` or `Passthrough`, in any case; or `TokenExchange` (a CI job's own token), which the published client does not know.
    AUTH_TYPE = "admin"."authType": Text, "FLYTE_AUTH_TYPE";
    /// The command whose output is the access token, with `authType: ExternalCommand`. It runs without a shell.
    COMMAND = "admin"."command": Command, "FLYTE_AUTH_COMMAND";
    /// The command whose output is the token for a proxy in front of the server (`proxy-authorization`).
    PROXY_COMMAND = "admin"."proxyCommand": Command, "FLYTE_AUTH_PROXY_COMMAND";
    /// The client's ID, with `authType: ClientSecret`. In the other modes the server tells it.
    CLIENT_ID = "admin"."clientId": Text;
    /// File that holds the client's secret. Naming one means `authType: ClientSecret`.
    CLIENT_SECRET_LOCATION = "admin"."clientSecretLocation": Text;
    /// Name of the environment variable that holds the client's secret. If that is set, it means `authType: ClientSecret`.
    CLIENT_SECRET_ENV_VAR = "admin"."clientSecretEnvVar": Text;
    /// PEM file of the private key (EC P-256 or RSA) that proves who the client is, instead of a secret (RFC 7523). Naming one means `authType: ClientSecret`. Ours: the published client does not know it.
    CLIENT_PRIVATE_KEY_LOCATION = "admin"."clientPrivateKeyLocation": Text;
    /// Scopes to ask for instead of those that the server advertises.
    SCOPES = "admin"."scopes": Words;
    /// Proxy for every request: `http://`, `https://`, `socks5://` or `socks5h://`, by default `http://`. A password in it may be written as it is. Without it `HTTPS_PROXY` (for https) and `HTTP_PROXY` apply, else `ALL_PROXY`, in upper or lower case, but never to this machine (`localhost`, `127.0.0.0/8`, `::1`). `NO_PROXY` holds for all of them: hosts with all below them (`example.com`, `.example.com`, `*.example.com`), addresses, networks (`10.0.0.0/8`), each with a port if it is for that one alone (`example.com:8443`), or `*`.
    HTTP_PROXY_URL = "admin"."httpProxyURL": Text;
    /// Where the tokens of your login are kept: `keyring` (the system's, and nothing else), `file` (encrypted, whatever keyring there is) or `memory` (each command signs in again). Without it the keyring, or the encrypted file on a machine that has none. Ours: the published client does not know it.
    TOKEN_STORE = "admin"."tokenStore": Text, "FLYTE_TOKEN_STORE";
    /// Keep tokens out of the system's keyring: the published client's spelling of `tokenStore: memory`. A `tokenStore` beside it wins.
    DISABLE_KEYRING = "admin"."disableKeyring": Boolean;
    /// Address of the web console, where it is not the endpoint's.
    CONSOLE_ENDPOINT = "console"."endpoint": Text;
    /// Organization that requests are about.
    ORG = "task"."org": Text;
    /// Project that requests are about.
    PROJECT = "task"."project": Text;
    /// Domain (stage) that requests are about, such as `development`.
    DOMAIN = "task"."domain": Text;
    /// What builds images: `local`, `local-podman` or `remote`.
    IMAGE_BUILDER = "image"."builder": Text;
    /// Registry that built images are pushed to, such as `ghcr.io/my-org`.
    IMAGE_REGISTRY = "image"."registry": Text;
    /// Names for image references, which tasks can then refer to.
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

/// The key of that name, where there is one.
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
