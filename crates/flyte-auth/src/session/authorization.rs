//! The header that carries a session's token, for callers with an HTTP client of their own.

use std::sync::Arc;

use flyte_config::AuthType;
use http::{HeaderName, HeaderValue, header};

use super::Session;
use crate::{AccessToken, AuthError};

/// The header of a call to the control plane (RFC 6750 section 2.1), under the name that discovery found.
#[derive(Clone, Debug)]
pub struct Authorization {
    /// The token in it.
    pub token: AccessToken,
    /// The name of the header: `authorization`, or what the control plane asks for.
    pub name: HeaderName,
    /// Its value, marked as sensitive.
    pub value: HeaderValue,
}

impl Session {
    /// Gets a valid access token and the header to send it in. Signs the person in if necessary and possible. `None` if calls carry
    /// no token: over plain HTTP, with `Passthrough`, and to a control plane without a sign-in.
    ///
    /// If the control plane rejects the token, pass it to [`Session::invalidate`] and call this once more.
    ///
    /// # Errors
    /// Any [`AuthError`].
    pub async fn authorization(self: &Arc<Self>) -> Result<Option<Authorization>, AuthError> {
        if self.options.endpoint.is_insecure() || self.options.auth_type == AuthType::Passthrough {
            return Ok(None);
        }
        let Some(token) = self.token_if_required().await? else { return Ok(None) };
        match self.header(&token).await {
            // The stored login belongs to another control plane that used this address before.
            Err(AuthError::NoSignIn { .. }) if self.options.auth_type.is_for_people() => Ok(None),
            Err(error) => Err(error),
            Ok((name, value)) => Ok(Some(Authorization { token, name, value })),
        }
    }

    /// The header that carries the token, under the name that discovery found.
    pub(crate) async fn header(&self, token: &AccessToken) -> Result<(HeaderName, HeaderValue), AuthError> {
        let provider = match self.provider().await {
            Ok(provider) => provider,
            // The token of an external command may be for a server without discovery.
            Err(
                AuthError::Discovery { .. }
                | AuthError::NoSignIn { .. }
                | AuthError::WrongEndpoint { .. }
                | AuthError::Answered { .. },
            ) if self.options.auth_type == AuthType::ExternalCommand => {
                return bearer(header::AUTHORIZATION, token);
            }
            Err(error) => return Err(error),
        };
        let name = HeaderName::try_from(&provider.header).map_err(|_| AuthError::Discovery {
            url: self.options.endpoint.url().to_string(),
            reason: "its authorization metadata key cannot be the name of a header".to_owned(),
        })?;
        bearer(name, token)
    }
}

/// The header that carries a token (RFC 6750 section 2.1).
fn bearer(name: HeaderName, token: &AccessToken) -> Result<(HeaderName, HeaderValue), AuthError> {
    let text = zeroize::Zeroizing::new(format!("Bearer {}", token.secret()));
    let mut value = HeaderValue::try_from(text.as_str()).map_err(|_| AuthError::Request {
        reason: "its access token cannot be sent in a header".to_owned(),
    })?;
    value.set_sensitive(true);
    Ok((name, value))
}
