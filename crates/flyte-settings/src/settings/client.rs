//! `client`: the registration of the `flyte` command.

use flyte_model::{ClientId, Scopes, is_loopback};
use url::Url;

use crate::setting::{Default::Value, Setting};

/// [`PublicClientConfig::client_id`](crate::PublicClientConfig::client_id).
pub static CLIENT_ID: Setting<ClientId> = Setting {
    key: "client.id",
    flag: None,
    placeholder: "ID",
    default: Value("flyte"),
    help: "Client identifier that the server gives to the `flyte` command and the PyPI package `flyte`.",
    check: |_| Ok(()),
};

/// [`PublicClientConfig::redirect_uri`](crate::PublicClientConfig::redirect_uri).
pub static CLIENT_REDIRECT_URI: Setting<String> = Setting {
    key: "client.redirect-uri",
    flag: None,
    placeholder: "URL",
    default: Value("http://localhost:53593/callback"),
    help: "Address to which the browser returns after the sign-in. It is a loopback address with a port, on which the \
           command listens. If the port is in use, the command may take another one.",
    check: |uri| loopback_redirect(uri),
};

/// [`PublicClientConfig::scopes`](crate::PublicClientConfig::scopes).
pub static CLIENT_SCOPES: Setting<Scopes> = Setting {
    key: "client.scopes",
    flag: None,
    placeholder: "SCOPE,...",
    default: Value("openid,profile,email,offline_access,all"),
    help: "Scopes that the command asks for. Without `offline_access` it gets no refresh token.",
    check: |_| Ok(()),
};

fn loopback_redirect(uri: &str) -> Result<(), String> {
    let good = uri.parse::<Url>().is_ok_and(|url| {
        url.scheme() == "http" && is_loopback(&url) && url.port().is_some() && url.fragment().is_none()
    });
    if good {
        Ok(())
    } else {
        Err("a loopback URL with a port is expected, for example http://localhost:53593/callback".to_owned())
    }
}
