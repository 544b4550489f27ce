//! The claims at the UserInfo endpoint (OpenID Connect Core section 5.3).

use http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};
use url::Url;

use crate::{Provider, ProviderError, id_token, metadata::Metadata};
use flyte_issuer::{Answer, IssuerError};

impl Provider {
    /// Returns the claims of the user `subject`, as JSON or as a signed JWT.
    pub(crate) async fn userinfo(
        &self,
        metadata: &Metadata,
        access_token: &SecretString,
        subject: &str,
    ) -> Result<Option<Map<String, Value>>, ProviderError> {
        let Some(url) = &metadata.userinfo_endpoint else { return Ok(None) };
        let answer = self.get_as_user(url, access_token, "application/json, application/jwt").await?;
        if answer.status != StatusCode::OK {
            return Err(IssuerError::answer(url, format!("the answer has status {}", answer.status)).into());
        }
        let Answer { body, media_type, .. } = answer;
        let claims = if media_type == "application/jwt" {
            let token = String::from_utf8(body)
                .map_err(|_| ProviderError::Wrong("the answer of UserInfo is not a signed JWT"))?;
            let (claims, _) = self.signed(metadata, token.trim()).await?;
            // Section 5.3.2: a signed answer should name its issuer and its audience.
            if claims.contains_key("iss") {
                self.check_issuer(metadata, &claims)?;
            }
            if claims.contains_key("aud") {
                self.check_audience(&claims)?;
            }
            claims
        } else {
            serde_json::from_slice(&body)
                .map_err(|_| ProviderError::Wrong("the answer of UserInfo is not a JSON object"))?
        };
        // Section 5.3.2: otherwise these are the claims of another user.
        if id_token::subject(&claims) != Some(subject) {
            return Err(ProviderError::Wrong(
                "UserInfo is about another user: its sub is not that of the ID token",
            ));
        }
        Ok(Some(claims))
    }

    /// Sends a request with the user's access token; returns the answer, of any status.
    pub(crate) async fn get_as_user(
        &self,
        url: &Url,
        access_token: &SecretString,
        accept: &'static str,
    ) -> Result<Answer, ProviderError> {
        let mut bearer = HeaderValue::from_str(&format!("Bearer {}", access_token.expose_secret()))
            .map_err(|_| ProviderError::Wrong("the access token cannot be sent"))?;
        bearer.set_sensitive(true);
        let headers = HeaderMap::from_iter([
            (header::AUTHORIZATION, bearer),
            (header::ACCEPT, HeaderValue::from_static(accept)),
        ]);
        let answer = self.fetcher.send(Method::GET, url, headers, Vec::new()).await?;
        Ok(answer)
    }
}
