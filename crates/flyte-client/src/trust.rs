//! Trust rules of workload identity federation: the server exchanges OpenID Connect tokens of other issuers for its own tokens
//! (RFC 8693), so that CI jobs need no API key.

use std::collections::BTreeMap;
use std::time::Duration;

use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteauth as wire;
use serde::Serialize;

use crate::access::{Access, seconds, time};
use crate::error::ClientError;
use crate::transport::Transport;

/// A trust rule. It grants access to tokens of an issuer that have this audience and matching claims.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Trust {
    /// The rule's name.
    pub name: String,
    /// The tokens' issuer (`iss`), compared exactly.
    pub issuer: String,
    /// The tokens' audience (`aud`), compared exactly.
    pub audience: String,
    /// Patterns of claims that the tokens must have. `*` matches any characters except `/`, and `**` matches any characters.
    pub claims: BTreeMap<String, String>,
    /// The access that the rule grants.
    pub access: Access,
    /// The lifetime of the tokens that the server issues, in seconds; `None` for the server's default.
    pub token_lifetime: Option<i64>,
    /// The URL of the issuer's JWKS; empty if the issuer's discovery document has it.
    pub jwks_uri: String,
    /// The subject that created the rule.
    pub created_by: String,
    /// The e-mail address of the person who created the rule; empty if unknown.
    pub created_by_email: String,
    /// The name of the person or machine that created the rule; empty if unknown.
    pub created_by_name: String,
    /// The creation time, Unix time in seconds.
    pub created_at: Option<i64>,
    /// The time at which the rule was last used to issue a token, Unix time in seconds, exact to a minute; `None` if never.
    pub last_used_at: Option<i64>,
}

/// A trust rule to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewTrust {
    /// The rule's name.
    pub name: String,
    /// The tokens' issuer (`iss`), compared exactly.
    pub issuer: String,
    /// The tokens' audience (`aud`), compared exactly.
    pub audience: String,
    /// Patterns of claims that the tokens must have.
    pub claims: BTreeMap<String, String>,
    /// The access that the rule grants.
    pub access: Access,
    /// The lifetime of the tokens that the server issues, in whole seconds; `None` for the server's default.
    pub token_lifetime: Option<Duration>,
    /// The URL of the issuer's JWKS; empty if the issuer's discovery document has it.
    pub jwks_uri: String,
}

/// Calls of `flyteauth.TrustService`.
#[derive(Clone)]
pub struct Trusts<T> {
    service: wire::TrustServiceClient<T>,
    endpoint: Endpoint,
}

impl<T: Transport> Trusts<T> {
    pub(crate) fn new(service: wire::TrustServiceClient<T>, endpoint: Endpoint) -> Self {
        Self { service, endpoint }
    }

    /// Creates a rule and returns it as the server stored it.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if a rule has this name, [`ClientError::InvalidArgument`] if the server rejects the rule.
    pub async fn create(&self, new: NewTrust) -> Result<Trust, ClientError> {
        let trust = wire::Trust {
            name: new.name,
            issuer: new.issuer,
            audience: new.audience,
            claims: new.claims.into_iter().collect(),
            access: wire::Access::from(new.access).into(),
            token_lifetime: new.token_lifetime.map_or(0, seconds),
            jwks_uri: new.jwks_uri,
            ..Default::default()
        };
        let request = wire::CreateTrustRequest { trust: trust.into(), ..Default::default() };
        let answer = self.service.create_trust(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().trust.into_option())
    }

    /// Returns one rule.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the rule does not exist.
    pub async fn get(&self, name: &str) -> Result<Trust, ClientError> {
        let request = wire::GetTrustRequest { name: name.to_owned(), ..Default::default() };
        let answer = self.service.get_trust(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().trust.into_option())
    }

    /// Lists all rules, sorted by name. A server has few rules, so one answer contains them all.
    ///
    /// # Errors
    /// The error of the call.
    pub async fn list(&self) -> Result<Vec<Trust>, ClientError> {
        let answer = self.service.list_trusts(wire::ListTrustsRequest::default()).await;
        let answer = answer.map_err(|error| self.error(error))?.into_owned();
        Ok(answer.trusts.into_iter().map(Trust::from).collect())
    }

    /// Deletes a rule. The server then rejects the tokens that it issued under the rule, and issues no more of them.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the rule does not exist.
    pub async fn delete(&self, name: &str) -> Result<(), ClientError> {
        let request = wire::DeleteTrustRequest { name: name.to_owned(), ..Default::default() };
        self.service.delete_trust(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

fn answered(trust: Option<wire::Trust>) -> Result<Trust, ClientError> {
    trust.map(Trust::from).ok_or_else(|| ClientError::Server {
        code: "internal",
        message: "the server's answer contains no rule".to_owned(),
    })
}

impl From<wire::Trust> for Trust {
    fn from(message: wire::Trust) -> Self {
        Self {
            name: message.name,
            issuer: message.issuer,
            audience: message.audience,
            claims: message.claims.into_iter().collect(),
            access: message.access.into_option().unwrap_or_default().into(),
            token_lifetime: time(message.token_lifetime),
            jwks_uri: message.jwks_uri,
            created_by: message.created_by,
            created_by_email: message.created_by_email,
            created_by_name: message.created_by_name,
            created_at: time(message.created_at),
            last_used_at: time(message.last_used_at),
        }
    }
}

#[cfg(test)]
mod tests;
