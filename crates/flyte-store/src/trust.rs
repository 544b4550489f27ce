//! Trust rules: which tokens of other issuers are exchanged for tokens of this server (RFC 8693).

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use flyte_model::Rights;
use flyte_model::clock::UnixTime;

/// A trust rule: the holder of a token with this issuer, this audience and these claims gets these rights.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrustRule {
    /// The name, unique among the rules.
    pub name: String,
    /// The exact `iss` of the tokens.
    pub issuer: String,
    /// The exact `aud` of the tokens.
    pub audience: String,
    /// Claims of the tokens, and the pattern that each must match (`flyte_federation::Pattern`).
    pub claims: BTreeMap<String, String>,
    /// The URL of the issuer's keys. With `None`, the issuer's discovery document has it.
    pub jwks_uri: Option<String>,
    /// The rights of the holder.
    pub rights: Rights,
    /// The lifetime of the issued tokens, in seconds. With `None`, it is that of other tokens of the server.
    pub token_lifetime: Option<i64>,
    /// Subject of the principal that created the rule.
    pub created_by: String,
    /// The time at which it was created.
    pub created_at: UnixTime,
    /// The time at which it was last used, exact to a minute.
    pub last_used_at: Option<UnixTime>,
    /// The family of all tokens issued through the rule, a UUID; revoked when the rule is deleted.
    pub family_id: String,
}

/// Storage of [`TrustRule`]s.
#[async_trait]
pub trait TrustStore: Send + Sync + 'static {
    /// Adds a rule.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken.
    async fn create_trust_rule(&self, rule: &TrustRule) -> Result<(), StoreError>;
    /// Returns the rule with this name.
    async fn trust_rule_by_name(&self, name: &str) -> Result<Option<TrustRule>, StoreError>;
    /// Returns the rule whose tokens have this family.
    async fn trust_rule_by_family(&self, family_id: &str) -> Result<Option<TrustRule>, StoreError>;
    /// Returns the rules for tokens of this issuer, sorted by name.
    async fn trust_rules_of_issuer(&self, issuer: &str) -> Result<Vec<TrustRule>, StoreError>;
    /// Returns all rules, sorted by name.
    async fn list_trust_rules(&self) -> Result<Vec<TrustRule>, StoreError>;
    /// Deletes a rule and revokes the family of its tokens. Returns the family, or `None` if the rule does not exist.
    async fn delete_trust_rule(&self, name: &str, now: UnixTime) -> Result<Option<String>, StoreError>;
    /// Records when rules, named by their families, were last used. Earlier times than the recorded one, and rules that
    /// no longer exist, are ignored.
    async fn note_trust_rules_used(&self, used: &[(String, UnixTime)]) -> Result<(), StoreError>;
}
