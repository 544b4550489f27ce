//! The effective configuration.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use url::Url;

use crate::auth_type::AuthType;
use crate::endpoint::Endpoint;
use crate::environment::Environment;
use crate::error::{ConfigError, Origin};
use crate::nearby::Nearby;
use crate::proxy::parse_proxy;
use crate::store_kind::StoreKind;
use crate::tree::{Kind, Tree};
use crate::value::{self, Sources};
use crate::{key, search};

/// The configuration of a client. An environment variable overrides the file, and the file overrides the default.
#[derive(Clone, Debug, Default)]
pub struct Config {
    /// The control plane and how to sign in to it.
    pub admin: Admin,
    /// The web console.
    pub console: Console,
    /// The organization, project and domain of requests.
    pub task: Task,
    /// How images are built.
    pub image: Image,
    /// Local runs.
    pub local: Local,
    /// The configuration file; `None` if there is none.
    pub source: Option<PathBuf>,
    /// Keys in the file that this project does not know. They may belong to another tool.
    pub unknown_keys: Vec<UnknownKey>,
    /// Settings that the person has to approve before they have an effect, because the file was found by the working directory.
    pub nearby: Option<Nearby>,
}

/// The control plane and how to sign in to it.
#[derive(Clone, Default)]
pub struct Admin {
    /// The address. It is insecure exactly if `insecure` is set.
    pub endpoint: Option<Endpoint>,
    /// Use plain HTTP, without credentials.
    pub insecure: bool,
    /// Accept any certificate.
    pub insecure_skip_verify: bool,
    /// File of the certificate authorities to trust instead of the system's; absolute.
    pub ca_cert_file_path: Option<PathBuf>,
    /// How to sign in.
    pub auth_type: AuthType,
    /// Whether `auth_type` was configured. If not, it is the default.
    pub auth_type_chosen: bool,
    /// The command that prints the token.
    pub command: Vec<String>,
    /// The command that prints the token for a proxy.
    pub proxy_command: Vec<String>,
    /// The proxy for every request. The URL may contain a password, so it is never shown.
    pub http_proxy_url: Option<Url>,
    /// Client ID for [`AuthType::ClientSecret`].
    pub client_id: Option<String>,
    /// File that contains the client's secret; absolute.
    pub client_secret_location: Option<PathBuf>,
    /// Environment variable that contains the client's secret.
    pub client_secret_env_var: Option<String>,
    /// File of the private key with which the client authenticates; absolute.
    pub client_private_key_location: Option<PathBuf>,
    /// Scopes to request; empty for the scopes that the server advertises.
    pub scopes: Vec<String>,
    /// Where the tokens of a login are stored; `None` if not configured.
    pub token_store: Option<StoreKind>,
    /// Do not use the keyring.
    pub disable_keyring: bool,
}

impl Admin {
    /// Where the tokens of a login are stored, by `tokenStore` or `disableKeyring`; `None` if neither is configured.
    #[must_use]
    pub fn store_kind(&self) -> Option<StoreKind> {
        self.token_store.or_else(|| self.disable_keyring.then_some(StoreKind::Memory))
    }
}

impl fmt::Debug for Admin {
    /// Writes the fields without the proxy's URL, which may contain a password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin")
            .field("endpoint", &self.endpoint)
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .field("ca_cert_file_path", &self.ca_cert_file_path)
            .field("auth_type", &self.auth_type)
            .field("http_proxy_url", &self.http_proxy_url.as_ref().and_then(Url::host_str))
            .field("client_id", &self.client_id)
            .field("scopes", &self.scopes)
            .field("token_store", &self.store_kind())
            .finish_non_exhaustive()
    }
}

/// The web console.
#[derive(Clone, Debug, Default)]
pub struct Console {
    /// The address, if it is not the control plane's.
    pub endpoint: Option<Endpoint>,
}

/// The organization, project and domain of requests.
#[derive(Clone, Debug, Default)]
pub struct Task {
    /// Organization.
    pub org: Option<String>,
    /// Project.
    pub project: Option<String>,
    /// Domain (stage).
    pub domain: Option<String>,
}

/// How images are built.
#[derive(Clone, Debug, Default)]
pub struct Image {
    /// The image builder: `local`, `local-podman`, `remote` or a name that a plug-in registers.
    pub builder: Option<String>,
    /// The registry to push images to.
    pub registry: Option<String>,
    /// Names of images, and the image references that they stand for.
    pub image_refs: BTreeMap<String, String>,
}

