//! What the tests of several modules need.

use std::collections::BTreeMap;

use crate::{
    store::{Limit, Rights, Role, TrustRule},
    testing::NOW,
};

/// A rule for `sub` `job-*` of an issuer, with the audience `https://localhost:8443`.
pub(crate) fn rule(name: &str, issuer: &str) -> TrustRule {
    TrustRule {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        audience: "https://localhost:8443".to_owned(),
        claims: BTreeMap::from([("sub".to_owned(), "job-*".to_owned())]),
        jwks_uri: None,
        rights: Rights { role: Role::Contributor, scopes: vec!["all".to_owned()], limit: Limit::default() },
        token_lifetime: None,
        created_by: "user-Root".to_owned(),
        created_at: NOW,
        last_used_at: None,
        family_id: format!("family-of-{name}"),
    }
}
