//! `kubernetes`: pods as callers.

use std::path::PathBuf;

use super::check::{any, between};
use crate::{
    setting::{
        Default::{Depends, Value},
        Setting,
    },
    value::{Form, Seconds, Value as Parse},
};

/// How the tokens of pods are verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubernetesVerification {
    /// With the keys of the cluster and a watch of the pods.
    Keys,
    /// By the API server, for each token (`TokenReview`).
    TokenReview,
}

impl Parse for KubernetesVerification {
    const FORM: Form = Form::Text;
    const DESCRIPTION: &'static str = "one of `keys`, `token-review`";

    fn parse(text: &str) -> Result<Self, String> {
        match text {
            "keys" => Ok(Self::Keys),
            "token-review" => Ok(Self::TokenReview),
            _ => Err("one of these is expected: keys token-review".to_owned()),
        }
    }

    fn show(&self) -> String {
        match self {
            Self::Keys => "keys",
            Self::TokenReview => "token-review",
        }
        .to_owned()
    }
}

/// Whether [`Config::kubernetes`](crate::Config::kubernetes) is set.
pub static KUBERNETES_ENABLED: Setting<bool> = Setting {
    key: "kubernetes.enabled",
    flag: None,
    placeholder: "BOOL",
    default: Value("false"),
    help: "Whether the pods of tasks are callers: a pod proves by its service-account token which run it works on, and has \
           the rights of the user who started that run, in the run's project and domain. Only with an upstream.",
    check: any,
};

/// [`KubernetesConfig::namespaces`](crate::KubernetesConfig::namespaces).
pub static KUBERNETES_NAMESPACES: Setting<Vec<String>> = Setting {
    key: "kubernetes.namespaces",
    flag: None,
    placeholder: "NAME,...",
    default: Depends("the namespace of the server's own service account"),
    help: "Namespaces in which the pods of tasks run. The server's service account needs a Role in each of them that allows \
           `get`, `list` and `watch` on `pods` and on `taskactions` of `flyte.org`.",
    check: |namespaces| match namespaces.iter().find(|name| !is_label(name)) {
        Some(name) => Err(format!("{name:?} is not the name of a namespace")),
        None => Ok(()),
    },
};

/// [`KubernetesConfig::audience`](crate::KubernetesConfig::audience).
pub static KUBERNETES_AUDIENCE: Setting<String> = Setting {
    key: "kubernetes.audience",
    flag: None,
    placeholder: "TEXT",
    default: Depends("`public-url` without a slash at the end"),
    help: "The only audience of the pods' tokens: the `audience` of the projected volume in the PodTemplate.",
    check: |audience| {
        if audience.is_empty() { Err("it cannot be empty".to_owned()) } else { Ok(()) }
    },
};

/// [`KubernetesConfig::issuer`](crate::KubernetesConfig::issuer).
pub static KUBERNETES_ISSUER: Setting<String> = Setting {
    key: "kubernetes.issuer",
    flag: None,
    placeholder: "URL",
    default: Depends("that of the API server's `/.well-known/openid-configuration`"),
    help: "The issuer (`iss`) of the pods' tokens. Set it if the service account may not read the API server's discovery \
           document.",
    check: any,
};

/// [`KubernetesConfig::kubeconfig`](crate::KubernetesConfig::kubeconfig).
pub static KUBERNETES_KUBECONFIG: Setting<PathBuf> = Setting {
    key: "kubernetes.kubeconfig",
    flag: None,
    placeholder: "FILE",
    default: Depends("none: the service account of the server's own pod"),
    help: "File with the address and the credentials of the API server, in the form of `~/.kube/config`. Use it for a server \
           outside of the cluster.",
    check: any,
};

/// [`KubernetesConfig::verification`](crate::KubernetesConfig::verification).
pub static KUBERNETES_VERIFICATION: Setting<KubernetesVerification> = Setting {
    key: "kubernetes.verification",
    flag: None,
    placeholder: "keys|token-review",
    default: Value("keys"),
    help: "How pods' tokens are verified. With `keys`, the server reads the cluster's keys and watches the pods, and a pod's \
           rights end within a second of its end. With `token-review`, the API server checks each token, which needs the \
           ClusterRole `system:auth-delegator`; the pod is read again every ten seconds, and rights end within that time.",
    check: any,
};

/// [`KubernetesConfig::max_token_age`](crate::KubernetesConfig::max_token_age).
pub static KUBERNETES_MAX_TOKEN_AGE: Setting<Seconds> = Setting {
    key: "kubernetes.max-token-age",
    flag: None,
    placeholder: "DURATION",
    default: Value("24h"),
    help: "How long after its issue a pod's token is accepted, whatever its own expiry. Kubelets replace tokens before they \
           are 24 hours old. A shorter time must be above the `expirationSeconds` of the projected volume.",
    check: |age| between(age, 600, 86_400),
};

/// Whether a text is a label of DNS (RFC 1123 section 2.1), which names of namespaces are.
fn is_label(text: &str) -> bool {
    let is_inner = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_inner)
        && !text.starts_with('-')
        && !text.ends_with('-')
}