/// Local runs.
#[derive(Clone, Debug, Default)]
pub struct Local {
    /// Keep a record of local runs.
    pub persistence: bool,
    /// Report local runs to the control plane.
    pub tracked: bool,
    /// Fail a local run that cannot be reported.
    pub tracked_strict: bool,
}

/// A key in the file that this project does not know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownKey {
    /// The position in the file.
    pub origin: Origin,
    /// The full name of the key.
    pub key: String,
}

impl UnknownKey {
    /// The known key with the most similar name, if it differs in at most two letters, without regard to case.
    #[must_use]
    pub fn meant(&self) -> Option<&'static key::Key> {
        let written = self.key.to_lowercase();
        let distance =
            |key: &key::Key| strsim::damerau_levenshtein(&written, &key.to_string().to_lowercase());
        key::ALL.iter().copied().min_by_key(|key| distance(key)).filter(|key| distance(key) <= 2)
    }

    /// Whether the name says that the value is a secret. The file must not contain secrets.
    #[must_use]
    pub fn names_a_secret(&self) -> bool {
        let lower = self.key.to_lowercase();
        ["secret", "password", "apikey", "api_key", "token"].iter().any(|word| lower.ends_with(word))
    }
}

impl fmt::Display for UnknownKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} is not a key that flyte knows; it is left alone", self.origin, self.key)?;
        if let Some(meant) = self.meant() {
            write!(f, ". Is {meant} meant?")?;
        }
        if self.names_a_secret() {
            f.write_str(
                ". If it is a secret, take it out of this file: name a file or a variable that holds it",
            )?;
        }
        Ok(())
    }
}

impl Config {
    /// Finds (see [`search`]) and reads the configuration. Environment variables apply even if there is no file.
    ///
    /// # Errors
    /// If a named file is missing, cannot be read or is malformed, or if a value has the wrong type.
    pub fn load(explicit: Option<&Path>, environment: &Environment) -> Result<Self, ConfigError> {
        let Some(path) = search::find(explicit, environment)? else {
            return Self::build(&Sources { environment, file: None }, Vec::new());
        };
        let text = read(&path)?;
        let tree = parse(&text, &path)?;
        let unknown_keys = unknown_keys(&path, &tree);
        let file = Some((path.as_path(), &tree));
        let config = Self::build(&Sources { environment, file }, unknown_keys)?;
        let bare = Environment { variables: BTreeMap::new(), ..environment.clone() };
        // If only a variable makes the file valid, the file cannot be read alone. Then look at the effective configuration, so that
        // an invalid setting does not hide the other ones.
        let alone = Self::build(&Sources { environment: &bare, file }, Vec::new());
        let alone = alone.as_ref().unwrap_or(&config);
        let nearby = Nearby::find(&path, explicit.is_some(), &alone.admin, &config.admin, environment);
        Ok(Self { source: Some(path.clone()), nearby, ..config })
    }

