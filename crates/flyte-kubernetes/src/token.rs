//! Service-account tokens that are bound to a pod (KEP-1205): reading, and the checks that need nothing else.

use jsonwebtoken::Algorithm;
use serde::Deserialize;

use crate::keys::KeySet;
use flyte_access::{token::Audience, workload::WorkloadError, workload::WorkloadId};
use flyte_keys::jwks::{self, JwksError};
use flyte_model::clock::UnixTime;

/// The maximum length of a token, in bytes. Those of pods have about 1,200.
const MAX_BYTES: usize = 8 * 1024;
/// The permitted difference between the cluster's clock and ours, in seconds.
const LEEWAY_SECONDS: i64 = 60;

/// The claims of a token.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Claims {
    /// The issuer.
    pub(crate) iss: String,
    /// The audiences.
    aud: Audience,
    exp: UnixTime,
    iat: UnixTime,
    #[serde(default)]
    nbf: Option<UnixTime>,
    #[serde(default)]
    jti: Option<String>,
    #[serde(rename = "kubernetes.io")]
    kubernetes: KubernetesClaims,
}

/// The private claims of Kubernetes.
#[derive(Clone, Debug, Deserialize)]
struct KubernetesClaims {
    namespace: String,
    pod: Option<Reference>,
    serviceaccount: Reference,
    /// The `exp` that was asked for, if the API server has made the token valid for a year.
    #[serde(default)]
    warnafter: Option<UnixTime>,
}

#[derive(Clone, Debug, Deserialize)]
struct Reference {
    name: String,
    uid: String,
}

/// A token that was read, but whose signature was not verified.
#[derive(Debug)]
pub(crate) struct Unverified<'t> {
    token: &'t str,
    kid: Option<String>,
    algorithm: Algorithm,
    claims: Claims,
}

/// What a token says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PodToken {
    /// The pod.
    pub(crate) id: WorkloadId,
    /// The name of its service account in the same namespace.
    pub(crate) service_account: String,
    /// `jti`; empty before Kubernetes 1.30.
    pub(crate) token_id: String,
    /// The time until which the token is accepted.
    pub(crate) expires_at: UnixTime,
}

/// What tokens must have.
#[derive(Clone, Debug)]
pub(crate) struct Demands {
    /// The only audience.
    pub(crate) audience: String,
    /// The namespaces of the pods.
    pub(crate) namespaces: Vec<String>,
    /// How long after its issue a token is accepted, in seconds.
    pub(crate) max_age: i64,
}

const fn invalid(why: &'static str) -> WorkloadError {
    WorkloadError::Invalid(why)
}

impl<'t> Unverified<'t> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`WorkloadError::Invalid`] if it is not the token of a pod.
    pub(crate) fn read(token: &'t str) -> Result<Self, WorkloadError> {
        const MALFORMED: WorkloadError = invalid("the token is neither of this server nor of a pod");
        if token.len() > MAX_BYTES {
            return Err(invalid("the token is too long"));
        }
        // The library refuses unknown values of `alg`, including `none`, here.
        let header = jsonwebtoken::decode_header(token).map_err(|_| MALFORMED)?;
        let claims: Claims = jsonwebtoken::dangerous::insecure_decode_claims(token).map_err(|_| MALFORMED)?;
        if !jwks::ACCEPTED.contains(&header.alg) {
            return Err(invalid("the pod's token is signed with an algorithm that is not accepted"));
        }
        // RFC 7515 section 4.1.11: a header that must be understood but is unknown makes the token invalid.
        if header.crit.is_some() || header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(MALFORMED);
        }
        Ok(Self { token, kid: header.kid, algorithm: header.alg, claims })
    }

    /// The claims.
    pub(crate) fn claims(&self) -> &Claims {
        &self.claims
    }

    /// The token itself.
    pub(crate) fn text(&self) -> &'t str {
        self.token
    }

    /// Whether the token is bound to a pod.
    pub(crate) fn is_of_pod(&self) -> bool {
        self.claims.kubernetes.pod.is_some()
    }

    /// The identifier of the signing key.
    pub(crate) fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Checks everything that needs no key, so that no request is made for a token that is refused anyway.
    ///
    /// # Errors
    /// [`WorkloadError::Invalid`].
    pub(crate) fn check(&self, demands: &Demands, now: UnixTime) -> Result<PodToken, WorkloadError> {
        let Claims { aud, exp, iat, nbf, jti, kubernetes, .. } = &self.claims;
        // Each of several audiences could send the token here.
        let is_ours = match aud {
            Audience::One(one) => *one == demands.audience,
            Audience::Many(many) => matches!(many.as_slice(), [one] if *one == demands.audience),
        };
        if !is_ours {
            return Err(invalid("the pod's token is for another audience than this server"));
        }
        let KubernetesClaims { namespace, pod, serviceaccount, warnafter } = kubernetes;
        let Some(pod) = pod else {
            return Err(invalid("the token is bound to no pod: use a projected service-account token"));
        };
        if [namespace, &pod.name, &pod.uid, &serviceaccount.name, &serviceaccount.uid]
            .into_iter()
            .any(|text| !is_name(text))
        {
            return Err(invalid("the pod's token has an invalid name"));
        }
        if !demands.namespaces.contains(namespace) {
            return Err(invalid("the pod is in a namespace that this server does not serve"));
        }
        let expires_at =
            (*exp).min(warnafter.unwrap_or(UnixTime::MAX)).min(iat.saturating_add(demands.max_age));
        if expires_at <= now {
            return Err(invalid("the pod's token has expired"));
        }
        let latest = now.saturating_add(LEEWAY_SECONDS);
        if *iat > latest || nbf.is_some_and(|nbf| nbf > latest) {
            return Err(invalid("the pod's token is not valid yet: check the clocks"));
        }
        Ok(PodToken {
            id: WorkloadId { namespace: namespace.clone(), name: pod.name.clone(), uid: pod.uid.clone() },
            service_account: serviceaccount.name.clone(),
            token_id: jti.clone().unwrap_or_default(),
            expires_at,
        })
    }

    /// Verifies signature and issuer.
    ///
    /// # Errors
    /// [`WorkloadError::Invalid`].
    pub(crate) fn verify(&self, keys: &KeySet) -> Result<(), WorkloadError> {
        if self.claims.iss != keys.issuer {
            return Err(invalid("the token is from another issuer than this cluster"));
        }
        let verified: Result<serde::de::IgnoredAny, _> =
            jwks::verify(&keys.keys, self.token, self.kid(), self.algorithm);
        verified.map(drop).map_err(|error| match error {
            JwksError::UnknownKey | JwksError::Ambiguous => {
                invalid("the pod's token was signed by a key that the cluster does not have")
            }
            JwksError::WrongAlgorithm | JwksError::BadSignature => {
                invalid("the signature of the pod's token is invalid")
            }
        })
    }
}

/// Whether a text can be a name or UID of Kubernetes. It cannot contain the characters that separate names elsewhere.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.len() <= 253
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'.')
}
