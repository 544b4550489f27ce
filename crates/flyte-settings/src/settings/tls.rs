//! `tls`: encryption.

use std::path::PathBuf;

use super::check::any;
use crate::{
    setting::{
        Default::{Depends, Value},
        Setting,
    },
    value::TlsMode,
};

/// Whether connections are encrypted; see [`TlsConfig::source`](crate::TlsConfig::source).
pub static TLS_MODE: Setting<TlsMode> = Setting {
    key: "tls.mode",
    flag: Some("tls"),
    placeholder: "on|off",
    default: Value("on"),
    help: "Whether connections are encrypted. With `on` and no certificate file, the server creates its own \
           certificate authority at the first start; clients trust it through the file `ca.pem` in the data directory. \
           Use `off` if a proxy in front of the server encrypts.",
    check: any,
};

/// The certificate of [`TlsSource::Files`](crate::TlsSource::Files).
pub static TLS_CERTIFICATE_FILE: Setting<PathBuf> = Setting {
    key: "tls.certificate-file",
    flag: Some("tls-certificate-file"),
    placeholder: "FILE",
    default: Depends("a certificate from the server's own authority"),
    help: "PEM file with the server's certificate, followed by the intermediate certificates. The server reads it \
           again when it changes, and on SIGHUP.",
    check: any,
};

/// The private key of [`TlsSource::Files`](crate::TlsSource::Files).
pub static TLS_KEY_FILE: Setting<PathBuf> = Setting {
    key: "tls.key-file",
    flag: Some("tls-key-file"),
    placeholder: "FILE",
    default: Depends("none; required with `tls.certificate-file`"),
    help: "PEM file with the private key of `tls.certificate-file`.",
    check: any,
};

/// [`TlsConfig::host_names`](crate::TlsConfig::host_names).
pub static TLS_HOST_NAMES: Setting<Vec<String>> = Setting {
    key: "tls.host-names",
    flag: Some("tls-host-name"),
    placeholder: "NAME,...",
    default: Value(""),
    help: "More host names and addresses for certificates of the server's own authority, in addition to `localhost`, \
           `127.0.0.1`, `::1` and the host of `public-url`. If the existing authority does not allow one of them, the \
           server creates a new authority, and clients must trust that one.",
    check: any,
};

/// [`TlsConfig::allow_plaintext`](crate::TlsConfig::allow_plaintext).
pub static TLS_ALLOW_PLAINTEXT: Setting<bool> = Setting {
    key: "tls.allow-plaintext",
    flag: Some("allow-plaintext"),
    placeholder: "true|false",
    default: Value("false"),
    help: "Allows `tls.mode` to be `off` on an address that other machines can reach. Passwords and tokens then cross \
           the network between the proxy and the server in the clear.",
    check: any,
};