    fn build(sources: &Sources<'_>, unknown_keys: Vec<UnknownKey>) -> Result<Self, ConfigError> {
        let text = |key| Ok::<_, ConfigError>(sources.text(key)?.map(|found| found.value));
        let path = |key| Ok::<_, ConfigError>(text(key)?.map(|path| sources.environment.resolve(&path)));
        let endpoint = |key| match sources.text(key)? {
            Some(found) => found.convert(|text| text.parse::<Endpoint>()).map(Some),
            None => Ok(None),
        };
        let insecure = sources.boolean(key::INSECURE)?;
        let client_secret_location = path(key::CLIENT_SECRET_LOCATION)?;
        let client_private_key_location = path(key::CLIENT_PRIVATE_KEY_LOCATION)?;
        let client_secret_env_var = text(key::CLIENT_SECRET_ENV_VAR)?;
        let secret_in_variable =
            client_secret_env_var.as_deref().is_some_and(|name| sources.environment.variable(name).is_some());
        let configured = match sources.text(key::AUTH_TYPE)? {
            Some(found) => Some(found.convert(|text| text.parse())?),
            None => None,
        };
        let token_store = match sources.text(key::TOKEN_STORE)? {
            Some(found) => Some(found.convert(|text| text.parse())?),
            None => None,
        };
        // A configured secret implies the mode that uses it, as in the published client.
        let implied =
            client_secret_location.is_some() || secret_in_variable || client_private_key_location.is_some();
        let http_proxy_url = match sources.text(key::HTTP_PROXY_URL)? {
            // The text may contain a password, so the error must not repeat it.
            Some(found) => Some(found.convert(|text| parse_proxy(&text))?),
            None => None,
        };
        Ok(Self {
            admin: Admin {
                endpoint: endpoint(key::ENDPOINT)?.map(|endpoint| endpoint.with_insecure(insecure)),
                insecure,
                insecure_skip_verify: sources.boolean(key::INSECURE_SKIP_VERIFY)?,
                ca_cert_file_path: path(key::CA_CERT_FILE_PATH)?,
                auth_type: if implied { AuthType::ClientSecret } else { configured.unwrap_or_default() },
                auth_type_chosen: implied || configured.is_some(),
                command: sources.words(key::COMMAND)?,
                proxy_command: sources.words(key::PROXY_COMMAND)?,
                http_proxy_url,
                client_id: text(key::CLIENT_ID)?,
                client_secret_location,
                client_secret_env_var,
                client_private_key_location,
                scopes: sources.words(key::SCOPES)?,
                token_store,
                disable_keyring: sources.boolean(key::DISABLE_KEYRING)?,
            },
            console: Console { endpoint: endpoint(key::CONSOLE_ENDPOINT)? },
            task: Task { org: text(key::ORG)?, project: text(key::PROJECT)?, domain: text(key::DOMAIN)? },
            image: Image {
                builder: text(key::IMAGE_BUILDER)?,
                registry: text(key::IMAGE_REGISTRY)?,
                image_refs: sources.map(key::IMAGE_REFS)?,
            },
            local: Local {
                persistence: sources.boolean(key::PERSISTENCE)?,
                tracked: sources.boolean(key::TRACKED)?,
                tracked_strict: sources.boolean(key::TRACKED_STRICT)?,
            },
            source: None,
            unknown_keys,
            nearby: None,
        })
    }
}

/// Reads a file as text.
pub(crate) fn read(path: &Path) -> Result<String, ConfigError> {
    std::fs::read_to_string(path).map_err(|source| match source.kind() {
        io::ErrorKind::InvalidData => ConfigError::Malformed {
            origin: Origin::File { path: path.to_owned(), line: 1, column: 1 },
            reason: "the file is not UTF-8 text".to_owned(),
        },
        _ => ConfigError::Io { action: "read", path: path.to_owned(), source },
    })
}

/// Reads the text of the file at `path` as a mapping of sections.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Tree, ConfigError> {
    let tree = Tree::parse(text).map_err(|error| ConfigError::Malformed {
        origin: Origin::File { path: path.to_owned(), line: error.line, column: error.column },
        reason: format!("this is not valid YAML: {}", error.reason),
    })?;
    match tree.root() {
        Some(root) if !matches!(tree.node(root).kind, Kind::Mapping { .. }) && !tree.is_null(root) => {
            Err(ConfigError::Malformed {
                origin: value::origin(path, &tree, root),
                reason: "a configuration is a mapping of sections, for example admin: and task:".to_owned(),
            })
        }
        _ => Ok(tree),
    }
}

fn unknown_keys(path: &Path, tree: &Tree) -> Vec<UnknownKey> {
    let mut unknown = Vec::new();
    let Some(Kind::Mapping { entries, .. }) = tree.root().map(|root| &tree.node(root).kind) else {
        return unknown;
    };
    for (section_key, section) in entries {
        let Some(section_name) = tree.text(*section_key) else { continue };
        if !key::SECTIONS.contains(&section_name) {
            unknown.push(UnknownKey {
                origin: value::origin(path, tree, *section_key),
                key: section_name.to_owned(),
            });
            continue;
        }
        let Some(Kind::Mapping { entries, .. }) = tree.resolve(*section).map(|id| &tree.node(id).kind) else {
            continue;
        };
        for (name_key, _) in entries {
            let Some(name) = tree.text(*name_key) else { continue };
            if name != "<<" && key::find(section_name, name).is_none() {
                let key = format!("{section_name}.{name}");
                unknown.push(UnknownKey { origin: value::origin(path, tree, *name_key), key });
            }
        }
    }
    unknown
}

#[cfg(test)]
mod tests;
