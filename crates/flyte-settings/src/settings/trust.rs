//! `trust`: trusted issuers.

use std::path::PathBuf;

use super::check::any;
use crate::setting::{Default::Depends, Setting};

/// [`TrustConfig::ca_file`](crate::TrustConfig::ca_file).
pub static TRUST_CA_FILE: Setting<PathBuf> = Setting {
    key: "trust.ca-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none: only the machine's certificate authorities"),
    help: "PEM file of certificate authorities that the server trusts for the servers of trusted issuers and of \
           sign-in providers, in addition to the machine's. Use it for a GitLab, a Keycloak or a Kubernetes cluster with its \
           own authority.",
    check: any,
};
