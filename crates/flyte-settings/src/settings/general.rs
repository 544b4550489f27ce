//! The settings at the top of the file.

use std::{net::SocketAddr, path::PathBuf};

use flyte_model::is_loopback;
use url::Url;

use super::check::any;
use crate::setting::{
    Default::{Depends, Value},
    Setting,
};

/// [`Config::public_url`](crate::Config::public_url).
pub static PUBLIC_URL: Setting<Url> = Setting {
    key: "public-url",
    flag: Some("public-url"),
    placeholder: "URL",
    default: Depends("`https://localhost:PORT/` with the port of `listen`; `http:` if `tls.mode` is `off`"),
    help: "URL at which browsers and clients reach the server. It is the issuer of every token, so clients must sign \
           in again after a change. It must be an https URL without a path; http is allowed only if the host is this \
           machine.",
    check: public_url,
};

/// [`Config::listen`](crate::Config::listen).
pub static LISTEN: Setting<SocketAddr> = Setting {
    key: "listen",
    flag: Some("listen"),
    placeholder: "ADDRESS:PORT",
    default: Value("127.0.0.1:8443"),
    help: "Address and port to listen on. Port 0 selects any free port, and the log shows which one. To be reachable \
           from other machines, listen on `[::]:8443` or `0.0.0.0:8443`, and set `public-url`.",
    check: any,
};

/// [`Config::data_dir`](crate::Config::data_dir).
pub static DATA_DIR: Setting<PathBuf> = Setting {
    key: "data-dir",
    flag: Some("data-dir"),
    placeholder: "DIRECTORY",
    default: Depends("`$XDG_DATA_HOME/flyte-server`, or `~/.local/share/flyte-server`"),
    help: "Directory of all the server's data: database, keys, certificates. The first start creates it, and only its \
           owner may read it. Only one server at a time can use it.",
    check: any,
};

/// [`Config::org`](crate::Config::org).
pub static ORG: Setting<String> = Setting {
    key: "org",
    flag: Some("org"),
    placeholder: "NAME",
    default: Value(""),
    help: "Organization that projects are listed under. Empty if there is none.",
    check: any,
};

fn public_url(url: &Url) -> Result<(), String> {
    let reason = if !matches!(url.scheme(), "http" | "https") {
        "it must begin with https://"
    } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        "it must end after the host and port: the server cannot be under a path"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it cannot hold a user name or password"
    } else if url.scheme() == "http" && !is_loopback(url) {
        "it must begin with https:// unless its host is localhost: otherwise browsers cannot stay signed in"
    } else {
        return Ok(());
    };
    Err(reason.to_owned())
}
